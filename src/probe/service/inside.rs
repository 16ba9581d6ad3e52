//! What is spoken inside TLS that starts with the first byte.

use super::{DIRECT, Later, Seen, a_line, greeter, http, is_complete, redis};
use crate::probe::dial::{Connection, Dialer};

/// A greeting first on the ports of mail and FTP, else an HTTP request, else one more question on a
/// connection that `again` opens inside TLS.
pub async fn inside<'a>(dialer: &'a Dialer, mut connection: Connection, again: &(dyn Fn() -> Later<'a, Option<Connection>> + Send + Sync)) -> Option<Seen> {
    if matches!(dialer.address.port(), 465 | 563 | 636 | 853 | 990 | 993 | 995) {
        let wait = dialer.limits.answer_timeout.min(dialer.left());
        return connection.greeting(wait, is_complete).await.ok().and_then(|first| inner(&first));
    }
    if dialer.address.port() != 6379 {
        connection.send(&http::request(dialer)).await.ok()?;
        match connection.greeting(dialer.limits.answer_timeout.min(dialer.left()), a_line).await {
            Ok(first) if http::speaks(&first) => {
                connection.unread(&first);
                let seen = http::read(&mut connection, &first).await;
                return Some(encrypted(seen));
            }
            Ok(first) if greeter(&first).is_some() => return inner(&first),
            Ok(_) | Err(_) => {}
        }
        connection = again().await?;
    }
    connection.send(b"PING\r\n").await.ok()?;
    let first = connection.line().await.ok()?;
    redis::answers(&first).then(|| encrypted(redis::seen(&first)))
}

/// A protocol known by its greeting alone; nothing more is said.
fn inner(first: &[u8]) -> Option<Seen> {
    let text = String::from_utf8_lossy(first).to_ascii_uppercase();
    let name = match greeter(first)?.name {
        "smtp" if !text.contains("SMTP") => return None,
        name => name,
    };
    let mut seen = encrypted(Seen::plain(name, first, "greeting"));
    if name == "ftp" {
        seen.left_open("anonymous", "anonymous sign-in is not tried inside direct TLS");
    }
    Some(seen)
}

fn encrypted(seen: Seen) -> Seen {
    let unanswered = seen.unanswered.into_iter().filter(|(field, _)| *field != "tls").collect();
    Seen { plaintext: false, tls: DIRECT, upgrade: None, exchange: format!("inside TLS: {}", seen.exchange), unanswered, ..seen }
}
