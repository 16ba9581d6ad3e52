//! Questions to the kernel over netlink(7): dumps alone, bounded in bytes and time.
//!
//! ```text
//! message    length u32 | type u16 | flags u16 | sequence u32 | port u32 | payload, padded to 4      (host's byte order)
//! attribute  length u16 | type u16 (0x8000: nested, 0x4000: network's byte order) | value, padded to 4
//! ```

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::netlink::{self, SocketAddrNetlink};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{self, AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType};

/// Longest that one dump takes.
const DUMP_TIME: Duration = Duration::from_secs(20);
/// Most bytes that one dump may hold.
const DUMP_BYTES: usize = 64 << 20;
/// Most messages that one dump may hold.
const MESSAGES_LIMIT: usize = 1_000_000;
/// Bytes of one reading; the kernel fills at most 32 KiB of a dump at once.
const CHUNK: usize = 64 << 10;
/// `struct nlmsghdr`.
const HEADER: usize = 16;

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLM_F_REQUEST: u16 = 0x01;
const NLM_F_DUMP_INTR: u16 = 0x10;
const NLM_F_DUMP: u16 = 0x300;

/// What netlink speaks about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Area {
    /// Links, addresses and routes (rtnetlink(7)).
    Route,
    /// The packet filter.
    Netfilter,
    /// Sockets (sock_diag(7)).
    Sockets,
}

impl Area {
    const fn protocol(self) -> Option<Protocol> {
        match self {
            // Number 0, which is no protocol of its own for rustix.
            Self::Route => None,
            Self::Netfilter => Some(netlink::NETFILTER),
            Self::Sockets => Some(netlink::SOCK_DIAG),
        }
    }
}

/// Why the kernel gave no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NetlinkError {
    /// The kernel refused.
    #[error("{0}")]
    Kernel(Errno),
    /// What was asked changed while it was listed.
    #[error("what was listed changed meanwhile")]
    Changed,
    /// More than the limit.
    #[error("the answer is larger than the limit")]
    TooLarge,
    /// No end in time.
    #[error("the kernel did not answer in time")]
    Late,
    /// Not the documented format.
    #[error("the answer is not in the documented format")]
    Malformed,
}

impl NetlinkError {
    /// Whether a right is missing.
    pub const fn is_denied(self) -> bool {
        matches!(self, Self::Kernel(Errno::PERM | Errno::ACCESS))
    }

    /// Whether this kernel has nothing of the kind.
    pub const fn is_unsupported(self) -> bool {
        matches!(self, Self::Kernel(Errno::PROTONOSUPPORT | Errno::AFNOSUPPORT | Errno::OPNOTSUPP | Errno::INVAL | Errno::NOENT | Errno::NOTUNIQ))
    }
}

impl From<Errno> for NetlinkError {
    fn from(errno: Errno) -> Self {
        match errno {
            Errno::AGAIN | Errno::TIMEDOUT => Self::Late,
            other => Self::Kernel(other),
        }
    }
}

/// One message of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its type.
    pub kind: u16,
    /// What follows the header.
    pub payload: Vec<u8>,
}

/// An open socket.
#[derive(Debug)]
pub struct Netlink {
    socket: OwnedFd,
    sequence: u32,
}

