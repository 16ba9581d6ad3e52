//! One scan: gather, probe, judge.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::advisory::{self, Index};
use crate::facts::cloud::Cloud;
use crate::facts::region::Region;
use crate::facts::services::{self, Plan, Services, Surveyed};
use crate::facts::tls::Tls;
use crate::facts::tls_capabilities::TlsCapabilities;
use crate::facts::{self, Document as _, FAMILIES, Family, Side, listeners::Listeners};
use crate::host::{Host, ReadError, clock};
use crate::model::advisories::Derived;
use crate::model::against::Against;
use crate::model::fact::{self, Observation, StableFacts, VolatileFacts};
use crate::model::finding::Finding;
use crate::model::gap::{Gap, Gaps, reason};
use crate::model::policy::Policy;
use crate::model::report::{Cadence, ScanState, Software, Times};
use crate::probe::Limits;
use crate::probe::tls::plan::Depth;
use crate::rules::{self, Pack};

/// Longest scan when nobody says otherwise.
pub const SCAN_DEADLINE: Duration = Duration::from_secs(900);
/// Stable id of the limit on the whole scan.
pub const LIMIT_DEADLINE: &str = "scan-deadline";
/// Stable id: the gatherer stopped while it read (killed, or out of memory).
pub const LIMIT_GATHERER: &str = "gatherer-stopped";
/// Stable id: the agent was told to stop.
pub const LIMIT_STOPPED: &str = "stopped";
/// Stable id: the agent was killed, or the machine stopped, before the scan was over.
pub const LIMIT_INTERRUPTED: &str = "interrupted";
/// Stable id: the report did not fit into the spool.
pub const LIMIT_SPOOL: &str = "spool-size";
/// Stable id: lists of gaps or findings larger than a blob may be.
pub const LIMIT_BLOB: &str = "blob-size";
/// Stable id of the limit on the number of gaps. It stops nothing: what could not be listed makes
/// every verdict unknown.
const LIMIT_GAPS: &str = "gap-count";
/// Most readings at once in one process; beyond one, the others hang (a dead network mount).
const MAX_READINGS: usize = 8;

/// What to scan and against what to judge.
#[derive(Debug)]
pub struct Request<'a> {
    /// The machine or a mounted root.
    pub host: &'a Host,
    /// Only these families; empty: all.
    pub families: Vec<String>,
    /// Endpoints beside the host's own, and exclusions; `listeners` is filled in by the scan.
    pub plan: Plan,
    /// Bounds of the probes.
    pub limits: Limits,
    /// Thresholds.
    pub policy: Policy,
    /// Lists that people keep.
    pub against: Against<'a>,
    /// Published advisories.
    pub advisories: Option<&'a Index>,
}

/// How far a scan is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Families gathered.
    pub families_done: usize,
    /// Families planned.
    pub families_total: usize,
    /// Endpoints spoken to.
    pub endpoints_done: usize,
    /// Endpoints planned.
    pub endpoints_total: usize,
}

/// Everything a scan saw and said.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Facts and gaps.
    pub observation: Observation,
    /// Published advisories that concern the host; `None` without an index.
    pub advisories: Option<Derived>,
    /// Verdicts, failures first by severity.
    pub findings: Vec<Finding>,
    /// When.
    pub times: Times,
    /// How far it got.
    pub state: ScanState,
    /// Stable ids of the limits hit, sorted.
    pub limits: Vec<String>,
    /// What judged.
    pub software: Software,
    /// People and ways in, if a list of people or approvals was given.
    pub access: Option<Value>,
}

impl Outcome {
    /// The facts as the blobs that a report carries, by family.
    pub fn documents(&self) -> impl Iterator<Item = (StableFacts, VolatileFacts)> {
        self.observation.families.iter().filter_map(|(name, value)| {
            let family = facts::family(name)?;
            Some(fact::split(family.name, family.version, &family.schema(), value.clone()))
        })
    }
}

/// Why a scan can't begin.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    /// There is no such family.
    #[error("there is no family {0:?}: use {1}")]
    Family(String, String),
    /// The rules don't load.
    #[error("rules: {0}")]
    Rules(String),
    /// A thread or a runtime could not be started.
    #[error("scan can't start: {0}")]
    Start(std::io::Error),
}

