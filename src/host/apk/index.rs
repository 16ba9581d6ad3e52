//! APKINDEX: the package list of a repository, a tar archive in concatenated gzip streams.

use std::io::{BufRead, BufReader, Read};

use ring::digest;

use crate::host::compressed::{self, OpenError};
use crate::host::{Host, ReadError};

/// Where apk keeps what it downloaded; the first is a link that `setup-apkcache` makes.
const FOLDERS: &[&str] = &["/etc/apk/cache", "/var/cache/apk", "/lib/apk/db/cache"];
/// Largest index unpacked, bytes (all of Alpine's community repository has 20 MiB).
const INDEX_LIMIT: u64 = 256 << 20;
const LINE_LIMIT: u64 = 1 << 20;
/// Most members of the archive that are passed over.
const MEMBER_LIMIT: usize = 64;

/// Why an index could not be read.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// It was not opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// It is not in the format.
    #[error("{0}: {1}")]
    Malformed(String, String),
}

/// The downloaded index of a repository: its path and when it was fetched. apk names the file by
/// the first eight digits of a checksum of the address as it stands in its configuration; version 3
/// hashes with SHA-256 where version 2 used SHA-1.
pub fn find(host: &Host, url: &str, architecture: &str) -> Result<Option<(String, i64)>, ReadError> {
    if let Some(local) = url.strip_prefix("file://").or_else(|| Some(url).filter(|u| u.starts_with('/'))) {
        let place = format!("{local}/{architecture}/APKINDEX.tar.gz");
        return Ok(modified(host, &place)?.map(|at| (place, at)));
    }
    let whole = format!("{url}/{architecture}/APKINDEX.tar.gz");
    let mut newest: Option<(String, i64)> = None;
    for folder in FOLDERS {
        for (algorithm, text) in [(&digest::SHA1_FOR_LEGACY_USE_ONLY, url), (&digest::SHA256, url), (&digest::SHA256, whole.as_str())] {
            let hash = digest::digest(algorithm, text.as_bytes());
            let digits: String = hash.as_ref().iter().take(4).map(|b| format!("{b:02x}")).collect();
            let place = format!("{folder}/APKINDEX.{digits}.tar.gz");
            if let Some(at) = modified(host, &place)?.filter(|at| newest.as_ref().is_none_or(|n| *at > n.1)) {
                newest = Some((place, at));
            }
        }
    }
    Ok(newest)
}

fn modified(host: &Host, place: &str) -> Result<Option<i64>, ReadError> {
    match host.stat(place) {
        Ok(stat) => Ok(Some(stat.modified)),
        Err(e) if e.is_not_found() => Ok(None),
        Err(e) => Err(e),
    }
}

/// One offered package.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offered {
    /// Name.
    pub name: String,
    /// Version.
    pub version: String,
    /// Architecture.
    pub architecture: String,
    /// Line of its record within the index, from 1.
    pub line: usize,
}

/// Calls `act` for each package of an index.
pub fn each_package(host: &Host, place: &str, mut act: impl FnMut(Offered)) -> Result<(), IndexError> {
    let malformed = |why: String| IndexError::Malformed(place.into(), why);
    let mut input = compressed::open(host, place)?;
    let size = seek_member(&mut input, b"APKINDEX").map_err(malformed)?;
    if size > INDEX_LIMIT {
        return Err(OpenError::Read(ReadError::TooLarge(place.into(), INDEX_LIMIT as usize)).into());
    }
    let mut reader = BufReader::new(input.take(size));
    let (mut line, mut package, mut left) = (Vec::new(), Offered::default(), size);
    for number in 1.. {
        line.clear();
        let read = reader.by_ref().take(LINE_LIMIT).read_until(b'\n', &mut line).map_err(|e| malformed(e.to_string()))? as u64;
        if read == LINE_LIMIT {
            return Err(malformed(format!("line {number} is longer than is read")));
        }
        left -= read;
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end();
        match (text.as_bytes(), text.get(2..)) {
            ([], _) => {
                if !package.name.is_empty() {
                    act(std::mem::take(&mut package));
                }
            }
            ([b'P', b':', ..], Some(value)) => (package.name, package.line) = (value.into(), number),
            ([b'V', b':', ..], Some(value)) => package.version = value.into(),
            ([b'A', b':', ..], Some(value)) => package.architecture = value.into(),
            ([_, b':', ..], _) => {}
            _ => return Err(malformed(format!("line {number} is no field of a package"))),
        }
        if read == 0 {
            break;
        }
    }
    if left > 0 { Err(malformed("shorter than it says".into())) } else { Ok(()) }
}

