//! RDP (MS-RDPBCGR section 2.2.1): which security protocols a server selects, asked one by one.

use super::{Asked, NONE, OPTIONAL, Protocol, REQUIRED, Seen, UNKNOWN, Upgrade};
use crate::probe::dial::{Connection, Dialer, Stop};
use crate::probe::reader::Reader;

/// RDP.
pub const PROTOCOL: Protocol = Protocol {
    name: "rdp",
    ports: &[3389],
    processes: &["xrdp"],
    ask: Some(|dialer| Box::pin(ask(dialer))),
    hinted: Some(|bytes| parse(bytes).is_some()),
    ..Protocol::NONE
};

/// TLS right after the negotiation.
pub const UPGRADE: Upgrade = Upgrade { name: "rdp", is_counted: false, prepare: |connection| Box::pin(upgrade(connection)) };

/// Requested and selected protocols (section 2.2.1.1.1); standard RDP security is no flag.
const STANDARD: u32 = 0;
const SSL: u32 = 1;
const HYBRID: u32 = 2;
/// Failure codes (section 2.2.1.2.2); 2 and 3 are: TLS is not allowed, there is no certificate.
const SSL_REQUIRED: u32 = 1;
const HYBRID_REQUIRED: u32 = 5;

/// Answer to a connection request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    /// The server selects this protocol; a server older than the negotiation, standard security.
    Selected(u32),
    /// It refuses for this reason.
    Failure(u32),
}

/// Both modern protocols first, then standard security, then TLS alone.
async fn ask(dialer: &Dialer) -> Asked {
    let mut connection = match dialer.connect().await {
        Ok(connection) => connection,
        Err(_) => return Asked::NoConnection,
    };
    if let Err(stop) = connection.send(&request(SSL | HYBRID)).await {
        return stop.into();
    }
    let wait = dialer.limits.answer_timeout.min(dialer.left());
    let first = match connection.greeting(wait, |b| b.len() >= 11).await {
        Ok(first) => first,
        Err(stop) => return stop.into(),
    };
    // Anything else goes back as it is, so that it may point to its own protocol.
    if first.first() != Some(&3) {
        return Asked::Answered(first);
    }
    connection.unread(&first);
    let best = match receive(&mut connection).await {
        Ok(answer) => answer,
        Err(Stop::Malformed | Stop::Limit) => return Asked::Answered(first),
        Err(stop) => return stop.into(),
    };
    drop(connection);
    let standard = once(dialer, STANDARD).await;
    let tls = once(dialer, SSL).await;
    Asked::Found(Box::new(fold(best, standard, tls)))
}

/// What three answers say together.
fn fold(best: Answer, standard: Result<Answer, String>, tls: Result<Answer, String>) -> Seen {
    let mut seen = Seen::plain("rdp", b"", "connection requests");
    let standard_works = standard.as_ref().map(|a| *a == Answer::Selected(STANDARD));
    let tls_works = tls.as_ref().map(|a| *a == Answer::Selected(SSL));
    let hybrid_works = best == Answer::Selected(HYBRID);
    let encrypted = hybrid_works || tls_works == Ok(true) || best == Answer::Selected(SSL);
    for (name, works) in [("PROTOCOL_RDP", standard_works == Ok(true)), ("PROTOCOL_SSL", tls_works == Ok(true)), ("PROTOCOL_HYBRID", hybrid_works)] {
        if works {
            seen.versions.push(name.into());
        }
    }
    seen.exchange = format!("connection requests select {}", seen.versions.join(", "));
    seen.upgrade = encrypted.then_some(UPGRADE);
    seen.authentication = REQUIRED;
    // Without CredSSP, the screen to sign in at is shown to everyone (network level authentication).
    if standard_works == Ok(true) || tls_works == Ok(true) {
        seen.opens("sign-in-screen");
    }
    if seen.versions.is_empty() {
        seen.left_open("tls", format!("no protocol was selected: {best:?}, {standard:?}, {tls:?}"));
        return Seen { tls: UNKNOWN, ..seen };
    }
    for (problem, field) in [(standard_works.err(), "tls"), (tls_works.err(), "open")] {
        if let Some(problem) = problem {
            seen.left_open(field, format!("connection request: {problem}"));
        }
    }
    seen.tls = match (encrypted, &standard) {
        (false, _) => NONE,
        (true, Ok(Answer::Selected(STANDARD))) => OPTIONAL,
        (true, Ok(_)) => REQUIRED,
        (true, Err(_)) => UNKNOWN,
    };
    seen
}

async fn once(dialer: &Dialer, protocols: u32) -> Result<Answer, String> {
    let mut connection = dialer.connect().await.map_err(|e| e.to_string())?;
    connection.send(&request(protocols)).await.map_err(|e| e.to_string())?;
    match receive(&mut connection).await {
        // Servers hang up on what they don't allow, too.
        Err(Stop::Closed) => Ok(Answer::Failure(if protocols == STANDARD { SSL_REQUIRED } else { HYBRID_REQUIRED })),
        other => other.map_err(|e| e.to_string()),
    }
}

