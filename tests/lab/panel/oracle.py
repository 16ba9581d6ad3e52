"""Checks the truth the slow way: one hello for each suite, group and version, by a TLS client of its own.

It shares nothing with the scanner under test: no code, no strategy. A suite is accepted when a hello
that offers only this suite is answered by a ServerHello that names it.
"""
import concurrent.futures
import json
import os
import socket
import struct
import time

import hazards
import suites
import upgrade

SIGNATURES = [0x0403, 0x0503, 0x0603, 0x0807, 0x0808, 0x0804, 0x0805, 0x0806, 0x0809, 0x080A, 0x080B, 0x0401, 0x0501, 0x0601, 0x0303, 0x0301, 0x0302,
              0x0402, 0x0502, 0x0602, 0x0203, 0x0201, 0x0202, 0x0101]
TABLE = {}
HELLO_RETRY = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")
SECONDS = 4
SCSV_RENEGOTIATION, SCSV_FALLBACK = 0x00FF, 0x5600


def extension(code, body):
    return struct.pack(">HH", code, len(body)) + body


def block(width, body):
    return len(body).to_bytes(width, "big") + body


def words(values):
    return b"".join(struct.pack(">H", v) for v in values)


def hello(version, offered, sni="", groups=None, alpn=(), compression=b"\0", extra=b"", share=None, renegotiation=True):
    """The bytes of a record with a ClientHello."""
    code = suites.CODES[version]
    legacy = min(code, 0x0303)
    extensions = b""
    if code > 0x0300:
        if sni:
            extensions += extension(0, block(2, b"\0" + block(2, sni.encode())))
        extensions += extension(10, block(2, words(groups or (suites.GROUPS13 if code == 0x0304 else suites.GROUPS.values()))))
        extensions += extension(11, b"\x03\0\x01\x02")
        if renegotiation and code < 0x0304:
            extensions += extension(0xFF01, b"\0")
        if code >= 0x0303:
            extensions += extension(13, block(2, words(SIGNATURES)))
        if alpn:
            extensions += extension(16, block(2, b"".join(block(1, a.encode()) for a in alpn)))
        if code == 0x0304:
            extensions += extension(43, b"\x02\x03\x04") + extension(45, b"\x01\x01")
            extensions += extension(51, block(2, share or b""))
        extensions += extra
    body = struct.pack(">H", legacy) + os.urandom(32) + block(1, os.urandom(32) if code == 0x0304 else b"") + block(2, words(offered)) + block(1, compression)
    body += block(2, extensions) if extensions else b""
    return b"\x16" + struct.pack(">H", min(code, 0x0301)) + block(2, b"\x01" + block(3, body))


class Reply:
    """What a server said to a hello: `kind` is hello, alert, closed, silent or other."""

    def __init__(self, kind, version=0, suite=0, extensions=None, alert=0, retry=False, compression=0, rest=b""):
        self.kind, self.version, self.suite, self.alert, self.retry, self.compression, self.rest = kind, version, suite, alert, retry, compression, rest
        self.extensions = extensions or {}


def ask(endpoint, data, whole=False):
    """One connection, one hello, one reply; `whole` reads on to ServerHelloDone."""
    stream = b""
    try:
        with socket.create_connection((endpoint["host"], endpoint["port"]), SECONDS) as s:
            s.settimeout(SECONDS)
            upgrade.upgrade(s, endpoint["starttls"], endpoint["sni"])
            s.sendall(data)
            handshake = b""
            while True:
                chunk = s.recv(65536)
                if not chunk:
                    break
                stream += chunk
                while len(stream) >= 5 and len(stream) >= 5 + int.from_bytes(stream[3:5], "big"):
                    size = int.from_bytes(stream[3:5], "big")
                    kind, record, stream = stream[0], stream[5:5 + size], stream[5 + size:]
                    if kind == 21 and len(record) >= 2 and not handshake:
                        if record[0] == 1:
                            continue
                        return Reply("alert", alert=record[1])
                    if kind != 22:
                        return Reply("other") if not handshake else parse(handshake)
                    handshake += record
                if complete(handshake, whole):
                    return parse(handshake)
    except socket.timeout:
        return Reply("silent")
    except (ConnectionError, upgrade.Refused):
        return Reply("closed")
    return Reply("other" if stream and stream[0] not in (21, 22) else "closed")


