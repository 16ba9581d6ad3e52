//! Repositories of BorgBackup 1 (its documentation, "Data structures and file formats") as far as they can be read without the key.
//!
//! ```text
//! data/N/M   segment: BORG_SEG, entries        little endian
//! entry      CRC-32 u32 (of what follows), length u32 (of all of it), tag u8; 0 put (id 32, data), 1 delete (id 32), 2 commit
//! ```
//! The first byte of the data tells how it is encrypted. Which archives there are, and when they were made, only the key tells.

use std::io::{BufReader, Read as _};

use flate2::Crc;

use super::newest::Found;
use super::{Looking, Made, Newest, Repository, Run, Set, not_a};
use crate::host::archive::Integrity;
use crate::host::{CONFIG_LIMIT, FileKind, Host, ReadError};
use crate::model::fact::Source;
use crate::model::gap::reason;
use crate::model::kept::BackupSet;

const MAGIC: &[u8] = b"BORG_SEG";
const HEAD: usize = 9;
/// Largest object, bytes (MAX_OBJECT_SIZE of Borg, rounded up).
const OBJECT: u64 = 32 << 20;
/// Newest segments whose entries are added up, and most bytes of them.
const SEGMENTS: usize = 16;
const BYTES: u64 = 256 << 20;
const REMEDY: &str = "Let the job write a file after each run, such as borg create --json does, and declare that as a set of files.";

pub(super) fn look(looking: &mut Looking<'_>, declared: &BackupSet, set: &mut Set) -> Vec<Made> {
    let path = declared.path.trim_end_matches('/');
    set.present = looking.host.exists(path).unwrap_or(true);
    if !set.present {
        return Vec::new();
    }
    let config = looking.host.read_text(&format!("{path}/config"), CONFIG_LIMIT).unwrap_or_default();
    if !config.lines().any(|l| l.trim() == "[repository]") {
        not_a(looking, declared, "a repository of BorgBackup 1");
        return Vec::new();
    }
    let segments = match segments(looking.host, path) {
        Ok(segments) => segments,
        Err(e) => {
            looking.unread(&declared.name, &[e]);
            return Vec::new();
        }
    };
    let (found, sort) = check(looking.host, &segments);
    let repository = repository(looking.host, declared, path, &config, &segments, sort);
    if repository.encrypted == "no" {
        set.plaintext = vec![path.to_string()];
        set.plaintext_count = 1;
    } else if repository.encrypted == "unknown" {
        let detail = format!("{path}: {}", repository.encrypted_why);
        looking.gap("sets.plaintext_count", &declared.name, reason::UNSUPPORTED, detail, "Show by borg info how it is encrypted.");
    }
    looking.into.repositories.push(repository);
    let last = segments.last();
    if let Some(last) = last {
        newest(looking, declared, last, found);
    }
    // Pruning and compacting write, too: a recent change is no proof of a backup, an old one is proof of none.
    let detail = format!("{path}: only the key tells when archives were made; the last change is known alone");
    for field in ["newest_at", "oldest_at", "longest_pause_seconds", "fulls"] {
        looking.gap(&format!("sets.{field}"), &declared.name, reason::UNSUPPORTED, detail.clone(), REMEDY);
    }
    last.map(|segment| written(declared, segment)).into_iter().collect()
}

fn written(declared: &BackupSet, segment: &Segment) -> Made {
    let name = format!("segment {}", segment.number);
    Made {
        run: Run {
            subject: format!("{} {name}", declared.name),
            set: declared.name.clone(),
            name,
            variety: "single".into(),
            at: segment.modified,
            at_from: "change".into(),
            modified_at: segment.modified,
            format: "borg".into(),
            encrypted: "unknown".into(),
            ..Run::default()
        },
        path: segment.path.clone(),
        ..Made::default()
    }
}

fn newest(looking: &mut Looking<'_>, declared: &BackupSet, last: &Segment, found: Found) {
    let subject = format!("{} segments", declared.name);
    if found.integrity == Integrity::Unread {
        looking.gap("newest.integrity", &subject, reason::READ_FAILED, found.why.clone(), "");
    }
    looking.into.newest.push(Newest {
        subject,
        set: declared.name.clone(),
        name: format!("segment {}", last.number),
        at: last.modified,
        bytes: last.bytes,
        median_bytes: None,
        percent: None,
        format: found.format,
        integrity: found.integrity.word().into(),
        integrity_why: found.why,
        checksum: "none".into(),
        source: Source::whole(last.path.clone()),
    });
}

