//! The second half of a full survey: lists, features and defects of an endpoint whose versions are known.

use super::super::client_hello::{Offer, SSL2, SSL3, TLS12, TLS13, random};
use super::super::defects::{HUNG_UP_LATER, Told};
use super::super::finisher::Renegotiation;
use super::super::listing::{Choice, Ending, Listing};
use super::super::registry;
use super::super::schedule::FINISHED12;
use super::super::server_reply::{Hello, KeyExchange, Reply, alert_name};
use super::{Answer, Job, Purpose, chosen};

/// Protocols offered by ALPN (IANA "TLS ALPN Protocol IDs"): what servers of the kinds examined here speak.
const PROTOCOLS: &[&str] = &[
    "h2",
    "http/1.1",
    "http/1.0",
    "http/0.9",
    "spdy/3.1",
    "spdy/3",
    "spdy/2",
    "postgresql",
    "imap",
    "pop3",
    "ftp",
    "managesieve",
    "xmpp-client",
    "xmpp-server",
    "dot",
    "mqtt",
    "ntske/1",
    "acme-tls/1",
];
/// inappropriate_fallback (RFC 7507).
const INAPPROPRIATE_FALLBACK: u8 = 86;

/// Who chooses the suite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preference {
    /// The server follows an order of its own.
    Server,
    /// The server takes what the client wants most.
    Client,
}

/// Suites of one version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionSuites {
    /// Wire code of the version.
    pub version: u16,
    /// Codes in the order in which the server chose them.
    pub listing: Listing,
    /// SSL 2.0: codes and names of the kinds.
    pub kinds: Vec<(u32, String)>,
    /// Who chooses; `None` with fewer than two suites or without an answer.
    pub preference: Option<Preference>,
    has_rare: bool,
}

/// A prime group that was used (RFC 5246).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Prime {
    /// The prime, big-endian, without leading zeros.
    pub prime: Vec<u8>,
}

/// What a full survey tells beside versions and certificates.
#[derive(Debug)]
pub struct Capabilities {
    server_name: String,
    is_bare: bool,
    is_beside: bool,
    /// Suites by version, oldest first.
    pub suites: Vec<VersionSuites>,
    /// Groups of TLS 1.3, and of the newest older version that has elliptic curves.
    pub groups: Vec<(u16, Listing)>,
    /// Signature schemes of TLS 1.2 and 1.3.
    pub schemes: Vec<(u16, Listing)>,
    /// Protocols of ALPN, in the order chosen.
    pub protocols: Vec<String>,
    /// How that list ended; `None` while it goes on.
    pub protocols_end: Option<Ending>,
    /// Primes of the key exchange.
    pub primes: Vec<Prime>,
    /// Shortest RSA key of an export suite, bits.
    pub export_rsa_bits: Option<u32>,
    /// RFC 7366; `None` when no suite with a MAC of its own is there.
    pub encrypt_then_mac: Option<Told>,
    /// RFC 7507; `None` with a single version.
    pub fallback_signal: Option<Told>,
    /// Sessions of TLS 1.2 resume by their id.
    pub resumption_by_id: Told,
    /// Sessions of TLS 1.2 resume by a ticket (RFC 5077).
    pub resumption_by_ticket: Told,
    /// A client may begin another handshake.
    pub client_renegotiation: Told,
    /// CVE-2014-0160.
    pub heartbleed: Told,
    /// CVE-2014-0224.
    pub early_change: Told,
    /// Hello of the newest accepted version before TLS 1.3: its extensions and compression are features.
    pub hello: Option<Hello>,
    fallbacks_closed: u8,
    after_change: Option<Told>,
    after_warning: Option<Told>,
    versions: Vec<u16>,
    planned: Vec<Purpose>,
    session_id: Vec<u8>,
    ticket: Vec<u8>,
}

