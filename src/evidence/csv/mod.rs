//! CSV files of a bundle (RFC 4180): every cell quoted, lines end in CR LF.
//!
//! A spreadsheet takes a cell that begins with `=`, `+`, `-`, `@` or a tab for a formula, so such a
//! cell gets an apostrophe in front. Control characters become U+FFFD. Tables are written row by row:
//! those of verdicts are never in memory as a whole.

mod fleet;
mod verdicts;

use std::io::{self, Write};

use super::assemble::index::Index;
use super::assemble::laid::Laid;
use super::material::Material;
use super::paper::{List, Paper};
use super::text::visible;
use crate::model::ids::Digest;

/// What tables are made from.
#[derive(Debug)]
pub struct Tables<'a> {
    index: Index<'a>,
    laid: Laid,
    paper: &'a Paper,
}

/// Writes a table; gives back its rows without the head.
pub type Writer = fn(&Tables<'_>, &mut dyn Write) -> io::Result<u64>;

/// Every table of a bundle but `lists.csv`, which tells of the others, by path.
pub const FILES: &[(&str, Writer)] = &[
    ("changes.csv", fleet::changes),
    ("controls.csv", fleet::controls),
    ("coverage.csv", fleet::coverage),
    ("exceptions.csv", verdicts::exceptions),
    ("findings.csv", verdicts::findings),
    ("history.csv", verdicts::history),
    ("people.csv", fleet::people),
    ("pieces.csv", fleet::pieces),
    ("population.csv", fleet::population),
    ("reconciliation.csv", fleet::reconciliation),
    ("records.csv", fleet::records),
    ("revocations.csv", fleet::revocations),
    ("samples.csv", fleet::samples),
    ("windows.csv", fleet::windows),
];
/// The table that tells how the others were made.
pub const LISTS: &str = "lists.csv";

impl<'a> Tables<'a> {
    /// Of a paper and the material that it was assembled from.
    pub fn new(material: &'a Material, paper: &'a Paper) -> Self {
        Self { index: Index::new(material), laid: Laid::new(material), paper }
    }

    /// How a table was made; `rows` and `digest` are those of the written file.
    pub fn list(&self, path: &str, rows: u64, digest: Digest) -> List {
        let cover = &self.paper.cover;
        let parameters =
            format!("days {} to {} (UTC, inclusive); hosts: {}; checkpoint of {} leaves", cover.from, cover.to, cover.scope, cover.checkpoint_size);
        let extra = match path {
            "findings.csv" | "history.csv" | "exceptions.csv" | "controls.csv" => format!("; rules that {} names", cover.framework),
            "samples.csv" => match &cover.sampling {
                Some(sampling) => format!("; seed {:?}, {} per control and kind", sampling.seed, sampling.size),
                None => "; no seed was given".into(),
            },
            "reconciliation.csv" => match &self.paper.reconciliation {
                Some(found) => format!("; second list of SHA-256 {}", found.list),
                None => "; no second list was given".into(),
            },
            "people.csv" | "revocations.csv" => match &self.paper.people {
                Some(found) => format!("; rosters in force in the period, the last of SHA-256 {}", found.list),
                None => "; no roster was in force".into(),
            },
            "windows.csv" | "coverage.csv" => format!("; looked at on {}", cover.as_of),
            _ => String::new(),
        };
        List { path: path.into(), query: query(path).into(), parameters: parameters + &extra, rows, digest }
    }
}

/// What a table holds, in words.
fn query(path: &str) -> &'static str {
    match path {
        "changes.csv" => "entries of the ledger dated within the period that are about no report and no record, by number",
        "controls.csv" => "controls of the framework in its order, with their conclusion",
        "coverage.csv" => "planned scans counted by ISO week and by month, and by what became of them",
        "exceptions.csv" => {
            "spans of verdicts within the period that neither pass nor are not applicable, parted by the waivers over them; then planned scans that did not run"
        }
        "findings.csv" => {
            "the verdict of each rule on each subject of each host at the last second of the period, by rule, host and subject; hosts taken out owe none"
        }
        "history.csv" => "every span of a verdict that overlaps the period, parted by the waivers over it, by rule, host, subject and time",
        "people.csv" => "everybody on a roster in force in the period, by name",
        "pieces.csv" => "numbered pieces by control",
        "population.csv" => "hosts enrolled before the end of the period and not taken out before it began, by name",
        "reconciliation.csv" => "names of hosts in the population, in the second list, or in both",
        "records.csv" => "how each record that a control needs stood through the period",
        "revocations.csv" => {
            "each person who left by each host that was there afterwards: the last complete scan that saw a way in and the first after it that saw none"
        }
        "samples.csv" => super::sampling::RECIPE,
        "windows.csv" => "every ISO week and month that overlaps the period, for each host that was enrolled before it began and not taken out before it ended",
        _ => "",
    }
}

