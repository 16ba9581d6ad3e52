//! What can be told without the network: configuration, identity, spool, processes, kernel, schedule.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use landlock::{ABI, Access as _, AccessFs, CompatLevel, Compatible as _, Ruleset, RulesetAttr as _};

use super::super::gatherer;
use super::super::identity::{Binding, Identity};
use super::super::renew;
use super::super::schedule::Calendar;
use super::super::spool::{self, Found, Item, Name, State as SpoolState};
use super::{Findings, Patient, date};
use crate::config::agent::{AgentConfig, DEFAULT_PATH};
use crate::host::{Host, clock};
use crate::model::report::Report;

const DAY: i64 = 86_400;
/// A renewal is overdue this long after it was due: the heartbeats of some days have failed.
const RENEWAL_OVERDUE: i64 = 2 * DAY;
/// A host without a scan for longer has missed a week.
const SCAN_OVERDUE: i64 = 8 * DAY;
/// Longest wait for the gatherer.
const GATHERER_WAIT: Duration = Duration::from_secs(10);
/// Watches that a host with many configuration folders needs.
const LEAST_WATCHES: u64 = 4096;
/// Instances that are usually in use by others.
const LEAST_INSTANCES: u64 = 16;
/// Capabilities of the gatherer: number (linux/capability.h), name, and what is not seen without it.
pub const CAPABILITIES: [(u32, &str, &str); 4] = [
    (2, "CAP_DAC_READ_SEARCH", "files that only their owners may read: shadow, keys, sudoers, crontabs"),
    (19, "CAP_SYS_PTRACE", "which process and program stand behind a listener, and deleted libraries in use"),
    (12, "CAP_NET_ADMIN", "the rules of the packet filter, so reachability"),
    (30, "CAP_AUDIT_CONTROL", "whether the kernel audits"),
];

/// The configuration; the defaults when it can't be used.
pub(super) fn configuration(path: Option<&Path>, findings: &mut Findings) -> AgentConfig {
    let shown = path.unwrap_or_else(|| Path::new(DEFAULT_PATH));
    let config = match AgentConfig::load(path).and_then(|config| config.thresholds().map(|_| config)) {
        Ok(config) => config,
        Err(e) => {
            findings.gap(
                "configuration",
                e.to_string(),
                "the agent does not start with it; what follows was looked at with the defaults",
                "Mend the file as said.",
            );
            return AgentConfig::default();
        }
    };
    let exists = shown.exists();
    findings.ok("configuration", if exists { shown.display().to_string() } else { format!("no {}: defaults", shown.display()) });
    let readable = std::fs::metadata(shown).is_ok_and(|m| m.mode() & 0o004 != 0);
    if config.proxy.login().is_some() && readable {
        let cure = format!("chown root:assay-agent {0} && chmod 640 {0}", shown.display());
        findings.gap("proxy-password", format!("{} is readable by everybody", shown.display()), "it holds the password of the proxy", cure);
    }
    config
}

/// Identity, certificate and binding.
pub(super) fn identity(config: &AgentConfig, host: &Host, findings: &mut Findings) -> Option<Identity> {
    let identity = match Identity::load(&config.state_dir) {
        Ok(identity) => identity,
        Err(e) => {
            findings.gap("identity", e.to_string(), "without it nothing is reported", "Run `assay enroll`, or run this as root or as the agent's user.");
            return None;
        }
    };
    findings.ok("identity", format!("{} ({}), enrolled at {}", identity.name, short(&identity.host.to_string()), identity.collector));
    certificate(&identity, findings);
    match identity.binding(host) {
        Binding::Here => findings.ok("machine", "the identity was made on this machine"),
        Binding::Unbound => findings.gap(
            "machine",
            "the identity is not bound: this machine had no machine-id when it enrolled",
            "a copy of it would not be noticed before it reports",
            "Run `systemd-machine-id-setup` and enrol again.",
        ),
        Binding::Elsewhere | Binding::NoMachineId => findings.gap(
            "machine",
            "the identity belongs to another machine-id than this machine has",
            "a clone must not speak for its original, so the agent does not run",
            "Run `assay enroll` with a token, or `assay enroll --moved` if the machine-id was changed on purpose.",
        ),
    }
    Some(identity)
}

