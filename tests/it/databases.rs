//! Roles of real PostgreSQL and MariaDB servers, compared with what the servers' own clients say.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Stdio};

use assay::facts::databases::Databases;
use assay::facts::{self, HostFamily as _};
use assay::host::Host;
use assay::model::declared::{DatabaseAccess, DatabaseEngine, Declared};
use assay::model::fact::Observation;
use assay::model::finding::Verdict;
use assay::model::gap::{Gap, Gaps};
use assay::model::policy::Policy;
use assay::rules::{self, Input, Pack};

use super::lab::{Server, servers};

fn gather(engine: DatabaseEngine, socket: &Path, user: &str) -> (Databases, Vec<Gap>) {
    let databases = vec![DatabaseAccess { engine, socket: socket.to_str().unwrap().into(), user: user.into() }];
    let host = Host::live().unwrap().with_declared(Declared { databases, ..Declared::default() });
    let mut gaps = Gaps::new();
    let gathered = Databases::gather(&host, &mut gaps).unwrap();
    // Other tests run servers of their own on this machine.
    let ours = |g: &Gap| g.subject.contains(socket.parent().unwrap().to_str().unwrap());
    (gathered, gaps.into_sorted().into_iter().filter(ours).collect())
}

/// Rule and last word of the subject of every failure.
fn failures(databases: &Databases, gaps: &[Gap]) -> BTreeSet<(String, String)> {
    let families = [("databases".to_string(), serde_json::to_value(databases).unwrap())].into();
    let observation = Observation { gathered_at: 1_795_000_000, families, gaps: gaps.to_vec() };
    let pack = Pack::builtin(facts::schemas()).unwrap();
    let findings = rules::evaluate(
        &pack,
        &Input { observation: &observation, policy: &Policy::default(), against: assay::model::against::Against::default(), advisories: None },
    );
    let failed = findings.into_iter().filter(|f| f.verdict == Verdict::Fail);
    failed.map(|f| (f.rule, f.subject.rsplit(' ').next().unwrap_or_default().to_string())).collect()
}

fn set(expected: &[(&str, &str)]) -> BTreeSet<(String, String)> {
    expected.iter().map(|(a, b)| ((*a).to_string(), (*b).to_string())).collect()
}

