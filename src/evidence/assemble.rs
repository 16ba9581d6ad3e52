//! Material to working paper: pure, in a fixed order.
//!
//! Truth first: a verdict counts only for a host with a complete scan in the bundle; a rule without
//! a verdict is `not run`; a control without rules needs a person's record and is never green.

use std::collections::BTreeMap;

use super::material::{Control, Material, ReportMeta, Transition};
use super::paper::{CONTROL_FORMAT, Conclusion, ControlPaper, Cover, Design, Exception, Handling, Member, Outcome, Paper, Piece, Tally, WindowCount};
use super::text::count;
use super::windows::{Window, WindowState, windows};
use crate::ledger::{Checkpoint, CheckpointError, checkpoint};
use crate::model::finding::Verdict;
use crate::model::ids::HostId;
use crate::model::report::{Cadence, ScanKind, ScanState};

/// Why material is no evidence.
#[derive(Debug, thiserror::Error)]
pub enum AssembleError {
    /// The checkpoint is not signed by the ledger key.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// A control id that can't be a file name.
    #[error("framework {framework}: control id {id:?} must be 1 to 40 letters, digits, dots or dashes")]
    ControlId {
        /// Framework.
        framework: String,
        /// Control.
        id: String,
    },
}

/// The working paper.
pub fn assemble(material: &Material) -> Result<Paper, AssembleError> {
    let checkpoint = checkpoint::open(&material.checkpoint, &material.verifier)?;
    let windows = windows(&material.period, material.as_of, &material.hosts, &material.reports);
    let population = population(material, &windows);
    let controls = material.framework.controls.iter().map(|c| control(material, c, &population, &windows)).collect::<Result<_, _>>()?;
    Ok(Paper {
        cover: cover(material, &checkpoint),
        population,
        reconciliation: None,
        windows,
        coverage: Vec::new(),
        revocations: Vec::new(),
        changes: Vec::new(),
        controls,
        lists: Vec::new(),
        notes: notes(material),
    })
}

/// Whether a report tells how rules of this cadence stood. A drift scan reads a few families only: it
/// confirms nothing about the rest.
fn confirms(report: &ReportMeta, cadence: Cadence) -> bool {
    report.state == ScanState::Complete && report.kind != ScanKind::Drift && report.kind.cadence() >= cadence
}

fn cover(material: &Material, checkpoint: &Checkpoint) -> Cover {
    let retired = material.hosts.iter().filter(|h| h.retired_at.is_some()).count();
    let mut scope = format!("all {} enrolled before the end of the period", count(material.hosts.len(), "host", "hosts"));
    if retired > 0 {
        scope.push_str(&format!(", {retired} of them retired"));
    }
    Cover {
        framework: material.framework.id.clone(),
        title: material.framework.title.clone(),
        version: material.framework.version.clone(),
        source: material.framework.source.clone(),
        from: material.period.from.to_string(),
        to: material.period.to.to_string(),
        is_date: material.period.is_date(),
        as_of: material.as_of.to_string(),
        scope,
        ledger: material.verifier.to_string(),
        checkpoint_size: checkpoint.size,
        checkpoint_root: checkpoint.root,
        pack: material.pack,
        reports: material.reports.len(),
    }
}

fn population(material: &Material, windows: &[Window]) -> Vec<Member> {
    let end = material.period.end();
    let mut members: Vec<Member> = material
        .hosts
        .iter()
        .map(|host| {
            let own = || material.reports.iter().filter(|r| r.host == host.id);
            let confirmed = |cadence| own().filter(|r| confirms(r, cadence) && r.finished < end).map(|r| r.finished).max();
            Member {
                host: host.id,
                name: host.name.clone(),
                os: host.os.clone(),
                enrolled_at: host.enrolled_at,
                seen_at: host.seen_at,
                retired_at: host.retired_at,
                retired_why: host.retired_why.clone(),
                confirmed: confirmed(Cadence::Weekly),
                confirmed_monthly: confirmed(Cadence::Monthly),
                reports: own().count(),
                windows: WindowCount::of(windows.iter().filter(|w| w.host == host.id)),
            }
        })
        .collect();
    members.sort_by(|a, b| (&a.name, a.host).cmp(&(&b.name, b.host)));
    members
}

