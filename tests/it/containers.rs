//! Containers made by the real dockerd and the real Podman, read from their files and compared with
//! what their own clients say.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use assay::facts::containers::Containers;
use assay::facts::{self, HostFamily as _};
use assay::host::Host;
use assay::model::fact::Observation;
use assay::model::finding::Verdict;
use assay::model::gap::{Gap, Gaps};
use assay::model::policy::Policy;
use assay::rules::{self, Input, Pack};
use serde_json::Value;

use super::lab::Server;
use super::lab::{folder, free_port};

fn gather(host: &Host) -> (Containers, Vec<Gap>) {
    let mut gaps = Gaps::new();
    let found = Containers::gather(host, &mut gaps).unwrap();
    (found, gaps.into_sorted())
}

/// Rule and subject of every failure; containers and engines named `ours` only.
fn failures(found: &Containers, gaps: &[Gap], ours: &str) -> BTreeSet<(String, String)> {
    let families = BTreeMap::from([("containers".to_string(), serde_json::to_value(found).unwrap())]);
    let now: i64 = String::from_utf8(Command::new("date").arg("+%s").output().unwrap().stdout).unwrap().trim().parse().unwrap();
    let observation = Observation { gathered_at: now, families, gaps: gaps.to_vec() };
    let pack = Pack::builtin(facts::schemas()).unwrap();
    let input = Input { observation: &observation, policy: &Policy::default(), against: assay::model::against::Against::default(), advisories: None };
    let failed = rules::evaluate(&pack, &input).into_iter().filter(|f| f.verdict == Verdict::Fail && f.subject.contains(ours));
    failed.map(|f| (f.rule, f.subject.rsplit(' ').next().unwrap_or_default().to_string())).collect()
}

fn set(expected: &[(&str, &str)]) -> BTreeSet<(String, String)> {
    expected.iter().map(|(a, b)| ((*a).to_string(), (*b).to_string())).collect()
}

/// An image of one static program that waits; `None` where nothing can be linked statically.
fn image(folder: &Path) -> PathBuf {
    std::fs::write(folder.join("pause.c"), "#include <unistd.h>\nint main(void) { for (;;) pause(); }\n").unwrap();
    std::fs::create_dir_all(folder.join("image")).unwrap();
    let built = Command::new("gcc").args(["-static", "-o"]).arg(folder.join("image/pause")).arg(folder.join("pause.c")).status().unwrap();
    assert!(built.success());
    let tar = folder.join("image.tar");
    let packed = Command::new("tar").arg("-C").arg(folder.join("image")).arg("-cf").arg(&tar).arg(".").status().unwrap();
    assert!(packed.success());
    tar
}

