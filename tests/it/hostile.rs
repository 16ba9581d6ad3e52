//! Hostile input against the real collector: refused within bounds of processor time and memory,
//! and nothing of it is stored. A rogue collector learns nothing from the real agent.
//!
//! `ASSAY_ENROLMENTS` sets how often a stolen token is tried (200 by default).

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use assay::collector::store::{FindingFilter, Retirement};
use assay::host::clock;
use assay::model::blob;
use assay::model::envelope::REPORT_TYPE;
use assay::model::ids::{Address, HostId, Salt};
use assay::model::report::Report;
use assay::pki::authority::Authority;
use assay::pki::keys::SigningKey;
use assay::pki::tls;
use assay::pki::token::Token;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::lab::free_port;
use super::lab::host::{Answer, WireHost, answer, connect, enrolment, exchange};
use super::support::{Collector, Process, assay, run, text};

/// Processor time that one refusal may cost the collector: 50 ms. An unoptimised build, which looks
/// at each byte some ten times slower, has a bound of its own.
fn cpu() -> Duration {
    let optimised = std::env::var_os("ASSAY_PROGRAMS").is_some() || cfg!(not(debug_assertions));
    Duration::from_millis(if optimised { 50 } else { 500 })
}
/// Memory that one refusal may cost it, KiB: 8 MB.
const MEMORY: u64 = 8_000_000 / 1024;
/// A body that must be read to its end costs its own length besides, KiB.
const LARGEST: u64 = (blob::MAX_FRAME / 1024) as u64;
/// How often each attack is made: the kernel counts processor time in ticks of 10 ms.
const ROUNDS: u32 = 4;

/// Attacks with what they cost.
struct Scales {
    process: Process,
    wrong: Vec<String>,
}

impl Scales {
    /// Makes an attack and holds its outcome and its cost to what they may be.
    async fn weigh(&mut self, name: &str, expected: &[Outcome], extra: u64, attack: impl AsyncFn() -> Outcome) {
        let (mut peak, before) = (0, self.process.cpu());
        for _ in 0..ROUNDS {
            self.process.forget_peak();
            let (resident, _) = self.process.memory();
            let outcome = attack().await;
            peak = peak.max(self.process.memory().1.saturating_sub(resident));
            if !expected.contains(&outcome) {
                self.wrong.push(format!("{name}: {outcome:?} instead of one of {expected:?}"));
            }
        }
        let cpu = (self.process.cpu() - before) / ROUNDS;
        println!("{name:<55} {:>6.1} ms cpu {:>7} KiB", cpu.as_secs_f64() * 1000.0, peak);
        if cpu > self::cpu() || peak > MEMORY + extra {
            self.wrong.push(format!("{name}: {cpu:?} of {:?} processor time, {peak} of {} KiB", self::cpu(), MEMORY + extra));
        }
    }
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Outcome {
    Refused(u16, String),
    /// The connection ended without an answer.
    Cut,
}

fn refused(status: u16, id: &str) -> Outcome {
    Outcome::Refused(status, id.into())
}

impl From<std::io::Result<Answer>> for Outcome {
    fn from(answer: std::io::Result<Answer>) -> Self {
        answer.map_or(Self::Cut, |a| Self::Refused(a.status, a.error()))
    }
}

/// Bytes on a TLS connection of this host, and what comes back. The writing side may break off: the
/// collector need not read all.
async fn raw(host: &WireHost, address: &str, pieces: &[&[u8]]) -> Outcome {
    let Ok(stream) = host.connect(address).await else { return Outcome::Cut };
    let (mut reader, mut writer) = tokio::io::split(stream);
    let write = async {
        for piece in pieces {
            if writer.write_all(piece).await.is_err() || writer.flush().await.is_err() {
                return;
            }
        }
        std::future::pending::<()>().await;
    };
    let read = async { tokio::time::timeout(Duration::from_secs(30), answer(&mut reader)).await };
    tokio::select! {
        answered = read => answered.map_or_else(|_| panic!("the collector waits"), Outcome::from),
        () = write => Outcome::Cut,
    }
}

struct Lab {
    collector: Collector,
    address: String,
    host: WireHost,
    other: WireHost,
    token: Token,
}

impl Lab {
    async fn start() -> Self {
        let collector = Collector::start();
        let token: Token = collector.token(2).parse().unwrap();
        let address = collector.agents.clone();
        let (host, other) = (WireHost::enrol(&address, &token, "web01").await, WireHost::enrol(&address, &token, "web02").await);
        let lab = Self { collector, address, host, other, token };
        // Warm: threads, caches and buffers of ordinary work are not what is weighed.
        for n in 1..=4 {
            lab.host.send(&lab.address, &lab.host.scan(n, "Debian GNU/Linux 12 (bookworm)", clock::unix_now())).await.unwrap();
            lab.beat().await;
        }
        lab
    }

