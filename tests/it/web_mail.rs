//! Configurations of web and mail servers against what the programs themselves say, and against their sockets.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use assay::facts::listeners::Listeners;
use assay::facts::mail::Mail;
use assay::facts::services::{Plan, survey};
use assay::facts::web::Web;
use assay::facts::{Document, HostFamily};
use assay::host::Host;
use assay::model::configured::ConfiguredEndpoint;
use assay::model::fact::Observation;
use assay::model::finding::Verdict;
use assay::model::gap::{Gap, Gaps};
use assay::model::policy::Policy;
use assay::probe::Limits;
use assay::rules::{self, Input, Pack};

use super::lab::{Certificate, Server, daemons, folder, free_port};
use super::ssh_facts::{gather, judged, write};

/// What a program prints, on its error output where it prints nothing else.
fn told(program: &str, arguments: &[&str]) -> String {
    let out = Command::new(program).args(arguments).output().unwrap_or_else(|e| panic!("{program}: {e}"));
    assert!(out.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&out.stderr));
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    if text.is_empty() { String::from_utf8_lossy(&out.stderr).into_owned() } else { text }
}

/// A family of the running machine.
fn live<T: HostFamily>() -> (T, Vec<Gap>) {
    let mut gaps = Gaps::new();
    let found = T::gather(&Host::live().unwrap(), &mut gaps).unwrap();
    (found, gaps.into_sorted())
}

/// Of the running machine's web servers those of one folder: other tests run servers beside.
fn web_of(folder: &Path) -> Web {
    let (mut web, _) = live::<Web>();
    let ours = |place: &str| place.starts_with(folder.to_str().unwrap());
    web.servers.retain(|s| ours(&s.source.place));
    web.endpoints.retain(|e| ours(&e.source.place));
    web.sites.retain(|s| ours(&s.source.place));
    web.upstreams.retain(|u| ours(&u.source.place));
    web.listings.retain(|l| ours(&l.source.place));
    web.key_files.retain(|k| ours(&k.source.place));
    web
}

fn mail_of(folder: &Path) -> Mail {
    let (mut mail, _) = live::<Mail>();
    let ours = |place: &str| place.starts_with(folder.to_str().unwrap());
    mail.servers.retain(|s| ours(&s.source.place));
    mail.endpoints.retain(|e| ours(&e.source.place));
    mail.listeners.retain(|l| ours(&l.source.place));
    mail.outgoing.retain(|o| o.subject.contains(folder.to_str().unwrap()));
    mail.key_files.retain(|k| ours(&k.source.place));
    mail
}

/// What is seen on these ports of this machine; further targets name virtual hosts.
fn seen(ports: &[u16], names: &[(u16, &str)]) -> Observation {
    let (listeners, _) = live::<Listeners>();
    let listeners = listeners.items.into_iter().filter(|l| l.transport == "tcp" && ports.iter().any(|p| u32::from(*p) == l.port)).collect();
    let targets = names.iter().map(|(port, name)| format!("127.0.0.1:{port} sni {name}")).collect();
    let plan = Plan { listeners, targets, ..Plan::default() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut gaps = Gaps::new();
    let surveyed = runtime.block_on(survey(&plan, &Limits::default(), &mut gaps, &|_, _| {}));
    let families = BTreeMap::from([
        ("services".to_string(), serde_json::to_value(surveyed.services.unwrap()).unwrap()),
        ("tls".to_string(), serde_json::to_value(surveyed.tls.unwrap()).unwrap()),
    ]);
    Observation { gathered_at: 1_795_305_600, families, gaps: gaps.into_sorted() }
}

/// Findings of the comparison between files and sockets: verdict, subject, message.
fn compared(mut observation: Observation, web: Option<&Web>, mail: Option<&Mail>) -> Vec<(Verdict, String, String)> {
    observation.families.insert("web".into(), serde_json::to_value(web.cloned().unwrap_or_default()).unwrap());
    observation.families.insert("mail".into(), serde_json::to_value(mail.cloned().unwrap_or_default()).unwrap());
    let pack = Pack::builtin(assay::facts::schemas()).unwrap_or_else(|e| panic!("{e}"));
    let input = Input { observation: &observation, policy: &Policy::default(), against: assay::model::against::Against::default(), advisories: None };
    let findings = rules::evaluate(&pack, &input).into_iter().filter(|f| f.rule == "endpoint-configuration-differs");
    findings.map(|f| (f.verdict, f.subject, f.message)).collect()
}

/// Versions that the socket accepted, by subject.
fn accepted(observation: &Observation) -> BTreeMap<String, Vec<String>> {
    let endpoints = observation.families["tls"]["endpoints"].as_array().unwrap();
    let text = |v: &serde_json::Value| v.as_str().unwrap().to_string();
    endpoints.iter().map(|e| (text(&e["subject"]), e["accepted"].as_array().unwrap().iter().map(text).collect())).collect()
}

fn versions<'e>(endpoints: &'e [ConfiguredEndpoint], subject: &str) -> &'e [String] {
    let found = endpoints.iter().find(|e| e.subject == subject).unwrap_or_else(|| panic!("{subject} is not among {endpoints:#?}"));
    found.versions.as_deref().unwrap_or_default()
}

