//! From the outcome of a scan to a signed report and its blobs.

use std::collections::BTreeMap;

use serde::Serialize;

use super::identity::Identity;
use super::run::Outcome;
use super::spool::{Item, Numbers, SpoolError};
use crate::model::blob::{Blob, BlobError, MAX_FRAME};
use crate::model::canonical;
use crate::model::envelope::REPORT_TYPE;
use crate::model::finding::Counts;
use crate::model::ids::{Address, Salt};
use crate::model::report::{self, FamilyBlobs, Report, Scan, ScanKind};

/// A scan as its report will say it, all but the numbers and the signature.
#[derive(Debug)]
pub struct Draft {
    report: Report,
    frames: BTreeMap<Address, Vec<u8>>,
    covers: Vec<String>,
}

/// What a scan was for.
#[derive(Clone, Debug)]
pub struct Purpose {
    /// Why it ran.
    pub kind: ScanKind,
    /// The window it fulfils.
    pub window: Option<String>,
    /// Every window it fulfils.
    pub covers: Vec<String>,
    /// Families whose change it is for; empty unless it is a drift scan.
    pub families: Vec<String>,
}

impl Purpose {
    /// A scan that somebody asked for.
    pub fn on_demand() -> Self {
        Self { kind: ScanKind::OnDemand, window: None, covers: Vec::new(), families: Vec::new() }
    }

    /// A scan for a change of the files of these families.
    pub fn drift(families: Vec<String>) -> Self {
        Self { kind: ScanKind::Drift, families, ..Self::on_demand() }
    }
}

impl Draft {
    /// Makes the blobs of an outcome. Families with more facts than a blob holds are named by
    /// [`SpoolError::Oversized`], and so are lists of gaps or findings, by an empty list.
    pub fn new(identity: &Identity, outcome: &Outcome, purpose: Purpose) -> Result<Self, SpoolError> {
        let mut frames = BTreeMap::new();
        let mut facts = Vec::new();
        let mut oversized = Vec::new();
        for (stable, volatile) in outcome.documents() {
            let family = stable.family.clone();
            let blobs = add(&mut frames, &identity.salt, &stable).and_then(|s| Ok((s, add(&mut frames, &identity.salt, &volatile)?)));
            match blobs {
                Ok((stable, volatile)) => facts.push(FamilyBlobs { family, stable, volatile }),
                Err(SpoolError::Oversized(_)) => oversized.push(family),
                Err(e) => return Err(e),
            }
        }
        if !oversized.is_empty() {
            return Err(SpoolError::Oversized(oversized));
        }
        facts.sort_by(|a, b| a.family.cmp(&b.family));
        let report = Report {
            format: report::FORMAT.into(),
            host: identity.host,
            lineage: identity.lineage,
            parent: None,
            sequence: 0,
            scan: Scan { kind: purpose.kind, window: purpose.window, state: outcome.state },
            times: outcome.times,
            software: outcome.software.clone(),
            facts,
            gaps: add(&mut frames, &identity.salt, &outcome.observation.gaps)?,
            findings: add(&mut frames, &identity.salt, &outcome.findings)?,
            counts: Counts::of(&outcome.findings),
            limits: outcome.limits.clone(),
            losses: report::Losses::default(),
        };
        Ok(Self { report, frames, covers: purpose.covers })
    }

    /// The same report, which leaves its window to be scanned again.
    #[must_use]
    pub fn without_window(self) -> Self {
        Self { covers: Vec::new(), ..self }
    }

    /// The finished file under these numbers.
    pub fn seal(&self, identity: &Identity, numbers: Numbers) -> Result<Item, SpoolError> {
        let report = numbered(self.report.clone(), numbers);
        Ok(Item { envelope: sign(identity, &report)?, frames: self.frames.clone(), covers: self.covers.clone(), replaces: None })
    }
}

/// A report that was sealed already, under other numbers.
pub fn reseal(identity: &Identity, item: &Item, numbers: Numbers) -> Result<Item, SpoolError> {
    let fail = |e: String| SpoolError::Seal(e);
    let payload = item.envelope.payload_bytes().map_err(|e| fail(e.to_string()))?;
    let report: Report = serde_json::from_slice(&payload).map_err(|e| fail(e.to_string()))?;
    Ok(Item { envelope: sign(identity, &numbered(report, numbers))?, ..item.clone() })
}

fn numbered(report: Report, numbers: Numbers) -> Report {
    let Numbers { lineage, parent, sequence, losses } = numbers;
    Report { lineage, parent, sequence, losses, ..report }
}

fn sign(identity: &Identity, report: &Report) -> Result<crate::model::envelope::Envelope, SpoolError> {
    let payload = canonical::to_bytes(report).map_err(|e| SpoolError::Seal(e.to_string()))?;
    Ok(identity.key.seal(REPORT_TYPE, &payload))
}

fn add<T: Serialize + ?Sized>(frames: &mut BTreeMap<Address, Vec<u8>>, salt: &Salt, document: &T) -> Result<Address, SpoolError> {
    let fail = |e: BlobError| match e {
        BlobError::TooLarge(_) => SpoolError::Oversized(Vec::new()),
        other => SpoolError::Seal(other.to_string()),
    };
    let blob = Blob::of(salt, document).map_err(fail)?;
    let frame = blob.frame().map_err(fail)?;
    if frame.len() > MAX_FRAME {
        return Err(SpoolError::Oversized(Vec::new()));
    }
    frames.insert(blob.address, frame);
    Ok(blob.address)
}
