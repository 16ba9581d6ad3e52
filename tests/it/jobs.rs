//! What runs later, on a root with planted faults beside sound decoys; names that cron reads
//! against run-parts, states of units against systemctl, the spool of at against at itself.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use assay::facts::jobs::Jobs;
use assay::facts::sessions::Sessions;
use assay::facts::{self, Document, HostFamily};
use assay::host::Host;
use assay::model::fact::Observation;
use assay::model::finding::{Finding, Verdict};
use assay::model::gap::{Gap, Gaps};
use assay::model::policy::Policy;
use assay::rules::{self, Input, Pack};

/// A root whose files are root's own, mode 0755 for folders.
struct Root(tempfile::TempDir);

impl Root {
    fn new() -> Self {
        let root = Self(tempfile::tempdir().unwrap());
        root.file(
            "/etc/passwd",
            0o644,
            "root:x:0:0:root:/root:/bin/bash\ndaemon:x:1:1::/usr/sbin:/usr/sbin/nologin\nanna:x:2001:2001::/home/anna:/bin/bash\n\
             bob:x:2002:2002::/home/bob:/bin/bash\ncarl:x:2003:2003::/home/carl:/bin/bash\nwww-data:x:33:33::/var/www:/usr/sbin/nologin\n",
        );
        root.file("/etc/group", 0o644, "root:x:0:\nstaff:x:50:\nops:x:60:anna,root\ncrontab:x:101:\nanna:x:2001:\nbob:x:2002:\ncarl:x:2003:\nwww-data:x:33:\n");
        root.file("/etc/shadow", 0o640, "root:*:19000::::::\nanna:!:19000::::::\nbob:!:19000::::::\ncarl:$y$x:19000:0:99999:7::19800:\n");
        root.file("/var/lib/dpkg/status", 0o644, "");
        root.file("/usr/sbin/cron", 0o755, "\u{7f}ELF");
        root.file("/usr/bin/crontab", 0o755, "\u{7f}ELF");
        for shell in ["/bin/sh", "/bin/bash", "/usr/bin/python3", "/usr/bin/env", "/usr/bin/run-parts"] {
            root.file(shell, 0o755, "\u{7f}ELF");
        }
        root
    }

    fn at(&self, path: &str) -> PathBuf {
        self.0.path().join(path.trim_start_matches('/'))
    }

    fn file(&self, path: &str, mode: u32, text: &str) {
        let at = self.at(path);
        std::fs::create_dir_all(at.parent().unwrap()).unwrap();
        std::fs::write(&at, text).unwrap();
        self.mode(path, mode);
    }

    fn script(&self, path: &str, mode: u32) {
        self.file(path, mode, "#!/bin/sh\nexit 0\n");
    }

    fn mode(&self, path: &str, mode: u32) {
        std::fs::set_permissions(self.at(path), std::fs::Permissions::from_mode(mode)).unwrap();
    }

    fn folder(&self, path: &str, mode: u32) {
        std::fs::create_dir_all(self.at(path)).unwrap();
        self.mode(path, mode);
    }

    fn link(&self, path: &str, target: &str) {
        std::fs::create_dir_all(self.at(path).parent().unwrap()).unwrap();
        symlink(target, self.at(path)).unwrap();
    }

    /// Only root may give files away.
    fn own(&self, path: &str, uid: u32, gid: u32) {
        if self.is_root() {
            chown(self.at(path), Some(uid), Some(gid)).unwrap();
        }
    }

    fn is_root(&self) -> bool {
        std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(self.0.path()).unwrap()) == 0
    }

    fn jobs(&self) -> (Jobs, Vec<Gap>) {
        gather(&Host::rooted(self.0.path()).unwrap())
    }
}

fn gather<T: HostFamily>(host: &Host) -> (T, Vec<Gap>) {
    let mut gaps = Gaps::new();
    let document = T::gather(host, &mut gaps);
    let gaps = gaps.into_sorted();
    (document.unwrap_or_else(|| panic!("nothing gathered: {gaps:?}")), gaps)
}

fn judge<T: Document>(document: &T, gaps: &[Gap], policy: &Policy) -> Vec<Finding> {
    let families = BTreeMap::from([(T::NAME.to_string(), serde_json::to_value(document).unwrap())]);
    let observation = Observation { gathered_at: 1_795_305_600, families, gaps: gaps.to_vec() };
    let pack = Pack::builtin(facts::schemas()).unwrap();
    rules::evaluate(&pack, &Input { observation: &observation, policy, against: assay::model::against::Against::default(), advisories: None })
}

fn failing(findings: &[Finding], rule: &str) -> BTreeMap<String, String> {
    findings.iter().filter(|f| f.rule == rule && f.verdict == Verdict::Fail).map(|f| (f.subject.clone(), f.message.clone())).collect()
}

