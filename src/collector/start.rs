//! From configuration to a running collector, and back to rest.

use std::fs::File;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use rustix::fs::{FlockOperation, flock};
use rustls::ServerConfig;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::admission::Admission;
use super::app::{App, BODY_UNIT, Contacts, KeyTable, Limits, ScanRequests};
use super::basis::InForce;
use super::health;
use super::lists::{self, Refused};
use super::metrics::Metrics;
use super::sequencer::Task;
use super::server;
use super::store::{Horizon, Statement, Store, StoreError};
use super::ui;
use super::{rejudge, resume, rotate, tiles};
use crate::config::collector::Config;
use crate::facts;
use crate::host::clock;
use crate::ledger::{Kind, Verifier, rotation};
use crate::model::ids::Digest;
use crate::pki::authority::Authority;
use crate::pki::keys::SigningKey;
use crate::pki::tls;
use crate::rules::Pack;
use crate::rules::signed::{self, Place, SignedPack};

/// Contacts are written down this often.
const FLUSH_EVERY: Duration = Duration::from_secs(60);
/// Sweeps happen every so many flushes.
const SWEEP_EVERY: u32 = 60;
/// Hosts that another process retired are shut out within so long.
const WATCH_EVERY: Duration = Duration::from_secs(2);
/// How often counts that reports move are added up; readers add what waits.
const ADD_UP_EVERY: Duration = Duration::from_secs(2);
/// Hosts whose old facts are let go of in one sweep.
const THIN_HOSTS: u32 = 1000;
/// A host's facts are looked through for old ones this often, seconds.
const THIN_EVERY: i64 = 7 * 86_400;
/// A blob that no report has named for so long is an orphan, seconds.
const ORPHAN_AFTER: i64 = 2 * 86_400;
/// Largest certificate or key file for people, bytes.
const MAX_PEM: u64 = 1 << 20;

/// What the ledger says when other rules judge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RulesChanged {
    /// From when on, Unix seconds.
    pub at: i64,
    /// Digest of the pack that judges.
    pub digest: Digest,
    /// Digest of the one before; `None`: there was none.
    pub old: Option<Digest>,
    /// How many rules it has.
    pub rules: u64,
    /// Its version, as it calls itself.
    pub version: String,
}

/// A collector that serves.
#[derive(Debug)]
pub struct Running {
    /// Where agents connect.
    pub agents: SocketAddr,
    /// Where people connect.
    pub people: SocketAddr,
    /// Where metrics and health are asked for, if anywhere.
    pub operations: Option<SocketAddr>,
    /// Everything behind.
    pub app: Arc<App>,
    stop: watch::Sender<bool>,
    listeners: Vec<JoinHandle<()>>,
    tasks: Vec<JoinHandle<()>>,
    // Held until the end: one collector per data folder.
    _lock: File,
}

impl Running {
    /// Stops: no new connection, requests under way finish, contacts are written down, the ledger
    /// catches up, the store closes.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        for task in self.listeners.into_iter().chain(self.tasks) {
            if let Err(e) = task.await {
                tracing::error!("a task of the collector failed: {e}");
            }
        }
        if let Err(e) = self.app.store.touch(&self.app.contacts.take()).await {
            tracing::error!("the last contacts were not written down: {e}");
        }
        self.app.store.close().await;
    }
}

/// The keys of a data folder: the authority, the ledger key and its name.
#[derive(Debug)]
pub struct Keys {
    /// Issues certificates.
    pub authority: Authority,
    /// Signs the ledger.
    pub signer: SigningKey,
    /// The ledger's key under its name.
    pub verifier: Verifier,
}

impl Keys {
    /// Opens the keys of a data folder, or makes them.
    pub fn load_or_create(data: &Path, now: i64) -> anyhow::Result<Self> {
        let authority = Authority::load_or_create(data, now)?;
        let signer = SigningKey::load_or_create(&data.join(rotate::KEY_FILE))?;
        let verifier = Verifier::new(&rotate::origin(data, &signer)?, signer.public_key())?;
        Ok(Self { authority, signer, verifier })
    }
}

