//! As much of the language of nft(8) as tells what becomes of a connection that no rule names: tables,
//! base chains with hook and policy, and the verdicts of rules.

use std::collections::BTreeMap;

use super::Reading;
use super::chains::{self, Does, Fate, Rules, Scope, Written};
use crate::facts::Document as _;
use crate::facts::firewall::Firewall;
use crate::host::CONFIG_LIMIT;
use crate::model::gap::reason;

/// Most files included.
const FILES_LIMIT: usize = 200;
/// Deepest include.
const DEPTH: usize = 16;
/// Most words of all files.
const WORDS_LIMIT: usize = 500_000;
/// Where relative names of included files are looked for.
const FOLDER: &str = "/etc";

/// A table on its way.
#[derive(Debug, Default)]
struct Table {
    rules: Rules,
    /// Base chains at input, with their policies.
    bases: BTreeMap<String, Fate>,
}

type Tables = BTreeMap<(String, String), Table>;

/// What a file makes of new connections, IPv4 and IPv6.
pub fn fates(reading: &mut Reading<'_>, place: &str) -> [Fate; 2] {
    let mut words = Vec::new();
    let mut budget = FILES_LIMIT;
    let mut whole = true;
    collect(reading, place, 0, &mut budget, &mut words, &mut whole);
    let mut tables = Tables::new();
    let mut parser = Parser { words: &words, at: 0 };
    whole &= parser.file(&mut tables).is_some();
    if !whole {
        return [Fate::Unknown; 2];
    }
    let mut out = [Fate::None; 2];
    for ((family, _), table) in &tables {
        for (base, policy) in &table.bases {
            let fate = chains::fate(&table.rules, base, *policy);
            for (index, own) in ["ip", "ip6"].iter().enumerate() {
                if (family == "inet" || family == own)
                    && let Some(word) = out.get_mut(index)
                {
                    *word = word.and(fate);
                }
            }
        }
    }
    out
}

/// The words of a file and of those that it includes, in their order.
fn collect(reading: &mut Reading<'_>, place: &str, depth: usize, budget: &mut usize, words: &mut Vec<String>, whole: &mut bool) {
    let Some(text) = reading.text(place, CONFIG_LIMIT) else {
        *whole = false;
        return;
    };
    if depth > DEPTH || *budget == 0 || words.len() > WORDS_LIMIT {
        reading.gaps.note(Firewall::NAME, "boot", "nftables", reason::LIMIT_REACHED, format!("{place}: more included files than the limit"), "");
        *whole = false;
        return;
    }
    *budget -= 1;
    let mut own = tokens(&text).into_iter();
    while let Some(word) = own.next() {
        if word != "include" {
            words.push(word);
            continue;
        }
        let Some(name) = own.next() else { break };
        for file in included(reading, name.trim_matches(['"', '\'']), whole) {
            collect(reading, &file, depth + 1, budget, words, whole);
        }
        words.push("\n".into());
    }
    words.push("\n".into());
}

/// Files of an `include`: a name, or a pattern in its last part.
fn included(reading: &mut Reading<'_>, name: &str, whole: &mut bool) -> Vec<String> {
    let path = if name.starts_with('/') { name.to_string() } else { format!("{FOLDER}/{}", name.trim_start_matches("./")) };
    if !path.contains(['*', '?', '[']) {
        return vec![path];
    }
    let (folder, pattern) = path.rsplit_once('/').unwrap_or(("", &path));
    if folder.contains(['*', '?', '[']) || pattern.contains('[') {
        *whole = false;
        return Vec::new();
    }
    let fits = |name: &str| !name.starts_with('.') && crate::model::pattern::matches(pattern, name);
    match reading.host.list(folder) {
        Ok(entries) => entries.into_iter().filter(|e| fits(&e.name)).map(|e| format!("{folder}/{}", e.name)).collect(),
        Err(e) if e.is_not_found() => Vec::new(),
        Err(e) => {
            reading.gaps.add(e.to_gap(Firewall::NAME, "boot", "nftables"));
            *whole = false;
            Vec::new()
        }
    }
}

