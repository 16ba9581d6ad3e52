//! Material to working paper: pure, in a fixed order.
//!
//! Truth first: a verdict counts only for a host with a complete scan in the bundle; a rule without
//! a verdict is `not run`; a control that needs a person's record is never green without it.

mod changes;
mod conclusion;
mod control;
pub(super) mod index;
pub(super) mod laid;
mod people;
mod pieces;
mod population;
mod populations;
mod records;
pub(super) mod results;

use std::sync::Arc;

use super::material::Material;
use super::paper::{Cover, Exception, Member, MemberState, Paper, WindowCount};
use super::reconcile::reconcile;
use super::revocation;
use super::text::count;
use super::windows::windows;
use crate::ledger::{Checkpoint, CheckpointError, checkpoint};
use crate::model::report::ScanState;
use index::Index;
use laid::Laid;
use pieces::OfHost;
use populations::Populations;
use records::Records;
use results::OfRule;

/// Why material is no evidence.
#[derive(Debug, thiserror::Error)]
pub enum AssembleError {
    /// The checkpoint is not signed by the ledger key.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// A control id that can't be a file name.
    #[error("framework {framework}: control id {id:?} must be 1 to 40 letters, digits, dots or dashes")]
    ControlId {
        /// Framework.
        framework: String,
        /// Control.
        id: String,
    },
}

/// What all controls share.
#[derive(Debug)]
struct Whole<'w> {
    members: &'w [Member],
    /// Hosts that owed results at the end.
    standing: usize,
    operation: WindowCount,
    missed: &'w [Arc<Exception>],
    /// By position of the rule.
    rules: &'w [OfRule],
    /// By position of the host.
    files: &'w [OfHost],
    populations: &'w Populations<'w>,
}

/// The working paper. [`Paper::lists`] is told by whoever writes the files.
pub fn assemble(material: &Material) -> Result<Paper, AssembleError> {
    let checkpoint = checkpoint::open(&material.checkpoint, &material.verifier)?;
    let (index, laid) = (Index::new(material), Laid::new(material));
    let windows = windows(&material.period, material.as_of, &index.hosts, &material.reports);
    let members = population::population(&index, &windows);
    let people = people::people(material);
    let (leavers, revocations) = people.as_ref().map(|p| revocation::summary(&index, p)).unwrap_or_default();
    let changes = changes::changes(&index);
    let rules: Vec<OfRule> = (0..index.rules.len()).map(|rule| OfRule::new(&index, &laid, &members, rule)).collect();
    let mut exceptions: Vec<Arc<Exception>> = rules.iter().flat_map(|r| r.exceptions.iter().cloned()).collect();
    let missed = results::missed(&index, &windows);
    exceptions.extend(missed.iter().cloned());
    let records = Records::new(material, people.as_ref(), &exceptions);
    let mut populations = Populations::default();
    if material.sampling.is_some() {
        populations = Populations::new(&members, &windows, &changes, people.as_ref());
        records.fill(&mut populations);
    }
    let whole = Whole {
        members: &members,
        standing: members.iter().filter(|m| m.state.counts()).count(),
        operation: WindowCount::of(&windows),
        missed: &missed,
        rules: &rules,
        files: &pieces::of_hosts(&index),
        populations: &populations,
    };
    let controls = material.framework.controls.iter().map(|c| control::control(&index, &whole, c, records.of(c))).collect::<Result<_, _>>()?;
    Ok(Paper {
        cover: cover(&index, &members, &checkpoint),
        reconciliation: reconcile(material, &members),
        coverage: population::coverage(&windows),
        people,
        leavers,
        revocations,
        changes,
        lists: Vec::new(),
        controls,
        exceptions,
        notes: notes(&index, &members),
        population: members,
        windows,
    })
}

fn cover(index: &Index<'_>, members: &[Member], checkpoint: &Checkpoint) -> Cover {
    let material = index.material;
    Cover {
        company: material.company.clone(),
        framework: material.framework.id.clone(),
        title: material.framework.title.clone(),
        version: material.framework.version.clone(),
        source: material.framework.source.clone(),
        from: material.period.from.to_string(),
        to: material.period.to.to_string(),
        is_date: material.period.is_date(),
        as_of: material.as_of.to_string(),
        scope: scope(material, members),
        ledger: material.verifier.to_string(),
        checkpoint_size: checkpoint.size,
        checkpoint_root: checkpoint.root,
        pack: material.pack,
        reports: material.reports.len(),
        sampling: material.sampling.clone(),
    }
}

fn scope(material: &Material, members: &[Member]) -> String {
    let mut scope = format!("all {} enrolled before the end of the period", count(members.len(), "host", "hosts"));
    if !material.scope.hosts.is_empty() {
        let hosts = count(members.len(), "host", "hosts");
        scope = format!("{hosts} enrolled before the end of the period whose name is {}", material.scope.hosts.join(" or "));
    }
    for state in [MemberState::Retired, MemberState::Replaced] {
        let n = members.iter().filter(|m| m.state == state).count();
        if n > 0 {
            scope.push_str(&format!(", {n} of them {} in it", state.word()));
        }
    }
    scope
}

fn notes(index: &Index<'_>, members: &[Member]) -> Vec<String> {
    let material = index.material;
    let number = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
    let mut notes = Vec::new();
    if material.unsequenced > 0 {
        let late = count(number(material.unsequenced), "report", "reports");
        notes.push(format!("{late} of the period came after the checkpoint and are not in this bundle: export again."));
    }
    let unproved = material.hosts.iter().filter(|h| h.enrolment.is_none()).count();
    if unproved > 0 {
        notes.push(format!("{} without an enrolment leaf in the ledger.", count(unproved, "host is", "hosts are")));
    }
    if material.erased > 0 {
        let erased = count(number(material.erased), "blob is", "blobs are");
        notes.push(format!("{erased} named by reports and no longer kept (erased or lost): those facts can't be shown."));
    }
    let aborted = material.reports.iter().filter(|r| r.state == ScanState::Aborted).count();
    if aborted > 0 {
        notes.push(format!("{} ended early; they fulfil no window.", count(aborted, "scan", "scans")));
    }
    let silent = members.iter().filter(|m| m.state == MemberState::Silent).count();
    if silent > 0 {
        notes.push(format!("{} silent at the end of the period.", count(silent, "host was", "hosts were")));
    }
    let before = material.hosts.len().saturating_sub(members.len());
    if before > 0 {
        notes.push(format!("{} taken out before the period began and do not count.", count(before, "host was", "hosts were")));
    }
    if !material.lists.iter().any(|l| l.name == "inventory") {
        notes.push(
            "No second list of hosts was given. Hosts that were never enrolled do not appear here: compare the population with your own inventory.".into(),
        );
    }
    notes
}
