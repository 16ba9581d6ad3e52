//! Talking to the collector: ARCHITECTURE.md, Wire. Everything it answers is bounded and hostile.

use std::time::Duration;

use reqwest::{Response, StatusCode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::identity::Identity;
use crate::config::proxy::Proxy;
use crate::ledger::rotation::Rotation;
use crate::model::envelope::Envelope;
use crate::model::ids::{Address, Lineage, Salt};
use crate::pki::{self, PkiError};

/// Longest wait for a connection.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest exchange, body included.
pub const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(60);
/// Largest answer that is read, bytes.
const MAX_ANSWER: usize = 512 << 10;
/// Most characters of a collector's message that are shown.
const MAX_MESSAGE: usize = 200;
/// A connection without a request is closed after this: a fleet's idle connections would hold the collector's slots.
const IDLE: Duration = Duration::from_secs(2);

/// Why an exchange failed.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// Keys or TLS.
    #[error(transparent)]
    Pki(#[from] PkiError),
    /// No connection, or it broke.
    #[error("{0}: {1}; check the address, the network and that the collector runs")]
    Connection(String, String),
    /// The collector said no.
    #[error("collector refused {what}: {status} {id}: {message}")]
    Refused {
        /// What was sent.
        what: &'static str,
        /// HTTP status.
        status: u16,
        /// Stable id of the collector.
        id: String,
        /// Its sentence.
        message: String,
        /// How long it asks to wait (`Retry-After`, RFC 9110 section 10.2.3, in seconds).
        retry_after: Option<Duration>,
    },
    /// An answer that is not in the protocol.
    #[error("collector answered {0} with something else than {1}")]
    Answer(&'static str, &'static str),
}

impl UploadError {
    /// Whether the collector refused with this id.
    pub fn is_refusal(&self, wanted: &str) -> bool {
        matches!(self, Self::Refused { id, .. } if id == wanted)
    }

    /// How long the collector asks to wait.
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// Whether nothing else would get through now either: the collector is away, or has too much to do.
    pub const fn holds_up_all(&self) -> bool {
        matches!(self, Self::Connection(..) | Self::Refused { status: 429 | 503, .. })
    }
}

/// How the collector is reached.
#[derive(Clone, Debug, Default)]
pub struct Route<'a> {
    /// `https://HOST:PORT`; empty: the collector of the enrolment.
    pub collector: &'a str,
    /// HTTP proxy on the way.
    pub proxy: Proxy,
    /// The latest time known to have passed, Unix seconds.
    pub floor: i64,
}

/// The collector's answer to a report.
#[derive(Debug)]
pub enum Answer {
    /// Durable: an envelope with a receipt, not verified yet.
    Receipt(Envelope),
    /// These blobs must come first.
    Missing(Vec<Address>),
    /// It knows another report under the same number.
    Fork,
}

/// zstd level of a report's body: a few KiB, once a week.
const REPORT_LEVEL: i32 = 19;

/// What a heartbeat tells.
#[derive(Debug, Serialize)]
pub struct Heartbeat {
    /// Highest number of the lineage with a receipt; 0 when none.
    pub acknowledged: u64,
    /// Version of the agent.
    pub agent: &'static str,
    /// Size of the last checkpoint seen.
    pub checkpoint_size: u64,
    /// Running lineage.
    pub lineage: Lineage,
    /// Wall clock, Unix seconds.
    pub now: i64,
    /// Number of the last report sealed.
    pub sequence: u64,
}

/// What the collector answers to a heartbeat. Here and in every answer, keys that a newer collector adds are not known and change
/// nothing; a known key whose value is not of its form makes the whole answer unusable: ARCHITECTURE.md, Wire.
#[derive(Debug, Deserialize)]
pub struct HeartbeatAnswer {
    /// The collector's wall clock, Unix seconds.
    pub now: i64,
    /// Whether the collector wants to see the last checkpoint, which is beyond its own.
    #[serde(default)]
    pub checkpoint: bool,
    /// Acknowledged reports that the collector lost and asks for.
    #[serde(default)]
    pub resend: Option<Resend>,
    /// A scan that somebody asked for.
    #[serde(default)]
    pub scan: Option<ScanRequest>,
}

/// Reports that a collector restored from a backup lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct Resend {
    /// First number that it lacks, from 1.
    pub from: u64,
    /// Of which lineage.
    pub lineage: Lineage,
}

/// A scan that somebody asked for.
#[derive(Debug, Deserialize)]
pub struct ScanRequest {
    /// Its id; the same one is carried out once.
    pub id: String,
}

