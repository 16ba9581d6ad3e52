//! The port mapper (RFC 1833): its versions and its list of programs.

use std::collections::BTreeMap;

use super::channel::Channel;
use super::message::{Call, Reply, parse};
use super::{Seen, versions};
use crate::probe::reader::Reader;
use crate::probe::seen::NONE;

/// Program number.
pub const PROGRAM: u32 = 100_000;
/// PMAPPROC_DUMP of version 2.
const DUMP: u32 = 4;
/// Most entries of the list looked at.
const ENTRIES: usize = 512;
/// Most programs told.
const TOLD: usize = 24;

/// Names of programs that servers often have (IANA, "RPC program numbers").
const NAMES: &[(u32, &str)] = &[
    (PROGRAM, "rpcbind"),
    (100_003, "nfs"),
    (100_004, "ypserv"),
    (100_005, "mountd"),
    (100_007, "ypbind"),
    (100_011, "rquotad"),
    (100_021, "nlockmgr"),
    (100_024, "status"),
    (100_227, "nfs_acl"),
];

/// Asks for the versions and, where the second is one of them, for the list.
pub async fn talk(channel: &mut Channel) -> Seen {
    let (found, complete) = versions(channel, PROGRAM, &[(2, "rpcbind 2"), (3, "rpcbind 3"), (4, "rpcbind 4")]).await;
    let list = channel.call(&Call::plain(PROGRAM, 2, DUMP)).await;
    let programs = list.as_deref().ok().and_then(parse).and_then(programs);
    let exchange = match &programs {
        Some(programs) => format!("programs listed: {}", told(programs)),
        None => "null call answered".into(),
    };
    let mut seen = Seen { authentication: NONE, versions: found, ..Seen::plain("rpcbind", b"", &exchange) };
    if !complete {
        seen.left_open("versions", "a null call was not answered in time");
    }
    seen
}

/// Versions by program.
pub type Programs = BTreeMap<u32, Vec<u32>>;

/// The list of a reply to DUMP: program, version, transport, port, each.
pub fn programs(reply: Reply<'_>) -> Option<Programs> {
    let Reply::Success(results) = reply else {
        return None;
    };
    let mut r = Reader::new(results);
    let mut out = Programs::new();
    for _ in 0..ENTRIES {
        if r.u32()? == 0 {
            break;
        }
        let (program, version, _transport, _port) = (r.u32()?, r.u32()?, r.u32()?, r.u32()?);
        let versions = out.entry(program).or_default();
        if !versions.contains(&version) {
            versions.push(version);
        }
    }
    Some(out)
}

fn told(programs: &Programs) -> String {
    let each = programs.iter().take(TOLD).map(|(program, versions)| {
        let name = NAMES.iter().find(|(p, _)| p == program).map_or_else(|| program.to_string(), |(_, name)| (*name).to_string());
        let mut versions = versions.clone();
        versions.sort_unstable();
        versions.iter().take(8).fold(name, |text, version| format!("{text} {version}"))
    });
    let mut text = each.collect::<Vec<_>>().join(", ");
    if programs.len() > TOLD {
        text.push_str(&format!(" and {} more", programs.len() - TOLD));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_real_list_is_read() {
        let reply = parse(include_bytes!("../../../../tests/wire/rpc-rpcbind-dump.bin")).unwrap();
        assert_eq!(told(&programs(reply).unwrap()), "rpcbind 2 3 4, nfs 3 4, mountd 1 3");
        assert_eq!(programs(Reply::Denied), None);
    }
}
