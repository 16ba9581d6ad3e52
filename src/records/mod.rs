//! Records: what a person must say, kept as evidence beside what hosts show.
//!
//! ```text
//! rules/records/*.yaml -> RecordType --+
//! events (ledger statements) -> fold --+-> entries as of a time -> standings over a period -> controls, reminders
//!                                      +-> waivers, handling    -> laid over findings
//! ```
//! Nothing is ever overwritten: an entry is the fold of its events, so any past day can be told again. Pure.

pub mod event;
pub mod kind;
pub mod standing;

pub use event::{Action, Attachment, Event};
pub use kind::RecordType;
pub use standing::{Standing, State};
