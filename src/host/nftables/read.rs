//! Dumps the rule set twice over when it changes meanwhile, and never half of it.

use std::collections::BTreeMap;

use super::expression::{expression, value};
use super::{Chain, Element, Family, Hook, HookPoint, Rule, Ruleset, Set, Sets, Table, Value};
use crate::host::netlink::{Area, Attributes, Message, Netlink, NetlinkError, push_text};

/// `NFNL_SUBSYS_NFTABLES << 8`.
const SUBSYSTEM: u16 = 10 << 8;
const GET_TABLE: u16 = 1;
const GET_CHAIN: u16 = 4;
const GET_RULE: u16 = 7;
const GET_SET: u16 = 10;
const GET_ELEMENTS: u16 = 13;
const GET_GENERATION: u16 = 16;
/// `struct nfgenmsg`, bytes.
const HEADER: usize = 4;
/// How often a rule set that keeps changing is read again.
const TRIES: u32 = 5;
/// Most sets whose elements are read.
const SETS_LIMIT: usize = 20_000;
/// Most elements over all sets.
const ELEMENTS_LIMIT: usize = 1_000_000;
const SET_ANONYMOUS: u32 = 1;
const SET_INTERVAL: u32 = 4;
const SET_MAP: u32 = 8;
const SET_TIMEOUT: u32 = 0x10;
const SET_EVAL: u32 = 0x20;
const SET_OBJECT: u32 = 0x40;
const ELEMENT_INTERVAL_END: u32 = 1;
const ELEMENT_CATCH_ALL: u32 = 2;

/// Why the rules are not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// It kept changing.
    #[error("the packet filter's rules kept changing while they were read")]
    Unsettled,
    /// Netlink.
    #[error("the packet filter's rules can't be read: {0}")]
    Netlink(#[from] NetlinkError),
}

/// The rules of this process's network namespace; empty when the kernel has no nftables.
pub fn read() -> Result<Ruleset, FilterError> {
    let mut socket = match Netlink::open(Area::Netfilter) {
        Ok(socket) => socket,
        Err(e) if e.is_unsupported() => return Ok(Ruleset::default()),
        Err(e) => return Err(e.into()),
    };
    for _ in 0..TRIES {
        let before = match generation(&mut socket) {
            Ok(number) => number,
            Err(e) if e.is_unsupported() => return Ok(Ruleset::default()),
            Err(e) => return Err(e.into()),
        };
        match read_once(&mut socket) {
            Ok(ruleset) if generation(&mut socket)? == before => return Ok(ruleset),
            // A set that is gone is a change, too.
            Ok(_) | Err(NetlinkError::Changed) => {}
            Err(e) if e.is_unsupported() && generation(&mut socket)? != before => {}
            Err(e) => return Err(e.into()),
        }
    }
    Err(FilterError::Unsettled)
}

fn generation(socket: &mut Netlink) -> Result<u32, NetlinkError> {
    let message = socket.one(SUBSYSTEM | GET_GENERATION, &header(0))?;
    attributes(&message).big(1).ok_or(NetlinkError::Malformed)
}

/// Family, version, resource.
const fn header(family: u8) -> [u8; HEADER] {
    [family, 0, 0, 0]
}

fn attributes(message: &Message) -> Attributes<'_> {
    Attributes::of(message.payload.get(HEADER..).unwrap_or_default())
}

fn family(message: &Message) -> Family {
    Family::of(message.payload.first().copied().unwrap_or_default())
}

