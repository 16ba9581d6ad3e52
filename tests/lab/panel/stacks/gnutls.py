"""GnuTLS 3.7 by gnutls-serv, one process for each priority string."""
import pki


def start(panel):
    rsa, ec = panel.certificate("rsa"), panel.certificate("ec", key="p256")
    stack = "GnuTLS 3.7 (gnutls-serv)"

    def add(name, truth, priority, certificates=(rsa,), arguments=()):
        port = panel.port()
        command = ["gnutls-serv", "--quiet", "--http", "--port", port, "--priority", priority]
        for certificate in certificates:
            command += ["--x509certfile", certificate.bundle, "--x509keyfile", certificate.key]
        panel.spawn(name, [*command, *arguments])
        # gnutls-serv asks for a certificate unless told otherwise; without one of its own it may not (RFC 5246 7.4.4).
        panel.endpoint(name, port, stack, **{"client_certificate": "requested" if certificates else "none", **truth})

    add("gnutls-all", {"versions": ["TLSv1.0", "TLSv1.1", "TLSv1.2", "TLSv1.3"]}, "NORMAL:+VERS-ALL:+CIPHER-ALL:+3DES-CBC:+ARCFOUR-128:+CAMELLIA-128-CBC:+CAMELLIA-256-CBC:+CAMELLIA-128-GCM:+CAMELLIA-256-GCM:+MAC-ALL:+SHA256:+SHA384:%VERIFY_ALLOW_SIGN_WITH_SHA1")
    add("gnutls-anonymous", {"versions": ["TLSv1.0", "TLSv1.1", "TLSv1.2"]}, "NORMAL:-VERS-ALL:+VERS-TLS1.0:+VERS-TLS1.1:+VERS-TLS1.2:-KX-ALL:+ANON-ECDH:+ANON-DH", certificates=())
    add("gnutls-client-preference", {"versions": ["TLSv1.2"]}, "NORMAL:-VERS-ALL:+VERS-TLS1.2", certificates=(rsa, ec))
    add("gnutls-server-preference", {"versions": ["TLSv1.2", "TLSv1.3"]}, "SECURE128:-VERS-ALL:+VERS-TLS1.2:+VERS-TLS1.3:%SERVER_PRECEDENCE", certificates=(ec,))
    add("gnutls-client-certificate", {"versions": ["TLSv1.2"], "client_certificate": "required"}, "NORMAL:-VERS-ALL:+VERS-TLS1.2", arguments=["--require-client-cert", "--x509cafile", panel.pki.ca_file])
    add("gnutls-psk", {"versions": ["TLSv1.2"]}, "NORMAL:-VERS-ALL:+VERS-TLS1.2:+PSK:+ECDHE-PSK:+DHE-PSK", arguments=["--pskpasswd", panel.text("psk.txt", "panel:9e32cf7786321a828ef7668f09fb35db\n")])
    add("gnutls-no-tickets", {"versions": ["TLSv1.2", "TLSv1.3"]}, "NORMAL:-VERS-ALL:+VERS-TLS1.2:+VERS-TLS1.3:-GROUP-ALL:+GROUP-SECP384R1:+GROUP-FFDHE3072:%NO_TICKETS:%NO_ETM:%NO_SESSION_HASH", arguments=["--noticket"])
