//! Pluggable authentication: the stack of every service, and what it comes to.
//!
//! Files of `/etc/pam.d` and `/usr/lib/pam.d` (or `/etc/pam.conf` without them) with their includes
//! and substacks; the rules of pam_access; how long, how strong and how hashed a new password is;
//! what wrong passwords lead to. Modules are not run: a module that is not known counts as one
//! that checks who is there.

mod line;
mod lockout;
mod modules;
mod policy;
mod settings;
mod stack;

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Document, HostFamily};
use crate::host::Host;
use crate::host::root::CONFIG_LIMIT;
use crate::model::fact::Source;
use crate::model::gap::{Gap, Gaps};
use crate::model::redact;
use line::Kind;
pub use lockout::{Lockout, Su};
pub use policy::Password;
use stack::{Call, Files, Step, courses};

/// Pluggable authentication modules.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pam {
    /// Whether the host has a PAM configuration.
    pub installed: bool,
    /// One per service file, sorted by name.
    pub services: Vec<Service>,
    /// Policy for new passwords.
    pub password: Password,
    /// su(1).
    pub su: Su,
    /// Lines of access.conf(5), in file order; empty when no stack calls pam_access.
    pub access_rules: Vec<AccessRule>,
}

impl Document for Pam {
    const NAME: &'static str = "pam";
    const TITLE: &'static str = "Authentication stacks, password policy and lockout (PAM)";
}

impl HostFamily for Pam {
    const WATCHED: &'static [&'static str] =
        &["/etc/pam.conf", "/etc/pam.d/*", "/usr/lib/pam.d/*", "/etc/security/**", "/usr/lib/security/**", "/etc/login.defs"];

    fn gather(host: &Host, gaps: &mut Gaps) -> Option<Self> {
        let Some(files) = Files::read(host, gaps) else { return Some(Self::default()) };
        let mut own: Vec<Gap> = Vec::new();
        let services: Vec<Service> = files.names().into_iter().map(|name| Service::new(host, &files, name, &mut own, gaps)).collect();
        let service = PASSWORD_SERVICES.into_iter().find(|name| !files.path(name).is_empty()).unwrap_or("other");
        let password = policy::password(host, service, &files.stack(service, Kind::Password, &mut own).0, gaps);
        let su = lockout::su(&files.stack("su", Kind::Auth, &mut own).0, files.path("su"));
        gaps.extend(own.into_iter().collect::<BTreeSet<_>>());
        let access = services.iter().flat_map(|s| s.account.iter().chain(&s.auth)).any(|l| l.module == "pam_access");
        let access_rules = if access { access_rules(host, gaps) } else { Vec::new() };
        Some(Self { installed: true, services, password, su, access_rules })
    }
}

/// Services by which passwords are changed, the first that is there.
const PASSWORD_SERVICES: [&str; 4] = ["passwd", "common-password", "system-auth", "login"];

/// One service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// Name of the service.
    pub subject: String,
    /// Its file.
    pub source: Source,
    /// Whether other files include it: it is a part of stacks and no service of a program.
    pub fragment: bool,
    /// Kinds without a line of their own, for which the stack of `other` stands.
    pub from_other: Vec<String>,
    /// Modules that are called to authenticate, in order, includes in place.
    pub auth: Vec<Line>,
    /// Modules that are called to see whether the account may be used now.
    pub account: Vec<Line>,
    /// Modules that are called to change a password.
    pub password: Vec<Line>,
    /// Modules that are called around a session.
    pub session: Vec<Line>,
    /// Whether authentication can succeed although no password, key or other proof is right.
    pub admits_everyone: bool,
    /// The line that makes it succeed.
    pub admitted_by: Source,
    /// Whether a local password is asked.
    pub asks_password: bool,
    /// Whether an account whose password is empty gets in (`nullok`).
    pub empty_password: bool,
    /// The line that permits it.
    pub empty_password_by: Source,
    /// What wrong passwords lead to.
    pub lockout: Lockout,
}

