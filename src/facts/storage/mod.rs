//! Where data lies and whether that is encrypted at rest.

pub mod crypt;
pub mod data;
mod discover;
pub mod hibernation;
pub mod keys;
pub(super) mod view;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::crypt::Crypt;
use self::data::Data;
use self::hibernation::Hibernation;
use self::keys::KeyFile;
use self::view::View;
use super::{Document, HostFamily};
use crate::host::block::configured::Tables;
use crate::host::block::crypttab::Mapping;
use crate::host::block::device::Tracer;
use crate::host::block::fstab::Entry;
use crate::host::block::layer::Layer;
use crate::host::block::live;
use crate::host::block::mounts::{self, Mounts};
use crate::host::block::network::{self, Transport};
use crate::host::{Host, ReadError};
use crate::model::fact::Source;
use crate::model::gap::{Gap, Gaps, reason};
use crate::model::redact;

/// Every mount and swap area that keeps data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Storage {
    /// Mounts of block-backed and network file systems, and swap areas, by subject; pseudo file systems are left out.
    pub volumes: Vec<Volume>,
    /// Declared and discovered data paths and the place of the hibernation image, by subject.
    #[serde(default)]
    pub data: Vec<Data>,
    /// Mappings of dm-crypt, by name.
    #[serde(default)]
    pub crypt: Vec<Crypt>,
    /// Key files of mappings, by path.
    #[serde(default)]
    pub key_files: Vec<KeyFile>,
    /// Whether memory can be written to disk.
    #[serde(default)]
    pub hibernation: Hibernation,
    /// Whether fstab and crypttab were read instead of a live kernel.
    pub from_configuration: bool,
}

impl Document for Storage {
    const NAME: &'static str = "storage";
    const TITLE: &'static str = "Mounts and swap, each traced to encrypted or not";
}

/// One mount or swap area.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Volume {
    /// Mount point, or `swap /dev/…`.
    pub subject: String,
    /// `mount` or `swap`.
    #[serde(rename = "use")]
    pub usage: String,
    /// Type, such as `ext4`; `swap` for swap.
    pub file_system: String,
    /// Device or remote as mounted.
    pub device: String,
    /// Whether it is only the boot loader's (`/boot`, `/boot/efi`) or read-only media.
    pub removable_or_boot: bool,
    /// `yes`, `no` or `unknown`.
    pub encrypted: String,
    /// What decides, such as `LUKS2 aes-xts-plain64 512 bit` or `virtual disk: encryption below it is not visible`.
    pub why: String,
    /// `encrypted`, `plaintext` or `unknown` for the wire of a network file system; empty for a local one.
    #[serde(default)]
    pub transport: String,
    /// The option that decides that, or the one that is missing.
    #[serde(default)]
    pub transport_why: String,
    /// From the mount down to the hardware, one element a layer.
    pub chain: Vec<Link>,
    /// Where the mount was read.
    pub source: Source,
}

/// One layer below a mount.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// `overlay`, `bind`, `partition`, `disk`, `loop`, `lvm`, `raid`, `multipath`, `bcache`, `crypt`, `fscrypt`, `zram`, `network`, `fuse`, `zfs`, `btrfs`, `file` (swap), `unknown`.
    pub kind: String,
    /// Name of the device, file or remote.
    pub name: String,
    /// What the kernel or header says of it.
    pub detail: String,
    /// Whether this layer encrypts.
    pub encrypted: bool,
    /// Distance from the mount; several links of one depth are parallel (RAID members).
    pub depth: u64,
    /// Where it was read.
    pub source: Source,
}

impl HostFamily for Storage {
    const WATCHED: &'static [&'static str] = &[
        "/etc/fstab",
        "/etc/crypttab",
        "/etc/cryptsetup-keys.d/*",
        "/etc/nfsmount.conf",
        "/etc/kernel/cmdline",
        "/etc/default/grub",
        "/etc/default/grub.d/*",
        "/etc/systemd/sleep.conf",
        "/etc/systemd/sleep.conf.d/*",
    ];

    fn gather(host: &Host, gaps: &mut Gaps) -> Option<Self> {
        let view = match View::open(host) {
            Ok(view) => view,
            Err(e) => {
                gaps.add(e.to_gap(Self::NAME, "", ""));
                return None;
            }
        };
        let mut volumes = match &view {
            View::Kernel { host, mounts, mappings, .. } => from_kernel(host, mounts, mappings, gaps),
            View::Configuration { tables, .. } => from_tables(tables, gaps),
        };
        volumes.sort_by(|a, b| a.subject.cmp(&b.subject));
        for volume in volumes.iter().filter(|v| v.encrypted == "unknown") {
            gaps.note(
                Self::NAME,
                "volumes.encrypted",
                &volume.subject,
                reason::UNSUPPORTED,
                volume.why.clone(),
                "Show by other evidence how the layer below is encrypted.",
            );
        }
        let mut data = data::gather(&view, gaps);
        let (hibernation, images) = hibernation::gather(&view, gaps);
        data.extend(images);
        let (crypt, key_files) = (crypt::gather(&view, gaps), keys::gather(&view, gaps));
        Some(Self { volumes, data, crypt, key_files, hibernation, from_configuration: !host.is_live() })
    }
}

