//! Values as people read them, the same in every format.

/// A Unix time in UTC, to the second; the bare number beyond the calendar.
pub fn time(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).map_or_else(|_| seconds.to_string(), |t| t.strftime("%Y-%m-%d %H:%M:%S UTC").to_string())
}

/// A Unix time in UTC, to the minute, for tables that say so; the bare number beyond the calendar.
pub fn minute(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).map_or_else(|_| seconds.to_string(), |t| t.strftime("%Y-%m-%d %H:%M").to_string())
}

/// The day of a Unix time, UTC.
pub fn day(seconds: i64) -> String {
    super::material::day_of(seconds).to_string()
}

/// A Unix time or nothing.
pub fn time_or(seconds: Option<i64>, otherwise: &str) -> String {
    seconds.map_or_else(|| otherwise.to_string(), time)
}

/// Seconds as days with one decimal, rounded down: `9.0`.
pub fn days(seconds: i64) -> String {
    format!("{}.{}", seconds / 86_400, (seconds % 86_400).abs() / 8_640)
}

/// Seconds as people say them: `9 days`, `5 hours`.
pub fn span(seconds: i64) -> String {
    let of = |unit: i64, one: &str, many: &str| count(usize::try_from(seconds / unit).unwrap_or_default(), one, many);
    match seconds {
        172_800.. => of(86_400, "day", "days"),
        7_200.. => of(3_600, "hour", "hours"),
        _ => of(60, "minute", "minutes"),
    }
}

/// Host text made harmless for display: control characters and the characters that reorder text
/// (Unicode bidirectional controls) become U+FFFD.
pub fn visible(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') { '\u{fffd}' } else { c })
        .collect()
}

/// `1 host`, `2 hosts`.
pub fn count(n: usize, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_told_in_their_own_unit() {
        assert_eq!(
            ([0, 60, 7_199, 7_200, 172_799, 172_800, 864_000].map(span)).join(", "),
            "0 minutes, 1 minute, 119 minutes, 2 hours, 47 hours, 2 days, 10 days"
        );
        assert_eq!([0, 86_399, 86_400, 129_600, 777_604].map(days), ["0.0", "0.9", "1.0", "1.5", "9.0"]);
    }

    #[test]
    fn times_are_utc_and_controls_are_seen() {
        assert_eq!(time(1_795_000_000), "2026-11-18 11:06:40 UTC");
        assert_eq!(minute(1_795_000_000), "2026-11-18 11:06");
        assert_eq!(time(i64::MAX), i64::MAX.to_string());
        assert_eq!(visible("a\u{1b}[31m\u{202e}b\n"), "a\u{fffd}[31m\u{fffd}b\u{fffd}");
    }
}
