//! Collectors on one PostgreSQL server: replicas share a ledger, and a promoted standby lost nothing that was acknowledged.
#![cfg(feature = "postgres")]

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::lab::{free_port, servers};
use super::support::{ASSAY, COLLECTOR, Running, run, text, wait_for};
use assay::collector::store::Store;

const SOON: Duration = Duration::from_secs(120);

/// One collector with a data folder of its own.
struct Replica {
    data: String,
    agents: String,
    process: Running,
}

impl Replica {
    fn start(folder: &Path, name: &str, url: &str, keys: Option<&str>) -> Self {
        let data = folder.join(name);
        if !data.exists() {
            std::fs::create_dir(&data).unwrap();
            for key in keys.map(|k| std::fs::read_dir(k).unwrap().map(Result::unwrap)).into_iter().flatten() {
                if key.path().extension().is_some_and(|x| x == "pem") {
                    std::fs::copy(key.path(), data.join(key.file_name())).unwrap();
                }
            }
        }
        std::fs::write(data.join("database.url"), url).unwrap();
        let (agents, people) = (format!("127.0.0.1:{}", free_port()), format!("127.0.0.1:{}", free_port()));
        let log = std::fs::File::create(folder.join(format!("{name}.log"))).unwrap();
        let mut command = Command::new(COLLECTOR);
        command.args(["serve", "--data", text(&data), "--agents", &agents, "--people", &people, "--plain-http"]);
        let process = Running::start(command.stderr(log));
        wait_for(&agents, SOON);
        Self { data: text(&data).into(), agents, process }
    }

    fn enrol(&self, folder: &Path, name: &str) {
        let (code, token, error) = run(COLLECTOR, &["token", "create", "--data", &self.data]);
        assert_eq!(code, 0, "{error}");
        let state = folder.join(name);
        let url = format!("https://{}", self.agents);
        let (code, _, error) = run(ASSAY, &["enroll", "--collector", &url, "--token", token.trim(), "--state", text(&state), "--name", name]);
        assert_eq!(code, 0, "{error}");
    }

    fn scan(&self, folder: &Path, name: &str) -> Child {
        let config = format!("collector: https://{}\nstate_dir: {}\nfamilies: [os]\ngatherer:\n  in_process: true\n", self.agents, text(&folder.join(name)));
        let file = folder.join(format!("{name}.yaml"));
        std::fs::write(&file, config).unwrap();
        Command::new(ASSAY).args(["agent", "--once", "--config", text(&file)]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    fn scanned(&self, folder: &Path, name: &str) -> bool {
        self.scan(folder, name).wait().unwrap().success()
    }
}

/// How many reports are stored, after a check of the whole store.
fn checked(data: &str) -> usize {
    let (code, out, error) = run(COLLECTOR, &["fsck", "--data", data]);
    assert_eq!(code, 0, "{out}{error}");
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let store = Store::open(Path::new(data)).await.unwrap();
        let count = store.reports(None, None, 0).await.unwrap().len();
        store.close().await;
        count
    })
}

#[test]
fn several_collectors_share_one_ledger_and_one_takes_over_from_another() {
    let server = servers::postgresql("host all postgres 127.0.0.1/32 trust\n", None, &["listen_addresses=127.0.0.1", "max_connections=100"]);
    let url = servers::database(&server, "assay");
    let dir = tempfile::tempdir().unwrap();
    let mut one = Replica::start(dir.path(), "one", &url, None);
    let two = Replica::start(dir.path(), "two", &url, Some(&one.data));
    one.enrol(dir.path(), "web01");
    // Enrolled at one, known at the other at once; numbered by one, acknowledged by the other.
    assert!(two.scanned(dir.path(), "web01") && one.scanned(dir.path(), "web01"));
    // At the same time at both: one ledger, one number each.
    two.enrol(dir.path(), "web02");
    let mut both = [one.scan(dir.path(), "web01"), two.scan(dir.path(), "web02")];
    assert!(both.iter_mut().all(|c| c.wait().unwrap().success()));
    // The one that numbers is killed; the other takes the lease when it has run out.
    one.process.kill();
    let end = Instant::now() + SOON;
    while !two.scanned(dir.path(), "web02") {
        assert!(Instant::now() < end, "nobody took over");
    }
    let reports = checked(&two.data);
    assert!(reports >= 5, "{reports}");
    let (code, out, error) = run(COLLECTOR, &["host", "retire", "web02", "--why", "sold", "--data", &two.data]);
    assert_eq!(code, 0, "{out}{error}");
    std::thread::sleep(Duration::from_secs(4));
    assert!(!two.scanned(dir.path(), "web02"), "a host that was retired by a command is refused");
}

#[test]
fn a_promoted_standby_has_every_acknowledged_report() {
    let settings = ["listen_addresses=127.0.0.1", "max_connections=60", "wal_level=replica", "synchronous_standby_names=second", "hot_standby=on"];
    let hba = "host all postgres 127.0.0.1/32 trust\nhost replication postgres 127.0.0.1/32 trust\nlocal all all trust\n";
    let primary = servers::postgresql(hba, None, &settings);
    let standby = servers::postgresql_standby(&primary, "second");
    let url = servers::database(&primary, "assay");
    let dir = tempfile::tempdir().unwrap();
    let mut collector = Replica::start(dir.path(), "one", &url, None);
    collector.enrol(dir.path(), "web01");
    assert!(collector.scanned(dir.path(), "web01") && collector.scanned(dir.path(), "web01"));
    // In the middle of a third one the primary dies at once.
    let mut third = collector.scan(dir.path(), "web01");
    std::thread::sleep(Duration::from_millis(150));
    primary.kill();
    let acknowledged = usize::from(third.wait().unwrap().success());
    collector.process.kill();
    servers::promote(&standby);
    let url = format!("postgres://postgres@127.0.0.1:{}/assay", standby.port);
    let collector = Replica::start(dir.path(), "one", &url, None);
    let found = checked(&collector.data);
    assert!(found >= 2 + acknowledged, "{found} of {} acknowledged reports", 2 + acknowledged);
    assert!(collector.scanned(dir.path(), "web01"), "and it goes on");
    assert_eq!(checked(&collector.data), 4, "the third one came, again or at last");
}
