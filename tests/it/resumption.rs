//! A database restored from an old backup, with the real programs: noticed, refused, resumed, and what the agents kept comes back.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::lab::free_port;
use super::support::{ASSAY, COLLECTOR, Running, run, text, wait_for};

const SOON: Duration = Duration::from_secs(90);

struct Site<'a> {
    folder: &'a Path,
    agents: String,
}

impl Site<'_> {
    fn data(&self, name: &str) -> String {
        text(&self.folder.join(name)).to_string()
    }

    fn serve(&self, data: &str) -> Running {
        let people = format!("127.0.0.1:{}", free_port());
        let mut command = Command::new(COLLECTOR);
        command.args(["serve", "--data", data, "--agents", &self.agents, "--people", &people, "--plain-http"]);
        Running::start(command.stderr(std::fs::File::create(self.folder.join("log")).unwrap()))
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap()
    }

    fn enrol(&self, data: &str, name: &str) {
        let (code, token, error) = run(COLLECTOR, &["token", "create", "--data", data]);
        assert_eq!(code, 0, "{error}");
        let state = self.folder.join(name);
        let config = format!("state_dir: {}\nfamilies: [os]\nheartbeat_seconds: 1\ngatherer:\n  in_process: true\n", text(&state));
        std::fs::write(self.folder.join(format!("{name}.yaml")), config).unwrap();
        let url = format!("https://{}", self.agents);
        let (code, _, error) = run(ASSAY, &["enroll", "--collector", &url, "--token", token.trim(), "--state", text(&state), "--name", name]);
        assert_eq!(code, 0, "{error}");
    }

    fn scan(&self, name: &str) {
        let (code, _, error) = run(ASSAY, &["agent", "--once", "--config", &self.data(&format!("{name}.yaml"))]);
        assert_eq!(code, 0, "{error}");
    }

    /// The agent as the service runs it.
    fn agent(&self, name: &str) -> Running {
        Running::start(Command::new(ASSAY).args(["agent", "--config", &self.data(&format!("{name}.yaml"))]).stderr(Stdio::null()))
    }
}

fn collector(arguments: &[&str]) -> (i32, String, String) {
    run(COLLECTOR, arguments)
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + SOON;
    while !done() {
        assert!(Instant::now() < end, "{what}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Rows of reports by host name, as `host list` and a backup tell.
fn reports(data: &str) -> u64 {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let store = assay::collector::store::Store::open(Path::new(data)).await.unwrap();
        let count = store.reports(None, None, 0).await.unwrap().iter().filter(|r| r.leaf.is_some()).count() as u64;
        store.close().await;
        count
    })
}

#[test]
fn an_old_backup_is_noticed_by_the_agents_and_they_bring_back_what_it_lacks() {
    let dir = tempfile::tempdir().unwrap();
    let site = Site { folder: dir.path(), agents: format!("127.0.0.1:{}", free_port()) };
    let (old, new, backup) = (site.data("old"), site.data("new"), site.data("backup.zst"));
    let mut serving = site.serve(&old);
    wait_for(&site.agents, SOON);
    site.enrol(&old, "web01");
    site.scan("web01");
    site.scan("web01");
    // While the collector works.
    let (code, out, error) = collector(&["backup", "--out", &backup, "--data", &old]);
    assert!(code == 0 && out.contains("entries of the ledger"), "{out}{error}");
    site.scan("web01");
    site.scan("web01");
    site.enrol(&old, "web02");
    site.scan("web02");
    assert_eq!(serving.interrupt(SOON), Some(0));
    assert_eq!(reports(&old), 5);

    // The machine is gone; keys and backup are all there is.
    std::fs::create_dir(&new).unwrap();
    for key in std::fs::read_dir(&old).unwrap().map(Result::unwrap).filter(|e| e.path().extension().is_some_and(|x| x == "pem")) {
        std::fs::copy(key.path(), Path::new(&new).join(key.file_name())).unwrap();
    }
    let (code, out, error) = collector(&["restore", &backup, "--data", &new]);
    assert!(code == 0 && out.contains("restored"), "{out}{error}");
    let (code, ..) = collector(&["restore", &backup, "--data", &new]);
    assert_eq!(code, 1, "a store that is not empty is not restored over");

    // Nothing here tells that the backup is old. A host holds a checkpoint that does.
    let mut serving = site.serve(&new);
    wait_for(&site.agents, SOON);
    let mut agent = site.agent("web01");
    assert_eq!(serving.wait(SOON), Some(1), "{}", site.log());
    assert!(site.log().contains("rolled back or restored from a backup"), "{}", site.log());
    assert_eq!(site.serve(&new).wait(SOON), Some(1), "and stays refused");
    assert!(site.log().contains("were published"), "{}", site.log());

    let (code, out, error) = collector(&["ledger", "resume", "--data", &new]);
    assert!(code == 0 && out.contains("published entries are not in this database"), "{out}{error}");
    let mut serving = site.serve(&new);
    wait_for(&site.agents, SOON);
    let mut other = site.agent("web02");
    // The first agent goes on by itself; the second one's enrolment came after the backup.
    until("the agents bring back their reports", || reports(&new) == 5);
    agent.kill();
    other.kill();
    assert_eq!(serving.interrupt(SOON), Some(0));
    let (code, out, error) = collector(&["fsck", "--data", &new]);
    assert!(code == 0 && out.contains("Nothing differs"), "{out}{error}");
    let (code, out, error) = collector(&["ledger", "status", "--data", &new]);
    assert!(code == 0 && out.contains("resumed") && out.contains("no host has a hole"), "{out}{error}");
    let (_, hosts, _) = collector(&["host", "list", "--data", &new]);
    assert!(hosts.contains("web01") && hosts.contains("web02"), "{hosts}");
}
