//! A root with planted files and sound decoys: every fault is found with its place, nothing sound
//! is reported, and `find` sees the same.

use std::collections::BTreeSet;
use std::ffi::CStr;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use rustix::fs::{CWD, FileType, Mode, Uid, XattrFlags};
use serde_json::Value;

use super::support::{ASSAY, run, text};

const KEY: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIA\n-----END PRIVATE KEY-----\n";
const LOCKED_KEY: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIGbMFcGCSqGSIb3DQEFDTBKMC\n-----END ENCRYPTED PRIVATE KEY-----\n";

struct Planted<'a>(&'a Path);

impl Planted<'_> {
    fn at(&self, path: &str) -> std::path::PathBuf {
        self.0.join(path.trim_start_matches('/'))
    }

    fn file(&self, path: &str, content: &str, mode: u32) {
        let path = self.at(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    }

    fn folder(&self, path: &str, mode: u32) {
        std::fs::create_dir_all(self.at(path)).unwrap();
        std::fs::set_permissions(self.at(path), PermissionsExt::from_mode(mode)).unwrap();
    }

    fn owner(&self, path: &str, uid: u32, gid: u32) {
        let (uid, gid) = (Uid::from_raw(uid), rustix::fs::Gid::from_raw(gid));
        rustix::fs::chownat(CWD, self.at(path), Some(uid), Some(gid), rustix::fs::AtFlags::SYMLINK_NOFOLLOW).unwrap();
    }

    fn device(&self, path: &str, kind: FileType, major: u32, minor: u32) {
        let path = self.at(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        rustix::fs::mknodat(CWD, path, kind, Mode::from_raw_mode(0o600), rustix::fs::makedev(major, minor)).unwrap();
    }

    /// Revision 2 of `struct vfs_ns_cap_data`: these low words, in force from the start.
    fn capability(&self, path: &str, permitted: u32) {
        const NAME: &CStr = c"security.capability";
        let words = [0x0200_0001, permitted, 0, 0, 0].map(u32::to_le_bytes).concat();
        rustix::fs::setxattr(self.at(path), NAME, &words, XattrFlags::empty()).unwrap();
    }
}

/// Every part of the tree; `Some` verdict lists name what must fail.
fn plant(root: &Path) {
    let p = Planted(root);
    p.file("/etc/passwd", "root:x:0:0:root:/root:/bin/bash\nalice:x:1000:1000::/home/alice:/bin/bash\npolkitd:x:104:104::/:/bin/false\n", 0o644);
    p.file("/etc/group", "root:x:0:\nshadow:x:42:\nalice:x:1000:\n", 0o644);
    p.file("/etc/subuid", "alice:100000:65536\n", 0o644);
    p.file(
        "/etc/fstab",
        "UUID=1 / ext4 defaults 0 1\n# /dev/x /var/tmp ext4 defaults\ntmpfs /tmp tmpfs nosuid,nodev,noexec\n/dev/vdb /home ext4 nodev\n",
        0o644,
    );
    p.file("/usr/bin/bash", "the shell", 0o755);
    // Set-ID: sound ones that distributions ship, in the merged and the old layout.
    for path in ["/usr/bin/passwd", "/bin/su", "/usr/lib/openssh/ssh-keysign"] {
        p.file(path, "x", 0o4755);
    }
    p.file("/usr/bin/chage", "x", 0o2755);
    p.owner("/usr/bin/chage", 0, 42);
    p.folder("/tmp", 0o1777);
    p.folder("/var/tmp", 0o1777);
    p.file("/usr/local/sbin/.helper", "the shell", 0o4755);
    p.file("/usr/bin/find", "a program that is never shipped so", 0o4755);
    p.file("/var/tmp/su", "x", 0o4755);
    p.file("/home/alice/passwd", "x", 0o4755);
    p.file("/usr/local/bin/readshadow", "x", 0o2755);
    p.owner("/usr/local/bin/readshadow", 0, 42);
    std::fs::set_permissions(p.at("/usr/bin/chage"), PermissionsExt::from_mode(0o2755)).unwrap();
    std::fs::set_permissions(p.at("/usr/local/bin/readshadow"), PermissionsExt::from_mode(0o2755)).unwrap();
    // A shell in the place of a program that is shipped so.
    p.file("/usr/bin/chfn", "the shell", 0o4755);
    // Programs that others may change; sound: a folder's content told above, a service's own, what lies in /opt.
    p.file("/usr/lib/x86_64-linux-gnu/libc.so.6", "x", 0o755);
    p.owner("/usr/lib/x86_64-linux-gnu/libc.so.6", 1000, 0);
    p.file("/usr/local/bin/report", "x", 0o775);
    p.owner("/usr/local/bin/report", 0, 1000);
    p.owner("/usr/local/bin", 0, 1000);
    p.folder("/usr/local/bin", 0o775);
    p.file("/usr/lib/polkit-1/rules", "x", 0o644);
    p.owner("/usr/lib/polkit-1/rules", 104, 0);
    p.file("/opt/tool/run", "x", 0o755);
    p.owner("/opt/tool/run", 1000, 1000);
    // Sound: no execution, a bit on a folder, a nosuid mount, a link, a layer of an image.
    p.file("/opt/data/archive", "x", 0o4644);
    p.folder("/srv/team", 0o2775);
    p.file("/tmp/x", "x", 0o4755);
    symlink("/usr/bin/find", p.at("/opt/find")).unwrap();
    p.file("/var/lib/docker/overlay2/l/diff/usr/bin/odd", "x", 0o4755);
    // Capabilities: 13 net_raw, 10 net_bind_service, 7 setuid, 21 sys_admin.
    p.file("/usr/bin/ping", "x", 0o755);
    p.capability("/usr/bin/ping", 1 << 13);
    p.file("/opt/web/server", "x", 0o755);
    p.capability("/opt/web/server", 1 << 10);
    p.file("/usr/bin/python3.11", "x", 0o755);
    p.capability("/usr/bin/python3.11", 1 << 7);
    p.file("/usr/bin/tar", "x", 0o755);
    p.capability("/usr/bin/tar", 1 << 21 | 1 << 10);
    // Loose modes; sound: sticky, behind a closed folder, in a temporary place.
    p.file("/etc/cron.d/backup", "x", 0o666);
    p.folder("/srv/upload", 0o777);
    p.folder("/srv/drop", 0o1777);
    p.file("/root/notes", "x", 0o666);
    p.folder("/root", 0o700);
    p.folder("/var/tmp/work", 0o777);
    // Owners; what lies below is told by the folder. Sound: alice's, and the numbers that she lends.
    p.file("/srv/ghost/a", "x", 0o644);
    p.owner("/srv/ghost", 4242, 4242);
    p.owner("/srv/ghost/a", 4242, 4242);
    p.file("/home/alice/own", "x", 0o644);
    p.owner("/home/alice/own", 1000, 1000);
    p.file("/home/alice/container/x", "x", 0o644);
    p.owner("/home/alice/container", 100_010, 100_010);
    // Devices; sound: those of a chroot, a whiteout.
    p.device("/opt/.disk", FileType::BlockDevice, 250, 9);
    p.device("/var/spool/postfix/dev/urandom", FileType::CharacterDevice, 1, 9);
    p.device("/srv/chroot/dev/gone", FileType::CharacterDevice, 0, 0);
    // Keys; sound: closed, locked, closed above, published with a program, a certificate.
    p.file("/etc/nginx/web.key", KEY, 0o644);
    p.file("/srv/site/web.key.bak", &KEY.repeat(3), 0o644);
    p.file("/data/privkey", &KEY.repeat(3), 0o644);
    p.file("/home/alice/.ssh/work", &KEY.repeat(3), 0o604);
    p.file("/srv/site/closed.key.bak", &KEY.repeat(3), 0o640);
    p.file("/usr/share/app/demo.key", KEY, 0o644);
    p.file("/etc/ssl/private/ok.key", KEY, 0o640);
    p.file("/etc/ssl/locked.key", LOCKED_KEY, 0o644);
    p.file("/etc/letsencrypt/archive/x/privkey1.pem", KEY, 0o644);
    p.folder("/etc/letsencrypt/archive", 0o700);
    p.file("/opt/app/node_modules/tls/test/agent.pem", KEY, 0o644);
    p.file("/etc/ssl/certs/ca.pem", "-----BEGIN CERTIFICATE-----\nMIIB\n", 0o644);
}

const FAULTS: &[(&str, &str)] = &[
    ("files-capability-unexpected", "/usr/bin/python3.11"),
    ("files-capability-unexpected", "/usr/bin/tar"),
    ("files-device-node", "/opt/.disk"),
    ("files-mount-nosuid", "/home"),
    ("files-private-key-readable", "/data/privkey"),
    ("files-private-key-readable", "/etc/nginx/web.key"),
    ("files-private-key-readable", "/home/alice/.ssh/work"),
    ("files-private-key-readable", "/srv/site/web.key.bak"),
    ("files-program-owner", "/usr/lib/x86_64-linux-gnu/libc.so.6"),
    ("files-program-owner", "/usr/local/bin"),
    ("files-setgid-unexpected", "/usr/local/bin/readshadow"),
    ("files-setuid-unexpected", "/home/alice/passwd"),
    ("files-setuid-unexpected", "/usr/bin/chfn"),
    ("files-setuid-unexpected", "/usr/bin/find"),
    ("files-setuid-unexpected", "/usr/local/sbin/.helper"),
    ("files-setuid-unexpected", "/var/tmp/su"),
    ("files-unowned", ""),
    ("files-world-writable", "/etc/cron.d/backup"),
    ("files-world-writable", "/srv/upload"),
];

fn scan(root: &Path) -> Value {
    let (_, out, error) = run(ASSAY, &["scan", "--root", text(root), "--family", "files", "--format", "json"]);
    serde_json::from_str(&out).unwrap_or_else(|e| panic!("{e}: {out}{error}"))
}

#[test]
fn planted_files_are_found_with_their_place_and_sound_ones_are_not_reported() {
    let dir = tempfile::tempdir().unwrap();
    plant(dir.path());
    let scanned = scan(dir.path());
    let findings = scanned["findings"].as_array().unwrap();
    let failed: BTreeSet<(&str, &str)> =
        findings.iter().filter(|f| f["verdict"] == "fail").map(|f| (f["rule"].as_str().unwrap(), f["subject"].as_str().unwrap())).collect();
    assert_eq!(failed, FAULTS.iter().copied().collect());
    for (rule, subject) in FAULTS.iter().filter(|(_, subject)| !subject.is_empty() && *subject != "/home") {
        let finding = findings.iter().find(|f| f["rule"] == *rule && f["subject"] == *subject).unwrap();
        let places: Vec<&str> = finding["citations"].as_array().unwrap().iter().filter_map(|c| c["source"]["place"].as_str()).collect();
        assert!(places.contains(subject), "{rule} {subject}: {places:?}");
    }
    let message = |rule: &str, subject: &str| findings.iter().find(|f| f["rule"] == rule && f["subject"] == subject).unwrap()["message"].as_str().unwrap();
    assert!(message("files-setuid-unexpected", "/usr/local/sbin/.helper").contains("copy of /usr/bin/bash"));
    assert_eq!(message("files-unowned", ""), "1 without an owner or group: /srv/ghost (user 4242, group 4242)");
    let unknown: Vec<&str> = findings.iter().filter(|f| f["verdict"] == "unknown").map(|f| f["rule"].as_str().unwrap()).collect();
    assert_eq!(unknown, ["files-mount-nosuid", "files-mount-noexec"], "a root folder does not tell how it is mounted");
}

/// Paths that `find` prints below the root.
fn found(root: &Path, tests: &[&str]) -> BTreeSet<String> {
    let output = Command::new("find").arg(root).arg("-xdev").args(tests).output().unwrap();
    let out = String::from_utf8(output.stdout).unwrap();
    out.lines().map(|l| l.strip_prefix(text(root)).unwrap().to_string()).filter(|p| !p.is_empty()).collect()
}

#[test]
fn find_and_getcap_see_the_same() {
    let dir = tempfile::tempdir().unwrap();
    plant(dir.path());
    let files = scan(dir.path())["facts"]["files"].clone();
    let told = |list: &str| -> BTreeSet<String> { files[list].as_array().unwrap().iter().map(|i| i["subject"].as_str().unwrap().to_string()).collect() };
    assert_eq!(told("setuid"), found(dir.path(), &["-type", "f", "-perm", "/6000", "-perm", "/111"]));
    assert_eq!(told("world_writable"), found(dir.path(), &["(", "-type", "f", "-o", "-type", "d", ")", "-perm", "-0002"]));
    let nodes: BTreeSet<String> = found(dir.path(), &["(", "-type", "b", "-o", "-type", "c", ")"]).into_iter().filter(|p| !p.ends_with("/gone")).collect();
    assert_eq!(told("devices"), nodes);
    assert_eq!(told("capabilities").len(), 4);
    assert_eq!(files["entries"].as_u64().unwrap(), found(dir.path(), &["-mindepth", "1"]).len() as u64);
}

/// Takes a mount away again.
struct Mounted(std::path::PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn disks_mounted_below_are_walked_once_and_kernel_file_systems_are_not() {
    let dir = tempfile::tempdir().unwrap();
    let p = Planted(dir.path());
    p.file("/etc/passwd", "root:x:0:0::/:/bin/sh\n", 0o644);
    p.file("/etc/group", "root:x:0:\n", 0o644);
    p.file("/srv/a/x", "x", 0o4755);
    for folder in ["/mnt/memory", "/mnt/again", "/mnt/kernel", "/mnt/bind"] {
        p.folder(folder, 0o755);
    }
    let mount = |arguments: &[&str], at: &str| {
        let done = Command::new("mount").args(arguments).arg(p.at(at)).status().is_ok_and(|s| s.success());
        done.then(|| Mounted(p.at(at)))
    };
    let Some(_memory) = mount(&["-t", "tmpfs", "none"], "/mnt/memory") else { return };
    p.file("/mnt/memory/y", "x", 0o4755);
    let _again = mount(&["--bind", text(&p.at("/mnt/memory"))], "/mnt/again");
    let _bind = mount(&["--bind", text(&p.at("/srv"))], "/mnt/bind");
    let _kernel = mount(&["-t", "proc", "none"], "/mnt/kernel");
    let files = scan(dir.path())["facts"]["files"].clone();
    let told: Vec<&str> = files["setuid"].as_array().unwrap().iter().map(|i| i["subject"].as_str().unwrap()).collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told.contains(&"/srv/a/x"));
    let skipped: BTreeSet<&str> = files["skipped"].as_array().unwrap().iter().map(|i| i["subject"].as_str().unwrap()).collect();
    assert!(skipped.contains("/mnt/bind") && skipped.contains("/mnt/kernel") && skipped.len() == 3, "{skipped:?}");
}
