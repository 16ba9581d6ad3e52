//! The store as a whole, filled as a collector fills it: signed reports, real blobs, a numbered ledger.

use std::path::Path;
use std::sync::Arc;

use assay::collector::fsck::{Fsck, fsck};
use assay::collector::kept::{Extract, Item, Kind as KeptKind, Says, Sight};
use assay::collector::sequencer::Task;
use assay::collector::store::{
    Accepted, BlobRow, Engine, Erased, FindingFilter, Horizon, NewHost, NewReport, ReportRow, Retirement, Store, StoreError, UserRow,
};
use assay::collector::{Keys, resume};
use assay::ledger::Kind;
use assay::model::blob::Blob;
use assay::model::envelope::REPORT_TYPE;
use assay::model::finding::{Counts, Finding, Severity, Verdict};
use assay::model::ids::{Digest, HostId, Lineage, RandomId, Salt};
use assay::model::report::{FORMAT, FamilyBlobs, Losses, Report, Scan, ScanKind, ScanState, Software, Times};
use assay::pki::keys::SigningKey;

use super::{DAY, NOW};

/// A host with its key.
struct Machine {
    key: SigningKey,
    salt: Salt,
}

impl Machine {
    async fn enrolled(store: &Store, n: u8) -> Self {
        let secret = Digest::of(&[n]);
        store.put_secret("enrol", &secret, "", NOW + DAY, 1).await.unwrap();
        let (key, salt) = (SigningKey::generate().unwrap(), Salt::new([n; 32]));
        let host = NewHost { id: key.id(), name: format!("web{n:02}"), public_key: key.spki(), salt, machine: "ab".into(), secret };
        store.enrol(&host, NOW).await.unwrap();
        Self { key, salt }
    }

    /// Sends a report of this day whose facts name `person`.
    async fn reports(&self, store: &Store, day: i64, kind: ScanKind, person: &str) {
        let host = self.key.id();
        let at = NOW + day * DAY;
        let finding = Finding {
            rule: "access-leaver-active".into(),
            subject: person.into(),
            verdict: Verdict::Fail,
            severity: Severity::High,
            message: format!("{person} left and has a key in /home/{person}/.ssh, day {day}"),
            reason: None,
            citations: Vec::new(),
        };
        let findings = vec![finding];
        let blobs = [
            Blob::of(&self.salt, &serde_json::json!({"day": day, "users": [person]})).unwrap(),
            Blob::of(&self.salt, &serde_json::json!({"every": "day"})).unwrap(),
            Blob::of(&self.salt, &findings).unwrap(),
            Blob::of(&self.salt, &serde_json::json!([])).unwrap(),
        ];
        for blob in &blobs {
            store.put_blob(&host, &BlobRow { address: blob.address, frame: blob.frame().unwrap() }, at).await.unwrap();
        }
        let report = Report {
            format: FORMAT.into(),
            host,
            lineage: Lineage::new([7; 16]),
            parent: None,
            sequence: u64::try_from(day).unwrap(),
            scan: Scan { kind, window: None, state: ScanState::Complete },
            times: Times { started: at, finished: at, boot_ms: 1 },
            software: Software { agent: "0".into(), pack: Digest::of(b""), policy: Digest::of(b"") },
            facts: vec![FamilyBlobs { family: "accounts".into(), stable: blobs[0].address, volatile: blobs[1].address }],
            gaps: blobs[3].address,
            findings: blobs[2].address,
            counts: Counts::of(&findings),
            limits: Vec::new(),
            losses: Losses::default(),
        };
        let payload = assay::model::canonical::to_bytes(&report).unwrap();
        let row = ReportRow {
            id: Digest::of(&payload),
            host,
            lineage: report.lineage,
            sequence: report.sequence,
            kind,
            window: None,
            state: ScanState::Complete,
            started: at,
            finished: at,
            received: at + 1,
            counts: report.counts,
            disagrees: false,
            envelope: self.key.seal(REPORT_TYPE, &payload).to_bytes(),
            leaf: None,
        };
        let new = NewReport {
            row,
            report,
            findings,
            os: Some("Debian".into()),
            needs: Arc::default(),
            basis: Digest::of(b""),
            looked_at: ["accounts".to_string()].into(),
            kept: vec![kept(person, at)],
        };
        assert_eq!(store.accept(new).await.unwrap(), Accepted::New);
    }
}