def complete(handshake, whole):
    """Whether the ServerHello, or the flight up to ServerHelloDone, is here."""
    at = 0
    while at + 4 <= len(handshake):
        end = at + 4 + int.from_bytes(handshake[at + 1:at + 4], "big")
        if end > len(handshake):
            return False
        if not whole or handshake[at] == 14:
            return True
        at = end
    return False


def parse(data):
    if len(data) < 42 or data[0] != 2:
        return Reply("other")
    size = int.from_bytes(data[1:4], "big")
    body, rest = data[4:4 + size], data[4 + size:]
    version, retry, at = struct.unpack(">H", body[:2])[0], body[2:34] == HELLO_RETRY, 35 + body[34]
    suite, compression = struct.unpack(">H", body[at:at + 2])[0], body[at + 2]
    extensions, at = {}, at + 5
    while at + 4 <= len(body):
        code, length = struct.unpack(">HH", body[at:at + 4])
        extensions[code] = body[at + 4:at + 4 + length]
        at += 4 + length
    if 43 in extensions:
        version = struct.unpack(">H", extensions[43])[0]
    return Reply("hello", version, suite, extensions, retry=retry, compression=compression, rest=rest)


def ssl2(endpoint):
    """Suites that a SERVER-HELLO of SSL 2.0 lists; None when there is no such answer."""
    specs = b"".join(c.to_bytes(3, "big") for c in suites.SSL2)
    body = b"\x01\x00\x02" + struct.pack(">HHH", len(specs), 0, 16) + specs + os.urandom(16)
    try:
        with socket.create_connection((endpoint["host"], endpoint["port"]), SECONDS) as s:
            s.settimeout(SECONDS)
            upgrade.upgrade(s, endpoint["starttls"], endpoint["sni"])
            s.sendall(struct.pack(">H", 0x8000 | len(body)) + body)
            data = b""
            while len(data) < 2 or len(data) < 2 + (struct.unpack(">H", data[:2])[0] & 0x7FFF):
                chunk = s.recv(65536)
                if not chunk:
                    return None
                data += chunk
                if not data[0] & 0x80:
                    return None
    except (OSError, upgrade.Refused):
        return None
    if data[2] != 4 or data[5:7] != b"\x00\x02":
        return None
    certificate, specs = struct.unpack(">HH", data[7:11])
    listed = data[13 + certificate:13 + certificate + specs]
    return [suites.SSL2.get(int.from_bytes(listed[i:i + 3], "big"), listed[i:i + 3].hex()) for i in range(0, len(listed), 3)]


