//! Where a path leads once its links are followed, without touching file systems that could block.

use crate::host::{FileKind, Host, ReadError};

/// Most links followed (`MAXSYMLINKS` of Linux).
const LINK_LIMIT: usize = 40;
/// Most parts of a path.
const PART_LIMIT: usize = 4096;

/// A path without links.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RealPath {
    /// Absolute, without links, `.` and `..`.
    pub path: String,
    /// Whether something is there; `true` also behind a mount that is not looked into.
    pub exists: bool,
}

/// Follows links inside the root. What lies behind a folder for which `closed` is true is taken as
/// written: looking into a remote file system whose server is gone would block.
pub fn follow(host: &Host, path: &str, closed: impl Fn(&str) -> bool) -> Result<RealPath, ReadError> {
    let mut pending: Vec<String> = parts(path);
    let (mut done, mut links, mut steps) = (Vec::<String>::new(), 0, 0);
    let (mut exists, mut blind) = (true, false);
    while let Some(part) = pending.pop() {
        steps += 1;
        if steps > PART_LIMIT || pending.len() > PART_LIMIT {
            return Err(ReadError::TooLarge(path.into(), PART_LIMIT));
        }
        if part == ".." {
            done.pop();
            continue;
        }
        done.push(part);
        let here = format!("/{}", done.join("/"));
        blind |= closed(&here);
        if blind || !exists {
            continue;
        }
        match host.stat_link(&here) {
            Ok(stat) if stat.kind == FileKind::Link => {
                links += 1;
                if links > LINK_LIMIT {
                    return Err(ReadError::Io(path.into(), format!("more than {LINK_LIMIT} links")));
                }
                let target = host.read_link(&here)?;
                done.pop();
                if target.starts_with('/') {
                    done.clear();
                }
                pending.extend(parts(&target));
            }
            Ok(_) => {}
            Err(e) if e.is_not_found() => exists = false,
            Err(e) => return Err(e),
        }
    }
    Ok(RealPath { path: format!("/{}", done.join("/")), exists })
}

/// Parts in reverse, so that the next one is popped.
fn parts(path: &str) -> Vec<String> {
    path.split('/').rev().filter(|p| !p.is_empty() && *p != ".").map(String::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn links_are_followed_inside_the_root() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("disk/data")).unwrap();
        std::fs::create_dir_all(root.path().join("srv")).unwrap();
        symlink("../disk/./data", root.path().join("srv/db")).unwrap();
        symlink("/srv/db", root.path().join("db")).unwrap();
        symlink("/loop", root.path().join("loop")).unwrap();
        let host = Host::rooted(root.path()).unwrap();
        let real = |p: &str| follow(&host, p, |_| false).map(|r| (r.path, r.exists));
        assert_eq!(real("/db/../data/x").unwrap(), ("/disk/data/x".into(), false));
        assert_eq!(real("//db/").unwrap(), ("/disk/data".into(), true));
        assert_eq!(real("/../..").unwrap(), ("/".into(), true));
        assert!(real("/loop/x").is_err());
        assert_eq!(follow(&host, "/srv/db", |p| p == "/srv").unwrap().path, "/srv/db");
        let deep = "a/".repeat(5000);
        assert!(matches!(real(&deep), Err(ReadError::TooLarge(..))));
    }
}
