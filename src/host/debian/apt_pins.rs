//! Which version apt would install: apt_preferences(5).

use super::control::Paragraphs;
use super::{glob_matches, is_read_by_apt};
use crate::host::{CONFIG_LIMIT, FileKind, Host, ReadError};

const FILE: &str = "/etc/apt/preferences";
const FOLDER: &str = "/etc/apt/preferences.d";
/// Most pins that are kept.
const PIN_LIMIT: usize = 10_000;

/// The Release fields that pins look at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Release {
    /// `Suite`.
    pub suite: String,
    /// `Codename`.
    pub codename: String,
    /// `Version`.
    pub version: String,
    /// `Origin`.
    pub origin: String,
    /// `Label`.
    pub label: String,
    /// `NotAutomatic: yes`.
    pub not_automatic: bool,
    /// `ButAutomaticUpgrades: yes`.
    pub but_automatic_upgrades: bool,
}

/// Where an offered version comes from.
#[derive(Clone, Copy, Debug)]
pub struct Offer<'a> {
    /// Release fields of the repository.
    pub release: &'a Release,
    /// Component.
    pub component: &'a str,
    /// Architecture of the list.
    pub architecture: &'a str,
    /// Server name.
    pub site: &'a str,
}

/// The version that is judged.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// Binary package.
    pub package: &'a str,
    /// Its architecture, dpkg's own for `all`.
    pub architecture: &'a str,
    /// Whether that is dpkg's own architecture.
    pub native: bool,
    /// Source package.
    pub source: &'a str,
    /// Version.
    pub version: &'a str,
    /// Whether this version is installed.
    pub installed: bool,
}

/// `Pin-Priority: never`.
const NEVER: i32 = i32::MIN;

/// One record of a preferences file.
#[derive(Clone, Debug)]
struct Pin {
    packages: Vec<String>,
    what: What,
    priority: i32,
}

#[derive(Clone, Debug)]
enum What {
    Version(String),
    Release(Vec<(char, String)>),
    Origin(String),
}

/// Every pin, in the order in which apt reads them.
#[derive(Debug, Default)]
pub struct Pins {
    pins: Vec<Pin>,
    /// `APT::Default-Release`.
    pub default_release: String,
    /// Files that were not read.
    pub errors: Vec<ReadError>,
    /// Pins that were not understood, one sentence each with file and line.
    pub unsupported: Vec<String>,
}

impl Pins {
    /// Reads `/etc/apt/preferences`, then `/etc/apt/preferences.d` in order of name, as apt does:
    /// the first pin that matches wins.
    pub fn read(host: &Host, default_release: &str) -> Self {
        let mut out = Self { default_release: default_release.into(), ..Self::default() };
        let mut paths = vec![FILE.to_string()];
        match host.list(FOLDER) {
            Ok(entries) => {
                let read = entries.into_iter().filter(|e| e.kind != FileKind::Folder && is_read_by_apt(&e.name, &["", "pref"]));
                paths.extend(read.map(|e| format!("{FOLDER}/{}", e.name)));
            }
            Err(e) if e.is_not_found() => {}
            Err(e) => out.errors.push(e),
        }
        for path in paths {
            match host.read_text(&path, CONFIG_LIMIT) {
                Ok(text) => out.add(&path, &text),
                Err(e) if e.is_not_found() => {}
                Err(e) => out.errors.push(e),
            }
        }
        out
    }

