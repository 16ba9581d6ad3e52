//! Extensions of certificates (RFC 5280 section 4.2 and those that TLS servers' certificates carry).
//!
//! One that can't be read is named as a problem; the others are read all the same.

use super::constraints::Constraints;
use super::der::{BIT_STRING, Element, INTEGER, Malformed, OCTET_STRING, OID, Reader, SEQUENCE, constructed, context, hex};
use super::general_name::{self, GeneralName};
use super::sct::{self, Sct};

/// Most elements kept of one list.
const LIST_LIMIT: usize = 64;

/// What the extensions say; the fields of facts where they have the same name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extensions {
    /// Subject alternative names; `None` when there is no such extension.
    pub names: Option<Vec<GeneralName>>,
    /// Basic constraints; `None` when there are none.
    pub is_ca: Option<bool>,
    /// Path length constraint.
    pub path_length: Option<u32>,
    /// Key usage; `None` when there is none.
    pub key_usage: Option<Vec<String>>,
    /// Extended key usage; `None` when there is none.
    pub extended_key_usage: Option<Vec<String>>,
    /// Whether it demands a stapled OCSP response (RFC 7633).
    pub must_staple: bool,
    /// OCSP responders.
    pub ocsp: Vec<String>,
    /// Where the issuer's certificate lies.
    pub ca_issuers: Vec<String>,
    /// Where revocation lists lie.
    pub crl: Vec<String>,
    /// Certificate policies, OIDs.
    pub policies: Vec<String>,
    /// Signed certificate timestamps.
    pub scts: Vec<Sct>,
    /// Key identifier.
    pub subject_key_id: String,
    /// Key identifier of the issuer.
    pub authority_key_id: String,
    /// Name constraints.
    pub constraints: Option<Constraints>,
    /// OIDs of critical extensions that are not read here.
    pub unknown_critical: Vec<String>,
    /// `EXTENSION: what is wrong with it`.
    pub problems: Vec<String>,
}

impl Extensions {
    /// Reads the SEQUENCE of extensions.
    pub fn read(sequence: &Element<'_>) -> Self {
        let mut out = Self::default();
        let mut seen: Vec<String> = Vec::new();
        let mut list = sequence.inside();
        if sequence.tag != SEQUENCE || list.is_empty() {
            out.problems.push("extensions: not a sequence of at least one".into());
            return out;
        }
        while !list.is_empty() {
            match extension(&mut list) {
                Ok((oid, critical, value)) => {
                    if seen.contains(&oid) {
                        out.problems.push(format!("{}: it is there twice", name(&oid)));
                        continue;
                    }
                    if let Err(problem) = out.take(&oid, critical, value) {
                        out.problems.push(format!("{}: {problem}", name(&oid)));
                    }
                    seen.push(oid);
                }
                Err(problem) => {
                    out.problems.push(format!("extensions: {problem}"));
                    return out;
                }
            }
        }
        out
    }

    fn take(&mut self, oid: &str, critical: bool, value: &[u8]) -> Result<(), Malformed> {
        let mut outer = Reader::new(value);
        match oid {
            "2.5.29.14" => self.subject_key_id = hex(outer.expect(OCTET_STRING)?.content),
            "2.5.29.15" => self.key_usage = Some(key_usage(&mut outer)?),
            "2.5.29.17" => {
                let names = self.names.insert(general_name::list(&outer.expect(SEQUENCE)?)?);
                if let Some(problem) = names.iter().find_map(GeneralName::problem) {
                    return Err(problem);
                }
            }
            "2.5.29.19" => (self.is_ca, self.path_length) = basic_constraints(&mut outer)?,
            "2.5.29.30" => self.constraints = Some(Constraints::read(&outer.expect(SEQUENCE)?)?),
            "2.5.29.31" => self.crl = distribution_points(&mut outer)?,
            "2.5.29.32" => self.policies = policies(&mut outer)?,
            "2.5.29.35" => self.authority_key_id = authority_key(&mut outer)?,
            "2.5.29.37" => self.extended_key_usage = Some(purposes(&mut outer)?),
            "1.3.6.1.5.5.7.1.1" => (self.ocsp, self.ca_issuers) = access(&mut outer)?,
            "1.3.6.1.5.5.7.1.24" => self.must_staple = features(&mut outer)?.iter().any(|f| matches!(f, 5 | 17)),
            "1.3.6.1.4.1.11129.2.4.2" => self.scts = sct::list(outer.expect(OCTET_STRING)?.content, "certificate")?,
            // Names of the issuer, policies' mappings and constraints: no path here depends on them. Netscape's type of 1996.
            "2.5.29.18" | "2.5.29.33" | "2.5.29.36" | "2.5.29.54" | "2.16.840.1.113730.1.1" => return Ok(()),
            _ => {
                if critical && self.unknown_critical.len() < LIST_LIMIT {
                    self.unknown_critical.push(oid.into());
                }
                return Ok(());
            }
        }
        outer.end()
    }
}

fn extension<'a>(list: &mut Reader<'a>) -> Result<(String, bool, &'a [u8]), Malformed> {
    let mut fields = list.sequence()?;
    let oid = fields.expect(OID)?.oid()?;
    let critical = fields.optional(super::der::BOOLEAN)?.map_or(Ok(false), |c| c.truth())?;
    let value = fields.expect(OCTET_STRING)?.content;
    fields.end()?;
    Ok((oid, critical, value))
}

fn basic_constraints(outer: &mut Reader<'_>) -> Result<(Option<bool>, Option<u32>), Malformed> {
    let mut fields = outer.sequence()?;
    let is_ca = fields.optional(super::der::BOOLEAN)?.map_or(Ok(false), |c| c.truth())?;
    let length = fields.optional(INTEGER)?.map(|l| l.number()).transpose()?;
    fields.end()?;
    Ok((Some(is_ca), length.map(|l| u32::try_from(l).unwrap_or(u32::MAX))))
}

