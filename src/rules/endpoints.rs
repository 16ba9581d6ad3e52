//! The derived family `endpoints`: each configured endpoint beside what its socket showed.
//!
//! A pure function of the observation, so host and collector come to the same answer. A family joins by its name in
//! [`FAMILIES`] and by its list `endpoints` of [`ConfiguredEndpoint`].

use serde::Deserialize;
use serde_json::Value;

use crate::model::compared::{Compared, Endpoints, NAME};
use crate::model::configured::ConfiguredEndpoint;
use crate::model::fact::Observation;
use crate::model::gap::{Gap, reason};

/// Families with a list of configured endpoints.
const FAMILIES: [&str; 5] = ["web", "mail", "ftp", "directory", "database_servers"];

/// Those of them that every whole scan reads: without one, endpoints may be missing.
const ALWAYS: [&str; 2] = ["web", "mail"];

/// Names of processes by program, where they differ from it. A socket that another process holds belongs to another configuration.
const PROCESSES: [(&str, &[&str]); 7] = [
    ("apache", &["apache2", "httpd", "httpd-prefork"]),
    ("postfix", &["master", "smtpd", "postscreen"]),
    ("dovecot", &["dovecot", "imap-login", "pop3-login", "managesieve-login", "submission-login", "lmtp"]),
    ("mariadb", &["mariadbd", "mysqld"]),
    ("mysql", &["mysqld"]),
    ("postgresql", &["postgres"]),
    ("redis", &["redis-server", "valkey-server"]),
];

/// A TLS endpoint of the wire; fields of no use here are left out.
#[derive(Debug, Deserialize)]
struct Wire {
    subject: String,
    address: String,
    port: u32,
    process: String,
    scope: String,
    outcome: String,
    server_name: String,
    accepted: Vec<String>,
}

/// What was identified behind a socket.
#[derive(Debug, Deserialize)]
struct Service {
    subject: String,
    transport: String,
    address: String,
    port: u32,
    process: String,
    local: bool,
    outcome: String,
    tls: String,
}

/// The family, and what could not be compared; `None` without any family that has configured endpoints.
pub fn derive(observation: &Observation) -> (Option<Endpoints>, Vec<Gap>) {
    let mut gaps = Vec::new();
    let configured: Vec<(&str, Vec<ConfiguredEndpoint>)> = FAMILIES
        .iter()
        .filter_map(|family| observation.families.get(*family).map(|document| (*family, read(document, "endpoints", family, &mut gaps))))
        .collect();
    for family in ALWAYS.iter().filter(|f| !observation.families.contains_key(**f)) {
        gaps.push(Gap { subject: (*family).into(), ..gap("items", reason::MISSING, format!("{family} was not observed"), "") });
    }
    let wanted = configured.iter().any(|(_, list)| list.iter().any(|e| e.transport == "tcp"));
    let Some((tls, services)) = observation.families.get("tls").zip(observation.families.get("services")) else {
        if wanted {
            gaps.push(gap("", reason::MISSING, "what sockets accept was not observed".into(), "Scan the machine itself with its probes."));
        }
        return (if wanted { None } else { Some(Endpoints::default()) }, gaps);
    };
    let wires: Vec<Wire> = read(tls, "endpoints", "tls", &mut gaps);
    let services: Vec<Service> = read(services, "items", "services", &mut gaps);
    let mut out = Endpoints::default();
    for (family, list) in &configured {
        let mut sockets: Vec<(&str, &str, u32)> = Vec::new();
        for endpoint in list.iter().filter(|e| e.transport == "tcp") {
            // The first one of a socket answers clients that send no name.
            let key = (endpoint.program.as_str(), endpoint.address.as_str(), endpoint.port);
            let is_default = !sockets.contains(&key);
            sockets.push(key);
            let Some(item) = compare(family, endpoint, is_default, &wires, &services) else { continue };
            for unseen in observation.gaps.iter().filter(|g| matches!(g.family.as_str(), "tls" | "services") && g.subject == item.seen) {
                if covers(unseen) {
                    gaps.push(Gap { family: NAME.into(), path: "items".into(), subject: item.subject.clone(), ..unseen.clone() });
                }
            }
            out.items.push(item);
        }
    }
    hand_on(&observation.gaps, &out.items, &mut gaps);
    gaps.sort();
    gaps.dedup();
    (Some(out), gaps)
}

