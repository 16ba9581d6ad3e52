//! The configuration of sshd for each account and connection against `sshd -T -C`, and keys with
//! planted faults beside sound decoys.

use std::collections::BTreeMap;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::Path;
use std::process::Command;

use assay::facts::ssh_keys::SshKeys;
use assay::facts::sshd::{self, AccountAccess, Connection, Sshd};
use assay::facts::{Document, HostFamily};
use assay::host::Host;
use assay::model::fact::Observation;
use assay::model::finding::Verdict;
use assay::model::gap::{Gap, Gaps};
use assay::model::policy::Policy;
use assay::rules::{self, Input, Pack};

const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nanna:x:2001:2001:Anna Berg:/home/anna:/bin/sh\nbob:x:2002:2002::/home/bob:/bin/sh\n\
    carl:x:2003:2003::/home/carl:/bin/sh\nsshd:x:105:65534::/run/sshd:/usr/sbin/nologin\n";
const GROUP: &str = "root:x:0:\nsudo:x:27:anna\nanna:x:2001:\nbob:x:2002:\ncarl:x:2003:\nops:x:2500:bob\nsftponly:x:2600:carl\nnogroup:x:65534:\n";

pub fn write(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

pub fn gather<T: HostFamily>(root: &Path) -> (T, Vec<Gap>) {
    let host = Host::rooted(root).unwrap();
    let mut gaps = Gaps::new();
    let document = T::gather(&host, &mut gaps);
    let gaps = gaps.into_sorted();
    (document.unwrap_or_else(|| panic!("nothing gathered: {gaps:?}")), gaps)
}

/// Rule and subject of every finding with this verdict, message added.
pub fn judged<T: Document>(document: &T, gaps: &[Gap], verdict: Verdict) -> Vec<(String, String, String)> {
    let families = BTreeMap::from([(T::NAME.to_string(), serde_json::to_value(document).unwrap())]);
    let observation = Observation { gathered_at: 1_795_305_600, families, gaps: gaps.to_vec() };
    let pack = Pack::builtin(assay::facts::schemas()).unwrap_or_else(|e| panic!("{e}"));
    let findings = rules::evaluate(
        &pack,
        &Input { observation: &observation, policy: &Policy::default(), against: assay::model::against::Against::default(), advisories: None },
    );
    findings.into_iter().filter(|f| f.verdict == verdict).map(|f| (f.rule, f.subject, f.message)).collect()
}

fn run(command: &mut Command) -> String {
    let out = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    assert!(out.status.success(), "{}: {}", command.get_program().to_string_lossy(), String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

fn root_with(main: &str, others: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "etc/passwd", PASSWD);
    write(dir.path(), "etc/group", GROUP);
    write(dir.path(), "etc/ssh/sshd_config", main);
    for (path, text) in others {
        write(dir.path(), path, text);
    }
    dir
}

/// `sshd -T -C` for each connection, in a mount namespace where the root's files are the machine's.
fn dumps(root: &Path, connections: &[Connection]) -> Vec<BTreeMap<String, String>> {
    std::fs::create_dir_all("/run/sshd").unwrap();
    let key = root.join("host_key");
    run(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key));
    let here = root.to_str().unwrap();
    let mut script = format!("set -e\nfor f in etc/passwd etc/group etc/ssh; do mount --bind {here}/$f /$f; done\n");
    for c in connections {
        let mut spec = format!("user={},host={},addr={}", c.user, c.host.as_ref().unwrap(), c.address.unwrap());
        spec.push_str(&c.local_port.map(|p| format!(",lport={p}")).unwrap_or_default());
        spec.push_str(&c.local_address.map(|a| format!(",laddr={a}")).unwrap_or_default());
        spec.push_str(&c.rdomain.as_ref().map(|r| format!(",rdomain={r}")).unwrap_or_default());
        script.push_str(&format!("/usr/sbin/sshd -T -h {} -C '{spec}'\necho --\n", key.display()));
    }
    let out = run(Command::new("unshare").args(["-m", "sh", "-c", &script]));
    let dump = |text: &str| {
        let mut map: BTreeMap<String, String> = BTreeMap::new();
        for (keyword, value) in text.lines().filter_map(|l| l.split_once(' ')) {
            let entry = map.entry(keyword.to_string()).or_default();
            *entry = if entry.is_empty() { value.to_string() } else { format!("{entry} {value}") };
        }
        map
    };
    out.split("--\n").map(dump).take(connections.len()).collect()
}

const COMPARED: [&str; 29] = [
    "permitrootlogin",
    "passwordauthentication",
    "kbdinteractiveauthentication",
    "pubkeyauthentication",
    "hostbasedauthentication",
    "permitemptypasswords",
    "authenticationmethods",
    "authorizedkeysfile",
    "authorizedkeyscommand",
    "authorizedprincipalsfile",
    "trustedusercakeys",
    "revokedkeys",
    "forcecommand",
    "chrootdirectory",
    "allowusers",
    "denyusers",
    "allowgroups",
    "denygroups",
    "acceptenv",
    "banner",
    "x11forwarding",
    "gatewayports",
    "permittunnel",
    "allowtcpforwarding",
    "allowagentforwarding",
    "maxauthtries",
    "maxsessions",
    "usepam",
    "permituserenvironment",
];

fn connections() -> Vec<Connection> {
    let mut out = Vec::new();
    for (user, groups) in [("root", "root"), ("anna", "anna sudo"), ("bob", "bob ops"), ("carl", "carl sftponly")] {
        for (address, host, port) in [
            ("192.0.2.9", "client.example.com", 22_u16),
            ("10.1.2.3", "inner.example.org", 22),
            ("10.9.0.1", "x", 2222),
            ("2001:db8::5", "v6.example.com", 22),
            ("127.0.0.1", "localhost", 22),
        ] {
            out.push(Connection {
                user: user.into(),
                groups: groups.split(' ').map(String::from).collect(),
                host: Some(host.into()),
                address: address.parse().ok(),
                local_address: "192.0.2.1".parse().ok(),
                local_port: Some(port),
                rdomain: Some("vrf0".into()),
            });
        }
    }
    out
}

type Case = (&'static str, &'static [(&'static str, &'static str)]);

const CASES: &[Case] = &[
    ("", &[]),
    ("PermitRootLogin yes\nMatch user root\nPermitRootLogin no\n", &[]),
    ("PermitRootLogin no\nMatch address 10.0.0.0/8\nPermitRootLogin yes\n", &[]),
    ("PermitRootLogin no\nMatch address 10.0.0.0/8,!10.9.0.0/16\nPermitRootLogin prohibit-password\nMatch all\nBanner none\n", &[]),
    ("Match user root\nPermitRootLogin no\nMatch user root\nPermitRootLogin yes\n", &[]),
    ("Match group sudo,ops\nPasswordAuthentication no\nMatch user bob\nPasswordAuthentication yes\nMaxAuthTries 2\n", &[]),
    ("Match group *,!ops\nPubkeyAuthentication no\n", &[]),
    ("Match user *,!anna\nPasswordAuthentication no\n", &[]),
    ("Match User=anna Address=10.*\nPermitEmptyPasswords=yes\n", &[]),
    ("Match host *.example.com\nX11Forwarding yes\nMatch host CLIENT.*,!inner*\nGatewayPorts yes\n", &[]),
    ("Match localport 2222\nPasswordAuthentication no\nMatch localaddress 192.0.2.0/24 user anna\nMaxSessions 3\n", &[]),
    ("Match rdomain vrf*\nAllowTcpForwarding no\n", &[]),
    ("AllowUsers anna bob@10.*\nAllowUsers carl\nDenyUsers root@*.example.org\n", &[]),
    ("AllowGroups sudo ops\nDenyGroups sftponly\nMatch user carl\nAllowGroups sftponly\n", &[]),
    ("AllowUsers anna\nMatch address 10.0.0.0/8\nAllowUsers bob\nMatch user bob\nAllowUsers root carl\n", &[]),
    ("AuthorizedKeysFile none\nMatch user anna\nAuthorizedKeysFile /etc/keys/%u .ssh/keys\n", &[]),
    ("AuthenticationMethods publickey,password publickey,keyboard-interactive\nMatch address 127.0.0.1\nAuthenticationMethods password\n", &[]),
    ("Match group sftponly\nForceCommand internal-sftp\nChrootDirectory /srv/%u\nPermitTunnel no\nAllowTcpForwarding local\n", &[]),
    ("AcceptEnv LANG LC_*\nAcceptEnv FOO\nMatch user bob\nAcceptEnv BAR\n", &[]),
    ("UsePAM yes\nUsePAM no\nMatch all\nPermitRootLogin yes\n", &[]),
    ("Match all\nUsePAM yes\nPermitUserEnvironment yes\nPasswordAuthentication no\n", &[]),
    ("PasswordAuthentication no\nMatch all\nPasswordAuthentication yes\nMatch user bob\nPasswordAuthentication no\n", &[]),
    (
        "Include /etc/ssh/sshd_config.d/*.conf\nPermitRootLogin no\nPasswordAuthentication no\n",
        &[
            ("etc/ssh/sshd_config.d/50-b.conf", "PasswordAuthentication yes\n"),
            ("etc/ssh/sshd_config.d/10-a.conf", "Match user anna\nPasswordAuthentication no\nPermitRootLogin yes\n"),
            ("etc/ssh/sshd_config.d/.hidden.conf", "PermitRootLogin yes\n"),
            ("etc/ssh/sshd_config.d/99.conf.bak", "PermitEmptyPasswords yes\n"),
        ],
    ),
    (
        "Match user bob\nInclude inner.conf\nMatch user carl\nInclude inner.conf\n",
        &[("etc/ssh/inner.conf", "MaxAuthTries 1\nMatch address 10.0.0.0/8\nMaxSessions 1\nMatch all\nBanner /etc/issue\n")],
    ),
    (
        "Include a.conf nothing/*.conf b.conf\nMaxAuthTries 5\n",
        &[("etc/ssh/a.conf", "Include b.conf\nMatch user anna\nMaxAuthTries 4\n"), ("etc/ssh/b.conf", "MaxAuthTries 3\nBanner /etc/b\n")],
    ),
    ("PermitRootLogin \"yes\"\nBanner \"/etc/a b\"\nForceCommand /bin/echo a  'b c' # no comment\n", &[]),
    ("\tpermitrootlogin = yes\nPASSWORDAUTHENTICATION no # trailing\n  Match user \"anna\"\n  PasswordAuthentication yes\n", &[]),
    ("ChallengeResponseAuthentication no\nKbdInteractiveAuthentication yes\n", &[]),
    ("TrustedUserCAKeys /etc/ssh/ca.pub\nRevokedKeys none\nMatch user root\nTrustedUserCAKeys none\nAuthorizedPrincipalsFile /etc/p/%u\n", &[]),
    ("AuthorizedKeysCommand /usr/bin/true %u\nAuthorizedKeysCommandUser nobody\nMatch group ops\nAuthorizedKeysCommand none\n", &[]),
    ("Match user a?na address 2001:db8::/32\nPermitEmptyPasswords yes\nMatch address 2001:db8::/32\nPermitEmptyPasswords no\n", &[]),
    ("DenyUsers anna@10.0.0.0/8 bob@!10.9.0.0/16,10.*\nHostbasedAuthentication yes\n", &[]),
    ("#PermitRootLogin yes\n# Match user root\nPermitRootLogin forced-commands-only\n\n\n   #\n", &[]),
    ("Match user anna,bob address 10.0.0.0/8,127.0.0.1 localport 22\nAllowAgentForwarding no\nAuthorizedKeysFile /x\n", &[]),
];

#[test]
fn every_connection_is_decided_as_sshd_does() {
    assert!(CASES.len() >= 30);
    let connections = connections();
    let default = dumps(root_with("", &[]).path(), &connections[..1]).remove(0);
    for (main, others) in CASES {
        let dir = root_with(main, others);
        let theirs = dumps(dir.path(), &connections);
        let host = Host::rooted(dir.path()).unwrap();
        for (connection, theirs) in connections.iter().zip(&theirs) {
            let mut gaps = Gaps::new();
            let ours = sshd::resolve(&host, connection, &mut gaps);
            assert_eq!(gaps.into_sorted(), [], "{main}");
            for keyword in COMPARED {
                let said = theirs.get(keyword).cloned().unwrap_or_default();
                let said = said.replace("without-password", "prohibit-password");
                let mut own = ours.get(keyword).map_or_else(|| default.get(keyword).cloned().unwrap_or_default(), |v| v.join(" "));
                own = own.replace("without-password", "prohibit-password");
                if keyword == "forcecommand" {
                    // Blanks inside a command are sshd's own business: only its words are compared.
                    own = own.replace('\'', "");
                    assert_eq!(own.split_whitespace().next(), said.split_whitespace().next(), "{keyword} of {connection:?} in\n{main}");
                    continue;
                }
                assert_eq!(own, said, "{keyword} of {connection:?} in\n{main}");
            }
        }
    }
}

fn account<'a>(sshd: &'a Sshd, name: &str) -> &'a AccountAccess {
    sshd.per_account.iter().find(|a| a.subject == name).unwrap_or_else(|| panic!("{name} is not among {:?}", sshd.per_account))
}

