//! Certificates at the end of their life: renewed in time, renewable for 400 days, good for nothing else.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use assay::agent::deliver;
use assay::agent::enrol;
use assay::agent::identity::Identity;
use assay::agent::renew;
use assay::collector::store::Retirement;
use assay::host::clock;
use assay::model::report::ScanKind;
use assay::pki::{Life, tls};
use serde_json::{Value, json};

use crate::agent::{Collector, agent, outcome};
use crate::support::ASSAY;

const DAY: i64 = 86_400;

/// Puts a certificate into the state that was issued so many days ago.
fn age(collector: &Collector, identity: &mut Identity, state: &Path, days: i64) {
    let issued = collector.running().app.authority.certify(&identity.key.public_key(), &identity.name, clock::unix_now() - days * DAY).unwrap();
    identity.certificate = issued.certificate;
    identity.save(state).unwrap();
}

fn life(state: &Path) -> Life {
    Life::of(&Identity::load(state).unwrap().certificate).unwrap()
}

#[test]
fn a_running_agent_renews_at_two_thirds_and_goes_on_without_a_restart() {
    let (data, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut collector = Collector::start(data.path());
    let mut identity = enrol::enrol(&collector.url(), &collector.token(), state.path(), Some("web01")).unwrap();
    assert!(!renew::is_due(&identity, clock::unix_now() + 59 * DAY), "not before two thirds");
    assert!(renew::is_due(&identity, clock::unix_now() + 64 * DAY), "soon after two thirds");
    age(&collector, &mut identity, state.path(), 80);
    let old = life(state.path());
    let file = state.path().join("agent.yaml");
    std::fs::write(&file, format!("state_dir: {}\nfamilies: [os, kernel]\ngatherer:\n  in_process: true\n", state.path().display())).unwrap();
    let mut child = agent(&file);
    let end = Instant::now() + Duration::from_secs(90);
    while life(state.path()) == old || collector.reports(&identity.host).is_empty() {
        assert!(Instant::now() < end, "no renewal and report in time");
        std::thread::sleep(Duration::from_millis(100));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let renewed = Identity::load(state.path()).unwrap();
    assert!(life(state.path()).not_after > clock::unix_now() + 89 * DAY);
    assert_eq!((renewed.host, renewed.key.pem(), renewed.lineage), (identity.host, identity.key.pem(), identity.lineage));
    assert_eq!(std::fs::read_dir(state.path()).unwrap().filter(|e| e.as_ref().unwrap().file_name().to_string_lossy().ends_with(".tmp")).count(), 0);
    collector.stop();
}

#[test]
fn an_expired_certificate_renews_and_does_nothing_else() {
    let (data, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut collector = Collector::start(data.path());
    let mut identity = enrol::enrol(&collector.url(), &collector.token(), state.path(), Some("web01")).unwrap();
    age(&collector, &mut identity, state.path(), 90 + 399);
    let host = RawHost::new(&collector, &identity);
    let beat = json!({"agent": "t", "checkpoint_size": 0, "lineage": identity.lineage, "now": 1, "sequence": 0});
    let refused = (401, "certificate-expired".to_string());
    assert_eq!(host.post("/v1/heartbeat", &beat), refused);
    assert_eq!(host.post("/v1/reports", &json!({})), refused);
    assert_eq!(host.request(host.http.put(host.url(&format!("/v1/blobs/{}", "0".repeat(64)))).body("x")), refused);
    let renewal = json!({"machine": identity.machine, "name": identity.name, "salt": identity.salt});
    assert_eq!(host.post("/v1/renew", &json!({"machine": "", "name": "web01", "salt": "0".repeat(64)})), (422, "malformed".into()));
    assert_eq!(host.post("/v1/renew", &json!({"machine": "zz", "name": "web01", "salt": identity.salt})), (422, "malformed".into()));
    assert_eq!(host.post("/v1/renew", &renewal), (200, String::new()));

    // The agent does it by itself, after more than a year off.
    let receipt = deliver::report(&outcome(), ScanKind::OnDemand, None, state.path()).unwrap();
    assert_eq!((receipt.sequence, receipt.host), (1, identity.host));
    assert!(life(state.path()).not_after > clock::unix_now());

    // Without a certificate, over 400 days, after retirement, and when the host is not known.
    let anonymous = RawHost { http: client(tls::pinned_client(&collector.token(), 0).unwrap()), ..RawHost::new(&collector, &identity) };
    assert_eq!(anonymous.post("/v1/renew", &renewal), (401, "certificate-required".into()));
    let app = collector.running().app.clone();
    app.keys.remove(&identity.host);
    let retirement = Retirement { at: clock::unix_now(), by: "anna".into(), host: identity.host, replaced_by: None, why: "scrapped".into() };
    assert_eq!(host.post("/v1/renew", &renewal), (403, "unknown-host".into()));
    assert!(collector.runtime.block_on(app.store.retire(&retirement)).unwrap());
    assert_eq!(host.post("/v1/renew", &renewal), (403, "host-retired".into()));
    age(&collector, &mut identity, state.path(), 90 + 401);
    let too_old = RawHost::new(&collector, &identity);
    let sent = collector.runtime.block_on(async { too_old.http.post(too_old.url("/v1/renew")).json(&renewal).send().await });
    assert!(sent.is_err(), "the handshake fails");
    collector.stop();
}

#[test]
fn a_host_whose_clock_was_reset_enrols_and_delivers() {
    let library = Path::new("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1");
    assert!(library.exists(), "install the package libfaketime");
    let (data, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut collector = Collector::start(data.path());
    let token = data.path().join("token");
    std::fs::write(&token, collector.token().to_string()).unwrap();
    let (file, folder) = (state.path().join("agent.yaml"), state.path().join("s"));
    std::fs::write(&file, format!("state_dir: {}\nfamilies: [os]\ngatherer:\n  in_process: true\n", folder.display())).unwrap();
    let long_ago = |arguments: &[&str]| {
        let mut command = Command::new(ASSAY);
        command.args(arguments).env("LD_PRELOAD", library).env("FAKETIME", "2001-01-01 00:00:00").env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        let output = command.output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    long_ago(&["enroll", "--collector", &collector.url(), "--token-file", token.to_str().unwrap(), "--state", folder.to_str().unwrap(), "--name", "web01"]);
    long_ago(&["agent", "--once", "--config", file.to_str().unwrap()]);
    let identity = Identity::load(&folder).unwrap();
    let reports = collector.reports(&identity.host);
    assert_eq!(reports.len(), 1);
    assert!(reports[0].finished < 1_000_000_000, "the report tells the host's own clock");
    collector.stop();
}

/// A host that speaks HTTP by itself.
struct RawHost<'a> {
    collector: &'a Collector,
    http: reqwest::Client,
}

fn client(tls: rustls::ClientConfig) -> reqwest::Client {
    assay::pki::install_provider();
    reqwest::Client::builder().tls_backend_preconfigured(tls).no_proxy().timeout(Duration::from_secs(60)).build().unwrap()
}

impl<'a> RawHost<'a> {
    fn new(collector: &'a Collector, identity: &Identity) -> Self {
        Self { collector, http: client(tls::agent_client(&identity.ca, &identity.certificate, &identity.key, 0).unwrap()) }
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.collector.url())
    }

    fn post(&self, path: &str, body: &Value) -> (u16, String) {
        self.request(self.http.post(self.url(path)).json(body))
    }

    /// Status, and id of the refusal.
    fn request(&self, request: reqwest::RequestBuilder) -> (u16, String) {
        self.collector.runtime.block_on(async {
            let response = request.send().await.unwrap();
            let status = response.status().as_u16();
            let body: Value = response.json().await.unwrap_or_default();
            (status, body["error"].as_str().unwrap_or_default().to_string())
        })
    }
}
