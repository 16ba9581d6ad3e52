//! Findings as bytes: one file per format.

pub mod json;
pub mod table;
pub mod text;
