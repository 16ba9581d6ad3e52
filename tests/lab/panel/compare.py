#!/usr/bin/python3
"""Runs `assay scan tls` on a running panel and compares what it says with the truth.

    compare.py ASSAY PANEL.json [--save FOLDER]

Prints precision and recall of each category and every disagreement. Exit code 1 if there is one that known.txt does not
explain, or if known.txt explains one that is no longer there.
"""
import argparse
import json
import pathlib
import subprocess
import sys
import time

# What can only be told after a finished handshake may stay untold, if a gap says so.
MAY_BE_UNTOLD = {"client_renegotiation", "resumption_by_id", "session_tickets"}
FEATURES = {
    "compression": "compression", "secure_renegotiation": "secure_renegotiation", "client_renegotiation": "client_renegotiation",
    "extended_master_secret": "extended_master_secret", "encrypt_then_mac": "encrypt_then_mac", "fallback_scsv": "fallback_signal",
    "resumption_by_id": "resumption_by_id",
}
# A name is asked for in every survey of a group.
SCAN_SECONDS = 300
DAY = 86_400
# Each line: category: endpoint [item] | why it still stands.
KNOWN = pathlib.Path(__file__).with_name("known.txt")
LONGEST_VALIDITY = 398 * DAY


class Score:
    """Right, wrong and missing items of one category."""

    def __init__(self):
        self.right, self.wrong, self.missing, self.untold, self.notes = 0, 0, 0, 0, []

    def sets(self, name, true, told):
        """Two sets of items."""
        true, told = set(true), set(told)
        self.right += len(true & told)
        self.wrong += len(told - true)
        self.missing += len(true - told)
        if true != told:
            self.notes.append((name, f"missing {sorted(map(str, true - told))}, wrong {sorted(map(str, told - true))}"))

    def value(self, name, true, told, may_be_untold=False):
        """One value; None is untold."""
        if true == told:
            self.right += 1
        elif told is None and may_be_untold:
            self.untold += 1
        else:
            self.wrong += told is not None
            self.missing += 1
            self.notes.append((name, f"{true}, told {told}"))

    def row(self):
        """Precision and recall."""
        told, true = self.right + self.wrong, self.right + self.missing
        return self.right / told if told else 1.0, self.right / true if true else 1.0


def scan(assay, panel):
    """Facts of every endpoint: one run for each server name."""
    groups, documents = {}, []
    for e in panel["endpoints"]:
        host = f"[{e['host']}]" if ":" in e["host"] else e["host"]
        groups.setdefault(e["sni"], {})[f"{host}:{e['port']}"] = None
    for name, targets in groups.items():
        command = [assay, "scan", "tls", "--format", "json", "--trust", panel["ca"], *(["--sni", name] if name else []), *targets]
        began = time.monotonic()
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=SCAN_SECONDS, check=False)
        print(f"{len(targets)} endpoints with name {name!r}: {time.monotonic() - began:.1f} s, exit code {done.returncode}", flush=True)
        if done.returncode not in (0, 3):
            sys.exit(done.stderr)
        documents.append(json.loads(done.stdout))
    return documents


def index(documents):
    """{(address, port, name): (endpoint, chains, capabilities, service)}."""
    found = {}
    for document in documents:
        facts = document["facts"]
        for e in facts["tls"]["endpoints"]:
            chains = [c for c in facts["tls"]["chains"] if c["endpoint"] == e["subject"]]
            more = next((c for c in facts["tls_capabilities"]["endpoints"] if c["subject"] == e["subject"]), None)
            service = next((s for s in facts["services"]["items"] if s["subject"] == e["subject"]), {})
            found[(e["address"], e["port"], e["server_name"])] = (e, chains, more, service)
    return found


def compare(panel, documents):
    """{category: Score}."""
    scores, seen = {}, index(documents)

    def score(category):
        return scores.setdefault(category, Score())

    for e in panel["endpoints"]:
        key = (e["host"], e["port"], e["sni"])
        score("endpoints seen").value(e["name"], True, key in seen)
        if key in seen:
            endpoint(e["name"], e["truth"], e["starttls"], score, *seen[key])
    return scores


