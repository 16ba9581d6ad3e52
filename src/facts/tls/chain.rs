//! The certificate chains of each endpoint.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Document as _, Endpoint, Tls};
use crate::model::fact::Source;
use crate::model::gap::{Gaps, reason};
pub use crate::probe::tls::certificate::Certificate;
use crate::probe::tls::certificate::chain::{self, Shown, examine};
pub use crate::probe::tls::certificate::ocsp::Staple;
pub use crate::probe::tls::certificate::sct::Sct;
use crate::probe::tls::certificate::trust::Store;

/// Trust of a chain in which a certificate can't be read.
const UNREADABLE: &str = "certificate-unreadable";

/// One chain of one endpoint. An endpoint has several when the server chooses by server name or by
/// what the client can verify.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Chain {
    /// Subject of the endpoint; where it has several chains, with ` sni NAME` and the kind of the leaf's key (` rsa`, ` ec`) as far as
    /// they differ.
    pub subject: String,
    /// Subject of the endpoint.
    pub endpoint: String,
    /// Name of the process behind a local listener; empty when unknown.
    pub process: String,
    /// Bind scope of a local listener, else `remote`.
    pub scope: String,
    /// Protocol of the upgrade, such as `smtp`; empty for direct TLS.
    pub starttls: String,
    /// Server name or address asked for; empty when none was.
    pub server_name: String,
    /// Kind of the leaf's key, such as `rsa` or `ec`.
    pub key_kind: String,
    /// Certificates as sent, leaf first; never empty.
    pub certificates: Vec<Certificate>,
    /// Whether each certificate is certified by the next (RFC 5246 section 7.4.2).
    pub in_order: bool,
    /// Places (from 1) of certificates that certify none of the path, or were sent before.
    pub extra: Vec<u32>,
    /// Whether what was sent leads to a self-signed certificate or into the store.
    pub complete: bool,
    /// Places (from 1) of the certificates of the best path: the one that is trusted, then the one that is valid longest.
    pub path: Vec<u32>,
    /// Newest beginning of validity on the path, anchor included, Unix seconds.
    pub path_not_before: i64,
    /// Oldest end of validity on the path, anchor included, Unix seconds.
    pub path_not_after: i64,
    /// Store that judges: `system`, `mozilla` or a path.
    pub store: String,
    /// `trusted`, whatever the time is, or why not: `self-signed`, `anchor-not-in-store`, `issuer-not-found`, `signature-invalid`,
    /// `signature-not-verifiable`, `path-limit-reached`, `store-unavailable`, `certificate-unreadable`, or the first of `violations`.
    pub trust: String,
    /// The same in a sentence.
    pub trust_detail: String,
    /// What RFC 5280 section 6.1 forbids on the path, trust and time apart: `issuer-not-a-ca`, `key-usage-forbids`, `path-length-exceeded`,
    /// `issuer-not-for-servers`, `not-for-servers` (the leaf), `unknown-critical-extension`, `malformed`, `name-constraints-violated`.
    pub violations: Vec<String>,
    /// Subject of the certificate of the store that ends the path; empty when there is none.
    pub anchor: String,
    /// SHA-256 of its DER, hexadecimal; empty when there is none.
    pub anchor_fingerprint: String,
    /// Whether the server also sent the certificate that ends the path, which nobody needs.
    pub anchor_sent: bool,
    /// Whether a subject alternative name is the server name (RFC 9525); `null` when no name was asked for, or the names can't be read.
    pub name_matches: Option<bool>,
    /// Whether only the common name is the server name, which counts no more.
    pub common_name_only: bool,
    /// The stapled OCSP response; `null` when none was sent. A gap when none was asked for and the leaf demands one.
    pub staple: Option<Staple>,
    /// Signed certificate timestamps of the certificate, of the handshake and of the staple.
    pub scts: Vec<Sct>,
    /// The endpoint.
    pub source: Source,
}

/// The chains of one endpoint; what could not be read becomes gaps of their subjects.
pub(in crate::facts) fn chains(shown: &[Shown], endpoint: &Endpoint, store: &Store, gaps: &mut Gaps) -> Vec<Chain> {
    let examined: Vec<(&Shown, chain::Chain)> = shown.iter().map(|s| (s, examine(s, store))).collect();
    let subjects = subjects(&examined, endpoint);
    let facts = examined.into_iter().zip(subjects).filter_map(|((shown, chain), subject)| fact(shown, chain, subject, endpoint, store, gaps));
    facts.collect()
}

