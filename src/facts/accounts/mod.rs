//! Accounts, groups and how passwords stand.
//!
//! The local database alone: passwd(5), group(5), shadow(5), login.defs(5), and the logins that
//! lastlog and wtmp recorded. Directory services that nsswitch.conf(5) names become a gap whose
//! subject is the service, so that local accounts are still judged.

pub mod database;
mod directory;
mod items;
mod login_databases;
mod logins;
mod places;

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Document, HostFamily};
use crate::host::root::CONFIG_LIMIT;
use crate::host::{Host, clock};
use crate::model::fact::Source;
use crate::model::gap::{Gaps, reason};
pub use directory::DirectoryUser;
pub use items::{CompatLine, Group, LoginDefs, Password, SharedId, User};
pub use places::{DatabaseFile, Home, TrustFile};

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
    /// Group ids that stand on more than one line of group(5), by id.
    #[serde(default)]
    pub shared_gids: Vec<SharedId>,
    /// Names that stand on more than one line of group(5), sorted.
    #[serde(default)]
    pub repeated_groups: Vec<String>,
    /// Lines of passwd(5), group(5) and shadow(5) that let a directory add accounts (`+`).
    #[serde(default)]
    pub compat_lines: Vec<CompatLine>,
    /// Accounts of a directory that this host has cached; complete only for who used this host of late.
    #[serde(default)]
    pub directory_users: Vec<DirectoryUser>,
    /// passwd, shadow, group, gshadow and copies of them.
    #[serde(default)]
    pub files: Vec<DatabaseFile>,
    /// Home folders of accounts with a login shell.
    #[serde(default)]
    pub homes: Vec<Home>,
    /// `.rhosts`, `.shosts`, hosts.equiv, shosts.equiv and `.netrc`.
    #[serde(default)]
    pub trust_files: Vec<TrustFile>,
    /// Whether an account without a recorded login never signed in: lastlog or lastlog2 is in use and every record of logins could be read.
    pub logins_complete: bool,
}

impl Document for Accounts {
    const NAME: &'static str = "accounts";
    const TITLE: &'static str = "Accounts, groups, password state and last logins";
}

impl HostFamily for Accounts {
    const WATCHED: &'static [&'static str] = &[
        "/etc/passwd*",
        "/etc/group*",
        "/etc/shadow*",
        "/etc/gshadow*",
        "/etc/security/*",
        "/etc/login.defs",
        "/etc/nsswitch.conf",
        "/etc/hosts.equiv",
        "/etc/shosts.equiv",
        "/etc/ssh/shosts.equiv",
        "~/.rhosts",
        "~/.shosts",
        "~/.netrc",
    ];

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
                primary_group_exists: groups.iter().any(|g| g.gid == line.gid),
                groups: groups_of(line, &groups),
                can_sign_in: can_sign_in(&password, shell_allows_login, now),
                password,
                last_login_at: login.map(|l| l.at),
                last_login_from: login.map(|l| l.from.clone()).filter(|f| !f.is_empty()),
                source: Source::line(database::PASSWD, line.number, line.name.clone()),
            });
        }
        let name_services = name_services(host, gaps);
        let gshadow = gather_gshadow(host, gaps);
        Some(Self {
            shared_uids: shared(users.iter().map(|u| (u.uid, &u.name, &u.source)), "uid"),
            shared_gids: shared(groups.iter().map(|g| (g.gid, &g.name, g)), "gid"),
            repeated_names: repeated(users.iter().map(|u| &u.name)),
            repeated_groups: repeated(groups.iter().map(|g| &g.name)),
            compat_lines: compat_lines(host, &name_services),
            directory_users: directory::users(host, gaps),
            files: places::database_files(host, &groups, gaps),
            homes: places::homes(host, &users, &groups, gaps),
            trust_files: places::trust_files(host, &users, gaps),
            groups: groups.into_iter().map(|g| Group::from_line(g, &gshadow)).collect(),
            name_services,
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
    let plain = |state: &str, hash: &database::Hash, source: Source| Password {
        state: state.into(),
        scheme: hash.scheme.clone(),
        rounds: hash.rounds,
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
        return plain(&line.password.state, &line.password, here());
    }
    let Some(map) = shadow else {
        return plain("unknown", &database::Hash::default(), Source::whole(database::SHADOW));
    };
    let Some(s) = map.get(&line.name) else {
        return plain("missing", &database::Hash::default(), here());
    };
    Password {
        state: s.password.state.clone(),
        scheme: s.password.scheme.clone(),
        rounds: s.password.rounds,
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

fn shared<'a, P: Place>(lines: impl Iterator<Item = (u32, &'a String, P)>, word: &str) -> Vec<SharedId> {
    let mut by_id: BTreeMap<u32, (Vec<String>, Source)> = BTreeMap::new();
    for (id, name, place) in lines {
        let entry = by_id.entry(id).or_default();
        entry.0.push(name.clone());
        entry.1 = place.source();
    }
    let several = by_id.into_iter().filter(|(_, (names, _))| names.len() > 1);
    several.map(|(id, (names, source))| SharedId { subject: format!("{word} {id}"), uid: id, names, source }).collect()
}

/// Something that stands on a line.
trait Place {
    fn source(&self) -> Source;
}

impl Place for &Source {
    fn source(&self) -> Source {
        (*self).clone()
    }
}

impl Place for &database::GroupLine {
    fn source(&self) -> Source {
        Source::line(database::GROUP, self.number, self.name.clone())
    }
}

fn repeated<'a>(names: impl Iterator<Item = &'a String>) -> Vec<String> {
    let mut seen = BTreeSet::new();
    names.filter(|name| !seen.insert(*name)).cloned().collect::<BTreeSet<_>>().into_iter().collect()
}