/// `lists.csv`; the rows are [`Paper::lists`].
pub fn lists(lists: &[List], out: &mut dyn Write) -> io::Result<u64> {
    let mut rows = Rows::new(out, &["file", "what it holds", "asked with", "rows", "SHA-256"])?;
    for list in lists {
        rows.row(&[&list.path, &list.query, &list.parameters, &list.rows.to_string(), &list.digest.to_string()])?;
    }
    Ok(rows.written)
}

/// Every table in memory, by path, and how each was made: for small bundles.
pub fn all(material: &Material, paper: &Paper) -> io::Result<Vec<(List, Vec<u8>)>> {
    let tables = Tables::new(material, paper);
    let mut out = Vec::new();
    for (path, write) in FILES {
        let mut bytes = Vec::new();
        let rows = write(&tables, &mut bytes)?;
        out.push((tables.list(path, rows, Digest::of(&bytes)), bytes));
    }
    Ok(out)
}

/// A CSV file as it is written.
pub(crate) struct Rows<'o> {
    out: &'o mut dyn Write,
    /// Rows without the head.
    written: u64,
    line: Vec<u8>,
}

impl<'o> Rows<'o> {
    pub(crate) fn new(out: &'o mut dyn Write, head: &[&str]) -> io::Result<Self> {
        let mut rows = Self { out, written: 0, line: Vec::with_capacity(512) };
        rows.row(head)?;
        rows.written = 0;
        Ok(rows)
    }

    pub(crate) fn row(&mut self, cells: &[&str]) -> io::Result<()> {
        self.line.clear();
        for (i, cell) in cells.iter().enumerate() {
            self.line.extend_from_slice(if i > 0 { b",\"" } else { b"\"" });
            for part in neutral(cell).split_inclusive('"') {
                self.line.extend_from_slice(part.as_bytes());
                if part.ends_with('"') {
                    self.line.push(b'"');
                }
            }
            self.line.push(b'"');
        }
        self.line.extend_from_slice(b"\r\n");
        self.written += 1;
        self.out.write_all(&self.line)
    }
}

/// A cell that no spreadsheet evaluates.
pub fn neutral(cell: &str) -> String {
    // Spreadsheets skip blanks before they look for a formula; a tab or line break is itself a trigger.
    let formula = cell.starts_with(['\t', '\r', '\n']) || cell.trim_start().starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠']);
    let cell = visible(cell);
    if formula { format!("'{cell}") } else { cell }
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
        let mut out = Vec::new();
        let mut rows = Rows::new(&mut out, &["a", "b"]).unwrap();
        rows.row(&["x\"y", "=cmd|' /C calc'!A0"]).unwrap();
        assert_eq!(rows.written, 1);
        assert_eq!(String::from_utf8(out).unwrap(), "\"a\",\"b\"\r\n\"x\"\"y\",\"'=cmd|' /C calc'!A0\"\r\n");
    }

    #[test]
    fn every_table_says_how_it_was_made() {
        assert!(FILES.iter().all(|(path, _)| !query(path).is_empty()));
        assert!(FILES.windows(2).all(|w| w[0].0 < w[1].0));
    }
}
