"""tlslite-ng: every switch of a handshake that other stacks weld shut."""
import json

STACK = "tlslite-ng 0.9.0b2"


def start(panel):
    rsa, ec = panel.certificate("rsa"), panel.certificate("ec", key="p256")
    given = []

    def add(name, truth, certificate=rsa, settings=None, **options):
        port = panel.port()
        if certificate:
            options |= {"cert": certificate.bundle, "key": certificate.key}
        given.append({"port": port, "settings": settings or {}, **options})
        panel.endpoint(name, port, STACK, **truth)

    # By default it takes the code points of RFC 8734, which are for TLS 1.3, in TLS 1.2 too.
    curves = {"eccCurves": ["x25519", "x448", "secp384r1", "secp256r1", "secp521r1"]}
    wide = {"cipherNames": ["chacha20-poly1305", "aes256gcm", "aes128gcm", "aes256ccm", "aes128ccm", "aes256ccm_8", "aes128ccm_8", "aes256", "aes128", "3des", "rc4", "null"],
            "macNames": ["sha", "sha256", "sha384", "aead", "md5"], "eccCurves": ["x25519", "x448", "secp384r1", "secp256r1", "secp521r1", "brainpoolP256r1", "secp256k1", "secp224r1", "secp192r1"]}
    add("tlslite-wide", {"versions": ["SSLv3", "TLSv1.0", "TLSv1.1", "TLSv1.2", "TLSv1.3"]}, settings={**wide, "minVersion": [3, 0], "maxVersion": [3, 4]}, cache=True)
    add("tlslite-ssl3-only", {"versions": ["SSLv3"]}, settings={**wide, "minVersion": [3, 0], "maxVersion": [3, 0]})
    add("tlslite-anonymous", {"versions": ["TLSv1.0", "TLSv1.1", "TLSv1.2"]}, certificate=None, anon=True, settings={"maxVersion": [3, 3], "dhGroups": ["ffdhe2048"], **curves})
    add("tlslite-no-etm-no-ems", {"versions": ["TLSv1.2"]}, settings={"minVersion": [3, 3], "maxVersion": [3, 3], "useEncryptThenMAC": False, "useExtendedMasterSecret": False, **curves})
    add("tlslite-tickets-alpn", {"versions": ["TLSv1.2", "TLSv1.3"]}, certificate=ec, alpn=["h2", "http/1.1"],
        settings={"minVersion": [3, 3], "maxVersion": [3, 4], "ticketKeys": ["00" * 32], "eccCurves": ["secp256r1", "x448"], "keyShares": ["secp256r1"]})
    add("tlslite-ffdhe-only", {"versions": ["TLSv1.3"]}, settings={"minVersion": [3, 4], "maxVersion": [3, 4], "eccCurves": [], "dhGroups": ["ffdhe2048", "ffdhe3072"], "keyShares": ["ffdhe2048"]})
    add("tlslite-single-suite", {"versions": ["TLSv1.2"]}, settings={"minVersion": [3, 3], "maxVersion": [3, 3], "cipherNames": ["aes128ccm_8"], "macNames": ["aead"], "keyExchangeNames": ["rsa"]})
    config = panel.directory("tlslite") / "config.json"
    config.write_text(json.dumps(given))
    panel.spawn("tlslite", [panel.programs.python, panel.server("tlslite_server.py"), config])
