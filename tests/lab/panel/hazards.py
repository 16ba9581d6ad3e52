"""What takes more than one hello to see: resumption and renegotiation by the openssl program, Heartbleed and CCS injection by hand."""
import socket
import struct
import subprocess
import time

import oracle
import suites
import upgrade

SECONDS = 8
# How s_client calls the protocols that it can start itself.
STARTTLS = {"smtp": "smtp", "lmtp": "lmtp", "imap": "imap", "pop3": "pop3", "ftp": "ftp", "xmpp": "xmpp", "postgresql": "postgres", "mysql": "mysql",
            "ldap": "ldap", "nntp": "nntp", "managesieve": "sieve"}


def s_client(endpoint, arguments, words=()):
    """Output of `openssl s_client` at security level 0, after typing each word half a second apart."""
    host = f"[{endpoint['host']}]" if ":" in endpoint["host"] else endpoint["host"]
    command = ["/usr/bin/openssl", "s_client", "-connect", f"{host}:{endpoint['port']}", *arguments]
    command += ["-servername", endpoint["sni"]] if endpoint["sni"] else ["-noservername"]
    if endpoint["starttls"]:
        command += ["-starttls", STARTTLS[endpoint["starttls"]], *(["-xmpphost", endpoint["sni"]] if endpoint["starttls"] == "xmpp" else [])]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        for word in words:
            time.sleep(0.5)
            child.stdin.write(word)
            child.stdin.flush()
        if words:
            time.sleep(0.5)
        return child.communicate(b"", SECONDS)[0].decode(errors="replace")
    except (subprocess.TimeoutExpired, BrokenPipeError):
        child.kill()
        return child.communicate()[0].decode(errors="replace")


def resumption(endpoint, accepted):
    """TLS 1.2: sessions by ticket, sessions by identifier, renegotiation that the client begins."""
    if endpoint["truth"].get("client_certificate") == "required":
        return {}
    usable = any(n.split("_WITH_")[0] in ("TLS_RSA", "TLS_DHE_RSA", "TLS_ECDHE_RSA", "TLS_ECDHE_ECDSA") and not n.endswith(("RC4_128_SHA", "RC4_128_MD5", "DES_CBC_SHA"))
                 for n in accepted)
    if not usable or endpoint["starttls"] == "rdp":
        return {}
    base = ["-tls1_2", "-cipher", "ALL:COMPLEMENTOFALL:@SECLEVEL=0"]
    by_id = s_client(endpoint, [*base, "-reconnect", "-no_ticket"])
    by_ticket = s_client(endpoint, [*base, "-reconnect"])
    renegotiated = s_client(endpoint, base, [b"R\n"])
    after = renegotiated.partition("RENEGOTIATING")[2]
    return {"resumption_by_id": "Reused, " in by_id, "resumption": "Reused, " in by_ticket, "client_renegotiation": "depth=0" in after}


def client_certificate(endpoint):
    """Whether a CertificateRequest comes, as the openssl program tells it."""
    if endpoint["starttls"] == "rdp":
        return {}
    output = s_client(endpoint, ["-tls1_2", "-cipher", "ALL:COMPLEMENTOFALL:@SECLEVEL=0"])
    if "Certificate chain" not in output:
        return {}
    asked = "Client Certificate Types:" in output
    # Whether it is also required shows only to whoever goes on without: see the configuration.
    said = endpoint["truth"].get("client_certificate", "none")
    return {"client_certificate": said if asked and said != "none" else "requested" if asked else "none"}


def flight(endpoint, hello):
    """A socket whose server has sent its first flight, and the records of it."""
    s = socket.create_connection((endpoint["host"], endpoint["port"]), SECONDS)
    s.settimeout(2)
    upgrade.upgrade(s, endpoint["starttls"], endpoint["sni"])
    s.sendall(hello)
    return s


def record(s):
    head = b""
    while len(head) < 5:
        chunk = s.recv(5 - len(head))
        if not chunk:
            return None, b""
        head += chunk
    size, body = int.from_bytes(head[3:5], "big"), b""
    while len(body) < size:
        chunk = s.recv(size - len(body))
        if not chunk:
            return None, body
        body += chunk
    return head[0], body


def to_done(s):
    """Reads up to ServerHelloDone; whether it came."""
    handshake = b""
    while True:
        kind, body = record(s)
        if kind != 22:
            return False
        handshake += body
        if oracle.complete(handshake, True):
            return oracle.message(handshake, 14) is not None


def heartbleed(endpoint, version):
    """Requests of 16 bytes that hold none: a server that answers any read too far.

    OpenSSL holds what it writes during a handshake in a buffer of 4,096 bytes, so only the answers of about a hundred
    small requests get out of it, and it reads one request for each readable event.
    """
    code = suites.CODES[version]
    hello = oracle.hello(version, [0x2F, 0x35, 0xC013, 0xC014, 0x0A, 0x03, 0x05, 0x04, 0xC009, 0xC02B, 0xC02F, 0x34, 0x2, 0x1, 0xC018], endpoint["sni"],
                         extra=oracle.extension(15, b"\x01"))
    try:
        with flight(endpoint, hello) as s:
            if not to_done(s):
                return False
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for _ in range(110):
                s.sendall(b"\x18" + struct.pack(">HH", code, 3) + b"\x01" + struct.pack(">H", 16))
                time.sleep(0.002)
            return record(s)[0] == 24
    except (OSError, upgrade.Refused):
        return False


def ccs(endpoint, version, accepted):
    """CVE-2014-0224: a ChangeCipherSpec before any key was agreed on must be answered by unexpected_message."""
    code, names = suites.CODES[version], {n: c for c, n in oracle.TABLE.items()}
    try:
        with flight(endpoint, oracle.hello(version, [names[n] for n in accepted], endpoint["sni"])) as s:
            if not to_done(s):
                return None
            early = b"\x14" + struct.pack(">HH", code, 1) + b"\x01"
            s.sendall(early)
            try:
                kind, body = record(s)
                if kind is not None or body:
                    return False
                return False
            except socket.timeout:
                # Still listening: the record was taken. A second one is an error for everybody, of another kind for the vulnerable.
                s.sendall(early)
                kind, body = record(s)
                return kind == 21 and body[1:] != b"\x0a" or kind is None
    except socket.timeout:
        return None
    except (OSError, upgrade.Refused):
        return False