impl Capabilities {
    /// From the choices of every accepted version.
    pub fn new(hellos: &[(u16, Hello)], server_name: &str, is_bare: bool) -> Self {
        let mut hellos = hellos.to_vec();
        hellos.sort_by_key(|h| h.0);
        let versions: Vec<u16> = hellos.iter().map(|h| h.0).collect();
        let newest = hellos.iter().rev().find(|h| h.0 < TLS13 && h.0 > SSL2).map(|h| h.1.clone());
        let no_older = || match newest {
            Some(_) => Told::Untold("not asked yet".into()),
            None => Told::No("none of SSL 3.0 to TLS 1.2 is spoken".into()),
        };
        let mut groups = Vec::new();
        let mut schemes = Vec::new();
        if let Some((_, hello)) = hellos.iter().find(|h| h.0 == TLS13) {
            groups.push((TLS13, Listing::new(registry::GROUPS13, hello.group())));
            schemes.push((TLS13, Listing::new(registry::SCHEMES, hello.scheme)));
        }
        let mut this = Self {
            server_name: server_name.into(),
            is_bare,
            is_beside: false,
            fallbacks_closed: 0,
            after_change: None,
            after_warning: None,
            suites: hellos.iter().map(|(version, hello)| VersionSuites::new(*version, hello)).collect(),
            groups,
            schemes,
            protocols: Vec::new(),
            protocols_end: None,
            primes: Vec::new(),
            export_rsa_bits: None,
            encrypt_then_mac: None,
            fallback_signal: None,
            resumption_by_id: no_older(),
            resumption_by_ticket: no_older(),
            client_renegotiation: no_older(),
            heartbleed: no_older(),
            early_change: no_older(),
            hello: newest,
            versions,
            planned: Vec::new(),
            session_id: Vec::new(),
            ticket: Vec::new(),
        };
        for (_, hello) in &hellos {
            this.note(hello);
        }
        this
    }

    /// Jobs that can be asked now, beside those that are `pending`.
    pub fn jobs(&mut self, pending: &[Purpose]) -> Vec<Job> {
        let mut jobs = Vec::new();
        self.offer_rare_suites();
        self.plan_suites(&mut jobs);
        self.plan_lists(&mut jobs);
        self.plan_features(&mut jobs);
        jobs.retain(|j| !pending.contains(&j.purpose));
        // Lists are asked until they end, everything else once.
        jobs.retain(|j| is_list(j.purpose) || !self.planned.contains(&j.purpose));
        self.planned.extend(jobs.iter().map(|j| j.purpose).filter(|p| !is_list(*p)));
        jobs
    }

    /// Folds an answer in.
    pub fn take(&mut self, job: &Job, answer: Answer) {
        if let Some(hello) = chosen(&answer).cloned() {
            self.note(&hello);
        }
        match job.purpose {
            Purpose::Suite(version) => {
                let choice = choice(&answer, version, |h| Some(h.suite));
                if let Some(suites) = self.suites.iter_mut().find(|s| s.version == version) {
                    suites.listing.take(choice);
                }
            }
            Purpose::Order(version) => self.take_order(job, version, &answer),
            Purpose::Group(version) => take_list(&mut self.groups, version, choice(&answer, version, Hello::group)),
            Purpose::Scheme(version) => take_list(&mut self.schemes, version, choice(&answer, version, |h| h.scheme)),
            Purpose::Protocol => self.take_protocol(&answer),
            Purpose::EncryptThenMac => self.encrypt_then_mac = Some(has(&answer, |h| h.extension(22).is_some())),
            Purpose::Fallback => self.take_fallback(&answer),
            Purpose::Session => self.take_session(&answer),
            Purpose::ResumeById => self.resumption_by_id = has(&answer, |h| h.session_id == job.offer.session_id),
            Purpose::ResumeByTicket => self.resumption_by_ticket = has(&answer, |h| h.session_id == job.offer.session_id),
            Purpose::Renegotiation => self.client_renegotiation = renegotiation(answer),
            Purpose::Heartbleed => self.heartbleed = defect(answer),
            Purpose::EarlyChange => self.early_change = defect(answer),
            Purpose::ChangeAndWarning => {
                self.after_change = Some(defect(answer));
                self.conclude_change();
            }
            Purpose::Warning => {
                self.after_warning = Some(defect(answer));
                self.conclude_change();
            }
            Purpose::Ticket => self.take_ticket(&answer),
            // What it shows is noted already; servers without parameters of their own refuse.
            Purpose::Parameters => {}
            Purpose::Version(_) | Purpose::OtherKey | Purpose::NoName | Purpose::Inside => {}
        }
    }

