//! `assay doctor` on a host that lacks this and that, and on one that lacks nothing.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use assay::agent::enrol;
use assay::agent::identity::Identity;
use assay::host::clock;
use serde_json::Value;

use crate::agent::{Collector, agent};
use crate::support::ASSAY;

fn configuration(folder: &Path, more: &str) -> PathBuf {
    let file = folder.join("agent.yaml");
    std::fs::write(&file, format!("state_dir: {}\nspool:\n  max_bytes: 2097152\nfamilies: [os]\n{more}", folder.join("state").display())).unwrap();
    file
}

/// Exit code and checks.
fn doctor(file: &Path, more: &[(&str, &str)]) -> (i32, Vec<Value>) {
    let output = Command::new(ASSAY).args(["doctor", "--format", "json", "--config"]).arg(file).envs(more.iter().copied()).output().unwrap();
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&output.stderr)));
    assert_eq!(answer["format"], "assay.doctor.v1");
    (output.status.code().unwrap(), answer["checks"].as_array().unwrap().clone())
}

fn state<'a>(checks: &'a [Value], id: &str) -> &'a str {
    check(checks, id)["state"].as_str().unwrap()
}

fn check<'a>(checks: &'a [Value], id: &str) -> &'a Value {
    checks.iter().find(|c| c["id"] == id).unwrap_or_else(|| panic!("no check {id}: {checks:#?}"))
}

