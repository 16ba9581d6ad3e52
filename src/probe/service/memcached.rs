//! memcached text protocol (doc/protocol.txt): `version`.

use super::{Asked, NONE, Protocol, REQUIRED, Seen, a_line, exchange};
use crate::probe::dial::Dialer;

/// memcached.
pub const PROTOCOL: Protocol = Protocol {
    name: "memcached",
    ports: &[11211],
    processes: &["memcached"],
    ask: Some(|dialer| Box::pin(ask(dialer))),
    hinted: Some(|answer| answer.starts_with(b"ERROR\r\n") || answer.starts_with(b"CLIENT_ERROR")),
    ..Protocol::NONE
};

/// Asks on a fresh connection.
pub async fn ask(dialer: &Dialer) -> Asked {
    match exchange(dialer, b"version\r\n", a_line).await {
        Err(asked) => asked,
        Ok((_, first)) if first.starts_with(b"VERSION ") => found(&first, NONE),
        // With an authfile, commands before the password are errors.
        Ok((_, first)) if first.starts_with(b"CLIENT_ERROR unauth") => found(&first, REQUIRED),
        Ok((_, first)) => Asked::Answered(first),
    }
}

fn found(first: &[u8], authentication: &'static str) -> Asked {
    Asked::Found(Box::new(Seen { authentication, ..Seen::plain("memcached", first, "version") }))
}
