//! Kernel settings: what holds now, and what the next start sets.

use super::sysctl::{self, AtBoot};
use super::{Hardening, Setting, network};
use crate::facts::Document as _;
use crate::host::{CONFIG_LIMIT, Host};
use crate::model::fact::Source;
use crate::model::gap::{Gaps, reason};

/// Settings that protect (sysctl documentation of the kernel: admin-guide/sysctl, networking/ip-sysctl). Without
/// `net.core.bpf_jit_harden`, which the kernel shows to CAP_SYS_ADMIN alone: the gatherer never has it.
const KEYS: [&str; 23] = [
    "fs.protected_fifos",
    "fs.protected_hardlinks",
    "fs.protected_regular",
    "fs.protected_symlinks",
    "fs.suid_dumpable",
    "kernel.core_pattern",
    "kernel.dmesg_restrict",
    "kernel.kexec_load_disabled",
    "kernel.kptr_restrict",
    "kernel.modules_disabled",
    "kernel.perf_event_paranoid",
    "kernel.randomize_va_space",
    "kernel.sysrq",
    "kernel.unprivileged_bpf_disabled",
    "kernel.unprivileged_userns_clone",
    "kernel.yama.ptrace_scope",
    "net.ipv4.conf.all.forwarding",
    "net.ipv4.icmp_echo_ignore_broadcasts",
    "net.ipv4.ip_forward",
    "net.ipv4.tcp_syncookies",
    "net.ipv6.conf.all.forwarding",
    "vm.mmap_min_addr",
    "vm.unprivileged_userfaultfd",
];

/// Every setting of interest.
pub fn gather(host: &Host, gaps: &mut Gaps) -> Vec<Setting> {
    if !host.is_live() {
        for path in ["settings.now", "settings.differs"] {
            gaps.note(Hardening::NAME, path, "", reason::NEEDS_LIVE_KERNEL, "a root folder has no running kernel", "Scan the machine itself.");
        }
    }
    let at_boot = AtBoot::read(host, gaps);
    let mut keys: Vec<String> = KEYS.iter().map(|k| (*k).to_string()).collect();
    keys.extend(network::shared_keys());
    let mut out: Vec<Setting> = keys.iter().map(|key| setting(host, key, &at_boot, gaps)).collect();
    // A kernel without the setting, and nothing that sets it: there is nothing to tell.
    out.retain(|s| !s.now.is_empty() || s.at_boot.is_some());
    if host.is_live() {
        out.extend(network::effective(host, gaps));
    }
    out.sort_by(|a, b| a.subject.cmp(&b.subject));
    out
}

fn setting(host: &Host, key: &str, at_boot: &AtBoot, gaps: &mut Gaps) -> Setting {
    let path = sysctl::path_of(key);
    let place = format!("/proc/sys/{path}");
    let now = if host.is_live() { now(host, &place, key, gaps) } else { None };
    let set = at_boot.of(&path);
    let differs = matches!((&now, set), (Some(now), Some(set)) if *now != set.value);
    Setting {
        subject: key.into(),
        now: now.into_iter().collect(),
        at_boot: set.map(|s| s.value.clone()),
        differs,
        source: set.map_or_else(|| Source::whole(place), |s| s.source.clone()),
    }
}

/// The value now; a kernel without the setting has none.
pub fn now(host: &Host, place: &str, key: &str, gaps: &mut Gaps) -> Option<String> {
    match host.read_text(place, CONFIG_LIMIT) {
        Ok(text) => Some(sysctl::words(&text)),
        Err(e) if e.is_not_found() => None,
        Err(e) => {
            for path in ["settings.now", "settings.differs"] {
                gaps.add(e.to_gap(Hardening::NAME, path, key));
            }
            None
        }
    }
}
