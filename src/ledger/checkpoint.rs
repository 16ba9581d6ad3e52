//! The signed head of the ledger: C2SP tlog-checkpoint in a C2SP signed-note, Ed25519.
//!
//! ```text
//! ORIGIN\n SIZE\n base64(ROOT)\n \n — ORIGIN base64(key id (4) || signature (64))\n
//! key id       = SHA-256(name || 0x0A || 0x01 || public key)[..4]
//! verifier key = NAME+hex(key id)+base64(0x01 || public key)
//! ```
//! The signature covers the text up to and with the newline before the blank line.

use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::model::ids::{Digest, HostId, hex_encode};

/// Largest checkpoint or verifier key that is read, bytes.
pub const MAX_BYTES: usize = 16 << 10;
/// Most signature lines that are looked at (the specification asks for at least 16).
pub const MAX_SIGNATURES: usize = 16;

/// Signature type byte of Ed25519 in signed-note.
const ED25519: u8 = 1;
/// RFC 8410: the SubjectPublicKeyInfo of an Ed25519 key is this head and the 32 key bytes.
const SPKI_HEAD: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// Why a text is not a checkpoint or key that can be trusted.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum CheckpointError {
    /// Bigger than [`MAX_BYTES`].
    #[error("checkpoint is larger than {MAX_BYTES} bytes")]
    TooLarge,
    /// A name that a note can't carry.
    #[error("ledger name {0:?} is empty or holds a space, a plus sign or a control character")]
    Name(String),
    /// Not a verifier key.
    #[error("verifier key must read NAME+KEYID+BASE64 of an Ed25519 key: {0}")]
    Key(&'static str),
    /// Not a signed note.
    #[error("checkpoint is not a signed note: {0}")]
    Note(&'static str),
    /// Not a checkpoint.
    #[error("checkpoint text is malformed: {0}")]
    Text(&'static str),
    /// Nobody known signed.
    #[error("checkpoint has no signature by {0}")]
    Unsigned(String),
    /// The signature is wrong.
    #[error("checkpoint signature does not verify under {0}")]
    Signature(String),
}

/// What a checkpoint says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which ledger.
    pub origin: String,
    /// How many leaves.
    pub size: u64,
    /// Root over them.
    pub root: Digest,
}

/// The public half of a ledger key with its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verifier {
    name: String,
    public_key: [u8; 32],
}

impl Verifier {
    /// A key under a name (the ledger's origin).
    pub fn new(name: &str, public_key: [u8; 32]) -> Result<Self, CheckpointError> {
        if name.is_empty() || name.chars().any(|c| c.is_whitespace() || c.is_control() || c == '+') {
            return Err(CheckpointError::Name(name.chars().take(100).collect()));
        }
        Ok(Self { name: name.into(), public_key })
    }

    /// Name of the key: the ledger's origin.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// 32 raw bytes (RFC 8032).
    pub const fn public_key(&self) -> &[u8; 32] {
        &self.public_key
    }

    /// Id in DSSE envelopes: hexadecimal SHA-256 of the SubjectPublicKeyInfo.
    pub fn keyid(&self) -> String {
        HostId::of_spki(&[SPKI_HEAD.as_slice(), &self.public_key].concat()).to_string()
    }

    /// Id in signed notes.
    pub fn note_id(&self) -> [u8; 4] {
        let mut message = format!("{}\n", self.name).into_bytes();
        message.push(ED25519);
        message.extend_from_slice(&self.public_key);
        let [a, b, c, d, ..] = *Digest::of(&message).bytes();
        [a, b, c, d]
    }
}

impl std::fmt::Display for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let key: Vec<u8> = std::iter::once(ED25519).chain(self.public_key).collect();
        write!(f, "{}+{}+{}", self.name, hex_encode(&self.note_id()), STANDARD.encode(key))
    }
}

impl FromStr for Verifier {
    type Err = CheckpointError;

