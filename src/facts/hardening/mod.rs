//! How far the system itself is closed: kernel settings now and after the next start, permissions
//! of files that matter, mandatory access control, core dumps, default file masks.

mod access_control;
mod boot;
mod core_dumps;
mod network;
mod protected;
mod settings;
mod sysctl;
mod umask;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Document, HostFamily};
use crate::host::Host;
use crate::model::fact::Source;
use crate::model::gap::Gaps;

/// Hardening of the system.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Hardening {
    /// Kernel settings that protect, by subject.
    pub settings: Vec<Setting>,
    /// Files and folders whose owner and mode matter, as far as they are there, by subject (`rules/data/protected-files.csv`).
    pub files: Vec<ProtectedFile>,
    /// Mandatory access control that is installed.
    pub access_control: Vec<AccessControl>,
    /// Firmware and kernel lockdown.
    pub boot: Boot,
    /// Where core dumps go.
    pub core_dumps: CoreDumps,
    /// Default file masks, by subject.
    pub umasks: Vec<Umask>,
}

impl Document for Hardening {
    const NAME: &'static str = "hardening";
    const TITLE: &'static str = "Kernel settings now and at the next start, permissions of files that matter, mandatory access control, core dumps";
}

/// One kernel setting.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Setting {
    /// Key, such as `kernel.randomize_va_space`; `net.ipv4.conf.*.rp_filter`: what holds on the interfaces.
    pub subject: String,
    /// Value now; for a key of interfaces every value that takes effect on one of them (loopback left out), sorted. Empty: this kernel has no such setting, or it was not read.
    pub now: Vec<String>,
    /// Value that the files and the kernel's command line set at the next start; `null`: nothing sets it.
    pub at_boot: Option<String>,
    /// Whether value now and value at the next start are both known and differ.
    pub differs: bool,
    /// Line that decides the value at the next start; the key below `/proc/sys` when nothing does.
    pub source: Source,
}

/// One file whose permissions matter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProtectedFile {
    /// Path.
    pub subject: String,
    /// What it is for: `secret` (nobody else may read it), `log`, `boot` or `configuration` (nobody else may write it).
    pub purpose: String,
    /// Owner.
    #[schemars(extend("x-personal" = true))]
    pub owner: String,
    /// Whether it is root or an owner that the list names.
    pub owner_listed: bool,
    /// Group.
    pub group: String,
    /// Whether it is root's group, one that the list names, or one that may do nothing with it.
    pub group_listed: bool,
    /// Permission bits.
    pub mode: u32,
    /// Bits that the list's mode does not have; of a file, its rights to read and write.
    pub mode_beyond: u32,
    /// Accounts and groups that an access control list names and lets write it; of a secret: or read it.
    #[schemars(extend("x-personal" = true))]
    pub access_list: Vec<String>,
    /// The path.
    pub source: Source,
}

/// One mechanism of mandatory access control.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AccessControl {
    /// `apparmor` or `selinux`.
    pub subject: String,
    /// `enforcing`, `permissive` (told but not hindered), `no-policy` (on, and nothing is confined), `disabled`; empty: not observed.
    pub now: String,
    /// The same for the next start, by files and the kernel's command line; empty: not known.
    pub at_boot: String,
    /// Profiles of AppArmor that are enforced; `null` for others, and when not observed.
    #[schemars(extend("x-volatile" = true))]
    pub enforced: Option<u32>,
    /// Profiles of AppArmor that only complain; `null` for others, and when not observed.
    #[schemars(extend("x-volatile" = true))]
    pub complaining: Option<u32>,
    /// What decides the next start.
    pub source: Source,
}

/// Firmware and lockdown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Boot {
    /// Whether the firmware started signed code only (UEFI Secure Boot); `null` without UEFI, and when not observed.
    pub secure_boot: Option<bool>,
    /// `none`, `integrity` or `confidentiality` (kernel_lockdown(7)); empty when the kernel does not tell.
    pub lockdown: String,
}

/// Core dumps.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CoreDumps {
    /// `Storage=` of coredump.conf(5) as it takes effect: `external`, `journal` or `none`; empty when systemd-coredump is not installed.
    pub storage: String,
    /// Limits of core files, by subject.
    pub limits: Vec<CoreLimit>,
}

/// One limit of core files.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CoreLimit {
    /// `FILE:LINE`.
    pub subject: String,
    /// Whom it binds: the first word of limits.conf(5), or `services` for `DefaultLimitCORE=`.
    #[schemars(extend("x-personal" = true))]
    pub domain: String,
    /// `hard`, `soft` or `-` (both).
    pub kind: String,
    /// Value as written.
    pub value: String,
    /// The line.
    pub source: Source,
}

/// One default file mask.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Umask {
    /// `FILE:LINE`.
    pub subject: String,
    /// Value as written.
    pub value: String,
    /// The line.
    pub source: Source,
}

