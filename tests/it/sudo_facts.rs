//! sudoers and doas.conf: decisions against `sudo -l -U USER COMMAND`, and ways to a root shell
//! planted beside sound decoys.

use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::Path;
use std::process::Command;

use assay::facts::sudo::{Grant, Sudo};
use assay::model::finding::Verdict;

use super::ssh_facts::{gather, judged, write};

const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nanna:x:2001:2001:Anna Berg:/home/anna:/bin/sh\nbob:x:2002:2002::/home/bob:/bin/sh\n\
    carl:x:2003:2003::/home/carl:/bin/sh\ndora.x:x:2004:2500::/home/dora:/bin/sh\n";
const GROUP: &str = "root:x:0:\nsudo:x:27:anna\nanna:x:2001:\nbob:x:2002:\ncarl:x:2003:\nops:x:2500:bob\ntwo words:x:2700:carl\n";
const SHADOW: &str = "root:*:19000:0:99999:7:::\nanna:*:19000:0:99999:7:::\nbob:*:19000:0:99999:7:::\ncarl:*:19000:0:99999:7:::\ndora.x:*:19000:0:99999:7:::\n";
const USERS: [&str; 4] = ["anna", "bob", "carl", "dora.x"];
const COMMANDS: [&str; 3] = ["/bin/ls", "/bin/cat", "/bin/id"];

fn machine(policy: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let hostname = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    write(root, "etc/hostname", &hostname);
    write(root, "etc/passwd", PASSWD);
    write(root, "etc/group", GROUP);
    write(root, "etc/shadow", SHADOW);
    write(root, "etc/sudoers", &policy.replace("{HOST}", hostname.trim()));
    write(root, "etc/sudoers.d/10-bob", "bob ALL=(root) NOPASSWD: /bin/cat\n");
    write(root, "etc/sudoers.d/20.bak", "carl ALL=(ALL) NOPASSWD: ALL\n");
    write(root, "etc/sudoers.d/30~", "carl ALL=(ALL) NOPASSWD: ALL\n");
    write(root, "etc/sudoers.d/inner", "carl ALL = /bin/ls\n");
    for path in ["etc/sudoers", "etc/sudoers.d/10-bob", "etc/sudoers.d/inner"] {
        std::fs::set_permissions(root.join(path), std::fs::Permissions::from_mode(0o440)).unwrap();
    }
    dir
}

/// For each user and command, whether sudo permits it as root; then for each user, whether some command needs no password.
fn permitted(root: &Path) -> Vec<bool> {
    let root = root.to_str().unwrap();
    let mut script = format!("for f in etc/passwd etc/group etc/shadow etc/sudoers etc/sudoers.d; do mount --bind {root}/$f /$f || exit 1; done\n");
    for user in USERS {
        for command in COMMANDS {
            script.push_str(&format!("sudo -l -U {user} -u root {command} >/dev/null 2>&1 </dev/null && echo yes || echo no\n"));
        }
    }
    for user in USERS {
        script.push_str(&format!("LC_ALL=C sudo -l -U {user} 2>&1 </dev/null | grep -q NOPASSWD: && echo yes || echo no\n"));
    }
    let out = Command::new("unshare").args(["-m", "sh", "-c", &script]).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap().lines().map(|l| l == "yes").collect()
}

/// The last command that matches decides.
fn ours(sudo: &Sudo, user: &str, command: &str) -> bool {
    let mut answer = false;
    for grant in sudo.grants.iter().filter(|g| g.as_root && g.accounts.iter().any(|a| a == user)) {
        for item in &grant.commands {
            let (negated, text) = item.strip_prefix('!').map_or((false, item.as_str()), |t| (true, t));
            let folder = text.ends_with('/') && command.rsplit_once('/').is_some_and(|(f, _)| format!("{f}/") == text);
            if text == "ALL" || text == command || folder {
                answer = !negated;
            }
        }
    }
    answer
}

