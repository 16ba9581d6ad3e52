//! Tables of hosts, scans, people, changes, records, samples and pieces.

use std::io::{self, Write};

use super::{Rows, Tables};
use crate::evidence::paper::{ControlPaper, WindowCount};
use crate::evidence::revocation;
use crate::evidence::text::{days, time, time_or};

/// `controls.csv`
pub fn controls(tables: &Tables<'_>, out: &mut dyn Write) -> io::Result<u64> {
    let head = [
        "control",
        "title",
        "conclusion",
        "sentence",
        "record",
        "rules",
        "hosts",
        "pass",
        "fail",
        "unknown",
        "waived",
        "not run",
        "not applicable",
        "scans planned",
        "scans done",
        "scans late",
        "scans aborted",
        "scans not run",
        "scans open",
        "exceptions",
        "pieces",
    ];
    let mut rows = Rows::new(out, &head)?;
    for c in &tables.paper.controls {
        rows.row(&control(c).iter().map(String::as_str).collect::<Vec<_>>())?;
    }
    Ok(rows.written)
}

fn control(c: &ControlPaper) -> Vec<String> {
    let mut row = vec![c.id.clone(), c.title.clone(), c.conclusion.word().into(), c.sentence.clone(), c.record.clone()];
    row.push(c.design.iter().map(|d| format!("{} ({})", d.rule, d.mapping)).collect::<Vec<_>>().join("; "));
    row.push(c.population.to_string());
    row.extend(c.counts.columns().map(|(_, n)| n.to_string()));
    row.extend(scans(&c.operation));
    row.extend([c.exceptions.len().to_string(), c.pieces.len().to_string()]);
    row
}

/// Planned, done in time, late, aborted, not run, open.
fn scans(count: &WindowCount) -> [String; 6] {
    let [done, late, aborted, not_run, open] = count.columns().map(|(_, n)| n.to_string());
    [count.planned.to_string(), done, late, aborted, not_run, open]
}

/// `population.csv`
pub fn population(tables: &Tables<'_>, out: &mut dyn Write) -> io::Result<u64> {
    let head = [
        "host",
        "host id",
        "operating system",
        "state",
        "first seen",
        "last seen",
        "taken out",
        "why",
        "replaced by",
        "last complete scan",
        "reports",
        "scans planned",
        "scans done",
        "scans late",
        "scans aborted",
        "scans not run",
        "scans open",
    ];
    let mut rows = Rows::new(out, &head)?;
    for m in &tables.paper.population {
        let mut row = vec![m.name.clone(), m.host.to_string(), m.os.clone(), m.state.word().into(), time(m.enrolled_at), time_or(m.seen_at, "never")];
        row.extend([time_or(m.retired_at, ""), m.retired_why.clone(), m.replaced_by.clone(), time_or(m.confirmed, "none"), m.reports.to_string()]);
        row.extend(scans(&m.windows));
        rows.row(&row.iter().map(String::as_str).collect::<Vec<_>>())?;
    }
    Ok(rows.written)
}

/// `reconciliation.csv`
pub fn reconciliation(tables: &Tables<'_>, out: &mut dyn Write) -> io::Result<u64> {
    let mut rows = Rows::new(out, &["host", "found"])?;
    if let Some(found) = &tables.paper.reconciliation {
        let lists = [
            (&found.only_here, "only here: enrolled, not in the second list"),
            (&found.only_listed, "only listed: in the second list, not enrolled"),
            (&found.retired_listed, "listed, and taken out here"),
            (&found.both, "in both"),
        ];
        for (name, word) in lists.iter().flat_map(|(names, word)| names.iter().map(move |n| (n, *word))) {
            rows.row(&[name, word])?;
        }
    }
    Ok(rows.written)
}

/// `windows.csv`
pub fn windows(tables: &Tables<'_>, out: &mut dyn Write) -> io::Result<u64> {
    let mut rows = Rows::new(out, &["host", "host id", "window", "kind", "start", "end", "state", "scan ended", "report"])?;
    for w in &tables.paper.windows {
        rows.row(&[
            &tables.index.name(&w.host),
            &w.host.to_string(),
            &w.window,
            w.kind,
            &time(w.start),
            &time(w.end),
            w.state.word(),
            &time_or(w.finished, ""),
            &w.report.map(|d| d.to_string()).unwrap_or_default(),
        ])?;
    }
    Ok(rows.written)
}

