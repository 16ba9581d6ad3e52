//! Blobs and reports: checked, judged, committed, and only then acknowledged.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{Extension, Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::app::{App, HostKey};
use super::body::{self, Peer};
use super::error::ApiError;
use super::judge::{self, Plains};
use super::kept;
use super::metrics;
use super::store::{Accepted, BlobRow, NewReport, ReportRow, StoreError};
use super::verify;
use crate::host::clock;
use crate::model::blob::{self, Blob, BlobError};
use crate::model::envelope::Envelope;
use crate::model::ids::{Address, Digest, Salt};
use crate::model::report::{Report, ScanKind};

/// Largest envelope of a report, bytes: [`verify`] admits 64 families of some 250 bytes and 64 limits
/// of 64, a third more in base64.
const MAX_REPORT: usize = 64 << 10;
/// A frame that announces more is checked in a thread of its own, bytes.
const QUICK: usize = 128 << 10;
/// Compressed blobs of one report together, bytes.
const MAX_FRAMES: usize = 32 << 20;
/// Plain blobs of one report together, bytes.
const MAX_PLAINS: usize = 128 << 20;
/// Blobs of a host that no report names yet, bytes together.
const MAX_UNUSED: u64 = 64 << 20;
/// Longest wait for the ledger entry of a stored report.
const RECEIPT_TIMEOUT: Duration = Duration::from_secs(5);

