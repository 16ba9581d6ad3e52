//! What running servers say of the settings that their files decide, asked over the local sockets
//! that the operator declared.

use std::collections::BTreeMap;

use super::{DatabaseServers, DatabaseSetting};
use crate::facts::Document as _;
use crate::facts::databases::{MARIADB_REMEDY, POSTGRESQL_REMEDY, mariadb as my, postgresql as pg, read_mariadb, read_postgresql};
use crate::host::Host;
use crate::host::local_socket::{LocalSocket, TALK_TIME};
use crate::model::declared::DatabaseAccess;
use crate::model::gap::{Gaps, reason};

/// Values that hold for one session alone (pg_settings.source) say nothing of the server.
const SESSION: [&str; 6] = ["client", "session", "user", "database", "database user", "interactive"];
/// Told by the server with its text, kept only as set or not.
const PRESENCE: [&str; 2] = ["archive_command", "archive_library"];

/// `pg_settings` of a declared cluster.
pub fn postgresql(host: &Host, access: &DatabaseAccess, subject: &str, settings: Vec<&mut DatabaseSetting>, gaps: &mut Gaps) {
    let mut gap = |id: &str, detail: String| {
        let detail = format!("{}: {detail}", access.socket);
        gaps.note(DatabaseServers::NAME, "settings.running", subject, id, detail, POSTGRESQL_REMEDY);
    };
    let socket = match LocalSocket::connect(host, &access.socket, TALK_TIME) {
        Ok(socket) => socket,
        Err(e) => return gap(reason::UNREACHABLE, e.to_string()),
    };
    let names: Vec<String> = settings.iter().map(|s| format!("'{}'", s.name)).collect();
    let presence: Vec<String> = PRESENCE.map(|n| format!("'{n}'")).to_vec();
    // The text of a command stays in the server.
    let question = format!(
        "SELECT name, CASE WHEN name IN ({}) AND setting NOT IN ('', '(disabled)') THEN 'set' WHEN name IN ({}) THEN '' ELSE setting END, source, pending_restart \
         FROM pg_catalog.pg_settings WHERE name IN ({})",
        presence.join(", "),
        presence.join(", "),
        names.join(", ")
    );
    let rows = match pg::Client::sign_in(socket, &access.user, "postgres").and_then(|mut client| client.query(&question)) {
        Ok(rows) => rows,
        Err(refused) => {
            let (id, detail) = read_postgresql::told(&refused);
            return gap(id, detail);
        }
    };
    let text = |row: &pg::Row, column: usize| row.get(column).cloned().flatten().unwrap_or_default();
    let told: BTreeMap<String, &pg::Row> = rows.iter().filter(|r| !SESSION.contains(&text(r, 2).as_str())).map(|r| (text(r, 0), r)).collect();
    for setting in settings {
        let Some(row) = told.get(&setting.name) else { continue };
        // With archive_mode off the server does not tell the command at all.
        if PRESENCE.contains(&setting.name.as_str()) && text(row, 1).is_empty() {
            continue;
        }
        setting.running = Some(text(row, 1));
        setting.pending_restart = text(row, 3) == "t";
    }
}

/// `SHOW GLOBAL VARIABLES` of a declared MariaDB or MySQL server.
pub fn mariadb(host: &Host, access: &DatabaseAccess, subject: &str, settings: Vec<&mut DatabaseSetting>, gaps: &mut Gaps) {
    let mut gap = |id: &str, detail: String| {
        let detail = format!("{}: {detail}", access.socket);
        gaps.note(DatabaseServers::NAME, "settings.running", subject, id, detail, MARIADB_REMEDY);
    };
    let socket = match LocalSocket::connect(host, &access.socket, TALK_TIME) {
        Ok(socket) => socket,
        Err(e) => return gap(reason::UNREACHABLE, e.to_string()),
    };
    let names: Vec<String> = settings.iter().map(|s| format!("'{}'", s.name)).collect();
    let question = format!("SHOW GLOBAL VARIABLES WHERE Variable_name IN ({})", names.join(", "));
    let rows = match my::Client::sign_in(socket, &access.user).and_then(|mut client| client.query(&question)) {
        Ok(rows) => rows,
        Err(refused) => {
            let (id, detail) = read_mariadb::told(&refused, "global variables");
            return gap(id, detail);
        }
    };
    let text = |row: &my::Row, column: usize| row.get(column).cloned().flatten().unwrap_or_default();
    let told: BTreeMap<String, String> = rows.iter().map(|r| (text(r, 0).to_ascii_lowercase(), text(r, 1))).collect();
    // Servers show the default in ways of their own.
    for setting in settings.into_iter().filter(|s| s.written || s.name != "bind_address") {
        setting.running = told.get(&setting.name).and_then(|value| super::mysql_values::shown(&setting.name, value));
    }
}
