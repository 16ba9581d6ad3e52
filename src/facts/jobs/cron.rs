//! cron, its folders and anacron: crontab(5), cron(8) of Debian and cronie, run-parts(8),
//! anacrontab(5).

use std::collections::BTreeMap;

use super::Access;
use super::gathering::Gathering;
use super::schedule::{self, Line};
use super::started::{self, Context, Outcome};
use crate::host::{CONFIG_LIMIT, FileKind};
use crate::model::fact::Source;
use crate::model::gap::reason;

const CRONTAB: &str = "/etc/crontab";
const CRON_D: &str = "/etc/cron.d";
const ANACRONTAB: &str = "/etc/anacrontab";
/// Folders whose programs cron or anacron run, with their schedule.
const FOLDERS: [(&str, &str); 9] = [
    ("/etc/cron.hourly", "@hourly"),
    ("/etc/cron.daily", "@daily"),
    ("/etc/cron.weekly", "@weekly"),
    ("/etc/cron.monthly", "@monthly"),
    ("/etc/periodic/15min", "*/15 * * * *"),
    ("/etc/periodic/hourly", "@hourly"),
    ("/etc/periodic/daily", "@daily"),
    ("/etc/periodic/weekly", "@weekly"),
    ("/etc/periodic/monthly", "@monthly"),
];
/// Folders of users' crontabs: Debian and busybox, then cronie.
const SPOOLS: [&str; 2] = ["/var/spool/cron/crontabs", "/var/spool/cron"];

