//! Putting the container together.

use std::io::{Read, Write};

use super::{ArchiveError, Facts, MAX_ENTRIES, check_path, form};

/// A zip file as it grows.
#[derive(Debug)]
pub struct Container<W> {
    out: W,
    offset: u64,
    directory: Vec<u8>,
    count: u64,
}

impl<W: Write> Container<W> {
    /// Writes to `out`.
    pub fn new(out: W) -> Self {
        Self { out, offset: 0, directory: Vec::new(), count: 0 }
    }

    /// Adds a file whose packed bytes are read from `packed`. Files are given in the order of the format.
    pub fn entry(&mut self, facts: &Facts, mut packed: impl Read) -> Result<(), ArchiveError> {
        check_path(&facts.path)?;
        if self.count == MAX_ENTRIES {
            return Err(ArchiveError::Limit { what: "files", limit: MAX_ENTRIES });
        }
        let header = facts.local_header();
        self.out.write_all(&header)?;
        let copied = std::io::copy(&mut packed, &mut self.out)?;
        if copied != facts.packed {
            return Err(ArchiveError::Entry { path: facts.path.clone(), why: "its packed bytes are not as long as they were when they were packed" });
        }
        self.directory.extend_from_slice(&facts.central_header(self.offset));
        self.offset += header.len() as u64 + copied;
        self.count += 1;
        Ok(())
    }

    /// Writes directory and end; gives back what was written to.
    pub fn finish(mut self) -> Result<W, ArchiveError> {
        self.out.write_all(&self.directory)?;
        self.out.write_all(&form::end(self.count, self.directory.len() as u64, self.offset))?;
        self.out.flush()?;
        Ok(self.out)
    }
}
