//! The agent's loop: scans on schedule and on demand, spools, uploads, heartbeats.
//!
//! It wakes for a heartbeat, a due scan, a retry or a signal, and for nothing else.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::signal::unix::{SignalKind, signal};

use super::deliver::{self, DeliverError, Drained};
use super::drift::Drift;
use super::identity::{Identity, IdentityError};
use super::pace;
use super::renew::{self, Renewal};
use super::run::{self, LIMIT_BLOB, LIMIT_GATHERER, LIMIT_INTERRUPTED, LIMIT_SPOOL, LIMIT_STOPPED, ScanError, Started};
use super::scan::{self, Known, Sealed};
use super::schedule::Calendar;
use super::seal::{Draft, Purpose};
use super::spool::{Begun, Bounds, Spool, SpoolError};
use super::upload::{Client, Heartbeat, Resend, Route, UploadError};
use super::watch::Blind;
use crate::config::ConfigError;
use crate::config::agent::AgentConfig;
use crate::host::{Host, ReadError, clock, ioctl};
use crate::model::policy::Policy;
use crate::model::report::{Cadence, ScanKind};

/// A scan that failed to start is tried again after this, or with the next heartbeat.
const SCAN_RETRY: Duration = Duration::from_secs(10 * 60);
/// Longest wait for the bookkeeping to look at the wall clock again, which may jump.
const LONGEST_SLEEP: Duration = Duration::from_secs(15 * 60);
/// A scan that never ended is begun so often for its window; then the window is over.
const MAX_ATTEMPTS: u32 = 3;
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
        let started = service.begin(&purpose)?;
        let sealed = service.scan(started, &purpose, &[]).await?;
        service.keep(started, sealed.draft, purpose)?;
        service.renew().await;
        service.drain().await.error.map_or(Ok(()), |e| Err(e.into()))
    });
    runtime.shutdown_background();
    result
}

struct Service {
    config: Arc<AgentConfig>,
    identity: Arc<Identity>,
    calendar: Calendar,
    spool: Spool,
    client: Client,
    renewal: Renewal,
    policy: Policy,
    /// Deliveries that failed in a row.
    failures: u32,
    /// A scan that somebody asked for.
    requested: Option<String>,
    /// How often the scan was begun that has not ended yet.
    attempts: u32,
    /// Families of a drift scan that an earlier life of the agent never ended.
    interrupted: Vec<String>,
    /// By how much the collector's clock was ahead at the last heartbeat, seconds.
    collector_offset: Option<i64>,
}

/// How a scan ended.
enum Scanned {
    /// Its report is in the spool.
    Kept,
    /// The same, and it must be repeated.
    Again,
    /// A signal came first.
    Stopped,
}

fn due_drift(drift: &Drift, now: Instant) -> Option<Purpose> {
    let families = drift.due(now);
    (!families.is_empty()).then(|| Purpose::drift(families))
}

impl Service {
    fn start(config: &AgentConfig) -> Result<Self, ServiceError> {
        let identity = Arc::new(Identity::open(&config.state_dir, &Host::live()?)?);
        let policy = config.thresholds()?;
        let bounds = Bounds { max_bytes: config.spool.max_bytes, max_age: i64::from(config.spool.max_age_days) * 86_400 };
        let spool = Spool::open(&config.state_dir, bounds, identity.lineage)?;
        let calendar = Calendar::new(&config.time_zone, i64::from(config.jitter_minutes) * 60, &identity.host);
        let calendar = calendar.ok_or_else(|| ServiceError::Start(std::io::Error::other("time zone disappeared")))?;
        let client = Client::new(&identity, &route(config, &spool))?;
        let mut service = Self {
            config: Arc::new(config.clone()),
            identity,
            calendar,
            spool,
            client,
            renewal: Renewal::default(),
            policy,
            failures: 0,
            requested: None,
            attempts: 0,
            interrupted: Vec::new(),
            collector_offset: None,
        };
        service.report_interrupted()?;
        Ok(service)
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
        let mut drift = self.watch()?;
        tracing::info!(host = %self.identity.host, waiting = self.spool.waiting().len(), "agent is running");
        let first = Instant::now() + pace::first_contact(&self.identity.host, clock::boot_ms());
        let (mut heartbeat_at, mut scan_at, mut send_at) = (first, Instant::now(), Instant::now());
        loop {
            let now = Instant::now();
            if now >= heartbeat_at {
                tokio::select! { wait = self.heartbeat() => heartbeat_at = Instant::now() + wait, () = &mut stop => break }
            }
            if now >= scan_at
                && let Some(purpose) = self.due().or_else(|| due_drift(&drift, now))
            {
                match self.scan_and_keep(purpose, &mut drift, &mut stop).await {
                    Ok(Scanned::Kept) => send_at = Instant::now(),
                    Ok(Scanned::Again) => (send_at, scan_at) = (Instant::now(), Instant::now() + self.retry()),
                    Ok(Scanned::Stopped) => break,
                    Err(e) => {
                        tracing::error!("scan failed: {e}");
                        scan_at = Instant::now() + self.retry();
                    }
                }
            }
            if now >= send_at && !self.spool.waiting().is_empty() {
                // A delivery that a signal interrupts is repeated after the next start; the
                // collector knows a repeated report.
                tokio::select! { wait = self.deliver() => send_at = Instant::now() + wait, () = &mut stop => break }
            }
            let next = self.next_wake(heartbeat_at, scan_at, send_at, drift.next(now));
            tokio::select! { () = tokio::time::sleep_until(next.into()) => {}, () = drift.told() => {}, () = &mut stop => break }
        }
        tracing::info!(waiting = self.spool.waiting().len(), "agent stops");
        Ok(())
    }

