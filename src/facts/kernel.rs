//! The running kernel against the installed ones.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Document, HostFamily};
use crate::host::debian::version;
use crate::host::manager::{self, Manager};
use crate::host::{CONFIG_LIMIT, FileKind, Host, apk, rpm};
use crate::model::fact::Source;
use crate::model::gap::{Gap, Gaps, reason};

/// Kernels of this machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Kernel {
    /// Release of the running kernel (uname(2)); `null` for a root folder.
    pub running: Option<String>,
    /// Version of the package that built the running kernel, as the kernel itself says (Debian, Ubuntu); `null` elsewhere.
    pub running_version: Option<String>,
    /// When the machine was booted (`btime` of /proc/stat), Unix seconds; `null` for a root folder.
    #[schemars(extend("x-volatile" = true))]
    pub boot_at: Option<i64>,
    /// Kernels in `/boot` and `/usr/lib/modules`, oldest version first.
    pub installed: Vec<InstalledKernel>,
    /// Release of the newest installed kernel of the running one's flavour (`cloud-amd64`, `generic`); of any flavour for a root folder
    /// and when none of that flavour is installed; `null` when no kernel is installed at all (containers, netboot).
    pub newest: Option<String>,
    /// Whether no installed kernel of that flavour is newer than the running one, by release or, for the same release, by package version; `null` when either is unknown.
    pub running_is_newest: Option<bool>,
    /// Whether the distribution asks for a restart: `/run/reboot-required` (Debian, Ubuntu), `/run/reboot-needed` (SUSE), or a core package
    /// that rpm installed after the machine was booted.
    pub reboot_required: bool,
    /// Packages of `/run/reboot-required.pkgs`, or those core packages, sorted.
    pub reboot_required_by: Vec<String>,
    /// Live patches that the running kernel has loaded, by name.
    #[serde(default)]
    pub livepatches: Vec<Livepatch>,
}

/// A patch of the running kernel (/sys/kernel/livepatch).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Livepatch {
    /// Name of its module.
    pub subject: String,
    /// Whether it is in force.
    pub enabled: bool,
    /// Its folder.
    pub source: Source,
}

impl Document for Kernel {
    const NAME: &'static str = "kernel";
    const TITLE: &'static str = "Running kernel against installed kernels";
}

/// One installed kernel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InstalledKernel {
    /// Release, such as `6.1.0-28-amd64`.
    pub release: String,
    /// Package that owns it; empty when no package does.
    pub package: String,
    /// Version of that package; empty when no package owns it.
    pub version: String,
    /// Its image or module folder.
    pub source: Source,
}

impl HostFamily for Kernel {
    const WATCHED: &'static [&'static str] = &["/boot/*", "/lib/modules/*", "/usr/lib/modules/*", "/run/reboot-required*", "/run/reboot-needed"];

    fn gather(host: &Host, gaps: &mut Gaps) -> Option<Self> {
        let installed = installed(host, gaps);
        let running = if host.is_live() { first_line(host, gaps, "/proc/sys/kernel/osrelease", "running") } else { None };
        let running_version = if host.is_live() { running_version(host) } else { None };
        if !host.is_live() {
            for path in ["running", "running_version", "running_is_newest", "boot_at", "reboot_required", "livepatches"] {
                gaps.note(Self::NAME, path, "", reason::NEEDS_LIVE_KERNEL, "a root folder has no running kernel", "Scan the machine itself.");
            }
        }
        let order = order(host);
        let newest = newest(running.as_deref(), &installed).map(|k| k.release.clone());
        let livepatches = livepatches(host, gaps);
        let running_is_newest = running.as_deref().and_then(|r| is_newest(r, running_version.as_deref(), &installed, order));
        let boot_at = boot_at(host, gaps);
        let (reboot_required, reboot_required_by) = reboot(host, gaps, boot_at);
        Some(Self { boot_at, running, running_version, installed, newest, running_is_newest, reboot_required, reboot_required_by, livepatches })
    }
}

fn first_line(host: &Host, gaps: &mut Gaps, place: &str, path: &str) -> Option<String> {
    match host.read_text(place, CONFIG_LIMIT) {
        Ok(text) => text.lines().next().map(|l| l.trim().to_string()),
        Err(e) => {
            gaps.add(e.to_gap(Kernel::NAME, path, ""));
            None
        }
    }
}

