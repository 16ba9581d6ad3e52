//! Mandatory access control: AppArmor and SELinux, now and at the next start.

use super::{AccessControl, Hardening, text};
use crate::facts::Document as _;
use crate::host::{CONFIG_LIMIT, Host};
use crate::model::fact::Source;
use crate::model::gap::{Gaps, reason};

const NOW: &str = "access_control.now";
const AT_BOOT: &str = "access_control.at_boot";
const PARSERS: [&str; 2] = ["/usr/sbin/apparmor_parser", "/sbin/apparmor_parser"];
const SELINUX: &str = "/etc/selinux/config";
/// What starts AppArmor: its unit linked, or its script.
const STARTS: [&str; 4] = [
    "/etc/systemd/system/sysinit.target.wants/apparmor.service",
    "/etc/systemd/system/multi-user.target.wants/apparmor.service",
    "/etc/rcS.d/S12apparmor",
    "/etc/runlevels/boot/apparmor",
];
const GRUB: &str = "/etc/default/grub";

pub fn gather(host: &Host, gaps: &mut Gaps) -> Vec<AccessControl> {
    let parameters = parameters(host, gaps);
    let mut out = Vec::new();
    if PARSERS.iter().any(|p| host.exists(p).unwrap_or(false)) && host.exists("/etc/apparmor.d").unwrap_or(false) {
        out.push(apparmor(host, &parameters, gaps));
    }
    out.extend(selinux(host, &parameters, gaps));
    if !host.is_live() {
        for item in &out {
            gaps.note(Hardening::NAME, NOW, &item.subject, reason::NEEDS_LIVE_KERNEL, "a root folder has no running kernel", "Scan the machine itself.");
        }
    }
    out
}

/// Words of the kernel's command line at the next start: those of GRUB's settings, else those of now.
fn parameters(host: &Host, gaps: &mut Gaps) -> Vec<String> {
    let grub = text(host, GRUB, AT_BOOT, gaps).unwrap_or_default();
    let mut out: Vec<String> = Vec::new();
    for line in grub.lines().map(str::trim) {
        let value = ["GRUB_CMDLINE_LINUX=", "GRUB_CMDLINE_LINUX_DEFAULT="].iter().find_map(|k| line.strip_prefix(k));
        out.extend(value.into_iter().flat_map(|v| v.trim_matches(['"', '\'']).split_whitespace()).map(String::from));
    }
    if grub.is_empty() && host.is_live() {
        let now = text(host, "/proc/cmdline", AT_BOOT, gaps).unwrap_or_default();
        out.extend(now.split_whitespace().map(String::from));
    }
    out
}

fn apparmor(host: &Host, parameters: &[String], gaps: &mut Gaps) -> AccessControl {
    const SUBJECT: &str = "apparmor";
    const PROFILES: &str = "/sys/kernel/security/apparmor/profiles";
    let mut out = AccessControl { subject: SUBJECT.into(), ..AccessControl::default() };
    if host.is_live() {
        match host.read_text("/sys/module/apparmor/parameters/enabled", CONFIG_LIMIT) {
            Ok(text) if text.trim() == "Y" => match host.read_text(PROFILES, CONFIG_LIMIT) {
                Ok(text) => {
                    let count = |mode: &str| u32::try_from(text.lines().filter(|l| l.ends_with(mode)).count()).unwrap_or(u32::MAX);
                    let (enforced, complaining) = (count("(enforce)"), count("(complain)"));
                    out.now = if enforced > 0 {
                        "enforcing"
                    } else if complaining > 0 {
                        "permissive"
                    } else {
                        "no-policy"
                    }
                    .into();
                    (out.enforced, out.complaining) = (Some(enforced), Some(complaining));
                }
                Err(e) => gaps.add(e.to_gap(Hardening::NAME, NOW, SUBJECT)),
            },
            Ok(_) => out.now = "disabled".into(),
            Err(e) if e.is_not_found() => out.now = "disabled".into(),
            Err(e) => gaps.add(e.to_gap(Hardening::NAME, NOW, SUBJECT)),
        }
    }
    let off = parameters.iter().find(|p| matches!(p.as_str(), "apparmor=0" | "security=selinux" | "security=none"));
    let start = STARTS.iter().find(|p| host.stat_link(p).is_ok());
    (out.at_boot, out.source) = match (off, start) {
        (Some(word), _) => ("disabled".into(), Source { place: GRUB.into(), line: 0, directive: word.clone() }),
        (None, Some(start)) => ("enforcing".into(), Source::whole(*start)),
        (None, None) => ("no-policy".into(), Source::whole("/etc/apparmor.d")),
    };
    out
}

