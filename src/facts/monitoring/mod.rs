//! Agents that watch the machine and tell somebody: installed, started at boot, running.
//!
//! Whether anybody looks at what they tell is a matter of records, not of the machine.

pub(in crate::facts) mod known;
mod logins;
pub(in crate::facts) mod observed;
pub(in crate::facts) mod texts;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::known::{KNOWN, Known};
use self::logins::Origin;
use self::observed::Observer;
use super::jobs::names::Names;
use super::{Document, HostFamily};
use crate::host::{Host, clock, manager};
use crate::model::fact::Source;
use crate::model::gap::{Gaps, reason};

/// What watches the machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Monitoring {
    /// Known agents that are installed (`rules/data/agents.csv`), anti-malware left to the family `malware`, by subject.
    pub agents: Vec<Program>,
    /// Networks from which people signed in, by the records of `/var/log/wtmp`, by subject.
    pub logins: Vec<Origin>,
}

impl Document for Monitoring {
    const NAME: &'static str = "monitoring";
    const TITLE: &'static str = "Agents that watch the machine, and networks from which people signed in";
}

/// A program that should run all the time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Program {
    /// Its name, such as `Zabbix agent`.
    pub subject: String,
    /// `monitoring`, `log-shipper`, `integrity`, `management`; of the family `logging`: `journald`, `rsyslog`, `syslog-ng`, `auditd`.
    pub kind: String,
    /// Package or file that shows that it is installed.
    pub installed_by: String,
    /// Unit that starts it; empty when there is none.
    pub unit: String,
    /// What `systemctl is-enabled` says of the unit; `init` for a link of another init system; empty without a unit.
    pub unit_state: String,
    /// Whether it starts by itself when the machine does.
    pub enabled: bool,
    /// Whether a process of it runs; `null` when that can't be told.
    pub running: Option<bool>,
    /// The unit's file, or what shows that it is installed.
    pub source: Source,
}

impl Program {
    /// What is known of an installed program.
    pub(in crate::facts) fn observe(observer: &Observer<'_>, name: &str, kind: &str, installed_by: String, units: &[&str], processes: &[&str]) -> Self {
        let unit = observer.unit(units);
        let running = if processes.is_empty() { None } else { observer.is_running(processes) };
        let source = if unit.name.is_empty() { Source::whole(&installed_by) } else { unit.source };
        Self { subject: name.into(), kind: kind.into(), installed_by, unit: unit.name, unit_state: unit.state, enabled: unit.enabled, running, source }
    }
}

/// Installed agents of these kinds; what can't be told of them is a gap of `family` over `path`.
pub(in crate::facts) fn installed(
    observer: &Observer<'_>,
    kinds: &[&str],
    family: &'static str,
    path: &str,
    gaps: &mut Gaps,
) -> Vec<(&'static Known, Program)> {
    let host = observer.host;
    let packages = manager::versions(host);
    if packages.is_empty() && manager::of(host).is_some() {
        gaps.note(family, path, "", reason::READ_FAILED, "the database of packages can't be read", "");
    }
    let mut out = Vec::new();
    for known in KNOWN.iter().filter(|k| kinds.contains(&k.kind)) {
        let exists = |file: &str| host.exists(file).unwrap_or(false);
        let by_unit = || known.units.iter().find(|u| !observer.unit(&[u]).name.is_empty()).map(|u| (*u).to_string());
        let Some(installed_by) = known.installed_by(&packages, exists).or_else(by_unit) else { continue };
        let program = Program::observe(observer, known.name, known.kind, installed_by, &known.units, &known.processes);
        if host.is_live() && program.running.is_none() && !matches!(known.kind, "malware-scanner") {
            let detail = format!("no process of {} is known by name", known.name);
            gaps.note(family, &format!("{path}.running"), known.name, reason::UNSUPPORTED, detail, "");
        }
        out.push((known, program));
    }
    out.sort_by(|a, b| a.1.subject.cmp(&b.1.subject));
    out
}

/// Says once that nothing runs on a root folder.
pub(in crate::facts) fn note_not_live(host: &Host, family: &'static str, path: &str, gaps: &mut Gaps) {
    if !host.is_live() {
        gaps.note(family, path, "", reason::NEEDS_LIVE_KERNEL, "nothing runs on a root folder", "Scan the machine itself.");
    }
}

impl HostFamily for Monitoring {
    const WATCHED: &'static [&'static str] = &["/etc/systemd/system/**"];

    fn gather(host: &Host, gaps: &mut Gaps) -> Option<Self> {
        let names = Names::read(host, clock::unix_now());
        let observer = Observer::read(host, &names, Self::NAME, "agents", gaps);
        let kinds = ["monitoring", "log-shipper", "integrity", "management"];
        let agents: Vec<Program> = installed(&observer, &kinds, Self::NAME, "agents", gaps).into_iter().map(|(_, program)| program).collect();
        if !agents.is_empty() {
            note_not_live(host, Self::NAME, "agents.running", gaps);
        }
        Some(Self { agents, logins: logins::gather(host, gaps) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::testing::recorded;

    #[test]
    fn agents_by_package_unit_and_file() {
        let status = "Package: zabbix-agent2\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1\n\n\
                      Package: telegraf\nStatus: deinstall ok config-files\nArchitecture: amd64\nVersion: 1\n";
        let (_root, host) = recorded(&[
            ("var/lib/dpkg/status", status),
            ("usr/lib/systemd/system/zabbix-agent2.service", "[Service]\nExecStart=/usr/sbin/zabbix_agent2\n[Install]\nWantedBy=multi-user.target\n"),
            ("etc/systemd/system/node_exporter.service", "[Service]\nExecStart=/opt/node_exporter\n"),
            ("opt/dynatrace/oneagent/x", ""),
            ("proc/stat", "btime 1\n"),
            ("proc/1/comm", "systemd\n"),
            ("proc/7/comm", "zabbix_agent2\n"),
        ]);
        let mut gaps = Gaps::new();
        let found = Monitoring::gather(&host, &mut gaps).unwrap();
        let shown: Vec<String> = found.agents.iter().map(|a| format!("{} by {} {:?} {}", a.subject, a.installed_by, a.running, a.unit_state)).collect();
        assert_eq!(
            shown,
            [
                "Dynatrace OneAgent by /opt/dynatrace/oneagent Some(false) ",
                "Prometheus node exporter by node_exporter.service Some(false) static",
                "Zabbix agent 2 by zabbix-agent2 Some(true) disabled"
            ]
        );
        assert!(found.agents.iter().all(|a| !a.enabled));
    }
}
