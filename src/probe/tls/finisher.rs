//! Handshakes that come to their end: TLS 1.3, whose certificate is seen in no other way, and TLS 1.2 with
//! ECDHE and an AEAD. They trust anything: they only look. Neither protects a connection of our own.

mod tls12;
mod tls13;

use std::sync::{Arc, Mutex, PoisonError};

use super::client_hello::Offer;
use super::record::Notes;
use super::server_reply::{Collector, End, Hello, Reply};
use crate::probe::dial::{Connection, Stop};

pub use tls12::Renegotiation;

/// How far a handshake got.
pub struct Handshake {
    /// The first answer: a choice or a refusal.
    pub reply: Reply,
    /// First bytes of that answer, hexadecimal.
    pub head: String,
    /// What the whole handshake showed; `None` when the first answer was no choice of the offered version.
    pub shown: Option<Shown>,
    /// Why it did not come to its end.
    pub problem: Option<String>,
    /// The connection inside TLS.
    pub inside: Option<Inside>,
}

/// What a handshake showed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// The choice; with TLS 1.3 completed by what was encrypted.
    pub hello: Hello,
    /// TLS 1.2: the ticket, if one was given.
    pub ticket: Option<Vec<u8>>,
}

/// An open connection inside TLS.
pub struct Inside {
    /// To be spoken through.
    pub connection: Connection,
    notes: Arc<Mutex<Notes>>,
}

impl Inside {
    /// What the server said beside data until now.
    pub fn notes(&self) -> Arc<Mutex<Notes>> {
        self.notes.clone()
    }
}

/// A copy of the notes.
pub fn read(notes: &Mutex<Notes>) -> Notes {
    notes.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// Shakes hands in TLS 1.3, on a connection where TLS starts.
pub async fn tls13(connection: Connection, offer: Offer) -> Handshake {
    tls13::shake(connection, offer).await
}

/// Shakes hands in TLS 1.2.
pub async fn tls12(connection: Connection, offer: Offer) -> Handshake {
    tls12::shake(connection, finishable(offer)).await
}

/// Finishes a handshake in TLS 1.2 and begins another one inside it.
pub async fn renegotiate(connection: Connection, offer: Offer) -> Result<Renegotiation, String> {
    tls12::renegotiate(connection, finishable(offer)).await
}

/// Nothing is unpacked here.
fn finishable(offer: Offer) -> Offer {
    Offer { compression: false, ..offer }
}

/// Sends a hello and collects the reply, which gets the time of one answer, however slowly it drips.
pub async fn ask(connection: &mut Connection, hello: &[u8]) -> (Reply, String) {
    // A server that hung up may have said why before.
    let sent = connection.send(hello).await;
    let mut collector = Collector::default();
    let end = connection.answer_by();
    let reply = loop {
        match connection.some_by(end).await {
            Ok(bytes) => {
                if let Some(reply) = collector.feed(&bytes) {
                    break reply;
                }
            }
            Err(Stop::Silent | Stop::Incomplete) if sent.is_ok() => break collector.end(End::Time),
            Err(Stop::Limit | Stop::Malformed) => break collector.end(End::Limit),
            Err(_) => break collector.end(End::Closed),
        }
    };
    let head = collector.head();
    connection.unread(&collector.into_rest());
    (reply, head)
}

/// One record, protected or not.
async fn record(connection: &mut Connection) -> Result<(u8, Vec<u8>), Stop> {
    let head = connection.exactly(5).await?;
    let kind = head.first().copied().unwrap_or(0);
    let length = match head.get(3..) {
        Some([high, low]) => usize::from(u16::from_be_bytes([*high, *low])),
        _ => 0,
    };
    if !(20..=24).contains(&kind) {
        return Err(Stop::Malformed);
    }
    Ok((kind, connection.exactly(length).await?))
}

/// Handshake messages that arrive in pieces.
#[derive(Default)]
struct Messages {
    bytes: Vec<u8>,
}

impl Messages {
    fn feed(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The next whole message with its head.
    fn next(&mut self) -> Option<(u8, Vec<u8>)> {
        let [kind, a, b, c] = *self.bytes.first_chunk()?;
        let end = 4 + (usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c));
        if self.bytes.len() < end {
            return None;
        }
        let rest = self.bytes.split_off(end);
        Some((kind, std::mem::replace(&mut self.bytes, rest)))
    }
}
