//! Data folders of other programs: document stores, caches, containers.

use serde_json::Value;

use super::Discovered;
use crate::host::Host;
use crate::model::fact::Source;

/// Folders that a program uses unless it is told otherwise, and which are looked at even so.
const DEFAULTS: &[(&str, &str, &str)] = &[
    ("etcd", "database", "/var/lib/etcd"),
    ("openldap", "database", "/var/lib/ldap"),
    ("influxdb", "database", "/var/lib/influxdb"),
    ("clickhouse", "database", "/var/lib/clickhouse"),
    ("cassandra", "database", "/var/lib/cassandra"),
    ("couchdb", "database", "/var/lib/couchdb"),
    ("kubelet", "other", "/var/lib/kubelet"),
    ("libvirt", "other", "/var/lib/libvirt/images"),
];

/// Reads each program's configuration.
pub fn find(host: &Host, out: &mut Discovered) {
    mongodb(host, out);
    elasticsearch(host, out);
    redis(host, out);
    containers(host, out);
    etcd(host, out);
    for (program, class, path) in DEFAULTS {
        out.add_default(host, program, class, path);
    }
}

/// A value of `a: {b: …}` or `a.b: …` in the block style of YAML, with its line. Enough for these
/// files, which their programs write in that style; anchors and flow maps are not followed.
fn yaml_value(text: &str, outer: &str, inner: &str) -> Option<(Vec<String>, usize)> {
    let joined = format!("{outer}.{inner}:");
    let mut inside = false;
    let lines: Vec<&str> = text.lines().collect();
    for (i, line) in lines.iter().enumerate() {
        let body = line.split(" #").next().unwrap_or_default().trim_end();
        let trimmed = body.trim_start();
        if trimmed.is_empty() || trimmed.starts_with('#') {
            continue;
        }
        let indented = body.len() > trimmed.len();
        let value = if !indented {
            inside = trimmed == format!("{outer}:");
            trimmed.strip_prefix(joined.as_str())
        } else {
            trimmed.strip_prefix(inner).and_then(|r| r.strip_prefix(':')).filter(|_| inside)
        };
        let Some(value) = value else {
            continue;
        };
        let value = value.trim();
        if !value.is_empty() {
            let words = value.trim_matches(['[', ']']).split(',').map(|w| w.trim().trim_matches(['"', '\'']).to_string());
            return Some((words.collect(), i + 1));
        }
        let items = lines.iter().skip(i + 1).map(|l| l.trim()).take_while(|l| l.starts_with("- "));
        return Some((items.map(|l| l.trim_start_matches("- ").trim().trim_matches(['"', '\'']).to_string()).collect(), i + 1));
    }
    None
}

fn mongodb(host: &Host, out: &mut Discovered) {
    let mut is_named = false;
    for path in ["/etc/mongod.conf", "/etc/mongodb.conf"] {
        let Some(text) = out.text(host, "mongodb", path) else {
            continue;
        };
        let old = || {
            let pairs = text.lines().enumerate().filter_map(|(i, l)| Some((l.split_once('=')?, i + 1)));
            pairs.filter(|((k, _), _)| k.trim() == "dbpath").map(|((_, v), line)| (vec![v.trim().to_string()], line)).last()
        };
        if let Some((paths, line)) = yaml_value(&text, "storage", "dbPath").or_else(old) {
            is_named = true;
            paths.iter().for_each(|p| out.add("mongodb", "database", p, Source::line(path, line, "storage.dbPath")));
        }
    }
    if !is_named {
        out.add_default(host, "mongodb", "database", "/var/lib/mongodb");
        out.add_default(host, "mongodb", "database", "/var/lib/mongo");
    }
}

fn elasticsearch(host: &Host, out: &mut Discovered) {
    for (program, default) in [("elasticsearch", "/var/lib/elasticsearch"), ("opensearch", "/var/lib/opensearch")] {
        let path = format!("/etc/{program}/{program}.yml");
        let named = out.text(host, program, &path).and_then(|text| yaml_value(&text, "path", "data"));
        match named {
            Some((paths, line)) => paths.iter().for_each(|p| out.add(program, "database", p, Source::line(&path, line, "path.data"))),
            None => out.add_default(host, program, "database", default),
        }
    }
}

fn redis(host: &Host, out: &mut Discovered) {
    let mut files = vec!["/etc/redis.conf".to_string()];
    for folder in ["/etc/redis", "/etc/valkey"] {
        let names = host.list(folder).unwrap_or_default().into_iter().map(|e| e.name);
        files.extend(names.filter(|n| n.ends_with(".conf") && !n.contains("sentinel")).map(|n| format!("{folder}/{n}")));
    }
    for path in files {
        let Some(text) = out.text(host, "redis", &path) else {
            continue;
        };
        // The last one holds.
        let last = text.lines().enumerate().filter_map(|(i, l)| {
            let mut words = l.split_whitespace();
            (words.next()?.eq_ignore_ascii_case("dir")).then(|| words.next().map(|w| (w.trim_matches(['"', '\'']).to_string(), i + 1)))?
        });
        if let Some((folder, line)) = last.last() {
            out.add("redis", "database", &folder, Source::line(&path, line, "dir"));
        }
    }
}

