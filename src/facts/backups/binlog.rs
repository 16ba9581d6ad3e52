//! Binary logs of MariaDB (knowledge base, "Replication Protocol", "Binlog Event Types"): numbers without a hole, heads, events
//! that follow each other to the end of the file.
//!
//! ```text
//! fe 62 69 6e, events: time u32, kind u8, server u32, length u32, next u32, flags u16, …        little endian
//! ```

use std::collections::BTreeMap;
use std::io::{BufReader, Read as _};

use super::logs::{Start, restorable};
use super::{DECLARE, Log, Looking, Made};
use crate::host::archive::{HEAD, head_inside, recognise};
use crate::host::{CONFIG_LIMIT, FileKind, Host};
use crate::model::fact::Source;
use crate::model::gap::reason;
use crate::model::kept::BackupSet;

const MAGIC: &[u8] = b"\xfebin";
const HEADER: u64 = 19;
/// FORMAT_DESCRIPTION_EVENT begins each file, START_ENCRYPTION_EVENT says that the rest is encrypted.
const DESCRIPTION: u8 = 15;
const ENCRYPTION: u8 = 164;
/// Newest files whose events are followed, and most events of one.
const FOLLOWED: usize = 32;
const EVENTS: usize = 500_000;
const NAMED: usize = 20;
/// Longest span of numbers that is gone through.
const SPAN: u64 = 1_000_000;

#[derive(Clone, Debug)]
struct File {
    path: String,
    name: String,
    bytes: u64,
    modified: i64,
    plain: bool,
}

pub(super) fn look(looking: &mut Looking<'_>, declared: &BackupSet, bases: Vec<(&Made, (String, u64))>) -> Log {
    let subject = format!("{} binlog", declared.name);
    let folder = declared.binlog.trim_end_matches('/').to_string();
    let mut listed = true;
    let entries = match looking.host.list(&folder) {
        Ok(entries) => entries,
        Err(e) if e.is_not_found() => Vec::new(),
        Err(e) => {
            listed = false;
            looking.gaps.add(e.to_gap("backups", "logs", &subject));
            Vec::new()
        }
    };
    let mut series: BTreeMap<String, BTreeMap<u64, File>> = BTreeMap::new();
    for entry in entries.iter().filter(|e| e.kind == FileKind::File) {
        let Some((base, number, plain)) = parts(&entry.name) else { continue };
        let path = format!("{folder}/{}", entry.name);
        let Ok(stat) = looking.host.stat(&path) else { continue };
        let file = File { path, name: entry.name.clone(), bytes: stat.size, modified: stat.modified, plain };
        series.entry(base).or_default().insert(number, file);
    }
    // The name that the backups go on with, else the series with an index, else the longest.
    let chosen = bases.first().map(|(_, (base, _))| base.clone()).filter(|b| series.contains_key(b));
    let indexed = || series.keys().find(|b| entries.iter().any(|e| e.name == format!("{b}.index"))).cloned();
    let longest = || series.iter().max_by_key(|(_, files)| files.len()).map(|(b, _)| b.clone());
    let base = chosen.or_else(indexed).or_else(longest).unwrap_or_default();
    let files = series.remove(&base).unwrap_or_default();
    let mut log = Log {
        subject: subject.clone(),
        set: declared.name.clone(),
        kind: "binlog".into(),
        path: folder.clone(),
        window_days: declared.window(),
        listed,
        count: files.len() as u64,
        source: Source::whole(folder.clone()),
        ..Log::default()
    };
    let starts: Vec<Start> = bases
        .iter()
        .filter(|(_, (b, _))| *b == base)
        .map(|(made, (_, number))| Start { name: made.run.name.clone(), at: made.run.modified_at, first: *number, last: *number })
        .collect();
    if let (Some((first_file, _)), Some((last_file, newest))) = (files.first_key_value(), files.last_key_value()) {
        let indexed = index(looking.host, &format!("{folder}/{base}.index"), &base);
        let first = starts.iter().map(|s| s.first).min().unwrap_or(*first_file);
        let last = indexed.iter().copied().chain(starts.iter().map(|s| s.last)).chain([*last_file]).max().unwrap_or(*last_file);
        if last.saturating_sub(first) > SPAN {
            looking.gap("logs", &subject, reason::LIMIT_REACHED, format!("{folder}: more than {SPAN} numbers"), DECLARE);
        }
        let missing: Vec<u64> = (first..=last.min(first.saturating_add(SPAN))).filter(|n| !files.contains_key(n)).collect();
        let mut spoiled = Vec::new();
        for (index, (number, file)) in files.iter().rev().enumerate() {
            let follow = file.plain && (1..=FOLLOWED).contains(&index);
            if let Some(why) = fault(looking.host, file, follow) {
                spoiled.push(*number);
                if log.damaged.len() < NAMED {
                    log.damaged.push(format!("{} {why}", file.name));
                }
            }
        }
        log.missing_count = missing.len() as u64;
        log.awaited = missing.iter().filter(|n| *n > last_file).count() as u64;
        log.missing = missing.iter().take(NAMED).map(|n| format!("{base}.{n:06}")).collect();
        log.first = format!("{base}.{first:06}");
        (log.last, log.last_at) = (format!("{base}.{last_file:06}"), Some(newest.modified));
        let bad = missing.iter().chain(&spoiled).copied().filter(|n| n <= last_file).max();
        if let Some(start) = restorable(&starts, bad, *last_file) {
            (log.restorable_since, log.restorable_from) = (Some(start.at), start.name.clone());
        }
    }
    log
}

