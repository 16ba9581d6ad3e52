//! Declared backups: what was made when, how long it is kept, whether it is encrypted and whole.
//!
//! Files are recognised by content, and the newest of each kind is followed to its end within a budget. What only a key
//! could tell (what is inside an encrypted archive, which archives a Borg repository holds) is a gap or said so.

mod base;
mod binlog;
mod borg;
mod collect;
mod logs;
mod mariadb;
pub(super) mod named;
mod newest;
pub(super) mod restic;
mod runs;
mod sets;
mod sums;
mod wal;

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::storage::view::View;
use super::{Document, HostFamily};
use crate::host::archive::Budget;
use crate::host::block::layer::Encrypted;
use crate::host::{Host, clock};
use crate::model::fact::Source;
use crate::model::gap::{Gaps, reason};
use crate::model::kept::{BackupKind, BackupSet};

/// Runs that are listed of one set, the newest; all of them count.
const LISTED: usize = 200;

/// Declared backups.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Backups {
    /// Declared sets, in the order of the declaration.
    pub sets: Vec<Set>,
    /// The newest backup of each set and variety, looked into.
    pub newest: Vec<Newest>,
    /// Logs of databases from which any moment can be restored, one for each set that declares one.
    pub logs: Vec<Log>,
    /// Repositories of restic and BorgBackup.
    pub repositories: Vec<Repository>,
    /// What the sets say they save, sorted: paths, and the names of database programs as `storage.data` has them.
    pub covers: Vec<String>,
    /// Backups by set, newest first; at most 200 of each set.
    #[schemars(extend("x-volatile" = true))]
    pub runs: Vec<Run>,
}

impl Document for Backups {
    const NAME: &'static str = "backups";
    const TITLE: &'static str = "Declared backups: times, sizes, how long they are kept, encryption, wholeness";
}

/// One declared set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Set {
    /// Its declared name.
    pub subject: String,
    /// `files`, `restic`, `borg`, `postgresql-base`, `mariadb-full`.
    pub kind: String,
    /// Declared path or pattern.
    pub path: String,
    /// Whether the folder is there.
    pub present: bool,
    /// Whether all of it could be looked at: else what seems to be missing may lie where nothing could be read.
    pub listed: bool,
    /// Declared: hours between backups, at most.
    pub every_hours: u32,
    /// Declared: when the daily full backup begins, `HH:MM` UTC; empty: at no certain time.
    pub full_at: String,
    /// Declared: days that backups reach back, at the least.
    pub keep_days: u32,
    /// Declared: days that a backup is kept, at most; 0: no limit.
    pub keep_at_most_days: u32,
    /// Declared: whether they must be encrypted.
    pub encryption_expected: bool,
    /// Declared: what they save.
    pub covers: Vec<String>,
    /// Mount point that the folder lies on; empty when it is not known.
    pub mount: String,
    /// Whether that belongs to another machine (NFS, SMB, sshfs).
    pub remote: bool,
    /// Whether what they lie on is encrypted by this machine: `yes`, `no`, `unknown`.
    pub storage_encrypted: String,
    /// What decides that.
    pub storage_why: String,
    /// Paths of `covers` that lie on the same file system as the backups.
    pub beside: Vec<String>,
    /// Backups with real content.
    #[schemars(extend("x-volatile" = true))]
    pub count: u64,
    /// Bytes of all of them.
    #[schemars(extend("x-volatile" = true))]
    pub bytes: u64,
    /// When the newest with real content began, as far as it can be told; Unix seconds.
    #[schemars(extend("x-volatile" = true))]
    pub newest_at: Option<i64>,
    /// Its name.
    #[schemars(extend("x-volatile" = true))]
    pub newest_name: String,
    /// The oldest, Unix seconds.
    #[schemars(extend("x-volatile" = true))]
    pub oldest_at: Option<i64>,
    /// Its name.
    #[schemars(extend("x-volatile" = true))]
    pub oldest_name: String,
    /// Longest time between two backups that follow each other within `keep_days`, seconds.
    #[schemars(extend("x-volatile" = true))]
    pub longest_pause_seconds: Option<i64>,
    /// When that pause began, Unix seconds.
    #[schemars(extend("x-volatile" = true))]
    pub longest_pause_from: Option<i64>,
    /// Days within `keep_days` on which a full backup was due at `full_at`.
    #[schemars(extend("x-volatile" = true))]
    pub fulls: Vec<FullDay>,
    /// Names of backups whose content is not encrypted, newest first; at most 20.
    #[schemars(extend("x-volatile" = true))]
    pub plaintext: Vec<String>,
    /// How many there are.
    #[schemars(extend("x-volatile" = true))]
    pub plaintext_count: u64,
    /// A newer file that is no backup, and why; empty when there is none.
    #[schemars(extend("x-volatile" = true))]
    pub newer_but_none: String,
    /// The declaration.
    pub source: Source,
}

