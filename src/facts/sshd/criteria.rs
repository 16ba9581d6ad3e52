//! Match blocks of sshd_config(5): parsed once, asked for each connection.

use std::net::IpAddr;

/// The criteria of one `Match` line, all of which must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Block {
    /// As written.
    pub text: String,
    /// What keeps it from being evaluated; then it holds for nobody.
    pub problem: Option<&'static str>,
    /// Parsed criteria.
    pub criteria: Vec<Criterion>,
}

/// One criterion with its pattern list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Criterion {
    /// `all`.
    All,
    /// `invalid-user`.
    InvalidUser,
    /// `user`.
    User(String),
    /// `group`.
    Group(String),
    /// `host`.
    Host(String),
    /// `address`.
    Address(String),
    /// `localaddress`.
    LocalAddress(String),
    /// `localport`.
    LocalPort(u16),
    /// `rdomain`.
    Rdomain(String),
}

/// One way to connect as one account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Connection {
    /// Login name.
    pub user: String,
    /// Names of the account's groups.
    pub groups: Vec<String>,
    /// Name of the client as sshd sees it: its address unless UseDNS is on.
    pub host: Option<String>,
    /// Address of the client.
    pub address: Option<IpAddr>,
    /// Address that was connected to.
    pub local_address: Option<IpAddr>,
    /// Port that was connected to.
    pub local_port: Option<u16>,
    /// Routing domain.
    pub rdomain: Option<String>,
}

impl Block {
    /// Takes the arguments of a `Match` line apart.
    pub fn parse(arguments: &[String]) -> Self {
        let mut out = Self { text: arguments.join(" "), ..Self::default() };
        let mut words = arguments.iter();
        while let Some(word) = words.next() {
            let (name, value) = match word.split_once('=') {
                Some((name, value)) => (name, Some(value.to_string())),
                None => (word.as_str(), None),
            };
            let name = name.to_ascii_lowercase();
            match name.as_str() {
                "all" => out.criteria.push(Criterion::All),
                "invalid-user" => out.criteria.push(Criterion::InvalidUser),
                "exec" | "canonical" | "final" | "originalhost" | "localuser" => out.problem = Some("names a criterion of ssh_config that sshd refuses"),
                _ => match value.or_else(|| words.next().cloned()) {
                    None => out.problem = Some("has a criterion without a pattern"),
                    Some(value) => out.push(&name, value),
                },
            }
        }
        if out.criteria.is_empty() && out.problem.is_none() {
            out.problem = Some("has no criterion");
        }
        if out.criteria.contains(&Criterion::All) && out.criteria.len() > 1 {
            out.problem = Some("combines all with another criterion, which sshd refuses");
        }
        out
    }

    fn push(&mut self, name: &str, value: String) {
        let criterion = match name {
            "user" => Criterion::User(value),
            "group" => Criterion::Group(value),
            "host" => Criterion::Host(value),
            "address" => Criterion::Address(value),
            "localaddress" => Criterion::LocalAddress(value),
            "rdomain" => Criterion::Rdomain(value),
            "localport" => match value.parse() {
                Ok(port) => Criterion::LocalPort(port),
                Err(_) => return self.problem = Some("has a port that is no number"),
            },
            _ => return self.problem = Some("names a criterion that is not known here"),
        };
        if let Criterion::Address(list) | Criterion::LocalAddress(list) = &criterion
            && list.split(',').any(|p| network(p.trim_start_matches('!')) == Network::Inconsistent)
        {
            self.problem = Some("has an address with bits behind its mask, which sshd refuses");
        }
        self.criteria.push(criterion);
    }

    /// `Match all`.
    pub fn is_all(&self) -> bool {
        self.problem.is_none() && self.criteria == [Criterion::All]
    }

    /// Whether it holds for a connection.
    pub fn holds(&self, connection: &Connection) -> bool {
        self.problem.is_none() && self.criteria.iter().all(|c| c.holds(connection))
    }

    /// The part of [`Block::holds`] that the account alone decides.
    pub fn holds_for_account(&self, connection: &Connection) -> bool {
        self.problem.is_none()
            && self.criteria.iter().all(|c| !matches!(c, Criterion::User(_) | Criterion::Group(_) | Criterion::InvalidUser) || c.holds(connection))
    }

