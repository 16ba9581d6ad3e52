//! Two listeners: agents by mutual TLS, people by HTTPS (or plain HTTP on loopback).
//!
//! Handshake, head, body and life of every connection are bounded in time, their number in total,
//! so that silent, dripping or hanging peers cost a slot for a while and nothing else.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::Request;
use axum::middleware;
use axum::routing::{get, post, put};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt as _;

use super::app::App;
use super::body::{Peer, Shown};
use super::door::{Door, Stranger};
use super::error::ApiError;
use super::metrics::Meter;
use super::{admission, enrol, heartbeat, ingest, renew, resume, rotate};
use crate::model::ids::HostId;
use crate::pki::keys;

/// Longest TLS handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest time for a request's head, and for silence between requests: an agent that is done is
/// away for minutes, and thousands of such connections would fill every slot.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// A connection is asked to end after this long; new requests come on a new one.
const LIFETIME: Duration = Duration::from_secs(300);
/// How long requests under way may take after that, or after the order to stop.
const GRACE: Duration = Duration::from_secs(30);
/// Read buffer of a connection: no head of ours comes near it, bytes.
const MAX_BUFFER: usize = 32 << 10;
/// Most header lines of a request.
const MAX_HEADERS: usize = 64;
/// Wait after a failed accept (no file descriptors left).
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// The routes of the agents' listener.
pub fn agents_router(app: Arc<App>) -> Router {
    Router::new()
        .route("/v1/enrol", post(enrol::enrol))
        .route("/v1/reports", post(ingest::post_report))
        .route("/v1/blobs/{address}", put(ingest::put_blob))
        .route("/v1/heartbeat", post(heartbeat::heartbeat))
        .route("/v1/checkpoint", post(resume::checkpoint))
        .route("/v1/rotations", get(rotate::rotations))
        .route("/v1/renew", post(renew::renew))
        .fallback(|| async { ApiError::NotFound })
        .method_not_allowed_fallback(|| async { ApiError::NotFound })
        .layer(middleware::from_fn_with_state(app.clone(), admission::observe))
        .with_state(app)
}

/// Serves `router` until `stop` is true, then lets requests under way finish. `tls` absent: plain
/// HTTP.
pub async fn listen(listener: TcpListener, tls: Option<Arc<ServerConfig>>, router: Router, meter: Meter, mut stop: watch::Receiver<bool>) {
    let door = Door::new();
    let mut connections = JoinSet::new();
    while !*stop.borrow() {
        let accepted = tokio::select! {
            accepted = accept(&listener, &door) => accepted,
            _ = stop.changed() => break,
        };
        while connections.try_join_next().is_some() {}
        match accepted {
            Ok((stream, from, stranger)) => {
                connections.spawn(connection(stream, from, stranger, tls.clone(), router.clone(), meter.clone(), stop.clone()));
            }
            Err(e) => {
                tracing::warn!("a connection could not be accepted: {e}");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    let finish = async { while connections.join_next().await.is_some() {} };
    if timeout(GRACE, finish).await.is_err() {
        tracing::warn!("connections that did not end in time were cut");
    }
}

async fn accept(listener: &TcpListener, door: &Arc<Door>) -> std::io::Result<(TcpStream, SocketAddr, Stranger)> {
    // The slot comes first: without one, callers wait in the kernel's queue.
    let slot = door.slot().await?;
    let (stream, from) = listener.accept().await?;
    stream.set_nodelay(true)?;
    Ok((stream, from, door.admit(slot)))
}

async fn connection(
    stream: TcpStream,
    from: SocketAddr,
    stranger: Stranger,
    tls: Option<Arc<ServerConfig>>,
    router: Router,
    meter: Meter,
    stop: watch::Receiver<bool>,
) {
    let _open = meter.opened();
    let Some(config) = tls else {
        return strange(&stranger, from, serve(stream, from, Peer(None), router, stop)).await;
    };
    let handshake = async {
        match timeout(HANDSHAKE_TIMEOUT, TlsAcceptor::from(config).accept(stream)).await {
            Ok(Ok(stream)) => Some(stream),
            Ok(Err(e)) => {
                meter.failed();
                tracing::debug!(%from, "TLS handshake failed: {e}");
                None
            }
            Err(_) => {
                meter.failed();
                tracing::debug!(%from, "TLS handshake took too long");
                None
            }
        }
    };
    let Some(stream) = strange(&stranger, from, handshake).await else { return };
    let Some(peer) = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first()).and_then(|leaf| shown(leaf)) else {
        return strange(&stranger, from, serve(stream, from, Peer(None), router, stop)).await;
    };
    let host = peer.host;
    let guest = stranger.introduce(host);
    tokio::select! {
        () = serve(stream, from, Peer(Some(peer)), router, stop) => {}
        () = guest.sent_away() => tracing::debug!(%from, %host, "sent away: the host has newer connections"),
    }
}

/// Goes on with a connection that has shown no certificate until it is sent away.
async fn strange<T: Default>(stranger: &Stranger, from: SocketAddr, work: impl Future<Output = T>) -> T {
    tokio::select! {
        done = work => done,
        () = stranger.sent_away() => {
            tracing::debug!(%from, "sent away: too many connections without a certificate");
            T::default()
        }
    }
}

/// Key and end of a certificate (DER) that rustls has verified.
fn shown(certificate: &[u8]) -> Option<Shown> {
    let (_, certificate) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let spki = certificate.public_key().raw;
    Some(Shown { host: HostId::of_spki(spki), public_key: keys::raw_of(spki)?, not_after: certificate.validity().not_after.timestamp() })
}

async fn serve<S>(stream: S, from: SocketAddr, peer: Peer, router: Router, mut stop: watch::Receiver<bool>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(peer);
        request.extensions_mut().insert(ConnectInfo(from));
        router.clone().oneshot(request)
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(MAX_BUFFER).max_headers(MAX_HEADERS);
    let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = connection.as_mut() => Some(ended),
        () = sleep(LIFETIME) => None,
        _ = stop.wait_for(|stop| *stop) => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            connection.as_mut().graceful_shutdown();
            timeout(GRACE, connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(e) = ended {
        tracing::debug!(%from, "connection ended: {e}");
    }
}