fn from_kernel(host: &Host, mounts: &Mounts, mappings: &[Mapping], gaps: &mut Gaps) -> Vec<Volume> {
    if let Some(e) = &mounts.own_view {
        gaps.add(Gap { detail: format!("{e}: mounts are those of the scan's own view"), ..e.to_gap(Storage::NAME, "volumes", "") });
    }
    // A later mount at the same point hides the earlier one.
    let mut volumes: BTreeMap<String, Volume> = BTreeMap::new();
    for mount in &mounts.items {
        volumes.remove(&mount.point);
        let mut tracer = Tracer::new(host, mounts, mappings);
        if !live::keeps_data(&tracer, mount) {
            continue;
        }
        let layer = tracer.mount(mount, 0);
        note_errors(gaps, &mount.point, tracer.errors);
        let source = Source::line(mounts.place.clone(), mount.line, "");
        if let Some(volume) = volume(&mount.point, "mount", &mount.file_system, &mount.source, source, &layer) {
            let transport = network::transport(host, &mount.file_system, &mount.source, &mount.options);
            volumes.insert(mount.point.clone(), carried(volume, transport));
        }
    }
    let areas = mounts::swaps(host).unwrap_or_else(|e| {
        gaps.add(e.to_gap(Storage::NAME, "volumes", ""));
        Vec::new()
    });
    for area in areas {
        let subject = format!("swap {}", area.path);
        let mut tracer = Tracer::new(host, mounts, mappings);
        let layer = tracer.swap(&area);
        note_errors(gaps, &subject, tracer.errors);
        let source = Source::line(mounts::SWAPS, area.line, "");
        if let Some(volume) = volume(&subject, "swap", "swap", &area.path, source, &layer) {
            volumes.insert(subject, volume);
        }
    }
    volumes.into_values().collect()
}

/// Unread details spoil the details only: the answer has its own gap when it is unknown.
fn note_errors(gaps: &mut Gaps, subject: &str, errors: Vec<ReadError>) {
    for error in errors {
        gaps.add(error.to_gap(Storage::NAME, "volumes.chain.detail", subject));
    }
}

fn from_tables(tables: &Tables<'_>, gaps: &mut Gaps) -> Vec<Volume> {
    if let Some(e) = &tables.fstab_error {
        gaps.add(e.to_gap(Storage::NAME, "volumes", ""));
    }
    let mut volumes: BTreeMap<String, Volume> = BTreeMap::new();
    for entry in &tables.entries {
        let (usage, subject) = if entry.point.is_empty() { ("swap", format!("swap {}", entry.device)) } else { ("mount", entry.point.clone()) };
        let source = Source::line(entry.place.clone(), entry.line, "");
        if let Some(mut volume) = volume(&subject, usage, &entry.file_system, &entry.device, source, &tables.layers(entry)) {
            volume.removable_or_boot |= is_set_aside(entry);
            let transport = network::transport(tables.host(), &entry.file_system, &entry.device, &entry.options);
            volumes.insert(subject, carried(volume, transport));
        }
    }
    volumes.into_values().collect()
}

fn carried(volume: Volume, transport: Option<Transport>) -> Volume {
    match transport {
        Some(transport) => Volume { transport: transport.word.into(), transport_why: transport.why, ..volume },
        None => volume,
    }
}

/// `None` when everything ends in memory: nothing is at rest.
fn volume(subject: &str, usage: &str, file_system: &str, device: &str, source: Source, layer: &Layer) -> Option<Volume> {
    if layer.is_memory() {
        return None;
    }
    let (encrypted, why) = layer.judge();
    let remote = is_elsewhere(layer.kind);
    let (why, device) = if remote { (redact::text(&why), redact::text(device)) } else { (why, device.to_string()) };
    let mut chain = Vec::new();
    flatten(layer, 0, &mut chain);
    Some(Volume {
        subject: subject.into(),
        usage: usage.into(),
        file_system: file_system.into(),
        device,
        removable_or_boot: is_boot_or_media(subject, file_system),
        encrypted: encrypted.word().into(),
        why,
        transport: String::new(),
        transport_why: String::new(),
        chain,
        source,
    })
}

fn is_boot_or_media(point: &str, file_system: &str) -> bool {
    const MEDIA: &[&str] = &["iso9660", "udf", "squashfs", "erofs", "cramfs", "romfs"];
    let boot = ["/boot", "/boot/efi", "/boot/firmware", "/efi"].contains(&point);
    boot || file_system.split(',').all(|kind| MEDIA.contains(&kind))
}

/// An entry for a drive whose medium is put in by hand.
fn is_set_aside(entry: &Entry) -> bool {
    let drive = ["/dev/sr", "/dev/cdrom", "/dev/dvd", "/dev/fd"].iter().any(|p| entry.device.starts_with(p));
    let by_user = entry.has("noauto") && ["user", "users", "owner"].iter().any(|o| entry.has(o));
    drive || is_boot_or_media(&entry.point, &entry.file_system) || (by_user && entry.point.starts_with("/media/"))
}

/// Sources that may be addresses with a password in them.
fn is_elsewhere(kind: &str) -> bool {
    matches!(kind, "network" | "fuse")
}

/// Most links kept of one volume.
const LINK_LIMIT: usize = 4096;

fn flatten(layer: &Layer, depth: u64, out: &mut Vec<Link>) {
    if out.len() == LINK_LIMIT {
        return;
    }
    out.push(Link {
        kind: layer.kind.into(),
        name: if is_elsewhere(layer.kind) { redact::text(&layer.name) } else { layer.name.clone() },
        detail: layer.detail.clone(),
        encrypted: layer.encrypts,
        depth,
        source: Source::line(layer.place.clone(), layer.line, ""),
    });
    for below in &layer.below {
        flatten(below, depth + 1, out);
    }
}
