//! Packages that an administrator keeps at their version: dnf's versionlock and zypper's locks.

use super::database::Installed;
use super::ini::glob_matches;
use super::repositories::Program;
use super::version;
use crate::host::{CONFIG_LIMIT, Host, ReadError};
use crate::model::fact::Source;

/// What is locked.
#[derive(Debug, Default)]
pub struct Locks {
    /// Patterns with their lines.
    patterns: Vec<(String, usize)>,
    place: &'static str,
    /// Files that were not read.
    pub errors: Vec<ReadError>,
}

/// Reads patterns and their lines out of a file.
type Parse = fn(&str) -> Vec<(String, usize)>;

impl Locks {
    /// Reads the locks of a program.
    pub fn read(host: &Host, program: Program) -> Self {
        let (place, parse): (_, Parse) = match program {
            Program::Dnf => ("/etc/dnf/plugins/versionlock.list", versionlock),
            Program::Dnf5 => ("/etc/dnf/versionlock.toml", versionlock_toml),
            Program::Zypper => ("/etc/zypp/locks", zypper),
        };
        match host.read_text(place, CONFIG_LIMIT) {
            Ok(text) => Self { patterns: parse(&text), place, errors: Vec::new() },
            Err(e) if e.is_not_found() => Self::default(),
            Err(e) => Self { errors: vec![e], ..Self::default() },
        }
    }

    /// The lock that holds an installed package.
    pub fn hold(&self, package: &Installed) -> Option<Source> {
        let lock = self.patterns.iter().find(|(p, _)| names(p, &package.name, &package.version, &package.architecture));
        lock.map(|(pattern, line)| Source::line(self.place, *line, pattern.clone()))
    }
}

/// Whether a pattern names a package: by name, `name.arch`, `name-version`, `name-version-release` or
/// all of it, the epoch in either of its two places or left out.
pub fn names(pattern: &str, name: &str, evr: &str, architecture: &str) -> bool {
    if glob_matches(pattern, name) {
        return true;
    }
    let (epoch, plain, release) = version::split(evr);
    let epoch = if epoch.is_empty() { "0" } else { epoch };
    let release = release.unwrap_or_default();
    [
        format!("{name}.{architecture}"),
        format!("{name}-{plain}"),
        format!("{name}-{plain}-{release}"),
        format!("{name}-{plain}-{release}.{architecture}"),
        format!("{name}-{epoch}:{plain}-{release}"),
        format!("{name}-{epoch}:{plain}-{release}.{architecture}"),
        format!("{epoch}:{name}-{plain}-{release}.{architecture}"),
    ]
    .iter()
    .any(|whole| glob_matches(pattern, whole))
}

/// One pattern a line; `!` excludes a version that is not installed.
fn versionlock(text: &str) -> Vec<(String, usize)> {
    let lines = text.lines().enumerate().map(|(i, l)| (l.split('#').next().unwrap_or_default().trim(), i + 1));
    lines.filter(|(l, _)| !l.is_empty() && !l.starts_with('!')).map(|(l, n)| (l.to_string(), n)).collect()
}

/// `name = "…"` of each `[[packages]]`; its conditions are taken to hold.
fn versionlock_toml(text: &str) -> Vec<(String, usize)> {
    let value = |l: &str| l.trim().strip_prefix("name")?.trim_start().strip_prefix('=').map(|n| n.trim().trim_matches(['"', '\'']).to_string());
    text.lines().enumerate().filter_map(|(i, l)| value(l).map(|n| (n, i + 1))).filter(|(n, _)| !n.is_empty()).collect()
}

/// Stanzas of `key: value`; those of patches and patterns do not hold packages.
fn zypper(text: &str) -> Vec<(String, usize)> {
    let mut out = Vec::new();
    let (mut name, mut is_package) = (None, true);
    for (i, line) in text.lines().chain([""]).enumerate() {
        match line.split_once(':').map(|(key, value)| (key.trim(), value.trim())) {
            Some(("solvable_name", value)) => name = Some((value.to_string(), i + 1)),
            Some(("type", value)) => is_package = value == "package",
            Some(_) => {}
            None => {
                out.extend(name.take().filter(|_| is_package));
                is_package = true;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_name_packages_in_every_form() {
        for pattern in ["bash", "ba*", "bash-0:5.1.8-9.el9.*", "bash-5.1.8-9.el9.x86_64", "bash.x86_64", "bash-5.1.8"] {
            assert!(names(pattern, "bash", "5.1.8-9.el9", "x86_64"), "{pattern}");
        }
        for pattern in ["bas", "bash-0:5.1.8-8.el9.*", "bash.i686", "1:bash-5.1.8-9.el9.x86_64"] {
            assert!(!names(pattern, "bash", "5.1.8-9.el9", "x86_64"), "{pattern}");
        }
    }

    #[test]
    fn files_of_all_three_programs() {
        assert_eq!(versionlock("# Added\nbash-0:5.1.8-9.el9.*\n\n!zlib-0:1-1.*\n"), [("bash-0:5.1.8-9.el9.*".to_string(), 2)]);
        assert_eq!(versionlock_toml("version = \"1.0\"\n[[packages]]\nname = \"bash\"\n[[packages.conditions]]\nkey = \"evr\"\n"), [("bash".to_string(), 3)]);
        assert_eq!(
            zypper("\ntype: package\nmatch_type: glob\nsolvable_name: MozillaFirefox\n\ntype: patch\nsolvable_name: x\n"),
            [("MozillaFirefox".to_string(), 4)]
        );
    }
}
