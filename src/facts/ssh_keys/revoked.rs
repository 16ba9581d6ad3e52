//! RevokedKeys: a list of public keys, or a key revocation list (OpenSSH PROTOCOL.krl).

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use super::line::{self, Fields};

/// Fingerprints (`SHA256:…`) of the keys that a file revokes; `None` when part of it is in a form
/// that does not name keys by themselves (serial numbers of certificates, SHA-1).
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Revoked {
    /// Fingerprints.
    pub fingerprints: BTreeSet<String>,
    /// Whether everything in it could be read as a key.
    pub complete: bool,
}

const MAGIC: &[u8] = b"SSHKRL\n\0";
/// Format version (4), list version (8), date (8) and flags (8).
const HEADER: usize = 28;
const EXPLICIT_KEYS: u8 = 2;
const SHA256_FINGERPRINTS: u8 = 5;
const SIGNATURE: u8 = 4;

/// Reads either form.
pub fn parse(bytes: &[u8]) -> Revoked {
    match bytes.strip_prefix(MAGIC) {
        Some(rest) => list(rest),
        None => text(&String::from_utf8_lossy(bytes)),
    }
}

fn text(text: &str) -> Revoked {
    let mut out = Revoked { complete: true, ..Revoked::default() };
    for line in text.lines() {
        match line::parse(line) {
            Ok(Some(key)) => {
                out.fingerprints.insert(key.fingerprint);
            }
            Ok(None) => {}
            Err(_) => out.complete = false,
        }
    }
    out
}

fn list(bytes: &[u8]) -> Revoked {
    let mut out = Revoked::default();
    let Some(rest) = bytes.get(HEADER..) else { return out };
    let mut fields = Fields(rest);
    if fields.next().is_none() || fields.next().is_none() {
        return out; // reserved, comment
    }
    out.complete = true;
    while let Some((kind, rest)) = fields.0.split_first() {
        fields.0 = rest;
        let Some(section) = fields.next() else {
            out.complete = false;
            return out;
        };
        let keys = Fields(section);
        match *kind {
            EXPLICIT_KEYS => {
                for blob in keys {
                    out.fingerprints.insert(line::fingerprint(blob));
                }
            }
            SHA256_FINGERPRINTS => {
                for hash in keys {
                    out.fingerprints.insert(format!("SHA256:{}", STANDARD_NO_PAD.encode(hash)));
                }
            }
            SIGNATURE => {}
            _ => out.complete = false,
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn garbage_revokes_nothing_and_says_so() {
        assert!(parse(b"# nothing\n\n").complete);
        assert!(!parse(b"not a key\n").complete);
        let mut bytes = MAGIC.to_vec();
        assert!(!parse(&bytes).complete);
        bytes.extend([0; HEADER + 8]);
        assert_eq!(parse(&bytes), Revoked { complete: true, ..Revoked::default() });
        bytes.extend([EXPLICIT_KEYS, 0xff, 0xff, 0xff, 0xff]);
        assert!(!parse(&bytes).complete);
    }
}
