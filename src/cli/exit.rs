//! Exit codes: documented, tested, the same in every subcommand.

use crate::model::finding::{Finding, Severity, Verdict};

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Everything asked for was done and nothing at or above `--fail-on` fails.
    Ok,
    /// Done, but something could not be told: an unknown verdict, a limit, a bundle that can't be checked in full.
    Incomplete,
    /// A finding of this severity, at or above `--fail-on`, fails.
    Failing(Severity),
}

/// An error: one sentence went to standard error.
pub const ERROR: u8 = 1;
/// Wrong arguments.
pub const USAGE: u8 = 2;

impl Exit {
    /// The process's exit code.
    pub const fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Incomplete => 3,
            Self::Failing(Severity::Info) => 10,
            Self::Failing(Severity::Low) => 11,
            Self::Failing(Severity::Medium) => 12,
            Self::Failing(Severity::High) => 13,
            Self::Failing(Severity::Critical) => 14,
        }
    }

    /// The one that says more.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        if other.code() > self.code() { other } else { self }
    }

    /// A finding at or above `fail_on` wins, else an unknown verdict or an incomplete scan.
    pub fn of(findings: &[Finding], complete: bool, fail_on: Option<Severity>) -> Self {
        let worst = findings.iter().filter(|f| f.verdict == Verdict::Fail).map(|f| f.severity).max();
        match (worst, fail_on) {
            (Some(worst), Some(limit)) if worst >= limit => Self::Failing(worst),
            _ if !complete || findings.iter().any(|f| f.verdict == Verdict::Unknown) => Self::Incomplete,
            _ => Self::Ok,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(verdict: Verdict, severity: Severity) -> Finding {
        Finding { rule: "r".into(), subject: String::new(), verdict, severity, message: String::new(), reason: None, citations: Vec::new() }
    }

    #[test]
    fn a_failure_wins_over_an_unknown_and_only_from_fail_on() {
        let both = [finding(Verdict::Fail, Severity::High), finding(Verdict::Unknown, Severity::Critical)];
        assert_eq!(Exit::of(&both, true, Some(Severity::High)).code(), 13);
        assert_eq!(Exit::of(&both, true, Some(Severity::Critical)).code(), 3);
        assert_eq!(Exit::of(&both[..1], true, None).code(), 0);
        assert_eq!(Exit::of(&[], false, None).code(), 3);
    }
}
