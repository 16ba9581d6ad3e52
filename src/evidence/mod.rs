//! Evidence bundles: what an auditor receives and verifies offline.
//!
//! ```text
//! store, ledger -> Material -> assemble -> Paper -> html, csv, json, xlsx, oscal --+-> pack -> manifest -> archive (zip)
//!                      \-> host by host: key, signed reports, proofs, blobs -------+
//! archive -> verify -> what holds, what does not, what a bundle can't show
//! ```
//! The same material gives the same bytes. Reports and blobs pass through one by one: memory does not grow with them.

pub mod archive;
pub mod assemble;
#[cfg(feature = "collector")]
pub mod bundle;
pub mod csv;
pub mod html;
pub mod json;
pub mod layout;
pub mod manifest;
pub mod material;
#[cfg(feature = "collector")]
pub mod oscal;
pub mod paper;
pub mod plots;
pub mod reconcile;
pub mod revocation;
pub mod sampling;
pub mod text;
pub mod verify;
pub mod windows;
#[cfg(feature = "collector")]
pub mod work;
#[cfg(feature = "collector")]
pub mod xlsx;

#[cfg(feature = "collector")]
pub use bundle::BundleError;
pub use material::{Material, Period};
pub use verify::{Verification, verify};
