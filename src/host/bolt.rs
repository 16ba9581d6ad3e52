//! Reads the buckets of a bbolt database (Podman keeps its containers in one).
//!
//! ```text
//! page     id u64 | flags u16 (1 branch, 2 leaf, 4 meta) | count u16 | overflow u32 | elements          little endian
//! branch   position u32 | key length u32 | page u64
//! leaf     flags u32 (1: the value is a bucket) | position u32 | key length u32 | value length u32
//! bucket   root page u64 (0: a page follows here) | sequence u64
//! meta     magic u32 | version u32 | page size u32 | flags u32 | root bucket 16 | freelist u64 | pages u64 | transaction u64 | FNV-1a u64
//! ```
//! Positions count from the element itself. Pages of a committed transaction are never written
//! over while its meta page is the newest; that page is looked at again after the file was read.

use super::{Host, ReadError};

/// Largest database, bytes.
pub const FILE_LIMIT: usize = 64 << 20;
/// Most entries of one bucket.
pub const ENTRY_LIMIT: usize = 100_000;
/// Deepest b-tree.
const DEPTH_LIMIT: usize = 32;
const MAGIC: u32 = 0xED0C_DAED;
const HEAD: usize = 16;
const BRANCH: u16 = 1;
const LEAF: u16 = 2;
/// Bytes that hold both meta pages, whatever the size of a page.
const METAS: usize = 128 << 10;

/// Why a database can't be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BoltError {
    /// The file was not read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The bytes contradict the format.
    #[error("{0}: {1}")]
    Malformed(String, &'static str),
    /// Another process wrote while it was read.
    #[error("{0}: changed while it was read")]
    Changed(String),
}

/// A database in memory: its newest committed state.
#[derive(Debug)]
pub struct Bolt {
    place: String,
    bytes: Vec<u8>,
    page_size: usize,
    root: u64,
}

/// One entry of a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Key.
    pub key: &'a [u8],
    /// Value; of a bucket what leads to it.
    pub value: &'a [u8],
    /// Whether it is a bucket.
    pub is_bucket: bool,
}

/// Newest meta page: page size, root page, transaction.
type Meta = (usize, u64, u64);

impl Bolt {
    /// Reads the database at `place`.
    pub fn read(host: &Host, place: &str) -> Result<Self, BoltError> {
        let bytes = host.read(place, FILE_LIMIT)?;
        let (page_size, root, transaction) = newest(&bytes).ok_or_else(|| BoltError::Malformed(place.into(), "no bbolt database"))?;
        let again = host.read_head(place, METAS)?;
        if newest(&again).map(|m| m.2) != Some(transaction) {
            return Err(BoltError::Changed(place.into()));
        }
        Ok(Self { place: place.into(), bytes, page_size, root })
    }

