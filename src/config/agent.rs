//! `/etc/assay/agent.yaml`: what the agent reads, when it scans, where it reports.
//!
//! Only this root-owned file decides what is read and spoken to; nothing that a collector sends
//! can change it.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::proxy::Proxy;
use super::{ConfigError, layers};
use crate::host::root::CONFIG_LIMIT;
use crate::host::{Host, ReadError};
use crate::model::declared::{DataPath, DatabaseAccess, Declared, PathLimit, ReplicationExpectation, SearchPath, Site, TenantPattern};
use crate::model::declared_places;
use crate::model::kept::{self, BackupSet, Offboarded, RetentionLimit, SnapshotSet};
use crate::model::policy::Policy;

/// Where the file is when nobody says otherwise.
pub const DEFAULT_PATH: &str = "/etc/assay/agent.yaml";
/// Where the agent keeps key, certificate, state and spool when nobody says otherwise.
pub const DEFAULT_STATE: &str = "/var/lib/assay";
/// Where the gatherer listens when nobody says otherwise.
pub const DEFAULT_SOCKET: &str = "/run/assay/gatherer.sock";
/// Most targets and most exclusions.
const MAX_ENDPOINTS: usize = 1024;

/// The agent's configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AgentConfig {
    /// `https://HOST:PORT` of the collector; empty: the one where the host was enrolled.
    pub collector: String,
    /// HTTP proxy on the way to the collector, `http://[USER:PASSWORD@]HOST:PORT`; empty: none. Variables of the environment
    /// (`https_proxy`) are not looked at: this file alone decides whom the agent speaks to, by hand and as a service alike.
    pub proxy: Proxy,
    /// Folder of key, certificate, state and spool.
    pub state_dir: PathBuf,
    /// IANA time zone in which weeks and months begin.
    pub time_zone: String,
    /// A scan begins this many minutes or less after the week does; which minute depends on the host.
    pub jitter_minutes: u32,
    /// Only these families are read and judged; empty: all. Rules over others are unknown.
    pub families: Vec<String>,
    /// Longest scan, seconds; what is not done by then becomes gaps.
    pub scan_deadline_seconds: u32,
    /// Time between heartbeats, seconds; requests for a scan are picked up with them.
    pub heartbeat_seconds: u32,
    /// Bounds of the spool.
    pub spool: SpoolBounds,
    /// Bounds of the probes.
    pub probe: ProbeBounds,
    /// Endpoints beside the host's own listeners, `HOST:PORT` or `HOST:PORT/udp`.
    pub targets: Vec<String>,
    /// Endpoints never spoken to, `ADDRESS:PORT`.
    pub exclusions: Vec<String>,
    /// Store of trust anchors that endpoints' certificates are judged by: `system`, `mozilla` (as Debian's ca-certificates keeps
    /// them), or the path of a file or folder of certificates.
    pub trust_store: String,
    /// Folders or files whose protection matters, beside what is found by itself.
    pub data: Vec<DataPath>,
    /// Databases whose roles are read through their local socket.
    pub databases: Vec<DatabaseAccess>,
    /// How database servers are meant to be replicated.
    pub replication: Vec<ReplicationExpectation>,
    /// Backups that are made here or arrive here: schedule, how long they are kept, what they save.
    pub backups: Vec<BackupSet>,
    /// Snapshots that are kept here.
    pub snapshots: Vec<SnapshotSet>,
    /// Data that must not grow older than a limit, by file or by a query.
    pub retention: Vec<RetentionLimit>,
    /// Customers whose contract ended, and where their data was.
    pub offboarded: Vec<Offboarded>,
    /// Folders of customers that share this machine; each match of a pattern is one tenant.
    pub tenants: Vec<TenantPattern>,
    /// Accounts that may reach every tenant, such as a backup's or a web server's.
    pub tenants_trusted: Vec<String>,
    /// Where card numbers and IBANs are looked for.
    pub search: Vec<SearchPath>,
    /// Paths that must be empty, or hold no more than so much.
    pub path_limits: Vec<PathLimit>,
    /// Where the machine stands, for machines that no cloud tells.
    pub site: Site,
    /// File with thresholds; empty: the defaults.
    pub policy: PathBuf,
    /// Public key (minisign) of whoever signs packs of rules; `assay rules install` takes no pack that it did not sign.
    pub rules_key: PathBuf,
    /// How the machine is read.
    pub gatherer: Gatherer,
}

