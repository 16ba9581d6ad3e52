//! Snapshots that are folders or files: snapper (`N/info.xml`), timeshift (`NAME/info.json`), names with dates, restic, ZFS.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::Taken;
use crate::facts::backups::{named, restic};
use crate::host::{CONFIG_LIMIT, FileKind, Host, ReadError};
use crate::model::gap::reason;

/// Reason of a gap, what happened, remedy.
pub(super) type Untold = (&'static str, String, &'static str);

const REMEDY: &str = "Correct snapshots in the agent's configuration.";

/// Where, and what was found.
pub(super) fn look(host: &Host, path: &str, zone: &TimeZone) -> (String, Result<Vec<Taken>, Untold>) {
    let path = path.trim_end_matches('/');
    if restic::is_one(host, path) {
        let place = format!("{path}/snapshots");
        let files = restic::files(host, &place).map_err(|e| untold(&e));
        let taken = |kept: restic::Kept| Taken { name: kept.name.get(..8).unwrap_or_default().to_string(), at: Some(kept.modified), from: "change" };
        return (place, files.map(|files| files.into_iter().map(taken).collect()));
    }
    (path.to_string(), folder(host, path, zone))
}

fn folder(host: &Host, path: &str, zone: &TimeZone) -> Result<Vec<Taken>, Untold> {
    let entries = match host.list(path) {
        Ok(entries) => entries,
        // Nothing is there: no snapshot is.
        Err(e) if e.is_not_found() => return Ok(Vec::new()),
        Err(e) => return Err(untold(&e)),
    };
    let mut out = Vec::new();
    for entry in entries.into_iter().filter(|e| !e.name.starts_with('.')) {
        let own = format!("{path}/{}", entry.name);
        let told = match entry.kind {
            FileKind::Folder => match tool(host, &own, &entry.name) {
                Some(at) => Some(Taken { name: entry.name.clone(), at: Some(at), from: "metadata" }),
                None if is_empty(host, &own) || is_rest(host, &own, &entry.name) => None,
                None => by_name(&entry.name, zone),
            },
            FileKind::File if host.stat(&own).is_ok_and(|s| s.size > 0) => by_name(&entry.name, zone).filter(|t| t.at.is_some()),
            _ => None,
        };
        out.extend(told);
    }
    Ok(out)
}

/// What snapper or timeshift wrote beside a snapshot that is there.
fn tool(host: &Host, folder: &str, name: &str) -> Option<i64> {
    if name.bytes().all(|b| b.is_ascii_digit()) && !is_empty(host, &format!("{folder}/snapshot")) {
        let text = host.read_text(&format!("{folder}/info.xml"), CONFIG_LIMIT).ok()?;
        // snapper writes UTC.
        let date = text.split_once("<date>")?.1.split_once("</date>")?.0.trim();
        return date.parse::<DateTime>().ok()?.to_zoned(TimeZone::UTC).ok().map(|z| z.timestamp().as_second());
    }
    let text = host.read_text(&format!("{folder}/info.json"), CONFIG_LIMIT).ok()?;
    let value: serde_json::Value = serde_json::from_str(&text).ok()?;
    value.get("created")?.as_str()?.parse().ok()
}

/// What snapper leaves of a snapshot that was deleted.
fn is_rest(host: &Host, folder: &str, name: &str) -> bool {
    let numbered = name.bytes().all(|b| b.is_ascii_digit());
    numbered && host.exists(&format!("{folder}/info.xml")).unwrap_or(false) && is_empty(host, &format!("{folder}/snapshot"))
}

fn by_name(name: &str, zone: &TimeZone) -> Option<Taken> {
    let at = named::in_name(name, zone).map(|n| n.at);
    Some(Taken { name: name.to_string(), at, from: if at.is_some() { "name" } else { "" } })
}

fn is_empty(host: &Host, path: &str) -> bool {
    host.list(path).map_or_else(|e| e.is_not_found(), |entries| entries.is_empty())
}

/// The folder in which ZFS shows snapshots; looking into one would mount it, so their names alone are read.
pub(super) fn zfs(host: &Host, path: &str, zone: &TimeZone) -> (String, Result<Vec<Taken>, Untold>) {
    let place = format!("{}/.zfs/snapshot", path.trim_end_matches('/'));
    let found = match host.list(&place) {
        Ok(entries) => Ok(entries.iter().filter(|e| e.kind == FileKind::Folder).filter_map(|e| by_name(&e.name, zone)).collect()),
        Err(e) if e.is_not_found() => Err((reason::MISSING, format!("{place} is not there: {path} is no mounted dataset of ZFS"), REMEDY)),
        Err(e) => Err(untold(&e)),
    };
    (place, found)
}

fn untold(error: &ReadError) -> Untold {
    let gap = error.to_gap("", "", "");
    let id = match gap.reason.as_str() {
        reason::PERMISSION_DENIED => reason::PERMISSION_DENIED,
        reason::LIMIT_REACHED => reason::LIMIT_REACHED,
        _ => reason::READ_FAILED,
    };
    (id, error.to_string(), "Run the scan as root, or correct snapshots in the agent's configuration.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::testing::rooted;

    #[test]
    fn tools_names_and_what_is_none() {
        let (_root, host) = rooted(&[
            ("/s/1/info.xml", "<?xml version=\"1.0\"?>\n<snapshot>\n  <date>2026-11-27 02:00:01</date>\n</snapshot>\n"),
            ("/s/1/snapshot/etc/x", ""),
            // Its subvolume is gone.
            ("/s/2/info.xml", "<date>2026-11-28 02:00:01</date>"),
            ("/s/t/info.json", "{\"created\" : \"1795744801\", \"tags\": \"daily\"}"),
            ("/s/2026-11-27_02-00-01/x", ""),
            ("/s/db.2026-11-27.img", "x"),
            ("/s/empty-2026-11-30.img", ""),
            ("/s/notes.txt", "x"),
            ("/s/manual/x", ""),
        ]);
        let found = folder(&host, "/s", &TimeZone::UTC).unwrap();
        let shown: Vec<(&str, Option<i64>, &str)> = found.iter().map(|t| (t.name.as_str(), t.at, t.from)).collect();
        assert_eq!(
            shown,
            [
                ("1", Some(1_795_744_801), "metadata"),
                ("2026-11-27_02-00-01", Some(1_795_744_801), "name"),
                ("db.2026-11-27.img", Some(1_795_737_600), "name"),
                ("manual", None, ""),
                ("t", Some(1_795_744_801), "metadata"),
            ]
        );
        assert_eq!(folder(&host, "/none", &TimeZone::UTC), Ok(Vec::new()));
        assert!(zfs(&host, "/s", &TimeZone::UTC).1.is_err());
    }
}