    fn from_str(text: &str) -> Result<Self, CheckpointError> {
        if text.len() > MAX_BYTES {
            return Err(CheckpointError::TooLarge);
        }
        // Base64 may hold plus signs, a name may not: split from the left.
        let mut parts = text.trim().splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(CheckpointError::Key("a part is missing"));
        };
        let key = STANDARD.decode(key).map_err(|_| CheckpointError::Key("the key is not base64"))?;
        let [ED25519, raw @ ..] = key.as_slice() else {
            return Err(CheckpointError::Key("the key is not of type Ed25519"));
        };
        let raw = <[u8; 32]>::try_from(raw).map_err(|_| CheckpointError::Key("the key is not 32 bytes long"))?;
        let verifier = Self::new(name, raw)?;
        if hex_encode(&verifier.note_id()) != id {
            return Err(CheckpointError::Key("the key id does not belong to name and key"));
        }
        Ok(verifier)
    }
}

/// The signed text of a checkpoint; `sign` is Ed25519 by `verifier`'s key over the bytes it is given.
pub fn sign(verifier: &Verifier, size: u64, root: &Digest, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let text = format!("{}\n{size}\n{}\n", verifier.name, STANDARD.encode(root.bytes()));
    let signature = [verifier.note_id().as_slice(), &sign(text.as_bytes())].concat();
    format!("{text}\n— {} {}\n", verifier.name, STANDARD.encode(signature))
}

/// What a checkpoint says, if `verifier` signed it. Lines by other keys are ignored; extension
/// lines are refused, for this ledger writes none.
pub fn open(note: &str, verifier: &Verifier) -> Result<Checkpoint, CheckpointError> {
    if note.len() > MAX_BYTES {
        return Err(CheckpointError::TooLarge);
    }
    if note.chars().any(|c| c < ' ' && c != '\n') {
        return Err(CheckpointError::Note("it holds a control character"));
    }
    let (body, signatures) = note.rsplit_once("\n\n").ok_or(CheckpointError::Note("it has no blank line before its signatures"))?;
    let text = format!("{body}\n");
    check_signatures(&text, signatures, verifier)?;
    parse(body, verifier)
}

/// Origin and size of a checkpoint without any check of who signed it: for messages only.
pub fn peek(note: &str) -> Option<(String, u64)> {
    let mut lines = note.get(..note.len().min(MAX_BYTES))?.lines();
    Some((lines.next()?.to_string(), lines.next()?.parse().ok()?))
}

fn check_signatures(text: &str, lines: &str, verifier: &Verifier) -> Result<(), CheckpointError> {
    let lines = lines.strip_suffix('\n').ok_or(CheckpointError::Note("its last line has no end"))?;
    let mut signed = false;
    for (number, line) in lines.split('\n').enumerate() {
        if number >= MAX_SIGNATURES {
            return Err(CheckpointError::Note("it has more than 16 signatures"));
        }
        let malformed = CheckpointError::Note("a signature line is malformed");
        let Some((name, signature)) = line.strip_prefix("— ").and_then(|l| l.split_once(' ')) else {
            return Err(malformed);
        };
        let Ok(signature) = STANDARD.decode(signature) else { return Err(malformed) };
        let Some((id, signature)) = signature.split_first_chunk::<4>() else { return Err(malformed) };
        if name != verifier.name || *id != verifier.note_id() {
            continue;
        }
        ring::signature::UnparsedPublicKey::new(&ring::signature::ED25519, verifier.public_key)
            .verify(text.as_bytes(), signature)
            .map_err(|_| CheckpointError::Signature(verifier.to_string()))?;
        signed = true;
    }
    if signed { Ok(()) } else { Err(CheckpointError::Unsigned(verifier.to_string())) }
}

