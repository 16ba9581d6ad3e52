//! What polkit(8) lets whom do: rule files, local authority files, defaults of actions.
//!
//! Since polkit 0.106 rules are scripts; Debian's 0.105 reads `.pkla` files alone, and later ones
//! read them through a compatibility package. Only what the installed one reads becomes a grant.

mod actions;
mod condition;
mod pkla;
mod script;
mod token;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Document, HostFamily};
use crate::host::root::CONFIG_LIMIT;
use crate::host::{FileKind, Host};
use crate::model::fact::Source;
use crate::model::gap::{Gaps, reason};

/// Privileges that polkit grants.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Polkit {
    /// Whether polkit is there; false only where its programs could be looked for.
    pub installed: bool,
    /// What it reads: `rules`, `pkla`.
    pub reads: Vec<String>,
    /// One for each action list, person or group, and result, in the order in which they are asked.
    pub grants: Vec<Grant>,
    /// Whom `auth_admin` asks for a password: `unix-user:NAME`, `unix-group:NAME`.
    #[schemars(extend("x-personal" = true))]
    pub administrators: Vec<String>,
    /// Actions that need no authentication in some session by their own defaults.
    pub open_actions: Vec<OpenAction>,
    /// Files read, in order.
    pub files: Vec<String>,
}

/// One grant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// `WHO PATH:LINE`, with a number where a line makes several.
    pub subject: String,
    /// `unix-user:NAME`, `unix-group:NAME` or `anybody`; several joined by ` and ` must all hold.
    #[schemars(extend("x-personal" = true))]
    pub who: String,
    /// Action ids, `*` for any text; every action is `*`.
    pub actions: Vec<String>,
    /// `yes`, `no`, `auth_self`, `auth_self_keep`, `auth_admin`, `auth_admin_keep`.
    pub result: String,
    /// Sessions it is limited to: `active`, `local`, `inactive`; empty: any.
    pub session: Vec<String>,
    /// Further conditions, such as the unit that is meant.
    pub conditions: Vec<String>,
    /// Whether everything that limits it was understood; if not, it may be narrower than shown.
    pub certain: bool,
    /// Whether an earlier line answers for the same people and actions, so that this one is never asked.
    pub shadowed: bool,
    /// File and line.
    pub source: Source,
}

/// Defaults of one action.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OpenAction {
    /// Id of the action.
    pub subject: String,
    /// For sessions that are not at the console, such as SSH, and for services: `yes`, `no`, `auth_admin`, …
    pub any: String,
    /// For console sessions in the background.
    pub inactive: String,
    /// For the console session in the foreground.
    pub active: String,
    /// Program that pkexec(1) runs as root under it; empty: none.
    pub program: String,
    /// File and line.
    pub source: Source,
}

impl Document for Polkit {
    const NAME: &'static str = "polkit";
    const TITLE: &'static str = "Privileges granted by polkit";
}

impl HostFamily for Polkit {
    const WATCHED: &'static [&'static str] = &["/etc/polkit-1/**", "/usr/share/polkit-1/**", "/usr/local/share/polkit-1/**", "/var/lib/polkit-1/**"];

    fn gather(host: &Host, gaps: &mut Gaps) -> Option<Self> {
        let mut out = Self { installed: installed(host), reads: reads(host), ..Self::default() };
        if !out.installed {
            return Some(out);
        }
        if out.reads.iter().any(|r| r == "rules") {
            out.rules(host, gaps);
        }
        if out.reads.iter().any(|r| r == "pkla") {
            out.local_authority(host, gaps);
        }
        out.defaults(host, gaps);
        out.mark();
        Some(out)
    }
}

/// Where the daemon stands, by version and distribution, and what else proves that it is installed.
const TRACES: [&str; 6] = [
    "/usr/lib/polkit-1/polkitd",
    "/usr/libexec/polkitd",
    "/usr/lib/policykit-1/polkitd",
    "/usr/libexec/polkit-1/polkitd",
    "/usr/share/polkit-1/actions/org.freedesktop.policykit.policy",
    "/usr/share/polkit-1/rules.d/50-default.rules",
];

fn installed(host: &Host) -> bool {
    let there = |path: &str| host.exists(path).unwrap_or(true);
    // A root without programs (a copy of configuration) can't prove the daemon absent.
    TRACES.iter().any(|path| there(path)) || (!there("/usr/bin") && !there("/usr/lib") && there("/etc/polkit-1"))
}

/// Rules of the package that reads `.pkla` files beside scripts.
const COMPATIBILITY: [&str; 2] = ["/etc/polkit-1/rules.d/49-polkit-pkla-compat.rules", "/usr/share/polkit-1/rules.d/49-polkit-pkla-compat.rules"];

