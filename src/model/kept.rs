//! What the operator declares about backups, snapshots and deletion.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::day;
use super::declared::Declared;

/// Most declarations of one kind.
const MAX_DECLARED: usize = 256;
/// Longest query, bytes.
const MAX_QUERY: usize = 2048;
/// Longest time that can be declared, days: ten years.
const MAX_DAYS: u32 = 3660;
/// What stands for the tenant in a template.
pub const TENANT: &str = "{tenant}";

/// Backups that one job makes: one thing that is saved again and again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackupSet {
    /// Name of its own.
    pub name: String,
    /// What makes them.
    #[serde(default)]
    pub kind: BackupKind,
    /// Folder, repository, or pattern of files or folders such as `/srv/backup/db-*.sql.gz.age`.
    pub path: String,
    /// A backup is made this often at the least, hours.
    #[serde(default = "daily")]
    pub every_hours: u32,
    /// A full backup begins each day at this time, `HH:MM` in UTC; empty: at no certain time.
    #[serde(default)]
    pub full_at: String,
    /// Pattern of the names of full backups; empty: all that `differential` does not match.
    #[serde(default)]
    pub full: String,
    /// Pattern of the names of differential backups.
    #[serde(default)]
    pub differential: String,
    /// Backups reach back this far at the least, days.
    #[serde(default = "week")]
    pub keep_days: u32,
    /// No backup is kept longer, days; 0: no limit.
    #[serde(default)]
    pub keep_at_most_days: u32,
    /// Whether they must be encrypted, by themselves or by what they lie on.
    #[serde(default = "yes")]
    pub encrypted: bool,
    /// What they save: paths of data, or `postgresql` and `mariadb`.
    #[serde(default)]
    pub covers: Vec<String>,
    /// Folder of PostgreSQL's archived WAL segments (kind `postgresql-base`).
    #[serde(default)]
    pub wal: String,
    /// Folder of MariaDB's binary logs or their copies (kind `mariadb-full`).
    #[serde(default)]
    pub binlog: String,
    /// Every moment of so many days can be restored, where `wal` or `binlog` is given; 0: as `keep_days`.
    #[serde(default)]
    pub window_days: u32,
    /// IANA zone of the times in names.
    #[serde(default = "utc")]
    pub time_zone: String,
}

impl BackupSet {
    /// How far back every moment must be restorable, days.
    pub const fn window(&self) -> u32 {
        if self.window_days == 0 { self.keep_days } else { self.window_days }
    }

    /// Hour and minute of the daily full backup, as seconds after midnight UTC.
    pub fn full_second(&self) -> Option<i64> {
        let (hour, minute) = self.full_at.split_once(':')?;
        let number = |text: &str, below: i64| (text.len() == 2).then(|| text.parse::<i64>().ok()).flatten().filter(|n| (0..below).contains(n));
        Some(number(hour, 24)? * 3600 + number(minute, 60)? * 60)
    }
}

/// What makes backups.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BackupKind {
    /// Any program that writes one file, or one folder with a date in its name, a run.
    #[default]
    Files,
    /// restic.
    Restic,
    /// BorgBackup 1.
    Borg,
    /// pg_basebackup, in plain or tar form.
    PostgresqlBase,
    /// mariadb-backup, as a folder or a stream.
    MariadbFull,
}

impl BackupKind {
    /// Stable word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Files => "files",
            Self::Restic => "restic",
            Self::Borg => "borg",
            Self::PostgresqlBase => "postgresql-base",
            Self::MariadbFull => "mariadb-full",
        }
    }
}

