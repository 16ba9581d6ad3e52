//! Accounts of a directory that SSSD keeps in its memory cache.
//!
//! `/var/lib/sss/mc/passwd`, native byte order (little-endian here):
//!
//! ```text
//! header  b1 major minor status seed dt_size ft_size ht_size data_table free_table hash_table reserved b2     13 x u32
//! record  b1 len expire(u64) next1 next2 hash1 hash2 padding b2      40 bytes, starts at a multiple of 40 in the data table
//!         name uid gid strs_len, then name, password, gecos, home, shell, each ended by a zero byte
//! ```
//! A record is whole when its two barriers are equal and begin with `0xf0`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Accounts;
use crate::facts::Document as _;
use crate::host::Host;
use crate::model::fact::Source;
use crate::model::gap::{Gaps, reason};

/// An account of a directory that this host has seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DirectoryUser {
    /// Login name.
    #[schemars(extend("x-personal" = true))]
    pub subject: String,
    /// User id.
    pub uid: u32,
    /// Primary group id.
    pub gid: u32,
    /// First part of the GECOS field.
    #[schemars(extend("x-personal" = true))]
    pub full_name: String,
    /// Home folder.
    pub home: String,
    /// Login shell.
    pub shell: String,
    /// When the cached record ends, Unix seconds.
    #[schemars(extend("x-volatile" = true))]
    pub cached_until: i64,
    /// The cache.
    pub source: Source,
}

const CACHE: &str = "/var/lib/sss/mc/passwd";
/// Largest cache read, bytes (SSSD's default is 8 MiB).
const CACHE_LIMIT: usize = 64 << 20;
const RECORD: usize = 40;
const HEADER_WORDS: usize = 13;

/// What the cache holds; empty when there is none.
pub fn users(host: &Host, gaps: &mut Gaps) -> Vec<DirectoryUser> {
    let bytes = match host.read(CACHE, CACHE_LIMIT) {
        Ok(bytes) => bytes,
        Err(e) => {
            if !e.is_not_found() {
                gaps.add(e.to_gap(Accounts::NAME, "directory_users", ""));
            }
            return Vec::new();
        }
    };
    match parse(&bytes) {
        Some(mut users) => {
            users.sort_by(|a, b| a.subject.cmp(&b.subject));
            users.dedup_by(|a, b| a.subject == b.subject);
            users
        }
        None => {
            gaps.note(Accounts::NAME, "directory_users", "", reason::UNSUPPORTED, format!("{CACHE}: not a cache of version 1 that is in use"), "");
            Vec::new()
        }
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

fn parse(bytes: &[u8]) -> Option<Vec<DirectoryUser>> {
    let header = |i: usize| word(bytes, i * 4);
    // Version 1, status 1: in use; both barriers alike.
    if header(0)? != header(HEADER_WORDS - 1)? || header(1)? != 1 || header(3)? != 1 {
        return None;
    }
    let start = usize::try_from(header(8)?).ok()?;
    let end = start.checked_add(usize::try_from(header(5)?).ok()?)?.min(bytes.len());
    let table = bytes.get(start..end)?;
    let mut out = Vec::new();
    let mut at = 0;
    while at + RECORD <= table.len() {
        match record(table, at) {
            Some((user, length)) => {
                out.push(user);
                at += length.div_ceil(RECORD) * RECORD;
            }
            None => at += RECORD,
        }
    }
    Some(out)
}

fn record(table: &[u8], at: usize) -> Option<(DirectoryUser, usize)> {
    let barrier = word(table, at)?;
    let length = usize::try_from(word(table, at + 4)?).ok()?;
    if barrier >> 24 != 0xf0 || word(table, at + 36)? != barrier || length <= RECORD + 16 {
        return None;
    }
    let expire = i64::try_from(u64::from_le_bytes(table.get(at + 8..at + 16)?.try_into().ok()?)).ok()?;
    let data = table.get(at + RECORD..at.checked_add(length)?)?;
    let strings = data.get(16..16_usize.checked_add(usize::try_from(word(data, 12)?).ok()?)?)?;
    let mut parts = strings.split(|b| *b == 0).map(|s| String::from_utf8_lossy(s).into_owned());
    let (name, _, gecos, home, shell) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let full_name = gecos.split(',').next().unwrap_or("").trim().to_string();
    let source = Source::whole(CACHE);
    (!name.is_empty())
        .then_some((DirectoryUser { subject: name, uid: word(data, 4)?, gid: word(data, 8)?, full_name, home, shell, cached_until: expire, source }, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A cache of one record of 40 + 16 + n bytes, and a freed slot before it.
    fn cache() -> Vec<u8> {
        let strings = b"anna\0*\0Anna Berg,1\0/home/anna\0/bin/bash\0";
        let mut data: Vec<u8> = vec![0xff; RECORD];
        let length = u32::try_from(RECORD + 16 + strings.len()).unwrap();
        for w in [0xf000_0001, length] {
            data.extend(w.to_le_bytes());
        }
        data.extend(1_795_000_000_u64.to_le_bytes());
        for w in [u32::MAX, u32::MAX, 7, 8, 0, 0xf000_0001, 16, 70001, 70000, u32::try_from(strings.len()).unwrap()] {
            data.extend(w.to_le_bytes());
        }
        data.extend(strings);
        data.resize(RECORD * 4, 0xff);
        let mut out: Vec<u8> = Vec::new();
        for w in [0xf000_0002, 1, 1, 1, 0, u32::try_from(data.len()).unwrap(), 0, 0, 56, 0, 0, 0, 0xf000_0002, 0] {
            out.extend(u32::to_le_bytes(w));
        }
        out.extend(data);
        out
    }

    #[test]
    fn cached_accounts_are_read_and_garbage_is_not() {
        let users = parse(&cache()).unwrap();
        assert_eq!(users.len(), 1);
        assert_eq!((users[0].subject.as_str(), users[0].uid, users[0].full_name.as_str(), users[0].shell.as_str()), ("anna", 70001, "Anna Berg", "/bin/bash"));
        assert_eq!(users[0].cached_until, 1_795_000_000);
        for at in 0..cache().len() {
            for byte in [0, 0x7f, 0xff] {
                let mut bytes = cache();
                bytes[at] = byte;
                let _ = parse(&bytes);
            }
            let _ = parse(&cache()[..at]);
        }
    }
}
