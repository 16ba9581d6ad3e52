//! MySQL and MariaDB client/server protocol: initial handshake packet, protocol version 10.
//!
//! A server counts connections that end in the middle of a handshake and locks the host out after
//! many (`max_connect_errors`), so the look at the plaintext side is a whole sign-in that is denied.

use super::{NONE, OPTIONAL, Protocol, REQUIRED, Seen, UNKNOWN, Upgrade};
use crate::probe::dial::{Connection, Stop};
use crate::probe::reader::{Reader, banner};

/// MySQL.
pub const PROTOCOL: Protocol = Protocol {
    name: "mysql",
    ports: &[3306],
    processes: &["mysqld", "mariadbd"],
    greets: Some(greets),
    talk: Some(|_, mut connection, first| Box::pin(async move { Some(talk(&mut connection, first).await) })),
    ..Protocol::NONE
};

/// SSL request packet in place of the handshake response; servers count broken handshakes.
pub const UPGRADE: Upgrade = Upgrade { name: "mysql", is_counted: true, prepare: |connection| Box::pin(upgrade(connection)) };

/// CLIENT_SSL.
const SSL: u32 = 0x0800;
/// CLIENT_LONG_PASSWORD, CLIENT_PROTOCOL_41, CLIENT_SECURE_CONNECTION, CLIENT_PLUGIN_AUTH.
const OURS: u32 = 0x0001 | 0x0200 | 0x8000 | 0x0008_0000;
/// utf8mb4_general_ci.
const CHARSET: u8 = 45;
/// Largest packet read, bytes.
const PACKET_LIMIT: usize = 4096;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Greeting {
    /// Server version and capability bits.
    Handshake { version: Vec<u8>, capabilities: u32 },
    /// Error number and text.
    Error { number: u16, text: Vec<u8> },
}

/// A packet with number 0 that is a handshake or an error.
pub fn greets(first: &[u8]) -> bool {
    parse(first).is_some()
}

/// Whether the whole first packet is there.
pub fn is_whole(first: &[u8]) -> bool {
    payload(first).is_some_and(|p| matches!(p.first(), Some(10 | 255)))
}

fn payload(packet: &[u8]) -> Option<&[u8]> {
    let mut r = Reader::new(packet);
    let length = r.take(3)?.iter().rev().fold(0, |n, b| (n << 8) | usize::from(*b));
    if r.u8()? != 0 || length > PACKET_LIMIT {
        return None;
    }
    r.take(length)
}

fn parse(packet: &[u8]) -> Option<Greeting> {
    let mut r = Reader::new(payload(packet)?);
    match r.u8()? {
        10 => {
            let version = r.until_nul()?.to_vec();
            // Connection id, first 8 bytes of the challenge, filler.
            r.take(4 + 8 + 1)?;
            let low = u32::from(r.u16_le()?);
            // Character set and status, absent in very old servers.
            let high = if r.take(3).is_some() { r.u16_le().unwrap_or(0) } else { 0 };
            Some(Greeting::Handshake { version, capabilities: low | (u32::from(high) << 16) })
        }
        255 => Some(Greeting::Error { number: r.u16_le()?, text: r.rest().to_vec() }),
        _ => None,
    }
}

/// Signs in without TLS as a user that should not exist.
pub async fn talk(connection: &mut Connection, first: &[u8]) -> Seen {
    let (version, capabilities) = match parse(first) {
        Some(Greeting::Handshake { version, capabilities }) => (version, capabilities),
        Some(Greeting::Error { number, text }) => {
            let mut seen = Seen { tls: UNKNOWN, ..Seen::plain("mysql", &text, &format!("greeting is error {number}")) };
            seen.left_open("tls", format!("the server greets with error {number}"));
            return seen;
        }
        None => return Seen::plain("mysql", b"", "greeting"),
    };
    let offered = capabilities & SSL != 0;
    let mut seen = Seen::plain("mysql", &version, if offered { "greeting with CLIENT_SSL" } else { "greeting without CLIENT_SSL" });
    seen.tls = if offered { OPTIONAL } else { NONE };
    seen.upgrade = offered.then_some(UPGRADE);
    match sign_in(connection).await {
        Ok(answer) => {
            told(&answer, offered, &mut seen);
            if seen.tls == OPTIONAL && seen.authentication != NONE {
                // MariaDB and MySQL look at require_secure_transport only once the password is right.
                seen.left_open("tls", "whether plaintext sign-in is possible shows only to an account; ask the server for require_secure_transport");
            }
        }
        Err(stop) => {
            if offered {
                seen.tls = UNKNOWN;
                seen.left_open("tls", format!("plaintext sign-in: {stop}"));
            }
            seen.left_open("authentication", format!("plaintext sign-in: {stop}"));
        }
    }
    seen
}

fn told(answer: &[u8], offered: bool, seen: &mut Seen) {
    match answer {
        [0, ..] => {
            seen.authentication = NONE;
            seen.exchange.push_str(", plaintext sign-in accepted");
        }
        [255, low, high, text @ ..] => {
            seen.authentication = REQUIRED;
            let number = u16::from_le_bytes([*low, *high]);
            seen.exchange.push_str(&format!(", plaintext sign-in refused with {number}"));
            if offered && banner(text).contains("insecure transport") {
                seen.tls = REQUIRED;
            }
        }
        _ => {
            seen.authentication = REQUIRED;
            seen.exchange.push_str(", plaintext sign-in asked for a password");
        }
    }
}

async fn sign_in(connection: &mut Connection) -> Result<Vec<u8>, Stop> {
    let mut body = response(OURS);
    body.extend_from_slice(b"assay\0\0mysql_native_password\0");
    connection.send(&packet(1, &body)).await?;
    let mut answer = next(connection).await?;
    if answer.0.first() == Some(&0xfe) {
        // Another method: an empty answer, which an empty password needs and any other fails.
        connection.send(&packet(answer.1.wrapping_add(1), &[])).await?;
        answer = next(connection).await?;
    }
    Ok(answer.0)
}

async fn next(connection: &mut Connection) -> Result<(Vec<u8>, u8), Stop> {
    let head = connection.exactly(4).await?;
    let length = head.iter().take(3).rev().fold(0, |n, b| (n << 8) | usize::from(*b));
    if length > PACKET_LIMIT {
        return Err(Stop::Limit);
    }
    Ok((connection.exactly(length).await?, head.last().copied().unwrap_or(0)))
}

/// Head of a handshake response: capabilities, largest packet, character set, filler.
fn response(capabilities: u32) -> Vec<u8> {
    let mut body = capabilities.to_le_bytes().to_vec();
    body.extend_from_slice(&(1_u32 << 24).to_le_bytes());
    body.push(CHARSET);
    body.extend_from_slice(&[0; 23]);
    body
}

fn packet(number: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap_or(0).to_le_bytes();
    let mut out = length.get(..3).unwrap_or_default().to_vec();
    out.push(number);
    out.extend_from_slice(body);
    out
}

/// Reads the greeting and asks for TLS.
pub async fn upgrade(connection: &mut Connection) -> Result<(), Stop> {
    let greeting = next(connection).await?.0;
    if greeting.first() != Some(&10) {
        return Err(Stop::Malformed);
    }
    connection.send(&packet(1, &response(OURS | SSL))).await
}