/// Snapshots that one job makes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SnapshotSet {
    /// Name of its own.
    pub name: String,
    /// What keeps them.
    pub kind: SnapshotKind,
    /// `lvm`: `GROUP/VOLUME`. `zfs`: where the dataset is mounted. `btrfs`: the folder that holds the snapshots.
    /// `repository`: a folder of snapshots named by date, or a restic repository.
    pub path: String,
    /// A snapshot is made this often at the least, hours.
    #[serde(default = "daily")]
    pub every_hours: u32,
    /// Snapshots reach back this far at the least, days; 0: not asked.
    #[serde(default = "hundred")]
    pub keep_days: u32,
    /// No snapshot is kept longer, days; 0: no limit.
    #[serde(default)]
    pub keep_at_most_days: u32,
    /// Where a copy of them lies at another site, such as `rsync.example, Zurich`; recorded as declared, never observed.
    #[serde(default)]
    pub off_site: String,
    /// IANA zone of the times in names.
    #[serde(default = "utc")]
    pub time_zone: String,
}

/// What keeps snapshots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SnapshotKind {
    /// LVM, classic or thin.
    Lvm,
    /// ZFS.
    Zfs,
    /// Btrfs: snapper, timeshift, or folders named by date.
    Btrfs,
    /// A folder of snapshots, or a restic repository.
    Repository,
}

impl SnapshotKind {
    /// Stable word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Lvm => "lvm",
            Self::Zfs => "zfs",
            Self::Btrfs => "btrfs",
            Self::Repository => "repository",
        }
    }
}

/// Data that must not grow older than a limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetentionLimit {
    /// Name of its own.
    pub name: String,
    /// Folder whose files count; or `query`.
    #[serde(default)]
    pub path: String,
    /// What tells how old a file is.
    #[serde(default)]
    pub by: AgeBy,
    /// Socket of a server named under `databases`.
    #[serde(default)]
    pub socket: String,
    /// Database on a PostgreSQL server.
    #[serde(default)]
    pub database: String,
    /// One SELECT that gives the time of the oldest row: one column, a date, a time or Unix seconds.
    #[serde(default)]
    pub query: String,
    /// Oldest age, days.
    #[serde(default = "month")]
    pub limit_days: u32,
}

/// What tells how old a file is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AgeBy {
    /// Last change of its content.
    #[default]
    Mtime,
    /// The date in its name, or in that of a folder above it.
    NameDate,
}

impl AgeBy {
    /// Stable word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Mtime => "mtime",
            Self::NameDate => "name-date",
        }
    }
}

/// Customers whose contract ended, and where their data was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Offboarded {
    /// One tenant; or `list`.
    #[serde(default)]
    pub tenant: String,
    /// The day the contract of that tenant ended, `YYYY-MM-DD`.
    #[serde(default)]
    pub ended: String,
    /// CSV file of tenants with the columns `tenant` and `ended`, owned by root.
    #[serde(default)]
    pub list: String,
    /// Where their data was; `{tenant}` stands for the tenant.
    pub paths: Vec<String>,
    /// All of it is gone so many days after the end.
    #[serde(default = "week")]
    pub limit_days: u32,
}

const fn daily() -> u32 {
    24
}
const fn week() -> u32 {
    7
}
const fn month() -> u32 {
    30
}
const fn hundred() -> u32 {
    100
}
const fn yes() -> bool {
    true
}
fn utc() -> String {
    "UTC".into()
}

/// The day on which a contract ended, Unix seconds of its end.
pub fn end_of(day: &str) -> Option<i64> {
    day::parse(day, None).ok()?.end()
}

/// Whether a tenant's name can stand in a path without leading elsewhere.
pub fn is_tenant(name: &str) -> bool {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | '@' | '+');
    !name.is_empty() && name.len() <= 128 && name.chars().all(plain) && !name.starts_with('.')
}

