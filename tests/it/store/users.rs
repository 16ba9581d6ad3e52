use assay::collector::store::{Store, UserRow};
use assay::model::ids::{Digest, RandomId};

use super::NOW;

pub async fn a_secret_lives_until_its_uses_or_its_time_are_up(store: Store) {
    let digest = Digest::of(b"s");
    store.put_secret("signin", &digest, "u", NOW + 10, 2).await.unwrap();
    assert_eq!(store.peek_secret("signin", &digest, NOW).await.unwrap().as_deref(), Some("u"));
    assert_eq!(store.take_secret("session", &digest, NOW).await.unwrap(), None);
    assert_eq!(store.take_secret("signin", &digest, NOW + 10).await.unwrap(), None);
    for left in [true, true, false] {
        assert_eq!(store.take_secret("signin", &digest, NOW).await.unwrap().is_some(), left);
    }
    assert_eq!(store.peek_secret("signin", &digest, NOW).await.unwrap(), None);
    store.put_secret("session", &digest, "u", NOW + 10, 0).await.unwrap();
    for _ in 0..5 {
        assert!(store.take_secret("session", &digest, NOW).await.unwrap().is_some());
    }
    assert_eq!(store.sweep_secrets(NOW + 10).await.unwrap(), 2);
    assert_eq!(store.peek_secret("session", &digest, NOW).await.unwrap(), None);
}

pub async fn replacing_a_user_ends_the_sessions_of_the_old_one(store: Store) {
    let user = |n: u8| UserRow { id: RandomId::new([n; 16]), name: "ada".into(), role: "admin".into(), password: String::new(), created_at: NOW };
    store.put_user(&user(1)).await.unwrap();
    store.put_secret("session", &Digest::of(b"s"), &user(1).id.to_string(), NOW + 10, 0).await.unwrap();
    store.put_user(&user(2)).await.unwrap();
    assert_eq!(store.user_count().await.unwrap(), 1);
    assert_eq!(store.user_by_name("ada").await.unwrap(), Some(user(2)));
    assert_eq!(store.user(&user(1).id).await.unwrap(), None);
    assert_eq!(store.peek_secret("session", &Digest::of(b"s"), NOW).await.unwrap(), None);
}