fn plant_cron(root: &Root) {
    root.file(
        "/etc/crontab",
        0o644,
        "SHELL=/bin/sh\nPATH=/usr/local/bin:/usr/bin:/bin\n# * * * * * root /opt/commented.sh\n\
         1 * * * * root cd / && run-parts --report /etc/cron.hourly\n\
         2 * * * * root cd /srv/tools && ./sync >/home/bob/log 2>&1\n\
         3 * * * * root rsync -a /home/bob/ /backup/ && echo /opt/commented.sh\n\
         4 * * * * root sudo -u bob /home/bob/bin/own; su - bob -c /home/bob/bin/own\n\
         5 * * * * bob /home/bob/bin/own\n\
         6 * * * * root [ -x /opt/commented.sh ] && true\n",
    );
    root.folder("/srv/tools", 0o755);
    root.script("/srv/tools/sync", 0o755);
    root.own("/srv/tools", 2002, 2002);
    root.script("/opt/commented.sh", 0o777);
    root.script("/home/bob/bin/own", 0o755);
    for path in ["/home/bob", "/home/bob/bin", "/home/bob/bin/own"] {
        root.own(path, 2002, 2002);
    }
    root.file("/etc/cron.d/app", 0o644, "# app\n*/5 * * * * root /usr/bin/env A=b /opt/app/run.sh --password x%y\n");
    root.script("/opt/app/run.sh", 0o777);
    root.file("/etc/cron.d/path", 0o644, "PATH=/opt/drop:/usr/local/bin:/usr/bin\n@hourly root tool\n");
    root.folder("/opt/drop", 0o777);
    root.script("/usr/local/bin/tool", 0o755);
    // Sound: Debian's folder of a group that nobody is in.
    root.folder("/usr/local/bin", 0o2775);
    root.own("/usr/local/bin", 0, 50);
    // Sound: names that cron passes over.
    for name in ["app.bak", "app~", ".app", "app.dpkg-old"] {
        root.file(&format!("/etc/cron.d/{name}"), 0o644, "* * * * * root /opt/commented.sh\n");
    }
    root.file("/etc/cron.d/open", 0o666, "* * * * * root /usr/local/bin/tool\n");
    root.script("/etc/cron.hourly/sound", 0o755);
    root.file(
        "/etc/cron.daily/report",
        0o755,
        "#!/bin/bash\nBASE=/home/bob\ncat <<EOF\n/opt/commented.sh\nEOF\n# /opt/commented.sh\nif true; then $BASE/bin/collect; fi\n",
    );
    root.script("/home/bob/bin/collect", 0o755);
    root.own("/home/bob/bin/collect", 2002, 2002);
    // Sound: not executable, and a name with a dot.
    root.script("/etc/cron.daily/idle", 0o666);
    root.script("/etc/cron.daily/old.sh", 0o777);
    root.folder("/etc/cron.weekly", 0o775);
    root.own("/etc/cron.weekly", 0, 60);
    root.file("/etc/cron.deny", 0o644, "carl\n");
}

fn plant_users(root: &Root) {
    root.folder("/var/spool/cron/crontabs", 0o1730);
    root.own("/var/spool/cron/crontabs", 0, 101);
    for (name, text, uid) in [
        ("root", "PATH=/usr/bin\n@daily python3 -u /opt/py/job.py /home/bob/data\n", 0),
        ("anna", "0 4 * * * $HOME/sync.sh\n", 2001),
        ("carl", "# mine\n@reboot /home/carl/tunnel --token S3cr3tT0k3n\n", 2003),
        ("olga", "* * * * * /usr/bin/true\n", 2009),
    ] {
        let path = format!("/var/spool/cron/crontabs/{name}");
        root.file(&path, 0o600, text);
        root.own(&path, uid, 101);
    }
    root.file("/opt/py/job.py", 0o664, "print()\n");
    root.own("/opt/py/job.py", 0, 60);
    root.folder("/var/spool/cron/atjobs", 0o1770);
    root.own("/var/spool/cron/atjobs", 1, 1);
    root.file(
        "/var/spool/cron/atjobs/a0000101c8a348",
        0o700,
        "#!/bin/sh\n# atrun uid=0 gid=0\n# mail root 0\numask 22\nTOKEN=S3cr3tT0k3n; export TOKEN\ncd /root || {\n\t exit 1\n}\n/opt/at.sh\n",
    );
    root.script("/opt/at.sh", 0o757);
    root.file("/var/spool/cron/atjobs/a0000201c8a348", 0o700, "#!/bin/sh\n# atrun uid=4242 gid=4242\n# mail x 0\n/usr/bin/true\n");
    root.file("/var/lib/systemd/linger/ghost", 0o644, "");
    root.file("/var/lib/systemd/linger/www-data", 0o644, "");
    root.file("/home/carl/.config/systemd/user/tunnel.service", 0o644, "[Service]\nExecStart=%h/tunnel\n[Install]\nWantedBy=default.target\n");
    root.link("/home/carl/.config/systemd/user/default.target.wants/tunnel.service", "../tunnel.service");
    root.file("/home/anna/.config/systemd/user/idle.service", 0o644, "[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=default.target\n");
}

const INSTALL: &str = "[Install]\nWantedBy=multi-user.target\n";

