//! Accounts, keys, sudo and sshd against the programs that decide: sshd -T, ssh-keygen, sudo,
//! utmpdump and lastlog; and the join of leavers over planted roots, faults beside sound decoys.

use std::path::Path;
use std::process::Command;

use assay::facts::accounts::Accounts;
use assay::facts::ssh_keys::SshKeys;
use assay::facts::sshd::Sshd;
use assay::facts::sudo::Sudo;
use assay::facts::{self, HostFamily};
use assay::host::Host;
use assay::model::against::Against;
use assay::model::fact::Observation;
use assay::model::finding::Verdict;
use assay::model::gap::{Gap, Gaps};
use assay::model::policy::Policy;
use assay::model::roster::Roster;
use assay::rules::{self, Input, Pack, access};

/// 2026-11-22T00:00:00Z.
const NOW: i64 = 1_795_305_600;

fn write(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

fn gather<T: HostFamily>(root: &Path) -> (T, Vec<Gap>) {
    let host = Host::rooted(root).unwrap();
    let mut gaps = Gaps::new();
    let document = T::gather(&host, &mut gaps);
    let gaps = gaps.into_sorted();
    (document.unwrap_or_else(|| panic!("nothing gathered: {gaps:?}")), gaps)
}

fn run(command: &mut Command) -> String {
    let out = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    assert!(out.status.success(), "{command:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

/// `{ROOT}` stands for the folder where the real program sees it and for nothing below our root.
fn sshd_root(main: &str, others: &[(&str, &str)]) -> (tempfile::TempDir, Sshd, Vec<Gap>) {
    let dir = tempfile::tempdir().unwrap();
    let status = std::fs::read_to_string("/var/lib/dpkg/status").unwrap_or_default();
    write(dir.path(), "var/lib/dpkg/status", &status);
    write(dir.path(), "etc/passwd", PASSWD);
    write(dir.path(), "etc/group", GROUP);
    write(dir.path(), "etc/ssh/sshd_config", &main.replace("{ROOT}", ""));
    for (path, text) in others {
        write(dir.path(), path, &text.replace("{ROOT}", ""));
    }
    let (sshd, gaps) = gather::<Sshd>(dir.path());
    (dir, sshd, gaps)
}

/// `sshd -T` over the same text with the folder's own paths.
fn real_sshd(dir: &Path, main: &str, others: &[(&str, &str)]) -> Vec<(String, String)> {
    std::fs::create_dir_all("/run/sshd").unwrap();
    let here = dir.to_str().unwrap();
    for (path, text) in others {
        write(dir, path, &text.replace("{ROOT}", here));
    }
    let config = dir.join("real_config");
    std::fs::write(&config, main.replace("{ROOT}", here)).unwrap();
    let key = dir.join("host_key");
    if !key.exists() {
        run(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key));
    }
    let dump = run(Command::new("/usr/sbin/sshd").arg("-T").arg("-h").arg(&key).arg("-f").arg(&config));
    dump.lines().filter_map(|l| l.split_once(' ')).map(|(k, v)| (k.to_string(), v.to_string())).collect()
}

#[test]
fn sshd_agrees_with_sshd_t() {
    let cases: &[(&str, &[(&str, &str)])] = &[
        ("", &[]),
        ("PermitRootLogin yes\nPermitRootLogin no\nPasswordAuthentication no\n", &[]),
        (
            "Include {ROOT}/etc/ssh/sshd_config.d/*.conf\nPort 2222\nPermitRootLogin no\nX11Forwarding yes\nUsePAM yes\n",
            &[
                ("etc/ssh/sshd_config.d/20-b.conf", "PermitRootLogin yes\nport=2200\n"),
                ("etc/ssh/sshd_config.d/10-a.conf", "PermitRootLogin forced-commands-only # first\n"),
                ("etc/ssh/sshd_config.d/05-a.conf.save", "PermitEmptyPasswords yes\n"),
            ],
        ),
        (
            "Include {ROOT}/etc/ssh/extra.conf\nMaxAuthTries 3\nMatch user backup\n PasswordAuthentication no\n Include {ROOT}/etc/ssh/inner.conf\nMatch all\nPermitRootLogin no\n",
            &[
                ("etc/ssh/extra.conf", "Match group sftp\nPermitEmptyPasswords yes\nX11Forwarding yes\n"),
                ("etc/ssh/inner.conf", "PubkeyAuthentication no\nMatch all\nMaxAuthTries 1\n"),
            ],
        ),
        ("Ciphers +aes128-cbc,3des-cbc\nMACs -*sha1*,umac-64*\nKexAlgorithms ^diffie-hellman-group14-sha1\n", &[]),
        ("Ciphers aes256-gcm@openssh.com,aes256-ctr\nLoginGraceTime 1m30s\nAuthorizedKeysFile \"/etc/ssh/keys/%u\" .ssh/authorized_keys\n", &[]),
        ("ChallengeResponseAuthentication no\nPermitRootLogin without-password\nStrictModes no\nLoginGraceTime 0\n", &[]),
    ];
    for (main, others) in cases {
        let (dir, ours, gaps) = sshd_root(main, others);
        assert_eq!(gaps, [], "{main}");
        let theirs = real_sshd(dir.path(), main, others);
        let yes = |b: bool| if b { "yes" } else { "no" }.to_string();
        let mut expected = vec![
            ("permitrootlogin", ours.permit_root_login.clone()),
            ("passwordauthentication", yes(ours.password_authentication)),
            ("kbdinteractiveauthentication", yes(ours.kbd_interactive_authentication)),
            ("pubkeyauthentication", yes(ours.pubkey_authentication)),
            ("permitemptypasswords", yes(ours.permit_empty_passwords)),
            ("x11forwarding", yes(ours.x11_forwarding)),
            ("strictmodes", yes(ours.strict_modes)),
            ("usepam", yes(ours.use_pam)),
            ("maxauthtries", ours.max_auth_tries.to_string()),
            ("logingracetime", ours.login_grace_seconds.to_string()),
            ("port", ours.ports.iter().map(ToString::to_string).collect::<Vec<_>>().join("+")),
            ("authorizedkeysfile", ours.authorized_keys_files.join(" ")),
        ];
        for (keyword, list) in [("ciphers", &ours.ciphers), ("macs", &ours.macs), ("kexalgorithms", &ours.kex_algorithms)] {
            if !list.is_empty() {
                expected.push((keyword, list.join(",")));
            }
        }
        for (keyword, value) in expected {
            let said: Vec<&str> = theirs.iter().filter(|(k, _)| k == keyword).map(|(_, v)| v.as_str()).collect();
            assert_eq!(said.join("+").replace("without-password", "prohibit-password"), value, "{keyword} of\n{main}");
        }
    }
}

#[test]
fn match_blocks_are_kept_and_bad_values_are_gaps() {
    let (_dir, sshd, gaps) = sshd_root("PermitRootLogin maybe\nMatch user backup address 10.0.0.0/8\n  PermitRootLogin YES\n", &[]);
    let o = &sshd.overrides[0];
    assert_eq!((o.criteria.as_str(), o.keyword.as_str(), o.value.as_str(), o.source.line), ("user backup address 10.0.0.0/8", "permitrootlogin", "yes", 3));
    assert_eq!(gaps.len(), 1);
    assert_eq!(
        (gaps[0].path.as_str(), gaps[0].detail.as_str()),
        ("permit_root_login", "/etc/ssh/sshd_config:1: permitrootlogin has a value that sshd refuses")
    );

    let (_dir, sshd, _) = sshd_root("PermitRootLogin yes\n", &[("etc/default/ssh", "SSHD_OPTS=\"-o PermitRootLogin=no -p 2022\"\n")]);
    assert_eq!((sshd.permit_root_login.as_str(), sshd.ports.as_slice()), ("no", &[2022][..]));

    let empty = tempfile::tempdir().unwrap();
    let (sshd, gaps) = gather::<Sshd>(empty.path());
    assert!(!sshd.installed && gaps.is_empty());
}

const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nanna:x:2001:2001:Anna Berg,,,:/home/anna:/bin/sh\nbob:x:2002:2002::/home/bob:/bin/sh\n\
    carl:x:2003:2003::/home/carl:/bin/sh\ndora:x:2004:2500::/home/dora:/bin/sh\n";
const GROUP: &str = "root:x:0:\nsudo:x:27:anna\nanna:x:2001:\nbob:x:2002:\ncarl:x:2003:\nops:x:2500:bob\n";

#[test]
fn keys_are_read_as_ssh_keygen_does() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    write(root, "etc/passwd", PASSWD);
    write(root, "etc/group", GROUP);
    write(root, "etc/ssh/sshd_config", "AuthorizedKeysFile .ssh/authorized_keys /etc/keys/%u\nMatch user carl\nAuthorizedKeysFile /etc/only/%U\n");
    let mut lines = String::new();
    for (kind, bits) in [("rsa", "1024"), ("rsa", "3072"), ("ecdsa", "256"), ("ecdsa", "384"), ("ecdsa", "521"), ("ed25519", "256"), ("dsa", "1024")] {
        let file = root.join(format!("k-{kind}-{bits}"));
        let made = Command::new("ssh-keygen").args(["-q", "-N", "", "-t", kind, "-b", bits, "-C", "some one@host", "-f"]).arg(&file).output().unwrap();
        // Newer releases make no DSA keys.
        if made.status.success() || kind != "dsa" {
            lines.push_str(&std::fs::read_to_string(file.with_extension("pub")).unwrap());
        }
    }
    write(root, "home/anna/.ssh/authorized_keys", &format!("# keys\n\n{lines}not a key\n"));
    let first = lines.lines().next().unwrap();
    write(root, "etc/keys/bob", &format!("command=\"echo \\\"hi, there\\\"\",no-pty {first}\n"));
    write(root, "etc/only/2003", first);
    write(root, "home/carl/.ssh/authorized_keys", first);
    let (keys, gaps) = gather::<SshKeys>(root);
    assert_eq!(gaps, []);
    let ours: Vec<String> = keys.items.iter().filter(|k| k.account == "anna").map(|k| format!("{} {} {}", k.bits.unwrap(), k.fingerprint, k.comment)).collect();
    let listing = run(Command::new("ssh-keygen").arg("-lf").arg(root.join("home/anna/.ssh/authorized_keys")));
    let theirs: Vec<String> = listing.lines().map(|l| l.rsplit_once(" (").unwrap().0.to_string()).collect();
    assert_eq!(ours, theirs);
    assert!(ours.len() >= 6);
    let places: Vec<String> = keys.items.iter().filter(|k| k.account != "anna").map(|k| format!("{} [{}]", k.subject, k.options.join(","))).collect();
    assert_eq!(places, ["bob /etc/keys/bob:1 [command,no-pty]", "carl /etc/only/2003:1 []"]);
    let file = keys.files.iter().find(|f| f.account == "anna").unwrap();
    assert_eq!((file.keys as usize, file.unreadable_lines), (ours.len(), 1));
    assert_eq!((keys.shared.len(), keys.shared[0].accounts.join(" ")), (1, "anna bob carl".into()));
}

/// What `sudo -l -U` says in a mount namespace where passwd, group and sudoers are the planted ones.
fn real_sudo(root: &Path, user: &str) -> String {
    let root = root.to_str().unwrap();
    let script = format!(
        "set -e; for f in etc/passwd etc/group etc/shadow etc/sudoers etc/sudoers.d; do mount --bind {root}/$f /$f; done; LC_ALL=C sudo -l -U {user} 2>&1 || true"
    );
    run(Command::new("unshare").args(["-m", "sh", "-c", &script]))
}

#[test]
fn sudo_agrees_with_sudo() {
    let hostname = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let policies = [
        "root ALL=(ALL:ALL) ALL\n%sudo ALL=(ALL:ALL) ALL\n@includedir /etc/sudoers.d\n",
        "User_Alias OPS = bob, \\\n  %ops, !dora\nCmnd_Alias SHELLS = /bin/sh -c x, /bin/bash : LIST = /bin/ls\nRunas_Alias DB = daemon, root\n\
         OPS ALL = (DB) NOPASSWD: SHELLS, PASSWD: LIST\nanna nosuchhost=(ALL) ALL\ncarl ALL=(daemon) ALL # only daemon\n",
        "Defaults !authenticate\nbob ALL=(ALL) ALL\ncarl ALL=(ALL) PASSWD: ALL\n#2004 ALL=ALL\n%#27 ALL=(root) /bin/ls, !/bin/su\n",
        "Host_Alias HERE = {HOST}\nALL, !bob HERE = (ALL) NOPASSWD: ALL : nosuchhost = /bin/x\nnonsense line\n\"%sudo\" ALL=(ALL) ALL\n",
        "Defaults:bob !authenticate\n%ops ALL=(ALL) ALL\nanna ALL=(:root) ALL\ncarl ALL=() ALL\n",
    ];
    for (index, policy) in policies.iter().enumerate() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        write(root, "etc/hostname", &hostname);
        write(root, "etc/passwd", PASSWD);
        write(root, "etc/group", GROUP);
        write(
            root,
            "etc/shadow",
            "root:*:19000:0:99999:7:::\nanna:*:19000:0:99999:7:::\nbob:*:19000:0:99999:7:::\ncarl:*:19000:0:99999:7:::\ndora:*:19000:0:99999:7:::\n",
        );
        write(root, "etc/sudoers", &policy.replace("{HOST}", hostname.trim()));
        write(root, "etc/sudoers.d/10-bob", "bob ALL=(root) NOPASSWD: /bin/ls\n");
        write(root, "etc/sudoers.d/20.bak", "carl ALL=(ALL) NOPASSWD: ALL\n");
        write(root, "etc/sudoers.d/30~", "carl ALL=(ALL) NOPASSWD: ALL\n");
        let (sudo, gaps) = gather::<Sudo>(root);
        assert_eq!(gaps.len(), usize::from(index == 3), "{gaps:?}");
        for user in ["anna", "bob", "carl", "dora"] {
            let said = real_sudo(root, user);
            let listed: Vec<&str> = said.lines().filter(|l| l.starts_with("    (")).collect();
            assert!(!listed.is_empty() || said.contains("is not allowed to run sudo"), "{said}");
            let ours: Vec<_> = sudo.grants.iter().filter(|g| g.accounts.iter().any(|a| a == user)).collect();
            assert_eq!(!ours.is_empty(), !listed.is_empty(), "{user} in\n{policy}\n{said}\n{ours:?}");
            let as_root = |l: &str| {
                l.split(')').next().is_some_and(|r| {
                    r.contains("ALL") && !r.starts_with("    (ALL :") || r.contains("root") && !r.contains(": root") || r.starts_with("    (ALL :")
                })
            };
            let everything = listed.iter().any(|l| l.ends_with(" ALL") && as_root(l));
            assert_eq!(ours.iter().any(|g| g.all_commands && g.as_root), everything, "{user} in\n{policy}\n{said}\n{ours:?}");
            // sudo -l prints the tag only where it differs from the default of that user.
            if !policy.contains("authenticate") {
                // The last match decides, so what stands before a line of ALL commands counts no more.
                let last = listed.iter().rposition(|l| l.ends_with(" ALL")).unwrap_or(0);
                let free = listed.iter().skip(last).any(|l| l.contains("NOPASSWD:"));
                assert_eq!(ours.iter().any(|g| !g.password_needed), free, "{user} in\n{policy}\n{said}\n{ours:?}");
            }
        }
        if index == 2 {
            let needed = |user: &str| sudo.grants.iter().find(|g| g.who == user).unwrap().password_needed;
            assert_eq!((needed("bob"), needed("carl"), needed("#2004")), (false, true, false));
        }
        if index == 4 {
            assert!(!sudo.grants.iter().find(|g| g.who == "%ops").unwrap().password_needed);
        }
    }
}

