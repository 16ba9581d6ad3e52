//! What rpm, dnf and zypper leave on disk, read the way they read it.

pub mod automatic;
pub mod database;
pub mod header;
pub mod ini;
pub mod locks;
pub mod modules;
pub mod repodata;
pub mod repositories;
pub mod upgrades;
pub mod version;
pub mod xml;
