//! FTP, file shares, directories, SNMP and super servers: what we read of their configuration
//! against what the real programs say or do, and planted faults beside sound decoys.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use assay::facts::HostFamily;
use assay::facts::directory::Directory;
use assay::facts::ftp::{Ftp, FtpServer};
use assay::facts::listeners::Listeners;
use assay::facts::sharing::Sharing;
use assay::facts::snmp::Snmp;
use assay::facts::super_servers::SuperServers;
use assay::host::Host;
use assay::model::finding::Verdict;
use assay::model::gap::{Gap, Gaps};
use serde_json::Value;

use super::lab::{Certificate, Server, daemons, folder, free_port, servers};
use super::ssh_facts::{gather, judged, write};
use super::support::{ASSAY, text};

/// What this machine runs; other tests run servers of their own, so that items are picked by their folder.
fn live<T: HostFamily>() -> (T, Vec<Gap>) {
    let mut gaps = Gaps::new();
    let document = T::gather(&Host::live().unwrap(), &mut gaps).unwrap();
    (document, gaps.into_sorted())
}

fn about<'g>(gaps: &'g [Gap], folder: &Path) -> Vec<&'g Gap> {
    gaps.iter().filter(|g| g.subject.contains(text(folder)) || g.detail.contains(text(folder))).collect()
}

/// A program that is only unpacked: Debian's packages of it exclude another one that the lab needs.
fn unpacked(path: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/lab").join(path);
    assert!(path.exists(), "{}: tests/run unpacks it", path.display());
    path
}

