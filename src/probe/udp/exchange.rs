//! Questions and answers in single datagrams, bounded in number, size and time.
//!
//! A question is sent at most twice, since datagrams get lost. Nobody tells a server that keeps
//! silent from a filter on the way or a datagram that is lost each time: all three are [`Heard::Silent`].

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::{Instant, sleep_until};

use crate::probe::dial::{DialError, Dialer, Places};
use crate::probe::halt::Halt;

/// Largest datagram read, bytes; of a longer one the rest is dropped.
const DATAGRAM_LIMIT: usize = 4096;
/// Most datagrams read for one round of questions.
const DATAGRAMS: usize = 4;
/// How long the first and the second try wait while the round trip is not known.
const FIRST_WAITS: [Duration; 2] = [Duration::from_millis(500), Duration::from_millis(900)];
/// The same beside four times the round trip, once it is known: a busy server is slower with some answers than with others.
const LATER_WAITS: [Duration; 2] = [Duration::from_millis(300), Duration::from_millis(600)];

/// The same where the server may have to ask others first.
const PATIENT_WAITS: [Duration; 2] = [Duration::from_millis(1000), Duration::from_millis(2000)];

/// How a question ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// The first datagram that answers it.
    Answer(Vec<u8>),
    /// A datagram came that is no answer to it.
    Other(Vec<u8>),
    /// No datagram in time.
    Silent,
    /// The host says that nothing listens (ICMP port unreachable).
    Refused,
    /// No route, or the network says so.
    Unreachable(String),
}

impl Heard {
    /// The answer, if there is one.
    pub fn answer(&self) -> Option<&[u8]> {
        match self {
            Self::Answer(bytes) => Some(bytes),
            _ => None,
        }
    }
}

/// A socket that sends to one endpoint and hears nobody else.
#[derive(Debug)]
pub struct Exchange {
    socket: UdpSocket,
    waits: [Duration; 2],
    answer_timeout: Duration,
    deadline: Instant,
    halt: Halt,
    _places: Places,
}

impl Exchange {
    /// Opens a socket to the endpoint; nothing is sent yet.
    pub async fn open(dialer: &Dialer) -> Result<Self, DialError> {
        let places = dialer.places().await?;
        let failed = |e: io::Error| DialError::Unreachable(e.kind().to_string());
        let socket = UdpSocket::bind(any(dialer.address)).await.map_err(failed)?;
        socket.connect(dialer.address).await.map_err(failed)?;
        let (answer_timeout, deadline) = (dialer.limits.answer_timeout, dialer.deadline);
        Ok(Self { socket, waits: FIRST_WAITS, answer_timeout, deadline, halt: dialer.halt.clone(), _places: places })
    }

    /// Sends `question` and waits for a datagram that `is_answer` accepts.
    pub async fn ask(&mut self, question: &[u8], is_answer: impl Fn(&[u8]) -> bool) -> Heard {
        let mut heard = self.ask_all(&[question], |bytes| is_answer(bytes).then_some(0)).await;
        heard.pop().unwrap_or(Heard::Silent)
    }

    /// The same with more time, for a question that the server may have to ask others about.
    pub async fn ask_patiently(&mut self, question: &[u8], is_answer: impl Fn(&[u8]) -> bool) -> Heard {
        self.waits = PATIENT_WAITS;
        self.ask(question, is_answer).await
    }

    /// Sends all `questions` at once and sorts what comes back: `which` says to which question, by
    /// its place, a datagram is the answer. One entry for each question.
    pub async fn ask_all(&mut self, questions: &[&[u8]], which: impl Fn(&[u8]) -> Option<usize>) -> Vec<Heard> {
        let mut round = Round { heard: vec![Heard::Silent; questions.len()], other: None, left: DATAGRAMS };
        for wait in self.waits {
            let began = Instant::now();
            for (question, _) in questions.iter().zip(&round.heard).filter(|(_, heard)| **heard == Heard::Silent) {
                if let Err(e) = self.socket.send(question).await {
                    return round.ended(&e);
                }
            }
            let end = (began + wait.min(self.answer_timeout)).min(self.deadline);
            match self.listen(&mut round, &which, began, end).await {
                Ok(()) if round.is_over() || self.halt.is_asked() => break,
                Ok(()) => {}
                Err(e) => return round.ended(&e),
            }
        }
        round.finish()
    }

