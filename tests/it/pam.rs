//! PAM stacks, polkit and the account databases: against libpam itself, passwd, pwck and grpck, and
//! over planted roots, faults beside sound decoys.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use assay::facts::accounts::Accounts;
use assay::facts::pam::Pam;
use assay::facts::polkit::Polkit;
use assay::facts::{self, HostFamily};
use assay::host::Host;
use assay::model::fact::Observation;
use assay::model::finding::Verdict;
use assay::model::gap::{Gap, Gaps};
use assay::model::policy::Policy;
use assay::rules::{self, Input, Pack};

const NOW: i64 = 1_795_305_600;

fn write(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

fn mode(root: &Path, path: &str, mode: u32) {
    std::fs::set_permissions(root.join(path), std::fs::Permissions::from_mode(mode)).unwrap();
}

fn gather<T: HostFamily>(root: &Path) -> (T, Vec<Gap>) {
    let host = Host::rooted(root).unwrap();
    let mut gaps = Gaps::new();
    let document = T::gather(&host, &mut gaps).unwrap();
    (document, gaps.into_sorted())
}

/// What is gathered and judged here.
const FAMILIES: [&str; 3] = ["accounts", "pam", "polkit"];

/// Verdicts that are not pass or not applicable, `rule subject: message`.
fn judged(root: &Path, policy: &Policy, verdict: Verdict) -> Vec<String> {
    let host = Host::rooted(root).unwrap();
    let mut gaps = Gaps::new();
    let mut observation = Observation { gathered_at: NOW, ..Observation::default() };
    for name in FAMILIES {
        if let Some(value) = facts::gather(facts::family(name).unwrap(), &host, &mut gaps) {
            observation.families.insert(name.into(), value);
        }
    }
    observation.gaps = gaps.into_sorted();
    let pack = Pack::builtin(facts::schemas()).unwrap();
    let ours = |rule: &str| pack.rule(rule).unwrap().families().iter().all(|f| FAMILIES.contains(f));
    let findings = rules::evaluate(&pack, &Input { observation: &observation, policy, against: assay::model::against::Against::default(), advisories: None });
    let mut out: Vec<String> =
        findings.into_iter().filter(|f| f.verdict == verdict && ours(&f.rule)).map(|f| format!("{} {}: {}", f.rule, f.subject, f.message)).collect();
    out.sort();
    out
}

/// The stacks as Debian 12 installs them, without pwquality and faillock.
fn debian(root: &Path) {
    write(
        root,
        "etc/pam.d/common-auth",
        "# comment\nauth\t[success=1 default=ignore]\tpam_unix.so nullok\nauth\trequisite\t\t\tpam_deny.so\nauth\trequired\t\t\tpam_permit.so\nauth\toptional\t\t\tpam_cap.so \n",
    );
    write(
        root,
        "etc/pam.d/common-account",
        "account [success=1 new_authtok_reqd=done default=ignore] pam_unix.so\naccount requisite pam_deny.so\naccount required pam_permit.so\n",
    );
    write(
        root,
        "etc/pam.d/common-password",
        "password\t[success=1 default=ignore]\tpam_unix.so obscure yescrypt\npassword\trequisite\t\t\tpam_deny.so\npassword\trequired\t\t\tpam_permit.so\n",
    );
    write(
        root,
        "etc/pam.d/common-session",
        "session [default=1] pam_permit.so\nsession requisite pam_deny.so\nsession required pam_permit.so\nsession required pam_unix.so\n-session optional pam_systemd.so\n",
    );
    write(root, "etc/pam.d/other", "@include common-auth\n@include common-account\n@include common-password\n@include common-session\n");
    write(root, "etc/pam.d/passwd", "@include common-password\n");
    write(
        root,
        "etc/pam.d/sshd",
        "@include common-auth\naccount required pam_nologin.so\n@include common-account\n@include common-session\n@include common-password\n",
    );
    write(
        root,
        "etc/pam.d/login",
        "auth optional pam_faildelay.so delay=3000000\nauth requisite pam_nologin.so\n@include common-auth\nauth optional pam_group.so\n@include common-account\n",
    );
    write(root, "etc/pam.d/su", "auth sufficient pam_rootok.so\n# auth required pam_wheel.so\n@include common-auth\n");
    write(root, "etc/pam.d/runuser", "auth sufficient pam_rootok.so\nsession required pam_unix.so\n");
    write(root, "etc/pam.d/chfn", "auth sufficient pam_rootok.so\n@include common-auth\n");
    write(root, "etc/login.defs", "# PASS_MIN_LEN 20\nPASS_MAX_DAYS\t99999\nPASS_MIN_LEN 20\nENCRYPT_METHOD MD5\nUID_MIN 1000\n");
}

const GOOD_HASH: &str = "$y$j9T$c29tZXNhbHQ$0123456789012345678901234567890123456789012";

fn accounts(root: &Path) {
    write(
        root,
        "etc/passwd",
        "root:x:0:0:root:/root:/bin/bash\ndaemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin\nsync:x:4:65534:sync:/bin:/bin/sync\npostgres:x:105:110:PG:/var/lib/postgresql:/bin/bash\nanna:x:1000:1000:Anna:/home/anna:/bin/bash\nlocked:x:1001:1001::/home/locked:/bin/bash\n",
    );
    write(
        root,
        "etc/shadow",
        &format!(
            "root:*:19700:0:99999:7:::\ndaemon:*:19700:0:99999:7:::\nsync:*:19700:0:99999:7:::\npostgres:!*:19700:0:99999:7:::\nanna:{GOOD_HASH}:19700:0:99999:7:::\nlocked:!$6$rounds=1000$salt$hash:19700:0:99999:7:::\n"
        ),
    );
    write(root, "etc/group", "root:x:0:\ndaemon:x:1:\nnogroup:x:65534:\nshadow:x:42:\npostgres:x:110:\nanna:x:1000:\nlocked:x:1001:\nsudo:x:27:anna\n");
    write(root, "etc/gshadow", "root:*::\ndaemon:*::\nnogroup:*::\nshadow:*::\npostgres:!::\nanna:!::\nlocked:!::\nsudo:*::anna\n");
    for folder in ["root", "bin", "usr/sbin", "var/lib/postgresql", "home/anna", "home/locked"] {
        std::fs::create_dir_all(root.join(folder)).unwrap();
    }
    for shell in ["bin/bash", "bin/sync", "usr/sbin/nologin"] {
        write(root, shell, "");
    }
    for (path, id) in [("home/anna", 1000), ("home/locked", 1001), ("var/lib/postgresql", 105)] {
        std::os::unix::fs::chown(root.join(path), Some(id), Some(if id == 105 { 110 } else { id })).unwrap();
    }
    for path in ["etc/shadow", "etc/gshadow"] {
        mode(root, path, 0o640);
        std::os::unix::fs::chown(root.join(path), Some(0), Some(42)).unwrap();
    }
    // Sound: a copy without hashes, a group-writable home whose group has no other member, comments, empty files.
    write(root, "etc/passwd.bak", "root:x:0:0:root:/root:/bin/bash\n");
    mode(root, "home/anna", 0o775);
    write(root, "root/.rhosts", "# nobody\n\n");
    write(root, "etc/hosts.equiv", "# host user\n-@all\n");
    write(root, "home/anna/.netrc", "machine x login y password z\n");
    mode(root, "home/anna/.netrc", 0o600);
}

fn sound(root: &Path) {
    debian(root);
    accounts(root);
    write(
        root,
        "etc/pam.d/common-password",
        "password requisite pam_pwquality.so retry=3\npassword [success=1 default=ignore] pam_unix.so obscure use_authtok try_first_pass yescrypt\npassword requisite pam_deny.so\npassword required pam_permit.so\n",
    );
    write(root, "etc/security/pwquality.conf", "# minlen = 8\nminlen = 14\n");
    write(
        root,
        "etc/pam.d/common-auth",
        "auth required pam_faillock.so preauth\nauth [success=1 default=ignore] pam_unix.so nullok\nauth [default=die] pam_faillock.so authfail\nauth sufficient pam_faillock.so authsucc\nauth required pam_deny.so\n",
    );
    write(root, "etc/security/faillock.conf", "deny = 5\nunlock_time = 900\n");
    // Sound: vendor rules of Debian and systemd, and one that lost its effect.
    write(root, "usr/share/polkit-1/rules.d/50-default.rules", "polkit.addAdminRule(function(action, subject) {\n    return [\"unix-group:sudo\"];\n});\n");
    write(
        root,
        "usr/share/polkit-1/rules.d/systemd-networkd.rules",
        "polkit.addRule(function(action, subject) {\n    if ((action.id == \"org.freedesktop.hostname1.set-hostname\" ||\n         action.id == \"org.freedesktop.timedate1.set-timezone\") &&\n        subject.user == \"systemd-network\") {\n        return polkit.Result.YES;\n    }\n});\n",
    );
    write(root, "etc/polkit-1/rules.d/20-old.rules", "// polkit.addRule(function(action, subject) { return polkit.Result.YES; });\n");
    write(root, "etc/polkit-1/rules.d/30-all.rules.disabled", "polkit.addRule(function(action, subject) { return polkit.Result.YES; });\n");
    write(root, "etc/polkit-1/localauthority/50-local.d/x.pkla", "[all]\nIdentity=unix-user:*\nAction=*\nResultAny=yes\n");
    write(
        root,
        "etc/polkit-1/rules.d/40-unit.rules",
        "polkit.addRule(function(action, subject) {\n  if (action.id == 'org.freedesktop.systemd1.manage-units' && action.lookup('unit') == 'app.service' && subject.user == 'anna') { return polkit.Result.YES; }\n});\n",
    );
}

#[test]
fn a_sound_host_is_not_reported() {
    let dir = tempfile::tempdir().unwrap();
    sound(dir.path());
    assert_eq!(judged(dir.path(), &Policy::default(), Verdict::Fail), Vec::<String>::new());
    assert_eq!(judged(dir.path(), &Policy::default(), Verdict::Unknown), Vec::<String>::new());
    let (pam, _) = gather::<Pam>(dir.path());
    assert_eq!((pam.password.minimum_length, pam.password.scheme.as_str(), pam.password.strength_enforced), (14, "yescrypt", true));
    let sshd = pam.services.iter().find(|s| s.subject == "sshd").unwrap();
    assert_eq!((sshd.lockout.effective, sshd.lockout.deny, sshd.lockout.unlock_seconds), (true, 5, 900));
    assert_eq!(sshd.auth.first().unwrap().source.place, "/etc/pam.d/common-auth");
    let (polkit, _) = gather::<Polkit>(dir.path());
    assert_eq!(polkit.administrators, ["unix-group:sudo"]);
}

#[test]
fn planted_faults_of_pam_are_found_with_their_place() {
    let faults: &[(&str, &str, &str)] = &[
        (
            "etc/pam.d/sshd",
            "auth sufficient pam_permit.so\n@include common-auth\n",
            "pam-admits-everyone sshd: sshd lets everyone in without a right password or key, by /etc/pam.d/sshd:1 (pam_permit)",
        ),
        (
            "etc/pam.d/login",
            "auth [success=1 default=ignore] pam_unix.so\nauth required pam_permit.so\n",
            "pam-admits-everyone login: login lets everyone in without a right password or key, by /etc/pam.d/login:2 (pam_permit)",
        ),
        ("etc/pam.d/login", "auth sufficient pam_succeed_if.so uid >= 1000 quiet\n@include common-auth\n", "by /etc/pam.d/login:1 (pam_succeed_if)"),
        (
            "etc/security/pwquality.conf",
            "minlen = 14\nminlen = 7\n",
            "pam-password-length : a password of 7 characters can be set, 12 are wanted: the limit is set at /etc/security/pwquality.conf:2",
        ),
        ("etc/security/pwquality.conf", "minlen = 14\ndcredit = 4\nucredit=1\n", "a password of 9 characters can be set"),
        (
            "etc/pam.d/common-password",
            "password requisite pam_pwquality.so minlen=6\npassword required pam_unix.so use_authtok sha512 rounds=1000\n",
            "pam-password-scheme : new passwords are hashed by sha512crypt with 1000 rounds, by /etc/pam.d/common-password:2",
        ),
        ("etc/pam.d/common-password", "password required pam_unix.so\n", "pam-password-scheme : new passwords are hashed by md5crypt, by /etc/login.defs:4"),
        (
            "etc/pam.d/common-password",
            "password optional pam_pwquality.so\npassword required pam_unix.so sha512\n",
            "pam-password-strength : pam_pwquality can be passed by: passwords are stored by /etc/pam.d/common-password:2",
        ),
        (
            "etc/pam.d/common-password",
            "password sufficient pam_unix.so sha512\npassword requisite pam_pwquality.so minlen=20\n",
            "pam-password-strength : pam_pwquality can be passed by",
        ),
        (
            "etc/pam.d/common-auth",
            "auth [success=1 default=ignore] pam_unix.so\nauth requisite pam_deny.so\nauth required pam_permit.so\nauth required pam_faillock.so authfail\n",
            "pam-lockout : guessing passwords is not stopped: login (pam_faillock without effect",
        ),
        ("etc/security/faillock.conf", "deny = 0\n", "pam_faillock without effect, /etc/security/faillock.conf:1"),
        ("etc/security/faillock.conf", "deny = 3\nunlock_time = 5\n", "(after 3 failures for 5 s, /etc/security/faillock.conf:1)"),
        (
            "etc/pam.d/su",
            "auth sufficient pam_wheel.so trust group=ops\n@include common-auth\n",
            "pam-su-trusted : members of group ops become root by su without a password, by /etc/pam.d/su:1",
        ),
    ];
    for (path, text, expected) in faults {
        let dir = tempfile::tempdir().unwrap();
        sound(dir.path());
        write(dir.path(), path, text);
        let failing = judged(dir.path(), &Policy::default(), Verdict::Fail);
        assert!(failing.iter().any(|f| f.contains(expected)), "{path} {text}: {failing:#?}");
    }
}

#[test]
fn su_is_restricted_where_wheel_decides() {
    for (text, restricted) in [
        ("auth sufficient pam_rootok.so\nauth required pam_wheel.so use_uid\n@include common-auth\n", true),
        ("auth sufficient pam_rootok.so\n@include common-auth\nauth optional pam_wheel.so\n", false),
        ("auth sufficient pam_unix.so\nauth required pam_wheel.so\n", false),
        ("auth required pam_wheel.so deny group=nosu\n@include common-auth\n", false),
    ] {
        let dir = tempfile::tempdir().unwrap();
        debian(dir.path());
        write(dir.path(), "etc/pam.d/su", text);
        assert_eq!(gather::<Pam>(dir.path()).0.su.restricted, restricted, "{text}");
    }
}

#[test]
fn planted_faults_of_accounts_are_found_with_their_place() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    sound(root);
    let append = |path: &str, text: &str| {
        let old = std::fs::read_to_string(root.join(path)).unwrap();
        write(root, path, &format!("{old}{text}"));
    };
    append(
        "etc/passwd",
        "backup:x:34:4242:b:/var/backups:/bin/bash\nfast:x:1002:1002::/home/fast:/bin/bash\nkiosk:x:1003:1003::/home/kiosk:/bin/bash\n+::::::\n",
    );
    append("etc/shadow", &format!("backup:{GOOD_HASH}:19700:0:99999:7:::\nfast:$6$rounds=1000$salt$hash:19700:0:99999:7:::\nkiosk::19700:0:99999:7:::\n"));
    append("etc/group", "fast:x:1002:\nkiosk:x:1003:\ntwin:x:1002:\nfast:x:1009:\n");
    append("etc/gshadow", "kiosk:$6$salt$hash::\n");
    write(root, "etc/nsswitch.conf", "passwd: compat\ngroup: files\n");
    write(root, "etc/shadow.bak", &format!("anna:{GOOD_HASH}:1:0:9:7:::\n"));
    mode(root, "etc/passwd", 0o666);
    std::fs::create_dir_all(root.join("home/fast")).unwrap();
    std::fs::create_dir_all(root.join("var/backups")).unwrap();
    std::os::unix::fs::chown(root.join("home/fast"), Some(1002), Some(1002)).unwrap();
    mode(root, "home/fast", 0o777);
    write(root, "home/anna/.rhosts", "# x\n+ +\n");
    mode(root, "home/anna/.netrc", 0o644);
    let policy = Policy { password_maximum_days: 90, ..Policy::default() };
    let failing = judged(root, &policy, Verdict::Fail);
    for expected in [
        "access-system-account-login : system accounts that sign in with a password: backup (user id 34, /etc/passwd:7)",
        "access-group-missing : no line of /etc/group for the primary group of backup (group id 4242, /etc/passwd:7)",
        "access-password-rounds : hashes that are cheap to try: fast (sha512crypt, 1000, /etc/shadow:8)",
        "access-password-empty : no password is asked of kiosk",
        "pam-empty-password : kiosk gets in without a password by ",
        "access-directory-compat /etc/passwd:10",
        "access-duplicate-gid : gid 1002 is shared by fast, twin (/etc/group:11)",
        "access-duplicate-group : group names that stand on several lines: fast",
        "access-group-password : groups with a password: kiosk (/etc/gshadow:9)",
        "access-hashes-readable /etc/shadow.bak",
        "access-database-writable /etc/passwd: /etc/passwd can be written by others (mode 0666)",
        "access-home-writable fast: the home /home/fast of fast can be written by others (mode 0777), /etc/passwd:8",
        "access-home-missing kiosk",
        "access-rhosts /home/anna/.rhosts: /home/anna/.rhosts:2 believes every host or user",
        "access-netrc-readable /home/anna/.netrc",
        "access-password-age : passwords that outlive 90 days: anna (99999, /etc/shadow:5)",
        "access-password-age-default : PASS_MAX_DAYS is 99999 (/etc/login.defs:2)",
    ] {
        assert!(failing.iter().any(|f| f.starts_with(expected)), "{expected}: {failing:#?}");
    }
    for decoy in ["locked", "postgres", "passwd.bak", "hosts.equiv", "/root/.rhosts", "home/anna of"] {
        assert!(!failing.iter().any(|f| f.contains(decoy)), "{decoy}: {failing:#?}");
    }
}