fn plant_units(root: &Root) {
    let unit = |name: &str, text: &str, enabled: bool| {
        root.file(&format!("/etc/systemd/system/{name}"), 0o644, &format!("{text}\n{INSTALL}"));
        if enabled {
            root.link(&format!("/etc/systemd/system/multi-user.target.wants/{name}"), &format!("/etc/systemd/system/{name}"));
        }
    };
    root.file("/usr/lib/systemd/system/multi-user.target", 0o644, "[Unit]\n");
    unit("linked.service", "[Service]\nExecStart=-/opt/svc/start --db-password S3cr3tT0k3n", true);
    root.link("/opt/svc/start", "/srv/shared/start");
    root.folder("/srv/shared", 0o777);
    root.script("/srv/shared/start", 0o755);
    // The drop-in takes the open program back and starts another open one.
    unit("changed.service", "[Service]\nExecStart=/opt/commented.sh", true);
    root.file("/etc/systemd/system/changed.service.d/10.conf", 0o644, "[Service]\nExecStart=\nExecStart=/opt/changed.sh\n");
    root.script("/opt/changed.sh", 0o757);
    unit("open.service", "[Service]\nExecStart=/bin/true", true);
    root.mode("/etc/systemd/system/open.service", 0o666);
    unit("pre.service", "[Service]\nUser=bob\nExecStartPre=+/opt/pre.sh\nExecStart=/home/bob/bin/own", true);
    root.script("/opt/pre.sh", 0o757);
    unit("env.service", "[Service]\nEnvironmentFile=-/opt/env\nExecStart=/bin/true", true);
    root.file("/opt/env", 0o666, "A=b\n");
    unit("ghost.service", "[Service]\nExecStart=/bin/true\nUser=ghost", true);
    // Sound ones.
    unit("disabled.service", "[Service]\nExecStart=/opt/commented.sh", false);
    unit("bob.service", "[Service]\nUser=bob\nExecStart=/home/bob/bin/own", true);
    unit("dynamic.service", "[Service]\nDynamicUser=yes\nUser=made-up\nExecStart=/opt/commented.sh", true);
    unit("sticky.service", "[Service]\nExecStart=/opt/sticky/run", true);
    root.folder("/opt/sticky", 0o1777);
    root.script("/opt/sticky/run", 0o755);
    unit("group.service", "[Service]\nExecStart=/opt/group-root", true);
    root.script("/opt/group-root", 0o775);
    root.file("/usr/lib/systemd/system/masked.service", 0o644, &format!("[Service]\nExecStart=/opt/commented.sh\n{INSTALL}"));
    root.link("/etc/systemd/system/masked.service", "/dev/null");
    root.link("/etc/systemd/system/multi-user.target.wants/masked.service", "/usr/lib/systemd/system/masked.service");
    // On demand.
    root.file("/usr/lib/systemd/system/sock.socket", 0o644, "[Socket]\nListenStream=/run/x\nAccept=yes\n[Install]\nWantedBy=sockets.target\n");
    root.file("/usr/lib/systemd/system/sock@.service", 0o644, "[Service]\nExecStart=/opt/sock.sh %i\n");
    root.link("/etc/systemd/system/sockets.target.wants/sock.socket", "/usr/lib/systemd/system/sock.socket");
    root.script("/opt/sock.sh", 0o757);
    root.file("/usr/lib/systemd/system/tick.timer", 0o644, "[Timer]\nOnCalendar=daily\n[Install]\nWantedBy=timers.target\n");
    root.file(
        "/usr/lib/systemd/system/tick.service",
        0o644,
        "[Service]\nWorkingDirectory=/opt/tick\nExecStart=/bin/sh -c 'cd sub && exec ./tick.sh'\nExecStart=/bin/sh /opt/tick/two.sh\n",
    );
    root.link("/etc/systemd/system/timers.target.wants/tick.timer", "/usr/lib/systemd/system/tick.timer");
    root.script("/opt/tick/two.sh", 0o757);
    root.file("/etc/rc.local", 0o755, "#!/bin/sh -e\n/opt/rc.sh &\nexit 0\n");
    root.script("/opt/rc.sh", 0o757);
    root.file("/etc/profile.d/greet.sh", 0o666, "echo hi\n");
    // Root looks for programs in a folder that anyone may fill; and, soundly, in one of its own.
    root.file("/root/.bashrc", 0o644, "PATH=\"$HOME/bin:/srv/shared:$PATH\"\n# PATH=/opt/drop\n");
}

fn plant_events(root: &Root) {
    root.file(
        "/etc/inetd.conf",
        0o644,
        "#<off># telnet stream tcp nowait root /opt/commented.sh x\ntime stream tcp nowait root internal\n\
         telnet stream tcp nowait root:tty /usr/sbin/tcpd /opt/inetd.sh -a\nx stream tcp nowait bob /home/bob/bin/own own\n",
    );
    root.file(
        "/etc/xinetd.d/off",
        0o644,
        "service off\n{\n disable = yes\n server = /opt/commented.sh\n}\nservice on\n{\n user = root\n server = /opt/xinetd.sh\n}\n",
    );
    root.file(
        "/etc/pam.d/sshd",
        0o644,
        "# session optional pam_exec.so /opt/commented.sh\nsession [success=ok default=ignore] pam_exec.so quiet log=/var/log/x /opt/pam.sh in\n",
    );
    root.file(
        "/etc/logrotate.d/app",
        0o644,
        "/var/log/a {\n  postrotate\n    [ -x /opt/rotate.sh ] && /opt/rotate.sh $1 || true\n  endscript\n}\n/var/log/b {\n su bob bob\n prerotate\n /opt/commented.sh\n endscript\n}\n",
    );
    root.file("/etc/udev/rules.d/90-x.rules", 0o644, "# RUN+=\"/opt/commented.sh\"\nACTION==\"add\", RUN+=\"/bin/sh /opt/udev.sh $name\"\n");
    root.file("/usr/share/dbus-1/system-services/x.service", 0o644, "[D-BUS Service]\nName=x\nExec=/opt/bus.sh --x\nUser=root\n");
    root.file("/etc/sysctl.d/50-core.conf", 0o644, "kernel.core_pattern = |/opt/commented.sh %p\n");
    root.file("/etc/sysctl.d/60-core.conf", 0o644, "# later\nkernel/core_pattern=|/opt/core.sh %p\n");
    for name in ["inetd", "xinetd", "pam", "rotate", "udev", "bus", "core"] {
        root.script(&format!("/opt/{name}.sh"), 0o757);
    }
}