const POLICIES: &[&str] = &[
    "",
    "%sudo ALL=(ALL:ALL) ALL\n@includedir /etc/sudoers.d\n",
    "#includedir /etc/sudoers.d\n",
    "@include /etc/sudoers.d/inner\n",
    "@include sudoers.d/inner\n#include /etc/sudoers.d/missing\nanna ALL=ALL\n",
    "bob ALL=(ALL) ALL\nbob ALL=(ALL) !/bin/ls, !ALL\n",
    "bob ALL=(ALL) /bin/ls, /bin/cat, !/bin/ls\n",
    "bob ALL=(ALL) !/bin/ls, /bin/ls\n",
    "ALL ALL=(ALL) ALL\n",
    "ALL, !bob ALL=(ALL) ALL\n",
    "!bob, ALL ALL=(ALL) ALL\n",
    "%ops ALL=(root) /bin/ls\n",
    "%#2500 ALL=(root) /bin/ls\n",
    "#2003 ALL=(root) /bin/ls\n",
    "%two\\ words ALL=(root) /bin/ls\n",
    "\"%two words\" ALL=(root) /bin/ls\n",
    "dora\\.x ALL=(root) /bin/ls\n\"dora.x\" ALL=(root) /bin/cat\n",
    "User_Alias A = anna, bob : B = A, !bob\nB ALL=(ALL) ALL\n",
    "User_Alias A = anna, bob\n!A, ALL ALL=(ALL) ALL\n",
    "User_Alias A = %ops, %sudo\nA ALL=(ALL) /bin/ls\n!A ALL=(ALL) /bin/cat\n",
    "Cmnd_Alias L = /bin/ls : C = L, /bin/cat\nbob ALL=(ALL) C, !L\n",
    "Cmnd_Alias L = /bin/ls\nbob ALL=(ALL) ALL, !L\n",
    "Cmnd_Alias L = /bin/ls, \\\n    /bin/cat\nbob ALL = (ALL) \\\n  L\n",
    "Runas_Alias R = root, daemon\nbob ALL=(R) /bin/ls\ncarl ALL=(R, !root) /bin/ls\nanna ALL=(!R, ALL) /bin/ls\n",
    "bob ALL=(daemon) ALL\ncarl ALL=(#0) ALL\nanna ALL=(ALL, !root) ALL\n",
    // Of `()` and `(:group)`, `sudo -l -U` run by root speaks as if root had asked; tests of the listing cover them.
    "anna ALL=(root:ALL) ALL\nbob ALL=(root:daemon) /bin/ls\n",
    "Host_Alias H = {HOST}, other : O = other\nbob H=(ALL) ALL\ncarl O=(ALL) ALL\nanna ALL, !H=(ALL) ALL\n",
    "bob other=(ALL) ALL : {HOST}=(ALL) /bin/ls\n",
    "bob !other=(ALL) ALL\ncarl !{HOST}=(ALL) ALL\nanna other, !ALL=(ALL) ALL\n",
    "Defaults runas_default=daemon\nbob ALL=/bin/ls\ncarl ALL=(root) /bin/ls\n",
    "Defaults:carl runas_default=daemon\nbob ALL=/bin/ls\n",
    "Defaults !authenticate, secure_path=\"/bin:/usr/bin\" , env_keep += \"A B\"\nDefaults:bob requiretty\nbob ALL=(ALL) ALL\n",
    "bob ALL=(ALL) NOPASSWD: /bin/ls, PASSWD: /bin/cat, NOEXEC: SETENV: /bin/id\n",
    "bob ALL=(ALL) NOPASSWD:NOEXEC:/bin/ls,/bin/cat # both\n",
    "bob ALL=(ALL) NOTAFTER=20200101000000Z /bin/ls, /bin/cat\ncarl ALL=(ALL) NOTAFTER=20990101000000Z ALL\n",
    "bob ALL=(ALL) NOTBEFORE=20200101000000Z ALL\n",
    "bob ALL=(ALL) CWD=/tmp /bin/ls\ncarl ALL=(ALL) TIMEOUT=5m ROLE=x /bin/ls\n",
    "bob ALL=(ALL) /bin/\n",
    "bob ALL=(ALL) sudoedit /etc/motd, /bin/ls\n",
    "bob ALL=(ALL) /bin/ls\nthis is not a rule\ncarl ALL=(ALL) /bin/ls\n",
    "bob ALL=(root) ALL\nbob ALL=(daemon) !ALL\n",
    "%sudo ALL=(ALL) ALL\nanna ALL=(ALL) !ALL\nanna ALL=(ALL) /bin/ls\n",
    "#bob ALL=(ALL) ALL\n# carl ALL=(ALL) ALL\n#2003 ALL=(ALL) /bin/ls # uid\n",
    "bob\tALL\t=\t(\tALL\t)\tNOPASSWD\t:\t/bin/ls\ncarl ALL=(ALL)NOPASSWD:ALL\n",
    "bob ALL=(ALL) !!/bin/ls\ncarl ALL=(ALL) ! /bin/ls\n",
    "Defaults exempt_group=ops\nDefaults@{HOST} !lecture\nDefaults>root timestamp_timeout=0\nDefaults!/bin/ls noexec\n%ops ALL=ALL\n",
];

