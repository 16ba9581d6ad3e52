//! SMTP (RFC 5321), LMTP (RFC 2033) and their STARTTLS (RFC 3207).

use super::starttls::{self, Listed};
use super::{Protocol, Seen, UNKNOWN, Upgrade, ftp, lmtp};
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
pub const UPGRADE: Upgrade = Upgrade { name: "smtp", is_counted: false, prepare: |connection| Box::pin(upgrade(connection, EHLO)) };

const EHLO: &str = "EHLO assay";

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

/// EHLO, or LHLO where that is no command; `None` when the server is neither SMTP nor LMTP.
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
    let answer = match command(connection, EHLO).await {
        Ok(answer) => answer,
        Err(stop) if greeting.mentions("SMTP") => {
            let mut cut = Seen { tls: UNKNOWN, ..seen };
            cut.left_open("tls", format!("EHLO: {stop}"));
            return Some(cut);
        }
        Err(_) => return None,
    };
    if answer.code == 250 {
        return Some(upgrade_of(connection, seen, UPGRADE, &answer).await);
    }
    // A server of LMTP knows no EHLO (RFC 2033 section 4.1).
    match command(connection, lmtp::LHLO).await {
        Ok(answer) if answer.code == 250 => Some(upgrade_of(connection, Seen { protocol: "lmtp", ..seen }, lmtp::UPGRADE, &answer).await),
        _ if greeting.mentions("SMTP") => Some(without_extensions(connection, seen).await),
        _ => None,
    }
}

/// What the extensions in `answer` and the commands say of TLS.
async fn upgrade_of(connection: &mut Connection, mut seen: Seen, upgrade: Upgrade, answer: &Reply) -> Seen {
    let words: Vec<String> = answer.lines.iter().skip(1).filter_map(|l| l.get(4..)).map(|w| w.trim().to_ascii_uppercase()).collect();
    let listed = Listed::of(words.iter().map(String::as_str), "STARTTLS");
    let may_sign_in = words.iter().any(|w| w.split([' ', '=']).next() == Some("AUTH"));
    let demanded = listed == Listed::Yes && wants_tls(connection, may_sign_in).await;
    let accepted = command(connection, "STARTTLS").await.map(|r| r.code == 220);
    starttls::note(&mut seen, upgrade, "STARTTLS", listed, accepted, demanded);
    if accepted != Ok(true) {
        // Best effort: leave in order.
        let _ = connection.send(b"QUIT\r\n").await;
    }
    seen
}

/// A server older than extensions (RFC 1869), or one whose EHLO is taken out on the way: does it
/// know STARTTLS all the same?
async fn without_extensions(connection: &mut Connection, mut seen: Seen) -> Seen {
    let helo = command(connection, "HELO assay").await.is_ok_and(|r| r.code == 250);
    let accepted = match helo {
        true => command(connection, "STARTTLS").await.map(|r| r.code == 220),
        false => Ok(false),
    };
    starttls::note(&mut seen, UPGRADE, "STARTTLS", Listed::No, accepted, false);
    let _ = connection.send(b"QUIT\r\n").await;
    seen
}

/// Whether a null sender is refused until TLS (RFC 3207 section 4: 530), or until a sign-in that is
/// not offered without TLS.
async fn wants_tls(connection: &mut Connection, may_sign_in: bool) -> bool {
    match command(connection, "MAIL FROM:<>").await {
        Ok(reply) => refuses_without_tls(&reply, may_sign_in),
        Err(_) => false,
    }
}

fn refuses_without_tls(reply: &Reply, may_sign_in: bool) -> bool {
    match reply.code {
        530 => reply.mentions("TLS") || !may_sign_in,
        // Words of access rules: Exim, Sendmail.
        538 | 550 | 554 => reply.mentions("STARTTLS") || (reply.mentions("TLS") && reply.mentions("REQUIRE")),
        _ => false,
    }
}

async fn command(connection: &mut Connection, line: &str) -> Result<Reply, Stop> {
    connection.send(format!("{line}\r\n").as_bytes()).await?;
    connection.reply().await
}

/// The greeting, EHLO or LHLO, and STARTTLS.
pub async fn upgrade(connection: &mut Connection, hello: &str) -> Result<(), Stop> {
    connection.reply().await?;
    // A refused EHLO does not decide: the next answer does.
    command(connection, hello).await?;
    if command(connection, "STARTTLS").await?.code == 220 { Ok(()) } else { Err(Stop::Malformed) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_for_want_of_tls_is_told_from_others() {
        let reply = |code, line: &str| Reply { code, lines: vec![line.to_string()] };
        // Postfix smtpd_tls_security_level = encrypt; Dovecot's submission service; Exim's ACL.
        assert!(refuses_without_tls(&reply(530, "530 5.7.0 Must issue a STARTTLS command first"), true));
        assert!(refuses_without_tls(&reply(530, "530 5.7.0 Authentication required."), false));
        assert!(!refuses_without_tls(&reply(530, "530 5.7.0 Authentication required."), true));
        assert!(refuses_without_tls(&reply(550, "550 STARTTLS required before mail"), true));
        assert!(!refuses_without_tls(&reply(550, "550 no null senders here"), false));
        assert!(!refuses_without_tls(&reply(250, "250 2.1.0 Ok"), false));
        assert!(!refuses_without_tls(&reply(451, "451 4.7.1 TLS required, try again"), false));
    }
}
