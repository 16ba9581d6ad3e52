//! How systemd starts a database server: the arguments and variables of its unit with its drop-ins.

use std::collections::{BTreeMap, BTreeSet};

use crate::facts::jobs::unit_file::{self, Setting};
use crate::host::{CONFIG_LIMIT, Host};
use crate::model::fact::Source;

/// Folders of units, the first one wins (systemd.unit(5)).
const FOLDERS: [&str; 4] = ["/etc/systemd/system", "/run/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"];
/// Most units read.
const UNIT_LIMIT: usize = 256;

/// One service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Service {
    /// Name of the unit, such as `redis-server.service`.
    pub unit: String,
    /// Program and arguments of `ExecStart`, as far as they are known; `None` where a variable is not.
    pub arguments: Vec<Option<String>>,
    /// `Environment=`.
    pub environment: BTreeMap<String, String>,
    /// `WorkingDirectory=`.
    pub working_folder: String,
    /// Where `ExecStart` stands.
    pub source: Source,
}

/// Services whose names begin with one of `prefixes`, by name; of a template its linked instances.
pub fn services(host: &Host, prefixes: &[&str]) -> Vec<Service> {
    let mut names = BTreeSet::new();
    for folder in FOLDERS {
        for inside in [folder.to_string(), format!("{folder}/multi-user.target.wants")] {
            for entry in host.list(&inside).unwrap_or_default() {
                if entry.name.ends_with(".service") && prefixes.iter().any(|p| entry.name.starts_with(p)) && !entry.name.contains("@.") {
                    names.insert(entry.name);
                }
            }
        }
    }
    names.iter().take(UNIT_LIMIT).filter_map(|name| service(host, name)).collect()
}

fn service(host: &Host, unit: &str) -> Option<Service> {
    let instance = unit.split_once('@').and_then(|(_, rest)| rest.strip_suffix(".service")).unwrap_or_default();
    let template = unit.split_once('@').map(|(name, _)| format!("{name}@.service"));
    let files: Vec<&str> = std::iter::once(unit).chain(template.as_deref()).collect();
    let fragment = files.iter().find_map(|name| FOLDERS.iter().map(|f| format!("{f}/{name}")).find(|path| host.stat(path).is_ok()))?;
    let mut settings = unit_file::parse(&host.read_text(&fragment, CONFIG_LIMIT).ok()?, &fragment);
    for path in drop_ins(host, &files) {
        settings.extend(unit_file::parse(&host.read_text(&path, CONFIG_LIMIT).unwrap_or_default(), &path));
    }
    let environment = environment(&settings);
    let start = unit_file::all(&settings, "Service", "ExecStart").pop()?;
    let value = start.value.replace("%i", instance).replace("%I", instance);
    let arguments = unit_file::executions(&value, &environment).into_iter().next()?.arguments;
    Some(Service {
        unit: unit.into(),
        arguments,
        environment,
        working_folder: unit_file::last(&settings, "Service", "WorkingDirectory").map(|s| s.value.trim_start_matches('-').to_string()).unwrap_or_default(),
        source: Source::line(start.place.clone(), start.line, "ExecStart"),
    })
}

fn drop_ins(host: &Host, files: &[&str]) -> Vec<String> {
    let mut found: BTreeMap<String, String> = BTreeMap::new();
    for name in files {
        for folder in FOLDERS.map(|f| format!("{f}/{name}.d")) {
            for entry in host.list(&folder).unwrap_or_default().into_iter().filter(|e| e.name.ends_with(".conf")) {
                found.entry(entry.name.clone()).or_insert_with(|| format!("{folder}/{}", entry.name));
            }
        }
    }
    found.into_values().collect()
}

fn environment(settings: &[Setting]) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    for setting in unit_file::all(settings, "Service", "Environment") {
        out.extend(unit_file::words(&setting.value).iter().filter_map(|w| w.split_once('=')).map(|(k, v)| (k.to_string(), v.to_string())));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::testing::rooted;

    #[test]
    fn drop_ins_and_instances() {
        let (_root, host) = rooted(&[
            ("/lib/systemd/system/postgresql.service", "[Service]\nEnvironment=PGDATA=/var/lib/pgsql/data\nExecStart=/usr/bin/postgres -D ${PGDATA}\n"),
            ("/etc/systemd/system/postgresql.service.d/data.conf", "[Service]\nEnvironment=PGDATA=/srv/pg\n"),
            ("/lib/systemd/system/redis-server@.service", "[Service]\nExecStart=/usr/bin/redis-server /etc/redis/redis-%i.conf\n"),
            ("/etc/systemd/system/multi-user.target.wants/redis-server@two.service", ""),
        ]);
        let found = services(&host, &["postgresql", "redis"]);
        let words = |s: &Service| s.arguments.iter().flatten().cloned().collect::<Vec<_>>().join(" ");
        assert_eq!(found.iter().map(words).collect::<Vec<_>>(), ["/usr/bin/postgres -D /srv/pg", "/usr/bin/redis-server /etc/redis/redis-two.conf"]);
        assert_eq!(found[0].source, Source::line("/lib/systemd/system/postgresql.service", 3, "ExecStart"));
    }
}
