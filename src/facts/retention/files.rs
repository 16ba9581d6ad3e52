//! The oldest file below a declared folder.

use jiff::tz::TimeZone;

use super::{Limit, Retention};
use crate::facts::Document as _;
use crate::facts::backups::named;
use crate::host::{FileKind, Host, ReadError};
use crate::model::day::DAY;
use crate::model::fact::Source;
use crate::model::gap::{Gaps, reason};
use crate::model::kept::{AgeBy, RetentionLimit};

/// Most entries looked at below one path.
const ENTRIES: usize = 1_000_000;
/// Deepest folder below it, levels.
const DEPTH: usize = 64;

/// A file as the walk passes it.
#[derive(Clone, Debug)]
pub(super) struct Passed<'a> {
    /// Path below the folder.
    pub shown: &'a str,
    /// Last change, Unix seconds.
    pub modified: i64,
    /// Bytes.
    pub bytes: u64,
    /// Moment in the nearest name that has one, Unix seconds.
    pub named: Option<i64>,
}

/// How a walk went.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub errors: Vec<ReadError>,
    pub cut: bool,
    left: usize,
}

/// Every regular file below a folder, links not followed; or the file itself.
pub(super) fn walk(host: &Host, path: &str, visit: &mut dyn FnMut(&Passed<'_>)) -> Outcome {
    let mut outcome = Outcome { left: ENTRIES, ..Outcome::default() };
    match host.stat(path) {
        Ok(stat) if stat.kind == FileKind::Folder => below(host, path, "", None, 0, &mut outcome, visit),
        Ok(stat) => {
            let shown = path.rsplit('/').next().unwrap_or_default();
            let named = named::in_name(shown, &TimeZone::UTC).map(|n| n.at);
            visit(&Passed { shown, modified: stat.modified, bytes: stat.size, named });
        }
        Err(e) if e.is_not_found() => {}
        Err(e) => outcome.errors.push(e),
    }
    outcome
}

fn below(host: &Host, folder: &str, shown: &str, named: Option<i64>, depth: usize, outcome: &mut Outcome, visit: &mut dyn FnMut(&Passed<'_>)) {
    let entries = match host.list(folder) {
        Ok(entries) => entries,
        Err(e) if e.is_not_found() => return,
        Err(e) => return outcome.errors.push(e),
    };
    for entry in entries {
        if outcome.left == 0 || depth == DEPTH {
            outcome.cut = true;
            return;
        }
        outcome.left -= 1;
        let path = format!("{}/{}", folder.trim_end_matches('/'), entry.name);
        let inner = if shown.is_empty() { entry.name.clone() } else { format!("{shown}/{}", entry.name) };
        let own = named::in_name(&entry.name, &TimeZone::UTC).map(|n| n.at).or(named);
        match entry.kind {
            FileKind::Folder => below(host, &path, &inner, own, depth + 1, outcome, visit),
            FileKind::File => match host.stat_link(&path) {
                Ok(stat) => visit(&Passed { shown: &inner, modified: stat.modified, bytes: stat.size, named: own }),
                Err(e) if e.is_not_found() => {}
                Err(e) => outcome.errors.push(e),
            },
            _ => {}
        }
    }
}

pub(super) fn look(host: &Host, limit: &RetentionLimit, now: i64, gaps: &mut Gaps) -> Limit {
    let mut out = Limit {
        subject: limit.name.clone(),
        path: limit.path.clone(),
        by: limit.by.word().into(),
        limit_days: limit.limit_days,
        present: host.exists(&limit.path).unwrap_or(true),
        source: Source::whole(limit.path.clone()),
        ..Limit::default()
    };
    let end = now - i64::from(limit.limit_days) * DAY;
    let (mut undated, mut first_undated) = (0_u64, String::new());
    let outcome = walk(host, &limit.path, &mut |file| {
        out.count += 1;
        let at = if limit.by == AgeBy::Mtime { Some(file.modified) } else { file.named };
        let Some(at) = at else {
            if undated == 0 {
                first_undated = file.shown.to_string();
            }
            undated += 1;
            return;
        };
        out.older += u64::from(at < end);
        if out.oldest_at.is_none_or(|oldest| at < oldest) {
            (out.oldest_at, out.oldest) = (Some(at), file.shown.to_string());
        }
    });
    for error in outcome.errors.iter().take(8) {
        gaps.add(error.to_gap(Retention::NAME, "limits", &limit.name));
    }
    if outcome.cut {
        let detail = format!("{}: more than {ENTRIES} entries or {DEPTH} levels", limit.path);
        gaps.note(Retention::NAME, "limits", &limit.name, reason::LIMIT_REACHED, detail, "Declare the folders inside one by one.");
    }
    if undated > 0 {
        let detail = format!("{}: {undated} files have no date in their names, such as {first_undated}", limit.path);
        gaps.note(Retention::NAME, "limits.oldest_at", &limit.name, reason::UNSUPPORTED, detail, "Declare by: mtime, or let names carry a date.");
    }
    out
}
