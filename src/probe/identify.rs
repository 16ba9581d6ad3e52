//! What an endpoint speaks: a greeting is awaited on one connection while questions are put on
//! others, one at a time. Whichever tells first ends the other.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::dial::{Connection, DialError, Dialer, Stop};
use super::reader::{banner, hex_head};
use super::service::{self, Asked, PROTOCOLS, Protocol, Seen};

/// Time given to a greeting before the first question, beside twice the time to connect.
const HEAD_START: Duration = Duration::from_millis(120);
/// The same on ports whose servers usually speak first.
const GREETED_HEAD_START: Duration = Duration::from_secs(2);
/// Questions put in a row without any answer before a greeting gets more time.
const QUESTIONS_IN_A_ROW: usize = 2;
/// That time: a slow machine may need it to start a server's process.
const PAUSE: Duration = Duration::from_millis(800);
/// Share of the endpoint's time that identification may use; the rest is for TLS.
const SHARE: (u32, u32) = (8, 10);
/// Time for a greeting while questions are put, beside four times the time to connect.
const FIRST_WAIT: Duration = Duration::from_millis(600);
/// Share of the time left that the questions may use together; the rest is for a late greeting.
const QUESTIONS_SHARE: (u32, u32) = (6, 10);
/// Shortest time given to one question.
const QUESTION_MINIMUM: Duration = Duration::from_millis(300);

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
    let dialer = dialer.until(Instant::now() + dialer.left() * SHARE.0 / SHARE.1);
    let began = Instant::now();
    let connection = match dialer.connect().await {
        Ok(connection) => connection,
        Err(DialError::Refused) => return Outcome::Refused,
        Err(DialError::Timeout) => return Outcome::Timeout(DialError::Timeout.to_string()),
        Err(DialError::Unreachable(why)) => return Outcome::Unreachable(why),
    };
    let trip = began.elapsed();
    let head_start = match usual(&dialer) {
        Some(protocol) if protocol.is_greeter() => GREETED_HEAD_START,
        Some(_) => Duration::ZERO,
        None => HEAD_START + trip * 2,
    };
    // A server that serves one client at a time answers no question while this connection waits,
    // so it waits a moment only, and once more when every question was in vain.
    let mut greeted = std::pin::pin!(greeting(&dialer, connection, FIRST_WAIT.max(head_start) + trip * 4));
    let mut asking = std::pin::pin!(ask(&dialer, head_start));
    let first = tokio::select! {
        greeted = &mut greeted => greeted,
        asked = &mut asking => match asked {
            Questions::Found(seen) => return Outcome::Identified(seen),
            // It waits for its client, so no greeting will come.
            Questions::Answered(bytes) => return unidentified(&bytes),
            unknown => return conclude(greeted.await, unknown),
        },
    };
    let asked = match first {
        Greeting::Decided(outcome) => return outcome,
        _ => asking.await,
    };
    match (&first, &asked) {
        (Greeting::Silent, Questions::Closed | Questions::Silent | Questions::Greets) => match dialer.connect().await {
            Ok(connection) => conclude(greeting(&dialer, connection, dialer.left()).await, asked),
            Err(_) => conclude(first, asked),
        },
        _ => conclude(first, asked),
    }
}

fn conclude(greeted: Greeting, asked: Questions) -> Outcome {
    match (greeted, asked) {
        (Greeting::Decided(outcome), _) => outcome,
        (_, Questions::Found(seen)) => Outcome::Identified(seen),
        (_, Questions::Answered(bytes)) => unidentified(&bytes),
        (Greeting::Closed, _) => Outcome::Closed,
        (Greeting::Incomplete, _) | (_, Questions::Incomplete) => Outcome::Timeout(Stop::Incomplete.to_string()),
        // It hangs up on what we say, not on us: that is an answer, too.
        (Greeting::Silent, Questions::Closed) => Outcome::Unidentified { banner: String::new(), head: String::new() },
        (Greeting::Silent, Questions::Silent | Questions::Greets) => Outcome::Silent,
    }
}

