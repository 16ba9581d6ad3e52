//! Repositories that apt uses: sources.list(5), one-line and deb822 style.

use std::sync::LazyLock;

use super::apt_conf::as_bool;
use super::control::Paragraphs;
use super::is_read_by_apt;
use crate::host::{CONFIG_LIMIT, FileKind, Host, ReadError};
use crate::model::fact::Source;

const FILE: &str = "/etc/apt/sources.list";
const FOLDER: &str = "/etc/apt/sources.list.d";
/// Most (address, suite, component) triples; a fleet mirror has dozens.
pub const ENTRY_LIMIT: usize = 2_000;

/// One binary repository: address, suite and its components.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repository {
    /// Address as written, with a closing slash.
    pub uri: String,
    /// Suite; it ends with a slash for a flat repository.
    pub suite: String,
    /// Components; none for a flat repository.
    pub components: Vec<String>,
    /// What the entry says beyond that.
    pub options: Options,
    /// Where it is written.
    pub source: Source,
}

/// Options of an entry: `[name=value]`, or fields of a deb822 paragraph.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// `Enabled: no`; the lists of such an entry are not fetched.
    pub disabled: bool,
    /// Architectures of the entry; empty: dpkg's.
    pub architectures: Vec<String>,
    /// Architectures beside those.
    pub architectures_added: Vec<String>,
    /// Architectures without those.
    pub architectures_removed: Vec<String>,
    /// Lists that are fetched; empty: the usual ones.
    pub targets: Vec<String>,
    /// `trusted`.
    pub trusted: Option<bool>,
    /// `allow-insecure`.
    pub allow_insecure: Option<bool>,
    /// `allow-weak`.
    pub allow_weak: Option<bool>,
    /// `allow-downgrade-to-insecure`.
    pub allow_downgrade: Option<bool>,
    /// `check-valid-until`.
    pub check_valid_until: Option<bool>,
    /// `signed-by`: key files and fingerprints as written, `inline` for a key in the entry.
    pub signed_by: Vec<String>,
    /// Line of each field of a paragraph, by the one-line name; empty for an entry of one line.
    pub lines: Vec<(&'static str, u32)>,
}

impl Options {
    /// Line of the field that sets an option.
    pub fn line(&self, name: &str) -> Option<u32> {
        self.lines.iter().find(|(n, _)| *n == name).map(|(_, line)| *line)
    }

    fn set(&mut self, name: &str, value: &str) -> bool {
        let list = || value.split([',', ' ', '\n', '\t']).filter(|w| !w.is_empty()).map(String::from).collect::<Vec<_>>();
        match name {
            "arch" => self.architectures = list(),
            "arch+" => self.architectures_added.extend(list()),
            "arch-" => self.architectures_removed.extend(list()),
            "target" => self.targets = list(),
            "trusted" => self.trusted = as_bool(value),
            "allow-insecure" => self.allow_insecure = as_bool(value),
            "allow-weak" => self.allow_weak = as_bool(value),
            "allow-downgrade-to-insecure" => self.allow_downgrade = as_bool(value),
            "check-valid-until" => self.check_valid_until = as_bool(value),
            "signed-by" if value.contains("-----BEGIN PGP") => self.signed_by = vec!["inline".into()],
            "signed-by" => self.signed_by = list(),
            _ => return false,
        }
        true
    }

    /// Architectures whose lists are fetched when dpkg's are `own`.
    pub fn effective_architectures(&self, own: &[String]) -> Vec<String> {
        let asked = if self.architectures.is_empty() { own } else { &self.architectures };
        let added = self.architectures_added.iter().filter(|a| !asked.contains(a));
        asked.iter().chain(added).filter(|a| !self.architectures_removed.contains(a)).cloned().collect()
    }
}

impl Repository {
    /// Address without scheme, credentials and closing slash, as people know it.
    pub fn shown(&self) -> String {
        without_scheme(&self.uri).trim_end_matches('/').to_string()
    }

    /// Address without credentials.
    pub fn without_credentials(&self) -> String {
        match self.uri.split_once("://") {
            Some((scheme, _)) => format!("{scheme}://{}", self.shown()),
            None => self.uri.trim_end_matches('/').to_string(),
        }
    }

    /// Scheme of the address.
    pub fn transport(&self) -> &str {
        self.uri.split_once(':').map_or("", |(scheme, _)| scheme)
    }

