//! The operations listener: `/metrics`, `/healthz` (the process lives), `/readyz` (it can do its work; names what is wrong).
//!
//! Plain HTTP without sign-in, so it is a listener of its own, off unless configured, on a loopback address or for named
//! addresses only. It tells counts and the state of this process, of no host and no person.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::app::{App, BODY_UNIT};
use super::metrics::{OPEN_METRICS, State as StateLabel, TEXT};
use super::store::HostState;
use crate::config::collector::Network;
use crate::host::clock;
use crate::ledger::Leaf;
use crate::model::ids::Digest;

/// Longest wait for the store.
const STORE_TIMEOUT: Duration = Duration::from_secs(5);
/// Checks are made anew after this: a probe must not become a load.
const CHECKS_FOR: Duration = Duration::from_secs(5);
/// Hosts are counted anew after this: there may be a hundred thousand.
const HOSTS_FOR: Duration = Duration::from_secs(60);
/// A leaf that has waited longer for its number means that the ledger stands still, seconds.
const STANDSTILL: i64 = 30;
/// Less room than this on the file system of the data folder is not enough to go on, bytes.
const LEAST_ROOM: u64 = 256 << 20;

/// One thing that must be so.
#[derive(Clone, Debug, Serialize)]
pub struct Check {
    /// `store`, `ledger`, `disk` or `lists`.
    pub name: &'static str,
    /// Whether it is.
    pub ok: bool,
    /// What was seen, and what to do.
    pub detail: String,
}

#[derive(Debug)]
struct Operations {
    app: Arc<App>,
    from: Vec<Network>,
    checks: Mutex<Option<(Instant, Vec<Check>)>>,
    counted: Mutex<Option<Instant>>,
}

/// The routes of the operations listener; `from` empty: everybody who reaches it.
pub fn router(app: Arc<App>, from: Vec<Network>) -> Router {
    let operations = Arc::new(Operations { app, from, checks: Mutex::default(), counted: Mutex::default() });
    Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .layer(middleware::from_fn_with_state(operations.clone(), guard))
        .with_state(operations)
}

async fn guard(State(operations): State<Arc<Operations>>, request: Request, next: Next) -> Response {
    let from = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|c| canonical(c.0.ip()));
    if operations.from.is_empty() || from.is_some_and(|ip| operations.from.iter().any(|n| n.holds(ip))) {
        return next.run(request).await;
    }
    (StatusCode::FORBIDDEN, "this address is not in operations_from\n").into_response()
}

/// An IPv4 caller of a listener for both families.
fn canonical(ip: IpAddr) -> IpAddr {
    ip.to_canonical()
}

async fn ready(State(operations): State<Arc<Operations>>) -> Response {
    let mut kept = operations.checks.lock().await;
    let checks = match kept.as_ref() {
        Some((at, checks)) if at.elapsed() < CHECKS_FOR => checks.clone(),
        _ => {
            let checks = check(&operations.app).await;
            *kept = Some((Instant::now(), checks.clone()));
            checks
        }
    };
    let ready = checks.iter().all(|c| c.ok);
    for check in checks.iter().filter(|c| !c.ok) {
        tracing::warn!(check = check.name, "not ready: {}", check.detail);
    }
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(serde_json::json!({ "checks": checks, "ready": ready }))).into_response()
}

pub(super) async fn check(app: &App) -> Vec<Check> {
    vec![store(app).await, ledger(app).await, disk(app), lists(app)]
}

/// A file that can't be read is told and stops nothing: an older version is in force. The log names the place, which may hold a person's name.
fn lists(app: &App) -> Check {
    let refused: Vec<String> = app.refused.all().into_iter().map(|(list, at)| format!("{list} since {at} (Unix time)")).collect();
    let detail = match refused.as_slice() {
        [] => "what the files say is in force".to_string(),
        _ => format!("older versions are in force, for these can't be read: {}; the log says where", refused.join(", ")),
    };
    Check { name: "lists", ok: true, detail }
}

/// A real write: a database that only reads answers everything else.
async fn store(app: &App) -> Check {
    let now = clock::unix_now();
    let written = timeout(STORE_TIMEOUT, app.store.put_secret("ready", &Digest::of(b"ready"), "", now, 0)).await;
    let (ok, detail) = match written {
        Ok(Ok(())) => (true, "written to".to_string()),
        Ok(Err(e)) => (false, format!("can't be written: {e}; see the database's own log")),
        Err(_) => (false, format!("did not take a write within {} s; see the database's own log", STORE_TIMEOUT.as_secs())),
    };
    Check { name: "store", ok, detail }
}

