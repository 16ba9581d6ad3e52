//! What updates an rpm system without a person: dnf-automatic, yum-cron, and SUSE's timers.

use super::database::Database;
use super::ini::{self, boolean};
use super::repositories::Program;
use crate::host::offers::{Automatic, Offers};
use crate::host::{CONFIG_LIMIT, FileKind, Host, ReadError};
use crate::model::fact::Source;
use crate::model::gap::reason;

/// A unit that installs updates when it runs.
struct Starter {
    unit: &'static str,
    /// Packages that bring it, any of them.
    packages: &'static [&'static str],
    /// Configuration files that must say `apply_updates = yes`, the first that says anything wins;
    /// none: the unit installs by itself.
    settings: &'static [&'static str],
}

const STARTERS: &[Starter] = &[
    Starter { unit: "dnf-automatic-install.timer", packages: &["dnf-automatic"], settings: &[] },
    Starter { unit: "dnf-automatic.timer", packages: &["dnf-automatic"], settings: &["/etc/dnf/automatic.conf"] },
    Starter {
        unit: "dnf5-automatic.timer",
        packages: &["dnf5-plugin-automatic"],
        settings: &["/etc/dnf/dnf5-plugins/automatic.conf", "/etc/dnf/automatic.conf", "/usr/share/dnf5/dnf5-plugins/automatic.conf"],
    },
    Starter { unit: "yum-cron.service", packages: &["yum-cron"], settings: &["/etc/yum/yum-cron.conf"] },
    Starter { unit: "transactional-update.timer", packages: &["transactional-update"], settings: &[] },
    Starter { unit: "os-update.timer", packages: &["os-update"], settings: &[] },
];

/// Adds `automatic`.
pub fn read(host: &Host, database: &Database, program: Program, out: &mut Offers) {
    let mut found: Option<Automatic> = None;
    for starter in STARTERS.iter().filter(|s| s.packages.iter().any(|p| database.has(p))) {
        match judge(host, starter) {
            Ok(automatic) => {
                if found.as_ref().is_none_or(|f| (automatic.enabled, automatic.lists_every_days) >= (f.enabled, f.lists_every_days)) {
                    found = Some(automatic);
                }
            }
            Err(e) => out.hide("automatic", reason::READ_FAILED, e.to_string(), "Run the scan as root."),
        }
    }
    if let Some(automatic) = found {
        out.automatic = automatic;
        return;
    }
    let place = match program {
        Program::Dnf => "/etc/dnf/automatic.conf",
        Program::Dnf5 => "/etc/dnf/dnf5-plugins/automatic.conf",
        Program::Zypper => "/etc/systemd/system/timers.target.wants/os-update.timer",
    };
    let obstacles = vec!["no program that installs updates by itself is installed".to_string()];
    out.automatic = Automatic { source: Source::whole(place), obstacles, ..Automatic::default() };
}

fn judge(host: &Host, starter: &Starter) -> Result<Automatic, ReadError> {
    let mut out = Automatic { tool_installed: true, ..Automatic::default() };
    let target = if starter.unit.ends_with(".timer") { "timers" } else { "multi-user" };
    let wanted = format!("/etc/systemd/system/{target}.target.wants/{}", starter.unit);
    let masked = format!("/etc/systemd/system/{}", starter.unit);
    if is_masked(host, &masked)? {
        out.obstacles.push(format!("{} is masked", starter.unit));
        out.source = Source::whole(masked);
        return Ok(out);
    }
    let started = match host.stat_link(&wanted) {
        Ok(stat) => matches!(stat.kind, FileKind::Link | FileKind::File),
        Err(e) if e.is_not_found() => false,
        Err(e) => return Err(e),
    };
    out.source = Source::whole(wanted);
    if !started {
        out.obstacles.push(format!("{} is not enabled", starter.unit));
        return Ok(out);
    }
    out.lists_every_days = 1;
    // systemd keeps the time of the last run of a persistent timer as that of an empty file.
    out.last_run_at = host.stat(&format!("/var/lib/systemd/timers/stamp-{}", starter.unit)).ok().map(|s| s.modified);
    let applied = match applies(host, starter)? {
        Some((on, source)) => {
            out.source = source;
            on
        }
        None => starter.settings.is_empty(),
    };
    if applied {
        (out.upgrade_every_days, out.enabled) = (1, true);
    } else {
        out.obstacles.push(format!("apply_updates is not yes ({}:{})", out.source.place, out.source.line));
    }
    Ok(out)
}

