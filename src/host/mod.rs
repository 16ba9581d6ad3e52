//! The only door to the machine: bounded reads under a settable root.

pub mod apk;
pub mod archive;
pub mod audit;
pub mod block;
pub mod bolt;
pub mod clock;
pub mod compressed;
pub mod dbus;
pub mod debian;
pub mod durable;
pub mod glob;
pub mod ioctl;
pub mod local_socket;
pub mod lz4;
pub mod machine;
pub mod manager;
pub mod netlink;
pub mod network;
pub mod nftables;
pub mod offers;
pub mod processes;
pub mod root;
pub mod rpm;
pub mod sock_diag;
pub mod sockets;
pub mod sqlite;
#[cfg(test)]
pub(crate) mod testing;
pub mod walk;
pub mod watch;

pub use root::{CONFIG_LIMIT, Entry, FileKind, Host, ReadError, Stat};
