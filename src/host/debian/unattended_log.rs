//! What unattended-upgrades wrote about its runs.

use std::io::{Read as _, Seek as _, SeekFrom};

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::host::{Host, ReadError};

const LOG: &str = "/var/log/unattended-upgrades/unattended-upgrades.log";
/// Bytes read from the end of the log: months of runs.
pub const TAIL_LIMIT: u64 = 256 << 10;
/// Largest time zone file.
const ZONE_LIMIT: usize = 64 << 10;
/// What the tool writes when a run ends well (in the language of the C locale, in which timers start it).
const SUCCESSES: &[&str] = &["All upgrades installed", "No packages found that can be upgraded unattended"];

/// When runs ended, Unix seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Newest good end.
    pub succeeded_at: Option<i64>,
    /// Newest error.
    pub failed_at: Option<i64>,
}

/// Reads the end of the log; nothing when there is none.
pub fn read(host: &Host) -> Result<Outcome, ReadError> {
    let mut file = match host.open_file(LOG) {
        Ok(file) => file,
        Err(e) if e.is_not_found() => return Ok(Outcome::default()),
        Err(e) => return Err(e),
    };
    let fail = |e: std::io::Error| ReadError::Io(LOG.into(), e.to_string());
    let size = file.seek(SeekFrom::End(0)).map_err(fail)?;
    file.seek(SeekFrom::Start(size.saturating_sub(TAIL_LIMIT))).map_err(fail)?;
    let mut bytes = Vec::new();
    file.take(TAIL_LIMIT).read_to_end(&mut bytes).map_err(fail)?;
    Ok(parse(&String::from_utf8_lossy(&bytes), &zone(host)))
}

/// The zone in which the log's times are written.
fn zone(host: &Host) -> TimeZone {
    host.read("/etc/localtime", ZONE_LIMIT).ok().and_then(|bytes| TimeZone::tzif("localtime", &bytes).ok()).unwrap_or(TimeZone::UTC)
}

fn parse(text: &str, zone: &TimeZone) -> Outcome {
    let mut out = Outcome::default();
    for line in text.lines() {
        let (Some(stamp), Some(rest)) = (line.get(..19), line.get(19..)) else {
            continue;
        };
        // `2026-05-17 06:33:42,123 INFO All upgrades installed`
        let Some((level, message)) = rest.split_once(' ').and_then(|(_, r)| r.split_once(' ')) else {
            continue;
        };
        let Some(at) = DateTime::strptime("%Y-%m-%d %H:%M:%S", stamp).ok().and_then(|t| t.to_zoned(zone.clone()).ok()) else {
            continue;
        };
        let at = Some(at.timestamp().as_second());
        match level {
            "ERROR" | "CRITICAL" => out.failed_at = out.failed_at.max(at),
            "INFO" if SUCCESSES.iter().any(|s| message.starts_with(s)) => out.succeeded_at = out.succeeded_at.max(at),
            _ => {}
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_end_of_each_kind_counts() {
        let text = "cut line\n2026-05-17 06:33:40,001 INFO Starting unattended upgrades script\n2026-05-17 06:33:42,123 INFO All upgrades installed\n\
                    2026-05-18 06:33:42,123 ERROR Installing the upgrades failed!\nTraceback\n2026-99-18 06:33:42,1 ERROR x\n\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\n";
        // date -u -d '2026-05-17 06:33:42' +%s
        let expected = Outcome { succeeded_at: Some(1_778_999_622), failed_at: Some(1_778_999_622 + 86_400) };
        assert_eq!(parse(text, &TimeZone::UTC), expected);
        assert_eq!(parse("", &TimeZone::UTC), Outcome::default());
    }
}
