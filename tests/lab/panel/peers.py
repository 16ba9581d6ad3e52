#!/usr/bin/python3
"""Runs sslscan and nmap on a running panel and lists where they disagree with the truth.

    peers.py PANEL.json [--only PART]

disagreements.md beside this file explains each.
"""
import argparse
import concurrent.futures
import json
import pathlib
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import suites  # noqa: E402

SECONDS = 120
SSLSCAN_STARTTLS = {"smtp": "smtp", "imap": "imap", "pop3": "pop3", "ftp": "ftp", "ldap": "ldap", "mysql": "mysql", "postgresql": "psql", "xmpp": "xmpp"}
# The plus sign: on any port.
NMAP_SCRIPTS = "+ssl-enum-ciphers,+sslv2,+ssl-heartbleed,+ssl-ccs-injection"


def run(command):
    """Standard output, or what is there after the time limit."""
    try:
        return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=SECONDS, check=False, errors="replace").stdout
    except subprocess.TimeoutExpired:
        return ""


def sslscan(endpoint, table):
    """What sslscan says, in the words of the truth; None when it can't be asked."""
    starttls = endpoint["starttls"]
    if starttls and starttls not in SSLSCAN_STARTTLS and starttls != "rdp":
        return None
    host = f"[{endpoint['host']}]" if ":" in endpoint["host"] else endpoint["host"]
    command = ["sslscan", "--xml=-", "--no-colour", "--no-cipher-details"]
    command += [f"--sni-name={endpoint['sni']}"] if endpoint["sni"] else []
    command += ["--rdp"] if starttls == "rdp" else [f"--starttls-{SSLSCAN_STARTTLS[starttls]}"] if starttls else []
    text = run([*command, f"{host}:{endpoint['port']}"])
    try:
        test = ElementTree.fromstring(re.sub("[^\t\n\r -\U0010ffff]", "", text)).find("ssltest")
    except ElementTree.ParseError:
        return {"versions": []}
    if test is None:
        return {"versions": []}
    names = {"sslv2": "SSLv2", "sslv3": "SSLv3"}
    label = {"SSLv2": "SSLv2", "SSLv3": "SSLv3"} | {v: v for v in suites.VERSIONS}
    seen = {"versions": [], "suites": {}}
    for p in test.iter("protocol"):
        if p.get("enabled") == "1":
            seen["versions"].append(names.get(p.get("type") + "v" + p.get("version"), "TLSv" + p.get("version")))
    for c in test.iter("cipher"):
        code = int(c.get("id"), 16)
        version = label.get(c.get("sslversion"), c.get("sslversion"))
        seen["suites"].setdefault(version, []).append(suites.SSL2.get(code, table.get(code, c.get("cipher"))))
    hearts = [h for h in test.iter("heartbleed")]
    if hearts:
        seen["heartbleed"] = any(h.get("vulnerable") == "1" for h in hearts)
    for tag, field in (("compression", "compression"), ("fallback", "fallback_scsv")):
        found = test.find(tag)
        if found is not None and found.get("supported") is not None:
            seen[field] = found.get("supported") == "1"
    return seen


def nmap(endpoint, _table):
    """What nmap says."""
    command = ["nmap", "-Pn", "-n", "-p", str(endpoint["port"]), "--script", NMAP_SCRIPTS, "-oX", "-"]
    command += ["-6"] if ":" in endpoint["host"] else []
    # Without its service detection nmap knows STARTTLS of well-known ports only.
    command += ["-sV", "--version-intensity", "2"] if endpoint["starttls"] else []
    command += ["--script-args", f"tls.servername={endpoint['sni']}"] if endpoint["sni"] else []
    seen = {"versions": [], "suites": {}}
    try:
        root = ElementTree.fromstring(run([*command, endpoint["host"]]))
    except ElementTree.ParseError:
        return seen
    scripts = {s.get("id"): s for s in root.iter("script")}
    if "ssl-enum-ciphers" in scripts:
        for version in scripts["ssl-enum-ciphers"].findall("table"):
            seen["versions"].append(version.get("key"))
            listed = [t for t in version.findall("table") if t.get("key") == "ciphers"]
            seen["suites"][version.get("key")] = [e.text.replace("TLS_AKE_WITH_", "TLS_") for t in listed for e in t.iter("elem") if e.get("key") == "name"]
    if "sslv2" in scripts:
        seen["versions"].append("SSLv2")
    seen["heartbleed"] = "VULNERABLE" in scripts["ssl-heartbleed"].get("output") if "ssl-heartbleed" in scripts else False
    seen["ccs"] = "VULNERABLE" in scripts["ssl-ccs-injection"].get("output") if "ssl-ccs-injection" in scripts else False
    return seen


def differences(truth, seen):
    """(category, what it says beside the truth)."""
    true = set(truth.get("versions", []))
    said = set(seen["versions"])
    if true - said:
        yield "versions", f"misses {' '.join(sorted(true - said))}"
    if said - true:
        yield "versions", f"invents {' '.join(sorted(said - true))}"
    for version in sorted(true & said):
        names, found = set(truth.get("suites", {}).get(version, [])), set(seen.get("suites", {}).get(version, []))
        if version == "SSLv2" and not found or "suites" not in truth:
            continue
        if names - found:
            yield "suites", f"{version} misses {len(names - found)} of {len(names)}: {kinds(names - found)}"
        if found - names:
            yield "suites", f"{version} invents {kinds(found - names)}"
    for field in ("heartbleed", "ccs", "compression", "fallback_scsv"):
        if field in truth and field in seen and truth[field] != seen[field]:
            yield field, f"says {seen[field]}"


def kinds(names):
    """Some names, the rest counted."""
    names = sorted(names)
    return " ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def main():
    """Reads the command line, runs, prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("panel")
    parser.add_argument("--only", default="")
    arguments = parser.parse_args()
    panel = json.loads(pathlib.Path(arguments.panel).read_text(encoding="utf-8"))
    table = suites.load(HERE.parents[2])
    totals = {}
    chosen = [e for e in panel["endpoints"] if arguments.only in e["name"] and e["listens"]]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for endpoint, answers in zip(chosen, pool.map(lambda e: [(tool.__name__, tool(e, table)) for tool in (sslscan, nmap)], chosen)):
            for tool, seen in answers:
                total = totals.setdefault(tool, [0, 0, 0])
                true, said = set(endpoint["truth"].get("versions", [])), set(seen["versions"] if seen else [])
                if seen is None:
                    print(f"{endpoint['name']}\t{tool}\tversions: can't speak its STARTTLS", flush=True)
                else:
                    for category, text in differences(endpoint["truth"], seen):
                        print(f"{endpoint['name']}\t{tool}\t{category}: {text}", flush=True)
                if "versions" in endpoint["truth"] or "no_tls_reason" in endpoint["truth"]:
                    for place, found in enumerate((true & said, said - true, true - said)):
                        total[place] += len(found)
    for name, (right, wrong, missing) in totals.items():
        print(f"{name}: versions, precision {right / max(right + wrong, 1):.3f}, recall {right / max(right + missing, 1):.3f}")


if __name__ == "__main__":
    main()
