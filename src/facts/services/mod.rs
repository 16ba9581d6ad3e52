//! What answers behind each endpoint, found by talking to it.

mod datagrams;
mod outward;
mod targets;

use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;

pub use self::targets::SNI;
use self::targets::{Target, UDP, endpoints, is_excluded};
use super::Document;
use super::tls_capabilities::TlsCapabilities;
use crate::model::fact::Source;
use crate::model::gap::{Gap, Gaps, reason};
use crate::probe::Limits;
use crate::probe::dial::Dialer;
use crate::probe::halt::Halt;
use crate::probe::identify::{Outcome, identify};
use crate::probe::seen::{Clock, DIRECT, Export, Http, Seen, Ssh, UNKNOWN};
use crate::probe::service::{self, Upgrade};
use crate::probe::tls::certificate::trust::{Choice, Store};
use crate::probe::tls::plan::Depth;
use crate::probe::tls::survey::survey as survey_tls;

/// Part of an endpoint's time kept back, so that what was seen is told before the time is up.
const MARGIN: Duration = Duration::from_millis(200);

/// Every endpoint that was spoken to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Services {
    /// By subject.
    pub items: Vec<Service>,
}

impl Document for Services {
    const NAME: &'static str = "services";
    const TITLE: &'static str = "Protocol behind each listening socket";
    const VERSION: u32 = 2;
}

/// One endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// `ADDRESS:PORT/tcp` or `/udp`; of a local listener the same text as in `listeners`.
    pub subject: String,
    /// `tcp` or `udp`.
    pub transport: String,
    /// Address spoken to.
    pub address: String,
    /// Port.
    pub port: u32,
    /// Whether it is a listener of this host.
    pub local: bool,
    /// Bind scope of a local listener, else `remote`.
    pub scope: String,
    /// Name of the process behind a local listener; empty when unknown.
    pub process: String,
    /// Package of that process; empty when unknown.
    pub package: String,
    /// `identified`, `unidentified` (it answered, in no known protocol), `silent` (it accepts and says
    /// nothing), `refused`, `closed` (at once), `timeout` (no connection, or an answer without end),
    /// `unreachable`, `unasked` (UDP: excluded, or its server keeps what it hears as messages of its own).
    /// All but the first two leave a gap; over UDP, where servers keep silent about what is not theirs, only of what is `presumed`.
    pub outcome: String,
    /// `ftp`, `telnet`, `ssh`, `smtp`, `http`, `redis`, `postgresql`, `mysql`, `imap`, `pop3`, `elasticsearch`, `docker`, …, `tls` (an unknown protocol
    /// inside TLS); empty when not identified.
    pub protocol: String,
    /// UDP: the protocol that port or process suggest where none was identified; empty when one was, and when nothing suggests any.
    pub presumed: String,
    /// Whether the protocol runs without encryption on this endpoint, at least until an upgrade.
    pub plaintext: bool,
    /// `direct`, `optional` (an upgrade is offered), `required` (nothing useful before the upgrade; HTTP
    /// that only leads to HTTPS), `stripped` (an upgrade is listed and refused, or accepted and not
    /// listed, as where somebody on the way takes it out: clients go on without), `none`, or `unknown`.
    pub tls: String,
    /// `none` (commands were answered without), `required`, `unknown`.
    pub authentication: String,
    /// FTP: whether `USER anonymous` signs in; `null` for other protocols or when not tried.
    pub anonymous: Option<bool>,
    /// What a stranger gets without authentication, beyond the mere protocol:
    /// `anonymous-sign-in` (ftp: `USER anonymous` signed in),
    /// `anonymous-bind` (ldap: a bind without name and password succeeded),
    /// `anonymous-read` (ldap: entries of a naming context were returned without a name),
    /// `commands` (redis, memcached, mongodb, elasticsearch, opensearch, etcd, docker, kubelet, amqp, mqtt: a command was answered that needs no more than a connection),
    /// `recursion` (dns: names of others are resolved for the asker, who is this host itself where `local`),
    /// `mode-6` and `mode-7` (ntp: control queries are answered),
    /// `community-public` (snmp: the community `public` may read),
    /// `smb1` (smb: the first dialect is accepted),
    /// `guest` (smb: a session without a name was a guest's),
    /// `null-session` (smb: a session without a name was set up, of which servers make little or much),
    /// `exports-to-all` (mountd: something is offered to every address),
    /// `no-password` (vnc, x11, rsh: a session starts without a password; rsync: a module opens without one),
    /// `sign-in-screen` (rdp: the screen to sign in at is shown to everyone, without CredSSP),
    /// `printers` (cups: printers are listed).
    pub open: Vec<String>,
    /// Protocol versions or dialects that the server showed it accepts, in the protocol's own words
    /// (`SSH-2.0`, `SMB 3.1.1`, `RFB 003.008`).
    pub versions: Vec<String>,
    /// SSH: algorithms offered; `null` for other protocols and where they were not told.
    pub ssh: Option<Ssh>,
    /// HTTP, and what is spoken over it: head of the answer to `GET /`; `null` for other protocols.
    pub http: Option<Http>,
    /// NTP and chrony's monitoring port, asked at loopback: what the service says about the clock that it keeps; `null` for others and where it does not say.
    #[serde(default)]
    pub clock: Option<Clock>,
    /// NFS exports, rsync modules, SMB shares that it lists to strangers.
    pub exports: Vec<Export>,
    /// SMB: message signing is `required`, `enabled` or `disabled`; empty for other protocols.
    pub signing: String,
    /// First line it sent (HTTP: and its Server header), printable characters, at most 120; product words only, never a basis for a vulnerability.
    pub banner: String,
    /// Exchange that decided.
    pub source: Source,
}

