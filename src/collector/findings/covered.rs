//! What a waiver with some words would cover now.

use crate::collector::store::{OpenFilter, OpenFinding, Store, StoreError};
use crate::model::finding::Verdict;
use crate::records::Scope;

/// Most findings that are told.
pub const MOST: usize = 10_000;
/// Findings read at a time.
const CHUNK: u32 = 1_000;

/// Open failures that are meant.
#[derive(Clone, Debug, Default)]
pub struct Covered {
    /// At most [`MOST`], in the order of lists.
    pub findings: Vec<OpenFinding>,
    /// Whether there are more.
    pub is_cut: bool,
}

/// Open failures of a scope, those that a waiver covers already among them.
pub async fn covered(store: &Store, scope: &Scope, at: i64) -> Result<Covered, StoreError> {
    let verdicts = vec![Verdict::Fail, Verdict::Waived];
    let filter = OpenFilter { at, verdicts, rules: Some(vec![scope.rule.clone()]), ..OpenFilter::default() };
    let mut out = Covered::default();
    let mut after = None;
    loop {
        let rows = store.open_findings(&filter, after.as_ref(), CHUNK).await?;
        after = rows.last().map(OpenFinding::cursor);
        let is_last = rows.len() < CHUNK as usize;
        for row in rows.into_iter().filter(|row| scope.covers(&row.name, &row.rule, &row.subject)) {
            if out.findings.len() == MOST {
                out.is_cut = true;
                return Ok(out);
            }
            out.findings.push(row);
        }
        if is_last {
            return Ok(out);
        }
    }
}
