//! Who may do what with a folder: mode, access control list and every folder above, account by account (acl(5),
//! path_resolution(7)).

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::facts::accounts::database;
use crate::host::{Host, ReadError, Stat};

/// Most accounts looked at.
const ACCOUNTS: usize = 50_000;
/// No account has this number: whoever is neither owner nor in a group.
const STRANGER: u32 = u32::MAX - 1;

/// One entry of an access control list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AclEntry {
    /// `owner`, `user`, `owning-group`, `group`, `mask`, `other`.
    pub tag: String,
    /// Name of the user or group, or its number; empty for the other tags.
    #[schemars(extend("x-personal" = true))]
    pub name: String,
    /// Rights as set, such as `r-x`.
    pub rights: String,
    /// Rights that are left under the mask.
    pub effective: String,
    /// Whether it is an entry for what is made in the folder later.
    pub default: bool,
}

/// An entry as stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub tag: u16,
    pub rights: u16,
    pub id: u32,
}

/// Tags of entries (include/uapi/linux/posix_acl.h).
const OWNER: u16 = 0x01;
const USER: u16 = 0x02;
const OWNING_GROUP: u16 = 0x04;
const GROUP: u16 = 0x08;
const MASK: u16 = 0x10;
const OTHER: u16 = 0x20;

/// `struct posix_acl_xattr_header` and its entries (include/uapi/linux/posix_acl_xattr.h): version 2, then tag (2), rights
/// (2), id (4), little-endian. `None`: another format.
pub(super) fn entries(bytes: &[u8]) -> Option<Vec<Entry>> {
    let (version, rest) = bytes.split_first_chunk::<4>()?;
    if u32::from_le_bytes(*version) != 2 || rest.len() % 8 != 0 {
        return None;
    }
    let entry = |raw: &[u8]| {
        let [t0, t1, p0, p1, i0, i1, i2, i3] = *raw.first_chunk::<8>()?;
        Some(Entry { tag: u16::from_le_bytes([t0, t1]), rights: u16::from_le_bytes([p0, p1]) & 7, id: u32::from_le_bytes([i0, i1, i2, i3]) })
    };
    rest.chunks_exact(8).map(entry).collect()
}

/// A folder on the way, with its list.
#[derive(Clone, Debug)]
pub(super) struct Rung {
    pub path: String,
    pub stat: Stat,
    pub list: Option<Vec<Entry>>,
}

impl Rung {
    pub(super) fn read(host: &Host, path: &str) -> Result<Self, ReadError> {
        let stat = host.stat(path)?;
        let list = match host.access_list(path)? {
            Some(bytes) => Some(entries(&bytes).ok_or_else(|| ReadError::Io(path.into(), "access control list of an unknown format".into()))?),
            None => None,
        };
        Ok(Self { path: path.into(), stat, list })
    }

    /// Rights (4 read, 2 write, 1 enter) of an account, and by what.
    pub(super) fn rights(&self, uid: u32, gids: &BTreeSet<u32>) -> (u16, Through) {
        let mode = |shift: u32| u16::try_from(self.stat.mode >> shift & 7).unwrap_or(0);
        if uid == self.stat.uid {
            return (mode(6), Through::Owner);
        }
        let Some(list) = &self.list else {
            let in_group = gids.contains(&self.stat.gid);
            return if in_group { (mode(3), Through::Group(self.stat.gid, false)) } else { (mode(0), Through::Everybody) };
        };
        let mask = list.iter().find(|e| e.tag == MASK).map_or(7, |e| e.rights);
        if let Some(entry) = list.iter().find(|e| e.tag == USER && e.id == uid) {
            return (entry.rights & mask, Through::Entry);
        }
        let group_of = |entry: &&Entry| match entry.tag {
            OWNING_GROUP => gids.contains(&self.stat.gid),
            GROUP => gids.contains(&entry.id),
            _ => false,
        };
        let groups: Vec<&Entry> = list.iter().filter(group_of).collect();
        let rights = groups.iter().fold(0, |sum, e| sum | e.rights) & mask;
        match groups.iter().max_by_key(|e| e.rights & mask) {
            Some(entry) if entry.tag == OWNING_GROUP => (rights, Through::Group(self.stat.gid, false)),
            Some(entry) => (rights, Through::Group(entry.id, true)),
            None => (list.iter().find(|e| e.tag == OTHER).map_or(0, |e| e.rights), Through::Everybody),
        }
    }

    /// Rights of whoever is neither owner nor in any group.
    pub(super) fn everybody(&self) -> u16 {
        self.rights(STRANGER, &BTreeSet::new()).0
    }
}

/// By what an account has its rights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Through {
    Owner,
    /// Group, and whether an entry of the list names it.
    Group(u32, bool),
    Entry,
    Everybody,
}

/// Entries as shown.
pub(super) fn shown(list: &[Entry], people: &People, default: bool) -> Vec<AclEntry> {
    let mask = list.iter().find(|e| e.tag == MASK).map_or(7, |e| e.rights);
    let entry = |e: &Entry| {
        let (tag, name, masked) = match e.tag {
            OWNER => ("owner", String::new(), false),
            USER => ("user", people.user(e.id), true),
            OWNING_GROUP => ("owning-group", String::new(), true),
            GROUP => ("group", people.group(e.id), true),
            MASK => ("mask", String::new(), false),
            _ => ("other", String::new(), false),
        };
        let effective = if masked { e.rights & mask } else { e.rights };
        AclEntry { tag: tag.into(), name, rights: letters(e.rights), effective: letters(effective), default }
    };
    list.iter().map(entry).collect()
}

