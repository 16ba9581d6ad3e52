//! `assay scan tls`

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};

use super::draw::{Page, word};
use super::{ProgressLine, output, say};
use crate::agent::run::{self, Gathered, Judging, Outcome, Started};
use crate::agent::{scan, seccomp};
use crate::cli::exit::Exit;
use crate::config::agent::{self, AgentConfig};
use crate::facts;
use crate::facts::services::{self, Expected, Plan, SNI};
use crate::facts::tls::{Chain, Endpoint, Tls};
use crate::facts::tls_capabilities::{self, TlsCapabilities};
use crate::host::clock;
use crate::model::against::Against;
use crate::model::finding::{Finding, Severity, Verdict};
use crate::model::policy::Policy;
use crate::model::report::{Cadence, ScanState};
use crate::probe::Limits;
use crate::probe::halt::Halt;
use crate::probe::service::UPGRADES;
use crate::probe::tls::certificate::trust::Choice;
use crate::report;
use crate::rules::Pack;

/// Port without one in the text.
const PORT: u16 = 443;
/// Families that a narrow survey fills.
const NARROW: [&str; 2] = ["services", "tls"];
/// Longest time for all endpoints together.
const DEADLINE: Duration = Duration::from_secs(24 * 3600);

const HELP: &str = "\
Examples:
  assay scan tls www.example.com                        everything about one endpoint
  assay scan tls mail.example.com:25 db.example.com:5432   STARTTLS is known from the port, or found out
  assay scan tls 192.0.2.7:443 --sni a.example --sni b.example   two virtual hosts at one address
  assay scan tls --narrow --format json $(cat hosts)    versions and certificates of many, for programs

Usage: assay scan tls [OPTIONS] HOST[:PORT]…

Arguments and options:
{all-args}
";

/// Arguments of `assay scan tls`.
#[derive(Args, Debug)]
#[command(help_template = HELP)]
pub struct Arguments {
    /// Endpoints; the port is 443 unless given, IPv6 addresses stand in brackets
    #[arg(required = true, value_name = "HOST[:PORT]")]
    endpoints: Vec<String>,
    /// Versions and certificates only: fewer than a dozen connections an endpoint
    #[arg(long)]
    narrow: bool,
    /// How TLS begins: none, or a protocol such as smtp [default: by the port, else found out]
    #[arg(long, value_name = "PROTOCOL")]
    starttls: Option<String>,
    /// Ask for this server name; may be repeated, one survey each
    #[arg(long, value_name = "NAME")]
    sni: Vec<String>,
    /// Trust anchors: system, mozilla, or a file or folder of PEM certificates
    #[arg(long, value_name = "STORE")]
    trust: Option<String>,
    /// Connections to one endpoint at a time
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=16))]
    connections: u8,
    /// Seconds for one endpoint to show that it speaks TLS
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=600))]
    timeout: u16,
    /// What to print
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
    /// Show every suite by name, and everything of several endpoints
    #[arg(long)]
    all: bool,
    /// Exit with 10 to 14 if something of this severity or above fails: info, low, medium, high, critical
    #[arg(long, value_name = "SEVERITY")]
    fail_on: Option<Severity>,
    /// Thresholds instead of the built-in ones
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
}

/// Runs it.
pub fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    seccomp::install()?;
    let config = AgentConfig::load(None)?;
    let policy = match &arguments.policy {
        Some(path) => agent::read_policy(path)?,
        None => config.thresholds()?,
    };
    let plan = plan(arguments, &config)?;
    let families: &[&str] = if arguments.narrow { &NARROW } else { &services::FAMILIES };
    let limits =
        Limits { per_target: usize::from(arguments.connections), endpoint_deadline: Duration::from_secs(arguments.timeout.into()), ..scan::limits_of(&config) };
    let survey = Survey::new(families, limits, &policy)?;
    let at_once = if arguments.format == Format::Json { plan.targets.len() } else { PORTION };
    let (mut exit, mut is_whole, mut rows) = (Exit::Ok, true, Vec::new());
    for targets in plan.targets.chunks(at_once.max(1)) {
        if survey.halt.is_asked() {
            is_whole = false;
            break;
        }
        let outcome = survey.of(Plan { targets: targets.to_vec(), ..plan.clone() })?;
        show(arguments, &outcome, &survey, plan.targets.len(), &mut rows)?;
        is_whole &= outcome.state == ScanState::Complete;
        exit = exit.max(Exit::of(&outcome.findings, is_whole, arguments.fail_on));
    }
    if !rows.is_empty() {
        output::print(&summary(&rows, Page::of_stdout()))?;
    }
    if !is_whole {
        say("incomplete: the survey was stopped; what was not seen is unknown");
        exit = exit.max(Exit::Incomplete);
    }
    Ok(exit)
}

