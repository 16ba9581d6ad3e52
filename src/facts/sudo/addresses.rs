//! Addresses in host lists of sudoers: compared with those of the running machine.

use std::net::{IpAddr, Ipv4Addr};

use crate::host::Host;

const ROUTES_4: &str = "/proc/net/fib_trie";
const ADDRESSES_6: &str = "/proc/net/if_inet6";
/// Largest table read, bytes.
const TABLE_LIMIT: usize = 8 << 20;

/// Addresses of the running machine without loopback; `None` for a root folder.
pub fn own(host: &Host) -> Option<Vec<IpAddr>> {
    if !host.is_live() {
        return None;
    }
    let mut out = of_routes(&host.read_text(ROUTES_4, TABLE_LIMIT).ok()?);
    // A kernel without IPv6 has no such file.
    out.extend(host.read_text(ADDRESSES_6, TABLE_LIMIT).unwrap_or_default().lines().filter_map(of_line_6));
    out.retain(|a| !a.is_loopback());
    Some(out)
}

/// `|-- ADDRESS` followed by `/32 host LOCAL`.
fn of_routes(text: &str) -> Vec<IpAddr> {
    let mut out: Vec<IpAddr> = Vec::new();
    let mut last: Option<IpAddr> = None;
    for line in text.lines().map(str::trim) {
        if let Some(address) = line.strip_prefix("|-- ") {
            last = address.parse().ok();
        } else if line == "/32 host LOCAL" {
            out.extend(last.take().filter(|a| !out.contains(a)));
        }
    }
    out
}

fn of_line_6(line: &str) -> Option<IpAddr> {
    let digits = line.split_whitespace().next()?;
    Some(IpAddr::V6(u128::from_str_radix(digits, 16).ok()?.into()))
}

/// Whether a host list item is an address or a network.
pub fn is_address(pattern: &str) -> bool {
    let address = pattern.split('/').next().unwrap_or("");
    address.parse::<IpAddr>().is_ok()
}

/// Whether an item (`10.0.0.0/8`, `10.0.0.0/255.0.0.0`, an address) covers an address. An address
/// without a mask may also be that of a network, which is not told here.
pub fn covers(pattern: &str, own: IpAddr) -> bool {
    let (address, mask) = pattern.split_once('/').map_or((pattern, None), |(a, m)| (a, Some(m)));
    let (Ok(address), own) = (address.parse::<IpAddr>(), own) else { return false };
    let dotted = |m: &str| m.parse::<Ipv4Addr>().ok().map(|m| u32::from(m).leading_ones());
    let bits = |width: u32| match mask {
        None => Some(width),
        Some(m) => m.parse().ok().filter(|b| *b <= width).or_else(|| dotted(m)),
    };
    match (address, own) {
        (IpAddr::V4(a), IpAddr::V4(b)) => bits(32).is_some_and(|n| same(u32::from(a).into(), u32::from(b).into(), 32, n)),
        (IpAddr::V6(a), IpAddr::V6(b)) => bits(128).is_some_and(|n| same(a.into(), b.into(), 128, n)),
        _ => false,
    }
}

fn same(a: u128, b: u128, width: u32, bits: u32) -> bool {
    (a ^ b).checked_shr(width.saturating_sub(bits)).unwrap_or(0) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_cover_addresses() {
        let own = |text: &str| text.parse().unwrap();
        for (pattern, address, expected) in [
            ("10.0.0.0/8", "10.2.3.4", true),
            ("10.0.0.0/255.255.0.0", "10.2.3.4", false),
            ("10.2.0.0/255.255.0.0", "10.2.3.4", true),
            ("10.2.3.4", "10.2.3.4", true),
            ("0.0.0.0/0", "10.2.3.4", true),
            ("2001:db8::/32", "2001:db8::1", true),
            ("2001:db8::/32", "10.2.3.4", false),
            ("web*", "10.2.3.4", false),
            ("10.0.0.0/99", "10.2.3.4", false),
        ] {
            assert_eq!(covers(pattern, own(address)), expected, "{pattern} {address}");
        }
    }

    #[test]
    fn local_addresses_are_read_from_the_routes() {
        let text = "Local:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 10.2.3.0\n        /24 link UNICAST\n     |-- 10.2.3.4\n        /32 host LOCAL\n     |-- 127.0.0.1\n        /32 host LOCAL\n";
        assert_eq!(of_routes(text).iter().map(ToString::to_string).collect::<Vec<_>>(), ["10.2.3.4", "127.0.0.1"]);
        assert_eq!(of_line_6("fe800000000000000000000000000001 02 40 20 80 eth0").unwrap().to_string(), "fe80::1");
    }
}