/// A subject of its own for each chain.
fn subjects(examined: &[(&Shown, chain::Chain)], endpoint: &Endpoint) -> Vec<String> {
    let kind = |c: &chain::Chain| c.certificates.first().map_or(String::new(), |l| l.key_kind.clone());
    let several_names = examined.iter().any(|(s, _)| examined.first().is_some_and(|(first, _)| first.server_name != s.server_name));
    let mut out: Vec<String> = Vec::new();
    for (shown, chain) in examined {
        let mut subject = endpoint.subject.clone();
        if several_names && shown.server_name != endpoint.server_name {
            let name = if shown.server_name.is_empty() { " without sni".into() } else { format!(" sni {}", shown.server_name) };
            subject.push_str(&name);
        }
        if examined.iter().filter(|(s, _)| s.server_name == shown.server_name).count() > 1 {
            subject = format!("{subject} {}", kind(chain)).trim_end().to_string();
        }
        let same = out.iter().filter(|s| **s == subject || s.starts_with(&format!("{subject} ("))).count();
        out.push(if same > 0 { format!("{subject} ({})", same + 1) } else { subject });
    }
    out
}

fn fact(shown: &Shown, chain: chain::Chain, subject: String, endpoint: &Endpoint, store: &Store, gaps: &mut Gaps) -> Option<Chain> {
    let place = &endpoint.source.place;
    for (number, problem) in &chain.unreadable {
        let detail = format!("{place}: certificate {number} of the chain: {problem}");
        gaps.note(Tls::NAME, "chains", &subject, reason::MALFORMED, detail, "Look at the certificate with openssl s_client -showcerts.");
    }
    let leaf = chain.certificates.first()?;
    missing(&chain, &subject, place, gaps);
    if leaf.must_staple && shown.staple.is_none() && !shown.staple_asked {
        gaps.note(Tls::NAME, "chains.staple", &subject, reason::UNSUPPORTED, format!("{place}: no stapled response was asked for"), "");
    }
    let names_are_lost = leaf.problems.iter().any(|p| p.starts_with("subjectAltName:") || p.starts_with("extensions:"));
    let lost = !chain.unreadable.is_empty() && chain.trust != "trusted";
    Some(Chain {
        endpoint: endpoint.subject.clone(),
        process: endpoint.process.clone(),
        scope: endpoint.scope.clone(),
        starttls: endpoint.starttls.clone(),
        server_name: shown.server_name.clone(),
        key_kind: leaf.key_kind.clone(),
        in_order: chain.in_order,
        extra: chain.extra,
        complete: chain.complete,
        path: chain.path,
        path_not_before: chain.path_not_before,
        path_not_after: chain.path_not_after,
        store: store.choice().text().into(),
        trust: if lost { UNREADABLE.into() } else { chain.trust },
        trust_detail: if lost { "a certificate of the chain can't be read".into() } else { chain.trust_detail },
        violations: chain.violations,
        anchor: chain.anchor,
        anchor_fingerprint: chain.anchor_fingerprint,
        anchor_sent: chain.anchor_sent,
        name_matches: chain.name_matches.filter(|matches| *matches || !names_are_lost),
        common_name_only: chain.common_name_only,
        staple: chain.staple,
        scts: chain.scts,
        source: Source { place: place.clone(), line: 0, directive: "Certificate".into() },
        certificates: chain.certificates,
        subject,
    })
}

/// What is not known of a chain that was read. That trust is not known, `trust` says itself: rules
/// that read it among other things need not know it.
fn missing(chain: &chain::Chain, subject: &str, place: &str, gaps: &mut Gaps) {
    if let Some(problem) = &chain.store_problem {
        let detail = format!("{place}: the store of trust anchors can't be read: {problem}");
        gaps.note(Tls::NAME, "chains.anchor", subject, reason::MISSING, detail, "Install ca-certificates, or name a store (trust_store).");
    }
    if matches!(chain.trust.as_str(), "signature-not-verifiable" | "path-limit-reached") {
        gaps.note(Tls::NAME, "chains.anchor", subject, reason::UNSUPPORTED, format!("{place}: {}", chain.trust_detail), "");
    }
    if let Some(problem) = &chain.scts_problem {
        gaps.note(Tls::NAME, "chains.scts", subject, reason::MALFORMED, format!("{place}: {problem}"), "");
    }
    for (number, c) in (1..).zip(&chain.certificates) {
        certificate(c, number, subject, place, gaps);
    }
}

