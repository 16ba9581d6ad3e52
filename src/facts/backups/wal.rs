//! Archived WAL segments of PostgreSQL (manual, "Continuous Archiving"): names, sizes, heads, timelines.
//!
//! ```text
//! TTTTTTTTLLLLLLLLSSSSSSSS[.partial][.gz …]   timeline, log, segment      TTTTTTTT.history   TTTTTTTT….OOOOOOOO.backup
//! head of a segment: magic u16, flags u16, timeline u32, address u64, rest u32, -, system u64, size of a segment u32     native endian
//! ```

use std::collections::{BTreeMap, BTreeSet};

use super::base::{Base, lsn};
use super::logs::{Start, restorable};
use super::{DECLARE, Log, Looking, Made};
use crate::host::archive::{HEAD, head_inside, recognise};
use crate::host::{FileKind, Host, ReadError};
use crate::model::fact::Source;
use crate::model::gap::reason;
use crate::model::kept::BackupSet;

/// Size of a segment unless initdb was told otherwise.
const USUAL: u64 = 16 << 20;
/// Longest span of segments that is gone through: 16 TiB of log.
const SPAN: u64 = 1 << 20;
/// Segments whose heads are read, the newest.
const HEADS: usize = 4096;
/// Names that are listed.
const NAMED: usize = 20;
/// Most folders below the declared one.
const FOLDERS: usize = 4096;
const HISTORY: usize = 64 << 10;

#[derive(Clone, Debug)]
struct Segment {
    path: String,
    bytes: u64,
    modified: i64,
    /// Nothing behind its 24 digits.
    plain: bool,
}

/// What a folder holds.
#[derive(Debug, Default)]
struct Archive {
    /// By timeline, and log and segment as one number (32 bits each).
    segments: BTreeMap<(u32, u64), Segment>,
    /// Timeline -> its ancestors: timeline and where it was left.
    histories: BTreeMap<u32, Vec<(u32, u64)>>,
    errors: Vec<ReadError>,
}

pub(super) fn look(looking: &mut Looking<'_>, declared: &BackupSet, bases: Vec<(&Made, Base)>) -> Log {
    let subject = format!("{} wal", declared.name);
    let folder = declared.wal.trim_end_matches('/').to_string();
    let archive = read(looking.host, &folder);
    for error in archive.errors.iter().take(8) {
        looking.gaps.add(error.to_gap("backups", "logs", &subject));
    }
    let size = segment_size(looking.host, &archive);
    let per_log = (1_u64 << 32) / size;
    let number = |key: u64| (key >> 32) * per_log + (key & 0xffff_ffff);
    let name = |timeline: u32, number: u64| format!("{timeline:08X}{:08X}{:08X}", number / per_log, number % per_log);
    let timeline = archive.segments.keys().map(|(t, _)| *t).max().unwrap_or(1);
    let history = archive.histories.get(&timeline).cloned().unwrap_or_default();
    if timeline > 1 && history.is_empty() && !archive.segments.is_empty() {
        let detail = format!("{folder}: {timeline:08X}.history is missing, so where the timelines part is not known");
        looking.gap("logs.missing", &subject, reason::MISSING, detail, "Archive the history files, too.");
    }
    let present: BTreeMap<u64, Vec<(u32, &Segment)>> = archive.segments.iter().fold(BTreeMap::new(), |mut map, ((t, key), segment)| {
        map.entry(number(*key)).or_insert_with(Vec::new).push((*t, segment));
        map
    });
    let starts: Vec<Start> = bases
        .iter()
        .map(|(made, base)| {
            // An end on a border lies in the segment before it.
            let last = base.end.unwrap_or(base.start).saturating_sub(1).max(base.start) / size;
            Start { name: made.run.name.clone(), at: made.run.modified_at, first: base.start / size, last }
        })
        .collect();
    let belongs = |number: u64| -> u32 {
        let left = history.iter().find(|(_, at)| number < at / size);
        left.map_or(timeline, |(t, _)| *t)
    };
    let is_there = |number: u64| present.get(&number).is_some_and(|all| history.is_empty() || all.iter().any(|(t, _)| *t == belongs(number)));
    let last_file = archive.segments.keys().filter(|(t, _)| *t == timeline).map(|(_, key)| number(*key)).max();
    let last = last_file.into_iter().chain(starts.iter().map(|s| s.last)).max();
    let first = starts.iter().map(|s| s.first).min().or_else(|| present.keys().next().copied());
    let mut log = Log {
        subject: subject.clone(),
        set: declared.name.clone(),
        kind: "wal".into(),
        path: folder.clone(),
        window_days: declared.window(),
        listed: archive.errors.is_empty(),
        count: archive.segments.len() as u64,
        source: Source::whole(folder.clone()),
        ..Log::default()
    };
    let (Some(first), Some(last)) = (first, last) else {
        return log;
    };
    if last.saturating_sub(first) > SPAN {
        log.listed = false;
        let detail = format!("{folder}: more than {SPAN} segments between the first and the last");
        looking.gap("logs", &subject, reason::LIMIT_REACHED, detail, DECLARE);
    }
    let missing: Vec<u64> = (first..=last.min(first.saturating_add(SPAN))).filter(|n| !is_there(*n)).collect();
    let (damaged, spoiled) = damaged(looking, &archive, size, &number);
    log.missing_count = missing.len() as u64;
    log.missing = missing.iter().take(NAMED).map(|n| name(belongs(*n), *n)).collect();
    log.damaged = damaged;
    log.first = name(belongs(first), first);
    log.awaited = missing.iter().filter(|n| last_file.is_none_or(|last| **n > last)).count() as u64;
    if let Some(number) = last_file {
        log.last = name(timeline, number);
        log.last_at = present.get(&number).and_then(|all| all.iter().map(|(_, s)| s.modified).max());
        let bad = missing.iter().chain(&spoiled).copied().filter(|n| *n <= number).max();
        if let Some(start) = restorable(&starts, bad, number) {
            (log.restorable_since, log.restorable_from) = (Some(start.at), start.name.clone());
        }
    }
    log
}