fn is_masked(host: &Host, path: &str) -> Result<bool, ReadError> {
    match host.read_link(path) {
        Ok(target) => Ok(target == "/dev/null"),
        Err(ReadError::NotFound(_) | ReadError::Io(..)) => Ok(false),
        Err(e) => Err(e),
    }
}

/// `apply_updates` of the first file that sets it; the programs' own default is no.
fn applies(host: &Host, starter: &Starter) -> Result<Option<(bool, Source)>, ReadError> {
    for place in starter.settings {
        let text = match host.read_text(place, CONFIG_LIMIT) {
            Ok(text) => text,
            Err(e) if e.is_not_found() => continue,
            Err(e) => return Err(e),
        };
        let sections = ini::parse(&text).unwrap_or_default();
        let setting = sections.iter().filter(|s| s.name == "commands").find_map(|s| s.setting("apply_updates"));
        if let Some(setting) = setting {
            return Ok(Some((boolean(&setting.value) == Some(true), Source::line(*place, setting.line, "apply_updates"))));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::rpm::database::Installed;

    fn automatic(packages: &[&str], files: &[(&str, &str)], links: &[(&str, &str)]) -> String {
        let root = tempfile::tempdir().unwrap();
        let at = |path: &str| {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            path
        };
        for (path, text) in files {
            std::fs::write(at(path), text).unwrap();
        }
        for (path, target) in links {
            std::os::unix::fs::symlink(target, at(path)).unwrap();
        }
        let packages = packages.iter().map(|n| Installed { name: (*n).into(), ..Installed::default() }).collect();
        let mut out = Offers::default();
        read(&Host::rooted(root.path()).unwrap(), &Database { packages, place: String::new() }, Program::Dnf, &mut out);
        let a = out.automatic;
        format!("{} {} {} {}:{}", a.tool_installed, a.enabled, a.upgrade_every_days, a.source.place, a.source.line)
    }

    const TIMER: (&str, &str) = ("etc/systemd/system/timers.target.wants/dnf-automatic.timer", "/usr/lib/systemd/system/dnf-automatic.timer");
    const APPLIES: (&str, &str) = ("etc/dnf/automatic.conf", "[commands]\nupgrade_type = security\n# apply_updates = no\napply_updates = yes\n");

    #[test]
    fn timer_and_setting_are_both_needed() {
        assert_eq!(automatic(&["dnf-automatic"], &[APPLIES], &[TIMER]), "true true 1 /etc/dnf/automatic.conf:4");
        let downloads = ("etc/dnf/automatic.conf", "[commands]\napply_updates = no\n[emitters]\napply_updates = yes\n");
        assert_eq!(automatic(&["dnf-automatic"], &[downloads], &[TIMER]), "true false 0 /etc/dnf/automatic.conf:2");
        assert_eq!(automatic(&["dnf-automatic"], &[APPLIES], &[]), "true false 0 /etc/systemd/system/timers.target.wants/dnf-automatic.timer:0");
        assert_eq!(automatic(&[], &[APPLIES], &[TIMER]), "false false 0 /etc/dnf/automatic.conf:0");
    }

    #[test]
    fn masks_and_timers_that_install_by_themselves() {
        let install = ("etc/systemd/system/timers.target.wants/dnf-automatic-install.timer", "/x");
        assert_eq!(automatic(&["dnf-automatic"], &[], &[install]), "true true 1 /etc/systemd/system/timers.target.wants/dnf-automatic-install.timer:0");
        let mask = ("etc/systemd/system/dnf-automatic.timer", "/dev/null");
        assert!(automatic(&["dnf-automatic"], &[APPLIES], &[TIMER, mask]).starts_with("true false 0"));
        let notify = ("etc/systemd/system/timers.target.wants/dnf-automatic-notifyonly.timer", "/x");
        assert!(automatic(&["dnf-automatic"], &[APPLIES], &[notify]).starts_with("true false 0"));
    }
}
