//! What a bundle is made from: plain values, loaded elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::ToSpan as _;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::ledger::{Kind, Verifier};
use crate::model::finding::{Severity, UnknownReason, Verdict};
use crate::model::ids::{Address, Digest, HostId, Salt};
use crate::model::report::{Cadence, ScanKind, ScanState};
use crate::records::scope::covers;
use crate::records::{Event, RecordType};
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
    /// Taken out by a person, Unix seconds.
    pub retired_at: Option<i64>,
    /// Why it was taken out; empty while it counts.
    pub retired_why: String,
    /// The host that took its place.
    pub replaced_by: Option<HostId>,
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

/// What the paper needs to know of an accepted report; the signed bytes come through [`Bulk`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportMeta {
    /// SHA-256 of the payload.
    pub digest: Digest,
    /// Who.
    pub host: HostId,
    /// Why it ran.
    pub kind: ScanKind,
    /// How far it got.
    pub state: ScanState,
    /// Window it names.
    pub window: Option<String>,
    /// Unix seconds, the host's clock.
    pub started: i64,
    /// Unix seconds, the host's clock.
    pub finished: i64,
    /// Unix seconds, the collector's clock.
    pub received: i64,
    /// Limits that stopped it.
    pub limits: Vec<String>,
}

/// The heavy parts of a bundle, asked for host by host and handed over one by one, so that memory does not grow with their number.
pub trait Bulk {
    /// Hands over the reports of a host in the order of [`Material::reports`]; gives back the addresses of the blobs they name.
    fn reports(&mut self, host: &HostId, take: &mut dyn FnMut(SignedReport) -> Result<(), String>) -> Result<BTreeSet<Address>, String>;
    /// Hands over those of the blobs that are still kept, by address.
    fn blobs(&mut self, host: &HostId, named: &BTreeSet<Address>, take: &mut dyn FnMut(PlainBlob) -> Result<(), String>) -> Result<(), String>;
}

/// One verdict over a span of time: the collector's own. Texts are shared: a fleet says the same thing many times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// Host.
    pub host: HostId,
    /// Rule id.
    pub rule: Arc<str>,
    /// What was judged; empty for the host as a whole.
    pub subject: Arc<str>,
    /// The answer.
    pub verdict: Verdict,
    /// How bad a failure is.
    pub severity: Severity,
    /// What was found.
    pub message: Arc<str>,
    /// Why it is unknown.
    pub reason: Option<Arc<UnknownReason>>,
    /// First seen so, Unix seconds.
    pub since: i64,
    /// No longer so from this time on.
    pub until: Option<i64>,
    /// Report that brought it.
    pub report: Digest,
}

/// An event of the records with its place in the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedEvent {
    /// SHA-256 of its canonical bytes: the reference of its leaf.
    pub digest: Digest,
    /// Canonical JSON.
    pub body: Vec<u8>,
    /// What it says.
    pub event: Event,
    /// Its leaf.
    pub proof: Proof,
}

/// Something that changed what is judged, by what, or by whom: from the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerEvent {
    /// Kind of the leaf.
    pub kind: Kind,
    /// When, Unix seconds.
    pub at: i64,
    /// The host it concerns.
    pub host: Option<HostId>,
    /// Text behind the entry, canonical JSON; `None` when it has none or was erased.
    pub body: Option<Vec<u8>>,
    /// SHA-256 that the entry refers to.
    pub reference: Digest,
    /// Its leaf.
    pub proof: Proof,
}

/// One version of a list that facts are judged against or that the population is compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListVersion {
    /// `roster`, `approvals`, `third-parties` or `inventory`.
    pub name: String,
    /// In force from this second on, Unix.
    pub since: i64,
    /// In force until this second, exclusive.
    pub until: Option<i64>,
    /// SHA-256 of the file.
    pub digest: Digest,
    /// Rows in it.
    pub rows: u64,
    /// The file; `None` when it was erased.
    pub bytes: Option<Vec<u8>>,
}

/// How samples are drawn.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sampling {
    /// What the auditor chose, up to 100 characters.
    pub seed: String,
    /// Items per control.
    pub size: u32,
}

/// Which part of the population the bundle is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scope {
    /// Names of hosts, `*` standing for any characters; empty: all hosts.
    pub hosts: Vec<String>,
}

impl Scope {
    /// Whether it names a host; case does not tell hosts apart.
    pub fn covers(&self, name: &str) -> bool {
        let name = name.to_lowercase();
        self.hosts.is_empty() || self.hosts.iter().any(|pattern| covers(&pattern.to_lowercase(), &name))
    }
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
    /// Whose servers these are, for the cover; may be empty.
    pub company: String,
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
    /// Which hosts were asked for.
    pub scope: Scope,
    /// Reports finished within [`Period::padded`] and within the checkpoint, by time and digest.
    pub reports: Vec<ReportMeta>,
    /// Blobs that these reports name and that are not kept any more.
    pub erased: u64,
    /// Reports of the period that the checkpoint does not cover yet.
    pub unsequenced: u64,
    /// Transitions that overlap the period; those that follow each other and differ in words alone are one.
    pub findings: Vec<Transition>,
    /// Spans of the rules about people who left ([`super::revocation::RULES`]) that overlap the period, in each of their words: a pass may
    /// say that a way in is still open within the limit.
    pub ways: Vec<Transition>,
    /// What the policy allows until every way in of a person who left is closed, seconds; `None`: it says nothing.
    pub revoke_limit: Option<i64>,
    /// After so many seconds without a word a host is silent.
    pub silent_after: i64,
    /// What may be recorded.
    pub record_types: Vec<RecordType>,
    /// Everything that was recorded up to the checkpoint, oldest first.
    pub records: Vec<RecordedEvent>,
    /// Files of the records, by digest; one that was erased is left out.
    pub files: BTreeMap<Digest, Vec<u8>>,
    /// Entries of the ledger within the period that are about no report and no record, by index.
    pub ledger: Vec<LedgerEvent>,
    /// Versions of the lists that were in force in the period, by name and time.
    pub lists: Vec<ListVersion>,
    /// How samples are drawn; `None`: none are.
    pub sampling: Option<Sampling>,
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
    fn a_scope_names_hosts_by_patterns() {
        let scope = |patterns: &[&str]| Scope { hosts: patterns.iter().map(|p| (*p).into()).collect() };
        assert!(Scope::default().covers("anything") && scope(&["db1", "WEB*"]).covers("web01.example.org"));
        assert!(!scope(&["web*"]).covers("xweb01") && !scope(&["a*a"]).covers("a") && !scope(&["web"]).covers("web01"));
        assert!(scope(&["*.example.org"]).covers("a.b.example.org") && scope(&["a*b*c"]).covers("aXbbXc"));
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
