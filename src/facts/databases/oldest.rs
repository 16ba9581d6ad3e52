//! One declared question to a declared server: how old its oldest row is. It is asked in a transaction that can't write and
//! is rolled back, under the server's own time limit; its answer is one value.

use super::{mariadb, postgresql, read_mariadb, read_postgresql};
use crate::host::Host;
use crate::host::local_socket::{LocalSocket, TALK_TIME};
use crate::model::declared::{DatabaseAccess, DatabaseEngine};
use crate::model::gap::reason;

/// Why there is no answer: reason of a gap, and what happened.
pub type Silent = (&'static str, String);

/// The value; `None` when there is no row or it is NULL.
pub fn ask(host: &Host, access: &DatabaseAccess, database: &str, query: &str) -> Result<Option<String>, Silent> {
    let socket = LocalSocket::connect(host, &access.socket, TALK_TIME).map_err(|e| (reason::UNREACHABLE, e.to_string()))?;
    let rows = match access.engine {
        DatabaseEngine::Postgresql => ask_postgresql(socket, &access.user, database, query).map_err(|e| read_postgresql::told(&e))?,
        DatabaseEngine::Mariadb => ask_mariadb(socket, &access.user, query).map_err(|e| read_mariadb::told(&e, "what the query asks for"))?,
    };
    match rows.as_slice() {
        [] => Ok(None),
        [row] => match row.as_slice() {
            [value] => Ok(value.clone()),
            other => Err((reason::MALFORMED, format!("the query gave {} columns instead of one", other.len()))),
        },
        more => Err((reason::MALFORMED, format!("the query gave {} rows instead of one", more.len()))),
    }
}

fn ask_postgresql(socket: LocalSocket, user: &str, database: &str, query: &str) -> Result<Vec<postgresql::Row>, postgresql::Refused> {
    let database = if database.is_empty() { "postgres" } else { database };
    let mut client = postgresql::Client::sign_in(socket, user, database)?;
    for statement in
        ["BEGIN TRANSACTION READ ONLY", "SET LOCAL TimeZone TO 'UTC'", "SET LOCAL DateStyle TO 'ISO, YMD'", "SET LOCAL search_path TO \"$user\", public"]
    {
        client.query(statement)?;
    }
    let rows = client.query(query);
    let _ = client.query("ROLLBACK");
    rows
}

fn ask_mariadb(socket: LocalSocket, user: &str, query: &str) -> Result<Vec<mariadb::Row>, mariadb::Refused> {
    let mut client = mariadb::Client::sign_in(socket, user)?;
    for statement in ["SET SESSION max_statement_time = 5", "SET SESSION time_zone = '+00:00'", "START TRANSACTION READ ONLY"] {
        client.query(statement)?;
    }
    let rows = client.query(query);
    let _ = client.query("ROLLBACK");
    rows
}
