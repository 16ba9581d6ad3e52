//! Which endpoints are spoken to, and where.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use super::outward::Outward;
use super::{Plan, everywhere};
use crate::facts::listeners::Listener;
use crate::model::gap::{Gaps, reason};
use crate::probe::Limits;

/// One endpoint to speak to.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) subject: String,
    pub(super) transport: &'static str,
    pub(super) address: SocketAddr,
    pub(super) outward: Option<SocketAddr>,
    /// Whether it is bound to all addresses.
    pub(super) is_wildcard: bool,
    pub(super) server_name: String,
    pub(super) local: bool,
    pub(super) scope: String,
    pub(super) process: String,
    pub(super) package: String,
}

/// Listeners and targets, without what is excluded and what can't be resolved.
pub(super) async fn endpoints(plan: &Plan, limits: &Limits, gaps: &mut Gaps) -> Vec<Target> {
    let mut out: Vec<Target> = Vec::new();
    let outward = Outward::find(&plan.listeners);
    for listener in &plan.listeners {
        match of_listener(listener, &outward) {
            Some(target) => out.push(target),
            None => everywhere(gaps, &listener.subject, reason::MALFORMED, "the listener's address is not an IP address and port", ""),
        }
    }
    for text in &plan.targets {
        match of_target(text, limits).await {
            // A listener that somebody names is one that others are meant to reach, wherever it is bound.
            Ok(target) => match out.iter_mut().find(|t| t.subject == target.subject) {
                Some(listener) => listener.scope = target.scope,
                None => {
                    // Another name of a listener of this host.
                    let own = out.iter().find(|t| t.local && t.address == target.address && t.transport == target.transport);
                    let own = own.filter(|_| !target.server_name.is_empty()).cloned();
                    out.push(match own {
                        Some(own) => Target { subject: target.subject, server_name: target.server_name, ..own },
                        None => target,
                    });
                }
            },
            Err((id, detail)) => {
                let (text, transport) = split_transport(split_name(text).0);
                everywhere(gaps, &format!("{text}/{transport}"), id, &detail, "Write the target as HOST:PORT or HOST:PORT/udp, IPv6 in brackets.");
            }
        }
    }
    // Of a UDP socket its item says so.
    let excluded = |t: &Target| t.transport == TCP && is_excluded(t, plan);
    for target in out.iter().filter(|t| excluded(t)) {
        everywhere(gaps, &target.subject, reason::EXCLUDED, EXCLUDED, "Take it off the exclusions to have it examined.");
    }
    out.retain(|t| !excluded(t));
    out
}

/// Why an endpoint was not spoken to.
pub(super) const EXCLUDED: &str = "an exclusion names this endpoint";

pub(super) fn is_excluded(target: &Target, plan: &Plan) -> bool {
    let spoken = target.address.to_string();
    let (bound, transport) = split_transport(split_name(&target.subject).0);
    plan.exclusions
        .iter()
        .any(|e| *e == target.subject || *e == bound || *e == spoken || e.strip_suffix(transport).is_some_and(|e| e.strip_suffix('/') == Some(&spoken)))
}

const TCP: &str = "tcp";
pub(super) const UDP: &str = "udp";

/// `HOST:PORT` and the transport that may stand behind it.
fn split_transport(text: &str) -> (&str, &'static str) {
    match text.rsplit_once('/') {
        Some((rest, UDP)) => (rest, UDP),
        Some((rest, TCP)) => (rest, TCP),
        _ => (text, TCP),
    }
}

/// Between an endpoint and the server name to be asked for.
pub const SNI: &str = " sni ";

/// Endpoint and server name of a target.
fn split_name(text: &str) -> (&str, Option<&str>) {
    text.split_once(SNI).map_or((text, None), |(endpoint, name)| (endpoint, Some(name)))
}

/// A listener is spoken to at its own address; one of all addresses, over loopback.
fn of_listener(listener: &Listener, outward: &Outward) -> Option<Target> {
    let bound: IpAddr = listener.address.split('%').next()?.parse().ok()?;
    let bound = bound.to_canonical();
    let port = u16::try_from(listener.port).ok()?;
    let address = match bound {
        IpAddr::V4(a) if a.is_unspecified() => SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
        IpAddr::V6(a) if a.is_unspecified() => SocketAddr::from((Ipv6Addr::LOCALHOST, port)),
        IpAddr::V6(a) if a.is_unicast_link_local() => SocketAddrV6::new(a, port, 0, outward.interface_of(a).unwrap_or(0)).into(),
        other => SocketAddr::new(other, port),
    };
    let transport = if listener.transport == UDP { UDP } else { TCP };
    let process = listener.process.as_ref();
    Some(Target {
        subject: listener.subject.clone(),
        transport,
        address,
        outward: outward.of(bound, port, transport),
        is_wildcard: bound.is_unspecified(),
        server_name: String::new(),
        local: true,
        scope: listener.scope.clone(),
        process: process.map_or_else(String::new, |p| p.name.clone()),
        package: process.map_or_else(String::new, |p| p.package.clone()),
    })
}

/// `HOST:PORT`, `/udp` behind it for UDP; of a name with several addresses the first that the resolver gives.
async fn of_target(text: &str, limits: &Limits) -> Result<Target, (&'static str, String)> {
    let malformed = || (reason::MALFORMED, format!("target {text:?} is not HOST:PORT"));
    let (text, named) = split_name(text);
    let (text, transport) = split_transport(text);
    let (host, port) = text.rsplit_once(':').ok_or_else(malformed)?;
    let port: u16 = port.parse().ok().filter(|p| *p != 0).ok_or_else(malformed)?;
    let host = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    if host.is_empty() || host.len() > 253 || host.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(malformed());
    }
    let (address, server_name) = match host.parse::<IpAddr>() {
        Ok(ip) => (SocketAddr::new(ip, port), String::new()),
        Err(_) if host.contains(':') => return Err(malformed()),
        Err(_) => {
            let found = tokio::time::timeout(limits.answer_timeout, tokio::net::lookup_host((host, port))).await;
            let mut found = found.map_err(|_| (reason::TIMEOUT, format!("name {host} was not resolved in time")))?;
            let first = found.as_mut().ok().and_then(Iterator::next);
            (first.ok_or_else(|| (reason::UNREACHABLE, format!("name {host} has no address")))?, host.to_string())
        }
    };
    let empty = String::new;
    let (subject, server_name) = match named {
        Some(name) => (format!("{text}/{transport}{SNI}{name}"), name.to_string()),
        None => (format!("{text}/{transport}"), server_name),
    };
    Ok(Target {
        subject,
        transport,
        address,
        outward: None,
        is_wildcard: false,
        server_name,
        local: false,
        scope: "remote".into(),
        process: empty(),
        package: empty(),
    })
}
