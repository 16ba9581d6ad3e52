//! What PostgreSQL's catalogs say of roles (PostgreSQL manual: pg_roles, pg_authid, pg_auth_members, pg_hba_file_rules).

use std::collections::BTreeMap;

use super::postgresql::{Client, DENIED, Refused, Row};
use super::{Access, Asked, Databases, POSTGRESQL_REMEDY, Role};
use crate::facts::Document as _;
use crate::host::ReadError;
use crate::host::local_socket::LocalSocket;
use crate::model::fact::Source;
use crate::model::gap::reason;

const ROLES: &str = "SELECT oid, rolname, rolsuper, rolcreaterole, rolcreatedb, rolcanlogin, rolreplication, rolbypassrls, \
     CASE WHEN isfinite(rolvaliduntil) THEN floor(extract(epoch FROM rolvaliduntil))::bigint END FROM pg_catalog.pg_roles ORDER BY rolname";
/// The server names the scheme; the hash stays there.
const SCHEMES: &str = "SELECT rolname, CASE WHEN rolpassword IS NULL THEN 'none' WHEN rolpassword LIKE 'SCRAM-SHA-256$%' THEN 'scram-sha-256' \
     WHEN rolpassword ~ '^md5[0-9a-f]{32}$' THEN 'md5' ELSE 'other' END FROM pg_catalog.pg_authid ORDER BY rolname";
const MEMBERS: &str = "SELECT m.rolname, r.rolname FROM pg_catalog.pg_auth_members a JOIN pg_catalog.pg_roles r ON r.oid = a.roleid \
     JOIN pg_catalog.pg_roles m ON m.oid = a.member ORDER BY 1, 2";
const ACCESS: &str = "SELECT line_number, type, array_to_string(database, E'\\x1f'), array_to_string(user_name, E'\\x1f'), address, netmask, auth_method \
     FROM pg_catalog.pg_hba_file_rules WHERE error IS NULL ORDER BY line_number";
/// Between the elements of a list: a character that no name holds.
const BETWEEN: char = '\u{1f}';
/// The role that initdb makes (`BOOTSTRAP_SUPERUSERID`).
const BOOTSTRAP: &str = "10";
/// Roles by name beyond which a gap is not told one by one.
const NAMED: usize = 200;

pub(super) fn read(socket: LocalSocket, asked: &mut Asked<'_>) {
    let mut client = match Client::sign_in(socket, &asked.access.user, "postgres") {
        Ok(client) => client,
        Err(refused) => return note(asked, &["roles", "access"], &refused),
    };
    asked.told(&client.version.clone());
    match client.query(ROLES) {
        Ok(rows) => roles(&mut client, asked, &rows),
        Err(refused) => note(asked, &["roles"], &refused),
    }
    match client.query(ACCESS) {
        Ok(rows) => access(asked, &rows, &mut client),
        Err(refused) => note(asked, &["access"], &refused),
    }
}

fn roles(client: &mut Client, asked: &mut Asked<'_>, rows: &[Row]) {
    let schemes = pairs(client.query(SCHEMES));
    let mut member_of: BTreeMap<String, Vec<String>> = BTreeMap::new();
    match client.query(MEMBERS) {
        Ok(rows) => rows.iter().for_each(|r| member_of.entry(text(r, 0)).or_default().push(text(r, 1))),
        Err(refused) => note(asked, &["roles.member_of"], &refused),
    }
    let mut made: Vec<Role> = rows.iter().map(|r| role(asked, r, &member_of)).collect();
    // Roles that only bundle rights of the server itself say nothing about who signs in.
    made.retain(|r| r.can_sign_in || !r.name.starts_with("pg_"));
    match schemes {
        Ok(schemes) => made.iter_mut().for_each(|r| r.password_scheme = schemes.get(&r.name).cloned().unwrap_or_else(|| "none".into())),
        Err(refused) => note_schemes(asked, &made, &refused),
    }
    asked.into.roles.extend(made);
}

fn role(asked: &Asked<'_>, row: &Row, member_of: &BTreeMap<String, Vec<String>>) -> Role {
    let name = text(row, 1);
    let is = |i: usize| text(row, i) == "t";
    let mut powers: Vec<String> = [(3, "create role"), (4, "create database"), (6, "replication"), (7, "bypass row security")]
        .iter()
        .filter(|(i, _)| is(*i))
        .map(|(_, p)| (*p).into())
        .collect();
    powers.sort();
    Role {
        subject: format!("{} {name}", asked.server),
        engine: "postgresql".into(),
        host: String::new(),
        any_host: false,
        can_sign_in: is(5),
        built_in: text(row, 0) == BOOTSTRAP,
        superuser: is(2),
        powers,
        member_of: member_of.get(&name).cloned().unwrap_or_default(),
        valid_until: text(row, 8).parse().ok(),
        password_expired: false,
        password_scheme: "unknown".into(),
        authentication: Vec::new(),
        passwordless: false,
        source: Source { place: asked.access.socket.clone(), line: 0, directive: "pg_roles".into() },
        name,
    }
}

