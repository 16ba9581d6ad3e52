//! Limits on age, tenants that are gone, snapshots.

use std::process::Command;

use assay::facts::retention::Retention;
use assay::facts::snapshots::Snapshots;
use assay::host::{Host, clock};
use assay::model::declared::{DatabaseAccess, DatabaseEngine};
use assay::model::finding::Verdict;
use jiff::Timestamp;

use super::{DAY, declared, gather, judged, moment, piped, psql, set, touch, with};
use crate::lab::{folder, run, servers};
use crate::support::text;

#[test]
fn data_past_its_limit_and_tenants_that_are_gone() {
    let work = folder();
    let at = |name: &str| work.path().join(name);
    let now = clock::unix_now();
    for (name, age) in [("fresh/a", 1), ("old/in/a", 40), ("old/b", 1), ("tenants/acme/x", 1), ("tenants/beta/x", 1)] {
        std::fs::create_dir_all(at(name).parent().unwrap()).unwrap();
        std::fs::write(at(name), "12345").unwrap();
        touch(&at(name), now - age * DAY);
    }
    std::fs::create_dir_all(at("tenants/empty")).unwrap();
    let day = |ago: i64| Timestamp::from_second(now - ago * DAY).unwrap().strftime("%Y-%m-%d").to_string();
    std::fs::write(at("list.csv"), format!("tenant,ended\nacme,{}\nbeta,{}\nempty,{}\ngone,{}\n../../etc,{}\n", day(30), day(2), day(30), day(30), day(30)))
        .unwrap();
    for (name, at_day) in [("2020-01-01", "dated/2020-01-01/x"), ("now", "dated/y")] {
        std::fs::create_dir_all(at(at_day).parent().unwrap()).unwrap();
        std::fs::write(at(at_day), name).unwrap();
    }
    let postgres = servers::postgresql("local all all trust\n", None, &[]);
    psql(
        &postgres,
        "CREATE TABLE t (at timestamptz, d date, e bigint); INSERT INTO t VALUES (now() - interval '40 days', current_date - 3, extract(epoch from now())); CREATE TABLE none (at timestamp);",
    );
    let mariadb = servers::mariadb(None, &[]);
    let socket = mariadb.folder().join("s");
    let statements = "CREATE DATABASE app; CREATE TABLE app.t (at DATETIME); INSERT INTO app.t VALUES (UTC_TIMESTAMP() - INTERVAL 3 DAY);";
    piped(Command::new("mariadb").args(["--no-defaults", "-uroot"]).arg(format!("--socket={}", text(&socket))), statements.as_bytes());
    let postgres_socket = format!("{}/.s.PGSQL.{}", text(postgres.folder()), postgres.port);
    let query = |name: &str, socket: &str, query: &str| format!("{{name: {name}, socket: {socket}, query: \"{query}\"}}");
    let limits = [
        "{name: fresh, path: {}/fresh}".to_string(),
        "{name: old, path: {}/old}".into(),
        "{name: typo, path: {}/typo}".into(),
        "{name: dated, path: {}/dated, by: name-date}".into(),
        query("row", &postgres_socket, "SELECT min(at) FROM t"),
        query("day", &postgres_socket, "SELECT min(d) FROM t"),
        query("epoch", &postgres_socket, "SELECT min(e) FROM t"),
        query("empty", &postgres_socket, "SELECT min(at) FROM none"),
        query("write", &postgres_socket, "WITH x AS (DELETE FROM t RETURNING at) SELECT min(at) FROM x"),
        query("two", &postgres_socket, "SELECT at, d FROM t"),
        query("maria", text(&socket), "SELECT MIN(at) FROM app.t"),
    ];
    let yaml = format!("retention: [{}]\noffboarded: [{{list: {{}}/list.csv, paths: [\"{{}}/tenants/{{tenant}}\"]}}]", limits.join(", "));
    let mut all = declared(&yaml, work.path());
    all.databases = vec![
        DatabaseAccess { engine: DatabaseEngine::Postgresql, socket: postgres_socket, user: "postgres".into() },
        DatabaseAccess { engine: DatabaseEngine::Mariadb, socket: text(&socket).into(), user: "root".into() },
    ];
    let (found, gaps): (Retention, _) = gather(Host::live().unwrap(), all.clone());
    let findings = judged(&found, &gaps);
    let limit = |name: &str| found.limits.iter().find(|l| l.subject == name).unwrap();
    assert_eq!(
        with(&findings, Verdict::Fail),
        set(&[("data-past-limit", "old"), ("data-past-limit", "row"), ("data-past-limit", "dated"), ("offboarded-data-left", "acme")]),
        "{gaps:#?}"
    );
    let list = format!("{}:6", text(&at("list.csv")));
    let unknown = with(&findings, Verdict::Unknown);
    assert_eq!(
        unknown,
        set(&[("data-past-limit", "typo"), ("data-past-limit", "write"), ("data-past-limit", "two"), ("offboarded-data-left", &list)]),
        "{gaps:#?}"
    );
    assert_eq!((limit("old").oldest.as_str(), limit("old").older, limit("old").count), ("in/a", 1, 2));
    assert!((limit("row").oldest_at.unwrap() - (now - 40 * DAY)).abs() < 600 && (limit("epoch").oldest_at.unwrap() - now).abs() < 600);
    assert!((limit("maria").oldest_at.unwrap() - (now - 3 * DAY)).abs() < 600 && limit("empty").oldest_at.is_none());
    let rows = Command::new("psql")
        .args(["-h", text(postgres.folder()), "-p", &postgres.port.to_string(), "-U", "postgres", "-AtXc", "SELECT count(*) FROM t"])
        .output();
    assert_eq!(String::from_utf8(rows.unwrap().stdout).unwrap().trim(), "1", "nothing was deleted");
    let acme = found.tenants.iter().find(|t| t.subject == "acme").unwrap();
    assert_eq!((acme.places[0].files, acme.places[0].bytes, acme.source.line), (1, 5, 2));
    // A list that others may write decides nothing.
    run(Command::new("chmod").arg("0666").arg(at("list.csv")));
    let (found, gaps): (Retention, _) = gather(Host::live().unwrap(), all);
    assert!(found.tenants.is_empty() && gaps.iter().any(|g| g.path == "tenants" && g.detail.contains("others than root may write")), "{gaps:?}");
}

