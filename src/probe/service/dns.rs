//! DNS (RFC 1035), over TCP (RFC 7766) here and over UDP in `udp/dns.rs`: queries for the name
//! servers of the root, and for the server's own version.
//!
//! A server that resolves names for others says so (RA) and answers a query that desires it; the
//! root is asked for, because every resolver knows its name servers and none has to look them up.

use std::time::Duration;

use tokio::time::timeout;

use super::{Asked, NONE, Protocol, Seen};
use crate::probe::dial::{Connection, Dialer, Stop};
use crate::probe::reader::{Reader, banner};

/// DNS.
pub const PROTOCOL: Protocol =
    Protocol { name: "dns", ports: &[53], processes: &["named", "unbound", "dnsmasq"], ask: Some(|dialer| Box::pin(ask(dialer))), ..Protocol::NONE };

/// Identifier of our queries, from which each counts on.
const ID: u16 = 0xa55a;
/// The root's name servers, recursion not desired: known to every server at once, or refused.
pub const ROOT: Query = Query { id: ID, desired: false, question: b"\0\0\x02\0\x01" };
/// `version.bind`, TXT, CH: answered without asking others.
pub const VERSION: Query = Query { id: ID + 1, desired: false, question: b"\x07version\x04bind\0\0\x10\0\x03" };
/// The root's name servers, recursion desired.
pub const RECURSIVE: Query = Query { id: ID + 2, desired: true, question: b"\0\0\x02\0\x01" };

/// Response codes (RFC 1035 section 4.1.1): the server tried, whether or not it found something.
const TRIED: [u16; 3] = [0, 2, 3];
/// How long the second of two answers is awaited.
const SECOND_WAIT: Duration = Duration::from_millis(500);
/// Type TXT.
const TXT: u16 = 16;
/// Class CH.
const CHAOS: u16 = 3;

/// One query.
#[derive(Clone, Copy, Debug)]
pub struct Query {
    id: u16,
    desired: bool,
    question: &'static [u8],
}

impl Query {
    /// Its message.
    pub fn message(&self) -> Vec<u8> {
        let [high, low] = self.id.to_be_bytes();
        let mut message = vec![high, low, u8::from(self.desired), 0, 0, 1, 0, 0, 0, 0, 0, 0];
        message.extend_from_slice(self.question);
        message
    }

    /// Its answer; whatever else is `None`.
    pub fn answer(&self, bytes: &[u8]) -> Option<Answer> {
        let mut r = Reader::new(bytes);
        let (id, flags, questions, answers) = (r.u16()?, r.u16()?, r.u16()?, r.u16()?);
        r.take(4)?;
        // A response, of a standard query.
        if id != self.id || flags & 0xf800 != 0x8000 {
            return None;
        }
        match questions {
            // Refusals may leave the question away.
            0 => {}
            1 if r.take(self.question.len())? == self.question => {}
            _ => return None,
        }
        Some(Answer { available: flags & 0x80 != 0, code: flags & 0xf, text: (0..answers).find_map(|_| text(&mut r)) })
    }
}

/// What a server answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Whether it says that it resolves names for others (RA).
    pub available: bool,
    /// Response code: 0 no error, 2 it failed, 3 no such name, 5 refused, …
    pub code: u16,
    /// The first TXT record of class CH.
    pub text: Option<Vec<u8>>,
}

/// The first string of a TXT record; `None` for another one, and where nothing can be read on.
fn text(r: &mut Reader<'_>) -> Option<Vec<u8>> {
    loop {
        match r.u8()? {
            0 => break,
            pointer @ 0xc0.. => {
                let _ = (pointer, r.u8()?);
                break;
            }
            length => {
                r.take(usize::from(length))?;
            }
        }
    }
    let (kind, class) = (r.u16()?, r.u16()?);
    r.u32()?;
    let mut data = Reader::new(r.vector16()?);
    let length = usize::from(data.u8()?);
    (kind == TXT && class == CHAOS).then(|| data.take(length).map(<[u8]>::to_vec)).flatten()
}

/// The answers to [`ROOT`], [`VERSION`] and [`RECURSIVE`]; `None` where there was none.
pub fn seen(root: Option<&Answer>, version: Option<&Answer>, recursive: Option<&Answer>) -> Seen {
    let mut seen = Seen { authentication: NONE, ..Seen::plain("dns", b"", "") };
    let named = |name: &str, answer: &Answer| format!("{name}: code {}{}", answer.code, if answer.available { ", recursion available" } else { "" });
    let told = [("root", root), ("version", version), ("root with recursion", recursive)];
    seen.exchange = told.iter().filter_map(|(name, answer)| answer.map(|a| named(name, a))).collect::<Vec<_>>().join("; ");
    if let Some(text) = version.and_then(|a| a.text.as_ref()) {
        seen.banner = banner(text);
    }
    match recursive {
        Some(answer) if answer.available && TRIED.contains(&answer.code) => seen.opens("recursion"),
        Some(_) => {}
        // It says in every answer that it does not.
        None if [root, version].iter().flatten().all(|a| !a.available) => {}
        None => seen.left_open("open", "it says that it resolves names, and did not answer a query that desires it in time"),
    }
    seen
}