fn notes(material: &Material) -> Vec<String> {
    let mut notes = Vec::new();
    if material.unsequenced > 0 {
        notes.push(format!(
            "{} of the period came after the checkpoint and are not in this bundle: export again.",
            count(usize::try_from(material.unsequenced).unwrap_or(usize::MAX), "report", "reports")
        ));
    }
    let unproved = material.hosts.iter().filter(|h| h.enrolment.is_none()).count();
    if unproved > 0 {
        notes.push(format!("{} without an enrolment leaf in the ledger.", count(unproved, "host is", "hosts are")));
    }
    if material.erased > 0 {
        let erased = usize::try_from(material.erased).unwrap_or(usize::MAX);
        notes.push(format!("{} named by reports and no longer kept (erased or lost): those facts can't be shown.", count(erased, "blob is", "blobs are")));
    }
    let aborted = material.reports.iter().filter(|r| r.state == ScanState::Aborted).count();
    if aborted > 0 {
        notes.push(format!("{} ended early; they fulfil no window.", count(aborted, "scan", "scans")));
    }
    notes.push("Hosts that were never enrolled do not appear here: compare the population with your own inventory.".into());
    notes
}

fn control(material: &Material, control: &Control, population: &[Member], windows: &[Window]) -> Result<ControlPaper, AssembleError> {
    if control.id.is_empty() || control.id.len() > 40 || !control.id.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-')) {
        return Err(AssembleError::ControlId { framework: material.framework.id.clone(), id: control.id.clone() });
    }
    let tested = !control.rules.is_empty();
    let results = results(material, control, population);
    let exceptions = if tested { exceptions(material, control, population, windows) } else { Vec::new() };
    let mut counts = Tally::default();
    results.iter().for_each(|r| counts.add(r.verdict));
    let operation = if tested { WindowCount::of(windows) } else { WindowCount::default() };
    let conclusion = if !tested && control.record.is_empty() { Conclusion::Derived } else { conclude(tested, &counts, &exceptions, population.len()) };
    Ok(ControlPaper {
        format: CONTROL_FORMAT,
        id: control.id.clone(),
        title: control.title.clone(),
        text: control.text.clone(),
        conclusion,
        sentence: sentence(conclusion, &results, &exceptions, population.len(), &operation),
        fleet: control.fleet.clone(),
        record: control.record.clone(),
        design: design(material, control, &results),
        population: population.len(),
        operation,
        counts,
        results,
        exceptions,
        records: Vec::new(),
        samples: Vec::new(),
        pieces: if tested { pieces(control, population, &material.reports) } else { Vec::new() },
    })
}

fn design(material: &Material, control: &Control, results: &[Outcome]) -> Vec<Design> {
    let describe = |mapping: &super::material::Mapping| {
        let rule = material.rules.iter().find(|r| r.id == mapping.rule);
        let mut counts = Tally::default();
        results.iter().filter(|r| r.rule == mapping.rule).for_each(|r| counts.add(r.verdict));
        Design {
            rule: mapping.rule.clone(),
            title: rule.map_or_else(|| "not in the installed rule pack".into(), |r| r.title.clone()),
            mapping: mapping.mapping.clone(),
            severity: rule.map(|r| r.severity),
            why: rule.map(|r| r.why.clone()).unwrap_or_default(),
            verify: rule.map(|r| r.verify.clone()).unwrap_or_default(),
            counts,
        }
    };
    control.rules.iter().map(describe).collect()
}

