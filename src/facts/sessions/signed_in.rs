//! Sessions: logind's state files (sd-login), and utmp(5) for what logind does not know.

use super::{Known, Session, Sessions};
use crate::facts::Document as _;
use crate::host::CONFIG_LIMIT;
use crate::model::fact::Source;
use crate::model::gap::{Gaps, reason};

const LOGIND: &str = "/run/systemd/sessions";
const UTMP: [&str; 2] = ["/run/utmp", "/var/run/utmp"];
/// Size of `struct utmp` on x86_64 (utmp(5)).
const RECORD: usize = 384;
/// `USER_PROCESS`.
const USER_PROCESS: i16 = 7;
/// Most bytes of utmp: 10,000 records.
const UTMP_LIMIT: usize = 4 << 20;
/// Most sessions kept.
const SESSION_LIMIT: usize = 2_000;

/// Every session of a person.
pub fn gather(known: &Known<'_>, gaps: &mut Gaps) -> Vec<Session> {
    let mut out = logind(known, gaps);
    for path in UTMP {
        match known.host.read(path, UTMP_LIMIT) {
            Ok(bytes) => match records(&bytes) {
                Some(records) => add(known, path, records, &mut out),
                None => gaps.note(Sessions::NAME, "items", path, reason::MALFORMED, format!("{path}: not an array of {RECORD}-byte records"), ""),
            },
            Err(e) if e.is_not_found() => continue,
            Err(e) => gaps.add(e.to_gap(Sessions::NAME, "items", path)),
        }
        break;
    }
    if out.len() >= SESSION_LIMIT {
        gaps.note(Sessions::NAME, "items", "", reason::LIMIT_REACHED, format!("{SESSION_LIMIT} sessions or more"), "");
    }
    out
}

fn logind(known: &Known<'_>, gaps: &mut Gaps) -> Vec<Session> {
    let entries = match known.host.list(LOGIND) {
        Ok(entries) => entries,
        Err(e) if e.is_not_found() => Vec::new(),
        Err(e) => {
            gaps.add(e.to_gap(Sessions::NAME, "items", LOGIND));
            Vec::new()
        }
    };
    let mut out = Vec::new();
    for entry in entries.into_iter().filter(|e| !e.name.ends_with(".ref") && !e.name.starts_with('.')).take(SESSION_LIMIT) {
        let path = format!("{LOGIND}/{}", entry.name);
        // A session that ended meanwhile has no file any more.
        let Ok(text) = known.host.read_text(&path, CONFIG_LIMIT) else { continue };
        let value = |key: &str| text.lines().find_map(|l| l.strip_prefix(key).and_then(|r| r.strip_prefix('='))).map(clean);
        let class = value("CLASS").unwrap_or_default();
        // Greeters, service managers and cron's background sessions are nobody at work.
        if !class.is_empty() && !class.starts_with("user") {
            continue;
        }
        let uid = value("UID").and_then(|u| u.parse().ok());
        let account = value("USER").or_else(|| uid.map(|u| known.names.user(u))).unwrap_or_default();
        let mut item = known.item("session", &account, uid, Source::whole(path));
        item.tty = value("TTY").or_else(|| value("DISPLAY")).unwrap_or_default();
        item.from = value("REMOTE_HOST").unwrap_or_default();
        item.since = value("REALTIME").and_then(|r| r.parse::<i64>().ok()).map(|micro| micro / 1_000_000);
        item.pids = value("LEADER").and_then(|l| l.parse().ok()).into_iter().collect();
        item.count = item.pids.len() as u64;
        item.programs = value("SERVICE").into_iter().collect();
        item.subject = format!("session {account} {}", if item.tty.is_empty() { &entry.name } else { &item.tty });
        out.push(item);
    }
    out
}

/// One record of a person's session.
#[derive(Debug, PartialEq, Eq)]
struct Record {
    line: usize,
    pid: u32,
    tty: String,
    user: String,
    host: String,
    at: i64,
}

/// `None` when the bytes are no such array.
fn records(bytes: &[u8]) -> Option<Vec<Record>> {
    let mut out = Vec::new();
    for (index, record) in bytes.chunks_exact(RECORD).enumerate() {
        let kind = i16::from_ne_bytes(*record.first_chunk()?);
        // Anything but 0 to 9 is another layout (such as that of 64-bit ARM).
        if !(0..=9).contains(&kind) {
            return None;
        }
        let number = |at: usize| record.get(at..).and_then(|r| r.first_chunk()).map(|b| u32::from_ne_bytes(*b));
        let text = |at: usize, length: usize| {
            let field = record.get(at..at + length).unwrap_or_default().split(|b| *b == 0).next().unwrap_or_default();
            clean(&String::from_utf8_lossy(field))
        };
        let user = text(44, 32);
        if kind == USER_PROCESS && !user.is_empty() && out.len() < SESSION_LIMIT {
            out.push(Record { line: index + 1, pid: number(4)?, tty: text(8, 32), user, host: text(76, 256), at: i64::from(number(340)?) });
        }
    }
    Some(out)
}

fn add(known: &Known<'_>, path: &str, records: Vec<Record>, out: &mut Vec<Session>) {
    for record in records {
        if let Some(same) = out.iter_mut().find(|s| s.account == record.user && s.tty == record.tty) {
            if same.from.is_empty() {
                same.from = record.host;
            }
            continue;
        }
        // A record whose process is gone was left behind when the machine or program went down.
        if !known.host.exists(&format!("/proc/{}", record.pid)).unwrap_or(true) {
            continue;
        }
        let uid = known.names.account(&record.user).map(|a| a.uid);
        let mut item = known.item("session", &record.user, uid, Source::line(path, record.line, "USER_PROCESS"));
        item.subject = format!("session {} {}", record.user, record.tty);
        item.since = Some(record.at);
        (item.tty, item.from) = (record.tty, record.host);
        (item.pids, item.count) = (vec![record.pid], 1);
        out.push(item);
    }
}

fn clean(text: &str) -> String {
    const LONGEST: usize = 256;
    text.chars().filter(|c| !c.is_control()).take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: i16, pid: u32, tty: &str, user: &str, host: &str, at: u32) -> Vec<u8> {
        let mut out = vec![0_u8; RECORD];
        out[..2].copy_from_slice(&kind.to_ne_bytes());
        out[4..8].copy_from_slice(&pid.to_ne_bytes());
        for (start, text) in [(8, tty), (44, user), (76, host)] {
            out[start..start + text.len()].copy_from_slice(text.as_bytes());
        }
        out[340..344].copy_from_slice(&at.to_ne_bytes());
        out
    }

    #[test]
    fn only_records_of_people_count() {
        let bytes =
            [record(2, 0, "~", "reboot", "", 1), record(7, 812, "pts/0", "anna", "192.0.2.7", 1_795_000_000), record(8, 9, "pts/1", "", "", 2)].concat();
        let seen = records(&bytes).unwrap();
        let expected = Record { line: 2, pid: 812, tty: "pts/0".into(), user: "anna".into(), host: "192.0.2.7".into(), at: 1_795_000_000 };
        assert_eq!(seen, [expected]);
        assert_eq!(records(&record(99, 1, "", "x", "", 0)), None);
        for end in [0, 1, 383, 500] {
            assert!(records(&bytes[..end.min(bytes.len())]).is_some());
        }
    }
}
