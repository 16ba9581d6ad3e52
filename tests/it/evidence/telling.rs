//! What a bundle tells beside verdicts: hosts, people, records, changes, samples, lists.

use assay::evidence::html;
use assay::evidence::material::{Control, Period, Sampling, day_start};
use assay::evidence::paper::{Conclusion, MemberState, RevocationState};
use assay::ledger::Kind;
use assay::model::finding::Verdict;
use assay::model::ids::Digest;
use assay::model::report::{ScanKind, ScanState};
use assay::records::{Action, types};
use jiff::civil::{Date, date};
use serde_json::json;

use super::made::{Made, finding};

const ACTIVE: &str = "access-leaver-active";
const ROLE: &str = "access-leaver-database-role";

/// A November of one host, scanned weekly on Tuesdays.
fn november(weeks: &[(&str, i8)]) -> (Made, assay::model::ids::HostId) {
    let mut made = Made::empty();
    made.material.period = Period { from: date(2026, 11, 2), to: date(2026, 11, 29) };
    let host = made.host(1, "web01");
    for (week, day) in weeks {
        made.report(1, ScanKind::Weekly, week, date(2026, 11, *day), &[]);
    }
    (made, host)
}

const WEEKS: [(&str, i8); 4] = [("2026-W45", 3), ("2026-W46", 10), ("2026-W47", 17), ("2026-W48", 24)];

fn says(verdict: Verdict, rule: &str, subject: &str, message: &str) -> assay::model::finding::Finding {
    assay::model::finding::Finding { message: message.into(), ..finding(rule, subject, verdict) }
}

#[test]
fn a_leaver_is_revoked_between_two_scans() {
    let (mut made, host) = november(&WEEKS);
    made.list("roster", date(2026, 10, 1), "person,ended_at\nm.keller,2026-11-08\nada,\n");
    // Left at the end of the 8th: seen within the limit on the 10th, past it on the 17th, gone on the 24th.
    made.way(host, says(Verdict::Pass, ACTIVE, "m.keller", "within the limit, still: key"), date(2026, 11, 10), Some(date(2026, 11, 17)));
    made.way(host, says(Verdict::Fail, ACTIVE, "m.keller", "left 9 days ago, still: key"), date(2026, 11, 17), Some(date(2026, 11, 24)));
    made.way(host, says(Verdict::Pass, ACTIVE, "m.keller", "revoked"), date(2026, 11, 24), None);
    let paper = made.paper();
    let [found] = paper.revocations.as_slice() else { panic!("{:?}", paper.revocations) };
    let left = day_start(date(2026, 11, 9));
    let scan = |day| day_start(date(2026, 11, day)) + 7204;
    assert_eq!((found.left_at, found.last_seen, found.first_gone), (left, Some(scan(17)), Some(scan(24))));
    assert_eq!((found.at_least, found.at_most, found.limit), (scan(17) - left, Some(scan(24) - left), Some(86_400)));
    assert_eq!((found.state(), found.ways.join(" ").as_str()), (RevocationState::Late, ACTIVE));
    let csv = made.table("revocations.csv");
    assert!(csv.contains("\"8.0\",\"15.0\",\"7.0\",\"1.0\",\"late\""), "{csv}");
    assert!(html::render(&paper).contains("8 days to 15 days"));
}

#[test]
fn who_was_never_seen_has_no_way_in_and_what_no_scan_saw_is_unknown() {
    let (mut made, host) = november(&WEEKS);
    made.list("roster", date(2026, 10, 1), "person,ended_at\nm.keller,2026-11-08\nlast,2026-11-28\nrole,2026-11-08\n");
    let gone = |made: &mut Made, who: &str| made.way(host, says(Verdict::NotApplicable, ACTIVE, who, "applies only where matched"), date(2026, 11, 10), None);
    gone(&mut made, "m.keller");
    gone(&mut made, "role");
    // A database role stays open while the accounts are closed.
    made.way(host, says(Verdict::Fail, ROLE, "role: postgresql 5432 role", "still"), date(2026, 11, 10), None);
    let paper = made.paper();
    let of = |who: &str| paper.leavers.iter().find(|l| l.person == who).unwrap();
    assert_eq!((of("m.keller").never, of("m.keller").seen, of("m.keller").standing()), (1, 0, RevocationState::Undecided));
    assert_eq!(of("m.keller").at_most, Some(86_400 + 7204), "from the end of the last day to the first complete scan after it");
    assert_eq!((of("role").open, of("role").standing()), (1, RevocationState::Overdue));
    assert_eq!((of("last").unknown, of("last").standing()), (1, RevocationState::Unknown), "nobody scanned after the 28th");
    assert!(paper.revocations.iter().all(|r| r.person != "m.keller"));
    let csv = made.table("revocations.csv");
    assert!(csv.contains("\"m.keller\",\"2026-11-09 00:00:00 UTC\",\"web01\"") && csv.contains("\"unknown\"") && csv.contains("\"open, overdue\""), "{csv}");
}

