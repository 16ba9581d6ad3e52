//! Many hosts against the real collector, on the real wire: enrolment, first reports, unchanged
//! weeks, heartbeats, and all hosts returning at once.
//!
//! ```text
//! cargo bench --bench simulator -- --hosts 1000
//! cargo bench --bench simulator -- --hosts 100000 --connections 64
//! ```
//! Every host has its own key, salt and certificate and makes a TLS connection of its own for each
//! delivery, as its agent would; a bounded number of them at a time. The facts are those of a
//! recorded host (`--live`: of this machine); in an unchanged week only volatile values differ. The
//! collector is another process, and its processor time is counted apart from the simulator's.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    clippy::exit,
    missing_docs,
    dead_code
)]

#[path = "simulator/fleet.rs"]
mod fleet;
#[path = "../lab/host.rs"]
mod host;
#[path = "simulator/wire.rs"]
mod wire;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use fleet::{Fleet, Scan};

/// What is simulated.
struct Options {
    hosts: usize,
    connections: usize,
    weeks: u32,
    live: bool,
    herd: bool,
    collector: PathBuf,
    data: Option<PathBuf>,
}

impl Options {
    fn parse() -> Self {
        let mut options =
            Self { hosts: 300, connections: 32, weeks: 3, live: false, herd: true, collector: env!("CARGO_BIN_EXE_assay-collector").into(), data: None };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let mut value = || words.next().unwrap_or_else(|| panic!("{word} needs a value"));
            match word.as_str() {
                "--hosts" => options.hosts = value().parse().expect("a number"),
                "--connections" => options.connections = value().parse().expect("a number"),
                "--weeks" => options.weeks = value().parse().expect("a number"),
                "--collector" => options.collector = value().into(),
                "--data" => options.data = Some(value().into()),
                "--live" => options.live = true,
                "--no-herd" => options.herd = false,
                // cargo bench says so.
                "--bench" => {}
                other => panic!("{other}: unknown; there are --hosts --connections --weeks --collector --data --live --no-herd"),
            }
        }
        options
    }
}

/// The collector while it runs.
pub struct Collector {
    child: Child,
    pub address: String,
    data: PathBuf,
}

impl Collector {
    fn start(program: &Path, data: &Path) -> Self {
        let free = || std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let (address, people) = (free(), free());
        let child = Command::new(program)
            .args(["serve", "--plain-http", "--agents", &address, "--people", &people, "--data"])
            .arg(data)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(data.join("log")).unwrap())
            .spawn()
            .unwrap();
        let begun = Instant::now();
        while std::net::TcpStream::connect(&address).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(60), "the collector does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        Self { child, address, data: data.into() }
    }

    fn token(&self, program: &Path, uses: usize) -> String {
        let output = Command::new(program).args(["token", "create", "--uses", &uses.to_string(), "--data"]).arg(&self.data).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        text.split_whitespace().find(|w| w.starts_with("assay1.")).expect("a token").to_string()
    }

    /// Processor time so far (proc_pid_stat(5)), and the most memory resident, MiB (proc_pid_status(5)).
    pub fn cost(&self) -> (Duration, u64) {
        (cpu(self.child.id()), field(self.child.id(), "VmHWM:") / 1024)
    }

    /// Bytes in the data folder.
    pub fn disk(&self) -> u64 {
        std::fs::read_dir(&self.data).unwrap().filter_map(|e| e.unwrap().metadata().ok()).map(|m| m.len()).sum()
    }

    fn stop(mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        assert!(self.child.wait().unwrap().success());
    }
}

fn cpu(pid: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    Duration::from_millis(10 * [11, 12].iter().map(|i| fields[*i].parse::<u64>().unwrap()).sum::<u64>())
}

fn field(pid: u32, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    status.lines().find_map(|l| l.strip_prefix(name)).and_then(|v| v.trim().trim_end_matches(" kB").parse().ok()).unwrap()
}

fn main() {
    let options = Options::parse();
    // Both sides need a file descriptor per connection.
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let all = rustix::process::Rlimit { current: limit.maximum, maximum: limit.maximum };
    let _ = rustix::process::setrlimit(rustix::process::Resource::Nofile, all);
    assay::pki::install_provider();
    let folder = tempfile::tempdir().unwrap();
    let data = options.data.clone().unwrap_or_else(|| folder.path().to_path_buf());
    std::fs::create_dir_all(&data).unwrap();
    let collector = Collector::start(&options.collector, &data);
    let token = collector.token(&options.collector, options.hosts);
    let scan = Scan::of(options.live);
    println!(
        "{} hosts, {} at a time, on {} processors; {}: {} families, {} blobs, {} bytes plain, {} packed; {} blobs change each week, {} bytes packed",
        options.hosts,
        options.connections,
        std::thread::available_parallelism().map_or(0, usize::from),
        if options.live { "this machine" } else { "a recorded host" },
        scan.families(),
        scan.week(0).blobs.len(),
        scan.week(0).blobs.iter().map(|b| b.plain.len()).sum::<usize>(),
        scan.week(0).blobs.iter().map(|b| b.frame.len()).sum::<usize>(),
        scan.changing().0,
        scan.changing().1,
    );
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let fleet = Fleet::enrol(&collector, &scan, &token, options.hosts, options.connections).await;
        for week in 0..=options.weeks {
            fleet.deliver(&collector, &scan, week, options.connections).await;
        }
        fleet.beat(&collector, options.connections).await;
        if options.herd {
            fleet.herd(&collector, &scan, options.weeks + 1).await;
        }
        let reports = options.hosts as u64 * u64::from(options.weeks + 1 + u32::from(options.herd));
        fleet.check(&collector.data, reports).await;
    });
    collector.stop();
}
