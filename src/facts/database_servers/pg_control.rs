//! `global/pg_control` as far as checksums need it (src/include/catalog/pg_control.h of each release).
//!
//! ```text
//! system identifier u64, version of this format u32, …, version of data checksums u32 (0: none), …, CRC-32C of all before
//! format 937–960 (9.3–9.6): the CRC follows at once; 1002–1700 (10–17): 32 random bytes between; 1800 (18): 36 bytes
//! ```
//! The fields between differ by release; the CRC tells where they end.

/// Bytes of the file that are read: `PG_CONTROL_MAX_SAFE_SIZE`.
pub const LENGTH: usize = 512;
/// Smallest length of the fields in any release, bytes.
const SHORTEST: usize = 128;

/// Whether data pages carry checksums; the error says why it is not known.
pub fn has_checksums(bytes: &[u8]) -> Result<bool, &'static str> {
    let format = number(bytes, 8).ok_or("shorter than its head")?;
    let behind = match format {
        937..=960 => 4,
        1002..=1700 => 36,
        1800 => 40,
        // A machine of the other byte order wrote it.
        _ if format.swap_bytes() <= 1800 => return Err("of another byte order"),
        _ => return Err("of a format that is not known"),
    };
    let mut crc = !0_u32;
    for (at, byte) in bytes.iter().enumerate().take(LENGTH) {
        if at >= SHORTEST && at % 4 == 0 && number(bytes, at) == Some(!crc) {
            return number(bytes, at - behind).map(|version| version != 0).ok_or("shorter than its fields");
        }
        crc = step(crc, *byte);
    }
    Err("damaged: its checksum is wrong")
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes)
}

/// CRC-32C (RFC 3720, appendix B.4), bit by bit: half a kilobyte once a cluster.
fn step(crc: u32, byte: u8) -> u32 {
    (0..8).fold(crc ^ u32::from(byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(format: u32, fields: usize, behind: usize, version: u32) -> Vec<u8> {
        let mut bytes = vec![7_u8; fields];
        bytes[8..12].copy_from_slice(&format.to_le_bytes());
        bytes[fields - behind..fields - behind + 4].copy_from_slice(&version.to_le_bytes());
        let crc = !bytes.iter().fold(!0_u32, |crc, b| step(crc, *b));
        bytes.extend(crc.to_le_bytes());
        bytes.resize(8192, 0);
        bytes
    }

    #[test]
    fn every_known_format() {
        assert_eq!(!b"123456789".iter().fold(!0_u32, |crc, b| step(crc, *b)), 0xe306_9283, "check value of CRC-32C");
        for (format, behind) in [(942, 4), (1300, 36), (1800, 40)] {
            assert_eq!(has_checksums(&made(format, 288, behind, 1)), Ok(true));
            assert_eq!(has_checksums(&made(format, 292, behind, 0)), Ok(false));
        }
        assert!(has_checksums(&made(1900, 288, 36, 1)).is_err());
        let mut damaged = made(1300, 288, 36, 1);
        damaged[100] = 0;
        assert_eq!(has_checksums(&damaged), Err("damaged: its checksum is wrong"));
        let whole = made(1300, 288, 36, 1);
        for length in 0..292 {
            assert!(has_checksums(&whole[..length]).is_err(), "{length}");
        }
    }
}
