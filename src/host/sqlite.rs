//! Reads the rows of one table of an SQLite database (rpm keeps its packages in one).
//!
//! Our own reader instead of the C library: the library opens paths, and so would leave the root
//! that is read; it parses hostile bytes in C; and it costs an agent of a few megabytes another one.
//! What is needed is small: table b-trees, records, overflow pages and the write-ahead log, as
//! <https://www.sqlite.org/fileformat2.html> defines them. Indexes, WITHOUT ROWID tables and UTF-16
//! are not read. Every page is read at most once, which bounds the work by the size of the file.

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::os::unix::fs::FileExt as _;

use super::{Host, ReadError};

/// Largest database and largest write-ahead log, bytes.
pub const FILE_LIMIT: u64 = 512 << 20;
/// Largest row, bytes (rpm's largest header, a kernel with its file list, has about 8 MiB).
pub const ROW_LIMIT: usize = 32 << 20;
/// Deepest b-tree; a full one of this depth would not fit in [`FILE_LIMIT`].
const DEPTH_LIMIT: usize = 20;
/// Most columns of a row that are decoded.
const COLUMN_LIMIT: usize = 64;

const MAGIC: &[u8; 16] = b"SQLite format 3\0";
const JOURNAL_MAGIC: [u8; 8] = [0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7];

/// Why a database can't be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SqliteError {
    /// A file was not read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The bytes contradict the format.
    #[error("{0}: {1}")]
    Malformed(String, String),
    /// A feature that is not read.
    #[error("{0}: {1}")]
    Unsupported(String, String),
    /// Another process wrote while it was read.
    #[error("{0}: changed while it was read")]
    Changed(String),
}

