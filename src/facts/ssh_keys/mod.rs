//! Keys that let somebody in: authorized_keys as sshd would look for them.
//!
//! `AuthorizedKeysFile` of the effective configuration gives the patterns, a Match block that a
//! user or group decides replaces them, one that an address decides adds to them. Accounts that
//! share a home share its keys.

mod line;

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::accounts::database::{self, GroupLine, PasswdLine};
use super::sshd::{self, Override, Sshd};
use super::{Document, HostFamily};
use crate::host::root::CONFIG_LIMIT;
use crate::host::{Host, ReadError, Stat};
use crate::model::fact::Source;
use crate::model::gap::{Gaps, reason};

/// Authorized keys of every account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SshKeys {
    /// By account, path and line.
    pub items: Vec<AuthorizedKey>,
    /// Files looked at, by account and path.
    pub files: Vec<KeyFile>,
    /// Keys that open more than one user id, by fingerprint.
    pub shared: Vec<SharedKey>,
    /// Accounts that have a key, sorted.
    #[schemars(extend("x-personal" = true))]
    pub accounts: Vec<String>,
}

impl Document for SshKeys {
    const NAME: &'static str = "ssh_keys";
    const TITLE: &'static str = "Authorized SSH keys";
}

impl HostFamily for SshKeys {
    fn gather(host: &Host, gaps: &mut Gaps) -> Option<Self> {
        let (users, _) = match database::passwd(host) {
            Ok(read) => read,
            Err(e) => {
                gaps.add(e.to_gap(Self::NAME, "", ""));
                return None;
            }
        };
        let groups = match database::group(host) {
            Ok((groups, _)) => groups,
            Err(e) => {
                gaps.add(e.to_gap(Self::NAME, "", ""));
                Vec::new()
            }
        };
        let sshd = sshd::effective(host, Self::NAME, gaps)?;
        note_other_origins(&sshd, gaps);
        let mut reader = Reader { host, gaps, users: &users, groups: &groups, read: BTreeMap::new(), items: Vec::new(), files: Vec::new() };
        let mut seen = BTreeSet::new();
        for user in users.iter().filter(|u| seen.insert(u.name.clone())) {
            for pattern in patterns_for(user, &groups, &sshd) {
                reader.look(user, &expand(&pattern, user));
            }
        }
        let Reader { mut items, mut files, .. } = reader;
        items.sort_by(|a, b| (&a.account, &a.path, a.line).cmp(&(&b.account, &b.path, b.line)));
        files.sort_by(|a, b| (&a.account, &a.path).cmp(&(&b.account, &b.path)));
        let accounts: BTreeSet<String> = items.iter().map(|i| i.account.clone()).collect();
        Some(Self { shared: shared_keys(&items, &users), accounts: accounts.into_iter().collect(), items, files })
    }
}

/// Keys that a program or a certificate authority hands out can't be listed.
fn note_other_origins(sshd: &Sshd, gaps: &mut Gaps) {
    let written = sshd.settings.iter().map(|s| (&s.keyword, &s.value, &s.source));
    for (keyword, value, source) in written.chain(sshd.overrides.iter().map(|o| (&o.keyword, &o.value, &o.source))) {
        if matches!(keyword.as_str(), "authorizedkeyscommand" | "trustedusercakeys") && value != "none" {
            let detail = format!("{}:{}: {keyword} lets in keys that stand in no authorized_keys file", source.place, source.line);
            gaps.note(SshKeys::NAME, "items", keyword, reason::UNSUPPORTED, detail, "Review the keys at their origin.");
        }
    }
}

fn patterns_for(user: &PasswdLine, groups: &[GroupLine], sshd: &Sshd) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    let mut decided = false;
    for o in sshd.overrides.iter().filter(|o| o.keyword == "authorizedkeysfile") {
        match applies(o, user, groups) {
            Some(false) => {}
            certain => {
                out.extend(o.value.split_whitespace().map(String::from));
                if certain == Some(true) {
                    decided = true;
                    break;
                }
            }
        }
    }
    if !decided {
        out.extend(sshd.authorized_keys_files.iter().cloned());
    }
    let mut seen = BTreeSet::new();
    out.retain(|p| !p.eq_ignore_ascii_case("none") && seen.insert(p.clone()));
    out
}

/// Whether a Match block holds for the account; `None` when something else than user and group
/// decides (address, host, port).
fn applies(o: &Override, user: &PasswdLine, groups: &[GroupLine]) -> Option<bool> {
    let mut words = o.criteria.split_whitespace();
    let mut certain = true;
    while let Some(criterion) = words.next() {
        let (criterion, list) = match criterion.split_once('=') {
            Some((c, list)) => (c, list),
            None if criterion.eq_ignore_ascii_case("all") => continue,
            None => (criterion, words.next().unwrap_or("")),
        };
        let hit = match criterion.to_ascii_lowercase().as_str() {
            "user" => in_list(list, &[user.name.as_str()]),
            "group" => {
                let names: Vec<&str> = groups.iter().filter(|g| g.gid == user.gid || g.members.contains(&user.name)).map(|g| g.name.as_str()).collect();
                in_list(list, &names)
            }
            _ => {
                certain = false;
                continue;
            }
        };
        if !hit {
            return Some(false);
        }
    }
    certain.then_some(true)
}

