//! Chains and rules in words.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::packet::{Field, Packet, Tracking};
use super::ranges::Ranges;
use super::xtables::{self, Effect};
use super::{Chain, KERNEL, Rule};
use crate::host::nftables::{self, Comparison, Expression, Family, FibResult, Load, MetaKey, Ruleset, Set, Value, Verdict};
use crate::model::fact::Source;

/// Most elements of a set written out.
const ELEMENTS_SHOWN: usize = 16;

/// Base chains.
pub fn chains(ruleset: &Ruleset) -> Vec<Chain> {
    let mut out = Vec::new();
    for chain in ruleset.chains.values() {
        let Some(hook) = &chain.hook else { continue };
        let subject = subject(chain);
        out.push(Chain {
            kind: hook.kind.clone(),
            hook: hook.point.word().into(),
            priority: hook.priority.into(),
            policy: if hook.drops { "drop" } else { "accept" }.into(),
            devices: hook.devices.clone(),
            managed_by: keeper(ruleset, chain).into(),
            dormant: ruleset.tables.iter().any(|t| t.dormant && t.family == chain.family && t.name == chain.table),
            source: Source { place: KERNEL.into(), line: 0, directive: subject.clone() },
            subject,
        });
    }
    out.sort_by(|a, b| a.subject.cmp(&b.subject));
    out
}

fn subject(chain: &nftables::Chain) -> String {
    format!("{} {} {}", chain.family.word(), chain.table, chain.name)
}

/// Who seems to keep a table, by the names that programs give.
fn keeper(ruleset: &Ruleset, chain: &nftables::Chain) -> &'static str {
    let names = || ruleset.chains.values().filter(|c| c.family == chain.family && c.table == chain.table).map(|c| c.name.as_str());
    let xt = |c: &nftables::Chain| c.rules.iter().flat_map(|r| &r.expressions).any(|e| matches!(e, Expression::XtMatch { .. } | Expression::XtTarget { .. }));
    if chain.table.starts_with("firewalld") {
        "firewalld"
    } else if names().any(|n| n.starts_with("ufw-") || n.starts_with("ufw6-")) {
        "ufw"
    } else if names().any(|n| n == "DOCKER" || n.starts_with("DOCKER-")) || chain.table.starts_with("docker") {
        "docker"
    } else if ["filter", "nat", "mangle", "raw", "security"].contains(&chain.table.as_str())
        && matches!(chain.family, Family::Ip | Family::Ip6)
        && names().any(|n| ["INPUT", "PREROUTING", "OUTPUT", "FORWARD", "POSTROUTING"].contains(&n))
        || xt(chain)
    {
        "iptables"
    } else {
        "nftables"
    }
}

/// Every rule, at most so many.
pub fn rules(ruleset: &Ruleset, limit: usize) -> Vec<Rule> {
    let mut out = Vec::new();
    for chain in ruleset.chains.values() {
        for (position, rule) in chain.rules.iter().enumerate() {
            if out.len() == limit {
                return out;
            }
            let subject = format!("{} rule {}", subject(chain), position + 1);
            let mut words = Words { ruleset, chain, loaded: Vec::new(), matches: Vec::new(), verdict: String::new(), undecoded: Vec::new() };
            for expression in &rule.expressions {
                words.add(expression);
            }
            let Words { matches, verdict, undecoded, .. } = words;
            out.push(Rule { source: Source { place: KERNEL.into(), line: 0, directive: subject.clone() }, subject, matches, verdict, undecoded });
        }
    }
    out
}

/// A rule on its way into words.
struct Words<'a> {
    ruleset: &'a Ruleset,
    chain: &'a nftables::Chain,
    /// Register and what was loaded into it.
    loaded: Vec<(u32, Vec<Loaded>)>,
    matches: Vec<String>,
    verdict: String,
    undecoded: Vec<String>,
}

/// A thing that is compared: its name, its bytes, how they are read.
#[derive(Clone)]
struct Loaded {
    name: String,
    length: usize,
    form: Form,
    mask: Option<Vec<u8>>,
}

#[derive(Clone, Copy, PartialEq)]
enum Form {
    Address,
    Big,
    Native,
    Text,
    State,
    Protocol,
    Bytes,
}

