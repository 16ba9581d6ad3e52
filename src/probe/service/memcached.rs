//! memcached: `version` of its text protocol (doc/protocol.txt); where sign-in is on, only the binary
//! protocol is spoken (doc/protocol-binary.txt).

use super::{Asked, NONE, Protocol, REQUIRED, Seen, UNKNOWN, a_line, exchange};
use crate::probe::dial::{Connection, Dialer, Stop};
use crate::probe::reader::Reader;

/// memcached.
pub const PROTOCOL: Protocol = Protocol {
    name: "memcached",
    ports: &[11211],
    processes: &["memcached"],
    ask: Some(|dialer| Box::pin(ask(dialer))),
    hinted: Some(|answer| answer.starts_with(b"ERROR\r\n") || answer.starts_with(b"CLIENT_ERROR") || answer.starts_with(&[0x81])),
    ..Protocol::NONE
};

/// Operation codes: nothing, and the version, which is told before sign-in.
const NO_OPERATION: u8 = 0x0a;
const VERSION: u8 = 0x0b;
/// Status: authentication error, and "further authentication required".
const REFUSED: [u16; 2] = [0x20, 0x21];
/// Longest body read, bytes.
const BODY_LIMIT: usize = 4096;

async fn ask(dialer: &Dialer) -> Asked {
    match exchange(dialer, b"version\r\n", a_line).await {
        Ok((_, first)) if first.starts_with(b"VERSION ") => {
            let mut seen = Seen { authentication: NONE, ..Seen::plain("memcached", &first, "version answered") };
            seen.opens("commands");
            Asked::Found(Box::new(seen))
        }
        // With an authfile, commands before the password are errors.
        Ok((_, first)) if first.starts_with(b"CLIENT_ERROR unauth") => {
            Asked::Found(Box::new(Seen { authentication: REQUIRED, ..Seen::plain("memcached", &first, "version refused") }))
        }
        Ok((_, first)) if first.starts_with(&[0x81]) => binary(dialer).await.unwrap_or(Asked::Answered(first)),
        // It hangs up on text where it wants sign-in.
        Err(Asked::Closed) if dialer.address.port() == 11211 || dialer.process == "memcached" => binary(dialer).await.unwrap_or(Asked::Closed),
        Ok((_, first)) => Asked::Answered(first),
        Err(asked) => asked,
    }
}

async fn binary(dialer: &Dialer) -> Option<Asked> {
    let mut connection = dialer.connect().await.ok()?;
    let (status, version) = operation(&mut connection, VERSION).await.ok()?;
    let mut seen = Seen::plain("memcached", &version, "binary version answered");
    match operation(&mut connection, NO_OPERATION).await {
        Ok((0, _)) if status == 0 => {
            seen.authentication = NONE;
            seen.opens("commands");
        }
        Ok((code, _)) if REFUSED.contains(&code) || REFUSED.contains(&status) => {
            seen.authentication = REQUIRED;
            seen.exchange.push_str(", a command without sign-in refused");
        }
        other => {
            seen.authentication = UNKNOWN;
            let reason = other.map_or_else(|stop| stop.to_string(), |(code, _)| format!("status {code}"));
            for field in ["authentication", "open"] {
                seen.left_open(field, format!("a command without sign-in: {reason}"));
            }
        }
    }
    Some(Asked::Found(Box::new(seen)))
}

/// Status and body of an operation without arguments.
async fn operation(connection: &mut Connection, code: u8) -> Result<(u16, Vec<u8>), Stop> {
    let mut request = [0; 24];
    request[0] = 0x80;
    request[1] = code;
    connection.send(&request).await?;
    let head = connection.exactly(24).await?;
    let (status, length) = answer(&head, code).ok_or(Stop::Malformed)?;
    Ok((status, connection.exactly(length).await?))
}

fn answer(head: &[u8], code: u8) -> Option<(u16, usize)> {
    let mut r = Reader::new(head);
    let is_answer = r.u8()? == 0x81 && r.u8()? == code;
    r.take(4)?;
    let status = r.u16()?;
    let length = usize::try_from(r.u32()?).ok()?;
    (is_answer && length <= BODY_LIMIT).then_some((status, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binary_heads_are_read() {
        let recorded = include_bytes!("../../../tests/wire/memcached-binary-version.bin");
        assert_eq!(answer(&recorded[..24], VERSION), Some((0, recorded.len() - 24)));
        let mut head = [0; 24];
        (head[0], head[1], head[7], head[11]) = (0x81, VERSION, 0x20, 6);
        assert_eq!(answer(&head, VERSION), Some((0x20, 6)));
        assert_eq!(answer(&head, NO_OPERATION), None);
        head[8] = 1;
        assert_eq!(answer(&head, VERSION), None);
        assert_eq!(answer(&head[..10], VERSION), None);
    }
}
