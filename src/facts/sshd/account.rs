//! What sshd decides for each account, the most permissive answer over all connections.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::criteria::Connection;
use super::effective::Effective;
use super::file::Directive;
use super::sample;
use crate::facts::accounts::database::{GroupLine, PasswdLine};
use crate::model::fact::Source;

/// What sshd decides for one account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AccountAccess {
    /// Login name.
    #[schemars(extend("x-personal" = true))]
    pub subject: String,
    /// User id.
    pub uid: u32,
    /// Whether DenyUsers, AllowUsers, DenyGroups and AllowGroups let it in from somewhere, and root is not refused.
    pub allowed: bool,
    /// The line that refuses it, or `null` when none does.
    pub refused_by: Option<Source>,
    /// Whether a password alone signs in: methods, allow lists and PermitRootLogin of one and the same connection.
    pub password_opens: bool,
    /// The line that decides so; `null`: the default of sshd.
    pub password_source: Option<Source>,
    /// Where such a connection comes from or goes to (`address 10.0.0.0/8`); empty: anywhere.
    pub password_conditions: String,
    /// Whether a key signs in, with or without a second method.
    pub key_opens: bool,
    /// Whether an empty password signs in.
    pub empty_password_opens: bool,
    /// PermitRootLogin: `yes`, `prohibit-password`, `forced-commands-only` or `no`; the most permissive of the connections that are allowed.
    pub permit_root_login: Decided,
    /// PasswordAuthentication, `yes` or `no`.
    pub password_authentication: Decided,
    /// KbdInteractiveAuthentication, `yes` or `no`.
    pub kbd_interactive_authentication: Decided,
    /// PubkeyAuthentication, `yes` or `no`.
    pub pubkey_authentication: Decided,
    /// PermitEmptyPasswords, `yes` or `no`.
    pub permit_empty_passwords: Decided,
    /// AuthenticationMethods as written; `any` when none is required.
    pub authentication_methods: Decided,
    /// Program of ForceCommand without its arguments; `none`. A value that only some connections have counts as `none`.
    pub force_command: Decided,
    /// ChrootDirectory; `none`, likewise.
    pub chroot_directory: Decided,
    /// AuthorizedKeysFile patterns of every connection, in order.
    pub authorized_keys_files: Vec<String>,
    /// AuthorizedPrincipalsFile of every connection, in order.
    pub authorized_principals_files: Vec<String>,
    /// TrustedUserCAKeys of every connection, in order.
    pub trusted_user_ca_keys: Vec<String>,
    /// RevokedKeys, when every connection has the same; else empty.
    pub revoked_keys: String,
}

/// One value and what decided it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Decided {
    /// The value.
    pub value: String,
    /// Where a connection must come from or go to; empty: the value holds anywhere.
    pub conditions: String,
    /// File and line; `null`: the default of sshd.
    pub source: Option<Source>,
}

/// Most accounts; each takes about 2 KiB of the document.
const ACCOUNT_LIMIT: usize = 10_000;
/// Most comparisons of a directive with a connection.
const WORK_LIMIT: usize = 100_000_000;

/// Every account, each name once.
pub fn accounts(
    directives: &[Directive],
    users: &[PasswdLine],
    groups: &[GroupLine],
    ports: &[i64],
    use_dns: bool,
) -> Result<Vec<AccountAccess>, &'static str> {
    if users.len() > ACCOUNT_LIMIT {
        return Err("is not compared with so many accounts");
    }
    let connections = sample::connections(directives, ports, use_dns)?;
    let memberships = memberships(users, groups);
    let mut cache: BTreeMap<Vec<bool>, Vec<Effective<'_>>> = BTreeMap::new();
    let mut out = Vec::new();
    let mut seen = BTreeSet::new();
    for user in users.iter().filter(|u| seen.insert(u.name.as_str())) {
        let own: Vec<Connection> = connections
            .iter()
            .map(|c| Connection { user: user.name.clone(), groups: memberships.get(user.name.as_str()).cloned().unwrap_or_default(), ..c.clone() })
            .collect();
        let Some(first) = own.first() else { continue };
        // Accounts for whom the same blocks may hold share their answers.
        let key: Vec<bool> = directives.iter().map(|d| d.blocks.iter().all(|b| b.holds_for_account(first))).collect();
        if !cache.contains_key(&key) {
            if (cache.len() + 1).saturating_mul(own.len()).saturating_mul(directives.len()) > WORK_LIMIT {
                return Err("has more Match blocks, connections and accounts than are compared");
            }
            let resolved = own.iter().map(|c| Effective::of_connection(directives, c)).collect();
            cache.insert(key.clone(), resolved);
        }
        if let Some(resolved) = cache.get(&key) {
            out.push(account(user, &own, resolved));
        }
    }
    Ok(out)
}

