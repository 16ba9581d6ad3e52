//! Whether the target of a hand-over is on this machine.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv6Addr};

use crate::host::Host;
use crate::host::root::CONFIG_LIMIT;

/// Addresses and names of this machine, as far as its files tell.
#[derive(Debug, Default)]
pub struct OwnAddresses {
    addresses: BTreeSet<IpAddr>,
    /// Names of hosts(5) that mean this machine, lower case.
    names: BTreeSet<String>,
}

impl OwnAddresses {
    /// Reads them: addresses from the kernel's tables where the running machine is read.
    pub fn read(host: &Host) -> Self {
        let mut out = Self::default();
        if host.is_live() {
            out.addresses.extend(local_v4(&host.read_text("/proc/net/fib_trie", CONFIG_LIMIT).unwrap_or_default()));
            out.addresses.extend(local_v6(&host.read_text("/proc/net/if_inet6", CONFIG_LIMIT).unwrap_or_default()));
        }
        for line in host.read_text("/etc/hosts", CONFIG_LIMIT).unwrap_or_default().lines() {
            let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
            let Some(address) = words.next().and_then(|w| w.parse::<IpAddr>().ok()) else { continue };
            if out.has(address) {
                out.names.extend(words.map(str::to_ascii_lowercase));
            }
        }
        out
    }

    fn has(&self, address: IpAddr) -> bool {
        let mapped = if let IpAddr::V6(v6) = address { v6.to_ipv4_mapped().map(IpAddr::V4) } else { None };
        let address = mapped.unwrap_or(address);
        address.is_loopback() || address.is_unspecified() || self.addresses.contains(&address)
    }

    /// Whether a target without its port (`10.0.0.5`, `[::1]`, `app`, `unix:/run/x`) is this machine.
    pub fn is_this_machine(&self, name: &str) -> bool {
        let name = name.trim_start_matches('[').trim_end_matches(']');
        if name.starts_with("unix:") || name.starts_with('/') {
            return true;
        }
        match name.parse::<IpAddr>() {
            Ok(address) => self.has(address),
            Err(_) => {
                let name = name.trim_end_matches('.').to_ascii_lowercase();
                name == "localhost" || name.ends_with(".localhost") || self.names.contains(&name)
            }
        }
    }
}

/// `host LOCAL` entries of the routing table: an address stands on the line before.
fn local_v4(table: &str) -> Vec<IpAddr> {
    let lines: Vec<&str> = table.lines().map(str::trim).collect();
    let pairs = lines.windows(2).filter(|pair| pair.get(1).is_some_and(|l| l.contains("/32 host LOCAL")));
    pairs.filter_map(|pair| pair.first()?.strip_prefix("|-- ")?.parse().ok()).collect()
}

/// Addresses of if_inet6: 32 hexadecimal digits first.
fn local_v6(table: &str) -> Vec<IpAddr> {
    let of = |line: &str| u128::from_str_radix(line.split_whitespace().next()?, 16).ok().map(|n| IpAddr::V6(Ipv6Addr::from(n)));
    table.lines().filter_map(of).collect()
}

/// A target without its port.
pub fn without_port(target: &str) -> &str {
    if target.starts_with("unix:") || target.starts_with('/') {
        return target;
    }
    if let Some(end) = target.strip_prefix('[').and_then(|rest| rest.find(']')) {
        return target.get(..end + 2).unwrap_or(target);
    }
    target.split_once(':').map_or(target, |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::testing::recorded;

    #[test]
    fn this_machine_and_others() {
        let (_root, host) = recorded(&[
            ("/etc/hosts", "127.0.0.1 localhost app\n10.0.0.9 self.example # x\n10.0.0.8 other\nbroken\n"),
            (
                "/proc/net/fib_trie",
                "Main:\n  +-- 10.0.0.0/24 2 0 2\n     |-- 10.0.0.9\n        /32 host LOCAL\n     |-- 10.0.0.255\n        /32 link BROADCAST\n",
            ),
            ("/proc/net/if_inet6", "fd000000000000000000000000000009 02 40 00 80 eth0\nx\n"),
        ]);
        let own = OwnAddresses::read(&host);
        for name in ["127.0.0.5", "[::1]", "localhost", "APP", "self.example", "10.0.0.9", "fd00::9", "unix:/run/a", "0.0.0.0"] {
            assert!(own.is_this_machine(name), "{name}");
        }
        for name in ["10.0.0.8", "other", "db", "fd00::8", "10.0.0.255"] {
            assert!(!own.is_this_machine(name), "{name}");
        }
        assert_eq!((without_port("a:80"), without_port("[::1]:80"), without_port("unix:/run/x:"), without_port("::")), ("a", "[::1]", "unix:/run/x:", ""));
    }
}
