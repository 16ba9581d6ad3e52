//! The rules over TLS endpoints, against real servers: every rule that fails is named, no other does.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::Command;

use assay::facts::services::{Plan, survey};
use assay::model::against::Against;
use assay::model::fact::Observation;
use assay::model::finding::{Finding, Verdict};
use assay::model::gap::Gaps;
use assay::model::policy::Policy;
use assay::probe::Limits;
use assay::probe::tls::plan::Depth;
use assay::rules::{self, Input, Pack};

use crate::lab::{Certificate, Server, free_port, run, servers};

/// Findings of the rules that judge versions and what the monthly survey tells; chains have tests of their own.
struct Judged(Vec<Finding>);

impl Judged {
    /// A target alone: no other listener of the machine is spoken to.
    fn of(port: u16, policy: &Policy) -> Self {
        let plan = Plan { targets: vec![format!("127.0.0.1:{port}")], depth: Depth::Full, ..Plan::default() };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let mut gaps = Gaps::new();
        let surveyed = runtime.block_on(survey(&plan, &Limits::default(), &mut gaps, &|_, _| {}));
        let services = surveyed.services.unwrap().items;
        assert!(services.len() == 1 && services[0].outcome == "identified", "{services:#?}");
        let tls = ("tls".to_string(), serde_json::to_value(surveyed.tls.unwrap()).unwrap());
        let capabilities = ("tls_capabilities".to_string(), serde_json::to_value(surveyed.tls_capabilities.unwrap()).unwrap());
        let observation = Observation { gathered_at: 1_795_000_000, families: BTreeMap::from([tls, capabilities]), gaps: gaps.into_sorted() };
        let pack = Pack::builtin(assay::facts::schemas()).unwrap();
        let findings = rules::evaluate(&pack, &Input { observation: &observation, policy, against: Against::default(), advisories: None });
        let is_ours = |f: &Finding| f.rule == "tls-version-minimum" || f.rule == "tls-sslv2-drown" || reads_capabilities(&pack, &f.rule);
        Self(findings.into_iter().filter(is_ours).collect())
    }

    fn at(server: &Server) -> Self {
        Self::of(server.port, &Policy::default())
    }

    fn with(&self, verdict: Verdict) -> Vec<&str> {
        let mut out: Vec<&str> = self.0.iter().filter(|f| f.verdict == verdict).map(|f| f.rule.as_str()).collect();
        out.sort_unstable();
        out
    }

    fn message(&self, rule: &str) -> &str {
        &self.0.iter().find(|f| f.rule == rule).unwrap().message
    }

    fn table(&self) -> String {
        self.0.iter().map(|f| format!("{:?} {} {}\n", f.verdict, f.rule, f.message)).collect()
    }

    /// These fail, these are unknown, these don't apply, all others pass.
    fn are(&self, fail: &[&str], unknown: &[&str], not_applicable: &[&str]) -> &Self {
        assert!(self.0.len() >= 24, "{}", self.table());
        assert_eq!(self.with(Verdict::Fail), fail, "{}", self.table());
        assert_eq!(self.with(Verdict::Unknown), unknown, "{}", self.table());
        assert_eq!(self.with(Verdict::NotApplicable), not_applicable, "{}", self.table());
        self
    }

    fn says(&self, rule: &str, parts: &[&str]) -> &Self {
        let message = self.message(rule);
        assert!(parts.iter().all(|p| message.contains(p)), "{rule}: {message}");
        self
    }
}

fn reads_capabilities(pack: &Pack, rule: &str) -> bool {
    pack.rules.iter().any(|r| r.id == rule && r.families().contains(&"tls_capabilities"))
}

fn rsa() -> Certificate {
    Certificate::self_signed(&["-newkey", "rsa:2048"])
}

fn nginx(certificate: &Certificate, lines: &str) -> Server {
    let (cert, key) = (certificate.cert.display(), certificate.key.display());
    servers::nginx(&format!("listen {{port}} ssl; ssl_certificate {cert}; ssl_certificate_key {key}; {lines} return 200;"))
}

