//! The zip file of a bundle (APPNOTE 6.3.3), in the one form that is written.
//!
//! ```text
//! per entry   local header: version 10, flags 0x0800 (UTF-8), method 0 (stored), time 1980-01-01 00:00,
//!             crc-32, sizes, name, no extra field; then the bytes
//! directory   one header per entry: made by version 10, attributes 0, no extra field, no comment
//! end         one record, no comment, no zip64
//! ```
//! Entries are sorted by path. Reading is strict about what could hide something and bounded;
//! whether every byte is as written is then told by writing again and comparing. This is our own
//! because the bytes must stay the same for as long as bundles exist, whatever a library changes.

use std::collections::BTreeMap;

/// Most entries (the format ends at 65,535 without zip64).
pub const MAX_ENTRIES: usize = 65_000;
/// Largest bundle, bytes.
pub const MAX_BYTES: usize = 1 << 30;
/// Largest entry, bytes.
pub const MAX_ENTRY: usize = 256 << 20;
/// Longest path of an entry, bytes.
pub const MAX_PATH: usize = 200;

const LOCAL: [u8; 4] = *b"PK\x03\x04";
const CENTRAL: [u8; 4] = *b"PK\x01\x02";
const END: [u8; 4] = *b"PK\x05\x06";
/// 1980-01-01 in MS-DOS form, the earliest there is.
const DATE: u16 = 0x0021;
const UTF8: u16 = 0x0800;
const VERSION: u16 = 10;

/// Why a zip file can't be written or read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ArchiveError {
    /// Beyond a limit.
    #[error("bundle exceeds the limit of {limit} {what}: export a shorter period or fewer hosts")]
    Limit {
        /// What is counted.
        what: &'static str,
        /// How many are allowed.
        limit: usize,
    },
    /// A path that could lead elsewhere.
    #[error("path {0:?} is not a plain relative path")]
    Path(String),
    /// Not a zip file, or not one of ours.
    #[error("not a bundle: {0}")]
    Malformed(&'static str),
    /// Two entries of one name.
    #[error("{0:?} is there twice")]
    Duplicate(String),
    /// An entry in another form.
    #[error("{path:?}: {why}")]
    Entry {
        /// Which.
        path: String,
        /// What is wrong.
        why: &'static str,
    },
}

/// The zip file of `files` (path -> bytes).
pub fn write<B: AsRef<[u8]>>(files: &BTreeMap<String, B>) -> Result<Vec<u8>, ArchiveError> {
    let entries: Vec<(&str, &[u8])> = files.iter().map(|(p, b)| (p.as_str(), b.as_ref())).collect();
    write_in_order(&entries)
}

fn write_in_order(entries: &[(&str, &[u8])]) -> Result<Vec<u8>, ArchiveError> {
    if entries.len() > MAX_ENTRIES {
        return Err(ArchiveError::Limit { what: "files", limit: MAX_ENTRIES });
    }
    let total: usize = entries.iter().map(|(path, bytes)| 30 + 46 + path.len() * 2 + bytes.len()).sum::<usize>() + 22;
    if total > MAX_BYTES {
        return Err(ArchiveError::Limit { what: "bytes", limit: MAX_BYTES });
    }
    let mut out = Vec::with_capacity(total);
    let mut directory = Vec::new();
    for (path, bytes) in entries {
        check_path(path)?;
        if bytes.len() > MAX_ENTRY {
            return Err(ArchiveError::Limit { what: "bytes in one file", limit: MAX_ENTRY });
        }
        let offset = small(out.len());
        let common = common_header(path, bytes);
        out.extend_from_slice(&LOCAL);
        out.extend_from_slice(&common);
        out.extend_from_slice(path.as_bytes());
        out.extend_from_slice(bytes);
        directory.extend_from_slice(&CENTRAL);
        directory.extend_from_slice(&VERSION.to_le_bytes());
        directory.extend_from_slice(&common);
        // Comment length, disk number, internal and external attributes: all 0.
        directory.extend_from_slice(&[0; 10]);
        directory.extend_from_slice(&offset.to_le_bytes());
        directory.extend_from_slice(path.as_bytes());
    }
    let (start, count) = (small(out.len()), u16::try_from(entries.len()).unwrap_or(u16::MAX));
    out.extend_from_slice(&directory);
    out.extend_from_slice(&END);
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&count.to_le_bytes());
    out.extend_from_slice(&count.to_le_bytes());
    out.extend_from_slice(&small(directory.len()).to_le_bytes());
    out.extend_from_slice(&start.to_le_bytes());
    out.extend_from_slice(&[0; 2]);
    Ok(out)
}