fn output(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn stdout(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A conversation over FTP's control connection, reply by reply.
struct Control(BufReader<TcpStream>);

impl Control {
    fn open(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut control = Self(BufReader::new(stream));
        assert!(control.reply().starts_with("220"));
        control
    }

    /// A whole reply, its lines joined.
    fn reply(&mut self) -> String {
        let mut out = String::new();
        loop {
            let mut line = String::new();
            assert!(self.0.read_line(&mut line).unwrap() > 0, "closed after {out:?}");
            out.push_str(&line);
            if line.as_bytes().get(3) == Some(&b' ') && line.as_bytes().first().is_some_and(u8::is_ascii_digit) {
                return out;
            }
        }
    }

    fn ask(&mut self, command: &str) -> String {
        self.0.get_mut().write_all(format!("{command}\r\n").as_bytes()).unwrap();
        self.reply()
    }
}

/// Whether TLS is offered, whether a name is taken without it, whether strangers sign in.
fn spoken(port: u16) -> (bool, bool, bool) {
    let offers = Control::open(port).ask("FEAT").contains("AUTH TLS");
    let takes = Control::open(port).ask("USER nobody-of-the-lab").starts_with("331");
    let mut control = Control::open(port);
    let stranger = control.ask("USER anonymous").starts_with("331") && control.ask("PASS x").starts_with("230");
    (offers, takes, stranger)
}

fn failed<T: HostFamily>(document: &T, gaps: &[Gap], mark: &str) -> BTreeSet<String> {
    judged(document, gaps, Verdict::Fail).into_iter().filter(|(_, subject, _)| subject.contains(mark)).map(|(rule, ..)| rule).collect()
}

fn set(words: &[&str]) -> BTreeSet<String> {
    words.iter().map(|w| (*w).to_string()).collect()
}

#[test]
fn vsftpd_does_what_its_file_says() {
    let certificate = Certificate::self_signed(&["-newkey", "rsa:2048"]);
    let tls = format!("ssl_enable=YES\nrsa_cert_file={}\nrsa_private_key_file={}\n", certificate.cert.display(), certificate.key.display());
    let cases: [(String, &[&str]); 7] = [
        (String::new(), &["ftp-started", "ftp-tls-forced", "ftp-anonymous-configured"]),
        ("anonymous_enable=NO\nlocal_enable=YES\n".into(), &["ftp-started", "ftp-tls-forced"]),
        (format!("anonymous_enable=YES\nanonymous_enable=NO\nlocal_enable=YES\n{tls}"), &["ftp-started"]),
        (format!("anonymous_enable=NO\nlocal_enable=YES\nforce_local_data_ssl=NO\n{tls}"), &["ftp-started", "ftp-tls-forced"]),
        (format!("anonymous_enable=NO\nlocal_enable=YES\nforce_local_logins_ssl=NO\n{tls}"), &["ftp-started", "ftp-tls-forced"]),
        (format!("local_enable=YES\n{tls}"), &["ftp-started", "ftp-tls-forced", "ftp-anonymous-configured"]),
        (
            format!("allow_anon_ssl=YES\nforce_anon_logins_ssl=YES\nforce_anon_data_ssl=YES\nlocal_enable=YES\n{tls}"),
            &["ftp-started", "ftp-anonymous-configured"],
        ),
    ];
    for (lines, rules) in cases {
        let server = servers::vsftpd(&lines);
        let (found, gaps) = live::<Ftp>();
        let mark = text(server.folder());
        let ours = found.servers.iter().find(|s| s.subject.contains(mark)).unwrap_or_else(|| panic!("{lines}: {found:?}"));
        assert_eq!(about(&gaps, server.folder()), Vec::<&Gap>::new(), "{lines}");
        assert_eq!(failed(&found, &gaps, mark), set(rules), "{lines}");
        let (offers, takes, stranger) = spoken(server.port);
        assert_eq!((ours.started.as_str(), ours.tls), ("running", offers), "{lines}");
        if ours.local_logins == Some(true) && !ours.anonymous {
            assert_eq!(ours.tls_logins, !takes, "{lines}");
        }
        // Where TLS is forced on strangers the wire shows no sign-in without it.
        assert_eq!(ours.anonymous && !lines.contains("force_anon"), stranger, "{lines}");
        let endpoint = found.endpoints.iter().find(|e| e.port == u32::from(server.port)).unwrap();
        let expected = if !ours.tls {
            "none"
        } else if ours.tls_logins && ours.tls_data {
            "required"
        } else {
            "offered"
        };
        assert_eq!((endpoint.address.as_str(), endpoint.tls.as_str()), ("127.0.0.1", expected), "{lines}");
    }
}

#[test]
fn what_vsftpd_refuses_is_a_gap() {
    let folder = folder();
    let port = free_port();
    let lines = format!("listen=YES\nlisten_port={port}\nlocal_enable = YES\n");
    write(folder.path(), "etc/vsftpd.conf", &lines);
    let refused = Command::new("/usr/sbin/vsftpd").arg(folder.path().join("etc/vsftpd.conf")).stdin(Stdio::null()).output().unwrap();
    assert!(!refused.status.success());
    let (_, gaps) = gather::<Ftp>(folder.path());
    assert!(gaps.iter().any(|g| g.detail.contains("/etc/vsftpd.conf:3")), "{gaps:?}");
}

#[test]
fn proftpd_does_what_its_file_says() {
    let program = unpacked("proftpd/usr/sbin/proftpd");
    let certificate = Certificate::self_signed(&["-newkey", "rsa:2048"]);
    // ProFTPD wants its key for root alone.
    let key = certificate.key.clone();
    std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let folder = folder();
    let path = text(folder.path());
    let ports: Vec<u16> = (0..4).map(|_| free_port()).collect();
    let modules = unpacked("proftpd/usr/lib/proftpd");
    let config = format!(
        "ServerType standalone\nPort {}\nUser nobody\nGroup nogroup\nUseIPv6 off\nSocketBindTight on\nDefaultAddress 127.0.0.1\nPidFile {path}/pid\nScoreboardFile {path}/board\n\
         SystemLog {path}/log\nWtmpLog off\nRequireValidShell off\nModulePath {}\nLoadModule mod_tls.c\n<Global>\n <IfModule mod_tls.c>\n  TLSEngine on\n  TLSRequired on\n  TLSRSACertificateFile {}\n\
         TLSRSACertificateKeyFile {}\n </IfModule>\n <IfModule !mod_core.c>\n  TLSEngine off\n </IfModule>\n</Global>\nTLSRequired off\n<VirtualHost 127.0.0.1>\nPort {}\n</VirtualHost>\n\
         <VirtualHost 127.0.0.1>\nPort {}\nTLSEngine off\nRequireValidShell off\nUseFtpUsers off\n<Anonymous {path}>\n User nobody\n UserAlias anonymous nobody\n</Anonymous>\n</VirtualHost>\n\
         <VirtualHost 127.0.0.1>\nPort {}\nTLSRequired data\n</VirtualHost>\n",
        ports[0],
        modules.display(),
        certificate.cert.display(),
        key.display(),
        ports[1],
        ports[2],
        ports[3],
    );
    std::fs::write(folder.path().join("proftpd.conf"), &config).unwrap();
    let root = tempfile::tempdir().unwrap();
    write(root.path(), "etc/proftpd/proftpd.conf", &config);
    write(
        root.path(),
        "lib/systemd/system/proftpd.service",
        "[Service]\nEnvironment=CONFIG_FILE=/etc/proftpd/proftpd.conf\nExecStart=/usr/sbin/proftpd -c $CONFIG_FILE $OPTIONS\n",
    );
    write(root.path(), "etc/systemd/system/multi-user.target.wants/proftpd.service", "");
    let (found, gaps) = gather::<Ftp>(root.path());
    assert_eq!(gaps, []);
    assert!(output(Command::new(&program).args(["-t", "-c"]).arg(folder.path().join("proftpd.conf"))).contains("Checking syntax"));
    let mut command = Command::new(&program);
    command.args(["-n", "-c"]).arg(folder.path().join("proftpd.conf"));
    let _server = Server::start(ports[0], folder, &mut command);
    for port in &ports {
        let endpoint = found.endpoints.iter().find(|e| e.port == u32::from(*port)).unwrap_or_else(|| panic!("{port}: {found:?}"));
        let ours: &FtpServer =
            found.servers.iter().find(|s| s.subject.ends_with(&format!(":{port}")) || (*port == ports[0] && s.subject.ends_with("proftpd.conf"))).unwrap();
        let (offers, takes, stranger) = spoken(*port);
        assert_eq!((ours.tls, ours.tls_logins, ours.anonymous), (offers, !takes, stranger), "{ours:?}");
        assert_eq!((endpoint.address.as_str(), ours.started.as_str()), ("127.0.0.1", "boot"));
    }
    let tls: Vec<&str> = ports.iter().map(|p| found.endpoints.iter().find(|e| e.port == u32::from(*p)).unwrap().tls.as_str()).collect();
    assert_eq!(tls, ["offered", "required", "none", "offered"]);
}

/// Configurations of Samba; `{root}` is where included files lie.
const SAMBA: [(&str, &[(&str, &str)]); 6] = [
    ("[global]\n[a]\npath = /a\n", &[]),
    (
        "[global]\nServer Min  Protocol = NT1\n min protocol = LANMAN2\nserver signing = auto\nserversmbencrypt = desired\n[a]\npath = /a\nsmb encrypt = required\nPublic = TRUE\nwriteable = 1\n",
        &[],
    ),
    ("guest ok = yes\n[global]\nread only = no\n[a]\npath=/a\n[globals]\nguest ok = no\n[b]\npath = /b\nallow hosts = 10.0.0.0/8, 127.0.0.1\n", &[]),
    ("[t]\npath = /t\nguest ok = yes\nread only = no\n[a]\nread only = yes\ncopy = t\npath = /a\n[T]\navailable = no\n", &[]),
    (
        "[global]\ninclude = {root}/more.conf\n[a]\ninclude = {root}/share.conf\npath = /a \\\n\n# comment = \\\nguest ok = yes\n; guest ok = no\n[b]\npath = \"/b c\"\nread only = off\n",
        &[("more.conf", "server signing = mandatory\nsmb encrypt = mandatory\n"), ("share.conf", "write ok = yes\npublic = no\n")],
    ),
    ("[global]\nserver min protocol = default\nprotocol = SMB3_02\nserver signing = default\n[a]\npath = /a\nguest ok = 0\n", &[]),
];

#[test]
fn samba_is_read_as_testparm_reads_it() {
    for (config, files) in SAMBA {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), "etc/samba/smb.conf", &config.replace("{root}", ""));
        for (name, content) in files {
            write(root.path(), name, content);
        }
        let theirs = root.path().join("theirs.conf");
        std::fs::write(&theirs, config.replace("{root}", text(root.path()))).unwrap();
        let (found, gaps) = gather::<Sharing>(root.path());
        assert_eq!(gaps, [], "{config}");
        let asked = |section: &str, parameter: &str| {
            let mut command = Command::new("testparm");
            command.arg("-s").arg(format!("--section-name={section}")).arg(format!("--parameter-name={parameter}")).arg(&theirs);
            stdout(&mut command).trim().to_ascii_lowercase()
        };
        let server = &found.samba[0];
        let or = |value: String, default: &str| if value == "default" { default.to_string() } else { value };
        assert_eq!(server.min_protocol.to_ascii_lowercase(), or(asked("global", "server min protocol"), "smb2_02"), "{config}");
        assert_eq!(or(server.max_protocol.to_ascii_lowercase(), "smb3"), or(asked("global", "server max protocol"), "smb3"), "{config}");
        let signing = match asked("global", "server signing").as_str() {
            "default" | "no" | "off" | "disabled" => "disabled",
            "auto" | "if_required" | "yes" | "desired" => "auto",
            _ => "mandatory",
        };
        assert_eq!(server.signing, signing, "{config}");
        assert_eq!(server.encryption, or(asked("global", "server smb encrypt"), "if_required"), "{config}");
        for share in &found.smb_shares {
            let yes = |parameter: &str| asked(&share.name, parameter) == "yes";
            assert_eq!((share.guest, share.writable), (yes("guest ok"), !yes("read only")), "{config} {}", share.name);
            // It shows the quotes that Samba takes off when it uses the path.
            assert_eq!(share.path, asked(&share.name, "path").trim_matches('"'), "{config}");
            let hosts: Vec<String> = asked(&share.name, "hosts allow").split([' ', ',']).filter(|w| !w.is_empty()).map(String::from).collect();
            assert_eq!(share.hosts_allow, hosts, "{config}");
            let own = or(asked(&share.name, "server smb encrypt"), "if_required");
            let expected = if server.encryption == "required" { "required".to_string() } else { own };
            assert_eq!(share.encryption, expected, "{config} {}", share.name);
        }
        let sections = stdout(Command::new("testparm").arg("-s").arg(&theirs));
        let names: BTreeSet<String> =
            sections.lines().filter_map(|l| l.strip_prefix('[').and_then(|l| l.strip_suffix(']'))).filter(|n| *n != "global").map(String::from).collect();
        // testparm leaves out what is not available.
        let ours: BTreeSet<String> =
            found.smb_shares.iter().map(|s| s.name.clone()).filter(|n| names.contains(n) || !config.contains("available = no")).collect();
        assert_eq!(ours, names, "{config}");
    }
}

