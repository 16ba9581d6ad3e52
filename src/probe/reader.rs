//! A bounds-checked reader of bytes that somebody else wrote.

/// Reads forward; every method answers `None` instead of reading past the end.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// From the start of `bytes`.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// What was not read yet.
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Whether nothing is left.
    pub const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next `count` bytes.
    pub fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.rest.split_at_checked(count)?;
        self.rest = tail;
        Some(head)
    }

    /// One byte.
    pub fn u8(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    /// Two bytes, network order.
    pub fn u16(&mut self) -> Option<u16> {
        self.take(2)?.try_into().ok().map(u16::from_be_bytes)
    }

    /// Two bytes, little-endian (MySQL, SMB, X11).
    pub fn u16_le(&mut self) -> Option<u16> {
        self.take(2)?.try_into().ok().map(u16::from_le_bytes)
    }

    /// Four bytes, little-endian.
    pub fn u32_le(&mut self) -> Option<u32> {
        self.take(4)?.try_into().ok().map(u32::from_le_bytes)
    }

    /// Three bytes, network order.
    pub fn u24(&mut self) -> Option<usize> {
        self.take(3).map(|b| b.iter().fold(0, |n, byte| (n << 8) | usize::from(*byte)))
    }

    /// Four bytes, network order.
    pub fn u32(&mut self) -> Option<u32> {
        self.take(4)?.try_into().ok().map(u32::from_be_bytes)
    }

    /// A vector with its length in two bytes before it.
    pub fn vector16(&mut self) -> Option<&'a [u8]> {
        let length = self.u16()?;
        self.take(usize::from(length))
    }

    /// A vector with its length in three bytes before it.
    pub fn vector24(&mut self) -> Option<&'a [u8]> {
        let length = self.u24()?;
        self.take(length)
    }

    /// Bytes up to a NUL, which is read too.
    pub fn until_nul(&mut self) -> Option<&'a [u8]> {
        let end = self.rest.iter().position(|b| *b == 0)?;
        let text = self.take(end)?;
        self.take(1)?;
        Some(text)
    }
}

/// Longest banner kept, characters.
pub const BANNER_LIMIT: usize = 120;

/// The first line of `bytes`, printable ASCII only, at most [`BANNER_LIMIT`] characters.
pub fn banner(bytes: &[u8]) -> String {
    let line = bytes.split(|b| *b == b'\n').find(|l| l.iter().any(u8::is_ascii_graphic)).unwrap_or_default();
    let text: String = line.iter().filter(|b| (0x20..0x7f).contains(*b)).take(BANNER_LIMIT).map(|b| char::from(*b)).collect();
    text.trim().to_string()
}

/// The first bytes in hexadecimal, for evidence.
pub fn hex_head(bytes: &[u8]) -> String {
    bytes.iter().take(8).map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(" ")
}

/// What may become of recorded bytes on the way: every shorter piece of a short answer, and many
/// changes of single bytes, the same ones in each run.
#[cfg(test)]
pub fn mutations(recorded: &[u8]) -> Vec<Vec<u8>> {
    let mut out: Vec<Vec<u8>> = (0..recorded.len().min(400)).map(|end| recorded[..end].to_vec()).collect();
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    for _ in 0..2000 {
        let mut mutated = recorded.to_vec();
        for _ in 0..4 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let at = usize::try_from(state >> 33).unwrap_or(0) % recorded.len().max(1);
            mutated[at] = state.to_be_bytes()[1];
        }
        out.push(mutated);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_read_past_the_end() {
        let mut r = Reader::new(&[0, 2, 7, 8, 1, 0]);
        assert_eq!(r.vector16(), Some(&[7u8, 8][..]));
        assert_eq!(r.vector16(), None);
        let mut r = Reader::new(b"ab\0c");
        assert_eq!(r.until_nul(), Some(&b"ab"[..]));
        assert_eq!(r.until_nul(), None);
        assert_eq!(r.rest(), b"c");
        assert_eq!(r.u24(), None);
    }

    #[test]
    fn a_banner_is_one_printable_line() {
        assert_eq!(banner(b"\r\n220 \x1b[31mhi\r\nnext"), "220 [31mhi");
        assert_eq!(banner(&[b'a'; 500]).len(), BANNER_LIMIT);
        assert_eq!(banner(&[0xff, 0xfd, 0x18]), "");
    }
}
