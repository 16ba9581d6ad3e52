//! What MariaDB's `mysql.global_priv` says of users (MariaDB knowledge base, "mysql.global_priv Table").

use super::mariadb::{Client, DENIED, Refused, Row, SIGN_IN_DENIED};
use super::{Asked, MARIADB_REMEDY, Role};
use crate::host::ReadError;
use crate::host::local_socket::LocalSocket;
use crate::model::fact::Source;
use crate::model::gap::reason;

/// Ways of signing in that are read of one user: the first, and those of `auth_or`.
const WAYS: usize = 5;
/// ER_NO_SUCH_TABLE: MySQL, or MariaDB before 10.4.
const NO_TABLE: u16 = 1146;
/// Users that the server comes with.
const BUILT_IN: [&str; 3] = ["root", "mysql", "mariadb.sys"];
/// Hosts that are this machine itself.
const LOCAL: [&str; 3] = ["localhost", "127.0.0.1", "::1"];
/// Global privileges that reach beyond data, by bit (sql/privilege.h).
const POWERS: [(u32, &str); 9] = [
    (6, "RELOAD"),
    (7, "SHUTDOWN"),
    (8, "PROCESS"),
    (9, "FILE"),
    (10, "GRANT OPTION"),
    (15, "SUPER"),
    (19, "REPLICATION SLAVE"),
    (25, "CREATE USER"),
    (28, "CREATE TABLESPACE"),
];
/// Plugins that let the operating system say who signs in.
const VOUCHED: [&str; 3] = ["unix_socket", "auth_socket", "gssapi"];

pub(super) fn read(socket: LocalSocket, asked: &mut Asked<'_>) {
    let mut client = match Client::sign_in(socket, &asked.access.user) {
        Ok(client) => client,
        Err(refused) => return note(asked, &refused),
    };
    asked.told(&client.version.clone());
    // Not every version knows each of them; the questions below change nothing anyway.
    for statement in ["SET SESSION max_statement_time = 5", "SET SESSION TRANSACTION READ ONLY"] {
        let _ = client.query(statement);
    }
    match client.query(&question()) {
        Ok(rows) => {
            let roles: Vec<Role> = rows.iter().map(|r| role(asked, r)).collect();
            asked.into.roles.extend(roles);
        }
        Err(refused) => note(asked, &refused),
    }
}

/// Hashes stay in the server: it is asked for their scheme.
fn question() -> String {
    let mut columns = vec!["User".to_string(), "Host".into()];
    for key in ["access", "account_locked", "password_last_changed", "is_role"] {
        columns.push(format!("JSON_VALUE(Priv, '$.{key}')"));
    }
    for way in 0..WAYS {
        let at = if way == 0 { "$".into() } else { format!("$.auth_or[{}]", way - 1) };
        let hash = format!("JSON_VALUE(Priv, '{at}.authentication_string')");
        columns.push(format!("JSON_VALUE(Priv, '{at}.plugin')"));
        columns.push(format!(
            "CASE WHEN {hash} IS NULL OR {hash} = '' THEN 'empty' WHEN {hash} = 'invalid' THEN 'invalid' WHEN {hash} REGEXP '^[*][0-9A-Fa-f]{{40}}$' THEN 'mysql-native' \
             WHEN {hash} REGEXP '^[0-9A-Fa-f]{{16}}$' THEN 'mysql-old' ELSE 'other' END"
        ));
    }
    format!("SELECT {} FROM mysql.global_priv ORDER BY User, Host", columns.join(", "))
}

