//! The agent as operators meet it: cloned machines, proxies.

use std::path::Path;
use std::process::{Command, Output};

use assay::agent::deliver;
use assay::agent::enrol;
use assay::agent::identity::Identity;
use assay::model::report::ScanKind;

use crate::agent::{Collector, copy, outcome};
use crate::lab::{self, Server};
use crate::support::ASSAY;

/// Runs `assay` as a machine whose machine-id(5) is `id`, in a mount namespace of its own.
fn as_machine(id: &str, arguments: &[&str]) -> Output {
    assert!(Path::new("/etc/machine-id").exists(), "run systemd-machine-id-setup");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("machine-id");
    std::fs::write(&file, format!("{id}\n")).unwrap();
    let script = "mount --bind \"$1\" /etc/machine-id && shift && exec \"$@\"";
    Command::new("unshare").args(["--mount", "sh", "-c", script, "sh"]).arg(&file).arg(ASSAY).args(arguments).output().unwrap()
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A configuration of the agent beside its state folder, with more lines of YAML.
fn configuration(folder: &Path, more: &str) -> std::path::PathBuf {
    let file = folder.join("agent.yaml");
    std::fs::write(&file, format!("state_dir: {}\nfamilies: [os]\ngatherer:\n  in_process: true\n{more}", folder.join("state").display())).unwrap();
    file
}

#[test]
fn a_clone_does_not_speak_for_its_original_until_a_person_decides() {
    const FIRST: &str = "11111111111111111111111111111111";
    const SECOND: &str = "22222222222222222222222222222222";
    let (data, first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut collector = Collector::start(data.path());
    let url = collector.url();
    let enrol = |id: &str, state: &Path| {
        let token = collector.token().to_string();
        as_machine(id, &["enroll", "--collector", &url, "--token", &token, "--name", "web", "--state", state.to_str().unwrap()])
    };
    let state = |folder: &tempfile::TempDir| folder.path().join("state");
    assert!(enrol(FIRST, &state(&first)).status.success());
    let once = |id: &str, folder: &tempfile::TempDir| as_machine(id, &["agent", "--once", "--config", configuration(folder.path(), "").to_str().unwrap()]);
    assert!(once(FIRST, &first).status.success());
    let original = Identity::load(&state(&first)).unwrap();
    copy(first.path(), second.path());

    let refused = once(SECOND, &second);
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused).contains("belongs to another machine") && text(&refused).contains("assay enroll --moved"), "{}", text(&refused));
    assert_eq!(collector.reports(&original.host).len(), 1, "the clone sent nothing");

    // A host of its own: another key, a fresh lineage, the other machine's spool set aside whole.
    let enrolled = enrol(SECOND, &state(&second));
    assert!(enrolled.status.success(), "{}", text(&enrolled));
    let own = Identity::load(&state(&second)).unwrap();
    assert_ne!((own.host, own.lineage), (original.host, original.lineage));
    let aside = state(&second).join(format!("of-{}", &original.host.to_string()[..16]));
    assert_eq!(std::fs::read_dir(aside.join("kept")).unwrap().count(), 2, "report and receipt");
    assert!(!text(&enrolled).contains(original.key.pem()));
    assert!(once(SECOND, &second).status.success());
    assert_eq!((collector.reports(&original.host).len(), collector.reports(&own.host).len()), (1, 1));
    let again = enrol(SECOND, &state(&second));
    assert!(!again.status.success() && text(&again).contains("enrolled already"), "{}", text(&again));

    // The machine-id was changed on purpose: the same host goes on in a new lineage.
    let moved = |id: &str| as_machine(id, &["enroll", "--moved", "--state", state(&first).to_str().unwrap()]);
    assert!(text(&moved(FIRST)).contains("nothing has moved"));
    assert!(moved(SECOND).status.success());
    assert!(once(SECOND, &first).status.success());
    assert_eq!(once(FIRST, &first).status.code(), Some(1));
    let lineages: std::collections::BTreeSet<_> = collector.reports(&original.host).iter().map(|r| r.lineage).collect();
    assert_eq!(lineages.len(), 2);

    // An identity bound to a machine-id on a machine that lost it.
    assert!(text(&once("", &first)).contains("systemd-machine-id-setup"));
    collector.stop();
}

