//! Kernel packages: several versions stand side by side, and only the one that runs counts.

use super::ecosystem::Order;

/// What a package is to the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// No part of one.
    None,
    /// The image or modules of the kernel of this release (uname(2)).
    Image(String),
    /// Headers, tools and names that only depend on a kernel: they hold none of its code.
    Beside,
}

/// What a package is, by the names that the distributions give.
pub fn part(order: Order, name: &str, source: &str, version: &str, architecture: &str) -> Part {
    match order {
        Order::Dpkg if is_dpkg_kernel(source) => dpkg_part(name),
        Order::Rpm if source == "kernel" || source.starts_with("kernel-") => rpm_part(name, version, architecture),
        Order::Apk if source.starts_with("linux-") => apk_part(name, version),
        _ => Part::None,
    }
}

/// The source package that advisories name: Debian and Ubuntu sign kernels in a package of its own.
pub fn source_of(source: &str) -> String {
    let Some(rest) = source.strip_prefix("linux-signed") else { return source.into() };
    let flavour = ["-amd64", "-arm64", "-i386"].iter().find_map(|a| rest.strip_suffix(a)).unwrap_or(rest);
    format!("linux{flavour}")
}

/// Flavours that Ubuntu builds from a source package of their own.
const UBUNTU_FLAVOURS: [&str; 20] = [
    "aws",
    "azure",
    "bluefield",
    "fips",
    "gcp",
    "gke",
    "gkeop",
    "hwe",
    "ibm",
    "intel",
    "iot",
    "kvm",
    "lowlatency",
    "nvidia",
    "oem",
    "oracle",
    "raspi",
    "raspi2",
    "riscv",
    "xilinx",
];

fn is_dpkg_kernel(source: &str) -> bool {
    let Some(rest) = source.strip_prefix("linux") else { return false };
    let Some(rest) = rest.strip_prefix('-') else { return rest.is_empty() };
    let first = rest.split('-').next().unwrap_or_default();
    ["signed", "meta", "latest"].contains(&first) || first.starts_with(|c: char| c.is_ascii_digit()) || UBUNTU_FLAVOURS.contains(&first)
}

fn dpkg_part(name: &str) -> Part {
    let release = name.strip_prefix("linux-image-").or_else(|| name.strip_prefix("linux-modules-"));
    let release = release.map(|r| r.strip_prefix("unsigned-").or_else(|| r.strip_prefix("extra-")).unwrap_or(r));
    match release {
        // `linux-image-amd64` only depends on the newest one.
        Some(release) if release.starts_with(|c: char| c.is_ascii_digit()) && !release.ends_with("-dbg") => Part::Image(release.into()),
        _ => Part::Beside,
    }
}

fn rpm_part(name: &str, version: &str, architecture: &str) -> Part {
    const BESIDE: [&str; 8] = ["headers", "tools", "devel", "doc", "abi", "macros", "source", "selftests"];
    if (name != "kernel" && !name.starts_with("kernel-")) || BESIDE.iter().any(|b| name.contains(b)) {
        return Part::Beside;
    }
    let version = version.split_once(':').map_or(version, |(_, rest)| rest);
    Part::Image(format!("{version}.{architecture}"))
}

/// `linux-lts` 6.6.58-r0 is release `6.6.58-0-lts`.
fn apk_part(name: &str, version: &str) -> Part {
    let flavour = name.strip_prefix("linux-").unwrap_or_default();
    if flavour.is_empty() || flavour.contains('-') || flavour == "headers" {
        return Part::Beside;
    }
    match version.rsplit_once("-r") {
        Some((version, revision)) => Part::Image(format!("{version}-{revision}-{flavour}")),
        None => Part::Beside,
    }
}

/// Whether the running release is that of this package: Red Hat's adds a flavour (`+rt`), SUSE's has
/// a flavour in the place of the last number and the architecture.
pub fn is_running(image: &str, running: &str) -> bool {
    if image == running || running.strip_prefix(image).is_some_and(|rest| rest.starts_with('+')) {
        return true;
    }
    let Some((number, flavour)) = running.rsplit_once('-') else { return false };
    let is_flavour = flavour.starts_with(|c: char| c.is_ascii_alphabetic());
    is_flavour && image.strip_prefix(number).is_some_and(|rest| rest.starts_with('.')) && number.contains('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_and_what_stands_beside_them() {
        let image = |release: &str| Part::Image(release.into());
        for (order, name, source, version, expected) in [
            (Order::Dpkg, "linux-image-6.1.0-28-amd64", "linux-signed-amd64", "6.1.119-1", image("6.1.0-28-amd64")),
            (Order::Dpkg, "linux-image-unsigned-5.15.0-91-generic", "linux", "5.15.0-91.101", image("5.15.0-91-generic")),
            (Order::Dpkg, "linux-modules-extra-5.15.0-91-generic", "linux-hwe-5.15", "5.15.0-91.101", image("5.15.0-91-generic")),
            (Order::Dpkg, "linux-image-amd64", "linux-signed-amd64", "6.1.119-1", Part::Beside),
            (Order::Dpkg, "linux-libc-dev", "linux", "6.1.119-1", Part::Beside),
            (Order::Dpkg, "linux-base", "linux-base", "4.9", Part::None),
            (Order::Dpkg, "linux-firmware", "linux-firmware", "1", Part::None),
            (Order::Rpm, "kernel-core", "kernel", "5.14.0-427.el9", image("5.14.0-427.el9.x86_64")),
            (Order::Rpm, "kernel-tools-libs", "kernel", "5.14.0-427.el9", Part::Beside),
            (Order::Rpm, "bpftool", "kernel", "7.3.0-427.el9", Part::Beside),
            (Order::Rpm, "kernelshark", "trace-cmd", "1-1", Part::None),
            (Order::Apk, "linux-lts", "linux-lts", "6.6.58-r0", image("6.6.58-0-lts")),
            (Order::Apk, "linux-headers", "linux-headers", "6.6-r0", Part::Beside),
        ] {
            assert_eq!(part(order, name, source, version, "x86_64"), expected, "{name}");
        }
        for (signed, source) in [
            ("linux-signed-amd64", "linux"),
            ("linux-signed-6.1-arm64", "linux-6.1"),
            ("linux-signed-hwe-6.5", "linux-hwe-6.5"),
            ("linux-signed", "linux"),
            ("openssl", "openssl"),
        ] {
            assert_eq!(source_of(signed), source);
        }
    }

    #[test]
    fn the_running_one_is_recognised() {
        for (image, running) in [
            ("6.1.0-28-amd64", "6.1.0-28-amd64"),
            ("5.14.0-427.el9.x86_64", "5.14.0-427.el9.x86_64+rt"),
            ("5.14.21-150500.55.7.1.x86_64", "5.14.21-150500.55.7-default"),
        ] {
            assert!(is_running(image, running), "{image} {running}");
        }
        for (image, running) in
            [("6.1.0-27-amd64", "6.1.0-28-amd64"), ("5.14.21-150500.55.70.1.x86_64", "5.14.21-150500.55.7-default"), ("6.1.0-2-amd64", "6.1.0-28-amd64")]
        {
            assert!(!is_running(image, running), "{image} {running}");
        }
    }
}
