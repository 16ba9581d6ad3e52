//! Keys that let somebody in: authorized_keys as sshd would look for them.
//!
//! The effective configuration gives each account's patterns, those of every connection together.
//! Accounts that share a home share its keys. Beside them stand the certificate authorities that
//! are trusted, the programs that hand out keys, and the private keys that lie in home folders.

mod authority;
mod home;
pub mod line;
pub mod private;
mod revoked;

pub use authority::{Authority, KeyProgram, Principal};
pub use home::PrivateKey;

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::accounts::database::{self, GroupLine, PasswdLine};
use super::sshd::{self, AccountAccess, Sshd};
use super::{Document, HostFamily};
use crate::host::root::CONFIG_LIMIT;
use crate::host::{FileKind, Host, ReadError, Stat};
use crate::model::fact::Source;
use crate::model::gap::{Gap, Gaps, reason};

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
    /// Keys of TrustedUserCAKeys: whoever holds a certificate of theirs gets in, by path and line.
    #[serde(default)]
    pub authorities: Vec<Authority>,
    /// Lines of AuthorizedPrincipalsFile: names in a certificate that open an account, by account, path and line.
    #[serde(default)]
    pub principals: Vec<Principal>,
    /// Programs that hand out keys or principals (AuthorizedKeysCommand, AuthorizedPrincipalsCommand); they are not run.
    #[serde(default)]
    pub programs: Vec<KeyProgram>,
    /// Private keys in `.ssh` of home folders, by path.
    #[serde(default)]
    pub private_keys: Vec<PrivateKey>,
}

impl Document for SshKeys {
    const NAME: &'static str = "ssh_keys";
    const TITLE: &'static str = "Authorized SSH keys";
}

impl HostFamily for SshKeys {
    const WATCHED: &'static [&'static str] = &["/etc/ssh/**", "~/.ssh/authorized_keys*", "~/.ssh/id_*"];

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
        let sshd = configuration(host, gaps)?;
        let authorities = authority::trusted(host, &sshd, gaps);
        authority::note_unlisted(&sshd, &authorities, gaps);
        let by_name: BTreeMap<&str, &AccountAccess> = sshd.per_account.iter().map(|a| (a.subject.as_str(), a)).collect();
        let mut reader = Reader {
            host,
            gaps,
            users: &users,
            groups: &groups,
            strict_modes: sshd.strict_modes,
            read: BTreeMap::new(),
            revoked: BTreeMap::new(),
            items: Vec::new(),
            files: Vec::new(),
        };
        let mut seen = BTreeSet::new();
        for user in users.iter().filter(|u| seen.insert(u.name.clone())) {
            let access = by_name.get(user.name.as_str()).copied();
            for pattern in access.map_or(&sshd.authorized_keys_files, |a| &a.authorized_keys_files) {
                reader.look(user, access, &expand(pattern, user));
            }
        }
        let Reader { mut items, mut files, .. } = reader;
        items.sort_by(|a, b| (&a.account, &a.path, a.line).cmp(&(&b.account, &b.path, b.line)));
        items.dedup_by(|a, b| a.subject == b.subject);
        files.sort_by(|a, b| (&a.account, &a.path).cmp(&(&b.account, &b.path)));
        files.dedup_by(|a, b| a.subject == b.subject);
        let accounts: BTreeSet<String> = items.iter().map(|i| i.account.clone()).collect();
        Some(Self {
            shared: shared_keys(&items, &users),
            accounts: accounts.into_iter().collect(),
            items,
            files,
            authorities,
            principals: authority::principals(host, &users, &by_name, gaps),
            programs: authority::programs(&sshd),
            private_keys: home::private_keys(host, &users, gaps),
        })
    }
}

/// The configuration of sshd; a gap of it that hides where keys are is one of the keys.
fn configuration(host: &Host, gaps: &mut Gaps) -> Option<Sshd> {
    let mut own = Gaps::new();
    let sshd = sshd::effective(host, SshKeys::NAME, &mut own);
    for gap in own.into_sorted() {
        match gap.path.as_str() {
            "" => gaps.add(gap),
            "per_account" | "overrides" | "strict_modes" => gaps.extend(["items", "files"].map(|path| Gap { path: path.into(), ..gap.clone() })),
            // Those that only sshd's own family speaks of.
            _ => {}
        }
    }
    sshd
}

