//! One file per protocol: how its first bytes look, and what is said to learn more.

pub mod dns;
pub mod ftp;
pub mod http;
pub mod imap;
pub mod memcached;
pub mod mysql;
pub mod pop3;
pub mod postgresql;
pub mod redis;
pub mod rpc;
pub mod smtp;
pub mod ssh;
pub mod telnet;

use super::dial::{Connection, Dialer, Stop};
use super::reader::banner;

/// The name given where a protocol asks for one.
pub const OUR_NAME: &str = "assay";

/// `tls` of an endpoint: an upgrade is offered, and plaintext works too.
pub const OPTIONAL: &str = "optional";
/// `tls` or `authentication`: nothing useful without.
pub const REQUIRED: &str = "required";
/// `tls` or `authentication`: there is none.
pub const NONE: &str = "none";
/// `tls`: from the first byte.
pub const DIRECT: &str = "direct";
/// The exchange did not tell.
pub const UNKNOWN: &str = "unknown";

/// What an endpoint turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Name of the protocol.
    pub protocol: &'static str,
    /// Whether it runs without encryption here, at least until an upgrade.
    pub plaintext: bool,
    /// [`DIRECT`], [`OPTIONAL`], [`REQUIRED`], [`NONE`] or [`UNKNOWN`].
    pub tls: &'static str,
    /// [`NONE`], [`REQUIRED`] or [`UNKNOWN`].
    pub authentication: &'static str,
    /// FTP: whether anonymous sign-in works.
    pub anonymous: Option<bool>,
    /// First line, printable.
    pub banner: String,
    /// The exchange that decided.
    pub exchange: String,
    /// How TLS starts, where it is offered as an upgrade.
    pub upgrade: Option<Upgrade>,
    /// Questions that a server of this protocol should have answered and did not: field and reason.
    pub unanswered: Vec<(&'static str, String)>,
}

impl Seen {
    /// A plaintext protocol of which no more is known.
    pub fn plain(protocol: &'static str, first: &[u8], exchange: &str) -> Self {
        Self {
            protocol,
            plaintext: true,
            tls: NONE,
            authentication: UNKNOWN,
            anonymous: None,
            banner: banner(first),
            exchange: exchange.into(),
            upgrade: None,
            unanswered: Vec::new(),
        }
    }

    /// Marks a field that the server left open.
    pub fn open(&mut self, field: &'static str, reason: impl ToString) {
        self.unanswered.push((field, reason.to_string()));
    }
}

/// Name of a protocol, and whether the first bytes of a server are of it.
pub type Greeter = (&'static str, fn(&[u8]) -> bool);

/// Protocols whose server speaks first, by the look of its first bytes.
pub static GREETERS: &[Greeter] = &[
    ("ssh", ssh::greets),
    ("telnet", telnet::greets),
    ("mysql", mysql::greets),
    ("imap", imap::greets),
    ("pop3", pop3::greets),
    ("220", smtp::greets),
    ("redis", redis::refuses),
    ("http", http::speaks),
    ("rsync", |b| b.starts_with(b"@RSYNCD:")),
    ("vnc", |b| b.starts_with(b"RFB 00")),
];

/// Whether the first bytes of a server are a whole greeting.
pub fn is_complete(bytes: &[u8]) -> bool {
    bytes.contains(&b'\n') || telnet::greets(bytes) || mysql::is_whole(bytes) || http::is_http2(bytes)
}

/// Goes on with a server that spoke first; `None` when its greeting is of no known protocol.
pub async fn converse(dialer: &Dialer, mut connection: Connection, first: &[u8]) -> Option<Seen> {
    let name = GREETERS.iter().find(|(_, greets)| greets(first)).map(|(name, _)| *name);
    match name {
        Some("ssh") => Some(ssh::talk(&mut connection, first).await),
        Some("telnet") => Some(telnet::seen(first)),
        Some("mysql") => Some(mysql::talk(&mut connection, first).await),
        Some("imap") => Some(imap::talk(&mut connection, first).await),
        Some("pop3") => Some(pop3::talk(&mut connection, first).await),
        Some("220") => smtp_or_ftp(dialer, connection, first).await,
        Some("redis") => Some(redis::seen(first)),
        Some("http") => Some(http::seen(first)),
        Some("rsync") => Some(Seen::plain("rsync", first, "greeting @RSYNCD:")),
        Some("vnc") => Some(Seen::plain("vnc", first, "greeting RFB")),
        _ => telnet::ask(&mut connection, first).await,
    }
}

/// FTP and SMTP both greet with `220`: the words of the greeting decide, else the answer to EHLO.
async fn smtp_or_ftp(dialer: &Dialer, mut connection: Connection, first: &[u8]) -> Option<Seen> {
    connection.unread(first);
    let greeting = connection.reply().await.ok()?;
    if greeting.mentions("FTP") {
        return Some(ftp::talk(dialer, connection, &greeting).await);
    }
    if let Some(seen) = smtp::talk(&mut connection, &greeting).await {
        return Some(seen);
    }
    match ftp::is_ftp(&mut connection).await {
        true => Some(ftp::talk(dialer, connection, &greeting).await),
        false => None,
    }
}

/// A question to a server that waits for its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// TLS hello.
    Tls,
    /// `PING`.
    Redis,
    /// `GET /`.
    Http,
    /// `version`.
    Memcached,
    /// SSLRequest.
    Postgresql,
    /// A query for the root.
    Dns,
    /// ONC RPC null call.
    Rpc,
}

