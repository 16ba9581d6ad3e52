"""Words for the truth: cipher suites by IANA name, versions, groups."""
import csv
import pathlib
import subprocess

VERSIONS = ["SSLv2", "SSLv3", "TLSv1.0", "TLSv1.1", "TLSv1.2", "TLSv1.3"]
CODES = {"SSLv3": 0x0300, "TLSv1.0": 0x0301, "TLSv1.1": 0x0302, "TLSv1.2": 0x0303, "TLSv1.3": 0x0304}
# IANA "TLS Supported Groups".
GROUPS = {
    "sect163k1": 1, "sect163r1": 2, "sect163r2": 3, "sect193r1": 4, "sect193r2": 5, "sect233k1": 6, "sect233r1": 7, "sect239k1": 8, "sect283k1": 9,
    "sect283r1": 10, "sect409k1": 11, "sect409r1": 12, "sect571k1": 13, "sect571r1": 14, "secp160k1": 15, "secp160r1": 16, "secp160r2": 17,
    "secp192k1": 18, "secp192r1": 19, "secp224k1": 20, "secp224r1": 21, "secp256k1": 22, "secp256r1": 23, "secp384r1": 24, "secp521r1": 25,
    "brainpoolP256r1": 26, "brainpoolP384r1": 27, "brainpoolP512r1": 28, "x25519": 29, "x448": 30, "brainpoolP256r1tls13": 31,
    "brainpoolP384r1tls13": 32, "brainpoolP512r1tls13": 33, "ffdhe2048": 256, "ffdhe3072": 257, "ffdhe4096": 258, "ffdhe6144": 259, "ffdhe8192": 260,
    "MLKEM512": 512, "MLKEM768": 513, "MLKEM1024": 514, "SecP256r1MLKEM768": 4587, "X25519MLKEM768": 4588, "SecP384r1MLKEM1024": 4589,
}
# Those that RFC 8446, RFC 8734 and the ML-KEM drafts allow in TLS 1.3; strict servers refuse hellos that offer others.
GROUPS13 = [c for n, c in GROUPS.items() if n in ("secp256r1", "secp384r1", "secp521r1", "x25519", "x448") or c in range(31, 34) or c >= 256]
TLS13 = ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"]
# SSL 2.0 has its own suites, of three bytes.
SSL2 = {
    0x010080: "SSL_CK_RC4_128_WITH_MD5", 0x020080: "SSL_CK_RC4_128_EXPORT40_WITH_MD5", 0x030080: "SSL_CK_RC2_128_CBC_WITH_MD5",
    0x040080: "SSL_CK_RC2_128_CBC_EXPORT40_WITH_MD5", 0x050080: "SSL_CK_IDEA_128_CBC_WITH_MD5", 0x060040: "SSL_CK_DES_64_CBC_WITH_MD5",
    0x0700C0: "SSL_CK_DES_192_EDE3_CBC_WITH_MD5",
}
CBC1 = "AES_128_CBC_SHA AES_256_CBC_SHA"
CAMELLIA1 = "CAMELLIA_128_CBC_SHA CAMELLIA_256_CBC_SHA"
CBC2 = "AES_128_CBC_SHA256 AES_256_CBC_SHA256"
CBC2_EC = "AES_128_CBC_SHA256 AES_256_CBC_SHA384"
GCM = "AES_128_GCM_SHA256 AES_256_GCM_SHA384"
CHACHA = "CHACHA20_POLY1305_SHA256"


def named(exchanges, ciphers):
    """Every `TLS_exchange_WITH_cipher`."""
    return [f"TLS_{e}_WITH_{c}" for e in exchanges.split() for c in ciphers.split()]


def each(versions, names):
    """The same suites for several versions."""
    return {v: list(names) for v in versions}


def load(repository):
    """{code: name} of the IANA table that the repository carries; signalling values left out."""
    path = pathlib.Path(repository, "rules/data/tls-cipher-suites.csv")
    rows = csv.DictReader(line for line in path.read_text().splitlines() if not line.startswith("#"))
    return {int(r["code"], 16): r["name"] for r in rows if not r["name"].endswith("_SCSV")}


def openssl_names():
    """{OpenSSL name: IANA name} of the suites that Debian's OpenSSL knows."""
    text = subprocess.run(["/usr/bin/openssl", "ciphers", "-stdname", "ALL:COMPLEMENTOFALL:@SECLEVEL=0"], capture_output=True, text=True, check=True).stdout
    return {line.split()[2]: line.split()[0] for line in text.splitlines()}
