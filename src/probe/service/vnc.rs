//! VNC (RFC 6143): its greeting.

use super::{Protocol, Seen};

/// VNC.
pub const PROTOCOL: Protocol = Protocol {
    name: "vnc",
    ports: &[5900, 5901],
    processes: &["Xvnc", "Xtigervnc", "x11vnc"],
    greets: Some(|first| first.starts_with(b"RFB 00")),
    talk: Some(|_, _, first| Box::pin(async move { Some(Seen::plain("vnc", first, "greeting RFB")) })),
    ..Protocol::NONE
};
