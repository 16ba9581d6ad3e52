//! Files around accounts: modes of the databases and of their copies, home folders, files that
//! open accounts to other hosts.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Accounts, User, database};
use crate::facts::Document as _;
use crate::host::root::CONFIG_LIMIT;
use crate::host::{FileKind, Host, Stat};
use crate::model::fact::Source;
use crate::model::gap::{Gaps, reason};

/// A database of accounts, or a copy of one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DatabaseFile {
    /// Path.
    pub subject: String,
    /// Whether programs read it (`/etc/passwd`, …); false for a copy.
    pub live: bool,
    /// Owner.
    pub uid: u32,
    /// Group by name, its number when no name is known.
    pub group: String,
    /// Permission bits, four octal digits.
    pub mode: String,
    /// Whether it holds password hashes, or is where they belong (shadow, gshadow).
    pub secret: bool,
    /// Who can read it beside owner, root and group shadow: `others`, `group NAME`; empty: nobody.
    pub readable_by: String,
    /// Who can write it beside its owner: `others`, `group NAME`; empty: nobody.
    pub writable_by: String,
    /// The file.
    pub source: Source,
}

/// Names that programs read, below `/etc`.
const DATABASES: [&str; 4] = ["passwd", "group", "shadow", "gshadow"];
/// Folders where copies lie.
const COPY_FOLDERS: [&str; 3] = ["/etc", "/var/backups", "/etc/security"];
/// Largest copy looked into, bytes.
const COPY_LIMIT: usize = 16 << 20;
/// Most copies kept.
const FILE_LIMIT: usize = 256;

/// The databases and whatever beside them bears their name: `shadow-`, `shadow.bak`, `.shadow.swp`, `opasswd`.
pub fn database_files(host: &Host, groups: &[database::GroupLine], gaps: &mut Gaps) -> Vec<DatabaseFile> {
    let mut out = Vec::new();
    for folder in COPY_FOLDERS {
        let entries = match host.list(folder) {
            Ok(entries) => entries,
            Err(e) if e.is_not_found() => continue,
            Err(e) => {
                gaps.add(e.to_gap(Accounts::NAME, "files", ""));
                continue;
            }
        };
        for entry in entries {
            let Some(name) = database_name(&entry.name) else { continue };
            let path = format!("{folder}/{}", entry.name);
            let stat = match host.stat(&path) {
                Ok(stat) if stat.kind == FileKind::File => stat,
                Ok(_) => continue,
                Err(e) if e.is_not_found() => continue,
                Err(e) => {
                    gaps.add(e.to_gap(Accounts::NAME, "files", &path));
                    continue;
                }
            };
            if out.len() >= FILE_LIMIT {
                gaps.note(Accounts::NAME, "files", "", reason::LIMIT_REACHED, format!("{folder}: more than {FILE_LIMIT} copies of databases"), "");
                return out;
            }
            let live = folder == "/etc" && DATABASES.contains(&entry.name.as_str());
            let belongs = matches!(name, "shadow" | "gshadow") && (live || entry.name.ends_with('-'));
            let secret = belongs || holds_hashes(host, &path, gaps);
            out.push(database_file(path, live, secret, &stat, groups));
        }
    }
    out
}

/// The database whose name a file bears; `passwd.conf` and other programs' files bear none.
fn database_name(file: &str) -> Option<&'static str> {
    let bare = file.strip_prefix('.').unwrap_or(file);
    if bare == "opasswd" {
        return Some("shadow");
    }
    let name = ["gshadow", "shadow", "passwd", "group"].into_iter().find(|n| bare.starts_with(n))?;
    let rest = bare.get(name.len()..).unwrap_or("");
    (rest.is_empty() || rest.starts_with(['-', '.', '~', '_', '+'])).then_some(name)
}

fn holds_hashes(host: &Host, path: &str, gaps: &mut Gaps) -> bool {
    match host.read_text(path, COPY_LIMIT) {
        Ok(text) => text.lines().filter_map(|l| l.split(':').nth(1)).any(database::is_hash) || (path.ends_with("opasswd") && text.contains(":$")),
        Err(e) => {
            gaps.add(e.to_gap(Accounts::NAME, "files.secret", path));
            false
        }
    }
}