/// The first mistake: key, and what is wrong and how to mend it.
pub fn check(declared: &Declared) -> Result<(), (String, String)> {
    let sizes = [
        ("backups", declared.backups.len()),
        ("snapshots", declared.snapshots.len()),
        ("retention", declared.retention.len()),
        ("offboarded", declared.offboarded.len()),
    ];
    if let Some((key, size)) = sizes.into_iter().find(|(_, n)| *n > MAX_DECLARED) {
        return Err((key.into(), format!("{size} declarations are more than {MAX_DECLARED}")));
    }
    unique("backups", declared.backups.iter().map(|s| s.name.as_str()))?;
    unique("snapshots", declared.snapshots.iter().map(|s| s.name.as_str()))?;
    unique("retention", declared.retention.iter().map(|s| s.name.as_str()))?;
    declared.backups.iter().try_for_each(|set| backup(set).map_err(|(key, problem)| (format!("backups {}: {key}", set.name), problem)))?;
    declared.snapshots.iter().try_for_each(|set| snapshot(set).map_err(|(key, problem)| (format!("snapshots {}: {key}", set.name), problem)))?;
    declared.retention.iter().try_for_each(|r| retention(r, declared).map_err(|(key, problem)| (format!("retention {}: {key}", r.name), problem)))?;
    declared.offboarded.iter().try_for_each(|o| offboarded(o).map_err(|(key, problem)| (format!("offboarded: {key}"), problem)))
}

type Checked = Result<(), (&'static str, String)>;

fn unique<'n>(key: &str, names: impl Iterator<Item = &'n str>) -> Result<(), (String, String)> {
    let mut seen = BTreeSet::new();
    for name in names {
        let plain = !name.is_empty() && name.len() <= 64 && name.chars().all(|c| c.is_alphanumeric() || matches!(c, ' ' | '.' | '-' | '_'));
        if !plain {
            return Err((key.into(), format!("{name:?} is no name, write 1 to 64 letters, digits, spaces, dots, dashes")));
        }
        if !seen.insert(name) {
            return Err((key.into(), format!("{name:?} is declared twice, give each its own name")));
        }
    }
    Ok(())
}

fn backup(set: &BackupSet) -> Checked {
    absolute("path", &set.path)?;
    schedule(set.every_hours, set.keep_days, set.keep_at_most_days, &set.time_zone)?;
    days("window_days", set.window_days)?;
    if !set.full_at.is_empty() && set.full_second().is_none() {
        return Err(("full_at", format!("{:?} is no time of day, write HH:MM in UTC, such as \"02:00\"", set.full_at)));
    }
    let files_only = [("full", &set.full), ("differential", &set.differential)];
    if let Some((key, _)) = files_only.into_iter().find(|(_, value)| !value.is_empty() && set.kind != BackupKind::Files) {
        return Err((key, format!("has no meaning for kind {}, remove it", set.kind.word())));
    }
    for (key, value, kind) in [("wal", &set.wal, BackupKind::PostgresqlBase), ("binlog", &set.binlog, BackupKind::MariadbFull)] {
        if value.is_empty() {
            continue;
        }
        if set.kind != kind {
            return Err((key, format!("belongs to kind {}, this is {}", kind.word(), set.kind.word())));
        }
        absolute(key, value)?;
    }
    match set.covers.iter().find(|c| !c.starts_with('/') && !matches!(c.as_str(), "postgresql" | "mariadb")) {
        Some(wrong) => Err(("covers", format!("{wrong:?} is neither an absolute path nor postgresql nor mariadb"))),
        None => Ok(()),
    }
}

fn snapshot(set: &SnapshotSet) -> Checked {
    schedule(set.every_hours, set.keep_days, set.keep_at_most_days, &set.time_zone)?;
    if set.kind != SnapshotKind::Lvm {
        return absolute("path", &set.path);
    }
    let plain =
        |part: &str| !part.is_empty() && !part.starts_with('.') && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '+'));
    match set.path.split_once('/') {
        Some((group, volume)) if plain(group) && plain(volume) => Ok(()),
        _ => Err(("path", format!("{:?} is not GROUP/VOLUME", set.path))),
    }
}

