//! What the configuration of a machine that does not run says about its file systems.

use std::collections::{BTreeMap, BTreeSet};

use super::crypttab::{self, CRYPTTAB, Key, Mapping};
use super::fstab::{self, Entry, FSTAB};
use super::layer::{End, Layer};
use super::luks::{self, Luks};
use super::lvm::{self, Group};
use super::{network, real_path, units};
use crate::host::{CONFIG_LIMIT, Host, ReadError};

/// Deepest nesting of folders and files that is followed.
const DEPTH_LIMIT: usize = 16;
/// Folder of LVM's metadata.
const BACKUPS: &str = "/etc/lvm/backup";

/// fstab, units, crypttab, LVM and RAID tables.
#[derive(Debug)]
pub struct Tables<'h> {
    host: &'h Host,
    /// Mounts and swap areas that keep data.
    pub entries: Vec<Entry>,
    /// Lines of crypttab.
    pub mappings: Vec<Mapping>,
    /// Volume groups; `None` when the backup was not read.
    groups: BTreeMap<String, Option<Group>>,
    /// Array -> members that mdadm.conf names, and its line.
    arrays: BTreeMap<String, (Vec<String>, String, usize)>,
    /// Whether an initial RAM disk is told to unlock devices that crypttab does not name.
    unlocked_at_boot: bool,
    /// Whether the boot loader may be told to unlock its own folder: without that `/boot` is plain.
    loader_unlocks: bool,
    /// Why fstab was not read.
    pub fstab_error: Option<ReadError>,
    /// Why crypttab was not read.
    pub crypttab_error: Option<ReadError>,
}

impl<'h> Tables<'h> {
    /// Reads every table.
    pub fn read(host: &'h Host) -> Self {
        let (mut entries, fstab_error) = match host.read_text(FSTAB, CONFIG_LIMIT) {
            Ok(text) => (fstab::parse(&text), None),
            Err(e) => (Vec::new(), Some(e)),
        };
        // A unit of the administrator takes the place of the one made from fstab.
        let from_units = units::read(host);
        entries.retain(|e| e.point.is_empty() || !from_units.iter().any(|u| u.point == e.point));
        entries.extend(from_units);
        entries.retain(Entry::keeps_data);
        let (mappings, crypttab_error) = match crypttab::read(host) {
            Ok(mappings) => (mappings, None),
            Err(e) => (Vec::new(), Some(e)),
        };
        let command_line = ["/etc/default/grub", "/etc/kernel/cmdline"].iter().filter_map(|p| host.read_text(p, CONFIG_LIMIT).ok());
        let active: String =
            command_line.flat_map(|t| t.lines().filter(|l| !l.trim_start().starts_with('#')).map(|l| format!("{l}\n")).collect::<Vec<_>>()).collect();
        let unlocked_at_boot = ["rd.luks", "luks.uuid", "luks.name", "cryptdevice="].iter().any(|w| active.contains(w));
        let mut groups = BTreeMap::new();
        for entry in host.list(BACKUPS).unwrap_or_default() {
            let text = host.read_text(&format!("{BACKUPS}/{}", entry.name), CONFIG_LIMIT).ok();
            groups.insert(entry.name, text.map(|t| lvm::parse(&t)));
        }
        let loader_unlocks = loader_unlocks(host);
        Self { host, entries, mappings, groups, arrays: arrays(host), unlocked_at_boot, loader_unlocks, fstab_error, crypttab_error }
    }

