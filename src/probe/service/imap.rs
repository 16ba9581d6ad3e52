//! IMAP (RFC 9051, RFC 3501): CAPABILITY.

use super::{NONE, OPTIONAL, Protocol, REQUIRED, Seen, UNKNOWN, Upgrade};
use crate::probe::dial::{Connection, Stop};

/// IMAP.
pub const PROTOCOL: Protocol = Protocol {
    name: "imap",
    ports: &[143, 220],
    processes: &["imap-login"],
    greets: Some(greets),
    talk: Some(|_, mut connection, first| Box::pin(async move { Some(talk(&mut connection, first).await) })),
    ..Protocol::NONE
};

/// STARTTLS (RFC 9051).
pub const UPGRADE: Upgrade = Upgrade { name: "imap", is_counted: false, prepare: |connection| Box::pin(upgrade(connection)) };

/// `* OK`, `* PREAUTH`, `* BYE` (RFC 9051 section 7.1).
pub fn greets(first: &[u8]) -> bool {
    [&b"* OK"[..], b"* PREAUTH", b"* BYE"].iter().any(|word| first.starts_with(word))
}

/// Asks for the capabilities and leaves.
pub async fn talk(connection: &mut Connection, first: &[u8]) -> Seen {
    let mut seen = Seen::plain("imap", first, "CAPABILITY");
    if first.starts_with(b"* PREAUTH") {
        seen.authentication = NONE;
    }
    match capabilities(connection).await {
        Ok(words) => {
            let has = |word: &str| words.split_ascii_whitespace().any(|w| w == word);
            let (offered, disabled) = (has("STARTTLS"), has("LOGINDISABLED"));
            seen.tls = match (offered, disabled) {
                (true, true) => REQUIRED,
                (true, false) => OPTIONAL,
                (false, _) => NONE,
            };
            seen.upgrade = offered.then_some(UPGRADE);
            seen.exchange = if offered { "CAPABILITY offers STARTTLS" } else { "CAPABILITY without STARTTLS" }.into();
        }
        Err(stop) => {
            seen.tls = UNKNOWN;
            seen.left_open("tls", format!("CAPABILITY: {stop}"));
        }
    }
    let _ = connection.send(b"a9 LOGOUT\r\n").await;
    seen
}

async fn capabilities(connection: &mut Connection) -> Result<String, Stop> {
    connection.send(b"a1 CAPABILITY\r\n").await?;
    let lines = connection.lines(|l| l.starts_with(b"a1 ")).await?;
    let line = lines.iter().find(|l| l.starts_with(b"* CAPABILITY")).ok_or(Stop::Malformed)?;
    Ok(String::from_utf8_lossy(line).to_ascii_uppercase())
}

/// STARTTLS.
pub async fn upgrade(connection: &mut Connection) -> Result<(), Stop> {
    connection.line().await?;
    connection.send(b"a2 STARTTLS\r\n").await?;
    let lines = connection.lines(|l| l.starts_with(b"a2 ")).await?;
    if lines.last().is_some_and(|l| l.starts_with(b"a2 OK")) { Ok(()) } else { Err(Stop::Malformed) }
}
