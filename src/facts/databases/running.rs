//! Which database servers wait on local sockets, by the kernel's table (proc_net(5), unix).

use super::{Databases, MARIADB_REMEDY, POSTGRESQL_REMEDY, instance};
use crate::facts::Document as _;
use crate::host::Host;
use crate::model::gap::{Gaps, reason};

const TABLE: &str = "/proc/net/unix";
/// Largest table, bytes: 200,000 sockets.
const TABLE_LIMIT: usize = 32 << 20;
/// `__SO_ACCEPTCON` (include/linux/net.h): somebody waits for connections.
const ACCEPTS: u64 = 0x1_0000;
/// Names of MariaDB's and MySQL's sockets as packages set them.
const MARIADB_NAMES: [&str; 3] = ["mysqld.sock", "mysql.sock", "mariadb.sock"];

pub(super) fn note_undeclared(host: &Host, gaps: &mut Gaps) {
    let table = match host.read_text(TABLE, TABLE_LIMIT) {
        Ok(table) => table,
        Err(e) => {
            for path in ["roles", "access"] {
                let mut gap = e.to_gap(Databases::NAME, path, "databases that are not declared");
                gap.remedy.clear();
                gaps.add(gap);
            }
            return;
        }
    };
    let declared: Vec<String> = host.declared().databases.iter().map(|d| below_run(&d.socket)).collect();
    for (engine, socket) in sockets(&table) {
        if declared.contains(&below_run(socket)) {
            continue;
        }
        let subject = format!("{engine} {}", instance(socket));
        let detail = format!("{socket}: {engine} runs and access to it is not declared");
        let remedy = if engine == "postgresql" { POSTGRESQL_REMEDY } else { MARIADB_REMEDY };
        gaps.note(Databases::NAME, "roles", &subject, reason::PERMISSION_DENIED, detail.clone(), remedy);
        if engine == "postgresql" {
            gaps.note(Databases::NAME, "access", &subject, reason::PERMISSION_DENIED, detail, remedy);
        }
    }
}

/// Engine and path of each waiting server.
fn sockets(table: &str) -> Vec<(&'static str, &str)> {
    let mut out: Vec<(&'static str, &str)> = Vec::new();
    for line in table.lines().skip(1) {
        let mut words = line.split_ascii_whitespace();
        let flags = words.nth(3).and_then(|w| u64::from_str_radix(w, 16).ok()).unwrap_or(0);
        let Some(path) = words.nth(3).filter(|p| p.starts_with('/') && flags & ACCEPTS != 0) else { continue };
        let name = path.rsplit('/').next().unwrap_or_default();
        let is_port = |port: &str| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
        if name.strip_prefix(".s.PGSQL.").is_some_and(is_port) {
            out.push(("postgresql", path));
        } else if MARIADB_NAMES.contains(&name) {
            out.push(("mariadb", path));
        }
    }
    out.sort_unstable();
    out.dedup();
    out
}

/// `/var/run` is a link to `/run`.
fn below_run(path: &str) -> String {
    path.strip_prefix("/var/run/").map_or_else(|| path.to_string(), |rest| format!("/run/{rest}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_servers_and_nobody_else() {
        let table = "Num       RefCount Protocol Flags    Type St Inode Path\n\
            ffff: 00000002 00000000 00010000 0001 01 24417 /run/postgresql/.s.PGSQL.5432\n\
            ffff: 00000003 00000000 00000000 0001 03 24418 /run/postgresql/.s.PGSQL.5433\n\
            ffff: 00000002 00000000 00010000 0001 01 24419 /run/mysqld/mysqld.sock\n\
            ffff: 00000002 00000000 00010000 0001 01 24420 @abstract/mysqld.sock\n\
            ffff: 00000002 00000000 00010000 0001 01 24421 /tmp/.s.PGSQL.x\n\
            ffff: 00000002 00000000 00010000 0001 01 24422\n\
            broken\n";
        assert_eq!(sockets(table), [("mariadb", "/run/mysqld/mysqld.sock"), ("postgresql", "/run/postgresql/.s.PGSQL.5432")]);
        assert_eq!(below_run("/var/run/mysqld/x"), "/run/mysqld/x");
    }
}
