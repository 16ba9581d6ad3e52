//! The only door to the machine: bounded reads under a settable root.

pub mod block;
pub mod clock;
pub mod debian;
pub mod durable;
pub mod local_socket;
pub mod lz4;
pub mod machine;
pub mod root;
pub mod sockets;
pub mod walk;

pub use root::{CONFIG_LIMIT, Entry, FileKind, Host, ReadError, Stat};
