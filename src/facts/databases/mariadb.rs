//! MariaDB's client protocol as far as reading grants needs it (MariaDB knowledge base, "Clients & Utilities: Client/Server Protocol").
//!
//! ```text
//! packet     length u24 le, number u8, body
//! greeting   10, version \0, thread u32, seed (8) \0, capabilities u16, charset, status u16, capabilities u16, …, plugin \0
//! answer     capabilities u32, packet limit u32, charset, zeros (23), user \0, length of the secret (0), plugin \0
//! 00 ok, fe end or another plugin, ff error (code u16, # SQLSTATE, text), fb a request for a file: refused
//! ```
//! Signing in works by the socket alone (`unix_socket`): the secret is always empty.

use std::collections::BTreeMap;

use crate::host::ReadError;
use crate::host::local_socket::LocalSocket;

/// LONG_PASSWORD, PROTOCOL_41, SECURE_CONNECTION, PLUGIN_AUTH.
const CAPABILITIES: u32 = 1 | 0x200 | 0x8000 | 0x8_0000;
/// utf8mb4_general_ci.
const CHARSET: u8 = 45;
/// Longest packet, bytes.
const PACKET_LIMIT: usize = 1 << 20;
/// Most rows of one answer.
const ROW_LIMIT: usize = 20_000;
/// Most columns of one answer.
const COLUMN_LIMIT: u64 = 256;
/// Most plugins that a server asks for in turn.
const SWITCH_LIMIT: usize = 8;
/// ER_ACCESS_DENIED_ERROR, ER_ACCESS_DENIED_NO_PASSWORD_ERROR, ER_NOT_SUPPORTED_AUTH_MODE: the socket alone does not open the account.
pub(in crate::facts) const SIGN_IN_DENIED: [u16; 3] = [1045, 1698, 1251];
/// ER_DBACCESS_DENIED_ERROR, ER_TABLEACCESS_DENIED_ERROR, ER_COLUMNACCESS_DENIED_ERROR, ER_SPECIFIC_ACCESS_DENIED_ERROR.
pub(in crate::facts) const DENIED: [u16; 4] = [1044, 1142, 1143, 1227];

/// Why there is no answer.
#[derive(Debug)]
pub(in crate::facts) enum Refused {
    /// Socket or protocol.
    Socket(ReadError),
    /// An error of the server: its number. Its text may quote data and is not kept.
    Server(u16),
}

impl From<ReadError> for Refused {
    fn from(error: ReadError) -> Self {
        Self::Socket(error)
    }
}

/// One column: `None` is NULL.
pub(in crate::facts) type Row = Vec<Option<String>>;

/// A signed-in conversation.
#[derive(Debug)]
pub(in crate::facts) struct Client {
    socket: LocalSocket,
    number: u8,
    /// Version as the greeting tells it, without the prefix for old replicas.
    pub version: String,
}

impl Client {
    pub(in crate::facts) fn sign_in(socket: LocalSocket, user: &str) -> Result<Self, Refused> {
        let mut client = Self { socket, number: 0, version: String::new() };
        let greeting = client.packet()?;
        if greeting.first() == Some(&0xff) {
            return Err(Refused::Server(error_number(&greeting)));
        }
        if greeting.first() != Some(&10) {
            return Err(client.socket.malformed("greeting").into());
        }
        let version = greeting.get(1..).and_then(|g| g.split(|b| *b == 0).next()).unwrap_or_default();
        let version = String::from_utf8_lossy(version);
        client.version = version.trim_start_matches("5.5.5-").chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-')).take(40).collect();
        let mut answer = CAPABILITIES.to_le_bytes().to_vec();
        answer.extend_from_slice(&0x0100_0000_u32.to_le_bytes());
        answer.push(CHARSET);
        answer.extend_from_slice(&[0; 23]);
        answer.extend(user.bytes().filter(|b| *b != 0));
        answer.extend_from_slice(b"\0\0mysql_native_password\0");
        client.send(&answer)?;
        for _ in 0..SWITCH_LIMIT {
            let packet = client.packet()?;
            match packet.first() {
                Some(0) => return Ok(client),
                Some(0xff) => return Err(Refused::Server(error_number(&packet))),
                // Whatever plugin is asked for gets an empty answer: only the socket's own needs none.
                Some(_) => client.send(&[])?,
                None => return Err(client.socket.malformed("empty packet").into()),
            }
        }
        Err(client.socket.malformed("endless change of plugins").into())
    }

    /// The rows of one statement; none for a statement without an answer.
    pub(in crate::facts) fn query(&mut self, sql: &str) -> Result<Vec<Row>, Refused> {
        Ok(self.answer(sql)?.1)
    }