impl Netlink {
    /// Opens one; nothing is asked yet.
    pub fn open(area: Area) -> Result<Self, NetlinkError> {
        let socket = net::socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, area.protocol())?;
        net::bind(&socket, &SocketAddrNetlink::new(0, 0))?;
        Ok(Self { socket, sequence: 0 })
    }

    /// Everything of one kind, asked with this payload.
    pub fn dump(&mut self, kind: u16, payload: &[u8]) -> Result<Vec<Message>, NetlinkError> {
        self.ask(kind, NLM_F_REQUEST | NLM_F_DUMP, payload, false)
    }

    /// One message.
    pub fn one(&mut self, kind: u16, payload: &[u8]) -> Result<Message, NetlinkError> {
        self.ask(kind, NLM_F_REQUEST, payload, true)?.into_iter().next().ok_or(NetlinkError::Malformed)
    }

    fn ask(&mut self, kind: u16, flags: u16, payload: &[u8], one: bool) -> Result<Vec<Message>, NetlinkError> {
        self.sequence = self.sequence.wrapping_add(1);
        let length = u32::try_from(HEADER + payload.len()).map_err(|_| NetlinkError::TooLarge)?;
        let mut request = Vec::with_capacity(HEADER + payload.len());
        request.extend_from_slice(&length.to_ne_bytes());
        request.extend_from_slice(&kind.to_ne_bytes());
        request.extend_from_slice(&flags.to_ne_bytes());
        request.extend_from_slice(&self.sequence.to_ne_bytes());
        request.extend_from_slice(&0_u32.to_ne_bytes());
        request.extend_from_slice(payload);
        net::sendto(&self.socket, &request, SendFlags::empty(), &SocketAddrNetlink::new(0, 0))?;
        let until = Instant::now() + DUMP_TIME;
        let mut answer = Answer { sequence: self.sequence, one, ..Answer::default() };
        let mut chunk = vec![0_u8; CHUNK];
        while !answer.done {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(NetlinkError::Late);
            }
            set_socket_timeout(&self.socket, Timeout::Recv, Some(left))?;
            let (_, length, from) = match net::recvfrom(&self.socket, chunk.as_mut_slice(), RecvFlags::TRUNC) {
                Ok(read) => read,
                Err(Errno::INTR) => continue,
                Err(e) => return Err(e.into()),
            };
            // Only the kernel has port 0.
            if from.and_then(|a| SocketAddrNetlink::try_from(a).ok()).is_none_or(|a| a.pid() != 0) {
                continue;
            }
            answer.take(chunk.get(..length).ok_or(NetlinkError::TooLarge)?)?;
        }
        if answer.changed { Err(NetlinkError::Changed) } else { Ok(answer.messages) }
    }
}

/// An answer as it comes.
#[derive(Debug, Default)]
struct Answer {
    sequence: u32,
    one: bool,
    bytes: usize,
    messages: Vec<Message>,
    changed: bool,
    done: bool,
}

impl Answer {
    /// The messages of one reading.
    fn take(&mut self, mut rest: &[u8]) -> Result<(), NetlinkError> {
        self.bytes += rest.len();
        if self.bytes > DUMP_BYTES || self.messages.len() > MESSAGES_LIMIT {
            return Err(NetlinkError::TooLarge);
        }
        while !rest.is_empty() && !self.done {
            let length = number(rest, 0).ok_or(NetlinkError::Malformed)? as usize;
            let kind = short(rest, 4).ok_or(NetlinkError::Malformed)?;
            let flags = short(rest, 6).ok_or(NetlinkError::Malformed)?;
            let payload = rest.get(HEADER..length).ok_or(NetlinkError::Malformed)?;
            if number(rest, 8) == Some(self.sequence) {
                self.changed |= flags & NLM_F_DUMP_INTR != 0;
                match kind {
                    NLMSG_ERROR | NLMSG_DONE => {
                        let code = number(payload, 0).unwrap_or_default().cast_signed();
                        if code != 0 {
                            return Err(error_of(code));
                        }
                        self.done = true;
                    }
                    _ => {
                        self.messages.push(Message { kind, payload: payload.to_vec() });
                        self.done = self.one;
                    }
                }
            }
            rest = rest.get(padded(length)..).unwrap_or_default();
        }
        Ok(())
    }
}

/// The kernel's `-errno`.
fn error_of(code: i32) -> NetlinkError {
    match Errno::from_raw_os_error(code.saturating_neg()) {
        Errno::INTR | Errno::AGAIN => NetlinkError::Changed,
        other => NetlinkError::Kernel(other),
    }
}

const fn padded(length: usize) -> usize {
    length.saturating_add(3) & !3
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

fn short(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at.checked_add(2)?)?.try_into().ok()?))
}

/// Attributes of a message, or of an attribute that nests them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Attributes<'a>(&'a [u8]);

