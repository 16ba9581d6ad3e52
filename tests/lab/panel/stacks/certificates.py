"""Certificates with one fault each, and sound ones that only look odd.

`findings` of the truth lists every fault that is there; each that is not listed is absent, so a false alarm counts too.
"""
import pki

SNI = pki.NAME


def start(panel):
    folder, servers = panel.directory("certificates"), []
    make = panel.pki.certificate
    stack = "OpenSSL 3.0 (nginx 1.22)"

    def serve(name, certificates, extra="", sni=SNI, security=0, facts=None, findings=(), versions=("TLSv1.2", "TLSv1.3"), **truth):
        port = panel.port()
        pairs = "".join(f"ssl_certificate {c.bundle}; ssl_certificate_key {c.key}; " for c in certificates)
        servers.append(f"server {{ listen 127.0.0.1:{port} ssl; ssl_protocols TLSv1.2 TLSv1.3; ssl_ciphers ALL:!aNULL:!eNULL:@SECLEVEL={security}; {pairs}{extra} return 200 panel; }}")
        panel.endpoint(name, port, stack, sni=sni, versions=list(versions), certificate={"findings": sorted(findings), **(facts or {})}, **truth)
        return port

    def fault(name, *findings, facts=None, sni=SNI, versions=("TLSv1.2", "TLSv1.3"), **arguments):
        serve(f"cert-{name}", [make(f"cert-{name}", **arguments)], findings=findings, facts=facts, sni=sni, versions=versions)

    # Sound.
    fault("sound", facts={"key": "rsa 2048", "signature": "sha256", "chain": 2})
    fault("wildcard", names=("*.lab.example",), ips=(), sni="www.lab.example", facts={"wildcard": True})
    fault("ip-only", names=(), cn="panel", sni="", facts={"chain": 2})
    fault("ed25519", key="ed25519", facts={"key": "ed25519 256"})
    fault("ed448", key="ed448", facts={"key": "ed448 456"})
    fault("p384", key="p384", facts={"key": "ec 384"})
    fault("p521", key="p521", facts={"key": "ec 521"})
    fault("rsa4096", key="rsa4096", facts={"key": "rsa 4096"}, hash="sha512")
    fault("scts", scts=True, facts={"scts": 2})
    pss = panel.pki.by_program("cert-rsa-pss", ["-algorithm", "RSA-PSS", "-pkeyopt", "rsa_keygen_bits:2048"])
    serve("cert-rsa-pss", [pss], facts={"key": "rsa 2048"})
    # Dates.
    fault("expired", "expired", days=(-90, -2))
    fault("not-yet-valid", "not-yet-valid", days=(5, 90))
    fault("long-validity", "long-validity", days=(-1, 1200))
    # Trust.
    fault("self-signed", "self-signed", "untrusted", self_signed=True)
    fault("untrusted-root", "untrusted", issuer="stranger", send=lambda leaf, above, p: [leaf, p.stranger])
    fault("incomplete", "incomplete", "untrusted", send=lambda leaf, above, p: [leaf])
    fault("wrong-order", "wrong-order", send=lambda leaf, above, p: [leaf, p.root, p.inter])
    fault("extra", "extra-certificate", "wrong-order", send=lambda leaf, above, p: [leaf, *above, p.stranger])
    fault("root-sent", facts={"chain": 3}, send=lambda leaf, above, p: [leaf, *above, p.root])
    fault("expired-intermediate", "expired-intermediate", issuer="expired")
    fault("name-constraint", "name-constraint", "untrusted", issuer="narrow")
    # Names and purposes.
    fault("wrong-name", "wrong-name", names=("other.example",), ips=())
    fault("no-san", "no-san", "wrong-name", san=False)
    fault("ca-as-leaf", "ca-as-leaf", ca=True)
    fault("no-server-auth", "no-server-auth", "untrusted", eku="client")
    # Keys and signatures.
    fault("rsa1024", "weak-key", key="rsa1024", facts={"key": "rsa 1024"})
    fault("rsa768", "weak-key", key="rsa768", facts={"key": "rsa 768"})
    # TLS 1.3 has no signature scheme for curves like these.
    fault("p192", "weak-key", key="p192", versions=["TLSv1.2"], facts={"key": "ec 192"})
    fault("sha1", "sha1-signature", hash="sha1", facts={"signature": "sha1"})
    fault("md5", "md5-signature", hash="md5", facts={"signature": "md5"})
    weak = panel.pki.by_program("cert-secp160r1", ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:secp160r1"])
    serve("cert-secp160r1", [weak], "ssl_ecdh_curve secp160r1:prime256v1;", facts={"key": "ec 160"}, findings=["weak-key"], versions=["TLSv1.2"])
    # Stapling.
    fault("must-staple", "must-staple-missing", staple_required=True)
    for name, status, arguments in (("good", "good", {}), ("revoked", "revoked", {"status": "revoked"}), ("expired", "expired", {"age": 30}),
                                    ("wrong-signer", "wrong-signer", {"signer": "stranger"})):
        certificate = make(f"cert-staple-{name}", staple_required=name == "good", unique=name)
        staple = panel.pki.staple(f"cert-staple-{name}", certificate, **arguments)
        serve(f"cert-staple-{name}", [certificate], f"ssl_stapling on; ssl_stapling_file {staple};", facts={"staple": status})
    # More than one chain.
    rsa, ec = make("cert-two-rsa"), make("cert-two-ec", key="p256")
    serve("cert-two-chains", [rsa, ec], facts={"chains": ["ec 256", "rsa 2048"]})
    # Another chain for whoever names nobody.
    other = make("cert-default-vhost", names=("default.example",), ips=(), self_signed=True)
    port = panel.port()
    servers.append(f"server {{ listen 127.0.0.1:{port} ssl default_server; ssl_protocols TLSv1.2 TLSv1.3; ssl_certificate {other.bundle}; ssl_certificate_key {other.key}; return 200; }}")
    servers.append(f"server {{ listen 127.0.0.1:{port} ssl; server_name lab.example; ssl_protocols TLSv1.2 TLSv1.3; ssl_certificate {rsa.bundle}; ssl_certificate_key {rsa.key}; return 200; }}")
    panel.endpoint("cert-by-sni", port, stack, versions=["TLSv1.2", "TLSv1.3"], certificate={"findings": [], "differs_without_sni": True})
    panel.endpoint("cert-by-sni-unnamed", port, stack, sni="", versions=["TLSv1.2", "TLSv1.3"], certificate={"findings": ["self-signed", "untrusted"]})

    config = panel.text("certificates/nginx.conf", f"daemon off; pid {folder}/pid; error_log {folder}/error.log;\nevents {{ worker_connections 1024; }}\nhttp {{ access_log off; "
                        + "".join(f"{n}_temp_path {folder}/{n}; " for n in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")) + "\n" + "\n".join(servers) + "\n}\n")
    panel.spawn("certificates", ["nginx", "-p", folder, "-c", config, "-e", f"{folder}/error.log"])
