//! Block devices as sysfs shows them (Documentation/ABI/testing/sysfs-block, -dm, -bcache).

use super::crypttab::Mapping;
use super::layer::{End, Layer};
use super::luks::{self, Luks};
use super::mounts::Mounts;
use crate::host::{CONFIG_LIMIT, Host, ReadError, machine};

/// Deepest stack of devices that is followed.
const DEPTH_LIMIT: usize = 32;
/// Most devices that are followed below one mount.
const DEVICE_LIMIT: usize = 4096;
/// Longest sysfs attribute, bytes: a page.
const ATTRIBUTE: usize = 4096;

/// Follows devices down; notes what it could not read.
#[derive(Debug)]
pub struct Tracer<'h> {
    pub(super) host: &'h Host,
    pub(super) mounts: &'h Mounts,
    crypttab: &'h [Mapping],
    cloud: Option<&'static str>,
    virtual_machine: bool,
    left: usize,
    /// Details that could not be read although the answer stands.
    pub errors: Vec<ReadError>,
}

impl<'h> Tracer<'h> {
    /// A tracer over the mounts of a host; crypttab tells what the kernel does not of plain
    /// mappings and of headers kept elsewhere.
    pub fn new(host: &'h Host, mounts: &'h Mounts, crypttab: &'h [Mapping]) -> Self {
        let virtual_machine = matches!(machine::virtualization(host), "kvm" | "xen" | "vmware" | "hyperv" | "other");
        Self { host, mounts, crypttab, cloud: machine::cloud(host), virtual_machine, left: DEVICE_LIMIT, errors: Vec::new() }
    }

    /// The device `MAJOR:MINOR` and everything below.
    pub fn device(&mut self, number: &str, depth: usize) -> Layer {
        let place = format!("/sys/dev/block/{number}");
        self.left = self.left.saturating_sub(1);
        if depth > DEPTH_LIMIT || self.left == 0 {
            let why = format!("more devices below {number} than {DEPTH_LIMIT} levels or {DEVICE_LIMIT} in all");
            return Layer::last("unknown", number, "", &place, End::Unknown(why));
        }
        let valid = number.bytes().all(|b| b.is_ascii_digit() || b == b':');
        if !valid || !self.host.exists(&place).unwrap_or(false) {
            return Layer::last("unknown", number, "", &place, End::Unknown(format!("device {number} is not visible in sysfs")));
        }
        let name = self.name(&place, number);
        let has = |file: &str| self.host.exists(&format!("{place}/{file}")).unwrap_or(false);
        if has("dm") {
            return self.mapped(&place, &name, depth);
        }
        if has("md") {
            let level = self.attribute(&place, "md/level");
            let below = self.parts(&place, "slaves", depth);
            return Layer::over("raid", name, level, place, below);
        }
        if has("loop/backing_file") {
            return self.looped(&place, &name, depth);
        }
        if has("bcache") && !has("partition") {
            let below = self.parts(&place, "slaves", depth);
            if !below.is_empty() {
                return Layer::over("bcache", name, "", place, below);
            }
        }
        if has("partition") {
            let parent = self.attribute(&place, "../dev");
            let below = vec![self.device(&parent, depth + 1)];
            return Layer::over("partition", name, "", place, below);
        }
        if name.starts_with("zram") || name.strip_prefix("ram").is_some_and(|n| n.bytes().all(|b| b.is_ascii_digit())) {
            return self.memory(&place, &name, depth);
        }
        self.disk(&place, name)
    }

    /// The device of a name below `/dev`, such as `dm-1`, `sda2` or `mapper/root`.
    pub fn number_of(&self, path: &str) -> Option<String> {
        let name = path.strip_prefix("/dev/").unwrap_or(path);
        let direct = self.attribute(&format!("/sys/class/block/{}", name.replace('/', "!")), "dev");
        if !direct.is_empty() {
            return Some(direct);
        }
        if let Some(mapped) = name.strip_prefix("mapper/") {
            let all = self.host.list("/sys/class/block").unwrap_or_default();
            let found = all.iter().filter(|e| e.name.starts_with("dm-")).find(|e| self.attribute(&format!("/sys/class/block/{}", e.name), "dm/name") == mapped);
            if let Some(entry) = found {
                return Some(self.attribute(&format!("/sys/class/block/{}", entry.name), "dev"));
            }
        }
        let special = self.host.stat(path).ok().map(|s| s.special_device).filter(|d| *d != 0)?;
        Some(format!("{}:{}", rustix::fs::major(special), rustix::fs::minor(special)))
    }

