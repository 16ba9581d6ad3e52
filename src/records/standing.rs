//! How records stand over time: what is current, due, overdue, missing, and since when.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Serialize;

use super::entry::{Entry, entries};
use super::event::{Action, Recorded, ordered};
use super::kind::{Per, RecordType, Shape};
use super::people::{People, folded};
use super::reading::{Reading, read, turns};
use super::value::{DAY, until, written};
use crate::model::finding::Verdict;
use crate::model::ids::{Digest, RandomId};

/// How an entry or a duty stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Recorded, complete and in time.
    Current,
    /// The same, and to be renewed soon.
    Due,
    /// Not told: the list of whom it is due for is not here.
    Unknown,
    /// Nobody recorded it.
    Missing,
    /// A field that must be filled in is empty.
    Incomplete,
    /// Done, after the time it had.
    Late,
    /// Not renewed or not done in time.
    Overdue,
    /// Its validity ended.
    Expired,
    /// It says something that must not be.
    Refused,
}

impl State {
    /// The verdict that it amounts to. A missing record is `not run`: nobody has said it, which is no failure seen and never a pass.
    pub const fn verdict(self) -> Verdict {
        match self {
            Self::Current | Self::Due => Verdict::Pass,
            Self::Unknown => Verdict::Unknown,
            Self::Missing => Verdict::NotRun,
            Self::Incomplete | Self::Late | Self::Overdue | Self::Expired | Self::Refused => Verdict::Fail,
        }
    }

    /// The words people see.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::Due => "due soon",
            Self::Unknown => "unknown",
            Self::Missing => "no record",
            Self::Incomplete => "incomplete",
            Self::Late => "late",
            Self::Overdue => "overdue",
            Self::Expired => "expired",
            Self::Refused => "not allowed",
        }
    }
}

/// How one entry or duty stood over a span of time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Standing {
    /// Record type.
    pub record: String,
    /// The entry; `None`: the duty as a whole, or a list.
    pub entry: Option<RandomId>,
    /// Person, group, site or matter; empty: the company.
    pub subject: String,
    /// How it stood.
    pub state: State,
    /// From this second on, Unix.
    pub since: i64,
    /// Until this second, exclusive; `None`: still so at the end of what was asked.
    pub until: Option<i64>,
    /// One sentence.
    pub message: String,
    /// The statements that it rests on, in their order.
    pub events: Vec<Digest>,
}

/// How records stood over `[from, to)`, Unix seconds: for each type its duties and entries, each as spans that follow each other, clipped to
/// the period. `events` stand in the order of the ledger. Without `people`, whom a duty per person is due for is unknown. What
/// decisions say (waivers, handling) is laid over findings and has no standing.
///
/// - An attestation of the company is one duty, met by any entry that counts; so is one of each person, group and site. Of
///   groups and sites those have a duty that were ever named; it ends when the newest entry is closed.
/// - An entry of a register stands from when it was added to when it was closed.
/// - A register is complete only when somebody signs that it is, by its cadence.
pub fn standings(types: &[RecordType], events: &[Recorded], people: Option<&People>, from: i64, to: i64) -> Vec<Standing> {
    let mut out = Vec::new();
    for kind in types.iter().filter(|k| k.shape != Shape::Decision) {
        let view = View::new(kind, events, people, from, to);
        match kind.shape {
            Shape::Register => view.register(&mut out),
            _ => view.attestation(&mut out),
        }
    }
    out
}

/// What wants a person's hand: each duty and entry that does not stand as it must at `at`, and what will not within so many days, at the
/// second from which it will not. The worst first, then what comes first.
pub fn due(types: &[RecordType], events: &[Recorded], people: Option<&People>, at: i64, within_days: u32) -> Vec<Standing> {
    let to = at.saturating_add(i64::from(within_days) * DAY).saturating_add(1);
    let mut seen: BTreeSet<(String, String, Option<RandomId>)> = BTreeSet::new();
    let mut out: Vec<Standing> = standings(types, events, people, at, to).into_iter().filter(|s| s.state != State::Current).collect();
    out.retain(|s| seen.insert((s.record.clone(), folded(&s.subject), s.entry)));
    out.sort_by_key(|s| (s.since > at, std::cmp::Reverse(s.state), s.since));
    out
}

/// What stands at one second: entry, state and why, and the events it rests on.
type Told = (Option<RandomId>, Reading, Vec<Digest>);

