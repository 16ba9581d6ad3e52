//! Last logins: lastlog (one record per user id, sparse), the newest tail of wtmp(5).
//!
//! Both are arrays of C structures. On x86_64, as everywhere with `__WORDSIZE_TIME64_COMPAT32`,
//! times are 32 bits; they are read unsigned here, which carries them past 2038 as far as the
//! writers do. Newer systems write SQLite files instead: `login_databases`.

use std::collections::BTreeMap;
use std::io::{Read as _, Seek as _, SeekFrom};

use super::Accounts;
use super::database::PasswdLine;
use super::login_databases;
use crate::facts::Document as _;
use crate::host::sqlite::SqliteError;
use crate::host::{Host, ReadError};
use crate::model::gap::{Gaps, reason};

const LASTLOG: &str = "/var/log/lastlog";
const WTMP: [&str; 2] = ["/var/log/wtmp", "/var/log/wtmp.1"];

/// `struct lastlog`: time (4), line (32), host (256).
const LASTLOG_RECORD: usize = 292;
/// `struct utmp`, utmp(5).
const UTMP_RECORD: usize = 384;
/// `USER_PROCESS` of utmp(5): a login.
const USER_PROCESS: i16 = 7;
/// Newest bytes of wtmp that are read: 20,000 records.
const WTMP_TAIL: u64 = 20_000 * UTMP_RECORD as u64;

/// The newest login of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// Unix seconds.
    pub at: i64,
    /// Host, else terminal.
    pub from: String,
}

/// Logins by account name, and whether a missing one means "never".
pub fn newest(host: &Host, users: &[PasswdLine], gaps: &mut Gaps) -> (BTreeMap<String, Login>, bool) {
    let mut out = BTreeMap::new();
    let complete = match lastlog(host, users, &mut out) {
        Ok(complete) => complete,
        Err(e) => {
            note(gaps, &e);
            false
        }
    };
    for path in WTMP {
        match wtmp(host, path, &mut out) {
            Ok(true) => {}
            Ok(false) => {
                let detail = format!("{path}: not an array of {UTMP_RECORD}-byte login records");
                gaps.note(Accounts::NAME, "users.last_login_at", "", reason::MALFORMED, detail, "");
            }
            Err(e) if e.is_not_found() => {}
            Err(e) => note(gaps, &e),
        }
    }
    // A missing file is a fact; one that can't be read may hold any account's login.
    let mut unread = false;
    let mut failed = |place: &str, e: SqliteError, gaps: &mut Gaps| match e {
        SqliteError::Read(e) if e.is_not_found() => {}
        e => {
            unread = true;
            let id = if matches!(e, SqliteError::Unsupported(..)) { reason::UNSUPPORTED } else { reason::READ_FAILED };
            gaps.note(Accounts::NAME, "users.last_login_at", "", id, format!("{place}: {e}"), "");
        }
    };
    let complete_2 = login_databases::lastlog2(host, &mut out).unwrap_or_else(|e| {
        failed(login_databases::LASTLOG2, e, gaps);
        false
    });
    if let Err(e) = login_databases::wtmpdb(host, &mut out) {
        failed(login_databases::WTMPDB, e, gaps);
    }
    let complete = complete || complete_2;
    if !complete && !unread {
        let detail = format!("{LASTLOG} holds no record: an account without a login in wtmp may still have signed in earlier");
        gaps.note(Accounts::NAME, "users.last_login_at", "", reason::MISSING, detail, "Keep lastlog, so that the last login of every account is known.");
    }
    (out, complete && !unread)
}

fn note(gaps: &mut Gaps, error: &ReadError) {
    gaps.add(error.to_gap(Accounts::NAME, "users.last_login_at", ""));
}

/// Whether lastlog is in use, so that a missing record means "never".
fn lastlog(host: &Host, users: &[PasswdLine], out: &mut BTreeMap<String, Login>) -> Result<bool, ReadError> {
    let mut file = match host.open_file(LASTLOG) {
        Ok(file) => file,
        Err(e) if e.is_not_found() => return Ok(false),
        Err(e) => return Err(e),
    };
    let fail = |e: std::io::Error| ReadError::Io(LASTLOG.into(), e.to_string());
    let size = file.metadata().map_err(fail)?.len();
    for user in users {
        let offset = u64::from(user.uid) * LASTLOG_RECORD as u64;
        if offset + LASTLOG_RECORD as u64 > size {
            continue;
        }
        let mut record = [0_u8; LASTLOG_RECORD];
        file.seek(SeekFrom::Start(offset)).map_err(fail)?;
        file.read_exact(&mut record).map_err(fail)?;
        let at = number(&record, 0);
        if at > 0 {
            let from = first_text(&record, &[(36, 256), (4, 32)]);
            keep(out, user.name.clone(), Login { at, from });
        }
    }
    Ok(size > 0)
}

/// False when the file is no wtmp of 384-byte records.
fn wtmp(host: &Host, path: &str, out: &mut BTreeMap<String, Login>) -> Result<bool, ReadError> {
    let mut file = host.open_file(path)?;
    let fail = |e: std::io::Error| ReadError::Io(path.into(), e.to_string());
    let size = file.metadata().map_err(fail)?.len();
    let record = UTMP_RECORD as u64;
    let whole = size - size % record;
    let start = whole.saturating_sub(WTMP_TAIL);
    file.seek(SeekFrom::Start(start)).map_err(fail)?;
    let mut bytes = Vec::new();
    file.take(whole - start).read_to_end(&mut bytes).map_err(fail)?;
    for record in bytes.chunks_exact(UTMP_RECORD) {
        let kind = i16::from_ne_bytes([byte(record, 0), byte(record, 1)]);
        // ut_type is 0 to 9; anything else is another layout (such as that of 64-bit ARM).
        if !(0..=9).contains(&kind) {
            return Ok(false);
        }
        let name = text(record, 44, 32);
        let at = number(record, 340);
        if kind == USER_PROCESS && !name.is_empty() && at > 0 {
            keep(out, name, Login { at, from: first_text(record, &[(76, 256), (8, 32)]) });
        }
    }
    Ok(true)
}

/// Keeps the newer of two logins.
pub(super) fn keep(out: &mut BTreeMap<String, Login>, name: String, login: Login) {
    match out.get(&name) {
        Some(known) if known.at >= login.at => {}
        _ => {
            out.insert(name, login);
        }
    }
}

fn byte(record: &[u8], at: usize) -> u8 {
    record.get(at).copied().unwrap_or(0)
}

fn number(record: &[u8], at: usize) -> i64 {
    i64::from(u32::from_ne_bytes([byte(record, at), byte(record, at + 1), byte(record, at + 2), byte(record, at + 3)]))
}

fn text(record: &[u8], at: usize, length: usize) -> String {
    let field = record.get(at..at + length).unwrap_or(&[]);
    let field = field.split(|b| *b == 0).next().unwrap_or(&[]);
    String::from_utf8_lossy(field).chars().filter(|c| !c.is_control()).collect()
}

fn first_text(record: &[u8], places: &[(usize, usize)]) -> String {
    places.iter().map(|(at, length)| text(record, *at, *length)).find(|t| !t.is_empty()).unwrap_or_default()
}
