//! Delivery over a bad network to a collector in trouble: after each fault everything is there, and
//! nothing twice.
//!
//! `ASSAY_CUTS` sets at how many places each way of a delivery is cut (8 by default);
//! `ASSAY_SLOW=1` adds the faults that only the agent's own patience ends, a minute each.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use assay::agent::deliver;
use assay::agent::run::Outcome;
use assay::collector::store::{Enrolled, FindingFilter, NewHost};
use assay::host::clock;
use assay::ledger::Verifier;
use assay::model::finding::Verdict;
use assay::model::ids::{Digest, HostId, Lineage, Salt};
use assay::model::report::ScanKind;
use assay::pki::authority::Authority;
use assay::pki::keys::SigningKey;
use assay::pki::token::Token;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::agent::outcome;
use super::lab::host::{WireHost, answer, exchange};
use super::lab::proxy::{Proxy, Way};
use super::support::{Books, Collector, assay, run as command, text};

/// An enrolled agent behind a proxy.
struct Agent {
    folder: tempfile::TempDir,
    proxy: Proxy,
}

impl Agent {
    fn enrol(collector: &Collector) -> Self {
        let proxy = Proxy::start(collector.agents.rsplit(':').next().unwrap().parse().unwrap());
        let folder = tempfile::tempdir().unwrap();
        let agent = Self { folder, proxy };
        let url = format!("https://127.0.0.1:{}", agent.proxy.port);
        let (code, _, error) =
            command(assay(), &["enroll", "--collector", &url, "--token", &collector.token(1), "--state", text(&agent.state()), "--name", "web01"]);
        assert_eq!(code, 0, "{error}");
        let config = format!("state_dir: {}\nfamilies: [os, kernel]\ngatherer:\n  in_process: true\n", text(&agent.state()));
        std::fs::write(agent.config(), config).unwrap();
        agent.proxy.counted();
        agent
    }

    fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    fn config(&self) -> PathBuf {
        self.folder.path().join("agent.yaml")
    }

    /// The real agent: one scan, delivered with all that waits. Whether it was all acknowledged.
    fn once(&self) -> bool {
        self.start().wait().unwrap().success()
    }

