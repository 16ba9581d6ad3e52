//! PostgreSQL clusters in the document.

use super::clusters::{self, Cluster};
use super::pg_hba::{self, Line};
use super::pg_values::{self, KNOWN};
use super::process::Running;
use super::{DatabaseServer, DatabaseServers, DatabaseSetting, HbaLine, PATHS, code, note_unasked, pg_control, reach, running};
use crate::facts::Document as _;
use crate::facts::databases::POSTGRESQL_REMEDY;
use crate::host::Host;
use crate::model::configured::ConfiguredEndpoint;
use crate::model::fact::Source;
use crate::model::gap::{Gaps, reason};

const ENGINE: &str = "postgresql";

pub fn gather(host: &Host, processes: &[Running], into: &mut DatabaseServers, gaps: &mut Gaps) {
    for cluster in clusters::read(host, processes, DatabaseServers::NAME, &PATHS, gaps) {
        let mut reading = Reading { host, cluster: &cluster, into, gaps };
        reading.settings();
        reading.ask();
        let plaintext = reading.access();
        reading.server(plaintext.as_ref());
    }
}

/// One cluster on its way into the document.
struct Reading<'a> {
    host: &'a Host,
    cluster: &'a Cluster,
    into: &'a mut DatabaseServers,
    gaps: &'a mut Gaps,
}