fn reads(host: &Host) -> Vec<String> {
    let of = |words: &[&str]| words.iter().map(|w| (*w).to_string()).collect();
    if debian_0_105(host) {
        return of(&["pkla"]);
    }
    if COMPATIBILITY.iter().any(|path| host.exists(path).unwrap_or(false)) { of(&["rules", "pkla"]) } else { of(&["rules"]) }
}

/// Debian kept polkit 0.105, which knows no scripts, up to its release 11.
fn debian_0_105(host: &Host) -> bool {
    let Ok(status) = host.read_text("/var/lib/dpkg/status", 64 << 20) else { return false };
    let mut inside = false;
    for line in status.lines() {
        match line.split_once(": ") {
            Some(("Package", name)) => inside = name == "policykit-1",
            Some(("Version", version)) if inside => return version.starts_with("0.105"),
            _ => {}
        }
    }
    false
}

/// Folders of scripts, in the order that decides between equal names.
const RULES: [&str; 4] = ["/etc/polkit-1/rules.d", "/run/polkit-1/rules.d", "/usr/local/share/polkit-1/rules.d", "/usr/share/polkit-1/rules.d"];
const AUTHORITIES: [&str; 2] = ["/var/lib/polkit-1/localauthority", "/etc/polkit-1/localauthority"];
const ADMIN_FOLDER: &str = "/etc/polkit-1/localauthority.conf.d";
const ACTIONS: &str = "/usr/share/polkit-1/actions";
/// Most grants and open actions kept.
const LIMIT: usize = 4096;

impl Polkit {
    /// Files of a folder with this ending, sorted.
    fn files_of(host: &Host, folder: &str, ending: &str, path: &str, gaps: &mut Gaps) -> Vec<String> {
        match host.list(folder) {
            Ok(entries) => entries.into_iter().filter(|e| e.name.ends_with(ending) && e.kind != FileKind::Folder).map(|e| e.name).collect(),
            Err(e) => {
                if !e.is_not_found() {
                    gaps.add(e.to_gap(Self::NAME, path, ""));
                }
                Vec::new()
            }
        }
    }

    fn text(&mut self, host: &Host, path: &str, fact: &str, gaps: &mut Gaps) -> Option<String> {
        match host.read_text(path, CONFIG_LIMIT) {
            Ok(text) => {
                self.files.push(path.to_string());
                Some(text)
            }
            Err(e) => {
                gaps.add(e.to_gap(Self::NAME, fact, path));
                None
            }
        }
    }

    /// Scripts of all folders, sorted by file name; the first rule that answers decides.
    fn rules(&mut self, host: &Host, gaps: &mut Gaps) {
        let mut files: Vec<(String, usize, String)> = Vec::new();
        for (rank, folder) in RULES.iter().enumerate() {
            files.extend(Self::files_of(host, folder, ".rules", "grants", gaps).into_iter().map(|name| (name.clone(), rank, format!("{folder}/{name}"))));
        }
        files.sort();
        for (_, _, path) in files {
            // Its one rule calls a program that reads the local authority files, which are read below.
            if COMPATIBILITY.contains(&path.as_str()) {
                continue;
            }
            let Some(text) = self.text(host, &path, "grants", gaps) else { continue };
            let script = script::script(&text);
            for (line, problem) in &script.problems {
                let detail = format!("{path}:{line}: {problem}: what it grants can't be told without running it");
                gaps.note(
                    Self::NAME,
                    "grants",
                    &path,
                    reason::UNSUPPORTED,
                    detail,
                    "Read the file; write rules as plain conditions on action, user and group.",
                );
            }
            if self.administrators.is_empty() {
                self.administrators = script.admins.iter().map(|(name, _)| name.clone()).collect();
            }
            for way in script.ways {
                let who = if way.who.is_empty() { "anybody".to_string() } else { way.who.join(" and ") };
                let actions = if way.actions.is_empty() { vec!["*".to_string()] } else { way.actions };
                let grant = Grant {
                    who,
                    actions,
                    result: way.result,
                    session: way.session,
                    conditions: way.conditions,
                    certain: way.certain,
                    source: Source::line(&path, way.line, ""),
                    ..Grant::default()
                };
                self.push(grant);
            }
        }
    }

