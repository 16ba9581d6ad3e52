//! One suite for both databases: what the store promises holds on SQLite and on a PostgreSQL server.

mod blobs;
mod hosts;
mod judged;
mod kept;
mod ledger;
mod lists;
mod open;
mod records;
mod reports;
mod tallies;
mod users;
mod whole;

use std::pin::Pin;

use assay::collector::store::{Enrolled, NewHost, Store};
use assay::model::ids::{Digest, HostId, Salt};

/// A Monday.
const NOW: i64 = 1_763_337_600;
const DAY: i64 = 86_400;

type Case = (&'static str, fn(Store) -> Pin<Box<dyn Future<Output = ()>>>);

macro_rules! cases {
    ($($file:ident::$name:ident),* $(,)?) => {
        &[$((concat!(stringify!($file), "::", stringify!($name)), |store| Box::pin($file::$name(store)))),*]
    };
}

const CASES: &[Case] = cases![
    blobs::a_blob_belongs_to_one_host_and_an_orphan_is_swept,
    hosts::silence_is_told_for_any_past_day_without_a_row_per_heartbeat,
    hosts::a_host_takes_the_place_of_one_other,
    hosts::a_secret_enrols_as_often_as_it_may_and_a_lost_answer_costs_nothing,
    judged::each_rule_is_judged_by_its_newest_report_and_doing_it_twice_changes_nothing,
    judged::a_late_report_and_another_basis_make_a_host_due_again,
    kept::spans_do_not_depend_on_the_order_of_arrival_and_a_past_day_is_told,
    kept::what_could_not_be_seen_stays_and_is_told,
    kept::what_is_kept_of_a_host_or_a_person_goes_with_them,
    ledger::leaves_are_numbered_once_and_only_behind_the_last,
    ledger::statements_of_one_second_stand_in_the_order_of_the_ledger,
    ledger::only_the_holder_of_the_lease_numbers,
    lists::a_version_is_in_force_until_the_next_and_the_same_bytes_are_none,
    lists::versions_are_told_at_any_time_and_gone_bytes_are_erased_or_missing,
    open::a_failure_is_as_old_as_its_verdict_and_news_when_its_cause_changes,
    open::a_list_is_read_page_by_page_in_one_order,
    open::decisions_and_lists_are_one_transaction,
    records::a_person_is_erased_from_records_and_what_was_proved_stays,
    records::a_waiver_is_decided_once_however_many_try,
    records::events_stand_in_the_ledger_with_their_files,
    records::tampered_records_and_files_are_named,
    records::what_is_refused_leaves_nothing_behind,
    reports::a_verdict_is_as_old_as_its_first_words,
    reports::a_retired_host_is_refused_inside_the_transaction,
    reports::a_number_is_taken_once_and_what_is_odd_in_a_text_is_kept,
    reports::a_report_moves_the_verdicts_of_the_rules_that_it_judges_in_any_order_of_arrival,
    reports::a_monthly_failure_is_open_after_a_clean_weekly_report_and_closed_by_a_monthly_one,
    tallies::counts_follow_every_change_in_any_order_of_arrival,
    whole::a_backup_of_an_older_schema_restores,
    whole::a_backup_restored_or_copied_is_the_same_store,
    whole::a_cut_or_altered_backup_restores_nothing,
    whole::a_host_is_erased_once_it_is_retired_and_every_proof_holds,
    whole::a_person_is_erased_and_every_proof_holds,
    whole::a_sound_store_has_no_difference,
    whole::an_old_database_is_refused_until_the_ledger_is_resumed,
    whole::every_tampering_is_named,
    whole::old_facts_go_the_newest_stay_and_the_ledger_says_so,
    users::a_secret_lives_until_its_uses_or_its_time_are_up,
    users::a_user_keeps_the_id_and_every_change_ends_the_sessions_or_stands_in_the_ledger,
];

#[tokio::test]
async fn sqlite_keeps_every_promise() {
    for (name, case) in CASES {
        println!("{name}");
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).await.unwrap();
        case(store.clone()).await;
        assert_counted(name, &store).await;
        store.close().await;
    }
}

#[cfg(feature = "postgres")]
#[tokio::test(flavor = "multi_thread")]
async fn postgresql_keeps_every_promise() {
    let server = super::lab::servers::postgresql("host all postgres 127.0.0.1/32 trust\n", None, &["listen_addresses=127.0.0.1", "max_connections=60"]);
    for (number, (name, case)) in CASES.iter().enumerate() {
        println!("{name}");
        let database = super::lab::servers::database(&server, &format!("case{number}"));
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open_postgres(folder.path(), &database).await.unwrap();
        case(store.clone()).await;
        assert_counted(name, &store).await;
        store.close().await;
    }
}

/// Whatever happened to a store: its counts are those of its findings.
async fn assert_counted(name: &str, store: &Store) {
    if name != "whole::every_tampering_is_named" {
        let wrong = store.wrong_tallies().await.unwrap();
        assert!(wrong.is_empty(), "{name}: {wrong:#?}");
    }
}

/// Enrols host number `n` at [`NOW`].
async fn enrolled(store: &Store, n: u8) -> HostId {
    let secret = Digest::of(&[n]);
    store.put_secret("enrol", &secret, "", NOW + DAY, 1).await.unwrap();
    let id = HostId::new([n; 32]);
    let host = NewHost { id, name: format!("web{n:02}"), public_key: vec![n], salt: Salt::new([n; 32]), machine: String::new(), secret };
    assert_eq!(store.enrol(&host, NOW).await.unwrap(), Enrolled::New);
    id
}
