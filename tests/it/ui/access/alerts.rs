//! Alerts against real receivers on loopback: HTTP, a real Postfix, aiosmtpd with sign-in, a real rsyslog with TLS.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use assay::collector::alerts::{self, Known, NewTarget, Target};
use assay::collector::store::LetterState;
use assay::host::clock;
use assay::model::finding::Finding;
use assay::model::ids::{HostId, RandomId};
use axum::http::{HeaderMap, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::*;
use crate::lab;

/// What an HTTP receiver got.
type Got = Arc<Mutex<Vec<(HeaderMap, String)>>>;

/// An HTTP receiver that answers as it is told; its address.
async fn receiver(answers: &'static [u16]) -> (String, Got) {
    let got = Got::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/hook", listener.local_addr().unwrap());
    let kept = got.clone();
    let hook = move |headers: HeaderMap, body: String| {
        let kept = kept.clone();
        async move {
            let mut all = kept.lock().unwrap();
            all.push((headers, body));
            StatusCode::from_u16(answers.get(all.len() - 1).copied().unwrap_or(200)).unwrap()
        }
    };
    let router = axum::Router::new().route("/hook", axum::routing::post(hook));
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let meter = assay::collector::metrics::Metrics::new(0, 0).meter("receiver");
    tokio::spawn(async move {
        assay::collector::server::listen(listener, None, router, meter, stopped).await;
        drop(stop);
    });
    (address, got)
}

async fn target(seeded: &Seeded, new: NewTarget) -> (RandomId, Option<String>) {
    let store = &seeded.app.store;
    alerts::add(store.folder(), store, &new, "test", clock::unix_now()).await.unwrap()
}

fn webhook(address: &str) -> NewTarget {
    NewTarget { kind: "webhook".into(), name: "pager".into(), address: address.into(), severity: "low".into(), ..NewTarget::default() }
}

/// Files of a certificate for this machine, by an authority of its own.
fn certificate(folder: &Path) -> (PathBuf, PathBuf, String) {
    let authority = assay::pki::authority::Authority::load_or_create(folder, clock::unix_now()).unwrap();
    let made = authority.server_certificate(&["127.0.0.1".into(), "localhost".into()], clock::unix_now()).unwrap();
    let pem = |label: &str, der: &[u8]| {
        let text = STANDARD.encode(der);
        let lines: Vec<&str> = text.as_bytes().chunks(64).map(|l| std::str::from_utf8(l).unwrap()).collect();
        format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
    };
    let (cert, key) = (folder.join("server.pem"), folder.join("server-key.pem"));
    std::fs::write(&cert, made.chain.iter().map(|c| pem("CERTIFICATE", c)).collect::<String>()).unwrap();
    std::fs::write(&key, pem("PRIVATE KEY", made.key.secret_der())).unwrap();
    (cert, key, authority.pem().to_string())
}

#[tokio::test]
async fn new_failures_are_one_signed_message_and_only_what_changed_is_told() {
    let now = clock::unix_now();
    let seeded = seed::full(now).await;
    let (address, got) = receiver(&[]).await;
    let (_, key) = target(&seeded, webhook(&address)).await;
    let (app, later) = (&seeded.app, now + 3_600);
    assert_eq!(alerts::gather_failures(app, &|_| Known::New, clock::unix_now() - 30).await.unwrap(), 0, "more may come within the minute");
    assert_eq!(alerts::gather_failures(app, &|_| Known::New, later).await.unwrap(), 1, "however many rules and hosts");
    assert_eq!(alerts::gather_failures(app, &|_| Known::New, later).await.unwrap(), 0);
    assert_eq!(alerts::deliver(app, later).await.unwrap(), 1);
    assert_eq!(alerts::deliver(app, later).await.unwrap(), 0, "what was taken is not sent again");
    let (headers, body) = got.lock().unwrap().remove(0);
    let text = |name: &str| headers[name].to_str().unwrap().to_string();
    let bytes = STANDARD.decode(key.unwrap().strip_prefix("whsec_").unwrap()).unwrap();
    let tag = ring::hmac::sign(
        &ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &bytes),
        format!("{}.{}.{body}", text("webhook-id"), text("webhook-timestamp")).as_bytes(),
    );
    assert_eq!(text("webhook-signature"), format!("v1,{}", STANDARD.encode(tag)));
    let message: alerts::Message = serde_json::from_str(&body).unwrap();
    assert!(message.kind == "failures" && message.title.contains("began to fail on"), "{message:?}");
    assert!(message.items.windows(2).all(|w| w[0].severity >= w[1].severity), "the worst first: {message:?}");
    // The same failure in other words is no news; one that people know of neither.
    seed_again(&seeded, 0, "accepts TLSv1.0, TLSv1.1, and more", now).await;
    assert_eq!(app.store.fresh_failures(100).await.unwrap().len(), 0);
    seed_again(&seeded, 1, "accepts TLSv1.0", now).await;
    assert_eq!(app.store.fresh_failures(100).await.unwrap().len(), 1);
    assert_eq!(alerts::gather_failures(app, &|_| Known::Known, later).await.unwrap(), 0);
    assert_eq!(app.store.fresh_failures(100).await.unwrap().len(), 0);
}

