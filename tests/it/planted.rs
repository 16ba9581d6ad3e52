//! A machine with planted faults and sound decoys, scanned by the real binary: every fault is
//! found with its place, nothing sound is reported.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::lab::Certificate;
use super::lab::servers;
use super::support::{ASSAY, run, text};

const ED25519: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIGJx8JPDSsF3QMvBb5PVLgbRBtPG0qbSM1U6fDm6cXaE";
const ED25519_OTHER: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIK0wmN/Cr3JXqmLW7u+g9pTh+wyqDHSQEIQczXkQx9/q";

fn write(root: &Path, path: &str, content: &str) {
    let path = root.join(path.trim_start_matches('/'));
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, content).unwrap();
}

fn append(root: &Path, path: &str, content: &str) {
    let old = std::fs::read_to_string(root.join(path.trim_start_matches('/'))).unwrap_or_default();
    write(root, path, &format!("{old}{content}"));
}

/// The recorded sound machine, a copy.
fn machine(root: &Path) {
    let recorded = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/hosts/debian12-min/.");
    let status = Command::new("cp").args(["-a", recorded]).arg(root).status().unwrap();
    assert!(status.success());
}

fn plant_accounts(root: &Path) {
    write(
        root,
        "/etc/passwd",
        "root:x:0:0:root:/root:/bin/bash\n\
         daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin\n\
         toor:x:0:0:second:/root:/bin/bash\n\
         deploy:x:1000:1000:Deploy:/home/deploy:/bin/bash\n\
         guest:x:1001:1001:Guest:/home/guest:/bin/bash\n\
         old:x:1002:1002:Old Hash:/home/old:/bin/bash\n\
         m.keller:x:1003:1003:Maria Keller:/home/m.keller:/bin/bash\n\
         j.lang:x:1004:1004:Jo Lang:/home/j.lang:/bin/bash\n",
    );
    // Sound: root and j.lang are locked, daemon has no password; deploy has a good hash.
    write(
        root,
        "/etc/shadow",
        "root:!:19700:0:99999:7:::\n\
         daemon:*:19700:0:99999:7:::\n\
         toor:!:19700:0:99999:7:::\n\
         deploy:$y$j9T$c29tZXNhbHQ$0123456789012345678901234567890123456789012:19700:0:99999:7:::\n\
         guest::19700:0:99999:7:::\n\
         old:$1$saltsalt$0123456789012345678901:19700:0:99999:7:::\n\
         m.keller:!$y$j9T$c29tZXNhbHQ$0123456789012345678901234567890123456789012:19700:0:99999:7::1:\n\
         j.lang:!:19700:0:99999:7::1:\n",
    );
    write(root, "/etc/group", "root:x:0:\ndaemon:x:1:\nsudo:x:27:deploy\ndeploy:x:1000:\nguest:x:1001:\nold:x:1002:\nm.keller:x:1003:\nj.lang:x:1004:\n");
    // m.keller left: her account is locked and expired, but her key still opens deploy, who is in group sudo.
    write(root, "/home/deploy/.ssh/authorized_keys", &format!("# team\nssh-ed25519 {ED25519_OTHER} build@ci\nssh-ed25519 {ED25519} m.keller@laptop\n"));
    write(
        root,
        "/etc/sudoers",
        "Defaults env_reset\nroot ALL=(ALL:ALL) ALL\n%sudo ALL=(ALL:ALL) ALL\n#guest ALL=(ALL) NOPASSWD: ALL\n@includedir /etc/sudoers.d\n",
    );
    write(root, "/etc/sudoers.d/ops", "# operations\nold ALL=(ALL) NOPASSWD: ALL\n");
    // Sound: sudo ignores names with a dot or a tilde.
    write(root, "/etc/sudoers.d/ops.bak", "guest ALL=(ALL) NOPASSWD: ALL\n");
    write(root, "/etc/sudoers.d/ops~", "deploy ALL=(ALL) NOPASSWD: ALL\n");
}

fn plant_ssh(root: &Path) {
    // First value wins: the drop-in is included before the line that looks sound.
    write(
        root,
        "/etc/ssh/sshd_config",
        "Include /etc/ssh/sshd_config.d/*.conf\nPermitRootLogin no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitEmptyPasswords no\n",
    );
    write(root, "/etc/ssh/sshd_config.d/10-root.conf", "PermitRootLogin yes\n");
    // Sound: not matched by *.conf.
    write(root, "/etc/ssh/sshd_config.d/20-passwords.conf.save", "PasswordAuthentication yes\n");
}

fn findings(json: &str) -> Vec<Value> {
    let document: Value = serde_json::from_str(json).expect("the JSON report is valid JSON");
    document["findings"].as_array().unwrap().clone()
}

fn failing(findings: &[Value]) -> BTreeSet<(String, String)> {
    let word = |f: &Value, key: &str| f[key].as_str().unwrap().to_string();
    findings.iter().filter(|f| f["verdict"] == "fail").map(|f| (word(f, "rule"), word(f, "subject"))).collect()
}

