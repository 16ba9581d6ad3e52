//! Services of the machine: which start by themselves, which run, which failed, and whether both
//! agree; systemd, OpenRC and System V scripts.

mod guards;
mod openrc;
mod running;
mod systemd;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Document, HostFamily};
use crate::host::Host;
use crate::host::dbus::LoadedUnit;
use crate::model::fact::Source;
use crate::model::gap::{Gaps, reason};

/// Services by their files, and what runs of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Units {
    /// `systemd`, `openrc`, `sysv`, or empty when there is none of them.
    pub manager: String,
    /// Units that start something, by name; instances of templates that are linked are among them.
    pub items: Vec<Unit>,
    /// Of these, services that protect or watch the machine (`rules/data/security-units.csv`), by name.
    pub guards: Vec<Guard>,
}

impl Document for Units {
    const NAME: &'static str = "units";
    const TITLE: &'static str = "Services that start by themselves, run, or failed; and those of them that protect or watch the machine";
}

/// One unit or script.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Unit {
    /// Name, such as `nginx.service`; of a script its own.
    pub subject: String,
    /// `service`, `socket`, `timer`, `path`, `mount`, `target` or `script`.
    pub kind: String,
    /// What `systemctl is-enabled` says: `enabled`, `disabled`, `static`, `masked`, `alias`, …; of scripts `enabled` or `disabled`.
    pub state: String,
    /// The unit that it is another name of; empty: none.
    pub alias_of: String,
    /// Whether it is told to start by itself, at the start of the machine or on a connection, a time or a path.
    pub enabled: bool,
    /// `active`, `inactive`, `failed`, `activating`, …, as its manager says; `null` when it was not asked.
    #[schemars(extend("x-volatile" = true))]
    pub active: Option<String>,
    /// Whether it has processes; `null` when that can't be told.
    #[schemars(extend("x-volatile" = true))]
    pub running: Option<bool>,
    /// Whether it is a service that goes on running once started (`Type=` is not `oneshot`), and every condition of its unit is known to hold.
    pub lasting: bool,
    /// `enabled-not-running` (a lasting service without processes), `running-not-enabled` (not told to start, and it runs), or empty.
    #[schemars(extend("x-volatile" = true))]
    pub difference: String,
    /// File that defines it.
    pub source: Source,
}

/// One service that protects or watches the machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Guard {
    /// Name of the unit.
    pub subject: String,
    /// What it does: `anti-virus`, `audit`, `backup`, `firewall`, `integrity`, `intrusion`, `logging`, `mandatory-access-control`, `monitoring`, `time`, `updates`.
    pub purpose: String,
    /// As in `items`.
    pub enabled: bool,
    /// As in `items`.
    pub lasting: bool,
    /// As in `items`.
    #[schemars(extend("x-volatile" = true))]
    pub running: Option<bool>,
    /// Whether it failed; `null` when the manager was not asked.
    #[schemars(extend("x-volatile" = true))]
    pub failed: Option<bool>,
    /// File that defines it.
    pub source: Source,
}

impl HostFamily for Units {
    const WATCHED: &'static [&'static str] = &[
        "/etc/systemd/system/**",
        "/usr/local/lib/systemd/system/**",
        "/usr/lib/systemd/system/**",
        "/etc/runlevels/**",
        "/etc/rc2.d/*",
        "/etc/rc3.d/*",
        "/etc/rc5.d/*",
    ];

    fn gather(host: &Host, gaps: &mut Gaps) -> Option<Self> {
        let is_there = |path: &str| host.exists(path).unwrap_or(false);
        let (manager, mut items) = if is_there("/etc/runlevels") && (is_there("/sbin/openrc") || is_there("/usr/sbin/openrc")) {
            ("openrc", openrc::openrc(host, gaps))
        } else if is_there("/usr/lib/systemd/systemd") || is_there("/lib/systemd/systemd") {
            ("systemd", systemd::units(host, gaps))
        } else {
            let items = openrc::sysv(host, gaps);
            (if items.is_empty() { "" } else { "sysv" }, items)
        };
        if !items.is_empty() {
            running::tell(host, manager, &mut items, gaps);
        }
        for item in &mut items {
            item.difference = difference(item).into();
        }
        items.sort_by(|a, b| a.subject.cmp(&b.subject));
        Some(Self { manager: manager.into(), guards: guards::of(&items), items })
    }
}

impl Units {
    /// The same with what systemd says of its units.
    #[must_use]
    pub fn with_loaded(mut self, loaded: Vec<LoadedUnit>) -> Self {
        running::lay_over(loaded, &mut self.items);
        self.guards = guards::of(&self.items);
        self
    }
}

