//! NFS (RFC 1813, RFC 7530, RFC 8881): its versions, and of version 4 the security flavours of
//! what it exports, found by reading the pseudo file system that leads to the exports.
//!
//! Version 4.0 is asked, because there these operations need no session and leave nothing behind.

use std::collections::VecDeque;

use super::channel::{Channel, Lost};
use super::message::{Call, Reply, opaque, parse, read_opaque, words};
use super::{Seen, versions};
use crate::probe::reader::{Reader, banner};
use crate::probe::seen::{Export, UNKNOWN};

const PROGRAM: u32 = 100_003;
/// The one procedure of version 4 beside the null procedure.
const COMPOUND: u32 = 1;

const LOOKUP: u32 = 15;
const PUTROOTFH: u32 = 24;
const READDIR: u32 = 26;
const SECINFO: u32 = 33;
const GETATTR: u32 = 9;

/// The attribute that tells one file system from another, 16 bytes.
const FSID: u32 = 1 << 8;
/// The attribute by which a folder is told although an entry's attributes can't be (RFC 7530 section 16.24.4).
const RDATTR_ERROR: u32 = 1 << 11;
const WRONGSEC: u32 = 10_016;
const MINOR_MISMATCH: u32 = 10_021;

/// Most calls to find exports.
const CALLS: usize = 32;
/// Deepest folder below the root that is read.
const DEPTH: usize = 3;
/// Most entries of a folder looked at.
const ENTRIES: usize = 64;
/// Kerberos 5 as a GSS mechanism, 1.2.840.113554.1.2.2 (RFC 4121).
const KERBEROS: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 1, 2, 2];

/// Asks for versions and security flavours; `None` when it is no NFS server.
pub async fn talk(channel: &mut Channel) -> Option<Seen> {
    let (mut found, mut complete) = versions(channel, PROGRAM, &[(2, "NFSv2"), (3, "NFSv3"), (4, "NFSv4")]).await;
    found.last()?;
    let has_four = found.last().is_some_and(|v| v == "NFSv4");
    if has_four {
        found.pop();
        for minor in 0..=2 {
            match compound(channel, minor, &[words(&[PUTROOTFH])]).await {
                Ok(done) if done.status == MINOR_MISMATCH => {}
                Ok(_) => found.push(format!("NFSv4.{minor}")),
                Err(_) => complete = false,
            }
        }
    }
    let has_four_zero = found.iter().any(|v| v == "NFSv4.0");
    let mut seen = Seen { authentication: UNKNOWN, versions: found, ..Seen::plain("nfs", b"", "null call answered") };
    if !complete {
        seen.left_open("versions", "a call was not answered in time");
    }
    match channel.is_stream() && has_four_zero {
        true => flavours(channel, &mut seen).await,
        false => seen.left_open("exports", "security flavours are told without mounting by version 4.0 over TCP alone"),
    }
    Some(seen)
}

/// Fills in the exports that the pseudo file system leads to.
async fn flavours(channel: &mut Channel, seen: &mut Seen) {
    match walk(channel).await {
        Ok(exports) if exports.is_empty() => seen.left_open("exports", "nothing that it exports is visible from here"),
        Ok(exports) => {
            if exports.iter().any(|e| e.security.is_empty()) {
                seen.left_open("exports", "of some exports the security flavours are not told");
            }
            seen.exchange = format!("security flavours of {} exports", exports.len());
            seen.exports = exports;
        }
        Err(why) => seen.left_open("exports", why),
    }
}

/// A folder of the pseudo file system.
#[derive(Clone, Debug, Default)]
struct Folder {
    names: Vec<Vec<u8>>,
}

impl Folder {
    /// Operations that make it the current one.
    fn enter(&self) -> Vec<Vec<u8>> {
        let into = |name: &Vec<u8>| [words(&[LOOKUP]), opaque(name)].concat();
        std::iter::once(words(&[PUTROOTFH])).chain(self.names.iter().map(into)).collect()
    }

    fn child(&self, name: &[u8]) -> Self {
        Self { names: self.names.iter().cloned().chain([name.to_vec()]).collect() }
    }

    fn path(&self) -> String {
        format!("/{}", self.names.iter().map(|n| banner(n)).collect::<Vec<_>>().join("/"))
    }
}