#[test]
fn commands_and_settings_of_root_programs_are_found_with_their_place() {
    let root = Root::new();
    root.file(
        "/etc/apt/apt.conf.d/90x",
        0o644,
        "// DPkg::Post-Invoke { \"/opt/commented.sh\"; };\nDPkg::Post-Invoke\n { \"if true; then /opt/apt.sh; fi\"; };\n",
    );
    root.file("/etc/apt/apt.conf.d/91x.bak", 0o644, "DPkg::Post-Invoke { \"/opt/commented.sh\"; };\n");
    root.file("/etc/dpkg/dpkg.cfg.d/x", 0o644, "# post-invoke=/opt/commented.sh\npost-invoke=\"/opt/dpkg.sh x\"\n");
    root.file("/etc/modprobe.d/x.conf", 0o644, "install cramfs /bin/false\noptions a b=/opt/commented.sh\ninstall usb-storage /opt/module.sh\n");
    root.file("/etc/modprobe.d/x.off", 0o644, "install usb-storage /opt/commented.sh\n");
    root.file("/etc/network/interfaces", 0o644, "auto lo\niface eth0 inet dhcp\n  # up /opt/commented.sh\n  post-up /opt/interface.sh $IFACE || true\n");
    root.file("/etc/ld.so.preload", 0o644, "# /opt/commented.sh\n/opt/preload.sh\n");
    root.file("/etc/ld.so.conf.d/x.conf", 0o644, "# /opt\n/srv/lib\n");
    root.folder("/srv/lib", 0o777);
    root.file("/etc/pam.d/sshd", 0o644, "# auth required /opt/commented.sh\nauth [success=1 default=ignore] /opt/module.so debug\nauth required pam_unix.so\n");
    root.file("/etc/pam.d/common-auth", 0o646, "auth required pam_unix.so\n");
    root.file("/etc/nsswitch.conf", 0o666, "passwd: files\n");
    root.file("/etc/sysctl.d/x.conf", 0o644, "a = 1\n");
    root.file("/etc/modules-load.d/a.conf", 0o644, "a\n");
    root.file("/etc/modules-load.d/b.conf", 0o646, "b\n");
    root.mode("/etc/modules-load.d", 0o777);
    for name in ["commented.sh", "apt.sh", "dpkg.sh", "module.sh", "interface.sh", "preload.sh", "module.so"] {
        root.script(&format!("/opt/{name}"), 0o757);
    }
    let (jobs, gaps) = root.jobs();
    assert!(gaps.iter().all(|g| g.path.ends_with(".weakest")), "{gaps:#?}");
    let writable = failing(&judge(&jobs, &gaps, &Policy::default()), "job-root-file-writable");
    let expected = [
        ("/etc/modules-load.d", "/etc/modules-load.d"),
        ("/etc/modules-load.d/b.conf", "/etc/modules-load.d/b.conf"),
        ("/etc/nsswitch.conf", "/etc/nsswitch.conf"),
        ("/etc/pam.d/common-auth", "/etc/pam.d/common-auth"),
        ("/opt/apt.sh", "/etc/apt/apt.conf.d/90x:3"),
        ("/opt/dpkg.sh", "/etc/dpkg/dpkg.cfg.d/x:2"),
        ("/opt/interface.sh", "/etc/network/interfaces:4"),
        ("/opt/module.sh", "/etc/modprobe.d/x.conf:3"),
        ("/opt/module.so", "/etc/pam.d/sshd:2"),
        ("/opt/preload.sh", "/etc/ld.so.preload:2"),
        ("/srv/lib", "/etc/ld.so.conf.d/x.conf:2"),
    ];
    assert_eq!(writable.keys().map(String::as_str).collect::<Vec<_>>(), expected.map(|(s, _)| s), "{writable:#?}");
    for (subject, place) in expected {
        assert!(writable[subject].contains(&format!("named in {place}")), "{}", writable[subject]);
    }
}

#[test]
fn programs_of_events_are_found_with_their_place() {
    let root = Root::new();
    root.script("/opt/commented.sh", 0o777);
    plant_events(&root);
    let (jobs, gaps) = root.jobs();
    assert_eq!(gaps.iter().filter(|g| g.path != "executed_as_root.weakest" && g.path != "places.weakest").count(), 0, "{gaps:#?}");
    let writable = failing(&judge(&jobs, &gaps, &Policy::default()), "job-root-file-writable");
    let places: Vec<(&str, bool)> = writable.iter().map(|(s, m)| (s.as_str(), !m.contains("named in /opt"))).collect();
    let expected = ["/opt/bus.sh", "/opt/core.sh", "/opt/inetd.sh", "/opt/pam.sh", "/opt/rotate.sh", "/opt/udev.sh", "/opt/xinetd.sh"];
    assert_eq!(places, expected.map(|p| (p, true)), "{writable:#?}");
    for (subject, place) in [
        ("/opt/core.sh", "/etc/sysctl.d/60-core.conf:2"),
        ("/opt/inetd.sh", "/etc/inetd.conf:3"),
        ("/opt/pam.sh", "/etc/pam.d/sshd:2"),
        ("/opt/rotate.sh", "/etc/logrotate.d/app:2"),
        ("/opt/udev.sh", "/etc/udev/rules.d/90-x.rules:2"),
        ("/opt/xinetd.sh", "/etc/xinetd.d/off:9"),
    ] {
        assert!(writable[subject].contains(&format!("named in {place}")), "{}", writable[subject]);
    }
}

