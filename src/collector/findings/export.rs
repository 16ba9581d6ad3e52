//! A list of findings as a file: CSV that no spreadsheet evaluates, or JSON.

use std::io;

use serde_json::{Value, json};

use crate::collector::store::OpenFinding;
use crate::collector::ui::site::Catalogue;
use crate::evidence::csv::Rows;

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

/// One finding as programs read it.
pub fn document(row: &OpenFinding, catalogue: &Catalogue) -> Value {
    json!({
        "host": row.host, "host_name": row.name, "rule": row.rule, "title": catalogue.title(&row.rule), "subject": row.subject,
        "verdict": row.verdict.id(), "severity": row.severity.word(), "message": row.message, "since": row.since, "changed": row.changed,
        "cause": super::asked::cause_text(&row.cause), "owner": row.owner, "due": row.due, "waiver": row.waiver,
    })
}
