//! What a UDP socket speaks: it never speaks first, so every question is put until one is answered.
//!
//! The question of the protocol that port or process suggest goes first. Silence proves little
//! (see [`exchange`]); a listener of this host is asked at an address that is not loopback too,
//! because many servers answer loopback more.

pub mod chrony;
pub mod dns;
pub mod exchange;
pub mod memcached;
pub mod ntp;
pub mod rpc;
pub mod snmp;
pub mod tftp;

use std::net::SocketAddr;
use std::time::Duration;

use super::dial::{DialError, Dialer};
use super::identify::Outcome;
use super::reader::{banner, hex_head};
use super::seen::Seen;
use super::service::Later;
use exchange::Heard;

/// One protocol as identification sees it.
pub struct UdpProtocol {
    /// Lower-case word, as in `services.items[].protocol`.
    pub name: &'static str,
    /// Ports where its question goes first, and where silence says that it could not be observed.
    pub ports: &'static [u16],
    /// Names of server processes (`comm` of proc(5)): of their sockets, its question goes first.
    pub processes: &'static [&'static str],
    /// Asks at the dialer's address.
    pub ask: for<'a> fn(&'a Dialer) -> Later<'a, Asked>,
}

/// Every protocol; an unknown socket is asked in this order.
pub static UDP_PROTOCOLS: &[UdpProtocol] =
    &[snmp::PROTOCOL, ntp::PROTOCOL, chrony::PROTOCOL, dns::PROTOCOL, rpc::PROTOCOL, memcached::PROTOCOL, tftp::PROTOCOL];

/// Questions at once to one endpoint.
const AT_ONCE: usize = 2;
/// Longest wait for each try of a question that nothing suggests, put to a socket of this host.
const LOCAL_PATIENCE: Duration = Duration::from_millis(400);
/// First port that outgoing sockets take (`net.ipv4.ip_local_port_range`, default of Linux).
const FIRST_EPHEMERAL: u16 = 32_768;

/// Ports whose servers keep what they hear, as messages of their own: a question would end in
/// somebody's log or statistics. SNMP traps, syslog, NetFlow, IPFIX, sFlow, StatsD, collectd.
const SINK_PORTS: &[u16] = &[162, 514, 2055, 4739, 6343, 8125, 25_826];
/// Programs that do the same on any port.
const SINK_PROCESSES: &[&str] = &["rsyslogd", "syslog-ng", "snmptrapd", "collectd", "systemd-journal"];

/// How a question ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// It is this.
    Found(Box<Seen>),
    /// It answered something else.
    Other(Vec<u8>),
    /// No datagram in time.
    Silent,
    /// The host says that nothing listens.
    Refused,
    /// It can't be reached.
    Unreachable(String),
}

impl From<Heard> for Asked {
    fn from(heard: Heard) -> Self {
        match heard {
            Heard::Answer(bytes) | Heard::Other(bytes) => Self::Other(bytes),
            Heard::Silent => Self::Silent,
            Heard::Refused => Self::Refused,
            Heard::Unreachable(why) => Self::Unreachable(why),
        }
    }
}

impl From<DialError> for Asked {
    fn from(error: DialError) -> Self {
        match error {
            DialError::Refused => Self::Refused,
            DialError::Timeout | DialError::Closed => Self::Silent,
            DialError::Unreachable(why) => Self::Unreachable(why),
        }
    }
}

/// The protocol that port or process name of a socket suggest so strongly that silence there means
/// something could not be observed.
pub fn presumed(process: &str, port: u16) -> Option<&'static str> {
    let by_port = UDP_PROTOCOLS.iter().find(|p| p.ports.contains(&port));
    // The same programs send from ephemeral ports, where they answer nobody; and dnsmasq, for one, serves DHCP too.
    let by_process = || UDP_PROTOCOLS.iter().filter(|_| (1024..FIRST_EPHEMERAL).contains(&port)).find(|p| p.processes.contains(&process));
    by_port.or_else(by_process).map(|p| p.name)
}

