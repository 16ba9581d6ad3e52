//! The pure evaluator, and the guard of truth: what was not observed never passes.
//!
//! - A missing family, or a gap over anything that a rule reads, turns `pass` into `unknown`; a gap
//!   over what `applies` reads turns `not_applicable` into `unknown`. A failure stands.
//! - Under `for_each` a gap that names an item touches that item; one that names nothing touches
//!   all; one that names something not in the list is a subject of its own, `unknown`.
//! - An error, a panic or a spent budget is `unknown`, never anything else.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};

use serde_json::Value;

use super::Need;
use super::expr::Patterns;
use super::expr::{Engine, Fault, Read, Scope, Values};
use super::file::Rule;
use super::message::Piece;
use super::schema::{NOW, POLICY};
use super::{Input, Pack, cite, derived, with_stack};
use crate::host::clock;
use crate::model::fact::Observation;
use crate::model::finding::{Finding, UnknownReason, Verdict};
use crate::model::gap::{Gap, reason};
use crate::model::report::Cadence;

/// Most processor time that one judgement of all rules takes, milliseconds.
pub const TOTAL_MS: u64 = 5_000;
/// Most processor time that one rule takes, milliseconds.
pub const RULE_MS: u64 = 1_500;
/// Most items of one list that a rule judges.
pub const MAX_ITEMS: usize = 50_000;
/// Longest message, characters.
const MAX_MESSAGE: usize = 2_000;
/// Longest subject, characters.
const MAX_SUBJECT: usize = 512;

/// What is judged.
#[derive(Debug)]
pub(super) struct Facts<'a> {
    /// Documents by family, `access` among them.
    pub families: BTreeMap<&'a str, &'a Value>,
    /// What could not be observed.
    pub gaps: Vec<&'a Gap>,
    /// Thresholds as rules see them.
    pub policy: Value,
    /// When the facts were gathered, Unix seconds.
    pub now: i64,
}

/// Judges every rule of the pack. Failures come first, by severity, then unknowns, passes and what
/// does not apply; each by rule and subject.
pub fn evaluate(pack: &Pack, input: &Input<'_>) -> Vec<Finding> {
    evaluate_in(pack, input, Cadence::Monthly)
}

/// The same for a scan that reads up to this cadence: rarer rules give no verdict at all, for
/// what they read was never meant to be there.
pub fn evaluate_in(pack: &Pack, input: &Input<'_>, cadence: Cadence) -> Vec<Finding> {
    evaluate_those(pack, input, &|rule| rule.cadence <= cadence)
}

/// The same for a drift scan, which reads a few families on purpose: the rules that read only
/// families that it looked at, see [`looked_at`].
pub fn evaluate_drift(pack: &Pack, input: &Input<'_>) -> Vec<Finding> {
    let looked_at = looked_at(input.observation);
    evaluate_those(pack, input, &|rule| Need::of(rule).is_met_by_drift(&looked_at))
}

/// The families that an observation says something about: those whose facts it holds, and those
/// that it could not read at all.
pub fn looked_at(observation: &Observation) -> BTreeSet<String> {
    let whole = |gap: &&Gap| gap.path.is_empty() && gap.subject.is_empty() && !gap.family.is_empty();
    let gaps = observation.gaps.iter().filter(whole).map(|gap| &gap.family);
    observation.families.keys().chain(gaps).cloned().collect()
}

/// The same for the rules that are asked for.
pub fn evaluate_those(pack: &Pack, input: &Input<'_>, asked: &dyn Fn(&Rule) -> bool) -> Vec<Finding> {
    let observation = input.observation;
    let mut families: BTreeMap<&str, &Value> = observation.families.iter().map(|(name, value)| (name.as_str(), value)).collect();
    let derived = derived::all(input);
    for family in &derived {
        // What a host sent under that name was not derived here.
        families.remove(family.name);
        families.extend(family.value.as_deref().map(|value| (family.name, value)));
    }
    let gaps = observation.gaps.iter().chain(derived.iter().flat_map(|family| family.gaps.iter())).collect();
    let facts = Facts { families, gaps, policy: input.policy.as_facts(), now: observation.gathered_at };
    let rules: Vec<&Rule> = pack.rules.iter().filter(|r| asked(r)).collect();
    judge(&rules, pack.patterns(), &facts)
}

/// Judges on a thread of its own, whose stack holds the deepest expression that loads.
pub(super) fn judge(rules: &[&Rule], patterns: &Patterns, facts: &Facts<'_>) -> Vec<Finding> {
    let judged = with_stack(|| judge_here(rules, patterns, facts));
    let mut findings = judged.unwrap_or_else(|| rules.iter().map(|rule| broken(rule)).collect());
    findings.sort_by(|a, b| order(a).cmp(&order(b)));
    findings
}

