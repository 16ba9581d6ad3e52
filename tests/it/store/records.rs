//! Events of records and their files in the store.

use std::collections::BTreeMap;

use assay::collector::records::{Order, record};
use assay::collector::store::{Engine, Erased, RecordError, Store};
use assay::ledger::Kind;
use assay::model::ids::Digest;
use assay::records::types::{self, WAIVER};
use assay::records::{Action, RecordType, Recorded, entries};

use super::whole::{backup, checked, number};

fn kind(id: &str) -> RecordType {
    types::find(types::builtin().unwrap(), id).unwrap().clone()
}

fn fields(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect()
}

fn training(person: &str, by: &str) -> Order {
    let file = ("certificate.pdf".to_string(), format!("signed by {person}\n").into_bytes());
    let own = fields(&[("done_on", "2026-01-05"), ("content", "phishing"), ("proof", "certificate.pdf")]);
    Order { subject: person.into(), fields: own, files: vec![file], by: by.into(), ..Order::default() }
}

async fn add(store: &Store, id: &str, order: Order) -> Recorded {
    record(store, &kind(id), Action::Add, order).await.unwrap()
}

fn waiver(by: &str) -> Order {
    let expires = (jiff::Zoned::now().date() + jiff::Span::new().days(30)).to_string();
    let own = fields(&[("rule", "tls-version-minimum"), ("host", "web*"), ("reason", "old"), ("control", "office only"), ("expires", &expires)]);
    Order { fields: own, by: by.into(), ..Order::default() }
}

fn on(recorded: &Recorded, by: &str) -> Order {
    Order { entry: Some(recorded.event.entry), by: by.into(), ..Order::default() }
}

pub async fn events_stand_in_the_ledger_with_their_files(store: Store) {
    let trained = add(&store, "awareness-training", training("grace", "ada")).await;
    let asked = add(&store, WAIVER, waiver("ada")).await;
    record(&store, &kind(WAIVER), Action::Approve, on(&asked, "bob")).await.unwrap();
    record(&store, &kind("incidents"), Action::SignOff, Order { by: "ada".into(), ..Order::default() }).await.unwrap();
    let handled = fields(&[("rule", "r"), ("host", "*"), ("owner", "ada")]);
    add(&store, "handling", Order { fields: handled, by: "ada".into(), ..Order::default() }).await;
    let before = store.record_events().await.unwrap();
    number(&store).await;
    let events = store.record_events().await.unwrap();
    assert_eq!(before, events, "numbered or not, the order is that of recording");
    let kinds: Vec<String> = store.leaves(0, 9).await.unwrap().into_iter().map(|l| l.kind).filter(|k| k != "ledger-start").collect();
    assert_eq!(kinds, ["attestation", "waiver", "approval", "sign-off", "register"]);
    assert_eq!(store.leaf_of("attestation", &trained.digest.to_string()).await.unwrap().map(|l| l.reference), Some(trained.digest.to_string()));
    let file = &trained.event.files[0];
    assert_eq!(store.record_file(&file.sha256).await.unwrap(), Some(b"signed by grace\n".to_vec()));
    assert_eq!(file.sha256, Digest::of(b"signed by grace\n"));

    let (bytes, digest) = backup(&store).await;
    let folder = tempfile::tempdir().unwrap();
    let restored = Store::open(folder.path()).await.unwrap();
    restored.restore(&bytes[..], &|_| ()).await.unwrap();
    assert_eq!(backup(&restored).await.1, digest);
    assert_eq!((restored.record_events().await.unwrap(), restored.record_files().await.unwrap().len()), (events, 1));
    let found = checked(&store).await;
    assert!(found.is_clean(), "{:?}", found.differences);
    assert_eq!((found.checked["statements"], found.checked["files of records"]), (5, 1));
}

pub async fn what_is_refused_leaves_nothing_behind(store: Store) {
    let mut bad = training("grace", "ada");
    bad.fields.insert("done_on".into(), "tomorrow".into());
    let refused = record(&store, &kind("awareness-training"), Action::Add, bad).await.unwrap_err();
    assert!(matches!(&refused, RecordError::Refused(r) if r.to_string().starts_with("done_on is no day")), "{refused}");
    assert!(store.record_events().await.unwrap().is_empty() && store.record_files().await.unwrap().is_empty());
    assert_eq!(store.pending_count().await.unwrap(), 0);
}

