//! Record types against promises, frameworks and pages; the command line; the API.

mod api;
mod commands;

use std::collections::BTreeSet;

use assay::records::types;
use assay::rules::framework::{self, Kind};

/// Promises that a person's record proves, alone or beside what is observed.
const RECORDED: &[&str] = &[
    "A7", "A8", "A10", "A11", "A12", "B12", "B13", "B14", "B15", "B16", "B17", "B18", "B19", "B20", "B21", "C1", "C3", "C4", "C15", "C16", "C17", "C18", "C19",
    "D5",
];

#[test]
fn every_control_that_asks_for_a_record_names_types_that_exist() {
    let types = types::builtin().unwrap_or_else(|e| panic!("{e}"));
    let ids: BTreeSet<&str> = types.iter().map(|t| t.id.as_str()).collect();
    let mut used = BTreeSet::new();
    for framework in framework::builtin().unwrap_or_else(|e| panic!("{e}")) {
        for control in &framework.controls {
            assert_eq!(control.record.is_empty(), control.records.is_empty(), "{} {} says a record in words or by type alone", framework.id, control.id);
            for id in &control.records {
                assert!(ids.contains(id.as_str()), "{} {} names the record type {id}, and there is none", framework.id, control.id);
                used.insert(id.clone());
            }
        }
    }
    let unused: Vec<&&str> = ids.iter().filter(|id| !used.contains(**id)).collect();
    assert!(unused.is_empty(), "no control asks for {unused:?}");
    assert!(types.is_sorted_by(|a, b| a.id < b.id));
}

#[test]
fn every_promise_of_a_person_has_a_record_behind_it() {
    let types = types::builtin().unwrap();
    let pages: Vec<_> = framework::builtin().unwrap().into_iter().filter(|f| f.kind == Kind::Commitments).collect();
    for row in RECORDED {
        let proving: Vec<&str> = types.iter().filter(|t| t.promises.iter().any(|p| p == row)).map(|t| t.id.as_str()).collect();
        let sentence = pages.iter().find_map(|p| p.control(row)).unwrap_or_else(|| panic!("no page has {row}"));
        assert!(!proving.is_empty(), "no record type proves {row}");
        for id in &proving {
            assert!(sentence.records.iter().any(|r| r == id), "{id} says that it proves {row}, and the page does not name it");
        }
    }
    for kind in types {
        for row in &kind.promises {
            let sentence = pages.iter().find_map(|p| p.control(row)).unwrap_or_else(|| panic!("{} proves {row}, which no page has", kind.id));
            assert!(sentence.records.contains(&kind.id), "{} says that it proves {row}, and the page does not name it", kind.id);
        }
    }
}

#[test]
fn all_criteria_of_soc_2_are_there() {
    let frameworks = framework::builtin().unwrap();
    let soc2 = framework::find(&frameworks, "soc2").unwrap();
    let counts = [
        ("CC1.", 5),
        ("CC2.", 3),
        ("CC3.", 4),
        ("CC4.", 2),
        ("CC5.", 3),
        ("CC6.", 8),
        ("CC7.", 5),
        ("CC8.", 1),
        ("CC9.", 2),
        ("A1.", 3),
        ("C1.", 2),
        ("PI1.", 5),
        ("P1.", 1),
        ("P2.", 1),
        ("P3.", 2),
        ("P4.", 3),
        ("P5.", 2),
        ("P6.", 7),
        ("P7.", 1),
        ("P8.", 1),
    ];
    for (prefix, count) in counts {
        let own = soc2.controls.iter().filter(|c| c.id.starts_with(prefix)).count();
        assert_eq!(own, count, "{prefix}");
    }
    assert_eq!(soc2.controls.len(), counts.iter().map(|(_, n)| n).sum::<usize>());
}
