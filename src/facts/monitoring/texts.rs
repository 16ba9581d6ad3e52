//! Configuration files as several families read them: patterns of paths, and the main file with
//! drop-ins that systemd's own programs have.

use std::collections::BTreeMap;

use crate::facts::jobs::unit_file::{self, Setting};
use crate::host::{CONFIG_LIMIT, FileKind, Host, ReadError, glob};
use crate::model::gap::Gaps;

/// Where systemd's programs look for their configuration, first wins (systemd-system.conf(5)).
const FOLDERS: [&str; 5] = ["/etc/systemd", "/run/systemd", "/usr/local/lib/systemd", "/usr/lib/systemd", "/lib/systemd"];

/// Where gaps of a reader go.
pub(in crate::facts) struct Told<'a> {
    pub family: &'static str,
    pub path: &'static str,
    pub subject: String,
    pub gaps: &'a mut Gaps,
}

impl Told<'_> {
    /// What can't be told.
    pub fn gap(&mut self, id: &str, detail: impl Into<String>) {
        self.gaps.note(self.family, self.path, &self.subject, id, detail, "");
    }

    /// What can't be read.
    pub fn error(&mut self, error: &ReadError) {
        self.gaps.add(error.to_gap(self.family, self.path, &self.subject));
    }

    /// The text of a file; absence is a fact, anything else a gap.
    pub fn text(&mut self, host: &Host, path: &str) -> Option<String> {
        match host.read_text(path, CONFIG_LIMIT) {
            Ok(text) => Some(text),
            Err(e) if e.is_not_found() => None,
            Err(e) => {
                self.error(&e);
                None
            }
        }
    }

    /// Files and folders that a pattern of glob(7) matches, sorted; a path without wildcards stands for itself if it exists.
    pub fn glob(&mut self, host: &Host, wanted: &str) -> Vec<String> {
        let found = glob::glob(host, wanted);
        found.errors.iter().for_each(|e| self.error(e));
        found.paths
    }

    /// Settings of `NAME` and its drop-ins in the order in which they are laid over each other, and the main file.
    pub fn systemd(&mut self, host: &Host, name: &str) -> (Vec<Setting>, String) {
        let mut out = Vec::new();
        let mut main = String::new();
        for folder in FOLDERS {
            let path = format!("{folder}/{name}");
            if let Some(text) = self.text(host, &path) {
                out.extend(unit_file::parse(&text, &path));
                main = path;
                break;
            }
        }
        let mut drop_ins: BTreeMap<String, String> = BTreeMap::new();
        for folder in FOLDERS.map(|f| format!("{f}/{name}.d")) {
            match host.list(&folder) {
                Ok(entries) => {
                    for entry in entries.into_iter().filter(|e| e.name.ends_with(".conf") && e.kind != FileKind::Folder) {
                        drop_ins.entry(entry.name.clone()).or_insert_with(|| format!("{folder}/{}", entry.name));
                    }
                }
                Err(e) if e.is_not_found() => {}
                Err(e) => self.error(&e),
            }
        }
        for path in drop_ins.into_values() {
            // A link to /dev/null takes the vendor's file back.
            if host.read_link(&path).is_ok_and(|target| target == "/dev/null") {
                continue;
            }
            if let Some(text) = self.text(host, &path) {
                out.extend(unit_file::parse(&text, &path));
            }
        }
        (out, main)
    }
}

/// Seconds of a time span (systemd.time(7)); without a unit seconds. `None` when it is none.
pub(in crate::facts) fn span_seconds(text: &str) -> Option<i64> {
    const UNITS: [(&str, f64); 29] = [
        ("usec", 1e-6),
        ("us", 1e-6),
        ("µs", 1e-6),
        ("msec", 1e-3),
        ("ms", 1e-3),
        ("seconds", 1.0),
        ("second", 1.0),
        ("sec", 1.0),
        ("s", 1.0),
        ("", 1.0),
        ("minutes", 60.0),
        ("minute", 60.0),
        ("min", 60.0),
        ("m", 60.0),
        ("hours", 3600.0),
        ("hour", 3600.0),
        ("hr", 3600.0),
        ("h", 3600.0),
        ("days", 86_400.0),
        ("day", 86_400.0),
        ("d", 86_400.0),
        ("weeks", 604_800.0),
        ("week", 604_800.0),
        ("w", 604_800.0),
        ("months", 2_629_800.0),
        ("month", 2_629_800.0),
        ("M", 2_629_800.0),
        ("years", 31_557_600.0),
        ("year", 31_557_600.0),
    ];
    if text.trim() == "infinity" {
        return Some(i64::MAX);
    }
    let mut total = 0.0;
    let mut rest = text.trim();
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let number: f64 = rest.get(..digits)?.parse().ok()?;
        let after = rest.get(digits..)?.trim_start();
        let letters = after.find(|c: char| !c.is_alphabetic()).unwrap_or(after.len());
        let unit = after.get(..letters)?;
        let factor = if unit == "y" { 31_557_600.0 } else { UNITS.iter().find(|(name, _)| *name == unit)?.1 };
        total += number * factor;
        rest = after.get(letters..)?.trim_start();
    }
    #[expect(clippy::cast_possible_truncation, reason = "a span longer than the range of seconds is as good as its end")]
    Some(total as i64)
}

