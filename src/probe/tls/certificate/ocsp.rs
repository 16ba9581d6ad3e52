//! Stapled OCSP responses (RFC 6960): what one says about the leaf, and whether it may.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::algorithm::{self, Algorithm, Hash};
use super::der::{
    BIT_STRING, ENUMERATED, Element, GENERALIZED_TIME, INTEGER, Malformed, OCTET_STRING, OID, Reader, SEQUENCE, constructed, context, significant,
};
use super::raw::Raw;
use super::sct::{self, Sct};
use super::verify::{Verified, verify};
use super::{Parsed, name};

/// Most answers and certificates looked at in one response.
const LIST_LIMIT: usize = 16;

/// A stapled OCSP response.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Staple {
    /// `successful`, `malformed-request`, `internal-error`, `try-later`, `signature-required`, `unauthorized`, or `unreadable`.
    pub response: String,
    /// Why it is unreadable, or its signature is not valid; else empty.
    pub problem: String,
    /// Name of the responder (RFC 4514), or `key` and the SHA-1 of its key.
    pub responder: String,
    /// Whether the issuer lets another sign for it (RFC 6960 section 4.2.2.2).
    pub delegated: bool,
    /// End of the delegated responder's certificate, Unix seconds; `null` when the issuer signs itself.
    pub responder_not_after: Option<i64>,
    /// Signature of the issuer or of whom it lets sign: `valid`, `invalid`, `not-verifiable`, `issuer-unknown`
    /// (the issuer's certificate was not there to check with), `responder-not-authorised`; empty when there is none.
    pub signature: String,
    /// Its hash; empty when not known.
    pub signature_hash: String,
    /// Whether it is about this leaf: serial number, and hashes of the issuer's name and key.
    pub about_leaf: bool,
    /// `good`, `revoked`, `unknown`; empty when it is not about the leaf.
    pub certificate_status: String,
    /// Unix seconds; `null` unless revoked.
    pub revoked_at: Option<i64>,
    /// Reason code of RFC 5280 section 5.3.1, such as `keyCompromise`; empty when none is given.
    pub revocation_reason: String,
    /// When the status was known to be right, Unix seconds.
    #[schemars(extend("x-volatile" = true))]
    pub this_update: Option<i64>,
    /// When a newer one will be there, Unix seconds; `null` when the responder has one at any time.
    #[schemars(extend("x-volatile" = true))]
    pub next_update: Option<i64>,
    /// When it was signed, Unix seconds.
    #[schemars(extend("x-volatile" = true))]
    pub produced_at: Option<i64>,
}

/// Reads and verifies a response about `leaf`, which `issuer` issued; also the timestamps inside.
pub(super) fn examine(response: &[u8], leaf: &Parsed, issuer: Option<&Parsed>) -> (Staple, Vec<Sct>) {
    let mut staple = Staple::default();
    let mut scts = Vec::new();
    if let Err(problem) = read(response, leaf, issuer, &mut staple, &mut scts) {
        staple.response = "unreadable".into();
        staple.problem = problem.to_string();
    }
    (staple, scts)
}

fn read(response: &[u8], leaf: &Parsed, issuer: Option<&Parsed>, staple: &mut Staple, scts: &mut Vec<Sct>) -> Result<(), Malformed> {
    let mut outer = Reader::new(response);
    let mut fields = outer.sequence()?;
    outer.end()?;
    let status = fields.expect(ENUMERATED)?.number()?;
    staple.response = match status {
        0 => "successful",
        1 => "malformed-request",
        2 => "internal-error",
        3 => "try-later",
        5 => "signature-required",
        6 => "unauthorized",
        _ => return Err(Malformed("the status of the response is unknown")),
    }
    .into();
    if status != 0 {
        return Ok(());
    }
    let mut body = fields.expect(constructed(0))?.only()?.inside();
    // id-pkix-ocsp-basic
    if body.expect(OID)?.oid()? != "1.3.6.1.5.5.7.48.1.1" {
        return Err(Malformed("the response is of another kind than basic"));
    }
    let basic = Basic::read(body.expect(OCTET_STRING)?.content)?;
    staple.signature_hash = algorithm::signature(&basic.algorithm).1.hash().map_or("", Hash::name).into();
    staple.produced_at = Some(basic.produced_at);
    staple.responder = basic.responder.shown()?;
    judge(&basic, issuer, staple);
    let leaf_raw = Raw::read(&leaf.der)?;
    for answer in &basic.answers {
        if answer.is_about(&leaf_raw, issuer) {
            staple.about_leaf = true;
            answer.tell(staple, scts)?;
            break;
        }
    }
    Ok(())
}

