//! Little-endian numbers and texts in a frame, read with every bound checked.

/// A number of four bytes.
pub fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at.checked_add(4)?).and_then(|b| b.try_into().ok()).map(u32::from_le_bytes)
}

/// A signed number of eight bytes.
pub fn i64_at(bytes: &[u8], at: usize) -> Option<i64> {
    bytes.get(at..at.checked_add(8)?).and_then(|b| b.try_into().ok()).map(i64::from_le_bytes)
}

/// A number of four bytes as an offset or count.
pub fn usize_at(bytes: &[u8], at: usize) -> Option<usize> {
    u32_at(bytes, at).and_then(|n| usize::try_from(n).ok())
}

/// A text: length of two bytes, then UTF-8.
pub fn text_at(bytes: &[u8], at: usize) -> Option<&str> {
    let length = bytes.get(at..at.checked_add(2)?).and_then(|b| b.try_into().ok()).map(u16::from_le_bytes)?;
    let start = at.checked_add(2)?;
    std::str::from_utf8(bytes.get(start..start.checked_add(usize::from(length))?)?).ok()
}
