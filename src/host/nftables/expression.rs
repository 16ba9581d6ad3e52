//! One expression of a rule, from the kernel's attributes.

use super::Value;
use crate::host::netlink::Attributes;

/// What happens to a packet.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Goes on to the next base chain.
    Accept,
    /// Is gone.
    Drop,
    /// A program decides.
    Queue,
    /// The next expression.
    Continue,
    /// The next rule.
    Break,
    /// Back to the chain before.
    Return,
    /// On in this chain, then back.
    Jump(String),
    /// On in this chain, and not back.
    Goto(String),
    /// Anything else that ends it (stolen).
    Other,
}

/// Where bytes of a packet are loaded from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Load {
    /// Of the link layer's header.
    Link,
    /// Of the IP header.
    Network,
    /// Of the TCP or UDP header.
    Transport,
    /// Of anything further in.
    Inner,
}

/// What is told about a packet beside its bytes (`NFT_META_…`), as far as it is understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetaKey {
    /// Ethertype.
    Protocol,
    /// Mark.
    Mark,
    /// Number of the interface it came in by.
    Iif,
    /// Number of the interface it goes out by.
    Oif,
    /// Name of the interface it came in by.
    IifName,
    /// Name of the interface it goes out by.
    OifName,
    /// ARPHRD type of the interface it came in by.
    IifType,
    /// IPv4 or IPv6.
    Nfproto,
    /// TCP, UDP, …
    L4proto,
    /// To this machine, to all, …
    PacketType,
    /// Group of the interface it came in by.
    IifGroup,
    /// Kind of the interface it came in by.
    IifKind,
    /// Of the socket of a local sender, which a packet from outside lacks.
    Socket,
    /// The time.
    Time,
    /// A random number.
    Random,
    /// Anything else, by number.
    Other(u32),
}

impl MetaKey {
    const fn of(number: u32) -> Self {
        match number {
            1 => Self::Protocol,
            3 => Self::Mark,
            4 => Self::Iif,
            5 => Self::Oif,
            6 => Self::IifName,
            7 => Self::OifName,
            8 => Self::IifType,
            10 | 11 => Self::Socket,
            15 => Self::Nfproto,
            16 => Self::L4proto,
            19 => Self::PacketType,
            21 => Self::IifGroup,
            24 => Self::Random,
            26 => Self::IifKind,
            30..=32 => Self::Time,
            other => Self::Other(other),
        }
    }
}

/// How two values compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// Equal.
    Equal,
    /// Not equal.
    NotEqual,
    /// Less.
    Less,
    /// Less or equal.
    LessOrEqual,
    /// Greater.
    Greater,
    /// Greater or equal.
    GreaterOrEqual,
}

/// What a look into the routing tables yields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FibResult {
    /// Whether there is a way.
    Present,
    /// Number of the interface.
    Interface,
    /// Name of the interface.
    InterfaceName,
    /// Kind of the address: 1 unicast, 2 local, 3 broadcast, 5 multicast.
    AddressType,
}

/// Registers of an address translation; 0 where there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NatRegisters {
    /// First address.
    pub address: u32,
    /// Last address.
    pub address_last: u32,
    /// First port.
    pub port: u32,
    /// Last port.
    pub port_last: u32,
}

