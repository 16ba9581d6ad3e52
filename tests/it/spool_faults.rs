//! The spool under real faults: full disk, no inodes, read-only disk, flipped and missing bytes,
//! two agents, kills and reboots. After the fault: nothing lost that was promised, losses counted.
//!
//! Small tmpfs mounts below a temporary folder; `ASSAY_EVERY_BYTE=1` tries every byte.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use assay::agent::run::{self, Outcome, Request};
use assay::agent::seal::{Draft, Purpose};
use assay::agent::spool::{Bounds, Spool, SpoolError};
use assay::agent::{enrol, identity::Identity};
use assay::facts::services::Plan;
use assay::host::{Host as Machine, clock};
use assay::model::against::Against;
use assay::model::policy::Policy;
use assay::model::report::{Report, ScanKind, ScanState};
use assay::probe::Limits;

use super::agent::Collector;
use super::scans::{Host, QUICK};
use super::support::{ASSAY, run, text};

/// A mount that goes with the test.
struct Mount<'a>(&'a Path);

impl<'a> Mount<'a> {
    fn tmpfs(at: &'a Path, options: &str) -> Self {
        std::fs::create_dir_all(at).unwrap();
        let (code, _, error) = run("mount", &["-t", "tmpfs", "-o", options, "assay-test", text(at)]);
        assert_eq!(code, 0, "{error}");
        Self(at)
    }

    /// Turns read-only for everything that is opened from now on: a mount of the same folder over
    /// itself, since the kernel refuses to remount what is open for writing.
    fn read_only(&self) {
        for arguments in [["--bind", text(self.0)], ["-o", "remount,bind,ro"]] {
            let (code, _, error) = run("mount", &[&arguments[..], &[text(self.0)]].concat());
            assert_eq!(code, 0, "{error}");
        }
    }

    fn writable(&self) {
        let (code, _, error) = run("umount", &[text(self.0)]);
        assert_eq!(code, 0, "{error}");
    }
}

impl Drop for Mount<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").args(["-l", text(self.0)]).status();
    }
}

fn complete(reports: &[Report], kind: ScanKind) -> usize {
    reports.iter().filter(|r| r.scan.kind == kind && r.scan.state == ScanState::Complete).count()
}

fn no_hole(reports: &[Report]) {
    let numbers: Vec<u64> = reports.iter().map(|r| r.sequence).collect();
    assert_eq!(numbers, (1..=reports.len() as u64).collect::<Vec<_>>());
    let lineages: std::collections::BTreeSet<_> = reports.iter().map(|r| r.lineage).collect();
    assert_eq!(lineages.len(), 1);
}

