//! From where a listener is reached: its first packets run through the base chains of each hook in their
//! order, once for every interface.
//!
//! ```text
//! ingress -> prerouting (before tracking | tracking | before nat | nat | after nat) -> input
//!                                                                                   \-> forward, where a translation leads elsewhere
//! ```
//! `everywhere` is half or more of all addresses, on an interface that has a default route (on any, where
//! none has). Packets of connections that exist already are not looked at. What drops packets elsewhere
//! (in front of the machine, XDP, BPF of control groups) is not seen.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::packet::{Packet, Tracking};
use super::ranges::{Ranges, number};
use super::walk::{End, Walk, Way};
use crate::host::network::Network;
use crate::host::nftables::{Chain, Family, HookPoint, Ruleset};

/// Where connection tracking stands among the chains of prerouting.
const TRACKING: i32 = -200;
/// Where addresses are translated there.
const NAT: i32 = -100;

/// The machine's place, as far as packets are concerned.
#[derive(Clone, Debug, Default)]
pub struct Machine {
    /// Ways in, loopback left out.
    pub ways: Vec<WayIn>,
    /// Own addresses, IPv4 and IPv6, without loopback.
    pub local: [Ranges; 2],
    /// Whether it forwards, IPv4 and IPv6.
    pub forwards: [bool; 2],
    /// Destination, bits, interface.
    routes: Vec<(IpAddr, u8, u32)>,
    names: BTreeMap<u32, String>,
}

/// An interface that packets come in by.
#[derive(Clone, Debug, Default)]
pub struct WayIn {
    /// As rules see it.
    pub way: Way,
    /// Whether it leads to everywhere, IPv4 and IPv6.
    pub outward: [bool; 2],
    /// Names of its ports, if it is a bridge or bond.
    ports: Vec<String>,
    own: [Ranges; 2],
    /// Addresses whose packets come by it: all where it leads to everywhere, else those that it has a route to.
    pub senders: [Ranges; 2],
}

const LINK_LOCAL: (u128, u128) = (0xfe80 << 112, (0xfec0 << 112) - 1);

impl Machine {
    /// From what the kernel tells.
    pub fn new(network: &Network, forwards: [bool; 2]) -> Self {
        let mut local = [Ranges::default(), Ranges::default()];
        for (address, _) in network.addresses.iter().filter(|(a, _)| !a.is_loopback()) {
            let set = &mut local[usize::from(address.is_ipv6())];
            *set = set.or(&Ranges::of(number(*address), number(*address)));
        }
        let is_default = |index: u32, v6: bool| network.routes.iter().any(|r| r.length == 0 && r.interface == index && r.destination.is_ipv6() == v6);
        let is_port = |master: u32| network.links.iter().any(|l| l.index == master && ["bridge", "bond", "team"].contains(&l.kind.as_str()));
        let any = [false, true].map(|v6| network.links.iter().any(|l| l.up && is_default(l.index, v6)));
        let mut ways = Vec::new();
        for link in network.links.iter().filter(|l| !l.loopback && l.up && !is_port(l.master)) {
            let mut own = [Ranges::default(), Ranges::default()];
            for (address, _) in network.addresses.iter().filter(|(_, index)| *index == link.index) {
                let set = &mut own[usize::from(address.is_ipv6())];
                *set = set.or(&Ranges::of(number(*address), number(*address)));
            }
            let way = Way { index: link.index, name: link.name.clone(), hardware: link.hardware, group: link.group, kind: link.kind.clone(), ..Way::default() };
            let ports = network.links.iter().filter(|l| l.master == link.index).map(|l| l.name.clone()).collect();
            let outward = [false, true].map(|v6| is_default(link.index, v6) || !any[usize::from(v6)]);
            let senders = [false, true].map(|v6| if outward[usize::from(v6)] { universe(v6) } else { routed(network, link.index, v6) });
            ways.push(WayIn { way, outward, ports, own, senders });
        }
        let routes = network.routes.iter().map(|r| (r.destination, r.length, r.interface)).collect();
        let names = network.links.iter().map(|l| (l.index, l.name.clone())).collect();
        Self { ways, local, forwards, routes, names }
    }

    /// Whether it has an address of this family that others reach.
    pub fn has(&self, v6: bool) -> bool {
        !self.local[usize::from(v6)].is_empty() && !self.ways.is_empty()
    }

