//! Declared third parties: to whom the machines may send, and why.
//!
//! A list (see `model/table.rs`) with the columns `name`, `networks`, `ports`, `purpose`. `networks` names
//! one or several addresses or networks (`192.0.2.0/24`); `ports` one or several ports or ranges, each
//! perhaps with `/tcp` or `/udp`, empty for every port.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::table::{self, Row, TableError};

/// Most networks and ports of one party.
const PARTS_LIMIT: usize = 1_000;

/// A party.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ThirdParty {
    /// Name, as in the register of sub-processors.
    pub name: String,
    /// Networks, as address and bits that count.
    pub networks: Vec<(IpAddr, u8)>,
    /// First and last port, and transport (empty: any); none: every port.
    pub ports: Vec<(u16, u16, String)>,
    /// Why.
    pub purpose: String,
    /// Line of the file.
    pub line: u32,
}

/// A list of third parties.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ThirdParties {
    /// Name of the file, as people know it.
    pub file: String,
    /// In file order.
    pub items: Vec<ThirdParty>,
    /// What was tolerated while reading, one sentence with the place each.
    pub notes: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Name,
    Networks,
    Ports,
    Purpose,
}

/// Names of a column, lower case, without blanks, `_` and `-`.
const COLUMNS: &[(Field, &[&str])] = &[
    (Field::Name, &["name", "party", "thirdparty", "subprocessor", "company", "who", "supplier"]),
    (Field::Networks, &["networks", "network", "addresses", "address", "cidr", "cidrs", "ip", "ips"]),
    (Field::Ports, &["ports", "port", "service"]),
    (Field::Purpose, &["purpose", "why", "reason", "description", "comment"]),
];

impl ThirdParties {
    /// Reads a list; `name` is the file as people know it. A list without a line is a list: nobody is declared.
    pub fn parse(name: &str, bytes: &[u8]) -> Result<Self, TableError> {
        let table = table::parse(name, bytes, "list of third parties", "third_parties")?;
        let mut list = Self { file: name.into(), ..Self::default() };
        let columns = table::fields(&table, |plain| COLUMNS.iter().find(|(_, names)| names.contains(&plain)).map(|(f, _)| *f), &mut list.notes)?;
        for (field, word) in [(Field::Name, "name"), (Field::Networks, "networks")] {
            if !columns.contains(&Some(field)) && !table.columns.is_empty() {
                return Err(TableError::new(name, format!("no column holds the {word}"), "give the columns name, networks, ports, purpose"));
            }
        }
        for row in &table.rows {
            list.items.push(party(&columns, row)?);
        }
        Ok(list)
    }

    /// The first party that is declared for this peer.
    pub fn party_of(&self, peer: IpAddr, port: u16, transport: &str) -> Option<&ThirdParty> {
        self.items.iter().find(|p| p.networks.iter().any(|n| holds(*n, peer)) && p.is_for(port, transport))
    }
}

impl ThirdParty {
    fn is_for(&self, port: u16, transport: &str) -> bool {
        self.ports.is_empty() || self.ports.iter().any(|(from, to, only)| (*from..=*to).contains(&port) && (only.is_empty() || only == transport))
    }
}

fn party(columns: &[Option<Field>], row: &Row) -> Result<ThirdParty, TableError> {
    let mut party = ThirdParty { name: String::new(), networks: Vec::new(), ports: Vec::new(), purpose: String::new(), line: row.line };
    for cell in &row.cells {
        let parts = || cell.text.split([',', ';', '|', ' ']).map(str::trim).filter(|p| !p.is_empty()).take(PARTS_LIMIT + 1);
        if parts().count() > PARTS_LIMIT {
            return Err(TableError::new(&cell.place, format!("more than {PARTS_LIMIT} parts"), "use several lines"));
        }
        match columns.get(cell.column).copied().flatten() {
            None => {}
            Some(Field::Name) => party.name = cell.text.split_whitespace().collect::<Vec<_>>().join(" "),
            Some(Field::Purpose) => party.purpose = cell.text.split_whitespace().collect::<Vec<_>>().join(" "),
            Some(Field::Networks) => {
                for part in parts() {
                    let wrong = |problem: String| TableError::new(&cell.place, problem, "write addresses or networks, such as 192.0.2.0/24 or 2001:db8::/32");
                    party.networks.push(network(part).map_err(wrong)?);
                }
            }
            Some(Field::Ports) => {
                for part in parts().filter(|p| *p != "*") {
                    let wrong = || TableError::new(&cell.place, format!("{part:?} is no port"), "write ports such as 443, 443/tcp or 8000-8010");
                    party.ports.push(ports(part).ok_or_else(wrong)?);
                }
            }
        }
    }
    for (missing, word) in [(party.name.is_empty(), "name"), (party.networks.is_empty(), "network")] {
        if missing {
            return Err(TableError::new(&row.place, format!("the {word} is missing"), "a third party has a name and at least one network"));
        }
    }
    Ok(party)
}

