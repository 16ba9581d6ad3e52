//! The collector as its operators watch it: metrics, readiness, logs, and what it says when it has too much to do.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use assay::agent::deliver::{self, DeliverError};
use assay::agent::enrol;
use assay::config::collector::Config;
use assay::model::report::ScanKind;
use assay::pki::token::Token;
use serde_json::{Value, json};

use crate::agent::{Collector, outcome};
use crate::support::COLLECTOR;

/// Reads an exposition as the reference parsers of OpenMetrics and of the older text format do, and prints `name{labels} value` of every sample.
const PARSE: &str = "
import sys
if sys.argv[1] == 'open':
    from prometheus_client.openmetrics.parser import text_string_to_metric_families
else:
    from prometheus_client.parser import text_string_to_metric_families
for family in text_string_to_metric_families(sys.stdin.read()):
    assert family.documentation and family.type not in ('unknown', 'untyped'), family.name
    for s in family.samples:
        print(s.name + ''.join(f' {k}={v}' for k, v in sorted(s.labels.items())), float(s.value))
";

fn parsed(text: &str, format: &str) -> Vec<String> {
    let mut python = Command::new("/usr/bin/python3").args(["-c", PARSE, format]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    python.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success(), "{text}");
    String::from_utf8(output.stdout).unwrap().lines().map(String::from).collect()
}

fn get(runtime: &tokio::runtime::Runtime, at: SocketAddr, path: &str) -> (u16, String, String) {
    get_as(runtime, at, path, "*/*")
}

fn get_as(runtime: &tokio::runtime::Runtime, at: SocketAddr, path: &str, accept: &str) -> (u16, String, String) {
    assay::pki::install_provider();
    runtime.block_on(async {
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(30)).build().unwrap();
        let response = http.get(format!("http://{at}{path}")).header("accept", accept).send().await.unwrap();
        let kind = response.headers().get("content-type").map_or("", |v| v.to_str().unwrap()).to_string();
        (response.status().as_u16(), kind, response.text().await.unwrap())
    })
}

