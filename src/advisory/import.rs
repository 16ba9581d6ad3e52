//! Many sources -> one index.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use super::index::{self, IndexError, Provenance, SourceFile};
use super::osv::{self, Affected, Parsed, Record};
use super::source::{self, SourceError};
use crate::model::ids::Digest;

/// Most problems that are named; the others are counted.
const MAX_PROBLEMS: usize = 20;
/// Reason of files that are no OSV record.
const MALFORMED: &str = "malformed";
/// Reason of records that their publisher took back.
const WITHDRAWN: &str = "withdrawn";
/// Reason of an older copy of a record that came twice.
const SUPERSEDED: &str = "superseded";

/// Why an import ends without an index.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// A source can't be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The index can't be made.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// Nothing was taken.
    #[error("no record was taken: {0}")]
    Empty(String),
}

/// Records on their way into an index.
#[derive(Debug, Default)]
pub struct Import {
    records: BTreeMap<String, Record>,
    skipped: BTreeMap<String, u64>,
    problems: Vec<String>,
    sources: Vec<SourceFile>,
    /// Id -> when it was last changed.
    withdrawn: BTreeMap<String, i64>,
    files: u64,
}

/// What an import came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Files looked at.
    pub files: u64,
    /// Records in the index.
    pub records: u64,
    /// Left out, by reason.
    pub skipped: BTreeMap<String, u64>,
    /// The first files that are no records, each with what is wrong.
    pub problems: Vec<String>,
}

impl Import {
    /// Takes the records of a zip file, a folder or a JSON file. `progress` gets how many files are
    /// done and how many there are.
    pub fn add(&mut self, path: &Path, progress: &mut dyn FnMut(usize, usize)) -> Result<(), ImportError> {
        let mut material = Vec::new();
        let mut taken = 0;
        source::visit(path, &mut |name, content, done, total| {
            progress(done, total);
            material.extend_from_slice(Digest::of(name.as_bytes()).bytes());
            if let Ok(bytes) = &content {
                material.extend_from_slice(Digest::of(bytes).bytes());
            }
            taken += u64::from(self.take(name, content));
        })?;
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        // Names come from the command line and end up in a JSON document that others read.
        let name = name.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
        self.sources.push(SourceFile { name, records: taken, sha256: Digest::of(&material) });
        Ok(())
    }

    fn take(&mut self, name: &str, content: Result<Vec<u8>, String>) -> bool {
        self.files += 1;
        // A comparison of hostile versions may contradict itself, which sorting answers with a panic.
        let parse = |bytes: Vec<u8>| catch_unwind(AssertUnwindSafe(|| osv::parse(&bytes))).unwrap_or_else(|_| Err("its versions have no order".into()));
        match content.and_then(parse) {
            Ok(Parsed::Record(record)) => self.keep(record),
            Ok(Parsed::Skipped(skip)) => self.skip(skip.id()),
            Ok(Parsed::Withdrawn { id, modified }) => {
                let last = self.withdrawn.entry(id).or_insert(modified);
                *last = modified.max(*last);
                self.skip(WITHDRAWN)
            }
            Err(problem) => {
                self.skip(MALFORMED);
                if self.problems.len() < MAX_PROBLEMS {
                    self.problems.push(format!("{name}: {problem}"));
                }
                false
            }
        }
    }

    /// Of two records of one id the one that was changed last counts, ecosystem by ecosystem:
    /// publishers have a file per release that all carry the id of the erratum.
    fn keep(&mut self, record: Record) -> bool {
        let Some(old) = self.records.remove(&record.id) else {
            self.records.insert(record.id.clone(), record);
            return true;
        };
        let (mut newer, older) = if record.modified >= old.modified { (record, old) } else { (old, record) };
        let is_same_age = newer.modified == older.modified;
        let named: BTreeSet<String> = newer.affected.iter().map(|a| a.ecosystem.clone()).collect();
        let (replaced, added): (Vec<Affected>, Vec<Affected>) =
            older.affected.into_iter().partition(|a| named.contains(&a.ecosystem) && (!is_same_age || newer.affected.contains(a)));
        newer.affected.extend(added);
        newer.affected.sort();
        let aliases: BTreeSet<String> = newer.aliases.into_iter().chain(older.aliases).collect();
        newer.aliases = aliases.into_iter().collect();
        self.records.insert(newer.id.clone(), newer);
        if replaced.is_empty() { true } else { self.skip(SUPERSEDED) }
    }

