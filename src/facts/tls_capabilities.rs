//! What else each TLS endpoint has: suites, groups, signature schemes, features, and two old defects.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Document;
use super::tls::Endpoint as Surveyed;
use crate::model::fact::Source;
use crate::model::gap::{Gaps, reason};
use crate::model::policy::TLS_VERSIONS;
use crate::model::report::Cadence;
use crate::probe::tls::client_hello::{SSL2, SSL3, TLS13};
use crate::probe::tls::listing::{Ending, Listing};
use crate::probe::tls::plan::{self, Capabilities, Preference, Told};
use crate::probe::tls::{primes, registry};

/// Every endpoint on which TLS was spoken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TlsCapabilities {
    /// By subject.
    pub endpoints: Vec<Endpoint>,
}

impl Document for TlsCapabilities {
    const NAME: &'static str = "tls_capabilities";
    const TITLE: &'static str = "Suites, groups, signature schemes, features and defects of TLS endpoints";
    const CADENCE: Cadence = Cadence::Monthly;
}

/// One endpoint. A feature that was not or could not be told is `null` with a gap; one that the endpoint's versions do not
/// have is `null` without.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Endpoint {
    /// Subject of the endpoint in `tls`.
    pub subject: String,
    /// Bind scope of a local listener, else `remote`.
    pub scope: String,
    /// Name of the process behind a local listener; empty when unknown.
    pub process: String,
    /// Protocol of the upgrade, such as `smtp`; empty for direct TLS.
    pub starttls: String,
    /// Every suite of every version, in the order in which the server chose them.
    pub suites: Vec<Suite>,
    /// Lists that were not told to their end, such as `suites TLSv1.2`, `groups TLSv1.3`; each has a gap.
    pub cut: Vec<String>,
    /// Who chooses the suite, for versions with several.
    pub orders: Vec<Order>,
    /// Key exchange groups of TLS 1.3, and of the newest older version that has elliptic curves.
    pub groups: Vec<Group>,
    /// Signature schemes of the key exchange, TLS 1.2 and 1.3.
    pub schemes: Vec<Scheme>,
    /// Primes of the ephemeral Diffie-Hellman key exchange before TLS 1.3.
    pub primes: Vec<Prime>,
    /// Shortest RSA key that an export suite used, bits; 0: none was used.
    pub export_rsa_bits: u32,
    /// Protocols by ALPN (RFC 7301), in the order chosen.
    pub protocols: Vec<String>,
    /// TLS compression (RFC 3749) is used when offered.
    pub compression: bool,
    /// Renegotiation is tied to its connection (RFC 5746); `null` when only TLS 1.3 is spoken, which has none.
    pub secure_renegotiation: Option<bool>,
    /// A client may begin another handshake inside the first, TLS 1.2.
    pub client_renegotiation: Option<bool>,
    /// Extended master secret (RFC 7627), newest version before TLS 1.3.
    pub extended_master_secret: Option<bool>,
    /// Encrypt-then-MAC (RFC 7366); `null` when no CBC suite is there.
    pub encrypt_then_mac: Option<bool>,
    /// A fallback to an older version is refused (RFC 7507); `null` when only one version is spoken.
    pub fallback_signal: Option<bool>,
    /// Sessions of TLS 1.2 resume by their id.
    pub resumption_by_id: Option<bool>,
    /// Sessions of TLS 1.2 resume by a ticket (RFC 5077).
    pub resumption_by_ticket: Option<bool>,
    /// Tickets that TLS 1.3 gave after the handshake, as far as it was listened to; `null` when none was finished.
    pub tickets: Option<u32>,
    /// The heartbeat extension (RFC 6520) is taken up.
    pub heartbeat: bool,
    /// A heartbeat that claims more than it carries is answered (CVE-2014-0160).
    pub heartbleed: Option<bool>,
    /// ChangeCipherSpec is taken before keys were exchanged (CVE-2014-0224).
    pub ccs_injection: Option<bool>,
    /// What showed each of the features that were told, such as `heartbleed: heartbeat dropped without an answer`.
    pub evidence: Vec<String>,
    /// The endpoint.
    pub source: Source,
}

/// One suite of one version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Suite {
    /// `SSLv2` to `TLSv1.3`.
    pub version: String,
    /// IANA name, or `0x….`; SSL 2.0: the name of its cipher kind.
    pub name: String,
    /// Wire code; SSL 2.0: three bytes.
    pub code: u32,
}

/// Who chooses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// `SSLv3` to `TLSv1.3`.
    pub version: String,
    /// `server`, or `client`: what the client wants most is taken.
    pub by: String,
}

/// One group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// Version with which it was seen.
    pub version: String,
    /// IANA name, or `0x….`.
    pub name: String,
    /// Wire code.
    pub code: u32,
    /// Order of the curve, size of the prime, or category of the module, bits; 0 when not known.
    pub bits: u32,
}

/// One signature scheme.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scheme {
    /// Version with which it was seen.
    pub version: String,
    /// IANA name, or `0x….`.
    pub name: String,
    /// Wire code.
    pub code: u32,
}

