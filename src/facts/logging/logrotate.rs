//! logrotate(8): which files are rotated, how often, and how many pieces are kept.

use super::Logging;
use crate::facts::Document as _;
use crate::facts::monitoring::texts::Told;
use crate::host::{FileKind, Host};
use crate::model::fact::Source;
use crate::model::gap::{Gaps, reason};
use crate::model::pattern;

const MAIN: [&str; 2] = ["/etc/logrotate.conf", "/usr/etc/logrotate.conf"];
/// Most files, and levels of includes.
const FILE_LIMIT: usize = 1024;
const DEPTH_LIMIT: usize = 8;
/// Most sections.
const SECTION_LIMIT: usize = 10_000;
/// Endings of files that are passed over in a folder (the default of `tabooext`).
const TABOO: [&str; 20] = [
    ".rpmsave",
    ".rpmorig",
    "~",
    ".disabled",
    ".dpkg-old",
    ".dpkg-dist",
    ".dpkg-new",
    ".dpkg-bak",
    ".dpkg-del",
    ".dpkg-tmp",
    ".cfsaved",
    ".ucf-old",
    ".ucf-dist",
    ".ucf-new",
    ".rpmnew",
    ".swp",
    ".rhn-cfg-tmp-",
    ".bak",
    ".old",
    ",v",
];

/// When a file is rotated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    /// Each so many hours.
    Hours(i64),
    /// When it is larger than a size, however soon.
    Size,
}

/// How one file is kept.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    /// Paths, with wildcards.
    patterns: Vec<String>,
    /// Pieces kept beside the file; negative: all.
    pub pieces: i64,
    when: When,
    /// `maxsize`: a piece may be closed sooner.
    may_be_sooner: bool,
    /// Pieces that are older go, days; 0: none by age.
    maximum_age: i64,
    /// Folder of the pieces; empty: beside the file.
    pub folder: String,
    /// Where the section begins.
    pub source: Source,
}

impl Kept {
    /// Whether it is about this file.
    pub fn is_for(&self, path: &str) -> bool {
        self.patterns.iter().any(|p| pattern::matches(p, path))
    }

    /// Days that a line is kept at least: `Ok(None)` without an end, `Err` when it depends on the size.
    pub fn days(&self) -> Result<Option<i64>, ()> {
        let by_age = (self.maximum_age > 0).then_some(self.maximum_age);
        if self.pieces < 0 {
            return Ok(by_age);
        }
        match self.when {
            When::Hours(hours) if !self.may_be_sooner => {
                let days = self.pieces.saturating_mul(hours) / 24;
                Ok(Some(by_age.map_or(days, |age| age.min(days))))
            }
            // What is removed by age alone is known; by size anything may be sooner.
            _ => Err(()),
        }
    }
}

/// What may be set before and in a section.
#[derive(Clone, Debug)]
struct Settings {
    pieces: i64,
    when: When,
    may_be_sooner: bool,
    maximum_age: i64,
    folder: String,
    taboo: Vec<String>,
}

struct Reader<'a> {
    host: &'a Host,
    told: Told<'a>,
    files: usize,
    out: Vec<Kept>,
}

/// Every section in the order in which logrotate reads them: the first that names a file decides.
pub(super) fn read(host: &Host, gaps: &mut Gaps) -> Vec<Kept> {
    let told = Told { family: Logging::NAME, path: "files.kept_days", subject: String::new(), gaps };
    let mut reader = Reader { host, told, files: 0, out: Vec::new() };
    // Without any word a file is rotated when it is larger than 1 MiB, and no piece is kept.
    let taboo = TABOO.iter().map(|t| (*t).to_string()).collect();
    let settings = Settings { pieces: 0, when: When::Size, may_be_sooner: false, maximum_age: 0, folder: String::new(), taboo };
    if let Some(main) = MAIN.iter().find(|p| host.exists(p).unwrap_or(true)) {
        reader.file(main, settings, 0);
    }
    reader.out
}

