//! Ecosystems of OSV records, and which of them stand for a host.

use std::cmp::Ordering;

use crate::host::{apk, debian, rpm};

/// Whose rules order the versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// deb-version(7).
    Dpkg,
    /// rpmvercmp.
    Rpm,
    /// apk-tools.
    Apk,
}

impl Order {
    /// Compares two versions.
    pub fn compare(self, a: &str, b: &str) -> Ordering {
        match self {
            Self::Dpkg => debian::version::compare(a, b),
            Self::Rpm => rpm::version::compare(a, b),
            Self::Apk => apk::version::compare(a, b),
        }
    }

    /// The order of an ecosystem; `None` for one that is not imported or that names no release:
    /// fixed versions of one release mean nothing in another.
    pub fn of(ecosystem: &str) -> Option<Self> {
        let (name, release) = ecosystem.split_once(':')?;
        if release.is_empty() {
            return None;
        }
        match name {
            "Debian" | "Ubuntu" => Some(Self::Dpkg),
            "Alpine" => Some(Self::Apk),
            "AlmaLinux" | "Rocky Linux" | "Red Hat" | "SUSE" | "openSUSE" => Some(Self::Rpm),
            _ => None,
        }
    }
}

/// A host as far as ecosystems go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Release {
    /// `ID` of os-release(5).
    pub id: String,
    /// `VERSION_ID`.
    pub version: String,
    /// Codename.
    pub codename: String,
    /// Whether Ubuntu Pro packages are in use.
    pub is_pro: bool,
}

/// Debian releases before they carry a number in os-release(5).
const DEBIAN_CODENAMES: [(&str, &str); 6] = [("buster", "10"), ("bullseye", "11"), ("bookworm", "12"), ("trixie", "13"), ("forky", "14"), ("duke", "15")];

impl Release {
    /// Whether records of this ecosystem concern the host.
    pub fn is_in(&self, ecosystem: &str) -> bool {
        let Some((name, release)) = ecosystem.split_once(':') else { return false };
        let major = self.version.split('.').next().unwrap_or_default();
        if self.id.is_empty() || (major.is_empty() && self.id != "debian" && self.id != "opensuse-tumbleweed") {
            return false;
        }
        match (self.id.as_str(), name) {
            ("debian", "Debian") => release == self.debian_number(),
            ("ubuntu", "Ubuntu") => self.is_ubuntu(release),
            ("alpine", "Alpine") => self.alpine_branch().is_some_and(|branch| release == branch),
            ("almalinux", "AlmaLinux") | ("rocky", "Rocky Linux") => release.split(':').next() == Some(major),
            ("rhel", "Red Hat") => is_red_hat(release, major),
            ("sles" | "sles_sap" | "sled", "SUSE") => self.is_suse(release),
            ("opensuse-leap", "openSUSE") => release.strip_prefix("Leap ") == Some(self.version.as_str()),
            ("opensuse-tumbleweed", "openSUSE") => release == "Tumbleweed",
            _ => false,
        }
    }

    fn debian_number(&self) -> &str {
        if !self.version.is_empty() {
            return &self.version;
        }
        DEBIAN_CODENAMES.iter().find(|(name, _)| *name == self.codename).map_or("-", |(_, number)| number)
    }

    /// `22.04:LTS` or `24.10`; `Pro:18.04:LTS` only where Pro packages are in use, FIPS and other
    /// variants never: their versions differ.
    fn is_ubuntu(&self, release: &str) -> bool {
        let (release, is_pro) = match release.strip_prefix("Pro:") {
            Some(rest) => (rest, true),
            None => (release, false),
        };
        (!is_pro || self.is_pro) && release.strip_suffix(":LTS").unwrap_or(release) == self.version
    }

    /// `3.20.3` is branch `v3.20`.
    fn alpine_branch(&self) -> Option<String> {
        let mut parts = self.version.split('.');
        let (major, minor) = (parts.next()?, parts.next()?);
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        (is_number(major) && is_number(minor)).then(|| format!("v{major}.{minor}"))
    }

