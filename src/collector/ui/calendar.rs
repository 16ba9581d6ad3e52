//! The scan calendar: which planned windows were scanned, week by week.

use super::when::{DAY, Week, day, week, week_name, week_start};
use crate::collector::store::{HostRow, ReportRow, ScanRow};
use crate::model::report::{ScanKind, ScanState};

/// Weeks drawn, the current one included.
pub const WEEKS: usize = 26;
/// Weeks drawn on a phone.
const NARROW_WEEKS: usize = 12;
/// Hosts drawn.
pub const MAX_ROWS: usize = 20;

/// What became of a host's week.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Scanned within the week.
    Done,
    /// Scanned after the week was over.
    Late,
    /// Began and was not finished.
    Partial,
    /// Not scanned though it was planned.
    Missed,
    /// The week still runs.
    Due,
    /// The week still runs, and only unplanned scans were made.
    Other,
    /// Not enrolled for the whole week.
    NotEnrolled,
    /// Taken out before the week was over.
    Over,
}

impl Outcome {
    /// Class in the style sheet.
    pub const fn class(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Late => "late",
            Self::Partial => "partial",
            Self::Missed => "missed",
            Self::Due => "due",
            Self::Other => "other",
            Self::NotEnrolled | Self::Over => "none",
        }
    }
    /// A shape beside the colour.
    pub const fn mark(self) -> &'static str {
        match self {
            Self::Late => "!",
            Self::Partial => "½",
            Self::Missed => "✕",
            _ => "",
        }
    }
    /// Words.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Done => "scanned",
            Self::Late => "scanned late",
            Self::Partial => "aborted",
            Self::Missed => "missed",
            Self::Due => "still due",
            Self::Other => "on demand only, weekly still due",
            Self::NotEnrolled => "not enrolled yet",
            Self::Over => "taken out",
        }
    }
}

/// What a calendar looks at of a scan.
#[derive(Clone, Copy, Debug)]
pub struct ScanView<'a> {
    kind: ScanKind,
    window: Option<&'a str>,
    state: ScanState,
    started: i64,
    finished: i64,
}

/// A row that tells of a scan.
pub trait Scan {
    /// What a calendar looks at.
    fn view(&self) -> ScanView<'_>;
}

impl Scan for ReportRow {
    fn view(&self) -> ScanView<'_> {
        ScanView { kind: self.kind, window: self.window.as_deref(), state: self.state, started: self.started, finished: self.finished }
    }
}

impl Scan for ScanRow {
    fn view(&self) -> ScanView<'_> {
        ScanView { kind: self.kind, window: self.window.as_deref(), state: self.state, started: self.started, finished: self.finished }
    }
}

/// One week of one host.
#[derive(Clone, Debug)]
pub struct Cell {
    /// What became of it.
    pub outcome: Outcome,
    /// `web01, W47: scanned`.
    pub text: String,
    /// Whether a phone leaves it out.
    pub is_wide_only: bool,
}

/// One host.
#[derive(Clone, Debug)]
pub struct Row {
    /// Its name.
    pub name: String,
    /// Its page.
    pub path: String,
    /// Its weeks, oldest first.
    pub cells: Vec<Cell>,
}

/// One head of a column.
#[derive(Clone, Debug)]
pub struct Head {
    /// `W47`, empty where there is no room.
    pub text: String,
    /// `W47, 16 Nov 2026`.
    pub full: String,
    /// Whether a phone leaves it out.
    pub is_wide_only: bool,
}

/// Weeks × hosts.
#[derive(Clone, Debug)]
pub struct Calendar {
    /// Weeks, oldest first.
    pub heads: Vec<Head>,
    /// Hosts.
    pub rows: Vec<Row>,
    /// Hosts left out.
    pub more: usize,
}

/// First second of the calendar that ends at `at`.
pub fn begins(at: i64) -> i64 {
    week_start(at) - (WEEKS as i64 - 1) * 7 * DAY
}

/// Draws the calendar of some hosts from their scans that had arrived by `at`; `all` is how many hosts there are.
pub fn build(hosts: &[HostRow], scans: &[ScanRow], at: i64, all: usize) -> Calendar {
    let starts: Vec<i64> = (0..WEEKS as i64).map(|i| begins(at) + i * 7 * DAY).collect();
    let heads = starts.iter().enumerate().map(|(i, start)| head(i, *start)).collect();
    let row = |host: &HostRow| {
        let own: Vec<&ScanRow> = scans.iter().filter(|s| s.host == host.id && s.received <= at).collect();
        let cells = starts.iter().enumerate().map(|(i, start)| cell(host, &own, i, *start, at)).collect();
        Row { name: host.name.clone(), path: format!("/hosts/{}", host.id), cells }
    };
    Calendar { heads, more: all.saturating_sub(hosts.len()), rows: hosts.iter().map(row).collect() }
}

const fn is_wide_only(i: usize) -> bool {
    i + NARROW_WEEKS < WEEKS
}

fn head(i: usize, start: i64) -> Head {
    let (_, number) = week(start);
    let is_labelled = (WEEKS - 1 - i).is_multiple_of(5);
    Head {
        text: if is_labelled { format!("W{number:02}") } else { String::new() },
        full: format!("W{number:02}, from {}", day(start)),
        is_wide_only: is_wide_only(i),
    }
}

