"""Pairs of real and of mixed-up versions with the answer of apt and of rpm.

usage: orders.py FOLDER
Prints {"dpkg": [[a, b, -1|0|1], ...], "rpm": [...]}.
"""
import json
import random
import sys
import zipfile

import apt_pkg
import rpm


def versions(archive):
    found = set()
    with zipfile.ZipFile(archive) as records:
        for name in records.namelist():
            if name.endswith(".json"):
                for part in json.loads(records.read(name))["affected"]:
                    found.update(e["fixed"] for area in part["ranges"] for e in area["events"] if "fixed" in e)
    return sorted(found)


def split(version):
    epoch, _, rest = version.rpartition(":")
    name, _, release = rest.rpartition("-")
    return (epoch or "0", name, release)


def pairs(known, marks, compare):
    choose = random.Random(3)
    out = []
    for _ in range(6000):
        a, b = choose.choice(known), choose.choice(known)
        if choose.random() < 0.6:
            # Near misses: one character more, less or other.
            b, at = a, choose.choice([i for i in range(a.find(":") + 2, len(a)) if a[i] != "-"] or [len(a)])
            b = b[:at] + choose.choice(marks) + b[at + choose.randrange(2):]
        out.append([a, b, (compare(a, b) > 0) - (compare(a, b) < 0)])
    return out


def main():
    folder = sys.argv[1]
    apt_pkg.init_system()
    dpkg = pairs(versions(f"{folder}/debian-11.zip"), list("0179az~+.") , apt_pkg.version_compare)
    red = pairs(versions(f"{folder}/almalinux-9.zip"), list("0179azZ~^_.+"), lambda a, b: rpm.labelCompare(split(a), split(b)))
    print(json.dumps({"dpkg": dpkg, "rpm": red}))


main()
