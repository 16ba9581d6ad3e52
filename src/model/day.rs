//! Dates as people write them in lists.
//!
//! `2026-11-08`, `2026/11/8`, `20261108`, `8.11.2026`, `8 Nov 2026`, `Nov 8, 2026`, RFC 3339 moments,
//! a date with a time behind it, Unix seconds. `03/04/2026` has two readings: the other dates of the
//! same column decide, else it is refused.

use jiff::civil::Date;
use jiff::tz::TimeZone;

/// Seconds of a day.
pub const DAY: i64 = 86_400;
/// What to write instead.
pub const REMEDY: &str = "write YYYY-MM-DD, or leave it empty";

/// Which of two leading numbers is the day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Day first: 31/12/2026.
    DayFirst,
    /// Month first: 12/31/2026.
    MonthFirst,
}

/// A date as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// A day of the calendar.
    Day(Date),
    /// An exact moment, Unix seconds.
    Moment(i64),
}

impl Written {
    /// First second after it, Unix: a day counts whole, in UTC.
    pub fn end(self) -> Option<i64> {
        match self {
            Self::Moment(at) => Some(at),
            Self::Day(date) => Some(date.to_zoned(TimeZone::UTC).ok()?.timestamp().as_second() + DAY),
        }
    }
}

/// The order that the dates of one column show: `None` when none tells, or when they contradict each other.
pub fn order_of<'a>(texts: impl Iterator<Item = &'a str>) -> Option<Order> {
    let (mut day_first, mut month_first) = (false, false);
    for text in texts {
        if let Some((a, b, _)) = slashed(text) {
            day_first |= a > 12 && b <= 12;
            month_first |= b > 12 && a <= 12;
        }
    }
    match (day_first, month_first) {
        (true, false) => Some(Order::DayFirst),
        (false, true) => Some(Order::MonthFirst),
        _ => None,
    }
}

/// Whether a date has two readings by itself.
pub fn is_ambiguous(text: &str) -> bool {
    slashed(text).is_some_and(|(a, b, _)| a <= 12 && b <= 12 && a != b)
}

/// Reads a date; an error says what is wrong with it.
pub fn parse(text: &str, order: Option<Order>) -> Result<Written, String> {
    let text = text.trim();
    if let Ok(moment) = text.parse::<jiff::Timestamp>() {
        return Ok(Written::Moment(moment.as_second()));
    }
    if text.bytes().all(|b| b.is_ascii_digit()) && (9..=11).contains(&text.len()) {
        return text.parse().map(Written::Moment).map_err(|_| format!("{text:?} is no moment"));
    }
    // A time of day behind a date says nothing more than the day: its zone is not known.
    let text = without_time(text);
    let day = |year: i16, month: i8, day: i8| Date::new(year, month, day).map(Written::Day).map_err(|_| format!("{text:?} is no day of the calendar"));
    if let Some((a, b, year)) = slashed(text) {
        let order = if a == b || a > 12 {
            Some(Order::DayFirst)
        } else if b > 12 {
            Some(Order::MonthFirst)
        } else {
            order
        };
        return match order {
            Some(Order::DayFirst) => day(year, b, a),
            Some(Order::MonthFirst) => day(year, a, b),
            None => Err(format!("{text:?} may be day or month first")),
        };
    }
    if let Some((year, month, of_month)) = numbered(text).or_else(|| named(text)) {
        return day(year, month, of_month);
    }
    Err(format!("{text:?} is no date"))
}

fn without_time(text: &str) -> &str {
    match text.rsplit_once([' ', 'T']) {
        Some((date, time)) if time.contains(':') => date.trim_end_matches([',', ' ']),
        _ => text,
    }
}

/// `A/B/YYYY` or `A-B-YYYY`.
fn slashed(text: &str) -> Option<(i8, i8, i16)> {
    let text = without_time(text.trim());
    let parts: Vec<&str> = text.split(['/', '-']).collect();
    match parts.as_slice() {
        [a, b, year] if a.len() <= 2 && b.len() <= 2 && year.len() == 4 => Some((a.parse().ok()?, b.parse().ok()?, year.parse().ok()?)),
        _ => None,
    }
}