/// Debian puts its version into `/proc/version`, Ubuntu into `/proc/version_signature`.
fn running_version(host: &Host) -> Option<String> {
    if let Ok(signature) = host.read_text("/proc/version_signature", 4096) {
        // `Ubuntu 5.15.0-91.101-generic 5.15.131`: the flavour is no part of the package's version.
        let version = signature.strip_prefix("Ubuntu ")?.split_whitespace().next()?;
        return version.rsplit_once('-').map(|(v, _)| v.to_string());
    }
    let text = host.read_text("/proc/version", 4096).ok()?;
    let mut words = text.split_whitespace().skip_while(|w| *w != "Debian").skip(1);
    words.next().filter(|w| w.starts_with(|c: char| c.is_ascii_digit())).map(String::from)
}

fn installed(host: &Host, gaps: &mut Gaps) -> Vec<InstalledKernel> {
    let mut places: BTreeMap<String, String> = BTreeMap::new();
    // Fedora and others keep the image in the module folder, Debian in /boot: the image is preferred as evidence.
    for folder in ["/lib/modules", "/usr/lib/modules"] {
        for entry in list(host, gaps, folder).into_iter().filter(|e| e.kind == FileKind::Folder) {
            let place = format!("{folder}/{}", entry.name);
            // Headers and left-over modules make a folder, too; a kernel has its own modules or image in it.
            if ["kernel", "vmlinuz"].iter().any(|n| host.exists(&format!("{place}/{n}")).unwrap_or(false)) {
                places.insert(entry.name, place);
            }
        }
    }
    for entry in list(host, gaps, "/boot").into_iter().filter(|e| e.kind == FileKind::File) {
        let release = entry.name.strip_prefix("vmlinuz-").or_else(|| entry.name.strip_prefix("vmlinux-"));
        let left_over = |r: &str| r.contains("rescue") || r.contains(".dpkg-") || [".old", ".bak", ".signed"].iter().any(|suffix| r.ends_with(suffix));
        // Alpine names its image by the flavour alone (`vmlinuz-lts`); the release is that of its module folder.
        if let Some(release) = release.filter(|r| r.starts_with(|c: char| c.is_ascii_digit()) && !left_over(r)) {
            places.insert(release.into(), format!("/boot/{}", entry.name));
        }
    }
    let owned: BTreeSet<String> = places.values().cloned().collect();
    let owners = manager::owners(host, &owned).unwrap_or_else(|gap| {
        gaps.add(Gap { family: Kernel::NAME.into(), path: "installed.package".into(), ..*gap });
        BTreeMap::new()
    });
    let versions = if owners.is_empty() { BTreeMap::new() } else { manager::versions(host) };
    let order = order(host);
    let mut out: Vec<InstalledKernel> = places
        .into_iter()
        .map(|(release, place)| {
            let package = owners.get(&place).cloned().unwrap_or_default();
            let version = versions.get(&package).map(|v| version_of(&release, v)).unwrap_or_default();
            InstalledKernel { release, package, version, source: Source::whole(place) }
        })
        .collect();
    out.sort_by(|a, b| order(number(&a.release), number(&b.release)).then_with(|| a.release.cmp(&b.release)));
    out
}

fn list(host: &Host, gaps: &mut Gaps, folder: &str) -> Vec<crate::host::Entry> {
    match host.list(folder) {
        Ok(entries) => entries,
        Err(e) if e.is_not_found() => Vec::new(),
        Err(e) => {
            for path in ["installed", "newest", "running_is_newest"] {
                gaps.add(e.to_gap(Kernel::NAME, path, ""));
            }
            Vec::new()
        }
    }
}

/// Of several versions of a package (rpm keeps old kernels installed) the one that made a release.
fn version_of(release: &str, versions: &[String]) -> String {
    let made = |v: &&String| release.starts_with(v.as_str()) || v.starts_with(number(release));
    versions.iter().find(made).or(versions.last()).cloned().unwrap_or_default()
}

/// Releases are ordered as the distribution orders its versions: `427.13.1.el9` is newer than `427.el9`
/// to rpm and older to dpkg.
fn order(host: &Host) -> fn(&str, &str) -> Ordering {
    match manager::of(host) {
        Some(Manager::Rpm) => rpm::version::compare,
        Some(Manager::Apk) => apk::version::compare_kernels,
        _ => version::compare,
    }
}

/// `6.1.0-28-cloud-amd64` is version `6.1.0-28` of flavour `cloud-amd64`: flavours are no order.
fn number(release: &str) -> &str {
    let mut end = 0;
    for part in release.split_inclusive('-') {
        if end > 0 && part.starts_with(|c: char| c.is_ascii_alphabetic()) {
            break;
        }
        end += part.len();
    }
    release.get(..end).unwrap_or(release).trim_end_matches('-')
}