/// One value of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// NULL, also an INTEGER PRIMARY KEY (its value is the row id).
    Null,
    /// An integer.
    Integer(i64),
    /// A floating-point number, its bits.
    Real(u64),
    /// Text, UTF-8 when the writer kept its word.
    Text(&'a [u8]),
    /// Bytes.
    Blob(&'a [u8]),
}

/// An open database: its committed state, write-ahead log included.
#[derive(Debug)]
pub struct Database {
    place: String,
    file: File,
    log: Option<File>,
    /// Page -> offset of its newest committed copy in the log.
    logged: BTreeMap<u32, u64>,
    page_size: usize,
    usable: usize,
    pages: u32,
    visited: HashSet<u32>,
    /// What a writer changes: the start of the file and the length and start of the log.
    state: (Vec<u8>, u64, Vec<u8>),
}

impl Database {
    /// Opens the database at `place`.
    pub fn open(host: &Host, place: &str) -> Result<Self, SqliteError> {
        let file = open_bounded(host, place)?;
        refuse_hot_journal(host, place)?;
        let log_place = format!("{place}-wal");
        let log = match open_bounded(host, &log_place) {
            Ok(log) => Some(log),
            Err(SqliteError::Read(e)) if e.is_not_found() => None,
            Err(e) => return Err(e),
        };
        let size = length(&file, place)?;
        let state = state(&file, log.as_ref(), place)?;
        let mut database = Self { place: place.into(), file, log, logged: BTreeMap::new(), page_size: 0, usable: 0, pages: 0, visited: HashSet::new(), state };
        database.apply_log()?;
        let head = database.head()?;
        database.read_head(&head, size)?;
        Ok(database)
    }

    /// Calls `row` with the id and the values of every row of the table; `false` ends the walk.
    pub fn rows(&mut self, table: &str, mut row: impl FnMut(i64, &[Value<'_>]) -> bool) -> Result<(), SqliteError> {
        let mut root = None;
        self.visited.clear();
        self.walk(1, &mut |_, values| {
            if let [Value::Text(b"table"), Value::Text(name), _, Value::Integer(page), ..] = values
                && name.eq_ignore_ascii_case(table.as_bytes())
            {
                root = u32::try_from(*page).ok();
            }
            root.is_none()
        })?;
        let root = root.ok_or_else(|| self.malformed(format!("no table {table}")))?;
        self.visited.clear();
        self.walk(root, &mut row)?;
        if state(&self.file, self.log.as_ref(), &self.place)? == self.state { Ok(()) } else { Err(SqliteError::Changed(self.place.clone())) }
    }

    fn malformed(&self, why: impl Into<String>) -> SqliteError {
        SqliteError::Malformed(self.place.clone(), why.into())
    }

    /// The first 100 bytes, from the log when page 1 is there.
    fn head(&self) -> Result<Vec<u8>, SqliteError> {
        let mut head = vec![0; 100];
        let (file, offset) = match (self.logged.get(&1), &self.log) {
            (Some(offset), Some(log)) => (log, *offset),
            _ => (&self.file, 0),
        };
        file.read_exact_at(&mut head, offset).map_err(|_| self.malformed("shorter than its header"))?;
        Ok(head)
    }

    fn read_head(&mut self, head: &[u8], size: u64) -> Result<(), SqliteError> {
        if head.get(..16) != Some(MAGIC.as_slice()) {
            return Err(self.malformed("no SQLite database"));
        }
        let page_size = match be16(head, 16) {
            1 => 65_536,
            n if n >= 512 && n.is_power_of_two() => usize::from(n),
            n => return Err(self.malformed(format!("page size {n}"))),
        };
        if self.page_size != 0 && self.page_size != page_size {
            return Err(self.malformed("its log has another page size"));
        }
        let reserved = head.get(20).copied().map_or(0, usize::from);
        if head.get(19).is_none_or(|v| *v > 2) {
            return Err(SqliteError::Unsupported(self.place.clone(), "a later file format of SQLite".into()));
        }
        if !matches!(be32(head, 56), 0 | 1) {
            return Err(SqliteError::Unsupported(self.place.clone(), "text in UTF-16".into()));
        }
        if page_size - reserved < 480 {
            return Err(self.malformed("too many reserved bytes"));
        }
        (self.page_size, self.usable) = (page_size, page_size - reserved);
        if self.pages == 0 {
            self.pages = u32::try_from(size / page_size as u64).unwrap_or(u32::MAX);
        }
        Ok(())
    }

    /// Indexes the frames of the log up to its last commit: salts and running checksums must match.
    fn apply_log(&mut self) -> Result<(), SqliteError> {
        let Some(log) = &self.log else {
            return Ok(());
        };
        let mut head = [0u8; 32];
        if log.read_exact_at(&mut head, 0).is_err() {
            return Ok(());
        }
        let big_endian = match be32(&head, 0) {
            0x377f_0682 => false,
            0x377f_0683 => true,
            _ => return Ok(()),
        };
        let page_size = be32(&head, 8) as usize;
        let mut sum = checksum(&head[..24], big_endian, (0, 0));
        if !(512..=65_536).contains(&page_size) || !page_size.is_power_of_two() || sum != (be32(&head, 24), be32(&head, 28)) {
            return Ok(());
        }
        let (mut waiting, mut frame) = (BTreeMap::new(), vec![0u8; 24 + page_size]);
        let mut offset = 32u64;
        while log.read_exact_at(&mut frame, offset).is_ok() {
            if frame.get(8..16) != head.get(16..24) {
                break;
            }
            sum = checksum(&frame[..8], big_endian, sum);
            sum = checksum(&frame[24..], big_endian, sum);
            if sum != (be32(&frame, 16), be32(&frame, 20)) {
                break;
            }
            waiting.insert(be32(&frame, 0), offset + 24);
            let pages = be32(&frame, 4);
            if pages > 0 {
                self.logged.append(&mut waiting);
                (self.pages, self.page_size) = (pages, page_size);
            }
            offset += frame.len() as u64;
        }
        Ok(())
    }

    fn page(&mut self, number: u32) -> Result<Vec<u8>, SqliteError> {
        if number == 0 || number > self.pages {
            return Err(self.malformed(format!("page {number} of {}", self.pages)));
        }
        if !self.visited.insert(number) {
            return Err(self.malformed(format!("page {number} is used twice")));
        }
        let mut out = vec![0; self.page_size];
        let (file, offset) = match (self.logged.get(&number), &self.log) {
            (Some(offset), Some(log)) => (log, *offset),
            _ => (&self.file, u64::from(number - 1) * self.page_size as u64),
        };
        file.read_exact_at(&mut out, offset).map_err(|e| SqliteError::Read(ReadError::Io(self.place.clone(), e.to_string())))?;
        Ok(out)
    }

    /// Every row below a page, in order of row ids.
    fn walk(&mut self, root: u32, row: &mut dyn FnMut(i64, &[Value<'_>]) -> bool) -> Result<(), SqliteError> {
        let mut waiting = vec![(root, 0usize)];
        while let Some((number, depth)) = waiting.pop() {
            if depth > DEPTH_LIMIT {
                return Err(self.malformed("its b-tree is too deep"));
            }
            let page = self.page(number)?;
            let start = if number == 1 { 100 } else { 0 };
            match page.get(start) {
                Some(5) => {
                    waiting.push((be32(&page, start + 8), depth + 1));
                    for cell in self.cells(&page, start, 12)?.into_iter().rev() {
                        waiting.push((be32(&page, cell), depth + 1));
                    }
                }
                Some(13) => {
                    for cell in self.cells(&page, start, 8)? {
                        if !self.leaf_cell(&page, cell, row)? {
                            return Ok(());
                        }
                    }
                }
                _ => return Err(self.malformed(format!("page {number} is no page of a table"))),
            }
            // A page holds fewer children than bytes, and every child is visited once.
            if waiting.len() > self.pages as usize + self.page_size {
                return Err(self.malformed("its b-tree names more pages than there are"));
            }
        }
        Ok(())
    }

    /// Offsets of the cells of a b-tree page.
    fn cells(&self, page: &[u8], start: usize, head: usize) -> Result<Vec<usize>, SqliteError> {
        let count = usize::from(be16(page, start + 3));
        let array = page.get(start + head..start + head + 2 * count).ok_or_else(|| self.malformed("a page with too many cells"))?;
        let cells: Vec<usize> = array.chunks_exact(2).map(|c| usize::from(be16(c, 0))).collect();
        if cells.iter().any(|c| *c < start + head || *c + 4 > page.len()) {
            return Err(self.malformed("a cell outside its page"));
        }
        Ok(cells)
    }

    fn leaf_cell(&mut self, page: &[u8], cell: usize, row: &mut dyn FnMut(i64, &[Value<'_>]) -> bool) -> Result<bool, SqliteError> {
        let cut = || SqliteError::Malformed(self.place.clone(), "a cell that ends outside its page".into());
        let mut at = cell;
        let size = varint(page, &mut at).ok_or_else(cut)?;
        let id = varint(page, &mut at).ok_or_else(cut)?.cast_signed();
        let size = usize::try_from(size).ok().filter(|s| *s <= ROW_LIMIT);
        let size = size.ok_or_else(|| SqliteError::Read(ReadError::TooLarge(self.place.clone(), ROW_LIMIT)))?;
        let local = self.local_size(size);
        let mut payload = page.get(at..at + local).ok_or_else(cut)?.to_vec();
        if local < size {
            let mut next = page.get(at + local..at + local + 4).map(|b| be32(b, 0)).ok_or_else(cut)?;
            while payload.len() < size {
                let more = self.page(next)?;
                let take = (size - payload.len()).min(self.usable - 4);
                payload.extend_from_slice(more.get(4..4 + take).unwrap_or_default());
                next = be32(&more, 0);
            }
        }
        let values = record(&payload).ok_or_else(|| self.malformed(format!("row {id} is no record")))?;
        Ok(row(id, &values))
    }

    /// How much of a payload stands in the leaf itself.
    fn local_size(&self, size: usize) -> usize {
        let (most, least) = (self.usable - 35, (self.usable - 12) * 32 / 255 - 23);
        if size <= most {
            return size;
        }
        let kept = least + (size - least) % (self.usable - 4);
        if kept <= most { kept } else { least }
    }
}

fn open_bounded(host: &Host, place: &str) -> Result<File, SqliteError> {
    let file = host.open_file(place)?;
    if length(&file, place)? > FILE_LIMIT {
        return Err(ReadError::TooLarge(place.into(), FILE_LIMIT as usize).into());
    }
    Ok(file)
}

fn length(file: &File, place: &str) -> Result<u64, SqliteError> {
    Ok(file.metadata().map_err(|e| ReadError::Io(place.into(), e.to_string()))?.len())
}

/// A journal with a header holds pages that a crashed writer has yet to take back.
fn refuse_hot_journal(host: &Host, place: &str) -> Result<(), SqliteError> {
    let journal = format!("{place}-journal");
    match host.read_head(&journal, 8) {
        Ok(head) if head == JOURNAL_MAGIC => Err(SqliteError::Unsupported(journal, "a transaction was interrupted and not yet taken back".into())),
        Ok(_) => Ok(()),
        Err(e) if e.is_not_found() => Ok(()),
        Err(e) => Err(e.into()),
    }
}

fn state(file: &File, log: Option<&File>, place: &str) -> Result<(Vec<u8>, u64, Vec<u8>), SqliteError> {
    let start = |file: &File, length: usize| {
        let mut head = vec![0; length];
        let read = file.read_at(&mut head, 0).unwrap_or(0);
        head.truncate(read);
        head
    };
    let log_length = log.map(|l| length(l, place)).transpose()?.unwrap_or(0);
    Ok((start(file, 100), log_length, log.map(|l| start(l, 32)).unwrap_or_default()))
}

/// The running checksum of the log over pairs of 32-bit words.
fn checksum(bytes: &[u8], big_endian: bool, start: (u32, u32)) -> (u32, u32) {
    let (mut a, mut b) = start;
    for pair in bytes.chunks_exact(8) {
        let word = |at: usize| if big_endian { be32(pair, at) } else { be32(pair, at).swap_bytes() };
        a = a.wrapping_add(word(0)).wrapping_add(b);
        b = b.wrapping_add(word(4)).wrapping_add(a);
    }
    (a, b)
}

/// The values of a record.
fn record(payload: &[u8]) -> Option<Vec<Value<'_>>> {
    let mut at = 0;
    let head = usize::try_from(varint(payload, &mut at)?).ok().filter(|h| *h >= at && *h <= payload.len())?;
    let mut body = head;
    let mut out = Vec::new();
    while at < head && out.len() < COLUMN_LIMIT {
        let kind = varint(payload.get(..head)?, &mut at)?;
        let size = match kind {
            0 | 8 | 9 => 0,
            1..=4 => kind,
            5 => 6,
            6 | 7 => 8,
            10 | 11 => return None,
            _ => (kind - 12) / 2,
        };
        let end = body.checked_add(usize::try_from(size).ok()?)?;
        let bytes = payload.get(body..end)?;
        body = end;
        out.push(match kind {
            0 => Value::Null,
            7 => Value::Real(integer(bytes).cast_unsigned()),
            8 => Value::Integer(0),
            9 => Value::Integer(1),
            1..=6 => Value::Integer(integer(bytes)),
            _ if kind % 2 == 0 => Value::Blob(bytes),
            _ => Value::Text(bytes),
        });
    }
    Some(out)
}

/// A big-endian two's-complement number of up to eight bytes.
fn integer(bytes: &[u8]) -> i64 {
    let negative = bytes.first().is_some_and(|b| b & 0x80 != 0);
    bytes.iter().fold(if negative { -1 } else { 0 }, |n, b| (n << 8) | i64::from(*b))
}

/// SQLite's variable-length integer: seven bits a byte, the ninth byte whole.
fn varint(bytes: &[u8], at: &mut usize) -> Option<u64> {
    let mut out = 0u64;
    for i in 0..9 {
        let byte = *bytes.get(*at)?;
        *at += 1;
        if i == 8 {
            return Some((out << 8) | u64::from(byte));
        }
        out = (out << 7) | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            break;
        }
    }
    Some(out)
}

fn be16(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..at + 2).and_then(|b| b.try_into().ok()).map_or(0, u16::from_be_bytes)
}

fn be32(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_be_bytes)
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "databases are made by SQLite itself, through Python")]
mod tests {
    use super::*;
    use std::path::Path;
    use std::process::Command;

    /// Runs a Python script with `db` open; the write-ahead log stays as the script leaves it.
    fn python(folder: &Path, script: &str) {
        let whole =
            format!("import os, sqlite3\ndb = sqlite3.connect('a.db', isolation_level=None)\ndb.execute('pragma synchronous=off')\n{script}\nos._exit(0)\n");
        assert!(Command::new("python3").current_dir(folder).args(["-c", &whole]).status().unwrap().success());
    }

    fn dump(folder: &Path) -> Result<Vec<String>, SqliteError> {
        let host = Host::rooted(folder).unwrap();
        let mut out = Vec::new();
        Database::open(&host, "/a.db")?.rows("T", |id, values| {
            let shown: Vec<String> = values
                .iter()
                .map(|v| match v {
                    Value::Text(t) => format!("'{}'", String::from_utf8_lossy(t)),
                    Value::Blob(b) => format!("x{}:{}", b.len(), b.iter().map(|b| u64::from(*b)).sum::<u64>()),
                    other => format!("{other:?}"),
                })
                .collect();
            out.push(format!("{id} {}", shown.join(" ")));
            true
        })?;
        Ok(out)
    }

    #[test]
    fn every_page_size_type_and_overflow() {
        for size in [512, 1024, 4096, 65_536] {
            let dir = tempfile::tempdir().unwrap();
            python(
                dir.path(),
                &format!(
                    "db.execute('pragma page_size={size}')\ndb.execute('create table other(a)')\n\
                     db.execute('create table t(id integer primary key, a, b)')\ndb.execute('create index i on t(a)')\n\
                     db.execute('begin')\n\
                     for n in range(1, 2001): db.execute('insert into t values(?,?,?)', (n, 'row %d' % n, bytes([n % 256]) * (n * 37 % 9000)))\n\
                     db.execute('delete from t where id % 3 = 0')\n\
                     db.execute('insert into t values(-5, -129, ?)', (2**40,))\ndb.execute('insert into t values(9000000000, 1.5, null)')\ndb.execute('commit')"
                ),
            );
            let rows = dump(dir.path()).unwrap();
            assert_eq!(rows.len(), 2000 - 666 + 2);
            assert_eq!(rows[0], "-5 Null Integer(-129) Integer(1099511627776)");
            assert_eq!(rows.last().unwrap(), &format!("9000000000 Null Real({}) Null", 1.5f64.to_bits()));
            assert!(rows.contains(&format!("1000 Null 'row 1000' x{}:{}", 1000 * 37 % 9000, (1000 * 37 % 9000) * (1000 % 256))), "{size}");
        }
    }

    const WAL: &str = "db.execute('pragma journal_mode=wal')\ndb.execute('create table t(a)')\ndb.execute('insert into t values(1)')\n\
                       db.execute('pragma wal_checkpoint(truncate)')\ndb.execute('pragma wal_autocheckpoint=0')\n\
                       for n in range(2, 60): db.execute('insert into t values(?)', (n,))\n";

    #[test]
    fn what_stands_in_the_log_only_is_read_up_to_the_last_commit() {
        let dir = tempfile::tempdir().unwrap();
        python(
            dir.path(),
            &format!("{WAL}db.execute('pragma cache_size=1')\ndb.execute('begin')\nfor n in range(5000): db.execute('insert into t values(zeroblob(900))')"),
        );
        assert!(dir.path().join("a.db-wal").metadata().unwrap().len() > 1 << 20, "the open transaction was not written");
        let rows = dump(dir.path()).unwrap();
        assert_eq!((rows.len(), rows.last().unwrap().as_str()), (59, "59 Integer(59)"));
        // A frame that does not match its checksum ends the log, with it the commits after it.
        let log = dir.path().join("a.db-wal");
        let mut bytes = std::fs::read(&log).unwrap();
        bytes[32 + 10 * (24 + 4096) + 100] ^= 1;
        std::fs::write(&log, &bytes).unwrap();
        let cut = dump(dir.path()).unwrap();
        assert!(cut.len() < 20 && !cut.is_empty(), "{}", cut.len());
        std::fs::remove_file(log).unwrap();
        assert_eq!(dump(dir.path()).unwrap(), ["1 Integer(1)"]);
    }

    #[test]
    fn unsupported_and_unfinished_databases_are_named() {
        let dir = tempfile::tempdir().unwrap();
        python(dir.path(), "db.execute('pragma encoding=\"UTF-16\"')\ndb.execute('create table t(a)')");
        assert!(matches!(dump(dir.path()), Err(SqliteError::Unsupported(_, why)) if why.contains("UTF-16")));
        std::fs::remove_file(dir.path().join("a.db")).unwrap();
        python(dir.path(), "db.execute('create table x(a)')");
        assert!(dump(dir.path()).unwrap_err().to_string().contains("no table T"));
        std::fs::write(dir.path().join("a.db-journal"), JOURNAL_MAGIC).unwrap();
        assert!(dump(dir.path()).unwrap_err().to_string().contains("interrupted"));
        std::fs::write(dir.path().join("a.db-journal"), [0; 8]).unwrap();
        std::fs::write(dir.path().join("a.db"), "text").unwrap();
        assert!(matches!(dump(dir.path()), Err(SqliteError::Malformed(..))));
    }

    #[test]
    fn damaged_bytes_end_in_an_error_or_in_rows() {
        let dir = tempfile::tempdir().unwrap();
        python(dir.path(), &format!("db.execute('pragma page_size=512')\n{WAL}\ndb.execute('insert into t values(zeroblob(5000))')"));
        let (file, log) = (std::fs::read(dir.path().join("a.db")).unwrap(), std::fs::read(dir.path().join("a.db-wal")).unwrap());
        let mut seed = 7u64;
        let mut random = move |below: usize| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) as usize % below
        };
        for round in 0..1000 {
            let (mut a, mut b) = (file.clone(), log.clone());
            for _ in 0..=random(4) {
                let at = random(a.len());
                a[at] = random(256) as u8;
            }
            if round % 2 == 0 {
                let at = random(b.len());
                b[at] = random(256) as u8;
                b.truncate(random(b.len()) + 1);
            } else {
                b.clear();
            }
            std::fs::write(dir.path().join("a.db"), &a).unwrap();
            std::fs::write(dir.path().join("a.db-wal"), &b).unwrap();
            if let Ok(rows) = dump(dir.path()) {
                assert!(rows.len() < 10_000);
            }
        }
    }
}
