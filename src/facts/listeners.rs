//! Sockets that wait for others to speak.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Document, HostFamily};
use crate::host::Host;
use crate::host::manager;
use crate::host::sockets::{self, Socket};
use crate::model::fact::Source;
use crate::model::gap::{Gap, Gaps, reason};

/// Every listening TCP socket and bound UDP socket of the host's network namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Listeners {
    /// By protocol, address and port.
    pub items: Vec<Listener>,
}

impl Document for Listeners {
    const NAME: &'static str = "listeners";
    const TITLE: &'static str = "Listening sockets with process, package and bind scope";
}

/// One listening socket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Listener {
    /// `ADDRESS:PORT/tcp`, IPv6 in brackets.
    pub subject: String,
    /// `tcp` or `udp`.
    pub transport: String,
    /// Bound address; `0.0.0.0` or `::` for all.
    pub address: String,
    /// Port.
    pub port: u32,
    /// `loopback`, `link` (link-local), `private` (RFC 1918, RFC 4193), `public`, or `any` (all addresses).
    pub scope: String,
    /// Owner of the socket.
    pub uid: u32,
    /// Process that holds it; `null` with a gap when it can't be read.
    pub process: Option<Process>,
    /// Kernel table it was read from.
    pub source: Source,
}

/// A process that holds a socket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Process {
    /// Process id.
    #[schemars(extend("x-volatile" = true))]
    pub pid: u32,
    /// `comm` of the process.
    pub name: String,
    /// Path of the running file, ` (deleted)` removed.
    pub executable: String,
    /// Whether that file was replaced or removed since the start.
    pub deleted: bool,
    /// Package that owns the file; empty when none does, dpkg's lists can't be read, or the process has a root of its own (a container).
    pub package: String,
}

impl HostFamily for Listeners {
    fn gather(host: &Host, gaps: &mut Gaps) -> Option<Self> {
        if !host.is_live() {
            gaps.note(Self::NAME, "", "", reason::NEEDS_LIVE_KERNEL, "a root folder has no open sockets", "Scan the machine itself.");
            return None;
        }
        let bound = read_tables(host, gaps)?;
        let inodes: BTreeSet<u64> = bound.iter().map(|b| b.socket.inode).collect();
        let holders = sockets::holders(host, &inodes);
        for error in &holders.errors {
            gaps.add(error.to_gap(Self::NAME, "items.process", ""));
        }
        let mut items: BTreeMap<(String, IpAddr, u16), Listener> = BTreeMap::new();
        for Bound { transport, place, socket } in bound {
            let key = (transport.to_string(), socket.address, socket.port);
            // With SO_REUSEPORT several sockets share an address; the lowest process id speaks for them.
            let pid = holders.by_inode.get(&socket.inode).copied();
            let known = items.get(&key).is_some_and(|l| l.process.as_ref().is_some_and(|p| pid.is_none_or(|pid| p.pid <= pid)));
            if known {
                continue;
            }
            let subject = format!("{}/{transport}", SocketAddr::new(socket.address, socket.port));
            let process = pid.and_then(|pid| process(host, gaps, pid, &subject));
            let listener = Listener {
                scope: scope(socket.address).into(),
                transport: transport.into(),
                address: socket.address.to_string(),
                port: u32::from(socket.port),
                uid: socket.uid,
                process,
                source: Source::line(place, socket.line, ""),
                subject,
            };
            items.insert(key, listener);
        }
        let mut items: Vec<Listener> = items.into_values().collect();
        for item in items.iter().filter(|i| i.process.is_none()) {
            unknown_holder(gaps, &item.subject, holders.denied);
        }
        name_packages(host, gaps, &mut items);
        Some(Self { items })
    }
}

/// A socket with its table.
struct Bound {
    transport: &'static str,
    place: &'static str,
    socket: Socket,
}

const TABLES: &[(&str, &str)] = &[("/proc/net/tcp", "tcp"), ("/proc/net/tcp6", "tcp"), ("/proc/net/udp", "udp"), ("/proc/net/udp6", "udp")];

fn read_tables(host: &Host, gaps: &mut Gaps) -> Option<Vec<Bound>> {
    let mut bound = Vec::new();
    let mut read = 0;
    for &(place, transport) in TABLES {
        match sockets::read_table(host, place, transport == "tcp") {
            Ok(sockets) => {
                read += 1;
                bound.extend(sockets.into_iter().map(|socket| Bound { transport, place, socket }));
            }
            // A kernel without IPv6 has no table of it.
            Err(e) if e.is_not_found() && place.ends_with('6') => {}
            Err(e) => gaps.add(e.to_gap(Listeners::NAME, "items", "")),
        }
    }
    (read > 0).then_some(bound)
}