    fn mapped(&mut self, place: &str, name: &str, depth: usize) -> Layer {
        let (uuid, label) = (self.attribute(place, "dm/uuid"), self.attribute(place, "dm/name"));
        let shown = if label.is_empty() { name.to_string() } else { label };
        let below = self.parts(place, "slaves", depth);
        let over = |kind, detail: &str, below| Layer::over(kind, &shown, detail, format!("{place}/dm/uuid"), below);
        let mut words = uuid.split('-');
        match (words.next().unwrap_or_default(), words.next().unwrap_or_default()) {
            ("CRYPT", kind @ ("LUKS1" | "LUKS2" | "PLAIN" | "TCRYPT" | "BITLK" | "FVAULT2" | "LOOPAES")) => {
                let (detail, end) = if kind.starts_with("LUKS") { self.luks(kind, &shown, &below) } else { self.without_header(kind, &shown) };
                Layer { encrypts: end == End::Continues, end, ..over("crypt", &detail, below) }
            }
            // Integrity and verity authenticate, they do not hide.
            ("CRYPT", kind) => over("unknown", &format!("device-mapper {}", kind.to_ascii_lowercase()), below),
            ("LVM", _) => over("lvm", "", below),
            ("mpath", _) => over("multipath", "", below),
            (part, "mpath") if part.starts_with("part") => over("partition", "", below),
            (part, _) if part.starts_with("part") => over("partition", "", below),
            ("DMRAID", _) => over("raid", "dmraid", below),
            _ => {
                let why = format!("device-mapper target of {shown} is not visible");
                Layer { end: End::Unknown(why), ..over("unknown", &uuid, below) }
            }
        }
    }

    /// Cipher from the header; without it the kernel's own word is enough, unless a null cipher is about.
    fn luks(&mut self, kind: &str, name: &str, below: &[Layer]) -> (String, End) {
        match self.header(name, below) {
            Ok(Some((luks, _))) if luks.partly_plain => (luks.shown(), End::Plain(luks.shown())),
            Ok(Some((luks, _))) => (luks.shown(), End::Continues),
            Ok(None) => (format!("{kind}, header is not on the device"), self.unless_null(name)),
            Err(e) => {
                self.errors.push(e);
                (format!("{kind}, cipher not readable"), self.unless_null(name))
            }
        }
    }

    /// The kernel tells the cipher only together with the key: crypttab is asked instead.
    fn without_header(&self, kind: &str, name: &str) -> (String, End) {
        let mapping = self.crypttab.iter().find(|m| m.name == name && kind == "PLAIN");
        let kind = kind.to_ascii_lowercase();
        if let Some(mapping) = mapping.filter(|m| m.has_known_key()) {
            return (format!("dm-crypt {kind}"), End::Plain(format!("the key of {name} is {}, which everybody has", mapping.key)));
        }
        match mapping.and_then(Mapping::cipher) {
            Some(cipher) if cipher.contains("null") => {
                let detail = format!("dm-crypt {kind} {cipher}");
                (detail.clone(), End::Plain(format!("{detail} writes data as it is")))
            }
            Some(cipher) => (format!("dm-crypt {kind} {cipher}"), End::Continues),
            None => (format!("dm-crypt {kind}, cipher not visible"), self.unless_null(name)),
        }
    }

    /// A mapping whose cipher is not visible is taken for encrypted while every user of a null
    /// cipher on this machine is known to be another one.
    fn unless_null(&self, name: &str) -> End {
        let users = self.null_users();
        if users == 0 || users <= self.known_nulls() {
            return End::Continues;
        }
        End::Unknown(format!("a null cipher is in use on this machine and the cipher of {name} is not visible"))
    }

    /// Users of null ciphers: the kernel counts those of each algorithm, its registration is one.
    fn null_users(&self) -> usize {
        let text = self.host.read_text("/proc/crypto", CONFIG_LIMIT).unwrap_or_default();
        let (mut is_null, mut users) = (false, 0);
        for line in text.lines() {
            let (key, value) = line.split_once(':').map_or(("", ""), |(k, v)| (k.trim(), v.trim()));
            match key {
                "name" => is_null = value.contains("cipher_null"),
                "refcnt" if is_null => users += value.parse::<usize>().unwrap_or(0).saturating_sub(1),
                _ => {}
            }
        }
        users
    }

    /// Mappings whose header or line of crypttab names a null cipher.
    fn known_nulls(&self) -> usize {
        let listed = self.crypttab.iter().filter(|m| m.is_null()).count();
        let mapped = self.host.list("/sys/class/block").unwrap_or_default().into_iter().filter(|e| e.name.starts_with("dm-")).take(DEVICE_LIMIT);
        let is_null = |dm: &str| {
            let place = format!("/sys/class/block/{dm}");
            let below = self.host.list(&format!("{place}/slaves")).unwrap_or_default();
            let header = below.first().map(|d| luks::read(self.host, &format!("/dev/{}", d.name)));
            self.attribute(&place, "dm/uuid").starts_with("CRYPT-LUKS") && matches!(header, Some(Ok(Some(luks))) if luks.cipher.contains("null"))
        };
        listed + mapped.filter(|e| is_null(&e.name)).count()
    }

