//! A year of many hosts: what an export and its verification cost, beside Info-ZIP over the same files.
//!
//! ```text
//! cargo bench --bench export                       1,000 hosts, 52 weeks
//! cargo bench --bench export -- --hosts 10000      needs about 1 MB of disk per host for the store, and as much again for the bundle
//! cargo bench --bench export -- --hosts 1000 --keep target/year --no-peer
//! ```
//! The store is written directly, a transaction per host: signed reports, blobs of a recorded host whose volatile values move each
//! week, verdicts of which some change, a numbered and signed ledger. Then the programs run as people run them; the peak is VmHWM.
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

#[path = "export/year.rs"]
mod year;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

struct Options {
    hosts: u32,
    weeks: u32,
    keep: Option<PathBuf>,
    has_peer: bool,
}

impl Options {
    fn parse() -> Self {
        let mut options = Self { hosts: 1000, weeks: 52, keep: None, has_peer: true };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let mut value = || words.next().unwrap_or_else(|| panic!("{word} needs a value"));
            match word.as_str() {
                "--hosts" => options.hosts = value().parse().expect("a number"),
                "--weeks" => options.weeks = value().parse().expect("a number"),
                "--keep" => options.keep = Some(value().into()),
                "--no-peer" => options.has_peer = false,
                // Given by cargo.
                "--bench" => (),
                other => panic!("{other:?} is unknown: --hosts N, --weeks N, --keep DIR, --no-peer"),
            }
        }
        options
    }
}

/// What a program cost.
struct Cost {
    time: Duration,
    /// KiB; `None` when it ended before anybody looked.
    peak: Option<u64>,
}

fn main() {
    let options = Options::parse();
    let own = tempfile::tempdir_in("target").unwrap();
    let folder = options.keep.clone().unwrap_or_else(|| own.path().into());
    std::fs::create_dir_all(&folder).unwrap();
    let data = folder.join("data");
    if data.exists() {
        println!("{}: kept from before", data.display());
    } else {
        let begun = Instant::now();
        let said = Arc::new(year::Said::record());
        let made = tokio::runtime::Runtime::new().unwrap().block_on(year::make(&data, said, options.hosts, options.weeks));
        println!("{} hosts, {} reports, {} blobs, {} leaves in {:.0} s", options.hosts, made.reports, made.blobs, made.leaves, begun.elapsed().as_secs_f64());
    }
    println!("store        {:>10.1} MiB", mib(size(&data)));

    let bundle = folder.join("year.zip");
    let _ = std::fs::remove_file(&bundle);
    let (from, to) = year::days(options.weeks);
    let words = ["evidence", "export", "--framework", "soc2", "--from", &from, "--to", &to, "--seed", "bench", "--sample", "25"];
    let export = run(Command::new(env!("CARGO_BIN_EXE_assay-collector")).args(words).arg("--data").arg(&data).arg("--out").arg(&bundle), &[0]);
    report("export", &export);
    println!("bundle       {:>10.1} MiB", mib(size(&bundle)));
    let verify = run(Command::new(env!("CARGO_BIN_EXE_assay")).args(["evidence", "verify"]).arg(&bundle), &[3]);
    report("verify", &verify);
    if options.has_peer {
        peer(&folder, &bundle, &export);
    }
}

/// Info-ZIP packs the plain files of the bundle, and tests its archive.
fn peer(folder: &Path, bundle: &Path, export: &Cost) {
    let (plain, theirs) = (folder.join("plain"), folder.join("theirs.zip"));
    let _ = (std::fs::remove_dir_all(&plain), std::fs::remove_file(&theirs));
    run(Command::new("unzip").args(["-q", "-o"]).arg(bundle).arg("-d").arg(&plain), &[0]);
    println!("plain files  {:>10.1} MiB", mib(size(&plain)));
    let theirs = std::path::absolute(&theirs).unwrap();
    let zip = run(Command::new("zip").args(["-q", "-r", "-6"]).arg(&theirs).arg(".").current_dir(&plain), &[0]);
    report("zip -6", &zip);
    println!("  size       {:>10.1} MiB, ours {:.2} of it", mib(size(&theirs)), size(bundle) as f64 / size(&theirs) as f64);
    println!("  time       export with reading, proving and signing takes {:.2} of zip's over plain files", export.time.as_secs_f64() / zip.time.as_secs_f64());
    let test = run(Command::new("unzip").args(["-q", "-t"]).arg(&theirs), &[0]);
    report("unzip -t", &test);
    let _ = std::fs::remove_dir_all(&plain);
}

fn report(what: &str, cost: &Cost) {
    let peak = cost.peak.map(|kib| format!(", peak {:.0} MiB", kib as f64 / 1024.0)).unwrap_or_default();
    println!("{what:<12} {:>10.1} s{peak}", cost.time.as_secs_f64());
}

/// Runs a program to its end, watching its peak of resident memory.
fn run(command: &mut Command, expected: &[i32]) -> Cost {
    let begun = Instant::now();
    let mut child = command.stdout(Stdio::null()).spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut peak = None;
    let code = loop {
        if let Some(kib) = std::fs::read_to_string(&status).ok().as_deref().and_then(high_water) {
            peak = Some(kib);
        }
        match child.try_wait().unwrap() {
            Some(status) => break status.code(),
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    };
    assert!(code.is_some_and(|c| expected.contains(&c)), "{command:?}: {code:?}");
    Cost { time: begun.elapsed(), peak }
}

fn high_water(status: &str) -> Option<u64> {
    status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?.split_whitespace().next()?.parse().ok()
}

/// Bytes of a file, or of all files of a folder.
fn size(path: &Path) -> u64 {
    if path.is_file() {
        return path.metadata().unwrap().len();
    }
    std::fs::read_dir(path).unwrap().map(|e| size(&e.unwrap().path())).sum()
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
