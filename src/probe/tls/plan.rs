//! What to ask an endpoint next, and what its answers say: pure.
//!
//! A survey is a set of jobs of one connection each. [`Plan::jobs`] gives the jobs that can be asked now,
//! [`Plan::take`] folds an answer in; which order the answers come in makes no difference to the outcome.

mod capabilities;

use super::certificate::chain::Shown;
use super::client_hello::{Offer, SSL2, SSL3, TLS10, TLS12, TLS13};
use super::finisher::Renegotiation;
use super::registry;
use super::server_reply::{Hello, Reply, alert_name};
use crate::model::policy::TLS_VERSIONS;
use crate::probe::dial::{DialError, Stop};
use crate::probe::service::Seen;

pub use super::defects::Told;
pub use capabilities::{Capabilities, Preference, VersionSuites};

/// How much is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Depth {
    /// Versions and certificates.
    #[default]
    Narrow,
    /// And suites, groups, signature schemes, features and defects.
    Full,
}

/// What is known before the first question.
#[derive(Clone, Debug)]
pub struct Question {
    /// How much is asked.
    pub depth: Depth,
    /// Name for server name indication; empty for none.
    pub server_name: String,
    /// Whether the server counts handshakes that are not finished, and blocks who leaves too many.
    pub is_counted: bool,
}

/// Why a connection is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Purpose {
    /// Does it accept this version?
    Version(u16),
    /// A certificate of the other kind of key, RSA or elliptic curve.
    OtherKey,
    /// The certificate shown to who names no server.
    NoName,
    /// TLS 1.2 finished: what is spoken inside, tickets, whether a client certificate is required.
    Inside,
    /// The next suite of this version.
    Suite(u16),
    /// Does the server choose the suite, or the client?
    Order(u16),
    /// The next group of this version.
    Group(u16),
    /// The next signature scheme of this version.
    Scheme(u16),
    /// The next protocol of ALPN.
    Protocol,
    /// The prime of who offers none of RFC 7919.
    Parameters,
    /// Does it take up encrypt-then-MAC (RFC 7366)?
    EncryptThenMac,
    /// Does it refuse a fallback (RFC 7507)?
    Fallback,
    /// A session that is to be resumed by its id.
    Session,
    /// A session that is to be resumed by its ticket.
    Ticket,
    /// The session by its id.
    ResumeById,
    /// The session by its ticket.
    ResumeByTicket,
    /// A second handshake inside the first.
    Renegotiation,
    /// CVE-2014-0160.
    Heartbleed,
    /// CVE-2014-0224.
    EarlyChange,
    /// The same with a warning after it.
    ChangeAndWarning,
    /// The warning alone.
    Warning,
}

/// One connection: what is offered on it, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Why.
    pub purpose: Purpose,
    /// The hello.
    pub offer: Offer,
}

/// How a job ended.
#[derive(Clone, Debug)]
pub enum Answer {
    /// No connection.
    NoConnection(DialError),
    /// The upgrade to TLS did not come about.
    NoUpgrade(Stop),
    /// A reply to the hello, and its first bytes in hexadecimal.
    Reply(Reply, String),
    /// A handshake that was to be finished.
    Finished(Box<Finished>),
    /// A second handshake.
    Renegotiation(Result<Renegotiation, String>),
    /// A defect.
    Defect(Told),
}

/// What a handshake that was to be finished told.
#[derive(Clone, Debug)]
pub struct Finished {
    /// The first reply.
    pub reply: Reply,
    /// Its first bytes.
    pub head: String,
    /// The choice with its chain.
    pub hello: Option<Hello>,
    /// TLS 1.2: the ticket given.
    pub ticket: Option<Vec<u8>>,
    /// TLS 1.3: tickets given after it; `None` when it was not finished.
    pub tickets: Option<u32>,
    /// Whether the server went on without a client certificate; `None` when that was not seen.
    pub client_certificate_required: Option<bool>,
    /// What is spoken inside.
    pub inner: Option<Seen>,
    /// Why it did not end.
    pub problem: Option<String>,
}

