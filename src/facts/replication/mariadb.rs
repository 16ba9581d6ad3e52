//! Replication of MariaDB and MySQL servers as they are configured: `master.info` files in the data
//! folder (MariaDB documentation, "Multi-Source Replication"), semi-synchronous plugins, Galera.
//!
//! ```text
//! master.info   lines: their number, log file, position, host, user, password, port, retry, TLS (0 or 1), …
//! multi-master.info   names of further connections, one a line; master-NAME.info
//! ```

use super::conninfo::is_other_machine;
use super::{ITEM_LIMIT, PATHS, ReplicatedServer, Replication, ReplicationLink, mariadb_running, note_unasked};
use crate::facts::Document as _;
use crate::facts::database_servers::{Instance, Running, instances};
use crate::facts::databases::MARIADB_REMEDY;
use crate::host::{CONFIG_LIMIT, Host};
use crate::model::fact::Source;
use crate::model::gap::{Gaps, reason};

pub fn gather(host: &Host, processes: &[Running], into: &mut Replication, gaps: &mut Gaps) {
    for instance in instances(host, processes, Replication::NAME, &PATHS, gaps) {
        let mut links = sources(host, &instance, gaps);
        let mut server = server(&instance, &links);
        match instance.declared(host).filter(|_| instance.running == Some(true)) {
            Some(access) => mariadb_running::read(host, access, &instance, &mut server, &mut links, gaps),
            None => {
                let subjects: Vec<String> = links.iter().map(|l| l.subject.clone()).collect();
                note_unasked(host, gaps, &instance.subject, &subjects, &["links.running", "links.lag_seconds"], MARIADB_REMEDY);
                // Replicas leave no trace in the files of a server that keeps a log for them.
                if server.role != "standby" && instance.is_on("log_bin") {
                    note_unasked(host, gaps, &instance.subject, &[], &["servers.role", "servers.synchronous_now"], MARIADB_REMEDY);
                }
            }
        }
        if server.role == "none" {
            server.mode = "none".into();
        }
        into.servers.push(server);
        into.links.append(&mut links);
    }
}

fn server(instance: &Instance, links: &[ReplicationLink]) -> ReplicatedServer {
    let given = |name: &str| instance.values.get(name).map(|v| v.1.clone()).unwrap_or_default();
    let semi = ["rpl_semi_sync_master_enabled", "rpl_semi_sync_source_enabled"].into_iter().find(|name| instance.is_on(name));
    let is_cluster = instance.is_on("wsrep_on") && !instance.text("wsrep_cluster_address").is_empty();
    let role = match () {
        () if is_cluster || semi.is_some() => "primary",
        () if !links.is_empty() => "standby",
        () => "none",
    };
    let (mode, mode_source) = match semi {
        _ if is_cluster => ("synchronous", given("wsrep_cluster_address")),
        Some(name) => ("semi-synchronous", given(name)),
        None if role == "standby" => ("none", Source::default()),
        None => ("asynchronous", Source::default()),
    };
    ReplicatedServer {
        subject: instance.subject.clone(),
        engine: instance.engine.clone(),
        role: role.into(),
        mode: mode.into(),
        mode_source,
        source: Source::whole(&instance.config),
        ..ReplicatedServer::default()
    }
}

/// The servers that this one follows.
fn sources(host: &Host, instance: &Instance, gaps: &mut Gaps) -> Vec<ReplicationLink> {
    let mut out = Vec::new();
    let named = instance.text("master_info_file");
    let main = if named.is_empty() { "master.info" } else { named };
    let main = if main.starts_with('/') { main.to_string() } else { format!("{}/{main}", instance.data) };
    let mut files = vec![(String::new(), main.clone())];
    let (stem, end) = main.strip_suffix(".info").map_or((main.as_str(), ""), |stem| (stem, ".info"));
    let list = format!("{}/multi-{}", main.rsplit_once('/').map_or("", |(f, _)| f), main.rsplit('/').next().unwrap_or_default());
    let mut gap = |error: crate::host::ReadError| gaps.add(error.to_gap(Replication::NAME, "links", &instance.subject));
    match host.read_text(&list, CONFIG_LIMIT) {
        Ok(text) => files.extend(
            text.lines().map(str::trim).filter(|n| !n.is_empty()).take(ITEM_LIMIT).map(|n| (n.to_string(), format!("{stem}-{}{end}", n.to_lowercase()))),
        ),
        Err(e) if e.is_not_found() => {}
        Err(e) => gap(e),
    }
    for (name, path) in files {
        match host.read_text(&path, CONFIG_LIMIT) {
            Ok(text) => out.extend(source(instance, &name, &path, &text)),
            Err(e) if e.is_not_found() => {}
            Err(e) => gap(e),
        }
    }
    if out.is_empty() && instance.engine == "mysql" && instance.declared(host).is_none() && keeps_relay_log(host, instance) {
        let detail = format!("{} keeps a relay log; which server it follows stands in a table that is not read", instance.data);
        gaps.note(Replication::NAME, "links", &instance.subject, reason::UNSUPPORTED, detail, MARIADB_REMEDY);
    }
    out
}

