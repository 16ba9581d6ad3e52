//! `collector.yaml`: where the collector listens, what it judges by, when a host is silent.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::ConfigError;
use crate::model::policy::Policy;

/// Most names in the certificate of the agents' listener.
const MAX_NAMES: usize = 64;

/// Configuration of `assay-collector serve`; every key has a default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Data folder: database, keys, ledger head.
    pub data: PathBuf,
    /// Where agents connect (mutual TLS); port 0 takes a free one.
    pub agents: SocketAddr,
    /// Where people connect.
    pub people: SocketAddr,
    /// Where monitoring asks for `/metrics`, `/healthz` and `/readyz`, plain HTTP without sign-in; none: nowhere.
    pub operations: Option<SocketAddr>,
    /// Addresses or networks (`10.0.0.0/8`) that may ask there; empty: everybody, which is refused unless `operations` is a loopback address.
    pub operations_from: Vec<String>,
    /// Serve people plain HTTP; refused unless `people` is a loopback address.
    pub plain_http: bool,
    /// DNS names and addresses of this collector, for its own certificates; the machine's name
    /// and the loopback addresses are always among them.
    pub names: Vec<String>,
    /// Certificate chain (PEM) for people; empty: one of the collector's own authority.
    pub people_certificate: PathBuf,
    /// Private key (PEM) of `people_certificate`.
    pub people_key: PathBuf,
    /// Folder of rules, or a signed pack (`NAME.pack`, its signature beside it), instead of the built-in pack; empty: built in.
    pub rules: PathBuf,
    /// Public key (minisign) of whoever signs packs of rules.
    pub rules_key: PathBuf,
    /// File of thresholds; empty: the defaults.
    pub policy: PathBuf,
    /// Roster of people (CSV or JSON); empty: none, and rules about leavers are unknown.
    pub roster: PathBuf,
    /// Approved privileged access (CSV or JSON); empty: none, and rules about it are unknown.
    pub approvals: PathBuf,
    /// Declared third parties (CSV or JSON); empty: none, and rules about outbound connections are unknown.
    pub third_parties: PathBuf,
    /// Hosts that are known elsewhere (CSV or JSON from a cloud or a configuration management database); empty: none.
    pub inventory: PathBuf,
    /// Labels of hosts: owner, purpose, criticality, region and words of one's own (CSV or JSON); empty: none.
    pub labels: PathBuf,
    /// Index of published advisories (`assay advisories import`); empty: none, and rules about them are unknown.
    pub advisories: PathBuf,
    /// Folder of the company's own pages of commitments (or one page); empty: none.
    pub commitments: PathBuf,
    /// A host without contact for so many hours is silent.
    pub silent_after_hours: u32,
    /// How long raw facts are kept; verdicts, reports and the ledger stay.
    pub retention: Retention,
}

/// How long raw facts are kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Retention {
    /// Days for which the facts of every report are kept; those of a host's newest whole report always are.
    pub facts_days: u32,
    /// Days for which the facts of monthly reports are kept.
    pub monthly_facts_days: u32,
}

impl Default for Retention {
    fn default() -> Self {
        Self { facts_days: 400, monthly_facts_days: 800 }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data: "/var/lib/assay-collector".into(),
            agents: SocketAddr::from(([0, 0, 0, 0], 9443)),
            people: SocketAddr::from(([0, 0, 0, 0], 8443)),
            operations: None,
            operations_from: Vec::new(),
            plain_http: false,
            names: Vec::new(),
            people_certificate: PathBuf::new(),
            people_key: PathBuf::new(),
            rules: PathBuf::new(),
            rules_key: "/etc/assay/rules.pub".into(),
            policy: PathBuf::new(),
            roster: PathBuf::new(),
            approvals: PathBuf::new(),
            third_parties: PathBuf::new(),
            inventory: PathBuf::new(),
            labels: PathBuf::new(),
            advisories: PathBuf::new(),
            commitments: PathBuf::new(),
            silent_after_hours: 48,
            retention: Retention::default(),
        }
    }
}

impl Config {
    /// Reads and checks a configuration file.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let config: Self = super::read(path)?;
        config.check(&path.display().to_string())?;
        Ok(config)
    }

    /// Checks what the types can't; `name` is what an error calls the file.
    pub fn check(&self, name: &str) -> Result<(), ConfigError> {
        let bad = |key: &str, problem: String| Err(ConfigError::Value { file: name.into(), key: key.into(), problem });
        if self.plain_http && !self.people.ip().is_loopback() {
            return bad("plain_http", format!("{} is not a loopback address; take plain_http away or listen on 127.0.0.1", self.people));
        }
        if let Some(wrong) = self.operations_from.iter().find(|n| n.parse::<Network>().is_err()) {
            return bad("operations_from", format!("{wrong:?} is not an address or a network like 10.0.0.0/8"));
        }
        if self.operations.is_some_and(|o| !o.ip().is_loopback()) && self.operations_from.is_empty() {
            return bad("operations", "this is not a loopback address; name in operations_from who may ask, or listen on 127.0.0.1".into());
        }
        if self.people_certificate.as_os_str().is_empty() != self.people_key.as_os_str().is_empty() {
            return bad("people_certificate", "certificate and key go together; set people_certificate and people_key, or neither".into());
        }
        if self.names.len() > MAX_NAMES {
            return bad("names", format!("{} names are more than {MAX_NAMES}", self.names.len()));
        }
        if let Some(wrong) = self.names.iter().find(|n| !is_name(n)) {
            return bad("names", format!("{wrong:?} is not a DNS name or address"));
        }
        if !(1..=24 * 366).contains(&self.silent_after_hours) {
            return bad("silent_after_hours", format!("{} is not between 1 and 8784", self.silent_after_hours));
        }
        let Retention { facts_days, monthly_facts_days } = self.retention;
        if facts_days == 0 || monthly_facts_days < facts_days {
            return bad("retention", format!("facts_days ({facts_days}) must be at least 1 and monthly_facts_days ({monthly_facts_days}) not less than it"));
        }
        Ok(())
    }

    /// Who may ask at the operations listener; empty: everybody who reaches it.
    pub fn networks(&self) -> Vec<Network> {
        self.operations_from.iter().filter_map(|n| n.parse().ok()).collect()
    }

    /// The thresholds of `policy`, checked.
    pub fn thresholds(&self) -> Result<Policy, ConfigError> {
        if self.policy.as_os_str().is_empty() {
            return Ok(Policy::default());
        }
        let policy: Policy = super::read(&self.policy)?;
        policy.check().map_err(|e| ConfigError::Value { file: self.policy.display().to_string(), key: e.key.into(), problem: e.problem })?;
        Ok(policy)
    }
}

