//! ClientHello bytes: SSL 2.0 framing, SSL 3.0, TLS 1.0 to 1.3.

use std::net::IpAddr;

use ring::rand::SecureRandom as _;

use super::registry;

/// TLS 1.3 (RFC 8446).
pub const TLS13: u16 = 0x0304;
/// TLS 1.2 (RFC 5246).
pub const TLS12: u16 = 0x0303;
/// TLS 1.0 (RFC 2246).
pub const TLS10: u16 = 0x0301;
/// SSL 3.0 (RFC 6101).
pub const SSL3: u16 = 0x0300;
/// SSL 2.0.
pub const SSL2: u16 = 0x0002;

/// TLS_FALLBACK_SCSV (RFC 7507).
pub const FALLBACK: u16 = 0x5600;
/// TLS_EMPTY_RENEGOTIATION_INFO_SCSV (RFC 5746 section 3.3).
const RENEGOTIATION: u16 = 0x00ff;
/// DEFLATE (RFC 3749), then none.
const COMPRESSIONS: &[u8] = &[1, 0];
/// Some load balancers never answer hellos of 256 to 511 bytes (RFC 7685).
const AWKWARD: std::ops::Range<usize> = 256..512;

/// What one hello offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The newest version offered, and but for `older` the only one.
    pub version: u16,
    /// With TLS 1.3: older versions offered beside it.
    pub older: Vec<u16>,
    /// Suites, most wanted first.
    pub suites: Vec<u16>,
    /// Groups, most wanted first.
    pub groups: Vec<u16>,
    /// Signature schemes, most wanted first; sent with TLS 1.2 and 1.3.
    pub schemes: Vec<u16>,
    /// TLS 1.3: public keys by group. Without any the server asks for the group that it wants.
    pub shares: Vec<(u16, Vec<u8>)>,
    /// TLS 1.3: cookie to be given back (RFC 8446 section 4.2.2).
    pub cookie: Option<Vec<u8>>,
    /// Name for server name indication (RFC 6066); empty for none, as is an address.
    pub server_name: String,
    /// Protocols of ALPN (RFC 7301); empty: the extension is left out.
    pub protocols: Vec<String>,
    /// Whether a session ticket is asked for (RFC 5077), and the one to resume.
    pub ticket: Option<Vec<u8>>,
    /// Session to resume, or the id that TLS 1.3 echoes.
    pub session_id: Vec<u8>,
    /// Client random.
    pub random: [u8; 32],
    /// Verify data of the first handshake when renegotiating (RFC 5746).
    pub renegotiation: Vec<u8>,
    /// Whether the hello says that it is a second attempt at a lower version.
    pub fallback: bool,
    /// DEFLATE beside no compression, before TLS 1.3.
    pub compression: bool,
    /// Whether it says that certificates may be signed by any scheme, whatever `schemes` has (RFC 8446 section 4.2.3). OpenSSL then
    /// looks more closely, and keeps back a certificate that is signed by a scheme without a name.
    pub is_any_certificate: bool,
    /// Whether only what every server must know is sent: some hang up at a status_request that they can't serve.
    pub is_bare: bool,
    /// Whether the heartbeat extension is sent (RFC 6520).
    pub heartbeat: bool,
}

impl Offer {
    /// Everything that may be said in `version`.
    pub fn of(version: u16, server_name: &str) -> Self {
        let is_13 = version == TLS13;
        Self {
            version,
            older: Vec::new(),
            suites: if is_13 { registry::TLS13 } else { registry::LEGACY }.to_vec(),
            groups: if is_13 { registry::GROUPS13 } else { registry::GROUPS12 }.to_vec(),
            schemes: registry::SCHEMES.to_vec(),
            shares: Vec::new(),
            cookie: None,
            server_name: server_name.into(),
            protocols: Vec::new(),
            ticket: (version >= TLS10).then(Vec::new),
            // A session id asks TLS 1.3 servers for the middlebox-friendly form (RFC 8446 appendix D.4).
            session_id: if is_13 { random::<32>().to_vec() } else { Vec::new() },
            random: random(),
            renegotiation: Vec::new(),
            fallback: false,
            is_any_certificate: false,
            is_bare: false,
            compression: true,
            heartbeat: (TLS10..TLS13).contains(&version),
        }
    }

