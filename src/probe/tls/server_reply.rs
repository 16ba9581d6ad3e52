//! What a server sends after a hello, in clear: records, alerts, ServerHello, Certificate,
//! CertificateRequest. Fed byte by byte or all at once, it says the same.

use super::client_hello::{SSL2, TLS13};
use crate::probe::reader::{Reader, banner, hex_head};

/// Largest record, bytes (RFC 5246 section 6.2.3: 2^14 + 2048).
const RECORD_LIMIT: usize = (1 << 14) + 2048;
/// Largest handshake message, bytes.
const MESSAGE_LIMIT: usize = 60_000;
/// Most certificates of one chain.
pub const CHAIN_LIMIT: usize = 16;

/// A server's choice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hello {
    /// Chosen version.
    pub version: u16,
    /// Chosen suite; 0 in SSL 2.0.
    pub suite: u16,
    /// DER certificates in the order sent, where they are in clear.
    pub chain: Vec<Vec<u8>>,
    /// Whether a client certificate is asked for; `None` when that part was not reached.
    pub client_certificate_requested: Option<bool>,
}

/// How a server answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// It chose.
    Hello(Hello),
    /// It refused: alert description (RFC 8446 section 6).
    Alert(u8),
    /// It hung up without a byte.
    Closed,
    /// Not a byte, or not enough of them, in time.
    Silent(String),
    /// Text instead of TLS.
    Plaintext(String),
    /// Anything else.
    Garbage(String),
}

/// Why no more bytes come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The connection was closed.
    Closed,
    /// Time is up.
    Time,
    /// The byte cap is reached.
    Limit,
}

/// Collects a reply.
#[derive(Debug, Default)]
pub struct Collector {
    records: Vec<u8>,
    messages: Vec<u8>,
    hello: Option<Hello>,
    seen: usize,
    warning: Option<u8>,
}

impl Collector {
    /// Takes more bytes; the reply as soon as it is certain.
    pub fn feed(&mut self, bytes: &[u8]) -> Option<Reply> {
        self.seen += bytes.len();
        self.records.extend_from_slice(bytes);
        if self.seen == self.records.len()
            && let Some(reply) = self.ssl2()
        {
            return Some(reply);
        }
        loop {
            match self.record() {
                Ok(Some((kind, body))) => {
                    if let Some(reply) = self.handle(kind, &body) {
                        return Some(reply);
                    }
                }
                Ok(None) => return None,
                Err(()) => return Some(self.hello.take().map_or_else(|| self.foreign(), Reply::Hello)),
            }
        }
    }

    /// The reply when nothing more comes.
    pub fn end(mut self, why: End) -> Reply {
        if let Some(hello) = self.hello.take() {
            return Reply::Hello(hello);
        }
        if let Some(description) = self.warning {
            return Reply::Alert(description);
        }
        match (why, self.seen) {
            (End::Closed, 0) => Reply::Closed,
            (End::Time, 0) => Reply::Silent(String::new()),
            (End::Time, n) => Reply::Silent(format!("{n} bytes, then nothing")),
            (End::Closed | End::Limit, _) => self.foreign(),
        }
    }

    fn foreign(&self) -> Reply {
        let head = self.records.get(..self.records.len().min(64)).unwrap_or_default();
        let text = head.len() >= 4 && head.iter().take(16).all(|b| b.is_ascii_graphic() || b.is_ascii_whitespace());
        if text { Reply::Plaintext(banner(head)) } else { Reply::Garbage(hex_head(head)) }
    }

    /// The next whole record; an error when the bytes are no TLS.
    fn record(&mut self) -> Result<Option<(u8, Vec<u8>)>, ()> {
        let mut r = Reader::new(&self.records);
        let (Some(kind), Some(major)) = (r.u8(), r.u8()) else {
            return Ok(None);
        };
        if !(20..=24).contains(&kind) || major != 3 {
            return Err(());
        }
        let (Some(_minor), Some(length)) = (r.u8(), r.u16()) else {
            return Ok(None);
        };
        if usize::from(length) > RECORD_LIMIT {
            return Err(());
        }
        let Some(body) = r.take(usize::from(length)).map(<[u8]>::to_vec) else {
            return Ok(None);
        };
        self.records.drain(..5 + body.len());
        Ok(Some((kind, body)))
    }

