//! The `access` family: every way in that the facts show, joined to the people of the roster.
//!
//! Derived, never gathered: a pure function of the observation, the roster and a time, so host and
//! collector come to the same answer.
//!
//! A way in is a password or a key that the machine would accept; sudo and privileged groups count
//! where one of these leads to the account. A locked password beside a living key is still a way
//! in; an expired account is none. Where a fact about sshd is missing, the way counts as open.

mod entry;
mod people;

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::fact::{Observation, Source};
use crate::model::gap::{Gap, reason};
use crate::model::roster::Roster;
use entry::{Account, Facts, Key, State};
use people::{By, Owners, People};

/// Name of the derived family in rules.
pub const NAME: &str = "access";

/// People joined to ways in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Access {
    /// One entry per person of the roster whose employment ended, by person.
    pub leavers: Vec<Leaver>,
    /// Accounts that can sign in and match nobody of the roster, sorted.
    #[schemars(extend("x-personal" = true))]
    pub unmatched_accounts: Vec<String>,
    /// People of the roster who match nothing on this host, sorted.
    #[schemars(extend("x-personal" = true))]
    pub unmatched_people: Vec<String>,
}

/// A person who left and what remains.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Leaver {
    /// The person, as in the roster.
    #[schemars(extend("x-personal" = true))]
    pub subject: String,
    /// First second after the last day, Unix seconds.
    pub ended_at: i64,
    /// Days since the last day, at `now`: 1 on the day after it.
    pub days_since_end: i64,
    /// Ways in that still work.
    pub open: Vec<Way>,
    /// Ways in that were closed and can still be seen (locked account, expired key).
    pub revoked: Vec<Way>,
    /// One sentence fragment that lists the open ways with their places.
    #[schemars(extend("x-personal" = true))]
    pub summary: String,
}

/// One way in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Way {
    /// `password`, `ssh-key`, `sudo`, `group`, `session`.
    pub kind: String,
    /// Account through which it works.
    #[schemars(extend("x-personal" = true))]
    pub account: String,
    /// What it is, such as `key in /home/deploy/.ssh/authorized_keys:3`.
    #[schemars(extend("x-personal" = true))]
    pub detail: String,
    /// How the person was recognised: `account`, `email`, `full name`, `key fingerprint`, `key comment`.
    pub matched_by: String,
    /// Where.
    pub source: Source,
}

/// JSON schema (draft 2020-12) of [`Access`].
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(Access).to_value()
}

/// [`derive_at`] the time the facts were gathered.
pub fn derive(observation: &Observation, roster: &Roster) -> (Option<Access>, Vec<Gap>) {
    derive_at(observation, roster, observation.gathered_at)
}

/// Joins at the time `now` (Unix seconds); `None` when the accounts were not observed. Gaps that
/// could hide a way in are handed on under the name `access`: those of accounts and keys. A
/// missing sudo rule hides none, because sudo counts only beside a way to sign in.
pub fn derive_at(observation: &Observation, roster: &Roster, now: i64) -> (Option<Access>, Vec<Gap>) {
    let mut gaps = hand_on(&observation.gaps);
    let facts = match Facts::read(observation) {
        Ok(facts) => facts,
        Err(detail) => {
            gaps.push(gap("", reason::MISSING, detail));
            return (None, gaps);
        }
    };
    if !observation.families.contains_key("ssh_keys") {
        gaps.push(gap("leavers", reason::MISSING, "ssh_keys was not gathered".into()));
    }
    let people = People::new(roster, now);
    let join = Join::new(&facts, &people, now);
    let mut leavers: Vec<Leaver> = people
        .individuals
        .iter()
        .enumerate()
        .filter_map(|(index, individual)| individual.ended_at.map(|ended_at| join.leaver(index, &individual.person, ended_at)))
        .collect();
    leavers.sort_by(|a, b| a.subject.cmp(&b.subject));
    let access = Access { leavers, unmatched_accounts: join.unmatched_accounts(), unmatched_people: join.unmatched_people() };
    gaps.sort();
    gaps.dedup();
    (Some(access), gaps)
}

fn gap(path: &str, reason: &str, detail: String) -> Gap {
    Gap { family: NAME.into(), path: path.into(), subject: String::new(), reason: reason.into(), detail, remedy: String::new() }
}

/// Paths of the accounts family that no way in rests on.
const HARMLESS: [&str; 4] = ["users.last_login_at", "users.last_login_from", "name_services", "login_defs"];

