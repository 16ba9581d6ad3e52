//! memcached text protocol (doc/protocol.txt): `version`.

use super::{Asked, NONE, REQUIRED, Seen, a_line, exchange};
use crate::probe::dial::Dialer;

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
