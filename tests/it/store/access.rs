use assay::collector::store::{Act, Grant, Letter, LetterState, SettingChange, Store, TargetRow, TokenRow, TraceFilter, UserRow};
use assay::ledger::Kind;
use assay::model::ids::{Digest, RandomId};

use super::{NOW, enrolled};

async fn ada(store: &Store) -> RandomId {
    let id = RandomId::new([1; 16]);
    let row = UserRow { id, name: "ada".into(), role: "auditor".into(), password: String::new(), created_at: NOW };
    store.put_user(&row, "uid 0", NOW).await.unwrap()
}

pub async fn a_token_lives_until_it_is_revoked_or_its_person_goes(store: Store) {
    let user = ada(&store).await;
    let token = |n: u8| TokenRow {
        id: RandomId::new([n; 16]),
        digest: Digest::of(&[n]),
        user,
        name: "siem".into(),
        role: "viewer".into(),
        read_only: true,
        areas: vec!["due".into(), "records".into()],
        created_at: NOW,
        expires_at: NOW + 10,
        used_at: None,
        revoked_at: None,
    };
    for n in [1, 2] {
        store.put_token(&token(n)).await.unwrap();
    }
    assert_eq!(store.living_token(&Digest::of(&[1]), NOW).await.unwrap(), Some(token(1)));
    assert_eq!(store.living_token(&Digest::of(&[1]), NOW + 10).await.unwrap(), None);
    store.touch_token(&token(1).id, NOW + 5).await.unwrap();
    assert_eq!((store.tokens(None).await.unwrap().len(), store.tokens(Some(&RandomId::new([9; 16]))).await.unwrap().len()), (2, 0));
    assert!(store.revoke_token(&token(1).id, "uid 0", NOW + 6).await.unwrap() && !store.revoke_token(&token(1).id, "uid 0", NOW + 6).await.unwrap());
    assert_eq!(store.living_token(&Digest::of(&[1]), NOW).await.unwrap(), None);
    store.remove_user("ada", "uid 0", NOW + 7).await.unwrap();
    assert_eq!(store.living_token(&Digest::of(&[2]), NOW).await.unwrap(), None);
    store.put_enrolment_token(&Digest::of(b"e"), 3, NOW + 10).await.unwrap();
    assert_eq!(store.pending_references("token").await.unwrap().len(), 3);
}

pub async fn a_second_factor_is_confirmed_once_and_a_step_never_serves_twice(store: Store) {
    let user = ada(&store).await;
    assert!(store.second_factor(&user).await.unwrap().is_none());
    assert!(store.begin_second_factor(&user, b"one").await.unwrap() && store.begin_second_factor(&user, b"two").await.unwrap());
    assert_eq!(store.second_factor(&user).await.unwrap().unwrap().sealed, b"two");
    let (code, session) = (Digest::of(b"c"), Digest::of(b"s"));
    let row = store.user(&user).await.unwrap().unwrap();
    store.begin_session(&session, &row, NOW, NOW + 10, "here", false).await.unwrap();
    store.begin_session(&Digest::of(b"o"), &row, NOW + 1, NOW + 10, "there", true).await.unwrap();
    let labels: Vec<String> = store.sessions(&user, NOW).await.unwrap().into_iter().map(|s| s.label).collect();
    assert_eq!(labels, ["there", "here"]);
    let confirm = || store.confirm_second_factor(&user, 7, std::slice::from_ref(&code), Some(&session), "ada", NOW + 2);
    assert!(confirm().await.unwrap() && !confirm().await.unwrap());
    assert_eq!(store.sessions(&user, NOW).await.unwrap().len(), 1, "others ended");
    assert!(!store.begin_second_factor(&user, b"three").await.unwrap());
    for (step, taken) in [(7, false), (6, false), (8, true), (8, false)] {
        assert_eq!(store.take_step(&user, step).await.unwrap(), taken, "{step}");
    }
    assert_eq!(store.second_factor(&user).await.unwrap().unwrap().codes_left, 1);
    for taken in [true, false] {
        assert_eq!(store.take_recovery_code(&user, &code, NOW + 3).await.unwrap(), taken);
    }
    assert!(store.set_password(&user, "hash", Some(&session), "ada", NOW + 4).await.unwrap());
    assert_eq!(store.sessions(&user, NOW).await.unwrap().len(), 1);
    store.end_sessions_of(&user, None, None, NOW + 5).await.unwrap();
    assert!(store.sessions(&user, NOW).await.unwrap().is_empty());
    assert!(store.remove_second_factor(&user, "uid 0", NOW + 6).await.unwrap() && !store.remove_second_factor(&user, "uid 0", NOW + 6).await.unwrap());
}

