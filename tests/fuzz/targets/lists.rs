//! Lists that people keep.
#![no_main]

use assay::model::approvals::Approvals;
use assay::model::roster::Roster;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let _ = Roster::parse("people.csv", data);
    let _ = Approvals::parse("approved.csv", data);
});
