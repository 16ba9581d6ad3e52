//! Folders of tenants that share the machine: who may enter them, who serves them, what leads from one to another.

mod access;
mod below;
mod serving;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::access::AclEntry;
use self::access::{People, Rung, Through, letters, shown};
pub use self::below::CrossLink;
use self::below::Missed;
pub use self::serving::Server;
use super::{Document, HostFamily};
use crate::host::block::mounts::Mounts;
use crate::host::block::real_path;
use crate::host::{FileKind, Host, ReadError};
use crate::model::declared::TenantPattern;
use crate::model::fact::Source;
use crate::model::gap::{Gap, Gaps, reason};
use crate::model::pattern;

/// Most tenants.
const TENANTS: usize = 4096;
/// Longest look into everything declared.
const TIME: Duration = Duration::from_secs(120);
/// Most accounts named of one folder.
const READERS: usize = 100;

/// Tenants and the accounts that serve them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tenants {
    /// Folders of declared tenants, by subject.
    pub items: Vec<Tenant>,
    /// Accounts that own a tenant's folder or run something of it, by subject.
    pub accounts: Vec<Account>,
}

impl Document for Tenants {
    const NAME: &'static str = "tenants";
    const TITLE: &'static str = "Folders of declared tenants: owner, mode, access lists, who may enter, who serves them, what leads to another tenant";
}

/// One tenant's folder.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tenant {
    /// Path as declared, the pattern filled in.
    pub subject: String,
    /// Name of the tenant.
    pub name: String,
    /// Path with every link followed.
    pub real_path: String,
    /// Owner, or its number.
    #[schemars(extend("x-personal" = true))]
    pub owner: String,
    /// Number of the owner.
    pub uid: u32,
    /// Group, or its number.
    pub group: String,
    /// Number of the group.
    pub gid: u32,
    /// Permission bits, octal, such as `0750`.
    pub mode: String,
    /// Whether what is made in it gets its group (the set-group-ID bit).
    pub setgid: bool,
    /// Entries of its access control list and of the list for what is made in it; empty: it has none.
    pub acl: Vec<AclEntry>,
    /// Accounts that serve it: as declared, else its owner, else (where root owns it) the members of its group.
    #[schemars(extend("x-personal" = true))]
    pub accounts: Vec<String>,
    /// What everybody may do with it, every folder above looked at: `r` list, `w` change, `x` enter; empty: nothing.
    pub everybody: String,
    /// Other accounts that may do more than everybody, neither root nor trusted by declaration.
    pub readers: Vec<Reader>,
    /// Further ones, counted only.
    pub readers_more: u64,
    /// Links and mounts in it that lead to another tenant, sorted.
    pub links: Vec<CrossLink>,
    /// Files in it that everybody may read or change, where everybody may enter.
    pub open_files: u64,
    /// The first of them.
    pub open_first: Vec<String>,
    /// Mount point of the file system that holds it; empty: unknown.
    pub mount: String,
    /// Mount points below it.
    pub mounts_below: Vec<String>,
    /// What runs for it now or is set up to.
    #[schemars(extend("x-volatile" = true))]
    pub servers: Vec<Server>,
    /// The folder.
    pub source: Source,
}

/// An account that may use a folder that is not its own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Reader {
    /// Its name.
    #[schemars(extend("x-personal" = true))]
    pub account: String,
    /// What it may do: `r` list, `w` change, `x` enter.
    pub rights: String,
    /// By what: `owner`, `group NAME`, `access list: user`, `access list: group NAME`.
    pub through: String,
    /// Tenant that it serves; empty: none.
    pub tenant: String,
}

/// An account of tenants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// Its name.
    #[schemars(extend("x-personal" = true))]
    pub subject: String,
    /// Tenants that it serves, sorted.
    pub tenants: Vec<String>,
    /// For what it counts: `account` (declared or owner), `process`, `unit`, sorted.
    pub through: Vec<String>,
    /// Whether the operator declares that it may reach every tenant.
    pub trusted: bool,
    /// Folders of these tenants.
    pub source: Source,
}

