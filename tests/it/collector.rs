//! The collector over real TLS on loopback: enrolment, blobs, reports, receipts, refusals,
//! restarts and kills.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use assay::collector::store::{FindingFilter, HostState, Retirement, Store};
use assay::collector::{Running, start};
use assay::config::collector::Config;
use assay::ledger::{self, Verifier};
use assay::model::against::Against;
use assay::model::blob::Blob;
use assay::model::canonical;
use assay::model::envelope::{Envelope, REPORT_TYPE};
use assay::model::fact::{Observation, StableFacts, VolatileFacts};
use assay::model::finding::Counts;
use assay::model::gap::Gap;
use assay::model::ids::{Address, Digest, HostId, Lineage, Salt};
use assay::model::policy::Policy;
use assay::model::receipt::Receipt;
use assay::model::report::{FORMAT, FamilyBlobs, Losses, Report, Scan, ScanKind, ScanState, Software, Times};
use assay::pki::authority::Authority;
use assay::pki::keys::SigningKey;
use assay::pki::tls;
use assay::pki::token::Token;
use assay::rules::{self, Input, Pack};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

pub(super) fn config(data: &Path) -> Config {
    let loopback = "127.0.0.1:0".parse().unwrap();
    Config { data: data.into(), agents: loopback, people: loopback, plain_http: true, ..Config::default() }
}

pub(super) async fn token(data: &Path, authority: &Authority, uses: u32) -> Token {
    let token = Token::generate(authority.der()).unwrap();
    let store = Store::open(data).await.unwrap();
    store.put_secret("enrol", &token.secret_digest(), "", assay::host::clock::unix_now() + 3600, uses).await.unwrap();
    store.close().await;
    token
}

fn http(tls: rustls::ClientConfig) -> reqwest::Client {
    assay::pki::install_provider();
    reqwest::Client::builder().tls_backend_preconfigured(tls).no_proxy().timeout(Duration::from_secs(60)).build().unwrap()
}

/// A host as the agent is one, without its spool.
pub(super) struct Host {
    pub key: SigningKey,
    salt: Salt,
    lineage: Lineage,
    certificate: String,
    ca: String,
    ledger: Verifier,
    http: reqwest::Client,
}

/// A scan ready to be sent.
pub(super) struct Sealed {
    report: Report,
    envelope: Vec<u8>,
    blobs: Vec<(Address, Vec<u8>)>,
    observation: Observation,
}

async fn enrol(base: &str, token: &Token, key: SigningKey, salt: Salt) -> Result<Host, (u16, Value)> {
    let http_once = http(tls::pinned_client(token, 0).unwrap());
    let request = json!({"csr": key.request("web01").unwrap(), "machine": "00ff", "name": "web01", "salt": salt, "token": token.to_string()});
    let response = http_once.post(format!("{base}/v1/enrol")).json(&request).send().await.unwrap();
    let (status, body): (_, Value) = (response.status().as_u16(), response.json().await.unwrap());
    if status != 201 {
        return Err((status, body));
    }
    let text = |name: &str| body[name].as_str().unwrap().to_string();
    assert_eq!(text("host"), key.id().to_string());
    let client = tls::agent_client(&text("ca"), &text("certificate"), &key, 0).unwrap();
    let ledger: Verifier = text("ledger").parse().unwrap();
    assert_eq!(ledger.name(), text("origin"));
    Ok(Host { key, salt, lineage: Lineage::new(assay::pki::random().unwrap()), certificate: text("certificate"), ca: text("ca"), ledger, http: http(client) })
}

pub(super) async fn new_host(base: &str, token: &Token) -> Host {
    enrol(base, token, SigningKey::generate().unwrap(), Salt::new(assay::pki::random().unwrap())).await.unwrap()
}

impl Host {
    pub fn scan(&self, sequence: u64, release: &str) -> Sealed {
        let now = assay::host::clock::unix_now();
        let stable = StableFacts { family: "os".into(), version: 1, facts: json!({"pretty_name": release, "id": "debian"}) };
        let volatile = VolatileFacts { family: "os".into(), version: 1, values: [("/uptime".to_string(), json!(sequence))].into() };
        let gaps = vec![Gap {
            family: "storage".into(),
            path: String::new(),
            subject: String::new(),
            reason: "permission-denied".into(),
            detail: "no".into(),
            remedy: String::new(),
        }];
        let facts = json!({"pretty_name": release, "id": "debian", "uptime": sequence});
        let observation = Observation { gathered_at: now, families: [("os".to_string(), facts)].into(), gaps };
        self.sealed(sequence, ScanKind::OnDemand, observation, &[volatile], &[stable])
    }

