//! Matches and targets of xtables, whose bytes iptables-nft hands to the kernel as they are
//! (linux/netfilter/xt_*.h), in the host's byte order unless said otherwise.

use super::packet::{Field, Packet, Test, Tracking};
use super::ranges::Ranges;

/// SYN, and nothing else: how a TCP connection begins.
pub const SYN: u8 = 0x02;

/// What a target does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The packet goes on.
    None,
    /// It is dropped.
    Drop,
    /// Connection tracking does not look.
    Untrack,
    /// The mark becomes this.
    Mark(Option<u32>),
    /// The mark of the connection becomes this.
    ConnectionMark(Option<u32>),
    /// The destination becomes this; `None` leaves it.
    Dnat { address: Option<Ranges>, port: Option<Ranges> },
    /// It comes to this machine.
    Redirect { port: Option<Ranges> },
    /// It can't be told, and why.
    Unknown(String),
}

/// What a match says.
pub fn matches(name: &str, revision: u32, info: &[u8], packet: &Packet, is_local: bool) -> Test {
    let test = match name {
        "comment" | "nfacct" => Some(Test::All),
        "limit" | "hashlimit" | "statistic" | "connlimit" | "quota" | "time" | "rateest" => Some(Test::Varying),
        "tcp" => tcp(info, packet),
        "udp" => udp(info),
        "multiport" => multiport(revision, info),
        "conntrack" => conntrack(revision, info, packet),
        "state" => long(info, 0).map(|mask| Test::plain(mask & tracking_bit(packet) != 0)),
        "addrtype" => addrtype(revision, info, is_local),
        "mark" => marked(info, packet.mark),
        "connmark" => marked(info, packet.connection_mark),
        "iprange" => iprange(info, packet),
        // 0: to this host.
        "pkttype" => long(info, 0).and_then(|kind| Some(Test::plain(kind == 0).inverted(long(info, 4)? != 0))),
        // An honest sender comes by the interface that leads back to it.
        "rpfilter" => info.first().map(|flags| Test::plain(flags & 8 == 0)),
        "helper" => long(info, 0).map(|invert| Test::plain(invert != 0)),
        "recent" => recent(info),
        _ => None,
    };
    test.unwrap_or_else(|| Test::Unknown(format!("match {name}")))
}

fn short(info: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(info.get(at..at + 2)?.try_into().ok()?))
}

fn long(info: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(info.get(at..at + 4)?.try_into().ok()?))
}

fn ports(field: Field, from: u16, to: u16, invert: bool) -> Test {
    if from == 0 && to == u16::MAX && !invert {
        return Test::All;
    }
    Test::Parts(vec![vec![(field, Ranges::of(from.into(), to.into()))]]).inverted(invert)
}

/// Both at once; one that says nothing more is left out.
fn both(a: Test, b: Test) -> Test {
    match (a, b) {
        (Test::Nothing, _) | (_, Test::Nothing) => Test::Nothing,
        (Test::All, other) | (other, Test::All) => other,
        (Test::Unknown(why), _) | (_, Test::Unknown(why)) => Test::Unknown(why),
        (Test::Parts(a), Test::Parts(b)) => Test::Parts(a.iter().flat_map(|x| b.iter().map(move |y| x.iter().chain(y).cloned().collect())).collect()),
        _ => Test::Unknown("a match with two exceptions".into()),
    }
}

/// `struct xt_tcp`.
fn tcp(info: &[u8], packet: &Packet) -> Option<Test> {
    if packet.udp {
        return Some(Test::Nothing);
    }
    let (option, mask, wanted, invert) = (*info.get(8)?, *info.get(9)?, *info.get(10)?, *info.get(11)?);
    let source = ports(Field::SourcePort, short(info, 0)?, short(info, 2)?, invert & 1 != 0);
    let destination = ports(Field::Port, short(info, 4)?, short(info, 6)?, invert & 2 != 0);
    let flags = Test::plain(SYN & mask == wanted).inverted(invert & 4 != 0);
    let option = if option == 0 { Test::All } else { Test::Unknown("match tcp-option".into()) };
    Some(both(both(flags, option), both(destination, source)))
}

/// `struct xt_udp`.
fn udp(info: &[u8]) -> Option<Test> {
    let invert = *info.get(8)?;
    let source = ports(Field::SourcePort, short(info, 0)?, short(info, 2)?, invert & 1 != 0);
    Some(both(source, ports(Field::Port, short(info, 4)?, short(info, 6)?, invert & 2 != 0)))
}

