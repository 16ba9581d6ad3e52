//! Backups of mariadb-backup (MariaDB documentation, "Files Created by mariadb-backup"): a folder, or a stream of the same files.

use super::newest::Found;
use super::{Looking, Made};
use crate::host::archive::{self, HEAD, Integrity, recognise};
use crate::host::{CONFIG_LIMIT, Host};

/// Names before and since version 11.
const CHECKPOINTS: [&str; 2] = ["xtrabackup_checkpoints", "mariadb_backup_checkpoints"];
const INFO: [&str; 2] = ["xtrabackup_info", "mariadb_backup_info"];
const BINLOG: [&str; 2] = ["xtrabackup_binlog_info", "mariadb_backup_binlog_info"];

/// What a backup says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Info {
    pub incremental: bool,
    pub from_lsn: u64,
    pub to_lsn: u64,
}

/// Whether a folder is such a backup.
pub(super) fn is_one(host: &Host, folder: &str) -> bool {
    CHECKPOINTS.iter().any(|name| host.exists(&format!("{folder}/{name}")).unwrap_or(false))
}

/// Tells full backups from incremental ones by what they say.
pub(super) fn tell_varieties(host: &Host, made: &mut [Made]) {
    for one in made.iter_mut().filter(|m| m.folder) {
        if let Some(info) = info(host, &one.path) {
            one.run.variety = if info.incremental { "differential" } else { "full" }.into();
            one.run.format = "mariadb-backup".into();
            one.run.encrypted = "no".into();
        }
    }
}

fn first(host: &Host, folder: &str, names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| host.read_text(&format!("{folder}/{name}"), CONFIG_LIMIT).ok())
}

fn info(host: &Host, folder: &str) -> Option<Info> {
    parse(&first(host, folder, &CHECKPOINTS)?)
}

fn parse(text: &str) -> Option<Info> {
    let value = |key: &str| text.lines().filter_map(|l| l.split_once('=')).find(|(k, _)| k.trim() == key).map(|(_, v)| v.trim());
    let number = |key: &str| value(key).and_then(|v| v.parse().ok());
    Some(Info { incremental: value("backup_type")? == "incremental", from_lsn: number("from_lsn")?, to_lsn: number("to_lsn")? })
}

/// A folder: complete by the files that are written last, and built on a backup that is there.
pub(super) fn check(looking: &mut Looking<'_>, newest: &Made, made: &[Made]) -> Found {
    let found = |integrity, why: String| Found { integrity, why, format: "mariadb-backup".into() };
    let host = looking.host;
    let Some(own) = info(host, &newest.path) else { return found(Integrity::Damaged, "its checkpoints are damaged".into()) };
    if first(host, &newest.path, &INFO).is_none() {
        return found(Integrity::Damaged, "it did not come to its end: the file that is written last is missing".into());
    }
    if !own.incremental && !host.exists(&format!("{}/ibdata1", newest.path)).unwrap_or(true) {
        return found(Integrity::Damaged, "ibdata1 is missing".into());
    }
    if own.incremental && !made.iter().filter(|m| m.path != newest.path).any(|m| info(host, &m.path).is_some_and(|i| i.to_lsn == own.from_lsn)) {
        return found(Integrity::Damaged, format!("the backup up to LSN {} that it builds on is not there", own.from_lsn));
    }
    found(Integrity::Structure, "the files that it writes last are there; its pages were not read".into())
}

/// The binary log, and its number, that goes on where a backup ends.
pub(super) fn binlog(looking: &mut Looking<'_>, made: &Made) -> Option<(String, u64)> {
    let text = if made.folder {
        first(looking.host, &made.path, &BINLOG)?
    } else {
        let format = recognise(&looking.host.read_head(&made.main, HEAD).ok()?);
        let checked = archive::check(looking.host, &made.main, made.main_bytes, format, &mut looking.budget).ok()?;
        let (_, bytes) = checked.told.kept.into_iter().find(|(name, _)| BINLOG.contains(&name.as_str()))?;
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let file = text.split_whitespace().next()?.rsplit('/').next()?.to_string();
    let (base, number) = file.rsplit_once('.')?;
    Some((base.to_string(), number.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checkpoints() {
        let text = "backup_type = full-prepared\nfrom_lsn = 0\nto_lsn = 46333\nlast_lsn = 46349\n";
        assert_eq!(parse(text), Some(Info { incremental: false, from_lsn: 0, to_lsn: 46_333 }));
        assert!(parse(&text.replace("full-prepared", "incremental")).unwrap().incremental);
        assert_eq!((parse("backup_type = x\n"), parse("\u{0}=\n")), (None, None));
    }
}