    /// Files of the machine.
    pub const fn host(&self) -> &'h Host {
        self.host
    }

    /// The layers that the tables tell of one entry.
    pub fn layers(&self, entry: &Entry) -> Layer {
        self.entry(entry, 0)
    }

    /// The layers below a path; links are followed inside the root.
    pub fn path(&self, path: &str) -> Layer {
        self.path_at(path, 0)
    }

    /// The entry that holds a path without links.
    pub fn entry_of(&self, path: &str) -> Option<&Entry> {
        let covers = |e: &&Entry| e.point == "/" || path == e.point || path.strip_prefix(&e.point).is_some_and(|r| !e.point.is_empty() && r.starts_with('/'));
        self.entries.iter().filter(covers).max_by_key(|e| e.point.len())
    }

    fn path_at(&self, path: &str, depth: usize) -> Layer {
        let unknown = |why: String| Layer::last("file", path, "", FSTAB, End::Unknown(why));
        if depth > DEPTH_LIMIT {
            return unknown(format!("more than {DEPTH_LIMIT} layers below {path}"));
        }
        let real = match real_path::follow(self.host, path, |_| false) {
            Ok(real) => real.path,
            Err(e) => return unknown(e.to_string()),
        };
        match self.entry_of(&real) {
            Some(entry) => self.entry(entry, depth + 1),
            None => unknown(format!("the configuration names no file system that holds {path}")),
        }
    }

    fn entry(&self, entry: &Entry, depth: usize) -> Layer {
        let device = entry.device.as_str();
        let place = |kind, end| Layer::last(kind, device, "", entry.place.clone(), end).at_line(entry.line);
        let over = |kind, detail: &str, below| Layer::over(kind, device, detail, entry.place.clone(), below).at_line(entry.line);
        let kind = entry.file_system.as_str();
        if network::is_remote(kind) {
            return place("network", End::Unknown(format!("{kind}: how the other side keeps {device} is not visible")));
        }
        if entry.is_bind() {
            return over("bind", "", vec![self.path_at(device, depth + 1)]);
        }
        match kind {
            "zfs" => return place("zfs", End::Unknown("zfs: whether the dataset is encrypted is not visible in files".into())),
            "ecryptfs" => return Layer { encrypts: true, ..over("crypt", "ecryptfs", vec![self.path_at(device, depth + 1)]) },
            "overlay" => {
                return match entry.option("upperdir") {
                    Some(folder) => over("overlay", folder, vec![self.path_at(folder, depth + 1)]),
                    None => place("overlay", End::Unknown("an overlay without an upper folder".into())),
                };
            }
            "fuse.gocryptfs" | "gocryptfs" | "encfs" | "fuse.encfs" => return Layer { encrypts: true, ..over("fuse", kind, Vec::new()) },
            _ if kind.starts_with("fuse") && kind != "fuseblk" => return place("fuse", End::Unknown(format!("{kind}: where it keeps data is not visible"))),
            _ => {}
        }
        let is_file = device.starts_with('/') && !device.starts_with("/dev/");
        if is_file {
            let kind = if entry.point.is_empty() { "file" } else { "loop" };
            return over(kind, "", vec![self.path_at(device, depth + 1)]);
        }
        let members: BTreeSet<&str> = entry.options.split(',').filter_map(|o| o.strip_prefix("device=")).chain([device]).collect();
        if members.len() > 1 {
            return over("btrfs", &format!("{} devices", members.len()), members.into_iter().map(|m| self.device(m, &entry.place, entry.line)).collect());
        }
        // Firmware and boot loader read these before anything is unlocked.
        let for_firmware = ["/boot/efi", "/boot/firmware", "/efi"].contains(&entry.point.as_str());
        if (for_firmware || (entry.point == "/boot" && !self.loader_unlocks))
            && !device.starts_with("/dev/mapper/")
            && !device.starts_with("/dev/disk/by-id/dm-")
        {
            return place("disk", End::Plain(format!("{} is read by the boot loader, which unlocks nothing", entry.point)));
        }
        self.device(device, &entry.place, entry.line)
    }

    /// The layers below a device as the configuration spells it.
    pub fn device(&self, device: &str, place: &str, line: usize) -> Layer {
        let last = |kind, end| Layer::last(kind, device, "", place, end).at_line(line);
        if let Some(layer) = self.crypt(device) {
            return layer;
        }
        if let Some((members, place, line)) = self.arrays.get(device).filter(|a| !a.0.is_empty()) {
            let below = members.iter().map(|m| self.member(m, place, *line)).collect();
            return Layer::over("raid", device, "", place, below).at_line(*line);
        }
        if let Some((group, volume)) = volume_group(device, &self.groups) {
            return self.group(&group, &volume, device, place, line);
        }
        if device.starts_with("/dev/mapper/") || device.starts_with("/dev/dm-") {
            return last("unknown", End::Unknown(format!("{device} is not in crypttab; what it maps is not visible without the kernel")));
        }
        if device.starts_with("/dev/zram") {
            return last("zram", End::Memory);
        }
        if let Some(e) = &self.crypttab_error {
            return last("unknown", End::Unknown(e.to_string()));
        }
        if self.unlocked_at_boot {
            return last("unknown", End::Unknown(format!("the kernel command line unlocks devices; whether {device} is one of them is not visible")));
        }
        let by_id = (device.contains('=') || device.starts_with("/dev/disk/") || device.starts_with("/dev/md")) && !device.starts_with("PART");
        if by_id && let Some(name) = self.unaccounted() {
            return last("unknown", End::Unknown(format!("{device} may lie inside {name} of crypttab; that is not visible without the kernel")));
        }
        last("disk", End::Plain(format!("{} mounts {device}, which crypttab does not map", place.rsplit('/').next().unwrap_or(place))))
    }

    /// A mapping, or a volume of one, that no entry names: an identifier may lead to it.
    fn unaccounted(&self) -> Option<&str> {
        let is_named =
            |device: &str| self.entries.iter().any(|e| e.device == device || e.options.split(',').any(|o| o.strip_prefix("device=") == Some(device)));
        let all_volumes_named = |name: &String, group: &Group| {
            let doubled = |n: &str| n.replace('-', "--");
            let named = |v: &str| is_named(&format!("/dev/{name}/{v}")) || is_named(&format!("/dev/mapper/{}-{}", doubled(name), doubled(v)));
            group.volumes().all(named)
        };
        let is_accounted = |mapping: &&Mapping| {
            let device = format!("/dev/mapper/{}", mapping.name);
            // A new key at each boot leaves nothing that an identifier could find; what everybody can read is plain wherever it lies.
            let is_new = mapping.key() == Key::Random || mapping.is_null() || mapping.has_known_key();
            let in_group = || {
                let holds = |g: &Group| g.physical.values().any(|(d, _)| mapped_name(d) == Some(&mapping.name));
                self.groups.iter().any(|(n, g)| g.as_ref().is_some_and(|g| holds(g) && all_volumes_named(n, g)))
            };
            is_new || is_named(&device) || is_named(&format!("/dev/disk/by-id/dm-name-{}", mapping.name)) || in_group()
        };
        self.mappings.iter().find(|m| !is_accounted(m)).map(|m| m.name.as_str())
    }

    fn crypt(&self, device: &str) -> Option<Layer> {
        let name = mapped_name(device)?;
        let mapping = self.mappings.iter().find(|m| m.name == name)?;
        let kind = if mapping.kind() == "luks" { "LUKS" } else { mapping.kind() };
        let null = mapping.is_null() || mapping.has_known_key();
        let why = match (mapping.is_null(), null) {
            (true, _) => format!("crypttab line {} maps {} with a null cipher", mapping.line, mapping.device),
            (_, true) => format!("crypttab line {} maps {} with the key {}, which everybody has", mapping.line, mapping.device, mapping.key),
            _ => String::new(),
        };
        let below = Layer::last("unknown", &mapping.device, "", CRYPTTAB, End::Plain(why)).at_line(mapping.line);
        let detail = match self.header(mapping) {
            Ok(Some((luks, _))) if luks.partly_plain => {
                let below = Layer { end: End::Plain(luks.shown()), ..below };
                return Some(Layer::over("crypt", name, luks.shown(), CRYPTTAB, vec![below]).at_line(mapping.line));
            }
            Ok(Some((luks, _))) => format!("{} of {} in crypttab", luks.shown(), mapping.device),
            _ => format!("dm-crypt {kind} of {} in crypttab", mapping.device),
        };
        Some(Layer { encrypts: !null, ..Layer::over("crypt", name, detail, CRYPTTAB, vec![below]) }.at_line(mapping.line))
    }

    /// A LUKS header that is a file of the root: detached, or of a container in a file.
    pub fn header(&self, mapping: &Mapping) -> Result<Option<(Luks, String)>, ReadError> {
        let file = mapping.header().or_else(|| Some(mapping.device.as_str()).filter(|d| d.starts_with('/') && !d.starts_with("/dev/")));
        match file {
            Some(path) => Ok(luks::read(self.host, path)?.map(|l| (l, path.to_string()))),
            None => Ok(None),
        }
    }

    fn group(&self, group: &str, volume: &str, device: &str, place: &str, line: usize) -> Layer {
        let devices = self.groups.get(group).and_then(Option::as_ref).map(|g| g.devices_of(volume)).unwrap_or_default();
        if devices.is_empty() {
            let why = format!("the physical volumes of {group} are not visible without the kernel");
            return Layer::last("lvm", device, "", place, End::Unknown(why)).at_line(line);
        }
        let backup = format!("{BACKUPS}/{group}");
        let below = devices.iter().map(|(d, line)| self.member(d, &backup, *line)).collect();
        Layer::over("lvm", device, "", place, below).at_line(line)
    }

    /// A part of an array or volume group.
    fn member(&self, device: &str, place: &str, line: usize) -> Layer {
        if let Some(layer) = self.crypt(device) {
            return layer;
        }
        if self.arrays.contains_key(device) {
            return self.device(device, place, line);
        }
        let end = if device.starts_with("/dev/mapper/") || device.starts_with("/dev/dm-") || device.is_empty() {
            End::Unknown(format!("{device} is not in crypttab"))
        } else {
            End::Plain(format!("{device} is not mapped by crypttab"))
        };
        Layer::last(if matches!(end, End::Plain(_)) { "disk" } else { "unknown" }, device, "", place, end).at_line(line)
    }
}