/// A way in of somebody who left, as it is kept.
fn kept(person: &str, at: i64) -> Extract {
    let item = Item {
        label: person.into(),
        item: format!("ssh-key /home/{person}"),
        rank: NOW,
        about: "{}".into(),
        body: format!("{{\"detail\":\"{person}, {at}\"}}"),
    };
    let says = Says { sight: Sight::Whole, why: String::new(), items: vec![item], doubts: Vec::new() };
    Extract { kind: KeptKind::Way, source: Digest::of(&at.to_be_bytes()), says: Some(says) }
}

pub(super) fn keys(folder: &Path) -> Keys {
    Keys::load_or_create(folder, NOW).unwrap()
}

/// Numbers everything that waits, as a collector does; then the lease is given back.
pub(super) async fn number(store: &Store) {
    let keys = keys(store.folder());
    let (mut task, _) = Task::open(store.clone(), Arc::new(keys.signer), keys.verifier, NOW).await.unwrap();
    let (stop, stopped) = tokio::sync::watch::channel(false);
    while task.step().await.unwrap() > 0 {}
    stop.send_replace(true);
    task.run(stopped).await;
}

/// Two hosts: one with reports of three days, one with one.
async fn filled(store: &Store) -> (Machine, Machine) {
    let (one, two) = (Machine::enrolled(store, 1).await, Machine::enrolled(store, 2).await);
    one.reports(store, 1, ScanKind::Monthly, "grace").await;
    one.reports(store, 2, ScanKind::Weekly, "grace").await;
    one.reports(store, 3, ScanKind::Weekly, "grace").await;
    two.reports(store, 1, ScanKind::Weekly, "gracey").await;
    number(store).await;
    (one, two)
}

pub(super) async fn checked(store: &Store) -> Fsck {
    fsck(store, &[keys(store.folder()).verifier], &|_, _| ()).await.unwrap()
}

pub async fn backup(store: &Store) -> (Vec<u8>, Digest) {
    let mut bytes = Vec::new();
    let moved = store.back_up(&mut bytes, NOW, &|_| ()).await.unwrap();
    (bytes, moved.digest.unwrap())
}

pub async fn a_backup_restored_or_copied_is_the_same_store(store: Store) {
    let (one, _) = filled(&store).await;
    store.retire(&Retirement { at: NOW, by: "grace".into(), host: one.key.id(), replaced_by: None, why: "sold".into() }).await.unwrap();
    super::lists::put(&store, 1, "person,ended_at\ngrace,\n").await;
    store
        .put_user(&UserRow { id: RandomId::new([5; 16]), name: "ada".into(), role: "viewer".into(), password: String::new(), created_at: NOW }, "uid 0", NOW)
        .await
        .unwrap();
    store.remove_user("ada", "uid 0", NOW).await.unwrap();
    let (bytes, digest) = backup(&store).await;
    let folder = tempfile::tempdir().unwrap();
    let restored = Store::open(folder.path()).await.unwrap();
    restored.restore(&bytes[..], &|_| ()).await.unwrap();
    assert_eq!(backup(&restored).await.1, digest, "whatever the database, the content is the same");
    let again = restored.restore(&bytes[..], &|_| ()).await.unwrap_err().to_string();
    assert!(again.contains("is not empty"), "{again}");

    let folder = tempfile::tempdir().unwrap();
    let copied = Store::open(folder.path()).await.unwrap();
    store.copy_to(&copied, &|_| ()).await.unwrap();
    assert_eq!(backup(&copied).await.1, digest);
}

