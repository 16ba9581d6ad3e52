//! Who may run what as whom by sudoers, and by doas.
//!
//! sudoers(5) with its includes: the grammar is in `parse`, what takes effect in `resolve`, which of
//! it is a way to a root shell in `shells`; doas.conf(5) is in `doas`, its rules are grants, too.
//! Policies of LDAP or SSSD that nsswitch.conf(5) names under `sudoers` are a gap.

mod addresses;
mod doas;
mod parse;
mod resolve;
mod settings;
mod shells;

pub use settings::{DefaultsEntry, PolicyFile};

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::accounts::database;
use super::{Document, HostFamily};
use crate::host::root::CONFIG_LIMIT;
use crate::host::{FileKind, Host};
use crate::model::fact::Source;
use crate::model::gap::{Gaps, reason};
use parse::Statement;
use resolve::{Policy, Rule, World};
use shells::Programs;

/// The sudoers policy with its includes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sudo {
    /// Whether `/etc/sudoers` exists.
    pub installed: bool,
    /// One per user or group of a rule, aliases resolved, in file order.
    pub grants: Vec<Grant>,
    /// Defaults entries that decide something about authentication, environment or logging, in file order.
    #[serde(default)]
    pub defaults: Vec<DefaultsEntry>,
    /// Owner and mode of the files read and of the folders that they are included from, in order.
    #[serde(default)]
    pub file_states: Vec<PolicyFile>,
    /// Files read, in order.
    pub files: Vec<String>,
}

impl Document for Sudo {
    const NAME: &'static str = "sudo";
    const TITLE: &'static str = "Privileges granted by sudoers";
}

impl HostFamily for Sudo {
    const WATCHED: &'static [&'static str] = &["/etc/sudoers*", "/etc/sudoers.d/**", "/etc/doas.conf", "/etc/doas.d/*"];

    fn gather(host: &Host, gaps: &mut Gaps) -> Option<Self> {
        let main = main_file(host);
        let installed = match host.exists(main) {
            Ok(installed) => installed,
            Err(e) => {
                gaps.add(e.to_gap(Self::NAME, "", ""));
                return None;
            }
        };
        let empty = Self { installed, grants: Vec::new(), defaults: Vec::new(), file_states: Vec::new(), files: Vec::new() };
        if !installed && !doas::is_used(host) {
            return Some(empty);
        }
        let users = named(database::passwd(host), gaps);
        let groups = named(database::group(host), gaps);
        let hostname = host.read_text("/etc/hostname", CONFIG_LIMIT).unwrap_or_default().trim().to_string();
        let directory = note_directories(host, gaps);
        let programs = Programs { host, users: &users, groups: &groups };
        let world = World { users: &users, groups: &groups, hostname: &hostname, addresses: addresses::own(host), directory, programs };
        let mut reader =
            Reader { host, hostname: &hostname, gaps, policy: Policy::default(), files: Vec::new(), file_states: Vec::new(), defaults: Vec::new() };
        if installed {
            reader.file(main, 0);
        }
        let Reader { policy, mut files, mut file_states, mut defaults, .. } = reader;
        settings::mark_effective(&mut defaults);
        let mut grants = policy.grants(&world, gaps);
        doas::read(&world, &mut grants, &mut files, &mut file_states, gaps);
        mark_news(&mut grants, &users);
        Some(Self { grants, defaults, file_states, files, ..empty })
    }
}

/// Fills in for whom a way to a root shell adds to what they may do anyway.
fn mark_news(grants: &mut [Grant], users: &[database::PasswdLine]) {
    let roots: BTreeSet<&str> = users.iter().filter(|u| u.uid == 0).map(|u| u.name.as_str()).collect();
    let with_everything = |free: bool| -> BTreeSet<String> {
        let grants = grants.iter().filter(|g| g.all_commands && g.as_root && g.not_after.is_none() && g.not_before.is_none() && (!free || !g.password_needed));
        grants.flat_map(|g| g.accounts.iter().cloned()).collect()
    };
    let (with_password, free) = (with_everything(false), with_everything(true));
    // Who knows root's own password needs no way to a shell.
    for grant in grants.iter_mut().filter(|g| g.root_shell && !g.all_commands && (!g.password_needed || g.password_of == "own")) {
        let admins = if grant.password_needed { &with_password } else { &free };
        grant.root_shell_accounts = grant.accounts.iter().filter(|a| !admins.contains(*a) && !roots.contains(a.as_str())).cloned().collect();
    }
}

