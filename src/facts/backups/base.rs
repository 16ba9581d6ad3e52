//! Base backups of PostgreSQL (manual, "pg_basebackup", "Backup Manifest Format", "backup_label"): in plain form a data
//! folder, in tar form `base.tar` and one archive for each tablespace; beside them a manifest since version 13.

use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::newest::{self, Found};
use super::{Looking, Made};
use crate::host::archive::{HEAD, Integrity, head_inside, recognise};
use crate::host::{FileKind, Host, ReadError};

/// Largest manifest, bytes: about a million files.
const MANIFEST: usize = 128 << 20;
/// Files of a manifest that are looked for.
const FILES: usize = 200_000;
const LABEL: usize = 64 << 10;

/// Where a base backup begins and ends in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Base {
    pub timeline: u32,
    pub start: u64,
    pub end: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct Manifest {
    #[serde(rename = "Files", default)]
    files: Vec<Listed>,
    #[serde(rename = "WAL-Ranges", default)]
    ranges: Vec<Range>,
    #[serde(rename = "Manifest-Checksum")]
    checksum: String,
}

#[derive(Debug, Deserialize)]
struct Listed {
    #[serde(rename = "Path", default)]
    path: String,
    #[serde(rename = "Size")]
    size: u64,
}

#[derive(Debug, Deserialize)]
struct Range {
    #[serde(rename = "Timeline")]
    timeline: u32,
    #[serde(rename = "Start-LSN")]
    start: String,
    #[serde(rename = "End-LSN")]
    end: String,
}

/// Whether a folder is a base backup.
pub(super) fn is_one(host: &Host, folder: &str) -> bool {
    let Ok(entries) = host.list(folder) else { return false };
    let has = |name: &str| entries.iter().any(|e| e.name == name);
    has("backup_manifest") || has("backup_label") || entries.iter().any(|e| e.name.starts_with("base.tar")) || (has("PG_VERSION") && has("global"))
}

/// A data folder that can be read is not encrypted, whatever its largest file looks like.
pub(super) fn tell_plain(host: &Host, made: &mut [Made]) {
    for one in made.iter_mut().filter(|m| m.folder) {
        if host.exists(&format!("{}/PG_VERSION", one.path)).unwrap_or(false) {
            one.run.format = "postgresql-base".into();
            one.run.encrypted = "no".into();
        }
    }
}

/// Where it begins and ends; `None` when nothing readable says so.
pub(super) fn position(host: &Host, folder: &str) -> Option<Base> {
    if let Ok(bytes) = host.read(&format!("{folder}/backup_manifest"), MANIFEST)
        && let Ok(manifest) = serde_json::from_slice::<Manifest>(&bytes)
        && let Some(first) = manifest.ranges.first()
        && let (Some(start), Some(end)) = (lsn(&first.start), manifest.ranges.iter().map(|r| lsn(&r.end)).max().flatten())
    {
        return Some(Base { timeline: first.timeline, start, end: Some(end) });
    }
    let label = host.read_text(&format!("{folder}/backup_label"), LABEL).ok().or_else(|| label_inside(host, folder))?;
    let value = |key: &str| label.lines().find_map(|l| l.strip_prefix(key)).map(str::trim);
    let start = lsn(value("START WAL LOCATION:")?.split_whitespace().next()?)?;
    Some(Base { timeline: value("START TIMELINE:").and_then(|t| t.parse().ok()).unwrap_or(1), start, end: None })
}

/// The label is the first member of the archive.
fn label_inside(host: &Host, folder: &str) -> Option<String> {
    let name = host.list(folder).ok()?.into_iter().find(|e| e.name.starts_with("base.tar"))?.name;
    let path = format!("{folder}/{name}");
    let format = recognise(&host.read_head(&path, HEAD).ok()?);
    let head = head_inside(host, &path, format, 2 * HEAD).ok()?;
    let is_label = head.get(..100)?.split(|b| *b == 0).next()? == b"backup_label";
    is_label.then(|| String::from_utf8_lossy(head.get(512..).unwrap_or_default()).into_owned())
}

/// `0/2000028`.
pub(super) fn lsn(text: &str) -> Option<u64> {
    let (high, low) = text.trim().split_once('/')?;
    Some(u64::from(u32::from_str_radix(high, 16).ok()?) << 32 | u64::from(u32::from_str_radix(low, 16).ok()?))
}

