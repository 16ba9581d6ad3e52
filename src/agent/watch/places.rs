//! From the patterns of the families to folders that are watched, and to a mark of what lies there.

use std::collections::{BTreeMap, BTreeSet};

use crate::facts::Family;
use crate::host::{FileKind, Host, ReadError, root};
use crate::model::ids::Digest;

/// Most folders watched.
pub const MAX_FOLDERS: usize = 4096;
/// Most files and folders looked at for the marks.
pub const MAX_FILES: usize = 65_536;
/// Deepest folder below one that is watched with everything below it.
const MAX_DEPTH: usize = 6;
/// Most links followed from one path.
const MAX_LINKS: usize = 8;
/// Most home folders.
const MAX_HOMES: usize = 1024;
/// Largest /etc/passwd that is read, bytes.
const PASSWD_LIMIT: usize = 16 << 20;

/// Families by their place in the list that is watched; at most 64.
pub type Mask = u64;

/// Which entries of a folder matter to whom.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interest {
    names: BTreeMap<String, Mask>,
    beginnings: Vec<(String, Mask)>,
    /// Every entry, and the folder itself.
    all: Mask,
}

impl Interest {
    /// Whom a change of the entry concerns.
    pub fn of(&self, name: &str) -> Mask {
        let named = self.names.get(name).copied().unwrap_or(0);
        let begun = self.beginnings.iter().filter(|(beginning, _)| name.starts_with(beginning.as_str()));
        begun.fold(named | self.all, |mask, (_, own)| mask | own)
    }

    /// Both.
    pub fn join(&mut self, other: &Self) {
        for (name, mask) in &other.names {
            *self.names.entry(name.clone()).or_default() |= mask;
        }
        self.beginnings.extend(other.beginnings.iter().cloned());
        self.all |= other.all;
    }

    /// Whom a change of the folder itself concerns.
    pub fn everybody(&self) -> Mask {
        let named = self.names.values().fold(self.all, |mask, own| mask | own);
        self.beginnings.iter().fold(named, |mask, (_, own)| mask | own)
    }
}

/// What must be watched.
#[derive(Debug)]
pub struct Places<'h> {
    host: &'h Host,
    /// Folder -> interest.
    pub folders: BTreeMap<String, Interest>,
    /// Families of which not everything could be planned, and why.
    pub blind: BTreeMap<String, Mask>,
    homes: Vec<String>,
    files: usize,
    marks: Vec<Digest>,
}

impl<'h> Places<'h> {
    /// The places of these families as they are now.
    pub fn of(host: &'h Host, families: &[&Family]) -> Self {
        let marks = families.iter().map(|f| Digest::of(f.name.as_bytes())).collect();
        let mut places = Self { host, folders: BTreeMap::new(), blind: BTreeMap::new(), homes: homes(host), files: 0, marks };
        for (number, family) in families.iter().enumerate().take(Mask::BITS as usize) {
            for pattern in family.watched {
                match pattern.strip_prefix('~') {
                    Some(rest) => {
                        for home in places.homes.clone() {
                            places.pattern(&format!("{home}{rest}"), number);
                        }
                    }
                    None => places.pattern(pattern, number),
                }
            }
        }
        places
    }

    /// A mark of each family: the same as long as nothing of it has changed.
    pub fn marks(&self) -> &[Digest] {
        &self.marks
    }

    fn pattern(&mut self, pattern: &str, number: usize) {
        if let Some(folder) = pattern.strip_suffix("/**") {
            self.folder(folder, number, MAX_DEPTH);
        } else if let Some(folder) = pattern.strip_suffix("/*") {
            self.folder(folder, number, 0);
        } else if let Some(path) = pattern.strip_suffix('*') {
            let (folder, beginning) = split(path);
            if !self.watch(folder, number, |interest, mask| interest.beginnings.push((beginning.into(), mask))) {
                return;
            }
            let entries = self.entries(folder, number).into_iter().filter(|(name, _)| name.starts_with(beginning));
            for (name, _) in entries.collect::<Vec<_>>() {
                self.file(&join(folder, &name), number, MAX_LINKS);
            }
        } else {
            self.file(pattern, number, MAX_LINKS);
        }
    }

    /// One path: its entry in the folder, and where it points to.
    fn file(&mut self, path: &str, number: usize, links: usize) {
        let (folder, name) = split(path);
        if !self.watch(folder, number, |interest, mask| *interest.names.entry(name.into()).or_default() |= mask) {
            return;
        }
        self.mark(path, number);
        if links > 0
            && let Ok(target) = self.host.read_link(path)
        {
            let target = if target.starts_with('/') { target } else { root::normal(&join(folder, &target)) };
            // A masked unit points to /dev/null, to which somebody always writes.
            if !["/dev/", "/proc/", "/sys/"].iter().any(|place| target.starts_with(place)) {
                self.file(&target, number, links - 1);
            }
        }
    }

