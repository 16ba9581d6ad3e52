//! The zip file of a bundle (APPNOTE 6.3.10), in the one form that is written.
//!
//! ```text
//! per entry   local header: version 10 (stored), 20 (deflated) or 45 (zip64), flags 0x0800 (UTF-8), method 0 or 8,
//!             time 1980-01-01 00:00, crc-32, sizes, name; an extra field only for zip64 sizes; then the packed bytes
//! directory   one header per entry: made by the same version, attributes 0, no comment
//! end         zip64 record and locator only where a number does not fit; one end record, no comment
//! ```
//! Entries are sorted by path; the manifest is the last and stored, so that what vouches for everything is found and read
//! first. Reading is strict and bounded; whether every byte outside of the contents is as written is told by making headers,
//! directory and end again. The container is our own because its bytes must stay the same for as long as bundles exist.

mod form;
mod pack;
mod read;
mod write;

pub use form::Facts;
pub use pack::{Method, Pack, Packer};
pub use read::{Archive, Content, Entry};
pub use write::Container;

/// Most entries of a bundle.
pub const MAX_ENTRIES: u64 = 1_000_000;
/// Longest path of an entry, bytes.
pub const MAX_PATH: usize = 200;

/// Why a zip file can't be written or read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ArchiveError {
    /// Beyond a limit.
    #[error("bundle exceeds the limit of {limit} {what}")]
    Limit {
        /// What is counted.
        what: &'static str,
        /// How many are allowed.
        limit: u64,
    },
    /// A path that could lead elsewhere.
    #[error("path {0:?} is not a plain relative path")]
    Path(String),
    /// Not a zip file, or not one of ours.
    #[error("not a bundle: {0}")]
    Malformed(&'static str),
    /// Two entries of one name.
    #[error("{0:?} is there twice")]
    Duplicate(String),
    /// An entry in another form.
    #[error("{path:?}: {why}")]
    Entry {
        /// Which.
        path: String,
        /// What is wrong.
        why: &'static str,
    },
    /// The file or disk failed.
    #[error("{0}")]
    Io(String),
}

impl From<std::io::Error> for ArchiveError {
    fn from(e: std::io::Error) -> Self {
        Self::Io(e.to_string())
    }
}

/// A relative path of plain segments, so that unpacking can't leave its folder.
fn check_path(path: &str) -> Result<(), ArchiveError> {
    let plain = |s: &str| !s.is_empty() && !s.starts_with('.') && s.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'));
    if path.len() <= MAX_PATH && path.split('/').all(plain) { Ok(()) } else { Err(ArchiveError::Path(path.chars().take(MAX_PATH).collect())) }
}

#[cfg(test)]
mod tests;