impl HostFamily for Tenants {
    const WATCHED: &'static [&'static str] = &["/etc/passwd", "/etc/group"];

    fn gather(host: &Host, gaps: &mut Gaps) -> Option<Self> {
        if host.declared().tenants.is_empty() {
            return Some(Self::default());
        }
        let people = match People::read(host) {
            Ok(people) => people,
            Err(e) => {
                gaps.add(e.to_gap(Self::NAME, "", ""));
                return None;
            }
        };
        note_people(&people, gaps);
        let mounts = if host.is_live() { Mounts::read(host).map_err(|e| gaps.add(e.to_gap(Self::NAME, "items.mount", ""))).ok() } else { None };
        let found = find(host, gaps);
        let folders: Vec<(String, String)> = found.iter().map(|f| (f.real.clone(), f.name.clone())).collect();
        let serving = serving::gather(host, &folders, &people, gaps);
        let until = Instant::now() + TIME;
        let own: Vec<BTreeSet<String>> = found.iter().map(|f| accounts_of(host, f, &people)).collect();
        let mut items = Vec::new();
        for (index, folder) in found.iter().enumerate() {
            let mut item = Look { host, people: &people, folders: &folders, own: &own, gaps }.tenant(folder, index, mounts.as_ref(), until);
            item.servers = serving.get(&index).into_iter().flatten().cloned().collect();
            items.push(item);
        }
        let accounts = accounts(host, &items);
        items.sort_by(|a, b| a.subject.cmp(&b.subject));
        Some(Self { items, accounts })
    }
}

fn note_people(people: &People, gaps: &mut Gaps) {
    if people.elsewhere {
        let detail = "nsswitch.conf names accounts or groups of a directory service: which of them may enter can't be told from files";
        gaps.note(
            Tenants::NAME,
            "items.readers",
            "accounts of a directory service",
            reason::UNSUPPORTED,
            detail,
            "Keep tenants' accounts in local files, or show their groups by other evidence.",
        );
    }
    if people.cut {
        gaps.note(Tenants::NAME, "items.readers", "accounts", reason::LIMIT_REACHED, "more accounts than are looked at", "");
    }
}

/// A folder that a declaration stands for.
struct Folder<'d> {
    path: String,
    real: String,
    name: String,
    declared: &'d TenantPattern,
}

/// The folders of every declaration, each once.
fn find<'h>(host: &'h Host, gaps: &mut Gaps) -> Vec<Folder<'h>> {
    let mut out: Vec<Folder<'h>> = Vec::new();
    let mut seen = BTreeSet::new();
    for declared in &host.declared().tenants {
        let before = out.len();
        let parts: Vec<&str> = declared.path.split('/').filter(|p| !p.is_empty()).collect();
        let mut paths = Vec::new();
        if let Err(e) = expand(host, "", &parts, &mut paths) {
            gaps.add(e.to_gap(Tenants::NAME, "items", &declared.path));
        }
        for path in paths {
            if out.len() == TENANTS {
                gaps.note(Tenants::NAME, "items", "", reason::LIMIT_REACHED, format!("more than {TENANTS} tenants"), "");
                return out;
            }
            let real = real_path::follow(host, &path, |_| false).map_or_else(|_| path.clone(), |r| r.path);
            let own = path.rsplit('/').next().unwrap_or_default();
            let name = if declared.name.is_empty() { own } else { declared.name.as_str() };
            if seen.insert(path.clone()) {
                out.push(Folder { name: name.into(), path, real, declared });
            }
        }
        if out.len() == before {
            let detail = format!("no folder is at {}", declared.path);
            gaps.note(Tenants::NAME, "items", &declared.path, reason::MISSING, detail, "Correct the declaration.");
        }
    }
    out
}

/// Folders that match a pattern, part by part (glob(7): names with a leading dot only where the pattern has it).
fn expand(host: &Host, at: &str, parts: &[&str], out: &mut Vec<String>) -> Result<(), ReadError> {
    let Some((part, rest)) = parts.split_first() else {
        match host.stat(at) {
            Ok(stat) if stat.kind == FileKind::Folder => out.push(at.to_string()),
            Ok(_) => {}
            Err(e) if e.is_not_found() => {}
            Err(e) => return Err(e),
        }
        return Ok(());
    };
    if !part.contains(['*', '?', '[']) {
        return expand(host, &format!("{at}/{part}"), rest, out);
    }
    let listed = match host.list(if at.is_empty() { "/" } else { at }) {
        Ok(listed) => listed,
        Err(e) if e.is_not_found() => return Ok(()),
        Err(e) => return Err(e),
    };
    for entry in listed {
        let hidden = entry.name.starts_with('.') && !part.starts_with('.');
        if matches!(entry.kind, FileKind::Folder | FileKind::Link) && !hidden && pattern::matches(part, &entry.name) && out.len() <= TENANTS {
            expand(host, &format!("{at}/{}", entry.name), rest, out)?;
        }
    }
    Ok(())
}