/// TPKT and X.224 Connection Request with a cookie that names us, and the protocols we ask for.
fn request(protocols: u32) -> Vec<u8> {
    let mut body = vec![0xe0, 0, 0, 0, 0, 0];
    body.extend_from_slice(b"Cookie: mstshash=assay\r\n");
    // RDP_NEG_REQ: type, flags, length.
    body.extend_from_slice(&[1, 0, 8, 0]);
    body.extend_from_slice(&protocols.to_le_bytes());
    let length = u8::try_from(body.len()).unwrap_or(u8::MAX);
    let mut out = vec![3, 0, 0, length.saturating_add(5), length];
    out.extend(body);
    out
}

async fn receive(connection: &mut Connection) -> Result<Answer, Stop> {
    let head = connection.exactly(4).await?;
    let mut r = Reader::new(&head);
    let length = match (r.u16(), r.u16()) {
        // A connection confirm has 11 bytes, or 19 with the negotiation.
        (Some(0x0300), Some(length @ 11..=64)) => usize::from(length),
        _ => return Err(Stop::Malformed),
    };
    let body = connection.exactly(length - 4).await?;
    parse(&[head, body].concat()).ok_or(Stop::Malformed)
}

fn parse(packet: &[u8]) -> Option<Answer> {
    let mut r = Reader::new(packet);
    if r.u8()? != 3 || r.u8()? != 0 {
        return None;
    }
    let length = usize::from(r.u16()?);
    let indicator = usize::from(r.u8()?);
    // X.224 Connection Confirm.
    if length > packet.len() || indicator + 5 != length || r.u8()? & 0xf0 != 0xd0 {
        return None;
    }
    r.take(5)?;
    if r.is_empty() {
        return Some(Answer::Selected(STANDARD));
    }
    let kind = r.u8()?;
    r.u8()?;
    if r.u16_le()? != 8 {
        return None;
    }
    let value = r.u32_le()?;
    match kind {
        2 if value <= 0x10 => Some(Answer::Selected(value)),
        3 => Some(Answer::Failure(value)),
        _ => None,
    }
}

async fn upgrade(connection: &mut Connection) -> Result<(), Stop> {
    connection.send(&request(SSL | HYBRID)).await?;
    match receive(connection).await? {
        Answer::Selected(SSL | HYBRID) => Ok(()),
        _ => Err(Stop::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::reader::mutations;

    #[test]
    fn answers_are_told_apart() {
        let confirm = |kind: u8, value: u8| [3, 0, 0, 19, 14, 0xd0, 0, 0, 0x12, 0x34, 0, kind, 0, 8, 0, value, 0, 0, 0];
        assert_eq!(parse(&confirm(2, 2)), Some(Answer::Selected(HYBRID)));
        assert_eq!(parse(&confirm(3, 5)), Some(Answer::Failure(HYBRID_REQUIRED)));
        assert_eq!(parse(&[3, 0, 0, 11, 6, 0xd0, 0, 0, 0x12, 0x34, 0]), Some(Answer::Selected(STANDARD)));
        assert_eq!(parse(&confirm(4, 0)), None);
        assert_eq!(parse(&confirm(2, 2)[..18]), None);
        assert_eq!(parse(b"\x03\0\0\x0b\x06\xe0\0\0\0\0\0"), None);
        assert_eq!(request(SSL).get(..7), Some(&[3, 0, 0, 43, 38, 0xe0, 0][..]));
    }

    #[test]
    fn three_answers_tell_what_is_demanded() {
        use Answer::{Failure, Selected};
        let cases = [
            (Selected(HYBRID), Selected(STANDARD), Selected(SSL), OPTIONAL, true),
            (Selected(HYBRID), Failure(SSL_REQUIRED), Selected(SSL), REQUIRED, true),
            (Selected(HYBRID), Failure(HYBRID_REQUIRED), Failure(HYBRID_REQUIRED), REQUIRED, false),
            (Selected(SSL), Failure(SSL_REQUIRED), Selected(SSL), REQUIRED, true),
            (Failure(2), Selected(STANDARD), Failure(2), NONE, true),
            (Failure(3), Selected(STANDARD), Selected(STANDARD), NONE, true),
        ];
        for (best, standard, tls, expected, screen) in cases {
            let seen = fold(best, Ok(standard), Ok(tls));
            assert_eq!((seen.tls, seen.open == ["sign-in-screen"]), (expected, screen), "{best:?} {standard:?} {tls:?}");
            assert!(seen.unanswered.is_empty());
        }
        let seen = fold(Selected(HYBRID), Err("no answer".into()), Ok(Failure(HYBRID_REQUIRED)));
        assert_eq!((seen.tls, seen.unanswered.len()), (UNKNOWN, 1));
    }

    #[test]
    fn recorded_answers_are_read() {
        let tls: &[u8] = include_bytes!("../../../tests/wire/rdp-xrdp-tls.bin");
        let standard: &[u8] = include_bytes!("../../../tests/wire/rdp-xrdp-standard.bin");
        assert_eq!((parse(tls), parse(standard)), (Some(Answer::Selected(SSL)), Some(Answer::Selected(STANDARD))));
        for bytes in [mutations(tls), mutations(standard)].concat() {
            parse(&bytes);
        }
    }
}