fn unknown_holder(gaps: &mut Gaps, subject: &str, denied: bool) {
    if denied {
        let detail = format!("the process that holds {subject} is not among those whose descriptors the scan may read");
        gaps.note(
            Listeners::NAME,
            "items.process",
            subject,
            reason::PERMISSION_DENIED,
            detail,
            "Run the scan as root or grant CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH.",
        );
    } else {
        let detail = format!("no visible process holds {subject}: the kernel itself (NFS, WireGuard) or another process id namespace");
        gaps.note(Listeners::NAME, "items.process", subject, reason::MISSING, detail, "");
    }
}

fn process(host: &Host, gaps: &mut Gaps, pid: u32, subject: &str) -> Option<Process> {
    let name = match host.read_text(&format!("/proc/{pid}/comm"), 4096) {
        Ok(name) => name.trim_end_matches('\n').to_string(),
        // It ended since its sockets were listed.
        Err(_) => return None,
    };
    let exe = format!("/proc/{pid}/exe");
    let target = match host.read_link(&exe) {
        Ok(target) => target,
        Err(e) => {
            gaps.add(e.to_gap(Listeners::NAME, "items.process.executable", subject));
            return Some(Process { pid, name, executable: String::new(), deleted: false, package: String::new() });
        }
    };
    let (executable, deleted) = match target.strip_suffix(" (deleted)") {
        Some(path) => (path.to_string(), true),
        None => (target, false),
    };
    Some(Process { pid, name, executable, deleted, package: String::new() })
}

/// Fills in the owning packages of all executables with one search.
fn name_packages(host: &Host, gaps: &mut Gaps, items: &mut [Listener]) {
    let ours = |p: &Process| !p.executable.is_empty() && sockets::runs_in_host_root(host, p.pid);
    let paths: BTreeSet<String> = items.iter().filter_map(|i| i.process.as_ref()).filter(|p| ours(p)).map(|p| p.executable.clone()).collect();
    let found = manager::owners(host, &paths).unwrap_or_else(|gap| {
        gaps.add(Gap { family: Listeners::NAME.into(), path: "items.process.package".into(), ..*gap });
        BTreeMap::new()
    });
    for process in items.iter_mut().filter_map(|i| i.process.as_mut()) {
        if ours(process)
            && let Some(package) = found.get(&process.executable)
        {
            process.package.clone_from(package);
        }
    }
}

/// How far away a peer of this address can be.
fn scope(address: IpAddr) -> &'static str {
    match address {
        IpAddr::V4(a) if a.is_unspecified() => "any",
        IpAddr::V4(a) if a.is_loopback() => "loopback",
        IpAddr::V4(a) if a.is_link_local() => "link",
        IpAddr::V4(a) if a.is_private() => "private",
        IpAddr::V4(_) => "public",
        IpAddr::V6(a) => match a.to_ipv4_mapped() {
            Some(mapped) => scope(IpAddr::V4(mapped)),
            None if a.is_unspecified() => "any",
            None if a.is_loopback() => "loopback",
            None if a.is_unicast_link_local() => "link",
            None if a.is_unique_local() => "private",
            None => "public",
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_of_addresses() {
        for (address, expected) in [
            ("0.0.0.0", "any"),
            ("127.0.0.53", "loopback"),
            ("169.254.1.1", "link"),
            ("172.31.0.1", "private"),
            ("172.32.0.1", "public"),
            ("::", "any"),
            ("::1", "loopback"),
            ("fe80::1", "link"),
            ("fd00::1", "private"),
            ("::ffff:127.0.0.1", "loopback"),
            ("2001:db8::1", "public"),
        ] {
            assert_eq!(scope(address.parse().unwrap()), expected, "{address}");
        }
    }

    #[test]
    fn own_sockets_are_seen_with_process_and_line() {
        let tcp = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let udp = std::net::UdpSocket::bind("[::1]:0").unwrap();
        let mut gaps = Gaps::new();
        let facts = Listeners::gather(&Host::live().unwrap(), &mut gaps).unwrap();
        for (subject, scope) in [(format!("{}/tcp", tcp.local_addr().unwrap()), "loopback"), (format!("{}/udp", udp.local_addr().unwrap()), "loopback")] {
            let item = facts.items.iter().find(|i| i.subject == subject).unwrap_or_else(|| panic!("{subject} is missing"));
            let process = item.process.as_ref().unwrap();
            assert_eq!((process.pid, item.scope.as_str()), (std::process::id(), scope));
            assert_eq!(process.executable, std::env::current_exe().unwrap().to_string_lossy());
            assert!(item.source.line > 1 && process.package.is_empty());
        }
        let mut subjects: Vec<&str> = facts.items.iter().map(|i| i.subject.as_str()).collect();
        let all = subjects.len();
        subjects.sort_unstable();
        subjects.dedup();
        assert_eq!(subjects.len(), all);
    }

    #[test]
    fn a_root_folder_has_no_sockets() {
        let root = tempfile::tempdir().unwrap();
        let mut gaps = Gaps::new();
        assert_eq!(Listeners::gather(&Host::rooted(root.path()).unwrap(), &mut gaps), None);
        assert_eq!(gaps.into_sorted()[0].reason, reason::NEEDS_LIVE_KERNEL);
    }
}
