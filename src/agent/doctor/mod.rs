//! `assay doctor`: whether this host can be observed and can report, and what is missing.
//!
//! Every check says what was seen; a gap says why it matters and how to cure it, in one line. What
//! could not be looked at because of an earlier gap is `unknown`, never fine.

mod collector;
mod local;

pub use local::CAPABILITIES;

use std::path::Path;

use serde::Serialize;

use super::identity::Identity;
use super::spool::State as SpoolState;
use crate::config::agent::AgentConfig;
use crate::host::Host;

/// What came of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// As it should be.
    Ok,
    /// Something is missing.
    Gap,
    /// Not looked at: an earlier gap stands in the way.
    Unknown,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// How to cure a gap; empty when there is none.
    pub cure: String,
    /// Stable id.
    pub id: &'static str,
    /// What came of it.
    pub state: State,
    /// What was seen.
    pub what: String,
    /// Why a gap matters; empty when there is none.
    pub why: String,
}

/// What later checks need from earlier ones.
struct Patient {
    host: Host,
    config: AgentConfig,
    identity: Option<Identity>,
    remembered: Option<SpoolState>,
}

/// The checks as they are made.
#[derive(Debug, Default)]
struct Findings(Vec<Check>);

impl Findings {
    fn ok(&mut self, id: &'static str, what: impl Into<String>) {
        self.0.push(Check { id, state: State::Ok, what: what.into(), why: String::new(), cure: String::new() });
    }

    fn gap(&mut self, id: &'static str, what: impl Into<String>, why: impl Into<String>, cure: impl Into<String>) {
        self.0.push(Check { id, state: State::Gap, what: what.into(), why: why.into(), cure: cure.into() });
    }

    fn unknown(&mut self, id: &'static str, because: &str) {
        self.0.push(Check {
            id,
            state: State::Unknown,
            what: "not looked at".into(),
            why: because.into(),
            cure: "Mend the gaps above, then run this again.".into(),
        });
    }
}

/// Looks at everything. `config` is the configuration's path, else the usual one. Sends one heartbeat; changes nothing here.
pub fn examine(config: Option<&Path>) -> Result<Vec<Check>, crate::host::ReadError> {
    let (host, mut findings) = (Host::live()?, Findings::default());
    let config = local::configuration(config, &mut findings);
    let identity = local::identity(&config, &host, &mut findings);
    let remembered = local::spool(&config, &mut findings);
    let patient = Patient { host, config, identity, remembered };
    local::service(&patient, &mut findings);
    local::gatherer(&patient, &mut findings);
    local::kernel(&patient, &mut findings);
    local::schedule(&patient, &mut findings);
    collector::reach(&patient, &mut findings);
    Ok(findings.0)
}

/// A time for people, UTC.
fn date(at: i64) -> String {
    jiff::Timestamp::from_second(at).map_or_else(|_| at.to_string(), |t| t.strftime("%Y-%m-%d %H:%M UTC").to_string())
}
