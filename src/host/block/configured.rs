//! What fstab(5) and crypttab(5) of a machine that does not run say.

use std::collections::BTreeSet;

use super::layer::{End, Layer};
use super::mounts::unescape;
use crate::host::{CONFIG_LIMIT, Host, ReadError};

const FSTAB: &str = "/etc/fstab";
const CRYPTTAB: &str = "/etc/crypttab";
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
    "none",
    "ignore",
    "hugetlbfs",
    "mqueue",
    "bpf",
    "efivarfs",
    "binfmt_misc",
];
const NETWORK: &[&str] = &["nfs", "nfs4", "cifs", "smb3", "ceph", "glusterfs", "9p", "virtiofs"];

/// One line of fstab.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// First field: device, `UUID=…`, remote or file.
    pub device: String,
    /// Mount point; empty for swap.
    pub point: String,
    /// Type.
    pub file_system: String,
    /// Line, from 1.
    pub line: usize,
}

/// One line of crypttab.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Mapping {
    name: String,
    device: String,
    options: String,
    line: usize,
}

/// Both tables.
#[derive(Debug, Default)]
pub struct Tables {
    /// Lines of fstab that keep data.
    pub entries: Vec<Entry>,
    mappings: Vec<Mapping>,
    /// Volume groups whose physical volumes are all mapped by crypttab, and those known not to be.
    groups: Vec<(String, Option<BTreeSet<String>>)>,
    /// Whether an initial RAM disk is told to unlock devices that crypttab does not name.
    unlocked_at_boot: bool,
}

impl Tables {
    /// Reads both; a missing crypttab has no lines, a missing fstab is an error.
    pub fn read(host: &Host) -> Result<Self, ReadError> {
        let entries = parse_fstab(&host.read_text(FSTAB, CONFIG_LIMIT)?);
        let crypttab = match host.read_text(CRYPTTAB, CONFIG_LIMIT) {
            Ok(text) => text,
            Err(e) if e.is_not_found() => String::new(),
            Err(e) => return Err(e),
        };
        let command_line = ["/etc/default/grub", "/etc/kernel/cmdline"].iter().filter_map(|p| host.read_text(p, CONFIG_LIMIT).ok()).collect::<String>();
        let unlocked_at_boot = ["rd.luks", "luks.uuid", "cryptdevice="].iter().any(|w| command_line.contains(w));
        let mut tables = Self { entries, mappings: parse_crypttab(&crypttab), groups: Vec::new(), unlocked_at_boot };
        for entry in host.list("/etc/lvm/backup").unwrap_or_default() {
            let text = host.read_text(&format!("/etc/lvm/backup/{}", entry.name), CONFIG_LIMIT).ok();
            tables.groups.push((entry.name, text.map(|t| physical_volumes(&t))));
        }
        Ok(tables)
    }

    /// The layers that the tables tell of one entry.
    pub fn layers(&self, entry: &Entry) -> Layer {
        let layer = self.below(entry);
        if layer.place == FSTAB { layer.at_line(entry.line) } else { layer }
    }

    fn below(&self, entry: &Entry) -> Layer {
        let device = entry.device.as_str();
        let unknown = |kind, why: String| Layer::last(kind, device, "", FSTAB, End::Unknown(why));
        if NETWORK.contains(&entry.file_system.as_str()) {
            return unknown("network", format!("{}: how the other side keeps {device} is not visible", entry.file_system));
        }
        if entry.file_system == "zfs" {
            return unknown("zfs", "zfs: whether the dataset is encrypted is not visible in files".into());
        }
        if entry.file_system.starts_with("fuse") {
            return unknown("fuse", format!("{}: where it keeps data is not visible", entry.file_system));
        }
        if let Some(layer) = self.crypt(device) {
            return layer;
        }
        if let Some(group) = volume_group(device) {
            return self.group(&group, device);
        }
        if device.starts_with("/dev/mapper/") || device.starts_with("/dev/dm-") {
            return unknown("unknown", format!("{device} is not in crypttab; what it maps is not visible without the kernel"));
        }
        if entry.point.is_empty() && device.starts_with('/') && !device.starts_with("/dev/") {
            return self.swap_file(device);
        }
        if self.unlocked_at_boot {
            return unknown("unknown", format!("the kernel command line unlocks devices; whether {device} is one of them is not visible"));
        }
        let by_id = device.contains('=') || device.starts_with("/dev/disk/");
        if by_id && !self.mappings.is_empty() {
            return unknown("unknown", format!("{device} may lie inside a device of crypttab; that is not visible without the kernel"));
        }
        Layer::last("disk", device, "", FSTAB, End::Plain(format!("fstab mounts {device}, which crypttab does not map")))
    }

