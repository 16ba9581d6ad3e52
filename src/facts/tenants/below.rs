//! What lies in a tenant's folder: links and mounts that lead to another tenant, and what everybody may read where
//! everybody may enter.

use std::collections::VecDeque;
use std::time::Instant;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::host::block::mounts::Mounts;
use crate::host::block::real_path;
use crate::host::{FileKind, Host, ReadError};

/// Most entries looked at in one tenant's folder.
const ENTRIES: u64 = 500_000;
/// Deepest folder, levels.
const DEPTH: usize = 64;
/// Most links kept.
const LINKS: usize = 100;
/// Most links followed in one tenant's folder.
const FOLLOWED: u64 = 20_000;
/// Most files whose mode is looked at.
const MODES: u64 = 50_000;
/// Files named that everybody may read.
const NAMED: usize = 10;

/// Something that leads from one tenant to another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CrossLink {
    /// The link or mount point.
    pub path: String,
    /// `link` or `mount`.
    pub kind: String,
    /// Where it leads.
    pub target: String,
    /// The tenant to whom that belongs.
    pub tenant: String,
}

/// What was seen below one folder.
#[derive(Debug, Default)]
pub(super) struct Below {
    pub links: Vec<CrossLink>,
    pub open_files: u64,
    pub open_first: Vec<String>,
    pub mounts: Vec<String>,
    /// What was not seen.
    pub missed: Vec<Missed>,
}

#[derive(Debug)]
pub(super) enum Missed {
    Unread(ReadError),
    Limit(String),
    Remote(String),
}

/// Folders of tenants without links: path and name.
pub(super) type Folders = [(String, String)];

/// Looks below a folder; `entered`: everybody may enter it, so that modes below decide.
pub(super) fn look(host: &Host, mounts: Option<&Mounts>, folder: &str, all: &Folders, entered: bool, until: Instant) -> Below {
    let mut below = Below::default();
    if let Some(mounts) = mounts {
        mounted(mounts, folder, all, &mut below);
    }
    let mut folders = VecDeque::from([(folder.to_string(), 0, entered)]);
    let (mut entries, mut followed, mut modes) = (0_u64, 0_u64, 0_u64);
    while let Some((at, depth, open)) = folders.pop_front() {
        if depth > 0 && mounts.is_some_and(|m| m.is_remote(&at)) {
            below.missed.push(Missed::Remote(at));
            continue;
        }
        let listed = match host.list(&at) {
            Ok(listed) => listed,
            Err(e) if e.is_not_found() => continue,
            Err(e) => {
                below.missed.push(Missed::Unread(e));
                continue;
            }
        };
        for entry in listed {
            entries += 1;
            if entries > ENTRIES || Instant::now() >= until {
                let bound = if entries > ENTRIES { "entries" } else { "time" };
                below.missed.push(Missed::Limit(format!("{folder}: the look into it ended at {at}: limit on {bound}")));
                return below;
            }
            let child = format!("{at}/{}", entry.name);
            match entry.kind {
                FileKind::Folder if depth == DEPTH => below.missed.push(Missed::Limit(format!("{child}: folders are nested deeper than {DEPTH}"))),
                FileKind::Folder => {
                    // Only where everybody may enter do modes below matter.
                    let open = open && host.stat_link(&child).is_ok_and(|s| s.mode & 0o001 != 0);
                    folders.push_back((child, depth + 1, open));
                }
                FileKind::Link if leads_out(host, &child, folder) => {
                    followed += 1;
                    if followed > FOLLOWED {
                        below.missed.push(Missed::Limit(format!("{folder}: more than {FOLLOWED} links lead out of it")));
                        return below;
                    }
                    link(host, mounts, child, folder, all, &mut below);
                }
                FileKind::File if open && modes < MODES => {
                    modes += 1;
                    if host.stat_link(&child).is_ok_and(|s| s.mode & 0o006 != 0) {
                        below.open_files += 1;
                        if below.open_first.len() < NAMED {
                            below.open_first.push(child);
                        }
                    }
                }
                _ => {}
            }
        }
    }
    below.links.sort();
    below
}

/// Whether the text of a link may lead out of the folder; links inside it are looked at themselves.
fn leads_out(host: &Host, link: &str, folder: &str) -> bool {
    let Ok(target) = host.read_link(link) else { return false };
    let mut parts: Vec<&str> = if target.starts_with('/') { Vec::new() } else { link.split('/').filter(|p| !p.is_empty()).collect() };
    if !target.starts_with('/') {
        parts.pop();
    }
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            other => parts.push(other),
        }
    }
    !is_inside(&format!("/{}", parts.join("/")), folder)
}

