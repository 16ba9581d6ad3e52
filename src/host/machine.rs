//! The hardware, real or not, that the running kernel sees.

use super::{CONFIG_LIMIT, Host, ReadError};

/// Inode of the initial PID namespace (`PROC_PID_INIT_INO`, include/linux/proc_ns.h).
const INITIAL_PID_NAMESPACE: &str = "pid:[4026531836]";

/// `none`, `kvm`, `vmware`, `xen`, `hyperv`, `container`, `other`; empty when it can't be told.
pub fn virtualization(host: &Host) -> &'static str {
    if !host.is_live() {
        return "";
    }
    if is_container(host) {
        return "container";
    }
    let dmi = format!("{} {}", dmi(host, "sys_vendor"), dmi(host, "product_name")).to_ascii_lowercase();
    let clocks = text(host, "/sys/devices/system/clocksource/clocksource0/available_clocksource");
    let kinds: &[(&'static str, bool)] = &[
        ("xen", text(host, "/sys/hypervisor/type").trim() == "xen" || clocks.contains("xen")),
        ("vmware", dmi.contains("vmware")),
        ("hyperv", clocks.contains("hyperv") || dmi.contains("microsoft corporation virtual")),
        ("kvm", clocks.contains("kvm-clock") || ["kvm", "google compute engine", "openstack", "ec2"].iter().any(|w| dmi.contains(w))),
        ("other", ["qemu", "bochs", "virtualbox", "innotek", "parallels", "bhyve"].iter().any(|w| dmi.contains(w))),
    ];
    if let Some((kind, _)) = kinds.iter().find(|(_, is)| *is) {
        return kind;
    }
    let cpuinfo = text(host, "/proc/cpuinfo");
    let Some(flags) = cpuinfo.lines().find(|l| l.starts_with("flags")) else {
        // Only x86 tells by a flag whether a hypervisor is below.
        return if dmi.trim().is_empty() { "" } else { "none" };
    };
    if flags.split_whitespace().any(|f| f == "hypervisor") { "other" } else { "none" }
}

/// A process id namespace that is not the first one, or the mark that a container manager leaves.
/// `/.dockerenv` alone is no sign: images that boot as machines keep it.
fn is_container(host: &Host) -> bool {
    let namespace = host.read_link("/proc/self/ns/pid").unwrap_or_default();
    let marked = host.exists("/run/systemd/container").unwrap_or(false) || host.exists("/run/.containerenv").unwrap_or(false);
    marked || (!namespace.is_empty() && namespace != INITIAL_PID_NAMESPACE)
}

/// Name of the cloud whose volumes may be encrypted below the machine, from DMI; `None` elsewhere.
pub fn cloud(host: &Host) -> Option<&'static str> {
    let vendor = dmi(host, "sys_vendor");
    let (product, asset, bios) = (dmi(host, "product_name"), dmi(host, "chassis_asset_tag"), dmi(host, "bios_vendor"));
    let is = |name: &'static str, yes: bool| yes.then_some(name);
    // The Azure tag is published in its documentation for cloud-init and WALinuxAgent.
    is("Amazon EC2", vendor.starts_with("Amazon") || bios.starts_with("Amazon") || dmi(host, "product_version").contains("amazon"))
        .or_else(|| is("Google Compute Engine", product.starts_with("Google Compute")))
        .or_else(|| is("Microsoft Azure", asset == "7783-7084-3265-9085-8269-3286-77"))
        .or_else(|| is("Oracle Cloud", asset == "OracleCloud.com"))
        .or_else(|| is("Alibaba Cloud", vendor.starts_with("Alibaba")))
        .or_else(|| is("DigitalOcean", vendor == "DigitalOcean"))
        .or_else(|| is("Hetzner", vendor == "Hetzner"))
        .or_else(|| is("Scaleway", vendor == "Scaleway"))
        .or_else(|| is("Vultr", vendor == "Vultr"))
        .or_else(|| is("Akamai", vendor == "Linode" || vendor == "Akamai"))
        .or_else(|| is("OpenStack", product.contains("OpenStack") || vendor.contains("OpenStack")))
}

fn dmi(host: &Host, name: &str) -> String {
    text(host, &format!("/sys/class/dmi/id/{name}")).trim().to_string()
}

fn text(host: &Host, path: &str) -> String {
    host.read_text(path, CONFIG_LIMIT).unwrap_or_default()
}

/// Machine name of the running kernel (uname(2)); empty for a root folder.
pub fn kernel_architecture(host: &Host) -> String {
    if !host.is_live() {
        return String::new();
    }
    let recorded = text(host, "/proc/sys/kernel/arch").trim().to_string();
    if recorded.is_empty() && host.is_this_machine() { rustix::system::uname().machine().to_string_lossy().into_owned() } else { recorded }
}

/// Logical processors online and physical memory in bytes.
pub fn hardware(host: &Host) -> Result<(u64, u64), ReadError> {
    const STAT_LIMIT: usize = 8 << 20;
    let malformed = |path: &str, what: &str| ReadError::Io(path.into(), format!("no {what}"));
    let stat = host.read_text("/proc/stat", STAT_LIMIT)?;
    let is_processor = |l: &&str| l.strip_prefix("cpu").is_some_and(|r| r.starts_with(|c: char| c.is_ascii_digit()));
    let processors = stat.lines().filter(is_processor).count() as u64;
    let memory = host.read_text("/proc/meminfo", CONFIG_LIMIT)?;
    let total = memory.lines().find_map(|l| l.strip_prefix("MemTotal:")).and_then(|v| v.trim().strip_suffix("kB"));
    let kilobytes: u64 = total.and_then(|v| v.trim().parse().ok()).ok_or_else(|| malformed("/proc/meminfo", "MemTotal"))?;
    if processors == 0 {
        return Err(malformed("/proc/stat", "processor"));
    }
    Ok((processors, kilobytes.saturating_mul(1024)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::testing::recorded;

    /// Files, kind, cloud.
    type Case<'a> = (&'a [(&'a str, &'a str)], &'a str, Option<&'a str>);

    #[test]
    fn kinds_of_machines() {
        let clock = "sys/devices/system/clocksource/clocksource0/available_clocksource";
        let vendor = "sys/class/dmi/id/sys_vendor";
        let cases: &[Case<'_>] = &[
            (&[(clock, "tsc kvm-clock \n")], "kvm", None),
            (&[(vendor, "Amazon EC2\n"), (clock, "kvm-clock tsc\n")], "kvm", Some("Amazon EC2")),
            (&[(vendor, "VMware, Inc.\n")], "vmware", None),
            (&[(vendor, "Dell Inc.\n"), ("proc/cpuinfo", "flags\t: fpu vme\n")], "none", None),
            (&[("proc/cpuinfo", "flags\t: fpu hypervisor\n")], "other", None),
            (&[("run/systemd/container", "docker")], "container", None),
            (&[], "", None),
        ];
        for (files, kind, provider) in cases {
            let (_root, host) = recorded(files);
            assert_eq!((virtualization(&host), cloud(&host)), (*kind, *provider), "{files:?}");
        }
    }

    #[test]
    fn memory_and_processors() {
        let (_root, host) = recorded(&[("proc/stat", "cpu  1\ncpu0 1\ncpu1 1\nintr 3\n"), ("proc/meminfo", "MemTotal:  2048 kB\n")]);
        assert_eq!(hardware(&host).unwrap(), (2, 2 << 20));
        let (_root, host) = recorded(&[("proc/stat", "cpu  1\n"), ("proc/meminfo", "x")]);
        assert!(hardware(&host).is_err());
    }
}