    /// Nothing more will be asked: why.
    pub fn cut(&mut self, why: &str) {
        let lists = self.suites.iter_mut().map(|s| &mut s.listing);
        let lists = lists.chain(self.groups.iter_mut().chain(&mut self.schemes).map(|l| &mut l.1));
        lists.for_each(|l| l.cut(why));
        self.protocols_end.get_or_insert_with(|| Ending::Cut(why.into()));
        let untold = || Told::Untold(why.into());
        let features =
            [&mut self.resumption_by_id, &mut self.resumption_by_ticket, &mut self.client_renegotiation, &mut self.heartbleed, &mut self.early_change];
        for feature in features {
            if matches!(feature, Told::Untold(_)) {
                *feature = untold();
            }
        }
    }

    /// What every choice may show.
    fn note(&mut self, hello: &Hello) {
        match &hello.key_exchange {
            Some(KeyExchange::Prime { prime }) => {
                let prime = Prime { prime: prime.clone() };
                if let Err(at) = self.primes.binary_search(&prime) {
                    self.primes.insert(at, prime);
                }
            }
            Some(KeyExchange::Rsa { bits }) => self.export_rsa_bits = Some(self.export_rsa_bits.map_or(*bits, |b| b.min(*bits))),
            Some(KeyExchange::Curve { .. } | KeyExchange::ExplicitCurve) | None => {}
        }
    }

    /// After the common suites, the rare ones: all of them with the newest version, then what was found of them.
    fn offer_rare_suites(&mut self) {
        let Some(newest) = self.suites.iter().rposition(|s| s.version < TLS13) else {
            return;
        };
        let is_complete = |s: &VersionSuites| s.listing.end == Some(Ending::Complete);
        let rare = registry::rare_suites();
        if let Some(suites) = self.suites.get_mut(newest)
            && is_complete(suites)
            && !suites.has_rare
        {
            suites.has_rare = true;
            suites.listing.extend(&rare);
        }
        let Some(found) = self.suites.get(newest).filter(|s| s.has_rare && s.listing.end.is_some()).map(|s| s.listing.found.clone()) else {
            return;
        };
        let found: Vec<u16> = found.into_iter().filter(|c| rare.contains(c)).collect();
        for suites in self.suites.iter_mut().take(newest).filter(|s| s.version > SSL2) {
            if is_complete(suites) && !suites.has_rare {
                suites.has_rare = true;
                if !found.is_empty() {
                    suites.listing.extend(&found);
                }
            }
        }
    }

    fn offer(&self, version: u16) -> Offer {
        Offer { is_bare: self.is_bare, ..Offer::of(version, &self.server_name) }
    }

    /// An offer that surely has a suite in common with the server: the one that it chose comes first.
    fn common(&self, version: u16) -> Offer {
        let mut offer = self.offer(version);
        let found = self.found(version, |_| true);
        offer.suites = found.iter().chain(offer.suites.iter().filter(|s| !found.contains(s))).take(128).copied().collect();
        offer
    }

    fn plan_suites(&self, jobs: &mut Vec<Job>) {
        for suites in &self.suites {
            let version = suites.version;
            if let Some(left) = suites.listing.offer() {
                jobs.push(Job { purpose: Purpose::Suite(version), offer: Offer { suites: left, ..self.offer(version) } });
            } else if suites.listing.end == Some(Ending::Complete) && (suites.listing.found.len() > 1 || suites.listing.is_to_be_confirmed()) {
                let offer = Offer { suites: otherwise(&suites.listing.found), ..self.offer(version) };
                jobs.push(Job { purpose: Purpose::Order(version), offer });
            }
        }
    }

