//! memcached over UDP (doc/protocol.txt, "UDP protocol"): the text command `version` in a frame.
//! Whoever forges a sender's address makes such a server send to a victim many times what it got.

use super::exchange::Exchange;
use super::{Asked, UdpProtocol};
use crate::probe::dial::Dialer;
use crate::probe::reader::Reader;
use crate::probe::seen::{NONE, Seen};

/// memcached over UDP.
pub const PROTOCOL: UdpProtocol = UdpProtocol { name: "memcached", ports: &[11211], processes: &["memcached"], ask: |dialer| Box::pin(ask(dialer)) };

/// Identifier of our request.
const ID: u16 = 0xa55a;
/// Request id, sequence number 0, one datagram in all, reserved.
const VERSION: &[u8] = b"\xa5\x5a\0\0\0\x01\0\0version\r\n";

/// Asks for the version.
async fn ask(dialer: &Dialer) -> Asked {
    let mut exchange = match Exchange::open(dialer).await {
        Ok(exchange) => exchange,
        Err(e) => return e.into(),
    };
    let heard = exchange.ask(VERSION, |bytes| parse(bytes).is_some()).await;
    match heard.answer().and_then(parse) {
        Some(text) => {
            let mut seen = Seen { authentication: NONE, ..Seen::plain("memcached", text, "version over UDP") };
            seen.opens("commands");
            Asked::Found(Box::new(seen))
        }
        None => heard.into(),
    }
}

/// The text of an answer to our command; whatever else is `None`.
pub fn parse(bytes: &[u8]) -> Option<&[u8]> {
    let mut r = Reader::new(bytes);
    let (id, _sequence, _total, _reserved) = (r.u16()?, r.u16()?, r.u16()?, r.u16()?);
    (id == ID && r.rest().starts_with(b"VERSION ")).then_some(r.rest())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_real_server_is_read_and_an_echo_is_none() {
        assert_eq!(parse(include_bytes!("../../../tests/wire/udp-memcached-version.bin")), Some(&b"VERSION 1.6.18\r\n"[..]));
        assert_eq!(parse(VERSION), None);
    }
}
