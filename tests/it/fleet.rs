//! Facts kept for pages of the fleet, from real reports of a real agent's key over the wire: with the report, with a list that changes, and not
//! again when nothing changed.

use std::time::{Duration, Instant};

use assay::collector::kept::{Kind, Sight, WayBody};
use assay::collector::lists::{self, List};
use assay::collector::start;
use assay::collector::store::Store;
use assay::host::clock;
use assay::model::report::ScanKind;

use super::access_facts;
use super::collector::{config, new_host, token};
use super::rejudge::machine;

const SOON: Duration = Duration::from_secs(120);

async fn inside(store: &Store) -> Vec<String> {
    store.leavers_inside(None, 100).await.unwrap().into_iter().map(|l| l.label).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_left_and_gets_in_is_kept_as_soon_as_the_roster_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let running = start(config(folder.path())).await.unwrap();
    let (app, store) = (running.app.clone(), running.app.store.clone());
    let token = token(folder.path(), &app.authority, 1).await;
    let host = new_host(&app.agents_url, &token).await;
    let id = host.key.id();
    let now = clock::unix_now();
    host.send(&app.agents_url, &host.report(1, ScanKind::Weekly, machine(now))).await;
    assert!(inside(&store).await.is_empty());
    let (sight, why) = store.seen_on(Kind::Way, &id, None).await.unwrap().unwrap();
    assert_eq!((sight, why.as_str()), (Sight::None, "there is no roster of people"), "no roster is not nobody");

    let parsed = List::Roster.parse("people.csv", access_facts::ROSTER.as_bytes()).unwrap();
    lists::put(&store, List::Roster, &parsed, access_facts::ROSTER.as_bytes().to_vec(), "uid 0", now).await.unwrap();
    let end = Instant::now() + SOON;
    while inside(&store).await.is_empty() {
        assert!(Instant::now() < end, "the facts at hand are looked at again by the new roster");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let found = inside(&store).await;
    assert!(found.contains(&"m.keller".to_string()) && !found.contains(&"anna".to_string()), "{found:?}");
    let ways = store.fleet_places(Kind::Way, Some("m.keller"), None, None, 0, 100).await.unwrap();
    assert!(!ways.is_empty() && ways.iter().all(|w| w.host == id), "{ways:?}");
    let body: WayBody = serde_json::from_str(&ways[0].body).unwrap();
    assert!(!body.kind.is_empty() && !body.detail.is_empty(), "{body:?}");
    assert!(!store.fleet_places(Kind::Privilege, None, Some(&id), None, 0, 100).await.unwrap().is_empty());

    // The same again: every span stays as it is.
    let before = store.fleet_history(Kind::Way, "m.keller", 100).await.unwrap();
    host.send(&app.agents_url, &host.report(2, ScanKind::Weekly, machine(clock::unix_now() + 1))).await;
    assert_eq!(store.fleet_history(Kind::Way, "m.keller", 100).await.unwrap(), before);
    running.stop().await;
}
