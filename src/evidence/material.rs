//! What a bundle is made from: plain values, loaded elsewhere.

use jiff::ToSpan as _;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::ledger::Verifier;
use crate::model::finding::{Finding, Severity};
use crate::model::ids::{Address, Digest, HostId, Salt};
use crate::model::report::Cadence;
pub use crate::rules::framework::{Control, Framework, Mapping};

/// Longest period of one bundle, days.
pub const MAX_DAYS: i32 = 800;
/// Seconds of a day.
const DAY: i64 = 86_400;

/// Why two dates are not a period.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PeriodError {
    /// Not a date.
    #[error("date {0:?} must read YYYY-MM-DD")]
    Date(String),
    /// Wrong order.
    #[error("the period ends on {to}, before it begins on {from}")]
    Order {
        /// First day.
        from: Date,
        /// Last day.
        to: Date,
    },
    /// Beyond [`MAX_DAYS`].
    #[error("a period of {0} days is longer than {MAX_DAYS} days: export it in parts")]
    Long(i32),
}

/// Days in UTC, both inclusive. One day is a date (Type 1), more are a period (Type 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Period {
    /// First day.
    pub from: Date,
    /// Last day.
    pub to: Date,
}

impl Period {
    /// From two dates as people write them.
    pub fn parse(from: &str, to: &str) -> Result<Self, PeriodError> {
        let date = |text: &str| {
            // jiff reads more spellings than the one that is documented.
            let parsed: Option<Date> = if text.len() == 10 { text.parse().ok() } else { None };
            parsed.ok_or_else(|| PeriodError::Date(text.chars().take(40).collect()))
        };
        let (from, to) = (date(from)?, date(to)?);
        if to < from {
            return Err(PeriodError::Order { from, to });
        }
        let days = (to - from).get_days() + 1;
        if days > MAX_DAYS {
            return Err(PeriodError::Long(days));
        }
        Ok(Self { from, to })
    }

    /// First second, Unix.
    pub fn start(&self) -> i64 {
        day_start(self.from)
    }

    /// First second after it, Unix.
    pub fn end(&self) -> i64 {
        day_start(self.to).saturating_add(DAY)
    }

    /// Whether it is one day.
    pub fn is_date(&self) -> bool {
        self.from == self.to
    }

    /// The days that ISO weeks and months overlapping the period cover, as `[start, end)` Unix
    /// seconds: reports that fulfil a window at its edge may lie outside the period.
    pub fn padded(&self) -> (i64, i64) {
        let back = i64::from(self.from.weekday().to_monday_zero_offset()).max(i64::from(self.from.day()) - 1);
        let first = self.from.checked_sub(back.days()).unwrap_or(self.from);
        let forward = (6 - i64::from(self.to.weekday().to_monday_zero_offset())).max(i64::from(self.to.days_in_month()) - i64::from(self.to.day()));
        let last = self.to.checked_add(forward.days()).unwrap_or(self.to);
        (day_start(first), day_start(last).saturating_add(DAY))
    }
}

/// First second of a day in UTC, Unix.
pub fn day_start(date: Date) -> i64 {
    date.to_zoned(jiff::tz::TimeZone::UTC).map_or(0, |z| z.timestamp().as_second())
}

/// The day in UTC of a Unix time.
pub fn day_of(seconds: i64) -> Date {
    jiff::Timestamp::from_second(seconds).map_or(Date::ZERO, |t| t.to_zoned(jiff::tz::TimeZone::UTC).date())
}

/// What the bundle says of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Rule id.
    pub id: String,
    /// One line.
    pub title: String,
    /// How bad a failure is.
    pub severity: Severity,
    /// Why it matters.
    pub why: String,
    /// The vendor's own command that shows the same; may be empty.
    pub verify: String,
    /// In which scans it is judged at the least.
    pub cadence: Cadence,
}

/// A leaf with its place in the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proof {
    /// Index of the leaf, from 0.
    pub index: u64,
    /// Canonical JSON of the leaf.
    pub leaf: String,
    /// Inclusion proof for the bundle's checkpoint, leaf side first.
    pub proof: Vec<Digest>,
}

