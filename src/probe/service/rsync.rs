//! rsync daemon: its greeting.

use super::{Protocol, Seen};

/// rsync.
pub const PROTOCOL: Protocol = Protocol {
    name: "rsync",
    ports: &[873],
    processes: &["rsync"],
    greets: Some(|first| first.starts_with(b"@RSYNCD:")),
    talk: Some(|_, _, first| Box::pin(async move { Some(Seen::plain("rsync", first, "greeting @RSYNCD:")) })),
    ..Protocol::NONE
};