/// Endpoints surveyed, judged and forgotten together, so that a thousand of them need no more memory than these.
const PORTION: usize = 48;

/// Prints a portion, or keeps its rows for the table at the end.
fn show(arguments: &Arguments, outcome: &Outcome, survey: &Survey<'_>, endpoints: usize, rows: &mut Vec<[String; 4]>) -> anyhow::Result<()> {
    let named = super::named(outcome);
    let document = super::document(outcome, &survey.pack, survey.policy, &named);
    match arguments.format {
        Format::Json => output::print(&report::json::render(&document)),
        Format::Jsonl => output::print(&report::json::render_line(&document)),
        Format::Table if endpoints > 1 && !arguments.all => {
            rows.extend(summarised(outcome));
            Ok(())
        }
        Format::Table => output::print(&details(outcome, arguments.all, Page::of_stdout())),
    }
}

/// What to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Table,
    /// For programs: findings, gaps and facts
    Json,
    /// The same, a line for each portion of the endpoints as it is done: for many of them
    Jsonl,
}

/// What surveys share.
pub(super) struct Survey<'a> {
    /// Rules over the families.
    pub(super) pack: Pack,
    /// Ctrl-C ends a survey, not the program: what was seen is told.
    pub(super) halt: Halt,
    planned: Vec<&'static facts::Family>,
    limits: Limits,
    policy: &'a Policy,
    line: ProgressLine,
}

impl<'a> Survey<'a> {
    pub(super) fn new(families: &[&str], limits: Limits, policy: &'a Policy) -> anyhow::Result<Self> {
        let names: Vec<String> = families.iter().map(ToString::to_string).collect();
        let planned = run::plan_families(&names)?.into_iter().filter(|f| families.contains(&f.name)).collect();
        let mut pack = run::endpoint_rules()?;
        pack.rules.retain(|rule| rule.families().iter().all(|f| families.contains(f)));
        Ok(Self { pack, halt: stopped_by_a_key()?, planned, limits, policy, line: ProgressLine::new(Instant::now()) })
    }

    /// Speaks to the endpoints of a plan and judges what they said.
    pub(super) fn of(&self, plan: Plan) -> anyhow::Result<Outcome> {
        let plan = Plan { halt: self.halt.clone(), ..plan };
        let gathered = Gathered { live: true, ..Gathered::default() };
        let judging = Judging {
            plan,
            limits: self.limits.clone(),
            policy: self.policy,
            against: Against::default(),
            advisories: None,
            pack: &self.pack,
            cadence: Cadence::Monthly,
            drift: false,
        };
        let outcome = run::conclude(Started::now(DEADLINE), gathered, &self.planned, judging, &|p| self.line.draw(p));
        self.line.clear();
        Ok(outcome?)
    }
}

/// Asked by the first Ctrl-C; the second one ends the program.
fn stopped_by_a_key() -> anyhow::Result<Halt> {
    let halt = Halt::default();
    let own = halt.clone();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name("keys".into()).spawn(move || {
        runtime.block_on(async {
            while tokio::signal::ctrl_c().await.is_ok() {
                if own.is_asked() {
                    #[expect(clippy::exit, reason = "the person asks for the second time")]
                    std::process::exit(130);
                }
                own.ask();
            }
        });
    })?;
    Ok(halt)
}

