//! Planned scans and what became of them.
//!
//! Every ISO week and every month that overlaps the period is a window for each host of the
//! population. A complete report that names the window fulfils it; a monthly scan fulfils the week
//! it started in, too. The window in which a host was enrolled counts only if it was fulfilled; a
//! host owes nothing after it was taken out; a window that ends after the day of the
//! export is open. Everything else that has no report did not run.

use std::collections::BTreeMap;

use jiff::ToSpan as _;
use jiff::civil::{Date, ISOWeekDate};
use serde::Serialize;

use super::material::{Host, Period, ReportMeta, day_of, day_start};
use crate::model::ids::{Digest, HostId};
use crate::model::report::{ScanKind, ScanState};

/// What became of a planned scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WindowState {
    /// A complete report fulfils it in time.
    Done,
    /// A complete report fulfils it that ended after the window, or reached the collector more than [`GRACE`] after it.
    Late,
    /// It ended without a complete report; a scan was begun and stopped early.
    Aborted,
    /// It ended without any report.
    NotRun,
    /// It has not ended.
    Open,
}

impl WindowState {
    /// The words people see.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Late => "late",
            Self::Aborted => "aborted",
            Self::NotRun => "not run",
            Self::Open => "open",
        }
    }
}

/// One planned scan of one host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Window {
    /// Host.
    pub host: HostId,
    /// `2026-W47` or `2026-11`.
    pub window: String,
    /// `weekly` or `monthly`.
    pub kind: &'static str,
    /// First second, Unix (UTC).
    pub start: i64,
    /// First second after it, Unix (UTC).
    pub end: i64,
    /// What became of it.
    pub state: WindowState,
    /// The report that fulfils it.
    pub report: Option<Digest>,
    /// When that scan ended, Unix seconds.
    pub finished: Option<i64>,
}

/// How long after the end of its window a report may reach the collector and still be in time, seconds: spools and jitter.
pub const GRACE: i64 = 86_400;

/// Every window of every host, by host and start.
pub fn windows(period: &Period, as_of: Date, hosts: &[&Host], reports: &[ReportMeta]) -> Vec<Window> {
    let named = by_window(reports);
    let calendar: Vec<(String, &'static str, Date, Date)> = weeks(period).into_iter().chain(months(period)).collect();
    let mut out = Vec::new();
    for host in hosts {
        let gone = host.retired_at.unwrap_or(i64::MAX);
        for (id, kind, first, after) in &calendar {
            let (start, end) = (day_start(*first), day_start(*after));
            let planned = host.enrolled_at <= start && gone >= end;
            let found = named.get(&(host.id, id.clone()));
            let done = found.and_then(|f| f.complete);
            let state = match done {
                Some(report) if report.finished < end && report.received < end.saturating_add(GRACE) => WindowState::Done,
                Some(_) => WindowState::Late,
                None if !planned => continue,
                None if *after > as_of => WindowState::Open,
                None if found.is_some_and(|f| f.aborted.is_some()) => WindowState::Aborted,
                None => WindowState::NotRun,
            };
            let report = done.or(found.and_then(|f| f.aborted).filter(|_| state == WindowState::Aborted));
            let (report, finished) = (report.map(|r| r.digest), report.map(|r| r.finished));
            out.push(Window { host: host.id, window: id.clone(), kind, start, end, state, report, finished });
        }
    }
    out.sort_by(|a, b| (a.host, a.start, &a.window).cmp(&(b.host, b.start, &b.window)));
    out
}

/// The earliest reports of a window.
#[derive(Clone, Copy, Debug, Default)]
struct Named<'a> {
    complete: Option<&'a ReportMeta>,
    aborted: Option<&'a ReportMeta>,
}

/// Window of a host -> the earliest reports that name it. A monthly scan is that week's weekly, too.
fn by_window(reports: &[ReportMeta]) -> BTreeMap<(HostId, String), Named<'_>> {
    let mut named: BTreeMap<(HostId, String), Named<'_>> = BTreeMap::new();
    for report in reports {
        let week = (report.kind == ScanKind::Monthly).then(|| week_id(day_of(report.started).iso_week_date()));
        for window in report.window.iter().cloned().chain(week) {
            let slots = named.entry((report.host, window)).or_default();
            let slot = if report.state == ScanState::Complete { &mut slots.complete } else { &mut slots.aborted };
            let earlier = slot.is_none_or(|s| (report.finished, report.digest) < (s.finished, s.digest));
            if earlier {
                *slot = Some(report);
            }
        }
    }
    named
}

fn week_id(week: ISOWeekDate) -> String {
    format!("{:04}-W{:02}", week.year(), week.week())
}