/// A day on which a full backup was due.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FullDay {
    /// When, Unix seconds.
    pub due_at: i64,
    /// When the first full backup of the 24 hours from then began; null: none did.
    pub made_at: Option<i64>,
    /// Whether that is when it began; else only when it ended is known.
    pub start_known: bool,
}

/// One backup.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// Set and name.
    pub subject: String,
    /// Set.
    pub set: String,
    /// Name below the declared folder.
    pub name: String,
    /// `full`, `differential`, `single` (the set does not tell them apart), `other` (neither pattern matches).
    pub variety: String,
    /// When it began, as far as it can be told; Unix seconds.
    pub at: i64,
    /// What tells: `name`, `birth` (of the file), `change` (its end).
    pub at_from: String,
    /// The moment or day in its name, Unix seconds.
    pub named_at: Option<i64>,
    /// Last change, Unix seconds.
    pub modified_at: i64,
    /// How name and last change contradict each other; empty when they don't.
    pub time_note: String,
    /// Bytes; of a folder, of all in it. 0 where a repository does not tell.
    pub bytes: u64,
    /// By its first bytes, such as `gzip`, `tar`, `age`.
    pub format: String,
    /// `yes`, `no`, `unknown`.
    pub encrypted: String,
    /// Why it does not count as a backup; empty: it does.
    pub not_real: String,
}

/// The newest backup of a variety.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Newest {
    /// Set and variety, such as `customers full`.
    pub subject: String,
    /// Set.
    pub set: String,
    /// Name.
    #[schemars(extend("x-volatile" = true))]
    pub name: String,
    /// When it began, Unix seconds.
    #[schemars(extend("x-volatile" = true))]
    pub at: i64,
    /// Bytes.
    #[schemars(extend("x-volatile" = true))]
    pub bytes: u64,
    /// Median of up to 30 earlier ones of the same shape, bytes; null where there are fewer than three.
    #[schemars(extend("x-volatile" = true))]
    pub median_bytes: Option<u64>,
    /// Its size in percent of that.
    #[schemars(extend("x-volatile" = true))]
    pub percent: Option<u64>,
    /// Format, and what is inside.
    pub format: String,
    /// `whole` (all read, its checksums are right), `structure` (it ends as its format says), `sealed` (encrypted; its frame is sound),
    /// `unread` (larger than what is read), `silent` (the format does not tell), `damaged`.
    pub integrity: String,
    /// What is wrong, or what limits the answer.
    pub integrity_why: String,
    /// The checksum that lies beside it: `matches`, `differs`, `none`, `unread`.
    pub checksum: String,
    /// The file.
    #[schemars(extend("x-volatile" = true))]
    pub source: Source,
}

