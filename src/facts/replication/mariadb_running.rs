//! What a running MariaDB or MySQL says of the servers that it follows and of its replicas.

use std::collections::BTreeMap;

use super::mariadb::link;
use super::{ITEM_LIMIT, ReplicatedServer, Replication, ReplicationLink};
use crate::facts::Document as _;
use crate::facts::database_servers::Instance;
use crate::facts::databases::mariadb::{Client, Refused};
use crate::facts::databases::read_mariadb::told;
use crate::host::Host;
use crate::host::local_socket::{LocalSocket, TALK_TIME};
use crate::model::declared::DatabaseAccess;
use crate::model::fact::Source;
use crate::model::gap::Gaps;

/// The first that the server knows: MariaDB, MySQL 8.0.22 and later, older MySQL.
const QUESTIONS: [&str; 3] = ["SHOW ALL SLAVES STATUS", "SHOW REPLICA STATUS", "SHOW SLAVE STATUS"];
/// ER_PARSE_ERROR.
const NO_SUCH_STATEMENT: u16 = 1064;
/// What tells of replicas, on the server that they follow.
const STATUS: &str = "SHOW GLOBAL STATUS WHERE Variable_name IN ('Rpl_semi_sync_master_status', 'Rpl_semi_sync_master_clients', 'Rpl_semi_sync_source_status', \
     'Rpl_semi_sync_source_clients', 'Slaves_connected', 'wsrep_cluster_size', 'wsrep_ready')";
const REMEDY: &str = "As root: GRANT SLAVE MONITOR ON *.* TO assay@localhost; and name the user under databases in the agent's configuration.";

/// A row by column name.
type Named = BTreeMap<String, Option<String>>;

pub fn read(host: &Host, access: &DatabaseAccess, instance: &Instance, server: &mut ReplicatedServer, links: &mut Vec<ReplicationLink>, gaps: &mut Gaps) {
    let mut refused = |path: &str, subject: &str, refused: &Refused| {
        let (id, detail) = told(refused, "the state of replication");
        gaps.note(Replication::NAME, path, subject, id, format!("{}: {detail}", access.socket), REMEDY);
    };
    let known: Vec<String> = links.iter().map(|l| l.subject.clone()).collect();
    let client = LocalSocket::connect(host, &access.socket, TALK_TIME).map_err(Refused::Socket).and_then(|s| Client::sign_in(s, &access.user));
    let mut client = match client {
        Ok(client) => client,
        Err(error) => {
            for path in ["links", "servers.role", "servers.synchronous_now"] {
                refused(path, &instance.subject, &error);
            }
            for subject in &known {
                refused("links.running", subject, &error);
                refused("links.lag_seconds", subject, &error);
            }
            return;
        }
    };
    match sources(&mut client) {
        Ok(rows) => {
            let told: Vec<ReplicationLink> = rows.iter().take(ITEM_LIMIT).filter_map(|row| followed(instance, access, row, links)).collect();
            *links = told;
        }
        Err(error) => {
            refused("links", &instance.subject, &error);
            for subject in &known {
                refused("links.running", subject, &error);
                refused("links.lag_seconds", subject, &error);
            }
        }
    }
    match client.query(STATUS) {
        Ok(rows) => {
            let values: BTreeMap<String, String> = rows.iter().filter_map(|r| Some((r.first()?.clone()?.to_ascii_lowercase(), r.get(1)?.clone()?))).collect();
            replicas(server, links, &values);
        }
        Err(error) => {
            refused("servers.role", &instance.subject, &error);
            refused("servers.synchronous_now", &instance.subject, &error);
        }
    }
}

fn sources(client: &mut Client) -> Result<Vec<Named>, Refused> {
    let mut last = Err(Refused::Server(NO_SUCH_STATEMENT));
    for question in QUESTIONS {
        last = client.named(question);
        if !matches!(last, Err(Refused::Server(NO_SUCH_STATEMENT))) {
            break;
        }
    }
    last
}

/// One source; where a file tells of it, that stays its place.
fn followed(instance: &Instance, access: &DatabaseAccess, row: &Named, known: &[ReplicationLink]) -> Option<ReplicationLink> {
    let value = |names: [&str; 2]| names.into_iter().find_map(|n| row.get(n)).cloned().flatten().unwrap_or_default();
    let host = value(["master_host", "source_host"]);
    if host.is_empty() {
        return None;
    }
    let tls = if value(["master_ssl_allowed", "source_ssl_allowed"]) == "Yes" { "required" } else { "none" };
    let place = Source { place: access.socket.clone(), line: 0, directive: "SHOW SLAVE STATUS".into() };
    let mut out = link(instance, &value(["connection_name", "channel_name"]), &host, tls, place);
    if let Some(file) = known.iter().find(|l| l.subject.eq_ignore_ascii_case(&out.subject)) {
        out.source = file.source.clone();
    }
    let receives = value(["slave_io_running", "replica_io_running"]);
    let applies = value(["slave_sql_running", "replica_sql_running"]);
    out.running = Some(receives == "Yes" && applies == "Yes");
    out.state = match (receives.as_str(), applies.as_str()) {
        ("Yes", "Yes") => "running",
        ("Connecting" | "Preparing", "Yes") => "connecting",
        _ => "stopped",
    }
    .into();
    out.lag_seconds = value(["seconds_behind_master", "seconds_behind_source"]).parse().ok();
    Some(out)
}

/// What the server says of those that follow it.
fn replicas(server: &mut ReplicatedServer, links: &[ReplicationLink], values: &BTreeMap<String, String>) {
    let number = |names: [&str; 2]| names.into_iter().find_map(|n| values.get(n)).and_then(|v| v.parse::<u64>().ok()).unwrap_or(0);
    let clients = number(["rpl_semi_sync_master_clients", "rpl_semi_sync_source_clients"]);
    let is_on = ["rpl_semi_sync_master_status", "rpl_semi_sync_source_status"].into_iter().any(|n| values.get(n).is_some_and(|v| v == "ON"));
    let has_replicas = clients > 0 || number(["slaves_connected", "slaves_connected"]) > 0;
    if server.role != "primary" {
        server.role = if has_replicas {
            "primary"
        } else if links.is_empty() {
            "none"
        } else {
            "standby"
        }
        .into();
        if server.role == "primary" && server.mode == "none" {
            server.mode = "asynchronous".into();
        }
    }
    if server.role == "primary" {
        let cluster = number(["wsrep_cluster_size", "wsrep_cluster_size"]) > 1 && values.get("wsrep_ready").is_some_and(|v| v == "ON");
        server.synchronous_now = Some(if server.mode == "synchronous" { cluster } else { is_on && clients > 0 });
    }
}