/// Places are `FILE:LINE`; the refusing line, whether a password opens, its conditions, whether a key opens.
#[test]
fn the_most_permissive_connection_of_an_account_is_told() {
    let (sshd, gaps) = gather::<Sshd>(
        root_with(
            "PermitRootLogin no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nUsePAM yes\nDenyUsers carl\nAllowUsers root anna bob@10.0.0.0/8\n\
             Match address 10.0.0.0/8,!10.1.0.0/16\nPermitRootLogin yes\nPasswordAuthentication yes\n\
             Match user anna\nAuthenticationMethods publickey\nPubkeyAuthentication yes\n\
             Match user bob address 192.0.2.0/24\nPermitEmptyPasswords yes\n",
            &[],
        )
        .path(),
    );
    assert_eq!(gaps, []);
    let root = account(&sshd, "root");
    assert!(root.allowed && root.password_opens && root.key_opens);
    assert_eq!((root.permit_root_login.value.as_str(), root.permit_root_login.conditions.as_str()), ("yes", "address 10.0.0.0/8,!10.1.0.0/16"));
    assert_eq!(root.permit_root_login.source.as_ref().map(|s| (s.place.as_str(), s.line)), Some(("/etc/ssh/sshd_config", 8)));
    let anna = account(&sshd, "anna");
    assert!(anna.allowed && !anna.password_opens && anna.key_opens);
    let bob = account(&sshd, "bob");
    assert!(bob.allowed && bob.password_opens && bob.key_opens);
    assert_eq!(bob.password_conditions, "address 10.0.0.0/8,!10.1.0.0/16");
    // The block for empty passwords holds where bob is not let in.
    assert_eq!((bob.permit_empty_passwords.value.as_str(), bob.empty_password_opens), ("no", false));
    let carl = account(&sshd, "carl");
    assert!(!carl.allowed && !carl.password_opens && !carl.key_opens);
    assert_eq!(carl.refused_by.as_ref().map(|s| s.line), Some(5));

    // A name of a host means nothing as long as UseDNS is off; a port that is not listened on neither.
    let config = "PasswordAuthentication no\nKbdInteractiveAuthentication no\nMatch host *.example.com\nPasswordAuthentication yes\nMatch localport 2222\nPasswordAuthentication yes\n";
    let (sshd, _) = gather::<Sshd>(root_with(config, &[]).path());
    assert!(!account(&sshd, "anna").password_opens);
    let (sshd, _) = gather::<Sshd>(root_with(&format!("UseDNS yes\n{config}"), &[]).path());
    assert_eq!(account(&sshd, "anna").password_conditions, "host *.example.com");
    let (sshd, _) = gather::<Sshd>(root_with(&format!("Port 22\nPort 2222\n{config}"), &[]).path());
    assert_eq!(account(&sshd, "anna").password_conditions, "localport 2222");
}