/// `NAME.000123`, packed or not: name, number, whether nothing stands behind it.
fn parts(name: &str) -> Option<(String, u64, bool)> {
    let is_number = |text: &str| text.len() >= 6 && text.bytes().all(|b| b.is_ascii_digit());
    let (base, last) = name.rsplit_once('.')?;
    if is_number(last) {
        return Some((base.to_string(), last.parse().ok()?, true));
    }
    if super::collect::aside(name).is_some() {
        return None;
    }
    // `.000123.gz`, `.000123.zst.age`
    let (at, number) = name.split('.').enumerate().skip(1).find(|(_, part)| is_number(part))?;
    let base: Vec<&str> = name.split('.').take(at).collect();
    Some((base.join("."), number.parse().ok()?, false))
}

fn index(host: &Host, path: &str, base: &str) -> Vec<u64> {
    let text = host.read_text(path, CONFIG_LIMIT).unwrap_or_default();
    let name = |line: &str| line.trim().rsplit('/').next().and_then(parts).filter(|(b, ..)| b == base).map(|(_, number, _)| number);
    text.lines().filter_map(name).collect()
}

/// What is wrong with a file. The last one is being written: its end tells nothing.
fn fault(host: &Host, file: &File, follow: bool) -> Option<String> {
    if file.bytes == 0 {
        return Some("is empty".into());
    }
    let head = host.read_head(&file.path, HEAD).ok()?;
    let inside = if file.plain {
        head
    } else {
        let format = recognise(&head);
        if !matches!(format.word, "gzip" | "zstd" | "xz" | "lz4") {
            return None;
        }
        match head_inside(host, &file.path, format, 64) {
            Ok(inside) => inside,
            Err(e) => return Some(format!("can't be unpacked: {e}")),
        }
    };
    if !inside.starts_with(MAGIC) || inside.get(8) != Some(&DESCRIPTION) {
        return Some("does not begin as a binary log does".into());
    }
    if follow { events(host, file).unwrap_or(None) } else { None }
}

fn events(host: &Host, file: &File) -> Result<Option<String>, std::io::Error> {
    let mut reader = BufReader::with_capacity(1 << 14, host.open_file(&file.path).map_err(std::io::Error::other)?);
    reader.seek_relative(4)?;
    let mut at = 4;
    for _ in 0..EVENTS {
        if at == file.bytes {
            return Ok(None);
        }
        let mut header = Vec::new();
        (&mut reader).take(HEADER).read_to_end(&mut header)?;
        let length = header.get(9..13).and_then(|b| b.try_into().ok()).map_or(0, u32::from_le_bytes);
        let length = u64::from(length);
        if length < HEADER || at + length > file.bytes {
            return Ok(Some(format!("is damaged or cut short at byte {at}")));
        }
        if header.get(4) == Some(&ENCRYPTION) {
            return Ok(None);
        }
        reader.seek_relative(i64::try_from(length - HEADER).unwrap_or(i64::MAX))?;
        at += length;
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert_eq!(parts("mysql-bin.000123"), Some(("mysql-bin".into(), 123, true)));
        assert_eq!(parts("host.example.000007.zst.age"), Some(("host.example".into(), 7, false)));
        for name in ["mysql-bin.index", "ib_logfile0", "x.12", "mysql-bin.000001.tmp", "2026"] {
            assert_eq!(parts(name), None, "{name}");
        }
    }
}
