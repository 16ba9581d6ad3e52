use std::collections::BTreeMap;

use super::*;
use crate::model::envelope::REPORT_TYPE;
use crate::model::finding::Counts;
use crate::model::ids::{Address, Digest};
use crate::model::report::{Scan, ScanKind, ScanState, Software, Times};
use crate::pki::keys::SigningKey;

const FIRST: Lineage = Lineage::new([7; 16]);
const NOW: i64 = 1_795_000_000;
const DAY: i64 = 86_400;

struct Host {
    key: SigningKey,
}

impl Host {
    fn item(&self, numbers: Numbers, finished: i64, bytes: usize) -> Item {
        let address = Address::new([1; 32]);
        let report = Report {
            format: crate::model::report::FORMAT.into(),
            host: self.key.id(),
            lineage: numbers.lineage,
            parent: numbers.parent,
            sequence: numbers.sequence,
            scan: Scan { kind: ScanKind::Weekly, window: Some("2026-W47".into()), state: ScanState::Complete },
            times: Times { started: finished, finished, boot_ms: 1 },
            software: Software { agent: "t".into(), pack: Digest::of(b""), policy: Digest::of(b"") },
            facts: Vec::new(),
            gaps: address,
            findings: address,
            counts: Counts::default(),
            limits: Vec::new(),
            losses: numbers.losses,
        };
        let payload = crate::model::canonical::to_bytes(&report).unwrap();
        let frames = BTreeMap::from([(address, vec![0; bytes])]);
        Item { envelope: self.key.seal(REPORT_TYPE, &payload), frames, covers: vec!["2026-W47".into()], replaces: None }
    }
}

fn host() -> Host {
    Host { key: SigningKey::generate().unwrap() }
}

/// A moment at which both clocks are right.
fn moment(at: i64) -> Moment {
    Moment { wall: at, boot_ms: u64::try_from(at - NOW + 100 * DAY).unwrap() * 1000 }
}

fn open(root: &Path) -> Spool {
    Spool::open(root, Bounds { max_bytes: 100_000, max_age: 100 * DAY }, FIRST).unwrap()
}

fn put(spool: &mut Spool, host: &Host, at: i64, bytes: usize) -> Name {
    spool.put(moment(at), |n| Ok(host.item(n, at, bytes))).unwrap()
}

fn receipt_of(host: &Host, spool: &mut Spool, name: Name, received: i64) -> Receipt {
    let report = spool.read(name).unwrap().envelope.payload_digest().unwrap();
    let (lineage, sequence) = (name.lineage, name.sequence);
    let format = crate::model::receipt::FORMAT.into();
    Receipt { format, report, host: host.key.id(), lineage, sequence, received, leaf: "{}".into(), index: 0, proof: Vec::new(), checkpoint: "c".into() }
}

fn acknowledge(spool: &mut Spool, host: &Host, name: Name, received: i64) {
    let receipt = receipt_of(host, spool, name, received);
    let envelope = host.key.seal(crate::model::envelope::RECEIPT_TYPE, &crate::model::canonical::to_bytes(&receipt).unwrap());
    spool.acknowledge(name, &envelope, &receipt, 1).unwrap();
}

fn sequences(names: &[Name]) -> Vec<u64> {
    names.iter().map(|n| n.sequence).collect()
}

#[test]
fn numbers_go_on_over_restarts_and_kept_reports_age_out() {
    let (dir, host) = (tempfile::tempdir().unwrap(), host());
    let mut spool = open(dir.path());
    let first = put(&mut spool, &host, NOW, 10);
    put(&mut spool, &host, NOW + 1, 10);
    acknowledge(&mut spool, &host, first, NOW + 2);
    drop(spool);
    let mut spool = open(dir.path());
    assert_eq!((sequences(&spool.waiting()), sequences(&spool.kept())), (vec![2], vec![1]));
    assert_eq!((spool.state().lineage, spool.state().next_sequence, spool.state().acknowledged), (FIRST, 3, 1));
    assert_eq!(spool.state().done, ["2026-W47"]);
    spool.prune(moment(NOW + 2 + KEEP_SECONDS)).unwrap();
    assert_eq!(spool.kept().len(), 1);
    spool.prune(moment(NOW + 3 + KEEP_SECONDS)).unwrap();
    assert_eq!((spool.kept().len(), std::fs::read_dir(dir.path().join("kept")).unwrap().count()), (0, 0));
}

