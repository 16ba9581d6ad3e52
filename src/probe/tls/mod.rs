//! TLS as examined, not as used: our own hellos, the server's plain replies, and handshakes that
//! accept anything. None of this protects a connection of our own.
//!
//! ```text
//! plan: what to ask next (pure) -> survey: one connection a job -> client_hello -> server_reply | finisher | defects
//!   ^                                                                                       |
//!   +---------------------------------- answers ---------------------------------------------+
//! ```

pub mod certificate;
pub mod client_hello;
pub mod defects;
pub mod finisher;
pub mod key_share;
pub mod listing;
pub mod plan;
pub mod primes;
pub mod record;
pub mod registry;
pub mod schedule;
pub mod server_reply;
pub mod survey;

use self::client_hello::Offer;
use super::dial::Dialer;
use super::service::{Asked, DIRECT, Protocol, Seen, exchange};

/// TLS from the first byte.
pub const PROTOCOL: Protocol = Protocol {
    name: "tls",
    ports: &[443, 465, 563, 636, 853, 989, 990, 993, 995, 2376, 8443, 10250],
    processes: &["stunnel4"],
    ask: Some(|dialer| Box::pin(ask(dialer))),
    hinted: Some(speaks),
    ..Protocol::NONE
};

/// A handshake or alert record of SSL 3.0 or later (RFC 8446 section 5.1).
pub fn speaks(first: &[u8]) -> bool {
    matches!(first, [21 | 22, 3, 0..=4, ..])
}

/// Whether a server answers a hello that offers every version from TLS 1.0 to 1.3.
pub async fn ask(dialer: &Dialer) -> Asked {
    match exchange(dialer, &Offer::of_any_version(&dialer.server_name).bytes(), |b| b.len() >= 7 || b.contains(&b'\n')).await {
        Err(asked) => asked,
        Ok((_, first)) if speaks(&first) => {
            let record = if first.first() == Some(&21) { "ClientHello answered by an alert" } else { "ClientHello answered by a handshake" };
            Asked::Found(Box::new(Seen { plaintext: false, tls: DIRECT, ..Seen::plain("tls", b"", record) }))
        }
        Ok((_, first)) => Asked::Answered(first),
    }
}
