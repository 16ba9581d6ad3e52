//! Evidence bundles: what an auditor receives and verifies offline.
//!
//! ```text
//! store, ledger -> Material -> assemble -> Paper -> html, csv, json --+-> manifest -> archive (zip) -> bytes
//!                      \-> signed reports, proofs, hosts, blobs ------+
//! bytes -> archive -> verify -> what holds, what does not, what a bundle can't show
//! ```
//! Everything here is pure: the same material gives the same bytes.

pub mod archive;
pub mod assemble;
pub mod bundle;
pub mod csv;
pub mod html;
pub mod json;
pub mod manifest;
pub mod material;
pub mod paper;
pub mod plots;
pub mod reconcile;
pub mod revocation;
pub mod sampling;
pub mod text;
pub mod verify;
pub mod windows;

pub use bundle::{Bundle, BundleError};
pub use material::{Material, Period};
pub use verify::{Verification, verify};