    /// The interface that leads to an address: the longest route.
    fn out(&self, address: u128, v6: bool) -> (u32, String) {
        let bits: u32 = if v6 { 128 } else { 32 };
        let holds = |to: &IpAddr, length: u8| {
            let shift = bits.saturating_sub(length.into());
            to.is_ipv6() == v6 && (shift >= 128 || number(*to) >> shift == address >> shift)
        };
        let best = self.routes.iter().filter(|(to, length, _)| holds(to, *length)).max_by_key(|(_, length, _)| *length);
        best.map_or((0, String::new()), |(_, _, index)| (*index, self.names.get(index).cloned().unwrap_or_default()))
    }
}

/// Addresses that an interface has a route to, and those that need none.
fn routed(network: &Network, index: u32, v6: bool) -> Ranges {
    let bits: u32 = if v6 { 128 } else { 32 };
    let of = |r: &crate::host::network::Route| {
        let (first, open) = (number(r.destination), bits.saturating_sub(r.length.into()));
        (first, if open >= 128 { u128::MAX } else { first | ((1 << open) - 1) })
    };
    let mut list: Vec<(u128, u128)> = network.routes.iter().filter(|r| r.interface == index && r.destination.is_ipv6() == v6).map(of).collect();
    if v6 {
        list.push(LINK_LOCAL);
    }
    Ranges::from_list(list).and(&universe(v6))
}

/// Addresses that can be a source.
fn universe(v6: bool) -> Ranges {
    if v6 { Ranges::of(2, (0xff00 << 112) - 1) } else { Ranges::from_list(vec![(1 << 24, (127 << 24) - 1), (128 << 24, (224 << 24) - 1)]) }
}

/// Whether it is half or more of all addresses.
pub fn is_everywhere(sources: &Ranges, v6: bool) -> bool {
    // Of IPv6 the part that is given out (2000::/3).
    let all = if v6 { Ranges::of(0x2000 << 112, (0x4000 << 112) - 1) } else { universe(false) };
    sources.and(&all).size() >= all.size() / 2
}

/// Sources that get through.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reached {
    /// Those that do.
    pub sure: Ranges,
    /// Those that may.
    pub unsure: Ranges,
    /// Why it is not certain.
    pub doubt: String,
    /// Rules that let them.
    pub through: BTreeSet<String>,
}

impl Reached {
    /// Takes the classes that got through.
    pub fn add(&mut self, packets: &[Packet]) {
        for packet in packets {
            match &packet.doubt {
                None => self.sure = self.sure.or(&packet.source),
                Some(why) => {
                    self.unsure = self.unsure.or(&packet.source);
                    if self.doubt.is_empty() {
                        self.doubt.clone_from(why);
                    }
                }
            }
            if !packet.through.is_empty() && packet.doubt.is_none() {
                self.through.insert(packet.through.clone());
            }
        }
    }
}

/// A translation of the destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Translation {
    /// What it leads to, with the destination and ports before it.
    pub packet: Packet,
    /// Classes that get there.
    pub arrived: Vec<Packet>,
    /// Whether it leads to this machine.
    pub is_local: bool,
}

/// Everything a judgement needs.
#[derive(Clone, Copy, Debug)]
pub struct Reach<'a> {
    /// Rules.
    pub ruleset: &'a Ruleset,
    /// Machine.
    pub machine: &'a Machine,
}

/// What comes of the first packets: classes at the door, in which translated ones are apart.
struct Arrived {
    direct: Vec<Packet>,
    translated: Vec<Packet>,
}

