//! The work folder of an export: what is packed is kept, so that an interrupted export goes on where it stopped.
//!
//! ```text
//! OUT.part/order.json    what was ordered and to which checkpoint it is fixed, canonical JSON
//!          hosts.jsonl   a line per packed host: the facts of its files, in the order of their bytes in `data`
//!          data          packed files, one after another
//!          bundle.zip    the container, until it gets its name
//! ```
//! A line counts only if the bytes it describes are still there and the same, so nothing needs to be durable before the end.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead as _, BufReader, BufWriter, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::archive::{ArchiveError, Facts, Pack};
use super::bundle::{BundleError, Progress, Steps};
use crate::host::durable;

/// Largest order, bytes: a checkpoint, a few names and the digests of lists.
const MAX_ORDER: u64 = 1 << 20;
/// Longest line of a host: the facts of three files.
const MAX_LINE: u64 = 64 << 10;

/// Why there is no work folder.
#[derive(Debug, thiserror::Error)]
pub enum WorkError {
    /// Another export left its folder or still works in it.
    #[error("{0}: the work folder of another export is there; go on with --resume, or remove it")]
    Exists(PathBuf),
    /// Nothing to go on with.
    #[error("{0}: no interrupted export is there; leave out --resume")]
    Missing(PathBuf),
    /// The disk failed.
    #[error("{path}: {error}")]
    Io {
        /// What was touched.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
}

/// A work folder.
#[derive(Debug)]
pub struct Work {
    folder: PathBuf,
    /// What is packed.
    pub pack: Pack<File>,
    /// Remembers packed hosts.
    pub journal: Journal,
}

impl Work {
    /// A new folder for this order.
    pub fn begin(folder: &Path, order: &[u8]) -> Result<Self, WorkError> {
        let io = |error| WorkError::Io { path: folder.into(), error };
        match fs::DirBuilder::new().mode(0o700).create(folder) {
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => return Err(WorkError::Exists(folder.into())),
            made => made.map_err(io)?,
        }
        durable::write(&folder.join("order.json"), order, 0o600).map_err(io)?;
        let data = open(&folder.join("data")).map_err(io)?;
        let journal = Journal::new(open(&folder.join("hosts.jsonl")).map_err(io)?);
        Ok(Self { folder: folder.into(), pack: Pack::new(data), journal })
    }

    /// What the interrupted export of this folder was ordered to do.
    pub fn order(folder: &Path) -> Result<Vec<u8>, WorkError> {
        use std::io::Read as _;
        let path = folder.join("order.json");
        let io = |error| WorkError::Io { path: path.clone(), error };
        let file = match File::open(&path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Err(WorkError::Missing(folder.into())),
            opened => opened.map_err(io)?,
        };
        let mut bytes = Vec::new();
        file.take(MAX_ORDER).read_to_end(&mut bytes).map_err(io)?;
        Ok(bytes)
    }

    /// Takes over what was packed, as far as it is whole.
    pub fn resume(folder: &Path) -> Result<Self, WorkError> {
        let io = |error| WorkError::Io { path: folder.into(), error };
        let mut pack = Pack::new(open(&folder.join("data")).map_err(io)?);
        let path = folder.join("hosts.jsonl");
        let mut kept = Vec::new();
        if let Ok(file) = File::open(&path) {
            let mut lines = BufReader::new(file);
            while let Some((line, facts)) = next_host(&mut lines).map_err(io)? {
                if !pack.take_over(&facts).map_err(|e| io(std::io::Error::other(e.to_string())))? {
                    break;
                }
                kept.extend_from_slice(&line);
            }
        }
        durable::write(&path, &kept, 0o600).map_err(io)?;
        let journal = OpenOptions::new().append(true).open(&path).map_err(io)?;
        Ok(Self { folder: folder.into(), pack, journal: Journal::new(journal) })
    }

    /// Where the container is written until it gets its name.
    pub fn container(&self) -> PathBuf {
        self.folder.join("bundle.zip")
    }

    /// Gives the finished container its name and takes the folder away. The container was fsynced before.
    pub fn finish(self, out: &Path) -> Result<(), WorkError> {
        let io = |error| WorkError::Io { path: out.into(), error };
        fs::rename(self.container(), out).map_err(io)?;
        durable::sync_parent(out).map_err(io)?;
        // The bundle is whole and has its name: litter is no failure.
        let _ = fs::remove_dir_all(&self.folder);
        Ok(())
    }
}

/// A new file, or an old one to be read and written again.
fn open(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

/// The next whole line and what it says; `None` at the end or where the file was cut off.
fn next_host(lines: &mut BufReader<File>) -> std::io::Result<Option<(Vec<u8>, Vec<Facts>)>> {
    use std::io::Read as _;
    let mut line = Vec::new();
    lines.by_ref().take(MAX_LINE).read_until(b'\n', &mut line)?;
    let facts = line.strip_suffix(b"\n").and_then(|l| serde_json::from_slice(l).ok());
    Ok(facts.map(|facts| (line, facts)))
}

/// Remembers packed hosts.
#[derive(Debug)]
pub struct Journal {
    lines: BufWriter<File>,
}

impl Journal {
    fn new(file: File) -> Self {
        Self { lines: BufWriter::new(file) }
    }

    /// Notes a packed host; one that was taken over has nothing new to note.
    fn note(&mut self, facts: &[Facts]) -> Result<(), ArchiveError> {
        if facts.is_empty() {
            return Ok(());
        }
        let mut line = serde_json::to_vec(facts).map_err(|e| ArchiveError::Io(e.to_string()))?;
        line.push(b'\n');
        self.lines.write_all(&line)?;
        Ok(self.lines.flush()?)
    }
}

/// Notes each host and tells somebody; `tell` says whether to go on.
pub struct Noted<'a> {
    /// Where hosts are noted.
    pub journal: &'a mut Journal,
    /// Told after each host; `false` stops.
    pub tell: &'a mut dyn FnMut(Progress) -> bool,
}

impl std::fmt::Debug for Noted<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Noted").field("journal", &self.journal).finish_non_exhaustive()
    }
}

impl Steps for Noted<'_> {
    fn packed(&mut self, facts: &[Facts], progress: Progress) -> Result<(), BundleError> {
        self.journal.note(facts)?;
        if (self.tell)(progress) { Ok(()) } else { Err(BundleError::Stopped) }
    }
}
