//! What the fields of a record hold: text, checked once when it is recorded, and read as moments where clocks run.

use super::kind::{Field, FieldType};

/// Longest line, characters.
pub const MAX_LINE: usize = 1_000;
/// Longest text, characters.
pub const MAX_TEXT: usize = 20_000;
/// Longest name of a person, group, site or thing, characters.
pub const MAX_SUBJECT: usize = 200;
/// Longest address, characters.
const MAX_LINK: usize = 2_000;
/// Seconds of a day.
pub const DAY: i64 = 86_400;

/// A value as it is kept, or why it is none: a clause that ends a sentence about the field.
pub fn checked(field: &Field, text: &str, files: &[&str]) -> Result<String, String> {
    let text = text.trim();
    match field.kind {
        FieldType::Line => line(text, MAX_LINE),
        FieldType::Person => line(text, MAX_SUBJECT),
        FieldType::Text => {
            let is_plain = |c: char| !c.is_control() || matches!(c, '\n' | '\t');
            let text = text.replace("\r\n", "\n");
            if !text.chars().all(is_plain) {
                return Err("holds control characters: remove them".into());
            }
            if text.chars().count() > MAX_TEXT { Err(format!("is longer than {MAX_TEXT} characters: attach it as a file")) } else { Ok(text) }
        }
        FieldType::Date => day(text).map(|_| text.to_string()).ok_or_else(|| format!("is no day: {text:?}; write YYYY-MM-DD")),
        FieldType::Time => second(text)
            .filter(|_| !text.contains('.'))
            .map(|_| text.to_string())
            .ok_or_else(|| format!("is no time: {text:?}; write it to the second with its offset, such as 2026-11-28T14:30:00+01:00")),
        FieldType::Number => text.parse::<i64>().map(|n| n.to_string()).map_err(|_| format!("is no whole number: {text:?}")),
        FieldType::Choice => {
            let is_known = field.values.iter().any(|v| v == text);
            if is_known { Ok(text.into()) } else { Err(format!("is none of {}: {text:?}", field.values.join(", "))) }
        }
        FieldType::Link => {
            let fits = text.len() <= MAX_LINK && text.len() > "https://".len() && text.starts_with("https://");
            if fits && !text.chars().any(|c| c.is_whitespace() || c.is_control() || matches!(c, '"' | '<' | '>' | '\\')) {
                Ok(text.into())
            } else {
                Err(format!("is no https: address of up to {MAX_LINK} characters"))
            }
        }
        FieldType::File if files.contains(&text) => Ok(text.into()),
        FieldType::File => Err(format!("names {text:?}, which is none of the files given along")),
    }
}

/// One line without control characters.
pub fn line(text: &str, most: usize) -> Result<String, String> {
    if text.chars().any(char::is_control) {
        return Err("must be one line without control characters".into());
    }
    if text.chars().count() > most { Err(format!("is longer than {most} characters")) } else { Ok(text.into()) }
}

/// A day `YYYY-MM-DD` from 1970 to 9998.
pub fn day(text: &str) -> Option<jiff::civil::Date> {
    let date: jiff::civil::Date = text.parse().ok()?;
    (text.len() == 10 && (1970..9999).contains(&date.year())).then_some(date)
}

/// Unix second of a time that names its offset.
fn second(text: &str) -> Option<i64> {
    let at = text.parse::<jiff::Timestamp>().ok()?.as_second();
    // 9999-01-01: sums of years stay within the calendar.
    (0..253_370_764_800).contains(&at).then_some(at)
}

/// A moment that a field names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// A day of UTC.
    Day(jiff::civil::Date),
    /// A Unix second.
    Second(i64),
}

impl Moment {
    /// Of a field's text; `None` when it holds none.
    pub fn of(kind: FieldType, text: &str) -> Option<Self> {
        match kind {
            FieldType::Date => day(text).map(Self::Day),
            FieldType::Time => second(text).map(Self::Second),
            _ => None,
        }
    }

    /// Its first second.
    pub fn start(self) -> i64 {
        match self {
            Self::Day(date) => midnight(date),
            Self::Second(at) => at,
        }
    }

    /// The first second that is not within so many days of it: a day counts to its end.
    pub fn after_days(self, days: u32) -> i64 {
        let whole = i64::from(days).saturating_mul(DAY);
        match self {
            Self::Day(date) => midnight(date).saturating_add(whole).saturating_add(DAY),
            Self::Second(at) => at.saturating_add(whole),
        }
    }

    /// The first second that is not within so many hours of it.
    pub fn after_hours(self, hours: u32) -> i64 {
        self.start().saturating_add(i64::from(hours) * 3_600)
    }