/// Keys and signatures of a kind that is not known can't be called strong; fields of an extension
/// that can't be read are not empty.
fn certificate(c: &Certificate, number: usize, subject: &str, place: &str, gaps: &mut Gaps) {
    if c.key_bits == 0 {
        let detail = format!("{place}: certificate {number} has a key of kind {} whose size is not known", c.key_kind);
        gaps.note(Tls::NAME, "chains.certificates.key_bits", subject, reason::UNSUPPORTED, detail, "");
    }
    if c.signature_hash.is_empty() && !has_own_hash(&c.signature) {
        let detail = format!("{place}: certificate {number} is signed with {}, whose hash is not known", c.signature);
        gaps.note(Tls::NAME, "chains.certificates.signature_hash", subject, reason::UNSUPPORTED, detail, "");
    }
    for problem in &c.problems {
        for field in fields(problem.split(':').next().unwrap_or_default()) {
            let detail = format!("{place}: certificate {number}: {problem}");
            gaps.note(Tls::NAME, &format!("chains.certificates.{field}"), subject, reason::MALFORMED, detail, "");
        }
    }
}

/// Schemes in which the hash is no choice (RFC 8032, RFC 9881).
fn has_own_hash(signature: &str) -> bool {
    matches!(signature, "ed25519" | "ed448") || signature.starts_with("ml-dsa-")
}

/// The fields of a certificate that one extension fills.
fn fields(extension: &str) -> &'static [&'static str] {
    const NAMES: &[&str] = &["names", "names_count", "name_kinds"];
    match extension {
        "subjectAltName" => NAMES,
        "basicConstraints" => &["is_ca", "path_length"],
        "keyUsage" => &["key_usage"],
        "extKeyUsage" => &["extended_key_usage"],
        "cRLDistributionPoints" => &["crl"],
        "certificatePolicies" => &["policies"],
        "authorityInfoAccess" => &["ocsp", "ca_issuers"],
        "tlsFeature" => &["must_staple"],
        "signedCertificateTimestamps" => &["scts_count"],
        "subjectKeyIdentifier" => &["subject_key_id"],
        "authorityKeyIdentifier" => &["authority_key_id"],
        "extensions" => &["names", "names_count", "name_kinds", "is_ca", "path_length", "key_usage", "extended_key_usage", "must_staple", "policies"],
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorded(file: &str) -> Vec<u8> {
        std::fs::read(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wire").join(file)).unwrap()
    }

    fn endpoint(server_name: &str) -> Endpoint {
        serde_json::from_value(serde_json::json!({
            "subject": "192.0.2.1:443/tcp", "address": "192.0.2.1", "port": 443, "process": "nginx", "scope": "any", "starttls": "",
            "server_name": server_name, "outcome": "tls", "outcome_detail": "", "versions": [], "accepted": [], "lowest_code": 0,
            "client_certificate_requested": null, "client_certificate_required": null,
            "source": {"place": "tcp 192.0.2.1:443", "line": 0, "directive": ""}
        }))
        .unwrap()
    }

    fn shown(file: &str, server_name: &str) -> Shown {
        Shown { certificates: vec![recorded(file)], server_name: server_name.into(), ..Shown::default() }
    }

    #[test]
    fn each_of_several_chains_has_a_subject_of_its_own() {
        let store = Store::from_bytes("store", &recorded("cert-md5.der"));
        let subjects = |shown: &[Shown], name: &str| -> Vec<String> {
            chains(shown, &endpoint(name), &store, &mut Gaps::new()).into_iter().map(|c| c.subject.replace("192.0.2.1:443/tcp", "@")).collect()
        };
        let (rsa, ec) = (shown("cert-md5.der", ""), shown("cert-p256-same-name.der", ""));
        assert_eq!(subjects(std::slice::from_ref(&rsa), ""), ["@"]);
        assert_eq!(subjects(&[rsa.clone(), ec.clone()], ""), ["@ rsa", "@ ec"]);
        assert_eq!(subjects(&[rsa.clone(), shown("cert-md5.der", "a.example")], ""), ["@", "@ sni a.example"]);
        assert_eq!(subjects(&[shown("cert-md5.der", "a.example"), rsa.clone()], "a.example"), ["@", "@ without sni"]);
        assert_eq!(subjects(&[rsa.clone(), rsa], ""), ["@ rsa", "@ rsa (2)"]);
    }

    #[test]
    fn what_cannot_be_read_is_a_gap() {
        let store = Store::from_bytes("store", b"nothing");
        let broken = Shown { certificates: vec![vec![0x30, 0]], ..Shown::default() };
        let mut gaps = Gaps::new();
        assert!(chains(&[broken], &endpoint(""), &store, &mut gaps).is_empty());
        let found = chains(&[shown("cert-md5.der", "")], &endpoint(""), &store, &mut gaps);
        assert_eq!((found[0].trust.as_str(), found[0].complete), ("store-unavailable", true));
        let paths: Vec<String> = gaps.into_sorted().into_iter().map(|g| g.path).collect();
        assert_eq!(paths, ["chains", "chains.anchor"]);
    }
}