/// `struct xt_multiport_v1`.
fn multiport(revision: u32, info: &[u8]) -> Option<Test> {
    let (kind, count) = (*info.first()?, usize::from(*info.get(1)?).min(15));
    let mut list = Vec::new();
    let mut at = 0;
    while at < count {
        let from = short(info, 2 + at * 2)?;
        let is_range = revision >= 1 && *info.get(32 + at)? != 0 && at + 1 < count;
        at += usize::from(is_range);
        list.push((from.into(), short(info, 2 + at * 2)?.into()));
        at += 1;
    }
    let list = Ranges::from_list(list);
    let parts = match kind {
        0 => vec![vec![(Field::SourcePort, list)]],
        1 => vec![vec![(Field::Port, list)]],
        _ => vec![vec![(Field::SourcePort, list.clone())], vec![(Field::Port, list)]],
    };
    Some(Test::Parts(parts).inverted(revision >= 1 && *info.get(47)? != 0))
}

/// `XT_CONNTRACK_STATE_…` of a first packet.
fn tracking_bit(packet: &Packet) -> u32 {
    match packet.tracking {
        Tracking::Before => 1,
        Tracking::New => 8 | if packet.translated.is_some() { 128 } else { 0 },
        Tracking::Untracked => 256,
    }
}

/// `struct xt_conntrack_mtinfo1` to 3.
fn conntrack(revision: u32, info: &[u8], packet: &Packet) -> Option<Test> {
    let (flags, invert) = (short(info, 146)?, short(info, 148)?);
    let state = if revision >= 2 { short(info, 150)? } else { u16::from(*info.get(150)?) };
    const STATE: u16 = 1;
    const DIRECTION: u16 = 1 << 12;
    const ALIAS: u16 = 1 << 13;
    let mut test = Test::All;
    if flags & STATE != 0 {
        test = Test::plain(u32::from(state) & tracking_bit(packet) != 0).inverted(invert & STATE != 0);
    }
    if test == Test::Nothing {
        return Some(test);
    }
    // Without a connection the rest never matches; it goes in the original direction.
    if flags & DIRECTION != 0 {
        test = both(test, Test::plain(invert & DIRECTION == 0));
    }
    if flags & !(STATE | DIRECTION | ALIAS) != 0 {
        let rest = if packet.tracking == Tracking::New { Test::Unknown("match conntrack".into()) } else { Test::Nothing };
        test = both(test, rest);
    }
    Some(test)
}

/// `struct xt_addrtype_info_v1`; of revision 0 the last two words invert.
fn addrtype(revision: u32, info: &[u8], is_local: bool) -> Option<Test> {
    const UNICAST: u16 = 1 << 1;
    const LOCAL: u16 = 1 << 2;
    let (source, destination) = (short(info, 0)?, short(info, 2)?);
    let flags = long(info, 4)?;
    let invert_destination = if revision == 0 { long(info, 8)? != 0 } else { flags & 2 != 0 };
    let invert_source = if revision == 0 { flags != 0 } else { flags & 1 != 0 };
    let mut test = Test::All;
    if source != 0 {
        test = both(test, Test::plain(source & UNICAST != 0).inverted(invert_source));
    }
    if destination != 0 {
        test = both(test, Test::plain(destination & if is_local { LOCAL } else { UNICAST } != 0).inverted(invert_destination));
    }
    Some(test)
}

/// `struct xt_mark_mtinfo1`.
fn marked(info: &[u8], mark: Option<u32>) -> Option<Test> {
    let (wanted, mask, invert) = (long(info, 0)?, long(info, 4)?, *info.get(8)?);
    Some(match mark {
        Some(mark) => Test::plain(mark & mask == wanted).inverted(invert != 0),
        None => Test::Unknown("a mark that is not known".into()),
    })
}

/// `struct xt_iprange_mtinfo`: four addresses of 16 bytes in the network's order.
fn iprange(info: &[u8], packet: &Packet) -> Option<Test> {
    let flags = *info.get(64)?;
    let length = packet.bytes_of(Field::Source);
    let address = |at: usize| info.get(at * 16..at * 16 + length).map(|b| b.iter().fold(0_u128, |sum, byte| sum << 8 | u128::from(*byte)));
    let range = |field, at: usize, invert: bool| Some(Test::Parts(vec![vec![(field, Ranges::of(address(at)?, address(at + 1)?))]]).inverted(invert));
    let source = if flags & 1 != 0 { range(Field::Source, 0, flags & 16 != 0)? } else { Test::All };
    let destination = if flags & 2 != 0 { range(Field::Destination, 2, flags & 32 != 0)? } else { Test::All };
    Some(both(source, destination))
}

/// `struct xt_recent_mtinfo`: remembering always matches; having come often enough is a limit; having
/// come before at all is a knock at the door.
fn recent(info: &[u8]) -> Option<Test> {
    let (hits, what, invert) = (long(info, 4)?, *info.get(8)?, *info.get(9)?);
    match what & 0x0f {
        2 => Some(Test::plain(invert == 0)),
        1 | 4 if hits > 1 => Some(Test::Varying),
        _ => None,
    }
}

