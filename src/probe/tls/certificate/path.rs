//! Paths from a leaf to a trust anchor (RFC 5280 section 6): every one that what was sent and the
//! store allow, within bounds, and what forbids them. Time is not looked at: facts tell when a path
//! is valid, rules judge it.

use std::collections::{BTreeMap, BTreeSet};

use super::Parsed;
use super::general_name::GeneralName;
use super::trust::Anchors;
use super::verify::Verified;

/// Longest path, certificates.
const LENGTH_LIMIT: usize = 10;
/// Most paths looked at.
const PATHS_LIMIT: usize = 64;
/// Most anchors of one name.
const SAME_NAME_LIMIT: usize = 8;
/// Most effort for signatures of one chain; 1 is about a tenth of a millisecond.
const EFFORT_LIMIT: u32 = 4_000;

/// One certificate of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Node {
    /// The server sent it, at this place.
    Sent(usize),
    /// It comes from the store.
    Anchor(usize),
}

/// How a path ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum End {
    /// A limit stopped the search.
    Limit,
    /// Nobody knows the issuer of its last certificate.
    IssuerUnknown,
    /// Somebody bears the issuer's name, but did not sign.
    SignatureInvalid,
    /// Its last certificate signed itself and is not in the store.
    SelfSigned,
    /// Its last certificate is in the store.
    Anchored,
}

/// A path, leaf first.
#[derive(Clone, Debug)]
pub(super) struct Path {
    pub nodes: Vec<Node>,
    pub end: End,
    /// Why one of its signatures could not be calculated.
    pub unverified: Option<String>,
    /// What forbids it: reason and the certificate that it is about.
    pub violations: Vec<(&'static str, String)>,
    /// Newest beginning and oldest end of validity, Unix seconds.
    pub validity: (i64, i64),
}

/// A search over what one endpoint sent.
pub(super) struct Search<'a> {
    sent: &'a [Parsed],
    store: Option<&'a Anchors>,
    fetched: Vec<Parsed>,
    by_name: BTreeMap<Vec<u8>, Vec<usize>>,
    checked: BTreeMap<(Node, Node), Verified>,
    effort: u32,
    found: Vec<Path>,
}

impl<'a> Search<'a> {
    pub fn new(sent: &'a [Parsed], store: Option<&'a Anchors>) -> Self {
        Self { sent, store, fetched: Vec::new(), by_name: BTreeMap::new(), checked: BTreeMap::new(), effort: 0, found: Vec::new() }
    }

    /// The best path from the first certificate: one that nothing forbids, that reaches the store,
    /// and that is valid longest; `None` when nothing was sent.
    pub fn best(&mut self) -> Option<Path> {
        if self.sent.is_empty() {
            return None;
        }
        self.extend(&mut vec![Node::Sent(0)], None);
        let found = std::mem::take(&mut self.found);
        found.into_iter().max_by_key(|path| {
            let sound = path.end == End::Anchored && path.violations.is_empty();
            // Of dead ends the one that leads farthest says most.
            let reach = if path.end >= End::SelfSigned { 0 } else { path.nodes.len() };
            (sound && path.unverified.is_none(), path.end, path.violations.is_empty(), path.unverified.is_none(), reach, path.validity.1)
        })
    }

    pub fn certificate(&self, node: Node) -> Option<&Parsed> {
        match node {
            Node::Sent(i) => self.sent.get(i),
            Node::Anchor(i) => self.fetched.get(i),
        }
    }

    /// Whether the certificate sent at `issuer` certifies the one sent at `subject`.
    pub fn certifies(&mut self, issuer: usize, subject: usize) -> bool {
        let names = self.sent.get(subject).zip(self.sent.get(issuer)).is_some_and(|(s, i)| s.issuer == i.subject);
        names && self.check(Node::Sent(subject), Node::Sent(issuer)) != Verified::Invalid
    }

