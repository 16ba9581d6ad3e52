//! Whether a signature holds, judged by no policy: MD5 and 512 bits count as much as anything.

use ring::signature::{ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA384_ASN1, ECDSA_P384_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, ED25519};
use ring::signature::{UnparsedPublicKey, VerificationAlgorithm};

use super::algorithm::{self, Algorithm, Hash, PublicKey, Scheme};
use super::{curves, ecdsa, ed448, rsa};

/// What a check of a signature gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verified {
    /// It holds.
    Valid,
    /// It does not hold.
    Invalid,
    /// It could not be checked, and why.
    Not(String),
}

impl Verified {
    pub(super) const fn not(reason: String) -> Self {
        Self::Not(reason)
    }

    pub(super) const fn from_truth(holds: bool) -> Self {
        if holds { Self::Valid } else { Self::Invalid }
    }
}

/// Checks `signature` over `message`.
pub fn verify(algorithm: &Algorithm<'_>, message: &[u8], signature: &[u8], key: &PublicKey<'_>) -> Verified {
    let (name, scheme) = algorithm::signature(algorithm);
    let facts = key.facts();
    match (scheme, facts.kind.as_str()) {
        (Scheme::Pkcs1(hash), "rsa") if !facts.pss_only => rsa::pkcs1(hash, message, signature, key),
        (Scheme::Pss { hash, mask, salt }, "rsa") => pss(hash, mask, salt, message, signature, key),
        (Scheme::Ecdsa(hash), "ec") => elliptic(hash, message, signature, key),
        (Scheme::Dsa(hash), "dsa") => ecdsa::dsa(hash, message, signature, key),
        (Scheme::Ed25519, "ed25519") => by_library(&ED25519, message, signature, key.bytes),
        (Scheme::Ed448, "ed448") => ed448::verify(message, signature, key.bytes),
        (Scheme::Unknown, _) => Verified::not(format!("signatures of kind {name} are not calculated")),
        // A key of another kind can't have made it.
        _ => Verified::Invalid,
    }
}

/// A key for RSASSA-PSS alone may bind its parameters (RFC 4055 section 3.3).
fn pss(hash: Hash, mask: Hash, salt: usize, message: &[u8], signature: &[u8], key: &PublicKey<'_>) -> Verified {
    if key.facts().pss_only && key.algorithm.parameters.is_some() {
        match algorithm::pss(key.algorithm.parameters.as_ref()) {
            Ok(Scheme::Pss { hash: h, mask: m, salt: s }) if h == hash && m == mask && salt >= s => {}
            Ok(_) => return Verified::Invalid,
            Err(problem) => return Verified::not(problem.to_string()),
        }
    }
    rsa::pss(hash, mask, salt, message, signature, key)
}

fn elliptic(hash: Hash, message: &[u8], signature: &[u8], key: &PublicKey<'_>) -> Verified {
    let parameters = key.algorithm.parameters.as_ref();
    let Some(oid) = parameters.and_then(|p| p.oid().ok()) else {
        return Verified::not("keys whose curve is spelled out are not calculated with".into());
    };
    let Some(curve) = curves::by_oid(&oid) else {
        return Verified::not(format!("curve {} is not calculated with", curves::other(&oid).map_or(oid.as_str(), |o| o.0)));
    };
    let library: Option<&'static dyn VerificationAlgorithm> = match (curve.name, hash) {
        ("P-256", Hash::Sha256) => Some(&ECDSA_P256_SHA256_ASN1),
        ("P-256", Hash::Sha384) => Some(&ECDSA_P256_SHA384_ASN1),
        ("P-384", Hash::Sha256) => Some(&ECDSA_P384_SHA256_ASN1),
        ("P-384", Hash::Sha384) => Some(&ECDSA_P384_SHA384_ASN1),
        _ => None,
    };
    match library {
        // The library reads uncompressed points only.
        Some(library) if key.bytes.first() == Some(&4) => by_library(library, message, signature, key.bytes),
        _ => ecdsa::ecdsa(hash, message, signature, key, curve),
    }
}

fn by_library(algorithm: &'static dyn VerificationAlgorithm, message: &[u8], signature: &[u8], key: &[u8]) -> Verified {
    Verified::from_truth(UnparsedPublicKey::new(algorithm, key).verify(message, signature).is_ok())
}