/// Every question, in the order in which an unknown server is asked: the ones that other servers
/// answer with an error come first.
pub static QUESTIONS: &[Ask] = &[Ask::Tls, Ask::Redis, Ask::Http, Ask::Memcached, Ask::Postgresql, Ask::Dns, Ask::Rpc];

/// How a question ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// It is this.
    Found(Box<Seen>),
    /// It answered something else.
    Answered(Vec<u8>),
    /// It hung up without a byte.
    Closed,
    /// No byte in time.
    Silent,
    /// A byte or two, and no end in time.
    Incomplete,
    /// No connection.
    NoConnection,
}

impl From<Stop> for Asked {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Closed => Self::Closed,
            Stop::Silent => Self::Silent,
            Stop::Incomplete => Self::Incomplete,
            Stop::Limit | Stop::Malformed => Self::Answered(Vec::new()),
        }
    }
}

impl Asked {
    /// Whether an answer is the greeting of a known protocol.
    pub fn is_known(answer: &[u8]) -> bool {
        GREETERS.iter().any(|(_, greets)| greets(answer))
    }
}

impl Ask {
    /// The question whose protocol usually has this port; it only goes first.
    pub const fn usual(port: u16) -> Option<Self> {
        Some(match port {
            443 | 465 | 636 | 853 | 990 | 993 | 995 | 8443 => Self::Tls,
            80 | 8000 | 8080 | 9090 => Self::Http,
            6379 => Self::Redis,
            11211 => Self::Memcached,
            5432 => Self::Postgresql,
            53 => Self::Dns,
            111 | 2049 => Self::Rpc,
            _ => return None,
        })
    }

    /// Whether servers on this port usually speak first. Questions put to them while they are slow
    /// are wasted, and some count them (OpenSSH's MaxStartups, MySQL's max_connect_errors).
    pub const fn is_greeted(port: u16) -> bool {
        matches!(port, 21 | 22 | 23 | 25 | 110 | 119 | 143 | 220 | 587 | 2121 | 2222 | 3306 | 4190 | 5900)
    }

    /// The question that an answer to another question points to.
    pub fn hinted(answer: &[u8]) -> Option<Self> {
        let starts = |p: &[u8]| answer.starts_with(p);
        if http::speaks(answer) {
            Some(Self::Http)
        } else if starts(b"-ERR") || starts(b"-NOAUTH") || starts(b"+PONG") {
            Some(Self::Redis)
        } else if starts(b"ERROR\r\n") || starts(b"CLIENT_ERROR") {
            Some(Self::Memcached)
        } else if super::tls::speaks(answer) {
            Some(Self::Tls)
        } else {
            None
        }
    }

    /// Asks on a fresh connection.
    pub async fn put(self, dialer: &Dialer) -> Asked {
        match self {
            Self::Tls => super::tls::ask(dialer).await,
            Self::Redis => redis::ask(dialer).await,
            Self::Http => http::ask(dialer).await,
            Self::Memcached => memcached::ask(dialer).await,
            Self::Postgresql => postgresql::ask(dialer).await,
            Self::Dns => dns::ask(dialer).await,
            Self::Rpc => rpc::ask(dialer).await,
        }
    }
}

/// Opens a connection, sends `question` and reads the answer up to a line end or `enough` bytes.
pub async fn exchange(dialer: &Dialer, question: &[u8], enough: fn(&[u8]) -> bool) -> Result<(Connection, Vec<u8>), Asked> {
    let mut connection = dialer.connect().await.map_err(|_| Asked::NoConnection)?;
    connection.send(question).await.map_err(Asked::from)?;
    let wait = dialer.limits.answer_timeout.min(dialer.left());
    let answer = connection.greeting(wait, enough).await.map_err(Asked::from)?;
    Ok((connection, answer))
}

/// A line of a text protocol is there.
pub fn a_line(bytes: &[u8]) -> bool {
    bytes.contains(&b'\n')
}

/// A protocol whose connection becomes TLS on request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upgrade {
    /// STARTTLS (RFC 3207).
    Smtp,
    /// STARTTLS (RFC 9051).
    Imap,
    /// STLS (RFC 2595).
    Pop3,
    /// AUTH TLS (RFC 4217).
    Ftp,
    /// SSLRequest.
    Postgresql,
    /// SSL request packet in place of the handshake response.
    Mysql,
}

impl Upgrade {
    /// Name of the protocol.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Smtp => "smtp",
            Self::Imap => "imap",
            Self::Pop3 => "pop3",
            Self::Ftp => "ftp",
            Self::Postgresql => "postgresql",
            Self::Mysql => "mysql",
        }
    }

    /// Brings a fresh connection to where TLS starts.
    pub async fn prepare(self, connection: &mut Connection) -> Result<(), Stop> {
        match self {
            Self::Smtp => smtp::upgrade(connection).await,
            Self::Imap => imap::upgrade(connection).await,
            Self::Pop3 => pop3::upgrade(connection).await,
            Self::Ftp => ftp::upgrade(connection).await,
            Self::Postgresql => postgresql::upgrade(connection).await,
            Self::Mysql => mysql::upgrade(connection).await,
        }
    }
}