/// `GRUB_ENABLE_CRYPTODISK=y`; without a configuration of GRUB nothing is known of the loader.
fn loader_unlocks(host: &Host) -> bool {
    let Ok(text) = host.read_text("/etc/default/grub", CONFIG_LIMIT) else {
        return true;
    };
    let last = text.lines().filter_map(|l| l.trim().strip_prefix("GRUB_ENABLE_CRYPTODISK=")).next_back();
    last.is_some_and(|v| v.trim_matches(['"', '\'']).starts_with('y'))
}

/// Name of a mapping as devices are spelled.
fn mapped_name(device: &str) -> Option<&str> {
    device.strip_prefix("/dev/mapper/").or_else(|| device.strip_prefix("/dev/disk/by-id/dm-name-"))
}

/// `ARRAY /dev/md0 devices=/dev/sda1,/dev/sdb1` (mdadm.conf(5)); a line that begins with a blank goes on.
fn arrays(host: &Host) -> BTreeMap<String, (Vec<String>, String, usize)> {
    let mut out = BTreeMap::new();
    for path in ["/etc/mdadm/mdadm.conf", "/etc/mdadm.conf"] {
        let Ok(text) = host.read_text(path, CONFIG_LIMIT) else {
            continue;
        };
        let mut array: Option<String> = None;
        for (i, line) in text.lines().enumerate() {
            let line_words = line.split('#').next().unwrap_or_default();
            let mut words = line_words.split_whitespace();
            if !line_words.starts_with([' ', '\t']) {
                array = (words.next().is_some_and(|w| w.eq_ignore_ascii_case("array"))).then(|| words.next().unwrap_or_default().to_string());
            }
            let Some(name) = &array else {
                continue;
            };
            let entry = out.entry(name.clone()).or_insert_with(|| (Vec::new(), path.to_string(), i + 1));
            if let Some(list) = words.find_map(|w| w.strip_prefix("devices=")) {
                entry.0.extend(list.split(',').filter(|d| !d.is_empty() && !d.contains('*')).map(String::from));
            }
        }
    }
    out
}

