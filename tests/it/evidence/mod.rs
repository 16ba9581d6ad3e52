//! Bundles made from real keys and signatures: verified, tampered with, verified by another implementation.

mod assembling;
mod commands;
mod exporting;
mod formats;
mod large;
mod made;
mod tampering;
mod telling;
mod year;