/// Answer to the hello of one version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// Name of the version.
    pub name: &'static str,
    /// Its wire code.
    pub code: u16,
    /// `accepted`, `refused`, `closed`, `silent`, `plaintext`, `garbage`, `no-upgrade`, `unreachable`, `not-asked`.
    pub outcome: &'static str,
    /// Chosen suite, IANA name.
    pub suite: String,
    /// What decided.
    pub detail: String,
    /// First bytes of the reply, hexadecimal.
    pub bytes: String,
    /// Whether the server did answer, and not that the version is none of its own: it may mean the rest of the hello.
    is_vague: bool,
}

/// Everything known of one endpoint.
#[derive(Debug)]
pub struct Plan {
    question: Question,
    /// Answers by version, oldest first.
    pub versions: Vec<Version>,
    /// Distinct chains, the first one is shown to who asks with the name given.
    pub shown: Vec<Shown>,
    /// Whether a client certificate is asked for; `None` when no handshake got that far.
    pub client_certificate_requested: Option<bool>,
    /// Whether one is required; `None` when no handshake was finished.
    pub client_certificate_required: Option<bool>,
    /// TLS 1.3: tickets given after the handshake; `None` when none was finished.
    pub tickets: Option<u32>,
    /// What is spoken inside direct TLS.
    pub inner: Option<Seen>,
    /// Why a handshake was not finished.
    pub problems: Vec<String>,
    /// What a full survey tells.
    pub capabilities: Option<Capabilities>,
    hellos: Vec<(u16, Hello)>,
    has_started: bool,
    has_tried_again: bool,
    /// Whether hellos are bare: nothing else was accepted.
    is_bare: bool,
    has_certificates: bool,
    asked: Vec<Purpose>,
    pending: Vec<Purpose>,
}

impl Plan {
    /// Nothing asked yet.
    pub fn new(question: Question) -> Self {
        Self {
            question,
            versions: Vec::new(),
            shown: Vec::new(),
            client_certificate_requested: None,
            client_certificate_required: None,
            tickets: None,
            inner: None,
            problems: Vec::new(),
            capabilities: None,
            hellos: Vec::new(),
            has_started: false,
            has_tried_again: false,
            is_bare: false,
            has_certificates: false,
            asked: Vec::new(),
            pending: Vec::new(),
        }
    }

    /// Jobs that can be asked now; each is given once. None are left when nothing is pending either.
    pub fn jobs(&mut self) -> Vec<Job> {
        let mut jobs = Vec::new();
        if !self.has_started {
            self.has_started = true;
            let name = self.question.server_name.clone();
            jobs.extend(self.asked_versions().map(|(_, code)| Job { purpose: Purpose::Version(code), offer: Offer::of(code, &name) }));
        } else if self.are_versions_known() && !self.has_tried_again {
            self.has_tried_again = true;
            jobs.extend(self.second_tries());
            if jobs.is_empty() {
                return self.jobs();
            }
        } else if self.are_versions_known() && !self.pending.iter().any(|p| matches!(p, Purpose::Version(_))) {
            if !self.has_certificates {
                self.has_certificates = true;
                jobs.extend(self.more_certificates());
            }
            if self.question.depth == Depth::Full && !self.question.is_counted && self.highest().is_some() {
                let mut capabilities = self.capabilities.take().unwrap_or_else(|| Capabilities::new(&self.hellos, &self.question.server_name, self.is_bare));
                jobs.extend(capabilities.jobs(&self.pending));
                self.capabilities = Some(capabilities);
            }
        }
        let pending = jobs.iter().map(|j| j.purpose);
        self.pending.extend(pending);
        jobs
    }

