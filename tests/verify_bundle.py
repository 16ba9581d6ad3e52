#!/usr/bin/env python3
"""Verifies an evidence bundle independently of assay: Python's standard library and `cryptography`.

    verify_bundle.py BUNDLE [VERIFIER-KEY]

Written from ARCHITECTURE.md (Formats), RFC 6962, RFC 9162, DSSE and C2SP signed-note, not from assay's code.
Exit 0: everything holds. Exit 3: it holds under the key that the bundle itself names. Exit 1: something does not.
"""
import base64, binascii, hashlib, hmac, io, json, struct, sys, zipfile
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

SPKI_HEAD = bytes.fromhex("302a300506032b6570032100")
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


def dsse(raw, kind, keyid, key):
    """The payload of a canonical envelope that `key` signed."""
    envelope = json.loads(raw)
    assert canonical(envelope) == raw, "not canonical"
    assert set(envelope) == {"payload", "payloadType", "signatures"} and len(envelope["signatures"]) == 1, "not an envelope"
    payload, signature = b64(envelope["payload"]), envelope["signatures"][0]
    assert base64.b64encode(payload).decode() == envelope["payload"], "payload is not canonical base64"
    assert envelope["payloadType"] == kind and signature["keyid"] == keyid, "wrong type or key id"
    head = f"DSSEv1 {len(kind)} {kind} {len(payload)} ".encode()
    assert base64.b64encode(b64(signature["sig"])).decode() == signature["sig"], "signature is not canonical base64"
    assert ed25519(key, b64(signature["sig"]), head + payload), "signature does not verify"
    return json.loads(payload)


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


def rebuilt(files):
    """The one zip file that these entries make."""
    out, directory = b"", b""
    for path, data in sorted(files.items()):
        name, crc = path.encode(), binascii.crc32(data)
        common = struct.pack("<HHHHHIIIHH", 10, 0x800, 0, 0, 0x21, crc, len(data), len(data), len(name), 0)
        directory += b"PK\1\2" + struct.pack("<H", 10) + common + struct.pack("<HHHII", 0, 0, 0, 0, len(out)) + name
        out += b"PK\3\4" + common + name + data
    return out + directory + b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, len(files), len(files), len(directory), len(out), 0)


def main(path, given):
    raw = open(path, "rb").read()
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        names = archive.namelist()
        assert len(set(names)) == len(names), "an entry is there twice"
        files = {name: archive.read(name) for name in names}
    if rebuilt(files) != raw:
        bad("", "the zip container is not the one that its entries make")
    named = json.loads(b64(json.loads(files["manifest.json"])["payload"]))["bundle"]["ledger"]
    name, key = verifier_key(given or named)
    manifest = dsse(files["manifest.json"], "application/vnd.assay.manifest.v1+json", sha(SPKI_HEAD + key).hex(), key)
    listed = {f["path"]: f for f in manifest["files"]}
    for path in sorted(set(listed) - set(files)):
        bad(path, "missing")
    for path in sorted(set(files) - set(listed) - {"manifest.json"}):
        bad(path, "added")
    for path in sorted(set(listed) & set(files)):
        if sha(files[path]).hex() != listed[path]["sha256"] or len(files[path]) != listed[path]["bytes"]:
            bad(path, "altered")
    size, root = checkpoint(files["checkpoint.txt"].decode(), name, key)
    assert size == manifest["bundle"]["checkpoint_size"], "checkpoint is not the manifest's"

    def logged(proof, **expected):
        leaf = json.loads(proof["leaf"])
        good = included(proof["leaf"].encode(), proof["index"], size, [bytes.fromhex(h) for h in proof["proof"]], root)
        return good and all(leaf[k] == v for k, v in expected.items())

    hosts = {}
    for path in [p for p in files if p.startswith("hosts/")]:
        host, spki = path[6:-5], b64(json.loads(files[path])["public_key"])
        if sha(spki).hex() != host or spki[:12] != SPKI_HEAD:
            bad(path, "key and id differ")
        entry = json.loads(files[path])
        if entry["enrolment"] and not logged(entry["enrolment"], kind="enrolment", host=host, reference=host):
            bad(path, "enrolment is not in the ledger")
        hosts[host] = (spki[12:], bytes.fromhex(entry["salt"]))
    for path in [p for p in files if p.startswith("reports/")]:
        digest, host = path[8:-5], json.loads(files[path])["signatures"][0]["keyid"]
        report = dsse(files[path], "application/vnd.assay.report.v1+json", host, hosts[host][0])
        if sha(canonical(report)).hex() != digest or report["host"] != host:
            bad(path, "digest or host differs")
        about = dict(kind="report", reference=digest, host=host, lineage=report["lineage"], sequence=report["sequence"])
        if not logged(json.loads(files[f"proofs/{digest}.json"]), **about):
            bad(f"proofs/{digest}.json", "the report is not in the ledger")
        found = files.get(f"blobs/{host}/{report['findings']}.json")
        verdicts = [f["verdict"] for f in json.loads(found)] if found else []
        if found and any(verdicts.count(v) != n for v, n in report["counts"].items()):
            bad(path, "its counts do not follow from its findings")
    for path in [p for p in files if p.startswith("blobs/")]:
        host, address = path[6:-5].split("/")
        if hmac.new(hosts[host][1], files[path], "sha256").hexdigest() != address:
            bad(path, "content and address differ")


try:
    main(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None)
except Exception as error:  # whatever a damaged bundle provokes is a refusal
    bad("bundle", f"{type(error).__name__}: {error}")
print("\n".join(problems) or "everything holds")
sys.exit(1 if problems else 0 if len(sys.argv) > 2 else 3)