fn unidentified(bytes: &[u8]) -> Outcome {
    Outcome::Unidentified { banner: banner(bytes), head: hex_head(bytes) }
}

/// The protocol that this endpoint's process or port is usually of; it only goes first.
fn usual(dialer: &Dialer) -> Option<&'static Protocol> {
    let by_process = PROTOCOLS.iter().find(|p| !dialer.process.is_empty() && p.processes.contains(&dialer.process.as_str()));
    by_process.or_else(|| PROTOCOLS.iter().find(|p| p.ports.contains(&dialer.address.port())))
}

enum Greeting {
    Decided(Outcome),
    Silent,
    Incomplete,
    Closed,
}

async fn greeting(dialer: &Dialer, mut connection: Connection, wait: Duration) -> Greeting {
    match connection.greeting(wait, service::is_complete).await {
        Ok(first) => Greeting::Decided(match service::converse(dialer, connection, &first).await {
            Some(seen) => Outcome::Identified(Box::new(seen)),
            None => unidentified(&first),
        }),
        Err(Stop::Silent) => Greeting::Silent,
        Err(Stop::Incomplete) => Greeting::Incomplete,
        Err(Stop::Closed) => Greeting::Closed,
        Err(Stop::Limit | Stop::Malformed) => Greeting::Decided(unidentified(&[])),
    }
}

enum Questions {
    Found(Box<Seen>),
    Answered(Vec<u8>),
    Closed,
    Incomplete,
    Silent,
    /// The answer was the greeting of a server that speaks first.
    Greets,
}

/// Puts every question until one is answered in its own protocol. An answer of another known
/// protocol moves that protocol's question to the front.
async fn ask(dialer: &Dialer, head_start: Duration) -> Questions {
    sleep(head_start).await;
    let mut waiting: Vec<&'static Protocol> = PROTOCOLS.iter().filter(|p| p.ask.is_some()).collect();
    if let Some(usual) = usual(dialer) {
        promote(&mut waiting, usual);
    }
    let dialer = dialer.until(Instant::now() + dialer.left() * QUESTIONS_SHARE.0 / QUESTIONS_SHARE.1);
    let mut result = Questions::Silent;
    let mut unanswered = 0;
    while !waiting.is_empty() {
        if unanswered == QUESTIONS_IN_A_ROW {
            sleep(PAUSE.min(dialer.left() / 4)).await;
            unanswered += 1;
        }
        let Some(question) = waiting.remove(0).ask else { continue };
        let share = dialer.left() / (u32::try_from(waiting.len()).unwrap_or(0) + 1);
        if share.is_zero() {
            break;
        }
        let dialer = dialer.until(Instant::now() + share.max(QUESTION_MINIMUM).min(dialer.limits.answer_timeout));
        match question(&dialer).await {
            Asked::Found(seen) => return Questions::Found(seen),
            Asked::Answered(bytes) if service::greeter(&bytes).is_some_and(Protocol::is_greeter) => return Questions::Greets,
            Asked::Answered(bytes) => {
                if let Some(hinted) = PROTOCOLS.iter().find(|p| p.hinted.is_some_and(|hinted| hinted(&bytes))) {
                    promote(&mut waiting, hinted);
                }
                if !matches!(&result, Questions::Answered(longer) if longer.len() >= bytes.len()) {
                    result = Questions::Answered(bytes);
                }
            }
            Asked::Silent => unanswered += 1,
            Asked::Incomplete if !matches!(result, Questions::Answered(_)) => result = Questions::Incomplete,
            Asked::Closed if matches!(result, Questions::Silent) => result = Questions::Closed,
            Asked::Incomplete | Asked::Closed | Asked::NoConnection => {}
        }
    }
    result
}

fn promote(waiting: &mut Vec<&'static Protocol>, protocol: &'static Protocol) {
    if let Some(at) = waiting.iter().position(|p| p.name == protocol.name) {
        let protocol = waiting.remove(at);
        waiting.insert(0, protocol);
    }
}
