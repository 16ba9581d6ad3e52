//! The index of advisories: one file, one zstd frame per ecosystem, so that a host reads its own only.
//!
//! ```text
//! head       "ASSAYADV" | u32 version = 1 | u32 length of the directory | SHA-256 of the directory (32)
//! directory  canonical JSON {"ecosystems":[{"length":…,"name":"Debian:12","newest":UNIX,"offset":…,"packages":…,
//!            "plain":…,"ranges":…,"records":…,"sha256":HEX}, … by name],"format":"assay.advisories.v1",
//!            "imported_at":UNIX,"records":…,"skipped":{REASON:COUNT},"sources":[{"name":…,"records":…,"sha256":HEX}]}
//! frames     zstd, in the order of the directory, without gaps; `offset` counts from the end of the directory
//!
//! a frame unpacked (little endian; a text is an offset into the text table):
//!   u32 packages | u32 ranges | u32 records | u32 bytes of text
//!   package    name | first range | number of ranges                                            12 bytes, by name
//!   range      record | from | until | u8 end | u8 status | u8 severity | u8 score in tenths (255: none)  16 bytes
//!   record     id | aliases, separated by a space | module stream | 0 | i64 published (minimum: unknown)  24 bytes
//!   text       u16 length | UTF-8
//! ```
//! The digest of the directory names the whole index: every frame is held to its own digest there.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Serialize};

use super::interval::End;
use super::osv::{Affected, Record};
use super::rating::{Severity, Status};
use super::wire::{i64_at, text_at, u32_at, usize_at};
use crate::model::canonical;
use crate::model::ids::Digest;

/// Name and version of the directory's format.
pub const FORMAT: &str = "assay.advisories.v1";
const MAGIC: &[u8; 8] = b"ASSAYADV";
const VERSION: u32 = 1;
/// Bytes before the directory.
const HEAD: usize = 48;
/// Largest directory, bytes.
const MAX_DIRECTORY: usize = 16 << 20;
/// Largest frame, bytes.
const MAX_FRAME: usize = 128 << 20;
/// Largest frame unpacked, bytes.
const MAX_PLAIN: usize = 512 << 20;
/// Compression: slow to write, once; quick to read, often.
const ZSTD_LEVEL: i32 = 12;
const PACKAGE: usize = 12;
const RANGE: usize = 16;
const RECORD: usize = 24;
const COUNTS: usize = 16;
const NO_SCORE: u8 = u8::MAX;

/// Why an index is not read or written.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// The file can't be read.
    #[error("{0}: {1}")]
    Read(String, std::io::Error),
    /// Not an index.
    #[error("not an index of advisories: {0}; make one with assay advisories import")]
    Malformed(&'static str),
    /// A later version.
    #[error("the index has version {0}, this program reads version {VERSION}; import again with the same program")]
    Version(u32),
    /// Its bytes are not those that were written.
    #[error("the index is damaged: {0}; import again")]
    Damaged(String),
    /// Beyond a limit.
    #[error("the index exceeds the limit of {limit} {what}")]
    Limit {
        /// What is counted.
        what: &'static str,
        /// How many are allowed.
        limit: usize,
    },
}

/// What the file holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Directory {
    /// Ecosystems by name.
    pub ecosystems: Vec<Ecosystem>,
    /// [`FORMAT`].
    pub format: String,
    /// When it was made, Unix seconds.
    pub imported_at: i64,
    /// Records in all.
    pub records: u64,
    /// Records left out, by reason.
    pub skipped: BTreeMap<String, u64>,
    /// Where the records came from.
    pub sources: Vec<SourceFile>,
}

/// One ecosystem.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ecosystem {
    /// OSV name with release.
    pub name: String,
    /// Offset of the frame, from the end of the directory.
    pub offset: u64,
    /// Bytes of the frame.
    pub length: u64,
    /// Bytes unpacked.
    pub plain: u64,
    /// SHA-256 of the frame.
    pub sha256: Digest,
    /// Newest change of a record, Unix seconds.
    pub newest: i64,
    /// Packages.
    pub packages: u64,
    /// Intervals.
    pub ranges: u64,
    /// Records.
    pub records: u64,
}

