//! Packages that an administrator keeps at their version: dnf's versionlock and zypper's locks.

use super::database::Installed;
use super::ini::glob_matches;
use super::repositories::Program;
use super::version;
use crate::host::{CONFIG_LIMIT, Host, ReadError};

/// What is locked.
#[derive(Debug, Default)]
pub struct Locks {
    patterns: Vec<String>,
    /// Files that were not read.
    pub errors: Vec<ReadError>,
}

impl Locks {
    /// Reads the locks of a program.
    pub fn read(host: &Host, program: Program) -> Self {
        let (place, parse): (_, fn(&str) -> Vec<String>) = match program {
            Program::Dnf => ("/etc/dnf/plugins/versionlock.list", versionlock),
            Program::Dnf5 => ("/etc/dnf/versionlock.toml", versionlock_toml),
            Program::Zypper => ("/etc/zypp/locks", zypper),
        };
        match host.read_text(place, CONFIG_LIMIT) {
            Ok(text) => Self { patterns: parse(&text), errors: Vec::new() },
            Err(e) if e.is_not_found() => Self::default(),
            Err(e) => Self { patterns: Vec::new(), errors: vec![e] },
        }
    }

    /// Whether a lock holds an installed package.
    pub fn hold(&self, package: &Installed) -> bool {
        self.patterns.iter().any(|p| names(p, &package.name, &package.version, &package.architecture))
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
fn versionlock(text: &str) -> Vec<String> {
    let lines = text.lines().map(|l| l.split('#').next().unwrap_or_default().trim());
    lines.filter(|l| !l.is_empty() && !l.starts_with('!')).map(String::from).collect()
}

/// `name = "…"` of each `[[packages]]`; its conditions are taken to hold.
fn versionlock_toml(text: &str) -> Vec<String> {
    let names = text.lines().filter_map(|l| l.trim().strip_prefix("name")?.trim_start().strip_prefix('=').map(str::trim));
    names.map(|n| n.trim_matches(['"', '\'']).to_string()).filter(|n| !n.is_empty()).collect()
}

/// Stanzas of `key: value`; those of patches and patterns do not hold packages.
fn zypper(text: &str) -> Vec<String> {
    let stanza = |stanza: &str| -> Option<String> {
        let field = |key: &str| stanza.lines().find_map(|l| l.split_once(':').filter(|(k, _)| k.trim() == key).map(|(_, v)| v.trim().to_string()));
        let name = field("solvable_name")?;
        let kind = field("type").unwrap_or_else(|| "package".into());
        (kind == "package").then_some(name)
    };
    text.split("\n\n").filter_map(stanza).collect()
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
        assert_eq!(versionlock("# Added\nbash-0:5.1.8-9.el9.*\n\n!zlib-0:1-1.*\n"), ["bash-0:5.1.8-9.el9.*"]);
        assert_eq!(versionlock_toml("version = \"1.0\"\n[[packages]]\nname = \"bash\"\n[[packages.conditions]]\nkey = \"evr\"\n"), ["bash"]);
        assert_eq!(zypper("\ntype: package\nmatch_type: glob\nsolvable_name: MozillaFirefox\n\ntype: patch\nsolvable_name: x\n"), ["MozillaFirefox"]);
    }
}
