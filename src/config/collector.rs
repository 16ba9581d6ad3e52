//! `collector.yaml`: where the collector listens, what it judges by, when a host is silent.

use std::net::SocketAddr;
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
    /// Index of published advisories (`assay advisories import`); empty: none, and rules about them are unknown.
    pub advisories: PathBuf,
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
            plain_http: false,
            names: Vec::new(),
            people_certificate: PathBuf::new(),
            people_key: PathBuf::new(),
            rules: PathBuf::new(),
            rules_key: "/etc/assay/rules.pub".into(),
            policy: PathBuf::new(),
            roster: PathBuf::new(),
            approvals: PathBuf::new(),
            advisories: PathBuf::new(),
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
        let cases = [
            ("agentz: 127.0.0.1:1\n", "collector.yaml:1:1: unknown field `agentz`"),
            ("agents: here\n", "collector.yaml:1:9: "),
            ("plain_http: true\n", "collector.yaml: plain_http: 0.0.0.0:8443 is not a loopback address"),
            ("people_key: /k\n", "collector.yaml: people_certificate: certificate and key go together"),
            ("names: [\"a b\"]\n", "collector.yaml: names: \"a b\" is not"),
            ("silent_after_hours: 0\n", "collector.yaml: silent_after_hours: 0 is not between"),
        ];
        for (text, expected) in cases {
            let error = parse(text).unwrap_err();
            assert!(error.starts_with(expected), "{text:?} gave {error:?}");
        }
        assert!(parse("plain_http: true\npeople: 127.0.0.1:0\n").is_ok());
    }
}
