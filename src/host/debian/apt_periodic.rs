//! Automatic updates: `APT::Periodic` and what starts it (apt.systemd.daily, apt.conf(5)).

use std::collections::BTreeMap;

use super::apt_conf::{AptConf, Setting};
use crate::host::{CONFIG_LIMIT, FileKind, Host, ReadError};
use crate::model::fact::Source;

/// Timers of the daily script, each with the setting whose work it starts.
const TIMERS: &[&str] = &["apt-daily.timer", "apt-daily-upgrade.timer"];
/// Where units can be masked or wanted, the strongest first (systemd.unit(5)).
const UNIT_FOLDERS: &[&str] =
    &["/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"];
const CRON: &str = "/etc/cron.daily/apt-compat";
/// Written by the daily script when the upgrade ended well.
const SUCCESS_STAMP: &str = "/var/lib/apt/periodic/upgrade-stamp";
/// Written by unattended-upgrades itself, also when packages failed.
const RUN_STAMP: &str = "/var/lib/apt/periodic/unattended-upgrades-stamp";

/// How often, and whether anything starts it.
#[derive(Debug, Default)]
pub struct Periodic {
    /// Days between refreshed lists; 0: never.
    pub lists_every_days: i64,
    /// Days between upgrades; 0: never.
    pub upgrade_every_days: i64,
    /// `APT::Periodic::Enable "0"`.
    pub switched_off: Option<Source>,
    /// What keeps the daily script from being started: the place, and why as its directive.
    pub not_started: Vec<Source>,
    /// When a run last ended well, Unix seconds.
    pub last_success_at: Option<i64>,
    /// When a run last ended, Unix seconds.
    pub last_run_at: Option<i64>,
    /// Deciding place.
    pub source: Source,
    /// What could not be read.
    pub errors: Vec<ReadError>,
}

/// Reads settings, timers and stamps.
pub fn read(host: &Host, conf: &AptConf) -> Periodic {
    let mut out = Periodic::default();
    let place = |s: &Setting, name: &str| Source::line(s.place.clone(), s.line, name);
    out.switched_off = conf.setting("APT::Periodic::Enable").filter(|s| s.value.trim() == "0").map(|s| place(s, "APT::Periodic::Enable"));
    let lists = conf.setting("APT::Periodic::Update-Package-Lists");
    let upgrade = conf.setting("APT::Periodic::Unattended-Upgrade");
    if out.switched_off.is_none() {
        out.lists_every_days = lists.map_or(0, |s| days(&s.value));
        out.upgrade_every_days = upgrade.map_or(0, |s| days(&s.value));
    }
    match not_started(host) {
        Ok(places) => out.not_started = places,
        Err(e) => out.errors.push(e),
    }
    let blocked = out.not_started.first().filter(|_| out.upgrade_every_days > 0);
    out.source = blocked
        .cloned()
        .or_else(|| out.switched_off.clone())
        .or_else(|| upgrade.map(|s| place(s, "APT::Periodic::Unattended-Upgrade")))
        .or_else(|| lists.map(|s| place(s, "APT::Periodic::Update-Package-Lists")))
        .unwrap_or_else(|| Source { place: "/etc/apt/apt.conf.d".into(), line: 0, directive: "APT::Periodic::Unattended-Upgrade".into() });
    let stamp = |path: &str| host.stat(path).ok().map(|s| s.modified);
    out.last_success_at = stamp(SUCCESS_STAMP);
    out.last_run_at = stamp(SUCCESS_STAMP).max(stamp(RUN_STAMP));
    out
}

/// Places that keep the script from being started; none when it is.
fn not_started(host: &Host) -> Result<Vec<Source>, ReadError> {
    let why = |place: String, why: &str| Source { place, line: 0, directive: why.into() };
    // With systemd the cron job does nothing (it tests /run/systemd/system).
    let systemd =
        if host.is_live() { host.exists("/run/systemd/system")? } else { host.exists("/usr/lib/systemd/systemd")? || host.exists("/lib/systemd/systemd")? };
    if !systemd {
        if !host.exists(CRON)? {
            return Ok(vec![why(CRON.into(), "without systemd nothing starts it: there is no")]);
        }
        if host.stat(CRON)?.mode & 0o111 == 0 {
            return Ok(vec![why(CRON.into(), "run-parts skips what is not executable:")]);
        }
        let cron = ["/usr/sbin/cron", "/usr/sbin/anacron", "/usr/bin/systemd-cron", "/usr/sbin/bcron-start"];
        for program in cron {
            if host.exists(program)? {
                return Ok(Vec::new());
            }
        }
        return Ok(vec![why(CRON.into(), "no cron is installed that would start")]);
    }
    let mut out = Vec::new();
    for timer in TIMERS {
        let service = timer.replace(".timer", ".service");
        if let Some(place) = masked(host, timer)?.or(masked(host, &service)?) {
            out.push(why(place, "masked:"));
        } else if !is_wanted(host, timer)? {
            out.push(why(format!("/etc/systemd/system/timers.target.wants/{timer}"), "not enabled, there is no"));
        } else if let Some(source) = emptied(host, timer, "[Timer]", |key| key.starts_with("On") && key.len() > 2, |_| true)? {
            out.push(Source { directive: "no time is left at which it starts:".into(), ..source });
        } else if let Some(source) = emptied(host, &service, "[Service]", |key| key == "ExecStart", |value| value.contains("apt.systemd.daily"))? {
            out.push(Source { directive: "the daily script is replaced:".into(), ..source });
        }
    }
    Ok(out)
}