fn network(text: &str) -> Result<(IpAddr, u8), String> {
    let (address, bits) = text.split_once('/').map_or((text, None), |(a, b)| (a, Some(b)));
    let address: IpAddr = address.parse().map_err(|_| format!("{text:?} is no address or network"))?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let bits = match bits {
        None => most,
        Some(bits) => bits.parse().ok().filter(|b| *b <= most).ok_or_else(|| format!("{text:?} is no network"))?,
    };
    if !is_base((address, bits)) {
        return Err(format!("{text:?} has bits set behind its mask"));
    }
    Ok((address, bits))
}

fn number(address: IpAddr) -> (u128, u32) {
    match address {
        IpAddr::V4(a) => (u128::from(u32::from(a)), 32),
        IpAddr::V6(a) => (u128::from(a), 128),
    }
}

fn is_base((address, bits): (IpAddr, u8)) -> bool {
    let (number, width) = number(address);
    let open = width.saturating_sub(bits.into());
    if open >= 128 { number == 0 } else { number & ((1 << open) - 1) == 0 }
}

fn holds((network, bits): (IpAddr, u8), address: IpAddr) -> bool {
    if network.is_ipv4() != address.is_ipv4() {
        return false;
    }
    let ((network, width), (address, _)) = (number(network), number(address));
    let open = width.saturating_sub(bits.into());
    open >= 128 || network >> open == address >> open
}

fn ports(text: &str) -> Option<(u16, u16, String)> {
    let (range, transport) = text.split_once('/').map_or((text, ""), |(r, t)| (r, t));
    let transport = transport.to_lowercase();
    if !["", "tcp", "udp"].contains(&transport.as_str()) {
        return None;
    }
    let (from, to) = range.split_once('-').unwrap_or((range, range));
    let (from, to) = (from.parse().ok()?, to.parse().ok()?);
    (from <= to && from > 0).then_some((from, to, transport))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parties_are_found_by_network_and_port() {
        let text =
            "Sub-processor;Networks;Ports;Purpose\nMail Ltd;192.0.2.0/24, 2001:db8::/32;465 587/tcp;mail\nTime;198.51.100.7;123/udp;\nAll;203.0.113.0/24;;\n";
        let list = ThirdParties::parse("t.csv", text.as_bytes()).unwrap();
        let of = |peer: &str, port, transport| list.party_of(peer.parse().unwrap(), port, transport).map(|p| p.name.as_str());
        assert_eq!(of("192.0.2.9", 465, "tcp"), Some("Mail Ltd"));
        assert_eq!(of("2001:db8:1::1", 587, "udp"), None);
        assert_eq!(of("192.0.2.9", 25, "tcp"), None);
        assert_eq!(of("198.51.100.7", 123, "udp"), Some("Time"));
        assert_eq!(of("203.0.113.255", 9, "udp"), Some("All"));
        assert_eq!(of("203.0.114.0", 9, "udp"), None);
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        let refused = |row: &str| ThirdParties::parse("t.csv", format!("name,networks,ports\n{row}\n").as_bytes()).unwrap_err().to_string();
        assert!(refused("a,10.0.0.1/8,").contains("bits set behind its mask"));
        assert!(refused("a,10.0.0.0/33,").contains("no network"));
        assert!(refused("a,example.org,").contains("no address or network"));
        assert!(refused("a,10.0.0.0/8,99999").contains("no port"));
        assert!(refused("a,10.0.0.0/8,5-1").contains("no port"));
        assert!(refused(",10.0.0.0/8,").starts_with("t.csv:2: the name is missing"));
        assert!(ThirdParties::parse("t.csv", b"name,ports\na,1\n").unwrap_err().to_string().contains("no column holds the networks"));
        assert_eq!(ThirdParties::parse("t.json", b"[]").unwrap().items, []);
    }
}