    /// `Linux Enterprise Server 15 SP5` and the modules of the same service pack; the long-term
    /// variants are bought apart and have versions of their own.
    fn is_suse(&self, release: &str) -> bool {
        let Some(product) = release.strip_prefix("Linux Enterprise ") else { return false };
        let wanted = match self.version.split_once('.') {
            Some((major, pack)) => format!(" {major} SP{pack}"),
            None => format!(" {}", self.version),
        };
        let Some(product) = product.strip_suffix(&wanted) else { return false };
        let own = match self.id.as_str() {
            "sles_sap" => "Server for SAP Applications",
            "sled" => "Desktop",
            _ => "Server",
        };
        product == own || (self.id == "sles_sap" && product == "Server") || product.starts_with("Module for ") || product == "Live Patching"
    }
}

/// `enterprise_linux:9::baseos` or `enterprise_linux:10.0`; extended update streams are products of
/// their own (`rhel_eus:9.2::baseos`).
fn is_red_hat(release: &str, major: &str) -> bool {
    let mut parts = release.split(':');
    parts.next() == Some("enterprise_linux") && parts.next().and_then(|v| v.split('.').next()) == Some(major)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release(id: &str, version: &str, codename: &str) -> Release {
        Release { id: id.into(), version: version.into(), codename: codename.into(), is_pro: false }
    }

    #[test]
    fn records_of_the_own_release_concern_a_host_and_no_others() {
        for (host, own, foreign) in [
            (release("debian", "12", ""), "Debian:12", "Debian:11"),
            (release("debian", "", "trixie"), "Debian:13", "Debian:12"),
            (release("ubuntu", "22.04", "jammy"), "Ubuntu:22.04:LTS", "Ubuntu:Pro:22.04:LTS"),
            (release("ubuntu", "24.10", ""), "Ubuntu:24.10", "Ubuntu:24.04:LTS"),
            (release("alpine", "3.20.3", ""), "Alpine:v3.20", "Alpine:v3.2"),
            (release("almalinux", "9.4", ""), "AlmaLinux:9", "AlmaLinux:8"),
            (release("rocky", "9.4", ""), "Rocky Linux:9", "AlmaLinux:9"),
            (release("rhel", "9.4", ""), "Red Hat:enterprise_linux:9::baseos", "Red Hat:rhel_eus:9.4::baseos"),
            (release("rhel", "10.0", ""), "Red Hat:enterprise_linux:10.0", "Red Hat:enterprise_linux:1::x"),
            (release("sles", "15.5", ""), "SUSE:Linux Enterprise Server 15 SP5", "SUSE:Linux Enterprise Server 15 SP5-LTSS"),
            (release("sles", "15.5", ""), "SUSE:Linux Enterprise Module for Basesystem 15 SP5", "SUSE:Linux Enterprise Module for Basesystem 15 SP4"),
            (release("sles", "15.5", ""), "SUSE:Linux Enterprise Server 15 SP5", "SUSE:Linux Enterprise Server for SAP Applications 15 SP5"),
            (release("opensuse-leap", "15.5", ""), "openSUSE:Leap 15.5", "openSUSE:Leap 15.6"),
            (release("opensuse-tumbleweed", "20240101", ""), "openSUSE:Tumbleweed", "openSUSE:Leap 15.6"),
        ] {
            assert!(host.is_in(own), "{host:?} {own}");
            assert!(!host.is_in(foreign), "{host:?} {foreign}");
            assert!(Order::of(own).is_some(), "{own}");
        }
        assert!(Release { is_pro: true, ..release("ubuntu", "18.04", "") }.is_in("Ubuntu:Pro:18.04:LTS"));
        assert!(!Release { is_pro: true, ..release("ubuntu", "18.04", "") }.is_in("Ubuntu:Pro:FIPS:18.04:LTS"));
        for (host, ecosystem) in [
            (release("raspbian", "12", "bookworm"), "Debian:12"),
            (release("debian", "", ""), "Debian:"),
            (release("", "", ""), "Debian:12"),
            (release("alpine", "3.21_alpha20240807", ""), "Alpine:v3.21"),
        ] {
            assert!(!host.is_in(ecosystem), "{host:?}");
        }
        for unknown in ["Debian", "npm", "Alpine:", "Wolfi:1", "PyPI:x"] {
            assert!(Order::of(unknown).is_none(), "{unknown}");
        }
    }
}
