//! What runs at boot, at a sign-in of root and at the events of root's programs without cron and
//! systemd units: rc.local, init scripts, start-up files of shells, hook folders.

use std::collections::BTreeSet;

use super::gathering::Gathering;
use super::shell::{self, Part, Word};
use super::started::{Outcome, Started};
use super::unit_tree::Tree;
use crate::host::FileKind;
use crate::model::fact::Source;

const RC_LOCAL: [&str; 2] = ["/etc/rc.local", "/etc/rc.d/rc.local"];
/// Folders of links to init scripts that a boot follows.
const RUN_LEVELS: [&str; 5] = ["/etc/rcS.d", "/etc/rc2.d", "/etc/rc3.d", "/etc/rc4.d", "/etc/rc5.d"];
/// Start-up files of the shells that root may have.
const SHELL_FILES: [&str; 7] = ["/etc/ssh/sshrc", "/etc/profile", "/etc/bash.bashrc", "/etc/bashrc", "/etc/zsh/zshenv", "/etc/zsh/zshrc", "/etc/zsh/zprofile"];
const ROOT_FILES: [&str; 9] = [".ssh/rc", ".profile", ".bash_profile", ".bash_login", ".bashrc", ".bash_logout", ".zshenv", ".zshrc", ".zprofile"];
/// Folders whose programs root runs at an event, and whether only executable files count.
const HOOKS: [(&str, bool); 27] = [
    ("/etc/systemd/system-generators", true),
    ("/usr/local/lib/systemd/system-generators", true),
    ("/usr/lib/systemd/system-generators", true),
    ("/etc/systemd/system-shutdown", true),
    ("/usr/lib/systemd/system-shutdown", true),
    ("/etc/systemd/system-sleep", true),
    ("/usr/lib/systemd/system-sleep", true),
    ("/etc/grub.d", true),
    ("/etc/initramfs-tools/hooks", true),
    ("/etc/update-motd.d", true),
    ("/etc/network/if-pre-up.d", true),
    ("/etc/network/if-up.d", true),
    ("/etc/network/if-down.d", true),
    ("/etc/network/if-post-down.d", true),
    ("/etc/NetworkManager/dispatcher.d", true),
    ("/etc/dhcp/dhclient-enter-hooks.d", false),
    ("/etc/dhcp/dhclient-exit-hooks.d", false),
    ("/etc/ppp/ip-up.d", true),
    ("/etc/kernel/postinst.d", true),
    ("/etc/kernel/postrm.d", true),
    ("/etc/kernel/preinst.d", true),
    ("/etc/kernel/prerm.d", true),
    ("/etc/dpkg/dpkg.cfg.d", false),
    ("/etc/network/interfaces.d", false),
    ("/etc/apt/apt.conf.d", false),
    ("/etc/logrotate.d", false),
    ("/etc/udev/rules.d", false),
];

/// What programs of root take settings from: who signs in how, whom to ask for accounts, what is loaded and made at boot,
/// whose packages are installed.
const SETTINGS: [&str; 6] = ["/etc/nsswitch.conf", "/etc/sysctl.conf", "/etc/modules", "/etc/ld.so.cache", "/etc/apt/sources.list", "/etc/apt/trusted.gpg"];
const SETTING_FOLDERS: [&str; 10] = [
    "/etc/pam.d",
    "/etc/security",
    "/etc/sysctl.d",
    "/etc/tmpfiles.d",
    "/etc/sysusers.d",
    "/etc/modprobe.d",
    "/etc/modules-load.d",
    "/etc/apt/sources.list.d",
    "/etc/apt/preferences.d",
    "/etc/apt/trusted.gpg.d",
];

/// Reads all of it.
pub fn gather(gathering: &mut Gathering<'_>, tree: &Tree) {
    for path in RC_LOCAL {
        if gathering.host.exists(path).unwrap_or(false) {
            let executable = gathering.is_executable(path);
            script(gathering, "rc-local", path, "boot", if executable { "" } else { "not-executable" });
        }
    }
    init_scripts(gathering, tree);
    let home = gathering.names.accounts().find(|(_, a)| a.uid == 0).map_or_else(|| "/root".to_string(), |(_, a)| a.home.clone());
    let mut files: Vec<String> = SHELL_FILES.iter().map(|f| (*f).to_string()).collect();
    files.extend(ROOT_FILES.iter().map(|f| format!("{}/{f}", home.trim_end_matches('/'))));
    let profiles = gathering.list("/etc/profile.d");
    files.extend(profiles.into_iter().filter(|(n, k)| n.ends_with(".sh") && *k != FileKind::Folder).map(|(n, _)| format!("/etc/profile.d/{n}")));
    for path in files {
        if gathering.host.exists(&path).unwrap_or(true) {
            start_up(gathering, &path, &home);
        }
    }
    for folder in ["/etc/profile.d", "/etc/ld.so.conf.d"] {
        hook_folder(gathering, folder);
    }
    for path in ["/etc/environment", "/etc/ld.so.preload", "/etc/ld.so.conf", "/etc/logrotate.conf"] {
        if gathering.host.exists(path).unwrap_or(true) {
            gathering.execute(path, "hook", Some("programs of root"), &Source::whole(path));
        }
    }
    settings(gathering);
    for (folder, only_executable) in HOOKS {
        hooks(gathering, folder, only_executable);
    }
}