fn gap(path: &str, id: &str, detail: String, remedy: &str) -> Gap {
    Gap { family: NAME.into(), path: path.into(), subject: String::new(), reason: id.into(), detail, remedy: remedy.into() }
}

fn read<T: for<'de> Deserialize<'de>>(document: &Value, field: &str, family: &str, gaps: &mut Vec<Gap>) -> Vec<T> {
    match document.get(field).map(Vec::<T>::deserialize) {
        Some(Ok(list)) => list,
        Some(Err(e)) => {
            gaps.push(gap("items", reason::MALFORMED, format!("{family}.{field} is not as this version writes it: {e}"), ""));
            Vec::new()
        }
        None => Vec::new(),
    }
}

/// Gaps of the configuration that hide endpoints or their versions here. One that names nothing touches what its family has,
/// and stands for what the family may lack under the family's own name.
fn hand_on(old: &[Gap], items: &[Compared], gaps: &mut Vec<Gap>) {
    for gap in old.iter().filter(|g| FAMILIES.contains(&g.family.as_str())) {
        if !["", "endpoints", "endpoints.versions", "endpoints.tls"].contains(&gap.path.as_str()) {
            continue;
        }
        let here = |subject: &str| Gap { family: NAME.into(), path: "items".into(), subject: subject.into(), ..gap.clone() };
        if gap.subject.is_empty() {
            gaps.push(here(&gap.family));
            gaps.extend(items.iter().filter(|i| i.family == gap.family).map(|i| here(&i.subject)));
        } else {
            gaps.push(here(&gap.subject));
        }
    }
}

/// Whether a gap of the wire touches what is compared.
fn covers(gap: &Gap) -> bool {
    let paths = ["", "endpoints", "endpoints.accepted", "items", "items.tls"];
    paths.contains(&gap.path.as_str())
}

fn is_any(address: &str) -> bool {
    matches!(address, "0.0.0.0" | "::")
}

/// Same port, and the same address, or one of them stands for all.
fn meets(endpoint: &ConfiguredEndpoint, address: &str, port: u32) -> bool {
    let fits = endpoint.address == address
        || is_any(address)
        || is_any(&endpoint.address)
        || (endpoint.address == "localhost" && matches!(address, "127.0.0.1" | "::1"));
    port == endpoint.port && fits
}

/// The exact address before one that stands for all.
fn closeness(endpoint: &ConfiguredEndpoint, address: &str) -> u8 {
    if endpoint.address == address {
        0
    } else if is_any(address) && is_any(&endpoint.address) {
        1
    } else {
        2
    }
}

/// Address to which a socket is bound, which its subject tells: one of all addresses is spoken to over loopback.
fn bound<'s>(subject: &'s str, spoken: &'s str) -> &'s str {
    let socket = subject.split([' ', '/']).next().and_then(|s| s.rsplit_once(':'));
    socket.map_or(spoken, |(address, _)| address.trim_start_matches('[').trim_end_matches(']'))
}

fn holds(program: &str, process: &str) -> bool {
    let known = PROCESSES.iter().find(|(name, _)| *name == program).map(|(_, processes)| *processes);
    process.is_empty() || known.map_or_else(|| process == program || process.starts_with(program) || program.starts_with(process), |p| p.contains(&process))
}

