//! POP3 (RFC 1939): CAPA (RFC 2449) and STLS (RFC 2595).

use super::{NONE, OPTIONAL, Protocol, REQUIRED, Seen, UNKNOWN, Upgrade};
use crate::probe::dial::{Connection, Stop};

/// POP3.
pub const PROTOCOL: Protocol = Protocol {
    name: "pop3",
    ports: &[110],
    processes: &["pop3-login"],
    greets: Some(greets),
    talk: Some(|_, mut connection, first| Box::pin(async move { Some(talk(&mut connection, first).await) })),
    ..Protocol::NONE
};

/// STLS (RFC 2595).
pub const UPGRADE: Upgrade = Upgrade { name: "pop3", is_counted: false, prepare: |connection| Box::pin(upgrade(connection)) };

/// `+OK`.
pub fn greets(first: &[u8]) -> bool {
    first.starts_with(b"+OK")
}

/// Asks for the capabilities and leaves.
pub async fn talk(connection: &mut Connection, first: &[u8]) -> Seen {
    let mut seen = Seen::plain("pop3", first, "CAPA");
    match capabilities(connection).await {
        Ok(words) => {
            let has = |word: &str| words.iter().any(|w| w == word || w.starts_with(&format!("{word} ")));
            let offered = has("STLS");
            // Without USER and SASL nobody can sign in before the upgrade.
            seen.tls = match (offered, has("USER") || has("SASL")) {
                (true, false) => REQUIRED,
                (true, true) => OPTIONAL,
                (false, _) => NONE,
            };
            seen.upgrade = offered.then_some(UPGRADE);
            seen.exchange = if offered { "CAPA offers STLS" } else { "CAPA without STLS" }.into();
        }
        Err(stop) => {
            seen.tls = UNKNOWN;
            seen.left_open("tls", format!("CAPA: {stop}"));
        }
    }
    let _ = connection.send(b"QUIT\r\n").await;
    seen
}

/// Servers older than CAPA answer `-ERR`: no capabilities.
async fn capabilities(connection: &mut Connection) -> Result<Vec<String>, Stop> {
    connection.send(b"CAPA\r\n").await?;
    let lines = connection.lines(|l| l == b"." || l.starts_with(b"-ERR")).await?;
    Ok(lines.iter().map(|l| String::from_utf8_lossy(l).to_ascii_uppercase()).collect())
}

/// STLS.
pub async fn upgrade(connection: &mut Connection) -> Result<(), Stop> {
    connection.line().await?;
    connection.send(b"STLS\r\n").await?;
    if connection.line().await?.starts_with(b"+OK") { Ok(()) } else { Err(Stop::Malformed) }
}