/// Names of the accounts that serve a folder.
fn accounts_of(host: &Host, folder: &Folder<'_>, people: &People) -> BTreeSet<String> {
    if !folder.declared.accounts.is_empty() {
        return folder.declared.accounts.iter().map(|a| a.replace("{tenant}", &folder.name)).collect();
    }
    let Ok(stat) = host.stat(&folder.real) else { return BTreeSet::new() };
    if stat.uid != 0 {
        return BTreeSet::from([people.user(stat.uid)]);
    }
    if stat.gid == 0 { BTreeSet::new() } else { people.members(stat.gid).map(|p| p.name.clone()).collect() }
}

/// A look at one folder after another.
struct Look<'a> {
    host: &'a Host,
    people: &'a People,
    folders: &'a [(String, String)],
    own: &'a [BTreeSet<String>],
    gaps: &'a mut Gaps,
}

impl Look<'_> {
    fn tenant(mut self, folder: &Folder<'_>, index: usize, mounts: Option<&Mounts>, until: Instant) -> Tenant {
        let own = self.own.get(index).cloned().unwrap_or_default();
        let mut item = Tenant {
            subject: folder.path.clone(),
            name: folder.name.clone(),
            real_path: folder.real.clone(),
            accounts: own.iter().cloned().collect(),
            source: Source::whole(&folder.path),
            ..Tenant::default()
        };
        if let Some(mounts) = mounts {
            item.mount = mounts.of_path(&folder.real).map(|m| m.point.clone()).unwrap_or_default();
        }
        match self.rungs(&folder.real) {
            Ok(rungs) => self.rights(&mut item, &rungs, index),
            Err(e) => {
                for path in ["items.everybody", "items.readers"] {
                    self.gaps.add(e.to_gap(Tenants::NAME, path, &folder.path));
                }
            }
        }
        let entered = item.everybody.contains('x');
        let below = below::look(self.host, mounts, &folder.real, self.folders, entered, until);
        (item.links, item.open_files, item.open_first, item.mounts_below) = (below.links, below.open_files, below.open_first, below.mounts);
        for missed in below.missed {
            self.gaps.add(gap_of(missed, &folder.path));
        }
        item
    }

    /// The folder and everything above it, the root first.
    fn rungs(&self, real: &str) -> Result<Vec<Rung>, ReadError> {
        let mut paths = vec!["/".to_string()];
        paths.extend(real.match_indices('/').skip(1).map(|(at, _)| real.get(..at).unwrap_or_default().to_string()));
        paths.push(real.to_string());
        paths.iter().map(|path| Rung::read(self.host, path)).collect()
    }

    fn rights(&mut self, item: &mut Tenant, rungs: &[Rung], index: usize) {
        let Some((own, above)) = rungs.split_last() else { return };
        item.owner = self.people.user(own.stat.uid);
        item.group = self.people.group(own.stat.gid);
        (item.uid, item.gid) = (own.stat.uid, own.stat.gid);
        item.mode = format!("{:04o}", own.stat.mode);
        item.setgid = own.stat.mode & 0o2000 != 0;
        item.acl = own.list.as_deref().map(|list| shown(list, self.people, false)).unwrap_or_default();
        match self.host.default_access_list(&own.path) {
            Ok(Some(bytes)) => item.acl.extend(access::entries(&bytes).iter().flat_map(|list| shown(list, self.people, true))),
            Ok(None) => {}
            Err(e) => self.gaps.add(e.to_gap(Tenants::NAME, "items.acl", &item.subject)),
        }
        let may_pass = |rights: &dyn Fn(&Rung) -> u16| above.iter().all(|rung| rights(rung) & 1 != 0);
        let everybody = if may_pass(&Rung::everybody) { own.everybody() } else { 0 };
        item.everybody = letters(everybody).replace('-', "");
        let spared: BTreeSet<u32> = item.accounts.iter().chain(&self.host.declared().tenants_trusted).filter_map(|name| self.people.uid(name)).collect();
        let mut readers = Vec::new();
        for person in self.people.accounts.iter().filter(|p| p.uid != 0 && !spared.contains(&p.uid)) {
            let (rights, through) = own.rights(person.uid, &person.gids);
            let passes = may_pass(&|rung| rung.rights(person.uid, &person.gids).0);
            if !passes || rights & !everybody == 0 {
                continue;
            }
            readers.push(Reader {
                account: person.name.clone(),
                rights: letters(rights).replace('-', ""),
                through: self.through(through),
                tenant: self.tenant_of(&person.name, index),
            });
        }
        readers.sort();
        item.readers_more = readers.len().saturating_sub(READERS) as u64;
        readers.truncate(READERS);
        item.readers = readers;
    }

    fn through(&self, through: Through) -> String {
        match through {
            Through::Owner => "owner".into(),
            Through::Group(gid, false) => format!("group {}", self.people.group(gid)),
            Through::Group(gid, true) => format!("access list: group {}", self.people.group(gid)),
            Through::Entry => "access list: user".into(),
            Through::Everybody => "everybody".into(),
        }
    }

    /// Another tenant that an account serves.
    fn tenant_of(&self, account: &str, but: usize) -> String {
        let mut other = self.own.iter().enumerate().filter(|(i, own)| *i != but && own.contains(account));
        other.next().and_then(|(i, _)| self.folders.get(i)).map(|(_, name)| name.clone()).unwrap_or_default()
    }
}

