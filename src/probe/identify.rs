//! What an endpoint speaks: its greeting is awaited on the first connection; where none comes, that
//! connection carries the first question, and others follow until one is answered in its own protocol.

use std::time::Duration;

use tokio::time::Instant;

use super::dial::{Connection, DialError, Dialer, Stop};
use super::interview::{Interview, Verdict};
use super::pace::Pace;
use super::reader::{banner, hex_head};
use super::service::{self, PROTOCOLS, Protocol, Seen, http};

/// Time given to a greeting before the first question, beside twice the time to connect.
const HEAD_START: Duration = Duration::from_millis(120);
/// Share of the endpoint's time that identification may use; the rest is for TLS.
const SHARE: (u32, u32) = (8, 10);
/// Time for a last look whether a server that hangs up on every question greets or hangs up unasked.
const LAST_LOOK: Duration = Duration::from_secs(1);

/// What an endpoint turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A known protocol.
    Identified(Box<Seen>),
    /// It spoke, in no known protocol: its banner and first bytes.
    Unidentified {
        /// First printable line.
        banner: String,
        /// First bytes, hexadecimal.
        head: String,
    },
    /// It accepted connections and said nothing.
    Silent,
    /// Nothing listens.
    Refused,
    /// It hung up at once.
    Closed,
    /// It did not accept a connection, or did not end what it began to say, in time.
    Timeout(String),
    /// It can't be reached.
    Unreachable(String),
    /// UDP: nothing was said to it, for this reason.
    Unasked(String),
}

/// Speaks to one endpoint.
pub async fn identify(dialer: &Dialer) -> Outcome {
    let dialer = &dialer.until(Instant::now() + dialer.left() * SHARE.0 / SHARE.1);
    let began = Instant::now();
    let mut connection = match dialer.connect().await {
        Ok(connection) => connection,
        Err(DialError::Refused) => return Outcome::Refused,
        Err(DialError::Closed) => return Outcome::Closed,
        Err(DialError::Timeout) => return Outcome::Timeout(DialError::Timeout.to_string()),
        Err(DialError::Unreachable(why)) => return Outcome::Unreachable(why),
    };
    let trip = began.elapsed();
    let mut interview = Interview::new(dialer, Pace::new(trip));
    match likely(dialer) {
        Some(protocol) if protocol.is_greeter() => interview.listen(connection),
        Some(protocol) => {
            interview.expect(protocol);
            interview.ready = Some(connection);
        }
        None => match connection.greeting(HEAD_START + trip * 2, service::is_complete).await {
            Ok(first) => return converse(dialer, connection, &first).await,
            Err(Stop::Silent) => interview.ready = Some(connection),
            Err(Stop::Closed) => interview.closes_unasked = true,
            Err(Stop::Incomplete) => return Outcome::Timeout(Stop::Incomplete.to_string()),
            Err(Stop::Limit | Stop::Malformed) => return unidentified(&[]),
        },
    }
    let verdict = interview.run().await;
    conclude(dialer, verdict).await
}

/// The protocol that this endpoint's process or port is usually of; it only goes first. What is
/// spoken over HTTP starts with HTTP's question.
fn likely(dialer: &Dialer) -> Option<&'static Protocol> {
    let by_process = PROTOCOLS.iter().find(|p| !dialer.process.is_empty() && p.processes.contains(&dialer.process.as_str()));
    let likely = by_process.or_else(|| PROTOCOLS.iter().find(|p| p.ports.contains(&dialer.address.port())))?;
    Some(if likely.over_http.is_some() { &http::PROTOCOL } else { likely })
}

/// Goes on with a server that spoke first.
async fn converse(dialer: &Dialer, connection: Connection, first: &[u8]) -> Outcome {
    match service::converse(dialer, connection, first).await {
        Some(seen) => Outcome::Identified(Box::new(seen)),
        None => unidentified(first),
    }
}

async fn conclude(dialer: &Dialer, verdict: Verdict) -> Outcome {
    match verdict {
        Verdict::Found(seen) => Outcome::Identified(seen),
        Verdict::Greeting(connection, first) => converse(dialer, connection, &first).await,
        Verdict::Repeats(bytes) if !http::speaks(&bytes) => match late(dialer, LAST_LOOK.min(dialer.left())).await {
            Late::Told(outcome) => outcome,
            Late::Closed | Late::Silent => unidentified(&bytes),
        },
        Verdict::Greets => match late(dialer, dialer.left()).await {
            Late::Told(outcome) => outcome,
            Late::Closed => Outcome::Closed,
            Late::Silent => Outcome::Timeout(Stop::Silent.to_string()),
        },
        Verdict::Answered(bytes) | Verdict::Repeats(bytes) if http::speaks(&bytes) => Outcome::Identified(Box::new(http::seen(&bytes))),
        Verdict::Answered(bytes) | Verdict::Repeats(bytes) => unidentified(&bytes),
        Verdict::Incomplete => Outcome::Timeout(Stop::Incomplete.to_string()),
        Verdict::ClosedUnasked => Outcome::Closed,
        Verdict::Closed => match late(dialer, LAST_LOOK.min(dialer.left())).await {
            Late::Told(outcome) => outcome,
            Late::Closed => Outcome::Closed,
            // It hangs up on what we say, not on us: that is an answer, too.
            Late::Silent => Outcome::Unidentified { banner: String::new(), head: String::new() },
        },
        Verdict::Silent => match late(dialer, dialer.left()).await {
            Late::Told(outcome) => outcome,
            // An idle connection closed in the end, after silence.
            Late::Closed | Late::Silent => Outcome::Silent,
        },
    }
}

enum Late {
    Told(Outcome),
    Closed,
    Silent,
}

/// One more connection on which nothing is asked.
async fn late(dialer: &Dialer, wait: Duration) -> Late {
    let Ok(mut connection) = dialer.connect().await else { return Late::Closed };
    match connection.greeting(wait, service::is_complete).await {
        Ok(first) => Late::Told(converse(dialer, connection, &first).await),
        Err(Stop::Closed) => Late::Closed,
        Err(Stop::Silent) => Late::Silent,
        Err(Stop::Incomplete) => Late::Told(Outcome::Timeout(Stop::Incomplete.to_string())),
        Err(Stop::Limit | Stop::Malformed) => Late::Told(unidentified(&[])),
    }
}

fn unidentified(bytes: &[u8]) -> Outcome {
    Outcome::Unidentified { banner: banner(bytes), head: hex_head(bytes) }
}
