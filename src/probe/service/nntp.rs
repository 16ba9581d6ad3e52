//! NNTP (RFC 3977), its sign-in (RFC 4643) and its STARTTLS (RFC 4642).

use super::starttls::{self, Listed};
use super::{NONE, Protocol, REQUIRED, Seen, UNKNOWN, Upgrade};
use crate::probe::dial::{Connection, Stop};

/// NNTP.
pub const PROTOCOL: Protocol = Protocol {
    name: "nntp",
    ports: &[119, 433],
    processes: &["innd", "nnrpd", "leafnode"],
    greets: Some(greets),
    talk: Some(|_, connection, first| Box::pin(talk(connection, first))),
    ..Protocol::NONE
};

/// STARTTLS (RFC 4642).
pub const UPGRADE: Upgrade = Upgrade { name: "nntp", is_counted: false, prepare: |connection| Box::pin(upgrade(connection)) };

/// A newsgroup that nobody has: the list of it is empty, if we may see it.
const LIST: &str = "LIST ACTIVE assay.no-such-group";

/// `200`, `201`, or a refusal that names the service (RFC 3977 section 5.1).
fn greets(first: &[u8]) -> bool {
    let welcome = first.starts_with(b"200 ") || first.starts_with(b"201 ");
    let refusal = first.starts_with(b"400 ") || first.starts_with(b"502 ");
    welcome || (refusal && names_itself(first))
}

fn names_itself(line: &[u8]) -> bool {
    let text = String::from_utf8_lossy(line).to_ascii_uppercase();
    ["NNTP", "NNRP", "NEWS"].iter().any(|w| text.contains(w))
}

/// Asks for the capabilities, for an empty list and for TLS; `None` when it is no NNTP: other
/// servers greet with 200, too.
async fn talk(mut connection: Connection, first: &[u8]) -> Option<Seen> {
    let mut seen = Seen::plain("nntp", first, "greeting");
    connection.unread(first);
    let greeting = connection.line().await.ok()?;
    if !greeting.starts_with(b"20") {
        seen.tls = UNKNOWN;
        seen.left_open("tls", format!("the server greets with {} only", code(&greeting)));
        return Some(seen);
    }
    let words = match capabilities(&mut connection).await {
        Ok(Some(words)) => Some(words),
        Ok(None) if names_itself(&greeting) || knows_date(&mut connection).await => None,
        Ok(None) => return None,
        Err(_) if !names_itself(&greeting) => return None,
        Err(stop) => {
            seen.tls = UNKNOWN;
            seen.left_open("tls", format!("CAPABILITIES: {stop}"));
            return Some(seen);
        }
    };
    let reading = command(&mut connection, LIST).await.map(|line| code(&line));
    if reading == Ok(215) && connection.lines(|l| l == b".").await.is_err() {
        return None;
    }
    seen.authentication = match reading {
        Ok(215) => NONE,
        Ok(480 | 483) => REQUIRED,
        _ => UNKNOWN,
    };
    let demanded = match reading {
        // Encryption is needed (RFC 4642 section 2.1).
        Ok(483) => true,
        // A sign-in is needed: would a name be taken in the clear? No password follows.
        Ok(480) => command(&mut connection, "AUTHINFO USER assay").await.is_ok_and(|line| code(&line) == 483),
        _ => false,
    };
    let accepted = command(&mut connection, "STARTTLS").await.map(|line| code(&line) == 382);
    let listed = words.as_ref().map_or(Listed::Unlisted, |words| Listed::of(words.iter().filter_map(|w| w.split(' ').next()), "STARTTLS"));
    starttls::note(&mut seen, UPGRADE, "STARTTLS", listed, accepted, demanded);
    if accepted != Ok(true) {
        // Best effort: leave in order.
        let _ = connection.send(b"QUIT\r\n").await;
    }
    Some(seen)
}

/// Lines of the list, upper case; `None` of a server that has no such command.
async fn capabilities(connection: &mut Connection) -> Result<Option<Vec<String>>, Stop> {
    if code(&command(connection, "CAPABILITIES").await?) != 101 {
        return Ok(None);
    }
    let lines = connection.lines(|l| l == b".").await?;
    Ok(Some(lines.iter().map(|l| String::from_utf8_lossy(l).trim().to_ascii_uppercase()).collect()))
}

/// DATE answers 111 and fourteen digits (RFC 3977 section 7.1).
async fn knows_date(connection: &mut Connection) -> bool {
    command(connection, "DATE").await.is_ok_and(|line| code(&line) == 111)
}

async fn command(connection: &mut Connection, line: &str) -> Result<Vec<u8>, Stop> {
    connection.send(format!("{line}\r\n").as_bytes()).await?;
    connection.line().await
}

/// Its three digits; 0 when there are none.
fn code(line: &[u8]) -> u16 {
    line.get(..3).and_then(|c| std::str::from_utf8(c).ok()).and_then(|c| c.parse().ok()).unwrap_or(0)
}

/// STARTTLS.
async fn upgrade(connection: &mut Connection) -> Result<(), Stop> {
    connection.line().await?;
    if code(&command(connection, "STARTTLS").await?) == 382 { Ok(()) } else { Err(Stop::Malformed) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn greetings_are_told_from_others() {
        assert!(greets(b"200 lab.example InterNetNews NNRP server INN 2.7.1 ready (posting ok)\r\n"));
        assert!(greets(b"201 no posting\r\n") && greets(b"400 NNTP server unavailable.  Try later!\r\n"));
        assert!(!greets(b"400 Bad Request\r\n") && !greets(b"220 mail\r\n") && !greets(b"200"));
    }
}
