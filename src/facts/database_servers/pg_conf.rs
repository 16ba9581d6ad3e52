//! `postgresql.conf` as the server reads it (PostgreSQL manual, "Setting Parameters").
//!
//! ```text
//! name [=] value [# comment]        the last value of a name wins; names without regard to case
//! include 'file'  include_if_exists 'file'  include_dir 'folder'      read where they stand
//! 'it''s' or 'it\'s' quotes; without quotes letters, digits and - . _ : / alone
//! ```

use std::collections::BTreeMap;

use crate::host::{CONFIG_LIMIT, FileKind, Host, ReadError};
use crate::model::fact::Source;

/// `CONF_FILE_MAX_DEPTH` of PostgreSQL.
const DEPTH_LIMIT: usize = 10;
/// Most files of one server.
const FILE_LIMIT: usize = 512;
/// Most settings of one server.
const SETTING_LIMIT: usize = 20_000;

/// A value and where it was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Quotes and escapes taken out.
    pub value: String,
    /// Its place.
    pub source: Source,
}

/// Everything that was written, by lower-case name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// The value in effect.
    pub values: BTreeMap<String, Written>,
    /// Files in reading order.
    pub files: Vec<String>,
}

/// Why the configuration is not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unread {
    /// A file.
    File(ReadError),
    /// A line that the server refuses: place and what is wrong.
    Line(String, usize, &'static str),
    /// A limit.
    Limit(String),
}

impl From<ReadError> for Unread {
    fn from(error: ReadError) -> Self {
        Self::File(error)
    }
}

impl Settings {
    /// Reads a file with its includes over what is known already.
    pub fn read(&mut self, host: &Host, path: &str) -> Result<(), Unread> {
        self.file(host, path, 0)
    }

    /// A value of the command line.
    pub fn set(&mut self, name: &str, value: &str, source: Source) {
        self.values.insert(canonical(name), Written { value: value.into(), source });
    }

    /// The value of a name.
    pub fn get(&self, name: &str) -> Option<&Written> {
        self.values.get(name)
    }

    /// The text of a value; empty when nothing is written.
    pub fn text(&self, name: &str) -> &str {
        self.values.get(name).map_or("", |w| w.value.as_str())
    }

    fn file(&mut self, host: &Host, path: &str, depth: usize) -> Result<(), Unread> {
        if depth > DEPTH_LIMIT || self.files.len() >= FILE_LIMIT {
            return Err(Unread::Limit(format!("{path}: more than {DEPTH_LIMIT} levels or {FILE_LIMIT} files of includes")));
        }
        let text = host.read_text(path, CONFIG_LIMIT)?;
        self.files.push(path.into());
        for (index, line) in text.lines().enumerate() {
            let number = index + 1;
            let (name, value) = match setting(line) {
                Ok(Some(pair)) => pair,
                Ok(None) => continue,
                Err(problem) => return Err(Unread::Line(path.into(), number, problem)),
            };
            match name.as_str() {
                "include" => self.file(host, &beside(path, &value), depth + 1)?,
                "include_if_exists" => match self.file(host, &beside(path, &value), depth + 1) {
                    Err(Unread::File(e)) if e.is_not_found() => {}
                    other => other?,
                },
                "include_dir" => {
                    for file in folder(host, &beside(path, &value))? {
                        self.file(host, &file, depth + 1)?;
                    }
                }
                _ if self.values.len() >= SETTING_LIMIT => return Err(Unread::Limit(format!("{path}:{number}: more than {SETTING_LIMIT} settings"))),
                _ => {
                    let source = Source::line(path, number, name.clone());
                    self.values.insert(name, Written { value, source });
                }
            }
        }
        Ok(())
    }
}

/// A path of an include: relative to the file that holds it.
pub fn beside(file: &str, path: &str) -> String {
    if path.starts_with('/') {
        return path.into();
    }
    format!("{}/{path}", file.rsplit_once('/').map_or("", |(folder, _)| folder))
}

/// The files of `include_dir`, by name.
pub fn folder(host: &Host, path: &str) -> Result<Vec<String>, ReadError> {
    let path = path.trim_end_matches('/');
    let mut out = Vec::new();
    for entry in host.list(path)? {
        let file = format!("{path}/{}", entry.name);
        if entry.name.ends_with(".conf") && !entry.name.starts_with('.') && host.stat(&file).map_or(true, |s| s.kind != FileKind::Folder) {
            out.push(file);
        }
    }
    Ok(out)
}

/// Names that were changed: one is set, all are (guc.c: `map_old_guc_names`).
fn canonical(name: &str) -> String {
    name.to_ascii_lowercase().replace('-', "_")
}

