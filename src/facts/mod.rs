//! Fact families: what the machine and its endpoints say, without judgement.
//!
//! A family is one file with one document type and one line in [`FAMILIES`].

pub mod accounts;
pub mod backups;
pub mod certificates;
pub mod cloud;
pub mod connections;
pub mod containers;
pub mod database_servers;
pub mod databases;
pub mod directory;
pub mod files;
pub mod firewall;
pub mod ftp;
pub mod hardening;
pub mod jobs;
pub mod kernel;
pub mod listeners;
pub mod logging;
pub mod mail;
pub mod malware;
pub mod monitoring;
pub mod os;
pub mod packages;
pub mod pam;
pub mod path_limits;
pub mod payment_data;
pub mod polkit;
pub mod region;
pub mod replication;
pub mod retention;
pub mod services;
pub mod sessions;
pub mod sharing;
pub mod snapshots;
pub mod snmp;
pub mod ssh_keys;
pub mod sshd;
pub mod stale_processes;
pub mod storage;
pub mod sudo;
pub mod super_servers;
pub mod tenants;
pub mod time_sync;
pub mod tls;
pub mod tls_capabilities;
pub mod units;
pub mod updates;
pub mod web;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::LazyLock;

use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::host::Host;
use crate::model::gap::{Gaps, reason};
use crate::model::report::Cadence;
use crate::model::schemas;

/// A document that describes one area of a host.
pub trait Document: Serialize + DeserializeOwned + JsonSchema {
    /// Name of the family and of its variable in rules; snake_case.
    const NAME: &'static str;
    /// What it describes, one line.
    const TITLE: &'static str;
    /// Version of the schema, raised when a field changes its meaning.
    const VERSION: u32 = 1;
    /// In which scans it is gathered at the least.
    const CADENCE: Cadence = Cadence::Weekly;
}

/// A family read through [`Host`] alone.
pub trait HostFamily: Document {
    /// Files whose change makes the agent read the family again (drift), absolute paths:
    /// `/etc/passwd` one file, `/etc/shadow*` every name with this beginning, `/etc/cron.d/*` what a
    /// folder holds, `/etc/ssh/**` everything below it. `~` stands for each home folder of
    /// /etc/passwd. What changes on a quiet machine (logs, caches) does not belong here.
    const WATCHED: &'static [&'static str] = &[];
    /// Reads it. What can't be read becomes a gap; `None` when nothing at all could be told (then
    /// a gap with an empty path was added).
    fn gather(host: &Host, gaps: &mut Gaps) -> Option<Self>;
}

/// Which door a family gets.
#[derive(Clone, Copy, Debug)]
pub enum Side {
    /// The machine.
    Host(fn(&Host, &mut Gaps) -> Option<Value>),
    /// Examined sockets: gathered by [`services::survey`], which speaks to every endpoint once
    /// for all families of endpoints, and by [`region::survey`], which asks the cloud.
    Probe,
}

/// One family as everybody else sees it.
#[derive(Debug)]
pub struct Family {
    /// Name and variable in rules.
    pub name: &'static str,
    /// One line.
    pub title: &'static str,
    /// Schema version.
    pub version: u32,
    /// In which scans it is gathered at the least.
    pub cadence: Cadence,
    /// Door.
    pub side: Side,
    /// [`HostFamily::WATCHED`].
    pub watched: &'static [&'static str],
    /// What its schema must be.
    #[cfg(test)]
    pub(crate) generated: fn() -> Value,
}

impl Family {
    const fn host<T: HostFamily>() -> Self {
        Self {
            name: T::NAME,
            title: T::TITLE,
            version: T::VERSION,
            cadence: T::CADENCE,
            side: Side::Host(gather_value::<T>),
            watched: T::WATCHED,
            #[cfg(test)]
            generated: tests::generated::<T>,
        }
    }

    const fn probe<T: Document>() -> Self {
        Self {
            name: T::NAME,
            title: T::TITLE,
            version: T::VERSION,
            cadence: T::CADENCE,
            side: Side::Probe,
            watched: &[],
            #[cfg(test)]
            generated: tests::generated::<T>,
        }
    }

    /// JSON schema (draft 2020-12) of the document.
    pub fn schema(&self) -> Value {
        schemas::of(self.name)
    }
}

