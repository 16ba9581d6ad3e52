//! Connections that programs of this machine hold to others, as they stand while it is scanned.
//!
//! Nothing is read from them and nobody is asked: the kernel tells both ends and whether it encrypts
//! itself (kernel TLS). A port claims a protocol, it does not prove one.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Document, HostFamily};
use crate::host::sock_diag::{self, DiagSocket};
use crate::host::{Host, manager, processes, sockets};
use crate::model::fact::Source;
use crate::model::gap::{Gap, Gaps, reason};

/// Established connections that this machine opened.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Connections {
    /// By subject; connections of one program to one port of one peer are one. A moment's picture, so all of it is volatile.
    #[schemars(extend("x-volatile" = true))]
    pub items: Vec<Connection>,
}

impl Document for Connections {
    const NAME: &'static str = "connections";
    const TITLE: &'static str = "Outbound connections with program and peer, at the moment of the scan";
}

/// Connections of one program to one port of one peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Connection {
    /// Program and peer, such as `/usr/sbin/chronyd to 192.0.2.1:123/udp`.
    #[schemars(extend("x-personal" = true))]
    pub subject: String,
    /// `tcp` or `udp` (connected sockets alone: one that sends to many has no peer).
    pub transport: String,
    /// Address of the peer.
    #[schemars(extend("x-personal" = true))]
    pub peer: String,
    /// Its port.
    pub port: u32,
    /// `loopback`, `link`, `private` (RFC 1918, RFC 4193, RFC 6598) or `public`.
    pub scope: String,
    /// Path of the running file; empty when it can't be read, or no process holds the socket.
    pub executable: String,
    /// Package of it; empty when none owns it.
    pub package: String,
    /// Owner of the socket.
    pub uid: u32,
    /// How many there are.
    pub count: u32,
    /// `kernel` (the kernel itself encrypts, for all of them) or `unknown`: what the program does within its bytes can't be seen.
    pub tls: String,
    /// Protocol that the port is registered for, such as `https`, `postgresql`; empty for others. A claim, no proof.
    pub claimed: String,
    /// What the registered protocol does: `always` encrypted, `upgrade` (plaintext until both agree), `never`, or empty where nothing is claimed.
    pub claimed_tls: String,
    /// Kernel's socket table.
    pub source: Source,
}

/// Most groups that are told.
const ITEMS_LIMIT: usize = 5_000;

/// Ports, what they are registered for (IANA service names, 2026-01), and what that does about encryption.
const CLAIMS: &[(u16, &str, &str)] = &[
    (21, "ftp", "upgrade"),
    (22, "ssh", "always"),
    (23, "telnet", "never"),
    (25, "smtp", "upgrade"),
    (80, "http", "never"),
    (110, "pop3", "upgrade"),
    (143, "imap", "upgrade"),
    (389, "ldap", "upgrade"),
    (443, "https", "always"),
    (465, "submissions", "always"),
    (512, "exec", "never"),
    (513, "login", "never"),
    (514, "shell", "never"),
    (587, "submission", "upgrade"),
    (636, "ldaps", "always"),
    (853, "domain-s", "always"),
    (993, "imaps", "always"),
    (995, "pop3s", "always"),
    (1433, "ms-sql-s", "upgrade"),
    (1521, "oracle", "upgrade"),
    (3306, "mysql", "upgrade"),
    (5432, "postgresql", "upgrade"),
    (5671, "amqps", "always"),
    (5672, "amqp", "upgrade"),
    (6379, "redis", "upgrade"),
    (6514, "syslog-tls", "always"),
    (8883, "secure-mqtt", "always"),
    (9200, "elasticsearch", "upgrade"),
    (11211, "memcache", "upgrade"),
    (27017, "mongodb", "upgrade"),
];

impl HostFamily for Connections {
    fn gather(host: &Host, gaps: &mut Gaps) -> Option<Self> {
        if !host.is_this_machine() {
            gaps.note(Self::NAME, "", "", reason::NEEDS_LIVE_KERNEL, "a root folder has no connections", "Scan the machine itself.");
            return None;
        }
        let found = match (sock_diag::connected(), sock_diag::listening()) {
            (Ok(connected), Ok(listening)) => outbound(connected, &listening),
            (Err(e), _) | (_, Err(e)) => {
                gaps.note(
                    Self::NAME,
                    "",
                    "",
                    reason::READ_FAILED,
                    format!("the kernel's sockets can't be listed: {e}"),
                    "Load the modules tcp_diag and udp_diag.",
                );
                return None;
            }
        };
        let inodes: BTreeSet<u64> = found.iter().map(|s| s.inode).filter(|i| *i != 0).collect();
        let holders = sockets::holders(host, &inodes);
        for error in &holders.errors {
            gaps.add(error.to_gap(Self::NAME, "items.executable", ""));
        }
        let mut groups: BTreeMap<String, Connection> = BTreeMap::new();
        let mut pids: BTreeMap<String, u32> = BTreeMap::new();
        for socket in found {
            let pid = holders.by_inode.get(&socket.inode).copied();
            let executable = pid.and_then(|pid| processes::executable(host, pid).ok().flatten()).map(|(path, _)| path).unwrap_or_default();
            let item = connection(&socket, executable);
            if let Some(pid) = pid.filter(|pid| sockets::runs_in_host_root(host, *pid)) {
                pids.insert(item.executable.clone(), pid);
            }
            if groups.len() == ITEMS_LIMIT && !groups.contains_key(&item.subject) {
                gaps.note(Self::NAME, "items", "", reason::LIMIT_REACHED, format!("more than {ITEMS_LIMIT} peers"), "");
                break;
            }
            groups.entry(item.subject.clone()).and_modify(|i| join(i, &item)).or_insert(item);
        }
        let mut items: Vec<Connection> = groups.into_values().collect();
        if holders.denied {
            for item in items.iter().filter(|i| i.executable.is_empty()) {
                let remedy = "Run the scan as root or grant CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH.";
                gaps.note(Self::NAME, "items.executable", &item.subject, reason::PERMISSION_DENIED, "the process that holds it can't be seen", remedy);
            }
        }
        name_packages(host, gaps, &mut items, &pids);
        Some(Self { items })
    }
}