/// Names of the groups of every account, primary group first.
fn memberships<'a>(users: &'a [PasswdLine], groups: &[GroupLine]) -> BTreeMap<&'a str, Vec<String>> {
    let mut listed: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut by_gid: BTreeMap<u32, &str> = BTreeMap::new();
    for group in groups {
        by_gid.entry(group.gid).or_insert(&group.name);
        for member in &group.members {
            listed.entry(member).or_default().push(&group.name);
        }
    }
    users
        .iter()
        .map(|u| {
            let mut names: Vec<String> = by_gid.get(&u.gid).map(|n| (*n).to_string()).into_iter().collect();
            for name in listed.get(u.name.as_str()).into_iter().flatten() {
                if !names.iter().any(|n| n == name) {
                    names.push((*name).to_string());
                }
            }
            (u.name.as_str(), names)
        })
        .collect()
}

fn account(user: &PasswdLine, own: &[Connection], resolved: &[Effective<'_>]) -> AccountAccess {
    let root = user.uid == 0;
    let mut refused_by = None;
    let mut open: Vec<&Effective<'_>> = Vec::new();
    for (connection, effective) in own.iter().zip(resolved) {
        let refusal = effective.refusal(connection).or_else(|| effective.first("permitrootlogin").filter(|d| root && root_login(&d.value()) == "no"));
        match refusal {
            None => open.push(effective),
            Some(directive) => {
                refused_by.get_or_insert_with(|| directive.source());
            }
        }
    }
    let allowed = !open.is_empty();
    // Of an account that nobody can use, the values still say what is configured.
    let looked_at: Vec<&Effective<'_>> = if allowed { open.clone() } else { resolved.iter().collect() };
    let pick = |keyword: &str, default: &str, rank: fn(&str) -> u8| most_permissive(&looked_at, keyword, default, rank);
    let opening = open.iter().find(|e| password_opens(e, root));
    let by = opening.and_then(|e| password_line(e));
    AccountAccess {
        subject: user.name.clone(),
        uid: user.uid,
        allowed,
        refused_by: if allowed { None } else { refused_by },
        password_opens: opening.is_some(),
        password_source: by.map(Directive::source),
        password_conditions: opening.map(|e| conditions_of(e, &PASSWORD_KEYWORDS)).unwrap_or_default(),
        key_opens: open.iter().any(|e| key_opens(e)),
        empty_password_opens: open.iter().any(|e| password_opens(e, root) && e.flag("permitemptypasswords", false)),
        permit_root_login: pick("permitrootlogin", "prohibit-password", root_rank),
        password_authentication: pick("passwordauthentication", "yes", yes_rank),
        kbd_interactive_authentication: pick("kbdinteractiveauthentication", "yes", yes_rank),
        pubkey_authentication: pick("pubkeyauthentication", "yes", yes_rank),
        permit_empty_passwords: pick("permitemptypasswords", "no", yes_rank),
        authentication_methods: pick("authenticationmethods", "any", any_rank),
        force_command: pick("forcecommand", "none", none_rank),
        chroot_directory: pick("chrootdirectory", "none", none_rank),
        authorized_keys_files: union(&looked_at, "authorizedkeysfile", &KEY_FILES),
        authorized_principals_files: union(&looked_at, "authorizedprincipalsfile", &[]),
        trusted_user_ca_keys: union(&looked_at, "trustedusercakeys", &[]),
        revoked_keys: same(&looked_at, "revokedkeys"),
    }
}

fn most_permissive(connections: &[&Effective<'_>], keyword: &str, default: &str, rank: fn(&str) -> u8) -> Decided {
    let mut best: Option<(u8, Decided)> = None;
    for effective in connections {
        let line = effective.first(keyword);
        let value = line.map_or_else(|| default.to_string(), |d| normal(keyword, d));
        let rank = rank(&value);
        if best.as_ref().is_none_or(|(least, _)| rank > *least) {
            let conditions = line.map(conditions).unwrap_or_default();
            best = Some((rank, Decided { value, conditions, source: line.map(Directive::source) }));
        }
    }
    best.map(|(_, decided)| decided).unwrap_or_default()
}

/// Words that sshd compares without case, in lower case.
fn normal(keyword: &str, directive: &Directive) -> String {
    let value = directive.shown();
    match keyword {
        "permitrootlogin" => root_login(&value),
        "authenticationmethods" | "forcecommand" | "chrootdirectory" => value,
        _ => value.to_ascii_lowercase(),
    }
}

/// The value of PermitRootLogin by its present name.
pub fn root_login(value: &str) -> String {
    let value = value.to_ascii_lowercase();
    if value == "without-password" { "prohibit-password".into() } else { value }
}

fn root_rank(value: &str) -> u8 {
    ["no", "forced-commands-only", "prohibit-password", "yes"].iter().position(|v| *v == value).map_or(0, |p| u8::try_from(p).unwrap_or(0))
}

fn yes_rank(value: &str) -> u8 {
    u8::from(value == "yes")
}

fn any_rank(value: &str) -> u8 {
    u8::from(value == "any")
}

fn none_rank(value: &str) -> u8 {
    u8::from(value == "none")
}

fn conditions(directive: &Directive) -> String {
    directive.blocks.iter().flat_map(|b| b.conditions()).collect::<Vec<_>>().join(" ")
}

const PASSWORD_KEYWORDS: [&str; 4] = ["passwordauthentication", "kbdinteractiveauthentication", "authenticationmethods", "permitrootlogin"];

fn conditions_of(effective: &Effective<'_>, keywords: &[&str]) -> String {
    let found: BTreeSet<String> = keywords.iter().filter_map(|k| effective.first(k)).map(conditions).filter(|c| !c.is_empty()).collect();
    found.into_iter().collect::<Vec<_>>().join(" and ")
}

/// Whether a password, asked for by either method, is enough.
fn password_opens(effective: &Effective<'_>, root: bool) -> bool {
    if root && effective.first("permitrootlogin").is_none_or(|d| root_login(&d.value()) != "yes") {
        return false;
    }
    let password = effective.flag("passwordauthentication", true);
    let interactive = asks_interactively(effective);
    let works = |method: &str| match method.split(':').next().unwrap_or("") {
        "password" => password,
        "keyboard-interactive" => interactive,
        _ => false,
    };
    match methods(effective) {
        None => password || interactive,
        Some(alternatives) => alternatives.iter().any(|list| list.iter().all(|m| works(m))),
    }
}

/// The line to name: the one that turns on a method, or requires one that is on.
fn password_line<'a>(effective: &Effective<'a>) -> Option<&'a Directive> {
    let keyword = if effective.flag("passwordauthentication", true) { "passwordauthentication" } else { "kbdinteractiveauthentication" };
    effective.first(keyword)
}