#[test]
fn two_agents_do_not_share_a_spool() {
    let dir = tempfile::tempdir().unwrap();
    let _spool = open(dir.path());
    let second = Spool::open(dir.path(), Bounds::default(), FIRST);
    assert!(matches!(second, Err(SpoolError::Locked(_))));
}

#[test]
fn a_kill_between_file_and_state_neither_reuses_a_number_nor_leaves_a_hole() {
    let (dir, host) = (tempfile::tempdir().unwrap(), host());
    let mut spool = open(dir.path());
    let state = dir.path().join("state.json");
    let before = std::fs::read(&state).unwrap();
    put(&mut spool, &host, NOW, 10);
    drop(spool);
    // As if killed after the rename of the report and before the rename of the state.
    std::fs::write(&state, &before).unwrap();
    let mut spool = open(dir.path());
    assert_eq!((spool.state().next_sequence, sequences(&spool.waiting())), (2, vec![1]));
    assert_eq!(spool.state().done, ["2026-W47"], "the window is not scanned twice");
    assert_eq!(put(&mut spool, &host, NOW, 10).sequence, 2);
    // As if killed while a report was being written: litter goes, the number was never used.
    std::fs::write(dir.path().join("spool/.x.report.00.tmp"), b"half").unwrap();
    drop(spool);
    let spool = open(dir.path());
    assert_eq!(spool.state().next_sequence, 3);
    assert!(!dir.path().join("spool/.x.report.00.tmp").exists());
}

#[test]
fn a_kill_between_receipt_and_move_keeps_the_report_waiting() {
    let (dir, host) = (tempfile::tempdir().unwrap(), host());
    let mut spool = open(dir.path());
    let name = put(&mut spool, &host, NOW, 10);
    std::fs::write(dir.path().join(format!("kept/{name}.receipt")), b"{}").unwrap();
    drop(spool);
    let mut spool = open(dir.path());
    assert_eq!(spool.waiting(), [name]);
    acknowledge(&mut spool, &host, name, NOW);
    assert_eq!((spool.waiting().len(), spool.kept()), (0, vec![name]));
}

#[test]
fn a_file_cut_at_any_byte_is_moved_aside_and_counted_once() {
    let host = host();
    let whole = {
        let dir = tempfile::tempdir().unwrap();
        let mut spool = open(dir.path());
        let name = put(&mut spool, &host, NOW, 3);
        std::fs::read(dir.path().join(format!("spool/{name}"))).unwrap()
    };
    let dir = tempfile::tempdir().unwrap();
    let mut spool = open(dir.path());
    let sound = put(&mut spool, &host, NOW, 3);
    // Every 7th byte: a whole restart for each of over a thousand bytes takes too long.
    let cuts: Vec<usize> = (0..whole.len()).step_by(7).chain([whole.len() - 1]).collect();
    for (count, cut) in cuts.iter().enumerate() {
        let name = put(&mut spool, &host, NOW, 3);
        drop(spool);
        std::fs::write(dir.path().join(format!("spool/{name}")), &whole[..*cut]).unwrap();
        spool = open(dir.path());
        assert_eq!(spool.waiting(), [sound], "cut at {cut}");
        assert_eq!((spool.state().damaged, spool.state().next_sequence), (count as u64 + 1, name.sequence + 1));
        assert!(dir.path().join(format!("damaged/{name}")).exists());
    }
    let next = put(&mut spool, &host, NOW, 3);
    let payload = spool.read(next).unwrap().envelope.payload_bytes().unwrap();
    assert_eq!(serde_json::from_slice::<Report>(&payload).unwrap().losses.spool_damaged, cuts.len() as u64);
}

#[test]
fn a_lost_or_damaged_state_opens_a_new_lineage_that_names_its_parent() {
    for damage in [None, Some(&b"{"[..]), Some(b"")] {
        let (dir, host) = (tempfile::tempdir().unwrap(), host());
        let mut spool = open(dir.path());
        let name = put(&mut spool, &host, NOW, 10);
        drop(spool);
        let state = dir.path().join("state.json");
        match damage {
            None => std::fs::remove_file(&state).unwrap(),
            Some(bytes) => std::fs::write(&state, bytes).unwrap(),
        }
        let mut spool = open(dir.path());
        assert_ne!(spool.state().lineage, FIRST);
        assert_eq!((spool.state().parent, spool.state().next_sequence, spool.waiting()), (Some(FIRST), 1, vec![name]));
        assert_eq!(spool.state().damaged, u64::from(damage.is_some()));
        assert_eq!(put(&mut spool, &host, NOW, 10).order, name.order + 1);
        drop(spool);
        assert_eq!(open(dir.path()).state().parent, Some(FIRST), "and it lasts");
    }
}

