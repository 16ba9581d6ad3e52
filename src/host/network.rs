//! The machine's own place in the network: interfaces, addresses and routes (rtnetlink(7)).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::netlink::{Area, Attributes, Message, Netlink, NetlinkError};

const RTM_GETLINK: u16 = 18;
const RTM_GETADDR: u16 = 22;
const RTM_GETROUTE: u16 = 26;
/// `struct ifinfomsg`, `struct ifaddrmsg`, `struct rtmsg`, bytes.
const LINK_HEADER: usize = 16;
const ADDRESS_HEADER: usize = 8;
const ROUTE_HEADER: usize = 12;
const IFF_UP: u32 = 1;
const IFF_LOOPBACK: u32 = 8;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
const RTN_UNICAST: u8 = 1;
const RT_TABLE_LOCAL: u32 = 255;

/// An interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// Number.
    pub index: u32,
    /// Name.
    pub name: String,
    /// Whether it is loopback.
    pub loopback: bool,
    /// Whether it is up.
    pub up: bool,
    /// ARPHRD type (1: Ethernet).
    pub hardware: u16,
    /// Group number.
    pub group: u32,
    /// Number of the interface that it is a port of; 0 without one.
    pub master: u32,
    /// Kind of virtual interface, such as `bridge`, `veth`, `bond`; empty for others.
    pub kind: String,
}

/// A route to somewhere else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Destination.
    pub destination: IpAddr,
    /// Bits of it that count; 0: everything.
    pub length: u8,
    /// Number of the interface it leads to.
    pub interface: u32,
}

/// Everything about it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Network {
    /// Interfaces by number.
    pub links: Vec<Link>,
    /// Addresses that are the machine's own, with the number of their interface.
    pub addresses: Vec<(IpAddr, u32)>,
    /// Routes of every table but that of own addresses.
    pub routes: Vec<Route>,
}

/// Asks the kernel, of the network namespace of this process.
pub fn read() -> Result<Network, NetlinkError> {
    let mut socket = Netlink::open(Area::Route)?;
    let mut dump = |kind: u16, header: usize| {
        let again = |e: &NetlinkError| matches!(e, NetlinkError::Changed);
        let asked = vec![0_u8; header];
        match socket.dump(kind, &asked) {
            Err(e) if again(&e) => socket.dump(kind, &asked),
            other => other,
        }
    };
    let mut links: Vec<Link> = dump(RTM_GETLINK, LINK_HEADER)?.iter().filter_map(link).collect();
    links.sort_by_key(|l| l.index);
    let mut addresses: Vec<(IpAddr, u32)> = dump(RTM_GETADDR, ADDRESS_HEADER)?.iter().filter_map(address).collect();
    addresses.sort_unstable();
    let routes = dump(RTM_GETROUTE, ROUTE_HEADER)?.iter().flat_map(routes).collect();
    Ok(Network { links, addresses, routes })
}

fn link(message: &Message) -> Option<Link> {
    let header = message.payload.get(..LINK_HEADER)?;
    let number = |at: usize| Some(u32::from_ne_bytes(header.get(at..at + 4)?.try_into().ok()?));
    let flags = number(8)?;
    let attributes = Attributes::of(message.payload.get(LINK_HEADER..)?);
    Some(Link {
        index: number(4)?,
        name: attributes.text(3)?,
        loopback: flags & IFF_LOOPBACK != 0,
        up: flags & IFF_UP != 0,
        hardware: u16::from_ne_bytes(header.get(2..4)?.try_into().ok()?),
        group: attributes.native(27).unwrap_or_default(),
        master: attributes.native(10).unwrap_or_default(),
        kind: attributes.nested(18).text(1).unwrap_or_default(),
    })
}

fn address(message: &Message) -> Option<(IpAddr, u32)> {
    let header = message.payload.get(..ADDRESS_HEADER)?;
    let attributes = Attributes::of(message.payload.get(ADDRESS_HEADER..)?);
    // IFA_LOCAL is the own end of a point-to-point link; IPv6 has IFA_ADDRESS alone.
    let own = ip(*header.first()?, attributes.get(2).or_else(|| attributes.get(1))?)?;
    let index = u32::from_ne_bytes(header.get(4..8)?.try_into().ok()?);
    Some((own, index))
}

/// Routes with several next hops are one for each.
fn routes(message: &Message) -> Vec<Route> {
    routes_of(message).unwrap_or_default()
}

fn routes_of(message: &Message) -> Option<Vec<Route>> {
    let header = message.payload.get(..ROUTE_HEADER)?;
    let attributes = Attributes::of(message.payload.get(ROUTE_HEADER..)?);
    let (family, length, table, kind) = (*header.first()?, *header.get(1)?, *header.get(4)?, *header.get(7)?);
    let table = attributes.native(15).unwrap_or_else(|| u32::from(table));
    if kind != RTN_UNICAST || table == RT_TABLE_LOCAL {
        return None;
    }
    let nothing = if family == AF_INET { IpAddr::V4(Ipv4Addr::UNSPECIFIED) } else { IpAddr::V6(Ipv6Addr::UNSPECIFIED) };
    let destination = attributes.get(1).and_then(|bytes| ip(family, bytes)).unwrap_or(nothing);
    let mut interfaces: Vec<u32> = attributes.native(4).into_iter().collect();
    // RTA_MULTIPATH: struct rtnexthop { u16 length, u8 flags, u8 hops, u32 interface }.
    let mut hops = attributes.get(9).unwrap_or_default();
    while let Some(head) = hops.get(..8) {
        interfaces.extend(head.get(4..8).and_then(|b| b.try_into().ok()).map(u32::from_ne_bytes));
        let step = usize::from(u16::from_ne_bytes([*head.first()?, *head.get(1)?]));
        hops = hops.get(step.max(8)..).unwrap_or_default();
    }
    Some(interfaces.into_iter().map(|interface| Route { destination, length, interface }).collect())
}

fn ip(family: u8, bytes: &[u8]) -> Option<IpAddr> {
    match family {
        AF_INET => Some(IpAddr::from(<[u8; 4]>::try_from(bytes.get(..4)?).ok()?)),
        AF_INET6 => Some(IpAddr::from(<[u8; 16]>::try_from(bytes.get(..16)?).ok()?)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_there() {
        let network = read().unwrap();
        let lo = network.links.iter().find(|l| l.loopback).unwrap();
        assert_eq!(lo.name, "lo");
        assert!(network.addresses.contains(&(IpAddr::from([127, 0, 0, 1]), lo.index)));
    }

    #[test]
    fn cut_messages_end() {
        let payload = [2_u8; 80];
        for end in 0..payload.len() {
            let message = Message { kind: 0, payload: payload[..end].to_vec() };
            let _ = (link(&message), address(&message), routes(&message));
        }
    }
}