fn gap_of(missed: Missed, subject: &str) -> Gap {
    let gap = |id: &str, detail: String, remedy: &str| Gap {
        family: Tenants::NAME.into(),
        path: "items.links".into(),
        subject: subject.into(),
        reason: id.into(),
        detail,
        remedy: remedy.into(),
    };
    match missed {
        Missed::Unread(e) => e.to_gap(Tenants::NAME, "items.links", subject),
        Missed::Limit(detail) => gap(reason::LIMIT_REACHED, detail, ""),
        Missed::Remote(path) => {
            gap(reason::UNSUPPORTED, format!("{path} is a network or FUSE mount and was not entered"), "Look for links where its files are kept.")
        }
    }
}

/// Accounts by name, with the tenants that each serves.
fn accounts(host: &Host, items: &[Tenant]) -> Vec<Account> {
    let mut found: BTreeMap<&str, (BTreeSet<&str>, BTreeSet<&str>, &str)> = BTreeMap::new();
    for item in items {
        let own = item.accounts.iter().map(|name| (name.as_str(), "account"));
        let servers = item.servers.iter().map(|s| (s.account.as_str(), s.kind.as_str()));
        for (account, through) in own.chain(servers) {
            let (tenants, by, _) = found.entry(account).or_insert_with(|| (BTreeSet::new(), BTreeSet::new(), item.subject.as_str()));
            tenants.insert(&item.subject);
            by.insert(through);
        }
    }
    let texts = |set: BTreeSet<&str>| set.into_iter().map(String::from).collect();
    let account = |(name, (tenants, through, first)): (&str, (BTreeSet<&str>, BTreeSet<&str>, &str))| Account {
        subject: name.into(),
        tenants: texts(tenants),
        through: texts(through),
        trusted: host.declared().tenants_trusted.iter().any(|t| t == name),
        source: Source::whole(first),
    };
    found.into_iter().map(account).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::testing::rooted;
    use crate::model::declared::Declared;

    fn declared(path: &str) -> Declared {
        Declared { tenants: vec![TenantPattern { path: path.into(), name: String::new(), accounts: Vec::new() }], ..Declared::default() }
    }

    #[test]
    fn each_match_of_a_pattern_is_a_tenant() {
        let (_root, host) = rooted(&[
            ("/etc/passwd", "root:x:0:0::/:/bin/sh\n"),
            ("/etc/group", "root:x:0:\n"),
            ("/srv/eu/a/x", ""),
            ("/srv/eu/.hidden/x", ""),
            ("/srv/eu/file", ""),
            ("/srv/uk/b/x", ""),
        ]);
        let host = host.with_declared(declared("/srv/*/*"));
        let mut gaps = Gaps::new();
        let found = Tenants::gather(&host, &mut gaps).unwrap();
        let names: Vec<(&str, &str)> = found.items.iter().map(|t| (t.subject.as_str(), t.name.as_str())).collect();
        assert_eq!(names, [("/srv/eu/a", "a"), ("/srv/uk/b", "b")]);
        let gaps = gaps.into_sorted();
        assert_eq!(gaps.iter().map(|g| (g.path.as_str(), g.subject.as_str())).collect::<Vec<_>>(), [("accounts", "processes of tenants")]);
    }

    #[test]
    fn a_pattern_without_a_match_is_a_gap() {
        let (_root, host) = rooted(&[("/etc/passwd", "root:x:0:0::/:/bin/sh\n"), ("/etc/group", "")]);
        let mut gaps = Gaps::new();
        let found = Tenants::gather(&host.with_declared(declared("/srv/*")), &mut gaps).unwrap();
        assert!(found.items.is_empty());
        let gaps = gaps.into_sorted();
        assert!(gaps.iter().any(|g| g.path == "items" && g.subject == "/srv/*" && g.reason == "missing"), "{gaps:?}");
    }
}
