//! The durable spool: reports wait here until the collector's receipt is on disk.
//!
//! ```text
//! STATE/lock                one agent at a time
//!       state.json          lineage, next number, windows fulfilled, losses
//!       spool/NAME          waiting, oldest first
//!       kept/NAME           acknowledged, kept for 35 days with NAME.receipt
//!       damaged/NAME        not as it was written
//! ```
//! A report is on disk before its number is counted as used, and numbers are derived from both
//! files and state: a kill at any moment neither reuses a number nor leaves a hole. What is
//! dropped or damaged is written down as a loss before it is touched.

mod age;
pub mod file;
pub mod state;
#[cfg(test)]
mod tests;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;

pub use age::Age;
pub use file::{FileError, Item, Name};
pub use state::{Begun, Found, State};

use super::schedule;
use crate::host::clock::Moment;
use crate::host::durable;
use crate::model::envelope::Envelope;
use crate::model::ids::Lineage;
use crate::model::receipt::Receipt;
use crate::model::report::{Losses, Report};

/// Acknowledged reports are kept this long, seconds: a collector restored from a backup can ask for them.
pub const KEEP_SECONDS: i64 = 35 * 86_400;
/// Most files, waiting and kept together.
pub const MAX_FILES: usize = 4096;
/// Forked lineages that are remembered.
const MAX_FORKED: usize = 16;
/// Ending of a receipt's file.
const RECEIPT: &str = "receipt";
/// Largest receipt file, bytes.
const MAX_RECEIPT: usize = 256 << 10;

/// How much the spool may hold.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Bytes of all files together.
    pub max_bytes: u64,
    /// Age of a waiting report, seconds.
    pub max_age: i64,
}

impl Default for Bounds {
    fn default() -> Self {
        let bounds = crate::config::agent::SpoolBounds::default();
        Self { max_bytes: bounds.max_bytes, max_age: i64::from(bounds.max_age_days) * 86_400 }
    }
}

/// Why the spool can't be used.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// Someone else uses it.
    #[error("{0}: in use by another assay process; stop it (systemctl stop assay-agent) or wait until it is done")]
    Locked(String),
    /// The disk or its rights.
    #[error("{0}: {1}; check owner, mode and free space of the state folder")]
    Io(String, io::Error),
    /// One report is larger than the whole spool.
    #[error("report of {0} bytes is larger than the spool may hold; raise spool.max_bytes")]
    TooLarge(u64),
    /// These families, or without a name the gaps or findings, are larger than a blob may be.
    #[error("report can't be sealed: its {} are larger than a blob may be", if .0.is_empty() { "gaps or findings".to_string() } else { format!("facts of {}", .0.join(", ")) })]
    Oversized(Vec<String>),
    /// A report can't be written in canonical form.
    #[error("report can't be sealed: {0}")]
    Seal(String),
    /// A waiting file is not as it was written.
    #[error("spool file {0} is damaged; it was moved aside and counted as a loss")]
    Damaged(String),
    /// No random bytes.
    #[error(transparent)]
    Random(#[from] crate::pki::PkiError),
}

/// The numbers a new report gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Numbers {
    /// Lineage.
    pub lineage: Lineage,
    /// Lineage that it continues.
    pub parent: Option<Lineage>,
    /// Sequence.
    pub sequence: u64,
    /// Losses so far.
    pub losses: Losses,
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    name: Name,
    bytes: u64,
    /// Since when it waits by [`Age`], Unix seconds.
    since: i64,
}

#[derive(Clone, Copy, Debug)]
struct Kept {
    name: Name,
    bytes: u64,
    received: i64,
}

/// The spool of one state folder, locked.
#[derive(Debug)]
pub struct Spool {
    root: PathBuf,
    bounds: Bounds,
    state: State,
    waiting: Vec<Waiting>,
    kept: Vec<Kept>,
    /// Beyond every name ever seen.
    next_order: u64,
    /// Whether the clock was looked at since the spool was opened.
    is_ticking: bool,
    _lock: File,
}

