//! What apk leaves on disk, read the way it reads it.

pub mod database;
pub mod index;
pub mod repositories;
pub mod upgrades;
pub mod version;
pub mod world;