fn containers(host: &Host, out: &mut Discovered) {
    let path = "/etc/docker/daemon.json";
    let root = out.text(host, "docker", path).and_then(|text| {
        let value: Value = serde_json::from_str(&text).ok()?;
        let name = ["data-root", "graph"].into_iter().find(|n| value.get(n).is_some())?;
        Some((value.get(name)?.as_str()?.to_string(), name))
    });
    match root {
        Some((folder, name)) => out.add("docker", "other", &folder, Source { place: path.into(), line: 0, directive: name.into() }),
        None => out.add_default(host, "docker", "other", "/var/lib/docker"),
    }
    let toml = [
        ("containerd", "/etc/containerd/config.toml", "", "root", "/var/lib/containerd"),
        ("podman", "/etc/containers/storage.conf", "storage", "graphroot", "/var/lib/containers/storage"),
    ];
    for (program, path, section, key, default) in toml {
        match out.text(host, program, path).and_then(|text| toml_value(&text, section, key)) {
            Some((folder, line)) => out.add(program, "other", &folder, Source::line(path, line, key)),
            None => out.add_default(host, program, "other", default),
        }
    }
}

/// A quoted value of a section (empty: before the first one).
fn toml_value(text: &str, section: &str, key: &str) -> Option<(String, usize)> {
    let mut at = String::new();
    for (i, line) in text.lines().enumerate() {
        let line = line.trim();
        if let Some(name) = line.strip_prefix('[') {
            at = name.trim_end_matches(']').trim().to_string();
        } else if at == section
            && let Some((name, value)) = line.split_once('=')
            && name.trim() == key
        {
            let value = value.trim();
            let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''))?;
            return Some((value.get(1..)?.split(quote).next()?.to_string(), i + 1));
        }
    }
    None
}

fn etcd(host: &Host, out: &mut Discovered) {
    for path in ["/etc/default/etcd", "/etc/etcd/etcd.conf"] {
        let Some(text) = out.text(host, "etcd", path) else {
            continue;
        };
        let set = text.lines().enumerate().filter_map(|(i, l)| Some((l.trim().strip_prefix("ETCD_DATA_DIR=")?.trim_matches(['"', '\'']).to_string(), i + 1)));
        if let Some((folder, line)) = set.last() {
            out.add("etcd", "database", &folder, Source::line(path, line, "ETCD_DATA_DIR"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_configuration_names_its_folder() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("etc/mongod.conf", "systemLog:\n  path: /x\n# storage:\nstorage:\n  journal:\n    enabled: true\n  dbPath: \"/srv/mongo\" # c\n");
        write("etc/elasticsearch/elasticsearch.yml", "cluster.name: a\n#path.data: /old\npath.data:\n  - /srv/es1\n  - /srv/es2\npath.logs: /l\n");
        write("etc/opensearch/opensearch.yml", "path:\n  logs: /l\n  data: /srv/os\n");
        write("etc/redis/redis.conf", "# dir /old\ndir /srv/first\nappendonly no\nDIR /srv/redis\n");
        write("etc/redis/sentinel.conf", "dir /tmp\n");
        write("etc/docker/daemon.json", "{\"data-root\": \"/srv/docker/\"}");
        write("etc/containers/storage.conf", "[storage]\n# graphroot = \"/old\"\ngraphroot = \"/srv/podman\"\n[storage.options]\ngraphroot = \"/no\"\n");
        write("etc/containerd/config.toml", "version = 2\nroot = '/srv/cd'\n[grpc]\nroot = \"/no\"\n");
        write("etc/default/etcd", "#ETCD_DATA_DIR=/old\nETCD_DATA_DIR=\"/srv/etcd\"\n");
        let mut out = Discovered::default();
        find(&Host::rooted(root.path()).unwrap(), &mut out);
        let shown: Vec<String> = out.found.iter().map(|f| format!("{} {}:{}", f.path, f.program, f.source.line)).collect();
        let expected = [
            "/srv/mongo mongodb:7",
            "/srv/es1 elasticsearch:3",
            "/srv/es2 elasticsearch:3",
            "/srv/os opensearch:3",
            "/srv/redis redis:4",
            "/srv/docker docker:0",
            "/srv/cd containerd:2",
            "/srv/podman podman:3",
            "/srv/etcd etcd:2",
        ];
        assert_eq!(shown, expected);
    }

    #[test]
    fn garbage_names_nothing() {
        for text in ["", "\0\0", "storage:\n", "- - -\n:::\n", "{\"data-root\": [1]}", "root = \"", "[", "dir", "path.data: ${X}\n"] {
            let root = tempfile::tempdir().unwrap();
            for path in
                ["etc/mongod.conf", "etc/elasticsearch/elasticsearch.yml", "etc/redis/redis.conf", "etc/docker/daemon.json", "etc/containerd/config.toml"]
            {
                let path = root.path().join(path);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, text).unwrap();
            }
            let mut out = Discovered::default();
            find(&Host::rooted(root.path()).unwrap(), &mut out);
            assert!(out.found.is_empty(), "{text}");
        }
    }
}
