//! Asks the kernel how it audits (NETLINK_AUDIT, include/uapi/linux/audit.h). Both questions read only and need
//! CAP_AUDIT_CONTROL.
//!
//! ```text
//! head     length u32, type u16, flags u16, sequence u32, port u32                     in the machine's byte order
//! status   mask, enabled, failure, pid, rate limit, backlog limit, lost, backlog, …    u32 each
//! rule     flags, action, count u32, mask [64], fields [64], values [64], operators [64], length u32, texts
//! ```

use std::os::fd::OwnedFd;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::netlink::{AUDIT, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, sendto, socket_with};

use super::{Host, ReadError};

/// Longest wait for one message, seconds.
const PATIENCE: i64 = 5;
/// Most messages of one answer: the kernel sends a rule in each.
const MESSAGE_LIMIT: usize = 20_000;
/// Longest message: a rule with all of its texts.
const BUFFER: usize = 64 << 10;
const HEAD: usize = 16;
/// `AUDIT_GET`, `AUDIT_LIST_RULES`.
const GET: u16 = 1000;
const LIST_RULES: u16 = 1013;
/// `NLMSG_ERROR`, `NLMSG_DONE`; `NLM_F_REQUEST | NLM_F_ACK`.
const ERROR: u16 = 2;
const DONE: u16 = 3;
const REQUEST: u16 = 5;
/// What errors are told about.
const PLACE: &str = "netlink audit";

/// How the kernel audits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// 0 off, 1 on, 2 on and locked until the next boot.
    pub enabled: u32,
    /// Process that takes the records; 0: nobody.
    pub pid: u32,
    /// Most records that wait.
    pub backlog_limit: u32,
    /// Records lost since the boot.
    pub lost: u32,
}

/// One rule of the kernel, as far as it tells what is watched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    /// Whether it makes records (`always`) at the end of system calls.
    pub records: bool,
    /// Path of a watch; empty for a rule about system calls alone.
    pub path: String,
    /// Whether everything below the path is meant.
    pub recursive: bool,
    /// Whether writing or changing attributes is among what is recorded.
    pub changes: bool,
    /// Whether other conditions narrow it.
    pub narrowed: bool,
}

/// The state of the kernel's auditing.
pub fn status(host: &Host) -> Result<Status, ReadError> {
    let bodies = ask(host, GET)?;
    let body = bodies.first().ok_or_else(|| malformed("an empty answer"))?;
    let number = |at: usize| word(body, at * 4).ok_or_else(|| malformed("a short status"));
    Ok(Status { enabled: number(1)?, pid: number(3)?, backlog_limit: number(5)?, lost: number(6)? })
}

/// Every rule that is loaded.
pub fn rules(host: &Host) -> Result<Vec<Rule>, ReadError> {
    ask(host, LIST_RULES)?.iter().map(|body| rule(body).ok_or_else(|| malformed("a rule of another form"))).collect()
}

fn malformed(what: &str) -> ReadError {
    ReadError::Io(PLACE.into(), what.into())
}

fn ask(host: &Host, kind: u16) -> Result<Vec<Vec<u8>>, ReadError> {
    if !host.is_this_machine() {
        return Err(malformed("the kernel of another root does not run here"));
    }
    let fail = |e: Errno| match e {
        Errno::PERM | Errno::ACCESS | Errno::CONNREFUSED => ReadError::Denied(PLACE.into()),
        e => ReadError::Io(PLACE.into(), e.to_string()),
    };
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, Some(AUDIT)).map_err(fail)?;
    let mut request = Vec::with_capacity(HEAD);
    request.extend(16_u32.to_ne_bytes());
    request.extend(kind.to_ne_bytes());
    request.extend(REQUEST.to_ne_bytes());
    request.extend(1_u32.to_ne_bytes());
    request.extend(0_u32.to_ne_bytes());
    sendto(&socket, &request, SendFlags::empty(), &SocketAddrNetlink::new(0, 0)).map_err(fail)?;
    let mut out = Vec::new();
    for _ in 0..MESSAGE_LIMIT {
        let datagram = receive(&socket).map_err(fail)?.ok_or_else(|| malformed("no answer in time"))?;
        for (found, body) in messages(&datagram) {
            match found {
                ERROR => match word(body, 0).map(u32::cast_signed) {
                    Some(0) | None => {}
                    Some(code) => return Err(fail(Errno::from_raw_os_error(code.saturating_neg()))),
                },
                DONE => return Ok(out),
                _ if found == kind => out.push(body.to_vec()),
                _ => {}
            }
            if kind == GET && !out.is_empty() {
                return Ok(out);
            }
        }
    }
    Err(ReadError::TooLarge(PLACE.into(), MESSAGE_LIMIT))
}