#[test]
fn a_scan_that_could_not_tell_is_neither_seen_nor_gone() {
    let (mut made, host) = november(&WEEKS);
    made.list("roster", date(2026, 10, 1), "person,ended_at\nm.keller,2026-11-08\n");
    made.way(host, says(Verdict::Fail, ACTIVE, "m.keller", "still"), date(2026, 11, 10), Some(date(2026, 11, 17)));
    made.way(host, says(Verdict::Unknown, ACTIVE, "", "gap"), date(2026, 11, 17), None);
    let found = made.paper().revocations.remove(0);
    assert_eq!((found.first_gone, found.state()), (None, RevocationState::Overdue));
    // Taken out before anybody looked again: nobody knows.
    made.material.hosts[0].retired_at = Some(day_start(date(2026, 11, 20)));
    assert_eq!(made.paper().revocations[0].state(), RevocationState::Late, "it was seen past the limit");
    made.material.revoke_limit = Some(30 * 86_400);
    assert_eq!(made.paper().revocations[0].state(), RevocationState::Unknown);
    // Closed accounts prove nothing while a database could not be read.
    made.material.hosts[0].retired_at = None;
    made.material.ways.pop();
    made.way(host, says(Verdict::Pass, ACTIVE, "m.keller", "revoked"), date(2026, 11, 17), None);
    made.way(host, says(Verdict::Unknown, ROLE, "postgresql 5432", "gap"), date(2026, 11, 17), None);
    assert_eq!(made.paper().revocations[0].first_gone, None);
}

#[test]
fn the_words_of_the_rules_are_those_that_are_read() {
    // The program carries its rules without their examples.
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("rules");
    let pack = assay::rules::Pack::load(&folder, assay::facts::schemas()).unwrap();
    for id in assay::evidence::revocation::RULES {
        let rule = pack.rule(id).unwrap();
        assert!(
            rule.examples.iter().any(|e| e.verdict == Verdict::Pass && e.message.as_deref().is_some_and(|m| m.starts_with("within the limit, still: "))),
            "{id}"
        );
    }
}

#[test]
fn people_join_leave_and_vanish() {
    let (mut made, _) = november(&WEEKS);
    made.list("roster", date(2026, 10, 1), "person,ended_at\nada,\nbob,\nmax,2026-11-08\n");
    made.list("roster", date(2026, 11, 12), "person,ended_at\nada,\nmax,2026-11-08\nzoe,\n");
    let people = made.paper().people.unwrap();
    assert_eq!((people.employed, people.joined, people.left, people.people.len()), (2, 1, 1, 4));
    assert!(people.problems[0].starts_with("1 person is no longer listed"), "{:?}", people.problems);
    assert!(made.table("people.csv").contains("\"zoe\",\"2026-11-12 00:00:00 UTC\",\"yes\",\"\""));
    assert!(Made::empty().paper().people.is_none());
    assert!(html::render(&Made::empty().paper()).contains("No roster was in force"));
    made.material.lists[1].bytes = None;
    assert!(made.paper().people.unwrap().problems[0].contains("was erased"));
}