#[test]
fn planted_grants_of_polkit_are_found_with_their_place() {
    let yes = "return polkit.Result.YES; } });\n";
    let faults: &[(&str, String, &str)] = &[
        ("etc/polkit-1/rules.d/10-x.rules", "// all\npolkit.addRule(function(action, subject) {\n  return polkit.Result.YES;\n});\n".into(), "polkit-unrestricted-grant anybody /etc/polkit-1/rules.d/10-x.rules:3: everybody may do * as root"),
        ("etc/polkit-1/rules.d/10-x.rules", format!("polkit.addRule(function(action, subject) {{ if (action.id.indexOf('org.freedesktop.systemd1.') == 0 && subject.active) {{ {yes}"), "polkit-unrestricted-grant anybody /etc/polkit-1/rules.d/10-x.rules:1: everybody with a session that is active"),
        ("etc/polkit-1/rules.d/10-x.rules", format!("polkit.addRule(function(action, subject) {{ if (action.id == 'org.freedesktop.policykit.exec' && subject.isInGroup('staff')) {{ {yes}"), "polkit-passwordless-root unix-group:staff /etc/polkit-1/rules.d/10-x.rules:1"),
        ("usr/share/polkit-1/actions/x.policy", "<policyconfig>\n<action id=\"org.example.run\">\n<defaults><allow_any>yes</allow_any></defaults>\n<annotate key=\"org.freedesktop.policykit.exec.path\">/opt/run</annotate>\n</action></policyconfig>\n".into(), "polkit-action-open org.example.run: org.example.run needs no authentication (any session) and runs /opt/run as root, by /usr/share/polkit-1/actions/x.policy:2"),
    ];
    for (path, text, expected) in faults {
        let dir = tempfile::tempdir().unwrap();
        sound(dir.path());
        write(dir.path(), path, text);
        let failing = judged(dir.path(), &Policy::default(), Verdict::Fail);
        assert!(failing.len() == 1 && failing[0].starts_with(expected), "{expected}: {failing:#?}");
    }
    // polkit 0.105 reads local authority files and no scripts.
    let dir = tempfile::tempdir().unwrap();
    sound(dir.path());
    write(dir.path(), "var/lib/dpkg/status", "Package: policykit-1\nStatus: install ok installed\nVersion: 0.105-31+deb11u1\n\n");
    write(dir.path(), "etc/polkit-1/rules.d/10-x.rules", "polkit.addRule(function(action, subject) { return polkit.Result.YES; });\n");
    let failing = judged(dir.path(), &Policy::default(), Verdict::Fail);
    assert!(failing.len() == 1 && failing[0].starts_with("polkit-unrestricted-grant anybody /etc/polkit-1/localauthority/50-local.d/x.pkla:1"), "{failing:#?}");
}

