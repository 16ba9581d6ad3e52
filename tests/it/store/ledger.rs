use assay::collector::store::{Engine, Head, Statement, Store, StoreError};
use assay::ledger::Kind;
use assay::model::ids::{Digest, RandomId};

pub async fn leaves_are_numbered_once_and_only_behind_the_last(store: Store) {
    for n in 0..3u8 {
        store.append_leaf("user", &Digest::of(&[n]), None).await.unwrap();
    }
    assert!(store.append_leaf("rumour", &Digest::of(b""), None).await.is_err());
    let holder = RandomId::new([1; 16]);
    assert!(store.lease_ledger(&holder).await.unwrap());
    let pending = store.pending_leaves(2).await.unwrap();
    let head = |size| Head { size, root: Digest::of(b"r"), note: "note".into() };
    store.sequence(&holder, 0, &pending, &head(2), &[]).await.unwrap();
    assert!(store.sequence(&holder, 0, &pending, &head(2), &[]).await.is_err());
    assert!(store.sequence(&holder, 2, &pending, &head(4), &[]).await.is_err());
    assert_eq!(store.checkpoint().await.unwrap(), Some((2, "note".into())));
    assert_eq!(store.leaves(0, 9).await.unwrap().len(), 2);
    assert_eq!(store.leaf_of("user", &Digest::of(&[1]).to_string()).await.unwrap().unwrap().index, 1);
    assert_eq!(store.leaf_of("user", &Digest::of(&[2]).to_string()).await.unwrap(), None);
    assert_eq!(store.pending_leaves(0).await.unwrap().len(), 1);
}

pub async fn only_the_holder_of_the_lease_numbers(store: Store) {
    store.append_leaf("user", &Digest::of(b"a"), None).await.unwrap();
    let pending = store.pending_leaves(0).await.unwrap();
    let head = Head { size: 1, root: Digest::of(b"r"), note: "note".into() };
    let (one, other) = (RandomId::new([1; 16]), RandomId::new([2; 16]));
    assert!(matches!(store.sequence(&one, 0, &pending, &head, &[]).await, Err(StoreError::LeaseLost)));
    assert!(store.lease_ledger(&one).await.unwrap());
    assert!(store.lease_ledger(&one).await.unwrap(), "a holder renews");
    // Of several collectors on a server one holds it; on SQLite the folder's lock lets one collector in.
    assert_eq!(store.lease_ledger(&other).await.unwrap(), store.engine() == Engine::Sqlite);
    let holder = if store.engine() == Engine::Sqlite { other } else { one };
    let loser = if store.engine() == Engine::Sqlite { one } else { other };
    assert!(matches!(store.sequence(&loser, 0, &pending, &head, &[]).await, Err(StoreError::LeaseLost)));
    store.release_ledger(&loser).await.unwrap();
    store.sequence(&holder, 0, &pending, &head, &[]).await.unwrap();
    store.release_ledger(&holder).await.unwrap();
    assert!(store.lease_ledger(&loser).await.unwrap(), "what was given back can be taken at once");
}

pub async fn statements_of_one_second_stand_in_the_order_of_the_ledger(store: Store) {
    let holder = RandomId::new([1; 16]);
    assert!(store.lease_ledger(&holder).await.unwrap());
    let words: Vec<String> = (0..8).map(|n| format!("statement {n}")).collect();
    let told = async || store.statements(Kind::Resumption).await.unwrap().iter().map(|s| s.read::<String>().unwrap()).collect::<Vec<_>>();
    for (number, word) in words.iter().enumerate() {
        store.put_statement(&Statement::of(Kind::Resumption, 7, word).unwrap(), None).await.unwrap();
        if number == 3 {
            let head = Head { size: 4, root: Digest::of(b"r"), note: "note".into() };
            store.sequence(&holder, 0, &store.pending_leaves(0).await.unwrap(), &head, &[]).await.unwrap();
        }
        assert_eq!(told().await, words[..=number], "numbered or not");
    }
}