fn fails<T: Document>(document: &T) -> Vec<String> {
    let mut out: Vec<String> =
        judged(document, &[], Verdict::Fail).into_iter().filter(|(rule, ..)| rule.starts_with(T::NAME)).map(|(r, s, _)| format!("{r} {s}")).collect();
    out.sort();
    out
}

/// A master with workers, so that it can be reloaded.
fn nginx(folder: tempfile::TempDir, port: u16) -> Server {
    let mut command = Command::new("/usr/sbin/nginx");
    command.arg("-p").arg(folder.path()).args(["-c", "nginx.conf", "-e", "stderr", "-g", "daemon off;"]);
    Server::start(port, folder, &mut command)
}

fn nginx_folder(certificate: &Certificate, ports: [u16; 3]) -> tempfile::TempDir {
    let folder = folder();
    let path = folder.path().display().to_string();
    std::fs::copy(&certificate.cert, folder.path().join("cert.pem")).unwrap();
    std::fs::copy(&certificate.key, folder.path().join("key.pem")).unwrap();
    let [one, two, plain] = ports;
    write(
        folder.path(),
        "nginx.conf",
        &format!(
            "pid {path}/pid; error_log stderr; worker_processes 1;\nevents {{}}\nhttp {{ client_body_temp_path {path}/a; proxy_temp_path {path}/b; fastcgi_temp_path {path}/c;\n\
             uwsgi_temp_path {path}/d; scgi_temp_path {path}/e; access_log {path}/access;\nssl_certificate cert.pem; ssl_certificate_key key.pem; ssl_ciphers 'DEFAULT:@SECLEVEL=0';\n\
             upstream app {{ server 127.0.0.1:9; server 10.9.8.7:9; }}\ninclude sites/*.conf;\n}}\n"
        ),
    );
    write(
        folder.path(),
        "sites/a.conf",
        &format!(
            "server {{ listen 127.0.0.1:{one} ssl; server_name late.example; ssl_protocols TLSv1.3; location / {{ proxy_pass http://app; }} }}\n\
             server {{ listen 127.0.0.1:{one} default_server; server_name first.example; ssl_protocols TLSv1.1 TLSv1.2;\n\
             add_header Strict-Transport-Security max-age=63072000; location /x {{ add_header X y; autoindex on; }} }}\n"
        ),
    );
    write(
        folder.path(),
        "sites/b.conf",
        &format!("server {{ listen 127.0.0.1:{two} ssl; server_name usual.example; }}\nserver {{ listen 127.0.0.1:{plain}; return 301 https://$host; }}\n"),
    );
    write(folder.path(), "sites/c.conf.save", "server { listen 1; }\n");
    folder
}

