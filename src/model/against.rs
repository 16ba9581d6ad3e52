//! What facts are judged against besides thresholds: lists that people keep, and that never go to a host.

use super::approvals::Approvals;
use super::roster::Roster;
use super::third_parties::ThirdParties;

/// The lists at hand; a rule that needs one that is missing is `unknown`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Against<'a> {
    /// Who works here and who left.
    pub roster: Option<&'a Roster>,
    /// Who may have which privileged access.
    pub approvals: Option<&'a Approvals>,
    /// To whom machines may send.
    pub third_parties: Option<&'a ThirdParties>,
}

impl Against<'_> {
    /// Whether there is no list of people at all.
    pub const fn is_empty(&self) -> bool {
        self.roster.is_none() && self.approvals.is_none()
    }
}
