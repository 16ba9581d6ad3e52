//! Actual privileged access against what was approved, in both directions; shared accounts.

use std::collections::{BTreeMap, BTreeSet};

use super::entry::State;
use super::people::Owners;
use super::{Approved, Entered, Join, OwnedKey, Privileged};
use crate::model::approvals::{Approval, Approvals};
use crate::model::fact::Source;

/// Most ways named for one access.
const WAYS_SHOWN: usize = 6;

/// Who: a person of the roster, or an account or key of nobody known.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Who {
    Person(usize),
    Other(String),
}

/// Details and the first place.
type Ways = (BTreeSet<String>, Source);

impl Join<'_> {
    /// Actual access, and the approvals of this host.
    pub(super) fn privileged_access(&self, approvals: Option<&Approvals>, host: &str) -> (Vec<Privileged>, Vec<Approved>) {
        let actual = self.actual();
        let file = approvals.map(|a| a.file.as_str()).unwrap_or_default();
        let listed: Vec<&Approval> = approvals.map(|a| a.items.iter().filter(|i| i.is_for(host)).collect()).unwrap_or_default();
        let means: Vec<Owners> = listed.iter().map(|a| self.people.named(&a.person)).collect();
        let speaks_of = |index: usize, who: &Who| match (who, means.get(index), listed.get(index)) {
            (Who::Person(person), Some(owners), _) => owners.contains_key(person),
            (Who::Other(name), _, Some(approval)) => approval.person.eq_ignore_ascii_case(name),
            _ => false,
        };
        let mut used = BTreeSet::new();
        let mut privileged = Vec::new();
        for ((who, access), (details, source)) in &actual {
            let matching: Vec<usize> = (0..listed.len()).filter(|i| speaks_of(*i, who) && listed.get(*i).is_some_and(|a| a.covers(access))).collect();
            used.extend(matching.iter().copied());
            let valid = matching.iter().filter_map(|i| listed.get(*i)).find(|a| !a.is_over(self.now));
            let expired = matching.first().and_then(|i| listed.get(*i));
            let (approved, line) = match (valid, expired) {
                (Some(approval), _) => ("yes", approval.line),
                (None, Some(approval)) => ("expired", approval.line),
                (None, None) => ("no", 0),
            };
            let (name, known) = match who {
                Who::Person(index) => (self.people.individuals.get(*index).map(|i| i.person.clone()).unwrap_or_default(), true),
                Who::Other(name) => (name.clone(), false),
            };
            let shown: Vec<&str> = details.iter().take(WAYS_SHOWN).map(String::as_str).collect();
            let more = details.len().saturating_sub(WAYS_SHOWN);
            privileged.push(Privileged {
                subject: format!("{name}: {access}"),
                who: name,
                known,
                access: access.clone(),
                detail: if more > 0 { format!("{} and {more} more", shown.join(", ")) } else { shown.join(", ") },
                approved: approved.into(),
                approval_line: line,
                source: source.clone(),
            });
        }
        privileged.sort_by(|a, b| a.subject.cmp(&b.subject));
        let approvals = listed.iter().enumerate().map(|(index, approval)| self.standing(approval, means.get(index), used.contains(&index), file)).collect();
        (privileged, approvals)
    }

    fn standing(&self, approval: &Approval, means: Option<&Owners>, used: bool, file: &str) -> Approved {
        let left = means.is_some_and(|owners| !owners.is_empty() && owners.keys().all(|index| !self.people.is_current(*index)));
        let state = match (approval.is_over(self.now), left, used) {
            (true, ..) => "expired",
            (false, true, _) => "left",
            (false, false, true) => "used",
            (false, false, false) => "unused",
        };
        Approved {
            subject: format!("{}: {}", approval.person, approval.access.join("+")),
            approver: approval.approver.clone(),
            expires_at: approval.expires_at,
            state: state.into(),
            source: Source::line(file, approval.line as usize, "approval"),
        }
    }

    /// (who, access) -> how. An account that nobody gets into gives nobody anything.
    fn actual(&self) -> BTreeMap<(Who, String), Ways> {
        let mut out: BTreeMap<(Who, String), Ways> = BTreeMap::new();
        for (index, account) in self.facts.accounts.iter().enumerate() {
            let entrances = self.entrances(index);
            let mut rights: Vec<(String, String, Source)> = Vec::new();
            if account.uid == 0 {
                rights.push(("root".into(), format!("account {} has UID 0", account.name), account.source.clone()));
            }
            for privilege in self.facts.privileges(account, self.now).into_iter().filter(|p| p.over.is_none() && p.effective) {
                rights.push((privilege.access, privilege.detail, privilege.source));
            }
            for (person, name) in self.certified(index) {
                for (access, detail, source) in &rights {
                    let ways = out.entry((Who::Person(person), access.clone())).or_insert_with(|| (BTreeSet::new(), source.clone()));
                    ways.0.insert(format!("{detail}, certificate for {name}"));
                }
            }
            for (key, entrance) in &entrances {
                for who in self.users_of(index, *key, &account.name) {
                    for (access, detail, source) in &rights {
                        let ways = out.entry((who.clone(), access.clone())).or_insert_with(|| (BTreeSet::new(), source.clone()));
                        ways.0.insert(if key.is_some() || account.uid == 0 { format!("{detail}, {entrance}") } else { detail.clone() });
                    }
                }
            }
        }
        out
    }

    /// People whom a certificate lets into an account, and the name in it.
    fn certified(&self, account: usize) -> impl Iterator<Item = (usize, &str)> {
        let open = self.certificates.iter().filter(move |c| c.account == account && matches!(c.state, State::Open(_)));
        open.flat_map(|c| c.owners.keys().map(|person| (*person, c.name.as_str())))
    }

    /// Who comes in by a key, or by the password.
    fn users_of(&self, account: usize, key: Option<usize>, name: &str) -> Vec<Who> {
        let of_key = key.and_then(|k| self.key_owners.get(k)).filter(|owners| !owners.is_empty());
        let owners = of_key.or_else(|| self.account_owners.get(account)).filter(|owners| !owners.is_empty());
        match owners {
            Some(owners) => owners.keys().map(|person| Who::Person(*person)).collect(),
            None => vec![Who::Other(name.to_string())],
        }
    }

    /// Accounts that somebody gets into, and who they are.
    pub(super) fn entered_accounts(&self) -> Vec<Entered> {
        let mut out: BTreeMap<&str, Entered> = BTreeMap::new();
        for (index, account) in self.facts.accounts.iter().enumerate() {
            let (mut people, mut unmatched) = (BTreeSet::new(), Vec::new());
            for (key, entrance) in self.entrances(index) {
                for who in self.users_of(index, key, &account.name) {
                    match who {
                        Who::Person(person) => people.extend(self.people.individuals.get(person).map(|i| i.person.clone())),
                        Who::Other(_) => unmatched.push(entrance.clone()),
                    }
                }
            }
            people.extend(self.certified(index).filter_map(|(person, _)| self.people.individuals.get(person)).map(|i| i.person.clone()));
            if people.is_empty() && unmatched.is_empty() {
                continue;
            }
            unmatched.truncate(WAYS_SHOWN);
            let entered = Entered {
                subject: account.name.clone(),
                people: people.into_iter().collect(),
                unmatched: unmatched.join(", "),
                source: account.source.clone(),
            };
            out.entry(&account.name).or_insert(entered);
        }
        out.into_values().collect()
    }

    /// Keys and accounts that both belong to somebody known.
    pub(super) fn owned_keys(&self) -> Vec<OwnedKey> {
        let mut out = Vec::new();
        let names = |owners: &Owners| owners.keys().filter_map(|i| self.people.individuals.get(*i)).map(|i| i.person.clone()).collect::<Vec<_>>().join(", ");
        for (index, key) in self.facts.keys.iter().enumerate() {
            let Some(account) = self.account_by_name.get(key.account.as_str()) else { continue };
            let (Some(of_account), Some(of_key)) = (self.account_owners.get(*account), self.key_owners.get(index)) else { continue };
            if of_account.is_empty() || of_key.is_empty() {
                continue;
            }
            out.push(OwnedKey {
                subject: format!("{}: {}:{}", key.account, key.path, key.line),
                account_of: names(of_account),
                key_of: names(of_key),
                same: of_key.keys().any(|person| of_account.contains_key(person)),
                source: key.source.clone(),
            });
        }
        out.sort_by(|a, b| a.subject.cmp(&b.subject));
        out
    }
}
