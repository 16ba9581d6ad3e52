//! TCP and UDP sockets as the kernel tells them over netlink (sock_diag(7)): more than /proc/net says,
//! such as whether an IPv6 socket takes IPv4, and whether the kernel encrypts for it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::netlink::{Area, Attributes, Message, Netlink, NetlinkError};

const SOCK_DIAG_BY_FAMILY: u16 = 20;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
const IPPROTO_TCP: u8 = 6;
const IPPROTO_UDP: u8 = 17;
/// `struct inet_diag_msg`, bytes.
const HEADER: usize = 72;
const INET_DIAG_SKV6ONLY: u16 = 11;
const INET_DIAG_ULP_INFO: u16 = 19;
const INET_ULP_INFO_NAME: u16 = 1;
/// Extensions are asked for by a bit each, `1 << (number - 1)`, of eight: INET_DIAG_INFO (2) brings the upper-layer protocol.
const EXTENSIONS: u8 = 1 << 1;
const TCP_ESTABLISHED: u8 = 1;
/// An unconnected UDP socket.
const CLOSE: u8 = 7;
const TCP_LISTEN: u8 = 10;

/// A socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiagSocket {
    /// `tcp` or `udp`.
    pub transport: &'static str,
    /// State, as in /proc/net/tcp (1: established, 7: unconnected UDP, 10: listening).
    pub state: u8,
    /// Own end.
    pub local: SocketAddr,
    /// The other end; port 0 without one.
    pub peer: SocketAddr,
    /// Owner.
    pub uid: u32,
    /// Inode.
    pub inode: u64,
    /// Whether an IPv6 socket takes no IPv4; `None` when it was not told.
    pub v6only: Option<bool>,
    /// Upper-layer protocol of a TCP socket (`tls`: the kernel encrypts); empty without one.
    pub upper: String,
}

/// Connected TCP and UDP sockets.
pub fn connected() -> Result<Vec<DiagSocket>, NetlinkError> {
    let mut out = read(IPPROTO_TCP, 1 << TCP_ESTABLISHED)?;
    out.extend(read(IPPROTO_UDP, 1 << TCP_ESTABLISHED)?);
    out.retain(|s| s.peer.port() != 0);
    Ok(out)
}

/// Listening TCP and unconnected UDP sockets.
pub fn listening() -> Result<Vec<DiagSocket>, NetlinkError> {
    let mut out = read(IPPROTO_TCP, 1 << TCP_LISTEN)?;
    out.extend(read(IPPROTO_UDP, 1 << CLOSE)?);
    Ok(out)
}

fn read(protocol: u8, states: u32) -> Result<Vec<DiagSocket>, NetlinkError> {
    let mut socket = Netlink::open(Area::Sockets)?;
    let mut out = Vec::new();
    for family in [AF_INET, AF_INET6] {
        // struct inet_diag_req_v2: family, protocol, extensions, padding, states, socket id.
        let mut request = vec![family, protocol, EXTENSIONS, 0];
        request.extend_from_slice(&states.to_ne_bytes());
        request.resize(56, 0);
        let messages = match socket.dump(SOCK_DIAG_BY_FAMILY, &request) {
            // Sockets come and go: a listing that was overtaken is still one.
            Err(NetlinkError::Changed) => socket.dump(SOCK_DIAG_BY_FAMILY, &request)?,
            // A kernel without IPv6.
            Err(e) if family == AF_INET6 && e.is_unsupported() => Vec::new(),
            other => other?,
        };
        out.extend(messages.iter().filter_map(|m| parse(m, protocol)));
    }
    Ok(out)
}

fn parse(message: &Message, protocol: u8) -> Option<DiagSocket> {
    let bytes = message.payload.get(..HEADER)?;
    let family = *bytes.first()?;
    let port = |at: usize| Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?));
    let number = |at: usize| Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    let address = |at: usize| -> Option<IpAddr> {
        Some(match family {
            AF_INET => IpAddr::V4(Ipv4Addr::from(<[u8; 4]>::try_from(bytes.get(at..at + 4)?).ok()?)),
            _ => IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(bytes.get(at..at + 16)?).ok()?)),
        })
    };
    let attributes = Attributes::of(message.payload.get(HEADER..)?);
    Some(DiagSocket {
        transport: if protocol == IPPROTO_TCP { "tcp" } else { "udp" },
        state: *bytes.get(1)?,
        local: SocketAddr::new(address(8)?, port(4)?),
        peer: SocketAddr::new(address(24)?, port(6)?),
        uid: number(64)?,
        inode: u64::from(number(68)?),
        v6only: attributes.get(INET_DIAG_SKV6ONLY).and_then(|v| v.first()).map(|v| *v != 0),
        upper: attributes.nested(INET_DIAG_ULP_INFO).text(INET_ULP_INFO_NAME).unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream, UdpSocket};

    #[test]
    fn own_sockets_are_seen() {
        let listener = TcpListener::bind("[::1]:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let other = UdpSocket::bind("127.0.0.1:0").unwrap();
        udp.connect(other.local_addr().unwrap()).unwrap();
        let found = connected().unwrap();
        let seen = |local: SocketAddr, peer: SocketAddr| found.iter().any(|s| s.local == local && s.peer == peer && s.inode != 0);
        assert!(seen(client.local_addr().unwrap(), client.peer_addr().unwrap()));
        assert!(seen(udp.local_addr().unwrap(), udp.peer_addr().unwrap()));
        let waiting = listening().unwrap();
        let own = waiting.iter().find(|s| s.local == listener.local_addr().unwrap()).unwrap();
        assert_eq!((own.state, own.upper.as_str(), own.v6only.is_some()), (TCP_LISTEN, "", true));
    }

    #[test]
    fn cut_messages_end() {
        let payload = [10_u8; 100];
        for end in 0..payload.len() {
            let _ = parse(&Message { kind: 0, payload: payload[..end].to_vec() }, IPPROTO_TCP);
        }
    }
}