#[test]
fn cronie_and_busybox_read_by_their_own_rules() {
    let root = Root::new();
    std::fs::remove_file(root.at("/usr/sbin/cron")).unwrap();
    std::fs::remove_file(root.at("/var/lib/dpkg/status")).unwrap();
    root.file("/usr/sbin/crond", 0o755, "\u{7f}ELF");
    root.script("/opt/open.sh", 0o777);
    root.file("/etc/cron.d/with.dot", 0o644, "~ 1-5 * * * root /opt/open.sh\n");
    root.file("/etc/cron.d/old.rpmsave", 0o644, "* * * * * root /opt/gone.sh\n");
    root.file("/var/spool/cron/anna", 0o600, "-*/5 * * * * /home/anna/x\n");
    let (jobs, gaps) = root.jobs();
    assert_eq!(jobs.cron, "cronie");
    let seen: Vec<(&str, bool, &str)> = jobs.items.iter().filter(|j| j.kind == "cron").map(|j| (j.subject.as_str(), j.enabled, j.runs_as.as_str())).collect();
    let expected =
        [("cron /etc/cron.d/old.rpmsave:1", false, "root"), ("cron /etc/cron.d/with.dot:1", true, "root"), ("cron /var/spool/cron/anna:1", true, "anna")];
    assert_eq!(seen, expected);
    assert!(failing(&judge(&jobs, &gaps, &Policy::default()), "job-root-file-writable").contains_key("/opt/open.sh"));
    assert_eq!(jobs.access[0].allowed, "root");

    root.file("/etc/alpine-release", 0o644, "3.20.0\n");
    std::fs::remove_file(root.at("/usr/sbin/crond")).unwrap();
    root.link("/usr/sbin/crond", "/bin/busybox");
    root.script("/etc/periodic/daily/tidy.sh", 0o757);
    root.file("/var/spool/cron/crontabs/root", 0o600, "0 2 * * * run-parts /etc/periodic/daily\n");
    let (jobs, gaps) = root.jobs();
    assert_eq!(jobs.cron, "busybox");
    assert!(failing(&judge(&jobs, &gaps, &Policy::default()), "job-root-file-writable").contains_key("/etc/periodic/daily/tidy.sh"));
}

#[test]
fn planted_faults_are_found_with_their_place_and_decoys_are_not() {
    let root = Root::new();
    plant_cron(&root);
    plant_users(&root);
    plant_units(&root);
    let (jobs, gaps) = root.jobs();
    assert!(!serde_json::to_string(&jobs).unwrap().contains("S3cr3t"), "an argument left the host");
    let findings = judge(&jobs, &gaps, &Policy::default());

    let writable = failing(&findings, "job-root-file-writable");
    let mut expected = BTreeSet::from([
        "/opt/app/run.sh",
        "/opt/drop",
        "/opt/py/job.py",
        "/opt/at.sh",
        "/opt/svc/start",
        "/opt/changed.sh",
        "/etc/systemd/system/open.service",
        "/opt/pre.sh",
        "/opt/env",
        "/opt/sock.sh",
        "/opt/tick/two.sh",
        "/opt/rc.sh",
        "/etc/profile.d/greet.sh",
        "/srv/shared",
    ]);
    if root.is_root() {
        expected.extend(["/srv/tools/sync", "/home/bob/bin/collect"]);
    } else {
        expected.remove("/opt/py/job.py");
    }
    assert_eq!(writable.keys().map(String::as_str).collect::<BTreeSet<_>>(), expected, "{writable:#?}\n{gaps:#?}");
    for (subject, parts) in [
        ("/opt/app/run.sh", &["anyone may write it", "cron /etc/cron.d/app:2"][..]),
        ("/opt/drop", &["looks for programs in", "/etc/cron.d/path:2"]),
        ("/opt/at.sh", &["at /var/spool/cron/atjobs/a0000101c8a348"]),
        ("/opt/svc/start", &["/srv/shared can be changed", "service linked.service", "/etc/systemd/system/linked.service:2"]),
        ("/opt/changed.sh", &["service changed.service"]),
        ("/opt/pre.sh", &["service pre.service (as root)"]),
        ("/opt/env", &["takes settings from", "/etc/systemd/system/env.service:2"]),
        ("/opt/tick/two.sh", &["timer tick.timer"]),
        ("/srv/shared", &["looks for programs in", "start-up /root/.bashrc"]),
        ("/opt/rc.sh", &["rc-local /etc/rc.local inside /etc/rc.local"]),
    ] {
        let message = &writable[subject];
        assert!(parts.iter().all(|p| message.contains(p)), "{subject}: {message}");
    }
    if root.is_root() {
        assert!(writable["/srv/tools/sync"].contains("/srv/tools can be changed by somebody other than root (owned by bob)"), "{writable:#?}");
        assert!(writable["/home/bob/bin/collect"].contains("cron-folder /etc/cron.daily/report inside /etc/cron.daily/report"), "{writable:#?}");
        assert!(writable["/opt/py/job.py"].contains("group ops (anna) may write it"), "{writable:#?}");
    }

    let unknown = failing(&findings, "job-of-unknown-account");
    let subjects: Vec<&str> = unknown.keys().map(String::as_str).collect();
    let expected = ["at /var/spool/cron/atjobs/a0000201c8a348", "cron /var/spool/cron/crontabs/olga:1", "service ghost.service"];
    assert_eq!(subjects, expected);
    assert!(unknown["service ghost.service"].contains("/etc/systemd/system/ghost.service:3 is to run as ghost"), "{unknown:#?}");
    let expired = failing(&findings, "job-of-expired-account");
    let expected = ["cron /var/spool/cron/crontabs/carl:2", "user-unit /home/carl/.config/systemd/user/tunnel.service"];
    assert_eq!(expired.keys().map(String::as_str).collect::<Vec<_>>(), expected, "{expired:#?}");
    assert_eq!(failing(&findings, "job-lingering-account").keys().map(String::as_str).collect::<Vec<_>>(), ["ghost"]);

    let places = failing(&findings, "cron-permissions");
    let expected: &[&str] = if root.is_root() { &["/etc/cron.d/open", "/etc/cron.weekly"] } else { &["/etc/cron.d/open"] };
    assert_eq!(places.keys().map(String::as_str).collect::<Vec<_>>(), expected, "{places:#?}");
    assert!(failing(&findings, "cron-allow").is_empty());
    let listed = judge(&jobs, &gaps, &Policy { job_schedulers_listed: true, ..Policy::default() });
    assert_eq!(failing(&listed, "cron-allow")["cron"], "every account but carl may use cron; /etc/cron.deny decides");
}

