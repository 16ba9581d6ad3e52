//! Logs from which any moment can be restored, beside the base backups that they go on from.

use super::{Log, Looking, Made, base, binlog, mariadb, wal};
use crate::model::day::DAY;
use crate::model::gap::reason;
use crate::model::kept::BackupSet;

/// Base backups that are held against the logs, the newest.
const BASES: usize = 64;

/// A base backup and where it begins and ends in the log, by number of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Start {
    pub name: String,
    /// When it was complete: from then on moments can be restored.
    pub at: i64,
    pub first: u64,
    pub last: u64,
}

pub(super) fn look(looking: &mut Looking<'_>, declared: &BackupSet, made: &[Made]) {
    let real = || made.iter().rev().filter(|m| m.is_real() && m.run.variety != "differential").take(BASES);
    if !declared.wal.is_empty() {
        let bases: Vec<(&Made, Option<base::Base>)> = real().map(|m| (m, base::position(looking.host, &m.path))).collect();
        let unplaced = unplaced(bases.iter().filter(|(_, b)| b.is_none()).map(|(m, _)| m.run.name.as_str()));
        let known = bases.into_iter().filter_map(|(m, b)| Some((m, b?))).collect();
        let log = wal::look(looking, declared, known);
        take(looking, log, &unplaced);
    }
    if !declared.binlog.is_empty() {
        let chosen: Vec<&Made> = real().collect();
        let bases: Vec<(&Made, Option<(String, u64)>)> = chosen.into_iter().map(|m| (m, mariadb::binlog(looking, m))).collect();
        let unplaced = unplaced(bases.iter().filter(|(_, b)| b.is_none()).map(|(m, _)| m.run.name.as_str()));
        let known = bases.into_iter().filter_map(|(m, b)| Some((m, b?))).collect();
        let log = binlog::look(looking, declared, known);
        take(looking, log, &unplaced);
    }
}

fn unplaced<'n>(names: impl Iterator<Item = &'n str>) -> String {
    names.take(3).collect::<Vec<_>>().join(", ")
}

/// An encrypted backup does not tell where in the log it ends: unless another one is enough, what can be restored is not known.
fn take(looking: &mut Looking<'_>, mut log: Log, unplaced: &str) {
    let enough = log.restorable_since.is_some_and(|since| looking.now - since >= i64::from(log.window_days) * DAY);
    if !unplaced.is_empty() && !enough {
        let detail = format!("{unplaced}: where in the log it ends can't be read");
        let remedy = "Keep the manifest (PostgreSQL) or the checkpoints (MariaDB) beside it in plain.";
        looking.gap("logs.restorable_since", &log.subject, reason::UNSUPPORTED, detail, remedy);
        log.listed = false;
    }
    looking.into.logs.push(log);
}

/// The oldest base from which no file is missing up to the last one.
pub(super) fn restorable(bases: &[Start], last_missing: Option<u64>, last: u64) -> Option<&Start> {
    bases.iter().filter(|b| last_missing.is_none_or(|m| b.first > m) && b.last <= last).min_by_key(|b| b.at)
}