/// What the probe side has to look at.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Listeners of this host, as gathered.
    pub listeners: Vec<super::listeners::Listener>,
    /// Other endpoints, `HOST:PORT` (TCP) or `HOST:PORT/udp`, ` sni NAME` behind it for another server name, from `--target` or the host's own configuration.
    pub targets: Vec<String>,
    /// Subjects never spoken to, or `ADDRESS:PORT`, which stands for both transports.
    pub exclusions: Vec<String>,
    /// How much is asked of TLS endpoints.
    pub depth: Depth,
    /// What endpoints are taken for.
    pub expected: Expected,
    /// Store of trust anchors that certificates are judged by.
    pub trust: Choice,
    /// When the last word is said; `None`: when the endpoints are done.
    pub until: Option<Instant>,
    /// Ends it before.
    pub halt: Halt,
}

/// What endpoints are taken for before they say a word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Expected {
    /// Nothing: each is identified first.
    #[default]
    Anything,
    /// TLS, or the protocol that usually has the port and upgrades to TLS.
    Tls,
    /// TLS from the first byte.
    DirectTls,
    /// This protocol, which upgrades to TLS.
    Upgraded(Upgrade),
}

/// The probe families and what could not be observed; a family is `None` when it was not asked for.
#[derive(Debug, Default)]
pub struct Surveyed {
    /// Protocol per endpoint.
    pub services: Option<Services>,
    /// TLS per endpoint.
    pub tls: Option<super::tls::Tls>,
    /// The rest about TLS per endpoint; `None` when the survey was narrow.
    pub tls_capabilities: Option<TlsCapabilities>,
    /// Whether it ended before every endpoint was done.
    pub is_cut: bool,
}

/// Speaks to every endpoint of `plan`; `progress(done, total)` is called as endpoints finish.
/// Never takes longer than the prober's limits allow, whatever the endpoints do.
pub async fn survey(plan: &Plan, limits: &Limits, gaps: &mut Gaps, progress: &(dyn Fn(usize, usize) + Sync)) -> Surveyed {
    let endpoints = endpoints(plan, limits, gaps).await;
    let total = endpoints.len();
    let connections = Arc::new(Semaphore::new(limits.total.max(2)));
    // An endpoint's time starts when there is room for its connections.
    let room = Arc::new(Semaphore::new((limits.total / limits.per_target.max(2)).max(1)));
    let how = How { depth: plan.depth, expected: plan.expected, store: Arc::new(Store::new(plan.trust.clone())), halt: plan.halt.clone() };
    let mut running = JoinSet::new();
    let mut subjects = std::collections::HashMap::new();
    for endpoint in endpoints {
        let (room, connections, limits, how) = (room.clone(), connections.clone(), limits.clone(), how.clone());
        let (subject, excluded) = (endpoint.subject.clone(), is_excluded(&endpoint, plan));
        let handle = running.spawn(async move {
            let _room = room.acquire_owned().await;
            if how.halt.is_asked() {
                return Examined::default();
            }
            examine(endpoint, &limits, connections, how, excluded).await
        });
        subjects.insert(handle.id(), subject);
    }
    let (mut services, mut tls, mut chains, mut capabilities, mut done) = (Vec::new(), Vec::new(), Vec::new(), Vec::new(), 0);
    progress(0, total);
    let mut is_cut = false;
    while !running.is_empty() {
        let joined = tokio::select! {
            joined = running.join_next() => joined,
            () = ending(plan), if !is_cut => {
                // Whoever is being surveyed says what was seen; the rest gets no time.
                is_cut = true;
                plan.halt.ask();
                continue;
            }
            () = tokio::time::sleep(LAST_WORDS), if is_cut => break,
        };
        match joined {
            None => break,
            Some(Ok(examined)) => {
                services.extend(examined.service);
                tls.extend(examined.tls);
                chains.extend(examined.chains);
                capabilities.extend(examined.capabilities);
                gaps.extend(examined.gaps);
            }
            Some(Err(e)) => {
                let subject = subjects.get(&e.id()).map_or("", String::as_str);
                everywhere(gaps, subject, reason::INTERNAL, "speaking to the endpoint failed inside assay", "Report this as a defect.");
            }
        }
        done += 1;
        progress(done, total);
    }
    for subject in subjects.values().filter(|_| is_cut).filter(|s| !services.iter().any(|i: &Service| i.subject == **s)) {
        everywhere(
            gaps,
            subject,
            reason::TIMEOUT,
            "the scan ended before this endpoint was spoken to",
            "Raise scan_deadline_seconds, or scan fewer endpoints.",
        );
    }
    services.sort_by(|a, b| a.subject.cmp(&b.subject));
    tls.sort_by(|a, b| a.subject.cmp(&b.subject));
    chains.sort_by(|a, b| a.subject.cmp(&b.subject));
    capabilities.sort_by(|a, b| a.subject.cmp(&b.subject));
    Surveyed {
        services: Some(Services { items: services }),
        tls: Some(super::tls::Tls { endpoints: tls, chains }),
        tls_capabilities: (plan.depth == Depth::Full).then_some(TlsCapabilities { endpoints: capabilities }),
        is_cut,
    }
}