/// Version 2, then tag, permissions, id; see acl(5).
fn access_list(bob: u16, mask: u16) -> Vec<u8> {
    let mut out = 2_u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in [(0x01_u16, 7_u16, u32::MAX), (0x02, bob, 2002), (0x04, 5, u32::MAX), (0x10, mask, u32::MAX), (0x20, 5, u32::MAX)] {
        out.extend(tag.to_le_bytes());
        out.extend(permissions.to_le_bytes());
        out.extend(id.to_le_bytes());
    }
    out
}

#[test]
fn access_lists_count_and_their_mask_too() {
    let root = Root::new();
    let lines = ["open", "masked", "read"].map(|n| format!("* * * * * root /opt/{n}\n")).concat();
    root.file("/etc/cron.d/lists", 0o644, &lines);
    for (name, list) in [("open", access_list(6, 7)), ("masked", access_list(7, 5)), ("read", access_list(5, 7))] {
        let path = format!("/opt/{name}");
        root.script(&path, 0o755);
        let set = rustix::fs::setxattr(root.at(&path), "system.posix_acl_access", &list, rustix::fs::XattrFlags::empty());
        if set == Err(rustix::io::Errno::OPNOTSUPP) {
            eprintln!("not run: the file system of the temporary folder knows no access lists");
            return;
        }
        set.unwrap();
    }
    let (jobs, gaps) = root.jobs();
    let writable = failing(&judge(&jobs, &gaps, &Policy::default()), "job-root-file-writable");
    assert_eq!(writable.len(), 1, "{writable:#?}");
    assert!(writable["/opt/open"].contains("an access control list lets bob write it"), "{writable:#?}");
}

#[test]
fn what_cannot_be_read_or_told_is_no_pass() {
    let root = Root::new();
    root.file("/etc/cron.d/vague", 0o644, "* * * * * root $(cat /etc/which)\nnonsense\n* * * * * ldap-user /bin/true\n");
    root.folder("/etc/cron.d/folder", 0o755);
    root.file("/etc/nsswitch.conf", 0o644, "passwd: files sss\ngroup: files sss\n");
    root.file("/etc/cron.daily/staff", 0o775, "#!/bin/sh\n");
    root.own("/etc/cron.daily/staff", 0, 50);
    let (jobs, gaps) = root.jobs();
    let findings = judge(&jobs, &gaps, &Policy::default());
    let unknown: BTreeSet<(&str, &str)> = findings.iter().filter(|f| f.verdict == Verdict::Unknown).map(|f| (f.rule.as_str(), f.subject.as_str())).collect();
    assert!(unknown.contains(&("job-root-file-writable", "cron /etc/cron.d/vague:1")), "{unknown:#?}");
    assert!(unknown.contains(&("job-of-unknown-account", "cron /etc/cron.d/vague:2")), "{unknown:#?}");
    assert!(unknown.contains(&("job-of-unknown-account", "cron /etc/cron.d/vague:3")), "{unknown:#?}");
    if root.is_root() {
        assert!(unknown.contains(&("job-root-file-writable", "/etc/cron.daily/staff")), "{unknown:#?}");
    }
    assert!(failing(&findings, "job-of-unknown-account").is_empty());
    let mut gaps = Gaps::new();
    assert_eq!(Sessions::gather(&Host::rooted(root.0.path()).unwrap(), &mut gaps), None);
    assert_eq!(gaps.into_sorted()[0].reason, "needs-live-kernel");
}

fn output(command: &mut Command) -> String {
    let out = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    String::from_utf8(out.stdout).unwrap()
}

#[test]
fn cron_folders_agree_with_run_parts() {
    let root = Root::new();
    let names = ["plain", "UPPER9", "a-b_c", "with.dot", "x.sh", "tilde~", ".hidden", "x.dpkg-new", "comma,v", "sp ace", "#x#", "ünï", "_", "-"];
    for name in names {
        root.script(&format!("/etc/cron.daily/{name}"), 0o755);
    }
    root.script("/etc/cron.daily/still", 0o644);
    root.folder("/etc/cron.daily/inner", 0o755);
    root.link("/etc/cron.daily/link", "plain");
    root.link("/etc/cron.daily/broken", "nowhere");
    let folder = root.at("/etc/cron.daily");
    let real: BTreeSet<String> = output(Command::new("run-parts").arg("--test").arg(&folder))
        .lines()
        .map(|l| l.strip_prefix(root.0.path().to_str().unwrap()).unwrap().to_string())
        .collect();
    let (jobs, _) = root.jobs();
    let ours: BTreeSet<String> = jobs.items.iter().filter(|j| j.kind == "cron-folder" && j.enabled).map(|j| j.program.clone()).collect();
    assert_eq!(ours, real);
    assert!(ours.len() >= 6, "{ours:?}");
}

