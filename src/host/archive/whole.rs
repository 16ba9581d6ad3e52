//! Whether a file is whole, as far as its format can tell without a key, within a budget of bytes and time.

use std::cell::Cell;
use std::io::{BufReader, Read};
use std::rc::Rc;

use sha2::{Digest as _, Sha256, Sha512};

use super::content::{Content, Told};
use super::recognise::Format;
use super::{customdump, openpgp, tail};
use crate::host::lz4::Lz4Reader;
use crate::host::{Host, ReadError, clock};

/// Most bytes read of one file.
pub const FILE_BYTES: u64 = 512 << 20;
/// Most bytes read of all files of a scan.
pub const SCAN_BYTES: u64 = 2 << 30;
/// Most bytes that one file may unpack to.
pub const UNPACKED_BYTES: u64 = 4 << 30;
/// Most processor time for all files of a scan, milliseconds.
pub const SCAN_MS: u64 = 60_000;
/// Largest window of zstd (as a power of two) and dictionary of xz: what their own tools write unasked.
const WINDOW_LOG: u32 = 27;
const XZ_LIMIT_KIB: u32 = 128 << 10;

/// Why a structure was not followed to its end.
pub(super) const LATE: &str = "following it takes longer than is given to one scan";
/// The clock is looked at once in so many steps.
const LOOK_EVERY: u64 = 4096;

/// What may still be read in this scan.
#[derive(Debug)]
pub struct Budget {
    left: u64,
    end_ms: u64,
}

impl Default for Budget {
    fn default() -> Self {
        Self { left: SCAN_BYTES, end_ms: clock::thread_cpu_ms().saturating_add(SCAN_MS) }
    }
}

impl Budget {
    /// A smaller one, for whoever wants to see its edge.
    pub fn of(bytes: u64) -> Self {
        Self { left: bytes, ..Self::default() }
    }

    /// Whether a walk of so many steps must end.
    pub(super) fn is_late(&self, steps: u64) -> bool {
        steps.is_multiple_of(LOOK_EVERY) && clock::thread_cpu_ms() >= self.end_ms
    }

    fn is_over(&self) -> bool {
        self.left == 0 || clock::thread_cpu_ms() >= self.end_ms
    }
}

/// How far a file could be followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Integrity {
    /// All of it was read, and its own checksums are right.
    Whole,
    /// Its structure ends as it should; there are no checksums, or they were not computed.
    Structure,
    /// It is encrypted: its frame is sound, and more can't be told without the key.
    Sealed,
    /// It is larger than what is read.
    Unread,
    /// The format has nothing that tells.
    Silent,
    /// Something is wrong.
    Damaged,
}

impl Integrity {
    /// Stable word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::Structure => "structure",
            Self::Sealed => "sealed",
            Self::Unread => "unread",
            Self::Silent => "silent",
            Self::Damaged => "damaged",
        }
    }
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// How far it could be followed.
    pub integrity: Integrity,
    /// What is wrong, or what limits the answer; may be empty.
    pub why: String,
    /// What is inside a compressed file.
    pub told: Told,
    /// Whether the content is encrypted, where looking further told it.
    pub encrypted: Option<bool>,
}

impl Checked {
    fn of(integrity: Integrity, why: impl Into<String>) -> Self {
        Self { integrity, why: why.into(), told: Told::default(), encrypted: None }
    }

    fn result(result: Result<(), String>, sound: Integrity) -> Self {
        match result {
            Ok(()) => Self::of(sound, ""),
            Err(why) if why == LATE => Self::of(Integrity::Unread, why),
            Err(why) => Self::of(Integrity::Damaged, why),
        }
    }
}