fn read_once(socket: &mut Netlink) -> Result<Ruleset, NetlinkError> {
    let mut dump = |kind: u16| socket.dump(SUBSYSTEM | kind, &header(0));
    let mut ruleset = Ruleset::default();
    for message in dump(GET_TABLE)? {
        let a = attributes(&message);
        let table = Table { family: family(&message), name: a.text(1).ok_or(NetlinkError::Malformed)?, dormant: a.big(2).unwrap_or_default() & 1 != 0 };
        ruleset.tables.push(table);
    }
    for message in dump(GET_CHAIN)? {
        let chain = chain(&message).ok_or(NetlinkError::Malformed)?;
        ruleset.chains.insert((chain.family, chain.table.clone(), chain.name.clone()), chain);
    }
    for message in dump(GET_RULE)? {
        let a = attributes(&message);
        let (Some(table), Some(name)) = (a.text(1), a.text(2)) else { return Err(NetlinkError::Malformed) };
        let chain = ruleset.chains.get_mut(&(family(&message), table, name)).ok_or(NetlinkError::Changed)?;
        let expressions = a.nested(4).iter().map(|(_, e)| expression(Attributes::of(e))).collect();
        chain.rules.push(Rule { handle: a.big_long(3).unwrap_or_default(), expressions, comment: comment(a.get(7).unwrap_or_default()) });
    }
    let sets = dump(GET_SET)?;
    if sets.len() > SETS_LIMIT {
        return Err(NetlinkError::TooLarge);
    }
    ruleset.sets = read_sets(socket, &sets)?;
    Ok(ruleset)
}

fn chain(message: &Message) -> Option<Chain> {
    let a = attributes(message);
    let family = family(message);
    let hook = a.get(4).map(|_| {
        let hook = a.nested(4);
        let mut devices: Vec<String> = hook.text(3).into_iter().collect();
        for (kind, name) in hook.nested(4).iter() {
            let name = String::from_utf8_lossy(name).trim_end_matches('\0').to_string();
            // Type 2 is the beginning of names.
            devices.push(if kind == 2 { format!("{name}*") } else { name });
        }
        devices.dedup();
        Hook {
            point: HookPoint::of(family, hook.big(1).unwrap_or(u32::MAX)),
            priority: hook.big(2).unwrap_or_default().cast_signed(),
            devices,
            kind: a.text(7).unwrap_or_default(),
            drops: a.big(5) == Some(0),
        }
    });
    Some(Chain { family, table: a.text(1)?, name: a.text(3)?, hook, rules: Vec::new() })
}

/// User data of nft(8): type u8, length u8, value; type 0 is the comment.
fn comment(mut bytes: &[u8]) -> String {
    while let [kind, length, rest @ ..] = bytes {
        let Some(value) = rest.get(..usize::from(*length)) else { break };
        if *kind == 0 {
            return String::from_utf8_lossy(value).trim_end_matches('\0').to_string();
        }
        bytes = rest.get(usize::from(*length)..).unwrap_or_default();
    }
    String::new()
}

fn read_sets(socket: &mut Netlink, messages: &[Message]) -> Result<Sets, NetlinkError> {
    let mut sets: Sets = BTreeMap::new();
    let mut left = ELEMENTS_LIMIT;
    for message in messages {
        let a = attributes(message);
        let (Some(table), Some(name)) = (a.text(1), a.text(2)) else { return Err(NetlinkError::Malformed) };
        let flags = a.big(3).unwrap_or_default();
        let mut set = Set {
            anonymous: flags & SET_ANONYMOUS != 0,
            interval: flags & SET_INTERVAL != 0,
            map: flags & (SET_MAP | SET_OBJECT) != 0,
            dynamic: flags & (SET_TIMEOUT | SET_EVAL) != 0,
            key_length: a.big(5).unwrap_or_default() as usize,
            name,
            ..Set::default()
        };
        let family = family(message);
        let mut request = header(family.number()).to_vec();
        push_text(&mut request, 1, &table);
        push_text(&mut request, 2, &set.name);
        let answer = socket.dump(SUBSYSTEM | GET_ELEMENTS, &request)?;
        let raw: Vec<Raw> = answer.iter().flat_map(|m| attributes(m).nested(3).iter().filter_map(|(_, e)| raw(Attributes::of(e)))).collect();
        left = left.checked_sub(raw.len()).ok_or(NetlinkError::TooLarge)?;
        set.fill(raw);
        sets.insert((family, table, set.name.clone()), set);
    }
    Ok(sets)
}