#[test]
fn the_oldest_go_first_and_only_undelivered_ones_are_losses() {
    let (dir, host) = (tempfile::tempdir().unwrap(), host());
    let mut spool = open(dir.path());
    for i in 0..3 {
        let name = put(&mut spool, &host, NOW + i, 25_000);
        if i == 0 {
            acknowledge(&mut spool, &host, name, NOW);
        }
    }
    // Three of four fit: the acknowledged one makes room, without loss.
    put(&mut spool, &host, NOW + 3, 25_000);
    assert_eq!((sequences(&spool.waiting()), spool.kept().len(), spool.state().dropped), (vec![2, 3, 4], 0, 0));
    let name = put(&mut spool, &host, NOW + 4, 25_000);
    assert_eq!((sequences(&spool.waiting()), spool.state().dropped), (vec![3, 4, 5], 1));
    let payload = spool.read(name).unwrap().envelope.payload_bytes().unwrap();
    assert_eq!(serde_json::from_slice::<Report>(&payload).unwrap().losses.spool_dropped, 1, "the report that caused the loss tells it");
    // Too old.
    put(&mut spool, &host, NOW + 101 * DAY, 10);
    assert_eq!((sequences(&spool.waiting()), spool.state().dropped), (vec![6], 4));
    assert!(matches!(spool.put(moment(NOW + 101 * DAY), |n| Ok(host.item(n, NOW, 100_000))), Err(SpoolError::TooLarge(_))));
    assert_eq!(sequences(&spool.waiting()), [6]);
    drop(spool);
    assert_eq!(sequences(&open(dir.path()).waiting()), [6]);
}

#[test]
fn a_drop_that_a_kill_interrupted_is_finished_and_counted_once() {
    let (dir, host) = (tempfile::tempdir().unwrap(), host());
    let mut spool = open(dir.path());
    let name = put(&mut spool, &host, NOW, 10);
    let mut state = spool.state().clone();
    drop(spool);
    state.dropped += 1;
    state.dropping = vec![name.to_string()];
    state.save(&dir.path().join("state.json")).unwrap();
    for _ in 0..2 {
        let spool = open(dir.path());
        assert_eq!((spool.waiting().len(), spool.state().dropped, spool.state().next_sequence), (0, 1, 2));
    }
}

#[test]
fn a_fork_seals_anew_and_a_kill_in_between_leaves_one() {
    let (dir, host) = (tempfile::tempdir().unwrap(), host());
    let mut spool = open(dir.path());
    let old = put(&mut spool, &host, NOW, 10);
    let copy = std::fs::read(dir.path().join(format!("spool/{old}"))).unwrap();
    spool.fork(FIRST).unwrap();
    assert!(spool.is_forked(old.lineage) && spool.state().lineage != FIRST);
    assert_eq!((spool.state().parent, spool.state().next_sequence), (Some(FIRST), 1));
    let new = spool.replace(old, |n| Ok(host.item(n, NOW, 10))).unwrap();
    assert_eq!(spool.waiting(), [new]);
    drop(spool);
    // As if killed before the old file was removed.
    std::fs::write(dir.path().join(format!("spool/{old}")), copy).unwrap();
    let spool = open(dir.path());
    assert_eq!((spool.waiting(), spool.state().next_sequence), (vec![new], 2));
}

