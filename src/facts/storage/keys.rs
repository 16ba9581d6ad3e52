//! Key files of encrypted volumes: who can read them, and whether they lie beside the lock.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::view::View;
use crate::host::block::crypttab::{CRYPTTAB, Key};
use crate::host::{CONFIG_LIMIT, FileKind, Host, Stat};
use crate::model::fact::Source;
use crate::model::gap::Gaps;
use crate::model::pattern;

/// Folder in which systemd looks for a key that crypttab does not name (crypttab(5)).
const KEYS: &str = "/etc/cryptsetup-keys.d";
/// Configuration of Debian's hook that copies key files into the initial RAM disk.
const HOOK: &str = "/etc/cryptsetup-initramfs/conf-hook";

/// One key file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyFile {
    /// Path.
    pub subject: String,
    /// Mappings that it unlocks.
    pub volumes: Vec<String>,
    /// Device that is mounted to read it, as written; empty when it lies in the file system.
    pub device: String,
    /// Whether it is there; the rest says nothing else.
    pub exists: bool,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Permission bits in octal, such as `0600`.
    pub mode: String,
    /// Who besides root can read it, folders above considered: `everyone`, `group N`, `owner N`.
    pub readable_by: Vec<String>,
    /// Whether the file system that holds it is encrypted: `yes`, `no` or `unknown`.
    pub on_encrypted: String,
    /// What decides that.
    pub why: String,
    /// Whether it is copied into the initial RAM disk.
    pub in_initramfs: bool,
    /// Whether the file system of `/boot`, which holds that, is encrypted: `yes`, `no` or `unknown`; empty when it is not copied.
    pub boot_encrypted: String,
    /// The line that names it.
    pub source: Source,
}

/// Every key file that something names, by path.
pub fn gather(view: &View<'_>, gaps: &mut Gaps) -> Vec<KeyFile> {
    if let Some(e) = view.crypttab_error() {
        gaps.add(e.to_gap("storage", "key_files", ""));
        gaps.add(e.to_gap("storage", "crypt", ""));
    }
    let patterns = key_patterns(view.host());
    let items = named(view).into_iter().map(|(path, (device, volumes, source))| describe(view, path, device, volumes, source, &patterns, gaps));
    items.collect()
}

/// Path -> (device, mappings, first place that names it).
type Named = BTreeMap<String, (String, Vec<String>, Source)>;

fn named(view: &View<'_>) -> Named {
    let host = view.host();
    let mut out = Named::new();
    for mapping in view.mappings() {
        let source = Source::line(CRYPTTAB, mapping.line, mapping.name.clone());
        let (path, device) = match mapping.key() {
            Key::File(path, _) if path.starts_with("/dev/") => continue,
            Key::File(path, device) => (path.to_string(), device.to_string()),
            Key::Asked => {
                let path = format!("{KEYS}/{}.key", mapping.name);
                if !host.exists(&path).unwrap_or(false) {
                    continue;
                }
                (path, String::new())
            }
            Key::Random | Key::Script(_) => continue,
        };
        let entry = out.entry(path).or_insert_with(|| (device, Vec::new(), source));
        entry.1.push(mapping.name.clone());
    }
    for entry in host.list(KEYS).unwrap_or_default() {
        if entry.name.ends_with(".key") && entry.kind != FileKind::Folder {
            let path = format!("{KEYS}/{}", entry.name);
            out.entry(path.clone()).or_insert_with(|| (String::new(), Vec::new(), Source::whole(path)));
        }
    }
    for (path, line, word) in boot_keys(host) {
        out.entry(word).or_insert_with(|| (String::new(), Vec::new(), Source::line(path, line, "rd.luks.key")));
    }
    out
}

