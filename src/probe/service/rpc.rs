//! ONC RPC over TCP (RFC 5531): the null procedure of the port mapper (RFC 1833).

use super::{Asked, Protocol, Seen, exchange};
use crate::probe::dial::Dialer;
use crate::probe::reader::Reader;

/// ONC RPC.
pub const PROTOCOL: Protocol =
    Protocol { name: "rpc", ports: &[111, 2049], processes: &["rpcbind", "rpc.mountd"], ask: Some(|dialer| Box::pin(ask(dialer))), ..Protocol::NONE };

/// Identifier of our call.
const XID: u32 = 0xa55a_a55a;

/// Asks on a fresh connection.
pub async fn ask(dialer: &Dialer) -> Asked {
    // Record mark, xid, call, RPC 2, program 100000 version 2, null procedure, no credentials.
    let words = [0x8000_0028, XID, 0, 2, 100_000, 2, 0, 0, 0, 0, 0];
    let call: Vec<u8> = words.iter().flat_map(|w: &u32| w.to_be_bytes()).collect();
    match exchange(dialer, &call, |b| b.len() >= 12).await {
        Err(asked) => asked,
        // A reply to our call: accepted or not, it is RPC.
        Ok((_, head)) if is_reply(&head) => Asked::Found(Box::new(Seen::plain("rpc", b"", "reply to a null call"))),
        Ok((_, head)) => Asked::Answered(head),
    }
}

fn is_reply(head: &[u8]) -> bool {
    let mut r = Reader::new(head);
    r.u32().is_some_and(|mark| mark & 0x8000_0000 != 0) && r.u32() == Some(XID) && r.u32() == Some(1)
}
