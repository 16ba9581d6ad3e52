//! Runs of a set of files: when each was made, what it is, whether it counts.

use jiff::tz::TimeZone;

use super::collect::{self, Candidate};
use super::named::{self, Named};
use super::{Looking, Made, Run, Set};
use crate::host::Host;
use crate::host::archive::{Format, HEAD, recognise};
use crate::model::day::DAY;
use crate::model::gap::reason;
use crate::model::kept::BackupSet;
use crate::model::pattern;

/// Newest files whose first bytes are read; what older ones are is taken from these.
const HEADS: usize = 2000;
/// A name may be so much later than the last change, seconds: clocks of two machines.
const SKEW: i64 = 600;
/// A day in a name begins and ends somewhere on earth, seconds.
const ZONES: i64 = 14 * 3600;

/// Every run, oldest first.
pub(super) fn look(looking: &mut Looking<'_>, declared: &BackupSet, set: &mut Set, whole: &dyn Fn(&str) -> bool) -> Vec<Made> {
    let zone = TimeZone::get(&declared.time_zone).unwrap_or(TimeZone::UTC);
    let mut found = collect::collect(looking.host, &declared.path, &zone, whole);
    set.present = found.present;
    looking.unread(&declared.name, &found.errors);
    if found.cut {
        looking.blind.insert(declared.name.clone());
        for path in ["sets", "newest"] {
            let detail = format!("{}: more files or deeper folders than are looked at", declared.path);
            looking.gap(path, &declared.name, reason::LIMIT_REACHED, detail, "Declare a pattern that matches the backups alone.");
        }
    }
    found.candidates.sort_by_key(|c| std::cmp::Reverse(c.modified));
    let mut made: Vec<Made> = Vec::new();
    for (index, candidate) in found.candidates.into_iter().enumerate() {
        let format = (index < HEADS).then(|| head(looking, &declared.name, &candidate)).flatten();
        made.push(one(looking.host, declared, candidate, format, &zone, looking.now));
    }
    lone_texts(&mut made);
    made.sort_by(|a, b| (a.run.at, &a.run.name).cmp(&(b.run.at, &b.run.name)));
    set.newer_but_none = newer(&made, &found.aside);
    made
}

fn head(looking: &mut Looking<'_>, set: &str, candidate: &Candidate) -> Option<Format> {
    if candidate.main.is_empty() {
        return Some(recognise(&[]));
    }
    match looking.host.read_head(&candidate.main, HEAD) {
        Ok(head) => Some(recognise(&head)),
        Err(e) => {
            looking.unread(set, &[e]);
            None
        }
    }
}

fn one(host: &Host, declared: &BackupSet, candidate: Candidate, format: Option<Format>, zone: &TimeZone, now: i64) -> Made {
    // The part of the path that carries the date.
    let named = candidate.name.rsplit('/').find_map(|part| named::in_name(part, zone));
    let born = host.born(&candidate.path).filter(|_| !candidate.folder);
    let time = time(named, born, candidate.modified);
    let last = candidate.name.rsplit('/').next().unwrap_or_default();
    let mut not_real = match format.map(|f| f.word) {
        Some("empty") => "it is empty",
        Some("zeros") => "it begins with zeros only",
        _ => "",
    };
    if time.at > now + SKEW {
        not_real = "its time lies ahead of the clock";
    }
    Made {
        run: Run {
            subject: format!("{} {}", declared.name, candidate.name),
            set: declared.name.clone(),
            variety: variety(declared, last).into(),
            at: time.at,
            at_from: time.from.into(),
            named_at: named.map(|n| n.at),
            modified_at: candidate.modified,
            time_note: time.note,
            bytes: candidate.bytes,
            format: format.map_or("unknown", |f| f.word).into(),
            encrypted: match format.and_then(|f| f.encrypted) {
                Some(true) => "yes",
                Some(false) => "no",
                None => "unknown",
            }
            .into(),
            not_real: not_real.into(),
            name: candidate.name.clone(),
        },
        shape: named::shape(last, zone),
        path: candidate.path,
        folder: candidate.folder,
        main: candidate.main,
        main_bytes: candidate.main_bytes,
    }
}

