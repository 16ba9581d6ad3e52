//! What each rule said: at the end of the period, through it, and what was not a pass.

use std::borrow::Cow;
use std::sync::Arc;

use super::index::Index;
use super::laid::{Laid, Part};
use crate::evidence::material::Transition;
use crate::evidence::paper::{Exception, Handling, Member, Outcome, Tally};
use crate::evidence::text::time;
use crate::evidence::windows::{Window, WindowState};
use crate::model::finding::Verdict;
use crate::model::ids::Digest;
use crate::model::report::Cadence;

/// One result at the end of the period.
#[derive(Debug)]
pub struct Told<'a> {
    /// Position in the population.
    pub host: usize,
    /// The verdict as it was given; `None`: there is none.
    pub given: Option<&'a Transition>,
    /// The verdict with the waivers laid over it.
    pub verdict: Verdict,
    /// Since when, Unix seconds.
    pub since: Option<i64>,
    /// What was found, or why nothing was.
    pub message: Cow<'a, str>,
    /// End of the last scan that judged the rule, Unix seconds.
    pub confirmed: Option<i64>,
    /// Report that brought it.
    pub report: Option<Digest>,
}

/// One part of the story of a rule on a subject.
#[derive(Debug)]
pub struct Span<'a> {
    /// Position of the host in the population.
    pub host: usize,
    /// The verdict as it was given.
    pub given: &'a Transition,
    /// Its part, with the waivers laid over it.
    pub part: Part,
    /// The verdict of the part.
    pub verdict: Verdict,
}

/// Every result of a rule at the last second of the period, host by host; a host that was taken out owes none.
pub fn at_end<'a>(index: &'a Index<'_>, laid: &Laid, members: &[Member], rule: usize, each: &mut dyn FnMut(&Told<'a>)) {
    let Some((_, known)) = index.rules.get(rule) else { return };
    let monthly = known.is_some_and(|r| r.cadence == Cadence::Monthly);
    let end = index.material.period.end();
    for (host, spans) in index.by_host(rule) {
        let Some(member) = members.get(host).filter(|m| m.state.counts()) else { continue };
        let confirmed = if monthly { member.confirmed_monthly } else { member.confirmed };
        let missing =
            |message: &'static str| Told { host, given: None, verdict: Verdict::NotRun, since: None, message: message.into(), confirmed, report: None };
        if confirmed.is_none() {
            each(&missing(match member.confirmed {
                Some(_) => "no complete monthly or on-demand scan of this host in the period",
                None => "no complete scan of this host in the period",
            }));
            continue;
        }
        let mut found = false;
        for given in spans.iter().filter(|t| t.until.is_none_or(|u| u >= end)) {
            found = true;
            let part = laid.parts(&member.name, given).into_iter().rfind(|p| p.since < end);
            let verdict = part.as_ref().map_or(given.verdict, |p| p.verdict(given));
            let since = part.map_or(given.since, |p| p.since);
            let report = Some(index.source(host, given));
            each(&Told { host, given: Some(*given), verdict, since: Some(since), message: Cow::Borrowed(&given.message), confirmed, report });
        }
        if !found {
            each(&missing("the scans of this host gave no verdict of this rule"));
        }
    }
}

/// Every verdict of a rule within the period, host by host and subject by subject in time, parted by the waivers over it.
pub fn through<'a>(index: &'a Index<'_>, laid: &Laid, rule: usize, each: &mut dyn FnMut(&Span<'a>, &[&'a Transition])) {
    let (start, end) = (index.material.period.start(), index.material.period.end());
    for (host, spans) in index.by_host(rule) {
        let name = index.names.get(host).map_or("", |n| n);
        for (number, given) in spans.iter().enumerate() {
            let later = spans.get(number + 1..).unwrap_or(&[]);
            let same = later.iter().take_while(|t| t.subject == given.subject).count();
            let later = later.get(..same).unwrap_or(&[]);
            for part in laid.parts(name, given) {
                if part.since < end && part.until.is_none_or(|u| u > start) {
                    let verdict = part.verdict(given);
                    each(&Span { host, given, part, verdict }, later);
                }
            }
        }
    }
}

/// What the paper keeps of a rule, once for all controls.
#[derive(Debug, Default)]
pub struct OfRule {
    /// Results at the end, counted.
    pub counts: Tally,
    /// Those that neither pass nor are not applicable.
    pub open: Vec<Arc<Outcome>>,
    /// What was not a pass in the period.
    pub exceptions: Vec<Arc<Exception>>,
}

