//! Reading a container entry by entry: strict, bounded, without trusting a number in it.

use std::collections::BTreeMap;
use std::io::{self, BufReader, Read, Seek, SeekFrom};

use flate2::Crc;
use flate2::bufread::DeflateDecoder;
use ring::digest::{Context, SHA256};

use super::form::{CENTRAL, DEFLATED, END, END_LEN, END64, END64_LEN, LOCAL, LOCATOR, UTF8, ZIP64, end};
use super::pack::digest;
use super::{ArchiveError, Facts, MAX_ENTRIES, check_path};

/// An entry as the directory describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Path.
    pub path: String,
    /// Whether it is deflated; otherwise stored.
    pub deflated: bool,
    /// CRC-32 that it names.
    pub crc: u32,
    /// Length of the packed bytes.
    pub packed: u64,
    /// Length of the content that it names.
    pub bytes: u64,
    /// Where its local header is.
    pub offset: u64,
}

/// A bundle that is read where it lies.
#[derive(Debug)]
pub struct Archive<R> {
    source: R,
    length: u64,
    directory: u64,
    entries: Vec<Entry>,
    index: BTreeMap<String, usize>,
}

impl<R: Read + Seek> Archive<R> {
    /// Reads the directory.
    pub fn open(mut source: R) -> Result<Self, ArchiveError> {
        let length = source.seek(SeekFrom::End(0))?;
        let (directory, count) = find_directory(&mut source, length)?;
        source.seek(SeekFrom::Start(directory))?;
        let mut reader = BufReader::new(&mut source);
        let mut archive = (Vec::new(), BTreeMap::new());
        for i in 0..count {
            let entry = entry(&mut reader)?;
            if archive.1.insert(entry.path.clone(), usize::try_from(i).unwrap_or(usize::MAX)).is_some() {
                return Err(ArchiveError::Duplicate(entry.path));
            }
            archive.0.push(entry);
        }
        let (entries, index) = archive;
        // Overlapping entries could make a small file huge.
        let packed = entries.iter().fold(0u64, |sum, e| sum.saturating_add(e.packed));
        if packed > length {
            return Err(ArchiveError::Malformed("its entries overlap"));
        }
        Ok(Self { source, length, directory, entries, index })
    }

    /// Entries in the order of the directory.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The entry of this path.
    pub fn entry(&self, path: &str) -> Option<&Entry> {
        self.entries.get(*self.index.get(path)?)
    }

    /// The content of an entry, up to `limit` bytes of it: the rest, if there is one, only shows in [`Content::finish`].
    pub fn content(&mut self, path: &str, limit: u64) -> Result<Content<&mut R>, ArchiveError> {
        let entry = self.entry(path).cloned().ok_or(ArchiveError::Malformed("an entry is gone"))?;
        let wrong = |why| ArchiveError::Entry { path: path.into(), why };
        let mut head = [0; 30];
        self.source.seek(SeekFrom::Start(entry.offset))?;
        self.source.read_exact(&mut head).map_err(|_| wrong("its local header lies outside the file"))?;
        if head.get(..4) != Some(LOCAL.as_slice()) {
            return Err(wrong("it has no local header where the directory says"));
        }
        let skip = i64::from(u16_at(&head, 26)) + i64::from(u16_at(&head, 28));
        self.source.seek(SeekFrom::Current(skip))?;
        Ok(Content::new(&mut self.source, entry, limit))
    }

    /// Where the bytes outside of the contents differ from what is written for these files; `None`: nowhere. `facts` are
    /// what reading each entry gave, in the order of the directory; `last` is the path that stands last.
    pub fn difference(&mut self, facts: &[Facts], last: &str) -> Result<Option<String>, ArchiveError> {
        let key = |f: &Facts| (f.path == last, f.path.clone());
        if let Some([_, late]) = facts.windows(2).find(|w| matches!(w, [a, b] if key(a) > key(b))) {
            return Ok(Some(format!("entries are not in order: {:?} stands too late", late.path)));
        }
        let mut offset = 0;
        let mut offsets = Vec::with_capacity(facts.len());
        for one in facts {
            let header = one.local_header();
            if !self.same(offset, &header)? {
                return Ok(Some(format!("the header of {:?} is not as written", one.path)));
            }
            offsets.push(offset);
            offset = offset.saturating_add(header.len() as u64).saturating_add(one.packed);
        }
        let directory_at = offset;
        for (one, at) in facts.iter().zip(offsets) {
            let header = one.central_header(at);
            if !self.same(offset, &header)? {
                return Ok(Some(format!("the directory entry of {:?} is not as written", one.path)));
            }
            offset = offset.saturating_add(header.len() as u64);
        }
        let end = end(facts.len() as u64, offset.saturating_sub(directory_at), directory_at);
        if directory_at != self.directory || !self.same(offset, &end)? || offset.saturating_add(end.len() as u64) != self.length {
            return Ok(Some("the end record is not as written".into()));
        }
        Ok(None)
    }

