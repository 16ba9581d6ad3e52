//! Controls with their pieces and samples, and the CSV tables: counted, digested, drawn from again.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, Read, Seek};

use serde::Deserialize;

use super::Verification;
use super::reading::Reading;
use crate::evidence::archive::ArchiveError;
use crate::evidence::csv;
use crate::evidence::layout::{self, Place, place};
use crate::evidence::material::Sampling;
use crate::evidence::sampling::rank;
use crate::model::ids::Digest;

/// Longest row of a table, bytes.
const MAX_ROW: usize = 1 << 20;

/// What is read of `controls/ID.json`; the rest is passed over, not kept.
#[derive(Deserialize)]
struct Control {
    pieces: Vec<Piece>,
    #[serde(default)]
    samples: Vec<Drawn>,
}

#[derive(Deserialize)]
struct Piece {
    number: String,
    path: String,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
struct Drawn {
    kind: String,
    number: u32,
    item: String,
    rank: Digest,
}

/// A population as it is read: the items with the smallest ranks.
struct Draw {
    control: String,
    kind: String,
    /// Record type, for samples of records: each is a population of its own.
    of: String,
    said: Vec<Drawn>,
    smallest: BTreeSet<(Digest, String)>,
}

/// What rows are counted to and drawn from.
struct Tables<'s> {
    sampling: Option<&'s Sampling>,
    draws: Vec<Draw>,
    /// Digest and rows by path.
    seen: BTreeMap<String, u64>,
    /// What `lists.csv` says.
    lists: Vec<(String, String, String)>,
}

/// Controls first, for they say from which tables was drawn.
pub(super) fn all<R: Read + Seek>(reading: &mut Reading<'_, R>, sampling: Option<&Sampling>) -> Result<(), ArchiveError> {
    let draws = controls(reading, sampling)?;
    let mut tables = Tables { sampling, draws, seen: BTreeMap::new(), lists: Vec::new() };
    for path in reading.paths() {
        if place(&path) == Some(Place::Table) {
            let rows = reading.entry(&path, |content, found| table(content, &path, found, |row| tables.row(&path, row)))?;
            rows.flatten().map(|rows| tables.seen.insert(path, rows));
        }
    }
    tables.check_lists(reading);
    tables.check_draws(reading.found);
    Ok(())
}

/// Every piece is there and has a number of its own; gives back what was drawn.
fn controls<R: Read + Seek>(reading: &mut Reading<'_, R>, sampling: Option<&Sampling>) -> Result<Vec<Draw>, ArchiveError> {
    let (mut held, mut numbers, mut draws) = (0, BTreeSet::new(), Vec::new());
    for path in reading.paths() {
        let Some(Place::Control(id)) = place(&path) else { continue };
        let read = reading.entry(&path, |content, _| serde_json::from_reader::<_, Control>(content).map_err(|e| e.to_string()))?;
        let control = match read {
            None => continue,
            Some(Err(e)) => {
                reading.found.problem(&path, "piece", format!("does not list its pieces: {e}"));
                continue;
            }
            Some(Ok(control)) => control,
        };
        for piece in control.pieces {
            if !reading.holds(&piece.path) {
                reading.found.problem(&path, "piece", format!("names {:?}, which is not in the bundle", piece.path));
            } else if !numbers.insert(piece.number.clone()) {
                reading.found.problem(&path, "piece", format!("the number {:?} was given twice", piece.number));
            } else {
                held += 1;
            }
        }
        if sampling.is_none() && !control.samples.is_empty() {
            reading.found.problem(&path, "sample", "has samples, and the manifest names no seed");
        }
        draws.extend(draws_of(id, control.samples));
    }
    reading.found.check("numbered pieces that are in the bundle", held);
    Ok(draws)
}

/// Samples of a control by the population that they are from.
fn draws_of(control: &str, samples: Vec<Drawn>) -> Vec<Draw> {
    let mut out: Vec<Draw> = Vec::new();
    for one in samples {
        let of = if one.kind == "record" { one.item.split(' ').next().unwrap_or_default().to_string() } else { String::new() };
        match out.iter_mut().find(|d| d.kind == one.kind && d.of == of) {
            Some(draw) => draw.said.push(one),
            None => out.push(Draw { control: control.into(), kind: one.kind.clone(), of, said: vec![one], smallest: BTreeSet::new() }),
        }
    }
    out
}