fn database_file(path: String, live: bool, secret: bool, stat: &Stat, groups: &[database::GroupLine]) -> DatabaseFile {
    let group = group_name(stat.gid, groups);
    let trusted = matches!(group.as_str(), "root" | "shadow" | "0");
    let readable_by = if stat.mode & 0o004 != 0 { "others".to_string() } else { by_group(stat.mode & 0o040 != 0 && !trusted, &group) };
    let writable_by =
        if stat.mode & 0o002 != 0 { "others".to_string() } else { by_group(stat.mode & 0o020 != 0 && !matches!(group.as_str(), "root" | "0"), &group) };
    DatabaseFile { source: Source::whole(&path), subject: path, live, uid: stat.uid, group, mode: octal(stat), secret, readable_by, writable_by }
}

fn by_group(yes: bool, group: &str) -> String {
    if yes { format!("group {group}") } else { String::new() }
}

fn octal(stat: &Stat) -> String {
    format!("{:04o}", stat.mode)
}

fn group_name(gid: u32, groups: &[database::GroupLine]) -> String {
    groups.iter().find(|g| g.gid == gid).map_or_else(|| gid.to_string(), |g| g.name.clone())
}

/// Home folder of an account that has a login shell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Home {
    /// Account.
    #[schemars(extend("x-personal" = true))]
    pub subject: String,
    /// Path by passwd(5).
    pub path: String,
    /// Whether it is there.
    pub exists: bool,
    /// Owner; `null` when it is not there.
    pub uid: Option<u32>,
    /// Whether it belongs to the account, or to root.
    pub owned: bool,
    /// Permission bits, four octal digits; empty when it is not there.
    pub mode: String,
    /// Who beside the account can write in it: `others`, `group NAME` (a group of which others are members); empty: nobody.
    pub writable_by: String,
    /// Line of passwd(5).
    pub source: Source,
}

/// Homes of accounts with a login shell.
pub fn homes(host: &Host, users: &[User], groups: &[database::GroupLine], gaps: &mut Gaps) -> Vec<Home> {
    let mut out = Vec::new();
    for user in users.iter().filter(|u| u.shell_allows_login && u.home.starts_with('/')) {
        let stat = match host.stat(&user.home) {
            Ok(stat) => Some(stat),
            Err(e) if e.is_not_found() => {
                // A partial image can't prove a home absent when the folder above is missing, too.
                let above = user.home.trim_end_matches('/').rsplit_once('/').map_or("/", |(above, _)| if above.is_empty() { "/" } else { above });
                if !host.is_live() && !host.exists(above).unwrap_or(false) {
                    continue;
                }
                None
            }
            Err(e) => {
                gaps.add(e.to_gap(Accounts::NAME, "homes", &user.subject));
                continue;
            }
        };
        let writable_by = stat.as_ref().map_or_else(String::new, |s| match s.mode {
            mode if mode & 0o002 != 0 => "others".to_string(),
            mode => by_group(mode & 0o020 != 0 && s.gid != 0 && shared_group(s.gid, user, users, groups), &group_name(s.gid, groups)),
        });
        out.push(Home {
            subject: user.subject.clone(),
            path: user.home.clone(),
            exists: stat.is_some(),
            uid: stat.as_ref().map(|s| s.uid),
            owned: stat.as_ref().is_none_or(|s| s.uid == user.uid || s.uid == 0),
            mode: stat.as_ref().map(octal).unwrap_or_default(),
            writable_by,
            source: user.source.clone(),
        });
    }
    out
}

/// Whether anybody beside the account is in the group.
fn shared_group(gid: u32, user: &User, users: &[User], groups: &[database::GroupLine]) -> bool {
    let members = groups.iter().filter(|g| g.gid == gid).flat_map(|g| &g.members);
    let mut others = users.iter().filter(|u| u.gid == gid).map(|u| &u.name).chain(members).filter(|name| **name != user.name);
    others.next().is_some()
}