fn client(program: &str, arguments: &[String], statements: &str) -> String {
    let mut child = Command::new(program).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(statements.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{statements}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

const ACCESS: &str = "local all locked scram-sha-256\nlocal all all trust\nhost all all 127.0.0.1/32 scram-sha-256\nhost all all 10.0.0.0/8 password\n\
     hostssl all all 192.168.0.0/16 password\n# host all all 0.0.0.0/0 trust\nhost all all all reject\nhost app all all trust\n";

#[test]
fn postgresql_roles_and_ways_in() {
    let server = servers::postgresql(ACCESS, None, &[]);
    let psql = |statements: &str| {
        let arguments =
            ["-h", server.folder().to_str().unwrap(), "-p", &server.port.to_string(), "-U", "postgres", "-v", "ON_ERROR_STOP=1", "-AtX"].map(String::from);
        client("psql", &arguments, statements)
    };
    psql(
        "CREATE ROLE assay LOGIN; CREATE ROLE poor LOGIN; CREATE ROLE locked LOGIN PASSWORD 'x';\n\
         CREATE ROLE second LOGIN SUPERUSER PASSWORD 'x' VALID UNTIL '2030-01-01 00:00:00+00'; CREATE ROLE admins SUPERUSER; CREATE ROLE member LOGIN CREATEDB IN ROLE admins;\n\
         SET password_encryption = 'md5'; CREATE ROLE old LOGIN PASSWORD 'x' VALID UNTIL 'infinity';\n\
         GRANT SELECT (rolname, rolpassword) ON pg_catalog.pg_authid TO assay; GRANT SELECT ON pg_catalog.pg_hba_file_rules TO assay;\n\
         GRANT EXECUTE ON FUNCTION pg_catalog.pg_hba_file_rules() TO assay; GRANT pg_read_all_settings TO assay;\n",
    );
    let socket = server.folder().join(format!(".s.PGSQL.{}", server.port));
    let (found, gaps) = gather(DatabaseEngine::Postgresql, &socket, "assay");
    assert_eq!(gaps, [], "the remedy's grants are enough");
    assert_eq!(
        failures(&found, &gaps),
        set(&[
            ("database-superuser-extra", "second"),
            ("database-password-scheme-weak", "old"),
            ("database-access-trust", "2"),
            ("database-access-cleartext", "4")
        ])
    );
    let shown: Vec<String> = found.roles.iter().map(|r| format!("{}|{}|{}|{}", r.name, r.can_sign_in, r.superuser, r.password_scheme)).collect();
    let own = psql(
        "SELECT rolname, CASE WHEN rolcanlogin THEN 'true' ELSE 'false' END, CASE WHEN rolsuper THEN 'true' ELSE 'false' END, CASE WHEN rolpassword IS NULL THEN 'none' \
         WHEN rolpassword LIKE 'SCRAM%' THEN 'scram-sha-256' ELSE left(rolpassword, 3) END FROM pg_authid WHERE rolname !~ '^pg_' ORDER BY rolname;",
    );
    assert_eq!(shown, own.lines().collect::<Vec<_>>());
    let role = |name: &str| found.roles.iter().find(|r| r.name == name).unwrap();
    // date -u -d 2030-01-01 +%s
    assert_eq!((role("second").valid_until, role("old").valid_until), (Some(1_893_456_000), None));
    assert_eq!((role("member").member_of.clone(), role("member").powers.clone()), (vec!["admins".to_string()], vec!["create database".to_string()]));
    assert!(role("postgres").built_in && !role("second").built_in);
    let shadowed: Vec<u32> = found.access.iter().filter(|a| a.shadowed).map(|a| a.source.line).collect();
    // Without TLS the server does not use the line of hostssl.
    assert_eq!((found.access.len(), shadowed), (6, vec![8]));
    assert!(found.access[0].source.place.ends_with("data/pg_hba.conf"));
    assert!(!serde_json::to_string(&found).unwrap().contains("SCRAM-SHA"), "no hash leaves the server");
}

#[test]
fn what_postgresql_does_not_tell_is_a_gap_with_its_remedy() {
    let server = servers::postgresql("local all locked scram-sha-256\nlocal all all trust\n", None, &[]);
    let arguments = ["-h", server.folder().to_str().unwrap(), "-p", &server.port.to_string(), "-U", "postgres", "-AtX"].map(String::from);
    client("psql", &arguments, "CREATE ROLE poor LOGIN; CREATE ROLE locked LOGIN PASSWORD 'x';");
    let socket = server.folder().join(format!(".s.PGSQL.{}", server.port));
    let (found, gaps) = gather(DatabaseEngine::Postgresql, &socket, "poor");
    assert_eq!(found.roles.len(), 3);
    let told: BTreeSet<(&str, &str)> = gaps.iter().map(|g| (g.path.as_str(), g.reason.as_str())).collect();
    assert_eq!(told, BTreeSet::from([("access", "permission-denied"), ("roles.password_scheme", "permission-denied")]));
    assert!(gaps.iter().all(|g| g.remedy.contains("GRANT SELECT (rolname, rolpassword)")));
    for (user, says) in [("locked", "asks for a password (scram-sha-256)"), ("nobody-here", "does not let")] {
        let (found, gaps) = gather(DatabaseEngine::Postgresql, &socket, user);
        assert!(found.roles.is_empty() && gaps.iter().any(|g| g.path == "roles" && g.detail.contains(says)), "{gaps:?}");
    }
    // Not declared: it is seen, and not asked.
    let mut gaps = Gaps::new();
    let found = Databases::gather(&Host::live().unwrap(), &mut gaps).unwrap();
    let gap = gaps.into_sorted().into_iter().find(|g| g.detail.contains(socket.to_str().unwrap())).unwrap();
    assert!(found.roles.is_empty() && gap.detail.contains("not declared") && gap.remedy.contains("CREATE ROLE assay"));
}

fn mariadb(server: &Server, statements: &str) -> String {
    let socket = server.folder().join("s");
    client("mariadb", &["--no-defaults".into(), format!("--socket={}", socket.display()), "-uroot".into(), "-N".into(), "-B".into()], statements)
}

#[test]
fn mariadb_users() {
    let server = servers::mariadb(None, &[]);
    mariadb(
        &server,
        "CREATE USER ''@'localhost'; CREATE USER app@'%' IDENTIFIED BY 'x'; GRANT ALL ON app.* TO app@'%';\n\
         CREATE USER boss@'%' IDENTIFIED BY 'x'; GRANT ALL ON *.* TO boss@'%' WITH GRANT OPTION; CREATE USER sock@localhost IDENTIFIED VIA unix_socket;\n\
         CREATE USER twice@localhost IDENTIFIED VIA mysql_native_password USING 'invalid' OR unix_socket; CREATE ROLE readers; CREATE USER gone@localhost ACCOUNT LOCK;\n\
         SET SESSION old_passwords = 1; CREATE USER old@localhost IDENTIFIED BY 'x'; CREATE USER late@localhost IDENTIFIED VIA unix_socket PASSWORD EXPIRE;\n\
         DELETE FROM mysql.global_priv WHERE User = 'root' AND Host <> 'localhost'; FLUSH PRIVILEGES; ALTER USER root@localhost IDENTIFIED VIA unix_socket;\n",
    );
    let socket = server.folder().join("s");
    let (found, gaps) = gather(DatabaseEngine::Mariadb, &socket, "root");
    assert_eq!(gaps, []);
    assert_eq!(
        failures(&found, &gaps),
        set(&[
            ("database-role-passwordless", "@localhost"),
            ("database-superuser-extra", "boss@%"),
            ("database-role-any-host", "boss@%"),
            ("database-password-scheme-weak", "old@localhost"),
        ])
    );
    let supers: BTreeSet<String> = found.roles.iter().filter(|r| r.superuser).map(|r| format!("{}@{}", r.name, r.host)).collect();
    let own = mariadb(&server, "SELECT CONCAT(User, '@', Host) FROM mysql.user WHERE Super_priv = 'Y'");
    assert_eq!(supers, own.lines().map(String::from).collect());
    for (power, column) in
        [("FILE", "File_priv"), ("SHUTDOWN", "Shutdown_priv"), ("CREATE USER", "Create_user_priv"), ("GRANT OPTION", "Grant_priv"), ("PROCESS", "Process_priv")]
    {
        let ours: BTreeSet<String> = found.roles.iter().filter(|r| r.powers.iter().any(|p| p == power)).map(|r| format!("{}@{}", r.name, r.host)).collect();
        let own = mariadb(&server, &format!("SELECT CONCAT(User, '@', Host) FROM mysql.user WHERE {column} = 'Y'"));
        assert_eq!(ours, own.lines().map(String::from).collect(), "{power}");
    }
    let role = |subject: &str| found.roles.iter().find(|r| format!("{}@{}", r.name, r.host) == subject).unwrap();
    assert_eq!(role("app@%").password_scheme, "mysql-native");
    assert_eq!((role("twice@localhost").password_scheme.as_str(), role("twice@localhost").authentication.len()), ("invalid", 2));
    assert!(!role("gone@localhost").can_sign_in && role("late@localhost").password_expired && !role("readers@").can_sign_in);
    assert!(!serde_json::to_string(&found).unwrap().contains('*'), "no hash leaves the server");
    let (found, gaps) = gather(DatabaseEngine::Mariadb, &socket, "app");
    assert!(found.roles.is_empty() && gaps[0].remedy.contains("GRANT SELECT ON mysql.global_priv"), "{gaps:?}");
}

/// Answers that no server gives: each ends as a gap, none as a panic or an endless wait.
#[test]
fn hostile_servers_are_gaps() {
    let dir = tempfile::tempdir().unwrap();
    let greeting = b"\x4a\0\0\0\x0a10.11\0\x01\0\0\0aaaaaaaa\0\xfe\xf7\x2d\x02\0\xff\x81\x15\0\0\0\0\0\0\0\0\0\0bbbbbbbbbbbb\0mysql_native_password\0".to_vec();
    let answers: Vec<Vec<u8>> = vec![
        Vec::new(),
        vec![0; 64],
        vec![0xff; 4096],
        b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05ID\xff\xff\xff\xff".to_vec(),
        b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05ID\0\0\0\x0a\xff\xff\0\0\0\0".to_vec(),
        b"R\0\0\0\x02".to_vec(),
        b"R\0\0\0\x04".to_vec(),
        b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(),
        greeting.clone(),
        [greeting.as_slice(), b"\x01\0\0\x02\0\x02\0\0\x01\xfc\xff\x01\0\0\x02\xfb"].concat(),
        [greeting.as_slice(), &b"\x01\0\0\x02\xfe".repeat(40)].concat(),
    ];
    for (i, answer) in answers.into_iter().enumerate() {
        let socket = dir.path().join(format!("s{i}"));
        let listener = UnixListener::bind(&socket).unwrap();
        let served = std::thread::spawn(move || {
            for stream in listener.incoming().take(2) {
                let _ = stream.unwrap().write_all(&answer);
            }
        });
        for engine in [DatabaseEngine::Postgresql, DatabaseEngine::Mariadb] {
            let (found, gaps) = gather(engine, &socket, "assay");
            assert!(found.roles.is_empty() && gaps.iter().any(|g| g.path == "roles"), "{i} {engine:?} {gaps:?}");
        }
        served.join().unwrap();
    }
}