fn script(gathering: &mut Gathering<'_>, kind: &str, path: &str, schedule: &str, ignored: &str) {
    let mut job = gathering.job(kind, path, "root", Source::whole(path));
    job.schedule = schedule.into();
    job.ignored = ignored.into();
    job.enabled = ignored.is_empty();
    gathering.keep(job, Outcome { files: vec![Started::File(path.into())], unresolved: 0 });
}

/// Scripts of System V that a boot starts; a unit of the same name takes their place.
fn init_scripts(gathering: &mut Gathering<'_>, tree: &Tree) {
    let mut seen = BTreeSet::new();
    for folder in RUN_LEVELS {
        for (name, kind) in gathering.list(folder) {
            let Some(script_name) = name.strip_prefix('S').and_then(|n| n.get(2..)).filter(|n| !n.is_empty()) else { continue };
            let replaced = tree.has(&format!("{script_name}.service"));
            if kind == FileKind::Folder || replaced || !seen.insert(script_name.to_string()) {
                continue;
            }
            let path = format!("/etc/init.d/{script_name}");
            if gathering.is_executable(&path) {
                script(gathering, "init-script", &path, "boot", "");
            }
        }
    }
}

/// A file that root's shells read, and the folders that it puts into root's search path.
fn start_up(gathering: &mut Gathering<'_>, path: &str, home: &str) {
    let mut job = gathering.job("start-up", path, "root", Source::whole(path));
    job.schedule = "sign-in".into();
    let subject = job.subject.clone();
    gathering.keep(job, Outcome { files: vec![Started::ShellScript(path.into())], unresolved: 0 });
    let Some(text) = gathering.text(path, shell::TEXT_LIMIT) else { return };
    for folder in search_path(&text, home) {
        gathering.execute(&folder, "search-path", Some(&subject), &Source::whole(path));
    }
}

/// Folders of every `PATH=…` whose text is known.
fn search_path(text: &str, home: &str) -> BTreeSet<String> {
    let shown = |word: &Word| {
        let part = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::Variable(name) if name == "HOME" => home.to_string(),
            // No folder has this name, so nothing is taken for known that is not.
            _ => "\0".to_string(),
        };
        word.parts.iter().map(part).collect::<String>()
    };
    let words = shell::commands(text).into_iter().flat_map(|c| c.words);
    let values = words.filter_map(|w| shown(&w).strip_prefix("PATH=").map(String::from));
    values.flat_map(|v| v.split(':').map(String::from).collect::<Vec<_>>()).filter(|f| f.starts_with('/') && f.len() > 1 && !f.contains('\0')).collect()
}

fn settings(gathering: &mut Gathering<'_>) {
    let take = |gathering: &mut Gathering<'_>, path: &str| gathering.execute(path, "environment", Some("programs of root"), &Source::whole(path));
    for path in SETTINGS {
        if gathering.host.exists(path).unwrap_or(true) {
            take(gathering, path);
        }
    }
    for folder in SETTING_FOLDERS {
        if gathering.host.exists(folder).unwrap_or(true) {
            take(gathering, folder);
        }
        for (name, kind) in gathering.list(folder) {
            if kind != FileKind::Folder && !name.ends_with('~') && !name.contains(".dpkg-") {
                take(gathering, &format!("{folder}/{name}"));
            }
        }
    }
}

fn hook_folder(gathering: &mut Gathering<'_>, folder: &str) {
    if gathering.host.exists(folder).unwrap_or(true) {
        gathering.execute(folder, "folder", Some("programs of root"), &Source::whole(folder));
    }
}

fn hooks(gathering: &mut Gathering<'_>, folder: &str, only_executable: bool) {
    hook_folder(gathering, folder);
    for (name, kind) in gathering.list(folder) {
        let path = format!("{folder}/{name}");
        let counts = kind != FileKind::Folder && (!only_executable || gathering.is_executable(&path)) && !name.ends_with('~') && !name.contains(".dpkg-");
        if counts {
            gathering.execute(&path, "hook", Some(&format!("hook {folder}")), &Source::whole(path.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_of_the_search_path() {
        let text = "# PATH=/no\nPATH=\"/a:$HOME/bin:/b/$X:$PATH\"\nexport PATH=$PATH:/c:relative:\nif true; then PATH=/d; fi\nMYPATH=/e\n";
        assert_eq!(search_path(text, "/root").into_iter().collect::<Vec<_>>(), ["/a", "/c", "/d", "/root/bin"]);
    }
}
