//! A rule file: it loads or every problem has a place; what loads stands its own examples.
#![no_main]

use std::path::PathBuf;
use std::sync::LazyLock;

use assay::rules::Pack;

static PLACE: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = std::env::temp_dir().join(format!("assay-fuzz-rule-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder for the rule");
    folder.join("some-rule.yaml")
});

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    std::fs::write(&*PLACE, data).expect("the rule is written");
    if let Err(e) = Pack::load(&PLACE, assay::facts::schemas()) {
        assert!(!e.problems.is_empty() && e.problems.iter().all(|p| p.line >= 1 && !p.text.is_empty()), "{e}");
    }
});
