//! Services of the system manager as whom and where they run, for families that ask whose they are.

use std::collections::{BTreeMap, BTreeSet};

use super::gathering::Gathering;
use super::names::Names;
use super::unit_file::{self, Names as Specifiers};
use super::unit_tree::{Tree, Unit};
use crate::host::{Host, clock};
use crate::model::fact::Source;
use crate::model::gap::{Gap, Gaps};

/// Most services read.
const SERVICES: usize = 10_000;
/// Keys that name a folder or file that a service uses as its own.
const PLACES: [&str; 2] = ["WorkingDirectory", "RootDirectory"];
/// Lines that start programs.
const STARTS: [&str; 3] = ["ExecStart", "ExecStartPre", "ExecStartPost"];

/// A service that is linked or started by name.
#[derive(Clone, Debug)]
pub struct ServiceUnit {
    /// Name, such as `shop@a.service`.
    pub name: String,
    /// Account; empty: one made for it alone (DynamicUser=).
    pub user: String,
    /// Absolute paths of its folders and programs, and the line that names each.
    pub places: Vec<(String, Source)>,
}

/// Every service with a file of its own or a linked instance, and what could not be read of them.
pub fn read(host: &Host) -> (Vec<ServiceUnit>, Vec<Gap>) {
    let names = Names::read(host, clock::unix_now());
    let mut gaps = Gaps::new();
    let mut gathering = Gathering::new(host, &names, &mut gaps);
    let tree = Tree::read(&mut gathering);
    let wanted: BTreeSet<String> = tree.names().chain(tree.linked()).filter(|n| n.ends_with(".service") && !n.contains("@.")).map(String::from).collect();
    let mut units = Vec::new();
    for name in wanted.into_iter().take(SERVICES) {
        if let Some(unit) = tree.load(&mut gathering, &name).filter(|u| !u.masked && u.name == name) {
            units.push(service(&unit));
        }
    }
    gathering.finish("");
    (units, gaps.into_sorted())
}

fn service(unit: &Unit) -> ServiceUnit {
    let specifiers = Specifiers { unit: &unit.name, home: "/root" };
    let last = |key: &str| unit_file::last(&unit.settings, "Service", key);
    let user = last("User").map(|s| unit_file::specify(&s.value, specifiers)).filter(|u| !u.is_empty());
    let dynamic = last("DynamicUser").is_some_and(|s| unit_file::is_yes(&s.value));
    let user = user.unwrap_or_else(|| if dynamic { String::new() } else { "root".into() });
    let mut places = Vec::new();
    for key in PLACES.into_iter().chain(STARTS) {
        for setting in unit_file::all(&unit.settings, "Service", key) {
            let value = unit_file::specify(&setting.value, specifiers);
            let words = if STARTS.contains(&key) {
                // The program alone: an argument may name what it only reads.
                unit_file::executions(&value, &BTreeMap::new()).into_iter().filter_map(|e| e.arguments.into_iter().next().flatten()).collect()
            } else {
                unit_file::words(&value)
            };
            for word in words {
                let path = word.trim_start_matches(['-', '+', '!', '~']).split(':').next().unwrap_or_default().to_string();
                if path.starts_with('/') {
                    places.push((path, Source::line(setting.place.clone(), setting.line, key)));
                }
            }
        }
    }
    ServiceUnit { name: unit.name.clone(), user, places }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::testing::rooted;

    #[test]
    fn account_and_places_of_instances_and_drop_ins() {
        let (_root, host) = rooted(&[
            ("/etc/passwd", "root:x:0:0::/root:/bin/sh\na:x:1001:1001::/:/bin/sh\n"),
            ("/etc/group", "root:x:0:\na:x:1001:\n"),
            ("/etc/systemd/system/shop@.service", "[Service]\nUser=%i\nWorkingDirectory=/srv/tenants/%i\nExecStart=/usr/bin/shop --data /srv/tenants/b\n"),
            ("/etc/systemd/system/multi-user.target.wants/shop@a.service", ""),
            ("/etc/systemd/system/plain.service", "[Service]\nExecStart=-/srv/tenants/b/run x\n"),
            ("/etc/systemd/system/plain.service.d/user.conf", "[Service]\nUser=b\n"),
        ]);
        let (units, gaps) = read(&host);
        let shown: Vec<String> =
            units.iter().map(|u| format!("{} {} {}", u.name, u.user, u.places.iter().map(|(p, _)| p.as_str()).collect::<Vec<_>>().join(" "))).collect();
        assert_eq!(shown, ["plain.service b /srv/tenants/b/run", "shop@a.service a /srv/tenants/a /usr/bin/shop"]);
        assert!(gaps.iter().all(|g| g.family == "jobs"), "{gaps:?}");
    }
}