/// Speaks to one endpoint.
pub async fn identify(dialer: &Dialer) -> Outcome {
    if let Some(why) = sink(dialer) {
        return Outcome::Unasked(why);
    }
    let (first, rest) = in_order(dialer);
    let (stranger, own) = places(dialer);
    let mut heard = (None, Asked::Silent);
    for (protocols, hasty) in [(first, false), (rest, true)] {
        let in_time = |place: &Dialer| if hasty { hasten(place.clone()) } else { place.clone() };
        let theirs = async {
            match &stranger {
                Some(place) => Some(ask_each(&in_time(place), &protocols).await),
                None => None,
            }
        };
        let own = in_time(&own);
        let (theirs, ours) = tokio::join!(theirs, ask_each(&own, &protocols));
        match (theirs, ours) {
            (None, Asked::Found(seen)) => return Outcome::Identified(seen),
            (Some(Asked::Found(mut seen)), ours) => {
                // Time services tell of their clock at loopback alone.
                if let Asked::Found(ours) = ours {
                    seen.clock = seen.clock.take().or(ours.clock);
                }
                return Outcome::Identified(Box::new(as_stranger(*seen, dialer.outward)));
            }
            (Some(theirs), Asked::Found(seen)) => return Outcome::Identified(Box::new(only_at_loopback(*seen, dialer.outward, &theirs))),
            (theirs, ours) => {
                heard = (theirs.map(|t| further(heard.0.unwrap_or(Asked::Silent), t)), further(heard.1, ours));
            }
        }
        if dialer.halt.is_asked() {
            break;
        }
        // Nobody is asked more where nothing listens.
        if [heard.0.as_ref().unwrap_or(&heard.1), &heard.1].iter().all(|h| matches!(h, Asked::Refused | Asked::Unreachable(_))) {
            break;
        }
    }
    match heard {
        (Some(other @ Asked::Other(_)), _) | (Some(other), Asked::Refused | Asked::Unreachable(_)) => conclude(other),
        (_, Asked::Silent) if dialer.left().is_zero() || dialer.halt.is_asked() => Outcome::Timeout("its time was over before every question was put".into()),
        (_, ours) => conclude(ours),
    }
}

/// Where to ask: as a stranger, if that is possible, and at the address itself.
fn places(dialer: &Dialer) -> (Option<Dialer>, Dialer) {
    let mut own = dialer.clone();
    own.outward = None;
    (dialer.outward.map(|_| dialer.as_stranger()), own)
}

/// Of this host, an answer comes soon or never.
fn hasten(mut dialer: Dialer) -> Dialer {
    if !dialer.process.is_empty() || dialer.address.ip().is_loopback() {
        dialer.limits.answer_timeout = dialer.limits.answer_timeout.min(LOCAL_PATIENCE);
    }
    dialer
}

fn sink(dialer: &Dialer) -> Option<String> {
    if SINK_PROCESSES.contains(&dialer.process.as_str()) {
        return Some(format!("{} keeps what it hears as messages", dialer.process));
    }
    let port = dialer.address.port();
    SINK_PORTS.contains(&port).then(|| format!("servers on port {port} keep what they hear as messages"))
}

/// What is suggested, and all else.
fn in_order(dialer: &Dialer) -> (Vec<&'static UdpProtocol>, Vec<&'static UdpProtocol>) {
    let suggested = |p: &&UdpProtocol| p.ports.contains(&dialer.address.port()) || p.processes.contains(&dialer.process.as_str());
    UDP_PROTOCOLS.iter().partition(suggested)
}

/// Puts the questions of `protocols`, some at once, until one is answered in its own protocol.
async fn ask_each(dialer: &Dialer, protocols: &[&UdpProtocol]) -> Asked {
    let mut result = Asked::Silent;
    for some in protocols.chunks(AT_ONCE) {
        let answers = match some {
            [one, two] => {
                let (one, two) = tokio::join!((one.ask)(dialer), (two.ask)(dialer));
                vec![one, two]
            }
            _ => match some.first() {
                Some(one) => vec![(one.ask)(dialer).await],
                None => Vec::new(),
            },
        };
        for answer in answers {
            result = further(result, answer);
        }
        if matches!(result, Asked::Found(_) | Asked::Refused | Asked::Unreachable(_)) {
            break;
        }
    }
    result
}

