//! What a mount of the running kernel stands on.

use super::device::Tracer;
use super::layer::{End, Layer};
use super::mounts::{Mount, Swap};
use super::{fscrypt, network, real_path};
use crate::host::ReadError;

/// FUSE programs that encrypt what they keep in another folder.
const ENCRYPTING_FUSE: &[&str] = &["fuse.gocryptfs", "fuse.encfs", "fuse.cryfs", "fuse.securefs", "fuse.cryptomator", "fuse.veracrypt"];
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
        _ if network::is_remote(kind) => true,
        _ if kind.starts_with("fuse.") => !FUSE_VIEWS.contains(&kind),
        _ => !anonymous || mount.source.starts_with("/dev/") && kind != "devtmpfs",
    }
}

/// The mount that holds the writable folder of an overlay.
fn upper<'m>(tracer: &'m Tracer<'_>, mount: &Mount) -> Option<&'m Mount> {
    // In a container the folder is a path of the host and would lead back to the overlay itself.
    tracer.mounts.of_path(&upper_folder(mount)?).filter(|m| m.file_system != "overlay" && m.line != mount.line)
}

fn upper_folder(mount: &Mount) -> Option<String> {
    let option = |name: &str| mount.options.split(',').find_map(|o| o.strip_prefix(name));
    let folder = option("upperdir=").or_else(|| option("lowerdir=").and_then(|l| l.split(':').next()))?;
    Some(folder.to_string())
}

/// Deepest nesting of paths, mounts and devices that is followed.
const DEPTH_LIMIT: usize = 32;

impl Tracer<'_> {
    /// The layers below a path: its links are followed to the mount that holds it, and a policy of
    /// its own (fscrypt) lies above that.
    pub fn path(&mut self, path: &str, depth: usize) -> Layer {
        let place = self.mounts.place.clone();
        let unknown = |why: String| Layer::last("file", path, "", &place, End::Unknown(why));
        if depth > DEPTH_LIMIT {
            return unknown(format!("more than {DEPTH_LIMIT} layers below {path}"));
        }
        let real = match real_path::follow(self.host, path, |p| self.mounts.is_remote(p)) {
            Ok(real) => real,
            Err(e) => return unknown(e.to_string()),
        };
        let Some(mount) = self.mounts.of_path(&real.path).cloned() else {
            return unknown(format!("the file system of {path} is not visible"));
        };
        if let Some(layer) = self.policy(&real.path, &mount, depth) {
            return layer;
        }
        self.mount(&mount, depth + 1)
    }

    /// An fscrypt policy over the mount that holds a path.
    fn policy(&mut self, path: &str, mount: &Mount, depth: usize) -> Option<Layer> {
        if !fscrypt::FILE_SYSTEMS.contains(&mount.file_system.as_str()) {
            return None;
        }
        match fscrypt::read(self.host, path) {
            Ok(Some(policy)) => {
                let below = vec![self.below(mount, depth + 1)];
                Some(Layer { encrypts: true, ..Layer::over("fscrypt", path, policy.shown(), path, below) })
            }
            Ok(None) => None,
            // An encrypted file can't be opened without its key; its folder has the same policy.
            Err(e) if path.len() > mount.point.len() && matches!(e, ReadError::Io(..)) => {
                let parent = path.rsplit_once('/').map(|(parent, _)| parent).filter(|p| p.len() >= mount.point.len() && !p.is_empty())?;
                self.policy(parent, mount, depth)
            }
            Err(e) if e.is_not_found() => None,
            Err(e) => {
                self.errors.push(e);
                None
            }
        }
    }

    /// The layers below a mount.
    pub fn mount(&mut self, mount: &Mount, depth: usize) -> Layer {
        if mount.root != "/"
            && depth <= DEPTH_LIMIT
            && let Some(layer) = self.policy(&mount.point, mount, depth)
        {
            return layer;
        }
        let layer = self.below(mount, depth);
        if layer.place == self.mounts.place { layer.at_line(mount.line) } else { layer }
    }

    fn below(&mut self, mount: &Mount, depth: usize) -> Layer {
        let place = self.mounts.place.clone();
        let (kind, source) = (mount.file_system.as_str(), mount.source.as_str());
        let unknown = |layer: &'static str, why: String| Layer::last(layer, source, kind, &place, End::Unknown(why));
        if depth > DEPTH_LIMIT {
            return unknown("unknown", format!("more than {DEPTH_LIMIT} layers below {}", mount.point));
        }
        if network::is_remote(kind) {
            return unknown("network", format!("{kind}: how the other side keeps {source} is not visible"));
        }
        match kind {
            "overlay" => return self.overlay(mount, depth),
            "ecryptfs" => return self.above_folder("crypt", mount, "ecryptfs", depth),
            "zfs" => return unknown("zfs", "zfs: whether the dataset is encrypted is not visible in files (zfs get encryption)".into()),
            "bcachefs" => return unknown("unknown", "bcachefs: whether it is encrypted is not visible in files".into()),
            "btrfs" => return self.btrfs(mount, depth),
            _ if ENCRYPTING_FUSE.contains(&kind) => return self.above_folder("fuse", mount, kind.trim_start_matches("fuse."), depth),
            "fuse.gocryptfs-reverse" => return unknown("fuse", format!("an encrypted view of {source}, which itself is kept as it is")),
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

    /// What is written into an overlay lies in its upper folder.
    fn overlay(&mut self, mount: &Mount, depth: usize) -> Layer {
        let place = self.mounts.place.clone();
        let folder = upper(self, mount).and_then(|_| upper_folder(mount));
        match folder {
            Some(folder) => {
                let below = vec![self.path(&folder, depth + 1)];
                Layer::over("overlay", folder, "", place, below)
            }
            None => {
                let why = "the file system that holds this overlay is not visible from here".into();
                Layer::last("overlay", &mount.source, "overlay", place, End::Unknown(why))
            }
        }
    }

    /// A file system that encrypts into another folder.
    fn above_folder(&mut self, kind: &'static str, mount: &Mount, detail: &str, depth: usize) -> Layer {
        let below = if mount.source.starts_with('/') { vec![self.path(&mount.source, depth + 1)] } else { Vec::new() };
        Layer { encrypts: true, ..Layer::over(kind, &mount.source, detail, self.mounts.place.clone(), below) }
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
                let mut below = self.parts(&place, "devices", depth + 1);
                let missing = |e: &&crate::host::Entry| self.attribute(&format!("{place}/devinfo/{}", e.name), "missing") == "1";
                let gone = self.host.list(&format!("{place}/devinfo")).unwrap_or_default().iter().filter(missing).count();
                if gone > 0 {
                    below.push(Layer::last("unknown", "missing device", "", &place, End::Unknown(format!("{gone} devices of this btrfs are missing"))));
                }
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
            let below = vec![self.path(&swap.path, 1)];
            return Layer::over("file", &swap.path, "", super::mounts::SWAPS, below);
        }
        match self.number_of(&swap.path) {
            Some(number) => self.device(&number, 0),
            None => Layer::last("unknown", &swap.path, "", super::mounts::SWAPS, End::Unknown(format!("{} is not visible in sysfs", swap.path))),
        }
    }
}
