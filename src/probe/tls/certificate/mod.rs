//! X.509 certificates (RFC 5280), chains of them, and what vouches for them: read and judged by no
//! policy, so that what no client accepts any more is still told exactly.
//!
//! ```text
//! DER -> der -> raw -> Certificate (name, algorithm, extensions)          parse
//! Shown + Store -> chain (path, constraints, general_name, ocsp, sct)     examine
//! signatures: verify -> rsa, ecdsa over curves, ed448, or the library
//! ```

mod algorithm;
pub mod chain;
mod constraints;
pub(super) mod curves;
pub mod der;
pub(super) mod ecdsa;
mod ed448;
mod extensions;
mod general_name;
mod name;
pub mod ocsp;
mod path;
mod raw;
mod rsa;
pub mod sct;
#[cfg(test)]
mod tests;
pub mod trust;
mod verify;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use algorithm::KeyFacts;
use algorithm::{PublicKey, Scheme};
use der::{Malformed, Reader, hex};
use extensions::Extensions;
use general_name::GeneralName;
use raw::Raw;
use verify::{Verified, verify};

/// Most names kept of one certificate.
const NAMES_LIMIT: usize = 200;
/// Most addresses of one kind kept of one certificate.
const ADDRESSES_LIMIT: usize = 16;

/// One certificate of a chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// Its part in the chain: `leaf`, `intermediate`, `anchor` (ends the path: self-signed or in the store), `alternate` (certifies
    /// one of the path, which took another way), `extra` (certifies none of them, or was sent before).
    pub role: String,
    /// Subject, RFC 4514 text.
    pub subject_name: String,
    /// Issuer, RFC 4514 text.
    pub issuer_name: String,
    /// Common names of the subject.
    pub common_names: Vec<String>,
    /// dNSName and iPAddress entries of the subject alternative name, at most 200.
    pub names: Vec<String>,
    /// Entries of the subject alternative name, of every kind.
    pub names_count: u32,
    /// Kinds of those entries, such as `dNSName`; empty when there is no subject alternative name.
    pub name_kinds: Vec<String>,
    /// Version, 1 to 3.
    pub version: u32,
    /// Serial number, hexadecimal.
    pub serial: String,
    /// Unix seconds.
    pub not_before: i64,
    /// Unix seconds.
    pub not_after: i64,
    /// `rsa`, `ec`, `ed25519`, `ed448`, `dsa`, `ml-dsa-44` (or 65, 87) or the OID.
    pub key_kind: String,
    /// Size of the key, bits; 0 when not known.
    pub key_bits: u32,
    /// Curve of an EC key, such as `P-256`, `explicit` when its parameters are spelled out; else empty.
    pub key_curve: String,
    /// Public exponent of an RSA key; 0 for other keys and beyond 63 bits.
    pub key_exponent: u64,
    /// Whether the key is for RSASSA-PSS only (RFC 4055).
    pub key_pss_only: bool,
    /// SHA-256 of the SubjectPublicKeyInfo, hexadecimal.
    pub key_sha256: String,
    /// Signature algorithm, such as `sha256WithRSAEncryption`.
    pub signature: String,
    /// `sha256`, `sha1`, `md5`, … or empty where the scheme has its own.
    pub signature_hash: String,
    /// Subject equals issuer and the signature verifies under its own key; where it can't be calculated,
    /// the key identifiers are equal instead.
    pub self_signed: bool,
    /// Basic constraints: whether it may certify others.
    pub is_ca: bool,
    /// Most intermediate certificates that may follow below it; `null` when not limited.
    pub path_length: Option<u32>,
    /// Key usage (RFC 5280 section 4.2.1.3); empty when not limited.
    pub key_usage: Vec<String>,
    /// Extended key usage, names such as `serverAuth` or OIDs; empty when not limited.
    pub extended_key_usage: Vec<String>,
    /// Whether it demands a stapled OCSP response (RFC 7633).
    pub must_staple: bool,
    /// Addresses of OCSP responders.
    pub ocsp: Vec<String>,
    /// Addresses of the issuer's certificate.
    pub ca_issuers: Vec<String>,
    /// Addresses of revocation lists.
    pub crl: Vec<String>,
    /// Certificate policies, OIDs.
    pub policies: Vec<String>,
    /// Signed certificate timestamps inside it.
    pub scts_count: u32,
    /// Subject key identifier, hexadecimal; empty when absent.
    pub subject_key_id: String,
    /// Authority key identifier, hexadecimal; empty when absent.
    pub authority_key_id: String,
    /// OIDs of critical extensions that assay does not read.
    pub unknown_critical: Vec<String>,
    /// Parts that are not as RFC 5280 asks, `EXTENSION: what is wrong`.
    pub problems: Vec<String>,
    /// SHA-256 of the DER, hexadecimal.
    pub fingerprint: String,
}

/// Reads one DER certificate.
pub fn parse(der: &[u8]) -> Result<Certificate, String> {
    Parsed::read(der).map(|p| p.with_own_signature().certificate).map_err(|e| format!("not a readable X.509 certificate: {e}"))
}

/// Kind, size and curve of a DER SubjectPublicKeyInfo.
pub fn public_key_facts(der: &[u8]) -> Result<KeyFacts, Malformed> {
    Ok(PublicKey::read(&Reader::new(der).expect(der::SEQUENCE)?)?.facts())
}