/// Bounds of the spool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SpoolBounds {
    /// Most bytes of all spool files together; the oldest reports go first, and are counted.
    pub max_bytes: u64,
    /// A report that could not be delivered for this many days is dropped, and counted.
    pub max_age_days: u32,
}

/// Bounds of the probes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProbeBounds {
    /// Longest time for everything said to one endpoint, seconds.
    pub endpoint_deadline_seconds: u32,
    /// Longest time for everything else that a full survey asks of an endpoint that speaks TLS, seconds.
    pub survey_deadline_seconds: u32,
    /// Longest wait for a connection or an answer, seconds.
    pub answer_timeout_seconds: u32,
    /// Connections at once to one endpoint.
    pub per_target: u32,
    /// Connections at once in all.
    pub total: u32,
}

/// How the machine is read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Gatherer {
    /// Socket of the gatherer process.
    pub socket: PathBuf,
    /// User as which the agent runs: nobody else but root may ask the gatherer.
    pub agent_user: String,
    /// Read the machine in the agent process itself, without a gatherer.
    pub in_process: bool,
}

impl Default for AgentConfig {
    fn default() -> Self {
        Self {
            collector: String::new(),
            proxy: Proxy::default(),
            state_dir: DEFAULT_STATE.into(),
            time_zone: "UTC".into(),
            jitter_minutes: 360,
            families: Vec::new(),
            scan_deadline_seconds: 900,
            heartbeat_seconds: 900,
            spool: SpoolBounds::default(),
            probe: ProbeBounds::default(),
            targets: Vec::new(),
            exclusions: Vec::new(),
            trust_store: "system".into(),
            data: Vec::new(),
            databases: Vec::new(),
            replication: Vec::new(),
            backups: Vec::new(),
            snapshots: Vec::new(),
            retention: Vec::new(),
            offboarded: Vec::new(),
            tenants: Vec::new(),
            tenants_trusted: Vec::new(),
            search: Vec::new(),
            path_limits: Vec::new(),
            site: Site::default(),
            policy: PathBuf::new(),
            rules_key: "/etc/assay/rules.pub".into(),
            gatherer: Gatherer::default(),
        }
    }
}

impl Default for SpoolBounds {
    fn default() -> Self {
        Self { max_bytes: 256 << 20, max_age_days: 400 }
    }
}

impl Default for ProbeBounds {
    fn default() -> Self {
        Self { endpoint_deadline_seconds: 10, survey_deadline_seconds: 60, answer_timeout_seconds: 3, per_target: 4, total: 64 }
    }
}

impl Default for Gatherer {
    fn default() -> Self {
        Self { socket: DEFAULT_SOCKET.into(), agent_user: "assay-agent".into(), in_process: false }
    }
}

impl AgentConfig {
    /// Reads and checks `path` and its drop-ins (`path.d/*.yaml`). Without one, [`DEFAULT_PATH`] if it is there, else the defaults.
    pub fn load(path: Option<&Path>) -> Result<Self, ConfigError> {
        let file = path.unwrap_or(Path::new(DEFAULT_PATH));
        let mut files = Vec::new();
        if path.is_some() || !matches!(file.try_exists(), Ok(false)) {
            files.push((file.display().to_string(), super::text(file)?));
        }
        files.extend(layers::drop_ins(file)?);
        layers::merge(&files, Self::check)
    }

