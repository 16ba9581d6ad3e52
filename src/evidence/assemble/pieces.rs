//! Numbered pieces of evidence: each names a file of the bundle.

use std::sync::Arc;

use super::Whole;
use super::index::Index;
use crate::evidence::paper::{ControlPaper, Piece};
use crate::evidence::revocation;
use crate::evidence::text::{count, time};

/// Files that belong to one host, told once for all controls.
#[derive(Debug)]
pub struct OfHost {
    key: (Arc<str>, Arc<str>),
    reports: Option<(Arc<str>, Arc<str>)>,
}

/// The files of every host of the population.
pub fn of_hosts(index: &Index<'_>) -> Vec<OfHost> {
    let of = |(position, host): (usize, &&crate::evidence::material::Host)| {
        let reports = index.reports(position);
        let key = (format!("Key and enrolment of {}", host.name).into(), format!("hosts/{}.json", host.id).into());
        let title = || {
            let ends = reports.first().zip(reports.last()).map(|(a, b)| format!(", {} to {}", time(a.finished), time(b.finished))).unwrap_or_default();
            format!("{} of {}{ends}", count(reports.len(), "signed report", "signed reports"), host.name)
        };
        OfHost { key, reports: (!reports.is_empty()).then(|| (title().into(), reports_path(&host.id).into())) }
    };
    index.hosts.iter().enumerate().map(of).collect()
}

fn reports_path(host: &crate::model::ids::HostId) -> String {
    format!("reports/{host}.jsonl")
}

/// The pieces of a control, numbered.
pub fn pieces(index: &Index<'_>, whole: &Whole<'_>, control: &ControlPaper) -> Vec<Piece> {
    let mut list: Vec<(&'static str, Arc<str>, Arc<str>)> = Vec::new();
    let mut add = |kind, title: &str, path: &str| list.push((kind, title.into(), path.into()));
    let own = format!("controls/{}.json", control.id);
    let (tested, fleet) = (!control.design.is_empty(), !control.fleet.is_empty());
    if !tested && !fleet && control.records.is_empty() {
        return Vec::new();
    }
    if tested {
        add("design", "Rules that test the control, and why", &own);
    }
    if tested || fleet {
        add("population", "Hosts that count, with first and last seen", "population.csv");
        add("population", "The population beside a second list", "reconciliation.csv");
        add("operation", "Planned scans and what became of them", "windows.csv");
        add("operation", "Planned scans counted by week and month", "coverage.csv");
    }
    if tested {
        add("results", "Results at the end of the period", "findings.csv");
        add("results", "Results through the period, with since and until", "history.csv");
    }
    if tested || fleet {
        add("results", "Exceptions with age, owner, cause, resolution, test after it and waiver", "exceptions.csv");
    }
    if fleet {
        add("table", "Changes of what is judged, by what, or by whom", "changes.csv");
        add("table", "How each list was made", "lists.csv");
    }
    let leavers = control.design.iter().any(|d| revocation::RULES.contains(&d.rule.as_str()));
    if leavers || fleet {
        add("table", "Time until people who left had no way in", "revocations.csv");
        add("population", "People of the roster", "people.csv");
    }
    if !control.samples.is_empty() {
        add("sample", "Samples drawn by the auditor's seed", "samples.csv");
    }
    records(index, control, &mut add);
    if tested {
        for host in whole.files {
            list.push(("host", host.key.0.clone(), host.key.1.clone()));
            list.extend(host.reports.iter().map(|(title, path)| ("report", title.clone(), path.clone())));
        }
    }
    list.extend(scans(whole, control));
    let number =
        |(i, (kind, title, path)): (usize, (&'static str, Arc<str>, Arc<str>))| Piece { number: format!("{}-{:03}", control.id, i + 1), kind, title, path };
    list.into_iter().enumerate().map(number).collect()
}

/// What people recorded for the control.
fn records(index: &Index<'_>, control: &ControlPaper, add: &mut dyn FnMut(&'static str, &str, &str)) {
    if control.records.is_empty() {
        return;
    }
    add("record", "How the records stood", "records.csv");
    add("record", "What was recorded, event by event", "records/events.jsonl");
    let ours = |id: &str| control.records.iter().any(|r| r.record == id);
    for one in index.material.records.iter().filter(|r| ours(&r.event.record)) {
        for file in one.event.files.iter().filter(|f| index.material.files.contains_key(&f.sha256)) {
            let title = format!("{}: {}, recorded {} by {}", one.event.record, file.name, time(one.event.at), one.event.by);
            add("record", &title, &format!("records/files/{}", file.sha256));
        }
    }
}

/// The report of each sampled scan.
fn scans<'a>(whole: &'a Whole<'_>, control: &'a ControlPaper) -> impl Iterator<Item = (&'static str, Arc<str>, Arc<str>)> + 'a {
    let sampled = control.samples.iter().filter(|s| s.kind == "scan");
    sampled.filter_map(|sample| {
        let window = whole.populations.window(&sample.item)?;
        let report = window.report?;
        let title = format!("Sample {}: {}, signed report {report}", sample.number, sample.title);
        Some(("scan", title.into(), reports_path(&window.host).into()))
    })
}
