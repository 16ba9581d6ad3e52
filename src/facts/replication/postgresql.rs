//! Replication of PostgreSQL clusters as they are configured: signal files, `recovery.conf` before
//! 12, `primary_conninfo`, slots, `synchronous_standby_names`.

use super::conninfo::{self, Connection};
use super::{ITEM_LIMIT, PATHS, ReplicatedServer, Replication, ReplicationLink, ReplicationSlot, note_unasked, postgresql_running, standby_names};
use crate::facts::Document as _;
use crate::facts::database_servers::{Cluster, Running, Settings, clusters};
use crate::facts::databases::POSTGRESQL_REMEDY;
use crate::host::{FileKind, Host};
use crate::model::fact::Source;
use crate::model::gap::{Gaps, reason};

pub fn gather(host: &Host, processes: &[Running], into: &mut Replication, gaps: &mut Gaps) {
    for cluster in clusters(host, processes, Replication::NAME, &PATHS, gaps) {
        let mut found = configured(host, &cluster, gaps);
        let access = cluster.declared(host).filter(|_| cluster.running == Some(true));
        match access {
            Some(access) => postgresql_running::read(host, access, &cluster, &mut found, gaps),
            None => unasked(host, &cluster, &found, gaps),
        }
        if let (Some(true), "none") = (found.server.synchronous_now, found.server.role.as_str()) {
            found.server.role = "primary".into();
        }
        if found.server.role == "none" {
            found.server.mode = "none".into();
        }
        into.servers.push(found.server);
        into.links.append(&mut found.links);
        into.slots.append(&mut found.slots);
    }
}

/// What is known of one cluster.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// The server.
    pub server: ReplicatedServer,
    /// Its links.
    pub links: Vec<ReplicationLink>,
    /// Its slots.
    pub slots: Vec<ReplicationSlot>,
}

fn unasked(host: &Host, cluster: &Cluster, found: &Found, gaps: &mut Gaps) {
    let links: Vec<String> = found.links.iter().map(|l| l.subject.clone()).collect();
    note_unasked(host, gaps, &cluster.subject, &links, &["links.running", "links.lag_seconds"], POSTGRESQL_REMEDY);
    for slot in &found.slots {
        let (id, remedy) =
            if host.is_live() { (reason::PERMISSION_DENIED, POSTGRESQL_REMEDY) } else { (reason::NEEDS_LIVE_KERNEL, "Scan the machine itself.") };
        gaps.note(Replication::NAME, "slots.active", &slot.subject, id, format!("{} was not asked", cluster.subject), remedy);
    }
    if found.server.role == "primary" {
        note_unasked(host, gaps, &cluster.subject, &[], &["servers.synchronous_now"], POSTGRESQL_REMEDY);
        if cluster.senders > 0 {
            note_unasked(host, gaps, &cluster.subject, &[], &["links"], POSTGRESQL_REMEDY);
        }
    }
}