/// Starts a collector. Every error is a sentence for the operator.
pub async fn start(config: Config) -> anyhow::Result<Running> {
    config.check("collector configuration")?;
    let now = clock::unix_now();
    config.thresholds()?;
    let pack = Arc::new(rules(&config, now)?);
    let store = Store::open(&config.data).await?.silent_after(i64::from(config.silent_after_hours) * 3600);
    let horizon = Horizon { facts_days: config.retention.facts_days, monthly_facts_days: config.retention.monthly_facts_days };
    let store = store.keeping(horizon);
    let lock = lock(&config.data)?;
    // Before anybody is served: counting holds the database, minutes long for a large fleet, once after an upgrade or a restored backup.
    if store.recount_if_never().await? {
        tracing::info!("counted the verdicts of all hosts, once");
    }
    let Keys { authority, signer, verifier } = Keys::load_or_create(&config.data, now)?;
    let signer = Arc::new(signer);
    let half = config.data.join(rotate::NEXT_FILE);
    anyhow::ensure!(!half.exists(), "{}: a change of the ledger's key was interrupted; finish it with assay-collector ledger rotate", half.display());
    let rotations = rotate::all(&store).await?;
    let (sequencer_task, sequencer) = Task::open(store.clone(), signer.clone(), verifier.clone(), now).await?;
    // Behind the first entry of a new ledger.
    let refused = Refused::default();
    let (basis, watched) = lists::begin(&store, &config, pack.clone(), &refused, now).await?;
    record_rules(&store, &pack, now).await?;
    let (agents_listener, people_listener) = (bind(config.agents, "agents").await?, bind(config.people, "people").await?);
    let (agents, people) = (agents_listener.local_addr()?, people_listener.local_addr()?);
    let operations_listener = match config.operations {
        Some(address) => Some(bind(address, "operations").await?),
        None => None,
    };
    let operations = operations_listener.as_ref().map(TcpListener::local_addr).transpose()?;
    let names = names(&config, agents, people);
    let agents_tls = Arc::new(tls::agents_server(&authority, authority.agents_certificate(&names, now)?)?);
    let people_tls = people_tls(&config, &authority, &names, now)?;
    let scheme = if config.plain_http { "http" } else { "https" };
    let app = Arc::new(App {
        keys: KeyTable::load(&store).await?,
        origin: verifier.name().to_string(),
        people_url: url(scheme, &config, people),
        agents_url: url("https", &config, agents),
        plain_http: config.plain_http,
        pack,
        basis: InForce::new(basis),
        refused,
        contacts: Contacts::default(),
        scan_requests: ScanRequests::default(),
        limits: Limits::default(),
        admission: Admission::default(),
        metrics: Arc::new(Metrics::new(i64::try_from(Limits::BODY_UNITS * BODY_UNIT).unwrap_or(i64::MAX), now)),
        asked: resume::Asked::default(),
        halt: watch::Sender::default(),
        ledger_keys: rotation::keys(&verifier, &rotations),
        rotations,
        resumption: resume::all(&store).await?.pop().filter(|r| r.asks(now)),
        store,
        authority,
        signer,
        verifier,
        sequencer,
    });
    let (stop, stopped) = watch::channel(false);
    let meter = |listener| app.metrics.meter(listener);
    let mut listeners = vec![
        tokio::spawn(server::listen(agents_listener, Some(agents_tls), server::agents_router(app.clone()), meter("agents"), stopped.clone())),
        tokio::spawn(server::listen(people_listener, people_tls, ui::router(app.clone()), meter("people"), stopped.clone())),
    ];
    if let Some(listener) = operations_listener {
        let router = health::router(app.clone(), config.networks());
        listeners.push(tokio::spawn(server::listen(listener, None, router, meter("operations"), stopped.clone())));
    }
    let tasks = vec![
        tokio::spawn(sequencer_task.run(stopped.clone())),
        tokio::spawn(tiles::follow(app.store.clone(), app.sequencer.size(), stopped.clone())),
        tokio::spawn(watch_retirements(app.clone(), stopped.clone())),
        tokio::spawn(lists::follow(app.clone(), watched, stopped.clone())),
        tokio::spawn(rejudge::follow(app.clone(), stopped.clone())),
        tokio::spawn(super::alerts::follow(app.clone(), stopped.clone())),
        tokio::spawn(add_up(app.clone(), stopped.clone())),
        tokio::spawn(housekeeping(app.clone(), horizon, stopped)),
    ];
    Ok(Running { agents, people, operations, app, stop, listeners, tasks, _lock: lock })
}

