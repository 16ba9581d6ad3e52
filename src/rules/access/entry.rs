//! The facts that decide whether a password or a key still opens an account.

use serde::Deserialize;
use serde_json::Value;

use super::traces::{Job, Lingering, Role, Session};
use crate::model::fact::{Observation, Source};
use crate::model::pattern::matches;

/// Whether a way in works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It does; a note in parentheses, or empty.
    Open(String),
    /// It does not, because.
    Closed(String),
    /// The facts don't tell.
    Unknown,
}

/// What is read of the families; fields of no use here are left out.
#[derive(Debug, Default)]
pub struct Facts {
    /// `accounts.users`.
    pub accounts: Vec<Account>,
    /// `ssh_keys.items`.
    pub keys: Vec<Key>,
    /// `jobs.items`.
    pub jobs: Vec<Job>,
    /// `jobs.lingering`.
    pub lingering: Vec<Lingering>,
    /// `sessions.items`.
    pub sessions: Vec<Session>,
    /// `databases.roles`.
    pub roles: Vec<Role>,
    groups: Vec<Group>,
    grants: Vec<Grant>,
    polkit: Vec<Polkit>,
    sshd: Option<Sshd>,
    has_sudo: bool,
}

/// One account.
#[derive(Debug, Deserialize)]
pub struct Account {
    /// Login name.
    pub name: String,
    /// GECOS name.
    pub full_name: String,
    /// State of the password.
    pub password: Password,
    /// User id.
    pub uid: u32,
    /// Line of passwd(5).
    pub source: Source,
    shell: String,
    shell_allows_login: bool,
    shell_exists: bool,
    groups: Vec<String>,
}

/// Password of an account.
#[derive(Debug, Deserialize)]
pub struct Password {
    /// Line.
    pub source: Source,
    state: String,
    changed_at: Option<i64>,
    maximum_days: Option<i64>,
    inactive_days: Option<i64>,
    expires_at: Option<i64>,
}

/// One authorized key.
#[derive(Debug, Deserialize)]
pub struct Key {
    /// Account.
    pub account: String,
    /// File.
    pub path: String,
    /// Line.
    pub line: u32,
    /// Fingerprint.
    pub fingerprint: String,
    /// Comment.
    pub comment: String,
    /// Place.
    pub source: Source,
    options: Vec<String>,
    expires_at: Option<i64>,
}

#[derive(Debug, Deserialize)]
struct Group {
    name: String,
    members: Vec<String>,
    source: Source,
}

#[derive(Debug, Deserialize)]
struct Grant {
    who: String,
    accounts: Vec<String>,
    commands: Vec<String>,
    all_commands: bool,
    not_after: Option<i64>,
    source: Source,
}

#[derive(Debug, Deserialize)]
struct Polkit {
    who: String,
    #[serde(default)]
    actions: Vec<String>,
    result: String,
    source: Source,
}

/// One right beyond the ordinary.
#[derive(Debug)]
pub struct Privilege {
    /// `sudo`, `group`, `polkit`.
    pub kind: &'static str,
    /// Name in a list of approvals: `sudo`, `polkit`, or the group.
    pub access: String,
    /// What gives it, with its place.
    pub detail: String,
    /// Where.
    pub source: Source,
    /// Why it no longer holds.
    pub over: Option<String>,
    /// Whether it gives anything by itself: group sudo does nothing when no sudo rule names it.
    pub effective: bool,
}

#[derive(Debug, Deserialize)]
struct Sshd {
    installed: bool,
    permit_root_login: String,
    password_authentication: bool,
    kbd_interactive_authentication: bool,
    pubkey_authentication: bool,
    use_pam: bool,
    settings: Vec<Setting>,
    overrides: Vec<Setting>,
}

#[derive(Debug, Deserialize)]
struct Setting {
    keyword: String,
    value: String,
    source: Source,
}

/// Groups whose members are root or can become root without a password.
const PRIVILEGED: [&str; 12] = ["root", "sudo", "wheel", "admin", "docker", "lxd", "incus-admin", "libvirt", "disk", "shadow", "kmem", "sys"];
/// Those of them that mean something only where a rule names them.
const NAMED_BY_RULES: [&str; 3] = ["sudo", "wheel", "admin"];
/// Commands named in one detail.
const COMMANDS_SHOWN: usize = 3;
/// Seconds of a day.
const DAY: i64 = 86_400;

