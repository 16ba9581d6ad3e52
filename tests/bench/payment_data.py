#!/usr/bin/env python3
"""The search for card numbers and IBANs: throughput beside grep -P and ripgrep with an expression for card numbers alone, in
the same run, and what it takes for real in ordinary files of this machine, where nothing should be.

payment_data.py ASSAY [FOLDER…]: the folders to search for false alarms; /usr/share, /usr/lib, /var/lib/dpkg, /etc otherwise."""
import json
import pathlib
import random
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from whole_process import median, show  # noqa: E402

RUNS = 5
MEGABYTES = 256
CARDS = r"(?<![0-9A-Za-z_.])(?:4[0-9]{3}|5[1-5][0-9]{2}|2[2-7][0-9]{2}|3[47][0-9]{2}|6[0-9]{3})[ -]?[0-9]{4}[ -]?[0-9]{4}[ -]?[0-9]{3,4}(?![0-9A-Za-z_])"
# The same for an engine without looking around.
CARDS_SIMPLE = r"\b(?:4[0-9]{3}|5[1-5][0-9]{2}|2[2-7][0-9]{2}|3[47][0-9]{2}|6[0-9]{3})[ -]?[0-9]{4}[ -]?[0-9]{4}[ -]?[0-9]{3,4}\b"


def scan(assay, path, folder, limit=1 << 40):
    config = pathlib.Path(folder) / "agent.yaml"
    config.write_text(f"search: [{{path: {path}, max_bytes: {limit}}}]\n")
    return [assay, "scan", "--config", str(config), "--family", "payment_data", "--format", "json"]


def corpora(folder):
    choose = random.Random(7)
    words = [bytes(choose.choices(b"abcdefghijklmnopqrstuvwxyz", k=choose.randrange(2, 10))) for _ in range(5000)]
    log = pathlib.Path(folder) / "log"
    with log.open("wb") as out:
        for _ in range(MEGABYTES):
            lines = []
            size = 0
            while size < 1 << 20:
                line = b"2026-11-27T%02d:%02d:%02d host app[%d]: %s id=%016x took %d ms\n" % (
                    choose.randrange(24), choose.randrange(60), choose.randrange(60), choose.randrange(99999), b" ".join(choose.choices(words, k=8)),
                    choose.getrandbits(64), choose.randrange(9999))
                lines.append(line)
                size += len(line)
            out.write(b"".join(lines))
    digits = pathlib.Path(folder) / "digits"
    with digits.open("wb") as out:
        for _ in range(MEGABYTES // 4):
            out.write(b"".join(b"%d,%016d,%d.%06d\n" % (choose.randrange(10**6), choose.randrange(10**16), choose.randrange(999), choose.randrange(10**6)) for _ in range(26000)))
    return log, digits


def main():
    assay = sys.argv[1]
    with tempfile.TemporaryDirectory() as folder:
        for path in corpora(folder):
            size = path.stat().st_size
            ours = median(scan(assay, path, folder), RUNS, {0, 3})
            for name, command in (
                ("grep -P", ["grep", "-cP", CARDS, str(path)]),
                ("ripgrep", ["rg", "-c", "--no-config", "-j1", "-a", CARDS_SIMPLE, str(path)]),
            ):
                show(f"card numbers and IBANs in {size >> 20} MiB ({path.name}), {size / 1e6 / ours[1]:.0f} MB a second of CPU", ours, median(command, RUNS, {0, 1}), name)
        paths = sys.argv[2:] or ["/usr/share", "/usr/lib", "/var/lib/dpkg", "/etc"]
        total = {"files": 0, "bytes": 0, "cards_accidental": 0}
        likely, possible = [], []
        for path in [*paths, str(pathlib.Path(folder) / "digits")]:
            report = json.loads(subprocess.run(scan(assay, path, folder), capture_output=True, text=True, check=False).stdout)
            for item in report["facts"]["payment_data"]["paths"]:
                for key in total:
                    total[key] += item[key]
                likely += item["cards_likely"] + item["ibans_likely"]
                possible += item["cards_possible"] + item["ibans_possible"]
        files = {p.rsplit(":", 1)[0] for p in likely}
        doubtful = {p.rsplit(":", 1)[0] for p in possible}
        print(f"ordinary files: {total['files']} files, {total['bytes'] >> 20} MiB: {len(files)} taken for holding real numbers, {len(doubtful)} undecided, "
              f"{total['cards_accidental']} with numbers that are right by accident")
        for name in sorted(files)[:20] + sorted(doubtful)[:20]:
            print(f"  {name}")


main()
