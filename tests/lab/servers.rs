//! One function per server.

use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use rustix::process::Signal;

use super::{Certificate, Server, as_user, folder, free_port, give, run};

/// OpenSSL with every suite and version that it was built with, and these further arguments.
pub fn openssl(certificate: &Certificate, arguments: &[&str]) -> Server {
    let (folder, port) = (folder(), free_port());
    let config = folder.path().join("openssl.cnf");
    std::fs::write(&config, "openssl_conf=x\n[x]\nssl_conf=s\n[s]\nsystem_default=d\n[d]\nMinProtocol=None\nCipherString=ALL:@SECLEVEL=0\n").unwrap();
    let mut command = Command::new("openssl");
    command.env("OPENSSL_CONF", config).args(["s_server", "-quiet", "-accept", &format!("127.0.0.1:{port}"), "-cert"]).arg(&certificate.cert);
    Server::start_with(port, folder, command.arg("-key").arg(&certificate.key).args(arguments), Signal::KILL)
}

/// GnuTLS with this priority string.
pub fn gnutls(certificate: &Certificate, priority: &str) -> Server {
    let (folder, port) = (folder(), free_port());
    let mut command = Command::new("gnutls-serv");
    command.args(["--http", "--disable-client-cert", "--priority", priority, "-p", &port.to_string()]);
    Server::start_with(port, folder, command.arg("--x509certfile").arg(&certificate.cert).arg("--x509keyfile").arg(&certificate.key), Signal::KILL)
}

/// nginx with this text in its one `server` block; `{port}` is filled in.
pub fn nginx(server: &str) -> Server {
    let (folder, port) = (folder(), free_port());
    let path = folder.path().display().to_string();
    let config = format!(
        "daemon off; master_process off; pid {path}/pid; error_log stderr;\nevents {{}}\nhttp {{ access_log off; client_body_temp_path {path}/a; proxy_temp_path {path}/b; \
         fastcgi_temp_path {path}/c; uwsgi_temp_path {path}/d; scgi_temp_path {path}/e;\nserver {{ {} }} }}\n",
        server.replace("{port}", &format!("127.0.0.1:{port}"))
    );
    std::fs::write(folder.path().join("nginx.conf"), config).unwrap();
    let mut command = Command::new("/usr/sbin/nginx");
    command.arg("-p").arg(folder.path()).arg("-c").arg(folder.path().join("nginx.conf")).args(["-e", "stderr"]);
    Server::start(port, folder, &mut command)
}

/// vsftpd with these further lines in its configuration.
pub fn vsftpd(lines: &str) -> Server {
    let (folder, port) = (folder(), free_port());
    let path = folder.path().display().to_string();
    std::fs::create_dir(folder.path().join("empty")).unwrap();
    let config = format!(
        "listen=YES\nlisten_ipv6=NO\nlisten_address=127.0.0.1\nlisten_port={port}\nbackground=NO\nsecure_chroot_dir={path}/empty\nanon_root={path}/empty\nseccomp_sandbox=NO\nxferlog_enable=NO\n{lines}\n"
    );
    std::fs::write(folder.path().join("vsftpd.conf"), config).unwrap();
    let mut command = Command::new("/usr/sbin/vsftpd");
    command.arg(folder.path().join("vsftpd.conf"));
    Server::start(port, folder, &mut command)
}

/// Redis with these further arguments; `address` is what it binds.
pub fn redis(address: &str, arguments: &[&str]) -> Server {
    let (folder, port) = (folder(), free_port());
    let mut command = Command::new("redis-server");
    command.args(["--port", &port.to_string(), "--bind", address, "--save", "", "--dir"]).arg(folder.path()).args(arguments);
    Server::start(port, folder, &mut command)
}

/// memcached with these further arguments.
pub fn memcached(arguments: &[&str]) -> Server {
    let port = free_port();
    Server::start(port, folder(), Command::new("memcached").args(["-u", "nobody", "-l", "127.0.0.1", "-U", "0", "-p", &port.to_string()]).args(arguments))
}

