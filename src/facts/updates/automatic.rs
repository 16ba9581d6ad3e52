//! Whether security updates are installed without anybody asking, and when that last went well.

use regex_lite::{Regex, RegexBuilder};

use super::apt::Known;
use super::{Automatic, Held, Pending, Updates};
use crate::facts::{Document as _, os};
use crate::host::Host;
use crate::host::debian::apt_conf::{AptConf, Setting};
use crate::host::debian::apt_periodic::{self, Periodic};
use crate::host::debian::status::Database;
use crate::host::debian::{glob_matches_exactly, unattended_log};
use crate::model::fact::Source;
use crate::model::gap::{Gaps, reason};

/// Largest compiled pattern of an excluded package, bytes.
const PATTERN_LIMIT: usize = 1 << 16;

pub(super) fn gather(host: &Host, gaps: &mut Gaps, conf: &AptConf, database: &Database, lists: &[Known]) -> Automatic {
    let mut periodic = apt_periodic::read(host, conf);
    for error in periodic.errors.drain(..) {
        gaps.add(error.to_gap(Updates::NAME, "automatic", ""));
    }
    let log = unattended_log::read(host).unwrap_or_else(|e| {
        for path in ["automatic.last_run_at", "automatic.last_success_at", "automatic.last_failure_at"] {
            gaps.add(e.to_gap(Updates::NAME, path, ""));
        }
        unattended_log::Outcome::default()
    });
    let tool_installed = database.find("unattended-upgrades").is_some_and(|p| p.state == "installed");
    let origins = Origins::read(conf, &os::distribution(host));
    let security: Vec<&Known> = lists.iter().filter(|l| l.list.security).collect();
    let covers_security = (!security.is_empty()).then(|| security.iter().any(|l| origins.matches(l)));
    let excluded = conf.values(BLACKLIST);
    for setting in excluded.iter().filter(|s| pattern(&s.value).is_none()) {
        let detail = format!("{}:{}: this pattern of {BLACKLIST} is not understood", setting.place, setting.line);
        gaps.note(Updates::NAME, "held", "", reason::UNSUPPORTED, detail, "");
    }
    let obstacles = obstacles(conf, &periodic, tool_installed, &origins, covers_security);
    let newest = |times: [Option<i64>; 2]| times.into_iter().flatten().max();
    Automatic {
        enabled: obstacles.is_empty(),
        lists_every_days: periodic.lists_every_days,
        upgrade_every_days: periodic.upgrade_every_days,
        tool_installed,
        origins: origins.shown(),
        covers_security,
        excluded: excluded.iter().map(|s| s.value.clone()).collect(),
        last_run_at: [periodic.last_run_at, periodic.last_success_at, log.succeeded_at, log.failed_at].into_iter().flatten().max(),
        last_success_at: newest([periodic.last_success_at, log.succeeded_at]),
        last_failure_at: log.failed_at,
        source: if obstacles.is_empty() { periodic.source } else { origins.broken_at.filter(|_| covers_security == Some(false)).unwrap_or(periodic.source) },
        obstacles,
    }
}

const BLACKLIST: &str = "Unattended-Upgrade::Package-Blacklist";
const WHITELIST: &str = "Unattended-Upgrade::Package-Whitelist";
const AT_SHUTDOWN: &str = "Unattended-Upgrade::InstallOnShutdown";

fn at(setting: &Setting) -> String {
    format!("{}:{}", setting.place, setting.line)
}

fn obstacles(conf: &AptConf, periodic: &Periodic, tool_installed: bool, origins: &Origins, covers_security: Option<bool>) -> Vec<String> {
    let mut out = Vec::new();
    if !tool_installed {
        out.push("unattended-upgrades is not installed".into());
    }
    if let Some(place) = &periodic.switched_off {
        out.push(format!("APT::Periodic::Enable is 0 ({}:{})", place.place, place.line));
    } else {
        let settings = [("Update-Package-Lists", periodic.lists_every_days), ("Unattended-Upgrade", periodic.upgrade_every_days)];
        for (name, _) in settings.iter().filter(|(_, days)| *days == 0) {
            let place = conf.setting(&format!("APT::Periodic::{name}")).map_or_else(|| "not set".into(), at);
            out.push(format!("APT::Periodic::{name} is 0 ({place})"));
        }
    }
    let shown = |s: &Source| if s.line == 0 { s.place.clone() } else { format!("{}:{}", s.place, s.line) };
    out.extend(periodic.not_started.iter().map(|s| format!("{} {}", s.directive, shown(s))));
    if let Some(setting) = conf.setting(AT_SHUTDOWN).filter(|_| conf.is_on(AT_SHUTDOWN, false)) {
        out.push(format!("updates are installed at shutdown only ({})", at(setting)));
    }
    if !tool_installed {
        return out;
    }
    out.extend(origins.faults.iter().cloned());
    if covers_security == Some(false) && origins.faults.is_empty() {
        out.push("no pattern of Unattended-Upgrade::Origins-Pattern or Allowed-Origins matches the security repository".into());
    }
    if let Some(setting) = conf.values(WHITELIST).first() {
        out.push(format!("only packages of {WHITELIST} are upgraded ({})", at(setting)));
    }
    if let Some(setting) = conf.values(BLACKLIST).iter().find(|s| pattern(&s.value).is_some_and(|p| p.is_match("x") && p.is_match("0"))) {
        out.push(format!("{BLACKLIST} leaves every package out ({})", at(setting)));
    }
    out
}

