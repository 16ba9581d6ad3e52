//! LDAP version 3 (RFC 4511): an anonymous bind, the root entry, one entry below a naming context,
//! StartTLS.

use super::{Asked, NONE, OPTIONAL, Protocol, REQUIRED, STRIPPED, Seen, UNKNOWN, Upgrade};
use crate::probe::ber::{self, BOOLEAN, ENUMERATED, INTEGER, OCTETS, SEQUENCE};
use crate::probe::dial::{Connection, Dialer, Stop};
use crate::probe::reader::{Reader, banner};

/// LDAP.
pub const PROTOCOL: Protocol = Protocol {
    name: "ldap",
    ports: &[389, 3268],
    processes: &["slapd", "ns-slapd", "samba"],
    ask: Some(|dialer| Box::pin(ask(dialer))),
    hinted: Some(hinted),
    ..Protocol::NONE
};

/// StartTLS (RFC 4511 section 4.14).
pub const UPGRADE: Upgrade = Upgrade { name: "ldap", is_counted: false, prepare: |connection| Box::pin(upgrade(connection)) };

/// Object identifier of StartTLS.
const START_TLS: &[u8] = b"1.3.6.1.4.1.1466.20037";
/// Largest message read, bytes.
const MESSAGE_LIMIT: usize = 32 << 10;
/// Most messages read as the answer to one search.
const MESSAGES_LIMIT: usize = 20;
/// Most naming contexts looked below.
const CONTEXTS_LIMIT: usize = 4;

/// BindRequest, BindResponse, SearchRequest and so on: [APPLICATION n] of RFC 4511 section 4.
const BIND: u8 = 0x60;
const BIND_RESPONSE: u8 = 0x61;
const UNBIND: [u8; 2] = [0x42, 0];
const SEARCH: u8 = 0x63;
const SEARCH_ENTRY: u8 = 0x64;
const SEARCH_DONE: u8 = 0x65;
const SEARCH_REFERENCE: u8 = 0x73;
const EXTENDED: u8 = 0x77;
const EXTENDED_RESPONSE: u8 = 0x78;

/// Result codes (RFC 4511 appendix A.1).
const SUCCESS: u32 = 0;
const NO_SUCH_OBJECT: u32 = 32;
const SIZE_LIMIT_EXCEEDED: u32 = 4;
const STRONGER_AUTH_REQUIRED: u32 = 8;
const CONFIDENTIALITY_REQUIRED: u32 = 13;

/// One message of a server: its number, the tag of its operation and that operation's content.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Message {
    number: u32,
    operation: u8,
    content: Vec<u8>,
}

/// An entry: its name, and its attributes with their values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Entry {
    name: Vec<u8>,
    attributes: Vec<(String, Vec<Vec<u8>>)>,
}

impl Entry {
    fn values(&self, attribute: &str) -> &[Vec<u8>] {
        self.attributes.iter().find(|(name, _)| name.eq_ignore_ascii_case(attribute)).map_or(&[], |(_, values)| values)
    }
}

/// A bind of nobody, then what nobody may read, then StartTLS; all on one connection.
async fn ask(dialer: &Dialer) -> Asked {
    let mut connection = match dialer.connect().await {
        Ok(connection) => connection,
        Err(_) => return Asked::NoConnection,
    };
    if let Err(stop) = connection.send(&message(1, bind(b"", b""))).await {
        return stop.into();
    }
    // The head of a message, its number and the tag of its operation.
    let wait = dialer.limits.answer_timeout.min(dialer.left());
    let first = match connection.greeting(wait, |b| b.len() >= 7).await {
        Ok(first) => first,
        Err(stop) => return stop.into(),
    };
    // Another protocol's answer goes back whole.
    if !hinted(&first) {
        return Asked::Answered(first);
    }
    connection.unread(&first);
    match receive(&mut connection).await {
        Ok(Message { number: 1, operation: BIND_RESPONSE, content }) => match code(&content) {
            Some(bound) => Asked::Found(Box::new(look(dialer, connection, bound).await)),
            None => Asked::Answered(first),
        },
        // Notice of Disconnection (RFC 4511 section 4.4.1).
        Ok(Message { number: 0, operation: EXTENDED_RESPONSE, content }) if code(&content).is_some() => {
            let mut seen = Seen::plain("ldap", b"", "notice of disconnection");
            seen.tls = UNKNOWN;
            seen.left_open("tls", "the server gives notice of disconnection after a bind");
            Asked::Found(Box::new(seen))
        }
        Ok(_) | Err(Stop::Malformed | Stop::Limit) => Asked::Answered(first),
        Err(stop) => stop.into(),
    }
}

