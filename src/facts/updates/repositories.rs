//! What apt's sources say about trust: signatures, keys, origin.

use super::apt::{Known, Releases};
use super::{GlobalKey, Repository, Updates};
use crate::facts::{Document as _, os};
use crate::host::debian::apt_conf::AptConf;
use crate::host::debian::apt_sources::{self, Sources};
use crate::host::debian::is_read_by_apt;
use crate::host::{FileKind, Host};
use crate::model::fact::Source;
use crate::model::gap::Gaps;

/// Global settings that accept what is not signed.
const ACCEPTING: &[&str] = &[
    "APT::Get::AllowUnauthenticated",
    "Acquire::AllowInsecureRepositories",
    "Acquire::AllowWeakRepositories",
    "Acquire::AllowDowngradeToInsecureRepositories",
];

pub(super) fn describe(host: &Host, conf: &AptConf, sources: &Sources, releases: &Releases) -> Vec<Repository> {
    let distribution = os::distribution(host);
    let mut out: Vec<Repository> = Vec::new();
    for (i, entry) in sources.repositories.iter().enumerate() {
        let release = releases.get(i).and_then(Option::as_ref);
        let origin = release.map(|r| r.release.origin.clone()).unwrap_or_default();
        let weakened_by = weakened_by(conf, entry);
        let unchecked_by = expiry_unchecked_by(conf, entry);
        let shown = format!("{} {}", entry.shown(), entry.suite);
        let repeats = out.iter().any(|r| r.subject == shown);
        out.push(Repository {
            subject: if repeats { format!("{shown} ({}:{} {})", entry.source.place, entry.source.line, entry.components.join(" ")) } else { shown },
            kind: "apt".into(),
            url: entry.without_credentials(),
            suite: entry.suite.clone(),
            components: entry.components.clone(),
            enabled: !entry.options.disabled,
            signed: release.map_or("unknown", |r| if r.signed { "yes" } else { "no" }).into(),
            trusted_without_signature: !weakened_by.is_empty(),
            weakened_by,
            certificate_unchecked_by: certificate_unchecked_by(conf, entry),
            expiry_checked: unchecked_by.is_empty(),
            expiry_unchecked_by: unchecked_by,
            third_party: is_third_party(&distribution.id, entry, &origin),
            origin,
            transport: entry.transport().into(),
            key_files: entry.options.signed_by.clone(),
            source: entry.source.clone(),
        });
    }
    out
}

fn weakened_by(conf: &AptConf, entry: &apt_sources::Repository) -> Vec<String> {
    let options = &entry.options;
    // `trusted=no` outweighs what the global settings accept.
    if options.trusted == Some(false) {
        return Vec::new();
    }
    let own = [
        ("trusted", options.trusted),
        ("allow-insecure", options.allow_insecure),
        ("allow-weak", options.allow_weak),
        ("allow-downgrade-to-insecure", options.allow_downgrade),
    ];
    let mut out: Vec<String> = own.iter().filter(|(_, value)| *value == Some(true)).map(|(name, _)| format!("{name}=yes ({})", place(entry, name))).collect();
    for name in ACCEPTING {
        let overruled = own.iter().any(|(option, value)| *value == Some(false) && name.to_ascii_lowercase().contains(&option.replace('-', "")));
        if let Some(setting) = conf.setting(name).filter(|_| conf.is_on(name, false) && !overruled) {
            out.push(format!("{name} ({}:{})", setting.place, setting.line));
        }
    }
    out
}

/// File and line of an entry's option.
fn place(entry: &apt_sources::Repository, option: &str) -> String {
    format!("{}:{}", entry.source.place, entry.options.line(option).unwrap_or(entry.source.line))
}

fn expiry_unchecked_by(conf: &AptConf, entry: &apt_sources::Repository) -> String {
    const NAME: &str = "Acquire::Check-Valid-Until";
    match (entry.options.check_valid_until, conf.setting(NAME)) {
        (Some(true), _) => String::new(),
        (Some(false), _) => format!("check-valid-until=no ({})", place(entry, "check-valid-until")),
        (None, Some(setting)) if !conf.is_on(NAME, true) => format!("{NAME} ({}:{})", setting.place, setting.line),
        _ => String::new(),
    }
}

/// The setting of one server outweighs the one of all.
fn certificate_unchecked_by(conf: &AptConf, entry: &apt_sources::Repository) -> Vec<String> {
    if !entry.transport().ends_with("https") {
        return Vec::new();
    }
    let site = entry.site();
    let off = |option: &str| {
        let name = [format!("Acquire::https::{site}::{option}"), format!("Acquire::https::{option}")].into_iter().find(|n| conf.setting(n).is_some())?;
        let setting = conf.setting(&name).filter(|_| !conf.is_on(&name, true))?;
        Some(format!("{name} ({}:{})", setting.place, setting.line))
    };
    ["Verify-Peer", "Verify-Host"].into_iter().filter_map(off).collect()
}

/// How a distribution's own archive is known.
struct Archive {
    /// `ID` of os-release(5).
    distribution: &'static str,
    /// `Origin` of its Release files.
    origins: &'static [&'static str],
    /// Servers that carry nothing else.
    servers: &'static [&'static str],
    /// Last part of the path below which mirrors keep it.
    paths: &'static [&'static str],
}

