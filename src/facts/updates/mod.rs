//! Pending updates, the repositories they come from, and what installs them.

mod apt;
mod automatic;
mod offers;
mod repositories;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Document, HostFamily};
use crate::host::Host;
use crate::host::manager::{self, Manager};
use crate::model::fact::Source;
use crate::model::gap::Gaps;

/// What the package manager's own lists offer beyond what is installed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Updates {
    /// Package manager that the rest is about: `apt`, `dnf`, `zypper` or `apk`.
    #[serde(default)]
    pub manager: String,
    /// Every repository that is configured, in file order.
    #[serde(default)]
    pub repositories: Vec<Repository>,
    /// Whether the distribution's security repository is configured: `configured`, `missing`, `not_published` (Debian unstable has
    /// none), `unknown` (a distribution without a known one).
    #[serde(default)]
    pub security_repository: String,
    /// Keys that vouch for every repository that names no key of its own.
    #[serde(default)]
    pub global_keys: Vec<GlobalKey>,
    /// Every package list that the enabled repositories name.
    pub lists: Vec<PackageList>,
    /// When the oldest required list was last known current, Unix seconds; `null` without lists.
    #[schemars(extend("x-volatile" = true))]
    pub oldest_list_at: Option<i64>,
    /// Installed packages with a newer candidate, by name and architecture.
    pub pending: Vec<Pending>,
    /// Newer versions that will not be installed by themselves: packages on hold, security updates that a pin or a list of exclusions keeps away.
    #[serde(default)]
    pub held: Vec<Held>,
    /// Installed packages that no configured repository offers in any version, by name and architecture.
    #[serde(default)]
    pub orphaned: Vec<Orphaned>,
    /// Automatic updates as they take effect.
    pub automatic: Automatic,
}

impl Document for Updates {
    const NAME: &'static str = "updates";
    const TITLE: &'static str = "Pending updates, their repositories and the age of the lists that tell";
}

impl HostFamily for Updates {
    const WATCHED: &'static [&'static str] =
        &["/etc/apt/**", "/etc/yum.conf", "/etc/yum.repos.d/*", "/etc/yum/**", "/etc/dnf/**", "/etc/distro.repos.d/*", "/etc/zypp/**", "/etc/apk/**"];

    fn gather(host: &Host, gaps: &mut Gaps) -> Option<Self> {
        match manager::of(host) {
            Some(Manager::Rpm | Manager::Apk) => offers::gather(host, gaps),
            _ => apt::gather(host, gaps),
        }
    }
}

/// One configured repository: an address with a suite.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Repository {
    /// Address without scheme and credentials, and suite; with the place of the entry where that repeats.
    pub subject: String,
    /// `apt`, `rpm`, `zypper` or `apk`.
    pub kind: String,
    /// Address without credentials.
    pub url: String,
    /// Suite or release; may be empty.
    pub suite: String,
    /// Components such as `main`; none for a flat repository.
    pub components: Vec<String>,
    /// Whether the package manager uses it.
    pub enabled: bool,
    /// Whether what was last fetched carries a signature: `yes`, `no`, or `unknown` when nothing was fetched.
    pub signed: String,
    /// Whether its packages are accepted without a valid signature.
    pub trusted_without_signature: bool,
    /// Each setting that switches the check of signatures off: option of the entry, or global setting with its place.
    pub weakened_by: Vec<String>,
    /// Settings that switch off the check of the server's certificate, each with its place; only for `https`.
    pub certificate_unchecked_by: Vec<String>,
    /// Whether metadata that is past its expiry is refused.
    pub expiry_checked: bool,
    /// The setting that switches that check off, with its place; empty when it is on.
    pub expiry_unchecked_by: String,
    /// Whether it is someone else's than the distribution's own archive; `null` when it can't be told.
    pub third_party: Option<bool>,
    /// `Origin` of what was last fetched; may be empty.
    pub origin: String,
    /// Scheme of the address: `http`, `https`, `file`, `cdrom`, `mirror+file` and so on.
    pub transport: String,
    /// Key files and fingerprints named for it, `inline` for a key in the entry; empty: the global keys vouch.
    pub key_files: Vec<String>,
    /// The entry.
    pub source: Source,
}

/// A key file that vouches for every repository without a key of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GlobalKey {
    /// File name.
    pub subject: String,
    /// Whether it bears the name under which the distribution ships its own archive keys.
    pub distribution: bool,
    /// The file.
    pub source: Source,
}