/// What follows the version: `cloud-amd64`; a machine that runs one flavour boots the newest of it.
fn flavour(release: &str) -> &str {
    release.get(number(release).len()..).unwrap_or_default()
}

fn newest<'a>(running: Option<&str>, installed: &'a [InstalledKernel]) -> Option<&'a InstalledKernel> {
    let same = running.and_then(|r| installed.iter().rfind(|k| flavour(&k.release) == flavour(r)));
    same.or_else(|| installed.last())
}

fn livepatches(host: &Host, gaps: &mut Gaps) -> Vec<Livepatch> {
    const FOLDER: &str = "/sys/kernel/livepatch";
    if !host.is_live() {
        return Vec::new();
    }
    let entries = match host.list(FOLDER) {
        Ok(entries) => entries,
        Err(e) if e.is_not_found() => return Vec::new(),
        Err(e) => {
            gaps.add(e.to_gap(Kernel::NAME, "livepatches", ""));
            return Vec::new();
        }
    };
    let mut out = Vec::new();
    for entry in entries.into_iter().filter(|e| e.kind == FileKind::Folder) {
        let place = format!("{FOLDER}/{}", entry.name);
        match host.read_text(&format!("{place}/enabled"), 64) {
            Ok(text) => out.push(Livepatch { subject: entry.name, enabled: text.trim() == "1", source: Source::whole(place) }),
            Err(e) => gaps.add(e.to_gap(Kernel::NAME, "livepatches", &entry.name)),
        }
    }
    out
}

/// A security update of Debian may keep the release and raise the package's version only.
fn is_newest(running: &str, running_version: Option<&str>, installed: &[InstalledKernel], order: fn(&str, &str) -> Ordering) -> Option<bool> {
    let newest = newest(Some(running), installed)?;
    if order(number(running), number(&newest.release)) == Ordering::Less {
        return Some(false);
    }
    let same = installed.iter().find(|k| k.release == running && !k.version.is_empty());
    match (running_version, same) {
        (Some(running), Some(kernel)) => Some(order(running, &kernel.version) != Ordering::Less),
        _ => Some(true),
    }
}

fn boot_at(host: &Host, gaps: &mut Gaps) -> Option<i64> {
    const STAT_LIMIT: usize = 8 << 20;
    if !host.is_live() {
        return None;
    }
    match host.read_text("/proc/stat", STAT_LIMIT) {
        Ok(text) => text.lines().find_map(|l| l.strip_prefix("btime ")).and_then(|v| v.trim().parse().ok()),
        Err(e) => {
            gaps.add(e.to_gap(Kernel::NAME, "boot_at", ""));
            None
        }
    }
}

/// Packages whose update takes effect at a restart only: the list of `dnf needs-restarting --reboothint`.
const CORE: &[&str] =
    &["dbus", "dbus-broker", "dbus-daemon", "glibc", "kernel", "kernel-core", "kernel-rt", "linux-firmware", "microcode_ctl", "openssl-libs", "systemd"];

