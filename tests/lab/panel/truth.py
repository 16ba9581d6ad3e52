"""The truth that takes many words: truth.txt, one section for each endpoint.

    [NAME]
    TLSv1.0 TLSv1.1 = RSA: AES_128_CBC_SHA RC4_128_SHA; DHE_RSA: …     suites: exchange and what follows _WITH_
    TLSv1.2 = like OTHER                                               the same as another endpoint's
    groups TLSv1.3 = x25519 secp256r1
    preference TLSv1.2 = server
    dh_bits = 2048
    alpn = h2 http/1.1
    yes = secure_renegotiation …                                       features that are there
    no = compression …                                                 and features that are not
"""
import pathlib

import suites

FILE = pathlib.Path(__file__).with_name("truth.txt")
FEATURES = ("compression", "secure_renegotiation", "client_renegotiation", "extended_master_secret", "encrypt_then_mac", "session_tickets", "resumption_by_id",
            "fallback_scsv", "heartbleed", "ccs")
OTHERS = {name for name in suites.TLS13 + ["TLS_AES_128_CCM_SHA256", "TLS_AES_128_CCM_8_SHA256"]} | set(suites.SSL2.values())


def read():
    """{endpoint: truth}."""
    found, section = {}, {}
    for line in FILE.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            section = found[line.strip("[]")] = {}
        elif line and not line.startswith("#"):
            field(section, found, *(part.strip() for part in line.split("=", 1)))
    return found


def field(section, found, name, value):
    """One line of a section."""
    words = name.split()
    if words[0] in suites.VERSIONS:
        other = value.removeprefix("like ")
        for version in words:
            section.setdefault("suites", {})[version] = found[other]["suites"][version] if value.startswith("like ") else unfold(value)
    elif words[0] in ("groups", "preference"):
        for version in words[1:]:
            section.setdefault(words[0], {})[version] = value.split() if words[0] == "groups" else value
    elif name in ("yes", "no"):
        section.update({feature: name == "yes" for feature in value.split()})
    else:
        section[name] = int(value) if name == "dh_bits" else value.split()


def unfold(text):
    """`RSA: A B; DHE_RSA: C` to IANA names."""
    names = []
    for part in filter(None, (p.strip() for p in text.split(";"))):
        exchanges, colon, ciphers = part.partition(":")
        names += suites.named(exchanges, ciphers) if colon else part.split()
    return names


def fold(names):
    """The other way."""
    exchanges, others = {}, []
    for name in names:
        if name in OTHERS or "_WITH_" not in name:
            others.append(name)
        else:
            exchange, _, cipher = name.removeprefix("TLS_").partition("_WITH_")
            exchanges.setdefault(exchange, []).append(cipher)
    alike = {}
    for exchange, ciphers in exchanges.items():
        alike.setdefault(tuple(ciphers), []).append(exchange)
    return "; ".join([f"{' '.join(e)}: {' '.join(c)}" for c, e in alike.items()] + ([" ".join(others)] if others else []))


def write(everything):
    """Text of what an oracle saw, to be read against the configurations before it is kept."""
    lines, known = [], {}
    for name, seen in everything.items():
        lines += ["", f"[{name}]"]
        grouped = {}
        for version, accepted in seen["suites"].items():
            grouped.setdefault(known.get((version, tuple(accepted))) or fold(accepted), []).append(version)
            known.setdefault((version, tuple(accepted)), f"like {name}")
        lines += [f"{' '.join(versions)} = {text}" for text, versions in grouped.items()]
        lines += [f"groups {version} = {' '.join(groups)}" for version, groups in seen["groups"].items()]
        orders = {}
        for version, by in seen["preference"].items():
            orders.setdefault(by, []).append(version)
        lines += [f"preference {' '.join(versions)} = {by}" for by, versions in orders.items()]
        lines += [f"dh_bits = {seen['dh_bits']}"] if seen.get("dh_bits") else []
        lines += [f"alpn = {' '.join(seen['alpn'])}"] if "alpn" in seen else []
        told = {**seen, **seen.get("defects", {})}
        for word, value in (("yes", True), ("no", False)):
            features = [f for f in FEATURES if told.get(f) is value]
            lines += [f"{word} = {' '.join(features)}"] if features else []
    return "\n".join(lines).lstrip() + "\n"