/// Python's `re.match`: from the start of the name, not to its end.
fn pattern(text: &str) -> Option<Regex> {
    RegexBuilder::new(&format!("^(?:{text})")).size_limit(PATTERN_LIMIT).build().ok()
}

/// Pending security updates that the list of exclusions keeps from being installed automatically.
pub(super) fn excluded(conf: &AptConf, automatic: &Automatic, pending: &[Pending]) -> Vec<Held> {
    if !automatic.enabled {
        return Vec::new();
    }
    let patterns: Vec<(Regex, &Setting)> = conf.values(BLACKLIST).into_iter().filter_map(|s| pattern(&s.value).map(|p| (p, s))).collect();
    let held = |update: &Pending| {
        let (_, setting) = patterns.iter().find(|(pattern, _)| pattern.is_match(&update.name))?;
        Some(Held {
            subject: format!("{}:{}", update.name, update.architecture),
            name: update.name.clone(),
            installed: update.installed.clone(),
            available: update.candidate.clone(),
            security: true,
            by: "excluded".into(),
            source: Source::line(setting.place.clone(), setting.line, BLACKLIST),
        })
    };
    pending.iter().filter(|u| u.security && !u.held).filter_map(held).collect()
}

/// Which repositories the tool upgrades from.
struct Origins {
    patterns: Vec<Vec<(String, String)>>,
    /// What makes the tool give up, one fragment each.
    faults: Vec<String>,
    /// Where the patterns are written.
    broken_at: Option<Source>,
}

impl Origins {
    fn read(conf: &AptConf, distribution: &os::Distribution) -> Self {
        let mut out = Self { patterns: Vec::new(), faults: Vec::new(), broken_at: None };
        for (name, legacy) in [("Unattended-Upgrade::Allowed-Origins", true), ("Unattended-Upgrade::Origins-Pattern", false)] {
            for setting in conf.values(name) {
                out.broken_at.get_or_insert_with(|| Source::line(setting.place.clone(), setting.line, name));
                let text = setting.value.replace("${distro_id}", &distribution.distributor).replace("${distro_codename}", &distribution.codename);
                if text.trim().is_empty() {
                    continue;
                }
                match if legacy { parse_legacy(&text) } else { parse(&text) } {
                    Some(pattern) => out.patterns.push(pattern),
                    None => out.faults.push(format!("unattended-upgrades refuses a pattern of {name} ({})", at(setting))),
                }
            }
        }
        out
    }

    fn matches(&self, known: &Known) -> bool {
        self.patterns.iter().any(|pattern| {
            pattern.iter().all(|(key, glob)| {
                let value = match key.as_str() {
                    "o" | "origin" => &known.release.origin,
                    "l" | "label" => &known.release.label,
                    "a" | "suite" | "archive" => &known.release.suite,
                    "c" | "component" => &known.list.component,
                    "n" | "codename" => &known.release.codename,
                    _ => &known.site,
                };
                glob_matches_exactly(glob, value)
            })
        })
    }

    fn shown(&self) -> Vec<String> {
        self.patterns.iter().map(|p| p.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(",")).collect()
    }
}

/// `origin=Debian,codename=bookworm-security`; `\,` is a comma of the value. `None`: the tool stops at it.
fn parse(text: &str) -> Option<Vec<(String, String)>> {
    const KEYS: &[&str] = &["o", "origin", "l", "label", "a", "suite", "archive", "c", "component", "n", "codename", "site"];
    if text.contains("${") {
        return None;
    }
    let quoted = text.trim().replace("\\,", "%2C");
    quoted
        .split(',')
        .map(|token| {
            let (key, value) = token.split_once('=').filter(|(_, v)| !v.contains('='))?;
            KEYS.contains(&key.trim()).then(|| (key.trim().to_string(), value.trim().replace("%2C", ",")))
        })
        .collect()
}

/// `Debian:bookworm-security` or `Debian bookworm-security`: origin and suite.
fn parse_legacy(text: &str) -> Option<Vec<(String, String)>> {
    if text.contains("${") {
        return None;
    }
    const ESCAPED: &str = "\u{0}";
    let text = text.replace("\\:", ESCAPED);
    let parts: Vec<&str> = if text.contains(':') { text.split(':').collect() } else { text.split_whitespace().collect() };
    let [origin, suite] = parts.as_slice() else {
        return None;
    };
    Some(vec![("o".into(), origin.replace(ESCAPED, ":")), ("a".into(), suite.to_string())])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_as_the_tool_reads_them() {
        let shown = |text: &str| parse(text).map(|p| p.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>());
        assert_eq!(shown(" origin=Debian, label=a\\,b "), Some(vec!["origin=Debian".to_string(), "label=a,b".into()]));
        for broken in ["origin", "x=y", "o=a=b", "o=${distro}", "o=a,"] {
            assert_eq!(shown(broken), None, "{broken}");
        }
        assert_eq!(parse_legacy("Debian stable").unwrap()[1], ("a".into(), "stable".into()));
        assert_eq!(parse_legacy("a\\:b:s").unwrap()[0], ("o".into(), "a:b".into()));
        assert_eq!(parse_legacy("a:b:c"), None);
    }

    #[test]
    fn exclusions_match_from_the_start() {
        assert!(pattern("linux-").unwrap().is_match("linux-image-amd64"));
        assert!(!pattern("libc6$").unwrap().is_match("libc6-dev") && !pattern("linux").unwrap().is_match("selinux"));
        assert!(pattern("(").is_none());
    }
}
