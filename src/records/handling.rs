//! What people say about failures: who deals with one, until when, why it came about, how it ended.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use super::entry::{Entry, entries};
use super::event::{Recorded, ordered};
use super::kind::FieldType;
use super::scope::{EVERY, Scope};
use super::types::HANDLING;
use super::value::{DAY, Moment};
use crate::model::finding::Severity;
use crate::model::ids::{Digest, RandomId};

/// Longest time that a failure may be given from its beginning, days.
pub const MAX_DUE_DAYS: i64 = 3_660;

/// What is said of one finding. Each text is the latest that anybody gave; empty: nobody did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Handling {
    /// Who deals with it.
    pub owner: String,
    /// First second after the day by which it is to be mended, Unix.
    pub due: Option<i64>,
    /// Why it came about.
    pub cause: String,
    /// How it was ended.
    pub resolution: String,
    /// Anything else.
    pub note: String,
    /// Last change, Unix seconds.
    pub at: i64,
    /// Who made it.
    pub by: String,
    /// The statements that it rests on, in their order.
    pub events: Vec<Digest>,
}

/// All that was said up to some time, by rule.
#[derive(Clone, Debug, Default)]
pub struct Handlings {
    by_rule: BTreeMap<String, Vec<Said>>,
}

#[derive(Clone, Debug)]
struct Said {
    scope: Arc<Scope>,
    /// Empty: of any severity.
    severity: String,
    fields: BTreeMap<String, String>,
    at: i64,
    by: String,
    digest: Digest,
}

/// A finding, as far as it matters to who deals with it.
#[derive(Clone, Copy, Debug)]
pub struct About<'a> {
    /// Name of its host.
    pub host: &'a str,
    /// Id of its rule.
    pub rule: &'a str,
    /// Its subject.
    pub subject: &'a str,
    /// How bad it is.
    pub severity: Severity,
    /// When it began, Unix seconds.
    pub since: i64,
}

impl Handlings {
    /// What the events up to `as_of` say, withdrawn entries left out.
    pub fn of(events: &[Recorded], as_of: i64) -> Self {
        let own: Vec<&Recorded> = events.iter().filter(|r| r.event.record == HANDLING).collect();
        let scopes: BTreeMap<RandomId, (Arc<Scope>, String)> = entries(own.iter().copied(), as_of)
            .into_iter()
            .filter(|e| e.withdrawn.is_none())
            .map(|e| (e.id, (Arc::new(Scope::of(&e)), e.value("severity").to_string())))
            .collect();
        let mut all = Self::default();
        for recorded in ordered(own).into_iter().filter(|r| r.event.at <= as_of && r.event.action.fills()) {
            let event = &recorded.event;
            let Some((scope, severity)) = scopes.get(&event.entry) else { continue };
            all.by_rule.entry(scope.rule.clone()).or_default().push(Said {
                scope: scope.clone(),
                severity: severity.clone(),
                fields: event.fields.clone(),
                at: event.at,
                by: event.by.clone(),
                digest: recorded.digest,
            });
        }
        all
    }

    /// What is said of a finding; `None`: nothing. Hosts and subjects may be named with `*`; what was said last counts, whether it was
    /// said of this finding or of many. What is said of every rule yields to what is said of one, whenever.
    pub fn on(&self, about: &About<'_>) -> Option<Handling> {
        let said = [EVERY, about.rule].into_iter().filter_map(|rule| self.by_rule.get(rule)).flatten();
        let is_meant = |s: &&Said| s.scope.covers(about.host, about.rule, about.subject) && (s.severity.is_empty() || s.severity == about.severity.word());
        let mut found: Option<Handling> = None;
        for said in said.filter(is_meant) {
            let handling = found.get_or_insert_default();
            for (name, value) in &said.fields {
                let place = match name.as_str() {
                    "owner" => &mut handling.owner,
                    "cause" => &mut handling.cause,
                    "resolution" => &mut handling.resolution,
                    "note" => &mut handling.note,
                    "due" => {
                        handling.due = Moment::of(FieldType::Date, value).map(|day| day.after_days(0));
                        continue;
                    }
                    "due_days" => {
                        handling.due = days(value).map(|n| about.since.saturating_add(n * DAY));
                        continue;
                    }
                    _ => continue,
                };
                place.clone_from(value);
            }
            handling.at = handling.at.max(said.at);
            handling.by.clone_from(&said.by);
            handling.events.push(said.digest);
        }
        found
    }
}