fn plan(arguments: &Arguments, config: &AgentConfig) -> anyhow::Result<Plan> {
    let mut targets = Vec::new();
    for text in &arguments.endpoints {
        let endpoint = with_port(text);
        if !agent::is_endpoint(&endpoint) || endpoint.ends_with("/udp") {
            anyhow::bail!("{text:?} is not HOST or HOST:PORT (IPv6 in brackets)");
        }
        if let Some(wrong) = arguments.sni.iter().find(|n| !agent::is_host_name(n)) {
            anyhow::bail!("--sni {wrong:?} is not a host name");
        }
        match arguments.sni.as_slice() {
            [] => targets.push(endpoint),
            names => targets.extend(names.iter().map(|name| format!("{endpoint}{SNI}{name}"))),
        }
    }
    let expected = match arguments.starttls.as_deref() {
        None => Expected::Tls,
        Some("none") => Expected::DirectTls,
        Some(name) => match UPGRADES.iter().find(|u| u.name() == name) {
            Some(upgrade) => Expected::Upgraded(*upgrade),
            None => {
                let all: Vec<&str> = UPGRADES.iter().map(|u| u.name()).collect();
                anyhow::bail!("--starttls {name:?} is none of none, {}", all.join(", "));
            }
        },
    };
    let trust = match &arguments.trust {
        Some(trust) => super::trust_store(trust)?,
        None => Choice::of(&config.trust_store),
    };
    Ok(Plan { targets, expected, trust, exclusions: config.exclusions.clone(), ..Plan::default() })
}

/// The text with port 443 if it has none.
fn with_port(text: &str) -> String {
    let text = text.strip_prefix("https://").map_or(text, |rest| rest.trim_end_matches('/'));
    match text.parse::<std::net::Ipv6Addr>() {
        Ok(address) => format!("[{address}]:{PORT}"),
        Err(_) if agent::is_endpoint(text) => text.into(),
        Err(_) => format!("{text}:{PORT}"),
    }
}

/// The documents of a portion.
fn documents(outcome: &Outcome) -> (Tls, Vec<tls_capabilities::Endpoint>) {
    let document = |name: &str| outcome.observation.families.get(name).cloned().unwrap_or_default();
    let tls = serde_json::from_value(document("tls")).unwrap_or(Tls { endpoints: Vec::new(), chains: Vec::new() });
    let capabilities = serde_json::from_value::<TlsCapabilities>(document("tls_capabilities"));
    (tls, capabilities.map(|c| c.endpoints).unwrap_or_default())
}

fn details(outcome: &Outcome, all: bool, page: Page) -> String {
    let (tls, capabilities) = documents(outcome);
    let mut out = String::new();
    for endpoint in &tls.endpoints {
        let chains: Vec<&Chain> = tls.chains.iter().filter(|c| c.endpoint == endpoint.subject).collect();
        let more = capabilities.iter().find(|c| c.subject == endpoint.subject);
        detail(&mut out, endpoint, &chains, more, outcome, all, page);
    }
    for (subject, why) in unseen(outcome) {
        let _ = writeln!(out, "{subject}: {why}");
    }
    out
}

/// Endpoints that could not be spoken to at all.
fn unseen(outcome: &Outcome) -> impl Iterator<Item = (String, String)> {
    let gaps = outcome.observation.gaps.iter().filter(|g| g.family == "services" && g.path.is_empty());
    gaps.map(|g| (report::text::plain(&g.subject), report::text::plain(&g.detail)))
}

/// One row an endpoint.
fn summarised(outcome: &Outcome) -> Vec<[String; 4]> {
    let (tls, _) = documents(outcome);
    let row = |e: &Endpoint| {
        let chain = tls.chains.iter().find(|c| c.endpoint == e.subject);
        let versions = if e.accepted.is_empty() { format!("no TLS: {}", e.outcome) } else { short(&e.accepted) };
        [named(e), versions, chain.map_or(String::new(), brief), worst(&outcome.findings, e, chain)]
    };
    let unseen = unseen(outcome).map(|(subject, why)| [subject, why, String::new(), String::new()]);
    tls.endpoints.iter().map(row).chain(unseen).collect()
}