/// Shuts out hosts that the command line, or another collector on the same database, retired.
async fn watch_retirements(app: Arc<App>, mut stop: watch::Receiver<bool>) {
    // A little earlier than the last look: clocks of several collectors differ.
    let overlap = 3600;
    while !*stop.borrow() {
        match app.store.retired_since(clock::unix_now().saturating_sub(overlap)).await {
            Ok(hosts) => hosts.iter().for_each(|host| app.keys.remove(host)),
            Err(e) => tracing::error!("retired hosts can't be read: {e}"),
        }
        tokio::select! {
            () = sleep(WATCH_EVERY) => {}
            _ = stop.changed() => {}
        }
    }
}

/// Lets go of facts older than the policy keeps, of some hosts at a time, and writes that into the ledger.
async fn thin(app: &App, horizon: Horizon, now: i64) -> Result<(), StoreError> {
    let (mut hosts, mut erased, mut size) = (0_u64, 0, 0);
    for host in app.store.hosts_to_thin(now.saturating_sub(THIN_EVERY), THIN_HOSTS).await? {
        let (blobs, bytes) = app.store.thin(host, horizon, hosts == 0, now).await?;
        hosts += u64::from(blobs > 0);
        erased += blobs;
        size += bytes;
    }
    if hosts > 0 {
        tracing::info!(hosts, blobs = erased, bytes = size, "erased facts older than the policy keeps");
        app.sequencer.wake();
    }
    Ok(())
}

/// The ledger is told when other rules judge than at the last start.
async fn record_rules(store: &Store, pack: &Pack, now: i64) -> Result<(), StoreError> {
    let old = store.statements(Kind::RulePack).await?.last().map(Statement::read::<RulesChanged>).transpose()?;
    if old.as_ref().is_some_and(|old| old.digest == pack.digest()) {
        return Ok(());
    }
    let changed =
        RulesChanged { at: now, digest: pack.digest(), old: old.map(|old| old.digest), rules: pack.rules.len() as u64, version: pack.version.clone() };
    store.put_statement(&Statement::of(Kind::RulePack, now, &changed)?, None).await
}

/// The rules that judge. A signed pack whose time is over goes on judging, and the log says so.
fn rules(config: &Config, now: i64) -> anyhow::Result<Pack> {
    let schemas = facts::schemas();
    if config.rules.as_os_str().is_empty() {
        return Ok(Pack::builtin(schemas)?);
    }
    if config.rules.extension().is_none_or(|e| e != "pack") {
        return Ok(Pack::load(&config.rules, schemas)?);
    }
    let signed = SignedPack::open(&Place::beside(&config.rules, &config.rules_key))?;
    if signed.is_expired(now) {
        tracing::warn!(limit = signed::EXPIRED, number = signed.number(), "the pack of rules has expired and goes on judging: fetch a newer one");
    }
    Ok(signed.compile(schemas)?)
}

/// Adds up the counts that reports move.
async fn add_up(app: Arc<App>, mut stop: watch::Receiver<bool>) {
    while !*stop.borrow() {
        match app.store.add_up().await {
            Ok(0) => {}
            Ok(_) => continue,
            Err(e) => tracing::error!("counts were not added up: {e}"),
        }
        tokio::select! {
            () = sleep(ADD_UP_EVERY) => {}
            _ = stop.changed() => {}
        }
    }
}

