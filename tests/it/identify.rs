//! Identification at endpoints that are slow, narrow or silent, and what it costs.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use assay::probe::Limits;
use assay::probe::dial::Dialer;
use assay::probe::identify::{Outcome, identify};
use assay::probe::service::PROTOCOLS;
use tokio::sync::Semaphore;

use crate::lab::hostile::{self, Habit, counting_relay, limited_relay, queueing_relay, slow_relay};
use crate::lab::{Certificate, servers, stores};

fn look_as(port: u16, process: &str, limits: &Limits) -> (Outcome, Duration) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let began = Instant::now();
    let outcome = runtime.block_on(async {
        let mut dialer = Dialer::new(([127, 0, 0, 1], port).into(), "", limits, Arc::new(Semaphore::new(64)), limits.endpoint_deadline);
        dialer.process = process.into();
        identify(&dialer).await
    });
    (outcome, began.elapsed())
}

fn protocol(port: u16) -> String {
    name(&look_as(port, "", &Limits::default()).0)
}

fn name(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Identified(seen) => seen.protocol.into(),
        other => format!("{other:?}"),
    }
}

#[test]
fn the_likely_question_goes_first_and_nothing_is_asked_twice() {
    let redis = servers::redis("127.0.0.1", &[]);
    let nginx = servers::nginx("listen {port}; return 200 'hello';");
    let certificate = Certificate::ordinary();
    let tls = servers::openssl(&certificate, &["-www"]);
    let mqtt = stores::mosquitto("allow_anonymous true");
    let postgresql = servers::postgresql("host all all 127.0.0.1/32 trust\n", None, &[]);
    let questions = PROTOCOLS.iter().filter(|p| p.ask.is_some()).count();
    // PostgreSQL needs two connections: one to ask for TLS, one to start without. On a busy machine an answer may
    // come late, and one more question keep it company.
    let cases = [
        (redis.port, "redis-server", "redis", 2),
        (nginx.port, "nginx", "http", 2),
        (tls.port, "", "tls", 2),
        (mqtt.port, "mosquitto", "mqtt", 2),
        (postgresql.port, "postgres", "postgresql", 3),
        // A server that hangs up on what it does not know is asked twice where the questions had company; on
        // a busy machine they have, because its answers come late.
        (mqtt.port, "", "mqtt", questions + 3),
        (nginx.port, "", "http", 4),
    ];
    for (port, process, expected, most) in cases {
        let (relay, count) = counting_relay(port);
        let (outcome, _) = look_as(relay, process, &Limits::default());
        assert_eq!(name(&outcome), expected, "{process}");
        assert!(count.load(Ordering::SeqCst) <= most, "{expected} as {process:?}: {count:?} connections, {most} at most");
    }
}

#[test]
fn a_wrong_guess_costs_time_only() {
    let redis = servers::redis("127.0.0.1", &[]);
    let smtp = servers::smtp(None, false);
    for process in ["nginx", "mongod", "sshd", "dockerd", "postgres"] {
        assert_eq!(name(&look_as(redis.port, process, &Limits::default()).0), "redis", "{process}");
    }
    for process in ["nginx", "redis-server", "mosquitto"] {
        assert_eq!(name(&look_as(smtp.port, process, &Limits::default()).0), "smtp", "{process}");
    }
}

#[test]
fn tls_behind_a_web_servers_name_is_not_taken_for_plain_http() {
    let certificate = Certificate::ordinary();
    let server = servers::nginx(&format!(
        "listen {{port}} ssl; ssl_certificate {}; ssl_certificate_key {}; return 200;",
        certificate.cert.display(),
        certificate.key.display()
    ));
    assert_eq!(name(&look_as(server.port, "nginx", &Limits::default()).0), "tls");
    // One that answers 400 to everything is a plain web server nevertheless.
    let plain = servers::nginx("listen {port}; return 400;");
    assert_eq!(name(&look_as(plain.port, "nginx", &Limits::default()).0), "http");
    assert_eq!(protocol(plain.port), "http");
}

#[test]
fn slow_servers_are_identified() {
    let nginx = servers::nginx("listen {port}; return 200 'hello';");
    let redis = servers::redis("127.0.0.1", &[]);
    let memcached = servers::memcached(&[]);
    let mqtt = stores::mosquitto("allow_anonymous true");
    let ftp = servers::vsftpd("anonymous_enable=YES\nlocal_enable=NO");
    let certificate = Certificate::ordinary();
    let tls = servers::openssl(&certificate, &["-www"]);
    for (port, expected) in
        [(nginx.port, "http"), (redis.port, "redis"), (memcached.port, "memcached"), (mqtt.port, "mqtt"), (ftp.port, "ftp"), (tls.port, "tls")]
    {
        assert_eq!(protocol(slow_relay(port, Duration::from_millis(300))), expected);
    }
    // A greeting that takes longer than the head start.
    let telnet = servers::Inetd::start("/usr/sbin/telnetd");
    assert_eq!(protocol(slow_relay(telnet.port, Duration::from_millis(1200))), "telnet");
}

#[test]
fn servers_that_bear_one_client_are_identified() {
    let nginx = servers::nginx("listen {port}; return 200 'hello';");
    let redis = servers::redis("127.0.0.1", &[]);
    let mqtt = stores::mosquitto("allow_anonymous true");
    let cases = [(nginx.port, "http"), (redis.port, "redis"), (mqtt.port, "mqtt")];
    for (port, expected) in cases {
        for most in [1, 2] {
            let (relay, _) = limited_relay(port, most);
            assert_eq!(protocol(relay), expected, "{most} at most");
            // Slow as well, so that questions do get company.
            let (relay, _) = limited_relay(slow_relay(port, Duration::from_millis(200)), most);
            assert_eq!(protocol(relay), expected, "slow, {most} at most");
        }
        assert_eq!(protocol(queueing_relay(port)), expected, "one after the other");
    }
    assert_eq!(protocol(queueing_relay(slow_relay(nginx.port, Duration::from_millis(200)))), "http", "slow, one after the other");
}

#[test]
fn a_silent_server_ends_within_its_time() {
    let limits = Limits { endpoint_deadline: Duration::from_secs(4), ..Limits::default() };
    let (port, count) = counting_relay(hostile::start(Habit::Silent));
    let (outcome, took) = look_as(port, "", &limits);
    assert_eq!(outcome, Outcome::Silent);
    assert!(took < limits.endpoint_deadline, "{took:?}");
    // Each question, three of them again, and a last look.
    let questions = PROTOCOLS.iter().filter(|p| p.ask.is_some()).count();
    assert!(count.load(Ordering::SeqCst) <= questions + 4, "{count:?} connections");
    let (outcome, _) = look_as(hostile::start(Habit::Close), "", &limits);
    assert_eq!(outcome, Outcome::Closed);
}
