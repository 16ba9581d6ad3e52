//! How long each page takes over a large fleet and a long history.
//!
//! ```text
//! cargo bench --bench pages                               10,000 hosts, 52 weeks
//! cargo bench --bench pages -- --hosts 100000             needs about 35 GB of disk and half an hour to fill the store
//! cargo bench --bench pages -- --hosts 100000 --keep target/pages --rounds 50
//! ```
//! The store is filled by statements of its own database: hosts, weekly reports, verdicts of every built-in rule on every host, some of which
//! changed over the year. Facts are not in it, so the pages of one host and one finding are left out. Then the real collector counts and serves, and a signed-in person opens each page again and again,
//! four at a time. The figures are of whole answers over loopback, plain HTTP.
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

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use assay::collector::store::Store;
use assay::model::finding::Severity;
use assay::rules::Pack;
use sqlx::any::{AnyPoolOptions, AnyRow};
use sqlx::{AnyPool, AssertSqlSafe, Row as _};

const DAY: i64 = 86_400;
/// People that look at the same time.
const PEOPLE: usize = 4;
/// Of each hundred rules, those that fail on many hosts, and those that can't be told on many.
const FAILING: u64 = 12;
const UNCLEAR: u64 = 4;

struct Options {
    hosts: u32,
    weeks: u32,
    rounds: usize,
    keep: Option<PathBuf>,
}

impl Options {
    fn parse() -> Self {
        let mut options = Self { hosts: 10_000, weeks: 52, rounds: 25, keep: None };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let mut value = || words.next().unwrap_or_else(|| panic!("{word} needs a value"));
            match word.as_str() {
                "--hosts" => options.hosts = value().parse().expect("a number"),
                "--weeks" => options.weeks = value().parse().expect("a number"),
                "--rounds" => options.rounds = value().parse().expect("a number"),
                "--keep" => options.keep = Some(value().into()),
                // Given by cargo.
                "--bench" => (),
                other => panic!("{other:?} is unknown: --hosts N, --weeks N, --rounds N, --keep DIR"),
            }
        }
        options
    }
}

#[tokio::main]
async fn main() {
    let options = Options::parse();
    assay::pki::install_provider();
    let own = tempfile::tempdir_in("target").unwrap();
    let data = options.keep.clone().unwrap_or_else(|| own.path().join("data"));
    if data.join("assay.db").exists() {
        println!("{}: kept from before", data.display());
    } else {
        let begun = Instant::now();
        fill(&data, options.hosts, options.weeks).await;
        println!("filled in {:.0} s", begun.elapsed().as_secs_f64());
    }
    let size = std::fs::read_dir(&data).unwrap().flatten().filter_map(|f| f.metadata().ok()).map(|m| m.len()).sum::<u64>();
    println!("store {:.1} GiB, {} hosts, {} weeks", size as f64 / f64::from(1 << 30), options.hosts, options.weeks);
    let begun = Instant::now();
    let collector = Collector::start(&data);
    println!("the collector answers after {:.1} s", begun.elapsed().as_secs_f64());
    collector.wait_until_counted().await;
    println!("and has counted everything after {:.1} s", begun.elapsed().as_secs_f64());
    let client = collector.sign_in(&data).await;
    let pages = pages();
    println!("\n{:<44} {:>9} {:>9} {:>9} {:>9}", "page", "p50 ms", "p99 ms", "most ms", "KiB");
    let mut worst = Duration::ZERO;
    for (name, path) in &pages {
        let (mut times, bytes) = measure(&client, &format!("{}{path}", collector.base), options.rounds).await;
        times.sort();
        let at = |share: f64| times[((times.len() as f64 * share).ceil() as usize).clamp(1, times.len()) - 1];
        worst = worst.max(at(0.99));
        let ms = |d: Duration| d.as_secs_f64() * 1000.0;
        println!("{name:<44} {:>9.1} {:>9.1} {:>9.1} {:>9.1}", ms(at(0.5)), ms(at(0.99)), ms(at(1.0)), bytes as f64 / 1024.0);
    }
    println!("\nslowest page, p99: {:.0} ms (goal 300); peak of the collector {} MiB", worst.as_secs_f64() * 1000.0, collector.peak() / 1024);
}

async fn measure(client: &reqwest::Client, url: &str, rounds: usize) -> (Vec<Duration>, usize) {
    // The first answer fills the database's cache, as the second person of a morning finds it.
    let first = client.get(url).send().await.unwrap();
    assert!(first.status().is_success(), "{url}: {}", first.status());
    let bytes = first.bytes().await.unwrap().len();
    let mut people = tokio::task::JoinSet::new();
    for _ in 0..PEOPLE {
        let (client, url) = (client.clone(), url.to_string());
        people.spawn(async move {
            let mut times = Vec::new();
            for _ in 0..rounds {
                let begun = Instant::now();
                let answer = client.get(&url).send().await.unwrap();
                assert!(answer.status().is_success(), "{url}: {}", answer.status());
                answer.bytes().await.unwrap();
                times.push(begun.elapsed());
            }
            times
        });
    }
    let mut times = Vec::new();
    while let Some(done) = people.join_next().await {
        times.extend(done.unwrap());
    }
    (times, bytes)
}

