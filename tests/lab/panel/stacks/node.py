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
        panel.endpoint(name, port, f"{NODES[version]} (Node.js {version})", **truth)

    add("0.8.28", "openssl100-all", {"versions":["SSLv2", "SSLv3", "TLSv1.0"]}, ciphers="ALL:COMPLEMENTOFALL", secureProtocol="SSLv23_method", secureOptions=0)
    add("0.10.0", "openssl101e-all", {"versions":["SSLv2", "SSLv3", "TLSv1.0"]}, ciphers="ALL:COMPLEMENTOFALL", secureProtocol="SSLv23_method", secureOptions=0)
    for version, servers in given.items():
        config = panel.directory(f"node-{version}") / "config.json"
        config.write_text(json.dumps(servers))
        panel.spawn(f"node-{version}", [panel.programs.node(version), *flags.get(version, []), panel.server("node.js"), config])
