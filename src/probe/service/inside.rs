//! What is spoken inside TLS that starts with the first byte.

use std::time::Duration;

use super::http::{self, Again, Web};
use super::{Asked, DIRECT, OPTIONAL, PROTOCOLS, Protocol, Seen, a_line, ftp, greeter, is_complete, mongodb, postgresql};
use crate::probe::dial::{Connection, Dialer, Ear};

/// Most further connections opened to find out what is spoken inside.
pub const CONNECTIONS: usize = 10;
/// Ports whose servers speak first inside TLS.
const GREETED: &[u16] = &[465, 563, 990, 993, 995];
/// Ports inside TLS, and what is usually spoken there.
const USUAL: &[(u16, &str)] =
    &[(636, "ldap"), (853, "dns"), (5223, "xmpp"), (5671, "amqp"), (6379, "redis"), (6380, "redis"), (8883, "mqtt"), (27017, "mongodb"), (11211, "memcached")];
/// What is asked for inside TLS where HTTP is not spoken, in this order.
const ASKED: &[&str] = &["redis", "mongodb", "amqp", "mqtt", "ldap"];
/// Longest wait for one answer where nothing says that the question is the right one.
const PATIENCE: Duration = Duration::from_millis(800);

/// A greeting first on the ports of mail and FTP; else the usual question of the port; else an HTTP
/// request, and the questions of other protocols on connections that `again` opens inside TLS.
/// `None` when none of them was answered.
pub async fn inside(dialer: &Dialer, mut connection: Connection, again: &dyn Again) -> Option<Seen> {
    let port = dialer.address.port();
    if GREETED.contains(&port) {
        let wait = dialer.limits.answer_timeout.min(dialer.left());
        let first = connection.greeting(wait, is_complete).await.ok()?;
        return greeted(&first, Some(connection), again).await;
    }
    let mut waiting: Vec<&'static Protocol> = ASKED.iter().filter_map(|name| named(name)).collect();
    let mut connection = Some(connection);
    let by_process = PROTOCOLS.iter().find(|p| !dialer.process.is_empty() && p.ask.is_some() && p.processes.contains(&dialer.process.as_str()));
    let usual = by_process.or_else(|| USUAL.iter().find(|(usual, _)| *usual == port).and_then(|(_, name)| named(name)));
    if let Some(usual) = usual.filter(|p| !matches!(p.name, "http" | "tls")) {
        waiting.retain(|p| p.name != usual.name);
        match ask(usual, dialer, connection.take()?, dialer.limits.answer_timeout).await {
            Asked::Found(seen) => return Some(finished(dialer, *seen).await),
            _ => connection = again.again().await,
        }
    }
    let mut hint = match web(dialer, connection?, again).await {
        Asked::Found(seen) => return Some(encrypted(*seen)),
        Asked::Answered(bytes) if greeter(&bytes).is_some_and(Protocol::is_greeter) => return greeted(&bytes, None, again).await,
        Asked::Answered(bytes) => hinted(&bytes),
        _ => None,
    };
    while !waiting.is_empty() {
        let at = hint.take().and_then(|hint| waiting.iter().position(|p| p.name == hint)).unwrap_or(0);
        let protocol = waiting.remove(at);
        match ask(protocol, dialer, again.again().await?, PATIENCE).await {
            Asked::Found(seen) => return Some(finished(dialer, *seen).await),
            Asked::Answered(bytes) => hint = hinted(&bytes),
            _ => {}
        }
    }
    upgraded(dialer).await
}

fn named(name: &str) -> Option<&'static Protocol> {
    PROTOCOLS.iter().find(|p| p.name == name)
}

fn hinted(answer: &[u8]) -> Option<&'static str> {
    PROTOCOLS.iter().find(|p| p.hinted.is_some_and(|hinted| hinted(answer))).map(|p| p.name)
}

/// Puts the question of a protocol on a connection inside TLS.
async fn ask(protocol: &Protocol, dialer: &Dialer, connection: Connection, patience: Duration) -> Asked {
    let Some(question) = protocol.ask else { return Asked::Silent };
    let mut dialer = dialer.of_question(Some(connection), Ear::default());
    // A stranger's look would go past TLS.
    dialer.outward = None;
    match tokio::time::timeout(patience.min(dialer.left()), question(&dialer)).await {
        Ok(asked) => asked,
        Err(_) => Asked::Silent,
    }
}

async fn web(dialer: &Dialer, mut connection: Connection, again: &dyn Again) -> Asked {
    let first = async {
        connection.send(&http::question(dialer)).await?;
        connection.greeting(dialer.limits.answer_timeout.min(dialer.left()), a_line).await
    };
    match first.await {
        Ok(first) if http::speaks(&first) => {
            connection.unread(&first);
            http::read(connection, &first, &Web { dialer, again }).await
        }
        Ok(first) => Asked::Answered(first),
        Err(stop) => stop.into(),
    }
}

/// A protocol known by its greeting; FTP is asked whether it lets anonymous in.
async fn greeted(first: &[u8], unspoken: Option<Connection>, again: &dyn Again) -> Option<Seen> {
    let text = String::from_utf8_lossy(first).to_ascii_uppercase();
    let name = match greeter(first)?.name {
        "smtp" if !text.contains("SMTP") => return None,
        name => name,
    };
    let mut seen = encrypted(Seen::plain(name, first, "greeting"));
    if name == "ftp" {
        let connection = match unspoken {
            Some(connection) => Some(connection),
            None => match again.again().await {
                Some(mut connection) => connection.reply().await.ok().map(|_| connection),
                None => None,
            },
        };
        ftp::sign_in(connection, &mut seen).await;
    }
    Some(seen)
}

/// MongoDB can serve both on one port.
async fn finished(dialer: &Dialer, seen: Seen) -> Seen {
    let is_mongodb = seen.protocol == "mongodb";
    let seen = encrypted(seen);
    if is_mongodb && let Asked::Found(plain) = mongodb::ask(dialer).await {
        return Seen { plaintext: true, tls: OPTIONAL, exchange: format!("{}; the same without TLS: {}", seen.exchange, plain.exchange), ..seen };
    }
    seen
}

/// PostgreSQL 17 answers a TLS hello, though most clients get there by an upgrade.
async fn upgraded(dialer: &Dialer) -> Option<Seen> {
    match postgresql::ask(dialer).await {
        Asked::Found(seen) => Some(*seen),
        _ => None,
    }
}

fn encrypted(seen: Seen) -> Seen {
    let unanswered = seen.unanswered.into_iter().filter(|(field, _)| *field != "tls").collect();
    Seen { plaintext: false, tls: DIRECT, upgrade: None, exchange: format!("inside TLS: {}", seen.exchange), unanswered, ..seen }
}