fn key_usage(outer: &mut Reader<'_>) -> Result<Vec<String>, Malformed> {
    const BITS: [&str; 9] = [
        "digitalSignature",
        "contentCommitment",
        "keyEncipherment",
        "dataEncipherment",
        "keyAgreement",
        "keyCertSign",
        "cRLSign",
        "encipherOnly",
        "decipherOnly",
    ];
    let bits = outer.expect(BIT_STRING)?.bits()?;
    Ok(bits.into_iter().map(|bit| BITS.get(bit as usize).map_or_else(|| format!("bit{bit}"), ToString::to_string)).collect())
}

fn purposes(outer: &mut Reader<'_>) -> Result<Vec<String>, Malformed> {
    let oids = oids(&mut outer.sequence()?, |reader| reader.expect(OID))?;
    if oids.is_empty() {
        return Err(Malformed("it names no purpose"));
    }
    Ok(oids.into_iter().map(purpose).collect())
}

fn purpose(oid: String) -> String {
    match oid.as_str() {
        "1.3.6.1.5.5.7.3.1" => "serverAuth",
        "1.3.6.1.5.5.7.3.2" => "clientAuth",
        "1.3.6.1.5.5.7.3.3" => "codeSigning",
        "1.3.6.1.5.5.7.3.4" => "emailProtection",
        "1.3.6.1.5.5.7.3.8" => "timeStamping",
        "1.3.6.1.5.5.7.3.9" => "OCSPSigning",
        "2.5.29.37.0" => "anyExtendedKeyUsage",
        // Server-gated cryptography of the nineties: servers, too.
        "1.3.6.1.4.1.311.10.3.3" => "msSGC",
        "2.16.840.1.113730.4.1" => "nsSGC",
        _ => return oid,
    }
    .into()
}

fn policies(outer: &mut Reader<'_>) -> Result<Vec<String>, Malformed> {
    oids(&mut outer.sequence()?, |reader| reader.sequence()?.expect(OID))
}

fn oids<'a>(list: &mut Reader<'a>, next: impl Fn(&mut Reader<'a>) -> Result<Element<'a>, Malformed>) -> Result<Vec<String>, Malformed> {
    let mut out = Vec::new();
    while !list.is_empty() {
        let oid = next(list)?.oid()?;
        if out.len() == LIST_LIMIT {
            return Err(Malformed("it has more elements than are kept"));
        }
        out.push(oid);
    }
    Ok(out)
}

fn features(outer: &mut Reader<'_>) -> Result<Vec<u64>, Malformed> {
    let mut list = outer.sequence()?;
    let mut out = Vec::new();
    while !list.is_empty() {
        out.push(list.expect(INTEGER)?.number()?);
    }
    Ok(out)
}

fn authority_key(outer: &mut Reader<'_>) -> Result<String, Malformed> {
    let mut fields = outer.sequence()?;
    let id = fields.optional(context(0))?.map(|k| hex(k.content)).unwrap_or_default();
    while !fields.is_empty() {
        fields.element()?;
    }
    Ok(id)
}

/// Addresses of OCSP responders and of issuers' certificates.
fn access(outer: &mut Reader<'_>) -> Result<(Vec<String>, Vec<String>), Malformed> {
    let (mut ocsp, mut issuers) = (Vec::new(), Vec::new());
    let mut list = outer.sequence()?;
    while !list.is_empty() {
        let mut fields = list.sequence()?;
        let method = fields.expect(OID)?.oid()?;
        let place = GeneralName::read(&fields.element()?)?;
        fields.end()?;
        let kept = match method.as_str() {
            "1.3.6.1.5.5.7.48.1" => &mut ocsp,
            "1.3.6.1.5.5.7.48.2" => &mut issuers,
            _ => continue,
        };
        if let GeneralName::Uri(uri) = place
            && kept.len() < LIST_LIMIT
        {
            kept.push(uri);
        }
    }
    Ok((ocsp, issuers))
}

/// Addresses of revocation lists: DistributionPoint [0] fullName [0] URI.
fn distribution_points(outer: &mut Reader<'_>) -> Result<Vec<String>, Malformed> {
    let mut out = Vec::new();
    let mut list = outer.sequence()?;
    while !list.is_empty() {
        let mut point = list.sequence()?;
        let Some(place) = point.optional(constructed(0))? else { continue };
        let Some(full) = place.inside().optional(constructed(0))? else { continue };
        let names = general_name::list(&full)?.into_iter();
        out.extend(names.filter_map(|n| if let GeneralName::Uri(uri) = n { Some(uri) } else { None }).take(LIST_LIMIT.saturating_sub(out.len())));
    }
    Ok(out)
}

/// Name of an extension in problems.
fn name(oid: &str) -> String {
    match oid {
        "2.5.29.14" => "subjectKeyIdentifier",
        "2.5.29.15" => "keyUsage",
        "2.5.29.17" => "subjectAltName",
        "2.5.29.19" => "basicConstraints",
        "2.5.29.30" => "nameConstraints",
        "2.5.29.31" => "cRLDistributionPoints",
        "2.5.29.32" => "certificatePolicies",
        "2.5.29.35" => "authorityKeyIdentifier",
        "2.5.29.37" => "extKeyUsage",
        "1.3.6.1.5.5.7.1.1" => "authorityInfoAccess",
        "1.3.6.1.5.5.7.1.24" => "tlsFeature",
        "1.3.6.1.4.1.11129.2.4.2" => "signedCertificateTimestamps",
        _ => oid,
    }
    .into()
}