/// Installed when there is a policy to load.
fn selinux(host: &Host, parameters: &[String], gaps: &mut Gaps) -> Option<AccessControl> {
    const SUBJECT: &str = "selinux";
    let config = text(host, SELINUX, AT_BOOT, gaps)?;
    let last = |key: &str| {
        let line = |(index, line): (usize, &str)| line.trim().strip_prefix(key)?.strip_prefix('=').map(|v| (v.trim().to_ascii_lowercase(), index + 1));
        config.lines().enumerate().filter_map(line).last()
    };
    let kind = last("SELINUXTYPE").map_or_else(|| "targeted".to_string(), |(v, _)| v);
    if !host.exists(&format!("/etc/selinux/{kind}/policy")).unwrap_or(true) {
        return None;
    }
    let mut out = AccessControl { subject: SUBJECT.into(), ..AccessControl::default() };
    if host.is_live() {
        match host.read_text("/sys/fs/selinux/enforce", CONFIG_LIMIT) {
            Ok(text) => out.now = if text.trim() == "1" { "enforcing" } else { "permissive" }.into(),
            Err(e) if e.is_not_found() => out.now = "disabled".into(),
            Err(e) => gaps.add(e.to_gap(Hardening::NAME, NOW, SUBJECT)),
        }
    }
    let (mode, line) = last("SELINUX").unwrap_or_else(|| ("disabled".into(), 0));
    out.at_boot = mode;
    out.source = Source::line(SELINUX, line, "SELINUX");
    for word in parameters {
        let set = match word.as_str() {
            "selinux=0" | "security=apparmor" => "disabled",
            "enforcing=0" if out.at_boot != "disabled" => "permissive",
            "enforcing=1" if out.at_boot != "disabled" => "enforcing",
            _ => continue,
        };
        out.at_boot = set.into();
        out.source = Source { place: GRUB.into(), line: 0, directive: word.clone() };
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::testing::{recorded, rooted};

    fn shown(host: &Host) -> Vec<String> {
        let mut gaps = Gaps::new();
        let found = gather(host, &mut gaps).into_iter().map(|a| format!("{} {} {} {:?}", a.subject, a.now, a.at_boot, a.enforced)).collect();
        assert_eq!(gaps.into_sorted(), []);
        found
    }

    #[test]
    fn apparmor_and_selinux_on_running_machines() {
        let base = [("usr/sbin/apparmor_parser", ""), ("etc/apparmor.d/x", ""), ("etc/systemd/system/sysinit.target.wants/apparmor.service", "")];
        let (_root, host) = recorded(&base);
        assert_eq!(shown(&host), ["apparmor disabled enforcing None"]);
        let (_root, host) = recorded(
            &[
                &base[..],
                &[
                    ("sys/module/apparmor/parameters/enabled", "Y\n"),
                    ("sys/kernel/security/apparmor/profiles", "/usr/sbin/ntpd (enforce)\nx (complain)\n"),
                    (GRUB, "GRUB_CMDLINE_LINUX_DEFAULT=\"quiet apparmor=0\"\n"),
                ],
            ]
            .concat(),
        );
        assert_eq!(shown(&host), ["apparmor enforcing disabled Some(1)"]);
        let (_root, host) = recorded(&[
            (SELINUX, "# SELINUX=disabled\nSELINUX=enforcing\nSELINUXTYPE=targeted\n"),
            ("etc/selinux/targeted/policy/policy.33", ""),
            ("sys/fs/selinux/enforce", "0"),
            ("proc/cmdline", "x enforcing=0\n"),
        ]);
        assert_eq!(shown(&host), ["selinux permissive permissive None"]);
        let (_root, host) = recorded(&[(SELINUX, "SELINUX=enforcing\n")]);
        assert_eq!(shown(&host), Vec::<String>::new(), "no policy is installed");
    }

    #[test]
    fn a_root_tells_the_next_start_alone() {
        let (_root, host) = rooted(&[(SELINUX, "SELINUX=permissive\n"), ("etc/selinux/targeted/policy/policy.33", "")]);
        let mut gaps = Gaps::new();
        let found = gather(&host, &mut gaps);
        assert_eq!((found[0].now.as_str(), found[0].at_boot.as_str(), found[0].source.line), ("", "permissive", 1));
        assert_eq!(gaps.into_sorted()[0].subject, "selinux");
    }
}