/// Writes down contacts, and now and then erases what nobody needs.
async fn housekeeping(app: Arc<App>, horizon: Horizon, mut stop: watch::Receiver<bool>) {
    let mut flushes: u32 = 0;
    while !*stop.borrow() {
        if flushes.is_multiple_of(SWEEP_EVERY) {
            let now = clock::unix_now();
            match (app.store.sweep_blobs(now - ORPHAN_AFTER).await, app.store.sweep_secrets(now).await) {
                (Ok(0), Ok(_)) => {}
                (Ok(blobs), Ok(_)) => tracing::info!(blobs, "erased blobs that no report ever named"),
                (Err(e), _) | (_, Err(e)) => tracing::error!("the sweep failed: {e}"),
            }
            if let Err(e) = thin(&app, horizon, now).await {
                tracing::error!("old facts were not erased: {e}");
            }
            if let Err(e) = app.store.prepare_partitions(now).await {
                tracing::error!("partitions were not made: {e}");
            }
        }
        flushes = flushes.wrapping_add(1);
        tokio::select! {
            () = sleep(FLUSH_EVERY) => {}
            _ = stop.changed() => {}
        }
        let contacts = app.contacts.take();
        if contacts.is_empty() {
            app.metrics.flushed.set(clock::unix_now());
            continue;
        }
        match app.store.touch(&contacts).await {
            Ok(()) => {
                app.metrics.flushed.set(clock::unix_now());
            }
            Err(e) => {
                tracing::error!("contacts were not written down: {e}");
                for (host, at, agent) in contacts {
                    app.contacts.note(host, at, &agent);
                }
            }
        }
    }
}

/// One collector per data folder: two would number the ledger twice.
pub fn lock(data: &Path) -> anyhow::Result<File> {
    let path = data.join("lock");
    let file = File::options().create(true).truncate(false).write(true).open(&path).with_context(|| format!("can't open {}", path.display()))?;
    flock(&file, FlockOperation::NonBlockingLockExclusive)
        .with_context(|| format!("another collector runs on {}; stop it or name another data folder", data.display()))?;
    Ok(file)
}

async fn bind(address: SocketAddr, whom: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("can't listen for {whom} on {address}; free the address or choose another with --{whom}"))
}

fn people_tls(config: &Config, authority: &Authority, names: &[String], now: i64) -> anyhow::Result<Option<Arc<ServerConfig>>> {
    if config.plain_http {
        return Ok(None);
    }
    let certificate = if config.people_certificate.as_os_str().is_empty() {
        authority.server_certificate(names, now)?
    } else {
        let read = |path: &Path| -> anyhow::Result<String> {
            String::from_utf8(bounded(path, MAX_PEM)?).map_err(|_| anyhow::anyhow!("{}: not PEM text; give a PEM file", path.display()))
        };
        tls::supplied_certificate(&read(&config.people_certificate)?, &read(&config.people_key)?)?
    };
    Ok(Some(Arc::new(tls::people_server(certificate)?)))
}

/// A regular file's bytes, at most `limit` of them.
pub fn bounded(path: &Path, limit: u64) -> anyhow::Result<Vec<u8>> {
    use std::io::Read as _;
    let name = path.display();
    let file = File::open(path).with_context(|| format!("can't read {name}"))?;
    anyhow::ensure!(file.metadata().with_context(|| format!("can't read {name}"))?.is_file(), "{name} is not a regular file");
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes).with_context(|| format!("can't read {name}"))?;
    anyhow::ensure!(bytes.len() as u64 <= limit, "{name} is larger than {limit} bytes");
    Ok(bytes)
}

/// Every name that a client may reach this collector by.
fn names(config: &Config, agents: SocketAddr, people: SocketAddr) -> Vec<String> {
    let mut names = config.names.clone();
    names.extend(["localhost", "127.0.0.1", "::1"].map(String::from));
    names.push(rustix::system::uname().nodename().to_string_lossy().into_owned());
    names.extend([agents.ip(), people.ip()].iter().filter(|ip| !ip.is_unspecified()).map(ToString::to_string));
    names.retain(|n| !n.is_empty() && n.is_ascii() && !n.contains(char::is_whitespace));
    names.sort();
    names.dedup();
    names
}

fn url(scheme: &str, config: &Config, at: SocketAddr) -> String {
    let host = match (config.names.first(), at.ip().is_unspecified()) {
        (_, false) => return format!("{scheme}://{at}"),
        (Some(name), true) => name.clone(),
        (None, true) => rustix::system::uname().nodename().to_string_lossy().into_owned(),
    };
    format!("{scheme}://{host}:{}", at.port())
}
