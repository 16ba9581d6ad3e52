//! Installed packages.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Document, HostFamily};
use crate::host::Host;
use crate::host::debian::status::{self, StatusError};
use crate::host::manager::{self, Manager};
use crate::host::{apk, rpm};
use crate::model::fact::Source;
use crate::model::gap::{Gap, Gaps, reason};

/// The package database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Packages {
    /// `dpkg`, `rpm` or `apk`; other managers are a gap.
    pub manager: String,
    /// Packages whose files are on disk (dpkg status `installed`, `unpacked`, `half-configured`, `half-installed`, `triggers-*`), by name and architecture.
    pub items: Vec<Package>,
    /// Packages that are neither wholly there nor wholly gone, by name and architecture.
    #[serde(default)]
    pub broken: Vec<Broken>,
    /// Removed packages whose configuration files are still there, by name.
    #[serde(default)]
    pub residual: Vec<String>,
    /// The database.
    pub source: Source,
}

impl Document for Packages {
    const NAME: &'static str = "packages";
    const TITLE: &'static str = "Installed packages";
}

impl HostFamily for Packages {
    const WATCHED: &'static [&'static str] = &[
        "/var/lib/dpkg/status",
        "/var/lib/dpkg/status.d/*",
        "/lib/apk/db/installed",
        "/usr/lib/apk/db/installed",
        "/var/lib/rpm/rpmdb.sqlite",
        "/var/lib/rpm/Packages*",
        "/usr/lib/sysimage/rpm/rpmdb.sqlite",
        "/usr/lib/sysimage/rpm/Packages*",
    ];

    fn gather(host: &Host, gaps: &mut Gaps) -> Option<Self> {
        match manager::of(host) {
            Some(Manager::Rpm) => return of_rpm(host, gaps),
            Some(Manager::Apk) => return of_apk(host, gaps),
            _ => {}
        }
        let database = read_database(host, gaps, Self::NAME, "")?;
        let broken = database.packages.iter().filter_map(broken).collect();
        let residual = database.residual.iter().map(|p| p.name.clone()).collect();
        let items = database.packages.into_iter().map(Package::from).collect();
        let source = Source::whole(database.place);
        Some(Self { manager: "dpkg".into(), items, broken, residual, source })
    }
}

/// Packages of an rpm system.
fn of_rpm(host: &Host, gaps: &mut Gaps) -> Option<Packages> {
    let database = noted(rpm::database::read(host).map_err(|e| Box::new(manager::rpm_gap(&e))), gaps)?;
    let item = |p: rpm::database::Installed| Package {
        name: p.name,
        version: p.version,
        architecture: p.architecture,
        source_name: p.source_name,
        source_version: p.source_version,
        status: "installed".into(),
        held: false,
        installed_at: p.installed_at,
        signed_by: Some(p.signed_by),
        vendor: p.vendor,
        module: p.module,
    };
    let source = Source::whole(database.place);
    Some(Packages { manager: "rpm".into(), items: database.packages.into_iter().map(item).collect(), broken: Vec::new(), residual: Vec::new(), source })
}

/// Packages of an apk system.
fn of_apk(host: &Host, gaps: &mut Gaps) -> Option<Packages> {
    let database = noted(apk::database::read(host).map_err(|e| Box::new(manager::apk_gap(&e))), gaps)?;
    let place = database.place.clone();
    let broken = database.packages.iter().filter(|p| p.broken).map(|p| Broken {
        subject: format!("{}:{}", p.name, p.architecture),
        state: "broken".into(),
        reinstall_required: false,
        source: Source::line(place.clone(), p.line, "f"),
    });
    let broken = broken.collect();
    let item = |p: apk::database::Installed| Package {
        name: p.name,
        source_version: p.version.clone(),
        version: p.version,
        architecture: p.architecture,
        source_name: p.origin,
        status: "installed".into(),
        held: false,
        installed_at: None,
        signed_by: None,
        vendor: String::new(),
        module: String::new(),
    };
    let source = Source::whole(place);
    Some(Packages { manager: "apk".into(), items: database.packages.into_iter().map(item).collect(), broken, residual: Vec::new(), source })
}

