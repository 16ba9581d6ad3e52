//! Commands and libraries that programs of root are told of in their configuration: apt, dpkg,
//! modprobe, ifupdown, the dynamic linker, PAM.

use super::gathering::Gathering;
use super::started::{self, Context, Outcome};
use super::units::SEARCH;
use crate::host::debian::apt_conf::AptConf;
use crate::host::{CONFIG_LIMIT, FileKind};
use crate::model::fact::Source;

/// Most lines looked at of one file.
const LINE_LIMIT: usize = 20_000;
/// Lists of commands that apt has a shell run (apt.conf(5)).
const APT: [&str; 7] = [
    "DPkg::Pre-Invoke",
    "DPkg::Post-Invoke",
    "DPkg::Pre-Install-Pkgs",
    "APT::Update::Pre-Invoke",
    "APT::Update::Post-Invoke",
    "APT::Update::Post-Invoke-Success",
    "Unattended-Upgrade::Post-Invoke",
];
/// The dynamic linker as those see it who are loaded into every program.
const LINKER: &str = "every program of root";

/// Reads all of it.
pub fn gather(gathering: &mut Gathering<'_>) {
    apt(gathering);
    dpkg(gathering);
    for folder in ["/etc/modprobe.d", "/run/modprobe.d", "/usr/local/lib/modprobe.d", "/usr/lib/modprobe.d"] {
        for path in named(gathering, folder, |n| n.ends_with(".conf")) {
            keyed(gathering, &path, "module", &["install", "remove"], true);
        }
    }
    let interfaces = named(gathering, "/etc/network/interfaces.d", super::cron::is_run_by_run_parts);
    for path in std::iter::once("/etc/network/interfaces".to_string()).chain(interfaces) {
        keyed(gathering, &path, "network", &["pre-up", "up", "post-up", "pre-down", "down", "post-down"], false);
    }
    preloaded(gathering);
    libraries(gathering);
    for path in named(gathering, "/etc/pam.d", |n| !n.starts_with('.') && !n.ends_with('~') && !n.contains(".dpkg-")) {
        modules(gathering, &path);
    }
}

fn named(gathering: &mut Gathering<'_>, folder: &str, counts: impl Fn(&str) -> bool) -> Vec<String> {
    gathering.list(folder).into_iter().filter(|(n, k)| *k != FileKind::Folder && counts(n)).map(|(n, _)| format!("{folder}/{n}")).collect()
}

fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().take(LINE_LIMIT).enumerate().map(|(i, l)| (i + 1, l.trim())).filter(|(_, l)| !l.is_empty() && !l.starts_with('#'))
}

/// A command that a shell of root runs; what it starts by a variable tells nothing of this machine's own files.
fn command(gathering: &mut Gathering<'_>, path: &str, line: usize, when: &str, text: &str) {
    let variables = [("PATH".to_string(), SEARCH.to_string())].into();
    let outcome = Outcome { unresolved: 0, ..started::by_shell(text, &Context { variables, folder: Some("/".into()) }) };
    let mut job = gathering.job("hook", &format!("{path}:{line}"), "root", Source::line(path, line, ""));
    job.schedule = when.into();
    gathering.keep(job, outcome);
}

fn apt(gathering: &mut Gathering<'_>) {
    let conf = AptConf::read(gathering.host);
    for error in &conf.errors {
        gathering.error("executed_as_root", "/etc/apt/apt.conf.d", error);
    }
    for name in APT {
        for setting in conf.values(name) {
            command(gathering, &setting.place, setting.line, "packages", &setting.value);
        }
    }
}

/// dpkg(1): options without their dashes, a value after a space or an equals sign.
fn dpkg(gathering: &mut Gathering<'_>) {
    let fragments = named(gathering, "/etc/dpkg/dpkg.cfg.d", super::cron::is_run_by_run_parts);
    for path in std::iter::once("/etc/dpkg/dpkg.cfg".to_string()).chain(fragments) {
        let Some(text) = gathering.text(&path, CONFIG_LIMIT) else { continue };
        for (number, line) in lines(&text) {
            let Some((key, value)) = line.split_once(|c: char| c == '=' || c.is_whitespace()) else { continue };
            if ["pre-invoke", "post-invoke", "status-logger"].contains(&key) {
                let value = value.trim().trim_matches(|c| c == '"' || c == '\'');
                command(gathering, &path, number, "packages", value);
            }
        }
    }
}

/// Lines that begin with one of these words and end in a command; `subject`: one more word stands between.
fn keyed(gathering: &mut Gathering<'_>, path: &str, when: &str, keys: &[&str], subject: bool) {
    let Some(text) = gathering.text(path, CONFIG_LIMIT) else { return };
    for (number, line) in lines(&text) {
        let Some((key, mut rest)) = line.split_once(char::is_whitespace) else { continue };
        if subject {
            rest = rest.trim_start().split_once(char::is_whitespace).map_or("", |(_, rest)| rest);
        }
        if keys.contains(&key) && !rest.trim().is_empty() {
            command(gathering, path, number, when, rest.trim());
        }
    }
}

/// ld.so(8): names between white space or colons.
fn preloaded(gathering: &mut Gathering<'_>) {
    const PATH: &str = "/etc/ld.so.preload";
    let Some(text) = gathering.text(PATH, CONFIG_LIMIT) else { return };
    for (index, line) in text.lines().take(LINE_LIMIT).enumerate() {
        let words = line.split('#').next().unwrap_or("").split([' ', '\t', ':']);
        for library in words.filter(|w| w.starts_with('/')) {
            gathering.execute(library, "hook", Some(LINKER), &Source::line(PATH, index + 1, ""));
        }
    }
}

/// Folders of libraries, ldconfig(8).
fn libraries(gathering: &mut Gathering<'_>) {
    let fragments = named(gathering, "/etc/ld.so.conf.d", |n| n.ends_with(".conf"));
    for path in std::iter::once("/etc/ld.so.conf".to_string()).chain(fragments) {
        let Some(text) = gathering.text(&path, CONFIG_LIMIT) else { continue };
        for (number, line) in lines(&text) {
            let folder = line.split(['#', '=', ' ', '\t']).next().unwrap_or("").trim_end_matches('/');
            if folder.len() > 1 && folder.starts_with('/') {
                gathering.execute(folder, "folder", Some(LINKER), &Source::line(path.clone(), number, ""));
            }
        }
    }
}

/// pam.d(5): a module named by its whole path is loaded from there.
fn modules(gathering: &mut Gathering<'_>, path: &str) {
    let Some(text) = gathering.text(path, CONFIG_LIMIT) else { return };
    for (number, line) in lines(&text) {
        let line = line.split('#').next().unwrap_or("");
        let mut rest = line.split_whitespace().skip(1).skip_while(|w| !w.ends_with(".so"));
        if let Some(module) = rest.next().filter(|m| m.starts_with('/')) {
            gathering.execute(module, "hook", Some("sign-in"), &Source::line(path, number, ""));
        }
    }
}
