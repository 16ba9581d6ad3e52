//! Changes of watched files, with the real agent and gatherer on a copy of this machine's /etc.
//!
//! Both processes run in a mount namespace of their own in which the copy lies over /etc; the test
//! reaches it by its own path.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use assay::agent::enrol;
use assay::agent::identity::Identity;
use assay::collector::store::ReportRow;
use assay::model::envelope::Envelope;
use assay::model::report::{Report, ScanKind, ScanState};

use super::agent::Collector;
use super::support::{ASSAY, Running, run, text};

struct Machine {
    folder: tempfile::TempDir,
    collector: Collector,
    identity: Identity,
}

impl Machine {
    fn new(more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::create_dir(path("collector")).unwrap();
        let collector = Collector::start(&path("collector"));
        let identity = enrol::enrol(&collector.url(), &collector.token(), &path("state"), Some("web01")).unwrap();
        let (code, _, error) = run("cp", &["-a", "/etc", text(&path("etc"))]);
        assert_eq!(code, 0, "{error}");
        // Short scans, and no heartbeat that could pick a change up.
        let config = format!(
            "state_dir: {}\nfamilies: [os, accounts, ssh_keys, pam, sudo, sshd, sessions]\nheartbeat_seconds: 3600\ngatherer:\n  socket: {}\n  agent_user: root\n{more}",
            text(&path("state")),
            text(&path("gatherer.sock"))
        );
        std::fs::write(path("agent.yaml"), config).unwrap();
        Self { folder, collector, identity }
    }

    fn etc(&self, name: &str) -> PathBuf {
        self.folder.path().join("etc").join(name)
    }

    /// A process of ours that sees the copy as its /etc; its log is read line by line.
    fn start(&self, subcommand: &str) -> Running {
        let script = "mount --bind \"$0\" /etc && exec \"$@\" 2>&1";
        let config = self.folder.path().join("agent.yaml");
        let mut command = Command::new("unshare");
        command.args(["-m", "--propagation", "private", "sh", "-c", script, text(&self.etc("")), ASSAY, subcommand, "--config", text(&config)]);
        Running::start(command.stderr(Stdio::null()))
    }

    fn reports(&self, kind: ScanKind) -> Vec<ReportRow> {
        self.collector.reports(&self.identity.host).into_iter().filter(|r| r.kind == kind).collect()
    }