/// The one of two that tells more.
fn further(one: Asked, two: Asked) -> Asked {
    let rank = |asked: &Asked| match asked {
        Asked::Silent => 0,
        Asked::Unreachable(_) => 1,
        Asked::Refused => 2,
        Asked::Other(_) => 3,
        Asked::Found(_) => 4,
    };
    if rank(&two) > rank(&one) { two } else { one }
}

fn conclude(asked: Asked) -> Outcome {
    match asked {
        Asked::Found(seen) => Outcome::Identified(seen),
        Asked::Other(bytes) => Outcome::Unidentified { banner: banner(&bytes), head: hex_head(&bytes) },
        Asked::Silent => Outcome::Silent,
        Asked::Refused => Outcome::Refused,
        Asked::Unreachable(why) => Outcome::Unreachable(why),
    }
}

/// A server that answered where others reach it.
fn as_stranger(mut seen: Seen, outward: Option<SocketAddr>) -> Seen {
    if let Some(outward) = outward {
        seen.exchange = format!("{} (at {outward})", seen.exchange);
    }
    seen
}

/// A server that answered at loopback and not at `outward`: strangers get nothing, unless that
/// address could not be asked.
fn only_at_loopback(mut seen: Seen, outward: Option<SocketAddr>, theirs: &Asked) -> Seen {
    let outward = outward.map_or_else(String::new, |a| a.to_string());
    match theirs {
        Asked::Silent => {
            seen.open.clear();
            seen.exchange = format!("{}; silent at {outward}", seen.exchange);
        }
        _ => seen.trusting_loopback(&format!("it could not be asked at {outward}")),
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_folder_is_listed() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/probe/udp");
        let mut files: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap().trim_end_matches(".rs").to_string())
            .filter(|n| !["mod", "exchange"].contains(&n.as_str()))
            .collect();
        files.sort();
        let mut names: Vec<&str> = UDP_PROTOCOLS.iter().map(|p| p.name).collect();
        names.sort_unstable();
        assert_eq!(files, names);
    }

    #[test]
    fn ports_and_programs_suggest_protocols() {
        for (process, port, expected) in [
            ("", 161, Some("snmp")),
            ("snmpd", 1161, Some("snmp")),
            ("snmpd", 45_000, None),
            ("dnsmasq", 69, Some("tftp")),
            ("dnsmasq", 67, None),
            ("", 67, None),
            ("firefox", 5353, None),
        ] {
            assert_eq!(presumed(process, port), expected, "{process} {port}");
        }
    }

    #[test]
    fn no_changed_reply_makes_a_parser_panic() {
        use crate::probe::service::{dns as names, rpc as calls};
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wire");
        let paths = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path());
        let recorded: Vec<Vec<u8>> =
            paths.filter(|p| p.to_string_lossy().contains("/udp-") || p.to_string_lossy().contains("/rpc-")).map(|p| std::fs::read(p).unwrap()).collect();
        assert!(recorded.len() > 15);
        let read = |bytes: &[u8]| {
            let snmp: Vec<_> = snmp::parse(bytes).into_iter().collect();
            let _ = snmp::seen(&snmp);
            let _ = ntp::parse(bytes).map(|answer| ntp::seen(&[answer]));
            let _ = tftp::parse(bytes).map(|answer| tftp::seen(&answer));
            let _ = memcached::parse(bytes);
            for query in [names::ROOT, names::VERSION, names::RECURSIVE] {
                let answer = query.answer(bytes);
                let _ = names::seen(answer.as_ref(), answer.as_ref(), answer.as_ref());
            }
            calls::read_anything(bytes);
        };
        for bytes in &recorded {
            for end in 0..=bytes.len() {
                read(&bytes[..end]);
            }
            for at in 0..bytes.len() {
                let mut changed = bytes.clone();
                for value in [0, 1, 0x7f, 0x80, 0xff, bytes[at].wrapping_add(1)] {
                    changed[at] = value;
                    read(&changed);
                }
            }
        }
    }
}
