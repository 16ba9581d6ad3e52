"""STARTTLS as the oracle and the relay-free checks speak it."""
import struct


class Refused(Exception):
    """The server did not go on to TLS."""


def line(s, until=b"\n"):
    data = b""
    while not data.endswith(until):
        chunk = s.recv(1)
        if not chunk:
            raise Refused(data)
        data += chunk
    return data


def reply(s, ok):
    """Reads lines up to the last of a reply (`250 `), which must begin with `ok`."""
    while True:
        got = line(s)
        if len(got) < 4 or got[3:4] != b"-":
            if not got.startswith(ok):
                raise Refused(got)
            return


def smtp(s, _):
    reply(s, b"220")
    s.sendall(b"EHLO panel\r\n")
    reply(s, b"250")
    s.sendall(b"STARTTLS\r\n")
    reply(s, b"220")


def lmtp(s, _):
    reply(s, b"220")
    s.sendall(b"LHLO panel\r\n")
    reply(s, b"250")
    s.sendall(b"STARTTLS\r\n")
    reply(s, b"220")


def imap(s, _):
    line(s)
    s.sendall(b"a STARTTLS\r\n")
    while True:
        got = line(s)
        if got.startswith(b"a "):
            if not got.startswith(b"a OK"):
                raise Refused(got)
            return


def pop3(s, _):
    line(s)
    s.sendall(b"STLS\r\n")
    if not line(s).startswith(b"+OK"):
        raise Refused


def ftp(s, _):
    reply(s, b"220")
    s.sendall(b"AUTH TLS\r\n")
    reply(s, b"234")


def nntp(s, _):
    reply(s, b"20")
    s.sendall(b"STARTTLS\r\n")
    reply(s, b"382")


def sieve(s, _):
    while not line(s).startswith(b"OK"):
        pass
    s.sendall(b"STARTTLS\r\n")
    if not line(s).startswith(b"OK"):
        raise Refused


def ldap(s, _):
    name = b"1.3.6.1.4.1.1466.20037"
    s.sendall(b"\x30\x1d\x02\x01\x01\x77\x18\x80" + bytes([len(name)]) + name)
    got = s.recv(4096)
    if b"\x0a\x01\x00" not in got:
        raise Refused(got)


def postgresql(s, _):
    s.sendall(struct.pack(">II", 8, 80877103))
    if s.recv(1) != b"S":
        raise Refused


def mysql(s, _):
    head = s.recv(4, 0x100)
    body = s.recv(int.from_bytes(head[:3], "little"), 0x100)
    if not body or body[0] != 10:
        raise Refused
    # CLIENT_PROTOCOL_41, CLIENT_SSL, CLIENT_SECURE_CONNECTION.
    s.sendall(b"\x20\0\0\x01" + struct.pack("<IIB", 0x8A00, 1 << 24, 33) + bytes(23))


def xmpp(s, name):
    s.sendall(f"<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='{name}' version='1.0'>".encode())
    line(s, b"</stream:features>")
    s.sendall(b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
    if b"proceed" not in line(s, b">"):
        raise Refused


def rdp(s, _):
    s.sendall(bytes.fromhex("030000130ee000000000000100080003000000"))
    got = s.recv(64)
    if len(got) < 16 or got[11] != 2 or got[15] not in (1, 2):
        raise Refused(got)


PROTOCOLS = {"smtp": smtp, "lmtp": lmtp, "imap": imap, "pop3": pop3, "ftp": ftp, "nntp": nntp, "managesieve": sieve, "ldap": ldap, "postgresql": postgresql,
             "mysql": mysql, "xmpp": xmpp, "rdp": rdp}


def upgrade(s, protocol, name):
    """Brings a fresh connection to the point where a ClientHello is awaited."""
    if protocol:
        PROTOCOLS[protocol](s, name)
