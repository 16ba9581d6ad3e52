//! Repositories of restic (its design document, "Repository Format"), as far as they can be read without the password:
//! every file but `config` is named by the SHA-256 of its bytes, everything is encrypted, a snapshot is one file.

use super::newest::Found;
use super::{Looking, Made, Repository, Run, Set, not_a};
use crate::host::archive::{self, Integrity};
use crate::host::{FileKind, Host, ReadError};
use crate::model::fact::Source;
use crate::model::kept::BackupSet;

/// Newest files of data whose digest is computed.
const PACKS: usize = 64;
/// Most snapshots, and files of index and keys, whose digest is computed.
const SMALL: usize = 2000;

/// One file of a repository.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kept {
    /// Last change, Unix seconds.
    pub modified: i64,
    /// Its name, the digest of its bytes.
    pub name: String,
    /// Where it is.
    pub path: String,
    /// Bytes.
    pub bytes: u64,
}

/// Whether a folder is a repository.
pub fn is_one(host: &Host, path: &str) -> bool {
    ["config", "keys", "snapshots", "data"].iter().all(|name| host.exists(&format!("{path}/{name}")).unwrap_or(false))
}

/// The files of one part, oldest first.
pub fn files(host: &Host, folder: &str) -> Result<Vec<Kept>, ReadError> {
    let mut out = Vec::new();
    for entry in host.list(folder)?.into_iter().filter(|e| e.kind == FileKind::File && is_digest(&e.name)) {
        let path = format!("{folder}/{}", entry.name);
        match host.stat(&path) {
            Ok(stat) => out.push(Kept { modified: stat.modified, name: entry.name, path, bytes: stat.size }),
            Err(e) if e.is_not_found() => {}
            Err(e) => return Err(e),
        }
    }
    out.sort();
    Ok(out)
}

fn is_digest(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|b| b.is_ascii_hexdigit())
}

pub(super) fn look(looking: &mut Looking<'_>, declared: &BackupSet, set: &mut Set) -> Vec<Made> {
    let path = declared.path.trim_end_matches('/');
    set.present = looking.host.exists(path).unwrap_or(true);
    if !set.present {
        return Vec::new();
    }
    if !is_one(looking.host, path) {
        not_a(looking, declared, "a restic repository");
        return Vec::new();
    }
    let mut part = |name: &str| match files(looking.host, &format!("{path}/{name}")) {
        Ok(files) => files,
        Err(e) => {
            looking.unread(&declared.name, &[e]);
            Vec::new()
        }
    };
    let (snapshots, keys, locks) = (part("snapshots"), part("keys"), part("locks"));
    let packs = packs(looking.host, path);
    looking.into.repositories.push(Repository {
        subject: declared.name.clone(),
        kind: "restic".into(),
        path: path.into(),
        encrypted: "yes".into(),
        encrypted_why: "restic encrypts every repository".into(),
        keys: keys.len() as u64,
        snapshots: snapshots.len() as u64,
        packs: packs.len() as u64,
        locks: locks.len() as u64,
        oldest_lock_at: locks.first().map(|l| l.modified),
        source: Source::whole(format!("{path}/config")),
    });
    snapshots.into_iter().map(|s| snapshot(declared, s, looking.now)).collect()
}

fn snapshot(declared: &BackupSet, kept: Kept, now: i64) -> Made {
    let short = kept.name.get(..8).unwrap_or_default().to_string();
    let ahead = kept.modified > now + 600;
    Made {
        run: Run {
            subject: format!("{} {short}", declared.name),
            set: declared.name.clone(),
            name: short,
            variety: "single".into(),
            at: kept.modified,
            at_from: "change".into(),
            modified_at: kept.modified,
            format: "restic".into(),
            encrypted: "yes".into(),
            not_real: if ahead { "its time lies ahead of the clock".into() } else { String::new() },
            ..Run::default()
        },
        path: kept.path.clone(),
        main: kept.path,
        main_bytes: kept.bytes,
        ..Made::default()
    }
}

fn packs(host: &Host, path: &str) -> Vec<Kept> {
    let folders = host.list(&format!("{path}/data")).unwrap_or_default();
    let mut out: Vec<Kept> = folders.into_iter().flat_map(|f| files(host, &format!("{path}/data/{}", f.name)).unwrap_or_default()).collect();
    out.sort();
    out
}

/// Whether files still have the digest that they are named by: all small ones, and the newest of data.
pub(super) fn check(looking: &mut Looking<'_>, declared: &BackupSet) -> Found {
    let path = declared.path.trim_end_matches('/');
    let (mut seen, mut unread) = (0_usize, 0_usize);
    let found = |integrity, why: String| Found { integrity, why, format: "restic".into() };
    let packs = packs(looking.host, path);
    if packs.is_empty() {
        return found(Integrity::Damaged, "there are snapshots and no data".into());
    }
    let small = ["snapshots", "index", "keys"].iter().flat_map(|part| files(looking.host, &format!("{path}/{part}")).unwrap_or_default()).take(SMALL);
    let total = packs.len();
    let some: Vec<Kept> = small.chain(packs.into_iter().rev().take(PACKS)).collect();
    for kept in some {
        match archive::digest(looking.host, &kept.path, 64, &mut looking.budget) {
            Ok(Some(digest)) if digest == kept.name => seen += 1,
            Ok(Some(_)) => return found(Integrity::Damaged, format!("{} has another digest than its name", kept.path)),
            _ => unread += 1,
        }
    }
    if seen == 0 {
        return found(Integrity::Unread, "no file of it was read".into());
    }
    let sealed = if total <= PACKS && unread == 0 { Integrity::Whole } else { Integrity::Sealed };
    found(sealed, format!("{seen} files have the digest of their name, {} of {total} of data among them", PACKS.min(total).saturating_sub(unread)))
}