/// A backup of a program that knew neither lists nor what brought a verdict.
pub async fn a_backup_of_an_older_schema_restores(store: Store) {
    filled(&store).await;
    let (bytes, _) = backup(&store).await;
    let text = String::from_utf8(zstd::decode_all(&bytes[..]).unwrap()).unwrap();
    let mut table = "";
    let mut old = Vec::new();
    for line in text.lines() {
        table = line.strip_prefix("{\"table\":\"").map_or(table, |rest| rest.trim_end_matches("\"}"));
        let line = line.replace("\"schema\":7", "\"schema\":2");
        match table {
            "lists" | "bases" | "judged" | "saved_views" | "kept" | "kept_labels" | "kept_state" | "labels" if !line.starts_with("{\"digest\"") => {}
            "findings" if line.starts_with('[') => old.push(line.replace(",null]", "]")),
            _ => old.push(line),
        }
    }
    let last: serde_json::Value = serde_json::from_str(&old.pop().unwrap()).unwrap();
    assert!(last["rows"].as_u64().unwrap() > 10);
    let mut body = old.join("\n") + "\n";
    let rows = old.iter().filter(|l| l.starts_with('[')).count();
    body += &format!("{{\"digest\":\"{}\",\"rows\":{rows}}}\n", Digest::of(body.as_bytes()));
    let folder = tempfile::tempdir().unwrap();
    let restored = Store::open(folder.path()).await.unwrap();
    restored.restore(&zstd::encode_all(body.as_bytes(), 1).unwrap()[..], &|_| ()).await.unwrap();
    let count = |store: Store| async move { store.findings(&FindingFilter { period: Some((0, i64::MAX)), ..FindingFilter::default() }).await.unwrap().len() };
    assert_eq!(count(restored).await, count(store).await);
}

pub async fn a_cut_or_altered_backup_restores_nothing(store: Store) {
    filled(&store).await;
    let (bytes, _) = backup(&store).await;
    let folder = tempfile::tempdir().unwrap();
    let target = Store::open(folder.path()).await.unwrap();
    for cut in (0..bytes.len()).step_by(397) {
        assert!(matches!(target.restore(&bytes[..cut], &|_| ()).await, Err(StoreError::File(_))), "cut at {cut}");
    }
    // The frame's own checksum is off: what is altered must be seen by the digest or by the decoder.
    let plain = zstd::decode_all(&bytes[..]).unwrap();
    let text = String::from_utf8(plain).unwrap();
    for (from, to) in [("web01", "web99"), ("\"weekly\"", "\"drift\""), ("\"rows\":", "\"rows\":1")] {
        let altered = zstd::encode_all(text.replacen(from, to, 1).as_bytes(), 1).unwrap();
        assert!(text.contains(from) && target.restore(&altered[..], &|_| ()).await.is_err(), "{from}");
    }
    assert!(target.hosts(None).await.unwrap().is_empty());
    target.restore(&bytes[..], &|_| ()).await.unwrap();
}

pub async fn a_sound_store_has_no_difference(store: Store) {
    filled(&store).await;
    let found = checked(&store).await;
    assert!(found.is_clean(), "{:?}", found.differences);
    let counts: Vec<(&str, u64)> = found.checked.into_iter().collect();
    let expected = [
        ("blobs", 12),
        ("checkpoints", 1),
        ("files of records", 0),
        ("hosts", 2),
        ("ledger entries", 6),
        ("receipts", 4),
        ("reports", 4),
        ("statements", 0),
        ("verdicts that hosts signed", 0),
        ("versions of lists", 0),
    ];
    assert_eq!(counts, expected);
}