/// What a target does.
pub fn target(name: &str, revision: u32, info: &[u8], packet: &Packet) -> Effect {
    let effect = match name {
        "LOG" | "NFLOG" | "ULOG" | "TRACE" | "AUDIT" | "CHECKSUM" | "CLASSIFY" | "SECMARK" | "CONNSECMARK" | "TCPMSS" | "TCPOPTSTRIP" | "TTL" | "HL"
        | "DSCP" | "TOS" | "RATEEST" | "IDLETIMER" | "LED" | "TEE" | "SET" | "MASQUERADE" | "SNAT" | "ECN" => Some(Effect::None),
        "REJECT" => Some(Effect::Drop),
        "NOTRACK" => Some(Effect::Untrack),
        "CT" => short(info, 0).map(|flags| if flags & 1 != 0 { Effect::Untrack } else { Effect::None }),
        "MARK" => long(info, 0).map(|mark| Effect::Mark(packet.mark.zip(long(info, 4)).map(|(old, mask)| (old & !mask) ^ mark))),
        "CONNMARK" => connmark(info, packet),
        "DNAT" => translation(revision, info, packet).map(|(address, port)| Effect::Dnat { address, port }),
        "REDIRECT" => translation(revision, info, packet).map(|(_, port)| Effect::Redirect { port }),
        _ => None,
    };
    effect.unwrap_or_else(|| Effect::Unknown(format!("target {name}")))
}

/// `struct xt_connmark_tginfo1`.
fn connmark(info: &[u8], packet: &Packet) -> Option<Effect> {
    let (mark, mask, packet_mask, mode) = (long(info, 0)?, long(info, 4)?, long(info, 8)?, *info.get(12)?);
    Some(match mode {
        0 => Effect::ConnectionMark(packet.connection_mark.map(|old| (old & !mask) ^ mark)),
        1 => Effect::ConnectionMark(packet.connection_mark.zip(packet.mark).map(|(old, new)| (old & !mask) ^ (new & packet_mask))),
        2 => Effect::Mark(packet.mark.zip(packet.connection_mark).map(|(old, new)| (old & !packet_mask) ^ (new & mask))),
        _ => return None,
    })
}

/// `struct nf_nat_ipv4_multi_range_compat` of IPv4's revision 0, else `struct nf_nat_range` and its longer form.
fn translation(revision: u32, info: &[u8], packet: &Packet) -> Option<(Option<Ranges>, Option<Ranges>)> {
    const ADDRESSES: u32 = 1;
    const PORTS: u32 = 2;
    const OFFSET: u32 = 32;
    let is_compat = !packet.v6 && revision == 0;
    let (flags, first, length) = if is_compat { (long(info, 4)?, 8, 4) } else { (long(info, 0)?, 4, 16) };
    if flags & OFFSET != 0 {
        return None;
    }
    let address = |at: usize| {
        let shown = if packet.v6 { 16 } else { 4 };
        info.get(at..at + shown).map(|b| b.iter().fold(0_u128, |sum, byte| sum << 8 | u128::from(*byte)))
    };
    let port = |at: usize| info.get(at..at + 2).map(|b| b.iter().fold(0_u128, |sum, byte| sum << 8 | u128::from(*byte)));
    let addresses = (flags & ADDRESSES != 0).then(|| Some(Ranges::of(address(first)?, address(first + length)?)));
    let ports_at = first + 2 * length;
    let ports = (flags & PORTS != 0).then(|| Some(Ranges::of(port(ports_at)?, port(ports_at + 2)?)));
    Some((addresses.map_or(Some(None), |a| a.map(Some))?, ports.map_or(Some(None), |p| p.map(Some))?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::firewall::packet::sample;

    #[test]
    fn whatever_the_bytes_are_it_ends() {
        let names =
            ["tcp", "udp", "multiport", "conntrack", "state", "addrtype", "mark", "connmark", "iprange", "pkttype", "rpfilter", "helper", "recent", "new"];
        for length in 0..180 {
            for fill in [0, 1, 2, 15, 255] {
                let info = vec![fill; length];
                for name in names {
                    for revision in 0..4 {
                        let _ = matches(name, revision, &info, &sample(), true);
                    }
                }
                for name in ["MARK", "CONNMARK", "DNAT", "REDIRECT", "CT", "NEW"] {
                    let _ = (target(name, 0, &info, &sample()), target(name, 2, &info, &sample()));
                }
            }
        }
        assert!(matches!(matches("set", 1, &[0; 40], &sample(), true), Test::Unknown(why) if why == "match set"));
    }

    #[test]
    fn limits_pass_some_and_knocking_is_not_known() {
        let recent_info = |hits: u32, what: u8| [&[0; 4], &hits.to_ne_bytes()[..], &[what, 0]].concat();
        assert_eq!(matches("recent", 1, &recent_info(0, 2), &sample(), true), Test::All);
        assert_eq!(matches("recent", 1, &recent_info(6, 4), &sample(), true), Test::Varying);
        assert!(matches!(matches("recent", 1, &recent_info(0, 1), &sample(), true), Test::Unknown(_)));
    }
}
