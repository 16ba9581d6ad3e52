//! The sheet of a control: design, population, operation, results, exceptions, records, samples, pieces.

use rust_xlsxwriter::XlsxError;

use super::sheet::{Cell, Sheet};
use crate::evidence::paper::{ControlPaper, Design, Exception, Outcome};
use crate::evidence::text::{count, days, time, time_or};

/// Most rows of one table of a control.
const MAX_ROWS: usize = 300;
/// Columns of exceptions and their widths.
pub(super) const EXCEPTION_HEAD: [(&str, f64); 16] = [
    ("Host", 24.0),
    ("Rule", 30.0),
    ("Subject", 28.0),
    ("Verdict", 12.0),
    ("Severity", 10.0),
    ("First seen", 24.0),
    ("Resolved", 24.0),
    ("Age, days", 10.0),
    ("Owner", 16.0),
    ("Due", 24.0),
    ("Overdue", 10.0),
    ("Cause", 30.0),
    ("Resolution", 30.0),
    ("Test after it", 24.0),
    ("Waiver", 40.0),
    ("Message", 60.0),
];

/// Writes the sheet.
pub(super) fn write(sheet: &mut Sheet<'_>, control: &ControlPaper) -> Result<(), XlsxError> {
    sheet.widths(&[24.0, 36.0, 30.0, 14.0, 14.0, 24.0, 24.0, 12.0, 18.0, 24.0, 12.0, 30.0, 30.0, 24.0, 40.0, 60.0])?;
    sheet.title(&format!("{} · {}", control.id, control.title))?;
    sheet.back("Contents")?;
    sheet.pair("Conclusion", control.conclusion.word())?;
    sheet.pair("In a sentence", &control.sentence)?;
    for (name, text) in [("What it asks for", &control.text), ("What the tables tell", &control.fleet), ("To be recorded", &control.record)] {
        if !text.is_empty() {
            sheet.pair(name, text)?;
        }
    }
    design(sheet, control)?;
    operation(sheet, control)?;
    results(sheet, control)?;
    let exceptions = control.exceptions.iter().map(|e| exception(e));
    sheet.table("Exceptions", &EXCEPTION_HEAD, exceptions, MAX_ROWS, "exceptions.csv")?;
    records(sheet, control)?;
    samples(sheet, control)?;
    let head = [("Piece", 24.0), ("Title", 36.0), ("File of the bundle", 30.0), ("Kind", 14.0)];
    let piece = |p: &crate::evidence::paper::Piece| vec![p.number.clone().into(), text(&p.title), text(&p.path), p.kind.into()];
    sheet.table("Pieces", &head, control.pieces.iter().map(piece), MAX_ROWS, "pieces.csv")
}

fn text(text: &str) -> Cell {
    Cell::from(text)
}

fn design(sheet: &mut Sheet<'_>, control: &ControlPaper) -> Result<(), XlsxError> {
    let head = [
        ("Rule", 24.0),
        ("Title", 36.0),
        ("Why it matters", 30.0),
        ("Mapping", 14.0),
        ("Severity", 14.0),
        ("How to see it oneself", 24.0),
        ("Pass", 24.0),
        ("Fail", 12.0),
        ("Unknown", 18.0),
        ("Waived", 24.0),
        ("Not run", 12.0),
        ("Not applicable", 30.0),
    ];
    let row = |d: &Design| {
        let severity = d.severity.map_or("", |s| s.word());
        let mut cells = vec![text(&d.rule), text(&d.title), text(&d.why), text(&d.mapping), severity.into(), text(&d.verify)];
        cells.extend(d.counts.columns().map(|(_, n)| Cell::from(n)));
        cells
    };
    sheet.table("Design: rules that test it, and their results at the end of the period", &head, control.design.iter().map(row), MAX_ROWS, "controls.csv")
}

