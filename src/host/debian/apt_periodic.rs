//! Automatic updates: `APT::Periodic` and what starts it (apt.systemd.daily, apt.conf(5)).

use super::apt_conf::{AptConf, Setting};
use crate::host::{FileKind, Host, ReadError};
use crate::model::fact::Source;

const TIMER: &str = "apt-daily-upgrade.timer";
const WANTS: &str = "/etc/systemd/system/timers.target.wants";
const CRON: &str = "/etc/cron.daily/apt-compat";
const STAMPS: &[&str] = &["/var/lib/apt/periodic/upgrade-stamp", "/var/lib/apt/periodic/unattended-upgrades-stamp"];

/// How often, and whether anything starts it.
#[derive(Debug, Default)]
pub struct Periodic {
    /// Days between refreshed lists; 0: never.
    pub lists_every_days: i64,
    /// Days between upgrades; 0: never.
    pub upgrade_every_days: i64,
    /// Whether a timer or cron job starts apt's daily script.
    pub is_started: bool,
    /// Newest stamp of an upgrade run, Unix seconds.
    pub last_success_at: Option<i64>,
    /// Deciding place.
    pub source: Source,
    /// What could not be read.
    pub errors: Vec<ReadError>,
}

/// Reads settings, timers and stamps.
pub fn read(host: &Host, conf: &AptConf) -> Periodic {
    let mut out = Periodic::default();
    let switch = conf.setting("APT::Periodic::Enable").filter(|s| s.value.trim() == "0");
    let lists = conf.setting("APT::Periodic::Update-Package-Lists");
    let upgrade = conf.setting("APT::Periodic::Unattended-Upgrade");
    if switch.is_none() {
        out.lists_every_days = lists.map_or(0, |s| days(&s.value));
        out.upgrade_every_days = upgrade.map_or(0, |s| days(&s.value));
    }
    let place = |s: &Setting, name: &str| Source::line(s.place.clone(), s.line, name);
    out.source = switch
        .map(|s| place(s, "APT::Periodic::Enable"))
        .or_else(|| upgrade.map(|s| place(s, "APT::Periodic::Unattended-Upgrade")))
        .or_else(|| lists.map(|s| place(s, "APT::Periodic::Update-Package-Lists")))
        .unwrap_or_else(|| Source { place: "/etc/apt/apt.conf.d".into(), line: 0, directive: "APT::Periodic::Unattended-Upgrade".into() });
    match starter(host) {
        Ok(Ok(_)) => out.is_started = true,
        Ok(Err(blocked)) if out.upgrade_every_days > 0 => out.source = blocked,
        Ok(Err(_)) => {}
        Err(e) => out.errors.push(e),
    }
    out.last_success_at = STAMPS.iter().filter_map(|p| host.stat(p).ok()).map(|s| s.modified).max();
    out
}

/// What starts the script, or the place that keeps it from being started.
fn starter(host: &Host) -> Result<Result<Source, Source>, ReadError> {
    // With systemd the cron job does nothing (it tests /run/systemd/system).
    let systemd =
        if host.is_live() { host.exists("/run/systemd/system")? } else { host.exists("/usr/lib/systemd/systemd")? || host.exists("/lib/systemd/systemd")? };
    if !systemd {
        let found = host.exists("/usr/sbin/cron")? && host.exists(CRON)?;
        return Ok(if found { Ok(Source::whole(CRON)) } else { Err(Source::whole(CRON)) });
    }
    let masked = format!("/etc/systemd/system/{TIMER}");
    match host.read_link(&masked) {
        Ok(target) if target == "/dev/null" => return Ok(Err(Source::whole(masked))),
        Ok(_) => {}
        Err(ReadError::NotFound(_) | ReadError::Io(..)) => {}
        Err(e) => return Err(e),
    }
    let wanted = format!("{WANTS}/{TIMER}");
    match host.stat_link(&wanted) {
        Ok(stat) if stat.kind == FileKind::Link || stat.kind == FileKind::File => Ok(Ok(Source::whole(wanted))),
        Ok(_) => Ok(Err(Source::whole(wanted))),
        Err(e) if e.is_not_found() => Ok(Err(Source::whole(wanted))),
        Err(e) => Err(e),
    }
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
        make("etc/systemd/system/timers.target.wants/apt-daily-upgrade.timer", "");
        let host = Host::rooted(root.path()).unwrap();
        let on = read(&host, &AptConf::read(&host));
        assert!(on.is_started && on.upgrade_every_days == 1);
        std::os::unix::fs::symlink("/dev/null", root.path().join("etc/systemd/system/apt-daily-upgrade.timer")).unwrap();
        let masked = read(&host, &AptConf::read(&host));
        assert!(!masked.is_started);
        assert_eq!(masked.source.place, "/etc/systemd/system/apt-daily-upgrade.timer");
        make("etc/apt/apt.conf.d/99off", "APT::Periodic::Enable \"0\";");
        let off = read(&host, &AptConf::read(&host));
        assert_eq!((off.upgrade_every_days, off.source.place.as_str()), (0, "/etc/apt/apt.conf.d/99off"));
    }
}
