//! The kernel's socket tables and the processes that hold their sockets (proc_net(5), proc_pid_fd(5)).

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{FileKind, Host, ReadError};

/// Largest socket table that is read, bytes: 200,000 connections.
const TABLE_LIMIT: usize = 64 << 20;
/// Most file descriptors looked at over all processes.
pub const DESCRIPTOR_LIMIT: usize = 2_000_000;
/// TCP state LISTEN (include/net/tcp_states.h).
const LISTEN: &str = "0A";
/// What an unconnected UDP socket shows: CLOSE (7).
const CLOSE: &str = "07";

/// A socket that waits for others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Socket {
    /// Bound address.
    pub address: IpAddr,
    /// Bound port.
    pub port: u16,
    /// Owner.
    pub uid: u32,
    /// Inode of the socket.
    pub inode: u64,
    /// Line of the table, from 1.
    pub line: usize,
}

/// The waiting sockets of one table: listening ones for TCP, unconnected ones for UDP.
pub fn read_table(host: &Host, path: &str, tcp: bool) -> Result<Vec<Socket>, ReadError> {
    let text = host.read_text(path, TABLE_LIMIT)?;
    let state = if tcp { LISTEN } else { CLOSE };
    let mut out = Vec::new();
    for (i, line) in text.lines().enumerate().skip(1) {
        match parse_line(line, state, i + 1) {
            Some(Some(socket)) => out.push(socket),
            Some(None) => {}
            None => return Err(ReadError::Io(path.into(), format!("line {} is not a socket", i + 1))),
        }
    }
    Ok(out)
}

/// `None`: not a line of the table; `Some(None)`: a socket in another state.
fn parse_line(line: &str, state: &str, number: usize) -> Option<Option<Socket>> {
    let mut words = line.split_whitespace();
    let (_, local, _, found) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let (address, port) = local.split_once(':')?;
    let (address, port) = (parse_address(address)?, u16::from_str_radix(port, 16).ok()?);
    // tx:rx, tr:when, retrnsmt, then uid, timeout, inode.
    let uid = words.nth(3)?.parse().ok()?;
    let inode = words.nth(1)?.parse().ok()?;
    Some((found == state && port != 0).then_some(Socket { address, port, uid, inode, line: number }))
}

/// Words of 32 bits in the order of this machine's memory.
fn parse_address(text: &str) -> Option<IpAddr> {
    let word = |at: usize| u32::from_str_radix(text.get(at..at + 8)?, 16).ok().map(u32::to_ne_bytes);
    match text.len() {
        8 => Some(IpAddr::V4(Ipv4Addr::from(word(0)?))),
        32 => {
            let mut bytes = [0; 16];
            for (i, chunk) in bytes.chunks_exact_mut(4).enumerate() {
                chunk.copy_from_slice(&word(i * 8)?);
            }
            Some(IpAddr::V6(Ipv6Addr::from(bytes)))
        }
        _ => None,
    }
}

/// Who holds which socket.
#[derive(Debug, Default)]
pub struct Holders {
    /// Socket inode -> process: the lowest id, but process 1 only when no other holds it, too
    /// (it opens sockets for services).
    pub by_inode: BTreeMap<u64, u32>,
    /// Whether some process's descriptors could not be read.
    pub denied: bool,
    /// What failed otherwise.
    pub errors: Vec<ReadError>,
}

/// Looks through `/proc/PID/fd` until every inode has a holder.
pub fn holders(host: &Host, inodes: &BTreeSet<u64>) -> Holders {
    let mut out = Holders::default();
    if inodes.is_empty() {
        return out;
    }
    let mut pids: Vec<u32> = match host.list("/proc") {
        Ok(entries) => entries.iter().filter(|e| e.kind == FileKind::Folder).filter_map(|e| e.name.parse().ok()).collect(),
        Err(e) => {
            out.errors.push(e);
            return out;
        }
    };
    pids.sort_by_key(|&pid| (pid == 1, pid));
    let mut left = DESCRIPTOR_LIMIT;
    for pid in pids {
        if out.by_inode.len() == inodes.len() {
            break;
        }
        let folder = format!("/proc/{pid}/fd");
        let descriptors = match host.list(&folder) {
            Ok(entries) => entries,
            Err(ReadError::Denied(_)) => {
                out.denied = true;
                continue;
            }
            // It ended meanwhile: ENOENT when opening, ESRCH when reading.
            Err(ReadError::NotFound(_)) => continue,
            Err(e) => {
                if host.exists(&folder).unwrap_or(true) {
                    out.errors.push(e);
                }
                continue;
            }
        };
        for descriptor in descriptors {
            left = left.saturating_sub(1);
            if left == 0 {
                out.errors.push(ReadError::TooLarge("/proc/PID/fd".into(), DESCRIPTOR_LIMIT));
                return out;
            }
            let inode = match host.read_link(&format!("{folder}/{}", descriptor.name)) {
                Ok(target) => target.strip_prefix("socket:[").and_then(|t| t.strip_suffix(']')).and_then(|t| t.parse().ok()),
                Err(ReadError::Denied(_)) => {
                    out.denied = true;
                    break;
                }
                Err(_) => None,
            };
            if let Some(inode) = inode.filter(|i| inodes.contains(i)) {
                out.by_inode.entry(inode).or_insert(pid);
            }
        }
    }
    out
}

