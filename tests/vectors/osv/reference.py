"""An independent matcher: OSV records of one ecosystem against versions around their fixes.

usage: reference.py RECORDS.zip ECOSYSTEM dpkg|rpm
Prints {"packages": ["name=version", ...], "rows": ["id name fixed", ...]}.
"""
import json
import random
import sys
import zipfile

NO_KERNEL = ("linux", "kernel")


def dpkg_order():
    import apt_pkg

    apt_pkg.init_system()
    return apt_pkg.version_compare


def rpm_order():
    import rpm

    def split(version):
        epoch, _, rest = version.rpartition(":")
        name, _, release = rest.rpartition("-")
        return (epoch or "0", name, release)

    return lambda a, b: rpm.labelCompare(split(a), split(b))


def main():
    archive, ecosystem, order = sys.argv[1:]
    compare = dpkg_order() if order == "dpkg" else rpm_order()
    fixes = {}
    with zipfile.ZipFile(archive) as records:
        for name in records.namelist():
            if not name.endswith(".json"):
                continue
            record = json.loads(records.read(name))
            if record["id"].startswith(("ALBA", "ALEA")) and not any("CVE" in r for r in record.get("related", [])):
                continue
            for part in record["affected"]:
                package = part["package"]
                # Kernels and modules have tests of their own.
                if package["ecosystem"] != ecosystem or package["name"].startswith(NO_KERNEL):
                    continue
                for area in part["ranges"]:
                    assert area["events"][0] == {"introduced": "0"} and len(area["events"]) == 2
                    fixed = area["events"][1]["fixed"]
                    if "module" not in fixed:
                        fixes.setdefault(package["name"], []).append((record["id"], fixed))
    choose = random.Random(7)
    names = choose.sample(sorted(fixes), min(400, len(fixes)))
    packages, rows = [], set()
    for name in sorted(names):
        # The version of one of the fixes, or one just before it.
        version = choose.choice(fixes[name])[1] + choose.choice(["", "~", ""])
        packages.append(f"{name}={version}")
        highest = {}
        for record, fixed in fixes[name]:
            if compare(version, fixed) < 0 and (record not in highest or compare(fixed, highest[record]) > 0):
                highest[record] = fixed
        rows.update(f"{record} {name} {fixed}" for record, fixed in highest.items())
    print(json.dumps({"packages": packages, "rows": sorted(rows)}))


main()
