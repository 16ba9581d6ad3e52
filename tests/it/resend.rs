//! Heartbeats on the wire, and reports that a restored collector asks for again.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use assay::agent::deliver;
use assay::agent::enrol;
use assay::agent::identity::Identity;
use assay::agent::spool::{Bounds, Spool};
use assay::host::clock;
use assay::model::report::ScanKind;
use assay::pki::tls;
use serde_json::{Value, json};

use crate::agent::{Collector, agent, copy, outcome};

/// A request or an answer of HTTP/1.1 whose length is announced.
#[derive(Clone, Debug)]
struct Message {
    bytes: Vec<u8>,
    body: usize,
}

impl Message {
    fn read(stream: &mut impl Read) -> Option<Self> {
        let mut bytes = Vec::new();
        let mut byte = [0];
        while !bytes.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut byte).ok()?;
            bytes.push(byte[0]);
        }
        let head = String::from_utf8_lossy(&bytes).to_lowercase();
        let length = head.lines().find_map(|l| l.strip_prefix("content-length: ")).map_or(0, |v| v.trim().parse().unwrap());
        let at = bytes.len();
        bytes.resize(at + length, 0);
        stream.read_exact(&mut bytes[at..]).ok()?;
        Some(Self { bytes, body: at })
    }

    fn path(&self) -> String {
        String::from_utf8_lossy(&self.bytes).split(' ').nth(1).unwrap_or_default().to_string()
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes[self.body..]).unwrap_or_default()
    }
}

/// Stands between agent and collector: answers heartbeats itself if it has an answer, passes everything else on.
struct Relay {
    port: u16,
    seen: Arc<Mutex<BTreeMap<String, Vec<Message>>>>,
}

impl Relay {
    fn start(collector: &Collector, identity: &Identity, heartbeat: Option<Value>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let authority = &collector.running().app.authority;
        let certificate = authority.agents_certificate(&["127.0.0.1".to_string()], clock::unix_now()).unwrap();
        let server = Arc::new(tls::agents_server(authority, certificate).unwrap());
        let client = Arc::new(tls::agent_client(&identity.ca, &identity.certificate, &identity.key, 0).unwrap());
        let (seen, target) = (Arc::new(Mutex::new(BTreeMap::<String, Vec<Message>>::new())), collector.config.agents);
        let log = seen.clone();
        std::thread::spawn(move || {
            while let Ok((mut socket, _)) = listener.accept() {
                let (server, client, log, heartbeat) = (server.clone(), client.clone(), log.clone(), heartbeat.clone());
                std::thread::spawn(move || {
                    let mut connection = rustls::ServerConnection::new(server).unwrap();
                    let mut stream = rustls::Stream::new(&mut connection, &mut socket);
                    while let Some(request) = Message::read(&mut stream) {
                        log.lock().unwrap().entry(request.path()).or_default().push(request.clone());
                        let answer = match &heartbeat {
                            Some(answer) if request.path() == "/v1/heartbeat" => http(answer),
                            _ => forward(&client, target, &request).unwrap().bytes,
                        };
                        if stream.write_all(&answer).is_err() {
                            break;
                        }
                    }
                });
            }
        });
        Self { port, seen }
    }

    fn requests(&self, path: &str) -> Vec<Message> {
        self.seen.lock().unwrap().get(path).cloned().unwrap_or_default()
    }
}

