//! What a server sends after a hello, in clear: records, alerts, ServerHello, Certificate,
//! CertificateStatus, ServerKeyExchange, CertificateRequest. Fed byte by byte or all at once, it says the same.

use super::client_hello::{SSL2, TLS12, TLS13};
use super::registry;
use crate::probe::reader::{Reader, banner, hex_head};

/// Largest record, bytes (RFC 5246 section 6.2.3: 2^14 + 2048).
const RECORD_LIMIT: usize = (1 << 14) + 2048;
/// Largest handshake message, bytes.
const MESSAGE_LIMIT: usize = 60_000;
/// Most bytes of messages kept for a finished handshake.
const TRANSCRIPT_LIMIT: usize = 256 << 10;
/// Most certificates of one chain.
pub const CHAIN_LIMIT: usize = 16;
/// Most extensions kept of one hello.
const EXTENSIONS_LIMIT: usize = 64;
/// Random of a ServerHello that is a HelloRetryRequest (RFC 8446 section 4.1.3).
const RETRY: [u8; 32] = [
    0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91, 0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e,
    0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
];

/// A server's choice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hello {
    /// Chosen version.
    pub version: u16,
    /// Chosen suite; 0 in SSL 2.0.
    pub suite: u16,
    /// SSL 2.0: every cipher kind that it has in common with us.
    pub kinds: Vec<u32>,
    /// TLS 1.3: whether it asks for another hello.
    pub is_retry: bool,
    /// Server random.
    pub random: [u8; 32],
    /// Session id given or echoed.
    pub session_id: Vec<u8>,
    /// Compression method; 0 for none.
    pub compression: u8,
    /// Extensions in the order sent.
    pub extensions: Vec<(u16, Vec<u8>)>,
    /// DER certificates in the order sent, where they are in clear.
    pub chain: Vec<Vec<u8>>,
    /// Stapled OCSP response, DER (RFC 6066 section 8).
    pub staple: Option<Vec<u8>>,
    /// Ephemeral key exchange.
    pub key_exchange: Option<KeyExchange>,
    /// Signature scheme of the key exchange; TLS 1.2 and later.
    pub scheme: Option<u16>,
    /// Whether a client certificate is asked for; `None` when that part was not reached.
    pub client_certificate_requested: Option<bool>,
    /// Whether the server's part of the hello exchange came to its end.
    pub is_done: bool,
    /// Handshake messages as read, for a finished handshake.
    pub transcript: Vec<u8>,
}

impl Hello {
    /// Value of an extension.
    pub fn extension(&self, kind: u16) -> Option<&[u8]> {
        self.extensions.iter().find(|e| e.0 == kind).map(|e| e.1.as_slice())
    }

    /// The group that was chosen, or asked for.
    pub fn group(&self) -> Option<u16> {
        match &self.key_exchange {
            Some(KeyExchange::Curve { group, .. }) => Some(*group),
            Some(_) => None,
            None => Reader::new(self.extension(51)?).u16(),
        }
    }

    /// Protocol chosen by ALPN (RFC 7301).
    pub fn protocol(&self) -> Option<String> {
        protocol(self.extension(16)?)
    }
}

/// Protocol in an ALPN extension of a server.
pub fn protocol(value: &[u8]) -> Option<String> {
    let mut list = Reader::new(Reader::new(value).vector16()?);
    let length = list.u8()?;
    Some(String::from_utf8_lossy(list.take(usize::from(length))?).into_owned())
}

/// Parameters of a ServerKeyExchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyExchange {
    /// A named curve and the server's point (RFC 8422).
    Curve {
        /// Group.
        group: u16,
        /// Public key.
        point: Vec<u8>,
    },
    /// A curve given by its parameters (RFC 4492).
    ExplicitCurve,
    /// A prime group (RFC 5246).
    Prime {
        /// The prime, without leading zeros.
        prime: Vec<u8>,
    },
    /// A short RSA key of the export suites (RFC 2246).
    Rsa {
        /// Size of its modulus, bits.
        bits: u32,
    },
}

/// How a server answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// It chose.
    Hello(Box<Hello>),
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
    hello: Option<Box<Hello>>,
    seen: usize,
    warning: Option<u8>,
    head: Vec<u8>,
}