/// The 26 bytes that local and central header share.
fn common_header(path: &str, bytes: &[u8]) -> Vec<u8> {
    let size = small(bytes.len()).to_le_bytes();
    let mut out = Vec::with_capacity(26);
    out.extend_from_slice(&VERSION.to_le_bytes());
    out.extend_from_slice(&UTF8.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&DATE.to_le_bytes());
    out.extend_from_slice(&crc32(bytes).to_le_bytes());
    out.extend_from_slice(&size);
    out.extend_from_slice(&size);
    out.extend_from_slice(&u16::try_from(path.len()).unwrap_or(u16::MAX).to_le_bytes());
    out.extend_from_slice(&[0; 2]);
    out
}

/// Lengths here are below [`MAX_BYTES`], which fits.
fn small(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// What was read.
#[derive(Debug)]
pub struct Archive<'a> {
    /// Path -> bytes.
    pub files: BTreeMap<String, &'a [u8]>,
    /// Paths in the order in which they stand.
    pub order: Vec<String>,
}

/// Reads a zip file by its directory. Entries must be stored, plain and inside the bounds.
pub fn read(bytes: &[u8]) -> Result<Archive<'_>, ArchiveError> {
    if bytes.len() > MAX_BYTES {
        return Err(ArchiveError::Limit { what: "bytes", limit: MAX_BYTES });
    }
    let (mut at, count) = find_directory(bytes)?;
    let mut archive = Archive { files: BTreeMap::new(), order: Vec::new() };
    let mut total = 0usize;
    for _ in 0..count {
        let (path, data, next) = entry(bytes, at)?;
        // Overlapping entries could make a small file huge.
        total = total.saturating_add(data.len());
        if total > bytes.len() {
            return Err(ArchiveError::Malformed("its entries overlap"));
        }
        if archive.files.insert(path.clone(), data).is_some() {
            return Err(ArchiveError::Duplicate(path));
        }
        archive.order.push(path);
        at = next;
    }
    Ok(archive)
}

/// Where `bytes` differ from the file that would be written of these entries; `None`: nowhere.
pub fn difference(bytes: &[u8], archive: &Archive<'_>) -> Option<String> {
    if !archive.order.is_sorted() {
        let wrong = archive.order.windows(2).find_map(|w| if let [a, b] = w { (a > b).then(|| b.clone()) } else { None }).unwrap_or_default();
        return Some(format!("entries are not in order: {wrong:?} stands too late"));
    }
    let again = match write(&archive.files) {
        Ok(again) => again,
        Err(e) => return Some(e.to_string()),
    };
    if again == bytes {
        return None;
    }
    let at = again.iter().zip(bytes).position(|(a, b)| a != b).unwrap_or_else(|| again.len().min(bytes.len()));
    Some(format!("the zip container differs from what is written, first at byte {at}: {}", place(&archive.files, at)))
}

/// What stands at an offset of the file that would be written.
fn place(files: &BTreeMap<String, &[u8]>, at: usize) -> String {
    let mut offset = 0;
    for (path, bytes) in files {
        let header = 30 + path.len();
        if at < offset + header {
            return format!("header of {path:?}");
        }
        if at < offset + header + bytes.len() {
            return format!("content of {path:?}");
        }
        offset += header + bytes.len();
    }
    for path in files.keys() {
        if at < offset + 46 + path.len() {
            return format!("directory entry of {path:?}");
        }
        offset += 46 + path.len();
    }
    "end record".into()
}