fn reboot(host: &Host, gaps: &mut Gaps, boot_at: Option<i64>) -> (bool, Vec<String>) {
    let (mut required, mut by) = (false, Vec::new());
    // `/var/run` is a link to `/run` but on machines that were never merged.
    for place in ["/run/reboot-required", "/var/run/reboot-required", "/run/reboot-needed"] {
        required |= host.exists(place).unwrap_or_else(|e| {
            gaps.add(e.to_gap(Kernel::NAME, "reboot_required", ""));
            false
        });
    }
    for place in ["/run/reboot-required.pkgs", "/var/run/reboot-required.pkgs"] {
        match host.read_text(place, CONFIG_LIMIT) {
            Ok(text) => by.extend(text.lines().map(|l| l.trim().to_string()).filter(|l| !l.is_empty())),
            Err(e) if e.is_not_found() => {}
            Err(e) => gaps.add(e.to_gap(Kernel::NAME, "reboot_required_by", "")),
        }
    }
    if let (Some(boot), Some(Manager::Rpm)) = (boot_at, manager::of(host)) {
        let packages = rpm::database::read(host).ok().flatten().map(|d| d.packages).unwrap_or_default();
        let later = packages.into_iter().filter(|p| CORE.contains(&p.name.as_str()) && p.installed_at.is_some_and(|at| at > boot));
        by.extend(later.map(|p| p.name));
        required |= !by.is_empty();
    }
    by.sort();
    by.dedup();
    (required, by)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kernel(release: &str, version: &str) -> InstalledKernel {
        InstalledKernel { release: release.into(), package: "p".into(), version: version.into(), source: Source::default() }
    }

    #[test]
    fn releases_are_compared_without_their_flavour() {
        for (release, expected) in [
            ("6.1.0-28-cloud-amd64", "6.1.0-28"),
            ("5.15.0-91-generic", "5.15.0-91"),
            ("6.12.9-200.fc41.x86_64", "6.12.9-200.fc41.x86_64"),
            ("6.12.43+deb13-amd64", "6.12.43+deb13"),
            ("custom", "custom"),
            ("", ""),
        ] {
            assert_eq!(number(release), expected);
        }
    }

    #[test]
    fn an_update_under_the_same_release_is_seen() {
        let is_newest = |running, version, installed: &[InstalledKernel]| is_newest(running, version, installed, version::compare);
        let installed = [kernel("6.1.0-9-amd64", "6.1.27-1"), kernel("6.1.0-28-amd64", "6.1.120-1")];
        assert_eq!(is_newest("6.1.0-28-amd64", Some("6.1.120-1"), &installed), Some(true));
        assert_eq!(is_newest("6.1.0-28-amd64", Some("6.1.119-1"), &installed), Some(false));
        assert_eq!(is_newest("6.1.0-9-amd64", None, &installed), Some(false));
        assert_eq!(is_newest("6.1.0-28-rt-amd64", None, &installed), Some(true));
        assert_eq!(is_newest("6.1.0-28-amd64", None, &[]), None);
        let other = [kernel("6.1.0-28-amd64", "6.1.120-1"), kernel("6.1.0-31-rt-amd64", "6.1.128-1")];
        assert_eq!(is_newest("6.1.0-28-amd64", Some("6.1.120-1"), &other), Some(true), "the newer one is of another flavour");
        assert_eq!(is_newest("6.1.0-30-cloud-amd64", None, &other), Some(false), "none of its own flavour is installed");
    }

    #[test]
    fn kernels_of_rpm_are_ordered_as_rpm_does() {
        let order = rpm::version::compare;
        let installed = [kernel("5.14.0-427.el9.x86_64", "5.14.0-427.el9"), kernel("5.14.0-427.13.1.el9_4.x86_64", "5.14.0-427.13.1.el9_4")];
        assert_eq!(is_newest("5.14.0-427.el9.x86_64", None, &installed, order), Some(false));
        assert_eq!(is_newest("5.14.0-427.13.1.el9_4.x86_64", None, &installed, order), Some(true));
        assert_eq!(is_newest("6.6.31-0-lts", None, &[kernel("6.6.41-0-lts", "6.6.41-r0")], apk::version::compare_kernels), Some(false));
    }

    #[test]
    fn a_recorded_machine() {
        let root = tempfile::tempdir().unwrap();
        let make = |path: &str, text: &str| {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        make("boot/vmlinuz-6.1.0-28-amd64", "");
        make("boot/vmlinuz-6.1.0-9-amd64", "");
        make("usr/lib/modules/6.1.0-28-amd64/kernel/x", "");
        make("usr/lib/modules/6.1.0-31-amd64/build/x", "");
        make("proc/sys/kernel/osrelease", "6.1.0-9-amd64\n");
        make("proc/version", "Linux version 6.1.0-9-amd64 (x@y) (gcc-12) #1 SMP PREEMPT_DYNAMIC Debian 6.1.27-1 (2023-05-08)\n");
        make("proc/stat", "cpu 1\nbtime 1700000000\n");
        make("boot/vmlinuz-6.1.0-40-amd64.dpkg-tmp", "");
        make("sys/kernel/livepatch/kpatch_1/enabled", "1\n");
        make("run/reboot-required", "");
        make("run/reboot-required.pkgs", "b\na\nb\n");
        let mut gaps = Gaps::new();
        let facts = Kernel::gather(&Host::recorded(root.path()).unwrap(), &mut gaps).unwrap();
        let releases: Vec<&str> = facts.installed.iter().map(|k| k.release.as_str()).collect();
        assert_eq!(releases, ["6.1.0-9-amd64", "6.1.0-28-amd64"]);
        assert_eq!((facts.running_version.as_deref(), facts.running_is_newest, facts.boot_at), (Some("6.1.27-1"), Some(false), Some(1_700_000_000)));
        assert_eq!((facts.reboot_required, facts.reboot_required_by), (true, vec!["a".to_string(), "b".to_string()]));
        assert_eq!(facts.livepatches.iter().map(|p| (p.subject.as_str(), p.enabled)).collect::<Vec<_>>(), [("kpatch_1", true)]);
        assert!(gaps.into_sorted().is_empty());
    }
}
