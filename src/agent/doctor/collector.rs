//! The way to the collector, step by step: name, connection, its certificate, ours, a heartbeat.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::TcpStream;
use tokio::time::timeout;

use super::super::identity::Identity;
use super::super::upload::{Client, Heartbeat, Route};
use super::{Findings, Patient};
use crate::host::clock;
use crate::pki;

/// Longest wait for each step.
const STEP: Duration = Duration::from_secs(10);
/// Most addresses of a name that are tried.
const MAX_ADDRESSES: usize = 16;
/// A clock that differs by more is a gap, seconds.
const SKEW: i64 = 60;

/// Reaches for the collector.
pub(super) fn reach(patient: &Patient, findings: &mut Findings) {
    let Some(identity) = &patient.identity else {
        return findings.unknown("collector", "this machine is not enrolled");
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(e) => return findings.gap("collector", format!("can't be asked: {e}"), "nothing can be sent", "Free memory and file descriptors."),
    };
    runtime.block_on(steps(patient, identity, findings));
    // A resolver that hangs is let go.
    runtime.shutdown_background();
}

async fn steps(patient: &Patient, identity: &Identity, findings: &mut Findings) {
    let config = &patient.config;
    let url = if config.collector.is_empty() { &identity.collector } else { &config.collector };
    let collector = url.trim_start_matches("https://").trim_end_matches('/');
    let proxy = &config.proxy;
    let (target, whose) = if proxy.is_set() { (proxy.authority(), "proxy") } else { (collector, "collector") };
    let Some(stream) = connect(target, whose, findings).await else {
        return findings.unknown("heartbeat", "there is no connection");
    };
    if !proxy.is_set() && !handshake(stream, collector, patient, identity, findings).await {
        return findings.unknown("heartbeat", "there is no trusted connection");
    }
    heartbeat(patient, identity, findings).await;
}

/// The first address that takes a connection.
async fn connect(target: &str, whose: &str, findings: &mut Findings) -> Option<TcpStream> {
    let cure = format!("Check the address of the {whose} and the name servers of this machine (/etc/resolv.conf).");
    let addresses: Vec<SocketAddr> = match timeout(STEP, tokio::net::lookup_host(target)).await {
        Ok(Ok(found)) => found.take(MAX_ADDRESSES).collect(),
        Ok(Err(e)) => {
            findings.gap("name", format!("{target} is not resolved: {e}"), "nothing can be delivered", cure);
            return None;
        }
        Err(_) => {
            findings.gap("name", format!("{target} is not resolved within {} s", STEP.as_secs()), "nothing can be delivered", cure);
            return None;
        }
    };
    let shown = addresses.iter().map(|a| a.ip().to_string()).collect::<Vec<_>>().join(", ");
    findings.ok("name", format!("{whose} {target} is {shown}"));
    let mut refusals = Vec::new();
    for address in &addresses {
        let begun = Instant::now();
        match timeout(STEP, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                findings.ok("connection", format!("{address} answers in {} ms", begun.elapsed().as_millis()));
                return Some(stream);
            }
            Ok(Err(e)) => refusals.push(format!("{address}: {e}")),
            Err(_) => refusals.push(format!("{address}: no answer within {} s", STEP.as_secs())),
        }
    }
    let cure = format!("Start the {whose}, or open outgoing TCP to it in the packet filter and on the way.");
    findings.gap("connection", refusals.join("; "), "nothing can be delivered", cure);
    None
}

/// Whether the server proves to be the collector of the enrolment.
async fn handshake(stream: TcpStream, collector: &str, patient: &Patient, identity: &Identity, findings: &mut Findings) -> bool {
    let floor = patient.remembered.as_ref().map_or(0, |s| s.received);
    let name = collector.rsplit_once(':').map_or(collector, |(host, _)| host).trim_matches(['[', ']']).to_string();
    let client = pki::tls::agent_client(&identity.ca, &identity.certificate, &identity.key, floor);
    let (client, name) = match (client, rustls::pki_types::ServerName::try_from(name)) {
        (Ok(client), Ok(name)) => (client, name),
        (Err(e), _) => {
            findings.gap("tls", e.to_string(), "no connection can be made", "Move the state folder away and enrol again.");
            return false;
        }
        (_, Err(e)) => {
            findings.gap("tls", e.to_string(), "the collector's certificate can't be checked", "Mend the address of the collector.");
            return false;
        }
    };
    let cure = "Check that the address leads to the collector of the enrolment and no one in between breaks TLS open; after a change of the collector's authority enrol again.";
    match timeout(STEP, tokio_rustls::TlsConnector::from(Arc::new(client)).connect(name, stream)).await {
        Ok(Ok(stream)) => {
            let version = stream.get_ref().1.protocol_version().map_or("TLS", |v| v.as_str().unwrap_or("TLS"));
            findings.ok("tls", format!("{}, certified by the authority of the enrolment", version.replace('_', ".")));
            true
        }
        Ok(Err(e)) => {
            findings.gap("tls", e.to_string(), "the server does not prove to be the collector of the enrolment, so it is told nothing", cure);
            false
        }
        Err(_) => {
            findings.gap("tls", format!("no handshake within {} s", STEP.as_secs()), "nothing can be delivered", cure);
            false
        }
    }
}

/// A real heartbeat, as the agent would send it now.
async fn heartbeat(patient: &Patient, identity: &Identity, findings: &mut Findings) {
    let state = patient.remembered.as_ref();
    let route = Route { collector: &patient.config.collector, proxy: patient.config.proxy.clone(), floor: state.map_or(0, |s| s.received) };
    let beat = Heartbeat {
        acknowledged: state.map_or(0, |s| s.acknowledged),
        agent: env!("CARGO_PKG_VERSION"),
        checkpoint_size: state.map_or(0, |s| s.checkpoint_size),
        lineage: state.map_or(identity.lineage, |s| s.lineage),
        now: clock::unix_now(),
        sequence: state.map_or(0, |s| s.next_sequence.saturating_sub(1)),
    };
    let begun = Instant::now();
    let answer = match Client::new(identity, &route) {
        Ok(client) => client.heartbeat(&beat).await,
        Err(e) => Err(e),
    };
    match answer {
        Ok(answer) => {
            findings.ok("heartbeat", format!("the collector knows this host, {} ms", begun.elapsed().as_millis()));
            let skew = answer.now.saturating_sub(clock::unix_now());
            if skew.saturating_abs() > SKEW {
                let what = format!("this clock is {} s {} the collector's", skew.saturating_abs(), if skew > 0 { "behind" } else { "ahead of" });
                findings.gap(
                    "clock",
                    what,
                    "times in reports are wrong, and windows are missed or doubled",
                    "timedatectl set-ntp true, or another time service",
                );
            } else {
                findings.ok("clock", format!("within {SKEW} s of the collector's"));
            }
        }
        Err(e) => {
            let cure = match e {
                _ if e.is_refusal("certificate-expired") => "Let the agent run: it renews by itself for 400 days.",
                _ if e.is_refusal("unknown-host") => {
                    "The host was retired, or the collector was restored from an older backup: ask who runs it, or enrol again."
                }
                _ if e.retry_after().is_some() => "The collector has too much to do: the agent tries again by itself.",
                _ => "Mend what the message says.",
            };
            findings.gap("heartbeat", e.to_string(), "nothing is delivered", cure);
            findings.unknown("clock", "the collector did not tell its time");
        }
    }
}
