//! ManageSieve (RFC 5804): capabilities come unasked, STARTTLS is one of them.

use super::starttls::{self, Listed};
use super::{Protocol, REQUIRED, Seen, UNKNOWN, Upgrade};
use crate::probe::dial::{Connection, Dialer, Stop};

/// ManageSieve.
pub const PROTOCOL: Protocol = Protocol {
    name: "managesieve",
    ports: &[4190, 2000],
    processes: &["managesieve-log", "timsieved"],
    greets: Some(greets),
    talk: Some(|dialer, connection, first| Box::pin(async move { Some(talk(dialer, connection, first).await) })),
    ..Protocol::NONE
};

/// STARTTLS (RFC 5804 section 2.2).
pub const UPGRADE: Upgrade = Upgrade { name: "managesieve", is_counted: false, prepare: |connection| Box::pin(upgrade(connection)) };

/// Capabilities that RFC 5804 section 1.7 knows.
const CAPABILITIES: &[&str] = &["IMPLEMENTATION", "SASL", "SIEVE", "STARTTLS", "MAXREDIRECTS", "NOTIFY", "LANGUAGE", "OWNER", "VERSION"];

/// A quoted capability at the start of a line.
fn greets(first: &[u8]) -> bool {
    let line = first.split(|b| *b == b'\n').next().unwrap_or_default();
    strings(line).first().is_some_and(|name| CAPABILITIES.contains(&name.as_str()))
}

/// Reads the list, asks for TLS and leaves.
async fn talk(dialer: &Dialer, mut connection: Connection, first: &[u8]) -> Seen {
    let mut seen = Seen { authentication: REQUIRED, ..Seen::plain("managesieve", first, "greeting") };
    connection.unread(first);
    let list = match list(&mut connection).await {
        Ok(list) => list,
        Err(stop) => {
            seen.tls = UNKNOWN;
            seen.left_open("tls", format!("greeting: {stop}"));
            return seen;
        }
    };
    let listed = Listed::of(list.iter().filter_map(|strings| strings.first()).map(String::as_str), "STARTTLS");
    let accepted = start_tls(&mut connection).await;
    let demanded = is_demanded(&list) || (accepted == Ok(true) && is_demanded_of_others(dialer).await);
    starttls::note(&mut seen, UPGRADE, "STARTTLS", listed, accepted, demanded);
    if accepted != Ok(true) {
        let _ = connection.send(b"LOGOUT\r\n").await;
    }
    seen
}

/// Without a method nobody can sign in before the upgrade.
fn is_demanded(list: &[Vec<String>]) -> bool {
    !list.iter().any(|s| matches!(s.as_slice(), [name, methods, ..] if name == "SASL" && !methods.trim().is_empty()))
}

/// Dovecot takes a client at its own address for safe and lets it sign in without TLS.
async fn is_demanded_of_others(dialer: &Dialer) -> bool {
    let Some(mut connection) = dialer.connect_as_other().await else { return false };
    let list = list(&mut connection).await;
    let _ = connection.send(b"LOGOUT\r\n").await;
    list.is_ok_and(|list| is_demanded(&list))
}

/// Strings of each line before the last, which is OK, NO or BYE.
async fn list(connection: &mut Connection) -> Result<Vec<Vec<String>>, Stop> {
    let lines = connection.lines(is_last).await?;
    if lines.last().is_some_and(|l| is_ok(l)) { Ok(lines.iter().map(|l| strings(l)).collect()) } else { Err(Stop::Closed) }
}

fn is_last(line: &[u8]) -> bool {
    [&b"OK"[..], b"NO", b"BYE"].iter().any(|word| line.get(..word.len()).is_some_and(|l| l.eq_ignore_ascii_case(word)))
}

fn is_ok(line: &[u8]) -> bool {
    line.get(..2).is_some_and(|l| l.eq_ignore_ascii_case(b"OK"))
}

/// The quoted strings of a line, upper case (RFC 5804 section 4).
fn strings(line: &[u8]) -> Vec<String> {
    if line.first() != Some(&b'"') {
        return Vec::new();
    }
    line.split(|b| *b == b'"').skip(1).step_by(2).map(|s| String::from_utf8_lossy(s).to_ascii_uppercase()).collect()
}

async fn start_tls(connection: &mut Connection) -> Result<bool, Stop> {
    connection.send(b"STARTTLS\r\n").await?;
    Ok(is_ok(&connection.lines(is_last).await?.pop().unwrap_or_default()))
}

/// STARTTLS.
async fn upgrade(connection: &mut Connection) -> Result<(), Stop> {
    list(connection).await?;
    if start_tls(connection).await? { Ok(()) } else { Err(Stop::Malformed) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_quoted_strings() {
        assert_eq!(strings(b"\"SASL\" \"plain login\""), ["SASL", "PLAIN LOGIN"]);
        assert_eq!(strings(b"\"SASL\" \"\""), ["SASL", ""]);
        assert_eq!(strings(b"OK \"ready\""), [""; 0]);
        assert!(greets(b"\"IMPLEMENTATION\" \"Dovecot Pigeonhole\"\r\n\"SIEVE\" \"fileinto\"\r\n"));
        assert!(!greets(b"\"hello\"\r\n") && !greets(b"OK\r\n") && !greets(b""));
    }
}
