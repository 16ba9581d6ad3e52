//! Redis (RESP): PING, answered or not without a password.

use std::time::Duration;

use super::{Asked, NONE, Protocol, REQUIRED, Seen, UNKNOWN, a_line, exchange};
use crate::probe::dial::{Connection, Dialer, Stop};

/// Redis.
pub const PROTOCOL: Protocol = Protocol {
    name: "redis",
    ports: &[6379],
    processes: &["redis-server", "valkey-server"],
    greets: Some(refuses),
    talk: Some(|_, _, first| Box::pin(async move { Some(seen(first)) })),
    ask: Some(|dialer| Box::pin(ask(dialer))),
    hinted: Some(|answer| [&b"-ERR"[..], b"-NOAUTH", b"-DENIED", b"+PONG"].iter().any(|word| answer.starts_with(word))),
    ..Protocol::NONE
};

/// Longest answer to INFO that is read, bytes.
const INFO_LIMIT: usize = 8192;

/// Time that a server in protected mode gets to refuse us at an address of our own host.
const REFUSAL_WAIT: Duration = Duration::from_millis(150);

/// A server in protected mode refuses before anything is asked.
pub fn refuses(first: &[u8]) -> bool {
    first.starts_with(b"-DENIED")
}

/// A server that refused or answered PING.
pub fn seen(first: &[u8]) -> Seen {
    let authentication = if first.starts_with(b"+PONG") { NONE } else { REQUIRED };
    let open = if authentication == NONE { vec!["commands".into()] } else { Vec::new() };
    let word = String::from_utf8_lossy(first.split(|b| *b == b' ' || *b == b'\r').next().unwrap_or_default()).into_owned();
    Seen { authentication, open, ..Seen::plain("redis", first, &format!("PING answered {word}")) }
}

/// Whether an answer to PING is of Redis.
pub fn answers(first: &[u8]) -> bool {
    [&b"+PONG"[..], b"-NOAUTH", b"-DENIED", b"-NOPERM", b"-LOADING", b"-MASTERDOWN"].iter().any(|p| first.starts_with(p))
}

/// Asks on a fresh connection, and again as a stranger where loopback may be trusted more.
pub async fn ask(dialer: &Dialer) -> Asked {
    let (mut connection, first) = match exchange(dialer, b"PING\r\n", a_line).await {
        Ok(exchanged) => exchanged,
        Err(asked) => return asked,
    };
    if !answers(&first) {
        return Asked::Answered(first);
    }
    let mut found = seen(&first);
    if found.authentication == NONE {
        if let Some(version) = version(&mut connection).await {
            found.banner = version;
        }
        if dialer.outward.is_some() {
            ask_outward(dialer, &mut found).await;
        }
    }
    Asked::Found(Box::new(found))
}

/// Protected mode answers loopback alone.
async fn ask_outward(dialer: &Dialer, found: &mut Seen) {
    let first = async {
        let mut connection = dialer.connect_outward().await.map_err(|e| e.to_string())?;
        // It says so and hangs up before it hears anything.
        if let Ok(first) = connection.greeting(REFUSAL_WAIT, a_line).await {
            return Ok(first);
        }
        connection.send(b"PING\r\n").await.map_err(|e| e.to_string())?;
        connection.line().await.map_err(|e| e.to_string())
    };
    match first.await {
        Ok(line) if answers(&line) => {
            let stranger = seen(&line);
            found.authentication = stranger.authentication;
            found.open = stranger.open;
            found.exchange = format!("{} at an address that is not loopback", seen(&line).exchange);
        }
        Ok(_) => {}
        Err(reason) => {
            found.authentication = UNKNOWN;
            found.open.clear();
            for field in ["authentication", "open"] {
                found.left_open(field, format!("PING at an address that is not loopback: {reason}"));
            }
        }
    }
}

async fn version(connection: &mut Connection) -> Option<String> {
    connection.send(b"INFO server\r\n").await.ok()?;
    let mut text = Vec::new();
    while text.len() < INFO_LIMIT {
        let line = match connection.line().await {
            Ok(line) => line,
            Err(Stop::Silent | Stop::Closed | Stop::Incomplete | Stop::Limit | Stop::Malformed) => return None,
        };
        if line.starts_with(b"-") {
            return None;
        }
        if line.starts_with(b"redis_version:") {
            return Some(crate::probe::reader::banner(&line));
        }
        text.extend_from_slice(&line);
    }
    None
}