/// Follows a file of this format and size.
pub fn check(host: &Host, path: &str, size: u64, format: Format, budget: &mut Budget) -> Result<Checked, ReadError> {
    let mut file = host.open_file(path)?;
    Ok(match format.word {
        "empty" => Checked::of(Integrity::Damaged, "the file is empty"),
        "zip" => Checked::result(tail::zip(&mut file, size), Integrity::Structure),
        "bzip2" => Checked::result(tail::bzip2(&mut file, size), Integrity::Structure),
        "7z" => match tail::seven_zip(&mut file, size) {
            Ok(encrypted) => Checked { encrypted, ..Checked::of(Integrity::Structure, "") },
            Err(why) => Checked::of(Integrity::Damaged, why),
        },
        "openpgp" if !starts_armoured(host, path) => Checked::result(openpgp::walk(file, size, budget), Integrity::Sealed),
        "pg-custom" => match customdump::walk(file, size, budget) {
            Some(result) => Checked::result(result, Integrity::Structure),
            None => Checked::of(Integrity::Silent, "a version of the format that is not known"),
        },
        _ if format.encrypted == Some(true) => Checked::of(Integrity::Sealed, ""),
        "gzip" | "zstd" | "xz" | "lz4" | "tar" | "sql" | "text" | "xbstream" | "zeros" => stream(file, path, format.word, budget),
        _ => Checked::of(Integrity::Silent, "the format tells nothing about its end"),
    })
}

fn starts_armoured(host: &Host, path: &str) -> bool {
    host.read_head(path, 1).is_ok_and(|head| head == b"-")
}

fn stream(file: std::fs::File, path: &str, word: &'static str, budget: &mut Budget) -> Checked {
    let over = || Checked::of(Integrity::Unread, format!("{path}: larger than what is read of one file or in one scan"));
    if budget.is_over() {
        return over();
    }
    let allowed = budget.left.min(FILE_BYTES);
    let left = Rc::new(Cell::new(allowed));
    let metered = Metered { inner: file, left: left.clone() };
    let mut unpacked: Box<dyn Read> = match unpacker(metered, word) {
        Ok(reader) => reader,
        Err(e) => return Checked::of(Integrity::Damaged, e.to_string()),
    };
    let (mut content, mut total, mut failed) = (Content::default(), 0_u64, None);
    let mut buffer = vec![0; 1 << 16];
    let cut = loop {
        match unpacked.read(&mut buffer) {
            Ok(0) => break false,
            Ok(n) => {
                content.take(buffer.get(..n).unwrap_or_default());
                total += n as u64;
            }
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) if left.get() == 0 => break true,
            Err(e) => {
                failed = Some(e.to_string());
                break false;
            }
        }
        if total > UNPACKED_BYTES || clock::thread_cpu_ms() >= budget.end_ms {
            break true;
        }
    };
    drop(unpacked);
    budget.left = budget.left.saturating_sub(allowed.saturating_sub(left.get()));
    let told = content.told();
    if cut {
        // What is wrong before the end stays wrong; that the end did not come is no fault.
        return Checked { told: Told { fault: None, ..told }, ..over() };
    }
    if let Some(text) = failed {
        // A stream packed with more memory than is given to it is not a damaged one.
        let sound = if text.contains("memory") { Integrity::Unread } else { Integrity::Damaged };
        return Checked { told, ..Checked::of(sound, format!("it can't be unpacked as {word}: {text}")) };
    }
    let (integrity, why) = match (&told.fault, word) {
        (Some(fault), _) => (Integrity::Damaged, fault.clone()),
        (None, "gzip" | "zstd" | "xz") => (Integrity::Whole, String::new()),
        (None, "lz4") => (Integrity::Structure, String::new()),
        (None, "xbstream") => (Integrity::Whole, String::new()),
        (None, _) if told.ends => (Integrity::Structure, String::new()),
        (None, _) => (Integrity::Silent, "the format tells nothing about its end".into()),
    };
    Checked { told, ..Checked::of(integrity, why) }
}

fn unpacker(metered: Metered, word: &str) -> std::io::Result<Box<dyn Read>> {
    Ok(match word {
        "gzip" => Box::new(flate2::bufread::MultiGzDecoder::new(BufReader::with_capacity(1 << 16, metered))),
        "zstd" => {
            let mut decoder = zstd::stream::read::Decoder::new(metered)?;
            decoder.window_log_max(WINDOW_LOG)?;
            Box::new(decoder)
        }
        "xz" => Box::new(lzma_rust2::XzReader::new_mem_limit(BufReader::with_capacity(1 << 16, metered), true, XZ_LIMIT_KIB)),
        "lz4" => Box::new(Lz4Reader::new(BufReader::with_capacity(1 << 16, metered))),
        _ => Box::new(metered),
    })
}

/// A file up to so many bytes; the next one is an error, not the end.
struct Metered {
    inner: std::fs::File,
    left: Rc<Cell<u64>>,
}