async fn ledger(app: &App) -> Check {
    let oldest = match timeout(STORE_TIMEOUT, app.store.pending_leaves(1)).await {
        Ok(Ok(leaves)) => leaves.first().map(|leaf| Leaf::parse(&leaf.bytes).map(|leaf| leaf.at)),
        Ok(Err(e)) => return Check { name: "ledger", ok: false, detail: format!("can't be asked: {e}") },
        Err(_) => return Check { name: "ledger", ok: false, detail: "can't be asked: the store does not answer".into() },
    };
    let (ok, detail) = match oldest {
        None => (true, "nothing waits".to_string()),
        Some(Ok(at)) if clock::unix_now().saturating_sub(at) <= STANDSTILL => (true, "entries are being numbered".to_string()),
        Some(Ok(at)) => (false, format!("an entry waits since {at} (Unix time): the ledger stands still; the log says why")),
        Some(Err(e)) => (false, format!("the entry that waits can't be read: {e}")),
    };
    Check { name: "ledger", ok, detail }
}

fn disk(app: &App) -> Check {
    let folder = app.store.folder();
    let (ok, detail) = match room(folder) {
        Ok((bytes, _)) if bytes < LEAST_ROOM => (false, format!("{} has {} MiB left; free some or enlarge it", folder.display(), bytes >> 20)),
        Ok((_, Some(0))) => (false, format!("{} has no inodes left; remove files", folder.display())),
        Ok((bytes, _)) => (true, format!("{} MiB left", bytes >> 20)),
        Err(e) => (false, format!("{}: {e}", folder.display())),
    };
    Check { name: "disk", ok, detail }
}

/// Bytes and inodes that are left for this process; `None`: the file system does not count inodes.
fn room(folder: &std::path::Path) -> std::io::Result<(u64, Option<u64>)> {
    let fs = rustix::fs::statvfs(folder)?;
    Ok((fs.f_bavail.saturating_mul(fs.f_frsize), (fs.f_files > 0).then_some(fs.f_favail)))
}

async fn metrics(State(operations): State<Arc<Operations>>, headers: HeaderMap) -> Response {
    let (app, metrics) = (&operations.app, &operations.app.metrics);
    let gauge = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    metrics.leaves.set(gauge(*app.sequencer.size().borrow()));
    metrics.leads.set(i64::from(app.sequencer.leads()));
    metrics.body_memory.set(gauge((app.limits.body_units_in_use() * BODY_UNIT) as u64));
    if let Ok((bytes, _)) = room(app.store.folder()) {
        metrics.disk_free.set(gauge(bytes));
    }
    // A store that does not answer leaves the last values: /readyz says so.
    if let Ok(Ok(count)) = timeout(STORE_TIMEOUT, app.store.pending_count()).await {
        metrics.pending.set(gauge(count));
    }
    count_hosts(&operations).await;
    let open = headers.get_all(header::ACCEPT).iter().any(|v| v.to_str().is_ok_and(|v| v.contains("application/openmetrics-text")));
    let (kind, text) = if open { (OPEN_METRICS, metrics.open_metrics()) } else { (TEXT, metrics.text()) };
    match text {
        Ok(text) => ([(header::CONTENT_TYPE, kind)], text).into_response(),
        Err(e) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{e}\n")).into_response(),
    }
}

async fn count_hosts(operations: &Operations) {
    let mut counted = operations.counted.lock().await;
    if counted.is_some_and(|at| at.elapsed() < HOSTS_FOR) {
        return;
    }
    let Ok(Ok(hosts)) = timeout(STORE_TIMEOUT, operations.app.store.hosts(None)).await else { return };
    for state in [HostState::Active, HostState::Silent, HostState::Retired, HostState::Replaced] {
        let count = hosts.iter().filter(|h| h.state == state).count();
        operations.app.metrics.hosts.get_or_create(&StateLabel { state: state.word() }).set(i64::try_from(count).unwrap_or(i64::MAX));
    }
    *counted = Some(Instant::now());
}
