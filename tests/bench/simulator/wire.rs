//! A connection whose bytes are counted, and what a phase of the simulation cost.

use std::pin::Pin;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::Collector;

/// Bytes that all connections sent and received, TLS included, TCP and IP not.
pub static SENT: AtomicU64 = AtomicU64::new(0);
pub static RECEIVED: AtomicU64 = AtomicU64::new(0);

/// A counted connection.
pub struct Counted(pub TcpStream);

impl AsyncRead for Counted {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        let before = buffer.filled().len();
        let result = Pin::new(&mut self.0).poll_read(context, buffer);
        RECEIVED.fetch_add((buffer.filled().len() - before) as u64, Ordering::Relaxed);
        result
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        let result = Pin::new(&mut self.0).poll_write(context, bytes);
        if let Poll::Ready(Ok(count)) = &result {
            SENT.fetch_add(*count as u64, Ordering::Relaxed);
        }
        result
    }
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

/// Measures one phase.
pub struct Phase {
    name: String,
    begun: Instant,
    collector: Duration,
    own: Duration,
    sent: u64,
    received: u64,
    disk: u64,
    waits: Mutex<Vec<Duration>>,
    pub refused: AtomicU64,
    pub failed: AtomicU64,
}

impl Phase {
    pub fn begin(name: impl Into<String>, collector: &Collector) -> Self {
        Self {
            name: name.into(),
            begun: Instant::now(),
            collector: collector.cost().0,
            own: super::cpu(std::process::id()),
            sent: SENT.load(Ordering::Relaxed),
            received: RECEIVED.load(Ordering::Relaxed),
            disk: collector.disk(),
            waits: Mutex::default(),
            refused: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        }
    }

    /// One wait for an acknowledgement.
    pub fn waited(&self, wait: Duration) {
        self.waits.lock().unwrap().push(wait);
    }

    /// Prints what it cost.
    pub fn end(self, collector: &Collector) {
        let mut waits = self.waits.into_inner().unwrap();
        waits.sort();
        let count = waits.len().max(1);
        let each = |total: u64| total as f64 / count as f64;
        let share = |of: f64| waits.get(((count as f64 - 1.0) * of) as usize).map_or(0.0, |w| w.as_secs_f64() * 1000.0);
        let wall = self.begun.elapsed().as_secs_f64();
        let (cpu, peak) = collector.cost();
        println!(
            "{:<22} {:>7.1} s {:>8.1}/s  p50 {:>7.1} ms  p99 {:>7.1} ms  collector {:>6.2} ms cpu each ({:.1} s), peak {} MiB  simulator {:>5.2} ms each  wire {:>6.0} B out {:>6.0} B in  disk {:>6.0} B  refused {} failed {}",
            self.name,
            wall,
            count as f64 / wall,
            share(0.5),
            share(0.99),
            (cpu - self.collector).as_secs_f64() * 1000.0 / count as f64,
            (cpu - self.collector).as_secs_f64(),
            peak,
            (super::cpu(std::process::id()) - self.own).as_secs_f64() * 1000.0 / count as f64,
            each(SENT.load(Ordering::Relaxed) - self.sent),
            each(RECEIVED.load(Ordering::Relaxed) - self.received),
            each(collector.disk().saturating_sub(self.disk)),
            self.refused.into_inner(),
            self.failed.into_inner(),
        );
    }
}
