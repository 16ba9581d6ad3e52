//! Times as people read them: relative, with the exact time beside.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

/// Seconds of a day.
pub const DAY: i64 = 86_400;

/// A moment, ready for a `<time>` element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct When {
    /// `2026-11-22T09:14:07Z`.
    pub iso: String,
    /// `22 Nov 2026 09:14 UTC`.
    pub exact: String,
    /// `13 days ago`, `in 6 days`, `just now`.
    pub relative: String,
    /// `13 days`: how long ago or ahead.
    pub span: String,
}

impl When {
    /// `at` as seen from `now`, both Unix seconds.
    pub fn new(at: i64, now: i64) -> Self {
        let distance = span((now - at).abs());
        let relative = match now - at {
            -44..=44 => "just now".to_string(),
            past if past > 0 => format!("{distance} ago"),
            _ => format!("in {distance}"),
        };
        let zoned = utc(at);
        Self { iso: zoned.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(), exact: zoned.strftime("%-d %b %Y %H:%M UTC").to_string(), relative, span: distance }
    }
}

/// A length of time in its largest sensible unit: `5 min`, `3 h`, `13 days`.
pub fn span(seconds: i64) -> String {
    match seconds {
        ..90 => format!("{seconds} s"),
        90..5_400 => format!("{} min", seconds / 60),
        5_400..129_600 => format!("{} h", seconds / 3_600),
        ..172_800 => "1 day".into(),
        _ => format!("{} days", seconds / DAY),
    }
}

/// The civil time of `at` in UTC; the epoch when it is beyond the calendar.
pub fn utc(at: i64) -> Zoned {
    Timestamp::from_second(at).unwrap_or(Timestamp::UNIX_EPOCH).to_zoned(TimeZone::UTC)
}

/// `22 Nov 2026`.
pub fn day(at: i64) -> String {
    utc(at).strftime("%-d %b %Y").to_string()
}

/// `2026-11-22`.
pub fn iso_day(at: i64) -> String {
    utc(at).strftime("%Y-%m-%d").to_string()
}

/// First second of a day written `YYYY-MM-DD`; `None` for anything else.
pub fn parse_day(text: &str) -> Option<i64> {
    if text.len() != 10 {
        return None;
    }
    let date: Date = text.parse().ok()?;
    Some(date.to_zoned(TimeZone::UTC).ok()?.timestamp().as_second())
}

/// An ISO 8601 week: year and number.
pub type Week = (i16, i8);

/// The ISO week that holds `at`, UTC.
pub fn week(at: i64) -> Week {
    let date = utc(at).date().iso_week_date();
    (date.year(), date.week())
}

/// First second of the ISO week that holds `at`.
pub fn week_start(at: i64) -> i64 {
    let zoned = utc(at);
    let since_monday = i64::from(zoned.weekday().to_monday_zero_offset());
    at - at.rem_euclid(DAY) - since_monday * DAY
}

/// The window name of a week: `2026-W47`.
pub fn week_name((year, week): Week) -> String {
    format!("{year}-W{week:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn past_and_future_read_as_people_say_them() {
        let now = 1_795_338_847;
        let ago = |s: i64| When::new(now - s, now).relative;
        assert_eq!((ago(3), ago(125), ago(7_300)), ("just now".into(), "2 min ago".into(), "2 h ago".into()));
        assert_eq!((ago(13 * DAY + 5), ago(-6 * DAY - 5)), ("13 days ago".into(), "in 6 days".into()));
        assert_eq!(When::new(now, now).exact, "22 Nov 2026 09:14 UTC");
    }

    #[test]
    fn weeks_follow_iso_8601_over_the_new_year() {
        let first = parse_day("2027-01-01").unwrap();
        assert_eq!(week_name(week(first)), "2026-W53");
        assert_eq!(iso_day(week_start(first)), "2026-12-28");
        for bad in ["", "2026-13-01", "2026-1-1", "20261122", "2026-11-22T00"] {
            assert_eq!(parse_day(bad), None, "{bad}");
        }
    }
}
