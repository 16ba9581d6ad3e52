//! Reading entries once each, and comparing every one with the manifest as it is read.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Seek};

use super::Verification;
use crate::evidence::archive::{Archive, ArchiveError, Content, Facts};
use crate::evidence::manifest::{self, FileEntry, Manifest};
use crate::model::ids::Digest;

/// A bundle under examination.
pub(super) struct Reading<'a, R> {
    archive: &'a mut Archive<R>,
    pub(super) found: &'a mut Verification,
    listed: BTreeMap<&'a str, &'a FileEntry>,
    /// What was read, by path.
    facts: BTreeMap<String, Facts>,
    held: u64,
}

impl<'a, R: Read + Seek> Reading<'a, R> {
    /// Compares the directory with the manifest: what is missing, what was added.
    pub(super) fn new(archive: &'a mut Archive<R>, manifest: &'a Manifest, found: &'a mut Verification) -> Result<Self, ArchiveError> {
        let listed: BTreeMap<&str, &FileEntry> = manifest.files.iter().map(|f| (f.path.as_str(), f)).collect();
        for path in listed.keys().filter(|p| archive.entry(p).is_none()) {
            found.problem(path, "missing", "listed in the manifest and not in the bundle");
        }
        for entry in archive.entries().iter().filter(|e| e.path != manifest::PATH && !listed.contains_key(e.path.as_str())) {
            found.problem(&entry.path, "added", "not listed in the manifest");
        }
        Ok(Self { archive, found, listed, facts: BTreeMap::new(), held: 0 })
    }

    /// Paths of the entries that the manifest lists, sorted.
    pub(super) fn paths(&self) -> Vec<String> {
        let names: BTreeSet<&str> = self.archive.entries().iter().map(|e| e.path.as_str()).collect();
        names.into_iter().filter(|p| self.listed.contains_key(p)).map(str::to_string).collect()
    }

    /// Whether the bundle holds a listed file of this path.
    pub(super) fn holds(&self, path: &str) -> bool {
        self.listed.contains_key(path) && self.archive.entry(path).is_some()
    }

    /// Whether an entry was read already.
    pub(super) fn was_read(&self, path: &str) -> bool {
        self.facts.contains_key(path)
    }

    /// SHA-256 of the content that the manifest lists.
    pub(super) fn digest(&self, path: &str) -> Option<Digest> {
        self.listed.get(path).map(|f| f.sha256)
    }

    /// Length of the content that the manifest lists.
    pub(super) fn bytes(&self, path: &str) -> Option<u64> {
        self.listed.get(path).map(|f| f.bytes)
    }

    /// Reads an entry: `look` sees its content, then the whole of it is compared with the manifest. `None`: there is no such
    /// listed file, or it does not read.
    pub(super) fn entry<T>(
        &mut self,
        path: &str,
        look: impl FnOnce(&mut BufReader<&mut Content<&mut R>>, &mut Verification) -> T,
    ) -> Result<Option<T>, ArchiveError> {
        let Some(listed) = self.listed.get(path).copied().filter(|_| self.archive.entry(path).is_some()) else { return Ok(None) };
        let made = self.archive.content(path, listed.bytes).and_then(|mut content| {
            let seen = look(&mut BufReader::with_capacity(64 << 10, &mut content), self.found);
            Ok((seen, content.finish()?))
        });
        match made {
            Err(ArchiveError::Io(e)) => Err(ArchiveError::Io(e)),
            Err(e) => {
                self.found.problem(path, "altered", format!("does not unpack: {e}"));
                Ok(None)
            }
            Ok((seen, facts)) => {
                let same = (facts.bytes, facts.sha256, facts.packed, facts.packed_sha256) == (listed.bytes, listed.sha256, listed.packed, listed.packed_sha256);
                if same {
                    self.held += 1;
                } else {
                    self.found.problem(path, "altered", "its content is not the one listed in the manifest");
                }
                self.facts.insert(path.into(), facts);
                Ok(Some(seen))
            }
        }
    }

    /// The whole content of a small entry; more than `limit` bytes are not read.
    pub(super) fn whole(&mut self, path: &str, limit: u64) -> Result<Option<Vec<u8>>, ArchiveError> {
        self.entry(path, |content, _| {
            let mut bytes = Vec::new();
            // A damaged stream shows when the rest of it is read.
            let _ = content.take(limit).read_to_end(&mut bytes);
            bytes
        })
    }

    /// Compares every byte outside of the contents with what is written.
    pub(super) fn finish(self) -> Result<(), ArchiveError> {
        self.found.check("files with the lengths and digests of the manifest", self.held);
        let mut facts = self.facts;
        // The manifest is not listed in itself; what was added or does not unpack is named already: those are taken as the directory says.
        let mut order = Vec::new();
        for entry in self.archive.entries().to_vec() {
            let known = facts.remove(&entry.path).filter(|f| f.packed == entry.packed);
            order.push(known.unwrap_or(Facts {
                bytes: entry.bytes,
                crc: entry.crc,
                deflated: entry.deflated,
                packed: entry.packed,
                packed_sha256: Digest::new([0; 32]),
                path: entry.path,
                sha256: Digest::new([0; 32]),
            }));
        }
        if let Some(at) = order.iter().position(|f| f.path == manifest::PATH) {
            let read = self.archive.content(manifest::PATH, order.get(at).map_or(0, |f| f.bytes))?.finish()?;
            order.splice(at..=at, [read]);
        }
        match self.archive.difference(&order, manifest::PATH)? {
            Some(difference) => self.found.problem("", "container", difference),
            None => self.found.check("zip container, byte for byte as written", 1),
        }
        Ok(())
    }
}

/// Calls `each` with every line, without its line feed, and its number from 1; `false`: the content is not lines of at most `limit` bytes.
pub(super) fn lines(content: &mut impl BufRead, limit: u64, mut each: impl FnMut(u64, &[u8])) -> bool {
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        match content.by_ref().take(limit).read_until(b'\n', &mut line) {
            Ok(0) => return true,
            Ok(_) => (),
            Err(_) => return false,
        }
        match line.strip_suffix(b"\n") {
            Some(line) => each(number, line),
            None => return false,
        }
    }
    true
}