#[derive(Deserialize)]
struct Problem {
    #[serde(default)]
    error: String,
    #[serde(default)]
    message: String,
}

#[derive(Deserialize)]
struct Missing {
    missing: Vec<Address>,
}

#[derive(Serialize)]
struct RenewRequest<'a> {
    machine: &'a str,
    name: &'a str,
    salt: &'a Salt,
}

#[derive(Deserialize)]
struct Renewed {
    certificate: String,
}

/// A connection to one collector as one host.
#[derive(Debug)]
pub struct Client {
    http: reqwest::Client,
    base: String,
    /// The address as errors show it.
    way: String,
}

impl Client {
    /// A client of the collector that enrolled this host.
    pub fn new(identity: &Identity, route: &Route<'_>) -> Result<Self, UploadError> {
        Self::with_certificate(identity, &identity.certificate, route)
    }

    /// The same with another certificate of the host, PEM.
    pub(super) fn with_certificate(identity: &Identity, certificate: &str, route: &Route<'_>) -> Result<Self, UploadError> {
        let tls = pki::tls::agent_client(&identity.ca, certificate, &identity.key, route.floor)?;
        let base = if route.collector.is_empty() { &identity.collector } else { route.collector };
        let base = base.trim_end_matches('/');
        Ok(Self { http: http_client(tls, base, &route.proxy)?, base: base.into(), way: way(base, &route.proxy) })
    }

    /// Sends a report.
    pub async fn post_report(&self, envelope: &Envelope) -> Result<Answer, UploadError> {
        const WHAT: &str = "the report";
        let frame = zstd::bulk::compress(&envelope.to_bytes(), REPORT_LEVEL).map_err(|e| UploadError::Connection(self.base.clone(), e.to_string()))?;
        let request = self.http.post(format!("{}/v1/reports", self.base)).header("content-type", "application/json").header("content-encoding", "zstd");
        let request = request.body(frame);
        let reply = self.exchange(request).await?;
        match reply.status {
            StatusCode::OK => Ok(Answer::Receipt(Envelope::parse(&reply.body).map_err(|_| UploadError::Answer(WHAT, "a receipt"))?)),
            StatusCode::FAILED_DEPENDENCY => Ok(Answer::Missing(reply.parse::<Missing>(WHAT, "a list of missing blobs")?.missing)),
            StatusCode::CONFLICT if problem(&reply.body).0 == "fork" => Ok(Answer::Fork),
            _ => Err(reply.refused(WHAT)),
        }
    }

    /// Sends a blob.
    pub async fn put_blob(&self, address: &Address, frame: Vec<u8>) -> Result<(), UploadError> {
        let reply = self.exchange(self.http.put(format!("{}/v1/blobs/{address}", self.base)).body(frame)).await?;
        if reply.status.is_success() { Ok(()) } else { Err(reply.refused("a blob")) }
    }

    /// Says that the host is there.
    pub async fn heartbeat(&self, heartbeat: &Heartbeat) -> Result<HeartbeatAnswer, UploadError> {
        const WHAT: &str = "the heartbeat";
        let reply = self.exchange(self.http.post(format!("{}/v1/heartbeat", self.base)).json(heartbeat)).await?;
        if reply.status.is_success() { reply.parse(WHAT, "a heartbeat answer") } else { Err(reply.refused(WHAT)) }
    }

    /// Shows the last checkpoint, a signed note.
    pub async fn post_checkpoint(&self, note: &str) -> Result<(), UploadError> {
        let request = self.http.post(format!("{}/v1/checkpoint", self.base)).header("content-type", "text/plain").body(note.to_string());
        let reply = self.exchange(request).await?;
        if reply.status.is_success() { Ok(()) } else { Err(reply.refused("the checkpoint")) }
    }

    /// How the ledger came to its key; not verified yet.
    pub async fn rotations(&self) -> Result<Vec<Rotation>, UploadError> {
        const WHAT: &str = "the question for the ledger's keys";
        let reply = self.exchange(self.http.get(format!("{}/v1/rotations", self.base))).await?;
        if reply.status.is_success() { reply.parse(WHAT, "a list of rotations") } else { Err(reply.refused(WHAT)) }
    }

    /// Asks for a new certificate of the same key, PEM; not verified yet.
    pub async fn renew(&self, identity: &Identity) -> Result<String, UploadError> {
        const WHAT: &str = "the renewal";
        let request = RenewRequest { machine: &identity.machine, name: &identity.name, salt: &identity.salt };
        let reply = self.exchange(self.http.post(format!("{}/v1/renew", self.base)).json(&request)).await?;
        if reply.status.is_success() { Ok(reply.parse::<Renewed>(WHAT, "a certificate")?.certificate) } else { Err(reply.refused(WHAT)) }
    }

