//! A new key for the ledger: agents go on, old receipts and old auditors' keys still prove, an interrupted change is finished.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::lab::free_port;
use super::support::{ASSAY, COLLECTOR, Running, run, text, wait_for};

const SOON: Duration = Duration::from_secs(90);

fn serve(data: &str, agents: &str) -> Running {
    let people = format!("127.0.0.1:{}", free_port());
    let mut command = Command::new(COLLECTOR);
    let running = Running::start(command.args(["serve", "--data", data, "--agents", agents, "--people", &people, "--plain-http"]).stderr(Stdio::null()));
    wait_for(agents, SOON);
    running
}

fn ok(program: &str, arguments: &[&str]) -> String {
    let (code, out, error) = run(program, arguments);
    assert_eq!(code, 0, "{arguments:?}: {out}{error}");
    out
}

#[test]
fn agents_and_auditors_follow_the_ledger_to_its_new_key() {
    let dir = tempfile::tempdir().unwrap();
    let (data, agents) = (text(&dir.path().join("data")).to_string(), format!("127.0.0.1:{}", free_port()));
    let state = text(&dir.path().join("state")).to_string();
    let config = text(&dir.path().join("agent.yaml")).to_string();
    std::fs::write(&config, format!("state_dir: {state}\nfamilies: [os]\ngatherer:\n  in_process: true\n")).unwrap();
    let scan = || ok(ASSAY, &["agent", "--once", "--config", &config]);

    let mut serving = serve(&data, &agents);
    let token = ok(COLLECTOR, &["token", "create", "--data", &data]);
    ok(ASSAY, &["enroll", "--collector", &format!("https://{agents}"), "--token", token.trim(), "--state", &state, "--name", "web01"]);
    scan();
    let busy = run(COLLECTOR, &["ledger", "rotate", "--data", &data]);
    assert!(busy.0 == 1 && busy.2.contains("another collector runs"), "{busy:?}");
    assert_eq!(serving.interrupt(SOON), Some(0));
    let first = ok(COLLECTOR, &["evidence", "key", "--data", &data]);

    for round in 0..2 {
        let out = ok(COLLECTOR, &["ledger", "rotate", "--data", &data]);
        assert!(out.contains("the ledger's key is now assay.invalid/"), "{out}");
        ok(COLLECTOR, &["fsck", "--data", &data]);
        if round == 0 {
            let mut serving = serve(&data, &agents);
            // The agent holds the old key; its report comes with a receipt of the new one.
            scan();
            assert_eq!(serving.interrupt(SOON), Some(0));
        }
    }
    let now = ok(COLLECTOR, &["evidence", "key", "--data", &data]);
    assert_eq!((now == first, now.split('+').next()), (false, first.split('+').next()), "another key under the same name");
    let mut serving = serve(&data, &agents);
    scan();
    scan();
    assert_eq!(serving.interrupt(SOON), Some(0));
    let checked = ok(COLLECTOR, &["fsck", "--data", &data]);
    assert!(checked.contains("4  receipts") && checked.contains("Nothing differs"), "{checked}");

    // An auditor who was given the first key.
    let (bundle, list) = (dir.path().join("b.zip"), dir.path().join("rotations.json"));
    let day = jiff::Timestamp::now().strftime("%Y-%m-%d").to_string();
    ok(COLLECTOR, &["evidence", "export", "--framework", "soc2", "--from", &day, "--to", &day, "--data", &data, "--out", text(&bundle)]);
    std::fs::write(&list, ok(COLLECTOR, &["ledger", "rotations", "--data", &data])).unwrap();
    let verify = |more: &[&str]| run(ASSAY, &[&["evidence", "verify", text(&bundle), "--key", first.trim()], more].concat());
    assert_eq!(verify(&[]).0, 1, "the first key alone did not sign it");
    let (code, out, error) = verify(&["--rotations", text(&list)]);
    assert!(matches!(code, 0 | 3) && out.contains("verifies"), "{code} {out}{error}");
    let forged = std::fs::read_to_string(&list).unwrap().replacen("\"by_old\": \"", "\"by_old\": \"AA", 1);
    std::fs::write(&list, forged).unwrap();
    let (code, _, error) = verify(&["--rotations", text(&list)]);
    assert!(code == 1 && error.contains("not signed by its old key"), "{error}");
}

#[test]
fn an_interrupted_change_of_key_is_told_and_finished() {
    let dir = tempfile::tempdir().unwrap();
    let (data, agents) = (dir.path().join("data"), format!("127.0.0.1:{}", free_port()));
    let shown = text(&data).to_string();
    assert_eq!(serve(&shown, &agents).interrupt(SOON), Some(0));
    ok(COLLECTOR, &["ledger", "rotate", "--data", &shown]);
    let after = copy(&data, &dir.path().join("after"));
    ok(COLLECTOR, &["ledger", "rotate", "--data", &shown]);
    // As if killed right before the files changed places: database and head speak of the new key, the file is the old one.
    std::fs::rename(data.join("ledger-key.pem"), data.join("ledger-key.next.pem")).unwrap();
    std::fs::copy(after.join("ledger-key.pem"), data.join("ledger-key.pem")).unwrap();
    let refused = run(COLLECTOR, &["serve", "--data", &shown, "--agents", &agents, "--people", "127.0.0.1:0", "--plain-http"]);
    assert!(refused.0 == 1 && refused.2.contains("was interrupted; finish it with"), "{refused:?}");
    ok(COLLECTOR, &["ledger", "rotate", "--data", &shown]);
    let checked = ok(COLLECTOR, &["fsck", "--data", &shown]);
    // Two changes of the key; the rules and thresholds that the collector began with.
    assert!(checked.contains("4  statements"), "it is finished, not begun anew: {checked}");
    assert_eq!(serve(&shown, &agents).interrupt(SOON), Some(0));
}

fn copy(from: &Path, to: &Path) -> std::path::PathBuf {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap).filter(|e| e.path().is_file()) {
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
    to.into()
}