/// A certificate with what building a path needs.
#[derive(Clone, Debug)]
pub(crate) struct Parsed {
    pub certificate: Certificate,
    pub der: Vec<u8>,
    /// Names in a form that can be compared.
    pub subject: Vec<u8>,
    pub issuer: Vec<u8>,
    pub extensions: Extensions,
    /// The subject's name as it stands, for constraints on directory names.
    pub subject_raw: Vec<u8>,
    /// Mail addresses of the subject's name, which constraints also bind.
    pub emails: Vec<String>,
}

impl Parsed {
    pub fn read(der: &[u8]) -> Result<Self, Malformed> {
        let raw = Raw::read(der)?;
        let mut extensions = raw.extensions.as_ref().map(Extensions::read).unwrap_or_default();
        if !raw.algorithms_agree {
            extensions.problems.push("signatureAlgorithm: it differs inside and outside what is signed".into());
        }
        if raw.extensions.is_some() && raw.version != 3 {
            extensions.problems.push(format!("extensions: a certificate of version {} has none", raw.version));
        }
        let (subject, issuer) = (name::canonical(raw.subject.content)?, name::canonical(raw.issuer.content)?);
        Ok(Self {
            certificate: facts(&raw, &extensions, der)?,
            der: der.to_vec(),
            emails: name::values_of(raw.subject.content, "1.2.840.113549.1.9.1")?,
            subject_raw: raw.subject.content.to_vec(),
            subject,
            issuer,
            extensions,
        })
    }

    /// The same with `self_signed`, which costs a check of a signature.
    pub fn with_own_signature(mut self) -> Self {
        self.certificate.self_signed = self.is_self_issued()
            && match self.signed_by(&self) {
                Verified::Valid => true,
                Verified::Invalid => false,
                Verified::Not(_) => self.extensions.authority_key_id.is_empty() || self.extensions.authority_key_id == self.extensions.subject_key_id,
            };
        self
    }

    /// Whether subject and issuer are one name.
    pub fn is_self_issued(&self) -> bool {
        self.subject == self.issuer
    }

    /// Whether the key of `issuer` made the signature.
    pub fn signed_by(&self, issuer: &Self) -> Verified {
        match (Raw::read(&self.der), Raw::read(&issuer.der)) {
            (Ok(own), Ok(other)) => verify(&own.algorithm, own.signed, own.signature, &other.key),
            _ => Verified::Not("a certificate can't be read".into()),
        }
    }

    /// Whether both have key identifiers, and they differ.
    pub fn names_another_key_than(&self, issuer: &Self) -> bool {
        let (wanted, has) = (&self.extensions.authority_key_id, &issuer.extensions.subject_key_id);
        !wanted.is_empty() && !has.is_empty() && wanted != has
    }
}

fn facts(raw: &Raw<'_>, extensions: &Extensions, der: &[u8]) -> Result<Certificate, Malformed> {
    let sha256 = |bytes: &[u8]| hex(ring::digest::digest(&ring::digest::SHA256, bytes).as_ref());
    let key = raw.key.facts();
    let (signature, scheme) = algorithm::signature(&raw.algorithm);
    let names = extensions.names.as_deref().unwrap_or_default();
    let mut kinds: Vec<String> = names.iter().map(|n| n.kind().to_string()).collect();
    kinds.sort();
    kinds.dedup();
    let few = |list: &[String]| list.iter().take(ADDRESSES_LIMIT).cloned().collect::<Vec<String>>();
    Ok(Certificate {
        role: String::new(),
        subject_name: name::text(raw.subject.content)?,
        issuer_name: name::text(raw.issuer.content)?,
        common_names: few(&name::common_names(raw.subject.content)?),
        names: names.iter().filter_map(GeneralName::shown).take(NAMES_LIMIT).collect(),
        names_count: count(names.len()),
        name_kinds: kinds,
        version: raw.version,
        serial: hex(raw.serial),
        not_before: raw.not_before,
        not_after: raw.not_after,
        key_kind: key.kind,
        key_bits: key.bits,
        key_curve: key.curve,
        key_exponent: key.exponent,
        key_pss_only: key.pss_only,
        key_sha256: sha256(raw.key.whole),
        signature,
        signature_hash: hash_of(scheme),
        self_signed: false,
        is_ca: extensions.is_ca.unwrap_or(false),
        path_length: extensions.path_length,
        key_usage: extensions.key_usage.clone().unwrap_or_default(),
        extended_key_usage: extensions.extended_key_usage.clone().unwrap_or_default(),
        must_staple: extensions.must_staple,
        ocsp: few(&extensions.ocsp),
        ca_issuers: few(&extensions.ca_issuers),
        crl: few(&extensions.crl),
        policies: extensions.policies.clone(),
        scts_count: count(extensions.scts.len()),
        subject_key_id: extensions.subject_key_id.clone(),
        authority_key_id: extensions.authority_key_id.clone(),
        unknown_critical: extensions.unknown_critical.clone(),
        problems: extensions.problems.clone(),
        fingerprint: sha256(der),
    })
}

fn hash_of(scheme: Scheme) -> String {
    scheme.hash().map_or(String::new(), |h| h.name().into())
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