/// Of many who approve at once, one does: what may be recorded is decided where it is written.
pub async fn a_waiver_is_decided_once_however_many_try(store: Store) {
    let asked = add(&store, WAIVER, waiver("ada")).await;
    let kind = kind(WAIVER);
    let tries = (0..8).map(|n| {
        let (store, kind, order) = (store.clone(), kind.clone(), on(&asked, &format!("person {n}")));
        tokio::spawn(async move { record(&store, &kind, Action::Approve, order).await.is_ok() })
    });
    let mut done = 0;
    for one in tries.collect::<Vec<_>>() {
        done += usize::from(one.await.unwrap());
    }
    assert_eq!((done, store.record_events().await.unwrap().len()), (1, 2));
}

pub async fn a_person_is_erased_from_records_and_what_was_proved_stays(store: Store) {
    let trained = add(&store, "awareness-training", training("grace", "ada")).await;
    add(&store, "awareness-training", training("gracey", "ada")).await;
    add(
        &store,
        "support-audits",
        Order { by: "ada".into(), fields: fields(&[("auditor", "grace"), ("result", "told to grace and gracey")]), ..Order::default() },
    )
    .await;
    number(&store).await;
    assert!(checked(&store).await.is_clean());
    let erased = store.erase_person("grace", "person-1", "uid 0", "request 7", 9).await.unwrap();
    number(&store).await;
    assert_eq!((erased.records.len(), erased.files, erased.hosts.len()), (2, vec![trained.event.files[0].sha256], 0));
    let events = store.record_events().await.unwrap();
    assert_eq!(events.iter().map(Recorded::is_erased).collect::<Vec<_>>(), [true, false, true]);
    assert_eq!((events[0].digest, events[0].event.subject.as_str(), events[0].event.nonce.bytes()), (trained.digest, "person-1", &[0; 16]));
    assert_eq!(entries(&events, i64::MAX)[2].value("result"), "told to person-1 and gracey");
    let (bytes, _) = backup(&store).await;
    let text = zstd::decode_all(&bytes[..]).unwrap();
    assert!(!String::from_utf8(text).unwrap().contains(&base64_of("signed by grace\n")));
    let found = checked(&store).await;
    assert!(found.is_clean(), "{:?}", found.differences);
    assert_eq!(found.erased.get("erased by order"), Some(&3));
    let statement: Erased = store.statements(Kind::Erasure).await.unwrap()[0].read().unwrap();
    assert!(!serde_json::to_string(&statement).unwrap().contains("grace"));
    // Erased once more, under another word: the last erasure says what stands there.
    store.erase_person("person-1", "person-2", "uid 0", "request 8", 10).await.unwrap();
    number(&store).await;
    assert!(checked(&store).await.is_clean());
    assert_eq!(store.record_events().await.unwrap()[0].event.subject, "person-2");
}

fn base64_of(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD_NO_PAD.encode(text)
}

pub async fn tampered_records_and_files_are_named(store: Store) {
    if store.engine() != Engine::Sqlite {
        return;
    }
    add(&store, "awareness-training", training("grace", "ada")).await;
    number(&store).await;
    let pool = sqlx::AnyPool::connect(&format!("sqlite://{}", store.folder().join("assay.db").display())).await.unwrap();
    let run = async |sql: &'static str| sqlx::raw_sql(sql).execute(&pool).await.unwrap();
    run("CREATE TABLE k_files AS SELECT * FROM record_files; CREATE TABLE k_statements AS SELECT * FROM statements").await;
    for (sql, id) in [
        ("UPDATE record_files SET bytes = CAST('another' AS BLOB)", "file-altered"),
        ("DELETE FROM record_files", "file-missing"),
        ("INSERT INTO record_files (digest, at, bytes) VALUES (zeroblob(32), 0, x'00')", "file-unfounded"),
        ("UPDATE statements SET body = CAST(replace(CAST(body AS TEXT), 'grace', 'ulysses') AS BLOB)", "statement-altered"),
        ("UPDATE statements SET body = CAST('{}' AS BLOB)", "record-malformed"),
        ("DELETE FROM statements", "statement-deleted"),
    ] {
        run(sql).await;
        let found = checked(&store).await;
        assert!(found.differences.iter().any(|d| d.id == id), "{sql}: {:?}", found.differences);
        run("DELETE FROM record_files; INSERT INTO record_files SELECT * FROM k_files; DELETE FROM statements; INSERT INTO statements SELECT * FROM k_statements").await;
    }
    assert!(checked(&store).await.is_clean());
}