#[test]
fn rules_of_polkit_that_are_programs_are_unknown() {
    let dir = tempfile::tempdir().unwrap();
    sound(dir.path());
    write(dir.path(), "etc/polkit-1/rules.d/10-x.rules", "polkit.addRule(function(action, subject) {\n  var list = [];\n  return f(list);\n});\n");
    let unknown = judged(dir.path(), &Policy::default(), Verdict::Unknown);
    assert!(unknown.iter().any(|f| f.starts_with("polkit-unrestricted-grant /etc/polkit-1/rules.d/10-x.rules")), "{unknown:#?}");
    assert_eq!(judged(dir.path(), &Policy::default(), Verdict::Fail), Vec::<String>::new());
}

/// As authselect writes it for local accounts with faillock, and for sssd.
#[test]
fn stacks_of_other_distributions_are_sound() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    accounts(root);
    let local = "auth required pam_env.so\nauth required pam_faildelay.so delay=2000000\nauth required pam_faillock.so preauth silent\nauth sufficient pam_unix.so nullok\nauth required pam_faillock.so authfail\nauth required pam_deny.so\naccount required pam_unix.so\npassword requisite pam_pwquality.so local_users_only\npassword sufficient pam_unix.so yescrypt shadow nullok use_authtok\npassword required pam_deny.so\n";
    let sssd = "auth required pam_env.so\nauth required pam_faillock.so preauth silent\nauth [default=1 ignore=ignore success=ok] pam_usertype.so isregular\nauth [default=1 ignore=ignore success=ok] pam_localuser.so\nauth sufficient pam_unix.so nullok\nauth [default=1 ignore=ignore success=ok] pam_usertype.so isregular\nauth sufficient pam_sss.so forward_pass\nauth required pam_faillock.so authfail\nauth required pam_deny.so\npassword requisite pam_pwquality.so local_users_only\npassword sufficient pam_unix.so sha512 shadow nullok use_authtok\npassword [success=1 default=ignore] pam_localuser.so\npassword sufficient pam_sss.so use_authtok\npassword required pam_deny.so\n";
    write(root, "etc/security/pwquality.conf.d/50-site.conf", "minlen = 15\n");
    write(root, "etc/security/pwquality.conf", "# minlen = 8\n");
    for stack in [local, sssd] {
        write(root, "etc/pam.d/system-auth", stack);
        write(root, "etc/pam.d/password-auth", stack);
        write(root, "etc/pam.d/postlogin", "session optional pam_umask.so silent\n");
        write(root, "etc/pam.d/sshd", "auth substack password-auth\nauth include postlogin\naccount include password-auth\npassword include password-auth\n");
        write(root, "etc/pam.d/login", "auth substack system-auth\nauth include postlogin\n");
        write(
            root,
            "etc/pam.d/su",
            "auth required pam_env.so\nauth sufficient pam_rootok.so\n#auth sufficient pam_wheel.so trust use_uid\nauth substack system-auth\nauth include postlogin\n",
        );
        write(root, "etc/pam.d/passwd", "auth include system-auth\npassword substack system-auth\n");
        write(root, "etc/pam.d/other", "auth required pam_deny.so\npassword required pam_deny.so\n");
        assert_eq!(judged(root, &Policy::default(), Verdict::Fail), Vec::<String>::new(), "{stack}");
        assert_eq!(gather::<Pam>(root).0.password.minimum_length, 15);
    }
    // Without pam_deny faillock's success is all that is left; pam_env alone would not do.
    write(root, "etc/pam.d/sshd", "auth required pam_env.so\nauth sufficient pam_unix.so\n");
    write(root, "etc/pam.d/login", "auth required pam_faillock.so preauth\nauth sufficient pam_unix.so\n");
    let failing = judged(root, &Policy { lockout_maximum_failures: 0, ..Policy::default() }, Verdict::Fail);
    assert!(failing.len() == 1 && failing[0].starts_with("pam-admits-everyone login"), "{failing:#?}");
}

