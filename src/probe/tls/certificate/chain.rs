//! A chain as a server showed it: order, completeness, trust, names, staple. Pure.

use std::collections::BTreeSet;

use super::ocsp::{self, Staple};
use super::path::{End, Node, Path, Search};
use super::sct::{self, Sct};
use super::trust::Store;
use super::{Certificate, Parsed, general_name};

/// What a handshake showed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// DER certificates in the order sent, leaf first.
    pub certificates: Vec<Vec<u8>>,
    /// OCSP response that came with them (RFC 6066 section 8, RFC 8446 section 4.4.2.1).
    pub staple: Option<Vec<u8>>,
    /// Whether the hello asked for one (status_request): without, its absence says nothing.
    pub staple_asked: bool,
    /// SignedCertificateTimestampList of the TLS extension (RFC 6962 section 3.3.1).
    pub scts: Option<Vec<u8>>,
    /// Server name or address asked for; empty when none was.
    pub server_name: String,
}

/// What a chain is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chain {
    /// As sent; empty when the leaf can't be read.
    pub certificates: Vec<Certificate>,
    /// Place (from 1) and problem of those that can't be read.
    pub unreadable: Vec<(usize, String)>,
    /// Whether each certificate is certified by the next.
    pub in_order: bool,
    /// Places (from 1) of certificates that certify none of the path, or were sent before.
    pub extra: Vec<u32>,
    /// Whether what was sent leads to a self-signed certificate or into the store.
    pub complete: bool,
    /// Places (from 1) of the certificates of the path; an anchor of the store that was not sent is not among them.
    pub path: Vec<u32>,
    /// Subject of the certificate of the store that ends the path; empty when there is none.
    pub anchor: String,
    /// SHA-256 of its DER, hexadecimal; empty when there is none.
    pub anchor_fingerprint: String,
    /// Whether the certificate that ends the path was sent although nobody needs it: self-signed or in the store.
    pub anchor_sent: bool,
    /// `trusted`, or why not.
    pub trust: String,
    /// The same in a sentence.
    pub trust_detail: String,
    /// What RFC 5280 forbids on the path, trust apart.
    pub violations: Vec<String>,
    /// Newest beginning of validity on the path, Unix seconds.
    pub path_not_before: i64,
    /// Oldest end of validity on the path, Unix seconds.
    pub path_not_after: i64,
    /// Whether the leaf is for the server name; `None` when none was asked for.
    pub name_matches: Option<bool>,
    /// Whether only the common name is the server name, which counts no more (RFC 9525 section 2).
    pub common_name_only: bool,
    /// The stapled response.
    pub staple: Option<Staple>,
    /// Timestamps of the certificate, of the handshake and of the staple.
    pub scts: Vec<Sct>,
    /// Why a list of timestamps could not be read.
    pub scts_problem: Option<String>,
    /// Why the store could not be read.
    pub store_problem: Option<String>,
}

/// Looks at everything a handshake showed.
pub fn examine(shown: &Shown, store: &Store) -> Chain {
    let mut chain = Chain::default();
    let mut sent: Vec<Parsed> = Vec::new();
    for (i, der) in shown.certificates.iter().enumerate() {
        match Parsed::read(der) {
            Ok(parsed) => sent.push(parsed.with_own_signature()),
            Err(e) => chain.unreadable.push((i + 1, format!("not a readable X.509 certificate: {e}"))),
        }
    }
    let leaf_is_lost = chain.unreadable.iter().any(|(place, _)| *place == 1);
    if leaf_is_lost {
        sent.clear();
    }
    let anchors = match store.anchors() {
        Ok(anchors) => Some(anchors),
        Err(problem) => {
            chain.store_problem = Some(problem.into());
            None
        }
    };
    let mut search = Search::new(&sent, anchors);
    let best = search.best();
    order(&mut chain, &mut search, sent.len());
    chain.certificates = sent.iter().map(|p| p.certificate.clone()).collect();
    let Some(path) = best else {
        chain.trust = "unreadable".into();
        return chain;
    };
    follow(&mut chain, &search, &path);
    roles(&mut chain, &mut search, &path);
    names(&mut chain, &sent, &shown.server_name);
    handshake(&mut chain, shown, &search, &path);
    chain
}