    /// Entries of a bucket, given by the names on the way to it; none when there is no such bucket.
    pub fn entries(&self, path: &[&[u8]]) -> Result<Vec<Entry<'_>>, BoltError> {
        let mut entries = self.page_entries(self.page(self.root)?)?;
        for name in path {
            let Some(bucket) = entries.iter().find(|e| e.is_bucket && e.key == *name).copied() else { return Ok(Vec::new()) };
            entries = self.page_entries(self.bucket_page(bucket.value)?)?;
        }
        Ok(entries)
    }

    /// One value of a bucket.
    pub fn value(&self, path: &[&[u8]], key: &[u8]) -> Result<Option<&[u8]>, BoltError> {
        Ok(self.entries(path)?.into_iter().find(|e| !e.is_bucket && e.key == key).map(|e| e.value))
    }

    fn bucket_page<'a>(&'a self, value: &'a [u8]) -> Result<&'a [u8], BoltError> {
        let (root, rest) = value.split_first_chunk::<8>().ok_or_else(|| self.malformed("a bucket is cut short"))?;
        match u64::from_le_bytes(*root) {
            0 => rest.get(8..).ok_or_else(|| self.malformed("a bucket is cut short")),
            page => self.page(page),
        }
    }

    /// The bytes of a page and of those that it runs over into.
    fn page(&self, number: u64) -> Result<&[u8], BoltError> {
        let cut = || self.malformed("a page lies beyond the file");
        let start = usize::try_from(number).ok().and_then(|n| n.checked_mul(self.page_size)).ok_or_else(cut)?;
        let head = self.bytes.get(start..).and_then(|b| b.get(..HEAD)).ok_or_else(cut)?;
        if u64_at(head, 0) != Some(number) {
            return Err(self.malformed("a page has another number than its place"));
        }
        let overflow = u32_at(head, 12).and_then(|n| usize::try_from(n).ok()).ok_or_else(cut)?;
        let length = overflow.checked_add(1).and_then(|n| n.checked_mul(self.page_size)).ok_or_else(cut)?;
        let end = start.checked_add(length).filter(|end| *end <= self.bytes.len()).ok_or_else(cut)?;
        self.bytes.get(start..end).ok_or_else(cut)
    }

    fn page_entries<'a>(&'a self, page: &'a [u8]) -> Result<Vec<Entry<'a>>, BoltError> {
        let mut out = Vec::new();
        let mut budget = ENTRY_LIMIT;
        self.collect(page, 0, &mut budget, &mut out)?;
        Ok(out)
    }

    fn collect<'a>(&'a self, page: &'a [u8], depth: usize, budget: &mut usize, out: &mut Vec<Entry<'a>>) -> Result<(), BoltError> {
        let cut = || self.malformed("an element lies beyond its page");
        if depth > DEPTH_LIMIT {
            return Err(self.malformed("its pages are nested too deeply"));
        }
        let (flags, count) = (u16_at(page, 8).ok_or_else(cut)?, u16_at(page, 10).ok_or_else(cut)?);
        for index in 0..usize::from(count) {
            *budget = budget.checked_sub(1).ok_or_else(|| self.malformed("a bucket has too many entries"))?;
            let element = page.get(HEAD + index * 16..).ok_or_else(cut)?;
            if flags & LEAF != 0 {
                let number = |at: usize| u32_at(element, at).and_then(|n| usize::try_from(n).ok()).ok_or_else(cut);
                let (kind, position, key, value) = (number(0)?, number(4)?, number(8)?, number(12)?);
                let middle = position.checked_add(key).ok_or_else(cut)?;
                let end = middle.checked_add(value).ok_or_else(cut)?;
                let (key, value) = (element.get(position..middle).ok_or_else(cut)?, element.get(middle..end).ok_or_else(cut)?);
                out.push(Entry { key, value, is_bucket: kind & 1 != 0 });
            } else if flags & BRANCH != 0 {
                let child = u64_at(element, 8).ok_or_else(cut)?;
                self.collect(self.page(child)?, depth + 1, budget, out)?;
            } else {
                return Err(self.malformed("a page is neither branch nor leaf"));
            }
        }
        Ok(())
    }

    fn malformed(&self, why: &'static str) -> BoltError {
        BoltError::Malformed(self.place.clone(), why)
    }
}

fn newest(bytes: &[u8]) -> Option<Meta> {
    let first = meta(bytes);
    // The second page begins where the first says, or, when that is broken, where a page of the usual size ends.
    let sizes = first.map_or_else(|| vec![4096, 8192, 16_384, 65_536], |m| vec![m.0]);
    let second = sizes.into_iter().find_map(|size| bytes.get(size..).and_then(meta).filter(|m| m.0 == size));
    [first, second].into_iter().flatten().max_by_key(|m| m.2)
}