/// Each as someone with the database's file would do it.
pub async fn every_tampering_is_named(store: Store) {
    if store.engine() != Engine::Sqlite {
        return;
    }
    let (one, _) = filled(&store).await;
    let retirement = Retirement { at: NOW, by: "grace".into(), host: one.key.id(), replaced_by: None, why: "sold".into() };
    store.retire(&retirement).await.unwrap();
    number(&store).await;
    assert!(checked(&store).await.is_clean());
    let file = store.folder().join("assay.db");
    let pool = sqlx::AnyPool::connect(&format!("sqlite://{}", file.display())).await.unwrap();
    let run = |sql: &'static str| {
        let pool = pool.clone();
        async move { sqlx::raw_sql(sql).execute(&pool).await.unwrap() }
    };
    run("CREATE TABLE k_reports AS SELECT * FROM reports; CREATE TABLE k_blobs AS SELECT * FROM blobs; CREATE TABLE k_leaves AS SELECT * FROM leaves").await;
    run("CREATE TABLE k_findings AS SELECT * FROM findings; CREATE TABLE k_statements AS SELECT * FROM statements; CREATE TABLE k_heads AS SELECT * FROM checkpoints").await;
    run("CREATE TABLE k_kept AS SELECT * FROM kept").await;
    let cases: [(&str, &str); 16] = [
        ("UPDATE reports SET sequence = 9 WHERE sequence = 3", "report-row"),
        ("UPDATE reports SET finished = finished - 86400 WHERE sequence = 3", "report-row"),
        ("UPDATE reports SET envelope = (SELECT envelope FROM reports WHERE sequence = 2) WHERE sequence = 3", "report-row"),
        ("UPDATE reports SET receipt = (SELECT receipt FROM reports WHERE sequence = 2) WHERE sequence = 3", "receipt-altered"),
        ("DELETE FROM findings; DELETE FROM reports WHERE sequence = 3", "report-deleted"),
        ("UPDATE blobs SET frame = (SELECT frame FROM blobs ORDER BY length(frame) DESC LIMIT 1)", "blob-altered"),
        ("DELETE FROM blobs WHERE used = 1", "blob-missing"),
        ("DELETE FROM leaves WHERE number = 3", "leaf-hole"),
        ("DELETE FROM leaves WHERE number = 6", "checkpoint-root"),
        ("UPDATE leaves SET kind = 'user' WHERE number = 0", "leaf-row"),
        ("UPDATE checkpoints SET size = 8 WHERE size = 7", "checkpoint-row"),
        ("UPDATE findings SET until = since - 1 WHERE until IS NOT NULL", "finding-overlap"),
        ("UPDATE kept SET until = since - 1", "kept-overlap"),
        ("UPDATE kept SET until = NULL", "kept-overlap"),
        ("UPDATE statements SET body = CAST('{}' AS BLOB)", "statement-altered"),
        ("DELETE FROM statements", "statement-deleted"),
    ];
    for (sql, id) in cases {
        run(sql).await;
        let found = checked(&store).await;
        assert!(found.differences.iter().any(|d| d.id == id), "{sql}: {:?}", found.differences);
        run("PRAGMA foreign_keys = OFF; DELETE FROM findings; DELETE FROM reports; INSERT INTO reports SELECT * FROM k_reports; INSERT INTO findings SELECT * FROM k_findings;
             DELETE FROM blobs; INSERT INTO blobs SELECT * FROM k_blobs; DELETE FROM leaves; INSERT INTO leaves SELECT * FROM k_leaves;
             DELETE FROM kept; INSERT INTO kept SELECT * FROM k_kept; DELETE FROM statements; INSERT INTO statements SELECT * FROM k_statements; DELETE FROM checkpoints; INSERT INTO checkpoints SELECT * FROM k_heads")
        .await;
        let found = checked(&store).await;
        assert!(found.is_clean(), "after {sql}: {:?}", found.differences);
    }
}

pub async fn old_facts_go_the_newest_stay_and_the_ledger_says_so(store: Store) {
    let (one, _) = filled(&store).await;
    let host = one.key.id();
    let horizon = Horizon { facts_days: 10, monthly_facts_days: 100 };
    assert_eq!(store.thin(host, horizon, true, NOW + 5 * DAY).await.unwrap().0, 0, "nothing is old yet");
    assert!(store.statements(Kind::Retention).await.unwrap().is_empty());
    // Day 1 is the monthly one, day 3 the newest: what only day 2 names goes.
    let (blobs, bytes) = store.thin(host, horizon, true, NOW + 50 * DAY).await.unwrap();
    assert!(blobs == 2 && bytes > 0, "{blobs}");
    number(&store).await;
    let found = checked(&store).await;
    assert!(found.is_clean(), "{:?}", found.differences);
    assert_eq!(found.erased.into_iter().collect::<Vec<_>>(), [("older than the policy keeps", 2)]);
    assert_eq!(store.thin(host, horizon, true, NOW + 500 * DAY).await.unwrap().0, 2, "then the monthly one");
    assert_eq!(store.thin(host, horizon, true, NOW + 5000 * DAY).await.unwrap().0, 0, "the newest stays for ever");
    assert_eq!(store.history(&host, "access-leaver-active", "grace").await.unwrap().len(), 3, "verdicts stay");
}

