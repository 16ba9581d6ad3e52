//! Dates and times in names: `db-2026-11-27_02-00-01.sql.gz`, `20261127T020001Z`, `2026-11-27`, `1795744801`.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{Offset, TimeZone};

/// Unix seconds that a name of ten digits can mean: 2001 to 2065.
const SECONDS: std::ops::RangeInclusive<i64> = 1_000_000_000..=3_000_000_000;

/// What a name says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Named {
    /// Unix seconds; the start of the day when only that is named.
    pub at: i64,
    /// Whether only the day is named.
    pub day_only: bool,
    /// Bytes of the name that say it.
    pub from: usize,
    /// End of them.
    pub until: usize,
}

/// The first date or moment in a name, read in this zone.
pub fn in_name(name: &str, zone: &TimeZone) -> Option<Named> {
    let bytes = name.as_bytes();
    let mut at = 0;
    let mut seconds = None;
    while at < bytes.len() {
        let length = digits(bytes, at);
        if length == 0 {
            at += 1;
            continue;
        }
        if let Some(found) = date_at(bytes, at, length).and_then(|(date, end)| moment(bytes, date, at, end, zone)) {
            return Some(found);
        }
        if length == 10 && seconds.is_none() {
            let value = number(bytes, at, 10).filter(|n| SECONDS.contains(n));
            seconds = value.map(|value| Named { at: value, day_only: false, from: at, until: at + 10 });
        }
        at += length;
    }
    seconds
}

/// The name with its date, and every other digit, taken out: the same for all runs of one job.
pub fn shape(name: &str, zone: &TimeZone) -> String {
    let rest = match in_name(name, zone) {
        Some(named) => format!("{}*{}", name.get(..named.from).unwrap_or_default(), name.get(named.until..).unwrap_or_default()),
        None => name.to_string(),
    };
    rest.chars().map(|c| if c.is_ascii_digit() { '#' } else { c }).collect()
}

