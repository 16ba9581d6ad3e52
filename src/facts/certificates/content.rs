//! What a file holds: certificates and private keys in PEM or DER, or a container that only its
//! passphrase opens.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::private_key::{self, PrivateKey};
use crate::probe::tls::certificate::der::{OID, Reader, SEQUENCE};
use crate::probe::tls::certificate::{self, Certificate};

/// Most blocks kept of one file.
pub const BLOCK_LIMIT: usize = 2_000;

/// What a file holds, in its order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// Certificates.
    pub certificates: Vec<Certificate>,
    /// Private keys.
    pub keys: Vec<PrivateKey>,
    /// `pkcs12` or `java-keystore` when it is a container.
    pub container: Option<&'static str>,
    /// Blocks that announce a certificate or key and hold none that can be read: what is wrong.
    pub malformed: Vec<String>,
    /// Whether there were more blocks than are kept.
    pub limited: bool,
}

impl Content {
    /// Whether it holds nothing of interest.
    pub fn is_empty(&self) -> bool {
        self.certificates.is_empty() && self.keys.is_empty() && self.container.is_none() && self.malformed.is_empty()
    }
}

/// Reads a file's bytes.
pub fn read(bytes: &[u8]) -> Content {
    if let Some(container) = container(bytes) {
        return Content { container: Some(container), ..Content::default() };
    }
    if bytes.first() == Some(&SEQUENCE) {
        return der(bytes);
    }
    pem(&String::from_utf8_lossy(bytes))
}

fn container(bytes: &[u8]) -> Option<&'static str> {
    if bytes.starts_with(&[0xfe, 0xed, 0xfe, 0xed]) || bytes.starts_with(&[0xce, 0xce, 0xce, 0xce]) {
        return Some("java-keystore");
    }
    // PFX (RFC 7292 section 4): version 3, then a ContentInfo of data or signedData. Its length may be indefinite.
    let (_, rest) = bytes.split_first().filter(|(tag, _)| **tag == SEQUENCE)?;
    let (first, rest) = rest.split_first()?;
    let skip = if *first > 0x80 { usize::from(*first & 0x7f) } else { 0 };
    let inside = rest.get(skip..)?.strip_prefix(&[2, 1, 3])?;
    let (tag, inside) = inside.split_first()?;
    let (first, inside) = inside.split_first()?;
    let skip = if *first > 0x80 { usize::from(*first & 0x7f) } else { 0 };
    let oid = Reader::new(inside.get(skip..)?).expect(OID).ok()?.oid().ok()?;
    (*tag == SEQUENCE && oid.starts_with("1.2.840.113549.1.7.")).then_some("pkcs12")
}

fn der(bytes: &[u8]) -> Content {
    let mut out = Content::default();
    match (certificate::parse(bytes), private_key::of_der(bytes)) {
        (Ok(found), _) => out.certificates.push(found),
        (Err(_), Some(key)) => out.keys.push(key),
        (Err(_), None) => {}
    }
    out
}

fn pem(text: &str) -> Content {
    let mut out = Content::default();
    let mut lines = text.lines().map(str::trim);
    while let Some(line) = lines.next() {
        let Some(label) = line.strip_prefix("-----BEGIN ").and_then(|l| l.strip_suffix("-----")) else { continue };
        let end = format!("-----END {label}-----");
        let body: Vec<&str> = lines.by_ref().take_while(|l| *l != end).collect();
        if out.certificates.len() + out.keys.len() + out.malformed.len() >= BLOCK_LIMIT {
            out.limited = true;
            return out;
        }
        block(label, &body, &mut out);
    }
    out
}

fn block(label: &str, body: &[&str], out: &mut Content) {
    let is_certificate = matches!(label, "CERTIFICATE" | "X509 CERTIFICATE" | "TRUSTED CERTIFICATE");
    let key = label.strip_suffix("PRIVATE KEY").map(str::trim_end);
    if !is_certificate && key.is_none() {
        return;
    }
    // RFC 1421 section 4.6.1.1.
    if let Some(key) = key
        && body.iter().any(|l| l.starts_with("Proc-Type:") && l.contains("ENCRYPTED"))
    {
        let format = match key {
            "RSA" => "pkcs1",
            "EC" => "sec1",
            _ => "dsa",
        };
        out.keys.push(private_key::encrypted(format));
        return;
    }
    let joined: String = body.iter().filter(|l| !l.contains(':')).flat_map(|l| l.split_whitespace()).collect();
    let Ok(bytes) = STANDARD.decode(joined) else {
        out.malformed.push(format!("a block {label} is not base64"));
        return;
    };
    if is_certificate {
        // OpenSSL's trusted form lays its own words behind the certificate.
        let whole = Reader::new(&bytes).element().map_or(bytes.as_slice(), |e| e.whole);
        match certificate::parse(if label.starts_with('T') { whole } else { &bytes }) {
            Ok(found) => out.certificates.push(found),
            Err(e) => out.malformed.push(e),
        }
    } else if let Some(found) = key.and_then(|key| private_key::of_label(key, &bytes)) {
        match found {
            Ok(found) => out.keys.push(found),
            Err(e) => out.malformed.push(format!("a block {label} is no key: {e}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_are_known_by_their_first_bytes() {
        assert_eq!(read(&[0xfe, 0xed, 0xfe, 0xed, 0, 0, 0, 2]).container, Some("java-keystore"));
        let pfx = [0x30, 0x82, 9, 0, 2, 1, 3, 0x30, 0x82, 8, 0, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 1];
        assert_eq!(read(&pfx).container, Some("pkcs12"));
        for end in 0..pfx.len() {
            let _ = read(&pfx[..end]);
        }
    }

    #[test]
    fn blocks_that_hold_nothing_are_told() {
        let found =
            read(b"words\n-----BEGIN CERTIFICATE-----\n????\n-----END CERTIFICATE-----\n-----BEGIN DH PARAMETERS-----\n????\n-----END DH PARAMETERS-----\n");
        assert_eq!(found.malformed, ["a block CERTIFICATE is not base64"]);
        let found = read(b"-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nMIIE\n-----END RSA PRIVATE KEY-----\n");
        assert!(found.keys.len() == 1 && found.keys[0].encrypted && found.keys[0].format == "pkcs1");
        assert!(read(b"-----BEGIN OPENSSH PRIVATE KEY-----\nMIIE\n-----END OPENSSH PRIVATE KEY-----\n").is_empty());
        assert!(read(b"").is_empty() && read(b"\x30").is_empty() && read(b"-----BEGIN").is_empty());
    }
}
