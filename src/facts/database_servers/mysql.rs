//! MariaDB and MySQL servers in the document.

use super::instances::{Instance, instances};
use super::mysql_values::KNOWN;
use super::process::Running;
use super::{DatabaseServer, DatabaseServers, DatabaseSetting, PLAIN_PATHS, code, note_unasked, reach, running};
use crate::facts::Document as _;
use crate::facts::databases::MARIADB_REMEDY;
use crate::host::Host;
use crate::model::configured::ConfiguredEndpoint;
use crate::model::fact::Source;
use crate::model::gap::{Gaps, reason};

pub fn gather(host: &Host, processes: &[Running], into: &mut DatabaseServers, gaps: &mut Gaps) {
    for instance in instances(host, processes, DatabaseServers::NAME, &PLAIN_PATHS, gaps) {
        settings(host, &instance, into, gaps);
        server(host, &instance, into, gaps);
    }
}

fn settings(host: &Host, instance: &Instance, into: &mut DatabaseServers, gaps: &mut Gaps) {
    let from = into.settings.len();
    for known in KNOWN {
        let given = instance.values.get(known.name);
        let Some(value) = given.map(|v| v.0.as_str()).or_else(|| (known.default)(&instance.flavour)) else { continue };
        into.settings.push(DatabaseSetting {
            subject: format!("{} {}", instance.subject, known.name),
            server: instance.subject.clone(),
            engine: instance.engine.clone(),
            name: known.name.into(),
            value: value.into(),
            written: given.is_some(),
            running: None,
            pending_restart: false,
            source: given.map(|v| v.1.clone()).unwrap_or_default(),
        });
    }
    for (name, detail) in &instance.unclear {
        let subject = format!("{} {name}", instance.subject);
        for (path, subject) in [("settings", &subject), ("servers", &instance.subject)] {
            gaps.note(DatabaseServers::NAME, path, subject, reason::UNSUPPORTED, detail.clone(), "Write the whole name.");
        }
    }
    if instance.running == Some(true) {
        match instance.declared(host) {
            Some(access) => running::mariadb(host, access, &instance.subject, into.settings.iter_mut().skip(from).collect(), gaps),
            None => note_unasked(gaps, &instance.subject, MARIADB_REMEDY),
        }
    }
}

fn server(host: &Host, instance: &Instance, into: &mut DatabaseServers, gaps: &mut Gaps) {
    let given = |name: &str| instance.values.get(name).map(|v| v.1.clone()).unwrap_or_default();
    let bound = instance.text("bind_address");
    let addresses: Vec<String> = match bound {
        _ if instance.is_on("skip_networking") => Vec::new(),
        "" | "*" => vec!["*".into()],
        bound => bound.split(',').map(|a| a.trim().to_string()).collect(),
    };
    let has_key = !instance.text("ssl_cert").is_empty() && !instance.text("ssl_key").is_empty();
    // MySQL 5.7 and MariaDB 11.4 make a certificate of their own.
    let automatic = if instance.flavour.is_mariadb { instance.flavour.is_at_least(11, 4) } else { instance.flavour.is_at_least(5, 7) };
    let is_off = instance.text("ssl") == "off";
    let tls = match () {
        () if is_off || !(has_key || automatic) => "none",
        () if instance.is_on("require_secure_transport") => "required",
        () => "offered",
    };
    if tls == "none" && instance.flavour.release.is_none() && !is_off && !has_key {
        gaps.note(
            DatabaseServers::NAME,
            "servers.tls",
            &instance.subject,
            reason::UNSUPPORTED,
            "the release is not known, and newer ones make a certificate of their own",
            "",
        );
    }
    let tls_source = if tls == "required" || !given("require_secure_transport").place.is_empty() { given("require_secure_transport") } else { given("ssl") };
    let versions = versions(instance).filter(|_| tls != "none");
    let oldest = versions.as_ref().and_then(|v| v.first()).cloned().unwrap_or_default();
    endpoints(instance, &addresses, tls, versions, into);
    into.servers.push(DatabaseServer {
        subject: instance.subject.clone(),
        engine: instance.engine.clone(),
        version: instance.version.clone(),
        config: instance.config.clone(),
        data: instance.data.clone(),
        running: instance.running,
        declared: instance.declared(host).is_some(),
        exposed: addresses.iter().any(|a| !reach::is_loopback(host, a)),
        tls: tls.into(),
        tls_source,
        tls_minimum_code: code(&oldest),
        tls_minimum: oldest,
        tls_minimum_source: given("tls_version"),
        authentication: if instance.is_on("skip_grant_tables") { "none" } else { "required" }.into(),
        authentication_source: given("skip_grant_tables"),
        checksums: None,
        source: Source::whole(&instance.config),
    });
}

