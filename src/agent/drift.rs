//! From changed files to drift scans.
//!
//! A thread waits for changes, in the gatherer or in this process; the service collects the changed
//! families and scans them at their [`Pace`]. The marks of what was reported are kept in
//! `STATE/watch.json`, so that a change while the agent was stopped is noticed at its next start,
//! and one whose report was not written yet is noticed again.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::gatherer;
use super::watch::{self, Blind, Marks, Pace, Watched};
use crate::config::agent::AgentConfig;
use crate::facts::Family;
use crate::host::{Host, durable};
use crate::model::canonical;

/// Version that this code writes.
const FORMAT: &str = "assay.watch.v1";
/// Largest file of marks, bytes.
const MAX_FILE: u64 = 1 << 20;
/// First pause after a wait that failed; it doubles up to the time between heartbeats.
const RETRY: Duration = Duration::from_secs(1);

/// What changed and was not reported yet.
#[derive(Debug)]
pub struct Drift {
    told: mpsc::Receiver<Watched>,
    pace: Pace,
    changed: BTreeSet<String>,
    /// The newest marks.
    marks: Marks,
    /// Those of what was reported.
    reported: Marks,
    file: PathBuf,
    blind: Vec<Blind>,
    skipped: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    format: String,
    marks: Marks,
}

impl Drift {
    /// Begins to watch the files of these families. `skipped` are families whose first change is not
    /// scanned: the scan was begun before and never ended.
    pub fn start(config: &AgentConfig, planned: &[&'static Family], skipped: Vec<String>) -> std::io::Result<Self> {
        let file = config.state_dir.join("watch.json");
        let mut reported = load(&file);
        let families: Vec<&'static Family> = watch::families().into_iter().filter(|f| planned.iter().any(|p| p.name == f.name)).collect();
        reported.retain(|name, _| families.iter().any(|f| f.name == name));
        // Room for one: while the service is busy, changes wait where they happen.
        let (tell, told) = mpsc::channel(1);
        let source = Source { config: config.clone(), families };
        let known = reported.clone();
        std::thread::Builder::new().name("drift".into()).spawn(move || source.watch(known, &tell))?;
        Ok(Self { told, pace: Pace::default(), changed: BTreeSet::new(), marks: reported.clone(), reported, file, blind: Vec::new(), skipped })
    }

    /// Waits until something is told, and notes it.
    pub async fn told(&mut self) {
        match self.told.recv().await {
            Some(watched) => self.note(watched),
            // The thread is gone, which only a panic explains: the weekly scans go on.
            None => std::future::pending().await,
        }
    }

    /// Families whose scan is due now.
    pub fn due(&self, now: Instant) -> Vec<String> {
        // One that is due takes the others along.
        if self.changed.iter().any(|family| self.pace.next(family, now) <= now) { self.changed.iter().cloned().collect() } else { Vec::new() }
    }

    /// When the next one is due.
    pub fn next(&self, now: Instant) -> Option<Instant> {
        self.changed.iter().map(|family| self.pace.next(family, now)).min()
    }

    /// Where changes could escape.
    pub fn blind(&self) -> &[Blind] {
        &self.blind
    }

    /// A report over these families is in the spool; `for_change` when it was made for their change.
    pub fn reported(&mut self, families: &[String], for_change: bool, now: Instant) {
        for family in families {
            if self.changed.remove(family) && for_change {
                self.pace.scanned(family, now);
            }
        }
        self.blind.retain(|b| !b.passes);
        self.save();
    }

    fn note(&mut self, watched: Watched) {
        for family in watched.changed {
            if let Some(at) = self.skipped.iter().position(|s| *s == family) {
                self.skipped.swap_remove(at);
                tracing::warn!(family, "a change is not scanned: the scan for it never ended");
                continue;
            }
            tracing::info!(family, "watched files changed");
            self.changed.insert(family);
        }
        let passing: Vec<Blind> = self.blind.drain(..).filter(|b| b.passes && !watched.blind.contains(b)).collect();
        for blind in watched.blind.iter().filter(|b| !passing.contains(b)) {
            tracing::warn!(families = blind.families.join(","), "drift-blind: {}", blind.detail);
        }
        self.blind = passing.into_iter().chain(watched.blind).collect();
        self.marks = watched.marks;
        self.save();
    }

    /// Marks of changes that were not reported stay as they were.
    fn save(&mut self) {
        let mut reported: Marks = self.marks.clone();
        for family in &self.changed {
            match self.reported.get(family) {
                Some(mark) => reported.insert(family.clone(), *mark),
                None => reported.remove(family),
            };
        }
        if reported == self.reported {
            return;
        }
        let stored = Stored { format: FORMAT.into(), marks: reported.clone() };
        let bytes = canonical::to_bytes(&stored).map_err(std::io::Error::other);
        match bytes.and_then(|bytes| durable::write(&self.file, &bytes, 0o600)) {
            Ok(()) => self.reported = reported,
            Err(e) => tracing::warn!("{}: {e}; a change while the agent is stopped may escape", self.file.display()),
        }
    }
}

/// The marks of the last run; none when there is no sound file: then the present is the beginning.
fn load(file: &Path) -> Marks {
    let mut bytes = Vec::new();
    if std::fs::File::open(file).and_then(|f| f.take(MAX_FILE).read_to_end(&mut bytes)).is_err() {
        return Marks::new();
    }
    let stored: Option<Stored> = serde_json::from_slice(&bytes).ok();
    stored.filter(|s| s.format == FORMAT).map_or_else(BTreeMap::new, |s| s.marks)
}

/// Who watches.
struct Source {
    config: AgentConfig,
    families: Vec<&'static Family>,
}

impl Source {
    fn watch(&self, mut known: Marks, tell: &mpsc::Sender<Watched>) {
        let heartbeat = self.config.heartbeat();
        let (mut blind, mut pause) = (Vec::new(), RETRY);
        while !tell.is_closed() {
            let watched = match self.wait(&known, Instant::now() + heartbeat) {
                Ok(watched) => watched,
                Err(detail) => {
                    let families = self.families.iter().map(|f| f.name.to_string()).collect();
                    let watched = Watched { changed: Vec::new(), marks: known.clone(), blind: vec![Blind { families, detail, passes: false }] };
                    if watched.blind != blind && tell.blocking_send(watched.clone()).is_err() {
                        return;
                    }
                    blind = watched.blind;
                    std::thread::sleep(pause);
                    pause = (pause * 2).min(heartbeat);
                    continue;
                }
            };
            pause = RETRY;
            let is_news = !watched.changed.is_empty() || watched.marks != known || watched.blind != blind;
            known.clone_from(&watched.marks);
            blind = watched.blind.iter().filter(|b| !b.passes).cloned().collect();
            if is_news && tell.blocking_send(watched).is_err() {
                return;
            }
        }
    }