/// Logs of a database.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// Set and kind, such as `database wal`.
    pub subject: String,
    /// Set.
    pub set: String,
    /// `wal` or `binlog`.
    pub kind: String,
    /// Folder.
    pub path: String,
    /// Declared: days of which every moment must be restorable.
    pub window_days: u32,
    /// Whether the folder, and where the base backups go on in it, could be read.
    pub listed: bool,
    /// Files.
    #[schemars(extend("x-volatile" = true))]
    pub count: u64,
    /// The first and the last, by their order.
    #[schemars(extend("x-volatile" = true))]
    pub first: String,
    /// The last.
    #[schemars(extend("x-volatile" = true))]
    pub last: String,
    /// When the last was written, Unix seconds.
    #[schemars(extend("x-volatile" = true))]
    pub last_at: Option<i64>,
    /// Files that are missing between those that are there, or that a base backup needs; at most 20.
    #[schemars(extend("x-volatile" = true))]
    pub missing: Vec<String>,
    /// How many are missing.
    #[schemars(extend("x-volatile" = true))]
    pub missing_count: u64,
    /// Files behind the last one that a base backup or the index names and that did not arrive.
    #[schemars(extend("x-volatile" = true))]
    pub awaited: u64,
    /// Files that are empty, cut short or not what their name says, and why; at most 20.
    #[schemars(extend("x-volatile" = true))]
    pub damaged: Vec<String>,
    /// Every moment from here to the last file can be restored, Unix seconds; null: none can.
    #[schemars(extend("x-volatile" = true))]
    pub restorable_since: Option<i64>,
    /// The base backup from which.
    #[schemars(extend("x-volatile" = true))]
    pub restorable_from: String,
    /// The folder.
    pub source: Source,
}

/// A repository.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Repository {
    /// Name of its set.
    pub subject: String,
    /// `restic` or `borg`.
    pub kind: String,
    /// Folder.
    pub path: String,
    /// `yes`, `no`, `unknown`.
    pub encrypted: String,
    /// What tells that.
    pub encrypted_why: String,
    /// Keys that open it and lie in it.
    pub keys: u64,
    /// Snapshots (restic); 0 for Borg, which tells them only to whoever has the key.
    #[schemars(extend("x-volatile" = true))]
    pub snapshots: u64,
    /// Files of data.
    #[schemars(extend("x-volatile" = true))]
    pub packs: u64,
    /// Locks.
    #[schemars(extend("x-volatile" = true))]
    pub locks: u64,
    /// The oldest lock's last change, Unix seconds.
    #[schemars(extend("x-volatile" = true))]
    pub oldest_lock_at: Option<i64>,
    /// Its configuration file.
    pub source: Source,
}

impl HostFamily for Backups {
    fn gather(host: &Host, gaps: &mut Gaps) -> Option<Self> {
        let mut backups = Self::default();
        if host.declared().backups.is_empty() {
            return Some(backups);
        }
        let view = View::open(host);
        if let Err(e) = &view {
            gaps.add(e.to_gap(Self::NAME, "sets.storage_encrypted", ""));
        }
        let mut looking = Looking { host, now: clock::unix_now(), budget: Budget::default(), blind: BTreeSet::new(), gaps, into: &mut backups };
        for declared in &host.declared().backups {
            let mut set = set(declared, host, view.as_ref().ok());
            looking.one(declared, &mut set);
            looking.into.sets.push(set);
        }
        backups.covers = covers(&host.declared().backups);
        Some(backups)
    }
}

/// What one set is looked at with.
struct Looking<'a> {
    host: &'a Host,
    now: i64,
    budget: Budget,
    /// Sets of which something could not be looked at.
    blind: BTreeSet<String>,
    gaps: &'a mut Gaps,
    into: &'a mut Backups,
}

