//! Repositories that apt uses: sources.list(5), one-line and deb822 style.

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
    /// Architectures of the entry; empty: dpkg's.
    pub architectures: Vec<String>,
    /// Where it is written.
    pub source: Source,
}

impl Repository {
    /// Address without scheme, credentials and closing slash, as people know it.
    pub fn shown(&self) -> String {
        without_scheme(&self.uri).trim_end_matches('/').to_string()
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

/// Every enabled binary repository, and what could not be read.
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
            let mut architectures = Vec::new();
            if let Some(options) = rest.strip_prefix('[') {
                let Some((options, after)) = options.split_once(']') else {
                    self.malformed.push(format!("{path}:{}: options are not closed by ]", i + 1));
                    continue;
                };
                for option in options.split_whitespace() {
                    match option.split_once('=') {
                        Some(("arch", list)) => architectures = list.split(',').map(String::from).collect(),
                        Some(("arch+" | "arch-", _)) => self.malformed.push(format!("{path}:{}: option {option} is not supported", i + 1)),
                        _ => {}
                    }
                }
                rest = after.trim_start();
            }
            let (uri, after) = first_word(rest);
            let mut words = after.split_whitespace().map(String::from);
            let (Some(uri), Some(suite)) = (uri.map(String::from), words.next()) else {
                self.malformed.push(format!("{path}:{}: entry without a suite", i + 1));
                continue;
            };
            self.push(uri, suite, words.collect(), architectures, Source::line(path, i + 1, "deb"));
        }
    }

    fn deb822(&mut self, path: &str, text: &str) {
        const FIELDS: &[&str] = &["Types", "URIs", "Suites", "Components", "Architectures", "Enabled", "Architectures-Add", "Architectures-Remove"];
        let mut paragraphs = Paragraphs::new(text.as_bytes(), FIELDS);
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
            let disabled = paragraphs.text(5).is_some_and(|v| matches!(v.to_ascii_lowercase().as_str(), "no" | "false" | "0" | "off" | "without" | "disable"));
            if disabled || !list(0).iter().any(|t| t == "deb") {
                continue;
            }
            let (uris, suites) = (list(1), list(2));
            if uris.is_empty() || suites.is_empty() {
                self.malformed.push(format!("{path}:{line}: entry without URIs or Suites"));
                continue;
            }
            if paragraphs.bytes(6).is_some() || paragraphs.bytes(7).is_some() {
                self.malformed.push(format!("{path}:{line}: Architectures-Add and -Remove are not supported"));
            }
            let (components, architectures) = (list(3), list(4));
            for uri in &uris {
                for suite in &suites {
                    self.push(uri.clone(), suite.clone(), components.clone(), architectures.clone(), Source::line(path, line, "URIs"));
                }
            }
        }
    }

    fn push(&mut self, mut uri: String, suite: String, components: Vec<String>, architectures: Vec<String>, source: Source) {
        if components.is_empty() && !suite.ends_with('/') {
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
        self.repositories.push(Repository { uri, suite, components, architectures, source });
    }
}

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
        assert_eq!(s.repositories[0].architectures, ["amd64", "i386"]);
    }

    #[test]
    fn deb822_multiplies_and_honours_enabled() {
        let text = "Types: deb deb-src\nURIs: http://a/x\nSuites: s s-updates\nComponents: main\n contrib\n\nEnabled: no\nTypes: deb\nURIs: http://b\nSuites: s\nComponents: main\n\nTypes: deb\nURIs: http://c\n";
        let s = parsed("/s.sources", text);
        let shown: Vec<String> = s.repositories.iter().map(|r| format!("{} {} {}", r.uri, r.suite, r.components.join(","))).collect();
        assert_eq!(shown, ["http://a/x/ s main,contrib", "http://a/x/ s-updates main,contrib"]);
        assert_eq!(s.malformed, ["/s.sources:13: entry without URIs or Suites"]);
    }

    #[test]
    fn broken_lines_are_named() {
        let s = parsed("/s.list", "deb\ndeb [arch=x http://a b c\nrpm x y z\ndeb http://a b\n");
        assert_eq!(s.malformed.len(), 4, "{:?}", s.malformed);
        assert!(s.repositories.is_empty());
    }
}
