//! Scans that are asked for, that end early, and that a kill ends: with the real agent, the real
//! collector and, where it matters, the real gatherer.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use assay::agent::enrol;
use assay::agent::identity::Identity;
use assay::collector::store::ReportRow;
use assay::model::envelope::Envelope;
use assay::model::ids::RandomId;
use assay::model::report::{Report, ScanKind, ScanState};

use super::agent::Collector;
use super::support::{ASSAY, Running, text};

pub struct Host {
    folder: tempfile::TempDir,
    state: PathBuf,
    pub collector: Collector,
    identity: Identity,
}

impl Host {
    pub fn new(config: &str) -> Self {
        Self::in_folder(tempfile::tempdir().unwrap(), None, config)
    }

    /// With its state folder somewhere else.
    pub fn at(state: &Path, config: &str) -> Self {
        Self::in_folder(tempfile::tempdir().unwrap(), Some(state), config)
    }

    fn in_folder(folder: tempfile::TempDir, state: Option<&Path>, config: &str) -> Self {
        let state = state.map_or_else(|| folder.path().join("state"), Path::to_path_buf);
        std::fs::create_dir(folder.path().join("collector")).unwrap();
        let collector = Collector::start(&folder.path().join("collector"));
        let identity = enrol::enrol(&collector.url(), &collector.token(), &state, Some("web01")).unwrap();
        let host = Self { folder, state, collector, identity };
        host.configure(config);
        host
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn configure(&self, config: &str) {
        let config = format!("state_dir: {}\nheartbeat_seconds: 1\n{config}", text(&self.state));
        std::fs::write(self.path("agent.yaml"), config).unwrap();
    }

    pub fn start(&self, subcommand: &str) -> Running {
        let script = "exec \"$0\" \"$@\" 2>&1";
        let mut command = Command::new("sh");
        command.args(["-c", script, ASSAY, subcommand, "--config", text(&self.path("agent.yaml"))]);
        Running::start(command.stderr(Stdio::null()))
    }

    pub fn reports(&self) -> Vec<Report> {
        let mut reports: Vec<Report> = self.collector.reports(&self.identity.host).iter().map(report).collect();
        reports.sort_by_key(|r| r.sequence);
        reports
    }

    /// Waits until the reports that have arrived satisfy `enough`.
    pub fn wait(&self, what: &str, enough: impl Fn(&[Report]) -> bool) -> Vec<Report> {
        let end = Instant::now() + Duration::from_secs(90);
        loop {
            let reports = self.reports();
            if enough(&reports) {
                return reports;
            }
            assert!(Instant::now() < end, "no {what}: {:?}", reports.iter().map(|r| (&r.scan, &r.limits)).collect::<Vec<_>>());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    pub fn ask(&self, id: u8) {
        self.collector.running().app.scan_requests.ask(self.identity.host, RandomId::new([id; 16]));
    }
}

pub fn report(row: &ReportRow) -> Report {
    let payload = Envelope::parse(&row.envelope).unwrap().payload_bytes().unwrap();
    serde_json::from_slice(&payload).unwrap()
}

pub const QUICK: &str = "families: [os, kernel]\ngatherer:\n  in_process: true\n";

fn of(reports: &[Report], kind: ScanKind, state: ScanState) -> usize {
    reports.iter().filter(|r| r.scan.kind == kind && r.scan.state == state).count()
}

fn limits(reports: &[Report]) -> Vec<&str> {
    reports.iter().flat_map(|r| r.limits.iter().map(String::as_str)).collect()
}

#[test]
fn a_scan_that_was_asked_for_comes_with_the_next_heartbeat_and_once_only() {
    let mut host = Host::new(QUICK);
    let mut agent = host.start("agent");
    host.wait("monthly report", |r| of(r, ScanKind::Monthly, ScanState::Complete) == 1);
    host.ask(1);
    host.wait("report on demand", |r| of(r, ScanKind::OnDemand, ScanState::Complete) == 1);
    // Asked again under the same id, as by a collector that lost its memory: it was carried out.
    host.ask(1);
    assert_eq!(agent.terminate(Duration::from_secs(30)), Some(0));
    let mut agent = host.start("agent");
    agent.line("agent is running", Duration::from_secs(30));
    std::thread::sleep(Duration::from_secs(4));
    assert_eq!(of(&host.reports(), ScanKind::OnDemand, ScanState::Complete), 1);
    host.ask(2);
    let reports = host.wait("second report on demand", |r| of(r, ScanKind::OnDemand, ScanState::Complete) == 2);
    assert_eq!(reports.len(), 3);
    assert!(reports.iter().all(|r| r.times.finished >= r.times.started && r.times.boot_ms > 0));
    agent.kill();
    host.collector.stop();
}

/// A program that accepts the agent's request to read and never answers, as a gatherer over a dead mount.
fn silent_gatherer(socket: &Path) {
    let listener = std::os::unix::net::UnixListener::bind(socket).unwrap();
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        while let Ok((stream, _)) = listener.accept() {
            kept.push(stream);
        }
    });
}

#[test]
fn a_signal_during_a_scan_is_reported_and_the_window_is_scanned_again() {
    let mut host = Host::new("");
    host.configure(&format!("families: [os, kernel]\ngatherer:\n  socket: {}\n", text(&host.path("s"))));
    silent_gatherer(&host.path("s"));
    let mut agent = host.start("agent");
    agent.line("scan begins", Duration::from_secs(30));
    let start = Instant::now();
    assert_eq!(agent.terminate(Duration::from_secs(30)), Some(0));
    println!("stopped during a scan: the agent ended {:?} after SIGTERM", start.elapsed());
    host.configure(QUICK);
    let mut agent = host.start("agent");
    let reports = host.wait("complete report", |r| of(r, ScanKind::Monthly, ScanState::Complete) == 1);
    assert_eq!((of(&reports, ScanKind::Monthly, ScanState::Aborted), limits(&reports)), (1, vec!["stopped"]));
    assert_eq!(reports[0].scan.window, reports[1].scan.window);
    agent.kill();
    host.collector.stop();
}

#[test]
fn a_kill_during_a_scan_is_reported_and_after_three_the_window_is_over() {
    let mut host = Host::new("");
    host.configure(&format!("families: [os, kernel]\ngatherer:\n  socket: {}\n", text(&host.path("s"))));
    silent_gatherer(&host.path("s"));
    for _ in 0..3 {
        let mut agent = host.start("agent");
        agent.line("scan begins", Duration::from_secs(30));
        agent.kill();
    }
    let mut agent = host.start("agent");
    let reports = host.wait("three aborted reports", |r| of(r, ScanKind::Monthly, ScanState::Aborted) == 3);
    assert_eq!(limits(&reports), ["interrupted"; 3]);
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(host.reports().len(), 3, "no fourth scan of this window");
    host.ask(1);
    agent.line("scan begins", Duration::from_secs(30));
    agent.kill();
    host.configure(QUICK);
    let mut agent = host.start("agent");
    let reports = host.wait("report on demand", |r| of(r, ScanKind::OnDemand, ScanState::Aborted) == 1);
    assert_eq!(reports.iter().map(|r| r.sequence).collect::<Vec<_>>(), [1, 2, 3, 4]);
    agent.kill();
    host.collector.stop();
}

#[test]
fn limits_of_time_and_space_still_give_a_report() {
    let mut host = Host::new("");
    host.configure(&format!("families: [os, kernel]\nscan_deadline_seconds: 10\ngatherer:\n  socket: {}\n", text(&host.path("s"))));
    silent_gatherer(&host.path("s"));
    let mut agent = host.start("agent");
    let reports = host.wait("report of the deadline", |r| !r.is_empty());
    assert_eq!((reports[0].scan.state, limits(&reports)), (ScanState::Aborted, vec!["scan-deadline"]));
    assert!(reports[0].counts.pass == 0 && reports[0].counts.unknown > 0);
    agent.kill();
    host.collector.stop();
}

/// Whether the gatherer reads the machine right now: it does so on a thread of this name.
fn reads(pid: u32) -> bool {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten();
    threads.map(|t| std::fs::read_to_string(t.path().join("comm")).unwrap_or_default()).any(|name| name.trim() == "gather")
}

#[test]
fn a_gatherer_that_is_killed_while_it_reads_makes_an_aborted_report_and_the_window_is_scanned_again() {
    let mut host = Host::new("");
    // All families: reading takes a while.
    host.configure(&format!("gatherer:\n  socket: {}\n  agent_user: root\n", text(&host.path("g"))));
    let mut gatherer = host.start("gatherer");
    gatherer.line("gatherer is listening", Duration::from_secs(30));
    let mut agent = host.start("agent");
    agent.line("scan begins", Duration::from_secs(30));
    let end = Instant::now() + Duration::from_secs(60);
    while !reads(gatherer.pid()) {
        assert!(Instant::now() < end, "the gatherer was not asked");
        std::thread::sleep(Duration::from_millis(1));
    }
    gatherer.kill();
    let reports = host.wait("aborted report", |r| !r.is_empty());
    assert_eq!((reports[0].scan.state, limits(&reports)), (ScanState::Aborted, vec!["gatherer-stopped"]));
    host.configure(&format!("families: [os]\ngatherer:\n  socket: {}\n  agent_user: root\n", text(&host.path("g"))));
    let mut gatherer = host.start("gatherer");
    gatherer.line("gatherer is listening", Duration::from_secs(30));
    let reports = host.wait("second report", |r| r.len() >= 2);
    assert_eq!(reports[1].scan.window, reports[0].scan.window, "the window is scanned again");
    agent.kill();
    gatherer.kill();
    host.collector.stop();
}
