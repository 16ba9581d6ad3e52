//! Which version apt would install: apt_preferences(5).

use regex_lite::{Regex, RegexBuilder};

use super::control::Paragraphs;
use super::{glob_matches, is_read_by_apt};
use crate::host::{CONFIG_LIMIT, FileKind, Host, ReadError};
use crate::model::fact::Source;

const FILE: &str = "/etc/apt/preferences";
const FOLDER: &str = "/etc/apt/preferences.d";
/// Most pins that are kept.
const PIN_LIMIT: usize = 10_000;
/// Largest compiled pattern, bytes.
const PATTERN_LIMIT: usize = 1 << 16;

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
    /// `Package: *`: about repositories, not about packages.
    general: bool,
    packages: Vec<PinnedPackage>,
    what: What,
    priority: i32,
    source: Source,
}

/// One word of `Package`.
#[derive(Clone, Debug)]
struct PinnedPackage {
    name: Pattern,
    of_source: bool,
    architecture: String,
}

#[derive(Clone, Debug)]
enum What {
    Version(Pattern),
    Release(Vec<(char, Pattern)>),
    Origin(Pattern),
}

/// A glob, or a POSIX regular expression between slashes.
#[derive(Clone, Debug)]
enum Pattern {
    Glob(String),
    Regex(Regex),
}

impl Pattern {
    fn parse(text: &str) -> Option<Self> {
        if let Some(inner) = text.strip_prefix('/').and_then(|t| t.strip_suffix('/')) {
            return regex(inner).map(Self::Regex);
        }
        if text.contains('[') {
            return regex(&glob_as_regex(text)).map(Self::Regex);
        }
        Some(Self::Glob(text.into()))
    }

    fn matches(&self, text: &str) -> bool {
        match self {
            Self::Glob(glob) => glob_matches(glob, text),
            Self::Regex(regex) => regex.is_match(text),
        }
    }
}

fn regex(text: &str) -> Option<Regex> {
    RegexBuilder::new(text).case_insensitive(true).size_limit(PATTERN_LIMIT).build().ok()
}

/// Brackets mean the same in both but for `!`.
fn glob_as_regex(glob: &str) -> String {
    let mut out = String::from("^");
    let mut in_brackets = false;
    for c in glob.chars() {
        match c {
            '[' if !in_brackets => {
                in_brackets = true;
                out.push(c);
            }
            ']' if in_brackets => {
                in_brackets = false;
                out.push(c);
            }
            '!' if out.ends_with('[') => out.push('^'),
            c if in_brackets => out.push(c),
            '*' => out.push_str(".*"),
            '?' => out.push('.'),
            c if c.is_ascii_alphanumeric() || c == '-' => out.push(c),
            c => out.extend(['\\', c]),
        }
    }
    out.push('$');
    out
}

/// Every pin, in the order in which apt reads them.
#[derive(Debug, Default)]
pub struct Pins {
    pins: Vec<Pin>,
    /// `APT::Default-Release`, in every form that a pin of a release has.
    default_release: Option<What>,
    /// Files that were not read.
    pub errors: Vec<ReadError>,
    /// Pins that were not understood, one sentence each with file and line.
    pub unsupported: Vec<String>,
}

impl Pins {
    /// Reads `/etc/apt/preferences`, then `/etc/apt/preferences.d` in order of name, as apt does:
    /// the first pin that matches wins.
    pub fn read(host: &Host, default_release: &str) -> Self {
        let mut out = Self { default_release: What::parse("release", default_release), ..Self::default() };
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
        if usable && let Some(pin) = self.specific(candidate, offers) {
            return pin.priority;
        }
        let files = offers.iter().map(|o| self.of_repository(o)).max().unwrap_or(0);
        if candidate.installed { files.max(100) } else { files }
    }

    /// The record that gives one version its priority; `None` when no record does.
    pub fn place(&self, candidate: &Candidate<'_>, offers: &[Offer<'_>]) -> Option<&Source> {
        let general = || self.pins.iter().find(|p| p.general && offers.iter().any(|o| p.what.matches(o)));
        self.specific(candidate, offers).or_else(general).map(|p| &p.source)
    }

    fn specific(&self, candidate: &Candidate<'_>, offers: &[Offer<'_>]) -> Option<&Pin> {
        self.pins.iter().find(|p| p.names(candidate) && p.matches_version(candidate.version, offers))
    }

    /// Whether `APT::Default-Release` means this repository; true when it is not set.
    pub fn is_default_release(&self, offer: &Offer<'_>) -> bool {
        self.default_release.as_ref().is_none_or(|d| d.matches(offer))
    }

    fn of_repository(&self, offer: &Offer<'_>) -> i32 {
        let mut general = self.pins.iter().filter(|p| p.general && p.what.matches(offer)).map(|p| p.priority);
        if general.clone().any(|p| p == NEVER) {
            return NEVER;
        }
        if self.default_release.as_ref().is_some_and(|d| d.matches(offer)) {
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
            let named: Option<Vec<PinnedPackage>> = packages.iter().map(|p| PinnedPackage::parse(p)).collect();
            let source = Source::line(path, usize::try_from(paragraphs.field_line(1)).unwrap_or(usize::MAX), "Pin");
            match (what, named) {
                (Some(what), Some(named)) if self.pins.len() < PIN_LIMIT => {
                    self.pins.push(Pin { general: packages == ["*"], packages: named, what, priority, source });
                }
                _ => self.unsupported.push(format!("{path}:{line}: pin of {package} is not understood")),
            }
        }
    }
}