#[test]
fn nginx_as_it_says_and_as_it_answers() {
    let certificate = Certificate::ordinary();
    let ports = [free_port(), free_port(), free_port()];
    let [one, two, plain] = ports;
    let server = nginx(nginx_folder(&certificate, ports), one);
    let path = server.folder().to_path_buf();
    let web = web_of(&path);
    assert_eq!(web.servers.len(), 1, "{:#?}", web.servers);
    assert!(web.servers[0].running && told("nginx", &["-V"]).contains(&format!("nginx/{}\n", web.servers[0].version)));
    let dump = told("nginx", &["-p", path.to_str().unwrap(), "-c", "nginx.conf", "-e", "stderr", "-T"]);
    let files: Vec<&str> = dump.lines().filter_map(|l| l.strip_prefix("# configuration file ")).map(|l| l.trim_end_matches(':')).collect();
    assert_eq!(web.servers[0].files, files);

    let observation = seen(&ports, &[(one, "late.example"), (one, "first.example")]);
    let wire = accepted(&observation);
    let expected = [
        (format!("nginx 127.0.0.1:{one} first.example"), format!("127.0.0.1:{one}/tcp")),
        (format!("nginx 127.0.0.1:{one} first.example"), format!("127.0.0.1:{one}/tcp sni first.example")),
        (format!("nginx 127.0.0.1:{one} late.example"), format!("127.0.0.1:{one}/tcp sni late.example")),
        (format!("nginx 127.0.0.1:{two} usual.example"), format!("127.0.0.1:{two}/tcp")),
    ];
    for (ours, its) in expected {
        assert_eq!(versions(&web.endpoints, &ours), wire[&its], "{ours}");
    }
    assert_eq!(web.endpoints.iter().filter(|e| e.tls == "none").count(), 1);
    let endpoint = &web.endpoints.iter().find(|e| e.subject.ends_with("usual.example")).unwrap();
    assert_eq!(
        (endpoint.certificates.as_slice(), endpoint.keys.as_slice()),
        (&[format!("{}/cert.pem", path.display())][..], &[format!("{}/key.pem", path.display())][..])
    );
    let all = compared(observation, Some(&web), None);
    assert!(all.len() >= 4 && all.iter().all(|(verdict, ..)| *verdict == Verdict::Pass), "{all:#?}");
    let site = |name: &str| web.sites.iter().find(|s| s.names.first().map_or("", String::as_str) == name).unwrap();
    assert_eq!(
        (site("").plaintext.as_str(), site("first.example").hsts_max_age_seconds, site("first.example").hsts_lost.len()),
        ("redirected", Some(63_072_000), 1)
    );
    let upstreams: Vec<(&str, bool)> = web.upstreams.iter().map(|u| (u.target.as_str(), u.this_machine)).collect();
    assert_eq!(upstreams, [("127.0.0.1:9", true), ("10.9.8.7:9", false)]);
    assert_eq!(web.listings.iter().map(|l| (l.path.as_str(), l.exposed)).collect::<Vec<_>>(), [("/x", false)]);
    assert!(web.sites.iter().all(|s| s.plaintext_addresses.is_empty() && s.tls_addresses.is_empty()), "loopback alone");
    assert!(plain > 0);
}

#[test]
fn a_file_that_was_changed_without_a_reload_is_seen() {
    let certificate = Certificate::ordinary();
    let ports = [free_port(), free_port(), free_port()];
    let server = nginx(nginx_folder(&certificate, ports), ports[0]);
    let path = server.folder().to_path_buf();
    let site = path.join("sites/a.conf");
    let strict = std::fs::read_to_string(&site).unwrap().replace("TLSv1.1 TLSv1.2", "TLSv1.2");
    std::fs::write(&site, strict).unwrap();
    let failing = |web: &Web| {
        let all = compared(seen(&ports[..1], &[]), Some(web), None);
        all.into_iter().filter(|(verdict, ..)| *verdict == Verdict::Fail).map(|(_, subject, message)| (subject, message)).collect::<Vec<_>>()
    };
    let web = web_of(&path);
    let found = failing(&web);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(
        found[0].0.ends_with("first.example")
            && found[0].1.contains("accepts TLSv1.1")
            && found[0].1.contains("sites/a.conf:2")
            && found[0].1.contains("reloaded"),
        "{found:#?}"
    );
    rustix::process::kill_process(server.pid(), rustix::process::Signal::HUP).unwrap();
    let began = Instant::now();
    while !failing(&web).is_empty() {
        assert!(began.elapsed() < Duration::from_secs(60), "the reload does not end");
        std::thread::sleep(Duration::from_millis(50));
    }
}

const MODULES: [&str; 6] = ["mpm_event", "authz_core", "ssl", "alias", "autoindex", "headers"];

fn apache_folder(certificate: &Certificate, [one, two]: [u16; 2]) -> tempfile::TempDir {
    let folder = folder();
    let path = folder.path().display().to_string();
    std::fs::copy(&certificate.cert, folder.path().join("cert.pem")).unwrap();
    std::fs::copy(&certificate.key, folder.path().join("key.pem")).unwrap();
    let modules: String = MODULES.iter().map(|m| format!("LoadModule {m}_module /usr/lib/apache2/modules/mod_{m}.so\n")).collect();
    write(
        folder.path(),
        "apache2.conf",
        &format!(
            "PidFile {path}/pid\nErrorLog {path}/error.log\nDefaultRuntimeDir {path}\nDefine PORT {one}\n{modules}ServerName main.example\n<IfModule mod_ssl.c>\n Listen 127.0.0.1:${{PORT}}\n</IfModule>\n\
             <IfModule !mod_ssl.c>\n Listen 127.0.0.1:1\n</IfModule>\nListen 127.0.0.1:{two}\n<IfDefine NOT_SAID>\n Listen 127.0.0.1:2\n</IfDefine>\n<IfVersion >= 2.4>\n SSLCipherSuite DEFAULT:@SECLEVEL=0\n</IfVersion>\n\
             <IfDefine SAID>\n IncludeOptional sites/*.conf\n</IfDefine>\nInclude more\n"
        ),
    );
    write(
        folder.path(),
        "sites/a.conf",
        "<VirtualHost 127.0.0.1:${PORT}>\nServerName a.example\nServerAlias www.a.example\nSSLEngine on\nSSLProtocol all -SSLv3 -TLSv1\nSSLCertificateFile cert.pem\nSSLCertificateKeyFile key.pem\n</VirtualHost>\n",
    );
    write(
        folder.path(),
        "sites/b.conf",
        &format!(
            "<VirtualHost *:${{PORT}}>\nServerName hidden.example\n</VirtualHost>\n<VirtualHost 127.0.0.1:${{PORT}}>\nServerName b.example\nSSLEngine on\nSSLProtocol TLSv1.3\nSSLCertificateFile {path}/cert.pem\n\
             SSLCertificateKeyFile {path}/key.pem\n</VirtualHost>\n"
        ),
    );
    write(folder.path(), "more/c", &format!("<VirtualHost *:{two}>\nServerName c.example\nRedirect permanent / https://c.example/\n</VirtualHost>\n"));
    folder
}

