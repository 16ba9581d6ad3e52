//! What expressions load of a class of packets: header fields, and what the kernel knows beside them.

use super::packet::{Field, Packet, Tracking};
use super::registers::Content;
use super::walk::Way;
use super::xtables::SYN;
use crate::host::nftables::{Expression, FibResult, Load, MetaKey};

/// DF set, no offset: what whole packets look like.
const FRAGMENT: [u8; 2] = [0x40, 0];
/// Length of a name of an interface, padded.
const NAME: usize = 16;
/// Kinds of addresses (`RTN_…`).
const UNICAST: u32 = 1;
const LOCAL: u32 = 2;

/// Bytes of a header; each field of its own is one content.
pub fn payload(packet: &Packet, load: Load, offset: usize, length: usize) -> Vec<Content> {
    let mut out = Vec::new();
    let (mut at, end) = (offset, offset.saturating_add(length.min(64)));
    while at < end {
        let content = field_at(packet, load, at, end - at);
        at += match &content {
            Content::Bytes(bytes) => bytes.len().max(1),
            Content::Field { length, .. } | Content::Varying(length) | Content::Unknown(length, _) => (*length).max(1),
        };
        // Unknown bytes beside each other are one.
        match (out.last_mut(), content) {
            (Some(Content::Unknown(length, _)), Content::Unknown(more, _)) => *length += more,
            (_, content) => out.push(content),
        }
    }
    out
}

/// The field that holds the byte at `at`, cut to `most` bytes.
fn field_at(packet: &Packet, load: Load, at: usize, most: usize) -> Content {
    let protocol = [if packet.udp { 17 } else { 6 }];
    let ether = if packet.v6 { [0x86, 0xdd] } else { [0x08, 0x00] };
    let field = |field: Field, start: usize| {
        let from = at - start;
        Content::Field { field, from, length: (packet.bytes_of(field) - from).min(most), mask: None }
    };
    let bytes = |bytes: &[u8], start: usize| {
        let rest = bytes.get(at - start..).unwrap_or_default();
        Content::Bytes(rest.get(..most).unwrap_or(rest).to_vec())
    };
    match (load, packet.v6, at) {
        (Load::Network, false, 0) => bytes(&[0x45], 0),
        (Load::Network, false, 6..=7) => bytes(&FRAGMENT, 6),
        (Load::Network, false, 9) => bytes(&protocol, 9),
        (Load::Network, false, 12..=15) => field(Field::Source, 12),
        (Load::Network, false, 16..=19) => field(Field::Destination, 16),
        (Load::Network, true, 0) => bytes(&[0x60], 0),
        (Load::Network, true, 6) => bytes(&protocol, 6),
        (Load::Network, true, 8..=23) => field(Field::Source, 8),
        (Load::Network, true, 24..=39) => field(Field::Destination, 24),
        (Load::Transport, _, 0..=1) => field(Field::SourcePort, 0),
        (Load::Transport, _, 2..=3) => field(Field::Port, 2),
        (Load::Transport, _, 13) if !packet.udp => bytes(&[SYN], 13),
        (Load::Link, _, 12..=13) => bytes(&ether, 12),
        _ => Content::Unknown(1, "bytes that the sender chooses".into()),
    }
}

/// What stands beside the packet, and the register it goes to; `None` when a packet from outside lacks it.
pub fn other(packet: &Packet, way: &Way, expression: &Expression) -> Option<(u32, Vec<Content>)> {
    match expression {
        Expression::Meta { key, to } => Some((*to, vec![meta(packet, way, *key)?])),
        Expression::Ct { key, to } => Some((*to, vec![connection(packet, *key)?])),
        Expression::Fib { result, of_source, to } => Some((*to, vec![route(packet, way, *result, *of_source)])),
        _ => None,
    }
}

fn native(number: u32) -> Content {
    Content::Bytes(number.to_ne_bytes().to_vec())
}

fn name(text: &str) -> Content {
    let mut bytes = text.as_bytes().to_vec();
    bytes.resize(NAME, 0);
    Content::Bytes(bytes)
}