#[test]
fn the_population_is_held_against_a_second_list() {
    let mut made = Made::empty();
    for (n, name) in [(1, "Web01"), (2, "db01.example.org"), (3, "mail"), (4, "twin"), (5, "old"), (6, "a.one.org"), (7, "new")] {
        made.host(n, name);
    }
    made.material.hosts[4].retired_at = Some(day_start(date(2026, 11, 5)));
    let list = "Name,IP\nweb01.example.org,10.0.0.1\nDB01,\nmail.a.org,\nmail.b.org,\ntwin,\ntwin,10.0.0.7\nold,\na.two.org,\n,10.0.0.9\n";
    made.list("inventory", date(2026, 10, 1), list);
    let found = made.paper().reconciliation.unwrap();
    assert_eq!(found.both.join(" "), "Web01 db01.example.org twin");
    // Two may be meant by mail, and different domains are different hosts.
    assert_eq!(found.only_here.join(" "), "a.one.org mail new");
    assert_eq!(found.only_listed.join(" "), "a.two.org mail.a.org mail.b.org twin");
    assert_eq!((found.retired_listed.join(" ").as_str(), found.unnamed), ("old", 1));
    assert!(made.table("reconciliation.csv").contains("\"new\",\"only here: enrolled, not in the second list\""));

    let without = Made::empty().paper();
    assert!(without.reconciliation.is_none() && html::render(&without).contains("No second list of hosts was given"));
    made.material.lists[0].bytes = Some(b"\xff".to_vec());
    assert!(made.paper().reconciliation.unwrap().problem.starts_with("The list can't be read"));
}

#[test]
fn hosts_are_active_silent_retired_or_replaced() {
    let mut made = Made::empty();
    let (_, silent, retired, replaced) = (made.host(1, "active"), made.host(2, "silent"), made.host(3, "retired"), made.host(4, "replaced"));
    let at = |day: i8| Some(day_start(date(2026, 11, day)));
    made.material.silent_after = 86_400;
    let new = made.material.hosts[0].id;
    for host in &mut made.material.hosts {
        host.seen_at = if host.id == silent { at(8) } else { Some(day_start(date(2026, 11, 16)) - 1) };
        if host.id == retired || host.id == replaced {
            host.retired_at = at(10);
            host.retired_why = "end of lease".into();
            host.replaced_by = (host.id == replaced).then_some(new);
        }
    }
    let gone = made.host(5, "gone before");
    made.material.hosts.iter_mut().filter(|h| h.id == gone).for_each(|h| h.retired_at = at(1));
    let paper = made.paper();
    let states: Vec<(&str, MemberState)> = paper.population.iter().map(|m| (m.name.as_str(), m.state)).collect();
    assert_eq!(
        states,
        [("active", MemberState::Active), ("replaced", MemberState::Replaced), ("retired", MemberState::Retired), ("silent", MemberState::Silent)]
    );
    assert_eq!(paper.population[1].replaced_by, "active");
    // Hosts that were taken out owe no result at the end, and their windows until then.
    assert_eq!((paper.controls[0].counts.not_run, paper.controls[0].standing), (2, 2));
    assert!(paper.windows.iter().filter(|w| w.host == retired).all(|w| w.window == "2026-W45"));
    assert!(paper.notes.iter().any(|n| n.starts_with("1 host was taken out before the period began")), "{:?}", paper.notes);
    let csv = made.table("population.csv");
    assert!(csv.contains("\"replaced\",\"2026-10-01 00:00:00 UTC\"") && csv.contains("\"end of lease\",\"active\""), "{csv}");
}

#[test]
fn a_host_that_was_taken_out_ends_its_failures_untested() {
    let mut made = Made::empty();
    let host = made.host(1, "web01");
    let fail = finding("tls-version-minimum", "s", Verdict::Fail);
    let report = made.report(1, ScanKind::Weekly, "2026-W45", date(2026, 11, 3), std::slice::from_ref(&fail));
    made.transition(host, fail, date(2026, 11, 3), Some(date(2026, 11, 10)), report);
    made.material.hosts[0].retired_at = made.material.findings[0].until;
    let paper = made.paper();
    let handling = &paper.exceptions[0].handling;
    assert_eq!((handling.retest, handling.resolution.as_str()), (None, "not tested again: the host was taken out"));
    assert!(paper.controls[0].sentence.contains("0 failures open"), "{}", paper.controls[0].sentence);
}