/// One source of an import.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceFile {
    /// File name without folders.
    pub name: String,
    /// Records taken from it.
    pub records: u64,
    /// SHA-256 over names and bytes of its records, in order.
    pub sha256: Digest,
}

/// Facts of an import that are not in the records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Provenance {
    /// When, Unix seconds.
    pub imported_at: i64,
    /// Records left out, by reason.
    pub skipped: BTreeMap<String, u64>,
    /// Where they came from.
    pub sources: Vec<SourceFile>,
}

/// The bytes of an index of these records.
pub fn write(records: &BTreeMap<String, Record>, provenance: Provenance) -> Result<Vec<u8>, IndexError> {
    let mut by_ecosystem: BTreeMap<&str, Vec<(&Record, &Affected)>> = BTreeMap::new();
    for record in records.values() {
        for affected in &record.affected {
            by_ecosystem.entry(&affected.ecosystem).or_default().push((record, affected));
        }
    }
    let (mut ecosystems, mut frames) = (Vec::new(), Vec::new());
    for (name, mut ranges) in by_ecosystem {
        ranges.sort_by(|a, b| (&a.1.package, &a.0.id, a.1).cmp(&(&b.1.package, &b.0.id, b.1)));
        let mut builder = Builder::default();
        let plain = builder.build(&ranges)?;
        let frame = zstd::encode_all(plain.as_slice(), ZSTD_LEVEL).map_err(|e| IndexError::Damaged(e.to_string()))?;
        if plain.len() > MAX_PLAIN || frame.len() > MAX_FRAME {
            return Err(IndexError::Limit { what: "bytes in one ecosystem", limit: MAX_PLAIN });
        }
        ecosystems.push(Ecosystem {
            name: name.into(),
            offset: frames.len() as u64,
            length: frame.len() as u64,
            plain: plain.len() as u64,
            sha256: Digest::of(&frame),
            newest: ranges.iter().map(|(r, _)| r.modified.max(r.published.unwrap_or(i64::MIN))).max().unwrap_or_default(),
            packages: builder.packages,
            ranges: ranges.len() as u64,
            records: builder.record_numbers.len() as u64,
        });
        frames.extend_from_slice(&frame);
    }
    let Provenance { imported_at, skipped, sources } = provenance;
    let directory = Directory { ecosystems, format: FORMAT.into(), imported_at, records: records.len() as u64, skipped, sources };
    let directory = canonical::to_bytes(&directory).map_err(|e| IndexError::Damaged(e.to_string()))?;
    if directory.len() > MAX_DIRECTORY {
        return Err(IndexError::Limit { what: "bytes of directory", limit: MAX_DIRECTORY });
    }
    let mut out = Vec::with_capacity(HEAD + directory.len() + frames.len());
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&VERSION.to_le_bytes());
    out.extend_from_slice(&small(directory.len()).to_le_bytes());
    out.extend_from_slice(Digest::of(&directory).bytes());
    out.extend_from_slice(&directory);
    out.extend_from_slice(&frames);
    Ok(out)
}

/// Lengths here are below [`MAX_PLAIN`], which fits.
fn small(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// Makes one frame.
#[derive(Default)]
struct Builder<'a> {
    text: Vec<u8>,
    texts: HashMap<String, u32>,
    record_numbers: HashMap<&'a str, u32>,
    packages: u64,
}