fn noted<T>(read: Result<Option<T>, Box<Gap>>, gaps: &mut Gaps) -> Option<T> {
    read.unwrap_or_else(|gap| {
        gaps.add(Gap { family: Packages::NAME.into(), ..*gap });
        None
    })
}

/// Triggers that wait are no fault: dpkg runs them at its next call.
fn broken(package: &status::Installed) -> Option<Broken> {
    let halfway = matches!(package.state.as_str(), "half-installed" | "unpacked" | "half-configured");
    (halfway || package.reinstall_required).then(|| Broken {
        subject: format!("{}:{}", package.name, package.architecture),
        state: package.state.clone(),
        reinstall_required: package.reinstall_required,
        source: package.source.clone(),
    })
}

/// dpkg's database; `None` leaves a gap over `path` of `family`.
pub(super) fn read_database(host: &Host, gaps: &mut Gaps, family: &str, path: &str) -> Option<status::Database> {
    match status::read(host) {
        Ok(Some(database)) => Some(database),
        Ok(None) => {
            let other = OTHER_MANAGERS.iter().find(|(_, place)| host.exists(place).unwrap_or(true));
            match other {
                Some((name, place)) => {
                    gaps.note(family, path, "", reason::UNSUPPORTED, format!("packages are kept by {name} ({place}), which is not read yet"), "");
                }
                None => gaps.note(family, path, "", reason::MISSING, format!("no package database at {}", status::STATUS), ""),
            }
            None
        }
        Err(StatusError::Read(e)) => {
            gaps.add(e.to_gap(family, path, ""));
            None
        }
        Err(e @ StatusError::Malformed(..)) => {
            gaps.note(family, path, "", reason::MALFORMED, e.to_string(), "Repair dpkg's database (dpkg --audit).");
            None
        }
    }
}

/// Databases of other package managers, each with its name.
const OTHER_MANAGERS: &[(&str, &str)] = &[("pacman", "/var/lib/pacman/local"), ("portage", "/var/db/pkg"), ("opkg", "/usr/lib/opkg/status")];

impl From<status::Installed> for Package {
    fn from(p: status::Installed) -> Self {
        Self {
            name: p.name,
            version: p.version,
            architecture: p.architecture,
            source_name: p.source_name,
            source_version: p.source_version,
            status: p.state,
            held: p.held,
            installed_at: None,
            signed_by: None,
            vendor: String::new(),
            module: String::new(),
        }
    }
}

/// A package whose installation was broken off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Broken {
    /// Package and architecture, such as `nginx:amd64`.
    pub subject: String,
    /// `half-installed`, `unpacked`, `half-configured`, with `reinstall_required` any state (dpkg); `broken` (apk).
    pub state: String,
    /// Whether dpkg refuses to touch it before it is installed anew.
    pub reinstall_required: bool,
    /// Its record.
    pub source: Source,
}

/// One package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Package {
    /// Binary package.
    pub name: String,
    /// Installed version, with the epoch where it has one: `[epoch:]version-release` for rpm.
    pub version: String,
    /// Architecture.
    pub architecture: String,
    /// Source package.
    pub source_name: String,
    /// Version of the source package.
    pub source_version: String,
    /// Third word of dpkg's `Status`; `installed` elsewhere.
    pub status: String,
    /// Whether the administrator put it on hold (dpkg); what keeps packages of other managers back stands in `updates.held`.
    pub held: bool,
    /// When it was installed, Unix seconds (rpm); `null` where the manager does not keep it.
    pub installed_at: Option<i64>,
    /// Id of the OpenPGP key that signed it, 16 hexadecimal digits, `unknown` for a signature that names none; empty without a signature;
    /// `null` where the manager keeps none beside installed packages (dpkg, apk).
    pub signed_by: Option<String>,
    /// Who built it (rpm); empty elsewhere.
    #[serde(default)]
    pub vendor: String,
    /// Module label `name:stream:version:context` (rpm); empty outside modules.
    #[serde(default)]
    pub module: String,
}
