//! The agent's loop: scans on schedule and on demand, spools, uploads, heartbeats.
//!
//! It wakes for a heartbeat, a due scan, a retry or a signal, and for nothing else.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::signal::unix::{SignalKind, signal};

use super::deliver::{self, DeliverError};
use super::gatherer;
use super::identity::{Identity, IdentityError};
use super::pace::{self, HEARTBEAT};
use super::renew::Renewal;
use super::run::{self, Judging, Outcome, ScanError, Started};
use super::schedule::Calendar;
use super::seal::{Draft, Purpose};
use super::spool::{Bounds, Spool, SpoolError};
use super::upload::{Client, Heartbeat, Resend, Route, UploadError};
use crate::config::ConfigError;
use crate::config::agent::AgentConfig;
use crate::facts::Side;
use crate::facts::services::Plan;
use crate::host::{Host, ReadError, clock};
use crate::model::against::Against;
use crate::model::policy::Policy;
use crate::model::report::{Cadence, ScanKind};
use crate::probe::Limits;
use crate::probe::tls::certificate::trust::Choice;
use crate::rules::Pack;

/// A scan that failed to start is tried again after this.
const SCAN_RETRY: Duration = Duration::from_secs(10 * 60);
/// Longest id of a scan request, bytes.
const MAX_REQUEST_ID: usize = 64;

