//! Option files of MariaDB and MySQL as their servers read them (MariaDB documentation,
//! "Configuring MariaDB with Option Files"; `my_print_defaults` tells the same).
//!
//! ```text
//! [group]                     only groups of the server count
//! name[=value]   # comment    `-` and `_` are the same; a value in quotes keeps its `#`; \n \t \b \r \s \\ in values
//! !include FILE  !includedir FOLDER      *.cnf by name, read where they stand, with groups of their own
//! ```

use crate::host::{CONFIG_LIMIT, Host, ReadError};
use crate::model::fact::Source;

/// Deepest nesting of includes (`max_recursion_level`).
const DEPTH_LIMIT: usize = 10;
/// Most option files.
const FILE_LIMIT: usize = 512;
/// Most options.
const OPTION_LIMIT: usize = 20_000;

/// One option of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// Name as written, lower case, with `_`.
    pub name: String,
    /// Its value; `None` when there is no `=`.
    pub value: Option<String>,
    /// Where it stands.
    pub source: Source,
}

/// Why the options are not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unread {
    /// A file.
    File(ReadError),
    /// A line that makes the server refuse the file.
    Line(String, usize, &'static str),
    /// A limit.
    Limit(String),
}

/// What was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// In reading order.
    pub given: Vec<Given>,
    /// Files in reading order.
    pub files: Vec<String>,
    /// Groups for a release, such as `mysqld-10.11`, that were met.
    pub release_groups: Vec<String>,
}

/// Which groups a server reads.
#[derive(Clone, Debug, Default)]
pub struct Groups {
    /// Whether it is MariaDB.
    pub is_mariadb: bool,
    /// Release, such as `10.11`; empty when it is not known.
    pub release: String,
    /// `--defaults-group-suffix`.
    pub suffix: String,
}

impl Groups {
    fn has(&self, group: &str) -> bool {
        let own = |group: &str| {
            let release = |prefix: &str| !self.release.is_empty() && group.strip_prefix(prefix) == Some(self.release.as_str());
            matches!(group, "mysqld" | "server")
                || release("mysqld-")
                || self.is_mariadb && (matches!(group, "mariadb" | "mariadbd" | "client-server" | "galera") || release("mariadb-") || release("mariadbd-"))
        };
        own(group) || !self.suffix.is_empty() && group.strip_suffix(&self.suffix).is_some_and(own)
    }

    /// Whether it is a group of servers of one release.
    fn names_release(group: &str) -> bool {
        ["mysqld-", "mariadb-", "mariadbd-"].iter().any(|p| group.strip_prefix(p).is_some_and(|r| r.starts_with(|c: char| c.is_ascii_digit())))
    }
}

impl Options {
    /// Reads a file; whether it is there.
    pub fn read(&mut self, host: &Host, path: &str, groups: &Groups) -> Result<bool, Unread> {
        self.file(host, path, groups, 0)
    }

    fn file(&mut self, host: &Host, path: &str, groups: &Groups, depth: usize) -> Result<bool, Unread> {
        if depth > DEPTH_LIMIT || self.files.len() >= FILE_LIMIT {
            return Err(Unread::Limit(format!("{path}: more than {DEPTH_LIMIT} levels or {FILE_LIMIT} files of includes")));
        }
        let text = match host.read_text(path, CONFIG_LIMIT) {
            Ok(text) => text,
            Err(e) if e.is_not_found() => return Ok(false),
            Err(e) => return Err(Unread::File(e)),
        };
        // An option file that everybody may write is passed over by the server.
        if host.stat(path).is_ok_and(|s| s.mode & 0o002 != 0) {
            return Ok(false);
        }
        self.files.push(path.into());
        let mut is_ours = None;
        for (index, line) in text.lines().enumerate() {
            let number = index + 1;
            let line = line.trim();
            if line.is_empty() || line.starts_with(['#', ';']) {
                continue;
            }
            if let Some(directive) = line.strip_prefix('!') {
                self.directive(host, directive, groups, depth)?;
            } else if let Some(group) = line.strip_prefix('[') {
                let (group, _) = group.split_once(']').ok_or_else(|| Unread::Line(path.into(), number, "a group that does not end"))?;
                let group = group.trim();
                if Groups::names_release(group) {
                    self.release_groups.push(group.into());
                }
                is_ours = Some(groups.has(group));
            } else {
                match is_ours {
                    Some(true) => self.option(line, Source::line(path, number, ""))?,
                    Some(false) => {}
                    None => return Err(Unread::Line(path.into(), number, "an option outside of every group")),
                }
            }
        }
        Ok(true)
    }

    fn directive(&mut self, host: &Host, directive: &str, groups: &Groups, depth: usize) -> Result<(), Unread> {
        if let Some(folder) = directive.strip_prefix("includedir").filter(|f| f.starts_with(char::is_whitespace)) {
            let folder = folder.trim().trim_end_matches('/');
            let entries = match host.list(folder) {
                Ok(entries) => entries,
                Err(e) if e.is_not_found() => return Ok(()),
                Err(e) => return Err(Unread::File(e)),
            };
            for entry in entries.into_iter().filter(|e| e.name.ends_with(".cnf")) {
                self.file(host, &format!("{folder}/{}", entry.name), groups, depth + 1)?;
            }
        } else if let Some(file) = directive.strip_prefix("include").filter(|f| f.starts_with(char::is_whitespace)) {
            self.file(host, file.trim(), groups, depth + 1)?;
        }
        Ok(())
    }

