//! A message bus of its own with services on it.

use std::io::{BufRead as _, BufReader};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use super::{START, folder};

/// A running dbus-daemon and the services of `bus.py`.
pub struct Bus {
    daemon: Child,
    services: Option<Child>,
    folder: tempfile::TempDir,
}

impl Bus {
    /// `at`: what timesyncd's stand-in says of its last answer, Unix seconds; without it the bus is empty.
    pub fn start(at: Option<i64>) -> Self {
        let folder = folder();
        let socket = folder.path().join("socket");
        let config = format!(
            "<!DOCTYPE busconfig PUBLIC \"-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN\" \"http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd\">\n\
             <busconfig><type>system</type><listen>unix:path={}</listen><auth>EXTERNAL</auth><policy context=\"default\"><allow user=\"*\"/><allow own=\"*\"/>\
             <allow send_type=\"method_call\"/><allow send_type=\"signal\"/><allow send_requested_reply=\"true\" send_type=\"method_return\"/>\
             <allow send_requested_reply=\"true\" send_type=\"error\"/><allow receive_type=\"method_call\"/><allow receive_type=\"method_return\"/>\
             <allow receive_type=\"error\"/><allow receive_type=\"signal\"/></policy></busconfig>",
            socket.display()
        );
        std::fs::write(folder.path().join("bus.conf"), config).unwrap();
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let mut arguments = std::ffi::OsString::from("--config-file=");
        arguments.push(folder.path().join("bus.conf"));
        let daemon = Command::new("dbus-daemon")
            .arg(arguments)
            .args(["--nofork", "--nopidfile"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut bus = Self { daemon, services: None, folder };
        let began = Instant::now();
        while UnixStream::connect(&socket).is_err() {
            assert!(bus.daemon.try_wait().unwrap().is_none() && began.elapsed() < START, "{:?}", std::fs::read_to_string(bus.folder.path().join("log")));
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        if let Some(at) = at {
            let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/lab/bus.py");
            let mut services = Command::new("/usr/bin/python3");
            services.arg(script).arg(format!("unix:path={}", socket.display())).arg(at.to_string()).stdout(Stdio::piped());
            let mut services = services.spawn().unwrap();
            let mut first = String::new();
            BufReader::new(services.stdout.take().unwrap()).read_line(&mut first).unwrap();
            assert_eq!(first, "ready\n");
            bus.services = Some(services);
        }
        bus
    }

    /// Its socket.
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        for child in self.services.iter_mut().chain([&mut self.daemon]) {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
