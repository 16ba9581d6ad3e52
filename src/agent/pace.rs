//! When to speak to the collector: heartbeats, attempts after a failure, waits that it asks for.
//!
//! Pure. Every wait depends on the host's id, so that a fleet spreads by itself: over the heartbeat's
//! period in ordinary times, over a minute after a power cut, and over the back-off after an outage.

use std::time::Duration;

use crate::model::ids::{Digest, HostId};

/// A heartbeat that comes sooner than this part of the period after the last one is left out.
const TOO_SOON: u64 = 15;
/// Machines that booted less than this ago may have booted together, milliseconds.
const BOOTED_TOGETHER_MS: u64 = 5 * 60_000;
/// They speak for the first time within this.
const FIRST_SPREAD: Duration = Duration::from_secs(60);
/// First wait after a failure.
const BACKOFF_FIRST: Duration = Duration::from_secs(5);
/// Longest wait after repeated failures.
pub const BACKOFF_CAP: Duration = Duration::from_secs(15 * 60);
/// Longest wait that a collector may ask for.
pub const RETRY_AFTER_CAP: Duration = Duration::from_secs(60 * 60);

/// How long an agent that starts waits before it speaks: nothing on a machine that has been up for a
/// while, where somebody started it; up to a minute after a boot.
pub fn first_contact(host: &HostId, up_ms: u64) -> Duration {
    if up_ms >= BOOTED_TOGETHER_MS { Duration::ZERO } else { share(FIRST_SPREAD, host, "first contact") }
}

/// Time from `now` (Unix seconds) to the host's next heartbeat: each host has its own second of the
/// period.
pub fn until_heartbeat(host: &HostId, period: Duration, now: i64) -> Duration {
    let own = share(period, host, "heartbeat").as_secs();
    let period = period.as_secs().max(1);
    let past = u64::try_from(now.rem_euclid(i64::try_from(period).unwrap_or(1))).unwrap_or(0);
    let wait = (own + period - past) % period;
    Duration::from_secs(if wait < period.div_ceil(TOO_SOON) { wait + period } else { wait })
}

/// The wait before the next attempt after `failures` in a row: doubles up to [`BACKOFF_CAP`],
/// then between half and all of it, so that hosts don't come back together. What the collector asks
/// for (`Retry-After`) is honoured up to [`RETRY_AFTER_CAP`], and a quarter more at most, since not
/// every proxy spreads what it asks.
pub fn retry(host: &HostId, failures: u32, asked: Option<Duration>) -> Duration {
    let label = format!("attempt {failures}");
    match asked {
        Some(asked) => {
            let asked = asked.clamp(Duration::from_secs(1), RETRY_AFTER_CAP);
            asked + share(asked / 4, host, &label)
        }
        None => {
            let full = BACKOFF_FIRST.saturating_mul(1 << failures.saturating_sub(1).min(10)).min(BACKOFF_CAP);
            full / 2 + share(full / 2, host, &label)
        }
    }
}

/// A part of `whole` that depends on host and purpose alone, evenly spread over hosts.
pub fn share(whole: Duration, host: &HostId, purpose: &str) -> Duration {
    let digest = Digest::of(&[host.bytes().as_slice(), purpose.as_bytes()].concat());
    let [a, b, c, d, ..] = *digest.bytes();
    let nanoseconds = whole.as_nanos() * u128::from(u32::from_be_bytes([a, b, c, d])) / u128::from(u32::MAX);
    Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERIOD: Duration = Duration::from_secs(900);

    fn hosts() -> impl Iterator<Item = HostId> {
        (0..1000u32).map(|n| HostId::of_spki(&n.to_be_bytes()))
    }

    #[test]
    fn back_off_doubles_is_capped_and_spread() {
        for host in hosts() {
            for (failures, full) in [(1, 5), (2, 10), (3, 20), (8, 640), (9, 900), (40, 900), (u32::MAX, 900)] {
                let wait = retry(&host, failures, None);
                assert!((Duration::from_secs(full) / 2..=Duration::from_secs(full)).contains(&wait), "{failures}: {wait:?}");
            }
        }
        let waits: std::collections::BTreeSet<_> = hosts().map(|h| retry(&h, 9, None).as_secs()).collect();
        assert!(waits.len() > 300, "a thousand hosts come back in {} different seconds", waits.len());
    }

    #[test]
    fn what_a_collector_asks_is_honoured_within_an_hour() {
        for host in hosts().take(50) {
            for (asked, least, most) in [(0, 1, 2), (30, 30, 38), (3600, 3600, 4500), (1 << 40, 3600, 4500)] {
                let wait = retry(&host, 1, Some(Duration::from_secs(asked)));
                assert!(wait >= Duration::from_secs(least) && wait <= Duration::from_secs(most), "{asked}: {wait:?}");
            }
        }
    }

    #[test]
    fn heartbeats_and_first_words_are_spread_whenever_agents_start() {
        let now = 1_795_000_000;
        let mut seconds = vec![0u32; 960];
        for host in hosts() {
            let wait = until_heartbeat(&host, PERIOD, now).as_secs();
            seconds[usize::try_from(wait).unwrap()] += 1;
            let next = now + i64::try_from(wait).unwrap();
            let period = until_heartbeat(&host, PERIOD, next).as_secs();
            assert_eq!(period, 900, "every quarter of an hour");
        }
        assert!(seconds[..60].iter().all(|&n| n == 0) && seconds.iter().all(|&n| n < 12), "{seconds:?}");
        assert!(hosts().all(|h| first_contact(&h, 10 * 60_000).is_zero()));
        let first: Vec<_> = hosts().map(|h| first_contact(&h, 20_000)).collect();
        assert!(first.iter().all(|w| *w <= FIRST_SPREAD));
        assert!(first.iter().filter(|w| **w < FIRST_SPREAD / 2).count().abs_diff(500) < 100);
    }
}