impl OfRule {
    /// What the material says of it.
    pub fn new(index: &Index<'_>, laid: &Laid, members: &[Member], rule: usize) -> Self {
        let mut of = Self::default();
        let Some((id, _)) = index.rules.get(rule) else { return of };
        let empty: Arc<str> = "".into();
        at_end(index, laid, members, rule, &mut |told| {
            of.counts.add(told.verdict);
            if matches!(told.verdict, Verdict::Pass | Verdict::NotApplicable) {
                return;
            }
            let (Some(member), Some(name)) = (members.get(told.host), index.names.get(told.host)) else { return };
            of.open.push(Arc::new(Outcome {
                host: member.host,
                name: name.clone(),
                rule: id.clone(),
                subject: told.given.map_or_else(|| empty.clone(), |t| t.subject.clone()),
                verdict: told.verdict,
                message: told.given.map_or_else(|| (*told.message).into(), |t| t.message.clone()),
                reason: told.given.and_then(|t| t.reason.clone()),
                since: told.since,
                confirmed: told.confirmed,
                report: told.report,
            }));
        });
        through(index, laid, rule, &mut |span, later| of.exceptions.extend(exception(index, laid, members, span, later).map(Arc::new)));
        of
    }
}

/// A part of a story that is not a pass.
fn exception(index: &Index<'_>, laid: &Laid, members: &[Member], span: &Span<'_>, later: &[&Transition]) -> Option<Exception> {
    if matches!(span.verdict, Verdict::Pass | Verdict::NotApplicable) {
        return None;
    }
    let (member, given, end) = (members.get(span.host)?, span.given, index.material.period.end());
    let resolved = span.part.until.filter(|u| *u < end);
    let mut handling = laid.handling(&member.name, given, &span.part);
    handling.overdue = span.verdict != Verdict::Waived && handling.due.is_some_and(|due| due < resolved.unwrap_or(end));
    if let Some(at) = resolved {
        ended(index, span, later, at, member, &mut handling);
    }
    Some(Exception {
        host: member.host,
        name: index.names.get(span.host)?.clone(),
        rule: given.rule.clone(),
        subject: given.subject.clone(),
        verdict: span.verdict,
        severity: Some(given.severity),
        message: given.message.clone(),
        first_seen: span.part.since,
        resolved,
        report: Some(index.source(span.host, given)),
        age: resolved.unwrap_or(end).saturating_sub(span.part.since),
        handling,
    })
}

/// How an exception that ended at `at` ended: by a report that tests again, by a waiver, with one, or with its host.
fn ended(index: &Index<'_>, span: &Span<'_>, later: &[&Transition], at: i64, member: &Member, handling: &mut Handling) {
    let end = index.material.period.end();
    let whole = span.given.until == Some(at);
    let note = |handling: &mut Handling, text: String| {
        if handling.resolution.is_empty() {
            handling.resolution = text;
        }
    };
    if !whole {
        let text = if span.verdict == Verdict::Waived { "not mended: the waiver ended" } else { "not mended: waived from then on" };
        return note(handling, text.into());
    }
    if member.retired_at.is_some_and(|retired| retired <= at) {
        return note(handling, "not tested again: the host was taken out".into());
    }
    let passed = later.iter().find(|t| t.verdict == Verdict::Pass && t.since < end).map(|t| t.since);
    // Nothing is said of a subject any more when it is gone: the report that no longer says it is the test.
    let gone = || later.first().is_none_or(|t| t.since > at || t.verdict == Verdict::NotApplicable).then_some(at);
    if let Some(report) = passed.or_else(gone).and_then(|second| index.report_at(span.host, second)) {
        handling.retest = Some(report.digest);
        handling.retested = Some(report.finished);
    }
}

/// Planned scans that did not happen, as exceptions.
pub fn missed(index: &Index<'_>, windows: &[Window]) -> Vec<Arc<Exception>> {
    let end = index.material.period.end();
    let (no_rule, mut out): (Arc<str>, Vec<Arc<Exception>>) = ("".into(), Vec::new());
    for w in windows.iter().filter(|w| matches!(w.state, WindowState::NotRun | WindowState::Aborted)) {
        let Some(name) = index.position(&w.host).and_then(|n| index.names.get(n)) else { continue };
        let message = match w.state {
            WindowState::Aborted => {
                let at = w.finished.map(|at| format!(" on {}", time(at))).unwrap_or_default();
                format!("the {} scan of {} was stopped by a limit{at} and not repeated", w.kind, w.window)
            }
            _ => format!("no complete {} scan in {}", w.kind, w.window),
        };
        out.push(Arc::new(Exception {
            host: w.host,
            name: name.clone(),
            rule: no_rule.clone(),
            subject: w.window.as_str().into(),
            verdict: Verdict::NotRun,
            severity: None,
            message: message.into(),
            first_seen: w.end,
            resolved: None,
            report: w.report,
            age: end.saturating_sub(w.end).max(0),
            handling: Handling::default(),
        }));
    }
    out
}
