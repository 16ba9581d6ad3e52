//! Default file masks of sign-ins: login.defs(5), pam_umask(8), the shells' start-up files.

use super::{Umask, text};
use crate::host::{FileKind, Host};
use crate::model::fact::Source;
use crate::model::gap::Gaps;

const LIST: &str = "umasks";
/// Files of shells.
const SHELLS: [&str; 5] = ["/etc/profile", "/etc/bash.bashrc", "/etc/bashrc", "/etc/zsh/zprofile", "/root/.bashrc"];
/// Most masks kept.
const LIMIT: usize = 200;

pub fn gather(host: &Host, gaps: &mut Gaps) -> Vec<Umask> {
    let mut out = Vec::new();
    collect(host, "/etc/login.defs", gaps, &mut out, |line| line.strip_prefix("UMASK")?.split_whitespace().next());
    for entry in host.list("/etc/pam.d").unwrap_or_default().into_iter().filter(|e| e.kind != FileKind::Folder) {
        collect(host, &format!("/etc/pam.d/{}", entry.name), gaps, &mut out, |line| {
            let (_, rest) = line.split_once("pam_umask.so")?;
            rest.split_whitespace().find_map(|w| w.strip_prefix("umask="))
        });
    }
    let mut shells: Vec<String> = SHELLS.iter().map(|s| (*s).to_string()).collect();
    shells
        .extend(host.list("/etc/profile.d").unwrap_or_default().into_iter().filter(|e| e.name.ends_with(".sh")).map(|e| format!("/etc/profile.d/{}", e.name)));
    for shell in shells {
        collect(host, &shell, gaps, &mut out, |line| {
            line.strip_prefix("umask ")?.split([' ', ';']).next().filter(|v| v.starts_with(|c: char| c.is_ascii_digit()))
        });
    }
    out.truncate(LIMIT);
    out
}

fn collect(host: &Host, place: &str, gaps: &mut Gaps, out: &mut Vec<Umask>, value: impl Fn(&str) -> Option<&str>) {
    let Some(text) = text(host, place, LIST, gaps) else { return };
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.starts_with('#') {
            continue;
        }
        if let Some(value) = value(line) {
            out.push(Umask { subject: format!("{place}:{}", index + 1), value: value.into(), source: Source::line(place, index + 1, "umask") });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::testing::rooted;

    #[test]
    fn masks_of_each_place() {
        let (_root, host) = rooted(&[
            ("etc/login.defs", "#UMASK 077\nUMASK\t\t022\n"),
            ("etc/pam.d/common-session", "session optional pam_umask.so umask=0027\nsession optional pam_umask.so\n"),
            ("etc/profile.d/a.sh", "if true; then\n  umask 002\nfi\numask\n"),
        ]);
        let shown: Vec<String> = gather(&host, &mut Gaps::new()).into_iter().map(|u| format!("{} {}", u.subject, u.value)).collect();
        assert_eq!(shown, ["/etc/login.defs:2 022", "/etc/pam.d/common-session:1 0027", "/etc/profile.d/a.sh:2 002"]);
    }
}