    /// `.pkla` files of both authorities: folders sorted by name, files sorted in each.
    fn local_authority(&mut self, host: &Host, gaps: &mut Gaps) {
        let mut folders: Vec<(String, usize, String)> = Vec::new();
        for (rank, authority) in AUTHORITIES.iter().enumerate() {
            match host.list(authority) {
                Ok(entries) => {
                    folders.extend(entries.into_iter().filter(|e| e.kind != FileKind::File).map(|e| (e.name.clone(), rank, format!("{authority}/{}", e.name))))
                }
                Err(e) if e.is_not_found() => {}
                Err(e) => gaps.add(e.to_gap(Self::NAME, "grants", "")),
            }
        }
        folders.sort();
        for (_, _, folder) in folders {
            for name in Self::files_of(host, &folder, ".pkla", "grants", gaps) {
                let path = format!("{folder}/{name}");
                let Some(text) = self.text(host, &path, "grants", gaps) else { continue };
                for entry in pkla::entries(&text) {
                    self.entry(&path, &entry);
                }
            }
        }
        for name in Self::files_of(host, ADMIN_FOLDER, ".conf", "administrators", gaps) {
            let path = format!("{ADMIN_FOLDER}/{name}");
            let Some(text) = self.text(host, &path, "administrators", gaps) else { continue };
            if let Some((_, identities)) = pkla::value(&text, "AdminIdentities") {
                self.administrators = identities.split(';').map(str::trim).filter(|i| !i.is_empty()).map(String::from).collect();
            }
        }
    }

    fn entry(&mut self, path: &str, entry: &pkla::Entry) {
        const SESSIONS: [&[&str]; 3] = [&[], &["inactive"], &["active"]];
        for identity in &entry.identities {
            let who = if matches!(identity.as_str(), "unix-user:*" | "unix-group:*" | "default") { "anybody".to_string() } else { identity.clone() };
            for (result, session) in entry.results.iter().zip(SESSIONS).filter(|(r, _)| !r.is_empty()) {
                let grant = Grant {
                    who: who.clone(),
                    actions: entry.actions.clone(),
                    result: result.clone(),
                    session: session.iter().map(|s| (*s).to_string()).collect(),
                    certain: true,
                    source: Source::line(path, entry.line, ""),
                    ..Grant::default()
                };
                self.push(grant);
            }
        }
    }

    fn push(&mut self, grant: Grant) {
        if self.grants.len() < LIMIT {
            self.grants.push(grant);
        }
    }

    fn defaults(&mut self, host: &Host, gaps: &mut Gaps) {
        for name in Self::files_of(host, ACTIONS, ".policy", "open_actions", gaps) {
            let path = format!("{ACTIONS}/{name}");
            let Some(text) = self.text(host, &path, "open_actions", gaps) else { continue };
            match actions::actions(&text) {
                Ok(found) => self.open_actions.extend(found.into_iter().filter(|a| a.allow.iter().any(|v| v == "yes")).map(|a| {
                    let [any, inactive, active] = a.allow;
                    OpenAction { subject: a.id, any, inactive, active, program: a.program, source: Source::line(&path, a.line, "") }
                })),
                Err((line, problem)) => {
                    let detail = format!("{path}:{line}: {problem}");
                    gaps.note(Self::NAME, "open_actions", &path, reason::MALFORMED, detail, "Mend the file or install its package again.");
                }
            }
        }
        self.open_actions.truncate(LIMIT);
    }

    /// Subjects, and which grants an earlier answer hides. Scripts: the first answer stands;
    /// local authority files: the last one does, so they are compared from behind.
    fn mark(&mut self) {
        let scripted: Vec<bool> = self.grants.iter().map(|g| g.source.place.ends_with(".rules")).collect();
        let shadows: Vec<bool> = (0..self.grants.len())
            .map(|at| {
                let Some(grant) = self.grants.get(at) else { return false };
                let script = scripted.get(at).copied().unwrap_or(false);
                let others = if script { 0..at } else { at + 1..self.grants.len() };
                self.grants.get(others).unwrap_or_default().iter().take(LIMIT_COMPARED).any(|other| covers(other, grant))
            })
            .collect();
        let mut seen: BTreeMap<String, u32> = BTreeMap::new();
        for (grant, shadowed) in self.grants.iter_mut().zip(shadows) {
            grant.shadowed = shadowed;
            let base = format!("{} {}:{}", grant.who, grant.source.place, grant.source.line);
            let count = seen.entry(base.clone()).or_insert(0);
            *count += 1;
            grant.subject = if *count > 1 { format!("{base} ({count})") } else { base };
        }
    }
}

/// Most other grants that one is compared with.
const LIMIT_COMPARED: usize = 512;

/// Whether `other` answers everything that `grant` does.
fn covers(other: &Grant, grant: &Grant) -> bool {
    let people = other.who == "anybody" || other.who == grant.who;
    let sessions = other.session.is_empty() || other.session == grant.session;
    let matches = |pattern: &str, id: &str| match pattern.strip_suffix('*') {
        Some(prefix) => !prefix.contains('*') && id.starts_with(prefix),
        None => pattern == id,
    };
    other.certain && other.conditions.is_empty() && people && sessions && grant.actions.iter().all(|id| other.actions.iter().any(|p| matches(p, id)))
}
