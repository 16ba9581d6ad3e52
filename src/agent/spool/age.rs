//! How old a report is, although the wall clock may be wrong by years.
//!
//! Age is counted on a time of our own: while the agent runs it goes with CLOCK_BOOTTIME, which
//! never jumps; over a restart it goes with the wall clock, but at most by [`LONGEST_PAUSE`]; what
//! the collector says the time is corrects it. Too slow a time keeps reports longer than asked
//! for (the spool is bounded by bytes as well), too fast a one would drop them: so it errs towards
//! slow.

use serde::{Deserialize, Serialize};

use crate::host::clock::Moment;

/// Longest time that a machine is believed to have been off, seconds.
const LONGEST_PAUSE: i64 = 31 * 86_400;

/// Time as far as it can be relied on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Age {
    /// The time, Unix seconds.
    pub now: i64,
    /// What the wall clock said then, Unix seconds.
    pub wall: i64,
    /// CLOCK_BOOTTIME then, milliseconds.
    pub boot_ms: u64,
}

impl Age {
    /// The first look at the clock. `newest` is when the newest report in the spool was made: a
    /// state that was lost must not be the reason to drop it.
    pub fn begin(moment: Moment, newest: Option<i64>) -> Self {
        let most = newest.map_or(i64::MAX, |n| n.saturating_add(LONGEST_PAUSE));
        Self { now: moment.wall.min(most), wall: moment.wall, boot_ms: moment.boot_ms }
    }

    /// The first look after a restart of the agent or of the machine.
    #[must_use]
    pub fn resume(self, moment: Moment) -> Self {
        let by_wall = moment.wall.saturating_sub(self.wall);
        // Less than zero after a reboot: then nothing is known. Never more than what really passed.
        let by_boot = seconds_between(self.boot_ms, moment.boot_ms).max(0);
        let passed = if (0..=LONGEST_PAUSE).contains(&by_wall) { by_wall } else { by_boot };
        Self { now: self.now.saturating_add(passed), wall: moment.wall, boot_ms: moment.boot_ms }
    }

    /// A later look in the same life of the agent.
    #[must_use]
    pub fn tick(self, moment: Moment) -> Self {
        let passed = seconds_between(self.boot_ms, moment.boot_ms).max(0);
        // What is left of a second counts the next time.
        let boot_ms = self.boot_ms.saturating_add(passed.cast_unsigned().saturating_mul(1000));
        Self { now: self.now.saturating_add(passed), wall: moment.wall, boot_ms }
    }

    /// The collector said what time it is.
    #[must_use]
    pub const fn told(self, now: i64) -> Self {
        Self { now, ..self }
    }
}

fn seconds_between(from_ms: u64, to_ms: u64) -> i64 {
    let signed = |ms: u64| i64::try_from(ms / 1000).unwrap_or(i64::MAX);
    if to_ms >= from_ms { signed(to_ms - from_ms) } else { -signed(from_ms - to_ms) - 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_795_000_000;
    const DAY: i64 = 86_400;
    const YEAR: i64 = 365 * DAY;

    const fn moment(wall: i64, boot_s: u64) -> Moment {
        Moment { wall, boot_ms: boot_s * 1000 }
    }

    #[test]
    fn jumps_of_years_do_not_pass_time() {
        let age = Age::begin(moment(NOW, 1_000), None);
        for jump in [10 * YEAR, -10 * YEAR, -NOW, 40 * DAY] {
            let ticked = age.tick(moment(NOW + jump, 1_060));
            assert_eq!(ticked.now, NOW + 60, "running, {jump}");
            let resumed = age.resume(moment(NOW + jump, 1_060));
            assert_eq!(resumed.now, NOW + 60, "the agent restarted, {jump}");
            assert_eq!(resumed.resume(moment(NOW + jump + 60, 1_120)).now, NOW + 120, "and goes on, {jump}");
            assert_eq!(ticked.tick(moment(NOW + 120, 1_120)).now, NOW + 120, "and back, {jump}");
            assert_eq!(age.resume(moment(NOW + jump, 5)).now, NOW, "the machine restarted, {jump}");
        }
    }

    #[test]
    fn time_that_passed_counts() {
        let age = Age::begin(moment(NOW, 1_000), None);
        assert_eq!(age.resume(moment(NOW + 20 * DAY, 5)).now, NOW + 20 * DAY, "off for weeks");
        assert_eq!(age.tick(moment(NOW, 1_000 + 400 * 86_400)).now, NOW + 400 * DAY, "running for a year");
        let mut ticking = age;
        for half in 1..=7_200_u64 {
            ticking = ticking.tick(Moment { wall: NOW, boot_ms: 1_000_000 + half * 500 });
        }
        assert_eq!(ticking.now, NOW + 3_600, "half seconds add up");
        assert_eq!(age.told(NOW + YEAR).now, NOW + YEAR);
        assert_eq!(Age::begin(moment(NOW + 10 * YEAR, 5), Some(NOW)).now, NOW + LONGEST_PAUSE, "a lost state under a wrong clock");
    }
}
