//! FTP (RFC 959) and its AUTH TLS (RFC 4217).

use super::{OPTIONAL, OUR_NAME, Protocol, REQUIRED, STRIPPED, Seen, UNKNOWN, Upgrade, smtp};
use crate::probe::dial::{Connection, Dialer, Reply, Stop};

/// FTP.
pub const PROTOCOL: Protocol = Protocol {
    name: "ftp",
    ports: &[21, 2121],
    processes: &["vsftpd", "proftpd", "pure-ftpd"],
    greets: Some(greets),
    talk: Some(|dialer, mut connection, first| {
        Box::pin(async move {
            connection.unread(first);
            let greeting = connection.reply().await.ok()?;
            Some(talk(dialer, connection, &greeting).await)
        })
    }),
    ..Protocol::NONE
};

/// AUTH TLS (RFC 4217).
pub const UPGRADE: Upgrade = Upgrade { name: "ftp", is_counted: false, prepare: |connection| Box::pin(upgrade(connection)) };

/// SMTP greets alike, so only a first line that says FTP tells; [`smtp`] finds out about the others.
fn greets(first: &[u8]) -> bool {
    let line = first.split(|b| *b == b'\n').next().unwrap_or_default();
    smtp::greets(first) && String::from_utf8_lossy(line).to_ascii_uppercase().contains("FTP")
}

/// A server that greets with 220 and is no SMTP: FEAT (RFC 2389) and SYST are of FTP alone.
pub async fn is_ftp(connection: &mut Connection) -> bool {
    let feat = command(connection, "FEAT").await;
    if feat.as_ref().is_ok_and(|r| r.code == 211) {
        return true;
    }
    command(connection, "SYST").await.is_ok_and(|r| r.code == 215 || (r.code == 530 && feat.is_ok_and(|f| f.code == 530)))
}

/// Is TLS offered, is plaintext sign-in possible, is anonymous welcome?
pub async fn talk(dialer: &Dialer, connection: Connection, greeting: &Reply) -> Seen {
    let mut seen = Seen::plain("ftp", greeting.first().as_bytes(), "AUTH TLS refused");
    if greeting.code != 220 {
        seen.tls = UNKNOWN;
        seen.exchange = format!("greeting {}", greeting.code);
        seen.left_open("tls", format!("the server greets with {} only", greeting.code));
        seen.left_open("anonymous", format!("the server greets with {} only", greeting.code));
        return seen;
    }
    let (offered, connection) = match offers_tls(connection).await {
        Ok(Offer::Accepted) => (true, None),
        Ok(Offer::Refused { listed, connection }) => {
            if listed {
                seen.tls = STRIPPED;
                seen.exchange = "FEAT lists AUTH TLS, AUTH TLS refused".into();
            }
            (false, connection)
        }
        Err(stop) => {
            seen.tls = UNKNOWN;
            seen.exchange = format!("AUTH TLS: {stop}");
            seen.left_open("tls", format!("AUTH TLS: {stop}"));
            (false, None)
        }
    };
    if offered {
        seen.upgrade = Some(UPGRADE);
        seen.exchange = "AUTH TLS accepted".into();
        match named(dialer).await {
            Ok(refused) => seen.tls = if refused { REQUIRED } else { OPTIONAL },
            Err(stop) => {
                seen.tls = UNKNOWN;
                seen.left_open("tls", format!("USER: {stop}"));
            }
        }
    }
    match connection {
        Some(same) => sign_in(Some(same), &mut seen).await,
        None => sign_in(fresh(dialer).await.ok(), &mut seen).await,
    }
    if seen.anonymous == Some(true) && seen.tls == REQUIRED {
        seen.tls = OPTIONAL;
    }
    seen
}

/// Whether anonymous signs in, on a connection whose greeting was read.
pub async fn sign_in(connection: Option<Connection>, seen: &mut Seen) {
    let signed_in = match connection {
        Some(connection) => anonymous(connection).await,
        None => Err(Stop::Closed),
    };
    match signed_in {
        Ok(signed_in) => {
            seen.anonymous = Some(signed_in);
            if signed_in {
                seen.opens("anonymous-sign-in");
            }
            seen.exchange.push_str(if signed_in { ", USER anonymous signed in" } else { ", USER anonymous refused" });
        }
        Err(stop) => {
            for field in ["anonymous", "open"] {
                seen.left_open(field, format!("USER anonymous: {stop}"));
            }
        }
    }
}

async fn fresh(dialer: &Dialer) -> Result<Connection, Stop> {
    let mut connection = dialer.connect().await.map_err(|_| Stop::Closed)?;
    connection.reply().await?;
    Ok(connection)
}

/// Answer to AUTH TLS.
enum Offer {
    Accepted,
    /// Refused, though the list of features may name it; the connection, where it can go on in plaintext.
    Refused {
        listed: bool,
        connection: Option<Connection>,
    },
}

/// Servers need not list it (RFC 4217 section 6), so that only what is listed and refused is told apart.
async fn offers_tls(mut connection: Connection) -> Result<Offer, Stop> {
    let features = command(&mut connection, "FEAT").await?;
    let listed = features.code == 211 && features.mentions("AUTH") && features.mentions("TLS");
    Ok(match command(&mut connection, "AUTH TLS").await?.code {
        234 => Offer::Accepted,
        // Service not available, closing the connection.
        421 => Offer::Refused { listed, connection: None },
        _ => Offer::Refused { listed, connection: Some(connection) },
    })
}

/// Whether a name is refused for want of TLS before its password; some servers hang up after that.
async fn named(dialer: &Dialer) -> Result<bool, Stop> {
    let mut connection = fresh(dialer).await?;
    let reply = command(&mut connection, &format!("USER {OUR_NAME}")).await?;
    Ok(reply.code != 331 && wants_tls(&reply))
}

async fn anonymous(mut connection: Connection) -> Result<bool, Stop> {
    let mut reply = command(&mut connection, "USER anonymous").await?;
    if reply.code == 331 {
        // RFC 1635: a mail address; this one names nobody. Servers let a failed sign-in wait.
        let answer = match command(&mut connection, "PASS anonymous@").await {
            Err(Stop::Silent) => connection.reply().await,
            other => other,
        };
        reply = match answer {
            // Hanging up is a refusal.
            Err(Stop::Closed) => return Ok(false),
            other => other?,
        };
    }
    // Best effort: leave in order.
    let _ = connection.send(b"QUIT\r\n").await;
    Ok(reply.code == 230)
}

fn wants_tls(reply: &Reply) -> bool {
    // 522 (RFC 4217 section 2), 534 and 421, 503, 530, 550 with words: vsftpd, ProFTPD, Pure-FTPd.
    let words = ["TLS", "SSL", "ENCRYPT"].iter().any(|w| reply.mentions(w));
    reply.code == 522 || (matches!(reply.code, 421 | 503 | 530 | 534 | 550) && words)
}

async fn command(connection: &mut Connection, line: &str) -> Result<Reply, Stop> {
    connection.send(format!("{line}\r\n").as_bytes()).await?;
    connection.reply().await
}

/// AUTH TLS.
pub async fn upgrade(connection: &mut Connection) -> Result<(), Stop> {
    connection.reply().await?;
    if command(connection, "AUTH TLS").await?.code == 234 { Ok(()) } else { Err(Stop::Malformed) }
}
