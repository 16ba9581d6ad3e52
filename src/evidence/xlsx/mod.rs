//! The working paper as a workbook: cover, contents with links, shared lists with filters, a sheet per control.
//!
//! Every text is a string cell, so no spreadsheet evaluates it. A sheet that would be too long to work with ends with a note that
//! names the table of the bundle that has all rows. The same paper gives the same bytes: the time of creation is the first second
//! of the day of the export, and the library gives the parts of the file a fixed time.

mod control;
mod sheet;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rust_xlsxwriter::{DocProperties, ExcelDateTime, Workbook, XlsxError};

use self::sheet::{Cell, Sheet, Styles};
use super::paper::{Exception, Paper};
use super::text::{count, days, time, time_or};

/// Most rows of a shared list; the format itself ends at 1,048,576.
const MAX_ROWS: usize = 20_000;
/// Longest name of a sheet that spreadsheets accept, characters.
const MAX_NAME: usize = 31;
/// Sheets before those of controls.
const SHARED: [&str; 7] = ["Cover", "Contents", "Population", "Windows", "Exceptions", "Revocations", "Changes"];

/// The workbook as bytes.
pub fn workbook(paper: &Paper) -> Result<Vec<u8>, XlsxError> {
    let mut book = Workbook::new();
    book.set_properties(&properties(paper)?);
    let styles = Styles::new();
    let names = names(paper);
    cover(&mut Sheet::new(&mut book, SHARED[0], &styles)?, paper)?;
    contents(&mut Sheet::new(&mut book, SHARED[1], &styles)?, paper, &names)?;
    population(&mut Sheet::new(&mut book, SHARED[2], &styles)?, paper)?;
    windows(&mut Sheet::new(&mut book, SHARED[3], &styles)?, paper)?;
    exceptions(&mut Sheet::new(&mut book, SHARED[4], &styles)?, paper)?;
    revocations(&mut Sheet::new(&mut book, SHARED[5], &styles)?, paper)?;
    changes(&mut Sheet::new(&mut book, SHARED[6], &styles)?, paper)?;
    for (control, name) in paper.controls.iter().zip(&names) {
        control::write(&mut Sheet::new(&mut book, name, &styles)?, control)?;
    }
    book.save_to_buffer()
}

fn properties(paper: &Paper) -> Result<DocProperties, XlsxError> {
    let cover = &paper.cover;
    let mut parts = cover.as_of.split('-').map(|p| p.parse::<u16>().unwrap_or(1));
    let (year, month, day) = (parts.next().unwrap_or(1980), parts.next().unwrap_or(1), parts.next().unwrap_or(1));
    let narrow = |n: u16| u8::try_from(n).unwrap_or(1);
    let created = ExcelDateTime::from_ymd(year, narrow(month), narrow(day))?;
    let title = format!("{}: evidence {} to {}", cover.title, cover.from, cover.to);
    Ok(DocProperties::new().set_title(title).set_author("assay").set_creation_datetime(&created))
}

/// A name for each control's sheet: its id, short enough, and unlike every other in any case of letters.
fn names(paper: &Paper) -> Vec<String> {
    // Spreadsheets keep "History" for themselves.
    let mut taken: BTreeSet<String> = SHARED.iter().copied().chain(["History"]).map(str::to_lowercase).collect();
    let mut name = |id: &str| {
        let short: String = id.chars().take(MAX_NAME).collect();
        let mut name = short.clone();
        let mut n = 2;
        while !taken.insert(name.to_lowercase()) {
            let end = format!("~{n}");
            name = short.chars().take(MAX_NAME - end.len()).collect::<String>() + &end;
            n += 1;
        }
        name
    };
    paper.controls.iter().map(|c| name(&c.id)).collect()
}

