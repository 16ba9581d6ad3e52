use assay::collector::fsck::{Fsck, fsck};
use assay::collector::lists::{self, List};
use assay::collector::store::{Engine, Given, ListGiven, Store};
use assay::ledger::Kind;
use assay::model::ids::Digest;

use super::whole::{checked, number};
use super::{DAY, NOW};

pub(super) async fn put(store: &Store, day: i64, text: &str) -> Given {
    let parsed = List::Roster.parse("people.csv", text.as_bytes()).unwrap();
    lists::put(store, List::Roster, &parsed, text.as_bytes().to_vec(), "uid 0", NOW + day * DAY).await.unwrap()
}

const ONE: &str = "person,ended_at\ngrace,\nada,\n";
const TWO: &str = "person,ended_at\nada,\n";

pub async fn a_version_is_in_force_until_the_next_and_the_same_bytes_are_none(store: Store) {
    assert_eq!(put(&store, 1, ONE).await, Given { version: 1, is_new: true });
    assert_eq!(put(&store, 2, ONE).await, Given { version: 1, is_new: false });
    assert_eq!(put(&store, 5, TWO).await, Given { version: 2, is_new: true });
    assert_eq!(put(&store, 9, ONE).await, Given { version: 3, is_new: true }, "what was in force before may be again");
    let told: Vec<ListGiven> = store.statements(Kind::Roster).await.unwrap().iter().map(|s| s.read().unwrap()).collect();
    let expected =
        |day: i64, text: &str, rows| ListGiven { at: NOW + day * DAY, by: "uid 0".into(), digest: Digest::of(text.as_bytes()), name: "roster".into(), rows };
    assert_eq!(told, [expected(1, ONE, 2), expected(5, TWO, 1), expected(9, ONE, 2)]);
    assert_eq!(store.pending_count().await.unwrap(), 3);
    assert_eq!(store.list_heads().await.unwrap(), [("roster".to_string(), 3)]);
}

pub async fn versions_are_told_at_any_time_and_gone_bytes_are_erased_or_missing(store: Store) {
    put(&store, 1, ONE).await;
    put(&store, 5, TWO).await;
    // Of one second, the later one counts.
    put(&store, 7, ONE).await;
    put(&store, 7, TWO).await;
    let day = |at: i64| (at - NOW) / DAY;
    let seen: Vec<_> = store.list_versions("roster", NOW + 4 * DAY, NOW + 9 * DAY).await.unwrap();
    let told: Vec<_> = seen.iter().map(|v| (v.version, day(v.since), v.until.map(day), v.rows, v.bytes.as_deref().unwrap())).collect();
    assert_eq!(told, [(1, 1, Some(5), 2, ONE.as_bytes()), (2, 5, Some(7), 1, TWO.as_bytes()), (4, 7, None, 1, TWO.as_bytes())]);
    assert_eq!(store.list_versions("roster", NOW, NOW + DAY).await.unwrap(), [], "nothing was in force yet");
    let at = |day: i64| {
        let store = store.clone();
        async move { store.list_at("roster", NOW + day * DAY).await.unwrap().map(|v| v.version) }
    };
    assert_eq!((at(0).await, at(1).await, at(6).await, at(99).await), (None, Some(1), Some(2), Some(4)));
    number(&store).await;
    let clean = |found: Fsck| {
        assert!(found.is_clean(), "{:?}", found.differences);
        found
    };
    assert_eq!(clean(checked(&store).await).checked["versions of lists"], 4);

    let naming: Vec<u64> = store.lists_naming("grace").await.unwrap().into_iter().map(|v| v.version).collect();
    assert_eq!(naming, [1, 3]);
    let erased = store.erase_person("grace", "person-1", "uid 0", "request 8", NOW + 9 * DAY).await.unwrap();
    assert_eq!(erased.lists.len(), 2);
    assert!(store.lists_naming("grace").await.unwrap().is_empty());
    let first = &store.list_versions("roster", 0, NOW + 2 * DAY).await.unwrap()[0];
    assert_eq!((first.bytes.as_ref(), first.kept, first.digest), (None, false, Digest::of(ONE.as_bytes())), "that it was in force is still known");
    number(&store).await;
    assert_eq!(clean(checked(&store).await).erased["erased by order"], 2);
    assert!(store.erase_person("ada", "person-2", "uid 0", "request 9", NOW + 9 * DAY).await.unwrap().lists.len() == 1, "what is in force stays");
    assert_eq!(store.lists_naming("ada").await.unwrap()[0].until, None);

    if store.engine() == Engine::Sqlite {
        let pool = sqlx::AnyPool::connect(&format!("sqlite://{}", store.folder().join("assay.db").display())).await.unwrap();
        sqlx::raw_sql("CREATE TABLE k_lists AS SELECT * FROM lists").execute(&pool).await.unwrap();
        for (sql, id) in [
            ("UPDATE lists SET body = NULL WHERE version = 4", "list-missing"),
            ("UPDATE lists SET body = CAST('x' AS BLOB) WHERE version = 4", "list-altered"),
            ("UPDATE lists SET at = at + 1 WHERE version = 2", "list-unlogged"),
            ("UPDATE lists SET entries = 9 WHERE version = 2", "list-unlogged"),
            ("DELETE FROM lists WHERE version = 2", "list-deleted"),
        ] {
            sqlx::raw_sql(sql).execute(&pool).await.unwrap();
            let found = fsck(&store, &[super::whole::keys(store.folder()).verifier], &|_, _| ()).await.unwrap();
            assert!(found.differences.iter().any(|d| d.id == id), "{sql}: {:?}", found.differences);
            sqlx::raw_sql("DELETE FROM lists; INSERT INTO lists SELECT * FROM k_lists").execute(&pool).await.unwrap();
        }
    }
}