/// Words, quoted texts, `{`, `}`, and `\n` for each end of a statement.
fn tokens(text: &str) -> Vec<String> {
    let (mut out, mut word) = (Vec::new(), String::new());
    let mut chars = text.chars().peekable();
    let flush = |word: &mut String, out: &mut Vec<String>| {
        if !word.is_empty() {
            out.push(std::mem::take(word));
        }
    };
    while let Some(c) = chars.next() {
        match c {
            '#' => {
                while chars.peek().is_some_and(|c| *c != '\n') {
                    chars.next();
                }
            }
            '"' => {
                flush(&mut word, &mut out);
                let quoted: String = chars.by_ref().take_while(|c| *c != '"').collect();
                out.push(format!("\"{quoted}\""));
            }
            '\\' if chars.peek() == Some(&'\n') => {
                chars.next();
            }
            '{' | '}' | ',' => {
                flush(&mut word, &mut out);
                out.push(c.to_string());
            }
            '\n' | ';' => {
                flush(&mut word, &mut out);
                out.push("\n".into());
            }
            c if c.is_whitespace() => flush(&mut word, &mut out),
            c => word.push(c),
        }
    }
    flush(&mut word, &mut out);
    out
}

struct Parser<'a> {
    words: &'a [String],
    at: usize,
}

const FAMILIES: [&str; 6] = ["ip", "ip6", "inet", "arp", "bridge", "netdev"];

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<&'a str> {
        self.words.get(self.at).map(String::as_str)
    }

    fn next(&mut self) -> Option<&'a str> {
        let word = self.peek()?;
        self.at += 1;
        Some(word)
    }

    fn skip_ends(&mut self) {
        while self.peek() == Some("\n") {
            self.at += 1;
        }
    }

    /// `None` when something is not understood that may matter.
    fn file(&mut self, tables: &mut Tables) -> Option<()> {
        loop {
            self.skip_ends();
            let Some(word) = self.next() else { return Some(()) };
            match word {
                "flush" => {
                    let line = self.statement();
                    if line.first() == Some(&"ruleset") {
                        tables.clear();
                    } else {
                        let (family, name, _) = path(line.get(1..)?);
                        if line.first() == Some(&"table")
                            && let Some(table) = tables.get_mut(&(family.into(), name.first()?.to_string()))
                        {
                            table.rules.values_mut().for_each(Vec::clear);
                        }
                    }
                }
                "table" => self.table(tables)?,
                "add" | "create" => self.add(tables)?,
                "define" | "undefine" | "redefine" => {
                    self.statement();
                }
                "delete" | "destroy" => {
                    let line = self.statement();
                    let (family, name, _) = path(line.get(1..)?);
                    match line.first() {
                        Some(&"table") => {
                            tables.remove(&(family.into(), name.first()?.to_string()));
                        }
                        Some(&("set" | "map" | "element" | "counter" | "quota")) => {}
                        _ => return None,
                    }
                }
                _ => return None,
            }
        }
    }

    /// Words up to the end of a statement; braces hold what stands on several lines.
    fn statement(&mut self) -> Vec<&'a str> {
        let (mut out, mut depth) = (Vec::new(), 0_usize);
        while let Some(word) = self.peek() {
            match word {
                "\n" if depth == 0 => break,
                "}" if depth == 0 => break,
                "{" => depth += 1,
                "}" => depth -= 1,
                _ => {}
            }
            self.at += 1;
            if word != "\n" {
                out.push(word);
            }
        }
        out
    }

    /// Words before a brace.
    fn head(&mut self) -> Vec<&'a str> {
        let mut out = Vec::new();
        while let Some(word) = self.peek().filter(|w| *w != "{" && *w != "\n") {
            out.push(word);
            self.at += 1;
        }
        out
    }

    fn table(&mut self, tables: &mut Tables) -> Option<()> {
        let head = self.head();
        let (family, name, _) = path(&head);
        let table = tables.entry((family.into(), (*name.first()?).into())).or_default();
        if self.peek() != Some("{") {
            return Some(());
        }
        self.at += 1;
        loop {
            self.skip_ends();
            match self.next()? {
                "}" => return Some(()),
                "chain" => {
                    let name = *self.head().first()?;
                    self.chain(table, name)?;
                }
                "set" | "map" | "flowtable" | "counter" | "quota" | "limit" | "ct" | "secmark" | "synproxy" | "flags" | "comment" => {
                    self.statement();
                }
                _ => return None,
            }
        }
    }

    fn chain(&mut self, table: &mut Table, name: &str) -> Option<()> {
        table.rules.entry(name.into()).or_default();
        if self.peek() != Some("{") {
            return Some(());
        }
        self.at += 1;
        loop {
            self.skip_ends();
            if self.peek()? == "}" {
                self.at += 1;
                return Some(());
            }
            let line = self.statement();
            chain_line(table, name, &line)?;
        }
    }

    /// `add rule inet filter input …`, also without the word `rule`.
    fn add(&mut self, tables: &mut Tables) -> Option<()> {
        match self.peek()? {
            "table" => {
                self.at += 1;
                self.table(tables)
            }
            "chain" => {
                self.at += 1;
                let head = self.head();
                let (family, names, _) = path(&head);
                let table = tables.entry((family.into(), (*names.first()?).into())).or_default();
                self.chain(table, names.get(1)?)
            }
            "set" | "map" | "element" | "flowtable" | "counter" | "quota" | "limit" | "ct" => {
                self.statement();
                Some(())
            }
            first => {
                if first == "rule" {
                    self.at += 1;
                }
                let line = self.statement();
                let (family, names, used) = path(&line);
                let table = tables.entry((family.into(), (*names.first()?).into())).or_default();
                chain_line(table, names.get(1)?, line.get(used + 2..)?)
            }
        }
    }
}

