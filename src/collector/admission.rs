//! Around every request of an agent: counting, and telling those who come too many when to come back.
//!
//! A refusal for want of room carries `Retry-After`. Its waits are spread evenly, so that those who
//! were turned away together do not come back together, and the span grows with their number: a
//! hundred thousand hosts after an outage are spread over minutes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;

use super::app::App;
use super::error::Refusal;
use super::metrics::{self, What, Why};

/// Those turned away are spread so that about so many come back in a second.
const RETURNS_PER_SECOND: u64 = 200;
/// Shortest wait, seconds.
const LEAST: u64 = 5;
/// Narrowest span of waits, seconds.
const NARROWEST: u64 = 30;
/// Widest span of waits, seconds.
const WIDEST: u64 = 900;
/// Time over which those turned away are counted.
const WINDOW: Duration = Duration::from_secs(60);

/// Counts who is turned away.
#[derive(Debug, Default)]
pub struct Admission {
    turned_away: Mutex<Option<Windows>>,
    turn: AtomicU64,
}

#[derive(Clone, Copy, Debug)]
struct Windows {
    begun: Instant,
    now: u64,
    before: u64,
}

impl Admission {
    /// How long one more who is turned away at `at` is to wait, seconds.
    pub fn wait(&self, at: Instant) -> u64 {
        let span = (self.count(at) / RETURNS_PER_SECOND).clamp(NARROWEST, WIDEST);
        // Multiples of the golden ratio fill the span evenly, in whatever number they come.
        let turn = self.turn.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        LEAST + ((turn * span) >> 32)
    }

    fn count(&self, at: Instant) -> u64 {
        let mut windows = self.turned_away.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = Windows { begun: at, now: 0, before: 0 };
        let mut current = windows.unwrap_or(fresh);
        let age = at.saturating_duration_since(current.begun);
        if age >= WINDOW * 2 {
            current = fresh;
        } else if age >= WINDOW {
            current = Windows { before: current.now, ..fresh };
        }
        current.now += 1;
        *windows = Some(current);
        current.now.max(current.before)
    }
}

/// Counts a request and its answer.
pub async fn observe(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let route = route(request.uri().path());
    let length = request.headers().get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
    let begun = Instant::now();
    let mut response = next.run(request).await;
    if let Some(Refusal(reason)) = response.extensions().get::<Refusal>() {
        app.metrics.refused.get_or_create(&Why { reason }).inc();
    } else {
        app.metrics.requests.get_or_create(&What { route }).inc();
        app.metrics.received.inc_by(length.unwrap_or(0));
        if route == "report" {
            app.metrics.acknowledgement.observe(metrics::seconds(begun.elapsed()));
        }
    }
    if matches!(response.status(), StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
        response.headers_mut().entry(header::RETRY_AFTER).or_insert(HeaderValue::from(app.admission.wait(begun)));
    }
    response
}

fn route(path: &str) -> &'static str {
    match path {
        "/v1/reports" => "report",
        "/v1/heartbeat" => "heartbeat",
        "/v1/enrol" => "enrol",
        "/v1/renew" => "renew",
        path if path.starts_with("/v1/blobs/") => "blob",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_turned_away_are_spread_and_the_more_the_wider() {
        let (admission, at) = (Admission::default(), Instant::now());
        let few: Vec<u64> = (0..300).map(|_| admission.wait(at)).collect();
        assert!(few.iter().all(|w| (LEAST..LEAST + NARROWEST).contains(w)));
        let mut seconds = [0; (LEAST + NARROWEST) as usize];
        few.iter().for_each(|w| seconds[usize::try_from(*w).unwrap()] += 1);
        assert!(seconds[LEAST as usize..].iter().all(|n| (8..=12).contains(n)), "evenly: {seconds:?}");
        for _ in 0..100_000 {
            admission.wait(at);
        }
        let late: Vec<u64> = (0..1000).map(|_| admission.wait(at + WINDOW)).collect();
        let most = *late.iter().max().unwrap();
        assert!((490..=510).contains(&most), "a hundred thousand within about 500 s: {most}");
        assert!(admission.wait(at + WINDOW * 4) < LEAST + NARROWEST, "and forgotten when it is over");
    }
}
