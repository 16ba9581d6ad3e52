//! The facts that decide whether a password or a key still opens an account.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::traces::{Job, Lingering, Role, Session};
use crate::model::fact::{Observation, Source};

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
    per_account: BTreeMap<String, SshAccount>,
    /// `ssh_keys.principals`.
    pub principals: Vec<Principal>,
    /// `ssh_keys.authorities`.
    authorities: Vec<Authority>,
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
    #[serde(default)]
    principals: Vec<String>,
    #[serde(default)]
    refused: String,
    expires_at: Option<i64>,
}

/// One name that a certificate may carry to open an account.
#[derive(Debug, Deserialize)]
pub struct Principal {
    /// Account that it opens.
    pub account: String,
    /// The name.
    pub name: String,
    /// Place.
    pub source: Source,
}

#[derive(Debug, Deserialize)]
struct Authority {
    source: Source,
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
    #[serde(default)]
    root_shell_accounts: Vec<String>,
    source: Source,
}

#[derive(Debug, Deserialize)]
struct Polkit {
    who: String,
    #[serde(default)]
    actions: Vec<String>,
    result: String,
    #[serde(default)]
    shadowed: bool,
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
    password_authentication: bool,
    kbd_interactive_authentication: bool,
    use_pam: bool,
    #[serde(default)]
    per_account: Vec<SshAccount>,
    #[serde(default)]
    overrides: Vec<Setting>,
    #[serde(default)]
    settings: Vec<Setting>,
}