/// Without those that came in: their own end is a listener's.
fn outbound(connected: Vec<DiagSocket>, listening: &[DiagSocket]) -> Vec<DiagSocket> {
    let takes = |l: &DiagSocket, own: SocketAddr| l.local.port() == own.port() && (l.local.ip().is_unspecified() || plain(l.local.ip()) == plain(own.ip()));
    let came_in = |s: &DiagSocket| listening.iter().any(|l| l.transport == s.transport && takes(l, s.local));
    connected.into_iter().filter(|s| !came_in(s)).collect()
}

fn connection(socket: &DiagSocket, executable: String) -> Connection {
    let peer = plain(socket.peer.ip());
    let claim = CLAIMS.iter().find(|(port, ..)| *port == socket.peer.port() && socket.transport == "tcp");
    let program = if executable.is_empty() { format!("user {}", socket.uid) } else { executable.clone() };
    Connection {
        subject: format!("{program} to {}/{}", SocketAddr::new(peer, socket.peer.port()), socket.transport),
        transport: socket.transport.into(),
        peer: peer.to_string(),
        port: socket.peer.port().into(),
        scope: scope(peer).into(),
        executable,
        package: String::new(),
        uid: socket.uid,
        count: 1,
        tls: if socket.upper == "tls" { "kernel" } else { "unknown" }.into(),
        claimed: claim.map_or("", |c| c.1).into(),
        claimed_tls: claim.map_or("", |c| c.2).into(),
        source: Source { place: format!("kernel sockets {}", socket.transport), line: 0, directive: String::new() },
    }
}

fn join(into: &mut Connection, other: &Connection) {
    into.count += 1;
    into.uid = into.uid.min(other.uid);
    if into.tls != other.tls {
        into.tls = "unknown".into();
    }
}

fn plain(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(a) => a.to_ipv4_mapped().map_or(address, IpAddr::V4),
        IpAddr::V4(_) => address,
    }
}

fn scope(address: IpAddr) -> &'static str {
    match address {
        a if a.is_loopback() => "loopback",
        IpAddr::V4(a) if a.is_link_local() => "link",
        // RFC 6598: 100.64.0.0/10.
        IpAddr::V4(a) if a.is_private() || (u32::from(a) >> 22 == 0x6440_0000 >> 22) => "private",
        IpAddr::V6(a) if a.is_unicast_link_local() => "link",
        IpAddr::V6(a) if a.is_unique_local() => "private",
        _ => "public",
    }
}

fn name_packages(host: &Host, gaps: &mut Gaps, items: &mut [Connection], ours: &BTreeMap<String, u32>) {
    let paths: BTreeSet<String> = ours.keys().filter(|p| !p.is_empty()).cloned().collect();
    let found = manager::owners(host, &paths).unwrap_or_else(|gap| {
        gaps.add(Gap { family: Connections::NAME.into(), path: "items.package".into(), ..*gap });
        BTreeMap::new()
    });
    for item in items {
        if let Some(package) = found.get(&item.executable) {
            item.package.clone_from(package);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn own_connection_is_outbound_and_its_other_end_is_not() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let _kept = [TcpStream::connect(address).unwrap(), TcpStream::connect(address).unwrap()];
        let _accepted = [listener.accept().unwrap(), listener.accept().unwrap()];
        let mut gaps = Gaps::new();
        let facts = Connections::gather(&Host::live().unwrap(), &mut gaps).unwrap();
        let own = std::env::current_exe().unwrap();
        let found: Vec<&Connection> = facts.items.iter().filter(|i| i.subject.ends_with(&format!("{address}/tcp"))).collect();
        let [item] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!((item.executable.as_str(), item.count, item.scope.as_str(), item.tls.as_str()), (own.to_str().unwrap(), 2, "loopback", "unknown"));
        // The accepted ends speak to the clients' ports: those are no listeners, but they are no peers either.
        assert!(!facts.items.iter().any(|i| i.port == u32::from(_kept[0].local_addr().unwrap().port()) && i.executable == own.to_str().unwrap()));
    }

    #[test]
    fn scopes() {
        for (address, expected) in [("100.64.0.1", "private"), ("100.128.0.1", "public"), ("::1", "loopback"), ("fd00::1", "private"), ("192.0.2.1", "public")]
        {
            assert_eq!(scope(address.parse().unwrap()), expected, "{address}");
        }
    }
}