    /// Folds one answer in.
    pub fn take(&mut self, job: &Job, answer: Answer) {
        self.pending.retain(|p| *p != job.purpose);
        self.asked.push(job.purpose);
        if let Answer::Finished(finished) = &answer {
            self.take_finished(job, finished);
        }
        if let Some(hello) = chosen(&answer).filter(|h| h.version == job.offer.version) {
            self.take_hello(hello, &job.offer.server_name);
        }
        match job.purpose {
            Purpose::Version(code) => self.take_version(code, answer, job.offer.is_bare),
            Purpose::OtherKey | Purpose::NoName | Purpose::Inside => {}
            _ => {
                if let Some(capabilities) = &mut self.capabilities {
                    capabilities.take(job, answer);
                }
            }
        }
    }

    /// Nothing more will be asked: why.
    pub fn cut(&mut self, why: &str) {
        for (name, code) in self.asked_versions().collect::<Vec<_>>() {
            if !self.versions.iter().any(|v| v.code == code) {
                self.versions.push(Version {
                    name,
                    code,
                    outcome: "not-asked",
                    suite: String::new(),
                    detail: why.into(),
                    bytes: String::new(),
                    is_vague: false,
                });
            }
        }
        self.versions.sort_by_key(|v| v.code);
        if let Some(capabilities) = &mut self.capabilities {
            capabilities.cut(why);
        }
    }

    /// Whether some version was accepted.
    pub fn is_tls(&self) -> bool {
        self.versions.iter().any(|v| v.outcome == "accepted")
    }

    /// `tls`, or why there is none, and what showed it: `refused` (no connection), `unreachable`, `plaintext`, `garbage`, `starttls-absent`,
    /// `alert` (to every version), `closed`, `silent`, `not-asked`.
    pub fn outcome(&self) -> (&'static str, String) {
        if self.is_tls() {
            return ("tls", String::new());
        }
        // What tells most comes first; one odd answer among refusals is not the reason.
        let reasons: [Reason; 9] = [
            ("plaintext", |v| v.outcome == "plaintext"),
            ("starttls-absent", |v| v.outcome == "no-upgrade" && v.detail == Stop::Malformed.to_string()),
            ("garbage", |v| v.outcome == "garbage"),
            ("alert", |v| v.outcome == "refused"),
            ("refused", |v| v.outcome == "unreachable" && v.detail == DialError::Refused.to_string()),
            ("unreachable", |v| v.outcome == "unreachable"),
            ("closed", |v| v.outcome == "closed" || (v.outcome == "no-upgrade" && v.detail == Stop::Closed.to_string())),
            ("silent", |v| v.outcome == "silent" || v.outcome == "no-upgrade"),
            ("not-asked", |_| true),
        ];
        let found = reasons.iter().find_map(|(name, is)| Some((*name, self.versions.iter().rev().find(|v| is(v))?.detail.clone())));
        found.unwrap_or(("not-asked", String::new()))
    }

    /// Whether an answer may owe to other connections at the same time: the job is asked again alone.
    pub fn is_doubtful(answer: &Answer) -> bool {
        match answer {
            Answer::NoConnection(_) | Answer::NoUpgrade(Stop::Closed | Stop::Silent) => true,
            Answer::Reply(reply, _) => matches!(reply, Reply::Closed | Reply::Silent(_)),
            Answer::Finished(finished) => matches!(finished.reply, Reply::Closed | Reply::Silent(_)),
            _ => false,
        }
    }

    /// The versions asked, oldest first. A server that counts unfinished handshakes is asked the four that
    /// its protocol ever had.
    fn asked_versions(&self) -> impl Iterator<Item = (&'static str, u16)> + use<> {
        let oldest = if self.question.is_counted { SSL3 + 1 } else { SSL2 };
        TLS_VERSIONS.into_iter().filter(move |v| v.1 >= oldest)
    }

    fn are_versions_known(&self) -> bool {
        self.asked_versions().all(|(_, code)| self.versions.iter().any(|v| v.code == code))
    }

    fn highest(&self) -> Option<u16> {
        self.versions.iter().filter(|v| v.outcome == "accepted").map(|v| v.code).max()
    }

