//! Real servers on loopback: each starts on a free port below 32768 in a folder of its own and is
//! stopped, by its own process id, when it is dropped.
//!
//! Debian packages: openssl nginx vsftpd redis-server postgresql mariadb-server openssh-server
//! inetutils-telnetd memcached dovecot-imapd dovecot-pop3d dovecot-managesieved dovecot-lmtpd
//! postfix python3-aiosmtpd gnutls-bin slapd prosody xrdp dropbear-bin samba xvfb xauth x11vnc
//! tigervnc-standalone-server rsync rsh-server; inn2 is unpacked to `target/lab` by `tests/run`.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, clippy::expect_used, dead_code)]

pub mod bus;
pub mod daemons;
pub mod forge;
pub mod host;
pub mod hostile;
pub mod proxy;
pub mod servers;
pub mod stores;
pub mod udp;

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// Ports of the lab: below the range from which outgoing connections take theirs.
const PORTS: std::ops::Range<u16> = 20_000..32_000;
/// Longest time for a server to accept connections.
const START: Duration = Duration::from_secs(30);
/// Longest time to stop in order before SIGKILL.
const STOP: Duration = Duration::from_secs(10);

/// A running server.
pub struct Server {
    /// Where it listens, on 127.0.0.1.
    pub port: u16,
    child: Child,
    stop: Signal,
    folder: tempfile::TempDir,
}

impl Server {
    /// Starts `command` and waits until `port` accepts connections.
    pub fn start(port: u16, folder: tempfile::TempDir, command: &mut Command) -> Self {
        Self::start_with(port, folder, command, Signal::TERM)
    }

    /// The same, stopped by another signal than SIGTERM.
    pub fn start_with(port: u16, folder: tempfile::TempDir, command: &mut Command, stop: Signal) -> Self {
        let log = std::fs::File::create(folder.path().join("lab.log")).unwrap();
        let child = command.stdin(Stdio::piped()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap_or_else(|e| panic!("{command:?}: {e}"));
        let mut server = Self { port, child, stop, folder };
        let began = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            let ended = server.child.try_wait().unwrap();
            assert!(ended.is_none() && began.elapsed() < START, "{command:?} does not listen: {ended:?}\n{}", server.log());
            std::thread::sleep(Duration::from_millis(20));
        }
        server
    }

    /// Its process.
    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Ends it at once, as a power cut does.
    pub fn kill(&self) {
        let _ = kill_process(self.pid(), Signal::KILL);
    }

    /// Its folder, where its local socket lies if it has one.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What it printed.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.folder.path().join("lab.log")).unwrap_or_default()).into_owned()
    }

    /// `127.0.0.1:PORT`.
    pub fn target(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let pid = Pid::from_child(&self.child);
        let _ = kill_process(pid, self.stop);
        let began = Instant::now();
        while began.elapsed() < STOP {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A folder that any user may enter.
pub fn folder() -> tempfile::TempDir {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::Builder::new().prefix("assay-lab").tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

/// A port that nobody listens on.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    /// Locks of the ports handed out, held until this process ends: tests are processes of their own, and what is free
    /// now may be another's in the moment before it is bound.
    static TAKEN: Mutex<Vec<File>> = Mutex::new(Vec::new());
    let locks = std::env::temp_dir().join(format!("assay-ports-{}", rustix::process::getuid().as_raw()));
    std::fs::create_dir_all(&locks).unwrap();
    let width = PORTS.end - PORTS.start;
    let start = u16::try_from(std::process::id().wrapping_mul(37) % u32::from(width)).unwrap();
    for _ in 0..width {
        let port = PORTS.start + (start + NEXT.fetch_add(1, Ordering::Relaxed)) % width;
        let lock = File::create(locks.join(port.to_string())).unwrap();
        if lock.try_lock().is_ok() && TcpListener::bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))).is_ok() {
            TAKEN.lock().unwrap().push(lock);
            return port;
        }
    }
    panic!("no free port");
}

/// Runs a command to its end.
pub fn run(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    assert!(output.status.success(), "{command:?}: {}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
}

/// A command that runs as another user, in the same process.
pub fn as_user(user: &str, program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new("setpriv");
    // The home folder of whoever runs the tests may not be entered.
    command.env_remove("HOME");
    command.args([&format!("--reuid={user}"), &format!("--regid={user}"), "--clear-groups"]).arg(program);
    command
}

/// Gives a folder and all in it to a user.
pub fn give(folder: &Path, user: &str) {
    run(Command::new("chown").arg("-R").arg(format!("{user}:")).arg(folder));
}

/// A certificate and key in PEM files.
pub struct Certificate {
    /// Chain, leaf first.
    pub cert: PathBuf,
    /// Private key.
    pub key: PathBuf,
    _folder: tempfile::TempDir,
}

impl Certificate {
    /// Files that somebody else keeps.
    pub fn given(cert: PathBuf, key: PathBuf) -> Self {
        Self { cert, key, _folder: folder() }
    }

    /// Self-signed with these further arguments of `openssl req -x509`.
    pub fn self_signed(arguments: &[&str]) -> Self {
        let folder = folder();
        let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
        let mut command = Command::new("openssl");
        command.args(["req", "-x509", "-nodes", "-days", "30", "-subj", "/CN=lab.example", "-keyout"]).arg(&key).arg("-out").arg(&cert).args(arguments);
        run(&mut command);
        run(Command::new("chmod").arg("0644").arg(&key));
        Self { cert, key, _folder: folder }
    }

    /// P-256 and SHA-256.
    pub fn ordinary() -> Self {
        Self::self_signed(&["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"])
    }
}
