//! The list of findings as people work through it: what is asked for, what is answered, what is decided about it. Pages, API and command line share it.
//!
//! ```text
//! address -> Asked -> Source (now: rows kept for lists; a past day: verdicts and records of that day) -> page | root causes | counts | export
//! picked findings -> orders -> records (owner, day, cause, note; waivers; sign-off) -> rows, in one transaction
//! ```

pub mod asked;
mod counted;
pub mod covered;
pub mod export;
mod laid;
pub mod orders;
pub mod source;

pub use asked::{Asked, Shown, View};
pub use counted::Counted;
pub use laid::Laid;
pub use source::Source;
