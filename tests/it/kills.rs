//! kill -9 of either side at random moments: nothing lost, nothing doubled.
//!
//! The real binaries, real TLS on loopback through a relay, the store and the spool on disk. A kill
//! counts when it met a living process. `ASSAY_KILLS` sets how many (40 by default; `tests/run full`
//! does more), `ASSAY_PAIRS` how many pairs of agent and collector run side by side (2 by default).

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::lab::proxy::Proxy;
use super::support::{Books, Collector, assay, run, text};

/// Longest time for an agent that nobody kills.
const PATIENCE: Duration = Duration::from_secs(120);

/// When the kill comes.
#[derive(Clone, Copy, Debug)]
enum Moment {
    /// So long after the agent's start.
    Life(Duration),
    /// So long after something new appeared in the spool.
    Spool(Duration),
    /// Once so many bytes went up, and so long after that: within the report, a blob, the commit.
    Sent(usize, Duration),
    /// Once so many bytes came down: within the acknowledgement.
    Answered(usize, Duration),
}

/// Random numbers that are the same in each run (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit.max(1)
    }
}

/// An agent and its collector.
struct Pair {
    folder: tempfile::TempDir,
    collector: Collector,
    proxy: Proxy,
    /// What a whole life of the agent takes, in time and in bytes each way.
    life: Duration,
    up: usize,
    down: usize,
}

impl Pair {
    fn start() -> Self {
        let (folder, collector) = (tempfile::tempdir().unwrap(), Collector::start());
        let proxy = Proxy::start(collector.agents.rsplit(':').next().unwrap().parse().unwrap());
        let mut pair = Self { folder, collector, proxy, life: Duration::ZERO, up: 0, down: 0 };
        let url = format!("https://127.0.0.1:{}", pair.proxy.port);
        let token = pair.collector.token(1);
        let (code, _, error) = run(assay(), &["enroll", "--collector", &url, "--token", &token, "--state", text(&pair.state()), "--name", "killed"]);
        assert_eq!(code, 0, "{error}");
        // Quick families, so that kills meet every step and not the reading alone; `sessions` and
        // `kernel` bring new blobs each time.
        let config = format!("state_dir: {}\nfamilies: [os, kernel, sessions]\ngatherer:\n  in_process: true\n", text(&pair.state()));
        std::fs::write(pair.folder.path().join("agent.yaml"), config).unwrap();
        assert!(pair.agent().wait().unwrap().success());
        pair.proxy.counted();
        let begun = Instant::now();
        assert!(pair.agent().wait().unwrap().success());
        pair.life = begun.elapsed();
        (pair.up, pair.down) = pair.proxy.counted();
        pair
    }

    fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// One scan, spooled and delivered with all that waits.
    fn agent(&self) -> Child {
        let mut agent = Command::new(assay());
        agent.args(["agent", "--once", "--config", text(&self.folder.path().join("agent.yaml"))]);
        agent.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    /// The newest change of the spool folder, and how many files there are.
    fn spool(&self) -> (Option<std::time::SystemTime>, usize) {
        let folder = self.state().join("spool");
        (std::fs::metadata(&folder).and_then(|m| m.modified()).ok(), std::fs::read_dir(folder).map_or(0, Iterator::count))
    }

    fn moment(&self, random: &mut Random) -> Moment {
        let short = Duration::from_micros(random.below(8_000));
        match random.below(5) {
            0 => Moment::Life(Duration::from_micros(random.below(self.life.as_micros() as u64 * 11 / 10))),
            1 => Moment::Spool(Duration::from_micros(random.below(3_000))),
            2 | 3 => Moment::Sent(random.below(self.up as u64 + 1) as usize, short),
            _ => Moment::Answered(random.below(self.down as u64) as usize, short),
        }
    }

    /// Waits for the moment; the agent may end before.
    fn wait(&self, agent: &mut Child, moment: Moment) {
        let (begun, spool) = (Instant::now(), self.spool());
        let (mut up, mut down) = (0, 0);
        let pause = loop {
            let (more_up, more_down) = self.proxy.counted();
            (up, down) = (up + more_up, down + more_down);
            let pause = match moment {
                Moment::Life(after) => (begun.elapsed() >= after).then_some(Duration::ZERO),
                Moment::Spool(pause) => (self.spool() != spool).then_some(pause),
                Moment::Sent(bytes, pause) => (up > bytes).then_some(pause),
                Moment::Answered(bytes, pause) => (down > bytes).then_some(pause),
            };
            if let Some(pause) = pause {
                break pause;
            }
            if agent.try_wait().unwrap().is_some() {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "the agent hangs");
            std::thread::sleep(Duration::from_micros(200));
        };
        std::thread::sleep(pause);
    }

    /// One life of the agent and one kill of either side; whether it met a living process.
    fn kill(&mut self, random: &mut Random, tally: &mut BTreeMap<String, u64>) -> bool {
        let moment = self.moment(random);
        let word = match moment {
            Moment::Life(_) => "at any time",
            Moment::Spool(_) => "at the spool",
            Moment::Sent(..) => "while sending",
            Moment::Answered(..) => "while answered",
        };
        let mut agent = self.agent();
        self.wait(&mut agent, moment);
        let lived = agent.try_wait().unwrap().is_none();
        let side = if random.below(2) == 0 { "agent" } else { "collector" };
        if side == "agent" {
            let _ = agent.kill();
            agent.wait().unwrap();
        } else {
            self.collector.kill();
            // It has nobody to send to, and ends.
            let begun = Instant::now();
            while agent.try_wait().unwrap().is_none() {
                assert!(begun.elapsed() < PATIENCE, "the agent hangs");
                std::thread::sleep(Duration::from_millis(1));
            }
            self.collector.resume();
        }
        if lived {
            *tally.entry(format!("{side} {word}")).or_default() += 1;
        }
        lived
    }
}

#[test]
fn kills_lose_nothing_and_double_nothing() {
    let number = |name: &str, default: u64| std::env::var(name).map_or(default, |n| n.parse().expect("a number"));
    let (kills, pairs) = (number("ASSAY_KILLS", 40), number("ASSAY_PAIRS", 2));
    let begun = Instant::now();
    let runs: Vec<_> = (0..pairs).map(|pair| std::thread::spawn(move || kill_pair(kills.div_ceil(pairs), pair))).collect();
    let mut all: BTreeMap<String, u64> = BTreeMap::new();
    let mut stored = 0;
    for run in runs {
        let (tally, reports) = run.join().unwrap();
        stored += reports;
        for (word, count) in tally {
            *all.entry(word).or_default() += count;
        }
    }
    println!("{} kills in {:.0} s, {stored} reports delivered once each: {all:?}", all.values().sum::<u64>(), begun.elapsed().as_secs_f64());
}

fn kill_pair(kills: u64, number: u64) -> (BTreeMap<String, u64>, usize) {
    let mut pair = Pair::start();
    let mut random = Random(0x9e37_79b9_7f4a_7c15 ^ number << 32);
    let mut tally = BTreeMap::new();
    let mut done = 0;
    while done < kills {
        done += u64::from(pair.kill(&mut random, &mut tally));
        // Whatever the moment was: a hole that a kill tore is found while it can still be told from the next.
        if done % 500 == 499 {
            assert!(pair.agent().wait().unwrap().success());
            Books::open(pair.collector.data()).hold_all_of(&pair.state());
        }
    }
    let status = pair.agent().wait().unwrap();
    assert!(status.success(), "the last agent delivers everything: {status}");
    let reports = Books::open(pair.collector.data()).hold_all_of(&pair.state());
    (tally, reports)
}