/// Time for last words once the end has come.
const LAST_WORDS: Duration = Duration::from_millis(300);

/// Returns when the survey is to end.
async fn ending(plan: &Plan) {
    match plan.until {
        Some(until) => tokio::select! {
            () = plan.halt.asked() => {}
            () = tokio::time::sleep_until(until) => {}
        },
        None => plan.halt.asked().await,
    }
}

/// How each endpoint is examined.
#[derive(Clone, Debug)]
struct How {
    depth: Depth,
    expected: Expected,
    store: Arc<Store>,
    halt: Halt,
}

/// What was seen at one endpoint.
#[derive(Default)]
struct Examined {
    service: Option<Service>,
    tls: Option<super::tls::Endpoint>,
    capabilities: Option<super::tls_capabilities::Endpoint>,
    chains: Vec<super::tls::Chain>,
    gaps: Vec<Gap>,
}

/// Everything about one endpoint, within its deadline.
async fn examine(target: Target, limits: &Limits, connections: Arc<Semaphore>, how: How, excluded: bool) -> Examined {
    let budget = limits.endpoint_deadline.saturating_sub(MARGIN);
    let mut dialer = Dialer::new(target.address, &target.server_name, limits, connections, budget);
    dialer.outward = target.outward;
    dialer.halt = how.halt.clone();
    dialer.process.clone_from(&target.process);
    if target.transport == UDP {
        return datagrams::examine(&target, &dialer, excluded).await;
    }
    let subject = target.subject.clone();
    let longest = limits.endpoint_deadline + if how.depth == Depth::Full { limits.survey_deadline } else { Duration::ZERO };
    match tokio::time::timeout(longest, speak(&target, &dialer, &how)).await {
        Ok(examined) => examined,
        Err(_) => {
            let mut gaps = Gaps::new();
            everywhere(&mut gaps, &subject, reason::TIMEOUT, "the endpoint used up its time", "");
            Examined { gaps: gaps.into_sorted(), ..Examined::default() }
        }
    }
}

async fn speak(target: &Target, dialer: &Dialer, how: &How) -> Examined {
    let (mut upgrade, mut known) = (None, how.expected != Expected::Anything);
    match how.expected {
        Expected::Upgraded(asked) => upgrade = Some(asked),
        Expected::Tls => upgrade = service::usual_upgrade(target.address.port()),
        Expected::Anything | Expected::DirectTls => {}
    }
    let mut surveyed = None;
    if known {
        let survey = survey_tls(dialer, upgrade, how.depth).await;
        // What answers in plaintext may still upgrade.
        known = survey.is_tls() || how.expected != Expected::Tls;
        surveyed = Some(survey);
    }
    let mut gaps = Gaps::new();
    let outcome = if known { Outcome::Identified(Box::new(as_expected(upgrade))) } else { identify(dialer).await };
    let mut service = service(target, &outcome, &mut gaps);
    if let Outcome::Identified(seen) = &outcome
        && !known
        && (seen.tls == DIRECT || seen.upgrade.is_some())
    {
        upgrade = seen.upgrade;
        surveyed = Some(survey_tls(dialer, upgrade, how.depth).await);
    }
    let mut examined = Examined::default();
    if let Some(survey) = surveyed {
        if let Some(inner) = &survey.inner {
            fill(&mut service, inner, &mut gaps);
        }
        let endpoint = super::tls::endpoint(&survey, upgrade, dialer, &service, &mut gaps);
        if how.depth == Depth::Full {
            examined.capabilities = super::tls_capabilities::endpoint(&survey, survey.capabilities.as_ref(), &endpoint, &mut gaps);
        }
        examined.chains = super::tls::chain::chains(&survey.shown, &endpoint, &how.store, &mut gaps);
        examined.tls = Some(endpoint);
    }
    Examined { service: Some(service), gaps: gaps.into_sorted(), ..examined }
}