    /// Whether the address is a list of mirrors.
    pub fn is_mirror_list(&self) -> bool {
        self.uri.starts_with("mirror")
    }

    /// Name of the server, empty for files.
    pub fn site(&self) -> String {
        let rest = without_scheme(&self.uri);
        let host = rest.split('/').next().unwrap_or_default();
        match host.rsplit_once(':') {
            Some((name, port)) if !name.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) => name.to_string(),
            _ => host.to_string(),
        }
    }

    /// Whether packages lie beside the Release file, without `dists/`.
    pub fn is_flat(&self) -> bool {
        self.suite.ends_with('/')
    }

    /// Name that apt gives to `file` of the suite below `/var/lib/apt/lists`.
    pub fn list_name(&self, file: &str) -> String {
        let base = match self.suite.as_str() {
            "/" => self.uri.clone(),
            flat if flat.ends_with('/') => format!("{}{flat}", self.uri),
            suite => format!("{}dists/{suite}/", self.uri),
        };
        mangle(&format!("{base}{file}"))
    }
}

/// Every binary repository, the disabled ones marked, and what could not be read.
#[derive(Debug, Default)]
pub struct Sources {
    /// In file order.
    pub repositories: Vec<Repository>,
    /// Files that were not read.
    pub errors: Vec<ReadError>,
    /// Entries that were not understood, one sentence each with file and line.
    pub malformed: Vec<String>,
}

impl Sources {
    /// Reads `sources.list` and the files of `sources.list.d` that apt reads.
    pub fn read(host: &Host) -> Self {
        let mut out = Self::default();
        let mut paths = vec![FILE.to_string()];
        match host.list(FOLDER) {
            Ok(entries) => {
                let read = entries.into_iter().filter(|e| e.kind != FileKind::Folder && is_read_by_apt(&e.name, &["list", "sources"]));
                paths.extend(read.map(|e| format!("{FOLDER}/{}", e.name)));
            }
            Err(e) if e.is_not_found() => {}
            Err(e) => out.errors.push(e),
        }
        for path in paths {
            match host.read_text(&path, CONFIG_LIMIT) {
                Ok(text) if path.ends_with(".sources") => out.deb822(&path, &text),
                Ok(text) => out.one_line(&path, &text),
                Err(e) if e.is_not_found() => {}
                Err(e) => out.errors.push(e),
            }
        }
        out
    }

    fn one_line(&mut self, path: &str, text: &str) {
        for (i, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default().trim();
            let Some((kind, mut rest)) = line.split_once(char::is_whitespace) else {
                if !line.is_empty() {
                    self.malformed.push(format!("{path}:{}: entry without an address", i + 1));
                }
                continue;
            };
            if kind != "deb" {
                if kind != "deb-src" {
                    self.malformed.push(format!("{path}:{}: unknown type", i + 1));
                }
                continue;
            }
            rest = rest.trim_start();
            let mut set = Options::default();
            if let Some(options) = rest.strip_prefix('[') {
                let Some((options, after)) = options.split_once(']') else {
                    self.malformed.push(format!("{path}:{}: options are not closed by ]", i + 1));
                    continue;
                };
                for (name, value) in options.split_whitespace().filter_map(|o| o.split_once('=')) {
                    set.set(&name.to_ascii_lowercase(), value);
                }
                rest = after.trim_start();
            }
            let (uri, after) = first_word(rest);
            let mut words = after.split_whitespace().map(String::from);
            let (Some(uri), Some(suite)) = (uri.map(String::from), words.next()) else {
                self.malformed.push(format!("{path}:{}: entry without a suite", i + 1));
                continue;
            };
            self.push(uri, suite, words.collect(), set, Source::line(path, i + 1, "deb"));
        }
    }

