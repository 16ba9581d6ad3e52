//! Which directive decides for one connection.
//!
//! sshd reads its files twice: once for the global part, where `Match all` counts as open text, and
//! once for a connection, where only the blocks that match count. Within each reading the first
//! value wins, or all values add up; what the second one sets replaces what the first one did.

use std::collections::BTreeMap;

use super::criteria::{Connection, matches_user};
use super::file::Directive;

/// Keywords whose lines add up instead of the first one winning.
const ADDING: [&str; 10] =
    ["port", "listenaddress", "hostkey", "hostcertificate", "acceptenv", "subsystem", "allowusers", "denyusers", "allowgroups", "denygroups"];

/// Keywords that count in the global part alone (servconf.c, `SSHCFG_GLOBAL`).
const GLOBAL_ONLY: [&str; 27] = [
    "port",
    "listenaddress",
    "addressfamily",
    "hostkey",
    "hostcertificate",
    "hostkeyagent",
    "pidfile",
    "modulifile",
    "usepam",
    "usedns",
    "logingracetime",
    "strictmodes",
    "permituserenvironment",
    "ignoreuserknownhosts",
    "printmotd",
    "printlastlog",
    "tcpkeepalive",
    "compression",
    "ciphers",
    "macs",
    "kexalgorithms",
    "hostkeyalgorithms",
    "maxstartups",
    "persourcemaxstartups",
    "versionaddendum",
    "debianbanner",
    "fingerprinthash",
];

/// Whether every line of the keyword counts.
pub fn adds(keyword: &str) -> bool {
    ADDING.contains(&keyword)
}

/// The deciding directives of one connection, by keyword.
#[derive(Debug, Default)]
pub struct Effective<'a> {
    values: BTreeMap<&'a str, Vec<&'a Directive>>,
}

impl<'a> Effective<'a> {
    /// What holds before anything of a connection is known, `Match all` laid over it.
    pub fn of_everybody(directives: &'a [Directive]) -> Self {
        Self::of(directives, &|directive| directive.always())
    }

    /// What holds for one connection.
    pub fn of_connection(directives: &'a [Directive], connection: &Connection) -> Self {
        Self::of(directives, &|directive| directive.blocks.iter().all(|b| b.holds(connection)))
    }

    fn of(directives: &'a [Directive], holds: &dyn Fn(&Directive) -> bool) -> Self {
        let mut out = Self::reading(directives.iter().filter(|d| d.always()));
        let inside = directives.iter().filter(|d| !d.blocks.is_empty() && !GLOBAL_ONLY.contains(&d.keyword.as_str()) && holds(d));
        out.values.extend(Self::reading(inside).values);
        out
    }

    fn reading(directives: impl Iterator<Item = &'a Directive>) -> Self {
        let mut out = Self::default();
        for directive in directives {
            let lines = out.values.entry(directive.keyword.as_str()).or_default();
            if lines.is_empty() || adds(&directive.keyword) {
                lines.push(directive);
            }
        }
        out
    }

    /// Every line of a keyword that counts.
    pub fn all(&self, keyword: &str) -> &[&'a Directive] {
        self.values.get(keyword).map_or(&[], Vec::as_slice)
    }

    /// The line that decides.
    pub fn first(&self, keyword: &str) -> Option<&'a Directive> {
        self.all(keyword).first().copied()
    }

    /// Every line that counts, by keyword.
    pub fn lines(&self) -> impl Iterator<Item = &'a Directive> + '_ {
        self.values.values().flatten().copied()
    }

    /// `yes` or `no`, else `None`.
    pub fn flag(&self, keyword: &str, default: bool) -> bool {
        self.first(keyword).and_then(|d| flag(&d.value())).unwrap_or(default)
    }

    /// DenyUsers, AllowUsers, DenyGroups, AllowGroups in sshd's order: the line that refuses the
    /// account, or nothing.
    pub fn refusal(&self, connection: &Connection) -> Option<&'a Directive> {
        let by_user = |d: &Directive| d.arguments.iter().any(|pattern| matches_user(pattern, connection));
        let by_group = |d: &Directive| d.arguments.iter().any(|pattern| connection.groups.iter().any(|g| super::criteria::wildcard(pattern, g)));
        let denies = |keyword: &str, hit: &dyn Fn(&Directive) -> bool| self.all(keyword).iter().copied().find(|d| hit(d));
        let leaves_out = |keyword: &str, hit: &dyn Fn(&Directive) -> bool| if self.all(keyword).iter().any(|d| hit(d)) { None } else { self.first(keyword) };
        denies("denyusers", &by_user)
            .or_else(|| leaves_out("allowusers", &by_user))
            .or_else(|| denies("denygroups", &by_group))
            .or_else(|| leaves_out("allowgroups", &by_group))
    }
}

/// `yes` and `no`, compared without case.
pub fn flag(value: &str) -> Option<bool> {
    match value.to_ascii_lowercase().as_str() {
        "yes" | "true" => Some(true),
        "no" | "false" => Some(false),
        _ => None,
    }
}