/// Reads tar headers (ustar) until the member of this name, whose size is given back.
fn seek_member(input: &mut dyn BufRead, name: &[u8]) -> Result<u64, String> {
    let mut header = [0u8; 512];
    for _ in 0..MEMBER_LIMIT {
        input.read_exact(&mut header).map_err(|e| format!("no {}: {e}", String::from_utf8_lossy(name)))?;
        // The signature is an archive of its own, and may end with empty blocks.
        if header.iter().all(|b| *b == 0) {
            continue;
        }
        let field = |from: usize, length: usize| header.get(from..from + length).unwrap_or_default().split(|b| *b == 0).next().unwrap_or_default();
        let size = std::str::from_utf8(field(124, 12)).ok().and_then(|t| u64::from_str_radix(t.trim(), 8).ok()).ok_or("a member without a size")?;
        if field(0, 100) == name && matches!(header.get(156), Some(b'0' | 0)) {
            return Ok(size);
        }
        let padded = size.checked_next_multiple_of(512).filter(|s| *s <= INDEX_LIMIT).ok_or("a member larger than is read")?;
        let skipped = std::io::copy(&mut input.take(padded), &mut std::io::sink()).map_err(|e| e.to_string())?;
        if skipped < padded {
            return Err("ends within a member".into());
        }
    }
    Err(format!("no {} among its first members", String::from_utf8_lossy(name)))
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "archives are made by tar and gzip")]
mod tests {
    use super::*;
    use std::path::Path;
    use std::process::Command;

    const TEXT: &str = "C:Q1x=\nP:musl\nV:1.2.5-r1\nA:x86_64\nS:1\n\nP:zlib\nV:1.3.1-r1\nA:x86_64\n\n";

    /// A signature and an index, each a gzip stream of its own, as abuild-sign joins them.
    fn archive(folder: &Path, index: &str) -> Vec<u8> {
        for (name, text) in [(".SIGN.RSA.x.rsa.pub", "signature"), ("DESCRIPTION", "v3.20"), ("APKINDEX", index)] {
            std::fs::write(folder.join(name), text).unwrap();
        }
        let script = "set -o pipefail; tar -c --format=ustar .SIGN.RSA.x.rsa.pub | head -c 1024 | gzip -n > a; tar -c --format=ustar DESCRIPTION APKINDEX | gzip -n >> a";
        assert!(Command::new("bash").current_dir(folder).args(["-c", script]).status().is_ok());
        std::fs::read(folder.join("a")).unwrap()
    }

    fn packages(host: &Host, place: &str) -> Result<Vec<String>, IndexError> {
        let mut out = Vec::new();
        each_package(host, place, |p| out.push(format!("{} {} {} {}", p.name, p.version, p.architecture, p.line)))?;
        Ok(out)
    }

    #[test]
    fn a_signed_index_is_read_and_a_damaged_one_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let host = Host::rooted(dir.path()).unwrap();
        let whole = archive(dir.path(), TEXT);
        assert_eq!(packages(&host, "/a").unwrap(), ["musl 1.2.5-r1 x86_64 2", "zlib 1.3.1-r1 x86_64 7"]);
        for end in 0..whole.len() - 8 {
            std::fs::write(dir.path().join("a"), &whole[..end]).unwrap();
            assert!(packages(&host, "/a").is_err() || end > whole.len() - 40, "{end}");
        }
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x55;
            std::fs::write(dir.path().join("a"), bytes).unwrap();
            let _ = packages(&host, "/a");
        }
        std::fs::write(dir.path().join("a"), archive(dir.path(), "nonsense\n")).unwrap();
        assert!(packages(&host, "/a").is_err());
    }

    #[test]
    fn names_of_indexes_are_those_that_apk_gives() {
        // Pairs of address and name in messages of apk itself.
        for (url, digits) in [
            ("http://dl-cdn.alpinelinux.org/alpine/v3.4/main", "167438ca"),
            ("http://dl-cdn.alpinelinux.org/alpine/v3.4/community", "a2e6dac0"),
            ("http://dl-4.alpinelinux.org/alpine/v2.7/main", "0f59c441"),
        ] {
            let dir = tempfile::tempdir().unwrap();
            std::fs::create_dir_all(dir.path().join("var/cache/apk")).unwrap();
            std::fs::write(dir.path().join(format!("var/cache/apk/APKINDEX.{digits}.tar.gz")), "").unwrap();
            let found = find(&Host::rooted(dir.path()).unwrap(), url, "x86_64").unwrap();
            assert_eq!(found.map(|f| f.0), Some(format!("/var/cache/apk/APKINDEX.{digits}.tar.gz")));
        }
    }
}