    /// Whether it names users or groups.
    pub fn is_about_accounts(&self) -> bool {
        self.criteria.iter().any(|c| matches!(c, Criterion::User(_) | Criterion::Group(_)))
    }

    /// The criteria that depend on where a connection comes from or goes to, as written.
    pub fn conditions(&self) -> Vec<String> {
        let shown = |c: &Criterion| match c {
            Criterion::Host(list) => Some(format!("host {list}")),
            Criterion::Address(list) => Some(format!("address {list}")),
            Criterion::LocalAddress(list) => Some(format!("localaddress {list}")),
            Criterion::LocalPort(port) => Some(format!("localport {port}")),
            Criterion::Rdomain(list) => Some(format!("rdomain {list}")),
            _ => None,
        };
        self.criteria.iter().filter_map(shown).collect()
    }
}

impl Criterion {
    fn holds(&self, connection: &Connection) -> bool {
        match self {
            Self::All => true,
            // Every account looked at here exists.
            Self::InvalidUser => false,
            Self::User(list) => in_list(list, &connection.user, false) == Some(true),
            Self::Group(list) => in_group_list(list, &connection.groups),
            Self::Host(list) => connection.host.as_ref().is_some_and(|host| in_list(list, host, true) == Some(true)),
            Self::Address(list) => connection.address.is_some_and(|address| in_addresses(list, address) == Some(true)),
            Self::LocalAddress(list) => connection.local_address.is_some_and(|address| in_addresses(list, address) == Some(true)),
            Self::LocalPort(port) => connection.local_port == Some(*port),
            Self::Rdomain(list) => connection.rdomain.as_ref().is_some_and(|name| in_list(list, name, false) == Some(true)),
        }
    }
}

/// AllowUsers and DenyUsers: `NAME` or `NAME@HOST`, the host part a list of names, addresses and networks.
pub fn matches_user(pattern: &str, connection: &Connection) -> bool {
    let Some((name, hosts)) = pattern.rsplit_once('@') else { return wildcard(pattern, &connection.user) };
    if !wildcard(name, &connection.user) {
        return false;
    }
    let by_address = connection.address.map_or(Some(false), |address| in_addresses(hosts, address));
    let by_name = connection.host.as_ref().map_or(Some(false), |host| in_list(hosts, host, true));
    matches!((by_address, by_name), (Some(true), Some(_)) | (Some(_), Some(true)))
}

/// PATTERNS of ssh_config(5): `None` when a negated pattern matches.
fn in_list(list: &str, name: &str, ignore_case: bool) -> Option<bool> {
    let mut hit = false;
    for pattern in list.split(',') {
        let (negated, pattern) = pattern.strip_prefix('!').map_or((false, pattern), |p| (true, p));
        let matched = if ignore_case { wildcard(&pattern.to_lowercase(), &name.to_lowercase()) } else { wildcard(pattern, name) };
        if matched && negated {
            return None;
        }
        hit |= matched;
    }
    Some(hit)
}

fn in_group_list(list: &str, groups: &[String]) -> bool {
    let mut hit = false;
    for pattern in list.split(',') {
        let (negated, pattern) = pattern.strip_prefix('!').map_or((false, pattern), |p| (true, p));
        let matched = groups.iter().any(|g| wildcard(pattern, g));
        if matched && negated {
            return false;
        }
        hit |= matched;
    }
    hit
}

/// A list of addresses, networks and wildcards; `None` when a negated one matches.
pub fn in_addresses(list: &str, address: IpAddr) -> Option<bool> {
    let text = address.to_string();
    let mut hit = false;
    for pattern in list.split(',') {
        let (negated, pattern) = pattern.strip_prefix('!').map_or((false, pattern), |p| (true, p));
        let matched = match network(pattern) {
            Network::Of(low, high) => family(low) == family(address) && (low..=high).contains(&address),
            Network::Inconsistent => false,
            Network::Text => wildcard(pattern, &text),
        };
        if matched && negated {
            return None;
        }
        hit |= matched;
    }
    Some(hit)
}

const fn family(address: IpAddr) -> bool {
    address.is_ipv4()
}