/// PATTERNS of ssh_config(5): a negated pattern that matches decides against the list.
fn in_list(list: &str, names: &[&str]) -> bool {
    let mut hit = false;
    for pattern in list.split(',') {
        let (negated, pattern) = pattern.strip_prefix('!').map_or((false, pattern), |p| (true, p));
        if names.iter().any(|name| crate::model::pattern::matches(pattern, name)) {
            if negated {
                return false;
            }
            hit = true;
        }
    }
    hit
}

/// Tokens of sshd_config(5): `%%`, `%h`, `%U`, `%u`; a relative path starts at the home folder.
fn expand(pattern: &str, user: &PasswdLine) -> String {
    let mut out = String::new();
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        match (c, if c == '%' { chars.next() } else { None }) {
            ('%', Some('h')) => out.push_str(&user.home),
            ('%', Some('u')) => out.push_str(&user.name),
            ('%', Some('U')) => out.push_str(&user.uid.to_string()),
            ('%', Some('%') | None) => out.push('%'),
            ('%', Some(other)) => {
                out.push('%');
                out.push(other);
            }
            (c, _) => out.push(c),
        }
    }
    if out.starts_with('/') { out } else { format!("{}/{out}", user.home.trim_end_matches('/')) }
}

/// Most files read.
const FILE_LIMIT: usize = 20_000;
/// Most keys kept.
const KEY_LIMIT: usize = 100_000;

/// What one file says, read once however many accounts use it.
type Parsed = Result<Option<(Stat, Vec<(usize, line::KeyLine)>, u64)>, ReadError>;

struct Reader<'a> {
    host: &'a Host,
    gaps: &'a mut Gaps,
    users: &'a [PasswdLine],
    groups: &'a [GroupLine],
    read: BTreeMap<String, Parsed>,
    items: Vec<AuthorizedKey>,
    files: Vec<KeyFile>,
}

impl Reader<'_> {
    fn look(&mut self, user: &PasswdLine, path: &str) {
        if self.read.len() >= FILE_LIMIT || self.items.len() >= KEY_LIMIT {
            let detail = format!("{path}: not read, more than {FILE_LIMIT} files or {KEY_LIMIT} keys");
            self.gaps.note(SshKeys::NAME, "", &user.name, reason::LIMIT_REACHED, detail, "");
            return;
        }
        let host = self.host;
        let parsed = self.read.entry(path.to_string()).or_insert_with(|| parse_file(host, path)).clone();
        match parsed {
            Ok(None) => {}
            Err(e) => self.gaps.add(e.to_gap(SshKeys::NAME, "", &user.name)),
            Ok(Some((stat, keys, unreadable_lines))) => {
                let writable_place = self.writable_place(user, path);
                self.files.push(KeyFile {
                    subject: format!("{} {path}", user.name),
                    account: user.name.clone(),
                    path: path.to_string(),
                    owner_uid: stat.uid,
                    mode: stat.mode,
                    others_can_write: !writable_place.is_empty(),
                    writable_place,
                    keys: keys.len() as u64,
                    unreadable_lines,
                });
                self.items.extend(keys.into_iter().map(|(number, key)| AuthorizedKey::new(user, path, number, key)));
            }
        }
    }

    /// The first of file and folders up to the home (or the root) that somebody else than the
    /// account and root may change, as auth_secure_path() of OpenSSH with Debian's rule that the
    /// account's own private group may write; empty when there is none.
    fn writable_place(&self, user: &PasswdLine, path: &str) -> String {
        let home = user.home.trim_end_matches('/');
        let mut at = path;
        loop {
            if let Ok(stat) = self.host.stat(at) {
                let foreign_owner = stat.uid != 0 && stat.uid != user.uid;
                let group_writes = stat.mode & 0o020 != 0 && !self.private_group(user, stat.gid);
                if foreign_owner || group_writes || stat.mode & 0o002 != 0 {
                    return at.to_string();
                }
            }
            if at == home {
                return String::new();
            }
            at = match at.rsplit_once('/') {
                Some(("", _)) | None => return String::new(),
                Some((parent, _)) => parent,
            };
        }
    }

    fn private_group(&self, user: &PasswdLine, gid: u32) -> bool {
        let others_primary = self.users.iter().any(|u| u.gid == gid && u.uid != user.uid);
        let others_listed = self.groups.iter().filter(|g| g.gid == gid).flat_map(|g| &g.members).any(|m| *m != user.name);
        gid == 0 || (gid == user.gid && !others_primary && !others_listed)
    }
}

