//! When to scan: a pure function of the clock, the calendar and what was done.
//!
//! Each ISO week has one slot: its first midnight in the configured zone plus a jitter that
//! depends on the host alone. The first scan of a calendar month is the monthly one and counts
//! as its week's weekly, so there is one scan a week. A slot that passed while the host was off
//! is caught up at once within its week; a whole week that was missed makes the running week's
//! scan due at once, and only that one. A scan can't fulfil a window that is over.

use jiff::civil::{Date, ISOWeekDate, Weekday};
use jiff::tz::TimeZone;

use crate::model::ids::HostId;
use crate::model::report::ScanKind;

/// Fulfilled windows that are remembered: a year of weeks and months.
pub const MAX_DONE: usize = 72;

/// Weeks and months of one host.
#[derive(Clone, Debug)]
pub struct Calendar {
    zone: TimeZone,
    /// Seconds from the first midnight of the week to the host's slot.
    jitter: i64,
}

/// The next scan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// When, Unix seconds; not after `now` when it is due.
    pub at: i64,
    /// Weekly or monthly.
    pub kind: ScanKind,
    /// The window it fulfils, as the report says it.
    pub window: String,
    /// Every window it fulfils: `2026-W47`, and `2026-11` if it is the monthly one.
    pub covers: Vec<String>,
}

impl Calendar {
    /// `zone` is an IANA name; `None` when it is unknown.
    pub fn new(zone: &str, jitter_span_seconds: i64, host: &HostId) -> Option<Self> {
        let mut first = [0; 8];
        first.copy_from_slice(host.bytes().get(..8)?);
        let span = u64::try_from(jitter_span_seconds).ok()?;
        // The host id is a hash already: its first bytes are spread evenly.
        let jitter = u64::from_be_bytes(first).checked_rem(span).unwrap_or(0);
        Some(Self { zone: TimeZone::get(zone).ok()?, jitter: i64::try_from(jitter).ok()? })
    }

    /// The next scan, given the windows that were fulfilled.
    pub fn next(&self, now: i64, done: &[String]) -> Due {
        let is_done = |window: &str| done.iter().any(|d| d == window);
        let monday = monday_of(self.date(now));
        let week = week_name(monday);
        let before = week_name(plus_days(monday, -7));
        let at = if is_done(&week) {
            // Never before the running week is over, whatever an odd zone does at midnight.
            self.slot(plus_days(monday, 7)).max(now.saturating_add(1))
        } else if is_done(&before) {
            self.slot(monday)
        } else {
            now
        };
        self.due(at, at.max(now), is_done)
    }

    fn due(&self, at: i64, runs_at: i64, is_done: impl Fn(&str) -> bool) -> Due {
        let date = self.date(runs_at);
        let (week, month) = (week_name(monday_of(date)), format!("{:04}-{:02}", date.year(), date.month()));
        if is_done(&month) {
            return Due { at, kind: ScanKind::Weekly, window: week.clone(), covers: vec![week] };
        }
        Due { at, kind: ScanKind::Monthly, window: month.clone(), covers: vec![week, month] }
    }

    fn slot(&self, monday: Date) -> i64 {
        // A midnight that a change of the clock skips begins when the clock resumes.
        let start = self.zone.to_timestamp(monday.to_datetime(jiff::civil::Time::midnight())).map_or(i64::MAX, |t| t.as_second());
        start.saturating_add(self.jitter)
    }

    fn date(&self, at: i64) -> Date {
        let timestamp = jiff::Timestamp::from_second(at).unwrap_or(if at < 0 { jiff::Timestamp::MIN } else { jiff::Timestamp::MAX });
        self.zone.to_datetime(timestamp).date()
    }
}

/// Remembers fulfilled windows, the newest last, at most [`MAX_DONE`].
pub fn remember(done: &mut Vec<String>, covers: &[String]) {
    for window in covers {
        if !done.contains(window) {
            done.push(window.clone());
        }
    }
    let excess = done.len().saturating_sub(MAX_DONE);
    done.drain(..excess);
}

fn monday_of(date: Date) -> Date {
    let week = date.iso_week_date();
    ISOWeekDate::new(week.year(), week.week(), Weekday::Monday).map_or(date, Date::from)
}

fn week_name(date: Date) -> String {
    let week = date.iso_week_date();
    format!("{:04}-W{:02}", week.year(), week.week())
}