/// A message that is a SEQUENCE with a small number and an operation of a server.
fn hinted(first: &[u8]) -> bool {
    let mut r = Reader::new(first);
    if r.u8() != Some(SEQUENCE) || ber::whole(first).is_none() {
        return false;
    }
    // The bytes of its length, where it is a long one; not all of the message need be there.
    if let Some(more @ 0x81..=0x84) = r.u8() {
        r.take(usize::from(more & 0x7f));
    }
    ber::expect(&mut r, INTEGER).and_then(ber::value).is_some() && matches!(r.u8(), Some(BIND_RESPONSE | SEARCH_ENTRY | SEARCH_DONE | EXTENDED_RESPONSE))
}

async fn look(dialer: &Dialer, mut connection: Connection, bound: u32) -> Seen {
    let mut seen = Seen::plain("ldap", b"", &format!("anonymous bind answered {bound}"));
    let mut refused = wants_tls(bound);
    if bound == SUCCESS {
        seen.opens("anonymous-bind");
    }
    let root = match search(&mut connection, 2, Search { base: b"", whole_tree: false, attributes: ROOT_ATTRIBUTES }).await {
        Ok(answer) => answer,
        Err(stop) => {
            seen.left_open("open", format!("search of the root entry: {stop}"));
            seen.tls = UNKNOWN;
            seen.left_open("tls", format!("search of the root entry: {stop}"));
            return seen;
        }
    };
    refused |= wants_tls(root.code);
    let entry = root.entries.into_iter().next().unwrap_or_default();
    describe(&mut seen, &entry);
    match below(&mut connection, &entry).await {
        Ok(Below { read: true, .. }) => {
            seen.opens("anonymous-read");
            seen.authentication = NONE;
            seen.exchange.push_str(", entries read without a name");
        }
        Ok(Below { codes, .. }) => {
            refused |= codes.iter().copied().any(wants_tls);
            // Anything but success or "no such object" says that one must sign in.
            let denied = |code: &u32| !matches!(*code, SUCCESS | NO_SUCH_OBJECT) && !wants_tls(*code);
            if (bound != SUCCESS && !wants_tls(bound)) || codes.iter().any(denied) {
                seen.authentication = REQUIRED;
            }
        }
        Err(stop) => seen.left_open("open", format!("search below a naming context: {stop}")),
    }
    if refused && seen.authentication == UNKNOWN {
        for field in ["authentication", "open"] {
            seen.left_open(field, "what may be read without a name is told inside TLS only");
        }
    }
    upgrade_of(dialer, connection, &entry, refused, &mut seen).await;
    seen
}

/// Operations of which a server says that they need more protection.
const fn wants_tls(code: u32) -> bool {
    matches!(code, CONFIDENTIALITY_REQUIRED | STRONGER_AUTH_REQUIRED)
}

/// Result code operationsError: what was asked comes at the wrong time (RFC 4511 appendix A).
const OPERATIONS_ERROR: u32 = 1;
/// Time for earlier operations to be over.
const OVER: std::time::Duration = std::time::Duration::from_millis(150);

