//! Values as people read them, the same in every format.

/// A Unix time in UTC, to the second; the bare number beyond the calendar.
pub fn time(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).map_or_else(|_| seconds.to_string(), |t| t.strftime("%Y-%m-%d %H:%M:%S UTC").to_string())
}

/// A Unix time or nothing.
pub fn time_or(seconds: Option<i64>, otherwise: &str) -> String {
    seconds.map_or_else(|| otherwise.to_string(), time)
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
    fn times_are_utc_and_controls_are_seen() {
        assert_eq!(time(1_795_000_000), "2026-11-18 11:06:40 UTC");
        assert_eq!(time(i64::MAX), i64::MAX.to_string());
        assert_eq!(visible("a\u{1b}[31m\u{202e}b\n"), "a\u{fffd}[31m\u{fffd}b\u{fffd}");
    }
}