/// A later report of a host in which TLS fails in these words.
async fn seed_again(seeded: &Seeded, n: u8, words: &str, now: i64) {
    let finding = Finding {
        rule: "tls-version-minimum".into(),
        subject: "0.0.0.0:8443/tcp".into(),
        verdict: assay::model::finding::Verdict::Fail,
        severity: assay::model::finding::Severity::High,
        message: words.into(),
        reason: None,
        citations: Vec::new(),
    };
    let id = HostId::new([n + 0x31; 32]);
    seed::again(&seeded.app.store, id, finding, now).await;
}

#[tokio::test]
async fn a_receiver_that_fails_is_tried_later_with_the_same_id_and_given_up_visibly() {
    let now = clock::unix_now();
    let seeded = seed::empty(now).await;
    let (address, got) = receiver(&[500, 302, 200]).await;
    let (id, _) = target(&seeded, webhook(&address)).await;
    let (app, store) = (&seeded.app, &seeded.app.store);
    assert!(alerts::test(app, &id, now).await.unwrap());
    assert!(!alerts::test(app, &RandomId::new([9; 16]), now).await.unwrap());
    let mut at = now;
    for taken in [0, 0, 1] {
        assert_eq!(alerts::deliver(app, at).await.unwrap(), taken);
        at += 3_600;
    }
    let all: Vec<String> = got.lock().unwrap().iter().map(|(h, _)| h["webhook-id"].to_str().unwrap().to_string()).collect();
    assert!(all.len() == 3 && all.iter().all(|i| *i == all[0]), "{all:?}");
    let letter = store.letters(None, 1).await.unwrap().remove(0);
    assert!(letter.state == LetterState::Delivered && letter.body.is_empty(), "{letter:?}");
    // A process that died after its claim: the letter is due again.
    assert!(alerts::test(app, &id, at).await.unwrap());
    let due = store.due_letters(at, 5).await.unwrap();
    assert!(store.claim_letter(&due[0], at + 120).await.unwrap() && !store.claim_letter(&due[0], at + 120).await.unwrap(), "one of two collectors");
    assert_eq!(alerts::deliver(app, at).await.unwrap(), 0);
    assert_eq!(alerts::deliver(app, at + 120).await.unwrap(), 1);
    // Nobody listens.
    store.remove_alert_target(&id, "test", now).await.unwrap();
    let (gone, _) = target(&seeded, webhook(&format!("http://127.0.0.1:{}/", lab::free_port()))).await;
    alerts::test(app, &gone, at).await.unwrap();
    for _ in 0..20 {
        alerts::deliver(app, at).await.unwrap();
        at += 86_400;
    }
    let dead = store.letters(Some(LetterState::Dead), 5).await.unwrap();
    assert!(dead.len() == 1 && dead[0].attempts == 16 && !dead[0].problem.is_empty(), "{dead:?}");
    let admin = Browser::signed_in(&seeded, "admin").await;
    assert!(admin.get("/settings/alerts").await.text.contains("given up"));
    assert_eq!(send(&admin, &format!("/settings/alerts/{}", dead[0].number), "action=retry").await.status, StatusCode::SEE_OTHER);
    assert_eq!(store.letters(Some(LetterState::Waiting), 5).await.unwrap().len(), 1);
}