impl Spool {
    /// Opens the spool and finishes what a kill interrupted. `first` is the lineage made at
    /// enrolment: it begins with an empty folder, and is the parent when the state was lost.
    pub fn open(root: &Path, bounds: Bounds, first: Lineage) -> Result<Self, SpoolError> {
        let lock = lock(root)?;
        for folder in ["spool", "kept", "damaged"] {
            create_folder(&root.join(folder))?;
        }
        let path = root.join("state.json");
        let found = State::load(&path).map_err(at(&path))?;
        let fresh = found == Found::Missing && !root.join("begun").exists();
        let (state, lost) = match found {
            Found::State(state) => (*state, false),
            Found::Missing if fresh => (State::begin(first, None), false),
            Found::Missing | Found::Damaged => (State::begin(first, None), true),
        };
        let damaged_state = u64::from(lost && path.exists());
        let mut spool = Self { root: root.into(), bounds, state, waiting: Vec::new(), kept: Vec::new(), next_order: 1, is_ticking: false, _lock: lock };
        if lost {
            let newest = spool.newest_lineage()?.unwrap_or(first);
            spool.state = State::begin(Lineage::new(crate::pki::random()?), Some(newest));
            spool.state.damaged = damaged_state;
        }
        spool.finish_interrupted()?;
        spool.read_folders()?;
        spool.save()?;
        if !root.join("begun").exists() {
            // Tells a lost state from a first start.
            durable::write(&root.join("begun"), b"", 0o600).map_err(at(root))?;
        }
        Ok(spool)
    }

    /// What is remembered.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Waiting reports, oldest first.
    pub fn waiting(&self) -> Vec<Name> {
        self.waiting.iter().map(|w| w.name).collect()
    }

    /// Acknowledged reports that are still kept, oldest first.
    pub fn kept(&self) -> Vec<Name> {
        self.kept.iter().map(|k| k.name).collect()
    }

    /// The report that was acknowledged last, if it can be read.
    pub fn newest_kept(&self) -> Option<Item> {
        let newest = self.kept.iter().max_by_key(|k| k.name.order)?;
        Item::read(&self.path("kept", &newest.name.to_string())).ok()
    }

    /// Writes down that a scan begins, so that a kill in its middle is not silent.
    pub fn begin(&mut self, begun: Begun) -> Result<(), SpoolError> {
        self.state.begun = Some(begun);
        self.save()
    }

    /// Writes a report, which ends the scan that was begun. `seal` gets its numbers and returns the
    /// finished file.
    pub fn put(&mut self, moment: Moment, seal: impl Fn(Numbers) -> Result<Item, SpoolError>) -> Result<Name, SpoolError> {
        let now = self.tick(moment);
        // Sealed once to learn its size; losses change a few digits only.
        let estimate = to_bytes(&seal(self.numbers())?)?.len() as u64 + 64;
        self.make_room(estimate, now)?;
        let numbers = self.numbers();
        let item = seal(numbers)?;
        let bytes = to_bytes(&item)?;
        let name = Name { order: self.next_order, lineage: numbers.lineage, sequence: numbers.sequence };
        let path = self.path("spool", &name.to_string());
        durable::write(&path, &bytes, 0o600).map_err(at(&path))?;
        self.next_order += 1;
        self.waiting.push(Waiting { name, bytes: bytes.len() as u64, since: now });
        self.state.next_sequence = numbers.sequence + 1;
        self.end_begun();
        schedule::remember(&mut self.state.done, &item.covers);
        self.save()?;
        Ok(name)
    }

    /// Reads a waiting report; a damaged one is moved aside and counted.
    pub fn read(&mut self, name: Name) -> Result<Item, SpoolError> {
        let path = self.path("spool", &name.to_string());
        match Item::read(&path) {
            Ok(item) => Ok(item),
            Err(FileError::Read(e)) => Err(at(&path)(e)),
            Err(FileError::Damaged(_)) => {
                self.waiting.retain(|w| w.name != name);
                self.set_aside(vec![name.to_string()])?;
                Err(SpoolError::Damaged(path.display().to_string()))
            }
        }
    }

    /// Keeps the receipt of a report and lets go of its place in the queue.
    pub fn acknowledge(&mut self, name: Name, envelope: &Envelope, receipt: &Receipt, checkpoint_size: u64) -> Result<(), SpoolError> {
        let file = name.to_string();
        let stored = self.path("kept", &format!("{file}.{RECEIPT}"));
        durable::write(&stored, &envelope.to_bytes(), 0o600).map_err(at(&stored))?;
        let (from, to) = (self.path("spool", &file), self.path("kept", &file));
        fs::rename(&from, &to).map_err(at(&from))?;
        self.sync("kept")?;
        self.sync("spool")?;
        let bytes = self.waiting.iter().find(|w| w.name == name).map_or(0, |w| w.bytes);
        self.waiting.retain(|w| w.name != name);
        self.kept.push(Kept { name, bytes, received: receipt.received });
        if name.lineage == self.state.lineage {
            self.state.acknowledged = self.state.acknowledged.max(name.sequence);
        }
        self.state.received = self.state.received.max(receipt.received);
        if checkpoint_size >= self.state.checkpoint_size {
            self.state.checkpoint_size = checkpoint_size;
            self.state.checkpoint = Some(receipt.checkpoint.clone());
        }
        self.save()
    }

