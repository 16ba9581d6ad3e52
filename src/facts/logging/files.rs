//! Files of records that matter: whether they are written, who may read them, how long they are kept.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Logging;
use super::logrotate::Kept;
use crate::facts::Document as _;
use crate::facts::jobs::names::Names;
use crate::host::{FileKind, Host};
use crate::model::fact::Source;
use crate::model::gap::Gaps;

/// Role, paths.
const KNOWN: [(&str, &[&str]); 5] = [
    ("authentication", &["/var/log/auth.log", "/var/log/secure"]),
    ("system", &["/var/log/syslog", "/var/log/messages"]),
    ("logins", &["/var/log/wtmp", "/var/log/lastlog"]),
    ("failed-logins", &["/var/log/btmp"]),
    ("sudo", &["/var/log/sudo.log"]),
];

/// One file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LogFile {
    /// Its path.
    pub subject: String,
    /// `authentication`, `system`, `audit`, `logins`, `failed-logins` or `sudo`.
    pub role: String,
    /// Owner; the number when no account has it.
    pub owner: String,
    /// Permission bits.
    pub mode: u32,
    /// Whether everybody may read it.
    pub world_readable: bool,
    /// Whether everybody may write it.
    pub world_writable: bool,
    /// Last change, Unix seconds.
    #[schemars(extend("x-volatile" = true))]
    pub newest_at: i64,
    /// Whether anything rotates it: without rotation nothing is ever removed.
    pub rotated: bool,
    /// Days that a line is kept at least by the way it is rotated; `null`: without an end, or by size (see `by_size`).
    pub kept_days: Option<i64>,
    /// Whether size decides when it is rotated, so that only the pieces that are there tell how long a line is kept.
    pub by_size: bool,
    /// Whether as many pieces are there as are kept, so that older ones were removed.
    #[schemars(extend("x-volatile" = true))]
    pub discarded: bool,
    /// Last change of the oldest piece, Unix seconds; `null` without pieces.
    #[schemars(extend("x-volatile" = true))]
    pub oldest_at: Option<i64>,
    /// Where its rotation is set; the file itself when nothing rotates it.
    pub source: Source,
}

/// How auditd keeps its own file.
pub(super) struct AuditLog {
    pub path: String,
    pub rotated: bool,
    /// Pieces kept beside the file; negative: all.
    pub pieces: i64,
    pub source: Source,
}

/// By subject.
pub(super) fn read(host: &Host, names: &Names, kept: &[Kept], audit: Option<&AuditLog>, gaps: &mut Gaps) -> Vec<LogFile> {
    let mut out = Vec::new();
    let known = KNOWN.iter().flat_map(|(role, paths)| paths.iter().map(|p| (*role, (*p).to_string())));
    for (role, path) in known.chain(audit.map(|a| ("audit", a.path.clone()))) {
        let stat = match host.stat(&path) {
            Ok(stat) if stat.kind == FileKind::File => stat,
            Ok(_) => continue,
            Err(e) if e.is_not_found() => continue,
            Err(e) => {
                gaps.add(e.to_gap(Logging::NAME, "files", &path));
                continue;
            }
        };
        let mut file = LogFile {
            subject: path.clone(),
            role: role.into(),
            owner: names.user(stat.uid),
            mode: stat.mode,
            world_readable: stat.mode & 0o004 != 0,
            world_writable: stat.mode & 0o002 != 0,
            newest_at: stat.modified,
            source: Source::whole(&path),
            ..LogFile::default()
        };
        let (mut folder, mut pieces) = (String::new(), -1);
        if let Some(rule) = kept.iter().find(|k| k.is_for(&path)) {
            (file.rotated, file.source, pieces) = (true, rule.source.clone(), rule.pieces);
            folder.clone_from(&rule.folder);
            match rule.days() {
                Ok(days) => file.kept_days = days,
                Err(()) => file.by_size = true,
            }
        } else if let Some(own) = audit.filter(|a| a.path == path && a.rotated) {
            (file.rotated, file.by_size, file.source, pieces) = (true, own.pieces >= 0, own.source.clone(), own.pieces);
        }
        pieces_of(host, &path, &folder, pieces, &mut file, gaps);
        out.push(file);
    }
    out.sort_by(|a, b| a.subject.cmp(&b.subject));
    out
}

/// `auth.log.1`, `auth.log.2.gz`, `secure-20261101`.
fn pieces_of(host: &Host, path: &str, folder: &str, limit: i64, file: &mut LogFile, gaps: &mut Gaps) {
    let (beside, name) = path.rsplit_once('/').unwrap_or(("", path));
    let folder = match folder {
        "" => beside.to_string(),
        absolute if absolute.starts_with('/') => absolute.to_string(),
        relative => format!("{beside}/{relative}"),
    };
    let entries = match host.list(&folder) {
        Ok(entries) => entries,
        Err(e) if e.is_not_found() => return,
        Err(e) => return gaps.add(e.to_gap(Logging::NAME, "files.discarded", path)),
    };
    let mut count = 0;
    for entry in entries.iter().filter(|e| e.kind == FileKind::File && is_piece(&e.name, name)) {
        // It may be rotated away just now.
        let Ok(stat) = host.stat(&format!("{folder}/{}", entry.name)) else { continue };
        count += 1;
        file.oldest_at = Some(file.oldest_at.map_or(stat.modified, |oldest| oldest.min(stat.modified)));
    }
    file.discarded = limit >= 0 && count >= limit;
}

fn is_piece(entry: &str, name: &str) -> bool {
    let Some(rest) = entry.strip_prefix(name).and_then(|r| r.strip_prefix(['.', '-'])) else { return false };
    rest.starts_with(|c: char| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::logging::logrotate;
    use crate::host::testing::rooted;

    #[test]
    fn pieces_and_rights() {
        let (root, host) = rooted(&[
            ("etc/logrotate.conf", "/var/log/auth.log { weekly\nrotate 2 }\n/var/log/syslog { size 1M\nrotate 3 }\n"),
            ("var/log/auth.log", ""),
            ("var/log/auth.log.1", ""),
            ("var/log/auth.log.2.gz", ""),
            ("var/log/auth.logs.3", ""),
            ("var/log/syslog", ""),
            ("var/log/syslog-20261101", ""),
            ("var/log/wtmp", ""),
            ("var/log/audit/audit.log", ""),
        ]);
        let mode = |path: &str, mode: u32| {
            use std::os::unix::fs::PermissionsExt as _;
            std::fs::set_permissions(root.path().join(path), std::fs::Permissions::from_mode(mode)).unwrap();
        };
        mode("var/log/auth.log", 0o640);
        mode("var/log/syslog", 0o666);
        let mut gaps = Gaps::new();
        let kept = logrotate::read(&host, &mut gaps);
        let audit = AuditLog { path: "/var/log/audit/audit.log".into(), rotated: true, pieces: 4, source: Source::whole("/etc/audit/auditd.conf") };
        let found = read(&host, &Names::default(), &kept, Some(&audit), &mut gaps);
        let of = |path: &str| found.iter().find(|f| f.subject == path).unwrap();
        let auth = of("/var/log/auth.log");
        assert_eq!((auth.kept_days, auth.discarded, auth.world_readable, auth.world_writable), (Some(14), true, false, false));
        assert!(auth.oldest_at.is_some());
        let syslog = of("/var/log/syslog");
        assert_eq!((syslog.by_size, syslog.discarded, syslog.world_writable), (true, false, true));
        assert!(!of("/var/log/wtmp").rotated && of("/var/log/audit/audit.log").by_size);
        assert_eq!(found.len(), 4);
    }
}