impl Tables<'_> {
    /// One row by the names of its columns.
    fn row(&mut self, path: &str, row: &BTreeMap<&str, &str>) {
        let cell = |name: &str| row.get(name).copied().unwrap_or_default();
        if path == csv::LISTS {
            self.lists.push((cell("file").into(), cell("rows").into(), cell("SHA-256").into()));
        }
        let (kind, of, item) = match path {
            "population.csv" => ("host", "", cell("host id").to_string()),
            "windows.csv" if cell("state") != "open" => ("scan", "", format!("{} {}", cell("host id"), cell("window"))),
            "changes.csv" => ("change", "", cell("ledger entry").to_string()),
            "people.csv" => ("person", "", cell("person").to_string()),
            "records.csv" if !cell("entry").is_empty() => ("record", cell("record"), format!("{} {}", cell("record"), cell("entry"))),
            _ => return,
        };
        let Some(sampling) = self.sampling else { return };
        for draw in self.draws.iter_mut().filter(|d| d.kind == kind && d.of == of) {
            let rank = rank(&sampling.seed, &draw.control, kind, &item);
            let full = draw.smallest.len() as u64 >= u64::from(sampling.size);
            if full && draw.smallest.last().is_some_and(|(last, _)| *last <= rank) {
                continue;
            }
            draw.smallest.insert((rank, item.clone()));
            if draw.smallest.len() as u64 > u64::from(sampling.size) {
                draw.smallest.pop_last();
            }
        }
    }

    /// `lists.csv` gives each table the digest and number of rows that it has.
    fn check_lists<R: Read + Seek>(&self, reading: &mut Reading<'_, R>) {
        let mut named = BTreeSet::from([csv::LISTS]);
        let mut held = 0;
        for (path, rows, digest) in &self.lists {
            named.insert(path.as_str());
            let same =
                self.seen.get(path).map(ToString::to_string).as_ref() == Some(rows) && reading.digest(path).map(|d| d.to_string()).as_ref() == Some(digest);
            if same {
                held += 1;
            } else {
                reading.found.problem(csv::LISTS, "table", format!("says {rows} rows and another digest of {path:?} than the file has"));
            }
        }
        for path in self.seen.keys().filter(|p| !named.contains(p.as_str())) {
            reading.found.problem(csv::LISTS, "table", format!("does not name {path:?}"));
        }
        reading.found.check("tables with the rows and digest of lists.csv", held);
    }

    /// The seed draws what the controls say.
    fn check_draws(self, found: &mut Verification) {
        let mut held = 0;
        for draw in self.draws {
            let drawn = draw.smallest.into_iter().zip(1..).map(|((rank, item), number)| Drawn { kind: draw.kind.clone(), number, item, rank });
            if drawn.eq(draw.said.iter().cloned()) {
                held += draw.said.len() as u64;
            } else {
                let message = format!("the seed draws other items of kind {:?} from the population of this bundle", draw.kind);
                found.problem(&layout::control(&draw.control), "sample", message);
            }
        }
        found.check("samples drawn again by the seed", held);
    }
}

/// Reads a table in the one form that is written: every cell quoted, rows end in CR LF, the first names the columns. Gives back the
/// rows without the head, `None` when it is in another form.
fn table(content: &mut impl BufRead, path: &str, found: &mut Verification, mut each: impl FnMut(&BTreeMap<&str, &str>)) -> Option<u64> {
    let mut head: Option<Vec<String>> = None;
    let mut rows = 0;
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = content.by_ref().take(MAX_ROW as u64).read_until(b'\n', &mut line);
        // Control characters never stand in a cell, so a line feed ends a row.
        let cells = match read {
            Ok(0) => break,
            Ok(_) => std::str::from_utf8(&line).ok().and_then(cells),
            Err(_) => None,
        };
        let (names, cells) = match (&head, cells) {
            (None, Some(cells)) => {
                head = Some(cells);
                continue;
            }
            (Some(names), Some(cells)) if names.len() == cells.len() => (names, cells),
            _ => {
                found.problem(path, "table", format!("row {} is not in the form of the tables", rows + 1));
                return None;
            }
        };
        rows += 1;
        each(&names.iter().map(String::as_str).zip(cells.iter().map(String::as_str)).collect());
    }
    head.map(|_| rows)
}

/// The cells of one row.
fn cells(line: &str) -> Option<Vec<String>> {
    let inner = line.strip_suffix("\r\n")?.strip_prefix('"')?.strip_suffix('"')?;
    let cell = |text: &str| {
        let plain = text.replace("\"\"", "");
        (!plain.contains('"')).then(|| text.replace("\"\"", "\""))
    };
    // A quote inside a cell is doubled, so `","` with an even number of quotes before it parts two cells.
    let mut out = Vec::new();
    let mut current = String::new();
    for part in inner.split("\",\"") {
        if !current.is_empty() {
            current.push_str("\",\"");
        }
        current.push_str(part);
        if current.matches('"').count().is_multiple_of(2) {
            out.push(cell(&current)?);
            current.clear();
        }
    }
    current.is_empty().then_some(out)
}