/// A small generator: the same stacks in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % sides
    }
}

fn random_stack(dice: &mut Dice, parts: bool) -> String {
    let controls = [
        "required",
        "requisite",
        "sufficient",
        "optional",
        "[success=1 default=ignore]",
        "[success=2 default=bad]",
        "[default=die]",
        "[success=ok auth_err=1 default=ignore]",
        "[success=done default=ignore]",
        "[success=ignore auth_err=die]",
        "[auth_err=ok success=reset]",
        "[success=1 default=die]",
        "[success=3 auth_err=ignore]",
    ];
    let mut out = String::new();
    for _ in 0..1 + dice.roll(5) {
        let module = ["pam_permit.so", "pam_deny.so"][usize::try_from(dice.roll(2)).unwrap()];
        match dice.roll(if parts { 9 } else { 6 }) {
            6 => out.push_str("auth include {PARTS}part-a\n"),
            7 => out.push_str("auth substack {PARTS}part-a\n"),
            8 => out.push_str("@include {PARTS}part-b\n"),
            _ => out.push_str(&format!("auth {} {module}\n", controls[usize::try_from(dice.roll(controls.len() as u64)).unwrap()])),
        }
    }
    out
}

#[test]
fn stacks_end_as_libpam_ends_them() {
    let dir = tempfile::tempdir().unwrap();
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let real = dir.path().join("real");
    let folder = dir.path().join("etc/pam.d");
    let mut compared = 0;
    for round in 0..6 {
        let _ = (std::fs::remove_dir_all(&folder), std::fs::remove_dir_all(&real));
        // libpam 1.5 looks for included names in its own folder alone: it gets absolute paths.
        let both = |name: &str, text: &str| {
            write(dir.path(), &format!("etc/pam.d/{name}"), &text.replace("{PARTS}", ""));
            write(dir.path(), &format!("real/{name}"), &text.replace("{PARTS}", &format!("{}/", real.display())));
        };
        both("part-a", &random_stack(&mut dice, false));
        both("part-b", &random_stack(&mut dice, false));
        both("other", "auth required pam_deny.so\n");
        for i in 0..60 {
            both(&format!("s{i:02}"), &random_stack(&mut dice, true));
        }
        let script = "
import ctypes, os, sys
pam = ctypes.CDLL('libpam.so.0')
CONV = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
class Conv(ctypes.Structure): _fields_ = [('conv', CONV), ('data', ctypes.c_void_p)]
talk = CONV(lambda *a: 19)
conv = Conv(talk, None)
for name in sorted(os.listdir(sys.argv[1])):
    handle = ctypes.c_void_p()
    assert pam.pam_start_confdir(name.encode(), b'root', ctypes.byref(conv), sys.argv[1].encode(), ctypes.byref(handle)) == 0
    pam.pam_fail_delay(handle, 0)
    print(name, int(pam.pam_authenticate(handle, 0) == 0))
    pam.pam_end(handle, 0)
";
        let out = Command::new("python3").arg("-c").arg(script).arg(&real).output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        let (pam, gaps) = gather::<Pam>(dir.path());
        assert_eq!(gaps, [], "round {round}");
        for line in String::from_utf8(out.stdout).unwrap().lines() {
            let (name, opens) = line.split_once(' ').unwrap();
            let ours = pam.services.iter().find(|s| s.subject == name).unwrap();
            let text = std::fs::read_to_string(folder.join(name)).unwrap();
            let parts = ["part-a", "part-b"].map(|p| std::fs::read_to_string(folder.join(p)).unwrap());
            assert_eq!(ours.admits_everyone, opens == "1", "{name}:\n{text}\npart-a:\n{}\npart-b:\n{}", parts[0], parts[1]);
            compared += 1;
        }
    }
    assert_eq!(compared, 6 * 63);
}