impl<'a> Builder<'a> {
    /// `ranges` are sorted by package.
    fn build(&mut self, ranges: &[(&'a Record, &'a Affected)]) -> Result<Vec<u8>, IndexError> {
        let (mut package_rows, mut range_rows, mut record_rows) = (Vec::new(), Vec::new(), Vec::new());
        for group in ranges.chunk_by(|a, b| a.1.package == b.1.package) {
            let Some((_, first)) = group.first() else { continue };
            let row = [self.intern(&first.package)?, small(range_rows.len() / RANGE), small(group.len())];
            row.iter().for_each(|n| package_rows.extend_from_slice(&n.to_le_bytes()));
            self.packages += 1;
            for (record, affected) in group {
                let number = match self.record_numbers.get(record.id.as_str()) {
                    Some(number) => *number,
                    None => {
                        let number = small(self.record_numbers.len());
                        self.record_numbers.insert(&record.id, number);
                        self.record(record, &mut record_rows)?;
                        number
                    }
                };
                let row = [number, self.intern(&affected.from)?, self.intern(&affected.until)?];
                row.iter().for_each(|n| range_rows.extend_from_slice(&n.to_le_bytes()));
                range_rows.extend([affected.end as u8, affected.status as u8, affected.severity as u8, affected.score.unwrap_or(NO_SCORE)]);
            }
        }
        let counts = [package_rows.len() / PACKAGE, range_rows.len() / RANGE, record_rows.len() / RECORD, self.text.len()];
        let mut out = Vec::new();
        counts.iter().for_each(|n| out.extend_from_slice(&small(*n).to_le_bytes()));
        for part in [package_rows, range_rows, record_rows] {
            out.extend_from_slice(&part);
        }
        out.extend_from_slice(&self.text);
        Ok(out)
    }

    fn record(&mut self, record: &Record, rows: &mut Vec<u8>) -> Result<(), IndexError> {
        let row = [self.intern(&record.id)?, self.intern(&joined(&record.aliases))?, self.intern(&record.stream)?, 0];
        row.iter().for_each(|n| rows.extend_from_slice(&n.to_le_bytes()));
        rows.extend_from_slice(&record.published.unwrap_or(i64::MIN).to_le_bytes());
        Ok(())
    }

    fn intern(&mut self, text: &str) -> Result<u32, IndexError> {
        if let Some(at) = self.texts.get(text) {
            return Ok(*at);
        }
        let length = u16::try_from(text.len()).map_err(|_| IndexError::Limit { what: "bytes in one text", limit: usize::from(u16::MAX) })?;
        let at = small(self.text.len());
        if self.text.len() > MAX_PLAIN {
            return Err(IndexError::Limit { what: "bytes in one ecosystem", limit: MAX_PLAIN });
        }
        self.text.extend_from_slice(&length.to_le_bytes());
        self.text.extend_from_slice(text.as_bytes());
        self.texts.insert(text.into(), at);
        Ok(at)
    }
}

/// As many aliases as fit into one text.
fn joined(aliases: &[String]) -> String {
    let mut out = String::new();
    for alias in aliases {
        if out.len() + alias.len() + 1 > usize::from(u16::MAX) {
            break;
        }
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(alias);
    }
    out
}

/// An index that was opened: its directory is read, frames when they are asked for.
#[derive(Debug)]
pub struct Index {
    directory: Directory,
    digest: Digest,
    store: Store,
    start: u64,
    frames: Vec<OnceLock<Arc<Frame>>>,
}

#[derive(Debug)]
enum Store {
    File(File, String),
    Bytes(Vec<u8>),
}

impl Store {
    fn read(&self, offset: u64, length: usize) -> Result<Vec<u8>, IndexError> {
        match self {
            Self::File(file, name) => {
                let mut out = vec![0; length];
                file.read_exact_at(&mut out, offset).map_err(|e| match e.kind() {
                    std::io::ErrorKind::UnexpectedEof => IndexError::Damaged("it is cut off".into()),
                    _ => IndexError::Read(name.clone(), e),
                })?;
                Ok(out)
            }
            Self::Bytes(bytes) => {
                let start = usize::try_from(offset).unwrap_or(usize::MAX);
                let found = bytes.get(start..start.saturating_add(length));
                found.map(<[u8]>::to_vec).ok_or_else(|| IndexError::Damaged("it is cut off".into()))
            }
        }
    }
}

impl Index {
    /// Opens a file; frames are read later from the same open file, even if it was replaced.
    pub fn open(path: &Path) -> Result<Self, IndexError> {
        let name = path.display().to_string();
        let fail = |e| IndexError::Read(name.clone(), e);
        let file = File::open(path).map_err(fail)?;
        let metadata = file.metadata().map_err(fail)?;
        if !metadata.is_file() {
            return Err(IndexError::Malformed("it is no regular file"));
        }
        Self::read(Store::File(file, name), metadata.len())
    }