fn checked(output: Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What both engines are asked to make: name and options.
const MADE: [(&str, &[&str]); 6] = [
    ("privileged", &["--privileged", "--network=none", "--restart=always"]),
    ("mounts", &["--network=none", "--restart=always", "-v=/:/host:ro", "-v=/etc:/etc-of-host", "-v=/srv:/data"]),
    ("namespaces", &["--network=host", "--pid=host", "--ipc=host", "--cap-add=sys_admin", "--restart=always"]),
    ("plain", &["--network=none", "--user=1000", "--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--restart=always"]),
    ("stopped", &["--privileged", "--network=none"]),
    ("published", &["-p=127.0.0.1:18080:80", "-p=19090:90/udp", "-p=17000-17001:70-71", "--security-opt=seccomp=unconfined", "--restart=always"]),
];

fn expected_facts(found: &Containers, engine: &str) {
    let of = |name: &str| found.items.iter().find(|i| i.subject == format!("{engine} {name}")).unwrap_or_else(|| panic!("{engine} {name}: {:#?}", found.items));
    let privileged = of("privileged");
    assert!(privileged.privileged && privileged.capabilities_added == ["ALL"] && privileged.root == Some(true) && privileged.restart == "always");
    let mounts: Vec<String> = of("mounts").mounts.iter().map(|m| format!("{} {} {} {}", m.host_path, m.destination, m.writable, m.gives)).collect();
    assert_eq!(mounts, ["/srv /data true ", "/etc /etc-of-host true system", "/ /host false everything"]);
    let namespaces = of("namespaces");
    assert_eq!(
        (namespaces.host_namespaces.iter().filter(|n| *n != "uts").cloned().collect::<Vec<_>>(), &namespaces.capabilities_added),
        (vec!["ipc".into(), "network".into(), "pid".into()], &vec!["CAP_SYS_ADMIN".to_string()])
    );
    let plain = of("plain");
    assert_eq!((plain.user.as_str(), plain.root, plain.read_only, plain.no_new_privileges), ("1000", Some(false), true, true));
    assert!(!plain.privileged && plain.capabilities_added.is_empty() && plain.host_namespaces.is_empty() && plain.mounts.is_empty());
    assert_eq!(of("stopped").restart, "no");
    let ports: Vec<String> = of("published").ports.iter().map(|p| format!("{}:{}->{}/{}", p.address, p.port, p.container_port, p.transport)).collect();
    assert_eq!(ports, ["0.0.0.0:17000->70/tcp", "0.0.0.0:17001->71/tcp", "127.0.0.1:18080->80/tcp", "0.0.0.0:19090->90/udp"]);
    assert!(of("published").unconfined.iter().any(|u| u == "seccomp"));
}

const EXPECTED: [(&str, &str); 4] = [
    ("container-privileged", "privileged"),
    ("container-host-mount", "mounts"),
    ("container-host-namespace", "namespaces"),
    ("container-privileged", "namespaces"),
];

struct Docker {
    server: Server,
    port: u16,
}

impl Docker {
    fn start(options: &[&str]) -> Self {
        let (folder, port) = (folder(), free_port());
        let path = folder.path().display().to_string();
        let mut command = Command::new("/usr/sbin/dockerd");
        command.args([
            "--iptables=false",
            "--ip-forward=false",
            "--bridge=none",
            "--storage-driver=vfs",
            "-H",
            &format!("tcp://127.0.0.1:{port}"),
            "--tls=false",
        ]);
        command.args([
            format!("--data-root={path}/data"),
            format!("--exec-root={path}/exec"),
            format!("--pidfile={path}/pid"),
            format!("--config-file={path}/daemon.json"),
        ]);
        command.args(options);
        std::fs::write(
            folder.path().join("daemon.json"),
            "{\"live-restore\": true, \"insecure-registries\": [\"registry.example:5000\"], \"log-driver\": \"none\"}\n",
        )
        .unwrap();
        Self { server: Server::start(port, folder, &mut command), port }
    }

    fn ask(&self, arguments: &[&str]) -> Output {
        Command::new("docker").args(["-H", &format!("tcp://127.0.0.1:{}", self.port)]).args(arguments).output().unwrap()
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        // With live-restore what runs inside would outlive the engine.
        let names: Vec<&str> = MADE.iter().map(|(name, _)| *name).collect();
        let _ = self.ask(&[&["rm", "-f"], names.as_slice()].concat());
    }
}

#[test]
fn containers_of_the_real_dockerd() {
    let docker = Docker::start(&[]);
    let path = docker.server.folder().to_path_buf();
    let tar = image(&path);
    checked(docker.ask(&["import", "--change", "CMD [\"/pause\"]", tar.to_str().unwrap(), "waits:1"]));
    for (name, options) in MADE {
        checked(docker.ask(&[&["create", "--name", name], options, &["waits:1"]].concat()));
    }
    let started = docker.ask(&["start", "plain"]).status.success();
    let data = path.join("data").display().to_string();
    let (found, gaps) = gather(&Host::live().unwrap());
    let gaps: Vec<Gap> = gaps.into_iter().filter(|g| g.subject.contains(&data)).collect();
    assert_eq!(gaps, []);
    let engine = format!("docker {data}");
    expected_facts(&found, &engine);
    // What the client says of each.
    let inspected = checked(docker.ask(&["inspect", "privileged", "mounts", "namespaces", "plain", "stopped", "published"]));
    for told in serde_json::from_str::<Value>(&inspected).unwrap().as_array().unwrap() {
        let name = told["Name"].as_str().unwrap().trim_start_matches('/');
        let ours = found.items.iter().find(|i| i.subject == format!("{engine} {name}")).unwrap();
        assert_eq!(ours.running, told["State"]["Running"].as_bool(), "{name}");
        assert_eq!((Some(ours.image_id.as_str()), Some(ours.image.as_str())), (told["Image"].as_str(), told["Config"]["Image"].as_str()), "{name}");
        assert_eq!(Some(ours.restart.as_str()), told["HostConfig"]["RestartPolicy"]["Name"].as_str(), "{name}");
        let created = checked(docker.ask(&["image", "inspect", "--format", "{{.Created}}", "waits:1"]));
        let seconds: i64 = checked(Command::new("date").args(["-d", created.trim(), "+%s"]).output().unwrap()).trim().parse().unwrap();
        assert_eq!(ours.image_created, Some(seconds), "{name}");
    }
    assert_eq!(found.items.iter().find(|i| i.subject == format!("{engine} plain")).unwrap().running, Some(started));
    let daemon = found.engines.iter().find(|e| e.subject == engine).unwrap();
    assert_eq!((daemon.live_restore, daemon.log_driver.as_str(), daemon.data.as_str()), (Some(true), "none", data.as_str()));
    let mut expected = set(&EXPECTED);
    expected.extend(set(&[("container-engine-exposed", &format!("127.0.0.1:{}", docker.port)), ("container-registry-insecure", &data)]));
    let failed = failures(&found, &gaps, &data);
    assert_eq!(failed, expected);
}

#[test]
fn dockerd_reads_an_address_without_a_host_as_this_machine() {
    let port = free_port();
    let option = format!("-Htcp://:{port}");
    let docker = Docker::start(&[&option]);
    // It answers when every address is taken.
    checked(docker.ask(&["version"]));
    let (found, _) = gather(&Host::live().unwrap());
    let data = docker.server.folder().join("data").display().to_string();
    let ours: BTreeSet<String> = found.apis.iter().filter(|a| a.subject.contains(&data)).map(|a| format!("{}:{}", a.address, a.port)).collect();
    let listening = checked(Command::new("ss").args(["-Hltn"]).output().unwrap());
    let told: BTreeSet<String> = listening
        .lines()
        .filter_map(|l| l.split_whitespace().nth(3))
        .filter(|a| a.ends_with(&format!(":{port}")) || a.ends_with(&format!(":{}", docker.port)))
        .map(String::from)
        .collect();
    assert_eq!(ours, told);
}

fn podman(folder: &Path, arguments: &[&str]) -> Output {
    let place = |name: &str| folder.join(name).display().to_string();
    let mut command = Command::new("podman");
    command.args([
        "--root",
        &place("root/var/lib/containers/storage"),
        "--runroot",
        &place("run"),
        "--tmpdir",
        &place("tmp"),
        "--storage-driver=vfs",
        "--cgroup-manager=cgroupfs",
    ]);
    command.args(arguments).stdin(Stdio::null()).output().unwrap()
}

#[test]
fn containers_of_the_real_podman() {
    let dir = folder();
    let path = dir.path();
    let tar = image(path);
    checked(podman(path, &["import", "-q", "--change", "CMD [\"/pause\"]", tar.to_str().unwrap(), "waits:1"]));
    for (name, options) in MADE {
        checked(podman(path, &[&["create", "--name", name], options, &["waits:1"]].concat()));
    }
    let root = path.join("root");
    std::fs::create_dir_all(root.join("etc")).unwrap();
    std::fs::write(root.join("etc/passwd"), "root:x:0:0::/root:/bin/sh\n").unwrap();
    std::fs::write(root.join("etc/group"), "root:x:0:\n").unwrap();
    std::fs::create_dir_all(root.join("proc")).unwrap();
    let (found, gaps) = gather(&Host::recorded(&root).unwrap());
    assert_eq!(gaps, []);
    expected_facts(&found, "podman");
    let inspected = checked(podman(path, &["inspect", "privileged", "mounts", "namespaces", "plain", "stopped", "published"]));
    for told in serde_json::from_str::<Value>(&inspected).unwrap().as_array().unwrap() {
        let name = told["Name"].as_str().unwrap();
        let ours = found.items.iter().find(|i| i.subject == format!("podman {name}")).unwrap();
        assert_eq!(
            (Some(ours.image_id.as_str()), ours.running, Some(ours.privileged)),
            (told["Image"].as_str(), Some(false), told["HostConfig"]["Privileged"].as_bool()),
            "{name}"
        );
    }
    assert!(found.items.iter().all(|i| i.image_created.is_some()));
    assert_eq!(failures(&found, &gaps, ""), set(&EXPECTED));
}

/// Sound twins beside faults, by the documented formats alone.
#[test]
fn planted_engines_of_a_root() {
    let dir = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        let path = dir.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write(
        "etc/docker/daemon.json",
        "{\n \"hosts\": [\"unix:///run/docker.sock\",\n  \"tcp://0.0.0.0:2376\"],\n \"tlsverify\": true, \"tlscert\": \"/etc/docker/cert.pem\", \"tlskey\": \"/etc/docker/key.pem\",\n \"insecure-registries\": [\"127.0.0.1:5000\"]\n}\n",
    );
    let container = |id: &str, name: &str, host_config: &str, points: &str| {
        write(
            &format!("var/lib/docker/containers/{id}/config.v2.json"),
            &format!(
                "{{\"ID\": \"{id}\", \"Name\": \"/{name}\", \"Image\": \"sha256:abc\", \"Config\": {{\"Image\": \"app:1\", \"User\": \"\"}}, \"State\": {{}}, \"MountPoints\": {{{points}}}}}"
            ),
        );
        write(&format!("var/lib/docker/containers/{id}/hostconfig.json"), host_config);
    };
    let always = "\"RestartPolicy\": {\"Name\": \"always\"}";
    container(
        "a1",
        "agent",
        &format!("{{{always}}}"),
        "\"/s\": {\"Type\": \"bind\", \"Source\": \"/var/run/docker.sock\", \"Destination\": \"/s\", \"RW\": true}",
    );
    container(
        "a2",
        "disk",
        &format!("{{{always}, \"Devices\": [{{\"PathOnHost\": \"/dev/sda\", \"PathInContainer\": \"/dev/x\", \"CgroupPermissions\": \"rwm\"}}]}}"),
        "",
    );
    container(
        "a3",
        "web",
        &format!("{{{always}, \"PortBindings\": {{\"80/tcp\": [{{\"HostIp\": \"\", \"HostPort\": \"80\"}}]}}}}"),
        "\"/d\": {\"Type\": \"bind\", \"Source\": \"/srv/web\", \"Destination\": \"/d\", \"RW\": true}",
    );
    container("a4", "broken", "{", "");
    write("var/lib/docker/image/overlay2/imagedb/content/sha256/abc", "{\"created\": \"2020-01-01T00:00:00Z\"}");
    let (found, gaps) = gather(&Host::rooted(dir.path()).unwrap());
    let told: Vec<(&str, &str)> = gaps.iter().map(|g| (g.path.as_str(), g.subject.as_str())).collect();
    assert_eq!(told, [("items", "docker a4")]);
    for (path, mode) in [("run/docker.sock", 0o666), ("run/podman/podman.sock", 0o666), ("run/crio/crio.sock", 0o660)] {
        let path = dir.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    }
    // Its folder lets nobody through.
    std::fs::set_permissions(dir.path().join("run/podman"), std::fs::Permissions::from_mode(0o700)).unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let found = Containers { sockets: gather(&Host::rooted(dir.path()).unwrap()).0.sockets, ..found };
    let expected = set(&[
        ("container-socket-open", "/run/docker.sock"),
        ("container-host-mount", "agent"),
        ("container-host-mount", "disk"),
        ("container-image-old", "agent"),
        ("container-image-old", "disk"),
        ("container-image-old", "web"),
    ]);
    assert_eq!(failures(&found, &gaps, ""), expected);
    assert_eq!(
        (found.endpoints[0].subject.as_str(), found.endpoints[0].tls.as_str(), found.endpoints[0].certificates[0].as_str()),
        ("docker 0.0.0.0:2376", "required", "/etc/docker/cert.pem")
    );
    assert!(found.items.iter().all(|i| i.running.is_none()));
}