    async fn exchange(&self, request: reqwest::RequestBuilder) -> Result<Reply, UploadError> {
        exchange(&self.way, request).await
    }
}

/// The collector's address, and the proxy on the way to it without its password.
pub(super) fn way(base: &str, proxy: &Proxy) -> String {
    if proxy.is_set() { format!("{base} through the proxy {proxy}") } else { base.into() }
}

/// An HTTP client that speaks to nobody but the collector and the configured proxy: no redirection, no proxy of the environment.
pub(super) fn http_client(tls: rustls::ClientConfig, base: &str, proxy: &Proxy) -> Result<reqwest::Client, UploadError> {
    pki::install_provider();
    let mut builder = reqwest::Client::builder().no_proxy();
    if proxy.is_set() {
        // The tunnel is opened by CONNECT: the proxy sees address, sizes and times, and no word of what is said.
        let failed = |e: reqwest::Error| UploadError::Connection(way(base, proxy), chain(&e.without_url()));
        let mut through = reqwest::Proxy::https(format!("http://{}", proxy.authority())).map_err(failed)?;
        if let Some((user, password)) = proxy.login() {
            through = through.basic_auth(user, password);
        }
        builder = builder.proxy(through);
    }
    builder
        .tls_backend_preconfigured(tls)
        .https_only(true)
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(EXCHANGE_TIMEOUT)
        .pool_idle_timeout(IDLE)
        .user_agent(concat!("assay/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|e| UploadError::Connection(base.into(), chain(&e)))
}

/// One exchange; the answer's body is read up to a bound.
pub(super) async fn exchange(base: &str, request: reqwest::RequestBuilder) -> Result<Reply, UploadError> {
    let broken = |e: reqwest::Error| UploadError::Connection(base.into(), chain(&e.without_url()));
    let mut response: Response = request.send().await.map_err(broken)?;
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(broken)? {
        if body.len() + chunk.len() > MAX_ANSWER {
            return Err(UploadError::Answer("a request", "at most 512 KiB"));
        }
        body.extend_from_slice(&chunk);
    }
    let seconds = response.headers().get(reqwest::header::RETRY_AFTER).and_then(|v| v.to_str().ok()?.trim().parse().ok());
    Ok(Reply { status: response.status(), retry_after: seconds.map(Duration::from_secs), body })
}

/// What the collector answered.
pub(super) struct Reply {
    pub(super) status: StatusCode,
    retry_after: Option<Duration>,
    body: Vec<u8>,
}

impl Reply {
    /// Its body as what was expected.
    pub(super) fn parse<T: DeserializeOwned>(&self, what: &'static str, expected: &'static str) -> Result<T, UploadError> {
        serde_json::from_slice(&self.body).map_err(|_| UploadError::Answer(what, expected))
    }

    /// The error that it stands for.
    pub(super) fn refused(&self, what: &'static str) -> UploadError {
        let (id, message) = problem(&self.body);
        UploadError::Refused { what, status: self.status.as_u16(), id, message, retry_after: self.retry_after }
    }
}

/// Id and sentence of a refusal, shown to a person: printable and short.
fn problem(body: &[u8]) -> (String, String) {
    let Problem { error, message } = serde_json::from_slice(body).unwrap_or(Problem { error: String::new(), message: String::new() });
    let clean = |text: String| text.chars().filter(|c| !c.is_control()).take(MAX_MESSAGE).collect::<String>();
    (clean(error), clean(message))
}

/// The innermost cause says what happened.
fn chain(error: &dyn std::error::Error) -> String {
    let mut at = error;
    while let Some(source) = at.source() {
        at = source;
    }
    let text = at.to_string();
    if text.starts_with("tunnel error") {
        return format!("the proxy opens no tunnel ({text}): its user or password is wrong, or it does not permit this address");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_shown_short_and_printable() {
        let body = format!("{{\"error\":\"bad\\u001b[31m\",\"message\":\"{}\"}}", "x".repeat(900));
        let refused = |what, status, body: &str| Reply { status, retry_after: None, body: body.into() }.refused(what);
        let shown = refused("the report", StatusCode::BAD_REQUEST, &body).to_string();
        assert!(shown.starts_with("collector refused the report: 400 bad[31m: xxx") && shown.len() < 300, "{shown}");
        assert!(refused("x", StatusCode::BAD_GATEWAY, "<html>").to_string().contains("502"));
    }
}