fn meta(page: &[u8]) -> Option<Meta> {
    let body = page.get(HEAD..HEAD + 64)?;
    let size = usize::try_from(u32_at(body, 8)?).ok()?;
    let sum = body.get(..56)?.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    let is_sound = u32_at(body, 0)? == MAGIC && u32_at(body, 4)? == 2 && size.is_power_of_two() && (512..=65_536).contains(&size) && u64_at(body, 56)? == sum;
    is_sound.then_some((size, u64_at(body, 16)?, u64_at(body, 48)?))
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|b| u16::from_le_bytes(*b))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|b| u32::from_le_bytes(*b))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|b| u64::from_le_bytes(*b))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: usize = 512;

    fn page(number: u64, flags: u16, count: u16, body: &[u8]) -> Vec<u8> {
        let mut out = number.to_le_bytes().to_vec();
        out.extend(flags.to_le_bytes());
        out.extend(count.to_le_bytes());
        out.extend(0_u32.to_le_bytes());
        out.extend(body);
        out.resize(SIZE, 0);
        out
    }

    fn meta_page(number: u64, root: u64, transaction: u64) -> Vec<u8> {
        let mut body = Vec::new();
        for n in [MAGIC, 2, u32::try_from(SIZE).unwrap(), 0] {
            body.extend(n.to_le_bytes());
        }
        for n in [root, 0, 2, 5, transaction] {
            body.extend(n.to_le_bytes());
        }
        let sum = body.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
        body.extend(sum.to_le_bytes());
        page(number, 4, 0, &body)
    }

    fn leaf(entries: &[(&[u8], &[u8], u32)]) -> Vec<u8> {
        let (mut head, mut data) = (Vec::new(), Vec::new());
        for (index, (key, value, kind)) in entries.iter().enumerate() {
            let position = (entries.len() - index) * 16 + data.len();
            for n in [usize::try_from(*kind).unwrap(), position, key.len(), value.len()] {
                head.extend(u32::try_from(n).unwrap().to_le_bytes());
            }
            data.extend_from_slice(key);
            data.extend_from_slice(value);
        }
        head.extend(data);
        head
    }

    /// Root leaf with a bucket `ctr` on page 4, which is a branch to page 5; that holds an inline bucket.
    fn database() -> Vec<u8> {
        let mut bucket = 4_u64.to_le_bytes().to_vec();
        bucket.extend([0; 8]);
        let mut inline = vec![0; 16];
        inline.extend(&page(0, LEAF, 1, &leaf(&[(b"config", b"{}", 0)]))[..HEAD + 16 + 8]);
        let mut branch = Vec::new();
        for n in [16_u32, 1] {
            branch.extend(n.to_le_bytes());
        }
        branch.extend(5_u64.to_le_bytes());
        branch.push(b'a');
        let pages = [
            meta_page(0, 3, 6),
            meta_page(1, 9, 5),
            page(2, 0x10, 0, &[]),
            page(3, LEAF, 1, &leaf(&[(b"ctr", &bucket, 1)])),
            page(4, BRANCH, 1, &branch),
            page(5, LEAF, 2, &leaf(&[(b"abc", &inline, 1), (b"d", b"value", 0)])),
        ];
        pages.concat()
    }

    fn open(bytes: &[u8]) -> Result<Bolt, BoltError> {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join("db"), bytes).unwrap();
        Bolt::read(&Host::rooted(root.path()).unwrap(), "/db")
    }

    #[test]
    fn buckets_branches_and_inline_pages() {
        let bolt = open(&database()).unwrap();
        let keys: Vec<&[u8]> = bolt.entries(&[b"ctr"]).unwrap().iter().map(|e| e.key).collect();
        assert_eq!(keys, [b"abc".as_slice(), b"d"]);
        assert_eq!(bolt.value(&[b"ctr", b"abc"], b"config").unwrap(), Some(b"{}".as_slice()));
        assert_eq!(bolt.value(&[b"ctr"], b"d").unwrap(), Some(b"value".as_slice()));
        assert_eq!(bolt.value(&[b"none"], b"d").unwrap(), None);
    }

    #[test]
    fn a_broken_meta_page_gives_way_to_the_other() {
        let mut bytes = database();
        bytes[SIZE..2 * SIZE].copy_from_slice(&meta_page(1, 3, 7));
        bytes[HEAD + 20] ^= 1;
        // The other page lies where only a page size of the first would say.
        assert!(open(&bytes).is_err());
        let mut bytes = database();
        bytes[SIZE + HEAD + 20] ^= 1;
        assert!(open(&bytes).is_ok());
    }

    #[test]
    fn any_damage_is_survived() {
        let whole = database();
        for at in 0..whole.len() {
            for flip in [1_u8, 0x80, 0xff] {
                let mut bytes = whole.clone();
                bytes[at] ^= flip;
                if let Some((page_size, root, _)) = newest(&bytes) {
                    let bolt = Bolt { place: String::new(), bytes, page_size, root };
                    let _ = bolt.entries(&[b"ctr"]);
                    let _ = bolt.value(&[b"ctr", b"abc"], b"config");
                }
            }
        }
        // A branch that leads to itself ends.
        let mut bytes = whole;
        let at = 4 * SIZE + HEAD + 8;
        bytes[at] = 4;
        assert!(open(&bytes).unwrap().entries(&[b"ctr"]).is_err());
    }
}