/// Reads all of it; the name of the cron whose rules were applied.
pub fn gather(gathering: &mut Gathering<'_>) -> &'static str {
    let cron = flavour(gathering);
    system(gathering, CRONTAB, cron, "");
    gathering.place(CRON_D, "folder", "root");
    for (name, kind) in gathering.list(CRON_D) {
        if kind != FileKind::Folder {
            let ignored = if is_read_from_cron_d(&name, cron) { "" } else { "name" };
            system(gathering, &format!("{CRON_D}/{name}"), cron, ignored);
        }
    }
    for (folder, schedule) in FOLDERS {
        programs(gathering, folder, schedule, cron);
    }
    anacron(gathering);
    users(gathering);
    for (program, binaries) in [("cron", &["/usr/bin/crontab", "/bin/crontab"]), ("at", &["/usr/bin/at", "/bin/at"])] {
        let installed = binaries.iter().any(|b| gathering.host.exists(b).unwrap_or(true));
        access(gathering, program, installed, cron);
    }
    cron
}

/// Which cron decides which names are read.
fn flavour(gathering: &Gathering<'_>) -> &'static str {
    let is_there = |path: &str| gathering.host.exists(path).unwrap_or(false);
    let busybox = gathering.host.read_link("/usr/sbin/crond").is_ok_and(|t| t.ends_with("busybox")) || is_there("/etc/alpine-release");
    if is_there("/usr/sbin/cron") || is_there("/var/lib/dpkg/info/cron.list") {
        "debian"
    } else if busybox {
        "busybox"
    } else if is_there("/usr/sbin/crond") || !is_there("/var/lib/dpkg/status") && (is_there("/var/lib/rpm") || is_there("/usr/lib/sysimage/rpm")) {
        "cronie"
    } else {
        "debian"
    }
}

/// cron(8) of Debian takes the names that run-parts takes; cronie all but hidden files, copies of
/// editors and what rpm leaves behind.
fn is_read_from_cron_d(name: &str, cron: &str) -> bool {
    match cron {
        "cronie" => !name.starts_with(['.', '#']) && !name.ends_with('~') && ![".rpmsave", ".rpmorig", ".rpmnew"].iter().any(|s| name.ends_with(s)),
        _ => is_run_by_run_parts(name),
    }
}

/// run-parts(8) of Debian without options: ASCII letters, digits, underscores and hyphens alone.
pub fn is_run_by_run_parts(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

/// The shell script of cronie takes every name but copies of editors and of rpm.
fn is_run_from_folder(name: &str, cron: &str) -> bool {
    match cron {
        "cronie" => !name.ends_with(['~', ',']) && ![".rpmsave", ".rpmorig", ".rpmnew", ".swp", ",v", ".cfsaved"].iter().any(|s| name.ends_with(s)),
        "busybox" => name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b)),
        _ => is_run_by_run_parts(name),
    }
}

/// A crontab that names accounts.
fn system(gathering: &mut Gathering<'_>, path: &str, cron: &str, ignored: &str) {
    let Some(text) = gathering.text(path, CONFIG_LIMIT) else { return };
    if ignored.is_empty() {
        gathering.place(path, "crontab", "root");
    }
    let ignored = if ignored.is_empty() { refusal(gathering, path, cron) } else { ignored };
    table(gathering, path, &text, None, ignored);
}

/// Why cron would refuse a crontab of root: cron(8), and the checks before a table is loaded.
fn refusal(gathering: &Gathering<'_>, path: &str, cron: &str) -> &'static str {
    match gathering.host.stat(path) {
        Ok(stat) if stat.uid != 0 && !gathering.trust.is_copied_by_user() => "owner",
        Ok(stat) if stat.mode & 0o022 != 0 || cron == "cronie" && stat.mode & 0o111 != 0 => "mode",
        _ => "",
    }
}

/// The jobs of one crontab; `user` is its account when it names none itself.
fn table(gathering: &mut Gathering<'_>, path: &str, text: &str, user: Option<&str>, ignored: &str) {
    const LINE_LIMIT: usize = 10_000;
    const MALFORMED_LIMIT: usize = 20;
    let mut malformed = 0;
    if text.lines().count() > LINE_LIMIT {
        gathering.gap("items", path, reason::LIMIT_REACHED, format!("{path}: only {LINE_LIMIT} lines were looked at"));
    }
    // cron(8): settings hold for the lines below them.
    let mut settings = BTreeMap::from([("PATH".to_string(), "/usr/bin:/bin".to_string())]);
    for (index, line) in text.lines().take(LINE_LIMIT).enumerate() {
        let (schedule, account, command) = match schedule::crontab(line, user.is_none()) {
            Line::Nothing => continue,
            Line::Setting(name, value) => {
                settings.insert(name, value);
                continue;
            }
            Line::Malformed => {
                let place = format!("{path}:{}", index + 1);
                malformed += 1;
                if malformed > MALFORMED_LIMIT {
                    continue;
                }
                gathering.gap("items", &format!("cron {place}"), reason::MALFORMED, format!("{place}: neither a setting nor a job"));
                continue;
            }
            Line::Job { schedule, account, command } => (schedule, account, command),
        };
        let account = user.unwrap_or(&account);
        let source = Source::line(path, index + 1, "");
        let mut job = gathering.job("cron", &format!("{path}:{}", index + 1), account, source);
        job.schedule = schedule;
        ignored.clone_into(&mut job.ignored);
        job.enabled = ignored != "name";
        let outcome = of_command(gathering, &command, account, &settings);
        gathering.keep(job, outcome);
    }
}

fn of_command(gathering: &Gathering<'_>, command: &str, account: &str, settings: &BTreeMap<String, String>) -> Outcome {
    let home = gathering.names.account(account).map(|a| a.home.clone());
    let mut variables = settings.clone();
    for (name, value) in [("HOME", home.clone()), ("LOGNAME", Some(account.to_string())), ("USER", Some(account.to_string()))] {
        if let Some(value) = value {
            variables.entry(name.into()).or_insert(value);
        }
    }
    let folder = variables.get("HOME").cloned().or(home);
    let mut outcome = started::by_shell(command, &Context { variables, folder });
    if let Some(shell) = settings.get("SHELL").filter(|s| s.starts_with('/') && !["/bin/sh", "/bin/bash"].contains(&s.as_str())) {
        outcome.files.push(started::Started::File(shell.clone()));
    }
    outcome
}

/// A folder whose programs are run by run-parts.
fn programs(gathering: &mut Gathering<'_>, folder: &str, schedule: &str, cron: &str) {
    gathering.place(folder, "folder", "root");
    for (name, kind) in gathering.list(folder) {
        let path = format!("{folder}/{name}");
        // A folder's placeholder says that it is kept on purpose.
        if kind == FileKind::Folder || name == ".placeholder" {
            continue;
        }
        let mut job = gathering.job("cron-folder", &path, "root", Source::whole(path.clone()));
        job.schedule = schedule.into();
        job.ignored = if !is_run_from_folder(&name, cron) {
            "name"
        } else if !gathering.is_executable(&path) {
            "not-executable"
        } else {
            ""
        }
        .into();
        job.enabled = job.ignored.is_empty();
        if job.enabled {
            gathering.place(&path, "job", "root");
        }
        let outcome = Outcome { files: vec![started::Started::File(path)], unresolved: 0 };
        gathering.keep(job, outcome);
    }
}

fn anacron(gathering: &mut Gathering<'_>) {
    let Some(text) = gathering.text(ANACRONTAB, CONFIG_LIMIT) else { return };
    gathering.place(ANACRONTAB, "crontab", "root");
    let mut settings = BTreeMap::from([("PATH".to_string(), "/usr/local/sbin:/usr/local/bin:/sbin:/bin:/usr/sbin:/usr/bin".to_string())]);
    for (index, line) in text.lines().enumerate() {
        let place = format!("{ANACRONTAB}:{}", index + 1);
        match schedule::anacrontab(line) {
            Line::Nothing => {}
            Line::Setting(name, value) => {
                settings.insert(name, value);
            }
            Line::Malformed => gathering.gap("items", &format!("anacron {place}"), reason::MALFORMED, format!("{place}: neither a setting nor a job")),
            Line::Job { schedule, account, command } => {
                let mut job = gathering.job("anacron", &place, &account, Source::line(ANACRONTAB, index + 1, ""));
                job.schedule = schedule;
                let outcome = of_command(gathering, &command, &account, &settings);
                gathering.keep(job, outcome);
            }
        }
    }
}

/// Crontabs of users: a file's name is its account.
fn users(gathering: &mut Gathering<'_>) {
    for spool in SPOOLS {
        gathering.place(spool, "spool", "root");
        for (name, kind) in gathering.list(spool) {
            // crontab(1) writes its temporary copy beside the tables; cron passes over hidden names.
            if kind != FileKind::File || name.starts_with('.') || name.starts_with("tmp.") {
                continue;
            }
            let path = format!("{spool}/{name}");
            gathering.place(&path, "user-crontab", &name);
            let Some(text) = gathering.text(&path, CONFIG_LIMIT) else { continue };
            let uid = gathering.names.account(&name).map(|a| a.uid);
            let ignored = match gathering.host.stat(&path) {
                Ok(stat) if uid.is_some_and(|uid| uid != stat.uid && stat.uid != 0) => "owner",
                Ok(stat) if stat.mode & 0o022 != 0 => "mode",
                _ => "",
            };
            table(gathering, &path, &text, Some(&name), ignored);
        }
    }
}

/// crontab(1), at(1): the allow file decides alone when it exists, else the deny file; without
/// both Debian's crontab lets everyone in, cronie's and at root alone.
fn access(gathering: &mut Gathering<'_>, program: &str, installed: bool, cron: &str) {
    let (allow, deny) = (format!("/etc/{program}.allow"), format!("/etc/{program}.deny"));
    let names = |text: &str| {
        let mut names: Vec<String> = text.lines().map(|l| l.split('#').next().unwrap_or("").trim()).filter(|l| !l.is_empty()).map(String::from).collect();
        names.sort();
        names.dedup();
        names
    };
    let mut read = |path: &str| match gathering.host.read_text(path, CONFIG_LIMIT) {
        Ok(text) => Some(names(&text)),
        Err(e) if e.is_not_found() => None,
        Err(e) => {
            gathering.error("access", program, &e);
            None
        }
    };
    let (allowed_names, denied_names) = (read(&allow), read(&deny));
    for path in [&allow, &deny] {
        gathering.place(path, "access-list", "root");
    }
    let (allowed, accounts, place) = match (allowed_names, denied_names) {
        (Some(names), _) => ("listed", names, allow),
        (None, Some(names)) if names.is_empty() => ("everyone", names, deny),
        (None, Some(names)) => ("all-but-listed", names, deny),
        (None, None) if program == "cron" && cron == "debian" => ("everyone", Vec::new(), allow),
        (None, None) => ("root", Vec::new(), allow),
    };
    gathering.access.push(Access { subject: program.into(), installed, allowed: allowed.into(), accounts, source: Source::whole(place) });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_cron_passes_over() {
        for (name, debian, cronie) in [
            ("backup", true, true),
            ("back-up_2", true, true),
            ("backup.sh", false, true),
            ("backup~", false, false),
            (".hidden", false, false),
            ("#x#", false, false),
            ("x.rpmsave", false, false),
            ("x.dpkg-old", false, true),
            ("", false, true),
        ] {
            assert_eq!(is_read_from_cron_d(name, "debian"), debian, "{name}");
            assert_eq!(is_read_from_cron_d(name, "cronie"), cronie, "{name}");
        }
    }
}