impl Collector {
    /// Takes more bytes; the reply as soon as it is certain.
    pub fn feed(&mut self, bytes: &[u8]) -> Option<Reply> {
        self.head.extend(bytes.iter().take(HEAD_LIMIT.saturating_sub(self.head.len())));
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
                // A byte or two of something else may be all that comes.
                Err(()) if self.hello.is_none() && self.records.len() < FOREIGN_MINIMUM => return None,
                Err(()) => return Some(self.hello.take().map_or_else(|| self.foreign(), Reply::Hello)),
            }
        }
    }

    /// The reply when nothing more comes.
    pub fn end(&mut self, why: End) -> Reply {
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

    /// The first bytes of the reply, hexadecimal: evidence.
    pub fn head(&self) -> String {
        self.head.iter().map(|b| format!("{b:02x}")).collect()
    }

    /// Bytes that were fed and do not belong to the reply: records after the last message.
    pub fn into_rest(self) -> Vec<u8> {
        self.records
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
            // After a HelloRetryRequest servers send one for the sake of middleboxes (RFC 8446 appendix D.4).
            20 if self.hello.is_none() && body == [1] => None,
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
            r.take(length)?;
            let rest = self.messages.split_off(4 + length);
            let whole = std::mem::replace(&mut self.messages, rest);
            if let Some(reply) = self.message(kind, &whole) {
                return Some(reply);
            }
        }
    }

    fn message(&mut self, kind: u8, whole: &[u8]) -> Option<Reply> {
        let body = whole.get(4..).unwrap_or_default();
        let Some(hello) = self.hello.as_mut() else {
            if kind != 2 {
                return Some(Reply::Garbage(format!("handshake message {kind} before ServerHello")));
            }
            let Some(mut hello) = server_hello(body) else {
                return Some(Reply::Garbage("malformed ServerHello".into()));
            };
            hello.transcript = whole.to_vec();
            // The rest of TLS 1.3 is encrypted.
            if hello.version >= TLS13 {
                hello.is_done = true;
                return Some(Reply::Hello(Box::new(hello)));
            }
            self.hello = Some(Box::new(hello));
            return None;
        };
        if hello.transcript.len() < TRANSCRIPT_LIMIT {
            hello.transcript.extend_from_slice(whole);
        }
        match kind {
            11 => hello.chain = chain(body).unwrap_or_default(),
            12 => exchange(hello, body),
            13 => hello.client_certificate_requested = Some(true),
            14 => {
                hello.client_certificate_requested.get_or_insert(false);
                hello.is_done = true;
                return self.hello.take().map(Reply::Hello);
            }
            22 => hello.staple = staple(body),
            // HelloRequest, NewSessionTicket …
            _ => {}
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
        let (certificate, kinds, _id) = (body.u16()?, body.u16()?, body.u16()?);
        let certificate = body.take(usize::from(certificate))?.to_vec();
        let kinds = body.take(usize::from(kinds))?.chunks_exact(3).map(|k| k.iter().fold(0, |n, b| (n << 8) | u32::from(*b))).collect();
        let chain = if certificate.is_empty() { Vec::new() } else { vec![certificate] };
        Some(Reply::Hello(Box::new(Hello { version, kinds, chain, is_done: true, ..Hello::default() })))
    }
}

/// Fewest bytes by which an answer is told to be something else, while more may come.
const FOREIGN_MINIMUM: usize = 4;
/// Most bytes kept as evidence of a reply.
const HEAD_LIMIT: usize = 24;

/// ServerHello or HelloRetryRequest (RFC 8446 section 4.1.3): a `supported_versions` extension decides.
fn server_hello(body: &[u8]) -> Option<Hello> {
    let mut r = Reader::new(body);
    let mut hello = Hello { version: r.u16()?, random: r.take(32)?.try_into().ok()?, ..Hello::default() };
    let id = r.u8()?;
    hello.session_id = r.take(usize::from(id))?.to_vec();
    hello.suite = r.u16()?;
    hello.compression = r.u8()?;
    hello.is_retry = hello.random == RETRY;
    hello.extensions = r.vector16().map(extensions).unwrap_or_default();
    if let Some(version) = hello.extension(43) {
        hello.version = Reader::new(version).u16()?;
    }
    Some(hello)
}