    /// An honest heartbeat is answered.
    async fn beat(&self) {
        let beat = self.host.ask(&self.address, "POST", "/v1/heartbeat", &self.host.heartbeat()).await.unwrap();
        assert_eq!(beat.status, 200);
    }

    async fn post(&self, path: &str, body: &[u8]) -> Outcome {
        self.host.ask(&self.address, "POST", path, body).await.into()
    }

    async fn put(&self, address: &Address, frame: &[u8]) -> Outcome {
        self.host.ask(&self.address, "PUT", &format!("/v1/blobs/{address}"), frame).await.into()
    }

    /// A blob of any bytes with the right address.
    async fn put_plain(&self, plain: &[u8]) -> Outcome {
        let frame = zstd::bulk::compress(plain, 3).unwrap();
        self.put(&blob::address(&self.host.salt, plain), &frame).await
    }

    /// Everything that the store holds, counted.
    async fn stored(&self) -> [usize; 5] {
        let store = self.collector.store().await;
        let hosts = [self.host.key.id(), self.other.key.id()];
        let mut unused = 0;
        for host in &hosts {
            unused += store.unused_blob_bytes(host).await.unwrap();
        }
        let counts = [
            store.reports(None, None, 0).await.unwrap().len(),
            store.hosts(Some(i64::MAX)).await.unwrap().len(),
            store.leaves(0, u64::MAX).await.unwrap().len(),
            store.findings(&FindingFilter::default()).await.unwrap().len(),
            usize::try_from(unused).unwrap(),
        ];
        store.close().await;
        counts
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_bodies_are_refused_within_bounds_and_leave_nothing() {
    let lab = Lab::start().await;
    let before = lab.stored().await;
    let process = lab.collector.process();
    let (resident, _) = process.memory();
    let mut scales = Scales { process, wrong: Vec::new() };
    identities(&lab, &mut scales).await;
    blobs(&lab, &mut scales).await;
    documents(&lab, &mut scales).await;
    framing(&lab, &mut scales).await;
    // What an attack costs must not hide in what the one before it left behind.
    let grown = process.memory().0.saturating_sub(resident);
    println!("{grown} KiB more than before all of them");
    assert!(grown <= 2 * MEMORY, "{grown} KiB");
    large(&lab, &mut scales).await;
    assert_eq!(scales.wrong, Vec::<String>::new());
    assert_eq!(lab.stored().await, before, "reports, hosts, leaves, findings, bytes of unused blobs");
    lab.host.send(&lab.address, &lab.host.scan(5, "x", clock::unix_now())).await.unwrap();
    certificates(lab).await;
}

/// One host in the name of another, and a number used twice.
async fn identities(lab: &Lab, scales: &mut Scales) {
    let (host, other) = (&lab.host, &lab.other);
    let mine = host.scan(9, "x", clock::unix_now());
    let of_other = Report { host: other.key.id(), ..mine.report.clone() };
    let twice = host.scan(1, "other", clock::unix_now());
    let theirs = other.scan(1, "x", clock::unix_now());
    scales.weigh("another host's report", &[refused(403, "signature")], 0, || lab.post("/v1/reports", &theirs.envelope)).await;
    scales.weigh("a report in another host's name", &[refused(403, "signature")], 0, || async { lab.post("/v1/reports", &host.seal(&of_other)).await }).await;
    scales.weigh("a number used twice", &[refused(409, "fork")], 0, || lab.post("/v1/reports", &twice.envelope)).await;
    scales.weigh("a report whose blobs never came", &[refused(424, "")], 0, || lab.post("/v1/reports", &mine.envelope)).await;
    let of_nobody = Report { host: HostId::new([1; 32]), ..mine.report.clone() };
    scales.weigh("a report in nobody's name", &[refused(403, "signature")], 0, || async { lab.post("/v1/reports", &host.seal(&of_nobody)).await }).await;
}

/// Bombs, other content than the address says, content that is not canonical.
async fn blobs(lab: &Lab, scales: &mut Scales) {
    let any = Address::new([7; 32]);
    let refusal = [refused(422, "blob")];
    let pack = |plain: &[u8]| zstd::bulk::compress(plain, 3).unwrap();
    let whole = |length: usize| format!("[\"{}\"]", "x".repeat(length)).into_bytes();
    let cases = [
        ("bomb: 1 GiB of zeros", zstd::stream::encode_all(std::io::repeat(0).take(1 << 30), 3).unwrap()),
        ("bomb: more than the limit", pack(&vec![b' '; blob::MAX_PLAIN + 1])),
        ("bomb: zeros up to the limit", pack(&vec![0; blob::MAX_PLAIN])),
        ("bomb: one string up to the limit", pack(&whole(blob::MAX_PLAIN - 4))),
        ("bomb: brackets up to the limit", pack(&vec![b'['; blob::MAX_PLAIN])),
        ("bomb: inside a bomb", pack(&pack(&vec![0; blob::MAX_PLAIN]))),
        ("a head that lies about the size", lying(&whole(1 << 20))),
        ("a frame with a tail", [pack(&whole(10)), vec![0; 1000]].concat()),
        ("not zstd", vec![b'{'; 1000]),
        ("no bytes", Vec::new()),
    ];
    for (name, frame) in &cases {
        scales.weigh(name, &refusal, 0, || lab.put(&any, frame)).await;
    }
    let over = vec![0x28; blob::MAX_FRAME + 1];
    scales.weigh("a blob larger than the limit", &[refused(413, "too-large"), Outcome::Cut], 0, || lab.put(&any, &over)).await;
    let deep = [vec![b'['; 1_000_000], vec![b']'; 1_000_000]].concat();
    let plains: [(&str, &[u8]); 10] = [
        ("a blob 1,000,000 levels deep", &deep),
        ("a blob with a key twice", b"{\"family\":\"os\",\"family\":\"ssh\"}"),
        ("a blob with NaN", b"{\"a\":NaN}"),
        ("a blob with Infinity", b"[Infinity]"),
        ("a blob with 1e999", b"[1e999]"),
        ("a blob that is not UTF-8", b"[\"\xff\xfe\"]"),
        ("a blob with a lone surrogate", b"[\"\\ud800\"]"),
        ("a blob in another spelling", b"{ \"a\": 1 }"),
        ("a blob cut short", b"{\"a\":"),
        ("an empty blob", b""),
    ];
    for (name, plain) in plains {
        scales.weigh(name, &refusal, 0, || lab.put_plain(plain)).await;
    }
}

/// A blob of which nothing tells that it is not the one of its address before it has been read: it
/// costs its own length besides.
async fn large(lab: &Lab, scales: &mut Scales) {
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut letter = || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        char::from(b'a' + (random >> 40) as u8 % 26)
    };
    let noise: String = (0..12 << 20).map(|_| letter()).collect();
    let large = zstd::bulk::compress(format!("[\"{noise}\"]").as_bytes(), 3).unwrap();
    assert!((4 << 20..blob::MAX_FRAME).contains(&large.len()), "{}", large.len());
    scales.weigh("a large blob of another address", &[refused(422, "blob")], LARGEST, async || lab.put(&Address::new([7; 32]), &large).await).await;
}

/// A frame whose head promises one byte (RFC 8878 section 3.1.1.1.4: single segment, one byte of size).
fn lying(plain: &[u8]) -> Vec<u8> {
    let honest = zstd::bulk::compress(plain, 3).unwrap();
    assert_eq!(honest[4] >> 6, 2, "four bytes of size follow the descriptor");
    let window = usize::from(honest[4] & 0x20 == 0);
    [&honest[..4], &[0x20, 1], &honest[5 + window + 4..]].concat()
}

/// Reports, heartbeats and enrolments that are not what they say.
async fn documents(lab: &Lab, scales: &mut Scales) {
    let malformed = [refused(422, "malformed")];
    let sealed = lab.host.scan(9, "x", clock::unix_now());
    let canonical = assay::model::canonical::to_bytes(&sealed.report).unwrap();
    let plain = String::from_utf8(canonical).unwrap();
    let deep = format!("{}{}", "[".repeat(20_000), "]".repeat(20_000));
    let payloads = [
        ("a signed report 20,000 levels deep", plain.replacen("\"limits\":[]", &format!("\"limits\":{deep}"), 1)),
        ("a signed report with a key twice", plain.replacen("{\"counts\"", "{\"counts\":{},\"counts\"", 1)),
        ("a signed report with NaN", plain.replacen("\"sequence\":9", "\"sequence\":NaN", 1)),
        ("a signed report with a fraction", plain.replacen("\"sequence\":9", "\"sequence\":9.0", 1)),
        ("a signed report with spaces", plain.replacen("\"sequence\":9", "\"sequence\": 9", 1)),
        ("a signed report with 15,000 limits", plain.replacen("\"limits\":[]", &format!("\"limits\":[{}\"x\"]", "\"\",".repeat(15_000)), 1)),
        ("a signed report of another version", plain.replacen("assay.report.v1", "assay.report.v9", 1)),
        ("a signed report with a field more", plain.replacen("\"limits\"", "\"later\":1,\"limits\"", 1)),
        ("a signed empty report", String::new()),
    ];
    for (name, payload) in &payloads {
        let envelope = lab.host.key.seal(REPORT_TYPE, payload.as_bytes()).to_bytes();
        scales.weigh(name, &malformed, 0, || lab.post("/v1/reports", &envelope)).await;
    }
    let bytes = lab.host.key.seal(REPORT_TYPE, b"\xff\xfe{}").to_bytes();
    scales.weigh("a signed report that is not UTF-8", &malformed, 0, || lab.post("/v1/reports", &bytes)).await;

    let text = String::from_utf8(sealed.envelope.clone()).unwrap();
    let envelopes: [(&str, Vec<u8>); 5] = [
        ("an envelope with a key twice", text.replacen('{', "{\"payload\":\"\",", 1).into_bytes()),
        ("an envelope with a key of 60,000 bytes", format!("{{\"{}\":1}}", "k".repeat(60_000)).into_bytes()),
        ("an envelope 30,000 levels deep", "[".repeat(30_000).into_bytes()),
        ("an envelope that is not UTF-8", b"{\"payload\":\"\xff\"}".to_vec()),
        ("an envelope that is NaN", b"NaN".to_vec()),
    ];
    for (name, envelope) in &envelopes {
        scales.weigh(name, &malformed, 0, || lab.post("/v1/reports", envelope)).await;
    }
    let beats: [(&str, Vec<u8>); 3] = [
        ("a heartbeat with a key twice", b"{\"agent\":\"1\",\"agent\":\"2\"}".to_vec()),
        ("a heartbeat with Infinity", b"{\"agent\":\"1\",\"checkpoint_size\":Infinity}".to_vec()),
        ("a heartbeat 1,000 levels deep", "[".repeat(1_000).into_bytes()),
    ];
    for (name, beat) in &beats {
        scales.weigh(name, &malformed, 0, || lab.post("/v1/heartbeat", beat)).await;
    }
    for path in ["/v1/reports", "/v1/heartbeat", "/v1/enrol"] {
        let deep = "[".repeat(1_000_000);
        scales.weigh(&format!("1,000,000 levels for {path}"), &[refused(413, "too-large")], 0, || lab.post(path, deep.as_bytes())).await;
    }
    let key = SigningKey::generate().unwrap();
    let good = enrolment(&key, Salt::new([1; 32]), &lab.token, "web03");
    scales.weigh("an enrolment by a used-up token", &[refused(403, "token")], 0, || lab.post("/v1/enrol", &good)).await;
    let enrolments = [
        (
            "an enrolment with a broken request",
            json!({"csr": "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----", "machine": "00", "name": "a", "salt": Salt::new([1; 32]), "token": lab.token.to_string()}),
        ),
        (
            "an enrolment under a forged name",
            json!({"csr": key.request("x").unwrap(), "machine": "00", "name": "a\nb", "salt": Salt::new([1; 32]), "token": lab.token.to_string()}),
        ),
        ("an enrolment without a salt", json!({"csr": "", "machine": "00", "name": "a", "token": lab.token.to_string()})),
    ];
    for (name, request) in &enrolments {
        scales.weigh(name, &malformed, 0, || async { lab.post("/v1/enrol", request.to_string().as_bytes()).await }).await;
    }
}

/// HTTP that is not what it says.
async fn framing(lab: &Lab, scales: &mut Scales) {
    let (host, address) = (&lab.host, lab.address.as_str());
    let head = |path: &str, fields: &str| format!("POST {path} HTTP/1.1\r\nHost: c\r\n{fields}\r\n").into_bytes();
    let piece = vec![b'x'; 1 << 20];
    let gigabyte = head("/v1/reports", "Content-Length: 1073741824\r\n");
    let endless = head("/v1/reports", "Transfer-Encoding: chunked\r\n");
    let chunk = [b"100000\r\n".as_slice(), &piece, b"\r\n"].concat();
    let cut = |status| [refused(status, ""), Outcome::Cut];
    scales
        .weigh("a gigabyte announced and begun", &[refused(413, "too-large"), Outcome::Cut], 0, async || raw(host, address, &[&gigabyte, &piece, &piece]).await)
        .await;
    scales
        .weigh("chunks without end", &[refused(411, "length-required"), Outcome::Cut], 0, async || raw(host, address, &[&endless, &chunk, &chunk]).await)
        .await;
    let long_line = format!("POST /{} HTTP/1.1\r\nHost: c\r\n\r\n", "a".repeat(1 << 20)).into_bytes();
    scales
        .weigh("a request line of 1 MiB", &[refused(414, ""), refused(431, ""), refused(400, ""), Outcome::Cut], 0, async || {
            raw(host, address, &[&long_line]).await
        })
        .await;
    let many: String = (0..100_000).map(|n| format!("X-{n}: y\r\n")).collect();
    let many = head("/v1/heartbeat", &many);
    scales.weigh("100,000 header lines", &cut(431), 0, async || raw(host, address, &[&many]).await).await;
    let wide = head("/v1/heartbeat", &format!("X: {}\r\n", "y".repeat(1 << 20)));
    scales.weigh("a header line of 1 MiB", &cut(431), 0, async || raw(host, address, &[&wide]).await).await;
    let small: [(&str, &str, &str, Outcome); 8] = [
        ("two lengths", "Content-Length: 2\r\nContent-Length: 3\r\n", "{}", refused(400, "")),
        ("a length and chunks", "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n", refused(411, "length-required")),
        ("a negative length", "Content-Length: -1\r\n", "{}", refused(400, "")),
        ("a length beyond numbers", "Content-Length: 99999999999999999999999\r\n", "{}", refused(400, "")),
        ("a length with a sign", "Content-Length: +2\r\n", "{}", refused(400, "")),
        ("another media type", "Content-Type: text/xml\r\nContent-Length: 2\r\n", "{}", refused(415, "media-type")),
        ("a header with a zero byte", "X: \0\r\nContent-Length: 2\r\n", "{}", refused(400, "")),
        ("no length", "", "", refused(422, "malformed")),
    ];
    for (name, fields, body, outcome) in &small {
        let request = [head("/v1/heartbeat", fields), body.as_bytes().to_vec()].concat();
        scales.weigh(name, &[outcome.clone(), refused(411, "length-required")], 0, async || raw(host, address, &[&request]).await).await;
    }
    for path in ["/v1/blobs/..%2f..%2fetc%2fpasswd", "/v1/blobs/../../etc/passwd", "/v1/blobs/", "/", "/v2/reports", "*", "/v1/reports/"] {
        let request = format!("PUT {path} HTTP/1.1\r\nHost: c\r\nContent-Length: 1\r\n\r\nx").into_bytes();
        scales
            .weigh(&format!("a path {path}"), &[refused(404, "not-found"), refused(422, "malformed"), refused(400, "")], 0, async || {
                raw(host, address, &[&request]).await
            })
            .await;
    }
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    scales
        .weigh("HTTP/2 out of the blue", &[refused(400, ""), refused(404, "not-found"), refused(505, ""), Outcome::Cut], 0, async || {
            raw(host, address, &[preface]).await
        })
        .await;
    let noise = vec![0xa5; 1 << 20];
    scales.weigh("noise inside TLS", &[refused(400, ""), refused(431, ""), Outcome::Cut], 0, async || raw(host, address, &[&noise]).await).await;
    let records: [(&str, &[u8]); 4] = [
        ("plain HTTP", b"GET / HTTP/1.1\r\nHost: c\r\n\r\n"),
        ("noise instead of TLS", &noise),
        ("a record that is longer than any", &[22, 3, 1, 0xff, 0xff, 1, 0, 0, 0]),
        ("an SSL 2.0 hello", &[0x80, 0x2e, 1, 0, 2, 0, 0x15, 0, 0, 0, 0x10]),
    ];
    for (name, bytes) in records {
        scales.weigh(name, &[Outcome::Cut], 0, || plain(address, bytes)).await;
    }
}

/// Bytes without TLS.
async fn plain(address: &str, bytes: &[u8]) -> Outcome {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let _ = stream.write_all(bytes).await;
    let waiting = tokio::time::timeout(Duration::from_secs(30), answer(&mut stream)).await;
    waiting.map_or_else(|_| panic!("the collector waits"), Outcome::from)
}

/// Certificates that open nothing, and a host that may no longer speak.
async fn certificates(mut lab: Lab) {
    let (host, address) = (&lab.host, lab.address.clone());
    let now = clock::unix_now();
    let authority = Authority::load_or_create(lab.collector.data(), now).unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let foreign = Authority::load_or_create(elsewhere.path(), now).unwrap();
    let request = host.key.request("web01").unwrap();
    let shown = |certificate: &str| tls::agent_client(&host.ca, certificate, &host.key, 0).unwrap();
    let report = host.scan(6, "x", now);
    let post = async |config| -> Outcome {
        match connect(&address, config).await {
            Ok(mut stream) => exchange(&mut stream, "POST", "/v1/reports", &report.envelope).await.into(),
            Err(e) => Err(e).into(),
        }
    };
    assert_eq!(post(shown(&foreign.issue_host(&request, "web01", now).unwrap().certificate)).await, Outcome::Cut, "foreign authority");
    let old = authority.issue_host(&request, "web01", now - 100 * 86_400).unwrap();
    let outcome = post(shown(&old.certificate)).await;
    // An expired certificate may open the door to a renewal, and to nothing else.
    assert!(matches!(outcome, Outcome::Cut | Outcome::Refused(401 | 403, _)), "expired: {outcome:?}");
    let ahead = authority.issue_host(&request, "web01", now + 100 * 86_400).unwrap();
    assert_eq!(post(shown(&ahead.certificate)).await, Outcome::Cut, "not valid yet");
    let server = authority.server_certificate(&["web01".to_string()], now).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(host.ca.as_bytes()).unwrap()).unwrap();
    let wrong = rustls::ClientConfig::builder().with_root_certificates(roots).with_client_auth_cert(server.chain, server.key).unwrap();
    assert_eq!(post(wrong).await, Outcome::Cut, "a certificate for servers");
    assert_eq!(post(tls::pinned_client(&lab.token, 0).unwrap()).await, refused(401, "certificate-required"));
    let ghost = SigningKey::generate().unwrap();
    let issued = authority.issue_host(&ghost.request("web01").unwrap(), "web01", now).unwrap();
    assert_eq!(post(tls::agent_client(&host.ca, &issued.certificate, &ghost, 0).unwrap()).await, refused(403, "unknown-host"));