/// One list of a repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PackageList {
    /// Address without credentials, with suite: `deb.debian.org/debian bookworm-security`.
    pub repository: String,
    /// Suite or codename of the Release file.
    pub suite: String,
    /// Component, such as `main`.
    pub component: String,
    /// Architecture, `all` for a list of its own; empty for a flat repository.
    pub architecture: String,
    /// Whether the Release file marks it as the distribution's security repository: `Label`, `Suite` or `Codename` ends with `-security`.
    pub security: bool,
    /// Whether the list file is there.
    pub present: bool,
    /// When it was last known current, Unix seconds: the newest of the Release file's modification time, apt's
    /// `update-success-stamp` and `update-stamp`, and another Release file of the same server.
    #[schemars(extend("x-volatile" = true))]
    pub checked_at: Option<i64>,
    /// When the repository made it (`Date` of the Release file), Unix seconds.
    #[schemars(extend("x-volatile" = true))]
    pub published_at: Option<i64>,
    /// When it expires (`Valid-Until`), Unix seconds; `null` when it never does.
    #[schemars(extend("x-volatile" = true))]
    pub valid_until: Option<i64>,
    /// The sources.list(5) entry.
    pub source: Source,
}

/// One pending update.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pending {
    /// Binary package.
    pub name: String,
    /// Architecture.
    pub architecture: String,
    /// Installed version.
    pub installed: String,
    /// Version that apt would install.
    pub candidate: String,
    /// Whether a security repository offers the candidate, or any version between installed and candidate.
    pub security: bool,
    /// Severity that the advisories behind it give, lower case, the worst one; empty when none does.
    #[serde(default)]
    pub severity: String,
    /// Ids of the security advisories that it answers, oldest first; apt's lists name none.
    #[serde(default)]
    pub advisories: Vec<String>,
    /// Whether the package is on hold.
    pub held: bool,
    /// `Phased-Update-Percentage` of the candidate: below 100 the package manager may put it off on this machine.
    #[serde(default)]
    pub phased_percentage: i64,
    /// Latest moment by which a newer version was public, Unix seconds: when the oldest of `advisories` was issued; for apt the
    /// oldest `Date` among the Release files that offer one (security ones only for a security update). The update may be older than that, never younger.
    #[schemars(extend("x-volatile" = true))]
    pub published_at: Option<i64>,
    /// Repository that offers the candidate.
    pub repository: String,
    /// List file that offers the candidate.
    pub source: Source,
}

/// A newer version that stays away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Held {
    /// Package and architecture, such as `openssl:amd64`.
    pub subject: String,
    /// Binary package.
    pub name: String,
    /// Installed version.
    pub installed: String,
    /// Version that stays away.
    pub available: String,
    /// Whether it is a security update.
    pub security: bool,
    /// `hold` (dpkg), `pin` (apt_preferences), `default-release`, `priority` (the repository's own) or `excluded` (from automatic updates);
    /// `exclude` (dnf.conf), `lock` (versionlock, zypper) or `world` (apk).
    pub by: String,
    /// What keeps it away.
    pub source: Source,
}

/// An installed package without a repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Orphaned {
    /// Package and architecture, such as `tool:amd64`.
    pub subject: String,
    /// Binary package.
    pub name: String,
    /// Installed version.
    pub installed: String,
    /// Its record in the package database.
    pub source: Source,
}

/// APT::Periodic and unattended-upgrades, first- and last-wins as apt reads them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Automatic {
    /// `APT::Periodic::Update-Package-Lists`, days; 0: never.
    pub lists_every_days: i64,
    /// `APT::Periodic::Unattended-Upgrade`, days; 0: never.
    pub upgrade_every_days: i64,
    /// Whether unattended-upgrades is installed.
    pub tool_installed: bool,
    /// Whether security updates get installed: both are set, the tool is installed, a timer or cron job starts it and nothing of `obstacles` is in the way.
    pub enabled: bool,
    /// Origins that are upgraded, with macros replaced (`Unattended-Upgrade::Origins-Pattern`, `Allowed-Origins`).
    #[serde(default)]
    pub origins: Vec<String>,
    /// Whether one of them matches a security repository of this machine; `null` when none of those was ever fetched.
    pub covers_security: Option<bool>,
    /// Patterns of packages left out (`Unattended-Upgrade::Package-Blacklist`).
    #[serde(default)]
    pub excluded: Vec<String>,
    /// What keeps security updates from being installed, one fragment each, with its place where it has one.
    #[serde(default)]
    pub obstacles: Vec<String>,
    /// Newest run recorded, whatever came of it, Unix seconds.
    #[schemars(extend("x-volatile" = true))]
    pub last_run_at: Option<i64>,
    /// Newest run that ended well, Unix seconds (stamp of apt's daily script, or the tool's own log).
    #[schemars(extend("x-volatile" = true))]
    pub last_success_at: Option<i64>,
    /// Newest error in the tool's own log, Unix seconds.
    #[schemars(extend("x-volatile" = true))]
    pub last_failure_at: Option<i64>,
    /// Deciding place.
    pub source: Source,
}
