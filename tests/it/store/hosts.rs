use assay::collector::store::{Enrolled, HostState, NewHost, Retirement, Store};
use assay::ledger::Kind;
use assay::model::ids::{Digest, HostId, Salt};

use super::{DAY, NOW, enrolled};

fn retirement(host: HostId, replaced_by: Option<HostId>, at: i64) -> Retirement {
    Retirement { at, by: "ada".into(), host, replaced_by, why: "sold".into() }
}

pub async fn silence_is_told_for_any_past_day_without_a_row_per_heartbeat(store: Store) {
    let host = enrolled(&store, 1).await;
    for day in [0, 1, 2, 10, 11] {
        store.touch(&[(host, NOW + day * DAY, String::new())]).await.unwrap();
    }
    let states = [(2, HostState::Active), (4, HostState::Active), (6, HostState::Silent), (10, HostState::Active), (20, HostState::Silent)];
    for (day, state) in states {
        assert_eq!(store.hosts(Some(NOW + day * DAY)).await.unwrap()[0].state, state, "day {day}");
    }
    assert_eq!(store.hosts(Some(NOW + 6 * DAY)).await.unwrap()[0].seen_at, Some(NOW + 2 * DAY));
    assert!(store.hosts(Some(NOW - 1)).await.unwrap().is_empty());
    assert!(store.retire(&retirement(host, None, NOW + 12 * DAY)).await.unwrap());
    assert_eq!(store.hosts(Some(NOW + 12 * DAY)).await.unwrap()[0].state, HostState::Retired);
    assert_eq!(store.hosts(Some(NOW + 11 * DAY)).await.unwrap()[0].state, HostState::Active);
    assert!(!store.retire(&retirement(host, None, NOW + 13 * DAY)).await.unwrap(), "a host is taken out once");
    assert_eq!(store.retired_since(NOW + 12 * DAY).await.unwrap(), [host]);
    assert!(store.retired_since(NOW + 12 * DAY + 1).await.unwrap().is_empty());
    let statements = store.statements(Kind::Retirement).await.unwrap();
    assert_eq!(statements[0].read::<Retirement>().unwrap().why, "sold");
    let leaf = store.pending_leaves(0).await.unwrap().into_iter().find(|l| String::from_utf8_lossy(&l.bytes).contains("retirement")).unwrap();
    assert!(String::from_utf8_lossy(&leaf.bytes).contains(&statements[0].digest.to_string()), "the entry holds the digest of the statement");
}

pub async fn a_host_takes_the_place_of_one_other(store: Store) {
    let (old, new, third) = (enrolled(&store, 1).await, enrolled(&store, 2).await, enrolled(&store, 3).await);
    assert!(!store.retire(&retirement(old, Some(old), NOW + DAY)).await.unwrap(), "no host replaces itself");
    assert!(store.retire(&retirement(old, Some(new), NOW + DAY)).await.unwrap());
    assert!(!store.retire(&retirement(third, Some(new), NOW + DAY)).await.unwrap(), "nor two others");
    let hosts = store.hosts(Some(NOW + 2 * DAY)).await.unwrap();
    let of = |id: HostId| hosts.iter().find(|h| h.id == id).unwrap();
    assert_eq!((of(old).state, of(new).replaces, of(third).state), (HostState::Replaced, Some(old), HostState::Active));
    assert_eq!(store.hosts(Some(NOW)).await.unwrap()[0].state, HostState::Active, "before that day it counted");
}

pub async fn a_secret_enrols_as_often_as_it_may_and_a_lost_answer_costs_nothing(store: Store) {
    let secret = Digest::of(b"secret");
    store.put_secret("enrol", &secret, "", NOW + DAY, 1).await.unwrap();
    let host = |n: u8| NewHost { id: HostId::new([n; 32]), name: "web".into(), public_key: vec![n], salt: Salt::new([n; 32]), machine: String::new(), secret };
    assert_eq!(store.enrol(&host(1), NOW).await.unwrap(), Enrolled::New);
    assert_eq!(store.enrol(&host(1), NOW + 5).await.unwrap(), Enrolled::Again);
    assert_eq!(store.enrol(&host(1), NOW + 5000).await.unwrap(), Enrolled::KeyTaken);
    assert_eq!(store.enrol(&NewHost { salt: Salt::new([9; 32]), ..host(1) }, NOW).await.unwrap(), Enrolled::KeyTaken);
    assert_eq!(store.enrol(&host(2), NOW).await.unwrap(), Enrolled::BadSecret);
    assert_eq!(store.hosts(Some(NOW)).await.unwrap().len(), 1);
}