/// `/dev/mapper/vg--x-lv` and `/dev/vg-x/lv`: lvm(8) doubles hyphens inside names.
fn volume_group(device: &str, known: &BTreeMap<String, Option<Group>>) -> Option<(String, String)> {
    if let Some(name) = device.strip_prefix("/dev/mapper/") {
        let doubled = name.replace("--", "\u{0}");
        let (group, volume) = doubled.split_once('-')?;
        return Some((group.replace('\u{0}', "-"), volume.replace('\u{0}', "-")));
    }
    let (group, volume) = device.strip_prefix("/dev/")?.split_once('/')?;
    let other = ["disk", "mapper", "block", "md", "shm", "loop"].contains(&group) && !known.contains_key(group);
    (!other && !volume.contains('/')).then(|| (group.to_string(), volume.to_string()))
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
        let host = Host::rooted(root.path()).unwrap();
        let tables = Tables::read(&host);
        tables.entries.iter().map(|e| (format!("{}{}", e.device, e.point), tables.layers(e).judge().0)).collect()
    }

    #[test]
    fn mapped_plain_and_hidden_devices() {
        let fstab = "/dev/mapper/vg--a-root / ext4 defaults 0 1\n/dev/vg-b/srv /srv ext4\nUUID=1 /boot ext2\n/dev/sda1 /data\\040x xfs\n/dev/mapper/sw none swap\n\
                     nfs:/x /n nfs\n/swapfile none swap\ntmpfs /tmp tmpfs\n/srv/a /mnt none bind\n/dev/mapper/null /null ext4\n/img/a.img /img-a ext4 loop\n\
                     overlay /ov overlay lowerdir=/a,upperdir=/srv/u,workdir=/srv/w\n/dev/md0 /md ext4\n";
        let files = [
            ("etc/fstab", fstab),
            (
                "etc/crypttab",
                "# c\npv UUID=2 none luks\nsw /dev/sda9 /dev/urandom swap,cipher=aes-xts-plain64\nnull /dev/sdz1 /k plain,cipher=cipher_null-ecb\n",
            ),
            ("etc/lvm/backup/vg-a", "vg-a {\nphysical_volumes {\npv0 {\n\tdevice = \"/dev/mapper/pv\"\t# Hint only\n}\n}\n}\n"),
            ("etc/lvm/backup/vg-b", "vg-b {\nphysical_volumes {\npv0 {\n\tdevice = \"/dev/sdb1\"\n}\n}\n}\n"),
            ("etc/mdadm/mdadm.conf", "# ARRAY /dev/md0 devices=/dev/mapper/pv\nARRAY /dev/md0 metadata=1.2\n   devices=/dev/mapper/pv,/dev/sdq1\n"),
        ];
        let expected = [
            ("/dev/mapper/vg--a-root/", Encrypted::Yes),
            ("/dev/vg-b/srv/srv", Encrypted::No),
            ("UUID=1/boot", Encrypted::No),
            ("/dev/sda1/data x", Encrypted::No),
            ("/dev/mapper/sw", Encrypted::Yes),
            ("nfs:/x/n", Encrypted::Unknown),
            ("/swapfile", Encrypted::Yes),
            ("/srv/a/mnt", Encrypted::No),
            ("/dev/mapper/null/null", Encrypted::No),
            ("/img/a.img/img-a", Encrypted::Yes),
            ("overlay/ov", Encrypted::No),
            ("/dev/md0/md", Encrypted::No),
        ];
        assert_eq!(answers(&files), expected.map(|(a, b)| (a.to_string(), b)));
    }

    #[test]
    fn identifiers_are_plain_when_every_mapping_is_accounted_for() {
        assert_eq!(answers(&[("etc/fstab", "UUID=1 / ext4\n")])[0].1, Encrypted::No);
        let crypttab = ("etc/crypttab", "a UUID=2 none luks\nsw /dev/sda2 /dev/urandom swap\n");
        let hidden = [("etc/fstab", "UUID=1 / ext4\nPARTUUID=3 /boot ext4\n"), crypttab];
        assert_eq!(answers(&hidden).iter().map(|a| a.1).collect::<Vec<_>>(), [Encrypted::Unknown, Encrypted::No]);
        let named = [("etc/fstab", "/dev/disk/by-id/dm-name-a / ext4\nUUID=1 /srv ext4\n"), crypttab];
        assert_eq!(answers(&named).iter().map(|a| a.1).collect::<Vec<_>>(), [Encrypted::Yes, Encrypted::No]);
        let null = [("etc/fstab", "UUID=1 / ext4\n"), ("etc/crypttab", "n /dev/sda3 none plain,cipher=cipher_null-ecb\nz /dev/sda4 /dev/zero plain\n")];
        assert_eq!(answers(&null)[0].1, Encrypted::No);
        let at_boot = [("etc/fstab", "UUID=1 / ext4\n"), ("etc/default/grub", "GRUB_CMDLINE_LINUX=\"rd.luks.uuid=luks-1\"")];
        assert_eq!(answers(&at_boot)[0].1, Encrypted::Unknown);
        let comment = [("etc/fstab", "UUID=1 / ext4\n"), ("etc/default/grub", "#GRUB_CMDLINE_LINUX=\"rd.luks.uuid=luks-1\"")];
        assert_eq!(answers(&comment)[0].1, Encrypted::No);
    }

    #[test]
    fn links_between_folders_end() {
        let rounds = [("etc/fstab", "/b /a none bind\n/a /b none bind\n/c/img /c ext4 loop\n")];
        assert!(answers(&rounds).iter().all(|a| a.1 == Encrypted::Unknown));
    }
}
