//! Who speaks, and the bytes they send: authorised first, then read within bounds.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, header};
use hyper::body::Body as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::app::{App, BODY_UNIT, HostKey};
use super::error::ApiError;
use crate::host::clock;
use crate::model::ids::HostId;
use crate::pki::RENEWABLE;

/// Longest time for a body to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(45);
/// Longest wait for memory or a turn.
const TURN_TIMEOUT: Duration = Duration::from_secs(15);

/// Bytes of a refused body that are read and thrown away.
const DRAIN_LIMIT: usize = 32 << 20;
/// Longest time for that.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// What the client certificate of a connection says; rustls has verified it, but for its age.
#[derive(Clone, Copy, Debug)]
pub struct Shown {
    /// Id of its key.
    pub host: HostId,
    /// Ed25519, 32 raw bytes.
    pub public_key: [u8; 32],
    /// Last second of its validity, Unix seconds.
    pub not_after: i64,
}

/// Who made the connection; `None` without a certificate.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub Option<Shown>);

impl Peer {
    /// The enrolled host that speaks.
    pub fn host(self, app: &App) -> Result<Arc<HostKey>, ApiError> {
        let shown = self.0.ok_or(ApiError::CertificateRequired)?;
        if shown.not_after < clock::unix_now() {
            return Err(ApiError::CertificateExpired);
        }
        app.keys.find(&shown.host).ok_or(ApiError::UnknownHost)
    }

    /// A host that may renew. Asked with each request: a resumed session brings back what was verified when it began.
    pub fn renewing(self) -> Result<Shown, ApiError> {
        let shown = self.0.ok_or(ApiError::CertificateRequired)?;
        let over = shown.not_after.saturating_add(RENEWABLE) < clock::unix_now();
        if over { Err(ApiError::CertificateExpired) } else { Ok(shown) }
    }
}

/// A body and the memory it was granted.
#[derive(Debug)]
pub struct Received {
    /// The bytes.
    pub bytes: Bytes,
    _memory: OwnedSemaphorePermit,
}

/// Reads a body of at most `limit` bytes. Its length must be announced, so that memory can be
/// granted before the first byte is read.
pub async fn receive(app: &App, headers: &HeaderMap, body: Body, limit: usize) -> Result<Received, ApiError> {
    let length = headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()).and_then(|v| v.parse::<usize>().ok());
    let length = length.ok_or(ApiError::LengthRequired)?;
    if length > limit {
        return Err(refuse(body, ApiError::TooLarge(limit)).await);
    }
    let units = u32::try_from(length.div_ceil(BODY_UNIT).max(1)).map_err(|_| ApiError::TooLarge(limit))?;
    let memory = timeout(TURN_TIMEOUT, app.limits.bodies.clone().acquire_many_owned(units)).await.map_err(|_| ApiError::Busy)?.map_err(|_| ApiError::Busy)?;
    let bytes = timeout(BODY_TIMEOUT, axum::body::to_bytes(body, limit)).await.map_err(|_| ApiError::Slow(BODY_TIMEOUT.as_secs()))?;
    Ok(Received { bytes: bytes.map_err(|_| ApiError::Incomplete)?, _memory: memory })
}

/// Lets a refused body run off, within bounds, so that the sender hears the refusal and not a
/// broken connection, which it would take for a reason to try again.
pub async fn refuse(mut body: Body, refusal: ApiError) -> ApiError {
    let drain = async {
        let mut left = DRAIN_LIMIT;
        while let Some(Ok(frame)) = std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
            let bytes = frame.data_ref().map_or(0, Bytes::len);
            match left.checked_sub(bytes) {
                Some(rest) => left = rest,
                None => break,
            }
        }
    };
    // Whether it ran off or not, the refusal stands.
    let _ = timeout(DRAIN_TIMEOUT, drain).await;
    refusal
}

/// A turn at something that only so many may do at once; `Busy` when it does not come in time.
pub async fn turn(semaphore: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, ApiError> {
    timeout(TURN_TIMEOUT, semaphore.clone().acquire_owned()).await.map_err(|_| ApiError::Busy)?.map_err(|_| ApiError::Busy)
}
