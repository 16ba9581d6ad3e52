//! RSA signatures of any size (RFC 8017): the public operation and both encodings.

use num_bigint::BigUint;

use super::algorithm::{Hash, PublicKey};
use super::der::{bit_length, significant};
use super::verify::Verified;

/// Longest modulus that is calculated with, bits.
pub const MODULUS_LIMIT: u32 = 16_384;
/// Longest public exponent that is calculated with, bits.
const EXPONENT_LIMIT: u32 = 64;

/// RSASSA-PKCS1-v1_5 (section 8.2.2).
pub fn pkcs1(hash: Hash, message: &[u8], signature: &[u8], key: &PublicKey<'_>) -> Verified {
    let Some(digest) = hash.of(message) else {
        return Verified::not(format!("hash {} is not calculated", hash.name()));
    };
    let opened = match open(signature, key) {
        Ok(opened) => opened,
        Err(verified) => return verified,
    };
    // Both forms of the parameters are to be accepted (appendix A.2.4, note).
    let forms = [true, false].map(|null| encoded(hash, &digest, null, opened.encoded.len()));
    Verified::from_truth(forms.into_iter().flatten().any(|form| form == opened.encoded))
}

/// RSASSA-PSS (section 8.1.2).
pub fn pss(hash: Hash, mask: Hash, salt: usize, message: &[u8], signature: &[u8], key: &PublicKey<'_>) -> Verified {
    let Some(digest) = hash.of(message) else {
        return Verified::not(format!("hash {} is not calculated", hash.name()));
    };
    match open(signature, key) {
        Ok(opened) => Verified::from_truth(pss_consistent(hash, mask, salt, &digest, &opened).unwrap_or(false)),
        Err(verified) => verified,
    }
}

/// What the signature holds.
struct Opened {
    /// As long as the modulus.
    encoded: Vec<u8>,
    /// Bits of the modulus.
    bits: u32,
}

/// RSAVP1 (section 5.2.2), or what it can't be done with.
fn open(signature: &[u8], key: &PublicKey<'_>) -> Result<Opened, Verified> {
    let (modulus, exponent) = key.rsa().map_err(|e| Verified::not(format!("the RSA key is malformed: {e}")))?;
    let bits = bit_length(modulus);
    if bits > MODULUS_LIMIT || bit_length(exponent) > EXPONENT_LIMIT {
        return Err(Verified::not(format!("an RSA key of {bits} bits and an exponent of {} is too large to calculate with", bit_length(exponent))));
    }
    let odd = modulus.last().is_some_and(|b| b & 1 == 1);
    if bits < 256 || !odd || exponent.is_empty() {
        return Err(Verified::Invalid);
    }
    if significant(signature).len() > modulus.len() {
        return Err(Verified::Invalid);
    }
    let (n, s) = (BigUint::from_bytes_be(modulus), BigUint::from_bytes_be(signature));
    if s >= n {
        return Err(Verified::Invalid);
    }
    let opened = s.modpow(&BigUint::from_bytes_be(exponent), &n).to_bytes_be();
    let mut encoded = vec![0; modulus.len().saturating_sub(opened.len())];
    encoded.extend(opened);
    Ok(Opened { encoded, bits })
}

/// EMSA-PKCS1-v1_5 (section 9.2); `None` when the modulus is too short for it.
fn encoded(hash: Hash, digest: &[u8], null: bool, length: usize) -> Option<Vec<u8>> {
    let octet = |n: usize| u8::try_from(n).ok();
    let oid = hash.oid();
    let parameters: &[u8] = if null { &[5, 0] } else { &[] };
    let algorithm = 2 + oid.len() + parameters.len();
    let mut info = vec![0x30, octet(2 + algorithm + 2 + digest.len())?, 0x30, octet(algorithm)?, 6, octet(oid.len())?];
    info.extend_from_slice(oid);
    info.extend_from_slice(parameters);
    info.extend([4, octet(digest.len())?]);
    info.extend_from_slice(digest);
    let padding = length.checked_sub(info.len() + 3).filter(|p| *p >= 8)?;
    let mut out = vec![0, 1];
    out.resize(2 + padding, 0xff);
    out.push(0);
    out.extend(info);
    Some(out)
}

/// EMSA-PSS-VERIFY (section 9.1.2); `None` when a part has the wrong length.
fn pss_consistent(hash: Hash, mask: Hash, salt: usize, digest: &[u8], opened: &Opened) -> Option<bool> {
    let bits = usize::try_from(opened.bits.checked_sub(1)?).ok()?;
    // With a multiple of eight bits the encoded message is one octet shorter than the modulus.
    let length = bits.div_ceil(8);
    let (surplus, message) = opened.encoded.split_at_checked(opened.encoded.len().checked_sub(length)?)?;
    let (body, trailer) = message.split_at_checked(length.checked_sub(1)?)?;
    let (masked, h) = body.split_at_checked(body.len().checked_sub(digest.len())?)?;
    let unused = 8 * length - bits;
    let head = masked.first()?;
    if surplus.iter().any(|b| *b != 0) || trailer != [0xbc] || unused > 0 && head >> (8 - unused) != 0 {
        return Some(false);
    }
    let mut db: Vec<u8> = masked.iter().zip(generate_mask(mask, h, masked.len())?).map(|(a, b)| a ^ b).collect();
    *db.first_mut()? &= 0xff >> unused;
    let (zeros, rest) = db.split_at_checked(db.len().checked_sub(salt)?.checked_sub(1)?)?;
    let (one, salt) = rest.split_first()?;
    let again = hash.of(&[&[0; 8], digest, salt].concat())?;
    Some(zeros.iter().all(|b| *b == 0) && *one == 1 && again == h)
}

/// MGF1 (appendix B.2.1).
fn generate_mask(hash: Hash, seed: &[u8], length: usize) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    for counter in 0_u32.. {
        if out.len() >= length {
            break;
        }
        out.extend(hash.of(&[seed, &counter.to_be_bytes()].concat())?);
    }
    out.truncate(length);
    Some(out)
}
