//! How sshd is started: options of its command line come before every line of its files.
//!
//! The unit with its drop-ins is read, the variables of its environment files are put in; without
//! a unit, the file of the init script.

use std::collections::BTreeMap;

use super::file::{self, Directive};
use crate::host::root::CONFIG_LIMIT;
use crate::host::{Host, ReadError};
use crate::model::gap::Gaps;

/// What the command line says.
#[derive(Debug)]
pub struct Launch {
    /// `-o` options, in order.
    pub directives: Vec<Directive>,
    /// `-p` ports; the files' `Port` lines then do not count.
    pub ports: Vec<Directive>,
    /// `-f`, or the usual file.
    pub main: String,
}

/// Folders of units, the first one wins (systemd.unit(5)).
const UNIT_FOLDERS: [&str; 4] = ["/etc/systemd/system", "/run/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"];
/// Names of the service on the distributions known.
const UNITS: [&str; 2] = ["ssh.service", "sshd.service"];
/// Files of init scripts and the variable that holds the options.
const INIT_FILES: [(&str, &str); 3] = [("/etc/default/ssh", "SSHD_OPTS"), ("/etc/sysconfig/sshd", "OPTIONS"), ("/etc/conf.d/sshd", "SSHD_OPTS")];
/// Most words of one command line.
const WORD_LIMIT: usize = 1024;

/// Reads it; what can't be read is a gap of the whole family.
pub fn read(host: &Host, family: &'static str, gaps: &mut Gaps) -> Launch {
    let mut reader = Reader { host, family, gaps };
    let words = match UNITS.iter().find_map(|unit| reader.unit(unit)) {
        Some(words) => words,
        None => INIT_FILES.iter().flat_map(|(path, name)| reader.environment(path).remove(*name).map(|v| v.split()).unwrap_or_default()).collect(),
    };
    options(&words)
}

/// One word of a command line and the place it comes from.
#[derive(Clone, Debug)]
struct Word {
    text: String,
    path: String,
    line: usize,
}

/// The value of a variable and where it stands.
#[derive(Clone, Debug)]
struct Value {
    text: String,
    path: String,
    line: usize,
}

impl Value {
    fn split(&self) -> Vec<Word> {
        self.text.split_whitespace().take(WORD_LIMIT).map(|w| Word { text: w.into(), path: self.path.clone(), line: self.line }).collect()
    }
}

struct Reader<'a> {
    host: &'a Host,
    family: &'static str,
    gaps: &'a mut Gaps,
}

impl Reader<'_> {
    fn text(&mut self, path: &str) -> Option<String> {
        match self.host.read_text(path, CONFIG_LIMIT) {
            Ok(text) => Some(text),
            Err(ReadError::NotFound(_) | ReadError::NotRegular(_)) => None,
            Err(e) => {
                self.gaps.add(e.to_gap(self.family, "", ""));
                None
            }
        }
    }

    /// Words of the command line that a unit starts; `None` when there is no such unit.
    fn unit(&mut self, unit: &str) -> Option<Vec<Word>> {
        let (path, text) = UNIT_FOLDERS.iter().find_map(|folder| {
            let path = format!("{folder}/{unit}");
            self.text(&path).map(|text| (path, text))
        })?;
        let mut texts = vec![(path, text)];
        for path in self.drop_ins(unit) {
            texts.extend(self.text(&path).map(|text| (path, text)));
        }
        let mut start: Option<Value> = None;
        let mut variables = BTreeMap::new();
        for (path, text) in &texts {
            for (line, key, value) in settings(text) {
                match key {
                    "ExecStart" => start = (!value.is_empty()).then(|| Value { text: value.into(), path: path.clone(), line }),
                    "Environment" => variables.extend(assignments(value).map(|(k, text)| (k, Value { text, path: path.clone(), line }))),
                    "EnvironmentFile" => variables.extend(self.environment(value.trim_start_matches('-'))),
                    _ => {}
                }
            }
        }
        let start = start?;
        let mut out: Vec<Word> = Vec::new();
        for word in start.split().into_iter().skip(1) {
            let name = word.text.strip_prefix('$').map(|n| n.trim_matches(['{', '}']));
            match name {
                Some(name) => out.extend(variables.get(name).map(Value::split).unwrap_or_default()),
                None => out.push(word),
            }
        }
        out.truncate(WORD_LIMIT);
        Some(out)
    }

    /// `UNIT.d/*.conf` of every folder, by file name, the first folder that has a name wins.
    fn drop_ins(&mut self, unit: &str) -> Vec<String> {
        let mut found: BTreeMap<String, String> = BTreeMap::new();
        for folder in UNIT_FOLDERS.map(|f| format!("{f}/{unit}.d")) {
            for entry in self.host.list(&folder).unwrap_or_default() {
                if entry.name.ends_with(".conf") {
                    found.entry(entry.name.clone()).or_insert_with(|| format!("{folder}/{}", entry.name));
                }
            }
        }
        found.into_values().collect()
    }

    /// Assignments of a file, the last one of a name wins.
    fn environment(&mut self, path: &str) -> BTreeMap<String, Value> {
        let text = self.text(path).unwrap_or_default();
        let mut out = BTreeMap::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            let line = line.strip_prefix("export ").unwrap_or(line);
            if let Some((name, value)) = line.split_once('=').filter(|(n, _)| !n.starts_with(['#', ';'])) {
                out.insert(name.trim().to_string(), Value { text: unquoted(value), path: path.into(), line: index + 1 });
            }
        }
        out
    }
}