    /// The configuration of another machine's root, `/etc/assay/agent.yaml` below it and its drop-ins; the defaults when there is none.
    pub fn load_below(root: &Host) -> Result<Self, ConfigError> {
        let shown = |path: &str| root.path().join(path.trim_start_matches('/')).display().to_string();
        let fail = |path: &str, e: ReadError| ConfigError::Value { file: shown(path), key: "file".into(), problem: e.to_string() };
        let folder = layers::folder_of(Path::new(DEFAULT_PATH)).display().to_string();
        let mut paths: Vec<String> = match root.list(&folder) {
            Ok(entries) => entries.into_iter().map(|e| e.name).filter(|n| layers::is_drop_in(n)).map(|n| format!("{folder}/{n}")).collect(),
            Err(e) if e.is_not_found() => Vec::new(),
            Err(e) => return Err(fail(&folder, e)),
        };
        layers::check_number(&shown(&folder), paths.len())?;
        paths.sort();
        let mut files = Vec::new();
        for path in std::iter::once(DEFAULT_PATH).chain(paths.iter().map(String::as_str)) {
            match root.read_text(path, CONFIG_LIMIT) {
                Ok(text) => files.push((shown(path), text)),
                Err(e) if e.is_not_found() => {}
                Err(e) => return Err(fail(path, e)),
            }
        }
        layers::merge(&files, Self::check)
    }

    /// Time between heartbeats.
    pub const fn heartbeat(&self) -> std::time::Duration {
        std::time::Duration::from_secs(self.heartbeat_seconds as u64)
    }

    /// What the operator declares.
    pub fn declared(&self) -> Declared {
        Declared {
            data: self.data.clone(),
            databases: self.databases.clone(),
            replication: self.replication.clone(),
            backups: self.backups.clone(),
            snapshots: self.snapshots.clone(),
            retention: self.retention.clone(),
            offboarded: self.offboarded.clone(),
            tenants: self.tenants.clone(),
            tenants_trusted: self.tenants_trusted.clone(),
            search: self.search.clone(),
            path_limits: self.path_limits.clone(),
            site: self.site.clone(),
        }
    }

    /// The thresholds: the policy file, or the defaults.
    pub fn thresholds(&self) -> Result<Policy, ConfigError> {
        if self.policy.as_os_str().is_empty() {
            return Ok(Policy::default());
        }
        read_policy(&self.policy)
    }

    /// Checks ranges and forms.
    pub fn check(&self, file: &str) -> Result<(), ConfigError> {
        let bad = |key: &str, problem: String| Err(ConfigError::Value { file: file.into(), key: key.into(), problem });
        if !self.collector.is_empty() && !is_collector_url(&self.collector) {
            return bad("collector", format!("{:?} is not an address, write https://HOST:PORT", self.collector));
        }
        if jiff::tz::TimeZone::get(&self.time_zone).is_err() {
            return bad("time_zone", format!("{:?} is not a known time zone, write one like UTC or Europe/Vienna", self.time_zone));
        }
        for (key, value, least, most) in self.ranges() {
            if !(least..=most).contains(&value) {
                return bad(key, format!("{value} is not between {least} and {most}"));
            }
        }
        if !is_trust_store(&self.trust_store) {
            return bad("trust_store", format!("{:?} is neither system nor mozilla nor an absolute path", self.trust_store));
        }
        for (key, list) in [("targets", &self.targets), ("exclusions", &self.exclusions)] {
            if list.len() > MAX_ENDPOINTS {
                return bad(key, format!("{} entries are more than {MAX_ENDPOINTS}", list.len()));
            }
            if let Some(wrong) = list.iter().find(|t| !is_endpoint(t)) {
                return bad(key, format!("{wrong:?} is not HOST:PORT (IPv6 in brackets)"));
            }
        }
        let declared = self.data.iter().map(|d| ("data", d.path.as_str())).chain(self.databases.iter().map(|d| ("databases", d.socket.as_str())));
        for (count, (key, path)) in declared.enumerate() {
            if count == MAX_ENDPOINTS {
                return bad(key, format!("more than {MAX_ENDPOINTS} declarations"));
            }
            if !path.starts_with('/') {
                return bad(key, format!("{path:?} is not an absolute path"));
            }
        }
        if self.replication.len() > MAX_ENDPOINTS {
            return bad("replication", format!("more than {MAX_ENDPOINTS} declarations"));
        }
        if let Err((key, problem)) = kept::check(&self.declared()) {
            return bad(&key, problem);
        }
        if let Err((key, problem)) = declared_places::check(&self.declared()) {
            return bad(key, problem);
        }
        for (key, path) in [("state_dir", &self.state_dir), ("gatherer.socket", &self.gatherer.socket)] {
            if !path.is_absolute() {
                return bad(key, format!("{:?} is not an absolute path", path.display().to_string()));
            }
        }
        Ok(())
    }