/// Without PAM there is nobody to ask.
fn asks_interactively(effective: &Effective<'_>) -> bool {
    effective.flag("kbdinteractiveauthentication", true) && effective.flag("usepam", false)
}

fn key_opens(effective: &Effective<'_>) -> bool {
    if !effective.flag("pubkeyauthentication", true) {
        return false;
    }
    let works = |method: &str| match method.split(':').next().unwrap_or("") {
        "publickey" => true,
        "password" => effective.flag("passwordauthentication", true),
        "keyboard-interactive" => asks_interactively(effective),
        _ => false,
    };
    methods(effective)
        .is_none_or(|alternatives| alternatives.iter().any(|list| list.iter().any(|m| m.starts_with("publickey")) && list.iter().all(|m| works(m))))
}

/// The alternatives of AuthenticationMethods; `None`: any method is enough.
fn methods(effective: &Effective<'_>) -> Option<Vec<Vec<String>>> {
    let line = effective.first("authenticationmethods")?;
    let any = line.arguments.iter().any(|a| a == "any") || line.arguments.is_empty();
    (!any).then(|| line.arguments.iter().map(|a| a.split(',').map(String::from).collect()).collect())
}

/// AuthorizedKeysFile when it is not written.
pub const KEY_FILES: [&str; 2] = [".ssh/authorized_keys", ".ssh/authorized_keys2"];

fn union(connections: &[&Effective<'_>], keyword: &str, default: &[&str]) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    for effective in connections {
        let values = effective.first(keyword).map_or_else(|| default.iter().map(|v| (*v).to_string()).collect(), |d| d.arguments.clone());
        for value in values {
            if !value.eq_ignore_ascii_case("none") && !out.contains(&value) {
                out.push(value);
            }
        }
    }
    out
}

fn same(connections: &[&Effective<'_>], keyword: &str) -> String {
    let values: BTreeSet<String> = connections.iter().map(|e| e.first(keyword).map(Directive::value).unwrap_or_default()).collect();
    match values.first() {
        Some(value) if values.len() == 1 && !value.eq_ignore_ascii_case("none") => value.clone(),
        _ => String::new(),
    }
}
