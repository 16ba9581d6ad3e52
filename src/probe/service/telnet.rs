//! Telnet (RFC 854): option negotiation.

use super::{Protocol, Seen};
use crate::probe::dial::Connection;

/// Telnet.
pub const PROTOCOL: Protocol = Protocol {
    name: "telnet",
    ports: &[23],
    processes: &["telnetd", "in.telnetd"],
    greets: Some(greets),
    talk: Some(|_, _, first| Box::pin(async move { Some(seen(first)) })),
    ..Protocol::NONE
};

/// Interpret as command.
const IAC: u8 = 255;
/// IAC DO TIMING-MARK (RFC 860): every telnet answers WILL or WONT, and nothing changes.
const TIMING_MARK: [u8; 3] = [IAC, 253, 6];

/// IAC WILL, WONT, DO or DONT.
pub fn greets(first: &[u8]) -> bool {
    matches!(first, [IAC, 251..=254, _, ..])
}

/// A server that negotiated.
pub fn seen(first: &[u8]) -> Seen {
    let words = first.iter().position(|b| b.is_ascii_alphabetic()).and_then(|at| first.get(at..)).unwrap_or_default();
    Seen::plain("telnet", words, "IAC option negotiation")
}

/// Asks a server with an unknown text greeting whether it is a telnet.
pub async fn ask(connection: &mut Connection, first: &[u8]) -> Option<Seen> {
    connection.send(&TIMING_MARK).await.ok()?;
    let answer = connection.some().await.ok()?;
    let answered = answer.windows(3).any(|w| matches!(w, [IAC, 251 | 252, 6]));
    answered.then(|| Seen::plain("telnet", first, "answer to IAC DO TIMING-MARK"))
}
