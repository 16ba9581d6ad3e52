//! X.509 certificates (RFC 5280) as facts.

use std::net::{Ipv4Addr, Ipv6Addr};

use ring::signature::{self, UnparsedPublicKey, VerificationAlgorithm};
use x509_parser::asn1_rs::{Any, FromDer as _, Oid, Sequence};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::signature_algorithm::RsaSsaPssParams;
use x509_parser::x509::{SubjectPublicKeyInfo, X509Name};

/// Most names kept of one certificate.
const NAMES_LIMIT: usize = 200;
/// Longest name kept, characters.
const NAME_LIMIT: usize = 512;

/// One certificate; the fields are those of the fact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// Subject, RFC 4514 text.
    pub subject_name: String,
    /// Issuer, RFC 4514 text.
    pub issuer_name: String,
    /// dNSName and iPAddress entries.
    pub names: Vec<String>,
    /// Serial number, hexadecimal.
    pub serial: String,
    /// Unix seconds.
    pub not_before: i64,
    /// Unix seconds.
    pub not_after: i64,
    /// `rsa`, `ec`, `ed25519`, `ed448`, `dsa` or the OID.
    pub key_kind: String,
    /// Bits; 0 when not known.
    pub key_bits: u32,
    /// Signature algorithm.
    pub signature: String,
    /// Hash of the signature; empty where the scheme has its own.
    pub signature_hash: String,
    /// Signed by its own key.
    pub self_signed: bool,
    /// Basic constraints.
    pub is_ca: bool,
    /// SHA-256 of the DER, hexadecimal.
    pub fingerprint: String,
}

/// Reads one DER certificate.
pub fn parse(der: &[u8]) -> Result<Certificate, String> {
    let (_, x509) = X509Certificate::from_der(der).map_err(|e| format!("not a readable X.509 certificate: {e}"))?;
    let (key_kind, key_bits) = key(x509.public_key());
    let (signature, signature_hash) = signature_of(&x509);
    Ok(Certificate {
        subject_name: name(x509.subject()),
        issuer_name: name(x509.issuer()),
        names: alternative_names(&x509),
        serial: hex(x509.raw_serial()),
        not_before: x509.validity().not_before.timestamp(),
        not_after: x509.validity().not_after.timestamp(),
        key_kind,
        key_bits,
        self_signed: is_self_signed(&x509, &signature, &signature_hash),
        signature,
        signature_hash,
        is_ca: x509.is_ca(),
        fingerprint: hex(ring::digest::digest(&ring::digest::SHA256, der).as_ref()),
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// RFC 4514: last relative name first, attributes by short name or OID, special characters escaped.
fn name(name: &X509Name<'_>) -> String {
    let mut parts: Vec<String> = Vec::new();
    for rdn in name.iter_rdn() {
        let attributes: Vec<String> = rdn
            .iter()
            .map(|a| {
                let value = a.as_str().map_or_else(|_| format!("#{}", hex(a.as_slice())), escape);
                format!("{}={value}", attribute(a.attr_type()))
            })
            .collect();
        parts.push(attributes.join("+"));
    }
    parts.reverse();
    parts.join(",").chars().take(NAME_LIMIT).collect()
}

fn attribute(oid: &Oid<'_>) -> String {
    let oid = oid.to_id_string();
    let short = match oid.as_str() {
        "2.5.4.3" => "CN",
        "2.5.4.6" => "C",
        "2.5.4.7" => "L",
        "2.5.4.8" => "ST",
        "2.5.4.9" => "STREET",
        "2.5.4.10" => "O",
        "2.5.4.11" => "OU",
        "0.9.2342.19200300.100.1.25" => "DC",
        "0.9.2342.19200300.100.1.1" => "UID",
        _ => return oid,
    };
    short.into()
}

fn escape(value: &str) -> String {
    let mut out = String::new();
    let last = value.chars().count().saturating_sub(1);
    for (i, c) in value.chars().enumerate() {
        match c {
            ',' | '+' | '"' | '\\' | '<' | '>' | ';' => out.extend(['\\', c]),
            '#' if i == 0 => out.push_str("\\#"),
            ' ' if i == 0 || i == last => out.push_str("\\ "),
            c if c.is_control() => out.push_str(&format!("\\{:02X}", u32::from(c))),
            c => out.push(c),
        }
    }
    out
}

fn alternative_names(x509: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(extension)) = x509.subject_alternative_name() else {
        return Vec::new();
    };
    let names = extension.value.general_names.iter().filter_map(|n| match n {
        GeneralName::DNSName(name) => Some(name.chars().filter(|c| !c.is_control()).take(NAME_LIMIT).collect()),
        GeneralName::IPAddress(bytes) => address(bytes),
        _ => None,
    });
    names.take(NAMES_LIMIT).collect()
}

fn address(bytes: &[u8]) -> Option<String> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(|b| Ipv4Addr::from(b).to_string()),
        16 => <[u8; 16]>::try_from(bytes).ok().map(|b| Ipv6Addr::from(b).to_string()),
        _ => None,
    }
}

