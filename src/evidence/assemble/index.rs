//! The material arranged, so that nothing is found by reading all of it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::evidence::material::{Host, Material, ReportMeta, Rule, Transition};
use crate::model::ids::{Digest, HostId};
use crate::model::report::{Cadence, ScanKind, ScanState};

/// One transition of a rule that the framework names.
#[derive(Clone, Copy, Debug)]
struct Place {
    rule: u32,
    host: u32,
    /// In [`Material::findings`].
    finding: u32,
}

/// The population, its reports and its verdicts, by position.
#[derive(Debug)]
pub struct Index<'m> {
    /// What is arranged.
    pub material: &'m Material,
    /// The population by name then id: hosts that were not taken out before the period began.
    pub hosts: Vec<&'m Host>,
    /// Their names, to be shared.
    pub names: Vec<Arc<str>>,
    /// Rules that the framework names (all of the pack, if it names none), sorted; `None`: the pack does not hold it.
    pub rules: Vec<(Arc<str>, Option<&'m Rule>)>,
    positions: HashMap<HostId, u32>,
    reports: Vec<Vec<&'m ReportMeta>>,
    spans: Vec<Place>,
}

impl<'m> Index<'m> {
    /// Arranges it.
    pub fn new(material: &'m Material) -> Self {
        let start = material.period.start();
        let mut hosts: Vec<&Host> = material.hosts.iter().filter(|h| h.retired_at.is_none_or(|at| at > start)).collect();
        hosts.sort_by(|a, b| (&a.name, a.id).cmp(&(&b.name, b.id)));
        let positions: HashMap<HostId, u32> = hosts.iter().zip(0..).map(|(h, n)| (h.id, n)).collect();
        let mut reports: Vec<Vec<&ReportMeta>> = vec![Vec::new(); hosts.len()];
        for report in &material.reports {
            if let Some(own) = positions.get(&report.host).and_then(|n| reports.get_mut(*n as usize)) {
                own.push(report);
            }
        }
        reports.iter_mut().for_each(|own| own.sort_by_key(|r| (r.finished, r.digest)));
        let known: BTreeMap<&str, &Rule> = material.rules.iter().map(|r| (r.id.as_str(), r)).collect();
        let mut named: Vec<&str> = material.framework.controls.iter().flat_map(|c| c.rules.iter().map(|m| m.rule.as_str())).collect();
        // A page that names no rule is about all of them: how exceptions are handled, who looked.
        if named.is_empty() {
            named.extend(material.rules.iter().map(|r| r.id.as_str()));
        }
        named.sort_unstable();
        named.dedup();
        let rules: Vec<(Arc<str>, Option<&Rule>)> = named.into_iter().map(|id| (id.into(), known.get(id).copied())).collect();
        let spans = spans(material, &rules, &positions);
        let names = hosts.iter().map(|h| h.name.as_str().into()).collect();
        Self { material, hosts, names, rules, positions, reports, spans }
    }

    /// Position of a host in the population.
    pub fn position(&self, host: &HostId) -> Option<usize> {
        self.positions.get(host).map(|n| *n as usize)
    }

    /// Name of any host of the material; its id when it is none.
    pub fn name(&self, host: &HostId) -> String {
        let member = self.position(host).and_then(|n| self.hosts.get(n).copied());
        member.or_else(|| self.material.hosts.iter().find(|h| h.id == *host)).map_or_else(|| host.to_string(), |h| h.name.clone())
    }

    /// Position of a rule.
    pub fn rule(&self, id: &str) -> Option<usize> {
        self.rules.binary_search_by(|(rule, _)| (**rule).cmp(id)).ok()
    }

    /// Reports of a host in the order of their end.
    pub fn reports(&self, host: usize) -> &[&'m ReportMeta] {
        self.reports.get(host).map_or(&[], Vec::as_slice)
    }

    /// The report of a host that ended at this second.
    pub fn report_at(&self, host: usize, second: i64) -> Option<&'m ReportMeta> {
        let reports = self.reports(host);
        reports.get(reports.partition_point(|r| r.finished < second)).copied().filter(|r| r.finished == second)
    }

    /// The digest of the report that brought a verdict: a verdict that was told in other words since has its first report.
    pub fn source(&self, host: usize, transition: &Transition) -> Digest {
        self.report_at(host, transition.since).map_or(transition.report, |r| r.digest)
    }

    /// Verdicts of a rule, host by host, of each those of one subject together and in time.
    pub fn by_host(&self, rule: usize) -> impl Iterator<Item = (usize, Vec<&'m Transition>)> + '_ {
        let findings = &self.material.findings;
        let from = self.spans.partition_point(|s| (s.rule as usize) < rule);
        let to = self.spans.partition_point(|s| (s.rule as usize) <= rule);
        let mut rest = self.spans.get(from..to).unwrap_or(&[]);
        (0..self.hosts.len()).map(move |host| {
            let own = rest.partition_point(|s| s.host as usize <= host);
            let (now, later) = rest.split_at_checked(own).unwrap_or((rest, &[]));
            rest = later;
            (host, now.iter().filter_map(|s| findings.get(s.finding as usize)).collect())
        })
    }
}

fn spans(material: &Material, rules: &[(Arc<str>, Option<&Rule>)], positions: &HashMap<HostId, u32>) -> Vec<Place> {
    let numbers: HashMap<&str, u32> = rules.iter().zip(0..).map(|((id, _), n)| (&**id, n)).collect();
    let (start, end) = (material.period.start(), material.period.end());
    let inside = |t: &Transition| t.since < end && t.until.is_none_or(|u| u > start && u > t.since);
    let mut out: Vec<Place> = material
        .findings
        .iter()
        .zip(0..)
        .filter(|(t, _)| inside(t))
        .filter_map(|(t, finding)| Some(Place { rule: *numbers.get(&*t.rule)?, host: *positions.get(&t.host)?, finding }))
        .collect();
    let told = |s: &Place| material.findings.get(s.finding as usize).map(|t| (&t.subject, t.since));
    out.sort_unstable_by(|a, b| (a.rule, a.host).cmp(&(b.rule, b.host)).then_with(|| told(a).cmp(&told(b))).then(a.finding.cmp(&b.finding)));
    out
}

/// Whether a report tells how rules of this cadence stood. A drift scan reads a few families only: it
/// confirms nothing about the rest.
pub fn confirms(report: &ReportMeta, cadence: Cadence) -> bool {
    report.state == ScanState::Complete && report.kind != ScanKind::Drift && report.kind.cadence() >= cadence
}
