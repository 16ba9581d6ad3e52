//! Key schedules of TLS 1.3 (RFC 8446 section 7) and TLS 1.2 (RFC 5246 section 5), and the suites that
//! can be finished here.

use ring::aead::{self, AES_128_GCM, AES_256_GCM, CHACHA20_POLY1305};
use ring::{digest, hmac};

/// Hash of a suite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hash {
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
}

impl Hash {
    /// Digest.
    pub fn digest(self, bytes: &[u8]) -> Vec<u8> {
        let algorithm = match self {
            Self::Sha256 => &digest::SHA256,
            Self::Sha384 => &digest::SHA384,
        };
        digest::digest(algorithm, bytes).as_ref().to_vec()
    }

    /// HMAC (RFC 2104).
    pub fn mac(self, key: &[u8], bytes: &[u8]) -> Vec<u8> {
        let algorithm = match self {
            Self::Sha256 => hmac::HMAC_SHA256,
            Self::Sha384 => hmac::HMAC_SHA384,
        };
        hmac::sign(&hmac::Key::new(algorithm, key), bytes).as_ref().to_vec()
    }

    /// Bytes of a digest.
    pub const fn length(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha384 => 48,
        }
    }
}

/// How a suite protects records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cipher {
    /// Hash of its key schedule.
    pub hash: Hash,
    /// Its AEAD.
    pub aead: &'static aead::Algorithm,
    /// Whether TLS 1.2 sends a part of each nonce (RFC 5288).
    pub has_explicit_nonce: bool,
}

impl Cipher {
    /// Of a suite; `None` for those that can't be finished here.
    pub fn of(suite: u16) -> Option<Self> {
        let (hash, aead) = match suite {
            0x1301 | 0xc02b | 0xc02f => (Hash::Sha256, &AES_128_GCM),
            0x1302 | 0xc02c | 0xc030 => (Hash::Sha384, &AES_256_GCM),
            0x1303 | 0xcca8 | 0xcca9 => (Hash::Sha256, &CHACHA20_POLY1305),
            _ => return None,
        };
        Some(Self { hash, aead, has_explicit_nonce: aead != &CHACHA20_POLY1305 })
    }
}

/// Suites of TLS 1.2 that can be finished here.
pub const FINISHED12: &[u16] = &[0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8];

/// HKDF-Extract (RFC 5869).
pub fn extract(hash: Hash, salt: &[u8], secret: &[u8]) -> Vec<u8> {
    hash.mac(salt, secret)
}

/// HKDF-Expand-Label (RFC 8446 section 7.1).
pub fn expand_label(hash: Hash, secret: &[u8], label: &str, context: &[u8], length: usize) -> Vec<u8> {
    let name = format!("tls13 {label}");
    let mut info = u16::try_from(length).unwrap_or(0).to_be_bytes().to_vec();
    for part in [name.as_bytes(), context] {
        info.push(u8::try_from(part.len()).unwrap_or(0));
        info.extend_from_slice(part);
    }
    let (mut out, mut block): (Vec<u8>, Vec<u8>) = (Vec::new(), Vec::new());
    let mut counter = 1_u8;
    while out.len() < length {
        block = hash.mac(secret, &[&block[..], &info, &[counter]].concat());
        out.extend_from_slice(&block);
        counter = counter.wrapping_add(1);
    }
    out.truncate(length);
    out
}

/// Derive-Secret (RFC 8446 section 7.1) over a transcript.
pub fn derive(hash: Hash, secret: &[u8], label: &str, transcript: &[u8]) -> Vec<u8> {
    expand_label(hash, secret, label, &hash.digest(transcript), hash.length())
}

/// Verify data of a Finished message (RFC 8446 section 4.4.4).
pub fn finished(hash: Hash, traffic_secret: &[u8], transcript: &[u8]) -> Vec<u8> {
    let key = expand_label(hash, traffic_secret, "finished", &[], hash.length());
    hash.mac(&key, &hash.digest(transcript))
}

/// The pseudo-random function of TLS 1.2 (RFC 5246 section 5).
pub fn prf(hash: Hash, secret: &[u8], label: &str, seed: &[u8], length: usize) -> Vec<u8> {
    let seed = [label.as_bytes(), seed].concat();
    let (mut out, mut a) = (Vec::new(), seed.clone());
    while out.len() < length {
        a = hash.mac(secret, &a);
        out.extend_from_slice(&hash.mac(secret, &[&a[..], &seed].concat()));
    }
    out.truncate(length);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
        digits.chunks(2).map(|d| u8::from_str_radix(std::str::from_utf8(d).unwrap(), 16).unwrap()).collect()
    }

    #[test]
    fn the_schedule_is_that_of_rfc_8448() {
        // Section 3, simple 1-RTT handshake.
        let early = extract(Hash::Sha256, &[0; 32], &[0; 32]);
        assert_eq!(early, hex("33ad0a1c607ec03b09e6cd9893680ce210adf300aa1f2660e1b22e10f170f92a"));
        let derived = derive(Hash::Sha256, &early, "derived", b"");
        assert_eq!(derived, hex("6f2615a108c702c5678f54fc9dbab69716c076189c48250cebeac3576c3611ba"));
        let shared = hex("8bd4054fb55b9d63fdfbacf9f04b9f0d35e6d63f537563efd46272900f89492d");
        let handshake = extract(Hash::Sha256, &derived, &shared);
        assert_eq!(handshake, hex("1dc826e93606aa6fdc0aadc12f741b01046aa6b99f691ed221a9f0ca043fbeac"));
        let secret = hex("b3eddb126e067f35a780b3abf45e2d8f3b1a950738f52e9600746a0e27a55a21");
        assert_eq!(expand_label(Hash::Sha256, &secret, "key", &[], 16), hex("dbfaa693d1762c5b666af5d950258d01"));
        assert_eq!(expand_label(Hash::Sha256, &secret, "iv", &[], 12), hex("5bd3c71b836e0b76bb73265f"));
    }

    #[test]
    fn the_function_of_tls_1_2_gives_its_known_answer() {
        // Published by the IETF TLS working group for P_SHA256.
        let secret = hex("9bbe436ba940f017b17652849a71db35");
        let seed = hex("a0ba9f936cda311827a6f796ffd5198c");
        let out = prf(Hash::Sha256, &secret, "test label", &seed, 100);
        assert_eq!(out.get(..16), Some(hex("e3f229ba727be17b8d122620557cd453").as_slice()));
        assert_eq!(out.len(), 100);
    }
}
