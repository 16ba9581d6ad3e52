//! Addresses that a server is told to listen on: which other machines can reach.

use std::net::IpAddr;

use crate::host::{CONFIG_LIMIT, Host};

/// Most addresses kept of one server.
pub const ADDRESS_LIMIT: usize = 256;

/// Whether nobody but this machine reaches the address: a loopback address, `localhost`, or a name
/// that /etc/hosts gives loopback addresses alone.
pub fn is_loopback(host: &Host, address: &str) -> bool {
    let address = address.trim_matches(['[', ']']);
    let address = address.split_once('%').map_or(address, |(ip, _)| ip);
    if let Ok(ip) = address.parse::<IpAddr>() {
        return ip.to_canonical().is_loopback();
    }
    if address.eq_ignore_ascii_case("localhost") {
        return true;
    }
    let hosts = host.read_text("/etc/hosts", CONFIG_LIMIT).unwrap_or_default();
    let named: Vec<IpAddr> = hosts.lines().filter_map(|line| entry(line, address)).collect();
    !named.is_empty() && named.iter().all(IpAddr::is_loopback)
}

fn entry(line: &str, name: &str) -> Option<IpAddr> {
    let mut words = line.split('#').next()?.split_whitespace();
    let ip = words.next()?.parse().ok()?;
    words.any(|w| w.eq_ignore_ascii_case(name)).then_some(ip)
}

/// Addresses as the programs mean them: `*` is all of both families, `localhost` the loopback address.
pub fn resolved(words: &[String]) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    for word in words {
        match word.as_str() {
            "*" => out.extend(["0.0.0.0".to_string(), "::".into()]),
            "localhost" => out.push("127.0.0.1".into()),
            other => out.push(other.trim_matches(['[', ']']).into()),
        }
    }
    let mut seen = std::collections::BTreeSet::new();
    out.retain(|a| !a.is_empty() && seen.insert(a.clone()));
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::testing::rooted;

    #[test]
    fn who_reaches_an_address() {
        let (_root, host) = rooted(&[("/etc/hosts", "127.0.1.1 db1 db1.example # here\n10.0.0.5 db2\n127.0.0.1 both\n10.0.0.6 both\n")]);
        for (address, expected) in [
            ("127.0.0.9", true),
            ("::1", true),
            ("[::1]", true),
            ("::ffff:127.0.0.1", true),
            ("localhost", true),
            ("DB1", true),
            ("db2", false),
            ("both", false),
            ("unknown", false),
            ("0.0.0.0", false),
            ("::", false),
            ("*", false),
        ] {
            assert_eq!(is_loopback(&host, address), expected, "{address}");
        }
        assert_eq!(resolved(&["*".into(), "localhost".into(), "::".into()]), ["0.0.0.0", "::", "127.0.0.1"]);
    }
}
