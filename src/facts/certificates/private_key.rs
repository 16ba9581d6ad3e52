//! Private keys in DER: kind, size and the fingerprint of the public half. Of the private half
//! nothing is kept (PKCS#1 RFC 8017, SEC 1 and RFC 5915, PKCS#8 RFC 5958, RFC 8410).

use ring::digest::{SHA256, digest};
use ring::signature::{Ed25519KeyPair, KeyPair as _};

use crate::probe::tls::certificate::der::{BIT_STRING, Element, INTEGER, Malformed, OCTET_STRING, OID, Reader, SEQUENCE, constructed, context, hex};
use crate::probe::tls::certificate::{KeyFacts, public_key_facts};

/// Content octets of object identifiers.
const RSA_ENCRYPTION: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1];
const RSA_PSS: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 10];
const EC_PUBLIC_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1];
const DSA: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x38, 4, 1];
const ED25519: &[u8] = &[0x2b, 0x65, 0x70];
const NULL: &[u8] = &[5, 0];

/// What a private key tells about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PrivateKey {
    /// `pkcs1`, `sec1`, `dsa` or `pkcs8`.
    pub format: &'static str,
    /// Kind, size and curve; the kind is empty when a passphrase hides it.
    pub facts: KeyFacts,
    /// SHA-256 of the SubjectPublicKeyInfo, hexadecimal; empty when the file does not tell the public half.
    pub public_sha256: String,
    /// Whether a passphrase is needed.
    pub encrypted: bool,
}

/// A key under the label `label PRIVATE KEY` of RFC 7468 and its ancestors; `None`: another format's label.
pub fn of_label(label: &str, der: &[u8]) -> Option<Result<PrivateKey, Malformed>> {
    Some(match label {
        "" => pkcs8(der),
        "RSA" => pkcs1(der),
        "EC" => sec1(der, None),
        "DSA" => dsa(der),
        "ENCRYPTED" => Ok(encrypted("pkcs8")),
        _ => return None,
    })
}

/// A key of whose content only the passphrase tells.
pub fn encrypted(format: &'static str) -> PrivateKey {
    PrivateKey { format, encrypted: true, ..PrivateKey::default() }
}

/// A key in a file of DER alone.
pub fn of_der(der: &[u8]) -> Option<PrivateKey> {
    [pkcs8(der), pkcs1(der), sec1(der, None)].into_iter().find_map(Result::ok).or_else(|| is_encrypted_pkcs8(der).then(|| encrypted("pkcs8")))
}

/// EncryptedPrivateKeyInfo (RFC 5958 section 3): an algorithm of PKCS#5 or PKCS#12 and an octet string.
fn is_encrypted_pkcs8(der: &[u8]) -> bool {
    let read = || -> Result<bool, Malformed> {
        let mut fields = Reader::new(der).sequence()?;
        let oid = fields.sequence()?.expect(OID)?.oid()?;
        fields.expect(OCTET_STRING)?;
        fields.end()?;
        Ok(oid.starts_with("1.2.840.113549.1.5.") || oid.starts_with("1.2.840.113549.1.12.1."))
    };
    read().unwrap_or(false)
}

fn pkcs8(der: &[u8]) -> Result<PrivateKey, Malformed> {
    let mut fields = Reader::new(der).sequence()?;
    fields.expect(INTEGER)?.number()?;
    let algorithm = fields.expect(SEQUENCE)?;
    let key = fields.expect(OCTET_STRING)?;
    fields.optional(constructed(0))?;
    let public = match fields.optional(context(1))? {
        Some(bits) => Some(bits.content.get(1..).ok_or(Malformed("a public key is empty"))?),
        None => None,
    };
    let oid = algorithm.inside().expect(OID)?.content;
    let inner = match oid {
        RSA_ENCRYPTION | RSA_PSS => rsa_public(key.content)?,
        EC_PUBLIC_KEY => {
            let mut inside = algorithm.inside();
            inside.expect(OID)?;
            return sec1(key.content, Some(inside.element()?)).map(|k| PrivateKey { format: "pkcs8", ..k });
        }
        DSA => Vec::new(),
        ED25519 if public.is_none() => {
            let seed = Reader::new(key.content).expect(OCTET_STRING)?.content;
            let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| Malformed("an Ed25519 key has not 32 octets"))?;
            pair.public_key().as_ref().to_vec()
        }
        _ => public.map(<[u8]>::to_vec).unwrap_or_default(),
    };
    Ok(describe("pkcs8", algorithm.whole, &inner))
}

fn pkcs1(der: &[u8]) -> Result<PrivateKey, Malformed> {
    let algorithm = sequence(&[&element(OID, RSA_ENCRYPTION), NULL]);
    Ok(describe("pkcs1", &algorithm, &rsa_public(der)?))
}

