//! journald.conf(5), the heads of journal files, and systemd-journal-upload.
//!
//! ```text
//! LPKSHHRH, flags u32 u32, state u8, 7 reserved, file id, machine id, boot id, sequence id (16 each), head u64, …
//! at 168: number of the first entry, at 184 and 192: time of the first and the last entry, microseconds (u64 little endian)
//! ```

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Forward, Logging};
use crate::facts::Document as _;
use crate::facts::jobs::unit_file::{self, Setting};
use crate::facts::monitoring::observed::Observer;
use crate::facts::monitoring::texts::{Told, bytes, span_seconds};
use crate::host::Host;
use crate::model::fact::Source;
use crate::model::gap::{Gaps, reason};

const PERSISTENT: &str = "/var/log/journal";
const VOLATILE: &str = "/run/log/journal";
/// Bytes of a journal file's head that are looked at.
const HEAD: usize = 208;
/// Most files looked at.
const FILE_LIMIT: usize = 8_192;

/// The journal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Journal {
    /// `persistent`, `volatile`, `auto` or `none`.
    pub storage: String,
    /// Whether it outlives a restart of the machine: `persistent`, or `auto` where `/var/log/journal` exists.
    pub persistent: bool,
    /// Whether it is kept at all (not `none`).
    pub kept: bool,
    /// `SystemMaxUse` (of a volatile journal `RuntimeMaxUse`), bytes; `null`: a tenth of the file system, at most 4 GiB.
    pub maximum_bytes: Option<u64>,
    /// `MaxRetentionSec`: entries that are older go, whatever the room; `null`: none go by age.
    pub maximum_days: Option<i64>,
    /// `ForwardToSyslog`; `null` when it is left to the default of the build.
    pub forwards_to_syslog: Option<bool>,
    /// `Seal`: whether entries are sealed where a sealing key was made.
    pub seals: bool,
    /// Time of the oldest entry, Unix seconds.
    #[schemars(extend("x-volatile" = true))]
    pub oldest_at: Option<i64>,
    /// Time of the newest entry, Unix seconds.
    #[schemars(extend("x-volatile" = true))]
    pub newest_at: Option<i64>,
    /// Whether older entries were removed: the oldest that is there is not the first ever written; `null` without entries.
    #[schemars(extend("x-volatile" = true))]
    pub discarded: Option<bool>,
    /// Line that decides the storage, or the main file.
    pub source: Source,
}

pub(super) fn read(host: &Host, gaps: &mut Gaps) -> Journal {
    let mut told = Told { family: Logging::NAME, path: "journal", subject: String::new(), gaps };
    let (settings, main) = told.systemd(host, "journald.conf");
    let last = |key: &str| unit_file::last(&settings, "Journal", key);
    let storage = last("Storage").filter(|s| ["persistent", "volatile", "auto", "none"].contains(&s.value.as_str()));
    let word = storage.map_or("auto", |s| s.value.as_str());
    let exists = host.exists(PERSISTENT).unwrap_or(false);
    let persistent = word == "persistent" || word == "auto" && exists;
    let mut span = |key: &str| {
        let setting = last(key)?;
        let seconds = span_seconds(&setting.value);
        if seconds.is_none() {
            told.gap(reason::MALFORMED, format!("{}:{}: {key} is no time span", setting.place, setting.line));
        }
        seconds.filter(|s| *s > 0 && *s < i64::MAX).map(|s| s / 86_400)
    };
    let maximum_days = span("MaxRetentionSec");
    let limit = if persistent { "SystemMaxUse" } else { "RuntimeMaxUse" };
    let mut out = Journal {
        storage: word.into(),
        persistent,
        kept: word != "none",
        maximum_bytes: last(limit).and_then(|s| bytes(&s.value)),
        maximum_days,
        forwards_to_syslog: last("ForwardToSyslog").map(|s| unit_file::is_yes(&s.value)),
        seals: last("Seal").is_none_or(|s| unit_file::is_yes(&s.value)),
        source: storage.map_or_else(|| Source::whole(if main.is_empty() { "/etc/systemd/journald.conf" } else { &main }), at),
        ..Journal::default()
    };
    if out.kept {
        told.path = "journal.oldest_at";
        entries(host, if persistent { PERSISTENT } else { VOLATILE }, &mut out, &mut told);
    }
    out
}

fn at(setting: &Setting) -> Source {
    Source::line(&setting.place, setting.line, &setting.key)
}

/// First and last entry over the machine's files.
fn entries(host: &Host, folder: &str, out: &mut Journal, told: &mut Told<'_>) {
    let id = host.read_text("/etc/machine-id", 256).unwrap_or_default();
    let folder = format!("{folder}/{}", id.trim());
    let files = match host.list(&folder) {
        Ok(files) => files,
        Err(e) if e.is_not_found() => return,
        Err(e) => return told.error(&e),
    };
    let mut first: Option<Head> = None;
    for (index, entry) in files.iter().filter(|e| e.name.ends_with(".journal") || e.name.ends_with(".journal~")).enumerate() {
        if index == FILE_LIMIT {
            return told.gap(reason::LIMIT_REACHED, format!("{folder}: more than {FILE_LIMIT} files"));
        }
        let path = format!("{folder}/{}", entry.name);
        let bytes = match host.read_head(&path, HEAD) {
            Ok(bytes) => bytes,
            Err(e) if e.is_not_found() => continue,
            Err(e) => {
                told.error(&e);
                continue;
            }
        };
        match head(&bytes) {
            // A file without entries.
            Some(head) if head.first_at == 0 => {}
            Some(head) => {
                out.newest_at = out.newest_at.max(Some(head.last_at));
                if first.as_ref().is_none_or(|f| head.first_at < f.first_at) {
                    first = Some(head);
                }
            }
            None => told.gap(reason::MALFORMED, format!("{path}: not a journal file")),
        }
    }
    out.oldest_at = first.as_ref().map(|f| f.first_at);
    out.discarded = first.map(|f| f.number > 1);
}

