//! Imports point down only.

use std::path::{Path, PathBuf};

/// Module -> modules of the crate that it may import.
const MAY: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("host", &["model"]),
    ("probe", &["model", "host"]),
    ("rules", &["model", "host"]),
    ("pki", &["model", "host"]),
    ("ledger", &["model", "host"]),
    ("facts", &["model", "host", "probe"]),
    ("report", &["model", "host", "rules"]),
    ("advisory", &["model", "host"]),
    ("records", &["model", "host", "rules"]),
    ("evidence", &["model", "host", "rules", "pki", "ledger", "report", "records"]),
    ("config", &["model", "host"]),
    ("agent", &["model", "host", "facts", "probe", "rules", "pki", "ledger", "report", "advisory", "config"]),
    ("collector", &["model", "host", "facts", "rules", "pki", "ledger", "report", "evidence", "records", "advisory", "config"]),
];

fn files(dir: &Path, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, out);
        } else if path.extension().is_some_and(|e| e == "rs") {
            out.push(path);
        }
    }
}

#[test]
fn imports_point_down() {
    let src = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut all = Vec::new();
    files(&src, &mut all);
    let mut wrong = Vec::new();
    let mut seen = 0;
    for path in all {
        let relative = path.strip_prefix(&src).unwrap();
        let module = relative.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs");
        let Some((_, may)) = MAY.iter().find(|(m, _)| *m == module) else { continue };
        for (number, line) in std::fs::read_to_string(&path).unwrap().lines().enumerate() {
            for after in line.split("crate::").skip(1) {
                let target: String = after.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                seen += 1;
                if target != module && MAY.iter().any(|(m, _)| *m == target) && !may.contains(&target.as_str()) {
                    wrong.push(format!("{}:{}: {module} imports {target}", relative.display(), number + 1));
                }
            }
        }
    }
    assert!(seen > 20, "the scan saw only {seen} imports");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