/// PostgreSQL with this `pg_hba.conf` and these settings (`name=value`).
pub fn postgresql(hba: &str, certificate: Option<&Certificate>, settings: &[&str]) -> Server {
    let (folder, port) = (folder(), free_port());
    let bin = std::fs::read_dir("/usr/lib/postgresql").unwrap().map(|e| e.unwrap().path().join("bin")).max().unwrap();
    let data = folder.path().join("data");
    give(folder.path(), "postgres");
    run(as_user("postgres", bin.join("initdb")).args(["-N", "-A", "trust", "-U", "postgres", "--locale=C", "-D"]).arg(&data));
    std::fs::write(data.join("pg_hba.conf"), hba).unwrap();
    let mut command = as_user("postgres", bin.join("postgres"));
    command.arg("-D").arg(&data).args(["-p", &port.to_string(), "-k"]).arg(folder.path());
    if let Some(certificate) = certificate {
        for (from, to) in [(&certificate.cert, "server.crt"), (&certificate.key, "server.key")] {
            std::fs::copy(from, data.join(to)).unwrap();
        }
        run(Command::new("chmod").arg("0600").arg(data.join("server.key")));
        command.args(["-c", "ssl=on"]);
    }
    give(&data, "postgres");
    for setting in settings {
        command.args(["-c", setting]);
    }
    let server = Server::start_with(port, folder, &mut command, Signal::INT);
    // It listens before it serves.
    let began = std::time::Instant::now();
    while !server.log().contains("ready to accept connections") {
        assert!(began.elapsed() < std::time::Duration::from_secs(60), "{}", server.log());
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    server
}

/// A standby of a PostgreSQL server, called `name` in its `synchronous_standby_names`.
pub fn postgresql_standby(primary: &Server, name: &str) -> Server {
    let (folder, port) = (folder(), free_port());
    let bin = std::fs::read_dir("/usr/lib/postgresql").unwrap().map(|e| e.unwrap().path().join("bin")).max().unwrap();
    let data = folder.path().join("data");
    give(folder.path(), "postgres");
    let from = format!("host=127.0.0.1 port={} user=postgres application_name={name}", primary.port);
    run(as_user("postgres", bin.join("pg_basebackup")).args(["--write-recovery-conf", "--checkpoint=fast", "-d", &from, "-D"]).arg(&data));
    let mut command = as_user("postgres", bin.join("postgres"));
    command.arg("-D").arg(&data).args(["-p", &port.to_string(), "-c", "listen_addresses=127.0.0.1", "-c", "max_connections=100", "-k"]).arg(folder.path());
    Server::start_with(port, folder, &mut command, Signal::INT)
}

/// Makes a standby the primary.
pub fn promote(standby: &Server) {
    run(Command::new("psql").args(["-h", "127.0.0.1", "-p", &standby.port.to_string(), "-U", "postgres", "-c", "SELECT pg_promote()"]));
}

/// The address of a new, empty database on a PostgreSQL server that trusts its superuser.
pub fn database(server: &Server, name: &str) -> String {
    let port = server.port.to_string();
    run(Command::new("createdb").args(["-h", "127.0.0.1", "-p", &port, "-U", "postgres", name]));
    format!("postgres://postgres@127.0.0.1:{port}/{name}")
}

/// MariaDB with these further arguments.
pub fn mariadb(certificate: Option<&Certificate>, arguments: &[&str]) -> Server {
    let (folder, port) = (folder(), free_port());
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    give(folder.path(), "mysql");
    run(Command::new("mariadb-install-db")
        .args(["--no-defaults", "--user=mysql", "--skip-test-db", "--auth-root-authentication-method=normal"])
        .arg(format!("--datadir={}", data.display())));
    let mut command = Command::new("/usr/sbin/mariadbd");
    command.args(["--no-defaults", "--user=mysql", "--bind-address=127.0.0.1", "--innodb-buffer-pool-size=8M", "--innodb-log-file-size=4M"]);
    command.arg(format!("--datadir={}", data.display())).arg(format!("--socket={}", folder.path().join("s").display())).arg(format!("--port={port}"));
    if let Some(certificate) = certificate {
        command.arg(format!("--ssl-cert={}", certificate.cert.display())).arg(format!("--ssl-key={}", certificate.key.display()));
    }
    Server::start(port, folder, command.args(arguments))
}

/// An SMTP server (aiosmtpd); with a certificate it offers STARTTLS, and demands it if told so.
pub fn smtp(certificate: Option<&Certificate>, demand: bool) -> Server {
    let (folder, port) = (folder(), free_port());
    let mut command = Command::new("/usr/bin/python3");
    // aiosmtpd warns about demanding authentication without TLS; there is none here.
    command.args(["-m", "aiosmtpd", "-n", "-l", &format!("127.0.0.1:{port}"), "-c", "aiosmtpd.handlers.Sink"]);
    if let Some(certificate) = certificate {
        command.arg("--tlscert").arg(&certificate.cert).arg("--tlskey").arg(&certificate.key);
        if !demand {
            command.arg("--no-requiretls");
        }
    }
    Server::start_with(port, folder, &mut command, Signal::KILL)
}

/// Postfix, its SMTP server alone, with these further lines in `main.cf`.
pub fn postfix(certificate: &Certificate, lines: &str) -> Server {
    let (folder, port) = (folder(), free_port());
    let path = folder.path().display().to_string();
    for name in ["etc", "spool", "data"] {
        std::fs::create_dir(folder.path().join(name)).unwrap();
    }
    give(&folder.path().join("data"), "postfix");
    let main = format!(
        "compatibility_level = 3.6\nqueue_directory = {path}/spool\ndata_directory = {path}/data\nmyhostname = lab.example\nmydestination =\ninet_interfaces = 127.0.0.1\n\
         inet_protocols = ipv4\nmaillog_file = {path}/spool/log\nmaillog_file_prefixes = {path}\nalias_maps =\nlocal_recipient_maps =\n\
         smtpd_client_connection_rate_limit = 0\nsmtpd_client_connection_count_limit = 0\nsmtpd_tls_cert_file = {}\nsmtpd_tls_key_file = {}\n{lines}\n",
        certificate.cert.display(),
        certificate.key.display()
    );
    let services = format!(
        "127.0.0.1:{port} inet n - n - - smtpd\ncleanup unix n - n - 0 cleanup\nrewrite unix - - n - - trivial-rewrite\nproxymap unix - - n - - proxymap\n\
         anvil unix - - n - 1 anvil\ntlsmgr unix - - n 1000? 1 tlsmgr\npostlog unix-dgram n - n - 1 postlogd\n"
    );
    let etc = folder.path().join("etc");
    std::fs::write(etc.join("main.cf"), main).unwrap();
    std::fs::write(etc.join("master.cf"), services).unwrap();
    run(Command::new("postfix").arg("-c").arg(&etc).arg("check"));
    let mut command = Command::new("/usr/lib/postfix/sbin/master");
    command.env("MAIL_CONFIG", &etc).arg("-c").arg(&etc).arg("-d");
    Server::start(port, folder, &mut command)
}

/// A program that serves one connection on its standard input, output and error, as inetd starts it.
pub struct Inetd {
    /// Where it listens, on 127.0.0.1.
    pub port: u16,
    children: Arc<Mutex<Vec<Child>>>,
}

impl Inetd {
    /// Starts `program` for each connection.
    pub fn start(program: &'static str) -> Self {
        let port = free_port();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
        let children = Arc::new(Mutex::new(Vec::new()));
        let started = children.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let fd = OwnedFd::from(stream);
                let (input, errors) = (Stdio::from(fd.try_clone().unwrap()), Stdio::from(fd.try_clone().unwrap()));
                let child = Command::new(program).stdin(input).stdout(Stdio::from(fd)).stderr(errors).spawn().unwrap();
                started.lock().unwrap().push(child);
            }
        });
        Self { port, children }
    }
}

impl Drop for Inetd {
    fn drop(&mut self) {
        for child in self.children.lock().unwrap().iter_mut() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