#[test]
fn snapshots_of_a_recorded_machine() {
    let dir = tempfile::tempdir().unwrap();
    let now = clock::unix_now();
    let write = |path: &str, content: &str| {
        let path = dir.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    };
    for day in 0..14 {
        let at = now - day * DAY - 3600;
        let date = Timestamp::from_second(at).unwrap().strftime("%Y-%m-%d %H:%M:%S").to_string();
        write(&format!("snapper/{}/info.xml", 14 - day), &format!("<snapshot><date>{date}</date></snapshot>"));
        write(&format!("snapper/{}/snapshot/etc/hostname", 14 - day), "x");
        write(&format!("data/.zfs/snapshot/autosnap_{}_daily/x", moment(at)), "x");
    }
    write("data2/.zfs/snapshot/manual/x", "x");
    let volume = |name: &str, at: i64| format!("{name} {{\ncreation_time = {at}\nsegment1 {{\ntype = \"thin\"\norigin = \"root\"\n}}\n}}\n");
    write("etc/lvm/backup/vg0", &format!("vg0 {{\nlogical_volumes {{\n{}{}}}\n}}\n", volume("s1", now - 9 * DAY), volume("s2", now - 2 * DAY)));
    let yaml = "snapshots: [{name: snapper, kind: btrfs, path: /snapper, keep_days: 13, keep_at_most_days: 20, off_site: second}, {name: zfs, kind: zfs, path: /data, keep_days: 13}, \
                {name: undated, kind: zfs, path: /data2, keep_days: 0}, {name: lvm, kind: lvm, path: vg0/root, keep_days: 8}, {name: none, kind: lvm, path: vg9/root}]";
    let (found, gaps): (Snapshots, _) = gather(Host::rooted(dir.path()).unwrap(), declared(yaml, dir.path()));
    let findings = judged(&found, &gaps);
    assert_eq!(
        with(&findings, Verdict::Fail),
        set(&[
            ("snapshot-schedule", "lvm"),
            ("snapshot-off-site", "zfs"),
            ("snapshot-off-site", "undated"),
            ("snapshot-off-site", "lvm"),
            ("snapshot-off-site", "none"),
        ]),
        "{gaps:#?}"
    );
    assert!(with(&findings, Verdict::Unknown).is_superset(&set(&[("snapshot-schedule", "undated"), ("snapshot-schedule", "none"), ("snapshot-kept", "none")])));
    assert_eq!(found.sets.iter().map(|s| s.count).collect::<Vec<_>>(), [14, 14, 1, 2, 0]);
    assert!(with(&findings, Verdict::Pass).is_superset(&set(&[
        ("snapshot-schedule", "snapper"),
        ("snapshot-kept", "snapper"),
        ("snapshot-schedule", "zfs"),
        ("snapshot-kept", "lvm")
    ])));
}
