"""Diffie-Hellman parameters of sizes that take long to make or that nobody makes any more."""
import textwrap

# Safe primes made by `openssl dhparam`; 2048 bits is the group ffdhe2048 of RFC 7919.
PARAMETERS = {
    512: "MEYCQQCuAmNIWkLsnh70TrgDFYI08nhloDrbkO3/kt7wz8qnYSDAfMQPe1uXyggoe6RbHEiMR2PfRMQrhdkhSuXZoCdPAgEC",
    768: "MGYCYQDEL+1qGmHDNzHeuQEWOW1dZOXCtMI6KpzIeFj0bpSB6Q4+wbVfa/Z/LfemwuCqgQYx2Ld8qf6ArXbKmhTH5whpfoQmwweIW/a4f7m0ADnNxtrxl9VncatN1fQ2NSB9xocCAQI=",
    1024: "MIGHAoGBANFv5adb52BP6G+fTzQbz4haIQ1wGSWJoJR2S5ZClgmQXpLZ848uAJRWjw4Crc1rav0I6Gfj0hehog1aG65pCSew+4yjpTW8Dc4MB9APCa0r/eTbt4Uhmuv7BVzPLIwp"
          "fPsbbZZPPGHvGzq56DRDWmurcePRG/l3J2UtEv5tKDiXAgEC",
    2048: "MIIBCAKCAQEA//////////+t+FRYortKmq/cViAnPTzx2LnFg84tNpWp4TZBFGQz+8yTnc4kmz75fS/jY2MMddj2gbICrsRhetPfHtXV/WVhJDP1H18GbtCFY2VVPe0a87"
          "VXE15/V8k1mE8McODmi3fipona8+/och3xWKE2rec1MKzKT0g6eXq8CrGCsyT7YdEIqUuyyOP7uWrat2DX9GgdT0Kj3jlN9K5W7edjcrsZCwenyO4KbXCeAvzhzffi7MA0"
          "BM0oNC9hkXL+nOmFg/+OTxIy7vKBg8P+OxtMb61zO7X8vC7CIAXFjvGDfRaDssbzSibBsu/6iGtCOGEoXJf//////////wIBAg==",
}


def parameters(bits):
    """PEM."""
    body = "\n".join(textwrap.wrap(PARAMETERS[bits], 64))
    return f"-----BEGIN DH PARAMETERS-----\n{body}\n-----END DH PARAMETERS-----\n".encode()