class Oracle:
    """Asks one endpoint."""

    def __init__(self, endpoint, table):
        self.endpoint, self.table = endpoint, table
        self.names = {name: code for code, name in table.items()}
        self.threads = 1 if "serial" in endpoint["truth"] else 6

    def hello(self, version, offered, whole=False, **arguments):
        data = hello(version, offered, self.endpoint["sni"], **arguments)
        return ask(self.endpoint, data, whole)

    def accepts(self, version, reply):
        return reply.kind == "hello" and reply.version == suites.CODES[version]

    def codes(self, version):
        """Suites that exist in a version: those of TLS 1.3 are its own."""
        return [c for c in self.table if (c >> 8 == 0x13) == (version == "TLSv1.3") and (c >> 8 == 0x13 or c not in (0, 0x1301))]

    def versions(self):
        found = ["SSLv2"] if ssl2(self.endpoint) is not None else []
        for version in suites.CODES:
            codes = self.codes(version)
            # Some servers refuse long lists; a version is there if any part is answered.
            parts = [codes] + [codes[i:i + 60] for i in range(0, len(codes), 60)]
            if any(self.accepts(version, self.hello(version, part)) for part in parts):
                found.append(version)
        return found

    def suites(self, version):
        if version == "SSLv2":
            return ssl2(self.endpoint)
        with concurrent.futures.ThreadPoolExecutor(self.threads) as pool:
            def one(code):
                # A server may name a suite and then find that it can't go on: its flight must come to its end.
                reply = self.hello(version, [code], whole=version != "TLSv1.3")
                whole = version == "TLSv1.3" or message(reply.rest, 14) is not None
                return self.table[code] if self.accepts(version, reply) and reply.suite == code and whole else None
            return [name for name in pool.map(one, self.codes(version)) if name]

    def preference(self, version, accepted):
        codes = [self.names[n] for n in accepted]
        forth, back = self.hello(version, codes), self.hello(version, codes[::-1])
        if forth.suite == back.suite:
            return "server"
        return "client" if (forth.suite, back.suite) == (codes[0], codes[-1]) else f"mixed: {self.table.get(forth.suite)} {self.table.get(back.suite)} of {accepted[0]} {accepted[-1]}"

    def groups(self, version, accepted):
        """Groups that a key exchange is agreed on, each offered alone."""
        if version == "TLSv1.3":
            codes = [self.names[n] for n in accepted]
        else:
            codes = [self.names[n] for n in accepted if n.startswith(("TLS_ECDHE", "TLS_ECDH_anon"))]
        found = []
        for name, code in suites.GROUPS.items() if codes else ():
            # OpenSSL uses an ECDSA certificate only for hellos that offer its curve too.
            for beside in ([], [23], [24], [25]) if version != "TLSv1.3" else ([],):
                reply = self.hello(version, codes, groups=[code, *beside], whole=version != "TLSv1.3")
                if not self.accepts(version, reply):
                    continue
                retry = struct.unpack(">H", reply.extensions.get(51, b"\0\0")[:2])[0]
                if (retry if version == "TLSv1.3" else curve(reply.rest)) == code:
                    found.append(name)
                break
        return found

    def dh_bits(self, version, accepted):
        codes = [self.names[n] for n in accepted if n.startswith(("TLS_DHE", "TLS_DH_anon"))]
        reply = self.hello(version, codes, whole=True, groups=[23]) if codes else None
        at = message(reply.rest, 12) if reply else None
        if at is None:
            return None
        size = struct.unpack(">H", reply.rest[at:at + 2])[0]
        return int.from_bytes(reply.rest[at + 2:at + 2 + size], "big").bit_length()

    def features(self, version, accepted):
        """What a ServerHello of TLS 1.2 or older says beside the suite."""
        codes = [self.names[n] for n in accepted]
        extra = extension(23, b"") + extension(35, b"") + extension(22, b"")
        reply = self.hello(version, codes, extra=extra)
        cbc = [self.names[n] for n in accepted if "_CBC_" in n]
        squeezed = self.hello(version, codes, compression=b"\x01\0")
        found = {"compression": squeezed.kind == "hello" and squeezed.compression == 1}
        if suites.CODES[version] > 0x0300:
            found |= {"secure_renegotiation": 0xFF01 in reply.extensions, "extended_master_secret": 23 in reply.extensions, "session_tickets": 35 in reply.extensions}
            if cbc:
                found["encrypt_then_mac"] = 22 in self.hello(version, cbc, extra=extra).extensions
        return found

    def fallback(self, lower, accepted):
        reply = self.hello(lower, [self.names[n] for n in accepted] + [SCSV_FALLBACK])
        # The alert is inappropriate_fallback; some servers close before it is sent.
        return reply.kind in ("alert", "closed")

    def alpn(self, version, accepted, offered):
        codes = [self.names[n] for n in accepted]
        found = []
        for protocol in offered:
            reply = self.hello(version, codes, alpn=[protocol])
            if self.accepts(version, reply) and 16 in reply.extensions:
                chosen = reply.extensions[16][3:].decode()
                found += [chosen] if chosen not in found else []
        return found


def message(flight, kind):
    """Where the body of a handshake message begins."""
    at = 0
    while at + 4 <= len(flight):
        if flight[at] == kind:
            return at + 4
        at += 4 + int.from_bytes(flight[at + 1:at + 4], "big")
    return None