/// `rwx`, `-` in the place of what is missing.
pub(super) fn letters(rights: u16) -> String {
    [(4, 'r'), (2, 'w'), (1, 'x')].iter().map(|(bit, letter)| if rights & bit != 0 { *letter } else { '-' }).collect()
}

/// Local accounts and their groups.
#[derive(Debug, Default)]
pub(super) struct People {
    /// In the order of passwd(5).
    pub accounts: Vec<Person>,
    groups: BTreeMap<u32, String>,
    /// Sources of accounts besides local files.
    pub elsewhere: bool,
    /// Whether there were more accounts than are looked at.
    pub cut: bool,
}

#[derive(Debug)]
pub(super) struct Person {
    pub name: String,
    pub uid: u32,
    pub gids: BTreeSet<u32>,
}

impl People {
    pub(super) fn read(host: &Host) -> Result<Self, ReadError> {
        const LOCAL: [&str; 4] = ["files", "compat", "systemd", "altfiles"];
        let (users, _) = database::passwd(host)?;
        let (groups, _) = database::group(host)?;
        let switch = host.read_text("/etc/nsswitch.conf", crate::host::CONFIG_LIMIT).unwrap_or_default();
        let mut people = Self { cut: users.len() > ACCOUNTS, ..Self::default() };
        people.elsewhere =
            ["passwd", "group"].iter().any(|d| database::services_for(&switch, d).is_some_and(|s| s.iter().any(|s| !LOCAL.contains(&s.as_str()))));
        let mut members: BTreeMap<String, BTreeSet<u32>> = BTreeMap::new();
        for group in groups {
            for member in &group.members {
                members.entry(member.clone()).or_default().insert(group.gid);
            }
            people.groups.entry(group.gid).or_insert(group.name);
        }
        for user in users.into_iter().take(ACCOUNTS) {
            let mut gids = members.get(&user.name).cloned().unwrap_or_default();
            gids.insert(user.gid);
            people.accounts.push(Person { name: user.name, uid: user.uid, gids });
        }
        Ok(people)
    }

    /// Name of a number, else the number.
    pub(super) fn user(&self, uid: u32) -> String {
        self.accounts.iter().find(|p| p.uid == uid).map_or_else(|| uid.to_string(), |p| p.name.clone())
    }

    /// Name of a group's number, else the number.
    pub(super) fn group(&self, gid: u32) -> String {
        self.groups.get(&gid).cloned().unwrap_or_else(|| gid.to_string())
    }

    /// Number of a name.
    pub(super) fn uid(&self, name: &str) -> Option<u32> {
        self.accounts.iter().find(|p| p.name == name).map(|p| p.uid).or_else(|| name.parse().ok())
    }

    /// Accounts of a group other than root.
    pub(super) fn members(&self, gid: u32) -> impl Iterator<Item = &Person> {
        self.accounts.iter().filter(move |p| p.uid != 0 && p.gids.contains(&gid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::FileKind;

    fn rung(mode: u32, list: Option<Vec<Entry>>) -> Rung {
        let stat = Stat { kind: FileKind::Folder, mode, uid: 1000, gid: 100, size: 0, modified: 0, device: 0, special_device: 0, inode: 0 };
        Rung { path: "/x".into(), stat, list }
    }

    fn entry(tag: u16, rights: u16, id: u32) -> Entry {
        Entry { tag, rights, id }
    }

    #[test]
    fn rights_follow_the_kernels_order() {
        let none = BTreeSet::new();
        let group = BTreeSet::from([100]);
        let plain = rung(0o705, None);
        assert_eq!(plain.rights(1000, &none).0, 7);
        // A member of the group has the group's rights even where everybody has more.
        assert_eq!(plain.rights(1, &group).0, 0);
        assert_eq!((plain.rights(1, &none).0, plain.everybody()), (5, 5));
        let list = vec![
            entry(OWNER, 7, u32::MAX),
            entry(USER, 7, 33),
            entry(OWNING_GROUP, 5, u32::MAX),
            entry(GROUP, 6, 50),
            entry(MASK, 5, u32::MAX),
            entry(OTHER, 0, u32::MAX),
        ];
        let listed = rung(0o750, Some(list));
        assert_eq!(listed.rights(33, &BTreeSet::from([50])), (5, Through::Entry), "a named user is not looked for among the groups");
        assert_eq!(listed.rights(2, &BTreeSet::from([50])), (4, Through::Group(50, true)), "the mask takes writing away");
        assert_eq!(listed.rights(2, &group), (5, Through::Group(100, false)));
        assert_eq!(listed.rights(2, &none), (0, Through::Everybody));
        assert_eq!(letters(5), "r-x");
    }

    #[test]
    fn lists_of_other_formats_are_none() {
        let mut bytes = 2_u32.to_le_bytes().to_vec();
        bytes.extend([2, 0, 7, 0, 33, 0, 0, 0]);
        assert_eq!(entries(&bytes), Some(vec![entry(USER, 7, 33)]));
        for end in 0..bytes.len() {
            assert!(end == 4 || entries(&bytes[..end]).is_none(), "{end}");
        }
        assert_eq!(entries(&[1, 0, 0, 0]), None);
    }
}
