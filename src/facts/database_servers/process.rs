//! Running database servers by their command lines (proc(5)).

use crate::host::{Host, ReadError, processes, sockets};

/// Programs and the engine that they are.
const PROGRAMS: [(&str, &str); 8] = [
    ("postgres", "postgresql"),
    ("postmaster", "postgresql"),
    ("mariadbd", "mysql"),
    ("mysqld", "mysql"),
    ("redis-server", "redis"),
    ("valkey-server", "redis"),
    ("mongod", "mongodb"),
    ("mongos", "mongodb"),
];
/// Most processes looked at.
const PROCESS_LIMIT: usize = 65_536;
/// Longest command line, bytes.
const COMMAND_LIMIT: usize = 1 << 20;
/// Most servers kept.
const SERVER_LIMIT: usize = 1024;

/// One server process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Running {
    /// `postgresql`, `mysql`, `redis` or `mongodb`.
    pub engine: &'static str,
    /// Name of the program.
    pub program: String,
    /// Its command line, the program itself left out. Only parsed, never shown.
    pub arguments: Vec<String>,
    /// First word of the command line: Redis writes its address there.
    pub title: String,
    /// Working folder; empty when it can't be read.
    pub folder: String,
    /// Processes of it that send its log to standbys (PostgreSQL).
    pub senders: usize,
}

/// Servers of this machine; those of containers have file systems of their own and are left out.
pub fn running(host: &Host) -> Result<Vec<Running>, ReadError> {
    if !host.is_live() {
        return Ok(Vec::new());
    }
    let mut out: Vec<Running> = Vec::new();
    let mut parents: Vec<u32> = Vec::new();
    let mut senders: Vec<u32> = Vec::new();
    for pid in processes::ids(host)?.into_iter().take(PROCESS_LIMIT) {
        let name = processes::name(host, pid);
        let Some((program, engine)) = PROGRAMS.iter().find(|(program, _)| *program == name) else { continue };
        // Where that can't be looked at, the server is told: not to tell it would look like none.
        if sockets::shares_root(host, pid).is_ok_and(|shares| !shares) || out.len() == SERVER_LIMIT {
            continue;
        }
        let Ok(line) = host.read(&format!("/proc/{pid}/cmdline"), COMMAND_LIMIT) else { continue };
        let mut words = line.split(|b| *b == 0).map(|w| String::from_utf8_lossy(w).into_owned());
        let title = words.next().unwrap_or_default();
        // Processes that PostgreSQL starts for sessions and upkeep carry a title, `postgres: checkpointer`.
        if title.is_empty() || *engine == "postgresql" && title.contains(": ") {
            if title.contains(" walsender ") || title.contains(" wal sender process ") {
                senders.extend(parent(host, pid));
            }
            continue;
        }
        let mut arguments: Vec<String> = words.collect();
        while arguments.last().is_some_and(String::is_empty) {
            arguments.pop();
        }
        let folder = host.read_link(&format!("/proc/{pid}/cwd")).unwrap_or_default();
        out.push(Running { engine, program: (*program).into(), arguments, title, folder, senders: 0 });
        parents.push(pid);
    }
    for (server, pid) in out.iter_mut().zip(&parents) {
        server.senders = senders.iter().filter(|parent| *parent == pid).count();
    }
    out.sort_by(|a, b| (&a.program, &a.arguments, &a.title).cmp(&(&b.program, &b.arguments, &b.title)));
    out.dedup();
    Ok(out)
}

/// The process that started another (proc_pid_status(5)).
fn parent(host: &Host, pid: u32) -> Option<u32> {
    let text = host.read_text(&format!("/proc/{pid}/status"), COMMAND_LIMIT).ok()?;
    text.lines().find_map(|l| l.strip_prefix("PPid:"))?.trim().parse().ok()
}

/// `--name=value`, `--name value`: the value of the first of these options.
pub fn option<'w>(words: &'w [String], names: &[&str]) -> Option<&'w str> {
    for (i, word) in words.iter().enumerate() {
        for name in names {
            match word.strip_prefix(name) {
                Some("") => return words.get(i + 1).map(String::as_str),
                Some(rest) if rest.starts_with('=') => return rest.get(1..),
                _ => {}
            }
        }
    }
    None
}