#[test]
fn weeks_are_counted_by_what_became_of_them() {
    let mut made = Made::empty();
    made.host(1, "a");
    made.host(2, "b");
    made.report(1, ScanKind::Weekly, "2026-W45", date(2026, 11, 3), &[]);
    made.report(1, ScanKind::Weekly, "2026-W46", date(2026, 11, 17), &[]);
    made.report_changed(2, ScanKind::Weekly, "2026-W45", date(2026, 11, 4), &[], |r| r.scan.state = ScanState::Aborted);
    let paper = made.paper();
    let counted: Vec<(&str, [u64; 5])> = paper.coverage.iter().map(|w| (w.week.as_str(), w.windows.columns().map(|(_, n)| n))).collect();
    assert_eq!(counted, [("2026-W45", [1, 0, 1, 0, 0]), ("2026-W46", [0, 1, 0, 1, 0]), ("2026-11", [0, 0, 0, 2, 0])]);
    assert!(made.table("coverage.csv").contains("\"2026-W46\",\"weekly\",\"2\",\"0\",\"1\",\"0\",\"1\",\"0\""));
    let page = html::render(&paper);
    assert!(page.contains("Planned weekly scans by week") && page.contains("late") && page.contains("aborted"));
    assert!(paper.exceptions.iter().any(|e| e.message.contains("was stopped by a limit on 2026-11-04")));
}

fn waived(expires: &str) -> Made {
    let mut made = Made::empty();
    made.material.record_types = types::builtin().unwrap().to_vec();
    let host = made.host(1, "web01");
    let fail = finding("tls-version-minimum", "0.0.0.0:443/tcp", Verdict::Fail);
    let first = made.report(1, ScanKind::Monthly, "2026-11", date(2026, 11, 2), std::slice::from_ref(&fail));
    made.report(1, ScanKind::Weekly, "2026-W46", date(2026, 11, 10), std::slice::from_ref(&fail));
    made.transition(host, fail, date(2026, 11, 2), None, first);
    let fields =
        [("rule", "tls-version-minimum"), ("host", "web*"), ("subject", "*"), ("reason", "old scanner"), ("control", "office only"), ("expires", expires)];
    made.record("waiver", 1, Action::Add, (date(2026, 11, 3), "ada"), "", &fields);
    made.record("waiver", 1, Action::Approve, (date(2026, 11, 4), "bob"), "", &[("note", "yes")]);
    made
}

#[test]
fn a_waiver_is_laid_over_a_failure_and_an_expired_one_shows_it_again() {
    let made = waived("2026-11-10");
    let paper = made.paper();
    let control = &paper.controls[0];
    let told: Vec<(Verdict, Option<i64>)> = control.exceptions.iter().filter(|e| !e.rule.is_empty()).map(|e| (e.verdict, e.resolved)).collect();
    let (approved, over) = (day_start(date(2026, 11, 4)) + 3600, day_start(date(2026, 11, 11)));
    assert_eq!(told, [(Verdict::Fail, Some(approved)), (Verdict::Fail, None), (Verdict::Waived, Some(over))]);
    assert_eq!((control.counts.fail, control.counts.waived, control.results[0].since), (1, 0, Some(over)));
    assert_eq!(control.exceptions[0].handling.resolution, "not mended: waived from then on");
    assert!(control.exceptions[1].handling.waiver.starts_with("ended on 2026-11-11: old scanner; compensating control: office only; asked for by ada"));
    let history = made.table("history.csv");
    assert_eq!(history.matches("\"tls-version-minimum\",\"web01\"").count(), 3, "{history}");

    let covered = waived("2026-12-31").paper();
    assert_eq!((covered.controls[0].counts.waived, covered.controls[0].results[0].verdict), (1, Verdict::Waived));
    assert!(html::render(&covered).contains("approved by bob on 2026-11-04, last day 2026-12-31"));
    assert!(waived("2026-12-31").table("findings.csv").contains("\"waived\""));
}

