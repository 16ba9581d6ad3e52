//! One file per protocol: how its first bytes look, and what is said to learn more.
//!
//! [`PROTOCOLS`] lists them all; [`UPGRADES`] those whose connection becomes TLS on request.

pub mod amqp;
pub mod cups;
pub mod dns;
pub mod docker;
pub mod elasticsearch;
pub mod etcd;
pub mod ftp;
pub mod http;
pub mod imap;
pub mod inside;
pub mod kubelet;
pub mod ldap;
pub mod lmtp;
pub mod managesieve;
pub mod memcached;
pub mod mongodb;
pub mod mqtt;
pub mod mysql;
pub mod nntp;
pub mod opensearch;
pub mod pop3;
pub mod postgresql;
pub mod rdp;
pub mod redis;
pub mod rexec;
pub mod rlogin;
pub mod rpc;
pub mod rsh;
pub mod rsync;
pub mod smb;
pub mod smtp;
pub mod ssh;
pub mod starttls;
pub mod telnet;
pub mod vnc;
pub mod x11;
pub mod xmpp;

use std::pin::Pin;

use super::dial::{Connection, Dialer, Stop};
pub use super::seen::{DIRECT, Export, Http, NONE, OPTIONAL, REQUIRED, STRIPPED, Seen, Ssh, UNKNOWN};
use super::tls;

/// The name given where a protocol asks for one.
pub const OUR_NAME: &str = "assay";

/// A boxed future, so that functions of several protocols fit into one table.
pub type Later<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Goes on with a server whose first bytes are of the protocol.
pub type Talk = for<'a> fn(&'a Dialer, Connection, &'a [u8]) -> Later<'a, Option<Seen>>;

/// Whether the answer to `GET /` is of a protocol over HTTP, and what further requests tell.
pub type OverHttp = for<'a> fn(&'a http::Web<'a>, &'a http::Answer) -> Later<'a, Option<Seen>>;

/// One protocol as identification sees it.
pub struct Protocol {
    /// Lower-case word, as in `services.items[].protocol`.
    pub name: &'static str,
    /// Ports where its question goes first, or (without a question) where its greeting is awaited longer.
    pub ports: &'static [u16],
    /// Names of server processes (`comm` of proc(5)) that speak it: of a local listener, its question goes first.
    pub processes: &'static [&'static str],
    /// Whether a server's first unasked bytes are of it; then `talk` goes on with that connection.
    pub greets: Option<fn(&[u8]) -> bool>,
    /// Goes on after a greeting; `None` when it was no server of this protocol after all.
    pub talk: Option<Talk>,
    /// Asks a server that waits for its client, on a fresh connection.
    pub ask: Option<for<'a> fn(&'a Dialer) -> Later<'a, Asked>>,
    /// Whether an answer to another protocol's question points to this one.
    pub hinted: Option<fn(&[u8]) -> bool>,
    /// Whether only its ports and processes are asked: a server that it would be put to in vain
    /// could not be told from one that waits.
    pub at_home_only: bool,
    /// Of what is spoken over HTTP: whether the answer to `GET /` is of it, and what more it tells.
    pub over_http: Option<OverHttp>,
}

impl Protocol {
    /// A protocol that is never seen, to fill the fields that another leaves out.
    pub const NONE: Self =
        Self { name: "", ports: &[], processes: &[], greets: None, talk: None, ask: None, hinted: None, over_http: None, at_home_only: false };

    /// Whether an endpoint's port or process is usually of it.
    pub fn is_at_home(&self, dialer: &Dialer) -> bool {
        self.processes.contains(&dialer.process.as_str()) || self.ports.contains(&dialer.address.port())
    }

    /// Whether its server speaks first. Questions put to it while it is slow are wasted, and some
    /// servers count them (OpenSSH's MaxStartups, MySQL's max_connect_errors).
    pub const fn is_greeter(&self) -> bool {
        self.greets.is_some() && self.ask.is_none()
    }
}