/// Manifest, files and archives.
pub(super) fn check(looking: &mut Looking<'_>, made: &Made) -> Found {
    let damaged = |why: String| Found { integrity: Integrity::Damaged, why, format: "postgresql-base".into() };
    let manifest = match looking.host.read(&format!("{}/backup_manifest", made.path), MANIFEST) {
        Ok(bytes) => match sound(&bytes) {
            Ok(manifest) => Some(manifest),
            Err(why) => return damaged(why),
        },
        Err(e) if e.is_not_found() => None,
        Err(ReadError::TooLarge(..)) => None,
        Err(e) => return Found { integrity: Integrity::Unread, why: e.to_string(), format: "postgresql-base".into() },
    };
    let entries = looking.host.list(&made.path).unwrap_or_default();
    let archives: Vec<String> = entries.iter().filter(|e| e.kind == FileKind::File && e.name.contains(".tar")).map(|e| e.name.clone()).collect();
    if archives.is_empty() {
        return plain(looking.host, &made.path, manifest.as_ref()).map_or_else(damaged, |why| Found {
            integrity: Integrity::Structure,
            why,
            format: "postgresql-base plain".into(),
        });
    }
    if !archives.iter().any(|a| a.starts_with("base.tar")) {
        return damaged("base.tar is missing".into());
    }
    let (mut worst, mut format) = (Integrity::Whole, String::new());
    let mut why = String::new();
    for name in archives {
        let path = format!("{}/{name}", made.path);
        let bytes = looking.host.stat(&path).map_or(0, |s| s.size);
        let part = Made { path: path.clone(), main: path, main_bytes: bytes, ..Made::default() };
        let found = newest::file(looking, &part);
        if found.integrity == Integrity::Damaged {
            return damaged(format!("{name}: {}", found.why));
        }
        if name.starts_with("base.tar") {
            format = format!("postgresql-base {}", found.format);
        }
        // Whatever says least of the parts is said of the whole.
        if rank(found.integrity) > rank(worst) {
            (worst, why) = (found.integrity, found.why);
        }
    }
    Found { integrity: worst, why, format }
}

const fn rank(integrity: Integrity) -> u8 {
    match integrity {
        Integrity::Whole => 0,
        Integrity::Structure => 1,
        Integrity::Sealed => 2,
        Integrity::Silent => 3,
        Integrity::Unread => 4,
        Integrity::Damaged => 5,
    }
}

/// A manifest whose own checksum is right.
fn sound(bytes: &[u8]) -> Result<Manifest, String> {
    const KEY: &[u8] = b"\"Manifest-Checksum\"";
    let cut = || String::from("backup_manifest is damaged or cut short");
    let at = bytes.windows(KEY.len()).rposition(|w| w == KEY).ok_or_else(cut)?;
    let manifest: Manifest = serde_json::from_slice(bytes).map_err(|_| cut())?;
    let sum: String = Sha256::digest(bytes.get(..at).unwrap_or_default()).iter().map(|b| format!("{b:02x}")).collect();
    if sum == manifest.checksum { Ok(manifest) } else { Err("backup_manifest has another checksum than it says".into()) }
}

/// A data folder against its manifest; without one, against what every cluster has. The text says how far it was looked.
fn plain(host: &Host, folder: &str, manifest: Option<&Manifest>) -> Result<String, String> {
    let Some(manifest) = manifest else {
        let needed = ["PG_VERSION", "global/pg_control", "backup_label"];
        return match needed.iter().find(|name| !host.exists(&format!("{folder}/{name}")).unwrap_or(true)) {
            Some(name) => Err(format!("{name} is missing")),
            None => Ok("there is no manifest to compare its files with".into()),
        };
    };
    for listed in manifest.files.iter().filter(|f| !f.path.is_empty() && !f.path.contains("..")).take(FILES) {
        match host.stat(&format!("{folder}/{}", listed.path)) {
            Ok(stat) if stat.size == listed.size => {}
            Ok(stat) => return Err(format!("{} has {} bytes, the manifest says {}", listed.path, stat.size, listed.size)),
            Err(e) if e.is_not_found() => return Err(format!("{} is missing", listed.path)),
            Err(e) => return Ok(e.to_string()),
        }
    }
    Ok(format!("{} files have the size that the manifest says", manifest.files.len().min(FILES)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_and_manifests() {
        assert_eq!((lsn("0/2000028"), lsn("1A/FF"), lsn("x"), lsn("0/100000000")), (Some(0x200_0028), Some(0x1a_0000_00ff), None, None));
        let head = "{ \"PostgreSQL-Backup-Manifest-Version\": 1,\n\"Files\": [\n{ \"Path\": \"PG_VERSION\", \"Size\": 3 }\n],\n\"WAL-Ranges\": [\n\
            { \"Timeline\": 1, \"Start-LSN\": \"0/2000028\", \"End-LSN\": \"0/2000100\" }\n],\n";
        let sum: String = Sha256::digest(head.as_bytes()).iter().map(|b| format!("{b:02x}")).collect();
        let whole = format!("{head}\"Manifest-Checksum\": \"{sum}\"}}\n");
        assert_eq!(sound(whole.as_bytes()).unwrap().files.len(), 1);
        assert!(sound(whole.replace("\"Size\": 3", "\"Size\": 4").as_bytes()).unwrap_err().contains("another checksum"));
        for length in 0..whole.len() - 2 {
            assert!(sound(&whole.as_bytes()[..length]).is_err(), "{length}");
        }
    }
}
