"""Node.js from 2012 to today: OpenSSL 1.0.0, 1.0.1, 1.0.2, 1.1.1 and 3.5 as they were shipped."""
import json

from install import NODES
from suites import CBC1, CBC2, GCM, each, named


def start(panel):
    """One process for each Node.js, a port for each endpoint."""
    rsa = panel.certificate("rsa")
    given, flags = {}, {"0.10.48": ["--enable-ssl3"], "0.12.18": ["--enable-ssl3"]}

    def add(version, name, truth, certificate=rsa, **options):
        port = panel.port()
        given.setdefault(version, []).append({"port": port, "key": certificate.key, "cert": certificate.bundle, **options})
        panel.endpoint(name, port, f"{NODES[version]} (Node.js {version})", host=options.get("host", "127.0.0.1"), **truth)

    ec, small, tiny = panel.certificate("ec", key="p256"), panel.certificate("rsa1024", key="rsa1024"), panel.certificate("rsa512", key="rsa512", self_signed=True)
    any_version = {"secureProtocol": "SSLv23_method", "secureOptions": 0}
    add("0.8.28", "openssl100-all", {"versions": ["SSLv2", "SSLv3", "TLSv1.0"]}, ciphers="ALL:COMPLEMENTOFALL", **any_version)
    add("0.10.0", "openssl101e-all", {"versions": ["SSLv2", "SSLv3", "TLSv1.0", "TLSv1.1", "TLSv1.2"]}, ciphers="ALL:COMPLEMENTOFALL", **any_version)
    add("0.10.0", "openssl101e-export", {"versions": ["SSLv2", "SSLv3", "TLSv1.0", "TLSv1.1", "TLSv1.2"]}, tiny, ciphers="EXP", **any_version)
    add("0.10.0", "openssl101e-default", {"versions": ["SSLv2", "SSLv3", "TLSv1.0", "TLSv1.1", "TLSv1.2"]}, small)
    add("0.10.48", "openssl101u-ssl3-only", {"versions": ["SSLv3"]}, secureProtocol="SSLv3_method", ciphers="RC4-SHA:AES128-SHA")
    add("0.10.48", "openssl101u-default", {"versions": ["SSLv3", "TLSv1.0", "TLSv1.1", "TLSv1.2"]}, honorCipherOrder=True)
    add("0.12.18", "openssl101u-ecdhe", {"versions": ["SSLv3", "TLSv1.0", "TLSv1.1", "TLSv1.2"]}, ec, ciphers="ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES128-SHA:ECDHE-ECDSA-RC4-SHA", honorCipherOrder=True)
    add("4.9.1", "openssl102-dhe1024", {"versions": ["TLSv1.0", "TLSv1.1", "TLSv1.2"], "client_certificate": "requested"}, dhparam=panel.dh(1024), ciphers="EDH:ECDHE:!aNULL:!eNULL:!PSK:!SRP", requestCert=True, rejectUnauthorized=False, ca=panel.pki.ca_file)
    add("8.17.0", "openssl102-tls12-only", {"versions": ["TLSv1.2"]}, ec, secureProtocol="TLSv1_2_method")
    add("8.17.0", "openssl102-tls11-only", {"versions": ["TLSv1.1"]}, secureProtocol="TLSv1_1_method", ciphers="AES128-SHA")
    add("10.24.1", "openssl111-node10", {"versions": ["TLSv1.0", "TLSv1.1", "TLSv1.2"]}, ALPNProtocols=["h2", "http/1.1"])
    add("14.21.3", "openssl111-tls10-to-13", {"versions": ["TLSv1.0", "TLSv1.1", "TLSv1.2", "TLSv1.3"]}, minVersion="TLSv1", ecdhCurve="X25519:P-256:P-384", ciphers="TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256:DEFAULT:@SECLEVEL=0")
    add("14.21.3", "openssl111-sni-required", {"versions": ["TLSv1.2", "TLSv1.3"]}, names=["lab.example"])
    add("24.21.0", "openssl35-default", {"versions": ["TLSv1.2", "TLSv1.3"]}, ec)
    add("24.21.0", "openssl35-x25519mlkem768-only", {"versions": ["TLSv1.3"]}, minVersion="TLSv1.3", ecdhCurve="X25519MLKEM768")
    add("24.21.0", "openssl35-mlkem768-only", {"versions": ["TLSv1.3"]}, ec, minVersion="TLSv1.3", ecdhCurve="MLKEM768")
    add("24.21.0", "openssl35-mlkem1024-only", {"versions": ["TLSv1.3"]}, ec, minVersion="TLSv1.3", ecdhCurve="MLKEM1024:MLKEM512", ciphers="TLS_CHACHA20_POLY1305_SHA256")
    add("24.21.0", "openssl35-hybrids", {"versions": ["TLSv1.3"]}, minVersion="TLSv1.3", ecdhCurve="SecP256r1MLKEM768:SecP384r1MLKEM1024:X25519")
    add("24.21.0", "openssl35-two-chains", {"versions": ["TLSv1.2"]}, maxVersion="TLSv1.2", key=[rsa.key, ec.key], cert=[rsa.bundle, ec.bundle], honorCipherOrder=False)
    add("24.21.0", "openssl35-client-certificate", {"versions": ["TLSv1.3"], "client_certificate": "required"}, minVersion="TLSv1.3", requestCert=True, rejectUnauthorized=True, ca=panel.pki.ca_file)
    add("24.21.0", "openssl35-ipv6", {"versions": ["TLSv1.2", "TLSv1.3"]}, host="::1")
    for version, servers in given.items():
        config = panel.directory(f"node-{version}") / "config.json"
        config.write_text(json.dumps(servers))
        panel.spawn(f"node-{version}", [panel.programs.node(version), *flags.get(version, []), panel.server("node.js"), config])
