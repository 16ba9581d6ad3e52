//! What sets kernel settings at the start of the machine: sysctl.d(5) as systemd-sysctl reads it,
//! `sysctl --system` (procps) elsewhere, the kernel's command line before and ufw's own file after.

use std::collections::BTreeMap;

use super::{Hardening, drop_ins, text};
use crate::facts::Document as _;
use crate::host::Host;
use crate::model::fact::Source;
use crate::model::gap::Gaps;

/// Folders, first wins.
const FOLDERS: [&str; 5] = ["/etc/sysctl.d", "/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d", "/lib/sysctl.d"];
/// Most lines of all files that are kept.
const LINE_LIMIT: usize = 20_000;
const LIST: &str = "settings.at_boot";

/// One value and what sets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Set {
    /// The value, blanks between its words made one.
    pub value: String,
    /// The line.
    pub source: Source,
}

/// What is set at the start: keys as paths below `/proc/sys`.
#[derive(Debug, Default)]
pub struct AtBoot {
    /// Lines of one key each; `None`: the key is left alone, by patterns, too.
    explicit: BTreeMap<String, Option<Set>>,
    /// Patterns, each in the place where it was last set.
    patterns: Vec<(String, Set)>,
    lines: usize,
}

impl AtBoot {
    /// Reads every source of this machine.
    pub fn read(host: &Host, gaps: &mut Gaps) -> Self {
        let mut out = Self::default();
        out.command_line(host, gaps);
        for path in files(host, gaps) {
            if let Some(text) = text(host, &path, LIST, gaps) {
                out.file(&path, &text);
            }
        }
        if let Some(path) = ufw(host)
            && let Some(text) = text(host, &path, LIST, gaps)
        {
            out.file(&path, &text);
        }
        if out.lines > LINE_LIMIT {
            let detail = format!("more than {LINE_LIMIT} lines of kernel settings");
            gaps.note(Hardening::NAME, LIST, "", crate::model::gap::reason::LIMIT_REACHED, detail, "");
        }
        out
    }

    /// What sets the key (a path below `/proc/sys`): its own line wins over every pattern, of
    /// patterns the last.
    pub fn of(&self, key: &str) -> Option<&Set> {
        if let Some(set) = self.explicit.get(key) {
            return set.as_ref();
        }
        self.patterns.iter().rev().find(|(pattern, _)| fits(pattern, key)).map(|(_, set)| set)
    }

    /// `sysctl.KEY=VALUE` (kernel-parameters), before any file.
    fn command_line(&mut self, host: &Host, gaps: &mut Gaps) {
        const PLACE: &str = "/proc/cmdline";
        if !host.is_live() {
            return;
        }
        let Some(text) = text(host, PLACE, LIST, gaps) else { return };
        for word in text.split_whitespace() {
            if let Some((key, value)) = word.strip_prefix("sysctl.").and_then(|w| w.split_once('=')) {
                self.explicit.insert(path_of(key), Some(Set { value: value.into(), source: Source::line(PLACE, 1, key) }));
            }
        }
    }

    fn file(&mut self, place: &str, text: &str) {
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with(['#', ';']) {
                continue;
            }
            self.lines += 1;
            if self.lines > LINE_LIMIT {
                return;
            }
            let Some((key, value)) = line.split_once('=') else {
                // Without a value and after a hyphen: it takes back what stood before, and no pattern reaches it.
                self.explicit.extend(line.strip_prefix('-').map(|k| (path_of(k.trim()), None)));
                continue;
            };
            let key = key.trim();
            let key = key.strip_prefix('-').unwrap_or(key).trim();
            let set = Set { value: words(value), source: Source::line(place, index + 1, key) };
            let path = path_of(key);
            if path.contains(['*', '?', '[']) {
                self.patterns.retain(|(pattern, _)| *pattern != path);
                self.patterns.push((path, set));
            } else {
                self.explicit.insert(path, Some(set));
            }
        }
    }
}

/// Files in the order in which they are read.
pub fn files(host: &Host, gaps: &mut Gaps) -> Vec<String> {
    let mut out = drop_ins(host, &FOLDERS.map(String::from), LIST, gaps);
    let is_systemd =
        ["/usr/lib/systemd/systemd-sysctl", "/lib/systemd/systemd-sysctl", "/usr/lib/systemd/systemd"].iter().any(|p| host.exists(p).unwrap_or(false));
    // systemd reads it through a link in sysctl.d only; procps reads it last.
    if !is_systemd && host.exists("/etc/sysctl.conf").unwrap_or(false) {
        out.push("/etc/sysctl.conf".into());
    }
    out
}

