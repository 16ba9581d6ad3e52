//! What the agent must not forget: `state.json`.
//!
//! ```text
//! {"digest":SHA-256 of the canonical state,"format":"assay.state.v1","state":{…}}
//! ```
//! Written whole or not at all. A missing or damaged one can't be trusted to continue: the agent
//! opens a new lineage.

use std::io::Read as _;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::age::Age;
use crate::host::durable;
use crate::model::canonical;
use crate::model::ids::{Digest, Lineage};
use crate::model::report::ScanKind;

/// Version that this code writes.
const FORMAT: &str = "assay.state.v1";
/// Largest state file, bytes.
const MAX_FILE: u64 = 1 << 20;

/// What the agent remembers. Keys of a newer agent are passed over, so that going back to an older
/// version costs no lineage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The lineage that new reports belong to.
    pub lineage: Lineage,
    /// The one it continues.
    pub parent: Option<Lineage>,
    /// Number of the next report.
    pub next_sequence: u64,
    /// Highest number of the lineage with a receipt; 0 when none.
    pub acknowledged: u64,
    /// Reports dropped since the lineage began.
    pub dropped: u64,
    /// Files found damaged since the lineage began.
    pub damaged: u64,
    /// Files counted as dropped whose removal may not be finished.
    pub dropping: Vec<String>,
    /// Files counted as damaged whose moving aside may not be finished.
    pub setting_aside: Vec<String>,
    /// Lineages that the collector answered with a fork; what waits in them is sealed anew.
    pub forked: Vec<Lineage>,
    /// Windows fulfilled, the newest last.
    pub done: Vec<String>,
    /// Last signed checkpoint.
    pub checkpoint: Option<String>,
    /// Size of that checkpoint.
    pub checkpoint_size: u64,
    /// When the collector committed the last report it acknowledged, Unix seconds; 0 when none.
    pub received: i64,
    /// Last scan request that was carried out.
    pub request: Option<String>,
    /// A scan whose report is not in the spool yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begun: Option<Begun>,
    /// Time as far as it can be relied on; left out before the first report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age: Option<Age>,
}

/// A scan that was begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Begun {
    /// Why it runs.
    pub kind: ScanKind,
    /// The window it is for.
    pub window: Option<String>,
    /// Every window it would fulfil.
    pub covers: Vec<String>,
    /// Families whose change it is for; empty unless it is a drift scan.
    pub families: Vec<String>,
    /// The request that it answers.
    pub request: Option<String>,
    /// Wall clock, Unix seconds.
    pub started: i64,
    /// CLOCK_BOOTTIME, milliseconds.
    pub boot_ms: u64,
    /// The number that its report will have: one that has it already says that the scan ended.
    pub sequence: u64,
    /// How often the scan was begun, this time included.
    pub attempt: u32,
}

/// What the state file holds.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// A state.
    State(Box<State>),
    /// No file.
    Missing,
    /// A file that is not as it was written.
    Damaged,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    digest: Digest,
    format: String,
    state: serde_json::Value,
}

impl State {
    /// The beginning of a lineage.
    pub fn begin(lineage: Lineage, parent: Option<Lineage>) -> Self {
        Self {
            lineage,
            parent,
            next_sequence: 1,
            acknowledged: 0,
            dropped: 0,
            damaged: 0,
            dropping: Vec::new(),
            setting_aside: Vec::new(),
            forked: Vec::new(),
            done: Vec::new(),
            checkpoint: None,
            checkpoint_size: 0,
            received: 0,
            request: None,
            begun: None,
            age: None,
        }
    }

    /// Reads a state file.
    pub fn load(path: &Path) -> std::io::Result<Found> {
        let mut bytes = Vec::new();
        match std::fs::File::open(path) {
            Ok(file) => file.take(MAX_FILE).read_to_end(&mut bytes)?,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Found::Missing),
            Err(e) => return Err(e),
        };
        let Ok(stored) = serde_json::from_slice::<Stored>(&bytes) else {
            return Ok(Found::Damaged);
        };
        let digest = canonical::to_bytes(&stored.state).map(|b| Digest::of(&b));
        if stored.format != FORMAT || digest != Ok(stored.digest) {
            return Ok(Found::Damaged);
        }
        Ok(serde_json::from_value(stored.state).map_or(Found::Damaged, Found::State))
    }

    /// Writes the state file.
    pub fn save(&self, path: &Path) -> std::io::Result<()> {
        let state = serde_json::to_value(self).map_err(std::io::Error::other)?;
        let digest = Digest::of(&canonical::to_bytes(&state).map_err(std::io::Error::other)?);
        let stored = Stored { digest, format: FORMAT.into(), state };
        let bytes = canonical::to_bytes(&stored).map_err(std::io::Error::other)?;
        durable::write(path, &bytes, 0o600)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_a_newer_agent_are_passed_over_and_those_it_lacks_are_defaults() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.json");
        let state = State::begin(Lineage::new([3; 16]), None);
        let mut value = serde_json::to_value(&state).unwrap();
        assert!(value.get("begun").is_none() && value.get("age").is_none());
        value.as_object_mut().unwrap().insert("new".into(), 1.into());
        let digest = Digest::of(&canonical::to_bytes(&value).unwrap());
        std::fs::write(&path, canonical::to_bytes(&Stored { digest, format: FORMAT.into(), state: value }).unwrap()).unwrap();
        assert_eq!(State::load(&path).unwrap(), Found::State(Box::new(state)));
    }

    #[test]
    fn every_cut_and_every_changed_byte_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.json");
        assert_eq!(State::load(&path).unwrap(), Found::Missing);
        let mut state = State::begin(Lineage::new([3; 16]), None);
        state.done.push("2026-W47".into());
        state.save(&path).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(State::load(&path).unwrap(), Found::State(Box::new(state)));
        for at in 0..bytes.len() {
            std::fs::write(&path, &bytes[..at]).unwrap();
            assert_eq!(State::load(&path).unwrap(), Found::Damaged, "cut at {at}");
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            std::fs::write(&path, &changed).unwrap();
            assert_eq!(State::load(&path).unwrap(), Found::Damaged, "changed at {at}");
        }
    }
}
