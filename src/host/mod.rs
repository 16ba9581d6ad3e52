//! The only door to the machine: bounded reads under a settable root.

pub mod apk;
pub mod block;
pub mod clock;
pub mod debian;
pub mod durable;
pub mod lz4;
pub mod machine;
pub mod root;
pub mod rpm;
pub mod sockets;

pub use root::{CONFIG_LIMIT, Entry, FileKind, Host, ReadError, Stat};
