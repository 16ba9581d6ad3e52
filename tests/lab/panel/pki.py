"""The panel's certification authorities and every certificate it serves.

`cryptography` makes what it can; what it refuses (secp160r1, RSA-PSS keys, MD5 on some versions) comes
from the openssl program. Nothing here is meant to be safe: keys are small and shared on purpose.
"""
import datetime
import functools
import ipaddress
import os
import struct
import subprocess
import time
import warnings

from cryptography import utils, x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, ed448, rsa
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

NAME = "lab.example"
NOW = datetime.datetime.utcnow().replace(microsecond=0)
DAY = datetime.timedelta(days=1)
CURVES = {"p192": ec.SECP192R1, "p224": ec.SECP224R1, "p256": ec.SECP256R1, "p384": ec.SECP384R1, "p521": ec.SECP521R1}
SCT_LIST = ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")
# Weak on purpose.
warnings.filterwarnings("ignore", category=utils.CryptographyDeprecationWarning)
NO_ENCRYPTION = serialization.NoEncryption()


class Certificate:
    """A leaf with its key and the chain to serve, as PEM files."""

    def __init__(self, folder, name, leaf, key_pem, chain):
        self.leaf, self.chain = leaf, chain
        self.key, self.pkcs8, self.cert, self.bundle, self.both = (f"{folder}/{name}.{end}" for end in ("key", "p8", "crt", "chain.pem", "both.pem"))
        write(self.key, key_pem)
        # The openssl program writes PKCS #8 at once.
        write(self.pkcs8, key_pem if b"BEGIN PRIVATE" in key_pem else serialization.load_pem_private_key(key_pem, None).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, NO_ENCRYPTION))
        write(self.cert, pem(leaf))
        write(self.bundle, b"".join(pem(c) for c in chain))
        write(self.both, key_pem + b"".join(pem(c) for c in chain))