    fn plan_lists(&mut self, jobs: &mut Vec<Job>) {
        self.begin_lists();
        self.ask_beside();
        for (version, listing) in &self.groups {
            if let Some(left) = listing.offer() {
                let mut offer = Offer { groups: left, ..self.offer(*version) };
                if *version < TLS13 {
                    offer.suites = self.found(*version, has_curve);
                    // The curve of a certificate is wanted beside the one of the key exchange (RFC 8422 section 5.1).
                    if self.is_beside {
                        offer.groups.extend(&listing.found);
                    }
                }
                jobs.push(Job { purpose: Purpose::Group(*version), offer });
            }
        }
        for (version, listing) in &self.schemes {
            if let Some(left) = listing.offer() {
                let mut offer = Offer { schemes: left, is_any_certificate: true, ..self.offer(*version) };
                if *version < TLS13 {
                    offer.suites = self.found(*version, is_signed);
                }
                jobs.push(Job { purpose: Purpose::Scheme(*version), offer });
            }
        }
        if self.protocols_end.is_none() {
            let version = if self.versions.contains(&TLS12) { Some(TLS12) } else { self.versions.iter().copied().max().filter(|v| *v > SSL3) };
            match version {
                Some(version) => {
                    let left = PROTOCOLS.iter().filter(|p| !self.protocols.iter().any(|f| f == *p)).map(ToString::to_string).collect();
                    jobs.push(Job { purpose: Purpose::Protocol, offer: Offer { protocols: left, ..self.offer(version) } });
                }
                None => self.protocols_end = Some(Ending::Complete),
            }
        }
    }

    /// An ECDSA certificate keeps other groups out of sight once its own curve is left out: the rest is offered again before what
    /// was found. A server that prefers what was found shows no more.
    fn ask_beside(&mut self) {
        let Some(version) = self.groups.iter().find(|g| g.0 < TLS13 && g.1.end == Some(Ending::Complete)).map(|g| g.0) else {
            return;
        };
        if self.is_beside || self.found(version, |e| e.contains("ECDSA")).is_empty() {
            return;
        }
        self.is_beside = true;
        if let Some((_, listing)) = self.groups.iter_mut().find(|g| g.0 == version) {
            listing.extend(registry::GROUPS12);
        }
    }

    /// Lists that rest on the suites of an older version begin when those are known.
    fn begin_lists(&mut self) {
        let older: Vec<u16> = self.versions.iter().rev().copied().filter(|v| *v < TLS13 && *v > SSL3).collect();
        if !older.iter().all(|v| self.is_known(*v)) {
            return;
        }
        if !self.groups.iter().any(|g| g.0 < TLS13)
            && let Some(version) = older.iter().copied().find(|v| !self.found(*v, has_curve).is_empty())
        {
            self.groups.push((version, Listing::new(registry::GROUPS12, None)));
        }
        if !self.schemes.iter().any(|s| s.0 == TLS12) && older.contains(&TLS12) && !self.found(TLS12, is_signed).is_empty() {
            self.schemes.push((TLS12, Listing::new(registry::SCHEMES, None)));
        }
    }

    fn is_known(&self, version: u16) -> bool {
        self.suites.iter().any(|s| s.version == version && s.listing.end.is_some() && (s.has_rare || s.listing.end != Some(Ending::Complete)))
    }

    /// Found suites of a version whose key exchange is as wanted.
    fn found(&self, version: u16, wanted: impl Fn(&str) -> bool) -> Vec<u16> {
        let suites = self.suites.iter().find(|s| s.version == version);
        let found = suites.map(|s| s.listing.found.clone()).unwrap_or_default();
        found.into_iter().filter(|c| wanted(&registry::key_exchange(*c))).collect()
    }