fn cover(sheet: &mut Sheet<'_>, paper: &Paper) -> Result<(), XlsxError> {
    let c = &paper.cover;
    let pieces: usize = paper.controls.iter().map(|c| c.pieces.len()).sum();
    sheet.widths(&[28.0, 100.0])?;
    sheet.title(&c.title)?;
    sheet.line("Evidence bundle, working paper")?;
    sheet.skip();
    let sampling = c.sampling.as_ref().map_or_else(|| "none: no seed was given".into(), |s| format!("seed {:?}, {} per control and kind", s.seed, s.size));
    let rows = [
        ("Company", c.company.clone()),
        ("Framework", format!("{} {}", c.framework, c.version)),
        ("Published at", c.source.clone()),
        ("Kind", if c.is_date { "Type 1: as of one day" } else { "Type 2: over a period" }.into()),
        ("Days (UTC, inclusive)", format!("{} to {}", c.from, c.to)),
        ("Exported on", c.as_of.clone()),
        ("Scope", c.scope.clone()),
        ("Signed reports", c.reports.to_string()),
        ("Numbered pieces", pieces.to_string()),
        ("Samples", sampling),
        ("Ledger key", c.ledger.clone()),
        ("Ledger checkpoint", format!("{} leaves, root {}", c.checkpoint_size, c.checkpoint_root)),
        ("Rule pack", c.pack.to_string()),
    ];
    for (name, value) in rows.iter().filter(|(_, value)| !value.is_empty()) {
        sheet.pair(name, value)?;
    }
    sheet.skip();
    sheet.heading("What to know")?;
    paper.notes.iter().try_for_each(|note| sheet.line(note))?;
    sheet.line("Every table of this workbook stands in the bundle as a CSV file, too, where it has all its rows.")
}

fn contents(sheet: &mut Sheet<'_>, paper: &Paper, names: &[String]) -> Result<(), XlsxError> {
    sheet.title("Contents")?;
    let head = [("Sheet", 18.0), ("Title", 70.0), ("Conclusion", 24.0), ("Exceptions", 12.0), ("Pieces", 10.0)];
    let shared = SHARED.iter().skip(2).map(|name| vec![Cell::sheet(name), Cell::Text(String::new()), Cell::Text(String::new())]);
    let control = |(c, name): (&super::paper::ControlPaper, &String)| {
        vec![Cell::sheet(name), c.title.clone().into(), c.conclusion.word().into(), c.exceptions.len().into(), c.pieces.len().into()]
    };
    let rows = shared.chain(paper.controls.iter().zip(names).map(control));
    sheet.list(&head, rows, MAX_ROWS, "controls.csv")
}

fn population(sheet: &mut Sheet<'_>, paper: &Paper) -> Result<(), XlsxError> {
    sheet.title(&format!("Population: {}", paper.cover.scope))?;
    let head = [
        ("Host", 28.0),
        ("Host id", 24.0),
        ("Operating system", 20.0),
        ("State", 12.0),
        ("First seen", 24.0),
        ("Last seen", 24.0),
        ("Taken out", 24.0),
        ("Why", 30.0),
        ("Replaced by", 20.0),
        ("Last complete scan", 24.0),
        ("Reports", 10.0),
        ("Planned", 10.0),
        ("Done in time", 12.0),
        ("Late", 8.0),
        ("Aborted", 10.0),
        ("Not run", 10.0),
        ("Open", 8.0),
    ];
    let row = |m: &super::paper::Member| {
        let mut cells: Vec<Cell> = vec![m.name.clone().into(), Cell::code(&m.host), m.os.clone().into(), m.state.word().into(), time(m.enrolled_at).into()];
        cells.extend([time_or(m.seen_at, "never"), time_or(m.retired_at, ""), m.retired_why.clone(), m.replaced_by.clone()].map(Cell::from));
        cells.extend([time_or(m.confirmed, "none").into(), m.reports.into(), m.windows.planned.into()]);
        cells.extend(m.windows.columns().map(|(_, n)| Cell::from(n)));
        cells
    };
    sheet.list(&head, paper.population.iter().map(row), MAX_ROWS, "population.csv")
}