/// Reads folders from the root: an entry of another file system is an export, one of the same
/// leads to more.
async fn walk(channel: &mut Channel) -> Result<Vec<Export>, String> {
    let mut waiting = VecDeque::from([(Folder::default(), Vec::new())]);
    let (mut exports, mut below_root, mut calls) = (Vec::new(), Vec::new(), 0);
    while let Some((folder, security)) = waiting.pop_front() {
        let listed = match list(channel, &folder).await? {
            Ok(listed) => listed,
            Err(status) if folder.names.is_empty() => return Err(format!("the root can't be read: status {status}")),
            // It demands other security, and its folder did not say so.
            Err(WRONGSEC) => {
                exports.push(Export { name: folder.path(), to: Vec::new(), security });
                continue;
            }
            // Folders that nobody may read are below an exported root.
            Err(_) => continue,
        };
        for entry in listed.entries {
            calls += 1;
            if calls > CALLS {
                return Err(format!("more than {CALLS} folders lead to the exports"));
            }
            let child = folder.child(&entry.name);
            let security = demanded(channel, &folder, &entry.name).await?;
            // What keeps its attributes to itself demands other security than its folder.
            if entry.file_system.is_none() || entry.file_system != listed.file_system {
                exports.push(Export { name: child.path(), to: Vec::new(), security });
            } else {
                below_root.extend(security.iter().cloned());
                if child.names.len() < DEPTH {
                    waiting.push_back((child, security));
                }
            }
        }
    }
    // The root itself is exported: what lies in it is of one file system.
    if exports.is_empty() && !below_root.is_empty() {
        below_root.sort();
        below_root.dedup();
        exports.push(Export { name: "/".into(), to: Vec::new(), security: below_root });
    }
    Ok(exports)
}

/// What a folder holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The file system that the folder is of.
    pub file_system: Option<Vec<u8>>,
    /// Its entries.
    pub entries: Vec<Entry>,
}

/// An entry of a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Name.
    pub name: Vec<u8>,
    /// The file system that it is of; `None` when that is told to callers with other security alone.
    pub file_system: Option<Vec<u8>>,
}

/// What a folder holds, or the status that says why it is not told.
async fn list(channel: &mut Channel, folder: &Folder) -> Result<Result<Listed, u32>, String> {
    let mut operations = folder.enter();
    operations.push(words(&[GETATTR, 1, FSID]));
    // Cookie, verifier, sizes, attributes.
    operations.push(words(&[READDIR, 0, 0, 0, 0, 2048, 8192, 1, FSID | RDATTR_ERROR]));
    let done = compound(channel, 0, &operations).await.map_err(|e| e.to_string())?;
    match done.status {
        0 => listed(&done.results).map(Ok).ok_or_else(|| format!("{}: the answer is malformed or too long", folder.path())),
        status => Ok(Err(status)),
    }
}

/// The flavours that are demanded of one who enters `name`.
async fn demanded(channel: &mut Channel, folder: &Folder, name: &[u8]) -> Result<Vec<String>, String> {
    let mut operations = folder.enter();
    operations.push([words(&[SECINFO]), opaque(name)].concat());
    let done = compound(channel, 0, &operations).await.map_err(|e| e.to_string())?;
    let path = folder.child(name).path();
    match done.status {
        0 => flavour_list(&done.results).ok_or_else(|| format!("security of {path}: the answer is malformed")),
        // It may not even be asked about.
        _ => Ok(Vec::new()),
    }
}

/// Results of a compound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// `nfsstat4` of the last operation that was tried.
    pub status: u32,
    /// Results of the operations, without their count.
    pub results: Vec<u8>,
}

async fn compound(channel: &mut Channel, minor: u32, operations: &[Vec<u8>]) -> Result<Done, Lost> {
    let count = u32::try_from(operations.len()).unwrap_or(0);
    let arguments = [opaque(b"assay"), words(&[minor, count]), operations.concat()].concat();
    let bytes = channel.call(&Call::as_nobody(PROGRAM, 4, COMPOUND, &arguments)).await?;
    parse(&bytes).and_then(done).ok_or(Lost::Stream(crate::probe::dial::Stop::Malformed))
}

/// Status, tag, results.
pub fn done(reply: Reply<'_>) -> Option<Done> {
    let Reply::Success(results) = reply else {
        return None;
    };
    let mut r = Reader::new(results);
    let status = r.u32()?;
    read_opaque(&mut r)?;
    let _count = r.u32()?;
    Some(Done { status, results: r.rest().to_vec() })
}

