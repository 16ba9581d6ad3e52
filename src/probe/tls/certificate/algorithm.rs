//! Algorithm identifiers (RFC 5280 section 4.1.1.2): public keys, signatures, hashes.

use md5::{Digest as _, Md5};
use ring::digest;
use sha2::Sha224;

use super::curves;
use super::der::{BIT_STRING, Element, INTEGER, Malformed, OID, Reader, SEQUENCE, bit_length, constructed};

/// An AlgorithmIdentifier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Algorithm<'a> {
    /// Object identifier.
    pub oid: String,
    /// Its parameters, if any.
    pub parameters: Option<Element<'a>>,
}

impl<'a> Algorithm<'a> {
    /// Reads the content of the SEQUENCE.
    pub fn read(element: &Element<'a>) -> Result<Self, Malformed> {
        if element.tag != SEQUENCE {
            return Err(Malformed("an algorithm identifier is not a sequence"));
        }
        let mut fields = element.inside();
        let oid = fields.expect(OID)?.oid()?;
        let parameters = if fields.is_empty() { None } else { Some(fields.element()?) };
        fields.end()?;
        Ok(Self { oid, parameters })
    }
}

/// A hash function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hash {
    /// RFC 1319; only named.
    Md2,
    /// RFC 1321.
    Md5,
    /// FIPS 180-4.
    Sha1,
    /// FIPS 180-4.
    Sha224,
    /// FIPS 180-4.
    Sha256,
    /// FIPS 180-4.
    Sha384,
    /// FIPS 180-4.
    Sha512,
}

impl Hash {
    /// As it stands in facts.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Md2 => "md2",
            Self::Md5 => "md5",
            Self::Sha1 => "sha1",
            Self::Sha224 => "sha224",
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
        }
    }

    /// By object identifier.
    pub fn by_oid(oid: &str) -> Option<Self> {
        Some(match oid {
            "1.2.840.113549.2.2" => Self::Md2,
            "1.2.840.113549.2.5" => Self::Md5,
            "1.3.14.3.2.26" => Self::Sha1,
            "2.16.840.1.101.3.4.2.4" => Self::Sha224,
            "2.16.840.1.101.3.4.2.1" => Self::Sha256,
            "2.16.840.1.101.3.4.2.2" => Self::Sha384,
            "2.16.840.1.101.3.4.2.3" => Self::Sha512,
            _ => return None,
        })
    }

    /// Content octets of its object identifier.
    pub const fn oid(self) -> &'static [u8] {
        match self {
            Self::Md2 => &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 2, 2],
            Self::Md5 => &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 2, 5],
            Self::Sha1 => &[0x2b, 0x0e, 3, 2, 0x1a],
            Self::Sha224 => &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 4],
            Self::Sha256 => &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1],
            Self::Sha384 => &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 2],
            Self::Sha512 => &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 3],
        }
    }

    /// The hash of some bytes; `None` where it can't be calculated here.
    pub fn of(self, bytes: &[u8]) -> Option<Vec<u8>> {
        let of = |algorithm| digest::digest(algorithm, bytes).as_ref().to_vec();
        Some(match self {
            Self::Md2 => return None,
            Self::Md5 => Md5::digest(bytes).to_vec(),
            Self::Sha1 => of(&digest::SHA1_FOR_LEGACY_USE_ONLY),
            Self::Sha224 => Sha224::digest(bytes).to_vec(),
            Self::Sha256 => of(&digest::SHA256),
            Self::Sha384 => of(&digest::SHA384),
            Self::Sha512 => of(&digest::SHA512),
        })
    }
}

/// How a signature is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// RSASSA-PKCS1-v1_5 (RFC 8017 section 8.2).
    Pkcs1(Hash),
    /// RSASSA-PSS (RFC 8017 section 8.1); salt in bytes.
    Pss {
        /// Of the message.
        hash: Hash,
        /// Of the mask.
        mask: Hash,
        /// Bytes.
        salt: usize,
    },
    /// FIPS 186-5.
    Ecdsa(Hash),
    /// FIPS 186-4.
    Dsa(Hash),
    /// RFC 8032.
    Ed25519,
    /// RFC 8032.
    Ed448,
    /// Another one.
    Unknown,
}

impl Scheme {
    /// Its hash; `None` where it is not known, or the scheme has its own.
    pub const fn hash(self) -> Option<Hash> {
        match self {
            Self::Pkcs1(hash) | Self::Ecdsa(hash) | Self::Dsa(hash) | Self::Pss { hash, .. } => Some(hash),
            Self::Ed25519 | Self::Ed448 | Self::Unknown => None,
        }
    }
}

