//! Planned scans and what became of them.
//!
//! Every ISO week and every month that overlaps the period is a window for each host of the
//! population. A complete report that names the window fulfils it; a monthly scan fulfils the week
//! it started in, too. The window in which a host was enrolled counts only if it was fulfilled; a
//! retired host has no windows after it was last seen; a window that ends after the day of the
//! export is open. Everything else that has no report did not run.

use std::collections::BTreeMap;

use jiff::ToSpan as _;
use jiff::civil::{Date, ISOWeekDate};
use serde::Serialize;

use super::material::{Host, Period, day_of, day_start};
use crate::model::ids::{Digest, HostId};
use crate::model::report::{Report, ScanKind, ScanState};

/// What became of a planned scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WindowState {
    /// A complete report fulfils it.
    Done,
    /// It ended without a complete report.
    NotRun,
    /// It has not ended.
    Open,
}

impl WindowState {
    /// The words people see.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Done => "done",
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

/// Every window of every host, by host and start. `reports` are (digest, report).
pub fn windows(period: &Period, as_of: Date, hosts: &[Host], reports: &[(Digest, Report)]) -> Vec<Window> {
    let done = fulfilled(reports);
    let calendar: Vec<(String, &'static str, Date, Date)> = weeks(period).into_iter().chain(months(period)).collect();
    let mut out = Vec::new();
    for host in hosts {
        let gone = if host.retired { host.seen_at.unwrap_or(host.enrolled_at) } else { i64::MAX };
        for (id, kind, first, after) in &calendar {
            let (start, end) = (day_start(*first), day_start(*after));
            let report = done.get(&(host.id, id.clone()));
            let planned = host.enrolled_at <= start && gone >= end;
            let state = match report {
                Some(_) => WindowState::Done,
                None if !planned => continue,
                None if *after > as_of => WindowState::Open,
                None => WindowState::NotRun,
            };
            let (report, finished) = (report.map(|r| r.1), report.map(|r| r.0));
            out.push(Window { host: host.id, window: id.clone(), kind, start, end, state, report, finished });
        }
    }
    out.sort_by(|a, b| (a.host, a.start, &a.window).cmp(&(b.host, b.start, &b.window)));
    out
}

/// Window of a host -> the earliest complete report that fulfils it.
fn fulfilled(reports: &[(Digest, Report)]) -> BTreeMap<(HostId, String), (i64, Digest)> {
    let mut done: BTreeMap<(HostId, String), (i64, Digest)> = BTreeMap::new();
    let mut add = |host: HostId, window: String, at: (i64, Digest)| {
        let slot = done.entry((host, window)).or_insert(at);
        *slot = (*slot).min(at);
    };
    for (digest, report) in reports {
        if report.scan.state != ScanState::Complete {
            continue;
        }
        let at = (report.times.finished, *digest);
        if let Some(window) = &report.scan.window {
            add(report.host, window.clone(), at);
        }
        if report.scan.kind == ScanKind::Monthly {
            add(report.host, week_id(day_of(report.times.started).iso_week_date()), at);
        }
    }
    done
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
    use crate::model::finding::Counts;
    use crate::model::ids::{Address, Lineage, Salt};
    use crate::model::report::{FORMAT, Losses, Scan, Software, Times};
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
            retired: false,
            enrolment: None,
        }
    }

    fn report(kind: ScanKind, window: &str, day: Date, state: ScanState) -> (Digest, Report) {
        let at = day_start(day) + 3600;
        let report = Report {
            format: FORMAT.into(),
            host: HostId::new([1; 32]),
            lineage: Lineage::new([0; 16]),
            parent: None,
            sequence: 1,
            scan: Scan { kind, window: Some(window.into()), state },
            times: Times { started: at, finished: at + 5, boot_ms: 0 },
            software: Software { agent: "0".into(), pack: Digest::of(b""), policy: Digest::of(b"") },
            facts: Vec::new(),
            gaps: Address::new([0; 32]),
            findings: Address::new([0; 32]),
            counts: Counts::default(),
            limits: Vec::new(),
            losses: Losses::default(),
        };
        (Digest::of(window.as_bytes()), report)
    }

    fn states(hosts: &[Host], as_of: Date, reports: &[(Digest, Report)]) -> Vec<(String, &'static str)> {
        let period = Period { from: date(2026, 12, 21), to: date(2027, 1, 10) };
        windows(&period, as_of, hosts, reports).into_iter().map(|w| (w.window, w.state.word())).collect()
    }

    #[test]
    fn a_year_with_53_weeks_and_a_monthly_that_counts_as_its_week() {
        let reports = [
            report(ScanKind::Weekly, "2026-W52", date(2026, 12, 22), ScanState::Complete),
            report(ScanKind::Monthly, "2027-01", date(2027, 1, 2), ScanState::Complete),
            report(ScanKind::Weekly, "2027-W01", date(2027, 1, 5), ScanState::Aborted),
        ];
        let seen = states(&[host(date(2026, 1, 1))], date(2027, 3, 1), &reports);
        let expected = [("2026-12", "not run"), ("2026-W52", "done"), ("2026-W53", "done"), ("2027-01", "done"), ("2027-W01", "not run")];
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
    fn a_retired_host_owes_nothing_after_it_was_last_seen() {
        let mut gone = host(date(2026, 1, 1));
        gone.retired = true;
        gone.seen_at = Some(day_start(date(2026, 12, 30)));
        assert_eq!(states(&[gone], date(2027, 3, 1), &[]), [("2026-W52".to_string(), "not run")]);
    }
}
