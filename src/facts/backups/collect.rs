//! What may be a backup below a declared path, and what lies beside it and is none.

use jiff::tz::TimeZone;

use super::named;
use crate::host::{FileKind, Host, ReadError};
use crate::model::pattern;

/// Most entries looked at for one set.
const ENTRIES: usize = 200_000;
/// Deepest folder below the declared one, levels.
const DEPTH: usize = 32;
/// Ends of names that are no backup, whatever they hold.
const ASIDE: &[(&str, &str)] = &[
    (".log", "a log"),
    (".out", "a log"),
    (".err", "a log"),
    (".tmp", "not finished"),
    (".temp", "not finished"),
    (".part", "not finished"),
    (".partial", "not finished"),
    (".incomplete", "not finished"),
    (".filepart", "not finished"),
    (".swp", "not finished"),
    ("~", "not finished"),
    (".lock", "a lock"),
    (".pid", "a lock"),
    (".sha256", "a checksum"),
    (".sha256sum", "a checksum"),
    (".sha512", "a checksum"),
    (".sha512sum", "a checksum"),
    (".sha1", "a checksum"),
    (".md5", "a checksum"),
    (".md5sum", "a checksum"),
    (".sig", "a signature"),
    (".minisig", "a signature"),
    (".md", "a note"),
];
const LISTS: [&str; 5] = ["SHA256SUMS", "SHA512SUMS", "MD5SUMS", "sha256sum.txt", "README"];

/// One file, or one folder that is the whole of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Candidate {
    /// Name as shown: path below the declared folder.
    pub name: String,
    /// Absolute path.
    pub path: String,
    /// Whether it is a folder.
    pub folder: bool,
    /// Bytes, of all files in a folder.
    pub bytes: u64,
    /// Last change, of all files in a folder the latest; Unix seconds.
    pub modified: i64,
    /// The file that tells what it is: itself, or the largest in the folder.
    pub main: String,
    /// Bytes of that file.
    pub main_bytes: u64,
}

/// A file that is no backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aside {
    /// Name as shown.
    pub name: String,
    /// What it is.
    pub what: &'static str,
    /// Last change, Unix seconds.
    pub modified: i64,
}

/// What was found.
#[derive(Debug, Default)]
pub struct Collected {
    /// Whether that is there.
    pub present: bool,
    /// Files and folders that may be backups.
    pub candidates: Vec<Candidate>,
    /// Others.
    pub aside: Vec<Aside>,
    /// What could not be read.
    pub errors: Vec<ReadError>,
    /// Whether a limit ended it.
    pub cut: bool,
    left: usize,
}

/// Whether a text is a pattern.
pub fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

/// Looks below a declared path: a folder, a file, or a pattern. `whole` says which folders are runs by what they hold.
pub fn collect(host: &Host, declared: &str, zone: &TimeZone, whole: &dyn Fn(&str) -> bool) -> Collected {
    let parts: Vec<&str> = declared.split('/').filter(|p| !p.is_empty()).collect();
    let first = parts.iter().position(|p| is_pattern(p)).unwrap_or(parts.len());
    let (fixed, patterns) = parts.split_at(first);
    let base = format!("/{}", fixed.join("/"));
    let mut out = Collected { left: ENTRIES, ..Collected::default() };
    match host.stat(&base) {
        Ok(stat) if stat.kind == FileKind::File && patterns.is_empty() => {
            out.present = true;
            let name = base.rsplit('/').next().unwrap_or_default().to_string();
            out.file(name, base, stat.size, stat.modified);
        }
        Ok(_) => {
            out.present = true;
            let walk = Walk { host, zone, whole };
            if patterns.is_empty() { walk.folder(&mut out, &base, "", 0) } else { walk.matching(&mut out, &base, "", patterns) }
        }
        Err(e) if e.is_not_found() => {}
        Err(e) => out.errors.push(e),
    }
    out
}

struct Walk<'a> {
    host: &'a Host,
    zone: &'a TimeZone,
    whole: &'a dyn Fn(&str) -> bool,
}