/// One expression.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the sentence over each kind names what it holds")]
pub enum Expression {
    /// A value into a register.
    Immediate { to: u32, value: Vec<u8> },
    /// A verdict.
    Verdict(Verdict),
    /// Bytes of the packet into a register.
    Payload { load: Load, offset: usize, length: usize, to: u32 },
    /// What is told about the packet into a register.
    Meta { key: MetaKey, to: u32 },
    /// A register becomes what is told about the packet.
    SetMeta { key: MetaKey, from: u32 },
    /// Of the connection into a register, by number (`NFT_CT_…`).
    Ct { key: u32, to: u32 },
    /// A register becomes what is told about the connection.
    SetCt { key: u32, from: u32 },
    /// Compares.
    Compare { register: u32, how: Comparison, value: Vec<u8> },
    /// Between two values, both included.
    Range { register: u32, outside: bool, from: Vec<u8>, to: Vec<u8> },
    /// `(register & mask) ^ xor`.
    Bitwise { from: u32, to: u32, mask: Vec<u8>, xor: Vec<u8> },
    /// Turns the order of bytes, in words of `size`.
    ByteOrder { from: u32, to: u32, length: usize, size: usize },
    /// Looks it up in a set; with `to`, what it leads to into that register (0: a verdict).
    Lookup { set: String, register: u32, inverted: bool, to: Option<u32> },
    /// Looks into the routing tables: of the source, or else of the destination.
    Fib { result: FibResult, of_source: bool, to: u32 },
    /// Matches some of the packets: limits, quotas, one of so many.
    Varying(&'static str),
    /// Dropped, with an answer.
    Reject,
    /// A program decides.
    Queue,
    /// Not followed by connection tracking.
    Untracked,
    /// Translates the destination to what the registers hold.
    Dnat(NatRegisters),
    /// Translates the destination to this machine.
    Redirect(NatRegisters),
    /// Adds to or changes a set; goes on.
    Dynset { set: String, limited: bool },
    /// A match of xtables.
    XtMatch { name: String, revision: u32, info: Vec<u8> },
    /// A target of xtables.
    XtTarget { name: String, revision: u32, info: Vec<u8> },
    /// Without effect on where the packet goes: counter, log.
    Silent(String),
    /// Not understood.
    Other(String),
}

/// Where a register begins, in bytes: four of 16 bytes, or sixteen of 4 over the same room.
pub const fn register_offset(register: u32) -> Option<usize> {
    match register {
        1..=4 => Some((register as usize - 1) * 16),
        8..=23 => Some((register as usize - 8) * 4),
        _ => None,
    }
}

/// A verdict from its attributes.
pub(super) fn verdict(attributes: Attributes<'_>) -> Option<Verdict> {
    let chain = || attributes.text(2);
    Some(match attributes.big(1)?.cast_signed() {
        0 => Verdict::Drop,
        1 => Verdict::Accept,
        -1 => Verdict::Continue,
        -2 => Verdict::Break,
        -3 => Verdict::Jump(chain()?),
        -4 => Verdict::Goto(chain()?),
        -5 => Verdict::Return,
        // The number of the queue stands in the upper half.
        other if other & 0xff == 3 => Verdict::Queue,
        _ => Verdict::Other,
    })
}

/// `NFTA_DATA_VALUE` or `NFTA_DATA_VERDICT`.
pub(super) fn value(attributes: Attributes<'_>) -> Option<Value> {
    if let Some(bytes) = attributes.get(1) {
        return Some(Value::Bytes(bytes.to_vec()));
    }
    verdict(attributes.nested(2)).map(Value::Verdict)
}

fn bytes(attributes: Attributes<'_>, kind: u16) -> Option<Vec<u8>> {
    attributes.nested(kind).get(1).map(<[u8]>::to_vec)
}

/// An expression from its attributes: `NFTA_EXPR_NAME`, `NFTA_EXPR_DATA`.
pub(super) fn expression(attributes: Attributes<'_>) -> Expression {
    let name = attributes.text(1).unwrap_or_default();
    let data = attributes.nested(2);
    decode(&name, data).unwrap_or(Expression::Other(name))
}

fn decode(name: &str, a: Attributes<'_>) -> Option<Expression> {
    Some(match name {
        "immediate" => match value(a.nested(2))? {
            Value::Verdict(verdict) => Expression::Verdict(verdict),
            Value::Bytes(value) => Expression::Immediate { to: a.big(1)?, value },
        },
        "payload" => payload(a)?,
        "meta" => match (a.big(1), a.big(3)) {
            (Some(to), _) => Expression::Meta { key: MetaKey::of(a.big(2)?), to },
            (None, from) => Expression::SetMeta { key: MetaKey::of(a.big(2)?), from: from? },
        },
        // Of the direction of answers nothing is told.
        "ct" if a.get(3).is_some_and(|d| d.first() == Some(&1)) => return None,
        "ct" => match (a.big(1), a.big(4)) {
            (Some(to), _) => Expression::Ct { key: a.big(2)?, to },
            (None, from) => Expression::SetCt { key: a.big(2)?, from: from? },
        },
        "cmp" => Expression::Compare { register: a.big(1)?, how: comparison(a.big(2)?)?, value: bytes(a, 3)? },
        "range" => Expression::Range { register: a.big(1)?, outside: a.big(2)? == 1, from: bytes(a, 3)?, to: bytes(a, 4)? },
        "bitwise" if a.big(6).unwrap_or_default() == 0 => Expression::Bitwise { from: a.big(1)?, to: a.big(2)?, mask: bytes(a, 4)?, xor: bytes(a, 5)? },
        "byteorder" => Expression::ByteOrder { from: a.big(1)?, to: a.big(2)?, length: a.big(4)? as usize, size: a.big(5)? as usize },
        "lookup" => Expression::Lookup { set: a.text(1)?, register: a.big(2)?, inverted: a.big(5).unwrap_or_default() & 1 != 0, to: a.big(3) },
        "fib" => {
            let flags = a.big(3)?;
            let result = match a.big(2)? {
                1 | 2 if flags & 0x20 != 0 => FibResult::Present,
                1 => FibResult::Interface,
                2 => FibResult::InterfaceName,
                3 => FibResult::AddressType,
                _ => return None,
            };
            Expression::Fib { result, of_source: flags & 1 != 0, to: a.big(1)? }
        }
        "limit" => Expression::Varying("limit"),
        "quota" => Expression::Varying("quota"),
        "connlimit" => Expression::Varying("ct count"),
        "reject" => Expression::Reject,
        "queue" => Expression::Queue,
        "notrack" => Expression::Untracked,
        "nat" => match a.big(1)? {
            1 => Expression::Dnat(NatRegisters {
                address: a.big(3).unwrap_or_default(),
                address_last: a.big(4).unwrap_or_default(),
                port: a.big(5).unwrap_or_default(),
                port_last: a.big(6).unwrap_or_default(),
            }),
            _ => Expression::Silent("snat".into()),
        },
        "redir" => {
            Expression::Redirect(NatRegisters { port: a.big(1).unwrap_or_default(), port_last: a.big(2).unwrap_or_default(), ..NatRegisters::default() })
        }
        "dynset" => {
            let own = a.nested(7).text(1);
            let more = a.nested(10).iter().map(|(_, e)| Attributes::of(e).text(1)).find(|n| n.as_deref().is_some_and(is_limit));
            Expression::Dynset { set: a.text(1)?, limited: own.as_deref().is_some_and(is_limit) || more.is_some() }
        }
        "match" => Expression::XtMatch { name: a.text(1)?, revision: a.big(2).unwrap_or_default(), info: a.get(3)?.to_vec() },
        "target" => Expression::XtTarget { name: a.text(1)?, revision: a.big(2).unwrap_or_default(), info: a.get(3)?.to_vec() },
        "objref" => match a.big(1) {
            Some(2 | 4 | 5) => Expression::Varying("named limit"),
            Some(1 | 3 | 6..=9) => Expression::Silent("objref".into()),
            _ => return None,
        },
        "counter" | "log" | "last" | "masq" | "dup" | "flow_offload" => Expression::Silent(name.into()),
        _ => return None,
    })
}

fn payload(a: Attributes<'_>) -> Option<Expression> {
    let (offset, length) = (a.big(3)? as usize, a.big(4)? as usize);
    let Some(to) = a.big(1) else {
        // Writing ports or addresses would lead elsewhere; time to live and class would not.
        let harmless = match a.big(2)? {
            1 => length + offset <= 12 && ![0, 9, 6].contains(&offset),
            _ => false,
        };
        return harmless.then(|| Expression::Silent("payload set".into()));
    };
    let load = match a.big(2)? {
        0 => Load::Link,
        1 => Load::Network,
        2 => Load::Transport,
        _ => Load::Inner,
    };
    Some(Expression::Payload { load, offset, length, to })
}

fn is_limit(name: &str) -> bool {
    matches!(name, "limit" | "quota" | "connlimit")
}

const fn comparison(number: u32) -> Option<Comparison> {
    Some(match number {
        0 => Comparison::Equal,
        1 => Comparison::NotEqual,
        2 => Comparison::Less,
        3 => Comparison::LessOrEqual,
        4 => Comparison::Greater,
        5 => Comparison::GreaterOrEqual,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registers_overlap() {
        assert_eq!([1, 2, 4, 8, 9, 23].map(register_offset), [Some(0), Some(16), Some(48), Some(0), Some(4), Some(60)]);
        assert_eq!([0, 5, 7, 24].map(register_offset), [None; 4]);
    }

    #[test]
    fn garbage_is_not_understood() {
        let bytes = [12, 0, 1, 0, b'c', b'm', b'p', 0, 0, 0, 0, 0, 8, 0, 2, 128, 255, 255, 1, 0];
        for end in 0..bytes.len() {
            assert!(matches!(expression(Attributes::of(&bytes[..end])), Expression::Other(_)));
        }
    }
}