def endpoint(name, truth, starttls, score, told, chains, more, service):
    """Every category of one endpoint."""
    if "no_tls_reason" in truth:
        score("no TLS, why").value(name, truth["no_tls_reason"], reason(truth["no_tls_reason"], told, service))
        score("versions").sets(name, [], told["accepted"])
        if truth.get("https_redirect"):
            score("HTTPS redirect").value(name, True, service.get("protocol") == "http" and service.get("tls") == "required")
        return
    if "versions" in truth:
        score("versions").sets(name, truth["versions"], told["accepted"])
        score("STARTTLS").value(name, starttls, told["starttls"])
        if truth["versions"] != ["SSLv2"]:
            client(name, truth.get("client_certificate", "none"), told, score("client certificate"))
    if "starttls_policy" in truth:
        score("STARTTLS required").value(name, truth["starttls_policy"], service.get("tls"))
    if "certificate" in truth:
        certificate(name, truth["certificate"], score, chains)
    if "hsts" in truth:
        http = service.get("http") or {}
        score("HSTS").value(name, hsts(truth["hsts"]), (http.get("hsts_max_age_seconds"), http.get("hsts_include_subdomains")))
    capabilities(name, truth, starttls, score, more)


def reason(true, told, service):
    """The word of the truth that the answer amounts to."""
    outcome = told["outcome"]
    if true in ("starttls-absent", "starttls-stripped") and outcome in ("plaintext", "starttls-absent"):
        # Which of the two it is stands with the service.
        if "stripped" in json.dumps(service) or service.get("tls") == "optional":
            return "starttls-stripped"
        return "starttls-absent" if service.get("tls") == "none" else outcome
    if true == "tarpit":
        return "tarpit" if outcome == "silent" else outcome
    return {"closed": "closes"}.get(outcome, outcome)


def client(name, true, told, score):
    """none, requested, required."""
    asked, demanded = told["client_certificate_requested"], told["client_certificate_required"]
    if asked is None:
        said = None
    elif not asked:
        said = "none"
    else:
        # Without a finished handshake nobody knows whether it is demanded too.
        said = "required" if demanded else "requested" if demanded is False or true != "none" else "asked for"
        true = "requested" if demanded is None and true == "required" else true
    score.value(name, true, said)


def hsts(header):
    """(max-age, includeSubDomains) of a header."""
    words = [w.strip().lower() for w in header.split(";")]
    return int(words[0].split("=")[1]), "includesubdomains" in words


def capabilities(name, truth, starttls, score, more):
    """Suites, groups, features, defects."""
    if more is None and starttls == "mysql":
        # It counts handshakes that break off and locks the client out: only versions and certificates are asked for.
        score("not surveyed, for the server's sake").value(name, None, None)
        return
    more = more or {"suites": [], "orders": [], "groups": [], "primes": [], "protocols": []}
    if "suites" in truth:
        true = {(v, n) for v, names in truth["suites"].items() for n in names}
        score("suites").sets(name, true, {(s["version"], s["name"]) for s in more["suites"]})
        for defect, present in defects(truth).items():
            score("defects").value(f"{name} {defect}", present, defects(told(more))[defect])
    for version, by in truth.get("preference", {}).items():
        score("preference").value(f"{name} {version}", by, next((o["by"] for o in more["orders"] if o["version"] == version), None))
    if "groups" in truth:
        true = {(v, n) for v, names in truth["groups"].items() for n in names}
        score("groups").sets(name, true, {(g["version"], g["name"].lower() if g["name"].startswith("X25519") and "ML" not in g["name"] else g["name"]) for g in more["groups"]})
    if "dh_bits" in truth:
        score("DH parameters").value(name, True, truth["dh_bits"] in {p["bits"] for p in more["primes"]})
    if "alpn" in truth:
        score("ALPN").sets(name, truth["alpn"], more["protocols"])
    for feature, field in FEATURES.items():
        if feature in truth:
            score("features").value(f"{name} {feature}", truth[feature], more.get(field), feature in MAY_BE_UNTOLD)
    for defect, field in (("heartbleed", "heartbleed"), ("ccs", "ccs_injection")):
        if defect in truth:
            score("defects").value(f"{name} {defect}", truth[defect], more.get(field))


def told(more):
    """Suites and compression in the shape of the truth."""
    suites = {}
    for s in more["suites"]:
        suites.setdefault(s["version"], []).append(s["name"])
    return {"suites": suites, "compression": more.get("compression")}


def defects(truth):
    """What follows from suites, versions and compression alone."""
    suites = truth["suites"]
    older = [n for v, names in suites.items() if v not in ("SSLv2", "TLSv1.3") for n in names]
    return {
        "poodle": any("_CBC_" in n for n in suites.get("SSLv3", [])), "beast": any("_CBC_" in n for v in ("SSLv3", "TLSv1.0") for n in suites.get(v, [])),
        "drown": bool(suites.get("SSLv2")), "freak": any("RSA_EXPORT" in n and "DHE" not in n for n in older), "logjam": any("DHE_RSA_EXPORT" in n for n in older),
        "sweet32": any(c in n for n in older for c in ("_3DES_", "_DES_", "_IDEA_", "_RC2_", "_DES40_")), "rc4": any("_RC4_" in n for n in older),
        "null": any("_WITH_NULL_" in n for n in older), "anonymous": any("_anon_" in n for n in older), "export": any("EXPORT" in n for n in older),
        "crime": bool(truth.get("compression")),
    }