    fn crypt(&self, device: &str) -> Option<Layer> {
        let name = device.strip_prefix("/dev/mapper/")?;
        let mapping = self.mappings.iter().find(|m| m.name == name)?;
        let plain = mapping.options.split(',').any(|o| matches!(o, "plain" | "swap" | "tmp"));
        let null = mapping.options.contains("cipher=null") || mapping.options.contains("cipher_null");
        let kind = if plain { "plain" } else { "LUKS" };
        let below = Layer::last("unknown", &mapping.device, "", CRYPTTAB, End::Plain("null cipher".into())).at_line(mapping.line);
        let detail = format!("dm-crypt {kind} of {} in crypttab", mapping.device);
        Some(Layer { encrypts: !null, ..Layer::over("crypt", name, detail, CRYPTTAB, vec![below]) }.at_line(mapping.line))
    }

    fn group(&self, group: &str, device: &str) -> Layer {
        let volumes = self.groups.iter().find(|(n, _)| n == group).and_then(|(_, v)| v.as_ref());
        let Some(volumes) = volumes.filter(|v| !v.is_empty()) else {
            let why = format!("the physical volumes of {group} are not visible without the kernel");
            return Layer::last("lvm", device, "", FSTAB, End::Unknown(why));
        };
        let below = volumes
            .iter()
            .map(|v| {
                self.crypt(v).unwrap_or_else(|| {
                    let place = format!("/etc/lvm/backup/{group}");
                    if v.starts_with("/dev/mapper/") || v.starts_with("/dev/dm-") {
                        Layer::last("unknown", v, "", place, End::Unknown(format!("{v} is not in crypttab")))
                    } else {
                        Layer::last("disk", v, "", place, End::Plain(format!("physical volume {v} is not mapped by crypttab")))
                    }
                })
            })
            .collect();
        Layer::over("lvm", device, "", FSTAB, below)
    }

    fn swap_file(&self, path: &str) -> Layer {
        let covers = |e: &&Entry| !e.point.is_empty() && (e.point == "/" || path.starts_with(&format!("{}/", e.point)));
        match self.entries.iter().filter(covers).max_by_key(|e| e.point.len()) {
            Some(entry) => Layer::over("file", path, "", FSTAB, vec![self.layers(entry)]),
            None => Layer::last("file", path, "", FSTAB, End::Unknown("fstab names no file system that holds the swap file".into())),
        }
    }
}

fn parse_fstab(text: &str) -> Vec<Entry> {
    let mut out = Vec::new();
    for (i, line) in text.lines().enumerate() {
        let mut words = line.split_whitespace();
        let (Some(device), Some(point), Some(kind)) = (words.next(), words.next(), words.next()) else {
            continue;
        };
        let options = words.next().unwrap_or_default();
        if device.starts_with('#') || PSEUDO.contains(&kind) || options.split(',').any(|o| o == "bind" || o == "rbind") {
            continue;
        }
        let point = if kind == "swap" { String::new() } else { unescape(point) };
        out.push(Entry { device: unescape(device), point, file_system: kind.into(), line: i + 1 });
    }
    out
}