const ARCHIVES: &[Archive] = &[
    Archive {
        distribution: "debian",
        origins: &["Debian", "Debian Backports"],
        servers: &["debian.org"],
        paths: &["debian", "debian-security", "debian-backports", "debian-archive"],
    },
    Archive { distribution: "ubuntu", origins: &["Ubuntu", "UbuntuESM", "UbuntuESMApps"], servers: &["ubuntu.com"], paths: &["ubuntu", "ubuntu-ports"] },
    Archive {
        distribution: "raspbian",
        origins: &["Raspbian", "Raspberry Pi Foundation"],
        servers: &["raspbian.org", "raspberrypi.org", "raspberrypi.com"],
        paths: &["raspbian", "debian"],
    },
    Archive { distribution: "kali", origins: &["Kali"], servers: &["kali.org"], paths: &["kali"] },
];

/// Key files that the distributions ship for their own archives begin so.
const OWN_KEYS: &[&str] =
    &["debian-archive-", "ubuntu-archive-", "ubuntu-keyring-", "ubuntu-pro-", "raspbian-archive-", "raspberrypi-archive-", "kali-archive-"];

/// By what was fetched; before the first fetch by server, key and path.
pub(super) fn is_third_party(distribution: &str, entry: &apt_sources::Repository, origin: &str) -> Option<bool> {
    let archive = ARCHIVES.iter().find(|a| a.distribution == distribution)?;
    if !origin.is_empty() {
        return Some(!archive.origins.contains(&origin));
    }
    let site = entry.site();
    if archive.servers.iter().any(|s| site == *s || site.strip_suffix(s).is_some_and(|rest| rest.ends_with('.'))) {
        return Some(false);
    }
    let keys = &entry.options.signed_by;
    let is_own = |key: &String| OWN_KEYS.iter().any(|own| file_name(key).starts_with(own));
    if !keys.is_empty() {
        return if keys.iter().all(is_own) { Some(false) } else { Some(true) };
    }
    if entry.transport().starts_with("cdrom") || entry.is_mirror_list() {
        return None;
    }
    let shown = entry.shown();
    let looks_like_a_mirror = archive.paths.contains(&file_name(&shown)) && !entry.is_flat();
    if looks_like_a_mirror { None } else { Some(true) }
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Whether the distribution's security repository is among the sources.
pub(super) fn security(host: &Host, gaps: &mut Gaps, sources: &Sources, lists: &[Known]) -> &'static str {
    let suites: Vec<&str> = sources.repositories.iter().filter(|r| !r.options.disabled).map(|r| r.suite.as_str()).collect();
    let named = suites.iter().any(|s| s.ends_with("-security") || s.ends_with("/updates") || s.trim_end_matches('/').ends_with("/security"));
    if named || lists.iter().any(|l| l.list.security) {
        return "configured";
    }
    let distribution = os::distribution(host);
    let unstable = suites.iter().any(|s| ["sid", "unstable"].contains(s));
    match distribution.id.as_str() {
        "debian" if unstable && distribution.version_id.is_empty() => "not_published",
        "debian" if !distribution.version_id.is_empty() => "missing",
        "ubuntu" => "missing",
        other => {
            let detail = if other.is_empty() {
                "no distribution is named by os-release".into()
            } else {
                format!("where {other} publishes security updates is not known")
            };
            gaps.note(Updates::NAME, "security_repository", "", crate::model::gap::reason::UNSUPPORTED, detail, "");
            "unknown"
        }
    }
}

const KEY_FILE: &str = "/etc/apt/trusted.gpg";
const KEY_FOLDER: &str = "/etc/apt/trusted.gpg.d";
/// gpg leaves a keybox of this size without a key in it.
const EMPTY_KEYBOX: u64 = 32;

pub(super) fn global_keys(host: &Host, gaps: &mut Gaps) -> Vec<GlobalKey> {
    let mut paths = vec![KEY_FILE.to_string()];
    match host.list(KEY_FOLDER) {
        Ok(entries) => {
            let read = entries.into_iter().filter(|e| e.kind != FileKind::Folder && is_read_by_apt(&e.name, &["gpg", "asc"]));
            paths.extend(read.map(|e| format!("{KEY_FOLDER}/{}", e.name)));
        }
        Err(e) if e.is_not_found() => {}
        Err(e) => gaps.add(e.to_gap(Updates::NAME, "global_keys", "")),
    }
    let mut out = Vec::new();
    for path in paths {
        match host.stat(&path) {
            Ok(stat) if stat.kind == FileKind::File && stat.size > EMPTY_KEYBOX => {
                let name = file_name(&path).to_string();
                out.push(GlobalKey { distribution: OWN_KEYS.iter().any(|own| name.starts_with(own)), subject: name, source: Source::whole(path) });
            }
            Ok(_) => {}
            Err(e) if e.is_not_found() => {}
            Err(e) => gaps.add(e.to_gap(Updates::NAME, "global_keys", file_name(&path))),
        }
    }
    out
}
