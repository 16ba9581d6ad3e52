//! Accounts, groups and how passwords stand.
//!
//! The local database alone: passwd(5), group(5), shadow(5), login.defs(5), and the logins that
//! lastlog and wtmp recorded. Directory services that nsswitch.conf(5) names become a gap whose
//! subject is the service, so that local accounts are still judged.

pub mod database;
mod login_databases;
mod logins;

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Document, HostFamily};
use crate::host::root::CONFIG_LIMIT;
use crate::host::{Host, clock};
use crate::model::fact::Source;
use crate::model::gap::{Gaps, reason};

/// The local user database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Accounts {
    /// Every line of passwd(5), in file order.
    pub users: Vec<User>,
    /// Every line of group(5), in file order.
    pub groups: Vec<Group>,
    /// Sources that nsswitch.conf(5) names for `passwd`, in order.
    pub name_services: Vec<String>,
    /// login.defs(5), the values that take effect for new accounts.
    pub login_defs: LoginDefs,
    /// User ids that stand on more than one line of passwd(5), by id.
    pub shared_uids: Vec<SharedId>,
    /// Names that stand on more than one line of passwd(5), sorted.
    #[schemars(extend("x-personal" = true))]
    pub repeated_names: Vec<String>,
    /// Whether an account without a recorded login never signed in: lastlog or lastlog2 is in use and every record of logins could be read.
    pub logins_complete: bool,
}

impl Document for Accounts {
    const NAME: &'static str = "accounts";
    const TITLE: &'static str = "Accounts, groups, password state and last logins";
}

impl HostFamily for Accounts {
    fn gather(host: &Host, gaps: &mut Gaps) -> Option<Self> {
        let lines = match database::passwd(host) {
            Ok((lines, malformed)) => {
                note_malformed(gaps, "users", database::PASSWD, &malformed);
                lines
            }
            Err(e) => {
                gaps.add(e.to_gap(Self::NAME, "", ""));
                return None;
            }
        };
        let groups = gather_groups(host, gaps);
        let shadow = gather_shadow(host, gaps);
        let (logins, logins_complete) = logins::newest(host, &lines, gaps);
        let now = clock::unix_now();
        let mut seen = BTreeSet::new();
        let mut users = Vec::with_capacity(lines.len());
        for line in &lines {
            let password = password_of(line, shadow.as_ref());
            let shell_allows_login = shell_allows_login(host, &line.shell);
            let login = logins.get(&line.name);
            users.push(User {
                subject: if seen.insert(line.name.clone()) { line.name.clone() } else { format!("{} ({}:{})", line.name, database::PASSWD, line.number) },
                name: line.name.clone(),
                uid: line.uid,
                gid: line.gid,
                full_name: line.full_name.clone(),
                home: line.home.clone(),
                shell: line.shell.clone(),
                shell_allows_login,
                shell_exists: shell_exists(host, &line.shell),
                groups: groups_of(line, &groups),
                can_sign_in: can_sign_in(&password, shell_allows_login, now),
                password,
                last_login_at: login.map(|l| l.at),
                last_login_from: login.map(|l| l.from.clone()).filter(|f| !f.is_empty()),
                source: Source::line(database::PASSWD, line.number, line.name.clone()),
            });
        }
        Some(Self {
            shared_uids: shared_uids(&users),
            repeated_names: repeated_names(&users),
            groups: groups.into_iter().map(Group::from_line).collect(),
            name_services: name_services(host, gaps),
            login_defs: login_defs(host, gaps),
            logins_complete,
            users,
        })
    }
}

fn note_malformed(gaps: &mut Gaps, path: &str, file: &str, malformed: &[database::Malformed]) {
    for line in malformed {
        let place = format!("{file}:{}", line.number);
        gaps.note(Accounts::NAME, path, &place, reason::MALFORMED, format!("{place}: {}", line.problem), "Mend the line with vipw or vigr.");
    }
}