    /// Priority of one version that `offers` provide.
    pub fn priority(&self, candidate: &Candidate<'_>, offers: &[Offer<'_>]) -> i32 {
        let usable = candidate.installed || offers.iter().any(|o| self.of_repository(o) != NEVER);
        if usable && let Some(pin) = self.pins.iter().find(|p| p.names(candidate) && p.matches_version(candidate.version, offers)) {
            return pin.priority;
        }
        let files = offers.iter().map(|o| self.of_repository(o)).max().unwrap_or(0);
        if candidate.installed { files.max(100) } else { files }
    }

    fn of_repository(&self, offer: &Offer<'_>) -> i32 {
        let mut general = self.pins.iter().filter(|p| p.is_general() && p.what.matches(offer)).map(|p| p.priority);
        if general.clone().any(|p| p == NEVER) {
            return NEVER;
        }
        if !self.default_release.is_empty() && bare_release_matches(&self.default_release, offer.release) {
            return 990;
        }
        general.next().unwrap_or(match (offer.release.not_automatic, offer.release.but_automatic_upgrades) {
            (_, true) => 100,
            (true, false) => 1,
            _ => 500,
        })
    }

    fn add(&mut self, path: &str, text: &str) {
        let mut paragraphs = Paragraphs::new(text.as_bytes(), &["Package", "Pin", "Pin-Priority"]);
        loop {
            match paragraphs.advance() {
                Ok(true) => {}
                Ok(false) => return,
                Err(e) => {
                    self.unsupported.push(format!("{path}: {e}"));
                    return;
                }
            }
            let line = paragraphs.paragraph_line();
            let (Some(package), Some(pin)) = (paragraphs.text(0), paragraphs.text(1)) else {
                self.unsupported.push(format!("{path}:{line}: record without Package or Pin"));
                continue;
            };
            let packages: Vec<String> = package.split_whitespace().map(String::from).collect();
            let priority = match paragraphs.text(2).unwrap_or_default().trim() {
                "never" if packages == ["*"] => Some(NEVER),
                number => number.parse::<i16>().ok().map(i32::from).filter(|p| *p != 0),
            };
            let Some(priority) = priority else {
                self.unsupported.push(format!("{path}:{line}: Pin-Priority is not a number between -32768 and 32767 other than 0"));
                continue;
            };
            let (kind, rest) = pin.split_once(char::is_whitespace).unwrap_or((pin.as_str(), ""));
            let what = What::parse(kind, rest.trim());
            let plain = |t: &String| !t.starts_with('/') && !t.contains('[');
            match what {
                Some(what) if packages.iter().all(plain) && what.is_plain() && self.pins.len() < PIN_LIMIT => {
                    self.pins.push(Pin { packages, what, priority });
                }
                _ => self.unsupported.push(format!("{path}:{line}: pin of {package} is not understood")),
            }
        }
    }
}

impl Pin {
    fn is_general(&self) -> bool {
        self.packages == ["*"]
    }

    fn names(&self, candidate: &Candidate<'_>) -> bool {
        !self.is_general()
            && self.packages.iter().any(|p| {
                let (name, text) = match p.strip_prefix("src:") {
                    Some(name) => (name, candidate.source),
                    None => (p.as_str(), candidate.package),
                };
                // Without an architecture a pin is about dpkg's own.
                match name.rsplit_once(':') {
                    Some((name, "any")) => glob_matches(name, text),
                    Some((name, "native")) => candidate.native && glob_matches(name, text),
                    Some((name, architecture)) => glob_matches(architecture, candidate.architecture) && glob_matches(name, text),
                    None => candidate.native && glob_matches(name, text),
                }
            })
    }

    fn matches_version(&self, version: &str, offers: &[Offer<'_>]) -> bool {
        match &self.what {
            What::Version(pattern) => glob_matches(pattern, version),
            other => offers.iter().any(|o| other.matches(o)),
        }
    }
}

impl What {
    fn parse(kind: &str, rest: &str) -> Option<Self> {
        match kind {
            "version" => Some(Self::Version(rest.into())),
            "origin" => Some(Self::Origin(rest.trim_matches('"').into())),
            "release" => {
                let mut keys = Vec::new();
                for part in rest.split(',').map(str::trim).filter(|p| !p.is_empty()) {
                    match part.split_once('=') {
                        Some((key, value)) => {
                            let key = key.trim();
                            let letter = key.chars().next().filter(|c| key.len() == 1 && "anvcolb".contains(*c))?;
                            keys.push((letter, value.trim().trim_matches('"').to_string()));
                        }
                        None => keys.push(('*', part.into())),
                    }
                }
                (!keys.is_empty()).then_some(Self::Release(keys))
            }
            _ => None,
        }
    }

