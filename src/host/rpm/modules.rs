//! Module streams: which packages of a modular repository dnf hides.
//!
//! A package that some stream lists is taken only while that stream is active: enabled by the
//! administrator, or the default of its module and neither disabled nor replaced. A package outside
//! streams is hidden while an active stream lists one of the same name.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io::BufRead;

use super::ini;
use crate::host::{CONFIG_LIMIT, FileKind, Host, ReadError};

const FOLDER: &str = "/etc/dnf/modules.d";
/// Most packages that streams list.
const ARTIFACT_LIMIT: usize = 1_000_000;
/// Longest line of a module document.
const LINE_LIMIT: u64 = 1 << 20;

/// What `dnf module` left: the state of each module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Switches {
    /// Module -> enabled stream; `None`: disabled.
    of: BTreeMap<String, Option<String>>,
}

impl Switches {
    /// Reads `/etc/dnf/modules.d`.
    pub fn read(host: &Host) -> Result<Self, ReadError> {
        let mut out = Self::default();
        let entries = match host.list(FOLDER) {
            Ok(entries) => entries,
            Err(e) if e.is_not_found() => return Ok(out),
            Err(e) => return Err(e),
        };
        for entry in entries.into_iter().filter(|e| e.kind != FileKind::Folder && e.name.ends_with(".module")) {
            let text = host.read_text(&format!("{FOLDER}/{}", entry.name), CONFIG_LIMIT)?;
            for section in ini::parse(&text).unwrap_or_default() {
                match section.value("state") {
                    "enabled" => out.of.insert(section.name.clone(), Some(section.value("stream").into())),
                    "disabled" => out.of.insert(section.name.clone(), None),
                    _ => None,
                };
            }
        }
        Ok(out)
    }
}

/// Streams of all repositories, as far as installed packages go.
#[derive(Debug, Default)]
pub struct Streams {
    /// Module and stream -> `name-epoch:version-release.arch` of what it lists.
    artifacts: BTreeMap<(String, String), Vec<String>>,
    count: usize,
    /// Module -> default stream.
    defaults: BTreeMap<String, String>,
}

/// Which packages pass.
#[derive(Debug, Default)]
pub struct Filter {
    active: HashSet<String>,
    inactive: HashSet<String>,
    names: BTreeSet<String>,
    streams: BTreeSet<(String, String)>,
}

impl Filter {
    /// Whether dnf sees a package; `nevra` is `name-epoch:version-release.arch`.
    pub fn lets_pass(&self, name: &str, nevra: &str) -> bool {
        self.active.contains(nevra) || !(self.inactive.contains(nevra) || self.names.contains(name))
    }

    /// Whether a stream is active.
    pub fn is_active(&self, module: &str, stream: &str) -> bool {
        self.streams.contains(&(module.to_string(), stream.to_string()))
    }
}

impl Streams {
    /// Adds a `modules` file; artifacts of other names than the `wanted` ones are left out.
    pub fn add(&mut self, input: impl BufRead, wanted: impl Fn(&str) -> bool) -> Result<(), String> {
        let mut document = Document::default();
        let mut input = input;
        let mut line = Vec::new();
        loop {
            line.clear();
            let read = std::io::Read::take(&mut input, LINE_LIMIT).read_until(b'\n', &mut line).map_err(|e| e.to_string())?;
            if read as u64 == LINE_LIMIT {
                return Err("a line is longer than is read".into());
            }
            let text = String::from_utf8_lossy(&line);
            let text = text.trim_end();
            if read == 0 || text == "---" || text == "..." {
                self.take(std::mem::take(&mut document));
                if self.count > ARTIFACT_LIMIT {
                    return Err("more packages in module streams than are read".into());
                }
            }
            if read == 0 {
                return Ok(());
            }
            document.line(text, &wanted);
            if document.artifacts.len() > ARTIFACT_LIMIT {
                return Err("more packages in a module stream than are read".into());
            }
        }
    }

    fn take(&mut self, document: Document) {
        match document.kind.as_str() {
            "modulemd" if !document.name.is_empty() => {
                self.count += document.artifacts.len();
                self.artifacts.entry((document.name, document.stream)).or_default().extend(document.artifacts);
            }
            "modulemd-defaults" if !document.module.is_empty() && !document.stream.is_empty() => {
                self.defaults.insert(document.module, document.stream);
            }
            _ => {}
        }
    }

    /// Decides by what the administrator switched.
    pub fn filter(self, switches: &Switches) -> Filter {
        let mut out = Filter::default();
        for ((module, stream), artifacts) in self.artifacts {
            let active = match switches.of.get(&module) {
                Some(switched) => switched.as_deref() == Some(stream.as_str()),
                None => self.defaults.get(&module) == Some(&stream),
            };
            if active {
                out.names.extend(artifacts.iter().filter_map(|a| name_of(a)).map(String::from));
                out.active.extend(artifacts);
                out.streams.insert((module, stream));
            } else {
                out.inactive.extend(artifacts);
            }
        }
        out
    }
}

/// `name` of `name-epoch:version-release.arch`.
fn name_of(nevra: &str) -> Option<&str> {
    let (rest, _) = nevra.rsplit_once('-')?;
    rest.rsplit_once('-').map(|(name, _)| name)
}