    fn deb822(&mut self, path: &str, text: &str) {
        let mut paragraphs = Paragraphs::new(text.as_bytes(), &FIELDS);
        loop {
            match paragraphs.advance() {
                Ok(true) => {}
                Ok(false) => return,
                Err(e) => {
                    self.malformed.push(format!("{path}: {e}"));
                    return;
                }
            }
            let list = |i: usize| paragraphs.text(i).unwrap_or_default().split_whitespace().map(String::from).collect::<Vec<_>>();
            let line = usize::try_from(paragraphs.paragraph_line()).unwrap_or(usize::MAX);
            if !list(0).iter().any(|t| t == "deb") {
                continue;
            }
            let mut options = Options { disabled: paragraphs.text(4).and_then(|v| as_bool(&v)) == Some(false), ..Options::default() };
            for (i, (_, name)) in OPTION_FIELDS.iter().enumerate() {
                if let Some(value) = paragraphs.text(i + FIXED_FIELDS) {
                    options.set(name, &value);
                    options.lines.push((*name, u32::try_from(paragraphs.field_line(i + FIXED_FIELDS)).unwrap_or(u32::MAX)));
                }
            }
            let (uris, suites) = (list(1), list(2));
            if uris.is_empty() || suites.is_empty() {
                // apt looks no further into an entry that is switched off.
                if options.disabled {
                    continue;
                }
                self.malformed.push(format!("{path}:{line}: entry without URIs or Suites"));
                continue;
            }
            let components = list(3);
            for uri in &uris {
                for suite in &suites {
                    self.push(uri.clone(), suite.clone(), components.clone(), options.clone(), Source::line(path, line, "URIs"));
                }
            }
        }
    }

    fn push(&mut self, mut uri: String, suite: String, components: Vec<String>, options: Options, source: Source) {
        if components.is_empty() && !suite.ends_with('/') {
            if options.disabled {
                return;
            }
            self.malformed.push(format!("{}:{}: suite {suite} without a component", source.place, source.line));
            return;
        }
        if self.repositories.iter().map(|r| r.components.len().max(1)).sum::<usize>() + components.len().max(1) > ENTRY_LIMIT {
            self.errors.push(ReadError::TooLarge(source.place, ENTRY_LIMIT));
            return;
        }
        if !uri.ends_with('/') {
            uri.push('/');
        }
        self.repositories.push(Repository { uri, suite, components, options, source });
    }
}

/// Fields of a deb822 entry: the first ones by position, then options with their one-line names.
static FIELDS: LazyLock<Vec<&str>> =
    LazyLock::new(|| ["Types", "URIs", "Suites", "Components", "Enabled"].into_iter().chain(OPTION_FIELDS.iter().map(|f| f.0)).collect());
/// Fields before the options.
const FIXED_FIELDS: usize = 5;
const OPTION_FIELDS: &[(&str, &str)] = &[
    ("Architectures", "arch"),
    ("Architectures-Add", "arch+"),
    ("Architectures-Remove", "arch-"),
    ("Targets", "target"),
    ("Trusted", "trusted"),
    ("Allow-Insecure", "allow-insecure"),
    ("Allow-Weak", "allow-weak"),
    ("Allow-Downgrade-To-Insecure", "allow-downgrade-to-insecure"),
    ("Check-Valid-Until", "check-valid-until"),
    ("Signed-By", "signed-by"),
];

/// The address and what follows; the name of a disc is in brackets and may hold spaces.
fn first_word(text: &str) -> (Option<&str>, &str) {
    let from = if text.starts_with("cdrom:[") { text.find(']').unwrap_or(0) } else { 0 };
    let end = text.get(from..).and_then(|t| t.find(char::is_whitespace)).map_or(text.len(), |i| from + i);
    (text.get(..end).filter(|w| !w.is_empty()), text.get(end..).unwrap_or_default())
}

/// `scheme://user:password@host/path` as `host/path`.
fn without_scheme(uri: &str) -> &str {
    let rest = match uri.split_once("://") {
        Some((_, rest)) => rest,
        // cdrom:[name of the disc]/
        None if uri.starts_with("cdrom:[") => return uri.get(7..).unwrap_or_default(),
        // file:/path, copy:/path
        None => return uri.split_once(':').map_or(uri, |(_, rest)| rest),
    };
    let host_end = rest.find('/').unwrap_or(rest.len());
    match rest.get(..host_end).and_then(|authority| authority.rfind('@')) {
        Some(at) => rest.get(at + 1..).unwrap_or_default(),
        None => rest,
    }
}

