//! The document of the API held against the real collector by schemathesis: no failure of ours, every answer as its schema says. The same
//! examples each time. `tests/lab/fuzz_api.py install` installs it.

use std::process::Command;

use super::support::{Collector, collector, run, text};

#[test]
fn api_answers_as_its_document_says() {
    let running = Collector::start();
    let password = running.data().join("password");
    std::fs::write(&password, "correct horse battery").unwrap();
    assert_eq!(run(collector(), &["user", "add", "ada", "--role", "admin", "--password-file", text(&password), "--data", text(running.data())]).0, 0);
    let (code, token, error) = run(collector(), &["token", "api", "--user", "ada", "--role", "admin", "--data", text(running.data())]);
    assert_eq!(code, 0, "{error}");
    let root = env!("CARGO_MANIFEST_DIR");
    let output = Command::new("python3")
        .arg(format!("{root}/tests/lab/fuzz_api.py"))
        .args(["run", &format!("http://{}", running.people), token.trim()])
        .current_dir(running.data())
        .output()
        .expect("python3 is installed by tests/run");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
    // What was recorded meanwhile still adds up.
    let (code, fsck, error) = run(collector(), &["fsck", "--data", text(running.data())]);
    assert_eq!(code, 0, "{fsck}{error}");
}