#[test]
fn faults_of_sshd_are_reported_and_decoys_are_not() {
    let ssh = |main: &str| {
        let (sshd, gaps) = gather::<Sshd>(root_with(main, &[]).path());
        let failing = judged(&sshd, &gaps, Verdict::Fail);
        failing.into_iter().map(|(rule, _, message)| format!("{rule}: {message}")).collect::<Vec<_>>()
    };
    let keys_only = "PasswordAuthentication no\nKbdInteractiveAuthentication no\n";
    for (main, expected) in [
        ("PermitRootLogin yes\nMatch user root\nPermitRootLogin no\n", None),
        ("PermitRootLogin yes\nDenyUsers root\n", None),
        ("PermitRootLogin yes\nAllowGroups ops\n", None),
        ("PermitRootLogin no\nMatch user nobody-here\nPermitRootLogin yes\nPermitEmptyPasswords yes\nPasswordAuthentication yes\n", None),
        ("#PermitRootLogin yes\nPermitRootLogin no\nPermitRootLogin yes\n", None),
        ("PermitRootLogin no\nMatch group root\nPermitRootLogin yes\n", Some("ssh-root-login: PermitRootLogin is yes by /etc/ssh/sshd_config:5")),
        (
            "PermitRootLogin no\nMatch address 192.0.2.0/24\nPermitRootLogin yes\n",
            Some("ssh-root-login: PermitRootLogin is yes for connections that match address 192.0.2.0/24 by /etc/ssh/sshd_config:5"),
        ),
        ("Match user bob\nPermitEmptyPasswords yes\n", Some("ssh-empty-passwords: PermitEmptyPasswords is yes for bob by /etc/ssh/sshd_config:4")),
        (
            "Match user bob,carl\nPasswordAuthentication yes\n",
            Some("ssh-password-authentication: passwords are accepted for bob, carl by passwordauthentication at /etc/ssh/sshd_config:4"),
        ),
        ("Match user bob\nPasswordAuthentication yes\nAuthenticationMethods publickey,password\n", None),
        ("StrictModes no\n", Some("ssh-strict-modes: StrictModes is no by /etc/ssh/sshd_config:3")),
        ("PermitUserEnvironment yes\n", Some("ssh-user-environment: PermitUserEnvironment is yes by /etc/ssh/sshd_config:3")),
        ("HostbasedAuthentication yes\n", Some("ssh-hostbased: HostbasedAuthentication is yes by /etc/ssh/sshd_config:3")),
        ("IgnoreRhosts no\n", Some("ssh-ignore-rhosts: IgnoreRhosts is no by /etc/ssh/sshd_config:3")),
        ("GatewayPorts yes\n", Some("ssh-forwarding-open: GatewayPorts is yes at /etc/ssh/sshd_config:3")),
        ("MaxAuthTries 30\n", Some("ssh-max-auth-tries: MaxAuthTries is 30, at most 6 are accepted by /etc/ssh/sshd_config:3")),
        ("MaxAuthTries 3\nLoginGraceTime 30\nStrictModes yes\nX11Forwarding yes\nGatewayPorts no\n", None),
        ("Ciphers +3des-cbc\n", Some("ssh-weak-algorithms: the configuration permits 3des-cbc at /etc/ssh/sshd_config:3")),
        ("Ciphers -3des-cbc,*-cbc\nMACs -hmac-md5*\n", None),
    ] {
        let failing = ssh(&format!("{keys_only}{main}"));
        assert_eq!(failing, expected.map(String::from).into_iter().collect::<Vec<_>>(), "{main}");
    }
}