    fn plan_features(&mut self, jobs: &mut Vec<Job>) {
        let Some(newest) = self.versions.iter().rev().copied().find(|v| *v < TLS13 && *v > SSL2) else {
            return;
        };
        let ask = |purpose, offer| Job { purpose, offer };
        let below = self.versions.iter().rev().nth(1).copied().filter(|v| *v > SSL2);
        if let Some(version) = below {
            jobs.push(ask(Purpose::Fallback, Offer { fallback: true, ..self.offer(version) }));
        }
        if newest > SSL3 {
            jobs.push(ask(Purpose::Heartbleed, self.common(newest)));
        } else {
            self.heartbleed = Told::Untold("SSL 3.0 has no extension by which heartbeats are agreed on".into());
        }
        jobs.push(ask(Purpose::EarlyChange, self.common(newest)));
        if self.early_change == Told::Untold(HUNG_UP_LATER.into()) {
            jobs.push(ask(Purpose::ChangeAndWarning, self.common(newest)));
            jobs.push(ask(Purpose::Warning, self.common(newest)));
        }
        if !self.is_known(newest) {
            return;
        }
        let chained: Vec<u16> = self.found(newest, |_| true).into_iter().filter(|c| registry::suite(*c).contains("_CBC_")).collect();
        if newest > SSL3 && !chained.is_empty() {
            jobs.push(ask(Purpose::EncryptThenMac, Offer { suites: chained, ..self.offer(newest) }));
        }
        let primes = self.found(newest, |e| e.starts_with("DHE") || e.starts_with("DH_anon"));
        if !primes.is_empty() {
            let mut offer = Offer { suites: primes, ..self.offer(newest) };
            offer.groups.retain(|g| !registry::is_prime(*g));
            jobs.push(ask(Purpose::Parameters, offer));
        }
        self.plan_sessions(jobs);
    }

    fn plan_sessions(&mut self, jobs: &mut Vec<Job>) {
        let ended: Vec<u16> = self.found(TLS12, |_| true).into_iter().filter(|c| FINISHED12.contains(c)).collect();
        if ended.is_empty() {
            let why = Told::Untold("no suite of TLS 1.2 with ECDHE and AES-GCM or ChaCha20, which alone is finished here".into());
            for feature in [&mut self.resumption_by_id, &mut self.resumption_by_ticket, &mut self.client_renegotiation] {
                *feature = why.clone();
            }
            return;
        }
        let offer = |this: &Self| Offer { suites: ended.clone(), ..this.offer(TLS12) };
        jobs.push(Job { purpose: Purpose::Session, offer: Offer { ticket: None, ..offer(self) } });
        jobs.push(Job { purpose: Purpose::Ticket, offer: offer(self) });
        jobs.push(Job { purpose: Purpose::Renegotiation, offer: offer(self) });
        if !self.session_id.is_empty() {
            jobs.push(Job { purpose: Purpose::ResumeById, offer: Offer { ticket: None, session_id: self.session_id.clone(), ..offer(self) } });
        }
        if !self.ticket.is_empty() {
            // RFC 5077 section 3.4: a server that takes the ticket echoes the id that we made up.
            let offer = Offer { ticket: Some(self.ticket.clone()), session_id: random::<32>().to_vec(), ..offer(self) };
            jobs.push(Job { purpose: Purpose::ResumeByTicket, offer });
        }
    }

    fn take_order(&mut self, job: &Job, version: u16, answer: &Answer) {
        let Some(suites) = self.suites.iter_mut().find(|s| s.version == version) else {
            return;
        };
        match chosen(answer).filter(|h| h.version == version) {
            Some(hello) if suites.listing.found.len() > 1 => {
                let is_ours = job.offer.suites.first() == Some(&hello.suite);
                suites.preference = Some(if is_ours { Preference::Client } else { Preference::Server });
            }
            Some(_) => {}
            None => suites.listing.refute("the server stopped to answer"),
        }
    }

    /// Some servers hang up before their alert is sent; without the signal they took the same hello.
    fn take_fallback(&mut self, answer: &Answer) {
        if matches!(answer, Answer::Reply(Reply::Closed, _)) {
            self.fallbacks_closed += 1;
            if self.fallbacks_closed < 2 {
                self.planned.retain(|p| *p != Purpose::Fallback);
                return;
            }
            self.fallback_signal = Some(Told::Yes("closed, twice".into()));
            return;
        }
        self.fallback_signal = Some(fallback(answer));
    }

