//! Exposures of listeners and published ports, as documents.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::ranges::{Ranges, address, number};
use super::reach::{Reach, Reached, Translation, is_everywhere};
use super::{Exposure, Firewall, Input, KERNEL, Published, endpoint};
use crate::facts::Document as _;
use crate::host::nftables::{Family, HookPoint};
use crate::host::sock_diag::{self, DiagSocket};
use crate::host::{Host, sockets};
use crate::model::fact::Source;
use crate::model::gap::{Gaps, reason};

/// Most networks named of one exposure.
const NETWORKS_LIMIT: usize = 64;
/// Most listeners judged.
const LISTENERS_LIMIT: usize = 2_000;
/// Of 65,535 ports, what counts as most of them.
const MOST_PORTS: u128 = 32_768;

const TABLES: [(&str, bool); 4] = [("/proc/net/tcp", false), ("/proc/net/tcp6", false), ("/proc/net/udp", true), ("/proc/net/udp6", true)];

/// A listener.
struct Listener {
    address: IpAddr,
    port: u16,
    udp: bool,
    /// Whether an IPv6 socket takes IPv4.
    dual: bool,
}

/// Defaults of both IP versions.
pub fn inputs(reach: &Reach<'_>) -> Vec<Input> {
    let mut out = Vec::new();
    for v6 in [false, true] {
        let own = if v6 { Family::Ip6 } else { Family::Ip };
        let looks = |c: &&crate::host::nftables::Chain| {
            c.hook.as_ref().is_some_and(|h| matches!(h.point, HookPoint::Input | HookPoint::Prerouting | HookPoint::Ingress) && h.kind != "nat")
                && (c.family == own || c.family == Family::Inet || c.family == Family::Netdev)
        };
        let chains: Vec<_> = reach.ruleset.chains.values().filter(looks).collect();
        let in_use = reach.machine.has(v6);
        let (sure, unsure, doubt) = if in_use { reach.open_ports(v6) } else { (Ranges::default(), Ranges::default(), String::new()) };
        let default = match (in_use, sure.size() > MOST_PORTS, sure.or(&unsure).size() > MOST_PORTS) {
            (false, ..) => "drop",
            (true, true, _) => "accept",
            (true, false, true) => "unknown",
            (true, false, false) => "drop",
        };
        let chain = chains.iter().find(|c| c.hook.as_ref().is_some_and(|h| h.point == HookPoint::Input));
        let directive = chain.map(|c| format!("{} {} {}", c.family.word(), c.table, c.name)).unwrap_or_default();
        out.push(Input {
            subject: if v6 { "ipv6" } else { "ipv4" }.into(),
            in_use,
            filtered: !chains.is_empty(),
            open: if default == "drop" { sure.ports() } else { String::new() },
            doubt: if default == "unknown" { doubt } else { String::new() },
            default: default.into(),
            source: Source { place: KERNEL.into(), line: 0, directive },
        });
    }
    out
}

/// Joins listeners and published ports to the rules.
pub fn gather(host: &Host, gaps: &mut Gaps, reach: &Reach<'_>, into: &mut Firewall) {
    let every: BTreeMap<(bool, bool), Vec<Vec<Translation>>> =
        [(false, false), (false, true), (true, false), (true, true)].into_iter().map(|(v6, udp)| ((v6, udp), reach.translations(v6, udp))).collect();
    let mut listeners = listeners(host, gaps);
    if listeners.len() > LISTENERS_LIMIT {
        let detail = format!("{} listeners, {LISTENERS_LIMIT} of them are judged", listeners.len());
        gaps.note(Firewall::NAME, "exposures", "", reason::LIMIT_REACHED, detail, "");
        listeners.truncate(LISTENERS_LIMIT);
    }
    into.exposures = listeners.iter().map(|l| exposure(reach, l, &every)).collect();
    into.exposures.sort_by(|a, b| a.subject.cmp(&b.subject));
    into.exposures.dedup_by(|a, b| a.subject == b.subject);
    into.published = published(reach, &every);
}

