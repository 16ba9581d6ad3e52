//! SMB: which dialects a server accepts (MS-SMB2 section 2.2.3, MS-CIFS section 2.2.4.52), whether it
//! demands signatures, and whether nobody gets a session.

use super::{Asked, NONE, Protocol, REQUIRED, Seen};
use crate::probe::dial::{Connection, Dialer, Stop};
use crate::probe::reader::Reader;

/// SMB.
pub const PROTOCOL: Protocol = Protocol {
    name: "smb",
    ports: &[445, 139],
    processes: &["smbd"],
    ask: Some(|dialer| Box::pin(ask(dialer))),
    hinted: Some(|bytes| matches!(bytes.get(4..8), Some(b"\xfeSMB" | b"\xffSMB"))),
    ..Protocol::NONE
};

/// Dialects of SMB 2 and 3, oldest first, and their names.
const DIALECTS: [(u16, &str); 5] = [(0x0202, "SMB 2.0.2"), (0x0210, "SMB 2.1"), (0x0300, "SMB 3.0"), (0x0302, "SMB 3.0.2"), (0x0311, "SMB 3.1.1")];
/// The one dialect of SMB 1 that is asked for.
const NT1: &str = "NT LM 0.12";
/// Largest message read, bytes.
const MESSAGE_LIMIT: usize = 16 << 10;
/// Port of the NetBIOS session service (RFC 1002), which wants a session first.
const NETBIOS: u16 = 139;
/// SecurityMode of SMB 2 (MS-SMB2 section 2.2.4) and of SMB 1 (MS-CIFS section 2.2.4.52.2).
const SIGNING_ENABLED: u16 = 1;
const SIGNING_REQUIRED: u16 = 2;
const OLD_SIGNING_ENABLED: u8 = 4;
const OLD_SIGNING_REQUIRED: u8 = 8;
/// STATUS_MORE_PROCESSING_REQUIRED, STATUS_NOT_SUPPORTED.
const MORE_PROCESSING: u32 = 0xc000_0016;
/// SMB2 commands.
const NEGOTIATE: u16 = 0;
const SESSION_SETUP: u16 = 1;
/// SessionFlags (MS-SMB2 section 2.2.6).
const IS_GUEST: u16 = 1;

/// Answer to a negotiation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Negotiated {
    dialect: u16,
    mode: u16,
}

/// All dialects at first; then those that are left, until the server takes none; then SMB 1.
async fn ask(dialer: &Dialer) -> Asked {
    let mut connection = match open(dialer).await {
        Ok(connection) => connection,
        Err(asked) => return asked,
    };
    let mut dialects: Vec<u16> = DIALECTS.iter().map(|d| d.0).collect();
    if let Err(stop) = connection.send(&negotiate(&dialects)).await {
        return stop.into();
    }
    let wait = dialer.limits.answer_timeout.min(dialer.left());
    let first = match connection.greeting(wait, |b| b.len() >= 8).await {
        Ok(first) => first,
        // A server of SMB 1 alone may hang up.
        Err(Stop::Closed) => return old_only(dialer).await,
        Err(stop) => return stop.into(),
    };
    if !matches!(first.get(4..8), Some(b"\xfeSMB") | None) {
        return Asked::Answered(first);
    }
    connection.unread(&first);
    let best = match receive(&mut connection).await.map(|m| negotiated(&m)) {
        Ok(Some(best)) => best,
        Ok(None) | Err(Stop::Malformed | Stop::Limit) => return Asked::Answered(first),
        Err(stop) => return stop.into(),
    };
    let mut seen = Seen { authentication: REQUIRED, ..Seen::plain("smb", b"", "SMB2 NEGOTIATE") };
    let mut accepted = vec![best];
    session(&mut connection, &mut seen).await;
    drop(connection);
    loop {
        dialects.retain(|d| accepted.iter().all(|a| a.dialect != *d));
        if dialects.is_empty() {
            break;
        }
        match again(dialer, &dialects).await {
            Ok(Some(next)) if dialects.contains(&next.dialect) => accepted.push(next),
            Ok(_) => break,
            Err(problem) => {
                seen.left_open("versions", format!("SMB2 NEGOTIATE: {problem}"));
                break;
            }
        }
    }
    let old = old(dialer).await;
    Asked::Found(Box::new(fold(seen, &accepted, old)))
}

/// A server that hung up on SMB 2: is it one of SMB 1?
async fn old_only(dialer: &Dialer) -> Asked {
    match old(dialer).await {
        Ok(Some(mode)) => {
            let seen = Seen { authentication: REQUIRED, ..Seen::plain("smb", b"", "SMB NEGOTIATE") };
            Asked::Found(Box::new(fold(seen, &[], Ok(Some(mode)))))
        }
        _ => Asked::Closed,
    }
}