    fn handle(&mut self, kind: u8, body: &[u8]) -> Option<Reply> {
        match kind {
            22 => {
                self.messages.extend_from_slice(body);
                self.message_loop()
            }
            21 => match (self.hello.take(), body) {
                (Some(hello), _) => Some(Reply::Hello(hello)),
                // A warning is not an end (unrecognized_name comes before a ServerHello).
                (None, [1, description]) => {
                    self.warning = Some(*description);
                    None
                }
                (None, [_, description]) => Some(Reply::Alert(*description)),
                (None, _) => Some(Reply::Garbage(hex_head(body))),
            },
            _ => Some(self.hello.take().map_or_else(|| Reply::Garbage(format!("record type {kind}")), Reply::Hello)),
        }
    }

    fn message_loop(&mut self) -> Option<Reply> {
        loop {
            let mut r = Reader::new(&self.messages);
            let (kind, length) = (r.u8()?, r.u24()?);
            if length > MESSAGE_LIMIT {
                return Some(self.hello.take().map_or_else(|| Reply::Garbage(format!("handshake message of {length} bytes")), Reply::Hello));
            }
            let body = r.take(length)?.to_vec();
            self.messages.drain(..4 + length);
            if let Some(reply) = self.message(kind, &body) {
                return Some(reply);
            }
        }
    }

    fn message(&mut self, kind: u8, body: &[u8]) -> Option<Reply> {
        match (kind, self.hello.as_mut()) {
            (2, None) => match server_hello(body) {
                // The rest of TLS 1.3 is encrypted.
                Some(hello) if hello.version >= TLS13 => return Some(Reply::Hello(hello)),
                Some(hello) => self.hello = Some(hello),
                None => return Some(Reply::Garbage("malformed ServerHello".into())),
            },
            (11, Some(hello)) => hello.chain = chain(body).unwrap_or_default(),
            (13, Some(hello)) => hello.client_certificate_requested = Some(true),
            (14, Some(hello)) => {
                hello.client_certificate_requested.get_or_insert(false);
                return self.hello.take().map(Reply::Hello);
            }
            // HelloRequest, NewSessionTicket, ServerKeyExchange, CertificateStatus …
            (_, Some(_)) => {}
            (_, None) => return Some(Reply::Garbage(format!("handshake message {kind} before ServerHello"))),
        }
        None
    }

    /// `SERVER-HELLO` of SSL 2.0: two bytes of length, message 4, session hit, certificate type, version.
    fn ssl2(&self) -> Option<Reply> {
        let mut r = Reader::new(&self.records);
        let length = usize::from(r.u16()?);
        if length & 0x8000 == 0 {
            return None;
        }
        let mut body = Reader::new(r.take(length & 0x7fff)?);
        let (kind, _hit, _type, version) = (body.u8()?, body.u8()?, body.u8()?, body.u16()?);
        if kind != 4 || version != SSL2 {
            return None;
        }
        let (certificate, _suites, _id) = (body.u16()?, body.u16()?, body.u16()?);
        let certificate = body.take(usize::from(certificate))?.to_vec();
        Some(Reply::Hello(Hello { version, suite: 0, chain: vec![certificate], client_certificate_requested: None }))
    }
}

/// ServerHello or HelloRetryRequest (RFC 8446 section 4.1.3): a `supported_versions` extension decides.
fn server_hello(body: &[u8]) -> Option<Hello> {
    let mut r = Reader::new(body);
    let mut version = r.u16()?;
    r.take(32)?;
    let id = r.u8()?;
    r.take(usize::from(id))?;
    let suite = r.u16()?;
    let _compression = r.u8()?;
    if let Some(extensions) = r.vector16() {
        let mut r = Reader::new(extensions);
        while let (Some(kind), Some(value)) = (r.u16(), r.vector16()) {
            if kind == 43 {
                version = Reader::new(value).u16()?;
            }
        }
    }
    Some(Hello { version, suite, ..Hello::default() })
}