#[test]
fn the_command_line_comes_before_the_files() {
    let unit = "[Unit]\nDescription=x\n[Service]\nEnvironmentFile=-/etc/default/ssh\nExecStart=/usr/sbin/sshd -D $SSHD_OPTS\n";
    let config = "Port 22\nPermitRootLogin no\nCiphers 3des-cbc\n";
    let of = |others: &[(&str, &str)]| gather::<Sshd>(root_with(config, others).path()).0;
    let sshd = of(&[("lib/systemd/system/ssh.service", unit), ("etc/default/ssh", "# x\nSSHD_OPTS=\"-oPermitRootLogin=yes -p 2022\"\n")]);
    assert_eq!((sshd.permit_root_login.as_str(), sshd.ports.as_slice()), ("yes", &[2022][..]));
    assert_eq!(account(&sshd, "root").permit_root_login.source.as_ref().map(|s| (s.place.as_str(), s.line)), Some(("/etc/default/ssh", 2)));
    // A unit that does not name the variable ignores it.
    let sshd = of(&[("lib/systemd/system/ssh.service", &unit.replace(" $SSHD_OPTS", "")), ("etc/default/ssh", "SSHD_OPTS=-oPermitRootLogin=yes\n")]);
    assert_eq!(sshd.permit_root_login, "no");
    // A drop-in replaces the command line.
    let drop_in = "[Service]\nExecStart=\nExecStart=/usr/sbin/sshd -D -f /etc/ssh/other_config -o \"PermitRootLogin yes\"\n";
    let sshd = of(&[
        ("lib/systemd/system/ssh.service", unit),
        ("etc/systemd/system/ssh.service.d/local.conf", drop_in),
        ("etc/ssh/other_config", "PasswordAuthentication no\n"),
    ]);
    assert_eq!((sshd.password_authentication, sshd.files.as_slice()), (false, &["/etc/ssh/other_config".to_string()][..]));
    // The crypto policy of RHEL 8 stands on the command line.
    let policy = "CRYPTO_POLICY='-oCiphers=aes256-gcm@openssh.com,aes256-ctr -oMACs=hmac-sha2-256'\n";
    let unit = "[Service]\nEnvironmentFile=-/etc/crypto-policies/back-ends/opensshserver.config\nExecStart=/usr/sbin/sshd -D $OPTIONS $CRYPTO_POLICY\n";
    let sshd = of(&[("usr/lib/systemd/system/sshd.service", unit), ("etc/crypto-policies/back-ends/opensshserver.config", policy)]);
    assert_eq!((sshd.ciphers.join(","), sshd.macs.join(",")), ("aes256-gcm@openssh.com,aes256-ctr".into(), "hmac-sha2-256".into()));
}