    /// The first second that is not within so many months of the calendar.
    pub fn after_months(self, months: u32) -> i64 {
        let later = |date: jiff::civil::Date| date.checked_add(jiff::Span::new().try_months(months).unwrap_or_default()).unwrap_or(date);
        match self {
            Self::Day(date) => midnight(later(date)).saturating_add(DAY),
            Self::Second(at) => {
                let date = day_of(at);
                midnight(later(date)).saturating_add(at.saturating_sub(midnight(date)))
            }
        }
    }
}

/// First second of a day of UTC.
pub fn midnight(date: jiff::civil::Date) -> i64 {
    date.to_zoned(jiff::tz::TimeZone::UTC).map_or(0, |z| z.timestamp().as_second())
}

/// The day of UTC that holds a second.
pub fn day_of(at: i64) -> jiff::civil::Date {
    jiff::Timestamp::from_second(at).map_or(jiff::civil::Date::ZERO, |t| t.to_zoned(jiff::tz::TimeZone::UTC).date())
}

/// A second as people read it: the day, and the time of day unless it is midnight.
pub fn written(at: i64) -> String {
    let form = if at.rem_euclid(DAY) == 0 { "%Y-%m-%d" } else { "%Y-%m-%d %H:%M UTC" };
    jiff::Timestamp::from_second(at).map_or_else(|_| at.to_string(), |t| t.strftime(form).to_string())
}

/// The last moment before `end` as people read it: of midnight, the day before.
pub fn until(end: i64) -> String {
    if end.rem_euclid(DAY) == 0 { written(end.saturating_sub(DAY)) } else { written(end) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(kind: FieldType, values: &[&str]) -> Field {
        Field { name: "f".into(), kind, required: false, values: values.iter().map(|v| (*v).into()).collect(), text: "t".into() }
    }

    #[test]
    fn values_are_kept_as_their_type_says_or_refused() {
        let good = [
            (FieldType::Line, " a b ", "a b"),
            (FieldType::Text, "a\r\nb\tc", "a\nb\tc"),
            (FieldType::Date, "2026-02-28", "2026-02-28"),
            (FieldType::Time, "2026-11-28T14:30:00+01:00", "2026-11-28T14:30:00+01:00"),
            (FieldType::Number, "007", "7"),
            (FieldType::Link, "https://example.org/a?b", "https://example.org/a?b"),
            (FieldType::File, "a.pdf", "a.pdf"),
        ];
        for (kind, text, kept) in good {
            assert_eq!(checked(&field(kind, &[]), text, &["a.pdf"]).as_deref(), Ok(kept));
        }
        let bad = [
            (FieldType::Line, "a\nb"),
            (FieldType::Text, "a\u{7}"),
            (FieldType::Date, "2026-02-30"),
            (FieldType::Date, "28.2.2026"),
            (FieldType::Date, "9999-01-01"),
            (FieldType::Date, "2026-02-28T00:00"),
            (FieldType::Time, "2026-11-28T14:30:00"),
            (FieldType::Time, "2026-11-28T14:30:00.5Z"),
            (FieldType::Number, "1.5"),
            (FieldType::Link, "http://example.org"),
            (FieldType::Link, "https://"),
            (FieldType::Link, "https://a\"b"),
            (FieldType::File, "b.pdf"),
        ];
        for (kind, text) in bad {
            assert!(checked(&field(kind, &[]), text, &["a.pdf"]).is_err(), "{text}");
        }
        assert!(checked(&field(FieldType::Line, &[]), &"x".repeat(MAX_LINE + 1), &[]).is_err());
        assert_eq!(checked(&field(FieldType::Choice, &["yes", "no"]), "yes", &[]), Ok("yes".into()));
        assert!(checked(&field(FieldType::Choice, &["yes", "no"]), "maybe", &[]).unwrap_err().starts_with("is none of yes, no"));
    }

    #[test]
    fn a_day_counts_to_its_end_and_months_are_those_of_the_calendar() {
        let day = |text| Moment::of(FieldType::Date, text).unwrap();
        let start = |text| day(text).start();
        assert_eq!(day("2026-11-01").after_days(7), start("2026-11-09"));
        assert_eq!(day("2026-11-01").after_days(0), start("2026-11-02"));
        assert_eq!(day("2026-01-31").after_months(1), start("2026-03-01"));
        assert_eq!(day("2026-11-30").after_months(3), start("2027-03-01"));
        let at = Moment::of(FieldType::Time, "2026-11-28T14:30:00+01:00").unwrap();
        assert_eq!(at.after_hours(72), start("2026-12-01") + 13 * 3600 + 1800);
        assert_eq!(at.after_months(1), start("2026-12-28") + 13 * 3600 + 1800);
        assert_eq!((written(start("2026-11-28")), until(start("2026-11-28"))), ("2026-11-28".into(), "2026-11-27".into()));
        assert_eq!(written(at.start()), "2026-11-28 13:30 UTC");
        assert_eq!(written(i64::MAX), i64::MAX.to_string());
    }
}