    /// TLS 1.0 to 1.3.
    pub fn of_any_version(server_name: &str) -> Self {
        Self { older: vec![TLS12, 0x0302, TLS10], suites: [registry::TLS13, registry::LEGACY].concat(), ..Self::of(TLS13, server_name) }
    }

    /// The record.
    pub fn bytes(&self) -> Vec<u8> {
        match self.version {
            SSL2 => ssl2(),
            version => [&[22][..], &version.min(TLS10).to_be_bytes(), &vector(&self.message())].concat(),
        }
    }

    /// The handshake message.
    pub fn message(&self) -> Vec<u8> {
        let mut body = self.version.min(TLS12).to_be_bytes().to_vec();
        body.extend_from_slice(&self.random);
        body.extend_from_slice(&short_vector(&self.session_id));
        let fallback = if self.fallback { &[FALLBACK][..] } else { &[] };
        // SSL 3.0 has no extensions; a server answers the signal with one.
        let renegotiation = if self.version < TLS10 { &[RENEGOTIATION][..] } else { &[] };
        body.extend_from_slice(&codes(&[self.suites.as_slice(), renegotiation, fallback].concat()));
        body.extend_from_slice(&short_vector(if self.version == TLS13 || !self.compression { &[0] } else { COMPRESSIONS }));
        let mut extensions = self.extensions();
        if !extensions.is_empty() {
            let length = 4 + body.len() + 2 + extensions.len();
            if AWKWARD.contains(&length) {
                extensions.extend_from_slice(&extension(21, &vec![0; AWKWARD.end.saturating_sub(length + 4)]));
            }
            body.extend_from_slice(&vector(&extensions));
        }
        [&[1, 0][..], &vector(&body)].concat()
    }

    fn extensions(&self) -> Vec<u8> {
        let mut out = Vec::new();
        if self.version < TLS10 {
            return out;
        }
        if !self.server_name.is_empty() && self.server_name.parse::<IpAddr>().is_err() {
            // RFC 6066 section 3: one host_name.
            let entry = [&[0][..], &vector(self.server_name.as_bytes())].concat();
            out.extend_from_slice(&extension(0, &vector(&entry)));
        }
        out.extend_from_slice(&extension(10, &codes(&self.groups)));
        // ec_point_formats: uncompressed (RFC 8422); status_request (RFC 6066 section 8); signed timestamps (RFC 6962).
        out.extend_from_slice(&extension(11, &[1, 0]));
        if !self.is_bare {
            out.extend_from_slice(&extension(5, &[1, 0, 0, 0, 0]));
            out.extend_from_slice(&extension(18, &[]));
        }
        if self.version >= TLS12 {
            out.extend_from_slice(&extension(13, &codes(&self.schemes)));
            if self.is_any_certificate {
                out.extend_from_slice(&extension(50, &codes(registry::SCHEMES)));
            }
        }
        // renegotiation_info (RFC 5746) and extended_master_secret (RFC 7627).
        out.extend_from_slice(&extension(0xff01, &short_vector(&self.renegotiation)));
        out.extend_from_slice(&extension(23, &[]));
        if !self.protocols.is_empty() {
            let names: Vec<u8> = self.protocols.iter().flat_map(|p| short_vector(p.as_bytes())).collect();
            out.extend_from_slice(&extension(16, &vector(&names)));
        }
        if self.version < TLS13 || !self.older.is_empty() {
            self.extensions_12(&mut out);
        }
        if self.version == TLS13 {
            self.extensions_13(&mut out);
        }
        out
    }

    fn extensions_12(&self, out: &mut Vec<u8>) {
        // encrypt_then_mac (RFC 7366).
        out.extend_from_slice(&extension(22, &[]));
        if let Some(ticket) = &self.ticket {
            out.extend_from_slice(&extension(35, ticket));
        }
        if self.heartbeat {
            out.extend_from_slice(&extension(15, &[1]));
        }
    }