/// An element as the kernel lists it.
struct Raw {
    key: Vec<u8>,
    last: Option<Vec<u8>>,
    flags: u32,
    value: Option<Value>,
}

fn raw(a: Attributes<'_>) -> Option<Raw> {
    let flags = a.big(3).unwrap_or_default();
    let key = a.nested(1).get(1).map(<[u8]>::to_vec);
    let value = a.get(2).and_then(|_| value(a.nested(2)));
    Some(Raw { key: if flags & ELEMENT_CATCH_ALL != 0 { Vec::new() } else { key? }, last: a.nested(10).get(1).map(<[u8]>::to_vec), flags, value })
}

impl Set {
    /// Joins the beginnings and ends that interval sets list apart.
    fn fill(&mut self, mut raw: Vec<Raw>) {
        if let Some(all) = raw.iter().find(|r| r.flags & ELEMENT_CATCH_ALL != 0) {
            self.catch_all = Some(all.value.clone());
        }
        raw.retain(|r| r.flags & ELEMENT_CATCH_ALL == 0);
        // An end stands before a beginning of the same key: it is the first key outside.
        raw.sort_by(|a, b| a.key.cmp(&b.key).then((b.flags & ELEMENT_INTERVAL_END).cmp(&(a.flags & ELEMENT_INTERVAL_END))));
        let mut elements = Vec::new();
        let mut open: Option<Raw> = None;
        for element in raw {
            if let Some(last) = element.last.clone() {
                elements.push(Element { from: element.key, to: last, value: element.value });
            } else if !self.interval {
                elements.push(Element { to: element.key.clone(), from: element.key, value: element.value });
            } else {
                let is_end = element.flags & ELEMENT_INTERVAL_END != 0;
                if let Some(begun) = open.take() {
                    elements.push(Element { to: before(&element.key), from: begun.key, value: begun.value });
                }
                open = (!is_end).then_some(element);
            }
        }
        // The last interval has no end where it reaches the highest key.
        if let Some(begun) = open {
            elements.push(Element { to: vec![0xff; begun.key.len()], from: begun.key, value: begun.value });
        }
        self.elements = elements;
    }
}

/// The key before this one.
fn before(key: &[u8]) -> Vec<u8> {
    let mut out = key.to_vec();
    for byte in out.iter_mut().rev() {
        let (less, borrowed) = byte.overflowing_sub(1);
        *byte = less;
        if !borrowed {
            break;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_joined() {
        let raw = |key: [u8; 2], flags| Raw { key: key.to_vec(), last: None, flags, value: None };
        let mut set = Set { interval: true, ..Set::default() };
        // Highest first, as a tree lists them; an end where another begins.
        set.fill(vec![
            raw([1, 0], 0),
            raw([0, 22], ELEMENT_INTERVAL_END),
            raw([0, 20], 0),
            raw([0, 22], 0),
            raw([0, 30], ELEMENT_INTERVAL_END),
            raw([0, 0], ELEMENT_INTERVAL_END),
        ]);
        let shown: Vec<_> = set.elements.iter().map(|e| (e.from.clone(), e.to.clone())).collect();
        assert_eq!(shown, [(vec![0, 20], vec![0, 21]), (vec![0, 22], vec![0, 29]), (vec![1, 0], vec![255, 255])]);
        assert_eq!(before(&[1, 0]), [0, 255]);
    }

    #[test]
    fn comments() {
        assert_eq!(comment(b"\x00\x04abc\0"), "abc");
        assert_eq!(comment(b"\x02\x01x\x00\x02a\0"), "a");
        assert_eq!(comment(b"\x00\xffabc"), "");
    }
}