class Pki:
    """Makes certificates in a folder; every name in it is its own."""

    def __init__(self, folder, keys):
        """`keys` is a folder where keys stay from one panel to the next: they are what takes long to make."""
        self.folder, self.keys = folder, keys
        os.makedirs(folder, exist_ok=True)
        os.makedirs(keys, exist_ok=True)
        self.root_key, self.root = self._authority("Panel Root", None, years=20)
        self.inter_key, self.inter = self._authority("Panel Issuing CA", (self.root_key, self.root), path=0)
        self.stranger_key, self.stranger = self._authority("Stranger Root", None)
        self.old_key, self.old_inter = self._authority("Panel Expired CA", (self.root_key, self.root), path=0, start=-400 * DAY, end=-10 * DAY)
        constraint = x509.NameConstraints([x509.DNSName("allowed.example")], None)
        self.narrow_key, self.narrow = self._authority("Panel Narrow CA", (self.root_key, self.root), path=0, extra=[(constraint, True)])
        self.ca_file = f"{folder}/trust/ca.pem"
        os.makedirs(f"{folder}/trust", exist_ok=True)
        write(self.ca_file, pem(self.root))

    def issuer(self, name):
        """(key, certificate, certificates to send above the leaf)."""
        return {
            "inter": (self.inter_key, self.inter, [self.inter]),
            "root": (self.root_key, self.root, []),
            "stranger": (self.stranger_key, self.stranger, []),
            "expired": (self.old_key, self.old_inter, [self.old_inter]),
            "narrow": (self.narrow_key, self.narrow, [self.narrow]),
        }[name]

    def _authority(self, name, parent, years=10, path=None, start=-30 * DAY, end=None, extra=()):
        key = self.key("rsa2048", name.lower().replace(" ", "-"))
        subject = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Panel"), x509.NameAttribute(NameOID.COMMON_NAME, name)])
        parent_key, issuer = (parent[0], parent[1].subject) if parent else (key, subject)
        builder = (x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
                   .serial_number(x509.random_serial_number()).not_valid_before(NOW + start).not_valid_after(NOW + (end or years * 365 * DAY))
                   .add_extension(x509.BasicConstraints(True, path), True)
                   .add_extension(x509.KeyUsage(False, False, False, False, False, True, True, False, False), True)
                   .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False))
        if parent:
            builder = builder.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(parent_key.public_key()), False)
        for extension, critical in extra:
            builder = builder.add_extension(extension, critical)
        return key, builder.sign(parent_key, hashes.SHA256())

    @functools.lru_cache(maxsize=None)
    def key(self, kind, unique=""):
        """`rsa2048`, `p256`, `ed25519`, …; one key is shared by all that ask for the same kind and `unique`."""
        path = f"{self.keys}/{kind}{unique and '-' + unique}.pem"
        if os.path.exists(path):
            with open(path, "rb") as file:
                return serialization.load_pem_private_key(file.read(), None)
        made = new_key(kind)
        write(f"{path}.{os.getpid()}", key_pem(made))
        os.rename(f"{path}.{os.getpid()}", path)
        return made

    def certificate(self, file, key="rsa2048", issuer="inter", names=(NAME, "localhost"), ips=("127.0.0.1", "::1"), days=(-1, 90), hash="sha256",
                    cn=NAME, ca=False, eku="server", san=True, staple_required=False, scts=False, send=None, self_signed=False, unique=""):
        """One certificate; `send` maps (leaf, chain above, pki) to what is served."""
        private = self.key(key, unique)
        issuer_key, issuer_cert, above = self.issuer(issuer)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, cn)])
        if self_signed:
            issuer_key, issuer_name, above = private, subject, []
        else:
            issuer_name = issuer_cert.subject
        builder = (x509.CertificateBuilder().subject_name(subject).issuer_name(issuer_name).public_key(private.public_key())
                   .serial_number(x509.random_serial_number()).not_valid_before(NOW + days[0] * DAY).not_valid_after(NOW + days[1] * DAY)
                   .add_extension(x509.BasicConstraints(ca, None), True)
                   .add_extension(x509.SubjectKeyIdentifier.from_public_key(private.public_key()), False))
        if not self_signed:
            builder = builder.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), False)
        if san:
            alternatives = [x509.DNSName(n) for n in names] + [x509.IPAddress(ipaddress.ip_address(i)) for i in ips]
            builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), False)
        purposes = {"server": [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH], "client": [ExtendedKeyUsageOID.CLIENT_AUTH]}.get(eku)
        if purposes:
            builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), False)
        if staple_required:
            builder = builder.add_extension(x509.TLSFeature([x509.TLSFeatureType.status_request]), False)
        if scts:
            builder = builder.add_extension(x509.UnrecognizedExtension(SCT_LIST, sct_list(2)), False)
        algorithm = None if isinstance(issuer_key, (ed25519.Ed25519PrivateKey, ed448.Ed448PrivateKey)) else getattr(hashes, hash.upper())()
        leaf = builder.sign(issuer_key, algorithm)
        chain = send(leaf, above, self) if send else [leaf, *above]
        return Certificate(self.folder, file, leaf, key_pem(private), chain)

    def by_program(self, file, genpkey, days=90):
        """A leaf whose key only the openssl program makes: signed by the issuing CA."""
        base = f"{self.folder}/{file}"
        write(f"{base}.ca.key", key_pem(self.inter_key))
        write(f"{base}.ca.crt", pem(self.inter))
        write(f"{base}.ext", f"subjectAltName=DNS:{NAME},DNS:localhost,IP:127.0.0.1,IP:::1\nextendedKeyUsage=serverAuth\n".encode())
        run("openssl", "genpkey", *genpkey, "-out", f"{base}.key")
        run("openssl", "req", "-new", "-key", f"{base}.key", "-subj", f"/CN={NAME}", "-out", f"{base}.csr")
        run("openssl", "x509", "-req", "-in", f"{base}.csr", "-CA", f"{base}.ca.crt", "-CAkey", f"{base}.ca.key", "-CAcreateserial", "-days", str(days),
            "-extfile", f"{base}.ext", "-out", f"{base}.crt")
        with open(f"{base}.crt", "rb") as crt, open(f"{base}.key", "rb") as key:
            leaf, private = x509.load_pem_x509_certificate(crt.read()), key.read()
        return Certificate(self.folder, file, leaf, private, [leaf, self.inter])

    def staple(self, file, certificate, status="good", signer="inter", age=0, lifetime=7):
        """A DER OCSP response for a certificate of the issuing CA."""
        key, cert, _ = self.issuer(signer)
        made = NOW - datetime.timedelta(hours=1) - age * DAY
        revoked = status == "revoked"
        builder = ocsp.OCSPResponseBuilder().add_response(
            cert=certificate.leaf, issuer=self.inter, algorithm=hashes.SHA1(),
            cert_status=ocsp.OCSPCertStatus.REVOKED if revoked else ocsp.OCSPCertStatus.GOOD, this_update=made, next_update=made + lifetime * DAY,
            revocation_time=made - DAY if revoked else None, revocation_reason=x509.ReasonFlags.key_compromise if revoked else None,
        ).responder_id(ocsp.OCSPResponderEncoding.NAME, cert)
        path = f"{self.folder}/{file}.ocsp"
        write(path, builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER))
        return path


def new_key(kind):
    """A key that nobody has yet."""
    if kind.startswith("rsa"):
        return rsa.generate_private_key(65537, int(kind[3:]))
    if kind.startswith("ed"):
        return ed25519.Ed25519PrivateKey.generate() if kind == "ed25519" else ed448.Ed448PrivateKey.generate()
    return ec.generate_private_key(CURVES[kind]())


def sct_list(count):
    """RFC 6962 3.3: SCTs of logs that don't exist, well formed, inside an OCTET STRING."""
    scts = b""
    for log in range(count):
        signature = b"\x30\x06\x02\x01\x01\x02\x01\x01"
        sct = b"\0" + bytes([log + 1]) * 32 + struct.pack(">Q", int(time.time()) * 1000) + b"\0\0" + b"\x04\x03" + struct.pack(">H", len(signature)) + signature
        scts += struct.pack(">H", len(sct)) + sct
    inner = struct.pack(">H", len(scts)) + scts
    return b"\x04\x82" + struct.pack(">H", len(inner)) + inner if len(inner) > 255 else b"\x04\x81" + bytes([len(inner)]) + inner


def pem(certificate):
    return certificate.public_bytes(serialization.Encoding.PEM)


def key_pem(key):
    modern = isinstance(key, (ed25519.Ed25519PrivateKey, ed448.Ed448PrivateKey))
    # Stacks of 2013 read the traditional form only.
    form = serialization.PrivateFormat.PKCS8 if modern else serialization.PrivateFormat.TraditionalOpenSSL
    return key.private_bytes(serialization.Encoding.PEM, form, NO_ENCRYPTION)


def write(path, data):
    with open(path, "wb") as file:
        file.write(data)
    os.chmod(path, 0o644)


def run(*command):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: {done.stderr.decode(errors='replace')}")