fn gather_groups(host: &Host, gaps: &mut Gaps) -> Vec<database::GroupLine> {
    match database::group(host) {
        Ok((lines, malformed)) => {
            note_malformed(gaps, "groups", database::GROUP, &malformed);
            lines
        }
        Err(e) => {
            gaps.add(e.to_gap(Accounts::NAME, "groups", ""));
            gaps.add(e.to_gap(Accounts::NAME, "users.groups", ""));
            Vec::new()
        }
    }
}

/// `None` when shadow can't be read (a gap was added); a machine without it has no line at all.
fn gather_shadow(host: &Host, gaps: &mut Gaps) -> Option<BTreeMap<String, database::ShadowLine>> {
    match database::shadow(host) {
        Ok((lines, malformed)) => {
            note_malformed(gaps, "users.password", database::SHADOW, &malformed);
            let mut map = BTreeMap::new();
            for line in lines {
                // The C library takes the first line of a name.
                map.entry(line.name.clone()).or_insert(line);
            }
            Some(map)
        }
        Err(e) => {
            gaps.add(e.to_gap(Accounts::NAME, "users.password", ""));
            gaps.add(e.to_gap(Accounts::NAME, "users.can_sign_in", ""));
            None
        }
    }
}

fn password_of(line: &database::PasswdLine, shadow: Option<&BTreeMap<String, database::ShadowLine>>) -> Password {
    let plain = |state: &str, scheme: &str, source: Source| Password {
        state: state.into(),
        scheme: scheme.into(),
        changed_at: None,
        minimum_days: None,
        maximum_days: None,
        warn_days: None,
        inactive_days: None,
        expires_at: None,
        source,
    };
    let here = || Source::line(database::PASSWD, line.number, "password");
    if !line.shadowed {
        return plain(&line.password.state, &line.password.scheme, here());
    }
    let Some(map) = shadow else {
        return plain("unknown", "", Source::whole(database::SHADOW));
    };
    let Some(s) = map.get(&line.name) else {
        return plain("missing", "", here());
    };
    Password {
        state: s.password.state.clone(),
        scheme: s.password.scheme.clone(),
        changed_at: s.changed_day.map(|d| d.saturating_mul(DAY)),
        minimum_days: s.minimum_days,
        maximum_days: s.maximum_days,
        warn_days: s.warn_days,
        inactive_days: s.inactive_days,
        expires_at: s.expires_day.map(|d| d.saturating_mul(DAY)),
        source: Source::line(database::SHADOW, s.number, "password"),
    }
}

/// Seconds of a day.
const DAY: i64 = 86_400;

/// Shells that end at once (nologin(8), false(1), and the commands of Debian's passwd).
const NO_LOGIN: [&str; 6] = ["nologin", "false", "true", "sync", "halt", "shutdown"];

fn shell_allows_login(host: &Host, shell: &str) -> bool {
    // passwd(5): an empty field is /bin/sh.
    if shell.is_empty() {
        return true;
    }
    let name = shell.rsplit('/').next().unwrap_or(shell);
    !NO_LOGIN.contains(&name) && shell_exists(host, shell)
}

/// Whether the file is there. An image without the shell's folder (a partial copy, `/usr` on
/// another volume) can't prove it absent, and a way in must not look closed for that.
fn shell_exists(host: &Host, shell: &str) -> bool {
    if shell.is_empty() || host.exists(shell).unwrap_or(true) {
        return true;
    }
    let folder = shell.rsplit_once('/').map_or("/", |(folder, _)| folder);
    !host.is_live() && !host.exists(folder).unwrap_or(false)
}

fn can_sign_in(password: &Password, shell: bool, now: i64) -> Option<bool> {
    if !shell {
        return Some(false);
    }
    match password.state.as_str() {
        "unknown" => None,
        "usable" | "empty" => Some(!expired(password, now)),
        _ => Some(false),
    }
}