/// Trust, completeness and validity of the best path.
fn follow(chain: &mut Chain, search: &Search<'_>, path: &Path) {
    let subject = |node: Option<&Node>| node.and_then(|n| search.certificate(*n)).map_or("", |c| c.certificate.subject_name.as_str()).to_string();
    let last = path.nodes.last().and_then(|n| search.certificate(*n));
    let issuer = last.map_or("", |c| c.certificate.issuer_name.as_str());
    chain.complete = path.end >= End::SelfSigned;
    chain.path = path.nodes.iter().filter_map(|n| if let Node::Sent(i) = n { u32::try_from(i + 1).ok() } else { None }).collect();
    chain.anchor_sent = chain.complete && path.nodes.len() > 1 && matches!(path.nodes.last(), Some(Node::Sent(_)));
    if let (End::Anchored, Some(last)) = (path.end, last) {
        chain.anchor = last.certificate.subject_name.clone();
        chain.anchor_fingerprint = last.certificate.fingerprint.clone();
    }
    (chain.path_not_before, chain.path_not_after) = path.validity;
    chain.violations = path.violations.iter().map(|(reason, _)| (*reason).to_string()).collect();
    chain.violations.sort();
    chain.violations.dedup();
    let violation = path.violations.first();
    let (trust, detail) = match (&chain.store_problem, path.end, violation, &path.unverified) {
        (Some(problem), ..) => ("store-unavailable", format!("the store can't be read: {problem}")),
        (None, End::Anchored, Some((reason, detail)), _) => (*reason, detail.clone()),
        (None, End::Anchored, None, Some(reason)) => ("signature-not-verifiable", reason.clone()),
        (None, End::Anchored, None, None) => ("trusted", format!("the path ends at {}", chain.anchor)),
        (None, End::SelfSigned, ..) if path.nodes.len() == 1 => {
            ("self-signed", format!("{} signed itself and is not in the store", subject(path.nodes.first())))
        }
        (None, End::SelfSigned, ..) => ("anchor-not-in-store", format!("the path ends at {}, which is not in the store", subject(path.nodes.last()))),
        (None, End::SignatureInvalid, ..) => ("signature-invalid", format!("the certificate of {issuer} did not sign {}", subject(path.nodes.last()))),
        (None, End::IssuerUnknown, ..) => {
            ("issuer-not-found", format!("{issuer}, which issued {}, was not sent and is not in the store", subject(path.nodes.last())))
        }
        (None, End::Limit, ..) => ("path-limit-reached", "there are more paths, or longer ones, than are looked at".into()),
    };
    chain.trust = trust.into();
    chain.trust_detail = detail;
}

fn order(chain: &mut Chain, search: &mut Search<'_>, count: usize) {
    chain.in_order = (1..count).all(|i| search.certifies(i, i - 1));
}

/// The part of each certificate, and those that have none.
fn roles(chain: &mut Chain, search: &mut Search<'_>, path: &Path) {
    let count = chain.certificates.len();
    let mut known: BTreeSet<usize> = path.nodes.iter().filter_map(|n| if let Node::Sent(i) = n { Some(*i) } else { None }).collect();
    let on_path = known.clone();
    let repeated =
        |i: usize, chain: &Chain| chain.certificates.iter().take(i).any(|c| Some(&c.fingerprint) == chain.certificates.get(i).map(|c| &c.fingerprint));
    let mut open: Vec<usize> = known.iter().copied().collect();
    while let Some(subject) = open.pop() {
        for issuer in 0..count {
            if !known.contains(&issuer) && !repeated(issuer, chain) && search.certifies(issuer, subject) {
                known.insert(issuer);
                open.push(issuer);
            }
        }
    }
    let last = if chain.anchor_sent { path.nodes.last().copied() } else { None };
    for i in 0..count {
        let role = match (i, on_path.contains(&i), known.contains(&i)) {
            (0, ..) => "leaf",
            (_, true, _) if last == Some(Node::Sent(i)) => "anchor",
            (_, true, _) => "intermediate",
            (_, false, true) => "alternate",
            (_, false, false) => "extra",
        };
        if role == "extra" {
            chain.extra.extend(u32::try_from(i + 1));
        }
        if let Some(certificate) = chain.certificates.get_mut(i) {
            certificate.role = role.into();
        }
    }
}

fn names(chain: &mut Chain, sent: &[Parsed], asked: &str) {
    let Some(leaf) = sent.first().filter(|_| !asked.is_empty()) else { return };
    let names = leaf.extensions.names.as_deref().unwrap_or_default();
    let matches = general_name::is_for(names, asked);
    let is_address = asked.parse::<std::net::IpAddr>().is_ok();
    let common = leaf.certificate.common_names.iter().any(|n| if is_address { n == asked } else { general_name::covers(n, asked) });
    chain.name_matches = Some(matches);
    chain.common_name_only = !matches && common;
}

/// What came beside the certificates.
fn handshake(chain: &mut Chain, shown: &Shown, search: &Search<'_>, path: &Path) {
    let Some(leaf) = search.certificate(Node::Sent(0)) else { return };
    chain.scts.clone_from(&leaf.extensions.scts);
    match shown.scts.as_deref().map(|bytes| sct::list(bytes, "tls")) {
        Some(Ok(scts)) => chain.scts.extend(scts),
        Some(Err(problem)) => chain.scts_problem = Some(problem.to_string()),
        None => {}
    }
    if let Some(response) = &shown.staple {
        let issuer = path.nodes.get(1).and_then(|n| search.certificate(*n)).or(leaf.certificate.self_signed.then_some(leaf));
        let (staple, scts) = ocsp::examine(response, leaf, issuer);
        chain.staple = Some(staple);
        chain.scts.extend(scts);
    }
}
