//! What a path of the machine gives a container that sees it.

use crate::host::root;

/// Sockets through which an engine takes commands.
pub const SOCKETS: [&str; 7] = [
    "/run/docker.sock",
    "/run/podman/podman.sock",
    "/run/containerd/containerd.sock",
    "/run/crio/crio.sock",
    "/run/k3s/containerd/containerd.sock",
    "/run/lxd/unix.socket",
    "/var/lib/lxd/unix.socket",
];
/// Folders whose change, or whose devices and processes, give the machine.
const SYSTEM: [&str; 22] = [
    "/bin",
    "/boot",
    "/dev",
    "/etc",
    "/home",
    "/lib",
    "/lib64",
    "/proc",
    "/root",
    "/run",
    "/sbin",
    "/sys",
    "/usr",
    "/var",
    "/var/lib",
    "/var/lib/containerd",
    "/var/lib/containers",
    "/var/lib/docker",
    "/var/lib/kubelet",
    "/var/run",
    "/var/spool",
    "/var/spool/cron",
];
/// Of system folders, what lies below gives the machine, too.
const DEEP: [&str; 7] = ["/etc/cron.d", "/etc/sudoers.d", "/etc/systemd", "/etc/pam.d", "/root/.ssh", "/proc/sys", "/sys/kernel"];
/// Devices of disks and memory.
const DISKS: [&str; 10] = ["/dev/sd", "/dev/nvme", "/dev/vd", "/dev/xvd", "/dev/dm-", "/dev/mapper/", "/dev/md", "/dev/mem", "/dev/kmem", "/dev/disk/"];
/// Single files that engines themselves hand in, or that every container may read.
const HARMLESS: [&str; 6] = ["/etc/localtime", "/etc/timezone", "/etc/hosts", "/etc/resolv.conf", "/etc/hostname", "/etc/machine-id"];

/// `engine`, `everything`, `system` or empty.
pub fn gives(path: &str) -> &'static str {
    let clean = root::normal(path);
    if clean == "/" {
        return "everything";
    }
    // `/var/run` is a link to `/run`.
    let short = clean.strip_prefix("/var/run/").map(|rest| format!("/run/{rest}")).unwrap_or_else(|| clean.clone());
    if SOCKETS.contains(&short.as_str()) || short.starts_with("/run/user/") && (short.ends_with("/podman.sock") || short.ends_with("/docker.sock")) {
        return "engine";
    }
    if HARMLESS.contains(&clean.as_str()) {
        return "";
    }
    let is_deep = |folder: &str| clean == folder || clean.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'));
    if DISKS.iter().any(|d| clean.starts_with(d)) {
        return "system";
    }
    if SYSTEM.contains(&clean.as_str()) || DEEP.iter().any(|f| is_deep(f)) { "system" } else { "" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_what_they_give() {
        for (path, expected) in [
            ("/", "everything"),
            ("//etc/..", "everything"),
            ("/var/run/docker.sock", "engine"),
            ("/run/user/1000/podman/podman.sock", "engine"),
            ("/etc/", "system"),
            ("/etc/cron.d/x", "system"),
            ("/var/lib/docker", "system"),
            ("/etc/localtime", ""),
            ("/srv/app", ""),
            ("/etc/nginx", ""),
            ("/var/lib/postgresql", ""),
            ("/rootless", ""),
        ] {
            assert_eq!(gives(path), expected, "{path}");
        }
    }
}
