//! Waivers: a failure that somebody accepts for a time, because something else holds the risk down.
//!
//! ```text
//! request -> approve by another person -> in force until its last day or until it is revoked
//!         -> refuse by another person
//! ```
//! A waiver covers findings of one rule, see [`Scope`]. It is laid over a failure and never changes it: when it ends, the failure is open
//! again.

use schemars::JsonSchema;
use serde::Serialize;

use super::entry::{Entry, Mark, entries};
use super::event::{Action, Recorded};
use super::kind::FieldType;
use super::scope::Scope;
use super::types::WAIVER;
use super::value::{DAY, Moment};
use crate::model::ids::{Digest, RandomId};

/// Longest time that a waiver may be asked for, days: who wants more asks again.
pub const MAX_DAYS: i64 = 366;

/// Where a waiver stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Asked for, and nobody has answered.
    Requested,
    /// A second person said no.
    Refused,
    /// It covers.
    InForce,
    /// Its last day is over.
    Expired,
    /// It was taken back.
    Revoked,
    /// The request was a mistake.
    Withdrawn,
}

impl Stage {
    /// The words people see.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Refused => "refused",
            Self::InForce => "in force",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::Withdrawn => "withdrawn",
        }
    }
}

/// One waiver, as all events up to some time tell it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Waiver {
    /// Its entry.
    pub id: RandomId,
    /// The failures that it covers.
    pub scope: Scope,
    /// Why the failure is accepted.
    pub reason: String,
    /// What holds the risk down meanwhile.
    pub control: String,
    /// Who asked, and when.
    pub requested: Mark,
    /// Who agreed, when and why.
    pub approved: Option<Mark>,
    /// Who refused, when and why.
    pub refused: Option<Mark>,
    /// Who took it back, when and why.
    pub revoked: Option<Mark>,
    /// Who withdrew the request.
    pub withdrawn: Option<Mark>,
    /// First second after its last day, Unix.
    pub expires: i64,
    /// The statements that it rests on.
    pub events: Vec<Digest>,
}

impl Waiver {
    /// What an entry of type `waiver` says; `None` when its last day can't be read (no such entry is recorded).
    pub fn of(entry: &Entry) -> Option<Self> {
        let said = |action| entry.decisions.iter().find(|d| d.action == action).map(|d| d.mark.clone());
        Some(Self {
            id: entry.id,
            scope: Scope::of(entry),
            reason: entry.value("reason").into(),
            control: entry.value("control").into(),
            requested: entry.added.clone(),
            approved: said(Action::Approve),
            refused: said(Action::Refuse),
            revoked: said(Action::Revoke),
            withdrawn: entry.withdrawn.clone(),
            expires: Moment::of(FieldType::Date, entry.value("expires"))?.after_days(0),
            events: entry.events.clone(),
        })
    }

    /// When it covers, `[from, to)` Unix seconds; `None`: never.
    pub fn in_force(&self) -> Option<(i64, i64)> {
        let from = self.approved.as_ref()?.at;
        let to = self.revoked.as_ref().map_or(self.expires, |r| r.at.min(self.expires));
        (from < to).then_some((from, to))
    }

    /// Where it stands at a second, by what is known.
    pub fn stage(&self, at: i64) -> Stage {
        let before = |mark: &Option<Mark>| mark.as_ref().is_some_and(|m| m.at <= at);
        if before(&self.withdrawn) {
            Stage::Withdrawn
        } else if before(&self.refused) {
            Stage::Refused
        } else if before(&self.revoked) {
            Stage::Revoked
        } else if at >= self.expires {
            Stage::Expired
        } else if before(&self.approved) {
            Stage::InForce
        } else {
            Stage::Requested
        }
    }

    /// Whether it speaks of this finding, whenever.
    pub fn covers(&self, host: &str, rule: &str, subject: &str) -> bool {
        self.scope.covers(host, rule, subject)
    }
}

/// Every waiver that was asked for up to `as_of`, in that order.
pub fn waivers(events: &[Recorded], as_of: i64) -> Vec<Waiver> {
    entries(events.iter().filter(|r| r.event.record == WAIVER), as_of).iter().filter_map(Waiver::of).collect()
}

/// A part of a failure's span: waived, or not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Part {
    /// From this second on, Unix.
    pub since: i64,
    /// Until this second, exclusive; `None`: without end so far.
    pub until: Option<i64>,
    /// The waiver that covers it.
    pub waiver: Option<RandomId>,
}

/// A failure from `since` to `until` (`None`: still), parted by the waivers that cover it: the parts follow each other without a hole. Of
/// several waivers at once, the one approved first is told.
pub fn overlay(waivers: &[Waiver], host: &str, rule: &str, subject: &str, since: i64, until: Option<i64>) -> Vec<Part> {
    let end = until.unwrap_or(i64::MAX);
    let mut covering: Vec<(i64, i64, RandomId)> = Vec::new();
    for waiver in waivers.iter().filter(|w| w.covers(host, rule, subject)) {
        covering.extend(waiver.in_force().filter(|(from, to)| *from < end && since < *to).map(|(from, to)| (from, to, waiver.id)));
    }
    covering.sort_unstable();
    let mut points: Vec<i64> = covering.iter().flat_map(|(from, to, _)| [*from, *to]).filter(|p| since < *p && *p < end).chain([since]).collect();
    points.sort_unstable();
    points.dedup();
    let mut parts: Vec<Part> = Vec::new();
    for point in points {
        let waiver = covering.iter().find(|(from, to, _)| *from <= point && point < *to).map(|(_, _, id)| *id);
        match parts.last_mut() {
            Some(last) if last.waiver == waiver => {}
            last => {
                if let Some(last) = last {
                    last.until = Some(point);
                }
                parts.push(Part { since: point, until, waiver });
            }
        }
    }
    parts
}