/// A prime of Diffie-Hellman.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Prime {
    /// Size, bits.
    pub bits: u32,
    /// Name of a published group, such as `ffdhe2048`, `modp1024`; empty for others.
    pub name: String,
    /// SHA-256 of the prime, hexadecimal.
    pub fingerprint: String,
}

/// The fact of one endpoint; what was not told becomes gaps of its subject.
pub(super) fn endpoint(plan: &plan::Plan, capabilities: Option<&Capabilities>, surveyed: &Surveyed, gaps: &mut Gaps) -> Option<Endpoint> {
    let mut gather = Gather { subject: &surveyed.subject, place: &surveyed.source.place, gaps, cut: Vec::new(), evidence: Vec::new() };
    let Some(c) = capabilities else {
        let why = if plan.is_tls() { "the server counts handshakes that break off and would lock this host out" } else { "no version of TLS was accepted" };
        gather.gap("", why);
        return None;
    };
    let hello = c.hello.as_ref();
    let extension = |kind| hello.map(|h| h.extension(kind).is_some());
    gather.versions(surveyed);
    let orders = gather.orders(c);
    let (suites, groups, schemes) = (gather.suites(c), gather.groups(c), gather.schemes(c));
    if let Some(Ending::Cut(why)) = &c.protocols_end {
        gather.gap("protocols", why);
    }
    Some(Endpoint {
        subject: surveyed.subject.clone(),
        scope: surveyed.scope.clone(),
        process: surveyed.process.clone(),
        starttls: surveyed.starttls.clone(),
        suites,
        cut: gather.cut.clone(),
        orders,
        groups,
        schemes,
        primes: c.primes.iter().map(|p| prime(&p.prime)).collect(),
        export_rsa_bits: c.export_rsa_bits.unwrap_or(0),
        protocols: c.protocols.clone(),
        compression: hello.is_some_and(|h| h.compression != 0),
        secure_renegotiation: extension(0xff01),
        client_renegotiation: gather.told("client_renegotiation", &c.client_renegotiation),
        extended_master_secret: extension(23).filter(|_| hello.is_some_and(|h| h.version > SSL3)),
        encrypt_then_mac: c.encrypt_then_mac.as_ref().and_then(|t| gather.told("encrypt_then_mac", t)),
        fallback_signal: c.fallback_signal.as_ref().and_then(|t| gather.told("fallback_signal", t)),
        resumption_by_id: gather.told("resumption_by_id", &c.resumption_by_id),
        resumption_by_ticket: gather.told("resumption_by_ticket", &c.resumption_by_ticket),
        tickets: plan.tickets,
        heartbeat: extension(15).unwrap_or(false),
        heartbleed: gather.told("heartbleed", &c.heartbleed),
        ccs_injection: gather.told("ccs_injection", &c.early_change),
        evidence: gather.evidence,
        source: surveyed.source.clone(),
    })
}

/// Facts on the one hand, gaps and evidence on the other.
struct Gather<'a> {
    subject: &'a str,
    place: &'a str,
    gaps: &'a mut Gaps,
    cut: Vec<String>,
    evidence: Vec<String>,
}

impl Gather<'_> {
    fn gap(&mut self, field: &str, why: &str) {
        let path = if field.is_empty() { "endpoints".to_string() } else { format!("endpoints.{field}") };
        self.gaps.note(TlsCapabilities::NAME, &path, self.subject, reason::UNSUPPORTED, format!("{}: not tested: {why}", self.place), "");
    }

    fn told(&mut self, field: &str, told: &Told) -> Option<bool> {
        match told {
            Told::Yes(how) | Told::No(how) => {
                self.evidence.push(format!("{field}: {how}"));
                Some(matches!(told, Told::Yes(_)))
            }
            Told::Untold(why) => {
                self.gap(field, why);
                None
            }
        }
    }

    /// A list that was not told to its end is kept, with a gap.
    fn cut(&mut self, field: &str, version_code: u16, listing: &Listing) {
        if let Some(Ending::Cut(why)) = &listing.end {
            self.cut.push(format!("{field} {}", version(version_code)));
            self.gap(field, &format!("{} with {} of {field} found: {why}", version(version_code), listing.found.len()));
        }
    }

    /// What has no name can't be called strong.
    fn named(&mut self, field: &str, name: &str) {
        if name.starts_with("0x") {
            self.gap(field, &format!("{name} of {field} is in no registry that is known here"));
        }
    }

    /// Of a version that may be there nothing else is known.
    fn versions(&mut self, surveyed: &Surveyed) {
        for v in surveyed.versions.iter().filter(|v| v.is_doubtful(!surveyed.accepted.is_empty())) {
            self.gap("suites", &format!("{} was asked and the endpoint was {} {}", v.name, v.outcome, v.detail));
        }
    }

    fn orders(&mut self, c: &Capabilities) -> Vec<Order> {
        let mut out = Vec::new();
        for s in &c.suites {
            match s.preference {
                Some(preference) => out.push(Order { version: version(s.version), by: order(preference).into() }),
                None if s.listing.found.len() > 1 => {
                    self.gap("orders", &format!("{}: the suites found were offered in another order without an answer", version(s.version)))
                }
                None => {}
            }
        }
        out
    }

    fn suites(&mut self, c: &Capabilities) -> Vec<Suite> {
        let mut out = Vec::new();
        for s in &c.suites {
            self.cut("suites", s.version, &s.listing);
            if s.version == SSL2 {
                out.extend(s.kinds.iter().map(|(code, name)| Suite { version: version(SSL2), name: name.clone(), code: *code }));
                continue;
            }
            out.extend(s.listing.found.iter().map(|code| Suite { version: version(s.version), name: registry::suite(*code), code: u32::from(*code) }));
        }
        out.iter().for_each(|s| self.named("suites", &s.name));
        out
    }

    fn groups(&mut self, c: &Capabilities) -> Vec<Group> {
        let mut out = Vec::new();
        for (v, listing) in &c.groups {
            self.cut("groups", *v, listing);
            let group = |code: &u16| Group { version: version(*v), name: registry::group(*code), code: u32::from(*code), bits: registry::group_bits(*code) };
            out.extend(listing.found.iter().map(group));
        }
        out.iter().for_each(|g| self.named("groups", &g.name));
        out
    }

    fn schemes(&mut self, c: &Capabilities) -> Vec<Scheme> {
        let mut out = Vec::new();
        for (v, listing) in &c.schemes {
            // What a list of TLS 1.3 lacks, a handshake that can't be finished here lacks too.
            self.cut("schemes", *v, listing);
            out.extend(listing.found.iter().map(|code| Scheme { version: version(*v), name: registry::scheme(*code), code: u32::from(*code) }));
        }
        out.iter().for_each(|s| self.named("schemes", &s.name));
        out
    }
}

