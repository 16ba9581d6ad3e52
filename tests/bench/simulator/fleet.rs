//! The hosts, what they have to say, and how they say it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use assay::agent::pace;
use assay::agent::run::{self, Outcome, Request};
use assay::agent::upload;
use assay::collector::store::Store;
use assay::facts::FAMILIES;
use assay::facts::services::Plan;
use assay::host::{Host, clock};
use assay::ledger::{self, Verifier};
use assay::model::against::Against;
use assay::model::blob;
use assay::model::canonical;
use assay::model::envelope::{Envelope, REPORT_TYPE};
use assay::model::fact::VolatileFacts;
use assay::model::ids::{Address, Lineage, Salt};
use assay::model::policy::Policy;
use assay::model::report::{Cadence, FORMAT, FamilyBlobs, Losses, Report, ScanKind};
use assay::pki::keys::SigningKey;
use assay::pki::tls;
use assay::pki::token::Token;
use assay::probe::Limits;
use serde_json::Value;
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::Collector;
use super::host::{Answer, enrolment, exchange};
use super::wire::{Counted, Phase};

/// Connections that the simulated fleet has under way at once when it returns: file descriptors.
const HERD: usize = 15_000;
/// A receipt in so many is verified.
const VERIFIED: usize = 20;
/// Seconds of a week.
const WEEK: i64 = 7 * 86_400;

/// What one host has to say, before salt and signature.
pub struct Scan {
    outcome: Arc<Outcome>,
}

/// One blob of a scan.
pub struct Plain {
    pub plain: Vec<u8>,
    pub frame: Vec<u8>,
}

/// The blobs of a week: stable and volatile of each family, gaps, findings.
pub struct Week {
    pub blobs: Vec<Plain>,
    /// Those that the week before did not have.
    new: Vec<usize>,
    families: Vec<String>,
    finished: i64,
    number: u32,
}

impl Scan {
    /// The weekly families of a recorded host, or of this machine.
    pub fn of(live: bool) -> Self {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/hosts/debian12-min");
        let host = if live { Host::live().unwrap() } else { Host::rooted(Path::new(root)).unwrap() };
        let families = FAMILIES.iter().filter(|f| f.cadence == Cadence::Weekly).map(|f| f.name.to_string()).collect();
        let request = Request {
            host: &host,
            families,
            plan: Plan::default(),
            limits: Limits::default(),
            policy: Policy::default(),
            against: Against::default(),
            advisories: None,
        };
        Self { outcome: Arc::new(run::scan(request, &|_| {}).unwrap()) }
    }

    pub fn families(&self) -> usize {
        self.outcome.observation.families.len()
    }

    /// Blobs that differ from one week to the next, and their bytes.
    pub fn changing(&self) -> (usize, usize) {
        let (one, two) = (self.week(1), self.week(2));
        let changed: Vec<_> = one.blobs.iter().zip(&two.blobs).filter(|(a, b)| a.plain != b.plain).collect();
        (changed.len(), changed.iter().map(|(_, b)| b.frame.len()).sum())
    }

    /// The scan as a later week sees it: volatile numbers move on.
    pub fn week(&self, number: u32) -> Week {
        let pack = |plain: Vec<u8>| Plain { frame: zstd::bulk::compress(&plain, 3).unwrap(), plain };
        let mut documents: Vec<_> = self.outcome.documents().collect();
        documents.sort_by(|a, b| a.0.family.cmp(&b.0.family));
        let mut blobs = Vec::new();
        let mut new = Vec::new();
        for (stable, volatile) in &documents {
            blobs.push(pack(canonical::to_bytes(stable).unwrap()));
            if number > 0 && volatile.values.values().any(Value::is_i64) {
                new.push(blobs.len());
            }
            let values = volatile.values.iter().map(|(at, value)| (at.clone(), moved(value, number))).collect();
            blobs.push(pack(canonical::to_bytes(&VolatileFacts { values, ..volatile.clone() }).unwrap()));
        }
        blobs.push(pack(canonical::to_bytes(&self.outcome.observation.gaps).unwrap()));
        blobs.push(pack(canonical::to_bytes(&self.outcome.findings).unwrap()));
        let finished = clock::unix_now() + i64::from(number) * WEEK;
        Week { blobs, new, families: documents.into_iter().map(|(s, _)| s.family).collect(), finished, number }
    }
}