/// Why a waiver can't be asked for with these words; `at` is now, Unix seconds.
pub(super) fn refusal(entry: &Entry, at: i64) -> Option<String> {
    let waiver = Waiver::of(entry)?;
    if waiver.expires <= at {
        return Some("expires lies in the past: a waiver covers from its approval on".into());
    }
    if waiver.expires > at.saturating_add((MAX_DAYS + 1) * DAY) {
        return Some(format!("expires lies more than {MAX_DAYS} days ahead: ask for less, and again when it ends"));
    }
    if waiver.scope.rule.contains('*') {
        return Some("rule holds *: a waiver covers one rule".into());
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::testing::{day, event, recorded};
    use super::*;

    const FIELDS: &[(&str, &str)] = &[
        ("rule", "tls-version-minimum"),
        ("host", "web*"),
        ("subject", "*:8443/tcp"),
        ("reason", "old scanner"),
        ("control", "only from the office"),
        ("expires", "2026-12-31"),
    ];

    fn asked(at: i64) -> Recorded {
        recorded(event(WAIVER, 1, Action::Add, at, "ada", FIELDS))
    }

    fn said(action: Action, at: i64) -> Recorded {
        recorded(event(WAIVER, 1, action, at, "bob", &[("note", "because")]))
    }

    #[test]
    fn a_waiver_covers_from_its_approval_to_its_last_day_or_its_revocation() {
        let (asked_at, end) = (day("2026-11-01"), day("2027-01-01"));
        let of = |events: &[Recorded]| waivers(events, end + 100).remove(0);
        let open = of(&[asked(asked_at)]);
        assert_eq!((open.in_force(), open.stage(asked_at), open.stage(end)), (None, Stage::Requested, Stage::Expired));
        let approved = of(&[asked(asked_at), said(Action::Approve, asked_at + 50)]);
        assert_eq!(approved.in_force(), Some((asked_at + 50, end)));
        let stages: Vec<Stage> = [asked_at + 49, asked_at + 50, end - 1, end].map(|at| approved.stage(at)).to_vec();
        assert_eq!(stages, [Stage::Requested, Stage::InForce, Stage::InForce, Stage::Expired]);
        let revoked = of(&[asked(asked_at), said(Action::Approve, asked_at + 50), said(Action::Revoke, asked_at + 90)]);
        assert_eq!((revoked.in_force(), revoked.stage(asked_at + 90)), (Some((asked_at + 50, asked_at + 90)), Stage::Revoked));
        let refused = of(&[asked(asked_at), said(Action::Refuse, asked_at + 50)]);
        assert_eq!((refused.in_force(), refused.stage(asked_at + 50)), (None, Stage::Refused));
        assert!(approved.covers("web01", "tls-version-minimum", "0.0.0.0:8443/tcp") && !approved.covers("db01", "tls-version-minimum", "0.0.0.0:8443/tcp"));
        assert!(!approved.covers("web01", "tls-version-minimum", "") && !approved.covers("web01", "other", "0.0.0.0:8443/tcp"));
    }

    #[test]
    fn a_failure_is_parted_into_what_is_waived_and_what_is_not() {
        let start = day("2026-11-01");
        let end = day("2027-01-01");
        let all = waivers(&[asked(start), said(Action::Approve, start + 50)], end);
        let id = Some(RandomId::new([1; 16]));
        let over = |since, until| overlay(&all, "web01", "tls-version-minimum", "a:8443/tcp", since, until);
        let part = |since, until, waiver| Part { since, until, waiver };
        assert_eq!(over(start, None), [part(start, Some(start + 50), None), part(start + 50, Some(end), id), part(end, None, None)]);
        assert_eq!(over(start + 60, Some(start + 70)), [part(start + 60, Some(start + 70), id)]);
        assert_eq!(over(end, Some(end + 5)), [part(end, Some(end + 5), None)]);
        assert_eq!(overlay(&all, "db01", "tls-version-minimum", "a:8443/tcp", start, None), [part(start, None, None)]);
        // A second one that overlaps: the one approved first is told, and no hole lies between them.
        let mut twice = all.clone();
        let mut later = all[0].clone();
        later.id = RandomId::new([2; 16]);
        later.approved.as_mut().unwrap().at = end - 10;
        later.expires = end + 1000;
        twice.push(later);
        let parts = overlay(&twice, "web01", "tls-version-minimum", "a:8443/tcp", start, Some(end + 2000));
        let told: Vec<(i64, Option<RandomId>)> = parts.iter().map(|p| (p.since, p.waiver)).collect();
        assert_eq!(told, [(start, None), (start + 50, id), (end, Some(RandomId::new([2; 16]))), (end + 1000, None)]);
        assert!(parts.windows(2).all(|w| w[0].until == Some(w[1].since)) && parts.last().unwrap().until == Some(end + 2000));
    }
}
