//! Services that the system manager starts by itself, and the timers, sockets and paths that start
//! them: those that are linked, and what these pull in.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::Job;
use super::gathering::Gathering;
use super::started::{self, Context, Outcome};
use super::unit_file::{self, Names, Setting};
use super::unit_tree::{Tree, Unit};
use crate::host::CONFIG_LIMIT;
use crate::model::fact::Source;

/// Search path of programs named without a folder (systemd.exec(5), the default of `PATH`).
pub const SEARCH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Where a machine starts from, and what it passes when it stops.
const ROOTS: [&str; 8] =
    ["default.target", "sysinit.target", "basic.target", "multi-user.target", "graphical.target", "timers.target", "sockets.target", "paths.target"];
/// D-Bus services that name a unit.
const BUS: [&str; 2] = ["/usr/share/dbus-1/system-services", "/usr/local/share/dbus-1/system-services"];
/// Most units followed.
const REACH_LIMIT: usize = 10_000;

/// Reads units and keeps their jobs.
pub fn gather(gathering: &mut Gathering<'_>, tree: &Tree) {
    for folder in &tree.folders {
        if folder.starts_with("/etc/") || folder.starts_with("/usr/local/") {
            gathering.execute(folder, "folder", Some("service manager"), &Source::whole(folder.clone()));
            for (name, kind) in gathering.list(folder) {
                let below = format!("{folder}/{name}");
                if kind == crate::host::FileKind::Folder {
                    gathering.execute(&below, "folder", Some("service manager"), &Source::whole(below.clone()));
                }
            }
        }
    }
    let reached = reach(gathering, tree);
    for (name, (unit, by)) in &reached {
        let subject = format!("{} {name}", name.rsplit('.').next().unwrap_or("unit"));
        for file in std::iter::once(&unit.fragment).chain(&unit.drop_ins) {
            gathering.execute(file, "unit", Some(&subject), &Source::whole(file.clone()));
        }
        if name.ends_with(".service") {
            service(gathering, tree, unit, by, true);
        } else if name.ends_with(".timer") {
            timer(gathering, tree, unit, true);
        }
    }
    for name in tree.names().map(String::from).collect::<Vec<_>>() {
        if reached.contains_key(&name) || name.contains("@.") {
            continue;
        }
        let Some(unit) = tree.load(gathering, &name).filter(|u| u.name == name) else { continue };
        // Of what never starts by itself only what can be linked to start is worth a line.
        let is_installable = unit.masked || unit.settings.iter().any(|s| s.section == "Install");
        if name.ends_with(".timer") {
            timer(gathering, tree, &unit, false);
        } else if name.ends_with(".service") && is_installable {
            service(gathering, tree, &unit, "", false);
        }
    }
}

/// Every unit that starts by itself or on demand, with what starts it.
pub fn reach(gathering: &mut Gathering<'_>, tree: &Tree) -> BTreeMap<String, (Unit, String)> {
    let mut out: BTreeMap<String, (Unit, String)> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    let mut queue: VecDeque<(String, String)> = ROOTS.iter().map(|r| ((*r).to_string(), "boot".to_string())).collect();
    queue.extend(tree.linked().map(|u| (u.to_string(), "boot".to_string())));
    queue.extend(bus_services(gathering).into_iter().map(|u| (u, "on demand by D-Bus".to_string())));
    while let Some((name, by)) = queue.pop_front() {
        if out.len() >= REACH_LIMIT || !seen.insert(name.clone()) {
            continue;
        }
        let Some(unit) = tree.load(gathering, &name).filter(|u| !u.masked) else { continue };
        for key in ["Wants", "Requires", "BindsTo", "Upholds", "OnFailure", "OnSuccess"] {
            for setting in unit_file::all(&unit.settings, "Unit", key) {
                let value = unit_file::specify(&setting.value, names_of(&unit));
                queue.extend(value.split_whitespace().map(|u| (u.to_string(), by.clone())));
            }
        }
        if let Some(started) = activated(&unit) {
            let kind = name.rsplit('.').next().unwrap_or("");
            let how = if kind == "timer" { format!("by {name}") } else { format!("on demand by {name}") };
            queue.push_back((started, how));
        }
        out.entry(unit.name.clone()).or_insert((unit, by));
    }
    out
}

