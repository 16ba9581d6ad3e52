//! Two defects of old OpenSSL releases, asked for without harm.
//!
//! - **Heartbleed** (CVE-2014-0160): a heartbeat request (RFC 6520) that says its payload has 16 bytes and
//!   carries none. A sound server drops it; a broken one answers with as much of its memory, of which the
//!   length alone is looked at. During a handshake OpenSSL sends what it writes when 4,096 bytes are there, so the
//!   same request is repeated until its answers fill that; a message that no server can take ends the wait.
//! - **CCS injection** (CVE-2014-0224): ChangeCipherSpec before the key exchange. A sound server says
//!   `unexpected_message` at once; a broken one takes it, and stumbles over the next record instead.

use std::time::Duration;

use super::client_hello::{Offer, vector};
use super::finisher::ask;
use super::record::{ALERT, CHANGE, HANDSHAKE};
use super::server_reply::{Reply, alert_name};
use crate::probe::dial::{Connection, Stop};

/// Record type of heartbeats (RFC 6520).
const HEARTBEAT: u8 = 24;
/// Payload that the request claims and does not have, bytes: the most that a broken server gives away.
const CLAIMED: u8 = 16;
/// Requests in a row: an answer has 40 bytes, 128 of them fill OpenSSL's buffer.
const REQUESTS: usize = 128;
/// Time between two of them: OpenSSL takes one each time that its program finds something to read.
const APART: Duration = Duration::from_millis(3);
/// Time for their answers.
const GATHERED: Duration = Duration::from_millis(700);
/// A handshake message of no known type (RFC 8446 section 4).
const NONSENSE: [u8; 4] = [0xfe, 0, 0, 0];
/// Records read while waiting for an answer.
const RECORDS: usize = 8;

/// Whether a server does something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// It does: what showed it.
    Yes(String),
    /// It does not: what showed that.
    No(String),
    /// It was not or could not be told: why.
    Untold(String),
}

/// A heartbeat that claims more than it has.
pub async fn heartbleed(mut connection: Connection, offer: &Offer) -> Told {
    let hello = match ask(&mut connection, &offer.bytes()).await.0 {
        Reply::Hello(hello) => hello,
        other => return untold(&other),
    };
    if hello.extension(15).is_none() {
        return Told::No("the heartbeat extension is not taken up".into());
    }
    let request = framed(hello.version, HEARTBEAT, &[1, 0, CLAIMED]);
    for _ in 0..REQUESTS {
        if connection.send(&request).await.is_err() {
            return Told::No("closed at the heartbeat".into());
        }
        tokio::time::sleep(APART).await;
    }
    match connection.some_within(GATHERED).await {
        Ok(first) => connection.unread(&first),
        Err(Stop::Silent) => nudge(&mut connection, hello.version).await,
        Err(_) => return Told::No("closed at the heartbeat".into()),
    }
    for _ in 0..RECORDS {
        match record(&mut connection).await {
            Ok((HEARTBEAT, length)) if length > 3 => return Told::Yes(format!("heartbeat of 3 bytes answered with {length} bytes")),
            Ok((ALERT, _)) => return Told::No("heartbeat dropped, the next message refused".into()),
            Ok(_) => {}
            Err(Stop::Closed) => return Told::No("closed at the heartbeat".into()),
            // A slow server may have requests before it that it has not come to.
            Err(Stop::Silent) => return Told::Untold("heartbeat: no answer to it, nor to what came after it".into()),
            Err(stop) => return Told::Untold(format!("heartbeat: {stop}")),
        }
    }
    Told::Untold("heartbeat: too many records".into())
}

/// Sends messages that no server can take until one is answered. Requests that reached the server together wait for
/// each other: it takes one of them each time that something more comes.
async fn nudge(connection: &mut Connection, version: u16) {
    for _ in 0..=REQUESTS {
        // A connection that is over has said why: what it said is read next.
        if connection.send(&framed(version, HANDSHAKE, &NONSENSE)).await.is_err() {
            return;
        }
        match connection.some_within(APART).await {
            Ok(first) => return connection.unread(&first),
            Err(Stop::Silent) => {}
            Err(_) => return,
        }
    }
}