fn key(spki: &SubjectPublicKeyInfo<'_>) -> (String, u32) {
    let oid = spki.algorithm.algorithm.to_id_string();
    let curve = || spki.algorithm.parameters.as_ref().and_then(|p| p.as_oid().ok()).map(|o| o.to_id_string()).unwrap_or_default();
    match oid.as_str() {
        // rsaEncryption, id-RSASSA-PSS (RFC 8017)
        "1.2.840.113549.1.1.1" | "1.2.840.113549.1.1.10" => ("rsa".into(), rsa_bits(&spki.subject_public_key.data).unwrap_or(0)),
        "1.2.840.10045.2.1" => ("ec".into(), curve_bits(&curve())),
        "1.2.840.10040.4.1" => ("dsa".into(), dsa_bits(spki).unwrap_or(0)),
        "1.3.101.112" => ("ed25519".into(), 256),
        "1.3.101.113" => ("ed448".into(), 456),
        _ => (oid, 0),
    }
}

/// Size of the modulus, the first integer of an RSAPublicKey.
fn rsa_bits(key: &[u8]) -> Option<u32> {
    let (_, sequence) = Sequence::from_der(key).ok()?;
    first_integer_bits(&sequence.content)
}

/// Size of p, the first integer of Dss-Parms (RFC 3279 section 2.3.2).
fn dsa_bits(spki: &SubjectPublicKeyInfo<'_>) -> Option<u32> {
    first_integer_bits(spki.algorithm.parameters.as_ref()?.data)
}

fn first_integer_bits(content: &[u8]) -> Option<u32> {
    let (_, any) = Any::from_der(content).ok()?;
    let bytes = any.data;
    let significant: &[u8] = bytes.get(bytes.iter().position(|b| *b != 0)?..)?;
    let leading = significant.first()?.leading_zeros();
    u32::try_from(significant.len()).ok()?.checked_mul(8)?.checked_sub(leading)
}

/// Named curves: SEC 2, NIST, Brainpool (RFC 5639).
fn curve_bits(oid: &str) -> u32 {
    match oid {
        "1.2.840.10045.3.1.1" | "1.3.132.0.31" => 192,
        "1.3.132.0.33" | "1.3.132.0.32" => 224,
        "1.2.840.10045.3.1.7" | "1.3.132.0.10" | "1.3.36.3.3.2.8.1.1.7" => 256,
        "1.3.132.0.34" | "1.3.36.3.3.2.8.1.1.11" => 384,
        "1.3.36.3.3.2.8.1.1.13" => 512,
        "1.3.132.0.35" => 521,
        "1.3.132.0.16" => 283,
        "1.3.132.0.8" => 160,
        _ => 0,
    }
}

/// Name (RFC 3279, RFC 4055, RFC 5758, RFC 8410) and hash.
fn signature_of(x509: &X509Certificate<'_>) -> (String, String) {
    let algorithm = &x509.signature_algorithm;
    let oid = algorithm.algorithm.to_id_string();
    let (name, hash) = match oid.as_str() {
        "1.2.840.113549.1.1.2" => ("md2WithRSAEncryption", "md2"),
        "1.2.840.113549.1.1.4" => ("md5WithRSAEncryption", "md5"),
        "1.2.840.113549.1.1.5" | "1.3.14.3.2.29" => ("sha1WithRSAEncryption", "sha1"),
        "1.2.840.113549.1.1.14" => ("sha224WithRSAEncryption", "sha224"),
        "1.2.840.113549.1.1.11" => ("sha256WithRSAEncryption", "sha256"),
        "1.2.840.113549.1.1.12" => ("sha384WithRSAEncryption", "sha384"),
        "1.2.840.113549.1.1.13" => ("sha512WithRSAEncryption", "sha512"),
        "1.2.840.113549.1.1.10" => return ("rsassaPss".into(), pss_hash(algorithm.parameters.as_ref())),
        "1.2.840.10045.4.1" => ("ecdsa-with-SHA1", "sha1"),
        "1.2.840.10045.4.3.1" => ("ecdsa-with-SHA224", "sha224"),
        "1.2.840.10045.4.3.2" => ("ecdsa-with-SHA256", "sha256"),
        "1.2.840.10045.4.3.3" => ("ecdsa-with-SHA384", "sha384"),
        "1.2.840.10045.4.3.4" => ("ecdsa-with-SHA512", "sha512"),
        "1.2.840.10040.4.3" => ("dsa-with-sha1", "sha1"),
        "2.16.840.1.101.3.4.3.1" => ("dsa-with-sha224", "sha224"),
        "2.16.840.1.101.3.4.3.2" => ("dsa-with-sha256", "sha256"),
        "1.3.101.112" => ("ed25519", ""),
        "1.3.101.113" => ("ed448", ""),
        _ => return (oid, String::new()),
    };
    (name.into(), hash.into())
}

