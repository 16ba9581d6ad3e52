//! Signed certificate timestamps (RFC 6962 section 3.3). Their signatures are not verified: that
//! needs the keys of the logs, which change by the month.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::der::{Malformed, hex};

/// Most timestamps kept of one list.
const LIST_LIMIT: usize = 64;

/// One signed certificate timestamp; its signature is not verified.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sct {
    /// Log: SHA-256 of its key, hexadecimal.
    pub log_id: String,
    /// When the log took the certificate, Unix seconds.
    pub logged_at: i64,
    /// Where it was shown: `certificate`, `tls` (extension of the handshake), `ocsp` (stapled response).
    pub shown_in: String,
}

/// Reads a SignedCertificateTimestampList.
pub fn list(bytes: &[u8], shown_in: &str) -> Result<Vec<Sct>, Malformed> {
    let cut = Malformed("a list of timestamps is cut short");
    let (list, rest) = vector(bytes).ok_or(cut)?;
    if !rest.is_empty() {
        return Err(Malformed("bytes follow the list of timestamps"));
    }
    let mut left = list;
    let mut out = Vec::new();
    while !left.is_empty() && out.len() < LIST_LIMIT {
        let (one, rest) = vector(left).ok_or(cut)?;
        left = rest;
        match one.split_first() {
            Some((0, body)) => out.push(timestamp(body, shown_in).ok_or(cut)?),
            // Another version: a reader must ignore it (section 3.3).
            Some(_) => {}
            None => return Err(Malformed("a timestamp is empty")),
        }
    }
    Ok(out)
}

/// Log id (32), milliseconds (8), extensions, algorithms (2), signature.
fn timestamp(body: &[u8], shown_in: &str) -> Option<Sct> {
    let (log, rest) = body.split_at_checked(32)?;
    let (time, rest) = rest.split_first_chunk::<8>()?;
    let (_extensions, rest) = vector(rest)?;
    let (_algorithms, rest) = rest.split_at_checked(2)?;
    let (_signature, rest) = vector(rest)?;
    let logged_at = i64::try_from(u64::from_be_bytes(*time) / 1000).ok()?;
    rest.is_empty().then(|| Sct { log_id: hex(log), logged_at, shown_in: shown_in.into() })
}

/// A vector with a length of two octets, and what follows it.
fn vector(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_to_its_end_and_another_version_is_passed_over() {
        let mut one = vec![0];
        one.extend([7; 32]);
        one.extend(1_700_000_000_123_u64.to_be_bytes());
        one.extend([0, 0, 4, 3, 0, 2, 9, 9]);
        let mut list_bytes = vec![0, u8::try_from(one.len() + 2 + 3).unwrap(), 0, u8::try_from(one.len()).unwrap()];
        list_bytes.extend(&one);
        list_bytes.extend([0, 1, 1]);
        let found = list(&list_bytes, "tls").unwrap();
        assert_eq!(found, [Sct { log_id: "07".repeat(32), logged_at: 1_700_000_000, shown_in: "tls".into() }]);
        for at in 0..list_bytes.len() {
            assert!(list(&list_bytes[..at], "tls").is_err());
        }
    }
}