fn order(finding: &Finding) -> (u8, std::cmp::Reverse<crate::model::finding::Severity>, &str, &str) {
    let rank = match finding.verdict {
        Verdict::Fail | Verdict::Waived => 0,
        Verdict::Unknown | Verdict::NotRun => 1,
        Verdict::Pass => 2,
        Verdict::NotApplicable => 3,
    };
    let by_severity = if rank < 2 { finding.severity } else { crate::model::finding::Severity::Info };
    (rank, std::cmp::Reverse(by_severity), &finding.rule, &finding.subject)
}

fn judge_here(rules: &[&Rule], patterns: &Patterns, facts: &Facts<'_>) -> Vec<Finding> {
    let Ok(engine) = Engine::new(patterns) else {
        return rules.iter().map(|rule| broken(rule)).collect();
    };
    let mut values = Values::default();
    let read: BTreeSet<&str> = rules.iter().flat_map(|r| r.families()).collect();
    for (name, value) in facts.families.iter().filter(|(name, _)| read.contains(**name)) {
        values.set(name, value);
    }
    values.set(POLICY, &facts.policy);
    values.set(NOW, &Value::from(facts.now));
    let end = clock::thread_cpu_ms().saturating_add(TOTAL_MS);
    let mut findings = Vec::new();
    for &rule in rules {
        let started = clock::thread_cpu_ms();
        if started >= end {
            findings.push(limited(rule, String::new(), format!("judging all rules took more than {TOTAL_MS} ms of processor time")));
            continue;
        }
        let court = Court { rule, facts, engine: &engine, values: &values, end: end.min(started.saturating_add(RULE_MS)) };
        match catch_unwind(AssertUnwindSafe(|| court.findings())) {
            Ok(found) => findings.extend(found),
            Err(_) => findings.push(broken(rule)),
        }
    }
    findings
}

/// One rule at work.
struct Court<'a> {
    rule: &'a Rule,
    facts: &'a Facts<'a>,
    engine: &'a Engine,
    values: &'a Values,
    end: u64,
}

/// What the expressions said, before the guard.
enum Said {
    Pass,
    Fail,
    NotApplicable,
    NotObservable,
    Fault(Fault),
}