/// `old` is the security mode of SMB 1 where it is accepted.
fn fold(mut seen: Seen, accepted: &[Negotiated], old: Result<Option<u8>, String>) -> Seen {
    let mut signing: Vec<&'static str> = accepted.iter().map(|a| strength(a.mode & SIGNING_REQUIRED != 0, a.mode & SIGNING_ENABLED != 0)).collect();
    match old {
        Ok(Some(mode)) => {
            seen.opens("smb1");
            seen.versions.push(NT1.into());
            signing.push(strength(mode & OLD_SIGNING_REQUIRED != 0, mode & OLD_SIGNING_ENABLED != 0));
        }
        Ok(None) => {}
        Err(problem) => {
            for field in ["versions", "open"] {
                seen.left_open(field, format!("SMB NEGOTIATE: {problem}"));
            }
        }
    }
    let names = DIALECTS.iter().filter(|d| accepted.iter().any(|a| a.dialect == d.0)).map(|d| d.1.to_string());
    seen.versions.extend(names);
    // The weakest: a client may choose its dialect.
    seen.signing = ["disabled", "enabled", "required"].into_iter().find(|s| signing.contains(s)).unwrap_or("");
    seen
}

const fn strength(required: bool, enabled: bool) -> &'static str {
    match (required, enabled) {
        (true, _) => "required",
        (false, true) => "enabled",
        (false, false) => "disabled",
    }
}

async fn again(dialer: &Dialer, dialects: &[u16]) -> Result<Option<Negotiated>, String> {
    let mut connection = open(dialer).await.map_err(|asked| format!("{asked:?}").to_lowercase())?;
    connection.send(&negotiate(dialects)).await.map_err(|e| e.to_string())?;
    match receive(&mut connection).await {
        Ok(message) => Ok(negotiated(&message)),
        Err(Stop::Closed) => Ok(None),
        Err(stop) => Err(stop.to_string()),
    }
}

/// Security mode of SMB 1, where its dialect is accepted.
async fn old(dialer: &Dialer) -> Result<Option<u8>, String> {
    let mut connection = open(dialer).await.map_err(|asked| format!("{asked:?}").to_lowercase())?;
    connection.send(&old_negotiate()).await.map_err(|e| e.to_string())?;
    match receive(&mut connection).await {
        Ok(message) => Ok(old_negotiated(&message)),
        Err(Stop::Closed) => Ok(None),
        Err(stop) => Err(stop.to_string()),
    }
}

/// A connection, with a NetBIOS session where the port is of that service.
async fn open(dialer: &Dialer) -> Result<Connection, Asked> {
    let mut connection = dialer.connect().await.map_err(|_| Asked::NoConnection)?;
    if dialer.address.port() == NETBIOS {
        connection.send(&session_request()).await.map_err(Asked::from)?;
        let head = connection.exactly(4).await.map_err(Asked::from)?;
        // Positive; a negative or retarget response has a reason.
        if head.first() != Some(&0x82) {
            return Err(Asked::Answered(head));
        }
    }
    Ok(connection)
}

/// A session with `*SMBSERVER`, the name that every server has (RFC 1002 section 4.3.2).
fn session_request() -> Vec<u8> {
    let name = |text: &[u8; 16]| {
        let mut out = vec![32];
        for byte in text {
            out.extend([b'A' + (byte >> 4), b'A' + (byte & 0x0f)]);
        }
        out.push(0);
        out
    };
    [&[0x81, 0, 0, 68][..], &name(b"*SMBSERVER      "), &name(b"ASSAY          \0")].concat()
}

/// One message over direct TCP: a zero byte, its length in three, its bytes.
fn framed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap_or(0).to_be_bytes();
    [&length[..], message].concat()
}

async fn receive(connection: &mut Connection) -> Result<Vec<u8>, Stop> {
    let head = connection.exactly(4).await?;
    let mut r = Reader::new(&head);
    let (kind, length) = (r.u8(), r.u24().unwrap_or(0));
    if kind != Some(0) || length < 32 {
        return Err(Stop::Malformed);
    }
    if length > MESSAGE_LIMIT {
        return Err(Stop::Limit);
    }
    connection.exactly(length).await
}