#[test]
fn host_keys_are_told_by_kind_and_mode() {
    let dir = root_with("PasswordAuthentication no\n", &[]);
    let root = dir.path();
    for (name, kind, bits) in [("rsa", "rsa", "1024"), ("ecdsa", "ecdsa", "256"), ("ed25519", "ed25519", "256")] {
        run(Command::new("ssh-keygen").args(["-q", "-N", "", "-t", kind, "-b", bits, "-f"]).arg(root.join(format!("etc/ssh/ssh_host_{name}_key"))));
    }
    std::fs::remove_file(root.join("etc/ssh/ssh_host_ecdsa_key.pub")).unwrap();
    std::fs::set_permissions(root.join("etc/ssh/ssh_host_ecdsa_key"), std::fs::Permissions::from_mode(0o640)).unwrap();
    let (sshd, gaps) = gather::<Sshd>(root);
    assert_eq!(gaps, []);
    let seen: Vec<String> = sshd.host_keys.iter().map(|k| format!("{} {} {:?} {}", k.subject, k.kind, k.bits, k.others_can_read)).collect();
    assert_eq!(
        seen,
        [
            "/etc/ssh/ssh_host_rsa_key ssh-rsa Some(1024) false",
            "/etc/ssh/ssh_host_ecdsa_key ecdsa-sha2-nistp256 Some(256) true",
            "/etc/ssh/ssh_host_ed25519_key ssh-ed25519 Some(256) false"
        ]
    );
    let failing: Vec<String> =
        judged(&sshd, &gaps, Verdict::Fail).into_iter().filter(|(r, ..)| r.contains("host-key")).map(|(r, s, _)| format!("{r} {s}")).collect();
    assert_eq!(failing, ["ssh-host-key-readable /etc/ssh/ssh_host_ecdsa_key", "ssh-host-key-weak /etc/ssh/ssh_host_rsa_key"]);
}