fn read(host: &Host, folder: &str) -> Archive {
    let mut archive = Archive::default();
    let mut folders = vec![(folder.to_string(), 0)];
    let mut seen = 0;
    while let Some((path, depth)) = folders.pop() {
        seen += 1;
        match host.list(&path) {
            Ok(entries) => {
                for entry in entries {
                    let inner = format!("{path}/{}", entry.name);
                    match entry.kind {
                        FileKind::Folder if depth < 2 && seen + folders.len() < FOLDERS => folders.push((inner, depth + 1)),
                        FileKind::File => take(host, &mut archive, &entry.name, inner),
                        _ => {}
                    }
                }
            }
            Err(e) if e.is_not_found() => {}
            Err(e) => archive.errors.push(e),
        }
    }
    archive
}

fn take(host: &Host, archive: &mut Archive, name: &str, path: String) {
    let hex = |from: usize, to: usize| name.get(from..to).filter(|t| t.bytes().all(|b| b.is_ascii_hexdigit())).and_then(|t| u32::from_str_radix(t, 16).ok());
    if let (Some(timeline), Some(rest)) = (hex(0, 8), name.get(8..))
        && (rest == ".history" || rest.starts_with(".history."))
    {
        archive.histories.insert(timeline, history(host, &path));
        return;
    }
    let (Some(timeline), Some(log), Some(segment)) = (hex(0, 8), hex(8, 16), hex(16, 24)) else { return };
    let rest = name.get(24..).unwrap_or_default();
    // `.partial` is what a promoted standby leaves of the last segment; `.backup` marks a base backup.
    if !(rest.is_empty() || rest.starts_with('.')) || rest.contains(".backup") || rest.starts_with(".partial") || super::collect::aside(name).is_some() {
        return;
    }
    match host.stat(&path) {
        Ok(stat) => {
            let key = u64::from(log) << 32 | u64::from(segment);
            archive.segments.insert((timeline, key), Segment { path, bytes: stat.size, modified: stat.modified, plain: rest.is_empty() });
        }
        Err(e) if e.is_not_found() => {}
        Err(e) => archive.errors.push(e),
    }
}

fn history(host: &Host, path: &str) -> Vec<(u32, u64)> {
    let Ok(head) = host.read_head(path, HEAD) else { return Vec::new() };
    let bytes = head_inside(host, path, recognise(&head), HISTORY).unwrap_or(head);
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let line = |l: &str| {
        let mut words = l.split_whitespace();
        Some((words.next()?.parse().ok()?, lsn(words.next()?)?))
    };
    text.lines().filter_map(line).collect()
}

/// The head of a segment, unpacked where it can be; `None` when it is encrypted.
fn head(host: &Host, segment: &Segment) -> Option<Vec<u8>> {
    let head = host.read_head(&segment.path, HEAD).ok()?;
    if segment.plain {
        return Some(head);
    }
    let format = recognise(&head);
    if !matches!(format.word, "gzip" | "zstd" | "xz" | "lz4") {
        return None;
    }
    head_inside(host, &segment.path, format, 64).ok()
}

fn number_at(head: &[u8], at: usize, width: usize) -> Option<u64> {
    Some(head.get(at..at + width)?.iter().rev().fold(0, |n, b| n << 8 | u64::from(*b)))
}

fn segment_size(host: &Host, archive: &Archive) -> u64 {
    let told = archive.segments.values().rev().take(8).find_map(|s| number_at(&head(host, s)?, 32, 4));
    told.filter(|size| size.is_power_of_two() && (1 << 20..=1 << 30).contains(size)).unwrap_or(USUAL)
}

/// Segments that are not what their names say: texts for people, and their numbers.
fn damaged(looking: &Looking<'_>, archive: &Archive, size: u64, number: &dyn Fn(u64) -> u64) -> (Vec<String>, BTreeSet<u64>) {
    let (mut told, mut numbers) = (Vec::new(), BTreeSet::new());
    for (index, ((_, key), segment)) in archive.segments.iter().rev().enumerate() {
        let why = if segment.bytes == 0 {
            "is empty".to_string()
        } else if segment.plain && segment.bytes != size {
            format!("has {} bytes instead of {size}", segment.bytes)
        } else if index < HEADS {
            match head(looking.host, segment) {
                Some(head) if number_at(&head, 8, 8) != Some(number(*key) * size) => "begins with another address than its name says".into(),
                _ => continue,
            }
        } else {
            continue;
        };
        numbers.insert(number(*key));
        if told.len() < NAMED {
            told.push(format!("{} {why}", segment.path.rsplit('/').next().unwrap_or_default()));
        }
    }
    (told, numbers)
}