/// A BasicOCSPResponse.
struct Basic<'a> {
    signed: &'a [u8],
    algorithm: Algorithm<'a>,
    signature: &'a [u8],
    responder: Responder<'a>,
    produced_at: i64,
    answers: Vec<Answer<'a>>,
    certificates: Vec<&'a [u8]>,
}

impl<'a> Basic<'a> {
    fn read(der: &'a [u8]) -> Result<Self, Malformed> {
        let mut outer = Reader::new(der);
        let mut fields = outer.sequence()?;
        outer.end()?;
        let data = fields.expect(SEQUENCE)?;
        let algorithm = Algorithm::read(&fields.expect(SEQUENCE)?)?;
        let signature = fields.expect(BIT_STRING)?.octets()?;
        let mut certificates = Vec::new();
        if let Some(list) = fields.optional(constructed(0))? {
            let mut list = list.only()?.inside();
            while !list.is_empty() && certificates.len() < LIST_LIMIT {
                certificates.push(list.expect(SEQUENCE)?.whole);
            }
        }
        let mut inside = data.inside();
        inside.optional(constructed(0))?;
        let responder = Responder::read(&inside.element()?)?;
        let produced_at = inside.expect(GENERALIZED_TIME)?.time()?;
        let mut list = inside.sequence()?;
        let mut answers = Vec::new();
        while !list.is_empty() && answers.len() < LIST_LIMIT {
            answers.push(Answer::read(&list.expect(SEQUENCE)?)?);
        }
        Ok(Self { signed: data.whole, algorithm, signature, responder, produced_at, answers, certificates })
    }
}

/// Who signed.
enum Responder<'a> {
    /// Content octets of a name.
    Name(&'a [u8]),
    /// SHA-1 of a key.
    Key(&'a [u8]),
}

impl<'a> Responder<'a> {
    fn read(element: &Element<'a>) -> Result<Self, Malformed> {
        match element.tag {
            tag if tag == constructed(1) => Ok(Self::Name(element.only()?.content)),
            tag if tag == constructed(2) => Ok(Self::Key(element.only()?.content)),
            _ => Err(Malformed("the responder is neither a name nor a key")),
        }
    }

    fn shown(&self) -> Result<String, Malformed> {
        match self {
            Self::Name(name) => name::text(name),
            Self::Key(hash) => Ok(format!("key {}", super::hex(hash))),
        }
    }

    fn is(&self, certificate: &Parsed) -> bool {
        match self {
            Self::Name(name) => name::canonical(name).is_ok_and(|n| n == certificate.subject),
            Self::Key(hash) => Raw::read(&certificate.der).ok().and_then(|raw| Hash::Sha1.of(raw.key.bytes)).is_some_and(|h| h == *hash),
        }
    }
}

/// Checks the signature of the issuer, or of a responder that it lets sign.
fn judge(basic: &Basic<'_>, issuer: Option<&Parsed>, staple: &mut Staple) {
    let Some(issuer) = issuer else {
        staple.signature = "issuer-unknown".into();
        return;
    };
    let signed_by = |signer: &Parsed| match Raw::read(&signer.der) {
        Ok(raw) => verify(&basic.algorithm, basic.signed, basic.signature, &raw.key),
        Err(e) => Verified::Not(e.to_string()),
    };
    let mut outcome = ("responder-not-authorised", format!("{} is neither the issuer nor lets it sign for it", staple.responder));
    if basic.responder.is(issuer) {
        outcome = words(signed_by(issuer));
    }
    let delegates = basic.certificates.iter().filter_map(|der| Parsed::read(der).ok()).filter(|c| basic.responder.is(c) && c.der != issuer.der);
    for delegate in delegates {
        if outcome.0 == "valid" {
            break;
        }
        let may_sign = delegate.extensions.extended_key_usage.as_ref().is_some_and(|p| p.iter().any(|p| p == "OCSPSigning"));
        outcome = match (delegate.issuer == issuer.subject, may_sign) {
            (false, _) => ("responder-not-authorised", format!("the certificate of {} comes from another issuer", staple.responder)),
            (true, false) => ("responder-not-authorised", format!("the certificate of {} is not for OCSP signing", staple.responder)),
            (true, true) => match delegate.signed_by(issuer) {
                Verified::Valid => words(signed_by(&delegate)),
                Verified::Invalid => ("responder-not-authorised", format!("the issuer did not sign the certificate of {}", staple.responder)),
                Verified::Not(reason) => ("not-verifiable", reason),
            },
        };
        staple.delegated = true;
        staple.responder_not_after = Some(delegate.certificate.not_after);
    }
    staple.signature = outcome.0.into();
    staple.problem = outcome.1;
}

fn words(verified: Verified) -> (&'static str, String) {
    match verified {
        Verified::Valid => ("valid", String::new()),
        Verified::Invalid => ("invalid", "its signature does not hold".into()),
        Verified::Not(reason) => ("not-verifiable", reason),
    }
}

/// A SingleResponse.
struct Answer<'a> {
    hash: Option<Hash>,
    issuer_name: &'a [u8],
    issuer_key: &'a [u8],
    serial: &'a [u8],
    status: Element<'a>,
    this_update: i64,
    next_update: Option<i64>,
    extensions: Option<Element<'a>>,
}

