//! Where certificates and keys of services lie when no configuration says so.

use std::collections::BTreeSet;

use super::Certificates;
use crate::facts::Document as _;
use crate::host::{FileKind, Host};
use crate::model::gap::{Gaps, reason};

/// Folders of services, and how many levels of folders below them are looked at.
static FOLDERS: &[(&str, usize)] = &[
    ("/etc/ssl", 3),
    ("/etc/pki/tls", 3),
    ("/etc/pki/nginx", 3),
    ("/etc/letsencrypt/live", 1),
    ("/etc/dehydrated/certs", 2),
    ("/var/lib/dehydrated/certs", 2),
    ("/var/lib/acme/live", 2),
    ("/etc/nginx", 3),
    ("/etc/apache2", 3),
    ("/etc/httpd", 3),
    ("/etc/lighttpd", 3),
    ("/etc/haproxy", 3),
    ("/etc/caddy", 3),
    ("/etc/traefik", 3),
    ("/etc/squid", 2),
    ("/etc/postfix", 2),
    ("/etc/dovecot", 2),
    ("/etc/exim4", 2),
    ("/etc/postgresql", 3),
    ("/etc/postgresql-common", 1),
    ("/var/lib/postgresql", 2),
    ("/var/lib/pgsql", 2),
    ("/etc/mysql", 2),
    ("/var/lib/mysql", 0),
    ("/etc/ldap", 2),
    ("/etc/openldap", 2),
    ("/etc/redis", 2),
    ("/etc/mosquitto", 2),
    ("/etc/rabbitmq", 2),
    ("/etc/elasticsearch", 2),
    ("/etc/stunnel", 1),
    ("/etc/openvpn", 3),
    ("/etc/ipsec.d", 2),
    ("/etc/swanctl", 2),
    ("/etc/vsftpd", 1),
    ("/etc/proftpd", 2),
    ("/etc/samba", 2),
    ("/etc/cups/ssl", 1),
    ("/etc/cockpit/ws-certs.d", 1),
    ("/etc/gitlab/ssl", 1),
    ("/etc/grafana", 1),
    ("/etc/prometheus", 1),
    ("/etc/docker", 3),
    ("/etc/etcd", 2),
    ("/etc/kubernetes", 2),
    ("/var/lib/kubelet/pki", 1),
];
/// Endings of names of files that are opened.
const ENDINGS: [&str; 12] = [".pem", ".crt", ".cer", ".cert", ".key", ".der", ".p12", ".pfx", ".jks", ".keystore", ".chain", ".combined"];
/// Where trust anchors of the system lie: links to these are not what a service shows.
const ANCHORS: [&str; 5] = ["/usr/share/ca-certificates", "/usr/local/share/ca-certificates", "/etc/ca-certificates", "/etc/pki/ca-trust", "/usr/share/pki"];
/// Bundles that the tools of the system write (update-ca-certificates(8), update-ca-trust(8)).
const BUNDLES: [&str; 4] = ["ca-certificates.crt", "ca-bundle.crt", "ca-bundle.trust.crt", "ca-certificates.pem"];
/// Most entries looked at.
const ENTRY_LIMIT: usize = 50_000;

/// Paths of files that are worth opening, sorted.
pub fn candidates(host: &Host, gaps: &mut Gaps) -> BTreeSet<String> {
    let mut search = Search { host, gaps, entries: 0, seen: BTreeSet::new(), found: BTreeSet::new() };
    for (folder, depth) in FOLDERS {
        search.folder(folder, *depth);
    }
    if search.entries >= ENTRY_LIMIT {
        let detail = format!("more than {ENTRY_LIMIT} entries in folders of certificates");
        for path in ["items", "keys"] {
            search.gaps.note(Certificates::NAME, path, "", reason::LIMIT_REACHED, detail.clone(), "");
        }
    }
    search.found
}

struct Search<'a> {
    host: &'a Host,
    gaps: &'a mut Gaps,
    entries: usize,
    /// Folders that were entered: one may be a link to another.
    seen: BTreeSet<(u64, u64)>,
    found: BTreeSet<String>,
}

impl Search<'_> {
    fn folder(&mut self, folder: &str, depth: usize) {
        let Ok(stat) = self.host.stat(folder) else { return };
        if stat.kind != FileKind::Folder || !self.seen.insert((stat.device, stat.inode)) {
            return;
        }
        let entries = match self.host.list(folder) {
            Ok(entries) => entries,
            Err(e) if e.is_not_found() => return,
            Err(e) => {
                for path in ["items", "keys"] {
                    self.gaps.add(e.to_gap(Certificates::NAME, path, folder));
                }
                return;
            }
        };
        for entry in entries {
            self.entries += 1;
            if self.entries >= ENTRY_LIMIT {
                return;
            }
            let path = format!("{folder}/{}", entry.name);
            match entry.kind {
                FileKind::Folder if depth > 0 && entry.name != "java" => self.folder(&path, depth - 1),
                FileKind::File if is_named_so(&entry.name) => {
                    self.found.insert(path);
                }
                FileKind::Link if is_named_so(&entry.name) && !self.is_anchor(&path) => {
                    self.found.insert(path);
                }
                _ => {}
            }
        }
    }

    /// Whether a link leads to a trust anchor, in two steps at most (the hash links lead to the named ones).
    fn is_anchor(&self, path: &str) -> bool {
        let mut at = path.to_string();
        for _ in 0..3 {
            let Ok(target) = self.host.read_link(&at) else { return false };
            if ANCHORS.iter().any(|a| target.starts_with(a)) || target.contains("/ca-trust/") {
                return true;
            }
            at = if target.starts_with('/') { target } else { format!("{}/{target}", at.rsplit_once('/').map_or("", |(f, _)| f)) };
        }
        false
    }
}

fn is_named_so(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    ENDINGS.iter().any(|e| lower.ends_with(e)) && !BUNDLES.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::testing::rooted;

    #[test]
    fn anchors_of_the_system_are_left_out() {
        let (root, host) = rooted(&[
            ("usr/share/ca-certificates/mozilla/A.crt", ""),
            ("etc/ssl/certs/ca-certificates.crt", ""),
            ("etc/ssl/certs/java/cacerts.jks", ""),
            ("etc/ssl/certs/own.pem", ""),
            ("etc/ssl/private/own.key", ""),
            ("etc/ssl/private/README", ""),
            ("etc/letsencrypt/archive/a/cert1.pem", ""),
        ]);
        let link = |target: &str, path: &str| {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::os::unix::fs::symlink(target, path).unwrap();
        };
        link("/usr/share/ca-certificates/mozilla/A.crt", "etc/ssl/certs/A.pem");
        link("../../archive/a/cert1.pem", "etc/letsencrypt/live/a/cert.pem");
        let found: Vec<String> = candidates(&host, &mut Gaps::new()).into_iter().collect();
        assert_eq!(found, ["/etc/letsencrypt/live/a/cert.pem", "/etc/ssl/certs/own.pem", "/etc/ssl/private/own.key"]);
    }
}