#[test]
fn a_later_line_takes_a_grant_back() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "etc/passwd", PASSWD);
    write(dir.path(), "etc/group", GROUP);
    write(dir.path(), "etc/sudoers", "bob ALL=(ALL) NOPASSWD: ALL\ncarl ALL=(ALL) NOPASSWD: ALL\nbob ALL=(ALL) ALL\ncarl ALL=(ALL) !ALL\n");
    let (sudo, _) = gather::<Sudo>(dir.path());
    assert!(sudo.grants.iter().all(|g| g.password_needed || g.accounts.is_empty()), "{:?}", sudo.grants);
    assert!(!sudo.grants.iter().any(|g| g.all_commands && g.accounts.iter().any(|a| a == "carl")));
}

#[test]
fn last_logins_come_from_lastlog_and_wtmp() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    write(root, "etc/passwd", PASSWD);
    write(root, "etc/group", GROUP);
    write(root, "etc/shadow", "anna:$y$j9T$a$b:19000:0:99999:7:::\n");
    let text = root.join("wtmp.txt");
    let record = |kind: u8, user: &str, at: &str| {
        format!("[{kind}] [01234] [ts/1] [{user:8}] [pts/1       ] [10.0.0.5            ] [10.0.0.5       ] [{at},000000+00:00]\n")
    };
    std::fs::write(
        &text,
        [record(7, "anna", "2026-11-20T10:00:00"), record(7, "anna", "2026-11-01T10:00:00"), record(8, "bob", "2026-11-21T10:00:00")].concat(),
    )
    .unwrap();
    std::fs::create_dir_all(root.join("var/log")).unwrap();
    let out = Command::new("utmpdump").arg("-r").stdin(std::fs::File::open(&text).unwrap()).output().unwrap();
    std::fs::write(root.join("var/log/wtmp"), &out.stdout).unwrap();
    let (accounts, gaps) = gather::<Accounts>(root);
    let at = |accounts: &Accounts, name: &str| accounts.users.iter().find(|u| u.name == name).and_then(|u| u.last_login_at);
    assert_eq!((at(&accounts, "anna"), at(&accounts, "bob"), accounts.logins_complete), (Some(1_795_168_800), None, false));
    assert_eq!((gaps.len(), gaps[0].path.as_str()), (1, "users.last_login_at"));

    std::fs::write(root.join("var/log/lastlog"), "").unwrap();
    run(Command::new("lastlog").arg("-R").arg(root).args(["-u", "bob", "-S"]));
    let (accounts, gaps) = gather::<Accounts>(root);
    assert!(at(&accounts, "bob").unwrap() > 1_700_000_000 && accounts.logins_complete && gaps.is_empty());
    assert_eq!(at(&accounts, "carl"), None);
}

