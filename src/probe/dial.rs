//! Connections with a deadline and a byte cap.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use super::Limits;
use super::halt::Halt;

/// Longest line of a text protocol, bytes (RFC 5321 allows 512, IMAP servers send more).
pub const LINE_LIMIT: usize = 4096;
/// Most lines of one multi-line answer.
pub const LINES_LIMIT: usize = 100;
/// A greeting without a line end counts as complete after this pause.
const QUIET: Duration = Duration::from_millis(400);
/// Shortest greeting that may end in a pause, bytes: fewer can be told from nothing.
const GREETING_MINIMUM: usize = 4;
/// Longest greeting looked at, bytes.
const GREETING_LIMIT: usize = 1024;
/// Ports tried for [`Dialer::connect_reserved`]: the few that no service has (rresvport(3) takes them, too).
const RESERVED: std::ops::RangeInclusive<u16> = 1012..=1022;
/// Source address of [`Dialer::connect_as_other`].
const OTHER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
/// Bytes read at once.
const CHUNK: usize = 4096;

/// Why there is no connection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DialError {
    /// The host answers that nothing listens.
    #[error("connection refused")]
    Refused,
    /// It was closed as soon as it was open.
    #[error("the connection was closed as soon as it was open")]
    Closed,
    /// No answer in time.
    #[error("no answer to the connection request in time")]
    Timeout,
    /// Anything else.
    #[error("not reachable: {0}")]
    Unreachable(String),
}

/// Why an answer is not complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Stop {
    /// The other side closed the connection.
    #[error("the connection was closed")]
    Closed,
    /// Not one byte in time.
    #[error("no answer in time")]
    Silent,
    /// An answer began and did not end in time.
    #[error("the answer did not end in time")]
    Incomplete,
    /// More bytes than a limit.
    #[error("the answer is larger than the limit")]
    Limit,
    /// Bytes that the protocol does not allow.
    #[error("the answer is malformed")]
    Malformed,
}

/// Opens connections to one endpoint, within its caps and its deadline.
#[derive(Clone, Debug)]
pub struct Dialer {
    /// Where to connect.
    pub address: SocketAddr,
    /// The same listener at an address of this host that is not loopback: servers that trust
    /// loopback answer there as they answer strangers. `None` for other endpoints.
    pub outward: Option<SocketAddr>,
    /// Name of the process (`comm` of proc(5)) that listens there, of this host; empty when unknown.
    pub process: String,
    /// Name for TLS server name indication (RFC 6066); empty for none.
    pub server_name: String,
    /// Bounds.
    pub limits: Limits,
    /// When everything said to this endpoint ends.
    pub deadline: Instant,
    /// Ends it before.
    pub halt: Halt,
    ready: Ready,
    ear: Ear,
    total: Arc<Semaphore>,
    own: Arc<Semaphore>,
}

impl Dialer {
    /// A dialer whose time starts now; one connection waits for a greeting while another asks, so
    /// the cap is never below two.
    pub fn new(address: SocketAddr, server_name: &str, limits: &Limits, total: Arc<Semaphore>, budget: Duration) -> Self {
        Self {
            address,
            outward: None,
            process: String::new(),
            server_name: server_name.into(),
            limits: limits.clone(),
            deadline: Instant::now() + budget,
            halt: Halt::default(),
            ready: Ready::default(),
            ear: Ear::default(),
            total,
            own: Arc::new(Semaphore::new(limits.per_target.max(2))),
        }
    }

    /// The same with an earlier deadline.
    #[must_use]
    pub fn until(&self, deadline: Instant) -> Self {
        Self { deadline: self.deadline.min(deadline), ..self.clone() }
    }

    /// The same for one question: its first connection is the one that is `ready`, and `ear` hears
    /// when an answer begins on any of its connections.
    #[must_use]
    pub fn of_question(&self, ready: Option<Connection>, ear: Ear) -> Self {
        Self { ready: Ready(Arc::new(Mutex::new(ready))), ear, ..self.clone() }
    }

    /// The same with so much time from now on.
    #[must_use]
    pub fn afresh(&self, budget: Duration) -> Self {
        Self { deadline: Instant::now() + budget, ..self.clone() }
    }