    /// Reads datagrams until `end` or until nothing more is awaited.
    async fn listen(&mut self, round: &mut Round, which: &impl Fn(&[u8]) -> Option<usize>, began: Instant, end: Instant) -> io::Result<()> {
        let mut buffer = vec![0; DATAGRAM_LIMIT];
        while !round.is_over() {
            let read = tokio::select! {
                read = self.socket.recv(&mut buffer) => read?,
                () = sleep_until(end) => return Ok(()),
                () = self.halt.asked() => return Ok(()),
            };
            let bytes = buffer.get(..read).unwrap_or_default().to_vec();
            round.left -= 1;
            let trip = began.elapsed();
            self.waits = LATER_WAITS.map(|w| (w + trip * 4).min(self.answer_timeout));
            match which(&bytes).and_then(|at| round.heard.get_mut(at)) {
                Some(place) if *place == Heard::Silent => *place = Heard::Answer(bytes),
                Some(_) => {}
                None => round.other = round.other.take().or(Some(bytes)),
            }
        }
        Ok(())
    }
}

/// One round of questions.
struct Round {
    heard: Vec<Heard>,
    other: Option<Vec<u8>>,
    left: usize,
}

impl Round {
    fn is_over(&self) -> bool {
        self.left == 0 || self.heard.iter().all(|h| *h != Heard::Silent)
    }

    /// What is left is silent, or answered by something else when something else came.
    fn finish(mut self) -> Vec<Heard> {
        if let Some(other) = self.other {
            for silent in self.heard.iter_mut().filter(|h| **h == Heard::Silent) {
                *silent = Heard::Other(other.clone());
            }
        }
        self.heard
    }

    /// The socket failed: what it said so far stands.
    fn ended(mut self, error: &io::Error) -> Vec<Heard> {
        let why = match error.kind() {
            io::ErrorKind::ConnectionRefused => Heard::Refused,
            kind => Heard::Unreachable(kind.to_string()),
        };
        for silent in self.heard.iter_mut().filter(|h| **h == Heard::Silent) {
            *silent = why.clone();
        }
        self.heard
    }
}

/// The first datagram that comes back from the host of an endpoint, from any port, and its port's
/// address (TFTP answers from a new port). Its socket hears no ICMP, so refusal is silence, too.
pub async fn ask_any_port(dialer: &Dialer, question: &[u8], is_answer: impl Fn(&[u8]) -> bool) -> Result<(Stranger, Vec<u8>), Heard> {
    let unreachable = |e: String| Heard::Unreachable(e);
    let places = dialer.places().await.map_err(|e| unreachable(e.to_string()))?;
    let socket = UdpSocket::bind(any(dialer.address)).await.map_err(|e| unreachable(e.kind().to_string()))?;
    let mut buffer = vec![0; DATAGRAM_LIMIT];
    let (mut other, mut left) = (None, DATAGRAMS);
    for wait in FIRST_WAITS {
        let end = (Instant::now() + wait.min(dialer.limits.answer_timeout)).min(dialer.deadline);
        socket.send_to(question, dialer.address).await.map_err(|e| unreachable(e.kind().to_string()))?;
        while left > 0 {
            let heard = tokio::select! {
                heard = socket.recv_from(&mut buffer) => heard,
                () = sleep_until(end) => break,
                () = dialer.halt.asked() => return Err(Heard::Silent),
            };
            let Ok((length, from)) = heard else { break };
            left -= 1;
            if from.ip() != dialer.address.ip() {
                continue;
            }
            let bytes = buffer.get(..length).unwrap_or_default().to_vec();
            if is_answer(&bytes) {
                return Ok((Stranger { socket, address: from, _places: places }, bytes));
            }
            other = other.or(Some(bytes));
        }
    }
    Err(other.map_or(Heard::Silent, Heard::Other))
}

/// Whoever answered from a port that was not asked.
#[derive(Debug)]
pub struct Stranger {
    socket: UdpSocket,
    /// Where the answer came from.
    pub address: SocketAddr,
    _places: Places,
}

impl Stranger {
    /// Sends one last datagram there.
    pub async fn dismiss(self, bytes: &[u8]) {
        // Nothing depends on its arrival.
        let _ = self.socket.send_to(bytes, self.address).await;
    }
}

/// An address of ours that reaches one of theirs.
fn any(theirs: SocketAddr) -> SocketAddr {
    match theirs {
        SocketAddr::V4(_) => SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0),
        SocketAddr::V6(_) => SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 0),
    }
}
