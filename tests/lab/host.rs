//! A host on the wire, without its agent: TLS, HTTP/1.1 byte by byte, reports made by hand.

use std::sync::Arc;

use assay::ledger::{self, Verifier};
use assay::model::blob::Blob;
use assay::model::canonical;
use assay::model::envelope::{Envelope, REPORT_TYPE};
use assay::model::fact::{StableFacts, VolatileFacts};
use assay::model::finding::{Counts, Finding};
use assay::model::gap::Gap;
use assay::model::ids::{Address, Digest, Lineage, Salt};
use assay::model::receipt::Receipt;
use assay::model::report::{FORMAT, FamilyBlobs, Losses, Report, Scan, ScanKind, ScanState, Software, Times};
use assay::pki::keys::SigningKey;
use assay::pki::tls;
use assay::pki::token::Token;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Largest answer that is read, bytes.
const MAX_ANSWER: usize = 4 << 20;

/// An enrolled host.
pub struct WireHost {
    pub key: SigningKey,
    pub salt: Salt,
    pub lineage: Lineage,
    pub certificate: String,
    pub ca: String,
    pub ledger: Verifier,
}

/// A report with its blobs, ready to be sent.
pub struct Sealed {
    pub report: Report,
    pub envelope: Vec<u8>,
    pub blobs: Vec<(Address, Vec<u8>)>,
}

/// What a collector said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
}

impl Answer {
    /// The stable id of a refusal.
    pub fn error(&self) -> String {
        serde_json::from_slice::<Value>(&self.body).ok().and_then(|v| v["error"].as_str().map(String::from)).unwrap_or_default()
    }
}

/// Connects to `address` (`127.0.0.1:PORT`) by TLS.
pub async fn connect(address: &str, config: rustls::ClientConfig) -> std::io::Result<TlsStream<TcpStream>> {
    let socket = TcpStream::connect(address).await?;
    socket.set_nodelay(true)?;
    TlsConnector::from(Arc::new(config)).connect("127.0.0.1".try_into().unwrap(), socket).await
}

/// One request on an open connection.
pub async fn exchange<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, method: &str, path: &str, body: &[u8]) -> std::io::Result<Answer> {
    let packed = method != "PUT" && body.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]);
    let kind = match (method, packed) {
        ("PUT", _) => "",
        (_, false) => "Content-Type: application/json\r\n",
        (_, true) => "Content-Type: application/json\r\nContent-Encoding: zstd\r\n",
    };
    let head = format!("{method} {path} HTTP/1.1\r\nHost: c\r\n{kind}Content-Length: {}\r\n\r\n", body.len());
    let mut request = head.into_bytes();
    request.extend_from_slice(body);
    stream.write_all(&request).await?;
    stream.flush().await?;
    answer(stream).await
}

/// Reads one answer.
pub async fn answer<S: AsyncRead + Unpin>(stream: &mut S) -> std::io::Result<Answer> {
    let broken = |what: &str| std::io::Error::new(std::io::ErrorKind::InvalidData, what.to_string());
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            break at + 4;
        }
        if bytes.len() > MAX_ANSWER || stream.read_buf(&mut bytes).await? == 0 {
            return Err(std::io::Error::new(std::io::ErrorKind::UnexpectedEof, "no answer"));
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).ok_or_else(|| broken("no status"))?;
    let length = head.lines().find_map(|l| l.strip_prefix("content-length:")).and_then(|n| n.trim().parse().ok()).unwrap_or(0);
    let mut body = bytes.split_off(end);
    while body.len() < length {
        if body.len() > MAX_ANSWER || stream.read_buf(&mut body).await? == 0 {
            return Err(std::io::Error::new(std::io::ErrorKind::UnexpectedEof, "half an answer"));
        }
    }
    Ok(Answer { status, body })
}

/// The body of an enrolment.
pub fn enrolment(key: &SigningKey, salt: Salt, token: &Token, name: &str) -> Vec<u8> {
    json!({"csr": key.request(name).unwrap(), "machine": "00ff", "name": name, "salt": salt, "token": token.to_string()}).to_string().into_bytes()
}

impl WireHost {
    /// Enrols a new host.
    pub async fn enrol(address: &str, token: &Token, name: &str) -> Self {
        let (key, salt) = (SigningKey::generate().unwrap(), Salt::new(assay::pki::random().unwrap()));
        let mut stream = connect(address, tls::pinned_client(token, 0).unwrap()).await.unwrap();
        let answer = exchange(&mut stream, "POST", "/v1/enrol", &enrolment(&key, salt, token, name)).await.unwrap();
        assert_eq!(answer.status, 201, "{}", String::from_utf8_lossy(&answer.body));
        Self::admitted(key, salt, &answer)
    }