    fn is_plain(&self) -> bool {
        let plain = |t: &str| !t.starts_with('/');
        match self {
            Self::Version(v) | Self::Origin(v) => plain(v),
            Self::Release(keys) => keys.iter().all(|(_, v)| plain(v)),
        }
    }

    fn matches(&self, offer: &Offer<'_>) -> bool {
        match self {
            Self::Version(_) => false,
            Self::Origin(site) => glob_matches(site, offer.site),
            Self::Release(keys) => keys.iter().all(|(key, pattern)| {
                let value = match key {
                    'a' => &offer.release.suite,
                    'n' => &offer.release.codename,
                    'v' => &offer.release.version,
                    'o' => &offer.release.origin,
                    'l' => &offer.release.label,
                    'c' => offer.component,
                    'b' => offer.architecture,
                    _ => return bare_release_matches(pattern, offer.release),
                };
                glob_matches(pattern, value)
            }),
        }
    }
}

fn bare_release_matches(pattern: &str, release: &Release) -> bool {
    let digits = pattern.starts_with(|c: char| c.is_ascii_digit());
    (digits && glob_matches(pattern, &release.version)) || glob_matches(pattern, &release.suite) || glob_matches(pattern, &release.codename)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release(suite: &str, codename: &str) -> Release {
        Release { suite: suite.into(), codename: codename.into(), origin: "Debian".into(), ..Release::default() }
    }

    fn candidate<'a>(package: &'a str, source: &'a str, version: &'a str, installed: bool) -> Candidate<'a> {
        Candidate { package, architecture: "amd64", native: true, source, version, installed }
    }

    #[test]
    fn defaults_follow_the_manual() {
        let mut pins = Pins::default();
        let stable = release("stable", "bookworm");
        let backports = Release { not_automatic: true, but_automatic_upgrades: true, ..release("stable-backports", "bookworm-backports") };
        let experimental = Release { not_automatic: true, ..release("experimental", "rc-buggy") };
        let priority = |pins: &Pins, release: &Release, installed| {
            let offers = [Offer { release, component: "main", architecture: "amd64", site: "deb.debian.org" }];
            pins.priority(&candidate("a", "a", "1", installed), &offers)
        };
        assert_eq!([priority(&pins, &stable, false), priority(&pins, &backports, false), priority(&pins, &experimental, true)], [500, 100, 100]);
        assert_eq!(pins.priority(&candidate("a", "a", "1", true), &[]), 100);
        pins.default_release = "bookworm-backports".into();
        assert_eq!([priority(&pins, &stable, false), priority(&pins, &backports, false)], [500, 990]);
    }

    #[test]
    fn pins_by_release_origin_version_and_package() {
        let mut pins = Pins::default();
        pins.add(
            "/p",
            "Package: *\nPin: release o=Debian,n=trix*\nPin-Priority: -10\n\nPackage: nodejs npm*\nPin: origin \"deb.nodesource.com\"\nPin-Priority: 600\n\n\
             Package: src:linux\nPin: version 6.1.*\nPin-Priority: 1001\n\nPackage: /re/\nPin: version 1\nPin-Priority: 5\n\nPackage: a\nPin: version 1\nPin-Priority: x\n",
        );
        let (trixie, other) = (release("testing", "trixie"), Release::default());
        let of = |package: &str, source: &str, version: &str, release: &Release, site: &str| {
            pins.priority(&candidate(package, source, version, false), &[Offer { release, component: "main", architecture: "amd64", site }])
        };
        assert_eq!(of("a", "a", "1", &trixie, "x"), -10);
        assert_eq!(of("npm-x", "a", "1", &other, "deb.nodesource.com"), 600);
        assert_eq!(of("npm-x", "a", "1", &other, "elsewhere"), 500);
        assert_eq!(of("linux-image-x", "linux", "6.1.3", &other, "x"), 1001);
        assert_eq!(of("linux-image-x", "linux", "6.2.3", &other, "x"), 500);
        assert_eq!(pins.unsupported.len(), 2, "{:?}", pins.unsupported);
    }
}