    /// The rows of one statement, each column by its lower-case name.
    pub(in crate::facts) fn named(&mut self, sql: &str) -> Result<Vec<BTreeMap<String, Option<String>>>, Refused> {
        let (names, rows) = self.answer(sql)?;
        Ok(rows.into_iter().map(|row| names.iter().cloned().zip(row).collect()).collect())
    }

    fn answer(&mut self, sql: &str) -> Result<(Vec<String>, Vec<Row>), Refused> {
        self.number = 0;
        self.send(&[b"\x03", sql.as_bytes()].concat())?;
        let first = self.packet()?;
        let columns = match first.first() {
            Some(0) => return Ok((Vec::new(), Vec::new())),
            Some(0xff) => return Err(Refused::Server(error_number(&first))),
            _ => lenenc(&first).map(|(n, _)| n).filter(|n| *n <= COLUMN_LIMIT).ok_or_else(|| self.socket.malformed("number of columns"))?,
        };
        let mut names = Vec::new();
        for _ in 0..columns {
            // Catalog, schema, table, original table, name, …
            let definition = self.packet()?;
            let name = row(&definition, 5).and_then(|mut parts| parts.pop().flatten());
            names.push(name.ok_or_else(|| self.socket.malformed("column"))?.to_ascii_lowercase());
        }
        if !is_end(&self.packet()?) {
            return Err(self.socket.malformed("end of the columns").into());
        }
        let mut rows = Vec::new();
        loop {
            let packet = self.packet()?;
            if is_end(&packet) {
                return Ok((names, rows));
            }
            if packet.first() == Some(&0xff) {
                return Err(Refused::Server(error_number(&packet)));
            }
            if rows.len() == ROW_LIMIT {
                return Err(ReadError::TooLarge("rows of an answer".into(), ROW_LIMIT).into());
            }
            rows.push(row(&packet, columns).ok_or_else(|| self.socket.malformed("row"))?);
        }
    }

    fn send(&mut self, body: &[u8]) -> Result<(), ReadError> {
        let length = u32::try_from(body.len()).unwrap_or(u32::MAX).to_le_bytes();
        self.socket.send(&[&length[..3], &[self.number], body].concat())
    }

    fn packet(&mut self) -> Result<Vec<u8>, ReadError> {
        let head = self.socket.receive(4)?;
        let &[a, b, c, number] = head.as_slice() else { return Err(self.socket.malformed("head of a packet")) };
        let length = u32::from_le_bytes([a, b, c, 0]) as usize;
        if length > PACKET_LIMIT {
            return Err(self.socket.malformed("length of a packet"));
        }
        self.number = number.wrapping_add(1);
        self.socket.receive(length)
    }
}

fn row(body: &[u8], columns: u64) -> Option<Row> {
    let (mut rest, mut out) = (body, Vec::new());
    for _ in 0..columns {
        if rest.first() == Some(&0xfb) {
            out.push(None);
            rest = rest.get(1..)?;
            continue;
        }
        let (length, after) = lenenc(rest)?;
        let (value, after) = after.split_at_checked(usize::try_from(length).ok()?)?;
        out.push(Some(String::from_utf8_lossy(value).into_owned()));
        rest = after;
    }
    Some(out)
}

/// A length-encoded number and what follows it.
fn lenenc(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (&first, rest) = bytes.split_first()?;
    let width = match first {
        0..=0xfa => return Some((first.into(), rest)),
        0xfc => 2,
        0xfd => 3,
        0xfe => 8,
        _ => return None,
    };
    let (number, rest) = rest.split_at_checked(width)?;
    Some((number.iter().rev().fold(0, |n, b| n << 8 | u64::from(*b)), rest))
}

fn is_end(packet: &[u8]) -> bool {
    packet.first() == Some(&0xfe) && packet.len() < 9
}

fn error_number(packet: &[u8]) -> u16 {
    packet.get(1..3).and_then(|b| b.try_into().ok()).map_or(0, u16::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_rows() {
        assert_eq!(lenenc(&[0xfa, 9]), Some((250, &[9][..])));
        assert_eq!(lenenc(&[0xfc, 1, 2]), Some((513, &[][..])));
        assert_eq!(lenenc(&[0xfd, 0, 0, 1]), Some((65536, &[][..])));
        assert_eq!(lenenc(&[0xfe, 1, 0, 0, 0, 0, 0, 0]), None);
        assert_eq!(lenenc(&[0xff]), None);
        assert_eq!(row(&[1, b'a', 0xfb, 0], 3).unwrap(), [Some("a".into()), None, Some(String::new())]);
        assert_eq!(row(&[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1], 1), None);
        assert_eq!(row(&[2, b'a'], 1), None);
        assert_eq!(row(&[], 1), None);
        assert_eq!((error_number(&[0xff, 0x15, 4]), error_number(&[0xff])), (1045, 0));
    }
}
