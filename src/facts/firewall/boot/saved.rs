//! Rules as iptables-save(8) writes them.

use std::collections::BTreeMap;

use super::chains::{self, Does, Fate, Rules, Scope, Written};

/// What the saved rules make of a connection to this machine that no rule names.
pub fn fate(text: &str) -> Fate {
    let (mut rules, mut policy, mut table) = (Rules::new(), None, "");
    let mut policies: BTreeMap<&str, &str> = BTreeMap::new();
    for line in text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')) {
        if let Some(name) = line.strip_prefix('*') {
            table = name;
        } else if table != "filter" {
            continue;
        } else if let Some(chain) = line.strip_prefix(':') {
            let mut words = chain.split_whitespace();
            if let (Some(name), Some(word)) = (words.next(), words.next()) {
                policies.insert(name, word);
                rules.entry(name.into()).or_default();
            }
        } else if let Some((chain, written)) = rule(line) {
            rules.entry(chain).or_default().push(written);
        }
    }
    match policies.get("INPUT") {
        Some(&"DROP") => policy = Some(Fate::Drop),
        Some(&"ACCEPT") => policy = Some(Fate::Accept),
        _ => {}
    }
    policy.map_or(Fate::None, |policy| chains::fate(&rules, "INPUT", policy))
}

/// `-A CHAIN … -j TARGET`, perhaps with counters before it.
fn rule(line: &str) -> Option<(String, Written)> {
    let line = if line.starts_with('[') { line.split_once(']')?.1.trim() } else { line };
    let mut words = words(line).into_iter();
    let (head, chain) = (words.next()?, words.next()?);
    if head != "-A" && head != "--append" {
        return None;
    }
    let (mut scope, mut does) = (Scope::Everything, Does::Nothing);
    let mut rest = words.peekable();
    while let Some(word) = rest.next() {
        let narrower = match word.as_str() {
            "-j" | "--jump" => {
                does = target(&rest.next()?);
                // What follows belongs to the target.
                break;
            }
            "-g" | "--goto" => {
                does = Does::Goto(rest.next()?);
                break;
            }
            "-m" | "--match" => {
                let name = rest.next()?;
                if name == "comment" {
                    rest.next();
                    rest.next();
                    Scope::Everything
                } else if ["conntrack", "state", "tcp", "udp"].contains(&name.as_str()) {
                    Scope::Everything
                } else {
                    Scope::Named
                }
            }
            "--ctstate" | "--state" => {
                if rest.next()?.split(',').any(|s| s == "NEW") {
                    Scope::Wide
                } else {
                    Scope::Named
                }
            }
            "-i" | "--in-interface" => {
                if rest.next()? == "lo" {
                    Scope::Named
                } else {
                    Scope::Wide
                }
            }
            "-p" | "--protocol" | "--proto" => match rest.next()?.as_str() {
                "all" => Scope::Everything,
                "tcp" | "udp" => Scope::Wide,
                _ => Scope::Named,
            },
            "!" => Scope::Wide,
            _ => Scope::Named,
        };
        scope = narrower_of(scope, narrower);
    }
    Some((chain, Written { scope, does }))
}

const fn narrower_of(a: Scope, b: Scope) -> Scope {
    match (a, b) {
        (Scope::Named, _) | (_, Scope::Named) => Scope::Named,
        (Scope::Wide, _) | (_, Scope::Wide) => Scope::Wide,
        _ => Scope::Everything,
    }
}

fn target(name: &str) -> Does {
    match name {
        "ACCEPT" => Does::Accept,
        "DROP" | "REJECT" => Does::Drop,
        "RETURN" => Does::Return,
        // Targets of xtables are upper-case by habit; they log, mark or count.
        "LOG" | "NFLOG" | "MARK" | "CONNMARK" | "CT" | "TRACE" | "ULOG" | "AUDIT" | "CLASSIFY" | "TCPMSS" | "SET" => Does::Nothing,
        other => Does::Jump(other.into()),
    }
}

/// Words of a line, quoted ones as one.
fn words(line: &str) -> Vec<String> {
    let (mut out, mut word, mut quoted, mut begun) = (Vec::new(), String::new(), false, false);
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => {
                quoted = !quoted;
                begun = true;
            }
            '\\' if quoted => word.extend(chars.next()),
            c if c.is_whitespace() && !quoted => {
                if begun {
                    out.push(std::mem::take(&mut word));
                }
                begun = false;
            }
            c => {
                word.push(c);
                begun = true;
            }
        }
    }
    if begun {
        out.push(word);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(policy: &str, rules: &str) -> Fate {
        fate(&format!("# c\n*nat\n:INPUT ACCEPT\nCOMMIT\n*filter\n:INPUT {policy} [0:0]\n:LAST - [0:0]\n{rules}\nCOMMIT\n"))
    }

    #[test]
    fn fates() {
        assert_eq!(of("DROP", "-A INPUT -i lo -j ACCEPT"), Fate::Drop);
        assert_eq!(
            of("ACCEPT", "-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n-A INPUT -j LOG --log-prefix \"a b\"\n-A INPUT -j REJECT"),
            Fate::Drop
        );
        assert_eq!(of("ACCEPT", "-A INPUT -m comment --comment \"all of it\" -j LAST\n-A LAST -j DROP"), Fate::Drop);
        assert_eq!(of("DROP", "[3:4] -A INPUT -j ACCEPT"), Fate::Accept);
        assert_eq!(of("ACCEPT", "-A INPUT -p tcp -m state --state NEW -j DROP"), Fate::Unknown);
        assert_eq!(of("ACCEPT", "-A INPUT -s 10.0.0.1/32 -j DROP"), Fate::Accept);
        assert_eq!(fate("*nat\n:INPUT DROP [0:0]\nCOMMIT\n"), Fate::None);
    }

    #[test]
    fn cut_files_end() {
        let text = "*filter\n:INPUT DROP [0:0]\n-A INPUT -m comment --comment \"a \\\" b\" -j LAST\n-A INPUT ! -i lo -g X\n";
        for end in 0..text.len() {
            let _ = fate(&text[..end]);
        }
    }
}