fn difference(unit: &Unit) -> &'static str {
    let is_activated_otherwise = !matches!(unit.state.as_str(), "disabled" | "masked" | "masked-runtime");
    match unit.running {
        Some(false) if unit.enabled && unit.lasting && unit.state == "enabled" => "enabled-not-running",
        Some(true) if !unit.enabled && !is_activated_otherwise => "running-not-enabled",
        _ => "",
    }
}

/// Says that what runs can't be told.
fn not_told(gaps: &mut Gaps, paths: &[&str], id: &str, detail: &str, remedy: &str) {
    for path in paths {
        gaps.note(Units::NAME, path, "", id, detail, remedy);
    }
}

/// Paths of what only a running machine tells.
const LIVE: [&str; 5] = ["items.active", "items.running", "items.difference", "guards.running", "guards.failed"];

/// Without a running machine nothing runs.
fn needs_live(gaps: &mut Gaps) {
    not_told(gaps, &LIVE, reason::NEEDS_LIVE_KERNEL, "a root folder has no running services", "Scan the machine itself.");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::testing::{recorded, rooted};

    #[test]
    fn scripts_of_openrc() {
        let (root, host) = recorded(&[
            ("sbin/openrc", ""),
            ("etc/init.d/sshd", ""),
            ("etc/init.d/nftables", ""),
            ("etc/init.d/telnetd", ""),
            ("run/openrc/softlevel", "default"),
        ]);
        let link = |target: &str, path: &str| {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::os::unix::fs::symlink(target, path).unwrap();
        };
        link("/etc/init.d/sshd", "etc/runlevels/default/sshd");
        link("/etc/init.d/nftables", "etc/runlevels/boot/nftables");
        link("/etc/init.d/sshd", "run/openrc/started/sshd");
        link("/etc/init.d/nftables", "run/openrc/failed/nftables");
        let mut gaps = Gaps::new();
        let units = Units::gather(&host, &mut gaps).unwrap();
        let shown: Vec<String> =
            units.items.iter().map(|u| format!("{} {} {:?} {:?}", u.subject, u.state, u.active.as_deref().unwrap_or("-"), u.running)).collect();
        assert_eq!(shown, ["nftables enabled \"failed\" Some(false)", "sshd enabled \"active\" Some(true)", "telnetd disabled \"inactive\" Some(false)"]);
        assert_eq!((units.guards[0].purpose.as_str(), units.guards[0].failed), ("firewall", Some(true)));
        assert_eq!(gaps.into_sorted(), []);
    }

    #[test]
    fn a_root_has_no_running_units() {
        let (_root, host) = rooted(&[
            ("usr/lib/systemd/systemd", ""),
            ("usr/lib/systemd/system/auditd.service", "[Service]\nExecStart=/sbin/auditd\n[Install]\nWantedBy=multi-user.target\n"),
        ]);
        let mut gaps = Gaps::new();
        let units = Units::gather(&host, &mut gaps).unwrap();
        assert_eq!((units.items[0].state.as_str(), units.items[0].enabled, units.guards[0].purpose.as_str()), ("disabled", false, "audit"));
        assert_eq!(gaps.into_sorted().len(), LIVE.len());
        let (_root, host) = rooted(&[]);
        let mut gaps = Gaps::new();
        assert_eq!(Units::gather(&host, &mut gaps), Some(Units::default()));
        assert_eq!(gaps.into_sorted(), []);
    }

    #[test]
    fn control_groups_tell_what_runs() {
        let (_root, host) = recorded(&[
            ("usr/lib/systemd/systemd", ""),
            ("usr/lib/systemd/system/a.service", "[Service]\nExecStart=/a\n[Install]\nWantedBy=multi-user.target\n"),
            ("usr/lib/systemd/system/b.service", "[Service]\nExecStart=/b\n[Install]\nWantedBy=multi-user.target\n"),
            ("etc/systemd/system/multi-user.target.wants/a.service", ""),
            ("sys/fs/cgroup/system.slice/b.service/cgroup.events", "populated 1\nfrozen 0\n"),
            ("sys/fs/cgroup/system.slice/a.service/cgroup.events", "populated 0\nfrozen 0\n"),
        ]);
        let units = Units::gather(&host, &mut Gaps::new()).unwrap();
        let shown: Vec<(&str, &str)> = units.items.iter().map(|u| (u.subject.as_str(), u.difference.as_str())).collect();
        assert_eq!(shown, [("a.service", "enabled-not-running"), ("b.service", "running-not-enabled")]);
    }
}
