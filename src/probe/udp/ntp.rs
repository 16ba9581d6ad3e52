//! NTP: a client's request (RFC 5905 section 7.3), a control query of a few variables (mode 6,
//! RFC 9327) and the list of recent peers (mode 7, `REQ_MON_GETLIST_1` of ntpd's ntp_request.h).
//!
//! Mode 7 is asked with the shortest packet, and one datagram of the answer is read.

use super::exchange::{Exchange, Heard};
use super::{Asked, UdpProtocol};
use crate::probe::dial::Dialer;
use crate::probe::reader::{Reader, banner};
use crate::probe::seen::{Clock, NONE, Seen};

/// NTP.
pub const PROTOCOL: UdpProtocol = UdpProtocol { name: "ntp", ports: &[123], processes: &["ntpd"], ask: |dialer| Box::pin(ask(dialer)) };

/// Our transmit timestamp, which a server gives back.
const STAMP: &[u8; 8] = b"assayntp";
/// Sequence number of our control query.
const SEQUENCE: u16 = 0xa55a;
/// What a control query asks for.
const VARIABLES: &[u8] = b"version,leap,stratum,offset";
/// Length of the header without extensions, bytes.
const HEADER: usize = 48;

/// Request code of the list of recent peers.
const MON_GETLIST_1: u8 = 42;
/// Implementation that the code belongs to (IMPL_XNTPD).
const IMPLEMENTATION: u8 = 3;

/// Asks for the time and for the variables, then, if either is answered, for the list of peers.
async fn ask(dialer: &Dialer) -> Asked {
    let mut exchange = match Exchange::open(dialer).await {
        Ok(exchange) => exchange,
        Err(e) => return e.into(),
    };
    let (time, variable) = (client(), control());
    let heard = exchange.ask_all(&[&time, &variable], which).await;
    let answers: Vec<Answer> = heard.iter().filter_map(Heard::answer).filter_map(parse).collect();
    if answers.is_empty() {
        return heard.into_iter().fold(Asked::Silent, |known, next| super::further(known, next.into()));
    }
    let private = exchange.ask(&[0x17, 0, IMPLEMENTATION, MON_GETLIST_1, 0, 0, 0, 0], |b| parse(b) == Some(Answer::Private)).await;
    let answers: Vec<Answer> = answers.into_iter().chain(private.answer().and_then(parse)).collect();
    Asked::Found(Box::new(seen(&answers)))
}

/// Version 4, mode 3, and nothing but a transmit timestamp.
fn client() -> Vec<u8> {
    let mut packet = vec![0; HEADER - STAMP.len()];
    if let Some(first) = packet.first_mut() {
        *first = 4 << 3 | 3;
    }
    packet.extend_from_slice(STAMP);
    packet
}

/// Version 2, mode 6, READVAR (2) of the system's version and of its clock.
fn control() -> Vec<u8> {
    let [high, low] = SEQUENCE.to_be_bytes();
    let length = u8::try_from(VARIABLES.len()).unwrap_or(0);
    let mut packet = vec![2 << 3 | 6, 2, high, low, 0, 0, 0, 0, 0, 0, 0, length];
    packet.extend_from_slice(VARIABLES);
    // To a multiple of four bytes.
    packet.resize(packet.len().next_multiple_of(4), 0);
    packet
}

/// An answer to one of our questions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Of a server (mode 4).
    Time {
        /// Version number that it speaks.
        version: u8,
    },
    /// To a control query (mode 6), what it says: `version="…"`, or nothing with an error.
    Control(Vec<u8>),
    /// To a private request (mode 7), an error code or a list.
    Private,
}

fn which(bytes: &[u8]) -> Option<usize> {
    match parse(bytes)? {
        Answer::Time { .. } => Some(0),
        Answer::Control(_) => Some(1),
        Answer::Private => None,
    }
}

/// An answer to one of our questions; whatever else is `None`.
pub fn parse(bytes: &[u8]) -> Option<Answer> {
    let first = *bytes.first()?;
    let (version, mode) = (first >> 3 & 7, first & 7);
    match mode {
        4 => {
            let ours = bytes.get(24..32)? == STAMP && bytes.len() >= HEADER;
            ours.then_some(Answer::Time { version })
        }
        6 => {
            let mut r = Reader::new(bytes.get(1..)?);
            // Response bit, and the operation in the low five bits.
            let (operation, sequence) = (r.u8()?, r.u16()?);
            // Status, association, offset.
            r.take(6)?;
            let length = usize::from(r.u16()?);
            let text = r.rest().get(..length.min(r.rest().len()))?;
            (operation & 0x80 != 0 && operation & 0x1f == 2 && sequence == SEQUENCE).then(|| Answer::Control(text.to_vec()))
        }
        // Response bit; then sequence, implementation, request code.
        7 => {
            let [_, _, implementation, request, ..] = bytes else { return None };
            (first & 0x80 != 0 && bytes.len() >= 8 && *implementation == IMPLEMENTATION && *request == MON_GETLIST_1).then_some(Answer::Private)
        }
        _ => None,
    }
}

