//! The items of the document: accounts, passwords, groups.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::database;
use crate::model::fact::Source;

/// For facts of before the field was known.
const fn yes() -> bool {
    true
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
    /// Whether group(5) has a line for the primary group.
    #[serde(default = "yes")]
    pub primary_group_exists: bool,
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
    /// Rounds (sha256crypt, sha512crypt) or cost (bcrypt, yescrypt) of the hash; `null` without a hash or where the scheme has none.
    pub rounds: Option<i64>,
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

/// An id of several accounts or groups.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SharedId {
    /// `uid N` or `gid N`.
    pub subject: String,
    /// The id.
    pub uid: u32,
    /// Accounts or groups that have it, in file order.
    #[schemars(extend("x-personal" = true))]
    pub names: Vec<String>,
    /// The last of them in passwd(5) or group(5).
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
    /// State of the group's own password, with which others join it by newgrp(1): `usable`, `empty`, `locked`, `none`.
    #[serde(default)]
    pub password: String,
    /// Accounts that may change members and password by gshadow(5), sorted.
    #[schemars(extend("x-personal" = true))]
    #[serde(default)]
    pub administrators: Vec<String>,
    /// Line that holds the password: of gshadow(5), or of group(5).
    #[serde(default)]
    pub password_source: Source,
    /// Line of group(5).
    pub source: Source,
}

impl Group {
    pub(super) fn from_line(line: database::GroupLine, gshadow: &BTreeMap<String, database::GshadowLine>) -> Self {
        let source = Source::line(database::GROUP, line.number, line.name.clone());
        let shadow = gshadow.get(&line.name).filter(|_| line.shadowed);
        Self {
            password: shadow.map_or(line.password.state, |s| s.password.state.clone()),
            administrators: shadow.map(|s| s.administrators.clone()).unwrap_or_default(),
            password_source: shadow.map_or_else(|| source.clone(), |s| Source::line(database::GSHADOW, s.number, "password")),
            name: line.name,
            gid: line.gid,
            members: line.members,
            source,
        }
    }
}

/// A line by which accounts of a directory are added or left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CompatLine {
    /// `PATH:LINE`.
    pub subject: String,
    /// `+`: adds accounts; `-`: leaves them out.
    pub adds: bool,
    /// Whether nsswitch.conf(5) names `compat` for the database; other services pass such lines over.
    pub effective: bool,
    /// The line.
    pub source: Source,
}

/// Values of login.defs(5).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LoginDefs {
    /// `PASS_MAX_DAYS`.
    pub pass_max_days: Option<i64>,
    /// `PASS_MIN_DAYS`.
    pub pass_min_days: Option<i64>,
    /// Line of `PASS_MAX_DAYS`, 0 when it is not set.
    #[serde(default)]
    pub pass_max_days_source: Source,
    /// `PASS_MIN_LEN`: without effect where passwords are changed through PAM.
    pub pass_min_len: Option<i64>,
    /// `PASS_WARN_AGE`.
    pub pass_warn_age: Option<i64>,
    /// `UMASK`, octal; empty when not set.
    #[serde(default)]
    pub umask: String,
    /// `FAIL_DELAY`, seconds: without effect where login authenticates through PAM.
    pub fail_delay: Option<i64>,
    /// `SYS_UID_MAX`.
    pub sys_uid_max: Option<i64>,
    /// `ENCRYPT_METHOD`, empty when not set.
    pub encrypt_method: String,
    /// `UID_MIN`, 1000 by default.
    pub uid_min: i64,
    /// The file.
    pub source: Source,
}