/// Extensions of a server's message, as many as are whole.
pub fn extensions(bytes: &[u8]) -> Vec<(u16, Vec<u8>)> {
    let mut r = Reader::new(bytes);
    let mut out = Vec::new();
    while let (Some(kind), Some(value)) = (r.u16(), r.vector16()) {
        if out.len() < EXTENSIONS_LIMIT {
            out.push((kind, value.to_vec()));
        }
    }
    out
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

/// CertificateStatus (RFC 6066 section 8) of type ocsp.
pub fn staple(body: &[u8]) -> Option<Vec<u8>> {
    let mut r = Reader::new(body);
    (r.u8()? == 1).then(|| r.vector24().map(<[u8]>::to_vec)).flatten()
}

/// ServerKeyExchange: what its parameters are depends on the suite (RFC 5246 section 7.4.3, RFC 8422, RFC 4279).
fn exchange(hello: &mut Hello, body: &[u8]) {
    let kind = registry::key_exchange(hello.suite);
    let mut r = Reader::new(body);
    if kind.contains("PSK") && r.vector16().is_none() {
        return;
    }
    let exchange = if kind.starts_with("ECDH") {
        curve(&mut r)
    } else if kind.starts_with("DH") {
        prime(&mut r)
    } else if kind.starts_with("RSA_EXPORT") {
        r.vector16().and_then(|modulus| r.vector16().map(|_exponent| KeyExchange::Rsa { bits: bits(modulus) }))
    } else {
        None
    };
    let Some(exchange) = exchange else {
        return;
    };
    hello.key_exchange = Some(exchange);
    if hello.version >= TLS12 && !kind.contains("anon") {
        hello.scheme = r.u16();
    }
}

fn curve(r: &mut Reader<'_>) -> Option<KeyExchange> {
    match r.u8()? {
        3 => {
            let group = r.u16()?;
            let length = r.u8()?;
            Some(KeyExchange::Curve { group, point: r.take(usize::from(length))?.to_vec() })
        }
        1 | 2 => Some(KeyExchange::ExplicitCurve),
        _ => None,
    }
}

fn prime(r: &mut Reader<'_>) -> Option<KeyExchange> {
    let prime = r.vector16()?;
    let (_generator, _public) = (r.vector16()?, r.vector16()?);
    let zeros = prime.iter().take_while(|b| **b == 0).count();
    Some(KeyExchange::Prime { prime: prime.get(zeros..)?.to_vec() })
}

/// Size of a big-endian number, bits.
pub fn bits(number: &[u8]) -> u32 {
    let significant = number.iter().position(|b| *b != 0).and_then(|at| number.get(at..)).unwrap_or_default();
    let leading = significant.first().map_or(0, |b| b.leading_zeros());
    u32::try_from(significant.len()).unwrap_or(0).saturating_mul(8).saturating_sub(leading)
}

/// Name of an alert (RFC 8446 section 6 and predecessors).
pub fn alert_name(description: u8) -> String {
    let name = match description {
        0 => "close_notify",
        10 => "unexpected_message",
        20 => "bad_record_mac",
        21 => "decryption_failed",
        22 => "record_overflow",
        40 => "handshake_failure",
        41 => "no_certificate",
        42 => "bad_certificate",
        47 => "illegal_parameter",
        48 => "unknown_ca",
        49 => "access_denied",
        50 => "decode_error",
        51 => "decrypt_error",
        70 => "protocol_version",
        71 => "insufficient_security",
        80 => "internal_error",
        86 => "inappropriate_fallback",
        90 => "user_canceled",
        100 => "no_renegotiation",
        109 => "missing_extension",
        110 => "unsupported_extension",
        112 => "unrecognized_name",
        113 => "bad_certificate_status_response",
        115 => "unknown_psk_identity",
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

    #[test]
    fn a_server_hello_of_ssl_2_lists_every_kind_in_common() {
        let body = [4, 0, 1, 0, 2, 0, 2, 0, 6, 0, 1, 0xde, 0xad, 1, 0, 0x80, 7, 0, 0xc0, 9];
        let bytes = [&[0x80, 20][..], &body].concat();
        let Reply::Hello(hello) = reply(&bytes, End::Closed) else { panic!() };
        assert_eq!((hello.version, hello.kinds.as_slice(), hello.chain.len()), (SSL2, &[0x01_0080, 0x07_00c0][..], 1));
    }

    #[test]
    fn the_parameters_of_a_key_exchange_are_read_by_suite() {
        let read = |suite, body: &[u8]| {
            let mut hello = Hello { version: TLS12, suite, ..Hello::default() };
            exchange(&mut hello, body);
            (hello.key_exchange, hello.scheme)
        };
        let curve = [3, 0, 29, 1, 9, 4, 1, 0, 0];
        assert_eq!(read(0xc02f, &curve), (Some(KeyExchange::Curve { group: 29, point: vec![9] }), Some(0x0401)));
        assert_eq!(read(0xc018, &curve), (Some(KeyExchange::Curve { group: 29, point: vec![9] }), None));
        assert_eq!(read(0x0033, &[0, 2, 0, 5, 0, 1, 2, 0, 1, 4, 4, 1]), (Some(KeyExchange::Prime { prime: vec![5] }), Some(0x0401)));
        assert_eq!(read(0x0003, &[0, 2, 1, 0, 0, 1, 3, 4, 1]), (Some(KeyExchange::Rsa { bits: 9 }), Some(0x0401)));
        assert_eq!(read(0x0033, &[0, 2, 0]), (None, None));
        assert_eq!(read(0xc02f, &[1, 9]), (Some(KeyExchange::ExplicitCurve), None));
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
