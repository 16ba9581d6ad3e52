//! fstab(5).

use super::mounts::unescape;

/// Where it stands.
pub const FSTAB: &str = "/etc/fstab";
/// File systems without data at rest.
const PSEUDO: &[&str] = &[
    "proc",
    "sysfs",
    "tmpfs",
    "devtmpfs",
    "devpts",
    "cgroup",
    "cgroup2",
    "debugfs",
    "tracefs",
    "securityfs",
    "configfs",
    "ramfs",
    "ignore",
    "hugetlbfs",
    "mqueue",
    "bpf",
    "efivarfs",
    "binfmt_misc",
    "pstore",
    "fusectl",
    "autofs",
    "rpc_pipefs",
    "nfsd",
    "selinuxfs",
    "usbfs",
];

/// One mount or swap area of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Device, `UUID=…`, remote, folder or file.
    pub device: String,
    /// Mount point; empty for swap.
    pub point: String,
    /// Type.
    pub file_system: String,
    /// Options with commas.
    pub options: String,
    /// File that says it.
    pub place: String,
    /// Its line, from 1.
    pub line: usize,
}

impl Entry {
    /// Whether an option without a value is set.
    pub fn has(&self, option: &str) -> bool {
        self.options.split(',').any(|o| o == option)
    }

    /// Value of an option, the last one.
    pub fn option(&self, name: &str) -> Option<&str> {
        self.options.split(',').rev().find_map(|o| o.strip_prefix(name).and_then(|r| r.strip_prefix('=')))
    }

    /// Whether it shows a folder of another entry.
    pub fn is_bind(&self) -> bool {
        self.has("bind") || self.has("rbind")
    }

    /// Whether data stays in it when the power goes.
    pub fn keeps_data(&self) -> bool {
        !PSEUDO.contains(&self.file_system.as_str()) && (self.file_system != "none" || self.is_bind())
    }
}

/// Parses every line with three fields; later fields may be missing.
pub fn parse(text: &str) -> Vec<Entry> {
    let mut out = Vec::new();
    for (i, line) in text.lines().enumerate() {
        let mut words = line.split_whitespace();
        let (Some(device), Some(point), Some(kind)) = (words.next(), words.next(), words.next()) else {
            continue;
        };
        if device.starts_with('#') {
            continue;
        }
        let point = if kind == "swap" { String::new() } else { trimmed(unescape(point)) };
        let options = unescape(words.next().unwrap_or_default());
        let (device, file_system) = named_program(unescape(device), kind);
        out.push(Entry { device, point, file_system, options, place: FSTAB.into(), line: i + 1 });
    }
    out
}

/// `sshfs#host:/path` of type `fuse` means `host:/path` of type `fuse.sshfs` (mount.fuse3(8)).
fn named_program(device: String, kind: &str) -> (String, String) {
    let is_name = |n: &str| !n.is_empty() && n.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    match device.split_once('#') {
        Some((program, source)) if matches!(kind, "fuse" | "fuse3") && is_name(program) => (source.into(), format!("fuse.{program}")),
        _ => (device, kind.into()),
    }
}

/// A mount point without closing slashes.
pub(super) fn trimmed(path: String) -> String {
    let short = path.trim_end_matches('/');
    if short.is_empty() { "/".into() } else { short.into() }
}