impl Reach<'_> {
    /// First packets to these addresses and ports: those from link-local addresses go to such alone.
    fn first(&self, v6: bool, udp: bool, destination: &Ranges, port: &Ranges) -> Vec<Packet> {
        let packet = |source: Ranges, destination: Ranges| Packet {
            v6,
            udp,
            source,
            destination,
            source_port: Ranges::of(1, 65_535),
            port: port.clone(),
            mark: Some(0),
            connection_mark: Some(0),
            tracking: Tracking::Before,
            translated: None,
            through: String::new(),
            doubt: None,
        };
        let near = Ranges::of(LINK_LOCAL.0, LINK_LOCAL.1);
        let mut out = Vec::new();
        if v6 {
            out.push(packet(near.clone(), destination.and(&near)));
            out.push(packet(universe(true).minus(&near), destination.minus(&near)));
        } else {
            out.push(packet(universe(false), destination.clone()));
        }
        out.retain(|p| !p.destination.is_empty());
        out
    }

    /// Who reaches a port of this machine, by interface.
    pub fn listener(&self, v6: bool, udp: bool, destination: &Ranges, port: u16, translations: &[Vec<Translation>]) -> Vec<Reached> {
        let wanted = Ranges::of(port.into(), port.into());
        let mut out = Vec::new();
        for (index, way_in) in self.machine.ways.iter().enumerate() {
            let way = self.way(way_in, v6);
            let mut reached = Reached::default();
            let mut walk = Walk::new(self.ruleset, &way);
            let arrived = self.arrive(&mut walk, way_in, self.first(v6, udp, destination, &wanted));
            let accepted = self.input(&mut walk, v6, arrived.direct);
            reached.add(&accepted);
            let redirected = translations.get(index).into_iter().flatten().filter(|t| t.is_local && t.packet.v6 == v6 && t.packet.udp == udp);
            for translation in redirected {
                let here = |p: &&Packet| !p.port.and(&wanted).is_empty() && !p.destination.and(destination).is_empty();
                reached.add(&translation.arrived.iter().filter(here).cloned().collect::<Vec<_>>());
            }
            out.push(reached);
        }
        out
    }

    /// Translations of the destination, by interface.
    pub fn translations(&self, v6: bool, udp: bool) -> Vec<Vec<Translation>> {
        let has_nat = self.chains(v6, HookPoint::Prerouting, None).iter().any(|c| is_nat(c));
        let each = |way_in: &WayIn| {
            if !has_nat {
                return Vec::new();
            }
            let way = self.way(way_in, v6);
            let mut walk = Walk::new(self.ruleset, &way);
            let first = self.first(v6, udp, &self.machine.local[usize::from(v6)], &Ranges::of(1, 65_535));
            let arrived = self.arrive(&mut walk, way_in, first);
            arrived.translated.into_iter().map(|packet| self.follow(way_in, packet)).collect()
        };
        self.machine.ways.iter().map(each).collect()
    }

    /// Where a translated class ends.
    fn follow(&self, way_in: &WayIn, packet: Packet) -> Translation {
        let v6 = packet.v6;
        let mut way = self.way(way_in, v6);
        let is_local = packet.destination.minus(&way.local).is_empty() || packet.destination.minus(&Ranges::of(127 << 24, (128 << 24) - 1)).is_empty();
        if !is_local {
            way.out = packet.destination.list().first().map_or_else(Default::default, |(first, _)| self.machine.out(*first, v6));
        }
        let mut walk = Walk::new(self.ruleset, &way);
        let arrived = if is_local {
            self.input(&mut walk, v6, vec![packet.clone()])
        } else if self.machine.forwards[usize::from(v6)] {
            self.pass(&mut walk, &self.chains(v6, HookPoint::Forward, None), vec![packet.clone()])
        } else {
            Vec::new()
        };
        Translation { arrived, packet, is_local }
    }

    /// Ports that everybody reaches although no rule may name them: for sure, and perhaps, with the reason.
    pub fn open_ports(&self, v6: bool) -> (Ranges, Ranges, String) {
        let (mut sure, mut unsure, mut doubt) = (Ranges::default(), Ranges::default(), String::new());
        for way_in in self.machine.ways.iter().filter(|w| w.outward[usize::from(v6)]) {
            let way = self.way(way_in, v6);
            let mut walk = Walk::new(self.ruleset, &way);
            let first = self.first(v6, false, &self.machine.local[usize::from(v6)], &Ranges::of(1, 65_535));
            let only_near = first.iter().all(|p| !is_everywhere(&p.source, v6));
            let arrived = self.arrive(&mut walk, way_in, first);
            let accepted = self.input(&mut walk, v6, arrived.direct);
            for packet in accepted {
                if !only_near && !is_everywhere(&packet.source, v6) {
                    continue;
                }
                match &packet.doubt {
                    None => sure = sure.or(&packet.port),
                    Some(why) => {
                        unsure = unsure.or(&packet.port);
                        doubt.clone_from(why);
                    }
                }
            }
        }
        (sure, unsure, doubt)
    }

    fn way(&self, way_in: &WayIn, v6: bool) -> Way {
        Way { own: way_in.own[usize::from(v6)].clone(), local: self.machine.local[usize::from(v6)].clone(), ..way_in.way.clone() }
    }

    /// Ingress and prerouting.
    fn arrive(&self, walk: &mut Walk<'_>, way_in: &WayIn, packets: Vec<Packet>) -> Arrived {
        let Some(v6) = packets.first().map(|p| p.v6) else { return Arrived { direct: Vec::new(), translated: Vec::new() } };
        let mut packets = self.pass(walk, &self.chains(v6, HookPoint::Ingress, Some(&way_in.way.name)), packets);
        for port in &way_in.ports {
            if !self.chains(v6, HookPoint::Ingress, Some(port)).is_empty() {
                let why = format!("rules at the ingress of {port}, a port of {}", way_in.way.name);
                packets = packets.into_iter().map(|p| p.doubted(&why)).collect();
            }
        }
        let chains = self.chains(v6, HookPoint::Prerouting, None);
        let those = |range: std::ops::RangeInclusive<i32>| -> Vec<&Chain> {
            chains.iter().filter(|c| !is_nat(c) && c.hook.as_ref().is_some_and(|h| range.contains(&h.priority))).copied().collect()
        };
        packets = self.pass(walk, &those(i32::MIN..=TRACKING), packets);
        for packet in &mut packets {
            if packet.tracking == Tracking::Before {
                packet.tracking = Tracking::New;
            }
        }
        packets = self.pass(walk, &those(TRACKING + 1..=NAT - 1), packets);
        let (mut direct, mut translated): (Vec<Packet>, Vec<Packet>) = packets.into_iter().partition(|p| p.tracking == Tracking::Untracked);
        let mut left = std::mem::take(&mut translated);
        for chain in chains.iter().filter(|c| is_nat(c)) {
            let after = self.pass(walk, &[*chain], left);
            let (done, open): (Vec<Packet>, Vec<Packet>) = after.into_iter().partition(|p| p.translated.is_some());
            translated.extend(done);
            left = open;
        }
        direct.extend(left);
        let rest = those(NAT..=i32::MAX);
        Arrived { direct: self.pass(walk, &rest, direct), translated: self.pass(walk, &rest, translated) }
    }

    fn input(&self, walk: &mut Walk<'_>, v6: bool, packets: Vec<Packet>) -> Vec<Packet> {
        self.pass(walk, &self.chains(v6, HookPoint::Input, None), packets)
    }

    /// What every one of these base chains lets by.
    fn pass(&self, walk: &mut Walk<'_>, chains: &[&Chain], mut packets: Vec<Packet>) -> Vec<Packet> {
        for chain in chains {
            let drops = chain.hook.as_ref().is_some_and(|h| h.drops);
            let outcomes = walk.chain(chain, packets, 0);
            packets = outcomes.into_iter().filter(|(_, end)| *end == End::Accept || (*end == End::Return && !drops)).map(|(p, _)| p).collect();
        }
        packets
    }

    /// Base chains of a hook in their order.
    fn chains(&self, v6: bool, point: HookPoint, device: Option<&str>) -> Vec<&Chain> {
        let own = if v6 { Family::Ip6 } else { Family::Ip };
        let is_dormant = |c: &Chain| self.ruleset.tables.iter().any(|t| t.dormant && t.family == c.family && t.name == c.table);
        let is_at = |c: &&Chain| {
            let Some(hook) = &c.hook else { return false };
            let of_device = device.is_none_or(|d| hook.devices.iter().any(|h| h == d || h.strip_suffix('*').is_some_and(|p| d.starts_with(p))));
            hook.point == point && of_device && !is_dormant(c) && (c.family == own || c.family == Family::Inet || c.family == Family::Netdev)
        };
        let mut out: Vec<&Chain> = self.ruleset.chains.values().filter(is_at).collect();
        out.sort_by_key(|c| c.hook.as_ref().map(|h| h.priority));
        out
    }
}