impl Walk<'_> {
    fn matching(&self, out: &mut Collected, folder: &str, shown: &str, patterns: &[&str]) {
        let Some((pattern, rest)) = patterns.split_first() else { return };
        for (name, kind) in self.list(out, folder) {
            // As a shell does: a leading dot must be written out.
            if !pattern::matches(pattern, &name) || (name.starts_with('.') && !pattern.starts_with('.')) {
                continue;
            }
            let (path, below) = (format!("{folder}/{name}"), join(shown, &name));
            match (kind, rest.is_empty()) {
                (FileKind::File, true) => self.take(out, path, below),
                (FileKind::Folder, true) => self.unit(out, path, below),
                (FileKind::Folder, false) => self.matching(out, &path, &below, rest),
                _ => {}
            }
        }
    }

    fn folder(&self, out: &mut Collected, folder: &str, shown: &str, depth: usize) {
        for (name, kind) in self.list(out, folder) {
            if name.starts_with('.') {
                continue;
            }
            let (path, below) = (format!("{}/{name}", folder.trim_end_matches('/')), join(shown, &name));
            match kind {
                FileKind::File => self.take(out, path, below),
                FileKind::Folder if named::in_name(&name, self.zone).is_some() || (self.whole)(&path) => self.unit(out, path, below),
                FileKind::Folder if depth < DEPTH => self.folder(out, &path, &below, depth + 1),
                FileKind::Folder => out.cut = true,
                _ => {}
            }
        }
    }

    fn take(&self, out: &mut Collected, path: String, shown: String) {
        match self.host.stat_link(&path) {
            Ok(stat) => out.file(shown, path, stat.size, stat.modified),
            Err(e) if e.is_not_found() => {}
            Err(e) => out.errors.push(e),
        }
    }

    /// A folder as one run.
    fn unit(&self, out: &mut Collected, path: String, shown: String) {
        let mut unit = Candidate { name: shown, path: path.clone(), folder: true, ..Candidate::default() };
        self.add(out, &mut unit, &path, 0);
        if unit.modified == 0 {
            unit.modified = self.host.stat(&path).map_or(0, |s| s.modified);
        }
        out.candidates.push(unit);
    }

    fn add(&self, out: &mut Collected, unit: &mut Candidate, folder: &str, depth: usize) {
        for (name, kind) in self.list(out, folder) {
            let path = format!("{folder}/{name}");
            match kind {
                FileKind::File => match self.host.stat_link(&path) {
                    Ok(stat) => {
                        unit.bytes = unit.bytes.saturating_add(stat.size);
                        // A log that is written there later makes it no newer.
                        if aside(&name).is_none() {
                            unit.modified = unit.modified.max(stat.modified);
                        }
                        if unit.main.is_empty() || stat.size > unit.main_bytes {
                            (unit.main, unit.main_bytes) = (path, stat.size);
                        }
                    }
                    Err(e) if e.is_not_found() => {}
                    Err(e) => out.errors.push(e),
                },
                FileKind::Folder if depth < DEPTH => self.add(out, unit, &path, depth + 1),
                FileKind::Folder => out.cut = true,
                _ => {}
            }
        }
    }

    fn list(&self, out: &mut Collected, folder: &str) -> Vec<(String, FileKind)> {
        match self.host.list(folder) {
            Ok(entries) => {
                let room = out.left;
                out.left = room.saturating_sub(entries.len());
                out.cut |= entries.len() > room;
                entries.into_iter().take(room).map(|e| (e.name, e.kind)).collect()
            }
            Err(e) if e.is_not_found() => Vec::new(),
            Err(ReadError::TooLarge(..)) => {
                out.cut = true;
                Vec::new()
            }
            Err(e) => {
                out.errors.push(e);
                Vec::new()
            }
        }
    }
}

impl Collected {
    fn file(&mut self, name: String, path: String, bytes: u64, modified: i64) {
        match aside(&name) {
            Some(what) => self.aside.push(Aside { name, what, modified }),
            None => self.candidates.push(Candidate { name, main: path.clone(), path, folder: false, bytes, modified, main_bytes: bytes }),
        }
    }
}

/// What a name says that is no backup.
pub fn aside(name: &str) -> Option<&'static str> {
    let last = name.rsplit('/').next().unwrap_or_default();
    if LISTS.contains(&last) {
        return Some("a checksum or note");
    }
    if last.starts_with('.') {
        return Some("hidden");
    }
    let lower = last.to_ascii_lowercase();
    ASIDE.iter().find(|(end, _)| lower.ends_with(end)).map(|(_, what)| *what)
}

fn join(shown: &str, name: &str) -> String {
    if shown.is_empty() { name.to_string() } else { format!("{shown}/{name}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::testing::rooted;

    #[test]
    fn files_folders_of_a_run_and_what_lies_beside() {
        let (_root, host) = rooted(&[
            ("/b/db-2026-11-27.sql.gz", "xx"),
            ("/b/db-2026-11-27.sql.gz.sha256", "x"),
            ("/b/backup.log", "x"),
            ("/b/db-2026-11-28.sql.gz.part", "x"),
            ("/b/.hidden", "x"),
            ("/b/2026-11-26/a/files.tar", "1234567"),
            ("/b/2026-11-26/db.sql", "123"),
            ("/b/old/db-2026-11-01.sql.gz", "x"),
        ]);
        let names = |declared: &str| {
            let found = collect(&host, declared, &TimeZone::UTC, &|_| false);
            (found.candidates.iter().map(|c| (c.name.clone(), c.bytes)).collect::<Vec<_>>(), found.aside.len(), found.present)
        };
        let all = [("2026-11-26", 10), ("db-2026-11-27.sql.gz", 2), ("old/db-2026-11-01.sql.gz", 1)].map(|(n, b)| (n.to_string(), b)).to_vec();
        assert_eq!(names("/b"), (all.clone(), 3, true));
        assert_eq!(names("/b/*.gz"), (vec![all[1].clone()], 0, true));
        assert_eq!(names("/b/*/db-*.gz"), (vec![all[2].clone()], 0, true));
        assert_eq!(names("/none"), (Vec::new(), 0, false));
        assert_eq!(collect(&host, "/b", &TimeZone::UTC, &|_| false).candidates[0].main, "/b/2026-11-26/a/files.tar");
    }
}