/// What sshd decides for one account, the most permissive answer over all connections.
#[derive(Debug, Deserialize)]
struct SshAccount {
    subject: String,
    allowed: bool,
    refused_by: Option<Source>,
    password_opens: bool,
    empty_password_opens: bool,
    key_opens: bool,
    authorized_principals_files: Vec<String>,
    trusted_user_ca_keys: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Setting {
    keyword: String,
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
        let mut sshd = observation
            .families
            .get("sshd")
            .map(|value: &Value| Sshd::deserialize(value).map_err(|e| format!("sshd is not as this version writes it: {e}")))
            .transpose()?
            .filter(|s: &Sshd| s.installed);
        Ok(Self {
            accounts: list(observation, "accounts", "users")?,
            groups: list(observation, "accounts", "groups")?,
            keys: list(observation, "ssh_keys", "items")?,
            principals: list(observation, "ssh_keys", "principals")?,
            authorities: list(observation, "ssh_keys", "authorities")?,
            grants: list(observation, "sudo", "grants")?,
            polkit: list(observation, "polkit", "grants")?,
            jobs: list(observation, "jobs", "items")?,
            lingering: list(observation, "jobs", "lingering")?,
            sessions: list(observation, "sessions", "items")?,
            roles: list(observation, "databases", "roles")?,
            has_sudo: observation.families.contains_key("sudo"),
            per_account: sshd.as_mut().map(|s| std::mem::take(&mut s.per_account)).unwrap_or_default().into_iter().map(|a| (a.subject.clone(), a)).collect(),
            sshd,
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
        let decided = self.sshd_account(account);
        if let Some(why) = decided.and_then(refusal) {
            return State::Closed(why);
        }
        let empty = account.password.state == "empty";
        let by_ssh = match (decided, &self.sshd) {
            (Some(decided), _) => {
                if empty {
                    decided.empty_password_opens
                } else {
                    decided.password_opens
                }
            }
            (None, Some(sshd)) => sshd.password_authentication || (sshd.kbd_interactive_authentication && sshd.use_pam),
            (None, None) => false,
        };
        if !by_ssh || !account.shell_exists {
            return State::Closed(format!("the shell is {}", account.shell));
        }
        State::Open(format!(" (shell {}: SSH forwarding and SFTP only)", account.shell))
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
        if !key.refused.is_empty() {
            return State::Closed(key.refused.clone());
        }
        self.ssh_state(account)
    }

    /// Whether a certificate of a trusted authority opens the account.
    fn certificate_state(&self, account: &Account, now: i64) -> State {
        if let Some(why) = expired(account, now) {
            return State::Closed(why);
        }
        if !account.shell_exists {
            return State::Closed(format!("the shell {} does not exist", account.shell));
        }
        self.ssh_state(account)
    }

    /// What holds for every key and certificate of an account.
    fn ssh_state(&self, account: &Account) -> State {
        let decided = self.sshd_account(account);
        if let Some(why) = decided.and_then(refusal) {
            return State::Closed(why);
        }
        if decided.is_some_and(|d| !d.key_opens) {
            return State::Closed("sshd accepts no key for the account".into());
        }
        // Without PAM sshd itself looks at the lock (sshd(8)).
        if account.password.state == "locked" && self.sshd.as_ref().is_some_and(|s| !s.use_pam) {
            return State::Closed("the account is locked and sshd does not use PAM".into());
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

    /// Names that a certificate may carry to open the account, with their places, while an authority
    /// is trusted there: those of the principals files, else the name of the account itself, and
    /// those of `cert-authority` lines.
    pub fn certificates<'a>(&self, account: &Account, keys: impl Iterator<Item = &'a Key>, now: i64) -> Vec<(String, Source, State)> {
        let mut out = Vec::new();
        if let Some(decided) = self.sshd_account(account).filter(|d| self.trusts(d)) {
            let listed = self.principals.iter().filter(|p| p.account == account.name).map(|p| (p.name.clone(), p.source.clone()));
            out.extend(listed.map(|(name, source)| (name, source, self.certificate_state(account, now))));
            let asked = self.trust_line("authorizedprincipalscommand").is_some();
            if decided.authorized_principals_files.is_empty() && !asked {
                let source = self.trust_line("trustedusercakeys").cloned().unwrap_or_default();
                out.push((account.name.clone(), source, self.certificate_state(account, now)));
            }
        }
        for key in keys.filter(|k| k.options.iter().any(|o| o == "cert-authority")) {
            let own = [account.name.clone()];
            let names = if key.principals.is_empty() { &own[..] } else { &key.principals[..] };
            out.extend(names.iter().map(|name| (name.clone(), key.source.clone(), self.key_state(account, key, now))));
        }
        out
    }

    /// A file that is named but holds no key trusts nobody.
    fn trusts(&self, decided: &SshAccount) -> bool {
        self.authorities.iter().any(|a| decided.trusted_user_ca_keys.contains(&a.source.place))
    }

    fn trust_line(&self, keyword: &str) -> Option<&Source> {
        let sshd = self.sshd.as_ref()?;
        sshd.settings.iter().chain(&sshd.overrides).find(|s| s.keyword == keyword).map(|s| &s.source)
    }

    fn sshd_account(&self, account: &Account) -> Option<&SshAccount> {
        self.per_account.get(&account.name)
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
            let shell = if !grant.all_commands && grant.root_shell_accounts.contains(&account.name) { ", a way to a root shell," } else { "" };
            out.push(Privilege {
                kind: "sudo",
                access: "sudo".into(),
                detail: format!("sudo {what}{shell} by {}", place(&grant.source)),
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
        for grant in self.polkit.iter().filter(|g| !g.shadowed && g.result.eq_ignore_ascii_case("yes") && g.is_for(account)) {
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

/// Why sshd lets the account in from nowhere.
fn refusal(decided: &SshAccount) -> Option<String> {
    let by = decided.refused_by.as_ref().map(|s| format!(" by {}", place(s))).unwrap_or_default();
    (!decided.allowed).then(|| format!("sshd refuses the account{by}"))
}

fn shortened(commands: &[String]) -> String {
    let mut out = commands.iter().take(COMMANDS_SHOWN).map(String::as_str).collect::<Vec<_>>().join(" and ");
    if commands.len() > COMMANDS_SHOWN {
        out.push_str(&format!(" and {} more", commands.len() - COMMANDS_SHOWN));
    }
    out
}