    /// The collector knows another report under the same number: what waits in this lineage is
    /// sealed anew under another one. Opens a new lineage if it is the running one.
    pub fn fork(&mut self, lineage: Lineage) -> Result<(), SpoolError> {
        if !self.state.forked.contains(&lineage) {
            self.state.forked.push(lineage);
            let excess = self.state.forked.len().saturating_sub(MAX_FORKED);
            self.state.forked.drain(..excess);
        }
        if lineage == self.state.lineage { self.open_lineage() } else { self.save() }
    }

    /// Opens a new lineage that continues the running one (fork, clone).
    pub fn open_lineage(&mut self) -> Result<(), SpoolError> {
        let next = State::begin(Lineage::new(crate::pki::random()?), Some(self.state.lineage));
        self.state = State {
            lineage: next.lineage,
            parent: next.parent,
            next_sequence: next.next_sequence,
            acknowledged: next.acknowledged,
            dropped: next.dropped,
            damaged: next.damaged,
            ..self.state.clone()
        };
        self.save()
    }

    /// Whether what waits in a lineage must be sealed anew.
    pub fn is_forked(&self, lineage: Lineage) -> bool {
        self.state.forked.contains(&lineage)
    }

    /// Replaces a waiting report by the same one under new numbers. The new file names the old
    /// one, so that a kill in between leaves one of them, not two.
    pub fn replace(&mut self, old: Name, seal: impl Fn(Numbers) -> Result<Item, SpoolError>) -> Result<Name, SpoolError> {
        let numbers = self.numbers();
        let item = Item { replaces: Some(old.to_string()), ..seal(numbers)? };
        let bytes = to_bytes(&item)?;
        let name = Name { order: self.next_order, lineage: numbers.lineage, sequence: numbers.sequence };
        let path = self.path("spool", &name.to_string());
        durable::write(&path, &bytes, 0o600).map_err(at(&path))?;
        self.next_order += 1;
        self.state.next_sequence = numbers.sequence + 1;
        self.save()?;
        remove(&self.path("spool", &old.to_string()))?;
        self.sync("spool")?;
        let since = self.waiting.iter().find(|w| w.name == old).map_or(0, |w| w.since);
        self.waiting.retain(|w| w.name != old);
        self.waiting.push(Waiting { name, bytes: bytes.len() as u64, since });
        Ok(name)
    }

    /// Puts acknowledged reports that are still kept back in line: those of `lineage` from number `from` on. Their receipts stay
    /// until new ones take their place. How many that were; one that waits already counts, too.
    pub fn requeue(&mut self, lineage: Lineage, from: u64) -> Result<usize, SpoolError> {
        let asked = |name: &Name| name.lineage == lineage && name.sequence >= from;
        let names: Vec<Name> = self.kept.iter().map(|k| k.name).filter(asked).collect();
        for name in &names {
            let (back, file) = (self.path("spool", &name.to_string()), self.path("kept", &name.to_string()));
            match Item::read(&file) {
                Ok(_) => {}
                Err(FileError::Read(e)) => return Err(at(&file)(e)),
                Err(FileError::Damaged(_)) => {
                    self.kept.retain(|k| k.name != *name);
                    self.set_aside(vec![name.to_string()])?;
                    continue;
                }
            }
            // A kill leaves each report in one of the two folders, and the next start finds it there.
            fs::rename(&file, &back).map_err(at(&file))?;
            let (bytes, since) = self.kept.iter().find(|k| k.name == *name).map_or((0, 0), |k| (k.bytes, k.received));
            self.kept.retain(|k| k.name != *name);
            self.waiting.push(Waiting { name: *name, bytes, since });
        }
        if !names.is_empty() {
            self.sync("spool")?;
            self.sync("kept")?;
            self.waiting.sort_by_key(|w| w.name);
        }
        Ok(self.waiting.iter().filter(|w| asked(&w.name)).count())
    }

    /// Looks at the clock: the time by which age is judged, Unix seconds. Asked for now and then,
    /// so that time passes for the spool although the wall clock jumps.
    pub fn tick(&mut self, moment: Moment) -> i64 {
        let newest = self.waiting.iter().map(|w| w.since).chain(self.kept.iter().map(|k| k.received)).max();
        let age = match self.state.age {
            Some(age) if self.is_ticking => age.tick(moment),
            Some(age) => age.resume(moment),
            None => Age::begin(moment, newest),
        };
        self.is_ticking = true;
        self.state.age = Some(age);
        age.now
    }