impl Words<'_> {
    fn add(&mut self, expression: &Expression) {
        match expression {
            Expression::Payload { load, offset, length, to } => {
                let loaded = payload(self.chain.family, *load, *offset, *length);
                self.put(*to, loaded);
            }
            Expression::Meta { key, to } => self.put(*to, vec![meta(*key)]),
            Expression::Ct { key, to } => self.put(*to, vec![connection(*key)]),
            Expression::Fib { result, of_source, to } => {
                let of = if *of_source { "saddr" } else { "daddr" };
                let what = if *result == FibResult::AddressType { "type" } else { "oif" };
                self.put(*to, vec![Loaded { name: format!("fib {of} {what}"), length: 4, form: Form::Native, mask: None }]);
            }
            Expression::Bitwise { from, to, mask, .. } => {
                let mut loaded = self.take(*from);
                if let [only] = loaded.as_mut_slice() {
                    only.mask = Some(mask.clone());
                }
                self.put(*to, loaded);
            }
            Expression::ByteOrder { from, to, .. } => {
                let mut loaded = self.take(*from);
                for one in loaded.iter_mut().filter(|l| l.form == Form::Native) {
                    one.form = Form::Big;
                }
                self.put(*to, loaded);
            }
            Expression::Compare { register, how, value } => self.compare(*register, *how, value),
            Expression::Range { register, outside, from, to } => {
                let text = format!("{}-{}", self.shown(*register, from), self.shown(*register, to));
                let not = if *outside { "!= " } else { "" };
                self.matches.push(format!("{} {not}{text}", self.name(*register)));
            }
            Expression::Lookup { set, register, inverted, to } => self.lookup(set, *register, *inverted, *to),
            Expression::Varying(what) => self.matches.push((*what).into()),
            Expression::Dynset { set, .. } => self.matches.push(format!("updates @{set}")),
            Expression::XtMatch { name, revision, info } => self.xt_match(name, *revision, info),
            Expression::XtTarget { name, revision, info } => self.xt_target(name, *revision, info),
            Expression::Verdict(verdict) => self.verdict = verdict_word(verdict),
            Expression::Reject => self.verdict = "reject".into(),
            Expression::Queue => self.verdict = "queue".into(),
            Expression::Dnat(_) => self.verdict = "dnat".into(),
            Expression::Redirect(_) => self.verdict = "redirect".into(),
            Expression::Other(name) => self.undecoded.push(name.clone()),
            Expression::Untracked => self.matches.push("notrack".into()),
            Expression::SetMeta { .. } | Expression::SetCt { .. } | Expression::Immediate { .. } | Expression::Silent(_) => {}
        }
    }

    fn put(&mut self, register: u32, loaded: Vec<Loaded>) {
        self.loaded.retain(|(r, _)| *r != register);
        self.loaded.push((register, loaded));
    }

    /// What is loaded from this register on: a key may span several.
    fn take(&self, register: u32) -> Vec<Loaded> {
        let begin = nftables::register_offset(register).unwrap_or_default();
        let own = self.loaded.iter().find(|(r, _)| nftables::register_offset(*r) == Some(begin));
        own.map(|(_, l)| l.clone()).unwrap_or_default()
    }

    /// The parts of a key of so many bytes, padded to four each.
    fn parts(&self, register: u32, length: usize) -> Vec<Loaded> {
        let Some(begin) = nftables::register_offset(register) else { return Vec::new() };
        let mut found: Vec<(usize, &Vec<Loaded>)> =
            self.loaded.iter().filter_map(|(r, l)| Some((nftables::register_offset(*r)?, l))).filter(|(at, _)| *at >= begin && *at < begin + length).collect();
        found.sort_by_key(|(at, _)| *at);
        found.into_iter().flat_map(|(_, l)| l.clone()).collect()
    }

    fn name(&self, register: u32) -> String {
        let names: Vec<String> = self.take(register).into_iter().map(|l| l.name).collect();
        if names.is_empty() { "?".into() } else { names.join(" . ") }
    }

    fn shown(&self, register: u32, value: &[u8]) -> String {
        let mut at = 0;
        let mut out = Vec::new();
        for part in self.take(register) {
            let length = part.length.min(value.len().saturating_sub(at));
            out.push(show(&part, value.get(at..at + length).unwrap_or_default()));
            at += length;
        }
        out.join(" . ")
    }

    fn compare(&mut self, register: u32, how: Comparison, value: &[u8]) {
        let sign = match how {
            Comparison::Equal => "",
            Comparison::NotEqual => "!= ",
            Comparison::Less => "< ",
            Comparison::LessOrEqual => "<= ",
            Comparison::Greater => "> ",
            Comparison::GreaterOrEqual => ">= ",
        };
        let loaded = self.take(register);
        if let [only] = loaded.as_slice()
            && let (Form::State, Some(mask), Comparison::NotEqual) = (only.form, &only.mask, how)
        {
            // `ct state new,established`: any of the bits of the mask.
            self.matches.push(format!("{} {}", only.name, states(mask)));
            return;
        }
        self.matches.push(format!("{} {sign}{}", self.name(register), self.shown(register, value)));
    }

    fn lookup(&mut self, name: &str, register: u32, inverted: bool, to: Option<u32>) {
        let Some(set) = self.ruleset.set(self.chain, name) else { return self.undecoded.push(format!("set {name}")) };
        let parts = self.parts(register, set.key_length);
        let what = parts.iter().map(|p| p.name.as_str()).collect::<Vec<_>>().join(" . ");
        let not = if inverted { "!= " } else { "" };
        match to {
            Some(0) => self.verdict = format!("{what} vmap {}", elements(set, &parts)),
            Some(to) => {
                self.matches.push(format!("{what} map {}", elements(set, &parts)));
                self.put(to, Vec::new());
            }
            None => self.matches.push(format!("{what} {not}{}", elements(set, &parts))),
        }
    }

    fn xt_match(&mut self, name: &str, revision: u32, info: &[u8]) {
        let packet = anything(self.chain.family);
        match xtables::matches(name, revision, info, &packet, true) {
            super::packet::Test::Unknown(why) => self.undecoded.push(why),
            super::packet::Test::Parts(parts) => self.matches.extend(parts_words(&parts, packet.v6, "")),
            super::packet::Test::Outside(parts) => self.matches.extend(parts_words(&parts, packet.v6, "!= ")),
            _ if name == "comment" => {}
            super::packet::Test::Nothing => self.matches.push(format!("{name} (not of a first packet to this machine)")),
            _ => self.matches.push(name.into()),
        }
    }

    fn xt_target(&mut self, name: &str, revision: u32, info: &[u8]) {
        let packet = anything(self.chain.family);
        match xtables::target(name, revision, info, &packet) {
            Effect::Drop => self.verdict = "reject".into(),
            Effect::Dnat { address, port } => {
                let to = address.and_then(|a| a.list().first().map(|(first, _)| super::ranges::address(*first, packet.v6).to_string())).unwrap_or_default();
                self.verdict = format!("dnat {to}{}", port.map(|p| format!(" port {}", p.ports())).unwrap_or_default());
            }
            Effect::Redirect { port } => self.verdict = format!("redirect{}", port.map(|p| format!(" port {}", p.ports())).unwrap_or_default()),
            Effect::Unknown(why) => self.undecoded.push(why),
            Effect::Untrack => self.matches.push("notrack".into()),
            Effect::None | Effect::Mark(_) | Effect::ConnectionMark(_) => {}
        }
    }
}

