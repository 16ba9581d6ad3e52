//! What people decided by some time, laid over verdicts of that time.

use std::collections::BTreeMap;

use crate::collector::cause::{self, MAX_MESSAGE};
use crate::collector::store::{FindingRow, OpenFinding, Store, StoreError};
use crate::collector::ui::text::brief;
use crate::model::finding::Verdict;
use crate::model::ids::HostId;
use crate::records::Recorded;
use crate::records::handling::{About, Handlings};
use crate::records::waiver::{Waiver, waivers};

/// Waivers, owners and days as of one second.
#[derive(Clone, Debug)]
pub struct Laid {
    at: i64,
    waivers: BTreeMap<String, Vec<Waiver>>,
    handlings: Handlings,
    names: BTreeMap<HostId, String>,
}

impl Laid {
    /// Reads the records up to `at` (Unix seconds), to be laid over findings of these hosts.
    pub async fn read(store: &Store, at: i64, hosts: impl Iterator<Item = HostId>) -> Result<Self, StoreError> {
        let names = store.names_of_hosts(&hosts.collect()).await?;
        Ok(Self::of(&store.record_events().await?, at, names))
    }

    /// The same for findings of any host, unless no waiver is in force then; `as_of` is the past day of the hosts, `None`: now.
    pub async fn read_if_waived(store: &Store, at: i64, as_of: Option<i64>) -> Result<Option<Self>, StoreError> {
        let events = store.record_events().await?;
        let is_waived = waivers(&events, at).iter().any(|w| w.in_force().is_some_and(|(from, to)| from <= at && at < to));
        if !is_waived {
            return Ok(None);
        }
        let names = store.host_names(as_of).await?.into_iter().map(|(id, name, _)| (id, name)).collect();
        Ok(Some(Self::of(&events, at, names)))
    }

    fn of(events: &[Recorded], at: i64, names: BTreeMap<HostId, String>) -> Self {
        let mut by_rule: BTreeMap<String, Vec<Waiver>> = BTreeMap::new();
        for waiver in waivers(events, at) {
            by_rule.entry(waiver.scope.rule.clone()).or_default().push(waiver);
        }
        Self { at, waivers: by_rule, handlings: Handlings::of(events, at), names }
    }

    /// Rules that a waiver in force is about.
    pub fn waived_rules(&self) -> impl Iterator<Item = &str> {
        let in_force = |w: &Waiver| w.in_force().is_some_and(|(from, to)| from <= self.at && self.at < to);
        self.waivers.iter().filter(move |(_, waivers)| waivers.iter().any(in_force)).map(|(rule, _)| rule.as_str())
    }

    /// Whether no waiver was in force.
    pub fn has_no_waiver(&self) -> bool {
        self.waived_rules().next().is_none()
    }

    /// The waiver that covers a failure, if one does.
    pub fn waiver(&self, row: &FindingRow) -> Option<&Waiver> {
        if row.finding.verdict != Verdict::Fail {
            return None;
        }
        let name = self.names.get(&row.host)?;
        let holds =
            |w: &&Waiver| w.covers(name, &row.finding.rule, &row.finding.subject) && w.in_force().is_some_and(|(from, to)| from <= self.at && self.at < to);
        self.waivers.get(&row.finding.rule)?.iter().find(holds)
    }

    /// A verdict with what was decided about it.
    pub fn finding(&self, row: &FindingRow) -> OpenFinding {
        let (finding, waiver) = (&row.finding, self.waiver(row));
        let name = self.names.get(&row.host).cloned().unwrap_or_else(|| "a host that is gone".into());
        let about = About { host: &name, rule: &finding.rule, subject: &finding.subject, severity: finding.severity, since: row.since };
        let handling = self.handlings.on(&about).unwrap_or_default();
        OpenFinding {
            host: row.host,
            rule: finding.rule.clone(),
            subject: finding.subject.clone(),
            verdict: if waiver.is_some() { Verdict::Waived } else { finding.verdict },
            severity: finding.severity,
            since: row.since,
            changed: row.since,
            cause: cause::of(finding),
            message: brief(&cause::said(finding), MAX_MESSAGE),
            owner: handling.owner,
            due: handling.due,
            waiver: waiver.map(|w| w.id),
            name,
        }
    }
}