impl Read for Metered {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let left = self.left.get();
        let room = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        if room == 0 && !buffer.is_empty() {
            // A file that ends just here has ended.
            let mut one = [0];
            return if self.inner.read(&mut one)? == 0 { Ok(0) } else { Err(std::io::Error::other("more than is read")) };
        }
        let read = self.inner.read(buffer.get_mut(..room).unwrap_or_default())?;
        self.left.set(left - read as u64);
        Ok(read)
    }
}

/// The first bytes of what is inside a file, unpacked where it is compressed.
pub fn head_inside(host: &Host, path: &str, format: Format, length: usize) -> Result<Vec<u8>, ReadError> {
    let file = host.open_file(path)?;
    let fail = |e: std::io::Error| ReadError::Io(path.to_string(), e.to_string());
    let metered = Metered { inner: file, left: Rc::new(Cell::new(FILE_BYTES)) };
    let mut out = Vec::new();
    unpacker(metered, format.word).map_err(fail)?.take(length as u64).read_to_end(&mut out).map_err(fail)?;
    Ok(out)
}

/// The digest of a file in hexadecimal, by the length of the one that it is to be compared with (64: SHA-256, 128: SHA-512);
/// `None` for another length, or when it is larger than what is read.
pub fn digest(host: &Host, path: &str, length: usize, budget: &mut Budget) -> Result<Option<String>, ReadError> {
    let size = host.stat(path)?.size;
    if budget.is_over() || size > budget.left.min(FILE_BYTES) {
        return Ok(None);
    }
    let mut file = host.open_file(path)?;
    budget.left = budget.left.saturating_sub(size);
    let (mut short, mut long) = (Sha256::new(), Sha512::new());
    let mut buffer = vec![0; 1 << 16];
    let mut left = size;
    while left > 0 {
        let read = file.read(&mut buffer).map_err(|e| ReadError::Io(path.into(), e.to_string()))?;
        if read == 0 {
            break;
        }
        left = left.saturating_sub(read as u64);
        let bytes = buffer.get(..read).unwrap_or_default();
        match length {
            64 => short.update(bytes),
            128 => long.update(bytes),
            _ => return Ok(None),
        }
    }
    let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
    Ok(Some(if length == 64 { hex(&short.finalize()) } else { hex(&long.finalize()) }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::archive::{HEAD, recognise};

    /// Beginnings of every format with anything behind them: an answer, and no panic.
    #[test]
    fn hostile_files_end() {
        let dir = tempfile::tempdir().unwrap();
        let host = Host::rooted(dir.path()).unwrap();
        let beginnings: [&[u8]; 14] = [
            b"\x1f\x8b\x08\0\0\0\0\0\0\x03",
            b"\x28\xb5\x2f\xfd\x04\x58",
            b"\xfd7zXZ\0\0\x04",
            b"\x04\x22\x4d\x18\x64\x40\xa7",
            b"7z\xbc\xaf\x27\x1c\0\x04",
            b"XBSTCK01\0P\x05\0\0\0abcde",
            b"PGDMP\x01\x0e\x00\x04\x08\x01",
            b"PGDMP\x01\x10\x00\x08\x08\x01",
            b"PK\x03\x04\x14\0\0\0",
            b"BZh91AY&SY",
            b"\x8c\x0d\x04\x09\x03\x02",
            b"\x85\x02\x0c\x03",
            b"age-encryption.org/v1\n",
            b"",
        ];
        let mut seed = 3_u64;
        for beginning in beginnings {
            for length in [0, 1, 30, 700, 5000] {
                let mut bytes = beginning.to_vec();
                for _ in 0..length {
                    seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    bytes.push(if length == 700 { 0xff } else { (seed >> 56) as u8 });
                }
                std::fs::write(dir.path().join("f"), &bytes).unwrap();
                let format = recognise(&bytes[..bytes.len().min(HEAD)]);
                let checked = check(&host, "/f", bytes.len() as u64, format, &mut Budget::of(1 << 20)).unwrap();
                let sound = matches!(checked.integrity, Integrity::Whole | Integrity::Structure);
                assert!(!sound, "{beginning:?} {length}");
                let _ = head_inside(&host, "/f", format, 64);
            }
        }
    }
}
