//! Keys and certificates on disk, kernel settings, units and permissions, compared with what
//! openssl, the kernel, systemd and getfacl say; and a root with planted faults and sound decoys.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use assay::facts::certificates::Certificates;
use assay::facts::hardening::Hardening;
use assay::facts::units::Units;
use assay::facts::{self, HostFamily as _};
use assay::host::Host;
use assay::model::fact::Observation;
use assay::model::finding::{Finding, Verdict};
use assay::model::gap::{Gap, Gaps};
use assay::model::policy::Policy;
use assay::rules::{self, Input, Pack};

use super::lab::bus::Bus;

fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn write(root: &Path, path: &str, text: &str) {
    let path = root.join(path.trim_start_matches('/'));
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

fn chmod(root: &Path, path: &str, mode: u32) {
    std::fs::set_permissions(root.join(path.trim_start_matches('/')), std::fs::Permissions::from_mode(mode)).unwrap();
}

fn link(root: &Path, target: &str, path: &str) {
    let path = root.join(path.trim_start_matches('/'));
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::os::unix::fs::symlink(target, path).unwrap();
}

/// A root whose way everybody may pass.
fn root() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    chmod(root.path(), "", 0o755);
    write(root.path(), "/etc/group", "root:x:0:\nweb:x:77:anna\nssl-cert:x:78:www\n");
    let passwd =
        "root:x:0:0::/root:/bin/bash\nwww:x:33:33::/:/usr/sbin/nologin\nanna:x:4242:4242::/home/anna:/bin/bash\nbob:x:4243:4243::/home/bob:/bin/bash\n";
    write(root.path(), "/etc/passwd", passwd);
    root
}

fn judge(families: BTreeMap<String, serde_json::Value>, gaps: Vec<Gap>, now: i64) -> Vec<Finding> {
    let observation = Observation { gathered_at: now, families, gaps };
    let pack = Pack::builtin(facts::schemas()).unwrap();
    let input = Input { observation: &observation, policy: &Policy::default(), against: assay::model::against::Against::default(), advisories: None };
    rules::evaluate(&pack, &input)
}

fn failures(findings: &[Finding]) -> BTreeSet<(&str, &str)> {
    findings.iter().filter(|f| f.verdict == Verdict::Fail).map(|f| (f.rule.as_str(), f.subject.as_str())).collect()
}

fn certificates(root: &Path) -> (Certificates, Vec<Gap>) {
    let mut gaps = Gaps::new();
    let found = Certificates::gather(&Host::rooted(root).unwrap(), &mut gaps).unwrap();
    (found, gaps.into_sorted())
}

/// A key by `openssl genpkey`, and a certificate of its own.
fn pair(root: &Path, algorithm: &[&str], key: &str, certificate: &str, name: &str, days: &str) {
    let path = |p: &str| root.join(p.trim_start_matches('/')).display().to_string();
    for p in [key, certificate] {
        std::fs::create_dir_all(root.join(p.trim_start_matches('/')).parent().unwrap()).unwrap();
    }
    let out = path(key);
    let mut arguments = vec!["genpkey"];
    arguments.extend(algorithm);
    arguments.extend(["-out", &out]);
    run("openssl", &arguments);
    let (subject, out) = (format!("/CN={name}"), path(certificate));
    run(
        "openssl",
        &["req", "-x509", "-new", "-key", &path(key), "-subj", &subject, "-addext", &format!("subjectAltName=DNS:{name}"), "-days", days, "-out", &out],
    );
    chmod(root, key, 0o600);
}

