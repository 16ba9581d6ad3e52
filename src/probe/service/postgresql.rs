//! PostgreSQL frontend/backend protocol 3.0 (chapter "Message Formats" of its manual).

use super::{Asked, NONE, OPTIONAL, Protocol, REQUIRED, Seen, UNKNOWN, Upgrade};
use crate::probe::dial::{Connection, Dialer, Stop};
use crate::probe::reader::Reader;

/// PostgreSQL.
pub const PROTOCOL: Protocol = Protocol {
    name: "postgresql",
    ports: &[5432, 6432],
    processes: &["postgres", "pgbouncer"],
    ask: Some(|dialer| Box::pin(ask(dialer))),
    // An ErrorResponse begins with its severity.
    hinted: Some(|answer| answer.first() == Some(&b'E') && answer.windows(6).any(|w| w == b"SFATAL" || w == b"SERROR")),
    ..Protocol::NONE
};

/// SSLRequest.
pub const UPGRADE: Upgrade = Upgrade { name: "postgresql", is_counted: false, prepare: |connection| Box::pin(upgrade(connection)) };

/// SSLRequest: length 8, code 80877103.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];
/// Largest message read, bytes.
const MESSAGE_LIMIT: usize = 8192;

/// Answer to a StartupMessage.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Startup {
    /// Authentication request of this kind (0: none needed).
    Authentication(u32),
    /// Error with its SQLSTATE.
    Refused(String),
}

/// SSLRequest, then a plaintext start as user `assay` up to the authentication request.
pub async fn ask(dialer: &Dialer) -> Asked {
    let mut connection = match dialer.connect().await {
        Ok(connection) => connection,
        Err(_) => return Asked::NoConnection,
    };
    if let Err(stop) = connection.send(&SSL_REQUEST).await {
        return stop.into();
    }
    let answer = match connection.exactly(1).await {
        Ok(answer) => answer,
        Err(stop) => return stop.into(),
    };
    let offered = match answer.as_slice() {
        b"S" => true,
        b"N" => false,
        _ => {
            // One byte of something else says nothing; the rest of its answer might.
            return match connection.some().await {
                Ok(rest) => Asked::Answered([answer, rest].concat()),
                Err(_) => Asked::Incomplete,
            };
        }
    };
    drop(connection);
    match start(dialer).await {
        // A single byte is no proof: without a proper second answer it is something else.
        Err(Stop::Malformed) => Asked::Answered(answer),
        started => Asked::Found(Box::new(seen(offered, started))),
    }
}

fn seen(offered: bool, started: Result<Startup, Stop>) -> Seen {
    let letter = if offered { "S" } else { "N" };
    let mut seen = Seen::plain("postgresql", b"", &format!("SSLRequest answered {letter}"));
    seen.upgrade = offered.then_some(UPGRADE);
    seen.tls = if offered { OPTIONAL } else { NONE };
    match started {
        Ok(Startup::Authentication(kind)) => {
            seen.authentication = if kind == 0 { NONE } else { REQUIRED };
            seen.exchange.push_str(&format!(", plaintext start asked for authentication {kind}"));
        }
        Ok(Startup::Refused(state)) => {
            seen.exchange.push_str(&format!(", plaintext start refused with {state}"));
            // 28000: no line of pg_hba.conf lets this address in without TLS.
            if state == "28000" {
                seen.authentication = REQUIRED;
                seen.tls = if offered { REQUIRED } else { NONE };
            } else {
                seen.left_open("authentication", format!("plaintext start refused with {state}"));
            }
        }
        Err(stop) => {
            seen.left_open("authentication", format!("plaintext start: {stop}"));
            if offered {
                seen.tls = UNKNOWN;
                seen.left_open("tls", format!("plaintext start: {stop}"));
            }
        }
    }
    seen
}

async fn start(dialer: &Dialer) -> Result<Startup, Stop> {
    let mut connection = dialer.connect_outward().await.map_err(|_| Stop::Closed)?;
    let mut body = 196_608_u32.to_be_bytes().to_vec();
    body.extend_from_slice(b"user\0assay\0database\0postgres\0application_name\0assay\0\0");
    let length = u32::try_from(body.len() + 4).unwrap_or(u32::MAX);
    connection.send(&[&length.to_be_bytes()[..], &body].concat()).await?;
    let head = connection.exactly(5).await?;
    let length = Reader::new(head.get(1..).unwrap_or_default()).u32().and_then(|n| usize::try_from(n).ok()).unwrap_or(0);
    if !(4..=MESSAGE_LIMIT).contains(&length) {
        return Err(Stop::Malformed);
    }
    let body = connection.exactly(length - 4).await?;
    parse_startup(head.first().copied().unwrap_or(0), &body).ok_or(Stop::Malformed)
}

fn parse_startup(kind: u8, body: &[u8]) -> Option<Startup> {
    let mut r = Reader::new(body);
    match kind {
        b'R' => Some(Startup::Authentication(r.u32()?)),
        b'E' => {
            // Fields: one type byte and a text each; `C` is the SQLSTATE.
            loop {
                match r.u8()? {
                    0 => return Some(Startup::Refused("no SQLSTATE".into())),
                    b'C' => return Some(Startup::Refused(String::from_utf8_lossy(r.until_nul()?).into_owned())),
                    _ => {
                        r.until_nul()?;
                    }
                }
            }
        }
        _ => None,
    }
}

/// SSLRequest.
pub async fn upgrade(connection: &mut Connection) -> Result<(), Stop> {
    connection.send(&SSL_REQUEST).await?;
    if connection.exactly(1).await? == b"S" { Ok(()) } else { Err(Stop::Malformed) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn startup_answers_are_told_apart() {
        assert_eq!(parse_startup(b'R', &[0, 0, 0, 10, b'S']), Some(Startup::Authentication(10)));
        assert_eq!(parse_startup(b'E', b"SFATAL\0VFATAL\0C28000\0Mno\0\0"), Some(Startup::Refused("28000".into())));
        assert_eq!(parse_startup(b'E', b"SFATAL"), None);
        assert_eq!(parse_startup(b'H', b"TTP/"), None);
    }
}
