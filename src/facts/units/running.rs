//! What runs: OpenRC's own marks; of systemd its control groups, which hold the processes of each
//! unit.

use std::collections::{BTreeMap, BTreeSet};

use super::{LIVE, Unit, Units, needs_live, not_told};
use crate::facts::Document as _;
use crate::host::dbus::{Bus, BusError, LoadedUnit, SYSTEM_BUS};
use crate::host::{FileKind, Host, ReadError};
use crate::model::gap::{Gaps, reason};

/// Where systemd keeps the groups of services: one tree, or the named one of version 1.
const SLICES: [&str; 3] = ["/sys/fs/cgroup/system.slice", "/sys/fs/cgroup/unified/system.slice", "/sys/fs/cgroup/systemd/system.slice"];
/// Marks of OpenRC.
const OPENRC: [&str; 2] = ["/run/openrc", "/lib/rc/init.d"];
/// How many slices deep units are looked for.
const DEPTH: usize = 4;
/// Largest `cgroup.events` or `cgroup.procs` read, bytes.
const LIMIT: usize = 1 << 20;

/// What processes tell.
const PROCESSES: [&str; 3] = ["items.running", "items.difference", "guards.running"];

/// Fills what only a running machine tells.
pub fn tell(host: &Host, manager: &str, units: &mut [Unit], gaps: &mut Gaps) {
    if !host.is_live() {
        needs_live(gaps);
        return;
    }
    match manager {
        "openrc" => openrc(host, units, gaps),
        "systemd" => systemd(host, units, gaps),
        _ => not_told(gaps, &LIVE, reason::UNSUPPORTED, "init scripts of System V keep no list of what runs", ""),
    }
}

/// What systemd says of the units that it has loaded; what is not loaded does nothing.
pub fn lay_over(loaded: Vec<LoadedUnit>, units: &mut [Unit]) {
    let loaded: BTreeMap<String, String> = loaded.into_iter().map(|u| (u.name, u.active)).collect();
    for unit in units {
        let name = if unit.alias_of.is_empty() { &unit.subject } else { &unit.alias_of };
        unit.active = Some(loaded.get(name).cloned().unwrap_or_else(|| "inactive".into()));
    }
}

fn openrc(host: &Host, units: &mut [Unit], gaps: &mut Gaps) {
    let Some(folder) = OPENRC.iter().find(|f| host.exists(f).unwrap_or(false)) else {
        not_told(gaps, &LIVE, reason::MISSING, "/run/openrc is not there: the machine was not started by OpenRC", "");
        return;
    };
    let marked = |mark: &str| -> BTreeSet<String> { host.list(&format!("{folder}/{mark}")).unwrap_or_default().into_iter().map(|e| e.name).collect() };
    let (started, failed) = (marked("started"), marked("failed"));
    for unit in units {
        let is_started = started.contains(&unit.subject);
        let word = if failed.contains(&unit.subject) {
            "failed"
        } else if is_started {
            "active"
        } else {
            "inactive"
        };
        unit.active = Some(word.into());
        unit.running = Some(is_started);
    }
}

/// systemd says by its bus what is active or failed; where it is not asked, its control groups show
/// what has processes.
fn systemd(host: &Host, units: &mut [Unit], gaps: &mut Gaps) {
    const ACTIVE: [&str; 2] = ["items.active", "guards.failed"];
    match Bus::connect(host, SYSTEM_BUS).and_then(|mut bus| bus.units()) {
        Ok(loaded) => lay_over(loaded, units),
        Err(e) => {
            let id = match &e {
                BusError::Socket(ReadError::Denied(_)) => reason::PERMISSION_DENIED,
                e if e.is_absent() => reason::MISSING,
                _ => reason::UNREACHABLE,
            };
            not_told(gaps, &ACTIVE, id, &format!("systemd was not asked which units failed: {e}"), "");
        }
    }
    let Some(slice) = SLICES.iter().find(|f| host.exists(f).unwrap_or(false)) else {
        let detail = "there is no control group system.slice: the machine was not started by systemd";
        not_told(gaps, &PROCESSES, reason::MISSING, detail, "");
        return;
    };
    let mut running = BTreeSet::new();
    if let Err(e) = populated(host, slice, DEPTH, &mut running) {
        for path in PROCESSES {
            gaps.add(e.to_gap(Units::NAME, path, ""));
        }
        return;
    }
    for unit in units.iter_mut().filter(|u| u.kind == "service") {
        let name = if unit.alias_of.is_empty() { &unit.subject } else { &unit.alias_of };
        unit.running = Some(running.contains(name));
    }
}

/// Names of services whose group, or one below it, holds a process.
fn populated(host: &Host, slice: &str, depth: usize, out: &mut BTreeSet<String>) -> Result<(), ReadError> {
    for entry in host.list(slice)?.into_iter().filter(|e| e.kind == FileKind::Folder) {
        let folder = format!("{slice}/{}", entry.name);
        if entry.name.ends_with(".slice") && depth > 0 {
            populated(host, &folder, depth - 1, out)?;
        } else if entry.name.ends_with(".service") && holds_process(host, &folder) {
            out.insert(entry.name);
        }
    }
    Ok(())
}

fn holds_process(host: &Host, folder: &str) -> bool {
    match host.read_text(&format!("{folder}/cgroup.events"), LIMIT) {
        Ok(text) => text.lines().any(|l| l == "populated 1"),
        // Version 1 has no such file.
        Err(_) => host.read_text(&format!("{folder}/cgroup.procs"), LIMIT).is_ok_and(|t| !t.trim().is_empty()),
    }
}