#[test]
fn metrics_are_open_metrics_and_count_what_happened() {
    let (data, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let config = Config { data: data.path().into(), operations: Some("127.0.0.1:0".parse().unwrap()), ..Config::default() };
    let mut collector = Collector::start_with(config);
    let operations = collector.running().operations.unwrap();
    let identity = enrol::enrol(&collector.url(), &collector.token(), state.path(), Some("web01")).unwrap();
    for _ in 0..2 {
        deliver::report(&outcome(), ScanKind::OnDemand, None, state.path()).unwrap();
    }
    let nobody = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = collector.url();
    collector.runtime.block_on(async { nobody.get(&url).send().await }).unwrap_err();
    // What Prometheus sends by default, and what curl does.
    let accept = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
    let (status, kind, text) = get_as(&collector.runtime, operations, "/metrics", accept);
    let (_, old_kind, old_text) = get(&collector.runtime, operations, "/metrics");
    assert_eq!(old_kind, "text/plain; version=0.0.4; charset=utf-8");
    assert_eq!((status, kind.as_str()), (200, "application/openmetrics-text; version=1.0.0; charset=utf-8"));
    let samples = parsed(&text, "open");
    let steady = |samples: &[String]| samples.iter().filter(|s| !s.starts_with("assay_data_free_bytes")).cloned().collect::<Vec<_>>();
    assert_eq!(steady(&samples), steady(&parsed(&old_text, "old")), "the two formats say the same");
    let has = |line: &str| samples.iter().any(|s| s == line);
    for line in [
        "assay_reports_accepted_total 2.0",
        "assay_reports_duplicate_total 0.0",
        "assay_agent_requests_total route=enrol 1.0",
        "assay_agent_requests_total route=report 2.0",
        "assay_acknowledgement_seconds_count 2.0",
        "assay_ingest_seconds_count 2.0",
        "assay_judge_seconds_count 2.0",
        "assay_ledger_leaves 6.0",
        "assay_ledger_pending_leaves 0.0",
        "assay_ledger_leads 1.0",
        "assay_hosts state=active 1.0",
        "assay_hosts state=retired 0.0",
        "assay_tls_handshakes_failed_total listener=agents 1.0",
        "assay_body_memory_bytes 0.0",
        "assay_body_memory_limit_bytes 67108864.0",
    ] {
        assert!(has(line), "{line} is missing in\n{}", samples.join("\n"));
    }
    assert!(samples.iter().any(|s| s.starts_with("assay_agent_requests_refused_total reason=missing-blobs ")), "{samples:?}");
    assert!(samples.iter().any(|s| s.starts_with("assay_build_info version=") && s.ends_with(" 1.0")), "{samples:?}");
    assert!(!text.contains("web01") && !text.contains(&identity.host.to_string()), "no host");
    assert_eq!(get(&collector.runtime, operations, "/healthz").0, 200);
    assert_eq!(get(&collector.runtime, operations, "/readyz").0, 200);
    assert_eq!(get(&collector.runtime, operations, "/").0, 404);
    // The other listeners know nothing of it.
    assert_eq!(get(&collector.runtime, collector.running().people, "/metrics").0, 404);
    collector.stop();

    let from = vec!["192.0.2.0/24".to_string()];
    let config = Config { data: data.path().into(), operations: Some("127.0.0.1:0".parse().unwrap()), operations_from: from, ..Config::default() };
    let mut guarded = Collector::start_with(config);
    for path in ["/metrics", "/healthz", "/readyz"] {
        assert_eq!(get(&guarded.runtime, guarded.running().operations.unwrap(), path).0, 403);
    }
    guarded.stop();
}

/// A collector process, killed when dropped.
struct Served {
    child: Child,
    lines: std::sync::mpsc::Receiver<String>,
}

impl Served {
    fn start(command: &mut Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).stdin(Stdio::null()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (sender, lines) = std::sync::mpsc::channel();
        std::thread::spawn(move || stderr.lines().map_while(Result::ok).for_each(|line| drop(sender.send(line))));
        Self { child, lines }
    }

    fn next(&self) -> String {
        self.lines.recv_timeout(Duration::from_secs(60)).unwrap()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const LISTEN: [&str; 8] = ["serve", "--agents", "127.0.0.1:0", "--people", "127.0.0.1:0", "--plain-http", "--operations", "127.0.0.1:0"];

#[test]
fn the_log_is_one_json_object_a_line_and_holds_no_secret() {
    let (data, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let served = Served::start(Command::new(COLLECTOR).args(LISTEN).args(["--log-format", "json", "--data"]).arg(data.path()));
    let mut lines = Vec::new();
    let agents = loop {
        lines.push(served.next());
        let line: Value = serde_json::from_str(lines.last().unwrap()).unwrap();
        if line["message"] == "serving" {
            break line["agents"].as_str().unwrap().to_string();
        }
    };
    let made = Command::new(COLLECTOR).args(["token", "create", "--data"]).arg(data.path()).output().unwrap();
    let token = String::from_utf8(made.stdout).unwrap().trim().to_string();
    enrol::enrol(&agents, &token.parse::<Token>().unwrap(), state.path(), Some("web01")).unwrap();
    assert!(enrol::enrol(&agents, &token.parse::<Token>().unwrap(), &state.path().join("x"), Some("web02")).is_err(), "used up");
    rustix::process::kill_process(rustix::process::Pid::from_child(&served.child), rustix::process::Signal::TERM).unwrap();
    lines.extend(served.lines.iter());
    let secret = token.split('.').nth(1).unwrap();
    let mut enrolled = false;
    for line in &lines {
        let event: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}"));
        for field in ["timestamp", "level", "message"] {
            assert!(event[field].is_string(), "{field} is missing: {line}");
        }
        assert!(!line.contains(secret) && !line.contains("PRIVATE KEY"), "{line}");
        enrolled |= event["message"] == "enrolled a host" && event["host"].as_str().is_some_and(|h| h.len() == 64) && event["name"] == "web01";
    }
    assert!(enrolled, "{}", lines.join("\n"));
}

#[test]
fn readiness_names_a_disk_that_fills_up() {
    let (folder, runtime) = (tempfile::tempdir().unwrap(), tokio::runtime::Runtime::new().unwrap());
    // A small file system of its own, in a mount namespace that ends with the process.
    let script = "mount -t tmpfs -o size=48m none \"$1\" && shift && exec \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", script, "sh"]).arg(folder.path()).arg(COLLECTOR).args(LISTEN).args(["--log-format", "json", "--data"]);
    let served = Served::start(command.arg(folder.path().join("data")));
    let operations: SocketAddr = loop {
        let line = served.next();
        let line: Value = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{line}: {e}"));
        if let Some(address) = line["operations"].as_str() {
            break address.parse().unwrap();
        }
    };
    let check = |name: &str| {
        let (status, _, text) = get(&runtime, operations, "/readyz");
        let answer: Value = serde_json::from_str(&text).unwrap();
        let check = answer["checks"].as_array().unwrap().iter().find(|c| c["name"] == name).unwrap().clone();
        assert_eq!((answer["ready"].clone(), status), (json!(false), 503), "{text}");
        (check["ok"].as_bool().unwrap(), check["detail"].as_str().unwrap().to_string())
    };
    let (ok, detail) = check("disk");
    assert!(!ok && detail.contains("MiB left"), "{detail}");
    assert!(check("store").0, "there is room for a row yet");
    assert_eq!(get(&runtime, operations, "/healthz").0, 200);
    let inside = format!("/proc/{}/root{}", served.child.id(), folder.path().display());
    fill(Path::new(&inside));
    let end = Instant::now() + Duration::from_secs(60);
    while check("store").0 {
        assert!(Instant::now() < end, "a full disk takes no write");
        std::thread::sleep(Duration::from_millis(500));
    }
    assert_eq!(get(&runtime, operations, "/healthz").0, 200, "the process lives");
}

fn fill(folder: &Path) {
    let mut file = std::fs::File::create(folder.join("filler")).unwrap();
    let mut size = 1 << 20;
    while size > 0 {
        if file.write_all(&vec![0u8; size]).is_err() {
            size /= 2;
        }
    }
}

#[test]
fn who_is_turned_away_is_told_when_to_come_back() {
    let (data, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut collector = Collector::start(data.path());
    enrol::enrol(&collector.url(), &collector.token(), state.path(), Some("web01")).unwrap();
    let app = collector.running().app.clone();
    let all = u32::try_from(app.limits.bodies.available_permits()).unwrap();
    let taken = collector.runtime.block_on(app.limits.bodies.clone().acquire_many_owned(all)).unwrap();
    let error = deliver::report(&outcome(), ScanKind::OnDemand, None, state.path()).unwrap_err();
    let DeliverError::Upload(refused) = error else { panic!("{error}") };
    assert!(refused.is_refusal("busy") && refused.holds_up_all(), "{refused}");
    let wait = refused.retry_after().unwrap();
    assert!((Duration::from_secs(5)..=Duration::from_secs(35)).contains(&wait), "{wait:?}");
    drop(taken);
    assert_eq!(deliver::report(&outcome(), ScanKind::OnDemand, None, state.path()).unwrap().sequence, 2, "nothing was lost");
    collector.stop();
}
