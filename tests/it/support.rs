//! What several tests share: our own binaries, started and stopped by pid.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{LazyLock, mpsc};
use std::time::{Duration, Instant};

pub const ASSAY: &str = env!("CARGO_BIN_EXE_assay");
pub const COLLECTOR: &str = env!("CARGO_BIN_EXE_assay-collector");

/// Our programs as `ASSAY_PROGRAMS` names their folder: a release build, for figures and for many
/// kills; else those of this build.
pub fn assay() -> &'static str {
    static PATH: LazyLock<String> = LazyLock::new(|| program("assay", ASSAY));
    &PATH
}

/// The same for the collector.
pub fn collector() -> &'static str {
    static PATH: LazyLock<String> = LazyLock::new(|| program("assay-collector", COLLECTOR));
    &PATH
}

fn program(name: &str, own: &str) -> String {
    std::env::var("ASSAY_PROGRAMS").map_or_else(|_| own.into(), |folder| format!("{folder}/{name}"))
}

/// A process of ours; dropped, it is killed.
pub struct Running {
    child: Child,
    lines: mpsc::Receiver<String>,
    pub seen: Vec<String>,
}

impl Running {
    /// Starts a program whose standard output is read line by line.
    pub fn start(command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in stdout.lines() {
                let Ok(line) = line else { break };
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Self { child, lines, seen: Vec::new() }
    }

    /// The first line that holds `text`, seen within `limit`.
    pub fn line(&mut self, text: &str, limit: Duration) -> String {
        let end = Instant::now() + limit;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => {
                    self.seen.push(line.clone());
                    if line.contains(text) {
                        return line;
                    }
                }
                Err(e) => panic!("no line with {text:?} ({e}); seen:\n{}", self.seen.join("\n")),
            }
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// kill -9, and waits for the end.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        self.child.wait().unwrap();
    }

    /// Sends SIGINT, as Ctrl-C does, and waits for the exit code.
    pub fn interrupt(&mut self, limit: Duration) -> Option<i32> {
        self.signal(rustix::process::Signal::INT);
        self.wait(limit)
    }