/// Asks for StartTLS, and where it is possible, whether a name is refused without it.
async fn upgrade_of(dialer: &Dialer, mut connection: Connection, root: &Entry, refused: bool, seen: &mut Seen) {
    let listed = root.values("supportedExtension").iter().any(|v| v == START_TLS);
    let mut answer = start_tls(&mut connection, 9).await;
    if answer == Ok(OPERATIONS_ERROR) {
        // An operation that was answered may not be over yet (RFC 4511 section 4.14.1).
        tokio::time::sleep(OVER).await;
        answer = start_tls(&mut connection, 10).await;
    }
    let answer = match answer {
        Ok(answer) => answer,
        Err(stop) => {
            seen.tls = UNKNOWN;
            seen.left_open("tls", format!("StartTLS: {stop}"));
            return;
        }
    };
    seen.exchange.push_str(&format!(", StartTLS answered {answer}"));
    if answer != SUCCESS {
        seen.tls = if listed { STRIPPED } else { NONE };
        // Best effort: leave in order.
        let _ = connection.send(&message(11, UNBIND.to_vec())).await;
        return;
    }
    drop(connection);
    seen.upgrade = Some(UPGRADE);
    seen.tls = OPTIONAL;
    if refused {
        seen.tls = REQUIRED;
    } else if !seen.open.iter().any(|w| w == "anonymous-read") && named(dialer, root).await.is_ok_and(wants_tls) {
        seen.exchange.push_str(", a bind with a name is refused without TLS");
        seen.tls = REQUIRED;
    }
}

/// Result of a bind with a name below the first naming context that nobody has: servers that
/// demand TLS say so before they look for it. The password is not empty, for OpenLDAP refuses that
/// one before everything else.
async fn named(dialer: &Dialer, root: &Entry) -> Result<u32, Stop> {
    let context = root.values("namingContexts").iter().find(|c| !c.is_empty()).map_or(&b"dc=assay"[..], Vec::as_slice);
    let mut connection = dialer.connect().await.map_err(|_| Stop::Closed)?;
    connection.send(&message(1, bind(&[b"cn=assay,", context].concat(), b"assay"))).await?;
    let code = match receive(&mut connection).await? {
        Message { operation: BIND_RESPONSE, content, .. } => code(&content).ok_or(Stop::Malformed)?,
        _ => return Err(Stop::Malformed),
    };
    // Best effort: leave in order.
    let _ = connection.send(&message(2, UNBIND.to_vec())).await;
    Ok(code)
}

/// What the root entry tells of the server.
fn describe(seen: &mut Seen, root: &Entry) {
    let first = |name: &str| root.values(name).first().map(|v| banner(v)).unwrap_or_default();
    seen.banner = format!("{} {}", first("vendorName"), first("vendorVersion")).trim().to_string();
    for version in root.values("supportedLDAPVersion").iter().take(4) {
        let version = banner(version);
        if version.len() == 1 && version.bytes().all(|b| b.is_ascii_digit()) {
            seen.versions.push(format!("LDAPv{version}"));
        }
    }
}

/// What a stranger found below the naming contexts.
#[derive(Debug, Default, PartialEq, Eq)]
struct Below {
    /// An entry below one of them was returned.
    read: bool,
    /// Result of each search.
    codes: Vec<u32>,
}

async fn below(connection: &mut Connection, root: &Entry) -> Result<Below, Stop> {
    let mut found = Below::default();
    let contexts = root.values("namingContexts").iter().filter(|c| !c.is_empty()).take(CONTEXTS_LIMIT);
    for (number, base) in (3..).zip(contexts) {
        let answer = search(connection, number, Search { base, whole_tree: true, attributes: &[b"1.1"] }).await?;
        // The context itself may be shown to everyone: only what lies below it counts.
        if answer.entries.iter().any(|e| e.name.len() > base.len()) {
            found.read = true;
            return Ok(found);
        }
        found.codes.push(answer.code);
    }
    Ok(found)
}

