//! Checks on what is signed and logged: checkpoint, host keys, reports, inclusion proofs.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{KnownHost, State, Verification};
use crate::evidence::json::{HOST_FORMAT, HostFile};
use crate::evidence::manifest::Manifest;
use crate::evidence::material::Proof;
use crate::ledger::{Kind, Leaf, checkpoint as note, tree, verify_inclusion};
use crate::model::envelope::{Envelope, REPORT_TYPE};
use crate::model::ids::{Digest, HostId};
use crate::model::report::{FORMAT, Report};
use crate::pki::keys::raw_of;

/// The checkpoint is signed by the ledger key and is the one the manifest names.
pub(super) fn checkpoint(state: &mut State<'_>, manifest: &Manifest, found: &mut Verification) {
    const PATH: &str = "checkpoint.txt";
    let Some(bytes) = state.files.get(PATH) else { return };
    let opened = std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_string()).and_then(|t| note::open(t, state.verifier).map_err(|e| e.to_string()));
    match opened {
        Err(e) => found.problem(PATH, "checkpoint", e),
        Ok(checkpoint) if checkpoint.size != manifest.bundle.checkpoint_size => {
            found.problem(PATH, "checkpoint", format!("covers {} leaves, the manifest says {}", checkpoint.size, manifest.bundle.checkpoint_size));
        }
        Ok(checkpoint) => {
            found.check("checkpoint signature", 1);
            state.checkpoint = Some(checkpoint);
        }
    }
}

/// Every host's file holds the key that its id is the digest of, and its enrolment is in the ledger.
pub(super) fn hosts(state: &mut State<'_>, found: &mut Verification) {
    let (mut keys, mut enrolled, mut unlogged) = (0, 0, 0u64);
    for (path, bytes) in state.files.iter().filter(|(p, _)| p.starts_with("hosts/")) {
        let Some(id) = path.strip_prefix("hosts/").and_then(|p| p.strip_suffix(".json")).and_then(|p| p.parse::<HostId>().ok()) else { continue };
        state.known.insert(path.clone());
        let (file, key) = match host_file(bytes, &id) {
            Ok(host) => host,
            Err(e) => {
                found.problem(path, "host", e);
                continue;
            }
        };
        keys += 1;
        match &file.enrolment {
            None => unlogged += 1,
            Some(proof) => match logged(state, proof).and_then(|leaf| enrolment(&leaf, &id)) {
                Ok(()) => enrolled += 1,
                Err(e) => found.problem(path, "proof", format!("enrolment: {e}")),
            },
        }
        state.hosts.insert(id, KnownHost { key, salt: file.salt });
    }
    found.check("host keys that are what their id says", keys);
    found.check("enrolments included in the ledger", enrolled);
    if unlogged > 0 {
        found.incomplete = true;
        found.not_checked.push(format!("{unlogged} host{} no enrolment leaf in this bundle.", if unlogged == 1 { " has" } else { "s have" }));
    }
}

fn host_file(bytes: &[u8], id: &HostId) -> Result<(HostFile, [u8; 32]), String> {
    let file: HostFile = serde_json::from_slice(bytes).map_err(|e| format!("is not readable: {e}"))?;
    if file.format != HOST_FORMAT {
        return Err(format!("has format {:?}, not {HOST_FORMAT:?}", file.format));
    }
    let spki = STANDARD.decode(&file.public_key).map_err(|_| "its public key is not base64")?;
    if HostId::of_spki(&spki) != *id {
        return Err("its public key is not the one that the host id is the digest of".into());
    }
    let key = raw_of(&spki).ok_or("its public key is not Ed25519")?;
    Ok((file, key))
}

fn enrolment(leaf: &Leaf, id: &HostId) -> Result<(), String> {
    if leaf.kind != Kind::Enrolment || leaf.host != Some(*id) || leaf.reference.bytes() != id.bytes() {
        return Err("the leaf is not about the enrolment of this host".into());
    }
    Ok(())
}

/// The leaf of a proof, if it stands in the ledger under the checkpoint.
fn logged(state: &State<'_>, proof: &Proof) -> Result<Leaf, String> {
    let leaf = Leaf::parse(proof.leaf.as_bytes()).map_err(|e| e.to_string())?;
    let checkpoint = state.checkpoint.as_ref().ok_or("there is no sound checkpoint to check it against")?;
    let hash = tree::leaf_hash(proof.leaf.as_bytes());
    verify_inclusion(&hash, proof.index, checkpoint.size, &proof.proof, &checkpoint.root).map_err(|e| e.to_string())?;
    Ok(leaf)
}

/// Every report is signed by its host and included in the ledger; no number was given twice.
pub(super) fn reports(state: &mut State<'_>, found: &mut Verification) {
    let (mut signatures, mut included) = (0, 0);
    let mut triples = BTreeSet::new();
    for (path, bytes) in state.files.iter().filter(|(p, _)| p.starts_with("reports/")) {
        let Some(digest) = path.strip_prefix("reports/").and_then(|p| p.strip_suffix(".json")).and_then(|p| p.parse::<Digest>().ok()) else { continue };
        state.known.insert(path.clone());
        let report = match report(state, bytes, &digest) {
            Ok(report) => report,
            Err(e) => {
                found.problem(path, "report", e);
                continue;
            }
        };
        signatures += 1;
        if !triples.insert((report.host, report.lineage, report.sequence)) {
            found.problem(path, "report", "another report of this bundle has the same host, lineage and sequence");
        }
        let proof = format!("proofs/{digest}.json");
        match inclusion(state, &proof, &digest, &report) {
            Ok(()) => included += 1,
            Err(e) => found.problem(&proof, "proof", e),
        }
        state.known.insert(proof);
        state.reports.push(report);
    }
    found.check("reports signed by their host", signatures);
    found.check("reports included in the ledger", included);
}

fn report(state: &State<'_>, bytes: &[u8], digest: &Digest) -> Result<Report, String> {
    let envelope = Envelope::parse(bytes).map_err(|e| e.to_string())?;
    let id: HostId = envelope.keyid().and_then(|k| k.parse().ok()).ok_or("its key id is not a host id")?;
    let host = state.hosts.get(&id).ok_or_else(|| format!("its signer {id} has no sound file in hosts/"))?;
    let payload = envelope.open(REPORT_TYPE, &id.to_string(), &host.key).map_err(|e| e.to_string())?;
    if Digest::of(&payload) != *digest {
        return Err("its payload does not have the digest that names the file".into());
    }
    let report: Report = serde_json::from_slice(&payload).map_err(|e| format!("its payload is not a report: {e}"))?;
    if report.format != FORMAT {
        return Err(format!("has format {:?}, not {FORMAT:?}", report.format));
    }
    if report.host != id {
        return Err("names another host than the one that signed it".into());
    }
    Ok(report)
}

fn inclusion(state: &State<'_>, path: &str, digest: &Digest, report: &Report) -> Result<(), String> {
    let bytes = state.files.get(path).ok_or("is missing: the report is not shown to be in the ledger")?;
    let proof: Proof = serde_json::from_slice(bytes).map_err(|e| format!("is not readable: {e}"))?;
    let leaf = logged(state, &proof)?;
    let same = leaf.kind == Kind::Report
        && leaf.reference == *digest
        && leaf.host == Some(report.host)
        && leaf.lineage == Some(report.lineage)
        && leaf.sequence == Some(report.sequence);
    if same { Ok(()) } else { Err("the leaf is not about this report".into()) }
}