    /// A server that bears a warning in clear, and no longer after an early ChangeCipherSpec, took the latter.
    fn conclude_change(&mut self) {
        self.early_change = match (&self.after_change, &self.after_warning) {
            (Some(Told::Yes(_)), Some(Told::No(_))) => {
                Told::Yes("an early ChangeCipherSpec was taken: a warning in clear ends the connection after it only".into())
            }
            (Some(Told::No(_)), Some(_)) => Told::No("an early ChangeCipherSpec changes nothing".into()),
            (Some(_), Some(_)) => Told::Untold("the server hangs up at a warning, with or without an early ChangeCipherSpec".into()),
            _ => return,
        };
    }

    fn take_protocol(&mut self, answer: &Answer) {
        let hello = match answer {
            // Without any answer the list goes on once more.
            Answer::NoConnection(_) | Answer::NoUpgrade(_) | Answer::Reply(Reply::Silent(_) | Reply::Closed, _) => {
                let why = "the server did not answer".to_string();
                self.protocols_end = Some(Ending::Cut(why));
                return;
            }
            answer => chosen(answer),
        };
        match hello.and_then(Hello::protocol) {
            Some(name) if !self.protocols.contains(&name) && self.protocols.len() < PROTOCOLS.len() => self.protocols.push(name),
            // TLS 1.3 answers ALPN where only a finished handshake shows it.
            None if hello.is_some_and(|h| h.version == TLS13 && h.chain.is_empty()) => {
                self.protocols_end = Some(Ending::Cut("the handshake could not be finished".into()));
            }
            _ => self.protocols_end = Some(Ending::Complete),
        }
    }

    fn take_session(&mut self, answer: &Answer) {
        let Answer::Finished(finished) = answer else {
            self.resumption_by_id = Told::Untold("no handshake was finished".into());
            return;
        };
        match (&finished.hello, &finished.problem) {
            (Some(hello), None) if hello.session_id.is_empty() => self.resumption_by_id = Told::No("the server names no session".into()),
            (Some(hello), None) => self.session_id.clone_from(&hello.session_id),
            (_, problem) => self.resumption_by_id = Told::Untold(problem.clone().unwrap_or_else(|| "no handshake was finished".into())),
        }
    }

    fn take_ticket(&mut self, answer: &Answer) {
        let Answer::Finished(finished) = answer else {
            self.resumption_by_ticket = Told::Untold("no handshake was finished".into());
            return;
        };
        match (&finished.ticket, &finished.problem) {
            (Some(ticket), _) if !ticket.is_empty() => self.ticket.clone_from(ticket),
            (_, None) => self.resumption_by_ticket = Told::No("the server gives no ticket".into()),
            (_, Some(problem)) => self.resumption_by_ticket = Told::Untold(problem.clone()),
        }
    }
}

impl VersionSuites {
    fn new(version: u16, hello: &Hello) -> Self {
        let listing = match version {
            SSL2 => Listing::new(&[], None),
            TLS13 => Listing::new(registry::TLS13, Some(hello.suite)),
            _ => Listing::new(registry::LEGACY, Some(hello.suite)),
        };
        let kinds = hello.kinds.iter().map(|k| (*k, registry::ssl2_kind(*k))).collect();
        let mut suites = Self { version, listing, kinds, preference: None, has_rare: version == TLS13 || version == SSL2 };
        if version == SSL2 {
            suites.listing.end = Some(Ending::Complete);
        }
        suites
    }
}

/// What was found in another order: first a suite that no server treats in its own way (many prefer ChaCha20 when the client does,
/// and keep 3DES and RC4 for last), which is not the one that was chosen first.
fn otherwise(found: &[u16]) -> Vec<u16> {
    let is_plain = |code: &u16| ["_AES_", "_CAMELLIA_", "_ARIA_"].iter().any(|w| registry::suite(*code).contains(w));
    let first = found.iter().skip(1).rev().find(|c| is_plain(c)).or(found.last()).copied();
    first.into_iter().chain(found.iter().rev().copied().filter(|c| Some(*c) != first)).collect()
}

