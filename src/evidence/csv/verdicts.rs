//! Tables of verdicts, written as they are told.

use std::collections::BTreeMap;
use std::io::{self, Write};

use super::{Rows, Tables};
use crate::evidence::assemble::results::{at_end, through};
use crate::evidence::paper::Exception;
use crate::evidence::text::{days, time, time_or};
use crate::model::finding::Verdict;

/// Controls by rule, in the framework's order, as one cell.
fn controls_of(tables: &Tables<'_>) -> BTreeMap<String, String> {
    let mut out: BTreeMap<String, String> = BTreeMap::new();
    for control in &tables.index.material.framework.controls {
        for mapping in &control.rules {
            let cell = out.entry(mapping.rule.clone()).or_default();
            if !cell.is_empty() {
                cell.push_str("; ");
            }
            cell.push_str(&control.id);
        }
    }
    out
}

/// Goes over all rules; the first error ends the writing.
fn each_rule(tables: &Tables<'_>, mut one: impl FnMut(usize, &str, &str) -> io::Result<()>) -> io::Result<()> {
    let controls = controls_of(tables);
    tables.index.rules.iter().enumerate().try_for_each(|(number, (id, _))| one(number, id, controls.get(&**id).map_or("", String::as_str)))
}

/// `findings.csv`
pub fn findings(tables: &Tables<'_>, out: &mut dyn Write) -> io::Result<u64> {
    let head = ["rule", "host", "host id", "subject", "verdict", "severity", "since", "last scan", "message", "reason", "remedy", "report", "controls"];
    let mut rows = Rows::new(out, &head)?;
    let members = &tables.paper.population;
    let mut failed = Ok(());
    each_rule(tables, |number, rule, controls| {
        let severity = tables.index.rules.get(number).and_then(|(_, r)| *r).map_or("", |r| r.severity.word());
        at_end(&tables.index, &tables.laid, members, number, &mut |told| {
            let Some(member) = members.get(told.host).filter(|_| failed.is_ok()) else { return };
            let reason = told.given.and_then(|t| t.reason.as_deref());
            failed = rows.row(&[
                rule,
                &member.name,
                &member.host.to_string(),
                told.given.map_or("", |t| &t.subject),
                told.verdict.word(),
                severity,
                &time_or(told.since, ""),
                &time_or(told.confirmed, ""),
                &told.message,
                &reason.map(|x| format!("{}: {}", x.id, x.detail)).unwrap_or_default(),
                reason.map_or("", |x| &x.remedy),
                &told.report.map(|d| d.to_string()).unwrap_or_default(),
                controls,
            ]);
        });
        std::mem::replace(&mut failed, Ok(()))
    })?;
    Ok(rows.written)
}

/// `history.csv`
pub fn history(tables: &Tables<'_>, out: &mut dyn Write) -> io::Result<u64> {
    let head = ["rule", "host", "host id", "subject", "verdict", "since", "until", "message", "waiver", "report"];
    let mut rows = Rows::new(out, &head)?;
    let mut failed = Ok(());
    each_rule(tables, |number, rule, _| {
        through(&tables.index, &tables.laid, number, &mut |span, _| {
            let (Some(host), Ok(())) = (tables.index.hosts.get(span.host), &failed) else { return };
            failed = rows.row(&[
                rule,
                &host.name,
                &host.id.to_string(),
                &span.given.subject,
                span.verdict.word(),
                &time(span.part.since),
                &time_or(span.part.until, ""),
                &span.given.message,
                &span.part.waiver,
                &tables.index.source(span.host, span.given).to_string(),
            ]);
        });
        std::mem::replace(&mut failed, Ok(()))
    })?;
    Ok(rows.written)
}

/// `exceptions.csv`
pub fn exceptions(tables: &Tables<'_>, out: &mut dyn Write) -> io::Result<u64> {
    let head = [
        "rule",
        "host",
        "host id",
        "subject",
        "verdict",
        "severity",
        "first seen",
        "resolved",
        "age (days)",
        "message",
        "owner",
        "due",
        "overdue",
        "cause",
        "resolution",
        "tested again",
        "by report",
        "waiver",
        "report",
        "controls",
    ];
    let mut rows = Rows::new(out, &head)?;
    let controls = controls_of(tables);
    let tested = tables.paper.controls.iter().filter(|c| !c.design.is_empty()).map(|c| c.id.as_str()).collect::<Vec<_>>().join("; ");
    for e in &tables.paper.exceptions {
        let controls = if e.rule.is_empty() { tested.as_str() } else { controls.get(&*e.rule).map_or("", String::as_str) };
        exception(&mut rows, e, controls)?;
    }
    Ok(rows.written)
}

fn exception(rows: &mut Rows<'_>, e: &Exception, controls: &str) -> io::Result<()> {
    let handling = &e.handling;
    let overdue = match (handling.due, handling.overdue) {
        (_, true) => "overdue",
        (None, _) if e.verdict == Verdict::Fail => "no due date",
        _ => "",
    };
    rows.row(&[
        &e.rule,
        &e.name,
        &e.host.to_string(),
        &e.subject,
        e.verdict.word(),
        e.severity.map_or("", |s| s.word()),
        &time(e.first_seen),
        &time_or(e.resolved, ""),
        &days(e.age),
        &e.message,
        &handling.owner,
        &time_or(handling.due, ""),
        overdue,
        &handling.cause,
        &handling.resolution,
        &time_or(handling.retested, ""),
        &handling.retest.map(|d| d.to_string()).unwrap_or_default(),
        &handling.waiver,
        &e.report.map(|d| d.to_string()).unwrap_or_default(),
        controls,
    ])
}