/// Every family, in the order in which they are gathered.
pub static FAMILIES: &[Family] = &[
    Family::host::<os::Os>(),
    Family::host::<kernel::Kernel>(),
    Family::host::<packages::Packages>(),
    Family::host::<updates::Updates>(),
    Family::host::<storage::Storage>(),
    Family::host::<accounts::Accounts>(),
    Family::host::<ssh_keys::SshKeys>(),
    Family::host::<pam::Pam>(),
    Family::host::<polkit::Polkit>(),
    Family::host::<sudo::Sudo>(),
    Family::host::<sshd::Sshd>(),
    Family::host::<jobs::Jobs>(),
    Family::host::<time_sync::TimeSync>(),
    Family::host::<logging::Logging>(),
    Family::host::<malware::Malware>(),
    Family::host::<monitoring::Monitoring>(),
    Family::host::<units::Units>(),
    Family::host::<hardening::Hardening>(),
    Family::host::<certificates::Certificates>(),
    Family::host::<containers::Containers>(),
    Family::host::<sessions::Sessions>(),
    Family::host::<stale_processes::StaleProcesses>(),
    Family::host::<listeners::Listeners>(),
    Family::host::<firewall::Firewall>(),
    Family::host::<connections::Connections>(),
    Family::host::<databases::Databases>(),
    Family::host::<web::Web>(),
    Family::host::<mail::Mail>(),
    Family::host::<super_servers::SuperServers>(),
    Family::host::<ftp::Ftp>(),
    Family::host::<sharing::Sharing>(),
    Family::host::<directory::Directory>(),
    Family::host::<snmp::Snmp>(),
    Family::host::<database_servers::DatabaseServers>(),
    Family::host::<replication::Replication>(),
    Family::host::<backups::Backups>(),
    Family::host::<snapshots::Snapshots>(),
    Family::host::<retention::Retention>(),
    Family::host::<tenants::Tenants>(),
    Family::host::<path_limits::PathLimits>(),
    Family::host::<cloud::Cloud>(),
    Family::host::<files::Files>(),
    Family::host::<payment_data::PaymentData>(),
    Family::probe::<services::Services>(),
    Family::probe::<tls::Tls>(),
    Family::probe::<tls_capabilities::TlsCapabilities>(),
    Family::probe::<region::Region>(),
];

/// The family of this name.
pub fn family(name: &str) -> Option<&'static Family> {
    FAMILIES.iter().find(|f| f.name == name)
}

/// Schema of every family, by name; unpacked once and kept.
pub fn schemas() -> &'static [(&'static str, Value)] {
    static SCHEMAS: LazyLock<Vec<(&'static str, Value)>> = LazyLock::new(|| FAMILIES.iter().map(|f| (f.name, f.schema())).collect());
    &SCHEMAS
}

/// Gathers one host family; a panic becomes a gap of kind `internal-error`.
pub fn gather(family: &Family, host: &Host, gaps: &mut Gaps) -> Option<Value> {
    let Side::Host(gather) = family.side else {
        return None;
    };
    let mut own = Gaps::new();
    let result = catch_unwind(AssertUnwindSafe(|| gather(host, &mut own)));
    gaps.extend(own.into_sorted());
    result.unwrap_or_else(|_| {
        gaps.note(family.name, "", "", reason::INTERNAL, format!("gathering {} failed inside assay", family.name), "Report this as a defect.");
        None
    })
}

fn gather_value<T: HostFamily>(host: &Host, gaps: &mut Gaps) -> Option<Value> {
    let document = T::gather(host, gaps)?;
    match serde_json::to_value(&document) {
        Ok(value) => Some(value),
        Err(e) => {
            gaps.note(T::NAME, "", "", reason::INTERNAL, format!("{} does not serialise: {e}", T::NAME), "Report this as a defect.");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::schemas::CADENCE;

    pub(super) fn generated<T: Document>() -> Value {
        let mut schema = schemars::schema_for!(T);
        if T::CADENCE != Cadence::Weekly {
            schema.insert(CADENCE.into(), T::CADENCE.word().into());
        }
        schema.to_value()
    }

    #[test]
    fn every_file_of_the_folder_is_a_family() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/facts");
        let mut files: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap().trim_end_matches(".rs").to_string())
            .filter(|n| n != "mod")
            .collect();
        let mut names: Vec<String> = FAMILIES.iter().map(|f| f.name.to_string()).collect();
        files.sort();
        names.sort();
        assert_eq!(files, names);
    }
}
