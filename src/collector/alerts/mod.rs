//! What is told to the outside, when it changed and once.
//!
//! ```text
//! verdict --same transaction--> fresh failure --+
//! hosts, scans, waivers, records, health -------+-> message -> one letter per target -> webhook | mail | syslog
//!        what was told and is still so (alerted)     (outbox, same transaction)           until the receiver took it
//! ```
//! A letter keeps its id over all attempts: who acknowledged and hears it again (the collector died in between) knows it. Failures gather for a
//! minute, so that a new rule which fails on 500 hosts is one message.

mod deliver;
mod digest;
mod gather;
mod mail;
pub mod message;
mod syslog;
pub mod target;
mod webhook;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;

pub use deliver::{backoff, deliver};
pub use digest::gather as gather_digest;
pub use gather::{Known, gather_failures, gather_records, gather_scans, gather_silence, gather_trouble};
pub use message::{Item, Message};
pub use target::{NewTarget, Target, add, places, test};

use super::App;
use super::store::StoreError;
use crate::host::clock;

/// Letters are looked for this often.
const TICK: Duration = Duration::from_secs(5);
/// Hosts and health are looked at every so many ticks, records and scans every so many.
const OFTEN: u32 = 6;
const SELDOM: u32 = 120;
/// After a start silence is judged once hosts had time to be heard again, seconds.
const SETTLE: i64 = 30 * 60;
/// Letters that were delivered or given up are kept so long, seconds.
const KEEP: i64 = 30 * 86_400;

/// Why nothing was sent.
#[derive(Debug, thiserror::Error)]
pub enum AlertError {
    /// The target makes no sense; one fragment.
    #[error("{0}")]
    Bad(String),
    /// The receiver, or the way to it.
    #[error("{0}")]
    Receiver(String),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The key or password does not open.
    #[error(transparent)]
    Seal(#[from] super::seal::SealError),
}

/// Gathers and delivers until `stop`.
pub async fn follow(app: Arc<App>, mut stop: watch::Receiver<bool>) {
    let (began, mut ticks) = (clock::unix_now(), 0_u32);
    while !*stop.borrow() {
        let now = clock::unix_now();
        if let Err(e) = round(&app, began, ticks, now).await {
            tracing::error!("alerts were not gathered and will be: {e}");
        }
        if let Err(e) = deliver(&app, now).await {
            tracing::error!("letters were not looked for: {e}");
        }
        ticks = ticks.wrapping_add(1);
        tokio::select! {
            () = sleep(TICK) => {}
            _ = stop.changed() => {}
        }
    }
}

async fn round(app: &App, began: i64, ticks: u32, now: i64) -> Result<(), AlertError> {
    gather_failures(app, &|_| Known::New, now).await?;
    if ticks % OFTEN == 1 {
        gather_trouble(app, now).await?;
        if now - began >= SETTLE {
            gather_silence(app, now).await?;
        }
    }
    if ticks % SELDOM == 2 {
        gather_scans(app, now).await?;
        gather_records(app, now).await?;
        digest::gather(app, now).await?;
        app.store.sweep_letters(now - KEEP).await?;
    }
    Ok(())
}

/// An error with everything that caused it.
fn chain(e: &dyn std::error::Error) -> String {
    let mut text = e.to_string();
    let mut source = e.source();
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}