/// certificate_list of TLS 1.2 and earlier (RFC 5246 section 7.4.2).
fn chain(body: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut list = Reader::new(Reader::new(body).vector24()?);
    let mut out = Vec::new();
    while !list.is_empty() && out.len() < CHAIN_LIMIT {
        out.push(list.vector24()?.to_vec());
    }
    Some(out)
}

/// Name of an alert (RFC 8446 section 6 and predecessors).
pub fn alert_name(description: u8) -> String {
    let name = match description {
        0 => "close_notify",
        10 => "unexpected_message",
        20 => "bad_record_mac",
        40 => "handshake_failure",
        42 => "bad_certificate",
        47 => "illegal_parameter",
        50 => "decode_error",
        51 => "decrypt_error",
        70 => "protocol_version",
        71 => "insufficient_security",
        80 => "internal_error",
        86 => "inappropriate_fallback",
        90 => "user_canceled",
        109 => "missing_extension",
        110 => "unsupported_extension",
        112 => "unrecognized_name",
        116 => "certificate_required",
        120 => "no_application_protocol",
        other => return format!("alert {other}"),
    };
    format!("alert {name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALERT: [u8; 7] = [21, 3, 1, 0, 2, 2, 70];

    fn reply(bytes: &[u8], end: End) -> Reply {
        let mut collector = Collector::default();
        collector.feed(bytes).unwrap_or_else(|| collector.end(end))
    }

    #[test]
    fn refusals_are_told_apart() {
        assert_eq!(reply(&ALERT, End::Closed), Reply::Alert(70));
        assert_eq!(reply(b"", End::Closed), Reply::Closed);
        assert_eq!(reply(b"", End::Time), Reply::Silent(String::new()));
        assert_eq!(reply(&ALERT[..3], End::Time), Reply::Silent("3 bytes, then nothing".into()));
        assert_eq!(reply(b"HTTP/1.1 400 Bad Request\r\n\r\n", End::Closed), Reply::Plaintext("HTTP/1.1 400 Bad Request".into()));
        assert!(matches!(reply(&[0xde, 0xad, 0xbe, 0xef, 1], End::Closed), Reply::Garbage(_)));
        assert!(matches!(reply(&[22, 3, 3, 0xff, 0xff, 1], End::Closed), Reply::Garbage(_)));
    }

    /// Recorded answers to our hellos; `tests/wire/README.md` says of what.
    fn recorded() -> Vec<(String, Vec<u8>)> {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wire");
        let paths = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path());
        let name = |p: &std::path::Path| p.file_name().unwrap().to_string_lossy().into_owned();
        let all: Vec<_> = paths.filter(|p| name(p).starts_with("tls-")).map(|p| (name(&p), std::fs::read(&p).unwrap())).collect();
        assert!(all.len() >= 4, "only {} recordings", all.len());
        all
    }

    #[test]
    fn hostile_bytes_never_panic_and_single_bytes_say_the_same() {
        for (name, bytes) in recorded() {
            let whole = reply(&bytes, End::Closed);
            assert!(matches!(whole, Reply::Hello(_) | Reply::Alert(_)), "{name}: {whole:?}");
            let mut single = Collector::default();
            let one_by_one = bytes.iter().find_map(|b| single.feed(&[*b])).unwrap_or_else(|| single.end(End::Closed));
            assert_eq!(one_by_one, whole, "{name}");
            let mut state = 0x9e37_79b9_u32;
            for round in 0..4000 {
                let mut mutated = bytes.clone();
                for _ in 0..=round % 4 {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    let at = usize::try_from(state >> 8).unwrap() % mutated.len().min(256);
                    mutated[at] = state.to_le_bytes()[0];
                }
                let cut = usize::try_from(state >> 4).unwrap() % mutated.len();
                reply(&mutated, End::Closed);
                reply(&mutated[..cut], End::Time);
            }
        }
    }
}
