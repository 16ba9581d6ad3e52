//! What a bundle says.

use assay::evidence::paper::Conclusion;
use assay::model::finding::Verdict;
use assay::model::report::{Cadence, ScanKind, ScanState};
use jiff::civil::date;

use super::made::{Made, checked, files, finding, small};

fn text(bytes: &[u8], path: &str) -> String {
    String::from_utf8(files(bytes).remove(path).unwrap()).unwrap()
}

#[test]
fn the_same_material_gives_the_same_bytes_and_they_verify() {
    let (one, two) = (small().bundle(), small().bundle());
    assert_eq!(one.bytes, two.bytes);
    let found = checked(&one.bytes);
    assert_eq!(found.problems, []);
    assert!(found.key_checked && !found.incomplete);
    let held = |what: &str| found.checks.iter().find(|c| c.what.contains(what)).unwrap_or_else(|| panic!("{what}")).held;
    assert_eq!(held("manifest signature"), 1);
    assert_eq!(held("byte for byte"), 1);
    assert_eq!(held("checkpoint signature"), 1);
    assert_eq!(held("host keys"), 1);
    assert_eq!(held("enrolments included"), 1);
    assert_eq!(held("reports signed"), 2);
    assert_eq!(held("reports included"), 2);
    assert_eq!(held("counts follow"), 2);
    assert_eq!(held("address of their content"), 6);
    assert!(held("numbered pieces") > 9);
    assert!(found.not_checked.iter().all(|s| !s.contains("--key")));
    let unkeyed = assay::evidence::verify(std::io::Cursor::new(&one.bytes), None).unwrap();
    assert!(unkeyed.holds() && !unkeyed.key_checked && unkeyed.not_checked[0].contains("--key"));
}

#[test]
fn a_resolved_failure_is_an_exception_and_a_pass_at_the_end() {
    let bundle = small().bundle();
    let control = &bundle.paper.controls[0];
    assert_eq!((control.conclusion, control.counts.pass, control.counts.fail), (Conclusion::Exceptions, 1, 0));
    assert_eq!((control.exceptions.len(), control.exceptions[0].resolved.is_some()), (1, true));
    assert_eq!((control.operation.planned, control.operation.done), (3, 3));
    assert_eq!(control.pieces[0].number, "CC6.7-001");
    let page = text(&bundle.bytes, "index.html");
    assert!(page.contains("CC6.7-010") && page.contains("&lt;b&gt;") && !page.contains("<script") && !page.contains("<b>"));
    assert!(text(&bundle.bytes, "controls.csv").contains("\"CC6.7\",\"Control CC6.7\",\"exceptions\""));
}

#[test]
fn what_was_not_scanned_is_not_run_and_what_no_rule_tests_needs_a_record() {
    let mut made = Made::empty();
    let (web, _) = (made.host(1, "web01"), made.host(2, "db01"));
    let pass = finding("tls-version-minimum", "0.0.0.0:443/tcp", Verdict::Pass);
    let report = made.report(1, ScanKind::Weekly, "2026-W45", date(2026, 11, 3), std::slice::from_ref(&pass));
    made.transition(web, pass, date(2026, 11, 3), None, report);
    let paper = made.bundle().paper;
    let by = |id: &str| paper.controls.iter().find(|c| c.id == id).unwrap();
    let tls = by("CC6.7");
    assert_eq!((tls.conclusion, tls.counts.pass, tls.counts.not_run), (Conclusion::NotRun, 1, 1));
    // web01: 2026-11 and W46 missed; db01: 2026-11, W45 and W46.
    assert_eq!((tls.operation.planned, tls.operation.done, tls.operation.not_run), (6, 1, 5));
    assert_eq!(tls.exceptions.iter().filter(|e| e.verdict == Verdict::NotRun).count(), 5);
    // web01 was scanned, yet no report of it holds a verdict of this rule.
    assert_eq!((by("CC6.1").conclusion, by("CC6.1").counts.not_run), (Conclusion::NotRun, 2));
    let record = by("CC1.1");
    assert_eq!((record.conclusion, record.pieces.len(), record.exceptions.len()), (Conclusion::Record, 0, 0));
    assert_eq!(record.sentence, "No rule tests this control: it needs a person's record.");
}

