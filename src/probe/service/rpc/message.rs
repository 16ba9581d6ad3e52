//! Calls and replies (RFC 5531 section 9) in XDR (RFC 4506).

use crate::probe::reader::Reader;

/// Identifier of our calls: one is open at a time.
const XID: u32 = 0xa55a_a55a;
/// Last fragment of a record (RFC 5531 section 11).
const LAST: u32 = 0x8000_0000;
/// Credential of a system user (AUTH_SYS).
const AUTH_SYS: u32 = 1;
/// The user and group that own nothing.
const NOBODY: u32 = 65_534;

/// One call.
#[derive(Clone, Debug)]
pub struct Call<'a> {
    program: u32,
    version: u32,
    procedure: u32,
    /// Whether it comes with an AUTH_SYS credential, of the user nobody.
    signed: bool,
    arguments: &'a [u8],
}

impl<'a> Call<'a> {
    /// Without credential and arguments.
    pub const fn plain(program: u32, version: u32, procedure: u32) -> Self {
        Self { program, version, procedure, signed: false, arguments: &[] }
    }

    /// With an AUTH_SYS credential of the user nobody.
    pub const fn as_nobody(program: u32, version: u32, procedure: u32, arguments: &'a [u8]) -> Self {
        Self { program, version, procedure, signed: true, arguments }
    }

    /// Its message.
    pub fn bytes(&self) -> Vec<u8> {
        let mut out = words(&[XID, 0, 2, self.program, self.version, self.procedure]);
        if self.signed {
            let credential = [words(&[0]), opaque(b"assay"), words(&[NOBODY, NOBODY, 0])].concat();
            out.extend(words(&[AUTH_SYS]));
            out.extend(opaque(&credential));
        } else {
            out.extend(words(&[0, 0]));
        }
        // No verifier.
        out.extend(words(&[0, 0]));
        out.extend_from_slice(self.arguments);
        out
    }

    /// Whether a message begins as a reply to it.
    pub fn is_reply(&self, bytes: &[u8]) -> bool {
        let mut r = Reader::new(bytes);
        r.u32() == Some(XID) && r.u32() == Some(1)
    }
}

/// A message as one record of a stream.
pub fn record(message: &[u8]) -> Vec<u8> {
    let mark = LAST | u32::try_from(message.len()).unwrap_or(0);
    [&mark.to_be_bytes(), message].concat()
}

/// A reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply<'a> {
    /// The procedure's results.
    Success(&'a [u8]),
    /// The program is not served.
    Unavailable,
    /// The program is served, in these versions.
    VersionMismatch {
        /// Lowest.
        low: u32,
        /// Highest.
        high: u32,
    },
    /// It did not do what was asked: procedure, arguments, system (the number is RFC 5531's `accept_stat`).
    Failed(u32),
    /// The call itself or its credential was rejected.
    Denied,
}

/// A reply to one of our calls; whatever else is `None`.
pub fn parse(bytes: &[u8]) -> Option<Reply<'_>> {
    let mut r = Reader::new(bytes);
    if r.u32()? != XID || r.u32()? != 1 {
        return None;
    }
    if r.u32()? == 1 {
        return Some(Reply::Denied);
    }
    // The server's verifier.
    r.u32()?;
    read_opaque(&mut r)?;
    Some(match r.u32()? {
        0 => Reply::Success(r.rest()),
        1 => Reply::Unavailable,
        2 => Reply::VersionMismatch { low: r.u32()?, high: r.u32()? },
        other => Reply::Failed(other),
    })
}

/// Words in network order.
pub fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|w| w.to_be_bytes()).collect()
}

/// A counted string, filled up to a multiple of four bytes.
pub fn opaque(bytes: &[u8]) -> Vec<u8> {
    let mut out = words(&[u32::try_from(bytes.len()).unwrap_or(0)]);
    out.extend_from_slice(bytes);
    out.resize(out.len().next_multiple_of(4), 0);
    out
}

/// Reads such a string.
pub fn read_opaque<'a>(r: &mut Reader<'a>) -> Option<&'a [u8]> {
    let length = usize::try_from(r.u32()?).ok()?;
    let bytes = r.take(length)?;
    r.take(length.next_multiple_of(4) - length)?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_told_apart() {
        assert_eq!(parse(include_bytes!("../../../../tests/wire/rpc-ganesha-version-mismatch.bin")), Some(Reply::VersionMismatch { low: 3, high: 4 }));
        assert_eq!(parse(include_bytes!("../../../../tests/wire/rpc-ganesha-unavailable.bin")), Some(Reply::Unavailable));
        assert_eq!(parse(&words(&[XID, 1, 1, 1, 5])), Some(Reply::Denied));
        let call = Call::plain(100_000, 2, 0);
        assert_eq!(parse(&call.bytes()), None);
        assert!(!call.is_reply(&call.bytes()));
    }

    #[test]
    fn strings_fill_whole_words() {
        for (text, length) in [(&b""[..], 4), (b"a", 8), (b"abcd", 8), (b"abcde", 12)] {
            let written = opaque(text);
            assert_eq!(written.len(), length);
            assert_eq!(read_opaque(&mut Reader::new(&written)), Some(text));
        }
        assert_eq!(read_opaque(&mut Reader::new(&[0xff, 0xff, 0xff, 0xff])), None);
    }
}