/// One entry of an address list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// First and last address.
    Of(IpAddr, IpAddr),
    /// Bits are set behind the mask.
    Inconsistent,
    /// A wildcard, compared as text.
    Text,
}

/// Reads `ADDRESS` or `ADDRESS/BITS`.
pub fn network(pattern: &str) -> Network {
    let (address, bits) = pattern.split_once('/').map_or((pattern, None), |(a, b)| (a, Some(b)));
    let Ok(address) = address.parse::<IpAddr>() else { return Network::Text };
    let width: u32 = if address.is_ipv4() { 32 } else { 128 };
    let bits: u32 = match bits.map(str::parse) {
        None => width,
        Some(Ok(bits)) if bits <= width => bits,
        Some(_) => return Network::Inconsistent,
    };
    let host_bits = width - bits;
    let mask = if host_bits >= 128 { u128::MAX } else { (1_u128 << host_bits) - 1 };
    let number = number(address);
    if number & mask != 0 {
        return Network::Inconsistent;
    }
    Network::Of(address, of_number(number | mask, address.is_ipv4()))
}

/// An address as a number.
pub fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(u32::from(v4)),
        IpAddr::V6(v6) => u128::from(v6),
    }
}

/// The address of a number.
pub fn of_number(number: u128, v4: bool) -> IpAddr {
    if v4 { IpAddr::V4(u32::try_from(number).unwrap_or(u32::MAX).into()) } else { IpAddr::V6(number.into()) }
}

/// `*` and `?` alone are special in sshd's patterns.
pub fn wildcard(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut p, mut n, mut back) = (0, 0, None);
    while let Some(c) = name.get(n) {
        match pattern.get(p) {
            Some('*') => {
                back = Some((p, n));
                p += 1;
            }
            Some(w) if *w == '?' || w == c => {
                p += 1;
                n += 1;
            }
            _ => match back {
                None => return false,
                Some((star, from)) => {
                    p = star + 1;
                    n = from + 1;
                    back = Some((star, from + 1));
                }
            },
        }
    }
    pattern.get(p..).is_some_and(|rest| rest.iter().all(|c| *c == '*'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(text: &str) -> Block {
        Block::parse(&text.split_whitespace().map(String::from).collect::<Vec<_>>())
    }

    fn anna(address: &str) -> Connection {
        Connection {
            user: "anna".into(),
            groups: vec!["anna".into(), "ops".into()],
            host: Some(address.into()),
            address: address.parse().ok(),
            local_port: Some(22),
            ..Connection::default()
        }
    }

    #[test]
    fn criteria_hold_together() {
        for (text, address, expected) in [
            ("user anna,bob", "10.0.0.1", true),
            ("User *,!anna", "10.0.0.1", false),
            ("user=anna group=ops", "10.0.0.1", true),
            ("group *,!ops", "10.0.0.1", false),
            ("address 10.0.0.0/8,!10.1.0.0/16", "10.1.2.3", false),
            ("address 10.0.0.0/8,!10.1.0.0/16", "10.2.2.3", true),
            ("address 10.?.*", "10.2.2.3", true),
            ("address fe80::/10", "fe80::1", true),
            ("address 0.0.0.0/0", "fe80::1", false),
            ("localport 22 user a*", "::1", true),
            ("localport 2222", "::1", false),
            ("all", "::1", true),
            ("host 10.0.0.*", "10.0.0.9", true),
            ("rdomain x", "10.0.0.9", false),
            ("user [a]nna", "10.0.0.9", false),
        ] {
            assert_eq!(block(text).holds(&anna(address)), expected, "{text} {address}");
        }
        for text in ["", "exec /bin/true", "user", "all user anna", "address 10.0.0.1/8", "localport x", "address 10.0.0.0/33"] {
            assert!(block(text).problem.is_some(), "{text}");
        }
    }

    #[test]
    fn users_with_hosts_are_matched() {
        for (pattern, expected) in
            [("anna", true), ("an*@10.*", true), ("anna@10.0.0.0/8", true), ("anna@!10.0.0.0/8,*", false), ("anna@192.0.2.1", false), ("bob@*", false)]
        {
            assert_eq!(matches_user(pattern, &anna("10.0.0.1")), expected, "{pattern}");
        }
    }
}