/// Offset of the directory and how many entries it has.
fn find_directory(bytes: &[u8]) -> Result<(usize, usize), ArchiveError> {
    let end = bytes.len().checked_sub(22).ok_or(ArchiveError::Malformed("it is shorter than an empty zip file"))?;
    if bytes.get(end..end + 4) != Some(END.as_slice()) {
        return Err(ArchiveError::Malformed("it does not end with a plain zip end record (cut off, or something was appended)"));
    }
    let count = usize::from(u16_at(bytes, end + 10)?);
    let start = usize_at(bytes, end + 16)?;
    if count > MAX_ENTRIES {
        return Err(ArchiveError::Limit { what: "files", limit: MAX_ENTRIES });
    }
    if start > end {
        return Err(ArchiveError::Malformed("its directory lies outside the file"));
    }
    Ok((start, count))
}

/// Path and content of the entry whose directory header is at `at`, and where the next one is.
fn entry(bytes: &[u8], at: usize) -> Result<(String, &[u8], usize), ArchiveError> {
    let outside = ArchiveError::Malformed("a header lies outside the file");
    if bytes.get(at..at.saturating_add(4)) != Some(CENTRAL.as_slice()) {
        return Err(ArchiveError::Malformed("its directory is damaged"));
    }
    let (name_len, extra, comment) = (usize::from(u16_at(bytes, at + 28)?), usize::from(u16_at(bytes, at + 30)?), usize::from(u16_at(bytes, at + 32)?));
    let name = bytes.get(at + 46..at + 46 + name_len).ok_or(outside)?;
    let path = std::str::from_utf8(name).map_err(|_| ArchiveError::Malformed("a file name is not UTF-8"))?.to_string();
    check_path(&path)?;
    let wrong = |why| ArchiveError::Entry { path: path.clone(), why };
    let (flags, method) = (u16_at(bytes, at + 8)?, u16_at(bytes, at + 10)?);
    if method != 0 || flags & !UTF8 != 0 {
        return Err(wrong("it is compressed or encrypted; bundles hold plain entries"));
    }
    let (packed, size, offset) = (usize_at(bytes, at + 20)?, usize_at(bytes, at + 24)?, usize_at(bytes, at + 42)?);
    if packed != size || size > MAX_ENTRY {
        return Err(wrong("its size is not possible"));
    }
    if bytes.get(offset..offset.saturating_add(4)) != Some(LOCAL.as_slice()) {
        return Err(wrong("it has no local header where the directory says"));
    }
    let begin = offset + 30 + usize::from(u16_at(bytes, offset + 26)?) + usize::from(u16_at(bytes, offset + 28)?);
    let data = bytes.get(begin..begin.saturating_add(size)).ok_or_else(|| wrong("its content lies outside the file"))?;
    Ok((path.clone(), data, at + 46 + name_len + extra + comment))
}

/// A relative path of plain segments, so that unpacking can't leave its folder.
fn check_path(path: &str) -> Result<(), ArchiveError> {
    let plain = |s: &str| !s.is_empty() && !s.starts_with('.') && s.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'));
    if path.len() <= MAX_PATH && path.split('/').all(plain) { Ok(()) } else { Err(ArchiveError::Path(path.chars().take(MAX_PATH).collect())) }
}

fn u16_at(bytes: &[u8], at: usize) -> Result<u16, ArchiveError> {
    let found = bytes.get(at..at.saturating_add(2)).and_then(|b| <[u8; 2]>::try_from(b).ok());
    found.map(u16::from_le_bytes).ok_or(ArchiveError::Malformed("a header lies outside the file"))
}

fn usize_at(bytes: &[u8], at: usize) -> Result<usize, ArchiveError> {
    let found = bytes.get(at..at.saturating_add(4)).and_then(|b| <[u8; 4]>::try_from(b).ok());
    let found = found.map(u32::from_le_bytes).ok_or(ArchiveError::Malformed("a header lies outside the file"))?;
    usize::try_from(found).map_err(|_| ArchiveError::Malformed("a length is not possible"))
}

/// CRC-32 of zip (ISO 3309, reflected polynomial 0xEDB88320).
fn crc32(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = table();
    !bytes.iter().fold(!0, |crc: u32, b| {
        let low = usize::from(crc.to_le_bytes()[0] ^ b);
        TABLE.get(low).copied().unwrap_or(0) ^ (crc >> 8)
    })
}