impl Reading<'_> {
    fn settings(&mut self) {
        for known in KNOWN {
            let written = self.cluster.settings.get(known.name);
            let Some(text) = written.map(|w| w.value.as_str()).or_else(|| (known.default)(self.cluster.major)) else { continue };
            let subject = format!("{} {}", self.cluster.subject, known.name);
            let source = written.map(|w| w.source.clone()).unwrap_or_default();
            let Some(value) = pg_values::shown(known, text) else {
                let detail = format!("{}:{}: the server would not take this value of {}", source.place, source.line, known.name);
                for path in ["settings", "servers"] {
                    let subject = if path == "settings" { &subject } else { &self.cluster.subject };
                    self.gaps.note(DatabaseServers::NAME, path, subject, reason::MALFORMED, detail.clone(), "Mend the value.");
                }
                continue;
            };
            self.into.settings.push(DatabaseSetting {
                subject,
                server: self.cluster.subject.clone(),
                engine: ENGINE.into(),
                name: known.name.into(),
                value,
                written: written.is_some(),
                running: None,
                pending_restart: false,
                source,
            });
        }
    }

    /// What the running server says of the same settings.
    fn ask(&mut self) {
        if self.cluster.running != Some(true) {
            return;
        }
        match self.cluster.declared(self.host) {
            Some(access) => {
                let own: Vec<&mut DatabaseSetting> = self.into.settings.iter_mut().filter(|s| s.server == self.cluster.subject).collect();
                running::postgresql(self.host, access, &self.cluster.subject, own, self.gaps);
            }
            None => note_unasked(self.gaps, &self.cluster.subject, POSTGRESQL_REMEDY),
        }
    }

    fn value(&self, name: &str) -> (String, Source) {
        let found = self.into.settings.iter().find(|s| s.server == self.cluster.subject && s.name == name);
        found.map(|s| (s.value.clone(), s.source.clone())).unwrap_or_default()
    }

    /// The lines of its `pg_hba.conf`: the first that lets another machine in without TLS; the outer
    /// `None` when they are not known.
    fn access(&mut self) -> Option<Option<Source>> {
        let lines = match pg_hba::read(self.host, &self.cluster.hba_file(), self.cluster.major) {
            Ok(lines) => lines,
            Err(unread) => {
                for path in ["access", "servers.tls", "endpoints.tls"] {
                    clusters::note(&unread, DatabaseServers::NAME, path, &self.cluster.subject, self.gaps);
                }
                return None;
            }
        };
        let has_tls = self.value("ssl").0 == "on";
        let declared = self.cluster.declared(self.host).is_some();
        let mut earlier: Vec<Line> = Vec::new();
        let mut plaintext = None;
        for line in lines {
            let can_match = has_tls || line.connection != "hostssl";
            let without_tls = takes_plaintext(&line, &earlier);
            if plaintext.is_none() && without_tls {
                plaintext = Some(Source::line(line.path.clone(), line.number, line.connection.clone()));
            }
            self.into.access.push(HbaLine {
                subject: format!("{} {}:{}", self.cluster.subject, line.path, line.number),
                server: self.cluster.subject.clone(),
                declared,
                this_machine: pg_hba::is_this_machine(&line),
                without_tls,
                shadowed: !can_match || pg_hba::is_decided(&line, &earlier),
                source: Source::line(line.path.clone(), line.number, line.connection.clone()),
                connection: line.connection.clone(),
                databases: line.databases.clone(),
                users: line.users.clone(),
                address: line.address.clone(),
                method: line.method.clone(),
                client_certificate: line.client_certificate,
            });
            if can_match {
                earlier.push(line);
            }
        }
        Some(plaintext)
    }

    fn server(&mut self, plaintext: Option<&Option<Source>>) {
        let (listen, listen_source) = self.value("listen_addresses");
        let addresses: Vec<String> = listen.split(',').map(|a| a.trim().trim_matches('"').to_string()).filter(|a| !a.is_empty()).collect();
        let (ssl, ssl_source) = self.value("ssl");
        let (tls, tls_source) = match plaintext {
            _ if ssl != "on" => ("none", ssl_source),
            Some(Some(line)) => ("offered", line.clone()),
            Some(None) => ("required", ssl_source),
            // It is only known that TLS is there; a gap says so.
            None => ("offered", ssl_source),
        };
        let (minimum, minimum_source) = self.value("ssl_min_protocol_version");
        let (maximum, _) = self.value("ssl_max_protocol_version");
        let versions = pg_values::versions(&minimum, &maximum).filter(|_| ssl == "on");
        let oldest = versions.as_ref().and_then(|v| v.first()).cloned().unwrap_or_default();
        let source = Source::whole(&self.cluster.config);
        self.endpoints(&addresses, tls, versions, &minimum_source, &listen_source);
        let checksums = self.checksums();
        self.into.servers.push(DatabaseServer {
            subject: self.cluster.subject.clone(),
            engine: ENGINE.into(),
            version: self.cluster.major.to_string(),
            config: self.cluster.config.clone(),
            data: self.cluster.data.clone(),
            running: self.cluster.running,
            declared: self.cluster.declared(self.host).is_some(),
            exposed: addresses.iter().any(|a| !reach::is_loopback(self.host, a)),
            tls: tls.into(),
            tls_source,
            tls_minimum_code: code(&oldest),
            tls_minimum: oldest,
            tls_minimum_source: minimum_source,
            authentication: "rules".into(),
            authentication_source: Source::whole(self.cluster.hba_file()),
            checksums,
            source,
        });
    }

    fn endpoints(&mut self, addresses: &[String], tls: &str, versions: Option<Vec<String>>, versions_source: &Source, listen_source: &Source) {
        let port = self.cluster.port();
        let file = |name: &str| {
            let (value, _) = self.value(name);
            if tls == "none" || value.is_empty() { Vec::new() } else { vec![self.cluster.path(&value)] }
        };
        let source = if listen_source.place.is_empty() { Source::whole(&self.cluster.config) } else { listen_source.clone() };
        let like = ConfiguredEndpoint {
            port,
            transport: String::new(),
            tls: tls.into(),
            versions,
            ciphers: if tls == "none" { String::new() } else { self.value("ssl_ciphers").0 },
            certificates: file("ssl_cert_file"),
            keys: file("ssl_key_file"),
            versions_source: if tls == "none" { Source::default() } else { versions_source.clone() },
            ..ConfiguredEndpoint::plain(ENGINE, self.cluster.subject.clone(), source.clone())
        };
        self.into.listen(&reach::resolved(addresses), port, &like);
        if self.cluster.settings.get("unix_socket_directories").is_some() {
            let sockets: Vec<String> = self.cluster.socket_folders().iter().map(|f| format!("{}/.s.PGSQL.{port}", f.trim_end_matches('/'))).collect();
            self.into.listen_locally(&sockets, ENGINE, &self.cluster.subject, &source);
        }
    }

    fn checksums(&mut self) -> Option<bool> {
        let path = format!("{}/global/pg_control", self.cluster.data);
        let mut gap = |id: &str, detail: String| {
            self.gaps.note(DatabaseServers::NAME, "servers.checksums", &self.cluster.subject, id, detail, "");
        };
        match self.host.read_head(&path, pg_control::LENGTH) {
            Ok(bytes) => match pg_control::has_checksums(&bytes) {
                Ok(yes) => Some(yes),
                Err(problem) => {
                    gap(reason::UNSUPPORTED, format!("{path}: {problem}"));
                    None
                }
            },
            Err(e) => {
                let mut gap = e.to_gap(DatabaseServers::NAME, "servers.checksums", &self.cluster.subject);
                gap.family = DatabaseServers::NAME.into();
                self.gaps.add(gap);
                None
            }
        }
    }
}