    fn option(&mut self, line: &str, source: Source) -> Result<(), Unread> {
        if self.given.len() >= OPTION_LIMIT {
            return Err(Unread::Limit(format!("{}:{}: more than {OPTION_LIMIT} options", source.place, source.line)));
        }
        let (name, value) = parsed(line);
        self.given.push(Given { source: Source { directive: name.clone(), ..source }, name, value });
        Ok(())
    }

    /// An option of the command line, `--name[=value]`.
    pub fn argument(&mut self, word: &str, place: &str) {
        let Some(option) = word.strip_prefix("--").filter(|o| !o.is_empty()) else { return };
        let (name, value) = option.split_once('=').map_or((option, None), |(n, v)| (n, Some(v.to_string())));
        let name = normal(name);
        self.given.push(Given { source: Source { place: place.into(), line: 0, directive: name.clone() }, name, value });
    }
}

fn normal(name: &str) -> String {
    name.trim().to_ascii_lowercase().replace('-', "_")
}

fn parsed(line: &str) -> (String, Option<String>) {
    let line = without_comment(line).trim();
    let Some((name, value)) = line.split_once('=') else { return (normal(line), None) };
    let value = value.trim();
    let quoted = ['"', '\''].iter().find_map(|q| value.strip_prefix(*q)?.strip_suffix(*q));
    (normal(name), Some(unescaped(quoted.unwrap_or(value))))
}

/// A `#` outside of quotes ends the line.
fn without_comment(line: &str) -> &str {
    let (mut quote, mut escape) = (None, false);
    for (at, c) in line.char_indices() {
        if matches!(c, '"' | '\'') && !escape {
            quote = match quote {
                None => Some(c),
                Some(q) if q == c => None,
                other => other,
            };
        }
        if quote.is_none() && c == '#' {
            return line.get(..at).unwrap_or(line);
        }
        escape = quote.is_some() && c == '\\' && !escape;
    }
    line
}

fn unescaped(value: &str) -> String {
    let mut out = String::new();
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('n') => out.push('\n'),
            Some('t') => out.push('\t'),
            Some('r') => out.push('\r'),
            Some('b') => out.push('\x08'),
            Some('s') => out.push(' '),
            Some('\\') | None => out.push('\\'),
            Some(other) => {
                out.push('\\');
                out.push(other);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::testing::rooted;

    #[test]
    fn lines_as_the_server_reads_them() {
        let shown = |line: &str| {
            let (name, value) = parsed(line);
            format!("{name}={}", value.unwrap_or_else(|| "-".into()))
        };
        assert_eq!(shown("Bind-Address = 10.0.0.1# x"), "bind_address=10.0.0.1");
        assert_eq!(shown("skip-networking # c"), "skip_networking=-");
        assert_eq!(shown("ssl-key='/a#b' # c"), "ssl_key=/a#b");
        assert_eq!(shown("x=a\\sb\\\\c\\q"), "x=a b\\c\\q");
        assert_eq!(shown("x="), "x=");
        let text = "x='a\\'#\\\"b\\";
        for end in 0..=text.len() {
            let _ = parsed(&text[..end]);
        }
    }

    #[test]
    fn groups_includes_and_order() {
        let (_root, host) = rooted(&[
            ("/etc/mysql/my.cnf", "[client]\nport=1\n[mysqld]\nport=2\n!includedir /etc/mysql/conf.d/\n!include /etc/x.cnf\nport=9\n!include /etc/gone\n"),
            ("/etc/mysql/conf.d/a.cnf", "[mariadb-10.11]\nport=3\n[mysqld-10.5]\nport=4\n"),
            ("/etc/mysql/conf.d/b.txt", "[mysqld]\nport=5\n"),
            ("/etc/x.cnf", "[galera]\nport=6\n[mysqldump]\nport=7\n[serverblue]\nport=8\n"),
            ("/etc/loop.cnf", "!include /etc/loop.cnf\n"),
            ("/etc/bad.cnf", "port=1\n"),
        ]);
        let ports = |groups: &Groups| {
            let mut options = Options::default();
            options.read(&host, "/etc/mysql/my.cnf", groups).unwrap();
            options.given.iter().filter_map(|g| g.value.clone()).collect::<Vec<_>>().join(" ")
        };
        let groups = Groups { is_mariadb: true, release: "10.11".into(), suffix: String::new() };
        assert_eq!(ports(&groups), "2 3 6 9");
        assert_eq!(ports(&Groups { suffix: "blue".into(), ..groups.clone() }), "2 3 6 8 9");
        assert_eq!(ports(&Groups { is_mariadb: false, release: "8.0".into(), suffix: String::new() }), "2 9");
        assert!(matches!(Options::default().read(&host, "/etc/loop.cnf", &groups), Err(Unread::Limit(_))));
        assert!(matches!(Options::default().read(&host, "/etc/bad.cnf", &groups), Err(Unread::Line(_, 1, _))));
        assert_eq!(Options::default().read(&host, "/etc/gone", &groups), Ok(false));
    }
}