    /// Time left.
    pub fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// The same at the address where strangers reach it; itself where there is no other.
    #[must_use]
    pub fn as_stranger(&self) -> Self {
        let Some(outward) = self.outward else {
            return self.clone();
        };
        // A connection that is open already leads elsewhere, and may keep a server of one client busy.
        drop(self.ready.take());
        Self { address: outward, outward: None, ready: Ready::default(), ..self.clone() }
    }

    /// Connects to the endpoint.
    pub async fn connect(&self) -> Result<Connection, DialError> {
        match self.ready.take() {
            Some(ready) => Ok(Connection { ear: self.ear.clone(), deadline: self.deadline, ..ready }),
            None => self.connect_to(self.address).await,
        }
    }

    /// Connects as strangers do, where that is known to be possible.
    pub async fn connect_outward(&self) -> Result<Connection, DialError> {
        self.connect_to(self.outward.unwrap_or(self.address)).await
    }

    /// Connects from a port below 1024, as some servers demand; from any port where this process
    /// may not have such a one.
    pub async fn connect_reserved(&self) -> Result<Connection, DialError> {
        let any: IpAddr = if self.address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        for port in RESERVED {
            match self.open(self.address, Some(SocketAddr::new(any, port))).await {
                Err(DialError::Unreachable(_)) => {}
                other => return other,
            }
        }
        self.connect().await
    }

    /// Connects to an endpoint on loopback from another loopback address (all of 127.0.0.0/8 is this
    /// host): servers that take a client at their own address for safe see a stranger. `None` where
    /// that can't be done.
    pub async fn connect_as_other(&self) -> Option<Connection> {
        match self.address {
            SocketAddr::V4(v4) if *v4.ip() == Ipv4Addr::LOCALHOST => self.open(self.address, Some(SocketAddr::from((OTHER, 0)))).await.ok(),
            _ => None,
        }
    }

    async fn connect_to(&self, address: SocketAddr) -> Result<Connection, DialError> {
        self.open(address, None).await
    }

    /// Waits for a place within the caps; it is given back when dropped.
    pub(super) async fn places(&self) -> Result<Places, DialError> {
        let closed = |_| DialError::Unreachable("the survey has ended".into());
        let places = async {
            let own = self.own.clone().acquire_owned().await.map_err(closed)?;
            let total = self.total.clone().acquire_owned().await.map_err(closed)?;
            Ok([own, total])
        };
        timeout(self.left(), places).await.map_err(|_| DialError::Timeout)?
    }

    async fn open(&self, address: SocketAddr, from: Option<SocketAddr>) -> Result<Connection, DialError> {
        let permits = self.places().await?;
        let wait = self.limits.answer_timeout.min(self.left());
        let stream = match timeout(wait, stream(address, from)).await {
            Err(_) => return Err(DialError::Timeout),
            Ok(Err(e)) if e.kind() == io::ErrorKind::ConnectionRefused => return Err(DialError::Refused),
            Ok(Err(e)) if e.kind() == io::ErrorKind::ConnectionReset => return Err(DialError::Closed),
            Ok(Err(e)) => return Err(DialError::Unreachable(e.kind().to_string())),
            Ok(Ok(stream)) => stream,
        };
        // Only a matter of speed.
        let _ = stream.set_nodelay(true);
        let capped = Capped { stream, remaining: self.limits.bytes, _permits: permits };
        Ok(Connection {
            server_name: self.server_name.clone(),
            stream: Box::new(capped),
            pending: Vec::new(),
            answer_timeout: self.limits.answer_timeout,
            deadline: self.deadline,
            ear: self.ear.clone(),
        })
    }
}

/// A connection that is open already, for whoever connects next.
#[derive(Clone, Default)]
struct Ready(Arc<Mutex<Option<Connection>>>);

impl Ready {
    fn take(&self) -> Option<Connection> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl std::fmt::Debug for Ready {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ready")
    }
}

/// Hears when the first byte of an answer comes.
#[derive(Clone, Debug, Default)]
pub struct Ear(Arc<OnceLock<Instant>>);

impl Ear {
    /// When the first byte came.
    pub fn heard(&self) -> Option<Instant> {
        self.0.get().copied()
    }
}

