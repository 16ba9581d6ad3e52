//! Real replication: a PostgreSQL primary with a synchronous standby over TLS, a MariaDB pair with
//! semi-synchronous replication, seen from both ends, running, lagging behind, stopped.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use assay::facts::HostFamily as _;
use assay::facts::replication::Replication;
use assay::host::Host;
use assay::model::declared::{DatabaseEngine, Declared, Expected, ReplicationExpectation};
use assay::model::finding::Verdict;
use assay::model::gap::{Gap, Gaps};

use super::database_servers::{declared, judge, output, set, with};
use super::lab::{Certificate, Server, servers};

fn live(declared: Declared, below: &Path) -> (Replication, Vec<Gap>) {
    let mut gaps = Gaps::new();
    let mut found = Replication::gather(&Host::live().unwrap().with_declared(declared), &mut gaps).unwrap();
    let below = below.to_str().unwrap();
    found.servers.retain(|s| s.subject.contains(below));
    found.links.retain(|l| l.server.contains(below));
    found.slots.retain(|s| s.server.contains(below));
    (found, gaps.into_sorted().into_iter().filter(|g| g.subject.contains(below)).collect())
}

/// Waits until something that the server does on its own has come about.
fn until(what: &str, mut come: impl FnMut() -> bool) {
    let began = Instant::now();
    while !come() {
        assert!(began.elapsed() < Duration::from_secs(60), "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn psql(server: &Server, statement: &str) -> String {
    let port = server.port.to_string();
    output(Command::new("psql").arg("-h").arg(server.folder()).args(["-p", &port, "-U", "postgres", "-AtX", "-c", statement]))
}

#[test]
fn a_postgresql_primary_and_its_synchronous_standby() {
    let certificate = Certificate::ordinary();
    let access = "local all all trust\nhost all all 127.0.0.1/32 trust\nhost replication all 127.0.0.1/32 trust\n";
    let primary =
        servers::postgresql(access, Some(&certificate), &["listen_addresses=127.0.0.1", "synchronous_standby_names=FIRST 1 (s1)", "wal_keep_size=64MB"]);
    let standby = servers::postgresql_standby(&primary, "s1");
    let socket = |server: &Server| server.folder().join(format!(".s.PGSQL.{}", server.port));
    let access = |server: &Server| declared(DatabaseEngine::Postgresql, &socket(server), "postgres");
    until("the standby follows", || {
        psql(&primary, "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync' AND replay_lsn = pg_current_wal_lsn()") == "1"
    });
    let (found, gaps) = live(access(&primary), primary.folder());
    assert_eq!(gaps, []);
    let one = &found.servers[0];
    assert_eq!((one.role.as_str(), one.mode.as_str(), one.required_standbys, one.synchronous_now), ("primary", "synchronous", 1, Some(true)));
    let link = &found.links[0];
    assert_eq!((link.direction.as_str(), link.peer.as_str(), link.state.as_str(), link.sync_state.as_str()), ("to", "127.0.0.1", "streaming", "sync"));
    assert_eq!((link.tls.as_str(), link.other_machine, link.lag_bytes, link.lag_seconds), ("in-use", false, Some(0), Some(0)));
    let findings = judge("replication", &found, &gaps);
    assert_eq!(with(&findings, Verdict::Fail), set(&[]));
    assert!(with(&findings, Verdict::Pass).contains(&("replication-not-synchronous".into(), one.subject.clone())));

    let (seen, gaps) = live(access(&standby), standby.folder());
    assert_eq!(gaps, []);
    assert_eq!((seen.servers[0].role.as_str(), seen.links[0].direction.as_str(), seen.links[0].running), ("standby", "from", Some(true)));
    assert_eq!((seen.links[0].peer.as_str(), seen.links[0].tls.as_str(), seen.links[0].lag_seconds), ("127.0.0.1", "optional", Some(0)));
    assert!(seen.links[0].source.place.ends_with("postgresql.auto.conf"), "{:?}", seen.links[0].source);

    // Not declared: that somebody follows is seen from outside, how it goes is a gap.
    let (undeclared, gaps) = live(Declared::default(), primary.folder());
    assert_eq!(undeclared.servers[0].role, "primary");
    let unknown = with(&judge("replication", &undeclared, &gaps), Verdict::Unknown);
    assert!(unknown.contains(&("replication-not-synchronous".into(), one.subject.clone())), "{unknown:?}");

    // The standby stops, a slot waits in vain.
    psql(&primary, "SELECT pg_create_physical_replication_slot('gone', true)");
    let at = standby.folder().to_path_buf();
    drop(standby);
    until("the primary notices", || psql(&primary, "SELECT count(*) FROM pg_stat_replication") == "0");
    let (found, gaps) = live(access(&primary), primary.folder());
    let findings = judge("replication", &found, &gaps);
    let failed = with(&findings, Verdict::Fail);
    assert!(failed.contains(&("replication-not-synchronous".into(), one.subject.clone())), "{failed:?}");
    let slot = &found.slots[0];
    assert_eq!((slot.name.as_str(), slot.kind.as_str(), slot.active, slot.wal_status.as_str()), ("gone", "physical", Some(false), "reserved"));
    assert!(slot.retained_bytes.is_some() && Path::new(&slot.source.place).is_dir() && !at.exists());

    // A role with the grants of the remedy sees the same; one without them leaves gaps.
    psql(&primary, "SET synchronous_commit = local; CREATE ROLE poor LOGIN; CREATE ROLE rich LOGIN IN ROLE pg_monitor");
    let (_, gaps) = live(declared(DatabaseEngine::Postgresql, &socket(&primary), "rich"), primary.folder());
    assert_eq!(gaps, []);
    // Declared to follow without waiting: nothing is asked.
    let asynchronous = Declared {
        replication: vec![ReplicationExpectation { engine: DatabaseEngine::Postgresql, server: String::new(), expected: Expected::Asynchronous }],
        ..access(&primary)
    };
    let (found, gaps) = live(asynchronous, primary.folder());
    assert_eq!(with(&judge("replication", &found, &gaps), Verdict::Fail), set(&[]));
}

fn client(server: &Server, statement: &str) -> String {
    let socket = format!("--socket={}", server.folder().join("s").display());
    output(Command::new("mariadb").args(["--no-defaults", &socket, "-uroot", "-N", "-B", "-e", statement]))
}

#[test]
fn a_mariadb_pair() {
    let certificate = Certificate::ordinary();
    let primary = servers::mariadb(Some(&certificate), &["--server-id=1", "--log-bin=bin", "--rpl-semi-sync-master-enabled=1"]);
    let replica = servers::mariadb(None, &["--server-id=2", "--rpl-semi-sync-slave-enabled=1"]);
    client(&primary, "CREATE USER r@'%' IDENTIFIED BY 'verysecret'; GRANT REPLICATION SLAVE ON *.* TO r@'%'");
    let source = format!(
        "CHANGE MASTER TO master_host='127.0.0.1', master_port={}, master_user='r', master_password='verysecret', master_ssl=1, master_use_gtid=slave_pos",
        primary.port
    );
    client(&replica, &format!("{source}; START SLAVE; CHANGE MASTER 'second' TO master_host='10.0.0.9', master_user='r', master_password='verysecret'"));
    until("the replica confirms", || client(&primary, "SHOW GLOBAL STATUS LIKE 'Rpl_semi_sync_master_clients'").ends_with("\t1"));
    let access = |server: &Server| declared(DatabaseEngine::Mariadb, &server.folder().join("s"), "root");
    let (found, gaps) = live(access(&primary), primary.folder());
    assert_eq!(gaps, []);
    let one = &found.servers[0];
    assert_eq!((one.role.as_str(), one.mode.as_str(), one.synchronous_now), ("primary", "semi-synchronous", Some(true)));
    assert_eq!(with(&judge("replication", &found, &gaps), Verdict::Fail), set(&[]));

    until("the replica runs", || client(&replica, "SHOW ALL SLAVES STATUS").contains("Slave has read all relay log"));
    let (seen, gaps) = live(access(&replica), replica.folder());
    assert_eq!(gaps, []);
    let links: Vec<(&str, bool, &str, &str, Option<i64>)> =
        seen.links.iter().map(|l| (l.peer.as_str(), l.other_machine, l.tls.as_str(), l.state.as_str(), l.lag_seconds)).collect();
    assert_eq!(links, [("10.0.0.9", true, "none", "stopped", None), ("127.0.0.1", false, "required", "running", Some(0))]);
    assert!(seen.links.iter().all(|l| l.source.place.contains("/data/master")), "{:?}", seen.links);
    assert!(!serde_json::to_string(&seen).unwrap().contains("verysecret"));
    let failed = with(&judge("replication", &seen, &gaps), Verdict::Fail);
    let second = seen.links[0].subject.clone();
    assert_eq!(failed, set(&[("replication-stopped", &second), ("replication-unencrypted", &second)]));

    // The files alone tell the same sources.
    let (undeclared, gaps) = live(Declared::default(), replica.folder());
    assert_eq!(undeclared.links.iter().map(|l| &l.subject).collect::<Vec<_>>(), seen.links.iter().map(|l| &l.subject).collect::<Vec<_>>());
    assert!(gaps.iter().any(|g| g.path == "links.running" && g.subject == second), "{gaps:?}");

    client(&replica, "STOP ALL SLAVES");
    let (seen, gaps) = live(access(&replica), replica.folder());
    assert_eq!(with(&judge("replication", &seen, &gaps), Verdict::Fail).iter().filter(|(rule, _)| rule == "replication-stopped").count(), 2);
    until("the primary notices", || client(&primary, "SHOW GLOBAL STATUS LIKE 'Rpl_semi_sync_master_clients'").ends_with("\t0"));
    let (found, gaps) = live(access(&primary), primary.folder());
    let failed = with(&judge("replication", &found, &gaps), Verdict::Fail);
    assert_eq!(failed, set(&[("replication-not-synchronous", &one.subject)]));
}