/// Whether somebody at another machine gets in without TLS by this line.
fn takes_plaintext(line: &Line, earlier: &[Line]) -> bool {
    if pg_hba::is_this_machine(line) || matches!(line.connection.as_str(), "hostssl" | "hostgssenc") || line.method == "reject" || line.client_certificate {
        return false;
    }
    // A line for both kinds may be taken by an earlier one that is for connections without TLS alone.
    let without = Line { connection: if line.connection == "host" { "hostnossl".into() } else { line.connection.clone() }, ..line.clone() };
    !earlier.iter().any(|e| pg_hba::covers(e, &without))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::HostFamily as _;
    use crate::host::testing::rooted;

    #[test]
    fn a_cluster_that_asks_for_tls_and_one_that_does_not() {
        let (_root, host) = rooted(&[
            (
                "/etc/postgresql/15/main/postgresql.conf",
                "data_directory = '/d'\nlisten_addresses = 'localhost, 10.0.0.5'\nssl = on\nssl_min_protocol_version = 'TLSv1.1'\nhba_file = '/h'\nunix_socket_directories = '/run/postgresql'\n",
            ),
            ("/d/PG_VERSION", "15"),
            (
                "/h",
                "local all all peer\nhostssl all all 10.0.0.0/8 scram-sha-256\nhost all all 127.0.0.1/32 md5\nhostnossl all all 0.0.0.0/0 reject\nhost app all 10.0.0.0/8 md5\nhost all all all reject\nhost app all 10.2.0.0/16 trust\n",
            ),
            ("/etc/postgresql/13/old/postgresql.conf", "data_directory = '/o'\nlisten_addresses = '*'\nfsync = maybe\n"),
            ("/o/PG_VERSION", "13"),
            ("/o/pg_hba.conf", "hostssl all all all md5\nhost all all all trust\n"),
        ]);
        let mut gaps = Gaps::new();
        let found = DatabaseServers::gather(&host, &mut gaps).unwrap();
        let [old, main] = found.servers.as_slice() else { panic!("{:?}", found.servers) };
        assert_eq!((main.exposed, main.tls.as_str(), main.tls_minimum.as_str(), main.tls_minimum_code), (true, "required", "TLSv1.1", Some(0x0302)));
        assert_eq!(main.tls_minimum_source, Source::line("/etc/postgresql/15/main/postgresql.conf", 4, "ssl_min_protocol_version"));
        assert_eq!((old.exposed, old.tls.as_str(), old.tls_minimum_code), (true, "none", None));
        let shadowed: Vec<&str> = found.access.iter().filter(|l| l.shadowed).map(|l| l.subject.as_str()).collect();
        assert_eq!(shadowed, ["postgresql 13/old /o/pg_hba.conf:1", "postgresql 15/main /h:5", "postgresql 15/main /h:7"]);
        let endpoints: Vec<String> = found.endpoints.iter().map(|e| format!("{} {} {}", e.subject, e.tls, e.certificates.join(","))).collect();
        assert_eq!(
            endpoints,
            [
                "postgresql 13/old 0.0.0.0:5432 none ",
                "postgresql 13/old [::]:5432 none ",
                "postgresql 15/main /run/postgresql/.s.PGSQL.5432 none ",
                "postgresql 15/main 10.0.0.5:5432 required /d/server.crt",
                "postgresql 15/main 127.0.0.1:5432 required /d/server.crt",
            ]
        );
        let setting = |subject: &str| found.settings.iter().find(|s| s.subject == subject).map(|s| s.value.clone());
        assert_eq!(
            (setting("postgresql 13/old password_encryption"), setting("postgresql 15/main password_encryption")),
            (Some("md5".into()), Some("scram-sha-256".into()))
        );
        assert_eq!(setting("postgresql 13/old fsync"), None);
        let gaps = gaps.into_sorted();
        let told: Vec<String> = gaps.iter().map(|g| format!("{} {} {}", g.path, g.subject, g.reason)).collect();
        assert_eq!(
            told,
            [
                "servers postgresql 13/old malformed",
                "servers.checksums postgresql 13/old missing",
                "servers.checksums postgresql 15/main missing",
                "settings postgresql 13/old fsync malformed"
            ]
        );
    }
}