def certificate(name, truth, score, chains):
    """Findings and facts of the first chain."""
    if not chains:
        score("certificate seen").value(name, True, None)
        score("certificate findings").sets(name, truth["findings"], [])
        return
    score("certificate seen").value(name, True, True)
    chain = chains[0]
    leaf = chain["certificates"][0]
    score("certificate findings").sets(name, truth["findings"], findings(chain, leaf, time.time()))
    facts = score("certificate facts")
    said = {
        "key": f"{leaf['key_kind']} {leaf['key_bits']}", "signature": leaf["signature_hash"], "chain": len(chain["certificates"]), "scts": len(chain["scts"]),
        "wildcard": any(n.startswith("*.") for n in leaf["names"]), "staple": staple(chain["staple"]),
        "chains": sorted(f"{c['certificates'][0]['key_kind']} {c['certificates'][0]['key_bits']}" for c in chains),
        "differs_without_sni": len({c["certificates"][0]["fingerprint"] for c in chains}) > 1,
    }
    for fact, value in truth.items():
        if fact != "findings":
            facts.value(f"{name} {fact}", value, said[fact])


def findings(chain, leaf, now):
    """Faults that the facts of a chain amount to."""
    weak = {"rsa": 2048, "ec": 224}
    tests = {
        "expired": leaf["not_after"] < now, "not-yet-valid": leaf["not_before"] > now, "long-validity": leaf["not_after"] - leaf["not_before"] > LONGEST_VALIDITY,
        "self-signed": leaf["self_signed"], "untrusted": chain["trust"] != "trusted", "incomplete": not chain["complete"], "wrong-order": not chain["in_order"],
        "extra-certificate": bool(chain["extra"]), "expired-intermediate": chain["path_not_after"] < now <= leaf["not_after"],
        "name-constraint": "name-constraints-violated" in chain["violations"], "wrong-name": chain["name_matches"] is False, "no-san": not leaf["name_kinds"],
        "ca-as-leaf": leaf["is_ca"], "no-server-auth": bool(leaf["extended_key_usage"]) and not {"serverAuth", "anyExtendedKeyUsage"} & set(leaf["extended_key_usage"]),
        "weak-key": 0 < leaf["key_bits"] < weak.get(leaf["key_kind"], 0), "sha1-signature": leaf["signature_hash"] == "sha1",
        "md5-signature": leaf["signature_hash"] == "md5", "must-staple-missing": leaf["must_staple"] and chain["staple"] is None,
    }
    return {finding for finding, present in tests.items() if present}


def staple(answer):
    """good, revoked, expired, wrong-signer."""
    if answer is None:
        return None
    if answer["signature"] != "valid":
        return "wrong-signer"
    if answer["certificate_status"] == "good" and answer["next_update"] is not None and answer["next_update"] < time.time():
        return "expired"
    return answer["certificate_status"]


def main():
    """Reads the command line, scans, prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("assay")
    parser.add_argument("panel")
    parser.add_argument("--save", help="folder for the answers of assay")
    arguments = parser.parse_args()
    panel = json.loads(pathlib.Path(arguments.panel).read_text(encoding="utf-8"))
    documents = scan(arguments.assay, panel)
    if arguments.save:
        for number, document in enumerate(documents):
            pathlib.Path(arguments.save, f"scan-{number}.json").write_text(json.dumps(document), encoding="utf-8")
    scores = compare(panel, documents)
    print(f"\n{'category':24}{'items':>7}{'precision':>11}{'recall':>9}{'untold':>8}")
    for category, score in scores.items():
        precision, recall = score.row()
        print(f"{category:24}{score.right + score.missing:>7}{precision:>11.3f}{recall:>9.3f}{score.untold or '':>8}")
    notes = {f"{category}: {name}": text for category, score in scores.items() for name, text in score.notes}
    known = read_known()
    print(f"\n{len(notes)} disagreements over {len(panel['endpoints'])} endpoints")
    for key, text in notes.items():
        print(f"  {key}: {text}" + (f"   (known: {known[key]})" if key in known else ""))
    settled = sorted(known.keys() - notes.keys())
    for key in settled:
        print(f"  no longer: {key}; take it out of {KNOWN.name}")
    sys.exit(1 if notes.keys() - known.keys() or settled else 0)


def read_known():
    """{disagreement: why} of known.txt."""
    lines = KNOWN.read_text(encoding="utf-8").splitlines() if KNOWN.exists() else []
    return dict(line.split(" | ", 1) for line in lines if line and not line.startswith("#"))


if __name__ == "__main__":
    main()
