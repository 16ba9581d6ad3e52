//! Paths that their operator declared to be empty, or to hold no more than a note allows.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Document, HostFamily};
use crate::host::block::mounts::Mounts;
use crate::host::{FileKind, Host};
use crate::model::declared::PathLimit;
use crate::model::fact::Source;
use crate::model::gap::{Gaps, reason};

/// Most entries looked at below one path.
const ENTRIES: u64 = 500_000;
/// Deepest folder, levels.
const DEPTH: usize = 64;
/// Longest look at everything declared.
const TIME: Duration = Duration::from_secs(60);
/// Files named.
const NAMED: usize = 5;

/// What lies where little or nothing may.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PathLimits {
    /// Declared paths, by subject.
    pub items: Vec<Limited>,
}

impl Document for PathLimits {
    const NAME: &'static str = "path_limits";
    const TITLE: &'static str = "Declared paths that must be empty or within a limit, and what they hold";
}

/// One declared path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Limited {
    /// The path as declared.
    pub subject: String,
    /// Whether something is there.
    pub exists: bool,
    /// Files below it: regular ones, links and others; folders are not counted.
    pub files: u64,
    /// Bytes of the regular ones.
    pub bytes: u64,
    /// The first files in the order of their names.
    pub first: Vec<String>,
    /// Last modification of the newest regular file, Unix seconds; `null` without one.
    pub newest_at: Option<i64>,
    /// Most files that may be there, as declared.
    pub max_files: u64,
    /// Most bytes, as declared; `null`: not limited beyond the number of files.
    pub max_bytes: Option<u64>,
    /// What allows it, as declared.
    pub note: String,
    /// The path; the declaration names no file of the machine.
    pub source: Source,
}

impl HostFamily for PathLimits {
    fn gather(host: &Host, gaps: &mut Gaps) -> Option<Self> {
        let declared = &host.declared().path_limits;
        let mounts = if declared.is_empty() || !host.is_live() { None } else { Mounts::read(host).ok() };
        let until = Instant::now() + TIME;
        let mut items: Vec<Limited> = declared.iter().map(|limit| look(host, mounts.as_ref(), limit, until, gaps)).collect();
        items.sort_by(|a, b| a.subject.cmp(&b.subject));
        Some(Self { items })
    }
}

fn look(host: &Host, mounts: Option<&Mounts>, limit: &PathLimit, until: Instant, gaps: &mut Gaps) -> Limited {
    let path = limit.path.trim_end_matches('/');
    let path = if path.is_empty() { "/" } else { path };
    let mut item = Limited {
        subject: path.into(),
        exists: true,
        files: 0,
        bytes: 0,
        first: Vec::new(),
        newest_at: None,
        max_files: limit.max_files,
        max_bytes: limit.max_bytes,
        note: limit.note.clone(),
        source: Source::whole(path),
    };
    let note = |gaps: &mut Gaps, id: &str, detail: String, remedy: &str| gaps.note(PathLimits::NAME, "items.files", path, id, detail, remedy);
    match host.stat(path) {
        Ok(stat) if stat.kind == FileKind::Folder => {}
        Ok(_) => {
            count(host, &mut item, path.into());
            return item;
        }
        Err(e) if e.is_not_found() => {
            item.exists = false;
            note(
                gaps,
                reason::MISSING,
                format!("nothing is at {path}: whether it is empty or misspelt can't be told"),
                "Correct the declaration, or make the folder.",
            );
            return item;
        }
        Err(e) => {
            gaps.add(e.to_gap(PathLimits::NAME, "items.files", path));
            return item;
        }
    }
    let mut folders = VecDeque::from([(path.to_string(), 0)]);
    let mut entries = 0;
    while let Some((folder, depth)) = folders.pop_front() {
        if depth > 0 && mounts.is_some_and(|m| m.is_remote(&folder)) {
            note(gaps, reason::UNSUPPORTED, format!("{folder} is a network or FUSE mount and was not entered"), "Declare it on the machine that keeps it.");
            continue;
        }
        let listed = match host.list(&folder) {
            Ok(listed) => listed,
            Err(e) if e.is_not_found() => continue,
            Err(e) => {
                gaps.add(e.to_gap(PathLimits::NAME, "items.files", path));
                continue;
            }
        };
        for entry in listed {
            entries += 1;
            if entries > ENTRIES || Instant::now() >= until {
                let what = if entries > ENTRIES { "the number of entries" } else { "time" };
                note(gaps, reason::LIMIT_REACHED, format!("{path}: counting ended after {} files: limit on {what}", item.files), "");
                return item;
            }
            let child = if folder == "/" { format!("/{}", entry.name) } else { format!("{folder}/{}", entry.name) };
            match entry.kind {
                FileKind::Folder if depth == DEPTH => note(gaps, reason::LIMIT_REACHED, format!("{child}: folders are nested deeper than {DEPTH}"), ""),
                FileKind::Folder => folders.push_back((child, depth + 1)),
                _ => count(host, &mut item, child),
            }
        }
    }
    item
}

fn count(host: &Host, item: &mut Limited, path: String) {
    if let Ok(stat) = host.stat_link(&path)
        && stat.kind == FileKind::File
    {
        item.bytes += stat.size;
        item.newest_at = item.newest_at.max(Some(stat.modified));
    }
    item.files += 1;
    if item.first.len() < NAMED {
        item.first.push(path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::testing::rooted;
    use crate::model::declared::Declared;

    fn gather(files: &[(&str, &str)], path: &str) -> (Limited, Vec<crate::model::gap::Gap>) {
        let (_root, host) = rooted(files);
        let limit = PathLimit { path: path.into(), max_files: 0, max_bytes: None, note: String::new() };
        let host = host.with_declared(Declared { path_limits: vec![limit], ..Declared::default() });
        let mut gaps = Gaps::new();
        let found = PathLimits::gather(&host, &mut gaps).unwrap();
        (found.items.into_iter().next().unwrap(), gaps.into_sorted())
    }

    #[test]
    fn files_are_counted_at_every_depth() {
        let (item, gaps) = gather(&[("/srv/office/a/b/c", "12345"), ("/srv/office/d", "1"), ("/srv/other", "x")], "/srv/office/");
        assert_eq!((item.files, item.bytes, gaps.len()), (2, 6, 0));
        assert_eq!(item.first, ["/srv/office/d", "/srv/office/a/b/c"]);
        assert!(item.newest_at.is_some());
    }

    #[test]
    fn what_is_not_there_is_neither_empty_nor_full() {
        let (item, gaps) = gather(&[("/srv/x", "")], "/srv/office");
        assert!(!item.exists);
        assert_eq!((gaps.len(), gaps[0].path.as_str(), gaps[0].reason.as_str(), gaps[0].subject.as_str()), (1, "items.files", "missing", "/srv/office"));
    }
}
