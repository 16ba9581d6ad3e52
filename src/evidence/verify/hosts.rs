//! Host by host: key, enrolment, signed reports with their proofs, blobs.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Seek};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::files::logged;
use super::reading::{Reading, lines};
use super::{Verification, archive::ArchiveError};
use crate::evidence::json::{HOST_FORMAT, HostFile, ReportLine};
use crate::evidence::layout::{self, Place, place};
use crate::ledger::{Checkpoint, Kind, Leaf};
use crate::model::blob;
use crate::model::canonical;
use crate::model::envelope::{MAX_PAYLOAD, REPORT_TYPE};
use crate::model::finding::{Counts, Finding};
use crate::model::ids::{Address, Digest, HostId, Lineage, Salt};
use crate::model::report::{FORMAT, Report};
use crate::pki::keys::raw_of;

/// Largest file of a host, bytes: a key, a salt and a proof.
const MAX_HOST: u64 = 128 << 10;
/// Longest line of a report, bytes: the envelope in base64 and a proof.
const MAX_REPORT: u64 = MAX_PAYLOAD as u64 * 2;
/// Longest line of a blob, bytes.
const MAX_BLOB: u64 = blob::MAX_PLAIN as u64 + 80;

/// How often what held.
#[derive(Default)]
struct Held {
    keys: u64,
    enrolled: u64,
    signatures: u64,
    included: u64,
    counts: u64,
    blobs: u64,
    unlogged: u64,
    absent: u64,
}

/// A host whose file holds.
struct Known {
    id: HostId,
    key: [u8; 32],
    salt: Salt,
}

/// What the reports of a host say that its blobs must bear out.
#[derive(Default)]
struct Claims {
    named: BTreeSet<Address>,
    /// Lists of findings, each with the reports that count them.
    findings: BTreeMap<Address, Vec<(u64, Counts)>>,
    triples: BTreeSet<(Lineage, u64)>,
    last: Option<(i64, Digest)>,
}

/// Every host that the bundle has any file of.
pub(super) fn all<R: Read + Seek>(reading: &mut Reading<'_, R>, checkpoint: Option<&Checkpoint>) -> Result<(), ArchiveError> {
    let mut held = Held::default();
    let of = |path: &String| match place(path) {
        Some(Place::Host(id) | Place::Reports(id) | Place::Blobs(id)) => Some(id),
        _ => None,
    };
    let ids: BTreeSet<HostId> = reading.paths().iter().filter_map(of).collect();
    for id in ids {
        let known = host(reading, &id, checkpoint, &mut held)?;
        let claims = reports(reading, &id, known.as_ref(), checkpoint, &mut held)?;
        blobs(reading, &id, known.as_ref(), claims, &mut held)?;
    }
    let found = &mut *reading.found;
    found.check("host keys that are what their id says", held.keys);
    found.check("enrolments included in the ledger", held.enrolled);
    found.check("reports signed by their host", held.signatures);
    found.check("reports included in the ledger", held.included);
    found.check("blobs with the address of their content", held.blobs);
    found.check("reports whose counts follow from their findings", held.counts);
    if held.unlogged > 0 {
        found.absent(format!("{} host{} no enrolment leaf in this bundle.", held.unlogged, if held.unlogged == 1 { " has" } else { "s have" }));
    }
    if held.absent > 0 {
        let (s, are) = if held.absent == 1 { ("", "is") } else { ("s", "are") };
        found.absent(format!("{} blob{s} named by reports {are} not in the bundle (erased or lost).", held.absent));
    }
    Ok(())
}