    /// Sends SIGTERM, as a service manager does, and waits for the exit code.
    pub fn terminate(&mut self, limit: Duration) -> Option<i32> {
        self.signal(rustix::process::Signal::TERM);
        self.wait(limit)
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_raw(i32::try_from(self.pid()).unwrap()).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// The exit code, if it ends within `limit`.
    pub fn wait(&mut self, limit: Duration) -> Option<i32> {
        let end = Instant::now() + limit;
        while Instant::now() < end {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        None
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The real collector in a process of its own, on a store of its own.
pub struct Collector {
    folder: tempfile::TempDir,
    /// Where agents connect, `127.0.0.1:PORT`; the same after each start.
    pub agents: String,
    /// Where people connect, `127.0.0.1:PORT`; another after each start.
    pub people: String,
    running: Option<Running>,
}

impl Collector {
    /// Starts one.
    pub fn start() -> Self {
        Self::start_in(tempfile::tempdir().unwrap())
    }

    /// Starts one whose data lie in a folder.
    pub fn start_in(folder: tempfile::TempDir) -> Self {
        let mut collector = Self { folder, agents: String::new(), people: String::new(), running: None };
        // Between choosing a port and taking it, a test in another process may have taken it.
        for _ in 0..5 {
            collector.agents = format!("127.0.0.1:{}", super::lab::free_port());
            collector.resume();
            std::thread::sleep(Duration::from_millis(50));
            if collector.running.as_mut().unwrap().wait(Duration::from_millis(1)).is_none() {
                break;
            }
        }
        collector
    }

    /// Starts it again after [`Self::kill`] or [`Self::stop`].
    pub fn resume(&mut self) {
        let mut command = Command::new(collector());
        self.people = format!("127.0.0.1:{}", super::lab::free_port());
        command.args(["serve", "--plain-http", "--data", text(self.data()), "--agents", &self.agents, "--people", &self.people]);
        let stderr = if std::env::var_os("ASSAY_LOGS").is_some() { Stdio::inherit() } else { Stdio::null() };
        self.running = Some(Running::start(command.stderr(stderr)));
        wait_for(&self.agents, Duration::from_secs(60));
        wait_for(&self.people, Duration::from_secs(60));
    }

    /// kill -9.
    pub fn kill(&mut self) {
        if let Some(mut running) = self.running.take() {
            running.kill();
        }
    }

    /// SIGINT, and waits for a good end.
    pub fn stop(&mut self) {
        if let Some(mut running) = self.running.take() {
            assert_eq!(running.interrupt(Duration::from_secs(60)), Some(0));
        }
    }

    /// Its data folder.
    pub fn data(&self) -> &Path {
        self.folder.path()
    }

    /// Its process.
    pub fn process(&self) -> Process {
        Process(self.running.as_ref().unwrap().pid())
    }

    /// A token of so many uses.
    pub fn token(&self, uses: u32) -> String {
        let (code, token, error) = run(collector(), &["token", "create", "--data", text(self.data()), "--uses", &uses.to_string()]);
        assert_eq!(code, 0, "{error}");
        token.split_whitespace().find(|w| w.starts_with("assay1.")).unwrap().to_string()
    }

    /// Its store, beside it.
    pub async fn store(&self) -> assay::collector::store::Store {
        assay::collector::store::Store::open(self.data()).await.unwrap()
    }
}

/// What a collector holds, to be held against what hosts say they sent.
pub struct Books {
    reports: Vec<assay::collector::store::ReportRow>,
}

impl Books {
    /// Opens the store of a collector: no report twice, and one ledger entry for each and for no
    /// other.
    pub fn open(data: &Path) -> Self {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(Self::read(data))
    }

    /// The same, from inside a runtime.
    pub async fn read(data: &Path) -> Self {
        let store = assay::collector::store::Store::open(data).await.unwrap();
        let size = store.checkpoint().await.unwrap().expect("a checkpoint").0;
        let reports = store.reports(None, None, 0).await.unwrap();
        let leaves = store.leaves(0, size).await.unwrap();
        store.close().await;
        let ids: BTreeSet<String> = reports.iter().map(|r| r.id.to_string()).collect();
        let numbers: BTreeSet<_> = reports.iter().map(|r| (r.host, r.lineage, r.sequence)).collect();
        assert_eq!((ids.len(), numbers.len()), (reports.len(), reports.len()), "nothing doubled");
        let mut about: Vec<String> = leaves.into_iter().filter(|l| l.kind == "report").map(|l| l.reference).collect();
        about.sort();
        assert_eq!(about, ids.into_iter().collect::<Vec<_>>(), "one leaf per accepted report");
        Self { reports }
    }

    /// Reports of all hosts.
    pub fn len(&self) -> usize {
        self.reports.len()
    }

    /// Every number that the agent of this state folder gave out is here, in one lineage, and
    /// nothing waits; how many.
    pub fn hold_all_of(&self, state: &Path) -> usize {
        let identity = assay::agent::identity::Identity::load(state).unwrap();
        let spool = assay::agent::spool::Spool::open(state, assay::agent::spool::Bounds::default(), identity.lineage).unwrap();
        assert_eq!(spool.waiting(), Vec::new(), "nothing waits any more");
        let mine: Vec<_> = self.reports.iter().filter(|r| r.host == identity.host).collect();
        assert!(mine.iter().all(|r| r.lineage == spool.state().lineage), "no fault of the network costs a lineage");
        let mut numbers: Vec<u64> = mine.iter().map(|r| r.sequence).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (1..spool.state().next_sequence).collect::<Vec<_>>(), "every number that was given out arrived");
        mine.len()
    }
}

/// What the kernel tells of a process.
#[derive(Clone, Copy, Debug)]
pub struct Process(pub u32);

impl Process {
    /// Processor time used so far, of all threads, dead ones included (`utime` and `stime` of
    /// proc_pid_stat(5), in ticks of 10 ms).
    pub fn cpu(self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.0)).unwrap();
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        let ticks: u64 = [11, 12].iter().map(|i| fields[*i].parse::<u64>().unwrap()).sum();
        Duration::from_millis(ticks * 10)
    }

    /// Resident memory now and at most since [`Self::forget_peak`], KiB (proc_pid_status(5)).
    pub fn memory(self) -> (u64, u64) {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0)).unwrap();
        let field = |name: &str| status.lines().find_map(|l| l.strip_prefix(name)).and_then(|v| v.trim().trim_end_matches(" kB").parse().ok()).unwrap();
        (field("VmRSS:"), field("VmHWM:"))
    }

    /// Makes what is resident now the peak (5 to proc_pid_clear_refs(5)).
    pub fn forget_peak(self) {
        std::fs::write(format!("/proc/{}/clear_refs", self.0), "5").unwrap();
    }
}

/// Waits until something accepts connections at `address`.
pub fn wait_for(address: &str, limit: Duration) {
    let end = Instant::now() + limit;
    while std::net::TcpStream::connect(address).is_err() {
        assert!(Instant::now() < end, "nothing listens on {address}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Runs a command to its end; (exit code, standard output, standard error).
pub fn run(program: &str, arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
}

/// A path as text.
pub fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