fn operation(sheet: &mut Sheet<'_>, control: &ControlPaper) -> Result<(), XlsxError> {
    let hosts = count(control.population, "host", "hosts");
    sheet.skip();
    sheet.heading("Population")?;
    sheet.line(&format!("{hosts}, {} of them owed results at the end of the period: sheet Population", control.standing))?;
    let head = [("Planned scans", 24.0), ("Done in time", 36.0), ("Late", 30.0), ("Aborted", 14.0), ("Not run", 14.0), ("Open", 24.0)];
    let mut cells = vec![Cell::from(control.operation.planned)];
    cells.extend(control.operation.columns().map(|(_, n)| Cell::from(n)));
    let rows = if control.design.is_empty() { Vec::new() } else { vec![cells] };
    sheet.table("Operation through the period: each planned scan is in sheet Windows", &head, rows.into_iter(), MAX_ROWS, "windows.csv")
}

fn results(sheet: &mut Sheet<'_>, control: &ControlPaper) -> Result<(), XlsxError> {
    let head = [
        ("Host", 24.0),
        ("Rule", 36.0),
        ("Subject", 30.0),
        ("Verdict", 14.0),
        ("Report", 14.0),
        ("Since", 24.0),
        ("Last complete scan", 24.0),
        ("Reason", 12.0),
        ("Remedy", 18.0),
        ("Message", 24.0),
    ];
    let row = |r: &Outcome| {
        let reason = r.reason.as_deref();
        let why = reason.map(|x| format!("{}: {}", x.id, x.detail)).unwrap_or_default();
        let remedy = reason.map(|x| x.remedy.clone()).unwrap_or_default();
        let mut cells = vec![text(&r.name), text(&r.rule), text(&r.subject), r.verdict.word().into(), Cell::code_or_empty(r.report)];
        cells.extend([time_or(r.since, ""), time_or(r.confirmed, "none"), why, remedy].map(Cell::from));
        cells.push(text(&r.message));
        cells
    };
    let title = "Results at the end of the period that neither pass nor are not applicable";
    sheet.table(title, &head, control.results.iter().map(|r| row(r)), MAX_ROWS, "findings.csv")
}

/// The cells of an exception.
pub(super) fn exception(e: &Exception) -> Vec<Cell> {
    let h = &e.handling;
    let mut cells = vec![text(&e.name), text(&e.rule), text(&e.subject), e.verdict.word().into(), e.severity.map_or("", |s| s.word()).into()];
    cells.extend([time(e.first_seen), time_or(e.resolved, "open"), days(e.age), h.owner.clone(), time_or(h.due, "")].map(Cell::from));
    cells.push(if h.overdue { "yes" } else { "" }.into());
    cells.extend([h.cause.clone(), h.resolution.clone(), time_or(h.retested, ""), h.waiver.clone()].map(Cell::from));
    cells.push(text(&e.message));
    cells
}

fn records(sheet: &mut Sheet<'_>, control: &ControlPaper) -> Result<(), XlsxError> {
    let head = [("Record", 24.0), ("Title", 36.0), ("Subject", 30.0), ("State", 14.0), ("Entry", 14.0), ("Since", 24.0), ("Until", 24.0), ("Message", 12.0)];
    let mut rows: Vec<Vec<Cell>> = Vec::new();
    for record in &control.records {
        for s in &record.standings {
            let mut cells = vec![text(&record.record), text(&record.title), text(&s.subject), s.state.word().into(), Cell::code_or_empty(s.entry)];
            cells.extend([time(s.since), time_or(s.until, ""), s.message.clone()].map(Cell::from));
            rows.push(cells);
        }
    }
    sheet.table("Records that serve it, and how they stood", &head, rows.into_iter(), MAX_ROWS, "records.csv")
}

fn samples(sheet: &mut Sheet<'_>, control: &ControlPaper) -> Result<(), XlsxError> {
    let head = [("Item", 24.0), ("Title", 36.0), ("Rank", 30.0), ("Kind", 14.0), ("Number", 14.0)];
    let row =
        |s: &crate::evidence::paper::Sample| vec![Cell::code(&s.item), text(&s.title), Cell::code(&s.rank), s.kind.into(), Cell::from(u64::from(s.number))];
    sheet.table("Samples", &head, control.samples.iter().map(row), MAX_ROWS, "samples.csv")
}