/// One line; `None` when it holds none.
fn setting(line: &str) -> Result<Option<(String, String)>, &'static str> {
    let line = line.trim_matches([' ', '\t', '\r', '\x0c', '\x0b']);
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let is_letter = |c: char| c.is_ascii_alphabetic() || c == '_' || !c.is_ascii();
    if !line.starts_with(is_letter) {
        return Err("no name of a setting");
    }
    let end = line.find(|c: char| !(is_letter(c) || c.is_ascii_digit() || c == '$' || c == '.')).unwrap_or(line.len());
    let (name, rest) = line.split_at(end);
    let rest = rest.trim_start();
    let rest = rest.strip_prefix('=').unwrap_or(rest).trim_start();
    let (value, after) = value(rest)?;
    let after = after.trim_start();
    if !after.is_empty() && !after.starts_with('#') {
        return Err("something behind the value");
    }
    Ok(Some((name.to_ascii_lowercase(), value)))
}

fn value(text: &str) -> Result<(String, &str), &'static str> {
    let Some(quoted) = text.strip_prefix('\'') else {
        let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || !c.is_ascii() || matches!(c, '-' | '.' | '_' | ':' | '/' | '+'))).unwrap_or(text.len());
        let (word, rest) = text.split_at(end);
        return if word.is_empty() { Err("no value") } else { Ok((word.into(), rest)) };
    };
    let mut out = String::new();
    let mut chars = quoted.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '\'' if chars.peek().is_some_and(|(_, c)| *c == '\'') => {
                chars.next();
                out.push('\'');
            }
            '\'' => return Ok((out, quoted.get(at + 1..).unwrap_or_default())),
            '\\' => out.push(escaped(&mut chars)),
            other => out.push(other),
        }
    }
    Err("a quote that does not end")
}

fn escaped(chars: &mut std::iter::Peekable<std::str::CharIndices<'_>>) -> char {
    let Some((_, c)) = chars.next() else { return '\\' };
    match c {
        'b' => '\x08',
        'f' => '\x0c',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        '0'..='7' => {
            let mut number = c.to_digit(8).unwrap_or(0);
            for _ in 0..2 {
                let Some(digit) = chars.peek().and_then(|(_, c)| c.to_digit(8)) else { break };
                chars.next();
                number = number * 8 + digit;
            }
            char::from_u32(number & 0xff).unwrap_or('?')
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::testing::rooted;

    #[test]
    fn lines_as_the_server_reads_them() {
        let pair = |line: &str| setting(line).map(|s| s.map(|(n, v)| format!("{n}={v}")));
        assert_eq!(pair("SSL = on # yes"), Ok(Some("ssl=on".into())));
        assert_eq!(pair("  port 5433"), Ok(Some("port=5433".into())));
        assert_eq!(pair("a='it''s \\'\\061\\n' #x"), Ok(Some("a=it's '1\n".into())));
        assert_eq!(pair("wal_keep_size=1GB"), Ok(Some("wal_keep_size=1GB".into())));
        assert_eq!(pair("auto.explain = on"), Ok(Some("auto.explain=on".into())));
        assert_eq!((pair("# c"), pair("\t")), (Ok(None), Ok(None)));
        for wrong in ["=x", "a", "a =", "a = b c", "a = 'b", "a = *", "1a = b"] {
            assert!(pair(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn includes_stand_where_they_are_written() {
        let (_root, host) = rooted(&[
            ("/e/p.conf", "ssl = off\ninclude_dir 'conf.d'\nport = 1\ninclude_if_exists = 'gone'\ninclude 'sub/a.conf'\n"),
            ("/e/conf.d/10.conf", "port = 2\nssl = on\n"),
            ("/e/conf.d/20.conf", "fsync = off\n"),
            ("/e/conf.d/.30.conf", "fsync = on\n"),
            ("/e/conf.d/30.conf.bak", "fsync = on\n"),
            ("/e/sub/a.conf", "include 'b.conf'\n"),
            ("/e/sub/b.conf", "Log_Connections = yes\n"),
            ("/e/loop.conf", "include 'loop.conf'\n"),
            ("/e/bad.conf", "port = 1\nssl == on\n"),
        ]);
        let mut settings = Settings::default();
        settings.read(&host, "/e/p.conf").unwrap();
        assert_eq!((settings.text("port"), settings.text("ssl"), settings.text("fsync")), ("1", "on", "off"));
        assert_eq!(settings.get("log_connections").unwrap().source, Source::line("/e/sub/b.conf", 1, "log_connections"));
        assert!(matches!(Settings::default().read(&host, "/e/loop.conf"), Err(Unread::Limit(_))));
        assert_eq!(Settings::default().read(&host, "/e/bad.conf"), Err(Unread::Line("/e/bad.conf".into(), 2, "no value")));
        assert!(matches!(Settings::default().read(&host, "/e/none"), Err(Unread::File(_))));
    }

    #[test]
    fn garbage_ends() {
        let text = "a = 'x\\7\\é''\\'' # y\ninclude 'b'\nß = 0x1f\n";
        for end in (0..=text.len()).filter(|i| text.is_char_boundary(*i)) {
            for line in text[..end].lines() {
                let _ = setting(line);
            }
        }
    }
}
