//! More servers, one function each: mail stores, directories, chat, news, desktops, files.

use std::path::Path;
use std::process::Command;

use rustix::process::Signal;

use super::{Certificate, Server, as_user, folder, free_port, give, run};

/// Ports of one Dovecot.
pub struct Dovecot {
    /// The server; its port is IMAP's.
    pub imap: Server,
    /// POP3.
    pub pop3: u16,
    /// ManageSieve.
    pub sieve: u16,
    /// LMTP.
    pub lmtp: u16,
}

/// Dovecot with these further settings; with a certificate it offers STARTTLS.
pub fn dovecot(certificate: Option<&Certificate>, settings: &str) -> Dovecot {
    let (folder, port) = (folder(), free_port());
    let (pop3, sieve, lmtp) = (free_port(), free_port(), free_port());
    let path = folder.path().display().to_string();
    let tls = match certificate {
        Some(c) => format!("ssl = yes\nssl_cert = <{}\nssl_key = <{}\n", c.cert.display(), c.key.display()),
        None => "ssl = no\n".into(),
    };
    let listener = |service: &str, name: &str, port: u16| {
        format!("service {service} {{\n inet_listener {name} {{\n port = {port}\n }}\n inet_listener {name}s {{\n port = 0\n }}\n}}\n")
    };
    let config = format!(
        "base_dir = {path}/run\nstate_dir = {path}/state\nlog_path = {path}/log\nprotocols = imap pop3 lmtp sieve\nlisten = 127.0.0.1\nmail_location = maildir:{path}/mail\n{tls}\
         passdb {{\n driver = static\n args = password=x\n}}\nuserdb {{\n driver = static\n args = uid=nobody gid=nogroup home={path}\n}}\n{}{}\
         service managesieve-login {{\n inet_listener sieve {{\n port = {sieve}\n }}\n}}\nservice lmtp {{\n inet_listener lmtp {{\n port = {lmtp}\n }}\n}}\n{settings}\n",
        listener("imap-login", "imap", port),
        listener("pop3-login", "pop3", pop3),
    );
    std::fs::write(folder.path().join("dovecot.conf"), config).unwrap();
    let mut command = Command::new("/usr/sbin/dovecot");
    command.arg("-F").arg("-c").arg(folder.path().join("dovecot.conf"));
    Dovecot { imap: Server::start(port, folder, &mut command), pop3, sieve, lmtp }
}

/// Postfix with these further settings (`name = value`).
pub fn postfix(certificate: Option<&Certificate>, settings: &str) -> Server {
    let (folder, port) = (folder(), free_port());
    let path = folder.path().display().to_string();
    for name in ["queue", "data"] {
        std::fs::create_dir(folder.path().join(name)).unwrap();
    }
    run(Command::new("chown").arg("postfix").arg(folder.path().join("data")));
    let tls = certificate.map_or_else(String::new, |c| format!("smtpd_tls_cert_file = {}\nsmtpd_tls_key_file = {}\n", c.cert.display(), c.key.display()));
    let config = format!(
        "compatibility_level = 3.6\nqueue_directory = {path}/queue\ndata_directory = {path}/data\ncommand_directory = /usr/sbin\ndaemon_directory = /usr/lib/postfix/sbin\n\
         mail_owner = postfix\nsetgid_group = postdrop\ninet_interfaces = 127.0.0.1\ninet_protocols = ipv4\nmyhostname = lab.example\nmydestination =\n\
         maillog_file = {path}/log\nmaillog_file_prefixes = {path}\n{tls}{settings}\n"
    );
    std::fs::write(folder.path().join("main.cf"), config).unwrap();
    let services = format!(
        "{port} inet n - n - - smtpd\ncleanup unix n - n - 0 cleanup\nrewrite unix - - n - - trivial-rewrite\ntlsmgr unix - - n 1000? 1 tlsmgr\n\
         anvil unix - - n - 1 anvil\npostlog unix-dgram n - n - 1 postlogd\nproxymap unix - - n - - proxymap\n"
    );
    std::fs::write(folder.path().join("master.cf"), services).unwrap();
    run(Command::new("/usr/sbin/postfix").arg("-c").arg(folder.path()).arg("check"));
    let mut command = Command::new("/usr/lib/postfix/sbin/master");
    command.arg("-d").arg("-c").arg(folder.path());
    Server::start(port, folder, &mut command)
}

