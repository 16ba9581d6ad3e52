//! What somebody left running or waiting: sessions, processes, scheduled jobs, database roles.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::entry::{Account, expired, place};
use super::people::By;
use super::{Found, Join, LeaverRole, Way};
use crate::model::fact::Source;

/// Something that will run as an account.
#[derive(Debug, Deserialize)]
pub struct Job {
    kind: String,
    runs_as: String,
    #[serde(default)]
    owner: String,
    #[serde(default)]
    program: String,
    #[serde(default = "yes")]
    enabled: bool,
    source: Source,
}

/// An account whose services start without anybody signing in.
#[derive(Debug, Deserialize)]
pub struct Lingering {
    account: String,
    source: Source,
}

/// A session, or the processes of an account.
#[derive(Debug, Deserialize)]
pub struct Session {
    account: String,
    kind: String,
    #[serde(default)]
    tty: String,
    #[serde(default)]
    from: String,
    #[serde(default)]
    programs: Vec<String>,
    source: Source,
}

/// A database role.
#[derive(Debug, Deserialize)]
pub struct Role {
    subject: String,
    name: String,
    can_sign_in: bool,
    #[serde(default)]
    superuser: bool,
    #[serde(default)]
    valid_until: Option<i64>,
    source: Source,
}

const fn yes() -> bool {
    true
}

/// Programs named in one detail.
const PROGRAMS_SHOWN: usize = 3;

impl Join<'_> {
    /// Sessions, processes, jobs and lingering of an account that belongs to the leaver.
    pub(super) fn traces(&self, account: &Account, by: By, found: &mut Found) {
        let way = |kind: &str, detail: String, source: &Source| Way {
            kind: kind.into(),
            account: account.name.clone(),
            detail,
            matched_by: by.word().into(),
            source: source.clone(),
        };
        for session in self.facts.sessions.iter().filter(|s| s.account == account.name) {
            found.open(way(if session.kind == "session" { "session" } else { "processes" }, session.detail(), &session.source));
        }
        // pam_acct_mgmt(3): cron, at and the user manager start nothing for an expired account.
        let over = expired(account, self.now);
        for job in self.facts.jobs.iter().filter(|j| j.runs_as == account.name || j.owner == account.name) {
            let detail = job.detail();
            match (&over, job.enabled) {
                (_, false) => found.revoked(way("job", format!("{detail}: it is disabled"), &job.source)),
                (Some(why), true) if job.runs_as == account.name => found.revoked(way("job", format!("{detail}: {why}"), &job.source)),
                _ => found.open(way("job", detail, &job.source)),
            }
        }
        for lingering in self.facts.lingering.iter().filter(|l| l.account == account.name) {
            let detail = format!("lingering user manager by {}", lingering.source.place);
            match &over {
                Some(why) => found.revoked(way("lingering", format!("{detail}: {why}"), &lingering.source)),
                None => found.open(way("lingering", detail, &lingering.source)),
            }
        }
    }

    /// Who has a role of a database.
    pub(super) fn people_of_roles(&self) -> BTreeSet<usize> {
        self.facts.roles.iter().flat_map(|role| self.people.of_account(&role.name, "").into_keys()).collect()
    }

    pub(super) fn leaver_roles(&self) -> Vec<LeaverRole> {
        let mut out = Vec::new();
        for role in &self.facts.roles {
            for index in self.people.of_account(&role.name, "").into_keys() {
                let Some((person, ended_at)) = self.people.individuals.get(index).and_then(|i| i.ended_at.map(|at| (&i.person, at))) else { continue };
                let over = role.valid_until.is_some_and(|at| at <= self.now);
                let what = if role.superuser { format!("superuser {}", role.name) } else { role.name.clone() };
                let detail = match (role.can_sign_in, over) {
                    (false, _) => format!("{what} can't sign in"),
                    (true, true) => format!("{what} is no longer valid"),
                    (true, false) => what,
                };
                out.push(LeaverRole {
                    subject: format!("{person}: {}", role.subject),
                    days_since_end: self.days_since(ended_at),
                    open: role.can_sign_in && !over,
                    detail,
                    source: role.source.clone(),
                });
            }
        }
        out.sort_by(|a, b| a.subject.cmp(&b.subject));
        out
    }
}

impl Job {
    fn detail(&self) -> String {
        let program = if self.program.is_empty() { String::new() } else { format!(" {}", self.program) };
        format!("{} job{program} in {}", self.kind, place(&self.source))
    }
}

impl Session {
    fn detail(&self) -> String {
        let mut out = if self.kind == "session" { "open session".to_string() } else { "running processes".to_string() };
        for (word, text) in [(" on ", &self.tty), (" from ", &self.from)] {
            if !text.is_empty() {
                out.push_str(word);
                out.push_str(text);
            }
        }
        if !self.programs.is_empty() {
            let shown: Vec<&str> = self.programs.iter().take(PROGRAMS_SHOWN).map(String::as_str).collect();
            out.push_str(&format!(" ({}{})", shown.join(", "), if self.programs.len() > PROGRAMS_SHOWN { ", …" } else { "" }));
        }
        out
    }
}
