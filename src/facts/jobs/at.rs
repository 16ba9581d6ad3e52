//! Jobs of at(1): one file each, whose name holds the time and whose head the account.

use super::gathering::Gathering;
use super::shell;
use super::started::{self, Context};
use crate::host::FileKind;
use crate::model::fact::Source;
use crate::model::gap::reason;

/// Spools of Debian and of Red Hat.
const SPOOLS: [&str; 2] = ["/var/spool/cron/atjobs", "/var/spool/at"];
/// Most jobs read.
const LIMIT: usize = 10_000;

/// Reads every queued job.
pub fn gather(gathering: &mut Gathering<'_>) {
    for spool in SPOOLS {
        gathering.place(spool, "spool", "root");
        for (name, kind) in gathering.list(spool).into_iter().take(LIMIT) {
            if kind == FileKind::File
                && let Some((queue, due_at)) = name_of_job(&name)
            {
                job(gathering, &format!("{spool}/{name}"), queue, due_at);
            }
        }
    }
}

/// Queue and due time: a letter (`=` while it runs), five hexadecimal digits of the job's number,
/// eight of the minutes since 1970.
fn name_of_job(name: &str) -> Option<(char, i64)> {
    let queue = name.chars().next().filter(|c| c.is_ascii_alphabetic() || *c == '=')?;
    let digits = name.get(1..).filter(|d| d.len() == 13 && d.bytes().all(|b| b.is_ascii_hexdigit()))?;
    let minutes = i64::from_str_radix(digits.get(5..)?, 16).ok()?;
    Some((queue, minutes * 60))
}

/// The user id of the line `# atrun uid=U gid=G`.
fn uid_of_head(text: &str) -> Option<u32> {
    let line = text.lines().take(4).find_map(|l| l.strip_prefix("# atrun uid="))?;
    line.split_whitespace().next()?.parse().ok()
}

fn job(gathering: &mut Gathering<'_>, path: &str, queue: char, due_at: i64) {
    let Some(text) = gathering.text(path, shell::TEXT_LIMIT) else { return };
    let Some(uid) = uid_of_head(&text) else {
        gathering.gap("items", &format!("at {path}"), reason::MALFORMED, format!("{path}: the head names no account"));
        return;
    };
    let account = gathering.names.user(uid);
    let mut job = gathering.job("at", path, &account, Source::line(path, 2, "atrun"));
    job.schedule = if queue.is_ascii_uppercase() || queue == 'b' { "once, when the load is low".into() } else { "once".into() };
    job.due_at = Some(due_at);
    job.ignored = match gathering.host.stat(path) {
        // atd(8) refuses a file that is not of the account its head names.
        Ok(stat) if stat.uid != uid => "owner",
        Ok(stat) if stat.mode & 0o100 == 0 => "not-executable",
        _ => "",
    }
    .into();
    let outcome = started::by_shell(&text, &Context { folder: Some("/".into()), ..Context::default() });
    gathering.keep(job, outcome);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_heads() {
        // As `at now + 1 day` of at 3.2.5 queued it.
        assert_eq!(name_of_job("a0000101c8a348"), Some(('a', 29_926_216 * 60)));
        for other in [".SEQ", "a0000101c8a34", "a0000101c8a34g", "1000010 1c8a348", "spool", "é000101c8a348x"] {
            assert_eq!(name_of_job(other), None, "{other}");
        }
        assert_eq!(uid_of_head("#!/bin/sh\n# atrun uid=1000 gid=1000\n# mail anna 0\n"), Some(1000));
        assert_eq!(uid_of_head("#!/bin/sh\n# atrun uid=-1 gid=0\n"), None);
        assert_eq!(uid_of_head(""), None);
    }
}