/// One row per host, rule and subject as it was at the last second of the period.
fn results(material: &Material, control: &Control, population: &[Member]) -> Vec<Outcome> {
    let end = material.period.end();
    let mut standing: BTreeMap<(HostId, &str), Vec<&Transition>> = BTreeMap::new();
    for t in material.findings.iter().filter(|t| t.since < end && t.until.is_none_or(|u| u >= end)) {
        standing.entry((t.host, &*t.rule)).or_default().push(t);
    }
    let mut out = Vec::new();
    for mapping in &control.rules {
        let cadence = material.rules.iter().find(|r| r.id == mapping.rule).map_or(Cadence::Weekly, |r| r.cadence);
        for member in population {
            let confirmed = if cadence == Cadence::Monthly { member.confirmed_monthly } else { member.confirmed };
            let row = |t: Option<&&Transition>, verdict, message: String| Outcome {
                host: member.host,
                name: member.name.clone(),
                rule: mapping.rule.clone(),
                subject: t.map(|t| t.subject.to_string()).unwrap_or_default(),
                verdict,
                message,
                reason: t.and_then(|t| t.reason.as_deref().cloned()),
                since: t.map(|t| t.since),
                confirmed,
                report: t.map(|t| t.report),
            };
            let found = standing.get(&(member.host, mapping.rule.as_str()));
            match (confirmed, found) {
                (None, _) if member.confirmed.is_some() => {
                    out.push(row(None, Verdict::NotRun, "no complete monthly or on-demand scan of this host in the period".into()));
                }
                (None, _) => out.push(row(None, Verdict::NotRun, "no complete scan of this host in the period".into())),
                (Some(_), None) => out.push(row(None, Verdict::NotRun, "the scans of this host gave no verdict of this rule".into())),
                (Some(_), Some(found)) => {
                    let mut found = found.clone();
                    found.sort_by(|a, b| (&a.subject, a.since).cmp(&(&b.subject, b.since)));
                    out.extend(found.iter().map(|t| row(Some(t), t.verdict, t.message.to_string())));
                }
            }
        }
    }
    out
}

fn exceptions(material: &Material, control: &Control, population: &[Member], windows: &[Window]) -> Vec<Exception> {
    let (start, end) = (material.period.start(), material.period.end());
    let name = |host: &HostId| population.iter().find(|m| m.host == *host).map(|m| m.name.clone());
    let mut out: Vec<Exception> = Vec::new();
    for t in &material.findings {
        let bad = matches!(t.verdict, Verdict::Fail | Verdict::Unknown | Verdict::Waived | Verdict::NotRun);
        let overlaps = t.since < end && t.until.is_none_or(|u| u > start);
        let ours = control.rules.iter().any(|m| *m.rule == *t.rule);
        let Some(name) = name(&t.host).filter(|_| bad && overlaps && ours) else { continue };
        out.push(Exception {
            host: t.host,
            name,
            rule: t.rule.to_string(),
            subject: t.subject.to_string(),
            verdict: t.verdict,
            severity: Some(t.severity),
            message: t.message.to_string(),
            first_seen: t.since,
            resolved: t.until.filter(|u| *u < end),
            report: Some(t.report),
            age: t.until.unwrap_or(end).min(end).saturating_sub(t.since),
            handling: Handling::default(),
        });
    }
    for w in windows.iter().filter(|w| matches!(w.state, WindowState::NotRun | WindowState::Aborted)) {
        out.push(Exception {
            host: w.host,
            name: name(&w.host).unwrap_or_default(),
            rule: String::new(),
            subject: w.window.clone(),
            verdict: Verdict::NotRun,
            severity: None,
            message: match w.state {
                WindowState::Aborted => format!("the {} scan of {} was stopped by a limit and not repeated", w.kind, w.window),
                _ => format!("no complete {} scan in {}", w.kind, w.window),
            },
            first_seen: w.end,
            resolved: None,
            report: w.report,
            age: end.saturating_sub(w.end).max(0),
            handling: Handling::default(),
        });
    }
    let rank = |e: &Exception| (e.verdict == Verdict::NotRun, e.verdict != Verdict::Fail, std::cmp::Reverse(e.severity));
    out.sort_by(|a, b| (rank(a), &a.rule, &a.name, a.host, &a.subject, a.first_seen).cmp(&(rank(b), &b.rule, &b.name, b.host, &b.subject, b.first_seen)));
    out
}