async fn stream(address: SocketAddr, from: Option<SocketAddr>) -> io::Result<TcpStream> {
    let Some(from) = from else { return TcpStream::connect(address).await };
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // Else the same port serves the same server again only after minutes.
    socket.set_reuseaddr(true)?;
    socket.bind(from)?;
    socket.connect(address).await
}

/// A place within the cap of one endpoint and the cap of all.
pub(super) type Places = [OwnedSemaphorePermit; 2];

/// A byte stream in both directions.
pub trait Wire: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Wire for T {}

/// A TCP stream that stops after so many bytes; holds its place in the connection caps.
#[derive(Debug)]
struct Capped {
    stream: TcpStream,
    remaining: usize,
    _permits: Places,
}

impl AsyncRead for Capped {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.remaining == 0 {
            return Poll::Ready(Err(io::Error::from(io::ErrorKind::FileTooLarge)));
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        // One read may pass the cap by at most the caller's buffer.
        self.remaining = self.remaining.saturating_sub(buf.filled().len().saturating_sub(before));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Capped {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// One connection to one endpoint.
pub struct Connection {
    /// Name by which the server is asked for, where a protocol needs one; empty for none.
    pub server_name: String,
    stream: Box<dyn Wire>,
    pending: Vec<u8>,
    answer_timeout: Duration,
    deadline: Instant,
    ear: Ear,
}

impl Connection {
    /// Sends all of `bytes`.
    pub async fn send(&mut self, bytes: &[u8]) -> Result<(), Stop> {
        let end = self.answer_by();
        let sending = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        };
        match tokio::time::timeout_at(end, sending).await {
            Err(_) => Err(Stop::Silent),
            Ok(Err(_)) => Err(Stop::Closed),
            Ok(Ok(())) => Ok(()),
        }
    }

    /// The first bytes of the server, waiting at most `wait` for the first one: a line, a pause
    /// after a few bytes, or a packet that `complete` knows.
    pub async fn greeting(&mut self, wait: Duration, complete: fn(&[u8]) -> bool) -> Result<Vec<u8>, Stop> {
        self.fill((Instant::now() + wait).min(self.deadline)).await?;
        let end = self.answer_by();
        while !complete(&self.pending) && self.pending.len() < GREETING_LIMIT {
            let pause = if self.pending.len() < GREETING_MINIMUM { end } else { (Instant::now() + QUIET).min(end) };
            match self.fill(pause).await {
                Ok(()) => {}
                Err(Stop::Silent) if self.pending.len() >= GREETING_MINIMUM => break,
                Err(Stop::Silent) => return Err(Stop::Incomplete),
                Err(_) => break,
            }
        }
        Ok(std::mem::take(&mut self.pending))
    }

    /// Bytes as they come, at least one.
    pub async fn some(&mut self) -> Result<Vec<u8>, Stop> {
        self.some_by(self.answer_by()).await
    }

    /// Bytes as they come, at least one, within `wait`.
    pub async fn some_within(&mut self, wait: Duration) -> Result<Vec<u8>, Stop> {
        self.some_by((Instant::now() + wait).min(self.deadline)).await
    }

    /// Bytes as they come, at least one, until `end`.
    pub async fn some_by(&mut self, end: Instant) -> Result<Vec<u8>, Stop> {
        if self.pending.is_empty() {
            self.fill(end).await?;
        }
        Ok(std::mem::take(&mut self.pending))
    }

    /// Exactly `count` bytes, within the time of one answer.
    pub async fn exactly(&mut self, count: usize) -> Result<Vec<u8>, Stop> {
        let end = self.answer_by();
        while self.pending.len() < count {
            self.fill(end).await.map_err(|e| self.partial(e))?;
        }
        let rest = self.pending.split_off(count);
        Ok(std::mem::replace(&mut self.pending, rest))
    }

    /// One line without its end, within the time of one answer.
    pub async fn line(&mut self) -> Result<Vec<u8>, Stop> {
        let end = self.answer_by();
        self.line_by(end).await
    }

    async fn line_by(&mut self, end: Instant) -> Result<Vec<u8>, Stop> {
        let mut searched = 0;
        loop {
            let found = self.pending.get(searched..).and_then(|new| new.iter().position(|b| *b == b'\n'));
            if let Some(at) = found {
                let rest = self.pending.split_off(searched + at + 1);
                let mut line = std::mem::replace(&mut self.pending, rest);
                while line.last().is_some_and(|b| *b == b'\n' || *b == b'\r') {
                    line.pop();
                }
                return Ok(line);
            }
            searched = self.pending.len();
            if searched > LINE_LIMIT {
                return Err(Stop::Limit);
            }
            self.fill(end).await.map_err(|e| self.partial(e))?;
        }
    }

    /// Lines up to and including the first that `last` accepts, within the time of one answer.
    pub async fn lines(&mut self, last: impl Fn(&[u8]) -> bool) -> Result<Vec<Vec<u8>>, Stop> {
        let end = self.answer_by();
        let mut lines = Vec::new();
        while lines.len() < LINES_LIMIT {
            let line = self.line_by(end).await?;
            let done = last(&line);
            lines.push(line);
            if done {
                return Ok(lines);
            }
        }
        Err(Stop::Limit)
    }

    /// One answer of SMTP or FTP: `250-more`, `250 last` (RFC 959 section 4.2, RFC 5321 section 4.2).
    pub async fn reply(&mut self) -> Result<Reply, Stop> {
        let lines = self.lines(|l| l.get(..3).is_some_and(|c| c.iter().all(u8::is_ascii_digit)) && l.get(3) != Some(&b'-')).await?;
        let code = lines.last().and_then(|l| l.get(..3)).and_then(|c| std::str::from_utf8(c).ok()).and_then(|c| c.parse().ok());
        Ok(Reply { code: code.ok_or(Stop::Malformed)?, lines: lines.iter().map(|l| String::from_utf8_lossy(l).into_owned()).collect() })
    }

    /// Ends the connection in order; that it may be gone already is no matter.
    pub async fn close(mut self) {
        let _ = tokio::time::timeout_at(self.answer_by(), self.stream.shutdown()).await;
    }

    /// Gives bytes back, to be read again.
    pub fn unread(&mut self, bytes: &[u8]) {
        self.pending.splice(0..0, bytes.iter().copied());
    }

    /// The same connection with another stream over its own, such as TLS; that one is given what was read already.
    #[must_use]
    pub fn within(self, over: impl FnOnce(Box<dyn Wire>, Vec<u8>) -> Box<dyn Wire>) -> Self {
        Self { stream: over(self.stream, self.pending), pending: Vec::new(), ..self }
    }

    /// When an answer that is awaited from now on must have ended.
    pub fn answer_by(&self) -> Instant {
        (Instant::now() + self.answer_timeout).min(self.deadline)
    }

    fn partial(&self, stop: Stop) -> Stop {
        if stop == Stop::Silent && !self.pending.is_empty() { Stop::Incomplete } else { stop }
    }

    async fn fill(&mut self, end: Instant) -> Result<(), Stop> {
        let mut chunk = [0; CHUNK];
        match tokio::time::timeout_at(end, self.stream.read(&mut chunk)).await {
            Err(_) => Err(Stop::Silent),
            Ok(Ok(0)) => Err(Stop::Closed),
            Ok(Ok(n)) => {
                // The first byte counts, later ones change nothing.
                let _ = self.ear.0.set(Instant::now());
                self.pending.extend_from_slice(chunk.get(..n).unwrap_or_default());
                Ok(())
            }
            Ok(Err(e)) if e.kind() == io::ErrorKind::FileTooLarge => Err(Stop::Limit),
            Ok(Err(_)) => Err(Stop::Closed),
        }
    }
}

/// One answer with a three-digit code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The code of its last line.
    pub code: u16,
    /// Its lines with codes.
    pub lines: Vec<String>,
}

impl Reply {
    /// Whether any line holds `word`, in any case.
    pub fn mentions(&self, word: &str) -> bool {
        self.lines.iter().any(|l| l.to_ascii_uppercase().contains(word))
    }

    /// The first line.
    pub fn first(&self) -> &str {
        self.lines.first().map_or("", String::as_str)
    }
}
