"""Asks the packaged gatherer for every family of the host and compares it with two scans by root, one before
and one after: what both scans say alike, the gatherer must say too, fact for fact and gap for gap."""
import json
import socket
import subprocess
import sys

SCHEMAS = json.load(open(sys.argv[1]))
SOCKET = "/run/assay/gatherer.sock"
# Spoken to over the network: not the gatherer's.
PROBED = {"services", "tls", "tls_capabilities", "region", "access", "advisories"}
# What can't be the same, and why.
EXPECTED = {
    "files.skipped[/run/credentials]": "systemd covers the secrets of other units for every unit with its own view of mounts, and the gatherer says so",
    "files.skipped[/run/systemd/incoming]": "where systemd passes mounts on to the unit",
    "files.skipped[]": "the two above",
}


def scan():
    out = subprocess.run(["assay", "scan", "--format", "json", "--all"], stdout=subprocess.PIPE).stdout
    document = json.loads(out)
    facts = {name: facts for name, facts in document["facts"].items() if name not in PROBED}
    return facts, [gap for gap in document["gaps"] if gap["family"] not in PROBED]


def gathered(families):
    request = json.dumps({"families": families, "format": "assay.gather.v1", "seconds": 900}, sort_keys=True, separators=(",", ":")).encode()
    with socket.socket(socket.AF_UNIX) as stream:
        stream.connect(SOCKET)
        stream.sendall(len(request).to_bytes(4, "big") + request)
        answer = b"".join(iter(lambda: stream.recv(1 << 20), b""))
    document = json.loads(answer[4:])
    return document["families"], document["gaps"]


def resolve(root, schema):
    while "$ref" in schema:
        schema = root["$defs"][schema["$ref"].rsplit("/", 1)[1]]
    for option in schema.get("anyOf", []):
        if option.get("type") != "null":
            return resolve(root, option)
    return schema


def flat(root, schema, value, path, out):
    """Every leaf that does not change by itself, by its path."""
    if schema.get("x-volatile"):
        return
    schema = resolve(root, schema)
    if schema.get("x-volatile"):
        return
    if isinstance(value, dict):
        out[path + "{}"] = len(value) if "properties" not in schema else None
        for key, inner in value.items():
            flat(root, schema.get("properties", {}).get(key) or schema.get("additionalProperties") or {}, inner, f"{path}.{key}", out)
    elif isinstance(value, list):
        items = schema.get("items", {})
        subjects = [inner.get("subject") if isinstance(inner, dict) else None for inner in value]
        for index, inner in enumerate(value):
            name = subjects[index] if subjects[index] and subjects.count(subjects[index]) == 1 else index
            flat(root, items, inner, f"{path}[{name}]", out)
        out[path + "[]"] = len(value)
    else:
        out[path] = value


def leaves(facts):
    out = {}
    for name, document in facts.items():
        flat(SCHEMAS[name], SCHEMAS[name], document, name, out)
    return out


def gap_set(gaps):
    return {(g["family"], g["path"], g["subject"], g["reason"]) for g in gaps}


def main():
    before, gaps_before = scan()
    families, gaps = gathered(sorted(before))
    after, gaps_after = scan()
    first, own, last = leaves(before), leaves(families), leaves(after)
    steady = [path for path in sorted(first.keys() | last.keys()) if first.get(path) == last.get(path)]
    differences = [f"{p}: root {first.get(p)!r}, gatherer {own.get(p)!r}" for p in steady if own.get(p) != first.get(p)]
    differences += [f"{p}: gatherer alone {own[p]!r}" for p in sorted(own.keys() - first.keys() - last.keys())]
    both = gap_set(gaps_before) & gap_set(gaps_after)
    either = gap_set(gaps_before) | gap_set(gaps_after)
    details = {(g["family"], g["path"], g["subject"], g["reason"]): g["detail"] for g in gaps + gaps_before}
    differences += [f"gap of the gatherer alone: {g} {details.get(g)}" for g in sorted(gap_set(gaps) - either)]
    differences += [f"gap of root alone: {g} {details.get(g)}" for g in sorted(both - gap_set(gaps))]
    print(f"{len(before)} families, {len(first)} facts, {len(steady)} of them steady; gaps: root {len(both)}, gatherer {len(gap_set(gaps))}")
    left = [d for d in differences if not any(d.startswith(known) for known in EXPECTED)]
    for line in left[:200]:
        print("  " + line)
    if left or set(families) != set(before):
        sys.exit(f"{len(left)} differences; families that are missing: {sorted(set(before) - set(families))}")


main()
