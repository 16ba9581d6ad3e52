//! `assay scan ports`

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;

use super::draw::{Page, word};
use super::{Format, output, say, tls};
use crate::agent::run::Outcome;
use crate::agent::{scan, seccomp};
use crate::cli::exit::Exit;
use crate::config::agent::{self, AgentConfig};
use crate::facts::services::{Plan, Service, Services};
use crate::model::finding::{Finding, Severity, Verdict};
use crate::model::report::ScanState;
use crate::probe::Limits;
use crate::probe::halt::Halt;
use crate::probe::ports::{Port, knock};
use crate::probe::service::PROTOCOLS;
use crate::probe::tls::certificate::trust::Choice;
use crate::probe::udp::UDP_PROTOCOLS;
use crate::report;

/// Connections at once while ports are tried.
const AT_ONCE: usize = 256;
/// Longest time for a port to accept a connection.
const WAIT: Duration = Duration::from_millis(1500);
/// Most ports of one run.
const PORTS: usize = 1 << 20;

const HELP: &str = "\
Examples:
  assay scan ports db1.example.com                   the ports that known protocols usually have
  assay scan ports --ports 1-65535 192.0.2.7         every TCP port
  assay scan ports --ports 22,443,8000-8100 --udp 53,123,161 192.0.2.7 192.0.2.8

Usage: assay scan ports [OPTIONS] HOST…

Arguments and options:
{all-args}
";

/// Arguments of `assay scan ports`.
#[derive(Args, Debug)]
#[command(help_template = HELP)]
pub struct Arguments {
    /// Names or addresses
    #[arg(required = true, value_name = "HOST")]
    hosts: Vec<String>,
    /// TCP ports, such as 22,443,8000-8100 [default: what known protocols usually have]
    #[arg(long, value_name = "LIST", value_parser = list)]
    ports: Option<List>,
    /// UDP ports, which are asked one by one [default: none]
    #[arg(long, value_name = "LIST", value_parser = list, num_args = 0..=1, default_missing_value = "")]
    udp: Option<List>,
    /// What to print
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
    /// Exit with 10 to 14 if something of this severity or above fails: info, low, medium, high, critical
    #[arg(long, value_name = "SEVERITY")]
    fail_on: Option<Severity>,
}

/// Ports without repetitions.
#[derive(Clone, Debug, Default)]
struct List(BTreeSet<u16>);

/// `22,443,8000-8100`.
fn list(text: &str) -> Result<List, String> {
    let mut ports = BTreeSet::new();
    for part in text.split(',').map(str::trim).filter(|p| !p.is_empty()) {
        let wrong = || format!("{part:?} is neither a port nor a range such as 8000-8100");
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        let (from, to): (u16, u16) = (from.parse().map_err(|_| wrong())?, to.parse().map_err(|_| wrong())?);
        if from == 0 || from > to {
            return Err(wrong());
        }
        ports.extend(from..=to);
    }
    Ok(List(ports))
}

/// Runs it.
pub fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    seccomp::install()?;
    let config = AgentConfig::load(None)?;
    let policy = config.thresholds()?;
    let tcp = arguments.ports.clone().map_or_else(|| PROTOCOLS.iter().flat_map(|p| p.ports).copied().collect(), |l| l.0);
    let udp = match &arguments.udp {
        None => BTreeSet::new(),
        Some(list) if list.0.is_empty() => UDP_PROTOCOLS.iter().flat_map(|p| p.ports).copied().collect(),
        Some(list) => list.0.clone(),
    };
    if arguments.hosts.len().saturating_mul(tcp.len()) > PORTS {
        anyhow::bail!("{} hosts with {} ports each are more than {PORTS} in one run: name fewer", arguments.hosts.len(), tcp.len());
    }
    let mut targets = Vec::new();
    let mut closed = Vec::new();
    for host in &arguments.hosts {
        let address = resolve(host)?;
        let addresses: Vec<SocketAddr> = tcp.iter().map(|port| SocketAddr::new(address, *port)).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let found = runtime.block_on(knock(&addresses, AT_ONCE, WAIT, &Halt::default()));
        let count = |wanted: Port| found.iter().filter(|f| f.1 == wanted).count();
        closed.push((host.clone(), address, count(Port::Refused), count(Port::Silent)));
        let open = found.iter().filter(|f| f.1 == Port::Open).map(|f| f.0.port());
        targets.extend(open.map(|port| format!("{}:{port}", bracketed(host))));
        targets.extend(udp.iter().map(|port| format!("{}:{port}/udp", bracketed(host))));
    }
    let limits = Limits { per_target: 4, ..scan::limits_of(&config) };
    let plan = Plan { targets, trust: Choice::of(&config.trust_store), exclusions: config.exclusions.clone(), ..Plan::default() };
    let survey = tls::Survey::new(&["services", "tls"], limits, &policy)?;
    let outcome = survey.of(plan)?;
    let pack = &survey.pack;
    let text = match arguments.format {
        Format::Json => report::json::render(&super::document(&outcome, pack, &policy, &super::named(&outcome))),
        Format::Table => table(&outcome, &closed, Page::of_stdout()),
    };
    output::print(&text)?;
    if outcome.state == ScanState::Aborted {
        say("incomplete: the survey was stopped; what was not seen is unknown");
    }
    Ok(Exit::of(&outcome.findings, outcome.state == ScanState::Complete, arguments.fail_on))
}

