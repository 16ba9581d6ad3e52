//! The workbook and the OSCAL document, read by other programs; everything that a bundle may hold, verified twice.

use std::path::{Path, PathBuf};

use assay::evidence::material::Sampling;
use assay::ledger::Kind;
use assay::model::finding::Verdict;
use assay::model::report::ScanKind;
use assay::records::{Action, types};
use jiff::civil::date;
use serde_json::{Value, json};

use super::made::{Made, checked, files, finding, problems, small, verifier};
use super::tampering::{each_line, python, resealed};

/// A bundle with everything in it.
fn rich() -> Made {
    let mut made = small();
    let (web, db) = (made.material.hosts[0].id, made.host(2, "=1+1"));
    let report = made.report(2, ScanKind::Weekly, "2026-W45", date(2026, 11, 4), &[finding("tls-version-minimum", "s", Verdict::Unknown)]);
    made.transition(db, finding("tls-version-minimum", "=cmd|' /C calc'!A0", Verdict::Unknown), date(2026, 11, 4), None, report);
    made.material.record_types = types::builtin().unwrap().to_vec();
    made.record("policy", 1, Action::Add, (date(2026, 11, 5), "ada"), "", &[("title", "Access"), ("approved_by", "ada")]);
    made.attach(date(2026, 11, 6), "policy.pdf", b"%PDF-1.7 not really");
    made.list("roster", date(2026, 10, 1), "person,ended_at\nm.keller,2026-11-08\nada,\n");
    made.list("inventory", date(2026, 10, 1), "name\nweb01\nmail01\n");
    made.entry(Kind::Retirement, date(2026, 11, 7), Some(web), Some(json!({"at": 1, "why": "sold"})));
    made.entry(Kind::Token, date(2026, 11, 8), None, None);
    made.material.sampling = Some(Sampling { seed: "audit 2026".into(), size: 2 });
    for control in &mut made.material.framework.controls {
        control.records = vec!["policy".into()];
        control.fleet = "Changes are in the tables.".into();
    }
    made
}

#[test]
fn records_lists_entries_and_samples_hold_and_two_verifiers_agree() {
    let made = rich();
    let good = made.bundle().bytes;
    let found = checked(&good);
    assert_eq!((problems(&found), found.incomplete), (vec![], false), "{:#?}", found.problems);
    let held = |what: &str| found.checks.iter().find(|c| c.what.contains(what)).unwrap_or_else(|| panic!("{what}")).held;
    assert_eq!((held("recorded events"), held("files of records"), held("versions of lists")), (2, 1, 2));
    assert_eq!((held("other entries"), held("texts that")), (2, 1));
    assert!(held("samples drawn again") >= 4 && held("tables with the rows") >= 10, "{:#?}", found.checks);
    let key = verifier().to_string();
    assert_eq!(python(&good, Some(&key)), (0, "everything holds\n".into()));

    let file = files(&good).keys().find(|p| p.starts_with("records/files/")).unwrap().clone();
    let list = files(&good).keys().find(|p| p.starts_with("lists/")).unwrap().clone();
    type Change<'a> = Box<dyn Fn(&mut super::made::Files) + 'a>;
    let changes: Vec<(&str, &str, Change<'_>)> = vec![
        ("records/events.jsonl", "proof", Box::new(|f| each_line(f, "records/events.jsonl", |l| l[0] = l[0].replace("Access", "Nothing")))),
        ("records/events.jsonl", "record", Box::new(|f| each_line(f, "records/events.jsonl", |l| l.swap(0, 1)))),
        (&file, "file", Box::new(|f| drop(f.insert(file.clone(), b"another".to_vec())))),
        (&list, "table", Box::new(|f| drop(f.insert(list.clone(), b"person\n".to_vec())))),
        ("ledger.jsonl", "entry", Box::new(|f| each_line(f, "ledger.jsonl", |l| l[0] = l[0].replace("sold", "lost")))),
        ("ledger.jsonl", "proof", Box::new(|f| each_line(f, "ledger.jsonl", |l| l[0] = l[0].replacen("\"index\":", "\"index\":1", 1)))),
        (
            "controls/CC6.7.json",
            "sample",
            Box::new(|f| {
                let mut control: Value = serde_json::from_slice(&f["controls/CC6.7.json"]).unwrap();
                let samples = control["samples"].as_array_mut().unwrap();
                let at = samples.iter().position(|s| s["kind"] == "scan").unwrap();
                samples.remove(at);
                f.insert("controls/CC6.7.json".into(), assay::model::canonical::to_bytes(&control).unwrap());
            }),
        ),
    ];
    for (path, id, change) in changes {
        let bad = resealed(&good, change);
        let found = checked(&bad);
        assert!(problems(&found).contains(&format!("{path} {id}")), "{path} {id}: {:#?}", found.problems);
        assert_eq!(python(&bad, Some(&key)).0, 1, "{path} {id}");
    }
    let erased = resealed(&good, |f| {
        drop(f.remove(&file));
        let control = "controls/CC6.7.json";
        let mut value: Value = serde_json::from_slice(&f[control]).unwrap();
        value["pieces"].as_array_mut().unwrap().retain(|p| p["path"] != file.as_str());
        f.insert(control.into(), assay::model::canonical::to_bytes(&value).unwrap());
    });
    let found = checked(&erased);
    assert!(found.holds() && found.incomplete, "{:#?}", found.problems);
}