fn pss_hash(parameters: Option<&Any<'_>>) -> String {
    // RFC 4055 section 3.1: SHA-1 by default.
    let oid = parameters.and_then(|p| RsaSsaPssParams::try_from(p).ok()).map(|p| p.hash_algorithm_oid().to_id_string());
    match oid.as_deref() {
        None | Some("1.3.14.3.2.26") => "sha1",
        Some("2.16.840.1.101.3.4.2.4") => "sha224",
        Some("2.16.840.1.101.3.4.2.1") => "sha256",
        Some("2.16.840.1.101.3.4.2.2") => "sha384",
        Some("2.16.840.1.101.3.4.2.3") => "sha512",
        Some(_) => "",
    }
    .into()
}

/// Same name, and the signature verifies under its own key. Algorithms that can't be verified here
/// (MD5, DSA, Ed448, odd curves and sizes) go by the key identifiers instead.
fn is_self_signed(x509: &X509Certificate<'_>, signature: &str, hash: &str) -> bool {
    if x509.subject().as_raw() != x509.issuer().as_raw() {
        return false;
    }
    let spki = x509.public_key();
    let (kind, bits) = key(spki);
    match verifier(signature, hash, &kind, bits) {
        Some(algorithm) => {
            let key = UnparsedPublicKey::new(algorithm, &spki.subject_public_key.data);
            key.verify(x509.tbs_certificate.as_ref(), &x509.signature_value.data).is_ok()
        }
        None => same_identifiers(x509),
    }
}

fn verifier(name: &str, hash: &str, kind: &str, bits: u32) -> Option<&'static dyn VerificationAlgorithm> {
    Some(match (kind, name, hash) {
        ("rsa", "rsassaPss", "sha256") if bits >= 2048 => &signature::RSA_PSS_2048_8192_SHA256,
        ("rsa", "rsassaPss", "sha384") if bits >= 2048 => &signature::RSA_PSS_2048_8192_SHA384,
        ("rsa", "rsassaPss", "sha512") if bits >= 2048 => &signature::RSA_PSS_2048_8192_SHA512,
        ("rsa", "rsassaPss", _) => return None,
        ("rsa", _, _) if !(1024..=8192).contains(&bits) => return None,
        ("rsa", _, "sha1") => &signature::RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY,
        ("rsa", _, "sha256") => &signature::RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY,
        ("rsa", _, "sha384") if bits >= 2048 => &signature::RSA_PKCS1_2048_8192_SHA384,
        ("rsa", _, "sha512") => &signature::RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY,
        ("ec", _, "sha256") if bits == 256 => &signature::ECDSA_P256_SHA256_ASN1,
        ("ec", _, "sha384") if bits == 256 => &signature::ECDSA_P256_SHA384_ASN1,
        ("ec", _, "sha256") if bits == 384 => &signature::ECDSA_P384_SHA256_ASN1,
        ("ec", _, "sha384") if bits == 384 => &signature::ECDSA_P384_SHA384_ASN1,
        ("ed25519", "ed25519", _) => &signature::ED25519,
        _ => return None,
    })
}

/// Authority and subject key identifiers are equal, or the authority's is left out.
fn same_identifiers(x509: &X509Certificate<'_>) -> bool {
    let (mut subject, mut authority) = (None, None);
    for extension in x509.extensions() {
        match extension.parsed_extension() {
            ParsedExtension::SubjectKeyIdentifier(id) => subject = Some(id.0),
            ParsedExtension::AuthorityKeyIdentifier(id) => authority = id.key_identifier.as_ref().map(|k| k.0),
            _ => {}
        }
    }
    authority.is_none() || authority == subject
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorded(file: &str) -> Vec<u8> {
        std::fs::read(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wire").join(file)).unwrap()
    }

    #[test]
    fn an_old_self_signed_certificate_is_read_in_full() {
        let c = parse(&recorded("cert-rsa1024-sha1.der")).unwrap();
        assert_eq!((c.key_kind.as_str(), c.key_bits), ("rsa", 1024));
        assert_eq!((c.signature.as_str(), c.signature_hash.as_str()), ("sha1WithRSAEncryption", "sha1"));
        assert!(c.self_signed);
        assert_eq!(c.subject_name, "CN=old.example,O=A\\, B\\+C,C=DE");
        assert_eq!(c.names, ["old.example", "192.0.2.7", "2001:db8::7"]);
        assert_eq!(c.not_after - c.not_before, 30 * 86_400);
    }

    #[test]
    fn a_leaf_named_like_its_issuer_is_not_self_signed() {
        let c = parse(&recorded("cert-p256-same-name.der")).unwrap();
        assert_eq!((c.key_kind.as_str(), c.key_bits, c.self_signed), ("ec", 256, false));
        assert_eq!(c.subject_name, c.issuer_name);
    }

    #[test]
    fn md5_goes_by_identifiers_and_damage_never_panics() {
        let der = recorded("cert-md5.der");
        let c = parse(&der).unwrap();
        assert_eq!((c.signature_hash.as_str(), c.self_signed), ("md5", true));
        for at in 0..der.len() {
            let mut mutated = der.clone();
            mutated[at] ^= 0x55;
            let _ = parse(&mutated);
            assert!(parse(&der[..at]).is_err());
        }
    }
}
