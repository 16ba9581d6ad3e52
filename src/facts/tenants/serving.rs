//! Which accounts serve a tenant: processes that work in its folder, services that name it.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Tenants;
use super::access::People;
use super::below::is_inside;
use crate::facts::Document as _;
use crate::facts::jobs::service_units;
use crate::host::{Host, ReadError, processes};
use crate::model::gap::{Gaps, reason};

/// Most processes looked at.
const PROCESSES: usize = 100_000;
/// Most entries kept of one tenant.
const KEPT: usize = 200;

/// A process or service of a tenant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// Account as which it runs.
    #[schemars(extend("x-personal" = true))]
    pub account: String,
    /// `process` or `unit`.
    pub kind: String,
    /// Name of the program, or of the unit.
    pub name: String,
    /// systemd service of a process; empty: it belongs to none.
    pub service: String,
    /// What lies in the tenant's folder: `working folder`, `root folder`, `program`, or the directive of a unit.
    pub through: String,
}

/// Servers by the number of a tenant.
pub(super) type Serving = BTreeMap<usize, BTreeSet<Server>>;

/// Everything that serves one of the folders.
pub(super) fn gather(host: &Host, folders: &[(String, String)], people: &People, gaps: &mut Gaps) -> Serving {
    let mut serving = Serving::new();
    if folders.is_empty() {
        return serving;
    }
    units(host, folders, &mut serving, gaps);
    if host.is_live() {
        running(host, folders, people, &mut serving, gaps);
    } else {
        let detail = "which processes work in the folders of tenants is told by a running machine alone";
        gaps.note(Tenants::NAME, "accounts", "processes of tenants", reason::NEEDS_LIVE_KERNEL, detail, "Scan the machine itself.");
    }
    serving
}

fn holder(folders: &[(String, String)], path: &str) -> Option<usize> {
    let inside = folders.iter().enumerate().filter(|(_, (folder, _))| is_inside(path, folder));
    inside.max_by_key(|(_, (folder, _))| folder.len()).map(|(i, _)| i)
}

fn keep(serving: &mut Serving, tenant: usize, server: Server) {
    let kept = serving.entry(tenant).or_default();
    if kept.len() < KEPT {
        kept.insert(server);
    }
}

fn units(host: &Host, folders: &[(String, String)], serving: &mut Serving, gaps: &mut Gaps) {
    let (units, missed) = service_units::read(host);
    for gap in missed {
        // Of what that family misses only the units matter here.
        if gap.path == "items" || gap.path.is_empty() {
            gaps.note(Tenants::NAME, "accounts", "systemd units", &gap.reason, gap.detail, gap.remedy);
        }
    }
    for unit in units.into_iter().filter(|u| !u.user.is_empty()) {
        for (path, source) in &unit.places {
            if let Some(tenant) = holder(folders, path) {
                let server = Server {
                    account: unit.user.clone(),
                    kind: "unit".into(),
                    name: unit.name.clone(),
                    service: unit.name.clone(),
                    through: source.directive.clone(),
                };
                keep(serving, tenant, server);
            }
        }
    }
}

fn running(host: &Host, folders: &[(String, String)], people: &People, serving: &mut Serving, gaps: &mut Gaps) {
    let ids = match processes::ids(host) {
        Ok(ids) => ids,
        Err(e) => return gaps.add(e.to_gap(Tenants::NAME, "accounts", "processes of tenants")),
    };
    if ids.len() > PROCESSES {
        let detail = format!("{} processes are more than {PROCESSES}", ids.len());
        gaps.note(Tenants::NAME, "accounts", "processes of tenants", reason::LIMIT_REACHED, detail, "");
    }
    let mut denied: Option<ReadError> = None;
    for pid in ids.into_iter().take(PROCESSES) {
        for (link, through) in [("cwd", "working folder"), ("root", "root folder"), ("exe", "program")] {
            match host.read_link(&format!("/proc/{pid}/{link}")) {
                Ok(target) => {
                    let path = target.strip_suffix(" (deleted)").unwrap_or(&target);
                    if path != "/"
                        && let Some(tenant) = holder(folders, path)
                        && let Some(uid) = processes::uid(host, pid)
                    {
                        process(host, pid, people.user(uid), (tenant, through), serving);
                    }
                }
                // Kernel threads have no program, and processes end.
                Err(e) if e.is_not_found() => {}
                Err(e @ ReadError::Denied(_)) => denied = denied.or(Some(e)),
                Err(_) => {}
            }
        }
    }
    if let Some(e) = denied {
        let gap = e.to_gap(Tenants::NAME, "accounts", "processes of tenants");
        gaps.add(crate::model::gap::Gap { remedy: "Run the scan as root or grant CAP_SYS_PTRACE.".into(), ..gap });
    }
}

fn process(host: &Host, pid: u32, account: String, (tenant, through): (usize, &str), serving: &mut Serving) {
    let service = processes::service(host, pid);
    let service = if service.starts_with("user@") { String::new() } else { service };
    // An administrator's shell that stands in the folder serves nobody.
    if account == "root" && service.is_empty() && through == "working folder" {
        return;
    }
    let server = Server { account, kind: "process".into(), name: processes::name(host, pid), service, through: through.into() };
    keep(serving, tenant, server);
}