/// Tokens of sshd_config(5): `%%`, `%h`, `%U`, `%u`; a relative path starts at the home folder.
pub fn expand(pattern: &str, user: &PasswdLine) -> String {
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
    strict_modes: bool,
    read: BTreeMap<String, Parsed>,
    /// What each RevokedKeys file says; an error when it can't be read, for which sshd refuses every key.
    revoked: BTreeMap<String, Option<revoked::Revoked>>,
    items: Vec<AuthorizedKey>,
    files: Vec<KeyFile>,
}

impl Reader<'_> {
    fn look(&mut self, user: &PasswdLine, access: Option<&AccountAccess>, path: &str) {
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
                let ignored = self.strict_modes && !writable_place.is_empty();
                for (number, key) in keys.iter().cloned() {
                    let reason = if ignored { format!("StrictModes: others may write {writable_place}") } else { self.refusal(access, &key) };
                    self.items.push(AuthorizedKey::new(user, path, number, key, reason));
                }
                self.files.push(KeyFile {
                    subject: format!("{} {path}", user.name),
                    account: user.name.clone(),
                    path: path.to_string(),
                    owner_uid: stat.uid,
                    foreign_owner: stat.uid != 0 && stat.uid != user.uid,
                    mode: stat.mode,
                    others_can_write: !writable_place.is_empty(),
                    writable_place,
                    ignored,
                    link: self.link(path),
                    keys: keys.len() as u64,
                    unreadable_lines,
                });
            }
        }
    }

    /// Where a link points; empty when the file is none.
    fn link(&self, path: &str) -> String {
        match self.host.stat_link(path) {
            Ok(stat) if stat.kind == FileKind::Link => self.host.read_link(path).unwrap_or_default(),
            _ => String::new(),
        }
    }

    /// Why sshd would not take the key; empty when it would.
    fn refusal(&mut self, access: Option<&AccountAccess>, key: &line::KeyLine) -> String {
        if !key.bad_option.is_empty() {
            return format!("sshd does not accept its option {}", key.bad_option);
        }
        let Some(access) = access else { return String::new() };
        if !access.allowed {
            let by = access.refused_by.as_ref().map(|s| format!(" by {}:{}", s.place, s.line)).unwrap_or_default();
            return format!("sshd refuses the account{by}");
        }
        if !access.key_opens {
            return "sshd accepts no key for the account".into();
        }
        if access.uid == 0 && access.permit_root_login.value == "forced-commands-only" && key.command.is_empty() {
            return "sshd takes only keys with a forced command for root".into();
        }
        if access.revoked_keys.is_empty() {
            return String::new();
        }
        let host = self.host;
        let revoked =
            self.revoked.entry(access.revoked_keys.clone()).or_insert_with(|| host.read(&access.revoked_keys, CONFIG_LIMIT).ok().map(|b| revoked::parse(&b)));
        match revoked {
            None => format!("sshd can't read {} and refuses every key", access.revoked_keys),
            Some(revoked) if revoked.fingerprints.contains(&key.fingerprint) => format!("{} revokes it", access.revoked_keys),
            Some(_) => String::new(),
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
    // A key that sshd does not take for one account is not shared with it.
    for item in items.iter().filter(|i| i.works && !i.options.iter().any(|o| o == "cert-authority")) {
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
    fn new(user: &PasswdLine, path: &str, number: usize, key: line::KeyLine, refused: String) -> Self {
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
            from: key.from,
            command: key.command,
            principals: key.principals,
            works: refused.is_empty(),
            refused,
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
    /// Patterns of option `from`; empty: from anywhere.
    #[serde(default)]
    pub from: String,
    /// Program of option `command` without its arguments; empty: whatever the client asks for.
    #[serde(default)]
    pub command: String,
    /// Names of option `principals`.
    #[serde(default)]
    #[schemars(extend("x-personal" = true))]
    pub principals: Vec<String>,
    /// Whether sshd would take it, the expiry left aside.
    #[serde(default)]
    pub works: bool,
    /// Why sshd would not; empty when it would.
    #[serde(default)]
    pub refused: String,
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
    /// Whether the owner is neither the account nor root.
    #[serde(default)]
    pub foreign_owner: bool,
    /// Permission bits.
    pub mode: u32,
    /// Where the file points when it is a link; empty otherwise.
    #[serde(default)]
    pub link: String,
    /// Whether sshd passes over the file because of StrictModes.
    #[serde(default)]
    pub ignored: bool,
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