/// Every page of the navigation, now and as of a past day, and some filters. Those of one host or finding need its facts.
fn pages() -> Vec<(String, String)> {
    let past = day(now() - 100 * DAY);
    let mut pages: Vec<(String, String)> = Vec::new();
    for place in assay::collector::ui::frame::PLACES {
        pages.push((place.name.to_lowercase(), place.path.to_string()));
        pages.push((format!("{}, 100 days ago", place.name.to_lowercase()), format!("{}?as_of={past}", place.path)));
    }
    for (name, path) in [
        ("findings, failing and critical", "/findings?verdict=fail&severity=critical"),
        ("hosts, page 500", "/hosts?page=500"),
        ("hosts by name", "/hosts?q=web000"),
        ("search", "/search?q=web000"),
    ] {
        pages.push((name.into(), path.into()));
    }
    pages
}

struct Collector {
    child: Child,
    base: String,
    operations: String,
}

impl Collector {
    fn start(data: &Path) -> Self {
        let port = || std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let (people, operations) = (port(), port());
        let mut child = Command::new(env!("CARGO_BIN_EXE_assay-collector"))
            .args(["serve", "--plain-http", "--agents", &port(), "--people", &people, "--operations", &operations, "--data"])
            .arg(data)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        std::thread::spawn(move || {
            // Facts are not in the store: each host is told once that it can't be judged again.
            let errors = lines.map_while(Result::ok).filter(|l| l.contains("ERROR") && !l.contains("not judged again"));
            errors.for_each(|l| eprintln!("{l}"));
        });
        let collector = Self { child, base: format!("http://{people}"), operations };
        while std::net::TcpStream::connect(&people).is_err() {
            std::thread::sleep(Duration::from_millis(50));
        }
        collector
    }

    /// Until nothing heavy runs beside: the processor time of a second is next to nothing.
    async fn wait_until_counted(&self) {
        let mut calm = 0;
        while calm < 5 {
            let before = self.cpu_ticks();
            tokio::time::sleep(Duration::from_secs(1)).await;
            calm = if self.cpu_ticks() - before < 5 { calm + 1 } else { 0 };
        }
    }