    /// The header of a mapping and where it was read: on a device below (under the layer that
    /// authenticates, or that a change of key is moving), or in the file that crypttab names.
    pub fn header(&self, name: &str, below: &[Layer]) -> Result<Option<(Luks, String)>, ReadError> {
        let inner = below.iter().filter(|l| l.kind == "unknown").flat_map(|l| &l.below);
        let mut error = None;
        for path in below.iter().chain(inner).map(node) {
            match luks::read(self.host, &path) {
                Ok(Some(luks)) => return Ok(Some((luks, path))),
                Ok(None) => {}
                Err(e) => error = error.or(Some(e)),
            }
        }
        let detached = self.crypttab.iter().find(|m| m.name == name).and_then(Mapping::header);
        match (detached, error) {
            (Some(path), _) => Ok(luks::read(self.host, path)?.map(|luks| (luks, path.to_string()))),
            (None, Some(e)) => Err(e),
            (None, None) => Ok(None),
        }
    }

    fn looped(&mut self, place: &str, name: &str, depth: usize) -> Layer {
        let file = self.attribute(place, "loop/backing_file");
        let place = format!("{place}/loop/backing_file");
        if file.is_empty() || file.ends_with(" (deleted)") {
            return Layer::last("loop", name, &file, place, End::Unknown(format!("the file behind {name} has no name any more")));
        }
        let below = vec![self.path(&file, depth + 1)];
        Layer::over("loop", name, file, place, below)
    }

    fn memory(&mut self, place: &str, name: &str, depth: usize) -> Layer {
        let backing = self.attribute(place, "backing_dev");
        if backing.is_empty() || backing == "none" {
            return Layer::last("zram", name, "memory only", place, End::Memory);
        }
        let below = match self.number_of(&backing) {
            Some(number) => vec![self.device(&number, depth + 1)],
            None => Vec::new(),
        };
        Layer::over("zram", name, format!("writes back to {backing}"), place, below)
    }

    fn disk(&self, place: &str, name: String) -> Layer {
        // virtio shows a PCI number as vendor.
        let words = [self.attribute(place, "device/vendor"), self.attribute(place, "device/model")];
        let model = words.iter().filter(|w| !w.is_empty() && !w.starts_with("0x")).map(String::as_str).collect::<Vec<_>>().join(" ");
        let path = self.host.read_link(place).unwrap_or_default();
        let transport = self.attribute(place, "device/transport");
        let remote = ["rbd", "nbd", "drbd"].iter().any(|p| name.starts_with(p))
            || path.contains("/session")
            || path.contains("/rport-")
            || (name.starts_with("nvme") && !matches!(transport.as_str(), "" | "pcie"));
        if remote {
            let why = format!("{name} is a remote disk: encryption below it is not visible");
            return Layer::last("network", name, model, place, End::Unknown(why));
        }
        if let Some(cloud) = self.cloud {
            let why = format!("virtual disk {name} of {cloud}: encryption below it is not visible");
            return Layer::last("disk", name, model, place, End::Unknown(why));
        }
        let marks = ["qemu", "vmware", "msft", "vbox", "virtual"];
        let is_virtual =
            self.virtual_machine || name.starts_with("vd") || name.starts_with("xvd") || marks.iter().any(|m| model.to_ascii_lowercase().contains(m));
        let why = if is_virtual {
            format!("no encrypting layer down to virtual disk {name}; what lies below it is not visible")
        } else {
            format!("no encrypting layer down to disk {name}")
        };
        let detail = if is_virtual { format!("virtual disk {model}").trim().to_string() } else { model };
        Layer::last("disk", name, detail, place, End::Plain(why))
    }

    fn name(&self, place: &str, number: &str) -> String {
        let uevent = self.host.read_text(&format!("{place}/uevent"), ATTRIBUTE).unwrap_or_default();
        uevent.lines().find_map(|l| l.strip_prefix("DEVNAME=")).unwrap_or(number).to_string()
    }

    /// Layers of the devices in a folder of links (`slaves`, `devices`).
    pub(super) fn parts(&mut self, place: &str, folder: &str, depth: usize) -> Vec<Layer> {
        let mut entries = match self.host.list(&format!("{place}/{folder}")) {
            Ok(entries) => entries,
            Err(e) => {
                self.errors.push(e);
                Vec::new()
            }
        };
        entries.truncate(self.left);
        entries
            .into_iter()
            .map(|entry| {
                let number = self.attribute(&format!("{place}/{folder}/{}", entry.name), "dev");
                self.device(&number, depth + 1)
            })
            .collect()
    }

    pub(super) fn attribute(&self, place: &str, name: &str) -> String {
        self.host.read_text(&format!("{place}/{name}"), ATTRIBUTE).unwrap_or_default().trim().to_string()
    }
}

/// Device node of a layer.
fn node(layer: &Layer) -> String {
    let mapped = ["lvm", "crypt", "multipath"].contains(&layer.kind) || layer.place.ends_with("/dm/uuid");
    if mapped { format!("/dev/mapper/{}", layer.name) } else { format!("/dev/{}", layer.name) }
}