/// ChangeCipherSpec right after the server's hello, twice.
pub async fn early_change(mut connection: Connection, offer: &Offer) -> Told {
    let version = match ask(&mut connection, &offer.bytes()).await.0 {
        Reply::Hello(hello) if hello.is_done => hello.version,
        Reply::Hello(_) => return Told::Untold("the server's hello did not come to its end".into()),
        other => return untold(&other),
    };
    if connection.send(&framed(version, CHANGE, &[1])).await.is_err() {
        return Told::No("closed at the first ChangeCipherSpec".into());
    }
    match connection.some_within(FIRST_ANSWER).await {
        // Whatever it says to the first one, it did not take it.
        Ok(bytes) => return Told::No(told(&bytes)),
        Err(Stop::Silent) => {}
        Err(_) => return Told::No("closed at the first ChangeCipherSpec".into()),
    }
    // Taken, or a slow server: a server that took it can't decrypt what comes in clear now.
    if connection.send(&framed(version, HANDSHAKE, &[0; 64])).await.is_err() {
        return Told::No("closed at the first ChangeCipherSpec".into());
    }
    match connection.some().await {
        Ok(bytes) => match bytes.as_slice() {
            [ALERT, _, _, 0, 2, _, 20 | 21, ..] => Told::Yes("an early ChangeCipherSpec was taken: the next record was to be decrypted".into()),
            other => Told::No(told(other)),
        },
        Err(Stop::Closed) => Told::Untold(HUNG_UP_LATER.into()),
        Err(stop) => Told::Untold(format!("early ChangeCipherSpec: {stop}")),
    }
}

/// It took the ChangeCipherSpec without a word, or waited for more before it refused.
pub const HUNG_UP_LATER: &str = "closed after an early ChangeCipherSpec and one more record";
/// Warning user_canceled (RFC 5246 section 7.2), which ends nothing.
const WARNING: [u8; 2] = [1, 90];

/// Whether a warning in clear ends the connection, after an early ChangeCipherSpec or without.
pub async fn warning(mut connection: Connection, offer: &Offer, is_changed: bool) -> Told {
    let version = match ask(&mut connection, &offer.bytes()).await.0 {
        Reply::Hello(hello) if hello.is_done => hello.version,
        other => return untold(&other),
    };
    if is_changed && (connection.send(&framed(version, CHANGE, &[1])).await.is_err() || connection.some_within(FIRST_ANSWER).await != Err(Stop::Silent)) {
        return Told::No("an early ChangeCipherSpec was refused".into());
    }
    if connection.send(&framed(version, ALERT, &WARNING)).await.is_err() {
        return Told::Yes("closed".into());
    }
    match connection.some_within(FIRST_ANSWER).await {
        Err(Stop::Silent) => Told::No("the connection goes on".into()),
        Ok(_) | Err(_) => Told::Yes("the connection ends".into()),
    }
}

/// Time for the answer to the first ChangeCipherSpec: a sound server answers at once.
const FIRST_ANSWER: Duration = Duration::from_millis(1000);

fn framed(version: u16, kind: u8, body: &[u8]) -> Vec<u8> {
    [&[kind][..], &version.to_be_bytes(), &vector(body)].concat()
}

fn told(bytes: &[u8]) -> String {
    match bytes {
        [ALERT, _, _, 0, 2, _, description, ..] => format!("early ChangeCipherSpec refused: {}", alert_name(*description)),
        _ => "early ChangeCipherSpec answered by something else".into(),
    }
}

fn untold(reply: &Reply) -> Told {
    Told::Untold(format!("no ServerHello: {reply:?}").chars().take(120).collect())
}

/// Type and length of the next record; its content is read and dropped.
async fn record(connection: &mut Connection) -> Result<(u8, usize), Stop> {
    let head = connection.exactly(5).await?;
    let [kind, _, _, high, low] = *head.first_chunk::<5>().ok_or(Stop::Malformed)?;
    let length = usize::from(u16::from_be_bytes([high, low]));
    connection.exactly(length).await?;
    Ok((kind, length))
}
