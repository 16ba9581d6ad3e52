//! What the runs of a set say together: schedule, reach, encryption.

use super::{FullDay, Looking, Made, Set};
use crate::model::day::DAY;
use crate::model::gap::reason;
use crate::model::kept::{BackupKind, BackupSet};

/// Names of backups that are listed.
const NAMED: usize = 20;
/// A full backup may begin so much before its time, seconds: clocks differ.
const EARLY: i64 = 300;

pub(super) fn fill(looking: &mut Looking<'_>, declared: &BackupSet, set: &mut Set, made: &[Made]) {
    let real: Vec<&Made> = made.iter().filter(|m| m.is_real()).collect();
    set.count = real.len() as u64;
    set.bytes = real.iter().map(|m| m.run.bytes).fold(0, u64::saturating_add);
    if let Some(newest) = real.last() {
        (set.newest_at, set.newest_name) = (Some(newest.run.at), newest.run.name.clone());
    }
    if let Some(oldest) = real.first() {
        (set.oldest_at, set.oldest_name) = (Some(oldest.run.at), oldest.run.name.clone());
    }
    let from = looking.now - i64::from(declared.keep_days.max(1)) * DAY;
    let pause = real.windows(2).filter_map(|pair| match pair {
        [before, after] if after.run.at >= from => Some((after.run.at - before.run.at.max(from), before.run.at.max(from))),
        _ => None,
    });
    if let Some((seconds, began)) = pause.max() {
        (set.longest_pause_seconds, set.longest_pause_from) = (Some(seconds), Some(began));
    }
    set.fulls = full_days(declared, &real, from, looking.now);
    encryption(looking, declared, set, &real);
}

/// The days within the window on which a full backup was due, from the first backup on.
fn full_days(declared: &BackupSet, real: &[&Made], from: i64, now: i64) -> Vec<FullDay> {
    let (Some(second), Some(oldest)) = (declared.full_second(), real.first().map(|m| m.run.at)) else { return Vec::new() };
    let fulls: Vec<&&Made> = real.iter().filter(|m| matches!(m.run.variety.as_str(), "full" | "single")).collect();
    let mut out = Vec::new();
    let mut due = from.max(oldest).div_euclid(DAY) * DAY + second;
    while due <= now {
        if due >= from.max(oldest - EARLY) {
            let made = fulls.iter().find(|m| (due - EARLY..due + DAY - EARLY).contains(&m.run.at));
            out.push(FullDay { due_at: due, made_at: made.map(|m| m.run.at), start_known: made.is_none_or(|m| m.run.at_from != "change") });
        }
        due += DAY;
    }
    out
}

fn encryption(looking: &mut Looking<'_>, declared: &BackupSet, set: &mut Set, real: &[&Made]) {
    if matches!(declared.kind, BackupKind::Restic | BackupKind::Borg) {
        return;
    }
    let plain: Vec<&&Made> = real.iter().rev().filter(|m| m.run.encrypted == "no").collect();
    set.plaintext_count = plain.len() as u64;
    set.plaintext = plain.iter().take(NAMED).map(|m| m.run.name.clone()).collect();
    let unknown: Vec<&&Made> = real.iter().filter(|m| m.run.encrypted == "unknown").collect();
    if let Some(last) = unknown.last().filter(|_| declared.encrypted && set.storage_encrypted != "yes") {
        let detail = format!("whether {} of the backups are encrypted can't be told from their first bytes, such as {}", unknown.len(), last.run.name);
        looking.gap("sets.plaintext_count", &declared.name, reason::UNSUPPORTED, detail, "Show by other evidence how they are encrypted.");
    }
}
