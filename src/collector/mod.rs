//! The collector: keeps, judges again, shows.
//!
//! ```text
//! agents ==mTLS==> server -> enrol | heartbeat | ingest -> judge -> store -> sequencer -> receipt
//! people ==HTTPS=> server -> pages | api -> records -> store
//! ```

pub mod admission;
pub mod api;
pub mod app;
pub mod auth;
pub mod basis;
mod body;
pub mod cause;
pub mod commitments;
pub mod compare;
mod door;
mod enrol;
pub mod error;
pub mod export;
pub mod findings;
pub mod fsck;
mod health;
mod heartbeat;
mod ingest;
pub mod judge;
pub mod kept;
pub mod labels;
pub mod leavers;
pub mod list_changes;
pub mod lists;
pub mod metrics;
pub mod records;
pub mod rejudge;
mod renew;
pub mod resume;
pub mod rotate;
pub mod search;
pub mod sequencer;
pub mod server;
mod start;
pub mod store;
pub mod tiles;
pub mod ui;
mod verdicts;
mod verify;

pub use app::App;
pub use start::{Keys, RulesChanged, Running, bounded, lock, start};
