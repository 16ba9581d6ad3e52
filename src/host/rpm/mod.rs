//! What rpm, dnf and zypper leave on disk, read the way they read it.

pub mod version;