pub async fn bounds_settings_and_acts_stand_in_the_trail(store: Store) {
    let user = ada(&store).await;
    let grant = Grant { frameworks: vec!["soc2-2017".into()], from: "2026-01-01".into(), hosts: vec!["web*".into()], to: String::new() };
    assert!(store.put_grant(&user, Some(grant.clone()), "uid 0", NOW).await.unwrap());
    assert_eq!(store.grant(&user).await.unwrap(), Some(grant));
    assert!(store.put_grant(&user, None, "uid 0", NOW).await.unwrap() && !store.put_grant(&RandomId::new([9; 16]), None, "uid 0", NOW).await.unwrap());
    assert_eq!(store.grant(&user).await.unwrap(), None);
    for value in ["One", "Two"] {
        store.put_setting("company", value, "uid 0", NOW).await.unwrap();
    }
    assert_eq!((store.setting("company").await.unwrap().as_str(), store.setting("other").await.unwrap().as_str()), ("Two", ""));
    let told: Vec<String> = store.statements(Kind::Setting).await.unwrap().iter().map(|s| s.read::<SettingChange>().unwrap().value).collect();
    assert_eq!(told.len(), 2);
    for n in 0..5 {
        let act = Act { at: NOW + n, kind: "opened", person: user.to_string(), detail: format!("GET /{n}\0") };
        store.put_act(act).await.unwrap();
    }
    let filter = TraceFilter { kind: "opened".into(), person: vec![user.to_string()], from: NOW, to: NOW + 3, before: None, limit: 3 };
    let page = store.trail(&filter).await.unwrap();
    assert_eq!(page.iter().map(|t| t.at).collect::<Vec<_>>(), [NOW + 3, NOW + 2, NOW + 1]);
    let last = page.last().unwrap();
    let rest = store.trail(&TraceFilter { before: Some((last.at, false, last.number)), ..filter.clone() }).await.unwrap();
    assert_eq!(rest.iter().map(|t| t.at).collect::<Vec<_>>(), [NOW]);
    assert!(store.trail(&TraceFilter { person: vec!["%".into()], kind: "user".into(), ..filter }).await.unwrap().is_empty());
    assert_eq!(store.trace(0).await.unwrap(), None);
    assert!(store.size().await.unwrap() > 0);
}

fn letter(target: RandomId, n: u8) -> Letter {
    let (title, body, problem) = ("title".into(), "{}".into(), String::new());
    Letter { number: 0, id: RandomId::new([n; 16]), target, at: NOW, title, body, state: LetterState::Waiting, attempts: 0, next_at: NOW, problem }
}

async fn target(store: &Store) -> RandomId {
    let id = RandomId::new([5; 16]);
    let row = TargetRow { id, name: "pager".into(), kind: "webhook".into(), body: "{}".into(), secret: Some(vec![1]), created_at: NOW };
    assert!(store.put_alert_target(&row, "uid 0", NOW).await.unwrap() && !store.put_alert_target(&row, "uid 0", NOW).await.unwrap());
    assert_eq!(store.alert_targets().await.unwrap(), [row]);
    id
}

pub async fn a_letter_is_claimed_once_and_ends_delivered_or_dead(store: Store) {
    let target = target(&store).await;
    store.post_letters(&[letter(target, 1), letter(target, 2)]).await.unwrap();
    let due = store.due_letters(NOW, 5).await.unwrap();
    assert_eq!(due.len(), 2);
    assert!(store.claim_letter(&due[0], NOW + 60).await.unwrap() && !store.claim_letter(&due[0], NOW + 60).await.unwrap());
    store.settle_letter(due[0].number, LetterState::Delivered, "", NOW + 1).await.unwrap();
    store.settle_letter(due[1].number, LetterState::Dead, "nobody", NOW + 1).await.unwrap();
    assert!(store.due_letters(NOW + 1_000, 5).await.unwrap().is_empty());
    let all = store.letters(None, 5).await.unwrap();
    assert_eq!(all.iter().map(|l| (l.state, l.body.as_str(), l.attempts)).collect::<Vec<_>>(), [(LetterState::Dead, "{}", 0), (LetterState::Delivered, "", 1)]);
    assert!(!store.revive_letter(due[0].number, true, NOW + 2).await.unwrap() && store.revive_letter(due[1].number, true, NOW + 2).await.unwrap());
    assert_eq!(store.due_letters(NOW + 2, 5).await.unwrap().len(), 1);
    assert_eq!(store.sweep_letters(NOW + 100).await.unwrap(), 1, "what waits stays");
    assert!(store.remove_alert_target(&target, "uid 0", NOW).await.unwrap() && !store.remove_alert_target(&target, "uid 0", NOW).await.unwrap());
    assert!(store.letters(None, 5).await.unwrap().is_empty());
}

pub async fn topics_are_told_once_by_one_of_two_collectors(store: Store) {
    let target = target(&store).await;
    let came = ["silent/a".to_string()];
    assert!(store.tell_topics(&came, &[], &[letter(target, 1)], NOW).await.unwrap());
    assert!(!store.tell_topics(&came, &[], &[letter(target, 2)], NOW).await.unwrap(), "another was quicker");
    assert_eq!(store.letters(None, 5).await.unwrap().len(), 1);
    assert_eq!(store.alerted("silent/").await.unwrap(), [("silent/a".to_string(), NOW)]);
    assert!(store.alerted("scans/").await.unwrap().is_empty());
    assert!(store.tell_topics(&[], &came, &[], NOW).await.unwrap() && !store.tell_topics(&[], &came, &[], NOW).await.unwrap());
    assert!(store.fresh_failures(5).await.unwrap().is_empty() && store.tell_failures(&[], &[]).await.unwrap());
    assert!(!store.tell_failures(&[77], &[letter(target, 3)]).await.unwrap());
    let host = enrolled(&store, 3).await;
    assert_eq!(store.hosts_silent_since(NOW + 100, 5).await.unwrap(), [(host, "web03".to_string())]);
    assert_eq!(store.hosts_without_scan("2025-W47", NOW, NOW + 604_800, 5).await.unwrap(), ["web03"]);
    assert_eq!(store.names_of_hosts(&[host].into()).await.unwrap()[&host], "web03");
    assert!(store.failures_by_severity(NOW).await.unwrap().is_empty() && store.most_failing(5).await.unwrap().is_empty());
}