    /// Versions that were refused without a word about the version are asked again, with suites that are seldom seen, and with
    /// nothing beside what every server must know. TLS 1.2 always, the others where no version was accepted at all.
    fn second_tries(&self) -> Vec<Job> {
        let mut jobs = Vec::new();
        if self.question.is_counted {
            return jobs;
        }
        for version in self.versions.iter().filter(|v| v.is_vague && v.code > SSL2 && (v.code == TLS12 || !self.is_tls())) {
            let offer = Offer::of(version.code, &self.question.server_name);
            let purpose = Purpose::Version(version.code);
            jobs.push(Job { purpose, offer: Offer { is_bare: true, heartbeat: false, ticket: None, ..offer.clone() } });
            if version.code < TLS13 {
                let rare = registry::rare_suites();
                jobs.extend(rare.chunks(128).map(|suites| Job { purpose, offer: Offer { suites: suites.to_vec(), ..offer.clone() } }));
            }
        }
        jobs
    }

    fn has(&self, version: u16) -> bool {
        self.versions.iter().any(|v| v.code == version && v.outcome == "accepted")
    }

    /// The chain of the other kind of key, the one without a name, and TLS 1.2 to its end where there is no 1.3.
    fn more_certificates(&self) -> Vec<Job> {
        let name = self.question.server_name.as_str();
        let mut jobs = Vec::new();
        if self.question.is_counted {
            return jobs;
        }
        if let Some(offer) = self.other_key(name) {
            jobs.push(Job { purpose: Purpose::OtherKey, offer });
        }
        let version = if self.has(TLS12) { Some(TLS12) } else { self.highest().filter(|v| *v > SSL3) };
        if let Some(version) = version.filter(|_| !name.is_empty() && name.parse::<std::net::IpAddr>().is_err()) {
            jobs.push(Job { purpose: Purpose::NoName, offer: Offer::of(version, "") });
        }
        if !self.has(TLS13) && self.has(TLS12) {
            jobs.push(Job { purpose: Purpose::Inside, offer: Offer::of(TLS12, name) });
        }
        jobs
    }

    /// An offer that only a certificate of the other kind can meet.
    fn other_key(&self, name: &str) -> Option<Offer> {
        let hello = |version| self.hellos.iter().find(|h| h.0 == version).map(|h| &h.1);
        if let Some(hello) = hello(TLS12) {
            let exchange = registry::key_exchange(hello.suite);
            let is_other: fn(&str) -> bool = if exchange.contains("ECDSA") { |e| e.ends_with("RSA") && !e.contains("PSK") } else { |e| e.contains("ECDSA") };
            let mut offer = Offer::of(TLS12, name);
            offer.suites.retain(|s| is_other(&registry::key_exchange(*s)));
            return (!hello.chain.is_empty()).then_some(offer);
        }
        let scheme = hello(TLS13)?.scheme?;
        let mut offer = Offer { is_any_certificate: true, ..Offer::of(TLS13, name) };
        offer.schemes.retain(|s| is_rsa(*s) != is_rsa(scheme));
        Some(offer)
    }

    fn take_finished(&mut self, job: &Job, finished: &Finished) {
        self.client_certificate_required = self.client_certificate_required.or(finished.client_certificate_required);
        self.tickets = self.tickets.max(finished.tickets);
        if self.inner.is_none() {
            self.inner.clone_from(&finished.inner);
        }
        if let (Some(problem), Purpose::Version(_) | Purpose::Inside) = (&finished.problem, job.purpose) {
            self.problems.push(problem.clone());
        }
    }

    fn take_hello(&mut self, hello: &Hello, server_name: &str) {
        if hello.client_certificate_requested.is_some() {
            self.client_certificate_requested = Some(self.client_certificate_requested == Some(true) || hello.client_certificate_requested == Some(true));
        }
        let scts = hello.extension(18).map(<[u8]>::to_vec).filter(|s| !s.is_empty());
        let is_known = |s: &&mut Shown| s.certificates == hello.chain && (s.server_name == server_name || server_name.is_empty());
        if let Some(known) = self.shown.iter_mut().find(is_known) {
            // SSL 3.0 shows the chain without what comes with it.
            known.staple = known.staple.take().or_else(|| hello.staple.clone());
            known.staple_asked |= hello.version >= TLS10;
            known.scts = known.scts.take().or(scts);
            return;
        }
        if hello.chain.is_empty() {
            return;
        }
        self.shown.push(Shown {
            certificates: hello.chain.clone(),
            staple: hello.staple.clone(),
            staple_asked: hello.version >= TLS10,
            scts,
            server_name: server_name.into(),
        });
    }