fn certificate(identity: &Identity, findings: &mut Findings) {
    let now = clock::floored(0);
    let (Ok(life), Some(due)) = (crate::pki::Life::of(&identity.certificate), renew::due_at(identity)) else {
        findings.gap("certificate", "the host certificate can't be read", "the collector takes no other", "Move the state folder away and enrol again.");
        return;
    };
    let days = life.not_after.saturating_sub(now).div_euclid(DAY);
    let cure = "Let the agent run and reach its collector; it renews with the next heartbeat.";
    if life.not_after.saturating_add(crate::pki::RENEWABLE) < now {
        let what = format!("the host certificate expired on {}, more than 400 days ago", date(life.not_after));
        findings.gap("certificate", what, "it can't be renewed any more", "Move the state folder away and enrol again.");
    } else if life.not_after < now {
        findings.gap("certificate", format!("the host certificate expired on {}", date(life.not_after)), "nothing is delivered until it is renewed", cure);
    } else if due.saturating_add(RENEWAL_OVERDUE) < now {
        findings.gap("certificate", format!("{days} days left, renewal is due since {}", date(due)), "nothing is delivered once it has expired", cure);
    } else {
        findings.ok("certificate", format!("{days} days left, renewed from {} on", date(due)));
    }
}

/// The spool as it lies there; the agent may be using it.
pub(super) fn spool(config: &AgentConfig, findings: &mut Findings) -> Option<SpoolState> {
    let folder = &config.state_dir;
    let remembered = match SpoolState::load(&folder.join("state.json")) {
        Ok(Found::State(state)) => Some(*state),
        Ok(Found::Missing) => None,
        Ok(Found::Damaged) => {
            let why = "the agent can't tell which numbers it used";
            findings.gap("spool", "state.json is damaged", why, "Nothing to do: the agent opens a new lineage at its next start, and says so.");
            None
        }
        Err(e) => {
            findings.gap("spool", format!("{}: {e}", folder.display()), "it can't be looked into", "Run this as root or as the agent's user.");
            return None;
        }
    };
    room(config, findings);
    let (waiting, bytes) = contents(&folder.join("spool"));
    match waiting {
        0 => findings.ok("spool", "nothing waits"),
        n => findings.ok("spool", format!("{n} reports wait for the collector, {} KiB", bytes.div_ceil(1024))),
    }
    if let Some(state) = &remembered
        && state.dropped + state.damaged > 0
    {
        let what = format!("{} reports were dropped and {} files damaged in this lineage", state.dropped, state.damaged);
        findings.gap(
            "losses",
            what,
            "they never reached the collector; it knows how many",
            "Raise spool.max_bytes, mend the disk, or mend the way to the collector.",
        );
    }
    remembered
}

fn room(config: &AgentConfig, findings: &mut Findings) {
    let folder = &config.state_dir;
    match rustix::fs::statvfs(folder) {
        Err(e) => findings.gap("space", format!("{}: {e}", folder.display()), "reports are written there", "Create the folder for the agent's user."),
        Ok(fs) => {
            let (_, used) = contents(&folder.join("spool"));
            let (_, kept) = contents(&folder.join("kept"));
            let free = fs.f_bavail.saturating_mul(fs.f_frsize);
            let may_grow = config.spool.max_bytes.saturating_sub(used + kept);
            if fs.f_files > 0 && fs.f_favail == 0 {
                findings.gap(
                    "space",
                    format!("{} has no inodes left", folder.display()),
                    "a report is a file",
                    "Remove files, or give the folder a file system of its own.",
                );
            } else if free < may_grow {
                let what = format!("{} MiB free, the spool may still grow by {} MiB", free >> 20, may_grow >> 20);
                findings.gap(
                    "space",
                    what,
                    "a long outage of the collector would lose reports early",
                    "Free some space, or lower spool.max_bytes to what there is.",
                );
            } else {
                findings.ok("space", format!("{} MiB free, spool bounded at {} MiB", free >> 20, config.spool.max_bytes >> 20));
            }
        }
    }
}