fn weeks(period: &Period) -> Vec<(String, &'static str, Date, Date)> {
    let back = i64::from(period.from.weekday().to_monday_zero_offset());
    let mut out = Vec::new();
    let mut monday = period.from.checked_sub(back.days()).unwrap_or(period.from);
    while monday <= period.to {
        let Ok(next) = monday.checked_add(7.days()) else { break };
        out.push((week_id(monday.iso_week_date()), "weekly", monday, next));
        monday = next;
    }
    out
}

fn months(period: &Period) -> Vec<(String, &'static str, Date, Date)> {
    let mut out = Vec::new();
    let mut first = period.from.first_of_month();
    while first <= period.to {
        let Ok(next) = first.checked_add(1.month()) else { break };
        out.push((format!("{:04}-{:02}", first.year(), first.month()), "monthly", first, next));
        first = next;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ids::Salt;
    use jiff::civil::date;

    fn host(enrolled: Date) -> Host {
        Host {
            id: HostId::new([1; 32]),
            name: "web01".into(),
            public_key: Vec::new(),
            salt: Salt::new([0; 32]),
            os: String::new(),
            enrolled_at: day_start(enrolled),
            seen_at: None,
            retired_at: None,
            retired_why: String::new(),
            replaced_by: None,
            enrolment: None,
        }
    }

    fn report(kind: ScanKind, window: &str, day: Date, state: ScanState) -> ReportMeta {
        let at = day_start(day) + 3600;
        let (digest, host, limits) = (Digest::of(window.as_bytes()), HostId::new([1; 32]), Vec::new());
        ReportMeta { digest, host, kind, state, window: Some(window.into()), started: at, finished: at + 5, received: at + 6, limits }
    }

    fn states(hosts: &[Host], as_of: Date, reports: &[ReportMeta]) -> Vec<(String, &'static str)> {
        let period = Period { from: date(2026, 12, 21), to: date(2027, 1, 10) };
        windows(&period, as_of, &hosts.iter().collect::<Vec<_>>(), reports).into_iter().map(|w| (w.window, w.state.word())).collect()
    }

    #[test]
    fn a_year_with_53_weeks_and_a_monthly_that_counts_as_its_week() {
        let reports = [
            report(ScanKind::Weekly, "2026-W52", date(2026, 12, 22), ScanState::Complete),
            report(ScanKind::Monthly, "2027-01", date(2027, 1, 2), ScanState::Complete),
            report(ScanKind::Weekly, "2027-W01", date(2027, 1, 5), ScanState::Aborted),
        ];
        let seen = states(&[host(date(2026, 1, 1))], date(2027, 3, 1), &reports);
        let expected = [("2026-12", "not run"), ("2026-W52", "done"), ("2026-W53", "done"), ("2027-01", "done"), ("2027-W01", "aborted")];
        assert_eq!(seen, expected.map(|(w, s)| (w.to_string(), s)));
    }

    #[test]
    fn windows_before_enrolment_are_not_planned_and_unfinished_ones_are_open() {
        let seen = states(&[host(date(2026, 12, 29))], date(2027, 1, 6), &[]);
        assert_eq!(seen, [("2027-01".to_string(), "open"), ("2027-W01".to_string(), "open")]);
        let seen = states(&[host(date(2026, 12, 29))], date(2027, 1, 11), &[]);
        assert_eq!(seen, [("2027-01".to_string(), "open"), ("2027-W01".to_string(), "not run")]);
    }

    #[test]
    fn a_scan_after_its_window_or_long_under_way_is_late() {
        let hosts = [host(date(2026, 12, 21))];
        let mut slow = report(ScanKind::Weekly, "2026-W52", date(2026, 12, 22), ScanState::Complete);
        let aborted = ReportMeta { digest: Digest::of(b"x"), ..report(ScanKind::Weekly, "2026-W52", date(2026, 12, 21), ScanState::Aborted) };
        let first = |r: &[ReportMeta]| states(&hosts, date(2027, 3, 1), r).into_iter().find(|w| w.0 == "2026-W52").map(|w| w.1);
        assert_eq!(first(&[slow.clone(), aborted.clone()]), Some("done"));
        slow.received = day_start(date(2026, 12, 28)) + GRACE - 1;
        assert_eq!(first(&[slow.clone()]), Some("done"));
        slow.received += 1;
        assert_eq!(first(&[slow.clone()]), Some("late"));
        slow.received = slow.finished;
        slow.finished = day_start(date(2026, 12, 28));
        assert_eq!(first(&[aborted, slow]), Some("late"));
    }

    #[test]
    fn a_retired_host_owes_nothing_after_it_was_taken_out() {
        let mut gone = host(date(2026, 1, 1));
        gone.retired_at = Some(day_start(date(2026, 12, 30)));
        assert_eq!(states(&[gone], date(2027, 3, 1), &[]), [("2026-W52".to_string(), "not run")]);
    }
}