impl Service {
    fn new(host: &Host, files: &Files, name: String, own: &mut Vec<Gap>, gaps: &mut Gaps) -> Self {
        let mut stacks: BTreeMap<Kind, Vec<Step>> = BTreeMap::new();
        let mut from_other = Vec::new();
        for kind in line::KINDS {
            let (steps, other) = files.stack(&name, kind, own);
            if other {
                from_other.push(kind.word().to_string());
            }
            stacks.insert(kind, steps);
        }
        let none = Vec::new();
        let steps = |kind: Kind| stacks.get(&kind).unwrap_or(&none);
        let auth = steps(Kind::Auth);
        let admitted = courses(auth, &modules::impostor).success;
        let (asks_password, empty) = lockout::local_password(auth);
        Self {
            source: Source::whole(files.path(&name)),
            fragment: files.included.contains(&name),
            from_other,
            auth: lines(auth),
            account: lines(steps(Kind::Account)),
            password: lines(steps(Kind::Password)),
            session: lines(steps(Kind::Session)),
            admits_everyone: admitted.is_some(),
            admitted_by: admitted.and_then(|i| auth.get(i)).map(|s| s.source.clone()).unwrap_or_default(),
            asks_password,
            empty_password: empty.is_some(),
            empty_password_by: empty.unwrap_or_default(),
            lockout: lockout::lockout(host, auth, gaps),
            subject: name,
        }
    }
}

/// One call of a module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// `PATH:LINE`; a line included twice has its number in the stack behind it.
    pub subject: String,
    /// Control as written: `required`, `[success=1 default=ignore]`, …
    pub control: String,
    /// Module without folder and `.so`.
    pub module: String,
    /// Arguments, secrets taken out; those of pam_exec and pam_script are left out.
    pub arguments: Vec<String>,
    /// File and line.
    pub source: Source,
}

fn lines(steps: &[Step]) -> Vec<Line> {
    let mut seen = BTreeSet::new();
    let mut out = Vec::new();
    for (index, step) in steps.iter().enumerate() {
        let Call::Module(module) = &step.call else { continue };
        let place = format!("{}:{}", step.source.place, step.source.line);
        let runs_program = matches!(module.name(), "pam_exec" | "pam_script");
        out.push(Line {
            subject: if seen.insert(place.clone()) { place } else { format!("{place} ({})", index + 1) },
            control: module.control.text.clone(),
            module: module.name().into(),
            arguments: if runs_program { Vec::new() } else { module.arguments.iter().map(|a| redact::text(a)).collect() },
            source: step.source.clone(),
        });
    }
    out
}

/// One line of access.conf(5).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AccessRule {
    /// `PATH:LINE`.
    pub subject: String,
    /// Whether it admits (`+`) or refuses (`-`); the first line that matches decides.
    pub permits: bool,
    /// Users and groups as written.
    #[schemars(extend("x-personal" = true))]
    pub users: Vec<String>,
    /// Origins as written.
    pub origins: Vec<String>,
    /// File and line.
    pub source: Source,
}

const ACCESS_FILE: &str = "/etc/security/access.conf";

fn access_rules(host: &Host, gaps: &mut Gaps) -> Vec<AccessRule> {
    let text = match host.read_text(ACCESS_FILE, CONFIG_LIMIT) {
        Ok(text) => text,
        Err(e) => {
            if !e.is_not_found() {
                gaps.add(e.to_gap(Pam::NAME, "access_rules", ""));
            }
            return Vec::new();
        }
    };
    let words = |field: &str| field.split([' ', '\t', ',']).filter(|w| !w.is_empty()).map(String::from).collect();
    let rules = text.lines().enumerate().filter_map(|(index, line)| {
        let mut fields = line.split('#').next()?.trim().splitn(3, ':');
        let permission = fields.next()?.trim();
        let (users, origins) = (fields.next()?, fields.next()?);
        let source = Source::line(ACCESS_FILE, index + 1, permission);
        matches!(permission, "+" | "-").then(|| AccessRule {
            subject: format!("{ACCESS_FILE}:{}", index + 1),
            permits: permission == "+",
            users: words(users),
            origins: words(origins),
            source,
        })
    });
    rules.collect()
}