fn role(asked: &Asked<'_>, row: &Row) -> Role {
    let (name, host) = (text(row, 0), text(row, 1));
    let access: u64 = text(row, 2).parse().unwrap_or(0);
    let has = |bit: u32| access >> bit & 1 == 1;
    let is_role = matches!(text(row, 5).as_str(), "1" | "true");
    let locked = matches!(text(row, 3).as_str(), "1" | "true");
    let ways: Vec<(String, String)> = (0..WAYS).map(|w| (text(row, 6 + 2 * w), text(row, 7 + 2 * w))).filter(|(plugin, _)| !plugin.is_empty()).collect();
    // A user without an entry for plugins signs in with the native one (CREATE USER without IDENTIFIED).
    let ways = if ways.is_empty() && !is_role { vec![("mysql_native_password".into(), "empty".into())] } else { ways };
    let secrets: Vec<&str> = ways.iter().map(scheme).filter(|s| !s.is_empty()).collect();
    let can_sign_in = !is_role && !locked;
    Role {
        subject: format!("{} {name}@{host}", asked.server),
        engine: "mariadb".into(),
        any_host: !is_role && (host.is_empty() || host.contains('%') && host.chars().all(|c| matches!(c, '%' | '_' | '.'))),
        can_sign_in,
        built_in: BUILT_IN.contains(&name.as_str()) && LOCAL.contains(&host.as_str()),
        superuser: has(15) || has(10) && has(25),
        powers: POWERS.iter().filter(|(bit, _)| has(*bit)).map(|(_, p)| (*p).to_string()).collect(),
        member_of: Vec::new(),
        valid_until: None,
        // `ALTER USER … PASSWORD EXPIRE` writes zero.
        password_expired: text(row, 4) == "0",
        password_scheme: weakest(&secrets).into(),
        passwordless: can_sign_in && secrets.contains(&"empty"),
        authentication: ways.iter().map(|(plugin, _)| plugin.chars().take(64).collect()).collect(),
        source: Source { place: asked.access.socket.clone(), line: 0, directive: "mysql.global_priv".into() },
        name,
        host,
    }
}

/// Scheme of the secret of one way in; empty for ways without one of the server's own.
fn scheme((plugin, hash): &(String, String)) -> &'static str {
    match (plugin.as_str(), hash.as_str()) {
        (vouched, _) if VOUCHED.contains(&vouched) => "",
        ("pam", _) => "",
        ("mysql_native_password" | "mysql_old_password" | "ed25519" | "parsec", "empty") => "empty",
        ("ed25519" | "parsec", _) => "ed25519",
        (_, "invalid") => "invalid",
        ("mysql_native_password", "mysql-native") => "mysql-native",
        ("mysql_old_password", "mysql-old") | ("mysql_native_password", "mysql-old") => "mysql-old",
        _ => "other",
    }
}

/// The one by which somebody else gets in most easily.
fn weakest<'s>(schemes: &[&'s str]) -> &'s str {
    let order = ["empty", "mysql-old", "other", "mysql-native", "ed25519", "invalid"];
    order.iter().find_map(|o| schemes.iter().find(|s| *s == o)).copied().unwrap_or("none")
}

fn text(row: &Row, column: usize) -> String {
    row.get(column).cloned().flatten().unwrap_or_default()
}

fn note(asked: &mut Asked<'_>, refused: &Refused) {
    let (reason, detail) = told(refused, "mysql.global_priv");
    asked.gap("roles", reason, &detail, MARIADB_REMEDY);
}

/// Reason and detail of a refusal, when `what` was asked for.
pub(in crate::facts) fn told(refused: &Refused, what: &str) -> (&'static str, String) {
    match refused {
        Refused::Socket(ReadError::TooLarge(..)) => (reason::LIMIT_REACHED, "the server sent more than the limit".into()),
        Refused::Socket(e) => (reason::READ_FAILED, e.to_string()),
        Refused::Server(number) if SIGN_IN_DENIED.contains(number) => {
            (reason::PERMISSION_DENIED, "the server does not let the declared user sign in by the socket alone".into())
        }
        Refused::Server(number) if DENIED.contains(number) => (reason::PERMISSION_DENIED, format!("the declared user may not read {what}")),
        Refused::Server(NO_TABLE) => (reason::UNSUPPORTED, format!("there is no {what}: not MariaDB 10.4 or later")),
        Refused::Server(number) => (reason::READ_FAILED, format!("the server answered with error {number}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_weakest_way_in_counts() {
        let way = |plugin: &str, hash: &str| (plugin.to_string(), hash.to_string());
        let judged = |ways: &[(String, String)]| weakest(&ways.iter().map(scheme).filter(|s| !s.is_empty()).collect::<Vec<_>>()).to_string();
        assert_eq!(judged(&[way("mysql_native_password", "invalid"), way("unix_socket", "empty")]), "invalid");
        assert_eq!(judged(&[way("unix_socket", "empty")]), "none");
        assert_eq!(judged(&[way("mysql_native_password", "empty"), way("unix_socket", "empty")]), "empty");
        assert_eq!(judged(&[way("ed25519", "other"), way("mysql_native_password", "mysql-native")]), "mysql-native");
        assert_eq!(judged(&[way("mysql_native_password", "mysql-old")]), "mysql-old");
        assert_eq!(judged(&[way("pam", "empty")]), "none");
    }
}