impl<'a> Answer<'a> {
    fn read(element: &Element<'a>) -> Result<Self, Malformed> {
        let mut fields = element.inside();
        let mut id = fields.sequence()?;
        let hash = Hash::by_oid(&Algorithm::read(&id.expect(SEQUENCE)?)?.oid);
        let (issuer_name, issuer_key) = (id.expect(OCTET_STRING)?.content, id.expect(OCTET_STRING)?.content);
        let serial = id.expect(INTEGER)?.content;
        id.end()?;
        let status = fields.element()?;
        let this_update = fields.expect(GENERALIZED_TIME)?.time()?;
        let next_update = fields.optional(constructed(0))?.map(|t| t.only()?.time()).transpose()?;
        let extensions = fields.optional(constructed(1))?.map(|e| e.only()).transpose()?;
        Ok(Self { hash, issuer_name, issuer_key, serial, status, this_update, next_update, extensions })
    }

    /// Section 4.1.1: serial number, and hashes of the issuer's name and key. Without the issuer's
    /// certificate the hash of its key can't be compared.
    fn is_about(&self, leaf: &Raw<'_>, issuer: Option<&Parsed>) -> bool {
        let Some(hash) = self.hash else { return false };
        let key = issuer.and_then(|i| Raw::read(&i.der).ok().and_then(|raw| hash.of(raw.key.bytes)));
        significant(self.serial) == significant(leaf.serial)
            && hash.of(leaf.issuer.whole).is_some_and(|h| h == self.issuer_name)
            && key.is_none_or(|k| k == self.issuer_key)
    }

    fn tell(&self, staple: &mut Staple, scts: &mut Vec<Sct>) -> Result<(), Malformed> {
        staple.this_update = Some(self.this_update);
        staple.next_update = self.next_update;
        staple.certificate_status = match self.status.tag {
            tag if tag == context(0) => "good",
            tag if tag == constructed(1) => {
                let mut info = self.status.inside();
                staple.revoked_at = Some(info.expect(GENERALIZED_TIME)?.time()?);
                if let Some(code) = info.optional(constructed(0))? {
                    staple.revocation_reason = revocation_reason(code.only()?.number()?);
                }
                "revoked"
            }
            tag if tag == context(2) => "unknown",
            _ => return Err(Malformed("the status of the certificate is none that there is")),
        }
        .into();
        let mut list = match &self.extensions {
            Some(extensions) => extensions.inside(),
            None => return Ok(()),
        };
        while !list.is_empty() {
            let mut fields = list.sequence()?;
            let oid = fields.expect(OID)?.oid()?;
            fields.optional(super::der::BOOLEAN)?;
            let value = fields.expect(OCTET_STRING)?.content;
            // RFC 6962 section 3.3
            if oid == "1.3.6.1.4.1.11129.2.4.5" {
                scts.extend(sct::list(Reader::new(value).expect(OCTET_STRING)?.content, "ocsp")?);
            }
        }
        Ok(())
    }
}

fn revocation_reason(code: u64) -> String {
    match code {
        0 => "unspecified",
        1 => "keyCompromise",
        2 => "cACompromise",
        3 => "affiliationChanged",
        4 => "superseded",
        5 => "cessationOfOperation",
        6 => "certificateHold",
        8 => "removeFromCRL",
        9 => "privilegeWithdrawn",
        10 => "aACompromise",
        other => return format!("code {other}"),
    }
    .into()
}
