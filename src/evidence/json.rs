//! JSON files of a bundle: canonical, so the same values are the same bytes.

use std::collections::BTreeMap;
use std::io::Write;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::material::{Host, LedgerEvent, PlainBlob, Proof, RecordedEvent, SignedReport};
use super::paper::ControlPaper;
use crate::model::canonical::{self, CanonicalError};
use crate::model::envelope::Envelope;
use crate::model::ids::{Digest, Salt};
use crate::records::Event;

/// Version of [`HostFile`].
pub const HOST_FORMAT: &str = "assay.host.v1";

/// `hosts/HOSTID.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostFile {
    /// Leaf of its enrolment; `null` when the ledger holds none.
    pub enrolment: Option<Proof>,
    /// [`HOST_FORMAT`].
    pub format: String,
    /// Name it gave; shown, never trusted.
    pub name: String,
    /// SubjectPublicKeyInfo (DER), base64.
    pub public_key: String,
    /// Salt of its blob addresses.
    pub salt: Salt,
}

/// The file of a host.
pub fn host(host: &Host) -> Result<Vec<u8>, CanonicalError> {
    canonical::to_bytes(&HostFile {
        enrolment: host.enrolment.clone(),
        format: HOST_FORMAT.into(),
        name: host.name.clone(),
        public_key: STANDARD.encode(&host.public_key),
        salt: host.salt,
    })
}

/// `controls/ID.json`. Its long lists are written item by item: they may be many times larger in memory than in the file.
pub fn control(paper: &ControlPaper, out: &mut dyn Write) -> Result<(), LineError> {
    let light = ControlPaper { exceptions: Vec::new(), pieces: Vec::new(), results: Vec::new(), ..paper.clone() };
    let lists: Vec<(&str, Items<'_>)> = vec![
        ("exceptions", Box::new(paper.exceptions.iter().map(|e| canonical::to_bytes(&**e)))),
        ("pieces", Box::new(paper.pieces.iter().map(canonical::to_bytes))),
        ("results", Box::new(paper.results.iter().map(|r| canonical::to_bytes(&**r)))),
    ];
    object(out, &light, lists)
}

/// Items of a list, each as canonical bytes.
pub type Items<'i> = Box<dyn Iterator<Item = Result<Vec<u8>, CanonicalError>> + 'i>;

/// Writes a canonical object whose long lists, given by name, take the place of what `light` says there.
pub fn object<T: Serialize>(out: &mut dyn Write, light: &T, lists: Vec<(&str, Items<'_>)>) -> Result<(), LineError> {
    let light = serde_json::to_value(light).map_err(|e| CanonicalError::Serialise(e.to_string()))?;
    let mut members: BTreeMap<&str, Member<'_>> = light.as_object().into_iter().flatten().map(|(k, v)| (k.as_str(), Member::Light(v))).collect();
    members.extend(lists.into_iter().map(|(name, items)| (name, Member::List(items))));
    let mut before = "{";
    for (name, member) in members {
        out.write_all(before.as_bytes())?;
        out.write_all(&canonical::to_bytes(name)?)?;
        out.write_all(b":")?;
        match member {
            Member::Light(value) => out.write_all(&canonical::to_bytes(value)?)?,
            Member::List(items) => list(out, items)?,
        }
        before = ",";
    }
    out.write_all(if before == "{" { b"{}" } else { b"}" })?;
    Ok(())
}

enum Member<'m> {
    Light(&'m serde_json::Value),
    List(Items<'m>),
}

fn list(out: &mut dyn Write, items: Items<'_>) -> Result<(), LineError> {
    out.write_all(b"[")?;
    for (i, item) in items.enumerate() {
        if i > 0 {
            out.write_all(b",")?;
        }
        out.write_all(&item?)?;
    }
    out.write_all(b"]")?;
    Ok(())
}

/// A line of `reports/HOSTID.jsonl`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReportLine {
    /// What the host signed.
    pub envelope: Envelope,
    /// Its leaf.
    pub proof: Proof,
    /// Unix seconds, the collector's clock.
    pub received: i64,
}

/// The line of a report.
pub fn report(report: &SignedReport) -> Result<Vec<u8>, LineError> {
    let envelope = Envelope::parse(&report.envelope).map_err(|e| LineError::Stored(format!("report {}: {e}", report.proof.index)))?;
    line(&ReportLine { envelope, proof: report.proof.clone(), received: report.received })
}

/// The line of a blob in `blobs/HOSTID.jsonl`: address, blank, the plain bytes, which hold no line break.
pub fn blob(blob: &PlainBlob) -> Vec<u8> {
    let mut out = format!("{} ", blob.address).into_bytes();
    out.extend_from_slice(&blob.plain);
    out.push(b'\n');
    out
}

/// A line of `records/events.jsonl`: the event; once words of it were erased, the digest that it had and what stands there now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventLine {
    /// SHA-256 of the event as it was recorded, if it is not the one that stands here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub erased: Option<Digest>,
    /// What was recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<Event>,
    /// Its leaf.
    pub proof: Proof,
}

/// The line of a recorded event.
pub fn event(event: &RecordedEvent) -> Result<Vec<u8>, LineError> {
    let same = Digest::of(&canonical::to_bytes(&event.event)?) == event.digest;
    line(&EventLine { erased: (!same).then_some(event.digest), event: Some(event.event.clone()), proof: event.proof.clone() })
}

/// A line of `ledger.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LedgerLine {
    /// Text behind the entry; `null` when it has none or was erased.
    pub body: Option<serde_json::Value>,
    /// Its leaf.
    pub proof: Proof,
}

/// The line of a ledger entry.
pub fn entry(event: &LedgerEvent) -> Result<Vec<u8>, LineError> {
    let body = event.body.as_ref().map(|b| serde_json::from_slice(b)).transpose();
    let body = body.map_err(|e| LineError::Stored(format!("text behind entry {} of the ledger: {e}", event.proof.index)))?;
    line(&LedgerLine { body, proof: event.proof.clone() })
}

/// Why there is no line.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// No canonical form.
    #[error(transparent)]
    Canonical(#[from] CanonicalError),
    /// The disk failed.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// What is stored does not read.
    #[error("stored {0}; restore the newest backup")]
    Stored(String),
}

/// Canonical JSON and a line feed.
fn line<T: Serialize>(value: &T) -> Result<Vec<u8>, LineError> {
    let mut bytes = canonical::to_bytes(value)?;
    bytes.push(b'\n');
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn long_lists_are_written_as_the_whole_would_be() {
        let whole = json!({"a": 1, "list": [{"y": 2, "x": 1}, "é"], "z": {"b": null}});
        let mut light = whole.clone();
        light["list"] = json!([]);
        let items = whole["list"].as_array().unwrap().iter().map(canonical::to_bytes);
        let mut out = Vec::new();
        object(&mut out, &light, vec![("list", Box::new(items))]).unwrap();
        assert_eq!(out, canonical::to_bytes(&whole).unwrap());
        let (mut empty, mut none) = (Vec::new(), Vec::new());
        object(&mut empty, &json!({}), vec![]).unwrap();
        object(&mut none, &json!({}), vec![("list", Box::new(std::iter::empty()))]).unwrap();
        assert_eq!((empty.as_slice(), none.as_slice()), (b"{}".as_slice(), b"{\"list\":[]}".as_slice()));
    }
}