const fn table() -> [u32; 256] {
    let mut table = [0u32; 256];
    let mut i = 0;
    while i < 256 {
        let mut value = i as u32;
        let mut bit = 0;
        while bit < 8 {
            value = if value & 1 == 1 { 0xedb8_8320 ^ (value >> 1) } else { value >> 1 };
            bit += 1;
        }
        table[i] = value;
        i += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Cursor, Read as _};

    fn files() -> BTreeMap<String, Vec<u8>> {
        BTreeMap::from([("a.txt".into(), b"one".to_vec()), ("b/c.json".into(), b"{}".to_vec()), ("z".into(), Vec::new())])
    }

    fn owned(archive: &Archive<'_>) -> BTreeMap<String, Vec<u8>> {
        archive.files.iter().map(|(p, b)| (p.clone(), b.to_vec())).collect()
    }

    #[test]
    fn the_check_value_of_crc_32() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn another_implementation_reads_what_is_written() {
        let bytes = write(&files()).unwrap();
        assert_eq!(bytes, write(&files()).unwrap());
        let mut other = zip::ZipArchive::new(Cursor::new(&bytes)).unwrap();
        assert_eq!(other.len(), 3);
        for (path, expected) in files() {
            let mut entry = other.by_name(&path).unwrap();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            assert_eq!((content, entry.compression()), (expected, zip::CompressionMethod::Stored));
        }
        let archive = read(&bytes).unwrap();
        assert_eq!(owned(&archive), files());
        assert_eq!(difference(&bytes, &archive), None);
    }

    #[test]
    fn what_another_implementation_writes_differs() {
        use std::io::Write as _;
        let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
        let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
        for (path, content) in files() {
            writer.start_file(path, options).unwrap();
            writer.write_all(&content).unwrap();
        }
        let bytes = writer.finish().unwrap().into_inner();
        let archive = read(&bytes).unwrap();
        assert_eq!(owned(&archive), files());
        assert!(difference(&bytes, &archive).is_some());
    }

    #[test]
    fn every_single_bit_matters() {
        let bytes = write(&files()).unwrap();
        for i in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[i / 8] ^= 1 << (i % 8);
            // A changed content byte is still a well-formed bundle of other files; its digest tells.
            if let Ok(archive) = read(&changed) {
                assert!(difference(&changed, &archive).is_some() || owned(&archive) != files(), "bit {i}");
            }
        }
        for end in 0..bytes.len() {
            assert!(read(&bytes[..end]).is_err(), "cut at {end}");
        }
        let longer = [bytes.as_slice(), b"x"].concat();
        assert!(read(&longer).is_err());
    }

    #[test]
    fn paths_that_lead_elsewhere_duplicates_and_disorder_are_refused() {
        for bad in ["", "/etc/passwd", "../x", "a/../b", "a//b", "a\\b", "C:x", ".hidden", "a/", "é", &"a".repeat(MAX_PATH + 1)] {
            assert!(matches!(write_in_order(&[(bad, b"")]), Err(ArchiveError::Path(_))), "{bad}");
        }
        let twice = write_in_order(&[("a", b"1"), ("a", b"2")]).unwrap();
        assert_eq!(read(&twice).unwrap_err(), ArchiveError::Duplicate("a".into()));
        let disorder = write_in_order(&[("b", b"1"), ("a", b"2")]).unwrap();
        assert!(difference(&disorder, &read(&disorder).unwrap()).unwrap().contains("\"a\" stands too late"));
    }

    #[test]
    fn overlapping_entries_do_not_grow() {
        // Every directory entry points at the same content.
        let content = vec![b'x'; 1000];
        let one = write_in_order(&[("a", &content)]).unwrap();
        let start = 30 + 1 + content.len();
        let header = &one[start..start + 47];
        let mut bomb = one[..start].to_vec();
        for i in 0..20u8 {
            let mut header = header.to_vec();
            header[46] = b'a' + i;
            bomb.extend_from_slice(&header);
        }
        let mut end = one[one.len() - 22..].to_vec();
        end[10] = 20;
        bomb.extend_from_slice(&end);
        assert_eq!(read(&bomb).unwrap_err(), ArchiveError::Malformed("its entries overlap"));
    }
}
