//! Checks on files as files: listed, unaltered, in a known place, addressed by content.

use std::collections::{BTreeMap, BTreeSet};

use super::{State, Verification};
use crate::evidence::manifest::{self, Manifest};
use crate::model::blob;
use crate::model::finding::{Counts, Finding};
use crate::model::ids::{Address, Digest, HostId};

/// Files whose content only the manifest vouches for.
const DOCUMENTS: [&str; 7] = ["checkpoint.txt", "controls.csv", "findings.csv", "index.html", "pieces.csv", "population.csv", "windows.csv"];

/// Every file is listed with its length and digest, and every listed file is there.
pub(super) fn listed(files: &BTreeMap<String, &[u8]>, manifest: &Manifest, found: &mut Verification) {
    let mut held = 0;
    let mut names = BTreeSet::from([manifest::PATH]);
    for entry in &manifest.files {
        names.insert(&entry.path);
        match files.get(&entry.path) {
            None => found.problem(&entry.path, "missing", "listed in the manifest and not in the bundle"),
            Some(bytes) if bytes.len() as u64 != entry.bytes || Digest::of(bytes) != entry.sha256 => {
                found.problem(&entry.path, "altered", "its content is not the one listed in the manifest");
            }
            Some(_) => held += 1,
        }
    }
    for path in files.keys().filter(|p| !names.contains(p.as_str())) {
        found.problem(path, "added", "not listed in the manifest");
    }
    found.check("files with the length and digest of the manifest", held);
}

/// Every blob has the address that it is stored under; the findings of each report give its counts.
pub(super) fn blobs(state: &mut State<'_>, found: &mut Verification) {
    let mut addressed = 0;
    for (path, bytes) in state.files.iter().filter(|(p, _)| p.starts_with("blobs/")) {
        let Some((host, address)) = blob_path(path) else { continue };
        state.known.insert(path.clone());
        match state.hosts.get(&host) {
            None => found.problem(path, "blob", "belongs to a host that has no sound file in hosts/"),
            Some(host) if blob::address(&host.salt, bytes) != address => {
                found.problem(path, "blob", "its content does not have this address under the host's salt")
            }
            Some(_) => addressed += 1,
        }
    }
    found.check("blobs with the address of their content", addressed);
    counts(state, found);
}

fn counts(state: &State<'_>, found: &mut Verification) {
    let (mut held, mut absent) = (0, BTreeSet::new());
    for report in &state.reports {
        let path = |address: &Address| format!("blobs/{}/{address}.json", report.host);
        absent.extend(report.addresses().iter().map(path).filter(|p| !state.files.contains_key(p)));
        let path = path(&report.findings);
        let Some(bytes) = state.files.get(&path) else { continue };
        match serde_json::from_slice::<Vec<Finding>>(bytes) {
            Err(e) => found.problem(&path, "counts", format!("is not a list of findings: {e}")),
            Ok(findings) if Counts::of(&findings) != report.counts => {
                found.problem(&path, "counts", format!("its findings do not add up to the counts of report {} of lineage {}", report.sequence, report.lineage));
            }
            Ok(_) => held += 1,
        }
    }
    found.check("reports whose counts follow from their findings", held);
    if !absent.is_empty() {
        found.incomplete = true;
        let n = absent.len();
        found.not_checked.push(format!(
            "{n} blob{} named by reports {} not in the bundle (erased or lost).",
            if n == 1 { "" } else { "s" },
            if n == 1 { "is" } else { "are" }
        ));
    }
}

/// Every file has a place in the format, and every numbered piece is there.
pub(super) fn places(state: &mut State<'_>, found: &mut Verification) {
    let mut pieces = 0;
    for (path, bytes) in state.files {
        if path == manifest::PATH || DOCUMENTS.contains(&path.as_str()) || state.known.contains(path) {
            continue;
        }
        if !(path.starts_with("controls/") && path.ends_with(".json")) {
            found.problem(path, "added", "has no place in the bundle format");
            continue;
        }
        match piece_paths(bytes) {
            None => found.problem(path, "piece", "does not list its pieces"),
            Some(paths) => {
                for piece in &paths {
                    if state.files.contains_key(piece) {
                        pieces += 1;
                    } else {
                        found.problem(path, "piece", format!("names {piece:?}, which is not in the bundle"));
                    }
                }
            }
        }
    }
    for path in DOCUMENTS.iter().filter(|p| !state.files.contains_key(**p)) {
        found.problem(path, "missing", "a bundle holds this file");
    }
    found.check("numbered pieces that are in the bundle", pieces);
}

fn piece_paths(bytes: &[u8]) -> Option<Vec<String>> {
    let value: serde_json::Value = serde_json::from_slice(bytes).ok()?;
    value.get("pieces")?.as_array()?.iter().map(|p| Some(p.get("path")?.as_str()?.to_string())).collect()
}

fn blob_path(path: &str) -> Option<(HostId, Address)> {
    let (host, address) = path.strip_prefix("blobs/")?.strip_suffix(".json")?.split_once('/')?;
    Some((host.parse().ok()?, address.parse().ok()?))
}