/// Whether a process sees the host's own root folder. A container's `/usr/sbin/nginx` is not the
/// host's; a service with a mount namespace of its own still has the same root. An error when that can't be looked at.
pub fn shares_root(host: &Host, pid: u32) -> Result<bool, ReadError> {
    match (host.stat("/")?, host.stat(&format!("/proc/{pid}/root/"))) {
        (own, Ok(its)) => Ok((own.device, own.inode) == (its.device, its.inode)),
        // A recorded tree has no such links, and a process may end meanwhile.
        (_, Err(e)) if e.is_not_found() => Ok(true),
        (_, Err(e)) => Err(e),
    }
}

/// [`shares_root`], and so told.
pub fn runs_in_host_root(host: &Host, pid: u32) -> bool {
    shares_root(host, pid).unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host_with(files: &[(&str, &str)], links: &[(&str, &str)]) -> (tempfile::TempDir, Host) {
        let root = tempfile::tempdir().unwrap();
        let parent = |path: &str| {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            path
        };
        for (path, text) in files {
            std::fs::write(parent(path), text).unwrap();
        }
        for (path, target) in links {
            std::os::unix::fs::symlink(target, parent(path)).unwrap();
        }
        let host = Host::recorded(root.path()).unwrap();
        (root, host)
    }

    const HEAD: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";

    #[test]
    fn only_waiting_sockets() {
        let tcp = format!(
            "{HEAD}   0: 0100007F:0CEA 00000000:0000 0A 00000000:00000000 00:00000000 00000000   101        0 1077 1 0 100 0 0 10 0\n   1: 0100007F:0CEA 0100007F:9999 01 00000000:00000000 00:00000000 00000000   101        0 1078 1 0\n"
        );
        let six = format!(
            "{HEAD}  10: 000080FE00000000FF565802D1B82AFE:0222 00000000000000000000000000000000:0000 07 00000000:00000000 00:00000000 00000000   998        0 5 2 0 0\n"
        );
        let (_root, host) = host_with(&[("proc/net/tcp", &tcp), ("proc/net/udp6", &six), ("proc/net/udp", "x\ny")], &[]);
        // The tables are written in the memory order of little-endian machines.
        let [tcp] = read_table(&host, "/proc/net/tcp", true).unwrap()[..] else { panic!() };
        assert_eq!((tcp.address.to_string().as_str(), tcp.port, tcp.uid, tcp.inode, tcp.line), ("127.0.0.1", 3306, 101, 1077, 2));
        let [udp] = read_table(&host, "/proc/net/udp6", false).unwrap()[..] else { panic!() };
        assert_eq!((udp.address.to_string().as_str(), udp.port), ("fe80::258:56ff:fe2a:b8d1", 546));
        assert!(read_table(&host, "/proc/net/udp", false).unwrap_err().to_string().contains("line 2"));
    }

    #[test]
    fn the_service_is_preferred_to_process_1() {
        let links = [
            ("proc/1/fd/3", "socket:[7]"),
            ("proc/1/fd/4", "socket:[8]"),
            ("proc/20/fd/3", "socket:[7]"),
            ("proc/9/fd/3", "socket:[7]"),
            ("proc/9/fd/4", "/dev/null"),
        ];
        let (_root, host) = host_with(&[("proc/version", "")], &links);
        let found = holders(&host, &BTreeSet::from([7, 8, 9]));
        assert_eq!(found.by_inode, BTreeMap::from([(7, 9), (8, 1)]));
        assert!(!found.denied && found.errors.is_empty());
    }
}
