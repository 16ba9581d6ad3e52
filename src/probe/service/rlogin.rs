//! rlogin (RFC 1282): names nobody that exists, from a port below 1024 where we may have one, and
//! hears whether a session starts.

use super::{Asked, Protocol, REQUIRED, Seen, rexec};
use crate::probe::dial::Dialer;

/// rlogin. Its server is silent unless it is spoken to in its own way.
pub const PROTOCOL: Protocol = Protocol {
    name: "rlogin",
    ports: &[513],
    processes: &["rlogind", "in.rlogind"],
    ask: Some(|dialer| Box::pin(ask(dialer))),
    at_home_only: true,
    ..Protocol::NONE
};

/// NUL, our name here and there, terminal and its speed (RFC 1282 section 2).
const SESSION: &[u8] = b"\0assay\0assay\0dumb/9600\0";

async fn ask(dialer: &Dialer) -> Asked {
    let mut connection = match dialer.connect_reserved().await {
        Ok(connection) => connection,
        Err(_) => return Asked::NoConnection,
    };
    if let Err(stop) = connection.send(SESSION).await {
        return stop.into();
    }
    // The zero byte that accepts us may come alone, long before a word.
    match connection.some().await {
        Err(stop) => stop.into(),
        Ok(answer) if answer.first() == Some(&0) => {
            let words = answer.get(1..).unwrap_or_default();
            Asked::Found(Box::new(Seen::plain("rlogin", words, "a session starts with a zero byte")))
        }
        Ok(answer) => match rexec::refusal(&answer) {
            Some(words) => Asked::Found(Box::new(Seen { authentication: REQUIRED, ..Seen::plain("rlogin", words, "a session is refused") })),
            None => Asked::Answered(answer),
        },
    }
}