#[test]
fn a_running_samba_is_found_with_its_file() {
    let server = daemons::smbd("[open]\npath = /tmp\nguest ok = yes\n");
    let (found, gaps) = live::<Sharing>();
    let mark = text(server.folder());
    assert_eq!(about(&gaps, server.folder()), Vec::<&Gap>::new());
    let ours = found.samba.iter().find(|s| s.subject.contains(mark)).unwrap();
    assert_eq!((ours.started.as_str(), ours.this_machine, ours.smb1), ("running", true, false));
    let share = found.smb_shares.iter().find(|s| s.subject.contains(mark)).unwrap();
    assert!(share.guest && share.starts);
    assert!(found.endpoints.iter().any(|e| e.port == u32::from(server.port) && e.address == "127.0.0.1"));
}

#[test]
fn exports_are_read_as_exportfs_reads_them() {
    let folder = folder();
    for name in ["a", "b c", "d", "e"] {
        std::fs::create_dir(folder.path().join(name)).unwrap();
    }
    let path = text(folder.path());
    let exports = format!(
        "# comment\n{path}/a 10.0.0.0/8(rw,no_root_squash) *.example.org(sec=krb5p,rw) # rest\n\"{path}/b c\" 192.0.2.7 \\\n  (rw,all_squash)\n\
         {path}/d -ro,no_root_squash 10.1.1.1 10.1.1.2(rw) 10.1.1.3(sec=sys,ro,sec=krb5:krb5p,rw,root_squash)\n{path}/e\n{path}/b\\040c @group(sec=krb5i)\n"
    );
    let root = tempfile::tempdir().unwrap();
    write(root.path(), "etc/exports", &exports);
    write(root.path(), "etc/exports.d/x.exports", &format!("{path}/e 10.9.0.0/16(rw)\n"));
    write(root.path(), "etc/exports.d/y.exports~", &format!("{path}/e 10.8.0.0/16(rw)\n"));
    let (found, gaps) = gather::<Sharing>(root.path());
    assert_eq!(gaps, []);
    let script = "mount --bind \"$1/etc/exports\" /etc/exports; mkdir -p /etc/exports.d; mount --bind \"$1/etc/exports.d\" /etc/exports.d; mount -t tmpfs none /var/lib/nfs; \
                  touch /var/lib/nfs/etab /var/lib/nfs/rmtab; exportfs -ra 2>/dev/null; exportfs -s";
    let listed = stdout(Command::new("unshare").args(["-m", "sh", "-c", script, "sh", text(root.path())]));
    // PATH CLIENT(OPTIONS), each flavour with its own.
    let theirs: BTreeSet<String> = listed
        .lines()
        .map(|line| {
            let (path, rest) = line.split_once("  ").unwrap();
            let (client, options) = rest.trim().split_once('(').unwrap();
            let options: Vec<&str> = options.trim_end_matches(')').split(',').collect();
            let flavours: Vec<&str> = options.iter().filter_map(|o| o.strip_prefix("sec=")).flat_map(|s| s.split(':')).collect();
            let squash = !options.contains(&"no_root_squash") || !options.contains(&"no_all_squash");
            format!("{} {client} {} {} {squash}", path.replace("\\040", " "), flavours.join(":"), options.contains(&"rw"))
        })
        .collect();
    let ours: BTreeSet<String> = found.nfs_exports.iter().map(|e| format!("{} {} {} {}", e.subject, e.security.join(":"), e.writable, e.root_squash)).collect();
    assert_eq!(ours, theirs);
    assert!(found.nfs_exports.iter().all(|e| !e.starts || Path::new("/proc/fs/nfsd/threads").exists()));
}

