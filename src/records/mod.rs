//! Records: what a person must say, kept as evidence beside what hosts show.
//!
//! ```text
//! rules/records/*.yaml -> RecordType --+
//! events (ledger statements) -> fold --+-> entries as of a time -> standings over a period -> controls, reminders
//!                                      +-> waivers, handling    -> laid over findings
//! ```
//! Nothing is ever overwritten: an entry is the fold of its events, so any past day can be told again. Pure.

pub mod check;
pub mod entry;
pub mod event;
pub mod handling;
pub mod kind;
pub mod people;
pub mod published;
mod reading;
pub mod review;
pub mod scope;
pub mod standing;
pub mod types;
pub mod value;
pub mod waiver;

#[cfg(test)]
mod testing;

pub use check::Refusal;
pub use entry::{Entry, entries};
pub use event::{Action, Attachment, Event, Recorded};
pub use kind::RecordType;
pub use people::{Employment, People};
pub use reading::{Due, deadlines};
pub use scope::Scope;
pub use standing::{Standing, State, due, standings};