    /// The collector said what time it is, Unix seconds.
    pub fn told(&mut self, moment: Moment, now: i64) {
        self.tick(moment);
        self.state.age = self.state.age.map(|age| age.told(now));
    }

    /// Forgets acknowledged reports older than [`KEEP_SECONDS`].
    pub fn prune(&mut self, moment: Moment) -> Result<(), SpoolError> {
        let now = self.tick(moment);
        self.prune_at(now)
    }

    fn prune_at(&mut self, now: i64) -> Result<(), SpoolError> {
        let (old, young): (Vec<Kept>, Vec<Kept>) = self.kept.iter().partition(|k| k.received.saturating_add(KEEP_SECONDS) < now);
        for kept in old {
            self.remove_kept(kept.name)?;
        }
        self.kept = young;
        Ok(())
    }

    /// The scan that was begun has its report, and whoever asked for it has an answer.
    fn end_begun(&mut self) {
        if let Some(request) = self.state.begun.take().and_then(|begun| begun.request) {
            self.state.request = Some(request);
        }
    }

    fn numbers(&self) -> Numbers {
        Numbers {
            lineage: self.state.lineage,
            parent: self.state.parent,
            sequence: self.state.next_sequence,
            losses: Losses { spool_dropped: self.state.dropped, spool_damaged: self.state.damaged },
        }
    }

    /// Lets the oldest go until `bytes` more fit: acknowledged ones first, which is no loss.
    fn make_room(&mut self, bytes: u64, now: i64) -> Result<(), SpoolError> {
        if bytes > self.bounds.max_bytes || bytes > file::MAX_FILE as u64 {
            return Err(SpoolError::TooLarge(bytes));
        }
        self.prune_at(now)?;
        let full = |spool: &Self| {
            let used: u64 = spool.waiting.iter().map(|w| w.bytes).chain(spool.kept.iter().map(|k| k.bytes)).sum();
            used + bytes > spool.bounds.max_bytes || spool.waiting.len() + spool.kept.len() >= MAX_FILES
        };
        while full(self) && !self.kept.is_empty() {
            let oldest = self.kept.remove(0);
            self.remove_kept(oldest.name)?;
        }
        let oldest_allowed = now.saturating_sub(self.bounds.max_age);
        let mut dropped: Vec<String> = self.waiting.iter().filter(|w| w.since < oldest_allowed).map(|w| w.name.to_string()).collect();
        self.waiting.retain(|w| w.since >= oldest_allowed);
        while full(self) && !self.waiting.is_empty() {
            dropped.push(self.waiting.remove(0).name.to_string());
        }
        if dropped.is_empty() {
            return Ok(());
        }
        tracing::warn!(reports = dropped.len(), "spool is full or its reports are too old: undelivered reports dropped");
        self.state.dropped += dropped.len() as u64;
        self.state.dropping = dropped;
        self.save()?;
        self.finish_interrupted()
    }

    fn set_aside(&mut self, names: Vec<String>) -> Result<(), SpoolError> {
        if names.is_empty() {
            return Ok(());
        }
        tracing::warn!(files = names.len(), "damaged spool files moved aside");
        self.state.damaged += names.len() as u64;
        self.state.setting_aside = names;
        self.save()?;
        self.finish_interrupted()
    }

    /// Removals and moves that were counted before they were done.
    fn finish_interrupted(&mut self) -> Result<(), SpoolError> {
        for name in std::mem::take(&mut self.state.dropping) {
            remove(&self.path("spool", &name))?;
            // Of a report that was acknowledged once and put back in line.
            remove(&self.path("kept", &format!("{name}.{RECEIPT}")))?;
        }
        for name in std::mem::take(&mut self.state.setting_aside) {
            for folder in ["spool", "kept"] {
                let from = self.path(folder, &name);
                match fs::rename(&from, self.path("damaged", &name)) {
                    Ok(()) => {}
                    Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                    Err(e) => return Err(at(&from)(e)),
                }
            }
        }
        self.sync("spool")?;
        self.save()
    }