fn retention(limit: &RetentionLimit, declared: &Declared) -> Checked {
    days("limit_days", limit.limit_days)?;
    match (limit.path.is_empty(), limit.query.is_empty()) {
        (false, true) if limit.socket.is_empty() && limit.database.is_empty() => absolute("path", &limit.path),
        (false, true) => Err(("socket", "belongs to query, not to path: remove it and database".into())),
        (true, false) => {
            if !declared.databases.iter().any(|d| d.socket == limit.socket) {
                return Err(("socket", format!("{:?} is not the socket of a server named under databases", limit.socket)));
            }
            let first = limit.query.split_ascii_whitespace().next().unwrap_or_default().to_ascii_uppercase();
            if limit.query.len() > MAX_QUERY || limit.query.contains([';', '\0']) || !matches!(first.as_str(), "SELECT" | "WITH") {
                return Err(("query", format!("must be one SELECT of at most {MAX_QUERY} bytes without a semicolon")));
            }
            Ok(())
        }
        _ => Err(("path", "exactly one of path and query is needed".into())),
    }
}

fn offboarded(declared: &Offboarded) -> Checked {
    days("limit_days", declared.limit_days)?;
    if declared.paths.is_empty() {
        return Err(("paths", "names no path, say where the data was".into()));
    }
    declared.paths.iter().try_for_each(|path| absolute("paths", path))?;
    match (declared.tenant.is_empty(), declared.list.is_empty()) {
        (false, true) if !is_tenant(&declared.tenant) => Err(("tenant", format!("{:?} can't stand in a path", declared.tenant))),
        (false, true) if end_of(&declared.ended).is_none() => Err(("ended", format!("{:?} is no day, write YYYY-MM-DD", declared.ended))),
        (false, true) => Ok(()),
        (true, false) => {
            if let Some(path) = declared.paths.iter().find(|p| !p.contains(TENANT)) {
                return Err(("paths", format!("{path:?} must hold {TENANT}, since a list names the tenants")));
            }
            absolute("list", &declared.list)
        }
        _ => Err(("tenant", "exactly one of tenant (with ended) and list is needed".into())),
    }
}

fn schedule(every_hours: u32, keep: u32, at_most: u32, zone: &str) -> Checked {
    if !(1..=8784).contains(&every_hours) {
        return Err(("every_hours", format!("{every_hours} is not between 1 and 8784")));
    }
    days("keep_days", keep)?;
    days("keep_at_most_days", at_most)?;
    if at_most != 0 && at_most < keep {
        return Err(("keep_at_most_days", format!("{at_most} is less than keep_days, {keep}: nothing could satisfy both")));
    }
    match jiff::tz::TimeZone::get(zone) {
        Ok(_) => Ok(()),
        Err(_) => Err(("time_zone", format!("{zone:?} is not a known time zone, write one like UTC or Europe/Vienna"))),
    }
}

fn days(key: &'static str, value: u32) -> Checked {
    if value <= MAX_DAYS { Ok(()) } else { Err((key, format!("{value} is more than {MAX_DAYS}"))) }
}

