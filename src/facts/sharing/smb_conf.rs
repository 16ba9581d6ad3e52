//! smb.conf(5) as text: sections and parameters whose names ignore case and blanks, continuation
//! lines, includes, copies, and the defaults that `[global]` gives to the shares behind it.

use std::collections::BTreeMap;

use super::Reading;
use crate::model::fact::Source;
use crate::model::gap::reason;

/// Most files read.
const FILE_LIMIT: usize = 256;
/// Deepest chain of includes (Samba's own limit is 100).
const DEPTH_LIMIT: usize = 100;
/// Most parameters kept.
const PARAMETER_LIMIT: usize = 50_000;
/// Both names of parameters that have two; the first one is kept.
const SYNONYMS: [(&str, &str); 24] = [
    ("serverminprotocol", "minprotocol"),
    ("servermaxprotocol", "maxprotocol"),
    ("servermaxprotocol", "protocol"),
    ("serversmbencrypt", "smbencrypt"),
    ("guestok", "public"),
    ("guestonly", "onlyguest"),
    ("hostsallow", "allowhosts"),
    ("hostsdeny", "denyhosts"),
    ("path", "directory"),
    ("browseable", "browsable"),
    ("guestaccount", "guestuser"),
    ("logfile", "logfilename"),
    ("configfile", "configfilename"),
    ("vfsobjects", "vfsobject"),
    ("createmask", "createmode"),
    ("directorymask", "directorymode"),
    ("forceuser", "user"),
    ("printable", "printok"),
    ("rootpreexec", "rootpreexecute"),
    ("preload", "autoservices"),
    ("defaultservice", "default"),
    ("group", "forcegroup"),
    ("bindinterfacesonly", "bindinterfaces"),
    ("smbports", "smbport"),
];
/// Flags whose value Samba must understand: with another word it does not load the file.
const FLAGS: [&str; 7] = ["guestok", "guestonly", "readonly", "available", "printable", "bindinterfacesonly", "registryshares"];
/// Parameters that mean the opposite of `read only`.
const WRITABLE: [&str; 3] = ["writable", "writeable", "writeok"];

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    /// As written, blanks around it taken off.
    pub text: String,
    /// File, line and parameter.
    pub source: Source,
}

/// Parameters by their name without blanks, lower case.
pub type Parameters = BTreeMap<String, Value>;