/// sudo-rs reads a file of its own when there is one.
fn main_file(host: &Host) -> &'static str {
    const OF_SUDO_RS: &str = "/etc/sudoers-rs";
    let link = |path: &str| host.read_link(path).unwrap_or_default();
    let is_sudo_rs = ["/usr/bin/sudo", "/etc/alternatives/sudo"].iter().any(|path| link(path).contains("sudo-rs") || link(path).contains("/lib/cargo/"));
    if is_sudo_rs && host.exists(OF_SUDO_RS).unwrap_or(false) { OF_SUDO_RS } else { MAIN }
}

const MAIN: &str = "/etc/sudoers";
/// Deepest nesting of includes; sudo's own limit is 128.
const DEPTH_LIMIT: usize = 32;
/// Most files read.
const FILE_LIMIT: usize = 1024;
/// Most rules kept.
const RULE_LIMIT: usize = 20_000;

fn named<T>(read: Result<(Vec<T>, Vec<database::Malformed>), crate::host::ReadError>, gaps: &mut Gaps) -> Vec<T> {
    match read {
        Ok((lines, _)) => lines,
        Err(e) => {
            gaps.add(e.to_gap(Sudo::NAME, "grants.accounts", ""));
            Vec::new()
        }
    }
}

/// Whether groups may come from a directory; sudoers of a directory become a gap.
fn note_directories(host: &Host, gaps: &mut Gaps) -> bool {
    let Ok(text) = host.read_text("/etc/nsswitch.conf", CONFIG_LIMIT) else { return false };
    let foreign =
        |name: &str| database::services_for(&text, name).unwrap_or_default().into_iter().find(|s| matches!(s.as_str(), "ldap" | "sss" | "nis" | "winbind"));
    if let Some(service) = foreign("sudoers") {
        let detail = format!("/etc/nsswitch.conf names {service} for sudoers: its rules can't be read from files");
        gaps.note(Sudo::NAME, "grants", &service, reason::UNSUPPORTED, detail, "Review the rules of the directory service at their source.");
    }
    foreign("group").is_some()
}

struct Reader<'a> {
    host: &'a Host,
    hostname: &'a str,
    gaps: &'a mut Gaps,
    policy: Policy,
    files: Vec<String>,
    file_states: Vec<PolicyFile>,
    defaults: Vec<DefaultsEntry>,
}

impl Reader<'_> {
    fn file(&mut self, path: &str, depth: usize) {
        if depth > DEPTH_LIMIT || self.files.len() >= FILE_LIMIT {
            let detail = format!("{path}: more than {DEPTH_LIMIT} levels or {FILE_LIMIT} files of includes");
            return self.gaps.note(Sudo::NAME, "", "", reason::LIMIT_REACHED, detail, "Simplify the includes of sudoers.");
        }
        let text = match self.host.read_text(path, CONFIG_LIMIT) {
            Ok(text) => text,
            // Without the main file nothing is known; sudo goes on when an included one is missing.
            Err(e) => return self.gaps.add(e.to_gap(Sudo::NAME, "", if e.is_not_found() { path } else { "" })),
        };
        self.files.push(path.to_string());
        self.file_states.extend(PolicyFile::of(self.host, path));
        for (number, line) in parse::logical_lines(&text) {
            match parse::statement(&line) {
                Ok(None) => {}
                Ok(Some(statement)) => self.statement(statement, path, number, depth),
                Err(problem) => {
                    let place = format!("{path}:{number}");
                    self.gaps.note(Sudo::NAME, "grants", &place, reason::MALFORMED, format!("{place}: {problem}"), "Mend the line with visudo.");
                }
            }
        }
    }

    fn statement(&mut self, statement: Statement, path: &str, number: usize, depth: usize) {
        match statement {
            Statement::Include(target) => {
                let target = self.path_of(&target, path);
                self.file(&target, depth + 1);
            }
            Statement::IncludeFolder(target) => {
                let target = self.path_of(&target, path);
                self.folder(&target, depth);
            }
            Statement::Aliases(kind, aliases) => {
                for (name, items) in aliases {
                    // Redefining an alias is an error; the first definition stands.
                    self.policy.aliases.entry((kind, name)).or_insert(items);
                }
            }
            Statement::Defaults(scope, parameters) => {
                for p in parameters {
                    self.defaults.extend(DefaultsEntry::of(&scope, &p, path, number));
                    match p.name.as_str() {
                        "authenticate" => self.policy.authenticate.push((scope.clone(), !p.negated)),
                        "noexec" if scope == parse::Scope::Global => self.policy.no_exec = !p.negated,
                        "targetpw" | "rootpw" | "runaspw" if scope == parse::Scope::Global => {
                            self.policy.password_of = if p.negated { "own" } else { p.name.trim_end_matches("pw") }.into();
                        }
                        "runas_default" if scope == parse::Scope::Global => self.policy.run_as_default = Some(p.value),
                        "exempt_group" => self.policy.exempt_group = Some(p.value).filter(|_| !p.negated),
                        _ => {}
                    }
                }
            }
            Statement::Rule(users, privileges) => {
                for privilege in privileges {
                    for commands in privilege.groups {
                        if self.policy.rules.len() >= RULE_LIMIT {
                            return self.gaps.note(
                                Sudo::NAME,
                                "grants",
                                "",
                                reason::LIMIT_REACHED,
                                format!("{path}:{number}: more than {RULE_LIMIT} rules"),
                                "",
                            );
                        }
                        let source = Source::line(path, number, "");
                        self.policy.rules.push(Rule { users: users.clone(), hosts: privilege.hosts.clone(), commands, source });
                    }
                }
            }
        }
    }

    /// `%h` is the short host name; a relative path starts at the folder of the including file.
    fn path_of(&self, target: &str, from: &str) -> String {
        let target = target.replace("%h", self.hostname.split('.').next().unwrap_or(""));
        if target.starts_with('/') {
            return target;
        }
        let folder = from.rsplit_once('/').map_or("", |(folder, _)| folder);
        format!("{folder}/{target}")
    }

    /// Files in lexical order; names that end in `~` or contain a dot are passed over.
    fn folder(&mut self, path: &str, depth: usize) {
        let entries = match self.host.list(path) {
            Ok(entries) => entries,
            Err(e) if e.is_not_found() => return,
            Err(e) => return self.gaps.add(e.to_gap(Sudo::NAME, "", "")),
        };
        let path = path.trim_end_matches('/');
        self.file_states.extend(PolicyFile::of(self.host, path));
        for entry in entries {
            let passed_over = entry.name.ends_with('~') || entry.name.contains('.') || entry.kind == FileKind::Folder;
            if !passed_over {
                self.file(&format!("{path}/{}", entry.name), depth + 1);
            }
        }
    }
}

