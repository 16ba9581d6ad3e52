//! The `access` family: every way in that the facts show, joined to the people of the roster.
//!
//! Derived, never gathered: a pure function of the observation, the roster and a time, so host and
//! collector come to the same answer.
//!
//! A way in is a password or a key that the machine would accept; sudo and privileged groups count
//! where one of these leads to the account. A locked password beside a living key is still a way
//! in; an expired account is none. Where a fact about sshd is missing, the way counts as open.
//! What runs on without its owner counts too: sessions, processes, scheduled jobs, lingering.

mod entry;
mod people;
mod privileged;
mod traces;

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::against::Against;
use crate::model::fact::{Observation, Source};
use crate::model::gap::{Gap, reason};
use crate::model::roster::Roster;
use crate::model::schemas;
use entry::{Account, Facts, State};
use people::{By, Owners, People};

/// Name of the derived family in rules.
pub const NAME: &str = "access";

/// People joined to ways in, and what they may do to what was approved.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Access {
    /// One entry per person of the roster whose employment ended, by person.
    pub leavers: Vec<Leaver>,
    /// Database roles that carry the name of somebody who left, by subject.
    pub leaver_roles: Vec<LeaverRole>,
    /// Who can act with more than ordinary rights, and through what, by subject.
    pub privileged: Vec<Privileged>,
    /// Approvals that speak of this host, in file order.
    pub approvals: Vec<Approved>,
    /// Accounts that somebody gets into, by account.
    pub accounts: Vec<Entered>,
    /// Keys of known people in accounts of known people, by subject.
    pub keys: Vec<OwnedKey>,
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
    /// Whether anything on this host was recognised as theirs.
    pub matched: bool,
    /// Ways in that still work.
    pub open: Vec<Way>,
    /// Ways in that were closed and can still be seen (locked account, expired key).
    pub revoked: Vec<Way>,
    /// One sentence fragment that lists the open ways with their places.
    #[schemars(extend("x-personal" = true))]
    pub summary: String,
    /// One sentence fragment that lists what was closed, and how.
    #[schemars(extend("x-personal" = true))]
    pub revoked_summary: String,
}

/// One way in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Way {
    /// `password`, `ssh-key`, `ssh-certificate`, `session`, `processes`, `job`, `lingering`, `root`, `sudo`, `group`, `polkit`.
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

/// A database role of somebody who left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LeaverRole {
    /// Person and role, such as `m.keller: postgresql 5432 mkeller`.
    #[schemars(extend("x-personal" = true))]
    pub subject: String,
    /// Days since the last day, at `now`.
    pub days_since_end: i64,
    /// Whether the role can still sign in.
    pub open: bool,
    /// What it is, or why it is closed.
    #[schemars(extend("x-personal" = true))]
    pub detail: String,
    /// Where.
    pub source: Source,
}

/// One person, or an account or key of nobody known, with privileged access.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Privileged {
    /// Who and what, such as `m.keller: sudo`.
    #[schemars(extend("x-personal" = true))]
    pub subject: String,
    /// The person of the roster, else the account or key.
    #[schemars(extend("x-personal" = true))]
    pub who: String,
    /// Whether `who` is a person of the roster.
    pub known: bool,
    /// `root`, `sudo`, `polkit`, or the name of a privileged group.
    pub access: String,
    /// How, with places.
    #[schemars(extend("x-personal" = true))]
    pub detail: String,
    /// `yes`, `expired`, `no`.
    pub approved: String,
    /// Line of the list of approvals; 0 without one.
    pub approval_line: u32,
    /// Where the access is given.
    pub source: Source,
}

/// One approval as it stands on this host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Approved {
    /// Who and what, such as `m.keller: sudo`.
    #[schemars(extend("x-personal" = true))]
    pub subject: String,
    /// Who approved it.
    #[schemars(extend("x-personal" = true))]
    pub approver: String,
    /// First second after its last day, Unix seconds; `null` without an end.
    pub expires_at: Option<i64>,
    /// `used`: the access is there; `unused`: it is not; `expired`; `left`: the person's employment ended.
    pub state: String,
    /// Line of the list of approvals.
    pub source: Source,
}

/// An account that somebody gets into.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Entered {
    /// The account.
    #[schemars(extend("x-personal" = true))]
    pub subject: String,
    /// People of the roster who get in, sorted.
    #[schemars(extend("x-personal" = true))]
    pub people: Vec<String>,
    /// Ways in that belong to nobody of the roster, one sentence fragment; empty when there is none.
    #[schemars(extend("x-personal" = true))]
    pub unmatched: String,
    /// Where the account is.
    pub source: Source,
}

/// A key of a known person in an account of a known person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OwnedKey {
    /// Account and place, such as `a.berg: /home/a.berg/.ssh/authorized_keys:2`.
    #[schemars(extend("x-personal" = true))]
    pub subject: String,
    /// Whose account it is.
    #[schemars(extend("x-personal" = true))]
    pub account_of: String,
    /// Whose key it is.
    #[schemars(extend("x-personal" = true))]
    pub key_of: String,
    /// Whether key and account have an owner in common.
    pub same: bool,
    /// Where the key is.
    pub source: Source,
}

