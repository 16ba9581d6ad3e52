//! What people say about failures: who deals with one, until when, why it came about, how it ended.

use std::collections::BTreeMap;

use serde::Serialize;

use super::entry::entries;
use super::event::{Recorded, ordered};
use super::kind::FieldType;
use super::types::HANDLING;
use super::value::Moment;
use super::waiver::covers;
use crate::model::ids::{Digest, RandomId};

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
    host: String,
    subject: String,
    fields: BTreeMap<String, String>,
    at: i64,
    by: String,
    digest: Digest,
}

impl Handlings {
    /// What the events up to `as_of` say, withdrawn entries left out.
    pub fn of(events: &[Recorded], as_of: i64) -> Self {
        let own: Vec<&Recorded> = events.iter().filter(|r| r.event.record == HANDLING).collect();
        let scopes: BTreeMap<RandomId, (String, String, String)> = entries(own.iter().copied(), as_of)
            .into_iter()
            .filter(|e| e.withdrawn.is_none())
            .map(|e| (e.id, (e.value("rule").into(), e.value("host").into(), e.value("subject").into())))
            .collect();
        let mut all = Self::default();
        for recorded in ordered(own).into_iter().filter(|r| r.event.at <= as_of && r.event.action.fills()) {
            let event = &recorded.event;
            let Some((rule, host, subject)) = scopes.get(&event.entry) else { continue };
            all.by_rule.entry(rule.clone()).or_default().push(Said {
                host: host.clone(),
                subject: subject.clone(),
                fields: event.fields.clone(),
                at: event.at,
                by: event.by.clone(),
                digest: recorded.digest,
            });
        }
        all
    }

    /// What is said of a finding; `None`: nothing. Hosts and subjects may be named with `*`; what was said last counts, whether it was
    /// said of this finding or of many.
    pub fn on(&self, host: &str, rule: &str, subject: &str) -> Option<Handling> {
        let mut found: Option<Handling> = None;
        for said in self.by_rule.get(rule)?.iter().filter(|s| covers(&s.host, host) && covers(&s.subject, subject)) {
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
                    _ => continue,
                };
                place.clone_from(value);
            }
            handling.at = said.at;
            handling.by.clone_from(&said.by);
            handling.events.push(said.digest);
        }
        found
    }
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
        let on = |as_of, host: &str, subject: &str| Handlings::of(&events, as_of).on(host, "r", subject);
        assert_eq!(on(9, "web01", "x"), None);
        let first = on(10, "web01", "x").unwrap();
        assert_eq!((first.owner.as_str(), first.due), ("ops", Some(day("2026-12-02"))));
        assert_eq!(on(40, "web01", "x").unwrap().owner, "nobody");
        let last = on(50, "web01", "x").unwrap();
        assert_eq!((last.owner.as_str(), last.cause.as_str(), last.resolution.as_str(), last.by.as_str(), last.at), ("bob", "typo", "mended", "bob", 30));
        assert_eq!((last.due, last.events.len()), (Some(day("2026-12-02")), 3));
        assert_eq!(on(50, "db01", "x").unwrap().owner, "ops");
        assert_eq!(Handlings::of(&events, 50).on("db01", "other", "x"), None);
    }
}
