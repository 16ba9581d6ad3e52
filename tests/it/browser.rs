//! The README's first command as its user sees it: started, signed in, every page looked at in
//! headless Chromium (two sizes, light and dark, axe-core), screenshots kept.

use std::process::Command;
use std::time::Duration;

use super::support::{COLLECTOR, Running};

#[test]
fn browser_demo_pages() {
    let mut demo = Running::start(Command::new(COLLECTOR).arg("demo").env("NO_COLOR", "1"));
    let line = demo.line("/signin/once?token=", Duration::from_secs(120));
    let signin = line.split_whitespace().find(|w| w.contains("/signin/once?token=")).unwrap().to_string();
    let base = signin.split("/signin").next().unwrap();
    assert!(demo.seen.iter().any(|l| l.contains("SEVERITY")), "the findings come as a table:\n{}", demo.seen.join("\n"));

    let root = env!("CARGO_MANIFEST_DIR");
    let status = Command::new("node")
        .arg(format!("{root}/tests/browser/run.mjs"))
        .args([base, &signin])
        .env("NODE_PATH", format!("{root}/target/browser/node_modules"))
        .current_dir(root)
        .status()
        .expect("node is installed by tests/run");
    assert!(status.success(), "tests/browser/run.mjs ended with {status}");

    assert_eq!(demo.interrupt(Duration::from_secs(20)), Some(0), "Ctrl-C ends the demo in order");
}