impl Reader<'_> {
    /// Settings as they are after the file.
    fn file(&mut self, path: &str, mut settings: Settings, depth: usize) {
        self.files += 1;
        if depth > DEPTH_LIMIT || self.files > FILE_LIMIT {
            if self.files <= FILE_LIMIT + 1 {
                self.told.gap(reason::LIMIT_REACHED, format!("{path}: more than {DEPTH_LIMIT} levels or {FILE_LIMIT} files of includes"));
            }
            return;
        }
        let Some(text) = self.told.text(self.host, path) else { return };
        let mut section: Option<(Vec<String>, Settings, usize)> = None;
        let mut names: Vec<String> = Vec::new();
        let mut in_script = false;
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if in_script {
                in_script = line != "endscript";
                continue;
            }
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            for token in statements(line) {
                match token {
                    "{" => section = Some((std::mem::take(&mut names), settings.clone(), index + 1)),
                    "}" => {
                        if let Some((patterns, own, line)) = section.take() {
                            self.keep(path, patterns, &own, line);
                        }
                    }
                    statement => {
                        let words = split(statement);
                        let Some((word, rest)) = words.split_first() else { continue };
                        let (word, value) = word.split_once('=').map_or((word.as_str(), rest.first().cloned()), |(w, v)| (w, Some(v.to_string())));
                        if matches!(word, "postrotate" | "prerotate" | "firstaction" | "lastaction" | "preremove") {
                            in_script = true;
                        } else if section.is_none() && (word.starts_with('/') || word.starts_with('~')) {
                            names.extend(words.iter().cloned());
                        } else if section.is_none() && word == "include" {
                            if let Some(included) = value {
                                self.include(&included, &settings, depth);
                            }
                        } else {
                            let into = section.as_mut().map_or(&mut settings, |s| &mut s.1);
                            set(into, word, value.as_deref(), rest);
                        }
                    }
                }
            }
        }
    }

    fn include(&mut self, path: &str, settings: &Settings, depth: usize) {
        let Ok(stat) = self.host.stat(path) else { return };
        if stat.kind != FileKind::Folder {
            return self.file(path, settings.clone(), depth + 1);
        }
        match self.host.list(path) {
            Ok(entries) => {
                for entry in entries.iter().filter(|e| !e.name.starts_with('.') && !settings.taboo.iter().any(|t| e.name.ends_with(t.as_str()))) {
                    let below = format!("{path}/{}", entry.name);
                    if self.host.stat(&below).is_ok_and(|s| s.kind == FileKind::File) {
                        self.file(&below, settings.clone(), depth + 1);
                    }
                }
            }
            Err(e) => self.told.error(&e),
        }
    }

    fn keep(&mut self, path: &str, patterns: Vec<String>, own: &Settings, line: usize) {
        if self.out.len() == SECTION_LIMIT {
            return self.told.gap(reason::LIMIT_REACHED, format!("more than {SECTION_LIMIT} sections"));
        }
        self.out.push(Kept {
            patterns,
            pieces: own.pieces,
            when: own.when,
            may_be_sooner: own.may_be_sooner,
            maximum_age: own.maximum_age,
            folder: own.folder.clone(),
            source: Source::line(path, line, "rotate"),
        });
    }
}

fn set(into: &mut Settings, word: &str, value: Option<&str>, rest: &[String]) {
    let number = || value.and_then(|v| v.parse::<i64>().ok());
    match word {
        "hourly" => into.when = When::Hours(1),
        "daily" => into.when = When::Hours(24),
        // A week can be followed by a day of another: logrotate rotates on the day that is named or after seven days.
        "weekly" => into.when = When::Hours(7 * 24),
        "monthly" => into.when = When::Hours(28 * 24),
        "yearly" => into.when = When::Hours(365 * 24),
        "size" => into.when = When::Size,
        "maxsize" => into.may_be_sooner = value.is_some_and(|v| !v.starts_with('0')),
        "rotate" => into.pieces = number().unwrap_or(into.pieces),
        "maxage" => into.maximum_age = number().unwrap_or(into.maximum_age),
        "olddir" => into.folder = value.unwrap_or_default().to_string(),
        "noolddir" => into.folder.clear(),
        "tabooext" => {
            let added = rest.first().is_some_and(|w| w == "+");
            let list: Vec<String> = rest.iter().flat_map(|w| w.split(',')).filter(|w| !w.is_empty() && *w != "+").map(String::from).collect();
            if added { into.taboo.extend(list) } else { into.taboo = list }
        }
        _ => {}
    }
}

