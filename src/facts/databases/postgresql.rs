//! PostgreSQL's protocol 3.0 as far as reading catalogs needs it (PostgreSQL manual, "Frontend/Backend Protocol").
//!
//! ```text
//! start-up  length u32, 196608, (name \0 value \0)*, \0
//! message   type u8, length u32 (itself included), body
//! R authentication  S parameter  K key  N notice  Z ready  T columns  D row  C done  E error
//! ```
//! Signing in works by the socket alone (`peer`, `trust`); a server that asks for a password gets none.

use crate::host::ReadError;
use crate::host::local_socket::LocalSocket;

/// Protocol 3.0.
const PROTOCOL: u32 = 196_608;
/// Longest message, bytes.
const MESSAGE_LIMIT: usize = 1 << 20;
/// Most rows of one answer.
const ROW_LIMIT: usize = 20_000;
/// SQLSTATE insufficient_privilege.
pub(in crate::facts) const DENIED: &str = "42501";

/// Why there is no answer.
#[derive(Debug)]
pub(in crate::facts) enum Refused {
    /// Socket or protocol.
    Socket(ReadError),
    /// A way of signing in that needs a secret.
    Password(&'static str),
    /// An error of the server: SQLSTATE. Its text may quote data and is not kept.
    Server(String),
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
    /// `server_version` as the server tells it.
    pub version: String,
}

impl Client {
    pub(in crate::facts) fn sign_in(mut socket: LocalSocket, user: &str, database: &str) -> Result<Self, Refused> {
        let mut body = PROTOCOL.to_be_bytes().to_vec();
        // Nothing can be written and nothing runs for long, whatever the role may do.
        let options = "-c default_transaction_read_only=on -c statement_timeout=5000 -c search_path=pg_catalog";
        for (name, value) in [("user", user), ("database", database), ("application_name", "assay"), ("client_encoding", "UTF8"), ("options", options)] {
            for text in [name, value] {
                body.extend(text.bytes().filter(|b| *b != 0));
                body.push(0);
            }
        }
        body.push(0);
        let length = u32::try_from(body.len() + 4).unwrap_or(u32::MAX);
        socket.send(&[&length.to_be_bytes()[..], &body].concat())?;
        let mut client = Self { socket, version: String::new() };
        loop {
            let (kind, body) = client.message()?;
            match kind {
                b'R' => client.authenticated(&body)?,
                b'S' => client.parameter(&body),
                b'Z' => return Ok(client),
                b'E' => return Err(Refused::Server(sqlstate(&body))),
                b'K' | b'N' => {}
                _ => return Err(client.socket.malformed("message of another kind while signing in").into()),
            }
        }
    }

    fn authenticated(&self, body: &[u8]) -> Result<(), Refused> {
        let code = body.get(..4).and_then(|b| b.try_into().ok()).map(u32::from_be_bytes);
        match code {
            Some(0) => Ok(()),
            Some(3) => Err(Refused::Password("password")),
            Some(5) => Err(Refused::Password("md5")),
            Some(10..=12) => Err(Refused::Password("scram-sha-256")),
            Some(_) => Err(Refused::Password("another method")),
            None => Err(self.socket.malformed("authentication").into()),
        }
    }

    fn parameter(&mut self, body: &[u8]) {
        let mut parts = body.split(|b| *b == 0);
        if parts.next() == Some(b"server_version") {
            let value = String::from_utf8_lossy(parts.next().unwrap_or_default()).into_owned();
            self.version = value.chars().take_while(|c| c.is_ascii_digit() || *c == '.').take(20).collect();
        }
    }

    /// The rows of one statement.
    pub(in crate::facts) fn query(&mut self, sql: &str) -> Result<Vec<Row>, Refused> {
        let length = u32::try_from(sql.len() + 5).unwrap_or(u32::MAX);
        self.socket.send(&[b"Q", &length.to_be_bytes()[..], sql.as_bytes(), b"\0"].concat())?;
        let (mut rows, mut error) = (Vec::new(), None);
        loop {
            let (kind, body) = self.message()?;
            match kind {
                b'D' => {
                    if rows.len() == ROW_LIMIT {
                        return Err(ReadError::TooLarge("rows of an answer".into(), ROW_LIMIT).into());
                    }
                    rows.push(row(&body).ok_or_else(|| self.socket.malformed("row"))?);
                }
                b'E' => error = Some(sqlstate(&body)),
                b'Z' => return error.map_or(Ok(rows), |state| Err(Refused::Server(state))),
                b'T' | b'C' | b'N' | b'S' | b'I' => {}
                _ => return Err(self.socket.malformed("message of another kind in an answer").into()),
            }
        }
    }

    fn message(&mut self) -> Result<(u8, Vec<u8>), ReadError> {
        let head = self.socket.receive(5)?;
        let length = head.get(1..5).and_then(|b| b.try_into().ok()).map_or(0, u32::from_be_bytes) as usize;
        let body = length.checked_sub(4).filter(|n| *n <= MESSAGE_LIMIT).ok_or_else(|| self.socket.malformed("length of a message"))?;
        Ok((head.first().copied().unwrap_or(0), self.socket.receive(body)?))
    }
}

fn row(body: &[u8]) -> Option<Row> {
    let (count, mut rest) = body.split_at_checked(2)?;
    let count = u16::from_be_bytes(count.try_into().ok()?);
    let mut out = Vec::new();
    for _ in 0..count {
        let (length, after) = rest.split_at_checked(4)?;
        let length = i32::from_be_bytes(length.try_into().ok()?);
        rest = after;
        let Ok(length) = usize::try_from(length) else {
            out.push(None);
            continue;
        };
        let (value, after) = rest.split_at_checked(length)?;
        out.push(Some(String::from_utf8_lossy(value).into_owned()));
        rest = after;
    }
    Some(out)
}

/// Field C of an error.
fn sqlstate(body: &[u8]) -> String {
    let code = body.split(|b| *b == 0).find_map(|field| field.strip_prefix(b"C")).unwrap_or_default();
    code.iter().take(5).map(|b| char::from(*b)).filter(char::is_ascii_alphanumeric).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_and_errors() {
        let body = [0, 2, 0, 0, 0, 1, b'x', 0xff, 0xff, 0xff, 0xff];
        assert_eq!(row(&body).unwrap(), [Some("x".into()), None]);
        for length in 0..body.len() {
            assert_eq!(row(&body[..length]), None);
        }
        assert_eq!(row(&[0xff, 0xff]), None);
        assert_eq!(row(&[0, 1, 0x7f, 0xff, 0xff, 0xff, b'x']), None);
        assert_eq!(sqlstate(b"SERROR\0C42501\0Mpermission denied\0\0"), "42501");
        assert_eq!(sqlstate(b"\xff\xff"), "");
    }
}