#[test]
fn passwords_and_databases_agree_with_passwd_pwck_and_grpck() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    accounts(root);
    let append = |path: &str, text: &str| {
        let old = std::fs::read_to_string(root.join(path)).unwrap();
        write(root, path, &format!("{old}{text}"));
    };
    append("etc/passwd", "empty:x:1002:4242::/home/empty:/bin/bash\nnone:x:1003:1001::/home/anna:/bin/bash\n");
    append("etc/shadow", "empty::19700:0:99999:7:::\nnone:!!:19700:0:30:7:::\n");
    for path in ["bin/bash", "bin/sync", "usr/sbin/nologin"] {
        mode(root, path, 0o755);
    }
    let (found, _) = gather::<Accounts>(root);
    let out = Command::new("passwd").arg("-R").arg(root).args(["-S", "-a"]).output().unwrap();
    let real: Vec<(String, String, String)> = String::from_utf8(out.stdout)
        .unwrap()
        .lines()
        .map(|l| l.split(' ').collect::<Vec<_>>())
        .map(|w| (w[0].to_string(), w[1].to_string(), w[4].to_string()))
        .collect();
    let ours: Vec<(String, String, String)> = found
        .users
        .iter()
        .map(|u| {
            let state = match u.password.state.as_str() {
                "usable" => "P",
                "empty" => "NP",
                _ => "L",
            };
            (u.name.clone(), state.to_string(), u.password.maximum_days.unwrap_or(-1).to_string())
        })
        .collect();
    assert_eq!(ours, real);

    let out = Command::new("pwck").arg("-r").arg("-R").arg(root).output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    for user in &found.users {
        assert_eq!(!user.primary_group_exists, said.contains(&format!("user '{}': no group", user.name)), "{} {said}", user.name);
    }
    for home in &found.homes {
        assert_eq!(!home.exists, said.contains(&format!("user '{}': directory", home.subject)), "{} {said}", home.subject);
    }
    append("etc/group", "anna:x:1010:\n");
    let out = Command::new("grpck").arg("-r").arg("-R").arg(root).output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(said.contains("duplicate group entry"), "{said}");
    assert_eq!(gather::<Accounts>(root).0.repeated_groups, ["anna"]);
}

#[test]
fn the_real_files_of_this_distribution_hold_no_surprise() {
    // Files of installed packages as they are shipped; what an administrator added is left out.
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    for folder in ["usr/share/polkit-1/rules.d", "usr/share/polkit-1/actions"] {
        let status = Command::new("mkdir").arg("-p").arg(root.join(folder)).status().unwrap();
        assert!(status.success());
        let status = Command::new("cp").arg("-a").arg(Path::new("/").join(folder)).arg(root.join(folder).parent().unwrap()).status().unwrap();
        assert!(status.success(), "polkitd is not installed");
    }
    accounts(root);
    let (polkit, gaps) = gather::<Polkit>(root);
    assert_eq!(gaps, []);
    assert!(polkit.administrators.contains(&"unix-group:sudo".to_string()), "{:?}", polkit.administrators);
    assert!(polkit.open_actions.iter().any(|a| a.subject.starts_with("org.freedesktop.login1.inhibit")));
    let failing = judged(root, &Policy::default(), Verdict::Fail);
    assert!(!failing.iter().any(|f| f.starts_with("polkit")), "{failing:#?}");
}
