//! Mount and swap units of systemd that something starts (systemd.mount(5), systemd.swap(5)).

use std::collections::BTreeSet;

use super::fstab::{Entry, trimmed};
use crate::host::{CONFIG_LIMIT, FileKind, Host};

/// Folders of units, the first one wins.
const FOLDERS: &[&str] = &["/etc/systemd/system", "/run/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"];
/// Most units looked at.
const UNIT_LIMIT: usize = 4096;

/// Entries of every mount and swap unit that a target wants or an automount stands for.
pub fn read(host: &Host) -> Vec<Entry> {
    let mut names = BTreeSet::new();
    for folder in FOLDERS {
        for entry in host.list(folder).unwrap_or_default() {
            let wanted = [".wants", ".requires", ".upholds"].iter().any(|s| entry.name.ends_with(s));
            if !wanted || entry.kind == FileKind::File {
                continue;
            }
            for link in host.list(&format!("{folder}/{}", entry.name)).unwrap_or_default() {
                let name = link.name.strip_suffix(".automount").map_or(link.name.clone(), |stem| format!("{stem}.mount"));
                if (name.ends_with(".mount") || name.ends_with(".swap")) && names.len() < UNIT_LIMIT {
                    names.insert(name);
                }
            }
        }
    }
    names.iter().filter_map(|name| unit(host, name)).collect()
}

/// A unit with its drop-ins; `None` when it is masked, incomplete or not there.
fn unit(host: &Host, name: &str) -> Option<Entry> {
    let path = FOLDERS.iter().map(|f| format!("{f}/{name}")).find(|p| host.stat_link(p).is_ok())?;
    let mut entry = Entry { device: String::new(), point: String::new(), file_system: String::new(), options: String::new(), place: path.clone(), line: 0 };
    apply(&mut entry, &host.read_text(&path, CONFIG_LIMIT).ok()?, &path);
    let mut seen = BTreeSet::new();
    let mut drop_ins = Vec::new();
    for folder in FOLDERS {
        let folder = format!("{folder}/{name}.d");
        for file in host.list(&folder).unwrap_or_default() {
            if file.name.ends_with(".conf") && seen.insert(file.name.clone()) {
                drop_ins.push((file.name.clone(), format!("{folder}/{}", file.name)));
            }
        }
    }
    drop_ins.sort();
    for (_, path) in drop_ins {
        apply(&mut entry, &host.read_text(&path, CONFIG_LIMIT).unwrap_or_default(), &path);
    }
    if name.ends_with(".swap") {
        entry.point.clear();
        entry.file_system = "swap".into();
    } else if entry.point.is_empty() {
        return None;
    }
    (!entry.device.is_empty()).then_some(entry)
}

fn apply(entry: &mut Entry, text: &str, place: &str) {
    let mut inside = false;
    for (i, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.starts_with(['#', ';']) {
            continue;
        }
        if line.starts_with('[') {
            inside = line == "[Mount]" || line == "[Swap]";
            continue;
        }
        let Some((key, value)) = line.split_once('=').filter(|_| inside) else {
            continue;
        };
        let value = value.trim().trim_matches('"').to_string();
        match key.trim() {
            "What" => {
                entry.device = value;
                (entry.place, entry.line) = (place.into(), i + 1);
            }
            "Where" => entry.point = trimmed(value),
            "Type" => entry.file_system = value,
            "Options" => entry.options = value,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn only_what_something_starts_counts() {
        let root = tempfile::tempdir().unwrap();
        let system = root.path().join("etc/systemd/system");
        let write = |path: &str, text: &str| {
            let path = system.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("srv-db.mount", "[Unit]\nWhat=no\n[Mount]\n# What=/dev/old\nWhat=/dev/sdb1\nWhere=/srv/db/\nType=ext4\n[Install]\nWantedBy=multi-user.target\n");
        write("srv-db.mount.d/10.conf", "[Mount]\nWhat=/dev/mapper/db\n");
        write("srv-db.mount.d/10.conf.bak", "[Mount]\nWhat=/dev/sdz\n");
        write("srv-idle.mount", "[Mount]\nWhat=/dev/sdc1\nWhere=/srv/idle\n");
        write("srv-auto.mount", "[Mount]\nWhat=/dev/sdd1\nWhere=/srv/auto\n");
        write("multi-user.target.wants/.keep", "");
        symlink("/dev/null", system.join("srv-masked.mount")).unwrap();
        for name in ["srv-db.mount", "srv-masked.mount", "srv-auto.automount", "gone.mount"] {
            symlink(format!("../{name}"), system.join("multi-user.target.wants").join(name)).unwrap();
        }
        let all = read(&Host::rooted(root.path()).unwrap());
        let shown: Vec<String> = all.iter().map(|e| format!("{} {} {}:{}", e.device, e.point, e.place.rsplit('/').next().unwrap(), e.line)).collect();
        assert_eq!(shown, ["/dev/sdd1 /srv/auto srv-auto.mount:2", "/dev/mapper/db /srv/db 10.conf:2"]);
    }
}