#[tokio::test]
async fn hosts_that_fall_silent_and_missed_scans_are_told_once() {
    let now = clock::unix_now();
    let seeded = seed::full(now).await;
    let (address, got) = receiver(&[]).await;
    target(&seeded, webhook(&address)).await;
    let app = &seeded.app;
    let late = now + 40 * 86_400;
    assert_eq!(alerts::gather_silence(app, late).await.unwrap(), 1, "all hosts in one message");
    assert_eq!(alerts::gather_silence(app, late).await.unwrap(), 0);
    app.store.touch(&[(HostId::new([0x31; 32]), late, String::new())]).await.unwrap();
    assert_eq!(alerts::gather_silence(app, late).await.unwrap(), 1, "one is heard again");
    assert_eq!(alerts::gather_scans(app, late).await.unwrap(), 1);
    assert_eq!(alerts::gather_scans(app, late).await.unwrap(), 0);
    assert_eq!(alerts::gather_records(app, now).await.unwrap().min(1), 1, "records that nobody made");
    assert_eq!(alerts::gather_records(app, now).await.unwrap(), 0);
    while alerts::deliver(app, late).await.unwrap() > 0 {}
    let titles: Vec<String> =
        got.lock().unwrap().iter().map(|(_, b)| serde_json::from_str::<Value>(b).unwrap()["title"].as_str().unwrap().to_string()).collect();
    for part in ["hosts fell silent", "1 host is silent no longer", "missed the scan of"] {
        assert!(titles.iter().any(|t| t.contains(part)), "{part}: {titles:?}");
    }
}

#[tokio::test]
async fn targets_that_make_no_sense_are_refused_and_no_secret_is_told() {
    let seeded = seed::empty(clock::unix_now()).await;
    let admin = Browser::signed_in(&seeded, "admin").await;
    for (form, told) in [
        ("kind=webhook&name=a&address=http://example.com/", "plain http"),
        ("kind=webhook&name=a&address=https://u:p@example.com/", "must not hold a password"),
        ("kind=webhook&name=a&address=nothing", "is no address"),
        ("kind=webhook&name=a&address=https://example.com/&secret=short", "whsec_"),
        ("kind=mail&name=a&address=mail.example.com:25&security=none&from=a@b.example&to=c@d.example", "this machine only"),
        ("kind=mail&name=a&address=mail.example.com:25&from=a@b.example&to=nobody", "is no mail address"),
        ("kind=syslog&name=a&address=logs.example.com", "is no HOST:PORT"),
        ("kind=pigeon&name=a&address=x", "none of webhook"),
        ("kind=webhook&name=a&address=https://example.com/&ca=text", "certificate of the authority"),
        ("kind=webhook&name=a&address=https://example.com/&severity=awful", "is no severity"),
    ] {
        let page = send(&admin, "/settings/alerts", form).await;
        assert!(page.status == StatusCode::UNPROCESSABLE_ENTITY && page.text.contains(told), "{form}: {}", page.text);
    }
    let made = send(&admin, "/settings/alerts", "kind=webhook&name=a&address=https://example.com/").await.text;
    let key = between(&made, "<pre id=\"once-1\">", "</pre>").to_string();
    assert!(key.starts_with("whsec_") && !admin.get("/settings/alerts").await.text.contains(&key));
    let row = seeded.app.store.alert_targets().await.unwrap().remove(0);
    assert!(!row.body.contains("whsec_") && !String::from_utf8_lossy(row.secret.as_ref().unwrap()).contains("whsec_"), "sealed");
    assert!(send(&admin, "/settings/alerts", "kind=webhook&name=a&address=https://example.com/").await.text.contains("There is a target a already"));
}

