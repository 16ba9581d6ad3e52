//! How one entry stands at one second.

use super::entry::Entry;
use super::kind::{Deadline, RecordType, Shape};
use super::standing::State;
use super::value::{DAY, Moment, until, written};

/// A state and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reading {
    pub state: State,
    pub message: String,
}

/// What clocks say about an entry: when something must be done.
struct Clock<'t> {
    /// First second at which it was not done in time.
    over: i64,
    /// When it was done, its first second.
    done: Option<i64>,
    text: &'t str,
}

/// How an entry stands at `at`; `others` are the other open entries of its register then.
pub(super) fn read(kind: &RecordType, entry: &Entry, others: &[Entry], at: i64) -> Reading {
    let mut found: Vec<(State, String)> = Vec::new();
    for refused in kind.refused.iter().filter(|r| r.values.iter().any(|v| v == entry.value(&r.field))) {
        found.push((State::Refused, format!("{} is {}: {}", refused.field, entry.value(&refused.field), refused.text)));
    }
    found.extend(conflicts(kind, entry, others).into_iter().map(|text| (State::Refused, text)));
    let missing = entry.missing(kind);
    if !missing.is_empty() {
        found.push((State::Incomplete, format!("{} {} empty", missing.join(", "), if missing.len() == 1 { "is" } else { "are" })));
    }
    let remind = i64::from(kind.remind_days).saturating_mul(DAY);
    if let Some(end) = expiry(kind, entry) {
        if at >= end {
            found.push((State::Expired, format!("it was valid until {}", until(end))));
        } else if at >= end.saturating_sub(remind) {
            found.push((State::Due, format!("it is valid until {}", until(end))));
        }
    }
    if let Some(over) = renewal(kind, entry) {
        if at >= over {
            found.push((State::Overdue, format!("it had to be renewed by {}", until(over))));
        } else if at >= over.saturating_sub(remind) {
            found.push((State::Due, format!("it is to be renewed by {}", until(over))));
        }
    }
    for clock in kind.deadlines.iter().filter_map(|d| clock(kind, d, entry)) {
        match clock.done {
            Some(done) if done > clock.over => found.push((State::Late, format!("{}: done on {}, due by {}", clock.text, written(done), until(clock.over)))),
            Some(_) => {}
            None if at >= clock.over => found.push((State::Overdue, format!("{}: not done, due by {}", clock.text, until(clock.over)))),
            None if at >= clock.over.saturating_sub(remind) => found.push((State::Due, format!("{}: due by {}", clock.text, until(clock.over)))),
            None => {}
        }
    }
    let Some(state) = found.iter().map(|(state, _)| *state).max() else {
        let message = match renewal(kind, entry) {
            Some(over) => format!("recorded by {} on {}, to be renewed by {}", entry.added.by, written(entry.added.at), until(over)),
            None => format!("recorded by {} on {}", entry.added.by, written(entry.added.at)),
        };
        return Reading { state: State::Current, message };
    };
    // The worst first: it names the state.
    found.sort_by_key(|(state, _)| std::cmp::Reverse(*state));
    Reading { state, message: found.into_iter().map(|(_, text)| text).collect::<Vec<_>>().join("; ") }
}

/// Seconds at which time alone may change how an entry stands.
pub(super) fn turns(kind: &RecordType, entry: &Entry) -> Vec<i64> {
    let remind = i64::from(kind.remind_days).saturating_mul(DAY);
    let clocks = kind.deadlines.iter().filter_map(|d| clock(kind, d, entry)).map(|c| c.over);
    let ends = clocks.chain(expiry(kind, entry)).chain(renewal(kind, entry));
    ends.flat_map(|end| [end, end.saturating_sub(remind)]).collect()
}

/// A deadline of an entry as people see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// What must be done, a clause.
    pub text: String,
    /// The first second at which it was not done in time, Unix.
    pub over: i64,
    /// When it was done, Unix seconds.
    pub done: Option<i64>,
}

/// Every deadline of an entry that began to run.
pub fn deadlines(kind: &RecordType, entry: &Entry) -> Vec<Due> {
    kind.deadlines.iter().filter_map(|d| clock(kind, d, entry)).map(|c| Due { text: c.text.into(), over: c.over, done: c.done }).collect()
}

/// Deadlines that run and whose work is not done, by id and text.
pub(super) fn running<'t>(kind: &'t RecordType, entry: &Entry) -> Vec<&'t Deadline> {
    kind.deadlines.iter().filter(|d| clock(kind, d, entry).is_some_and(|c| c.done.is_none())).collect()
}

fn moment(kind: &RecordType, entry: &Entry, field: &str) -> Option<Moment> {
    Moment::of(kind.field(field)?.kind, entry.value(field))
}

/// The first second at which it does not count any more.
fn expiry(kind: &RecordType, entry: &Entry) -> Option<i64> {
    Some(moment(kind, entry, kind.expires.as_deref()?)?.after_days(0))
}

/// The first second at which an attestation should have been renewed.
fn renewal(kind: &RecordType, entry: &Entry) -> Option<i64> {
    if kind.shape != Shape::Attestation {
        return None;
    }
    let days = kind.cadence_days?;
    match &kind.dated {
        Some(field) => Some(moment(kind, entry, field)?.after_days(days)),
        None => Some(Moment::Second(entry.added.at).after_days(days)),
    }
}

fn clock<'t>(kind: &RecordType, deadline: &'t Deadline, entry: &Entry) -> Option<Clock<'t>> {
    if deadline.unless.iter().any(|(field, values)| values.iter().any(|v| v == entry.value(field))) {
        return None;
    }
    let from = moment(kind, entry, &deadline.from)?;
    let mut over = match (deadline.within_hours, deadline.within_days, deadline.within_months) {
        (Some(hours), _, _) => from.after_hours(hours),
        (_, Some(days), _) => from.after_days(days),
        (_, _, months) => from.after_months(months?),
    };
    if let Some(longer) = &deadline.longer
        && moment(kind, entry, &longer.when).is_some_and(|told| told.start() < over)
    {
        over = from.after_months(longer.within_months);
    }
    Some(Clock { over, done: moment(kind, entry, &deadline.done).map(Moment::start), text: &deadline.text })
}

/// What other entries of the same subject say otherwise.
fn conflicts(kind: &RecordType, entry: &Entry, others: &[Entry]) -> Vec<String> {
    let mut out = Vec::new();
    for other in others.iter().filter(|o| o.id != entry.id && super::people::same(&o.subject, &entry.subject)) {
        for field in &kind.conflicts {
            let (own, theirs) = (entry.value(field), other.value(field));
            if !own.is_empty() && !theirs.is_empty() && !super::people::same(own, theirs) {
                out.push(format!("{field} is {own}, and entry {} of the same name says {theirs}", other.short()));
            }
        }
    }
    out
}