#[test]
fn an_old_pass_of_a_silent_host_is_no_pass_and_an_empty_population_proves_nothing() {
    let made = small();
    let mut made_again = Made::empty();
    let web = made_again.host(1, "web01");
    let report = made.material.findings[1].report;
    made_again.transition(web, finding("tls-version-minimum", "s", Verdict::Pass), date(2026, 10, 1), None, report);
    let paper = made_again.bundle().paper;
    assert_eq!((paper.controls[0].conclusion, paper.controls[0].counts.not_run, paper.controls[0].counts.pass), (Conclusion::NotRun, 1, 0));
    let empty = Made::empty().bundle();
    assert_eq!(empty.paper.controls[0].conclusion, Conclusion::NotRun);
    assert_eq!(empty.paper.controls[0].sentence, "The population is empty: nothing was tested.");
    assert!(text(&empty.bytes, "index.html").contains("No host was enrolled"));
    assert!(checked(&empty.bytes).holds());
}

#[test]
fn an_aborted_scan_confirms_nothing() {
    let mut made = Made::empty();
    let host = made.host(1, "web01");
    let pass = finding("tls-version-minimum", "s", Verdict::Pass);
    let report = made.report_changed(1, ScanKind::Weekly, "2026-W45", date(2026, 11, 3), std::slice::from_ref(&pass), |r| r.scan.state = ScanState::Aborted);
    made.transition(host, pass, date(2026, 10, 1), None, report);
    let paper = made.bundle().paper;
    assert_eq!((paper.controls[0].counts.pass, paper.controls[0].operation.done), (0, 0));
    assert!(paper.notes.iter().any(|n| n.starts_with("1 scan ended early")));
}

#[test]
fn a_weekly_scan_confirms_no_monthly_rule() {
    let pass = finding("tls-version-minimum", "s", Verdict::Pass);
    let concluded = |kind: ScanKind, window: &str| {
        let mut made = Made::empty();
        made.material.rules[0].cadence = Cadence::Monthly;
        let host = made.host(1, "web01");
        // The pass is older than the period: only a scan that judges the rule confirms it.
        let report = made.report(1, kind, window, date(2026, 11, 3), &[]);
        made.transition(host, pass.clone(), date(2026, 10, 1), None, report);
        let counts = made.bundle().paper.controls[0].counts;
        (counts.pass, counts.not_run)
    };
    assert_eq!(concluded(ScanKind::Weekly, "2026-W45"), (0, 1));
    assert_eq!(concluded(ScanKind::Drift, "2026-W45"), (0, 1));
    assert_eq!(concluded(ScanKind::Monthly, "2026-11"), (1, 0));
    assert_eq!(concluded(ScanKind::OnDemand, "2026-W45"), (1, 0));
}

#[test]
fn an_erased_blob_makes_a_bundle_incomplete_not_false() {
    let mut made = small();
    made.blobs.remove(1);
    made.material.erased = 1;
    let bundle = made.bundle();
    assert!(bundle.paper.notes.iter().any(|n| n.starts_with("1 blob is named")));
    let found = checked(&bundle.bytes);
    assert!(found.holds() && found.incomplete);
    assert!(found.not_checked.iter().any(|s| s.starts_with("1 blob named by reports is not in the bundle")));
}

#[test]
fn hostile_names_stay_text_in_every_format() {
    let mut made = Made::empty();
    let host = made.host(1, "=cmd|' /C calc'!A0");
    made.material.hosts[0].os = "</td><script>alert(1)</script>".into();
    let fail = finding("tls-version-minimum", "\u{202e}<img src=x onerror=1>", Verdict::Fail);
    let report = made.report(1, ScanKind::Weekly, "2026-W45", date(2026, 11, 3), std::slice::from_ref(&fail));
    made.transition(host, fail, date(2026, 11, 3), None, report);
    let bundle = made.bundle();
    assert!(checked(&bundle.bytes).holds());
    let page = text(&bundle.bytes, "index.html");
    assert!(!page.contains("<script") && !page.contains("<img") && !page.contains('\u{202e}') && page.contains("&lt;script&gt;"));
    for file in ["findings.csv", "population.csv", "windows.csv"] {
        let csv = text(&bundle.bytes, file);
        assert!(csv.contains("\"'=cmd") && !csv.contains("\"=cmd"), "{file}");
    }
}