/// Asks on a fresh connection, as a stranger where that is possible: resolvers trust loopback.
pub async fn ask(dialer: &Dialer) -> Asked {
    super::as_stranger(dialer, |dialer| Box::pin(put(dialer))).await
}

async fn put(dialer: &Dialer) -> Asked {
    let mut connection = match dialer.connect().await {
        Ok(connection) => connection,
        Err(_) => return Asked::NoConnection,
    };
    // Both at once: a resolver whose own servers are away answers the second at least.
    let questions = [framed(&ROOT), framed(&VERSION)].concat();
    if let Err(stop) = connection.send(&questions).await {
        return stop.into();
    }
    let first = match connection.greeting(dialer.limits.answer_timeout.min(dialer.left()), is_whole).await {
        Ok(first) => first,
        Err(stop) => return stop.into(),
    };
    let body = first.get(2..).unwrap_or_default();
    if ROOT.answer(body).is_none() && VERSION.answer(body).is_none() {
        return Asked::Answered(first);
    }
    connection.unread(&first);
    let mut answers = [None, None];
    while answers.iter().any(Option::is_none) {
        let Ok(Ok(message)) = timeout(SECOND_WAIT, message(&mut connection)).await else { break };
        let [root, version] = &mut answers;
        *root = root.take().or(ROOT.answer(&message));
        *version = version.take().or(VERSION.answer(&message));
    }
    let recursive = recursive(dialer, connection).await;
    let [root, version] = answers;
    Asked::Found(Box::new(seen(root.as_ref(), version.as_ref(), recursive.as_ref())))
}

/// On the same connection, or on another where the server serves one query each.
async fn recursive(dialer: &Dialer, mut connection: Connection) -> Option<Answer> {
    for _ in 0..2 {
        if connection.send(&framed(&RECURSIVE)).await.is_ok() {
            match message(&mut connection).await {
                // A late answer to an earlier query may come first.
                Ok(bytes) => match RECURSIVE.answer(&bytes) {
                    Some(answer) => return Some(answer),
                    None => return RECURSIVE.answer(&message(&mut connection).await.ok()?),
                },
                Err(Stop::Closed) => {}
                Err(_) => return None,
            }
        }
        connection = dialer.connect().await.ok()?;
    }
    None
}

fn framed(query: &Query) -> Vec<u8> {
    let message = query.message();
    let [high, low] = u16::try_from(message.len()).unwrap_or(0).to_be_bytes();
    [&[high, low], message.as_slice()].concat()
}

fn is_whole(bytes: &[u8]) -> bool {
    Reader::new(bytes).vector16().is_some()
}

async fn message(connection: &mut Connection) -> Result<Vec<u8>, Stop> {
    let length = connection.exactly(2).await?;
    let length = Reader::new(&length).u16().ok_or(Stop::Malformed)?;
    connection.exactly(usize::from(length)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn real_resolvers_are_read() {
        let root = ROOT.answer(include_bytes!("../../../tests/wire/udp-dns-bind-root.bin")).unwrap();
        let version = VERSION.answer(include_bytes!("../../../tests/wire/udp-dns-bind-version.bin")).unwrap();
        let recursive = RECURSIVE.answer(include_bytes!("../../../tests/wire/udp-dns-bind-recursive.bin")).unwrap();
        assert!(root.available && recursive.available && recursive.code == 0);
        let open = seen(Some(&root), Some(&version), Some(&recursive));
        assert_eq!((open.open.as_slice(), open.banner.as_str()), (&["recursion".to_string()][..], "9.18.49-1~deb12u3-Debian"));
        // It would, and did not in time: not known.
        let slow = seen(Some(&root), Some(&version), None);
        assert_eq!((slow.open.len(), slow.unanswered.len()), (0, 1));
    }

    #[test]
    fn refusals_are_no_recursion() {
        let refused = ROOT.answer(include_bytes!("../../../tests/wire/udp-dns-unbound-refused.bin")).unwrap();
        assert_eq!(refused, Answer { available: true, code: 5, text: None });
        let closed = seen(Some(&refused), None, Some(&refused));
        assert_eq!((closed.open.len(), closed.unanswered.len()), (0, 0));
        // Unbound's to strangers has no question.
        assert_eq!(RECURSIVE.answer(b"\xa5\x5c\x81\x05\0\0\0\0\0\0\0\0").map(|a| a.code), Some(5));
        let authoritative = Answer { available: false, code: 5, text: None };
        assert_eq!(seen(Some(&authoritative), None, None).unanswered.len(), 0);
    }

    #[test]
    fn questions_of_others_are_not_answered() {
        // What BIND and Unbound say to a question of SNMP.
        for bytes in [
            &include_bytes!("../../../tests/wire/udp-dns-bind-malformed-query.bin")[..],
            include_bytes!("../../../tests/wire/udp-dns-unbound-snmp-question.bin"),
        ] {
            assert!([ROOT, VERSION, RECURSIVE].iter().all(|q| q.answer(bytes).is_none()));
        }
        assert_eq!(ROOT.answer(&ROOT.message()), None);
        assert_eq!(ROOT.answer(&VERSION.message()), None);
    }
}