/// Bytes of a size (systemd.syntax(7)): powers of 1024.
pub(in crate::facts) fn bytes(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text.get(..digits)?.parse().ok()?;
    let power = match text.get(digits..)?.trim() {
        "" | "B" => 0,
        "K" | "k" => 1,
        "M" | "m" => 2,
        "G" | "g" => 3,
        "T" => 4,
        "P" => 5,
        "E" => 6,
        _ => return None,
    };
    number.checked_mul(1024_u64.checked_pow(power)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::testing::rooted;

    fn told(gaps: &mut Gaps) -> Told<'_> {
        Told { family: "f", path: "p", subject: String::new(), gaps }
    }

    #[test]
    fn patterns_lead_to_paths() {
        let (_root, host) = rooted(&[("etc/a/x.conf", ""), ("etc/b/x.conf", ""), ("etc/b/.h.conf", ""), ("etc/b/y.txt", "")]);
        let mut gaps = Gaps::new();
        assert_eq!(told(&mut gaps).glob(&host, "/etc/*/*.conf"), ["/etc/a/x.conf", "/etc/b/x.conf"]);
        assert_eq!(told(&mut gaps).glob(&host, "/etc/a/x.conf"), ["/etc/a/x.conf"]);
        assert!(told(&mut gaps).glob(&host, "/none/*").is_empty() && told(&mut gaps).glob(&host, "/etc/a/none").is_empty());
        assert!(told(&mut gaps).glob(&host, "/*/*/*/*/*").is_empty());
        assert_eq!(gaps.into_sorted().len(), 1);
    }

    #[test]
    fn drop_ins_of_one_name_and_masks() {
        let (root, host) = rooted(&[
            ("etc/systemd/x.conf", "[A]\nk=main\n"),
            ("usr/lib/systemd/x.conf", "[A]\nk=vendor\n"),
            ("usr/lib/systemd/x.conf.d/10-a.conf", "[A]\nk=hidden\n"),
            ("etc/systemd/x.conf.d/10-a.conf", "[A]\nk=ten\n"),
            ("usr/lib/systemd/x.conf.d/20-b.conf", "[A]\nk=masked\n"),
            ("run/systemd/x.conf.d/05-c.conf", "[A]\nk=five\n"),
        ]);
        std::os::unix::fs::symlink("/dev/null", root.path().join("etc/systemd/x.conf.d/20-b.conf")).unwrap();
        let mut gaps = Gaps::new();
        let (settings, main) = told(&mut gaps).systemd(&host, "x.conf");
        assert_eq!(settings.iter().map(|s| s.value.as_str()).collect::<Vec<_>>(), ["main", "five", "ten"]);
        assert_eq!((main.as_str(), gaps.into_sorted().len()), ("/etc/systemd/x.conf", 0));
    }

    #[test]
    fn spans_and_sizes() {
        assert_eq!(span_seconds("1month"), Some(2_629_800));
        assert_eq!(span_seconds("2h 30min"), Some(9000));
        assert_eq!(span_seconds("90"), Some(90));
        assert_eq!(span_seconds("90d"), Some(7_776_000));
        for bad in ["", "x", "1 fortnight", "-1", "1.2.3s"] {
            assert_eq!(span_seconds(bad), None, "{bad}");
        }
        assert_eq!((bytes("4G"), bytes("100"), bytes("8M"), bytes("x"), bytes("99999999999E")), (Some(4 << 30), Some(100), Some(8 << 20), None, None));
    }
}