/// OpenLDAP with one entry below `dc=lab,dc=example`; `global` and `database` are further lines of
/// its configuration.
pub fn slapd(certificate: Option<&Certificate>, global: &str, database: &str) -> Server {
    let (folder, port) = (folder(), free_port());
    let path = folder.path().display().to_string();
    std::fs::create_dir(folder.path().join("db")).unwrap();
    let tls = certificate.map_or_else(String::new, |c| format!("TLSCertificateFile {}\nTLSCertificateKeyFile {}\n", c.cert.display(), c.key.display()));
    let config = format!(
        "include /etc/ldap/schema/core.schema\nmodulepath /usr/lib/ldap\nmoduleload back_mdb\npidfile {path}/pid\nargsfile {path}/args\n{tls}{global}\n\
         database mdb\nsuffix \"dc=lab,dc=example\"\nrootdn \"cn=admin,dc=lab,dc=example\"\ndirectory {path}/db\n{database}\n"
    );
    std::fs::write(folder.path().join("slapd.conf"), config).unwrap();
    let entries = "dn: dc=lab,dc=example\nobjectClass: dcObject\nobjectClass: organization\no: lab\ndc: lab\n\n\
                   dn: ou=people,dc=lab,dc=example\nobjectClass: organizationalUnit\nou: people\n";
    std::fs::write(folder.path().join("entries.ldif"), entries).unwrap();
    run(Command::new("/usr/sbin/slapadd").arg("-f").arg(folder.path().join("slapd.conf")).arg("-l").arg(folder.path().join("entries.ldif")));
    let mut command = Command::new("/usr/sbin/slapd");
    command.args(["-d", "0", "-h", &format!("ldap://127.0.0.1:{port}"), "-f"]).arg(folder.path().join("slapd.conf"));
    Server::start(port, folder, &mut command)
}

/// Prosody with the domains `localhost` and `lab.example`; the second port is for servers.
pub fn prosody(certificate: Option<&Certificate>, demand: bool) -> (Server, u16) {
    let (folder, port, servers) = (folder(), free_port(), free_port());
    let path = folder.path().display().to_string();
    let tls = certificate.map_or_else(String::new, |c| format!("ssl = {{ certificate = \"{}\", key = \"{}\" }}\n", c.cert.display(), c.key.display()));
    let modules = if certificate.is_some() { "\"saslauth\", \"tls\", \"dialback\"" } else { "\"saslauth\", \"dialback\"" };
    let config = format!(
        "pidfile = \"{path}/pid\"\ndata_path = \"{path}\"\nmodules_enabled = {{ {modules} }}\nmodules_disabled = {{ \"posix\" }}\n\
         interfaces = {{ \"127.0.0.1\" }}\nc2s_ports = {{ {port} }}\ns2s_ports = {{ {servers} }}\nhttp_ports = {{}}\nhttps_ports = {{}}\n\
         c2s_require_encryption = {demand}\ns2s_require_encryption = {demand}\nallow_unencrypted_plain_auth = {}\nauthentication = \"internal_plain\"\n\
         log = {{ {{ levels = {{ min = \"info\" }}, to = \"console\" }} }}\n{tls}VirtualHost \"localhost\"\nVirtualHost \"lab.example\"\n",
        !demand
    );
    std::fs::write(folder.path().join("prosody.cfg.lua"), config).unwrap();
    give(folder.path(), "prosody");
    let mut command = as_user("prosody", "prosody");
    command.arg("-F").arg("--config").arg(folder.path().join("prosody.cfg.lua"));
    (Server::start(port, folder, &mut command), servers)
}

