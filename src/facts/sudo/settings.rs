//! Defaults entries as facts, and the state of the files that hold the policy.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::parse::{Parameter, Scope};
use super::resolve::shown;
use crate::host::{FileKind, Host};
use crate::model::fact::Source;

/// One setting of a Defaults entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DefaultsEntry {
    /// `NAME PATH:LINE`, and the scope when there is one.
    #[schemars(extend("x-personal" = true))]
    pub subject: String,
    /// Name, such as `authenticate`.
    pub name: String,
    /// Whether `!` turns it off.
    pub off: bool,
    /// Value; empty for a flag.
    pub value: String,
    /// `timestamp_timeout` in seconds, negative: never; `null` for other settings.
    pub seconds: Option<i64>,
    /// What it is limited to as written (`:bob`, `>root`, `@web`, `!/bin/ls`); empty: everything.
    #[schemars(extend("x-personal" = true))]
    pub scope: String,
    /// Whether no later entry of the same name and scope replaces it.
    pub effective: bool,
    /// File and line.
    pub source: Source,
}

/// Settings that are kept.
const KEPT: [&str; 27] = [
    "authenticate",
    "closefrom_override",
    "editor",
    "env_editor",
    "env_keep",
    "env_reset",
    "exempt_group",
    "insults",
    "log_input",
    "log_output",
    "logfile",
    "noexec",
    "passwd_tries",
    "pwfeedback",
    "requiretty",
    "rootpw",
    "runas_default",
    "runaspw",
    "secure_path",
    "setenv",
    "syslog",
    "targetpw",
    "timestamp_timeout",
    "timestamp_type",
    "tty_tickets",
    "use_pty",
    "visiblepw",
];

impl DefaultsEntry {
    /// `None` for a setting that is not kept.
    pub fn of(scope: &Scope, parameter: &Parameter, path: &str, line: usize) -> Option<Self> {
        if !KEPT.contains(&parameter.name.as_str()) {
            return None;
        }
        let scope = scope_text(scope);
        let name = parameter.name.clone();
        let shown = if scope.is_empty() { name.clone() } else { format!("{name} {scope}") };
        Some(Self {
            subject: format!("{shown} {path}:{line}"),
            off: parameter.negated,
            seconds: if name == "timestamp_timeout" { minutes(&parameter.value, parameter.negated) } else { None },
            value: parameter.value.clone(),
            scope,
            effective: true,
            source: Source::line(path, line, name.clone()),
            name,
        })
    }
}

fn scope_text(scope: &Scope) -> String {
    let (mark, items) = match scope {
        Scope::Global => return String::new(),
        Scope::Hosts(items) => ('@', items),
        Scope::Users(items) => (':', items),
        Scope::Runas(items) => ('>', items),
        Scope::Commands(items) => ('!', items),
    };
    format!("{mark}{}", items.iter().map(shown).collect::<Vec<_>>().join(","))
}

/// Minutes, which may have a fraction, to seconds.
fn minutes(value: &str, negated: bool) -> Option<i64> {
    if negated {
        return Some(0);
    }
    let (negative, digits) = value.strip_prefix('-').map_or((false, value), |rest| (true, rest));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let whole: i64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let tenths: i64 = fraction.get(..1)?.parse().ok()?;
    let seconds = whole.checked_mul(60)?.checked_add(tenths * 6)?;
    Some(if negative { -seconds } else { seconds })
}

/// The last entry of a name and scope counts; lists that add up all do.
pub fn mark_effective(entries: &mut [DefaultsEntry]) {
    let mut last: BTreeMap<(String, String), usize> = BTreeMap::new();
    for (index, entry) in entries.iter().enumerate() {
        last.insert((entry.name.clone(), entry.scope.clone()), index);
    }
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    for (index, entry) in entries.iter_mut().enumerate() {
        entry.effective = entry.name == "env_keep" || last.get(&(entry.name.clone(), entry.scope.clone())) == Some(&index);
        let count = seen.entry(entry.subject.clone()).or_default();
        *count += 1;
        if *count > 1 {
            entry.subject = format!("{} ({count})", entry.subject);
        }
    }
}

/// A file or folder of the policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PolicyFile {
    /// Path.
    pub subject: String,
    /// Owner.
    pub owner_uid: u32,
    /// Group.
    pub gid: u32,
    /// Permission bits.
    pub mode: u32,
    /// Whether its owner or mode lets somebody else than root change it.
    pub others_can_write: bool,
    /// Whether everybody may read it.
    pub everybody_can_read: bool,
    /// The file.
    pub source: Source,
}

impl PolicyFile {
    /// `None` when it is gone.
    pub fn of(host: &Host, path: &str) -> Option<Self> {
        let stat = host.stat(path).ok()?;
        // Group root may write it, as sudo itself allows.
        let by_group = stat.mode & 0o020 != 0 && stat.gid != 0;
        Some(Self {
            subject: path.into(),
            owner_uid: stat.uid,
            gid: stat.gid,
            mode: stat.mode,
            others_can_write: stat.uid != 0 || by_group || stat.mode & 0o002 != 0,
            everybody_can_read: stat.kind == FileKind::File && stat.mode & 0o004 != 0,
            source: Source::whole(path),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minutes_may_be_negative_or_broken() {
        for (text, expected) in [("5", Some(300)), ("-1", Some(-60)), ("2.5", Some(150)), ("-.5", Some(-30)), ("0", Some(0)), ("x", None), ("", Some(0))] {
            assert_eq!(minutes(text, false), expected, "{text}");
        }
        assert_eq!(minutes("", true), Some(0));
    }
}
