use assay::collector::kept::{Doubt, Extract, Item, Kind, Says, Sight};
use assay::collector::store::{Accepted, LabelFilter, Retirement, Seen, Store};
use assay::model::ids::{Digest, HostId};
use assay::model::report::ScanKind;

use super::reports::offer;
use super::{DAY, NOW, enrolled};

fn item(label: &str, item: &str, rank: i64) -> Item {
    Item { label: label.into(), item: item.into(), rank, about: format!("{{\"name\":\"{label}\"}}"), body: format!("{{\"place\":\"{item}\"}}") }
}

fn says(kind: Kind, source: &[u8], items: Vec<Item>) -> Extract {
    let says = Says { sight: Sight::Whole, why: String::new(), items, doubts: Vec::new() };
    Extract { kind, source: Digest::of(source), says: Some(says) }
}

async fn send(store: &Store, host: HostId, day: u64, extract: Extract) {
    assert_eq!(offer(store, host, day, ScanKind::Weekly, Vec::new(), vec![extract]).await, Accepted::New);
}

/// Label and item of everything that a kind says on a day.
async fn on(store: &Store, kind: Kind, day: i64) -> Vec<(String, String)> {
    let labels = store.fleet_labels(kind, &LabelFilter { as_of: Some(NOW + day * DAY), limit: 100, ..LabelFilter::default() }).await.unwrap();
    let mut out = Vec::new();
    for label in labels {
        let places = store.fleet_places(kind, Some(&label.label), None, Some(NOW + day * DAY), 0, 100).await.unwrap();
        assert_eq!(label.hosts.n > 0, !places.is_empty());
        out.extend(places.into_iter().map(|p| (p.label, p.item)));
    }
    out
}

fn pairs(all: &[(&str, &str)]) -> Vec<(String, String)> {
    all.iter().map(|(a, b)| ((*a).to_string(), (*b).to_string())).collect()
}

pub async fn spans_do_not_depend_on_the_order_of_arrival_and_a_past_day_is_told(store: Store) {
    use Kind::Certificate;
    let host = enrolled(&store, 1).await;
    let (a, b) = (item("aa", "served 443", NOW + 90 * DAY), item("bb", "stored /b", NOW + 10 * DAY));
    send(&store, host, 1, says(Certificate, b"1", vec![a.clone()])).await;
    send(&store, host, 6, says(Certificate, b"2", vec![a.clone(), b.clone()])).await;
    // Between the two, late: it saw neither.
    send(&store, host, 3, says(Certificate, b"3", Vec::new())).await;
    let days = [(0, pairs(&[])), (1, pairs(&[("aa", "served 443")])), (3, pairs(&[])), (5, pairs(&[]))];
    for (day, expected) in days {
        assert_eq!(on(&store, Certificate, day).await, expected, "day {day}");
    }
    // What ends first stands first.
    assert_eq!(on(&store, Certificate, 6).await, pairs(&[("bb", "stored /b"), ("aa", "served 443")]));
    // An equal report brings nothing and changes nothing; one that another overtook is refused and sent again.
    let same = |source: &[u8]| Extract { kind: Certificate, source: Digest::of(source), says: None };
    send(&store, host, 7, same(b"2")).await;
    let ending = store.certificates_ending(None, NOW + 30 * DAY, 10).await.unwrap();
    assert_eq!(ending.iter().map(|e| (e.label.label.as_str(), e.label.hosts.n, e.label.places.len())).collect::<Vec<_>>(), [("bb", 1, 1)]);
    assert_eq!(ending[0].label.since, Some(NOW + 6 * DAY));
    assert_eq!(store.fleet_seen(Certificate, None).await.unwrap(), Seen { whole: 1, part: 0, none: 0 });

    // A host that is taken out has none any more; what it had is told of the days before.
    let other = enrolled(&store, 2).await;
    send(&store, other, 8, says(Certificate, b"1", vec![b])).await;
    assert_eq!(store.certificates_ending(None, NOW + 30 * DAY, 10).await.unwrap()[0].label.hosts.n, 2);
    let retirement = Retirement { at: NOW + 9 * DAY, by: "test".into(), host, replaced_by: None, why: "test".into() };
    assert!(store.retire(&retirement).await.unwrap());
    assert_eq!(on(&store, Certificate, 10).await, pairs(&[("bb", "stored /b")]));
    assert_eq!(on(&store, Certificate, 8).await.len(), 3);
    assert_eq!(store.fleet_seen(Certificate, None).await.unwrap(), Seen { whole: 1, part: 0, none: 0 });
}

