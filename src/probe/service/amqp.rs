//! AMQP 0-9-1 (its specification, sections 2.2.4 and 4.2): a protocol header, answered by
//! Connection.Start; a server of other versions answers with the header it likes.

use super::{Asked, NONE, Protocol, REQUIRED, Seen, UNKNOWN, exchange};
use crate::probe::dial::{Connection, Dialer, Stop};
use crate::probe::reader::{Reader, banner};

/// AMQP.
pub const PROTOCOL: Protocol = Protocol {
    name: "amqp",
    ports: &[5672],
    // RabbitMQ.
    processes: &["beam.smp"],
    ask: Some(|dialer| Box::pin(ask(dialer))),
    hinted: Some(|answer| answer.starts_with(b"AMQP")),
    ..Protocol::NONE
};

/// Protocol header of 0-9-1.
const HEADER: &[u8] = b"AMQP\0\0\x09\x01";
/// Ends each frame.
const FRAME_END: u8 = 0xce;
/// Largest frame read, bytes.
const FRAME_LIMIT: usize = 16 << 10;
/// Class connection; its methods start, start-ok, tune.
const CONNECTION: u16 = 10;
const START: u16 = 10;
const START_OK: u16 = 11;
const TUNE: u16 = 30;

async fn ask(dialer: &Dialer) -> Asked {
    let (mut connection, first) = match exchange(dialer, HEADER, |b| b.len() >= 8).await {
        Ok(exchanged) => exchanged,
        Err(asked) => return asked,
    };
    if let Some(seen) = other_version(&first) {
        return Asked::Found(Box::new(seen));
    }
    connection.unread(&first);
    let payload = match frame(&mut connection).await {
        Ok(payload) => payload,
        Err(_) => return Asked::Answered(first),
    };
    let Some(start) = start(&payload) else { return Asked::Answered(first) };
    let mut seen = Seen::plain("amqp", start.product.as_bytes(), &format!("Connection.Start with {}", start.mechanisms));
    seen.versions.push("AMQP 0-9-1".into());
    seen.authentication = REQUIRED;
    if start.mechanisms.split(' ').any(|m| m == "ANONYMOUS") {
        sign_in(&mut connection, &mut seen).await;
    }
    Asked::Found(Box::new(seen))
}

/// The server answers with the version that it likes, and hangs up.
fn other_version(first: &[u8]) -> Option<Seen> {
    let [b'A', b'M', b'Q', b'P', kind, major, minor, revision, ..] = first else { return None };
    let mut seen = Seen { authentication: UNKNOWN, ..Seen::plain("amqp", b"", "answered with a protocol header") };
    seen.versions.push(match (kind, major) {
        (0, 0) => format!("AMQP {major}-{minor}-{revision}"),
        _ => format!("AMQP {major}.{minor}"),
    });
    for field in ["authentication", "open"] {
        seen.left_open(field, "sign-in is tried with AMQP 0-9-1 alone, which the server refuses");
    }
    Some(seen)
}

/// ANONYMOUS (RFC 4505) is offered, but it may be refused nevertheless.
async fn sign_in(connection: &mut Connection, seen: &mut Seen) {
    let mut body = [CONNECTION.to_be_bytes(), START_OK.to_be_bytes()].concat();
    // No client properties.
    body.extend_from_slice(&[0; 4]);
    body.extend_from_slice(b"\x09ANONYMOUS\0\0\0\x05assay\x05en_US");
    let mut whole = vec![1, 0, 0];
    whole.extend_from_slice(&u32::try_from(body.len()).unwrap_or(0).to_be_bytes());
    whole.extend_from_slice(&body);
    whole.push(FRAME_END);
    let answer = async {
        connection.send(&whole).await?;
        frame(connection).await
    };
    match answer.await {
        Ok(payload) if method(&payload) == Some((CONNECTION, TUNE)) => {
            seen.authentication = NONE;
            seen.opens("commands");
            seen.exchange.push_str(", ANONYMOUS accepted");
        }
        // Hanging up is a refusal.
        Ok(_) | Err(Stop::Closed) => seen.exchange.push_str(", ANONYMOUS refused"),
        Err(stop) => {
            seen.authentication = UNKNOWN;
            for field in ["authentication", "open"] {
                seen.left_open(field, format!("ANONYMOUS: {stop}"));
            }
        }
    }
}

/// Payload of a method frame.
async fn frame(connection: &mut Connection) -> Result<Vec<u8>, Stop> {
    let head = connection.exactly(7).await?;
    let mut r = Reader::new(&head);
    let kind = r.u8().ok_or(Stop::Malformed)?;
    r.u16().ok_or(Stop::Malformed)?;
    let length = r.u32().and_then(|n| usize::try_from(n).ok()).ok_or(Stop::Malformed)?;
    if kind != 1 || length > FRAME_LIMIT {
        return Err(Stop::Malformed);
    }
    let mut payload = connection.exactly(length + 1).await?;
    if payload.pop() == Some(FRAME_END) { Ok(payload) } else { Err(Stop::Malformed) }
}

fn method(payload: &[u8]) -> Option<(u16, u16)> {
    let mut r = Reader::new(payload);
    Some((r.u16()?, r.u16()?))
}

#[derive(Debug, PartialEq, Eq)]
struct Start {
    product: String,
    mechanisms: String,
}

/// Version, server properties, mechanisms, locales.
fn start(payload: &[u8]) -> Option<Start> {
    let mut r = Reader::new(payload);
    if (r.u16()?, r.u16()?) != (CONNECTION, START) {
        return None;
    }
    let _version = (r.u8()?, r.u8()?);
    let properties = long(&mut r)?;
    let mechanisms = banner(long(&mut r)?);
    let product = [text(properties, b"product"), text(properties, b"version")].into_iter().flatten().collect::<Vec<_>>().join(" ");
    Some(Start { product, mechanisms })
}

fn long<'a>(r: &mut Reader<'a>) -> Option<&'a [u8]> {
    let length = usize::try_from(r.u32()?).ok()?;
    r.take(length)
}

/// A text of a field table. Tables inside it are not walked: the name is looked for with its own length before it.
fn text(table: &[u8], name: &[u8]) -> Option<String> {
    let key = [&[u8::try_from(name.len()).ok()?], name, b"S"].concat();
    let at = table.windows(key.len()).position(|w| w == key)?;
    let mut r = Reader::new(table.get(at + key.len()..)?);
    long(&mut r).map(banner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_versions_are_named() {
        assert_eq!(other_version(b"AMQP\x03\x01\0\0").unwrap().versions, ["AMQP 1.0"]);
        assert_eq!(other_version(b"AMQP\0\0\x09\x01").unwrap().versions, ["AMQP 0-9-1"]);
        assert!(other_version(b"AMQ").is_none());
    }

    #[test]
    fn start_is_read_within_its_bounds() {
        let recorded = include_bytes!("../../../tests/wire/amqp-rabbitmq-start.bin");
        // A frame: kind, channel, length, payload, end.
        let payload = &recorded[7..recorded.len() - 1];
        assert_eq!(start(payload), Some(Start { product: "RabbitMQ 3.10.8".into(), mechanisms: "PLAIN AMQPLAIN".into() }));
        // The locales at the end are not looked at.
        let needed = payload.len() - b"\0\0\0\x05en_US".len();
        for end in 0..needed {
            assert_eq!(start(&payload[..end]), None, "{end}");
        }
    }
}