#[test]
fn keys_and_certificates_of_every_kind_are_what_openssl_says() {
    let root = root();
    let root = root.path();
    let place = |p: &str| root.join(p.trim_start_matches('/')).display().to_string();
    let kinds: [(&str, &[&str]); 6] = [
        ("rsa", &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"]),
        ("p256", &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]),
        ("p384", &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"]),
        ("ed25519", &["-algorithm", "ED25519"]),
        ("ed448", &["-algorithm", "ED448"]),
        ("pss", &["-algorithm", "RSA-PSS", "-pkeyopt", "rsa_keygen_bits:2048"]),
    ];
    for (name, algorithm) in kinds {
        pair(root, algorithm, &format!("/etc/ssl/private/{name}.key"), &format!("/etc/ssl/certs/{name}.pem"), name, "30");
    }
    // The same keys in their older and other forms.
    let key = |name: &str| place(&format!("/etc/ssl/private/{name}.key"));
    run("openssl", &["rsa", "-in", &key("rsa"), "-traditional", "-out", &key("rsa-pkcs1")]);
    run("openssl", &["rsa", "-in", &key("rsa"), "-traditional", "-aes256", "-passout", "pass:secret", "-out", &key("rsa-pkcs1-locked")]);
    run("openssl", &["pkcs8", "-topk8", "-in", &key("rsa"), "-passout", "pass:secret", "-out", &key("rsa-pkcs8-locked")]);
    run("openssl", &["pkcs8", "-topk8", "-in", &key("p256"), "-passout", "pass:secret", "-outform", "DER", "-out", &key("p256-locked-der")]);
    run("openssl", &["ec", "-in", &key("p256"), "-out", &key("p256-sec1")]);
    run("openssl", &["pkey", "-in", &key("p384"), "-outform", "DER", "-out", &key("p384-der")]);
    let p12 = place("/etc/ssl/private/store.p12");
    run("openssl", &["pkcs12", "-export", "-inkey", &key("rsa"), "-in", &place("/etc/ssl/certs/rsa.pem"), "-passout", "pass:secret", "-out", &p12]);

    let (found, gaps) = certificates(root);
    let by = |name: &str| found.keys.iter().find(|k| k.subject == format!("/etc/ssl/private/{name}")).unwrap_or_else(|| panic!("{name}: {:#?}", found.keys));
    for name in ["rsa", "p256", "p384", "ed25519", "pss", "rsa-pkcs1", "p256-sec1", "p384-der"] {
        let form: &[&str] = if name.ends_with("-der") { &["-inform", "DER"] } else { &[] };
        let out = place("/public.der");
        let path = key(name);
        run("openssl", &[&["pkey", "-in", path.as_str(), "-pubout", "-outform", "DER", "-out", out.as_str()], form].concat());
        let sum = run("sha256sum", &[&out]);
        assert_eq!(by(&format!("{name}.key")).public_sha256, sum.split(' ').next().unwrap(), "{name}");
    }
    let shown = |name: &str| (by(name).format.clone(), by(name).kind.clone(), by(name).bits, by(name).encrypted);
    assert_eq!(shown("rsa.key"), ("pkcs8".into(), "rsa".into(), 2048, false));
    assert_eq!(shown("rsa-pkcs1.key"), ("pkcs1".into(), "rsa".into(), 2048, false));
    assert_eq!(shown("p256-sec1.key"), ("sec1".into(), "ec".into(), 256, false));
    assert_eq!(shown("ed448.key"), ("pkcs8".into(), "ed448".into(), 456, false));
    for locked in ["rsa-pkcs1-locked.key", "rsa-pkcs8-locked.key", "p256-locked-der.key", "store.p12"] {
        assert!(by(locked).encrypted && by(locked).public_sha256.is_empty(), "{locked}");
    }
    assert_eq!(by("store.p12").format, "pkcs12");
    assert_eq!(by("rsa-pkcs1.key").certificates, ["/etc/ssl/certs/rsa.pem"], "found by the public half, whatever the form of the private");
    let told: Vec<(&str, &str)> = gaps.iter().map(|g| (g.path.as_str(), g.subject.as_str())).collect();
    assert_eq!(told, [("items", "/etc/ssl/private/store.p12")], "an encrypted container is named, nothing else is missing");
    for item in &found.items {
        let end = run("openssl", &["x509", "-noout", "-enddate", "-dateopt", "iso_8601", "-fingerprint", "-sha256", "-in", &place(&item.path)]);
        let told = seconds(end.lines().find_map(|l| l.strip_prefix("notAfter=")).unwrap());
        assert_eq!(item.not_after, told, "{}", item.subject);
        let fingerprint = end.lines().find_map(|l| l.split_once("Fingerprint=")).unwrap().1.replace(':', "").to_lowercase();
        assert_eq!(item.fingerprint, fingerprint);
        assert!(item.self_signed);
    }
    let whole = serde_json::to_string(&found).unwrap();
    let private: Vec<String> = std::fs::read_to_string(key("rsa")).unwrap().lines().map(String::from).collect();
    assert!(private.iter().filter(|l| l.len() > 40).all(|l| !whole.contains(l.as_str())), "no part of a key is a fact");
}

/// date(1) reads what openssl writes.
fn seconds(text: &str) -> i64 {
    run("date", &["-u", "-d", text, "+%s"]).trim().parse().unwrap()
}

#[test]
fn who_can_read_a_key_is_who_the_kernel_lets_read_it() {
    let root = root();
    let root = root.path();
    let rsa: &[&str] = &["-algorithm", "ED25519"];
    let cases = ["closed", "open", "group", "other-group", "list", "list-masked", "list-group", "behind"];
    for case in cases {
        pair(root, rsa, &format!("/etc/nginx/{case}/a.key"), &format!("/etc/nginx/{case}/a.crt"), case, "30");
        chmod(root, &format!("/etc/nginx/{case}"), 0o755);
    }
    chmod(root, "/etc/nginx", 0o755);
    chmod(root, "/etc", 0o755);
    let path = |case: &str| root.join(format!("etc/nginx/{case}/a.key")).display().to_string();
    chmod(root, "/etc/nginx/open/a.key", 0o644);
    run("chgrp", &["77", &path("group")]);
    chmod(root, "/etc/nginx/group/a.key", 0o640);
    run("chgrp", &["78", &path("other-group")]);
    chmod(root, "/etc/nginx/other-group/a.key", 0o640);
    run("setfacl", &["-m", "u:4243:r", &path("list")]);
    run("setfacl", &["-m", "u:4243:r,m::-", &path("list-masked")]);
    run("setfacl", &["-m", "g:77:r", &path("list-group")]);
    chmod(root, "/etc/nginx/behind/a.key", 0o644);
    chmod(root, "/etc/nginx/behind", 0o700);
    let (found, gaps) = certificates(root);
    assert_eq!(gaps, []);
    let accounts: [(&str, &str, &[&str]); 3] = [
        ("anna", "4242", &["--regid=4242", "--groups=77"]),
        ("bob", "4243", &["--regid=4243", "--clear-groups"]),
        ("www", "33", &["--regid=33", "--groups=78"]),
    ];
    for case in cases {
        let key = found.keys.iter().find(|k| k.subject == format!("/etc/nginx/{case}/a.key")).unwrap();
        for (account, uid, groups) in accounts {
            let reads = Command::new("setpriv").arg(format!("--reuid={uid}")).args(groups).args(["cat", &path(case)]).output().unwrap().status.success();
            assert_eq!(key.readers.iter().any(|r| r == account), reads, "{account} and {case}: {key:?} {}", run("getfacl", &["-n", &path(case)]));
        }
        let nobody = Command::new("setpriv").args(["--reuid=54321", "--regid=54321", "--clear-groups", "cat", &path(case)]).output().unwrap().status.success();
        assert_eq!(key.readable_by_all, nobody, "{case}");
    }
    let families = BTreeMap::from([("certificates".to_string(), serde_json::to_value(&found).unwrap())]);
    let findings = judge(families, gaps, seconds("now"));
    let readable: BTreeSet<&str> = failures(&findings).into_iter().filter(|(rule, _)| *rule == "certificate-key-readable").map(|(_, s)| s).collect();
    let expected = ["/etc/nginx/group/a.key", "/etc/nginx/list-group/a.key", "/etc/nginx/list/a.key", "/etc/nginx/open/a.key"];
    assert_eq!(readable, BTreeSet::from(expected));
}

/// Each file of the certificates is another fault or its sound twin.
#[test]
fn planted_certificates_are_found_and_decoys_are_not() {
    let root = root();
    let root = root.path();
    let place = |p: &str| root.join(p.trim_start_matches('/')).display().to_string();
    let ed25519: &[&str] = &["-algorithm", "ED25519"];
    let rsa = |bits: &'static str| vec!["-algorithm", "RSA", "-pkeyopt", bits];
    pair(root, ed25519, "/etc/nginx/sound.key", "/etc/nginx/sound.pem", "sound.example", "300");
    pair(root, ed25519, "/etc/nginx/soon.key", "/etc/nginx/soon.pem", "soon.example", "5");
    pair(root, &rsa("rsa_keygen_bits:1024"), "/etc/nginx/short.key", "/etc/nginx/short.pem", "short.example", "300");
    pair(root, ed25519, "/etc/nginx/other.key", "/etc/nginx/unused.pem", "unused.example", "300");
    // A kept copy of what was renewed, and an authority without its key, expire in peace.
    pair(root, ed25519, "/etc/ssl/private/kept.key", "/etc/ssl/kept-2025.pem", "sound.example", "5");
    pair(root, ed25519, "/elsewhere.key", "/etc/ssl/authority.pem", "authority.example", "5");
    // Signed with SHA-1 by another key.
    run("openssl", &["req", "-new", "-key", &place("/etc/nginx/sound.key"), "-subj", "/CN=sha1.example", "-out", &place("/sha1.csr")]);
    pair(root, &rsa("rsa_keygen_bits:2048"), "/authority.key", "/authority.pem", "old authority", "300");
    run(
        "openssl",
        &[
            "x509",
            "-req",
            "-sha1",
            "-in",
            &place("/sha1.csr"),
            "-CA",
            &place("/authority.pem"),
            "-CAkey",
            &place("/authority.key"),
            "-set_serial",
            "7",
            "-days",
            "300",
            "-out",
            &place("/etc/nginx/sha1.pem"),
        ],
    );
    let server = |name: &str, certificate: &str, key: &str| {
        format!("server {{ server_name {name}; ssl_certificate {certificate}; ssl_certificate_key /etc/nginx/{key}; }}\n")
    };
    let sites = [
        server("sound", "sound.pem", "sound.key"),
        server("soon", "/etc/nginx/soon.pem", "soon.key"),
        server("short", "/etc/nginx/short.pem", "short.key"),
        server("swapped", "/etc/nginx/sound.pem", "other.key"),
        server("sha1", "/etc/nginx/sha1.pem", "sound.key"),
        server("gone", "/etc/nginx/gone.pem", "gone.key"),
    ];
    write(root, "/etc/nginx/sites-enabled/shop", &sites.concat());
    write(root, "/etc/nginx/sites-available/never", &server("never", "/etc/nginx/never.pem", "other.key"));
    let (found, gaps) = certificates(root);
    assert_eq!(gaps, []);
    let gone = found.uses.iter().find(|u| u.subject.ends_with(":6")).unwrap();
    assert_eq!((gone.missing.len(), gone.matches), (2, None));
    assert_eq!(found.items.iter().find(|i| i.path == "/etc/ssl/kept-2025.pem").unwrap().superseded_by, "/etc/nginx/sound.pem");
    let families = BTreeMap::from([("certificates".to_string(), serde_json::to_value(&found).unwrap())]);
    let findings = judge(families.clone(), Vec::new(), seconds("now"));
    let expected = BTreeSet::from([
        ("certificate-file-expiring", "/etc/nginx/soon.pem"),
        ("certificate-file-weak", "/etc/nginx/short.pem"),
        ("certificate-file-weak", "/etc/nginx/sha1.pem"),
        ("certificate-key-mismatch", "nginx /etc/nginx/sites-enabled/shop:4"),
    ]);
    assert_eq!(failures(&findings), expected);
    let later = judge(families, Vec::new(), seconds("now + 10 days"));
    assert!(failures(&later).contains(&("certificate-file-expired", "/etc/nginx/soon.pem")));
}

#[test]
fn kernel_settings_are_what_sysctl_says() {
    let mut gaps = Gaps::new();
    let found = Hardening::gather(&Host::live().unwrap(), &mut gaps).unwrap();
    let all = run("sysctl", &["-a", "--ignore"]);
    let told: BTreeMap<&str, String> =
        all.lines().filter_map(|l| l.split_once(" = ")).map(|(k, v)| (k, v.split_whitespace().collect::<Vec<_>>().join(" "))).collect();
    let mut compared = 0;
    for setting in found.settings.iter().filter(|s| !s.subject.contains('*')) {
        if let (Some(value), [now]) = (told.get(setting.subject.as_str()), setting.now.as_slice()) {
            assert_eq!(now, value, "{}", setting.subject);
            compared += 1;
        }
    }
    assert!(compared >= 10, "{compared} of {}", found.settings.len());
}

#[test]
fn settings_at_the_next_start_are_what_systemd_would_write() {
    let root = root();
    let root = root.path();
    write(root, "/usr/lib/systemd/systemd-sysctl", "");
    write(
        root,
        "/usr/lib/sysctl.d/50-default.conf",
        "net.ipv4.conf.default.rp_filter = 2\nnet.ipv4.conf.*.rp_filter = 2\n-net.ipv4.conf.all.rp_filter\nnet.ipv4.tcp_syncookies = 0\n",
    );
    write(root, "/usr/lib/sysctl.d/60-replaced.conf", "net.ipv4.tcp_syncookies = 0\nnet.ipv4.ip_forward = 1\n");
    write(root, "/etc/sysctl.d/60-replaced.conf", "; words\nnet/ipv4/tcp_syncookies=2\n");
    write(root, "/run/sysctl.d/70-run.conf", "-net.ipv4.conf.default.accept_source_route = 0\nnet.ipv4.conf.all.accept_redirects =\t0\n");
    write(root, "/usr/lib/sysctl.d/80-off.conf", "net.ipv4.conf.all.accept_redirects = 1\n");
    link(root, "/dev/null", "/etc/sysctl.d/80-off.conf");
    write(root, "/etc/sysctl.d/README", "net.ipv4.conf.all.accept_redirects = 1\n");
    write(root, "/etc/sysctl.conf", "net.ipv4.tcp_syncookies = 1\n");
    let shown = run("systemd-analyze", &[&format!("--root={}", root.display()), "--no-pager", "cat-config", "sysctl.d"]);
    let order: Vec<String> =
        shown.lines().filter_map(|l| l.strip_prefix("# /")).map(|l| format!("/{l}")).map(|p| p.replacen(&root.display().to_string(), "", 1)).collect();
    let mut gaps = Gaps::new();
    let found = Hardening::gather(&Host::rooted(root).unwrap(), &mut gaps).unwrap();
    let at_boot: BTreeMap<&str, &str> = found.settings.iter().filter_map(|s| Some((s.subject.as_str(), s.at_boot.as_deref()?))).collect();
    let places: BTreeSet<&str> = found.settings.iter().filter(|s| s.at_boot.is_some()).map(|s| s.source.place.as_str()).collect();
    assert!(places.iter().all(|p| order.iter().any(|o| o == p)), "{places:?} {order:?}");
    // The real program writes them, in a network of its own, from the files in the order that it told.
    let files: Vec<String> =
        order.iter().map(|p| root.join(p.trim_start_matches('/')).display().to_string()).filter(|p| std::fs::read_link(p).is_err()).collect();
    let keys = [
        "net.ipv4.tcp_syncookies",
        "net.ipv4.ip_forward",
        "net.ipv4.conf.default.rp_filter",
        "net.ipv4.conf.all.accept_redirects",
        "net.ipv4.conf.all.rp_filter",
    ];
    let zero: Vec<String> = keys.iter().map(|k| format!("{k}=0")).collect();
    let script = format!("sysctl -qw {} && /usr/lib/systemd/systemd-sysctl {} && sysctl {}", zero.join(" "), files.join(" "), keys.join(" "));
    let written = run("unshare", &["--net", "sh", "-c", &script]);
    let told: BTreeMap<&str, &str> = written.lines().filter_map(|l| l.split_once(" = ")).collect();
    for key in ["net.ipv4.tcp_syncookies", "net.ipv4.conf.default.rp_filter", "net.ipv4.conf.all.accept_redirects"] {
        assert_eq!(at_boot.get(key), told.get(key), "{key}: {order:?}");
    }
    for key in ["net.ipv4.ip_forward", "net.ipv4.conf.all.rp_filter"] {
        assert_eq!((at_boot.get(key), told[key]), (None, "0"), "{key}");
    }
}

#[test]
fn units_are_in_the_state_that_systemctl_says() {
    let shown = run("systemctl", &["--root=/", "--no-legend", "--no-pager", "list-unit-files"]);
    let mut gaps = Gaps::new();
    let units = Units::gather(&Host::live().unwrap(), &mut gaps).unwrap();
    let ours: BTreeMap<&str, &str> = units.items.iter().map(|u| (u.subject.as_str(), u.state.as_str())).collect();
    let mut compared = 0;
    for line in shown.lines() {
        let mut words = line.split_whitespace();
        let (Some(name), Some(state)) = (words.next(), words.next()) else { continue };
        let kind = name.rsplit('.').next().unwrap();
        if !["service", "socket", "timer", "path", "mount", "target"].contains(&kind) || state == "bad" {
            continue;
        }
        assert_eq!(ours.get(name), Some(&state), "{name}");
        compared += 1;
    }
    assert!(compared > 50, "{compared}");
    assert_eq!(units.manager, "systemd");
    // Nothing was started by systemd on a machine without it: that is a gap and no list of stopped services.
    if !Path::new("/run/systemd/system").exists() {
        let paths: BTreeSet<String> = gaps.into_sorted().into_iter().map(|g| g.path).collect();
        assert!(paths.contains("items.active") && paths.contains("guards.failed"), "{paths:?}");
    }
}

#[test]
fn failed_and_stopped_guards_and_forbidden_units() {
    let bus = Bus::start(Some(1_795_000_000));
    let root = root();
    let root = root.path();
    write(root, "/usr/lib/systemd/systemd", "");
    let unit = |name: &str, service: &str| {
        write(root, &format!("/usr/lib/systemd/system/{name}"), &format!("[Service]\nExecStart=/bin/x\n{service}[Install]\nWantedBy=multi-user.target\n"))
    };
    for name in ["chrony.service", "rsyslog.service", "auditd.service", "fail2ban.service", "telnet.socket", "tftp.socket", "nginx.service"] {
        unit(name, "");
    }
    unit("nftables.service", "Type=oneshot\n");
    // tftp and fail2ban are installed only; nginx is no guard.
    for name in ["chrony.service", "rsyslog.service", "auditd.service", "telnet.socket", "nginx.service", "nftables.service"] {
        link(root, &format!("/usr/lib/systemd/system/{name}"), &format!("/etc/systemd/system/multi-user.target.wants/{name}"));
    }
    write(root, "/sys/fs/cgroup/system.slice/chrony.service/cgroup.events", "populated 1\nfrozen 0\n");
    write(root, "/sys/fs/cgroup/system.slice/rsyslog.service/cgroup.events", "populated 1\nfrozen 0\n");
    let mut gaps = Gaps::new();
    let units = Units::gather(&Host::recorded(root).unwrap(), &mut gaps).unwrap();
    // A recorded machine has no bus that could be asked: the one of the test says what its own would.
    let told: BTreeSet<String> = gaps.into_sorted().into_iter().map(|g| g.path).collect();
    assert_eq!(told, BTreeSet::from(["guards.failed".to_string(), "items.active".to_string()]));
    let loaded = assay::host::dbus::Bus::connect(&Host::live().unwrap(), bus.socket().to_str().unwrap()).and_then(|mut b| b.units()).unwrap();
    let units = units.with_loaded(loaded);
    let active: BTreeMap<&str, &str> = units.items.iter().map(|u| (u.subject.as_str(), u.active.as_deref().unwrap())).collect();
    assert_eq!((active["chrony.service"], active["rsyslog.service"], active["auditd.service"]), ("active", "failed", "inactive"));
    let families = BTreeMap::from([("units".to_string(), serde_json::to_value(&units).unwrap())]);
    let findings = judge(families, Vec::new(), 1_795_000_000);
    let expected = BTreeSet::from([("unit-guard-failed", "rsyslog.service"), ("unit-guard-stopped", "auditd.service"), ("unit-forbidden", "")]);
    assert_eq!(failures(&findings), expected);
    let forbidden = findings.iter().find(|f| f.rule == "unit-forbidden").unwrap();
    assert_eq!(forbidden.message, "told to start: telnet.socket (/usr/lib/systemd/system/telnet.socket)");
}

#[test]
fn planted_permissions_and_settings_of_a_root() {
    let root = root();
    let root = root.path();
    let file = |path: &str, mode: u32| {
        write(root, path, "");
        chmod(root, path, mode);
    };
    // Faults.
    file("/etc/wireguard/wg0.conf", 0o644);
    file("/etc/pam.d/sshd", 0o664);
    file("/etc/krb5.keytab", 0o640);
    run("chgrp", &["77", &root.join("etc/krb5.keytab").display().to_string()]);
    file("/etc/login.defs", 0o644);
    run("chown", &["4242", &root.join("etc/login.defs").display().to_string()]);
    file("/etc/fstab", 0o644);
    run("setfacl", &["-m", "u:4243:rw", &root.join("etc/fstab").display().to_string()]);
    // Sound.
    file("/etc/security/opasswd", 0o600);
    file("/etc/ssl/private/a.key", 0o600);
    chmod(root, "/etc/ssl/private", 0o710);
    run("chgrp", &["78", &root.join("etc/ssl/private").display().to_string()]);
    file("/etc/hosts", 0o644);
    // What everybody may read, a list may let somebody read.
    run("setfacl", &["-m", "u:4243:r", &root.join("etc/hosts").display().to_string()]);
    file("/etc/nftables.conf", 0o755);
    file("/var/log/wtmp", 0o664);
    write(root, "/etc/group", "root:x:0:\nutmp:x:43:\nweb:x:77:anna\nssl-cert:x:78:www\n");
    run("chgrp", &["43", &root.join("var/log/wtmp").display().to_string()]);
    chmod(root, "/etc/wireguard", 0o700);
    write(root, "/etc/sysctl.d/10-a.conf", "kernel.randomize_va_space = 0\nfs.suid_dumpable = 1\nfs.protected_symlinks = 1\n");
    write(root, "/etc/sysctl.d/20-b.conf", "fs.suid_dumpable = 0\n");
    write(root, "/etc/sysctl.d/30-c.conf.off", "fs.protected_symlinks = 0\n");
    write(root, "/etc/selinux/config", "SELINUX=permissive\n");
    write(root, "/etc/selinux/targeted/policy/policy.33", "");
    let mut gaps = Gaps::new();
    let found = Hardening::gather(&Host::rooted(root).unwrap(), &mut gaps).unwrap();
    let families = BTreeMap::from([("hardening".to_string(), serde_json::to_value(&found).unwrap())]);
    let findings = judge(families, gaps.into_sorted(), 1_795_000_000);
    let expected = BTreeSet::from([
        ("hardening-file-permissions", "/etc/wireguard/wg0.conf"),
        ("hardening-file-permissions", "/etc/pam.d/sshd"),
        ("hardening-file-permissions", "/etc/krb5.keytab"),
        ("hardening-file-permissions", "/etc/login.defs"),
        ("hardening-file-permissions", "/etc/fstab"),
        ("kernel-setting-at-boot", "kernel.randomize_va_space"),
        ("mandatory-access-control", "selinux"),
    ]);
    assert_eq!(failures(&findings), expected);
    let told = findings.iter().find(|f| f.rule == "kernel-setting-at-boot" && f.verdict == Verdict::Fail).unwrap();
    assert!(told.message.contains("/etc/sysctl.d/10-a.conf:1"), "{}", told.message);
    assert!(findings.iter().any(|f| f.rule == "kernel-setting-unsafe" && f.verdict == Verdict::Unknown), "a root has no running kernel");
}
