//! SSH (RFC 4253): the server's identification line and the algorithms that it offers.

use super::{NONE, Protocol, REQUIRED, Seen, Ssh};
use crate::probe::dial::{Connection, Stop};
use crate::probe::reader::Reader;

/// SSH.
pub const PROTOCOL: Protocol = Protocol {
    name: "ssh",
    ports: &[22, 2222],
    processes: &["sshd", "dropbear"],
    greets: Some(greets),
    talk: Some(|_, mut connection, first| Box::pin(async move { Some(talk(&mut connection, first).await) })),
    ..Protocol::NONE
};

/// Largest packet that every implementation must take (RFC 4253 section 6.1), bytes.
const PACKET_LIMIT: usize = 35_000;
/// Longest name (RFC 4251 section 6), and most names of one list.
const NAME_LIMIT: usize = 64;
const NAMES_LIMIT: usize = 100;
/// SSH_MSG_KEXINIT.
const KEXINIT: u8 = 20;
/// SSH_MSG_DISCONNECT, SSH_MSG_IGNORE and SSH_MSG_DEBUG may come before it.
const DISCONNECT: u8 = 1;
const PASSED_OVER: [u8; 2] = [2, 4];

/// `SSH-2.0-…` (RFC 4253 section 4.2), or OpenSSH's words to one client too many (sshd_config(5),
/// MaxStartups).
pub fn greets(first: &[u8]) -> bool {
    first.starts_with(b"SSH-") || first.starts_with(b"Exceeded MaxStartups")
}

/// Answers with a name, hears the algorithms and leaves.
async fn talk(connection: &mut Connection, first: &[u8]) -> Seen {
    let mut seen = Seen { plaintext: false, tls: NONE, authentication: REQUIRED, ..Seen::plain("ssh", first, "identification line") };
    if first.starts_with(b"Exceeded") {
        seen.left_open("ssh", "the server has no room for one client more");
        seen.left_open("versions", "the server has no room for one client more");
        return seen;
    }
    connection.unread(first);
    let line = connection.line().await.unwrap_or_default();
    let version = version(&line);
    // RFC 4253 section 5.1: 1.99 is a server that speaks 2.0 and an older version.
    let modern = matches!(version.as_str(), "SSH-2.0" | "SSH-1.99");
    seen.versions.push(version);
    if !modern {
        // Version 1 offers its algorithms in another way; none of them is in use any more.
        return seen;
    }
    match key_exchange(connection).await {
        Ok(ssh) => {
            seen.exchange = "identification line and SSH_MSG_KEXINIT".into();
            if seen.versions.iter().all(|v| v != "SSH-2.0") {
                seen.versions.push("SSH-2.0".into());
            }
            seen.ssh = Some(ssh);
        }
        Err(stop) => seen.left_open("ssh", format!("SSH_MSG_KEXINIT: {stop}")),
    }
    seen
}

/// `SSH-2.0` of `SSH-2.0-OpenSSH_9.2`.
fn version(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    let number = text.split('-').nth(1).unwrap_or_default();
    format!("SSH-{}", number.chars().filter(|c| c.is_ascii_digit() || *c == '.').take(8).collect::<String>())
}

async fn key_exchange(connection: &mut Connection) -> Result<Ssh, Stop> {
    // A server logs who looked.
    connection.send(b"SSH-2.0-assay\r\n").await?;
    loop {
        let head = connection.exactly(5).await?;
        let mut r = Reader::new(&head);
        let length = r.u32().and_then(|n| usize::try_from(n).ok()).unwrap_or(0);
        let padding = usize::from(r.u8().unwrap_or(0));
        if length < padding + 2 || length > PACKET_LIMIT {
            return Err(Stop::Malformed);
        }
        let body = connection.exactly(length - 1).await?;
        let payload = body.get(..length - 1 - padding).unwrap_or_default();
        match payload.first() {
            Some(&KEXINIT) => return parse(payload).ok_or(Stop::Malformed),
            Some(&DISCONNECT) => return Err(Stop::Closed),
            Some(kind) if PASSED_OVER.contains(kind) => {}
            _ => return Err(Stop::Malformed),
        }
    }
}

fn parse(payload: &[u8]) -> Option<Ssh> {
    let mut r = Reader::new(payload);
    if r.u8()? != KEXINIT {
        return None;
    }
    // Cookie.
    r.take(16)?;
    let mut list = || names(&mut r);
    let ssh = Ssh {
        key_exchange: list()?,
        host_keys: list()?,
        ciphers: merged(list()?, list()?),
        macs: merged(list()?, list()?),
        compression: merged(list()?, list()?),
    };
    Some(ssh)
}

/// A name-list (RFC 4251 section 5).
fn names(r: &mut Reader<'_>) -> Option<Vec<String>> {
    let length = usize::try_from(r.u32()?).ok()?;
    let text = std::str::from_utf8(r.take(length)?).ok()?;
    let names: Vec<String> = text.split(',').filter(|n| !n.is_empty()).map(ToString::to_string).collect();
    let proper = names.len() <= NAMES_LIMIT && names.iter().all(|n| n.len() <= NAME_LIMIT && n.bytes().all(|b| b.is_ascii_graphic()));
    proper.then_some(names)
}

/// The first list, then what only the second one has.
fn merged(mut first: Vec<String>, second: Vec<String>) -> Vec<String> {
    let more: Vec<String> = second.into_iter().filter(|n| !first.contains(n)).collect();
    first.extend(more);
    first
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::reader::mutations;

    const OPENSSH: &[u8] = include_bytes!("../../../tests/wire/ssh-openssh-weak.bin");

    /// The payload of the packet after the identification line.
    fn payload(bytes: &[u8]) -> &[u8] {
        let packet = bytes.iter().position(|b| *b == b'\n').and_then(|at| bytes.get(at + 1..)).unwrap_or_default();
        let padding = usize::from(packet.get(4).copied().unwrap_or(0));
        packet.get(5..packet.len().saturating_sub(padding)).unwrap_or_default()
    }

    #[test]
    fn an_overloaded_server_is_still_ssh() {
        assert!(greets(b"SSH-2.0-OpenSSH_9.2\r\n") && greets(b"Exceeded MaxStartups\r\n"));
        assert!(!greets(b"220 SSH-2.0\r\n"));
    }

    #[test]
    fn recorded_offers_are_read() {
        let ssh = parse(payload(OPENSSH)).unwrap();
        assert_eq!(ssh.macs, ["hmac-md5", "hmac-sha1-96"]);
        assert_eq!(ssh.host_keys, ["rsa-sha2-512", "rsa-sha2-256", "ssh-rsa"]);
        assert!(ssh.ciphers.contains(&"3des-cbc".to_string()) && ssh.key_exchange.contains(&"diffie-hellman-group1-sha1".to_string()));
        assert_eq!(ssh.compression, ["none", "zlib@openssh.com"]);
    }

    #[test]
    fn versions_are_the_protocols_words() {
        assert_eq!(version(b"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u10"), "SSH-2.0");
        assert_eq!(version(b"SSH-1.99-Cisco-1.25"), "SSH-1.99");
        assert_eq!(version(b"SSH-1.5-1.2.27"), "SSH-1.5");
        assert_eq!(version(b"SSH-"), "SSH-");
    }

    #[test]
    fn both_directions_become_one_list() {
        let list = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(merged(list(&["a", "b"]), list(&["b", "c"])), ["a", "b", "c"]);
    }

    #[test]
    fn no_answer_makes_it_panic() {
        for bytes in mutations(OPENSSH) {
            parse(payload(&bytes));
            version(&bytes);
        }
    }
}