    /// One scan and its report in the spool, unless a signal comes first: then the report says so.
    async fn scan_and_keep(&mut self, purpose: Purpose, drift: &mut Drift, stop: &mut (impl Future<Output = ()> + Unpin)) -> Result<Scanned, ServiceError> {
        let started = self.begin(&purpose)?;
        let scanned = tokio::select! { scanned = self.scan(started, &purpose, drift.blind()) => scanned, () = stop => {
            self.abort(started, purpose, LIMIT_STOPPED, "the agent was told to stop during the scan")?;
            return Ok(Scanned::Stopped);
        } };
        let Sealed { draft, families, limits } = scanned?;
        let is_drift = purpose.kind == ScanKind::Drift;
        // A reading that broke off is repeated: nothing of its window was seen.
        let is_lost = limits.iter().any(|l| l == LIMIT_GATHERER) && self.attempts < MAX_ATTEMPTS;
        let draft = if is_lost { draft.map(Draft::without_window) } else { draft };
        let attempts = self.attempts;
        self.keep(started, draft, purpose)?;
        if is_lost {
            self.attempts = attempts;
            return Ok(Scanned::Again);
        }
        drift.reported(&families, is_drift, Instant::now());
        ioctl::release_memory();
        Ok(Scanned::Kept)
    }

    fn watch(&self) -> Result<Drift, ServiceError> {
        let planned = run::within(run::plan_families(&self.config.families)?, Cadence::Weekly);
        let skipped = if self.attempts >= MAX_ATTEMPTS { self.interrupted.clone() } else { Vec::new() };
        Drift::start(&self.config, &planned, skipped).map_err(ServiceError::Start)
    }

    /// The wall clock may jump: it is looked at again with every heartbeat.
    fn next_wake(&self, heartbeat_at: Instant, scan_at: Instant, send_at: Instant, drift_at: Option<Instant>) -> Instant {
        let now = clock::unix_now();
        let due = self.calendar.next(now, &self.spool.state().done);
        let until_due = Duration::from_secs(u64::try_from(due.at.saturating_sub(now)).unwrap_or(0)).min(LONGEST_SLEEP);
        let mut next = heartbeat_at.min((Instant::now() + until_due).max(scan_at));
        if self.requested.is_some() {
            next = next.min(scan_at);
        }
        if let Some(at) = drift_at {
            next = next.min(at.max(scan_at));
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
            return Some(Purpose { kind: due.kind, window: Some(due.window), covers: due.covers, families: Vec::new() });
        }
        self.requested.is_some().then(Purpose::on_demand)
    }

    fn retry(&self) -> Duration {
        SCAN_RETRY.min(self.config.heartbeat())
    }

    /// Writes down that the scan begins.
    fn begin(&mut self, purpose: &Purpose) -> Result<Started, ServiceError> {
        let started = scan::started(&self.config);
        self.attempts += 1;
        let request = if purpose.kind == ScanKind::OnDemand { self.requested.clone() } else { None };
        self.spool.begin(Begun {
            kind: purpose.kind,
            window: purpose.window.clone(),
            covers: purpose.covers.clone(),
            families: purpose.families.clone(),
            request,
            started: started.wall(),
            boot_ms: started.boot_ms(),
            sequence: self.spool.state().next_sequence,
            attempt: self.attempts,
        })?;
        tracing::info!(kind = purpose.kind.word(), window = purpose.window.as_deref().unwrap_or("-"), families = purpose.families.join(","), "scan begins");
        Ok(started)
    }

    async fn scan(&self, started: Started, purpose: &Purpose, blind: &[Blind]) -> Result<Sealed, ServiceError> {
        let (config, identity, policy) = (Arc::clone(&self.config), Arc::clone(&self.identity), self.policy.clone());
        let (purpose, known) = (purpose.clone(), Known { blind: blind.to_vec(), collector_offset: self.collector_offset });
        let scanning = tokio::task::spawn_blocking(move || scan::sealed(started, &config, &policy, &purpose, &known, &identity));
        let sealed = scanning.await.map_err(|e| ServiceError::Start(std::io::Error::other(e.to_string())))??;
        Ok(sealed)
    }