fn days(text: &str) -> Option<i64> {
    text.parse().ok().filter(|n| (0..=MAX_DUE_DAYS).contains(n))
}

/// Why nobody can be told to deal with a failure in these words.
pub(super) fn refusal(entry: &Entry) -> Option<String> {
    let text = entry.value("due_days");
    if text.is_empty() || days(text).is_some() { None } else { Some(format!("due_days is no number of days up to {MAX_DUE_DAYS}")) }
}

#[cfg(test)]
mod tests {
    use super::super::event::Action;
    use super::super::testing::{day, event, recorded};
    use super::*;

    #[test]
    fn what_was_said_last_counts_field_by_field() {
        let said = |entry, action, at, by, fields: &[(&str, &str)]| recorded(event(HANDLING, entry, action, at, by, fields));
        let events = [
            said(1, Action::Add, 10, "ada", &[("rule", "r"), ("host", "*"), ("subject", "*"), ("owner", "ops"), ("due", "2026-12-01")]),
            said(2, Action::Add, 20, "bob", &[("rule", "r"), ("host", "web01"), ("subject", "x"), ("owner", "bob"), ("cause", "typo")]),
            said(2, Action::Change, 30, "bob", &[("resolution", "mended")]),
            said(3, Action::Add, 40, "cyd", &[("rule", "r"), ("host", "web01"), ("subject", "x"), ("owner", "nobody")]),
            said(3, Action::Withdraw, 41, "cyd", &[]),
        ];
        let about = |host, rule, subject| About { host, rule, subject, severity: Severity::High, since: day("2026-11-01") };
        let on = |as_of, host: &str, subject: &str| Handlings::of(&events, as_of).on(&About { host, subject, ..about("", "r", "") });
        assert_eq!(on(9, "web01", "x"), None);
        let first = on(10, "web01", "x").unwrap();
        assert_eq!((first.owner.as_str(), first.due), ("ops", Some(day("2026-12-02"))));
        assert_eq!(on(40, "web01", "x").unwrap().owner, "nobody");
        let last = on(50, "web01", "x").unwrap();
        assert_eq!((last.owner.as_str(), last.cause.as_str(), last.resolution.as_str(), last.by.as_str(), last.at), ("bob", "typo", "mended", "bob", 30));
        assert_eq!((last.due, last.events.len()), (Some(day("2026-12-02")), 3));
        assert_eq!(on(50, "db01", "x").unwrap().owner, "ops");
        assert_eq!(Handlings::of(&events, 50).on(&about("db01", "other", "x")), None);
    }

    #[test]
    fn what_is_said_of_every_rule_yields_to_what_is_said_of_one() {
        let said = |entry, at, fields: &[(&str, &str)]| recorded(event(HANDLING, entry, Action::Add, at, "ada", fields));
        let events = [
            said(1, 10, &[("rule", "r"), ("host", "*"), ("subject", "*"), ("owner", "ops"), ("due_days", "3")]),
            said(2, 20, &[("rule", "*"), ("host", "*"), ("subject", "*"), ("severity", "high"), ("due_days", "30"), ("owner", "everybody")]),
            said(3, 30, &[("rule", "s"), ("host", "web01"), ("owner", "cyd")]),
        ];
        let all = Handlings::of(&events, 50);
        let began = day("2026-11-01");
        let on = |rule, severity| all.on(&About { host: "web01", rule, subject: "", severity, since: began });
        let (of_one, of_every) = (on("r", Severity::High).unwrap(), on("s", Severity::High).unwrap());
        assert_eq!((of_one.owner.as_str(), of_one.due), ("ops", Some(began + 3 * DAY)));
        assert_eq!((of_every.owner.as_str(), of_every.due), ("cyd", Some(began + 30 * DAY)));
        assert_eq!((on("t", Severity::Low), on("t", Severity::High).map(|h| h.owner)), (None, Some("everybody".into())));
    }
}