fn repository(host: &Host, declared: &BackupSet, path: &str, config: &str, segments: &[Segment], sort: Option<u8>) -> Repository {
    let key = config.lines().any(|l| l.split_once('=').is_some_and(|(k, v)| k.trim() == "key" && !v.trim().is_empty()));
    let (encrypted, why) = match sort {
        Some(0 | 4) => ("yes", "a key file that lies with the client"),
        Some(1 | 3 | 5) => ("yes", "a key in the repository"),
        Some(2) => ("no", "its data says that it is not encrypted"),
        Some(6 | 7) => ("no", "its data is authenticated and not encrypted"),
        None if key => ("yes", "a key lies in the repository"),
        _ => ("unknown", "neither key nor data tell whether it is encrypted"),
    };
    // One folder for who writes alone, and a list of who is at it.
    let alone = host.stat(&format!("{path}/lock.exclusive")).ok();
    let roster = host.stat(&format!("{path}/lock.roster")).ok().filter(|s| s.size > 2);
    let locks: Vec<i64> = alone.iter().chain(&roster).map(|s| s.modified).collect();
    Repository {
        subject: declared.name.clone(),
        kind: "borg".into(),
        path: path.into(),
        encrypted: encrypted.into(),
        encrypted_why: why.into(),
        keys: u64::from(key),
        snapshots: 0,
        packs: segments.len() as u64,
        locks: locks.len() as u64,
        oldest_lock_at: locks.into_iter().min(),
        source: Source::whole(format!("{path}/config")),
    }
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Segment {
    number: u64,
    modified: i64,
    path: String,
    bytes: u64,
}

fn segments(host: &Host, path: &str) -> Result<Vec<Segment>, ReadError> {
    let data = format!("{path}/data");
    let is_number = |name: &str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_digit());
    let mut out = Vec::new();
    for folder in host.list(&data)?.into_iter().filter(|e| e.kind == FileKind::Folder && is_number(&e.name)) {
        for entry in host.list(&format!("{data}/{}", folder.name))?.into_iter().filter(|e| e.kind == FileKind::File && is_number(&e.name)) {
            let path = format!("{data}/{}/{}", folder.name, entry.name);
            let Ok(stat) = host.stat(&path) else { continue };
            out.push(Segment { number: entry.name.parse().unwrap_or(0), modified: stat.modified, path, bytes: stat.size });
        }
    }
    // What follows the last commit was broken off or is being written; Borg itself leaves it out.
    let committed = host.list(path)?.into_iter().filter_map(|e| e.name.strip_prefix("index.").and_then(|n| n.parse::<u64>().ok())).max();
    out.retain(|s| committed.is_none_or(|last| s.number <= last));
    out.sort();
    Ok(out)
}

/// Adds the newest segments up; also the byte that tells how data is encrypted.
fn check(host: &Host, segments: &[Segment]) -> (Found, Option<u8>) {
    let found = |integrity, why: String| Found { integrity, why, format: "borg".into() };
    let (mut sort, mut left, mut seen) = (None, BYTES, 0);
    for segment in segments.iter().rev().take(SEGMENTS) {
        if segment.bytes > left {
            break;
        }
        left -= segment.bytes;
        match entries(host, segment) {
            Ok((Some(fault), found_sort)) => return (found(Integrity::Damaged, format!("{}: {fault}", segment.path)), sort.or(found_sort)),
            Ok((None, found_sort)) => sort = sort.or(found_sort),
            Err(e) => return (found(Integrity::Unread, e.to_string()), sort),
        }
        seen += 1;
    }
    match seen {
        0 if segments.is_empty() => (found(Integrity::Damaged, "it holds no data".into()), sort),
        0 => (found(Integrity::Unread, "its newest segment is larger than what is read".into()), sort),
        _ => (found(Integrity::Sealed, format!("the entries of the newest {seen} of {} segments have their checksums", segments.len())), sort),
    }
}

/// The first fault of a segment, and the sort of its first data.
fn entries(host: &Host, segment: &Segment) -> Result<(Option<String>, Option<u8>), ReadError> {
    let fail = |e: std::io::Error| ReadError::Io(segment.path.clone(), e.to_string());
    let mut file = BufReader::with_capacity(1 << 16, host.open_file(&segment.path)?);
    let mut magic = Vec::new();
    (&mut file).take(MAGIC.len() as u64).read_to_end(&mut magic).map_err(fail)?;
    if magic != MAGIC {
        return Ok((Some("it does not begin as a segment does".into()), None));
    }
    let (mut sort, mut at) = (None, MAGIC.len() as u64);
    while at < segment.bytes {
        let mut head = Vec::new();
        (&mut file).take(HEAD as u64).read_to_end(&mut head).map_err(fail)?;
        let word = |from: usize| head.get(from..from + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_le_bytes);
        let (sum, length, tag) = (word(0), u64::from(word(4)), head.get(8).copied().unwrap_or(255));
        let sound = (HEAD as u64..=OBJECT).contains(&length) && at + length <= segment.bytes;
        if !sound || tag > 2 {
            return Ok((Some(format!("the entry at byte {at} is damaged or cut short")), sort));
        }
        let mut body = Vec::new();
        (&mut file).take(length - HEAD as u64).read_to_end(&mut body).map_err(fail)?;
        let mut crc = Crc::new();
        crc.update(head.get(4..).unwrap_or_default());
        crc.update(&body);
        if crc.sum() != sum {
            return Ok((Some(format!("the entry at byte {at} has another checksum")), sort));
        }
        if tag == 0 {
            sort = sort.or(body.get(32).copied());
        }
        at += length;
    }
    Ok((None, sort))
}
