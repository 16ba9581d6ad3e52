//! Archives of `pg_dump --format=custom`: head, table of contents, and the blocks of data up to the end of the file.
//!
//! ```text
//! PGDMP, version u8 u8 u8, width of numbers u8, width of offsets u8, format u8 (1), compression, 7 numbers of time,
//! texts: database, server's version, program's version; number of entries, entries
//! block  type u8 (1 data, 3 large objects), number; then pieces (length, bytes) up to a length of 0
//! ```
//! A number is a sign and so many bytes, the lowest first; a text is its length (-1: none) and its bytes.

use std::io::{BufReader, Read, Seek as _, SeekFrom};

use super::whole::{Budget, LATE};

/// Largest text of an entry, bytes: the definition of a function may be long.
const TEXT: i64 = 256 << 20;
/// Most entries, and names that one depends on.
const ENTRIES: i64 = 2_000_000;
/// Versions whose entries are known (PostgreSQL 9.0 to 18).
const KNOWN: std::ops::RangeInclusive<u8> = 12..=16;

/// Whether every block up to the end is there. `None`: a version that is not known.
pub(super) fn walk(file: std::fs::File, size: u64, budget: &Budget) -> Option<Result<(), String>> {
    let mut dump = Dump { file: BufReader::with_capacity(1 << 16, file), at: 0, size, width: 0, minor: 0, steps: 0, budget };
    let head = dump.bytes(11).ok()?;
    let &[b'P', b'G', b'D', b'M', b'P', 1, minor, _, width, offset, 1] = head.as_slice() else { return None };
    if !KNOWN.contains(&minor) || !(1..=8).contains(&width) || !(1..=8).contains(&offset) {
        return None;
    }
    (dump.width, dump.minor) = (width, minor);
    Some(dump.entries(u64::from(offset)).and_then(|()| dump.blocks()))
}

struct Dump<'a> {
    file: BufReader<std::fs::File>,
    at: u64,
    size: u64,
    width: u8,
    minor: u8,
    steps: u64,
    budget: &'a Budget,
}

const SHORT: &str = "the dump is cut short";

impl Dump<'_> {
    fn entries(&mut self, offset: u64) -> Result<(), String> {
        if self.minor >= 15 {
            self.skip(1)?;
        } else {
            self.number()?;
        }
        for _ in 0..7 {
            self.number()?;
        }
        for _ in 0..3 {
            self.text()?;
        }
        let count = self.number()?;
        if !(0..=ENTRIES).contains(&count) {
            return Err("its table of contents is damaged".into());
        }
        for _ in 0..count {
            self.entry(offset)?;
        }
        Ok(())
    }

    fn entry(&mut self, offset: u64) -> Result<(), String> {
        self.number()?;
        self.number()?;
        // Table's and object's id, name, kind.
        for _ in 0..4 {
            self.text()?;
        }
        // Section.
        self.number()?;
        // Definition, drop, copy, schema, tablespace.
        for _ in 0..5 {
            self.text()?;
        }
        if self.minor >= 14 {
            self.text()?;
        }
        if self.minor >= 16 {
            self.number()?;
        }
        // Owner, and a word that is always "false".
        for _ in 0..2 {
            self.text()?;
        }
        for _ in 0..ENTRIES {
            if !self.text()? {
                break;
            }
        }
        self.skip(1 + offset)
    }

    fn blocks(&mut self) -> Result<(), String> {
        while self.at < self.size {
            let kind = self.bytes(1)?;
            self.number()?;
            match kind.first() {
                Some(1) => self.pieces()?,
                Some(3) => {
                    while self.number()? != 0 {
                        self.pieces()?;
                    }
                }
                _ => return Err(format!("no block of data begins at byte {}", self.at)),
            }
        }
        Ok(())
    }

    fn pieces(&mut self) -> Result<(), String> {
        loop {
            let length = self.number()?;
            if length == 0 {
                return Ok(());
            }
            let length = u64::try_from(length).map_err(|_| "a block of data is damaged")?;
            self.skip(length)?;
        }
    }

    fn number(&mut self) -> Result<i64, String> {
        self.steps += 1;
        if self.budget.is_late(self.steps) {
            return Err(LATE.into());
        }
        let bytes = self.bytes(1 + u64::from(self.width))?;
        let (sign, digits) = bytes.split_first().ok_or(SHORT)?;
        let value = digits.iter().rev().fold(0_i64, |n, b| n << 8 | i64::from(*b));
        Ok(if *sign == 0 { value } else { value.wrapping_neg() })
    }

    /// Whether there is a text.
    fn text(&mut self) -> Result<bool, String> {
        let length = self.number()?;
        if length < 0 {
            return Ok(false);
        }
        if length > TEXT {
            return Err("its table of contents is damaged".into());
        }
        self.skip(length.unsigned_abs())?;
        Ok(true)
    }

    fn skip(&mut self, length: u64) -> Result<(), String> {
        self.at = self.at.checked_add(length).filter(|at| *at <= self.size).ok_or(SHORT)?;
        match i64::try_from(length) {
            Ok(step) => self.file.seek_relative(step).map_err(|e| e.to_string()),
            Err(_) => self.file.seek(SeekFrom::Start(self.at)).map(drop).map_err(|e| e.to_string()),
        }
    }

    fn bytes(&mut self, length: u64) -> Result<Vec<u8>, String> {
        let mut out = Vec::new();
        self.at += length;
        (&mut self.file).take(length).read_to_end(&mut out).map_err(|e| e.to_string())?;
        if out.len() as u64 == length { Ok(out) } else { Err(SHORT.into()) }
    }
}