fn moved(value: &Value, by: u32) -> Value {
    match value {
        Value::Number(n) => n.as_i64().map_or_else(|| value.clone(), |n| (n + i64::from(by)).into()),
        other => other.clone(),
    }
}

/// One simulated host.
struct Member {
    key: SigningKey,
    salt: Salt,
    lineage: Lineage,
    certificate: String,
}

/// All of them.
pub struct Fleet {
    members: Vec<Arc<Member>>,
    ca: Arc<str>,
    ledger: Verifier,
    scan: Arc<Outcome>,
}

/// How a try to deliver ended without an acknowledgement.
enum Failure {
    Refused,
    Broken,
}

impl From<std::io::Error> for Failure {
    fn from(_: std::io::Error) -> Self {
        Self::Broken
    }
}

impl Fleet {
    /// Enrols so many hosts through the real endpoint.
    pub async fn enrol(collector: &Collector, scan: &Scan, token: &str, hosts: usize, connections: usize) -> Self {
        let token: Token = token.parse().unwrap();
        let phase = Arc::new(Phase::begin("enrolment", collector));
        let next = Arc::new(AtomicUsize::new(0));
        let tasks: Vec<_> = (0..connections)
            .map(|_| {
                let (token, next, phase, address) = (token.clone(), next.clone(), phase.clone(), collector.address.clone());
                tokio::spawn(async move {
                    let mut made = Vec::new();
                    while next.fetch_add(1, Ordering::Relaxed) < hosts {
                        let (key, salt) = (SigningKey::generate().unwrap(), Salt::new(assay::pki::random().unwrap()));
                        let begun = Instant::now();
                        let mut stream = dial(&address, tls::pinned_client(&token, 0).unwrap()).await.unwrap();
                        let answer = exchange(&mut stream, "POST", "/v1/enrol", &enrolment(&key, salt, &token, "web01")).await.unwrap();
                        assert_eq!(answer.status, 201, "{}", String::from_utf8_lossy(&answer.body));
                        phase.waited(begun.elapsed());
                        made.push((key, salt, answer));
                    }
                    made
                })
            })
            .collect();
        let mut members = Vec::new();
        let mut common = None;
        for task in tasks {
            for (key, salt, answer) in task.await.unwrap() {
                let value: Value = serde_json::from_slice(&answer.body).unwrap();
                let text = |name: &str| value[name].as_str().unwrap().to_string();
                members.push(Arc::new(Member { key, salt, lineage: Lineage::new(assay::pki::random().unwrap()), certificate: text("certificate") }));
                common.get_or_insert_with(|| (text("ca"), text("ledger").parse::<Verifier>().unwrap()));
            }
        }
        Arc::into_inner(phase).unwrap().end(collector);
        let (ca, ledger) = common.expect("a host");
        Self { members, ca: ca.into(), ledger, scan: scan.outcome.clone() }
    }

