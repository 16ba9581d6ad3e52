//! X11 (X Window System Protocol, version 11, section 8): a connection setup without authorization.

use super::{Asked, NONE, Protocol, REQUIRED, Seen};
use crate::probe::dial::{Connection, Dialer, Stop};
use crate::probe::reader::{Reader, banner};

/// X11.
pub const PROTOCOL: Protocol = Protocol {
    name: "x11",
    ports: &[6000, 6001, 6002, 6003, 6004, 6005, 6006, 6007, 6008, 6009, 6010, 6011, 6012],
    processes: &["Xorg", "Xvfb", "Xwayland", "Xephyr"],
    ask: Some(|dialer| Box::pin(ask(dialer))),
    hinted: Some(|bytes| parse(bytes).is_some()),
    ..Protocol::NONE
};

/// Little-endian, version 11.0, no authorization.
const SETUP: [u8; 12] = [b'l', 0, 11, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// Head of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Answer {
    /// 0 failed, 1 success, 2 more authorization is needed.
    status: u8,
    /// Length of the reason where it failed, bytes.
    reason: usize,
    /// Protocol version.
    version: (u16, u16),
}

async fn ask(dialer: &Dialer) -> Asked {
    let mut connection = match dialer.connect_outward().await {
        Ok(connection) => connection,
        Err(_) => return Asked::NoConnection,
    };
    if let Err(stop) = connection.send(&SETUP).await {
        return stop.into();
    }
    let head = match connection.exactly(8).await {
        Ok(head) => head,
        Err(Stop::Incomplete) => return Asked::Incomplete,
        Err(stop) => return stop.into(),
    };
    match parse(&head) {
        Some(answer) => Asked::Found(Box::new(seen(&mut connection, answer).await)),
        None => {
            let rest = connection.some().await.unwrap_or_default();
            Asked::Answered([head, rest].concat())
        }
    }
}

/// Version 11 in our byte order.
fn parse(head: &[u8]) -> Option<Answer> {
    let mut r = Reader::new(head);
    let (status, reason) = (r.u8()?, r.u8()?);
    let version = (r.u16_le()?, r.u16_le()?);
    let more = usize::from(r.u16_le()?) * 4;
    let proper = version.0 == 11
        && version.1 <= 3
        && match status {
            0 => usize::from(reason) <= more,
            // The least that a server with one screen says of itself.
            1 => more >= 32,
            2 => true,
            _ => false,
        };
    proper.then_some(Answer { status, reason: usize::from(reason), version })
}

async fn seen(connection: &mut Connection, answer: Answer) -> Seen {
    let mut seen = Seen::plain("x11", b"", "setup without authorization");
    seen.versions.push(format!("X{}.{}", answer.version.0, answer.version.1));
    match answer.status {
        1 => {
            seen.authentication = NONE;
            seen.opens("no-password");
            seen.exchange.push_str(" accepted");
        }
        2 => seen.authentication = REQUIRED,
        _ => {
            let reason = connection.exactly(answer.reason).await.map(|text| banner(&text)).unwrap_or_default();
            if reason.contains("clients") {
                // "Maximum number of clients reached".
                seen.left_open("authentication", format!("setup: {reason}"));
                seen.left_open("open", format!("setup: {reason}"));
            } else {
                seen.authentication = REQUIRED;
            }
            seen.exchange.push_str(&format!(" refused: {reason}"));
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::reader::mutations;

    #[test]
    fn only_version_eleven_is_x() {
        assert_eq!(parse(&[0, 22, 11, 0, 0, 0, 6, 0]), Some(Answer { status: 0, reason: 22, version: (11, 0) }));
        assert_eq!(parse(&[1, 0, 11, 0, 0, 0, 200, 0]).map(|a| a.status), Some(1));
        for head in [&[1, 0, 11, 0, 0, 0, 1, 0][..], &[0, 22, 11, 0, 0, 0, 5, 0], &[3, 0, 11, 0, 0, 0, 200, 0], b"HTTP/1.1", &[1, 0, 11]] {
            assert_eq!(parse(head), None, "{head:?}");
        }
    }

    #[test]
    fn recorded_answers_are_read() {
        let open: &[u8] = include_bytes!("../../../tests/wire/x11-xvfb-open.bin");
        let closed: &[u8] = include_bytes!("../../../tests/wire/x11-xvfb-closed.bin");
        assert_eq!((parse(open).map(|a| a.status), parse(closed).map(|a| (a.status, a.reason))), (Some(1), Some((0, 64))));
        for bytes in [mutations(open), mutations(closed)].concat() {
            parse(&bytes);
        }
    }
}
