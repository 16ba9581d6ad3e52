//! What package managers other than dpkg's offer: plain data in one form for all of them.

use crate::model::fact::Source;

/// A configured package repository.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Repository {
    /// Its id, or its address where there is none; unique.
    pub subject: String,
    /// `rpm`, `zypper` or `apk`.
    pub kind: &'static str,
    /// Address without credentials and query; variables such as `$releasever` as they stand.
    pub url: String,
    /// Whether it is used.
    pub enabled: bool,
    /// Whether a signature is asked for: `yes`, `no` or `unknown`.
    pub signed: &'static str,
    /// Whether packages are installed from it without any signature.
    pub trusted_without_signature: bool,
    /// Whether somebody else than the distribution keeps it; `None` when the address does not tell.
    pub third_party: Option<bool>,
    /// `https`, `http`, `ftp`, `file` or `other`.
    pub transport: &'static str,
    /// Keys that it names.
    pub key_files: Vec<String>,
    /// The deciding line.
    pub source: Source,
}

/// The package list of a repository.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct List {
    /// Repository id or address.
    pub repository: String,
    /// Component; `packages` where there is none.
    pub component: String,
    /// Architecture, empty when one list serves all.
    pub architecture: String,
    /// Whether the list is there.
    pub present: bool,
    /// When it was last known current, Unix seconds.
    pub checked_at: Option<i64>,
    /// The line that names the repository.
    pub source: Source,
}

/// An installed package with a newer version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pending {
    /// Name.
    pub name: String,
    /// Architecture.
    pub architecture: String,
    /// Installed version.
    pub installed: String,
    /// Offered version.
    pub candidate: String,
    /// Whether a security advisory covers it.
    pub security: bool,
    /// Worst severity that advisories of it give, lower case; empty without one.
    pub severity: String,
    /// Ids of these advisories, oldest first.
    pub advisories: Vec<String>,
    /// When the oldest of them was published, Unix seconds.
    pub published_at: Option<i64>,
    /// What keeps it back: `exclude`, `lock` or `world`, and where.
    pub held: Option<(&'static str, Source)>,
    /// Repository that offers it.
    pub repository: String,
    /// The list.
    pub source: Source,
}

/// What starts updates without a person.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Automatic {
    /// Days between refreshed lists; 0: never.
    pub lists_every_days: i64,
    /// Days between upgrades; 0: never.
    pub upgrade_every_days: i64,
    /// Whether a program that updates by itself is installed.
    pub tool_installed: bool,
    /// Whether something starts it and it installs what it finds.
    pub enabled: bool,
    /// When it was last started, whatever came of it, Unix seconds.
    pub last_run_at: Option<i64>,
    /// Newest update run that ended well, Unix seconds.
    pub last_success_at: Option<i64>,
    /// What keeps updates from being installed, one fragment each.
    pub obstacles: Vec<String>,
    /// Deciding place.
    pub source: Source,
}

/// An installed package that no list offers in any version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Orphan {
    /// Name.
    pub name: String,
    /// Architecture.
    pub architecture: String,
    /// Installed version.
    pub installed: String,
    /// Its record.
    pub source: Source,
}

/// Something that was not read, with the part of the facts that it hides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Dotted path below the family `updates`.
    pub path: &'static str,
    /// The item that misses it; empty: every item.
    pub subject: String,
    /// A reason of `model::gap`.
    pub reason: &'static str,
    /// What happened.
    pub detail: String,
    /// What to do.
    pub remedy: &'static str,
}

/// Everything of one package manager.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offers {
    /// `dnf`, `zypper` or `apk`.
    pub manager: &'static str,
    /// Repositories, used or not.
    pub repositories: Vec<Repository>,
    /// Lists of those that are used.
    pub lists: Vec<List>,
    /// Newer versions.
    pub pending: Vec<Pending>,
    /// Packages without a repository.
    pub orphaned: Vec<Orphan>,
    /// Automatic updates.
    pub automatic: Automatic,
    /// What was not read.
    pub problems: Vec<Problem>,
}

impl Offers {
    /// Adds a problem that hides `path`.
    pub fn hide(&mut self, path: &'static str, reason: &'static str, detail: impl Into<String>, remedy: &'static str) {
        self.problems.push(Problem { path, subject: String::new(), reason, detail: detail.into(), remedy });
    }
}

/// An address without credentials, query and fragment.
pub fn shown(url: &str) -> String {
    let plain = url.split(['?', '#']).next().unwrap_or_default();
    let Some((scheme, rest)) = plain.split_once("://") else {
        return plain.into();
    };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    format!("{scheme}://{host}{}", path.trim_end_matches('/'))
}

/// How an address is fetched.
pub fn transport(url: &str) -> &'static str {
    match url.split_once("://").map_or("", |(scheme, _)| scheme).to_ascii_lowercase().as_str() {
        "https" => "https",
        "http" => "http",
        "ftp" => "ftp",
        "file" => "file",
        "" if url.starts_with('/') => "file",
        _ if url.starts_with("file:/") => "file",
        _ => "other",
    }
}

/// Whether somebody else than a distribution keeps an address, as far as its host name tells.
pub fn third_party(url: &str) -> Option<bool> {
    const OWN: &[&str] =
        &["almalinux.org", "alpinelinux.org", "centos.org", "fedoraproject.org", "opensuse.org", "oracle.com", "redhat.com", "rockylinux.org", "suse.com"];
    let plain = shown(url);
    let rest = plain.split_once("://").map_or(plain.as_str(), |(_, rest)| rest);
    let host = rest.split(['/', ':']).next().unwrap_or_default().to_ascii_lowercase();
    let own = OWN.iter().any(|o| host == *o || host.strip_suffix(o).is_some_and(|h| h.ends_with('.')));
    // Repositories that users keep on a distribution's own servers.
    const COMMUNITY: &[&str] = &["copr.", "/home:", "/epel", "epel-", "/repositories/home"];
    match own {
        true => Some(COMMUNITY.iter().any(|c| url.contains(c))),
        false => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_lose_their_secrets() {
        assert_eq!(shown("https://user:pa@ss@repo.example/el9/?token=x#y"), "https://repo.example/el9");
        assert_eq!(shown("/srv/repo?x"), "/srv/repo");
        assert_eq!(shown("file:///srv/repo/"), "file:///srv/repo");
        assert_eq!((transport("HTTP://x"), transport("file:/x"), transport("dir:///x"), transport("/x")), ("http", "file", "other", "file"));
    }

    #[test]
    fn distributions_are_told_by_their_names() {
        assert_eq!(third_party("https://mirrors.rockylinux.org/mirrorlist?repo=x"), Some(false));
        assert_eq!(third_party("https://mirrors.fedoraproject.org/metalink?repo=epel-9"), Some(true));
        assert_eq!(third_party("https://evilrockylinux.org/x"), None);
        assert_eq!(third_party("http://dl-cdn.alpinelinux.org/alpine/v3.20/main"), Some(false));
    }
}
