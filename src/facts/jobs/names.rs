//! Ids to names, and who besides root a group lets in.

use std::collections::{BTreeMap, BTreeSet};

use crate::facts::accounts::database;
use crate::host::{CONFIG_LIMIT, Host, ReadError};

/// Accounts and groups of the local database.
#[derive(Debug, Default)]
pub struct Names {
    accounts: BTreeMap<String, Account>,
    by_uid: BTreeMap<u32, String>,
    groups: BTreeMap<u32, Group>,
    expired: Option<BTreeSet<String>>,
    /// Why it can't be told whose expiry day has come.
    pub expiry_error: Option<ReadError>,
    /// Services other than local files that nsswitch.conf(5) names for accounts or groups.
    pub directories: Vec<String>,
    /// Why accounts are not known.
    pub accounts_error: Option<ReadError>,
    /// Why groups are not known.
    pub groups_error: Option<ReadError>,
}

/// One account.
#[derive(Clone, Debug)]
pub struct Account {
    /// User id.
    pub uid: u32,
    /// Home folder.
    pub home: String,
    /// Login shell.
    pub shell: String,
}

#[derive(Debug, Default)]
struct Group {
    name: String,
    /// Members whose user id is not 0, sorted.
    outsiders: BTreeSet<String>,
}

/// Services whose accounts stand in local files or are made by systemd.
const LOCAL_SERVICES: [&str; 4] = ["files", "compat", "systemd", "altfiles"];
/// Seconds of a day.
const DAY: i64 = 86_400;

impl Names {
    /// Reads passwd, group, shadow and nsswitch.conf; `now` decides which account has expired.
    pub fn read(host: &Host, now: i64) -> Self {
        let mut names = Self::default();
        let users = database::passwd(host).map(|(lines, _)| lines).map_err(|e| names.accounts_error = Some(e)).unwrap_or_default();
        let groups = database::group(host).map(|(lines, _)| lines).map_err(|e| names.groups_error = Some(e)).unwrap_or_default();
        for line in &groups {
            names.groups.entry(line.gid).or_insert_with(|| Group { name: line.name.clone(), ..Group::default() });
        }
        for user in users {
            if user.uid != 0 {
                names.groups.entry(user.gid).or_insert_with(|| Group { name: user.gid.to_string(), ..Group::default() }).outsiders.insert(user.name.clone());
            }
            names.by_uid.entry(user.uid).or_insert_with(|| user.name.clone());
            // The C library takes the first line of a name.
            names.accounts.entry(user.name).or_insert(Account { uid: user.uid, home: user.home, shell: user.shell });
        }
        for line in groups {
            let outsiders = line.members.iter().filter(|m| names.accounts.get(*m).is_none_or(|a| a.uid != 0)).cloned().collect::<Vec<_>>();
            names.groups.entry(line.gid).or_default().outsiders.extend(outsiders);
        }
        names.expired = match database::shadow(host) {
            Ok((lines, _)) => Some(lines.into_iter().filter(|l| l.expires_day.is_some_and(|d| d.saturating_mul(DAY) <= now)).map(|l| l.name).collect()),
            // Without shadow(5) no account has an expiry day.
            Err(e) if e.is_not_found() => Some(BTreeSet::new()),
            Err(e) => {
                names.expiry_error = Some(e);
                None
            }
        };
        names.directories = directories(host);
        names
    }

    /// The account of this name, or of this number where systemd and at(1) write one.
    pub fn account(&self, name: &str) -> Option<&Account> {
        self.accounts.get(name).or_else(|| self.accounts.get(self.by_uid.get(&name.parse().ok()?)?))
    }

    /// Every account with its name.
    pub fn accounts(&self) -> impl Iterator<Item = (&str, &Account)> {
        self.accounts.iter().map(|(name, account)| (name.as_str(), account))
    }

    /// Name of a user id, else the number.
    pub fn user(&self, uid: u32) -> String {
        self.by_uid.get(&uid).cloned().unwrap_or_else(|| uid.to_string())
    }

    /// Whether an account has this user id.
    pub fn knows(&self, uid: u32) -> bool {
        self.by_uid.contains_key(&uid)
    }

    /// Name of a group id, else the number.
    pub fn group(&self, gid: u32) -> String {
        self.groups.get(&gid).map(|g| g.name.clone()).filter(|n| !n.is_empty()).unwrap_or_else(|| gid.to_string())
    }

    /// Members of a group, primary ones among them, whose user id is not 0.
    pub fn outsiders(&self, gid: u32) -> impl Iterator<Item = &str> {
        // Accounts such as `shutdown` of Red Hat systems have root's group as their primary one;
        // who is in it by a line of group(5) was put there on purpose.
        let members = self.groups.get(&gid).into_iter().flat_map(|g| &g.outsiders);
        members.map(String::as_str).filter(move |m| gid != 0 || !is_power_account(m))
    }

    /// Whether the account's expiry day has come; `None` when shadow(5) can't be read.
    pub fn has_expired(&self, name: &str) -> Option<bool> {
        self.expired.as_ref().map(|expired| expired.contains(name))
    }
}

/// Accounts of root's group that can only stop the machine (Red Hat's setup package).
fn is_power_account(name: &str) -> bool {
    ["sync", "shutdown", "halt", "operator"].contains(&name)
}

fn directories(host: &Host) -> Vec<String> {
    let text = host.read_text("/etc/nsswitch.conf", CONFIG_LIMIT).unwrap_or_default();
    let mut out: BTreeSet<String> = BTreeSet::new();
    for database in ["passwd", "group"] {
        out.extend(database::services_for(&text, database).unwrap_or_default().into_iter().filter(|s| !LOCAL_SERVICES.contains(&s.as_str())));
    }
    out.into_iter().collect()
}