fn absolute(key: &'static str, path: &str) -> Checked {
    if path.len() < 2 || !path.starts_with('/') || path.split('/').any(|part| part == "..") {
        return Err((key, format!("{path:?} is not an absolute path below /, without ..")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(yaml: &str) -> String {
        #[derive(Deserialize)]
        struct Whole {
            #[serde(default)]
            backups: Vec<BackupSet>,
            #[serde(default)]
            snapshots: Vec<SnapshotSet>,
            #[serde(default)]
            retention: Vec<RetentionLimit>,
            #[serde(default)]
            offboarded: Vec<Offboarded>,
        }
        let w: Whole = serde_saphyr::from_str(yaml).unwrap();
        let declared = Declared { backups: w.backups, snapshots: w.snapshots, retention: w.retention, offboarded: w.offboarded, ..Declared::default() };
        check(&declared).map_or_else(|(key, problem)| format!("{key}: {problem}"), |()| String::new())
    }

    #[test]
    fn what_can_not_be_meant_is_told_in_one_sentence() {
        for (yaml, expected) in [
            ("backups: [{name: db, path: /srv/b}]", ""),
            ("backups: [{name: db, path: /srv/b, full_at: \"02:00\", every_hours: 6, keep_at_most_days: 7}]", ""),
            ("backups: [{name: db, path: srv/b}]", "backups db: path: \"srv/b\" is not an absolute path below /, without .."),
            ("backups: [{name: db, path: /srv/../etc}]", "backups db: path: \"/srv/../etc\" is not an absolute path below /, without .."),
            ("backups: [{name: db, path: /srv/b, full_at: 2 am}]", "backups db: full_at: \"2 am\" is no time of day, write HH:MM in UTC, such as \"02:00\""),
            ("backups: [{name: db, path: /b1, full_at: \"24:00\"}]", "backups db: full_at: \"24:00\" is no time of day, write HH:MM in UTC, such as \"02:00\""),
            ("backups: [{name: db, path: /b1, wal: /w1}]", "backups db: wal: belongs to kind postgresql-base, this is files"),
            ("backups: [{name: db, path: /b1, kind: restic, full: x}]", "backups db: full: has no meaning for kind restic, remove it"),
            (
                "backups: [{name: db, path: /b1, keep_at_most_days: 3}]",
                "backups db: keep_at_most_days: 3 is less than keep_days, 7: nothing could satisfy both",
            ),
            (
                "backups: [{name: db, path: /b1, time_zone: Mars}]",
                "backups db: time_zone: \"Mars\" is not a known time zone, write one like UTC or Europe/Vienna",
            ),
            ("backups: [{name: db, path: /b1, covers: [mysql]}]", "backups db: covers: \"mysql\" is neither an absolute path nor postgresql nor mariadb"),
            ("backups: [{name: db, path: /b1}, {name: db, path: /b2}]", "backups: \"db\" is declared twice, give each its own name"),
            ("snapshots: [{name: s, kind: lvm, path: vg0}]", "snapshots s: path: \"vg0\" is not GROUP/VOLUME"),
            ("snapshots: [{name: s, kind: lvm, path: vg0/root}]", ""),
            ("retention: [{name: r}]", "retention r: path: exactly one of path and query is needed"),
            ("retention: [{name: r, path: /srv/in, limit_days: 9000}]", "retention r: limit_days: 9000 is more than 3660"),
            ("retention: [{name: r, socket: /s, query: SELECT 1}]", "retention r: socket: \"/s\" is not the socket of a server named under databases"),
            ("offboarded: [{tenant: acme, ended: soon, paths: [/srv/acme]}]", "offboarded: ended: \"soon\" is no day, write YYYY-MM-DD"),
            ("offboarded: [{tenant: ../etc, ended: 2026-01-01, paths: [/srv/x]}]", "offboarded: tenant: \"../etc\" can't stand in a path"),
            ("offboarded: [{list: /etc/t.csv, paths: [/srv/acme]}]", "offboarded: paths: \"/srv/acme\" must hold {tenant}, since a list names the tenants"),
            ("offboarded: [{list: /etc/t.csv, paths: [\"/srv/{tenant}\"]}]", ""),
        ] {
            assert_eq!(wrong(yaml), expected, "{yaml}");
        }
    }

    #[test]
    fn a_query_is_one_statement_that_reads() {
        use crate::model::declared::{DatabaseAccess, DatabaseEngine};
        let databases = vec![DatabaseAccess { engine: DatabaseEngine::Mariadb, socket: "/s/x".into(), user: "a".into() }];
        for (query, good) in
            [("SELECT min(at) FROM app.t", true), ("with x as (select 1) select 1", true), ("DELETE FROM t", false), ("SELECT 1; DROP TABLE t", false)]
        {
            let limit = RetentionLimit {
                name: "r".into(),
                path: String::new(),
                by: AgeBy::Mtime,
                socket: "/s/x".into(),
                database: String::new(),
                query: query.into(),
                limit_days: 30,
            };
            let declared = Declared { databases: databases.clone(), retention: vec![limit], ..Declared::default() };
            assert_eq!(check(&declared).is_ok(), good, "{query}");
        }
    }
}
