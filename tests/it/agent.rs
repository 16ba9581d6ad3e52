//! The agent against a real collector on loopback: enrolment, delivery, forks, hostile servers,
//! kills.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use assay::agent::deliver::{self, DeliverError};
use assay::agent::enrol::{self, EnrolError};
use assay::agent::identity::Identity;
use assay::agent::run::{self, Outcome, Request};
use assay::agent::spool::{Bounds, Spool};
use assay::agent::upload::UploadError;
use assay::collector::store::ReportRow;
use assay::collector::{Running, start};
use assay::config::collector::Config;
use assay::facts::services::Plan;
use assay::host::{Host, clock};
use assay::model::against::Against;
use assay::model::envelope::Envelope;
use assay::model::ids::{HostId, Lineage, RandomId};
use assay::model::policy::Policy;
use assay::model::receipt::Receipt;
use assay::model::report::{Report, ScanKind, ScanState};
use assay::pki::authority::Authority;
use assay::pki::tls;
use assay::pki::token::Token;
use assay::probe::Limits;

/// A collector in this process with a runtime of its own, so that the blocking agent can be
/// called from the test's thread.
pub struct Collector {
    pub runtime: tokio::runtime::Runtime,
    running: Option<Running>,
    pub config: Config,
}

impl Collector {
    pub fn start(data: &Path) -> Self {
        Self::start_with(Config { data: data.into(), ..Config::default() })
    }

    pub fn start_with(config: Config) -> Self {
        let loopback = "127.0.0.1:0".parse().unwrap();
        let config = Config { agents: loopback, people: loopback, plain_http: true, ..config };
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let running = runtime.block_on(start(config.clone())).unwrap();
        let config = Config { agents: running.agents, ..config };
        Self { runtime, running: Some(running), config }
    }

    pub fn running(&self) -> &Running {
        self.running.as_ref().unwrap()
    }

    pub fn url(&self) -> String {
        format!("https://{}", self.config.agents)
    }

    pub fn token(&self) -> Token {
        let app = &self.running().app;
        let token = Token::generate(app.authority.der()).unwrap();
        self.runtime.block_on(app.store.put_secret("enrol", &token.secret_digest(), "", clock::unix_now() + 3600, 1)).unwrap();
        token
    }

    pub fn reports(&self, host: &HostId) -> Vec<ReportRow> {
        self.runtime.block_on(self.running().app.store.reports(Some(host), None, 1000)).unwrap()
    }

    pub fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            self.runtime.block_on(running.stop());
        }
    }

    pub fn restart(&mut self) {
        self.stop();
        self.running = Some(self.runtime.block_on(start(self.config.clone())).unwrap());
    }
}

/// A scan of an empty root: quick, and full of gaps.
pub fn outcome() -> Outcome {
    let root = tempfile::tempdir().unwrap();
    let host = Host::rooted(root.path()).unwrap();
    let request = Request {
        host: &host,
        families: Vec::new(),
        plan: Plan::default(),
        limits: Limits::default(),
        policy: Policy::default(),
        against: Against::default(),
        advisories: None,
    };
    run::scan(request, &|_| {}).unwrap()
}

fn send(state: &Path, outcome: &Outcome) -> Result<Receipt, DeliverError> {
    deliver::report(outcome, ScanKind::OnDemand, None, state)
}