    /// A report of these facts, none of them volatile.
    pub fn report(&self, sequence: u64, kind: ScanKind, observation: Observation) -> Sealed {
        let stable = |(family, facts): (&String, &Value)| StableFacts { family: family.clone(), version: 1, facts: facts.clone() };
        let stable: Vec<StableFacts> = observation.families.iter().map(stable).collect();
        let volatile = |s: &StableFacts| VolatileFacts { family: s.family.clone(), version: 1, values: Default::default() };
        let volatile: Vec<VolatileFacts> = stable.iter().map(volatile).collect();
        self.sealed(sequence, kind, observation, &volatile, &stable)
    }

    fn sealed(&self, sequence: u64, kind: ScanKind, observation: Observation, volatile: &[VolatileFacts], stable: &[StableFacts]) -> Sealed {
        let pack = Pack::builtin(assay::facts::schemas()).unwrap();
        let input = Input { observation: &observation, policy: &Policy::default(), against: Against::default(), advisories: None };
        let findings = rules::evaluate_in(&pack, &input, kind.cadence());
        let blob = |plain: Blob| (plain.address, plain.frame().unwrap());
        let (gaps, told) = (blob(Blob::of(&self.salt, &observation.gaps).unwrap()), blob(Blob::of(&self.salt, &findings).unwrap()));
        let mut blobs = Vec::new();
        let mut facts = Vec::new();
        for (stable, volatile) in stable.iter().zip(volatile) {
            let pair = (blob(Blob::of(&self.salt, stable).unwrap()), blob(Blob::of(&self.salt, volatile).unwrap()));
            facts.push(FamilyBlobs { family: stable.family.clone(), stable: pair.0.0, volatile: pair.1.0 });
            blobs.extend([pair.0, pair.1]);
        }
        let finished = observation.gathered_at;
        let report = Report {
            format: FORMAT.into(),
            host: self.key.id(),
            lineage: self.lineage,
            parent: None,
            sequence,
            scan: Scan { kind, window: (kind == ScanKind::Weekly).then(|| "2026-W48".into()), state: ScanState::Complete },
            times: Times { started: finished - 1, finished, boot_ms: 5 },
            software: Software { agent: "0.1.0".into(), pack: pack.digest(), policy: Policy::default().digest() },
            facts,
            gaps: gaps.0,
            findings: told.0,
            counts: Counts::of(&findings),
            limits: Vec::new(),
            losses: Losses::default(),
        };
        blobs.extend([gaps, told]);
        Sealed { envelope: self.seal(&report), report, blobs, observation }
    }

    fn seal(&self, report: &Report) -> Vec<u8> {
        self.key.seal(REPORT_TYPE, &canonical::to_bytes(report).unwrap()).to_bytes()
    }

    async fn post(&self, base: &str, envelope: &[u8]) -> (u16, Vec<u8>) {
        let response = self.http.post(format!("{base}/v1/reports")).body(envelope.to_vec()).send().await.unwrap();
        (response.status().as_u16(), response.bytes().await.unwrap().to_vec())
    }

    async fn put(&self, base: &str, address: &Address, frame: Vec<u8>) -> (u16, Vec<u8>) {
        let response = self.http.put(format!("{base}/v1/blobs/{address}")).body(frame).send().await.unwrap();
        (response.status().as_u16(), response.bytes().await.unwrap().to_vec())
    }

    /// Blobs, then the report; the receipt, verified.
    pub async fn send(&self, base: &str, sealed: &Sealed) -> (Receipt, Vec<u8>) {
        for (address, frame) in &sealed.blobs {
            assert_eq!(self.put(base, address, frame.clone()).await.0, 204);
        }
        let (status, body) = self.post(base, &sealed.envelope).await;
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
        (self.check(&body, sealed), body)
    }