/// What makes the disk of the state folder fail, and what mends it.
struct Fault {
    options: &'static str,
    make: fn(&Mount<'_>),
    mend: fn(&Mount<'_>),
}

fn fill(mount: &Mount<'_>) {
    let mut bytes = vec![0_u8; 1 << 20];
    while !bytes.is_empty() {
        use std::io::Write as _;
        let mut file = std::fs::File::options().create(true).append(true).open(mount.0.join("ballast")).unwrap();
        if file.write_all(&bytes).is_err() {
            bytes.truncate(bytes.len() / 2);
        }
    }
}

/// A running agent meets the fault during a scan that was asked for; the collector is there all the time.
fn outlives(fault: &Fault) {
    let folder = tempfile::tempdir().unwrap();
    let disk = folder.path().join("disk");
    let mount = Mount::tmpfs(&disk, fault.options);
    let mut host = Host::at(&disk.join("state"), QUICK);
    let mut agent = host.start("agent");
    host.wait("monthly report", |r| complete(r, ScanKind::Monthly) == 1);
    (fault.make)(&mount);
    host.ask(1);
    agent.line("scan failed", Duration::from_secs(60));
    assert_eq!(complete(&host.reports(), ScanKind::OnDemand), 0, "nothing is promised that is not on disk");
    (fault.mend)(&mount);
    let reports = host.wait("report on demand", |r| complete(r, ScanKind::OnDemand) == 1);
    no_hole(&reports);
    // The collector has it; its receipt must still reach the disk.
    let end = std::time::Instant::now() + Duration::from_secs(60);
    while std::fs::read_dir(disk.join("state/spool")).unwrap().next().is_some() {
        assert!(std::time::Instant::now() < end, "a report waits although the collector has it");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(agent.terminate(Duration::from_secs(30)), Some(0));
    let identity = Identity::load(&disk.join("state")).unwrap();
    let spool = Spool::open(&disk.join("state"), Bounds::default(), identity.lineage).unwrap();
    assert_eq!((spool.waiting().len(), spool.kept().len(), spool.state().damaged), (0, reports.len(), 0));
    drop(spool);
    host.collector.stop();
}

#[test]
fn a_full_disk() {
    let mend = |mount: &Mount<'_>| std::fs::remove_file(mount.0.join("ballast")).unwrap();
    outlives(&Fault { options: "size=8m", make: fill, mend });
}

#[test]
fn a_disk_without_inodes() {
    let make = |mount: &Mount<'_>| {
        let folder = mount.0.join("inodes");
        std::fs::create_dir(&folder).unwrap();
        (0..).take_while(|i| std::fs::write(folder.join(i.to_string()), "").is_ok()).for_each(drop);
    };
    let mend = |mount: &Mount<'_>| std::fs::remove_dir_all(mount.0.join("inodes")).unwrap();
    outlives(&Fault { options: "size=32m,nr_inodes=200", make, mend });
}

#[test]
fn a_disk_that_turns_read_only() {
    outlives(&Fault { options: "size=32m", make: |mount| mount.read_only(), mend: |mount| mount.writable() });
}

/// The disk fills while the collector is away, and while a receipt comes: what waits is neither lost nor doubled.
#[test]
fn a_disk_that_is_full_when_the_receipt_comes() {
    let folder = tempfile::tempdir().unwrap();
    let disk = folder.path().join("disk");
    let mount = Mount::tmpfs(&disk, "size=8m");
    let mut host = Host::at(&disk.join("state"), QUICK);
    host.collector.stop();
    let mut agent = host.start("agent");
    agent.line("report not delivered", Duration::from_secs(60));
    fill(&mount);
    host.collector.restart();
    // Its receipt can't be kept: it stays in the spool, and is sent again.
    host.wait("monthly report", |r| complete(r, ScanKind::Monthly) == 1);
    agent.line("report not delivered", Duration::from_secs(60));
    std::fs::remove_file(disk.join("ballast")).unwrap();
    agent.line("report acknowledged", Duration::from_secs(120));
    assert_eq!(agent.terminate(Duration::from_secs(30)), Some(0));
    no_hole(&host.reports());
    assert_eq!(host.reports().len(), 1);
    host.collector.stop();
}

#[test]
fn the_second_agent_says_in_one_sentence_why_it_does_not_start() {
    let mut host = Host::new(QUICK);
    let mut agent = host.start("agent");
    agent.line("agent is running", Duration::from_secs(30));
    let (code, out, error) = run(ASSAY, &["agent", "--config", text(&host.path("agent.yaml"))]);
    assert_ne!(code, 0);
    assert_eq!(error.lines().filter(|l| l.contains("in use by another assay process; stop it (systemctl stop assay-agent)")).count(), 1, "{out}{error}");
    host.wait("monthly report", |r| complete(r, ScanKind::Monthly) == 1);
    agent.kill();
    host.collector.stop();
}

fn outcome() -> Outcome {
    let root = tempfile::tempdir().unwrap();
    let host = Machine::rooted(root.path()).unwrap();
    let (limits, policy, against) = (Limits::default(), Policy::default(), Against::default());
    let request = Request { host: &host, families: vec!["os".into()], plan: Plan::default(), limits, policy, against, advisories: None };
    run::scan(request, &|_| {}).unwrap()
}

fn put(spool: &mut Spool, identity: &Identity, outcome: &Outcome) -> Result<(), SpoolError> {
    let draft = Draft::new(identity, outcome, Purpose::on_demand())?;
    spool.put(clock::now(), |numbers| draft.seal(identity, numbers)).map(drop)
}

/// Every byte of every file of a small spool, flipped and cut off: the sound report is there, the
/// damaged one is counted, and the agent goes on under a number that was never used.
#[test]
fn any_byte_of_a_spool_may_be_wrong_or_missing() {
    let folder = tempfile::tempdir().unwrap();
    let (data, state) = (folder.path().join("collector"), folder.path().join("state"));
    std::fs::create_dir(&data).unwrap();
    let mut collector = Collector::start(&data);
    let identity = enrol::enrol(&collector.url(), &collector.token(), &state, Some("web01")).unwrap();
    collector.stop();
    let outcome = outcome();
    let mut spool = Spool::open(&state, Bounds::default(), identity.lineage).unwrap();
    put(&mut spool, &identity, &outcome).unwrap();
    put(&mut spool, &identity, &outcome).unwrap();
    let names: Vec<String> = spool.waiting().iter().map(ToString::to_string).collect();
    drop(spool);
    let files = [state.join("spool").join(&names[1]), state.join("state.json")];
    let sound: Vec<Vec<u8>> = files.iter().map(|f| std::fs::read(f).unwrap()).collect();
    let all = std::env::var("ASSAY_EVERY_BYTE").is_ok_and(|v| v == "1");
    let mut tried = 0;
    for (number, file) in files.iter().enumerate() {
        let length = sound[number].len();
        for at in (0..length).step_by(if all { 1 } else { length / 40 + 1 }) {
            for flip in [true, false] {
                for (file, bytes) in files.iter().zip(&sound) {
                    std::fs::write(file, bytes).unwrap();
                }
                let mut bytes = sound[number].clone();
                if flip {
                    bytes[at] ^= 1 << (at % 8);
                } else {
                    bytes.truncate(at);
                }
                std::fs::write(file, &bytes).unwrap();
                let mut spool = Spool::open(&state, Bounds::default(), identity.lineage).unwrap();
                let waiting: Vec<String> = spool.waiting().iter().map(ToString::to_string).collect();
                let numbers = (spool.state().lineage == identity.lineage, spool.state().next_sequence, spool.state().damaged);
                match number {
                    0 => assert_eq!((waiting, numbers), (names[..1].to_vec(), (true, 3, 1)), "report {at} {flip}"),
                    _ => assert_eq!((waiting, numbers), (names.clone(), (false, 1, 1)), "state {at} {flip}"),
                }
                assert_eq!(number == 1, spool.state().parent == Some(identity.lineage));
                put(&mut spool, &identity, &outcome).unwrap();
                let newest = *spool.waiting().last().unwrap();
                let payload = spool.read(newest).unwrap().envelope.payload_bytes().unwrap();
                assert_eq!(serde_json::from_slice::<Report>(&payload).unwrap().losses.spool_damaged, 1, "the next report tells the loss");
                drop(spool);
                std::fs::remove_file(state.join("spool").join(newest.to_string())).unwrap();
                let _ = std::fs::remove_file(state.join("damaged").join(&names[1]));
                tried += 1;
            }
        }
    }
    println!("{tried} damaged spools");
}

/// kill -9 of the agent at random moments of its scans, as a machine that reboots: in `scans.rs` the
/// interrupted scan is reported; here nothing else is lost, and what was damaged meanwhile is counted.
#[test]
fn a_damaged_report_is_counted_in_the_next_one_that_arrives() {
    let mut host = Host::new(QUICK);
    host.collector.stop();
    let mut agent = host.start("agent");
    agent.line("report not delivered", Duration::from_secs(60));
    agent.kill();
    let spool = host.path("state/spool");
    let waiting: Vec<_> = std::fs::read_dir(&spool).unwrap().map(|e| e.unwrap().path()).collect();
    let mut bytes = std::fs::read(&waiting[0]).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&waiting[0], bytes).unwrap();
    host.collector.restart();
    let mut agent = host.start("agent");
    // Its window was scanned once and is lost: nobody may say that it was delivered. One is asked for.
    host.ask(1);
    let reports = host.wait("report that tells the loss", |r| r.iter().any(|r| r.losses.spool_damaged == 1));
    assert!(reports.iter().all(|r| r.sequence > 1));
    agent.kill();
    host.collector.stop();
}
