//! Published advisories: OSV records -> compact index -> what concerns the installed packages.
//!
//! ```text
//! zip, folder or file of OSV records -> source -> osv (one record) -> import -> index (bytes)
//! facts (os, packages, kernel, updates) + index -> derive -> model::advisories
//! ```

mod cvss;
mod derive;
mod ecosystem;
mod import;
pub mod index;
mod interval;
mod kernel;
mod matching;
mod osv;
mod rating;
mod source;
mod wire;

pub use derive::derive;
pub use import::{Import, ImportError, Summary};
pub use index::{Index, IndexError};