fn message<'a>(findings: &'a [Value], rule: &str) -> &'a str {
    findings.iter().find(|f| f["rule"] == rule && f["verdict"] == "fail").map_or("", |f| f["message"].as_str().unwrap())
}

#[test]
fn planted_faults_of_a_root_are_found_and_decoys_are_not() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root");
    std::fs::create_dir(&root).unwrap();
    machine(&root);
    plant_accounts(&root);
    plant_ssh(&root);
    append(&root, "/etc/fstab", "/dev/sdb1 /srv/customers ext4 defaults 0 2\n");
    let roster = dir.path().join("people.csv");
    std::fs::write(
        &roster,
        "Person;Full Name;Accounts;E-Mail;Last Day\nm.keller; Maria Keller ;M.Keller;m.keller@example.com;2026-11-08\nj.lang;Jo Lang;j.lang;;08.11.2026\n",
    )
    .unwrap();

    let (code, out, error) = run(ASSAY, &["scan", "--root", text(&root), "--roster", text(&roster), "--format", "json", "--fail-on", "critical"]);
    assert_eq!(code, 14, "{error}");
    let findings = findings(&out);
    let failing = failing(&findings);
    let rules: BTreeSet<&str> = failing.iter().map(|(rule, _)| rule.as_str()).collect();
    for rule in [
        "access-leaver-active",
        "access-second-uid-zero",
        "access-password-empty",
        "access-password-scheme-weak",
        "access-sudo-nopasswd-all",
        "ssh-root-login",
        "storage-encryption",
    ] {
        assert!(rules.contains(rule), "{rule} is not among {failing:#?}");
    }
    // With the place.
    let leaver = message(&findings, "access-leaver-active");
    assert!(leaver.contains("/home/deploy/.ssh/authorized_keys:3"), "{leaver}");
    assert!(message(&findings, "access-second-uid-zero").contains("toor"));
    assert!(message(&findings, "access-password-empty").contains("guest"));
    assert!(message(&findings, "access-password-scheme-weak").contains("old"));
    assert!(message(&findings, "access-sudo-nopasswd-all").contains("/etc/sudoers.d/ops:2"));
    assert!(failing.contains(&("storage-encryption".into(), "/srv/customers".into())), "{failing:#?}");
    let root_login = findings.iter().find(|f| f["rule"] == "ssh-root-login").unwrap();
    assert!(root_login.to_string().contains("/etc/ssh/sshd_config.d/10-root.conf"), "{root_login:#}");

    // Nothing sound is reported.
    assert!(!failing.contains(&("access-leaver-active".into(), "j.lang".into())), "j.lang was revoked");
    assert!(!rules.contains("ssh-password-authentication") && !rules.contains("ssh-empty-passwords"), "{failing:#?}");
    let sudo: Vec<_> = failing.iter().filter(|(rule, _)| rule == "access-sudo-nopasswd-all").collect();
    assert_eq!(sudo.len(), 1, "{sudo:#?}");
    for name in ["deploy", "daemon"] {
        assert!(!message(&findings, "access-password-empty").contains(name));
        assert!(!message(&findings, "access-password-scheme-weak").contains(name));
    }
    // A root folder has no sockets: unknown or left out, never passed.
    let tls_pass = findings.iter().any(|f| f["rule"].as_str().unwrap().starts_with("tls-") && f["verdict"] == "pass");
    assert!(!tls_pass, "nothing on the network was asked");
}

#[test]
fn planted_endpoints_are_found_by_what_they_say() {
    let certificate = Certificate::ordinary();
    let old = servers::openssl(&certificate, &["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"]);
    let sound = servers::openssl(&certificate, &["-tls1_3"]);
    let ftp = servers::vsftpd("anonymous_enable=YES\nno_anon_password=YES\n");
    let redis = servers::redis("127.0.0.1", &["--protected-mode", "no"]);
    let telnet = servers::Inetd::start("/usr/sbin/telnetd");
    let targets = [old.target(), sound.target(), ftp.target(), redis.target(), format!("127.0.0.1:{}", telnet.port)];
    let mut arguments = vec!["scan", "--family", "services", "--family", "tls", "--format", "json"];
    for target in &targets {
        arguments.extend(["--target", target]);
    }
    let (code, out, error) = run(ASSAY, &arguments);
    assert!(matches!(code, 0 | 3), "{error}");
    let failing = failing(&findings(&out));
    let fails = |rule: &str, target: &str| failing.iter().any(|(r, subject)| r == rule && subject.starts_with(target));
    assert!(fails("tls-version-minimum", &old.target()), "{failing:#?}");
    assert!(!fails("tls-version-minimum", &sound.target()), "{failing:#?}");
    assert!(fails("service-ftp-plaintext", &ftp.target()), "{failing:#?}");
    assert!(fails("service-ftp-anonymous", &ftp.target()), "{failing:#?}");
    assert!(fails("service-redis-open", &redis.target()), "{failing:#?}");
    assert!(fails("service-telnet", &targets[4]), "{failing:#?}");
    assert!(!fails("service-ftp-plaintext", &redis.target()) && !fails("service-telnet", &ftp.target()), "{failing:#?}");
}
