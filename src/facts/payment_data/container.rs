//! Files and what is packed inside them: gzip, zstd and xz as one stream, zip member by member.

use std::io::{BufReader, Read, Seek, SeekFrom};

use crate::host::compressed::{self, OpenError};
use crate::host::{Host, ReadError};

/// Most members of one zip file.
const MEMBERS: usize = 20_000;
/// Largest directory of a zip file, bytes.
const DIRECTORY: usize = 8 << 20;
/// Bytes at the end of a zip file in which its end record stands: the longest comment and the record.
const END: u64 = 65_535 + 22;

/// Why something inside a file was not looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unread {
    /// It could not be read, or not to its end.
    Failed(ReadError),
    /// Its kind is not read.
    Opaque(String),
    /// A bound of this module.
    Limit(String),
}

/// Who takes the streams of a file: the name of a member (empty: the file itself) and its bytes. `false` ends it.
pub type Visit<'v> = &'v mut dyn FnMut(&str, &mut dyn Read) -> std::io::Result<bool>;

/// Opens a file and gives every stream in it to `visit`; what was not looked at is returned.
pub fn streams(host: &Host, path: &str, visit: Visit<'_>) -> Vec<Unread> {
    let mut unread = Vec::new();
    if let Err(e) = open(host, path, visit, &mut unread) {
        unread.push(e);
    }
    unread
}

fn open(host: &Host, path: &str, visit: Visit<'_>, unread: &mut Vec<Unread>) -> Result<(), Unread> {
    let failed = |e: std::io::Error| Unread::Failed(ReadError::Io(path.to_string(), e.to_string()));
    let mut file = host.open_file(path).map_err(Unread::Failed)?;
    let mut magic = [0_u8; 8];
    let filled = fill(&mut file, &mut magic).map_err(failed)?;
    let magic = magic.get(..filled).unwrap_or_default();
    if let Some(kind) = opaque(magic) {
        return Err(Unread::Opaque(format!("{path} ({kind})")));
    }
    if is_packed(magic) {
        let mut plain = match compressed::open(host, path) {
            Ok(plain) => plain,
            Err(OpenError::Read(e)) => return Err(Unread::Failed(e)),
            Err(OpenError::Unsupported(_, kind)) => return Err(Unread::Opaque(format!("{path} ({kind})"))),
        };
        return visit("", &mut plain).map(drop).map_err(failed);
    }
    file.rewind().map_err(failed)?;
    if magic.starts_with(b"PK\x03\x04") {
        return zip(path, &mut file, visit, unread);
    }
    visit("", &mut file).map(drop).map_err(failed)
}

fn is_packed(magic: &[u8]) -> bool {
    magic.starts_with(&[0x1f, 0x8b]) || magic.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) || magic.starts_with(b"\xfd7zXZ\0")
}

/// Kinds whose content is not what their bytes show.
fn opaque(magic: &[u8]) -> Option<&'static str> {
    let kinds: [(&[u8], &str); 6] = [
        (b"BZh", "bzip2"),
        (b"7z\xbc\xaf\x27\x1c", "7-Zip"),
        (b"Rar!\x1a\x07", "RAR"),
        (&[0x04, 0x22, 0x4d, 0x18], "lz4"),
        (b"%PDF-", "PDF"),
        (b"LZIP", "lzip"),
    ];
    kinds.iter().find(|(start, _)| magic.starts_with(start)).map(|(_, kind)| *kind)
}