/// The file of a host holds the key that its id is the digest of, and its enrolment is in the ledger.
fn host<R: Read + Seek>(reading: &mut Reading<'_, R>, id: &HostId, checkpoint: Option<&Checkpoint>, held: &mut Held) -> Result<Option<Known>, ArchiveError> {
    let path = layout::host(id);
    let Some(bytes) = reading.whole(&path, MAX_HOST)? else { return Ok(None) };
    let (file, key) = match host_file(&bytes, id) {
        Ok(host) => host,
        Err(e) => {
            reading.found.problem(&path, "host", e);
            return Ok(None);
        }
    };
    held.keys += 1;
    match &file.enrolment {
        None => held.unlogged += 1,
        Some(proof) => match logged(checkpoint, proof).and_then(|leaf| enrolment(&leaf, id)) {
            Ok(()) => held.enrolled += 1,
            Err(e) => reading.found.problem(&path, "proof", format!("enrolment: {e}")),
        },
    }
    Ok(Some(Known { id: *id, key, salt: file.salt }))
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

/// Every report is signed by its host and included in the ledger; no number was given twice.
fn reports<R: Read + Seek>(
    reading: &mut Reading<'_, R>,
    id: &HostId,
    host: Option<&Known>,
    checkpoint: Option<&Checkpoint>,
    held: &mut Held,
) -> Result<Claims, ArchiveError> {
    let path = layout::reports(id);
    let mut claims = Claims::default();
    reading.entry(&path, |content, found| {
        let whole = lines(content, MAX_REPORT, |number, line| match report(line, host, checkpoint, held) {
            Ok((report, digest)) => claims.take(number, &report, digest, &path, found),
            Err((id, e)) => found.problem(&path, id, format!("line {number}: {e}")),
        });
        if !whole {
            found.problem(&path, "report", "is not lines of reports");
        }
    })?;
    Ok(claims)
}

fn report(line: &[u8], host: Option<&Known>, checkpoint: Option<&Checkpoint>, held: &mut Held) -> Result<(Report, Digest), (&'static str, String)> {
    let wrong = |e: String| ("report", e);
    let host = host.ok_or_else(|| wrong("its host has no sound file in hosts/".into()))?;
    let read: ReportLine = serde_json::from_slice(line).map_err(|e| wrong(format!("is not readable: {e}")))?;
    if canonical::to_bytes(&read).ok().as_deref() != Some(line) {
        return Err(wrong("is not canonical JSON".into()));
    }
    let payload = read.envelope.open(REPORT_TYPE, &host.id.to_string(), &host.key).map_err(|e| wrong(e.to_string()))?;
    let report: Report = serde_json::from_slice(&payload).map_err(|e| wrong(format!("its payload is not a report: {e}")))?;
    if report.format != FORMAT {
        return Err(wrong(format!("has format {:?}, not {FORMAT:?}", report.format)));
    }
    if report.host != host.id {
        return Err(wrong("names another host than the one that signed it".into()));
    }
    held.signatures += 1;
    let digest = Digest::of(&payload);
    let leaf = logged(checkpoint, &read.proof).map_err(|e| ("proof", e))?;
    let same = leaf.kind == Kind::Report
        && leaf.reference == digest
        && leaf.host == Some(report.host)
        && leaf.lineage == Some(report.lineage)
        && leaf.sequence == Some(report.sequence)
        && leaf.at == read.received;
    if !same {
        return Err(("proof", "the leaf is not about this report".into()));
    }
    held.included += 1;
    Ok((report, digest))
}

impl Claims {
    fn take(&mut self, number: u64, report: &Report, digest: Digest, path: &str, found: &mut Verification) {
        if !self.triples.insert((report.lineage, report.sequence)) {
            found.problem(path, "report", format!("line {number}: another report of this bundle has the same host, lineage and sequence"));
        }
        let at = (report.times.finished, digest);
        if self.last.is_some_and(|last| last >= at) {
            found.problem(path, "report", format!("line {number}: reports are not in the order of their time"));
        }
        self.last = Some(at);
        self.named.extend(report.addresses());
        self.findings.entry(report.findings).or_default().push((number, report.counts));
    }
}

/// Every blob has the address that it is stored under and is named by a report; the findings of each report give its counts.
fn blobs<R: Read + Seek>(reading: &mut Reading<'_, R>, id: &HostId, host: Option<&Known>, claims: Claims, held: &mut Held) -> Result<(), ArchiveError> {
    let (path, reports) = (layout::blobs(id), layout::reports(id));
    let (mut seen, mut last) = (BTreeSet::new(), None);
    reading.entry(&path, |content, found| {
        let whole = lines(content, MAX_BLOB, |number, line| match blob(line, host) {
            Err(e) => found.problem(&path, "blob", format!("line {number}: {e}")),
            Ok((address, _)) if last.is_some_and(|last| last >= address) => found.problem(&path, "blob", format!("line {number}: blobs are not in order")),
            Ok((address, _)) if !claims.named.contains(&address) => {
                found.problem(&path, "blob", format!("line {number}: no sound report of this host names {address}"));
            }
            Ok((address, plain)) => {
                held.blobs += 1;
                last = Some(address);
                seen.insert(address);
                for (of, counts) in claims.findings.get(&address).into_iter().flatten() {
                    match serde_json::from_slice::<Vec<Finding>>(plain) {
                        Err(e) => found.problem(&path, "counts", format!("line {number}: is not a list of findings: {e}")),
                        Ok(findings) if Counts::of(&findings) != *counts => {
                            found.problem(&path, "counts", format!("line {number}: its findings do not add up to the counts of line {of} of {reports}"));
                        }
                        Ok(_) => held.counts += 1,
                    }
                }
            }
        });
        if !whole {
            found.problem(&path, "blob", "is not lines of blobs");
        }
    })?;
    held.absent += claims.named.difference(&seen).count() as u64;
    Ok(())
}

fn blob<'l>(line: &'l [u8], host: Option<&Known>) -> Result<(Address, &'l [u8]), String> {
    let host = host.ok_or("its host has no sound file in hosts/")?;
    let (address, plain) = line.split_at_checked(64).ok_or("is no blob")?;
    let address: Address = std::str::from_utf8(address).ok().and_then(|a| a.parse().ok()).ok_or("does not begin with an address")?;
    let plain = plain.strip_prefix(b" ").ok_or("has no blank after the address")?;
    if blob::address(&host.salt, plain) != address {
        return Err("its content does not have this address under the host's salt".into());
    }
    Ok((address, plain))
}