fn hand_on(gaps: &[Gap]) -> Vec<Gap> {
    let mut out = Vec::new();
    for old in gaps {
        let hides = match old.family.as_str() {
            "accounts" => !HARMLESS.contains(&old.path.as_str()),
            "ssh_keys" => true,
            _ => false,
        };
        if hides {
            let path = if old.path.is_empty() && old.family == "accounts" { "" } else { "leavers" };
            // An account that can't be read may hold anybody's key: every leaver is touched. A bad
            // line, which the system passes over, stands for itself.
            let subject = if old.reason == reason::MALFORMED { old.subject.clone() } else { String::new() };
            out.push(Gap { family: NAME.into(), path: path.into(), subject, ..old.clone() });
        }
    }
    out
}

/// Most ways named in a summary.
const SUMMARY_WAYS: usize = 12;
/// Seconds of a day.
const DAY: i64 = 86_400;

struct Join<'a> {
    facts: &'a Facts,
    people: &'a People,
    now: i64,
    /// By index of the account.
    account_owners: Vec<Owners>,
    /// By index of the key.
    key_owners: Vec<Owners>,
    account_by_name: BTreeMap<&'a str, usize>,
    keys_by_account: BTreeMap<&'a str, Vec<usize>>,
    accounts_by_person: BTreeMap<usize, Vec<usize>>,
    keys_by_person: BTreeMap<usize, Vec<usize>>,
}

impl<'a> Join<'a> {
    fn new(facts: &'a Facts, people: &'a People, now: i64) -> Self {
        let account_owners: Vec<Owners> = facts.accounts.iter().map(|a| people.of_account(&a.name, &a.full_name)).collect();
        let key_owners: Vec<Owners> = facts.keys.iter().map(|k| people.of_key(&k.fingerprint, &k.comment)).collect();
        let mut account_by_name = BTreeMap::new();
        for (index, account) in facts.accounts.iter().enumerate() {
            account_by_name.entry(account.name.as_str()).or_insert(index);
        }
        let mut keys_by_account: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (index, key) in facts.keys.iter().enumerate() {
            keys_by_account.entry(key.account.as_str()).or_default().push(index);
        }
        let accounts_by_person = turned(&account_owners);
        let keys_by_person = turned(&key_owners);
        Self { facts, people, now, account_owners, key_owners, account_by_name, keys_by_account, accounts_by_person, keys_by_person }
    }

    fn leaver(&self, index: usize, person: &str, ended_at: i64) -> Leaver {
        let mut found = Found::default();
        for account_index in self.accounts_by_person.get(&index).into_iter().flatten() {
            let Some((account, by)) = self.facts.accounts.get(*account_index).zip(self.account_owners.get(*account_index).and_then(|o| o.get(&index))) else {
                continue;
            };
            found.own.insert(account.name.clone(), *by);
            self.password(account, *by, &mut found);
            for key_index in self.keys_by_account.get(account.name.as_str()).into_iter().flatten() {
                self.key(*key_index, index, Some(*by), &mut found);
            }
        }
        for key_index in self.keys_by_person.get(&index).into_iter().flatten() {
            self.key(*key_index, index, None, &mut found);
        }
        self.privileges(&mut found);
        let days_since_end = self.now.saturating_sub(ended_at).div_euclid(DAY).saturating_add(1);
        let (open, revoked): (Vec<Way>, Vec<Way>) = (found.open.into_iter().collect(), found.revoked.into_iter().collect());
        Leaver { subject: person.to_string(), ended_at, days_since_end, summary: summary(&open), open, revoked }
    }

    fn password(&self, account: &Account, by: By, found: &mut Found) {
        let way = |detail: String| Way {
            kind: "password".into(),
            account: account.name.clone(),
            detail,
            matched_by: by.word().into(),
            source: account.password.source.clone(),
        };
        let place = format!("{}:{}", account.password.source.place, account.password.source.line);
        match self.facts.password_state(account, self.now) {
            State::Open(note) => found.open(way(format!("password of {} in {place}{note}", account.name))),
            State::Closed(why) => found.revoked(way(format!("password of {} in {place}: {why}", account.name))),
            State::Unknown => {}
        }
    }