/// `PUT /v1/blobs/ADDRESS`
pub async fn put_blob(
    State(app): State<Arc<App>>,
    Extension(peer): Extension<Peer>,
    Path(address): Path<String>,
    headers: HeaderMap,
    request: Body,
) -> Result<StatusCode, ApiError> {
    let host = peer.host(&app).await?;
    let address: Address = address.parse().map_err(|e| ApiError::malformed("the path", &e))?;
    let _turn = body::turn(&host.requests).await?;
    if app.store.unused_blob_bytes(&host.id).await? > MAX_UNUSED {
        return Err(body::refuse(&headers, request, ApiError::Quota(MAX_UNUSED)).await);
    }
    let received = body::receive(&app, &headers, request, body::ZSTD, blob::MAX_FRAME).await?;
    let frame = checked(&app, host.salt, address, received.bytes).await?;
    app.store.put_blob(&host.id, &BlobRow { address, frame }, clock::unix_now()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The frame, if it is the blob of this address.
async fn checked(app: &App, salt: Salt, address: Address, frame: Vec<u8>) -> Result<Vec<u8>, ApiError> {
    let refused = |e: BlobError| ApiError::Blob(e.to_string());
    if blob::announced(&frame).map_err(refused)? <= QUICK {
        blob::check(&salt, &address, &frame).map_err(refused)?;
        return Ok(frame);
    }
    let _turn = body::turn(&app.limits.checks).await?;
    let checking = tokio::task::spawn_blocking(move || blob::check(&salt, &address, &frame).map(|()| frame));
    checking.await.map_err(|e| ApiError::Internal(e.to_string()))?.map_err(refused)
}

/// `POST /v1/reports`
pub async fn post_report(State(app): State<Arc<App>>, Extension(peer): Extension<Peer>, headers: HeaderMap, request: Body) -> Result<Response, ApiError> {
    let host = peer.host(&app).await?;
    let _turn = body::turn(&host.requests).await?;
    let received = body::receive(&app, &headers, request, body::JSON, MAX_REPORT).await?;
    let begun = Instant::now();
    let (envelope, report, id) = verify::report(&host, &body::plain(&headers, &received.bytes, MAX_REPORT)?)?;
    match app.store.report_at(&host.id, &report.lineage, report.sequence).await? {
        Some(known) if known == id => {
            app.metrics.duplicates.inc();
            return receipt(&app, &id, None).await;
        }
        Some(_) => {
            tracing::warn!(host = %host.id, lineage = %report.lineage, sequence = report.sequence, "fork: a second report with the same number");
            app.metrics.forks.inc();
            app.store.note_fork(&host.id, &report.lineage, report.sequence, &id, clock::unix_now()).await?;
            return Err(ApiError::Fork);
        }
        None => {}
    }
    let new = judged(&app, &host, envelope, report, id).await?;
    let (received, kind, addresses) = (new.row.received, new.row.kind, new.report.addresses());
    // Asked for before the report can be numbered.
    let awaited = app.sequencer.receipt_of(id);
    let accepted = app.store.accept(new).await;
    match accepted {
        Ok(Accepted::New) => {
            app.metrics.accepted.inc();
            app.metrics.ingest.observe(metrics::seconds(begun.elapsed()));
            app.sequencer.wake();
            app.contacts.note(host.id, received, "");
            if kind == ScanKind::OnDemand {
                app.scan_requests.done(&host.id);
            }
        }
        // Stored by another request a moment ago: its receipt may have been handed out before this one asked.
        Ok(Accepted::Known) => {
            app.metrics.duplicates.inc();
            return receipt(&app, &id, None).await;
        }
        Ok(Accepted::Fork) => return Err(ApiError::Fork),
        Ok(Accepted::Retired) => {
            app.keys.remove(&host.id);
            return Err(ApiError::Retired);
        }
        Err(StoreError::BlobsMissing(_)) => return Err(ApiError::Missing(app.store.missing_blobs(&host.id, &addresses).await?)),
        Err(e) => return Err(e.into()),
    }
    receipt(&app, &id, Some(awaited)).await
}

/// The report with the collector's own verdicts.
async fn judged(app: &Arc<App>, host: &Arc<HostKey>, envelope: Envelope, report: Report, id: Digest) -> Result<NewReport, ApiError> {
    let addresses = report.addresses();
    let missing = app.store.missing_blobs(&host.id, &addresses).await?;
    if !missing.is_empty() {
        return Err(ApiError::Missing(missing));
    }
    let _turn = body::turn(&app.limits.judges).await?;
    if app.store.frame_bytes(&host.id, &addresses).await? > MAX_FRAMES as u64 {
        return Err(ApiError::TooLarge(MAX_FRAMES));
    }
    let frames = app.store.frames(&host.id, &addresses).await?;
    if let Some(swept) = addresses.iter().find(|a| !frames.iter().any(|(here, _)| here == *a)) {
        return Err(ApiError::Missing(vec![*swept]));
    }
    let known = app.store.kept_states(&host.id).await?;
    let (app, host) = (app.clone(), host.clone());
    let received = clock::unix_now();
    let task = tokio::task::spawn_blocking(move || {
        let begun = Instant::now();
        let plains = inflate(&host, &frames)?;
        let observation = judge::observation(&report, &plains);
        let basis = app.basis.now();
        let advisories = judge::advisories(&basis, &observation);
        let findings = judge::judge(&basis, &report, &observation, advisories.as_ref());
        let kept = kept::extract(&basis, &report, &observation, advisories.as_ref(), &known, report.times.finished.min(received));
        let looked_at = crate::rules::looked_at(&observation);
        app.metrics.judge.observe(metrics::seconds(begun.elapsed()));
        let row = ReportRow {
            id,
            host: report.host,
            lineage: report.lineage,
            sequence: report.sequence,
            kind: report.scan.kind,
            window: report.scan.window.clone(),
            state: report.scan.state,
            started: report.times.started,
            finished: report.times.finished,
            received,
            counts: crate::model::finding::Counts::of(&findings),
            disagrees: judge::disagrees(&basis, &report, &plains, &findings),
            envelope: envelope.to_bytes(),
            leaf: None,
        };
        Ok(NewReport { os: judge::os_name(&observation), row, report, findings, needs: basis.needs.clone(), basis: basis.digest, looked_at, kept })
    });
    // A panic of the engine is a defect of ours: the host keeps its report and sends it again.
    task.await.map_err(|e| ApiError::Internal(e.to_string()))?
}

fn inflate(host: &HostKey, frames: &[(Address, Vec<u8>)]) -> Result<Plains, ApiError> {
    let mut plains = Plains::new();
    let mut bytes = 0;
    for (address, frame) in frames {
        // Checked when it came; checked again, for a disk may lie.
        let blob = Blob::open(&host.salt, address, frame).map_err(|e| ApiError::Internal(format!("stored blob: {e}")))?;
        bytes += blob.plain.len();
        if bytes > MAX_PLAINS {
            return Err(ApiError::TooLarge(MAX_PLAINS));
        }
        plains.insert(*address, blob.plain);
    }
    Ok(plains)
}

/// Waits until the report's leaf is published and answers its receipt: the same bytes each time. `awaited` is for a
/// report that was stored just now; any other is looked up.
async fn receipt(app: &App, id: &Digest, awaited: Option<oneshot::Receiver<Vec<u8>>>) -> Result<Response, ApiError> {
    let mut size = app.sequencer.size();
    let fresh = awaited.is_some();
    let mut awaited = awaited.unwrap_or_else(|| app.sequencer.receipt_of(*id));
    let mut look = !fresh || !app.sequencer.leads();
    let wait = async {
        loop {
            size.borrow_and_update();
            if look
                && let Some((leaf, receipt)) = app.store.receipt(id).await?
                && leaf < *size.borrow()
            {
                return Ok(receipt);
            }
            tokio::select! {
                biased;
                receipt = &mut awaited => return receipt.map_err(|_| ApiError::ReceiptPending),
                changed = size.changed() => changed.map_err(|_| ApiError::ReceiptPending)?,
            }
            // Another collector numbers and hands out nothing here; or the lease moved meanwhile.
            look = !fresh || !app.sequencer.leads();
        }
    };
    let receipt = timeout(RECEIPT_TIMEOUT, wait).await.map_err(|_| ApiError::ReceiptPending)??;
    Ok((StatusCode::OK, [(header::CONTENT_TYPE, "application/json")], receipt).into_response())
}