/// As pam_unix(8) decides: the expiry day has come, or the password was not changed within its
/// age and the days of inactivity after it.
fn expired(password: &Password, now: i64) -> bool {
    if password.expires_at.is_some_and(|at| at <= now) {
        return true;
    }
    match (password.changed_at, password.maximum_days, password.inactive_days) {
        (Some(changed), Some(maximum), Some(inactive)) if changed > 0 => changed.saturating_add((maximum.saturating_add(inactive)).saturating_mul(DAY)) < now,
        _ => false,
    }
}

fn groups_of(line: &database::PasswdLine, groups: &[database::GroupLine]) -> Vec<String> {
    let primary = groups.iter().find(|g| g.gid == line.gid).map_or_else(|| line.gid.to_string(), |g| g.name.clone());
    let mut others: BTreeSet<&str> = groups.iter().filter(|g| g.members.contains(&line.name)).map(|g| g.name.as_str()).collect();
    others.remove(primary.as_str());
    std::iter::once(primary.clone()).chain(others.into_iter().map(String::from)).collect()
}

fn shared_uids(users: &[User]) -> Vec<SharedId> {
    let mut by_uid: BTreeMap<u32, Vec<&User>> = BTreeMap::new();
    for user in users {
        by_uid.entry(user.uid).or_default().push(user);
    }
    by_uid
        .into_iter()
        .filter(|(_, users)| users.len() > 1)
        .map(|(uid, users)| SharedId {
            subject: format!("uid {uid}"),
            uid,
            names: users.iter().map(|u| u.name.clone()).collect(),
            source: users.last().map(|u| u.source.clone()).unwrap_or_default(),
        })
        .collect()
}

fn repeated_names(users: &[User]) -> Vec<String> {
    let mut seen = BTreeSet::new();
    users.iter().filter(|u| !seen.insert(&u.name)).map(|u| u.name.clone()).collect::<BTreeSet<_>>().into_iter().collect()
}

const NSSWITCH: &str = "/etc/nsswitch.conf";

/// Services whose accounts stand in local files or belong to systemd's own units.
const LOCAL_SERVICES: [&str; 4] = ["files", "compat", "systemd", "altfiles"];

fn name_services(host: &Host, gaps: &mut Gaps) -> Vec<String> {
    let services = match host.read_text(NSSWITCH, CONFIG_LIMIT) {
        Ok(text) => database::services_for(&text, "passwd"),
        Err(e) if e.is_not_found() => None,
        Err(e) => {
            gaps.add(e.to_gap(Accounts::NAME, "name_services", ""));
            None
        }
    };
    // nsswitch.conf(5): without an entry glibc asks `files`.
    let services = services.unwrap_or_else(|| vec!["files".into()]);
    for service in services.iter().filter(|s| !LOCAL_SERVICES.contains(&s.as_str())) {
        let detail = format!("{NSSWITCH} names {service} for passwd: its accounts and groups can't be listed from files");
        gaps.note(Accounts::NAME, "users", service, reason::UNSUPPORTED, detail, "Review the accounts of the directory service at its source.");
    }
    services
}

const LOGIN_DEFS: &str = "/etc/login.defs";

fn login_defs(host: &Host, gaps: &mut Gaps) -> LoginDefs {
    let text = match host.read_text(LOGIN_DEFS, CONFIG_LIMIT) {
        Ok(text) => text,
        Err(e) => {
            if !e.is_not_found() {
                gaps.add(e.to_gap(Accounts::NAME, "login_defs", ""));
            }
            String::new()
        }
    };
    let value = |key: &str| database::login_def(&text, key);
    let number = |key: &str| value(key).and_then(|v| v.parse::<i64>().ok());
    LoginDefs {
        pass_max_days: number("PASS_MAX_DAYS"),
        pass_min_days: number("PASS_MIN_DAYS"),
        encrypt_method: value("ENCRYPT_METHOD").unwrap_or_default(),
        uid_min: number("UID_MIN").unwrap_or(1000),
        source: Source::whole(LOGIN_DEFS),
    }
}