/// Family, the names after it, and how many words the family took.
fn path<'w, 'a>(words: &'w [&'a str]) -> (&'a str, &'w [&'a str], usize) {
    match words.split_first() {
        Some((first, rest)) if FAMILIES.contains(first) => (*first, rest, 1),
        _ => ("ip", words, 0),
    }
}

fn chain_line(table: &mut Table, chain: &str, line: &[&str]) -> Option<()> {
    match line {
        ["type", _, "hook", hook, ..] => {
            if *hook == "input" {
                table.bases.entry(chain.into()).or_insert(Fate::Accept);
            }
        }
        ["policy", policy] => {
            let fate = match *policy {
                "drop" => Fate::Drop,
                "accept" => Fate::Accept,
                _ => Fate::Unknown,
            };
            if let Some(base) = table.bases.get_mut(chain) {
                *base = fate;
            }
        }
        ["comment", ..] | ["flags", ..] | ["devices", ..] => {}
        rule => table.rules.entry(chain.into()).or_default().push(written(rule)?),
    }
    Some(())
}

/// Words that match nothing.
const SILENT: [&str; 12] = ["counter", "log", "prefix", "level", "flags", "packets", "bytes", "group", "snaplen", "queue-threshold", "comment", "all"];

/// What a match compares with: a word, several parted by commas, or those in braces; `!=` before it.
fn value<'w>(words: &mut std::iter::Peekable<impl Iterator<Item = &'w str>>) -> Vec<&'w str> {
    let mut out: Vec<&str> = words.next_if(|w| *w == "!=").into_iter().collect();
    match words.next() {
        Some("{") => out.extend(words.by_ref().take_while(|w| *w != "}").filter(|w| *w != ",")),
        first => {
            out.extend(first);
            while words.next_if(|w| *w == ",").is_some() {
                out.extend(words.next());
            }
        }
    }
    out
}