/// A packet of which everything is free.
fn anything(family: Family) -> Packet {
    let v6 = family == Family::Ip6;
    let all = if v6 { Ranges::of(0, u128::MAX) } else { Ranges::of(0, u128::from(u32::MAX)) };
    let ports = Ranges::of(0, 65_535);
    Packet {
        v6,
        udp: false,
        source: all.clone(),
        destination: all,
        source_port: ports.clone(),
        port: ports,
        mark: Some(0),
        connection_mark: Some(0),
        tracking: Tracking::New,
        translated: None,
        through: String::new(),
        doubt: None,
    }
}

fn parts_words(parts: &[super::packet::Part], v6: bool, not: &str) -> Vec<String> {
    let one = |(field, ranges): &(Field, Ranges)| match field {
        Field::Source => format!("saddr {not}{}", ranges.networks(v6, ELEMENTS_SHOWN).0.join(",")),
        Field::Destination => format!("daddr {not}{}", ranges.networks(v6, ELEMENTS_SHOWN).0.join(",")),
        Field::SourcePort => format!("sport {not}{}", ranges.ports()),
        Field::Port => format!("dport {not}{}", ranges.ports()),
    };
    parts.iter().map(|part| part.iter().map(one).collect::<Vec<_>>().join(" ")).collect()
}

