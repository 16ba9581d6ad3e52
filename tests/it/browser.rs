//! The README's first command as its user sees it: started, signed in, every page looked at in
//! headless Chromium (two sizes, light and dark, axe-core), screenshots kept.

use std::process::Command;
use std::time::Duration;

use super::support::{ASSAY, COLLECTOR, Running};

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

/// What new users do, from the first start to an auditor with bounds.
#[test]
fn browser_tasks_of_new_users() {
    let folder = tempfile::tempdir().unwrap();
    let port = || format!("127.0.0.1:{}", super::lab::free_port());
    let (people, agents) = (port(), port());
    let log = folder.path().join("log");
    let mut collector = Command::new(COLLECTOR)
        .args(["serve", "--plain-http", "--people", &people, "--agents", &agents, "--name", "127.0.0.1", "--data"])
        .arg(folder.path().join("data"))
        .stderr(std::fs::File::create(&log).unwrap())
        .spawn()
        .unwrap();
    let link = || std::fs::read_to_string(&log).unwrap().split_whitespace().find(|w| w.contains("/setup?token=")).map(String::from);
    let begun = std::time::Instant::now();
    while link().is_none() && begun.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(50));
    }
    let root = env!("CARGO_MANIFEST_DIR");
    let agent = folder.path().join("agent");
    std::fs::create_dir(&agent).unwrap();
    let status = Command::new("node")
        .arg(format!("{root}/tests/browser/tasks.mjs"))
        .args([&format!("http://{people}"), &link().expect("a collector without people says where to begin"), ASSAY])
        .arg(&agent)
        .env("NODE_PATH", format!("{root}/target/browser/node_modules"))
        .current_dir(root)
        .status()
        .expect("node is installed by tests/run");
    collector.kill().unwrap();
    collector.wait().unwrap();
    assert!(status.success(), "tests/browser/tasks.mjs ended with {status}; the collector said:\n{}", std::fs::read_to_string(&log).unwrap());
}
