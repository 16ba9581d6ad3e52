//! Units of users' own managers, and the accounts whose manager runs without a session
//! (loginctl(1), enable-linger).

use super::Lingering;
use super::gathering::Gathering;
use super::started::{self, Context};
use super::unit_file::{self, Names};
use super::unit_tree::Tree;
use super::units::SEARCH;
use crate::host::FileKind;
use crate::model::fact::Source;
use crate::model::gap::reason;

const LINGER: &str = "/var/lib/systemd/linger";
/// Units that the administrator gives to every user.
const SHARED: &str = "/etc/systemd/user";
/// Below a home folder.
const OWN: [&str; 2] = [".config/systemd/user", ".local/share/systemd/user"];
/// Most accounts whose homes are looked into.
const ACCOUNT_LIMIT: usize = 20_000;
/// Most units read of one account.
const UNIT_LIMIT: usize = 1_000;

/// Reads lingering accounts and user units.
pub fn gather(gathering: &mut Gathering<'_>) {
    for (account, kind) in gathering.list(LINGER) {
        if kind == FileKind::File {
            let known = gathering.names.account(&account).is_some();
            let uncertain = !known && !gathering.names.directories.is_empty();
            if uncertain {
                let detail = format!("{account} is no local account, a directory service may know it");
                gathering.gap("lingering.account_known", &account, reason::UNSUPPORTED, detail);
            }
            gathering.lingering.push(Lingering {
                subject: account.clone(),
                account_known: (!uncertain).then_some(known),
                account_expired: if known { gathering.names.has_expired(&account) } else { Some(false) },
                source: Source::whole(format!("{LINGER}/{account}")),
                account,
            });
        }
    }
    units(gathering, &[SHARED.to_string()], "*", "/root");
    let accounts: Vec<(String, String)> = gathering.names.accounts().take(ACCOUNT_LIMIT).map(|(name, a)| (name.to_string(), a.home.clone())).collect();
    for (account, home) in accounts {
        let home = home.trim_end_matches('/');
        // Service accounts often have `/` or a folder that is nobody's home.
        if home.len() > 1 {
            units(gathering, &OWN.map(|f| format!("{home}/{f}")), &account, home);
        }
    }
}

fn units(gathering: &mut Gathering<'_>, folders: &[String], account: &str, home: &str) {
    if !folders.iter().any(|f| gathering.host.exists(f).unwrap_or(true)) {
        return;
    }
    let tree = Tree::of(gathering, folders);
    let names: Vec<String> = tree.names().map(String::from).collect();
    if names.len() > UNIT_LIMIT {
        gathering.gap("items", &format!("user-unit {account}"), reason::LIMIT_REACHED, format!("{home}: more than {UNIT_LIMIT} units"));
    }
    for name in names.into_iter().take(UNIT_LIMIT) {
        let is_timer = name.ends_with(".timer");
        if !is_timer && !name.ends_with(".service") {
            continue;
        }
        let Some(unit) = tree.load(gathering, &name).filter(|u| u.name == name) else { continue };
        let timer = name.strip_suffix(".service").map(|stem| format!("{stem}.timer"));
        let reached = tree.is_linked(&name) || timer.is_some_and(|t| tree.is_linked(&t));
        let start = unit_file::all(&unit.settings, "Service", "ExecStart").first().map(|s| (*s).clone());
        let source = start.as_ref().map_or_else(|| Source::whole(unit.fragment.clone()), |s| Source::line(s.place.clone(), s.line, s.key.clone()));
        let mut job = gathering.job("user-unit", &unit.fragment, account, source);
        job.schedule = if is_timer { "timer" } else { "session or lingering" }.into();
        job.enabled = reached && !unit.masked;
        job.ignored = if unit.masked {
            "masked"
        } else if reached {
            ""
        } else {
            "disabled"
        }
        .into();
        let names = Names { unit: &unit.name, home };
        let context = Context { variables: [("PATH".to_string(), SEARCH.to_string())].into(), folder: Some(home.into()) };
        let mut outcome = started::Outcome::default();
        for setting in unit_file::all(&unit.settings, "Service", "ExecStart") {
            for execution in unit_file::executions(&unit_file::specify(&setting.value, names), &context.variables) {
                let found = started::by_arguments(&execution.arguments, &context);
                outcome.files.extend(found.files);
                outcome.unresolved += found.unresolved;
            }
        }
        gathering.keep(job, outcome);
    }
}
