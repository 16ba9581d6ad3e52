//! Brokers, key-value stores and daemons with an HTTP interface.
//!
//! Debian packages: mosquitto rabbitmq-server etcd-server cups docker.io.

use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};

use super::{Server, folder, free_port, run};

/// Mosquitto with these further lines in its configuration.
pub fn mosquitto(lines: &str) -> Server {
    let (folder, port) = (folder(), free_port());
    let path = folder.path().join("mosquitto.conf");
    std::fs::write(&path, format!("listener {port} 127.0.0.1\nuser root\n{lines}\n")).unwrap();
    let mut command = Command::new("/usr/sbin/mosquitto");
    Server::start(port, folder, command.arg("-c").arg(path))
}

/// etcd; with `authentication`, a root user with a password is made and sign-in is demanded.
pub fn etcd(authentication: bool) -> Server {
    let (folder, port, peers) = (folder(), free_port(), free_port());
    let (client, peer) = (format!("http://127.0.0.1:{port}"), format!("http://127.0.0.1:{peers}"));
    let mut command = Command::new("/usr/bin/etcd");
    command.arg("--data-dir").arg(folder.path().join("data")).args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
    command.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer, "--initial-cluster", &format!("default={peer}")]);
    let server = Server::start(port, folder, &mut command);
    // It listens before it serves.
    let ready = |path: &str, body: &str| {
        Command::new("curl").args(["-sf", "-m", "5", "-d", body, &format!("{client}{path}")]).stdout(Stdio::null()).status().is_ok_and(|s| s.success())
    };
    for _ in 0..100 {
        if ready("/v3/kv/range", r#"{"key":"eA=="}"#) {
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    if authentication {
        assert!(ready("/v3/auth/user/add", r#"{"name":"root","password":"secret"}"#));
        assert!(ready("/v3/auth/role/add", r#"{"name":"root"}"#));
        assert!(ready("/v3/auth/user/grant", r#"{"user":"root","role":"root"}"#));
        assert!(ready("/v3/auth/enable", "{}"));
    }
    server
}

/// CUPS that lets everybody in or, but for the start page, nobody.
pub fn cups(open: bool) -> Server {
    let (folder, port) = (folder(), free_port());
    let path = folder.path().display().to_string();
    let rule = if open { "Allow all" } else { "Require user @SYSTEM" };
    for name in ["run", "cache", "spool/tmp"] {
        std::fs::create_dir_all(folder.path().join(name)).unwrap();
    }
    let policy = if open { String::new() } else { "<Policy default>\n<Limit All>\nAuthType Basic\nRequire user @SYSTEM\n</Limit>\n</Policy>\n".into() };
    let config =
        format!("Listen 127.0.0.1:{port}\n<Location />\nOrder allow,deny\nAllow all\n</Location>\n<Location /printers>\n{rule}\n</Location>\n{policy}");
    std::fs::write(folder.path().join("cupsd.conf"), config).unwrap();
    let files = format!(
        "ServerRoot {path}\nStateDir {path}/run\nCacheDir {path}/cache\nRequestRoot {path}/spool\nTempDir {path}/spool/tmp\nAccessLog stderr\nErrorLog stderr\nPageLog stderr\n"
    );
    std::fs::write(folder.path().join("cups-files.conf"), files).unwrap();
    let mut command = Command::new("/usr/sbin/cupsd");
    command.arg("-f").arg("-c").arg(folder.path().join("cupsd.conf")).arg("-s").arg(folder.path().join("cups-files.conf"));
    Server::start(port, folder, &mut command)
}

/// Docker, if this machine lets it start.
pub fn docker() -> Option<Server> {
    let (folder, port) = (folder(), free_port());
    let path = folder.path().display().to_string();
    let mut command = Command::new("/usr/sbin/dockerd");
    command.args(["--iptables=false", "--bridge=none", "--storage-driver=vfs", "-H", &format!("tcp://127.0.0.1:{port}"), "--tls=false"]);
    command.args([format!("--data-root={path}/data"), format!("--exec-root={path}/exec"), format!("--pidfile={path}/pid")]);
    let started = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| Server::start(port, folder, &mut command)));
    started.ok()
}

/// RabbitMQ on a node of its own; its Erlang processes end with it.
pub struct RabbitMq {
    /// Where it listens, on 127.0.0.1.
    pub port: u16,
    server: Option<Server>,
    group: Pid,
}

impl RabbitMq {
    /// Starts it; `mechanisms` is a list in Erlang's notation.
    pub fn start(mechanisms: &str) -> Self {
        let (folder, port) = (folder(), free_port());
        let path = folder.path().display().to_string();
        std::fs::write(folder.path().join("plugins"), "[].").unwrap();
        std::fs::write(folder.path().join("advanced.config"), format!("[{{rabbit, [{{auth_mechanisms, {mechanisms}}}]}}].")).unwrap();
        let mut command = Command::new("/usr/lib/rabbitmq/bin/rabbitmq-server");
        let settings = [
            ("RABBITMQ_NODENAME", format!("assay{port}@localhost")),
            ("RABBITMQ_NODE_PORT", port.to_string()),
            ("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1".into()),
            ("RABBITMQ_DIST_PORT", free_port().to_string()),
            ("ERL_EPMD_PORT", free_port().to_string()),
            ("ERL_EPMD_ADDRESS", "127.0.0.1".into()),
            ("RABBITMQ_MNESIA_BASE", format!("{path}/mnesia")),
            ("RABBITMQ_LOG_BASE", format!("{path}/log")),
            ("RABBITMQ_ENABLED_PLUGINS_FILE", format!("{path}/plugins")),
            ("RABBITMQ_ADVANCED_CONFIG_FILE", format!("{path}/advanced.config")),
            ("HOME", path.clone()),
        ];
        command.envs(settings).process_group(0);
        let server = Server::start(port, folder, &mut command);
        let group = server.pid();
        Self { port, server: Some(server), group }
    }
}

impl Drop for RabbitMq {
    fn drop(&mut self) {
        // The group is the one that it was started in.
        let _ = kill_process_group(self.group, Signal::KILL);
        drop(self.server.take());
    }
}

/// A password file of Mosquitto.
pub fn mosquitto_passwords(path: &std::path::Path) {
    run(Command::new("mosquitto_passwd").args(["-b", "-c"]).arg(path).args(["user", "secret"]));
}