fn summary(rows: &[[String; 4]], page: Page) -> String {
    let mut out = String::new();
    page.table(&mut out, ["ENDPOINT", "VERSIONS", "CERTIFICATE", "FINDINGS"], rows);
    let _ = writeln!(out, "\nNext: assay scan tls --all HOST:PORT     assay explain RULE     --format json");
    out
}

fn named(e: &Endpoint) -> String {
    let starttls = if e.starttls.is_empty() { String::new() } else { format!(" {}", e.starttls) };
    format!("{}{starttls}", e.subject.replace("/tcp", ""))
}

fn short(versions: &[String]) -> String {
    versions.iter().map(|v| v.trim_start_matches("TLSv")).collect::<Vec<_>>().join(" ")
}

fn brief(chain: &Chain) -> String {
    let until = chain.certificates.first().map_or(0, |c| c.not_after);
    format!("{}, until {}", chain.trust, day(until))
}

/// Failures by severity, the worst rules named.
fn worst(findings: &[Finding], e: &Endpoint, chain: Option<&Chain>) -> String {
    let mut failed: Vec<&Finding> = findings.iter().filter(|f| f.verdict == Verdict::Fail && belongs(f, e, chain.into_iter())).collect();
    failed.sort_by_key(|f| (std::cmp::Reverse(f.severity), &f.rule));
    match failed.as_slice() {
        [] if e.accepted.is_empty() => String::new(),
        [] => "none".into(),
        [first, rest @ ..] => {
            let more = if rest.is_empty() { String::new() } else { format!(" and {} more", rest.len()) };
            format!("{} {}{more}", word(first).0, first.rule)
        }
    }
}

/// Day of a time, UTC.
fn day(unix: i64) -> String {
    jiff::Timestamp::from_second(unix).map_or_else(|_| unix.to_string(), |t| t.strftime("%Y-%m-%d").to_string())
}

fn belongs<'a>(finding: &Finding, e: &Endpoint, mut chains: impl Iterator<Item = &'a Chain>) -> bool {
    let bare = e.subject.split(SNI).next().unwrap_or_default();
    finding.subject == e.subject || finding.subject == bare || chains.any(|c| c.subject == finding.subject)
}

fn detail(out: &mut String, e: &Endpoint, chains: &[&Chain], more: Option<&tls_capabilities::Endpoint>, outcome: &Outcome, all: bool, page: Page) {
    page.heading(out, &format!("{} · {}", named(e), e.address));
    if e.accepted.is_empty() {
        page.field(out, "no TLS", format!("{}: {}", e.outcome, e.outcome_detail).trim_end_matches(": "));
    }
    for version in &e.versions {
        let said = if version.accepted { suites_of(version.name.as_str(), &version.suite, more, all) } else { refusal(version) };
        page.field(out, &version.name, &said);
    }
    for chain in chains {
        certificate(out, chain, page);
    }
    let client = match (e.client_certificate_requested, e.client_certificate_required) {
        (Some(true), Some(true)) => "required",
        (Some(true), Some(false)) => "asked for, not required",
        (Some(true), None) => "asked for",
        _ => "",
    };
    page.field(out, "client cert", client);
    if let Some(c) = more {
        capabilities(out, c, page);
    }
    let _ = writeln!(out);
    page.findings(out, outcome.findings.iter().filter(|f| belongs(f, e, chains.iter().copied())));
    let failed = outcome.findings.iter().filter(|f| f.verdict == Verdict::Fail && belongs(f, e, chains.iter().copied())).count();
    let passed = outcome.findings.iter().filter(|f| f.verdict == Verdict::Pass && belongs(f, e, chains.iter().copied())).count();
    let _ = writeln!(out, " {failed} fail   {passed} pass\n");
}

fn refusal(version: &facts::tls::Version) -> String {
    format!("no: {} {}", version.outcome, version.detail.trim_start_matches("alert ")).trim_end().to_string()
}