/// Name (RFC 3279, RFC 4055, RFC 5758, RFC 8410, RFC 9881; else the OID) and scheme of a signature.
pub fn signature(algorithm: &Algorithm<'_>) -> (String, Scheme) {
    let (name, scheme) = match algorithm.oid.as_str() {
        "1.2.840.113549.1.1.2" => ("md2WithRSAEncryption", Scheme::Pkcs1(Hash::Md2)),
        "1.2.840.113549.1.1.4" => ("md5WithRSAEncryption", Scheme::Pkcs1(Hash::Md5)),
        "1.2.840.113549.1.1.5" | "1.3.14.3.2.29" => ("sha1WithRSAEncryption", Scheme::Pkcs1(Hash::Sha1)),
        "1.2.840.113549.1.1.14" => ("sha224WithRSAEncryption", Scheme::Pkcs1(Hash::Sha224)),
        "1.2.840.113549.1.1.11" => ("sha256WithRSAEncryption", Scheme::Pkcs1(Hash::Sha256)),
        "1.2.840.113549.1.1.12" => ("sha384WithRSAEncryption", Scheme::Pkcs1(Hash::Sha384)),
        "1.2.840.113549.1.1.13" => ("sha512WithRSAEncryption", Scheme::Pkcs1(Hash::Sha512)),
        "1.2.840.113549.1.1.10" => ("rsassaPss", pss(algorithm.parameters.as_ref()).unwrap_or(Scheme::Unknown)),
        "1.2.840.10045.4.1" => ("ecdsa-with-SHA1", Scheme::Ecdsa(Hash::Sha1)),
        "1.2.840.10045.4.3.1" => ("ecdsa-with-SHA224", Scheme::Ecdsa(Hash::Sha224)),
        "1.2.840.10045.4.3.2" => ("ecdsa-with-SHA256", Scheme::Ecdsa(Hash::Sha256)),
        "1.2.840.10045.4.3.3" => ("ecdsa-with-SHA384", Scheme::Ecdsa(Hash::Sha384)),
        "1.2.840.10045.4.3.4" => ("ecdsa-with-SHA512", Scheme::Ecdsa(Hash::Sha512)),
        "1.2.840.10040.4.3" => ("dsa-with-sha1", Scheme::Dsa(Hash::Sha1)),
        "2.16.840.1.101.3.4.3.1" => ("dsa-with-sha224", Scheme::Dsa(Hash::Sha224)),
        "2.16.840.1.101.3.4.3.2" => ("dsa-with-sha256", Scheme::Dsa(Hash::Sha256)),
        "1.3.101.112" => ("ed25519", Scheme::Ed25519),
        "1.3.101.113" => ("ed448", Scheme::Ed448),
        "2.16.840.1.101.3.4.3.17" => ("ml-dsa-44", Scheme::Unknown),
        "2.16.840.1.101.3.4.3.18" => ("ml-dsa-65", Scheme::Unknown),
        "2.16.840.1.101.3.4.3.19" => ("ml-dsa-87", Scheme::Unknown),
        oid => (oid, Scheme::Unknown),
    };
    (name.into(), scheme)
}

/// RSASSA-PSS-params (RFC 4055 section 3.1): SHA-1, its mask and 20 bytes of salt are the defaults.
pub fn pss(parameters: Option<&Element<'_>>) -> Result<Scheme, Malformed> {
    let (mut hash, mut mask, mut salt) = (Hash::Sha1, Hash::Sha1, 20);
    let unknown = Malformed("RSASSA-PSS parameters name an unknown hash");
    if let Some(parameters) = parameters {
        let mut fields = parameters.inside();
        if let Some(field) = fields.optional(constructed(0))? {
            hash = Hash::by_oid(&Algorithm::read(&field.only()?)?.oid).ok_or(unknown)?;
        }
        if let Some(field) = fields.optional(constructed(1))? {
            // id-mgf1
            let generator = Algorithm::read(&field.only()?)?;
            let inner = generator.parameters.filter(|_| generator.oid == "1.2.840.113549.1.1.8").ok_or(unknown)?;
            mask = Hash::by_oid(&Algorithm::read(&inner)?.oid).ok_or(unknown)?;
        }
        if let Some(field) = fields.optional(constructed(2))? {
            salt = usize::try_from(field.only()?.number()?).map_err(|_| unknown)?;
        }
        if let Some(field) = fields.optional(constructed(3))?
            && field.only()?.number()? != 1
        {
            return Err(Malformed("RSASSA-PSS parameters name an unknown trailer"));
        }
        fields.end()?;
    }
    Ok(Scheme::Pss { hash, mask, salt })
}