/// RSAPublicKey of an RSAPrivateKey.
fn rsa_public(der: &[u8]) -> Result<Vec<u8>, Malformed> {
    let mut fields = Reader::new(der).sequence()?;
    fields.expect(INTEGER)?.number()?;
    let (modulus, exponent) = (fields.expect(INTEGER)?, fields.expect(INTEGER)?);
    // Six further numbers tell it from other sequences of integers.
    for _ in 0..6 {
        fields.expect(INTEGER)?;
    }
    Ok(sequence(&[modulus.whole, exponent.whole]))
}

/// ECPrivateKey; inside PKCS#8 the curve stands outside.
fn sec1(der: &[u8], outer: Option<Element<'_>>) -> Result<PrivateKey, Malformed> {
    let mut fields = Reader::new(der).sequence()?;
    if fields.expect(INTEGER)?.number()? != 1 {
        return Err(Malformed("an EC key has another version than 1"));
    }
    fields.expect(OCTET_STRING)?;
    let own = fields.optional(constructed(0))?.map(|e| e.only()).transpose()?;
    let public = fields.optional(constructed(1))?.map(|e| e.only()).transpose()?;
    let parameters = outer.or(own).ok_or(Malformed("an EC key names no curve"))?;
    let algorithm = sequence(&[&element(OID, EC_PUBLIC_KEY), parameters.whole]);
    let public = match public {
        Some(bits) if bits.tag == BIT_STRING => bits.octets()?,
        _ => &[],
    };
    Ok(describe("sec1", &algorithm, public))
}

/// OpenSSL's own form: version, p, q, g, y, x.
fn dsa(der: &[u8]) -> Result<PrivateKey, Malformed> {
    let mut fields = Reader::new(der).sequence()?;
    fields.expect(INTEGER)?.number()?;
    let (p, q, g, y) = (fields.expect(INTEGER)?, fields.expect(INTEGER)?, fields.expect(INTEGER)?, fields.expect(INTEGER)?);
    let algorithm = sequence(&[&element(OID, DSA), &sequence(&[p.whole, q.whole, g.whole])]);
    Ok(describe("dsa", &algorithm, y.whole))
}

fn describe(format: &'static str, algorithm: &[u8], public: &[u8]) -> PrivateKey {
    let mut bits = vec![0];
    bits.extend_from_slice(public);
    let whole = sequence(&[algorithm, &element(BIT_STRING, &bits)]);
    let facts = public_key_facts(&whole).unwrap_or_default();
    let public_sha256 = if public.is_empty() { String::new() } else { hex(digest(&SHA256, &whole).as_ref()) };
    PrivateKey { format, facts, public_sha256, encrypted: false }
}

fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    element(SEQUENCE, &parts.concat())
}

fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    let length = content.len();
    if let Some(short) = u8::try_from(length).ok().filter(|l| *l < 0x80) {
        out.push(short);
    } else {
        let octets: Vec<u8> = length.to_be_bytes().into_iter().skip_while(|b| *b == 0).collect();
        out.push(0x80 | u8::try_from(octets.len()).unwrap_or(8));
        out.extend(octets);
    }
    out.extend_from_slice(content);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    /// RFC 8410 section 10.3; the public half stands in section 10.1.
    const ED25519_KEY: &str = "MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC";
    const ED25519_PUBLIC: &str = "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=";

    #[test]
    fn an_ed25519_key_of_the_standard() {
        let key = of_label("", &STANDARD.decode(ED25519_KEY).unwrap()).unwrap().unwrap();
        assert_eq!((key.format, key.facts.kind.as_str(), key.facts.bits, key.encrypted), ("pkcs8", "ed25519", 256, false));
        let public = hex(digest(&SHA256, &STANDARD.decode(ED25519_PUBLIC).unwrap()).as_ref());
        assert_eq!(key.public_sha256, public);
    }

    #[test]
    fn long_lengths_are_written() {
        assert_eq!(element(4, &[0; 127])[..2], [4, 127]);
        assert_eq!(element(4, &[0; 128])[..3], [4, 0x81, 128]);
        assert_eq!(element(4, &[0; 300])[..4], [4, 0x82, 1, 44]);
    }

    #[test]
    fn every_cut_and_flip_is_survived() {
        let whole = STANDARD.decode(ED25519_KEY).unwrap();
        for end in 0..=whole.len() {
            for flip in [0_u8, 0x01, 0x80, 0xff] {
                let mut bytes = whole[..end].to_vec();
                if let Some(last) = bytes.last_mut() {
                    *last ^= flip;
                }
                for label in ["", "RSA", "EC", "DSA", "ENCRYPTED"] {
                    let _ = of_label(label, &bytes);
                }
                let _ = of_der(&bytes);
            }
        }
        assert!(of_label("OPENSSH", &[]).is_none());
    }
}