    fn folder(&mut self, folder: &str, number: usize, depth: usize) {
        // Its own entry above: it may be made, removed or replaced.
        let (above, name) = split(folder);
        if !self.watch(above, number, |interest, mask| *interest.names.entry(name.into()).or_default() |= mask) {
            return;
        }
        self.mark(folder, number);
        if self.host.stat(folder).is_ok_and(|s| s.kind == FileKind::Folder) {
            self.below(folder, number, depth);
        }
    }

    fn below(&mut self, folder: &str, number: usize, depth: usize) {
        if !self.watch(folder, number, |interest, mask| interest.all |= mask) {
            return;
        }
        for (name, kind) in self.entries(folder, number) {
            let path = join(folder, &name);
            match kind {
                FileKind::Folder if depth > 0 => {
                    self.mark(&path, number);
                    self.below(&path, number, depth - 1);
                }
                FileKind::Link => self.file(&path, number, MAX_LINKS),
                _ => self.mark(&path, number),
            }
        }
    }

    /// Notes an interest in a folder. When it does not exist, the folder above it that does is
    /// watched for the missing name, and the answer is `false`.
    fn watch(&mut self, folder: &str, number: usize, note: impl Fn(&mut Interest, Mask)) -> bool {
        let mask = 1 << number;
        let mut at = folder.to_string();
        let mut missing = None;
        loop {
            match self.host.stat(&at) {
                Ok(s) if s.kind == FileKind::Folder => break,
                Ok(_) => {}
                Err(e) if e.is_not_found() => {}
                Err(e) => {
                    *self.blind.entry(e.to_string()).or_default() |= mask;
                    return false;
                }
            }
            let (above, name) = split(&at);
            if above == at {
                return false;
            }
            missing = Some(name.to_string());
            at = above.to_string();
        }
        if self.folders.len() >= MAX_FOLDERS && !self.folders.contains_key(&at) {
            *self.blind.entry(format!("more than {MAX_FOLDERS} folders to watch")).or_default() |= mask;
            return false;
        }
        let interest = self.folders.entry(at).or_default();
        match missing {
            None => note(interest, mask),
            Some(ref name) => *interest.names.entry(name.clone()).or_default() |= mask,
        }
        missing.is_none()
    }

    fn entries(&mut self, folder: &str, number: usize) -> Vec<(String, FileKind)> {
        match self.host.list(folder) {
            Ok(entries) => entries.into_iter().map(|e| (e.name, e.kind)).collect(),
            Err(e) => {
                self.fail(&e, number);
                Vec::new()
            }
        }
    }

    fn mark(&mut self, path: &str, number: usize) {
        self.files += 1;
        if self.files > MAX_FILES {
            *self.blind.entry(format!("more than {MAX_FILES} files to watch")).or_default() |= 1 << number;
            return;
        }
        let mark = self.host.mark(path);
        let target = self.host.read_link(path).unwrap_or_default();
        if let Err(e) = &mark {
            self.fail(e, number);
        }
        let Some(chain) = self.marks.get_mut(number) else { return };
        let mut bytes = [chain.bytes(), path.as_bytes(), &[0], target.as_bytes(), &[0]].concat();
        // A folder changes its size and times with entries that may be nobody's business, a device when it is used.
        let mark = mark.unwrap_or_default();
        let is_file = rustix::fs::FileType::from_raw_mode(u32::try_from(mark[2]).unwrap_or(0)).is_file();
        for value in mark.iter().take(if is_file { mark.len() } else { 5 }) {
            bytes.extend_from_slice(&value.to_be_bytes());
        }
        *chain = Digest::of(&bytes);
    }

    fn fail(&mut self, error: &ReadError, number: usize) {
        if !error.is_not_found() {
            *self.blind.entry(error.to_string()).or_default() |= 1 << number;
        }
    }
}

/// Home folders of /etc/passwd (passwd(5)), each once, without those that are a folder of the system.
fn homes(host: &Host) -> Vec<String> {
    let text = host.read_text("/etc/passwd", PASSWD_LIMIT).unwrap_or_default();
    let named = text.lines().filter_map(|line| line.split(':').nth(5)).map(|home| home.trim_end_matches('/'));
    let real = named.filter(|home| home.starts_with('/') && !home.starts_with("/proc/") && !home.starts_with("/dev/"));
    let homes: BTreeSet<String> = real.map(root::normal).collect();
    homes.into_iter().take(MAX_HOMES).collect()
}

fn split(path: &str) -> (&str, &str) {
    match path.rsplit_once('/') {
        Some(("", name)) => ("/", name),
        Some(parts) => parts,
        None => ("/", path),
    }
}