#[test]
fn apache_as_it_says_and_as_it_answers() {
    let certificate = Certificate::ordinary();
    let ports = [free_port(), free_port()];
    let [one, two] = ports;
    let folder = apache_folder(&certificate, ports);
    let path = folder.path().to_path_buf();
    let root = path.to_str().unwrap().to_string();
    let mut command = Command::new("/usr/sbin/apache2");
    command.args(["-d", &root, "-f", "apache2.conf", "-D", "SAID", "-D", "FOREGROUND"]);
    let server = Server::start(one, folder, &mut command);
    let web = web_of(&path);
    assert_eq!(web.servers.len(), 1, "{:#?}", web.servers);
    assert!(web.servers[0].running && told("apache2", &["-v"]).contains(&format!("Apache/{} ", web.servers[0].version)));
    let dump = told("apache2", &["-d", &root, "-f", "apache2.conf", "-D", "SAID", "-t", "-D", "DUMP_VHOSTS", "-D", "DUMP_INCLUDES"]);
    let files: Vec<&str> = dump.lines().filter(|l| l.trim_start().starts_with('(')).filter_map(|l| l.split(") ").nth(1)).collect();
    assert_eq!(web.servers[0].files, files, "{dump}");
    // `port 443 namevhost NAME (FILE:LINE)` and `*:80 NAME (FILE:LINE)`; the host of all addresses never answers beside one of the address.
    let places: BTreeSet<String> = dump
        .lines()
        .filter_map(|l| l.rsplit_once('(').map(|(_, p)| p.trim_end_matches(')').to_string()))
        .filter(|p| p.contains(".conf:") || p.contains("/c:"))
        .collect();
    let ours: BTreeSet<String> = web.endpoints.iter().map(|e| format!("{}:{}", e.source.place, e.source.line)).collect();
    assert_eq!(&ours | &BTreeSet::from([format!("{root}/sites/b.conf:1")]), places, "{dump}");
    let names: Vec<&str> = web.endpoints.iter().map(|e| e.subject.rsplit(' ').next().unwrap()).collect();
    assert_eq!(names, ["a.example", "b.example", "c.example"]);

    let observation = seen(&ports, &[(one, "a.example"), (one, "b.example")]);
    let wire = accepted(&observation);
    for (ours, its) in [
        (format!("apache 127.0.0.1:{one} a.example"), format!("127.0.0.1:{one}/tcp")),
        (format!("apache 127.0.0.1:{one} a.example"), format!("127.0.0.1:{one}/tcp sni a.example")),
        (format!("apache 127.0.0.1:{one} b.example"), format!("127.0.0.1:{one}/tcp sni b.example")),
    ] {
        assert_eq!(versions(&web.endpoints, &ours), wire[&its], "{ours}");
    }
    let all = compared(observation, Some(&web), None);
    assert!(all.len() >= 3 && all.iter().all(|(verdict, ..)| *verdict == Verdict::Pass), "{all:#?}");
    assert_eq!(web.key_files.iter().map(|k| k.state.as_str()).collect::<Vec<_>>(), ["file", "file"]);
    let plain = web.sites.iter().find(|s| s.names == ["c.example"]).unwrap();
    assert_eq!((plain.plaintext.as_str(), plain.access_log.as_str()), ("redirected", "off"));
    drop(server);
    assert!(two > 0);
}

/// The answer to one line of a conversation.
fn say(stream: &mut BufReader<TcpStream>, line: &str) -> String {
    stream.get_mut().write_all(line.as_bytes()).unwrap();
    let mut answer = String::new();
    loop {
        answer.clear();
        stream.read_line(&mut answer).unwrap();
        if answer.as_bytes().get(3) != Some(&b'-') {
            return answer;
        }
    }
}

