//! How soon after one drift scan the next may follow: at once for the first change, ever later
//! under constant change, each family by itself, so that a noisy one does not delay the others.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Shortest pause after a drift scan of a family.
const SHORTEST: Duration = Duration::from_secs(2);
/// Longest: a file that changes all the time is read as often as the host sends heartbeats.
const LONGEST: Duration = Duration::from_secs(15 * 60);
/// A family that was quiet for so many pauses begins anew.
const FORGIVEN_AFTER: u32 = 4;

/// When which family may be scanned.
#[derive(Debug, Default)]
pub struct Pace {
    scanned: BTreeMap<String, Scanned>,
}

#[derive(Clone, Copy, Debug)]
struct Scanned {
    at: Instant,
    pause: Duration,
}

impl Pace {
    /// When a change of the family that was seen at `now` may be scanned.
    pub fn next(&self, family: &str, now: Instant) -> Instant {
        self.scanned.get(family).map_or(now, |s| s.at + s.pause)
    }

    /// A drift scan for a change of this family ended.
    pub fn scanned(&mut self, family: &str, now: Instant) {
        let pause = match self.scanned.get(family) {
            Some(last) if now < last.at + last.pause * FORGIVEN_AFTER => (last.pause * 2).min(LONGEST),
            _ => SHORTEST,
        };
        self.scanned.insert(family.into(), Scanned { at: now, pause });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constant_change_is_read_ever_more_rarely_and_quiet_is_forgiven() {
        let mut pace = Pace::default();
        let start = Instant::now();
        let (mut now, mut scans) = (start, Vec::new());
        // A change every second for a day.
        while now < start + Duration::from_secs(86_400) {
            if pace.next("jobs", now) <= now {
                pace.scanned("jobs", now);
                scans.push(now - start);
            }
            now += Duration::from_secs(1);
        }
        assert!(scans.len() < 120, "{}", scans.len());
        assert_eq!(scans.get(..3).unwrap().iter().map(Duration::as_secs).collect::<Vec<_>>(), [0, 2, 6]);
        assert_eq!(pace.next("accounts", now), now, "another family does not wait");
        let quiet = now + LONGEST * FORGIVEN_AFTER;
        pace.scanned("jobs", quiet);
        assert_eq!(pace.next("jobs", quiet), quiet + SHORTEST);
    }
}