    fn wait(&self, known: &Marks, until: Instant) -> Result<Watched, String> {
        if self.families.is_empty() {
            std::thread::sleep(until.saturating_duration_since(Instant::now()));
            return Ok(Watched::default());
        }
        if self.config.gatherer.in_process {
            let host = Host::live().map_err(|e| e.to_string())?;
            return watch::wait(&host, &self.families, known, until, None).map(Option::unwrap_or_default).map_err(|e| e.to_string());
        }
        let names: Vec<&str> = self.families.iter().map(|f| f.name).collect();
        gatherer::ask_watch(&self.config.gatherer.socket, &names, known, until).map_err(|e| e.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ids::Digest;

    fn drift(file: &Path) -> Drift {
        let reported = load(file);
        let (_, told) = mpsc::channel(1);
        Drift {
            told,
            pace: Pace::default(),
            changed: BTreeSet::new(),
            marks: reported.clone(),
            reported,
            file: file.into(),
            blind: Vec::new(),
            skipped: vec!["sudo".into()],
        }
    }

    fn watched(changed: &[&str], mark: u8) -> Watched {
        let marks = ["accounts", "sshd", "sudo"].map(|f| (f.to_string(), Digest::new([mark; 32])));
        Watched { changed: changed.iter().map(ToString::to_string).collect(), marks: marks.into(), blind: Vec::new() }
    }

    #[test]
    fn what_was_not_reported_is_noticed_again_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("watch.json");
        let mut first = drift(&file);
        first.note(watched(&[], 1));
        first.note(watched(&["accounts", "sshd", "sudo"], 2));
        let now = Instant::now();
        assert_eq!(first.due(now), ["accounts", "sshd"], "one whose scan never ended is skipped once");
        first.reported(&["accounts".into(), "os".into()], true, now);
        let mark = |marks: &Marks, family: &str| marks.get(family).copied();
        for marks in [first.reported.clone(), load(&file)] {
            assert_eq!(mark(&marks, "accounts"), Some(Digest::new([2; 32])));
            assert_eq!(mark(&marks, "sshd"), Some(Digest::new([1; 32])), "its change has no report yet");
            assert_eq!(mark(&marks, "sudo"), Some(Digest::new([2; 32])));
        }
        assert_eq!(first.due(now), ["sshd"]);
        first.note(watched(&["accounts"], 3));
        first.reported(&["sshd".into()], false, now);
        assert_eq!((first.due(now).len(), first.next(now).is_some_and(|at| at > now)), (0, true), "accounts must wait a little");
    }

    #[test]
    fn damaged_marks_are_none() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("watch.json");
        for text in ["", "{", "{\"format\":\"other\",\"marks\":{}}"] {
            std::fs::write(&file, text).unwrap();
            assert!(load(&file).is_empty());
        }
    }

    #[test]
    fn blindness_lasts_as_long_as_its_cause_and_a_passing_one_until_it_is_reported() {
        let dir = tempfile::tempdir().unwrap();
        let mut drift = drift(&dir.path().join("watch.json"));
        let blind = |passes, detail: &str| Blind { families: vec!["sshd".into()], detail: detail.into(), passes };
        drift.note(Watched { blind: vec![blind(true, "dropped"), blind(false, "limit")], ..watched(&["sshd"], 2) });
        drift.note(Watched { blind: vec![blind(false, "limit")], ..watched(&[], 2) });
        assert_eq!(drift.blind(), [blind(true, "dropped"), blind(false, "limit")]);
        drift.reported(&["sshd".into()], true, Instant::now());
        assert_eq!(drift.blind(), [blind(false, "limit")]);
        drift.note(watched(&[], 2));
        assert!(drift.blind().is_empty());
    }
}
