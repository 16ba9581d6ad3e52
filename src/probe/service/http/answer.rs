//! Head and the start of the body of one HTTP answer.

use serde_json::Value;

use crate::probe::dial::{Connection, Stop};

/// Longest head read, bytes.
const HEAD_LIMIT: usize = 32 << 10;
/// Longest part of a body read, bytes.
const BODY_LIMIT: usize = 8 << 10;
/// Most fields kept.
const FIELDS_LIMIT: usize = 200;

/// One answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// Status code; 0 when the status line has none.
    pub status: u16,
    /// Field names in lower case, and values.
    pub fields: Vec<(String, String)>,
    /// Start of the body, of kinds that programs read (JSON, plain text, IPP); chunks are joined.
    pub body: Vec<u8>,
    /// What came, as it came.
    pub raw: Vec<u8>,
}

impl Answer {
    /// The first value of a field; its name in lower case.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Every value of a field; its name in lower case.
    pub fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.fields.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The body, where it is whole JSON.
    pub fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok()
    }

    /// The body without white space around it.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).trim().to_string()
    }

    /// First line.
    pub fn status_line(&self) -> &[u8] {
        self.raw.split(|b| *b == b'\n').next().unwrap_or_default()
    }
}

/// Reads an answer, within the time of one.
pub async fn read(connection: &mut Connection) -> Result<Answer, Stop> {
    let end = connection.answer_by();
    let mut raw = Vec::new();
    let body_at = loop {
        if let Some(at) = end_of_head(&raw) {
            break at;
        }
        if raw.len() > HEAD_LIMIT {
            return Err(Stop::Limit);
        }
        match connection.some_by(end).await {
            Ok(more) => raw.extend_from_slice(&more),
            Err(Stop::Silent) if !raw.is_empty() => return Err(Stop::Incomplete),
            Err(stop) => return Err(stop),
        }
    };
    let mut answer = head(raw.get(..body_at).unwrap_or_default());
    if answer.has_readable_body() {
        let length = answer.field("content-length").and_then(|n| n.parse::<usize>().ok()).unwrap_or(BODY_LIMIT).min(BODY_LIMIT);
        let is_chunked = answer.field("transfer-encoding").is_some_and(|t| t.to_ascii_lowercase().contains("chunked"));
        let whole = |raw: &[u8]| raw.len() >= body_at + length || (is_chunked && raw.ends_with(b"\r\n0\r\n\r\n"));
        while !whole(&raw) {
            match connection.some_by(end).await {
                Ok(more) => raw.extend_from_slice(&more),
                // What came is kept.
                Err(_) => break,
            }
        }
        let body = raw.get(body_at..).unwrap_or_default();
        answer.body = if is_chunked { joined(body) } else { body.get(..length).unwrap_or(body).to_vec() };
    }
    answer.raw = raw;
    Ok(answer)
}

/// Where the body starts.
fn end_of_head(raw: &[u8]) -> Option<usize> {
    let by = |end: &[u8]| raw.windows(end.len()).position(|w| w == end).map(|at| at + end.len());
    match (by(b"\r\n\r\n"), by(b"\n\n")) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

impl Answer {
    fn has_readable_body(&self) -> bool {
        let kind = self.field("content-type").unwrap_or("text/plain").to_ascii_lowercase();
        !matches!(self.status, 0..=199 | 204 | 304)
            && (kind.contains("json") || kind.starts_with("text/plain") || kind.starts_with("application/text") || kind.starts_with("application/ipp"))
    }
}

/// Status and fields (RFC 9112 sections 4 and 5).
pub fn head(raw: &[u8]) -> Answer {
    let mut lines = raw.split(|b| *b == b'\n');
    let status_line = String::from_utf8_lossy(lines.next().unwrap_or_default()).into_owned();
    let status = status_line.split_ascii_whitespace().nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
    let field = |line: &[u8]| {
        let (name, value) = line.split_at_checked(line.iter().position(|b| *b == b':')?)?;
        let value = String::from_utf8_lossy(value.get(1..).unwrap_or_default()).trim().to_string();
        Some((String::from_utf8_lossy(name).to_ascii_lowercase(), value))
    };
    Answer { status, fields: lines.filter_map(field).take(FIELDS_LIMIT).collect(), body: Vec::new(), raw: raw.to_vec() }
}

/// Chunks joined (RFC 9112 section 7.1), as far as they go.
fn joined(mut body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    while let Some(end) = body.windows(2).position(|w| w == b"\r\n") {
        let size = body.get(..end).and_then(|line| std::str::from_utf8(line).ok()).and_then(|line| line.split(';').next());
        let Some(size) = size.and_then(|digits| usize::from_str_radix(digits.trim(), 16).ok()).filter(|n| *n > 0 && *n <= BODY_LIMIT * 8) else { break };
        let chunk = body.get(end + 2..).unwrap_or_default();
        out.extend_from_slice(chunk.get(..size).unwrap_or(chunk));
        body = chunk.get(size + 2..).unwrap_or_default();
    }
    out.truncate(BODY_LIMIT);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_read_whatever_their_line_ends() {
        let raw = b"HTTP/1.1 401 Unauthorized\r\nServer: x\r\nWWW-Authenticate: Basic\r\nwww-authenticate:Negotiate\r\nno colon\r\n\r\n";
        let answer = head(raw);
        assert_eq!((answer.status, answer.field("server")), (401, Some("x")));
        assert_eq!(answer.values("www-authenticate").collect::<Vec<_>>(), ["Basic", "Negotiate"]);
        assert_eq!(end_of_head(raw), Some(raw.len()));
        assert_eq!(end_of_head(b"HTTP/1.0 200 OK\nA: b\n\nbody"), Some(22));
        assert_eq!(end_of_head(b"HTTP/1.0 200 OK\r\nA: b\r\n"), None);
        assert_eq!(head(b"HTTP/1.1").status, 0);
    }

    #[test]
    fn recorded_answers_are_read() {
        let docker = head(include_bytes!("../../../../tests/wire/http-docker-version.bin"));
        assert_eq!((docker.status, docker.field("api-version"), docker.field("ostype")), (200, Some("1.41"), Some("linux")));
        let etcd = head(include_bytes!("../../../../tests/wire/http-etcd-root.bin"));
        assert_eq!((etcd.status, etcd.field("content-type")), (404, Some("text/plain; charset=utf-8")));
    }

    #[test]
    fn chunks_are_joined_and_broken_ones_end_it() {
        assert_eq!(joined(b"5\r\nhello\r\n6;x=1\r\n world\r\n0\r\n\r\n"), b"hello world");
        assert_eq!(joined(b"ffffffffffffffff\r\nhello"), b"");
        assert_eq!(joined(b"a\r\nhello"), b"hello");
        assert_eq!(joined(b"zz\r\nhello"), b"");
    }
}