#[test]
fn sound_servers_fail_nothing() {
    let (rsa, ec) = (rsa(), Certificate::ordinary());
    // What Mozilla calls intermediate.
    let intermediate = "ssl_protocols TLSv1.2 TLSv1.3; ssl_prefer_server_ciphers off; ssl_ciphers ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:\
                        ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305;";
    let idle = ["tls-dh-prime-short", "tls-fallback-signal", "tls-post-quantum", "tls-server-order", "tls-suite-anonymous-mail"];
    for certificate in [&rsa, &ec] {
        Judged::at(&nginx(certificate, intermediate)).are(&[], &[], &idle);
    }
    Judged::at(&nginx(&ec, "ssl_protocols TLSv1.2 TLSv1.3;")).are(&[], &[], &idle);
    let gnutls = servers::gnutls(&ec, "SECURE128:-VERS-ALL:+VERS-TLS1.3");
    let modern =
        ["tls-dh-prime-short", "tls-fallback-signal", "tls-post-quantum", "tls-renegotiation-insecure", "tls-server-order", "tls-suite-anonymous-mail"];
    Judged::at(&gnutls).are(&[], &[], &modern).says("tls-heartbleed", &["none of SSL 3.0 to TLS 1.2 is spoken"]);
    // The last one asks for another hello first.
    for arguments in [&["-tls1_3"][..], &["-tls1_3", "-groups", "P-384"]] {
        Judged::at(&servers::openssl(&rsa, arguments)).are(&[], &[], &modern);
    }
}

#[test]
fn defaults_with_an_rsa_key_lack_forward_secrecy_in_some_suites_only() {
    let rsa = rsa();
    let server = nginx(&rsa, "ssl_protocols TLSv1.2 TLSv1.3;");
    let judged = Judged::at(&server);
    let idle = ["tls-dh-prime-short", "tls-fallback-signal", "tls-post-quantum", "tls-server-order", "tls-suite-anonymous-mail"];
    judged
        .are(&["tls-suite-static-key-exchange"], &[], &idle)
        .says("tls-suite-static-key-exchange", &["TLSv1.2 with TLS_RSA_WITH_AES_128_GCM_SHA256, ", " and 8 more"]);

    // Asked for, what OpenSSL 3.0 lacks is missed.
    let policy = Policy { tls_post_quantum_required: true, ..Policy::default() };
    let judged = Judged::of(server.port, &policy);
    assert_eq!(judged.with(Verdict::Fail), ["tls-post-quantum", "tls-suite-static-key-exchange"], "{}", judged.table());
}

#[test]
fn openssl_with_everything_weak_that_it_has() {
    let rsa = rsa();
    let folder = crate::lab::folder();
    let parameters = folder.path().join("dh.pem");
    run(Command::new("openssl").args(["genpkey", "-genparam", "-algorithm", "DH", "-pkeyopt", "group:modp_1536", "-out"]).arg(&parameters));
    let parameters = parameters.display().to_string();
    let arguments = ["-www", "-cipher", "ALL:COMPLEMENTOFALL:@SECLEVEL=0", "-dhparam", &parameters, "-groups", "P-256:sect163k1:secp192k1:X25519"];
    let server = servers::openssl(&rsa, &[&arguments[..], &["-client_renegotiation", "-sigalgs", "RSA+SHA256:RSA+SHA1:RSA-PSS+SHA256"]].concat());
    let failing = [
        "tls-dh-prime-short",
        "tls-group-short",
        "tls-renegotiation-client",
        "tls-server-order",
        "tls-signature-scheme-weak",
        "tls-suite-anonymous",
        "tls-suite-cbc-old",
        "tls-suite-null",
        "tls-suite-static-key-exchange",
        "tls-version-minimum",
    ];
    Judged::at(&server)
        .are(&failing, &[], &["tls-post-quantum", "tls-suite-anonymous-mail"])
        .says("tls-dh-prime-short", &["primes of 1536 bits (modp1536); minimum 2048"])
        .says("tls-group-short", &["sect163k1 (163 bits, TLSv1.2)", "secp192k1 (192 bits, TLSv1.2)"])
        .says("tls-signature-scheme-weak", &["rsa_pkcs1_sha1 (TLSv1.2)"])
        .says("tls-suite-anonymous", &["TLSv1.0 with TLS_", "TLSv1.2 with TLS_", "_anon_WITH_", " more"])
        .says("tls-suite-null", &["TLSv1.1 with ", "TLS_RSA_WITH_NULL_SHA", "TLS_ECDHE_RSA_WITH_NULL_SHA"])
        .says("tls-suite-cbc-old", &["accepts TLSv1.0 with "])
        .says("tls-server-order", &["TLSv1.2: the client chooses"])
        .says("tls-version-minimum", &["TLSv1.0, TLSv1.1"]);
}