    /// The same from memory.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, IndexError> {
        let length = bytes.len() as u64;
        Self::read(Store::Bytes(bytes), length)
    }

    fn read(store: Store, length: u64) -> Result<Self, IndexError> {
        if length < HEAD as u64 {
            return Err(IndexError::Malformed("it is too short"));
        }
        let head = store.read(0, HEAD)?;
        if head.get(..8) != Some(MAGIC) {
            return Err(IndexError::Malformed("it does not begin like one"));
        }
        let version = u32_at(&head, 8).unwrap_or_default();
        if version != VERSION {
            return Err(IndexError::Version(version));
        }
        let size = usize_at(&head, 12).filter(|n| *n <= MAX_DIRECTORY).ok_or(IndexError::Malformed("its directory is too large"))?;
        if (HEAD + size) as u64 > length {
            return Err(IndexError::Damaged("it is cut off".into()));
        }
        let bytes = store.read(HEAD as u64, size)?;
        let digest = Digest::of(&bytes);
        if head.get(16..HEAD) != Some(digest.bytes().as_slice()) {
            return Err(IndexError::Damaged("its directory has another digest".into()));
        }
        let directory: Directory = serde_json::from_slice(&bytes).map_err(|_| IndexError::Malformed("its directory is not readable"))?;
        let start = (HEAD + size) as u64;
        check(&directory, length - start)?;
        let frames = directory.ecosystems.iter().map(|_| OnceLock::new()).collect();
        Ok(Self { directory, digest, store, start, frames })
    }

    /// What it holds.
    pub const fn directory(&self) -> &Directory {
        &self.directory
    }

    /// SHA-256 of the directory: names the whole index.
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// The frame of the ecosystem at this place of the directory; read once and kept.
    pub fn frame(&self, number: usize) -> Result<Arc<Frame>, IndexError> {
        let (Some(slot), Some(ecosystem)) = (self.frames.get(number), self.directory.ecosystems.get(number)) else {
            return Err(IndexError::Malformed("there is no such ecosystem"));
        };
        if let Some(frame) = slot.get() {
            return Ok(Arc::clone(frame));
        }
        let damaged = |what: &str| IndexError::Damaged(format!("{}: {what}", ecosystem.name));
        let packed = self.store.read(self.start.saturating_add(ecosystem.offset), usize::try_from(ecosystem.length).unwrap_or(usize::MAX))?;
        if Digest::of(&packed) != ecosystem.sha256 {
            return Err(damaged("its frame has another digest"));
        }
        let size = usize::try_from(ecosystem.plain).unwrap_or(usize::MAX);
        let plain = zstd::bulk::decompress(&packed, size).map_err(|_| damaged("its frame does not unpack"))?;
        let frame = Arc::new(Frame::parse(plain).ok_or_else(|| damaged("its frame is not readable"))?);
        Ok(Arc::clone(slot.get_or_init(|| frame)))
    }

    /// Reads every frame, so that damage anywhere is told.
    pub fn verify(&self) -> Result<(), IndexError> {
        (0..self.directory.ecosystems.len()).try_for_each(|number| self.frame(number).map(|_| ()))
    }
}

/// Frames stand one after the other, within bounds and up to the end of the file.
fn check(directory: &Directory, length: u64) -> Result<(), IndexError> {
    if directory.format != FORMAT {
        return Err(IndexError::Malformed("its directory has another format"));
    }
    let mut end = 0u64;
    for ecosystem in &directory.ecosystems {
        if ecosystem.length > MAX_FRAME as u64 || ecosystem.plain > MAX_PLAIN as u64 {
            return Err(IndexError::Limit { what: "bytes in one ecosystem", limit: MAX_PLAIN });
        }
        if ecosystem.offset != end {
            return Err(IndexError::Malformed("its frames are not in order"));
        }
        end = end.saturating_add(ecosystem.length);
    }
    if !directory.ecosystems.is_sorted_by(|a, b| a.name < b.name) {
        return Err(IndexError::Malformed("its ecosystems are not in order"));
    }
    if end == length { Ok(()) } else { Err(IndexError::Damaged("its length differs from its directory".into())) }
}

