//! Everything behind the two listeners: store, keys, what is judged by, who may speak.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use tokio::sync::{Semaphore, watch};

use super::admission::Admission;
use super::basis::InForce;
use super::lists::Refused;
use super::metrics::Shared;
use super::resume::{Asked, Resumption};
use super::sequencer::Sequencer;
use super::store::{HostRow, Store, StoreError};
use crate::ledger::Verifier;
use crate::ledger::rotation::Rotation;
use crate::model::ids::{HostId, RandomId, Salt};
use crate::pki::authority::Authority;
use crate::pki::keys::{self, SigningKey};
use crate::rules::Pack;

/// Requests with a body that one host may have under way.
const REQUESTS_PER_HOST: usize = 4;
/// Bodies held in memory at once, in units of [`BODY_UNIT`].
const BODY_UNITS: usize = 4096;
/// What a unit of body memory is, bytes.
pub const BODY_UNIT: usize = 16 << 10;
/// Reports judged at once: each may hold some hundred MiB of plain blobs.
pub const JUDGES: usize = 2;
/// Large blobs checked at once: each may hold a window of 4 MiB.
const CHECKS: usize = 2;
/// Enrolments at once.
const ENROLMENTS: usize = 8;

/// The collector while it runs.
#[derive(Debug)]
pub struct App {
    /// What is remembered.
    pub store: Store,
    /// Rules that judge; the basis holds the same.
    pub pack: Arc<Pack>,
    /// What is judged by: rules, thresholds, lists, advisories.
    pub basis: InForce,
    /// Lists whose file can't be read at the moment.
    pub refused: Refused,
    /// Issues host certificates.
    pub authority: Authority,
    /// The ledger key: signs checkpoints, receipts and bundles.
    pub signer: Arc<SigningKey>,
    /// Its public half under the ledger's name.
    pub verifier: Verifier,
    /// Name of the ledger, first line of its checkpoints.
    pub origin: String,
    /// Base address of the pages, such as `https://collector:8443`, without a slash at the end.
    pub people_url: String,
    /// Base address for agents.
    pub agents_url: String,
    /// Whether people come by plain HTTP (loopback only).
    pub plain_http: bool,
    /// Numbers the ledger.
    pub sequencer: Sequencer,
    /// Who may speak on the agents' listener.
    pub keys: KeyTable,
    /// Contacts not yet written down.
    pub contacts: Contacts,
    /// Scans that people asked for.
    pub scan_requests: ScanRequests,
    /// The last time the ledger went on from a restored database, while agents are asked for what is missing.
    pub resumption: Option<Resumption>,
    /// How the ledger came to its key.
    pub rotations: Vec<Rotation>,
    /// Every key it ever had, newest first.
    pub ledger_keys: Vec<Verifier>,
    /// Which lost reports hosts were asked for.
    pub asked: Asked,
    /// Why the collector must stop, once it must.
    pub halt: watch::Sender<Option<String>>,
    /// Bounds shared by all requests.
    pub limits: Limits,
    /// Tells those who are turned away when to come back.
    pub admission: Admission,
    /// What is counted.
    pub metrics: Shared,
}

impl App {
    /// The host of this id, if it may speak: another process, or another collector on the same database, may have
    /// enrolled it a moment ago.
    pub async fn find_host(&self, id: &HostId) -> Result<Option<Arc<HostKey>>, StoreError> {
        if let Some(key) = self.keys.find(id) {
            return Ok(Some(key));
        }
        let row = self.store.host(id).await?.filter(|h| !h.state.is_over());
        Ok(row.and_then(|host| {
            self.keys.add(&host);
            self.keys.find(id)
        }))
    }
}

/// Semaphores that bound memory and work over all connections.
#[derive(Debug)]
pub struct Limits {
    /// Memory for bodies, in units of [`BODY_UNIT`].
    pub bodies: Arc<Semaphore>,
    /// Reports being judged.
    pub judges: Arc<Semaphore>,
    /// Large blobs being checked.
    pub checks: Arc<Semaphore>,
    /// Enrolments under way.
    pub enrolments: Arc<Semaphore>,
}