#[test]
fn what_people_do_about_a_failure_is_told_and_overdue_is_marked() {
    let mut made = super::made::small();
    made.material.record_types = types::builtin().unwrap().to_vec();
    let about = [("rule", "tls-version-minimum"), ("host", "*"), ("subject", "*")];
    let said = [("owner", "ops"), ("due", "2026-11-05"), ("cause", "old template")];
    made.record("handling", 1, Action::Add, (date(2026, 11, 4), "ada"), "", &[&about[..], &said[..]].concat());
    let paper = made.paper();
    let handling = &paper.exceptions[0].handling;
    assert_eq!((handling.owner.as_str(), handling.cause.as_str(), handling.overdue), ("ops", "old template", true));
    // The pass of the second report is the test after it.
    assert_eq!((handling.retest, handling.retested), (Some(made.material.reports[1].digest), Some(made.material.reports[1].finished)));
    let csv = made.table("exceptions.csv");
    assert!(csv.contains("\"ops\",\"2026-11-06 00:00:00 UTC\",\"overdue\",\"old template\""), "{csv}");
}

fn with_records(records: &[&str], rules: &[&str]) -> Made {
    let mut made = super::made::small();
    made.material.record_types = types::builtin().unwrap().to_vec();
    made.material.findings.remove(0);
    made.material.findings[0].since = day_start(date(2026, 11, 1));
    let tls = made.material.framework.controls[0].clone();
    let control = Control { record: "Sites.".into(), records: records.iter().map(|r| (*r).into()).collect(), ..tls };
    made.material.framework.controls = vec![Control { rules: control.rules.iter().filter(|m| rules.contains(&m.rule.as_str())).cloned().collect(), ..control }];
    made
}

#[test]
fn a_control_is_never_green_while_a_record_is_missing() {
    let tls = ["tls-version-minimum"];
    let of = |made: &Made| made.paper().controls.remove(0);
    let green = super::made::small();
    assert_eq!(of(&with_records(&[], &tls)).conclusion, Conclusion::Record, "the text asks for a record and none is mapped");
    let mut made = with_records(&["hosting-certificates"], &tls);
    let missing = of(&made);
    assert_eq!((missing.conclusion, missing.counts.pass), (Conclusion::Record, 1));
    assert!(missing.sentence.contains("no record"), "{}", missing.sentence);
    let kind = made.material.record_types.iter().find(|t| t.id == "hosting-certificates").unwrap().clone();
    let values: Vec<(String, String)> = kind.fields.iter().map(|f| (f.name.clone(), sample_of(f))).collect();
    let fields: Vec<(&str, &str)> = values.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    made.record("hosting-certificates", 3, Action::Add, (date(2026, 10, 1), "ada"), "Example Hosting", &fields);
    made.record("hosting-certificates", 0, Action::SignOff, (date(2026, 10, 2), "bob"), "", &[]);
    let there = of(&made);
    assert!(there.records[0].standings.iter().all(|s| s.state.verdict() != Verdict::NotRun), "{:?}", there.records[0].standings);
    assert!(!html::render(&made.paper()).contains("No record is attached"));
    assert!(there.pieces.iter().any(|p| &*p.path == "records/events.jsonl"));
    assert_eq!(of(&green).conclusion, Conclusion::Exceptions);
}

/// A value that the field takes.
fn sample_of(field: &assay::records::kind::Field) -> String {
    use assay::records::kind::FieldType as T;
    match field.kind {
        T::Date => "2027-06-30".into(),
        T::Time => "2026-10-01T10:00:00Z".into(),
        T::Number => "1".into(),
        T::Choice => field.values[0].clone(),
        T::Link => "https://example.org/".into(),
        _ => "text".into(),
    }
}

#[test]
fn changes_are_told_in_sentences() {
    let mut made = Made::empty();
    let (old, new) = (made.host(1, "web01"), made.host(2, "web02"));
    let digest = Digest::of(b"list").to_string();
    made.entry(Kind::Retirement, date(2026, 11, 3), Some(old), Some(json!({"at": 1, "by": "root", "host": old, "replaced_by": new, "why": "<b>broken"})));
    made.entry(Kind::Token, date(2026, 11, 4), None, None);
    made.entry(Kind::Erasure, date(2026, 11, 5), None, None);
    made.entry(Kind::Resumption, date(2026, 11, 6), None, Some(json!([1, {"by": digest}])));
    let texts: Vec<String> = made.paper().changes.into_iter().map(|c| c.text).collect();
    assert_eq!(
        texts,
        [
            "Host web01 was taken out, web02 took its place, by root: <b>broken.",
            "A token that enrols hosts was made.",
            "What was kept of a host or a person was erased (the text behind the entry was erased).",
            "The ledger went on from a restored database.",
        ]
    );
    assert!(html::render(&made.paper()).contains("&lt;b&gt;broken") && made.table("changes.csv").lines().count() == 5);
}

