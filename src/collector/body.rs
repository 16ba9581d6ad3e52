//! Who speaks, and the bytes they send: authorised first, then read within bounds.

use std::borrow::Cow;
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
use crate::model::blob;
use crate::model::ids::HostId;
use crate::pki::RENEWABLE;

/// Longest time for a body to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(45);
/// Longest silence within a body.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest wait for memory or a turn.
const TURN_TIMEOUT: Duration = Duration::from_secs(15);
/// Largest refused body that is read and thrown away, bytes: twice the largest that is taken, so that who is over a limit by a little hears
/// of it.
const DRAIN_LIMIT: usize = 2 * blob::MAX_FRAME;
/// Longest time for that.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// What the client certificate of a connection says; rustls has verified it, but for its age.
#[derive(Clone, Copy, Debug)]
pub struct Shown {
    /// Id of its key.
    pub host: HostId,
    /// Its key, Ed25519.
    pub public_key: [u8; 32],
    /// Last second of its validity, Unix seconds.
    pub not_after: i64,
}

/// Who made the connection; `None` without a certificate.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub Option<Shown>);

impl Peer {
    /// The enrolled host that speaks.
    pub async fn host(self, app: &App) -> Result<Arc<HostKey>, ApiError> {
        let shown = self.0.ok_or(ApiError::CertificateRequired)?;
        if shown.not_after < clock::unix_now() {
            return Err(ApiError::CertificateExpired);
        }
        app.find_host(&shown.host).await?.ok_or(ApiError::UnknownHost)
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
    pub bytes: Vec<u8>,
    _memory: OwnedSemaphorePermit,
}

/// Media type of the blobs' bodies (RFC 8878 section 7).
pub const ZSTD: &str = "application/zstd";
/// Media type of a signed note.
pub const TEXT: &str = "text/plain";
/// Media type of every other body.
pub const JSON: &str = "application/json";

/// The content of a body that may be compressed with zstd (`Content-Encoding`, RFC 8878 section 7.2), at most `limit` bytes.
pub fn plain<'b>(headers: &HeaderMap, bytes: &'b [u8], limit: usize) -> Result<Cow<'b, [u8]>, ApiError> {
    match headers.get(header::CONTENT_ENCODING).map(|v| v.as_bytes()) {
        None => Ok(Cow::Borrowed(bytes)),
        Some(b"zstd") => zstd::bulk::decompress(bytes, limit).map(Cow::Owned).map_err(|e| ApiError::malformed("the body's encoding", &e)),
        Some(_) => Err(ApiError::MediaType("encoded as zstd, or not at all")),
    }
}

/// Reads a body of at most `limit` bytes and of this media type, if the request names one. Its length must be announced; memory is granted as the
/// bytes come, so that who announces much and sends nothing holds nothing.
pub async fn receive(app: &App, headers: &HeaderMap, body: Body, media: &'static str, limit: usize) -> Result<Received, ApiError> {
    let named = headers.get(header::CONTENT_TYPE).map(|v| v.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim());
    if named.is_some_and(|named| !named.eq_ignore_ascii_case(media)) {
        return Err(refuse(headers, body, ApiError::MediaType(media)).await);
    }
    let length = announced(headers).ok_or(ApiError::LengthRequired)?;
    if length > limit {
        return Err(refuse(headers, body, ApiError::TooLarge(limit)).await);
    }
    let reading = read(app, body, length);
    timeout(BODY_TIMEOUT, reading).await.map_err(|_| ApiError::Slow(BODY_TIMEOUT.as_secs()))?
}

async fn read(app: &App, mut body: Body, length: usize) -> Result<Received, ApiError> {
    let mut memory = grant(app, 1).await?;
    let mut bytes = Vec::new();
    while let Some(data) = next(&mut body).await? {
        let needed = (bytes.len() + data.len()).div_ceil(BODY_UNIT);
        if needed > memory.num_permits() {
            memory.merge(grant(app, needed - memory.num_permits()).await?);
        }
        bytes.extend_from_slice(&data);
    }
    if bytes.len() != length {
        return Err(ApiError::Incomplete);
    }
    Ok(Received { bytes, _memory: memory })
}

/// The next piece of a body; `None` at its end.
async fn next(body: &mut Body) -> Result<Option<Bytes>, ApiError> {
    loop {
        let frame = std::future::poll_fn(|context| Pin::new(&mut *body).poll_frame(context));
        match timeout(SILENCE_TIMEOUT, frame).await.map_err(|_| ApiError::Slow(SILENCE_TIMEOUT.as_secs()))? {
            None => return Ok(None),
            Some(Err(_)) => return Err(ApiError::Incomplete),
            Some(Ok(frame)) => {
                // Trailers are not data, and nothing of ours.
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
        }
    }
}

async fn grant(app: &App, units: usize) -> Result<OwnedSemaphorePermit, ApiError> {
    let units = u32::try_from(units).map_err(|_| ApiError::Busy)?;
    timeout(TURN_TIMEOUT, app.limits.bodies.clone().acquire_many_owned(units)).await.map_err(|_| ApiError::Busy)?.map_err(|_| ApiError::Busy)
}

fn announced(headers: &HeaderMap) -> Option<usize> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Lets a refused body run off, if it is one that an agent may send, so that the sender hears the
/// refusal and not a broken connection, which it would take for a reason to try again.
pub async fn refuse(headers: &HeaderMap, mut body: Body, refusal: ApiError) -> ApiError {
    if announced(headers).is_some_and(|length| length <= DRAIN_LIMIT) {
        let drain = async { while let Ok(Some(_)) = next(&mut body).await {} };
        // Whether it ran off or not, the refusal stands.
        let _ = timeout(DRAIN_TIMEOUT, drain).await;
    }
    refusal
}

/// A turn at something that only so many may do at once; `Busy` when it does not come in time.
pub async fn turn(semaphore: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, ApiError> {
    timeout(TURN_TIMEOUT, semaphore.clone().acquire_owned()).await.map_err(|_| ApiError::Busy)?.map_err(|_| ApiError::Busy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_compressed_body_is_unpacked_within_its_limit() {
        let encoded = |word: &str| HeaderMap::from_iter([(header::CONTENT_ENCODING, word.parse().unwrap())]);
        let small = zstd::bulk::compress(b"{}", 3).unwrap();
        assert_eq!(plain(&encoded("zstd"), &small, 16).unwrap().as_ref(), b"{}");
        assert_eq!(plain(&HeaderMap::new(), b"{}", 16).unwrap().as_ref(), b"{}");
        let bomb = zstd::bulk::compress(&vec![b'['; 64 << 20], 19).unwrap();
        assert!(bomb.len() < 16 << 10);
        for (word, bytes) in [("zstd", &bomb[..]), ("zstd", &small[..small.len() - 1]), ("zstd", b"{}"), ("gzip", b"{}")] {
            assert!(plain(&encoded(word), bytes, 64 << 10).is_err(), "{word}");
        }
    }
}