/// One permission.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// `WHO PATH:LINE`.
    pub subject: String,
    /// `sudo` or `doas`.
    #[serde(default)]
    pub tool: String,
    /// User name, `%group`, `#uid`, `%#gid` or `ALL`; `!` in front negates.
    #[schemars(extend("x-personal" = true))]
    pub who: String,
    /// Accounts that this grant reaches by passwd(5) and group(5), sorted; none when the host list names other hosts, and without those for whom a later line decides otherwise.
    #[schemars(extend("x-personal" = true))]
    pub accounts: Vec<String>,
    /// Host list.
    pub hosts: Vec<String>,
    /// Users that commands may run as; `root` when the rule names none.
    pub run_as: Vec<String>,
    /// Commands as written, aliases resolved, arguments left out.
    pub commands: Vec<String>,
    /// Whether `ALL` commands are permitted.
    pub all_commands: bool,
    /// Whether root is among the run-as users.
    pub as_root: bool,
    /// False for NOPASSWD or `!authenticate`.
    pub password_needed: bool,
    /// Whose password is asked for: `own`, or by Defaults `target`, `root`, `runas`.
    #[serde(default)]
    pub password_of: String,
    /// Whether NOEXEC keeps the command from starting others.
    #[serde(default)]
    pub no_exec: bool,
    /// Whether SETENV lets the caller choose the environment.
    #[serde(default)]
    pub set_env: bool,
    /// Whether one of the commands that are left hands out a root shell.
    #[serde(default)]
    pub root_shell: bool,
    /// The first such command and why; empty when there is none.
    #[serde(default)]
    pub root_shell_by: String,
    /// Accounts for whom it is news: they are not root, and no grant of ALL lets them become root as easily.
    #[serde(default)]
    #[schemars(extend("x-personal" = true))]
    pub root_shell_accounts: Vec<String>,
    /// The first file or folder through which somebody else than root changes what a command runs as root; empty when there is none.
    #[serde(default)]
    pub writable_place: String,
    /// Who may: an account, `group NAME` or `everybody`.
    #[serde(default)]
    #[schemars(extend("x-personal" = true))]
    pub writable_by: String,
    /// `NOTBEFORE`, Unix seconds.
    #[serde(default)]
    pub not_before: Option<i64>,
    /// `NOTAFTER`, Unix seconds.
    pub not_after: Option<i64>,
    /// File and line.
    pub source: Source,
}