    fn ranges(&self) -> [(&'static str, u64, u64, u64); 10] {
        [
            // Six days: the rest of the week is left for catching up.
            ("jitter_minutes", self.jitter_minutes.into(), 0, 6 * 24 * 60),
            ("scan_deadline_seconds", self.scan_deadline_seconds.into(), 10, 86_400),
            ("heartbeat_seconds", self.heartbeat_seconds.into(), 1, 3_600),
            ("spool.max_bytes", self.spool.max_bytes, 1 << 20, 1 << 40),
            ("spool.max_age_days", self.spool.max_age_days.into(), 36, 3_650),
            ("probe.endpoint_deadline_seconds", self.probe.endpoint_deadline_seconds.into(), 1, 600),
            ("probe.survey_deadline_seconds", self.probe.survey_deadline_seconds.into(), 1, 3_600),
            ("probe.answer_timeout_seconds", self.probe.answer_timeout_seconds.into(), 1, 60),
            ("probe.per_target", self.probe.per_target.into(), 1, 16),
            ("probe.total", self.probe.total.into(), 1, 1024),
        ]
    }
}

/// Reads and checks a file of thresholds.
pub fn read_policy(path: &Path) -> Result<Policy, ConfigError> {
    let policy: Policy = super::read(path)?;
    policy.check().map_err(|e| ConfigError::Value { file: path.display().to_string(), key: e.key.into(), problem: e.problem })?;
    Ok(policy)
}

/// Whether a text is `https://HOST:PORT`, a trailing slash allowed.
pub fn is_collector_url(text: &str) -> bool {
    text.strip_prefix("https://").is_some_and(|rest| is_host_and_port(rest.trim_end_matches('/')))
}

/// Whether `text` names a store of trust anchors.
pub fn is_trust_store(text: &str) -> bool {
    matches!(text, "system" | "mozilla") || text.starts_with('/')
}

/// Whether a text is `HOST:PORT`, IPv6 in brackets, `/tcp` or `/udp` behind it allowed, and behind that ` sni NAME`.
pub fn is_endpoint(text: &str) -> bool {
    let (text, name) = text.split_once(" sni ").unwrap_or((text, "any"));
    is_host_name(name) && is_host_and_port(text.strip_suffix("/udp").or_else(|| text.strip_suffix("/tcp")).unwrap_or(text))
}

pub(super) fn is_host_and_port(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else {
        return false;
    };
    let port = !port.starts_with('+') && port.parse::<u16>().is_ok_and(|p| p != 0);
    let host = match host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
        Some(inner) => inner.parse::<std::net::Ipv6Addr>().is_ok(),
        None => is_host_name(host),
    };
    port && host
}