/// The lines in force, each with whether an earlier one decides for it already.
fn access(asked: &mut Asked<'_>, rows: &[Row], client: &mut Client) {
    let shown = client.query("SHOW hba_file").ok().and_then(|rows| rows.first().map(|r| text(r, 0)));
    let file = shown.unwrap_or_else(|| "pg_hba.conf".into());
    let mut earlier: Vec<Access> = Vec::new();
    for row in rows {
        let list = |i: usize| text(row, i).split(BETWEEN).map(String::from).collect::<Vec<_>>();
        let (address, mask) = (text(row, 4), text(row, 5));
        let address = if mask.is_empty() { address } else { format!("{address}/{mask}") };
        let connection = text(row, 1);
        let line = text(row, 0);
        let mut item = Access {
            subject: format!("{} line {line}", asked.server),
            databases: list(2),
            users: list(3),
            this_machine: connection == "local" || address.starts_with("127.") || address.starts_with("::1/"),
            address,
            connection,
            method: text(row, 6),
            shadowed: false,
            source: Source::line(file.clone(), line.parse().unwrap_or(0), "pg_hba_file_rules"),
        };
        item.shadowed = earlier.iter().any(|e| covers(e, &item));
        earlier.push(item);
    }
    asked.into.access.extend(earlier);
}

/// Whether every connection that `later` is for is decided by `earlier` (pg_hba.conf: the first match wins).
fn covers(earlier: &Access, later: &Access) -> bool {
    let connection = earlier.connection == later.connection || earlier.connection == "host" && later.connection != "local";
    let all = |list: &[String]| list.iter().any(|e| e == "all");
    // "all" does not stand for the pseudo-database of replication.
    let databases = (all(&earlier.databases) && !later.databases.iter().any(|d| d == "replication")) || earlier.databases == later.databases;
    let users = all(&earlier.users) || earlier.users == later.users;
    let address = earlier.address == later.address || earlier.address == "all";
    connection && databases && users && address
}

fn pairs(answer: Result<Vec<Row>, Refused>) -> Result<BTreeMap<String, String>, Refused> {
    Ok(answer?.iter().map(|r| (text(r, 0), text(r, 1))).collect())
}

fn text(row: &Row, column: usize) -> String {
    row.get(column).cloned().flatten().unwrap_or_default()
}

fn note_schemes(asked: &mut Asked<'_>, roles: &[Role], refused: &Refused) {
    if roles.len() > NAMED {
        return note(asked, &["roles.password_scheme"], refused);
    }
    let (reason, detail) = told(refused);
    for role in roles.iter().filter(|r| r.can_sign_in) {
        let detail = format!("{}: password schemes: {detail}", asked.access.socket);
        asked.gaps.note(Databases::NAME, "roles.password_scheme", &role.subject, reason, detail, POSTGRESQL_REMEDY);
    }
}

fn note(asked: &mut Asked<'_>, paths: &[&str], refused: &Refused) {
    let (reason, detail) = told(refused);
    for path in paths {
        asked.gap(path, reason, &detail, POSTGRESQL_REMEDY);
    }
}

pub(in crate::facts) fn told(refused: &Refused) -> (&'static str, String) {
    match refused {
        Refused::Socket(ReadError::TooLarge(..)) => (reason::LIMIT_REACHED, "the server sent more than the limit".into()),
        Refused::Socket(e) => (reason::READ_FAILED, e.to_string()),
        Refused::Password(method) => (reason::PERMISSION_DENIED, format!("the server asks for a password ({method}); only peer is used")),
        Refused::Server(state) if state == DENIED => (reason::PERMISSION_DENIED, "the declared role may not read it".into()),
        Refused::Server(state) if state.starts_with("28") => (reason::PERMISSION_DENIED, "the server does not let the declared role sign in".into()),
        Refused::Server(state) => (reason::READ_FAILED, format!("the server answered with error {state}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(connection: &str, databases: &str, users: &str, address: &str) -> Access {
        let list = |text: &str| text.split(' ').map(String::from).collect();
        Access {
            subject: String::new(),
            connection: connection.into(),
            databases: list(databases),
            users: list(users),
            address: address.into(),
            this_machine: false,
            method: "trust".into(),
            shadowed: false,
            source: Source::default(),
        }
    }

    #[test]
    fn the_first_matching_line_decides() {
        let reject = line("host", "all", "all", "0.0.0.0/0.0.0.0");
        assert!(covers(&reject, &line("hostssl", "app", "app", "0.0.0.0/0.0.0.0")));
        assert!(!covers(&reject, &line("host", "app", "app", "::/::")));
        assert!(!covers(&reject, &line("local", "all", "all", "")));
        assert!(!covers(&reject, &line("host", "replication", "all", "0.0.0.0/0.0.0.0")));
        assert!(covers(&line("host", "all", "all", "all"), &line("hostnossl", "app", "app", "10.0.0.0/255.0.0.0")));
        assert!(!covers(&line("hostssl", "all", "all", "all"), &line("host", "app", "app", "all")));
        assert!(!covers(&line("local", "all", "postgres", ""), &line("local", "all", "all", "")));
    }
}