#[test]
fn an_rsync_daemon_asks_whom_its_file_says() {
    let merged = folder();
    let path = text(merged.path());
    for (name, content) in
        [("1.inc", "auth users = m\n"), ("2.conf", "read only = yes\nauth users =\n[included]\npath = {path}\n"), ("3.conf", "[next]\npath = {path}\n")]
    {
        std::fs::write(merged.path().join(name), content.replace("{path}", path)).unwrap();
    }
    let modules = format!(
        "read only = no\nsecrets file = {{path}}/secrets\n&merge {path}\n&include {path}\n[asked]\npath = {{path}}\n[global]\nauth users =\n[open]\n Path = {{path}}\nREADONLY = yes\n\
         [joined]\npath = {{path}}\nauth users = x, \\\n somebody\n"
    );
    let server = daemons::rsyncd(&modules);
    let (found, gaps) = live::<Sharing>();
    assert_eq!(about(&gaps, server.folder()), Vec::<&Gap>::new());
    let ours: Vec<_> = found.rsync_modules.iter().filter(|m| m.subject.contains(text(server.folder()))).collect();
    let listed = stdout(Command::new("rsync").arg(format!("rsync://127.0.0.1:{}/", server.port)));
    let names: BTreeSet<&str> = listed.lines().filter_map(|l| l.split_whitespace().next()).filter(|n| !["Welcome"].contains(n)).collect();
    assert_eq!(ours.iter().map(|m| m.name.as_str()).collect::<BTreeSet<_>>(), names);
    for module in ours {
        let answer = output(Command::new("rsync").env_remove("RSYNC_PASSWORD").arg(format!("rsync://127.0.0.1:{}/{}/", server.port, module.name)));
        assert_eq!(module.authenticated, answer.contains("auth failed"), "{}: {answer}", module.name);
        assert!(module.starts && module.this_machine);
        assert_eq!(module.writable, !["included", "open"].contains(&module.name.as_str()), "{}", module.name);
    }
    assert!(found.endpoints.iter().any(|e| e.program == "rsync" && e.port == u32::from(server.port) && e.address == "127.0.0.1"));
}

/// Access rules of a database, as lines of slapd.conf.
const ACCESS: [&str; 9] = [
    "",
    "access to attrs=userPassword by self write by anonymous auth by * none\naccess to * by * read\n",
    "access to * by users read\n",
    "access to dn.subtree=\"ou=people,dc=lab,dc=example\" attrs=userPassword by self write by anonymous auth\naccess to attrs=userPassword by * read\naccess to * by * search\n",
    "access to attrs=cn,sn by * compare\naccess to * by dn.exact=\"cn=a,ou=people,dc=lab,dc=example\" write by * =xd\n",
    "access to dn.subtree=\"DC=Lab, DC=example\" by * none break\naccess to attrs=userPassword\n\tby anonymous auth\naccess to *\n\tby anonymous disclose continue by * +rs\n",
    "access to filter=(cn=b) by * read\naccess to * by * none\n",
    "access to dn.base=\"\" by * read\naccess to * attrs=userPassword,@person by anonymous search by * none\n",
    "access to dn.regex=\".*\" by group.exact=\"cn=a,ou=people,dc=lab,dc=example\" write by anonymous =rscxd by * none\n",
];

