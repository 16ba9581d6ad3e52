//! The packet filter's rules as the kernel holds them: a dump of NETLINK_NETFILTER, subsystem nftables
//! (linux/netfilter/nf_tables.h). Nothing is ever changed.
//!
//! A rule is a list of expressions over registers of 16 bytes, or of 4: `payload` and `meta` load,
//! `cmp` and `lookup` compare, `immediate` gives the verdict. Rules of iptables-nft are the same, with
//! matches and targets of xtables among them, whose bytes are those of that module.

mod expression;
mod read;

pub use expression::{Comparison, Expression, FibResult, Load, MetaKey, NatRegisters, Verdict, register_offset};
pub use read::{FilterError, read};

use std::collections::BTreeMap;

/// Family of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// IPv4 and IPv6.
    Inet,
    /// IPv4.
    Ip,
    /// IPv6.
    Ip6,
    /// ARP.
    Arp,
    /// One interface, before everything else.
    Netdev,
    /// Bridges.
    Bridge,
    /// Of a kernel newer than this program.
    Other(u8),
}

impl Family {
    /// `NFPROTO_…`.
    pub const fn of(number: u8) -> Self {
        match number {
            1 => Self::Inet,
            2 => Self::Ip,
            3 => Self::Arp,
            5 => Self::Netdev,
            7 => Self::Bridge,
            10 => Self::Ip6,
            other => Self::Other(other),
        }
    }

    /// Its number.
    pub const fn number(self) -> u8 {
        match self {
            Self::Inet => 1,
            Self::Ip => 2,
            Self::Arp => 3,
            Self::Netdev => 5,
            Self::Bridge => 7,
            Self::Ip6 => 10,
            Self::Other(other) => other,
        }
    }

    /// Its word for nft(8).
    pub const fn word(self) -> &'static str {
        match self {
            Self::Inet => "inet",
            Self::Ip => "ip",
            Self::Ip6 => "ip6",
            Self::Arp => "arp",
            Self::Netdev => "netdev",
            Self::Bridge => "bridge",
            Self::Other(_) => "other",
        }
    }
}

/// Where packets meet a base chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum HookPoint {
    /// As they come off an interface.
    Ingress,
    /// Before it is known where they go.
    Prerouting,
    /// To this machine.
    Input,
    /// Through this machine.
    Forward,
    /// From this machine.
    Output,
    /// On their way out.
    Postrouting,
    /// As they leave an interface.
    Egress,
    /// Of a kernel newer than this program.
    Other,
}

impl HookPoint {
    const fn of(family: Family, number: u32) -> Self {
        match (family, number) {
            (Family::Netdev, 0) | (Family::Inet, 5) => Self::Ingress,
            (Family::Netdev, 1) => Self::Egress,
            (Family::Arp, 0) => Self::Input,
            (Family::Arp, 1) => Self::Output,
            (_, 0) => Self::Prerouting,
            (_, 1) => Self::Input,
            (_, 2) => Self::Forward,
            (_, 3) => Self::Output,
            (_, 4) => Self::Postrouting,
            _ => Self::Other,
        }
    }

    /// Its word for nft(8).
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ingress => "ingress",
            Self::Prerouting => "prerouting",
            Self::Input => "input",
            Self::Forward => "forward",
            Self::Output => "output",
            Self::Postrouting => "postrouting",
            Self::Egress => "egress",
            Self::Other => "other",
        }
    }
}

/// A table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Family.
    pub family: Family,
    /// Name.
    pub name: String,
    /// Whether its chains see no packets.
    pub dormant: bool,
}

/// Where a base chain hangs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hook {
    /// Place.
    pub point: HookPoint,
    /// The lower, the earlier.
    pub priority: i32,
    /// Interfaces of a chain at ingress.
    pub devices: Vec<String>,
    /// `filter`, `nat`, `route`.
    pub kind: String,
    /// Whether what no rule decides is dropped.
    pub drops: bool,
}

/// A chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    /// Family of its table.
    pub family: Family,
    /// Its table.
    pub table: String,
    /// Name.
    pub name: String,
    /// Of a base chain.
    pub hook: Option<Hook>,
    /// Rules in their order.
    pub rules: Vec<Rule>,
}

/// A rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    /// Number that the kernel gave it.
    pub handle: u64,
    /// Expressions in their order.
    pub expressions: Vec<Expression>,
    /// Comment; empty without one.
    pub comment: String,
}

/// A set or map.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Set {
    /// Name; `__set0` and the like for those written in a rule.
    pub name: String,
    /// Whether it was written in a rule.
    pub anonymous: bool,
    /// Whether elements are intervals.
    pub interval: bool,
    /// Whether elements lead to values or verdicts.
    pub map: bool,
    /// Whether packets or time change it.
    pub dynamic: bool,
    /// Bytes of a key.
    pub key_length: usize,
    /// Elements, sorted by their first key.
    pub elements: Vec<Element>,
    /// What an element that matches everything leads to; `None` without one.
    pub catch_all: Option<Option<Value>>,
}

/// An element of a set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Element {
    /// First key.
    pub from: Vec<u8>,
    /// Last key, itself included; the same as the first where there is no interval.
    pub to: Vec<u8>,
    /// What it leads to.
    pub value: Option<Value>,
}

/// A value of the kernel.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Value {
    /// Bytes.
    Bytes(Vec<u8>),
    /// What happens to the packet.
    Verdict(Verdict),
}

/// Sets by family, table and name.
pub type Sets = BTreeMap<(Family, String, String), Set>;

/// The whole rule set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ruleset {
    /// Tables.
    pub tables: Vec<Table>,
    /// Chains by family, table and name.
    pub chains: BTreeMap<(Family, String, String), Chain>,
    /// Sets.
    pub sets: Sets,
}

impl Ruleset {
    /// The set of this name in the table of a chain.
    pub fn set(&self, chain: &Chain, name: &str) -> Option<&Set> {
        self.sets.get(&(chain.family, chain.table.clone(), name.to_string()))
    }

    /// The chain of this name in the table of another one.
    pub fn chain(&self, beside: &Chain, name: &str) -> Option<&Chain> {
        self.chains.get(&(beside.family, beside.table.clone(), name.to_string()))
    }
}
