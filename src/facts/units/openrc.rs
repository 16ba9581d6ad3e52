//! Init scripts: run levels of OpenRC (openrc-run(8), rc-update(8)) and of System V.

use std::collections::BTreeSet;

use super::{Unit, Units};
use crate::facts::Document as _;
use crate::host::{Entry, FileKind, Host};
use crate::model::fact::Source;
use crate::model::gap::Gaps;

/// Folders of links that a start of System V passes.
const RUN_LEVELS: [&str; 8] = ["/etc/rcS.d", "/etc/rc2.d", "/etc/rc3.d", "/etc/rc4.d", "/etc/rc5.d", "/etc/rc.d/rc3.d", "/etc/rc.d/rc4.d", "/etc/rc.d/rc5.d"];

/// Scripts of OpenRC.
pub fn openrc(host: &Host, gaps: &mut Gaps) -> Vec<Unit> {
    let mut enabled = BTreeSet::new();
    for level in list(host, "/etc/runlevels", gaps) {
        // What only a stop of the machine passes starts nothing.
        if level.kind == FileKind::Folder && level.name != "shutdown" {
            enabled.extend(list(host, &format!("/etc/runlevels/{}", level.name), gaps).into_iter().map(|e| e.name));
        }
    }
    scripts(host, &enabled, gaps)
}

/// Scripts of System V.
pub fn sysv(host: &Host, gaps: &mut Gaps) -> Vec<Unit> {
    let mut enabled = BTreeSet::new();
    for folder in RUN_LEVELS {
        for entry in list(host, folder, gaps) {
            // `S20name`
            let name = entry.name.strip_prefix('S').and_then(|n| n.get(2..)).filter(|n| !n.is_empty());
            enabled.extend(name.map(String::from));
        }
    }
    scripts(host, &enabled, gaps)
}

fn scripts(host: &Host, enabled: &BTreeSet<String>, gaps: &mut Gaps) -> Vec<Unit> {
    let is_script =
        |e: &Entry| e.kind != FileKind::Folder && !e.name.starts_with('.') && !["README", "functions.sh", "skeleton", "rc", "rcS"].contains(&e.name.as_str());
    let entries = list(host, "/etc/init.d", gaps).into_iter().filter(is_script);
    let unit = |e: Entry| Unit {
        enabled: enabled.contains(&e.name),
        state: if enabled.contains(&e.name) { "enabled" } else { "disabled" }.into(),
        kind: "script".into(),
        source: Source::whole(format!("/etc/init.d/{}", e.name)),
        subject: e.name,
        ..Unit::default()
    };
    entries.map(unit).collect()
}

fn list(host: &Host, folder: &str, gaps: &mut Gaps) -> Vec<Entry> {
    match host.list(folder) {
        Ok(entries) => entries,
        Err(e) if e.is_not_found() => Vec::new(),
        Err(e) => {
            gaps.add(e.to_gap(Units::NAME, "items", ""));
            Vec::new()
        }
    }
}