fn http(answer: &Value) -> Vec<u8> {
    let body = answer.to_string();
    format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

fn forward(client: &Arc<rustls::ClientConfig>, target: std::net::SocketAddr, request: &Message) -> Option<Message> {
    let mut connection = rustls::ClientConnection::new(client.clone(), "127.0.0.1".try_into().unwrap()).unwrap();
    let mut socket = TcpStream::connect(target).ok()?;
    let mut stream = rustls::Stream::new(&mut connection, &mut socket);
    stream.write_all(&request.bytes).ok()?;
    Message::read(&mut stream)
}

/// Runs an agent until `done`, then kills it.
fn run_until(state: &Path, relay: &Relay, done: impl Fn() -> bool) {
    let file = state.join("agent.yaml");
    let text = format!("state_dir: {}\ncollector: https://127.0.0.1:{}\nfamilies: [os]\ngatherer:\n  in_process: true\n", state.display(), relay.port);
    std::fs::write(&file, text).unwrap();
    let mut child = agent(&file);
    let end = Instant::now() + Duration::from_secs(90);
    while !done() {
        assert!(Instant::now() < end, "not in time; seen {:?}", relay.seen.lock().unwrap().iter().map(|(p, m)| (p.clone(), m.len())).collect::<Vec<_>>());
        std::thread::sleep(Duration::from_millis(100));
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_heartbeat_is_small_and_both_sides_live_with_keys_they_do_not_know() {
    let (data, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut collector = Collector::start(data.path());
    let identity = enrol::enrol(&collector.url(), &collector.token(), state.path(), Some("web01")).unwrap();
    deliver::report(&outcome(), ScanKind::OnDemand, None, state.path()).unwrap();
    let relay = Relay::start(&collector, &identity, None);
    run_until(state.path(), &relay, || !relay.requests("/v1/heartbeat").is_empty());
    let request = relay.requests("/v1/heartbeat").remove(0);
    let beat = request.json();
    assert_eq!((beat["acknowledged"].as_u64(), beat["sequence"].as_u64()), (Some(1), Some(1)));
    let client = Arc::new(tls::agent_client(&identity.ca, &identity.certificate, &identity.key, 0).unwrap());
    let answer = forward(&client, collector.config.agents, &request).unwrap();
    assert_eq!(answer.json().as_object().unwrap().keys().collect::<Vec<_>>(), ["now", "scan"], "what an agent of 0.1 takes");
    let bytes = request.bytes.len() + answer.bytes.len();
    println!("a heartbeat: {} bytes there, {} back", request.bytes.len(), answer.bytes.len());
    // Numbers grow by some digits in a host's life, and a scan may be asked for.
    assert!(bytes + 100 < 600, "{bytes}");

    // An agent that says more, and one that says less.
    let mut body = beat.clone();
    body["novelty"] = json!({"a": [1]});
    let raw = |body: &Value| {
        let text = body.to_string();
        let bytes = format!("POST /v1/heartbeat HTTP/1.1\r\nhost: c\r\ncontent-length: {}\r\n\r\n{text}", text.len()).into_bytes();
        forward(&client, collector.config.agents, &Message { bytes, body: 0 }).unwrap()
    };
    assert!(raw(&body).bytes.starts_with(b"HTTP/1.1 200"));
    body.as_object_mut().unwrap().remove("acknowledged");
    assert!(raw(&body).bytes.starts_with(b"HTTP/1.1 200"));
    body["now"] = json!("soon");
    assert!(raw(&body).bytes.starts_with(b"HTTP/1.1 422"), "a value is as strict as ever");
    collector.stop();
}

#[test]
fn a_restored_collector_gets_back_what_it_lost() {
    let (data, backup, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut collector = Collector::start(data.path());
    let identity = enrol::enrol(&collector.url(), &collector.token(), state.path(), Some("web01")).unwrap();
    let send = || deliver::report(&outcome(), ScanKind::OnDemand, None, state.path()).unwrap();
    send();
    collector.stop();
    copy(data.path(), backup.path());
    collector.restart();
    let lost = [send(), send()];
    collector.stop();
    std::fs::remove_dir_all(data.path()).unwrap();
    std::fs::create_dir(data.path()).unwrap();
    copy(backup.path(), data.path());
    collector.restart();
    assert_eq!(collector.reports(&identity.host).len(), 1);

    let answer = json!({"novelty": 1, "now": clock::unix_now(), "resend": {"from": 2, "lineage": identity.lineage, "more": 1}, "scan": null});
    let relay = Relay::start(&collector, &identity, Some(answer));
    let waiting = || std::fs::read_dir(state.path().join("spool")).unwrap().count();
    run_until(state.path(), &relay, || lost.iter().all(|l| collector.reports(&identity.host).iter().any(|r| r.id == l.report)) && waiting() == 0);
    assert_eq!(relay.requests("/v1/heartbeat").len(), 1);
    let spool = Spool::open(state.path(), Bounds::default(), identity.lineage).unwrap();
    assert!(spool.kept().len() >= 3 && spool.state().lineage == identity.lineage);
    let mut sequences: Vec<u64> = collector.reports(&identity.host).iter().map(|r| r.sequence).collect();
    sequences.sort_unstable();
    assert_eq!(sequences, (1..=sequences.len() as u64).collect::<Vec<_>>());
    collector.stop();
}

#[test]
fn a_host_that_the_collector_lost_asks_to_be_admitted_again() {
    let (data, backup, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut collector = Collector::start(data.path());
    collector.stop();
    copy(data.path(), backup.path());
    collector.restart();
    let identity = enrol::enrol(&collector.url(), &collector.token(), state.path(), Some("web01")).unwrap();
    collector.stop();
    std::fs::remove_dir_all(data.path()).unwrap();
    std::fs::create_dir(data.path()).unwrap();
    copy(backup.path(), data.path());
    collector.restart();
    let relay = Relay::start(&collector, &identity, None);
    run_until(state.path(), &relay, || relay.requests("/v1/renew").len() >= 2);
    let renewal = relay.requests("/v1/renew").remove(0).json();
    assert_eq!(renewal, json!({"machine": identity.machine, "name": "web01", "salt": identity.salt}));
    let others = relay.requests("/v1/heartbeat").len() + relay.requests("/v1/reports").len();
    assert!(relay.requests("/v1/renew").len() <= others, "once per attempt");
    assert_eq!(collector.reports(&identity.host).len(), 0, "nobody is admitted as long as the collector does not resume");
    collector.stop();
}
