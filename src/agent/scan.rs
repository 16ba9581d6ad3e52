//! One scan as the agent does it: what is planned, who reads, what it is judged by.

use std::time::Duration;

use super::gatherer;
use super::run::{self, Gathered, Judging, Outcome, ScanError, Started};
use super::seal::Purpose;
use super::watch::Blind;
use crate::config::agent::AgentConfig;
use crate::facts::services::Plan;
use crate::facts::{Family, Side};
use crate::host::Host;
use crate::model::against::Against;
use crate::model::gap::{Gaps, reason};
use crate::model::policy::Policy;
use crate::model::report::ScanKind;
use crate::probe::Limits;
use crate::probe::tls::certificate::trust::Choice;
use crate::rules::Pack;

/// By what a scan is judged.
#[derive(Debug)]
pub struct By<'a> {
    /// Rules.
    pub pack: &'a Pack,
    /// Thresholds.
    pub policy: &'a Policy,
}

/// A scan that begins now.
pub fn started(config: &AgentConfig) -> Started {
    Started::now(Duration::from_secs(config.scan_deadline_seconds.into()))
}

/// Scans for this purpose: through the gatherer, or in this process if the configuration says so.
/// `blind` says which changes may have escaped since the scan before.
pub fn scan(started: Started, config: &AgentConfig, by: &By<'_>, purpose: &Purpose, blind: &[Blind]) -> Result<Outcome, ScanError> {
    let planned = planned(config, by.pack, purpose)?;
    let hosted: Vec<_> = planned.iter().copied().filter(|f| matches!(f.side, Side::Host(_))).collect();
    let mut gathered = gather(started, config, &hosted)?;
    gathered.gaps.extend(blindness(blind, &hosted));
    run::conclude(started, gathered, &planned, judging(config, by, purpose), &|_| {})
}

/// The report of a scan that ended before it saw anything, for the reason that `limit` names.
pub fn aborted(started: Started, config: &AgentConfig, by: &By<'_>, purpose: &Purpose, limit: &str, detail: &str) -> Result<Outcome, ScanError> {
    let planned = planned(config, by.pack, purpose)?;
    Ok(run::aborted(started, &planned, &judging(config, by, purpose), limit, detail))
}

/// The outcome without families that no report can carry.
pub fn without(outcome: Outcome, families: &[String], config: &AgentConfig, by: &By<'_>, purpose: &Purpose) -> Outcome {
    run::without(outcome, families, &judging(config, by, purpose))
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