#[test]
fn a_configuration_that_others_may_change_is_found() {
    let dir = root_with("Include /etc/ssh/sshd_config.d/*.conf\n", &[("etc/ssh/sshd_config.d/a.conf", ""), ("etc/ssh/sshd_config.d/b.save", "")]);
    let root = dir.path();
    for (path, mode) in [("etc/ssh/sshd_config", 0o664), ("etc/ssh/sshd_config.d/a.conf", 0o646), ("etc/ssh/sshd_config.d/b.save", 0o666)] {
        std::fs::set_permissions(root.join(path), std::fs::Permissions::from_mode(mode)).unwrap();
    }
    let (sshd, gaps) = gather::<Sshd>(root);
    let failing: Vec<String> = judged(&sshd, &gaps, Verdict::Fail).into_iter().map(|(r, s, _)| format!("{r} {s}")).collect();
    assert_eq!(failing, ["ssh-config-writable /etc/ssh/sshd_config.d/a.conf", "ssh-password-authentication sshd"]);
}

fn made_key(folder: &Path, name: &str, arguments: &[&str]) -> String {
    let file = folder.join(name);
    run(Command::new("ssh-keygen").args(["-q", "-C", name, "-f"]).arg(&file).args(arguments));
    std::fs::read_to_string(file.with_extension("pub")).unwrap().trim().to_string()
}