impl<'a> Attributes<'a> {
    /// Those in these bytes; what is cut off is left out.
    pub const fn of(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Type and value of each.
    pub fn iter(self) -> impl Iterator<Item = (u16, &'a [u8])> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let length = usize::from(short(rest, 0)?);
            let kind = short(rest, 2)? & 0x3fff;
            let value = rest.get(4..length)?;
            rest = rest.get(padded(length)..).unwrap_or_default();
            Some((kind, value))
        })
    }

    /// Value of the first one of this type.
    pub fn get(self, kind: u16) -> Option<&'a [u8]> {
        self.iter().find(|(k, _)| *k == kind).map(|(_, value)| value)
    }

    /// The attributes nested in this one; none when it is missing.
    pub fn nested(self, kind: u16) -> Self {
        Self(self.get(kind).unwrap_or_default())
    }

    /// A number in the network's byte order.
    pub fn big(self, kind: u16) -> Option<u32> {
        Some(u32::from_be_bytes(self.get(kind)?.get(..4)?.try_into().ok()?))
    }

    /// A long number in the network's byte order.
    pub fn big_long(self, kind: u16) -> Option<u64> {
        Some(u64::from_be_bytes(self.get(kind)?.get(..8)?.try_into().ok()?))
    }

    /// A number in the host's byte order.
    pub fn native(self, kind: u16) -> Option<u32> {
        number(self.get(kind)?, 0)
    }

    /// Text up to its end or the first NUL.
    pub fn text(self, kind: u16) -> Option<String> {
        let bytes = self.get(kind)?;
        let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
        Some(String::from_utf8_lossy(bytes.get(..end).unwrap_or_default()).into_owned())
    }
}

/// Appends an attribute that holds text, NUL at its end.
pub fn push_text(out: &mut Vec<u8>, kind: u16, text: &str) {
    let length = u16::try_from(4 + text.len() + 1).unwrap_or(u16::MAX);
    out.extend_from_slice(&length.to_ne_bytes());
    out.extend_from_slice(&kind.to_ne_bytes());
    out.extend_from_slice(text.as_bytes());
    out.push(0);
    out.resize(padded(out.len()), 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u16, flags: u16, sequence: u32, payload: &[u8]) -> Vec<u8> {
        let mut out = u32::try_from(HEADER + payload.len()).unwrap().to_ne_bytes().to_vec();
        out.extend(kind.to_ne_bytes());
        out.extend(flags.to_ne_bytes());
        out.extend(sequence.to_ne_bytes());
        out.extend([0; 4]);
        out.extend(payload);
        out.resize(padded(out.len()), 0);
        out
    }

    #[test]
    fn answers_end_and_tell_errors() {
        let mut answer = Answer { sequence: 7, ..Answer::default() };
        let mut bytes = message(20, 2, 7, b"abc");
        bytes.extend(message(20, 2, 6, b"another question's"));
        bytes.extend(message(NLMSG_DONE, 2 | NLM_F_DUMP_INTR, 7, &[0; 4]));
        answer.take(&bytes).unwrap();
        assert_eq!((answer.messages.len(), answer.changed, answer.done), (1, true, true));
        let refused = message(NLMSG_ERROR, 0, 7, &(-1_i32).to_ne_bytes());
        let error = Answer { sequence: 7, ..Answer::default() }.take(&refused).unwrap_err();
        assert!(error.is_denied());
        for end in 1..bytes.len() {
            let _ = Answer { sequence: 7, ..Answer::default() }.take(&bytes[..end]);
        }
    }

    #[test]
    fn attributes_nest_and_end() {
        let mut bytes = Vec::new();
        push_text(&mut bytes, 1, "eth0");
        push_text(&mut bytes, 0x8002, "x");
        let attributes = Attributes::of(&bytes);
        assert_eq!((attributes.text(1).unwrap().as_str(), attributes.get(2).unwrap()), ("eth0", &b"x\0"[..]));
        assert_eq!((attributes.get(3), attributes.nested(3).iter().count()), (None, 0));
        for end in 0..bytes.len() {
            let _ = Attributes::of(&bytes[..end]).iter().count();
        }
        assert_eq!(Attributes::of(&[0, 0, 0, 0]).iter().count(), 0, "a length of nothing does not repeat itself");
    }

    #[test]
    fn links_of_this_machine_are_told() {
        let mut socket = Netlink::open(Area::Route).unwrap();
        // RTM_GETLINK with an empty struct ifinfomsg.
        assert!(socket.dump(18, &[0; 16]).unwrap().iter().any(|m| Attributes::of(m.payload.get(16..).unwrap()).text(3).as_deref() == Some("lo")));
    }
}
