//! Data folders of MySQL and MariaDB as their option files set them.

use std::collections::BTreeMap;

use super::Discovered;
use crate::host::Host;
use crate::model::fact::Source;

const PROGRAM: &str = "mysql";
/// Deepest nesting of includes (`my_search_option_files` stops at 10).
const DEPTH: usize = 10;
/// Most option files.
const FILES: usize = 256;
/// Settings that name a folder of their own.
const FOLDERS: &[&str] = &["datadir", "innodb_data_home_dir", "innodb_log_group_home_dir", "innodb_undo_directory", "aria_log_dir_path"];
/// Settings that name files; their folder keeps data.
const FILE_PREFIXES: &[&str] = &["log_bin", "log_bin_basename", "relay_log"];
/// Where a server without `datadir` keeps its data on every distribution.
const DEFAULT: &str = "/var/lib/mysql";

/// Reads the option files in the order of the server; a later value wins.
pub fn find(host: &Host, out: &mut Discovered) {
    let mut settings = BTreeMap::new();
    let mut left = FILES;
    for path in ["/etc/my.cnf", "/etc/mysql/my.cnf"] {
        read(host, path, 0, &mut left, &mut settings, out);
    }
    if !settings.contains_key("datadir") {
        out.add_default(host, PROGRAM, "database", DEFAULT);
    }
    for (name, (value, source)) in settings {
        if FOLDERS.contains(&name.as_str()) {
            out.add(PROGRAM, "database", &value, source);
        } else if let Some((folder, _)) = value.rsplit_once('/').filter(|(f, _)| !f.is_empty()) {
            out.add(PROGRAM, "database", folder, source);
        }
    }
}

/// Name -> value and place.
type Settings = BTreeMap<String, (String, Source)>;

fn read(host: &Host, path: &str, depth: usize, left: &mut usize, settings: &mut Settings, out: &mut Discovered) {
    if depth > DEPTH || *left == 0 {
        return;
    }
    *left -= 1;
    let Some(text) = out.text(host, PROGRAM, path) else {
        return;
    };
    let mut is_server = false;
    for (i, line) in text.lines().enumerate() {
        let line = line.trim();
        if let Some(file) = line.strip_prefix("!includedir").map(str::trim) {
            for entry in host.list(file).unwrap_or_default().into_iter().filter(|e| e.name.ends_with(".cnf")) {
                read(host, &format!("{}/{}", file.trim_end_matches('/'), entry.name), depth + 1, left, settings, out);
            }
        } else if let Some(file) = line.strip_prefix("!include").map(str::trim) {
            read(host, file, depth + 1, left, settings, out);
        } else if let Some(group) = line.strip_prefix('[') {
            is_server = is_server_group(group.split(']').next().unwrap_or_default());
        } else if is_server && !line.starts_with(['#', ';']) {
            take(line, path, i + 1, settings);
        }
    }
}

fn take(line: &str, path: &str, number: usize, settings: &mut Settings) {
    let Some((name, value)) = line.split_once('=') else {
        return;
    };
    let name = name.trim().replace('-', "_");
    let name = name.strip_prefix("loose_").unwrap_or(&name).to_string();
    let value = value.split(" #").next().unwrap_or_default().trim().trim_matches(['"', '\'']);
    if (FOLDERS.contains(&name.as_str()) || FILE_PREFIXES.contains(&name.as_str())) && value.starts_with('/') {
        settings.insert(name.clone(), (value.to_string(), Source::line(path, number, name)));
    }
}

/// Groups that a server of any version reads.
fn is_server_group(group: &str) -> bool {
    let version = |prefix: &str| group.strip_prefix(prefix).is_some_and(|r| r.starts_with(|c: char| c.is_ascii_digit()));
    matches!(group, "mysqld" | "server" | "mariadb" | "mariadbd" | "mysqld_safe" | "galera")
        || version("mysqld-")
        || version("mariadb-")
        || version("mariadbd-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_value_of_a_server_group_wins() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write(
            "etc/mysql/my.cnf",
            "[client]\ndatadir=/wrong\n!includedir /etc/mysql/conf.d/\n[mysqld]\n# datadir=/comment\n!includedir /etc/mysql/mariadb.conf.d/\n",
        );
        write("etc/mysql/conf.d/a.cnf", "[mysqld]\ndatadir = /srv/first\n");
        write(
            "etc/mysql/mariadb.conf.d/50-server.cnf",
            "[mariadbd]\ndatadir=\"/srv/my\"\nlog-bin=/srv/logs/bin\ninnodb_undo_directory = ./\n[mysqldump]\ndatadir=/x\n",
        );
        write("etc/mysql/mariadb.conf.d/60.cnf.dpkg-old", "[mysqld]\ndatadir=/srv/old\n");
        let mut out = Discovered::default();
        find(&Host::rooted(root.path()).unwrap(), &mut out);
        let shown: Vec<String> = out.found.iter().map(|f| format!("{} {}:{}", f.path, f.source.place, f.source.line)).collect();
        assert_eq!(shown, ["/srv/my /etc/mysql/mariadb.conf.d/50-server.cnf:2", "/srv/logs /etc/mysql/mariadb.conf.d/50-server.cnf:3"]);
    }

    #[test]
    fn an_include_of_itself_ends() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("etc")).unwrap();
        std::fs::write(root.path().join("etc/my.cnf"), "!include /etc/my.cnf\n".repeat(300)).unwrap();
        let mut out = Discovered::default();
        find(&Host::rooted(root.path()).unwrap(), &mut out);
        assert!(out.found.is_empty());
    }
}