/// `coverage.csv`
pub fn coverage(tables: &Tables<'_>, out: &mut dyn Write) -> io::Result<u64> {
    let mut rows = Rows::new(out, &["window", "kind", "planned", "done", "late", "aborted", "not run", "open"])?;
    for week in &tables.paper.coverage {
        let [planned, done, late, aborted, not_run, open] = scans(&week.windows);
        rows.row(&[&week.week, week.kind, &planned, &done, &late, &aborted, &not_run, &open])?;
    }
    Ok(rows.written)
}

/// `people.csv`
pub fn people(tables: &Tables<'_>, out: &mut dyn Write) -> io::Result<u64> {
    let mut rows = Rows::new(out, &["person", "first listed", "joined in the period", "left"])?;
    for p in tables.paper.people.iter().flat_map(|p| &p.people) {
        rows.row(&[&p.person, &time(p.listed), if p.joined { "yes" } else { "" }, &time_or(p.left_at, "")])?;
    }
    Ok(rows.written)
}

/// `revocations.csv`
pub fn revocations(tables: &Tables<'_>, out: &mut dyn Write) -> io::Result<u64> {
    let head = [
        "person",
        "left",
        "host",
        "host id",
        "ways in (rules)",
        "last scan that saw one",
        "first scan that saw none",
        "at least (days)",
        "at most (days)",
        "resolution of scans (days)",
        "limit (days)",
        "state",
    ];
    let mut rows = Rows::new(out, &head)?;
    let mut failed = Ok(());
    if let Some(people) = &tables.paper.people {
        revocation::each(&tables.index, people, &mut |r| {
            if failed.is_err() {
                return;
            }
            let optional = |seconds: Option<i64>| seconds.map(days).unwrap_or_default();
            failed = rows.row(&[
                &r.person,
                &time(r.left_at),
                &r.name,
                &r.host.to_string(),
                &r.ways.join("; "),
                &time_or(r.last_seen, "none"),
                &time_or(r.first_gone, "none"),
                &days(r.at_least),
                &optional(r.at_most),
                &optional(r.at_most.map(|most| most - r.at_least)),
                &optional(r.limit),
                r.state().word(),
            ]);
        });
    }
    failed?;
    Ok(rows.written)
}

/// `changes.csv`
pub fn changes(tables: &Tables<'_>, out: &mut dyn Write) -> io::Result<u64> {
    let mut rows = Rows::new(out, &["ledger entry", "when", "kind", "change"])?;
    for c in &tables.paper.changes {
        rows.row(&[&c.leaf.to_string(), &time(c.at), &c.kind, &c.text])?;
    }
    Ok(rows.written)
}

/// `records.csv`: each kind of record once, with the controls that it serves.
pub fn records(tables: &Tables<'_>, out: &mut dyn Write) -> io::Result<u64> {
    let mut rows = Rows::new(out, &["record", "title", "subject", "entry", "state", "since", "until", "message", "statements", "controls"])?;
    let mut told: Vec<&str> = Vec::new();
    for record in tables.paper.controls.iter().flat_map(|c| &c.records) {
        if told.contains(&record.record.as_str()) {
            continue;
        }
        told.push(&record.record);
        let serves = |c: &&ControlPaper| c.records.iter().any(|r| r.record == record.record);
        let controls: Vec<&str> = tables.paper.controls.iter().filter(serves).map(|c| c.id.as_str()).collect();
        for s in &record.standings {
            rows.row(&[
                &record.record,
                &record.title,
                &s.subject,
                &s.entry.map(|e| e.to_string()).unwrap_or_default(),
                s.state.word(),
                &time(s.since),
                &time_or(s.until, ""),
                &s.message,
                &s.events.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
                &controls.join("; "),
            ])?;
        }
    }
    Ok(rows.written)
}

/// `samples.csv`
pub fn samples(tables: &Tables<'_>, out: &mut dyn Write) -> io::Result<u64> {
    let mut rows = Rows::new(out, &["control", "kind", "number", "item", "title", "rank"])?;
    for c in &tables.paper.controls {
        for s in &c.samples {
            rows.row(&[&c.id, s.kind, &s.number.to_string(), &s.item, &s.title, &s.rank.to_string()])?;
        }
    }
    Ok(rows.written)
}

/// `pieces.csv`
pub fn pieces(tables: &Tables<'_>, out: &mut dyn Write) -> io::Result<u64> {
    let mut rows = Rows::new(out, &["piece", "control", "kind", "title", "file"])?;
    for c in &tables.paper.controls {
        for p in &c.pieces {
            rows.row(&[&p.number, &c.id, p.kind, &p.title, &p.path])?;
        }
    }
    Ok(rows.written)
}