/// INN's server for readers with these lines in the one group of its `readers.conf` that everybody is in.
pub fn nnrpd(certificate: Option<&Certificate>, access: &str) -> Server {
    let inn = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/lab/inn2");
    assert!(inn.is_dir(), "{}: tests/run unpacks it", inn.display());
    let news = inn.join("usr/lib/news");
    let (folder, port) = (folder(), free_port());
    let path = folder.path().display().to_string();
    for name in ["db", "spool/overview"] {
        std::fs::create_dir_all(folder.path().join(name)).unwrap();
    }
    let tls = certificate.map_or_else(String::new, |c| {
        let key = folder.path().join("key.pem");
        std::fs::copy(&c.key, &key).unwrap();
        run(Command::new("chmod").arg("0600").arg(&key));
        format!("tlscertfile: {}\ntlskeyfile: {}\n", c.cert.display(), key.display())
    });
    let config = format!(
        "mta: /bin/true\nnnrpdloadlimit: 0\nhismethod: hisv6\novmethod: tradindexed\nenableoverview: true\npathhost: lab.example\ndomain: lab.example\nfromhost: lab.example\n\
         pathnews: {}\npathetc: {path}\npathdb: {path}/db\npathlog: {path}\npathrun: {path}\npathspool: {path}/spool\npathtmp: {path}\nrunasuser: news\nrunasgroup: news\n{tls}",
        news.display()
    );
    std::fs::write(folder.path().join("inn.conf"), config).unwrap();
    std::fs::write(folder.path().join("readers.conf"), access).unwrap();
    std::fs::write(folder.path().join("storage.conf"), "method tradspool {\n newsgroups: *\n class: 0\n}\n").unwrap();
    for name in ["active", "newsgroups"] {
        std::fs::copy(news.join("examples").join(name), folder.path().join("db").join(name)).unwrap();
    }
    for name in ["spool/tradspool.map", "db/history", "db/active.times"] {
        std::fs::write(folder.path().join(name), "").unwrap();
    }
    give(folder.path(), "news");
    let inside = |mut command: Command| {
        command.env("INNCONF", folder.path().join("inn.conf")).env("LD_LIBRARY_PATH", &news).current_dir(folder.path().join("db"));
        command
    };
    run(inside(as_user("news", news.join("bin/makedbz"))).args(["-i", "-o", "-s", "1000"]));
    run(inside(as_user("news", news.join("bin/makehistory"))).arg("-O"));
    // It becomes that user by itself, once it has its port.
    let mut command = inside(Command::new(news.join("bin/nnrpd")));
    command.args(["-D", "-f", "-4", "127.0.0.1", "-p", &port.to_string()]);
    Server::start(port, folder, &mut command)
}

/// xrdp with this `security_layer`.
pub fn xrdp(certificate: &Certificate, layer: &str) -> Server {
    let (folder, port) = (folder(), free_port());
    let path = folder.path().display().to_string();
    let config = format!(
        "[Globals]\nini_version=1\nfork=true\nport=tcp://127.0.0.1:{port}\nsecurity_layer={layer}\ncrypt_level=high\ncertificate={}\nkey_file={}\nssl_protocols=TLSv1.2, TLSv1.3\n\
         [Logging]\nLogFile={path}/log\nLogLevel=INFO\nEnableSyslog=false\n[Xorg]\nname=Xorg\nlib=libxup.so\nusername=ask\npassword=ask\nip=127.0.0.1\nport=-1\ncode=20\n",
        certificate.cert.display(),
        certificate.key.display()
    );
    std::fs::write(folder.path().join("xrdp.ini"), config).unwrap();
    std::fs::create_dir_all("/run/xrdp").unwrap();
    let mut command = Command::new("/usr/sbin/xrdp");
    command.args(["--nodaemon", "--config"]).arg(folder.path().join("xrdp.ini"));
    Server::start(port, folder, &mut command)
}

/// OpenSSH with a key of this kind (of `ssh-keygen -t`) and these settings (`Name=value`).
pub fn sshd(kind: &str, settings: &[&str]) -> Server {
    let (folder, port) = (folder(), free_port());
    let key = folder.path().join("key");
    run(Command::new("ssh-keygen").args(["-q", "-t", kind, "-N", "", "-f"]).arg(&key));
    std::fs::create_dir_all("/run/sshd").unwrap();
    let mut command = Command::new("/usr/sbin/sshd");
    command.args(["-D", "-e", "-f", "/dev/null", "-o", "PidFile=none", "-o", &format!("ListenAddress=127.0.0.1:{port}"), "-h"]).arg(key);
    for setting in settings {
        command.args(["-o", setting]);
    }
    Server::start(port, folder, &mut command)
}

/// Dropbear.
pub fn dropbear() -> Server {
    let (folder, port) = (folder(), free_port());
    let key = folder.path().join("key");
    run(Command::new("dropbearkey").args(["-t", "rsa", "-f"]).arg(&key));
    let mut command = Command::new("/usr/sbin/dropbear");
    command.args(["-F", "-E", "-p", &format!("127.0.0.1:{port}"), "-r"]).arg(key);
    Server::start(port, folder, &mut command)
}

