//! From blobs to verdicts: the same engine as on the host, on the raw facts.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::basis::Basis;
use crate::advisory;
use crate::model::advisories::Derived;
use crate::model::fact::{self, Observation, StableFacts, VolatileFacts};
use crate::model::finding::{Counts, Finding, Verdict};
use crate::model::gap::{Gap, Gaps, reason};
use crate::model::ids::Address;
use crate::model::report::{Report, ScanKind};
use crate::rules::{self, Input};

/// Longest name of an operating system that is shown, characters.
const MAX_OS_NAME: usize = 120;

/// Plain blobs of one report by address.
pub type Plains = HashMap<Address, Vec<u8>>;

/// What a report observed. A blob that is absent (erased) or not readable is a gap over what it
/// held, never an empty list.
pub fn observation(report: &Report, plains: &Plains) -> Observation {
    let mut gaps = Gaps::new();
    match document::<Vec<Gap>>(plains, &report.gaps) {
        Ok(list) => gaps.extend(list),
        Err((id, detail)) => gaps.note("", "", "", id, format!("the list of gaps of the report {detail}"), "Scan the host again."),
    }
    let mut families = BTreeMap::new();
    for blobs in &report.facts {
        match family(&blobs.family, plains, &blobs.stable, &blobs.volatile) {
            Ok(value) => {
                families.insert(blobs.family.clone(), value);
            }
            Err((id, detail)) => gaps.note(&blobs.family, "", "", id, detail, "Scan the host again."),
        }
    }
    Observation { gathered_at: report.times.finished, families, gaps: gaps.into_sorted() }
}

/// A document, or the id and text of the gap in its place.
fn document<T: DeserializeOwned>(plains: &Plains, address: &Address) -> Result<T, (&'static str, String)> {
    let plain = plains.get(address).ok_or((reason::MISSING, format!("is erased (blob {address})")))?;
    serde_json::from_slice(plain).map_err(|e| (reason::MALFORMED, format!("is not readable (blob {address}): {e}")))
}

fn family(name: &str, plains: &Plains, stable: &Address, volatile: &Address) -> Result<Value, (&'static str, String)> {
    let called = |(id, detail): (&'static str, String)| (id, format!("the {name} facts: a blob {detail}"));
    let stable: StableFacts = document(plains, stable).map_err(called)?;
    let volatile: VolatileFacts = document(plains, volatile).map_err(called)?;
    if stable.family != name {
        return Err((reason::MALFORMED, format!("the {name} facts: the blob holds the family {:?}", stable.family)));
    }
    fact::merge(&stable, &volatile).map_err(|e| (reason::MALFORMED, format!("the {name} facts: {e}")))
}

/// The advisories that concern what was observed; `None`: there is no index.
pub fn advisories(basis: &Basis, observation: &Observation) -> Option<Derived> {
    basis.advisories.as_ref().map(|index| advisory::derive(observation, index))
}

/// The collector's verdicts on the observation of a report: its own thresholds and lists, the
/// rules that its kind of scan is for; a drift scan is for those that read only what it looked at.
pub fn judge(basis: &Basis, report: &Report, observation: &Observation, advisories: Option<&Derived>) -> Vec<Finding> {
    let input = Input { observation, policy: &basis.policy, against: basis.against(), advisories };
    match report.scan.kind {
        ScanKind::Drift => rules::evaluate_drift(&basis.pack, &input),
        kind => rules::evaluate_in(&basis.pack, &input, kind.cadence()),
    }
}

/// Verdicts of these rules on an observation of before: those that time alone can move at `now` (Unix seconds), the others at the time at which the
/// facts were gathered, for only a scan tells what became of them since.
pub fn again(basis: &Basis, observation: Observation, advisories: Option<&Derived>, now: i64, rules: &BTreeSet<String>) -> Vec<Finding> {
    let then = observation.gathered_at;
    let mut findings = Vec::new();
    let mut observation = observation;
    for (is_moved, at) in [(false, then), (true, now.max(then))] {
        observation.gathered_at = at;
        let input = Input { observation: &observation, policy: &basis.policy, against: basis.against(), advisories };
        if basis.pack.rules.iter().any(|r| r.time_alone == is_moved && rules.contains(&r.id)) {
            findings.extend(rules::evaluate_those(&basis.pack, &input, &|rule| rule.time_alone == is_moved && rules.contains(&rule.id)));
        }
    }
    findings
}

/// Whether the host came to other verdicts although it judged by the same pack and thresholds. A
/// roster or an index of advisories, which the agents do not have, makes the two not comparable.
pub fn disagrees(basis: &Basis, report: &Report, plains: &Plains, own: &[Finding]) -> bool {
    let without_lists = basis.against().is_empty() && basis.third_parties.is_none() && basis.advisories.is_none();
    let same_input = report.software.pack == basis.parts.rules && report.software.policy == basis.parts.policy && without_lists;
    if !same_input {
        return false;
    }
    let Ok(theirs) = document::<Vec<Finding>>(plains, &report.findings) else { return true };
    if report.scan.kind == ScanKind::Drift {
        return theirs.iter().any(|f| own.iter().any(|o| o.rule == f.rule && o.subject == f.subject && o.verdict != f.verdict));
    }
    let verdicts =
        |findings: &[Finding]| -> BTreeMap<(String, String), Verdict> { findings.iter().map(|f| ((f.rule.clone(), f.subject.clone()), f.verdict)).collect() };
    report.counts != Counts::of(&theirs) || verdicts(&theirs) != verdicts(own)
}

/// Name of the operating system, if the facts tell it.
pub fn os_name(observation: &Observation) -> Option<String> {
    let name = observation.families.get("os")?.get("pretty_name")?.as_str()?;
    Some(name.chars().filter(|c| !c.is_control()).take(MAX_OS_NAME).collect())
}