/// Whether the key exchange is on a curve of its own.
fn has_curve(exchange: &str) -> bool {
    exchange.starts_with("ECDHE") || exchange.starts_with("ECDH_anon")
}

/// Lists are asked again and again.
const fn is_list(purpose: Purpose) -> bool {
    matches!(purpose, Purpose::Suite(_) | Purpose::Group(_) | Purpose::Scheme(_) | Purpose::Protocol)
}

/// Whether the server signs the key exchange.
fn is_signed(exchange: &str) -> bool {
    (exchange.starts_with("ECDHE") || exchange.starts_with("DHE")) && !exchange.ends_with("PSK")
}

fn take_list(lists: &mut [(u16, Listing)], version: u16, choice: Choice) {
    if let Some((_, listing)) = lists.iter_mut().find(|l| l.0 == version) {
        listing.take(choice);
    }
}

fn choice(answer: &Answer, version: u16, pick: impl Fn(&Hello) -> Option<u16>) -> Choice {
    if let Some(hello) = chosen(answer) {
        return match pick(hello).filter(|_| hello.version == version) {
            Some(code) => Choice::Chose(code),
            None if hello.version == version => Choice::Unanswered(unpicked(answer)),
            // It would rather speak an older version.
            None => Choice::Refused,
        };
    }
    match answer {
        Answer::NoConnection(e) => Choice::Unanswered(e.to_string()),
        Answer::NoUpgrade(stop) => Choice::Unanswered(stop.to_string()),
        Answer::Reply(reply, _) => refusal(reply),
        Answer::Finished(finished) => refusal(&finished.reply),
        Answer::Renegotiation(_) | Answer::Defect(_) => Choice::Unanswered("asked something else".into()),
    }
}

/// The server chose, and what was asked for is not in its choice.
fn unpicked(answer: &Answer) -> String {
    match answer {
        Answer::Finished(finished) => finished.problem.clone().unwrap_or_else(|| "the handshake was not finished".into()),
        _ => "the server's choice does not tell".into(),
    }
}

fn refusal(reply: &Reply) -> Choice {
    match reply {
        Reply::Hello(_) | Reply::Alert(_) => Choice::Refused,
        Reply::Closed => Choice::HungUp,
        Reply::Silent(detail) => Choice::Unanswered(format!("no answer {detail}").trim_end().to_string()),
        Reply::Plaintext(_) | Reply::Garbage(_) => Choice::Unanswered("the answer is no TLS".into()),
    }
}

/// Whether a choice shows something.
fn has(answer: &Answer, shows: impl Fn(&Hello) -> bool) -> Told {
    match chosen(answer) {
        Some(hello) if shows(hello) => Told::Yes("ServerHello".into()),
        Some(_) => Told::No("ServerHello".into()),
        None => Told::Untold("no ServerHello".into()),
    }
}

fn fallback(answer: &Answer) -> Told {
    match answer {
        Answer::Reply(Reply::Alert(INAPPROPRIATE_FALLBACK), _) => Told::Yes(alert_name(INAPPROPRIATE_FALLBACK)),
        Answer::Reply(Reply::Alert(other), _) => Told::Untold(format!("answered by {}", alert_name(*other))),
        other => match chosen(other) {
            Some(_) => Told::No("ServerHello".into()),
            None => Told::Untold("no answer".into()),
        },
    }
}

fn renegotiation(answer: Answer) -> Told {
    match answer {
        Answer::Renegotiation(Ok(Renegotiation::Accepted)) => Told::Yes("second ServerHello".into()),
        Answer::Renegotiation(Ok(Renegotiation::Refused(how))) => Told::No(how),
        Answer::Renegotiation(Err(why)) => Told::Untold(why),
        _ => Told::Untold("no connection".into()),
    }
}

fn defect(answer: Answer) -> Told {
    match answer {
        Answer::Defect(told) => told,
        Answer::NoConnection(e) => Told::Untold(e.to_string()),
        _ => Told::Untold("no connection".into()),
    }
}