    /// Waits until so many reports of a kind have arrived.
    fn wait(&self, kind: ScanKind, count: usize) -> Vec<ReportRow> {
        let end = Instant::now() + Duration::from_secs(90);
        loop {
            let reports = self.reports(kind);
            if reports.len() >= count {
                return reports;
            }
            assert!(Instant::now() < end, "{} of {count} {} reports", reports.len(), kind.word());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits for a drift report that holds this family; how long it took.
    fn drift(&self, family: &str, since: Instant, seen: usize) -> Duration {
        let end = since + Duration::from_secs(90);
        loop {
            if self.reports(ScanKind::Drift).iter().any(|r| report(r).sequence > seen as u64 && families(r).iter().any(|f| f == family)) {
                return since.elapsed();
            }
            assert!(Instant::now() < end, "no drift report with {family}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn report(row: &ReportRow) -> Report {
    let payload = Envelope::parse(&row.envelope).unwrap().payload_bytes().unwrap();
    serde_json::from_slice(&payload).unwrap()
}

fn families(row: &ReportRow) -> Vec<String> {
    report(row).facts.into_iter().map(|f| f.family).collect()
}

fn append(path: &Path, text: &str) {
    // As usermod(8) does it: a new file takes the place of the old one.
    let new = path.with_extension("new");
    let old = std::fs::read_to_string(path).unwrap_or_default();
    std::fs::write(&new, format!("{old}{text}")).unwrap();
    std::fs::rename(&new, path).unwrap();
}

#[test]
fn a_change_is_reported_soon_and_a_burst_in_few_reports() {
    let mut machine = Machine::new("");
    let mut gatherer = machine.start("gatherer");
    gatherer.line("gatherer is listening", Duration::from_secs(30));
    let mut agent = machine.start("agent");
    machine.wait(ScanKind::Monthly, 1);
    assert!(machine.folder.path().join("state/watch.json").exists(), "the files were looked at before the first change");

    let start = Instant::now();
    append(&machine.etc("passwd"), "drifter:x:4321:4321::/home/drifter:/bin/sh\n");
    let took = machine.drift("accounts", start, 0);
    println!("a changed /etc/passwd was in the collector's store after {took:?}");
    let rows = machine.reports(ScanKind::Drift);
    assert!(rows.iter().all(|r| r.state == ScanState::Complete && !r.disagrees), "both sides judge the same rules");
    assert!(!families(rows.first().unwrap()).contains(&"os".to_string()), "what did not change is not read");

    // A file that was not there, in a folder that was not there.
    let seen = machine.collector.reports(&machine.identity.host).len();
    let start = Instant::now();
    std::fs::create_dir_all(machine.etc("sudoers.d")).unwrap();
    append(&machine.etc("sudoers.d/drifter"), "drifter ALL=(ALL) NOPASSWD: ALL\n");
    println!("a new /etc/sudoers.d/drifter after {:?}", machine.drift("sudo", start, seen));

    let before = machine.reports(ScanKind::Drift).len();
    let start = Instant::now();
    for i in 0..3_000 {
        std::fs::write(machine.etc("ssh/sshd_config.d_burst"), i.to_string()).unwrap();
        std::fs::write(machine.etc("passwd-"), i.to_string()).unwrap();
    }
    let burst = start.elapsed();
    std::thread::sleep(Duration::from_secs(8));
    let after = machine.reports(ScanKind::Drift).len();
    println!("6,000 changes in {burst:?} gave {} drift reports", after - before);
    assert!((1..=4 + usize::try_from(burst.as_secs()).unwrap() / 3).contains(&(after - before)), "{}", after - before);
    assert_eq!(agent.terminate(Duration::from_secs(30)), Some(0));
    gatherer.kill();
    machine.collector.stop();
}

#[test]
fn a_change_while_the_agent_is_stopped_is_reported_when_it_starts_and_none_is_reported_twice() {
    let mut machine = Machine::new("  in_process: true\n");
    let mut agent = machine.start("agent");
    machine.wait(ScanKind::Monthly, 1);
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(agent.terminate(Duration::from_secs(30)), Some(0));
    append(&machine.etc("passwd"), "sleeper:x:4322:4322::/home/sleeper:/bin/sh\n");
    let start = Instant::now();
    let mut agent = machine.start("agent");
    println!("a change while the agent was stopped: after {:?}", machine.drift("accounts", start, 0));
    assert_eq!(agent.terminate(Duration::from_secs(30)), Some(0));
    let mut agent = machine.start("agent");
    agent.line("agent is running", Duration::from_secs(30));
    std::thread::sleep(Duration::from_secs(5));
    assert_eq!(machine.reports(ScanKind::Drift).len(), 1);
    // One that is killed during the scan of a change reports it with the next start.
    append(&machine.etc("passwd"), "killed:x:4323:4323::/home/killed:/bin/sh\n");
    agent.line("scan begins", Duration::from_secs(30));
    agent.kill();
    let seen = machine.collector.reports(&machine.identity.host).len();
    let start = Instant::now();
    let mut agent = machine.start("agent");
    machine.drift("accounts", start, seen);
    agent.kill();
    machine.collector.stop();
}

#[test]
fn a_gatherer_that_goes_and_comes_costs_no_change() {
    let mut machine = Machine::new("");
    let mut gatherer = machine.start("gatherer");
    gatherer.line("gatherer is listening", Duration::from_secs(30));
    let mut agent = machine.start("agent");
    machine.wait(ScanKind::Monthly, 1);
    std::thread::sleep(Duration::from_secs(1));
    gatherer.kill();
    agent.line("drift-blind", Duration::from_secs(30));
    append(&machine.etc("passwd"), "absent:x:4324:4324::/home/absent:/bin/sh\n");
    let start = Instant::now();
    let mut gatherer = machine.start("gatherer");
    println!("a change while the gatherer was away: after {:?}", machine.drift("accounts", start, 0));
    agent.kill();
    gatherer.kill();
    machine.collector.stop();
}