#[derive(Debug, PartialEq, Eq)]
struct Head {
    number: u64,
    first_at: i64,
    last_at: i64,
}

fn head(bytes: &[u8]) -> Option<Head> {
    if !bytes.starts_with(b"LPKSHHRH") {
        return None;
    }
    let number = |at: usize| bytes.get(at..).and_then(|b| b.first_chunk()).map(|b| u64::from_le_bytes(*b));
    let seconds = |at: usize| number(at).map(|micro| i64::try_from(micro / 1_000_000).unwrap_or(i64::MAX));
    Some(Head { number: number(168)?, first_at: seconds(184)?, last_at: seconds(192)? })
}

/// Where systemd-journal-upload sends the journal, when it starts with the machine or runs.
pub(super) fn upload(observer: &Observer<'_>, gaps: &mut Gaps) -> Option<Forward> {
    let unit = observer.unit(&["systemd-journal-upload.service"]);
    if !observer.is_running(&["systemd-journal-upload"]).unwrap_or(unit.enabled) {
        return None;
    }
    let mut told = Told { family: Logging::NAME, path: "forwards", subject: String::new(), gaps };
    let (settings, _) = told.systemd(observer.host, "journal-upload.conf");
    let setting = unit_file::last(&settings, "Upload", "URL")?;
    // Without a scheme https is taken (systemd-journal-upload.service(8)).
    let (scheme, rest) = setting.value.split_once("://").unwrap_or(("https", &setting.value));
    let authority = rest.split('/').next().unwrap_or_default();
    let authority = authority.rsplit('@').next().unwrap_or_default();
    let (target, port) = authority.rsplit_once(':').and_then(|(t, p)| Some((t, p.parse().ok()?))).unwrap_or((authority, 19_532));
    let encrypted = scheme == "https";
    let trusts_all = unit_file::last(&settings, "Upload", "TrustedCertificateFile").is_some_and(|s| s.value == "all");
    let mut out = Forward::plain("journal-upload", "http", target, port, at(setting));
    (out.encrypted, out.authenticated) = (encrypted, encrypted && !trusts_all);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::testing::rooted;

    fn file(number: u64, first: u64, last: u64) -> Vec<u8> {
        let mut out = b"LPKSHHRH".to_vec();
        out.resize(HEAD, 0);
        for (at, value) in [(168, number), (184, first * 1_000_000), (192, last * 1_000_000)] {
            out[at..at + 8].copy_from_slice(&value.to_le_bytes());
        }
        out
    }

    #[test]
    fn storage_limits_and_entries() {
        let (root, host) = rooted(&[
            ("etc/systemd/journald.conf", "[Journal]\nMaxRetentionSec=1month\nSystemMaxUse=500M\nSeal=no\n#Storage=none\n"),
            ("usr/lib/systemd/journald.conf.d/10-x.conf", "[Journal]\nForwardToSyslog=yes\n"),
            ("etc/machine-id", "abc\n"),
            ("var/log/journal/abc/x", ""),
            ("var/log/journal/other/system.journal", "LPKSHHRH"),
        ]);
        let folder = root.path().join("var/log/journal/abc");
        for (name, bytes) in [("system.journal", file(90, 500, 900)), ("system@1.journal", file(40, 100, 499)), ("user-1.journal", file(0, 0, 0))] {
            std::fs::write(folder.join(name), bytes).unwrap();
        }
        let mut gaps = Gaps::new();
        let found = read(&host, &mut gaps);
        assert_eq!((found.storage.as_str(), found.persistent, found.maximum_bytes, found.maximum_days), ("auto", true, Some(500 << 20), Some(30)));
        assert_eq!((found.forwards_to_syslog, found.seals), (Some(true), false));
        assert_eq!((found.oldest_at, found.newest_at, found.discarded), (Some(100), Some(900), Some(true)));
        assert_eq!(gaps.into_sorted().len(), 0);
        std::fs::write(folder.join("bad.journal"), "short").unwrap();
        let mut gaps = Gaps::new();
        read(&host, &mut gaps);
        assert_eq!(gaps.into_sorted().first().map(|g| g.path.clone()).as_deref(), Some("journal.oldest_at"));
        let whole = file(1, 2, 3);
        for end in 0..HEAD {
            let _ = head(&whole[..end]);
        }
    }

    #[test]
    fn without_a_folder_the_default_forgets() {
        let (_root, host) = rooted(&[("etc/x", "")]);
        assert!(!read(&host, &mut Gaps::new()).persistent);
        let (_root, host) = rooted(&[("etc/systemd/journald.conf", "[Journal]\nStorage=persistent\n")]);
        assert!(read(&host, &mut Gaps::new()).persistent);
        let (_root, host) = rooted(&[("etc/systemd/journald.conf.d/a.conf", "[Journal]\nStorage=none\n")]);
        assert!(!read(&host, &mut Gaps::new()).kept);
    }
}