/// Every protocol. Greetings are compared, and an unknown server is asked, in this order: what
/// other servers answer with an error comes first.
pub static PROTOCOLS: &[Protocol] = &[
    ssh::PROTOCOL,
    telnet::PROTOCOL,
    mysql::PROTOCOL,
    imap::PROTOCOL,
    pop3::PROTOCOL,
    ftp::PROTOCOL,
    smtp::PROTOCOL,
    lmtp::PROTOCOL,
    nntp::PROTOCOL,
    managesieve::PROTOCOL,
    rsync::PROTOCOL,
    vnc::PROTOCOL,
    tls::PROTOCOL,
    // Servers of these three wait for more of anything else.
    redis::PROTOCOL,
    dns::PROTOCOL,
    rpc::PROTOCOL,
    http::PROTOCOL,
    memcached::PROTOCOL,
    postgresql::PROTOCOL,
    mongodb::PROTOCOL,
    amqp::PROTOCOL,
    mqtt::PROTOCOL,
    elasticsearch::PROTOCOL,
    opensearch::PROTOCOL,
    etcd::PROTOCOL,
    docker::PROTOCOL,
    kubelet::PROTOCOL,
    cups::PROTOCOL,
    xmpp::PROTOCOL,
    ldap::PROTOCOL,
    rdp::PROTOCOL,
    smb::PROTOCOL,
    x11::PROTOCOL,
    rlogin::PROTOCOL,
    rsh::PROTOCOL,
    rexec::PROTOCOL,
];

/// Every upgrade, for the command line.
pub static UPGRADES: &[Upgrade] = &[
    smtp::UPGRADE,
    lmtp::UPGRADE,
    imap::UPGRADE,
    pop3::UPGRADE,
    managesieve::UPGRADE,
    nntp::UPGRADE,
    ftp::UPGRADE,
    ldap::UPGRADE,
    xmpp::UPGRADE,
    xmpp::UPGRADE_SERVER,
    rdp::UPGRADE,
    postgresql::UPGRADE,
    mysql::UPGRADE,
];

/// The upgrade that servers on this port usually have.
pub fn usual_upgrade(port: u16) -> Option<Upgrade> {
    let name = match port {
        21 => "ftp",
        25 | 587 | 2525 => "smtp",
        24 => "lmtp",
        110 => "pop3",
        119 => "nntp",
        143 => "imap",
        389 | 3268 => "ldap",
        3306 => "mysql",
        3389 => "rdp",
        4190 => "managesieve",
        5222 | 5269 => "xmpp",
        5432 => "postgresql",
        _ => return None,
    };
    UPGRADES.iter().copied().find(|u| u.name == name)
}

/// The protocol that greets so.
pub fn greeter(first: &[u8]) -> Option<&'static Protocol> {
    PROTOCOLS.iter().find(|p| p.greets.is_some_and(|greets| greets(first)))
}

/// Whether the first bytes of a server are a whole greeting.
pub fn is_complete(bytes: &[u8]) -> bool {
    bytes.contains(&b'\n') || telnet::greets(bytes) || mysql::is_whole(bytes) || http::is_http2(bytes)
}

/// Goes on with a server that spoke first; `None` when its greeting is of no known protocol.
pub async fn converse(dialer: &Dialer, mut connection: Connection, first: &[u8]) -> Option<Seen> {
    match greeter(first).and_then(|p| p.talk) {
        Some(talk) => talk(dialer, connection, first).await,
        None => telnet::ask(&mut connection, first).await,
    }
}

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

/// Opens a connection, sends `question` and reads the answer up to a line end or `enough` bytes.
pub async fn exchange(dialer: &Dialer, question: &[u8], enough: fn(&[u8]) -> bool) -> Result<(Connection, Vec<u8>), Asked> {
    let mut connection = dialer.connect().await.map_err(|_| Asked::NoConnection)?;
    connection.send(question).await.map_err(Asked::from)?;
    let wait = dialer.limits.answer_timeout.min(dialer.left());
    let answer = connection.greeting(wait, enough).await.map_err(Asked::from)?;
    Ok((connection, answer))
}