/// `rd.luks.key=PATH` or `rd.luks.key=UUID=PATH` of dracut and systemd.
fn boot_keys(host: &Host) -> Vec<(String, usize, String)> {
    let files: &[&str] = if host.is_live() { &["/proc/cmdline"] } else { &["/etc/default/grub", "/etc/kernel/cmdline"] };
    let mut out = Vec::new();
    for path in files {
        let text = host.read_text(path, CONFIG_LIMIT).unwrap_or_default();
        for (i, line) in text.lines().enumerate().filter(|(_, l)| !l.trim_start().starts_with('#')) {
            for word in line.split([' ', '\t', '"', '\'']).filter_map(|w| w.strip_prefix("rd.luks.key=")) {
                let key = word.split_once('=').map_or(word, |(_, k)| k);
                let key = key.split(':').next().unwrap_or_default();
                if key.starts_with('/') && !word.contains(":") {
                    out.push(((*path).to_string(), i + 1, key.to_string()));
                }
            }
        }
    }
    out
}

fn describe(view: &View<'_>, path: String, device: String, volumes: Vec<String>, source: Source, patterns: &[String], gaps: &mut Gaps) -> KeyFile {
    let in_initramfs = device.is_empty() && patterns.iter().any(|p| pattern::matches(p, &path));
    let boot_encrypted = if in_initramfs { view.path("/boot").0.judge().0.word() } else { "" };
    let mut key = KeyFile {
        subject: path.clone(),
        volumes,
        device,
        exists: false,
        uid: 0,
        gid: 0,
        mode: String::new(),
        readable_by: Vec::new(),
        on_encrypted: String::new(),
        why: String::new(),
        in_initramfs,
        boot_encrypted: boot_encrypted.into(),
        source,
    };
    if !key.device.is_empty() {
        return KeyFile { on_encrypted: "unknown".into(), why: format!("it lies on {}, which is mounted for it", key.device), ..key };
    }
    let stat = view.real_path(&path).and_then(|real| Ok((view.host().stat(&path)?, real.path)));
    match stat {
        Ok((stat, real)) => {
            key.exists = true;
            (key.uid, key.gid, key.mode) = (stat.uid, stat.gid, format!("{:04o}", stat.mode));
            key.readable_by = readers(view.host(), &real, stat);
            let layer = view.path(&real).0;
            let (answer, why) = layer.judge();
            let in_memory = layer.is_memory();
            (key.on_encrypted, key.why) = if in_memory { ("yes".into(), "kept in memory only".into()) } else { (answer.word().into(), why) };
        }
        Err(e) if e.is_not_found() => (key.on_encrypted, key.why) = ("unknown".into(), format!("{path} is not there")),
        Err(e) => {
            (key.on_encrypted, key.why) = ("unknown".into(), e.to_string());
            for field in ["exists", "readable_by", "on_encrypted"] {
                gaps.add(e.to_gap("storage", &format!("key_files.{field}"), &path));
            }
        }
    }
    key
}

/// Readers besides root that the folders above let through.
fn readers(host: &Host, real: &str, stat: Stat) -> Vec<String> {
    let parents: Vec<Stat> = real.match_indices('/').filter_map(|(i, _)| host.stat(if i == 0 { "/" } else { real.get(..i)? }).ok()).collect();
    let open = |allowed: &dyn Fn(&Stat) -> bool| parents.iter().all(allowed);
    let mut out = Vec::new();
    if stat.mode & 0o004 != 0 && open(&|p| p.mode & 0o001 != 0) {
        out.push("everyone".to_string());
    }
    if stat.mode & 0o040 != 0 && stat.gid != 0 && open(&|p| p.mode & 0o001 != 0 || (p.gid == stat.gid && p.mode & 0o010 != 0)) {
        out.push(format!("group {}", stat.gid));
    }
    if stat.uid != 0 && open(&|p| p.mode & 0o001 != 0 || (p.uid == stat.uid && p.mode & 0o100 != 0)) {
        out.push(format!("owner {}", stat.uid));
    }
    out
}

/// `KEYFILE_PATTERN` of the hook, a shell assignment with patterns between colons.
fn key_patterns(host: &Host) -> Vec<String> {
    let text = host.read_text(HOOK, CONFIG_LIMIT).unwrap_or_default();
    let last = text.lines().filter_map(|l| l.trim().strip_prefix("KEYFILE_PATTERN=")).next_back().unwrap_or_default();
    last.trim_matches(['"', '\'']).split(':').filter(|p| !p.is_empty()).map(String::from).collect()
}
