//! Data folders of PostgreSQL clusters, their tablespaces and write-ahead logs.

use super::Discovered;
use crate::host::{FileKind, Host};
use crate::model::fact::Source;

const PROGRAM: &str = "postgresql";
/// Deepest nesting of include directives (`CONF_FILE_MAX_DEPTH` of PostgreSQL).
const DEPTH: usize = 10;
/// Most configuration files of one cluster.
const FILES: usize = 256;
/// Most tablespaces of one cluster that are named.
const TABLESPACES: usize = 1024;

/// Clusters of Debian's layout, of the layout of Red Hat, and data folders of running servers are found elsewhere.
pub fn find(host: &Host, out: &mut Discovered) {
    for version in host.list("/etc/postgresql").unwrap_or_default() {
        for cluster in host.list(&format!("/etc/postgresql/{}", version.name)).unwrap_or_default() {
            let path = format!("/etc/postgresql/{}/{}/postgresql.conf", version.name, cluster.name);
            let Some(text) = out.text(host, PROGRAM, &path) else {
                continue;
            };
            let mut left = FILES;
            let named = data_directory(host, &path, &text, 0, &mut left, out);
            // pg_createcluster always writes it; without it the server would look beside its configuration.
            let (folder, source) = named.unwrap_or_else(|| (format!("/var/lib/postgresql/{}/{}", version.name, cluster.name), Source::whole(&path)));
            folders(host, &folder, source, out);
        }
    }
    let mut others = vec!["/var/lib/pgsql/data".to_string(), "/var/lib/postgresql/data".into()];
    others.extend(host.list("/var/lib/pgsql").unwrap_or_default().into_iter().map(|e| format!("/var/lib/pgsql/{}/data", e.name)));
    for folder in others {
        if host.exists(&format!("{folder}/PG_VERSION")).unwrap_or(false) {
            let source = Source::whole(format!("{folder}/PG_VERSION"));
            folders(host, &folder, source, out);
        }
    }
}

/// The data folder, and what its links put elsewhere.
fn folders(host: &Host, folder: &str, source: Source, out: &mut Discovered) {
    out.add(PROGRAM, "database", folder, source);
    for name in ["pg_wal", "pg_xlog"] {
        let path = format!("{folder}/{name}");
        if host.stat_link(&path).is_ok_and(|s| s.kind == FileKind::Link) {
            out.add(PROGRAM, "database", &path, Source::whole(&path));
        }
    }
    let spaces = format!("{folder}/pg_tblspc");
    match host.list(&spaces) {
        Ok(entries) => {
            for entry in entries.iter().filter(|e| e.kind == FileKind::Link).take(TABLESPACES) {
                let path = format!("{spaces}/{}", entry.name);
                out.add(PROGRAM, "database", &path, Source::whole(&path));
            }
        }
        Err(e) if e.is_not_found() => {}
        Err(e) => out.unread.push((PROGRAM, e)),
    }
}

/// The last `data_directory` in the order in which the server reads (include directives where they stand).
fn data_directory(host: &Host, path: &str, text: &str, depth: usize, left: &mut usize, out: &mut Discovered) -> Option<(String, Source)> {
    let mut found = None;
    for (i, line) in text.lines().enumerate() {
        let Some((name, value)) = setting(line) else {
            continue;
        };
        let folder = path.rsplit_once('/').map_or("", |(f, _)| f);
        let absolute = |v: &str| if v.starts_with('/') { v.to_string() } else { format!("{folder}/{v}") };
        let files: Vec<String> = match name.as_str() {
            "data_directory" => {
                found = Some((value, Source::line(path, i + 1, "data_directory")));
                continue;
            }
            "include" | "include_if_exists" => vec![absolute(&value)],
            "include_dir" => {
                let folder = absolute(&value);
                let entries = host.list(&folder).unwrap_or_default();
                entries.into_iter().filter(|e| e.name.ends_with(".conf") && !e.name.starts_with('.')).map(|e| format!("{folder}/{}", e.name)).collect()
            }
            _ => continue,
        };
        for file in files {
            if depth >= DEPTH || *left == 0 {
                break;
            }
            *left -= 1;
            if let Some(text) = out.text(host, PROGRAM, &file) {
                found = data_directory(host, &file, &text, depth + 1, left, out).or(found);
            }
        }
    }
    found
}

/// `name = 'value' # comment`, the sign optional, a doubled quote for one.
fn setting(line: &str) -> Option<(String, String)> {
    let line = line.trim();
    let end = line.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '.'))?;
    let (name, rest) = line.split_at(end);
    if name.is_empty() {
        return None;
    }
    let rest = rest.trim_start();
    let rest = rest.strip_prefix('=').unwrap_or(rest).trim_start();
    let value = match rest.strip_prefix('\'') {
        Some(quoted) => {
            let mut value = String::new();
            let mut chars = quoted.chars().peekable();
            while let Some(c) = chars.next() {
                match c {
                    '\'' if chars.peek() == Some(&'\'') => value.extend(chars.next()),
                    '\'' => break,
                    '\\' => value.extend(chars.next()),
                    other => value.push(other),
                }
            }
            value
        }
        None => rest.split([' ', '\t', '#']).next().unwrap_or_default().to_string(),
    };
    (!value.is_empty()).then(|| (name.to_ascii_lowercase(), value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn settings_as_the_server_reads_them() {
        let pair = |l: &str| setting(l).map(|(n, v)| format!("{n}={v}"));
        assert_eq!(pair("data_directory = '/srv/it''s'\t# c").as_deref(), Some("data_directory=/srv/it's"));
        assert_eq!(pair("Data_Directory /srv/x#c").as_deref(), Some("data_directory=/srv/x"));
        assert_eq!((pair("#data_directory = '/x'"), pair("= x"), pair("")), (None, None, None));
    }

    #[test]
    fn includes_links_and_tablespaces() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write(
            "etc/postgresql/15/main/postgresql.conf",
            "data_directory = '/var/lib/postgresql/15/main'\ninclude_dir 'conf.d'\ninclude_if_exists 'gone.conf'\n",
        );
        write("etc/postgresql/15/main/conf.d/10.conf", "data_directory = '/srv/pg'\ninclude '10.conf'\n");
        write("etc/postgresql/15/main/conf.d/20.conf.bak", "data_directory = '/srv/old'\n");
        write("srv/pg/pg_tblspc/README", "");
        symlink("/mnt/fast", root.path().join("srv/pg/pg_tblspc/16400")).unwrap();
        symlink("/mnt/wal", root.path().join("srv/pg/pg_wal")).unwrap();
        let mut out = Discovered::default();
        find(&Host::rooted(root.path()).unwrap(), &mut out);
        let shown: Vec<String> = out.found.iter().map(|f| format!("{} {}:{}", f.path, f.source.place, f.source.line)).collect();
        let expected =
            ["/srv/pg /etc/postgresql/15/main/conf.d/10.conf:1", "/srv/pg/pg_wal /srv/pg/pg_wal:0", "/srv/pg/pg_tblspc/16400 /srv/pg/pg_tblspc/16400:0"];
        assert_eq!(shown, expected);
        assert!(out.unread.is_empty());
    }
}