/// Why the agent stopped.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// Not enrolled.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// Configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Disk.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// Keys.
    #[error(transparent)]
    Upload(#[from] UploadError),
    /// A report waits.
    #[error(transparent)]
    Deliver(#[from] DeliverError),
    /// Rules.
    #[error(transparent)]
    Scan(#[from] ScanError),
    /// The machine.
    #[error(transparent)]
    Host(#[from] ReadError),
    /// Signals or runtime.
    #[error("agent can't start: {0}")]
    Start(std::io::Error),
}

/// Runs until SIGTERM or SIGINT.
pub fn run(config: &AgentConfig) -> Result<(), ServiceError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(ServiceError::Start)?;
    let result = runtime.block_on(async { Service::start(config)?.serve().await });
    // A scan that is under way is let go: nothing of it was promised to anybody.
    runtime.shutdown_background();
    result
}

/// Scans once, for the window that is due or on demand, and delivers everything that waits.
/// After an error the reports wait in the spool.
pub fn once(config: &AgentConfig) -> Result<(), ServiceError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(ServiceError::Start)?;
    let result = runtime.block_on(async {
        let mut service = Service::start(config)?;
        let purpose = service.due().unwrap_or_else(Purpose::on_demand);
        let outcome = service.scan(&purpose).await?;
        service.keep(&outcome, purpose)?;
        service.renew().await;
        let drained = deliver::drain(&mut service.spool, &service.client, &service.identity).await;
        drained.error.map_or(Ok(()), |e| Err(e.into()))
    });
    runtime.shutdown_background();
    result
}

/// Scans once as the agent does: through the gatherer, or in this process if the configuration
/// says so. Families and rules rarer than `cadence` are left out.
pub fn scan(config: &AgentConfig, pack: &Pack, policy: &Policy, cadence: Cadence) -> Result<Outcome, ScanError> {
    let started = Started::now(Duration::from_secs(config.scan_deadline_seconds.into()));
    let planned = run::within(run::plan_families(&config.families)?, cadence);
    let hosted: Vec<_> = planned.iter().copied().filter(|f| matches!(f.side, Side::Host(_))).collect();
    let gathered = if config.gatherer.in_process {
        let host = Host::live().map_err(|e| ScanError::Start(std::io::Error::other(e.to_string())))?.with_declared(config.declared());
        run::gather(&host, &hosted, started.until, &|_| {})?
    } else {
        let names: Vec<&str> = hosted.iter().map(|f| f.name).collect();
        match gatherer::ask(&config.gatherer.socket, &names, started.until) {
            Ok(gathered) => gathered,
            Err(e) => {
                tracing::error!("{e}");
                gatherer::unreachable(&names, &e)
            }
        }
    };
    let judging = Judging { plan: plan_of(config), limits: limits_of(config), policy, against: Against::default(), advisories: None, pack, cadence };
    run::conclude(started, gathered, &planned, judging, &|_| {})
}

/// Endpoints of the configuration.
pub fn plan_of(config: &AgentConfig) -> Plan {
    Plan { targets: config.targets.clone(), exclusions: config.exclusions.clone(), trust: Choice::of(&config.trust_store), ..Plan::default() }
}

/// Bounds of the configuration.
pub fn limits_of(config: &AgentConfig) -> Limits {
    let probe = &config.probe;
    Limits {
        endpoint_deadline: Duration::from_secs(probe.endpoint_deadline_seconds.into()),
        survey_deadline: Duration::from_secs(probe.survey_deadline_seconds.into()),
        answer_timeout: Duration::from_secs(probe.answer_timeout_seconds.into()),
        per_target: probe.per_target as usize,
        total: probe.total as usize,
        bytes: Limits::default().bytes,
    }
}

struct Service {
    config: Arc<AgentConfig>,
    identity: Identity,
    calendar: Calendar,
    spool: Spool,
    client: Client,
    renewal: Renewal,
    pack: Arc<Pack>,
    policy: Policy,
    /// Deliveries that failed in a row.
    failures: u32,
    /// A scan that somebody asked for.
    requested: Option<String>,
}

impl Service {
    fn start(config: &AgentConfig) -> Result<Self, ServiceError> {
        let identity = Identity::open(&config.state_dir, &Host::live()?)?;
        let policy = config.thresholds()?;
        let pack = run::builtin_rules()?;
        let bounds = Bounds { max_bytes: config.spool.max_bytes, max_age: i64::from(config.spool.max_age_days) * 86_400 };
        let spool = Spool::open(&config.state_dir, bounds, identity.lineage)?;
        let calendar = Calendar::new(&config.time_zone, i64::from(config.jitter_minutes) * 60, &identity.host);
        let calendar = calendar.ok_or_else(|| ServiceError::Start(std::io::Error::other("time zone disappeared")))?;
        let client = Client::new(&identity, &route(config, &spool))?;
        let (config, pack, renewal) = (Arc::new(config.clone()), Arc::new(pack), Renewal::default());
        Ok(Self { config, identity, calendar, spool, client, renewal, pack, policy, failures: 0, requested: None })
    }

    async fn serve(mut self) -> Result<(), ServiceError> {
        let mut terminate = signal(SignalKind::terminate()).map_err(ServiceError::Start)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(ServiceError::Start)?;
        let stop = async {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        tokio::pin!(stop);
        tracing::info!(host = %self.identity.host, waiting = self.spool.waiting().len(), "agent is running");
        let first = Instant::now() + pace::first_contact(&self.identity.host, clock::boot_ms());
        let (mut heartbeat_at, mut scan_at, mut send_at) = (first, Instant::now(), Instant::now());
        loop {
            let now = Instant::now();
            if now >= heartbeat_at {
                tokio::select! { wait = self.heartbeat() => heartbeat_at = Instant::now() + wait, () = &mut stop => break }
            }
            if now >= scan_at
                && let Some(purpose) = self.due()
            {
                let scanned = tokio::select! { scanned = self.scan(&purpose) => scanned, () = &mut stop => break };
                // The report is written before the next point at which a signal can end the loop.
                match scanned.and_then(|outcome| self.keep(&outcome, purpose)) {
                    Ok(()) => send_at = Instant::now(),
                    Err(e) => {
                        tracing::error!("scan failed: {e}");
                        scan_at = Instant::now() + SCAN_RETRY;
                    }
                }
            }
            if now >= send_at && !self.spool.waiting().is_empty() {
                // A delivery that a signal interrupts is repeated after the next start; the
                // collector knows a repeated report.
                tokio::select! { wait = self.deliver() => send_at = Instant::now() + wait, () = &mut stop => break }
            }
            let next = self.next_wake(heartbeat_at, scan_at, send_at);
            tokio::select! { () = tokio::time::sleep_until(next.into()) => {}, () = &mut stop => break }
        }
        tracing::info!(waiting = self.spool.waiting().len(), "agent stops");
        Ok(())
    }

    /// The wall clock may jump: it is looked at again with every heartbeat.
    fn next_wake(&self, heartbeat_at: Instant, scan_at: Instant, send_at: Instant) -> Instant {
        let now = clock::unix_now();
        let due = self.calendar.next(now, &self.spool.state().done);
        let until_due = Duration::from_secs(u64::try_from(due.at.saturating_sub(now)).unwrap_or(0)).min(HEARTBEAT);
        let mut next = heartbeat_at.min((Instant::now() + until_due).max(scan_at));
        if self.requested.is_some() {
            next = next.min(scan_at);
        }
        if !self.spool.waiting().is_empty() {
            next = next.min(send_at);
        }
        next
    }

    fn due(&self) -> Option<Purpose> {
        let now = clock::unix_now();
        let due = self.calendar.next(now, &self.spool.state().done);
        if due.at <= now {
            return Some(Purpose { kind: due.kind, window: Some(due.window), covers: due.covers });
        }
        self.requested.is_some().then(Purpose::on_demand)
    }

    async fn scan(&self, purpose: &Purpose) -> Result<Outcome, ServiceError> {
        tracing::info!(kind = purpose.kind.word(), window = purpose.window.as_deref().unwrap_or("-"), "scan begins");
        let (config, pack, policy) = (Arc::clone(&self.config), Arc::clone(&self.pack), self.policy.clone());
        let cadence = purpose.kind.cadence();
        let scanning = tokio::task::spawn_blocking(move || scan(&config, &pack, &policy, cadence));
        let outcome = scanning.await.map_err(|e| ServiceError::Start(std::io::Error::other(e.to_string())))??;
        Ok(outcome)
    }

    fn keep(&mut self, outcome: &Outcome, purpose: Purpose) -> Result<(), ServiceError> {
        let answers = purpose.kind == ScanKind::OnDemand;
        let draft = Draft::new(&self.identity, outcome, purpose)?;
        let identity = &self.identity;
        let name = self.spool.put(clock::unix_now(), |numbers| draft.seal(identity, numbers))?;
        tracing::info!(sequence = name.sequence, "scan is in the spool");
        // The collector takes an on-demand report for the answer, not that of a window.
        if answers && let Some(id) = self.requested.take() {
            self.spool.remember_request(&id)?;
        }
        Ok(())
    }

    /// Renews the certificate if it is time.
    async fn renew(&mut self) {
        let route = route(&self.config, &self.spool);
        self.renewal.step(&mut self.identity, &mut self.client, &route, &self.config.state_dir).await;
    }

    async fn deliver(&mut self) -> Duration {
        self.renew().await;
        let drained = deliver::drain(&mut self.spool, &self.client, &self.identity).await;
        for (name, receipt) in &drained.receipts {
            tracing::info!(sequence = name.sequence, leaf = receipt.index, "report acknowledged");
        }
        if let Some(e) = &drained.error {
            tracing::warn!("report not delivered: {e}");
        }
        let Some(error) = drained.error else {
            self.failures = 0;
            return Duration::ZERO;
        };
        self.failures = self.failures.saturating_add(1);
        if let Some(error) = error.upload() {
            self.renewal.note(error);
        }
        pace::retry(&self.identity.host, self.failures, error.upload().and_then(UploadError::retry_after))
    }

    /// Puts back in line what a restored collector asks for.
    fn requeue(&mut self, resend: Resend) {
        match self.spool.requeue(resend.lineage, resend.from) {
            Ok(0) => tracing::warn!(lineage = %resend.lineage, from = resend.from, "the collector asks for reports that are no longer kept"),
            Ok(reports) => tracing::warn!(lineage = %resend.lineage, from = resend.from, reports, "the collector asks for acknowledged reports again"),
            Err(e) => tracing::error!("acknowledged reports could not be put back in line: {e}"),
        }
    }

    /// Says that the host is there; how long to wait until the next time.
    async fn heartbeat(&mut self) -> Duration {
        self.renew().await;
        let regular = pace::until_heartbeat(&self.identity.host, clock::unix_now());
        let state = self.spool.state();
        let heartbeat = Heartbeat {
            acknowledged: state.acknowledged,
            agent: env!("CARGO_PKG_VERSION"),
            checkpoint_size: state.checkpoint_size,
            lineage: state.lineage,
            now: clock::unix_now(),
            sequence: state.next_sequence.saturating_sub(1),
        };
        match self.client.heartbeat(&heartbeat).await {
            Ok(answer) => {
                let skew = answer.now.saturating_sub(clock::unix_now());
                if skew.abs() > 60 {
                    tracing::warn!(seconds = skew, "this clock and the collector's differ");
                }
                if let Some(resend) = answer.resend {
                    self.requeue(resend);
                }
                let known = self.spool.state().request.as_deref();
                self.requested = answer.scan.map(|s| s.id).filter(|id| id.len() <= MAX_REQUEST_ID && known != Some(id.as_str()));
                regular
            }
            Err(e) => {
                tracing::warn!("heartbeat: {e}");
                self.renewal.note(&e);
                self.renew().await;
                e.retry_after().map_or(regular, |asked| pace::retry(&self.identity.host, 1, Some(asked)))
            }
        }
    }
}

/// The way to the collector as the configuration has it.
fn route<'a>(config: &'a AgentConfig, spool: &Spool) -> Route<'a> {
    Route { collector: &config.collector, proxy: config.proxy.clone(), floor: spool.state().received }
}