impl HostFamily for Hardening {
    const WATCHED: &'static [&'static str] = &[
        "/etc/sysctl.conf",
        "/etc/sysctl.d/*",
        "/usr/local/lib/sysctl.d/*",
        "/usr/lib/sysctl.d/*",
        "/etc/ufw/sysctl.conf",
        "/etc/pam.d/*",
        "/etc/security/**",
        "/etc/login.defs",
        "/etc/profile",
        "/etc/selinux/config",
        "/etc/default/grub",
        "/etc/systemd/*",
        "/etc/wireguard/*",
        "/etc/ssl/private",
    ];

    fn gather(host: &Host, gaps: &mut Gaps) -> Option<Self> {
        Some(Self {
            settings: settings::gather(host, gaps),
            files: protected::gather(host, gaps),
            access_control: access_control::gather(host, gaps),
            boot: boot::gather(host, gaps),
            core_dumps: core_dumps::gather(host, gaps),
            umasks: umask::gather(host, gaps),
        })
    }
}

/// The text of a configuration file; absence is a fact, anything else a gap of this list.
fn text(host: &Host, place: &str, list: &str, gaps: &mut Gaps) -> Option<String> {
    match host.read_text(place, crate::host::CONFIG_LIMIT) {
        Ok(text) => Some(text),
        Err(e) if e.is_not_found() => None,
        Err(e) => {
            gaps.add(e.to_gap(Hardening::NAME, list, ""));
            None
        }
    }
}

/// Drop-ins `NAME` of several folders: of two with one name the first folder's, all in the order of
/// their names; a link to /dev/null takes the name away.
fn drop_ins(host: &Host, folders: &[String], list: &str, gaps: &mut Gaps) -> Vec<String> {
    let mut found = std::collections::BTreeMap::new();
    for folder in folders {
        let entries = match host.list(folder) {
            Ok(entries) => entries,
            Err(e) if e.is_not_found() => continue,
            Err(e) => {
                gaps.add(e.to_gap(Hardening::NAME, list, ""));
                continue;
            }
        };
        for entry in entries.into_iter().filter(|e| e.name.ends_with(".conf") && e.kind != crate::host::FileKind::Folder) {
            let path = format!("{folder}/{}", entry.name);
            found.entry(entry.name).or_insert(path);
        }
    }
    found.into_values().filter(|path| host.read_link(path).map_or(true, |t| t != "/dev/null")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::testing::{recorded, rooted};

    #[test]
    fn an_empty_root_leaves_a_gap_for_the_kernel_alone() {
        let (_root, host) = rooted(&[]);
        let mut gaps = Gaps::new();
        let found = Hardening::gather(&host, &mut gaps).unwrap();
        assert!(found.files.is_empty() && found.access_control.is_empty() && found.umasks.is_empty());
        let told: Vec<String> = gaps.into_sorted().into_iter().map(|g| g.path).collect();
        assert_eq!(told, ["boot", "settings.differs", "settings.now"]);
    }

    #[test]
    fn settings_now_and_at_the_next_start() {
        let (_root, host) = recorded(&[
            ("usr/lib/systemd/systemd", ""),
            ("proc/sys/kernel/randomize_va_space", "0\n"),
            ("proc/sys/fs/suid_dumpable", "2\n"),
            ("proc/sys/net/ipv4/conf/all/accept_redirects", "0\n"),
            ("proc/sys/net/ipv4/conf/lo/accept_redirects", "1\n"),
            ("proc/sys/net/ipv4/conf/eth0/accept_redirects", "1\n"),
            ("proc/sys/net/ipv4/conf/eth0/forwarding", "0\n"),
            ("proc/sys/net/ipv4/conf/eth1/accept_redirects", "1\n"),
            ("proc/sys/net/ipv4/conf/eth1/forwarding", "1\n"),
            ("proc/cmdline", "root=/dev/sda1 sysctl.kernel.kptr_restrict=1\n"),
            ("proc/sys/kernel/kptr_restrict", "1\n"),
            ("usr/lib/sysctl.d/50-a.conf", "kernel.randomize_va_space = 1\nfs.suid_dumpable=2\n"),
            ("etc/sysctl.d/60-b.conf", "# words\n-kernel/randomize_va_space=2\n"),
            ("etc/sysctl.conf", "kernel.randomize_va_space = 0\n"),
        ]);
        let mut gaps = Gaps::new();
        let found = settings::gather(&host, &mut gaps);
        let shown = |subject: &str| {
            let s = found.iter().find(|s| s.subject == subject).unwrap();
            format!("{} {} {} {}:{}", s.now.join(","), s.at_boot.as_deref().unwrap_or("-"), s.differs, s.source.place, s.source.line)
        };
        assert_eq!(shown("kernel.randomize_va_space"), "0 2 true /etc/sysctl.d/60-b.conf:2", "systemd does not read /etc/sysctl.conf");
        assert_eq!(shown("fs.suid_dumpable"), "2 2 false /usr/lib/sysctl.d/50-a.conf:2");
        assert_eq!(shown("kernel.kptr_restrict"), "1 1 false /proc/cmdline:1");
        assert_eq!(shown("net.ipv4.conf.*.accept_redirects"), "0,1 - false /proc/sys/net/ipv4/conf:0", "a router asks for both, a host for one of them");
        assert_eq!(gaps.into_sorted(), []);
    }
}