/// An address, or all addresses with a prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    /// Leading bits that count.
    bits: u32,
}

impl Network {
    /// Whether an address belongs to it.
    pub fn holds(&self, address: IpAddr) -> bool {
        let prefix = |value: u128, width: u32| if self.bits == 0 { 0 } else { value >> (width - self.bits) };
        match (self.address, address) {
            (IpAddr::V4(own), IpAddr::V4(other)) => prefix(own.to_bits().into(), 32) == prefix(other.to_bits().into(), 32),
            (IpAddr::V6(own), IpAddr::V6(other)) => prefix(own.to_bits(), 128) == prefix(other.to_bits(), 128),
            _ => false,
        }
    }
}

impl std::str::FromStr for Network {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        let (address, bits) = text.split_once('/').map_or((text, None), |(a, b)| (a, Some(b)));
        let address: IpAddr = address.parse().map_err(|_| ())?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            Some(bits) => bits.parse().ok().filter(|b| *b <= width).ok_or(())?,
            None => width,
        };
        Ok(Self { address, bits })
    }
}

fn is_name(text: &str) -> bool {
    let dns = !text.is_empty() && text.len() <= 253 && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b'*'));
    dns || text.parse::<std::net::IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_file_is_the_defaults_and_mistakes_name_key_and_remedy() {
        let parse = |text: &str| -> Result<Config, String> {
            let config: Config = crate::config::parse("collector.yaml", text).map_err(|e| e.to_string())?;
            config.check("collector.yaml").map_err(|e| e.to_string())?;
            Ok(config)
        };
        assert_eq!(parse("").unwrap(), Config::default());
        // The sample that packages carry shows every key with its default.
        let sample = include_str!("../../packaging/collector.yaml");
        assert_eq!(parse(sample).unwrap(), Config::default());
        let open: String = sample.lines().filter_map(|l| l.strip_prefix("#: ")).map(|l| format!("{l}\n")).collect();
        assert_eq!(parse(&open).unwrap(), Config::default());
        for key in serde_json::to_value(Config::default()).unwrap().as_object().unwrap().keys() {
            assert!(open.lines().any(|l| l.starts_with(&format!("{key}:"))), "{key} is missing in the sample");
        }
        let cases = [
            ("agentz: 127.0.0.1:1\n", "collector.yaml:1:1: unknown field `agentz`"),
            ("agents: here\n", "collector.yaml:1:9: "),
            ("plain_http: true\n", "collector.yaml: plain_http: 0.0.0.0:8443 is not a loopback address"),
            ("people_key: /k\n", "collector.yaml: people_certificate: certificate and key go together"),
            ("names: [\"a b\"]\n", "collector.yaml: names: \"a b\" is not"),
            ("operations: 0.0.0.0:9464\n", "collector.yaml: operations: this is not a loopback address"),
            ("operations_from: [10.0.0.0/33]\n", "collector.yaml: operations_from: \"10.0.0.0/33\" is not an address"),
            ("silent_after_hours: 0\n", "collector.yaml: silent_after_hours: 0 is not between"),
        ];
        for (text, expected) in cases {
            let error = parse(text).unwrap_err();
            assert!(error.starts_with(expected), "{text:?} gave {error:?}");
        }
        assert!(parse("plain_http: true\npeople: 127.0.0.1:0\n").is_ok());
        assert!(parse("operations: 127.0.0.1:9464\n").is_ok() && parse("operations: 0.0.0.0:9464\noperations_from: [10.0.0.0/8, \"fd00::/8\"]\n").is_ok());
        let holds = |network: &str, address: &str| network.parse::<Network>().unwrap().holds(address.parse().unwrap());
        assert!(holds("10.0.0.0/8", "10.9.8.7") && holds("0.0.0.0/0", "1.2.3.4") && holds("fd00::/8", "fdff::1") && holds("::1", "::1"));
        assert!(!holds("10.0.0.0/8", "11.0.0.1") && !holds("10.0.0.1", "10.0.0.2") && !holds("0.0.0.0/0", "::1") && !holds("fd00::/8", "fe80::1"));
    }
}