/// Whether the server takes a stranger's mail to somebody elsewhere.
fn relays(port: u16) -> bool {
    let mut stream = BufReader::new(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap());
    say(&mut stream, "");
    say(&mut stream, "EHLO stranger.example\r\n");
    say(&mut stream, "MAIL FROM:<a@stranger.example>\r\n");
    say(&mut stream, "RCPT TO:<b@elsewhere.example>\r\n").starts_with("250")
}

#[test]
fn postfix_as_it_says_and_as_it_answers() {
    let certificate = Certificate::ordinary();
    let expressions = "x = mail.$mydomain\nrelayhost = ${{$compatibility_level} >level {3.5} ? {[$x]:${y:26}} : {no}}\nsmtpd_tls_ciphers = ${relayhost?{high}:{low}}\n\
        smtpd_tls_mandatory_ciphers = $smtpd_tls_ciphers\nsmtp_tls_security_level = ${smtpd_tls_cert_file?may}\n";
    let tls = "smtpd_tls_security_level = may\nsmtpd_tls_protocols = >=TLSv1.1\ntls_medium_cipherlist = ALL:@SECLEVEL=0\ntls_high_cipherlist = ALL:@SECLEVEL=0\nmynetworks = 10.9.9.9/32\n\
        smtpd_sasl_auth_enable = yes\nsmtpd_sasl_type = dovecot\nsmtpd_sasl_path = private/none\n";
    for (lines, relay, sign_in) in [
        ("", "closed", "cleartext"),
        ("mynetworks = 10.9.9.9/32, 0.0.0.0/0\nsmtpd_tls_auth_only = yes\n", "open", "after-tls"),
        (
            "smtpd_relay_restrictions = permit_mynetworks, permit_auth_destination, reject\nsmtpd_tls_security_level = encrypt\nsmtpd_tls_mandatory_protocols = TLSv1.2\n",
            "closed",
            "after-tls",
        ),
    ] {
        // A server whose sign-in has no one to ask would not greet: it is configured, and off while it runs.
        let server = daemons::postfix(
            Some(&certificate),
            &format!("{expressions}{tls}{lines}").replace("smtpd_sasl_auth_enable = yes\n", "smtpd_sasl_auth_enable = no\n"),
        );
        let path = server.folder().to_path_buf();
        let value = |name: &str| told("postconf", &["-c", path.to_str().unwrap(), "-x", "-h", name]).trim().to_string();
        let mail = mail_of(&path);
        assert_eq!((mail.servers.len(), mail.endpoints.len()), (1, 1), "{mail:#?}");
        assert_eq!(mail.servers[0].version, value("mail_version"));
        let endpoint = &mail.endpoints[0];
        let ciphers = if endpoint.tls == "required" { "smtpd_tls_mandatory_ciphers" } else { "smtpd_tls_ciphers" };
        assert_eq!(endpoint.ciphers, value(ciphers));
        assert_eq!(endpoint.certificates, [value("smtpd_tls_cert_file")]);
        assert_eq!(endpoint.keys, [value("smtpd_tls_key_file")]);
        assert_eq!(endpoint.address, value("inet_interfaces"));
        assert_eq!(mail.listeners[0].relay, relay, "{lines}");
        if endpoint.tls == "offered" {
            assert_eq!(relays(server.port), relay == "open", "{lines}");
        }
        let observation = seen(&[server.port], &[]);
        assert_eq!(versions(&mail.endpoints, &endpoint.subject), accepted(&observation)[&format!("127.0.0.1:{}/tcp", server.port)], "{lines}");
        let all = compared(observation, None, Some(&mail));
        assert!(all.len() == 1 && all[0].0 == Verdict::Pass, "{all:#?}");
        // With a service for outgoing mail and one of its own options.
        let main = std::fs::read_to_string(path.join("main.cf")).unwrap().replace("smtpd_sasl_auth_enable = no", "smtpd_sasl_auth_enable = yes");
        write(&path, "etc/postfix/main.cf", &main);
        write(
            &path,
            "etc/postfix/master.cf",
            "2525 inet n - n - - smtpd\n  -o smtpd_tls_security_level=encrypt -o { smtpd_tls_mandatory_protocols = >=TLSv1.3 }\n25 inet n - n - - smtpd\nsmtp unix - - n - - smtp\n",
        );
        let (planted, _) = gather::<Mail>(&path);
        assert_eq!(planted.outgoing[0].relay_host, value("relayhost"));
        assert_eq!((planted.outgoing[0].tls.as_str(), value("smtp_tls_security_level").as_str()), ("opportunistic", "may"));
        let folder = path.join("etc/postfix");
        let own = |what: &str| told("postconf", &["-c", folder.to_str().unwrap(), what]);
        assert_eq!(own("-M").lines().filter(|l| l.contains(" inet ")).count(), planted.endpoints.len());
        assert!(own("-P").contains("2525/inet/smtpd_tls_security_level = encrypt"));
        assert_eq!(versions(&planted.endpoints, "postfix 127.0.0.1:2525"), ["TLSv1.3"]);
        assert_eq!(planted.listeners.iter().find(|l| l.port == 25).unwrap().sign_in, sign_in, "{lines}");
        assert_eq!(planted.listeners.iter().find(|l| l.port == 2525).unwrap().sign_in, "after-tls");
    }
}

