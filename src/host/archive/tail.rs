//! Formats whose end tells whether they are whole: bzip2, zip, 7z. The middle is not read.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};

use flate2::Crc;

/// Longest comment behind a zip archive, and its end record, bytes (APPNOTE.TXT 4.3.16).
const ZIP_END: u64 = 22 + 65_535;
/// Longest list of a 7z archive that is looked through, bytes.
const LIST: u64 = 1 << 20;
/// Codec id of AES-256 in a 7z archive (7zFormat.txt, Methods.txt).
const AES: &[u8] = &[0x06, 0xf1, 0x07, 0x01];

/// The last mark of a bzip2 stream, π in BCD's neighbour √π, at any bit, and a checksum behind it.
pub(super) fn bzip2(file: &mut File, size: u64) -> Result<(), String> {
    let end = last(file, size, 11)?;
    let bits = end.iter().fold(0_u128, |n, b| n << 8 | u128::from(*b));
    const MARK: u128 = 0x1772_4538_5090;
    // Mark (48 bits), checksum (32 bits), padding (0 to 7 bits).
    let found = (0..8).any(|padding| bits >> (padding + 32) & 0xffff_ffff_ffff == MARK);
    if found { Ok(()) } else { Err("the mark that ends a bzip2 stream is missing: it is cut short".into()) }
}

/// The end record of a zip archive, and a list where it says.
pub(super) fn zip(file: &mut File, size: u64) -> Result<(), String> {
    let end = last(file, size, ZIP_END)?;
    let missing = || String::from("the record that ends a zip archive is missing: it is cut short");
    let at = (0..end.len().saturating_sub(21)).rev().find(|at| end.get(*at..).is_some_and(|e| e.starts_with(b"PK\x05\x06"))).ok_or_else(missing)?;
    let number = |from: usize| end.get(at + from..at + from + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_le_bytes);
    let (length, offset) = (u64::from(number(12)), u64::from(number(16)));
    // All ones: the numbers stand in the record of zip64.
    if offset == u64::from(u32::MAX) {
        return Ok(());
    }
    if offset + length > size {
        return Err("the list of the zip archive lies behind its end".into());
    }
    let list = part(file, offset, 4)?;
    if length > 0 && list != b"PK\x01\x02" { Err("the list of the zip archive is not where its end says".into()) } else { Ok(()) }
}

/// The list of a 7z archive by its checksum, and whether the content is encrypted; `None`: it can't be told.
pub(super) fn seven_zip(file: &mut File, size: u64) -> Result<Option<bool>, String> {
    let head = part(file, 0, 32)?;
    let number = |from: usize| head.get(from..from + 8).and_then(|b| b.try_into().ok()).map_or(0, u64::from_le_bytes);
    let checksum = |from: usize| head.get(from..from + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_le_bytes);
    if crc(head.get(12..32).unwrap_or_default()) != checksum(8) {
        return Err("the head of the 7z archive has another checksum".into());
    }
    let (offset, length) = (number(12), number(20));
    if offset.saturating_add(length).saturating_add(32) > size {
        return Err("the 7z archive is cut short: its list lies behind its end".into());
    }
    if length > LIST {
        return Ok(None);
    }
    let list = part(file, 32 + offset, length)?;
    if crc(&list) != checksum(28) {
        return Err("the list of the 7z archive has another checksum".into());
    }
    let sealed = list.windows(AES.len()).any(|w| w == AES);
    // A packed list (0x17) hides what its files are packed with.
    Ok(if sealed || list.first() == Some(&1) { Some(sealed) } else { None })
}

fn last(file: &mut File, size: u64, length: u64) -> Result<Vec<u8>, String> {
    part(file, size.saturating_sub(length), length)
}

fn part(file: &mut File, from: u64, length: u64) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    file.seek(SeekFrom::Start(from)).map_err(|e| e.to_string())?;
    file.take(length).read_to_end(&mut out).map_err(|e| e.to_string())?;
    Ok(out)
}

fn crc(bytes: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum()
}
