//! Whether bytes are a report of the host that sent them.

use super::app::HostKey;
use super::error::ApiError;
use crate::model::canonical;
use crate::model::canonical::check::Checker;
use crate::model::envelope::{Envelope, REPORT_TYPE};
use crate::model::ids::Digest;
use crate::model::report::{FORMAT, Report, ScanKind};

/// Most families of one report.
const MAX_FAMILIES: usize = 64;
/// Most limits that a report names.
const MAX_LIMITS: usize = 64;
/// Longest id or version in a report, bytes.
const MAX_WORD: usize = 64;
/// Largest sequence number: exact in every JSON reader (RFC 8259 section 6).
const MAX_SEQUENCE: u64 = 1 << 53;
/// Latest time a report may carry, Unix seconds (year 9999).
const MAX_TIME: i64 = 253_402_300_799;

/// The envelope, the report inside and its id, if `host` signed it, it is canonical and of this
/// version, and it speaks of the host itself.
pub fn report(host: &HostKey, bytes: &[u8]) -> Result<(Envelope, Report, Digest), ApiError> {
    let envelope = Envelope::parse(bytes).map_err(|e| ApiError::malformed("the request", &e))?;
    let payload = envelope.open(REPORT_TYPE, &host.id.to_string(), &host.public_key).map_err(|e| ApiError::Signature(e.to_string()))?;
    // Before anything is built of it: depth, keys given twice, fractions and bytes that are no text.
    let mut checker = Checker::default();
    checker.feed(&payload).and_then(|()| checker.finish()).map_err(|e| ApiError::malformed("the report", &e))?;
    let report: Report = serde_json::from_slice(&payload).map_err(|e| ApiError::malformed("the report", &e))?;
    // One value, one digest: another spelling of the same report would be another report.
    if canonical::to_bytes(&report).map_err(|e| ApiError::malformed("the report", &e))? != payload {
        return Err(ApiError::Malformed("the report has fields left out or in another form".into()));
    }
    check(host, &report)?;
    Ok((envelope, report, Digest::of(&payload)))
}

fn check(host: &HostKey, report: &Report) -> Result<(), ApiError> {
    let bad = |what: String| Err(ApiError::Malformed(format!("the report: {what}")));
    if report.format != FORMAT {
        return bad(format!("format is not {FORMAT}"));
    }
    if report.host != host.id {
        return Err(ApiError::Signature("the report names another host than the one that signed it".into()));
    }
    if !(1..=MAX_SEQUENCE).contains(&report.sequence) {
        return bad(format!("sequence is not between 1 and {MAX_SEQUENCE}"));
    }
    if report.parent == Some(report.lineage) {
        return bad("parent is the lineage itself".into());
    }
    if !(0..=MAX_TIME).contains(&report.times.started) || !(0..=MAX_TIME).contains(&report.times.finished) {
        return bad("times are out of range".into());
    }
    if !window_fits(report.scan.kind, report.scan.window.as_deref()) {
        return bad("scan.window must be YYYY-Www for a weekly, YYYY-MM for a monthly scan and null otherwise".into());
    }
    if report.facts.len() > MAX_FAMILIES || report.limits.len() > MAX_LIMITS {
        return bad(format!("more than {MAX_FAMILIES} families or {MAX_LIMITS} limits"));
    }
    let sorted = report.facts.windows(2).all(|pair| matches!(pair, [a, b] if a.family < b.family));
    if !sorted {
        return bad("facts are not sorted by family, each once".into());
    }
    let words = report.facts.iter().map(|f| &f.family).chain(&report.limits).chain([&report.software.agent]);
    if let Some(word) = words.into_iter().find(|w| !is_word(w)) {
        return bad(format!("{:?} is not a name", word.chars().take(MAX_WORD).collect::<String>()));
    }
    Ok(())
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.len() <= MAX_WORD && text.bytes().all(|b| b.is_ascii_graphic())
}

fn window_fits(kind: ScanKind, window: Option<&str>) -> bool {
    let number =
        |text: &str, most: u8| text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit()) && text.parse::<u8>().is_ok_and(|n| (1..=most).contains(&n));
    let year = |text: &str| text.len() == 4 && text.bytes().all(|b| b.is_ascii_digit());
    match (kind, window.map(|w| w.split_once('-'))) {
        (ScanKind::Weekly, Some(Some((y, w)))) => year(y) && w.strip_prefix('W').is_some_and(|n| number(n, 53)),
        (ScanKind::Monthly, Some(Some((y, m)))) => year(y) && number(m, 12),
        (ScanKind::OnDemand | ScanKind::Drift, None) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_has_the_form_of_its_kind() {
        let cases = [
            (ScanKind::Weekly, Some("2026-W47"), true),
            (ScanKind::Weekly, Some("2026-W54"), false),
            (ScanKind::Weekly, Some("2026-W7"), false),
            (ScanKind::Weekly, Some("2026-11"), false),
            (ScanKind::Weekly, None, false),
            (ScanKind::Monthly, Some("2026-11"), true),
            (ScanKind::Monthly, Some("2026-13"), false),
            (ScanKind::Monthly, Some("2026-+1"), false),
            (ScanKind::OnDemand, None, true),
            (ScanKind::Drift, Some("2026-W01"), false),
        ];
        for (kind, window, fits) in cases {
            assert_eq!(window_fits(kind, window), fits, "{kind:?} {window:?}");
        }
    }
}