    fn same(&mut self, at: u64, expected: &[u8]) -> Result<bool, ArchiveError> {
        let mut found = vec![0; expected.len()];
        self.source.seek(SeekFrom::Start(at))?;
        match self.source.read_exact(&mut found) {
            Ok(()) => Ok(found == expected),
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            Err(e) => Err(e.into()),
        }
    }
}

/// Digests packed bytes as they are read.
struct PackedBytes<R> {
    source: io::Take<R>,
    sha: Context,
    bytes: u64,
}

impl<R: Read> Read for PackedBytes<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let n = self.source.read(into)?;
        self.sha.update(into.get(..n).unwrap_or_default());
        self.bytes += n as u64;
        Ok(n)
    }
}

enum Unpacker<R: Read> {
    Stored(BufReader<PackedBytes<R>>),
    Deflated(DeflateDecoder<BufReader<PackedBytes<R>>>),
}

/// The content of one entry, digested as it is read.
pub struct Content<R: Read> {
    unpacker: Unpacker<R>,
    entry: Entry,
    sha: Context,
    crc: Crc,
    bytes: u64,
    limit: u64,
}

impl<R: Read> std::fmt::Debug for Content<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Content").field("path", &self.entry.path).field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

impl<R: Read> Content<R> {
    fn new(source: R, entry: Entry, limit: u64) -> Self {
        let packed = BufReader::with_capacity(64 << 10, PackedBytes { source: source.take(entry.packed), sha: Context::new(&SHA256), bytes: 0 });
        let unpacker = if entry.deflated { Unpacker::Deflated(DeflateDecoder::new(packed)) } else { Unpacker::Stored(packed) };
        Self { unpacker, entry, sha: Context::new(&SHA256), crc: Crc::new(), bytes: 0, limit }
    }

    /// Reads the rest and says what the entry holds. Content beyond the limit counts as one more byte.
    pub fn finish(mut self) -> Result<Facts, ArchiveError> {
        let path = self.entry.path.clone();
        let damaged = |why| ArchiveError::Entry { path: path.clone(), why };
        let mut buffer = vec![0; 64 << 10];
        while self.read(&mut buffer).map_err(|_| damaged("its packed bytes are damaged"))? > 0 {}
        let more = match &mut self.unpacker {
            Unpacker::Stored(packed) => read_one(packed),
            Unpacker::Deflated(decoder) => read_one(decoder),
        };
        if more.map_err(|_| damaged("its packed bytes are damaged"))? {
            self.bytes = self.bytes.saturating_add(1);
        }
        let mut rest = match self.unpacker {
            Unpacker::Stored(packed) => packed,
            Unpacker::Deflated(decoder) => decoder.into_inner(),
        };
        io::copy(&mut rest, &mut io::sink())?;
        let packed = rest.into_inner();
        if packed.bytes != self.entry.packed {
            return Err(damaged("its content lies outside the file"));
        }
        Ok(Facts {
            bytes: self.bytes,
            crc: self.crc.sum(),
            deflated: self.entry.deflated,
            packed: packed.bytes,
            packed_sha256: digest(packed.sha),
            path: self.entry.path,
            sha256: digest(self.sha),
        })
    }
}

impl<R: Read> Read for Content<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let room = usize::try_from(self.limit.saturating_sub(self.bytes)).unwrap_or(usize::MAX).min(into.len());
        let into = into.get_mut(..room).unwrap_or_default();
        if into.is_empty() {
            return Ok(0);
        }
        let n = match &mut self.unpacker {
            Unpacker::Stored(packed) => packed.read(into)?,
            Unpacker::Deflated(decoder) => decoder.read(into)?,
        };
        let read = into.get(..n).unwrap_or_default();
        self.sha.update(read);
        self.crc.update(read);
        self.bytes += n as u64;
        Ok(n)
    }
}