/// Members by the central directory (APPNOTE.TXT 4.3.12 and 4.3.16).
fn zip(path: &str, file: &mut std::fs::File, visit: Visit<'_>, unread: &mut Vec<Unread>) -> Result<(), Unread> {
    let failed = |e: std::io::Error| Unread::Failed(ReadError::Io(path.to_string(), e.to_string()));
    let malformed = |what: &str| Unread::Failed(ReadError::Io(path.to_string(), format!("zip file: {what}")));
    let length = file.seek(SeekFrom::End(0)).map_err(failed)?;
    file.seek(SeekFrom::Start(length.saturating_sub(END))).map_err(failed)?;
    let mut end = Vec::new();
    file.by_ref().take(END).read_to_end(&mut end).map_err(failed)?;
    let at = end.windows(4).rposition(|w| w == b"PK\x05\x06").ok_or_else(|| malformed("no end record"))?;
    let record = end.get(at..).unwrap_or_default();
    let (size, start) = number(record, 12, 4).zip(number(record, 16, 4)).ok_or_else(|| malformed("end record is cut"))?;
    if size == 0xffff_ffff || start == 0xffff_ffff {
        return Err(Unread::Opaque(format!("{path} (zip64)")));
    }
    if size > DIRECTORY as u64 {
        return Err(Unread::Limit(format!("{path}: the directory of the zip file is larger than {DIRECTORY} bytes")));
    }
    file.seek(SeekFrom::Start(start)).map_err(failed)?;
    let mut directory = Vec::new();
    file.by_ref().take(size).read_to_end(&mut directory).map_err(failed)?;
    let mut rest = directory.as_slice();
    for _ in 0..MEMBERS {
        if !rest.starts_with(b"PK\x01\x02") {
            return if rest.is_empty() { Ok(()) } else { Err(malformed("directory is cut")) };
        }
        let member = Member::read(rest).ok_or_else(|| malformed("directory is cut"))?;
        rest = rest.get(member.entry..).unwrap_or_default();
        match self::member(path, file, &member, visit) {
            Ok(true) => {}
            Ok(false) => return Ok(()),
            Err(e) => unread.push(e),
        }
    }
    if rest.is_empty() { Ok(()) } else { Err(Unread::Limit(format!("{path}: the zip file has more than {MEMBERS} members"))) }
}

struct Member {
    name: String,
    flags: u64,
    method: u64,
    packed: u64,
    header: u64,
    /// Bytes of the entry in the directory.
    entry: usize,
}

impl Member {
    fn read(entry: &[u8]) -> Option<Self> {
        let of = |at, width| number(entry, at, width);
        let name = usize::try_from(of(28, 2)?).ok()?;
        let extra = usize::try_from(of(30, 2)? + of(32, 2)?).ok()?;
        Some(Self {
            name: String::from_utf8_lossy(entry.get(46..46 + name)?).chars().filter(|c| !c.is_control()).take(256).collect(),
            flags: of(8, 2)?,
            method: of(10, 2)?,
            packed: of(20, 4)?,
            header: of(42, 4)?,
            entry: 46 + name + extra,
        })
    }
}

fn member(path: &str, file: &mut std::fs::File, member: &Member, visit: Visit<'_>) -> Result<bool, Unread> {
    const ENCRYPTED: u64 = 1;
    let shown = format!("{path}!{}", member.name);
    let failed = |e: std::io::Error| Unread::Failed(ReadError::Io(shown.clone(), e.to_string()));
    if member.name.ends_with('/') || member.packed == 0 {
        return Ok(true);
    }
    if member.flags & ENCRYPTED != 0 {
        return Err(Unread::Opaque(format!("{shown} (encrypted)")));
    }
    if member.packed == 0xffff_ffff || member.header == 0xffff_ffff {
        return Err(Unread::Opaque(format!("{shown} (zip64)")));
    }
    file.seek(SeekFrom::Start(member.header)).map_err(failed)?;
    let mut head = [0_u8; 30];
    file.read_exact(&mut head).map_err(failed)?;
    let skip = number(&head, 26, 2).zip(number(&head, 28, 2)).filter(|_| head.starts_with(b"PK\x03\x04")).map(|(a, b)| a + b);
    let skip = skip.ok_or_else(|| failed(std::io::Error::other("no local header where the directory says")))?;
    file.seek(SeekFrom::Start(member.header + 30 + skip)).map_err(failed)?;
    let packed = BufReader::new(file.take(member.packed));
    let mut plain: Box<dyn Read> = match member.method {
        0 => Box::new(packed),
        8 => Box::new(flate2::bufread::DeflateDecoder::new(packed)),
        other => return Err(Unread::Opaque(format!("{shown} (zip method {other})"))),
    };
    // What is packed twice is looked at as it stands.
    let mut magic = [0_u8; 8];
    let filled = fill(&mut plain, &mut magic).map_err(failed)?;
    let magic = magic.get(..filled).unwrap_or_default();
    if let Some(kind) = opaque(magic).or_else(|| (is_packed(magic) || magic.starts_with(b"PK\x03\x04")).then_some("packed twice")) {
        return Err(Unread::Opaque(format!("{shown} ({kind})")));
    }
    visit(&member.name, &mut magic.chain(plain)).map_err(failed)
}

