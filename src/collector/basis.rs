//! What facts are judged by: rules, thresholds, the lists that people keep, advisories. It changes while the collector runs; whoever judges
//! takes it whole, so that no verdict rests on two of them.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::advisory::Index;
use crate::model::against::Against;
use crate::model::approvals::Approvals;
use crate::model::canonical;
use crate::model::ids::Digest;
use crate::model::inventory::Inventory;
use crate::model::policy::Policy;
use crate::model::roster::Roster;
use crate::model::third_parties::ThirdParties;
use crate::rules::framework::Page;
use crate::rules::{Needs, Pack};

/// The digests of what is judged by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parts {
    /// Index of advisories; `None`: none.
    pub advisories: Option<Digest>,
    /// Approved access; `None`: no list.
    pub approvals: Option<Digest>,
    /// Thresholds.
    pub policy: Digest,
    /// Version of the program, which holds the engine.
    pub program: String,
    /// Roster; `None`: no list.
    pub roster: Option<Digest>,
    /// Pack of rules.
    pub rules: Digest,
    /// Declared third parties; `None`: no list.
    pub third_parties: Option<Digest>,
}

impl Parts {
    /// Names of what differs, in a fixed order.
    pub fn differing(&self, other: &Self) -> Vec<&'static str> {
        [
            ("rules", self.rules != other.rules),
            ("program", self.program != other.program),
            ("policy", self.policy != other.policy),
            ("roster", self.roster != other.roster),
            ("approvals", self.approvals != other.approvals),
            ("third-parties", self.third_parties != other.third_parties),
            ("advisories", self.advisories != other.advisories),
        ]
        .into_iter()
        .filter_map(|(name, differs)| differs.then_some(name))
        .collect()
    }

    /// The canonical bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        // Digests and a version always have a canonical form.
        canonical::to_bytes(self).unwrap_or_default()
    }
}

/// What facts are judged by at one time.
#[derive(Clone, Debug)]
pub struct Basis {
    /// Rules.
    pub pack: Arc<Pack>,
    /// What each of them needs of a report to be judged by it.
    pub needs: Arc<Needs>,
    /// Thresholds.
    pub policy: Arc<Policy>,
    /// Who works here; `None`: rules about leavers are unknown.
    pub roster: Option<Arc<Roster>>,
    /// Who may have which privileged access; `None`: rules about it are unknown.
    pub approvals: Option<Arc<Approvals>>,
    /// To whom machines may send; `None`: rules about it are unknown.
    pub third_parties: Option<Arc<ThirdParties>>,
    /// Hosts that are known elsewhere; no rule reads it.
    pub inventory: Option<Arc<Inventory>>,
    /// Published advisories; `None`: rules about them are unknown.
    pub advisories: Option<Arc<Index>>,
    /// The company's own pages of commitments; no rule reads them.
    pub pages: Arc<Vec<Page>>,
    /// The digests of all of it but the inventory and the pages.
    pub parts: Parts,
    /// SHA-256 of `parts`.
    pub digest: Digest,
}

impl Basis {
    /// Rules and thresholds alone.
    pub fn new(pack: Arc<Pack>, policy: Policy) -> Self {
        let parts = Parts {
            advisories: None,
            approvals: None,
            policy: policy.digest(),
            program: env!("CARGO_PKG_VERSION").into(),
            roster: None,
            rules: pack.digest(),
            third_parties: None,
        };
        let needs = Arc::new(pack.needs());
        let digest = Digest::of(&parts.to_bytes());
        Self {
            pack,
            needs,
            policy: Arc::new(policy),
            roster: None,
            approvals: None,
            third_parties: None,
            inventory: None,
            advisories: None,
            pages: Arc::default(),
            parts,
            digest,
        }
    }

    /// Whether another one has the same inventory and pages.
    pub fn is_whole_of(&self, other: &Self) -> bool {
        self.inventory.as_ref().map(Arc::as_ptr) == other.inventory.as_ref().map(Arc::as_ptr) && Arc::ptr_eq(&self.pages, &other.pages)
    }

    /// The lists that facts are judged against.
    pub fn against(&self) -> Against<'_> {
        Against { roster: self.roster.as_deref(), approvals: self.approvals.as_deref(), third_parties: self.third_parties.as_deref() }
    }

    /// Whether time alone can change what a rule says.
    pub fn is_moved_by_time(&self, rule: &str) -> bool {
        self.pack.rule(rule).is_some_and(|r| r.time_alone)
    }

    /// The same with thresholds of its own.
    #[must_use]
    pub fn with_policy(mut self, policy: Policy) -> Self {
        self.parts.policy = policy.digest();
        self.policy = Arc::new(policy);
        self.settled()
    }

    /// The same with an index of advisories.
    #[must_use]
    pub fn with_advisories(mut self, index: Option<Index>) -> Self {
        self.parts.advisories = index.as_ref().map(Index::digest);
        self.advisories = index.map(Arc::new);
        self.settled()
    }

    /// The same after `change`, which keeps `parts` true.
    #[must_use]
    pub fn changed(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self.settled()
    }

    fn settled(mut self) -> Self {
        self.digest = Digest::of(&self.parts.to_bytes());
        self
    }
}

/// The basis in force, shared by all who judge.
#[derive(Debug)]
pub struct InForce(watch::Sender<Arc<Basis>>);

impl InForce {
    /// Begins with one.
    pub fn new(basis: Basis) -> Self {
        Self(watch::Sender::new(Arc::new(basis)))
    }

    /// The one in force now.
    pub fn now(&self) -> Arc<Basis> {
        self.0.borrow().clone()
    }

    /// Puts another one into force.
    pub fn put(&self, basis: Basis) {
        self.0.send_replace(Arc::new(basis));
    }

    /// Tells of each that comes into force.
    pub fn follow(&self) -> watch::Receiver<Arc<Basis>> {
        self.0.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_named_and_the_inventory_judges_nothing() {
        let pack = Arc::new(Pack::builtin(crate::facts::schemas()).unwrap());
        let plain = Basis::new(pack, Policy::default());
        let strict = plain.clone().with_policy(Policy { leaver_limit_days: 0, ..Policy::default() });
        let listed = strict.clone().changed(|b| {
            b.roster = Some(Arc::default());
            b.parts.roster = Some(Digest::of(b"list"));
        });
        assert_eq!(plain.parts.differing(&listed.parts), ["policy", "roster"]);
        assert_ne!((plain.digest, strict.digest), (strict.digest, listed.digest));
        let known = plain.clone().changed(|b| b.inventory = Some(Arc::default()));
        assert_eq!(known.digest, plain.digest);
        let read: Parts = serde_json::from_slice(&plain.parts.to_bytes()).unwrap();
        assert_eq!(read, plain.parts);
    }
}