/// Reports in a folder of the spool, and their bytes.
fn contents(folder: &Path) -> (usize, u64) {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().take(spool::MAX_FILES * 2);
    let files = entries.filter(|e| Name::parse(&e.file_name().to_string_lossy()).is_some());
    files.fold((0, 0), |(count, bytes), e| (count + 1, bytes + e.metadata().map_or(0, |m| m.len())))
}

/// Whether an agent runs: it holds the lock of the state folder (proc_locks(5)).
pub(super) fn service(patient: &Patient, findings: &mut Findings) {
    let why = "nobody scans and reports";
    let cure = "systemctl enable --now assay-agent";
    let Ok(lock) = std::fs::metadata(patient.config.state_dir.join("lock")) else {
        return findings.gap("agent", "no agent has run here yet", why, cure);
    };
    let held = patient.host.read_text("/proc/locks", 1 << 20).ok().and_then(|text| {
        let inode = format!(":{}", lock.ino());
        text.lines().find_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let flock = fields.get(1) == Some(&"FLOCK") && fields.get(5).is_some_and(|f| f.ends_with(&inode));
            flock.then(|| fields.get(4).map(ToString::to_string)).flatten()
        })
    });
    match held {
        Some(pid) => findings.ok("agent", format!("running, process {pid}")),
        None => findings.gap("agent", "no agent is running", why, cure),
    }
}

/// The privileged half and what it may do.
pub(super) fn gatherer(patient: &Patient, findings: &mut Findings) {
    let status = if patient.config.gatherer.in_process {
        findings.ok("gatherer", "none: the agent reads the machine itself (gatherer.in_process)");
        "/proc/self/status".to_string()
    } else {
        match gatherer::identify(&patient.config.gatherer.socket, Instant::now() + GATHERER_WAIT) {
            Ok(pid) => {
                findings.ok("gatherer", format!("answers, process {pid}"));
                format!("/proc/{pid}/status")
            }
            Err(e) => {
                findings.gap(
                    "gatherer",
                    e.to_string(),
                    "every fact of this machine becomes a gap",
                    "systemctl enable --now assay-gatherer; run this as root or as the agent's user",
                );
                return findings.unknown("capabilities", "the gatherer does not answer");
            }
        }
    };
    let text = patient.host.read_text(&status, 1 << 16).unwrap_or_default();
    let mask = |name: &str| text.lines().find_map(|l| l.strip_prefix(name)).and_then(|m| u64::from_str_radix(m.trim(), 16).ok());
    let Some(effective) = mask("CapEff:") else {
        return findings.unknown("capabilities", "its /proc status can't be read: run this as root");
    };
    let missing: Vec<_> = CAPABILITIES.iter().filter(|(bit, ..)| effective >> bit & 1 == 0).collect();
    if missing.is_empty() {
        return findings.ok("capabilities", "all four that reading needs");
    }
    for (bit, name, unseen) in missing {
        let bounded = mask("CapBnd:").is_some_and(|bounding| bounding >> bit & 1 == 0);
        let cure = if bounded {
            format!("Add {name} to CapabilityBoundingSet and AmbientCapabilities of assay-gatherer.service; a container must be given it.")
        } else {
            format!("Add {name} to AmbientCapabilities of assay-gatherer.service.")
        };
        findings.gap("capabilities", format!("{name} is missing"), format!("not seen: {unseen}"), cure);
    }
}