#[test]
fn dovecot_as_it_says_and_as_it_answers() {
    let certificate = Certificate::ordinary();
    let extra = "ssl_min_protocol = TLSv1.1\nssl_cipher_list = DEFAULT:@SECLEVEL=0\nprotocol pop3 {\n ssl_min_protocol = TLSv1.2\n}\nlocal 127.0.0.1 {\n protocol imap {\n  ssl_min_protocol = TLSv1.3\n }\n}\n\
        protocol imap {\n disable_plaintext_auth = no\n}\n";
    let server = daemons::dovecot(Some(&certificate), extra);
    let path = server.imap.folder().to_path_buf();
    let file = path.join("dovecot.conf");
    let mail = mail_of(&path);
    assert_eq!(mail.servers.len(), 1);
    assert!(told("dovecot", &["--version"]).starts_with(&mail.servers[0].version));
    let ports: BTreeSet<u32> = mail.endpoints.iter().map(|e| e.port).collect();
    assert_eq!(ports, BTreeSet::from([server.imap.port, server.pop3, server.sieve, server.lmtp].map(u32::from)));
    for listener in &mail.listeners {
        let protocol = if listener.protocol == "managesieve" { "sieve" } else { listener.protocol.as_str() };
        let said = |name: &str| {
            told("doveconf", &["-c", file.to_str().unwrap(), "-f", &format!("protocol={protocol}"), "-f", "local=127.0.0.1", "-h", name]).trim().to_string()
        };
        let subject = format!("dovecot 127.0.0.1:{}", listener.port);
        let lowest = versions(&mail.endpoints, &subject).first().unwrap().replace("TLSv1.0", "TLSv1");
        assert_eq!(lowest, said("ssl_min_protocol"), "{protocol}");
        let cleartext = protocol == "imap";
        assert_eq!(said("disable_plaintext_auth") == "no", cleartext, "{protocol}");
        let expected = if protocol == "lmtp" {
            "off"
        } else if cleartext {
            "cleartext"
        } else {
            "after-tls"
        };
        assert_eq!((listener.sign_in.as_str(), listener.tls.as_str()), (expected, "offered"), "{protocol}");
    }
    let observation = seen(&[server.imap.port, server.pop3, server.sieve], &[]);
    let all = compared(observation, None, Some(&mail));
    assert!(all.len() == 3 && all.iter().all(|(verdict, ..)| *verdict == Verdict::Pass), "{all:#?}");
}

