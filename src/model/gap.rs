//! Observations that could not be made.

use serde::{Deserialize, Serialize};

/// One observation that could not be made: data, never an empty list and never an aborted scan.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gap {
    /// Family that misses it, such as `accounts`.
    pub family: String,
    /// Dotted path below the family that can't be relied on, list indices left out
    /// (`users.shadow`); empty: the whole family.
    pub path: String,
    /// The item (its `subject` or name) that misses it; empty: every item of the path.
    pub subject: String,
    /// Stable kebab-case id, such as `permission-denied`. See [`reason`].
    pub reason: String,
    /// What happened, one sentence fragment that names file or socket.
    pub detail: String,
    /// What the operator can do, one imperative sentence; empty when nothing can be done.
    pub remedy: String,
}

/// The reasons a gap can have. A text may change, an id never.
pub mod reason {
    /// The process may not read it.
    pub const PERMISSION_DENIED: &str = "permission-denied";
    /// It needs the running kernel and a root folder is being read.
    pub const NEEDS_LIVE_KERNEL: &str = "needs-live-kernel";
    /// A limit on size, count or depth was reached.
    pub const LIMIT_REACHED: &str = "limit-reached";
    /// The bytes are not in the documented format.
    pub const MALFORMED: &str = "malformed";
    /// The format is known but not supported.
    pub const UNSUPPORTED: &str = "unsupported";
    /// The file that should be there is not.
    pub const MISSING: &str = "missing";
    /// Reading failed otherwise.
    pub const READ_FAILED: &str = "read-failed";
    /// The endpoint did not answer in time.
    pub const TIMEOUT: &str = "timeout";
    /// The endpoint could not be reached.
    pub const UNREACHABLE: &str = "unreachable";
    /// The code that gathers the family failed; a defect of assay.
    pub const INTERNAL: &str = "internal-error";
    /// The scan ended before it was read.
    pub const ABORTED: &str = "scan-aborted";
    /// Changes of its files could escape until the next scan; what was read holds.
    pub const DRIFT_BLIND: &str = "drift-blind";
    /// An exclusion list names it.
    pub const EXCLUDED: &str = "excluded";

    /// Every reason with its meaning, for the reference page.
    pub const ALL: &[(&str, &str)] = &[
        (PERMISSION_DENIED, "The process may not read it"),
        (NEEDS_LIVE_KERNEL, "It needs the running kernel and a root folder is being read"),
        (LIMIT_REACHED, "A limit on size, count or depth was reached"),
        (MALFORMED, "The bytes are not in the documented format"),
        (UNSUPPORTED, "The format is known but not supported"),
        (MISSING, "The file that should be there is not"),
        (READ_FAILED, "Reading failed otherwise"),
        (TIMEOUT, "The endpoint did not answer in time"),
        (UNREACHABLE, "The endpoint could not be reached"),
        (INTERNAL, "The code that gathers the family failed; a defect of assay"),
        (ABORTED, "The scan ended before it was read"),
        (DRIFT_BLIND, "Changes of its files could escape until the next scan; what was read holds"),
        (EXCLUDED, "An exclusion list names it"),
    ];
}

/// Most gaps kept of one scan; the last one then says how many more there were.
pub const MAX_GAPS: usize = 4096;

/// Gaps of one scan as they are found, bounded by [`MAX_GAPS`].
#[derive(Debug, Default)]
pub struct Gaps {
    items: Vec<Gap>,
    dropped: u64,
}

impl Gaps {
    /// An empty list.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one; beyond the limit it is only counted.
    pub fn add(&mut self, gap: Gap) {
        if self.items.len() < MAX_GAPS {
            self.items.push(gap);
        } else {
            self.dropped += 1;
        }
    }

    /// Shorthand for [`Gaps::add`].
    pub fn note(&mut self, family: &str, path: &str, subject: &str, reason: &str, detail: impl Into<String>, remedy: impl Into<String>) {
        self.add(Gap {
            family: family.into(),
            path: path.into(),
            subject: subject.into(),
            reason: reason.into(),
            detail: detail.into(),
            remedy: remedy.into(),
        });
    }

    /// All of `other`.
    pub fn extend(&mut self, other: impl IntoIterator<Item = Gap>) {
        for gap in other {
            self.add(gap);
        }
    }

    /// Sorted, without repetitions; an overflow becomes a gap over every family (`family` empty).
    pub fn into_sorted(mut self) -> Vec<Gap> {
        self.items.sort();
        self.items.dedup();
        if self.dropped > 0 {
            self.items.push(Gap {
                family: String::new(),
                path: String::new(),
                subject: String::new(),
                reason: reason::LIMIT_REACHED.into(),
                detail: format!("{} more gaps than the limit of {MAX_GAPS}", self.dropped),
                remedy: "Mend the gaps listed first and scan again.".into(),
            });
        }
        self.items
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overflow_is_counted_and_covers_every_family() {
        let mut gaps = Gaps::new();
        for i in 0..MAX_GAPS + 3 {
            gaps.note("f", "", &i.to_string(), reason::MISSING, "", "");
        }
        let gaps = gaps.into_sorted();
        assert_eq!(gaps.len(), MAX_GAPS + 1);
        let last = gaps.last().unwrap();
        assert_eq!((last.family.as_str(), last.detail.as_str()), ("", "3 more gaps than the limit of 4096"));
    }
}
