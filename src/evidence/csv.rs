//! CSV files of a bundle (RFC 4180): every cell quoted, lines end in CR LF.
//!
//! A spreadsheet takes a cell that begins with `=`, `+`, `-`, `@` or a tab for a formula, so such a
//! cell gets an apostrophe in front. Control characters become U+FFFD.

use super::paper::Paper;
use super::text::{time, time_or, visible};

/// A CSV file as it grows.
#[derive(Debug)]
struct Table(String);

impl Table {
    fn new(head: &[&str]) -> Self {
        let mut table = Self(String::new());
        table.row(head);
        table
    }

    fn row<S: AsRef<str>>(&mut self, cells: &[S]) {
        for (i, cell) in cells.iter().enumerate() {
            if i > 0 {
                self.0.push(',');
            }
            self.0.push('"');
            self.0.push_str(&neutral(cell.as_ref()).replace('"', "\"\""));
            self.0.push('"');
        }
        self.0.push_str("\r\n");
    }

    fn bytes(self) -> Vec<u8> {
        self.0.into_bytes()
    }
}

/// A cell that no spreadsheet evaluates.
pub fn neutral(cell: &str) -> String {
    // Spreadsheets skip blanks before they look for a formula; a tab or line break is itself a trigger.
    let formula = cell.starts_with(['\t', '\r', '\n']) || cell.trim_start().starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠']);
    let cell = visible(cell);
    if formula { format!("'{cell}") } else { cell }
}

/// `controls.csv`
pub fn controls(paper: &Paper) -> Vec<u8> {
    let mut table = Table::new(&[
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
        "scans not run",
        "scans open",
        "exceptions",
        "pieces",
    ]);
    for c in &paper.controls {
        let mut row = vec![c.id.clone(), c.title.clone(), c.conclusion.word().into(), c.sentence.clone(), c.record.clone()];
        row.push(c.design.iter().map(|d| format!("{} ({})", d.rule, d.mapping)).collect::<Vec<_>>().join("; "));
        row.push(c.population.to_string());
        row.extend(c.counts.columns().map(|(_, n)| n.to_string()));
        row.extend([c.operation.planned, c.operation.done, c.operation.not_run, c.operation.open].map(|n| n.to_string()));
        row.extend([c.exceptions.len().to_string(), c.pieces.len().to_string()]);
        table.row(&row);
    }
    table.bytes()
}

/// `findings.csv`: results at the end of the period and exceptions during it, per control.
pub fn findings(paper: &Paper) -> Vec<u8> {
    let mut table = Table::new(&[
        "control",
        "list",
        "host",
        "host id",
        "rule",
        "subject",
        "verdict",
        "since",
        "resolved",
        "last scan",
        "message",
        "reason",
        "remedy",
        "report",
    ]);
    for c in &paper.controls {
        for r in &c.results {
            let reason = r.reason.as_ref();
            table.row(&[
                c.id.clone(),
                "result".into(),
                r.name.clone(),
                r.host.to_string(),
                r.rule.clone(),
                r.subject.clone(),
                r.verdict.word().into(),
                time_or(r.since, ""),
                String::new(),
                time_or(r.confirmed, ""),
                r.message.clone(),
                reason.map(|x| format!("{}: {}", x.id, x.detail)).unwrap_or_default(),
                reason.map(|x| x.remedy.clone()).unwrap_or_default(),
                r.report.map(|d| d.to_string()).unwrap_or_default(),
            ]);
        }
        for e in &c.exceptions {
            table.row(&[
                c.id.clone(),
                "exception".into(),
                e.name.clone(),
                e.host.to_string(),
                e.rule.clone(),
                e.subject.clone(),
                e.verdict.word().into(),
                time(e.first_seen),
                time_or(e.resolved, ""),
                String::new(),
                e.message.clone(),
                String::new(),
                String::new(),
                e.report.map(|d| d.to_string()).unwrap_or_default(),
            ]);
        }
    }
    table.bytes()
}

/// `population.csv`
pub fn population(paper: &Paper) -> Vec<u8> {
    let mut table = Table::new(&[
        "host",
        "host id",
        "operating system",
        "enrolled",
        "last seen",
        "state",
        "last complete scan",
        "reports",
        "scans planned",
        "scans done",
        "scans not run",
        "scans open",
    ]);
    for m in &paper.population {
        let mut row = vec![m.name.clone(), m.host.to_string(), m.os.clone(), time(m.enrolled_at), time_or(m.seen_at, "never")];
        row.push(if m.retired_at.is_some() { "retired" } else { "enrolled" }.into());
        row.extend([time_or(m.confirmed, "none"), m.reports.to_string()]);
        row.extend([m.windows.planned, m.windows.done, m.windows.not_run, m.windows.open].map(|n| n.to_string()));
        table.row(&row);
    }
    table.bytes()
}

/// `windows.csv`
pub fn windows(paper: &Paper) -> Vec<u8> {
    let mut table = Table::new(&["host", "host id", "window", "kind", "start", "end", "state", "scan ended", "report"]);
    for w in &paper.windows {
        let name = paper.population.iter().find(|m| m.host == w.host).map(|m| m.name.clone()).unwrap_or_default();
        table.row(&[
            name,
            w.host.to_string(),
            w.window.clone(),
            w.kind.into(),
            time(w.start),
            time(w.end),
            w.state.word().into(),
            time_or(w.finished, ""),
            w.report.map(|d| d.to_string()).unwrap_or_default(),
        ]);
    }
    table.bytes()
}

/// `pieces.csv`
pub fn pieces(paper: &Paper) -> Vec<u8> {
    let mut table = Table::new(&["piece", "control", "kind", "title", "file"]);
    for c in &paper.controls {
        for p in &c.pieces {
            table.row(&[p.number.as_str(), c.id.as_str(), p.kind, p.title.as_str(), p.path.as_str()]);
        }
    }
    table.bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_is_a_formula_and_quotes_are_doubled() {
        for bad in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "  =1", "＝1", "\n@x"] {
            assert!(neutral(bad).starts_with('\''), "{bad:?}");
        }
        for good in ["web01", "0.0.0.0:22/tcp", "a=b", ""] {
            assert_eq!(neutral(good), good);
        }
        let mut table = Table::new(&["a", "b"]);
        table.row(&["x\"y", "=cmd|' /C calc'!A0"]);
        assert_eq!(table.0, "\"a\",\"b\"\r\n\"x\"\"y\",\"'=cmd|' /C calc'!A0\"\r\n");
    }
}