/// A machine with three people and their ways in.
pub(crate) fn planted(root: &Path) {
    for shell in ["bin/bash", "bin/sh", "usr/sbin/nologin", "usr/sbin/sshd"] {
        write(root, shell, "");
    }
    write(
        root,
        "etc/passwd",
        "root:x:0:0:root:/root:/bin/bash\nmkeller:x:1001:1001:Max Keller,,,:/home/mkeller:/bin/bash\ndeploy:x:1002:1002::/home/deploy:/bin/bash\n\
         anna:x:1003:1003:Anna Berg:/home/anna:/bin/bash\neva:x:1004:1004:Eva Exit:/home/eva:/bin/bash\nlocked:x:1005:1005:Lars Lock:/home/locked:/usr/sbin/nologin\n\
         nora:x:1006:1006:Nora New:/home/nora:/bin/bash\n",
    );
    write(
        root,
        "etc/shadow",
        "root:*:19000::::::\nmkeller:!$y$j9T$a$b:19000:0:99999:7:::\ndeploy:!:19000:0:99999:7:::\nanna:$y$j9T$a$b:20700:0:99999:7:::\n\
         eva:$y$j9T$a$b:19000:0:99999:7::1:\nlocked:!$y$j9T$a$b:19000:0:99999:7:::\nnora:$y$j9T$a$b:20700:0:99999:7:::\n",
    );
    std::fs::set_permissions(root.join("etc/shadow"), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    write(
        root,
        "etc/group",
        "root:x:0:\nsudo:x:27:eva\nmkeller:x:1001:\ndeploy:x:1002:\nanna:x:1003:\neva:x:1004:\nlocked:x:1005:\nnora:x:1006:\ndocker:x:99:deploy\n",
    );
    write(root, "etc/ssh/sshd_config", "UsePAM yes\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n");
    write(root, "etc/sudoers", "root ALL=(ALL:ALL) ALL\n%sudo ALL=(ALL:ALL) ALL\n@includedir /etc/sudoers.d\n");
    write(root, "etc/sudoers.d/ops", "# ops\ndeploy ALL=(ALL) ALL\n");
    let key = |name: &str, comment: &str| {
        let file = root.join(name);
        run(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-C", comment, "-f"]).arg(&file));
        std::fs::read_to_string(file.with_extension("pub")).unwrap()
    };
    let (max, anna, eva) = (key("max", "max keller laptop"), key("anna", "anna@desk"), key("eva", "e.exit@example.org"));
    write(root, "home/deploy/.ssh/authorized_keys", &format!("# deploy\n{anna}{max}"));
    // A colleague's key in the leaver's account, and a key of an expired account.
    write(root, "home/mkeller/.ssh/authorized_keys", &anna);
    write(root, "home/eva/.ssh/authorized_keys", &eva);
    // An expired key of a leaver in a living account.
    write(root, "home/anna/.ssh/authorized_keys", &format!("expiry-time=\"20260101\" {eva}"));
}

pub(crate) const ROSTER: &str = "person;full name;accounts;email;ended at\nm.keller;Max Keller;mkeller;;08.11.2026\nanna;Anna Berg;anna;;\ne.exit;Eva Exit;eva;e.exit@example.org;2026-10-01\n\
    lars;Lars Lock;locked;;2026-10-01\nnora.old;Nora New;nnew;;2026-10-01\nnora;Nora New;nora;;\nghost;Gil Host;ghost;;2026-10-01\nrehired;R H;deploy2;;2020-01-01\nrehired;R H;deploy2;;\n";

pub(crate) fn observe(root: &Path) -> Observation {
    let host = Host::rooted(root).unwrap();
    let mut observation = Observation { gathered_at: NOW, ..Observation::default() };
    let mut gaps = Gaps::new();
    for name in ["accounts", "ssh_keys", "sudo", "sshd", "jobs"] {
        if let Some(value) = facts::gather(facts::family(name).unwrap(), &host, &mut gaps) {
            observation.families.insert(name.into(), value);
        }
    }
    observation.gaps = gaps.into_sorted();
    observation
}

#[test]
fn certificates_of_a_trusted_authority_are_ways_in() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    planted(root);
    let config = std::fs::read_to_string(root.join("etc/ssh/sshd_config")).unwrap();
    let trust = "TrustedUserCAKeys /etc/ssh/ca.pub\nAuthorizedPrincipalsFile /etc/ssh/principals/%u\n";
    write(root, "etc/ssh/sshd_config", &format!("{trust}{config}"));
    write(root, "etc/ssh/principals/anna", "# ghost\nghost\nnora\n");
    let open = || {
        let roster = Roster::parse("roster.csv", ROSTER.as_bytes()).unwrap();
        let (access, gaps) = access::derive(&observe(root), Against { roster: Some(&roster), approvals: None, ..Against::default() });
        assert!(gaps.iter().all(|g| g.subject != "trustedusercakeys"), "{gaps:?}");
        let ways = access.unwrap().leavers.into_iter().flat_map(|l| l.open.into_iter().map(move |w| (l.subject.clone(), w)));
        ways.filter(|(_, w)| w.kind == "ssh-certificate").map(|(who, w)| format!("{who}: {}", w.detail)).collect::<Vec<_>>()
    };
    // A file of authorities that is not there trusts nobody.
    assert_eq!(open(), Vec::<String>::new());
    let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGtJqn1gWfcIVFeXcuUe3tlXTXsJuXqMOoc9UkLxkcVT ca\n";
    write(root, "etc/ssh/ca.pub", key);
    assert_eq!(open(), ["ghost: certificate for ghost opens anna by /etc/ssh/principals/anna:2"]);
}

#[test]
fn a_role_of_a_database_is_a_match_too() {
    let dir = tempfile::tempdir().unwrap();
    planted(dir.path());
    let roster = Roster::parse("leavers.csv", ROSTER.as_bytes()).unwrap();
    let mut observation = observe(dir.path());
    let role = serde_json::json!({"subject": "postgresql main ghost", "name": "ghost", "can_sign_in": true, "superuser": false, "valid_until": null,
        "source": {"place": "/run/postgresql/.s.PGSQL.5432", "line": 0, "directive": ""}});
    observation.families.insert("databases".into(), serde_json::json!({"roles": [role]}));
    let derived = access::derive(&observation, Against { roster: Some(&roster), approvals: None, ..Against::default() }).0.unwrap();
    assert_eq!(derived.leaver_roles.iter().map(|r| r.subject.as_str()).collect::<Vec<_>>(), ["ghost: postgresql main ghost"]);
    assert_eq!(derived.unmatched_people, ["nora.old", "rehired"]);
}

#[test]
fn leavers_are_found_where_they_still_get_in() {
    let dir = tempfile::tempdir().unwrap();
    planted(dir.path());
    let roster = Roster::parse("leavers.csv", ROSTER.as_bytes()).unwrap();
    let (derived, gaps) = access::derive(&observe(dir.path()), Against { roster: Some(&roster), approvals: None, ..Against::default() });
    // Nothing but the list of approvals and the databases is missing.
    assert!(gaps.iter().all(|g| matches!(g.path.as_str(), "approvals" | "privileged" | "leaver_roles")), "{gaps:?}");
    let derived = derived.unwrap();
    let summaries: Vec<String> = derived.leavers.iter().map(|l| format!("{} {}: {}", l.subject, l.days_since_end, l.summary)).collect();
    assert_eq!(
        summaries,
        [
            "e.exit 52: ",
            "ghost 52: ",
            "lars 52: ",
            "m.keller 14: key in /home/deploy/.ssh/authorized_keys:3, sudo ALL by /etc/sudoers.d/ops:2, group docker by /etc/group:9",
            "nora.old 52: "
        ]
    );
    assert!(derived.leavers[3].open.iter().all(|w| w.account == "deploy" && w.matched_by == "full name"));
    let revoked: Vec<&str> = derived.leavers[0].revoked.iter().map(|w| w.detail.as_str()).collect();
    assert_eq!(
        revoked,
        [
            "password of eva in /etc/shadow:5: the account is expired",
            "key in /home/anna/.ssh/authorized_keys:1: the key is expired",
            "key in /home/eva/.ssh/authorized_keys:1: the account is expired",
            "sudo ALL by /etc/sudoers:2: the account is closed"
        ]
    );
    assert_eq!(derived.unmatched_people, ["ghost", "nora.old", "rehired"]);
    let entered: Vec<String> = derived.accounts.iter().map(|a| format!("{}: {} {}", a.subject, a.people.join("+"), a.unmatched)).collect();
    assert_eq!(entered, ["anna: anna ", "deploy: anna+m.keller ", "mkeller: anna ", "nora: nora "]);
    assert!(!derived.leavers[1].matched && derived.leavers[3].matched);
}

#[test]
fn a_way_in_that_is_closed_is_not_reported() {
    let dir = tempfile::tempdir().unwrap();
    planted(dir.path());
    let roster = Roster::parse("leavers.csv", ROSTER.as_bytes()).unwrap();
    let still_open = |config: &str| {
        write(dir.path(), "etc/ssh/sshd_config", config);
        let (derived, _) = access::derive(&observe(dir.path()), Against { roster: Some(&roster), approvals: None, ..Against::default() });
        derived.unwrap().leavers.iter().filter(|l| !l.open.is_empty()).map(|l| l.subject.clone()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(still_open("UsePAM yes\n"), "m.keller");
    assert_eq!(still_open("UsePAM yes\nPubkeyAuthentication no\n"), "");
    assert_eq!(still_open("UsePAM yes\nDenyUsers deploy\n"), "");
    assert_eq!(still_open("UsePAM yes\nAllowGroups sudo\n"), "");
    assert_eq!(still_open("UsePAM yes\nPubkeyAuthentication no\nMatch address 10.0.0.0/8\nPubkeyAuthentication yes\n"), "m.keller");
}

#[test]
fn what_could_not_be_read_makes_leavers_unknown() {
    let dir = tempfile::tempdir().unwrap();
    planted(dir.path());
    std::fs::remove_file(dir.path().join("etc/shadow")).unwrap();
    let roster = Roster::parse("leavers.csv", ROSTER.as_bytes()).unwrap();
    let observation = observe(dir.path());
    let pack = Pack::builtin(facts::schemas()).unwrap();
    let findings = rules::evaluate(
        &pack,
        &Input {
            observation: &observation,
            policy: &Policy::default(),
            against: Against { roster: Some(&roster), approvals: None, ..Against::default() },
            advisories: None,
        },
    );
    let verdict = |rule: &str, subject: &str| findings.iter().find(|f| f.rule == rule && f.subject == subject).map(|f| f.verdict);
    for leaver in ["m.keller", "e.exit", "ghost"] {
        assert_eq!(verdict("access-leaver-active", leaver), Some(Verdict::Unknown), "{leaver}");
    }
    assert_eq!(verdict("access-password-empty", ""), Some(Verdict::Unknown));
    let without = rules::evaluate(&pack, &Input { observation: &observation, policy: &Policy::default(), against: Against::default(), advisories: None });
    assert!(without.iter().filter(|f| f.rule == "access-leaver-active").all(|f| f.verdict == Verdict::Unknown));
}

#[test]
fn planted_faults_fail_and_sound_hosts_do_not() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    planted(root);
    let failing = || {
        let observation = observe(root);
        let pack = Pack::builtin(facts::schemas()).unwrap();
        let findings = rules::evaluate(&pack, &Input { observation: &observation, policy: &Policy::default(), against: Against::default(), advisories: None });
        // Homes and groups are not made here; tests/it/pam.rs judges them.
        let bare = |rule: &str| matches!(rule, "access-home-missing" | "access-group-missing");
        let failed = findings.into_iter().filter(|f| f.verdict == Verdict::Fail && !bare(&f.rule));
        let mut out: Vec<String> = failed.map(|f| format!("{}: {}", f.rule, f.message)).collect();
        out.sort();
        out
    };
    let shared = failing();
    assert_eq!(shared.len(), 1, "{shared:?}");
    assert!(shared[0].starts_with("access-ssh-key-shared"), "{shared:?}");

    let append = |path: &str, text: &str| {
        let old = std::fs::read_to_string(root.join(path)).unwrap();
        write(root, path, &format!("{old}{text}"));
    };
    append(
        "etc/passwd",
        "toor:x:0:0::/root:/bin/bash\nanna2:x:1003:1003::/home/x:/bin/bash\nkiosk::1010:1010::/home/k:/bin/bash\nanna:x:1011:1011::/home/a:/bin/bash\nold:$1$a$b:1012:1012::/home/o:/bin/bash\n",
    );
    append("etc/sudoers.d/ops", "Cmnd_Alias EVERYTHING = ALL\ndeploy ALL = (root) NOPASSWD: EVERYTHING\n");
    append(
        "etc/ssh/sshd_config",
        "Ciphers +3des-cbc\nPubkeyAcceptedAlgorithms +ssh-rsa\nMatch address 192.0.2.0/24\nPermitRootLogin yes\nPermitEmptyPasswords yes\nPasswordAuthentication yes\n",
    );
    write(root, "var/lib/dpkg/status", "Package: openssh-server\nVersion: 1:9.2p1-2+deb12u3\n\n");
    std::fs::set_permissions(root.join("home/deploy/.ssh"), std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    let rules: Vec<String> = failing().into_iter().filter(|f| !f.starts_with("access-ssh-key-shared")).collect();
    assert_eq!(
        rules,
        [
            "access-authorized-keys-writable: somebody else than deploy and root may write /home/deploy/.ssh",
            "access-duplicate-name: /etc/passwd names more than once: anna",
            "access-duplicate-uid: several accounts share uid 1003 (anna, anna2)",
            "access-password-empty: no password is asked of kiosk",
            "access-password-in-passwd: /etc/passwd, which everybody may read, holds the password hash of old",
            "access-password-scheme-weak: password hashed by a scheme that is not permitted: old (md5crypt)",
            "access-second-uid-zero: user id 0, which is root, also belongs to toor",
            "access-sudo-nopasswd-all: deploy runs every command as root without a password (deploy), by /etc/sudoers.d/ops:4",
            "ssh-empty-passwords: PermitEmptyPasswords is yes for root and others when connections match address 192.0.2.0/24 by /etc/ssh/sshd_config:8",
            "ssh-password-authentication: passwords are accepted for 11 accounts when connections match address 192.0.2.0/24 by passwordauthentication at /etc/ssh/sshd_config:9",
            "ssh-root-login: PermitRootLogin is yes for connections that match address 192.0.2.0/24 by /etc/ssh/sshd_config:7",
            "ssh-weak-algorithms: the configuration permits 3des-cbc, pubkeyacceptedalgorithms +ssh-rsa at /etc/ssh/sshd_config:4, at /etc/ssh/sshd_config:5",
        ]
    );
}