fn receive(socket: &OwnedFd) -> Result<Option<Vec<u8>>, Errno> {
    let wait = Timespec { tv_sec: PATIENCE, tv_nsec: 0 };
    if poll(&mut [PollFd::new(socket, PollFlags::IN)], Some(&wait))? == 0 {
        return Ok(None);
    }
    let mut buffer = vec![0_u8; BUFFER];
    let (length, _) = recv(socket, buffer.as_mut_slice(), RecvFlags::empty())?;
    buffer.truncate(length);
    Ok(Some(buffer))
}

/// Type and body of each message of a datagram.
fn messages(datagram: &[u8]) -> Vec<(u16, &[u8])> {
    let mut out = Vec::new();
    let mut rest = datagram;
    while let Some(length) = word(rest, 0).and_then(|l| usize::try_from(l).ok()).filter(|l| *l >= HEAD) {
        let Some(kind) = rest.get(4..6).and_then(|b| b.first_chunk()).map(|b| u16::from_ne_bytes(*b)) else { break };
        // The kernel counts some bodies of this family without the head.
        out.push((kind, rest.get(HEAD..length.min(rest.len())).unwrap_or_default()));
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    out
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..).and_then(|b| b.first_chunk()).map(|b| u32::from_ne_bytes(*b))
}

fn rule(body: &[u8]) -> Option<Rule> {
    /// `AUDIT_FILTER_EXIT`, `AUDIT_ALWAYS`.
    const EXIT: u32 = 4;
    const ALWAYS: u32 = 2;
    const PLACES: usize = 64;
    /// Fields whose value is a text: watch, folder, key, executable, and those of security modules.
    const WATCH: u32 = 105;
    const PERMISSIONS: u32 = 106;
    const FOLDER: u32 = 107;
    const KEY: u32 = 210;
    const TEXTS: [u32; 14] = [13, 14, 15, 16, 17, 19, 20, 21, 22, 23, WATCH, FOLDER, KEY, 112];
    /// `AUDIT_PERM_WRITE | AUDIT_PERM_ATTR`.
    const CHANGES: u32 = 2 | 8;
    /// Both word sizes are watched by rules of their own.
    const ARCHITECTURE: u32 = 11;
    let (fields, values) = (12 + PLACES * 4, 12 + PLACES * 8);
    let mut at = 12 + PLACES * 16 + 4;
    let mut out = Rule { records: word(body, 0)? & 0x7f == EXIT && word(body, 4)? == ALWAYS, changes: true, ..Rule::default() };
    // The last word holds classes of calls, which the kernel takes out.
    let every_call = (0..PLACES - 1).all(|index| word(body, 12 + index * 4) == Some(u32::MAX));
    out.narrowed = !every_call;
    let count = usize::try_from(word(body, 8)?).ok().filter(|c| *c <= PLACES)?;
    for index in 0..count {
        let (field, value) = (word(body, fields + index * 4)?, word(body, values + index * 4)?);
        let mut text = String::new();
        if TEXTS.contains(&field) {
            let length = usize::try_from(value).ok()?;
            text = String::from_utf8_lossy(body.get(at..at.checked_add(length)?)?).into_owned();
            at += length;
        }
        match field {
            WATCH | FOLDER => {
                out.path = text;
                out.recursive = field == FOLDER;
            }
            PERMISSIONS => out.changes = value & CHANGES != 0,
            KEY | ARCHITECTURE => {}
            _ => out.narrowed = true,
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(flags: u32, action: u32, fields: &[(u32, u32)], texts: &str) -> Vec<u8> {
        let mut words = vec![flags, action, u32::try_from(fields.len()).unwrap()];
        words.extend([u32::MAX; 64]);
        for part in [0, 1] {
            words.extend((0..64).map(|i| fields.get(i).map_or(0, |f| if part == 0 { f.0 } else { f.1 })));
        }
        words.extend([0; 64]);
        words.push(u32::try_from(texts.len()).unwrap());
        let mut out: Vec<u8> = words.iter().flat_map(|w| w.to_ne_bytes()).collect();
        out.extend(texts.bytes());
        out
    }

    #[test]
    fn watches_are_told_from_system_calls() {
        let watch = rule(&made(4, 2, &[(105, 11), (106, 10), (210, 3)], "/etc/passwdkey")).unwrap();
        assert_eq!(watch, Rule { records: true, path: "/etc/passwd".into(), recursive: false, changes: true, narrowed: false });
        let reads = rule(&made(4, 2, &[(107, 4), (106, 4), (1, 0)], "/etc")).unwrap();
        assert_eq!(reads, Rule { records: true, path: "/etc".into(), recursive: true, changes: false, narrowed: true });
        assert!(!rule(&made(4, 0, &[], "")).unwrap().records);
        let whole = made(4, 2, &[(105, 11)], "/etc/passwd");
        for end in 0..whole.len() {
            let _ = rule(&whole[..end]);
            let _ = messages(&whole[..end]);
        }
        assert_eq!(rule(&made(4, 2, &[(105, u32::MAX)], "x")), None);
    }

    #[test]
    fn another_root_has_no_kernel() {
        let (_root, host) = crate::host::testing::rooted(&[]);
        assert!(status(&host).is_err());
    }
}
