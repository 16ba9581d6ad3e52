//! Intervals of versions: the ranges of OSV, evaluated once.

use serde::Deserialize;

use super::ecosystem::Order;

/// Longest id, name or version that is taken, bytes.
pub const MAX_TEXT: usize = 256;

/// How an interval ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum End {
    /// Never.
    Open = 0,
    /// Before the fixed version.
    Fixed = 1,
    /// After the last affected version.
    Last = 2,
    /// Only the one version `from`.
    Exact = 3,
    /// Before a version that is no fix.
    Limit = 4,
}

/// First version, how it ends, version of the end.
pub type Interval = (String, End, String);

/// The intervals of one range, as the schema's own algorithm walks through the sorted events.
pub fn intervals_of(events: &[RawEvent], order: Order) -> Result<Vec<Interval>, String> {
    let mut sorted: Vec<(&str, End)> = Vec::new();
    let mut limit: Option<&str> = None;
    for event in events {
        for (version, kind) in [(&event.introduced, End::Open), (&event.fixed, End::Fixed), (&event.last_affected, End::Last)] {
            if let Some(version) = version {
                check_text(version, "version")?;
                sorted.push((version, kind));
            }
        }
        if let Some(version) = &event.limit {
            check_text(version, "version")?;
            limit = limit.filter(|l| order.compare(l, version).is_gt()).or(Some(version));
        }
    }
    // `0` as an introduction stands before every version, those with `~` included; what stands at
    // the same version keeps its place.
    let first = |(version, kind): &(&str, End)| *kind == End::Open && *version == "0";
    sorted.sort_by(|a, b| first(b).cmp(&first(a)).then_with(|| if first(a) { std::cmp::Ordering::Equal } else { order.compare(a.0, b.0) }));
    let mut out = Vec::new();
    let mut open: Option<&str> = None;
    for (version, kind) in sorted {
        match (kind, open) {
            (End::Open, None) => open = Some(version),
            (End::Fixed | End::Last, Some(from)) => {
                out.push((from.to_string(), kind, version.to_string()));
                open = None;
            }
            _ => {}
        }
    }
    if let Some(from) = open {
        out.push((from.to_string(), End::Open, String::new()));
    }
    if let Some(limit) = limit.filter(|l| *l != "*") {
        for interval in &mut out {
            if interval.1 == End::Open || order.compare(&interval.2, limit).is_gt() {
                (interval.1, interval.2) = (End::Limit, limit.to_string());
            }
        }
    }
    // Fixed in version 0 is how trackers say that a release was never affected.
    let is_empty = |from: &str, until: &str| if from == "0" { until == "0" } else { order.compare(from, until).is_ge() };
    out.retain(|(from, end, until)| !matches!(end, End::Fixed | End::Limit) || !is_empty(from, until));
    Ok(out)
}

/// Whether a version lies in an interval.
pub fn holds(order: Order, version: &str, from: &str, end: End, until: &str) -> bool {
    if end == End::Exact {
        return order.compare(version, from).is_eq();
    }
    (from == "0" || order.compare(version, from).is_ge())
        && match end {
            End::Open | End::Exact => true,
            End::Fixed | End::Limit => order.compare(version, until).is_lt(),
            End::Last => order.compare(version, until).is_le(),
        }
}

/// Refuses what could not be shown or kept.
pub fn check_text(text: &str, what: &str) -> Result<(), String> {
    let shown: String = text.chars().filter(|c| !c.is_control()).take(60).collect();
    if text.is_empty() || text.len() > MAX_TEXT || text.chars().any(char::is_control) {
        return Err(format!("{what} {shown:?} is empty, too long or has control characters"));
    }
    Ok(())
}

/// One event as published.
#[derive(Deserialize)]
pub struct RawEvent {
    introduced: Option<String>,
    fixed: Option<String>,
    last_affected: Option<String>,
    limit: Option<String>,
}