#[test]
fn unit_states_agree_with_systemctl() {
    let root = Root::new();
    let vendor = "/usr/lib/systemd/system";
    let text = |install: &str| format!("[Service]\nExecStart=/bin/true\n{install}\n");
    let wanted = "[Install]\nWantedBy=multi-user.target";
    for (name, install) in [
        ("enabled", wanted),
        ("disabled", wanted),
        ("masked", wanted),
        ("static", ""),
        ("also", "[Install]\nAlso=enabled.service"),
        ("aliased", "[Install]\nAlias=other.service"),
        ("vendor", wanted),
        ("runtime", wanted),
        ("required", "[Install]\nRequiredBy=x.target"),
        ("empty", wanted),
    ] {
        root.file(&format!("{vendor}/{name}.service"), 0o644, &text(install));
    }
    root.file(&format!("{vendor}/tty@.service"), 0o644, &text(wanted));
    root.file(&format!("{vendor}/x.timer"), 0o644, "[Timer]\nOnBootSec=5\n[Install]\nWantedBy=timers.target\n");
    root.file("/opt/away.service", 0o644, &text(wanted));
    let etc = "/etc/systemd/system";
    for (link, target) in [
        ("multi-user.target.wants/enabled.service", format!("{vendor}/enabled.service")),
        ("masked.service", "/dev/null".into()),
        ("other.service", format!("{vendor}/aliased.service")),
        ("x.target.requires/required.service", format!("{vendor}/required.service")),
        ("multi-user.target.wants/tty@1.service", format!("{vendor}/tty@.service")),
        ("timers.target.wants/x.timer", format!("{vendor}/x.timer")),
        ("away.service", "/opt/away.service".into()),
    ] {
        root.link(&format!("{etc}/{link}"), &target);
    }
    root.link("/usr/lib/systemd/system/multi-user.target.wants/vendor.service", "../vendor.service");
    root.link("/run/systemd/system/multi-user.target.wants/runtime.service", &format!("{vendor}/runtime.service"));
    root.file(&format!("{etc}/empty.service"), 0o644, "");
    let listed = output(Command::new("systemctl").arg("--root").arg(root.0.path()).args(["list-unit-files", "--no-legend", "--no-pager", "--plain"]));
    let real: BTreeMap<String, String> =
        listed.lines().filter_map(|l| l.split_once(' ')).map(|(n, r)| (n.to_string(), r.split_whitespace().next().unwrap_or("").to_string())).collect();
    let (jobs, gaps) = root.jobs();
    assert_eq!(gaps, []);
    let mut compared = 0;
    for job in jobs.items.iter().filter(|j| j.kind == "service" || j.kind == "timer") {
        let name = job.subject.split(' ').nth(1).unwrap();
        if let Some(state) = real.get(name) {
            assert_eq!(&job.unit_state, state, "{name}");
            compared += 1;
        }
    }
    assert!(compared >= 9, "{compared}: {real:?}");
    let enabled: BTreeSet<&str> = jobs.items.iter().filter(|j| j.enabled).map(|j| j.subject.as_str()).collect();
    for name in ["service enabled.service", "service tty@1.service", "service vendor.service", "timer x.timer"] {
        assert!(enabled.contains(name), "{name}: {enabled:?}");
    }
    for name in ["service disabled.service", "service masked.service", "service empty.service", "service away.service"] {
        assert!(!enabled.contains(name), "{name}: {enabled:?}");
    }
}

