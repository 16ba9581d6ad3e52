//! IMAP (RFC 9051, RFC 3501): CAPABILITY and STARTTLS.

use super::starttls::{self, Listed};
use super::{NONE, Protocol, Seen, UNKNOWN, Upgrade};
use crate::probe::dial::{Connection, Dialer, Stop};

/// IMAP.
pub const PROTOCOL: Protocol = Protocol {
    name: "imap",
    ports: &[143, 220],
    processes: &["imap-login"],
    greets: Some(greets),
    talk: Some(|dialer, mut connection, first| Box::pin(async move { Some(talk(dialer, &mut connection, first).await) })),
    ..Protocol::NONE
};

/// STARTTLS (RFC 9051).
pub const UPGRADE: Upgrade = Upgrade { name: "imap", is_counted: false, prepare: |connection| Box::pin(upgrade(connection)) };

/// `* OK`, `* PREAUTH`, `* BYE` (RFC 9051 section 7.1).
pub fn greets(first: &[u8]) -> bool {
    [&b"* OK"[..], b"* PREAUTH", b"* BYE"].iter().any(|word| first.starts_with(word))
}

/// Asks for the capabilities and for TLS, and leaves.
async fn talk(dialer: &Dialer, connection: &mut Connection, first: &[u8]) -> Seen {
    let mut seen = Seen::plain("imap", first, "CAPABILITY");
    if first.starts_with(b"* PREAUTH") {
        seen.authentication = NONE;
    }
    let words = match capabilities(connection).await {
        Ok(words) => words,
        Err(stop) => {
            seen.tls = UNKNOWN;
            seen.left_open("tls", format!("CAPABILITY: {stop}"));
            return seen;
        }
    };
    let words: Vec<&str> = words.split_ascii_whitespace().collect();
    let listed = Listed::of(words.iter().copied(), "STARTTLS");
    let accepted = start_tls(connection).await;
    let demanded = is_demanded(&words) || (accepted == Ok(true) && is_demanded_of_others(dialer).await);
    starttls::note(&mut seen, UPGRADE, "STARTTLS", listed, accepted, demanded);
    if accepted != Ok(true) {
        let _ = connection.send(b"a9 LOGOUT\r\n").await;
    }
    seen
}

/// Who can't sign in before TLS can do nothing useful: no password, and no other method.
fn is_demanded(words: &[&str]) -> bool {
    words.contains(&"LOGINDISABLED") && !words.iter().any(|w| w.starts_with("AUTH="))
}

/// Dovecot takes a client at its own address for safe and lets it sign in without TLS.
async fn is_demanded_of_others(dialer: &Dialer) -> bool {
    let Some(mut connection) = dialer.connect_as_other().await else { return false };
    if connection.line().await.is_err() {
        return false;
    }
    let words = capabilities(&mut connection).await.unwrap_or_default();
    let _ = connection.send(b"a9 LOGOUT\r\n").await;
    is_demanded(&words.split_ascii_whitespace().collect::<Vec<_>>())
}

/// Words after `* CAPABILITY`, upper case.
async fn capabilities(connection: &mut Connection) -> Result<String, Stop> {
    connection.send(b"a1 CAPABILITY\r\n").await?;
    let lines = connection.lines(|l| l.starts_with(b"a1 ")).await?;
    let line = lines.iter().find_map(|l| l.strip_prefix(b"* CAPABILITY")).ok_or(Stop::Malformed)?;
    Ok(String::from_utf8_lossy(line).to_ascii_uppercase())
}

async fn start_tls(connection: &mut Connection) -> Result<bool, Stop> {
    connection.send(b"a2 STARTTLS\r\n").await?;
    let lines = connection.lines(|l| l.starts_with(b"a2 ")).await?;
    Ok(lines.last().is_some_and(|l| l.starts_with(b"a2 OK")))
}

/// STARTTLS.
async fn upgrade(connection: &mut Connection) -> Result<(), Stop> {
    connection.line().await?;
    if start_tls(connection).await? { Ok(()) } else { Err(Stop::Malformed) }
}
