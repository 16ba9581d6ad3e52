//! One scan as the agent does it: what is planned, who reads, what it is judged by.

use std::time::Duration;

use super::gatherer;
use super::identity::Identity;
use super::rules::Rules;
use super::run::{self, Gathered, Judging, Outcome, ScanError, Started};
use super::seal::{Draft, Purpose};
use super::spool::SpoolError;
use super::watch::Blind;
use crate::config::agent::AgentConfig;
use crate::facts::services::Plan;
use crate::facts::time_sync::TimeSync;
use crate::facts::{Document as _, Family, Side};
use crate::host::{Host, clock};
use crate::model::against::Against;
use crate::model::gap::{Gaps, reason};
use crate::model::policy::Policy;
use crate::model::report::ScanKind;
use crate::probe::Limits;
use crate::probe::tls::certificate::trust::Choice;
use crate::rules::Pack;

/// By what a scan is judged.
struct By<'a> {
    pack: &'a Pack,
    policy: &'a Policy,
}

/// What the agent knows and no family can read.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// Which changes may have escaped since the scan before.
    pub blind: Vec<Blind>,
    /// By how much the collector's clock was ahead at the last heartbeat, seconds.
    pub collector_offset: Option<i64>,
}

/// A scan that begins now.
pub fn started(config: &AgentConfig) -> Started {
    Started::now(Duration::from_secs(config.scan_deadline_seconds.into()))
}

/// Scans with rules that are loaded for it, and makes the blobs of its report: what a scan needs
/// lives no longer than it does. Families too large for a report are left out and named.
pub fn sealed(started: Started, config: &AgentConfig, policy: &Policy, purpose: &Purpose, known: &Known, identity: &Identity) -> Result<Sealed, ScanError> {
    let rules = Rules::of(&config.state_dir, &config.rules_key)?;
    let by = By { pack: &rules.pack, policy };
    let mut outcome = scan(started, config, &by, purpose, known)?;
    rules.name_limit(&mut outcome, clock::unix_now());
    let mut sealed = Sealed::of(&outcome, identity, purpose.clone());
    if let Err(SpoolError::Oversized(families)) = &sealed.draft
        && !families.is_empty()
    {
        tracing::error!(families = families.join(","), "more facts than a report can carry: left out");
        sealed = Sealed::of(&run::without(outcome, families, &judging(config, &by, purpose)), identity, purpose.clone());
    }
    Ok(sealed)
}

/// A scan whose report only lacks its numbers.
#[derive(Debug)]
pub struct Sealed {
    /// The report, or why there is none.
    pub draft: Result<Draft, SpoolError>,
    /// Families whose facts it holds.
    pub families: Vec<String>,
    /// Stable ids of the limits hit.
    pub limits: Vec<String>,
}

impl Sealed {
    fn of(outcome: &Outcome, identity: &Identity, purpose: Purpose) -> Self {
        let families = outcome.observation.families.keys().cloned().collect();
        Self { draft: Draft::new(identity, outcome, purpose), families, limits: outcome.limits.clone() }
    }
}

/// Scans for this purpose: through the gatherer, or in this process if the configuration says so.
fn scan(started: Started, config: &AgentConfig, by: &By<'_>, purpose: &Purpose, known: &Known) -> Result<Outcome, ScanError> {
    let planned = planned(config, by.pack, purpose)?;
    let hosted: Vec<_> = planned.iter().copied().filter(|f| matches!(f.side, Side::Host(_))).collect();
    let mut gathered = gather(started, config, &hosted)?;
    gathered.gaps.extend(blindness(&known.blind, &hosted));
    compare_clocks(&mut gathered, known.collector_offset);
    run::conclude(started, gathered, &planned, judging(config, by, purpose), &|_| {})
}

/// The report of a scan that ended before it saw anything, for the reason that `limit` names.
pub fn aborted(started: Started, config: &AgentConfig, policy: &Policy, purpose: &Purpose, limit: &str, detail: &str) -> Result<Outcome, ScanError> {
    let rules = Rules::of(&config.state_dir, &config.rules_key)?;
    let planned = planned(config, &rules.pack, purpose)?;
    let mut outcome = run::aborted(started, &planned, &judging(config, &By { pack: &rules.pack, policy }, purpose), limit, detail);
    rules.name_limit(&mut outcome, clock::unix_now());
    Ok(outcome)
}

/// Endpoints of the configuration.
pub fn plan_of(config: &AgentConfig) -> Plan {
    Plan { targets: config.targets.clone(), exclusions: config.exclusions.clone(), trust: Choice::of(&config.trust_store), ..Plan::default() }
}

/// Bounds of the configuration.
pub fn limits_of(config: &AgentConfig) -> Limits {
    let probe = &config.probe;
    Limits {
        endpoint_deadline: Duration::from_secs(probe.endpoint_deadline_seconds.into()),
        survey_deadline: Duration::from_secs(probe.survey_deadline_seconds.into()),
        answer_timeout: Duration::from_secs(probe.answer_timeout_seconds.into()),
        per_target: probe.per_target as usize,
        total: probe.total as usize,
        bytes: Limits::default().bytes,
    }
}

/// The families that a scan for this purpose reads.
fn planned(config: &AgentConfig, pack: &Pack, purpose: &Purpose) -> Result<Vec<&'static Family>, ScanError> {
    let planned = run::within(run::plan_families(&config.families)?, purpose.kind.cadence());
    Ok(if purpose.kind == ScanKind::Drift { run::drift_families(&purpose.families, &planned, pack) } else { planned })
}

fn gather(started: Started, config: &AgentConfig, hosted: &[&'static Family]) -> Result<Gathered, ScanError> {
    if config.gatherer.in_process {
        let host = Host::live().map_err(|e| ScanError::Start(std::io::Error::other(e.to_string())))?.with_declared(config.declared());
        return run::gather(&host, hosted, started.until, &|_| {});
    }
    let names: Vec<&str> = hosted.iter().map(|f| f.name).collect();
    Ok(gatherer::ask(&config.gatherer.socket, &names, started.until).unwrap_or_else(|e| {
        tracing::error!("{e}");
        gatherer::failed(&names, &e)
    }))
}

/// Puts the collector's clock beside what the host says of its own.
fn compare_clocks(gathered: &mut Gathered, offset: Option<i64>) {
    if let Some(time_sync) = gathered.families.get_mut(TimeSync::NAME).and_then(serde_json::Value::as_object_mut) {
        time_sync.insert("collector_offset".into(), offset.into());
    }
}

/// No rule reads the path `drift`: what was read holds, changes in between may have been missed.
fn blindness(blind: &[Blind], hosted: &[&'static Family]) -> Vec<crate::model::gap::Gap> {
    let mut gaps = Gaps::new();
    for Blind { families, detail, .. } in blind {
        for family in hosted.iter().filter(|f| families.iter().any(|n| n == f.name)) {
            gaps.note(family.name, "drift", "", reason::DRIFT_BLIND, detail, "Mend it, or rely on the weekly scans.");
        }
    }
    gaps.into_sorted()
}

fn judging<'a>(config: &AgentConfig, by: &By<'a>, purpose: &Purpose) -> Judging<'a> {
    Judging {
        plan: plan_of(config),
        limits: limits_of(config),
        policy: by.policy,
        against: Against::default(),
        advisories: None,
        pack: by.pack,
        cadence: purpose.kind.cadence(),
        drift: purpose.kind == ScanKind::Drift,
    }
}