#[test]
fn keys_that_work_are_told_from_those_that_do_not() {
    let dir = root_with(
        "RevokedKeys /etc/ssh/revoked\nTrustedUserCAKeys /etc/ssh/ca.pub\nAuthorizedPrincipalsFile /etc/ssh/principals/%u\n\
         Match user carl\nAuthorizedKeysFile none\nMatch user bob\nAuthorizedKeysFile /etc/keys/%u /etc/keys/%U%%\nAuthorizedKeysCommand /usr/bin/keys --token s3cret %u\n",
        &[],
    );
    let root = dir.path();
    let keys = tempfile::tempdir().unwrap();
    let made: Vec<String> = ["a", "b", "c", "d"].iter().map(|n| made_key(keys.path(), n, &["-t", "ed25519", "-N", ""])).collect();
    let ca = made_key(keys.path(), "ca", &["-t", "rsa", "-b", "1024", "-N", ""]);
    run(Command::new("ssh-keygen").args(["-q", "-k", "-f"]).arg(root.join("etc/ssh/revoked")).arg(keys.path().join("b.pub")));
    write(root, "etc/ssh/ca.pub", &format!("# authority\n{ca}\n"));
    write(root, "etc/ssh/principals/anna", "# names\nanna-admin\nfrom=\"10.0.0.0/8\" oncall # shift\n");
    write(
        root,
        "home/anna/.ssh/authorized_keys",
        &format!(
            "{}\n{}\nnonsense=\"1\" {}\nfrom=\"10.0.0.0/8\",command=\"/usr/bin/rsync --server secret\",restrict {}\nnot a key\n",
            made[0], made[1], made[2], made[3]
        ),
    );
    write(root, "etc/keys/bob", &format!("{}\n", made[0]));
    write(root, "etc/keys/2002%", &format!("{}\n", made[3]));
    write(root, "home/carl/.ssh/authorized_keys", &format!("{}\n", made[3]));
    write(root, "root/.ssh/authorized_keys", &format!("{}\n", made[3]));
    for (path, uid) in [("home/anna", 2001), ("home/anna/.ssh", 2001), ("home/anna/.ssh/authorized_keys", 2001), ("etc/keys/bob", 2001)] {
        chown(root.join(path), Some(uid), Some(uid)).unwrap();
    }
    symlink("/etc/keys/bob", root.join("root/.ssh/authorized_keys2")).unwrap();
    let (found, gaps) = gather::<SshKeys>(root);
    let seen: Vec<String> = found.items.iter().map(|k| format!("{} {} {}", k.subject, k.works, k.refused).trim().to_string()).collect();
    assert_eq!(
        seen,
        [
            "anna /home/anna/.ssh/authorized_keys:1 true",
            "anna /home/anna/.ssh/authorized_keys:2 false /etc/ssh/revoked revokes it",
            "anna /home/anna/.ssh/authorized_keys:3 false sshd does not accept its option nonsense",
            "anna /home/anna/.ssh/authorized_keys:4 true",
            "bob /etc/keys/2002%:1 true",
            "bob /etc/keys/bob:1 false StrictModes: others may write /etc/keys/bob",
            "root /root/.ssh/authorized_keys:1 true",
            "root /root/.ssh/authorized_keys2:1 false StrictModes: others may write /root/.ssh/authorized_keys2",
        ]
    );
    let forced = &found.items[3];
    assert_eq!((forced.from.as_str(), forced.command.as_str()), ("10.0.0.0/8", "/usr/bin/rsync"));
    assert_eq!(found.authorities.iter().map(|a| (a.subject.as_str(), a.bits)).collect::<Vec<_>>(), [("/etc/ssh/ca.pub:2", Some(1024))]);
    let names: Vec<String> = found.principals.iter().map(|p| format!("{} {}", p.subject, p.name)).collect();
    assert_eq!(names, ["anna /etc/ssh/principals/anna:2 anna-admin", "anna /etc/ssh/principals/anna:3 oncall"]);
    assert_eq!(found.programs.iter().map(|p| (p.program.as_str(), p.criteria.as_str())).collect::<Vec<_>>(), [("/usr/bin/keys", "user bob")]);
    assert!(!serde_json::to_string(&found).unwrap().contains("secret"), "arguments stay on the host");
    let reasons: Vec<&str> = gaps.iter().map(|g| g.subject.as_str()).collect();
    assert_eq!(reasons, ["authorizedkeyscommand", "trustedusercakeys"]);
    let failing: Vec<String> = judged(&found, &[], Verdict::Fail).into_iter().map(|(r, s, _)| format!("{r} {s}")).collect();
    for expected in [
        "access-authorized-keys-owner bob /etc/keys/bob",
        "access-authorized-keys-owner root /root/.ssh/authorized_keys2",
        "access-ssh-authority-weak /etc/ssh/ca.pub:2",
    ] {
        assert!(failing.iter().any(|f| f == expected), "{expected} is not among {failing:#?}");
    }
    assert!(!failing.iter().any(|f| f.starts_with("access-authorized-keys-owner anna")), "{failing:#?}");

    // A list that can't be read closes the door for every key.
    std::fs::remove_file(root.join("etc/ssh/revoked")).unwrap();
    let (found, _) = gather::<SshKeys>(root);
    assert!(found.items.iter().all(|k| !k.works));
}