/// Header of a request (MS-SMB2 section 2.2.1.2).
fn header(command: u16, number: u64, session: &[u8; 8]) -> Vec<u8> {
    let mut out = b"\xfeSMB\x40\0\0\0\0\0\0\0".to_vec();
    out.extend(command.to_le_bytes());
    // One credit; no flags, no next command.
    out.extend([1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    out.extend(number.to_le_bytes());
    // Process, tree.
    out.extend([0xff, 0xfe, 0, 0, 0, 0, 0, 0]);
    out.extend(session);
    out.extend([0; 16]);
    out
}

/// Code of an answer to `command`, its session and its body.
fn answer(message: &[u8], command: u16) -> Option<(u32, [u8; 8], &[u8])> {
    let mut r = Reader::new(message);
    if r.take(4)? != b"\xfeSMB" || r.u16_le()? != 64 {
        return None;
    }
    r.take(2)?;
    let status = r.u32_le()?;
    if r.u16_le()? != command {
        return None;
    }
    r.take(2)?;
    // A response bears flag 1.
    if r.u32_le()? & 1 == 0 {
        return None;
    }
    r.take(4 + 8 + 8)?;
    let session = r.take(8)?.try_into().ok()?;
    r.take(16)?;
    Some((status, session, r.rest()))
}

fn negotiate(dialects: &[u16]) -> Vec<u8> {
    let count = u16::try_from(dialects.len()).unwrap_or(0);
    let mut out = header(NEGOTIATE, 0, &[0; 8]);
    out.extend([36, 0]);
    out.extend(count.to_le_bytes());
    // Signing enabled; no capabilities.
    out.extend([1, 0, 0, 0, 0, 0, 0, 0]);
    out.extend(*b"assay-probe-0000");
    let contexts_at = (64 + 36 + dialects.len() * 2).next_multiple_of(8);
    let has_contexts = dialects.contains(&0x0311);
    if has_contexts {
        out.extend(u32::try_from(contexts_at).unwrap_or(0).to_le_bytes());
        out.extend([1, 0, 0, 0]);
    } else {
        out.extend([0; 8]);
    }
    out.extend(dialects.iter().flat_map(|d| d.to_le_bytes()));
    if has_contexts {
        out.resize(contexts_at, 0);
        // SMB2_PREAUTH_INTEGRITY_CAPABILITIES: one hash, SHA-512, and a salt of 32 bytes.
        out.extend([1, 0, 38, 0, 0, 0, 0, 0, 1, 0, 32, 0, 1, 0]);
        out.extend([0x61; 32]);
    }
    framed(&out)
}

fn negotiated(message: &[u8]) -> Option<Negotiated> {
    let (0, _, body) = answer(message, NEGOTIATE)? else { return None };
    let mut r = Reader::new(body);
    if r.u16_le()? != 65 {
        return None;
    }
    let mode = r.u16_le()?;
    let dialect = r.u16_le()?;
    DIALECTS.iter().any(|d| d.0 == dialect).then_some(Negotiated { dialect, mode })
}

/// SMB_COM_NEGOTIATE with one dialect.
fn old_negotiate() -> Vec<u8> {
    let mut out = b"\xffSMB\x72\0\0\0\0\x18".to_vec();
    // Flags2: long names, extended security, error codes of NT, Unicode.
    out.extend(0xc801_u16.to_le_bytes());
    out.extend([0; 12]);
    // Tree, process, user, number of the message.
    out.extend([0xff, 0xff, 0xfe, 0xff, 0, 0, 0, 0]);
    let dialect = [&[2][..], NT1.as_bytes(), &[0]].concat();
    out.push(0);
    out.extend(u16::try_from(dialect.len()).unwrap_or(0).to_le_bytes());
    out.extend(dialect);
    framed(&out)
}

fn old_negotiated(message: &[u8]) -> Option<u8> {
    let mut r = Reader::new(message);
    if r.take(4)? != b"\xffSMB" || r.u8()? != 0x72 {
        return None;
    }
    let status = r.u32_le()?;
    let flags = r.u8()?;
    r.take(2 + 12 + 8)?;
    let words = r.u8()?;
    // Number of the dialect chosen; 0xffff for none.
    let chosen = r.u16_le()?;
    let mode = r.u8()?;
    (status == 0 && flags & 0x80 != 0 && words >= 17 && chosen == 0).then_some(mode)
}

/// Two messages of NTLM without a name (MS-NLMP section 3.2.5.1.2): who gets in so is nobody, or a guest.
async fn session(connection: &mut Connection, seen: &mut Seen) {
    match anonymous(connection).await {
        Ok(Some(flags)) if flags & IS_GUEST != 0 => {
            seen.authentication = NONE;
            seen.opens("guest");
            seen.exchange.push_str(", a session without a name is a guest's");
        }
        Ok(Some(_)) => {
            seen.opens("null-session");
            seen.exchange.push_str(", a session without a name is nobody's");
        }
        Ok(None) => seen.exchange.push_str(", a session without a name is refused"),
        // Hanging up is a refusal.
        Err(Stop::Closed) => seen.exchange.push_str(", a session without a name is cut"),
        Err(stop) => seen.left_open("open", format!("SMB2 SESSION_SETUP: {stop}")),
    }
}

async fn anonymous(connection: &mut Connection) -> Result<Option<u16>, Stop> {
    // Unicode, target, NTLM, always sign, extended session security.
    let flags = 0x0008_8205_u32;
    let hello = [&b"NTLMSSP\0\x01\0\0\0"[..], &flags.to_le_bytes(), &[0; 16]].concat();
    connection.send(&session_setup(1, [0; 8], &hello)).await?;
    let message = receive(connection).await?;
    let session = match answer(&message, SESSION_SETUP) {
        Some((MORE_PROCESSING, session, _)) => session,
        Some(_) => return Ok(None),
        None => return Err(Stop::Malformed),
    };
    connection.send(&session_setup(2, session, &nobody(flags | 0x0800))).await?;
    let message = receive(connection).await?;
    match answer(&message, SESSION_SETUP) {
        Some((0, _, body)) => {
            let mut r = Reader::new(body);
            Ok(Some(r.u16_le().and_then(|_| r.u16_le()).ok_or(Stop::Malformed)?))
        }
        Some(_) => Ok(None),
        None => Err(Stop::Malformed),
    }
}

/// AUTHENTICATE_MESSAGE of an anonymous user: one zero byte for LM, nothing else.
fn nobody(flags: u32) -> Vec<u8> {
    let field = |length: u16| [&length.to_le_bytes()[..], &length.to_le_bytes(), &64_u32.to_le_bytes()].concat();
    let mut out = b"NTLMSSP\0\x03\0\0\0".to_vec();
    out.extend(field(1));
    for _ in 0..5 {
        out.extend(field(0));
    }
    out.extend(flags.to_le_bytes());
    out.push(0);
    out
}

fn session_setup(number: u64, session: [u8; 8], token: &[u8]) -> Vec<u8> {
    let mut out = header(SESSION_SETUP, number, &session);
    // Size, no flags, signing enabled, no capabilities, no channel.
    out.extend([25, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
    out.extend(88_u16.to_le_bytes());
    out.extend(u16::try_from(token.len()).unwrap_or(0).to_le_bytes());
    out.extend([0; 8]);
    out.extend_from_slice(token);
    framed(&out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::reader::mutations;

    const SMB3: &[u8] = include_bytes!("../../../tests/wire/smb-samba-smb3.bin");
    const NT1_ANSWER: &[u8] = include_bytes!("../../../tests/wire/smb-samba-nt1.bin");

    #[test]
    fn recorded_answers_are_read() {
        let length = Reader::new(&SMB3[1..]).u24().unwrap();
        assert_eq!(negotiated(&SMB3[4..4 + length]), Some(Negotiated { dialect: 0x0311, mode: SIGNING_ENABLED }));
        assert_eq!(old_negotiated(&NT1_ANSWER[4..]), Some(3));
        assert_eq!((negotiated(&NT1_ANSWER[4..]), old_negotiated(&SMB3[4..])), (None, None));
        let (status, session, _) = answer(&SMB3[4 + length + 4..], SESSION_SETUP).unwrap();
        assert_eq!((status, session == [0; 8]), (MORE_PROCESSING, false));
    }

    #[test]
    fn the_weakest_dialect_decides() {
        let seen = || Seen::plain("smb", b"", "");
        let modern = [Negotiated { dialect: 0x0311, mode: 3 }, Negotiated { dialect: 0x0202, mode: 1 }];
        let found = fold(seen(), &modern, Ok(None));
        assert_eq!((found.versions.as_slice(), found.signing, found.open.len()), (&["SMB 2.0.2".to_string(), "SMB 3.1.1".into()][..], "enabled", 0));
        let found = fold(seen(), &modern[..1], Ok(Some(OLD_SIGNING_ENABLED | OLD_SIGNING_REQUIRED)));
        assert_eq!(
            (found.versions.as_slice(), found.signing, found.open.as_slice()),
            (&[NT1.to_string(), "SMB 3.1.1".into()][..], "required", &["smb1".to_string()][..])
        );
        assert_eq!(fold(seen(), &modern[..1], Ok(Some(3))).signing, "disabled");
        assert_eq!(fold(seen(), &modern, Err("no answer".into())).unanswered.len(), 2);
    }

    #[test]
    fn requests_have_the_lengths_that_they_name() {
        for dialects in [&[0x0202, 0x0311][..], &[0x0202]] {
            let request = negotiate(dialects);
            assert_eq!(Reader::new(&request[1..]).u24(), Some(request.len() - 4));
        }
        assert_eq!(negotiate(&[0x0311]).len(), 4 + 104 + 46);
        assert_eq!((session_request().len(), old_negotiate().len()), (72, 4 + 35 + 12));
        assert_eq!(nobody(0).len(), 65);
    }

    #[test]
    fn no_answer_makes_it_panic() {
        for recorded in [SMB3, NT1_ANSWER] {
            for bytes in mutations(&recorded[4..]) {
                negotiated(&bytes);
                old_negotiated(&bytes);
                answer(&bytes, SESSION_SETUP);
            }
        }
    }
}