impl Limits {
    /// Memory that bodies may have together, in units of [`BODY_UNIT`].
    pub const BODY_UNITS: usize = BODY_UNITS;

    /// Units of body memory that are granted.
    pub fn body_units_in_use(&self) -> usize {
        BODY_UNITS.saturating_sub(self.bodies.available_permits())
    }
}

impl Default for Limits {
    fn default() -> Self {
        let semaphore = |n| Arc::new(Semaphore::new(n));
        Self { bodies: semaphore(BODY_UNITS), judges: semaphore(JUDGES), checks: semaphore(CHECKS), enrolments: semaphore(ENROLMENTS) }
    }
}

/// A host that may speak.
#[derive(Debug)]
pub struct HostKey {
    /// Its id.
    pub id: HostId,
    /// Ed25519, 32 raw bytes.
    pub public_key: [u8; 32],
    /// Salt of its blob addresses.
    pub salt: Salt,
    /// Bounds its requests with a body.
    pub requests: Arc<Semaphore>,
}

/// Enrolled, unretired hosts: authorises a request before its body is read.
#[derive(Debug, Default)]
pub struct KeyTable {
    hosts: RwLock<HashMap<HostId, Arc<HostKey>>>,
}

impl KeyTable {
    /// The table as the store has it.
    pub async fn load(store: &Store) -> Result<Self, StoreError> {
        let table = Self::default();
        for host in store.hosts(Some(i64::MAX)).await? {
            if !host.state.is_over() {
                table.add(&host);
            }
        }
        Ok(table)
    }

    /// Admits a host; one whose key is not Ed25519 stays outside.
    pub fn add(&self, host: &HostRow) {
        if let Some(public_key) = keys::raw_of(&host.public_key) {
            self.insert(host.id, public_key, host.salt);
        }
    }

    /// Admits a host by its raw key.
    pub fn insert(&self, id: HostId, public_key: [u8; 32], salt: Salt) {
        let key = HostKey { id, public_key, salt, requests: Arc::new(Semaphore::new(REQUESTS_PER_HOST)) };
        self.hosts.write().unwrap_or_else(PoisonError::into_inner).insert(id, Arc::new(key));
    }

    /// The host of this id, if it may speak.
    pub fn find(&self, id: &HostId) -> Option<Arc<HostKey>> {
        self.hosts.read().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    /// Shuts a host out.
    pub fn remove(&self, id: &HostId) {
        self.hosts.write().unwrap_or_else(PoisonError::into_inner).remove(id);
    }
}

/// When hosts were last heard of, since the last flush. At most one entry per enrolled host.
#[derive(Debug, Default)]
pub struct Contacts {
    hosts: Mutex<HashMap<HostId, (i64, String)>>,
}

impl Contacts {
    /// Notes a contact; `agent` is the agent's version, empty when unknown.
    pub fn note(&self, host: HostId, at: i64, agent: &str) {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = hosts.entry(host).or_default();
        entry.0 = entry.0.max(at);
        if !agent.is_empty() {
            entry.1 = agent.to_string();
        }
    }

    /// Everything noted since the last time.
    pub fn take(&self) -> Vec<(HostId, i64, String)> {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *hosts).into_iter().map(|(host, (at, agent))| (host, at, agent)).collect()
    }
}

/// Scans that people asked for and no on-demand report has answered yet. Kept in memory: a request
/// that a restart loses is asked again by the person who waits for it.
#[derive(Debug, Default)]
pub struct ScanRequests {
    hosts: Mutex<HashMap<HostId, RandomId>>,
}

impl ScanRequests {
    /// Asks a host for a scan with its next heartbeat.
    pub fn ask(&self, host: HostId, id: RandomId) {
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner).insert(host, id);
    }

    /// The request that waits for this host.
    pub fn of(&self, host: &HostId) -> Option<RandomId> {
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner).get(host).copied()
    }

    /// An on-demand report came.
    pub fn done(&self, host: &HostId) {
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner).remove(host);
    }
}
