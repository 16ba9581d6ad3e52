//! The connections that a configuration can tell apart: one for each combination of address,
//! host name, local address, port and routing domain that some line names.
//!
//! Networks are intervals, so the first address of each and the first one behind it reach every
//! distinct set of networks; a wildcard is represented by one address that matches it.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use super::criteria::{Connection, Criterion, Network, network, number, of_number};
use super::file::Directive;

/// Most connections compared for one account.
pub const CONNECTION_LIMIT: usize = 2048;
/// An address that no network of a real configuration should name (RFC 5737).
const ELSEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 77));

/// The distinct connections; `Err` when there are more than [`CONNECTION_LIMIT`].
pub fn connections(directives: &[Directive], ports: &[i64], use_dns: bool) -> Result<Vec<Connection>, &'static str> {
    let mut seen = Seen::default();
    for directive in directives {
        for block in &directive.blocks {
            block.criteria.iter().for_each(|c| seen.criterion(c, use_dns));
        }
        if matches!(directive.keyword.as_str(), "allowusers" | "denyusers") {
            for (_, hosts) in directive.arguments.iter().filter_map(|p| p.rsplit_once('@')) {
                seen.hosts(hosts, use_dns);
            }
        }
    }
    let addresses: BTreeSet<IpAddr> = std::iter::once(ELSEWHERE).chain(seen.addresses).collect();
    let mut locals: Vec<Option<IpAddr>> = seen.locals.into_iter().map(Some).collect();
    locals.insert(0, Some(IpAddr::V4(Ipv4Addr::new(203, 0, 113, 78))));
    let ports: Vec<Option<u16>> = ports.iter().map(|p| u16::try_from(*p).ok()).collect();
    let rdomains: Vec<Option<String>> = std::iter::once(None).chain(seen.rdomains.into_iter().map(Some)).collect();
    let mut hosts: Vec<Option<String>> = seen.hosts.into_iter().map(Some).collect();
    hosts.insert(0, None);
    let total = addresses.len().saturating_mul(locals.len()).saturating_mul(ports.len()).saturating_mul(rdomains.len()).saturating_mul(hosts.len());
    if total > CONNECTION_LIMIT {
        return Err("tells more connections apart than are compared");
    }
    let mut out = Vec::with_capacity(total);
    for address in &addresses {
        for local_address in &locals {
            for local_port in &ports {
                for rdomain in &rdomains {
                    for host in &hosts {
                        out.push(Connection {
                            host: Some(host.clone().unwrap_or_else(|| address.to_string())),
                            address: Some(*address),
                            local_address: *local_address,
                            local_port: *local_port,
                            rdomain: rdomain.clone(),
                            ..Connection::default()
                        });
                    }
                }
            }
        }
    }
    // The ordinary connection first: its answer is the one without a condition.
    out.sort_by_key(|c| c.address != Some(ELSEWHERE));
    Ok(out)
}

#[derive(Default)]
struct Seen {
    addresses: BTreeSet<IpAddr>,
    locals: BTreeSet<IpAddr>,
    hosts: BTreeSet<String>,
    rdomains: BTreeSet<String>,
}

impl Seen {
    fn criterion(&mut self, criterion: &Criterion, use_dns: bool) {
        match criterion {
            Criterion::Address(list) => list.split(',').for_each(|p| boundaries(p, &mut self.addresses)),
            Criterion::LocalAddress(list) => list.split(',').for_each(|p| boundaries(p, &mut self.locals)),
            Criterion::Host(list) => self.hosts(list, use_dns),
            Criterion::Rdomain(list) => self.rdomains.extend(list.split(',').map(example)),
            _ => {}
        }
    }

    fn hosts(&mut self, list: &str, use_dns: bool) {
        for pattern in list.split(',') {
            boundaries(pattern, &mut self.addresses);
            // Without UseDNS the name of a client is its address.
            if use_dns && pattern.chars().any(char::is_alphabetic) {
                self.hosts.insert(example(pattern));
            }
        }
    }
}

/// A text that the wildcard matches.
fn example(pattern: &str) -> String {
    pattern.trim_start_matches('!').replace(['*', '?'], "x")
}

fn boundaries(pattern: &str, out: &mut BTreeSet<IpAddr>) {
    let pattern = pattern.trim_start_matches('!');
    match network(pattern) {
        Network::Of(low, high) => {
            out.insert(low);
            let last = if low.is_ipv4() { u128::from(u32::MAX) } else { u128::MAX };
            if number(high) < last {
                out.insert(of_number(number(high) + 1, low.is_ipv4()));
            }
        }
        Network::Text => out.extend(address_like(pattern)),
        Network::Inconsistent => {}
    }
}

/// An address that a wildcard such as `10.*` or `192.168.?.*` matches.
fn address_like(pattern: &str) -> Option<IpAddr> {
    if let Ok(address) = pattern.replace(['*', '?'], "1").parse() {
        return Some(address);
    }
    let separator = if pattern.contains(':') { ":" } else { "." };
    let parts = if separator == ":" { 8 } else { 4 };
    let missing = parts_missing(pattern, separator, parts)?;
    let filler = vec!["1"; missing + 1].join(separator);
    let at = pattern.find('*')?;
    let filled = format!("{}{filler}{}", pattern.get(..at)?, pattern.get(at + 1..)?);
    filled.replace(['*', '?'], "1").parse().ok()
}

fn parts_missing(pattern: &str, separator: &str, parts: usize) -> Option<usize> {
    parts.checked_sub(pattern.split(separator).count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_have_an_address() {
        for (pattern, expected) in [("10.*", "10.1.1.1"), ("192.168.?.*", "192.168.1.1"), ("*", "1.1.1.1"), ("10.0.0.*", "10.0.0.1")] {
            assert_eq!(address_like(pattern).unwrap().to_string(), expected);
        }
        assert_eq!(address_like("*.example.com"), None);
    }

    #[test]
    fn networks_inside_networks_are_told_apart() {
        let mut out = BTreeSet::new();
        "10.0.0.0/8,!10.0.0.0/24".split(',').for_each(|p| boundaries(p, &mut out));
        let shown: Vec<String> = out.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["10.0.0.0", "10.0.1.0", "11.0.0.0"]);
    }
}