/// What the kernel must be able to.
pub(super) fn kernel(patient: &Patient, findings: &mut Findings) {
    let number = |path: &str| patient.host.read_text(path, 64).ok().and_then(|t| t.trim().parse::<u64>().ok());
    // The command itself has installed the filter of the agent, or it would not have come this far.
    findings.ok("seccomp", "the filter that lets no program start is in force");
    match Ruleset::default().set_compatibility(CompatLevel::HardRequirement).handle_access(AccessFs::from_all(ABI::V1)).and_then(Ruleset::create) {
        Ok(_) => findings.ok("landlock", "the agent confines itself to its folders"),
        Err(_) => findings.gap(
            "landlock",
            "this kernel has no landlock, or it is switched off",
            "one of several walls around the agent is missing; nothing else is affected",
            "Use a kernel of 5.13 or later with `landlock` in the boot parameter lsm=.",
        ),
    }
    let (watches, instances) = (number("/proc/sys/fs/inotify/max_user_watches"), number("/proc/sys/fs/inotify/max_user_instances"));
    match (watches, instances) {
        (Some(watches), Some(instances)) if watches >= LEAST_WATCHES && instances >= LEAST_INSTANCES => {
            findings.ok("inotify", format!("{watches} watches and {instances} instances for each user"));
        }
        (Some(watches), Some(instances)) => findings.gap(
            "inotify",
            format!("{watches} watches and {instances} instances for each user"),
            "changed files may be noticed with the next heartbeat only",
            format!("sysctl fs.inotify.max_user_watches={LEAST_WATCHES} fs.inotify.max_user_instances={LEAST_INSTANCES}, kept in /etc/sysctl.d"),
        ),
        _ => findings.unknown("inotify", "/proc/sys/fs/inotify can't be read"),
    }
}

/// Last and next scan.
pub(super) fn schedule(patient: &Patient, findings: &mut Findings) {
    let (Some(identity), config) = (&patient.identity, &patient.config) else {
        return findings.unknown("last-scan", "this machine is not enrolled");
    };
    let now = clock::unix_now();
    let cure = "Let the agent run, or scan now: assay agent --once";
    match last_scan(&config.state_dir) {
        Some(at) if now.saturating_sub(at) > SCAN_OVERDUE => {
            findings.gap("last-scan", format!("finished {}", date(at)), "this week's scan was missed", cure);
        }
        Some(at) => findings.ok("last-scan", format!("finished {}", date(at))),
        None => findings.gap("last-scan", "none is in the spool", "nothing is known of this host from the last 35 days", cure),
    }
    let done = patient.remembered.as_ref().map_or(&[][..], |s| &s.done);
    match Calendar::new(&config.time_zone, i64::from(config.jitter_minutes) * 60, &identity.host) {
        Some(calendar) => {
            let due = calendar.next(now, done);
            let when = if due.at <= now { "now".to_string() } else { date(due.at) };
            findings.ok("next-scan", format!("{} for {}: {when}", due.kind.word(), due.window));
        }
        None => findings.gap(
            "next-scan",
            format!("time zone {} is not known", config.time_zone),
            "no window can be told",
            "Install tzdata, or set time_zone to UTC.",
        ),
    }
}

/// When the newest scan that is still here ended, Unix seconds.
fn last_scan(state_dir: &Path) -> Option<i64> {
    let newest = |folder: &str| {
        let entries = std::fs::read_dir(state_dir.join(folder)).ok()?.flatten().take(spool::MAX_FILES * 2);
        entries.filter_map(|e| Name::parse(&e.file_name().to_string_lossy())).max().map(|name| (name, folder.to_string()))
    };
    let (name, folder) = newest("spool").into_iter().chain(newest("kept")).max()?;
    let item = Item::read(&state_dir.join(folder).join(name.to_string())).ok()?;
    Some(serde_json::from_slice::<Report>(&item.envelope.payload_bytes().ok()?).ok()?.times.finished)
}

fn short(id: &str) -> String {
    id.chars().take(16).collect()
}
