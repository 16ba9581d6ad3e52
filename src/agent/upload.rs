//! Talking to the collector: ARCHITECTURE.md, Wire. Everything it answers is bounded and hostile.

use std::time::Duration;

use reqwest::{Response, StatusCode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::identity::Identity;
use crate::model::envelope::Envelope;
use crate::model::ids::{Address, Digest, Lineage};
use crate::pki::{self, PkiError};

/// Longest wait for a connection.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest exchange, body included.
pub const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(60);
/// Largest answer that is read, bytes.
const MAX_ANSWER: usize = 512 << 10;
/// Most characters of a collector's message that are shown.
const MAX_MESSAGE: usize = 200;
/// First wait after a failure.
const BACKOFF_FIRST: Duration = Duration::from_secs(5);
/// Longest wait after repeated failures.
pub const BACKOFF_CAP: Duration = Duration::from_secs(15 * 60);

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
    },
    /// An answer that is not in the protocol.
    #[error("collector answered {0} with something else than {1}")]
    Answer(&'static str, &'static str),
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

/// What a heartbeat tells.
#[derive(Debug, Serialize)]
pub struct Heartbeat {
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

/// What the collector answers to a heartbeat.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeartbeatAnswer {
    /// The collector's wall clock, Unix seconds.
    pub now: i64,
    /// A scan that somebody asked for.
    pub scan: Option<ScanRequest>,
}

/// A scan that somebody asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
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
#[serde(deny_unknown_fields)]
struct Missing {
    missing: Vec<Address>,
}

/// A connection to one collector as one host.
#[derive(Debug)]
pub struct Client {
    http: reqwest::Client,
    base: String,
}

impl Client {
    /// `collector` overrides the address of the enrolment when it is not empty. `floor` is the
    /// latest time known to have passed, Unix seconds.
    pub fn new(identity: &Identity, collector: &str, floor: i64) -> Result<Self, UploadError> {
        let tls = pki::tls::agent_client(&identity.ca, &identity.certificate, &identity.key, floor)?;
        let base = if collector.is_empty() { &identity.collector } else { collector };
        Ok(Self { http: http_client(tls, base)?, base: base.trim_end_matches('/').into() })
    }

    /// Sends a report.
    pub async fn post_report(&self, envelope: &Envelope) -> Result<Answer, UploadError> {
        const WHAT: &str = "the report";
        let request = self.http.post(format!("{}/v1/reports", self.base)).header("content-type", "application/json").body(envelope.to_bytes());
        let (status, body) = self.exchange(request).await?;
        match status {
            StatusCode::OK => Ok(Answer::Receipt(Envelope::parse(&body).map_err(|_| UploadError::Answer(WHAT, "a receipt"))?)),
            StatusCode::FAILED_DEPENDENCY => Ok(Answer::Missing(parse::<Missing>(&body, WHAT, "a list of missing blobs")?.missing)),
            StatusCode::CONFLICT if problem(&body).0 == "fork" => Ok(Answer::Fork),
            other => Err(refused(WHAT, other, &body)),
        }
    }

    /// Sends a blob.
    pub async fn put_blob(&self, address: &Address, frame: Vec<u8>) -> Result<(), UploadError> {
        let (status, body) = self.exchange(self.http.put(format!("{}/v1/blobs/{address}", self.base)).body(frame)).await?;
        if status.is_success() { Ok(()) } else { Err(refused("a blob", status, &body)) }
    }

    /// Says that the host is there.
    pub async fn heartbeat(&self, heartbeat: &Heartbeat) -> Result<HeartbeatAnswer, UploadError> {
        const WHAT: &str = "the heartbeat";
        let (status, body) = self.exchange(self.http.post(format!("{}/v1/heartbeat", self.base)).json(heartbeat)).await?;
        if status.is_success() { parse(&body, WHAT, "a heartbeat answer") } else { Err(refused(WHAT, status, &body)) }
    }

    async fn exchange(&self, request: reqwest::RequestBuilder) -> Result<(StatusCode, Vec<u8>), UploadError> {
        exchange(&self.base, request).await
    }
}

/// An HTTP client that speaks to nobody but the collector: no proxy, no redirection.
pub(super) fn http_client(tls: rustls::ClientConfig, base: &str) -> Result<reqwest::Client, UploadError> {
    pki::install_provider();
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .https_only(true)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(EXCHANGE_TIMEOUT)
        .pool_idle_timeout(Duration::from_secs(30))
        .user_agent(concat!("assay/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|e| UploadError::Connection(base.into(), chain(&e)))
}

/// One exchange; the answer's body is read up to a bound.
pub(super) async fn exchange(base: &str, request: reqwest::RequestBuilder) -> Result<(StatusCode, Vec<u8>), UploadError> {
    let broken = |e: reqwest::Error| UploadError::Connection(base.into(), chain(&e.without_url()));
    let mut response: Response = request.send().await.map_err(broken)?;
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(broken)? {
        if body.len() + chunk.len() > MAX_ANSWER {
            return Err(UploadError::Answer("a request", "at most 512 KiB"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok((response.status(), body))
}

pub(super) fn parse<T: DeserializeOwned>(body: &[u8], what: &'static str, expected: &'static str) -> Result<T, UploadError> {
    serde_json::from_slice(body).map_err(|_| UploadError::Answer(what, expected))
}

pub(super) fn refused(what: &'static str, status: StatusCode, body: &[u8]) -> UploadError {
    let (id, message) = problem(body);
    UploadError::Refused { what, status: status.as_u16(), id, message }
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
    at.to_string()
}

/// The wait before the next attempt after `failures` in a row: doubles up to [`BACKOFF_CAP`],
/// then between half and all of it, so that hosts don't come back together.
pub fn backoff(failures: u32, seed: &Digest) -> Duration {
    let full = BACKOFF_FIRST.saturating_mul(1 << failures.saturating_sub(1).min(10)).min(BACKOFF_CAP);
    let byte = seed.bytes().get(failures as usize % 32).copied().unwrap_or(0);
    full / 2 + full / 2 * u32::from(byte) / 255
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn back_off_doubles_is_capped_and_spread() {
        let (low, high) = (Digest::new([0; 32]), Digest::new([255; 32]));
        assert_eq!(backoff(1, &high), Duration::from_secs(5));
        assert_eq!(backoff(2, &high), Duration::from_secs(10));
        assert_eq!(backoff(1, &low), Duration::from_millis(2500));
        assert_eq!(backoff(u32::MAX, &high), BACKOFF_CAP);
        assert_eq!(backoff(40, &low), BACKOFF_CAP / 2);
    }

    #[test]
    fn a_refusal_is_shown_short_and_printable() {
        let body = format!("{{\"error\":\"bad\\u001b[31m\",\"message\":\"{}\"}}", "x".repeat(900));
        let shown = refused("the report", StatusCode::BAD_REQUEST, body.as_bytes()).to_string();
        assert!(shown.starts_with("collector refused the report: 400 bad[31m: xxx") && shown.len() < 300, "{shown}");
        assert!(refused("x", StatusCode::BAD_GATEWAY, b"<html>").to_string().contains("502"));
    }
}