fn plus_days(date: Date, days: i64) -> Date {
    date.checked_add(jiff::Span::new().days(days)).unwrap_or(date)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> i64 {
        text.parse::<jiff::Timestamp>().unwrap().as_second()
    }

    fn calendar(zone: &str, jitter: i64) -> Calendar {
        Calendar { zone: TimeZone::get(zone).unwrap(), jitter }
    }

    fn strings(list: &[&str]) -> Vec<String> {
        list.iter().map(ToString::to_string).collect()
    }

    /// zone, now, done, due at, kind, window
    type Case = (&'static str, &'static str, &'static [&'static str], &'static str, ScanKind, &'static str);

    #[test]
    fn weeks_months_catch_up_and_year_ends() {
        use ScanKind::{Monthly, Weekly};
        let cases: [Case; 15] = [
            // Nothing done yet: at once, and the first one is the month's.
            ("UTC", "2026-11-18T12:00:00Z", &[], "2026-11-18T12:00:00Z", Monthly, "2026-11"),
            // Done this week: next week's slot.
            ("UTC", "2026-11-18T12:00:00Z", &["2026-W47", "2026-11"], "2026-11-23T01:00:00Z", Weekly, "2026-W48"),
            // Before the slot of a week whose predecessor was done: wait for it.
            ("UTC", "2026-11-23T00:30:00Z", &["2026-W47", "2026-11"], "2026-11-23T01:00:00Z", Weekly, "2026-W48"),
            // Off during the slot: the slot lies in the past, so it is due.
            ("UTC", "2026-11-25T09:00:00Z", &["2026-W47", "2026-11"], "2026-11-23T01:00:00Z", Weekly, "2026-W48"),
            // Off for weeks: due at once, before this week's slot too.
            ("UTC", "2026-11-23T00:10:00Z", &["2026-W40", "2026-11"], "2026-11-23T00:10:00Z", Weekly, "2026-W48"),
            // Caught up: not again in the same week.
            ("UTC", "2026-11-23T00:20:00Z", &["2026-W40", "2026-W48", "2026-11"], "2026-11-30T01:00:00Z", Weekly, "2026-W49"),
            // The first slot of a month is the monthly one.
            ("UTC", "2026-12-02T00:00:00Z", &["2026-W49", "2026-11"], "2026-12-07T01:00:00Z", Monthly, "2026-12"),
            // 2026 has 53 ISO weeks; its last one holds the first of January.
            ("UTC", "2027-01-02T00:00:00Z", &["2026-W52", "2026-12"], "2026-12-28T01:00:00Z", Monthly, "2027-01"),
            ("UTC", "2026-12-30T00:00:00Z", &["2026-W52", "2026-12"], "2026-12-28T01:00:00Z", Weekly, "2026-W53"),
            ("UTC", "2027-01-02T00:00:00Z", &["2026-W53", "2026-12"], "2027-01-04T01:00:00Z", Monthly, "2027-01"),
            // Zones: Sunday evening in New York is Monday in UTC.
            ("America/New_York", "2026-11-23T03:00:00Z", &["2026-W46", "2026-11"], "2026-11-16T06:00:00Z", Weekly, "2026-W47"),
            // Daylight saving ends and begins on a Sunday: the slot stays at local time.
            ("Europe/Vienna", "2026-10-24T00:00:00Z", &["2026-W43", "2026-10"], "2026-10-26T00:00:00Z", Weekly, "2026-W44"),
            ("Europe/Vienna", "2026-03-28T00:00:00Z", &["2026-W13", "2026-03"], "2026-03-29T23:00:00Z", Weekly, "2026-W14"),
            // A clock that ran ahead left a window of the future: the present is judged by itself.
            ("UTC", "2026-11-18T12:00:00Z", &["2099-W01", "2099-01"], "2026-11-18T12:00:00Z", Monthly, "2026-11"),
            // A clock that jumps back to a week that was done, and forth again: nothing is repeated.
            ("UTC", "2026-11-11T12:00:00Z", &["2026-W46", "2026-W47", "2026-11"], "2026-11-16T01:00:00Z", Weekly, "2026-W47"),
        ];
        for (zone, now, done, due, kind, window) in cases {
            let found = calendar(zone, 3_600).next(at(now), &strings(done));
            assert_eq!((found.at, found.kind, found.window.as_str()), (at(due), kind, window), "{zone} {now} {done:?}");
        }
    }

    #[test]
    fn a_year_of_ticks_scans_every_week_and_month_once() {
        for zone in ["UTC", "Europe/Vienna", "America/Sao_Paulo", "Pacific/Apia", "Africa/Cairo"] {
            let calendar = calendar(zone, 50_000);
            let (mut done, mut scans) = (Vec::new(), Vec::new());
            let mut now = at("2026-01-01T12:00:00Z");
            while now < at("2027-01-01T00:00:00Z") {
                let due = calendar.next(now, &done);
                if due.at <= now {
                    remember(&mut done, &due.covers);
                    scans.push(due);
                }
                now += 900;
            }
            let weeks: std::collections::BTreeSet<&String> = scans.iter().flat_map(|d| &d.covers).filter(|c| c.contains('W')).collect();
            assert_eq!((scans.len(), weeks.len()), (53, 53), "{zone}");
            assert_eq!(scans.iter().filter(|d| d.kind == ScanKind::Monthly).count(), 12, "{zone}");
        }
    }

    #[test]
    fn jitter_depends_on_the_host_and_stays_in_its_span() {
        let host = |n: u8| HostId::of_spki(&[n]);
        let jitters: Vec<i64> = (0..50).map(|n| Calendar::new("UTC", 3_600, &host(n)).unwrap().jitter).collect();
        assert!(jitters.iter().all(|j| (0..3_600).contains(j)));
        assert!(jitters.iter().collect::<std::collections::BTreeSet<_>>().len() > 40);
        assert_eq!(Calendar::new("UTC", 0, &host(1)).unwrap().jitter, 0);
        assert!(Calendar::new("Mars/Base", 1, &host(1)).is_none());
    }

    #[test]
    fn memory_of_windows_is_bounded() {
        let mut done = Vec::new();
        for i in 0..MAX_DONE + 5 {
            remember(&mut done, &[format!("w{i}")]);
        }
        assert_eq!((done.len(), done.first().map(String::as_str)), (MAX_DONE, Some("w5")));
    }
}