#[test]
fn planted_web_faults_are_found_and_decoys_are_not() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    write(root, "etc/hosts", "127.0.0.1 localhost here\n");
    for name in ["good.pem", "good.key"] {
        write(root, &format!("etc/ssl/{name}"), "x");
    }
    write(
        root,
        "var/lib/dpkg/status",
        "Package: nginx\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1.22.1-9\n\nPackage: apache2-bin\nStatus: install ok installed\nArchitecture: amd64\nVersion: 2.4.62-1\n",
    );
    write(
        root,
        "etc/nginx/nginx.conf",
        "http {\nssl_protocols TLSv1.2 TLSv1.3;\nssl_certificate /etc/ssl/good.pem;\nssl_certificate_key /etc/ssl/good.key;\n# ssl_protocols TLSv1;\nadd_header Strict-Transport-Security max-age=31536000;\n\
         include sites-enabled/*;\n}\n",
    );
    // Sound: leads to https but for challenges; the listing asks for a password; the backend is here.
    write(
        root,
        "etc/nginx/sites-enabled/sound",
        "server { listen 80; server_name sound.example; location /.well-known/ { root /srv; } location / { return 301 https://$host$request_uri; } }\n\
         server { listen 443 ssl; server_name sound.example; location /files { autoindex on; auth_basic x; } location /app { proxy_pass http://here:8080; }\n\
         location /tls { proxy_pass https://10.0.0.9; } location /static { access_log off; } }\nserver { listen 127.0.0.1:81; location / { stub_status; } }\n",
    );
    write(
        root,
        "etc/nginx/sites-enabled/faulty",
        "server { listen 80;\nserver_name plain.example;\nlocation /list { autoindex on; }\nlocation /api { proxy_pass http://10.0.0.5:8080; } }\n\
         server { listen 8443 ssl;\nserver_name old.example; ssl_protocols TLSv1 TLSv1.2;\nssl_certificate_key gone.key; access_log off; location /x { add_header A b; } }\n",
    );
    write(root, "etc/nginx/sites-available/unused", "server { listen 82; }\n");
    write(
        root,
        "etc/apache2/apache2.conf",
        "LoadModule ssl_module x\nLoadModule autoindex_module x\nLoadModule headers_module x\nListen 8080\nListen 8444\nCustomLog /var/log/a common\n<Directory /var/www>\nOptions Indexes\nRequire all granted\n</Directory>\n\
         IncludeOptional sites-enabled/*.conf\n",
    );
    write(
        root,
        "etc/apache2/sites-enabled/sound.conf",
        "<VirtualHost *:8080>\nServerName sound.example\nRedirect permanent / https://sound.example/\n</VirtualHost>\n<VirtualHost *:8444>\nServerName sound.example\nSSLEngine on\nSSLProtocol -all +TLSv1.2 +TLSv1.3\n\
         SSLCertificateFile /etc/ssl/good.pem\nSSLCertificateKeyFile /etc/ssl/good.key\nHeader always set Strict-Transport-Security max-age=1000\nDocumentRoot /var/www/sound\n<Directory /var/www/sound>\nOptions -Indexes\n</Directory>\n\
         ProxyPass /app http://localhost:8080/\n</VirtualHost>\n",
    );
    write(
        root,
        "etc/apache2/sites-enabled/x.conf",
        "<VirtualHost *:8444>\nServerName old.example\nSSLEngine on\nSSLCertificateFile /etc/ssl/good.pem\nSSLCertificateKeyFile /etc/ssl/good.key\nDocumentRoot /var/www/html\nProxyPass /app http://10.0.0.6/\n\
         CustomLog /dev/null common\nHeader set Strict-Transport-Security max-age=1000\nSSLProtocol all -SSLv3\n</VirtualHost>\n",
    );
    let (web, gaps) = gather::<Web>(root);
    assert_eq!(gaps, []);
    assert_eq!(
        fails(&web),
        [
            "web-access-log apache old.example /etc/apache2/sites-enabled/x.conf:1",
            "web-access-log nginx old.example /etc/nginx/sites-enabled/faulty:5",
            "web-certificate-file-missing /etc/nginx/gone.key",
            "web-directory-listing apache old.example /etc/apache2/sites-enabled/x.conf:1 /var/www/html",
            "web-directory-listing nginx plain.example /etc/nginx/sites-enabled/faulty:1 /list",
            "web-hsts nginx old.example /etc/nginx/sites-enabled/faulty:5",
            "web-plaintext-redirect nginx plain.example /etc/nginx/sites-enabled/faulty:1",
            "web-tls-versions apache [::]:8444 old.example",
            "web-tls-versions nginx 0.0.0.0:8443 old.example",
            "web-upstream-plaintext apache http://10.0.0.6 /etc/apache2/sites-enabled/x.conf:7",
            "web-upstream-plaintext nginx http://10.0.0.5:8080 /etc/nginx/sites-enabled/faulty:4",
        ]
    );
    assert!(web.servers.iter().all(|s| !s.running) && !serde_json::to_string(&web).unwrap().contains("unused"));
}