/// One enrolled host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Its key.
    pub id: HostId,
    /// Name it gave.
    pub name: String,
    /// SubjectPublicKeyInfo, DER.
    pub public_key: Vec<u8>,
    /// Salt of its blob addresses.
    pub salt: Salt,
    /// Name of the operating system; may be empty.
    pub os: String,
    /// Unix seconds.
    pub enrolled_at: i64,
    /// Last heartbeat or report, Unix seconds.
    pub seen_at: Option<i64>,
    /// Taken out by a person.
    pub retired: bool,
    /// Leaf of its enrolment; `None` when the ledger holds none.
    pub enrolment: Option<Proof>,
}

/// One accepted report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedReport {
    /// The envelope, canonical JSON.
    pub envelope: Vec<u8>,
    /// Unix seconds, the collector's clock.
    pub received: i64,
    /// Its leaf.
    pub proof: Proof,
}

/// One verdict over a span of time: the collector's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// Host.
    pub host: HostId,
    /// The verdict.
    pub finding: Finding,
    /// First seen so, Unix seconds.
    pub since: i64,
    /// No longer so from this time on.
    pub until: Option<i64>,
    /// Report that brought it.
    pub report: Digest,
}

/// One blob, plain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlainBlob {
    /// Whose.
    pub host: HostId,
    /// Its address there.
    pub address: Address,
    /// Canonical JSON.
    pub plain: Vec<u8>,
}

/// Everything a bundle is made from.
#[derive(Clone, Debug)]
pub struct Material {
    /// What it is judged against.
    pub framework: Framework,
    /// Rules of the pack that the framework names.
    pub rules: Vec<Rule>,
    /// SHA-256 of the pack.
    pub pack: Digest,
    /// Which days.
    pub period: Period,
    /// The day of the export: windows that end later are still open.
    pub as_of: Date,
    /// Hosts enrolled before the end of the period.
    pub hosts: Vec<Host>,
    /// Reports finished within [`Period::padded`] and within the checkpoint.
    pub reports: Vec<SignedReport>,
    /// Reports of the period that the checkpoint does not cover yet.
    pub unsequenced: u64,
    /// Transitions that overlap the period.
    pub findings: Vec<Transition>,
    /// Blobs of the reports; one that is erased is left out.
    pub blobs: Vec<PlainBlob>,
    /// Ledger key and name.
    pub verifier: Verifier,
    /// Signed checkpoint the bundle is fixed to.
    pub checkpoint: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_is_whole_days_in_order() {
        let period = Period::parse("2026-11-01", "2026-11-30").unwrap();
        assert_eq!((period.start(), period.end()), (1_793_491_200, 1_796_083_200));
        assert!(!period.is_date());
        assert!(Period::parse("2026-11-30", "2026-11-30").unwrap().is_date());
        assert!(matches!(Period::parse("2026-11-30", "2026-11-01"), Err(PeriodError::Order { .. })));
        assert!(matches!(Period::parse("2020-01-01", "2026-11-01"), Err(PeriodError::Long(_))));
        for bad in ["", "2026-1-1", "01.11.2026", "2026-02-30", "20261101", "2026-11-01T00:00"] {
            assert!(matches!(Period::parse(bad, "2026-11-30"), Err(PeriodError::Date(_))), "{bad}");
        }
    }

    #[test]
    fn padding_reaches_the_edges_of_weeks_and_months() {
        // Sunday 1 November to Monday 30 November 2026: weeks W44 to W49.
        let period = Period::parse("2026-11-01", "2026-11-30").unwrap();
        assert_eq!(period.padded(), (day_start(jiff::civil::date(2026, 10, 26)), day_start(jiff::civil::date(2026, 12, 7))));
        let day = Period::parse("2026-11-18", "2026-11-18").unwrap();
        assert_eq!(day.padded(), (day_start(jiff::civil::date(2026, 11, 1)), day_start(jiff::civil::date(2026, 12, 1))));
    }
}