fn keeps_relay_log(host: &Host, instance: &Instance) -> bool {
    host.list(&instance.data).unwrap_or_default().iter().any(|e| e.name.contains("-relay-bin."))
}

fn source(instance: &Instance, name: &str, path: &str, text: &str) -> Option<ReplicationLink> {
    let lines: Vec<&str> = text.lines().take(16).collect();
    let line = |index: usize| lines.get(index).copied().unwrap_or_default().trim();
    // The number of lines tells files with TLS from those of old releases; RESET leaves a file without a host.
    let has_count = line(0).parse::<u32>().is_ok_and(|n| n >= 14);
    let host = line(if has_count { 3 } else { 2 });
    if host.is_empty() {
        return None;
    }
    let tls = if has_count && line(8) == "1" { "required" } else { "none" };
    Some(link(instance, name, host, tls, Source::line(path, if has_count { 4 } else { 3 }, "Master_Host")))
}

/// A link to the server that is followed.
pub fn link(instance: &Instance, name: &str, host: &str, tls: &str, source: Source) -> ReplicationLink {
    let shown = if name.is_empty() { host.to_string() } else { format!("{host} ({name})") };
    ReplicationLink {
        subject: format!("{} from {shown}", instance.subject),
        server: instance.subject.clone(),
        engine: instance.engine.clone(),
        direction: "from".into(),
        peer: host.into(),
        other_machine: is_other_machine(host),
        tls: tls.into(),
        source,
        ..ReplicationLink::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::HostFamily as _;
    use crate::host::testing::rooted;

    const STATUS: &str = "Package: mariadb-server-core\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1:10.11.19-0+deb12u1\n\n";

    #[test]
    fn sources_of_the_files() {
        let (_root, host) = rooted(&[
            ("/var/lib/dpkg/status", STATUS),
            ("/etc/mysql/my.cnf", "[mysqld]\ndatadir=/d\nlog-bin\n"),
            ("/d/master.info", "33\n\n4\n10.0.0.5\nr\nverysecret\n3306\n60\n1\n\n"),
            ("/d/multi-master.info", "Second\n"),
            ("/d/master-second.info", "33\n\n4\n127.0.0.1\nr\nx\n3306\n60\n0\n"),
        ]);
        let mut gaps = Gaps::new();
        let found = Replication::gather(&host, &mut gaps).unwrap();
        let links: Vec<String> = found.links.iter().map(|l| format!("{} {} {} {}", l.subject, l.other_machine, l.tls, l.source.place)).collect();
        assert_eq!(
            links,
            [
                "mariadb /etc/mysql/my.cnf from 10.0.0.5 true required /d/master.info",
                "mariadb /etc/mysql/my.cnf from 127.0.0.1 (Second) false none /d/master-second.info"
            ]
        );
        assert_eq!((found.servers[0].role.as_str(), found.servers[0].mode.as_str()), ("standby", "none"));
        assert!(!serde_json::to_string(&found).unwrap().contains("verysecret"));
        let (_root, host) = rooted(&[
            ("/var/lib/dpkg/status", STATUS),
            ("/etc/mysql/my.cnf", "[mysqld]\ndatadir=/d\nlog-bin\nrpl_semi_sync_master_enabled=1\n"),
            ("/d/master.info", "33\n\n4\n\n\n\n3306\n60\n0\n"),
        ]);
        let mut gaps = Gaps::new();
        let found = Replication::gather(&host, &mut gaps).unwrap();
        assert_eq!((found.links.len(), found.servers[0].role.as_str(), found.servers[0].mode.as_str()), (0, "primary", "semi-synchronous"));
        assert!(gaps.into_sorted().iter().any(|g| g.path == "servers.synchronous_now"));
    }
}