    fn extensions_13(&self, out: &mut Vec<u8>) {
        let versions: Vec<u8> = std::iter::once(&TLS13).chain(&self.older).flat_map(|v| v.to_be_bytes()).collect();
        out.extend_from_slice(&extension(43, &short_vector(&versions)));
        // psk_dhe_ke, so that tickets are given (RFC 8446 section 4.2.9).
        out.extend_from_slice(&extension(45, &[1, 1]));
        if let Some(cookie) = &self.cookie {
            out.extend_from_slice(&extension(44, &vector(cookie)));
        }
        let shares: Vec<u8> = self.shares.iter().flat_map(|(group, key)| [&group.to_be_bytes()[..], &vector(key)].concat()).collect();
        out.extend_from_slice(&extension(51, &vector(&shares)));
    }
}

/// `CLIENT-HELLO` of SSL 2.0 with a challenge of 16 bytes.
fn ssl2() -> Vec<u8> {
    let kinds: Vec<u8> = registry::SSL2.iter().flat_map(|(kind, _)| kind.to_be_bytes().into_iter().skip(1)).collect();
    let mut body = vec![1, 0, 2];
    for length in [kinds.len(), 0, 16] {
        body.extend_from_slice(&u16::try_from(length).unwrap_or(0).to_be_bytes());
    }
    body.extend_from_slice(&kinds);
    body.extend_from_slice(&random::<16>());
    let length = u16::try_from(body.len()).unwrap_or(0) | 0x8000;
    [&length.to_be_bytes()[..], &body].concat()
}

fn extension(kind: u16, body: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes()[..], &vector(body)].concat()
}

fn codes(list: &[u16]) -> Vec<u8> {
    vector(&list.iter().flat_map(|c| c.to_be_bytes()).collect::<Vec<u8>>())
}

/// Two bytes of length and the bytes; every vector here is far below the 65,535 they can say.
pub fn vector(bytes: &[u8]) -> Vec<u8> {
    [&u16::try_from(bytes.len()).unwrap_or(0).to_be_bytes()[..], bytes].concat()
}

/// One byte of length and the bytes, at most 255.
pub fn short_vector(bytes: &[u8]) -> Vec<u8> {
    [&[u8::try_from(bytes.len()).unwrap_or(0)][..], bytes].concat()
}

/// Random bytes; zeros when the system has none, which a hello that protects nothing survives.
pub fn random<const N: usize>() -> [u8; N] {
    let mut out = [0; N];
    let _ = ring::rand::SystemRandom::new().fill(&mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(hello: &[u8]) {
        assert_eq!(usize::from(u16::from_be_bytes([hello[3], hello[4]])), hello.len() - 5);
        assert_eq!(usize::from(u16::from_be_bytes([hello[7], hello[8]])), hello.len() - 9);
        // The extensions end with the message.
        let mut at = 9 + 2 + 32;
        at += 1 + usize::from(hello[at]);
        at += 2 + usize::from(u16::from_be_bytes([hello[at], hello[at + 1]]));
        at += 1 + usize::from(hello[at]);
        if at < hello.len() {
            assert_eq!(at + 2 + usize::from(u16::from_be_bytes([hello[at], hello[at + 1]])), hello.len());
        }
    }

    #[test]
    fn every_hello_has_exact_lengths_and_avoids_awkward_sizes() {
        for version in [SSL3, TLS10, 0x0302, TLS12, TLS13] {
            for name in ["", "a.example", "192.0.2.1"] {
                let mut offer = Offer::of(version, name);
                offer.suites.truncate(20);
                for suites in [offer.suites.clone(), registry::rare_suites()] {
                    offer.suites = suites;
                    let hello = offer.bytes();
                    check(&hello);
                    assert!(version == SSL3 || !AWKWARD.contains(&(hello.len() - 5)), "{version:#06x} {}", hello.len());
                    assert_eq!(hello.windows(9).any(|w| w == b"a.example"), name == "a.example" && version != SSL3);
                }
            }
        }
        check(&Offer::of_any_version("a.example").bytes());
        let hello = Offer::of(SSL2, "").bytes();
        assert_eq!(usize::from(u16::from_be_bytes([hello[0] & 0x7f, hello[1]])), hello.len() - 2);
    }
}