/// A SubjectPublicKeyInfo.
#[derive(Clone, Debug)]
pub struct PublicKey<'a> {
    /// Kind and parameters.
    pub algorithm: Algorithm<'a>,
    /// The key itself.
    pub bytes: &'a [u8],
    /// The whole structure.
    pub whole: &'a [u8],
}

/// What facts tell of a key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyFacts {
    /// Kind.
    pub kind: String,
    /// Bits; 0 when not known.
    pub bits: u32,
    /// Curve of an EC key.
    pub curve: String,
    /// Public exponent of an RSA key.
    pub exponent: u64,
    /// Whether an RSA key is for RSASSA-PSS only.
    pub pss_only: bool,
}

impl<'a> PublicKey<'a> {
    /// Reads the structure.
    pub fn read(element: &Element<'a>) -> Result<Self, Malformed> {
        let mut fields = element.inside();
        let algorithm = Algorithm::read(&fields.element()?)?;
        let bytes = fields.expect(BIT_STRING)?.octets()?;
        fields.end()?;
        Ok(Self { algorithm, bytes, whole: element.whole })
    }

    /// Modulus and public exponent of an RSAPublicKey (RFC 8017 appendix A.1.1).
    pub fn rsa(&self) -> Result<(&'a [u8], &'a [u8]), Malformed> {
        let mut fields = Reader::new(self.bytes).sequence()?;
        let modulus = fields.expect(INTEGER)?.unsigned()?;
        let exponent = fields.expect(INTEGER)?.unsigned()?;
        fields.end()?;
        Ok((modulus, exponent))
    }

    /// Kind, size and parameters.
    pub fn facts(&self) -> KeyFacts {
        let oid = self.algorithm.oid.as_str();
        let fixed = |kind: &str, bits| KeyFacts { kind: kind.into(), bits, ..KeyFacts::default() };
        match oid {
            // rsaEncryption, id-RSASSA-PSS (RFC 8017)
            "1.2.840.113549.1.1.1" | "1.2.840.113549.1.1.10" => {
                let (bits, exponent) = self.rsa().map_or((0, 0), |(n, e)| (bit_length(n), small(e)));
                KeyFacts { exponent, pss_only: oid.ends_with(".10"), ..fixed("rsa", bits) }
            }
            "1.2.840.10045.2.1" => {
                let (curve, bits) = curve(self.algorithm.parameters.as_ref());
                KeyFacts { curve, ..fixed("ec", bits) }
            }
            "1.2.840.10040.4.1" => fixed("dsa", self.dsa_bits().unwrap_or(0)),
            "1.3.101.112" => fixed("ed25519", 256),
            "1.3.101.113" => fixed("ed448", 456),
            // RFC 9881: bits of the public key.
            "2.16.840.1.101.3.4.3.17" => fixed("ml-dsa-44", 10_496),
            "2.16.840.1.101.3.4.3.18" => fixed("ml-dsa-65", 15_616),
            "2.16.840.1.101.3.4.3.19" => fixed("ml-dsa-87", 20_736),
            _ => fixed(oid, 0),
        }
    }

    /// Size of p, the first integer of Dss-Parms (RFC 3279 section 2.3.2).
    fn dsa_bits(&self) -> Option<u32> {
        let parameters = self.algorithm.parameters?;
        let p = parameters.inside().expect(INTEGER).ok()?.unsigned().ok()?;
        Some(bit_length(p))
    }
}

/// 0 when it does not fit 63 bits.
fn small(number: &[u8]) -> u64 {
    if bit_length(number) > 63 { 0 } else { number.iter().fold(0, |n, b| n << 8 | u64::from(*b)) }
}

/// Name and size of the curve; one that is spelled out (RFC 5480 forbids it) is called `explicit`.
fn curve(parameters: Option<&Element<'_>>) -> (String, u32) {
    let Some(parameters) = parameters else { return (String::new(), 0) };
    match parameters.oid() {
        Ok(oid) => match (curves::by_oid(&oid), curves::other(&oid)) {
            (Some(curve), _) => (curve.name.into(), curve.bits),
            (None, Some((name, bits))) => (name.into(), bits),
            (None, None) => (oid, 0),
        },
        Err(_) => ("explicit".into(), explicit_bits(parameters).unwrap_or(0)),
    }
}

/// SpecifiedECDomain (SEC 1 section C.2): version, field (prime-field, p), …
fn explicit_bits(parameters: &Element<'_>) -> Option<u32> {
    let mut fields = parameters.inside();
    fields.expect(INTEGER).ok()?;
    let mut field = fields.expect(SEQUENCE).ok()?.inside();
    let kind = field.expect(OID).ok()?.oid().ok()?;
    let p = field.expect(INTEGER).ok()?.unsigned().ok()?;
    (kind == "1.2.840.10045.1.1").then(|| bit_length(p))
}
