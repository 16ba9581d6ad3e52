//! DNS over TCP (RFC 7766): a query for the root, whatever the answer says.

use super::{Asked, Protocol, Seen, exchange};
use crate::probe::dial::Dialer;
use crate::probe::reader::Reader;

/// DNS.
pub const PROTOCOL: Protocol =
    Protocol { name: "dns", ports: &[53], processes: &["named", "unbound", "dnsmasq"], ask: Some(|dialer| Box::pin(ask(dialer))), ..Protocol::NONE };

/// Identifier of our query.
const ID: u16 = 0xa55a;

/// Asks on a fresh connection.
pub async fn ask(dialer: &Dialer) -> Asked {
    // Length 17, id, recursion not desired, one question: root, NS, IN (RFC 1035 section 4.1).
    let [high, low] = ID.to_be_bytes();
    let query = [0, 17, high, low, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1];
    match exchange(dialer, &query, |b| b.len() >= 14).await {
        Err(asked) => asked,
        Ok((_, head)) if is_answer(&head) => {
            let seen = Seen::plain("dns", b"", "answer to a query for the root");
            Asked::Found(Box::new(seen))
        }
        Ok((_, head)) => Asked::Answered(head),
    }
}

fn is_answer(head: &[u8]) -> bool {
    let mut r = Reader::new(head);
    let (Some(length), Some(id), Some(flags)) = (r.u16(), r.u16(), r.u16()) else {
        return false;
    };
    length >= 12 && id == ID && flags & 0x8000 != 0
}
