//! What a file of a backup is, and whether it is whole: first bytes, structure, checksums. Nothing is unpacked to disk.

mod content;
mod customdump;
mod openpgp;
mod recognise;
mod tail;
mod tar;
mod whole;
mod xbstream;

pub use content::Told;
pub use recognise::{Format, HEAD, recognise};
pub use whole::{Budget, Checked, Integrity, check, digest, head_inside};