/// JSON schema (draft 2020-12) of [`Access`].
pub fn schema() -> serde_json::Value {
    schemas::of(NAME)
}

/// [`derive_at`] the time the facts were gathered.
pub fn derive(observation: &Observation, against: Against<'_>) -> (Option<Access>, Vec<Gap>) {
    derive_at(observation, against, observation.gathered_at)
}

/// Joins at the time `now` (Unix seconds); `None` when the accounts were not observed. Gaps that
/// could hide a way in are handed on under the name `access`.
pub fn derive_at(observation: &Observation, against: Against<'_>, now: i64) -> (Option<Access>, Vec<Gap>) {
    let mut gaps = hand_on(&observation.gaps);
    let facts = match Facts::read(observation) {
        Ok(facts) => facts,
        Err(detail) => {
            gaps.push(gap("", reason::MISSING, detail, ""));
            return (None, gaps);
        }
    };
    for (family, path) in NEEDED {
        if !observation.families.contains_key(*family) {
            gaps.push(gap(path, reason::MISSING, format!("{family} was not gathered"), ""));
        }
    }
    let nobody = Roster::default();
    let people = People::new(against.roster.unwrap_or(&nobody), now);
    if against.roster.is_none() {
        for path in OF_ROSTER {
            gaps.push(gap(path, reason::MISSING, "no roster of people was given".into(), "Give the roster as a CSV file with --roster FILE."));
        }
    }
    if against.approvals.is_none() {
        for path in ["privileged", "approvals"] {
            gaps.push(gap(path, reason::MISSING, "no list of approved access was given".into(), "Give it as a CSV file with --approvals FILE."));
        }
    }
    let join = Join::new(&facts, &people, now);
    let (privileged, approvals) = join.privileged_access(against.approvals, hostname(observation));
    let access = Access {
        leavers: join.leavers(),
        leaver_roles: join.leaver_roles(),
        privileged,
        approvals,
        accounts: join.entered_accounts(),
        keys: join.owned_keys(),
        unmatched_people: join.unmatched_people(),
    };
    gaps.sort();
    gaps.dedup();
    (Some(access), gaps)
}

/// Family -> what can't be told without it.
const NEEDED: &[(&str, &str)] =
    &[("ssh_keys", "leavers"), ("ssh_keys", "privileged"), ("sudo", "privileged"), ("jobs", "leavers"), ("databases", "leaver_roles")];
/// What rests on the roster.
const OF_ROSTER: [&str; 5] = ["leavers", "leaver_roles", "accounts", "keys", "unmatched_people"];

fn hostname(observation: &Observation) -> &str {
    observation.families.get("os").and_then(|os| os.get("hostname")).and_then(|name| name.as_str()).unwrap_or_default()
}

fn gap(path: &str, reason: &str, detail: String, remedy: &str) -> Gap {
    Gap { family: NAME.into(), path: path.into(), subject: String::new(), reason: reason.into(), detail, remedy: remedy.into() }
}

/// Paths of the accounts family that no way in rests on.
const HARMLESS: [&str; 4] = ["users.last_login_at", "users.last_login_from", "name_services", "login_defs"];

/// What a gap of another family hides here.
fn hidden(old: &Gap) -> &'static [&'static str] {
    match old.family.as_str() {
        "accounts" if HARMLESS.contains(&old.path.as_str()) => &[],
        // Names in certificates are judged one by one; what is not read has a gap of its own.
        "ssh_keys" if old.subject == "trustedusercakeys" => &[],
        "accounts" if old.path.is_empty() => &[""],
        "accounts" | "ssh_keys" => &["leavers", "privileged", "accounts", "keys"],
        "sudo" | "polkit" => &["privileged"],
        "jobs" => &["leavers"],
        // Nothing runs in a mounted root, so nothing of it is hidden.
        "sessions" if old.reason != reason::NEEDS_LIVE_KERNEL => &["leavers"],
        "databases" => &["leaver_roles"],
        _ => &[],
    }
}