#[test]
fn strangers_get_of_a_directory_what_slapacl_says() {
    const ENTRIES: &str = "dn: dc=lab,dc=example\nobjectClass: dcObject\nobjectClass: organization\no: lab\ndc: lab\n\ndn: ou=people,dc=lab,dc=example\nobjectClass: organizationalUnit\nou: people\n\n\
        dn: cn=a,ou=people,dc=lab,dc=example\nobjectClass: person\ncn: a\nsn: a\nuserPassword: x\n\ndn: cn=b,dc=lab,dc=example\nobjectClass: person\ncn: b\nsn: b\nuserPassword: x\n";
    const LEVELS: [&str; 8] = ["none", "disclose", "auth", "compare", "search", "read", "write", "manage"];
    let rank = |word: &str| LEVELS.iter().position(|l| *l == word).unwrap_or_else(|| panic!("{word}"));
    for access in ACCESS {
        let folder = folder();
        let path = text(folder.path());
        for name in ["db", "slapd.d"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        let config = format!(
            "include /etc/ldap/schema/core.schema\nmodulepath /usr/lib/ldap\nmoduleload back_mdb\npidfile {path}/pid\npassword-hash {{SMD5}}\ndisallow bind_anon\nsecurity ssf=0 simple_bind=128\n\
             database mdb\nsuffix \"dc=lab,dc=example\"\ndirectory {path}/db\n{access}"
        );
        let file = folder.path().join("slapd.conf");
        std::fs::write(&file, &config).unwrap();
        std::fs::write(folder.path().join("entries"), ENTRIES).unwrap();
        super::lab::run(Command::new("/usr/sbin/slapadd").arg("-f").arg(&file).arg("-l").arg(folder.path().join("entries")));
        let mut theirs = [0, 0];
        for entry in ["cn=a,ou=people,dc=lab,dc=example", "cn=b,dc=lab,dc=example"] {
            let said = output(Command::new("/usr/sbin/slapacl").arg("-f").arg(&file).args(["-b", entry, "userPassword", "cn"]));
            for (most, attribute) in theirs.iter_mut().zip(["userPassword: ", "cn: "]) {
                let level = said.lines().find_map(|l| l.strip_prefix(attribute)).and_then(|l| l.split('(').next()).unwrap_or_else(|| panic!("{said}"));
                // Privileges that are no level of their own: the highest of them.
                let highest = |c: char| "?dxcsrwm".find(c).unwrap_or(0);
                let level = level.strip_prefix('=').map_or_else(|| rank(level), |letters| letters.chars().map(highest).max().unwrap_or(0));
                *most = (*most).max(level);
            }
        }
        // The same by both forms of the configuration.
        super::lab::run(Command::new("/usr/sbin/slaptest").arg("-f").arg(&file).arg("-F").arg(folder.path().join("slapd.d")));
        let root = tempfile::tempdir().unwrap();
        write(root.path(), "etc/ldap/slapd.conf", &config.replace("include /etc/ldap/schema/core.schema\n", ""));
        let by_folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(by_folder.path().join("etc/ldap")).unwrap();
        super::lab::run(Command::new("cp").arg("-a").arg(folder.path().join("slapd.d")).arg(by_folder.path().join("etc/ldap")));
        for root in [root.path(), by_folder.path()] {
            let (found, gaps) = gather::<Directory>(root);
            assert_eq!(gaps, [], "{access}");
            let database = &found.databases[0];
            assert_eq!((database.suffixes.len(), database.backend.as_str()), (1, "mdb"));
            assert_eq!([rank(&database.anonymous_password), rank(&database.anonymous_entries)], theirs, "{access} {root:?}");
            let server = &found.servers[0];
            assert_eq!((server.anonymous_bind, server.tls_required, server.tls_for_binds, server.starts), (false, false, true, false));
            assert_eq!(server.password_hash, ["{SMD5}"]);
        }
    }
}

#[test]
fn a_running_slapd_is_found_with_its_listeners() {
    let certificate = Certificate::ordinary();
    let server = daemons::slapd(Some(&certificate), "TLSProtocolMin 3.3\n", "access to * by * read\n");
    let (found, gaps) = live::<Directory>();
    let mark = text(server.folder());
    assert_eq!(about(&gaps, server.folder()), Vec::<&Gap>::new());
    let ours = found.servers.iter().find(|s| s.subject.contains(mark)).unwrap();
    assert_eq!((ours.started.as_str(), ours.tls, ours.plain_listener), ("running", true, false));
    assert_eq!(failed(&found, &gaps, mark), set(&["directory-anonymous-passwords", "directory-anonymous-entries"]));
    let endpoint = found.endpoints.iter().find(|e| e.port == u32::from(server.port)).unwrap();
    assert_eq!(
        (endpoint.address.as_str(), endpoint.tls.as_str(), endpoint.certificates.clone()),
        ("127.0.0.1", "offered", vec![text(&certificate.cert).to_string()])
    );
    assert_eq!(endpoint.versions.clone().unwrap(), ["TLSv1.2", "TLSv1.3"]);
}

#[test]
fn an_agent_answers_the_communities_that_its_file_opens() {
    let folder = folder();
    let path = text(folder.path()).to_string();
    let (port, second) = (free_port(), free_port());
    // The agent keeps its own file beside none of ours.
    for name in ["more", "state"] {
        std::fs::create_dir(folder.path().join(name)).unwrap();
    }
    let communities = ["public", "lab-one", "lab-lonely", "lab-group", "lab-included", "lab-elsewhere"];
    let config = format!(
        "agentaddress udp:127.0.0.1:{port}\nrocommunity public 127.0.0.1\nrwcommunity lab-one 127.0.0.1\ncom2sec lonely 127.0.0.1 lab-lonely\ncom2sec member 127.0.0.1 lab-group\n\
         group g v2c member\naccess g \"\" any noauth exact all none none\nview all included .1\nincludeDir {path}/more\n[snmp] defCommunity lab-elsewhere\n"
    );
    std::fs::write(folder.path().join("snmpd.conf"), config).unwrap();
    std::fs::write(folder.path().join("more/a.conf"), "rocommunity \"lab-included\" 127.0.0.1\n").unwrap();
    std::fs::write(folder.path().join("more/a.bak"), "rocommunity lab-elsewhere 127.0.0.1\n").unwrap();
    let mut command = Command::new("/usr/sbin/snmpd");
    command
        .env("SNMP_PERSISTENT_DIR", format!("{path}/state"))
        .args(["-C", "-f", "-Lf", "/dev/null", "-I", "-smux", "-p", &format!("{path}/pid"), "-c"])
        .arg(folder.path().join("snmpd.conf"));
    // The second transport is TCP, so that its start can be waited for.
    command.arg(format!("tcp:127.0.0.1:{second}"));
    let server = Server::start(second, folder, &mut command);
    let (found, gaps) = live::<Snmp>();
    assert_eq!(about(&gaps, server.folder()), Vec::<&Gap>::new());
    let answers = |community: &&str| {
        let get = |version: &str, target: String| {
            let mut command = Command::new("snmpget");
            command.args(["-r1", "-t2", version, "-c", community, &target, "1.3.6.1.2.1.1.1.0"]);
            stdout(&mut command).contains("STRING")
        };
        get("-v2c", format!("udp:127.0.0.1:{port}")) && get("-v2c", format!("tcp:127.0.0.1:{second}"))
    };
    let theirs: Vec<&str> = communities.into_iter().filter(|c| answers(c)).collect();
    assert_eq!(theirs, ["public", "lab-one", "lab-group", "lab-included"]);
    let ours: Vec<_> = found.communities.iter().filter(|c| c.subject.contains(text(server.folder()))).collect();
    let shown: BTreeSet<String> =
        ours.iter().map(|c| format!("{}:{} {} {}", c.source.place.rsplit('/').next().unwrap(), c.source.line, c.well_known, c.writes)).collect();
    assert_eq!(shown, set(&["snmpd.conf:2 true false", "snmpd.conf:3 false true", "snmpd.conf:5 false false", "a.conf:1 false false"]));
    let agent = found.agents.iter().find(|a| a.subject.contains(text(server.folder()))).unwrap();
    assert_eq!((agent.started.as_str(), agent.reachable, agent.addresses.len()), ("running", false, 2));
    let whole = serde_json::to_string(&found).unwrap();
    assert!(communities.iter().skip(1).all(|c| !whole.contains(c)), "no community leaves the host");
}

/// Transport, address and port of what a process listens on.
fn listened(pid: u32) -> BTreeSet<String> {
    let (found, _) = live::<Listeners>();
    found.items.iter().filter(|l| l.process.as_ref().is_some_and(|p| p.pid == pid)).map(|l| format!("{} {}:{}", l.transport, l.address, l.port)).collect()
}

fn announced(found: &SuperServers, mark: &str) -> BTreeSet<String> {
    found.services.iter().filter(|s| s.starts && s.source.place.contains(mark)).map(|s| format!("{} {}:{}", s.transport, s.address, s.port)).collect()
}

#[test]
fn inetd_listens_for_what_its_file_says() {
    let folder = folder();
    let ports: Vec<u16> = (0..6).map(|_| free_port()).collect();
    let config = format!(
        "#{} stream tcp nowait root internal\n127.0.0.1:{} stream tcp nowait nobody /bin/cat cat\n127.0.0.1:\n{} stream tcp nowait nobody\n  /bin/cat cat\n{} dgram udp wait nobody /bin/cat cat\n*:\n\
         127.0.0.1:{} stream tcp nowait.40 root.nogroup /usr/sbin/tcpd /usr/sbin/in.telnetd\n127.0.0.2:{} stream tcp nowait root /usr/sbin/in.ftpd in.ftpd -l\nbad line\n",
        ports[0], ports[1], ports[2], ports[3], ports[4], ports[5]
    );
    let file = folder.path().join("inetd.conf");
    std::fs::write(&file, config).unwrap();
    let mark = text(folder.path()).to_string();
    let mut command = Command::new("/usr/sbin/inetd");
    command.arg("-i").arg(&file);
    let server = Server::start(ports[1], folder, &mut command);
    let (found, gaps) = live::<SuperServers>();
    assert_eq!(about(&gaps, server.folder()), Vec::<&Gap>::new());
    let pid = u32::try_from(server.pid().as_raw_nonzero().get()).unwrap();
    assert_eq!(announced(&found, &mark), listened(pid));
    let failing: Vec<String> =
        judged(&found, &gaps, Verdict::Fail).into_iter().filter(|(.., m)| m.contains(&mark)).map(|(rule, _, message)| format!("{rule}: {message}")).collect();
    assert_eq!(
        failing,
        [
            format!("super-server-forbidden: inetd starts telnet on demand, {mark}/inetd.conf:8"),
            format!("super-server-forbidden: inetd starts ftp on demand, {mark}/inetd.conf:9")
        ]
    );
    // The FTP server that it would start is one of the FTP servers, too.
    let (ftp, _) = live::<Ftp>();
    let started = ftp.servers.iter().find(|s| s.source.place.contains(&mark)).unwrap();
    assert_eq!((started.program.as_str(), started.started.as_str(), started.starts), ("in.ftpd", "on demand by inetd", true));
}

#[test]
fn xinetd_listens_for_what_its_files_say() {
    let program = unpacked("xinetd/usr/sbin/xinetd");
    let folder = folder();
    let ports: Vec<u16> = (0..6).map(|_| free_port()).collect();
    let service = |name: &str, port: u16, more: &str| {
        format!(
            "service {name}\n{{\n type = UNLISTED\n port = {port}\n socket_type = stream\n protocol = tcp\n wait = no\n user = nobody\n server = /bin/cat\n bind = 127.0.0.1\n{more}}}\n"
        )
    };
    let path = text(folder.path()).to_string();
    let main = format!(
        "defaults\n{{\n only_from = 127.0.0.1\n disabled = off-by-list\n}}\n{}{}{}includedir {path}/d\n",
        service("a", ports[0], ""),
        service("b", ports[1], " disable = yes\n"),
        service("c", ports[2], " id = off-by-list\n"),
    );
    std::fs::create_dir(folder.path().join("d")).unwrap();
    std::fs::write(folder.path().join("xinetd.conf"), main).unwrap();
    std::fs::write(folder.path().join("d/d"), service("d", ports[3], " only_from += 10.0.0.0/8\n")).unwrap();
    std::fs::write(folder.path().join("d/e.conf"), service("e", ports[4], "")).unwrap();
    std::fs::write(folder.path().join("d/f~"), service("f", ports[5], "")).unwrap();
    let mut command = Command::new(program);
    command
        .args(["-dontfork", "-stayalive", "-f"])
        .arg(folder.path().join("xinetd.conf"))
        .arg("-pidfile")
        .arg(folder.path().join("pid"))
        .arg("-filelog")
        .arg(folder.path().join("log"));
    let server = Server::start_with(ports[0], folder, &mut command, rustix::process::Signal::TERM);
    let (found, gaps) = live::<SuperServers>();
    assert_eq!(about(&gaps, server.folder()), Vec::<&Gap>::new());
    let pid = u32::try_from(server.pid().as_raw_nonzero().get()).unwrap();
    assert_eq!(announced(&found, &path), listened(pid));
    let all: BTreeSet<&str> = found.services.iter().filter(|s| s.source.place.contains(&path)).map(|s| s.name.as_str()).collect();
    assert_eq!(all, BTreeSet::from(["a", "b", "c", "d"]));
    assert_eq!(found.services.iter().find(|s| s.name == "d" && s.source.place.contains(&path)).unwrap().clients, ["127.0.0.1", "10.0.0.0/8"]);
}

#[test]
fn sockets_start_where_systemctl_says_enabled() {
    let root = tempfile::tempdir().unwrap();
    let unit = |port: &str| format!("[Socket]\nListenStream={port}\nAccept=yes\n[Install]\nWantedBy=sockets.target\n");
    for (name, port) in
        [("telnet.socket", "23"), ("rsh.socket", "127.0.0.1:514"), ("tftp.socket", "[::]:6900"), ("masked.socket", "79"), ("local.socket", "/run/x")]
    {
        write(root.path(), &format!("usr/lib/systemd/system/{name}"), &unit(port));
        write(root.path(), &format!("usr/lib/systemd/system/{}@.service", name.trim_end_matches(".socket")), "[Service]\nExecStart=/usr/sbin/in.telnetd\n");
    }
    std::fs::create_dir_all(root.path().join("etc/systemd/system")).unwrap();
    for name in ["telnet.socket", "tftp.socket", "local.socket"] {
        super::lab::run(Command::new("systemctl").arg(format!("--root={}", root.path().display())).args(["enable", name]));
    }
    super::lab::run(Command::new("systemctl").arg(format!("--root={}", root.path().display())).args(["mask", "masked.socket"]));
    let (found, gaps) = gather::<SuperServers>(root.path());
    assert_eq!(gaps, []);
    let listed = stdout(Command::new("systemctl").arg(format!("--root={}", root.path().display())).args([
        "list-unit-files",
        "--type=socket",
        "--no-legend",
        "--no-pager",
    ]));
    let enabled: BTreeSet<&str> = listed
        .lines()
        .filter_map(|l| {
            let mut w = l.split_whitespace();
            w.next().filter(|_| w.next() == Some("enabled"))
        })
        .filter(|n| *n != "local.socket")
        .collect();
    let ours: BTreeSet<&str> = found.services.iter().filter(|s| s.starts).map(|s| s.name.as_str()).collect();
    assert_eq!(ours, enabled);
    assert_eq!(found.services.iter().map(|s| s.name.as_str()).collect::<BTreeSet<_>>(), BTreeSet::from(["telnet.socket", "rsh.socket", "tftp.socket"]));
}

/// A machine whose services start at boot, each with a fault and with decoys beside it.
fn plant(root: &Path) {
    let start = |unit: &str, command: &str| {
        write(root, &format!("lib/systemd/system/{unit}"), &format!("[Service]\nExecStart={command}\n[Install]\nWantedBy=multi-user.target\n"));
        write(root, &format!("etc/systemd/system/multi-user.target.wants/{unit}"), "");
    };
    start("vsftpd.service", "/usr/sbin/vsftpd /etc/vsftpd.conf");
    write(root, "etc/vsftpd.conf", "listen=YES\n#anonymous_enable=NO\nlocal_enable=YES\nssl_enable=YES\nforce_local_logins_ssl=NO\n");
    // A decoy: installed, nothing starts it.
    write(root, "lib/systemd/system/proftpd.service", "[Service]\nExecStart=/usr/sbin/proftpd\n");
    write(root, "etc/proftpd/proftpd.conf", "<Anonymous ~ftp>\n</Anonymous>\n");
    start("smbd.service", "/usr/sbin/smbd --foreground");
    write(
        root,
        "etc/samba/smb.conf",
        "[global]\n min protocol = NT1\n#server signing = mandatory\n[sound]\n path = /s\n smb encrypt = required\n[open]\n path = /o\n public = yes\n writable = yes\n[off]\n path = /f\n guest ok = yes\n available = no\n",
    );
    start("nfs-server.service", "/usr/sbin/rpc.nfsd");
    write(root, "etc/exports", "/sound host(sec=krb5p,rw) *(sec=krb5i)\n/open host (rw,no_root_squash)\n#/decoy *(rw)\n");
    start("rsync.service", "/usr/bin/rsync --daemon --no-detach");
    write(root, "etc/rsyncd.conf", "[sound]\npath=/s\nauth users = x\n[open]\npath=/o\nread only = no\n[local]\npath=/l\nhosts allow = 127.0.0.1\n");
    start("slapd.service", "/usr/sbin/slapd -h \"ldap:/// ldapi:///\" -F /etc/ldap/slapd.d");
    write(root, "etc/ldap/slapd.d/cn=config.ldif", "dn: cn=config\nobjectClass: olcGlobal\n");
    write(root, "etc/ldap/slapd.d/cn=config/olcDatabase={-1}frontend.ldif", "dn: olcDatabase={-1}frontend\nolcPasswordHash: {CLEARTEXT}\n");
    write(
        root,
        "etc/ldap/slapd.d/cn=config/olcDatabase={1}mdb.ldif",
        "dn: olcDatabase={1}mdb\nolcSuffix: dc=open\nolcAccess: {0}to attrs=userPassword by\n  self write by * read\nolcAccess: {1}to * by * read\n",
    );
    write(
        root,
        "etc/ldap/slapd.d/cn=config/olcDatabase={2}mdb.ldif",
        "dn: olcDatabase={2}mdb\nolcSuffix: dc=sound\nolcSecurity: ssf=128\nolcAccess:: ezB9dG8gKiBieSBhbm9ueW1vdXMgYXV0aCBieSAqIG5vbmU=\n",
    );
    start("snmpd.service", "/usr/sbin/snmpd -LOw -u Debian-snmp -f");
    write(
        root,
        "etc/snmp/snmpd.conf",
        "agentaddress udp:161\nrocommunity public default\nrocommunity sound-but-plain 10.0.0.0/8\nrocommunity private localhost\nrouser anna authpriv\nrouser bob\n#rwcommunity private\n",
    );
    start("inetd.service", "/usr/sbin/inetd");
    write(root, "etc/services", "telnet 23/tcp\nshell 514/tcp\nrsync 873/tcp\n");
    write(
        root,
        "etc/inetd.conf",
        "#telnet stream tcp nowait root /usr/sbin/tcpd /usr/sbin/in.telnetd\nshell stream tcp nowait root /usr/sbin/tcpd /usr/sbin/in.rshd\nrsync stream tcp nowait root /usr/bin/rsync rsync --daemon\n",
    );
    // A decoy: xinetd does not start.
    write(root, "etc/xinetd.conf", "service telnet\n{\n disable = no\n socket_type = stream\n server = /usr/sbin/in.telnetd\n}\n");
}

#[test]
fn planted_faults_are_found_with_their_places_and_decoys_are_not() {
    let root = tempfile::tempdir().unwrap();
    plant(root.path());
    let mut command = Command::new(ASSAY);
    command.args(["scan", "--root", text(root.path()), "--format", "json"]);
    for family in ["ftp", "sharing", "directory", "snmp", "super_servers"] {
        command.args(["--family", family]);
    }
    let report: Value = serde_json::from_str(&stdout(&mut command)).unwrap();
    let word = |f: &Value, key: &str| f[key].as_str().unwrap_or_default().to_string();
    let findings = report["findings"].as_array().unwrap();
    let prefixes = ["ftp-", "sharing-", "directory-", "snmp-", "super-server-"];
    let ours = || findings.iter().filter(|f| prefixes.iter().any(|p| word(f, "rule").starts_with(p)));
    let failing: BTreeSet<String> = ours().filter(|f| f["verdict"] == "fail").map(|f| format!("{} | {}", word(f, "rule"), word(f, "message"))).collect();
    let expected = [
        "ftp-started | starts (boot)",
        "ftp-tls-forced | names and passwords are taken in the clear at /etc/vsftpd.conf:5",
        "ftp-anonymous-configured | strangers sign in as anonymous by default in /etc/vsftpd.conf",
        "sharing-smb-version | the oldest dialect accepted is NT1 at /etc/samba/smb.conf:2",
        "sharing-smb-signing | signing is disabled by default in /etc/samba/smb.conf",
        "sharing-smb-encryption | encryption is if_required for /o at /etc/samba/smb.conf:7",
        "sharing-smb-guest | /o is open to guests, for writing too, at /etc/samba/smb.conf:9",
        "sharing-nfs-kerberos | exported to host with sys at /etc/exports:2",
        "sharing-nfs-kerberos | exported to * with sys at /etc/exports:2",
        "sharing-nfs-everyone | /open is exported to every address at /etc/exports:2",
        "sharing-nfs-root | no_root_squash for * at /etc/exports:2",
        "sharing-rsync-open | module open opens without a password, for writing too, at /etc/rsyncd.conf:4",
        "directory-tls-required | operations are answered in the clear; the database begins at /etc/ldap/slapd.d/cn=config/olcDatabase={1}mdb.ldif",
        "directory-anonymous-passwords | strangers may read userPassword at /etc/ldap/slapd.d/cn=config/olcDatabase={1}mdb.ldif:3",
        "directory-anonymous-entries | strangers may read entries; the database begins at /etc/ldap/slapd.d/cn=config/olcDatabase={1}mdb.ldif",
        "directory-password-hash | new passwords are stored as {CLEARTEXT} at /etc/ldap/slapd.d/cn=config/olcDatabase={-1}frontend.ldif:2",
        "snmp-community-configured | versions 1 and 2c are answered for default at /etc/snmp/snmpd.conf:2",
        "snmp-community-configured | versions 1 and 2c are answered for 10.0.0.0/8 at /etc/snmp/snmpd.conf:3",
        "snmp-community-well-known | the community is one that every scanner tries at /etc/snmp/snmpd.conf:2",
        "snmp-user-privacy | user bob is answered at level auth at /etc/snmp/snmpd.conf:6",
        "super-server-forbidden | inetd starts rsh on demand, /etc/inetd.conf:2",
    ];
    assert_eq!(failing, set(&expected));
    let unknown: Vec<String> = ours().filter(|f| f["verdict"] == "unknown").map(|f| f.to_string()).collect();
    assert!(unknown.is_empty(), "{unknown:#?}");
    assert!(!report.to_string().contains("sound-but-plain"), "no community leaves the host");
}
