//! MongoDB wire protocol: `isMaster` in OP_QUERY, which every version answers, then `buildInfo` and
//! `listDatabases` (names only), which shows whether strangers are let in.

use super::{Asked, NONE, Protocol, REQUIRED, Seen, exchange};
use crate::probe::bson::{self, Value};
use crate::probe::dial::{Connection, Dialer, Stop};
use crate::probe::reader::{Reader, banner};

/// MongoDB.
pub const PROTOCOL: Protocol = Protocol {
    name: "mongodb",
    ports: &[27017, 27018, 27019],
    processes: &["mongod", "mongos"],
    ask: Some(|dialer| Box::pin(ask(dialer))),
    // What it says to web browsers.
    hinted: Some(|answer| answer.windows(24).any(|w| w == b"access MongoDB over HTTP")),
    ..Protocol::NONE
};

/// Largest message read, bytes.
const MESSAGE_LIMIT: usize = 48 << 10;
/// First wire version that answers OP_MSG (MongoDB 3.6).
const OP_MSG_VERSION: f64 = 6.0;
const OP_REPLY: u32 = 1;
const OP_QUERY: u32 = 2004;
const OP_MSG: u32 = 2013;
/// Code of the error Unauthorized, and of AuthenticationFailed.
const REFUSALS: [f64; 2] = [13.0, 18.0];

/// Asks on a fresh connection.
pub async fn ask(dialer: &Dialer) -> Asked {
    let question = query(1, &bson::document(&[("isMaster", 1)], None));
    let (mut connection, first) = match exchange(dialer, &question, |b| b.len() >= 16 || b.ends_with(b"\n")).await {
        Ok(exchanged) => exchanged,
        Err(asked) => return asked,
    };
    connection.unread(&first);
    let Some(hello) = answer(&mut connection, 1).await.ok().filter(|h| h.iter().any(|(name, _)| *name == "maxWireVersion" || *name == "ismaster")) else {
        return Asked::Answered(first);
    };
    let wire = hello.iter().find(|(name, _)| *name == "maxWireVersion").and_then(|(_, value)| value.number()).unwrap_or(0.0);
    let mut seen = Seen::plain("mongodb", b"MongoDB", "isMaster answered");
    seen.versions.push(format!("wire version {wire}"));
    let modern = wire >= OP_MSG_VERSION;
    if let Ok(info) = command(&mut connection, 2, "buildInfo", modern).await
        && let Some((_, Value::Text(version))) = info.iter().find(|(name, _)| *name == "version")
    {
        seen.banner = banner(format!("MongoDB {version}").as_bytes());
    }
    match command(&mut connection, 3, "listDatabases", modern).await {
        Ok(list) => listed(&list, &mut seen),
        Err(stop) => unanswered(&mut seen, &stop.to_string()),
    }
    Asked::Found(Box::new(seen))
}

fn listed(list: &[(String, Value)], seen: &mut Seen) {
    let number = |name: &str| list.iter().find(|(key, _)| key == name).and_then(|(_, value)| value.number());
    match (number("ok"), number("code")) {
        (Some(ok), _) if ok != 0.0 => {
            seen.authentication = NONE;
            seen.opens("commands");
            seen.exchange.push_str(", listDatabases answered");
        }
        (_, Some(code)) if REFUSALS.contains(&code) => {
            seen.authentication = REQUIRED;
            seen.exchange.push_str(&format!(", listDatabases refused with {code}"));
        }
        (_, code) => unanswered(seen, &format!("answered with error {}", code.unwrap_or(0.0))),
    }
}

fn unanswered(seen: &mut Seen, reason: &str) {
    for field in ["authentication", "open"] {
        seen.left_open(field, format!("listDatabases: {reason}"));
    }
}

async fn command(connection: &mut Connection, id: u32, name: &str, modern: bool) -> Result<Vec<(String, Value)>, Stop> {
    let names_only = if name == "listDatabases" { Some("nameOnly") } else { None };
    let fields: Vec<(&str, i32)> = [(name, 1)].into_iter().chain(names_only.map(|n| (n, 1))).collect();
    let message = match modern {
        true => message(id, OP_MSG, &[&[0; 5][..], &bson::document(&fields, Some(("$db", "admin")))].concat()),
        false => query(id, &bson::document(&fields, None)),
    };
    connection.send(&message).await?;
    answer(connection, id).await
}

fn query(id: u32, document: &[u8]) -> Vec<u8> {
    // Flags: a secondary may answer; none skipped, one wanted.
    message(id, OP_QUERY, &[&4_u32.to_le_bytes()[..], b"admin.$cmd\0", &0_u32.to_le_bytes(), &(-1_i32).to_le_bytes(), document].concat())
}

fn message(id: u32, code: u32, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 16).unwrap_or(u32::MAX);
    [&length.to_le_bytes()[..], &id.to_le_bytes(), &[0; 4], &code.to_le_bytes(), body].concat()
}

/// The one document of an answer to message `id`.
async fn answer(connection: &mut Connection, id: u32) -> Result<Vec<(String, Value)>, Stop> {
    let head = connection.exactly(16).await?;
    let mut r = Reader::new(&head);
    let mut word = || r.u32_le().ok_or(Stop::Malformed);
    let (length, _, to, code) = (word()?, word()?, word()?, word()?);
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    if to != id || !matches!(code, OP_REPLY | OP_MSG) || !(16..=MESSAGE_LIMIT).contains(&length) {
        return Err(Stop::Malformed);
    }
    let body = connection.exactly(length - 16).await?;
    // OP_REPLY: flags, cursor, first and count; OP_MSG: flags and the kind of its section.
    let skip = if code == OP_REPLY { 20 } else { 5 };
    bson::read(body.get(skip..).unwrap_or_default()).ok_or(Stop::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_browser_page_points_here() {
        let page = b"HTTP/1.0 200 OK\r\nConnection: close\r\n\r\nIt looks like you are trying to access MongoDB over HTTP on the native driver port.\r\n";
        assert!(PROTOCOL.hinted.unwrap()(page));
        assert!(!PROTOCOL.hinted.unwrap()(b"HTTP/1.0 200 OK\r\n\r\n"));
    }

    #[test]
    fn lists_tell_whether_a_name_is_needed() {
        let told = |fields: &[(&str, i32)]| {
            let mut seen = Seen::plain("mongodb", b"", "");
            listed(&bson::read(&bson::document(fields, None)).unwrap(), &mut seen);
            (seen.authentication, seen.open.len(), seen.unanswered.len())
        };
        assert_eq!(told(&[("ok", 1)]), (NONE, 1, 0));
        assert_eq!(told(&[("ok", 0), ("code", 13)]), (REQUIRED, 0, 0));
        assert_eq!(told(&[("ok", 0), ("code", 59)]), (super::super::UNKNOWN, 0, 2));
        assert_eq!(told(&[]), (super::super::UNKNOWN, 0, 2));
    }
}