fn elements(set: &Set, parts: &[Loaded]) -> String {
    if !set.anonymous {
        return format!("@{}", set.name);
    }
    let key = |bytes: &[u8]| {
        let mut at = 0;
        let mut out = Vec::new();
        for part in parts {
            out.push(show(part, bytes.get(at..at + part.length).unwrap_or_default()));
            at += if parts.len() > 1 { part.length.div_ceil(4) * 4 } else { part.length };
        }
        out.join(" . ")
    };
    let one = |e: &nftables::Element| {
        let (from, to) = (key(&e.from), key(&e.to));
        let key = if from == to { from } else { format!("{from}-{to}") };
        match &e.value {
            Some(Value::Verdict(verdict)) => format!("{key}: {}", verdict_word(verdict)),
            Some(Value::Bytes(_)) => format!("{key}: …"),
            None => key,
        }
    };
    let mut shown: Vec<String> = set.elements.iter().take(ELEMENTS_SHOWN).map(one).collect();
    if set.elements.len() > ELEMENTS_SHOWN {
        shown.push(format!("and {} more", set.elements.len() - ELEMENTS_SHOWN));
    }
    format!("{{{}}}", shown.join(", "))
}

fn verdict_word(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Accept => "accept".into(),
        Verdict::Drop => "drop".into(),
        Verdict::Queue => "queue".into(),
        Verdict::Continue | Verdict::Break => String::new(),
        Verdict::Return => "return".into(),
        Verdict::Jump(name) => format!("jump {name}"),
        Verdict::Goto(name) => format!("goto {name}"),
        Verdict::Other => "taken".into(),
    }
}

fn payload(family: Family, load: Load, offset: usize, length: usize) -> Vec<Loaded> {
    let field = |name: &str, length: usize, form| Loaded { name: name.into(), length, form, mask: None };
    let (ip, at, size) =
        if family == Family::Ip6 || (family != Family::Ip && offset >= 8 && length == 16) { ("ip6", [8, 24], 16) } else { ("ip", [12, 16], 4) };
    match (load, offset, length) {
        (Load::Network, o, l) if o == at[0] && l == 2 * size => {
            vec![field(&format!("{ip} saddr"), size, Form::Address), field(&format!("{ip} daddr"), size, Form::Address)]
        }
        (Load::Network, o, l) if o == at[0] && l <= size => vec![field(&format!("{ip} saddr"), l, Form::Address)],
        (Load::Network, o, l) if o == at[1] && l <= size => vec![field(&format!("{ip} daddr"), l, Form::Address)],
        (Load::Network, 9, 1) if ip == "ip" => vec![field("ip protocol", 1, Form::Protocol)],
        (Load::Network, 6, 1) if ip == "ip6" => vec![field("ip6 nexthdr", 1, Form::Protocol)],
        (Load::Transport, 0, 2) => vec![field("sport", 2, Form::Big)],
        (Load::Transport, 2, 2) => vec![field("dport", 2, Form::Big)],
        (Load::Transport, 0, 4) => vec![field("sport", 2, Form::Big), field("dport", 2, Form::Big)],
        (Load::Transport, 0, 1) => vec![field("icmp type", 1, Form::Big)],
        (Load::Transport, 13, 1) => vec![field("tcp flags", 1, Form::Big)],
        (Load::Link, 12, 2) => vec![field("ether type", 2, Form::Bytes)],
        (load, o, l) => vec![field(&format!("{} byte {o}", format!("{load:?}").to_lowercase()), l, Form::Bytes)],
    }
}