fn parse_crypttab(text: &str) -> Vec<Mapping> {
    let lines = text.lines().enumerate().filter(|(_, l)| !l.trim_start().starts_with('#'));
    let parsed = lines.filter_map(|(i, line)| {
        let mut words = line.split_whitespace();
        let (name, device) = (words.next()?, words.next()?);
        let options = words.nth(1).unwrap_or_default();
        Some(Mapping { name: name.into(), device: device.into(), options: options.into(), line: i + 1 })
    });
    parsed.collect()
}

/// `/dev/mapper/vg--x-lv` and `/dev/vg-x/lv`: lvm(8) doubles hyphens inside names.
fn volume_group(device: &str) -> Option<String> {
    if let Some(name) = device.strip_prefix("/dev/mapper/") {
        let doubled = name.replace("--", "\u{0}");
        let (group, _) = doubled.split_once('-')?;
        return Some(group.replace('\u{0}', "-"));
    }
    let (group, volume) = device.strip_prefix("/dev/")?.split_once('/')?;
    let other = ["disk", "mapper", "block", "md", "shm", "loop"].contains(&group);
    (!other && !volume.contains('/')).then(|| group.to_string())
}

/// `device = "/dev/…"` hints of a metadata backup (lvm.conf(5), vgcfgbackup(8)).
fn physical_volumes(text: &str) -> BTreeSet<String> {
    let hint = |l: &str| l.trim().strip_prefix("device = \"").and_then(|r| r.split('"').next()).map(String::from);
    text.lines().filter_map(hint).collect()
}

#[cfg(test)]
mod tests {
    use super::super::layer::Encrypted;
    use super::*;

    fn answers(files: &[(&str, &str)]) -> Vec<(String, Encrypted)> {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let tables = Tables::read(&Host::rooted(root.path()).unwrap()).unwrap();
        tables.entries.iter().map(|e| (format!("{}{}", e.device, e.point), tables.layers(e).judge().0)).collect()
    }

    #[test]
    fn mapped_plain_and_hidden_devices() {
        let fstab = "/dev/mapper/vg--a-root / ext4 defaults 0 1\n/dev/vg-b/srv /srv ext4\nUUID=1 /boot ext2\n/dev/sda1 /data\\040x xfs\n/dev/mapper/sw none swap\n\
                     nfs:/x /n nfs\n/swapfile none swap\ntmpfs /tmp tmpfs\n/srv /mnt none bind\n/dev/mapper/null /null ext4\n";
        let files = [
            ("etc/fstab", fstab),
            (
                "etc/crypttab",
                "# c\npv UUID=2 none luks\nsw /dev/sda9 /dev/urandom swap,cipher=aes-xts-plain64\nnull /dev/sdz1 /k plain,cipher=cipher_null-ecb\n",
            ),
            ("etc/lvm/backup/vg-a", "physical_volumes {\n\tdevice = \"/dev/mapper/pv\"\t# Hint only\n"),
            ("etc/lvm/backup/vg-b", "\tdevice = \"/dev/sdb1\"\n"),
        ];
        let expected = [
            ("/dev/mapper/vg--a-root/", Encrypted::Yes),
            ("/dev/vg-b/srv/srv", Encrypted::No),
            ("UUID=1/boot", Encrypted::Unknown),
            ("/dev/sda1/data x", Encrypted::No),
            ("/dev/mapper/sw", Encrypted::Yes),
            ("nfs:/x/n", Encrypted::Unknown),
            ("/swapfile", Encrypted::Yes),
            ("/dev/mapper/null/null", Encrypted::No),
        ];
        assert_eq!(answers(&files), expected.map(|(a, b)| (a.to_string(), b)));
    }

    #[test]
    fn identifiers_without_any_mapping_are_plain() {
        assert_eq!(answers(&[("etc/fstab", "UUID=1 / ext4\n")])[0].1, Encrypted::No);
        let at_boot = [("etc/fstab", "UUID=1 / ext4\n"), ("etc/default/grub", "GRUB_CMDLINE_LINUX=\"rd.luks.uuid=luks-1\"")];
        assert_eq!(answers(&at_boot)[0].1, Encrypted::Unknown);
    }
}