/// A file by which hosts or programs get in without a password being asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TrustFile {
    /// Path.
    pub subject: String,
    /// `rhosts`, `shosts`, `hosts.equiv`, `shosts.equiv` (hosts that are believed), `netrc` (passwords kept).
    pub kind: String,
    /// Account whose home it is in; empty for the whole host.
    #[schemars(extend("x-personal" = true))]
    pub account: String,
    /// Lines that are neither blank nor comment nor refusals; for netrc the number of passwords.
    pub entries: u32,
    /// Whether a line believes every host or every user (`+`).
    pub wildcard: bool,
    /// Permission bits, four octal digits.
    pub mode: String,
    /// Who beside the owner can read it: `others`, `group`; empty: nobody.
    pub readable_by: String,
    /// First line that counts.
    pub source: Source,
}

const HOST_FILES: [(&str, &str); 3] = [("/etc/hosts.equiv", "hosts.equiv"), ("/etc/shosts.equiv", "shosts.equiv"), ("/etc/ssh/shosts.equiv", "shosts.equiv")];
const HOME_FILES: [(&str, &str); 3] = [(".rhosts", "rhosts"), (".shosts", "shosts"), (".netrc", "netrc")];

/// Files of the host and of every home that exists.
pub fn trust_files(host: &Host, users: &[User], gaps: &mut Gaps) -> Vec<TrustFile> {
    let mut out = Vec::new();
    for (path, kind) in HOST_FILES {
        out.extend(trust_file(host, path.to_string(), kind, "", gaps));
    }
    let mut seen = BTreeSet::new();
    for user in users.iter().filter(|u| u.home.starts_with('/') && u.home.len() > 1) {
        let home = user.home.trim_end_matches('/');
        if !seen.insert(home) {
            continue;
        }
        for (name, kind) in HOME_FILES {
            out.extend(trust_file(host, format!("{home}/{name}"), kind, &user.name, gaps));
        }
    }
    out
}

fn trust_file(host: &Host, path: String, kind: &str, account: &str, gaps: &mut Gaps) -> Option<TrustFile> {
    let stat = match host.stat(&path) {
        Ok(stat) if stat.kind == FileKind::File => stat,
        Ok(_) => return None,
        Err(e) => {
            if !e.is_not_found() {
                gaps.add(e.to_gap(Accounts::NAME, "trust_files", &path));
            }
            return None;
        }
    };
    let text = match host.read_text(&path, CONFIG_LIMIT) {
        Ok(text) => text,
        Err(e) => {
            gaps.add(e.to_gap(Accounts::NAME, "trust_files", &path));
            return None;
        }
    };
    let counts = |line: &str| {
        let line = line.trim();
        match kind {
            "netrc" => line.split_whitespace().any(|w| w == "password"),
            _ => !line.is_empty() && !line.starts_with(['#', '-']),
        }
    };
    let lines: Vec<(usize, &str)> = text.lines().enumerate().filter(|(_, l)| counts(l)).collect();
    let readable_by = match stat.mode {
        mode if mode & 0o004 != 0 => "others",
        mode if mode & 0o040 != 0 => "group",
        _ => "",
    };
    Some(TrustFile {
        kind: kind.into(),
        account: account.into(),
        entries: u32::try_from(lines.len()).unwrap_or(u32::MAX),
        wildcard: kind != "netrc" && lines.iter().any(|(_, l)| l.split_whitespace().any(|w| w == "+")),
        mode: octal(&stat),
        readable_by: readable_by.into(),
        source: lines.first().map_or_else(|| Source::whole(&path), |(i, _)| Source::line(&path, i + 1, kind)),
        subject: path,
    })
}

#[cfg(test)]
mod tests {
    use super::database_name;

    #[test]
    fn copies_bear_the_name_of_their_database() {
        for (file, name) in [
            ("shadow", "shadow"),
            ("shadow-", "shadow"),
            ("shadow.bak", "shadow"),
            (".shadow.swp", "shadow"),
            ("gshadow~", "gshadow"),
            ("passwd.2026", "passwd"),
        ] {
            assert_eq!(database_name(file), Some(name), "{file}");
        }
        for file in ["shadowsocks", "groupadd", "passwdqc.conf", "grub", "pam.d"] {
            assert_eq!(database_name(file), None, "{file}");
        }
    }
}