fn meta(key: MetaKey) -> Loaded {
    let (name, length, form) = match key {
        MetaKey::Protocol => ("meta protocol", 2, Form::Bytes),
        MetaKey::Mark => ("mark", 4, Form::Native),
        MetaKey::Iif => ("iif", 4, Form::Native),
        MetaKey::Oif => ("oif", 4, Form::Native),
        MetaKey::IifName => ("iifname", 16, Form::Text),
        MetaKey::OifName => ("oifname", 16, Form::Text),
        MetaKey::IifType => ("iiftype", 2, Form::Native),
        MetaKey::Nfproto => ("nfproto", 1, Form::Big),
        MetaKey::L4proto => ("l4proto", 1, Form::Protocol),
        MetaKey::PacketType => ("pkttype", 1, Form::Big),
        MetaKey::IifGroup => ("iifgroup", 4, Form::Native),
        MetaKey::IifKind => ("iifkind", 16, Form::Text),
        MetaKey::Socket => ("socket", 4, Form::Native),
        MetaKey::Time => ("time", 8, Form::Bytes),
        MetaKey::Random => ("random", 4, Form::Native),
        MetaKey::Other(number) => return Loaded { name: format!("meta key {number}"), length: 16, form: Form::Bytes, mask: None },
    };
    Loaded { name: name.into(), length, form, mask: None }
}

fn connection(key: u32) -> Loaded {
    let (name, form) = match key {
        0 => ("ct state".to_string(), Form::State),
        2 => ("ct status".to_string(), Form::Native),
        3 => ("ct mark".to_string(), Form::Native),
        12 => return Loaded { name: "ct original dport".into(), length: 2, form: Form::Big, mask: None },
        other => (format!("ct key {other}"), Form::Bytes),
    };
    Loaded { name, length: 4, form, mask: None }
}

fn show(part: &Loaded, bytes: &[u8]) -> String {
    let native = || bytes.try_into().map(u32::from_ne_bytes).unwrap_or_default();
    let text = match part.form {
        Form::Address => address(bytes, part.name.starts_with("ip6")),
        Form::Big => bytes.iter().fold(0_u64, |sum, b| sum.wrapping_shl(8) | u64::from(*b)).to_string(),
        Form::Native if bytes.len() == 4 => native().to_string(),
        Form::State => states(bytes),
        Form::Text => {
            let end = bytes.iter().position(|b| *b == 0);
            let text = String::from_utf8_lossy(bytes.get(..end.unwrap_or(bytes.len())).unwrap_or_default()).into_owned();
            // A name without its end stands for all that begin so.
            if end.is_none() && bytes.len() < part.length { format!("{text}*") } else { text }
        }
        Form::Protocol => match bytes {
            [6] => "tcp".into(),
            [17] => "udp".into(),
            [1] => "icmp".into(),
            [58] => "ipv6-icmp".into(),
            [other] => other.to_string(),
            _ => hex(bytes),
        },
        Form::Native | Form::Bytes => hex(bytes),
    };
    match &part.mask {
        Some(mask) if part.form == Form::Address => format!("{text} & {}", address(mask, part.name.starts_with("ip6"))),
        Some(mask) if part.form != Form::State => format!("{text} & 0x{}", hex(mask)),
        _ => text,
    }
}

/// An address, or the network of its first bytes.
fn address(bytes: &[u8], v6: bool) -> String {
    let full = if v6 { 16 } else { 4 };
    let mut whole = bytes.to_vec();
    whole.resize(full, 0);
    let text = match (<[u8; 4]>::try_from(whole.as_slice()), <[u8; 16]>::try_from(whole.as_slice())) {
        (Ok(four), _) => Ipv4Addr::from(four).to_string(),
        (_, Ok(sixteen)) => Ipv6Addr::from(sixteen).to_string(),
        _ => hex(bytes),
    };
    if bytes.len() < full { format!("{text}/{}", bytes.len() * 8) } else { text }
}

fn states(bytes: &[u8]) -> String {
    let bits = bytes.try_into().map(u32::from_ne_bytes).unwrap_or_default();
    let named = [(1, "invalid"), (2, "established"), (4, "related"), (8, "new"), (64, "untracked")];
    named.iter().filter(|(bit, _)| bits & bit != 0).map(|(_, name)| *name).collect::<Vec<_>>().join(",")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