#[test]
fn every_command_is_decided_as_sudo_does() {
    assert!(POLICIES.len() >= 40);
    for policy in POLICIES {
        let dir = machine(policy);
        let (sudo, _) = gather::<Sudo>(dir.path());
        let theirs = permitted(dir.path());
        let pairs: Vec<(&str, &str)> = USERS.iter().flat_map(|u| COMMANDS.iter().map(move |c| (*u, *c))).collect();
        assert_eq!(pairs.len() + USERS.len(), theirs.len());
        // Of !authenticate and exempt_group the listing says nothing.
        for (user, free) in USERS.iter().zip(&theirs[pairs.len()..]).filter(|_| !policy.contains("!authenticate") && !policy.contains("exempt_group")) {
            let own = sudo.grants.iter().any(|g| !g.password_needed && g.accounts.iter().any(|a| a == user));
            assert_eq!(own, *free, "{user} without a password in\n{policy}\n{:#?}", sudo.grants);
        }
        for ((user, command), theirs) in pairs.into_iter().zip(theirs) {
            // A grant that is over by date stays a fact; its date says so.
            let now = 1_795_305_600;
            let live = Sudo { grants: sudo.grants.iter().filter(|g| g.not_after.is_none_or(|at| at > now)).cloned().collect(), ..sudo.clone() };
            assert_eq!(ours(&live, user, command), theirs, "{user} {command} in\n{policy}\n{:#?}", sudo.grants);
        }
    }
}

fn grant<'a>(sudo: &'a Sudo, who: &str) -> &'a Grant {
    sudo.grants.iter().find(|g| g.who == who).unwrap_or_else(|| panic!("no grant of {who}: {:?}", sudo.grants))
}

/// Users `u0`, `u1`, …, one rule each.
fn of_rules(root: &Path, rules: &[&str]) -> Sudo {
    let users: String = (0..rules.len()).map(|i| format!("u{i}:x:{}:{}::/home/u{i}:/bin/sh\n", 3000 + i, 3000 + i)).collect();
    let text: String = rules.iter().enumerate().map(|(i, rule)| format!("u{i} ALL={rule}\n")).collect();
    write(root, "etc/passwd", &format!("root:x:0:0:root:/root:/bin/sh\n{users}"));
    write(root, "etc/group", "root:x:0:\nstaff:x:50:u0\n");
    write(root, "etc/sudoers", &text);
    gather::<Sudo>(root).0
}

#[test]
fn ways_to_a_root_shell_are_found_and_decoys_are_not() {
    let faults = [
        "(ALL) /usr/bin/vim",
        "(root) NOPASSWD: /usr/bin/less /var/log/syslog",
        "/usr/bin/find",
        "/usr/bin/python3",
        "(ALL) /usr/bin/systemctl",
        "/bin/tar czf /backup/all.tgz *",
        "/usr/bin/docker",
        "/usr/bin/tee -a /etc/sudoers.d/x",
        "NOEXEC: /usr/bin/nano /etc/motd",
        "/bin/su -",
        "/usr/bin/apt-get",
        "(root) /bin/",
        "/usr/bin/vim.basic, !/usr/bin/less",
        "/opt/tools/edit",
    ];
    let sound = [
        "(root) NOPASSWD: /usr/bin/systemctl restart nginx",
        "(www-data) /usr/bin/vim",
        "/usr/bin/apt-get update",
        "NOEXEC: /usr/bin/less /var/log/syslog",
        "/usr/local/sbin/backup",
        "/usr/bin/vim, !/usr/bin/vim",
        "/bin/su - postgres",
        "sudoedit /etc/nginx/nginx.conf",
        "/usr/sbin/nginx -t, /usr/bin/journalctl -u nginx",
        "/opt/app/find",
        "/bin/tar czf /backup/all.tgz /srv",
    ];
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(dir.path().join("opt/tools")).unwrap();
    std::os::unix::fs::symlink("/usr/bin/vim", dir.path().join("opt/tools/edit")).unwrap();
    let rules: Vec<&str> = faults.iter().chain(&sound).copied().collect();
    let sudo = of_rules(dir.path(), &rules);
    for (index, rule) in rules.iter().enumerate() {
        let shells: Vec<&Grant> = sudo.grants.iter().filter(|g| g.who == format!("u{index}") && g.root_shell).collect();
        assert_eq!(!shells.is_empty(), index < faults.len(), "{rule}: {shells:?}");
    }
    let failing = judged(&sudo, &[], Verdict::Fail);
    let reported = failing.iter().filter(|(rule, ..)| rule == "sudo-root-shell").count();
    assert_eq!(reported, faults.len(), "{failing:#?}");
    assert!(failing.iter().any(|(rule, subject, message)| rule == "sudo-root-shell" && subject == "u0 /etc/sudoers:1" && message.contains("/etc/sudoers:1")));
}

