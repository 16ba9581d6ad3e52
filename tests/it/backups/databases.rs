//! Base backups with their logs, and dumps, of real PostgreSQL and MariaDB servers.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use assay::facts::backups::{Backups, Log};
use assay::host::clock;
use assay::model::finding::Verdict;

use super::{DAY, backups, checked, message, piped, psql, set, touch, with};
use crate::lab::{as_user, folder, give, run, servers};
use crate::support::text;

fn log_of(found: &Backups) -> &Log {
    &found.logs[0]
}

#[test]
fn postgresql_base_backups_with_their_log() {
    let work = folder();
    let at = |name: &str| work.path().join(name);
    for name in ["wal", "base"] {
        std::fs::create_dir(at(name)).unwrap();
    }
    give(work.path(), "postgres");
    let command = format!("archive_command=cp %p {}/%f", text(&at("wal")));
    let server = servers::postgresql(
        "local all all trust\nlocal replication all trust\nhost all all 127.0.0.1/32 trust\n",
        None,
        &["archive_mode=on", "wal_level=replica", &command],
    );
    let basebackup = |name: &str, arguments: &[&str]| {
        let mut command = as_user("postgres", "pg_basebackup");
        command.args(["-h", text(server.folder()), "-p", &server.port.to_string(), "-U", "postgres", "--checkpoint=fast", "-D"]).arg(at("base").join(name));
        run(command.args(arguments));
    };
    psql(&server, "CREATE TABLE t AS SELECT generate_series(1, 1000) AS n;");
    basebackup("one", &["-Fp", "-X", "none"]);
    for _ in 0..3 {
        psql(&server, "INSERT INTO t SELECT generate_series(1, 1000); SELECT pg_switch_wal();");
    }
    basebackup("two", &["-Ft", "-z", "-X", "none"]);
    let arguments = ["-h", text(server.folder()), "-p", &server.port.to_string(), "-U", "postgres", "-AtqXc"].map(String::from);
    let switch = "INSERT INTO t VALUES (1); SELECT pg_walfile_name(pg_switch_wal())";
    let archived = String::from_utf8(Command::new("psql").args(arguments).arg(switch).output().unwrap().stdout).unwrap().trim().to_string();
    let until = std::time::Instant::now() + std::time::Duration::from_secs(60);
    // cp makes the file before it has filled it.
    while std::fs::metadata(at("wal").join(&archived)).map_or(0, |m| m.len()) < 16 << 20 {
        assert!(std::time::Instant::now() < until, "{archived} is not archived");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let bin = std::fs::read_dir("/usr/lib/postgresql").unwrap().map(|e| e.unwrap().path().join("bin")).max().unwrap();
    run(as_user("postgres", bin.join("pg_verifybackup")).arg("-n").arg(at("base/one")));
    let now = clock::unix_now();
    touch(&at("base/one"), now - 8 * DAY);
    let yaml = "backups: [{name: pg, kind: postgresql-base, path: {}/base, wal: {}/wal, every_hours: 240, encrypted: false, window_days: 7}]";
    let (found, findings, gaps) = backups(yaml, work.path());
    assert_eq!((with(&findings, Verdict::Fail), gaps), (BTreeSet::new(), Vec::new()), "{found:#?}");
    assert_eq!((log_of(&found).restorable_from.as_str(), log_of(&found).last.as_str(), log_of(&found).missing_count), ("one", archived.as_str(), 0));
    assert_eq!((found.sets[0].count, found.newest[0].integrity.as_str(), found.newest[0].format.as_str()), (2, "whole", "postgresql-base gzip tar"));
    // Packed segments count as well.
    let segments = || {
        let mut names: Vec<PathBuf> = std::fs::read_dir(at("wal")).unwrap().map(|e| e.unwrap().path()).filter(|p| p.file_name().unwrap().len() >= 24).collect();
        names.retain(|p| !text(p).contains(".backup"));
        names.sort();
        names
    };
    run(Command::new("gzip").arg(&segments()[2]));
    run(Command::new("zstd").args(["-q", "--rm"]).arg(&segments()[3]));
    assert_eq!(log_of(&backups(yaml, work.path()).0).restorable_from, "one");
    // One cut short, then one missing: only the second base backup is left to restore from.
    let victim = segments()[1].clone();
    let kept = std::fs::read(&victim).unwrap();
    std::fs::write(&victim, &kept[..5000]).unwrap();
    let (found, findings, _) = backups(yaml, work.path());
    assert!(log_of(&found).damaged[0].contains("has 5000 bytes instead of 16777216"), "{:?}", log_of(&found));
    assert_eq!(with(&findings, Verdict::Fail), set(&[("backup-point-in-time", "pg wal")]));
    std::fs::remove_file(&victim).unwrap();
    let (found, findings, _) = backups(yaml, work.path());
    let missing = victim.file_name().unwrap().to_str().unwrap().to_string();
    assert_eq!((log_of(&found).missing.clone(), log_of(&found).restorable_from.as_str()), (vec![missing.clone()], "two"));
    assert!(message(&findings, "backup-point-in-time", "pg wal").contains(&missing));
    std::fs::write(&victim, &kept).unwrap();
    // The archive stopped before the second backup.
    let stalled: Vec<PathBuf> = segments().into_iter().rev().take(2).collect();
    stalled.iter().for_each(|p| std::fs::remove_file(p).unwrap());
    let (found, findings, _) = backups(yaml, work.path());
    assert!(log_of(&found).awaited > 0 && with(&findings, Verdict::Fail).contains(&("backup-point-in-time".into(), "pg wal".into())), "{:?}", log_of(&found));
    // A file of the newest plain backup is gone.
    touch(&at("base/one"), now - 60);
    touch(&at("base/two"), now - 8 * DAY);
    std::fs::remove_file(at("base/one/global/pg_control")).unwrap();
    let (_, findings, _) = backups(yaml, work.path());
    assert!(message(&findings, "backup-readable", "pg single").contains("pg_control is missing"), "{}", message(&findings, "backup-readable", "pg single"));

    // Dumps in both forms, whole and cut.
    let dump = |program: &str, arguments: &[&str], name: &str| {
        let mut command = Command::new(program);
        command.args(["-h", text(server.folder()), "-p", &server.port.to_string(), "-U", "postgres", "-f"]).arg(at(name));
        run(command.args(arguments));
    };
    dump("pg_dump", &["postgres"], "d.sql");
    dump("pg_dump", &["-Fc", "postgres"], "d.dump");
    dump("pg_dump", &["-Ft", "postgres"], "d.tar");
    dump("pg_dumpall", &[], "all.sql");
    for (name, word) in [("d.sql", "sql"), ("d.dump", "pg-custom"), ("d.tar", "tar"), ("all.sql", "sql")] {
        assert_eq!((checked(&at(name)).0, checked(&at(name)).2), (word, "structure"), "{name}");
        let bytes = std::fs::read(at(name)).unwrap();
        // The blocks of zeros at the end of an archive, and what follows the last line of a dump, may be cut without loss.
        let last = match word {
            "sql" => bytes.windows(13).rposition(|w| w == b"dump complete").unwrap(),
            "tar" => bytes.len() - 2000,
            _ => bytes.len() - 60,
        };
        let parts = [bytes.len() / 2, bytes.len() * 9 / 10, last];
        for part in parts {
            std::fs::write(at("cut"), &bytes[..part]).unwrap();
            assert_eq!(checked(&at("cut")).2, "damaged", "{part} bytes of {name}");
        }
    }
}

#[test]
fn mariadb_backups_with_their_binary_logs() {
    let work = folder();
    let at = |name: &str| work.path().join(name);
    std::fs::create_dir(at("logs")).unwrap();
    std::fs::create_dir(at("full")).unwrap();
    give(work.path(), "mysql");
    let server = servers::mariadb(None, &[&format!("--log-bin={}", text(&at("logs/binlog"))), "--server-id=1"]);
    let socket = server.folder().join("s");
    let sql =
        |statements: &str| piped(Command::new("mariadb").args(["--no-defaults", "-uroot"]).arg(format!("--socket={}", text(&socket))), statements.as_bytes());
    let backup = |arguments: &[String]| {
        let mut command = Command::new("mariadb-backup");
        command.args(["--no-defaults", "--backup", "--user=root"]).arg(format!("--socket={}", text(&socket)));
        command.arg(format!("--datadir={}", text(&server.folder().join("data"))));
        command.args(arguments).stdin(Stdio::null()).output().unwrap()
    };
    let target = |name: &str| format!("--target-dir={}", text(&at("full").join(name)));
    sql("CREATE DATABASE app; CREATE TABLE app.t (n INT); INSERT INTO app.t VALUES (1);");
    let full = backup(&[target("2026-full")]);
    assert!(full.status.success(), "{}", String::from_utf8_lossy(&full.stderr));
    for _ in 0..4 {
        sql("INSERT INTO app.t VALUES (2); FLUSH BINARY LOGS;");
    }
    let base = format!("--incremental-basedir={}", text(&at("full/2026-full")));
    let increment = backup(&[target("increment"), base]);
    assert!(increment.status.success(), "{}", String::from_utf8_lossy(&increment.stderr));
    let stream = backup(&["--stream=xbstream".into(), format!("--target-dir={}", text(&at("logs")))]);
    assert!(stream.status.success());
    std::fs::write(at("s.xb"), &stream.stdout).unwrap();
    assert_eq!((checked(&at("s.xb")).0, checked(&at("s.xb")).2), ("xbstream", "whole"));
    let mut changed = stream.stdout.clone();
    let middle = changed.len() / 2;
    changed[middle] ^= 1;
    std::fs::write(at("changed.xb"), &changed).unwrap();
    std::fs::write(at("cut.xb"), &stream.stdout[..middle]).unwrap();
    assert_eq!((checked(&at("changed.xb")).2, checked(&at("cut.xb")).2), ("damaged", "damaged"));

    let now = clock::unix_now();
    touch(&at("full/2026-full"), now - 8 * DAY);
    let yaml = "backups: [{name: my, kind: mariadb-full, path: {}/full, binlog: {}/logs, every_hours: 240, encrypted: false, window_days: 7}]";
    let (found, findings, gaps) = backups(yaml, work.path());
    assert_eq!((with(&findings, Verdict::Fail), gaps), (BTreeSet::new(), Vec::new()), "{found:#?}");
    let varieties: BTreeSet<&str> = found.newest.iter().map(|n| n.subject.as_str()).collect();
    assert_eq!(varieties, BTreeSet::from(["my full", "my differential"]));
    assert_eq!((log_of(&found).restorable_from.as_str(), log_of(&found).first.as_str(), log_of(&found).missing_count), ("2026-full", "binlog.000001", 0));
    // The server's own list is the same.
    let out =
        Command::new("mariadb").args(["--no-defaults", "-uroot", "-NB", "-e", "SHOW BINARY LOGS"]).arg(format!("--socket={}", text(&socket))).output().unwrap();
    let own = String::from_utf8(out.stdout).unwrap();
    assert_eq!(own.lines().count() as u64, log_of(&found).count);
    assert_eq!(own.lines().last().unwrap().split('\t').next().unwrap(), log_of(&found).last);
    // A cut copy, then none.
    let victim = at("logs/binlog.000003");
    let bytes = std::fs::read(&victim).unwrap();
    std::fs::write(&victim, &bytes[..bytes.len() - 5]).unwrap();
    let (found, findings, _) = backups(yaml, work.path());
    assert!(log_of(&found).damaged[0].starts_with("binlog.000003 is damaged or cut short"), "{:?}", log_of(&found));
    assert_eq!(with(&findings, Verdict::Fail), set(&[("backup-point-in-time", "my binlog")]));
    std::fs::remove_file(&victim).unwrap();
    let (_, findings, _) = backups(yaml, work.path());
    assert!(message(&findings, "backup-point-in-time", "my binlog").contains("binlog.000003"));
    // An increment without its base; a backup that did not come to its end.
    std::fs::write(&victim, &bytes).unwrap();
    std::fs::rename(at("full/2026-full"), at("away")).unwrap();
    let (_, findings, _) = backups(yaml, work.path());
    assert!(message(&findings, "backup-readable", "my differential").contains("builds on is not there"));
    std::fs::remove_file(at("full/increment/xtrabackup_info")).unwrap();
    let (_, findings, _) = backups(yaml, work.path());
    assert!(message(&findings, "backup-readable", "my differential").contains("did not come to its end"));

    let dump = Command::new("mariadb-dump").args(["--no-defaults", "-uroot", "app"]).arg(format!("--socket={}", text(&socket))).output().unwrap().stdout;
    std::fs::write(at("d.sql"), &dump).unwrap();
    std::fs::write(at("cut.sql"), &dump[..dump.len() - 40]).unwrap();
    assert_eq!((checked(&at("d.sql")).2, checked(&at("cut.sql")).2), ("structure", "damaged"));
}