    fn skip(&mut self, reason: &str) -> bool {
        *self.skipped.entry(reason.into()).or_default() += 1;
        false
    }

    /// The bytes of the index, and what went into it.
    pub fn finish(mut self, now: i64) -> Result<(Vec<u8>, Summary), ImportError> {
        let before = self.records.len();
        self.records.retain(|id, record| self.withdrawn.get(id).is_none_or(|at| record.modified > *at));
        let older = (before - self.records.len()) as u64;
        if older > 0 {
            *self.skipped.entry(SUPERSEDED.into()).or_default() += older;
        }
        let records = self.records.len() as u64;
        if records == 0 {
            let reasons: Vec<String> = self.skipped.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
            let first = self.problems.first().map(|p| format!("; {p}")).unwrap_or_default();
            let why = if reasons.is_empty() { "there is no .json file".to_string() } else { format!("{}{first}", reasons.join(", ")) };
            return Err(ImportError::Empty(why));
        }
        let summary = Summary { files: self.files, records, skipped: self.skipped.clone(), problems: self.problems };
        let bytes = index::write(&self.records, Provenance { imported_at: now, skipped: self.skipped, sources: self.sources })?;
        Ok((bytes, summary))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(modified: &str, fixed: &str) -> String {
        format!(
            r#"{{"id":"DSA-1-1","modified":"{modified}","affected":[{{"package":{{"ecosystem":"Debian:12","name":"p"}},
               "ranges":[{{"type":"ECOSYSTEM","events":[{{"introduced":"0"}},{{"fixed":"{fixed}"}}]}}]}}]}}"#
        )
    }

    #[test]
    fn the_last_change_of_a_record_counts_and_every_other_file_is_told() {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in [
            ("a.json", record("2024-01-02T00:00:00Z", "2")),
            ("b.json", record("2024-03-02T00:00:00Z", "3")),
            ("c.json", record("2024-02-02T00:00:00Z", "4")),
            ("d.json", "{\"id\":".to_string()),
            // One id, another release.
            ("g.json", record("2024-01-02T00:00:00Z", "9").replace("Debian:12", "Debian:11")),
            ("e.json", record("2024-01-02T00:00:00Z", "2").replace("DSA-1-1", "DSA-2-1")),
            ("f.json", r#"{"id":"DSA-2-1","modified":"2024-01-03T00:00:00Z","withdrawn":"2024-01-03T00:00:00Z"}"#.to_string()),
        ] {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        let mut import = Import::default();
        import.add(dir.path(), &mut |_, _| {}).unwrap();
        let fixed: Vec<&str> = import.records["DSA-1-1"].affected.iter().map(|a| a.until.as_str()).collect();
        assert_eq!(fixed, ["9", "3"]);
        let (_, summary) = import.finish(1).unwrap();
        assert_eq!((summary.files, summary.records), (7, 1));
        assert_eq!(summary.skipped, BTreeMap::from([(MALFORMED.to_string(), 1), (SUPERSEDED.to_string(), 3), (WITHDRAWN.to_string(), 1)]));
        assert!(summary.problems[0].starts_with("d.json: "), "{:?}", summary.problems);
    }

    #[test]
    fn an_import_of_nothing_says_why() {
        let dir = tempfile::tempdir().unwrap();
        let mut import = Import::default();
        import.add(dir.path(), &mut |_, _| {}).unwrap();
        assert_eq!(import.finish(1).unwrap_err().to_string(), "no record was taken: there is no .json file");
    }
}