#[test]
fn a_command_that_its_user_can_replace_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    for (path, mode) in [
        ("opt/own/run", 0o755),
        ("opt/world/run", 0o777),
        ("opt/group/run", 0o775),
        ("opt/folder/run", 0o755),
        ("opt/sound/run", 0o755),
        ("opt/sticky/run", 0o755),
        ("opt/rootgroup/run", 0o775),
        ("opt/script/job.py", 0o757),
    ] {
        write(root, path, "#!/bin/sh\n");
        std::fs::set_permissions(root.join(path), std::fs::Permissions::from_mode(mode)).unwrap();
    }
    chown(root.join("opt/own/run"), Some(3000), None).unwrap();
    chown(root.join("opt/group/run"), None, Some(50)).unwrap();
    std::fs::set_permissions(root.join("opt/folder"), std::fs::Permissions::from_mode(0o777)).unwrap();
    std::fs::set_permissions(root.join("opt/sticky"), std::fs::Permissions::from_mode(0o1777)).unwrap();
    let digest = format!("sha256:{} /opt/world/run", "0".repeat(64));
    let sudo = of_rules(
        root,
        &[
            "/opt/own/run",
            "/opt/world/run",
            "/opt/group/run",
            "/opt/folder/run",
            "/usr/bin/python3 /opt/script/job.py",
            "/opt/folder/not-there",
            "/opt/sound/run",
            "/opt/sticky/run",
            "/opt/rootgroup/run",
            "/opt/sound/not-there",
            &digest,
            "(daemon) /opt/world/run",
        ],
    );
    let places: Vec<String> = sudo.grants.iter().map(|g| format!("{} {} {}", g.who, g.writable_place, g.writable_by).trim().to_string()).collect();
    assert_eq!(
        places,
        [
            "u0 /opt/own/run u0",
            "u1 /opt/world/run everybody",
            "u2 /opt/group/run group staff",
            "u3 /opt/folder everybody",
            "u4 /opt/script/job.py everybody",
            "u5 /opt/folder everybody",
            "u6",
            "u7",
            "u8",
            "u9",
            "u10",
            "u11",
        ]
    );
    let failing = judged(&sudo, &[], Verdict::Fail);
    assert_eq!(failing.iter().filter(|(rule, ..)| rule == "sudo-command-writable").count(), 6, "{failing:#?}");
    assert!(!failing.iter().any(|(rule, ..)| rule == "sudo-root-shell"), "{failing:#?}");
}

#[test]
fn settings_and_files_of_sudo_are_judged() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    write(root, "etc/passwd", PASSWD);
    write(root, "etc/group", GROUP);
    write(
        root,
        "etc/sudoers",
        "Defaults authenticate\nDefaults timestamp_timeout=-1\nDefaults:bob !authenticate\nDefaults:carl timestamp_timeout=-1\nDefaults:carl timestamp_timeout=5\n\
         # Defaults !authenticate\nDefaults>daemon !authenticate\nDefaults>daemon authenticate\n@includedir /etc/sudoers.d\n",
    );
    write(root, "etc/sudoers.d/open", "");
    write(root, "etc/sudoers.d/sound", "");
    write(root, "etc/sudoers.d/ignored.bak", "");
    for (path, mode) in [("sudoers", 0o440), ("sudoers.d", 0o755), ("sudoers.d/open", 0o666), ("sudoers.d/sound", 0o440), ("sudoers.d/ignored.bak", 0o666)] {
        std::fs::set_permissions(root.join("etc").join(path), std::fs::Permissions::from_mode(mode)).unwrap();
    }
    let (sudo, gaps) = gather::<Sudo>(root);
    assert_eq!(gaps, []);
    let failing: Vec<String> = judged(&sudo, &gaps, Verdict::Fail).into_iter().map(|(rule, subject, _)| format!("{rule} {subject}")).collect();
    assert_eq!(
        failing,
        [
            "sudo-file-writable /etc/sudoers.d/open",
            "sudo-no-authenticate authenticate :bob /etc/sudoers:3",
            "sudo-timestamp-never timestamp_timeout /etc/sudoers:2"
        ]
    );
}