/// What one YAML document says so far. libmodulemd writes the keys below `data` with two spaces;
/// longer texts are indented deeper and so are never taken for them.
#[derive(Debug, Default)]
struct Document {
    kind: String,
    name: String,
    module: String,
    stream: String,
    artifacts: Vec<String>,
    within: Within,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Within {
    #[default]
    Other,
    Artifacts,
    Rpms,
}

impl Document {
    fn line(&mut self, line: &str, wanted: &impl Fn(&str) -> bool) {
        let text = line.trim_start();
        let indent = line.len() - text.len();
        if text.is_empty() || text.starts_with('#') {
            return;
        }
        if let (Within::Rpms, Some(artifact)) = (self.within, text.strip_prefix("- ")) {
            let artifact = scalar(artifact);
            if name_of(artifact).is_some_and(wanted) {
                self.artifacts.push(artifact.into());
            }
            return;
        }
        let (key, value) = text.split_once(':').map_or((text, ""), |(k, v)| (k, scalar(v)));
        match (indent, key) {
            (0, "document") => self.kind = value.into(),
            (2, "name") => self.name = value.into(),
            (2, "module") => self.module = value.into(),
            (2, "stream") => self.stream = value.into(),
            _ => {}
        }
        self.within = match (indent, key) {
            (2, "artifacts") => Within::Artifacts,
            (3.., "rpms") if self.within != Within::Other => Within::Rpms,
            (3.., _) if self.within != Within::Other => Within::Artifacts,
            _ => Within::Other,
        };
    }
}

fn scalar(text: &str) -> &str {
    let text = text.trim();
    let quoted = |q: char| text.strip_prefix(q).and_then(|t| t.split_once(q)).map(|(inner, _)| inner);
    quoted('"').or_else(|| quoted('\'')).unwrap_or_else(|| text.split(" #").next().unwrap_or_default().trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "---\ndocument: modulemd-defaults\nversion: 1\ndata:\n  module: perl\n  stream: \"5.26\"\n  profiles:\n    5.26: [common]\n...\n\
        ---\ndocument: modulemd\nversion: 2\ndata:\n  name: nodejs\n  stream: \"18\"\n  description: >-\n    name: nothing\n  artifacts:\n    rpm-map:\n      sha256: {}\n    rpms:\n\
        \x20   - nodejs-1:18.1.0-1.module+el8.x86_64\n    - other-0:1-1.noarch\n  profiles:\n    common:\n      rpms:\n      - nodejs\n...\n\
        ---\ndocument: modulemd\ndata:\n  name: nodejs\n  stream: 20\n  artifacts:\n    rpms:\n    - nodejs-1:20.1.0-1.module+el8.x86_64\n...\n\
        ---\ndocument: modulemd\ndata:\n  name: perl\n  stream: 5.26\n  artifacts:\n    rpms:\n      - perl-4:5.26.3-1.el8.x86_64\n";

    fn filter(files: &[(&str, &str)]) -> Filter {
        let root = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::create_dir_all(root.path().join("etc/dnf/modules.d")).unwrap();
            std::fs::write(root.path().join("etc/dnf/modules.d").join(name), text).unwrap();
        }
        let mut streams = Streams::default();
        streams.add(TEXT.as_bytes(), |name| name != "other").unwrap();
        streams.filter(&Switches::read(&Host::rooted(root.path()).unwrap()).unwrap())
    }

    const OLD: (&str, &str) = ("nodejs", "nodejs-1:18.1.0-1.module+el8.x86_64");
    const NEW: (&str, &str) = ("nodejs", "nodejs-1:20.1.0-1.module+el8.x86_64");
    const BARE: (&str, &str) = ("nodejs", "nodejs-1:21.0.0-1.el8.x86_64");

    fn passing(filter: &Filter) -> [bool; 3] {
        [OLD, NEW, BARE].map(|(name, nevra)| filter.lets_pass(name, nevra))
    }

    #[test]
    fn streams_pass_when_switched_on_and_hide_the_rest() {
        let on = filter(&[("nodejs.module", "[nodejs]\nname=nodejs\nstream=18\nprofiles=\nstate=enabled\n")]);
        assert_eq!(passing(&on), [true, false, false]);
        assert!(on.is_active("nodejs", "18") && !on.is_active("nodejs", "20") && on.is_active("perl", "5.26"));
        assert_eq!(passing(&filter(&[])), [false, false, true]);
        assert_eq!(passing(&filter(&[("nodejs.module", "[nodejs]\nstate=\nstream=20\n")])), [false, false, true]);
        assert_eq!(passing(&filter(&[("nodejs.module.rpmnew", "[nodejs]\nstate=enabled\nstream=20\n")])), [false, false, true]);
        let disabled = filter(&[("perl.module", "[perl]\nstate=disabled\nstream=\n")]);
        assert!(!disabled.lets_pass("perl", "perl-4:5.26.3-1.el8.x86_64"));
        assert!(filter(&[]).lets_pass("perl", "perl-4:5.26.3-1.el8.x86_64") && filter(&[]).lets_pass("zlib", "zlib-0:1-1.x86_64"));
    }

    #[test]
    fn odd_documents_do_no_harm() {
        for cut in (0..TEXT.len()).step_by(7) {
            Streams::default().add(&TEXT.as_bytes()[cut..], |_| true).unwrap();
        }
        let endless = std::io::BufReader::new(std::io::repeat(b'x'));
        assert!(Streams::default().add(endless, |_| true).is_err());
    }
}