fn list<T: for<'de> Deserialize<'de>>(observation: &Observation, family: &str, field: &str) -> Result<Vec<T>, String> {
    match observation.families.get(family).and_then(|f| f.get(field)) {
        None => Ok(Vec::new()),
        Some(value) => Vec::<T>::deserialize(value).map_err(|e| format!("{family}.{field} is not as this version writes it: {e}")),
    }
}

impl Facts {
    /// An error says which family is missing or of another version.
    pub fn read(observation: &Observation) -> Result<Self, String> {
        if !observation.families.contains_key("accounts") {
            return Err("accounts was not gathered".into());
        }
        let sshd = observation
            .families
            .get("sshd")
            .map(|value: &Value| Sshd::deserialize(value).map_err(|e| format!("sshd is not as this version writes it: {e}")))
            .transpose()?;
        Ok(Self {
            accounts: list(observation, "accounts", "users")?,
            groups: list(observation, "accounts", "groups")?,
            keys: list(observation, "ssh_keys", "items")?,
            grants: list(observation, "sudo", "grants")?,
            polkit: list(observation, "polkit", "grants")?,
            jobs: list(observation, "jobs", "items")?,
            lingering: list(observation, "jobs", "lingering")?,
            sessions: list(observation, "sessions", "items")?,
            roles: list(observation, "databases", "roles")?,
            has_sudo: observation.families.contains_key("sudo"),
            sshd: sshd.filter(|s| s.installed),
        })
    }

    /// Whether the password of an account signs in.
    pub fn password_state(&self, account: &Account, now: i64) -> State {
        match account.password.state.as_str() {
            "usable" | "empty" => {}
            "unknown" => return State::Unknown,
            "locked" => return State::Closed("the password is locked".into()),
            _ => return State::Closed("there is no password".into()),
        }
        if let Some(why) = expired(account, now) {
            return State::Closed(why);
        }
        if account.shell_allows_login {
            return State::Open(String::new());
        }
        // Without a login shell only sshd lets in, for forwarding and SFTP.
        let by_ssh = self.sshd.as_ref().is_some_and(|s| s.password_authentication || (s.kbd_interactive_authentication && s.use_pam));
        if !by_ssh || !account.shell_exists {
            return State::Closed(format!("the shell is {}", account.shell));
        }
        match self.sshd_refuses(account) {
            Some(why) => State::Closed(why),
            None => State::Open(format!(" (shell {}: SSH forwarding and SFTP only)", account.shell)),
        }
    }

    /// Whether a key opens its account.
    pub fn key_state(&self, account: &Account, key: &Key, now: i64) -> State {
        if let Some(why) = expired(account, now) {
            return State::Closed(why);
        }
        if !account.shell_exists {
            return State::Closed(format!("the shell {} does not exist", account.shell));
        }
        if key.expires_at.is_some_and(|at| at <= now) {
            return State::Closed("the key is expired".into());
        }
        if let Some(why) = self.sshd_refuses(account).or_else(|| self.sshd_refuses_key(account, key)) {
            return State::Closed(why);
        }
        // Without shadow nobody knows whether the account is expired.
        if account.password.state == "unknown" {
            return State::Unknown;
        }
        if account.shell_allows_login {
            return State::Open(String::new());
        }
        State::Open(format!(" (shell {}: SSH forwarding and SFTP only)", account.shell))
    }

    fn sshd_refuses_key(&self, account: &Account, key: &Key) -> Option<String> {
        let sshd = self.sshd.as_ref()?;
        let overridden = |keyword: &str| sshd.overrides.iter().any(|o| o.keyword == keyword);
        if !sshd.pubkey_authentication && !overridden("pubkeyauthentication") {
            return Some("sshd accepts no key".into());
        }
        // Without PAM sshd itself looks at the lock (sshd(8)).
        if !sshd.use_pam && account.password.state == "locked" {
            return Some("the account is locked and sshd does not use PAM".into());
        }
        if account.uid == 0 && !overridden("permitrootlogin") {
            let forced = key.options.iter().any(|o| o == "command");
            match sshd.permit_root_login.as_str() {
                "no" => return Some("sshd refuses root".into()),
                "forced-commands-only" if !forced => return Some("sshd refuses root without a forced command".into()),
                _ => {}
            }
        }
        None
    }