    /// Every host delivers its report of a week.
    pub async fn deliver(&self, collector: &Collector, scan: &Scan, week: u32, connections: usize) {
        let name = if week == 0 { "first report".to_string() } else { format!("unchanged week {week}") };
        let phase = Arc::new(Phase::begin(name, collector));
        let week = Arc::new(scan.week(week));
        let next = Arc::new(AtomicUsize::new(0));
        let tasks: Vec<_> = (0..connections)
            .map(|_| {
                let (next, phase, week, carrier) = (next.clone(), phase.clone(), week.clone(), self.carrier(collector));
                let members = self.members.clone();
                tokio::spawn(async move {
                    while let Some(member) = members.get(next.fetch_add(1, Ordering::Relaxed)) {
                        while let Err(failure) = carrier.deliver(member, &week, &phase).await {
                            count(&phase, &failure);
                            tokio::time::sleep(Duration::from_millis(200)).await;
                        }
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        Arc::into_inner(phase).unwrap().end(collector);
    }

    /// Every host says that it is there.
    pub async fn beat(&self, collector: &Collector, connections: usize) {
        let phase = Arc::new(Phase::begin("heartbeat", collector));
        let next = Arc::new(AtomicUsize::new(0));
        let tasks: Vec<_> = (0..connections)
            .map(|_| {
                let (next, phase, carrier, members) = (next.clone(), phase.clone(), self.carrier(collector), self.members.clone());
                tokio::spawn(async move {
                    while let Some(member) = members.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let begun = Instant::now();
                        let body =
                            serde_json::json!({"agent": "0.1.0", "checkpoint_size": 0, "lineage": member.lineage, "now": clock::unix_now(), "sequence": 1});
                        let mut stream = carrier.dial(member).await.unwrap();
                        let answer = exchange(&mut stream, "POST", "/v1/heartbeat", body.to_string().as_bytes()).await.unwrap();
                        assert_eq!(answer.status, 200);
                        phase.waited(begun.elapsed());
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        Arc::into_inner(phase).unwrap().end(collector);
    }

    /// Every host comes at once, and after a failure again by the agent's own back-off.
    pub async fn herd(&self, collector: &Collector, scan: &Scan, week: u32) {
        let phase = Arc::new(Phase::begin("all at once", collector));
        let week = Arc::new(scan.week(week));
        let sockets = Arc::new(Semaphore::new(HERD));
        let begun = Instant::now();
        let tasks: Vec<_> = self
            .members
            .iter()
            .map(|member| {
                let (phase, week, carrier, member, sockets) = (phase.clone(), week.clone(), self.carrier(collector), member.clone(), sockets.clone());
                tokio::spawn(async move {
                    let mut failures = 0;
                    loop {
                        // No socket left here stands for a connection that is not accepted in time.
                        let socket = tokio::time::timeout(upload::CONNECT_TIMEOUT, sockets.clone().acquire_owned()).await;
                        let result = match socket {
                            Ok(_socket) => carrier.deliver(&member, &week, &phase).await,
                            Err(_) => Err(Failure::Broken),
                        };
                        match result {
                            Ok(()) => return begun.elapsed(),
                            Err(failure) => count(&phase, &failure),
                        }
                        failures += 1;
                        tokio::time::sleep(pace::retry(&member.key.id(), failures, None)).await;
                    }
                })
            })
            .collect();
        let mut ends = Vec::new();
        for task in tasks {
            ends.push(task.await.unwrap());
        }
        ends.sort();
        let at = |share: f64| ends[((ends.len() - 1) as f64 * share) as usize].as_secs_f64();
        Arc::into_inner(phase).unwrap().end(collector);
        println!("{:<22} half of the hosts acknowledged after {:.1} s, 99 of 100 after {:.1} s, all after {:.1} s", "", at(0.5), at(0.99), at(1.0));
    }

    /// Nothing lost, nothing doubled: as many reports and leaves as were acknowledged.
    pub async fn check(&self, data: &Path, reports: u64) {
        let store = Store::open(data).await.unwrap();
        let leaves = store.leaves_of_kind("report", 0).await.unwrap();
        let mut about: Vec<&str> = leaves.iter().map(|l| l.reference.as_str()).collect();
        about.sort_unstable();
        about.dedup();
        assert_eq!((leaves.len() as u64, about.len() as u64), (reports, reports), "one leaf per acknowledged report");
        let mut holes = 0;
        for member in self.members.iter().step_by(self.members.len().div_ceil(500)) {
            holes += store.missing_reports(&member.key.id()).await.unwrap().len();
        }
        assert_eq!(holes, 0);
        store.close().await;
        println!("{:<22} {reports} reports acknowledged, {} leaves, none lost, none doubled", "", leaves.len());
    }

    fn carrier(&self, collector: &Collector) -> Carrier {
        Carrier { address: collector.address.clone(), ca: self.ca.clone(), ledger: self.ledger.clone(), scan: self.scan.clone() }
    }
}

fn count(phase: &Phase, failure: &Failure) {
    let counter = match failure {
        Failure::Refused => &phase.refused,
        Failure::Broken => &phase.failed,
    };
    counter.fetch_add(1, Ordering::Relaxed);
}

/// Carries reports of hosts to the collector.
struct Carrier {
    address: String,
    ca: Arc<str>,
    ledger: Verifier,
    scan: Arc<Outcome>,
}

impl Carrier {
    async fn dial(&self, member: &Member) -> std::io::Result<TlsStream<Counted>> {
        let config = tls::agent_client(&self.ca, &member.certificate, &member.key, 0).unwrap();
        tokio::time::timeout(upload::CONNECT_TIMEOUT, dial(&self.address, config)).await.map_err(std::io::Error::other)?
    }

    /// As the agent: the few blobs that are new, the report, the blobs that the collector lacks, the report again.
    async fn deliver(&self, member: &Member, week: &Week, phase: &Phase) -> Result<(), Failure> {
        let addresses: Vec<Address> = week.blobs.iter().map(|b| blob::address(&member.salt, &b.plain)).collect();
        let envelope = self.seal(member, week, &addresses);
        let mut stream = self.dial(member).await?;
        for at in &week.new {
            let path = format!("/v1/blobs/{}", addresses[*at]);
            if self.ask(&mut stream, "PUT", &path, &week.blobs[*at].frame).await?.status != 204 {
                return Err(Failure::Refused);
            }
        }
        let body = zstd::bulk::compress(&envelope, 19).unwrap();
        for _ in 0..3 {
            let begun = Instant::now();
            let answer = self.ask(&mut stream, "POST", "/v1/reports", &body).await?;
            match answer.status {
                200 => {
                    phase.waited(begun.elapsed());
                    self.verify(member, &envelope, &answer);
                    return Ok(());
                }
                424 => {
                    let value: Value = serde_json::from_slice(&answer.body).unwrap();
                    let missing: Vec<Address> = serde_json::from_value(value["missing"].clone()).unwrap();
                    for address in missing {
                        let at = addresses.iter().position(|a| *a == address).expect("a blob of the report");
                        let answer = self.ask(&mut stream, "PUT", &format!("/v1/blobs/{address}"), &week.blobs[at].frame).await?;
                        if answer.status != 204 {
                            return Err(Failure::Refused);
                        }
                    }
                }
                _ => return Err(Failure::Refused),
            }
        }
        Err(Failure::Refused)
    }

    async fn ask(&self, stream: &mut TlsStream<Counted>, method: &str, path: &str, body: &[u8]) -> std::io::Result<Answer> {
        tokio::time::timeout(upload::EXCHANGE_TIMEOUT, exchange(stream, method, path, body)).await.map_err(std::io::Error::other)?
    }

    fn verify(&self, member: &Member, envelope: &[u8], answer: &Answer) {
        if usize::from(member.salt.bytes()[0]) % VERIFIED == 0 {
            let receipt = ledger::check_receipt(&Envelope::parse(&answer.body).unwrap(), &self.ledger).unwrap();
            assert_eq!(receipt.report, Envelope::parse(envelope).unwrap().payload_digest().unwrap());
        }
    }

    fn seal(&self, member: &Member, week: &Week, addresses: &[Address]) -> Vec<u8> {
        let [facts @ .., gaps, findings] = addresses else { unreachable!("gaps and findings are always there") };
        let pairs = week.families.iter().zip(facts.chunks(2));
        let report = Report {
            format: FORMAT.into(),
            host: member.key.id(),
            lineage: member.lineage,
            parent: None,
            sequence: u64::from(week.number) + 1,
            scan: assay::model::report::Scan { kind: ScanKind::Weekly, window: Some(format!("2030-W{:02}", week.number % 52 + 1)), state: self.scan.state },
            times: assay::model::report::Times { started: week.finished - 2, finished: week.finished, ..self.scan.times },
            software: self.scan.software.clone(),
            facts: pairs.map(|(family, pair)| FamilyBlobs { family: family.clone(), stable: pair[0], volatile: pair[1] }).collect(),
            gaps: *gaps,
            findings: *findings,
            counts: assay::model::finding::Counts::of(&self.scan.findings),
            limits: Vec::new(),
            losses: Losses::default(),
        };
        member.key.seal(REPORT_TYPE, &canonical::to_bytes(&report).unwrap()).to_bytes()
    }
}

/// A TLS connection from one of many loopback addresses: one address has too few ports for a fleet.
async fn dial(address: &str, config: rustls::ClientConfig) -> std::io::Result<TlsStream<Counted>> {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let to: std::net::SocketAddr = address.parse().unwrap();
    let socket = TcpSocket::new_v4()?;
    let from = 2 + (NEXT.fetch_add(1, Ordering::Relaxed) % 200) as u8;
    socket.bind(std::net::SocketAddr::from(([127, 0, 0, from], 0)))?;
    let stream: TcpStream = socket.connect(to).await?;
    stream.set_nodelay(true)?;
    TlsConnector::from(Arc::new(config)).connect("127.0.0.1".try_into().unwrap(), Counted(stream)).await
}
