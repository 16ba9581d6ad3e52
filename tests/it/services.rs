//! Brokers, stores and daemons as a scan sees them: whether strangers get in.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener};

use assay::facts::services::{Plan, Service, survey};
use assay::model::gap::{Gap, Gaps};
use assay::probe::Limits;

use crate::lab::{Certificate, free_port, servers, stores};

fn look(port: u16) -> (Service, Vec<Gap>) {
    let plan = Plan { targets: vec![format!("127.0.0.1:{port}")], ..Plan::default() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut gaps = Gaps::new();
    let surveyed = runtime.block_on(survey(&plan, &Limits::default(), &mut gaps, &|_, _| {}));
    let mut items = surveyed.services.unwrap().items;
    assert_eq!(items.len(), 1);
    (items.remove(0), gaps.into_sorted())
}

fn at(port: u16) -> Service {
    let (service, gaps) = look(port);
    assert!(gaps.is_empty(), "{service:#?} {gaps:#?}");
    service
}

fn summary(s: &Service) -> (&str, bool, &str, &str, Vec<&str>) {
    (&s.protocol, s.plaintext, &s.tls, &s.authentication, s.open.iter().map(String::as_str).collect())
}

fn tls(server: &str, certificate: &Certificate) -> String {
    format!("listen {{port}} ssl; ssl_certificate {}; ssl_certificate_key {}; {server}", certificate.cert.display(), certificate.key.display())
}

#[test]
fn web_servers_tell_their_transport_security_and_their_way_to_https() {
    let certificate = Certificate::ordinary();
    let server = servers::nginx(&tls(
        "add_header Strict-Transport-Security 'max-age=31536000; includeSubDomains' always; \
         location = / { return 401; add_header WWW-Authenticate 'Basic realm=\"a, b\"' always; \
         add_header Strict-Transport-Security 'max-age=31536000; includeSubDomains' always; }",
        &certificate,
    ));
    let seen = at(server.port);
    assert_eq!(summary(&seen), ("http", false, "direct", "required", vec![]));
    let http = seen.http.unwrap();
    assert_eq!((http.status, http.hsts_max_age_seconds, http.hsts_include_subdomains), (401, Some(31_536_000), true));
    assert_eq!(http.authentication, ["basic"]);
    assert!(http.server.starts_with("nginx"), "{http:?}");
    let redirect = servers::nginx("listen {port}; return 301 https://lab.example/deep?secret=1;");
    let seen = at(redirect.port);
    let http = seen.http.as_ref().unwrap();
    assert_eq!((http.redirects_to_https, http.location.as_str(), http.hsts_max_age_seconds), (true, "https://lab.example", None));
    assert_eq!(summary(&seen), ("http", true, "required", "unknown", vec![]));
}

#[test]
fn search_engines_are_told_apart_and_open_ones_named() {
    // The products are not to be had here: nginx says what their documentation prints.
    let node = r#"{"name":"n","cluster_name":"c","version":{"number":"8.13.4","lucene_version":"9.10.0"},"tagline":"You Know, for Search"}"#;
    let fork = r#"{"name":"n","cluster_name":"c","version":{"distribution":"opensearch","number":"2.11.0"},"tagline":"The OpenSearch Project: https://opensearch.org/"}"#;
    let serve = |root: &str, health: &str| {
        format!("default_type application/json; location = / {{ {root} }} location = /_cluster/health {{ {health} }} location / {{ return 404; }}")
    };
    let (open, denied) = ("return 200 '{\"status\":\"green\"}';", "return 401;");
    for (name, body, version) in [("elasticsearch", node, "elasticsearch 8.13.4"), ("opensearch", fork, "opensearch 2.11.0")] {
        let server = servers::nginx(&format!("listen {{port}}; {}", serve(&format!("return 200 '{body}';"), open)));
        let seen = at(server.port);
        assert_eq!((summary(&seen), seen.banner.as_str()), ((name, true, "none", "none", vec!["commands"]), version));
        let server = servers::nginx(&format!("listen {{port}}; {}", serve(&format!("return 200 '{body}';"), denied)));
        assert_eq!(summary(&at(server.port)), (name, true, "none", "required", vec![]));
    }
    let certificate = Certificate::ordinary();
    let refusal = r#"{"error":{"root_cause":[],"type":"security_exception"},"status":401}"#;
    let root = format!("add_header WWW-Authenticate 'Basic realm=\"security\" charset=\"UTF-8\"' always; return 401 '{refusal}';");
    let server = servers::nginx(&tls(&serve(&root, denied), &certificate));
    assert_eq!(summary(&at(server.port)), ("elasticsearch", false, "direct", "required", vec![]));
    // A web server that says something like it is none.
    let server = servers::nginx("listen {port}; default_type application/json; return 200 '{\"cluster_name\":\"c\"}';");
    assert_eq!(summary(&at(server.port)), ("http", true, "none", "none", vec![]));
}

#[test]
fn etcd_tells_whether_strangers_may_read() {
    let open = stores::etcd(false);
    let seen = at(open.port);
    assert_eq!(summary(&seen), ("etcd", true, "none", "none", vec!["commands"]));
    assert!(seen.banner.starts_with("etcd 3."), "{}", seen.banner);
    let closed = stores::etcd(true);
    assert_eq!(summary(&at(closed.port)), ("etcd", true, "none", "required", vec![]));
}

#[test]
fn docker_that_answers_is_open() {
    // Where the daemon can't start, nginx says what Docker 20.10 said.
    let documented = "listen {port}; default_type application/json; location = /version { add_header Api-Version 1.41; add_header Docker-Experimental false; \
                      return 200 '{\"Version\":\"20.10.24\",\"ApiVersion\":\"1.41\",\"MinAPIVersion\":\"1.12\"}'; } location / { return 404 '{\"message\":\"page not found\"}'; }";
    let server = stores::docker().unwrap_or_else(|| servers::nginx(documented));
    let seen = at(server.port);
    assert_eq!(summary(&seen), ("docker", true, "none", "none", vec!["commands"]));
    assert!(seen.banner.starts_with("Docker ") && !seen.versions.is_empty(), "{seen:?}");
    let refusing = servers::nginx(
        "listen {port}; default_type application/json; add_header Api-Version 1.41 always; add_header Ostype linux always; return 403 '{\"message\":\"authorization denied\"}';",
    );
    assert_eq!(summary(&at(refusing.port)), ("docker", true, "none", "required", vec![]));
    let other = servers::nginx("listen {port}; default_type application/json; return 404 '{\"message\":\"page not found\"}';");
    assert_eq!(at(other.port).protocol, "http");
}

#[test]
fn a_kubelet_that_lists_pods_is_open() {
    // No kubelet is to be had here: nginx says what its source writes.
    let certificate = Certificate::ordinary();
    let pods = |answer: &str| format!("default_type text/plain; location = /pods {{ {answer} }} location / {{ return 404 '404 page not found\\n'; }}");
    let open = servers::nginx(&tls(
        &pods(r#"default_type application/json; return 200 '{"kind":"PodList","apiVersion":"v1","metadata":{},"items":[]}';"#),
        &certificate,
    ));
    assert_eq!(summary(&at(open.port)), ("kubelet", false, "direct", "none", vec!["commands"]));
    let forbidden = servers::nginx(&tls(&pods("return 403 'Forbidden (user=system:anonymous, verb=get, resource=nodes, subresource=proxy)';"), &certificate));
    assert_eq!(summary(&at(forbidden.port)), ("kubelet", false, "direct", "required", vec![]));
    let other = servers::nginx(&format!("listen {{port}}; {}", pods("return 404 '404 page not found\\n';")));
    assert_eq!(at(other.port).protocol, "http");
}

#[test]
fn cups_lists_printers_or_wants_a_name() {
    let open = stores::cups(true);
    let seen = at(open.port);
    assert_eq!(summary(&seen), ("cups", true, "none", "none", vec!["printers"]));
    assert_eq!(seen.versions, ["IPP/2.1"]);
    let closed = stores::cups(false);
    assert_eq!(summary(&at(closed.port)), ("cups", true, "none", "required", vec![]));
}

#[test]
fn brokers_tell_whether_they_want_a_name() {
    let open = stores::mosquitto("allow_anonymous true");
    assert_eq!(summary(&at(open.port)), ("mqtt", true, "none", "none", vec!["commands"]));
    let closed = stores::mosquitto("allow_anonymous false");
    let seen = at(closed.port);
    assert_eq!(summary(&seen), ("mqtt", true, "none", "required", vec![]));
    assert_eq!(seen.versions, ["MQTT 3.1.1"]);
    let certificate = Certificate::ordinary();
    let inside = stores::mosquitto(&format!("allow_anonymous true\ncertfile {}\nkeyfile {}", certificate.cert.display(), certificate.key.display()));
    assert_eq!(summary(&at(inside.port)), ("mqtt", false, "direct", "none", vec!["commands"]));

    let rabbit = stores::RabbitMq::start("['PLAIN', 'AMQPLAIN']");
    let seen = at(rabbit.port);
    assert_eq!(summary(&seen), ("amqp", true, "none", "required", vec![]));
    assert!(seen.banner.starts_with("RabbitMQ ") && seen.versions == ["AMQP 0-9-1"], "{seen:?}");
}

#[test]
fn memcached_with_sign_in_is_not_called_open() {
    let open = servers::memcached(&[]);
    assert_eq!(summary(&at(open.port)), ("memcached", true, "none", "none", vec!["commands"]));
    let folder = crate::lab::folder();
    let file = folder.path().join("passwords");
    std::fs::write(&file, "user:secret\n").unwrap();
    let closed = servers::memcached(&["-Y", file.to_str().unwrap()]);
    assert_eq!(summary(&at(closed.port)), ("memcached", true, "none", "required", vec![]));
}

#[test]
fn redis_inside_tls_is_found() {
    let certificate = Certificate::ordinary();
    let (cert, key) = (certificate.cert.display().to_string(), certificate.key.display().to_string());
    let port = free_port();
    let server = servers::redis("127.0.0.1", &["--tls-port", &port.to_string(), "--tls-cert-file", &cert, "--tls-key-file", &key, "--tls-auth-clients", "no"]);
    assert_eq!(summary(&at(port)), ("redis", false, "direct", "none", vec!["commands"]));
    assert_eq!(summary(&at(server.port)), ("redis", true, "none", "none", vec!["commands"]));
}

#[test]
fn ftp_inside_tls_is_asked_for_anonymous() {
    let certificate = Certificate::self_signed(&["-newkey", "rsa:2048"]);
    for (anonymous, open) in [("YES", vec!["anonymous-sign-in"]), ("NO", vec![])] {
        let server = servers::vsftpd(&format!(
            "anonymous_enable={anonymous}\nlocal_enable=YES\nssl_enable=YES\nimplicit_ssl=YES\nallow_anon_ssl=YES\nrsa_cert_file={}\nrsa_private_key_file={}",
            certificate.cert.display(),
            certificate.key.display()
        ));
        let (seen, gaps) = look(server.port);
        assert_eq!((seen.protocol.as_str(), seen.tls.as_str(), seen.anonymous), ("ftp", "direct", Some(anonymous == "YES")), "{seen:#?} {gaps:#?}");
        assert_eq!(seen.open, open);
    }
}

/// MongoDB is not to be had here: answers are put together as its wire protocol's documentation draws them.
fn mongodb(authentication: bool) -> u16 {
    use assay::probe::bson::document;
    let port = free_port();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
    let reply = move |request: &[u8]| -> Option<Vec<u8>> {
        let word = |at: usize| request.get(at..at + 4).map(|b| u32::from_le_bytes(b.try_into().unwrap()));
        let has = |name: &[u8]| request.windows(name.len()).any(|w| w == name);
        if word(0)? as usize != request.len() {
            return None;
        }
        let document = match (has(b"isMaster"), has(b"buildInfo"), authentication) {
            (true, ..) => document(&[("maxWireVersion", 21), ("ok", 1)], None),
            (_, true, _) => document(&[("ok", 1)], Some(("version", "7.0.5"))),
            (_, _, true) => document(&[("ok", 0), ("code", 13)], Some(("errmsg", "Command listDatabases requires authentication"))),
            _ => document(&[("ok", 1)], None),
        };
        let (code, head) = if word(12)? == 2004 { (1_u32, vec![0; 20]) } else { (2013, vec![0; 5]) };
        let length = u32::try_from(16 + head.len() + document.len()).unwrap();
        Some([&length.to_le_bytes()[..], &7_u32.to_le_bytes(), &word(4)?.to_le_bytes(), &code.to_le_bytes(), &head, &document].concat())
    };
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut buffer = [0; 4096];
                while let Ok(n @ 1..) = stream.read(&mut buffer) {
                    let Some(answer) = reply(&buffer[..n]) else { return };
                    let _ = stream.write_all(&answer);
                }
            });
        }
    });
    port
}

#[test]
fn mongodb_tells_whether_it_wants_a_name() {
    let seen = at(mongodb(false));
    assert_eq!(summary(&seen), ("mongodb", true, "none", "none", vec!["commands"]));
    assert_eq!((seen.banner.as_str(), seen.versions.as_slice()), ("MongoDB 7.0.5", &["wire version 21".to_string()][..]));
    assert_eq!(summary(&at(mongodb(true))), ("mongodb", true, "none", "required", vec![]));
}