/// gshadow(5) by group; a host without the file keeps group passwords in group(5).
fn gather_gshadow(host: &Host, gaps: &mut Gaps) -> BTreeMap<String, database::GshadowLine> {
    match database::gshadow(host) {
        Ok((lines, malformed)) => {
            note_malformed(gaps, "groups.password", database::GSHADOW, &malformed);
            let mut map = BTreeMap::new();
            for line in lines {
                map.entry(line.name.clone()).or_insert(line);
            }
            map
        }
        Err(e) => {
            if !e.is_not_found() {
                gaps.add(e.to_gap(Accounts::NAME, "groups.password", ""));
                gaps.add(e.to_gap(Accounts::NAME, "groups.administrators", ""));
            }
            BTreeMap::new()
        }
    }
}

/// `+` lines have an effect where nsswitch.conf(5) names `compat` alone.
fn compat_lines(host: &Host, name_services: &[String]) -> Vec<CompatLine> {
    let text = host.read_text(NSSWITCH, CONFIG_LIMIT).unwrap_or_default();
    let uses = |database: &str| match database {
        "passwd" => name_services.iter().any(|s| s == "compat"),
        other => database::services_for(&text, other).unwrap_or_else(|| name_services.to_vec()).iter().any(|s| s == "compat"),
    };
    let files = [("passwd", database::PASSWD), ("group", database::GROUP), ("shadow", database::SHADOW)];
    let found =
        files.into_iter().flat_map(|(database, path)| database::compat_lines(host, path).into_iter().map(move |(line, name)| (database, path, line, name)));
    let lines = found.map(|(database, path, line, name)| CompatLine {
        subject: format!("{path}:{line}"),
        adds: name.starts_with('+'),
        effective: uses(database),
        source: Source::line(path, line, "compat"),
    });
    lines.collect()
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
    let line = |key: &str| Source::line(LOGIN_DEFS, database::login_def_line(&text, key), key);
    LoginDefs {
        pass_max_days_source: line("PASS_MAX_DAYS"),
        pass_min_len: number("PASS_MIN_LEN"),
        pass_warn_age: number("PASS_WARN_AGE"),
        umask: value("UMASK").unwrap_or_default(),
        fail_delay: number("FAIL_DELAY"),
        sys_uid_max: number("SYS_UID_MAX"),
        pass_max_days: number("PASS_MAX_DAYS"),
        pass_min_days: number("PASS_MIN_DAYS"),
        encrypt_method: value("ENCRYPT_METHOD").unwrap_or_default(),
        uid_min: number("UID_MIN").unwrap_or(1000),
        source: Source::whole(LOGIN_DEFS),
    }
}