/// A rule as far as it decides.
fn written(rule: &[&str]) -> Option<Written> {
    let mut scope = Scope::Everything;
    let mut words = rule.iter().copied().peekable();
    let narrow = |scope: &mut Scope, to: Scope| {
        *scope = match (*scope, to) {
            (Scope::Named, _) | (_, Scope::Named) => Scope::Named,
            (Scope::Wide, _) | (_, Scope::Wide) => Scope::Wide,
            _ => Scope::Everything,
        };
    };
    while let Some(word) = words.next() {
        let does = match word {
            "accept" => Does::Accept,
            "drop" | "reject" => Does::Drop,
            "return" => Does::Return,
            "continue" => Does::Nothing,
            "jump" => Does::Jump(words.next()?.into()),
            "goto" => Does::Goto(words.next()?.into()),
            // A map of verdicts decides for what it names.
            "vmap" => {
                narrow(&mut scope, Scope::Named);
                continue;
            }
            "iif" | "iifname" => {
                let names = value(&mut words);
                let is_lo = matches!(names.as_slice(), [name] if name.trim_matches('"') == "lo");
                narrow(&mut scope, if is_lo { Scope::Named } else { Scope::Wide });
                continue;
            }
            "state" => {
                let states = value(&mut words);
                let is_new = states.iter().any(|s| ["new", "!="].contains(s));
                narrow(&mut scope, if is_new { Scope::Wide } else { Scope::Named });
                continue;
            }
            "l4proto" | "nfproto" | "protocol" | "nexthdr" => {
                let most = ["tcp", "udp", "ip", "ip6", "ipv4", "ipv6", "!="];
                let is_wide = value(&mut words).iter().any(|w| most.contains(w));
                narrow(&mut scope, if is_wide { Scope::Wide } else { Scope::Named });
                continue;
            }
            "ct" | "meta" => continue,
            quoted if quoted.starts_with('"') || SILENT.contains(&quoted) || quoted.parse::<u64>().is_ok() => continue,
            _ => {
                narrow(&mut scope, Scope::Named);
                continue;
            }
        };
        return Some(Written { scope, does });
    }
    Some(Written { scope, does: Does::Nothing })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::testing::rooted;
    use crate::model::gap::Gaps;

    fn of(text: &str) -> [&'static str; 2] {
        let (_root, host) = rooted(&[("/etc/nftables.conf", text)]);
        let mut gaps = Gaps::new();
        fates(&mut Reading { host: &host, gaps: &mut gaps }, "/etc/nftables.conf").map(Fate::word)
    }

    fn chain(body: &str) -> [&'static str; 2] {
        of(&format!(
            "table inet f {{\n set s {{ type ipv4_addr; elements = {{ 1.1.1.1 }} }}\n chain in {{ type filter hook input priority 0\n{body}\n}}\n chain end {{ reject }}\n}}"
        ))
    }

    #[test]
    fn policies_and_last_rules() {
        assert_eq!(chain("policy drop; tcp dport { 22, 80 } accept"), ["drop", "drop"]);
        assert_eq!(chain("tcp dport 22 drop"), ["accept", "accept"]);
        assert_eq!(chain("ct state established,related accept\niif lo accept\ncounter packets 1 bytes 2 log prefix \"x: \" drop"), ["drop", "drop"]);
        assert_eq!(chain("iifname \"lo\" accept\njump end"), ["drop", "drop"]);
        assert_eq!(chain("ct state vmap { established : accept, invalid : drop }"), ["accept", "accept"]);
        assert_eq!(chain("policy drop; ip protocol icmp accept\nct state new accept"), ["unknown", "unknown"]);
        assert_eq!(chain("meta nfproto ipv4 drop"), ["unknown", "unknown"]);
        assert_eq!(chain("meta l4proto { tcp, udp } drop"), ["unknown", "unknown"]);
        assert_eq!(chain("ct state { established, related } accept; iifname { \"lo\" } accept; reject with icmpx admin-prohibited"), ["drop", "drop"]);
        assert_eq!(chain("iifname != lo ct state new drop"), ["unknown", "unknown"]);
    }

    #[test]
    fn commands() {
        assert_eq!(of("flush ruleset\n"), ["none", "none"]);
        assert_eq!(
            of("add table ip6 a\nadd chain ip6 a b { type filter hook input priority 0 ; policy drop ; }\nadd rule ip6 a b tcp dport 22 accept\n"),
            ["none", "drop"]
        );
        assert_eq!(of("table ip a { chain b { type filter hook input priority filter; policy drop; } }\nflush ruleset"), ["none", "none"]);
        assert_eq!(of("something else\n"), ["unknown", "unknown"]);
        assert_eq!(of("table ip a {\nchain b {"), ["unknown", "unknown"]);
        assert_eq!(of("include \"missing.nft\"\n"), ["unknown", "unknown"]);
    }

    #[test]
    fn cut_files_end() {
        let text = "define A = { 1, 2 }\ntable inet f { chain in { type filter hook input priority 0; policy drop; tcp dport $A accept comment \"x\" } }\nadd rule inet f in ip saddr 1.1.1.1 goto x\n";
        for end in 0..text.len() {
            let mut parser = Parser { words: &tokens(&text[..end]), at: 0 };
            let _ = parser.file(&mut Tables::new());
        }
    }
}
