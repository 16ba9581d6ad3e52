//! What happens after wrong passwords, and what keeps people from becoming root by su.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::line::Module;
use super::modules::{self, LOCAL_PASSWORD};
use super::settings;
use super::stack::{Call, Step, courses};
use crate::host::Host;
use crate::model::fact::Source;
use crate::model::gap::Gaps;

/// Lockout after failures in one `auth` stack.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Lockout {
    /// `pam_faillock`, `pam_tally2`, `pam_tally`; empty: none.
    pub module: String,
    /// Whether wrong passwords are counted and a locked account is refused in spite of the right one.
    pub effective: bool,
    /// Failures after which the account is locked; 0: never.
    pub deny: i64,
    /// Seconds until it opens again; 0: by an administrator alone.
    pub unlock_seconds: i64,
    /// Seconds within which failures are counted together; 0: without end.
    pub fail_interval_seconds: i64,
    /// Whether root is locked, too.
    pub even_deny_root: bool,
    /// What sets `deny`: file of settings or the module's line.
    pub source: Source,
}

const COUNTERS: [&str; 3] = ["pam_faillock", "pam_tally2", "pam_tally"];
const FAILLOCK_FILE: &str = "/etc/security/faillock.conf";

/// Reads the lockout of a stack.
pub fn lockout(host: &Host, steps: &[Step], gaps: &mut Gaps) -> Lockout {
    let wrong = courses(steps, &modules::impostor);
    let counts = |m: &Module| m.name() != "pam_faillock" || m.has("authfail");
    let counted = steps.iter().zip(&wrong.called).any(|(step, called)| *called && matches!(&step.call, Call::Module(m) if is_counter(m) && counts(m)));
    let Some((module, line)) = modules_of(steps).find(|(m, _)| is_counter(m)) else { return Lockout::default() };
    let locked = courses(steps, &|m| modules::knows_password(m, &is_counter));
    let faillock = module.name() == "pam_faillock";
    let mut settings = settings::Settings::default();
    if faillock {
        let path = module.value("conf").unwrap_or(FAILLOCK_FILE).to_string();
        settings = settings::plain(host, &path, "services.lockout", gaps);
    }
    // Every line has its own arguments; the one that counts decides, then the first.
    let deciding = modules_of(steps).find(|(m, _)| is_counter(m) && counts(m)).unwrap_or((module, line));
    settings.arguments(&deciding.0.arguments, deciding.1);
    // faillock.conf(5); pam_tally2 locks nobody without `deny`.
    let (deny, source) = settings.number("deny").map_or_else(|| (if faillock { 3 } else { 0 }, deciding.1.clone()), |(n, s)| (n, s.clone()));
    let unlock = settings.text("unlock_time").map_or(if faillock { 600 } else { 0 }, |(value, _)| value.parse().unwrap_or(0));
    Lockout {
        module: module.name().into(),
        effective: counted && locked.success.is_none() && deny > 0,
        deny,
        unlock_seconds: unlock,
        fail_interval_seconds: if faillock { settings.number("fail_interval").map_or(900, |(n, _)| n) } else { 0 },
        even_deny_root: settings.has("even_deny_root"),
        source,
    }
}

fn is_counter(module: &Module) -> bool {
    COUNTERS.contains(&module.name())
}

fn modules_of(steps: &[Step]) -> impl Iterator<Item = (&Module, &Source)> {
    steps.iter().filter_map(|step| match &step.call {
        Call::Module(m) => Some((m.as_ref(), &step.source)),
        _ => None,
    })
}

/// Who may become root by su(1).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Su {
    /// Whether the service `su` has a file.
    pub installed: bool,
    /// Whether the root password is not enough: pam_wheel must agree.
    pub restricted: bool,
    /// Group that pam_wheel asks for; empty: `wheel`, or group 0 where there is none.
    pub group: String,
    /// Whether members of the group become root without any password (`trust`).
    pub trusted: bool,
    /// Line of pam_wheel, or the service's file.
    pub source: Source,
}

/// Reads the stack of su.
pub fn su(steps: &[Step], file: &str) -> Su {
    let outsider = courses(steps, &|m| modules::knows_password(m, &|m| m.name() == "pam_wheel"));
    let wheel = modules_of(steps).find(|(m, _)| m.name() == "pam_wheel");
    let member = courses(steps, &|m| {
        let trusts = m.name() == "pam_wheel" && m.has("trust") && !m.has("deny");
        if trusts { vec!["success"] } else { modules::impostor(m) }
    });
    let stranger = courses(steps, &modules::impostor);
    Su {
        installed: !file.is_empty(),
        restricted: wheel.is_some_and(|(m, _)| !m.has("deny")) && outsider.success.is_none(),
        group: wheel.and_then(|(m, _)| m.value("group")).unwrap_or("").into(),
        trusted: member.success.is_some() && stranger.success.is_none(),
        source: wheel.map_or_else(|| Source::whole(file), |(_, source)| source.clone()),
    }
}

/// Whether the stack asks a local password, and whether an empty one will do: the line that says so.
pub fn local_password(steps: &[Step]) -> (bool, Option<Source>) {
    let called = courses(steps, &modules::impostor).called;
    let asking = || steps.iter().zip(&called).filter(|(_, called)| **called);
    let unix = asking().filter_map(|(step, _)| match &step.call {
        Call::Module(m) if LOCAL_PASSWORD.contains(&m.name()) => Some((m, &step.source)),
        _ => None,
    });
    let all: Vec<_> = unix.collect();
    let empty = all.iter().find(|(m, _)| m.has("nullok") || m.has("nullok_secure"));
    (!all.is_empty(), empty.map(|(_, source)| (*source).clone()))
}