/// What was read of the machine.
#[derive(Clone, Debug, Default)]
pub struct Gathered {
    /// Family -> document.
    pub families: BTreeMap<String, Value>,
    /// What could not be read.
    pub gaps: Vec<Gap>,
    /// Whether the running machine was read: only then are its own listeners spoken to.
    pub live: bool,
    /// Stable ids of the limits that ended it early.
    pub stopped: BTreeSet<String>,
}

/// Scans once with the built-in rules. Blocks, and drives a runtime of its own: an asynchronous
/// caller uses a blocking thread.
pub fn scan(request: Request<'_>, progress: &(dyn Fn(Progress) + Sync)) -> anyhow::Result<Outcome> {
    let pack = builtin_rules()?;
    Ok(scan_with(request, &pack, SCAN_DEADLINE, progress)?)
}

/// The rules that are part of the program.
pub fn builtin_rules() -> Result<Pack, ScanError> {
    Pack::builtin(&fresh_schemas()).map_err(|e| ScanError::Rules(e.to_string()))
}

/// The same, compiled anew and not kept: for an agent that is idle for days between two scans.
pub fn fresh_rules() -> Result<Pack, ScanError> {
    Pack::builtin_anew(&fresh_schemas()).map_err(|e| ScanError::Rules(e.to_string()))
}

/// The schemas of the families, for this caller alone.
pub(super) fn fresh_schemas() -> Vec<(&'static str, Value)> {
    FAMILIES.iter().map(|f| (f.name, f.schema())).collect()
}

/// The rules that are part of the program and read nothing but what endpoints say. A survey of one endpoint takes less time than
/// reading all the others.
pub fn endpoint_rules() -> Result<Pack, ScanError> {
    let families = FAMILIES.iter().filter(|f| services::FAMILIES.contains(&f.name));
    let schemas: Vec<(&'static str, Value)> = families.map(|f| (f.name, f.schema())).collect();
    Pack::builtin_of(&["services", "tls"], &schemas).map_err(|e| ScanError::Rules(e.to_string()))
}

/// Scans once with the given rules, within `deadline`.
pub fn scan_with(request: Request<'_>, pack: &Pack, deadline: Duration, progress: &(dyn Fn(Progress) + Sync)) -> Result<Outcome, ScanError> {
    let scan = Started::now(deadline);
    let planned = plan_families(&request.families)?;
    let hosted: Vec<&'static Family> = planned.iter().copied().filter(|f| matches!(f.side, Side::Host(_))).collect();
    let total = planned.len();
    let report = |done| progress(Progress { families_done: done, families_total: total, ..Progress::default() });
    let gathered = gather(request.host, &hosted, scan.until, &report)?;
    conclude(
        scan,
        gathered,
        &planned,
        Judging {
            plan: request.plan,
            limits: request.limits,
            policy: &request.policy,
            against: request.against,
            advisories: request.advisories,
            pack,
            cadence: Cadence::Monthly,
            drift: false,
        },
        progress,
    )
}

/// When a scan began and must end.
#[derive(Clone, Copy, Debug)]
pub struct Started {
    wall: i64,
    boot_ms: u64,
    /// When it must be done.
    pub until: Instant,
}

impl Started {
    /// A scan that begins now.
    pub fn now(deadline: Duration) -> Self {
        Self { wall: clock::unix_now(), boot_ms: clock::boot_ms(), until: Instant::now() + deadline }
    }

    /// A scan that began in an earlier life of the agent.
    pub fn before(wall: i64, boot_ms: u64) -> Self {
        Self { wall, boot_ms, until: Instant::now() }
    }

    /// Wall clock at the start, Unix seconds.
    pub const fn wall(&self) -> i64 {
        self.wall
    }

    /// CLOCK_BOOTTIME at the start, milliseconds.
    pub const fn boot_ms(&self) -> u64 {
        self.boot_ms
    }

    /// Its times if it ends now.
    fn times(&self) -> Times {
        Times { started: self.wall, finished: clock::unix_now().max(self.wall), boot_ms: self.boot_ms }
    }
}

/// What comes after reading the machine.
#[derive(Debug)]
pub struct Judging<'a> {
    /// Endpoints beside the host's own.
    pub plan: Plan,
    /// Bounds of the probes.
    pub limits: Limits,
    /// Thresholds.
    pub policy: &'a Policy,
    /// Lists that people keep.
    pub against: Against<'a>,
    /// Published advisories.
    pub advisories: Option<&'a Index>,
    /// Rules.
    pub pack: &'a Pack,
    /// Rarer rules are not judged.
    pub cadence: Cadence,
    /// Only some families were read, on purpose: rules that read others are not judged.
    pub drift: bool,
}