/// What the other programs say of a file of the bundle.
#[expect(clippy::disallowed_methods, reason = "the test runs other programs; the product starts nothing")]
fn read(kind: &str, name: &str, bytes: &[u8]) -> Value {
    let (root, dir) = (PathBuf::from(env!("CARGO_MANIFEST_DIR")), tempfile::tempdir().unwrap());
    let (python, path) = (root.join("target/formats/bin/python"), dir.path().join(name));
    assert!(python.is_file(), "{} is missing: run tests/lab/read_formats.py install", python.display());
    std::fs::write(&path, bytes).unwrap();
    let output = std::process::Command::new(python).arg(root.join("tests/lab/read_formats.py")).arg(kind).arg(&path).output().unwrap();
    assert!(output.status.success(), "{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn another_program_reads_the_workbook() {
    let (one, two) = (rich().bundle().bytes, rich().bundle().bytes);
    assert_eq!(one, two, "the workbook has no time or random number of its own");
    let book = files(&one).remove("evidence.xlsx").unwrap();
    if let Some(folder) = std::env::var_os("ASSAY_KEEP") {
        std::fs::write(Path::new(&folder).join("evidence.xlsx"), &book).unwrap();
    }
    let sheets = read("xlsx", "evidence.xlsx", &book);
    let names: Vec<&String> = sheets.as_object().unwrap().keys().collect();
    for name in ["Cover", "Contents", "Population", "Windows", "Exceptions", "Revocations", "Changes", "CC6.7"] {
        assert!(names.iter().any(|n| *n == name), "{name}: {names:?}");
    }
    for (name, sheet) in sheets.as_object().unwrap() {
        assert_eq!(sheet["formulas"], json!([]), "{name}");
    }
    let texts = |name: &str| sheets[name]["texts"].as_array().unwrap().iter().map(|t| t.as_str().unwrap().to_string()).collect::<Vec<_>>();
    assert!(texts("Exceptions").contains(&"=cmd|' /C calc'!A0".to_string()) && texts("Population").contains(&"=1+1".to_string()));
    assert!(sheets["Contents"]["links"].as_array().unwrap().contains(&json!("'CC6.7'!A1")), "{}", sheets["Contents"]["links"]);
    assert_eq!(sheets["CC6.7"]["links"], json!(["'Contents'!A1"]));
    assert_eq!((sheets["Population"]["frozen"].as_str(), sheets["Population"]["filter"].as_str()), (Some("B3"), Some("A2:Q4")));
    assert_eq!(sheets["CC6.7"]["frozen"], "A3");
    assert!(sheets["CC6.7"]["tables"].as_array().unwrap().len() >= 5, "{}", sheets["CC6.7"]["tables"]);
}

#[test]
fn a_long_list_is_cut_with_a_note_and_sheets_have_names_of_their_own() {
    let mut made = small();
    let host = made.material.hosts[0].id;
    let report = made.material.findings[1].report;
    for i in 0..1100 {
        made.transition(host, finding("tls-version-minimum", &format!("0.0.0.0:{i}/tcp"), Verdict::Fail), date(2026, 11, 3), None, report);
    }
    let long = "A-very-long-id-of-a-control-which-";
    let mut others: Vec<_> = ["one", "two", "three"].iter().map(|end| (format!("{long}{end}"), made.material.framework.controls[0].clone())).collect();
    others.push(("history".into(), made.material.framework.controls[0].clone()));
    made.material.framework.controls.extend(others.into_iter().map(|(id, control)| assay::evidence::material::Control { id, ..control }));
    let book = files(&made.bundle().bytes).remove("evidence.xlsx").unwrap();
    let sheets = read("xlsx", "evidence.xlsx", &book);
    let names: Vec<&String> = sheets.as_object().unwrap().keys().collect();
    for name in [&long[..31], &format!("{}~2", &long[..29]), &format!("{}~3", &long[..29]), "history~2"] {
        assert!(names.iter().any(|n| *n == name), "{name}: {names:?}");
    }
    let note = json!("The first 300 of 1101 rows; exceptions.csv in the bundle has all of them.");
    assert!(sheets["CC6.7"]["texts"].as_array().unwrap().contains(&note), "a note says what is left out");
}

#[test]
fn oscal_holds_against_the_model_and_says_what_the_paper_says() {
    let mut made = rich();
    let waived = finding("ssh-root-login", "", Verdict::Waived);
    let (host, report) = (made.material.hosts[0].id, made.material.findings[1].report);
    made.transition(host, waived, date(2026, 11, 3), None, report);
    let rule = made.material.framework.controls[0].rules[0].clone();
    let control = made.material.framework.controls[0].clone();
    made.material.framework.controls.push(assay::evidence::material::Control {
        id: "5.15".into(),
        rules: vec![assay::evidence::material::Mapping { rule: "ssh-root-login".into(), ..rule }],
        records: Vec::new(),
        ..control.clone()
    });
    made.material.framework.controls.push(assay::evidence::material::Control {
        id: "CC1.1".into(),
        rules: Vec::new(),
        records: vec!["policy".into()],
        ..control
    });
    let bundle = made.bundle();
    let document = files(&bundle.bytes).remove("assessment-results.json").unwrap();
    let said = read("oscal", "assessment-results.json", &document);
    assert_eq!(said["hosts"], 2);
    let findings = said["findings"].as_object().unwrap();
    assert_eq!(findings.keys().collect::<Vec<_>>(), ["CC1.1", "CC6.7", "c-5.15"]);
    assert_eq!((findings["CC6.7"]["state"].as_str(), findings["CC6.7"]["reason"].as_str()), (Some("not-satisfied"), Some("fail")));
    assert!(findings.values().all(|f| f["state"] == "not-satisfied"), "nothing of this is without exceptions: {findings:?}");
    let risks: Vec<&str> = said["risks"].as_array().unwrap().iter().map(|r| r.as_str().unwrap()).collect();
    assert!(risks.contains(&"deviation-approved") && risks.contains(&"closed") && risks.contains(&"open"), "{risks:?}");
    let all = files(&bundle.bytes);
    for href in said["evidence"].as_array().unwrap() {
        assert!(all.contains_key(href.as_str().unwrap()), "{href} is in the bundle");
    }
}