    /// The host that an answer to an enrolment makes.
    pub fn admitted(key: SigningKey, salt: Salt, answer: &Answer) -> Self {
        let value: Value = serde_json::from_slice(&answer.body).unwrap();
        let text = |name: &str| value[name].as_str().unwrap().to_string();
        let lineage = Lineage::new(assay::pki::random().unwrap());
        Self { key, salt, lineage, certificate: text("certificate"), ca: text("ca"), ledger: text("ledger").parse().unwrap() }
    }

    /// Its TLS configuration.
    pub fn tls(&self) -> rustls::ClientConfig {
        tls::agent_client(&self.ca, &self.certificate, &self.key, 0).unwrap()
    }

    /// A connection as this host.
    pub async fn connect(&self, address: &str) -> std::io::Result<TlsStream<TcpStream>> {
        connect(address, self.tls()).await
    }

    /// One request on a connection of its own.
    pub async fn ask(&self, address: &str, method: &str, path: &str, body: &[u8]) -> std::io::Result<Answer> {
        exchange(&mut self.connect(address).await?, method, path, body).await
    }

    /// A heartbeat's body.
    pub fn heartbeat(&self) -> Vec<u8> {
        let now = assay::host::clock::unix_now();
        json!({"agent": "0.1.0", "checkpoint_size": 0, "lineage": self.lineage, "now": now, "sequence": 0}).to_string().into_bytes()
    }

    /// The blob of a document.
    pub fn blob<T: serde::Serialize + ?Sized>(&self, document: &T) -> (Address, Vec<u8>) {
        let blob = Blob::of(&self.salt, document).unwrap();
        (blob.address, blob.frame().unwrap())
    }

    /// A small scan of one family that ended at `finished`.
    pub fn scan(&self, sequence: u64, release: &str, finished: i64) -> Sealed {
        self.scan_of(sequence, json!({"pretty_name": release, "id": "debian"}), finished)
    }

    /// A scan of the family `os` that ended at `finished`.
    pub fn scan_of(&self, sequence: u64, os: Value, finished: i64) -> Sealed {
        let stable = StableFacts { family: "os".into(), version: 1, facts: os };
        let volatile = VolatileFacts { family: "os".into(), version: 1, values: [("/uptime".to_string(), json!(sequence))].into() };
        let (gaps, findings): (Vec<Gap>, Vec<Finding>) = (Vec::new(), Vec::new());
        let blobs = vec![self.blob(&stable), self.blob(&volatile), self.blob(&gaps), self.blob(&findings)];
        let report = Report {
            format: FORMAT.into(),
            host: self.key.id(),
            lineage: self.lineage,
            parent: None,
            sequence,
            scan: Scan { kind: ScanKind::OnDemand, window: None, state: ScanState::Complete },
            times: Times { started: finished - 1, finished, boot_ms: 5 },
            software: Software { agent: "0.1.0".into(), pack: Digest::of(b"pack"), policy: Digest::of(b"policy") },
            facts: vec![FamilyBlobs { family: "os".into(), stable: blobs[0].0, volatile: blobs[1].0 }],
            gaps: blobs[2].0,
            findings: blobs[3].0,
            counts: Counts::of(&findings),
            limits: Vec::new(),
            losses: Losses::default(),
        };
        let mut blobs = blobs;
        blobs.dedup_by_key(|b| b.0);
        Sealed { envelope: self.seal(&report), report, blobs }
    }

    /// Signs a report.
    pub fn seal(&self, report: &Report) -> Vec<u8> {
        self.key.seal(REPORT_TYPE, &canonical::to_bytes(report).unwrap()).to_bytes()
    }

    /// Blobs, then the report; its receipt, verified.
    pub async fn send(&self, address: &str, sealed: &Sealed) -> std::io::Result<Receipt> {
        let mut stream = self.connect(address).await?;
        for (blob, frame) in &sealed.blobs {
            let answer = exchange(&mut stream, "PUT", &format!("/v1/blobs/{blob}"), frame).await?;
            if answer.status != 204 {
                return Err(std::io::Error::other(format!("{} {}", answer.status, answer.error())));
            }
        }
        let answer = exchange(&mut stream, "POST", "/v1/reports", &sealed.envelope).await?;
        if answer.status != 200 {
            return Err(std::io::Error::other(format!("{} {}", answer.status, answer.error())));
        }
        Ok(self.receipt(&answer, sealed))
    }

    /// The receipt in an answer, if it holds and is about this report.
    pub fn receipt(&self, answer: &Answer, sealed: &Sealed) -> Receipt {
        let receipt = ledger::check_receipt(&Envelope::parse(&answer.body).unwrap(), &self.ledger).unwrap();
        let payload = Envelope::parse(&sealed.envelope).unwrap().payload_digest().unwrap();
        assert_eq!((receipt.report, receipt.host, receipt.sequence), (payload, self.key.id(), sealed.report.sequence));
        receipt
    }
}