    /// DenyUsers, AllowUsers, DenyGroups, AllowGroups of the global part, in sshd's order.
    fn sshd_refuses(&self, account: &Account) -> Option<String> {
        let sshd = self.sshd.as_ref()?;
        let user = [account.name.as_str()];
        let groups: Vec<&str> = account.groups.iter().map(String::as_str).collect();
        for (keyword, names, allow) in
            [("denyusers", &user[..], false), ("allowusers", &user[..], true), ("denygroups", &groups[..], false), ("allowgroups", &groups[..], true)]
        {
            if sshd.overrides.iter().any(|o| o.keyword == keyword) {
                continue;
            }
            let lines: Vec<&Setting> = sshd.settings.iter().filter(|s| s.keyword == keyword).collect();
            let hit = lines.iter().find(|s| s.value.split_whitespace().any(|pattern| named(pattern, names, allow)));
            match (hit, lines.first()) {
                (Some(line), _) if !allow => return Some(format!("sshd refuses it by {keyword} in {}:{}", line.source.place, line.source.line)),
                (None, Some(line)) if allow => return Some(format!("sshd refuses it by {keyword} in {}:{}", line.source.place, line.source.line)),
                _ => {}
            }
        }
        None
    }

    /// Sudo grants, privileged groups and polkit rules of an account.
    pub fn privileges(&self, account: &Account, now: i64) -> Vec<Privilege> {
        let mut out = Vec::new();
        if account.uid == 0 {
            return out;
        }
        let grants: Vec<&Grant> = self.grants.iter().filter(|g| g.accounts.contains(&account.name)).collect();
        for grant in &grants {
            let what = if grant.all_commands { "ALL".to_string() } else { shortened(&grant.commands) };
            out.push(Privilege {
                kind: "sudo",
                access: "sudo".into(),
                detail: format!("sudo {what} by {}", place(&grant.source)),
                source: grant.source.clone(),
                over: grant.not_after.filter(|at| *at <= now).map(|_| "the grant is over".to_string()),
                effective: true,
            });
        }
        for group in account.groups.iter().filter(|g| PRIVILEGED.contains(&g.as_str())) {
            if grants.iter().any(|g| g.who.strip_prefix('%') == Some(group)) {
                continue;
            }
            let listed = self.groups.iter().find(|g| g.name == *group);
            let source = listed.map(|g| g.source.clone()).unwrap_or_default();
            let by = if listed.is_some_and(|g| g.members.contains(&account.name)) { place(&source) } else { "/etc/passwd".into() };
            let effective = !(self.has_sudo && NAMED_BY_RULES.contains(&group.as_str()));
            out.push(Privilege { kind: "group", access: group.clone(), detail: format!("group {group} by {by}"), source, over: None, effective });
        }
        for grant in self.polkit.iter().filter(|g| g.result.eq_ignore_ascii_case("yes") && g.is_for(account)) {
            let detail = format!("polkit {} by {}", shortened(&grant.actions), place(&grant.source));
            out.push(Privilege { kind: "polkit", access: "polkit".into(), detail, source: grant.source.clone(), over: None, effective: true });
        }
        out
    }
}

impl Polkit {
    fn is_for(&self, account: &Account) -> bool {
        self.who.strip_prefix("unix-user:").is_some_and(|name| name == account.name)
            || self.who.strip_prefix("unix-group:").is_some_and(|name| account.groups.iter().any(|g| g == name))
    }
}

/// `FILE:LINE`, or the file alone.
pub fn place(source: &Source) -> String {
    if source.line > 0 { format!("{}:{}", source.place, source.line) } else { source.place.clone() }
}

/// As pam_unix(8): the expiry day has come, or the password is older than its age and the days of
/// inactivity after it.
pub fn expired(account: &Account, now: i64) -> Option<String> {
    let p = &account.password;
    if p.expires_at.is_some_and(|at| at <= now) {
        return Some("the account is expired".into());
    }
    let (changed, maximum, inactive) = (p.changed_at.filter(|at| *at > 0)?, p.maximum_days?, p.inactive_days?);
    let end = changed.saturating_add(maximum.saturating_add(inactive).saturating_mul(DAY));
    (end < now).then(|| "the account is inactive because its password is too old".into())
}

/// A pattern with a host part refuses only there, and allows at least there.
fn named(pattern: &str, names: &[&str], allow: bool) -> bool {
    let (name, host) = pattern.split_once('@').map_or((pattern, None), |(n, h)| (n, Some(h)));
    if host.is_some_and(|h| h != "*") && !allow {
        return false;
    }
    names.iter().any(|n| matches(name, n))
}

fn shortened(commands: &[String]) -> String {
    let mut out = commands.iter().take(COMMANDS_SHOWN).map(String::as_str).collect::<Vec<_>>().join(" and ");
    if commands.len() > COMMANDS_SHOWN {
        out.push_str(&format!(" and {} more", commands.len() - COMMANDS_SHOWN));
    }
    out
}