/// A link to `/dev/null` or an empty file in the strongest folder that has the unit.
fn masked(host: &Host, unit: &str) -> Result<Option<String>, ReadError> {
    for folder in UNIT_FOLDERS {
        let path = format!("{folder}/{unit}");
        let stat = match host.stat_link(&path) {
            Ok(stat) => stat,
            Err(e) if e.is_not_found() => continue,
            Err(e) => return Err(e),
        };
        let masked = match stat.kind {
            FileKind::Link => host.read_link(&path)? == "/dev/null",
            FileKind::File => stat.size == 0,
            _ => false,
        };
        return Ok(masked.then_some(path));
    }
    Ok(None)
}

/// The line of a drop-in or replaced unit after which no setting `key` with a `good` value is left;
/// `None` while there is one, and when the unit never had any. An empty value resets the list (systemd.unit(5)).
fn emptied(host: &Host, unit: &str, section: &str, key: impl Fn(&str) -> bool, good: impl Fn(&str) -> bool) -> Result<Option<Source>, ReadError> {
    let mut files = Vec::new();
    for folder in UNIT_FOLDERS {
        if host.exists(&format!("{folder}/{unit}"))? {
            files.push(format!("{folder}/{unit}"));
            break;
        }
    }
    let mut drop_ins: BTreeMap<String, String> = BTreeMap::new();
    for folder in UNIT_FOLDERS {
        match host.list(&format!("{folder}/{unit}.d")) {
            Ok(entries) => {
                for entry in entries.into_iter().filter(|e| e.name.ends_with(".conf")) {
                    drop_ins.entry(entry.name.clone()).or_insert(format!("{folder}/{unit}.d/{}", entry.name));
                }
            }
            Err(e) if e.is_not_found() => {}
            Err(e) => return Err(e),
        }
    }
    files.extend(drop_ins.into_values());
    let (mut values, mut last) = (Vec::new(), None);
    for path in files {
        let text = match host.read_text(&path, CONFIG_LIMIT) {
            Ok(text) => text,
            Err(e) if e.is_not_found() => continue,
            Err(e) => return Err(e),
        };
        let mut inside = false;
        for (i, line) in text.lines().map(str::trim).enumerate() {
            if line.starts_with('[') {
                inside = line == section;
            } else if let Some((name, value)) = line.split_once('=').filter(|(n, _)| inside && key(n.trim())) {
                let value = value.trim().to_string();
                if value.is_empty() {
                    values.clear();
                } else {
                    values.push(value);
                }
                last = Some(Source::line(path.clone(), i + 1, name.trim()));
            }
        }
    }
    Ok(last.filter(|_| !values.iter().any(|v| good(v))))
}

fn is_wanted(host: &Host, unit: &str) -> Result<bool, ReadError> {
    for folder in UNIT_FOLDERS {
        match host.stat_link(&format!("{folder}/timers.target.wants/{unit}")) {
            Ok(stat) if matches!(stat.kind, FileKind::Link | FileKind::File) => return Ok(true),
            Ok(_) => {}
            Err(e) if e.is_not_found() => {}
            Err(e) => return Err(e),
        }
    }
    Ok(false)
}