/// Of the root entry (RFC 4512 section 5.1, RFC 3045).
const ROOT_ATTRIBUTES: &[&[u8]] = &[b"namingContexts", b"supportedExtension", b"supportedLDAPVersion", b"vendorName", b"vendorVersion"];

struct Search<'a> {
    base: &'a [u8],
    whole_tree: bool,
    attributes: &'a [&'a [u8]],
}

struct Found {
    entries: Vec<Entry>,
    code: u32,
}

async fn search(connection: &mut Connection, number: u32, search: Search<'_>) -> Result<Found, Stop> {
    connection.send(&message(number, request(&search))).await?;
    let mut entries = Vec::new();
    for _ in 0..MESSAGES_LIMIT {
        let answer = receive(connection).await?;
        if answer.number != number {
            return Err(Stop::Malformed);
        }
        match answer.operation {
            SEARCH_ENTRY => entries.push(entry(&answer.content).ok_or(Stop::Malformed)?),
            SEARCH_REFERENCE => {}
            SEARCH_DONE => {
                let code = code(&answer.content).ok_or(Stop::Malformed)?;
                return Ok(Found { entries, code: if code == SIZE_LIMIT_EXCEEDED { SUCCESS } else { code } });
            }
            _ => return Err(Stop::Malformed),
        }
    }
    Err(Stop::Limit)
}

/// A search for at most two entries and five seconds.
fn request(search: &Search<'_>) -> Vec<u8> {
    let attributes: Vec<Vec<u8>> = search.attributes.iter().map(|a| ber::element(OCTETS, a)).collect();
    let scope = if search.whole_tree { 2 } else { 0 };
    ber::group(
        SEARCH,
        &[
            ber::element(OCTETS, search.base),
            ber::number(ENUMERATED, scope),
            // Aliases are not followed.
            ber::number(ENUMERATED, 0),
            ber::number(INTEGER, 2),
            ber::number(INTEGER, 5),
            ber::element(BOOLEAN, &[0]),
            // (objectClass=*): present, [7].
            ber::element(0x87, b"objectClass"),
            ber::group(SEQUENCE, &attributes),
        ],
    )
}

/// A simple bind of version 3.
fn bind(name: &[u8], password: &[u8]) -> Vec<u8> {
    ber::group(BIND, &[ber::number(INTEGER, 3), ber::element(OCTETS, name), ber::element(0x80, password)])
}

fn message(number: u32, operation: Vec<u8>) -> Vec<u8> {
    ber::group(SEQUENCE, &[ber::number(INTEGER, number), operation])
}

async fn start_tls(connection: &mut Connection, number: u32) -> Result<u32, Stop> {
    connection.send(&message(number, ber::group(EXTENDED, &[ber::element(0x80, START_TLS)]))).await?;
    let answer = receive(connection).await?;
    match answer.operation {
        EXTENDED_RESPONSE => code(&answer.content).ok_or(Stop::Malformed),
        _ => Err(Stop::Malformed),
    }
}

async fn receive(connection: &mut Connection) -> Result<Message, Stop> {
    let mut bytes = connection.exactly(2).await?;
    let more = match bytes.get(1) {
        Some(length @ 0x81..=0x84) => usize::from(length & 0x7f),
        _ => 0,
    };
    bytes.extend(connection.exactly(more).await?);
    let whole = ber::whole(&bytes).ok_or(Stop::Malformed)?;
    if whole > MESSAGE_LIMIT {
        return Err(Stop::Limit);
    }
    bytes.extend(connection.exactly(whole.saturating_sub(bytes.len())).await?);
    parse(&bytes).ok_or(Stop::Malformed)
}

fn parse(bytes: &[u8]) -> Option<Message> {
    let mut r = Reader::new(ber::expect(&mut Reader::new(bytes), SEQUENCE)?);
    let number = ber::value(ber::expect(&mut r, INTEGER)?)?;
    let (operation, content) = ber::next(&mut r)?;
    Some(Message { number, operation, content: content.to_vec() })
}