struct View<'a> {
    kind: &'a RecordType,
    own: Vec<&'a Recorded>,
    /// Events of one subject, sign-offs left out, with the subject as first written.
    by_subject: BTreeMap<String, (&'a str, Vec<&'a Recorded>)>,
    people: Option<&'a People>,
    from: i64,
    to: i64,
}

impl<'a> View<'a> {
    fn new(kind: &'a RecordType, events: &'a [Recorded], people: Option<&'a People>, from: i64, to: i64) -> Self {
        let own = ordered(events.iter().filter(|r| r.event.record == kind.id));
        let added = own.iter().filter(|r| r.event.action == Action::Add);
        let subjects: BTreeMap<RandomId, &str> = added.map(|r| (r.event.entry, r.event.subject.as_str())).collect();
        let mut by_subject: BTreeMap<String, (&str, Vec<&Recorded>)> = BTreeMap::new();
        for recorded in &own {
            if let Some(subject) = subjects.get(&recorded.event.entry) {
                by_subject.entry(folded(subject)).or_insert_with(|| (subject, Vec::new())).1.push(recorded);
            }
        }
        Self { kind, own, by_subject, people, from, to }
    }

    fn attestation(&self, out: &mut Vec<Standing>) {
        if self.kind.per == Per::Company {
            return self.duty("", |_| Some(missing("nobody recorded it")), out);
        }
        self.whole(out);
        let people = self.people.iter().filter(|_| self.kind.per == Per::Person).flat_map(|p| p.names());
        let mut subjects: BTreeMap<String, &str> = people.map(|name| (folded(name), name)).collect();
        subjects.extend(self.by_subject.iter().map(|(key, (subject, _))| (key.clone(), *subject)));
        for subject in subjects.values() {
            let is_due = |at: i64| self.people.is_some_and(|p| at >= p.known_from && p.employs(subject, at));
            let nothing = |at: i64| (self.kind.per == Per::Person && is_due(at)).then(|| missing("nobody recorded it"));
            self.duty(subject, nothing, out);
        }
    }

    /// The duty as a whole, where nobody can say for whom it is due.
    fn whole(&self, out: &mut Vec<Standing>) {
        let told = |at: i64| {
            let unknown = |message: &str| Some((None, Reading { state: State::Unknown, message: message.into() }, Vec::new()));
            match (self.kind.per, self.people) {
                (Per::Person, Some(people)) if at >= people.known_from && people.employs_anybody(at) => None,
                (Per::Person, Some(people)) if at >= people.known_from => unknown("the list of people names nobody, so it can't be told for whom it is due"),
                (Per::Person, _) => unknown("no list of people is here, so it can't be told for whom it is due"),
                (per, _) if entries(self.own.iter().copied(), at).iter().all(|e| e.withdrawn.is_some()) => {
                    let what = if per == Per::Site { "site" } else { "group" };
                    Some((None, missing(&format!("no {what} was ever named")), Vec::new()))
                }
                _ => None,
            }
        };
        let points = self.own.iter().map(|r| r.event.at).chain(self.people.iter().flat_map(|p| p.changes())).collect();
        self.sweep("", points, told, out);
    }

    /// The spans of one duty; `nothing` says how it stands at a second at which no entry counts.
    fn duty(&self, subject: &str, nothing: impl Fn(i64) -> Option<Reading>, out: &mut Vec<Standing>) {
        let own: &[&Recorded] = self.by_subject.get(&folded(subject)).map_or(&[], |(_, events)| events);
        let is_over = |newest: &Entry| matches!(self.kind.per, Per::Group | Per::Site) && newest.closed.is_some();
        let applies = |at: i64| match (self.kind.per, self.people) {
            (Per::Person, Some(people)) if at >= people.known_from => people.employs(subject, at),
            _ => true,
        };
        let told = |at: i64| {
            if !applies(at) {
                return None;
            }
            let mut live = entries(own.iter().copied(), at);
            live.retain(|e| e.withdrawn.is_none());
            let Some(newest) = live.last() else { return nothing(at).map(|reading| (None, reading, Vec::new())) };
            if is_over(newest) {
                return None;
            }
            // What counts beats what is newer; of those that count the best, of those that don't the newest.
            let readings = live.iter().rev().map(|e| (e, read(self.kind, e, &[], at)));
            let best = readings
                .min_by_key(|(_, r)| if matches!(r.state, State::Current | State::Due) { Some(r.state) } else { None }.map_or((1, State::Current), |s| (0, s)));
            best.map(|(entry, reading)| (Some(entry.id), reading, entry.events.clone()))
        };
        let people = self.people.iter().filter(|_| self.kind.per == Per::Person).flat_map(|p| p.changes_of(subject));
        self.sweep(subject, self.points(own).into_iter().chain(people).collect(), told, out);
    }