impl PinnedPackage {
    fn parse(word: &str) -> Option<Self> {
        let (of_source, rest) = word.strip_prefix("src:").map_or((false, word), |rest| (true, rest));
        // Colons inside a regular expression part nothing.
        let (name, architecture) = if rest.starts_with('/') { (rest, "") } else { rest.rsplit_once(':').unwrap_or((rest, "")) };
        Some(Self { name: Pattern::parse(name)?, of_source, architecture: architecture.into() })
    }

    fn names(&self, candidate: &Candidate<'_>) -> bool {
        // Without an architecture a pin is about dpkg's own.
        let of_architecture = match self.architecture.as_str() {
            "any" => true,
            "" | "native" => candidate.native,
            other => glob_matches(other, candidate.architecture),
        };
        of_architecture && self.name.matches(if self.of_source { candidate.source } else { candidate.package })
    }
}

impl Pin {
    fn names(&self, candidate: &Candidate<'_>) -> bool {
        !self.general && self.packages.iter().any(|p| p.names(candidate))
    }

    fn matches_version(&self, version: &str, offers: &[Offer<'_>]) -> bool {
        match &self.what {
            What::Version(pattern) => pattern.matches(version),
            other => offers.iter().any(|o| other.matches(o)),
        }
    }
}

impl What {
    fn parse(kind: &str, rest: &str) -> Option<Self> {
        match kind {
            "version" => Pattern::parse(rest).map(Self::Version),
            "origin" => Pattern::parse(rest.trim_matches('"')).map(Self::Origin),
            "release" => {
                let mut keys = Vec::new();
                for part in rest.split(',').map(str::trim).filter(|p| !p.is_empty()) {
                    match part.split_once('=') {
                        Some((key, value)) => {
                            let key = key.trim();
                            let letter = key.chars().next().filter(|c| key.len() == 1 && "anvcolb".contains(*c))?;
                            keys.push((letter, Pattern::parse(value.trim().trim_matches('"'))?));
                        }
                        None => keys.push(('*', Pattern::parse(part)?)),
                    }
                }
                (!keys.is_empty()).then_some(Self::Release(keys))
            }
            _ => None,
        }
    }

    fn matches(&self, offer: &Offer<'_>) -> bool {
        match self {
            Self::Version(_) => false,
            Self::Origin(site) => site.matches(offer.site),
            Self::Release(keys) => keys.iter().all(|(key, pattern)| {
                let value = match key {
                    'a' => &offer.release.suite,
                    'n' => &offer.release.codename,
                    'v' => &offer.release.version,
                    'o' => &offer.release.origin,
                    'l' => &offer.release.label,
                    'c' => offer.component,
                    'b' => offer.architecture,
                    _ => return pattern.is_bare_release(offer.release),
                };
                pattern.matches(value)
            }),
        }
    }
}

impl Pattern {
    fn is_bare_release(&self, release: &Release) -> bool {
        match self {
            Self::Glob(glob) => bare_release_matches(glob, release),
            Self::Regex(regex) => [&release.suite, &release.codename].iter().any(|v| regex.is_match(v)),
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
        pins.default_release = What::parse("release", "bookworm-backports");
        assert_eq!([priority(&pins, &stable, false), priority(&pins, &backports, false)], [500, 990]);
    }

    #[test]
    fn pins_by_release_origin_version_and_package() {
        let mut pins = Pins::default();
        pins.add(
            "/p",
            "Package: *\nPin: release o=Debian,n=trix*\nPin-Priority: -10\n\nPackage: nodejs npm*\nPin: origin \"deb.nodesource.com\"\nPin-Priority: 600\n\n\
             Package: src:linux\nPin: version 6.1.*\nPin-Priority: 1001\n\nPackage: /(re/\nPin: version 1\nPin-Priority: 5\n\nPackage: a\nPin: version 1\nPin-Priority: x\n\n\
             Package: /^LIB.*dev$/ q[ab]?\nPin: version /^1[.]/\nPin-Priority: 7\n",
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
        assert_eq!([of("libx-dev", "x", "1.2", &other, "x"), of("libx-dev", "x", "2.1", &other, "x"), of("qbz", "x", "1.2", &other, "x")], [7, 500, 7]);
        assert_eq!(of("qcz", "x", "1.2", &other, "x"), 500);
        let offers = [Offer { release: &trixie, component: "main", architecture: "amd64", site: "x" }];
        assert_eq!(pins.place(&candidate("a", "a", "1", false), &offers), Some(&Source::line("/p", 2, "Pin")));
        assert_eq!(pins.unsupported.len(), 2, "{:?}", pins.unsupported);
    }
}
