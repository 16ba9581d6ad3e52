use assay::collector::store::{Store, UserAction, UserChange, UserRow};
use assay::ledger::Kind;
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

fn user(n: u8, role: &str) -> UserRow {
    UserRow { id: RandomId::new([n; 16]), name: "ada".into(), role: role.into(), password: String::new(), created_at: NOW }
}

pub async fn a_user_keeps_the_id_and_every_change_ends_the_sessions_or_stands_in_the_ledger(store: Store) {
    let session = Digest::of(b"s");
    let begin = || async { store.begin_session(&session, &user(1, "admin"), NOW, NOW + 10, "here", false).await.unwrap() };
    assert_eq!(store.put_user(&user(1, "admin"), "uid 0", NOW).await.unwrap(), user(1, "admin").id);
    begin().await;
    assert_eq!(store.put_user(&user(2, "viewer"), "uid 0", NOW + 1).await.unwrap(), user(1, "admin").id, "one person, one id");
    assert_eq!(store.user_count().await.unwrap(), 1);
    assert_eq!(store.user_by_name("ada").await.unwrap(), Some(user(1, "viewer")));
    assert_eq!(store.user(&user(2, "").id).await.unwrap(), None);
    assert_eq!(store.peek_secret("session", &session, NOW).await.unwrap(), None);
    begin().await;
    assert!(store.change_user("ada", "auditor", "uid 0", NOW + 2).await.unwrap() && !store.change_user("bob", "auditor", "uid 0", NOW + 2).await.unwrap());
    assert!(store.peek_secret("session", &session, NOW).await.unwrap().is_some(), "another role is looked up with each request");
    assert!(store.remove_user("ada", "uid 0", NOW + 3).await.unwrap() && !store.remove_user("ada", "uid 0", NOW + 3).await.unwrap());
    assert_eq!(store.peek_secret("session", &session, NOW).await.unwrap(), None);
    assert_eq!((store.user_count().await.unwrap(), store.user_by_name("ada").await.unwrap(), store.user(&user(1, "").id).await.unwrap()), (0, None, None));
    assert_eq!(store.users().await.unwrap()[0].1, Some(NOW + 3), "the name stays beside the id");
    store.put_user(&user(3, "viewer"), "uid 0", NOW + 4).await.unwrap();
    let told: Vec<UserChange> = store.statements(Kind::User).await.unwrap().iter().map(|s| s.read().unwrap()).collect();
    let story: Vec<(UserAction, &str)> = told.iter().map(|c| (c.action, c.role.as_str())).collect();
    use UserAction::{Add, Change, Remove};
    assert_eq!(story, [(Add, "admin"), (Change, "viewer"), (Change, "auditor"), (Remove, "auditor"), (Add, "viewer")]);
    assert!(told.iter().all(|c| c.user == user(1, "").id && c.by == "uid 0"));
    assert!(store.statements(Kind::User).await.unwrap().iter().all(|s| !String::from_utf8_lossy(&s.body).contains("ada")), "no name");
}
