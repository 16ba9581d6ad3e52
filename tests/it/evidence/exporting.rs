//! From a collector's data folder to a bundle that verifies, by the programs as people run them.

use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use assay::collector::Keys;
use assay::collector::export::{ExportError, Order, Source, Target, Tell, export};
use assay::collector::sequencer::Task;
use assay::collector::store::{Accepted, BlobRow, Enrolled, NewHost, NewReport, ReportRow, Store};
use assay::evidence::material::{Sampling, Scope};
use assay::evidence::work::WorkError;
use assay::evidence::{BundleError, Period, verify};
use assay::model::blob::Blob;
use assay::model::envelope::Envelope;
use assay::model::finding::{Finding, Verdict};
use assay::model::ids::Digest;
use assay::model::report::{Report, ScanKind};
use assay::rules::Pack;
use assay::rules::framework;

use super::made::{Made, files, finding, problems, small};

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
            .accept(NewReport {
                row,
                report,
                findings,
                os: None,
                needs: Default::default(),
                basis: Digest::of(b""),
                looked_at: Default::default(),
                kept: Vec::new()
            })
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

/// Stops after so many hosts.
fn stopping(after: u64) -> Tell {
    Box::new(move |progress| progress.done < after)
}

fn november() -> Order {
    let framework = framework::find(&framework::builtin().unwrap(), "soc2").unwrap().clone();
    let period = Period::parse("2026-11-02", "2026-11-15").unwrap();
    Order { framework, period, scope: Scope::default(), sampling: None, inventory: None, today: jiff::civil::date(2026, 12, 10) }
}

#[tokio::test]
async fn an_interrupted_export_goes_on_and_gives_the_same_bytes() {
    let (data, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut made = small();
    for (n, name) in [(2, "db01"), (3, "db02")] {
        made.host(n, name);
        made.report(n, ScanKind::Weekly, "2026-W46", jiff::civil::date(2026, 11, 11), &[finding("ssh-root-login", "", Verdict::Fail)]);
    }
    data_folder(data.path(), &made).await;
    let keys = Keys::load_or_create(data.path(), 1_795_000_000).unwrap();
    let pack = Arc::new(Pack::builtin(assay::facts::schemas()).unwrap());
    let store = Store::open(data.path()).await.unwrap();
    let source = Source { store, signer: Arc::new(keys.signer), verifier: keys.verifier.clone(), pack };
    let target = |name: &str, resume| Target { out: out.path().join(name), resume, by: "test".into() };
    let order = november();

    let whole = export(&source, &order, &target("whole.zip", false), stopping(u64::MAX)).await.unwrap();
    assert!(matches!(export(&source, &order, &target("part.zip", true), stopping(u64::MAX)).await, Err(ExportError::Work(WorkError::Missing(_)))));
    let stopped = export(&source, &order, &target("part.zip", false), stopping(2)).await;
    assert!(matches!(stopped, Err(ExportError::Bundle(BundleError::Stopped))), "{stopped:?}");
    let (part, folder) = (out.path().join("part.zip"), out.path().join("part.zip.part"));
    assert!(!part.exists() && folder.is_dir());
    assert!(matches!(export(&source, &order, &target("part.zip", false), stopping(u64::MAX)).await, Err(ExportError::Work(WorkError::Exists(_)))));

    let mut other = order.clone();
    (other.scope.hosts, other.sampling) = (vec!["db*".into()], Some(Sampling { seed: "x".into(), size: 1 }));
    let refused = export(&source, &other, &target("part.zip", true), stopping(u64::MAX)).await.unwrap_err().to_string();
    assert!(refused.contains("differs from this one in the hosts, the sample; give the same order"), "{refused}");

    // What was begun and not finished when the power went away counts for nothing; the day may be another one.
    std::fs::OpenOptions::new().append(true).open(folder.join("hosts.jsonl")).unwrap().write_all(b"[{\"bytes\":").unwrap();
    let later = Order { today: jiff::civil::date(2026, 12, 24), ..order.clone() };
    let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
    let told = seen.clone();
    let tell: Tell = Box::new(move |p| {
        told.lock().unwrap().push((p.done, p.hosts));
        true
    });
    let resumed = export(&source, &later, &target("part.zip", true), tell).await.unwrap();
    assert_eq!((resumed.digest, std::fs::read(&part).unwrap()), (whole.digest, std::fs::read(out.path().join("whole.zip")).unwrap()));
    assert_eq!(*seen.lock().unwrap(), [(1, 3), (2, 3), (3, 3)]);
    assert!(!folder.exists());
    assert_eq!(source.store.statements(assay::ledger::Kind::Export).await.unwrap().len(), 2, "each finished export is in the ledger");

    let scoped =
        export(&source, &Order { scope: Scope { hosts: vec!["DB*".into()] }, ..order.clone() }, &target("db.zip", false), stopping(u64::MAX)).await.unwrap();
    let found = verify(std::io::Cursor::new(std::fs::read(out.path().join("db.zip")).unwrap()), Some(&keys.verifier)).unwrap();
    assert_eq!((problems(&found), scoped.paper.population.len()), (vec![], 2));
    let nobody = Order { scope: Scope { hosts: vec!["mail*".into()] }, ..order };
    let refused = export(&source, &nobody, &target("nobody.zip", false), stopping(u64::MAX)).await.unwrap_err().to_string();
    assert!(refused.contains("is named mail*") && !out.path().join("nobody.zip.part").exists(), "{refused}");
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
    let day = ["export", "--framework", "soc2", "--data", folder];
    for (more, expected) in [
        (vec!["--date", "2026-13-01"], "must read YYYY-MM-DD"),
        (vec!["--date", "2026-11-18", "--seed", "a\nb"], "--seed: must be 1 to 100 characters"),
        (vec!["--date", "2026-11-18", "--inventory", "/nowhere.csv"], "/nowhere.csv"),
    ] {
        let (code, _, err) = collector(&[day.as_slice(), &more].concat());
        assert!(code == 1 && err.contains(expected) && err.lines().count() == 1, "{err}");
    }
    for more in [vec![], vec!["--from", "2026-11-01"], vec!["--date", "2026-11-18", "--to", "2026-11-18"], vec!["--date", "2026-11-18", "--sample", "3"]] {
        assert_eq!(collector(&[day.as_slice(), &more].concat()).0, 2, "{more:?}");
    }
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}