fn number(bytes: &[u8], at: usize, width: usize) -> Option<u64> {
    Some(bytes.get(at..at + width)?.iter().rev().fold(0, |sum, b| sum << 8 | u64::from(*b)))
}

fn fill(reader: &mut dyn Read, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|r| !r.is_empty()) {
        match reader.read(rest) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(root: &std::path::Path, name: &str) -> (Vec<(String, String)>, Vec<Unread>) {
        let host = Host::rooted(root).unwrap();
        let mut seen = Vec::new();
        let unread = streams(&host, &format!("/{name}"), &mut |member, stream| {
            let mut text = Vec::new();
            stream.read_to_end(&mut text)?;
            seen.push((member.to_string(), String::from_utf8_lossy(&text).into_owned()));
            Ok(true)
        });
        (seen, unread)
    }

    fn zipped(members: &[(&str, &str)]) -> Vec<u8> {
        use std::io::Write as _;
        let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        for (name, text) in members {
            let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
            writer.start_file(*name, options).unwrap();
            writer.write_all(text.as_bytes()).unwrap();
        }
        writer.finish().unwrap().into_inner()
    }

    #[test]
    fn members_and_streams_are_given_whole() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("plain"), "text").unwrap();
        std::fs::write(dir.path().join("a.zip"), zipped(&[("x/one", "1234567890"), ("two", "b")])).unwrap();
        std::fs::write(dir.path().join("z"), zstd::encode_all(&b"packed"[..], 3).unwrap()).unwrap();
        std::fs::write(dir.path().join("b"), "BZh9xxxxxxx").unwrap();
        let pairs = |name: &str| read(dir.path(), name).0.into_iter().map(|(a, b)| format!("{a}={b}")).collect::<Vec<_>>();
        assert_eq!(pairs("plain"), ["=text"]);
        assert_eq!(pairs("a.zip"), ["x/one=1234567890", "two=b"]);
        assert_eq!(pairs("z"), ["=packed"]);
        assert_eq!(read(dir.path(), "b").1, [Unread::Opaque("/b (bzip2)".into())]);
        let nested = zipped(&[("inner.zip", std::str::from_utf8(b"PK\x03\x04....").unwrap())]);
        std::fs::write(dir.path().join("n.zip"), nested).unwrap();
        assert_eq!(read(dir.path(), "n.zip").1, [Unread::Opaque("/n.zip!inner.zip (packed twice)".into())]);
    }

    #[test]
    fn hostile_zip_files_are_errors() {
        let dir = tempfile::tempdir().unwrap();
        let whole = zipped(&[("one", "1234567890"), ("two", "b")]);
        for cut in 0..whole.len() {
            std::fs::write(dir.path().join("c"), &whole[..cut]).unwrap();
            let _ = read(dir.path(), "c");
            let mut changed = whole.clone();
            changed[cut] ^= 0xff;
            std::fs::write(dir.path().join("c"), changed).unwrap();
            let _ = read(dir.path(), "c");
        }
    }
}
