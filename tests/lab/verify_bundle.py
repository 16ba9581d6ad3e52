#!/usr/bin/env python3
"""Verifies an evidence bundle independently of assay: Python's standard library and `cryptography`.

    verify_bundle.py BUNDLE [VERIFIER-KEY]

Written from ARCHITECTURE.md (Formats), RFC 6962, RFC 9162, DSSE, C2SP signed-note and APPNOTE, not from assay's code.
Exit 0: everything holds. Exit 3: it holds under the key that the bundle itself names. Exit 1: something does not.
"""
import base64, binascii, csv, hashlib, hmac, io, json, re, struct, sys, zipfile, zlib
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

SPKI_HEAD = bytes.fromhex("302a300506032b6570032100")
LAST, FULL = "manifest.json", 0xFFFFFFFF
RECORDS = ("attestation", "register", "waiver", "approval", "sign-off")
problems = []


def sha(data): return hashlib.sha256(data).digest()
def bad(path, why): problems.append(f"{path}: {why}")
def b64(text): return base64.b64decode(text, validate=True)
def canonical(value): return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def ed25519(key, signature, message):
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
        return True
    except (InvalidSignature, ValueError):
        return False


def dsse(envelope, kind, keyid, key):
    """The payload of an envelope that `key` signed."""
    assert set(envelope) == {"payload", "payloadType", "signatures"} and len(envelope["signatures"]) == 1, "not an envelope"
    payload, signature = b64(envelope["payload"]), envelope["signatures"][0]
    assert base64.b64encode(payload).decode() == envelope["payload"], "payload is not canonical base64"
    assert envelope["payloadType"] == kind and signature["keyid"] == keyid, "wrong type or key id"
    head = f"DSSEv1 {len(kind)} {kind} {len(payload)} ".encode()
    assert base64.b64encode(b64(signature["sig"])).decode() == signature["sig"], "signature is not canonical base64"
    assert ed25519(key, b64(signature["sig"]), head + payload), "signature does not verify"
    return payload


def verifier_key(text):
    name, keyhash, key = text.strip().split("+", 2)
    key = b64(key)
    assert key[0] == 1 and len(key) == 33 and sha(name.encode() + b"\n" + key)[:4].hex() == keyhash, "not a verifier key"
    return name, key[1:]


def checkpoint(text, name, key):
    body, lines = text.rsplit("\n\n", 1)
    origin, size, root = body.split("\n")
    note_id = sha(name.encode() + b"\n\x01" + key)[:4]
    for line in lines.splitlines():
        dash, who, signature = line.split(" ")
        raw = b64(signature)
        if dash == "\u2014" and who == name and raw[:4] == note_id:
            assert origin == name and ed25519(key, raw[4:], (body + "\n").encode()), "signature does not verify"
            return int(size), b64(root)
    raise AssertionError("not signed by the ledger key")


def included(leaf, index, size, proof, root):
    """RFC 9162 section 2.1.3.2."""
    if index >= size:
        return False
    node, last, value = index, size - 1, sha(b"\0" + leaf)
    for sibling in proof:
        if last == 0:
            return False
        if node & 1 or node == last:
            value = sha(b"\1" + sibling + value)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            value = sha(b"\1" + value + sibling)
        node, last = node >> 1, last >> 1
    return last == 0 and value == root


class Bundle:
    """The zip file, entry by entry: its packed bytes are digested, its headers are made again and compared."""

    def __init__(self, path):
        self.file = open(path, "rb")
        self.zip = zipfile.ZipFile(self.file)
        self.infos = self.zip.infolist()
        self.names = {i.filename for i in self.infos}
        assert len(self.names) == len(self.infos), "an entry is there twice"
        self.listed = {}

    def packed(self, info):
        self.file.seek(info.header_offset + 26)
        name, extra = struct.unpack("<HH", self.file.read(4))
        self.file.seek(info.header_offset + 30 + name + extra)
        return self.file.read(info.compress_size)

    def read(self, path):
        info = self.zip.getinfo(path)
        raw = self.packed(info)
        limit = self.listed[path]["bytes"] + 1 if path in self.listed else info.file_size + 1
        return zlib.decompressobj(-15).decompress(raw, limit) if info.compress_type == 8 else raw[:limit]

    def lines(self, path):
        data = self.read(path) if path in self.names else b""
        assert not data or data.endswith(b"\n"), f"{path}: does not end with a line feed"
        return enumerate(data.split(b"\n")[:-1], 1)

    def container(self):
        order = sorted(self.infos, key=lambda i: (i.filename == LAST, i.filename))
        offset, directory = 0, b""
        for info in order:
            name, data = info.filename.encode(), self.read(info.filename)
            large = len(data) >= FULL or info.compress_size >= FULL
            version = 45 if large else 20 if info.compress_type == 8 else 10
            sizes = (FULL, FULL) if large else (info.compress_size, len(data))
            both = struct.pack("<QQ", len(data), info.compress_size) if large else b""
            common = lambda v: struct.pack("<HHHHHIIIH", v, 0x800, info.compress_type, 0, 0x21, binascii.crc32(data), *sizes, len(name))
            field = lambda numbers: struct.pack("<HH", 1, len(numbers)) + numbers if numbers else b""
            extra = field(both)
            local = b"PK\3\4" + common(version) + struct.pack("<H", len(extra)) + name + extra
            self.file.seek(offset)
            if self.file.read(len(local)) != local:
                return f"the header of {info.filename} is not as written"
            extra = field(both + (struct.pack("<Q", offset) if offset >= FULL else b""))
            made_by = 45 if offset >= FULL else version
            directory += b"PK\1\2" + struct.pack("<H", made_by) + common(made_by) + struct.pack("<H", len(extra))
            directory += bytes(10) + struct.pack("<I", min(offset, FULL)) + name + extra
            offset += len(local) + info.compress_size
        count, end = len(order), b""
        if count >= 0xFFFF or len(directory) >= FULL or offset >= FULL:
            end = b"PK\6\6" + struct.pack("<QHHIIQQQQ", 44, 45, 45, 0, 0, count, count, len(directory), offset)
            end += b"PK\6\7" + struct.pack("<IQI", 0, offset + len(directory), 1)
        small = min(count, 0xFFFF)
        end += b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, small, small, min(len(directory), FULL), min(offset, FULL), 0)
        self.file.seek(offset)
        return None if self.file.read() == directory + end else "directory or end record is not as written"