    fn check(&self, body: &[u8], sealed: &Sealed) -> Receipt {
        let receipt = ledger::check_receipt(&Envelope::parse(body).unwrap(), &self.ledger).unwrap();
        let payload = Envelope::parse(&sealed.envelope).unwrap().payload_digest().unwrap();
        assert_eq!((receipt.report, receipt.host), (payload, self.key.id()));
        receipt
    }
}

fn error_of(body: &[u8]) -> String {
    serde_json::from_slice::<Value>(body).unwrap()["error"].as_str().unwrap_or_default().to_string()
}

async fn started(data: &Path) -> (Running, String) {
    let running = start(config(data)).await.unwrap();
    let base = running.app.agents_url.clone();
    (running, base)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_is_judged_kept_and_acknowledged_once() {
    let folder = tempfile::tempdir().unwrap();
    let (running, base) = started(folder.path()).await;
    let app = running.app.clone();
    let token = token(folder.path(), &app.authority, 2).await;
    let host = new_host(&base, &token).await;
    let id = host.key.id();

    let beat = json!({"agent": "0.1.0", "checkpoint_size": 0, "lineage": host.lineage, "now": 1, "sequence": 0});
    let beat = || async { host.http.post(format!("{base}/v1/heartbeat")).json(&beat).send().await.unwrap().json::<Value>().await.unwrap() };
    assert_eq!(beat().await["scan"], Value::Null);
    app.scan_requests.ask(id, assay::model::ids::RandomId::new([7; 16]));
    assert_eq!(beat().await["scan"], json!({"id": "07".repeat(16)}));

    // Blobs first: the collector names what it lacks.
    let first = host.scan(1, "Debian GNU/Linux 12 (bookworm)");
    let (status, body) = host.post(&base, &first.envelope).await;
    assert_eq!(status, 424);
    let missing: Vec<Address> = serde_json::from_value(serde_json::from_slice::<Value>(&body).unwrap()["missing"].clone()).unwrap();
    assert_eq!(missing, first.report.addresses());
    assert_eq!(app.store.reports(Some(&id), None, 0).await.unwrap().len(), 0);

    let (receipt, bytes) = host.send(&base, &first).await;
    assert_eq!(receipt.sequence, 1);
    assert_eq!(beat().await["scan"], Value::Null, "an on-demand report answers the request");

    // The same verdicts as the engine gives on the same facts.
    let row = app.store.report(&receipt.report).await.unwrap().unwrap();
    assert_eq!((row.leaf, row.disagrees), (Some(receipt.index), false));
    let (_, observed) = app.store.observation(&id, None).await.unwrap().unwrap();
    assert_eq!(observed, first.observation);
    let mut expected =
        rules::evaluate(&app.pack, &Input { observation: &first.observation, policy: &app.basis.now().policy, against: Against::default(), advisories: None });
    let mut kept: Vec<_> = app.store.findings(&FindingFilter::default()).await.unwrap().into_iter().map(|f| f.finding).collect();
    let key = |f: &assay::model::finding::Finding| (f.rule.clone(), f.subject.clone());
    expected.sort_by_key(key);
    kept.sort_by_key(key);
    assert!(!expected.is_empty());
    assert_eq!(kept, expected);
    let hosts = app.store.hosts(None).await.unwrap();
    assert_eq!((hosts[0].os.as_str(), hosts[0].state), ("Debian GNU/Linux 12 (bookworm)", HostState::Active));

    // Again: the same receipt, byte for byte, and nothing doubled.
    assert_eq!(host.post(&base, &first.envelope).await, (200, bytes));
    // Another report with the same number is a fork.
    let (status, body) = host.post(&base, &host.scan(1, "other").envelope).await;
    assert_eq!((status, error_of(&body).as_str()), (409, "fork"));
    assert_eq!(app.store.fork_count(&id).await.unwrap(), 1);
    // A hole in the numbers is accepted and known.
    host.send(&base, &host.scan(4, "Debian GNU/Linux 12 (bookworm)")).await;
    let holes = app.store.missing_reports(&id).await.unwrap();
    assert_eq!(holes.iter().map(|m| (m.from, m.to)).collect::<Vec<_>>(), [(2, 3)]);

    assert_eq!(app.store.reports(None, None, 0).await.unwrap().len(), 2);
    let kinds: Vec<String> = app.store.leaves(0, 99).await.unwrap().into_iter().map(|l| l.kind).collect();
    assert_eq!(kinds, ["ledger-start", "policy", "rule-pack", "enrolment", "report", "report"]);
    running.stop().await;
}

/// Another implementation of C2SP tlog-tiles, in another language, over the files beside the database.
fn monitor(data: &Path, key: &str) -> (i32, String) {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/lab/monitor.py");
    let tiles = data.join("tiles");
    let (code, out, err) = super::support::run("/usr/bin/python3", &[script, super::support::text(&tiles), key]);
    (code, out + &err)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_monitor_that_knows_nothing_of_assay_follows_the_ledger() {
    let folder = tempfile::tempdir().unwrap();
    let (running, base) = started(folder.path()).await;
    let app = running.app.clone();
    let token = token(folder.path(), &app.authority, 1).await;
    let host = new_host(&base, &token).await;
    host.send(&base, &host.scan(1, "Debian GNU/Linux 12 (bookworm)")).await;
    for n in 0..600u32 {
        app.store.append_leaf("user", &Digest::of(&n.to_be_bytes()), None).await.unwrap();
    }
    app.sequencer.wake();
    let key = app.verifier.to_string();
    let mut size = app.sequencer.size();
    size.wait_for(|s| *s == 605).await.unwrap();
    // What is being written when the collector stops is finished.
    running.stop().await;
    let (code, out) = monitor(folder.path(), &key);
    assert!(code == 0 && out.starts_with("605 "), "{out}");

    for path in ["checkpoint", "tile/0/000", "tile/0/002.p/93", "tile/1/000.p/2", "tile/entries/001", "tile/entries/002.p/93"] {
        let place = folder.path().join("tiles").join(path);
        let sound = std::fs::read(&place).unwrap();
        for at in [0, sound.len() / 2, sound.len() - 2] {
            let mut altered = sound.clone();
            altered[at] ^= 1;
            std::fs::write(&place, altered).unwrap();
            assert_ne!(monitor(folder.path(), &key).0, 0, "{path} altered at {at}");
        }
        std::fs::write(&place, sound).unwrap();
    }
    assert_eq!(monitor(folder.path(), &key).0, 0);

    // Lost altogether, they come again from the entries.
    std::fs::remove_dir_all(folder.path().join("tiles")).unwrap();
    let (running, _) = started(folder.path()).await;
    running.stop().await;
    let (code, out) = monitor(folder.path(), &key);
    assert!(code == 0 && out.starts_with("605 "), "{out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_refused_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (running, base) = started(folder.path()).await;
    let app = running.app.clone();
    let token = token(folder.path(), &app.authority, 2).await;
    let (host, other) = (new_host(&base, &token).await, new_host(&base, &token).await);

    // Tokens: used up, of another collector, nonsense.
    let key = || SigningKey::generate().unwrap();
    let (status, body) = enrol(&base, &token, key(), Salt::new([1; 32])).await.err().unwrap();
    assert_eq!((status, body["error"].as_str().unwrap()), (403, "token"));
    let salt = other.salt;
    let again = enrol(&base, &token, SigningKey::from_pem("k", other.key.pem()).unwrap(), salt).await;
    assert!(again.is_ok(), "the same key, secret and salt: the first answer was lost");

    // No certificate, a certificate of another authority.
    let anonymous = http(tls::pinned_client(&token, 0).unwrap());
    let sealed = host.scan(1, "x");
    let response = anonymous.post(format!("{base}/v1/reports")).body(sealed.envelope.clone()).send().await.unwrap();
    assert_eq!(response.status().as_u16(), 401);
    let elsewhere = tempfile::tempdir().unwrap();
    let foreign = Authority::load_or_create(elsewhere.path(), assay::host::clock::unix_now()).unwrap();
    let issued = foreign.issue_host(&host.key.request("h").unwrap(), "h", assay::host::clock::unix_now()).unwrap();
    let stranger = http(tls::agent_client(&host.ca, &issued.certificate, &host.key, 0).unwrap());
    assert!(stranger.post(format!("{base}/v1/reports")).body(sealed.envelope.clone()).send().await.is_err());
    // A certificate of ours for a key that never enrolled, or no longer may speak.
    let unknown = SigningKey::generate().unwrap();
    let issued = app.authority.issue_host(&unknown.request("h").unwrap(), "h", assay::host::clock::unix_now()).unwrap();
    let ghost = http(tls::agent_client(&host.ca, &issued.certificate, &unknown, 0).unwrap());
    assert_eq!(ghost.post(format!("{base}/v1/reports")).body(sealed.envelope.clone()).send().await.unwrap().status().as_u16(), 403);

    // Blobs: wrong address, another host's salt, a bomb, not zstd, too large, no length.
    let (address, frame) = sealed.blobs[0].clone();
    let bomb = zstd::bulk::compress(&vec![0u8; 64 << 20], 3).unwrap();
    let refused = |result: (u16, Vec<u8>)| (result.0, error_of(&result.1));
    assert_eq!(refused(host.put(&base, &Address::new([1; 32]), frame.clone()).await), (422, "blob".into()));
    assert_eq!(refused(other.put(&base, &address, frame.clone()).await), (422, "blob".into()));
    assert_eq!(refused(host.put(&base, &address, bomb).await), (422, "blob".into()));
    assert_eq!(refused(host.put(&base, &address, b"{}".to_vec()).await), (422, "blob".into()));
    assert_eq!(refused(host.put(&base, &address, vec![0; (8 << 20) + 1]).await), (413, "too-large".into()));
    let chunked = format!("PUT /v1/blobs/{address} HTTP/1.1\r\nHost: c\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n");
    assert!(raw(&host, &base, &chunked).await.starts_with("HTTP/1.1 411 "));
    assert_eq!(app.store.blob(&host.key.id(), &address).await.unwrap(), None);

    for (address, frame) in &sealed.blobs {
        assert_eq!(host.put(&base, address, frame.clone()).await.0, 204);
    }
    // Reports: another's signature, a changed payload, another host's report, other spellings.
    assert_eq!(refused(other.post(&base, &sealed.envelope).await), (403, "signature".into()));
    let mut changed = Envelope::parse(&sealed.envelope).unwrap();
    let mut report = sealed.report.clone();
    report.counts.pass += 1;
    changed.payload = Envelope::parse(&host.seal(&report)).unwrap().payload;
    assert_eq!(refused(host.post(&base, &changed.to_bytes()).await), (403, "signature".into()));
    let theirs = Report { host: HostId::new([1; 32]), ..sealed.report.clone() };
    assert_eq!(refused(host.post(&base, &host.seal(&theirs)).await), (403, "signature".into()));
    let pretty = serde_json::to_vec_pretty(&sealed.report).unwrap();
    assert_eq!(refused(host.post(&base, &host.key.seal(REPORT_TYPE, &pretty).to_bytes()).await), (422, "malformed".into()));
    let mut extra = serde_json::to_value(&sealed.report).unwrap();
    extra["surprise"] = json!(1);
    assert_eq!(refused(host.post(&base, &host.key.seal(REPORT_TYPE, &canonical::to_bytes(&extra).unwrap()).to_bytes()).await), (422, "malformed".into()));
    let zero = Report { sequence: 0, ..sealed.report.clone() };
    assert_eq!(refused(host.post(&base, &host.seal(&zero)).await), (422, "malformed".into()));
    assert_eq!(refused(host.post(&base, b"{").await), (422, "malformed".into()));
    assert_eq!(refused(host.post(&base, &vec![b' '; (1 << 20) + 1]).await), (413, "too-large".into()));
    assert_eq!(app.store.reports(None, None, 0).await.unwrap().len(), 0);

    // After all that the honest report goes through; a host shut out does not.
    host.send(&base, &sealed).await;
    let at = assay::host::clock::unix_now();
    assert!(app.store.retire(&Retirement { at, by: "ada".into(), host: host.key.id(), replaced_by: None, why: "sold".into() }).await.unwrap());
    app.keys.remove(&host.key.id());
    assert_eq!(refused(host.post(&base, &sealed.envelope).await), (403, "unknown-host".into()));
    assert!(start(config(folder.path())).await.unwrap_err().to_string().contains("another collector runs"));
    running.stop().await;
}

/// Sends raw bytes over TLS as this host and reads until the collector closes.
async fn raw(host: &Host, base: &str, request: &str) -> String {
    let mut stream = tls_stream(host, base).await;
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    tokio::time::timeout(Duration::from_secs(60), stream.read_to_end(&mut answer)).await.unwrap().unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

async fn tls_stream(host: &Host, base: &str) -> tokio_rustls::client::TlsStream<TcpStream> {
    let config = Arc::new(tls::agent_client(&host.ca, &host.certificate, &host.key, 0).unwrap());
    let socket = TcpStream::connect(base.trim_start_matches("https://")).await.unwrap();
    tokio_rustls::TlsConnector::from(config).connect("127.0.0.1".try_into().unwrap(), socket).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_and_dripping_peers_are_cut_and_hold_nobody_up() {
    let folder = tempfile::tempdir().unwrap();
    let (running, base) = started(folder.path()).await;
    let token = token(folder.path(), &running.app.authority, 1).await;
    let host = new_host(&base, &token).await;
    let begun = Instant::now();
    let mut silent = TcpStream::connect(base.trim_start_matches("https://")).await.unwrap();
    let mut dripping = tls_stream(&host, &base).await;
    dripping.write_all(b"POST /v1/reports HTTP/1.1\r\nHost: c\r\n").await.unwrap();
    host.send(&base, &host.scan(1, "x")).await;
    assert!(begun.elapsed() < Duration::from_secs(8), "others wait");
    let mut end = Vec::new();
    silent.read_to_end(&mut end).await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(15), "a peer that never shakes hands is cut");
    let drip = async {
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            if dripping.write_all(b"X: y\r\n").await.is_err() || dripping.flush().await.is_err() {
                break;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(40), drip).await.expect("a peer that drips its head is cut");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_forgets_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (running, base) = started(folder.path()).await;
    let token = token(folder.path(), &running.app.authority, 1).await;
    let host = new_host(&base, &token).await;
    let first = host.scan(1, "x");
    let (receipt, bytes) = host.send(&base, &first).await;
    running.stop().await;

    let (running, base) = started(folder.path()).await;
    assert_eq!(host.post(&base, &first.envelope).await, (200, bytes));
    let (next, _) = host.send(&base, &host.scan(2, "x")).await;
    assert_eq!(next.index, receipt.index + 1);
    let leaves = running.app.store.leaves(0, 99).await.unwrap();
    let tree = ledger::Tree::from_leaf_hashes(leaves.iter().map(|l| ledger::tree::leaf_hash(&l.bytes)));
    let (old, new) = [&receipt, &next].map(|r| ledger::checkpoint::open(&r.checkpoint, &host.ledger).unwrap()).into();
    let proof = tree.consistency(old.size, new.size).unwrap();
    ledger::verify_consistency(old.size, &old.root, new.size, &new.root, &proof).unwrap();
    running.stop().await;

    // The database goes, the published head stays: refused, not begun anew.
    for name in ["assay.db", "assay.db-wal", "assay.db-shm"] {
        let _ = std::fs::remove_file(folder.path().join(name));
    }
    let error = start(config(folder.path())).await.unwrap_err().to_string();
    assert!(error.contains("has 0 entries but 6 were published"), "{error}");
}

/// A collector in a process of its own, to be killed.
struct Process(Child);

impl Process {
    fn start(data: &Path) -> (Self, String) {
        let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_assay-collector"))
            .args(["serve", "--agents", "127.0.0.1:0", "--people", "127.0.0.1:0", "--plain-http", "--data"])
            .arg(data)
            .env("NO_COLOR", "1")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let base = lines
            .by_ref()
            .map(|line| line.unwrap())
            .find_map(|line| line.split("agents=\"").nth(1).map(|rest| rest.split('"').next().unwrap().to_string()))
            .expect("the collector says where it listens");
        // Its log must not fill the pipe.
        std::thread::spawn(move || lines.for_each(drop));
        (Self(child), base)
    }

    fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_killed_at_any_moment_loses_and_doubles_nothing() {
    const KILLS: u64 = 12;
    let folder = tempfile::tempdir().unwrap();
    let (running, base) = started(folder.path()).await;
    let token = token(folder.path(), &running.app.authority, 1).await;
    let host = Arc::new(new_host(&base, &token).await);
    running.stop().await;

    let mut acknowledged: Vec<(u64, Vec<u8>, Vec<u8>)> = Vec::new();
    let mut sequence = 1;
    let mut waiting = host.scan(sequence, "x");
    for round in 0..KILLS {
        let (process, base) = Process::start(folder.path());
        // What was acknowledged before the kill is answered with the same bytes after it.
        if let Some((_, envelope, receipt)) = acknowledged.last() {
            assert_eq!(host.post(&base, envelope).await, (200, receipt.clone()));
        }
        let life = Duration::from_millis(5 + (round * 137) % 400);
        let killer = tokio::task::spawn_blocking(move || {
            std::thread::sleep(life);
            process.kill();
        });
        while let Ok(Some(receipt)) = try_send(&host, &base, &waiting).await {
            acknowledged.push((sequence, waiting.envelope.clone(), receipt));
            sequence += 1;
            waiting = host.scan(sequence, &format!("release {}", sequence % 3));
        }
        killer.await.unwrap();
    }
    let (running, base) = started(folder.path()).await;
    for (_, envelope, receipt) in &acknowledged {
        assert_eq!(host.post(&base, envelope).await, (200, receipt.clone()));
    }
    host.send(&base, &waiting).await;
    let store = &running.app.store;
    assert_eq!(store.reports(None, None, 0).await.unwrap().len() as u64, sequence);
    assert_eq!(store.missing_reports(&host.key.id()).await.unwrap(), []);
    assert_eq!(store.leaves_of_kind("report", 0).await.unwrap().len() as u64, sequence);
    assert!(sequence > 1, "the kills left no time for a single report");
    running.stop().await;
}

/// Blobs and report as often as the collector lives; the receipt, or an error when it died.
async fn try_send(host: &Host, base: &str, sealed: &Sealed) -> Result<Option<Vec<u8>>, reqwest::Error> {
    for (address, frame) in &sealed.blobs {
        host.http.put(format!("{base}/v1/blobs/{address}")).body(frame.clone()).send().await?.error_for_status()?;
    }
    let response = host.http.post(format!("{base}/v1/reports")).body(sealed.envelope.clone()).send().await?;
    let ok = response.status().as_u16() == 200;
    let body = response.bytes().await?.to_vec();
    Ok(ok.then(|| {
        host.check(&body, sealed);
        body
    }))
}

#[tokio::test(flavor = "multi_thread")]
async fn advisories_are_matched_centrally() {
    let folder = tempfile::tempdir().unwrap();
    let records = folder.path().join("records");
    std::fs::create_dir(&records).unwrap();
    let record = json!({"id": "DSA-1-1", "modified": "2024-01-02T00:00:00Z", "affected": [{"package": {"ecosystem": "Debian:12", "name": "openssl"},
        "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "9"}]}]}]});
    std::fs::write(records.join("DSA-1-1.json"), record.to_string()).unwrap();
    let mut import = assay::advisory::Import::default();
    import.add(&records, &mut |_, _| {}).unwrap();
    let index = folder.path().join("advisories.idx");
    std::fs::write(&index, import.finish(1).unwrap().0).unwrap();

    let data = folder.path().join("data");
    let missing = start(Config { advisories: records, ..config(&data) }).await.err().unwrap();
    assert!(format!("{missing:#}").contains("records: advisories can't be read: not an index of advisories"), "{missing:#}");
    let running = start(Config { advisories: index, ..config(&data) }).await.unwrap();
    let (app, base) = (running.app.clone(), running.app.agents_url.clone());
    let token = token(&data, &app.authority, 1).await;
    let host = new_host(&base, &token).await;
    host.send(&base, &host.scan(1, "Debian GNU/Linux 12 (bookworm)")).await;
    let kept = app.store.findings(&FindingFilter::default()).await.unwrap();
    let reason = kept.into_iter().find(|f| f.finding.rule == "advisory-high").unwrap().finding.reason.unwrap();
    // The index was asked; the report has no packages.
    assert!(reason.detail.contains("were not both gathered"), "{}", reason.detail);
    running.stop().await;
}