#[test]
fn openssl_without_forward_secrecy() {
    let rsa = rsa();
    let server = servers::openssl(&rsa, &["-www", "-tls1_2", "-cipher", "AES128-GCM-SHA256:AES256-SHA"]);
    // Renegotiation is tried on a handshake that is finished here, with ECDHE.
    Judged::at(&server)
        .are(
            &["tls-forward-secrecy", "tls-suite-static-key-exchange"],
            &["tls-renegotiation-client"],
            &[
                "tls-dh-prime-short",
                "tls-fallback-signal",
                "tls-group-short",
                "tls-post-quantum",
                "tls-server-order",
                "tls-signature-scheme-weak",
                "tls-suite-anonymous-mail",
            ],
        )
        .says("tls-forward-secrecy", &["no ephemeral key exchange with TLSv1.2"])
        .says("tls-suite-static-key-exchange", &["accepts TLSv1.2 with TLS_RSA_WITH_AES_128_GCM_SHA256, TLS_RSA_WITH_AES_256_CBC_SHA"]);
}

#[test]
fn gnutls_with_rc4_and_triple_des() {
    let rsa = rsa();
    let server = servers::gnutls(&rsa, "NORMAL:+VERS-TLS1.0:+ARCFOUR-128:+3DES-CBC:+NULL:+ANON-DH:+ANON-ECDH:+SIGN-RSA-SHA1:%SERVER_PRECEDENCE");
    let failing = [
        "tls-renegotiation-client",
        "tls-signature-scheme-weak",
        "tls-suite-64-bit-block",
        "tls-suite-anonymous",
        "tls-suite-cbc-old",
        "tls-suite-null",
        "tls-suite-rc4",
        "tls-suite-static-key-exchange",
        "tls-version-minimum",
    ];
    Judged::at(&server)
        .are(&failing, &[], &["tls-post-quantum", "tls-suite-anonymous-mail"])
        .says("tls-suite-rc4", &["TLSv1.0 with ", "TLS_RSA_WITH_RC4_128_SHA"])
        .says("tls-suite-64-bit-block", &["TLSv1.2 with ", "TLS_RSA_WITH_3DES_EDE_CBC_SHA"]);
}

#[test]
fn postfix_offers_anonymous_suites_to_other_mail_servers() {
    let rsa = rsa();
    let server = servers::postfix(&rsa, "smtpd_tls_security_level = may");
    let judged = Judged::at(&server);
    assert!(judged.with(Verdict::Fail).contains(&"tls-suite-anonymous-mail"), "{}", judged.table());
    assert!(judged.with(Verdict::NotApplicable).contains(&"tls-suite-anonymous"), "{}", judged.table());
    judged.says("tls-suite-anonymous-mail", &["TLSv1.2 with ", "_anon_WITH_AES_256_"]);
    let unknown = judged.with(Verdict::Unknown);
    assert!(unknown.iter().all(|r| *r == "tls-sslv2-drown"), "{}", judged.table());

    let server = servers::postfix(&rsa, "smtpd_tls_security_level = may\nsmtpd_tls_exclude_ciphers = aNULL");
    let judged = Judged::at(&server);
    assert!(judged.with(Verdict::Pass).contains(&"tls-suite-anonymous-mail"), "{}", judged.table());
}

/// Relays to a server but for hellos of SSL 3.0, which it never answers.
fn deaf_to_ssl3(to: u16) -> u16 {
    let port = free_port();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
    std::thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut head = [0; 11];
                if client.read_exact(&mut head).is_err() || head.ends_with(&[3, 0]) {
                    std::thread::sleep(std::time::Duration::from_secs(60));
                    return;
                }
                let mut server = TcpStream::connect((Ipv4Addr::LOCALHOST, to)).unwrap();
                server.write_all(&head).unwrap();
                let (mut from, mut back) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                std::thread::spawn(move || std::io::copy(&mut from, &mut back).is_ok().then(|| back.shutdown(std::net::Shutdown::Write)));
                let _ = std::io::copy(&mut server, &mut client);
                let _ = client.shutdown(std::net::Shutdown::Both);
            });
        }
    });
    port
}

#[test]
fn a_server_that_drops_old_hellos_is_sound() {
    let server = nginx(&Certificate::ordinary(), "ssl_protocols TLSv1.2 TLSv1.3;");
    let idle = ["tls-dh-prime-short", "tls-fallback-signal", "tls-post-quantum", "tls-server-order", "tls-suite-anonymous-mail"];
    Judged::of(deaf_to_ssl3(server.port), &Policy::default()).are(&[], &[], &idle);
}
