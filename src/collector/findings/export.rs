//! A list of findings as a file: CSV that no spreadsheet evaluates, or JSON.

use std::io;

use schemars::JsonSchema;
use serde::Serialize;

use crate::collector::store::OpenFinding;
use crate::collector::ui::site::Catalogue;
use crate::evidence::csv::Rows;
use crate::model::ids::{HostId, RandomId};

/// Most findings of one file.
pub const MOST: u32 = 50_000;

/// A second as files write it, RFC 3339.
fn time(at: i64) -> String {
    jiff::Timestamp::from_second(at).map_or_else(|_| String::new(), |t| t.to_string())
}

/// The last day within the time: what is set is the first second too late.
fn last_day(due: i64) -> String {
    crate::records::value::day_of(due.saturating_sub(1)).to_string()
}

/// As CSV (RFC 4180).
pub fn csv(rows: &[OpenFinding], catalogue: &Catalogue) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    let head = ["verdict", "severity", "rule", "title", "host", "subject", "finding", "since", "owner", "due", "waiver", "host_id"];
    let mut table = Rows::new(&mut out, &head)?;
    for row in rows {
        let (host, waiver) = (row.host.to_string(), row.waiver.map(|w| w.to_string()).unwrap_or_default());
        table.row(&[
            row.verdict.word(),
            row.severity.word(),
            &row.rule,
            catalogue.title(&row.rule),
            &row.name,
            &row.subject,
            &row.message,
            &time(row.since),
            &row.owner,
            &row.due.map(last_day).unwrap_or_default(),
            &waiver,
            &host,
        ])?;
    }
    Ok(out)
}

/// One open finding as programs read it.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(rename = "OpenFinding")]
pub struct FindingDocument {
    /// Stands for its root cause.
    cause: String,
    /// Since when it holds with this root cause, Unix seconds.
    changed: i64,
    /// First second too late, Unix; null: no day was set.
    due: Option<i64>,
    host: HostId,
    host_name: String,
    /// What was found, or why it can't be told; cut when long.
    message: String,
    /// Who deals with it; empty: nobody.
    owner: String,
    rule: String,
    /// `critical`, `high`, `medium`, `low` or `info`.
    severity: String,
    /// Since when the verdict holds, Unix seconds.
    since: i64,
    /// What was judged; empty: the host itself.
    subject: String,
    title: String,
    /// `fail`, `unknown` or `waived`.
    verdict: String,
    /// The waiver that covers it.
    waiver: Option<RandomId>,
}

impl FindingDocument {
    /// Of a finding.
    pub fn of(row: &OpenFinding, catalogue: &Catalogue) -> Self {
        Self {
            cause: super::asked::cause_text(&row.cause),
            changed: row.changed,
            due: row.due,
            host: row.host,
            host_name: row.name.clone(),
            message: row.message.clone(),
            owner: row.owner.clone(),
            rule: row.rule.clone(),
            severity: row.severity.word().into(),
            since: row.since,
            subject: row.subject.clone(),
            title: catalogue.title(&row.rule).to_string(),
            verdict: row.verdict.id().into(),
            waiver: row.waiver,
        }
    }
}
