//! From a collector's data folder to a bundle that verifies, by the programs as people run them.

use std::path::Path;
use std::sync::Arc;

use assay::collector::Keys;
use assay::collector::sequencer::Task;
use assay::collector::store::{Accepted, BlobRow, Enrolled, NewHost, NewReport, ReportRow, Store};
use assay::evidence::verify;
use assay::model::blob::Blob;
use assay::model::envelope::Envelope;
use assay::model::finding::Finding;
use assay::model::ids::Digest;
use assay::model::report::Report;

use super::made::{Made, files, problems, small};

#[expect(clippy::disallowed_methods, reason = "the test runs the program under test")]
fn run(program: &str, arguments: &[&str]) -> (i32, String, String) {
    let output = std::process::Command::new(program).args(arguments).output().unwrap();
    let text = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

fn collector(arguments: &[&str]) -> (i32, String, String) {
    run(env!("CARGO_BIN_EXE_assay-collector"), &[&["evidence"], arguments].concat())
}

/// A data folder as a collector leaves it that accepted these hosts and reports.
async fn data_folder(folder: &Path, made: &Made) {
    let store = Store::open(folder).await.unwrap();
    let keys = Keys::load_or_create(folder, 1_795_000_000).unwrap();
    for host in &made.material.hosts {
        let secret = Digest::of(host.id.bytes());
        store.put_secret("enrol", &secret, "", i64::MAX, 1).await.unwrap();
        let new = NewHost { id: host.id, name: host.name.clone(), public_key: host.public_key.clone(), salt: host.salt, machine: String::new(), secret };
        assert_eq!(store.enrol(&new, host.enrolled_at).await.unwrap(), Enrolled::New);
    }
    for blob in &made.blobs {
        let frame = Blob { address: blob.address, plain: blob.plain.clone() }.frame().unwrap();
        store.put_blob(&blob.host, &BlobRow { address: blob.address, frame }, 1_795_000_000).await.unwrap();
    }
    for signed in &made.reports {
        accept(&store, made, &signed.envelope).await;
    }
    let (mut task, _) = Task::open(store.clone(), Arc::new(keys.signer), keys.verifier, 1_795_000_000).await.unwrap();
    while task.step().await.unwrap() > 0 {}
    store.close().await;
}

async fn accept(store: &Store, made: &Made, envelope: &[u8]) {
    let payload = Envelope::parse(envelope).unwrap().payload_bytes().unwrap();
    let report: Report = serde_json::from_slice(&payload).unwrap();
    let plain = &made.blobs.iter().find(|b| b.address == report.findings).unwrap().plain;
    let findings: Vec<Finding> = serde_json::from_slice(plain).unwrap();
    let row = ReportRow {
        id: Digest::of(&payload),
        host: report.host,
        lineage: report.lineage,
        sequence: report.sequence,
        kind: report.scan.kind,
        window: report.scan.window.clone(),
        state: report.scan.state,
        started: report.times.started,
        finished: report.times.finished,
        received: report.times.finished + 1,
        counts: report.counts,
        disagrees: false,
        envelope: envelope.to_vec(),
        leaf: None,
    };
    assert_eq!(
        store
            .accept(NewReport { row, report, findings, os: None, needs: Default::default(), basis: Digest::of(b""), looked_at: Default::default() })
            .await
            .unwrap(),
        Accepted::New
    );
}

#[tokio::test]
async fn what_the_collector_keeps_becomes_a_bundle_that_verifies() {
    let (data, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let made = small();
    data_folder(data.path(), &made).await;
    let (folder, file) = (data.path().to_str().unwrap(), out.path().join("bundle.zip"));
    let file = file.to_str().unwrap();
    let export = ["export", "--framework", "soc2", "--from", "2026-11-02", "--to", "2026-11-15", "--data", folder, "--out", file];
    let (code, said, err) = collector(&export);
    assert_eq!((code, err.as_str()), (0, ""), "{said}");
    assert!(said.contains("1 host, 2 signed reports"), "{said}");

    let (_, key, _) = collector(&["key", "--data", folder]);
    let bytes = std::fs::read(file).unwrap();
    let found = verify(std::io::Cursor::new(&bytes), Some(&key.parse().unwrap())).unwrap();
    assert_eq!((problems(&found), found.incomplete), (vec![], false));
    let (code, said, err) = run(env!("CARGO_BIN_EXE_assay"), &["evidence", "verify", file, "--key", key.trim()]);
    assert_eq!((code, err.as_str()), (0, ""), "{said}");

    let files = files(&bytes);
    let control: serde_json::Value = serde_json::from_slice(&files["controls/CC6.7.json"]).unwrap();
    let exceptions = control["exceptions"].as_array().unwrap();
    assert!(exceptions.iter().any(|e| e["rule"] == "tls-version-minimum" && e["verdict"] == "fail" && e["resolved"].is_i64()), "{exceptions:#?}");

    let store = Store::open(data.path()).await.unwrap();
    let pending = store.pending_leaves(0).await.unwrap();
    assert_eq!(pending.len(), 1, "the export waits for its number");
    let said = store.statements(assay::ledger::Kind::Export).await.unwrap();
    assert!(String::from_utf8_lossy(&pending[0].bytes).contains(&said[0].digest.to_string()));
    let said: serde_json::Value = said[0].read().unwrap();
    assert_eq!(said["bundle"], Digest::of(&bytes).to_string());
    assert_eq!((said["framework"].as_str(), said["from"].as_str(), said["bytes"].as_u64()), (Some("soc2-2017"), Some("2026-11-02"), Some(bytes.len() as u64)));
    assert!(said["by"].as_str().unwrap().starts_with("uid "), "{said}");
    assert_eq!(std::fs::read_dir(out.path()).unwrap().count(), 1);
}

#[tokio::test]
async fn an_altered_ledger_is_not_exported() {
    let data = tempfile::tempdir().unwrap();
    data_folder(data.path(), &small()).await;
    let other = tempfile::tempdir().unwrap();
    data_folder(other.path(), &small()).await;
    // The ledger key of another collector.
    std::fs::copy(other.path().join("ledger-key.pem"), data.path().join("ledger-key.pem")).unwrap();
    let file = data.path().join("bundle.zip");
    let arguments = [
        "export",
        "--framework",
        "soc2",
        "--from",
        "2026-11-02",
        "--to",
        "2026-11-15",
        "--data",
        data.path().to_str().unwrap(),
        "--out",
        file.to_str().unwrap(),
    ];
    let (code, _, err) = collector(&arguments);
    assert!(code == 1 && err.contains("is not by the ledger key") && !file.exists(), "{err}");
}

#[test]
fn wrong_arguments_are_one_sentence_and_write_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().to_str().unwrap();
    for (framework, from, to, expected) in [
        ("soc2", "2026-11-15", "2026-11-02", "ends on 2026-11-02, before it begins"),
        ("soc2", "15.11.2026", "2026-11-02", "must read YYYY-MM-DD"),
        (
            "iso",
            "2026-11-02",
            "2026-11-15",
            "is unknown; there is soc2-2017, gdpr-2016, iso27001-2022, auditors, crm-cloud, integration-cloud, ticketing-platform",
        ),
        ("soc2", "2026-11-02", "2026-11-15", "no data folder of a collector"),
    ] {
        let (code, _, err) = collector(&["export", "--framework", framework, "--from", from, "--to", to, "--data", folder]);
        assert!(code == 1 && err.contains(expected) && err.lines().count() == 1, "{err}");
    }
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}
