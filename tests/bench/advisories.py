#!/usr/bin/env python3
"""Import and matching of as many records as all of Debian has: wall, CPU and memory of whole processes, beside a
matcher in Python with apt's own order of versions that reads a dictionary made beforehand.

The records are synthetic in the shape of osv.dev's Debian data (61,000 records, three releases each, a third without a
fix); real ones are taken instead when a zip file is named: advisories.py ASSAY [debian-all.zip]"""
import json
import pathlib
import pickle
import random
import subprocess
import sys
import tempfile
import zipfile

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from whole_process import measure, median, show  # noqa: E402

RECORDS = 61_000
SOURCES = 3_500
PACKAGES = 500
RUNS = 9

MATCHER = """
import apt_pkg, json, pickle, sys
apt_pkg.init_system()
index = pickle.load(open(sys.argv[1], 'rb'))
found = []
for stanza in open(sys.argv[2]).read().split('\\n\\n'):
    fields = dict(line.split(': ', 1) for line in stanza.splitlines() if ': ' in line)
    for id, fixed in index.get(fields.get('Package'), ()):
        if fixed is None or apt_pkg.version_compare(fields['Version'], fixed) < 0:
            found.append((id, fields['Package'], fixed))
print(json.dumps(found))
"""


def synthetic(path):
    choose = random.Random(5)
    urgency = ["not yet assigned"] * 6 + ["low", "medium", "high", "unimportant"]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for number in range(RECORDS):
            year = 2005 + number * 20 // RECORDS
            name = f"source{choose.randrange(SOURCES):04}"
            affected = []
            for release in ("11", "12", "13"):
                events = [{"introduced": "0"}]
                if choose.random() < 0.67:
                    events.append({"fixed": f"{choose.randrange(1, 9)}.{choose.randrange(40)}.{choose.randrange(20)}-{choose.randrange(1, 9)}+deb{release}u1"})
                affected.append({
                    "package": {"ecosystem": f"Debian:{release}", "name": name, "purl": f"pkg:deb/debian/{name}?arch=source"},
                    "ranges": [{"type": "ECOSYSTEM", "events": events}],
                    "versions": [f"0.{choose.randrange(40)}-{v}" for v in range(1, 4)],
                    "ecosystem_specific": {"urgency": choose.choice(urgency)},
                })
            record = {
                "id": f"DEBIAN-CVE-{year}-{number}", "modified": f"{year}-06-01T00:00:00Z", "published": f"{year}-05-01T00:00:00Z",
                "upstream": [f"CVE-{year}-{number}"], "details": "x" * 300, "affected": affected, "schema_version": "1.7.3",
            }
            archive.writestr(record["id"] + ".json", json.dumps(record))


def prepare_peer(records, path):
    index = {}
    with zipfile.ZipFile(records) as archive:
        for name in archive.namelist():
            if name.endswith(".json"):
                record = json.loads(archive.read(name))
                for part in record.get("affected", []):
                    if part.get("package", {}).get("ecosystem") == "Debian:12":
                        for area in part.get("ranges", []):
                            fixed = next((e["fixed"] for e in area["events"] if "fixed" in e), None)
                            index.setdefault(part["package"]["name"], []).append((record["id"], fixed))
    with open(path, "wb") as out:
        pickle.dump(index, out)
    return sorted(index)


def main():
    assay = sys.argv[1]
    with tempfile.TemporaryDirectory() as folder:
        here = pathlib.Path(folder)
        records, index, root = here / "records.zip", here / "advisories.idx", here / "root"
        if len(sys.argv) > 2:
            records = pathlib.Path(sys.argv[2])
        else:
            synthetic(records)
        wall, cpu, peak, code = measure([assay, "advisories", "import", str(records), "--output", str(index)])
        assert code in (0, 3), code
        print(f"\nimport of {records.stat().st_size / 1e6:.1f} MB zip: {wall:.1f} s wall, {cpu:.1f} s CPU, "
              f"{peak / 1024:.0f} MiB peak, index {index.stat().st_size / 1e6:.1f} MB")
        names = prepare_peer(records, here / "peer.pickle")
        choose = random.Random(9)
        (root / "etc").mkdir(parents=True)
        (root / "etc/os-release").write_text("ID=debian\nVERSION_ID=12\n")
        (root / "var/lib/dpkg").mkdir(parents=True)
        status = root / "var/lib/dpkg/status"
        status.write_text("".join(
            f"Package: {name}\nStatus: install ok installed\nArchitecture: amd64\nVersion: {choose.randrange(1, 9)}.{choose.randrange(40)}-1\n\n"
            for name in choose.sample(names, min(PACKAGES, len(names)))))
        ours = [assay, "advisories", "match", str(index), "--root", str(root), "--format", "json"]
        peer = ["/usr/bin/python3", "-c", MATCHER, str(here / "peer.pickle"), str(status)]
        found = json.loads(subprocess.run(ours, stdout=subprocess.PIPE, check=False).stdout)["advisories"]
        count = sum(len(v) for v in found.values() if isinstance(v, list) and v and isinstance(v[0], dict))
        theirs = len(json.loads(subprocess.run(peer, stdout=subprocess.PIPE, check=True).stdout))
        row = median(ours, RUNS, (0, 3))
        show(f"{PACKAGES} packages against all of Debian 12 ({count} rows; the matcher in Python {theirs})", row, median(peer, RUNS, (0,)), "python3-apt")
        print(f"assay {row[0] * 1000:.0f} ms wall; target 100")


if __name__ == "__main__":
    main()