    fn register(&self, out: &mut Vec<Standing>) {
        let added: Vec<&Recorded> = self.own.iter().copied().filter(|r| r.event.action == Action::Add).collect();
        for first in added {
            let of_subject: &[&Recorded] = self.by_subject.get(&folded(&first.event.subject)).map_or(&[], |(_, events)| events);
            let of_entry: Vec<&Recorded> = of_subject.iter().copied().filter(|r| r.event.entry == first.event.entry).collect();
            // What another entry of the same name says may be a conflict.
            let beside: &[&Recorded] = if self.kind.conflicts.is_empty() { &[] } else { of_subject };
            let mut points = self.points(&of_entry);
            points.extend(beside.iter().map(|r| r.event.at));
            let told = |at: i64| {
                let entry = entries(of_entry.iter().copied(), at).into_iter().next().filter(Entry::is_open)?;
                let others: Vec<Entry> = entries(beside.iter().copied(), at).into_iter().filter(Entry::is_open).collect();
                Some((Some(entry.id), read(self.kind, &entry, &others, at), entry.events))
            };
            self.sweep(&first.event.subject, points, told, out);
        }
        self.list(out);
    }

    /// Whether somebody signed that the list is complete.
    fn list(&self, out: &mut Vec<Standing>) {
        let Some(days) = self.kind.cadence_days else { return };
        let (life, remind) = (i64::from(days) * DAY, i64::from(self.kind.remind_days) * DAY);
        let signed: Vec<(usize, &Recorded)> = self.own.iter().copied().enumerate().filter(|(_, r)| r.event.action == Action::SignOff).collect();
        let told = |at: i64| {
            let Some((place, last)) = signed.iter().rev().find(|(_, r)| r.event.at <= at) else {
                return Some((None, missing("nobody has signed that the list is complete"), Vec::new()));
            };
            let before = entries(self.own.iter().copied().take(*place), last.event.at);
            let count = match before.iter().filter(|e| e.withdrawn.is_none()).count() {
                0 => "no entries".to_string(),
                1 => "1 entry".to_string(),
                n => format!("{n} entries"),
            };
            let over = last.event.at.saturating_add(life);
            let state = if at >= over {
                State::Overdue
            } else if at >= over.saturating_sub(remind) {
                State::Due
            } else {
                State::Current
            };
            let message = format!("{count}, signed as complete by {} on {}, to be signed again by {}", last.event.by, written(last.event.at), until(over));
            Some((None, Reading { state, message }, vec![last.digest]))
        };
        let points = signed.iter().flat_map(|(_, r)| [r.event.at, r.event.at.saturating_add(life), r.event.at.saturating_add(life - remind)]).collect();
        self.sweep("", points, told, out);
    }

    /// Seconds at which entries of these events may change: each event, and what clocks run to after it.
    fn points(&self, own: &[&Recorded]) -> Vec<i64> {
        let mut points = Vec::new();
        for recorded in own {
            points.push(recorded.event.at);
            for entry in entries(own.iter().copied(), recorded.event.at) {
                points.extend(turns(self.kind, &entry));
            }
        }
        points
    }

    /// Asks at each of the points what stands, and joins what stays the same.
    fn sweep(&self, subject: &str, mut points: Vec<i64>, told: impl Fn(i64) -> Option<Told>, out: &mut Vec<Standing>) {
        points.retain(|p| self.from < *p && *p < self.to);
        points.push(self.from);
        points.sort_unstable();
        points.dedup();
        let mut last: Option<(i64, Told)> = None;
        for point in points.into_iter().filter(|_| self.from < self.to) {
            let now = told(point);
            if last.as_ref().map(|(_, told)| told) == now.as_ref() {
                continue;
            }
            if let Some((since, before)) = last.take() {
                out.push(self.standing(subject, since, Some(point), before));
            }
            last = now.map(|told| (point, told));
        }
        if let Some((since, told)) = last {
            out.push(self.standing(subject, since, None, told));
        }
    }

    fn standing(&self, subject: &str, since: i64, until: Option<i64>, (entry, reading, events): Told) -> Standing {
        let Reading { state, message } = reading;
        Standing { record: self.kind.id.clone(), entry, subject: subject.into(), state, since, until, message, events }
    }
}

fn missing(message: &str) -> Reading {
    Reading { state: State::Missing, message: message.into() }
}

#[cfg(test)]
mod tests;
