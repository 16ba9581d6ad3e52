//! ClientHello bytes: SSL 2.0 framing, SSL 3.0, TLS 1.0 to 1.3.

use std::net::IpAddr;

use ring::rand::SecureRandom as _;

use super::suites;

/// TLS 1.3 (RFC 8446).
pub const TLS13: u16 = 0x0304;
/// TLS 1.2 (RFC 5246).
pub const TLS12: u16 = 0x0303;
/// SSL 3.0 (RFC 6101).
pub const SSL3: u16 = 0x0300;
/// SSL 2.0.
pub const SSL2: u16 = 0x0002;

/// Named groups (IANA "TLS Supported Groups"): hybrid and plain ML-KEM, elliptic curves, FFDHE.
const GROUPS: &[u16] = &[0x11ec, 0x11eb, 0x11ed, 29, 23, 24, 25, 30, 0x0200, 0x0201, 0x0202, 256, 257, 258, 22, 26, 27, 28, 21, 19];
/// Groups that a server older than TLS 1.3 understands.
const OLD_GROUPS: &[u16] = &[29, 23, 24, 25, 30, 22, 26, 27, 28, 21, 19, 256, 257, 258];
/// Signature schemes (IANA "TLS SignatureScheme"), legacy ones last.
const SIGNATURES: &[u16] = &[
    0x0403, 0x0503, 0x0603, 0x0807, 0x0808, 0x0804, 0x0805, 0x0806, 0x0809, 0x080a, 0x080b, 0x0401, 0x0501, 0x0601, 0x0303, 0x0301, 0x0402, 0x0502, 0x0602,
    0x0202, 0x0203, 0x0201,
];
/// Some load balancers never answer hellos of 256 to 511 bytes (RFC 7685).
const AWKWARD: std::ops::Range<usize> = 256..512;

/// A hello that offers `version` and no other.
pub fn of_version(version: u16, server_name: &str) -> Vec<u8> {
    match version {
        SSL2 => ssl2(),
        SSL3 => hello(SSL3, suites::LEGACY, Vec::new()),
        TLS13 => hello(TLS13, suites::TLS13, extensions_13(&[TLS13], server_name)),
        _ => hello(version, suites::LEGACY, extensions(version, OLD_GROUPS, server_name)),
    }
}

/// A hello that offers TLS 1.0 to 1.3.
pub fn any_version(server_name: &str) -> Vec<u8> {
    let all: Vec<u16> = [suites::TLS13, suites::LEGACY].concat();
    hello(TLS13, &all, [extensions(TLS12, GROUPS, server_name), supported_versions(&[TLS13, TLS12, 0x0302, 0x0301]), extension(51, &vector(&[]))].concat())
}

fn hello(version: u16, suites: &[u16], mut extensions: Vec<u8>) -> Vec<u8> {
    let mut body = version.min(TLS12).to_be_bytes().to_vec();
    body.extend_from_slice(&random::<32>());
    // A session id asks TLS 1.3 servers for the middlebox-friendly form (RFC 8446 appendix D.4).
    match version {
        TLS13 => {
            body.push(32);
            body.extend_from_slice(&random::<32>());
        }
        _ => body.push(0),
    }
    body.extend_from_slice(&codes(suites));
    body.extend_from_slice(&[1, 0]);
    if !extensions.is_empty() {
        let length = 4 + body.len() + 2 + extensions.len();
        if AWKWARD.contains(&length) {
            extensions.extend_from_slice(&extension(21, &vec![0; AWKWARD.end.saturating_sub(length + 4)]));
        }
        body.extend_from_slice(&vector(&extensions));
    }
    let mut message = vec![1, 0];
    message.extend_from_slice(&vector(&body));
    let mut record = vec![22];
    record.extend_from_slice(&version.min(0x0301).to_be_bytes());
    record.extend_from_slice(&vector(&message));
    record
}

fn extensions(version: u16, groups: &[u16], server_name: &str) -> Vec<u8> {
    let mut out = Vec::new();
    if !server_name.is_empty() && server_name.parse::<IpAddr>().is_err() {
        // RFC 6066 section 3: one host_name.
        let entry = [&[0][..], &vector(server_name.as_bytes())].concat();
        out.extend_from_slice(&extension(0, &vector(&entry)));
    }
    out.extend_from_slice(&extension(10, &codes(groups)));
    // ec_point_formats: uncompressed (RFC 8422).
    out.extend_from_slice(&extension(11, &[1, 0]));
    if version >= TLS12 {
        out.extend_from_slice(&extension(13, &codes(SIGNATURES)));
    }
    // renegotiation_info (RFC 5746) and extended_master_secret (RFC 7627).
    out.extend_from_slice(&extension(0xff01, &[0]));
    out.extend_from_slice(&extension(23, &[]));
    out
}

/// No key share at all: the answer is a HelloRetryRequest, so no key is needed for any group.
fn extensions_13(versions: &[u16], server_name: &str) -> Vec<u8> {
    [extensions(TLS13, GROUPS, server_name), supported_versions(versions), extension(51, &vector(&[]))].concat()
}

fn supported_versions(versions: &[u16]) -> Vec<u8> {
    let list: Vec<u8> = versions.iter().flat_map(|v| v.to_be_bytes()).collect();
    let length = u8::try_from(list.len()).unwrap_or(0);
    extension(43, &[&[length][..], &list].concat())
}

/// `CLIENT-HELLO` of SSL 2.0 with a challenge of 16 bytes.
fn ssl2() -> Vec<u8> {
    let kinds: Vec<u8> = suites::SSL2.iter().flatten().copied().collect();
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
fn vector(bytes: &[u8]) -> Vec<u8> {
    [&u16::try_from(bytes.len()).unwrap_or(0).to_be_bytes()[..], bytes].concat()
}

/// Random bytes; zeros when the system has none, which a hello that is never finished survives.
fn random<const N: usize>() -> [u8; N] {
    let mut out = [0; N];
    let _ = ring::rand::SystemRandom::new().fill(&mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_hello_has_exact_lengths_and_avoids_awkward_sizes() {
        for version in [SSL3, 0x0301, 0x0302, TLS12, TLS13] {
            for name in ["", "a.example", "192.0.2.1"] {
                let hello = of_version(version, name);
                assert_eq!(usize::from(u16::from_be_bytes([hello[3], hello[4]])), hello.len() - 5);
                assert_eq!(usize::from(u16::from_be_bytes([hello[7], hello[8]])), hello.len() - 9);
                assert!(version == SSL3 || !AWKWARD.contains(&(hello.len() - 5)), "{version:#06x} {}", hello.len());
                assert_eq!(hello.windows(9).any(|w| w == b"a.example"), name == "a.example" && version != SSL3);
            }
        }
        let hello = of_version(SSL2, "");
        assert_eq!(usize::from(u16::from_be_bytes([hello[0] & 0x7f, hello[1]])), hello.len() - 2);
    }
}