def table(data):
    rows = list(csv.reader(io.StringIO(data.decode(), newline=""), strict=True))
    return [dict(zip(rows[0], row, strict=True)) for row in rows[1:]]


def main(path, given):
    bundle = Bundle(path)
    raw = bundle.read(LAST)
    envelope = json.loads(raw)
    assert canonical(envelope) == raw, "the manifest is not canonical"
    name, key = verifier_key(given or json.loads(b64(envelope["payload"]))["bundle"]["ledger"])
    manifest = json.loads(dsse(envelope, "application/vnd.assay.manifest.v1+json", sha(SPKI_HEAD + key).hex(), key))
    assert manifest["format"] == "assay.bundle.v2", "another version of the format"
    bundle.listed = listed = {f["path"]: f for f in manifest["files"]}
    for path in sorted(set(listed) - bundle.names):
        bad(path, "missing")
    for path in sorted(bundle.names - set(listed) - {LAST}):
        bad(path, "added")
    here = sorted(set(listed) & bundle.names)
    for path in here:
        want, packed = listed[path], bundle.packed(bundle.zip.getinfo(path))
        try:
            data = bundle.read(path)
        except zlib.error:
            data = b""
        if (sha(data).hex(), len(data), sha(packed).hex(), len(packed)) != tuple(want[k] for k in ("sha256", "bytes", "packed_sha256", "packed")):
            bad(path, "altered")
    if not problems and (difference := bundle.container()):
        bad("", difference)
    if problems:
        return
    size, root = checkpoint(bundle.read("checkpoint.txt").decode(), name, key)
    assert size == manifest["bundle"]["checkpoint_size"], "checkpoint is not the manifest's"

    def logged(proof, **expected):
        leaf = json.loads(proof["leaf"])
        good = included(proof["leaf"].encode(), proof["index"], size, [bytes.fromhex(h) for h in proof["proof"]], root)
        return good and all(leaf[k] == v for k, v in expected.items())

    # Hosts: key, enrolment, signed reports, blobs.
    for host in sorted({p.split("/")[1].split(".")[0] for p in here if p.startswith(("hosts/", "reports/", "blobs/"))}):
        entry = json.loads(bundle.read(f"hosts/{host}.json"))
        spki, salt, named, counted = b64(entry["public_key"]), bytes.fromhex(entry["salt"]), set(), {}
        if sha(spki).hex() != host or spki[:12] != SPKI_HEAD:
            bad(f"hosts/{host}.json", "key and id differ")
        if entry["enrolment"] and not logged(entry["enrolment"], kind="enrolment", host=host, reference=host):
            bad(f"hosts/{host}.json", "enrolment is not in the ledger")
        path, last, triples = f"reports/{host}.jsonl", (0, ""), set()
        for number, line in bundle.lines(path):
            value = json.loads(line)
            payload = dsse(value["envelope"], "application/vnd.assay.report.v1+json", host, spki[12:])
            report, digest = json.loads(payload), sha(payload).hex()
            place, triple = (report["times"]["finished"], digest), (report["lineage"], report["sequence"])
            if canonical(value) != line or report["host"] != host or place <= last or triple in triples:
                bad(path, f"line {number}: form, host, order or number is wrong")
            last, _ = place, triples.add(triple)
            about = dict(kind="report", reference=digest, host=host, lineage=triple[0], sequence=triple[1], at=value["received"])
            if not logged(value["proof"], **about):
                bad(path, f"line {number}: the report is not in the ledger")
            named |= {report["gaps"], report["findings"]} | {f[k] for f in report["facts"] for k in ("stable", "volatile")}
            counted.setdefault(report["findings"], []).append(report["counts"])
        path, last = f"blobs/{host}.jsonl", ""
        for number, line in bundle.lines(path):
            address, plain = line[:64].decode(), line[65:]
            if line[64:65] != b" " or hmac.new(salt, plain, "sha256").hexdigest() != address or address <= last or address not in named:
                bad(path, f"line {number}: content, address or order is wrong, or no report names it")
            last = address
            for counts in counted.get(address, []):
                verdicts = [f["verdict"] for f in json.loads(plain)]
                if any(verdicts.count(v) != n for v, n in counts.items()):
                    bad(path, f"line {number}: findings and counts differ")

    # Records, lists, other entries of the ledger.
    attached, last = {}, -1
    for number, line in bundle.lines("records/events.jsonl"):
        value = json.loads(line)
        digest = value["erased"] if "erased" in value else sha(canonical(value["event"])).hex()
        if canonical(value) != line or json.loads(value["proof"]["leaf"])["kind"] not in RECORDS or not logged(value["proof"], reference=digest):
            bad("records/events.jsonl", f"line {number}: the event is not in the ledger")
        if value["proof"]["index"] <= last or "event" in value and value["event"]["at"] != json.loads(value["proof"]["leaf"])["at"]:
            bad("records/events.jsonl", f"line {number}: order or time is wrong")
        last = value["proof"]["index"]
        attached |= {f["sha256"]: f["bytes"] for f in value.get("event", {}).get("files", [])}
    for path in here:
        digest = re.fullmatch("(?:records/files/|lists/)([0-9a-f]{64})(?:[.]csv)?", path)
        if digest and digest[1] != listed[path]["sha256"] or path.startswith("records/files/") and attached.get(digest[1]) != listed[path]["bytes"]:
            bad(path, "digest and name differ, or no event names it")
    last = -1
    for number, line in bundle.lines("ledger.jsonl"):
        value = json.loads(line)
        body = {"reference": sha(canonical(value["body"])).hex()} if value["body"] is not None else {}
        if canonical(value) != line or not logged(value["proof"], **body) or json.loads(value["proof"]["leaf"])["kind"] in ("report", *RECORDS):
            bad("ledger.jsonl", f"line {number}: the entry is not in the ledger, or its text is another one")
        if value["proof"]["index"] <= last:
            bad("ledger.jsonl", f"line {number}: order is wrong")
        last = value["proof"]["index"]

    # Tables, pieces, samples.
    tables = {p: table(bundle.read(p)) for p in here if "/" not in p and p.endswith(".csv")}
    lists = {r["file"]: (r["rows"], r["SHA-256"]) for r in tables["lists.csv"]}
    for path in set(tables) | set(lists):
        if path != "lists.csv" and lists.get(path) != (str(len(tables.get(path, []))), listed.get(path, {}).get("sha256")):
            bad("lists.csv", f"rows or digest of {path} differ")
    population = {
        "host": lambda of: [r["host id"] for r in tables["population.csv"]],
        "scan": lambda of: [f"{r['host id']} {r['window']}" for r in tables["windows.csv"] if r["state"] != "open"],
        "change": lambda of: [r["ledger entry"] for r in tables["changes.csv"]],
        "person": lambda of: [r["person"] for r in tables["people.csv"]],
        "record": lambda of: [f"{r['record']} {r['entry']}" for r in tables["records.csv"] if r["entry"] and r["record"] == of],
    }
    sampling, numbers = manifest["bundle"]["sampling"], set()
    for path in [p for p in here if p.startswith("controls/")]:
        control = json.loads(bundle.read(path))
        for piece in control["pieces"]:
            if piece["path"] not in listed or piece["number"] in numbers:
                bad(path, f"piece {piece['number']} is missing or numbered twice")
            numbers.add(piece["number"])
        drawn = {}
        for s in control.get("samples", []):
            drawn.setdefault((s["kind"], s["item"].split(" ")[0] if s["kind"] == "record" else ""), []).append(s["item"])
        for (kind, of), items in drawn.items():
            rank = lambda item: sha("\n".join([sampling["seed"], control["id"], kind, item]).encode())
            if sorted(set(population[kind](of)), key=rank)[: sampling["size"]] != items:
                bad(path, f"the seed draws other items of kind {kind}")


try:
    main(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None)
except Exception as error:  # whatever a damaged bundle provokes is a refusal
    bad("bundle", f"{type(error).__name__}: {error}")
print("\n".join(problems) or "everything holds")
sys.exit(1 if problems else 0 if len(sys.argv) > 2 else 3)