fn prime(prime: &[u8]) -> Prime {
    let fingerprint = ring::digest::digest(&ring::digest::SHA256, prime).as_ref().iter().map(|b| format!("{b:02x}")).collect();
    Prime { bits: crate::probe::tls::server_reply::bits(prime), name: primes::name(prime).into(), fingerprint }
}

const fn order(preference: Preference) -> &'static str {
    match preference {
        Preference::Server => "server",
        Preference::Client => "client",
    }
}

fn version(code: u16) -> String {
    debug_assert!(code <= TLS13);
    TLS_VERSIONS.iter().find(|v| v.1 == code).map_or_else(|| format!("0x{code:04x}"), |v| v.0.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::tls::client_hello::TLS12;
    use crate::probe::tls::plan::{Depth, Plan, Question};
    use crate::probe::tls::server_reply::Hello;

    #[test]
    fn what_was_not_told_to_its_end_is_named_and_a_gap() {
        let surveyed: Surveyed = serde_json::from_value(serde_json::json!({
            "subject": "192.0.2.1:443/tcp", "address": "192.0.2.1", "port": 443, "process": "", "scope": "remote", "starttls": "", "server_name": "",
            "outcome": "tls", "outcome_detail": "", "accepted": ["TLSv1.2"], "lowest_code": 771,
            "client_certificate_requested": null, "client_certificate_required": null,
            "versions": [
                {"name": "SSLv3", "code": 768, "outcome": "unreachable", "accepted": false, "suite": "", "detail": "connection refused", "bytes": ""},
                {"name": "TLSv1.0", "code": 769, "outcome": "silent", "accepted": false, "suite": "", "detail": "", "bytes": ""},
                {"name": "TLSv1.2", "code": 771, "outcome": "accepted", "accepted": true, "suite": "", "detail": "", "bytes": ""},
            ],
            "source": {"place": "tcp 192.0.2.1:443", "line": 0, "directive": ""}
        }))
        .unwrap();
        let plan = Plan::new(Question { depth: Depth::Full, server_name: String::new(), is_counted: false });
        let mut capabilities = Capabilities::new(&[(TLS12, Hello { version: TLS12, suite: 0xc02f, ..Hello::default() })], "");
        capabilities.cut("time was up");
        let mut gaps = Gaps::new();
        let endpoint = endpoint(&plan, Some(&capabilities), &surveyed, &mut gaps).unwrap();
        assert_eq!((endpoint.cut.as_slice(), endpoint.suites[0].name.as_str()), (&["suites TLSv1.2".to_string()][..], "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"));
        let gaps = gaps.into_sorted();
        let of_suites: Vec<&str> = gaps.iter().filter(|g| g.path == "endpoints.suites").map(|g| g.detail.as_str()).collect();
        for part in ["SSLv3 was asked and the endpoint was unreachable", "TLSv1.2 with 1 of suites found: time was up"] {
            assert!(of_suites.iter().any(|d| d.contains(part)), "{part}: {of_suites:?}");
        }
        assert!(!of_suites.iter().any(|d| d.contains("TLSv1.0")), "{of_suites:?}");

        let nameless = Capabilities::new(&[(TLS12, Hello { version: TLS12, suite: 0xfafa, ..Hello::default() })], "");
        let mut gaps = Gaps::new();
        super::endpoint(&plan, Some(&nameless), &surveyed, &mut gaps).unwrap();
        assert!(gaps.into_sorted().iter().any(|g| g.detail.contains("0xfafa of suites is in no registry")));
    }
}