    fn read_folders(&mut self) -> Result<(), SpoolError> {
        let mut damaged = Vec::new();
        let mut replaced = Vec::new();
        let mut highest = 0;
        // A report of a wrong clock does not make those before and after it older than they are.
        let mut since = self.state.received;
        for (folder, is_kept) in [("kept", true), ("spool", false)] {
            for name in self.names(folder)? {
                highest = highest.max(if name.lineage == self.state.lineage { name.sequence } else { 0 });
                self.next_order = self.next_order.max(name.order + 1);
                let path = self.path(folder, &name.to_string());
                let item = match Item::read(&path) {
                    Ok(item) => item,
                    Err(FileError::Read(e)) => return Err(at(&path)(e)),
                    Err(FileError::Damaged(_)) => {
                        damaged.push(name.to_string());
                        continue;
                    }
                };
                schedule::remember(&mut self.state.done, &item.covers);
                let bytes = fs::metadata(&path).map_err(at(&path))?.len();
                let finished = finished_at(&item).unwrap_or(0);
                replaced.extend(item.replaces);
                if is_kept {
                    let received = self.received(name).unwrap_or(finished);
                    self.kept.push(Kept { name, bytes, received });
                } else {
                    since = since.max(self.state.age.map_or(finished, |age| finished.min(age.now)));
                    self.waiting.push(Waiting { name, bytes, since });
                }
            }
        }
        for name in self.names("damaged")? {
            highest = highest.max(if name.lineage == self.state.lineage { name.sequence } else { 0 });
            self.next_order = self.next_order.max(name.order + 1);
        }
        // A state restored from a backup must not hand out numbers that were used.
        self.state.next_sequence = self.state.next_sequence.max(highest + 1);
        if self.state.begun.as_ref().is_some_and(|begun| begun.sequence < self.state.next_sequence) {
            self.end_begun();
        }
        for name in replaced.iter().filter_map(|n| Name::parse(n)) {
            remove(&self.path("spool", &name.to_string()))?;
            self.waiting.retain(|w| w.name != name);
        }
        self.set_aside(damaged)
    }

    fn newest_lineage(&self) -> Result<Option<Lineage>, SpoolError> {
        let mut all = Vec::new();
        for folder in ["spool", "kept", "damaged"] {
            all.extend(self.names(folder)?);
        }
        Ok(all.into_iter().max().map(|n| n.lineage))
    }

    /// The files of a folder by age; temporary files of a killed writer are removed.
    fn names(&self, folder: &str) -> Result<Vec<Name>, SpoolError> {
        let path = self.root.join(folder);
        let mut names = Vec::new();
        for entry in fs::read_dir(&path).map_err(at(&path))? {
            let file = entry.map_err(at(&path))?.file_name();
            let file = file.to_string_lossy();
            if file.starts_with('.') && file.ends_with(".tmp") {
                remove(&path.join(file.as_ref()))?;
            } else if let Some(name) = Name::parse(&file) {
                names.push(name);
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    fn received(&self, name: Name) -> Option<i64> {
        let path = self.path("kept", &format!("{name}.{RECEIPT}"));
        let bytes = fs::read(path).ok().filter(|b| b.len() <= MAX_RECEIPT)?;
        let payload = Envelope::parse(&bytes).ok()?.payload_bytes().ok()?;
        Some(serde_json::from_slice::<Receipt>(&payload).ok()?.received)
    }

    fn remove_kept(&self, name: Name) -> Result<(), SpoolError> {
        remove(&self.path("kept", &name.to_string()))?;
        remove(&self.path("kept", &format!("{name}.{RECEIPT}")))
    }

    fn path(&self, folder: &str, name: &str) -> PathBuf {
        self.root.join(folder).join(name)
    }

    fn sync(&self, folder: &str) -> Result<(), SpoolError> {
        let path = self.root.join(folder);
        durable::sync_folder(&path).map_err(at(&path))
    }

    fn save(&self) -> Result<(), SpoolError> {
        let path = self.root.join("state.json");
        self.state.save(&path).map_err(at(&path))
    }
}

/// Creates a state folder that only its owner may enter.
pub fn create_folder(path: &Path) -> Result<(), SpoolError> {
    use std::os::unix::fs::DirBuilderExt as _;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(at(path))
}

/// Takes the lock of a state folder.
pub(super) fn lock(root: &Path) -> Result<File, SpoolError> {
    create_folder(root)?;
    let path = root.join("lock");
    let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(at(&path))?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(SpoolError::Locked(path.display().to_string())),
        Err(e) => Err(at(&path)(e.into())),
    }
}

fn to_bytes(item: &Item) -> Result<Vec<u8>, SpoolError> {
    item.to_bytes().map_err(|e| SpoolError::Seal(e.to_string()))
}

/// When the scan of a report ended, Unix seconds.
fn finished_at(item: &Item) -> Option<i64> {
    let payload = item.envelope.payload_bytes().ok()?;
    Some(serde_json::from_slice::<Report>(&payload).ok()?.times.finished)
}

fn remove(path: &Path) -> Result<(), SpoolError> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(at(path)(e)),
        _ => Ok(()),
    }
}

fn at(path: &Path) -> impl Fn(io::Error) -> SpoolError + '_ {
    move |e| SpoolError::Io(path.display().to_string(), e)
}
