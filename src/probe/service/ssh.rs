//! SSH (RFC 4253): the server's identification line.

use super::{NONE, Protocol, REQUIRED, Seen};
use crate::probe::dial::Connection;

/// SSH.
pub const PROTOCOL: Protocol = Protocol {
    name: "ssh",
    ports: &[22, 2222],
    processes: &["sshd", "dropbear"],
    greets: Some(greets),
    talk: Some(|_, mut connection, first| Box::pin(async move { Some(talk(&mut connection, first).await) })),
    ..Protocol::NONE
};

/// `SSH-2.0-…` (RFC 4253 section 4.2), or OpenSSH's words to one client too many (sshd_config(5),
/// MaxStartups).
pub fn greets(first: &[u8]) -> bool {
    first.starts_with(b"SSH-") || first.starts_with(b"Exceeded MaxStartups")
}

/// Answers with a name and leaves.
pub async fn talk(connection: &mut Connection, first: &[u8]) -> Seen {
    // Best effort: a server logs who looked.
    let _ = connection.send(b"SSH-2.0-assay\r\n").await;
    Seen { plaintext: false, tls: NONE, authentication: REQUIRED, ..Seen::plain("ssh", first, "identification line") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_overloaded_server_is_still_ssh() {
        assert!(greets(b"SSH-2.0-OpenSSH_9.2\r\n") && greets(b"Exceeded MaxStartups\r\n"));
        assert!(!greets(b"220 SSH-2.0\r\n"));
    }
}
