//! glob(3) below the root: the files that a pattern of a configuration names, in lexical order.

use super::{FileKind, Host, ReadError};
use crate::model::pattern::matches;

/// Most components with a wildcard in one pattern.
const WILDCARD_LIMIT: usize = 4;
/// Most paths that one pattern names.
pub const PATH_LIMIT: usize = 2_000;

/// What a pattern names.
#[derive(Debug, Default)]
pub struct Found {
    /// Paths that exist, in lexical order.
    pub paths: Vec<String>,
    /// Folders and files that could not be looked at.
    pub errors: Vec<ReadError>,
}

/// Whether a path holds a wildcard.
pub fn is_pattern(path: &str) -> bool {
    path.contains(['*', '?', '['])
}

/// The paths that an absolute pattern names, without braces and tildes. A wildcard does not stand for a leading dot.
pub fn glob(host: &Host, pattern: &str) -> Found {
    let mut out = Found::default();
    let components: Vec<&str> = pattern.split('/').filter(|c| !c.is_empty()).collect();
    if components.iter().filter(|c| is_pattern(c)).count() > WILDCARD_LIMIT {
        out.errors.push(ReadError::TooLarge(pattern.into(), WILDCARD_LIMIT));
        return out;
    }
    let mut found = vec![String::new()];
    for component in components {
        let mut next = Vec::new();
        for base in found {
            if is_pattern(component) {
                expand(host, &base, component, &mut next, &mut out.errors);
            } else {
                next.push(format!("{base}/{component}"));
            }
        }
        found = next;
        if found.len() > PATH_LIMIT {
            out.errors.push(ReadError::TooLarge(pattern.into(), PATH_LIMIT));
            found.truncate(PATH_LIMIT);
        }
    }
    for path in found {
        match host.stat(&path) {
            Ok(_) => out.paths.push(path),
            Err(e) if e.is_not_found() => {}
            Err(e) => out.errors.push(e),
        }
    }
    out.paths.sort();
    out
}

/// The paths that an include names, when one that can't be looked at refuses them all. Without a wildcard it names one path,
/// whether that is there or not.
pub fn included(host: &Host, pattern: &str) -> Result<Vec<String>, ReadError> {
    if !is_pattern(pattern) {
        return Ok(vec![pattern.into()]);
    }
    let Found { paths, errors } = glob(host, pattern);
    errors.into_iter().next().map_or(Ok(paths), Err)
}

fn expand(host: &Host, base: &str, component: &str, out: &mut Vec<String>, errors: &mut Vec<ReadError>) {
    let folder = if base.is_empty() { "/" } else { base };
    match host.list(folder) {
        Ok(entries) => {
            for entry in entries {
                let hidden = entry.name.starts_with('.') && !component.starts_with('.');
                if !hidden && entry.kind != FileKind::Other && matches(component, &entry.name) {
                    out.push(format!("{base}/{}", entry.name));
                }
            }
        }
        Err(e) if e.is_not_found() => {}
        Err(e) => errors.push(e),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::testing::rooted;

    #[test]
    fn patterns_name_what_exists_in_order() {
        let (_root, host) = rooted(&[("/e/b.conf", ""), ("/e/a.conf", ""), ("/e/.h.conf", ""), ("/e/d/x.conf", ""), ("/e/c.txt", "")]);
        assert_eq!(glob(&host, "/e/*.conf").paths, ["/e/a.conf", "/e/b.conf"]);
        assert_eq!(glob(&host, "/*/d/[wx].conf").paths, ["/e/d/x.conf"]);
        assert!(glob(&host, "/e/none*").paths.is_empty() && glob(&host, "/no/*").errors.is_empty());
        assert_eq!(glob(&host, "/*/*/*/*/*").errors.len(), 1);
        assert_eq!(included(&host, "/e/*.conf").unwrap(), ["/e/a.conf", "/e/b.conf"]);
        assert_eq!((included(&host, "/none").unwrap(), included(&host, "/none/*").unwrap()), (vec!["/none".to_string()], Vec::new()));
        assert!(included(&host, "/*/*/*/*/*").is_err());
    }
}