/// The first address of a name.
fn resolve(host: &str) -> anyhow::Result<IpAddr> {
    let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    if let Ok(address) = bare.parse() {
        return Ok(address);
    }
    if !agent::is_host_name(host) {
        anyhow::bail!("{host:?} is neither a host name nor an address; ports are named by --ports");
    }
    let mut found = (bare, 0).to_socket_addrs().with_context(|| format!("{host}: the name can't be resolved"))?;
    found.next().map(|a| a.ip()).with_context(|| format!("{host}: the name has no address"))
}

fn bracketed(host: &str) -> String {
    if host.parse::<std::net::Ipv6Addr>().is_ok() { format!("[{host}]") } else { host.into() }
}

fn table(outcome: &Outcome, closed: &[(String, IpAddr, usize, usize)], page: Page) -> String {
    let document = outcome.observation.families.get("services").cloned().unwrap_or_default();
    let services: Services = serde_json::from_value(document).unwrap_or(Services { items: Vec::new() });
    let mut out = String::new();
    for (host, address, refused, silent) in closed {
        let own: Vec<&Service> = services.items.iter().filter(|s| s.address == address.to_string()).collect();
        page.heading(&mut out, &format!("{host} · {address} · {} answer, {refused} refuse, {silent} are silent", own.len()));
        let mut sorted = own;
        sorted.sort_by_key(|s| (s.transport.clone(), s.port));
        let rows: Vec<[String; 6]> = sorted.iter().map(|s| row(s, &outcome.findings)).collect();
        if !rows.is_empty() {
            page.table(&mut out, ["PORT", "PROTOCOL", "TLS", "SIGN-IN", "FINDING", "SAYS"], &rows);
        }
        let _ = writeln!(out);
    }
    let mut failed: Vec<&Finding> = outcome.findings.iter().filter(|f| f.verdict == Verdict::Fail).collect();
    failed.sort_by_key(|f| (std::cmp::Reverse(f.severity), &f.rule, &f.subject));
    let rows: Vec<[String; 4]> = failed.iter().map(|f| [word(f).0.into(), f.rule.clone(), f.subject.clone(), f.message.clone()]).collect();
    if !rows.is_empty() {
        page.table(&mut out, ["SEVERITY", "RULE", "SUBJECT", "FINDING"], &rows);
    }
    out
}

fn row(s: &Service, findings: &[Finding]) -> [String; 6] {
    let protocol = if s.protocol.is_empty() { format!("({})", s.outcome) } else { s.protocol.clone() };
    let worst = findings.iter().filter(|f| f.verdict == Verdict::Fail && f.subject.starts_with(&s.subject)).max_by_key(|f| f.severity);
    let open = if s.open.is_empty() { s.authentication.clone() } else { format!("{}: {}", s.authentication, s.open.join(" ")) };
    let says = [s.versions.join(" "), s.banner.clone()].iter().filter(|t| !t.is_empty()).cloned().collect::<Vec<_>>().join(" · ");
    [format!("{}/{}", s.port, s.transport), protocol, s.tls.clone(), open, worst.map_or(String::new(), |f| word(f).0.into()), says]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_ports_are_read_or_refused() {
        assert_eq!(list("22, 443,8000-8002").unwrap().0.into_iter().collect::<Vec<_>>(), [22, 443, 8000, 8001, 8002]);
        for wrong in ["0", "x", "9-3", "70000", "1-"] {
            assert!(list(wrong).unwrap_err().contains("8000-8100"), "{wrong}");
        }
    }
}