/// Whether a text may be a host name or an IPv4 address.
pub fn is_host_name(text: &str) -> bool {
    !text.is_empty() && text.len() <= 253 && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<AgentConfig, String> {
        let config: AgentConfig = super::super::parse("agent.yaml", text).map_err(|e| e.to_string())?;
        config.check("agent.yaml").map_err(|e| e.to_string())?;
        Ok(config)
    }

    #[test]
    fn an_empty_file_and_the_sample_are_the_defaults() {
        assert_eq!(parse("").unwrap(), AgentConfig::default());
        assert_eq!(parse("# nothing\n\n").unwrap(), AgentConfig::default());
        let sample = include_str!("../../packaging/agent.yaml");
        assert_eq!(parse(sample).unwrap(), AgentConfig::default());
        // The sample shows every key commented out; with the marks taken off it still parses.
        let open: String = sample.lines().filter_map(|l| l.strip_prefix("#: ")).map(|l| format!("{l}\n")).collect();
        let all = serde_json::to_value(parse(&open).unwrap()).unwrap();
        for key in all.as_object().unwrap().keys() {
            assert!(open.contains(&format!("{key}:")), "{key} is missing in the sample");
        }
    }

    #[test]
    fn every_mistake_names_file_place_and_remedy() {
        let cases = [
            ("state_dir: /x\nstate_dri: /y\n", "agent.yaml:2:1: unknown field `state_dri`"),
            ("spool:\n  max_bytes: many\n", "agent.yaml:2:14: "),
            ("gatherer:\n  in_process: yes\n", "agent.yaml:2:15: "),
            ("targets: [a]\n", "agent.yaml: targets: \"a\" is not HOST:PORT"),
            ("time_zone: Mars/Base\n", "agent.yaml: time_zone: \"Mars/Base\" is not a known time zone"),
            ("proxy: http://u:s3cret@p\n", "agent.yaml:1:8: proxy is not http://HOST:PORT"),
            ("collector: http://c:1\n", "agent.yaml: collector: \"http://c:1\" is not an address"),
            ("jitter_minutes: 99999\n", "agent.yaml: jitter_minutes: 99999 is not between 0 and 8640"),
            ("a: &a [x]\ntargets: *a\n", "agent.yaml:"),
            ("state_dir: /a\nstate_dir: /b\n", "agent.yaml:2:1: "),
            ("targets: [\n", "agent.yaml:"),
            ("tenants: [{path: srv}]\n", "agent.yaml: tenants: \"srv\" is not an absolute path"),
            ("search: [{path: /srv, kinds: [cards]}]\n", "agent.yaml:1:"),
            ("path_limits: [{path: /srv, max_files: 3}]\n", "agent.yaml: path_limits: /srv: more than no file needs a note"),
            ("site: {country: Germany}\n", "agent.yaml: site: country \"Germany\" is not two capital letters"),
        ];
        for (text, expected) in cases {
            let error = parse(text).unwrap_err();
            assert!(error.starts_with(expected), "{text:?} gave {error:?}");
            assert!(!error.contains('\n') && !error.contains("s3cret"), "{error:?}");
        }
    }

    #[test]
    fn endpoints_are_host_and_port() {
        for good in ["web01:443", "10.0.0.1:1", "[::1]:8443", "a-b.example:65535", "ns1:53/udp", "[::1]:53/tcp"] {
            assert!(is_endpoint(good), "{good}");
        }
        for bad in ["web01", "web01:0", "web01:65536", "::1:443", ":443", "a b:1", "web01:+1", "x/y:1", "ns1:53/sctp", "ns1/udp", "ns1:53/udp/udp"] {
            assert!(!is_endpoint(bad), "{bad}");
        }
    }

    #[test]
    fn a_file_that_everybody_may_write_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("agent.yaml");
        std::fs::write(&path, "").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).unwrap();
        assert!(AgentConfig::load(Some(&path)).unwrap_err().to_string().contains("writable by everybody"));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(AgentConfig::load(Some(&path)).unwrap(), AgentConfig::default());
    }
}
