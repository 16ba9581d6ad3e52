//! POP3 (RFC 1939): CAPA (RFC 2449) and STLS (RFC 2595).

use super::starttls::{self, Listed};
use super::{OUR_NAME, Protocol, Seen, UNKNOWN, Upgrade};
use crate::probe::dial::{Connection, Dialer, Stop};

/// POP3.
pub const PROTOCOL: Protocol = Protocol {
    name: "pop3",
    ports: &[110],
    processes: &["pop3-login"],
    greets: Some(greets),
    talk: Some(|dialer, mut connection, first| Box::pin(async move { Some(talk(dialer, &mut connection, first).await) })),
    ..Protocol::NONE
};

/// STLS (RFC 2595).
pub const UPGRADE: Upgrade = Upgrade { name: "pop3", is_counted: false, prepare: |connection| Box::pin(upgrade(connection)) };

/// `+OK`.
pub fn greets(first: &[u8]) -> bool {
    first.starts_with(b"+OK")
}

/// Asks for the capabilities and for TLS, and leaves.
async fn talk(dialer: &Dialer, connection: &mut Connection, first: &[u8]) -> Seen {
    let mut seen = Seen::plain("pop3", first, "CAPA");
    let words = match capabilities(connection).await {
        Ok(words) => words,
        Err(stop) => {
            seen.tls = UNKNOWN;
            seen.left_open("tls", format!("CAPA: {stop}"));
            return seen;
        }
    };
    let listed = words.as_ref().map_or(Listed::Unlisted, |words| Listed::of(words.iter().map(String::as_str), "STLS"));
    let accepted = start_tls(connection).await;
    if accepted != Ok(true) {
        let _ = connection.send(b"QUIT\r\n").await;
    }
    let demanded = accepted == Ok(true) && (!may_sign_in(words.as_deref()) || refuses_name(dialer).await);
    starttls::note(&mut seen, UPGRADE, "STLS", listed, accepted, demanded);
    seen
}

/// Lines of the list, upper case. Servers older than CAPA answer `-ERR`: they have no list.
async fn capabilities(connection: &mut Connection) -> Result<Option<Vec<String>>, Stop> {
    connection.send(b"CAPA\r\n").await?;
    let lines = connection.lines(|l| l == b"." || l.starts_with(b"-ERR")).await?;
    let has_list = lines.first().is_some_and(|l| l.starts_with(b"+OK"));
    Ok(has_list.then(|| lines.iter().map(|l| String::from_utf8_lossy(l).trim().to_ascii_uppercase()).collect()))
}

/// Without USER and a method of SASL nobody can sign in before the upgrade.
fn may_sign_in(words: Option<&[String]>) -> bool {
    words.is_none_or(|words| words.iter().any(|w| w == "USER" || w.starts_with("SASL ")))
}

/// Whether a name that nobody has is refused in words that ask for TLS, on a connection of its own;
/// no password follows. Dovecot takes a client at its own address for safe and says so to others only.
async fn refuses_name(dialer: &Dialer) -> bool {
    let asked = async {
        let mut connection = match dialer.connect_as_other().await {
            Some(connection) => connection,
            None => dialer.connect().await.map_err(|_| Stop::Closed)?,
        };
        connection.line().await?;
        connection.send(format!("USER {OUR_NAME}\r\n").as_bytes()).await?;
        let answer = connection.line().await?;
        let _ = connection.send(b"QUIT\r\n").await;
        Ok::<Vec<u8>, Stop>(answer)
    };
    asked.await.is_ok_and(|answer| wants_tls(&answer))
}

fn wants_tls(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer).to_ascii_uppercase();
    // Dovecot: "-ERR [AUTH] Plaintext authentication disallowed on non-secure (SSL/TLS) connections."
    text.starts_with("-ERR") && ["TLS", "STLS", "SSL", "ENCRYPT"].iter().any(|w| text.contains(w))
}

async fn start_tls(connection: &mut Connection) -> Result<bool, Stop> {
    connection.send(b"STLS\r\n").await?;
    Ok(connection.line().await?.starts_with(b"+OK"))
}

/// STLS.
async fn upgrade(connection: &mut Connection) -> Result<(), Stop> {
    connection.line().await?;
    if start_tls(connection).await? { Ok(()) } else { Err(Stop::Malformed) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_for_want_of_tls_is_told_from_others() {
        assert!(wants_tls(b"-ERR [AUTH] Plaintext authentication disallowed on non-secure (SSL/TLS) connections."));
        assert!(!wants_tls(b"-ERR [AUTH] no such user"));
        let words = |w: &[&str]| w.iter().map(ToString::to_string).collect::<Vec<_>>();
        // Dovecot with disable_plaintext_auth: the list of methods is empty.
        assert!(!may_sign_in(Some(&words(&["+OK", "STLS", "SASL", "."]))));
        assert!(may_sign_in(Some(&words(&["USER"]))) && may_sign_in(Some(&words(&["SASL PLAIN"]))) && may_sign_in(None));
        assert!(!wants_tls(b"+OK send PASS, without TLS if you must"));
    }
}
