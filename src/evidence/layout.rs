//! Where everything stands in a bundle (`assay.bundle.v2`); ARCHITECTURE.md draws it.

use super::csv;
use super::manifest;
use crate::model::ids::{Digest, HostId};

/// The signed checkpoint.
pub const CHECKPOINT: &str = "checkpoint.txt";
/// The working paper.
pub const PAGE: &str = "index.html";
/// The same as a workbook.
pub const WORKBOOK: &str = "evidence.xlsx";
/// The same as OSCAL assessment results.
pub const OSCAL: &str = "assessment-results.json";
/// Entries of the ledger that are about no report and no record.
pub const LEDGER: &str = "ledger.jsonl";
/// What people recorded.
pub const EVENTS: &str = "records/events.jsonl";

/// What a path is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place<'a> {
    /// The manifest.
    Manifest,
    /// A document that every bundle holds and whose content only the manifest vouches for.
    Document,
    /// One of the CSV tables.
    Table,
    /// The checkpoint.
    Checkpoint,
    /// Entries of the ledger.
    Ledger,
    /// Recorded events.
    Events,
    /// Key and enrolment of a host.
    Host(HostId),
    /// Signed reports of a host.
    Reports(HostId),
    /// Blobs of a host.
    Blobs(HostId),
    /// A file of a record.
    File(Digest),
    /// A version of a list.
    List(Digest),
    /// A control, by its id.
    Control(&'a str),
}

/// What stands under a path; `None`: nothing has this path.
pub fn place(path: &str) -> Option<Place<'_>> {
    let inside = |folder: &str, end: &str| path.strip_prefix(folder).and_then(|p| p.strip_suffix(end)).filter(|p| !p.is_empty() && !p.contains('/'));
    match path {
        manifest::PATH => return Some(Place::Manifest),
        PAGE | WORKBOOK | OSCAL => return Some(Place::Document),
        CHECKPOINT => return Some(Place::Checkpoint),
        LEDGER => return Some(Place::Ledger),
        EVENTS => return Some(Place::Events),
        csv::LISTS => return Some(Place::Table),
        _ if csv::FILES.iter().any(|(name, _)| *name == path) => return Some(Place::Table),
        _ => (),
    }
    let host = |folder, end| inside(folder, end).and_then(|p| p.parse().ok());
    let digest = |folder, end| inside(folder, end).and_then(|p| p.parse().ok());
    None.or_else(|| host("hosts/", ".json").map(Place::Host))
        .or_else(|| host("reports/", ".jsonl").map(Place::Reports))
        .or_else(|| host("blobs/", ".jsonl").map(Place::Blobs))
        .or_else(|| digest("records/files/", "").map(Place::File))
        .or_else(|| digest("lists/", ".csv").map(Place::List))
        .or_else(|| inside("controls/", ".json").map(Place::Control))
}

/// The paths that every bundle holds beside the manifest.
pub fn required() -> impl Iterator<Item = &'static str> {
    [CHECKPOINT, PAGE, WORKBOOK, OSCAL, LEDGER, EVENTS, csv::LISTS].into_iter().chain(csv::FILES.iter().map(|(name, _)| *name))
}

/// `hosts/ID.json`
pub fn host(host: &HostId) -> String {
    format!("hosts/{host}.json")
}

/// `reports/ID.jsonl`: there if the host has reports in the bundle.
pub fn reports(host: &HostId) -> String {
    format!("reports/{host}.jsonl")
}

/// `blobs/ID.jsonl`: there if the host has reports in the bundle.
pub fn blobs(host: &HostId) -> String {
    format!("blobs/{host}.jsonl")
}

/// `records/files/SHA256`
pub fn file(digest: &Digest) -> String {
    format!("records/files/{digest}")
}

/// `lists/SHA256.csv`
pub fn list(digest: &Digest) -> String {
    format!("lists/{digest}.csv")
}

/// `controls/ID.json`
pub fn control(id: &str) -> String {
    format!("controls/{id}.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_has_one_place() {
        let (id, digest) = (HostId::new([7; 32]), Digest::of(b"x"));
        assert_eq!(place(&host(&id)), Some(Place::Host(id)));
        assert_eq!(place(&reports(&id)), Some(Place::Reports(id)));
        assert_eq!(place(&blobs(&id)), Some(Place::Blobs(id)));
        assert_eq!(place(&file(&digest)), Some(Place::File(digest)));
        assert_eq!(place(&list(&digest)), Some(Place::List(digest)));
        assert_eq!(place(&control("CC6.7")), Some(Place::Control("CC6.7")));
        assert!(required().all(|p| place(p).is_some()));
        for stray in ["", "notes.txt", "controls/.json", "controls/a/b.json", "reports/extra.jsonl", "records/files/", "hosts/x.json", "lists/x"] {
            assert_eq!(place(stray), None, "{stray}");
        }
    }
}