/// Braces apart from what stands between them; a line is one statement.
fn statements(line: &str) -> Vec<&str> {
    let mut out = Vec::new();
    let mut start = 0;
    let mut quoted = None;
    for (at, c) in line.char_indices() {
        match (quoted, c) {
            (Some(q), c) if q == c => quoted = None,
            (None, '"' | '\'') => quoted = Some(c),
            (None, '{' | '}') => {
                out.extend(line.get(start..at).map(str::trim).filter(|s| !s.is_empty()));
                out.extend(line.get(at..=at));
                start = at + 1;
            }
            (None, '#') if line.get(..at).is_some_and(|b| b.ends_with(char::is_whitespace)) => {
                out.extend(line.get(start..at).map(str::trim).filter(|s| !s.is_empty()));
                return out;
            }
            _ => {}
        }
    }
    out.extend(line.get(start..).map(str::trim).filter(|s| !s.is_empty()));
    out
}

/// Words, quotes taken out.
fn split(statement: &str) -> Vec<String> {
    crate::facts::jobs::unit_file::words(statement)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::testing::rooted;

    fn days(kept: &[Kept], path: &str) -> Option<Result<Option<i64>, ()>> {
        kept.iter().find(|k| k.is_for(path)).map(Kept::days)
    }

    #[test]
    fn the_first_section_that_names_a_file_decides() {
        let (_root, host) = rooted(&[
            (
                "etc/logrotate.conf",
                "# c\nweekly\nrotate 4\ncreate\ninclude /etc/logrotate.d\n/var/log/late { rotate 1\n daily }\nrotate 52\n/var/log/year {\n}\n/var/log/auth.log { rotate 99 }\n",
            ),
            (
                "etc/logrotate.d/a",
                "monthly # c\n/var/log/auth.log\n\"/var/log/with space\" /var/log/x*.log\n{\n rotate 12\n postrotate\n  }\n rotate 0\n endscript\n}\n",
            ),
            ("etc/logrotate.d/b.dpkg-old", "/var/log/hidden { rotate 1 }\n"),
            (
                "etc/logrotate.d/c",
                "/var/log/size { size 10M\n rotate 5 }\n/var/log/age { rotate -1\nmaxage 200 }\n/var/log/soon { daily\nmaxsize=5M\nrotate 7 }\n/var/log/all { rotate -1 }\n",
            ),
        ]);
        let mut gaps = Gaps::new();
        let kept = read(&host, &mut gaps);
        assert_eq!(days(&kept, "/var/log/auth.log"), Some(Ok(Some(12 * 28))));
        assert_eq!(days(&kept, "/var/log/with space"), Some(Ok(Some(12 * 28))));
        assert_eq!(days(&kept, "/var/log/xyz.log"), Some(Ok(Some(12 * 28))));
        assert_eq!(days(&kept, "/var/log/late"), Some(Ok(Some(1))));
        assert_eq!(days(&kept, "/var/log/year"), Some(Ok(Some(52 * 7))));
        assert_eq!(days(&kept, "/var/log/size"), Some(Err(())));
        assert_eq!(days(&kept, "/var/log/soon"), Some(Err(())));
        assert_eq!(days(&kept, "/var/log/age"), Some(Ok(Some(200))));
        assert_eq!(days(&kept, "/var/log/all"), Some(Ok(None)));
        assert_eq!(days(&kept, "/var/log/hidden"), None);
        assert_eq!(kept[0].source, Source::line("/etc/logrotate.d/a", 4, "rotate"));
        assert!(gaps.into_sorted().is_empty());
    }

    #[test]
    fn broken_files_end() {
        let text = "weekly\n/a \"b {\n rotate 3 }\n} { {\ninclude /etc/logrotate.conf\n";
        for end in 0..text.len() {
            let (_root, host) = rooted(&[("etc/logrotate.conf", &text[..end])]);
            let _ = read(&host, &mut Gaps::new());
        }
    }
}