fn wait_for(what: &str, done: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !done() {
        assert!(Instant::now() < end, "{what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn a_host_that_was_never_set_up_is_told_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let file = configuration(folder.path(), &format!("gatherer:\n  socket: {}\n", folder.path().join("none.sock").display()));
    let (code, checks) = doctor(&file, &[]);
    assert_eq!(code, 3);
    for id in ["identity", "agent", "gatherer"] {
        assert_eq!(state(&checks, id), "gap", "{id}");
    }
    for id in ["capabilities", "last-scan", "collector"] {
        assert_eq!(state(&checks, id), "unknown", "{id}: an earlier gap stands in the way");
    }
    for check in &checks {
        let told = |key: &str| !check[key].as_str().unwrap().is_empty() && !check[key].as_str().unwrap().contains('\n');
        assert!(told("what") && (check["state"] == "ok" || (told("why") && told("cure"))), "{check}");
    }
    std::fs::write(&file, "state_dri: /x\n").unwrap();
    let (code, checks) = doctor(&file, &[]);
    assert_eq!((code, state(&checks, "configuration")), (3, "gap"));
    assert!(check(&checks, "configuration")["what"].as_str().unwrap().contains("agent.yaml:1:1: unknown field"));
    let table = Command::new(ASSAY).args(["doctor", "--config"]).arg(&file).output().unwrap();
    let text = String::from_utf8(table.stdout).unwrap();
    assert!(text.contains("cure  Mend the file as said.") && !text.contains('\u{1b}'), "{text}");
    assert_eq!(Command::new(ASSAY).args(["doctor", "--format", "xml"]).output().unwrap().status.code(), Some(2));
}

#[test]
fn a_sound_host_lacks_nothing_and_each_fault_is_named() {
    let (data, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut collector = Collector::start(data.path());
    let state_dir = folder.path().join("state");
    let mut identity = enrol::enrol(&collector.url(), &collector.token(), &state_dir, Some("web01")).unwrap();
    let socket = folder.path().join("gatherer.sock");
    let file = configuration(folder.path(), &format!("gatherer:\n  socket: {}\n  agent_user: root\n", socket.display()));
    let mut gatherer = Command::new(ASSAY).args(["gatherer", "--config"]).arg(&file).stderr(Stdio::null()).spawn().unwrap();
    wait_for("gatherer", || socket.exists());
    let mut running = agent(&file);
    wait_for("first report", || !collector.reports(&identity.host).is_empty() && std::fs::read_dir(state_dir.join("spool")).unwrap().count() == 0);
    let (code, checks) = doctor(&file, &[]);
    // A kernel without landlock is a gap of this machine, not of this host's set-up.
    let wrong: Vec<&Value> = checks.iter().filter(|c| c["state"] != "ok" && c["id"] != "landlock" && c["id"] != "inotify").collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(code, if checks.iter().all(|c| c["state"] == "ok") { 0 } else { 3 });
    assert_eq!(check(&checks, "agent")["what"], format!("running, process {}", running.id()));
    assert_eq!(check(&checks, "gatherer")["what"], format!("answers, process {}", gatherer.id()));
    assert!(check(&checks, "tls")["what"].as_str().unwrap().starts_with("TLSv1.3"), "{checks:#?}");
    running.kill().unwrap();
    running.wait().unwrap();
    gatherer.kill().unwrap();
    gatherer.wait().unwrap();

    // A clock that is off, a gatherer without its capabilities, an agent that does not run.
    let clock = [("LD_PRELOAD", "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"), ("FAKETIME", "+1h"), ("FAKETIME_DONT_FAKE_MONOTONIC", "1")];
    std::fs::remove_file(&socket).unwrap();
    let mut poor = Command::new("setpriv");
    poor.args(["--bounding-set", "-net_admin,-audit_control", "--inh-caps", "-all", ASSAY, "gatherer", "--config"]).arg(&file);
    let mut poor = poor.stderr(Stdio::null()).spawn().unwrap();
    wait_for("gatherer", || socket.exists());
    let (code, checks) = doctor(&file, &clock);
    assert_eq!((code, state(&checks, "agent"), state(&checks, "clock")), (3, "gap", "gap"));
    assert!(check(&checks, "clock")["what"].as_str().unwrap().contains("ahead of"), "{checks:#?}");
    let missing: Vec<&str> = checks.iter().filter(|c| c["id"] == "capabilities").map(|c| c["what"].as_str().unwrap()).collect();
    assert_eq!(missing, ["CAP_NET_ADMIN is missing", "CAP_AUDIT_CONTROL is missing"]);
    assert!(check(&checks, "capabilities")["cure"].as_str().unwrap().contains("CapabilityBoundingSet"));
    poor.kill().unwrap();
    poor.wait().unwrap();

    // A certificate that has expired, another collector at the address, nobody at the address, a name that is none.
    let expired = collector.running().app.authority.certify(&identity.key.public_key(), "web01", clock::unix_now() - 100 * 86_400).unwrap();
    let good = std::mem::replace(&mut identity.certificate, expired.certificate);
    identity.save(&state_dir).unwrap();
    let (_, checks) = doctor(&file, &[]);
    assert_eq!((state(&checks, "certificate"), state(&checks, "tls"), state(&checks, "heartbeat"), state(&checks, "clock")), ("gap", "ok", "gap", "unknown"));
    assert!(check(&checks, "heartbeat")["what"].as_str().unwrap().contains("certificate-expired"));
    identity.certificate = good;
    let elsewhere = tempfile::tempdir().unwrap();
    let mut other = Collector::start(elsewhere.path());
    for (url, id) in [(other.url(), "tls"), ("https://127.0.0.1:1".to_string(), "connection"), ("https://no-such-host.invalid:1".to_string(), "name")] {
        identity.collector = url;
        identity.save(&state_dir).unwrap();
        let (_, checks) = doctor(&file, &[]);
        assert_eq!((state(&checks, id), state(&checks, "heartbeat")), ("gap", "unknown"), "{id}");
    }
    identity.collector = collector.url();
    identity.machine = "00ff".into();
    identity.save(&state_dir).unwrap();
    assert_eq!(state(&doctor(&file, &[]).1, "machine"), "gap");
    assert!(Identity::load(&state_dir).is_ok(), "the doctor changes nothing");
    other.stop();
    collector.stop();
}
