//! Certificates where they are served or stored, and the TLS versions that endpoints accept.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Item, Says, cut};
use crate::facts::Document;
use crate::facts::certificates::Certificates;
use crate::facts::tls::Tls;
use crate::model::fact::Observation;
use crate::model::gap::Gap;

/// How items of served certificates begin.
const SERVED: &str = "served ";
/// How items of stored ones begin.
const STORED: &str = "stored ";
/// Names of one certificate that are kept.
const MAX_NAMES: usize = 8;

/// What a certificate is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct CertificateAbout {
    /// Subject, RFC 4514 text.
    pub subject: String,
    /// Issuer, RFC 4514 text.
    pub issuer: String,
    /// Names that it is for; the first few.
    pub names: Vec<String>,
    /// Names beyond those.
    pub more_names: usize,
    /// `RSA 2048`, `EC P-256`, …
    pub key: String,
    /// Signature algorithm.
    pub signature: String,
    /// Unix seconds.
    pub not_before: i64,
    /// Unix seconds.
    pub not_after: i64,
    /// Whether it may certify others.
    pub is_ca: bool,
    /// Whether it is signed by its own key.
    pub self_signed: bool,
}

/// Where a certificate is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct CertificateBody {
    /// Endpoint that serves it, or path of the file.
    pub place: String,
    /// Whether it is served; else it lies in a file.
    pub served: bool,
    /// Process that serves it, or services that name the file, divided by commas; may be empty.
    pub used_by: String,
    /// Its part in the chain, such as `leaf`; empty for a file.
    pub role: String,
    /// Another file for the same names that is valid longer; empty: none.
    pub superseded_by: String,
}

/// Every certificate of a host.
pub(super) fn certificates(observation: &Observation) -> Says {
    let (tls, files) = (document::<Tls>(observation), document::<Certificates>(observation));
    if tls.is_none() && files.is_none() {
        return Says::blind("certificates were not gathered, or by another version of assay");
    }
    let mut items = Vec::new();
    let missing = [(tls.is_none(), "tls"), (files.is_none(), "certificates")].into_iter().filter(|(is, _)| *is).map(|(_, family)| not_gathered(family));
    let missing: Vec<Gap> = missing.collect();
    for chain in tls.map(|t| t.chains).unwrap_or_default() {
        for c in chain.certificates {
            let about = CertificateAbout {
                subject: cut(&c.subject_name),
                issuer: cut(&c.issuer_name),
                more_names: c.names.len().saturating_sub(MAX_NAMES),
                names: c.names.iter().take(MAX_NAMES).map(|n| cut(n)).collect(),
                key: key(&c.key_kind, c.key_bits, &c.key_curve),
                signature: cut(&c.signature),
                not_before: c.not_before,
                not_after: c.not_after,
                is_ca: c.is_ca,
                self_signed: c.self_signed,
            };
            let body =
                CertificateBody { place: cut(&chain.subject), served: true, used_by: cut(&chain.process), role: c.role.clone(), superseded_by: String::new() };
            items.push(Item::new(&c.fingerprint, &format!("{SERVED}{} {}", chain.subject, c.role), c.not_after, &about, &body));
        }
    }
    for c in files.map(|f| f.items).unwrap_or_default() {
        let about = CertificateAbout {
            subject: cut(&c.subject_name),
            issuer: cut(&c.issuer_name),
            more_names: c.names.len().saturating_sub(MAX_NAMES),
            names: c.names.iter().take(MAX_NAMES).map(|n| cut(n)).collect(),
            key: key(&c.key_kind, c.key_bits, &c.key_curve),
            signature: cut(&c.signature),
            not_before: c.not_before,
            not_after: c.not_after,
            is_ca: c.is_ca,
            self_signed: c.self_signed,
        };
        let body = CertificateBody {
            place: cut(&c.subject),
            served: false,
            used_by: cut(&c.used_by.join(", ")),
            role: String::new(),
            superseded_by: cut(&c.superseded_by),
        };
        items.push(Item::new(&c.fingerprint, &format!("{STORED}{}", c.subject), c.not_after, &about, &body));
    }
    Says::beside(items, observation.gaps.iter().chain(&missing), |gap| match gap.family.as_str() {
        "tls" => Some(SERVED),
        "certificates" => Some(STORED),
        "" => Some(""),
        _ => None,
    })
}

/// Every accepted TLS version of a host's endpoints.
pub(super) fn versions(observation: &Observation) -> Says {
    let Some(tls) = document::<Tls>(observation) else { return Says::blind("TLS was not asked, or by another version of assay") };
    let mut items = Vec::new();
    for endpoint in tls.endpoints {
        for name in &endpoint.accepted {
            let code = endpoint.versions.iter().find(|v| v.name == *name).map_or(0, |v| i64::from(v.code));
            let rank = if code == 0 { rank_of(name) } else { code };
            let body = CertificateBody { place: cut(&endpoint.subject), served: true, used_by: cut(&endpoint.process), ..CertificateBody::default() };
            items.push(Item::new(name, &endpoint.subject, rank, &Value::Object(serde_json::Map::new()), &body));
        }
    }
    Says::beside(items, observation.gaps.iter(), |gap| match gap.family.as_str() {
        // Chains have gaps of their own; they hide no version.
        "tls" if gap.path.starts_with("chains") => None,
        "tls" | "" => Some(""),
        _ => None,
    })
}

/// Wire code of a version by its name (RFC 8446 section 4.1.2; 2 for SSLv2).
fn rank_of(name: &str) -> i64 {
    match name {
        "SSLv2" => 2,
        "SSLv3" => 0x300,
        "TLSv1.0" => 0x301,
        "TLSv1.1" => 0x302,
        "TLSv1.2" => 0x303,
        "TLSv1.3" => 0x304,
        _ => 0xffff,
    }
}

fn document<T: Document>(observation: &Observation) -> Option<T> {
    serde_json::from_value(observation.families.get(T::NAME)?.clone()).ok()
}

fn not_gathered(family: &str) -> Gap {
    let detail = format!("{family} was not gathered, or by another version of assay");
    Gap { family: family.into(), path: String::new(), subject: String::new(), reason: "missing".into(), detail, remedy: String::new() }
}

/// A key in words.
fn key(kind: &str, bits: u32, curve: &str) -> String {
    match (kind, bits, curve) {
        ("rsa" | "dsa", bits, _) if bits > 0 => format!("{} {bits}", kind.to_uppercase()),
        ("ec", _, curve) if !curve.is_empty() => format!("EC {}", cut(curve)),
        (kind, _, _) => cut(kind),
    }
}