fn parse_file(host: &Host, path: &str) -> Parsed {
    let text = match host.read_text(path, CONFIG_LIMIT) {
        Ok(text) => text,
        // A home such as /dev/null, or a folder in the file's place: sshd finds no key there either.
        Err(ReadError::NotFound(_) | ReadError::NotRegular(_)) => return Ok(None),
        Err(e) => return Err(e),
    };
    let stat = host.stat(path)?;
    let mut keys = Vec::new();
    let mut unreadable = 0;
    for (index, text) in text.lines().enumerate() {
        match line::parse(text) {
            Ok(Some(key)) => keys.push((index + 1, key)),
            Ok(None) => {}
            Err(_) => unreadable += 1,
        }
    }
    Ok(Some((stat, keys, unreadable)))
}

fn shared_keys(items: &[AuthorizedKey], users: &[PasswdLine]) -> Vec<SharedKey> {
    let uid = |account: &str| users.iter().find(|u| u.name == account).map(|u| u.uid);
    let mut by_key: BTreeMap<&str, Vec<&AuthorizedKey>> = BTreeMap::new();
    for item in items.iter().filter(|i| !i.options.iter().any(|o| o == "cert-authority")) {
        by_key.entry(&item.fingerprint).or_default().push(item);
    }
    let mut out = Vec::new();
    for (fingerprint, items) in by_key {
        let accounts: BTreeSet<&str> = items.iter().map(|i| i.account.as_str()).collect();
        let uids: BTreeSet<Option<u32>> = accounts.iter().map(|a| uid(a)).collect();
        if uids.len() > 1 {
            out.push(SharedKey {
                subject: fingerprint.to_string(),
                accounts: accounts.into_iter().map(String::from).collect(),
                places: items.iter().map(|i| format!("{}:{}", i.path, i.line)).collect::<BTreeSet<_>>().into_iter().collect(),
                source: items.first().map(|i| i.source.clone()).unwrap_or_default(),
            });
        }
    }
    out
}

impl AuthorizedKey {
    fn new(user: &PasswdLine, path: &str, number: usize, key: line::KeyLine) -> Self {
        Self {
            subject: format!("{} {path}:{number}", user.name),
            account: user.name.clone(),
            path: path.to_string(),
            line: u32::try_from(number).unwrap_or(u32::MAX),
            source: Source::line(path, number, key.kind.clone()),
            kind: key.kind,
            bits: key.bits,
            fingerprint: key.fingerprint,
            comment: key.comment,
            options: key.options,
            expires_at: key.expires_at,
        }
    }
}

/// One line of an authorized_keys file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AuthorizedKey {
    /// `ACCOUNT PATH:LINE`.
    pub subject: String,
    /// Account that the key opens.
    #[schemars(extend("x-personal" = true))]
    pub account: String,
    /// File.
    pub path: String,
    /// Line.
    pub line: u32,
    /// Key type, such as `ssh-ed25519`.
    pub kind: String,
    /// Size of the key, bits; `null` for a type whose size is not known.
    pub bits: Option<u32>,
    /// `SHA256:` and base64 without padding, as ssh-keygen -l prints.
    pub fingerprint: String,
    /// Comment.
    #[schemars(extend("x-personal" = true))]
    pub comment: String,
    /// Option names (`from`, `command`, `cert-authority`, …), values left out, sorted.
    pub options: Vec<String>,
    /// `expiry-time` option, Unix seconds.
    pub expires_at: Option<i64>,
    /// File and line.
    pub source: Source,
}

/// One file that sshd would read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyFile {
    /// `ACCOUNT PATH`.
    #[schemars(extend("x-personal" = true))]
    pub subject: String,
    /// Account.
    #[schemars(extend("x-personal" = true))]
    pub account: String,
    /// File.
    pub path: String,
    /// Owner.
    pub owner_uid: u32,
    /// Permission bits.
    pub mode: u32,
    /// Whether somebody else than the account and root may write the file or replace it through a folder above it, up to the home.
    pub others_can_write: bool,
    /// The first such place; empty when there is none.
    pub writable_place: String,
    /// Keys read.
    pub keys: u64,
    /// Lines that are no key.
    pub unreadable_lines: u64,
}

/// One key that opens several accounts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SharedKey {
    /// Fingerprint.
    pub subject: String,
    /// Accounts, sorted.
    #[schemars(extend("x-personal" = true))]
    pub accounts: Vec<String>,
    /// `PATH:LINE` of each copy, sorted.
    pub places: Vec<String>,
    /// The first of them.
    pub source: Source,
}