/// Asks where strangers reach a listener of this host, and at its own address only when nothing
/// can be had there.
async fn as_stranger(dialer: &Dialer, ask: for<'a> fn(&'a Dialer) -> Later<'a, Asked>) -> Asked {
    let Some(outward) = dialer.outward else {
        return ask(dialer).await;
    };
    match ask(&dialer.as_stranger()).await {
        Asked::Found(mut seen) => {
            seen.exchange = format!("{} (at {outward})", seen.exchange);
            Asked::Found(seen)
        }
        Asked::NoConnection => match ask(dialer).await {
            Asked::Found(mut seen) => {
                seen.trusting_loopback(&format!("it could not be asked at {outward}"));
                Asked::Found(seen)
            }
            other => other,
        },
        other => other,
    }
}

/// A line of a text protocol is there.
pub fn a_line(bytes: &[u8]) -> bool {
    bytes.contains(&b'\n')
}

/// A protocol whose connection becomes TLS on request.
#[derive(Clone, Copy)]
pub struct Upgrade {
    /// Name of the protocol.
    pub name: &'static str,
    /// Whether servers count handshakes that break off and lock the host out after many.
    pub is_counted: bool,
    /// Brings a fresh connection to where TLS starts.
    pub prepare: for<'a> fn(&'a mut Connection) -> Later<'a, Result<(), Stop>>,
}

impl Upgrade {
    /// Name of the protocol.
    pub const fn name(self) -> &'static str {
        self.name
    }

    /// Whether servers count handshakes that break off and lock the host out after many; then
    /// less is asked of them.
    pub const fn is_counted(self) -> bool {
        self.is_counted
    }

    /// Brings a fresh connection to where TLS starts.
    pub async fn prepare(self, connection: &mut Connection) -> Result<(), Stop> {
        (self.prepare)(connection).await
    }
}

impl PartialEq for Upgrade {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Upgrade {}

impl std::fmt::Debug for Upgrade {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Upgrade({})", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Files that are no protocol.
    const OTHER_FILES: &[&str] = &["mod", "inside", "starttls"];

    #[test]
    fn every_file_of_the_folder_is_listed() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/probe/service");
        let mut files: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap().trim_end_matches(".rs").to_string())
            .filter(|n| !OTHER_FILES.contains(&n.as_str()))
            .collect();
        files.push("tls".into());
        files.sort();
        let mut names: Vec<&str> = PROTOCOLS.iter().map(|p| p.name).collect();
        names.sort_unstable();
        assert_eq!(files, names);
    }

    #[test]
    fn every_protocol_can_be_found() {
        for protocol in PROTOCOLS {
            assert_eq!(protocol.greets.is_some(), protocol.talk.is_some(), "{}", protocol.name);
            assert!(protocol.ask.is_some() || protocol.greets.is_some() || protocol.over_http.is_some(), "{}", protocol.name);
        }
        for upgrade in UPGRADES {
            assert!(PROTOCOLS.iter().any(|p| upgrade.name() == p.name || upgrade.name() == format!("{}-server", p.name)), "{upgrade:?}");
        }
    }

    #[test]
    fn greetings_are_told_apart() {
        let cases: &[(&[u8], &str)] = &[
            (b"SSH-2.0-OpenSSH_9.2\r\n", "ssh"),
            (b"\xff\xfd\x18\xff\xfd\x20", "telnet"),
            (b"* OK ready\r\n", "imap"),
            (b"+OK ready\r\n", "pop3"),
            (b"220 (vsFTPd 3.0.3)\r\n", "ftp"),
            (b"220 mail.example ESMTP\r\n", "smtp"),
            (b"-DENIED Redis is running in protected mode\r\n", "redis"),
            (b"HTTP/1.1 400 Bad Request\r\n", "http"),
            (b"@RSYNCD: 31.0\n", "rsync"),
            (b"RFB 003.008\n", "vnc"),
        ];
        for (first, name) in cases {
            assert_eq!(greeter(first).map(|p| p.name), Some(*name));
        }
        assert!(greeter(b"hello\r\n").is_none());
    }
}