#[test]
fn planted_mail_faults_are_found_and_decoys_are_not() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    write(root, "etc/ssl/good.pem", "x");
    write(root, "etc/ssl/good.key", "x");
    write(
        root,
        "var/lib/dpkg/status",
        "Package: postfix\nStatus: install ok installed\nArchitecture: amd64\nVersion: 3.7.11-0\n\nPackage: dovecot-core\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1:2.3.19.1-2\n",
    );
    let common = "compatibility_level = 3.6\ninet_protocols = ipv4\nsmtpd_tls_cert_file = /etc/ssl/good.pem\nsmtpd_tls_key_file = /etc/ssl/good.key\nsmtpd_tls_security_level = may\n\
        smtpd_tls_protocols = >=TLSv1.2\nsmtpd_tls_mandatory_protocols = >=TLSv1.2\n";
    // Sound: the old value is written over, the open list is for loopback.
    let sound = format!("mynetworks = 0.0.0.0/0\n{common}smtp_tls_security_level = dane\nmynetworks = 127.0.0.0/8\n# mynetworks = 0.0.0.0/0\n");
    let services = "smtp inet n - y - - smtpd\nsubmission inet n - y - - smtpd\n -o smtpd_tls_security_level=encrypt\n -o smtpd_sasl_auth_enable=yes\n127.0.0.1:10025 inet n - y - - smtpd -o mynetworks=0.0.0.0/0\nsmtp unix - - y - - smtp\n";
    write(root, "etc/postfix/main.cf", &sound);
    write(root, "etc/postfix/master.cf", services);
    let dovecot =
        "protocols = imap\nssl = required\nssl_cert = </etc/ssl/good.pem\nssl_key = </etc/ssl/good.key\nlisten = 0.0.0.0\ndisable_plaintext_auth = no\n";
    write(root, "etc/dovecot/dovecot.conf", dovecot);
    let (mail, gaps) = gather::<Mail>(root);
    assert_eq!((fails(&mail), gaps), (vec![], vec![]));

    let faulty = format!(
        "{common}mynetworks = 127.0.0.0/8,\n  0.0.0.0/0\nsmtpd_tls_protocols = !SSLv2, !SSLv3\nsmtpd_sasl_auth_enable = yes\nsmtpd_tls_key_file = /etc/ssl/gone.key\n"
    );
    write(root, "etc/postfix/main.cf", &faulty);
    write(root, "etc/dovecot/dovecot.conf", &dovecot.replace("ssl = required", "ssl = yes\nssl_min_protocol = TLSv1"));
    let (mail, gaps) = gather::<Mail>(root);
    assert_eq!(gaps, []);
    assert_eq!(
        fails(&mail),
        [
            "mail-certificate-file-missing /etc/ssl/gone.key",
            "mail-open-relay postfix 0.0.0.0:25",
            "mail-open-relay postfix 0.0.0.0:587",
            "mail-outgoing-tls postfix /etc/postfix smtp",
            "mail-sign-in-cleartext dovecot 0.0.0.0:143",
            "mail-sign-in-cleartext postfix 0.0.0.0:25",
            "mail-tls-versions dovecot 0.0.0.0:143",
            "mail-tls-versions dovecot 0.0.0.0:993",
            "mail-tls-versions postfix 0.0.0.0:25",
            "mail-tls-versions postfix 127.0.0.1:10025",
        ]
    );
    let (_, _, message) =
        judged(&mail, &[], Verdict::Fail).into_iter().find(|(rule, subject, _)| rule == "mail-open-relay" && subject.ends_with(":25")).unwrap();
    assert!(message.contains("mynetworks holds every address (/etc/postfix/main.cf:8)"), "{message}");
}

#[test]
fn nothing_installed_is_nothing_and_hostile_files_are_survived() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    write(root, "etc/hostname", "x\n");
    assert_eq!(gather::<Web>(root), (Web::default(), vec![]));
    assert_eq!(gather::<Mail>(root), (Mail::default(), vec![]));
    let seeds = [
        (
            "etc/nginx/nginx.conf",
            "http { include \"nginx.conf\"; server { listen [::]:443 ssl; ssl_protocols TLSv1; location ~ \"\\.(a|b)$\" { return 301 https://${x}; } } }",
        ),
        (
            "etc/apache2/apache2.conf",
            "Define A ${B}\n<VirtualHost *:${A} [::1]:80>\nSSLProtocol all -x\n<If \"a > 'b'\">\nRedirect /\n</If>\n</VirtualHost>\nListen [::]:80 https\n",
        ),
        ("etc/postfix/main.cf", "a = ${{$b} <level {2} ? {$a} : {(}}\n mynetworks = [::/0\nmynetworks = !/0, hash:\nrelayhost = $a"),
        ("etc/postfix/master.cf", "[::1]:25 inet n - - - - smtpd -o { a = b } -o\n:: inet - - - - - smtpd\n"),
        (
            "etc/dovecot/dovecot.conf",
            "protocols = $protocols imap\nservice imap-login {\n inet_listener x {\n port = 99999\n address = [, *\n }\n}\nlocal_name a {\n ssl_cert = <\n}\n",
        ),
    ];
    for (path, seed) in seeds {
        for (index, byte) in (0..seed.len()).zip([b'{', b'}', b'"', b'$', b'\\', b'\n', 0, 0xff, b'<', b'/', b':', b'='].into_iter().cycle()) {
            let mut text = seed.as_bytes().to_vec();
            text[index] = byte;
            text.truncate(text.len() - index % 5);
            std::fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
            std::fs::write(root.join(path), &text).unwrap();
            if path.contains("nginx") || path.contains("apache") { drop(gather::<Web>(root)) } else { drop(gather::<Mail>(root)) }
        }
    }
}