/// `YYYY-MM-DD`, `YYYY/MM/DD`, `YYYY.MM.DD`, `DD.MM.YYYY`, `YYYYMMDD`.
fn numbered(text: &str) -> Option<(i16, i8, i8)> {
    if text.len() == 8 && text.bytes().all(|b| b.is_ascii_digit()) {
        return Some((text.get(..4)?.parse().ok()?, text.get(4..6)?.parse().ok()?, text.get(6..)?.parse().ok()?));
    }
    let parts: Vec<&str> = text.split(['-', '/', '.']).map(str::trim).collect();
    match parts.as_slice() {
        [year, month, day] if year.len() == 4 => Some((year.parse().ok()?, month.parse().ok()?, day.parse().ok()?)),
        [day, month, year] if year.len() == 4 && text.contains('.') => Some((year.parse().ok()?, month.parse().ok()?, day.parse().ok()?)),
        _ => None,
    }
}

/// `8 Nov 2026`, `8. November 2026`, `Nov 8, 2026`, `08-Nov-2026`.
fn named(text: &str) -> Option<(i16, i8, i8)> {
    const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
    let words: Vec<String> = text.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty()).map(str::to_lowercase).collect();
    let month_of = |word: &str| MONTHS.iter().position(|m| word.len() >= 3 && word.starts_with(m)).and_then(|i| i8::try_from(i + 1).ok());
    let day_of = |word: &str| word.trim_end_matches(|c: char| c.is_ascii_alphabetic()).parse::<i8>().ok();
    match words.as_slice() {
        [a, b, year] if year.len() == 4 => {
            let year = year.parse().ok()?;
            match (month_of(a), month_of(b)) {
                (Some(month), None) => Some((year, month, day_of(b)?)),
                (None, Some(month)) => Some((year, month, day_of(a)?)),
                _ => None,
            }
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-09T00:00:00Z.
    const NOVEMBER_9: i64 = 1_794_182_400;

    #[test]
    fn the_same_day_in_every_dress() {
        for text in [
            "2026-11-08",
            "2026/11/08",
            "2026-11-8",
            "20261108",
            "8.11.2026",
            "08.11.2026 17:00",
            "8 Nov 2026",
            "Nov 8, 2026",
            "8. November 2026",
            "08-Nov-2026",
            "November 8th 2026",
        ] {
            assert_eq!(parse(text, None).unwrap().end(), Some(NOVEMBER_9), "{text}");
        }
        assert_eq!(parse("08/11/2026", Some(Order::DayFirst)).unwrap().end(), Some(NOVEMBER_9));
        assert_eq!(parse("11/08/2026", Some(Order::MonthFirst)).unwrap().end(), Some(NOVEMBER_9));
        for text in ["2026-11-09T00:00:00Z", "2026-11-09T01:00:00+01:00", "1794182400"] {
            assert_eq!(parse(text, None).unwrap().end(), Some(NOVEMBER_9), "{text}");
        }
    }

    #[test]
    fn a_column_decides_about_its_ambiguous_dates() {
        assert_eq!(order_of(["03/04/2026", "25/12/2026"].into_iter()), Some(Order::DayFirst));
        assert_eq!(order_of(["12/25/2026", ""].into_iter()), Some(Order::MonthFirst));
        assert_eq!(order_of(["12/25/2026", "25/12/2026"].into_iter()), None);
        assert!(parse("03/04/2026", None).unwrap_err().contains("may be day or month first"));
        assert!(is_ambiguous("03/04/2026") && !is_ambiguous("04/04/2026") && !is_ambiguous("13/04/2026"));
        for text in ["2026-02-30", "31.02.2026", "soon", "13/13/2026", "2026", "", "99999999", "Nov 2026"] {
            assert!(parse(text, Some(Order::DayFirst)).is_err(), "{text}");
        }
    }
}