fn listeners(host: &Host, gaps: &mut Gaps) -> Vec<Listener> {
    // Without it: an IPv6 socket takes IPv4 unless an IPv4 socket has the port.
    let told: Vec<DiagSocket> = sock_diag::listening().unwrap_or_default();
    let mut out = Vec::new();
    for (place, udp) in TABLES {
        match sockets::read_table(host, place, !udp) {
            Ok(found) => {
                for socket in found {
                    let v6only = told.iter().find(|t| t.inode == socket.inode).and_then(|t| t.v6only);
                    let v4_has_it = || out.iter().any(|l: &Listener| l.udp == udp && l.port == socket.port && l.address == IpAddr::V4(Ipv4Addr::UNSPECIFIED));
                    let dual = socket.address == IpAddr::V6(Ipv6Addr::UNSPECIFIED) && !v6only.unwrap_or_else(v4_has_it);
                    out.push(Listener { address: socket.address, port: socket.port, udp, dual });
                }
            }
            Err(e) if e.is_not_found() && place.ends_with('6') => {}
            Err(e) => gaps.add(e.to_gap(Firewall::NAME, "exposures", "")),
        }
    }
    out.retain(|l| !plain(l.address).is_loopback());
    // Several sockets of one address and port are one listener, which takes what any of them does.
    out.sort_by_key(|l| (l.udp, l.address, l.port, !l.dual));
    out.dedup_by_key(|l| (l.udp, l.address, l.port));
    out
}

/// An IPv4 address that is written as an IPv6 one.
fn plain(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(a) => a.to_ipv4_mapped().map_or(address, IpAddr::V4),
        IpAddr::V4(_) => address,
    }
}

/// What one IP version's run says.
#[derive(Default)]
struct Word {
    from: &'static str,
    networks: Vec<String>,
    more: bool,
    excluded: Vec<String>,
    interfaces: BTreeSet<String>,
    through: BTreeSet<String>,
    doubt: String,
}

fn word(reach: &Reach<'_>, reached: &[Reached], v6: bool) -> Word {
    let mut word = Word { from: "nowhere", ..Word::default() };
    let (mut some, mut doubtful, mut open) = (Ranges::default(), false, None);
    for (way, reached) in reach.machine.ways.iter().zip(reached) {
        let outward = way.outward.get(usize::from(v6)).copied().unwrap_or(true);
        if outward && is_everywhere(&reached.sure, v6) {
            open = Some(reached.sure.clone());
        }
        let senders = way.senders.get(usize::from(v6)).cloned().unwrap_or_default();
        let sure = reached.sure.and(&senders);
        if !reached.unsure.and(&senders).minus(&sure).is_empty() {
            doubtful = true;
            word.doubt.clone_from(&reached.doubt);
        }
        if !sure.is_empty() {
            word.interfaces.insert(way.way.name.clone());
            word.through.extend(reached.through.iter().cloned());
            some = some.or(&sure);
        }
    }
    match (open, doubtful, some.is_empty()) {
        (Some(sure), ..) => {
            word.from = "everywhere";
            word.doubt.clear();
            // Near addresses reach their like alone: that is no exclusion.
            let near = if v6 { Ranges::of(0xfe80 << 112, (0xfec0 << 112) - 1).or(&Ranges::of(0, 1)) } else { Ranges::default() };
            let reserved = if v6 {
                Ranges::of(0xff00 << 112, u128::MAX)
            } else {
                Ranges::from_list(vec![(0, (1 << 24) - 1), (127 << 24, (128 << 24) - 1), (224 << 24, u128::from(u32::MAX))])
            };
            let all = if v6 { Ranges::of(0, u128::MAX) } else { Ranges::of(0, u128::from(u32::MAX)) };
            word.excluded = all.minus(&sure).minus(&near).minus(&reserved).networks(v6, NETWORKS_LIMIT).0;
        }
        (None, true, _) => word.from = "unknown",
        (None, false, false) => word.from = "networks",
        (None, false, true) => {}
    }
    if word.from == "networks" || word.from == "unknown" {
        let (networks, complete) = some.networks(v6, NETWORKS_LIMIT);
        word.networks = networks;
        word.more = !complete;
    }
    word
}

/// The wider of two words.
pub fn widest<'a>(a: &'a str, b: &'a str) -> &'a str {
    let rank = |word: &str| ["absent", "nowhere", "networks", "unknown", "everywhere"].iter().position(|w| *w == word).unwrap_or_default();
    if rank(a) >= rank(b) { a } else { b }
}

