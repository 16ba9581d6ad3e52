//! kill -9 of either side at random moments: nothing lost, nothing doubled.
//!
//! The real binaries, real TLS on loopback, the store and the spool on disk. `ASSAY_KILLS` sets
//! how many kills (40 by default; the `tests/run full` does 1,000).

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::lab::free_port;
use super::support::{ASSAY, Books, COLLECTOR, Running, run, text, wait_for};

/// Longest life that a killed process gets, milliseconds.
const LONGEST_LIFE_MS: u64 = 1_500;

struct Pair<'a> {
    folder: &'a Path,
    agents: String,
    collector: Option<Running>,
}

impl Pair<'_> {
    fn start_collector(&mut self) {
        let mut command = Command::new(COLLECTOR);
        let people = format!("127.0.0.1:{}", free_port());
        command.args(["serve", "--data", text(&self.folder.join("collector")), "--agents", &self.agents, "--people", &people]);
        self.collector = Some(Running::start(command.stderr(Stdio::null())));
        wait_for(&self.agents, Duration::from_secs(30));
    }

    fn kill_collector(&mut self) {
        if let Some(mut collector) = self.collector.take() {
            collector.kill();
        }
    }

    /// One scan, spooled and delivered with all that waits.
    fn agent(&self) -> Child {
        Command::new(ASSAY)
            .args(["agent", "--once", "--config", text(&self.folder.join("agent.yaml"))])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }
}

#[test]
fn kills_lose_nothing_and_double_nothing() {
    let kills: u64 = std::env::var("ASSAY_KILLS").map_or(40, |n| n.parse().expect("ASSAY_KILLS is a number"));
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("agent");
    std::fs::write(dir.path().join("agent.yaml"), format!("state_dir: {}\nfamilies: [os, kernel]\ngatherer:\n  in_process: true\n", text(&state))).unwrap();
    let mut pair = Pair { folder: dir.path(), agents: format!("127.0.0.1:{}", free_port()), collector: None };
    pair.start_collector();
    let (code, token, error) = run(COLLECTOR, &["token", "create", "--data", text(&dir.path().join("collector"))]);
    assert_eq!(code, 0, "{error}");
    let token = token.split_whitespace().find(|w| w.starts_with("assay1.")).unwrap().to_string();
    let url = format!("https://{}", pair.agents);
    let (code, _, error) = run(ASSAY, &["enroll", "--collector", &url, "--token", &token, "--state", text(&state), "--name", "killed"]);
    assert_eq!(code, 0, "{error}");

    // xorshift: reproducible moments, printed when something breaks.
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move |below: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % below
    };
    for kill in 0..kills {
        let mut agent = pair.agent();
        std::thread::sleep(Duration::from_millis(next(LONGEST_LIFE_MS)));
        if kill % 2 == 0 {
            let _ = agent.kill();
            agent.wait().unwrap();
        } else {
            pair.kill_collector();
            std::thread::sleep(Duration::from_millis(next(100)));
            pair.start_collector();
            std::thread::sleep(Duration::from_millis(next(LONGEST_LIFE_MS)));
            // An agent that still waits for its back-off is killed, too: that is one more kill, not one less.
            let _ = agent.kill();
            agent.wait().unwrap();
        }
    }
    let status = pair.agent().wait().unwrap();
    assert!(status.success(), "the last agent delivers everything: {status}");
    Books::open(&dir.path().join("collector")).hold_all_of(&state);
}
