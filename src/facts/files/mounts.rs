//! What mounts are there and what they ignore: the kernel's table of a running machine, fstab(5)
//! of a root folder.

use std::collections::BTreeMap;

use super::{Files, MountPoint};
use crate::facts::Document as _;
use crate::host::block::mounts::{Mounts, unescape};
use crate::host::walk::Points;
use crate::host::{CONFIG_LIMIT, Host};
use crate::model::fact::Source;
use crate::model::gap::{Gap, Gaps, reason};

/// Mounts that every user may write to, or that belong to users.
const SHARED: [&str; 4] = ["/dev/shm", "/home", "/tmp", "/var/tmp"];
const FSTAB: &str = "/etc/fstab";

/// Options by mount point.
#[derive(Debug, Default)]
pub(super) struct MountTable {
    items: BTreeMap<String, Item>,
    live: bool,
}

#[derive(Debug)]
struct Item {
    file_system: String,
    flags: Vec<String>,
    /// Whether all of the file system is mounted there.
    whole: bool,
    source: Source,
}

impl MountTable {
    pub(super) fn read(host: &Host, gaps: &mut Gaps) -> Self {
        if !host.is_live() {
            let detail = "a root folder tells by fstab alone what is mounted how";
            gaps.note(Files::NAME, "mounts", "mounts that fstab does not name", reason::NEEDS_LIVE_KERNEL, detail, "Scan the machine itself.");
            return Self { items: from_fstab(host, gaps), live: false };
        }
        match Mounts::read(host) {
            Ok(mounts) => {
                if let Some(e) = &mounts.own_view {
                    gaps.add(Gap { detail: format!("{e}: mounts are those of the scan's own view"), ..e.to_gap(Files::NAME, "mounts", "") });
                }
                let item = |m: &crate::host::block::mounts::Mount| Item {
                    file_system: m.file_system.clone(),
                    flags: m.flags.split(',').map(String::from).collect(),
                    whole: m.root == "/",
                    source: Source::line(mounts.place.clone(), m.line, ""),
                };
                Self { items: mounts.items.iter().map(|m| (m.point.clone(), item(m))).collect(), live: true }
            }
            Err(e) => {
                gaps.add(e.to_gap(Files::NAME, "mounts", ""));
                Self::default()
            }
        }
    }

    /// What the walk must know before it touches a mount. Only the kernel's own table holds it.
    pub(super) fn points(&self) -> Points {
        let mut points = Points::default();
        for (point, item) in self.items.iter().filter(|(point, _)| self.live && point.as_str() != "/") {
            points.add(point, &item.file_system, item.whole);
        }
        points
    }

    /// Whether the mount that holds a path has an option.
    pub(super) fn has(&self, path: &str, option: &str) -> bool {
        let mut at = path;
        loop {
            if let Some(item) = self.items.get(if at.is_empty() { "/" } else { at }) {
                return item.flags.iter().any(|f| f == option);
            }
            match at.rsplit_once('/') {
                Some((above, _)) => at = above,
                None => return false,
            }
        }
    }

    pub(super) fn shared_places(&self) -> Vec<MountPoint> {
        let shown = |point: &&str| {
            let item = self.items.get(*point)?;
            let has = |option: &str| item.flags.iter().any(|f| f == option);
            Some(MountPoint {
                subject: (*point).into(),
                file_system: item.file_system.clone(),
                nosuid: has("nosuid"),
                nodev: has("nodev"),
                noexec: has("noexec"),
                source: item.source.clone(),
            })
        };
        SHARED.iter().filter_map(shown).collect()
    }
}

fn from_fstab(host: &Host, gaps: &mut Gaps) -> BTreeMap<String, Item> {
    match host.read_text(FSTAB, CONFIG_LIMIT) {
        Ok(text) => parse_fstab(&text),
        Err(e) if e.is_not_found() => BTreeMap::new(),
        Err(e) => {
            gaps.add(e.to_gap(Files::NAME, "mounts", ""));
            BTreeMap::new()
        }
    }
}

fn parse_fstab(text: &str) -> BTreeMap<String, Item> {
    let mut items = BTreeMap::new();
    for (i, line) in text.lines().enumerate() {
        let mut words = line.split_whitespace();
        let (Some(device), Some(point), Some(file_system)) = (words.next(), words.next(), words.next()) else { continue };
        let options = words.next().unwrap_or("defaults");
        if device.starts_with('#') || !point.starts_with('/') {
            continue;
        }
        let point = unescape(point);
        let point = if point.len() > 1 { point.trim_end_matches('/').to_string() } else { point };
        items.insert(point, Item { file_system: file_system.into(), flags: effective(options), whole: true, source: Source::line(FSTAB, i + 1, "") });
    }
    items
}

/// mount(8): a later option overrides an earlier one, and `user`, `users`, `owner` and `group` imply others.
fn effective(options: &str) -> Vec<String> {
    const ALL: &[&str] = &["nosuid", "nodev", "noexec"];
    let mut flags: BTreeMap<&str, bool> = BTreeMap::new();
    for option in options.split(',') {
        let (set, value): (&[&str], bool) = match option {
            "user" | "users" => (ALL, true),
            "owner" | "group" => (&["nosuid", "nodev"], true),
            "defaults" => (ALL, false),
            "suid" => (&["nosuid"], false),
            "dev" => (&["nodev"], false),
            "exec" => (&["noexec"], false),
            "nosuid" | "nodev" | "noexec" => (&[option], true),
            _ => continue,
        };
        flags.extend(set.iter().map(|flag| (*flag, value)));
    }
    flags.into_iter().filter(|(_, on)| *on).map(|(f, _)| f.to_string()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_as_mount_reads_them() {
        for (options, expected) in [
            ("defaults,nosuid,nodev", "nodev nosuid"),
            ("nosuid,nodev,suid", "nodev"),
            ("user,exec", "nodev nosuid"),
            ("nosuid,defaults", ""),
            ("rw,relatime", ""),
        ] {
            assert_eq!(effective(options).join(" "), expected, "{options}");
        }
    }

    #[test]
    fn the_nearest_mount_above_decides() {
        let text = "# /dev/x /tmp ext4 nosuid\nUUID=1 / ext4 errors=remount-ro 0 1\ntmpfs /tmp tmpfs nosuid,nodev\nUUID=2 none swap sw\n/dev/y /home/ xfs nodev\nx /a\\040b ext4 nosuid\n";
        let table = MountTable { items: parse_fstab(text), live: false };
        assert!(table.has("/tmp/a/b", "nosuid") && table.has("/home/u", "nodev") && table.has("/a b/c", "nosuid"));
        assert!(!table.has("/tmpx/a", "nosuid") && !table.has("/usr", "nosuid"));
        let shared: Vec<(String, bool, u32)> = table.shared_places().into_iter().map(|m| (m.subject, m.nosuid, m.source.line)).collect();
        assert_eq!(shared, [("/home".into(), false, 5), ("/tmp".into(), true, 3)]);
    }
}
