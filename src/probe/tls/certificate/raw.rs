//! The parts of a certificate (RFC 5280 section 4.1) as they lie in its DER.

use super::algorithm::{Algorithm, PublicKey};
use super::der::{BIT_STRING, Element, INTEGER, Malformed, Reader, SEQUENCE, constructed, context};

/// A certificate, borrowed.
#[derive(Clone, Debug)]
pub struct Raw<'a> {
    /// What is signed.
    pub signed: &'a [u8],
    /// How it is signed.
    pub algorithm: Algorithm<'a>,
    /// Whether the signed part names the same algorithm (section 4.1.1.2 asks for it).
    pub algorithms_agree: bool,
    /// The signature.
    pub signature: &'a [u8],
    /// 1, 2 or 3.
    pub version: u32,
    /// Content octets of the serial number.
    pub serial: &'a [u8],
    /// Issuer's name.
    pub issuer: Element<'a>,
    /// Subject's name.
    pub subject: Element<'a>,
    /// Unix seconds.
    pub not_before: i64,
    /// Unix seconds.
    pub not_after: i64,
    /// Subject's key.
    pub key: PublicKey<'a>,
    /// The SEQUENCE of extensions.
    pub extensions: Option<Element<'a>>,
}

impl<'a> Raw<'a> {
    /// Reads one DER certificate.
    pub fn read(der: &'a [u8]) -> Result<Self, Malformed> {
        let mut outer = Reader::new(der);
        let mut certificate = outer.sequence()?;
        outer.end()?;
        let signed = certificate.expect(SEQUENCE)?;
        let algorithm = certificate.expect(SEQUENCE)?;
        let signature = certificate.expect(BIT_STRING)?.octets()?;
        certificate.end()?;

        let mut fields = signed.inside();
        let version = fields.optional(constructed(0))?.map_or(Ok(0), |v| v.only()?.number())?;
        let version = u32::try_from(version).ok().filter(|v| *v <= 2).ok_or(Malformed("the version is none of 1, 2, 3"))? + 1;
        let serial = fields.expect(INTEGER)?.content;
        let inner = fields.expect(SEQUENCE)?;
        let issuer = fields.expect(SEQUENCE)?;
        let mut validity = fields.sequence()?;
        let (not_before, not_after) = (validity.element()?.time()?, validity.element()?.time()?);
        validity.end()?;
        let subject = fields.expect(SEQUENCE)?;
        let key = PublicKey::read(&fields.expect(SEQUENCE)?)?;
        // Unique identifiers of version 2, which nobody uses.
        for number in [1, 2] {
            for tag in [context(number), constructed(number)] {
                fields.optional(tag)?;
            }
        }
        let extensions = fields.optional(constructed(3))?.map(|e| e.only()).transpose()?;
        fields.end()?;
        Ok(Self {
            signed: signed.whole,
            algorithms_agree: inner.whole == algorithm.whole,
            algorithm: Algorithm::read(&algorithm)?,
            signature,
            version,
            serial,
            issuer,
            subject,
            not_before,
            not_after,
            key,
            extensions,
        })
    }
}

/// The subject's name alone, content octets: what an index of a store needs.
pub fn subject_of(der: &[u8]) -> Result<&[u8], Malformed> {
    let mut fields = Reader::new(der).sequence()?.sequence()?;
    fields.optional(constructed(0))?;
    fields.expect(INTEGER)?;
    for _ in 0..3 {
        fields.expect(SEQUENCE)?;
    }
    Ok(fields.expect(SEQUENCE)?.content)
}