pub async fn a_person_is_erased_and_every_proof_holds(store: Store) {
    let (one, two) = filled(&store).await;
    let erased = store.erase_person("grace", "person-1", "uid 0", "request 7", NOW).await.unwrap();
    number(&store).await;
    assert_eq!(erased.hosts.len(), 1, "gracey is somebody else");
    let filter = |host: HostId| FindingFilter { host: Some(host), ..FindingFilter::default() };
    let left = store.findings(&filter(one.key.id())).await.unwrap();
    assert_eq!((left[0].finding.subject.as_str(), left[0].finding.message.as_str()), ("person-1", "person-1 left and has a key in /home/person-1/.ssh, day 3"));
    assert_eq!(store.findings(&filter(two.key.id())).await.unwrap()[0].finding.subject, "gracey");
    let (bytes, _) = backup(&store).await;
    let text = String::from_utf8(zstd::decode_all(&bytes[..]).unwrap()).unwrap();
    assert!(!text.contains("\"grace\"") && !text.contains("/home/grace/"));
    let found = checked(&store).await;
    assert!(found.is_clean(), "{:?}", found.differences);
    assert_eq!(found.erased.get("erased by order"), Some(&6));
    let statement: Erased = store.statements(Kind::Erasure).await.unwrap()[0].read().unwrap();
    assert!(statement == erased && !serde_json::to_string(&statement).unwrap().contains("grace"));
}

pub async fn a_host_is_erased_once_it_is_retired_and_every_proof_holds(store: Store) {
    let (one, _) = filled(&store).await;
    let host = one.key.id();
    assert!(!store.erase_host(host, "uid 0", "request 8", NOW).await.unwrap());
    store.retire(&Retirement { at: NOW + 9 * DAY, by: "grace".into(), host, replaced_by: None, why: "sold".into() }).await.unwrap();
    let of = |as_of| FindingFilter { host: Some(host), as_of, ..FindingFilter::default() };
    assert!(store.findings(&of(None)).await.unwrap().is_empty(), "a host that is out has no open verdict");
    assert_eq!(store.findings(&of(Some(NOW + 3 * DAY))).await.unwrap().len(), 1, "what was true then was true");
    assert!(checked(&store).await.is_clean());
    assert!(store.erase_host(host, "uid 0", "request 8", NOW).await.unwrap());
    assert!(!store.erase_host(host, "uid 0", "request 8", NOW).await.unwrap());
    number(&store).await;
    let row = store.host(&host).await.unwrap().unwrap();
    assert!(row.name.starts_with("erased-") && row.os.is_empty() && row.salt == Salt::new([0; 32]));
    assert!(store.blob_addresses(&host).await.unwrap().is_empty());
    assert_eq!(store.reports(Some(&host), None, 0).await.unwrap().len(), 3, "what the ledger proves stays");
    let found = checked(&store).await;
    assert!(found.is_clean(), "{:?}", found.differences);
}

pub async fn an_old_database_is_refused_until_the_ledger_is_resumed(store: Store) {
    let (one, _) = filled(&store).await;
    let (old, _) = backup(&store).await;
    one.reports(&store, 4, ScanKind::Weekly, "grace").await;
    one.reports(&store, 5, ScanKind::Weekly, "grace").await;
    number(&store).await;
    // Keys and published head of the folder stay; the database is the old one.
    let folder = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(store.folder()).unwrap().map(Result::unwrap).filter(|e| !e.file_name().to_string_lossy().starts_with("assay.db")) {
        std::fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
    }
    let restored = Store::open(folder.path()).await.unwrap();
    restored.restore(&old[..], &|_| ()).await.unwrap();
    let own = keys(folder.path());
    let error = Task::open(restored.clone(), Arc::new(own.signer), own.verifier, NOW).await.unwrap_err().to_string();
    assert!(error.contains("has 6 entries but 8 were published"), "{error}");
    assert!(checked(&restored).await.differences.iter().any(|d| d.id == "ledger-rolled-back"));

    let done = resume::resume(&restored, keys(folder.path()), "uid 0").await.unwrap();
    assert_eq!((done.kept, done.lost, done.missing()), (6, 8, 2));
    assert_eq!(resume::all(&restored).await.unwrap(), [done]);
    let found = checked(&restored).await;
    assert!(found.is_clean(), "{:?}", found.differences);
    assert!(folder.path().join("ledger-head.lost-8").exists());
    let again = resume::resume(&restored, keys(folder.path()), "uid 0").await.unwrap_err().to_string();
    assert!(again.contains("there is nothing to resume"), "{again}");
    // What the agent kept comes again.
    one.reports(&restored, 4, ScanKind::Weekly, "grace").await;
    number(&restored).await;
    assert!(checked(&restored).await.is_clean());
}
