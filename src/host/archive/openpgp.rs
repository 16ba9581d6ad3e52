//! OpenPGP messages as far as their packets' heads tell (RFC 9580 sections 4.2, 5.1, 5.3, 6.2).

use std::io::{BufReader, Read, Seek as _, SeekFrom};

use base64::Engine as _;

use super::recognise::Format;
use super::whole::{Budget, LATE};

/// Most packets that are followed.
const PACKETS: usize = 64;

/// An encrypted message, by its first packet; a signed or compressed one is not encrypted.
pub(super) fn recognise(head: &[u8]) -> Option<Format> {
    if let Some(rest) = head.strip_prefix(b"-----BEGIN PGP MESSAGE-----") {
        let text = String::from_utf8_lossy(rest);
        // Headers end at an empty line.
        let body = text.replace('\r', "").split_once("\n\n").map(|(_, b)| b.lines().next().unwrap_or_default().to_string())?;
        let usable = body.get(..body.len() / 4 * 4).unwrap_or_default();
        let bytes = base64::engine::general_purpose::STANDARD.decode(usable).ok()?;
        return Some(match first_tag(&bytes) {
            Some(1 | 3 | 18 | 20) => Format { word: "openpgp", encrypted: Some(true) },
            Some(_) => Format { word: "openpgp", encrypted: Some(false) },
            None => Format { word: "openpgp", encrypted: None },
        });
    }
    match first_tag(head)? {
        1 | 3 => Some(Format { word: "openpgp", encrypted: Some(true) }),
        _ => None,
    }
}

/// Tag of the first packet, where its version is one that this tag has.
fn first_tag(bytes: &[u8]) -> Option<u8> {
    let (tag, length, used) = header(bytes)?;
    let version = bytes.get(used)?;
    let sound = match tag {
        1 => matches!(version, 3 | 6) && matches!(length, Length::Whole(1..=8192)),
        3 => matches!(version, 4..=6) && matches!(length, Length::Whole(1..=512)),
        18 => matches!(version, 1 | 2),
        20 => *version == 1,
        2 | 4 | 8 | 9 | 11 => true,
        _ => false,
    };
    sound.then_some(tag)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Length {
    Whole(u64),
    Part(u64),
    ToTheEnd,
}

/// Tag, length of the body, bytes of the head.
fn header(bytes: &[u8]) -> Option<(u8, Length, usize)> {
    let first = *bytes.first()?;
    if first & 0x80 == 0 {
        return None;
    }
    if first & 0x40 != 0 {
        let (length, used) = new_length(bytes.get(1..)?)?;
        return Some((first & 0x3f, length, 1 + used));
    }
    let width = match first & 3 {
        0 => 1,
        1 => 2,
        2 => 4,
        _ => return Some((first >> 2 & 0xf, Length::ToTheEnd, 1)),
    };
    let length = bytes.get(1..1 + width)?.iter().fold(0, |n, b| n << 8 | u64::from(*b));
    Some((first >> 2 & 0xf, Length::Whole(length), 1 + width))
}

fn new_length(bytes: &[u8]) -> Option<(Length, usize)> {
    let first = *bytes.first()?;
    Some(match first {
        0..=191 => (Length::Whole(first.into()), 1),
        192..=223 => (Length::Whole((u64::from(first) - 192) * 256 + u64::from(*bytes.get(1)?) + 192), 2),
        224..=254 => (Length::Part(1 << (first & 0x1f)), 1),
        255 => (Length::Whole(bytes.get(1..5)?.iter().fold(0, |n, b| n << 8 | u64::from(*b))), 5),
    })
}

/// Whether the packets of a binary message end where the file does; the error says what is wrong.
pub(super) fn walk(file: std::fs::File, size: u64, budget: &Budget) -> Result<(), String> {
    let mut file = BufReader::with_capacity(64, file);
    let (mut at, mut pieces) = (0_u64, 0_u64);
    for _ in 0..PACKETS {
        if at == size {
            return Ok(());
        }
        let head = peek(&mut file, at)?;
        let (_, mut length, used) = header(&head).ok_or_else(|| format!("no packet begins at byte {at}"))?;
        at += used as u64;
        loop {
            pieces += 1;
            match length {
                Length::ToTheEnd => return Ok(()),
                Length::Whole(n) => {
                    at = at.saturating_add(n);
                    break;
                }
                Length::Part(n) => at = at.saturating_add(n),
            }
            if budget.is_late(pieces) {
                return Err(LATE.into());
            }
            if at >= size {
                break;
            }
            let head = peek(&mut file, at)?;
            let (next, used) = new_length(&head).ok_or("the message is cut short")?;
            (length, at) = (next, at + used as u64);
        }
        if at > size || (at == size && matches!(length, Length::Part(_))) {
            return Err("the message is cut short".into());
        }
    }
    Ok(())
}

fn peek(file: &mut BufReader<std::fs::File>, at: u64) -> Result<Vec<u8>, String> {
    let mut head = Vec::new();
    file.seek(SeekFrom::Start(at)).map_err(|e| e.to_string())?;
    file.take(8).read_to_end(&mut head).map_err(|e| e.to_string())?;
    Ok(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_packets() {
        let encrypted = |head: &[u8]| recognise(head).map(|f| f.encrypted);
        // gpg --symmetric, gpg --encrypt to RSA-4096 and to cv25519.
        assert_eq!(encrypted(&[0x8c, 0x0d, 0x04, 0x09, 0x03, 0x02]), Some(Some(true)));
        assert_eq!(encrypted(&[0x85, 0x02, 0x0c, 0x03, 1, 2, 3]), Some(Some(true)));
        assert_eq!(encrypted(&[0x84, 0x5e, 0x03, 1, 2, 3]), Some(Some(true)));
        // A version that there is not; JPEG; text.
        assert_eq!(encrypted(&[0x85, 0x02, 0x0c, 0x09, 1, 2, 3]), None);
        assert_eq!(encrypted(b"\xff\xd8\xff\xe0"), None);
        assert_eq!(encrypted(b"hello"), None);
        for length in 0..6 {
            let _ = encrypted(&[0x8c, 0xff, 0x04, 0x09, 0x03, 0x02][..length]);
        }
    }
}