    fn cpu_ticks(&self) -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    }

    /// KiB.
    fn peak(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        status.lines().find_map(|l| l.strip_prefix("VmHWM:")).unwrap().trim().trim_end_matches(" kB").parse().unwrap()
    }

    async fn sign_in(&self, data: &Path) -> reqwest::Client {
        let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let add = Command::new(env!("CARGO_BIN_EXE_assay-collector")).args(["user", "add", "bench", "--role", "admin", "--data"]).arg(data).output().unwrap();
        let said = [add.stdout, add.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        let token = said.split("/signin/once?token=").nth(1).and_then(|t| t.split_whitespace().next()).expect("a one-time link");
        let body = format!("token={token}");
        let answer = client
            .post(format!("{}/signin/once", self.base))
            .header("content-type", "application/x-www-form-urlencoded")
            .header("origin", &self.base)
            .body(body)
            .send()
            .await
            .unwrap();
        let cookie = answer.headers().get("set-cookie").and_then(|c| c.to_str().ok()).and_then(|c| c.split(';').next()).expect("signing in gives a cookie");
        let headers = [(reqwest::header::COOKIE, cookie.parse().unwrap())].into_iter().collect();
        reqwest::Client::builder().default_headers(headers).build().unwrap()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn now() -> i64 {
    i64::try_from(std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()).unwrap()
}

fn day(at: i64) -> String {
    jiff::Timestamp::from_second(at).unwrap().strftime("%Y-%m-%d").to_string()
}

/// Fills a store of the schema that the program makes.
async fn fill(data: &Path, hosts: u32, weeks: u32) {
    std::fs::create_dir_all(data).unwrap();
    Store::open(data).await.unwrap().close().await;
    let pool = AnyPoolOptions::new().max_connections(1).connect(&format!("sqlite://{}?mode=rw", data.join("assay.db").display())).await.unwrap();
    let now = now();
    run(&pool, "PRAGMA foreign_keys = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -524288; PRAGMA temp_store = MEMORY;").await;
    let first = now - i64::from(weeks) * 7 * DAY;
    run(
        &pool,
        &format!(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {hosts})
             INSERT INTO hosts (id, name, public_key, salt, machine, os, enrolled_at, enrolled_by)
             SELECT randomblob(32), printf('%s%06d', CASE i % 4 WHEN 0 THEN 'db' WHEN 1 THEN 'app' ELSE 'web' END, i), x'00', randomblob(32), '',
                    CASE i % 3 WHEN 0 THEN 'Debian GNU/Linux 12 (bookworm)' WHEN 1 THEN 'Ubuntu 24.04 LTS' ELSE 'Rocky Linux 9.5' END, {first}, randomblob(32) FROM n;
             INSERT INTO contacts (host, first, last) SELECT id, {first}, CASE WHEN abs(random()) % 200 = 0 THEN {now} - 864000 ELSE {now} END FROM hosts;
             CREATE TEMP TABLE ordered AS SELECT id, row_number() OVER (ORDER BY id) AS i, randomblob(32) AS report FROM hosts ORDER BY id;"
        ),
    )
    .await;
    for week in 0..weeks {
        let at = first + i64::from(week) * 7 * DAY + DAY;
        let zoned = jiff::Timestamp::from_second(at).unwrap().to_zoned(jiff::tz::TimeZone::UTC);
        let date = zoned.date().iso_week_date();
        let window = format!("{}-W{:02}", date.year(), date.week());
        let id = if week + 1 == weeks { "report" } else { "randomblob(32)" };
        // One in fifty is missed, but the last: verdicts rest on it.
        let some = if week + 1 == weeks { "" } else { "WHERE abs(random()) % 50 > 0" };
        run(
            &pool,
            &format!(
                "INSERT INTO reports (id, host, lineage, sequence, kind, scan_window, state, started, finished, received, effective, applied,
                                      pass, fail, unknown, not_applicable, disagrees, envelope)
                 SELECT {id}, id, zeroblob(16), {week}, 'weekly', '{window}', 'complete', {at} + i % 80000, {at} + i % 80000 + 5, {at} + i % 80000 + 6,
                        {at} + i % 80000 + 5, 1, 180, 40, 12, 98, 0, zeroblob(600) FROM ordered {some}"
            ),
        )
        .await;
    }
    let pack = Arc::new(Pack::builtin(assay::facts::schemas()).unwrap());
    run(&pool, "CREATE TEMP TABLE judged_rules (number INTEGER, rule TEXT, severity INTEGER, share INTEGER, class TEXT)").await;
    for (number, rule) in (0_u64..).zip(&pack.rules) {
        let severity = match rule.severity {
            Severity::Info => 0,
            Severity::Low => 1,
            Severity::Medium => 2,
            Severity::High => 3,
            Severity::Critical => 4,
        };
        // Spread over the pack, so that each framework has its part.
        let place = number * 37 % 100;
        let class = if place < FAILING {
            "fail"
        } else if place < FAILING + UNCLEAR {
            "unknown"
        } else {
            "pass"
        };
        run(&pool, &format!("INSERT INTO judged_rules VALUES ({number}, '{}', {severity}, {}, '{class}')", rule.id, 20 + place * 7 % 80)).await;
    }
    // Hosts in the order of the key: each is written once, in one place.
    run(
        &pool,
        &format!(
            "INSERT INTO findings (host, rule, subject, verdict, severity, since, until, report, body, origin, began)
             SELECT id, rule, '', verdict, severity, began, NULL, report,
                    '{{\"message\":\"' || CASE verdict WHEN 'pass' THEN '' WHEN 'fail' THEN 'value ' || (i % 5) || ' of ' || rule || ' is not allowed' ELSE 'not seen' END ||
                    '\",\"citations\":[{{\"path\":\"family.item[0].value\",\"value\":\"' || (i % 5) || '\",\"source\":{{\"place\":\"/etc/service/main.conf\",\"line\":12,\"directive\":\"Value\"}}}}]}}',
                    NULL, began
             FROM (SELECT id, i, report, rule, severity,
                     CASE WHEN class <> 'pass' AND (i * 31 + number * 17) % 100 < share THEN class WHEN (i + number) % 3 = 0 THEN 'not_applicable' ELSE 'pass' END AS verdict,
                     {first} + DAYS * (1 + (i * 7 + number * 13) % ({weeks} * 7 - 8)) AS began
                   FROM ordered CROSS JOIN judged_rules)"
        )
        .replace("DAYS", &DAY.to_string()),
    )
    .await;
    // What failed before: a tenth of the hosts had two other spells of each failing rule.
    run(
        &pool,
        &format!(
            "INSERT INTO findings (host, rule, subject, verdict, severity, since, until, report, body, origin, began)
             SELECT f.host, f.rule, '', CASE f.verdict WHEN 'fail' THEN 'pass' ELSE 'fail' END, f.severity, {first} + {DAY}, f.since, f.report, '{{}}', NULL, {first} + {DAY}
             FROM findings f JOIN judged_rules j ON j.rule = f.rule JOIN ordered o ON o.id = f.host WHERE j.class = 'fail' AND o.i % 10 = j.number % 10 AND f.since > {first} + {DAY}"
        ),
    )
    .await;
    let rows: i64 = one(&pool, "SELECT count(*) AS n FROM findings").await.get("n");
    println!("{rows} verdicts");
    run(&pool, "ANALYZE; PRAGMA wal_checkpoint(TRUNCATE)").await;
    pool.close().await;
}

async fn run(pool: &AnyPool, text: &str) {
    sqlx::raw_sql(AssertSqlSafe(text.to_string())).execute(pool).await.unwrap_or_else(|e| panic!("{e}: {text}"));
}

async fn one(pool: &AnyPool, text: &str) -> AnyRow {
    sqlx::query(AssertSqlSafe(text.to_string())).fetch_one(pool).await.unwrap()
}
