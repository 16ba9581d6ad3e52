//! SMTP (RFC 5321) and its STARTTLS (RFC 3207).

use super::{NONE, OPTIONAL, Protocol, REQUIRED, Seen, UNKNOWN, Upgrade, ftp};
use crate::probe::dial::{Connection, Dialer, Reply, Stop};

/// SMTP.
pub const PROTOCOL: Protocol = Protocol {
    name: "smtp",
    ports: &[25, 587, 2525],
    processes: &["master", "smtpd", "exim4", "sendmail"],
    greets: Some(greets),
    talk: Some(|dialer, connection, first| Box::pin(smtp_or_ftp(dialer, connection, first))),
    ..Protocol::NONE
};

/// STARTTLS (RFC 3207).
pub const UPGRADE: Upgrade = Upgrade { name: "smtp", is_counted: false, prepare: |connection| Box::pin(upgrade(connection)) };

const EHLO: &[u8] = b"EHLO assay\r\n";

/// `220` or a refusal `554`, `421` (RFC 5321 section 4.2); FTP greets alike.
pub fn greets(first: &[u8]) -> bool {
    [b"220", b"554", b"421"].iter().any(|code| first.starts_with(*code)) && matches!(first.get(3), Some(b' ' | b'-'))
}

/// FTP and SMTP both greet with `220`: the words of the greeting decide, else the answer to EHLO.
async fn smtp_or_ftp(dialer: &Dialer, mut connection: Connection, first: &[u8]) -> Option<Seen> {
    connection.unread(first);
    let greeting = connection.reply().await.ok()?;
    if greeting.mentions("FTP") {
        return Some(ftp::talk(dialer, connection, &greeting).await);
    }
    if let Some(seen) = talk(&mut connection, &greeting).await {
        return Some(seen);
    }
    match ftp::is_ftp(&mut connection).await {
        true => Some(ftp::talk(dialer, connection, &greeting).await),
        false => None,
    }
}

/// EHLO; `None` when the server is no SMTP.
async fn talk(connection: &mut Connection, greeting: &Reply) -> Option<Seen> {
    let seen = Seen::plain("smtp", greeting.first().as_bytes(), "EHLO");
    if greeting.code != 220 {
        if !greeting.mentions("SMTP") {
            return None;
        }
        let mut refused = Seen { tls: UNKNOWN, exchange: format!("greeting {}", greeting.code), ..seen };
        refused.left_open("tls", format!("the server greets with {} only", greeting.code));
        return Some(refused);
    }
    let answer = match ehlo(connection).await {
        Ok(answer) => answer,
        Err(stop) if greeting.mentions("SMTP") => {
            let mut cut = Seen { tls: UNKNOWN, ..seen };
            cut.left_open("tls", format!("EHLO: {stop}"));
            return Some(cut);
        }
        Err(_) => return None,
    };
    if answer.code != 250 {
        return greeting.mentions("SMTP").then_some(seen);
    }
    let offered = answer.lines.iter().any(|l| l.get(4..).is_some_and(|w| w.trim().eq_ignore_ascii_case("STARTTLS")));
    let tls = match offered {
        false => NONE,
        true if wants_tls(connection).await => REQUIRED,
        true => OPTIONAL,
    };
    // Best effort: leave in order.
    let _ = connection.send(b"QUIT\r\n").await;
    let exchange = if offered { "EHLO offers STARTTLS" } else { "EHLO without STARTTLS" };
    Some(Seen { tls, upgrade: offered.then_some(UPGRADE), exchange: exchange.into(), ..seen })
}

async fn ehlo(connection: &mut Connection) -> Result<Reply, Stop> {
    connection.send(EHLO).await?;
    connection.reply().await
}

/// Whether a null sender is refused until TLS (RFC 3207 section 4: 530).
async fn wants_tls(connection: &mut Connection) -> bool {
    if connection.send(b"MAIL FROM:<>\r\n").await.is_err() {
        return false;
    }
    connection.reply().await.is_ok_and(|r| r.code == 530 && r.mentions("TLS"))
}

/// EHLO and STARTTLS.
pub async fn upgrade(connection: &mut Connection) -> Result<(), Stop> {
    connection.reply().await?;
    ehlo(connection).await?;
    connection.send(b"STARTTLS\r\n").await?;
    if connection.reply().await?.code == 220 { Ok(()) } else { Err(Stop::Malformed) }
}