/// The file that ufw applies when it starts (ufw-framework(8)).
fn ufw(host: &Host) -> Option<String> {
    let last = |place: &str, key: &str| {
        let text = host.read_text(place, crate::host::CONFIG_LIMIT).ok()?;
        let value = text.lines().filter_map(|l| l.trim().strip_prefix(key)?.strip_prefix('=')).next_back()?;
        Some(value.trim().trim_matches(['"', '\'']).to_string())
    };
    let is_on = last("/etc/ufw/ufw.conf", "ENABLED").is_some_and(|v| v.eq_ignore_ascii_case("yes"));
    is_on.then(|| last("/etc/default/ufw", "IPT_SYSCTL")).flatten().filter(|p| p.starts_with('/'))
}

/// `a.b/c` -> `a/b.c` when the first separator is a dot; else as written.
pub fn path_of(key: &str) -> String {
    match key.find(['.', '/']).and_then(|i| key.get(i..)).and_then(|rest| rest.chars().next()) {
        Some('.') => key
            .chars()
            .map(|c| {
                if c == '.' {
                    '/'
                } else if c == '/' {
                    '.'
                } else {
                    c
                }
            })
            .collect(),
        _ => key.to_string(),
    }
}

/// The words of a value with one blank between them: the kernel writes tabs.
pub fn words(value: &str) -> String {
    value.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// glob(7) with `*` and `?` within one component; what holds a class is said to fit nothing.
fn fits(pattern: &str, path: &str) -> bool {
    let (mut a, mut b) = (pattern.split('/'), path.split('/'));
    loop {
        match (a.next(), b.next()) {
            (None, None) => return true,
            (Some(x), Some(y)) if part_fits(x.as_bytes(), y.as_bytes()) => {}
            _ => return false,
        }
    }
}

fn part_fits(pattern: &[u8], text: &[u8]) -> bool {
    // The place of the last star and of the text that it has taken.
    let (mut p, mut t, mut star) = (0, 0, None);
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(b'?') => (p, t) = (p + 1, t + 1),
            Some(c) if Some(c) == text.get(t) => (p, t) = (p + 1, t + 1),
            _ => match star {
                Some((at, taken)) => {
                    star = Some((at, taken + 1));
                    (p, t) = (at + 1, taken + 1);
                }
                None => return false,
            },
        }
    }
    pattern.get(p..).is_some_and(|rest| rest.iter().all(|c| *c == b'*'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separators() {
        assert_eq!(path_of("net.ipv4.conf.enp3s0/200.forwarding"), "net/ipv4/conf/enp3s0.200/forwarding");
        assert_eq!(path_of("net/ipv4/conf/enp3s0.200/forwarding"), "net/ipv4/conf/enp3s0.200/forwarding");
        assert_eq!(path_of("x"), "x");
    }

    #[test]
    fn patterns_yield_to_lines_of_their_own() {
        let mut set = AtBoot::default();
        set.file("/a", "net.ipv4.conf.hub0.rp_filter = 1\nnet.ipv4.conf.*.rp_filter = 2\n-net.ipv4.conf.all.rp_filter\nbroken\n=\n-\n");
        let of = |key: &str| set.of(key).map(|s| s.value.as_str());
        assert_eq!(of("net/ipv4/conf/hub0/rp_filter"), Some("1"));
        assert_eq!(of("net/ipv4/conf/eth0/rp_filter"), Some("2"));
        assert_eq!((of("net/ipv4/conf/all/rp_filter"), of("net/ipv4/conf/a/b/rp_filter")), (None, None));
        set.file("/b", "-net.ipv4.conf.hub0.rp_filter\n");
        assert_eq!(set.of("net/ipv4/conf/hub0/rp_filter"), None, "a later line takes an earlier one back");
        set.file("/b", "net.ipv4.conf.e*.rp_filter = 0\n");
        assert_eq!(set.of("net/ipv4/conf/eth0/rp_filter").map(|s| (s.value.as_str(), s.source.place.as_str())), Some(("0", "/b")));
    }

    #[test]
    fn globs() {
        for (pattern, text, expected) in
            [("*", "", true), ("a*c", "abbc", true), ("a*c", "abb", false), ("?", "", false), ("a?c*", "abc", true), ("*a*a", "aaba", true)]
        {
            assert_eq!(part_fits(pattern.as_bytes(), text.as_bytes()), expected, "{pattern} {text}");
        }
    }
}