/// One ecosystem, unpacked.
#[derive(Debug)]
pub struct Frame {
    bytes: Vec<u8>,
    packages: usize,
    ranges: usize,
    records: usize,
    text: usize,
}

/// One interval of a package.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range<'a> {
    /// Number of the record in the frame.
    pub record: usize,
    /// First version.
    pub from: &'a str,
    /// Where it ends.
    pub end: End,
    /// Version of the end.
    pub until: &'a str,
    /// How the distribution treats it.
    pub status: Status,
    /// How severe.
    pub severity: Severity,
    /// CVSS base score in tenths.
    pub score: Option<u8>,
}

/// What a record says beside its ranges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Id.
    pub id: &'a str,
    /// Other ids, separated by a space.
    pub aliases: &'a str,
    /// `module:stream`, or empty.
    pub stream: &'a str,
    /// Unix seconds.
    pub published: Option<i64>,
}

impl Frame {
    fn parse(bytes: Vec<u8>) -> Option<Self> {
        let count = |i: usize| usize_at(&bytes, i * 4);
        let (packages, ranges, records, text) = (count(0)?, count(1)?, count(2)?, count(3)?);
        let text_start =
            COUNTS.checked_add(packages.checked_mul(PACKAGE)?)?.checked_add(ranges.checked_mul(RANGE)?)?.checked_add(records.checked_mul(RECORD)?)?;
        (text_start.checked_add(text)? == bytes.len()).then_some(Self { bytes, packages, ranges, records, text: text_start })
    }

    fn text(&self, at: usize) -> Option<&str> {
        text_at(&self.bytes, self.text.checked_add(usize_at(&self.bytes, at)?)?)
    }

    /// The ranges of a package; `None` when the frame can't be read there.
    pub fn ranges_of(&self, package: &str) -> Option<Vec<Range<'_>>> {
        let (mut low, mut high) = (0, self.packages);
        while low < high {
            let middle = low.midpoint(high);
            let row = COUNTS + middle * PACKAGE;
            match self.text(row)?.cmp(package) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => {
                    let (first, count) = (usize_at(&self.bytes, row + 4)?, usize_at(&self.bytes, row + 8)?);
                    let end = first.checked_add(count).filter(|end| *end <= self.ranges)?;
                    return (first..end).map(|number| self.range(number)).collect();
                }
            }
        }
        Some(Vec::new())
    }

    fn range(&self, number: usize) -> Option<Range<'_>> {
        let row = COUNTS + self.packages * PACKAGE + number * RANGE;
        let [end, status, severity, score] = *self.bytes.get(row + 12..row + 16)? else { return None };
        Some(Range {
            record: usize_at(&self.bytes, row).filter(|n| *n < self.records)?,
            from: self.text(row + 4)?,
            end: *[End::Open, End::Fixed, End::Last, End::Exact, End::Limit].get(usize::from(end))?,
            until: self.text(row + 8)?,
            status: *[Status::Open, Status::Unimportant, Status::EndOfLife].get(usize::from(status))?,
            severity: *[Severity::Unknown, Severity::None, Severity::Low, Severity::Medium, Severity::High, Severity::Critical].get(usize::from(severity))?,
            score: Some(score).filter(|s| *s != NO_SCORE),
        })
    }

    /// A record; `None` when the frame can't be read there.
    pub fn entry(&self, number: usize) -> Option<Entry<'_>> {
        let row = COUNTS + self.packages * PACKAGE + self.ranges * RANGE + number.checked_mul(RECORD)?;
        let published = i64_at(&self.bytes, row + 16)?;
        Some(Entry { id: self.text(row)?, aliases: self.text(row + 4)?, stream: self.text(row + 8)?, published: Some(published).filter(|at| *at != i64::MIN) })
    }
}

#[cfg(test)]
mod tests {
    use super::super::osv::{self, Parsed};
    use super::*;