fn hand_on(gaps: &[Gap]) -> Vec<Gap> {
    let mut out = Vec::new();
    for old in gaps {
        for path in hidden(old) {
            // An account that can't be read may hold anybody's key: every leaver is touched. A bad
            // line, which the system passes over, and a database stand for themselves.
            let alone = old.reason == reason::MALFORMED || old.family == "databases";
            let subject = if alone { old.subject.clone() } else { String::new() };
            out.push(Gap { family: NAME.into(), path: (*path).into(), subject, ..old.clone() });
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
    certificates: Vec<Certificate>,
}

/// A name that a certificate may carry to open an account, and whose it is.
struct Certificate {
    /// Index of the account.
    account: usize,
    name: String,
    source: Source,
    state: State,
    owners: Owners,
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
        let mut certificates = Vec::new();
        for (index, account) in facts.accounts.iter().enumerate() {
            let keys = keys_by_account.get(account.name.as_str()).into_iter().flatten().filter_map(|k| facts.keys.get(*k));
            for (name, source, state) in facts.certificates(account, keys, now) {
                let owners = if name == account.name { account_owners.get(index).cloned().unwrap_or_default() } else { people.of_account(&name, "") };
                if !owners.is_empty() {
                    certificates.push(Certificate { account: index, name, source, state, owners });
                }
            }
        }
        Self { facts, people, now, account_owners, key_owners, account_by_name, keys_by_account, accounts_by_person, keys_by_person, certificates }
    }

    fn leavers(&self) -> Vec<Leaver> {
        let individuals = self.people.individuals.iter().enumerate();
        let mut out: Vec<Leaver> = individuals.filter_map(|(index, one)| one.ended_at.map(|ended_at| self.leaver(index, &one.person, ended_at))).collect();
        out.sort_by(|a, b| a.subject.cmp(&b.subject));
        out
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
            self.traces(account, *by, &mut found);
        }
        for key_index in self.keys_by_person.get(&index).into_iter().flatten() {
            self.key(*key_index, index, None, &mut found);
        }
        for (certificate, by) in self.certificates.iter().filter_map(|c| c.owners.get(&index).map(|by| (c, by))) {
            self.certificate(certificate, *by, &mut found);
        }
        self.privileges(&mut found);
        let matched = self.is_matched(index);
        let days_since_end = self.days_since(ended_at);
        let (open, revoked): (Vec<Way>, Vec<Way>) = (found.open.into_iter().collect(), found.revoked.into_iter().collect());
        let (summary, revoked_summary) = (summary(&open), summary(&revoked));
        Leaver { subject: person.to_string(), ended_at, days_since_end, matched, summary, revoked_summary, open, revoked }
    }

    fn days_since(&self, ended_at: i64) -> i64 {
        self.now.saturating_sub(ended_at).div_euclid(DAY).saturating_add(1)
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

    fn certificate(&self, certificate: &Certificate, by: By, found: &mut Found) {
        let Some(account) = self.facts.accounts.get(certificate.account) else { return };
        let detail = format!("certificate for {} opens {} by {}", certificate.name, account.name, entry::place(&certificate.source));
        let way = |detail: String| Way {
            kind: "ssh-certificate".into(),
            account: account.name.clone(),
            detail,
            matched_by: by.word().into(),
            source: certificate.source.clone(),
        };
        match &certificate.state {
            State::Open(note) => found.open(way(format!("{detail}{note}"))),
            State::Closed(why) => found.revoked(way(format!("{detail}: {why}"))),
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
            if account.uid == 0 && open {
                let (detail, source) = (format!("root through account {}", account.name), account.source.clone());
                found.open(Way { kind: "root".into(), account: name.clone(), detail, matched_by: word.clone(), source });
            }
            for privilege in self.facts.privileges(account, self.now) {
                let closed = if open { privilege.over } else { Some("the account is closed".to_string()) };
                let detail = closed.as_ref().map_or(privilege.detail.clone(), |why| format!("{}: {why}", privilege.detail));
                let way = Way { kind: privilege.kind.into(), account: name.clone(), detail, matched_by: word.clone(), source: privilege.source };
                if closed.is_none() { found.open(way) } else { found.revoked(way) }
            }
        }
    }

    /// Whether and how somebody gets into the account: its open password and keys.
    fn entrances(&self, index: usize) -> Vec<(Option<usize>, String)> {
        let Some(account) = self.facts.accounts.get(index) else { return Vec::new() };
        let mut out = Vec::new();
        if let State::Open(note) = self.facts.password_state(account, self.now) {
            out.push((None, format!("password{note}")));
        }
        for key_index in self.keys_by_account.get(account.name.as_str()).into_iter().flatten() {
            let Some(key) = self.facts.keys.get(*key_index) else { continue };
            if let State::Open(note) = self.facts.key_state(account, key, self.now) {
                out.push((Some(*key_index), format!("key in {}:{}{note}", key.path, key.line)));
            }
        }
        out
    }

    fn is_matched(&self, person: usize) -> bool {
        let of_certificate = || self.certificates.iter().any(|c| c.owners.contains_key(&person));
        self.accounts_by_person.contains_key(&person) || self.keys_by_person.contains_key(&person) || of_certificate()
    }

    fn unmatched_people(&self) -> Vec<String> {
        let by_role = self.people_of_roles();
        let nowhere = |index: &usize| !self.is_matched(*index) && !by_role.contains(index);
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

/// Ways to sign in come before what runs and what they lead to.
fn summary(open: &[Way]) -> String {
    let rank = |w: &&Way| {
        ["password", "ssh-key", "ssh-certificate", "session", "processes", "job", "lingering", "root", "sudo", "group", "polkit"]
            .iter()
            .position(|k| *k == w.kind)
    };
    let mut ordered: Vec<&Way> = open.iter().collect();
    ordered.sort_by_key(rank);
    let mut out = ordered.iter().take(SUMMARY_WAYS).map(|w| w.detail.as_str()).collect::<Vec<_>>().join(", ");
    if open.len() > SUMMARY_WAYS {
        out.push_str(&format!(" and {} more", open.len() - SUMMARY_WAYS));
    }
    out
}
