//! Identifiers: parsed once at the edge, lower-case hexadecimal everywhere.

use serde::{Deserialize, Serialize};

/// Why a text is not an identifier.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{what} must be {bytes} bytes as lower-case hexadecimal")]
pub struct IdError {
    what: &'static str,
    bytes: usize,
}

macro_rules! hex_id {
    ($(#[$doc:meta])* $name:ident, $bytes:literal, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; $bytes]);

        impl $name {
            /// From raw bytes.
            pub const fn new(bytes: [u8; $bytes]) -> Self {
                Self(bytes)
            }
            /// The raw bytes.
            pub const fn bytes(&self) -> &[u8; $bytes] {
                &self.0
            }
        }

        impl std::str::FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                let bytes = hex_decode(text).filter(|b| b.len() == $bytes).ok_or(IdError { what: $what, bytes: $bytes })?;
                let mut out = [0; $bytes];
                out.copy_from_slice(&bytes);
                Ok(Self(out))
            }
        }
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&hex_encode(&self.0))
            }
        }
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }
        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        }
        impl schemars::JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "pattern": format!("^[0-9a-f]{{{}}}$", 2 * $bytes) })
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let text = String::deserialize(d)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

hex_id!(
    /// A host key: SHA-256 of the key's SubjectPublicKeyInfo (RFC 5280, DER).
    HostId, 32, "a host id"
);
hex_id!(
    /// One unbroken run of report numbers of a host key; 16 random bytes.
    Lineage, 16, "a lineage"
);
hex_id!(
    /// SHA-256 of bytes that are not secret (reports, packs, leaves, files).
    Digest, 32, "a digest"
);
hex_id!(
    /// Address of an erasable blob: HMAC-SHA-256(salt of the host, canonical bytes).
    Address, 32, "a blob address"
);
hex_id!(
    /// The per-host secret that keeps addresses unguessable; 32 random bytes.
    Salt, 32, "a salt"
);
hex_id!(
    /// A random id that stands for a person or thing in the ledger; 16 random bytes.
    RandomId, 16, "an id"
);

impl Digest {
    /// SHA-256 of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
        let mut out = [0; 32];
        out.copy_from_slice(digest.as_ref());
        Self(out)
    }
}

impl HostId {
    /// The id of the key whose SubjectPublicKeyInfo is `spki_der`.
    pub fn of_spki(spki_der: &[u8]) -> Self {
        Self(*Digest::of(spki_der).bytes())
    }
}

/// Lower-case hexadecimal of `bytes`.
pub fn hex_encode(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut out = String::with_capacity(bytes.len() * 2);
    for b in bytes {
        out.push(char::from(DIGITS[usize::from(b >> 4)]));
        out.push(char::from(DIGITS[usize::from(b & 15)]));
    }
    out
}

/// The bytes of lower-case hexadecimal `text`; `None` if it is anything else.
pub fn hex_decode(text: &str) -> Option<Vec<u8>> {
    let nibble = |c: u8| match c {
        b'0'..=b'9' => Some(c - b'0'),
        b'a'..=b'f' => Some(c - b'a' + 10),
        _ => None,
    };
    let bytes = text.as_bytes();
    if !bytes.len().is_multiple_of(2) {
        return None;
    }
    bytes.chunks(2).map(|pair| Some(nibble(pair[0])? << 4 | nibble(pair[1])?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lower_case_hex_of_the_right_length_is_an_id() {
        let text = "00ff10a0b1c2d3e4f5060718293a4b5c";
        assert_eq!(text.parse::<Lineage>().unwrap().to_string(), text);
        for bad in ["", "00FF10A0B1C2D3E4F5060718293A4B5C", "00ff", "zz", &format!("{text}00"), "é0"] {
            assert!(bad.parse::<Lineage>().is_err(), "{bad}");
        }
    }
}