/// Versions of TLS, oldest first; `None` when the library decides.
fn versions(instance: &Instance) -> Option<Vec<String>> {
    let known = KNOWN.iter().find(|k| k.name == "tls_version")?;
    let given = instance.values.get("tls_version").map(|v| v.0.as_str()).or_else(|| (known.default)(&instance.flavour))?;
    let mut out: Vec<String> = given.split(',').map(|v| super::pg_values::named(v.trim())).filter(|v| code(v).is_some()).collect();
    out.sort_by_key(|v| code(v));
    (!out.is_empty()).then_some(out)
}

fn endpoints(instance: &Instance, addresses: &[String], tls: &str, versions: Option<Vec<String>>, into: &mut DatabaseServers) {
    let source_of = |name: &str| instance.values.get(name).map(|v| v.1.clone());
    let source = source_of("bind_address").or_else(|| source_of("port")).unwrap_or_else(|| Source::whole(&instance.config));
    let file = |name: &str| {
        let value = instance.text(name);
        match value {
            "" => Vec::new(),
            _ if tls == "none" => Vec::new(),
            absolute if absolute.starts_with('/') => vec![absolute.to_string()],
            relative => vec![format!("{}/{relative}", instance.data)],
        }
    };
    let port = if instance.text("port").is_empty() { 3306 } else { instance.text("port").parse().unwrap_or(0) };
    let like = ConfiguredEndpoint {
        subject: instance.subject.clone(),
        program: instance.engine.clone(),
        address: String::new(),
        port,
        transport: String::new(),
        names: Vec::new(),
        tls: tls.into(),
        versions,
        ciphers: if tls == "none" { String::new() } else { instance.text("ssl_cipher").into() },
        certificates: file("ssl_cert"),
        keys: file("ssl_key"),
        source: source.clone(),
        versions_source: source_of("tls_version").filter(|_| tls != "none").unwrap_or_default(),
    };
    into.listen(&reach::resolved(addresses), port, &like);
    let socket = if instance.socket.starts_with('/') { instance.socket.clone() } else { format!("{}/{}", instance.data, instance.socket) };
    into.listen_locally(&[socket], &instance.engine, &instance.subject, &source);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::HostFamily as _;
    use crate::host::testing::rooted;

    const STATUS: &str = "Package: mariadb-server-core\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1:10.11.19-0+deb12u1\n\n";

    #[test]
    fn what_files_of_a_machine_amount_to() {
        let (_root, host) = rooted(&[
            ("/var/lib/dpkg/status", STATUS),
            ("/etc/mysql/my.cnf", "[mysqld]\nbind-address=127.0.0.1\n!includedir /etc/mysql/conf.d/\n"),
            (
                "/etc/mysql/conf.d/z.cnf",
                "[mariadb-10.11]\nbind_address=10.0.0.5,::1\nssl-cert=/c.pem\nssl-key=k.pem\nrequire-secure-transport\ntls_version=TLSv1.3,TLSv1.1\nplugin_load_add=file_key_management\nlog-bin\nskip_grant\n",
            ),
        ]);
        let mut gaps = Gaps::new();
        let found = DatabaseServers::gather(&host, &mut gaps).unwrap();
        let [server] = found.servers.as_slice() else { panic!("{:?}", found.servers) };
        assert_eq!((server.subject.as_str(), server.version.as_str(), server.exposed), ("mariadb /etc/mysql/my.cnf", "10.11", true));
        assert_eq!((server.tls.as_str(), server.tls_minimum.as_str(), server.running), ("required", "TLSv1.1", None));
        assert_eq!(server.tls_source, Source::line("/etc/mysql/conf.d/z.cnf", 5, "require_secure_transport"));
        let value = |name: &str| found.settings.iter().find(|s| s.name == name).map(|s| s.value.as_str());
        assert_eq!((value("log_bin"), value("sync_binlog"), value("innodb_doublewrite")), (Some("on"), Some("0"), Some("on")));
        let endpoints: Vec<String> = found.endpoints.iter().map(|e| format!("{} {}", e.subject, e.keys.join(","))).collect();
        assert_eq!(
            endpoints,
            [
                "mariadb /etc/mysql/my.cnf /run/mysqld/mysqld.sock ",
                "mariadb /etc/mysql/my.cnf 10.0.0.5:3306 /var/lib/mysql/k.pem",
                "mariadb /etc/mysql/my.cnf [::1]:3306 /var/lib/mysql/k.pem"
            ]
        );
        let gaps = gaps.into_sorted();
        assert!(gaps.iter().any(|g| g.subject.ends_with("skip_grant_tables") && g.detail.contains("short for")), "{gaps:?}");
        // Nothing installed, nothing to tell.
        let (_root, host) = rooted(&[("/etc/mysql/my.cnf", "[mysqld]\nport=1\n")]);
        assert!(DatabaseServers::gather(&host, &mut Gaps::new()).unwrap().servers.is_empty());
    }
}