/// What the answers together say.
pub fn seen(answers: &[Answer]) -> Seen {
    let mut told = Vec::new();
    let mut seen = Seen { authentication: NONE, ..Seen::plain("ntp", b"", "") };
    for answer in answers {
        match answer {
            Answer::Time { version } => {
                seen.versions.push(format!("NTPv{version}"));
                told.push("answer to a client");
            }
            Answer::Control(text) => {
                seen.opens("mode-6");
                seen.banner = banner(version(text));
                seen.clock = clock(text);
                told.push("answer to a control query (mode 6)");
            }
            Answer::Private => {
                seen.opens("mode-7");
                told.push("answer to a private request (mode 7)");
            }
        }
    }
    seen.exchange = told.join(", ");
    seen
}

/// `version="…"` alone: what stands beside it changes by itself. The whole where there is none.
fn version(text: &[u8]) -> &[u8] {
    const BEGIN: &[u8] = b"version=\"";
    let start = text.windows(BEGIN.len()).position(|w| w == BEGIN);
    let end = |start: usize| text.iter().skip(start + BEGIN.len()).position(|b| *b == b'"').map(|n| start + BEGIN.len() + n + 1);
    start.and_then(|start| text.get(start..end(start)?)).unwrap_or(text)
}

/// `version="…", leap=0, stratum=3, offset=-0.123` (milliseconds); `None` when one is missing.
fn clock(text: &[u8]) -> Option<Clock> {
    let text = String::from_utf8_lossy(text);
    let value = |name: &str| text.split([',', '\r', '\n']).find_map(|part| part.trim().strip_prefix(name)?.strip_prefix('=').map(str::trim));
    let offset: f64 = value("offset")?.parse().ok()?;
    // ntpd writes the two bits as a number or as they are.
    let synchronised = !matches!(value("leap")?, "3" | "11");
    #[expect(clippy::cast_possible_truncation, reason = "an offset longer than the range is as good as its end")]
    let offset_microseconds = (offset * 1000.0) as i64;
    Some(Clock { synchronised, stratum: value("stratum")?.parse().ok()?, offset_microseconds })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn real_servers_are_read() {
        let time = parse(include_bytes!("../../../tests/wire/udp-ntp-ntpsec-time.bin")).unwrap();
        let control = parse(include_bytes!("../../../tests/wire/udp-ntp-ntpsec-control.bin")).unwrap();
        let private = parse(include_bytes!("../../../tests/wire/udp-ntp-ntpd-private.bin")).unwrap();
        assert_eq!(time, Answer::Time { version: 4 });
        assert_eq!(private, Answer::Private);
        let closed = seen(std::slice::from_ref(&time));
        assert_eq!((closed.versions.as_slice(), closed.open.len()), (&["NTPv4".to_string()][..], 0));
        let open = seen(&[time, control, private]);
        assert_eq!((open.open.as_slice(), open.banner.as_str()), (&["mode-6".to_string(), "mode-7".into()][..], "version=\"ntpd ntpsec-1.2.2\""));
    }

    #[test]
    fn the_clock_of_the_server() {
        let said = |text: &str| clock(text.as_bytes());
        let expected = Clock { synchronised: true, stratum: 3, offset_microseconds: -1500 };
        assert_eq!(said("version=\"ntpd 4.2, x\", leap=0, stratum=3,\r\noffset=-1.5\r\n"), Some(expected));
        assert!(!said("leap=3, stratum=16, offset=0").unwrap().synchronised);
        for part in ["", "version=\"x\"", "leap=0, stratum=3, offset=x", "leap=0, offset=1"] {
            assert_eq!(said(part), None, "{part}");
        }
    }

    #[test]
    fn the_version_stands_anywhere() {
        assert_eq!(version(b"leap=3, version=\"ntpd x\", offset=0"), b"version=\"ntpd x\"");
        assert_eq!((version(b"leap=3"), version(b"version=\"x")), (&b"leap=3"[..], &b"version=\"x"[..]));
    }

    #[test]
    fn our_own_questions_are_no_answers() {
        assert_eq!((client().len(), control().len() % 4), (HEADER, 0));
        for question in [client(), control(), vec![0x17, 0, IMPLEMENTATION, MON_GETLIST_1, 0, 0, 0, 0]] {
            assert_eq!(parse(&question), None);
        }
        // A resolver that turns our request round with the response bit of DNS is none either.
        let mut turned = client();
        turned[2] = 0x80;
        assert_eq!(parse(&turned), None);
    }
}