/// One account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// Login name; a repeated one with the place of its line.
    #[schemars(extend("x-personal" = true))]
    pub subject: String,
    /// Login name.
    #[schemars(extend("x-personal" = true))]
    pub name: String,
    /// User id.
    pub uid: u32,
    /// Primary group id.
    pub gid: u32,
    /// First part of the GECOS field.
    #[schemars(extend("x-personal" = true))]
    pub full_name: String,
    /// Home folder.
    pub home: String,
    /// Login shell.
    pub shell: String,
    /// Whether the shell is none of nologin, false, sync, halt, shutdown and exists.
    pub shell_allows_login: bool,
    /// Whether the shell exists (sshd refuses accounts whose shell does not).
    pub shell_exists: bool,
    /// Every group: primary first, then supplementary, sorted.
    pub groups: Vec<String>,
    /// State of the password.
    pub password: Password,
    /// Whether the password signs in at a shell: a usable or empty password, a login shell, no expiry reached when the facts were gathered; `null` when shadow can't be read. Keys are in `ssh_keys`.
    pub can_sign_in: Option<bool>,
    /// Newest login in wtmp, lastlog or lastlog2, Unix seconds; `null`: none recorded.
    #[schemars(extend("x-volatile" = true))]
    pub last_login_at: Option<i64>,
    /// Its origin, host or terminal.
    #[schemars(extend("x-volatile" = true, "x-personal" = true))]
    pub last_login_from: Option<String>,
    /// Line of passwd(5).
    pub source: Source,
}

/// What shadow(5) says, never the hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Password {
    /// `usable`, `locked` (a hash behind `!`), `none` (`*`, `!` or another impossible hash), `empty` (no password asked), `unknown` (shadow can't be read), `missing` (no shadow line).
    pub state: String,
    /// Hash scheme by crypt(5): `yescrypt`, `sha512crypt`, `sha256crypt`, `bcrypt`, `md5crypt`, `descrypt`, …; empty without a hash.
    pub scheme: String,
    /// Last change, Unix seconds (midnight UTC); `null` when not set.
    pub changed_at: Option<i64>,
    /// `null`: not set.
    pub minimum_days: Option<i64>,
    /// `null`: not set.
    pub maximum_days: Option<i64>,
    /// `null`: not set.
    pub warn_days: Option<i64>,
    /// `null`: not set.
    pub inactive_days: Option<i64>,
    /// Account expiry, Unix seconds (midnight UTC); `null`: never.
    pub expires_at: Option<i64>,
    /// Line of shadow(5), or of passwd(5) when the hash stands there.
    pub source: Source,
}

/// A user id of several accounts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SharedId {
    /// `uid N`.
    pub subject: String,
    /// The id.
    pub uid: u32,
    /// Accounts that have it, in file order.
    #[schemars(extend("x-personal" = true))]
    pub names: Vec<String>,
    /// The last of them in passwd(5).
    pub source: Source,
}

/// One group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// Name.
    pub name: String,
    /// Group id.
    pub gid: u32,
    /// Members named in group(5), sorted.
    #[schemars(extend("x-personal" = true))]
    pub members: Vec<String>,
    /// Line of group(5).
    pub source: Source,
}

impl Group {
    fn from_line(line: database::GroupLine) -> Self {
        let source = Source::line(database::GROUP, line.number, line.name.clone());
        Self { name: line.name, gid: line.gid, members: line.members, source }
    }
}

/// Values of login.defs(5).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LoginDefs {
    /// `PASS_MAX_DAYS`.
    pub pass_max_days: Option<i64>,
    /// `PASS_MIN_DAYS`.
    pub pass_min_days: Option<i64>,
    /// `ENCRYPT_METHOD`, empty when not set.
    pub encrypt_method: String,
    /// `UID_MIN`, 1000 by default.
    pub uid_min: i64,
    /// The file.
    pub source: Source,
}
