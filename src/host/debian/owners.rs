//! Which package owns a file, from dpkg's file lists.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Read as _};

use crate::host::{CONFIG_LIMIT, FileKind, Host, ReadError};

const INFO: &str = "/var/lib/dpkg/info";
const DIVERSIONS: &str = "/var/lib/dpkg/diversions";
/// Most bytes of file lists that one search reads (a large server has 40 MiB).
pub const SEARCH_LIMIT: u64 = 256 << 20;
/// Folders that usrmerge moved below /usr (Debian's `usr-is-merged`).
const MERGED: &[&str] = &["/bin/", "/sbin/", "/lib/", "/lib32/", "/lib64/", "/libx32/"];

/// Owner of each path that has one; paths that no package owns are absent.
pub fn owners(host: &Host, paths: &BTreeSet<String>) -> Result<BTreeMap<String, String>, ReadError> {
    let mut out = BTreeMap::new();
    if paths.is_empty() {
        return Ok(out);
    }
    let diversions = diversions(host)?;
    let merged = host.stat_link("/bin").is_ok_and(|s| s.kind == FileKind::Link);
    // Listed path -> (asked path, package that must or must not own it).
    let mut wanted: BTreeMap<String, Vec<(&String, Claim)>> = BTreeMap::new();
    for path in paths {
        for alias in aliases(path, merged) {
            let (listed, claim) = diversions.resolve(&alias);
            wanted.entry(listed).or_default().push((path, claim));
        }
    }
    let lists: Vec<String> = match host.list(INFO) {
        Ok(entries) => entries.into_iter().filter(|e| e.kind == FileKind::File && e.name.ends_with(".list")).map(|e| e.name).collect(),
        Err(e) if e.is_not_found() => return Ok(out),
        Err(e) => return Err(e),
    };
    let mut budget = SEARCH_LIMIT;
    let mut line = Vec::new();
    for name in lists {
        if out.len() == paths.len() {
            break;
        }
        let package = name.trim_end_matches(".list").split(':').next().unwrap_or_default();
        let path = format!("{INFO}/{name}");
        let mut reader = BufReader::with_capacity(1 << 15, host.open_file(&path)?.take(budget));
        loop {
            line.clear();
            let read = reader.read_until(b'\n', &mut line).map_err(|e| ReadError::Io(path.clone(), e.to_string()))?;
            if read == 0 {
                break;
            }
            budget = budget.saturating_sub(read as u64);
            if let Some(asked) = std::str::from_utf8(line.trim_ascii_end()).ok().and_then(|l| wanted.get(l)) {
                for (path, _) in asked.iter().filter(|(_, claim)| claim.allows(package)) {
                    out.entry((*path).clone()).or_insert_with(|| package.to_string());
                }
            }
        }
        if budget == 0 {
            return Err(ReadError::TooLarge(INFO.into(), SEARCH_LIMIT as usize));
        }
    }
    Ok(out)
}

/// The path and, on a merged system, its other spelling.
fn aliases(path: &str, merged: bool) -> Vec<String> {
    let mut out = vec![path.to_string()];
    if merged {
        if let Some(short) = path.strip_prefix("/usr").filter(|p| MERGED.iter().any(|m| p.starts_with(m))) {
            out.push(short.into());
        } else if MERGED.iter().any(|m| path.starts_with(m)) {
            out.push(format!("/usr{path}"));
        }
    }
    out
}

/// Who may own a listed path.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Claim {
    Anybody,
    Only(String),
    Not(String),
}

impl Claim {
    fn allows(&self, package: &str) -> bool {
        match self {
            Self::Anybody => true,
            Self::Only(p) => p == package,
            Self::Not(p) => p != package,
        }
    }
}

/// dpkg-divert(1): the file that others ship as `from` lies at `to`; only `package` ships the real `from`.
#[derive(Debug, Default)]
struct Diversions {
    items: Vec<(String, String, String)>,
}

impl Diversions {
    fn resolve(&self, path: &str) -> (String, Claim) {
        for (from, to, package) in &self.items {
            if path == to {
                return (from.clone(), Claim::Not(package.clone()));
            }
            if path == from {
                return (path.into(), Claim::Only(package.clone()));
            }
        }
        (path.into(), Claim::Anybody)
    }
}

fn diversions(host: &Host) -> Result<Diversions, ReadError> {
    let text = match host.read_text(DIVERSIONS, CONFIG_LIMIT) {
        Ok(text) => text,
        Err(e) if e.is_not_found() => return Ok(Diversions::default()),
        Err(e) => return Err(e),
    };
    let lines: Vec<&str> = text.lines().collect();
    let items = lines
        .chunks_exact(3)
        .filter_map(|c| match c {
            [from, to, package] => Some(((*from).to_string(), (*to).to_string(), (*package).to_string())),
            _ => None,
        })
        .collect();
    Ok(Diversions { items })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn diverted_merged_and_unowned_files() {
        let root = tempfile::tempdir().unwrap();
        let info = root.path().join("var/lib/dpkg/info");
        std::fs::create_dir_all(&info).unwrap();
        std::fs::create_dir_all(root.path().join("usr/bin")).unwrap();
        std::os::unix::fs::symlink("usr/bin", root.path().join("bin")).unwrap();
        std::fs::write(info.join("libpq-dev.list"), "/usr/bin/pg_config\n").unwrap();
        std::fs::write(info.join("postgresql-common.list"), "/.\n/usr/bin/pg_config\n").unwrap();
        std::fs::write(info.join("bash:amd64.list"), "/bin\n/bin/bash\n").unwrap();
        std::fs::write(root.path().join("var/lib/dpkg/diversions"), "/usr/bin/pg_config\n/usr/bin/pg_config.libpq-dev\npostgresql-common\n").unwrap();
        let host = Host::rooted(root.path()).unwrap();
        let paths = ["/usr/bin/bash", "/usr/bin/pg_config", "/usr/bin/pg_config.libpq-dev", "/opt/x"].map(String::from);
        let found = owners(&host, &paths.into_iter().collect()).unwrap();
        let shown: Vec<(&str, &str)> = found.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        assert_eq!(shown, [("/usr/bin/bash", "bash"), ("/usr/bin/pg_config", "postgresql-common"), ("/usr/bin/pg_config.libpq-dev", "libpq-dev")]);
    }
}