fn exposure(reach: &Reach<'_>, listener: &Listener, translations: &BTreeMap<(bool, bool), Vec<Vec<Translation>>>) -> Exposure {
    let address = plain(listener.address);
    let mut words = [Word { from: "absent", ..Word::default() }, Word { from: "absent", ..Word::default() }];
    for (v6, word_of) in [false, true].into_iter().zip(&mut words) {
        let takes = if address.is_unspecified() { address.is_ipv6() == v6 || (listener.dual && !v6) } else { address.is_ipv6() == v6 };
        if !takes || !reach.machine.has(v6) {
            continue;
        }
        let local = reach.machine.local.get(usize::from(v6)).cloned().unwrap_or_default();
        let destination = if address.is_unspecified() { local } else { Ranges::of(number(address), number(address)) };
        let empty = Vec::new();
        let led = translations.get(&(v6, listener.udp)).unwrap_or(&empty);
        *word_of = word(reach, &reach.listener(v6, listener.udp, &destination, listener.port, led), v6);
    }
    let [four, six] = words;
    let transport = if listener.udp { "udp" } else { "tcp" };
    let from = match widest(four.from, six.from) {
        "absent" => "nowhere",
        other => other,
    };
    let through: BTreeSet<String> = four.through.iter().chain(&six.through).cloned().collect();
    let directive = through.first().cloned().unwrap_or_default();
    let joined = |a: Vec<String>, b: Vec<String>| a.into_iter().chain(b).collect();
    Exposure {
        subject: format!("{}/{transport}", std::net::SocketAddr::new(listener.address, listener.port)),
        endpoint: format!("{}/{transport}", listener.port),
        from: from.into(),
        ipv4: four.from.into(),
        ipv6: six.from.into(),
        networks: joined(four.networks, six.networks),
        more_networks: four.more || six.more,
        excluded: joined(four.excluded, six.excluded),
        interfaces: four.interfaces.into_iter().chain(six.interfaces).collect::<BTreeSet<_>>().into_iter().collect(),
        through: through.into_iter().collect(),
        doubt: if four.doubt.is_empty() { six.doubt } else { four.doubt },
        source: Source { place: KERNEL.into(), line: 0, directive },
    }
}

/// Ports before; address, port after; addresses before; rule; whether it leads to this machine.
type Led = (Ranges, Ranges, Ranges, Ranges, String, bool);

/// Translations that lead to one place, over all interfaces.
fn published(reach: &Reach<'_>, translations: &BTreeMap<(bool, bool), Vec<Vec<Translation>>>) -> Vec<Published> {
    let mut out: BTreeMap<String, Published> = BTreeMap::new();
    for ((v6, udp), by_way) in translations {
        let mut groups: BTreeMap<Led, Vec<Reached>> = BTreeMap::new();
        for (index, list) in by_way.iter().enumerate() {
            for translation in list {
                let Some((before, ports, rule)) = translation.packet.translated.clone() else { continue };
                let key = (ports, translation.packet.destination.clone(), translation.packet.port.clone(), before, rule, translation.is_local);
                let reached = groups.entry(key).or_insert_with(|| vec![Reached::default(); by_way.len()]);
                if let Some(reached) = reached.get_mut(index) {
                    reached.add(&translation.arrived);
                }
            }
        }
        for ((ports, destination, port, before, rule, local), reached) in groups {
            let word = word(reach, &reached, *v6);
            let own = reach.machine.local.get(usize::from(*v6)).cloned().unwrap_or_default();
            let first = destination.list().first().map_or(0, |(first, _)| *first);
            let target = endpoint(address(first, *v6), &port.ports());
            let transport = if *udp { "udp" } else { "tcp" };
            let addresses = if before == own { Vec::new() } else { before.networks(*v6, NETWORKS_LIMIT).0 };
            let what = if local { format!("this machine's port {}", port.ports()) } else { target.clone() };
            let subject = format!("{}/{transport} to {what}", ports.ports());
            // The same port on several own addresses is one that is published on all of them.
            let item = Published {
                subject: subject.clone(),
                ports: ports.ports(),
                transport: transport.into(),
                addresses,
                target,
                local,
                from: word.from.into(),
                networks: word.networks,
                more_networks: word.more,
                doubt: word.doubt,
                source: Source { place: KERNEL.into(), line: 0, directive: rule },
            };
            match out.get_mut(&subject) {
                None => {
                    out.insert(subject, item);
                }
                Some(there) => {
                    let wider = widest(&there.from, &item.from) == item.from && there.from != item.from;
                    let addresses: BTreeSet<String> = there.addresses.iter().chain(&item.addresses).cloned().collect();
                    if wider {
                        *there = item;
                    }
                    there.addresses = addresses.into_iter().collect();
                }
            }
        }
    }
    out.into_values().collect()
}
