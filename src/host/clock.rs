//! The only place that reads clocks.

use std::time::{SystemTime, UNIX_EPOCH};

/// One moment on both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Wall clock, Unix seconds: may jump.
    pub wall: i64,
    /// CLOCK_BOOTTIME, milliseconds: never jumps, begins anew with each boot.
    pub boot_ms: u64,
}

/// This moment.
pub fn now() -> Moment {
    Moment { wall: unix_now(), boot_ms: boot_ms() }
}

/// Wall clock, Unix seconds.
#[expect(clippy::disallowed_methods, reason = "this is the one place")]
pub fn unix_now() -> i64 {
    let signed = |d: std::time::Duration| i64::try_from(d.as_secs()).unwrap_or(i64::MAX);
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(after) => signed(after),
        Err(before) => -signed(before.duration()),
    }
}

/// Unix seconds before which this program can't run: it was built later (see build.rs).
pub fn built_at() -> i64 {
    env!("ASSAY_BUILT_AT").parse().unwrap_or(0)
}

/// Wall clock that never goes below a time known to have passed: `floor` (Unix seconds) or the build.
pub fn floored(floor: i64) -> i64 {
    unix_now().max(floor).max(built_at())
}

/// CLOCK_BOOTTIME, milliseconds since boot, suspend included.
pub fn boot_ms() -> u64 {
    let t = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    u64::try_from(t.tv_sec).unwrap_or(0) * 1000 + u64::try_from(t.tv_nsec).unwrap_or(0) / 1_000_000
}

/// Processor time of the calling thread, milliseconds: a budget in it does not depend on what else
/// the machine does.
pub fn thread_cpu_ms() -> u64 {
    let t = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    u64::try_from(t.tv_sec).unwrap_or(0) * 1000 + u64::try_from(t.tv_nsec).unwrap_or(0) / 1_000_000
}
