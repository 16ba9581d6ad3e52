//! SNMP: a read of `sysDescr.0` in versions 1 (RFC 1157) and 2c (RFC 1901, RFC 3416) with the
//! community `public`, and the engine discovery of version 3 (RFC 3414 section 4).
//!
//! A wrong community is answered by silence, so an agent without version 3 and without `public`
//! is silent, and one with version 3 does not tell whether it hears other communities.

use super::exchange::{Exchange, Heard};
use super::{Asked, UdpProtocol};
use crate::probe::ber::{INTEGER, OCTETS, SEQUENCE, element, expect, group, next, number, value};
use crate::probe::dial::Dialer;
use crate::probe::reader::{Reader, banner};
use crate::probe::seen::{NONE, Seen, UNKNOWN};

/// SNMP.
pub const PROTOCOL: UdpProtocol = UdpProtocol { name: "snmp", ports: &[161], processes: &["snmpd"], ask: |dialer| Box::pin(ask(dialer)) };

/// The community that many agents are delivered with.
const COMMUNITY: &[u8] = b"public";
/// `sysDescr.0`, 1.3.6.1.2.1.1.1.0 (RFC 3418).
const SYS_DESCR: &[u8] = &[0x2b, 6, 1, 2, 1, 1, 1, 0];
/// Identifier of our requests.
const ID: u32 = 0x15_a55a;

const NULL: u8 = 0x05;
const OBJECT: u8 = 0x06;
/// Protocol data units (RFC 3416 section 3).
const GET: u8 = 0xa0;
const RESPONSE: u8 = 0xa2;
const REPORT: u8 = 0xa8;

/// Version field, and the name in `versions`.
const VERSIONS: [(u32, &str); 3] = [(0, "SNMPv1"), (1, "SNMPv2c"), (3, "SNMPv3")];

/// Asks in all three versions at once.
async fn ask(dialer: &Dialer) -> Asked {
    let mut exchange = match Exchange::open(dialer).await {
        Ok(exchange) => exchange,
        Err(e) => return e.into(),
    };
    let questions = [get(0), get(1), discovery()];
    let questions: Vec<&[u8]> = questions.iter().map(Vec::as_slice).collect();
    let heard = exchange.ask_all(&questions, which).await;
    let replies: Vec<Reply> = heard.iter().filter_map(Heard::answer).filter_map(parse).collect();
    match seen(&replies) {
        Some(seen) => Asked::Found(Box::new(seen)),
        None => heard.into_iter().fold(Asked::Silent, |known, next| super::further(known, next.into())),
    }
}

/// GetRequest of `sysDescr.0` in version 1 or 2c.
fn get(version: u32) -> Vec<u8> {
    let binding = group(SEQUENCE, &[group(SEQUENCE, &[element(OBJECT, SYS_DESCR), element(NULL, &[])])]);
    group(SEQUENCE, &[number(INTEGER, version), element(OCTETS, COMMUNITY), pdu(binding)])
}

fn pdu(bindings: Vec<u8>) -> Vec<u8> {
    group(GET, &[number(INTEGER, ID), number(INTEGER, 0), number(INTEGER, 0), bindings])
}

/// A request without an engine, which an agent answers by a report with its own (RFC 3412, RFC 3414).
fn discovery() -> Vec<u8> {
    let empty = || element(OCTETS, &[]);
    let zero = || number(INTEGER, 0);
    // Message id, largest answer, flags (reportable, neither authentication nor privacy), user-based security.
    let header = group(SEQUENCE, &[number(INTEGER, ID), number(INTEGER, 4096), element(OCTETS, &[4]), number(INTEGER, 3)]);
    let security = group(SEQUENCE, &[empty(), zero(), zero(), empty(), empty(), empty()]);
    let scoped = group(SEQUENCE, &[empty(), empty(), pdu(element(SEQUENCE, &[]))]);
    group(SEQUENCE, &[number(INTEGER, 3), header, element(OCTETS, &security), scoped])
}

/// One answer of an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Version field of the message: 0, 1 or 3.
    pub version: u32,
    /// Text of `sysDescr.0`; empty when the agent does not show it.
    pub description: Vec<u8>,
}

fn which(bytes: &[u8]) -> Option<usize> {
    let reply = parse(bytes)?;
    VERSIONS.iter().position(|(version, _)| *version == reply.version)
}