    fn start(&self) -> Child {
        let mut agent = Command::new(assay());
        agent.args(["agent", "--once", "--config", text(&self.config())]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        agent.spawn().unwrap()
    }

    /// The agent's own delivery of a finished scan, in this process: quicker than a whole agent.
    fn deliver(&self, outcome: &Outcome) -> bool {
        deliver::report(outcome, ScanKind::OnDemand, None, &self.state()).is_ok()
    }

    fn waiting(&self) -> usize {
        std::fs::read_dir(self.state().join("spool")).unwrap().count()
    }
}

fn after(bytes: usize) -> Way {
    Way { cut: Some(bytes), ..Way::default() }
}

#[test]
fn a_connection_cut_before_within_and_after_the_acknowledgement_loses_nothing() {
    let cuts: usize = std::env::var("ASSAY_CUTS").map_or(8, |n| n.parse().expect("ASSAY_CUTS is a number"));
    let collector = Collector::start();
    let agent = Agent::enrol(&collector);
    let outcome = outcome();
    assert!(agent.deliver(&outcome), "the network is sound");
    agent.proxy.counted();
    assert!(agent.deliver(&outcome));
    // As long as an unchanged report: what is cut is a delivery of the same size.
    let (up, down) = agent.proxy.counted();
    let mut sent = 2;
    let (mut broken, mut lost_answers) = (0, 0);
    for place in 0..=cuts {
        for (way, total) in [(true, up), (false, down)] {
            let at = total * place / cuts;
            if way {
                agent.proxy.set(after(at), Way::default())
            } else {
                agent.proxy.set(Way::default(), after(at))
            }
            let before = reports(&collector);
            broken += usize::from(!agent.deliver(&outcome));
            lost_answers += usize::from(agent.waiting() > 0 && reports(&collector) > before);
            sent += 1;
            agent.proxy.heal();
            if place % 2 == 0 {
                assert!(agent.once(), "the network is sound again");
                sent += 1;
            }
        }
    }
    assert!(agent.once());
    println!("{broken} of {} deliveries broken, {lost_answers} of them after the report was stored", 2 * (cuts + 1));
    assert!(broken > cuts && lost_answers > 0, "the cuts hit: {broken}, {lost_answers}");
    let books = Books::open(collector.data());
    assert_eq!((books.hold_all_of(&agent.state()), books.len()), (sent + 1, sent + 1));
}

fn reports(collector: &Collector) -> usize {
    Books::open(collector.data()).len()
}

#[test]
fn a_slow_network_delivers() {
    let collector = Collector::start();
    let agent = Agent::enrol(&collector);
    let drip = Way { drip: Some((256, Duration::from_millis(10))), ..Way::default() };
    agent.proxy.set(drip, drip);
    assert!(agent.once());
    assert!(agent.once());
    assert_eq!(Books::open(collector.data()).hold_all_of(&agent.state()), 2);
}

#[test]
fn a_network_that_goes_silent_costs_the_agent_a_minute_and_no_report() {
    if std::env::var_os("ASSAY_SLOW").is_none() {
        return;
    }
    let collector = Collector::start();
    let agent = Agent::enrol(&collector);
    assert!(agent.once());
    agent.proxy.counted();
    assert!(agent.once());
    // As long as an unchanged report.
    let (up, down) = agent.proxy.counted();
    let silent = |bytes| Way { silent: Some(bytes), ..Way::default() };
    let crawl = Way { drip: Some((1, Duration::from_secs(1))), ..Way::default() };
    let faults = [
        ("before the report", silent(100), Way::default()),
        ("within the report", silent(up * 9 / 10), Way::default()),
        ("within the acknowledgement", Way::default(), silent(down - 200)),
        ("a dripping collector", Way::default(), crawl),
        ("a dripping agent", crawl, Way::default()),
    ];
    for (name, up, down) in faults {
        agent.proxy.set(up, down);
        let begun = Instant::now();
        assert!(!agent.once(), "{name}");
        println!("{name}: the agent went on after {:.0} s", begun.elapsed().as_secs_f64());
        assert!(agent.waiting() > 0);
        agent.proxy.heal();
        assert!(agent.once(), "{name}, and sound again");
    }
    assert_eq!(Books::open(collector.data()).hold_all_of(&agent.state()), 12);
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_that_come_twice_and_out_of_order_are_taken_once() {
    const REPORTS: u64 = 12;
    let collector = Collector::start();
    let token: Token = collector.token(1).parse().unwrap();
    let host = WireHost::enrol(&collector.agents, &token, "web01").await;
    let now = clock::unix_now();
    let sealed: Vec<_> = (1..=REPORTS).map(|n| host.scan(n, "x", now)).collect();
    for (blob, frame) in sealed.iter().flat_map(|s| &s.blobs) {
        assert_eq!(host.ask(&collector.agents, "PUT", &format!("/v1/blobs/{blob}"), frame).await.unwrap().status, 204);
    }
    // The newest first, each three times at once on connections of their own.
    let mut receipts = Vec::new();
    for one in sealed.iter().rev() {
        let ask = || host.ask(&collector.agents, "POST", "/v1/reports", &one.envelope);
        let (a, b, c) = tokio::join!(ask(), ask(), ask());
        let (a, b, c) = (a.unwrap(), b.unwrap(), c.unwrap());
        assert_eq!((a.status, &a, &a), (200, &b, &c));
        host.receipt(&a, one);
        receipts.push(a);
    }
    for (one, receipt) in sealed.iter().rev().zip(&receipts) {
        assert_eq!(host.ask(&collector.agents, "POST", "/v1/reports", &one.envelope).await.unwrap(), *receipt, "the same receipt for ever");
    }
    let store = collector.store().await;
    assert_eq!(store.missing_reports(&host.key.id()).await.unwrap(), []);
    assert_eq!(store.fork_count(&host.key.id()).await.unwrap(), 0);
    store.close().await;
    assert_eq!(Books::read(collector.data()).await.len() as u64, REPORTS);
}

/// A host that was enrolled long ago: by the store, because the endpoint knows no other time than now.
async fn enrolled_at(collector: &Collector, at: i64) -> WireHost {
    let now = clock::unix_now();
    let authority = Authority::load_or_create(collector.data(), now).unwrap();
    let ledger_key = SigningKey::load_or_create(&collector.data().join("ledger-key.pem")).unwrap();
    let name: String = ledger_key.id().to_string().chars().take(16).collect();
    let (key, salt) = (SigningKey::generate().unwrap(), Salt::new(assay::pki::random().unwrap()));
    let certificate = authority.issue_host(&key.request("old").unwrap(), "old", now).unwrap().certificate;
    let secret = Digest::of(key.id().bytes());
    let store = collector.store().await;
    store.put_secret("enrol", &secret, "", now + 3600, 1).await.unwrap();
    let host = NewHost { id: key.id(), name: "old".into(), public_key: key.spki(), salt, machine: String::new(), secret };
    assert_eq!(store.enrol(&host, at).await.unwrap(), Enrolled::New);
    store.close().await;
    WireHost {
        key,
        salt,
        lineage: Lineage::new(assay::pki::random().unwrap()),
        certificate,
        ca: authority.pem().into(),
        ledger: Verifier::new(&format!("assay.invalid/{name}"), ledger_key.public_key()).unwrap(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_ninety_days_late_are_laid_in_their_place() {
    const DAY: i64 = 86_400;
    const WEEKS: i64 = 13;
    let mut collector = Collector::start();
    let now = clock::unix_now();
    collector.stop();
    let (prompt, late) = (enrolled_at(&collector, now - 100 * DAY).await, enrolled_at(&collector, now - 100 * DAY).await);
    collector.resume();
    // The release is out of support in the weeks 4 to 6 and 10, as the host saw it.
    let scan = |host: &WireHost, week: i64| {
        let finished = now - 90 * DAY + week * 7 * DAY;
        let over = matches!(week, 4..=6 | 10);
        let at = if over { now - 95 * DAY } else { now + 900 * DAY };
        let os = json!({"pretty_name": "Debian GNU/Linux 12", "id": "debian", "version_id": "12", "end_of_life": {"at": at, "support": "lts", "source": "x"}, "extended_support": []});
        host.scan_of(u64::try_from(week).unwrap() + 1, os, finished)
    };
    for week in 0..WEEKS {
        prompt.send(&collector.agents, &scan(&prompt, week)).await.unwrap();
    }
    // The other host was cut off for ninety days; its reports come in no order.
    for week in [12, 5, 0, 9, 3, 10, 7, 1, 11, 4, 8, 2, 6] {
        late.send(&collector.agents, &scan(&late, week)).await.unwrap();
    }
    let spans = async |host: HostId| {
        let store = collector.store().await;
        let filter = FindingFilter { host: Some(host), rule: Some("os-end-of-life".into()), period: Some((0, i64::MAX)), ..FindingFilter::default() };
        let mut spans: Vec<_> = store.findings(&filter).await.unwrap().into_iter().map(|f| (f.since, f.until, f.finding.verdict)).collect();
        let missing = store.missing_reports(&host).await.unwrap();
        store.close().await;
        assert_eq!(missing, []);
        spans.sort_by_key(|s| s.0);
        spans
    };
    let week = |n: i64| now - 90 * DAY + n * 7 * DAY;
    let (pass, fail) = (Verdict::Pass, Verdict::Fail);
    let expected = [
        (week(0), Some(week(4)), pass),
        (week(4), Some(week(7)), fail),
        (week(7), Some(week(10)), pass),
        (week(10), Some(week(11)), fail),
        (week(11), None, pass),
    ];
    assert_eq!(spans(prompt.key.id()).await, expected);
    assert_eq!(spans(late.key.id()).await, expected);
    assert_eq!(Books::read(collector.data()).await.len(), 2 * 13);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_killed_between_commit_and_acknowledgement_acknowledges_later() {
    const ROUNDS: u64 = 6;
    let mut collector = Collector::start();
    let token: Token = collector.token(1).parse().unwrap();
    let host = WireHost::enrol(&collector.agents, &token, "web01").await;
    let mut caught = 0;
    for sequence in 1..=ROUNDS {
        let sealed = host.scan(sequence, "x", clock::unix_now());
        let mut stream = host.connect(&collector.agents).await.unwrap();
        for (blob, frame) in &sealed.blobs {
            assert_eq!(exchange(&mut stream, "PUT", &format!("/v1/blobs/{blob}"), frame).await.unwrap().status, 204);
        }
        let store = collector.store().await;
        let head = format!("POST /v1/reports HTTP/1.1\r\nHost: c\r\nContent-Length: {}\r\n\r\n", sealed.envelope.len());
        stream.write_all(&[head.as_bytes(), &sealed.envelope].concat()).await.unwrap();
        stream.flush().await.unwrap();
        let begun = Instant::now();
        while store.report_at(&host.key.id(), &host.lineage, sequence).await.unwrap().is_none() {
            assert!(begun.elapsed() < Duration::from_secs(30), "the report is not committed");
        }
        collector.kill();
        store.close().await;
        // Whether the answer was on its way is chance; that it is the same one later is not.
        let first = tokio::time::timeout(Duration::from_secs(5), answer(&mut stream)).await.ok().and_then(Result::ok);
        caught += u64::from(first.is_none());
        collector.resume();
        let again = host.ask(&collector.agents, "POST", "/v1/reports", &sealed.envelope).await.unwrap();
        assert_eq!(again.status, 200, "{}", again.error());
        host.receipt(&again, &sealed);
        assert!(first.is_none_or(|first| first == again));
    }
    println!("{caught} of {ROUNDS} kills came between commit and acknowledgement");
    assert!(caught > 0);
    assert_eq!(Books::read(collector.data()).await.len() as u64, ROUNDS);
}

/// A small file system of its own, unmounted at the end.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// `None` without the right to mount.
    fn mount(size: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &format!("size={size}"), "assay-test", text(folder.path())]).status();
        mounted.is_ok_and(|s| s.success()).then_some(Self(folder))
    }

    /// Takes all but so many bytes.
    fn fill_but(&self, left: u64) {
        let free = || {
            let space = rustix::fs::statvfs(self.0.path()).unwrap();
            space.f_bavail * space.f_frsize
        };
        std::fs::write(self.0.path().join("filler"), vec![0; usize::try_from(free().saturating_sub(left)).unwrap()]).unwrap();
    }

    fn free(&self) {
        std::fs::remove_file(self.0.path().join("filler")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[test]
fn a_collector_whose_disk_is_full_acknowledges_nothing_and_takes_all_later() {
    let Some(disk) = SmallDisk::mount("24m") else {
        println!("not run: mounting needs root");
        return;
    };
    let data = tempfile::Builder::new().prefix("data").tempdir_in(disk.0.path()).unwrap();
    let collector = Collector::start_in(data);
    let agent = Agent::enrol(&collector);
    assert!(agent.once());
    let mut refused = 0;
    for left in [0, 8 << 10, 40 << 10] {
        disk.fill_but(left);
        let before = Books::open(collector.data()).len();
        for _ in 0..3 {
            let waiting = agent.waiting();
            if agent.once() {
                assert_eq!(agent.waiting(), 0);
            } else {
                refused += 1;
                assert!(agent.waiting() > waiting || agent.waiting() > 0, "what is not acknowledged waits");
            }
        }
        println!("{left} bytes left: {} reports stored", Books::open(collector.data()).len() - before);
        disk.free();
        assert!(agent.once(), "there is room again");
        Books::open(collector.data()).hold_all_of(&agent.state());
    }
    assert!(refused >= 3, "{refused}");
    assert_eq!(Books::open(collector.data()).hold_all_of(&agent.state()), 13);
}

#[tokio::test(flavor = "multi_thread")]
async fn dripping_and_half_open_peers_hold_no_honest_agent_up() {
    let collector = Collector::start();
    let address = collector.agents.clone();
    let token: Token = collector.token(2).parse().unwrap();
    let (honest, evil) = (WireHost::enrol(&address, &token, "web01").await, WireHost::enrol(&address, &token, "web02").await);
    // More strangers than may wait at once: silent before the handshake, dripping a head after it.
    let mut silent = Vec::new();
    for _ in 0..1_500 {
        silent.push(tokio::net::TcpStream::connect(&address).await.unwrap());
    }
    let mut dripping = Vec::new();
    for _ in 0..60 {
        let Ok(mut stream) = super::lab::host::connect(&address, assay::pki::tls::pinned_client(&token, 0).unwrap()).await else { continue };
        dripping.push(tokio::spawn(async move {
            while stream.write_all(b"X").await.is_ok() && stream.flush().await.is_ok() {
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        }));
    }
    // Bodies that end within, of a host that is enrolled and of the honest one itself, whose other
    // end is gone: nobody says so.
    let mut half_open = Vec::new();
    for host in [&evil, &honest] {
        for _ in 0..12 {
            let mut stream = host.connect(&address).await.unwrap();
            stream.write_all(b"POST /v1/reports HTTP/1.1\r\nHost: c\r\nContent-Length: 60000\r\n\r\n{").await.unwrap();
            stream.flush().await.unwrap();
            half_open.push(stream);
        }
    }
    let begun = Instant::now();
    for sequence in 1..=3 {
        let sealed = honest.scan(sequence, "x", clock::unix_now());
        while honest.send(&address, &sealed).await.is_err() {
            assert!(begun.elapsed() < Duration::from_secs(50), "the honest agent is held up");
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
    println!("three honest reports took {:.1} s", begun.elapsed().as_secs_f64());
    let mut end = Vec::new();
    let cut = tokio::time::timeout(Duration::from_secs(60), async {
        for mut stream in half_open {
            let _ = stream.read_to_end(&mut end).await;
        }
        for mut stream in silent {
            let _ = stream.read_to_end(&mut end).await;
        }
        for task in dripping {
            task.await.unwrap();
        }
    });
    cut.await.expect("every one of them is cut in the end");
    assert_eq!(Books::read(collector.data()).await.len(), 3);
}
