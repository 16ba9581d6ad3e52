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
    let findings = rules::evaluate(&pack, &Input { observation: &observation, policy: &Policy::default(), roster: None });
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