fn configured(host: &Host, cluster: &Cluster, gaps: &mut Gaps) -> Found {
    let mut gap = |path: &str, id: &str, detail: String| gaps.note(Replication::NAME, path, &cluster.subject, id, detail, "");
    let standby = standby(host, cluster);
    let slots = slots(host, cluster, &mut gap);
    let names = cluster.settings.get("synchronous_standby_names");
    let (required, _) = match standby_names::parse(names.map_or("", |w| w.value.as_str())) {
        Some(parsed) => parsed,
        None => {
            gap("servers.mode", reason::MALFORMED, "the server would not take this value of synchronous_standby_names".into());
            (0, Vec::new())
        }
    };
    let commit = cluster.settings.get("synchronous_commit");
    let waits = commit.is_none_or(|w| {
        let value = w.value.to_ascii_lowercase();
        matches!(value.as_str(), "on" | "remote_apply" | "remote_write" | "true" | "yes" | "1")
    });
    let source = Source::whole(&cluster.config);
    let is_standby = matches!(standby, Standby::Yes(_));
    let follows = cluster.senders > 0 || !slots.is_empty() || required > 0;
    let (mode, mode_source) = match () {
        () if is_standby => ("none", Source::default()),
        () if required > 0 && waits => ("synchronous", names.map(|w| w.source.clone()).unwrap_or_default()),
        () if required > 0 => ("asynchronous", commit.map(|w| w.source.clone()).unwrap_or_default()),
        () => ("asynchronous", names.map(|w| w.source.clone()).unwrap_or_default()),
    };
    let mut found = Found {
        server: ReplicatedServer {
            subject: cluster.subject.clone(),
            engine: "postgresql".into(),
            role: if is_standby {
                "standby"
            } else if follows {
                "primary"
            } else {
                "none"
            }
            .into(),
            mode: mode.into(),
            mode_source,
            required_standbys: if is_standby { 0 } else { required },
            source,
            ..ReplicatedServer::default()
        },
        links: Vec::new(),
        slots,
    };
    if let Standby::Yes(settings) = &standby
        && let Some(link) = upstream(cluster, settings, &mut gap)
    {
        found.links.push(link);
    }
    found
}

/// Whether the cluster follows another, and the settings that say which.
enum Standby {
    No,
    Yes(Box<Settings>),
}

fn standby(host: &Host, cluster: &Cluster) -> Standby {
    let data = &cluster.data;
    if cluster.major >= 12 {
        let signal = host.exists(&format!("{data}/standby.signal")).unwrap_or(false);
        return if signal { Standby::Yes(Box::new(cluster.settings.clone())) } else { Standby::No };
    }
    let mut settings = Settings::default();
    let is_there = settings.read(host, &format!("{data}/recovery.conf")).is_ok();
    let on = matches!(settings.text("standby_mode").to_ascii_lowercase().as_str(), "on" | "true" | "yes" | "1");
    if is_there && on { Standby::Yes(Box::new(settings)) } else { Standby::No }
}

/// The server that a standby follows.
fn upstream(cluster: &Cluster, settings: &Settings, gap: &mut impl FnMut(&str, &str, String)) -> Option<ReplicationLink> {
    let written = settings.get("primary_conninfo").filter(|w| !w.value.trim().is_empty())?;
    let place = format!("{}:{}", written.source.place, written.source.line);
    let Some(connection) = conninfo::parse(&written.value) else {
        gap("links", reason::MALFORMED, format!("{place}: primary_conninfo is no connection string"));
        return None;
    };
    if connection.service {
        gap("links", reason::UNSUPPORTED, format!("{place}: primary_conninfo names a service, whose file is not read"));
        return None;
    }
    Some(from(cluster, &connection, written.source.clone()))
}

fn from(cluster: &Cluster, connection: &Connection, source: Source) -> ReplicationLink {
    let peer = connection.hosts.join(",");
    ReplicationLink {
        subject: format!("{} from {}", cluster.subject, if peer.is_empty() { "local socket" } else { &peer }),
        server: cluster.subject.clone(),
        engine: "postgresql".into(),
        direction: "from".into(),
        other_machine: connection.is_remote(),
        peer,
        tls: connection.tls().into(),
        source,
        ..ReplicationLink::default()
    }
}