pub async fn what_could_not_be_seen_stays_and_is_told(store: Store) {
    let host = enrolled(&store, 1).await;
    let (served, stored) = (item("aa", "served 443", NOW), item("bb", "stored /b", NOW));
    send(&store, host, 1, says(Kind::Certificate, b"1", vec![served.clone(), stored.clone()])).await;
    // Endpoints could not be asked: what was served may still be; what was stored is gone.
    let doubts = vec![Doubt { prefix: "served ", subject: String::new() }];
    let part = Says { sight: Sight::Part, why: "nothing answered".into(), items: Vec::new(), doubts };
    send(&store, host, 2, Extract { kind: Kind::Certificate, source: Digest::of(b"2"), says: Some(part) }).await;
    assert_eq!(on(&store, Kind::Certificate, 3).await, pairs(&[("aa", "served 443")]));
    assert_eq!(store.seen_on(Kind::Certificate, &host, None).await.unwrap(), Some((Sight::Part, "nothing answered".into())));
    assert_eq!(store.seen_on(Kind::Certificate, &host, Some(NOW + DAY)).await.unwrap(), Some((Sight::Whole, String::new())));
    // Nothing at all could be seen: nothing goes.
    let blind = Says { sight: Sight::None, why: "not gathered".into(), items: Vec::new(), doubts: Vec::new() };
    send(&store, host, 4, Extract { kind: Kind::Certificate, source: Digest::of(b"3"), says: Some(blind) }).await;
    assert_eq!(on(&store, Kind::Certificate, 5).await, pairs(&[("aa", "served 443")]));
    assert_eq!(store.fleet_seen(Kind::Certificate, None).await.unwrap(), Seen { whole: 0, part: 0, none: 1 });
    let unseen = store.fleet_unseen(Kind::Certificate, Sight::None, None, 10).await.unwrap();
    assert_eq!(unseen, [(host, "web01".to_string(), "not gathered".to_string())]);
    send(&store, host, 6, says(Kind::Certificate, b"4", Vec::new())).await;
    assert!(on(&store, Kind::Certificate, 6).await.is_empty());
}

pub async fn what_is_kept_of_a_host_or_a_person_goes_with_them(store: Store) {
    let (host, other) = (enrolled(&store, 1).await, enrolled(&store, 2).await);
    for host in [host, other] {
        let ways = vec![item("m.keller", "ssh-key key in /home/m.keller/.ssh/authorized_keys:1", NOW - DAY), item("m.kellerman", "sudo", NOW - DAY)];
        send(&store, host, 1, says(Kind::Way, b"1", ways)).await;
    }
    let leavers = store.leavers_inside(None, 10).await.unwrap();
    assert_eq!(leavers.iter().map(|l| (l.label.as_str(), l.hosts.n, l.rank)).collect::<Vec<_>>(), [("m.keller", 2, NOW - DAY), ("m.kellerman", 2, NOW - DAY)]);
    assert!(store.leavers_inside(Some(NOW), 10).await.unwrap().is_empty(), "nobody was seen yet");
    store.erase_person("m.keller", "person-1", "test", "asked", NOW + 2 * DAY).await.unwrap();
    let names: Vec<String> = store.leavers_inside(None, 10).await.unwrap().into_iter().map(|l| l.label).collect();
    assert_eq!(names, ["m.kellerman", "person-1"]);
    let history = store.fleet_history(Kind::Way, "person-1", 10).await.unwrap();
    assert!(history.len() == 2 && history.iter().all(|p| p.item.contains("/home/person-1/") && !p.body.contains("m.keller")), "{history:?}");

    let retirement = Retirement { at: NOW + 3 * DAY, by: "test".into(), host, replaced_by: None, why: "test".into() };
    assert!(store.retire(&retirement).await.unwrap());
    assert!(store.erase_host(host, "test", "asked", NOW + 4 * DAY).await.unwrap());
    let history = store.fleet_history(Kind::Way, "person-1", 10).await.unwrap();
    assert_eq!(history.iter().map(|p| p.host).collect::<Vec<_>>(), [other]);
    assert!(store.kept_states(&host).await.unwrap().is_empty());
}