/// An interval: days, or a number with `s`, `m`, `h`, `d`, or `always`; part of a day counts as one.
fn days(value: &str) -> i64 {
    let value = value.trim();
    if value == "always" {
        return 1;
    }
    let digits = value.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let Ok(number) = digits.parse::<i64>() else {
        return 0;
    };
    let per_day = match value.get(digits.len()..) {
        Some("s") => 86_400,
        Some("m") => 1_440,
        Some("h") => 24,
        _ => 1,
    };
    (number.max(0).saturating_add(per_day - 1)) / per_day
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_in_every_spelling() {
        for (text, expected) in
            [("1", 1), ("0", 0), ("7d", 7), ("12h", 1), ("48h", 2), ("always", 1), ("x", 0), ("", 0), ("-3", 0), ("9223372036854775807s", 106_751_991_167_300)]
        {
            assert_eq!(days(text), expected, "{text}");
        }
    }

    #[test]
    fn a_masked_timer_or_a_switch_wins_over_settings() {
        let root = tempfile::tempdir().unwrap();
        let make = |path: &str, text: &str| {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        make("usr/lib/systemd/systemd", "");
        make("etc/apt/apt.conf.d/20auto-upgrades", "APT::Periodic::Update-Package-Lists \"1\";\nAPT::Periodic::Unattended-Upgrade \"1\";\n");
        for timer in TIMERS {
            make(&format!("usr/lib/systemd/system/{timer}"), "[Timer]\n");
            make(&format!("etc/systemd/system/timers.target.wants/{timer}"), "");
        }
        let host = Host::rooted(root.path()).unwrap();
        let on = read(&host, &AptConf::read(&host));
        assert_eq!((on.not_started.as_slice(), on.upgrade_every_days), ([].as_slice(), 1));
        std::os::unix::fs::symlink("/dev/null", root.path().join("etc/systemd/system/apt-daily-upgrade.timer")).unwrap();
        make("run/systemd/system/apt-daily.timer", "");
        let masked = read(&host, &AptConf::read(&host));
        let places: Vec<&str> = masked.not_started.iter().map(|s| s.place.as_str()).collect();
        assert_eq!(places, ["/run/systemd/system/apt-daily.timer", "/etc/systemd/system/apt-daily-upgrade.timer"]);
        make("etc/systemd/system/apt-daily-upgrade.service", "");
        let place = |p: &Periodic| p.not_started[1].place.clone();
        std::fs::remove_file(root.path().join("etc/systemd/system/apt-daily-upgrade.timer")).unwrap();
        assert_eq!(place(&read(&host, &AptConf::read(&host))), "/etc/systemd/system/apt-daily-upgrade.service");
        std::fs::remove_file(root.path().join("etc/systemd/system/apt-daily-upgrade.service")).unwrap();
        std::fs::remove_file(root.path().join("etc/systemd/system/timers.target.wants/apt-daily-upgrade.timer")).unwrap();
        let disabled = read(&host, &AptConf::read(&host));
        assert_eq!(disabled.not_started[1].directive, "not enabled, there is no");
        make("usr/lib/systemd/system/apt-daily-upgrade.timer", "[Timer]\nOnCalendar=6:00\nPersistent=true\n");
        make("usr/lib/systemd/system/apt-daily-upgrade.service", "[Service]\nExecStart=/usr/lib/apt/apt.systemd.daily install\n");
        make("etc/systemd/system/timers.target.wants/apt-daily-upgrade.timer", "");
        let upgrade = || read(&host, &AptConf::default()).not_started.get(1).map(|s| format!("{}:{} {}", s.place, s.line, s.directive));
        assert_eq!(upgrade(), None);
        make("etc/systemd/system/apt-daily-upgrade.timer.d/o.conf", "[Timer]\nOnCalendar=\nOnCalendar=Sun 3:00\n");
        make("etc/systemd/system/apt-daily-upgrade.timer.d/o.conf.bak", "[Timer]\nOnCalendar=\n");
        assert_eq!(upgrade(), None, "another time is a time");
        make("etc/systemd/system/apt-daily-upgrade.timer.d/p.conf", "[Unit]\nOnCalendar=x\n[Timer]\n# never\nOnCalendar=\n");
        assert_eq!(upgrade().unwrap(), "/etc/systemd/system/apt-daily-upgrade.timer.d/p.conf:5 no time is left at which it starts:");
        std::fs::remove_dir_all(root.path().join("etc/systemd/system/apt-daily-upgrade.timer.d")).unwrap();
        make("etc/systemd/system/apt-daily-upgrade.service.d/o.conf", "[Service]\nExecStart=\nExecStart=/bin/true\n");
        assert_eq!(upgrade().unwrap(), "/etc/systemd/system/apt-daily-upgrade.service.d/o.conf:3 the daily script is replaced:");
        make("etc/apt/apt.conf.d/99off", "APT::Periodic::Enable \"0\";");
        let off = read(&host, &AptConf::read(&host));
        assert_eq!((off.upgrade_every_days, off.source.place.as_str()), (0, "/etc/apt/apt.conf.d/99off"));
    }

    #[test]
    fn without_systemd_cron_has_to_start_it() {
        use std::os::unix::fs::PermissionsExt as _;
        let root = tempfile::tempdir().unwrap();
        let host = Host::rooted(root.path()).unwrap();
        let blocked = || read(&host, &AptConf::default()).not_started.len();
        assert_eq!(blocked(), 1);
        let job = root.path().join("etc/cron.daily/apt-compat");
        std::fs::create_dir_all(job.parent().unwrap()).unwrap();
        std::fs::create_dir_all(root.path().join("usr/sbin")).unwrap();
        std::fs::write(&job, "").unwrap();
        std::fs::write(root.path().join("usr/sbin/cron"), "").unwrap();
        std::fs::set_permissions(&job, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(blocked(), 1, "run-parts skips it");
        std::fs::set_permissions(&job, std::fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(blocked(), 0);
    }
}
