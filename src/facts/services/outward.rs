//! Where others reach the sockets of this host that are bound to all addresses.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use crate::facts::listeners::Listener;
use crate::host::Host;

/// Largest table of addresses that is read, bytes.
const TABLE_LIMIT: usize = 1 << 20;

/// Addresses of this host that are not loopback.
#[derive(Debug, Default)]
pub struct Outward {
    v4: Option<Ipv4Addr>,
    v6: Option<Ipv6Addr>,
    /// Link-local addresses, with the number of their interface.
    links: Vec<(Ipv6Addr, u32)>,
    /// Ports and transports that are bound to all IPv4 addresses, so that another socket of all IPv6 addresses does not hear IPv4.
    heard: BTreeSet<(u32, String)>,
}

impl Outward {
    /// Looks which addresses reach others. Nothing is sent: connecting a UDP socket only picks a
    /// route (192.0.2.0/24 is TEST-NET-1, RFC 5737; 2001:db8::/32 is for documentation, RFC 3849).
    pub fn find(listeners: &[Listener]) -> Self {
        let from = |bind: IpAddr, to: IpAddr| {
            let socket = std::net::UdpSocket::bind((bind, 0)).ok()?;
            socket.connect((to, 9)).ok()?;
            let ip = socket.local_addr().ok()?.ip();
            (!ip.is_loopback() && !ip.is_unspecified()).then_some(ip)
        };
        let v4 = from(Ipv4Addr::UNSPECIFIED.into(), Ipv4Addr::new(192, 0, 2, 1).into());
        let v6 = from(Ipv6Addr::UNSPECIFIED.into(), Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into());
        let table = Host::live().ok().and_then(|host| host.read_text("/proc/net/if_inet6", TABLE_LIMIT).ok()).unwrap_or_default();
        Self {
            v4: v4.and_then(|ip| if let IpAddr::V4(ip) = ip { Some(ip) } else { None }),
            v6: v6.and_then(|ip| if let IpAddr::V6(ip) = ip { Some(ip) } else { None }),
            links: links(&table),
            heard: listeners.iter().filter(|l| l.address == "0.0.0.0").map(|l| (l.port, l.transport.clone())).collect(),
        }
    }

    /// Where others reach a socket that is bound to all addresses; `None` for another, and where nobody does.
    pub fn of(&self, bound: IpAddr, port: u16, transport: &str) -> Option<SocketAddr> {
        match bound {
            IpAddr::V4(a) if a.is_unspecified() => Some(SocketAddr::from((self.v4?, port))),
            IpAddr::V6(a) if a.is_unspecified() => {
                let wide = self.v6.map(|ip| SocketAddr::from((ip, port)));
                let link = || self.links.first().map(|(ip, interface)| SocketAddrV6::new(*ip, port, 0, *interface).into());
                let hears_v4 = !self.heard.contains(&(u32::from(port), transport.to_string()));
                wide.or_else(link).or_else(|| self.v4.filter(|_| hears_v4).map(|ip| SocketAddr::from((ip, port))))
            }
            _ => None,
        }
    }

    /// Number of the interface that has a link-local address, which can't be reached without.
    pub fn interface_of(&self, address: Ipv6Addr) -> Option<u32> {
        self.links.iter().find(|(ip, _)| *ip == address).map(|(_, interface)| *interface)
    }
}

/// Link-local addresses of proc(5)'s if_inet6: address, interface, length of prefix, scope, flags, name.
fn links(table: &str) -> Vec<(Ipv6Addr, u32)> {
    table.lines().filter_map(link).collect()
}

fn link(line: &str) -> Option<(Ipv6Addr, u32)> {
    let mut words = line.split_whitespace();
    let address = u128::from_str_radix(words.next()?, 16).map(Ipv6Addr::from).ok()?;
    let interface = u32::from_str_radix(words.next()?, 16).ok()?;
    address.is_unicast_link_local().then_some((address, interface))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outward(v6: Option<&str>, links: &str, heard: &[u32]) -> Outward {
        Outward {
            v4: Some(Ipv4Addr::new(10, 9, 8, 7)),
            v6: v6.map(|t| t.parse().unwrap()),
            links: super::links(links),
            heard: heard.iter().map(|p| (*p, "udp".to_string())).collect(),
        }
    }

    #[test]
    fn sockets_of_all_addresses_are_reached_at_the_widest_one() {
        let table = "00000000000000000000000000000001 01 80 10 80       lo\nfe800000000000004c0254fffe0d14d5 03 40 20 80       d0\n";
        let (all4, all6): (IpAddr, IpAddr) = (Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into());
        let shown = |o: &Outward, bound| o.of(bound, 53, "udp").map(|a| a.to_string());
        assert_eq!(shown(&outward(None, "", &[]), all4).as_deref(), Some("10.9.8.7:53"));
        assert_eq!(shown(&outward(Some("2001:db8::7"), table, &[]), all6).as_deref(), Some("[2001:db8::7]:53"));
        assert_eq!(shown(&outward(None, table, &[]), all6).as_deref(), Some("[fe80::4c02:54ff:fe0d:14d5%3]:53"));
        assert_eq!(shown(&outward(None, "", &[]), all6).as_deref(), Some("10.9.8.7:53"));
        assert_eq!(shown(&outward(None, "", &[53]), all6), None);
        assert_eq!(shown(&outward(None, table, &[]), Ipv4Addr::LOCALHOST.into()), None);
        assert_eq!(outward(None, table, &[]).interface_of("fe80::4c02:54ff:fe0d:14d5".parse().unwrap()), Some(3));
    }
}
