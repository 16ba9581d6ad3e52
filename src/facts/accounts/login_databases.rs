//! Last logins in SQLite files, as systems past 2038 keep them: lastlog2 (one row per account) and
//! wtmpdb (one row per login).

use std::collections::BTreeMap;

use super::logins::{Login, keep};
use crate::host::Host;
use crate::host::sqlite::{Database, SqliteError, Value};

/// One row per account: name, time (Unix seconds), terminal, host, service.
pub const LASTLOG2: &str = "/var/lib/lastlog/lastlog2.db";
/// One row per login: id, type, user, login (microseconds), logout, terminal, host, service.
pub const WTMPDB: &str = "/var/lib/wtmpdb/wtmp.db";
/// A login in wtmpdb; its numbers are its own, not those of utmp(5).
const USER_PROCESS: i64 = 3;
/// Most rows looked at: more logins than a busy host has in years.
const ROW_LIMIT: usize = 2_000_000;

/// The logins of lastlog2, and whether it holds any: then a missing account never signed in.
pub fn lastlog2(host: &Host, out: &mut BTreeMap<String, Login>) -> Result<bool, SqliteError> {
    let mut found = false;
    each(host, LASTLOG2, "Lastlog2", |values| {
        if let [Value::Text(name), Value::Integer(at), tty, from, ..] = values {
            found |= *at > 0;
            add(out, name, *at, from, tty);
        }
    })?;
    Ok(found)
}

/// The logins of wtmpdb.
pub fn wtmpdb(host: &Host, out: &mut BTreeMap<String, Login>) -> Result<(), SqliteError> {
    each(host, WTMPDB, "wtmp", |values| {
        // The id is kept outside the row; the first releases had none, and the process id instead.
        let (kind, user, login, tty, from) = match values {
            [Value::Null, kind, user, login, _, tty, from, ..] | [kind @ Value::Integer(_), user, Value::Integer(_), login, _, tty, from, ..] => {
                (kind, user, login, tty, from)
            }
            _ => return,
        };
        if let (Value::Integer(USER_PROCESS), Value::Text(user), Value::Integer(login)) = (kind, user, login) {
            add(out, user, login / 1_000_000, from, tty);
        }
    })
}

fn each(host: &Host, place: &str, table: &str, mut row: impl FnMut(&[Value<'_>])) -> Result<(), SqliteError> {
    let mut left = ROW_LIMIT;
    Database::open(host, place)?.rows(table, |_, values| {
        row(values);
        left -= 1;
        left > 0
    })?;
    if left == 0 { Err(SqliteError::Unsupported(place.into(), format!("more than {ROW_LIMIT} rows"))) } else { Ok(()) }
}

fn add(out: &mut BTreeMap<String, Login>, name: &[u8], at: i64, from: &Value<'_>, tty: &Value<'_>) {
    let text = |value: &Value<'_>| match value {
        Value::Text(bytes) => printable(bytes),
        _ => String::new(),
    };
    let name = printable(name);
    if !name.is_empty() && at > 0 {
        let from = Some(text(from)).filter(|f| !f.is_empty()).unwrap_or_else(|| text(tty));
        keep(out, name, Login { at, from });
    }
}

fn printable(bytes: &[u8]) -> String {
    const LONGEST: usize = 256;
    String::from_utf8_lossy(bytes).chars().filter(|c| !c.is_control()).take(LONGEST).collect()
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "databases are made by SQLite itself, through Python")]
mod tests {
    use super::*;
    use std::process::Command;

    fn database(root: &std::path::Path, place: &str, script: &str) {
        let path = root.join(place.trim_start_matches('/'));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let program = format!("import sqlite3\ndb = sqlite3.connect({path:?})\n{script}\ndb.commit()\ndb.close()\n");
        assert!(Command::new("python3").args(["-c", &program]).status().unwrap().success());
    }

    #[test]
    fn both_databases_give_the_newest_login() {
        let root = tempfile::tempdir().unwrap();
        // Tables as util-linux 2.41 and wtmpdb 0.73 make them.
        database(
            root.path(),
            LASTLOG2,
            "db.execute('CREATE TABLE Lastlog2(Name TEXT PRIMARY KEY, Time INTEGER, TTY TEXT, RemoteHost TEXT, Service TEXT)')\n\
             db.execute(\"INSERT INTO Lastlog2 VALUES ('anna',1788249700,'pts/0','192.0.2.15','sshd'),('root',1788250000,'tty1',NULL,'login'),('new',0,NULL,NULL,NULL)\")",
        );
        database(
            root.path(),
            WTMPDB,
            "db.execute('CREATE TABLE wtmp(ID INTEGER PRIMARY KEY, Type INTEGER, User TEXT NOT NULL, Login INTEGER, Logout INTEGER, TTY TEXT, RemoteHost TEXT, Service TEXT)')\n\
             db.execute(\"INSERT INTO wtmp (Type,User,Login,TTY,RemoteHost,Service) VALUES (1,'reboot',1788249600000000,'~','6.12',NULL),(3,'anna',1788260000123456,'pts/2','203.0.113.66','sshd')\")",
        );
        let host = Host::rooted(root.path()).unwrap();
        let mut out = BTreeMap::new();
        assert!(lastlog2(&host, &mut out).unwrap());
        wtmpdb(&host, &mut out).unwrap();
        let shown: Vec<String> = out.iter().map(|(name, l)| format!("{name} {} {}", l.at, l.from)).collect();
        assert_eq!(shown, ["anna 1788260000 203.0.113.66", "root 1788250000 tty1"]);
    }

    #[test]
    fn a_file_that_is_no_database_is_an_error() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("var/lib/lastlog")).unwrap();
        std::fs::write(root.path().join(&LASTLOG2[1..]), "nonsense").unwrap();
        let host = Host::rooted(root.path()).unwrap();
        assert!(lastlog2(&host, &mut BTreeMap::new()).is_err());
        assert!(matches!(wtmpdb(&host, &mut BTreeMap::new()), Err(SqliteError::Read(e)) if e.is_not_found()));
    }
}
