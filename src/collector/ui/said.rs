//! What people said about a finding, event by event: owners, days, causes, comments, waivers.

use std::collections::BTreeMap;

use super::frame::Visit;
use super::text::shown;
use super::when::When;
use crate::model::ids::RandomId;
use crate::records::event::{Action, NOTE, ordered};
use crate::records::types::WAIVER;
use crate::records::{Entry, Recorded, Scope, entries};

/// Events that are told; the newest ones.
const MAX_SAID: usize = 100;

/// Something that was said.
pub(super) struct Said {
    /// Who.
    pub by: String,
    /// When.
    pub at: When,
    /// What about, and the words; a comment is about nothing.
    pub parts: Vec<(&'static str, String)>,
    /// Of what else it was said; empty: of this finding alone.
    pub scope: String,
}

/// What was said about a finding up to the moment shown, newest first.
pub(super) fn about(visit: &Visit, events: &[Recorded], host: &str, rule: &str, subject: &str) -> Vec<Said> {
    let at = visit.at();
    let meant = entries(events.iter(), at).into_iter().map(|e| (e.id, (Scope::of(&e), e)));
    let meant: BTreeMap<RandomId, (Scope, Entry)> = meant.filter(|(_, (scope, _))| scope.covers(host, rule, subject)).collect();
    let own = events.iter().filter(|r| r.event.at <= at && meant.contains_key(&r.event.entry));
    let mut out: Vec<Said> = ordered(own).into_iter().filter_map(|r| said(visit, r, meant.get(&r.event.entry)?)).collect();
    out.reverse();
    out.truncate(MAX_SAID);
    out
}

fn said(visit: &Visit, recorded: &Recorded, (scope, entry): &(Scope, Entry)) -> Option<Said> {
    let event = &recorded.event;
    let value = |name: &str| event.fields.get(name).map(|v| shown(v)).filter(|v| !v.is_empty());
    let named = |what: &'static str, name: &str| value(name).map(|v| (what, v));
    let note = || shown(event.note());
    let is_waiver = event.record == WAIVER;
    let parts: Vec<(&'static str, String)> = match event.action {
        Action::Add | Action::Change if is_waiver => {
            [named("asks for a waiver", "reason"), named("instead", "control"), named("until", "expires")].into_iter().flatten().collect()
        }
        Action::Add | Action::Change | Action::Close => {
            let days = value("due_days").map(|days| ("due", format!("{days} days after it began")));
            [named("owner", "owner"), named("due", "due"), days, named("cause", "cause"), named("resolution", "resolution"), named("", NOTE)]
                .into_iter()
                .flatten()
                .collect()
        }
        Action::Approve => vec![("approves the waiver", note())],
        Action::Refuse => vec![("refuses the waiver", note())],
        Action::Revoke => vec![("takes the waiver back", note())],
        Action::Withdraw => vec![(if is_waiver { "withdraws the request" } else { "withdraws what was said" }, note())],
        Action::SignOff => return None,
    };
    let is_alone = scope.places.len() <= 1 && scope.hosts.is_empty() && !scope.host.contains('*') && !scope.subject.contains('*');
    let words = if entry.value("severity").is_empty() { scope.words() } else { format!("{}, {} ones", scope.words(), entry.value("severity")) };
    let emptied = parts.is_empty();
    Some(Said {
        by: shown(&event.by),
        at: visit.when(event.at),
        parts: if emptied { vec![("", "takes back a value".into())] } else { parts },
        scope: if is_alone { String::new() } else { shown(&words) },
    })
}