/// Reads over the operations that lead to a folder, up to the results of `wanted`.
fn skip_to(r: &mut Reader<'_>, wanted: u32) -> Option<()> {
    for _ in 0..=DEPTH + 1 {
        let (operation, status) = (r.u32()?, r.u32()?);
        if operation == wanted && status == 0 {
            return Some(());
        }
        // Of the others, none has results.
        if status != 0 || !matches!(operation, PUTROOTFH | LOOKUP) {
            return None;
        }
    }
    None
}

/// The results of GETATTR and READDIR.
pub fn listed(results: &[u8]) -> Option<Listed> {
    let mut r = Reader::new(results);
    skip_to(&mut r, GETATTR)?;
    let file_system = attributes(&mut r)?;
    skip_to(&mut r, READDIR)?;
    // The verifier.
    r.take(8)?;
    let mut entries = Vec::new();
    while r.u32()? != 0 {
        // The cookie.
        r.take(8)?;
        let name = read_opaque(&mut r)?.to_vec();
        let file_system = attributes(&mut r)?;
        entries.push(Entry { name, file_system });
        if entries.len() > ENTRIES {
            return None;
        }
    }
    // Whether these were all.
    (r.u32()? == 1).then_some(Listed { file_system, entries })
}

/// A bitmap of attributes, and their values: the file system, if it is among them.
fn attributes(r: &mut Reader<'_>) -> Option<Option<Vec<u8>>> {
    let count = usize::try_from(r.u32()?).ok()?.checked_mul(4)?;
    let present = Reader::new(r.take(count)?).u32().unwrap_or(0);
    let values = read_opaque(r)?;
    // In the order of their numbers.
    let mut values = Reader::new(values);
    let id = if present & FSID == 0 { None } else { Some(values.take(16)?.to_vec()) };
    let error = if present & RDATTR_ERROR == 0 { 0 } else { values.u32()? };
    Some(id.filter(|_| error == 0))
}

/// The results of SECINFO.
pub fn flavour_list(results: &[u8]) -> Option<Vec<String>> {
    let mut r = Reader::new(results);
    skip_to(&mut r, SECINFO)?;
    let mut out = Vec::new();
    for _ in 0..r.u32()?.min(16) {
        let word = match r.u32()? {
            0 => "none".to_string(),
            1 => "sys".into(),
            6 => {
                let (mechanism, _quality, service) = (read_opaque(&mut r)?, r.u32()?, r.u32()?);
                match (mechanism == KERBEROS, service) {
                    (true, 1) => "krb5".into(),
                    (true, 2) => "krb5i".into(),
                    (true, 3) => "krb5p".into(),
                    (_, service) => format!("gss-{service}"),
                }
            }
            other => format!("flavour-{other}"),
        };
        out.push(word);
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn results(bytes: &[u8]) -> Vec<u8> {
        let done = done(parse(bytes).unwrap()).unwrap();
        assert_eq!(done.status, 0);
        done.results
    }

    #[test]
    fn a_real_root_is_read() {
        let listed = listed(&results(include_bytes!("../../../../tests/wire/rpc-ganesha-root.bin"))).unwrap();
        let shown: Vec<(&[u8], bool)> = listed.entries.iter().map(|e| (e.name.as_slice(), e.file_system == listed.file_system)).collect();
        // One leads to an export, the other is one.
        assert_eq!(shown, [(&b"data"[..], true), (b"two", false)]);
    }

    #[test]
    fn an_entry_with_other_security_is_of_no_known_file_system() {
        let listed = listed(&results(include_bytes!("../../../../tests/wire/rpc-ganesha-root-with-kerberos.bin"))).unwrap();
        let shown: Vec<(&[u8], bool)> = listed.entries.iter().map(|e| (e.name.as_slice(), e.file_system.is_some())).collect();
        assert_eq!(shown, [(&b"data"[..], true), (b"two", false)]);
    }

    #[test]
    fn real_flavours_are_named() {
        let all = flavour_list(&results(include_bytes!("../../../../tests/wire/rpc-ganesha-flavours.bin"))).unwrap();
        assert_eq!(all, ["krb5p", "krb5i", "krb5", "sys", "none"]);
    }
}