#[test]
fn a_scan_reaches_the_ledger_and_waits_while_the_collector_is_away() {
    let (data, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut collector = Collector::start(data.path());
    let identity = enrol::enrol(&collector.url(), &collector.token(), state.path(), Some("web01")).unwrap();
    let outcome = outcome();
    assert!(outcome.state == ScanState::Complete && !outcome.observation.gaps.is_empty() && !outcome.findings.is_empty());
    let receipt = send(state.path(), &outcome).unwrap();
    assert_eq!((receipt.host, receipt.sequence), (identity.host, 1));
    let (_, seen) = collector.runtime.block_on(collector.running().app.store.observation(&identity.host, None)).unwrap().unwrap();
    assert_eq!((seen.families, seen.gaps), (outcome.observation.families.clone(), outcome.observation.gaps.clone()));

    collector.stop();
    for _ in 0..2 {
        assert!(matches!(send(state.path(), &outcome), Err(DeliverError::Upload(UploadError::Connection(..)))));
    }
    collector.restart();
    assert_eq!(send(state.path(), &outcome).unwrap().sequence, 4);
    let sequences: Vec<u64> = collector.reports(&identity.host).iter().map(|r| r.sequence).collect();
    assert_eq!(sequences.iter().copied().collect::<std::collections::BTreeSet<_>>(), (1..=4).collect());
    assert_eq!(sequences.len(), 4);
    let spool = Spool::open(state.path(), Bounds::default(), identity.lineage).unwrap();
    assert_eq!((spool.waiting().len(), spool.kept().len(), spool.state().acknowledged), (0, 4, 4));
    collector.stop();
}

#[test]
fn a_clone_is_told_apart_and_loses_nothing() {
    let (data, state, clone) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut collector = Collector::start(data.path());
    let identity = enrol::enrol(&collector.url(), &collector.token(), state.path(), Some("web01")).unwrap();
    let first = outcome();
    send(state.path(), &first).unwrap();
    copy(state.path(), clone.path());
    send(state.path(), &first).unwrap();
    let receipt = send(clone.path(), &outcome()).unwrap();
    assert_ne!(receipt.lineage, identity.lineage);
    assert_eq!(receipt.sequence, 1);
    assert_eq!(send(clone.path(), &outcome()).unwrap().sequence, 2);
    let reports = collector.reports(&identity.host);
    assert_eq!(reports.len(), 4);
    let parents: Vec<_> = reports.iter().filter(|r| r.lineage == receipt.lineage).map(parent).collect();
    assert_eq!(parents, [Some(identity.lineage); 2]);
    assert_eq!(collector.runtime.block_on(collector.running().app.store.fork_count(&identity.host)).unwrap(), 1);
    collector.stop();
}

#[test]
fn a_failed_enrolment_leaves_nothing_behind() {
    let (data, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut collector = Collector::start(data.path());
    let foreign = Token::generate(b"another authority").unwrap();
    let unknown = Token::generate(collector.running().app.authority.der()).unwrap();
    let state = state.path().join("state");
    let pinned = enrol::enrol(&collector.url(), &foreign, &state, Some("web01")).unwrap_err();
    assert!(matches!(pinned, EnrolError::Upload(UploadError::Connection(..))), "{pinned}");
    let refused = enrol::enrol(&collector.url(), &unknown, &state, Some("web01")).unwrap_err();
    assert!(matches!(refused, EnrolError::Upload(UploadError::Refused { .. })), "{refused}");
    let token = collector.token();
    for (url, name) in [("http://127.0.0.1:1", "web01"), (collector.url().as_str(), "web 01"), (collector.url().as_str(), "")] {
        assert!(enrol::enrol(url, &token, &state, Some(name)).is_err(), "{url} {name}");
    }
    assert!(!Identity::exists(&state));
    enrol::enrol(&collector.url(), &token, &state, Some("web01")).unwrap();
    let again = enrol::enrol(&collector.url(), &collector.token(), &state, Some("web01")).unwrap_err();
    assert!(matches!(again, EnrolError::Already(_)));
    assert!(Identity::load(&state).is_ok());
    collector.stop();
}

/// What a server says after the handshake.
type Script = fn(&mut dyn ReadWrite);
trait ReadWrite: std::io::Read + std::io::Write {}
impl<T: std::io::Read + std::io::Write> ReadWrite for T {}

/// A TLS server of the collector's authority that follows a script on every connection.
fn scripted(authority: &Authority, script: Script) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let certificate = authority.server_certificate(&["127.0.0.1".to_string()], clock::unix_now()).unwrap();
    let config = Arc::new(tls::agents_server(authority, certificate).unwrap());
    std::thread::spawn(move || {
        while let Ok((mut socket, _)) = listener.accept() {
            let mut connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = rustls::Stream::new(&mut connection, &mut socket);
            script(&mut stream);
        }
    });
    port
}

fn head(stream: &mut dyn ReadWrite) {
    let mut buffer = [0; 16 << 10];
    let _ = stream.read(&mut buffer);
}

#[test]
fn whatever_a_server_answers_the_report_waits_unharmed() {
    let (data, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut collector = Collector::start(data.path());
    let mut identity = enrol::enrol(&collector.url(), &collector.token(), state.path(), Some("web01")).unwrap();
    let outcome = outcome();
    let scripts: [Script; 6] = [
        |_| {},
        |s| {
            head(s);
            let _ = s.write_all(b"\0\xff\xffgarbage\r\n\r\n");
        },
        |s| {
            head(s);
            let _ = s.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{\"a\":1}\r\n");
        },
        |s| {
            head(s);
            let _ = s.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 999999999\r\n\r\n");
            while s.write_all(&[b' '; 4096]).is_ok() {}
        },
        |s| {
            head(s);
            let _ = s.write_all(b"HTTP/1.1 302 Found\r\nlocation: https://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n");
        },
        |s| {
            head(s);
            let _ = s.write_all(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{FORGED}", FORGED.len()).as_bytes());
        },
    ];
    for (number, script) in scripts.into_iter().enumerate() {
        let port = scripted(&collector.running().app.authority, script);
        identity.collector = format!("https://127.0.0.1:{port}");
        identity.save(state.path()).unwrap();
        let error = send(state.path(), &outcome).unwrap_err().to_string();
        assert!(!error.contains('\n') && error.len() < 500, "{number}: {error}");
        let spool = Spool::open(state.path(), Bounds::default(), identity.lineage).unwrap();
        assert_eq!((spool.waiting().len(), spool.kept().len()), (number + 1, 0), "{error}");
    }
    identity.collector = collector.url();
    identity.save(state.path()).unwrap();
    assert_eq!(send(state.path(), &outcome).unwrap().sequence, 7);
    assert_eq!(collector.reports(&identity.host).len(), 7);
    collector.stop();
}

/// A receipt that nobody signed.
const FORGED: &str = "{\"payload\":\"e30=\",\"payloadType\":\"application/vnd.assay.receipt.v1+json\",\"signatures\":[{\"keyid\":\"00\",\"sig\":\"AAAA\"}]}";

/// Whether the process has a handler for SIGTERM (signal 15; `SigCgt` of proc_pid_status(5)).
fn catches_terminate(pid: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let mask = status.lines().find_map(|l| l.strip_prefix("SigCgt:")).and_then(|m| u64::from_str_radix(m.trim(), 16).ok());
    mask.is_some_and(|m| m & (1 << 14) != 0)
}

#[test]
fn kills_of_the_agent_lose_nothing_and_double_nothing() {
    let kills: u64 = std::env::var("ASSAY_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(8);
    let (data, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut collector = Collector::start(data.path());
    let identity = enrol::enrol(&collector.url(), &collector.token(), state.path(), Some("web01")).unwrap();
    let file = state.path().join("agent.yaml");
    // Two quick families, so that kills meet every step and not the reading alone.
    let config = format!("state_dir: {}\nfamilies: [os, kernel]\ngatherer:\n  in_process: true\n", state.path().display());
    std::fs::write(&file, config).unwrap();
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    for kill in 0..kills {
        collector.running().app.scan_requests.ask(identity.host, RandomId::new([u8::try_from(kill % 256).unwrap(); 16]));
        let mut agent = agent(&file);
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        std::thread::sleep(Duration::from_millis(50 + (random >> 33) % 1_200));
        agent.kill().unwrap();
        agent.wait().unwrap();
    }
    collector.running().app.scan_requests.ask(identity.host, RandomId::new([0xff; 16]));
    let mut last = agent(&file);
    let end = Instant::now() + Duration::from_secs(60);
    let idle = loop {
        std::thread::sleep(Duration::from_millis(250));
        let reports = collector.reports(&identity.host);
        let asked = reports.iter().any(|r| r.kind == ScanKind::OnDemand);
        let waiting = std::fs::read_dir(state.path().join("spool")).map_or(0, Iterator::count);
        // Earlier agents may have done everything; a signal is only in order once it is caught.
        if asked && waiting == 0 && catches_terminate(last.id()) {
            break true;
        }
        if Instant::now() > end {
            break false;
        }
    };
    let pid = rustix::process::Pid::from_child(&last);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert!(last.wait().unwrap().success(), "SIGTERM is a good end");
    assert!(idle, "the last agent did not finish");
    let reports = collector.reports(&identity.host);
    let mut sequences: Vec<u64> = reports.iter().map(|r| r.sequence).collect();
    sequences.sort_unstable();
    assert_eq!(sequences, (1..=reports.len() as u64).collect::<Vec<_>>(), "no hole, no double");
    assert!(reports.iter().all(|r| r.lineage == identity.lineage));
    let windows = reports.iter().filter(|r| r.window.is_some() && r.state == ScanState::Complete).count();
    let ended = reports.iter().filter(|r| r.window.is_some() && r.state == ScanState::Aborted).count();
    assert!(windows <= 1 && (windows == 1 || ended >= 3), "the window was scanned once ({windows}), or tried often ({ended})");
    assert!(collector.runtime.block_on(collector.running().app.store.missing_reports(&identity.host)).unwrap().is_empty());
    collector.stop();
}

fn parent(row: &ReportRow) -> Option<Lineage> {
    let payload = Envelope::parse(&row.envelope).unwrap().payload_bytes().unwrap();
    serde_json::from_slice::<Report>(&payload).unwrap().parent
}

pub fn agent(config: &Path) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_assay"));
    command.args(["agent", "--config"]).arg(config).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

pub fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir_all(&target).unwrap();
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