/// An endpoint that was told to be TLS.
fn as_expected(upgrade: Option<Upgrade>) -> Seen {
    match upgrade {
        None => Seen { plaintext: false, tls: DIRECT, ..Seen::plain("tls", b"", "ClientHello of each version") },
        Some(upgrade) => Seen { tls: UNKNOWN, upgrade: Some(upgrade), ..Seen::plain(upgrade.name(), b"", "upgrade to TLS") },
    }
}

/// An item of which nothing is known yet.
fn blank(target: &Target) -> Service {
    Service {
        subject: target.subject.clone(),
        transport: target.transport.into(),
        address: target.address.ip().to_string(),
        port: u32::from(target.address.port()),
        local: target.local,
        scope: target.scope.clone(),
        process: target.process.clone(),
        package: target.package.clone(),
        outcome: String::new(),
        protocol: String::new(),
        presumed: String::new(),
        plaintext: false,
        tls: UNKNOWN.into(),
        authentication: UNKNOWN.into(),
        anonymous: None,
        open: Vec::new(),
        versions: Vec::new(),
        ssh: None,
        http: None,
        clock: None,
        exports: Vec::new(),
        signing: String::new(),
        banner: String::new(),
        source: Source { place: format!("{} {}", target.transport, target.address), line: 0, directive: String::new() },
    }
}

fn service(target: &Target, outcome: &Outcome, gaps: &mut Gaps) -> Service {
    let mut service = blank(target);
    let (name, missing): (&str, Option<(&str, String)>) = match outcome {
        Outcome::Identified(seen) => {
            fill(&mut service, seen, gaps);
            ("identified", None)
        }
        Outcome::Unidentified { banner, head } => {
            service.banner.clone_from(banner);
            service.source.directive = if head.is_empty() { "closed after each question".into() } else { format!("first bytes {head}") };
            ("unidentified", None)
        }
        Outcome::Silent => ("silent", Some((reason::TIMEOUT, "it accepts connections and answers nothing".into()))),
        Outcome::Refused => ("refused", Some((reason::UNREACHABLE, "connection refused".into()))),
        Outcome::Closed => ("closed", Some((reason::UNREACHABLE, "it closes each connection at once".into()))),
        Outcome::Timeout(what) => ("timeout", Some((reason::TIMEOUT, what.clone()))),
        Outcome::Unreachable(what) | Outcome::Unasked(what) => ("unreachable", Some((reason::UNREACHABLE, what.clone()))),
    };
    service.outcome = name.into();
    if let Some((id, detail)) = missing {
        service.source.directive.clone_from(&detail);
        let detail = format!("{}: {detail}", service.source.place);
        let remedy = "Look which program listens there and speak to it by hand, or exclude the endpoint.";
        gaps.note(Services::NAME, "items", &target.subject, id, detail.clone(), remedy);
        for family in [super::tls::Tls::NAME, TlsCapabilities::NAME] {
            gaps.note(family, "endpoints", &target.subject, id, detail.clone(), remedy);
        }
    }
    service
}

fn fill(service: &mut Service, seen: &Seen, gaps: &mut Gaps) {
    service.protocol = seen.protocol.into();
    service.plaintext = seen.plaintext;
    service.tls = seen.tls.into();
    service.authentication = seen.authentication.into();
    service.anonymous = seen.anonymous;
    service.open.clone_from(&seen.open);
    service.versions.clone_from(&seen.versions);
    service.ssh.clone_from(&seen.ssh);
    service.http.clone_from(&seen.http);
    service.clock.clone_from(&seen.clock);
    service.exports.clone_from(&seen.exports);
    service.signing = seen.signing.into();
    service.banner.clone_from(&seen.banner);
    service.source.directive.clone_from(&seen.exchange);
    for (field, problem) in &seen.unanswered {
        let detail = format!("{}: {problem}", service.source.place);
        gaps.note(Services::NAME, &format!("items.{field}"), &service.subject, reason::TIMEOUT, detail, "");
    }
}

/// Families that endpoints are spoken to for.
pub const FAMILIES: [&str; 3] = [Services::NAME, super::tls::Tls::NAME, TlsCapabilities::NAME];

/// A gap in every probe family.
fn everywhere(gaps: &mut Gaps, subject: &str, id: &str, detail: &str, remedy: &str) {
    for family in FAMILIES {
        gaps.note(family, "", subject, id, detail, remedy);
    }
}