#[test]
fn doas_rules_are_grants() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    write(root, "etc/passwd", PASSWD);
    write(root, "etc/group", GROUP);
    write(
        root,
        "etc/doas.conf",
        "# doas\npermit persist :sudo\npermit nopass bob\npermit nopass carl as root cmd /usr/bin/id\npermit nopass dora.x\ndeny dora.x\n\
         permit nopass anna as daemon\npermit carl as root cmd /usr/bin/vim args /etc/motd\n",
    );
    std::fs::set_permissions(root.join("etc/doas.conf"), std::fs::Permissions::from_mode(0o400)).unwrap();
    let (sudo, gaps) = gather::<Sudo>(root);
    assert_eq!(gaps, []);
    assert!(!sudo.installed);
    assert_eq!((grant(&sudo, "%sudo").accounts.as_slice(), grant(&sudo, "%sudo").password_needed), (&["anna".to_string()][..], true));
    assert!(grant(&sudo, "dora.x").accounts.is_empty());
    let failing: Vec<String> = judged(&sudo, &gaps, Verdict::Fail).into_iter().map(|(rule, subject, _)| format!("{rule} {subject}")).collect();
    assert_eq!(failing, ["access-sudo-nopasswd-all bob /etc/doas.conf:3", "sudo-root-shell carl /etc/doas.conf:8"]);

    // doas itself accepts the file and decides so.
    let script = format!(
        "for f in etc/passwd etc/group; do mount --bind {0}/$f /$f || exit 1; done\nfor u in anna bob carl dora.x; do setpriv --reuid $u --clear-groups doas -C {0}/etc/doas.conf /usr/bin/id; done",
        root.display()
    );
    // The policy must be readable to the one who asks.
    std::fs::set_permissions(root.join("etc/doas.conf"), std::fs::Permissions::from_mode(0o444)).unwrap();
    std::fs::set_permissions(root, std::fs::Permissions::from_mode(0o755)).unwrap();
    let out = Command::new("unshare").args(["-m", "sh", "-c", &script]).output().unwrap();
    let said: Vec<String> = String::from_utf8(out.stdout).unwrap().lines().map(String::from).collect();
    assert_eq!(said, ["deny", "permit nopass", "permit nopass", "deny"], "{}", String::from_utf8_lossy(&out.stderr));
}

/// Cuts and flips of policies: nothing panics, nothing hangs.
#[test]
fn mutated_policies_are_survived() {
    let seed = "User_Alias A = %a b, !\"c d\", #1 : B = A\nCmnd_Alias C = sha256:ab= /bin/x \\, y, ^/bin/.*$ ^-a$\nDefaults:A !authenticate, env_keep += \"X Y\"\nA,B ALL,!h = (r:g, %x) NOPASSWD: NOTAFTER=2026 C, !/bin/\\\n z : ALL=sudoedit /etc/x\n@include a b\n";
    let dir = machine("");
    for (index, byte) in (0..seed.len()).zip([b'\\', b'"', b'\n', b'!', b'=', b',', b':', b'(', 0, 0xff, b'#', b'^'].into_iter().cycle()) {
        let mut text = seed.as_bytes().to_vec();
        text[index] = byte;
        text.truncate(text.len() - index % 11);
        std::fs::write(dir.path().join("etc/sudoers"), &text).unwrap();
        std::fs::write(dir.path().join("etc/doas.conf"), &text).unwrap();
        gather::<Sudo>(dir.path());
    }
    // An alias that names itself ends.
    std::fs::write(dir.path().join("etc/sudoers"), "User_Alias A = B, B, B\nUser_Alias B = A, A, A\nA ALL=ALL\n").unwrap();
    gather::<Sudo>(dir.path());
}
