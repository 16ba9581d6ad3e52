//! How long it took until people who left had no way in.
//!
//! A way in is closed between two scans: the last that saw it and the first that did not. So the time is an interval, and its width is
//! what the scans can resolve. A scan that could not tell counts as neither; a host that was not scanned since is unknown.

use std::collections::HashMap;

use super::assemble::index::{Index, confirms};
use super::material::{ReportMeta, Transition};
use super::paper::{Leaver, People, Person, Revocation};
use crate::model::finding::Verdict;
use crate::model::report::Cadence;

/// The rules that look for ways in of people who left: of the first, a subject is a person; of the second, `PERSON: ROLE`.
pub const RULES: [&str; 2] = ["access-leaver-active", "access-leaver-database-role"];
/// How the words of a pass begin that leaves a way in open, because the limit is not over.
pub const WITHIN: &str = "within the limit, still: ";

/// Spans of the rules by position of the host and by person, lower case; of unknown database roles, by an empty person.
type Spans<'m> = HashMap<(usize, String), Vec<&'m Transition>>;

/// What one scan saw of one person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    Open,
    Gone,
    Unknown,
}

/// Every person who left by every host that was there afterwards, those of one person together, by last day and name.
pub fn each(index: &Index<'_>, people: &People, row: &mut dyn FnMut(Revocation)) {
    let end = index.material.period.end();
    let spans = spans(index);
    let scans: Vec<Vec<&ReportMeta>> =
        (0..index.hosts.len()).map(|h| index.reports(h).iter().copied().filter(|r| confirms(r, Cadence::Weekly) && r.finished < end).collect()).collect();
    for (person, left_at) in left(people, end) {
        for host in 0..index.hosts.len() {
            if let Some(found) = revocation(index, &spans, scans.get(host).map_or(&[], Vec::as_slice), (person, left_at), host) {
                row(found);
            }
        }
    }
}

/// People whose employment ended before the end of the period, by last day and name.
fn left(people: &People, end: i64) -> Vec<(&Person, i64)> {
    let mut out: Vec<(&Person, i64)> = people.people.iter().filter_map(|p| Some((p, p.left_at.filter(|at| *at <= end)?))).collect();
    out.sort_by_key(|(p, at)| (*at, &p.person));
    out
}

fn revocation(index: &Index<'_>, spans: &Spans<'_>, scans: &[&ReportMeta], (person, left_at): (&Person, i64), host: usize) -> Option<Revocation> {
    let start = index.material.period.start();
    let member = index.hosts.get(host)?;
    if member.retired_at.is_some_and(|at| at <= left_at) {
        return None;
    }
    let name = person.person.to_lowercase();
    let own = spans.get(&(host, name)).map_or(&[][..], Vec::as_slice);
    let unknown = spans.get(&(host, String::new())).map_or(&[][..], Vec::as_slice);
    let scans = scans.get(scans.partition_point(|r| r.finished < left_at)..).unwrap_or(&[]);
    let (mut ways, mut last_seen, mut first_gone) = (Vec::new(), None, None);
    for scan in scans {
        match seen(own, unknown, scan.finished, &mut ways) {
            Seen::Open => (last_seen, first_gone) = (Some(scan.finished), None),
            Seen::Gone => first_gone = first_gone.or(Some(scan.finished)),
            Seen::Unknown => (),
        }
    }
    // Of those who left earlier only what was still open in the period is told.
    if left_at <= start && last_seen.is_none_or(|at| at < start) {
        return None;
    }
    ways.sort_unstable();
    ways.dedup();
    Some(Revocation {
        person: person.person.clone(),
        left_at,
        host: member.id,
        name: member.name.clone(),
        ways,
        last_seen,
        first_gone,
        at_least: last_seen.map_or(0, |at| at.saturating_sub(left_at)),
        at_most: first_gone.map(|at| at.saturating_sub(left_at)),
        limit: index.material.revoke_limit,
        taken_out: first_gone.is_none() && member.retired_at.is_some_and(|at| at < index.material.period.end()),
    })
}

/// What a scan that ended at `at` saw of a person.
fn seen(own: &[&Transition], unknown: &[&Transition], at: i64, ways: &mut Vec<String>) -> Seen {
    let then = |spans: &[&Transition]| -> Vec<usize> {
        let holds = |t: &&Transition| t.since <= at && t.until.is_none_or(|u| u > at);
        spans.iter().enumerate().filter(|(_, t)| holds(t)).map(|(n, _)| n).collect()
    };
    let (mut open, mut told, mut doubtful) = (false, false, !then(unknown).is_empty());
    for span in then(own).into_iter().filter_map(|n| own.get(n)) {
        let active = RULES.first().is_some_and(|r| *span.rule == **r);
        match span.verdict {
            Verdict::Pass if span.message.starts_with(WITHIN) => open = true,
            Verdict::Fail | Verdict::Waived => open = true,
            Verdict::Pass | Verdict::NotApplicable => told |= active,
            Verdict::Unknown | Verdict::NotRun => doubtful = true,
        }
        if open && (span.verdict == Verdict::Fail || span.message.starts_with(WITHIN)) {
            ways.push(span.rule.to_string());
        }
    }
    match (open, told, doubtful) {
        (true, ..) => Seen::Open,
        (_, true, false) => Seen::Gone,
        _ => Seen::Unknown,
    }
}

fn spans<'m>(index: &Index<'m>) -> Spans<'m> {
    let mut out: Spans<'_> = HashMap::new();
    for span in &index.material.ways {
        let Some(host) = index.position(&span.host) else { continue };
        let person = match RULES.iter().position(|r| **r == *span.rule) {
            Some(0) => span.subject.to_lowercase(),
            Some(_) => match span.subject.split_once(": ") {
                Some((person, _)) => person.to_lowercase(),
                // A database that could not be read may hold anybody's role; that none was found is no doubt.
                None if span.verdict == Verdict::Unknown => String::new(),
                None => continue,
            },
            None => continue,
        };
        out.entry((host, person)).or_default().push(span);
    }
    out
}

/// What is kept in the paper: rows in which a way in was seen or can't be ruled out, and each person over all hosts.
pub fn summary(index: &Index<'_>, people: &People) -> (Vec<Leaver>, Vec<Revocation>) {
    let (mut leavers, mut rows): (Vec<Leaver>, Vec<Revocation>) = (Vec::new(), Vec::new());
    each(index, people, &mut |found| {
        fold(&mut leavers, &found);
        if !(found.last_seen.is_none() && found.first_gone.is_some()) {
            rows.push(found);
        }
    });
    (leavers, rows)
}

/// Adds what became of a person on one host to the same over all hosts; rows of one person must follow each other.
pub fn fold(leavers: &mut Vec<Leaver>, found: &Revocation) {
    let same = leavers.last().is_some_and(|l| l.person == found.person);
    if !same {
        let (person, left_at, limit) = (found.person.clone(), found.left_at, found.limit);
        leavers.push(Leaver { person, left_at, seen: 0, open: 0, unknown: 0, never: 0, at_least: 0, at_most: Some(0), limit });
    }
    let Some(leaver) = leavers.last_mut() else { return };
    leaver.seen += usize::from(found.last_seen.is_some());
    leaver.open += usize::from(found.open());
    leaver.unknown += usize::from(found.unknown());
    leaver.never += usize::from(found.last_seen.is_none() && found.first_gone.is_some());
    leaver.at_least = leaver.at_least.max(found.at_least);
    leaver.at_most = leaver.at_most.zip(found.at_most).map(|(a, b)| a.max(b));
}