#[test]
fn acknowledged_reports_go_back_in_line_keep_their_receipt_and_survive_a_kill() {
    let (dir, host) = (tempfile::tempdir().unwrap(), host());
    let mut spool = open(dir.path());
    let names: Vec<Name> = (0..5).map(|n| put(&mut spool, &host, NOW + n, 10)).collect();
    for name in &names[..4] {
        acknowledge(&mut spool, &host, *name, NOW + 10);
    }
    let receipt = |name: &Name| dir.path().join("kept").join(format!("{name}.receipt"));
    let old = std::fs::read(receipt(&names[2])).unwrap();
    assert_eq!(spool.requeue(Lineage::new([9; 16]), 1).unwrap(), 0, "another lineage");
    assert_eq!(spool.requeue(FIRST, 6).unwrap(), 0);
    assert_eq!(spool.requeue(FIRST, 3).unwrap(), 3);
    assert_eq!(spool.requeue(FIRST, 3).unwrap(), 3, "asked twice, in line once");
    assert_eq!((sequences(&spool.waiting()), sequences(&spool.kept())), (vec![3, 4, 5], vec![1, 2]));
    assert_eq!(std::fs::read(receipt(&names[2])).unwrap(), old);
    drop(spool);
    let mut spool = open(dir.path());
    assert_eq!((sequences(&spool.waiting()), sequences(&spool.kept())), (vec![3, 4, 5], vec![1, 2]));
    assert_eq!((spool.state().acknowledged, spool.state().next_sequence), (4, 6));
    acknowledge(&mut spool, &host, names[2], NOW + 20);
    assert_ne!(std::fs::read(receipt(&names[2])).unwrap(), old, "the new receipt took its place");
    assert_eq!((sequences(&spool.waiting()), sequences(&spool.kept())), (vec![4, 5], vec![1, 2, 3]));
    // A kept file that is damaged is no report any more: counted, not sent.
    std::fs::write(dir.path().join("kept").join(names[0].to_string()), b"x").unwrap();
    assert_eq!(spool.requeue(FIRST, 1).unwrap(), 4);
    assert_eq!((sequences(&spool.waiting()), spool.state().damaged), (vec![2, 3, 4, 5], 1));
}

const YEAR: i64 = 365 * DAY;

#[test]
fn a_clock_that_jumps_by_years_costs_no_report() {
    for jump in [10 * YEAR, -10 * YEAR, -NOW, 200 * DAY] {
        for restart in [false, true] {
            let (dir, host) = (tempfile::tempdir().unwrap(), host());
            let mut spool = open(dir.path());
            let acknowledged = put(&mut spool, &host, NOW, 10);
            acknowledge(&mut spool, &host, acknowledged, NOW);
            put(&mut spool, &host, NOW + 60, 10);
            // The clock jumps, one report is made under it, and it is set right again.
            let wrong = Moment { wall: NOW + 120 + jump, ..moment(NOW + 120) };
            if restart {
                drop(spool);
                spool = open(dir.path());
            }
            spool.put(wrong, |n| Ok(host.item(n, wrong.wall, 10))).unwrap();
            spool.prune(wrong).unwrap();
            for at in [180, 240] {
                if restart {
                    drop(spool);
                    spool = open(dir.path());
                }
                put(&mut spool, &host, NOW + at, 10);
            }
            assert_eq!((sequences(&spool.waiting()), sequences(&spool.kept())), (vec![2, 3, 4, 5], vec![1]), "{jump} {restart}");
            assert_eq!(spool.state().dropped, 0);
            // Time that really passes still counts.
            put(&mut spool, &host, NOW + 99 * DAY, 10);
            assert_eq!((sequences(&spool.waiting()).len(), spool.kept().len()), (5, 0), "{jump} {restart}");
            put(&mut spool, &host, NOW + 101 * DAY, 10);
            assert_eq!(sequences(&spool.waiting()), [6, 7], "{jump} {restart}");
        }
    }
}

fn begun(spool: &Spool) -> Begun {
    let sequence = spool.state().next_sequence;
    let (kind, request) = (ScanKind::OnDemand, Some("asked".to_string()));
    Begun { kind, window: None, covers: Vec::new(), families: Vec::new(), request, started: NOW, boot_ms: 1, sequence, attempt: 1 }
}

#[test]
fn a_scan_that_was_begun_is_remembered_until_its_report_is_on_disk() {
    let (dir, host) = (tempfile::tempdir().unwrap(), host());
    let mut spool = open(dir.path());
    let begun = begun(&spool);
    spool.begin(begun.clone()).unwrap();
    let state = std::fs::read(dir.path().join("state.json")).unwrap();
    drop(spool);
    let mut spool = open(dir.path());
    assert_eq!((spool.state().begun.as_ref(), spool.state().request.as_deref()), (Some(&begun), None));
    put(&mut spool, &host, NOW, 10);
    assert_eq!((spool.state().begun.as_ref(), spool.state().request.as_deref()), (None, Some("asked")));
    drop(spool);
    // As if killed between the rename of the report and that of the state.
    std::fs::write(dir.path().join("state.json"), state).unwrap();
    let spool = open(dir.path());
    assert_eq!((spool.state().begun.as_ref(), spool.state().request.as_deref(), spool.state().next_sequence), (None, Some("asked"), 2));
}
