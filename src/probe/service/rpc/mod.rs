//! ONC RPC (RFC 5531), over TCP here and over UDP in `udp/rpc.rs`: the port mapper and its list,
//! NFS and what it exports, the mount daemon and its list.
//!
//! Nothing is mounted: MNT of the mount protocol would leave an entry in the server's table.

mod channel;
mod message;
mod mount;
mod nfs;
mod rpcbind;

use super::{Asked, Protocol, Seen, exchange};
use crate::probe::dial::Dialer;

pub use channel::{Channel, Lost};
pub use message::{Call, Reply, parse};

/// ONC RPC.
pub const PROTOCOL: Protocol = Protocol {
    name: "rpc",
    ports: &[111, 2049],
    processes: &["rpcbind", "rpc.mountd", "rpc.statd", "ganesha.nfsd"],
    ask: Some(|dialer| Box::pin(ask(dialer))),
    ..Protocol::NONE
};

/// Programs that are told by name only, with the version that is asked for (IANA, "RPC program numbers").
const OTHERS: &[(u32, u32, &str)] =
    &[(100_024, 1, "status"), (100_021, 4, "nlockmgr"), (100_011, 1, "rquotad"), (100_004, 2, "ypserv"), (100_227, 3, "nfs_acl")];

/// Asks on a fresh connection, as a stranger where that is possible: exports differ by address.
pub async fn ask(dialer: &Dialer) -> Asked {
    super::as_stranger(dialer, |dialer| Box::pin(put(dialer))).await
}

async fn put(dialer: &Dialer) -> Asked {
    let call = first_call();
    match exchange(dialer, &message::record(&call.bytes()), |b| b.len() >= 12).await {
        Err(asked) => asked,
        Ok((_, head)) if !head.get(4..).is_some_and(|body| call.is_reply(body)) => Asked::Answered(head),
        Ok((mut connection, head)) => {
            connection.unread(&head);
            let mut channel = Channel::Stream(connection);
            match channel.hear().await {
                Ok(reply) => Asked::Found(Box::new(talk(&mut channel, &reply).await)),
                Err(_) => Asked::Answered(head),
            }
        }
    }
}

/// The null procedure of the port mapper: whatever is answered, it is RPC.
pub const fn first_call() -> Call<'static> {
    Call::plain(rpcbind::PROGRAM, 2, 0)
}

/// Goes on after the reply to [`first_call`].
pub async fn talk(channel: &mut Channel, first: &[u8]) -> Seen {
    match parse(first) {
        Some(Reply::Success(_) | Reply::VersionMismatch { .. }) => return rpcbind::talk(channel).await,
        Some(Reply::Unavailable) => {}
        _ => return Seen::plain("rpc", b"", "reply to a null call"),
    }
    if let Some(seen) = nfs::talk(channel).await {
        return seen;
    }
    if let Some(seen) = mount::talk(channel).await {
        return seen;
    }
    for (program, version, name) in OTHERS {
        if is_there(channel, *program, *version).await {
            return Seen { versions: vec![(*name).into()], ..Seen::plain("rpc", b"", &format!("null call of program {program} ({name}) answered")) };
        }
    }
    Seen::plain("rpc", b"", "reply to a null call")
}

/// Reads bytes as every kind of reply, for tests and fuzzing: whatever they are, nothing panics.
pub fn read_anything(bytes: &[u8]) {
    if let Some(reply) = parse(bytes) {
        let _ = rpcbind::programs(reply);
        let _ = mount::exports(reply);
        if let Some(done) = nfs::done(reply) {
            let _ = nfs::listed(&done.results);
            let _ = nfs::flavour_list(&done.results);
        }
    }
}

/// Whether a program is served, in whatever version.
async fn is_there(channel: &mut Channel, program: u32, version: u32) -> bool {
    let heard = channel.call(&Call::plain(program, version, 0)).await;
    matches!(heard.as_deref().ok().and_then(parse), Some(Reply::Success(_) | Reply::VersionMismatch { .. }))
}

/// Which of these versions of a program answer their null call, as words; the second says whether all calls were answered.
async fn versions(channel: &mut Channel, program: u32, asked: &[(u32, &str)]) -> (Vec<String>, bool) {
    let (mut found, mut complete) = (Vec::new(), true);
    for (version, word) in asked {
        match channel.call(&Call::plain(program, *version, 0)).await.as_deref().map(parse) {
            Ok(Some(Reply::Success(_))) => found.push((*word).to_string()),
            Ok(Some(_)) => {}
            Ok(None) | Err(_) => complete = false,
        }
    }
    (found, complete)
}
