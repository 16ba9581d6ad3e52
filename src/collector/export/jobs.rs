//! Exports that people ask for on the pages: made one after another, kept for a while, each with its progress.
//!
//! ```text
//! DATA/exports/ID.zip    a finished bundle
//!              ID.json   who asked for it, what it is
//! ```
//! Finished ones survive a restart of the collector; one that was under way is asked for again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::{Order, Source, Target, export};
use crate::evidence::bundle::Progress;
use crate::host::durable;
use crate::model::canonical;
use crate::model::ids::{Digest, RandomId};

/// Finished bundles kept; older ones are removed.
pub const MAX_KEPT: usize = 20;
/// Exports that may wait or be under way.
const MAX_WAITING: usize = 8;
/// Largest description of an export, bytes.
const MAX_DESCRIPTION: u64 = 64 << 10;

/// How far an export is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Another one is under way.
    Waiting,
    /// The ledger and the results are read, or hosts are packed.
    Working(Progress),
    /// The bundle is there.
    Done {
        /// SHA-256 of the file.
        digest: Digest,
        /// Its length.
        bytes: u64,
    },
    /// There is none; one sentence.
    Failed(String),
}

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Its name in addresses.
    pub id: RandomId,
    /// Who asked.
    pub by: RandomId,
    /// When, Unix seconds.
    pub at: i64,
    /// Name of the file for people.
    pub name: String,
    /// How far it is.
    pub state: State,
}

/// A finished export as it is kept.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Description {
    at: i64,
    by: RandomId,
    bytes: u64,
    digest: Digest,
    id: RandomId,
    name: String,
}

/// Why an export can't be begun.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{MAX_WAITING} exports are under way or wait for their turn; wait until one is done")]
pub struct Busy;

/// The exports of this collector.
#[derive(Clone, Debug)]
pub struct Jobs {
    folder: PathBuf,
    turn: Arc<tokio::sync::Mutex<()>>,
    jobs: Arc<Mutex<BTreeMap<RandomId, Job>>>,
}

impl Jobs {
    /// Those of a data folder; what was under way when the collector stopped is removed.
    pub fn open(data: &Path) -> Self {
        let folder = data.join("exports");
        let mut jobs = BTreeMap::new();
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            match path.extension().and_then(|e| e.to_str()) {
                Some("json") => drop(kept(&path).map(|job| jobs.insert(job.id, job))),
                // Litter of an export that nobody waits for any more: nothing is lost when it stays.
                Some("part") => drop(std::fs::remove_dir_all(&path)),
                _ => (),
            }
        }
        Self { folder, turn: Arc::default(), jobs: Arc::new(Mutex::new(jobs)) }
    }

    /// Begins an export or puts it in line; `done` is called when the ledger has a new entry.
    pub fn begin(&self, job: Job, source: Source, order: Order, done: impl FnOnce() + Send + 'static) -> Result<(), Busy> {
        let (id, by) = (job.id, job.by);
        {
            let mut jobs = self.lock();
            if jobs.values().filter(|j| matches!(j.state, State::Waiting | State::Working(_))).count() >= MAX_WAITING {
                return Err(Busy);
            }
            jobs.insert(id, Job { state: State::Waiting, ..job });
        }
        let jobs = self.clone();
        tokio::spawn(async move {
            let turn = jobs.turn.clone();
            let _turn = turn.lock().await;
            jobs.set(id, State::Working(Progress::default()));
            let state = jobs.make(id, by, source, order).await;
            if matches!(state, State::Done { .. }) {
                done();
            }
            jobs.set(id, state);
            jobs.tidy();
        });
        Ok(())
    }

    async fn make(&self, id: RandomId, by: RandomId, source: Source, order: Order) -> State {
        if let Err(e) = std::fs::create_dir_all(&self.folder) {
            return State::Failed(format!("{}: {e}", self.folder.display()));
        }
        let target = Target { out: self.file(&id), resume: false, by: by.to_string() };
        let watched = self.clone();
        let tell = move |progress| {
            watched.set(id, State::Working(progress));
            true
        };
        match export(&source, &order, &target, Box::new(tell)).await {
            Err(e) => {
                // Nobody goes on with it: the next attempt is another export.
                let _ = std::fs::remove_dir_all(super::work_folder(&target.out));
                tracing::error!("export {id}: {e}");
                State::Failed(e.to_string())
            }
            Ok(written) => {
                let (digest, bytes) = (written.digest, written.bytes);
                if let Err(e) = self.describe(&id, digest, bytes) {
                    tracing::error!("export {id} is made and forgotten at the next start: {e}");
                }
                State::Done { digest, bytes }
            }
        }
    }

    fn describe(&self, id: &RandomId, digest: Digest, bytes: u64) -> std::io::Result<()> {
        let Some(job) = self.job(id) else { return Ok(()) };
        let description = Description { at: job.at, by: job.by, bytes, digest, id: job.id, name: job.name };
        let text = canonical::to_bytes(&description).map_err(|e| std::io::Error::other(e.to_string()))?;
        durable::write(&self.folder.join(format!("{id}.json")), &text, 0o600)
    }

    /// Removes what is beyond [`MAX_KEPT`], oldest first; failures are kept in memory only, and as many.
    fn tidy(&self) {
        let mut jobs = self.lock();
        let mut over: Vec<(i64, RandomId)> = jobs.values().filter(|j| !matches!(j.state, State::Waiting | State::Working(_))).map(|j| (j.at, j.id)).collect();
        over.sort_unstable();
        over.truncate(over.len().saturating_sub(MAX_KEPT));
        for (_, id) in over {
            jobs.remove(&id);
            // What stays behind is found again at the next start.
            let _ = std::fs::remove_file(self.folder.join(format!("{id}.json")));
            let _ = std::fs::remove_file(self.file(&id));
        }
    }

    /// The bundle of a finished export.
    pub fn file(&self, id: &RandomId) -> PathBuf {
        self.folder.join(format!("{id}.zip"))
    }

    /// One export.
    pub fn job(&self, id: &RandomId) -> Option<Job> {
        self.lock().get(id).cloned()
    }

    /// All, newest first.
    pub fn all(&self) -> Vec<Job> {
        let mut all: Vec<Job> = self.lock().values().cloned().collect();
        all.sort_by_key(|j| (std::cmp::Reverse(j.at), j.id));
        all
    }

    fn set(&self, id: RandomId, state: State) {
        if let Some(job) = self.lock().get_mut(&id) {
            job.state = state;
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<RandomId, Job>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a description says, if its bundle is there.
fn kept(path: &Path) -> Option<Job> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    std::fs::File::open(path).ok()?.take(MAX_DESCRIPTION).read_to_end(&mut bytes).ok()?;
    let d: Description = serde_json::from_slice(&bytes).ok()?;
    let there = path.with_extension("zip").is_file() && path.file_stem()?.to_str()? == d.id.to_string();
    there.then_some(Job { id: d.id, by: d.by, at: d.at, name: d.name, state: State::Done { digest: d.digest, bytes: d.bytes } })
}