    /// Puts the report into the spool. When it is too large for it, the report says that the scan was
    /// aborted, and by which limit.
    fn keep(&mut self, started: Started, draft: Result<Draft, SpoolError>, purpose: Purpose) -> Result<(), ServiceError> {
        let put = draft.and_then(|draft| self.put(&draft));
        let limit = match &put {
            Err(SpoolError::TooLarge(_)) => LIMIT_SPOOL,
            Err(SpoolError::Oversized(_)) => LIMIT_BLOB,
            _ => "",
        };
        if let Err(e) = put {
            if limit.is_empty() {
                return Err(e.into());
            }
            tracing::error!("{e}");
            let outcome = scan::aborted(started, &self.config, &self.policy, &purpose, limit, &e.to_string())?;
            self.put(&Draft::new(&self.identity, &outcome, purpose)?)?;
        }
        if let Some(done) = &self.requested
            && self.spool.state().request.as_ref() == Some(done)
        {
            self.requested = None;
        }
        self.attempts = 0;
        Ok(())
    }

    fn put(&mut self, draft: &Draft) -> Result<(), SpoolError> {
        let identity = &self.identity;
        let name = self.spool.put(clock::now(), |numbers| draft.seal(identity, numbers))?;
        tracing::info!(sequence = name.sequence, "report is in the spool");
        Ok(())
    }

    /// The report of a scan that ends here. Its window is scanned again, unless it was begun too often.
    fn abort(&mut self, started: Started, purpose: Purpose, limit: &str, detail: &str) -> Result<(), ServiceError> {
        let covers = if self.attempts >= MAX_ATTEMPTS { purpose.covers } else { Vec::new() };
        let purpose = Purpose { covers, ..purpose };
        let outcome = scan::aborted(started, &self.config, &self.policy, &purpose, limit, detail)?;
        tracing::warn!(limit, "scan aborted: {detail}");
        let draft = Draft::new(&self.identity, &outcome, purpose.clone());
        self.keep(started, draft, purpose)
    }

    /// A scan that an earlier life of the agent began and never ended: killed, or the machine went
    /// down. It is reported as what it was.
    fn report_interrupted(&mut self) -> Result<(), ServiceError> {
        let Some(begun) = self.spool.state().begun.clone() else { return Ok(()) };
        self.attempts = begun.attempt;
        let purpose = Purpose { kind: begun.kind, window: begun.window, covers: begun.covers, families: begun.families.clone() };
        let started = Started::before(begun.started, begun.boot_ms);
        self.abort(started, purpose, LIMIT_INTERRUPTED, "the agent or the machine stopped during the scan")?;
        self.attempts = begun.attempt;
        self.interrupted = begun.families;
        Ok(())
    }

    /// Renews the certificate if it is time.
    async fn renew(&mut self) {
        let route = route(&self.config, &self.spool);
        // A scan that was let go may still hold it; then the next time.
        if let Some(identity) = Arc::get_mut(&mut self.identity) {
            self.renewal.step(identity, &mut self.client, &route, &self.config.state_dir).await;
        }
    }

    /// Delivers what waits; a ledger that has a new key is followed to it.
    async fn drain(&mut self) -> Drained {
        let mut drained = deliver::drain(&mut self.spool, &self.client, &self.identity).await;
        if drained.error.as_ref().is_some_and(DeliverError::is_about_receipt)
            && let Some(identity) = Arc::get_mut(&mut self.identity)
            && renew::follow_ledger(identity, &self.client, &self.config.state_dir).await
        {
            let receipts = std::mem::take(&mut drained.receipts);
            drained = deliver::drain(&mut self.spool, &self.client, &self.identity).await;
            drained.receipts.splice(0..0, receipts);
        }
        drained
    }

    async fn deliver(&mut self) -> Duration {
        self.renew().await;
        let drained = self.drain().await;
        for (name, receipt) in &drained.receipts {
            tracing::info!(sequence = name.sequence, leaf = receipt.index, "report acknowledged");
        }
        if let Some(e) = &drained.error {
            tracing::warn!("report not delivered: {e}");
        }
        ioctl::release_memory();
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
        self.spool.tick(clock::now());
        self.renew().await;
        let regular = pace::until_heartbeat(&self.identity.host, self.config.heartbeat(), clock::unix_now());
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
                self.spool.told(clock::now(), answer.now);
                let skew = answer.now.saturating_sub(clock::unix_now());
                self.collector_offset = Some(skew);
                if skew.abs() > 60 {
                    tracing::warn!(seconds = skew, "this clock and the collector's differ");
                }
                if let (true, Some(note)) = (answer.checkpoint, &self.spool.state().checkpoint) {
                    tracing::warn!("the collector's ledger is shorter than it was: showing it the checkpoint it gave");
                    if let Err(e) = self.client.post_checkpoint(note).await {
                        tracing::warn!("checkpoint not shown: {e}");
                    }
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
