//! Declared snapshots: how many there are, of when, and whether a copy is elsewhere.
//!
//! Read from LVM's own text of its metadata, snapper's and timeshift's files, names with dates, and a restic repository. What
//! only a command could tell (creation times of ZFS and of plain Btrfs subvolumes) is taken from names, or is a gap.

mod folders;
mod lvm;

use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::storage::view::View;
use super::{Document, HostFamily};
use crate::host::{Host, clock};
use crate::model::day::DAY;
use crate::model::fact::Source;
use crate::model::gap::{Gaps, reason};
use crate::model::kept::{SnapshotKind, SnapshotSet};

/// Snapshots that are listed of one set, the newest; all of them count.
const LISTED: usize = 400;

/// Declared snapshots.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Snapshots {
    /// Declared sets, in the order of the declaration.
    pub sets: Vec<Set>,
    /// Snapshots by set, newest first; at most 400 of each set.
    #[schemars(extend("x-volatile" = true))]
    pub items: Vec<Snapshot>,
}

impl Document for Snapshots {
    const NAME: &'static str = "snapshots";
    const TITLE: &'static str = "Declared snapshots: how many, of when, and where a copy lies";
}

/// One declared set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Set {
    /// Its declared name.
    pub subject: String,
    /// `lvm`, `zfs`, `btrfs`, `repository`.
    pub kind: String,
    /// Declared volume or folder.
    pub path: String,
    /// Declared: hours between snapshots, at most.
    pub every_hours: u32,
    /// Declared: days that they reach back, at the least; 0: not asked.
    pub keep_days: u32,
    /// Declared: days that one is kept, at most; 0: no limit.
    pub keep_at_most_days: u32,
    /// Declared: where a copy lies; recorded, never observed.
    pub off_site: String,
    /// Whether the folder itself belongs to another machine (NFS, SMB, sshfs).
    pub remote: bool,
    /// Whether they could be listed.
    pub listed: bool,
    /// Snapshots.
    #[schemars(extend("x-volatile" = true))]
    pub count: u64,
    /// The newest, Unix seconds.
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
    /// Longest time between two that follow each other within `keep_days`, seconds.
    #[schemars(extend("x-volatile" = true))]
    pub longest_pause_seconds: Option<i64>,
    /// When that pause began, Unix seconds.
    #[schemars(extend("x-volatile" = true))]
    pub longest_pause_from: Option<i64>,
    /// Where they were read.
    pub source: Source,
}

/// One snapshot.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Snapshot {
    /// Set and name.
    pub subject: String,
    /// Set.
    pub set: String,
    /// Name.
    pub name: String,
    /// When it was made, Unix seconds.
    pub at: i64,
    /// What tells: `metadata`, `name`, `change`.
    pub at_from: String,
}

/// A snapshot as it is found.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Taken {
    name: String,
    /// `None`: nothing tells when it was made.
    at: Option<i64>,
    from: &'static str,
}

impl HostFamily for Snapshots {
    fn gather(host: &Host, gaps: &mut Gaps) -> Option<Self> {
        let mut snapshots = Self::default();
        if host.declared().snapshots.is_empty() {
            return Some(snapshots);
        }
        let view = View::open(host).ok();
        let now = clock::unix_now();
        for declared in &host.declared().snapshots {
            let (mut set, taken) = look(host, declared, gaps);
            if declared.kind != SnapshotKind::Lvm
                && let Some(view) = &view
                && let Ok(real) = view.real_path(&declared.path)
            {
                set.remote = view.place(&real.path).transport.is_some();
            }
            fill(&mut set, declared, &taken, now);
            let listed = taken.iter().rev().filter_map(|t| Some((t, t.at?))).take(LISTED);
            snapshots.items.extend(listed.map(|(t, at)| Snapshot {
                subject: format!("{} {}", declared.name, t.name),
                set: declared.name.clone(),
                name: t.name.clone(),
                at,
                at_from: t.from.into(),
            }));
            snapshots.sets.push(set);
        }
        Some(snapshots)
    }
}

fn look(host: &Host, declared: &SnapshotSet, gaps: &mut Gaps) -> (Set, Vec<Taken>) {
    let zone = TimeZone::get(&declared.time_zone).unwrap_or(TimeZone::UTC);
    let (place, taken) = match declared.kind {
        SnapshotKind::Lvm => lvm::look(host, &declared.path),
        SnapshotKind::Zfs => folders::zfs(host, &declared.path, &zone),
        SnapshotKind::Btrfs | SnapshotKind::Repository => folders::look(host, &declared.path, &zone),
    };
    let listed = taken.is_ok();
    let mut taken = taken.unwrap_or_else(|gap| {
        let (id, detail, remedy) = gap;
        gaps.note(Snapshots::NAME, "sets", &declared.name, id, detail, remedy);
        Vec::new()
    });
    let untold: Vec<&str> = taken.iter().filter(|t| t.at.is_none()).map(|t| t.name.as_str()).collect();
    if let Some(first) = untold.first() {
        let detail = format!("{place}: nothing tells when {} snapshots were made, such as {first}", untold.len());
        let remedy = "Let their names carry date and time.";
        for field in ["newest_at", "oldest_at", "longest_pause_seconds"] {
            gaps.note(Snapshots::NAME, &format!("sets.{field}"), &declared.name, reason::UNSUPPORTED, detail.clone(), remedy);
        }
    }
    taken.sort_by(|a, b| (a.at, &a.name).cmp(&(b.at, &b.name)));
    let set = Set {
        subject: declared.name.clone(),
        kind: declared.kind.word().into(),
        path: declared.path.clone(),
        every_hours: declared.every_hours,
        keep_days: declared.keep_days,
        keep_at_most_days: declared.keep_at_most_days,
        off_site: declared.off_site.clone(),
        listed,
        source: Source::whole(place),
        ..Set::default()
    };
    (set, taken)
}

fn fill(set: &mut Set, declared: &SnapshotSet, taken: &[Taken], now: i64) {
    // One that lies ahead of the clock proves nothing.
    let dated: Vec<(i64, &str)> = taken.iter().filter_map(|t| Some((t.at?, t.name.as_str()))).filter(|(at, _)| *at <= now + 600).collect();
    set.count = taken.len() as u64;
    if let (Some((oldest, oldest_name)), Some((newest, newest_name))) = (dated.first(), dated.last()) {
        (set.oldest_at, set.oldest_name) = (Some(*oldest), (*oldest_name).to_string());
        (set.newest_at, set.newest_name) = (Some(*newest), (*newest_name).to_string());
    }
    let from = now - i64::from(declared.keep_days.max(1)) * DAY;
    let pauses = dated.windows(2).filter_map(|pair| match pair {
        [(before, _), (after, _)] if *after >= from => Some((after - before.max(&from), *before.max(&from))),
        _ => None,
    });
    if let Some((seconds, began)) = pauses.max() {
        (set.longest_pause_seconds, set.longest_pause_from) = (Some(seconds), Some(began));
    }
}