/// Samba with these further lines in `[global]`. It ends its whole process group, hence setsid.
pub fn smbd(lines: &str) -> Server {
    let (folder, port) = (folder(), free_port());
    let path = folder.path().display().to_string();
    let config = format!(
        "[global]\nworkgroup = LAB\nserver role = standalone server\nbind interfaces only = yes\ninterfaces = 127.0.0.1/8\nsmb ports = {port}\ndisable netbios = yes\n\
         lock directory = {path}\nstate directory = {path}\ncache directory = {path}\npid directory = {path}\nprivate dir = {path}\nncalrpc dir = {path}/ncalrpc\n\
         log file = {path}/log\nload printers = no\nprinting = bsd\nrpc start on demand helpers = no\n{lines}\n"
    );
    std::fs::write(folder.path().join("smb.conf"), config).unwrap();
    let mut command = Command::new("setsid");
    command.args(["/usr/sbin/smbd", "-F", "--no-process-group", "-s"]).arg(folder.path().join("smb.conf"));
    Server::start(port, folder, &mut command)
}

/// A display of X: its port is 6000 and its number. `open` lets everybody in.
pub fn xvfb(open: bool) -> Server {
    let (folder, port) = (folder(), free_port());
    let display = format!(":{}", port - 6000);
    let mut command = Command::new("Xvfb");
    command.args([&display, "-listen", "tcp", "-nolisten", "unix", "-nolisten", "local", "-screen", "0", "64x64x8"]);
    if open {
        command.arg("-ac");
    } else {
        let authority = folder.path().join("authority");
        run(Command::new("xauth").arg("-f").arg(&authority).args(["add", &display, ".", "0123456789abcdef0123456789abcdef"]));
        command.arg("-auth").arg(authority);
    }
    Server::start(port, folder, &mut command)
}

/// TigerVNC with these security types.
pub fn tigervnc(certificate: &Certificate, types: &str) -> Server {
    let (folder, port) = (folder(), free_port());
    let password = folder.path().join("passwd");
    // Obfuscated by a key that everybody knows; nobody signs in.
    std::fs::write(&password, [0x2f, 0x98, 0x1d, 0xc5, 0x48, 0xe0, 0x9e, 0xc2]).unwrap();
    let mut command = Command::new("Xtigervnc");
    command.arg(format!(":{}", port - 5900)).args(["-rfbport", &port.to_string(), "-interface", "127.0.0.1", "-nolisten", "unix"]);
    command.args(["-SecurityTypes", types, "-PasswordFile"]).arg(password).arg("-X509Cert").arg(&certificate.cert).arg("-X509Key").arg(&certificate.key);
    Server::start(port, folder, &mut command)
}

/// x11vnc without a password, of this display.
pub fn x11vnc(display: &Server) -> Server {
    let (folder, port) = (folder(), free_port());
    let mut command = Command::new("x11vnc");
    command.args(["-display", &format!("127.0.0.1:{}", display.port - 6000), "-rfbport", &port.to_string()]);
    Server::start(port, folder, command.args(["-localhost", "-no6", "-noipv6", "-nopw", "-noshm", "-forever", "-shared"]))
}

/// An rsync daemon with these modules: their lines, `{path}` filled in.
pub fn rsyncd(modules: &str) -> Server {
    let (folder, port) = (folder(), free_port());
    let path = folder.path().display().to_string();
    std::fs::write(folder.path().join("motd"), "Welcome\tto the lab\n").unwrap();
    let secrets = folder.path().join("secrets");
    std::fs::write(&secrets, "somebody:secret\n").unwrap();
    run(Command::new("chmod").arg("0600").arg(&secrets));
    let config = format!("use chroot = no\naddress = 127.0.0.1\nmotd file = {path}/motd\nlog file = {path}/log\n{}", modules.replace("{path}", &path));
    std::fs::write(folder.path().join("rsyncd.conf"), config).unwrap();
    let mut command = Command::new("rsync");
    command.args(["--daemon", "--no-detach", "--port", &port.to_string(), "--config"]).arg(folder.path().join("rsyncd.conf"));
    Server::start_with(port, folder, &mut command, Signal::TERM)
}