fn is_nat(chain: &Chain) -> bool {
    chain.hook.as_ref().is_some_and(|h| h.kind == "nat")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::network::{Link, Route};
    use crate::host::nftables::{Comparison, Expression, Hook, Load, Rule, Table, Verdict};

    fn machine() -> Machine {
        let link = |index, name: &str| Link { index, name: name.into(), up: true, ..Link::default() };
        let network = Network {
            links: vec![Link { index: 1, name: "lo".into(), loopback: true, up: true, ..Link::default() }, link(2, "eth0"), link(3, "eth1")],
            addresses: vec![("127.0.0.1".parse().unwrap(), 1), ("192.0.2.1".parse().unwrap(), 2), ("10.0.0.1".parse().unwrap(), 3)],
            routes: vec![
                Route { destination: "0.0.0.0".parse().unwrap(), length: 0, interface: 2 },
                Route { destination: "10.0.0.0".parse().unwrap(), length: 24, interface: 3 },
            ],
        };
        Machine::new(&network, [false; 2])
    }

    fn ruleset(drops: bool, rules: Vec<Vec<Expression>>) -> Ruleset {
        let chain = |name: &str, hook, rules: Vec<Vec<Expression>>| Chain {
            family: Family::Inet,
            table: "t".into(),
            name: name.into(),
            hook,
            rules: rules.into_iter().map(|expressions| Rule { expressions, ..Rule::default() }).collect(),
        };
        let hook = Hook { point: HookPoint::Input, priority: 0, devices: Vec::new(), kind: "filter".into(), drops };
        let logs = chain("logs", None, vec![vec![Expression::Silent("log".into())]]);
        let chains = [chain("in", Some(hook), rules), logs];
        Ruleset {
            tables: vec![Table { family: Family::Inet, name: "t".into(), dormant: false }],
            chains: chains.into_iter().map(|c| ((c.family, c.table.clone(), c.name.clone()), c)).collect(),
            ..Ruleset::default()
        }
    }

    /// Word for word: who is sure, who is not, on eth0.
    fn of(drops: bool, rules: Vec<Vec<Expression>>) -> (bool, bool, String) {
        let (ruleset, machine) = (ruleset(drops, rules), machine());
        let reach = Reach { ruleset: &ruleset, machine: &machine };
        let reached = &reach.listener(false, false, &machine.local[0], 22, &[])[0];
        (is_everywhere(&reached.sure, false), is_everywhere(&reached.unsure, false), reached.doubt.clone())
    }

    fn verdict(verdict: Verdict) -> Expression {
        Expression::Verdict(verdict)
    }

    fn odd() -> Expression {
        Expression::Other("odd".into())
    }

    fn port(number: u16) -> Vec<Expression> {
        vec![
            Expression::Payload { load: Load::Transport, offset: 2, length: 2, to: 1 },
            Expression::Compare { register: 1, how: Comparison::Equal, value: number.to_be_bytes().to_vec() },
        ]
    }

    #[test]
    fn what_is_not_understood_never_passes_for_a_drop_or_an_accept() {
        let doubt = "inet t in rule 1: odd".to_string();
        assert_eq!(of(true, vec![vec![odd(), verdict(Verdict::Accept)]]), (false, true, doubt.clone()));
        assert_eq!(of(false, vec![vec![odd(), verdict(Verdict::Drop)]]), (false, true, doubt));
        // It does not matter where the rest decides alike, or where nothing is decided.
        assert!(of(false, vec![vec![odd(), verdict(Verdict::Accept)]]).0);
        assert_eq!(of(true, vec![vec![odd(), verdict(Verdict::Drop)]]), (false, false, String::new()));
        assert!(of(false, vec![vec![odd(), Expression::Silent("log".into())]]).0);
        assert!(of(false, vec![vec![odd(), verdict(Verdict::Jump("logs".into()))]]).0);
        // A match before it that fails keeps it out of the way.
        let other = [port(23), vec![odd(), verdict(Verdict::Drop)]].concat();
        assert_eq!(of(false, vec![other]), (true, false, String::new()));
    }

    #[test]
    fn limits_let_some_through() {
        assert!(of(true, vec![vec![Expression::Varying("limit"), verdict(Verdict::Accept)]]).0);
        assert!(of(false, vec![vec![Expression::Varying("limit"), verdict(Verdict::Drop)]]).0);
    }

    #[test]
    fn loops_end_in_doubt() {
        let (sure, unsure, doubt) = of(true, vec![vec![verdict(Verdict::Jump("in".into()))]]);
        assert_eq!((sure, unsure, doubt.as_str()), (false, true, "more cases than the limit"));
        assert!(of(true, vec![vec![verdict(Verdict::Jump("gone".into()))]]).1);
    }

    #[test]
    fn inner_interfaces_have_their_own_senders() {
        let machine = machine();
        assert_eq!(machine.ways.iter().map(|w| (w.way.name.as_str(), w.outward[0])).collect::<Vec<_>>(), [("eth0", true), ("eth1", false)]);
        assert_eq!(machine.ways[1].senders[0].networks(false, 9).0, ["10.0.0.0/24"]);
        assert_eq!(machine.out(number("10.0.0.9".parse().unwrap()), false), (3, "eth1".to_string()));
        assert!(machine.has(false) && !machine.has(true));
    }
}
