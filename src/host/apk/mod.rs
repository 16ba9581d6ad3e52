//! What apk leaves on disk, read the way it reads it.

pub mod version;
