//! One control: what tests it, what came of it, what it amounts to.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::conclusion::{Said, by_records, by_rules};
use super::index::Index;
use super::pieces;
use super::results::OfRule;
use super::{AssembleError, Whole};
use crate::evidence::material::Control;
use crate::evidence::paper::{CONTROL_FORMAT, Conclusion, ControlPaper, Design, Exception, RecordPaper, Tally, WindowCount};
use crate::evidence::sampling;
use crate::model::finding::Verdict;
use crate::model::ids::HostId;

/// The paper of a control.
pub fn control(index: &Index<'_>, whole: &Whole<'_>, control: &Control, records: Vec<RecordPaper>) -> Result<ControlPaper, AssembleError> {
    if control.id.is_empty() || control.id.len() > 40 || !control.id.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-')) {
        return Err(AssembleError::ControlId { framework: index.material.framework.id.clone(), id: control.id.clone() });
    }
    let nothing = OfRule::default();
    let rules: Vec<&OfRule> = control.rules.iter().map(|m| index.rule(&m.rule).and_then(|n| whole.rules.get(n)).unwrap_or(&nothing)).collect();
    let tested = !rules.is_empty();
    let mut counts = Tally::default();
    rules.iter().for_each(|r| counts.join(&r.counts));
    let results: Vec<_> = rules.iter().flat_map(|r| r.open.iter().cloned()).collect();
    let exceptions = if tested { exceptions(&rules, whole.missed) } else { Vec::new() };
    let operation = if tested { whole.operation } else { WindowCount::default() };
    let (population, standing) = (whole.members.len(), whole.standing);
    let mut said: Vec<Said> = Vec::new();
    if tested {
        let on = |v: Verdict| {
            let mut hosts: BTreeSet<HostId> = results.iter().filter(|r| r.verdict == v).map(|r| r.host).collect();
            hosts.extend(exceptions.iter().filter(|e| e.verdict == v).map(|e| e.host));
            hosts.len()
        };
        said.push(by_rules(&counts, &exceptions, &on, (population, standing), &operation));
    }
    if !control.record.is_empty() || !records.is_empty() {
        said.push(by_records(tested || !control.fleet.is_empty(), &records));
    }
    if !tested && (said.is_empty() || !control.fleet.is_empty()) {
        said.insert(0, Said { conclusion: Conclusion::Derived, sentence: "No rule tests this control: it is read from the tables of this bundle.".into() });
    }
    let conclusion = said.iter().map(|s| s.conclusion).max().unwrap_or(Conclusion::Derived);
    let sentence = said.iter().map(|s| s.sentence.as_str()).collect::<Vec<_>>().join(" ");
    let samples = index
        .material
        .sampling
        .as_ref()
        .map(|s| whole.populations.of(control, &records).flat_map(|(kind, items)| sampling::draw(s, &control.id, kind, items)).collect());
    let mut paper = ControlPaper {
        format: CONTROL_FORMAT,
        id: control.id.clone(),
        title: control.title.clone(),
        text: control.text.clone(),
        conclusion,
        sentence,
        fleet: control.fleet.clone(),
        record: control.record.clone(),
        design: design(index, control, &rules),
        population,
        standing,
        operation,
        counts,
        results,
        exceptions,
        records,
        samples: samples.unwrap_or_default(),
        pieces: Vec::new(),
    };
    paper.pieces = pieces::pieces(index, whole, &paper);
    Ok(paper)
}

fn design(index: &Index<'_>, control: &Control, rules: &[&OfRule]) -> Vec<Design> {
    let describe = |(mapping, of): (&crate::evidence::material::Mapping, &&OfRule)| {
        let rule = index.rule(&mapping.rule).and_then(|n| index.rules.get(n)).and_then(|(_, r)| *r);
        Design {
            rule: mapping.rule.clone(),
            title: rule.map_or_else(|| "not in the installed rule pack".into(), |r| r.title.clone()),
            mapping: mapping.mapping.clone(),
            severity: rule.map(|r| r.severity),
            why: rule.map(|r| r.why.clone()).unwrap_or_default(),
            verify: rule.map(|r| r.verify.clone()).unwrap_or_default(),
            counts: of.counts,
        }
    };
    control.rules.iter().zip(rules).map(describe).collect()
}

/// Failures first, by severity; planned scans that did not happen last.
fn exceptions(rules: &[&OfRule], missed: &[Arc<Exception>]) -> Vec<Arc<Exception>> {
    let mut out: Vec<Arc<Exception>> = rules.iter().flat_map(|r| r.exceptions.iter().cloned()).chain(missed.iter().cloned()).collect();
    let rank = |e: &Exception| (e.verdict == Verdict::NotRun, e.verdict != Verdict::Fail, std::cmp::Reverse(e.severity));
    out.sort_by(|a, b| (rank(a), &a.rule, &a.name, a.host, &a.subject, a.first_seen).cmp(&(rank(b), &b.rule, &b.name, b.host, &b.subject, b.first_seen)));
    out
}