def curve(flight):
    at = message(flight, 12)
    return struct.unpack(">H", flight[at + 1:at + 3])[0] if at is not None and flight[at] == 3 else None


def observe(endpoint, table):
    """Everything the oracle can see, in the words of the truth."""
    oracle = Oracle(endpoint, table)
    seen = {"versions": oracle.versions(), "suites": {}, "preference": {}, "groups": {}, "dh_bits": None}
    for version in seen["versions"]:
        accepted = seen["suites"][version] = oracle.suites(version)
        if version == "SSLv2":
            continue
        if len(accepted) > 1:
            seen["preference"][version] = oracle.preference(version, accepted)
        curves = [n for n in accepted if n.startswith(("TLS_ECDHE", "TLS_ECDH_anon"))]
        if version == "TLSv1.3" or curves:
            # Of the versions before TLS 1.3, the newest with elliptic curves.
            seen["groups"] = {v: g for v, g in seen["groups"].items() if version == "TLSv1.3"} | {version: oracle.groups(version, accepted)}
        if version != "TLSv1.3":
            seen["dh_bits"] = oracle.dh_bits(version, [n for n in accepted if "EXPORT" not in n]) or seen["dh_bits"]
    old = [v for v in seen["versions"] if v not in ("SSLv2", "TLSv1.3")]
    if old:
        seen |= oracle.features(old[-1], seen["suites"][old[-1]])
        above = [v for v in seen["versions"] if v not in ("SSLv2", "SSLv3")]
        if len(above) > 1 and old[0] != above[-1]:
            lower = [v for v in old if v != above[-1]][-1]
            seen["fallback_scsv"] = oracle.fallback(lower, seen["suites"][lower])
        if "TLSv1.2" in old:
            seen |= hazards.resumption(endpoint, seen["suites"]["TLSv1.2"]) | hazards.client_certificate(endpoint)
        seen |= {"defects": {"heartbleed": hazards.heartbleed(endpoint, old[-1]), "ccs": hazards.ccs(endpoint, old[-1], seen["suites"][old[-1]])}}
        seen["alpn"] = oracle.alpn(old[-1], seen["suites"][old[-1]], ["h2", "http/1.1", "http/1.0", "http/0.9"])
    return seen


def verify(repository, endpoints, dump=""):
    """Prints every difference between truth and what the oracle sees; 1 if there is any."""
    table, wrong, everything = suites.load(repository), 0, {}
    TABLE.update(table)
    for endpoint in endpoints:
        truth = endpoint["truth"]
        if "versions" not in truth:
            continue
        began = time.monotonic()
        seen = everything[endpoint["name"]] = observe(endpoint, table)
        differences = list(compare(truth, seen))
        wrong += len(differences)
        print(f"{'ok' if not differences else 'DIFFERS':8}{endpoint['name']}: {' '.join(seen['versions'])} ({time.monotonic() - began:.1f} s)", flush=True)
        for difference in differences:
            print(f"        {difference}")
    if dump:
        with open(dump, "w", encoding="utf-8") as file:
            json.dump(everything, file, indent=1)
    return 1 if wrong else 0


def compare(truth, seen):
    """Differences of the parts that both have."""
    for key, value in truth.items():
        if key not in seen:
            continue
        if isinstance(value, dict):
            for version in sorted(value.keys() | seen[key].keys()) if key == "suites" else value:
                is_list = isinstance(value.get(version), list)
                said = set(value.get(version) or ()) if is_list or version not in value else value[version]
                saw = seen[key].get(version)
                saw = set(saw or ()) if isinstance(said, set) else saw
                # An order with an exception: README.md tells what it is called.
                if said != saw and not str(saw).startswith("mixed"):
                    yield f"{key} {version}: only true {sorted(said - saw)}, only seen {sorted(saw - said)}" if isinstance(said, set) else f"{key} {version}: {said}, seen {saw}"
        elif isinstance(value, list):
            if set(value) != set(seen[key]):
                yield f"{key}: {value}, seen {seen[key]}"
        elif value != seen[key]:
            yield f"{key}: {value}, seen {seen[key]}"
