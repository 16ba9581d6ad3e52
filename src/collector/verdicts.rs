//! Stored verdicts against what hosts signed: a verdict that was altered in the database is found out by the report that it came from.
//!
//! ```text
//! report (signed) -> address of the host's own findings -> blob -> verdicts --+
//! spans in the store that are true when the report counts from ----------------+-> equal, where both judged by the same
//! ```
//! Compared are reports whose host judged by the rules and thresholds that the collector had in force when they came, which the ledger tells;
//! and of these the rules that rest on nothing but the host's own facts: lists and advisories are the collector's alone.

use std::collections::{BTreeMap, BTreeSet};

use super::RulesChanged;
use super::store::{HostRow, ReportRow, Store, StoreError};
use crate::facts;
use crate::ledger::Kind;
use crate::model::blob::Blob;
use crate::model::finding::{Finding, Verdict};
use crate::model::ids::Digest;
use crate::model::report::{Report, ScanState};
use crate::rules::Pack;

/// Families that the collector alone derives, from its lists and advisories.
const ITS_OWN: [&str; 3] = ["access", "advisories", "transfers"];

/// What the collector judged by at each time, as far as the ledger tells it.
pub struct Judged {
    /// Since when which pack judged, Unix seconds, oldest first.
    packs: Vec<(i64, Digest)>,
    /// The same of thresholds.
    policies: Vec<(i64, Digest)>,
    /// Rules that rest on the host's own facts.
    compared: BTreeSet<String>,
}

/// One verdict that is not what its report says.
pub struct Altered {
    /// The report.
    pub report: Digest,
    /// Rule and subject.
    pub about: (String, String),
    /// What the report says; `None`: nothing.
    pub signed: Option<Verdict>,
    /// What the store says; `None`: nothing.
    pub stored: Option<Verdict>,
}

impl Judged {
    /// As the store has it.
    pub async fn read(store: &Store) -> Result<Self, StoreError> {
        let packs = store.statements(Kind::RulePack).await?;
        let packs = packs.iter().map(|s| s.read::<RulesChanged>().map(|r| (r.at, r.digest))).collect::<Result<_, _>>()?;
        let policies = store.list_versions(Kind::Policy.id(), 0, i64::MAX).await?.iter().map(|v| (v.since, v.digest)).collect();
        let pack = Pack::builtin(facts::schemas()).map_err(|e| StoreError::Database(e.to_string()))?;
        let own = pack.rules.iter().filter(|r| r.families().iter().all(|f| !ITS_OWN.contains(f)));
        Ok(Self { packs, policies, compared: own.map(|r| r.id.clone()).collect() })
    }

    /// Whether the host judged by what the collector had in force when the report came.
    fn is_comparable(&self, report: &Report, received: i64) -> bool {
        let in_force = |list: &[(i64, Digest)]| list.iter().rev().find(|(since, _)| *since <= received).map(|(_, digest)| *digest);
        in_force(&self.packs) == Some(report.software.pack) && in_force(&self.policies) == Some(report.software.policy)
    }

    /// Verdicts of a host that are not what its reports say, and how many were compared.
    pub async fn compare(&self, store: &Store, host: &HostRow, reports: &[(&ReportRow, Report)]) -> Result<(Vec<Altered>, u64), StoreError> {
        let effective = store.effective_times(&host.id).await?;
        let (mut altered, mut compared) = (Vec::new(), 0);
        for (row, report) in reports.iter().filter(|(row, report)| row.state == ScanState::Complete && self.is_comparable(report, row.received)) {
            let Some(at) = effective.get(&row.id) else { continue };
            // Of two reports of one second the second has the word.
            if effective.values().filter(|other| *other == at).count() > 1 {
                continue;
            }
            let Some(frame) = store.blob(&host.id, &report.findings).await? else { continue };
            let Ok(blob) = Blob::open(&host.salt, &report.findings, &frame) else { continue };
            let Ok(signed) = serde_json::from_slice::<Vec<Finding>>(&blob.plain) else { continue };
            let signed: BTreeMap<(String, String), Verdict> =
                signed.into_iter().filter(|f| self.compared.contains(&f.rule)).map(|f| ((f.rule, f.subject), f.verdict)).collect();
            let rules: BTreeSet<&str> = signed.keys().map(|(rule, _)| rule.as_str()).collect();
            let mut stored = store.verdicts_at(&host.id, *at).await?;
            stored.retain(|(rule, _), _| rules.contains(rule.as_str()));
            compared += signed.len() as u64;
            let abouts: BTreeSet<&(String, String)> = signed.keys().chain(stored.keys()).collect();
            for about in abouts {
                let (said, kept) = (signed.get(about).copied(), stored.get(about).copied());
                if said != kept {
                    altered.push(Altered { report: row.id, about: about.clone(), signed: said, stored: kept });
                }
            }
        }
        Ok((altered, compared))
    }
}

impl Altered {
    /// One sentence fragment.
    pub fn text(&self) -> String {
        let word = |verdict: Option<Verdict>| verdict.map_or("nothing", Verdict::word);
        let (rule, subject) = &self.about;
        let subject = if subject.is_empty() { String::new() } else { format!(" on {subject}") };
        format!("the host signed that {rule}{subject} is {}, the store has {}", word(self.signed), word(self.stored))
    }
}