/// Waits for something that another process does.
async fn until(what: &str, mut is: impl FnMut() -> bool) {
    for _ in 0..600 {
        if is() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{what} did not come");
}

#[tokio::test(flavor = "multi_thread")]
async fn rsyslog_takes_messages_over_tls() {
    let now = clock::unix_now();
    let seeded = seed::empty(now).await;
    let folder = tempfile::tempdir().unwrap();
    let (cert, key, ca) = certificate(folder.path());
    let (port, log) = (lab::free_port(), folder.path().join("log"));
    let config = format!(
        "global(DefaultNetstreamDriver=\"gtls\" DefaultNetstreamDriverCAFile=\"{ca}\" DefaultNetstreamDriverCertFile=\"{cert}\" DefaultNetstreamDriverKeyFile=\"{key}\" workDirectory=\"{folder}\")\n\
         module(load=\"imtcp\" StreamDriver.Name=\"gtls\" StreamDriver.Mode=\"1\" StreamDriver.AuthMode=\"anon\")\ninput(type=\"imtcp\" address=\"127.0.0.1\" port=\"{port}\")\n\
         template(name=\"all\" type=\"string\" string=\"%pri%|%app-name%|%msgid%|%structured-data%|%msg%\\n\")\naction(type=\"omfile\" file=\"{log}\" template=\"all\")\n",
        ca = folder.path().join("ca.pem").display(),
        cert = cert.display(),
        key = key.display(),
        folder = folder.path().display(),
        log = log.display()
    );
    let (path, pid) = (folder.path().join("rsyslog.conf"), folder.path().join("pid"));
    std::fs::write(&path, config).unwrap();
    let _server = lab::Server::start(port, tempfile::tempdir().unwrap(), Command::new("/usr/sbin/rsyslogd").arg("-n").arg("-f").arg(&path).arg("-i").arg(&pid));
    let new = NewTarget { kind: "syslog".into(), name: "siem".into(), address: format!("127.0.0.1:{port}"), ca, ..NewTarget::default() };
    let (id, _) = target(&seeded, new).await;
    alerts::test(&seeded.app, &id, now).await.unwrap();
    assert_eq!(alerts::deliver(&seeded.app, now).await.unwrap(), 1, "{:?}", seeded.app.store.letters(None, 1).await.unwrap());
    until("the message", || std::fs::read_to_string(&log).is_ok_and(|t| t.contains("This is a test"))).await;
    let text = std::fs::read_to_string(&log).unwrap();
    assert!(text.contains("110|assay|test|[assay@32473 id=\"") && text.contains("kind=\"test\" severity=\"info\""), "{text}");
    // Another authority's certificate is not taken.
    let other = tempfile::tempdir().unwrap();
    let (_, _, foreign) = certificate(other.path());
    let new = NewTarget { kind: "syslog".into(), name: "wrong".into(), address: format!("127.0.0.1:{port}"), ca: foreign, ..NewTarget::default() };
    let (id, _) = target(&seeded, new).await;
    alerts::test(&seeded.app, &id, now).await.unwrap();
    assert_eq!(alerts::deliver(&seeded.app, now).await.unwrap(), 0);
    let problem = seeded.app.store.letters(None, 1).await.unwrap().remove(0).problem;
    assert!(problem.contains("certificate"), "{problem}");
}

#[tokio::test(flavor = "multi_thread")]
async fn postfix_takes_mail_by_starttls() {
    let now = clock::unix_now();
    let seeded = seed::empty(now).await;
    let folder = tempfile::tempdir().unwrap();
    let (cert, key, ca) = certificate(folder.path());
    let given = lab::Certificate::given(cert, key);
    let server = lab::daemons::postfix(Some(&given), "mydestination = lab.example\nlocal_recipient_maps =\nsmtpd_tls_security_level = encrypt\n");
    let new = NewTarget {
        kind: "mail".into(),
        name: "team".into(),
        address: format!("127.0.0.1:{}", server.port),
        ca,
        from: "assay@lab.example".into(),
        to: "security@lab.example".into(),
        ..NewTarget::default()
    };
    let (id, _) = target(&seeded, new).await;
    alerts::test(&seeded.app, &id, now).await.unwrap();
    assert_eq!(alerts::deliver(&seeded.app, now).await.unwrap(), 1, "{:?}", seeded.app.store.letters(None, 1).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_is_signed_in_and_says_the_same_as_text_and_html() {
    let now = clock::unix_now();
    let seeded = seed::full(now).await;
    let folder = tempfile::tempdir().unwrap();
    let (cert, key, ca) = certificate(folder.path());
    let (port, out) = (lab::free_port(), folder.path().join("mail"));
    let program = format!(
        "import asyncio, ssl\nfrom aiosmtpd.controller import Controller\nfrom aiosmtpd.smtp import AuthResult, SMTP\n\
         class Handler:\n  async def handle_DATA(self, server, session, envelope):\n    open({out:?}, 'ab').write(envelope.content)\n    return '250 kept'\n\
         def check(server, session, envelope, mechanism, data):\n  ok = data.login == b'assay' and data.password == b'p w'\n  return AuthResult(success=ok, handled=ok)\n\
         context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)\ncontext.load_cert_chain({cert:?}, {key:?})\n\
         c = Controller(Handler(), hostname='127.0.0.1', port={port}, require_starttls=True, tls_context=context, authenticator=check, auth_required=True)\n\
         c.start()\nimport time\nwhile True: time.sleep(60)\n"
    );
    let path = folder.path().join("receiver.py");
    std::fs::File::create(&path).unwrap().write_all(program.as_bytes()).unwrap();
    let _server = lab::Server::start(port, tempfile::tempdir().unwrap(), Command::new("/usr/bin/python3").arg(&path));
    let new = |name: &str, secret: &str| NewTarget {
        kind: "mail".into(),
        name: name.into(),
        address: format!("127.0.0.1:{port}"),
        ca: ca.clone(),
        user: "assay".into(),
        secret: secret.into(),
        from: "assay@lab.example".into(),
        to: "a@lab.example, b@lab.example".into(),
        digest: "1".into(),
        ..NewTarget::default()
    };
    let (id, _) = target(&seeded, new("wrong", "other")).await;
    alerts::test(&seeded.app, &id, now).await.unwrap();
    assert_eq!(alerts::deliver(&seeded.app, now).await.unwrap(), 0, "a wrong password");
    assert!(seeded.app.store.remove_alert_target(&id, "test", now).await.unwrap());
    target(&seeded, new("team", "p w")).await;
    assert!(Target::all(&seeded.app.store).await.unwrap()[0].wants_digest);
    assert_eq!(alerts::gather_failures(&seeded.app, &|_| Known::New, now + 3_600).await.unwrap(), 1);
    assert_eq!(alerts::deliver(&seeded.app, now + 3_600).await.unwrap(), 1, "{:?}", seeded.app.store.letters(None, 1).await.unwrap());
    let mail = std::fs::read_to_string(&out).unwrap();
    for part in ["Subject: [assay] ", "multipart/alternative", "text/plain", "text/html", "@assay.invalid>"] {
        assert!(mail.contains(part), "{part}: {mail}");
    }
    // The digest: none of the first week, then one a week.
    let app = &seeded.app;
    let monday = assay::collector::ui::when::week_start(now) + 7 * 86_400 + 7 * 3_600;
    assert_eq!(alerts::gather_digest(app, monday).await.unwrap(), 0);
    assert_eq!(alerts::gather_digest(app, monday + 7 * 86_400).await.unwrap(), 1);
    assert_eq!(alerts::gather_digest(app, monday + 8 * 86_400).await.unwrap(), 0);
    assert_eq!(alerts::deliver(app, monday + 8 * 86_400).await.unwrap(), 1);
    until("the digest", || std::fs::read_to_string(&out).is_ok_and(|t| t.contains("The week "))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_doubled_when_the_collector_dies() {
    use crate::support::{Collector, collector, run, text};
    let (address, got) = receiver(&[]).await;
    let mut running = Collector::start();
    let data = running.data().to_path_buf();
    let order = |arguments: &[&str]| {
        let mut all = arguments.to_vec();
        all.extend(["--data", text(&data)]);
        let (code, out, error) = run(collector(), &all);
        assert_eq!(code, 0, "{error}");
        out
    };
    assert!(order(&["alert", "add", "webhook", "pager", "--address", &address]).contains("whsec_"));
    order(&["alert", "test", "pager"]);
    until("the first message", || got.lock().unwrap().len() == 1).await;
    running.kill();
    order(&["alert", "test", "pager"]);
    running.resume();
    until("the message of between", || got.lock().unwrap().len() == 2).await;
    running.kill();
    running.resume();
    order(&["alert", "test", "pager"]);
    until("the last message", || got.lock().unwrap().len() >= 3).await;
    running.stop();
    let ids: std::collections::BTreeSet<String> = got.lock().unwrap().iter().map(|(h, _)| h["webhook-id"].to_str().unwrap().to_string()).collect();
    assert_eq!(ids.len(), 3, "three messages, each by its own id");
    let list = order(&["alert", "list", "--format", "json"]);
    assert_eq!(list.matches("\"delivered\"").count(), 3, "{list}");
    order(&["alert", "remove", "pager"]);
    let trail = order(&["trail", "--kind", "setting"]);
    assert!(trail.contains("added pager (webhook)"), "{trail}");
}