/// tinyproxy that opens tunnels to one port.
fn tinyproxy(target: u16, login: &str) -> Server {
    let (port, folder) = (lab::free_port(), lab::folder());
    let file = folder.path().join("tinyproxy.conf");
    let text = format!("Port {port}\nListen 127.0.0.1\nTimeout 60\nMaxClients 50\nLogLevel Connect\nConnectPort {target}\n{login}");
    std::fs::write(&file, text).unwrap();
    Server::start(port, folder, Command::new("tinyproxy").arg("-d").arg("-c").arg(&file))
}

#[test]
fn a_proxy_carries_enrolment_and_reports_and_its_password_shows_nowhere() {
    let (data, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut collector = Collector::start(data.path());
    let open = tinyproxy(collector.config.agents.port(), "");
    let closed = tinyproxy(collector.config.agents.port(), "BasicAuth anna s3cret-w0rd\n");
    let token = folder.path().join("token");
    std::fs::write(&token, collector.token().to_string()).unwrap();
    let state = folder.path().join("state");
    let run = |arguments: &[&str]| {
        // The environment's proxy is a dead end, and nobody takes it.
        let dead = "http://127.0.0.1:1";
        Command::new(ASSAY).args(arguments).envs([("https_proxy", dead), ("HTTPS_PROXY", dead), ("ALL_PROXY", dead)]).output().unwrap()
    };
    let enrol = |proxy: &[&str]| {
        let url = collector.url();
        let file = configuration(folder.path(), "");
        let common = ["enroll", "--collector", &url, "--token-file", token.to_str().unwrap(), "--name", "web01", "--config", file.to_str().unwrap()];
        run(&[&common[..], proxy].concat())
    };
    let wrong = enrol(&["--proxy", &format!("http://anna:wr0ng-w0rd@{}", closed.target())]);
    assert!(!wrong.status.success() && text(&wrong).contains("through the proxy http://…@127.0.0.1"), "{}", text(&wrong));
    assert!(text(&wrong).contains("the proxy opens no tunnel") && !text(&wrong).contains("wr0ng-w0rd") && !text(&wrong).contains("anna"), "{}", text(&wrong));
    assert!(!Identity::exists(&state));
    let enrolled = enrol(&["--proxy", &format!("http://{}", open.target())]);
    assert!(enrolled.status.success() && text(&enrolled).contains("set `proxy`"), "{}", text(&enrolled));
    let tunnels = |server: &Server| server.log().matches(&format!("CONNECT 127.0.0.1:{}", collector.config.agents.port())).count();
    assert_eq!(tunnels(&open), 1, "{}", open.log());

    let identity = Identity::load(&state).unwrap();
    let once = |proxy: &str| run(&["agent", "--once", "--config", configuration(folder.path(), &format!("proxy: \"{proxy}\"\n")).to_str().unwrap()]);
    let sent = once(&format!("http://anna:s3cret-w0rd@{}", closed.target()));
    assert!(sent.status.success() && !text(&sent).contains("s3cret-w0rd"), "{}", text(&sent));
    assert!(tunnels(&closed) >= 1, "{}", closed.log());
    assert_eq!(collector.reports(&identity.host).len(), 1);
    let refused = once(&format!("http://{}", closed.target()));
    assert!(!refused.status.success() && text(&refused).contains("through the proxy"), "{}", text(&refused));
    let dead = once("http://127.0.0.1:1");
    assert!(text(&dead).contains("through the proxy http://127.0.0.1:1"), "{}", text(&dead));
    let bad = once("socks5://anna:s3cret-w0rd@127.0.0.1:1");
    assert!(text(&bad).contains("agent.yaml:5:8: proxy is not http://") && !text(&bad).contains("s3cret"), "{}", text(&bad));
    // Everything that waited goes the configured way, without a proxy as well.
    assert!(once("").status.success());
    assert_eq!(collector.reports(&identity.host).len(), 4);
    collector.stop();
}

#[test]
fn an_identity_of_a_machine_without_id_is_not_bound() {
    let (data, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut collector = Collector::start(data.path());
    let mut identity = enrol::enrol(&collector.url(), &collector.token(), state.path(), Some("web01")).unwrap();
    identity.machine = String::new();
    identity.save(state.path()).unwrap();
    deliver::report(&outcome(), ScanKind::OnDemand, None, state.path()).unwrap();
    identity.machine = "00ff".into();
    identity.save(state.path()).unwrap();
    let error = deliver::report(&outcome(), ScanKind::OnDemand, None, state.path()).unwrap_err().to_string();
    assert!(error.contains("belongs to another machine"), "{error}");
    collector.stop();
}