    fn records() -> BTreeMap<String, Record> {
        let texts = [
            r#"{"id":"DSA-1-1","modified":"2024-01-02T00:00:00Z","published":"2024-01-01T00:00:00Z","upstream":["CVE-2024-1"],"affected":[
                {"package":{"ecosystem":"Debian:12","name":"openssl"},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"fixed":"3.0.11-1"}]}]},
                {"package":{"ecosystem":"Debian:11","name":"openssl"},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"fixed":"1.1.1-2"}]}]}]}"#,
            r#"{"id":"DEBIAN-CVE-2024-1","modified":"2024-01-03T00:00:00Z","affected":[
                {"package":{"ecosystem":"Debian:12","name":"zlib"},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"}]}],"ecosystem_specific":{"urgency":"low"}},
                {"package":{"ecosystem":"Debian:12","name":"openssl"},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"3"},{"last_affected":"3.0.10-1"}]}]}]}"#,
        ];
        let parsed = texts.iter().map(|t| match osv::parse(t.as_bytes()) {
            Ok(Parsed::Record(record)) => (record.id.clone(), record),
            other => panic!("{other:?}"),
        });
        parsed.collect()
    }

    fn bytes() -> Vec<u8> {
        write(&records(), Provenance { imported_at: 1_700_000_000, ..Provenance::default() }).unwrap()
    }

    #[test]
    fn what_is_written_is_found_again() {
        let index = Index::from_bytes(bytes()).unwrap();
        let names: Vec<&str> = index.directory().ecosystems.iter().map(|e| e.name.as_str()).collect();
        assert_eq!((names, index.directory().records), (vec!["Debian:11", "Debian:12"], 2));
        assert_eq!(index.directory().ecosystems[1].newest, 1_704_240_000);
        let frame = index.frame(1).unwrap();
        let ranges = frame.ranges_of("openssl").unwrap();
        let shown: Vec<String> = ranges.iter().map(|r| format!("{} {} {:?} {}", frame.entry(r.record).unwrap().id, r.from, r.end, r.until)).collect();
        assert_eq!(shown, ["DEBIAN-CVE-2024-1 3 Last 3.0.10-1", "DSA-1-1 0 Fixed 3.0.11-1"]);
        let entry = frame.entry(ranges[1].record).unwrap();
        assert_eq!((entry.aliases, entry.published), ("CVE-2024-1", Some(1_704_067_200)));
        assert_eq!(frame.ranges_of("zlib").unwrap()[0].severity, Severity::Low);
        assert!(frame.ranges_of("absent").unwrap().is_empty());
        index.verify().unwrap();
    }

    #[test]
    fn the_same_records_give_the_same_bytes() {
        assert_eq!(bytes(), bytes());
    }

    #[test]
    fn every_changed_bit_and_every_cut_is_noticed() {
        let good = bytes();
        let fails = |bytes: Vec<u8>| Index::from_bytes(bytes).and_then(|i| i.verify()).is_err();
        for i in 0..good.len() * 8 {
            let mut changed = good.clone();
            changed[i / 8] ^= 1 << (i % 8);
            assert!(fails(changed), "bit {i}");
        }
        for end in 0..good.len() {
            assert!(fails(good[..end].to_vec()), "cut at {end}");
        }
        assert!(fails([good.as_slice(), b"x"].concat()));
    }

    #[test]
    fn a_hostile_frame_with_a_good_digest_never_panics() {
        let mut builder = Builder::default();
        let records = records();
        let ranges: Vec<(&Record, &Affected)> =
            records.values().flat_map(|r| r.affected.iter().map(move |a| (r, a))).filter(|(_, a)| a.ecosystem == "Debian:12").collect();
        let plain = builder.build(&ranges).unwrap();
        for i in 0..plain.len() {
            for byte in [0, 1, 0x7f, 0xff] {
                let mut changed = plain.clone();
                changed[i] = byte;
                let Some(frame) = Frame::parse(changed) else { continue };
                for name in ["openssl", "zlib"] {
                    for range in frame.ranges_of(name).into_iter().flatten() {
                        let _ = frame.entry(range.record);
                    }
                }
            }
        }
    }
}