fn windows(sheet: &mut Sheet<'_>, paper: &Paper) -> Result<(), XlsxError> {
    sheet.title("Planned scans and what became of them")?;
    let names: BTreeMap<_, &str> = paper.population.iter().map(|m| (m.host, m.name.as_str())).collect();
    let head = [("Host", 28.0), ("Window", 12.0), ("Kind", 10.0), ("Start", 24.0), ("End", 24.0), ("State", 10.0), ("Scan ended", 24.0), ("Report", 24.0)];
    let row = |w: &super::windows::Window| {
        let name = names.get(&w.host).copied().unwrap_or_default();
        let cells: [String; 7] = [name.into(), w.window.clone(), w.kind.into(), time(w.start), time(w.end), w.state.word().into(), time_or(w.finished, "")];
        let mut cells = cells.map(Cell::from).to_vec();
        cells.push(Cell::code_or_empty(w.report));
        cells
    };
    sheet.list(&head, paper.windows.iter().map(row), MAX_ROWS, "windows.csv")
}

/// Each exception once, though controls share them.
fn exceptions(sheet: &mut Sheet<'_>, paper: &Paper) -> Result<(), XlsxError> {
    sheet.title("Everything in the period that was neither a pass nor not applicable")?;
    let mut bearing: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for control in &paper.controls {
        control.design.iter().for_each(|d| bearing.entry(&d.rule).or_default().push(&control.id));
    }
    let mut head = vec![("Controls", 18.0)];
    head.extend(control::EXCEPTION_HEAD);
    let row = |e: &Arc<Exception>| {
        // A scan that did not run bears on whatever rules test.
        let bears = if e.rule.is_empty() { "all that rules test".into() } else { bearing.get(&*e.rule).map(|c| c.join(", ")).unwrap_or_default() };
        let mut cells = vec![Cell::from(bears)];
        cells.extend(control::exception(e));
        cells
    };
    sheet.list(&head, paper.exceptions.iter().map(row), MAX_ROWS, "exceptions.csv")
}

fn revocations(sheet: &mut Sheet<'_>, paper: &Paper) -> Result<(), XlsxError> {
    let people = paper.people.as_ref().map_or_else(
        || "no roster was in force".into(),
        |p| format!("{} listed, {} joined, {} left in the period", count(p.people.len(), "person", "people"), p.joined, p.left),
    );
    sheet.title(&format!("Time until people who left had no way in: {people}"))?;
    let head = [
        ("Person", 24.0),
        ("Left", 24.0),
        ("Host", 28.0),
        ("Ways in (rules)", 40.0),
        ("Last scan that saw one", 24.0),
        ("First scan that saw none", 24.0),
        ("At least, days", 14.0),
        ("At most, days", 14.0),
        ("Limit, days", 12.0),
        ("State", 24.0),
    ];
    let row = |r: &super::paper::Revocation| {
        let optional = |seconds: Option<i64>| seconds.map(days).unwrap_or_default();
        let mut cells = [r.person.clone(), time(r.left_at), r.name.clone(), r.ways.join(", "), time_or(r.last_seen, "none"), time_or(r.first_gone, "none")]
            .map(Cell::from)
            .to_vec();
        cells.extend([days(r.at_least), optional(r.at_most), optional(r.limit), r.state().word().into()].map(Cell::from));
        cells
    };
    sheet.list(&head, paper.revocations.iter().map(row), MAX_ROWS, "revocations.csv")
}

fn changes(sheet: &mut Sheet<'_>, paper: &Paper) -> Result<(), XlsxError> {
    sheet.title("Changes of what is judged, by what, or by whom")?;
    let head = [("Ledger entry", 14.0), ("When", 24.0), ("Kind", 18.0), ("Change", 110.0)];
    let row = |c: &super::paper::Change| vec![c.leaf.into(), time(c.at).into(), c.kind.clone().into(), c.text.clone().into()];
    sheet.list(&head, paper.changes.iter().map(row), MAX_ROWS, "changes.csv")
}