/// A date that begins at `at`, where a run of `length` digits does, and its end.
fn date_at(bytes: &[u8], at: usize, length: usize) -> Option<(Date, usize)> {
    let date = |year, month, day| Date::new(i16::try_from(year).ok()?, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok();
    let year = number(bytes, at, 4).filter(|y| (1990..2100).contains(y))?;
    if matches!(length, 8 | 12 | 14) {
        return Some((date(year, number(bytes, at + 4, 2)?, number(bytes, at + 6, 2)?)?, at + 8));
    }
    let between = bytes.get(at + 4).filter(|b| matches!(b, b'-' | b'_' | b'.'))?;
    let parted = length == 4 && digits(bytes, at + 5) == 2 && bytes.get(at + 7) == Some(between) && matches!(digits(bytes, at + 8), 2 | 6 | 8);
    parted.then(|| date(year, number(bytes, at + 5, 2)?, number(bytes, at + 8, 2)?).map(|d| (d, at + 10))).flatten()
}

/// The date with the time behind it, if there is one.
fn moment(bytes: &[u8], date: Date, from: usize, end: usize, zone: &TimeZone) -> Option<Named> {
    if let Some((time, until)) = time_at(bytes, end) {
        let (offset, until) = offset_at(bytes, until);
        let civil = DateTime::from_parts(date, time);
        let at = match offset {
            Some(offset) => offset.to_timestamp(civil).ok()?,
            None => civil.to_zoned(zone.clone()).ok()?.timestamp(),
        };
        return Some(Named { at: at.as_second(), day_only: false, from, until });
    }
    Some(Named { at: date.to_zoned(zone.clone()).ok()?.timestamp().as_second(), day_only: true, from, until: end })
}

fn time_at(bytes: &[u8], end: usize) -> Option<(Time, usize)> {
    let time = |hour, minute, second| Time::new(i8::try_from(hour).ok()?, i8::try_from(minute).ok()?, i8::try_from(second).ok()?, 0).ok();
    let start = if digits(bytes, end) > 0 { end } else { (end..end + 4).find(|i| digits(bytes, *i) > 0)? };
    let gap = bytes.get(end..start)?;
    if !gap.iter().all(|b| matches!(b, b'T' | b't' | b'_' | b'-' | b' ' | b'.' | b'@')) {
        return None;
    }
    let pair = |i: usize| number(bytes, i, 2);
    match digits(bytes, start) {
        6 => Some((time(pair(start)?, pair(start + 2)?, pair(start + 4)?)?, start + 6)),
        4 => Some((time(pair(start)?, pair(start + 2)?, 0)?, start + 4)),
        2 => {
            let between = |i: usize| bytes.get(i).is_some_and(|b| matches!(b, b':' | b'-' | b'_' | b'.' | b'h'));
            if !between(start + 2) || digits(bytes, start + 3) != 2 {
                return None;
            }
            if between(start + 5) && digits(bytes, start + 6) == 2 {
                return Some((time(pair(start)?, pair(start + 3)?, pair(start + 6)?)?, start + 8));
            }
            Some((time(pair(start)?, pair(start + 3)?, 0)?, start + 5))
        }
        _ => None,
    }
}

/// `Z`, `+0100` or `+01:00`.
fn offset_at(bytes: &[u8], at: usize) -> (Option<Offset>, usize) {
    match bytes.get(at) {
        Some(b'Z') => (Some(Offset::UTC), at + 1),
        Some(b'+') => {
            let colon = usize::from(bytes.get(at + 3) == Some(&b':'));
            let parts = number(bytes, at + 1, 2).zip(number(bytes, at + 3 + colon, 2));
            let offset = parts.and_then(|(h, m)| Offset::from_seconds(i32::try_from(h * 3600 + m * 60).ok()?).ok());
            (offset, if offset.is_some() { at + 5 + colon } else { at })
        }
        _ => (None, at),
    }
}

fn digits(bytes: &[u8], at: usize) -> usize {
    bytes.get(at..).map_or(0, |rest| rest.iter().take_while(|b| b.is_ascii_digit()).count())
}

fn number(bytes: &[u8], at: usize, length: usize) -> Option<i64> {
    std::str::from_utf8(bytes.get(at..at + length)?).ok().filter(|t| t.bytes().all(|b| b.is_ascii_digit()))?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// date -u -d 2026-11-27T02:00:01 +%s
    const AT: i64 = 1_795_744_801;

    #[test]
    fn moments_in_every_dress() {
        for name in [
            "db-2026-11-27_02-00-01.sql.gz",
            "db_20261127T020001Z.tar",
            "20261127020001.dump",
            "2026-11-27 02:00:01",
            "autosnap_2026-11-27_02:00:01_daily",
            "duplicity-full.20261127T020001Z.vol1.difftar.gpg",
            "x-1795744801.tar",
            "2026.11.27-02.00.01",
            "20261127-020001",
            "2026-11-27T03:00:01+01:00",
        ] {
            let named = in_name(name, &TimeZone::UTC).unwrap();
            assert_eq!((named.at, named.day_only), (AT, false), "{name}");
        }
        assert_eq!(in_name("db-2026-11-27_0200.gz", &TimeZone::UTC).unwrap().at, AT - 1);
        let vienna = TimeZone::get("Europe/Vienna").unwrap();
        assert_eq!(in_name("db-2026-11-27_03-00-01.gz", &vienna).unwrap().at, AT);
    }

    #[test]
    fn days_alone_and_no_date() {
        for name in ["db-2026-11-27.sql", "20261127.tar", "2026-11-27-01.log", "a.2026-11-27.v2"] {
            let named = in_name(name, &TimeZone::UTC).unwrap();
            assert_eq!((named.at, named.day_only), (AT - 7201, true), "{name}");
        }
        for name in ["backup.tar", "v10.11.6", "000000010000000000000003", "2026-13-41", "12345678", "é20"] {
            assert_eq!(in_name(name, &TimeZone::UTC), None, "{name}");
        }
        assert_eq!(shape("db-2026-11-27_02-00-01.vol3.gz", &TimeZone::UTC), "db-*.vol#.gz");
    }

    #[test]
    fn any_name_is_read_without_a_panic() {
        let mut seed = 5_u64;
        let letters: Vec<char> = "0123456789-_:.TZ+ é2026".chars().collect();
        for _ in 0..20_000 {
            let name: String = (0..24)
                .map(|_| {
                    seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    letters[usize::try_from(seed >> 33).unwrap() % letters.len()]
                })
                .collect();
            let _ = (in_name(&name, &TimeZone::UTC), shape(&name, &TimeZone::UTC));
        }
    }
}