fn variety(declared: &BackupSet, name: &str) -> &'static str {
    let is = |wanted: &str| !wanted.is_empty() && pattern::matches(wanted, name);
    match (declared.full.is_empty(), declared.differential.is_empty()) {
        (true, true) => "single",
        _ if is(&declared.differential) => "differential",
        (true, false) => "full",
        _ if is(&declared.full) => "full",
        (false, true) => "differential",
        (false, false) => "other",
    }
}

struct Time {
    at: i64,
    from: &'static str,
    note: String,
}

/// When a backup began. What was written last can't be newer than its last change, whatever its name says.
fn time(named: Option<Named>, born: Option<i64>, modified: i64) -> Time {
    // A copy is born after the last change that it inherits.
    let (start, from) = match born {
        Some(born) if born <= modified => (born, "birth"),
        _ => (modified, "change"),
    };
    let plain = |note: &str| Time { at: start, from, note: note.into() };
    let Some(named) = named else { return plain("") };
    if named.day_only {
        if start < named.at - ZONES {
            return plain("it was last changed before the day in its name");
        }
        if start > named.at + DAY + ZONES {
            return Time { at: named.at, from: "name", note: "it was changed after the day in its name".into() };
        }
        return plain("");
    }
    if named.at > modified + SKEW {
        return plain("it was last changed before the time in its name");
    }
    let note = if modified - named.at > DAY { "it was changed more than a day after the time in its name" } else { "" };
    Time { at: named.at, from: "name", note: note.into() }
}

/// A note among archives is no backup; where most files are text (tables, directories), each is one.
fn lone_texts(made: &mut [Made]) {
    let texts = made.iter().filter(|m| m.run.format == "text").count();
    if texts * 2 >= made.len() {
        return;
    }
    for one in made.iter_mut().filter(|m| m.run.format == "text" && m.is_real()) {
        one.run.not_real = "it is a text among archives".into();
    }
}

/// The newest thing that is no backup, if it is newer than the newest backup.
fn newer(made: &[Made], aside: &[collect::Aside]) -> String {
    let newest = made.iter().filter(|m| m.is_real()).map(|m| m.run.modified_at).max().unwrap_or(i64::MIN);
    let unreal = made.iter().filter(|m| !m.is_real()).map(|m| (m.run.modified_at, m.run.name.clone(), m.run.not_real.clone()));
    let beside = aside.iter().map(|a| (a.modified, a.name.clone(), format!("it is {}", a.what)));
    match unreal.chain(beside).filter(|(at, ..)| *at > newest).max() {
        Some((_, name, why)) => format!("{name}: {why}"),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_tells_when_a_backup_began() {
        let at = |name: &str, born, modified| {
            let time = time(named::in_name(name, &TimeZone::UTC), born, modified);
            (time.at, time.from, time.note.is_empty())
        };
        // 2026-11-27T02:00:01Z.
        let named = 1_795_744_801;
        assert_eq!(at("x-2026-11-27_02-00-01", None, named + 900), (named, "name", true));
        assert_eq!(at("x-2026-11-27", Some(named), named + 900), (named, "birth", true));
        assert_eq!(at("x-2026-11-27", Some(named + 5000), named + 900), (named + 900, "change", true));
        // A new name for an old file does not make it new; a copy does not make it old.
        assert_eq!(at("x-2026-11-27_02-00-01", None, named - 5 * DAY), (named - 5 * DAY, "change", false));
        assert_eq!(at("x-2026-11-27", None, named - 5 * DAY), (named - 5 * DAY, "change", false));
        assert_eq!(at("x-2026-11-27_02-00-01", None, named + 5 * DAY), (named, "name", false));
        assert_eq!(at("x-2026-11-27", None, named + 5 * DAY), (named - 7201, "name", false));
        assert_eq!(at("x", None, 5), (5, "change", true));
    }
}