impl Court<'_> {
    fn findings(&self) -> Vec<Finding> {
        let touching = Touching::of(self.rule, &self.rule.guarded, &self.facts.gaps);
        let applying = Touching::of(self.rule, &self.rule.applying, &self.facts.gaps);
        let Some(path) = &self.rule.for_each else {
            let missing = self.missing();
            let scope = self.engine.scope(self.values, None);
            let subject = self.subject(&scope).unwrap_or_default();
            let guard = Guard { judged: touching.first(), applied: applying.first(), missing: missing.as_ref() };
            return vec![self.finding(&scope, subject, None, &guard)];
        };
        let missing = self.missing();
        match self.list(path) {
            Some(list) => self.each(path, list, &touching, &applying, missing.as_ref()),
            None => {
                let reason = missing.or_else(|| touching.all.first().map(|g| because(g))).unwrap_or_else(|| UnknownReason {
                    kind: "error".into(),
                    id: "missing-value".into(),
                    detail: format!("the facts have no list {path}"),
                    remedy: String::new(),
                });
                vec![unknown(self.rule, String::new(), reason)]
            }
        }
    }

    fn each(&self, path: &str, list: &[Value], touching: &Touching<'_>, applying: &Touching<'_>, missing: Option<&UnknownReason>) -> Vec<Finding> {
        let mut findings: Vec<Finding> = Vec::new();
        let mut named = BTreeSet::new();
        let mut subjects: BTreeMap<String, usize> = BTreeMap::new();
        let all = touching.all.first().copied();
        for (index, item) in list.iter().enumerate() {
            if index >= MAX_ITEMS || clock::thread_cpu_ms() >= self.end {
                let detail = format!("{index} of {} elements of {path} were judged within {RULE_MS} ms and {MAX_ITEMS} elements", list.len());
                findings.push(limited(self.rule, String::new(), detail));
                break;
            }
            let scope = self.engine.scope(self.values, Some((path, index)));
            let subject = self.subject(&scope).unwrap_or_else(|| format!("{path}[{index}]"));
            let names = [Some(subject.as_str()), item.get("subject").and_then(Value::as_str), item.get("name").and_then(Value::as_str)];
            let guard = Guard { judged: touching.naming(&names), applied: applying.naming(&names), missing };
            named.extend(touching.some.iter().filter(|gap| names.contains(&Some(gap.subject.as_str()))).map(|gap| gap.subject.as_str()));
            let seen = subjects.entry(subject.clone()).or_insert(0);
            *seen += 1;
            let unique = if *seen > 1 { format!("{subject} ({seen})") } else { subject };
            findings.push(self.finding(&scope, unique, Some(index), &guard));
        }
        for gap in &touching.some {
            if named.insert(gap.subject.as_str()) {
                findings.push(unknown(self.rule, super::expr::bounded(&gap.subject, MAX_SUBJECT), because(gap)));
            }
        }
        let nothing_unknown = findings.iter().all(|f| f.verdict == Verdict::Fail);
        match (all, missing) {
            // The list itself may lack elements: failures alone would look complete.
            (Some(gap), _) if nothing_unknown => findings.push(unknown(self.rule, String::new(), because(gap))),
            (None, Some(reason)) if findings.is_empty() => findings.push(unknown(self.rule, String::new(), reason.clone())),
            (None, None) if findings.is_empty() => findings.push(self.plain(Verdict::NotApplicable, String::new(), format!("{path} is empty"), None)),
            _ => {}
        }
        findings
    }

    fn finding(&self, scope: &Scope<'_>, subject: String, index: Option<usize>, guard: &Guard<'_>) -> Finding {
        let said = self.ask(scope);
        let gap = if matches!(said, Said::NotApplicable) { guard.applied } else { guard.judged };
        let mut finding = match (said, gap.map(because).or_else(|| guard.missing.cloned())) {
            (Said::Fail, _) => self.plain(Verdict::Fail, subject, self.message(scope), index),
            (Said::NotObservable, _) => {
                let message = self.message(scope);
                let reason = UnknownReason { kind: "gap".into(), id: "not-observable".into(), detail: message, remedy: String::new() };
                self.unknown_here(subject, reason, index)
            }
            (_, Some(reason)) => self.unknown_here(subject, reason, index),
            (Said::Pass, None) => self.plain(Verdict::Pass, subject, self.text(&self.rule.pass, scope), index),
            (Said::NotApplicable, None) => {
                let text = self.rule.applies_text().unwrap_or_default();
                self.plain(Verdict::NotApplicable, subject, format!("applies only where {text}"), index)
            }
            (Said::Fault(fault), None) => {
                let reason = UnknownReason { kind: "error".into(), id: fault.id.into(), detail: fault.detail, remedy: String::new() };
                self.unknown_here(subject, reason, index)
            }
        };
        if finding.verdict == Verdict::Fail && index.is_none() {
            let culprits = scope.culprits(&self.rule.assert, cite::MAX_ELEMENTS);
            finding.citations = cite::citations(self.rule, self.facts, index, &culprits);
        }
        finding
    }

    fn ask(&self, scope: &Scope<'_>) -> Said {
        if let Some(applies) = &self.rule.applies {
            match scope.truth(applies) {
                Ok(true) => {}
                Ok(false) => return Said::NotApplicable,
                Err(fault) => return Said::Fault(fault),
            }
        }
        if let Some(unknown) = &self.rule.unknown {
            match scope.truth(unknown) {
                Ok(true) => return Said::NotObservable,
                Ok(false) => {}
                Err(fault) => return Said::Fault(fault),
            }
        }
        match scope.truth(&self.rule.assert) {
            Ok(true) => Said::Pass,
            Ok(false) => Said::Fail,
            Err(fault) => Said::Fault(fault),
        }
    }

    fn plain(&self, verdict: Verdict, subject: String, message: String, index: Option<usize>) -> Finding {
        let citations = cite::citations(self.rule, self.facts, index, &[]);
        Finding { rule: self.rule.id.clone(), subject, verdict, severity: self.rule.severity, message, reason: None, citations }
    }

    fn unknown_here(&self, subject: String, reason: UnknownReason, index: Option<usize>) -> Finding {
        Finding { citations: cite::citations(self.rule, self.facts, index, &[]), ..unknown(self.rule, subject, reason) }
    }

    fn message(&self, scope: &Scope<'_>) -> String {
        self.text(&self.rule.message, scope)
    }

    fn text(&self, pieces: &[Piece], scope: &Scope<'_>) -> String {
        let mut out = String::new();
        for piece in pieces {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Value(expression) => match scope.text(expression) {
                    Ok(text) => out.push_str(&text),
                    Err(_) => out.push_str("(not observed)"),
                },
            }
        }
        super::expr::bounded(&out, MAX_MESSAGE)
    }

    fn subject(&self, scope: &Scope<'_>) -> Option<String> {
        let expression = self.rule.subject.as_ref()?;
        scope.text(expression).ok().map(|text| super::expr::bounded(&text, MAX_SUBJECT))
    }

    fn list(&self, path: &str) -> Option<&[Value]> {
        let (family, rest) = path.split_once('.').unwrap_or((path, ""));
        let document = self.facts.families.get(family)?;
        let found = rest.split('.').filter(|n| !n.is_empty()).try_fold(*document, |at, name| at.get(name))?;
        found.as_array().map(Vec::as_slice)
    }

    /// Why a family that the verdict needs is not there.
    fn missing(&self) -> Option<UnknownReason> {
        let families = self.rule.guarded.iter().filter_map(|r| r.path.split('.').next()).filter(|f| *f != POLICY && *f != NOW);
        let family = families.into_iter().find(|f| !self.facts.families.contains_key(f))?;
        let gap = self.facts.gaps.iter().find(|g| g.family == family || g.family.is_empty());
        Some(gap.map_or_else(
            || UnknownReason { kind: "error".into(), id: "missing-family".into(), detail: format!("{family} was not observed"), remedy: String::new() },
            |gap| because(gap),
        ))
    }
}