#[test]
fn private_keys_without_a_passphrase_are_found() {
    let dir = root_with("", &[]);
    let root = dir.path();
    for home in ["home/anna/.ssh", "home/bob/.ssh", "root/.ssh"] {
        std::fs::create_dir_all(root.join(home)).unwrap();
    }
    let anna = root.join("home/anna/.ssh");
    made_key(&anna, "id_ed25519", &["-t", "ed25519", "-N", ""]);
    made_key(&anna, "id_sound", &["-t", "ed25519", "-N", "a long passphrase"]);
    made_key(&root.join("home/bob/.ssh"), "id_rsa", &["-t", "rsa", "-b", "2048", "-m", "PEM", "-N", ""]);
    made_key(&root.join("home/bob/.ssh"), "sound_rsa", &["-t", "rsa", "-b", "2048", "-m", "PEM", "-N", "a long passphrase"]);
    made_key(&root.join("root/.ssh"), "backup", &["-t", "ecdsa", "-m", "PKCS8", "-N", ""]);
    made_key(&root.join("root/.ssh"), "sound", &["-t", "ecdsa", "-m", "PKCS8", "-N", "a long passphrase"]);
    std::fs::set_permissions(anna.join("id_ed25519"), std::fs::Permissions::from_mode(0o644)).unwrap();
    write(root, "home/anna/.ssh/known_hosts", "host ssh-ed25519 AAAA\n");
    write(root, "home/anna/notes/id_rsa", "-----BEGIN RSA PRIVATE KEY-----\n");
    let (found, gaps) = gather::<SshKeys>(root);
    assert_eq!(gaps, []);
    let failing: Vec<String> = judged(&found, &gaps, Verdict::Fail).into_iter().map(|(r, s, _)| format!("{r} {s}")).collect();
    assert_eq!(
        failing,
        [
            "ssh-private-key-readable /home/anna/.ssh/id_ed25519",
            "ssh-private-key-unencrypted /home/anna/.ssh/id_ed25519",
            "ssh-private-key-unencrypted /home/bob/.ssh/id_rsa",
            "ssh-private-key-unencrypted /root/.ssh/backup"
        ]
    );
    assert_eq!(found.private_keys.len(), 6);
    let listed = run(Command::new("ssh-keygen").arg("-lf").arg(anna.join("id_ed25519.pub")));
    assert!(listed.contains(&found.private_keys[0].fingerprint) && found.private_keys[0].fingerprint.len() > 20);
}

/// Cuts and flips of configurations and key files: nothing panics, nothing hangs.
#[test]
fn mutated_files_are_survived() {
    let seed = "Include /etc/ssh/*.conf\nMatch user a,!b address 10.0.0.0/8,::1/128 localport 22\nAuthorizedKeysFile %h/%u %% %U \"x y\\\"\nAllowUsers a@10.*,!::/0 @ b@\nPort 99999\nCiphers +,-^\n";
    let key = "from=\"a,b\",command=\"x \\\" y\",expiry-time=\"20260101\" ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJvR0mCJ2cS1YVb1p6ZC6x0m1x0m1x0m1x0m1x0m1x0m c\n";
    let dir = root_with("", &[]);
    for (index, byte) in (0..seed.len()).step_by(3).zip([b'\\', b'"', b'\n', b'!', b'@', b'%', b'/', b'*', 0, 0xff, b' ', b'='].into_iter().cycle()) {
        let mut text = seed.as_bytes().to_vec();
        text[index] = byte;
        text.truncate(text.len() - index % 7);
        std::fs::write(dir.path().join("etc/ssh/sshd_config"), &text).unwrap();
        let mut line = key.as_bytes().to_vec();
        let at = index % line.len();
        line[at] = byte;
        std::fs::create_dir_all(dir.path().join("home/anna/.ssh")).unwrap();
        std::fs::write(dir.path().join("home/anna/.ssh/authorized_keys"), &line).unwrap();
        gather::<SshKeys>(dir.path());
        gather::<Sshd>(dir.path());
    }
}
