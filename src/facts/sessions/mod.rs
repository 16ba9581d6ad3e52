//! Who is on the machine right now: sessions that logind and utmp know, and processes by account.
//!
//! A person whose account was closed may still have a shell in tmux or a tunnel open: closing an
//! account ends no process. All of it changes by itself, so the whole list is volatile.

mod processes;
mod signed_in;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::jobs::names::Names;
use super::{Document, HostFamily};
use crate::host::{Host, clock};
use crate::model::fact::Source;
use crate::model::gap::{Gaps, reason};

/// Sessions and processes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sessions {
    /// Every session, and the processes of every account, by subject.
    #[schemars(extend("x-volatile" = true))]
    pub items: Vec<Session>,
    /// Processes with a root folder of their own (containers), whose accounts are not the host's.
    #[schemars(extend("x-volatile" = true))]
    pub elsewhere: u64,
}

impl Document for Sessions {
    const NAME: &'static str = "sessions";
    const TITLE: &'static str = "Sessions and processes, by account";
}

/// One session, or the processes of one account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Session {
    /// `session ACCOUNT TERMINAL` or `processes ACCOUNT`.
    #[schemars(extend("x-personal" = true))]
    pub subject: String,
    /// `session` or `processes`.
    pub kind: String,
    /// Account; the number when none has it.
    #[schemars(extend("x-personal" = true))]
    pub account: String,
    /// User id; `null` for a session of a name that has none.
    pub uid: Option<u32>,
    /// Whether an account has the user id (a local one, one that systemd made for a service, or a subordinate id of subuid(5)); `null` when a directory service may know it.
    pub uid_known: Option<bool>,
    /// Whether the account's expiry day has come; `null` when shadow(5) can't be read.
    pub account_expired: Option<bool>,
    /// Host from which a session came; empty for a local one and for processes.
    #[schemars(extend("x-personal" = true))]
    pub from: String,
    /// Terminal of a session, such as `pts/0`.
    pub tty: String,
    /// Begin of the session, or start of the oldest process, Unix seconds; `null`: not recorded.
    pub since: Option<i64>,
    /// Names of the programs, sorted, at most 64.
    pub programs: Vec<String>,
    /// Processes: of the account, or 1 for the leader of a session.
    pub count: u64,
    /// Their ids in order, at most 64.
    pub pids: Vec<u32>,
    /// Record of the session, or `/proc/PID/status` of the oldest process.
    pub source: Source,
}

impl HostFamily for Sessions {
    fn gather(host: &Host, gaps: &mut Gaps) -> Option<Self> {
        if !host.is_live() {
            gaps.note(Self::NAME, "", "", reason::NEEDS_LIVE_KERNEL, "a root folder has neither sessions nor processes", "Scan the machine itself.");
            return None;
        }
        let names = Names::read(host, clock::unix_now());
        if let Some(error) = &names.accounts_error {
            gaps.add(error.to_gap(Self::NAME, "items", ""));
        }
        if let Some(error) = &names.expiry_error {
            gaps.add(error.to_gap(Self::NAME, "items.account_expired", ""));
        }
        let known = Known { host, names: &names, subordinate: subordinate(host) };
        let mut items = signed_in::gather(&known, gaps);
        let (processes, elsewhere) = processes::gather(&known, gaps);
        items.extend(processes);
        items.sort_by(|a, b| (&a.subject, a.since).cmp(&(&b.subject, b.since)));
        for item in items.iter().filter(|i| i.uid_known.is_none()) {
            let detail = format!("{} is no local account, {} may know it", item.account, names.directories.join(", "));
            gaps.note(Self::NAME, "items.uid_known", &item.subject, reason::UNSUPPORTED, detail, "");
        }
        Some(Self { items, elsewhere })
    }
}

/// What is known of accounts.
struct Known<'a> {
    host: &'a Host,
    names: &'a Names,
    /// First id and count of each range of subuid(5).
    subordinate: Vec<(u32, u32)>,
}

/// The overflow id, which stands for any id that a namespace does not map (user_namespaces(7)).
const NOBODY: u32 = 65_534;

impl Known<'_> {
    fn uid(&self, uid: u32) -> Option<bool> {
        let is_local = self.names.knows(uid) || uid == NOBODY;
        let is_subordinate = self.subordinate.iter().any(|(first, count)| uid.checked_sub(*first).is_some_and(|n| n < *count));
        // systemd keeps a file for each id that it gave to a service with DynamicUser.
        if is_local || is_subordinate || self.host.exists(&format!("/run/systemd/dynamic-uid/{uid}")).unwrap_or(false) {
            return Some(true);
        }
        self.names.directories.is_empty().then_some(false)
    }

    fn item(&self, kind: &str, account: &str, uid: Option<u32>, source: Source) -> Session {
        let uid_known = match uid {
            Some(uid) => self.uid(uid),
            None => self.names.directories.is_empty().then_some(false),
        };
        Session {
            subject: format!("{kind} {account}"),
            kind: kind.into(),
            account: account.into(),
            uid,
            uid_known,
            account_expired: self.names.has_expired(account),
            from: String::new(),
            tty: String::new(),
            since: None,
            programs: Vec::new(),
            count: 0,
            pids: Vec::new(),
            source,
        }
    }
}

fn subordinate(host: &Host) -> Vec<(u32, u32)> {
    const LIMIT: usize = 10_000;
    let text = host.read_text("/etc/subuid", crate::host::CONFIG_LIMIT).unwrap_or_default();
    let range = |line: &str| {
        let mut fields = line.split(':').skip(1);
        Some((fields.next()?.trim().parse().ok()?, fields.next()?.trim().parse().ok()?))
    };
    text.lines().take(LIMIT).filter_map(range).collect()
}