    fn extend(&mut self, path: &mut Vec<Node>, unverified: Option<&str>) {
        let Some(last) = path.last().and_then(|n| self.certificate(*n)).cloned() else { return };
        let in_store = matches!(path.last(), Some(Node::Anchor(_))) || self.store.is_some_and(|s| s.holds(&last.der));
        if in_store {
            return self.record(path, End::Anchored, unverified);
        }
        if last.certificate.self_signed {
            self.record(path, End::SelfSigned, unverified);
        }
        if path.len() >= LENGTH_LIMIT {
            return self.record(path, End::Limit, unverified);
        }
        let (mut alive, mut forged) = (last.certificate.self_signed, false);
        for candidate in self.candidates(&last, path) {
            if self.found.len() >= PATHS_LIMIT || self.effort >= EFFORT_LIMIT {
                return self.record(path, End::Limit, unverified);
            }
            let subject = path.last().copied().unwrap_or(Node::Sent(0));
            match self.check(subject, candidate) {
                Verified::Invalid => forged |= self.certificate(candidate).is_some_and(|c| !last.names_another_key_than(c)),
                verified => {
                    alive = true;
                    let reason = if let Verified::Not(reason) = &verified { Some(reason.as_str()) } else { None };
                    path.push(candidate);
                    self.extend(path, unverified.or(reason));
                    path.pop();
                }
            }
        }
        if !alive {
            self.record(path, if forged { End::SignatureInvalid } else { End::IssuerUnknown }, unverified);
        }
    }

    /// Certificates that bear the issuer's name: of the store those that were not sent.
    fn candidates(&mut self, subject: &Parsed, path: &[Node]) -> Vec<Node> {
        let mut out: Vec<Node> = Vec::new();
        let mut seen: BTreeSet<&[u8]> =
            path.iter().filter_map(|n| if let Node::Sent(i) = n { self.sent.get(*i) } else { None }).map(|c| c.der.as_slice()).collect();
        for (i, certificate) in self.sent.iter().enumerate() {
            if certificate.subject == subject.issuer && seen.insert(&certificate.der) {
                out.push(Node::Sent(i));
            }
        }
        let sent = self.sent;
        out.extend(self.anchors_named(&subject.issuer).into_iter().filter(|n| self.certificate(*n).is_some_and(|a| sent.iter().all(|s| s.der != a.der))));
        out
    }

    fn anchors_named(&mut self, name: &[u8]) -> Vec<Node> {
        if !self.by_name.contains_key(name) {
            let anchors = self.store.map(|s| s.named(name)).unwrap_or_default();
            let first = self.fetched.len();
            self.fetched.extend(anchors.into_iter().take(SAME_NAME_LIMIT));
            self.by_name.insert(name.to_vec(), (first..self.fetched.len()).collect());
        }
        self.by_name.get(name).into_iter().flatten().map(|i| Node::Anchor(*i)).collect()
    }

    fn check(&mut self, subject: Node, issuer: Node) -> Verified {
        if let Some(verified) = self.checked.get(&(subject, issuer)) {
            return verified.clone();
        }
        let (Some(s), Some(i)) = (self.certificate(subject), self.certificate(issuer)) else {
            return Verified::Invalid;
        };
        let effort = effort(i);
        let verified = match self.effort + effort > EFFORT_LIMIT {
            true => Verified::Not("the signatures of this chain take longer than one endpoint may".into()),
            false => s.signed_by(i),
        };
        self.effort = self.effort.saturating_add(effort).min(EFFORT_LIMIT);
        self.checked.insert((subject, issuer), verified.clone());
        verified
    }

    fn record(&mut self, nodes: &[Node], end: End, unverified: Option<&str>) {
        let certificates: Vec<&Parsed> = nodes.iter().filter_map(|n| self.certificate(*n)).collect();
        let violations = violations(&certificates);
        let newest = certificates.iter().map(|c| c.certificate.not_before).max().unwrap_or(0);
        let oldest = certificates.iter().map(|c| c.certificate.not_after).min().unwrap_or(0);
        self.found.push(Path { nodes: nodes.to_vec(), end, unverified: unverified.map(Into::into), violations, validity: (newest, oldest) });
    }
}

/// What a check against this key costs, in tenths of a millisecond.
fn effort(issuer: &Parsed) -> u32 {
    let key = &issuer.certificate;
    match (key.key_kind.as_str(), key.key_curve.as_str()) {
        ("rsa", _) => {
            let factor = if key.key_exponent <= 65_537 && key.key_exponent != 0 { 1 } else { 4 };
            1 + factor * (key.key_bits / 1024).min(16).pow(2) / 4
        }
        ("ec", "P-256" | "P-384") | ("ed25519", _) => 2,
        ("dsa", _) => 20 + (key.key_bits / 1024).min(8).pow(2) * 4,
        _ => 100,
    }
}