fn read_one(source: &mut impl Read) -> io::Result<bool> {
    let mut one = [0];
    Ok(source.read(&mut one)? > 0)
}

/// Offset of the directory and how many entries it has.
fn find_directory<R: Read + Seek>(source: &mut R, length: u64) -> Result<(u64, u64), ArchiveError> {
    let at = length.checked_sub(END_LEN).ok_or(ArchiveError::Malformed("it is shorter than an empty zip file"))?;
    let mut record = [0; 22];
    source.seek(SeekFrom::Start(at))?;
    source.read_exact(&mut record)?;
    if record.get(..4) != Some(END.as_slice()) || u16_at(&record, 20) != 0 {
        return Err(ArchiveError::Malformed("it does not end with a plain zip end record (cut off, or something was appended)"));
    }
    let (mut count, mut start) = (u64::from(u16_at(&record, 10)), u64::from(u32_at(&record, 16)));
    if count == u64::from(u16::MAX) || start == u64::from(u32::MAX) {
        let at = at.checked_sub(END64_LEN).ok_or(ArchiveError::Malformed("it has no zip64 end record"))?;
        let mut record = [0; 76];
        source.seek(SeekFrom::Start(at))?;
        source.read_exact(&mut record)?;
        if record.get(..4) != Some(END64.as_slice()) || record.get(56..60) != Some(LOCATOR.as_slice()) {
            return Err(ArchiveError::Malformed("it has no zip64 end record"));
        }
        (count, start) = (u64_at(&record, 32), u64_at(&record, 48));
    }
    if count > MAX_ENTRIES {
        return Err(ArchiveError::Limit { what: "files", limit: MAX_ENTRIES });
    }
    if start > at || count.saturating_mul(46) > at - start {
        return Err(ArchiveError::Malformed("its directory lies outside the file"));
    }
    Ok((start, count))
}

/// The next entry of the directory.
fn entry(reader: &mut impl Read) -> Result<Entry, ArchiveError> {
    let outside = |_| ArchiveError::Malformed("a header lies outside the file");
    let mut head = [0; 46];
    reader.read_exact(&mut head).map_err(outside)?;
    if head.get(..4) != Some(CENTRAL.as_slice()) {
        return Err(ArchiveError::Malformed("its directory is damaged"));
    }
    let mut rest = vec![0; usize::from(u16_at(&head, 28)) + usize::from(u16_at(&head, 30)) + usize::from(u16_at(&head, 32))];
    reader.read_exact(&mut rest).map_err(outside)?;
    let (name, rest) = rest.split_at(usize::from(u16_at(&head, 28)));
    let path = std::str::from_utf8(name).map_err(|_| ArchiveError::Malformed("a file name is not UTF-8"))?.to_string();
    check_path(&path)?;
    let wrong = |why| ArchiveError::Entry { path: path.clone(), why };
    let (flags, method) = (u16_at(&head, 8), u16_at(&head, 10));
    if flags != UTF8 || !matches!(method, 0 | DEFLATED) {
        return Err(wrong("it is encrypted or packed in another way; bundles hold stored and deflated entries"));
    }
    let mut numbers = [u64::from(u32_at(&head, 24)), u64::from(u32_at(&head, 20)), u64::from(u32_at(&head, 42))];
    let mut extra = rest.get(4..usize::from(u16_at(&head, 30))).filter(|_| u16_at(rest, 0) == ZIP64).unwrap_or_default();
    for number in numbers.iter_mut().filter(|n| **n == u64::from(u32::MAX)) {
        let (eight, more) = extra.split_at_checked(8).ok_or_else(|| wrong("its zip64 numbers are missing"))?;
        (*number, extra) = (u64_at(eight, 0), more);
    }
    let [bytes, packed, offset] = numbers;
    if method == 0 && packed != bytes {
        return Err(wrong("its size is not possible"));
    }
    Ok(Entry { path, deflated: method == DEFLATED, crc: u32_at(&head, 16), packed, bytes, offset })
}

/// Callers read from arrays that are long enough; whatever is not there is 0.
fn u16_at(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..at + 2).and_then(|b| b.try_into().ok()).map_or(0, u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..at + 8).and_then(|b| b.try_into().ok()).map_or(0, u64::from_le_bytes)
}