impl Looking<'_> {
    fn one(&mut self, declared: &BackupSet, set: &mut Set) {
        let made = match declared.kind {
            BackupKind::Restic => restic::look(self, declared, set),
            BackupKind::Borg => borg::look(self, declared, set),
            BackupKind::Files => runs::look(self, declared, set, &|_| false),
            BackupKind::PostgresqlBase => {
                let host = self.host;
                let mut made = runs::look(self, declared, set, &|folder| base::is_one(host, folder));
                base::tell_plain(host, &mut made);
                made
            }
            BackupKind::MariadbFull => {
                let host = self.host;
                let mut made = runs::look(self, declared, set, &|folder| mariadb::is_one(host, folder));
                mariadb::tell_varieties(host, &mut made);
                made
            }
        };
        set.listed = !self.blind.contains(&declared.name);
        sets::fill(self, declared, set, &made);
        if declared.kind == BackupKind::Borg {
            // The last change tells neither how far archives reach back nor which of them is full.
            (set.oldest_at, set.fulls) = (None, Vec::new());
            set.oldest_name.clear();
        }
        newest::look(self, declared, &made);
        logs::look(self, declared, &made);
        let listed = made.iter().rev().take(LISTED).map(|m| m.run.clone());
        self.into.runs.extend(listed);
    }

    /// A gap over one set.
    fn gap(&mut self, path: &str, subject: &str, reason: &str, detail: impl Into<String>, remedy: &str) {
        self.gaps.note(Backups::NAME, path, subject, reason, detail, remedy);
    }

    /// What could not be read of a set touches all that is said of it.
    fn unread(&mut self, set: &str, errors: &[crate::host::ReadError]) {
        /// Further errors of one set say nothing new.
        const TOLD: usize = 8;
        if !errors.is_empty() {
            self.blind.insert(set.to_string());
        }
        for error in errors.iter().take(TOLD) {
            for path in ["sets", "newest"] {
                self.gaps.add(error.to_gap(Backups::NAME, path, set));
            }
        }
    }
}

/// One backup with what is needed to look into it.
#[derive(Clone, Debug, Default)]
struct Made {
    run: Run,
    /// Absolute path.
    path: String,
    folder: bool,
    /// File that tells what it is.
    main: String,
    main_bytes: u64,
    /// The name without its numbers.
    shape: String,
}

impl Made {
    fn is_real(&self) -> bool {
        self.run.not_real.is_empty()
    }
}

fn set(declared: &BackupSet, host: &Host, view: Option<&View<'_>>) -> Set {
    let mut set = Set {
        subject: declared.name.clone(),
        kind: declared.kind.word().into(),
        path: declared.path.clone(),
        every_hours: declared.every_hours,
        full_at: declared.full_at.clone(),
        keep_days: declared.keep_days,
        keep_at_most_days: declared.keep_at_most_days,
        encryption_expected: declared.encrypted,
        covers: declared.covers.clone(),
        storage_encrypted: Encrypted::Unknown.word().into(),
        source: Source { place: String::new(), line: 0, directive: "backups".into() },
        ..Set::default()
    };
    let parts: Vec<&str> = declared.path.split('/').take_while(|p| !collect::is_pattern(p)).collect();
    let base = parts.join("/");
    if let Some(view) = view
        && let Ok(real) = view.real_path(&base)
    {
        let (layer, _) = view.path(&real.path);
        let (answer, why) = layer.judge();
        let place = view.place(&real.path);
        (set.storage_encrypted, set.storage_why) = (answer.word().into(), crate::model::redact::text(&why));
        (set.mount, set.remote) = (place.point, place.transport.is_some());
    }
    if let Ok(own) = host.stat(&base) {
        let same = |path: &&String| path.starts_with('/') && host.stat(path).is_ok_and(|s| s.device == own.device);
        set.beside = declared.covers.iter().filter(same).cloned().collect();
    }
    set
}

/// What is saved, in the words of `storage.data`.
fn covers(sets: &[BackupSet]) -> Vec<String> {
    let mut out = Vec::new();
    for set in sets {
        match set.kind {
            BackupKind::PostgresqlBase => out.push("postgresql".to_string()),
            BackupKind::MariadbFull => out.extend(["mysql".to_string(), "mariadb".into()]),
            _ => {}
        }
        for cover in &set.covers {
            if cover == "mariadb" {
                out.push("mysql".into());
            }
            out.push(cover.trim_end_matches('/').to_string());
        }
    }
    out.sort();
    out.dedup();
    out
}

/// A remedy that fits many gaps.
const DECLARE: &str = "Correct backups in the agent's configuration.";

/// Notes a set that is not what its kind says.
fn not_a(looking: &mut Looking<'_>, set: &BackupSet, what: &str) {
    looking.blind.insert(set.name.clone());
    for path in ["sets", "newest"] {
        let detail = format!("{} is not {what}", set.path);
        looking.gap(path, &set.name, reason::MALFORMED, detail, DECLARE);
    }
}