/// What a configuration says.
#[derive(Clone, Debug, Default)]
pub struct SmbConf {
    /// `[global]`.
    pub global: Parameters,
    /// Shares in order: name, where it begins, its own parameters laid over those of `[global]` that stood before it.
    pub shares: Vec<(String, Source, Parameters)>,
    /// What could not be followed, told once for each.
    pub unresolved: Vec<(&'static str, String)>,
}

/// Reads a file with its includes.
pub fn read(reading: &mut Reading<'_>, main: &str) -> SmbConf {
    let mut parser = Parser { reading, out: SmbConf::default(), section: Section::Global, files: 0, parameters: 0, replaced: None };
    parser.file(main, 0);
    // `config file` names another file that is read instead, once.
    if let Some(other) = parser.replaced.take() {
        if other.contains('%') {
            parser.out.unresolved.push((reason::UNSUPPORTED, format!("{main}: config file depends on the client")));
        } else if parser.reading.host.exists(&other).unwrap_or(true) && other != main {
            let unresolved = std::mem::take(&mut parser.out.unresolved);
            parser.out = SmbConf { unresolved, ..SmbConf::default() };
            parser.section = Section::Global;
            parser.file(&other, 0);
        }
    }
    parser.out
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Section {
    Global,
    Share(usize),
}

struct Parser<'r, 'a> {
    reading: &'r mut Reading<'a>,
    out: SmbConf,
    section: Section,
    files: usize,
    parameters: usize,
    replaced: Option<String>,
}

impl Parser<'_, '_> {
    fn file(&mut self, path: &str, depth: usize) {
        if self.files >= FILE_LIMIT || depth > DEPTH_LIMIT {
            return self.out.unresolved.push((reason::LIMIT_REACHED, format!("{path}: more than {DEPTH_LIMIT} levels or {FILE_LIMIT} files of includes")));
        }
        self.files += 1;
        let Some(text) = self.reading.text(path, &["samba", "smb_shares"]) else { return };
        for (line, text) in lines(&text) {
            if self.parameters >= PARAMETER_LIMIT {
                return self.out.unresolved.push((reason::LIMIT_REACHED, format!("{path}:{line}: more than {PARAMETER_LIMIT} parameters")));
            }
            self.parameters += 1;
            if let Some(name) = text.strip_prefix('[') {
                let name = name.split(']').next().unwrap_or(name).trim();
                self.begin(name, Source::line(path, line, format!("[{name}]")));
            } else if let Some((name, value)) = text.split_once('=') {
                self.parameter(name.trim(), value.trim(), path, line, depth);
            }
        }
    }

    fn begin(&mut self, name: &str, source: Source) {
        if ["global", "globals"].iter().any(|g| name.eq_ignore_ascii_case(g)) {
            self.section = Section::Global;
            return;
        }
        let known = self.out.shares.iter().position(|(n, ..)| n.eq_ignore_ascii_case(name));
        let index = known.unwrap_or_else(|| {
            self.out.shares.push((name.to_string(), source, self.out.global.clone()));
            self.out.shares.len() - 1
        });
        self.section = Section::Share(index);
    }

    fn parameter(&mut self, written: &str, value: &str, path: &str, line: usize, depth: usize) {
        let bare: String = written.chars().filter(|c| !c.is_whitespace()).flat_map(char::to_lowercase).collect();
        let mut name = SYNONYMS.iter().find(|(_, other)| *other == bare).map_or(bare.as_str(), |(first, _)| first).to_string();
        let mut text = unquoted(value).to_string();
        if WRITABLE.contains(&name.as_str()) {
            name = "readonly".into();
            text = flag(&text).map_or(text, |yes| if yes { "no" } else { "yes" }.into());
        }
        match name.as_str() {
            "include" => return self.include(&text, path, line, depth),
            "copy" => return self.copy(&text),
            "configbackend" if text.eq_ignore_ascii_case("registry") => {
                self.out = SmbConf::default();
                self.out.unresolved.push((reason::UNSUPPORTED, format!("{path}:{line}: the configuration lies in Samba's registry")));
                return;
            }
            "registryshares" if flag(&text) == Some(true) => {
                self.out.unresolved.push((reason::UNSUPPORTED, format!("{path}:{line}: further shares lie in Samba's registry")));
            }
            flagged if FLAGS.contains(&flagged) && flag(&text).is_none() => {
                self.out.unresolved.push((reason::MALFORMED, format!("{path}:{line}: {written} is neither yes nor no: Samba does not load the file")));
            }
            "configfile" => self.replaced = Some(text.clone()),
            _ => {}
        }
        let source = Source::line(path, line, written);
        let into = match self.section {
            Section::Global => Some(&mut self.out.global),
            Section::Share(index) => self.out.shares.get_mut(index).map(|(_, _, p)| p),
        };
        if let Some(into) = into {
            into.insert(name, Value { text, source });
        }
    }

    fn include(&mut self, target: &str, path: &str, line: usize, depth: usize) {
        if target.eq_ignore_ascii_case("registry") {
            self.out.unresolved.push((reason::UNSUPPORTED, format!("{path}:{line}: what Samba's registry adds is not read")));
        } else if target.contains('%') {
            self.out.unresolved.push((reason::UNSUPPORTED, format!("{path}:{line}: which file is included depends on the client")));
        } else if !target.is_empty() {
            self.file(target, depth + 1);
        }
    }

    fn copy(&mut self, from: &str) {
        let Section::Share(index) = self.section else { return };
        let Some(copied) = self.out.shares.iter().find(|(n, ..)| n.eq_ignore_ascii_case(from)).map(|(_, _, p)| p.clone()) else { return };
        let global = self.out.global.clone();
        if let Some((_, _, own)) = self.out.shares.get_mut(index) {
            for (name, value) in copied {
                // What the share says itself stays.
                if own.get(&name).is_none_or(|v| global.get(&name) == Some(v)) {
                    own.insert(name, value);
                }
            }
        }
    }
}

/// Lines without comments, those that end with a backslash joined, with the number of the first.
pub(super) fn lines(text: &str) -> Vec<(usize, String)> {
    let mut out: Vec<(usize, String)> = Vec::new();
    let mut continues = false;
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        let (body, more) = line.strip_suffix('\\').map_or((line, false), |b| (b.trim_end(), true));
        match out.last_mut().filter(|_| continues) {
            Some((_, before)) => {
                before.push(' ');
                before.push_str(body);
            }
            None if line.is_empty() || line.starts_with(['#', ';']) => {
                continues = false;
                continue;
            }
            None => out.push((index + 1, body.to_string())),
        }
        continues = more;
    }
    out
}

fn unquoted(value: &str) -> &str {
    value.strip_prefix('"').and_then(|v| v.strip_suffix('"')).unwrap_or(value)
}

/// `yes`, `true`, `1`, `on` and their opposites.
pub fn flag(text: &str) -> Option<bool> {
    let is = |words: &[&str]| words.iter().any(|w| text.eq_ignore_ascii_case(w));
    if is(&["yes", "true", "1", "on"]) {
        Some(true)
    } else if is(&["no", "false", "0", "off"]) {
        Some(false)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joined_lines_keep_the_number_of_the_first() {
        assert_eq!(lines("; c\n[a]\nx = 1 \\\n 2\n\ny=3\\"), [(2, "[a]".to_string()), (3, "x = 1 2".to_string()), (6, "y=3".to_string())]);
        assert_eq!((flag("Yes"), flag("OFF"), flag("maybe")), (Some(true), Some(false), None));
    }
}