fn compare(family: &str, endpoint: &ConfiguredEndpoint, is_default: bool, wires: &[Wire], services: &[Service]) -> Option<Compared> {
    let asks = |wire: &&Wire| match wire.server_name.as_str() {
        "" => is_default,
        name => endpoint.names.iter().any(|n| n.eq_ignore_ascii_case(name)),
    };
    let ours =
        |wire: &&Wire| wire.scope != "remote" && meets(endpoint, bound(&wire.subject, &wire.address), wire.port) && holds(&endpoint.program, &wire.process);
    let wire = wires.iter().filter(ours).filter(asks).min_by_key(|w| (closeness(endpoint, bound(&w.subject, &w.address)), w.server_name.is_empty()));
    let source = if endpoint.versions_source.place.is_empty() { &endpoint.source } else { &endpoint.versions_source };
    let item = |seen: &str, accepted: &[String], excluded: Vec<String>, agreement: &str| Compared {
        subject: endpoint.subject.clone(),
        family: family.into(),
        seen: seen.into(),
        tls: endpoint.tls.clone(),
        configured: endpoint.versions.clone(),
        accepted: accepted.to_vec(),
        excluded,
        agreement: agreement.into(),
        source: source.clone(),
    };
    if let Some(wire) = wire.filter(|w| w.outcome == "tls" || !w.accepted.is_empty()) {
        if endpoint.tls == "none" {
            return Some(item(&wire.subject, &wire.accepted, Vec::new(), "encrypted"));
        }
        let configured = endpoint.versions.as_deref();
        let excluded: Vec<String> = wire.accepted.iter().filter(|v| configured.is_some_and(|c| !c.contains(v))).cloned().collect();
        let agreement = match (excluded.is_empty(), wire.accepted.is_empty()) {
            (false, _) => "wider",
            (true, true) => "refused",
            (true, false) => "same",
        };
        return Some(item(&wire.subject, &wire.accepted, excluded, agreement));
    }
    if let Some(wire) = wire.filter(|w| w.outcome == "alert" && endpoint.tls != "none") {
        return Some(item(&wire.subject, &[], Vec::new(), "refused"));
    }
    let same = |s: &&Service| {
        s.local
            && s.transport == "tcp"
            && s.outcome == "identified"
            && meets(endpoint, bound(&s.subject, &s.address), s.port)
            && holds(&endpoint.program, &s.process)
    };
    let service = services.iter().filter(same).min_by_key(|s| closeness(endpoint, bound(&s.subject, &s.address)))?;
    match (service.tls.as_str(), endpoint.tls.as_str()) {
        ("none", "required" | "offered") => Some(item(&service.subject, &[], Vec::new(), "plaintext")),
        ("none" | "optional" | "required", "none") => Some(item(&service.subject, &[], Vec::new(), "same")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn endpoint(address: &str, port: u32, names: &[&str], tls: &str, versions: Option<&[&str]>) -> Value {
        json!({"subject": format!("nginx {address}:{port}{}", names.first().map(|n| format!(" {n}")).unwrap_or_default()), "program": "nginx", "address": address,
            "port": port, "transport": "tcp", "names": names, "tls": tls, "versions": versions, "ciphers": "", "certificates": [], "keys": [],
            "source": {"place": "/n", "line": 1, "directive": "listen"}, "versions_source": {"place": "", "line": 0, "directive": ""}})
    }

    fn wire(address: &str, port: u32, process: &str, name: &str, accepted: &[&str]) -> Value {
        json!({"subject": format!("{address}:{port}/tcp{name}"), "address": address, "port": port, "process": process, "scope": "any", "outcome": "tls",
            "server_name": name, "accepted": accepted})
    }

    fn derived(endpoints: Vec<Value>, wires: Vec<Value>, services: Vec<Value>, gaps: Vec<Gap>) -> (Vec<String>, usize) {
        let families = [
            ("web", json!({"endpoints": endpoints})),
            ("tls", json!({"endpoints": wires})),
            ("services", json!({"items": services})),
            ("mail", json!({"endpoints": []})),
        ];
        let observation = Observation { gathered_at: 0, families: families.into_iter().map(|(n, v)| (n.to_string(), v)).collect(), gaps };
        let (found, gaps) = derive(&observation);
        (found.unwrap().items.iter().map(|i| format!("{} {} {}", i.subject, i.agreement, i.excluded.join(","))).collect(), gaps.len())
    }

    #[test]
    fn the_wire_is_compared_with_the_file() {
        let strict: &[&str] = &["TLSv1.2", "TLSv1.3"];
        let one = |versions, accepted: &[&str]| {
            derived(vec![endpoint("0.0.0.0", 443, &[], "required", versions)], vec![wire("[::]", 443, "nginx", "", accepted)], vec![], vec![]).0
        };
        assert_eq!(one(Some(strict), &["TLSv1.2"]), ["nginx 0.0.0.0:443 same "]);
        assert_eq!(one(Some(strict), &["TLSv1.1", "TLSv1.2"]), ["nginx 0.0.0.0:443 wider TLSv1.1"]);
        assert_eq!(one(Some(strict), &[]), ["nginx 0.0.0.0:443 refused "]);
        assert_eq!(one(None, &["TLSv1.0"]), ["nginx 0.0.0.0:443 same "]);
        let none = derived(vec![endpoint("0.0.0.0", 443, &[], "none", None)], vec![wire("0.0.0.0", 443, "nginx", "", &["TLSv1.2"])], vec![], vec![]).0;
        assert_eq!(none, ["nginx 0.0.0.0:443 encrypted "]);
        // Another program's socket, and one that nobody holds.
        let endpoints = || vec![endpoint("0.0.0.0", 443, &[], "required", Some(strict))];
        assert!(
            derived(endpoints(), vec![wire("0.0.0.0", 443, "haproxy", "", &["TLSv1.0"]), wire("0.0.0.0", 444, "nginx", "", &["TLSv1.0"])], vec![], vec![])
                .0
                .is_empty()
        );
        let plain = json!({"subject": "0.0.0.0:443/tcp", "transport": "tcp", "address": "0.0.0.0", "port": 443, "process": "nginx", "local": true, "outcome": "identified", "tls": "none"});
        assert_eq!(derived(endpoints(), vec![], vec![plain], vec![]).0, ["nginx 0.0.0.0:443 plaintext "]);
    }

    #[test]
    fn names_are_compared_with_what_was_asked_by_name() {
        let strict: &[&str] = &["TLSv1.3"];
        let endpoints = vec![endpoint("0.0.0.0", 443, &["a"], "required", Some(strict)), endpoint("0.0.0.0", 443, &["b"], "required", Some(strict))];
        let wires = vec![wire("0.0.0.0", 443, "nginx", "", &["TLSv1.3"]), wire("0.0.0.0", 443, "nginx", "b", &["TLSv1.2"])];
        assert_eq!(derived(endpoints.clone(), wires.clone(), vec![], vec![]).0, ["nginx 0.0.0.0:443 a same ", "nginx 0.0.0.0:443 b wider TLSv1.2"]);
        let old = |family: &str, path: &str, subject: &str| Gap {
            family: family.into(),
            path: path.into(),
            subject: subject.into(),
            reason: "timeout".into(),
            detail: String::new(),
            remedy: String::new(),
        };
        assert_eq!(
            derived(
                endpoints.clone(),
                wires.clone(),
                vec![],
                vec![old("tls", "endpoints.accepted", "0.0.0.0:443/tcp"), old("tls", "chains", "0.0.0.0:443/tcp")]
            )
            .1,
            1
        );
        assert_eq!(
            derived(endpoints.clone(), wires.clone(), vec![], vec![old("web", "endpoints.versions", "nginx 0.0.0.0:443 a"), old("web", "sites", "")]).1,
            1
        );
        assert_eq!(
            derived(endpoints, wires, vec![], vec![old("web", "", ""), old("mail", "endpoints", "")]).1,
            4,
            "both of the web's, and one for each family"
        );
    }

    #[test]
    fn without_probes_there_is_a_gap_where_there_is_something_to_compare() {
        let of = |endpoints: Vec<Value>| {
            let families = [("web".to_string(), json!({"endpoints": endpoints}))].into();
            derive(&Observation { gathered_at: 0, families, gaps: Vec::new() })
        };
        assert_eq!(of(vec![]).0, Some(Endpoints::default()));
        let (found, gaps) = of(vec![endpoint("::", 80, &[], "none", None)]);
        assert!(found.is_none() && gaps.len() == 2);
    }
}
