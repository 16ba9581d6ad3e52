//! Time, records, engines against malware and monitoring agents, held to what the real programs say of the same files.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, UdpSocket};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use assay::facts::logging::Logging;
use assay::facts::malware::Malware;
use assay::facts::monitoring::Monitoring;
use assay::facts::time_sync::TimeSync;
use assay::facts::{self, HostFamily};
use assay::host::{Host, audit, clock};
use assay::model::fact::Observation;
use assay::model::finding::Verdict;
use assay::model::gap::{Gap, Gaps};
use assay::model::policy::Policy;
use assay::probe::Limits;
use assay::rules::{self, Input, Pack};

use super::lab::{folder, free_port};
use super::probe::look;

/// Programs that `tests/run` unpacks.
fn unpacked(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/lab").join(name)
}

/// A root folder with these files.
fn root(files: &[(&str, &str)]) -> tempfile::TempDir {
    let root = folder();
    for (path, text) in files {
        write(root.path(), path, text.as_bytes());
    }
    root
}

fn write(root: &Path, path: &str, bytes: &[u8]) {
    let path = root.join(path.trim_start_matches('/'));
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

fn gather<T: HostFamily>(host: &Host) -> (T, Vec<Gap>) {
    let mut gaps = Gaps::new();
    let found = T::gather(host, &mut gaps).unwrap();
    (found, gaps.into_sorted())
}

/// Standard output and standard error of a program that ends well.
fn says(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {text}");
    text
}

/// A program that runs until it is dropped.
struct Running(Child);

impl Running {
    fn start(command: &mut Command) -> Self {
        Self(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap_or_else(|e| panic!("{command:?}: {e}")))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits for what a started program must do.
fn until(what: &str, mut done: impl FnMut() -> bool) {
    const LONGEST: Duration = Duration::from_secs(90);
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < LONGEST, "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

const CHRONY: &str = "# c\nconfdir /etc/chrony/run.d /etc/chrony/conf.d\npool 2.debian.pool.ntp.org iburst\n! server commented.example\nSERVER b.example NOSELECT\n\
                      refclock PHC /dev/ptp0 poll 0\ninclude /etc/chrony/more/*.conf\ndriftfile /var/lib/chrony/drift\nport 0\n";

#[test]
fn chronyd_reads_the_same_sources() {
    let root = root(&[
        ("usr/sbin/chronyd", ""),
        ("etc/chrony/chrony.conf", CHRONY),
        ("etc/chrony/run.d/a.conf", "server a.example nts\n"),
        ("etc/chrony/conf.d/a.conf", "server hidden.example\n"),
        ("etc/chrony/conf.d/z.conf", "peer z.example key 1\n"),
        ("etc/chrony/conf.d/z.txt", "server no.example\n"),
        ("etc/chrony/more/1.conf", "server one.example offline\n"),
        ("lib/systemd/system/chrony.service", "[Service]\nExecStart=/usr/sbin/chronyd\n[Install]\nWantedBy=multi-user.target\n"),
    ]);
    let (found, gaps): (TimeSync, _) = gather(&Host::rooted(root.path()).unwrap());
    assert_eq!(gaps, []);
    // The same text for the program, below the folder.
    let theirs = folder();
    for path in ["chrony.conf", "run.d/a.conf", "conf.d/a.conf", "conf.d/z.conf", "conf.d/z.txt", "more/1.conf"] {
        let text = std::fs::read_to_string(root.path().join("etc/chrony").join(path)).unwrap();
        write(theirs.path(), path, text.replace("/etc/chrony", theirs.path().to_str().unwrap()).as_bytes());
    }
    let printed = says(Command::new(unpacked("chrony/usr/sbin/chronyd")).arg("-p").arg("-f").arg(theirs.path().join("chrony.conf")));
    let kinds = ["server", "pool", "peer", "refclock"];
    let own: BTreeSet<(String, String)> = printed
        .lines()
        .filter_map(|l| {
            let words: Vec<&str> = l.split_whitespace().collect();
            let kind = words.first()?.to_lowercase();
            let address = if kind == "refclock" { words.get(1..3)?.join(" ") } else { (*words.get(1)?).to_string() };
            kinds.contains(&kind.as_str()).then_some((kind, address))
        })
        .collect();
    assert_eq!(found.sources.iter().map(|s| (s.kind.clone(), s.address.clone())).collect::<BTreeSet<_>>(), own, "{printed}");
    let service = &found.services[0];
    assert_eq!((service.subject.as_str(), service.usable_sources, service.authenticated_sources, service.in_use), ("chrony", 5, 2, false));
}

/// chronyd that serves its own clock, and one that follows it without setting anything (`-x`).
#[test]
fn a_running_chronyd_tells_how_the_clock_is() {
    let folder = folder();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
    let (ntp, first, second) = (free_port(), free_port(), free_port());
    let start = |name: &str, lines: &str, command_port: u16| {
        let path = folder.path().display();
        let text = format!(
            "{lines}\nbindaddress 127.0.0.1\ncmdport {command_port}\nbindcmdaddress 127.0.0.1\nbindcmdaddress /\npidfile {path}/{name}.pid\ndriftfile {path}/{name}.drift\n"
        );
        let config = folder.path().join(format!("{name}.conf"));
        std::fs::write(&config, text).unwrap();
        Running::start(Command::new(unpacked("chrony/usr/sbin/chronyd")).args(["-x", "-d", "-u", "root", "-f"]).arg(config))
    };
    let _server = start("server", &format!("port {ntp}\nlocal stratum 5\nallow 127.0.0.1"), first);
    let _client = start("client", &format!("port 0\nserver 127.0.0.1 port {ntp} iburst minpoll -6 maxpoll -4"), second);
    let tracking = |port: u16| {
        let output = Command::new(unpacked("chrony/usr/bin/chronyc")).args(["-h", "127.0.0.1", "-p", &port.to_string(), "-c", "tracking"]).output().unwrap();
        let line = String::from_utf8_lossy(&output.stdout).trim().to_string();
        line.split(',').map(String::from).collect::<Vec<_>>()
    };
    until("the client follows the server", || tracking(second).last().is_some_and(|leap| leap == "Normal"));
    let seen = look(&[format!("127.0.0.1:{second}/udp"), format!("127.0.0.1:{first}/udp")], &Limits::default());
    let of = |port: u16| seen.services.iter().find(|s| s.port == u32::from(port)).unwrap_or_else(|| panic!("{:?}", seen.gaps));
    let (client, own) = (of(second), tracking(second));
    assert_eq!((client.protocol.as_str(), client.outcome.as_str()), ("chrony", "identified"));
    let clock = client.clock.clone().unwrap();
    assert!(clock.synchronised);
    assert_eq!(clock.stratum.to_string(), own[2], "{own:?}");
    // Both clocks are one: what remains is far below a second.
    let theirs: f64 = own[4].parse().unwrap();
    assert!(theirs.abs() < 1.0 && clock.offset_microseconds.abs() < 1_000_000, "{own:?} {clock:?}");
    // A clock that stands for itself follows nobody.
    assert!(!of(first).clock.clone().unwrap().synchronised);
}

#[test]
fn rsyslogd_sends_where_we_say_and_as_we_say() {
    let folder = folder();
    let lab = unpacked("rsyslog");
    let libraries = lab.join("usr/lib/x86_64-linux-gnu");
    let plain = TcpListener::bind("127.0.0.1:0").unwrap();
    let secret = TcpListener::bind("127.0.0.1:0").unwrap();
    let old = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = |address: std::net::SocketAddr| address.port();
    let (plain_port, secret_port, old_port) = (port(plain.local_addr().unwrap()), port(secret.local_addr().unwrap()), port(old.local_addr().unwrap()));
    let path = folder.path().display().to_string();
    let main = format!(
        "module(load=\"imuxsock\" SysSock.Use=\"off\")\ninput(type=\"imuxsock\" Socket=\"{path}/in\")\n\
         global(workDirectory=\"{path}\" defaultNetstreamDriver=\"gtls\" defaultNetstreamDriverCAFile=\"/etc/ssl/certs/ca-certificates.crt\")\n\
         # *.* @@commented.example:514\n*.* @127.0.0.1:{old_port} # here @nobody\n*.* @@(o)127.0.0.1:{plain_port};RSYSLOG_SyslogProtocol23Format\n$IncludeConfig {path}/d/*.conf\n"
    );
    let more = format!(
        "*.* action(type=\"omfwd\" target=\"127.0.0.1\"\n  port=\"{secret_port}\" protocol=\"tcp\" streamDriverMode=\"1\" streamDriverAuthMode=\"x509/name\"\n  streamDriverPermittedPeers=\"x.example\")\n"
    );
    write(folder.path(), "rsyslog.conf", main.as_bytes());
    write(folder.path(), "d/10.conf", more.as_bytes());
    let program = |arguments: &[&str]| {
        let mut command = Command::new(lab.join("usr/sbin/rsyslogd"));
        command.env("LD_LIBRARY_PATH", &libraries).arg("-M").arg(libraries.join("rsyslog")).arg("-f").arg(folder.path().join("rsyslog.conf")).args(arguments);
        command
    };
    says(&mut program(&["-N1"]));
    let root = root(&[
        ("usr/sbin/rsyslogd", ""),
        ("etc/rsyslog.conf", &main.replace(&path, "/etc/r")),
        ("etc/r/d/10.conf", &more),
        ("lib/systemd/system/rsyslog.service", "[Service]\nExecStart=/usr/sbin/rsyslogd -n\n[Install]\nWantedBy=multi-user.target\n"),
    ]);
    std::fs::create_dir_all(root.path().join("etc/systemd/system/multi-user.target.wants")).unwrap();
    std::os::unix::fs::symlink("/lib/systemd/system/rsyslog.service", root.path().join("etc/systemd/system/multi-user.target.wants/rsyslog.service")).unwrap();
    let (found, _): (Logging, _) = gather(&Host::rooted(root.path()).unwrap());
    let mut shown: Vec<(u32, &str, bool, bool)> = found.forwards.iter().map(|f| (f.port, f.transport.as_str(), f.encrypted, f.authenticated)).collect();
    shown.sort_unstable();
    let mut expected =
        vec![(u32::from(old_port), "udp", false, false), (u32::from(plain_port), "tcp", false, false), (u32::from(secret_port), "tcp", true, true)];
    expected.sort_unstable();
    assert_eq!(shown, expected, "{:?}", found.forwards);
    // What arrives there: text, text, and a TLS record.
    let _rsyslogd = Running::start(&mut program(&["-n", "-i", &format!("{path}/pid")]));
    until("rsyslogd listens", || folder.path().join("in").exists());
    let sender = UnixDatagram::unbound().unwrap();
    until("rsyslogd takes a record", || sender.send_to(b"<13>Nov 27 12:00:00 assay: planted", folder.path().join("in")).is_ok());
    // Scans of other tests may speak to these sockets too. The handshake goes first: rsyslogd waits for it with everything else.
    let speaks = |listener: TcpListener, expected: &dyn Fn(&[u8]) -> bool| {
        listener.set_nonblocking(true).unwrap();
        until("rsyslogd speaks", || {
            let Ok((mut stream, _)) = listener.accept() else { return false };
            stream.set_nonblocking(false).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            let mut bytes = [0; 64];
            let read = stream.read(&mut bytes).unwrap_or(0);
            expected(&bytes[..read])
        });
    };
    speaks(secret, &|bytes| bytes.starts_with(&[0x16, 3]));
    old.set_nonblocking(true).unwrap();
    let mut bytes = [0; 256];
    until("rsyslogd sends a datagram", || old.recv(&mut bytes).is_ok_and(|read| bytes[..read].starts_with(b"<13>")));
    // Framed by its length.
    speaks(plain, &|bytes| bytes.first().is_some_and(u8::is_ascii_digit));
}

const SYSLOG_NG: &str = "@version: 3.38\n# destination d_c { udp(\"c.example\"); };\nsource s { internal(); };\n\
    destination d_tls { network(\"127.0.0.1\" port(6515) transport(\"tls\") tls(ca-dir(\"/tmp\") peer_verify(required-trusted))); };\n\
    destination d_any { syslog(\"127.0.0.2\" transport(tls) tls(peer-verify(optional-untrusted))); };\n\
    destination d_old { udp(\"127.0.0.3\" port(5140)); tcp(\"127.0.0.4\" tls(peer-verify(yes))); network('127.0.0.5' transport(\"udp\")); };\n\
    destination d_unused { udp(\"unused.example\"); };\nlog { source(s); destination(d_tls); destination(d_any); destination(d_old); destination { tcp(\"127.0.0.6\"); }; };\n";

#[test]
fn syslog_ng_takes_the_same_configuration() {
    let folder = folder();
    let lab = unpacked("syslog-ng");
    write(folder.path(), "syslog-ng.conf", SYSLOG_NG.as_bytes());
    let libraries = format!("{}:{}", lab.join("usr/lib/syslog-ng").display(), lab.join("usr/lib/x86_64-linux-gnu").display());
    says(
        Command::new(lab.join("usr/sbin/syslog-ng"))
            .env("LD_LIBRARY_PATH", libraries)
            .args(["--syntax-only", "--no-caps", "-f"])
            .arg(folder.path().join("syslog-ng.conf"))
            .arg(format!("--module-path={}", lab.join("usr/lib/syslog-ng/3.38").display())),
    );
    let root = root(&[("usr/sbin/syslog-ng", ""), ("etc/syslog-ng/syslog-ng.conf", SYSLOG_NG), ("etc/init.d/syslog-ng", ""), ("etc/rc2.d/S01syslog-ng", "")]);
    let (found, _): (Logging, _) = gather(&Host::rooted(root.path()).unwrap());
    let shown: Vec<String> = found.forwards.iter().map(|f| format!("{} {} {}", f.subject, f.encrypted, f.authenticated)).collect();
    assert_eq!(
        shown,
        [
            "syslog-ng tcp 127.0.0.1:6515 true true",
            "syslog-ng tcp 127.0.0.2:6514 true false",
            "syslog-ng tcp 127.0.0.4:6514 true true",
            "syslog-ng tcp 127.0.0.6:514 false false",
            "syslog-ng udp 127.0.0.3:5140 false false",
            "syslog-ng udp 127.0.0.5:514 false false"
        ]
    );
}

/// Writes a journal file with entries at these seconds.
fn journal(path: &Path, at: &[i64]) {
    let mut text = String::new();
    for (i, seconds) in at.iter().enumerate() {
        text.push_str(&format!("__REALTIME_TIMESTAMP={seconds}000000\n__MONOTONIC_TIMESTAMP={i}\n_BOOT_ID=0123456789abcdef0123456789abcdef\nMESSAGE=x\n\n"));
    }
    let mut child =
        Command::new("/lib/systemd/systemd-journal-remote").arg("-o").arg(path).arg("-").stdin(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_real_journal_tells_its_span() {
    let root = root(&[("usr/lib/systemd/systemd-journald", ""), ("etc/machine-id", "abc\n"), ("var/log/journal/abc/.keep", "")]);
    let folder = root.path().join("var/log/journal/abc");
    journal(&folder.join("system.journal"), &[1_794_000_000, 1_794_000_500]);
    journal(&folder.join("user-1000.journal"), &[1_793_000_000, 1_793_500_000]);
    let (found, gaps): (Logging, _) = gather(&Host::rooted(root.path()).unwrap());
    let found = found.journal.unwrap();
    assert!(gaps.iter().all(|g| g.path == "daemons.running"), "{gaps:?}");
    assert_eq!((found.persistent, found.oldest_at, found.newest_at, found.discarded), (true, Some(1_793_000_000), Some(1_794_000_500), Some(false)));
    let header = says(Command::new("journalctl").arg("--header").arg("--file").arg(folder.join("user-1000.journal")));
    let line = |name: &str| header.lines().find(|l| l.starts_with(name)).unwrap_or_else(|| panic!("{header}")).to_string();
    // (65f…) is the time in microseconds.
    let micro = i64::from_str_radix(line("Head realtime").rsplit('(').next().unwrap().trim_end_matches(')'), 16).unwrap();
    assert_eq!(micro / 1_000_000, found.oldest_at.unwrap());
    assert!(line("Head sequential number").contains("number: 1 "));
}

#[test]
fn logrotate_keeps_as_long_as_we_say() {
    let sections = "weekly\nrotate 4\ncompress\nROOT/var/log/auth.log ROOT/var/log/sys*log {\n  monthly\n  rotate 12\n  postrotate\n    true }\n  endscript\n}\nROOT/var/log/messages {\n  daily\n  rotate 5\n}\n\
                    \"ROOT/var/log/secure\" { size 1M\n rotate 3\n}\nROOT/var/log/sudo.log {\n}\n";
    let root = root(&[
        ("etc/logrotate.conf", &sections.replace("ROOT", "")),
        ("var/log/auth.log", "x"),
        ("var/log/syslog", "x"),
        ("var/log/messages", "x"),
        ("var/log/secure", "x"),
        ("var/log/sudo.log", "x"),
    ]);
    let (found, _): (Logging, _) = gather(&Host::rooted(root.path()).unwrap());
    let folder = folder();
    let config = folder.path().join("logrotate.conf");
    std::fs::write(&config, sections.replace("ROOT", root.path().to_str().unwrap())).unwrap();
    let said = says(Command::new("logrotate").arg("-d").arg("-s").arg(folder.path().join("state")).arg(&config));
    for file in &found.files {
        let pattern =
            said.split("rotating pattern: ").find(|p| p.lines().any(|l| l.contains(&format!("considering log {}{}", root.path().display(), file.subject))));
        let head = pattern.unwrap_or_else(|| panic!("{}: {said}", file.subject)).lines().next().unwrap();
        let count: i64 = head.rsplit('(').next().unwrap().split(' ').next().unwrap().parse().unwrap();
        let days = [("after 1 days", 1), ("weekly", 7), ("monthly", 28)].iter().find(|(word, _)| head.contains(word)).map(|(_, days)| days * count);
        assert_eq!((file.kept_days, file.by_size), (days, days.is_none()), "{head}");
    }
    assert_eq!(found.files.len(), 5);
}

#[test]
fn the_kernel_says_to_us_what_it_says_to_auditctl() {
    let folder = folder();
    let watched = folder.path().join("watched");
    std::fs::write(&watched, "").unwrap();
    let host = Host::live().unwrap();
    let rule = |flag: &str| Command::new("auditctl").arg(flag).arg(&watched).args(["-p", "wa", "-k", "assay"]).output().unwrap();
    let added = rule("-w");
    assert!(added.status.success(), "{added:?}");
    let (status, rules) = (audit::status(&host), audit::rules(&host));
    let (said, listed) = (says(Command::new("auditctl").arg("-s")), says(Command::new("auditctl").arg("-l")));
    assert!(rule("-W").status.success());
    let (status, rules) = (status.unwrap(), rules.unwrap());
    let number = |name: &str| said.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(' ')).unwrap().trim().parse::<u32>().unwrap();
    assert_eq!((status.enabled, status.pid, status.backlog_limit), (number("enabled"), number("pid"), number("backlog_limit")));
    assert_eq!(rules.len(), listed.lines().filter(|l| l.starts_with('-')).count(), "{listed}");
    let own = rules.iter().find(|r| r.path == watched.to_str().unwrap()).unwrap_or_else(|| panic!("{rules:?}"));
    assert!(own.records && own.changes && !own.narrowed && !own.recursive, "{own:?}");
}

#[test]
fn clamav_real_signatures_scan_and_engine() {
    let folder = folder();
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    std::fs::write(data.join("COPYING"), "x").unwrap();
    std::fs::write(data.join("own.hdb"), "44d88612fea8a8f36de82e1278abb02f:68:Planted\n").unwrap();
    let mut build = Command::new("sigtool")
        .args(["--build=own.cud", "--unsigned", "--cvd-version=7", "--datadir=."])
        .current_dir(&data)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    build.stdin.take().unwrap().write_all(b"assay\n").unwrap();
    assert!(build.wait().unwrap().success());
    std::fs::remove_file(data.join("own.hdb")).unwrap();
    let info = says(Command::new("sigtool").arg("--info").arg(data.join("own.cud")));
    let said = |name: &str| info.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(": ")).unwrap().to_string();
    std::fs::write(folder.path().join("clean"), "x").unwrap();
    let log = folder.path().join("scan.log");
    says(Command::new("clamscan").arg("-d").arg(&data).arg(format!("--log={}", log.display())).arg(folder.path().join("clean")));

    let root = root(&[
        ("usr/sbin/clamd", ""),
        ("etc/clamav/clamd.conf", "# DatabaseDirectory /no\nDatabaseDirectory /srv/signatures\nLogFile /var/log/clamav/clamav.log\n"),
    ]);
    write(root.path(), "srv/signatures/own.cud", &std::fs::read(data.join("own.cud")).unwrap());
    write(root.path(), "var/log/clamav/scan.log", &std::fs::read(&log).unwrap());
    write(root.path(), "etc/localtime", &std::fs::read("/etc/localtime").unwrap_or_default());
    let (found, _): (Malware, _) = gather(&Host::rooted(root.path()).unwrap());
    let database = &found.databases[0];
    assert_eq!((database.version.to_string(), database.signatures.to_string(), database.official), (said("Version"), said("Signatures"), false));
    let engine = found.engines.iter().find(|e| e.subject == "ClamAV").unwrap();
    assert_eq!(engine.signatures_at, Some(database.built_at));
    let now = clock::unix_now();
    // `Build time` is of the same minute; both were made just now.
    assert!((now - database.built_at).abs() < 3600 && (now - engine.scanned_at.unwrap()).abs() < 3600, "{info} {found:?}");
    assert_eq!(found.scans[0].files, Some(1));

    // The running engine names its own file.
    let config = folder.path().join("clamd.conf");
    std::fs::write(&config, format!("DatabaseDirectory {}\nLocalSocket {}\nForeground true\n", data.display(), folder.path().join("socket").display()))
        .unwrap();
    let _clamd = Running::start(Command::new("clamd").arg("-c").arg(&config));
    until("clamd listens", || folder.path().join("socket").exists());
    let (live, _): (Malware, _) = gather(&Host::live().unwrap());
    let engine = live.engines.iter().find(|e| e.subject == "ClamAV").unwrap();
    assert_eq!((engine.running, engine.signatures_at), (Some(true), Some(database.built_at)), "{live:?}");
}

/// Rule and subject of every failure of ours.
fn failures(host: &Host, now: i64) -> BTreeSet<String> {
    let mut gaps = Gaps::new();
    let value = |v: serde_json::Result<serde_json::Value>| v.unwrap();
    let families = [
        ("os".to_string(), serde_json::json!({"virtualization": "kvm"})),
        ("time_sync".to_string(), value(serde_json::to_value(TimeSync::gather(host, &mut gaps).unwrap()))),
        ("logging".to_string(), value(serde_json::to_value(Logging::gather(host, &mut gaps).unwrap()))),
        ("malware".to_string(), value(serde_json::to_value(Malware::gather(host, &mut gaps).unwrap()))),
        ("monitoring".to_string(), value(serde_json::to_value(Monitoring::gather(host, &mut gaps).unwrap()))),
    ];
    let observation = Observation { gathered_at: now, families: families.into(), gaps: gaps.into_sorted() };
    let pack = Pack::builtin(facts::schemas()).unwrap();
    let input = Input { observation: &observation, policy: &Policy::default(), against: assay::model::against::Against::default(), advisories: None };
    let ours = |rule: &str| ["time-s", "log-", "journal-", "audit-", "malware-", "monitoring-"].iter().any(|p| rule.starts_with(p));
    let failed = rules::evaluate(&pack, &input).into_iter().filter(|f| f.verdict == Verdict::Fail && ours(&f.rule));
    failed.map(|f| format!("{} {} | {}", f.rule, f.subject, f.message)).collect()
}

/// A running machine: processes, boot time and these files.
fn machine(files: &[(&str, &str)], processes: &[&str]) -> tempfile::TempDir {
    let root = root(files);
    write(root.path(), "proc/stat", b"cpu 1\nbtime 1000\n");
    for (index, name) in ["systemd"].iter().chain(processes).enumerate() {
        write(root.path(), &format!("proc/{}/comm", index + 1), format!("{name}\n").as_bytes());
        let stat = format!("{} ({name}) S 1 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 500 1000 200", index + 1);
        write(root.path(), &format!("proc/{}/stat", index + 1), stat.as_bytes());
    }
    root
}

fn mode(root: &Path, path: &str, mode: u32) {
    std::fs::set_permissions(root.join(path), std::fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn planted_faults_are_found_and_sound_decoys_are_not() {
    let now = clock::unix_now();
    let head = |at: i64| format!("{:<512}", format!("ClamAV-VDB:07 Jun 2024 04-29 -0400:27299:2063051:90:x:y:z:{at}"));
    let packages = "Package: clamav-daemon\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1\n\nPackage: zabbix-agent2\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1\n";
    let unit = |program: &str| format!("[Service]\nExecStart={program}\n[Install]\nWantedBy=multi-user.target\n");
    let faulty = machine(
        &[
            ("var/lib/dpkg/status", packages),
            ("lib/systemd/system/zabbix-agent2.service", &unit("/usr/sbin/zabbix_agent2")),
            ("usr/sbin/chronyd", ""),
            ("etc/chrony/chrony.conf", "# server sound.example\nserver lost.example noselect\ndriftfile /var/lib/chrony/drift\n"),
            ("usr/lib/systemd/systemd-timesyncd", ""),
            ("usr/lib/systemd/systemd-journald", ""),
            ("etc/systemd/journald.conf", "[Journal]\nStorage=persistent\n"),
            ("etc/systemd/journald.conf.d/10-small.conf", "[Journal]\nStorage=volatile\n"),
            ("usr/sbin/rsyslogd", ""),
            ("etc/rsyslog.conf", "*.* @logs.example\n"),
            ("usr/sbin/auditd", ""),
            ("etc/audit/auditd.conf", "log_file = /var/log/audit/audit.log\nmax_log_file_action = ROTATE\nnum_logs = 2\n"),
            ("var/log/audit/audit.log", "x"),
            ("var/log/audit/audit.log.1", "x"),
            ("etc/passwd", "root:x:0:0::/root:/bin/sh\n"),
            ("etc/sudoers", ""),
            ("etc/audit/rules.d/x.rules", "-w /etc/passwd -p wa\n# -w /etc/sudoers -p wa\n"),
            ("etc/logrotate.d/rsyslog", "/var/log/auth.log { weekly\nrotate 4 }\n"),
            ("etc/logrotate.conf", "include /etc/logrotate.d\n"),
            ("var/log/auth.log", "x"),
            ("var/lib/clamav/daily.cvd", &head(now - 40 * 86_400)),
            ("var/log/clamav/scan.log", "----------- SCAN SUMMARY -----------\nScanned files: 9\nInfected files: 0\nEnd Date:   2024:01:01 00:00:00\n"),
        ],
        &["chronyd", "systemd-timesyn", "rsyslogd", "auditd"],
    );
    mode(faulty.path(), "var/log/auth.log", 0o644);
    mode(faulty.path(), "var/log/audit/audit.log", 0o600);
    let found = failures(&Host::recorded(faulty.path()).unwrap(), now);
    let has = |start: &str| assert!(found.iter().any(|f| f.starts_with(start)), "{start}: {found:#?}");
    has("time-service-single");
    has("time-synchronised chrony | chrony has never");
    has("log-retention /var/log/auth.log | /var/log/auth.log is kept 28 days (/etc/logrotate.d/rsyslog:1");
    has("log-retention /var/log/audit/audit.log | /var/log/audit/audit.log is rotated by size");
    has("log-forward-encrypted rsyslog udp logs.example:514 |");
    has("log-permissions /var/log/auth.log | everybody may read");
    has("audit-identity-recorded");
    has("malware-engine-running");
    has("malware-signatures-fresh ClamAV | the signatures of ClamAV are of");
    has("malware-scan-recent ClamAV | the last scan of ClamAV ended on 2024-01-01");
    has("monitoring-agent-running");
    assert!(found.iter().any(|f| f.contains("/etc/sudoers") && !f.contains("/etc/passwd,")), "{found:#?}");

    let sound = machine(
        &[
            ("var/lib/dpkg/status", packages),
            ("lib/systemd/system/zabbix-agent2.service", &unit("/usr/sbin/zabbix_agent2")),
            ("usr/sbin/chronyd", ""),
            ("etc/chrony/chrony.conf", "server lost.example noselect\nsourcedir /etc/chrony/sources.d\ndriftfile /var/lib/chrony/drift\n"),
            ("etc/chrony/sources.d/own.sources", "server time.example iburst nts\n"),
            ("var/lib/chrony/drift", "1 2\n"),
            // Installed and not in use.
            ("usr/lib/systemd/systemd-timesyncd", ""),
            ("usr/lib/systemd/systemd-journald", ""),
            ("etc/systemd/journald.conf", "[Journal]\nStorage=volatile\n"),
            ("etc/systemd/journald.conf.d/10-kept.conf", "[Journal]\nStorage=persistent\n"),
            ("usr/sbin/rsyslogd", ""),
            (
                "etc/rsyslog.conf",
                "# *.* @logs.example\nglobal(defaultNetstreamDriver=\"gtls\")\n*.* action(type=\"omfwd\" target=\"logs.example\" port=\"6514\" protocol=\"tcp\" streamDriverMode=\"1\" streamDriverAuthMode=\"x509/name\")\n*.* @127.0.0.1:5514\n",
            ),
            ("usr/sbin/syslog-ng", ""),
            ("etc/syslog-ng/syslog-ng.conf", "destination d { udp(\"logs.example\"); }; log { destination(d); };\n"),
            ("usr/sbin/auditd", ""),
            ("etc/audit/auditd.conf", "max_log_file_action = keep_logs\n"),
            ("var/log/audit/audit.log", "x"),
            ("etc/passwd", "root:x:0:0::/root:/bin/sh\n"),
            ("etc/sudoers", ""),
            ("etc/audit/rules.d/x.rules", "-w /etc/passwd -p wa\n-a always,exit -F arch=b64 -F path=/etc/sudoers -F perm=wa -k sudo\n"),
            ("etc/logrotate.conf", "weekly\nrotate 4\ninclude /etc/logrotate.d\n"),
            ("etc/logrotate.d/rsyslog", "/var/log/auth.log\n{\n rotate 52\n}\n"),
            ("etc/logrotate.d/rsyslog.dpkg-old", "/var/log/auth.log { rotate 1 }\n"),
            ("var/log/auth.log", "x"),
            ("var/log/wtmp", ""),
            ("var/lib/clamav/daily.cvd", &head(now - 40 * 86_400).replace("27299", "27298")),
            ("var/lib/clamav/daily.cld", &head(now - 86_400)),
            ("var/log/clamav/scan.log", "----------- SCAN SUMMARY -----------\nScanned files: 9\nInfected files: 0\n"),
        ],
        &["chronyd", "rsyslogd", "auditd", "clamd", "zabbix_agent2"],
    );
    mode(sound.path(), "var/log/auth.log", 0o640);
    mode(sound.path(), "var/log/audit/audit.log", 0o600);
    mode(sound.path(), "var/log/wtmp", 0o664);
    assert_eq!(failures(&Host::recorded(sound.path()).unwrap(), now), BTreeSet::new());
}