/// Slots outlive the server: each has a folder.
fn slots(host: &Host, cluster: &Cluster, gap: &mut impl FnMut(&str, &str, String)) -> Vec<ReplicationSlot> {
    let folder = format!("{}/pg_replslot", cluster.data);
    let entries = match host.list(&folder) {
        Ok(entries) => entries,
        Err(e) if e.is_not_found() => return Vec::new(),
        Err(e) => {
            gap("slots", reason::READ_FAILED, e.to_string());
            return Vec::new();
        }
    };
    let own = entries.into_iter().filter(|e| e.kind == FileKind::Folder && !e.name.ends_with(".tmp")).take(ITEM_LIMIT);
    own.map(|e| ReplicationSlot {
        subject: format!("{} slot {}", cluster.subject, e.name),
        server: cluster.subject.clone(),
        source: Source::whole(format!("{folder}/{}", e.name)),
        name: e.name,
        ..ReplicationSlot::default()
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::HostFamily as _;
    use crate::host::testing::rooted;
    use crate::model::declared::{DatabaseEngine, Declared, Expected, ReplicationExpectation};

    #[test]
    fn a_primary_and_standbys_of_two_ages() {
        let (_root, host) = rooted(&[
            ("/etc/postgresql/15/main/postgresql.conf", "data_directory = '/p'\nsynchronous_standby_names = 'FIRST 1 (s1, s2)'\n"),
            ("/p/PG_VERSION", "15"),
            ("/p/pg_replslot/s1/state", "x"),
            ("/etc/postgresql/15/off/postgresql.conf", "data_directory = '/o'\nsynchronous_standby_names = 's1'\nsynchronous_commit = local\n"),
            ("/o/PG_VERSION", "15"),
            ("/etc/postgresql/15/stand/postgresql.conf", "data_directory = '/s'\n"),
            ("/s/PG_VERSION", "15"),
            ("/s/standby.signal", ""),
            ("/s/postgresql.auto.conf", "primary_conninfo = 'host=10.0.0.5 user=repl password=verysecret sslmode=disable'\n"),
            ("/etc/postgresql/11/old/postgresql.conf", "data_directory = '/r'\n"),
            ("/r/PG_VERSION", "11"),
            ("/r/recovery.conf", "standby_mode = 'on'\nprimary_conninfo = 'host=db1 sslmode=verify-full'\n"),
            ("/etc/postgresql/15/alone/postgresql.conf", "data_directory = '/a'\n"),
            ("/a/PG_VERSION", "15"),
        ]);
        let expected = |server: &str, expected| ReplicationExpectation { engine: DatabaseEngine::Postgresql, server: server.into(), expected };
        let replication = vec![expected("", Expected::None), expected("15/main", Expected::Synchronous), expected("15/gone", Expected::Synchronous)];
        let host = host.with_declared(Declared { replication, ..Declared::default() });
        let mut gaps = Gaps::new();
        let found = Replication::gather(&host, &mut gaps).unwrap();
        let servers: Vec<String> = found.servers.iter().map(|s| format!("{} {} {} {}", s.subject, s.role, s.mode, s.expected)).collect();
        assert_eq!(
            servers,
            [
                "postgresql 11/old standby none none",
                "postgresql 15/alone none none none",
                "postgresql 15/gone absent none synchronous",
                "postgresql 15/main primary synchronous synchronous",
                "postgresql 15/off primary asynchronous none",
                "postgresql 15/stand standby none none",
            ]
        );
        let links: Vec<String> =
            found.links.iter().map(|l| format!("{} {} {} {}:{}", l.subject, l.other_machine, l.tls, l.source.place, l.source.line)).collect();
        assert_eq!(
            links,
            ["postgresql 11/old from db1 true required /r/recovery.conf:2", "postgresql 15/stand from 10.0.0.5 true none /s/postgresql.auto.conf:1"]
        );
        assert_eq!(found.slots.iter().map(|s| s.subject.as_str()).collect::<Vec<_>>(), ["postgresql 15/main slot s1"]);
        assert!(!serde_json::to_string(&found).unwrap().contains("verysecret"));
        let told: Vec<String> = gaps.into_sorted().iter().map(|g| format!("{} {}", g.path, g.subject)).collect();
        assert_eq!(
            told,
            [
                "links.lag_seconds postgresql 11/old from db1",
                "links.lag_seconds postgresql 15/stand from 10.0.0.5",
                "links.running postgresql 11/old from db1",
                "links.running postgresql 15/stand from 10.0.0.5",
                "servers.synchronous_now postgresql 15/main",
                "servers.synchronous_now postgresql 15/off",
                "slots.active postgresql 15/main slot s1",
            ]
        );
    }
}