fn unquoted(value: &str) -> String {
    value.trim().trim_matches(['"', '\'']).to_string()
}

/// Keys of a unit's `[Service]` section with their lines; a backslash joins lines.
fn settings(text: &str) -> Vec<(usize, &str, &str)> {
    let mut section = "";
    let mut out = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.starts_with('[') {
            section = line;
        } else if let (true, Some((key, value))) = (section == "[Service]" && !line.starts_with(['#', ';']), line.split_once('=')) {
            out.push((index + 1, key.trim(), value.trim()));
        }
    }
    out
}

/// `"A=b c" D=e` of `Environment=`.
fn assignments(value: &str) -> impl Iterator<Item = (String, String)> {
    let mut out = Vec::new();
    for part in value.split('"') {
        // Quoted parts hold one assignment, the others are separated by blanks.
        let quoted = out.len() < WORD_LIMIT && part.contains(' ') && part.contains('=') && !part.starts_with(' ');
        let words: Vec<&str> = if quoted { vec![part] } else { part.split_whitespace().collect() };
        out.extend(words.into_iter().filter_map(|w| w.split_once('=')).map(|(k, v)| (k.to_string(), v.to_string())));
    }
    out.into_iter()
}

/// Flags of sshd(8) that take an argument.
const WITH_ARGUMENT: [&str; 10] = ["-o", "-p", "-f", "-h", "-b", "-C", "-c", "-E", "-g", "-k"];

fn options(words: &[Word]) -> Launch {
    let mut out = Launch { directives: Vec::new(), ports: Vec::new(), main: file::MAIN.into() };
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let text = word.text.trim_matches(['"', '\'']);
        let Some(flag) = text.get(..2).filter(|f| WITH_ARGUMENT.contains(f)) else { continue };
        let attached = text.get(2..).unwrap_or("");
        let argument = if attached.is_empty() { words.next().map_or("", |w| w.text.trim_matches(['"', '\''])) } else { attached };
        match flag {
            "-o" => out.directives.extend(file::option(argument, &word.path, word.line)),
            "-p" => out.ports.extend(file::option(&format!("Port {argument}"), &word.path, word.line)),
            "-h" => out.directives.extend(file::option(&format!("HostKey {argument}"), &word.path, word.line)),
            "-g" => out.directives.extend(file::option(&format!("LoginGraceTime {argument}"), &word.path, word.line)),
            "-f" if !argument.is_empty() => out.main = argument.to_string(),
            _ => {}
        }
    }
    out
}