/// The families of these names with what they need, in gathering order; all for an empty list.
pub fn plan_families(names: &[String]) -> Result<Vec<&'static Family>, ScanError> {
    if let Some(unknown) = names.iter().find(|n| facts::family(n).is_none()) {
        let all: Vec<&str> = FAMILIES.iter().map(|f| f.name).collect();
        return Err(ScanError::Family(unknown.clone(), all.join(", ")));
    }
    let asked = |name: &str| names.is_empty() || names.iter().any(|n| n == name);
    // Probe families speak to the listeners.
    let probes = services::FAMILIES.iter().any(|f| asked(f));
    Ok(FAMILIES.iter().filter(|f| asked(f.name) || (probes && f.name == Listeners::NAME)).collect())
}

/// Those of them that a scan of this cadence reads.
pub fn within(mut planned: Vec<&'static Family>, cadence: Cadence) -> Vec<&'static Family> {
    planned.retain(|f| f.cadence <= cadence);
    planned
}

/// The families that a drift scan of `changed` reads, out of those `planned`: the changed ones, and
/// those that rules read together with them, so that these rules can be judged.
pub fn drift_families(changed: &[String], planned: &[&'static Family], pack: &Pack) -> Vec<&'static Family> {
    let is_changed = |name: &str| changed.iter().any(|c| c == name);
    let hosted: Vec<&'static Family> = within(planned.to_vec(), Cadence::Weekly).into_iter().filter(|f| matches!(f.side, Side::Host(_))).collect();
    let is_planned = |name: &str| hosted.iter().any(|f| f.name == name);
    let judged = pack.rules.iter().map(rules::Rule::families).filter(|reads| reads.iter().any(|r| is_changed(r)) && reads.iter().all(|r| is_planned(r)));
    let beside: BTreeSet<&str> = judged.flatten().collect();
    hosted.iter().copied().filter(|f| is_changed(f.name) || beside.contains(f.name)).collect()
}

/// Reads host families on a thread of its own, so that a read that never returns (a dead network
/// mount) costs its family and not the scan.
pub fn gather(host: &Host, planned: &[&'static Family], until: Instant, done: &dyn Fn(usize)) -> Result<Gathered, ScanError> {
    let Some(reading) = Reading::begin() else { return Ok(hanging(host, planned)) };
    let again = host.again();
    let own: Vec<&'static Family> = planned.to_vec();
    let (send, receive) = mpsc::channel();
    std::thread::Builder::new()
        .name("gather".into())
        .spawn(move || {
            gather_all(again.as_ref(), &own, &send);
            drop(reading);
        })
        .map_err(ScanError::Start)?;
    let mut gathered = Gathered { live: host.is_live(), ..Gathered::default() };
    let mut gaps = Gaps::new();
    done(0);
    for (number, family) in planned.iter().enumerate() {
        let left = until.saturating_duration_since(Instant::now());
        match receive.recv_timeout(left) {
            Ok((value, own)) => {
                if let Some(value) = value {
                    gathered.families.insert(family.name.into(), value);
                }
                gaps.extend(own);
                done(number + 1);
            }
            Err(mpsc::RecvTimeoutError::Timeout) => {
                gathered.stopped.insert(LIMIT_DEADLINE.into());
                for rest in planned.iter().skip(number) {
                    let detail = format!("{} was not read before the deadline of the scan", rest.name);
                    gaps.note(rest.name, "", "", reason::TIMEOUT, detail, "Look for a dead mount, or raise scan_deadline_seconds.");
                }
                break;
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                for rest in planned.iter().skip(number) {
                    gaps.note(rest.name, "", "", reason::INTERNAL, format!("reading stopped before {}", rest.name), "Report this as a defect.");
                }
                break;
            }
        }
    }
    gathered.gaps = gaps.into_sorted();
    Ok(gathered)
}

/// A reading that is under way, or hangs for good.
struct Reading;

static READINGS: AtomicUsize = AtomicUsize::new(0);

impl Reading {
    fn begin() -> Option<Self> {
        READINGS.fetch_update(Ordering::AcqRel, Ordering::Acquire, |n| (n < MAX_READINGS).then_some(n + 1)).ok().map(|_| Self)
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        READINGS.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Threads that hang can't be ended, so their number is bounded.
fn hanging(host: &Host, planned: &[&'static Family]) -> Gathered {
    let mut gaps = Gaps::new();
    for family in planned {
        let detail = format!("{MAX_READINGS} earlier readings have not ended");
        gaps.note(family.name, "", "", reason::TIMEOUT, detail, "Mend or unmount the dead mount, then restart assay.");
    }
    Gathered { gaps: gaps.into_sorted(), live: host.is_live(), ..Gathered::default() }
}

fn gather_all(host: Result<&Host, &ReadError>, planned: &[&'static Family], send: &mpsc::Sender<(Option<Value>, Vec<Gap>)>) {
    for family in planned {
        let mut gaps = Gaps::new();
        let value = match host {
            Ok(host) => facts::gather(family, host, &mut gaps),
            Err(e) => {
                gaps.add(e.to_gap(family.name, "", ""));
                None
            }
        };
        // A family that says nothing at all must not look like one that was not asked for.
        let mut gaps = gaps.into_sorted();
        if value.is_none() && !gaps.iter().any(|g| g.path.is_empty() && g.subject.is_empty()) {
            let mut missing = Gaps::new();
            missing.note(family.name, "", "", reason::INTERNAL, format!("{} was not told", family.name), "");
            gaps.extend(missing.into_sorted());
        }
        if send.send((value, gaps)).is_err() {
            return;
        }
    }
}

/// Probes, judges and closes a scan whose machine was read.
pub fn conclude(
    scan: Started,
    gathered: Gathered,
    planned: &[&'static Family],
    mut judging: Judging<'_>,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<Outcome, ScanError> {
    let Gathered { mut families, gaps: host_gaps, live, mut stopped } = gathered;
    let mut gaps = Gaps::new();
    let software = software(&judging);
    let is_probed = |family: &&&'static Family| matches!(family.side, Side::Probe) && services::FAMILIES.contains(&family.name);
    let probes: Vec<&'static str> = planned.iter().filter(is_probed).map(|f| f.name).collect();
    if planned.iter().any(|f| f.name == Region::NAME) {
        let region = region(live, &families, &judging, scan.until, &mut gaps)?;
        keep(Region::NAME, region.map(serde_json::to_value), &mut families, &mut gaps);
    }
    if !probes.is_empty() {
        let mut plan = std::mem::take(&mut judging.plan);
        plan.until = Some(scan.until.into());
        plan.depth = if probes.contains(&TlsCapabilities::NAME) { Depth::Full } else { Depth::Narrow };
        plan.listeners = local_endpoints(live, &families, &host_gaps, &probes, &mut gaps);
        let totals = Progress { families_done: planned.len() - probes.len(), families_total: planned.len(), ..Progress::default() };
        let (surveyed, in_time) = survey(&plan, &judging.limits, scan.until, totals, &mut gaps, progress)?;
        if !in_time {
            stopped.insert(LIMIT_DEADLINE.into());
        }
        keep_surveyed(surveyed, &probes, &mut families, &mut gaps);
    }
    gaps.extend(host_gaps);
    let observation = Observation { gathered_at: scan.wall, families, gaps: gaps.into_sorted() };
    let advisories = judging.advisories.map(|index| advisory::derive(&observation, index));
    let findings = judge(&observation, &judging, advisories.as_ref());
    let access = if judging.against.is_empty() { None } else { rules::access::derive(&observation, judging.against).0 };
    let access = access.and_then(|access| serde_json::to_value(access).ok());
    let is_cut = !stopped.is_empty();
    let limits = limits_hit(&observation.gaps, stopped);
    Ok(Outcome {
        advisories,
        findings,
        times: scan.times(),
        state: if is_cut { ScanState::Aborted } else { ScanState::Complete },
        limits,
        software,
        access,
        observation,
    })
}

/// A scan that ended before it saw anything, for the reason that `limit` names.
pub fn aborted(scan: Started, planned: &[&'static Family], judging: &Judging<'_>, limit: &str, detail: &str) -> Outcome {
    let mut gaps = Gaps::new();
    for family in planned {
        gaps.note(family.name, "", "", reason::ABORTED, detail, "Wait for the next scan, or ask for one.");
    }
    let observation = Observation { gathered_at: scan.wall, families: BTreeMap::new(), gaps: gaps.into_sorted() };
    Outcome {
        findings: judge(&observation, judging, None),
        observation,
        advisories: None,
        times: scan.times(),
        state: ScanState::Aborted,
        limits: vec![limit.into()],
        software: software(judging),
        access: None,
    }
}

/// The outcome without families that no report can carry: a gap stands in the place of each, and
/// what they would have told is unknown.
pub fn without(outcome: Outcome, families: &[String], judging: &Judging<'_>) -> Outcome {
    let Outcome { mut observation, advisories, limits, .. } = outcome;
    let mut gaps = Gaps::new();
    gaps.extend(std::mem::take(&mut observation.gaps));
    for family in families {
        observation.families.remove(family);
        gaps.note(family, "", "", reason::LIMIT_REACHED, format!("{family} has more facts than a report can carry"), "");
    }
    observation.gaps = gaps.into_sorted();
    Outcome {
        findings: judge(&observation, judging, advisories.as_ref()),
        limits: limits_hit(&observation.gaps, limits.into_iter().collect()),
        observation,
        advisories,
        ..outcome
    }
}

fn judge(observation: &Observation, judging: &Judging<'_>, advisories: Option<&Derived>) -> Vec<Finding> {
    let input = rules::Input { observation, policy: judging.policy, against: judging.against, advisories };
    if judging.drift { rules::evaluate_drift(judging.pack, &input) } else { rules::evaluate_in(judging.pack, &input, judging.cadence) }
}

fn software(judging: &Judging<'_>) -> Software {
    Software { agent: env!("CARGO_PKG_VERSION").into(), pack: judging.pack.digest(), policy: judging.policy.digest() }
}

/// The host's own listeners that may be spoken to. What hides one becomes a gap of both probe families.
fn local_endpoints(
    live: bool,
    families: &BTreeMap<String, Value>,
    host_gaps: &[Gap],
    probes: &[&'static str],
    gaps: &mut Gaps,
) -> Vec<facts::listeners::Listener> {
    if !live {
        for name in probes {
            // One subject, so that named targets are still judged.
            let detail = "the listeners of a mounted root do not run";
            gaps.note(name, "", "listeners of the root", reason::NEEDS_LIVE_KERNEL, detail, "Scan the machine itself.");
        }
        return Vec::new();
    }
    for gap in host_gaps.iter().filter(|g| g.family == Listeners::NAME && g.subject.is_empty() && matches!(g.path.as_str(), "" | "items")) {
        for name in probes {
            gaps.add(Gap { family: (*name).into(), path: String::new(), ..gap.clone() });
        }
    }
    let Some(value) = families.get(Listeners::NAME) else {
        return Vec::new();
    };
    match serde_json::from_value::<Listeners>(value.clone()) {
        Ok(listeners) => listeners.items,
        Err(e) => {
            for name in probes {
                gaps.note(name, "", "", reason::INTERNAL, format!("listeners are not readable: {e}"), "Report this as a defect.");
            }
            Vec::new()
        }
    }
}

/// Time beside the deadline in which the survey tells what it saw.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Speaks to every endpoint; `false` when the deadline came first.
fn survey(
    plan: &Plan,
    limits: &Limits,
    until: Instant,
    totals: Progress,
    gaps: &mut Gaps,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<(Surveyed, bool), ScanError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(ScanError::Start)?;
    let report = |done, total| progress(Progress { endpoints_done: done, endpoints_total: total, ..totals });
    let mut own = Gaps::new();
    let result = catch_unwind(AssertUnwindSafe(|| {
        // What it saw until then is kept; the second limit is for a resolver that does not return.
        let late = until + LAST_WORDS;
        runtime.block_on(async { tokio::time::timeout_at(late.into(), services::survey(plan, limits, &mut own, &report)).await })
    }));
    // A resolver that hangs in the runtime's blocking pool must not hold the scan.
    runtime.shutdown_background();
    gaps.extend(own.into_sorted());
    match result {
        Ok(Ok(surveyed)) => {
            let in_time = !surveyed.is_cut;
            Ok((surveyed, in_time))
        }
        Ok(Err(_late)) => {
            for name in services::FAMILIES {
                gaps.note(name, "", "", reason::TIMEOUT, "endpoints were not all spoken to before the deadline of the scan", "Raise scan_deadline_seconds.");
            }
            Ok((Surveyed::default(), false))
        }
        Err(_panic) => {
            for name in services::FAMILIES {
                gaps.note(name, "", "", reason::INTERNAL, "speaking to the endpoints failed inside assay", "Report this as a defect.");
            }
            Ok((Surveyed::default(), true))
        }
    }
}

fn keep_surveyed(surveyed: Surveyed, probes: &[&'static str], families: &mut BTreeMap<String, Value>, gaps: &mut Gaps) {
    let values = [
        (Services::NAME, surveyed.services.map(serde_json::to_value)),
        (Tls::NAME, surveyed.tls.map(serde_json::to_value)),
        (TlsCapabilities::NAME, surveyed.tls_capabilities.map(serde_json::to_value)),
    ];
    for (name, value) in values.into_iter().filter(|(name, _)| probes.contains(name)) {
        if value.is_none() {
            gaps.note(name, "", "", reason::MISSING, "no endpoint was spoken to", "");
        }
        keep(name, value, families, gaps);
    }
}

fn keep(name: &'static str, value: Option<serde_json::Result<Value>>, families: &mut BTreeMap<String, Value>, gaps: &mut Gaps) {
    match value {
        Some(Ok(value)) => {
            families.insert(name.into(), value);
        }
        Some(Err(e)) => gaps.note(name, "", "", reason::INTERNAL, format!("{name} does not serialise: {e}"), "Report this as a defect."),
        None => {}
    }
}

/// Asks the cloud that the machine recognised where it stands.
fn region(live: bool, families: &BTreeMap<String, Value>, judging: &Judging<'_>, until: Instant, gaps: &mut Gaps) -> Result<Option<Region>, ScanError> {
    let cloud = families.get(Cloud::NAME).and_then(|value| serde_json::from_value::<Cloud>(value.clone()).ok());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(ScanError::Start)?;
    let mut own = Gaps::new();
    let exclusions = &judging.plan.exclusions;
    let asked = catch_unwind(AssertUnwindSafe(|| {
        let survey = facts::region::survey(cloud.as_ref(), live, exclusions, &judging.limits, &mut own);
        runtime.block_on(async { tokio::time::timeout_at(until.into(), survey).await })
    }));
    let found = match asked {
        Ok(Ok(found)) => found,
        Ok(Err(_late)) => {
            gaps.note(Region::NAME, "", "", reason::TIMEOUT, "the cloud was not asked before the deadline of the scan", "Raise scan_deadline_seconds.");
            None
        }
        Err(_panic) => {
            gaps.note(Region::NAME, "", "", reason::INTERNAL, "asking the cloud failed inside assay", "Report this as a defect.");
            None
        }
    };
    gaps.extend(own.into_sorted());
    Ok(found)
}

/// What stopped the scan, and what cost it something.
fn limits_hit(gaps: &[Gap], mut limits: BTreeSet<String>) -> Vec<String> {
    for gap in gaps.iter().filter(|g| g.reason == reason::LIMIT_REACHED) {
        limits.insert(if gap.family.is_empty() { LIMIT_GAPS.into() } else { format!("{}-limit", gap.family.replace('_', "-")) });
    }
    limits.into_iter().collect()
}
