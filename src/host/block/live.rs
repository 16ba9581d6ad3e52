//! What a mount of the running kernel stands on.

use super::device::Tracer;
use super::layer::{End, Layer};
use super::mounts::{Mount, Swap};

/// File systems of other machines.
const NETWORK: &[&str] = &[
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "smbfs",
    "ceph",
    "glusterfs",
    "9p",
    "afs",
    "lustre",
    "virtiofs",
    "ncpfs",
    "gfs2",
    "ocfs2",
    "orangefs",
    "beegfs",
    "vboxsf",
    "vmhgfs",
];
/// FUSE file systems that keep no data of their own.
const FUSE_VIEWS: &[&str] = &["fuse.portal", "fuse.gvfsd-fuse", "fuse.lxcfs", "fuse.vmware-vmblock", "fuse.snapfuse", "fuse.overlayfs-view"];

/// Whether a mount keeps data: backed by a device, remote, FUSE, or an overlay that is not merely
/// a view of folders on another mount that is listed itself.
pub fn keeps_data(tracer: &Tracer<'_>, mount: &Mount) -> bool {
    let kind = mount.file_system.as_str();
    let anonymous = mount.device.starts_with("0:");
    match kind {
        "overlay" => mount.point == "/" || upper(tracer, mount).is_none(),
        "btrfs" | "zfs" | "bcachefs" | "ecryptfs" => true,
        _ if NETWORK.contains(&kind) => true,
        _ if kind.starts_with("fuse.") => !FUSE_VIEWS.contains(&kind),
        _ => !anonymous || mount.source.starts_with("/dev/") && kind != "devtmpfs",
    }
}

/// The mount that holds the writable folder of an overlay.
fn upper<'m>(tracer: &'m Tracer<'_>, mount: &Mount) -> Option<&'m Mount> {
    let option = |name: &str| mount.options.split(',').find_map(|o| o.strip_prefix(name));
    let folder = option("upperdir=").or_else(|| option("lowerdir=").and_then(|l| l.split(':').next()))?;
    // In a container the folder is a path of the host and would lead back to the overlay itself.
    tracer.mounts.of_path(folder).filter(|m| m.file_system != "overlay" && m.line != mount.line)
}

impl Tracer<'_> {
    /// The layers below a mount.
    pub fn mount(&mut self, mount: &Mount, depth: usize) -> Layer {
        let layer = self.below(mount, depth);
        if layer.place == self.mounts.place { layer.at_line(mount.line) } else { layer }
    }

    fn below(&mut self, mount: &Mount, depth: usize) -> Layer {
        let place = self.mounts.place.clone();
        let (kind, source) = (mount.file_system.as_str(), mount.source.as_str());
        let unknown = |layer: &'static str, why: String| Layer::last(layer, source, kind, &place, End::Unknown(why));
        if NETWORK.contains(&kind) {
            return unknown("network", format!("{kind}: how the other side keeps {source} is not visible"));
        }
        match kind {
            "overlay" => {
                return match upper(self, mount).cloned() {
                    Some(below) if depth < 32 => {
                        let below = vec![self.mount(&below, depth + 1)];
                        Layer::over("overlay", source, "", place, below)
                    }
                    _ => unknown("overlay", "the file system that holds this overlay is not visible from here".into()),
                };
            }
            "ecryptfs" => return Layer { encrypts: true, ..Layer::over("crypt", source, "ecryptfs", place, Vec::new()) },
            "zfs" => return unknown("zfs", "zfs: whether the dataset is encrypted is not visible in files".into()),
            "btrfs" => return self.btrfs(mount, depth),
            _ if kind.starts_with("fuse.") => return unknown("fuse", format!("{kind}: where it keeps data is not visible")),
            _ => {}
        }
        let number = if mount.device.starts_with("0:") { self.number_of(source) } else { Some(mount.device.clone()) };
        let Some(number) = number else {
            return unknown("unknown", format!("{kind} has no device of its own"));
        };
        let device = self.device(&number, depth + 1);
        if mount.root == "/" { device } else { Layer::over("bind", &mount.root, "", place, vec![device]) }
    }

    /// A btrfs may span several devices; sysfs lists them under its id.
    fn btrfs(&mut self, mount: &Mount, depth: usize) -> Layer {
        let base = "/sys/fs/btrfs";
        let number = self.number_of(&mount.source);
        let name = number.as_ref().map(|n| self.device(n, depth + 1)).map(|l| l.name).unwrap_or_default();
        let kernel_name = mount.source.rsplit('/').next().unwrap_or_default().to_string();
        let all = self.host.list(base).unwrap_or_default();
        let mine = all.iter().find(|e| {
            let devices = self.host.list(&format!("{base}/{}/devices", e.name)).unwrap_or_default();
            devices.iter().any(|d| {
                d.name == kernel_name || d.name == name || number.as_ref().is_some_and(|n| self.is_device(&format!("{base}/{}/devices/{}", e.name, d.name), n))
            })
        });
        match (mine, number) {
            (Some(entry), _) => {
                let place = format!("{base}/{}", entry.name);
                let below = self.parts(&place, "devices", depth + 1);
                Layer::over("btrfs", &mount.source, format!("{} devices", below.len()), place, below)
            }
            // Without the list of devices, one that is encrypted proves nothing about others.
            (None, Some(_)) | (None, None) => {
                let why = format!("the devices of btrfs {} are not visible in sysfs", mount.source);
                Layer::last("btrfs", &mount.source, "", base, End::Unknown(why))
            }
        }
    }

    fn is_device(&self, place: &str, number: &str) -> bool {
        self.host.read_text(&format!("{place}/dev"), 64).is_ok_and(|t| t.trim() == number)
    }

    /// The layers below a swap area.
    pub fn swap(&mut self, swap: &Swap) -> Layer {
        if swap.is_file {
            let Some(mount) = self.mounts.of_path(&swap.path).cloned() else {
                return Layer::last("file", &swap.path, "", super::mounts::SWAPS, End::Unknown("the file system of the swap file is not visible".into()));
            };
            let below = vec![self.mount(&mount, 1)];
            return Layer::over("file", &swap.path, "", super::mounts::SWAPS, below);
        }
        match self.number_of(&swap.path) {
            Some(number) => self.device(&number, 0),
            None => Layer::last("unknown", &swap.path, "", super::mounts::SWAPS, End::Unknown(format!("{} is not visible in sysfs", swap.path))),
        }
    }
}