    fn take_version(&mut self, code: u16, answer: Answer, is_bare: bool) {
        let name = TLS_VERSIONS.iter().find(|v| v.1 == code).map_or("", |v| v.0);
        let hello = chosen(&answer).cloned();
        let (reply, bytes) = match answer {
            Answer::NoConnection(e @ DialError::Closed) => (Err(("closed", e.to_string())), String::new()),
            Answer::NoConnection(e) => (Err(("unreachable", e.to_string())), String::new()),
            Answer::NoUpgrade(stop) => (Err(("no-upgrade", stop.to_string())), String::new()),
            Answer::Reply(reply, head) => (Ok(reply), head),
            Answer::Finished(finished) => (Ok(finished.reply), finished.head),
            Answer::Renegotiation(_) | Answer::Defect(_) => return,
        };
        // protocol_version tells, handshake_failure and the like may mean anything.
        let is_vague = match &reply {
            Ok(Reply::Alert(description)) => *description != PROTOCOL_VERSION,
            Ok(Reply::Closed) => true,
            _ => false,
        };
        let (outcome, suite, detail) = match reply {
            Ok(reply) => judged(code, reply),
            Err((outcome, detail)) => (outcome, String::new(), detail),
        };
        // Of several tries the one that succeeds counts, else the first.
        if self.versions.iter().any(|v| v.code == code && (outcome != "accepted" || v.outcome == "accepted")) {
            return;
        }
        if let Some(hello) = hello.filter(|h| h.version == code) {
            self.is_bare |= is_bare;
            self.hellos.push((code, hello));
        }
        self.versions.retain(|v| v.code != code);
        self.versions.push(Version { name, code, outcome, suite, detail, bytes, is_vague });
        self.versions.sort_by_key(|v| v.code);
    }
}

/// Alert protocol_version (RFC 8446 section 6.2).
const PROTOCOL_VERSION: u8 = 70;

/// Why there is no TLS, and the answers that say so.
type Reason = (&'static str, fn(&Version) -> bool);

/// Whether a signature scheme is of an RSA key.
fn is_rsa(scheme: u16) -> bool {
    registry::scheme(scheme).contains("rsa")
}

/// The choice that an answer holds.
fn chosen(answer: &Answer) -> Option<&Hello> {
    match answer {
        Answer::Reply(Reply::Hello(hello), _) => Some(hello),
        Answer::Finished(finished) => match (&finished.hello, &finished.reply) {
            (Some(hello), _) => Some(hello),
            (None, Reply::Hello(hello)) => Some(hello),
            _ => None,
        },
        _ => None,
    }
}

fn judged(code: u16, reply: Reply) -> (&'static str, String, String) {
    match reply {
        Reply::Hello(hello) if hello.version == code => {
            let suite = if code == SSL2 { String::new() } else { registry::suite(hello.suite) };
            let kind = if hello.is_retry { "HelloRetryRequest" } else { "ServerHello" };
            ("accepted", suite, kind.into())
        }
        Reply::Hello(hello) => ("refused", String::new(), format!("ServerHello of version 0x{:04x}", hello.version)),
        Reply::Alert(description) => ("refused", String::new(), alert_name(description)),
        Reply::Closed => ("closed", String::new(), "connection closed without an answer".into()),
        Reply::Silent(detail) => ("silent", String::new(), detail),
        Reply::Plaintext(text) => ("plaintext", String::new(), text),
        Reply::Garbage(bytes) => ("garbage", String::new(), bytes),
    }
}