fn link(host: &Host, mounts: Option<&Mounts>, path: String, folder: &str, all: &Folders, below: &mut Below) {
    let closed = |p: &str| mounts.is_some_and(|m| m.is_remote(p));
    let real = match real_path::follow(host, &path, closed) {
        Ok(real) => real.path,
        // A loop of links leads nowhere.
        Err(ReadError::Io(..)) => return,
        Err(e) => return below.missed.push(Missed::Unread(e)),
    };
    if let Some(tenant) = owner(&real, folder, all) {
        keep(below, CrossLink { path, kind: "link".into(), target: real, tenant });
    }
}

/// Mounts below a folder, and those that show another tenant's folder.
fn mounted(mounts: &Mounts, folder: &str, all: &Folders, below: &mut Below) {
    for mount in mounts.below(folder) {
        below.mounts.push(mount.point.clone());
        for (other, tenant) in all.iter().filter(|(other, _)| !is_inside(other, folder) && !is_inside(folder, other)) {
            let Some(holds) = mounts.of_path(other) else { continue };
            let rest = other.strip_prefix(holds.point.trim_end_matches('/')).unwrap_or_default();
            let inner = format!("{}{rest}", holds.root.trim_end_matches('/'));
            // The same folder of the same file system, or one inside it or around it.
            if holds.device == mount.device && (is_inside(&mount.root, &inner) || is_inside(&inner, &mount.root)) {
                keep(below, CrossLink { path: mount.point.clone(), kind: "mount".into(), target: other.clone(), tenant: tenant.clone() });
            }
        }
    }
    below.mounts.sort();
}

fn keep(below: &mut Below, link: CrossLink) {
    if below.links.len() < LINKS {
        below.links.push(link);
    }
}

/// The other tenant to whom a path belongs.
fn owner(path: &str, own: &str, all: &Folders) -> Option<String> {
    let holder = all.iter().filter(|(folder, _)| is_inside(path, folder)).max_by_key(|(folder, _)| folder.len())?;
    (holder.0 != own).then(|| holder.1.clone())
}

/// Whether a path is a folder or lies in it.
pub(super) fn is_inside(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder.trim_end_matches('/')).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn links_to_another_tenant_are_found_and_others_are_not() {
        let dir = tempfile::tempdir().unwrap();
        let at = |path: &str| dir.path().join(path);
        for folder in ["srv/a/x/y", "srv/b/data", "srv/ab", "srv/shared"] {
            std::fs::create_dir_all(at(folder)).unwrap();
        }
        for (link, target) in [
            ("srv/a/inside", "x/y"),
            ("srv/a/x/y/up", "../../x"),
            ("srv/a/absolute", "/srv/b/data"),
            ("srv/a/x/relative", "../../b"),
            ("srv/a/chain", "hop"),
            ("srv/a/hop", "/srv/shared/hop"),
            ("srv/shared/hop", "/srv/b"),
            ("srv/a/shared", "/srv/shared"),
            ("srv/a/alike", "/srv/ab"),
            ("srv/a/loop", "loop"),
            ("srv/a/gone", "/srv/b/none"),
        ] {
            symlink(target, at(link)).unwrap();
        }
        let host = Host::rooted(dir.path()).unwrap();
        let all = [("/srv/a".to_string(), "a".to_string()), ("/srv/b".into(), "b".into())];
        let below = look(&host, None, "/srv/a", &all, false, Instant::now() + std::time::Duration::from_secs(60));
        let paths: Vec<&str> = below.links.iter().map(|l| l.path.as_str()).collect();
        assert_eq!(paths, ["/srv/a/absolute", "/srv/a/gone", "/srv/a/hop", "/srv/a/x/relative"]);
        assert!(below.links.iter().all(|l| l.tenant == "b" && l.kind == "link"));
        assert!(below.missed.is_empty() && below.open_files == 0);
    }

    #[test]
    fn modes_matter_only_where_everybody_may_enter() {
        let dir = tempfile::tempdir().unwrap();
        let set = |path: &str, mode: u32| std::fs::set_permissions(dir.path().join(path), PermissionsExt::from_mode(mode)).unwrap();
        std::fs::create_dir_all(dir.path().join("a/open")).unwrap();
        std::fs::create_dir_all(dir.path().join("a/shut")).unwrap();
        for (file, mode) in [("a/open/yes", 0o644), ("a/open/no", 0o640), ("a/shut/hidden", 0o644)] {
            std::fs::write(dir.path().join(file), "").unwrap();
            set(file, mode);
        }
        set("a/open", 0o711);
        set("a/shut", 0o700);
        let host = Host::rooted(dir.path()).unwrap();
        let of = |entered| look(&host, None, "/a", &[], entered, Instant::now() + std::time::Duration::from_secs(60));
        assert_eq!((of(true).open_first, of(false).open_files), (vec!["/a/open/yes".to_string()], 0));
        assert!(matches!(look(&host, None, "/a", &[], true, Instant::now()).missed.first(), Some(Missed::Limit(_))));
    }
}
