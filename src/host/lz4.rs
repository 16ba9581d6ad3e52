//! LZ4 frames, decoded as a bounded stream (LZ4 Frame Format 1.6, LZ4 Block Format): apt keeps
//! its lists so when `Acquire::GzipIndexes` is set.

use std::io::{self, Read};

const MAGIC: u32 = 0x184d_2204;
/// How far back a match may reach, bytes.
const WINDOW: usize = 65_536;
/// Largest block of the format, bytes.
const MAX_BLOCK: usize = 4 << 20;

/// Decodes one frame from `R`. Checksums are skipped: what is read was verified when it was
/// downloaded, and every length is checked here.
#[derive(Debug)]
pub struct Lz4Reader<R> {
    inner: R,
    state: State,
    has_block_checksum: bool,
    /// Window followed by the block that is being handed out.
    window: Vec<u8>,
    position: usize,
    block: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Head,
    Blocks,
    Done,
}

impl<R: Read> Lz4Reader<R> {
    /// A decoder of the frame that `inner` starts with.
    pub const fn new(inner: R) -> Self {
        Self { inner, state: State::Head, has_block_checksum: false, window: Vec::new(), position: 0, block: Vec::new() }
    }

    fn head(&mut self) -> io::Result<()> {
        if self.word()? != MAGIC {
            return Err(bad("not an LZ4 frame"));
        }
        let mut flags = [0; 2];
        self.inner.read_exact(&mut flags)?;
        let [flags, _] = flags;
        if flags >> 6 != 1 {
            return Err(bad("unknown LZ4 frame version"));
        }
        self.has_block_checksum = flags & 0x10 != 0;
        // Content size (8) and dictionary id (4), both optional, then the head's checksum (1).
        let rest = usize::from(flags & 0x08 != 0) * 8 + usize::from(flags & 0x01 != 0) * 4 + 1;
        let mut skipped = [0; 13];
        self.inner.read_exact(skipped.get_mut(..rest).unwrap_or_default())?;
        if flags & 0x01 != 0 {
            return Err(bad("LZ4 frame needs a dictionary"));
        }
        self.state = State::Blocks;
        Ok(())
    }

    fn next_block(&mut self) -> io::Result<()> {
        let size = self.word()?;
        if size == 0 {
            self.state = State::Done;
            return Ok(());
        }
        let stored = size & 0x8000_0000 != 0;
        let size = (size & 0x7fff_ffff) as usize;
        if size > MAX_BLOCK + MAX_BLOCK / 255 + 16 {
            return Err(bad("LZ4 block is larger than the format allows"));
        }
        self.block.resize(size, 0);
        self.inner.read_exact(&mut self.block)?;
        if self.has_block_checksum {
            self.word()?;
        }
        let keep = self.window.len().saturating_sub(WINDOW);
        self.window.drain(..keep);
        self.position = self.window.len();
        if stored {
            self.window.extend_from_slice(&self.block)
        } else {
            decode(&self.block, &mut self.window)?
        }
        Ok(())
    }

    fn word(&mut self) -> io::Result<u32> {
        let mut bytes = [0; 4];
        self.inner.read_exact(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }
}

impl<R: Read> Read for Lz4Reader<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.state == State::Head {
            self.head()?;
        }
        while self.position == self.window.len() && self.state == State::Blocks {
            self.next_block()?;
        }
        let ready = self.window.get(self.position..).unwrap_or_default();
        let n = ready.len().min(out.len());
        if let (Some(to), Some(from)) = (out.get_mut(..n), ready.get(..n)) {
            to.copy_from_slice(from);
        }
        self.position += n;
        Ok(n)
    }
}

/// Appends the content of one block to `out`, which ends with what came before.
fn decode(mut block: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    let start = out.len();
    loop {
        let token = take(&mut block, 1)?.first().copied().unwrap_or_default();
        let literals = length(&mut block, token >> 4)?;
        out.extend_from_slice(take(&mut block, literals)?);
        if block.is_empty() {
            return Ok(());
        }
        let offset = match take(&mut block, 2)? {
            [low, high] => usize::from(u16::from_le_bytes([*low, *high])),
            _ => 0,
        };
        let count = length(&mut block, token & 15)? + 4;
        if offset == 0 || offset > out.len() {
            return Err(bad("LZ4 match reaches before the start"));
        }
        if out.len() - start + count > MAX_BLOCK {
            return Err(bad("LZ4 block grows beyond the format's limit"));
        }
        copy_back(out, offset, count);
    }
}

/// Repeats `count` bytes from `offset` back; the source may overlap what is being written.
fn copy_back(out: &mut Vec<u8>, offset: usize, mut count: usize) {
    while count > 0 {
        let n = count.min(offset);
        let from = out.len() - offset;
        out.extend_from_within(from..from + n);
        count -= n;
    }
}

fn length(block: &mut &[u8], nibble: u8) -> io::Result<usize> {
    let mut total = usize::from(nibble);
    if nibble == 15 {
        loop {
            let next = take(block, 1)?.first().copied().unwrap_or_default();
            total += usize::from(next);
            if next != 255 {
                break;
            }
        }
    }
    Ok(total)
}

fn take<'a>(block: &mut &'a [u8], n: usize) -> io::Result<&'a [u8]> {
    let (taken, rest) = block.split_at_checked(n).ok_or_else(|| bad("LZ4 block ends early"))?;
    *block = rest;
    Ok(taken)
}

fn bad(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `printf 'abcabcabcabcabcabcabcabcabcabc\nend\n' | lz4 -c --no-frame-crc` (lz4 1.9.4).
    fn frame() -> Vec<u8> {
        let mut f = vec![0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82];
        // Token 3 literals, match of 27 (15 + 8 + 4) at offset 3, then 5 literals.
        let block = [0x3f, b'a', b'b', b'c', 3, 0, 8, 0x50, b'\n', b'e', b'n', b'd', b'\n'];
        f.extend_from_slice(&(block.len() as u32).to_le_bytes());
        f.extend_from_slice(&block);
        f.extend_from_slice(&[0, 0, 0, 0]);
        f
    }

    fn decoded(bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        Lz4Reader::new(bytes).take(64 << 20).read_to_end(&mut out)?;
        Ok(out)
    }

    #[test]
    fn overlapping_matches_repeat() {
        assert_eq!(decoded(&frame()).unwrap(), format!("{}\nend\n", "abc".repeat(10)).into_bytes());
    }

    #[test]
    fn every_cut_and_every_changed_byte_ends_without_a_panic() {
        let frame = frame();
        for end in 0..frame.len() - 4 {
            assert!(decoded(&frame[..end]).is_err(), "cut at {end}");
        }
        for i in 0..frame.len() {
            for value in [0, 1, 0x7f, 0x80, 0xff] {
                let mut changed = frame.clone();
                changed[i] = value;
                let _ = decoded(&changed);
            }
        }
    }
}