fn meta(packet: &Packet, way: &Way, key: MetaKey) -> Option<Content> {
    Some(match key {
        MetaKey::Protocol => Content::Bytes(if packet.v6 { vec![0x86, 0xdd] } else { vec![0x08, 0x00] }),
        MetaKey::Mark => packet.mark.map_or_else(|| Content::Unknown(4, "a mark that is not known".into()), native),
        MetaKey::Iif => native(way.index),
        MetaKey::Oif => native(way.out.0),
        MetaKey::IifName => name(&way.name),
        MetaKey::OifName => name(&way.out.1),
        MetaKey::IifType => Content::Bytes(way.hardware.to_ne_bytes().to_vec()),
        MetaKey::IifGroup => native(way.group),
        MetaKey::IifKind => name(&way.kind),
        MetaKey::Nfproto => Content::Bytes(vec![if packet.v6 { 10 } else { 2 }]),
        MetaKey::L4proto => Content::Bytes(vec![if packet.udp { 17 } else { 6 }]),
        MetaKey::PacketType => Content::Bytes(vec![0]),
        MetaKey::Socket => return None,
        MetaKey::Time => Content::Varying(8),
        MetaKey::Random => Content::Varying(4),
        MetaKey::Other(number) => Content::Unknown(NAME, format!("meta key {number}")),
    })
}

/// `enum nft_ct_keys`.
fn connection(packet: &Packet, key: u32) -> Option<Content> {
    const STATE: u32 = 0;
    let state = match packet.tracking {
        Tracking::Before => 1,
        Tracking::New => 8,
        Tracking::Untracked => 64,
    };
    if key == STATE {
        return Some(native(state));
    }
    if packet.tracking != Tracking::New {
        return None;
    }
    let field = |field: Field| Content::Field { field, from: 0, length: packet.bytes_of(field), mask: None };
    // Destination and port as they were before a translation.
    let original = |of: Field| match &packet.translated {
        None => field(of),
        Some((destination, port, _)) => {
            let ranges = if of == Field::Port { port } else { destination };
            let length = packet.bytes_of(of);
            match ranges.single() {
                Some(only) => Content::Bytes(only.to_be_bytes().get(16 - length..).unwrap_or_default().to_vec()),
                None => Content::Unknown(length, "the destination before a translation".into()),
            }
        }
    };
    // IPS_DST_NAT and IPS_DST_NAT_DONE.
    let status = if packet.translated.is_some() { 0x120 } else { 0x100 };
    Some(match key {
        1 => Content::Bytes(vec![0]),
        2 => native(status),
        3 => packet.connection_mark.map_or_else(|| Content::Unknown(4, "a mark of the connection that is not known".into()), native),
        6 => return None,
        7 => Content::Bytes(vec![if packet.v6 { 10 } else { 2 }]),
        8 | 19 | 21 => field(Field::Source),
        9 | 20 | 22 => original(Field::Destination),
        10 => Content::Bytes(vec![if packet.udp { 17 } else { 6 }]),
        11 => field(Field::SourcePort),
        12 => original(Field::Port),
        17 => Content::Bytes(vec![0, 0]),
        other => Content::Unknown(16, format!("ct key {other}")),
    })
}

/// Whether the destination is an address of this machine.
pub fn is_local(packet: &Packet, way: &Way) -> bool {
    !packet.destination.is_empty() && packet.destination.minus(&way.local).is_empty()
}

/// Routing: an honest sender comes by the interface that leads back to it.
fn route(packet: &Packet, way: &Way, result: FibResult, of_source: bool) -> Content {
    match result {
        FibResult::AddressType if of_source => native(UNICAST),
        FibResult::AddressType => native(if is_local(packet, way) { LOCAL } else { UNICAST }),
        FibResult::Present => Content::Bytes(vec![1]),
        FibResult::Interface if of_source => native(way.index),
        FibResult::InterfaceName if of_source => name(&way.name),
        FibResult::Interface | FibResult::InterfaceName => Content::Unknown(NAME, "the way to the destination".into()),
    }
}
