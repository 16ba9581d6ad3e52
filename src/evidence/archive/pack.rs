//! Packing files one after another before the container is put together.
//!
//! Headers hold lengths and check sums of what follows them, and entries are sorted; so every file is packed once into a
//! plain file of packed bytes, and the container copies them in order. What was packed before an interruption is used again.

use std::io::{self, Read, Seek, SeekFrom, Write};

use flate2::write::DeflateEncoder;
use flate2::{Compression, Crc};
use ring::digest::{Context, SHA256};

use super::{ArchiveError, Facts, check_path};
use crate::model::ids::Digest;

/// Content up to this many bytes is stored: deflating gains nothing.
const SMALL: usize = 128;
/// How hard to deflate, 0 to 9: part of the format, for the same material gives the same bytes.
const LEVEL: u32 = 6;
/// Content is deflated in blocks of so many bytes, however it is written: what comes out may depend on what goes in at once.
const BLOCK: usize = 64 << 10;

/// How content is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// As it is: for what is compressed already.
    Store,
    /// Deflated, unless it is tiny.
    Auto,
}

/// Counts and digests what is written through it.
struct Measured<W> {
    out: W,
    sha: Context,
    bytes: u64,
}

impl<W: Write> Measured<W> {
    fn new(out: W) -> Self {
        Self { out, sha: Context::new(&SHA256), bytes: 0 }
    }
}

impl<W: Write> Write for Measured<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.out.write(bytes)?;
        self.sha.update(bytes.get(..n).unwrap_or_default());
        self.bytes += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

enum Stage<W: Write> {
    /// Too little to tell.
    Small(Measured<W>, Vec<u8>),
    Stored(Measured<W>),
    /// With the block that is not full yet.
    Deflated(DeflateEncoder<Measured<W>>, Vec<u8>),
    /// Only while one stage becomes the next.
    Between,
}

/// Packs one file as it is written.
pub struct Packer<W: Write> {
    stage: Stage<W>,
    sha: Context,
    crc: Crc,
}

impl<W: Write> std::fmt::Debug for Packer<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Packer").field("bytes", &self.crc.amount()).finish()
    }
}

impl<W: Write> Packer<W> {
    /// Packs into `out`.
    pub fn new(out: W, method: Method) -> Self {
        let out = Measured::new(out);
        let stage = if method == Method::Store { Stage::Stored(out) } else { Stage::Small(out, Vec::with_capacity(SMALL)) };
        Self { stage, sha: Context::new(&SHA256), crc: Crc::new() }
    }

    /// What was packed under this path, once all of it was written: `bytes`, for the counter of the check sum wraps at 4 GiB.
    fn finish(self, path: &str, bytes: u64) -> io::Result<Facts> {
        let (mut out, deflated) = match self.stage {
            Stage::Small(mut out, small) => {
                out.write_all(&small)?;
                (out, false)
            }
            Stage::Stored(out) => (out, false),
            Stage::Deflated(mut encoder, block) => {
                encoder.write_all(&block)?;
                (encoder.finish()?, true)
            }
            Stage::Between => return Err(io::Error::other("packing stopped half-way")),
        };
        out.flush()?;
        Ok(Facts { bytes, crc: self.crc.sum(), deflated, packed: out.bytes, packed_sha256: digest(out.sha), path: path.into(), sha256: digest(self.sha) })
    }
}

impl<W: Write> Write for Packer<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stage = match std::mem::replace(&mut self.stage, Stage::Between) {
            Stage::Small(out, small) if small.len() + bytes.len() > SMALL => {
                let mut block = Vec::with_capacity(BLOCK);
                block.extend_from_slice(&small);
                Stage::Deflated(DeflateEncoder::new(out, Compression::new(LEVEL)), block)
            }
            other => other,
        };
        match &mut self.stage {
            Stage::Small(_, small) => small.extend_from_slice(bytes),
            Stage::Stored(out) => out.write_all(bytes)?,
            Stage::Deflated(encoder, block) => deflate(encoder, block, bytes)?,
            Stage::Between => return Err(io::Error::other("packing stopped half-way")),
        }
        self.sha.update(bytes);
        self.crc.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Fills blocks and deflates each that is full.
fn deflate<W: Write>(encoder: &mut DeflateEncoder<Measured<W>>, block: &mut Vec<u8>, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let (now, later) = bytes.split_at(bytes.len().min(BLOCK - block.len()));
        block.extend_from_slice(now);
        bytes = later;
        if block.len() == BLOCK {
            encoder.write_all(block)?;
            block.clear();
        }
    }
    Ok(())
}

pub(super) fn digest(context: Context) -> Digest {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(context.finish().as_ref());
    Digest::new(bytes)
}

/// Files packed one after another.
#[derive(Debug)]
pub struct Pack<D> {
    data: D,
    end: u64,
    entries: Vec<(Facts, u64)>,
}

impl<D: Read + Write + Seek> Pack<D> {
    /// Nothing packed yet; `data` is written from its start.
    pub fn new(data: D) -> Self {
        Self { data, end: 0, entries: Vec::new() }
    }

    /// What was packed, and where its bytes begin.
    pub fn entries(&self) -> &[(Facts, u64)] {
        &self.entries
    }

    /// Packed bytes.
    pub fn len(&self) -> u64 {
        self.end
    }

    /// Whether nothing was packed.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Packs what `fill` writes. Whatever it returns comes back with the facts; after an error nothing was added.
    pub fn add<T, E: From<ArchiveError>>(&mut self, path: &str, method: Method, fill: impl FnOnce(&mut dyn Write) -> Result<T, E>) -> Result<T, E> {
        check_path(path)?;
        self.data.seek(SeekFrom::Start(self.end)).map_err(ArchiveError::from)?;
        let mut counted = Counted { packer: Packer::new(io::BufWriter::with_capacity(256 << 10, &mut self.data), method), bytes: 0 };
        let made = fill(&mut counted)?;
        let facts = counted.packer.finish(path, counted.bytes).map_err(ArchiveError::from)?;
        let at = self.end;
        self.end += facts.packed;
        self.entries.push((facts, at));
        Ok(made)
    }

    /// Takes over what was packed before an interruption, if its bytes are still the same; `false`: they are not.
    pub fn take_over(&mut self, facts: &[Facts]) -> Result<bool, ArchiveError> {
        let mut at = self.end;
        for one in facts {
            check_path(&one.path)?;
            self.data.seek(SeekFrom::Start(at))?;
            let mut measured = Measured::new(io::sink());
            io::copy(&mut (&mut self.data).take(one.packed), &mut measured)?;
            if measured.bytes != one.packed || digest(measured.sha) != one.packed_sha256 {
                return Ok(false);
            }
            at += one.packed;
        }
        for one in facts {
            self.entries.push((one.clone(), self.end));
            self.end += one.packed;
        }
        Ok(true)
    }

    /// The packed bytes of an entry.
    pub fn packed(&mut self, (facts, at): &(Facts, u64)) -> Result<io::Take<&mut D>, ArchiveError> {
        self.data.seek(SeekFrom::Start(*at))?;
        Ok((&mut self.data).take(facts.packed))
    }
}

struct Counted<W: Write> {
    packer: Packer<W>,
    bytes: u64,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.packer.write(bytes)?;
        self.bytes += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
