//! What a running PostgreSQL says of its replicas, its source and its slots (PostgreSQL manual,
//! "The Cumulative Statistics System", pg_replication_slots).

use super::conninfo::is_other_machine;
use super::postgresql::Found;
use super::{ITEM_LIMIT, Replication, ReplicationLink, ReplicationSlot};
use crate::facts::Document as _;
use crate::facts::database_servers::Cluster;
use crate::facts::databases::postgresql::{Client, Refused, Row};
use crate::facts::databases::read_postgresql::told;
use crate::host::Host;
use crate::host::local_socket::{LocalSocket, TALK_TIME};
use crate::model::declared::DatabaseAccess;
use crate::model::fact::Source;
use crate::model::gap::{Gaps, reason};

const IN_RECOVERY: &str = "SELECT pg_is_in_recovery()";
/// Lag in time is null when nothing happened lately: then the bytes tell that nothing is missing.
const SENDERS: &str = "SELECT r.application_name, COALESCE(host(r.client_addr), ''), r.state, r.sync_state, \
     pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn() ELSE pg_current_wal_lsn() END, r.replay_lsn)::bigint, \
     floor(extract(epoch FROM r.replay_lag))::bigint, s.ssl FROM pg_catalog.pg_stat_replication r LEFT JOIN pg_catalog.pg_stat_ssl s ON s.pid = r.pid \
     ORDER BY 1, 2";
const RECEIVER: &str = "SELECT status FROM pg_catalog.pg_stat_wal_receiver";
const STANDBY_LAG: &str = "SELECT pg_wal_lsn_diff(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())::bigint, \
     CASE WHEN pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN 0 ELSE floor(extract(epoch FROM now() - pg_last_xact_replay_timestamp()))::bigint END";
const SLOTS: &str = "SELECT slot_name, slot_type, active, pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END, \
     restart_lsn)::bigint, temporary FROM pg_catalog.pg_replication_slots ORDER BY 1";
/// Column of release 13.
const STATUS: &str = "SELECT slot_name, wal_status FROM pg_catalog.pg_replication_slots";
const REMEDY: &str = "As a superuser: GRANT pg_monitor TO assay; and name the role under databases in the agent's configuration.";

pub fn read(host: &Host, access: &DatabaseAccess, cluster: &Cluster, found: &mut Found, gaps: &mut Gaps) {
    let links: Vec<String> = found.links.iter().map(|l| l.subject.clone()).collect();
    let slots: Vec<String> = found.slots.iter().map(|s| s.subject.clone()).collect();
    let mut asked = Asked { access, cluster, gaps };
    let client = LocalSocket::connect(host, &access.socket, TALK_TIME).map_err(Refused::Socket).and_then(|s| Client::sign_in(s, &access.user, "postgres"));
    let mut client = match client {
        Ok(client) => client,
        Err(refused) => {
            asked.refused("links", &cluster.subject, &refused);
            asked.refused("servers.synchronous_now", &cluster.subject, &refused);
            for link in links {
                asked.refused("links.running", &link, &refused);
                asked.refused("links.lag_seconds", &link, &refused);
            }
            slots.iter().for_each(|slot| asked.refused("slots.active", slot, &refused));
            return;
        }
    };
    let in_recovery = matches!(client.query(IN_RECOVERY), Ok(rows) if rows.first().is_some_and(|r| text(r, 0) == "t"));
    match client.query(SENDERS) {
        Ok(rows) => senders(&mut asked, &rows, found),
        Err(refused) => asked.refused("links", &cluster.subject, &refused),
    }
    if in_recovery {
        found.server.role = "standby".into();
        found.server.synchronous_now = None;
        receiver(&mut asked, &mut client, found);
    }
    match client.query(SLOTS) {
        Ok(rows) => {
            let status = client.query(STATUS).unwrap_or_default();
            own_slots(cluster, &rows, &status, found);
        }
        Err(refused) => slots.iter().for_each(|slot| asked.refused("slots.active", slot, &refused)),
    }
}

struct Asked<'a> {
    access: &'a DatabaseAccess,
    cluster: &'a Cluster,
    gaps: &'a mut Gaps,
}

impl Asked<'_> {
    fn refused(&mut self, path: &str, subject: &str, refused: &Refused) {
        let (id, detail) = told(refused);
        self.gaps.note(Replication::NAME, path, subject, id, format!("{}: {detail}", self.access.socket), REMEDY);
    }
}