fn parse(body: &str, verifier: &Verifier) -> Result<Checkpoint, CheckpointError> {
    let lines: Vec<&str> = body.split('\n').collect();
    let [origin, size, root] = lines.as_slice() else {
        return Err(CheckpointError::Text("it must be three lines: origin, size, root"));
    };
    if *origin != verifier.name {
        return Err(CheckpointError::Text("its origin is not the name of the key"));
    }
    let parsed: u64 = size.parse().map_err(|_| CheckpointError::Text("its size is not a number"))?;
    if parsed.to_string() != *size {
        return Err(CheckpointError::Text("its size is not written plainly"));
    }
    let root = STANDARD.decode(root).ok().and_then(|r| <[u8; 32]>::try_from(r).ok());
    let root = root.ok_or(CheckpointError::Text("its root is not base64 of 32 bytes"))?;
    Ok(Checkpoint { origin: (*origin).into(), size: parsed, root: Digest::new(root) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ring::signature::{Ed25519KeyPair, KeyPair as _};

    fn pair(seed: u8) -> (Ed25519KeyPair, Verifier) {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
        let public = pair.public_key().as_ref().try_into().unwrap();
        (pair, Verifier::new("assay.invalid/test", public).unwrap())
    }

    fn signed(seed: u8) -> String {
        let (pair, verifier) = pair(seed);
        sign(&verifier, 5, &Digest::of(b"root"), |m| pair.sign(m).as_ref().to_vec())
    }

    #[test]
    fn a_checkpoint_opens_only_under_its_own_key() {
        let (_, verifier) = pair(1);
        let expected = Checkpoint { origin: "assay.invalid/test".into(), size: 5, root: Digest::of(b"root") };
        assert_eq!(open(&signed(1), &verifier).unwrap(), expected);
        assert!(matches!(open(&signed(2), &verifier), Err(CheckpointError::Unsigned(_))));
        let changed = signed(1).replacen("\n5\n", "\n6\n", 1);
        assert!(matches!(open(&changed, &verifier), Err(CheckpointError::Signature(_))));
    }

    #[test]
    fn a_line_by_an_unknown_key_is_ignored() {
        let (_, verifier) = pair(1);
        let other = signed(2);
        let both = format!("{}{}", signed(1), other.rsplit_once("\n\n").unwrap().1);
        assert!(open(&both, &verifier).is_ok());
        let garbage = format!("{}— x\n", signed(1));
        assert!(matches!(open(&garbage, &verifier), Err(CheckpointError::Note(_))));
    }

    #[test]
    fn what_is_not_three_plain_lines_is_refused_even_when_signed() {
        let (pair, verifier) = pair(1);
        let root = STANDARD.encode([0; 32]);
        for text in [
            format!("assay.invalid/test\n05\n{root}\n"),
            format!("assay.invalid/test\n+5\n{root}\n"),
            format!("assay.invalid/test\n5\n{root}\nextension\n"),
            format!("assay.invalid/other\n5\n{root}\n"),
            "assay.invalid/test\n5\nAAAA\n".to_string(),
            "assay.invalid/test\n5\n".to_string(),
        ] {
            let signature = [verifier.note_id().as_slice(), pair.sign(text.as_bytes()).as_ref()].concat();
            let note = format!("{text}\n— assay.invalid/test {}\n", STANDARD.encode(signature));
            assert!(matches!(open(&note, &verifier), Err(CheckpointError::Text(_))), "{text}");
        }
    }

    #[test]
    fn a_verifier_key_reads_back_and_a_mistyped_one_does_not() {
        let (_, verifier) = pair(1);
        let text = verifier.to_string();
        assert_eq!(text.parse::<Verifier>().unwrap(), verifier);
        assert_eq!(format!("{text}\n").parse::<Verifier>().unwrap(), verifier);
        for bad in [text.replace("test", "best"), text.replacen('+', "", 1), String::new(), format!("{text}AAAA")] {
            assert!(bad.parse::<Verifier>().is_err(), "{bad}");
        }
    }

    /// The note of golang/mod `sumdb/note/note_test.go`: made by another implementation.
    #[test]
    fn a_note_of_another_implementation_verifies() {
        let verifier: Verifier = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW".parse().unwrap();
        let text = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
        let line = "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
        assert_eq!(check_signatures(text, line, &verifier), Ok(()));
        assert!(check_signatures(&text.replace('k', "c"), line, &verifier).is_err());
    }
}