fn cell(host: &HostRow, own: &[&ScanRow], i: usize, start: i64, at: i64) -> Cell {
    let outcome = outcome(host, own, start, at);
    let (_, number) = week(start);
    Cell { outcome, text: format!("{}, W{number:02}: {}", host.name, outcome.word()), is_wide_only: is_wide_only(i) }
}

/// What became of the week that begins at `start`, as known at `at`.
pub fn outcome<R: Scan>(host: &HostRow, own: &[&R], start: i64, at: i64) -> Outcome {
    of_window(host, own, (start, start + 7 * DAY), at, &|r| fulfils(r, week(start)))
}

/// What became of the monthly scan of the month from `start` to `end`, as known at `at`.
pub fn month_outcome<R: Scan>(host: &HostRow, own: &[&R], (start, end): (i64, i64), at: i64) -> Outcome {
    let name = month_name(start);
    of_window(host, own, (start, end), at, &|r| r.kind == ScanKind::Monthly && r.window == Some(name.as_str()))
}

/// The window name of a month: `2026-11`.
pub fn month_name(at: i64) -> String {
    super::when::utc(at).strftime("%Y-%m").to_string()
}

fn of_window<R: Scan>(host: &HostRow, own: &[&R], (start, end): (i64, i64), at: i64, fulfils: &dyn Fn(&ScanView<'_>) -> bool) -> Outcome {
    let own: Vec<ScanView<'_>> = own.iter().map(|r| r.view()).collect();
    let planned: Vec<&ScanView<'_>> = own.iter().filter(|r| fulfils(r)).collect();
    let complete = planned.iter().filter(|r| r.state == ScanState::Complete).map(|r| r.finished).min();
    match complete {
        Some(finished) if finished < end => return Outcome::Done,
        Some(_) => return Outcome::Late,
        None if !planned.is_empty() => return Outcome::Partial,
        None => {}
    }
    if host.retired_at.is_some_and(|retired| retired < end) {
        return Outcome::Over;
    }
    if at < end && host.enrolled_at <= at {
        let has_other = own.iter().any(|r| r.finished >= start && r.finished < end);
        return if has_other { Outcome::Other } else { Outcome::Due };
    }
    // Of the week in which a host was enrolled only a part could be used.
    if host.enrolled_at > start { Outcome::NotEnrolled } else { Outcome::Missed }
}

/// A weekly scan names its week; a monthly one counts for the week in which it began.
fn fulfils(report: &ScanView<'_>, of: Week) -> bool {
    match report.kind {
        ScanKind::Weekly => report.window == Some(week_name(of).as_str()),
        ScanKind::Monthly => week(report.started) == of,
        ScanKind::OnDemand | ScanKind::Drift => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collector::store::HostState;
    use crate::collector::ui::when::parse_day;
    use crate::model::ids::{HostId, Salt};

    fn host(enrolled: &str) -> HostRow {
        HostRow {
            id: HostId::new([1; 32]),
            name: "web01".into(),
            public_key: Vec::new(),
            salt: Salt::new([0; 32]),
            os: String::new(),
            enrolled_at: parse_day(enrolled).unwrap(),
            seen_at: None,
            state: HostState::Active,
            replaces: None,
            retired_at: None,
            retired_why: String::new(),
        }
    }

    fn report(kind: ScanKind, window: Option<&str>, finished: &str, state: ScanState) -> ScanRow {
        let at = parse_day(finished).unwrap();
        ScanRow { host: HostId::new([1; 32]), kind, window: window.map(String::from), state, started: at - 5, finished: at, received: at }
    }

    #[test]
    fn a_week_is_done_late_aborted_missed_or_still_due() {
        let at = parse_day("2026-11-20").unwrap();
        let week = |of: &str, own: &[&ScanRow]| outcome(&host("2026-10-01"), own, week_start(parse_day(of).unwrap()), at);
        let done = report(ScanKind::Weekly, Some("2026-W46"), "2026-11-10", ScanState::Complete);
        assert_eq!(week("2026-11-12", &[&done]), Outcome::Done);
        let late = report(ScanKind::Weekly, Some("2026-W46"), "2026-11-17", ScanState::Complete);
        assert_eq!(week("2026-11-12", &[&late]), Outcome::Late);
        assert_eq!(week("2026-11-20", &[&late]), Outcome::Other);
        let cut = report(ScanKind::Weekly, Some("2026-W46"), "2026-11-10", ScanState::Aborted);
        assert_eq!(week("2026-11-12", &[&cut]), Outcome::Partial);
        let monthly = report(ScanKind::Monthly, Some("2026-11"), "2026-11-10", ScanState::Complete);
        assert_eq!(week("2026-11-12", &[&monthly]), Outcome::Done);
        let asked = report(ScanKind::OnDemand, None, "2026-11-10", ScanState::Complete);
        assert_eq!(week("2026-11-12", &[&asked]), Outcome::Missed);
        assert_eq!(week("2026-11-20", &[]), Outcome::Due);
        assert_eq!(outcome::<ScanRow>(&host("2026-11-11"), &[], week_start(parse_day("2026-11-12").unwrap()), at), Outcome::NotEnrolled);
    }
}