/// Queues a job without a daemon, reads it where `at` put it, and takes it back.
#[test]
fn a_job_of_at_is_read_as_it_was_queued() {
    let mut at =
        Command::new("at").args(["-t", "203001020304"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).env("TZ", "UTC").spawn().unwrap();
    std::io::Write::write_all(at.stdin.as_mut().unwrap(), b"/usr/bin/true --assay-test-of-at\n").unwrap();
    let said = String::from_utf8(at.wait_with_output().unwrap().stderr).unwrap();
    let number: u32 = said.lines().find_map(|l| l.strip_prefix("job ")).and_then(|l| l.split(' ').next()).unwrap_or_else(|| panic!("{said}")).parse().unwrap();
    let name = format!("a{number:05x}");
    let spool = Path::new("/var/spool/cron/atjobs");
    let entry = std::fs::read_dir(spool).unwrap().map(|e| e.unwrap()).find(|e| e.file_name().to_string_lossy().starts_with(&name)).unwrap();
    let root = Root::new();
    root.folder("/var/spool/cron/atjobs", 0o770);
    let copy = root.at("/var/spool/cron/atjobs").join(entry.file_name());
    std::fs::copy(entry.path(), &copy).unwrap();
    let removed = Command::new("atrm").arg(number.to_string()).status().unwrap();
    assert!(removed.success());
    let (jobs, _) = root.jobs();
    let [job] = jobs.items.iter().filter(|j| j.kind == "at").collect::<Vec<_>>()[..] else { panic!("{:?}", jobs.items) };
    // 2030-01-02T03:04:00Z.
    assert_eq!((job.due_at, job.program.as_str(), job.schedule.as_str()), (Some(1_893_553_440), "/usr/bin/true", "once"));
    if root.is_root() {
        assert_eq!((job.runs_as.as_str(), job.ignored.as_str()), ("root", ""));
    }
}

#[test]
fn sessions_of_a_recorded_machine() {
    let root = Root::new();
    let process = |pid: u32, uids: &str, name: &str, parent: u32| {
        root.file(&format!("/proc/{pid}/status"), 0o444, &format!("Name:\t{name}\nPPid:\t{parent}\nUid:\t{uids}\n"));
        root.file(&format!("/proc/{pid}/stat"), 0o444, &format!("{pid} ({name}) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 {}00 0\n", pid * 10));
    };
    root.file("/proc/stat", 0o444, "cpu 1\nbtime 1795000000\n");
    process(1, "0\t0\t0\t0", "systemd", 0);
    process(2, "0\t0\t0\t0", "kthreadd", 0);
    process(9, "0\t0\t0\t0", "kworker", 2);
    process(700, "2003\t2003\t2003\t2003", "tmux: server", 1);
    process(701, "2003\t0\t0\t0", "su", 700);
    process(800, "2001\t2001\t2001\t2001", "bash", 1);
    process(900, "1007\t1007\t1007\t1007", "python3", 1);
    process(901, "231072\t231072\t231072\t231072", "podman", 1);
    process(902, "61200\t61200\t61200\t61200", "dyn", 1);
    root.file("/etc/subuid", 0o644, "anna:231072:65536\n");
    root.file("/run/systemd/dynamic-uid/61200", 0o600, "dyn\n");
    root.file(
        "/run/systemd/sessions/4",
        0o644,
        "UID=2003\nUSER=carl\nCLASS=user\nREMOTE=1\nREMOTE_HOST=192.0.2.7\nTTY=pts/0\nSERVICE=sshd\nLEADER=700\nREALTIME=1795000100000000\n",
    );
    root.file("/run/systemd/sessions/c1", 0o644, "UID=2001\nUSER=anna\nCLASS=background\nSERVICE=cron\nLEADER=800\n");
    let mut utmp = Vec::new();
    for (kind, pid, tty, user, from) in
        [(2_i16, 0_u32, "~", "reboot", ""), (7, 700, "pts/0", "carl", "192.0.2.7"), (7, 800, "tty1", "anna", ""), (7, 4040, "pts/9", "bob", "192.0.2.9")]
    {
        let mut record = vec![0_u8; 384];
        record[..2].copy_from_slice(&kind.to_ne_bytes());
        record[4..8].copy_from_slice(&pid.to_ne_bytes());
        for (start, text) in [(8, tty), (44, user), (76, from)] {
            record[start..start + text.len()].copy_from_slice(text.as_bytes());
        }
        utmp.extend(record);
    }
    std::fs::write(root.at("/run/utmp"), utmp).unwrap();
    let (sessions, gaps) = gather::<Sessions>(&Host::recorded(root.0.path()).unwrap());
    assert_eq!(gaps, []);
    let subjects: Vec<&str> = sessions.items.iter().map(|i| i.subject.as_str()).collect();
    let expected = [
        "processes 1007",
        "processes 231072",
        "processes 61200",
        "processes anna",
        "processes carl",
        "processes root",
        "session anna tty1",
        "session carl pts/0",
    ];
    assert_eq!(subjects, expected);
    let carl = sessions.items.iter().find(|i| i.subject == "processes carl").unwrap();
    assert_eq!((carl.count, carl.programs.join(" ").as_str(), carl.since), (2, "su tmux: server", Some(1_795_007_000)));
    let findings = judge(&sessions, &gaps, &Policy::default());
    let expired = failing(&findings, "session-of-expired-account");
    assert_eq!(expired["session carl pts/0"], "carl, an account past its expiry day, has a session on pts/0 from 192.0.2.7 since 2026-11-18");
    assert_eq!(expired.keys().map(String::as_str).collect::<Vec<_>>(), ["processes carl", "session carl pts/0"]);
    let unknown = failing(&findings, "session-unknown-uid");
    assert_eq!(unknown.into_iter().collect::<Vec<_>>(), [("processes 1007".to_string(), "python3 runs as user id 1007, which no account has".to_string())]);
}

/// A process of an id that no account has, on the running kernel.
#[test]
fn a_process_without_an_account_is_seen_on_the_running_kernel() {
    use std::os::unix::process::CommandExt as _;
    const UID: u32 = 1_054_321;
    if std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self").unwrap()) != 0 {
        eprintln!("not run: only root starts a process as another account");
        return;
    }
    let mut child = Command::new("sleep").arg("600").uid(UID).spawn().unwrap();
    let (sessions, _) = gather::<Sessions>(&Host::live().unwrap());
    child.kill().unwrap();
    child.wait().unwrap();
    let item = sessions.items.iter().find(|i| i.uid == Some(UID)).unwrap_or_else(|| panic!("{:#?}", sessions.items));
    assert_eq!((item.subject.as_str(), item.count, item.pids.as_slice()), ("processes 1054321", 1, &[child.id()][..]));
    assert!(item.programs.iter().all(|p| p == "sleep" || p == "coreutils") && item.uid_known != Some(true), "{item:?}");
    assert!(item.since.is_some_and(|s| s > 1_700_000_000) || item.since.is_none());
}