    // Retired: its certificate is valid for weeks and opens nothing.
    lab.collector.stop();
    let store = lab.collector.store().await;
    let retirement = Retirement { at: now, by: "ada".into(), host: lab.host.key.id(), replaced_by: None, why: "sold".into() };
    assert!(store.retire(&retirement).await.unwrap());
    store.close().await;
    lab.collector.resume();
    for (method, path, body) in [("POST", "/v1/reports", report.envelope.as_slice()), ("POST", "/v1/heartbeat", b"{}"), ("PUT", "/v1/blobs/00", b"x")] {
        assert_eq!(Outcome::from(lab.host.ask(&lab.address, method, path, body).await), refused(403, "unknown-host"), "{path}");
    }
    lab.other.send(&lab.address, &lab.other.scan(1, "x", now)).await.unwrap();
    let store = lab.collector.store().await;
    assert_eq!(store.reports(None, None, 0).await.unwrap().len(), 6);
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stolen_token_admits_as_many_as_it_may_and_holds_nobody_up() {
    const USES: u32 = 5;
    let tries: usize = std::env::var("ASSAY_ENROLMENTS").map_or(200, |n| n.parse().expect("ASSAY_ENROLMENTS is a number"));
    let lab = Lab::start().await;
    let stolen: Token = lab.collector.token(USES).parse().unwrap();
    let (address, begun) = (lab.address.clone(), Instant::now());
    let cpu = lab.collector.process().cpu();
    let (next, admitted) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let thieves: Vec<_> = (0..16)
        .map(|_| {
            let (address, stolen, next, admitted) = (address.clone(), stolen.clone(), next.clone(), admitted.clone());
            tokio::spawn(async move {
                while next.fetch_add(1, Ordering::SeqCst) < tries {
                    let key = SigningKey::generate().unwrap();
                    let mut stream = connect(&address, tls::pinned_client(&stolen, 0).unwrap()).await.unwrap();
                    let body = enrolment(&key, Salt::new([3; 32]), &stolen, "thief");
                    let answer = exchange(&mut stream, "POST", "/v1/enrol", &body).await.unwrap();
                    match answer.status {
                        201 => {
                            admitted.fetch_add(1, Ordering::SeqCst);
                        }
                        _ => assert_eq!((answer.status, answer.error().as_str()), (403, "token")),
                    }
                }
            })
        })
        .collect();
    let mut beats = Vec::new();
    while thieves.iter().any(|t| !t.is_finished()) {
        let asked = Instant::now();
        lab.beat().await;
        beats.push(asked.elapsed());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for thief in thieves {
        thief.await.unwrap();
    }
    beats.sort();
    let cpu = lab.collector.process().cpu() - cpu;
    println!(
        "{tries} enrolments by a stolen token in {:.1} s, {:.2} ms of processor time each; {} honest heartbeats meanwhile, median {:?}, slowest {:?}",
        begun.elapsed().as_secs_f64(),
        cpu.as_secs_f64() * 1000.0 / tries as f64,
        beats.len(),
        beats[beats.len() / 2],
        beats[beats.len() - 1]
    );
    assert_eq!(admitted.load(Ordering::SeqCst), USES as usize);
    let store = lab.collector.store().await;
    assert_eq!(store.hosts(Some(i64::MAX)).await.unwrap().len(), 2 + USES as usize);
    store.close().await;
}

/// A TLS server of a foreign authority: what came over the wire, and what it could read of it.
struct Rogue {
    port: u16,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Debug, Default)]
struct Seen {
    connections: usize,
    wire: Vec<u8>,
    read: Vec<u8>,
}

impl Rogue {
    fn start(authority: &Authority, versions: &[&'static rustls::SupportedProtocolVersion]) -> Self {
        let port = free_port();
        let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
        let certificate = authority.server_certificate(&["localhost".to_string()], clock::unix_now()).unwrap();
        assay::pki::install_provider();
        let mut roots = rustls::RootCertStore::empty();
        roots.add(authority.der().clone()).unwrap();
        let verifier = rustls::server::WebPkiClientVerifier::builder(Arc::new(roots)).allow_unauthenticated().build().unwrap();
        let config = rustls::ServerConfig::builder_with_protocol_versions(versions)
            .with_client_cert_verifier(verifier)
            .with_single_cert(certificate.chain, certificate.key)
            .unwrap();
        let (config, seen) = (Arc::new(config), Arc::new(Mutex::new(Seen::default())));
        let kept = seen.clone();
        std::thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                kept.lock().unwrap().connections += 1;
                listen(socket, rustls::ServerConnection::new(config.clone()).unwrap(), &kept);
            }
        });
        Self { port, seen }
    }
}

