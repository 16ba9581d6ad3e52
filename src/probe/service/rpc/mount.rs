//! The mount daemon (RFC 1094 appendix A, RFC 1813 appendix I): the list of exports.

use super::channel::Channel;
use super::message::{Call, Reply, parse, read_opaque};
use super::{Seen, versions};
use crate::probe::reader::{Reader, banner};
use crate::probe::seen::{Export, UNKNOWN};

const PROGRAM: u32 = 100_005;
/// MOUNTPROC_EXPORT, the same in every version.
const EXPORT: u32 = 5;
/// Most exports, and most names for each, that are kept.
const LIMIT: usize = 64;
/// Names that stand for every address.
const EVERYBODY: &[&str] = &["*", "0.0.0.0/0", "0.0.0.0/0.0.0.0", "::/0"];

/// Asks for versions and exports; `None` when it is no mount daemon.
pub async fn talk(channel: &mut Channel) -> Option<Seen> {
    let (found, complete) = versions(channel, PROGRAM, &[(1, "mount 1"), (2, "mount 2"), (3, "mount 3")]).await;
    let version = match found.last()?.as_str() {
        "mount 3" => 3,
        "mount 2" => 2,
        _ => 1,
    };
    let mut seen = Seen { authentication: UNKNOWN, versions: found, ..Seen::plain("mountd", b"", "null call answered") };
    if !complete {
        seen.left_open("versions", "a null call was not answered in time");
    }
    let reply = channel.call(&Call::plain(PROGRAM, version, EXPORT)).await;
    match reply.as_deref().map(|bytes| parse(bytes).and_then(exports)) {
        Ok(Some((exports, whole))) => {
            if exports.iter().any(|e| e.to.iter().any(|name| EVERYBODY.contains(&name.as_str()))) {
                seen.opens("exports-to-all");
            }
            seen.exchange = format!("export list with {} entries", exports.len());
            seen.exports = exports;
            if !whole {
                lists_open(&mut seen, "the list of exports is longer than the limit");
            }
        }
        Ok(None) => lists_open(&mut seen, "the list of exports was refused or is malformed"),
        Err(lost) => lists_open(&mut seen, &format!("list of exports: {lost}")),
    }
    Some(seen)
}

fn lists_open(seen: &mut Seen, why: &str) {
    seen.left_open("exports", why);
    seen.left_open("open", why);
}

/// The exports of a reply, and whether these are all.
pub fn exports(reply: Reply<'_>) -> Option<(Vec<Export>, bool)> {
    let Reply::Success(results) = reply else {
        return None;
    };
    let mut r = Reader::new(results);
    let (mut out, mut whole) = (Vec::new(), true);
    while r.u32()? != 0 {
        let name = banner(read_opaque(&mut r)?);
        let mut to = Vec::new();
        while r.u32()? != 0 {
            let group = read_opaque(&mut r)?;
            if to.len() < LIMIT {
                to.push(banner(group));
            } else {
                whole = false;
            }
        }
        // An empty list stands for everybody (RFC 1813 section 5.2.5).
        if to.is_empty() {
            to.push("*".into());
        }
        if out.len() == LIMIT {
            return Some((out, false));
        }
        out.push(Export { name, to, security: Vec::new() });
    }
    Some((out, whole))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_real_list_is_read() {
        let reply = parse(include_bytes!("../../../../tests/wire/rpc-ganesha-exports.bin")).unwrap();
        let (exports, whole) = exports(reply).unwrap();
        let shown: Vec<(&str, &str)> = exports.iter().map(|e| (e.name.as_str(), e.to[0].as_str())).collect();
        assert_eq!(shown, [("/tmp/udplab/gan/one", "*"), ("/tmp/udplab/gan/two", "10.0.0.0/8")]);
        assert!(whole);
    }
}
