"""OpenSSL 1.0.2e of 2015: everything that later builds left out."""
import json

from suites import CAMELLIA1, CBC1, CBC2, CBC2_EC, GCM, SSL2, each, named

STACK = "OpenSSL 1.0.2e (PyPI nassl)"
OLD = ["SSLv3", "TLSv1.0", "TLSv1.1", "TLSv1.2"]
EXPORT_RSA = ["TLS_RSA_EXPORT_WITH_RC4_40_MD5", "TLS_RSA_EXPORT_WITH_RC2_CBC_40_MD5", "TLS_RSA_EXPORT_WITH_DES40_CBC_SHA"]


def start(panel):
    """One process, a port for each."""
    rsa, ec = panel.certificate("rsa"), panel.certificate("ec", key="p256")
    given = []

    def add(name, truth, ciphers, certs=(rsa,), **options):
        port = panel.port()
        given.append({"port": port, "ciphers": ciphers, "certs": [[c.bundle, c.key] for c in certs], **options})
        panel.endpoint(name, port, STACK, **truth)

    none = ["NO_SSLv2", "NO_COMPRESSION"]
    dh512, dh1024 = panel.dh(512), panel.dh(1024)
    add("ssl2-only", {"versions": ["SSLv2"]}, "ALL:COMPLEMENTOFALL", method="SSLv2")
    add("drown", {"versions": ["SSLv2", *OLD]}, "ALL:!NULL", options=["NO_COMPRESSION"])
    add("freak", {"versions": OLD}, "ALL:!aNULL:!eNULL:!EDH:!ECDH", options=none, tmp_rsa=512)
    add("logjam-export", {"versions": OLD}, "ALL:!aNULL:!eNULL:!ECDH", options=none, dh=dh512)
    add("crime", {"versions": OLD}, "AES:!aNULL", options=["NO_SSLv2"])
    add("anonymous-only", {"versions": OLD}, "aNULL", options=none, dh=dh1024)
    add("null-only", {"versions": OLD}, "eNULL:!aNULL", options=none)
    add("everything", {"versions": OLD}, "ALL:COMPLEMENTOFALL", certs=(rsa, ec), options=none, dh=dh1024, tmp_rsa=512)
    add("beast", {"versions": ["TLSv1.0"]}, "AES128-SHA:AES256-SHA:DES-CBC3-SHA", options=[*none, "NO_SSLv3", "NO_TLSv1_1", "NO_TLSv1_2", "CIPHER_SERVER_PREFERENCE"])
    config = panel.directory("openssl102") / "config.json"
    config.write_text(json.dumps(given))
    panel.spawn("openssl102", ["/usr/bin/python3", panel.server("openssl102.py"), panel.programs.openssl102, config])