/// The suites of a version, or the one that was chosen.
fn suites_of(version: &str, chosen: &str, more: Option<&tls_capabilities::Endpoint>, all: bool) -> String {
    let Some(c) = more else {
        return format!("yes, {chosen}").trim_end_matches(", ").to_string();
    };
    let names: Vec<&str> = c.suites.iter().filter(|s| s.version == version).map(|s| s.name.as_str()).collect();
    let order = c.orders.iter().find(|o| o.version == version).map_or(String::new(), |o| format!(", in the {}'s order", o.by));
    let count = format!("yes, {} suite{}{order}", names.len(), if names.len() == 1 { "" } else { "s" });
    let shown = if all { names.len() } else { 6 };
    let list = names.iter().take(shown).copied().collect::<Vec<_>>().join(" ");
    let rest = if names.len() > shown { format!(" … {} more: --all", names.len() - shown) } else { String::new() };
    format!("{count}: {list}{rest}")
}

fn certificate(out: &mut String, chain: &Chain, page: Page) {
    let Some(leaf) = chain.certificates.first() else {
        return;
    };
    let days = (leaf.not_after - clock::unix_now()).div_euclid(86_400);
    let end = if days < 0 { format!("expired {} days ago", -days) } else { format!("{days} days left") };
    let name = if chain.server_name.is_empty() { String::new() } else { format!(" for {}", chain.server_name) };
    let text = format!(
        "{}, {} {}, {}, {} to {} ({end}){name}",
        leaf.subject_name,
        leaf.key_kind,
        leaf.key_bits,
        leaf.signature,
        day(leaf.not_before),
        day(leaf.not_after)
    );
    page.field(out, "certificate", &text);
    page.field(out, "  names", &leaf.names.join(" "));
    let trust = if chain.trust == "trusted" { format!("trusted by {}", chain.anchor) } else { format!("{}: {}", chain.trust, chain.trust_detail) };
    page.field(out, "  trust", &format!("{trust} ({} sent, store {})", chain.certificates.len(), chain.store));
    if chain.name_matches == Some(false) {
        page.field(out, "  name", &format!("{} is none of its names", chain.server_name));
    }
    if let Some(staple) = &chain.staple {
        page.field(out, "  OCSP staple", &format!("{} {}", staple.response, staple.certificate_status));
    }
}

fn capabilities(out: &mut String, c: &tls_capabilities::Endpoint, page: Page) {
    let mut groups: Vec<&str> = Vec::new();
    for group in &c.groups {
        if !groups.contains(&group.name.as_str()) {
            groups.push(&group.name);
        }
    }
    page.field(out, "groups", &groups.join(" "));
    let mut schemes: Vec<&str> = Vec::new();
    for scheme in &c.schemes {
        if !schemes.contains(&scheme.name.as_str()) {
            schemes.push(&scheme.name);
        }
    }
    page.field(out, "signatures", &schemes.join(" "));
    let primes: Vec<String> = c.primes.iter().map(|p| format!("{} bits {}", p.bits, p.name).trim_end().to_string()).collect();
    page.field(out, "DH primes", &primes.join(", "));
    page.field(out, "ALPN", &c.protocols.join(" "));
    let features: [(&str, Option<bool>); 9] = [
        ("secure renegotiation", c.secure_renegotiation),
        ("client renegotiation", c.client_renegotiation),
        ("extended master secret", c.extended_master_secret),
        ("encrypt-then-MAC", c.encrypt_then_mac),
        ("fallback signal", c.fallback_signal),
        ("resumption by id", c.resumption_by_id),
        ("resumption by ticket", c.resumption_by_ticket),
        ("compression", Some(c.compression)),
        ("heartbeat", Some(c.heartbeat)),
    ];
    let told = |wanted: bool| features.iter().filter(|f| f.1 == Some(wanted)).map(|f| f.0).collect::<Vec<_>>().join(", ");
    page.field(out, "has", &told(true));
    page.field(out, "has not", &told(false));
    let defects = [("Heartbleed", c.heartbleed), ("CCS injection", c.ccs_injection)];
    let text: Vec<String> = defects.iter().map(|(name, is)| format!("{name} {}", is.map_or("not tested", |b| if b { "present" } else { "absent" }))).collect();
    page.field(out, "defects", &text.join(", "));
}