/// The service that a timer, socket or path starts.
pub fn activated(unit: &Unit) -> Option<String> {
    let (stem, kind) = unit.name.rsplit_once('.')?;
    let (section, key) = match kind {
        "timer" => ("Timer", "Unit"),
        "path" => ("Path", "Unit"),
        "socket" => ("Socket", "Service"),
        _ => return None,
    };
    if let Some(setting) = unit_file::last(&unit.settings, section, key) {
        return Some(unit_file::specify(&setting.value, names_of(unit)));
    }
    let accepts = kind == "socket" && unit_file::last(&unit.settings, "Socket", "Accept").is_some_and(|s| unit_file::is_yes(&s.value));
    // Each connection gets an instance of its own.
    Some(if accepts { format!("{stem}@connection.service") } else { format!("{stem}.service") })
}

fn bus_services(gathering: &mut Gathering<'_>) -> Vec<String> {
    let mut out = Vec::new();
    for folder in BUS {
        for (name, _) in gathering.list(folder) {
            let Some(text) = gathering.text(&format!("{folder}/{name}"), CONFIG_LIMIT) else { continue };
            let settings = unit_file::parse(&text, folder);
            out.extend(unit_file::last(&settings, "D-BUS Service", "SystemdService").map(|s| s.value.clone()));
        }
    }
    out
}

pub fn names_of(unit: &Unit) -> Names<'_> {
    Names { unit: &unit.name, home: "/root" }
}

/// The account of a service and the line that names it.
fn account_of(gathering: &Gathering<'_>, unit: &Unit) -> (String, Option<Setting>) {
    let setting = unit_file::last(&unit.settings, "Service", "User").cloned();
    let user = setting.as_ref().map(|s| unit_file::specify(&s.value, names_of(unit)));
    let is_dynamic = unit_file::last(&unit.settings, "Service", "DynamicUser").is_some_and(|s| unit_file::is_yes(&s.value));
    let account = match user {
        Some(user) if !is_dynamic || gathering.names.account(&user).is_some() => user,
        _ if is_dynamic => "(dynamic)".into(),
        _ => "root".into(),
    };
    (account, setting)
}

/// Lines that start programs of a service.
const STARTS: [&str; 7] = ["ExecStart", "ExecStartPre", "ExecStartPost", "ExecCondition", "ExecReload", "ExecStop", "ExecStopPost"];

/// What a service starts as its account, and what as root whatever its account.
fn outcomes(unit: &Unit, home: &str) -> (Outcome, Outcome, Option<Setting>) {
    let settings = &unit.settings;
    let names = Names { unit: &unit.name, home };
    let mut variables = BTreeMap::from([("PATH".to_string(), SEARCH.to_string()), ("HOME".to_string(), home.to_string())]);
    for setting in unit_file::all(settings, "Service", "Environment") {
        for word in unit_file::words(&unit_file::specify(&setting.value, names)) {
            if let Some((name, value)) = word.split_once('=') {
                variables.insert(name.into(), value.into());
            }
        }
    }
    let folder = unit_file::last(settings, "Service", "WorkingDirectory").map(|s| unit_file::specify(s.value.trim_start_matches('-'), names));
    let folder = folder.map_or_else(|| "/".to_string(), |f| if f == "~" { home.to_string() } else { f });
    let root = unit_file::last(settings, "Service", "RootDirectory").map(|s| unit_file::specify(&s.value, names)).unwrap_or_default();
    let in_image = unit_file::last(settings, "Service", "RootImage").is_some();
    let only_start = unit_file::last(settings, "Service", "PermissionsStartOnly").is_some_and(|s| unit_file::is_yes(&s.value));
    let context = Context { variables, folder: Some(folder) };
    let (mut plain, mut privileged, mut first) = (Outcome::default(), Outcome::default(), None);
    for key in STARTS {
        for setting in unit_file::all(settings, "Service", key) {
            if key == "ExecStart" && first.is_none() {
                first = Some(setting.clone());
            }
            for execution in unit_file::executions(&unit_file::specify(&setting.value, names), &context.variables) {
                let found = started::by_arguments(&execution.arguments, &context);
                let into = if execution.privileged || only_start && key != "ExecStart" { &mut privileged } else { &mut plain };
                into.unresolved += found.unresolved;
                into.files.extend(found.files.into_iter().filter(|_| !in_image).map(|f| below(f, &root)));
            }
        }
    }
    (plain, privileged, first)
}

