//! Endpoints as a scan sees them: real servers, and sockets that misbehave.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use assay::facts::services::{Plan, Service, survey};
use assay::facts::tls::{Chain, Endpoint};
use assay::model::gap::{Gap, Gaps};
use assay::probe::Limits;

use crate::lab::hostile::{Habit, counting_relay, start};
use crate::lab::{Certificate, daemons, servers};

pub(crate) struct Seen {
    pub(crate) services: Vec<Service>,
    pub(crate) endpoints: Vec<Endpoint>,
    chains: Vec<Chain>,
    pub(crate) gaps: Vec<Gap>,
    took: Duration,
}

impl Seen {
    pub(crate) fn one(&self) -> &Service {
        assert_eq!(self.services.len(), 1, "{:?} {:?}", self.services, self.gaps);
        &self.services[0]
    }

    pub(crate) fn tls(&self) -> &Endpoint {
        assert_eq!(self.endpoints.len(), 1, "{:?} {:?}", self.services, self.gaps);
        &self.endpoints[0]
    }

    pub(crate) fn chain(&self) -> &[assay::facts::tls::chain::Certificate] {
        assert_eq!(self.chains.len(), 1, "{:?} {:?}", self.chains, self.gaps);
        &self.chains[0].certificates
    }

    pub(crate) fn whole(&self) -> &Self {
        assert!(self.gaps.is_empty(), "{:#?}", self.gaps);
        self
    }
}