fn join(folder: &str, name: &str) -> String {
    format!("{}/{name}", folder.trim_end_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts;
    use std::os::unix::fs::symlink;

    fn family(watched: &'static [&'static str]) -> Family {
        let os = facts::family("os").unwrap();
        Family { watched, ..*os }
    }

    fn root(files: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for file in files {
            let path = dir.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "x").unwrap();
        }
        dir
    }

    #[test]
    fn patterns_become_folders() {
        let dir = root(&["etc/passwd", "etc/ssh/sshd_config", "etc/ssh/sshd_config.d/a.conf", "etc/real/target", "etc/cron.d/one"]);
        std::fs::write(dir.path().join("etc/passwd"), "a:x:1:1::/home/a:/bin/sh\nb:x:2:2::/home/a/:/bin/sh\nc:x:3:3::/proc/self:/bin/sh\n").unwrap();
        std::fs::create_dir_all(dir.path().join("home/a/.ssh")).unwrap();
        symlink("real/target", dir.path().join("etc/link")).unwrap();
        symlink("/dev/null", dir.path().join("etc/ssh/masked")).unwrap();
        let host = Host::rooted(dir.path()).unwrap();
        let families = [family(&["/etc/passwd", "/etc/shadow*", "/etc/link"]), family(&["/etc/ssh/**", "/etc/cron.d/*"]), family(&["~/.ssh/authorized_keys"])];
        let places = Places::of(&host, &families.iter().collect::<Vec<_>>());
        let concerned = |folder: &str, name: &str| places.folders.get(folder).map_or(0, |i| i.of(name));
        assert_eq!((concerned("/etc", "passwd"), concerned("/etc", "shadow.bak"), concerned("/etc", "hosts")), (1, 1, 0));
        assert_eq!((concerned("/etc/real", "target"), concerned("/etc/real", "other")), (1, 0), "where a link points to");
        assert_eq!((concerned("/etc/ssh", "new"), concerned("/etc/ssh/sshd_config.d", "new"), concerned("/etc/cron.d", "new")), (2, 2, 2));
        assert_eq!((concerned("/etc", "ssh"), concerned("/etc", "cron.d")), (2, 2), "the folder itself");
        assert_eq!((concerned("/home/a/.ssh", "authorized_keys"), concerned("/home/a/.ssh", "known_hosts")), (4, 0));
        assert!(!places.folders.contains_key("/dev"), "writing to /dev/null is no change");
        assert!(places.blind.is_empty(), "{:?}", places.blind);
    }

    #[test]
    fn a_missing_folder_is_waited_for_above_it() {
        let dir = root(&["etc/passwd"]);
        let host = Host::rooted(dir.path()).unwrap();
        let family = family(&["/etc/a/b/c", "/etc/sudoers.d/**"]);
        let places = Places::of(&host, &[&family]);
        let etc = places.folders.get("/etc").unwrap();
        assert_eq!((etc.of("a"), etc.of("sudoers.d"), etc.of("b"), etc.everybody()), (1, 1, 0, 1));
    }

    #[test]
    fn marks_change_with_what_is_watched_and_with_nothing_else() {
        let dir = root(&["etc/passwd", "etc/other", "etc/ssh/a"]);
        let host = Host::rooted(dir.path()).unwrap();
        let family = family(&["/etc/passwd", "/etc/ssh/**"]);
        let mark = || Places::of(&host, &[&family]).marks().to_vec();
        let first = mark();
        std::fs::write(dir.path().join("etc/other"), "y").unwrap();
        assert_eq!(mark(), first);
        let changes: [fn(&std::path::Path); 5] = [
            |root| std::fs::write(root.join("etc/ssh/new"), "").unwrap(),
            |root| std::fs::rename(root.join("etc/ssh/new"), root.join("etc/ssh/newer")).unwrap(),
            |root| std::fs::remove_file(root.join("etc/ssh/newer")).unwrap(),
            |root| std::fs::write(root.join("etc/passwd"), "y").unwrap(),
            |root| rustix::fs::chmod(root.join("etc/passwd"), rustix::fs::Mode::from_raw_mode(0o600)).unwrap(),
        ];
        let mut seen = vec![first];
        for change in changes {
            change(dir.path());
            // The fifth: removed again, so as before.
            if seen.len() != 3 {
                assert!(!seen.contains(&mark()), "{}", seen.len());
            }
            seen.push(mark());
        }
    }

    #[test]
    fn every_pattern_of_a_family_is_well_formed() {
        for family in facts::FAMILIES {
            for pattern in family.watched {
                let plain = pattern.strip_suffix("/**").or_else(|| pattern.strip_suffix('*')).unwrap_or(pattern);
                assert!(plain.starts_with('/') || plain.starts_with("~/"), "{}: {pattern}", family.name);
                assert!(!plain.contains('*'), "{}: {pattern}: * stands at the end only", family.name);
            }
        }
        assert!(facts::FAMILIES.len() <= Mask::BITS as usize);
    }
}
