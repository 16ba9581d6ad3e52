//! What facts are judged against besides thresholds: lists that people keep, and that never go to a host.

use super::approvals::Approvals;
use super::roster::Roster;

/// The lists at hand; a rule that needs one that is missing is `unknown`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Against<'a> {
    /// Who works here and who left.
    pub roster: Option<&'a Roster>,
    /// Who may have which privileged access.
    pub approvals: Option<&'a Approvals>,
}

impl Against<'_> {
    /// Whether there is no list at all.
    pub const fn is_empty(&self) -> bool {
        self.roster.is_none() && self.approvals.is_none()
    }
}