/// Result code of an LDAPResult.
fn code(content: &[u8]) -> Option<u32> {
    ber::value(ber::expect(&mut Reader::new(content), ENUMERATED)?)
}

fn entry(content: &[u8]) -> Option<Entry> {
    let mut r = Reader::new(content);
    let name = ber::expect(&mut r, OCTETS)?.to_vec();
    let mut attributes = Vec::new();
    let mut list = Reader::new(ber::expect(&mut r, SEQUENCE)?);
    while !list.is_empty() {
        let mut pair = Reader::new(ber::expect(&mut list, SEQUENCE)?);
        let kind = String::from_utf8_lossy(ber::expect(&mut pair, OCTETS)?).into_owned();
        // SET OF.
        let mut set = Reader::new(ber::expect(&mut pair, 0x31)?);
        let mut values = Vec::new();
        while !set.is_empty() {
            values.push(ber::expect(&mut set, OCTETS)?.to_vec());
        }
        attributes.push((kind, values));
    }
    Some(Entry { name, attributes })
}

/// StartTLS.
async fn upgrade(connection: &mut Connection) -> Result<(), Stop> {
    if start_tls(connection, 1).await? == SUCCESS { Ok(()) } else { Err(Stop::Malformed) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::reader::mutations;

    const OPENLDAP: &[u8] = include_bytes!("../../../tests/wire/ldap-openldap.bin");

    /// Each message of a recording.
    fn messages(mut bytes: &[u8]) -> Vec<Message> {
        let mut out = Vec::new();
        while let Some(message) = ber::whole(bytes).and_then(|end| bytes.get(..end)) {
            out.extend(parse(message));
            bytes = &bytes[message.len()..];
        }
        out
    }

    #[test]
    fn a_recorded_conversation_is_read() {
        let messages = messages(OPENLDAP);
        let shapes: Vec<(u32, u8)> = messages.iter().map(|m| (m.number, m.operation)).collect();
        assert_eq!(
            shapes,
            [(1, BIND_RESPONSE), (2, SEARCH_ENTRY), (2, SEARCH_DONE), (3, SEARCH_ENTRY), (3, SEARCH_ENTRY), (3, SEARCH_DONE), (9, EXTENDED_RESPONSE)]
        );
        let root = entry(&messages[1].content).unwrap();
        assert_eq!((root.values("namingcontexts"), root.values("supportedLDAPVersion")), (&[b"dc=lab,dc=example".to_vec()][..], &[b"3".to_vec()][..]));
        assert!(root.values("supportedExtension").iter().any(|v| v == START_TLS) && root.values("none").is_empty());
        assert_eq!(entry(&messages[4].content).unwrap().name, b"ou=people,dc=lab,dc=example");
        assert_eq!(code(&messages[6].content), Some(SUCCESS));
        assert!(hinted(OPENLDAP) && !hinted(b"HTTP/1.1 400 Bad Request\r\n") && !hinted(&[0x30]));
    }

    #[test]
    fn requests_are_as_the_standard_draws_them() {
        // RFC 4511 sections 4.2 and 4.14.
        assert_eq!(message(1, bind(b"", b"")), [0x30, 12, 2, 1, 1, 0x60, 7, 2, 1, 3, 4, 0, 0x80, 0]);
        let start = message(9, ber::group(EXTENDED, &[ber::element(0x80, START_TLS)]));
        assert_eq!(start.get(..9), Some(&[0x30, 29, 2, 1, 9, 0x77, 24, 0x80, 22][..]));
    }

    #[test]
    fn no_answer_makes_it_panic() {
        for bytes in mutations(OPENLDAP) {
            hinted(&bytes);
            for message in messages(&bytes) {
                entry(&message.content);
                code(&message.content);
            }
        }
    }
}