pub(crate) fn look(targets: &[String], limits: &Limits) -> Seen {
    let plan = Plan { targets: targets.to_vec(), ..Plan::default() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut gaps = Gaps::new();
    let began = Instant::now();
    let surveyed = runtime.block_on(survey(&plan, limits, &mut gaps, &|_, _| {}));
    let tls = surveyed.tls.unwrap();
    Seen { services: surveyed.services.unwrap().items, endpoints: tls.endpoints, chains: tls.chains, gaps: gaps.into_sorted(), took: began.elapsed() }
}

pub(crate) fn at(port: u16) -> Seen {
    look(&[format!("127.0.0.1:{port}")], &Limits::default())
}

pub(crate) fn summary(s: &Service) -> (&str, bool, &str, &str) {
    (&s.protocol, s.plaintext, &s.tls, &s.authentication)
}

#[test]
fn openssl_versions_and_certificates_are_seen() {
    let ordinary = Certificate::ordinary();
    let old = Certificate::self_signed(&["-newkey", "rsa:1024", "-sha1"]);
    let cases: &[(&Certificate, &[&str], &[&str])] = &[
        (&ordinary, &["-www"], &["TLSv1.0", "TLSv1.1", "TLSv1.2", "TLSv1.3"]),
        (&ordinary, &["-www", "-tls1_2"], &["TLSv1.2"]),
        (&ordinary, &["-www", "-tls1_3"], &["TLSv1.3"]),
        (&old, &["-www", "-tls1_3"], &["TLSv1.3"]),
        (&old, &["-www", "-tls1"], &["TLSv1.0"]),
        (&old, &["-www", "-tls1_1"], &["TLSv1.1"]),
    ];
    for (certificate, arguments, accepted) in cases {
        let server = servers::openssl(certificate, arguments);
        let seen = at(server.port);
        let tls = seen.whole().tls();
        assert_eq!(tls.accepted, *accepted, "{arguments:?} {:#?}", tls.versions);
        assert_eq!(tls.lowest_code, tls.versions.iter().find(|v| v.accepted).unwrap().code);
        assert!(tls.versions.iter().all(|v| v.suite.starts_with("TLS_") == v.accepted), "{:#?}", tls.versions);
        let leaf = &seen.chain()[0];
        assert!(leaf.self_signed && leaf.subject_name == "CN=lab.example", "{leaf:?}");
        let key = if std::ptr::eq(*certificate, &ordinary) { ("ec", 256, "sha256") } else { ("rsa", 1024, "sha1") };
        assert_eq!((leaf.key_kind.as_str(), leaf.key_bits, leaf.signature_hash.as_str()), key);
        // What is inside is heard where a modern handshake is possible.
        let inner = if tls.accepted.iter().any(|v| v.as_str() >= "TLSv1.2") { "http" } else { "tls" };
        assert_eq!((seen.one().protocol.as_str(), seen.one().tls.as_str(), seen.one().plaintext), (inner, "direct", false));
    }
}

#[test]
fn a_client_certificate_is_seen_to_be_asked_for() {
    let certificate = Certificate::ordinary();
    for (arguments, asked) in [(&["-tls1_2", "-Verify", "1"][..], true), (&["-tls1_2"], false), (&["-tls1_3", "-Verify", "1"], true)] {
        let server = servers::openssl(&certificate, arguments);
        assert_eq!(at(server.port).tls().client_certificate_requested, Some(asked), "{arguments:?}");
    }
}

#[test]
fn gnutls_is_read_like_openssl() {
    let certificate = Certificate::self_signed(&["-newkey", "rsa:2048"]);
    let server = servers::gnutls(&certificate, "NORMAL:-VERS-ALL:+VERS-TLS1.2:+VERS-TLS1.0");
    let seen = at(server.port);
    assert_eq!(seen.tls().accepted, ["TLSv1.0", "TLSv1.2"], "{:#?}", seen.tls().versions);
    assert_eq!((seen.chain()[0].key_bits, seen.one().protocol.as_str()), (2048, "http"));
}

#[test]
fn a_tls_survey_is_quick_and_small() {
    let certificate = Certificate::ordinary();
    let server = servers::nginx(&format!(
        "listen {{port}} ssl; ssl_certificate {}; ssl_certificate_key {}; ssl_protocols TLSv1.2 TLSv1.3; return 200;",
        certificate.cert.display(),
        certificate.key.display()
    ));
    let (port, count) = counting_relay(server.port);
    let seen = at(port);
    assert_eq!(seen.whole().tls().accepted, ["TLSv1.2", "TLSv1.3"]);
    assert_eq!(summary(seen.one()), ("http", false, "direct", "none"));
    // Beside the survey's: one connection that waits for a greeting, one that asks.
    assert!(count.load(Ordering::SeqCst) <= assay::probe::tls::survey::CONNECTIONS + 2, "{count:?} connections");
}

#[test]
fn http_is_found_on_any_port_and_a_way_to_https_is_told_apart() {
    let plain = servers::nginx("listen {port}; return 200 'hello';");
    let seen = at(plain.port);
    assert_eq!(summary(seen.whole().one()), ("http", true, "none", "none"));
    assert!(seen.one().banner.starts_with("HTTP/1.1 200 OK nginx"), "{}", seen.one().banner);
    let redirect = servers::nginx("listen {port}; return 301 https://lab.example/;");
    assert_eq!(summary(at(redirect.port).whole().one()), ("http", true, "required", "unknown"));
}

#[test]
fn ftp_without_tls_and_with_anonymous_is_told_from_ftp_that_demands_tls() {
    let open = servers::vsftpd("anonymous_enable=YES\nlocal_enable=NO");
    let seen = at(open.port);
    assert_eq!((seen.whole().one().protocol.as_str(), seen.one().tls.as_str(), seen.one().anonymous), ("ftp", "none", Some(true)));
    let certificate = Certificate::self_signed(&["-newkey", "rsa:2048"]);
    let closed = servers::vsftpd(&format!(
        "anonymous_enable=NO\nlocal_enable=YES\nssl_enable=YES\nforce_local_logins_ssl=YES\nrsa_cert_file={}\nrsa_private_key_file={}",
        certificate.cert.display(),
        certificate.key.display()
    ));
    let seen = at(closed.port);
    assert_eq!((seen.whole().one().protocol.as_str(), seen.one().tls.as_str(), seen.one().anonymous), ("ftp", "required", Some(false)));
    assert_eq!((seen.tls().starttls.as_str(), seen.chain().len()), ("ftp", 1));
}

#[test]
fn redis_answers_or_wants_a_password() {
    let open = servers::redis("127.0.0.1", &[]);
    let seen = at(open.port);
    assert_eq!(summary(seen.whole().one()), ("redis", true, "none", "none"));
    assert!(seen.one().banner.starts_with("redis_version:"));
    let closed = servers::redis("127.0.0.1", &["--requirepass", "secret"]);
    assert_eq!(summary(at(closed.port).whole().one()), ("redis", true, "none", "required"));
}

#[test]
fn redis_in_protected_mode_is_not_called_open() {
    use assay::facts::listeners::Listener;
    for (mode, authentication) in [("yes", "required"), ("no", "none")] {
        let server = servers::redis("0.0.0.0", &["--protected-mode", mode]);
        let subject = format!("0.0.0.0:{}/tcp", server.port);
        let listener = Listener {
            subject: subject.clone(),
            transport: "tcp".into(),
            address: "0.0.0.0".into(),
            port: server.port.into(),
            scope: "any".into(),
            uid: 0,
            process: None,
            source: Default::default(),
        };
        let plan = Plan { listeners: vec![listener], ..Plan::default() };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let surveyed = runtime.block_on(survey(&plan, &Limits::default(), &mut Gaps::new(), &|_, _| {}));
        let service = &surveyed.services.unwrap().items[0];
        assert_eq!((service.subject.as_str(), service.address.as_str(), service.scope.as_str()), (subject.as_str(), "127.0.0.1", "any"));
        assert_eq!((service.protocol.as_str(), service.authentication.as_str()), ("redis", authentication), "{service:?}");
    }
}

#[test]
fn postgresql_tells_its_encryption_and_authentication() {
    let open = servers::postgresql("host all all 127.0.0.1/32 trust\n", None, &[]);
    assert_eq!(summary(at(open.port).whole().one()), ("postgresql", true, "none", "none"));
    drop(open);
    let certificate = Certificate::ordinary();
    let strict = servers::postgresql("hostssl all all 127.0.0.1/32 scram-sha-256\n", Some(&certificate), &[]);
    let seen = at(strict.port);
    assert_eq!(summary(seen.whole().one()), ("postgresql", true, "required", "required"));
    assert_eq!((seen.tls().starttls.as_str(), seen.tls().accepted.as_slice()), ("postgresql", &["TLSv1.2".to_string(), "TLSv1.3".to_string()][..]));
    drop(strict);
    let mixed = servers::postgresql("host all all 127.0.0.1/32 scram-sha-256\n", Some(&certificate), &["ssl_min_protocol_version=TLSv1.3"]);
    let seen = at(mixed.port);
    assert_eq!(summary(seen.whole().one()), ("postgresql", true, "optional", "required"));
    assert_eq!((seen.tls().accepted.as_slice(), seen.chain().len()), (&["TLSv1.3".to_string()][..], 1));
}

#[test]
fn mariadb_tells_its_encryption() {
    let plain = servers::mariadb(None, &[]);
    let seen = at(plain.port);
    assert_eq!(summary(seen.whole().one()), ("mysql", true, "none", "required"));
    assert!(seen.one().banner.contains("MariaDB"), "{}", seen.one().banner);
    drop(plain);
    let certificate = Certificate::self_signed(&["-newkey", "rsa:2048"]);
    let server = servers::mariadb(Some(&certificate), &[]);
    let seen = at(server.port);
    assert_eq!(summary(seen.one()), ("mysql", true, "optional", "required"), "{:?}", seen.one());
    assert_eq!((seen.tls().starttls.as_str(), seen.chain().len()), ("mysql", 1));
    // Whether plaintext is refused is told to accounts alone.
    assert!(matches!(seen.gaps.as_slice(), [Gap { family, path, .. }] if family == "services" && path == "items.tls"), "{:?}", seen.gaps);
}

#[test]
fn mail_servers_tell_their_upgrade() {
    let certificate = Certificate::self_signed(&["-newkey", "rsa:2048"]);
    for (certificate, demand, tls) in [(None, false, "none"), (Some(&certificate), false, "optional"), (Some(&certificate), true, "required")] {
        let server = servers::smtp(certificate, demand);
        let seen = at(server.port);
        assert_eq!(summary(seen.whole().one()), ("smtp", true, tls, "unknown"), "{:?}", seen.one());
        assert_eq!(seen.endpoints.len(), usize::from(certificate.is_some()));
    }
}

#[test]
fn ssh_telnet_and_memcached_are_identified() {
    let ssh = daemons::sshd("ed25519", &[]);
    let seen = at(ssh.port);
    assert_eq!(summary(seen.whole().one()), ("ssh", false, "none", "required"));
    assert!(seen.one().banner.starts_with("SSH-2.0-OpenSSH"));
    let telnet = servers::Inetd::start("/usr/sbin/telnetd");
    assert_eq!(summary(at(telnet.port).whole().one()), ("telnet", true, "none", "unknown"));
    let memcached = servers::memcached(&[]);
    assert_eq!(summary(at(memcached.port).whole().one()), ("memcached", true, "none", "none"));
}

#[test]
fn no_misbehaviour_holds_a_survey_beyond_its_deadline() {
    let limits = Limits { endpoint_deadline: Duration::from_secs(5), ..Limits::default() };
    let cases = [
        (Habit::Silent, "silent", true),
        (Habit::Drip, "timeout", true),
        (Habit::Garbage, "unidentified", false),
        (Habit::Close, "closed", true),
        (Habit::Flood, "unidentified", false),
        (Habit::HangUp, "unidentified", false),
        (Habit::StallingMail, "identified", true),
        (Habit::BrokenTls, "identified", true),
    ];
    let ports: Vec<u16> = cases.iter().map(|c| start(c.0)).collect();
    let refused = crate::lab::free_port();
    let targets: Vec<String> = ports.iter().chain([&refused]).map(|p| format!("127.0.0.1:{p}")).collect();
    let seen = look(&targets, &limits);
    assert!(seen.took < limits.endpoint_deadline + Duration::from_secs(1), "{:?}", seen.took);
    let service = |port: u16| seen.services.iter().find(|s| s.port == u32::from(port)).unwrap();
    for ((habit, outcome, gap), port) in cases.iter().zip(&ports) {
        let found = service(*port);
        assert_eq!(found.outcome, *outcome, "{habit:?} {found:?}");
        assert_eq!(seen.gaps.iter().any(|g| g.subject == found.subject), *gap, "{habit:?} {:#?}", seen.gaps);
    }
    assert_eq!(service(refused).outcome, "refused");
}

#[test]
fn targets_that_cannot_be_spoken_to_are_gaps_and_exclusions_are_kept() {
    let port = start(Habit::Close);
    let plan = Plan {
        targets: vec!["nonsense".into(), "127.0.0.1:0".into(), format!("127.0.0.1:{port}")],
        exclusions: vec![format!("127.0.0.1:{port}")],
        ..Plan::default()
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut gaps = Gaps::new();
    let surveyed = runtime.block_on(survey(&plan, &Limits::default(), &mut gaps, &|_, _| {}));
    assert!(surveyed.services.unwrap().items.is_empty());
    let gaps = gaps.into_sorted();
    let reasons: Vec<(&str, &str)> = gaps.iter().filter(|g| g.family == "services").map(|g| (g.subject.as_str(), g.reason.as_str())).collect();
    assert_eq!(reasons, [("127.0.0.1:0/tcp", "malformed"), (&format!("127.0.0.1:{port}/tcp"), "excluded"), ("nonsense/tcp", "malformed")]);
}