/// What RFC 5280 section 6.1 forbids, time and trust apart. `path` goes from the leaf up.
fn violations(path: &[&Parsed]) -> Vec<(&'static str, String)> {
    let mut out = Vec::new();
    for (place, certificate) in path.iter().enumerate() {
        let mut note = |reason: &'static str, detail: String| out.push((reason, format!("{detail} ({})", certificate.certificate.subject_name)));
        let extensions = &certificate.extensions;
        if place > 0 {
            issuer(certificate, place + 1 == path.len(), path.get(1..place).unwrap_or_default(), &mut note);
        } else if let Some(problem) = not_for_servers(certificate) {
            note("not-for-servers", problem);
        }
        if let Some(oid) = extensions.unknown_critical.first() {
            note("unknown-critical-extension", format!("critical extension {oid} is unknown"));
        }
        if let Some(problem) = extensions.problems.first() {
            note("malformed", problem.clone());
        }
        for (below, subject) in path.iter().take(place).enumerate() {
            // Section 6.1.4 (b): names of self-issued certificates between are free.
            if below > 0 && subject.is_self_issued() {
                continue;
            }
            if let Some(name) = extensions.constraints.as_ref().and_then(|c| forbidden(c, subject)) {
                note("name-constraints-violated", format!("it forbids {name}"));
            }
        }
    }
    out
}

/// What keeps a certificate from certifying the one below it; `between` lies below it and above the leaf.
fn issuer(certificate: &Parsed, is_last: bool, between: &[&Parsed], note: &mut impl FnMut(&'static str, String)) {
    let extensions = &certificate.extensions;
    // Version 1 knows no authorities: as an anchor it stands for itself.
    let is_old_anchor = is_last && certificate.certificate.version < 3 && certificate.is_self_issued();
    if extensions.is_ca != Some(true) && !is_old_anchor {
        note("issuer-not-a-ca", "it is no certificate of an authority".into());
    }
    if extensions.key_usage.as_ref().is_some_and(|usage| !usage.iter().any(|u| u == "keyCertSign")) {
        note("key-usage-forbids", "its key usage lacks keyCertSign".into());
    }
    let depth = between.iter().filter(|c| !c.is_self_issued()).count();
    if extensions.path_length.is_some_and(|most| depth > usize::try_from(most).unwrap_or(usize::MAX)) {
        note("path-length-exceeded", format!("{depth} certificates of authorities lie below it"));
    }
    if extensions.extended_key_usage.as_ref().is_some_and(|purposes| !serves(purposes)) {
        note("issuer-not-for-servers", "its extended key usage lacks serverAuth".into());
    }
}

fn not_for_servers(leaf: &Parsed) -> Option<String> {
    if leaf.extensions.extended_key_usage.as_ref().is_some_and(|purposes| !serves(purposes)) {
        return Some("its extended key usage lacks serverAuth".into());
    }
    let usage = leaf.extensions.key_usage.as_ref()?;
    let fits = usage.iter().any(|u| matches!(u.as_str(), "digitalSignature" | "keyEncipherment" | "keyAgreement"));
    (!fits).then(|| "its key usage allows no handshake".into())
}

fn serves(purposes: &[String]) -> bool {
    purposes.iter().any(|p| matches!(p.as_str(), "serverAuth" | "anyExtendedKeyUsage" | "msSGC" | "nsSGC"))
}

fn forbidden(constraints: &super::constraints::Constraints, subject: &Parsed) -> Option<String> {
    let mut names = subject.extensions.names.clone().unwrap_or_default();
    if !subject.subject_raw.is_empty() {
        names.push(GeneralName::Directory(subject.subject_raw.clone()));
    }
    names.extend(subject.emails.iter().cloned().map(GeneralName::Email));
    constraints.forbidden(&names).map(|n| n.shown().unwrap_or_else(|| format!("the {} of {}", n.kind(), subject.certificate.subject_name)))
}