/// apt's `URItoFileName`: no scheme, no credentials, awkward bytes as `%xx`, slashes as `_`.
fn mangle(uri: &str) -> String {
    let mut out = String::new();
    let disc = uri.starts_with("cdrom:[");
    for b in without_scheme(uri).bytes() {
        match b {
            b']' if disc => {}
            b'/' => out.push('_'),
            b if b <= b' ' || b >= 0x7f || br#"\|{}[]<>"^~_=!@#$%^&*"#.contains(&b) => out.push_str(&format!("%{b:02x}")),
            b => out.push(char::from(b)),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(path: &str, text: &str) -> Sources {
        let mut out = Sources::default();
        if path.ends_with(".sources") {
            out.deb822(path, text)
        } else {
            out.one_line(path, text)
        }
        out
    }

    #[test]
    fn names_of_list_files_are_apt_s() {
        let text = "deb [arch=amd64,i386 signed-by=/k] https://me:secret@repo.example.com:8443/a_b/c~d bookworm-security main updates/x # note\n\
                    deb http://flat.example.com/debian ./\ndeb file:/srv/repo /\n\
                    deb cdrom:[Debian GNU/Linux 12.0.0 _Bookworm_ - Official amd64]/ bookworm main\ndeb mirror+file:///etc/apt/mirrors/debian.list bookworm main\n#deb http://x y z\ndeb-src http://x y z\n";
        let s = parsed("/s.list", text);
        assert!(s.malformed.is_empty(), "{:?}", s.malformed);
        let names: Vec<String> = s.repositories.iter().map(|r| r.list_name("InRelease")).collect();
        assert_eq!(
            names,
            [
                "repo.example.com:8443_a%5fb_c%7ed_dists_bookworm-security_InRelease",
                "flat.example.com_debian_._InRelease",
                "_srv_repo_InRelease",
                "Debian%20GNU_Linux%2012.0.0%20%5fBookworm%5f%20-%20Official%20amd64_dists_bookworm_InRelease",
                "_etc_apt_mirrors_debian.list_dists_bookworm_InRelease",
            ]
        );
        assert_eq!(s.repositories[0].shown(), "repo.example.com:8443/a_b/c~d");
        assert_eq!(s.repositories[0].site(), "repo.example.com");
        assert_eq!(s.repositories[0].without_credentials(), "https://repo.example.com:8443/a_b/c~d");
        assert_eq!((s.repositories[2].without_credentials().as_str(), s.repositories[4].transport()), ("file:/srv/repo", "mirror+file"));
        assert_eq!(s.repositories[0].options.architectures, ["amd64", "i386"]);
        assert_eq!(s.repositories[0].options.signed_by, ["/k"]);
    }

    #[test]
    fn deb822_multiplies_and_honours_enabled() {
        let text = "Types: deb deb-src\nURIs: http://a/x\nSuites: s s-updates\nComponents: main\n contrib\n\nEnabled: no\nTypes: deb\nURIs: http://b\nSuites: s\nComponents: main\n\nTypes: deb\nURIs: http://c\n";
        let s = parsed("/s.sources", text);
        let shown: Vec<String> = s.repositories.iter().map(|r| format!("{} {} {} {}", r.uri, r.suite, r.components.join(","), r.options.disabled)).collect();
        assert_eq!(shown, ["http://a/x/ s main,contrib false", "http://a/x/ s-updates main,contrib false", "http://b/ s main true"]);
        assert_eq!(s.malformed, ["/s.sources:13: entry without URIs or Suites"]);
    }

    #[test]
    fn options_of_both_styles() {
        let one = parsed("/s.list", "deb [ trusted=yes  arch+=i386 arch-=amd64 check-valid-until=no lang=de ] http://a s main\n");
        let two = parsed(
            "/s.sources",
            "types: deb\nuris: http://a\nsuites: s\ncomponents: main\nTrusted: Yes\nArchitectures-Add: i386\nArchitectures-Remove: amd64\nCheck-Valid-Until: false\n",
        );
        let fields = &two.repositories[0].options;
        assert_eq!(one.repositories[0].options, Options { lines: Vec::new(), ..fields.clone() });
        assert_eq!((fields.line("trusted"), fields.line("arch+"), fields.line("signed-by")), (Some(5), Some(6), None));
        assert_eq!(one.repositories[0].options.effective_architectures(&["amd64".into(), "arm64".into()]), ["arm64", "i386"]);
        let inline =
            parsed("/s.sources", "Types: deb\nURIs: http://a\nSuites: ./\nSigned-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n xyz\nAllow-Insecure: yes\n");
        assert_eq!(
            (inline.repositories[0].options.signed_by.as_slice(), inline.repositories[0].options.allow_insecure),
            (["inline".to_string()].as_slice(), Some(true))
        );
    }

    #[test]
    fn broken_lines_are_named() {
        let s = parsed("/s.list", "deb\ndeb [arch=x http://a b c\nrpm x y z\ndeb http://a b\n");
        assert_eq!(s.malformed.len(), 4, "{:?}", s.malformed);
        assert!(s.repositories.is_empty());
    }
}