fn conclude(tested: bool, counts: &Tally, exceptions: &[Exception], population: usize) -> Conclusion {
    if !tested {
        return Conclusion::Record;
    }
    let any = |v: Verdict, n: u64| n > 0 || exceptions.iter().any(|e| e.verdict == v);
    if any(Verdict::Fail, counts.fail) {
        Conclusion::Exceptions
    } else if population == 0 || any(Verdict::NotRun, counts.not_run) {
        Conclusion::NotRun
    } else if any(Verdict::Unknown, counts.unknown) {
        Conclusion::Unknown
    } else if any(Verdict::Waived, counts.waived) {
        Conclusion::Waived
    } else if counts.pass == 0 {
        Conclusion::NotApplicable
    } else {
        Conclusion::NoExceptions
    }
}

fn sentence(conclusion: Conclusion, results: &[Outcome], exceptions: &[Exception], population: usize, operation: &WindowCount) -> String {
    let on = |v: Verdict| {
        let mut hosts: Vec<HostId> = results.iter().filter(|r| r.verdict == v).map(|r| r.host).collect();
        hosts.extend(exceptions.iter().filter(|e| e.verdict == v).map(|e| e.host));
        hosts.sort_unstable();
        hosts.dedup();
        format!("{} of {}", hosts.len(), count(population, "host", "hosts"))
    };
    let open = exceptions.iter().filter(|e| e.resolved.is_none() && e.verdict == Verdict::Fail).count();
    let scans = format!("{} of {} done", operation.done, count(usize::try_from(operation.planned).unwrap_or(usize::MAX), "planned scan", "planned scans"));
    match conclusion {
        Conclusion::Record => "No rule tests this control: it needs a person's record.".into(),
        Conclusion::Derived => "No rule tests this control: it is read from the tables of this bundle.".into(),
        Conclusion::NotApplicable => format!("No rule applies to any of {}; {scans}.", count(population, "host", "hosts")),
        Conclusion::NoExceptions => format!("Every rule passed on {} where it applies; {scans}.", count(population, "host", "hosts")),
        Conclusion::Waived => format!("Failures on {} are covered by waivers; {scans}.", on(Verdict::Waived)),
        Conclusion::Unknown => format!("Not everything could be told on {}; {scans}.", on(Verdict::Unknown)),
        Conclusion::NotRun if population == 0 => "The population is empty: nothing was tested.".into(),
        Conclusion::NotRun => format!("Planned scans or results are missing on {}; {scans}.", on(Verdict::NotRun)),
        Conclusion::Exceptions => format!("Rules failed on {}, {} open at the end; {scans}.", on(Verdict::Fail), count(open, "failure", "failures")),
    }
}

fn pieces(control: &Control, population: &[Member], reports: &[ReportMeta]) -> Vec<Piece> {
    let own = format!("controls/{}.json", control.id);
    let mut list: Vec<(&'static str, String, String)> = vec![
        ("design", "Rules that test the control, and why".into(), own.clone()),
        ("population", "Hosts that count".into(), "population.csv".into()),
        ("operation", "Planned scans and what became of them".into(), "windows.csv".into()),
        ("results", "Results at the end of the period and exceptions during it".into(), own),
    ];
    for member in population {
        list.push(("population", format!("Key and enrolment of {}", member.name), format!("hosts/{}.json", member.host)));
        let mut own: Vec<&ReportMeta> = reports.iter().filter(|r| r.host == member.host).collect();
        own.sort_by_key(|r| (r.finished, r.digest));
        for report in own {
            let window = report.window.as_deref().map(|w| format!(" for {w}")).unwrap_or_default();
            let title = format!("Signed report of {}, {} scan{window}, {}", member.name, report.kind.word(), super::text::time(report.finished));
            list.push(("report", title, format!("reports/{}.json", report.digest)));
        }
    }
    let number =
        |(i, (kind, title, path)): (usize, (&'static str, String, String))| Piece { number: format!("{}-{:03}", control.id, i + 1), kind, title, path };
    list.into_iter().enumerate().map(number).collect()
}