fn sampled(seed: &str) -> Made {
    let (mut made, _) = november(&WEEKS);
    for n in 2..30 {
        made.host(n, &format!("host{n:02}"));
    }
    made.material.sampling = Some(Sampling { seed: seed.into(), size: 3 });
    made
}

#[test]
fn samples_are_drawn_again_by_the_same_seed_and_named_by_pieces() {
    let of = |seed: &str| -> Vec<String> { sampled(seed).paper().controls[0].samples.iter().map(|s| format!("{} {} {}", s.kind, s.number, s.item)).collect() };
    assert_eq!(of("42"), of("42"));
    assert_ne!(of("42"), of("43"));
    assert_eq!(of("42").len(), 6, "three hosts and three scans");
    let mut made = sampled("42");
    let mut ranks: Vec<(Digest, String)> =
        made.material.hosts.iter().map(|h| (Digest::of(format!("42\nCC6.7\nhost\n{}", h.id).as_bytes()), h.id.to_string())).collect();
    ranks.sort();
    let paper = made.paper();
    let drawn: Vec<&str> = paper.controls[0].samples.iter().filter(|s| s.kind == "host").map(|s| s.item.as_str()).collect();
    assert_eq!(drawn, ranks.iter().take(3).map(|(_, id)| id.as_str()).collect::<Vec<_>>());
    made.material.sampling = Some(Sampling { seed: "42".into(), size: 100_000 });
    let all = made.paper();
    assert_eq!(all.controls[0].samples.iter().filter(|s| s.kind == "host").count(), 29, "never more than there are");
    let scans = all.controls[0].pieces.iter().filter(|p| p.kind == "scan").count();
    assert_eq!(scans, 4, "one piece for each sampled scan that has a report");
    assert!(all.controls[2].samples.is_empty(), "nothing is sampled where nothing is tested");
    assert!(made.table("samples.csv").lines().count() > 29 && html::render(&all).contains("sha256sum"));
}

#[test]
fn a_period_of_one_day_and_a_population_of_nobody_are_told() {
    let mut made = super::made::small();
    made.material.period = Period { from: date(2026, 11, 18), to: date(2026, 11, 18) };
    let paper = made.paper();
    assert!(paper.cover.is_date && paper.coverage.iter().map(|w| w.week.as_str()).eq(["2026-W47", "2026-11"]));
    assert_eq!(paper.controls[0].conclusion, Conclusion::NotRun, "the week of that day has no scan");
    assert!(html::render(&paper).contains("Type 1: as of one day"));
    for (path, _) in assay::evidence::csv::FILES {
        assert!(Made::empty().table(path).starts_with('"'), "{path}");
    }
    let _: Date = made.material.as_of;
}

#[test]
fn hostile_text_stays_text_everywhere() {
    const EVIL: &str = "</title></style><script>alert(1)</script>\"'=1+1\u{202e}";
    let mut made = waived("2026-12-31");
    made.material.company = EVIL.into();
    made.material.framework.title = EVIL.into();
    made.material.hosts[0].name = EVIL.into();
    made.material.hosts[0].retired_why = EVIL.into();
    made.material.sampling = Some(Sampling { seed: EVIL.into(), size: 2 });
    made.material.scope.hosts = vec![EVIL.into(), "*".into()];
    made.list("roster", date(2026, 10, 1), "person,ended_at\n<script>x</script>,2026-11-08\n");
    made.list("inventory", date(2026, 10, 1), "name\n<script>y</script>\n");
    let host = made.material.hosts[0].id;
    made.way(host, says(Verdict::Fail, ACTIVE, "<script>x</script>", "still"), date(2026, 11, 9), None);
    made.entry(Kind::Retirement, date(2026, 11, 3), Some(host), Some(json!({"by": EVIL, "why": EVIL})));
    let page = html::render(&made.paper());
    assert!(!page.contains("<script") && !page.contains('\u{202e}') && page.matches("</style>").count() == 1 && page.matches("</title>").count() >= 2);
    for (path, _) in assay::evidence::csv::FILES {
        assert!(!made.table(path).contains("\"=1"), "{path}");
    }
}