/// An answer to one of our requests; whatever else is `None`.
pub fn parse(bytes: &[u8]) -> Option<Reply> {
    let mut message = Reader::new(expect(&mut Reader::new(bytes), SEQUENCE)?);
    let version = value(expect(&mut message, INTEGER)?)?;
    if version == 3 {
        // Message id, then size, flags and model.
        let mut header = Reader::new(expect(&mut message, SEQUENCE)?);
        let ours = value(expect(&mut header, INTEGER)?)? == ID;
        expect(&mut message, OCTETS)?;
        let mut scoped = Reader::new(expect(&mut message, SEQUENCE)?);
        expect(&mut scoped, OCTETS)?;
        expect(&mut scoped, OCTETS)?;
        // An agent that does not need to be discovered may answer the request itself.
        let (tag, _) = next(&mut scoped)?;
        return (ours && matches!(tag, REPORT | RESPONSE)).then(|| Reply { version, description: Vec::new() });
    }
    if version > 1 || expect(&mut message, OCTETS)? != COMMUNITY {
        return None;
    }
    let mut pdu = Reader::new(expect(&mut message, RESPONSE)?);
    if value(expect(&mut pdu, INTEGER)?)? != ID {
        return None;
    }
    Some(Reply { version, description: description(&mut pdu).unwrap_or_default() })
}

/// The value of the one binding, if it is text.
fn description(pdu: &mut Reader<'_>) -> Option<Vec<u8>> {
    expect(pdu, INTEGER)?;
    expect(pdu, INTEGER)?;
    let mut bindings = Reader::new(expect(pdu, SEQUENCE)?);
    let mut binding = Reader::new(expect(&mut bindings, SEQUENCE)?);
    expect(&mut binding, OBJECT)?;
    expect(&mut binding, OCTETS).map(<[u8]>::to_vec)
}

/// What the answers together say; `None` without any.
pub fn seen(replies: &[Reply]) -> Option<Seen> {
    let versions: Vec<String> =
        VERSIONS.iter().filter(|(version, _)| replies.iter().any(|r| r.version == *version)).map(|(_, name)| (*name).to_string()).collect();
    if versions.is_empty() {
        return None;
    }
    let public = replies.iter().any(|r| r.version < 3);
    let description = replies.iter().find(|r| !r.description.is_empty()).map_or(&[][..], |r| &r.description);
    let authentication = if public { NONE } else { UNKNOWN };
    let exchange = format!("answered in {}", versions.join(", "));
    let mut seen = Seen { plaintext: public, authentication, versions, banner: banner(description), ..Seen::plain("snmp", b"", &exchange) };
    if public {
        seen.opens("community-public");
    } else {
        let why = "community public is refused; whether it hears another community in version 1 or 2c can't be told from outside";
        seen.left_open("versions", why);
        seen.left_open("plaintext", why);
    }
    Some(seen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn real_agents_are_read() {
        let one = parse(include_bytes!("../../../tests/wire/udp-snmp-netsnmp-v1.bin")).unwrap();
        let two = parse(include_bytes!("../../../tests/wire/udp-snmp-netsnmp-v2c.bin")).unwrap();
        let three = parse(include_bytes!("../../../tests/wire/udp-snmp-netsnmp-v3.bin")).unwrap();
        assert_eq!((one.version, two.version, three.version), (0, 1, 3));
        let all = seen(&[one, two, three.clone()]).unwrap();
        assert_eq!(all.versions, ["SNMPv1", "SNMPv2c", "SNMPv3"]);
        assert_eq!((all.open.as_slice(), all.banner.as_str(), all.authentication), (&["community-public".to_string()][..], "\"assay lab agent\"", NONE));
        assert!(all.plaintext && all.unanswered.is_empty());
        let alone = seen(&[three]).unwrap();
        assert_eq!((alone.versions.as_slice(), alone.open.len(), alone.authentication), (&["SNMPv3".to_string()][..], 0, UNKNOWN));
        // Other communities may be heard.
        assert_eq!(alone.unanswered.iter().map(|u| u.0).collect::<Vec<_>>(), ["versions", "plaintext"]);
        assert_eq!(seen(&[]), None);
    }

    #[test]
    fn our_own_questions_are_no_answers() {
        for question in [get(0), get(1), discovery()] {
            assert_eq!(parse(&question), None);
        }
        // What net-snmp's own client sends for the same, but for the request id.
        let theirs =
            [0x30, 0x28, 2, 1, 1, 4, 6, b'p', b'u', b'b', b'l', b'i', b'c', 0xa0, 0x1b, 2, 3, 0x15, 0xa5, 0x5a, 2, 1, 0, 2, 1, 0, 0x30, 14, 0x30, 12, 6, 8];
        assert_eq!(get(1).get(..theirs.len()), Some(&theirs[..]));
    }
}