/// What forbids a verdict that rests on complete facts.
struct Guard<'g> {
    /// A gap over anything that the rule reads.
    judged: Option<&'g Gap>,
    /// A gap over what decides whether it applies.
    applied: Option<&'g Gap>,
    /// A family that is not there.
    missing: Option<&'g UnknownReason>,
}

/// The gaps that touch a rule.
struct Touching<'g> {
    /// Those that touch every subject.
    all: Vec<&'g Gap>,
    /// Those that touch the subject they name.
    some: Vec<&'g Gap>,
}

impl<'g> Touching<'g> {
    fn of(rule: &Rule, reads: &[Read], gaps: &[&'g Gap]) -> Self {
        let mut touching = Self { all: Vec::new(), some: Vec::new() };
        for &gap in gaps {
            let mut overlapping = reads.iter().filter(|read| overlaps(read, gap)).peekable();
            if overlapping.peek().is_none() {
                continue;
            }
            if gap.subject.is_empty() || gap.family.is_empty() || rule.for_each.is_none() || overlapping.any(|read| !read.item) {
                touching.all.push(gap);
            } else {
                touching.some.push(gap);
            }
        }
        touching
    }

    /// One that touches the element with these names.
    fn naming(&self, names: &[Option<&str>]) -> Option<&'g Gap> {
        self.some.iter().find(|gap| names.contains(&Some(gap.subject.as_str()))).or(self.all.first()).copied()
    }

    fn first(&self) -> Option<&'g Gap> {
        self.all.first().or(self.some.first()).copied()
    }
}

/// Whether a gap covers what is read. A gap below a value that is only counted or walked through
/// does not touch it.
fn overlaps(read: &Read, gap: &Gap) -> bool {
    let (family, rest) = read.path.split_once('.').unwrap_or((&read.path, ""));
    if family == POLICY || family == NOW {
        return false;
    }
    if gap.family.is_empty() {
        return true;
    }
    gap.family == family && (begins(&gap.path, rest) || (read.whole && begins(rest, &gap.path)))
}

/// Whether dotted path `outer` is `inner` or leads to it.
fn begins(outer: &str, inner: &str) -> bool {
    outer.is_empty() || inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

fn because(gap: &Gap) -> UnknownReason {
    let detail = if gap.detail.is_empty() { format!("{} {} could not be observed", gap.family, gap.path) } else { gap.detail.clone() };
    UnknownReason { kind: "gap".into(), id: gap.reason.clone(), detail: super::expr::bounded(detail.trim(), MAX_MESSAGE), remedy: gap.remedy.clone() }
}

fn unknown(rule: &Rule, subject: String, reason: UnknownReason) -> Finding {
    Finding {
        rule: rule.id.clone(),
        subject,
        verdict: Verdict::Unknown,
        severity: rule.severity,
        message: reason.detail.clone(),
        reason: Some(reason),
        citations: Vec::new(),
    }
}

fn limited(rule: &Rule, subject: String, detail: String) -> Finding {
    unknown(rule, subject, UnknownReason { kind: "limit".into(), id: "time-budget".into(), detail, remedy: String::new() })
}

fn broken(rule: &Rule) -> Finding {
    let detail = format!("judging {} failed inside assay", rule.id);
    let reason = UnknownReason { kind: "error".into(), id: reason::INTERNAL.into(), detail, remedy: "Report this as a defect.".into() };
    unknown(rule, String::new(), reason)
}