fn listen(mut socket: std::net::TcpStream, mut tls: rustls::ServerConnection, seen: &Mutex<Seen>) {
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let mut buffer = [0; 16_384];
    while let Ok(count @ 1..) = socket.read(&mut buffer) {
        seen.lock().unwrap().wire.extend_from_slice(&buffer[..count]);
        let mut bytes = &buffer[..count];
        while !bytes.is_empty() && tls.read_tls(&mut bytes).is_ok() {
            let state = tls.process_new_packets();
            let mut plain = Vec::new();
            let _ = tls.reader().read_to_end(&mut plain);
            seen.lock().unwrap().read.append(&mut plain);
            if state.is_err() {
                break;
            }
        }
        while tls.wants_write() && tls.write_tls(&mut socket).is_ok() {}
        let _ = socket.flush();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rogue_collector_learns_nothing() {
    let mut collector = Collector::start();
    let (enrol_token, token) = (collector.token(1), collector.token(1));
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let name = "host-name-of-nobody";
    let (code, _, error) =
        run(assay(), &["enroll", "--collector", &format!("https://{}", collector.agents), "--token", &enrol_token, "--state", text(&state), "--name", name]);
    assert_eq!(code, 0, "{error}");
    let identity = assay::agent::identity::Identity::load(&state).unwrap();
    collector.kill();
    let elsewhere = tempfile::tempdir().unwrap();
    let authority = Authority::load_or_create(elsewhere.path(), clock::unix_now()).unwrap();
    for versions in [[&rustls::version::TLS13].as_slice(), &[&rustls::version::TLS12]] {
        let rogue = Rogue::start(&authority, versions);
        let url = format!("https://localhost:{}", rogue.port);
        let fresh = folder.path().join("fresh");
        let (code, _, error) = run(assay(), &["enroll", "--collector", &url, "--token", &token, "--state", text(&fresh), "--name", name]);
        assert_ne!(code, 0);
        assert!(!assay::agent::identity::Identity::exists(&fresh), "{error}");
        let config = folder.path().join("agent.yaml");
        std::fs::write(&config, format!("collector: {url}\nstate_dir: {}\nfamilies: [os]\ngatherer:\n  in_process: true\n", text(&state))).unwrap();
        let (code, _, error) = run(assay(), &["agent", "--once", "--config", text(&config)]);
        assert_ne!(code, 0, "{error}");
        told_nothing(&rogue, &token, name, &identity, &state);
    }
}

fn told_nothing(rogue: &Rogue, token: &str, name: &str, identity: &assay::agent::identity::Identity, state: &Path) {
    let seen = rogue.seen.lock().unwrap();
    assert!(seen.connections >= 2, "both came: {}", seen.connections);
    println!("{} connections, {} bytes on the wire, {} of them readable", seen.connections, seen.wire.len(), seen.read.len());
    assert_eq!(seen.read, b"", "nothing was said inside TLS");
    let certificate = CertificateDer::from_pem_slice(identity.certificate.as_bytes()).unwrap();
    let secrets: [(&str, &[u8]); 5] = [
        ("token", token.split('.').nth(1).unwrap().as_bytes()),
        ("name", name.as_bytes()),
        ("host id", identity.host.bytes()),
        ("public key", &identity.key.public_key()),
        ("certificate", &certificate[..64]),
    ];
    for (what, bytes) in secrets {
        assert!(!seen.wire.windows(bytes.len()).any(|w| w == bytes), "the {what} went over the wire");
    }
    // A hello and the alert that ends it, for each connection.
    assert!(seen.wire.len() < seen.connections * 1500, "{} bytes", seen.wire.len());
    let waiting = std::fs::read_dir(state.join("spool")).unwrap().count();
    assert!(waiting > 0, "the report waits for the true collector");
}