/// A program of a service that sees another root folder.
fn below(started: started::Started, root: &str) -> started::Started {
    use started::Started::{File, Folder, Name, Script, ShellScript};
    let root = root.trim_end_matches('/');
    let place = |path: String| if root.is_empty() { path } else { format!("{root}{path}") };
    match started {
        File(path) => File(place(path)),
        ShellScript(path) => ShellScript(place(path)),
        Script(path) => Script(place(path)),
        Folder(path) => Folder(place(path)),
        Name(name, folders) => Name(name, folders.into_iter().map(place).collect()),
    }
}

fn service(gathering: &mut Gathering<'_>, tree: &Tree, unit: &Unit, by: &str, reached: bool) {
    let (account, user) = account_of(gathering, unit);
    let (plain, privileged, first) = outcomes(unit, "/root");
    if first.is_none() && plain.files.is_empty() && privileged.files.is_empty() && !unit.masked {
        return;
    }
    let subject = format!("service {}", unit.name);
    if reached && (account == "root" || !privileged.files.is_empty()) {
        for setting in unit_file::all(&unit.settings, "Service", "EnvironmentFile") {
            let path = unit_file::specify(setting.value.trim_start_matches('-'), names_of(unit));
            if path.starts_with('/') && !path.contains(['*', '?', '[']) {
                gathering.execute(&path, "environment", Some(&subject), &Source::line(setting.place.clone(), setting.line, "EnvironmentFile"));
            }
        }
    }
    let source = user.or_else(|| first.clone()).map_or_else(|| Source::whole(unit.fragment.clone()), |s| Source::line(s.place.clone(), s.line, s.key.clone()));
    let mut job = gathering.job("service", &unit.name, &account, source);
    job.owner = gathering.owner(&unit.fragment);
    job.schedule = by.into();
    describe(gathering, tree, unit, &mut job, reached);
    if let Some(first) = first.filter(|_| account != "root") {
        // Both lines matter: the account's decides who, the program's what.
        job.source = if job.account_known == Some(false) { job.source } else { Source::line(first.place.clone(), first.line, first.key.clone()) };
    }
    if !privileged.files.is_empty() && account != "root" {
        let mut root_job = gathering.job("service", &format!("{} (as root)", unit.name), "root", job.source.clone());
        (root_job.schedule, root_job.unit_state) = (job.schedule.clone(), job.unit_state.clone());
        (root_job.enabled, root_job.ignored) = (job.enabled, job.ignored.clone());
        gathering.keep(root_job, privileged);
        gathering.keep(job, plain);
    } else {
        let mut all = plain;
        all.unresolved += privileged.unresolved;
        all.files.extend(privileged.files);
        gathering.keep(job, all);
    }
}

fn describe(gathering: &mut Gathering<'_>, tree: &Tree, unit: &Unit, job: &mut Job, reached: bool) {
    job.unit_state = tree.state(gathering, &unit.name).into();
    job.enabled = reached && !unit.masked;
    job.ignored = if unit.masked {
        "masked"
    } else if reached {
        ""
    } else {
        "disabled"
    }
    .into();
}

fn timer(gathering: &mut Gathering<'_>, tree: &Tree, unit: &Unit, reached: bool) {
    const KEYS: [&str; 6] = ["OnCalendar", "OnActiveSec", "OnBootSec", "OnStartupSec", "OnUnitActiveSec", "OnUnitInactiveSec"];
    let service = activated(unit).and_then(|name| tree.load(gathering, &name));
    let account = service.as_ref().map_or_else(|| "root".to_string(), |s| account_of(gathering, s).0);
    let settings: Vec<&Setting> = KEYS.iter().flat_map(|k| unit_file::all(&unit.settings, "Timer", k)).collect();
    let source = settings.first().map_or_else(|| Source::whole(unit.fragment.clone()), |s| Source::line(s.place.clone(), s.line, s.key.clone()));
    let mut job = gathering.job("timer", &unit.name, &account, source);
    job.owner = gathering.owner(&unit.fragment);
    job.schedule = settings.iter().map(|s| format!("{}={}", s.key, s.value)).collect::<Vec<_>>().join("; ");
    describe(gathering, tree, unit, &mut job, reached);
    let outcome = service.filter(|s| !s.masked).map(|s| outcomes(&s, "/root").0).unwrap_or_default();
    gathering.keep(job, outcome);
}
