//! Holds the formats of ARCHITECTURE.md to the golden vectors in `tests/vectors`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use assay::model::blob::{self, Blob};
use assay::model::canonical;
use assay::model::envelope::{Envelope, RECEIPT_TYPE, REPORT_TYPE};
use assay::model::fact::{self, Source, StableFacts, VolatileFacts};
use assay::model::finding::{Citation, Counts, Finding, Severity, UnknownReason, Verdict};
use assay::model::gap::Gap;
use assay::model::ids::{Address, Digest, HostId, Lineage, RandomId, Salt};
use assay::model::receipt::Receipt;
use assay::model::report::{FamilyBlobs, Losses, Report, Scan, ScanKind, ScanState, Software, Times};
use assay::records::{Action, Attachment, Event};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::json;

const SALT: Salt = Salt::new([0x5a; 32]);

fn golden(name: &str, actual: &[u8]) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(name);
    if std::env::var_os("ASSAY_WRITE_VECTORS").is_some() {
        std::fs::write(&path, actual).unwrap();
    }
    let expected = std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    assert_eq!(String::from_utf8_lossy(actual), String::from_utf8_lossy(&expected), "{name}");
}

fn key() -> (Ed25519KeyPair, HostId) {
    let pair = Ed25519KeyPair::from_seed_unchecked(&[0x11; 32]).unwrap();
    // RFC 8410: SubjectPublicKeyInfo of an Ed25519 key is this head and the 32 key bytes.
    let mut spki = vec![0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
    spki.extend_from_slice(pair.public_key().as_ref());
    (pair, HostId::of_spki(&spki))
}

fn stable() -> StableFacts {
    StableFacts { family: "listeners".into(), version: 1, facts: json!({"items": [{"port": 22, "process": {"name": "sshd"}}]}) }
}

fn volatile() -> VolatileFacts {
    VolatileFacts { family: "listeners".into(), version: 1, values: BTreeMap::from([("/items/0/process/pid".into(), json!(812))]) }
}

fn gap() -> Gap {
    Gap {
        family: "accounts".into(),
        path: "users.password".into(),
        subject: String::new(),
        reason: "permission-denied".into(),
        detail: "/etc/shadow: permission denied".into(),
        remedy: "Run the scan as root or grant CAP_DAC_READ_SEARCH.".into(),
    }
}

fn record() -> Event {
    Event {
        action: Action::Add,
        at: 1_795_000_000,
        by: "alice".into(),
        entry: RandomId::new([1; 16]),
        fields: [("content".to_string(), "phishing".to_string()), ("done_on".into(), "2026-11-20".into())].into(),
        files: vec![Attachment { bytes: 4, name: "list.pdf".into(), sha256: Digest::of(b"scan") }],
        format: assay::records::event::FORMAT.into(),
        nonce: RandomId::new([2; 16]),
        record: "awareness-training".into(),
        subject: "m.keller".into(),
    }
}

fn findings() -> Vec<Finding> {
    let citation = Citation {
        path: "tls.endpoints[2].accepted".into(),
        value: "[\"TLSv1.0\"]".into(),
        source: Some(Source { place: "tcp 127.0.0.1:8443".into(), line: 0, directive: "ServerHello".into() }),
    };
    let fail = Finding {
        rule: "tls-version-minimum".into(),
        subject: "0.0.0.0:8443/tcp".into(),
        verdict: Verdict::Fail,
        severity: Severity::High,
        message: "accepts TLSv1.0".into(),
        reason: None,
        citations: vec![citation],
    };
    let unknown = Finding {
        rule: "account-password-empty".into(),
        subject: String::new(),
        verdict: Verdict::Unknown,
        severity: Severity::Critical,
        message: "password state can't be read".into(),
        reason: Some(UnknownReason {
            kind: "gap".into(),
            id: "permission-denied".into(),
            detail: "/etc/shadow: permission denied".into(),
            remedy: "Run the scan as root or grant CAP_DAC_READ_SEARCH.".into(),
        }),
        citations: Vec::new(),
    };
    vec![fail, unknown]
}

fn report() -> Report {
    let address = |document: &serde_json::Value| Blob::of(&SALT, document).unwrap().address;
    let findings = findings();
    Report {
        format: assay::model::report::FORMAT.into(),
        host: key().1,
        lineage: Lineage::new([0x22; 16]),
        parent: None,
        sequence: 7,
        scan: Scan { kind: ScanKind::Weekly, window: Some("2026-W47".into()), state: ScanState::Complete },
        times: Times { started: 1_795_000_000, finished: 1_795_000_003, boot_ms: 86_400_000 },
        software: Software { agent: "0.1.0".into(), pack: Digest::of(b"pack"), policy: Digest::of(b"policy") },
        facts: vec![FamilyBlobs {
            family: "listeners".into(),
            stable: address(&serde_json::to_value(stable()).unwrap()),
            volatile: address(&serde_json::to_value(volatile()).unwrap()),
        }],
        gaps: address(&serde_json::to_value([gap()]).unwrap()),
        findings: address(&serde_json::to_value(&findings).unwrap()),
        counts: Counts::of(&findings),
        limits: Vec::new(),
        losses: Losses::default(),
    }
}

#[test]
fn fact_blob() {
    let (stable, volatile) = (stable(), volatile());
    let bytes = canonical::to_bytes(&stable).unwrap();
    golden("fact-stable.json", &bytes);
    golden("fact-volatile.json", &canonical::to_bytes(&volatile).unwrap());
    golden("fact-stable.address", blob::address(&SALT, &bytes).to_string().as_bytes());
    assert_eq!(fact::merge(&stable, &volatile).unwrap()["items"][0]["process"]["pid"], 812);
}

#[test]
fn a_frame_of_an_earlier_writer_still_opens() {
    let name = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/fact-stable.zst");
    let blob = Blob::of(&SALT, &stable()).unwrap();
    if std::env::var_os("ASSAY_WRITE_VECTORS").is_some() {
        std::fs::write(&name, blob.frame().unwrap()).unwrap();
    }
    assert_eq!(Blob::open(&SALT, &blob.address, &std::fs::read(name).unwrap()).unwrap(), blob);
}

#[test]
fn gap_and_findings() {
    golden("gaps.json", &canonical::to_bytes(&[gap()]).unwrap());
    golden("findings.json", &canonical::to_bytes(&findings()).unwrap());
}

#[test]
fn record_event() {
    let bytes = canonical::to_bytes(&record()).unwrap();
    golden("record.json", &bytes);
    assert_eq!(Event::parse(&bytes).unwrap(), record());
    let text = String::from_utf8(bytes).unwrap();
    assert!(Event::parse(text.replace("record.v1", "record.v2").as_bytes()).is_err() && Event::parse(text.replacen("{", "{\"new\":1,", 1).as_bytes()).is_err());
}

#[test]
fn report_and_envelope() {
    let (pair, host) = key();
    let payload = canonical::to_bytes(&report()).unwrap();
    golden("report.json", &payload);
    let envelope = Envelope::seal(REPORT_TYPE, &payload, &host.to_string(), |m| pair.sign(m).as_ref().to_vec());
    golden("report.dsse.json", &envelope.to_bytes());
    let opened = Envelope::parse(&envelope.to_bytes()).unwrap().open(REPORT_TYPE, &host.to_string(), pair.public_key().as_ref()).unwrap();
    assert_eq!(serde_json::from_slice::<Report>(&opened).unwrap(), report());
}

#[test]
fn report_with_an_unknown_key_is_refused() {
    let mut value = serde_json::to_value(report()).unwrap();
    value["extra"] = json!(1);
    let error = serde_json::from_value::<Report>(value).unwrap_err().to_string();
    assert!(error.contains("unknown field `extra`"), "{error}");
}

#[test]
fn receipt() {
    let (pair, host) = key();
    let receipt = Receipt {
        format: assay::model::receipt::FORMAT.into(),
        report: Digest::of(b"report"),
        host,
        lineage: Lineage::new([0x22; 16]),
        sequence: 7,
        received: 1_795_000_010,
        leaf: "{}".into(),
        index: 0,
        proof: Vec::new(),
        checkpoint: "assay.invalid/x\n1\nAAAA\n\n".into(),
    };
    let payload = canonical::to_bytes(&receipt).unwrap();
    golden("receipt.json", &payload);
    let envelope = Envelope::seal(RECEIPT_TYPE, &payload, &host.to_string(), |m| pair.sign(m).as_ref().to_vec());
    golden("receipt.dsse.json", &envelope.to_bytes());
}

#[test]
fn every_address_of_a_report_is_listed_once() {
    let report = report();
    let addresses: Vec<Address> = report.addresses();
    assert_eq!(addresses.len(), 4);
    assert!(addresses.windows(2).all(|w| w[0] < w[1]));
}