    /// `own`: how the person is the owner of the account that holds the key.
    fn key(&self, key_index: usize, person: usize, own: Option<By>, found: &mut Found) {
        let Some((key, owners)) = self.facts.keys.get(key_index).zip(self.key_owners.get(key_index)) else { return };
        let by = match (owners.get(&person), own) {
            (Some(by), _) => *by,
            // A colleague's key in the leaver's account lets the colleague in.
            (None, Some(_)) if owners.keys().any(|o| self.people.is_current(*o)) => return,
            (None, Some(by)) => by,
            (None, None) => return,
        };
        let Some(account) = self.account_by_name.get(key.account.as_str()).and_then(|i| self.facts.accounts.get(*i)) else { return };
        let way =
            |detail: String| Way { kind: "ssh-key".into(), account: key.account.clone(), detail, matched_by: by.word().into(), source: key.source.clone() };
        let place = format!("key in {}:{}", key.path, key.line);
        match self.facts.key_state(account, key, self.now) {
            State::Closed(why) => found.revoked(way(format!("{place}: {why}"))),
            State::Open(note) => found.open(way(format!("{place}{note}"))),
            State::Unknown => {}
        }
    }

    /// sudo and privileged groups of every account that the person gets into, and of the person's
    /// own closed accounts as revoked.
    fn privileges(&self, found: &mut Found) {
        let mut through: BTreeMap<String, (bool, String)> = BTreeMap::new();
        for (account, by) in &found.own {
            through.insert(account.clone(), (false, by.word().into()));
        }
        for way in &found.open {
            let word = through.get(&way.account).map_or_else(|| way.matched_by.clone(), |(_, word)| word.clone());
            through.insert(way.account.clone(), (true, word));
        }
        for (name, (open, word)) in through {
            let Some(account) = self.account_by_name.get(name.as_str()).and_then(|i| self.facts.accounts.get(*i)) else { continue };
            for (kind, detail, source, over) in self.facts.privileges(account, self.now) {
                let closed = if open { over } else { Some("the account is closed".to_string()) };
                let detail = closed.as_ref().map_or(detail.clone(), |why| format!("{detail}: {why}"));
                let way = Way { kind: kind.into(), account: name.clone(), detail, matched_by: word.clone(), source };
                if closed.is_none() { found.open(way) } else { found.revoked(way) }
            }
        }
    }

    fn unmatched_accounts(&self) -> Vec<String> {
        let mut out = BTreeSet::new();
        for (index, account) in self.facts.accounts.iter().enumerate() {
            let owned = self.account_owners.get(index).is_some_and(|o| !o.is_empty());
            let living_key = |k: &Key| matches!(self.facts.key_state(account, k, self.now), State::Open(_));
            let keys = self.keys_by_account.get(account.name.as_str()).into_iter().flatten().filter_map(|i| self.facts.keys.get(*i));
            if !owned && (matches!(self.facts.password_state(account, self.now), State::Open(_)) || keys.into_iter().any(living_key)) {
                out.insert(account.name.clone());
            }
        }
        out.into_iter().collect()
    }

    fn unmatched_people(&self) -> Vec<String> {
        let nowhere = |index: &usize| !self.accounts_by_person.contains_key(index) && !self.keys_by_person.contains_key(index);
        let mut out: Vec<String> = self.people.individuals.iter().enumerate().filter(|(index, _)| nowhere(index)).map(|(_, i)| i.person.clone()).collect();
        out.sort();
        out
    }
}

#[derive(Default)]
struct Found {
    own: BTreeMap<String, By>,
    open: BTreeSet<Way>,
    revoked: BTreeSet<Way>,
}

impl Found {
    fn open(&mut self, way: Way) {
        self.open.insert(way);
    }

    fn revoked(&mut self, way: Way) {
        self.revoked.insert(way);
    }
}

fn turned(owners: &[Owners]) -> BTreeMap<usize, Vec<usize>> {
    let mut out: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (index, owners) in owners.iter().enumerate() {
        for person in owners.keys() {
            out.entry(*person).or_default().push(index);
        }
    }
    out
}

/// Ways to sign in come before what they lead to.
fn summary(open: &[Way]) -> String {
    let rank = |w: &&Way| ["password", "ssh-key", "session", "sudo", "group"].iter().position(|k| *k == w.kind);
    let mut ordered: Vec<&Way> = open.iter().collect();
    ordered.sort_by_key(rank);
    let mut out = ordered.iter().take(SUMMARY_WAYS).map(|w| w.detail.as_str()).collect::<Vec<_>>().join(", ");
    if open.len() > SUMMARY_WAYS {
        out.push_str(&format!(" and {} more", open.len() - SUMMARY_WAYS));
    }
    out
}