fn senders(asked: &mut Asked<'_>, rows: &[Row], found: &mut Found) {
    let hidden = rows.iter().any(|r| r.get(2).is_none_or(Option::is_none));
    if hidden {
        let detail = format!("{}: the declared role may not see who follows the server", asked.access.socket);
        for path in ["links", "servers.synchronous_now"] {
            asked.gaps.note(Replication::NAME, path, &asked.cluster.subject, reason::PERMISSION_DENIED, detail.clone(), REMEDY);
        }
        return;
    }
    for row in rows.iter().take(ITEM_LIMIT) {
        let (name, peer, state) = (text(row, 0), text(row, 1), text(row, 2));
        // A base backup is no replica.
        if state == "backup" {
            continue;
        }
        let lag_bytes: Option<i64> = text(row, 4).parse().ok();
        let lag_seconds = text(row, 5).parse().ok().or(if lag_bytes == Some(0) { Some(0) } else { None });
        let shown = if peer.is_empty() { "local socket" } else { &peer };
        let mut subject = format!("{} to {name} {shown}", asked.cluster.subject);
        let same = found.links.iter().filter(|l| l.subject == subject || l.subject.starts_with(&format!("{subject} ("))).count();
        if same > 0 {
            subject = format!("{subject} ({})", same + 1);
        }
        found.links.push(ReplicationLink {
            subject,
            server: asked.cluster.subject.clone(),
            engine: "postgresql".into(),
            direction: "to".into(),
            other_machine: is_other_machine(&peer),
            peer,
            running: Some(matches!(state.as_str(), "streaming" | "catchup")),
            state,
            sync_state: text(row, 3),
            lag_bytes,
            lag_seconds,
            tls: match text(row, 6).as_str() {
                "t" => "in-use",
                "f" => "none",
                _ => "unknown",
            }
            .into(),
            source: Source { place: asked.access.socket.clone(), line: 0, directive: "pg_stat_replication".into() },
        });
    }
    let mine: Vec<&ReplicationLink> = found.links.iter().filter(|l| l.direction == "to").collect();
    if !mine.is_empty() && found.server.role == "none" {
        found.server.role = "primary".into();
    }
    if found.server.role == "primary" {
        found.server.synchronous_now = Some(mine.iter().any(|l| matches!(l.sync_state.as_str(), "sync" | "quorum") && l.state == "streaming"));
    }
}

fn receiver(asked: &mut Asked<'_>, client: &mut Client, found: &mut Found) {
    let status = client.query(RECEIVER);
    let lag = client.query(STANDBY_LAG);
    let Some(link) = found.links.iter_mut().find(|l| l.direction == "from") else { return };
    match status {
        Ok(rows) => {
            // A hidden status is null; no row at all means that nothing is received.
            let state = rows.first().map(|r| r.first().cloned().flatten());
            match state {
                Some(None) => {
                    let detail = format!("{}: the declared role may not see the receiver", asked.access.socket);
                    asked.gaps.note(Replication::NAME, "links.running", &link.subject, reason::PERMISSION_DENIED, detail, REMEDY);
                }
                Some(Some(state)) => {
                    link.running = Some(state == "streaming");
                    link.state = state;
                }
                None => {
                    link.running = Some(false);
                    link.state = "stopped".into();
                }
            }
        }
        Err(refused) => asked.refused("links.running", &link.subject, &refused),
    }
    match lag {
        Ok(rows) => {
            let row = rows.first();
            link.lag_bytes = row.and_then(|r| text(r, 0).parse().ok());
            link.lag_seconds = row.and_then(|r| text(r, 1).parse().ok());
        }
        Err(refused) => asked.refused("links.lag_seconds", &link.subject, &refused),
    }
}

fn own_slots(cluster: &Cluster, rows: &[Row], status: &[Row], found: &mut Found) {
    for row in rows.iter().take(ITEM_LIMIT) {
        let name = text(row, 0);
        // A temporary one ends with its session.
        if text(row, 4) == "t" {
            found.slots.retain(|s| s.name != name);
            continue;
        }
        let told = ReplicationSlot {
            subject: format!("{} slot {name}", cluster.subject),
            server: cluster.subject.clone(),
            kind: text(row, 1),
            active: Some(text(row, 2) == "t"),
            retained_bytes: text(row, 3).parse().ok(),
            wal_status: status.iter().find(|r| text(r, 0) == name).map(|r| text(r, 1)).unwrap_or_default(),
            source: Source::whole(format!("{}/pg_replslot/{name}", cluster.data)),
            name,
        };
        found.slots.retain(|s| s.name != told.name);
        found.slots.push(told);
    }
}

fn text(row: &Row, column: usize) -> String {
    row.get(column).cloned().flatten().unwrap_or_default()
}
