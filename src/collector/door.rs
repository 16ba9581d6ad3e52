//! Who may hold a connection to the agents' listener, and who goes when there are too many.
//!
//! A connection is a stranger's until it has shown a host's certificate. Strangers have a share of
//! their own: one more than fit sends the one that is there longest away, so that thousands that
//! never say anything keep nobody out. A host has a few connections and not all of them: with one
//! more its oldest goes, for that is the one whose other end may be gone.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use crate::model::ids::HostId;

/// Connections open at once on one listener.
const MAX_CONNECTIONS: usize = 4096;
/// Connections among them that have not shown a certificate.
const MAX_STRANGERS: usize = 1024;
/// Connections of one host: it uses one, and leaves one behind when its network changes.
const MAX_PER_HOST: usize = 8;
/// File descriptors for everything that is no connection: database, logs, exports.
const OTHER_FILES: u64 = 128;
/// Listeners that share the file descriptors.
const LISTENERS: u64 = 2;

/// The door of one listener.
#[derive(Debug)]
pub struct Door {
    slots: Arc<Semaphore>,
    most_strangers: usize,
    inside: Mutex<Inside>,
}

#[derive(Debug, Default)]
struct Inside {
    next: u64,
    /// By arrival: who waits longest is first.
    strangers: BTreeMap<u64, Arc<Notify>>,
    hosts: HashMap<HostId, VecDeque<(u64, Arc<Notify>)>>,
}

impl Door {
    /// A door for as many connections as the process may have open.
    pub fn new() -> Arc<Self> {
        let files = raise_files().saturating_sub(OTHER_FILES) / LISTENERS;
        let slots = usize::try_from(files).unwrap_or(MAX_CONNECTIONS).clamp(16, MAX_CONNECTIONS);
        Self::with(slots, MAX_STRANGERS.min(slots / 2))
    }

    fn with(slots: usize, most_strangers: usize) -> Arc<Self> {
        Arc::new(Self { slots: Arc::new(Semaphore::new(slots)), most_strangers, inside: Mutex::default() })
    }

    /// A slot, when there is one; until then callers wait in the kernel's queue.
    pub async fn slot(&self) -> std::io::Result<OwnedSemaphorePermit> {
        self.slots.clone().acquire_owned().await.map_err(std::io::Error::other)
    }

    /// Lets a stranger in; the one that is there longest goes if there are too many.
    pub fn admit(self: &Arc<Self>, slot: OwnedSemaphorePermit) -> Stranger {
        let sent_away = Arc::new(Notify::new());
        let mut inside = self.inside();
        if inside.strangers.len() >= self.most_strangers
            && let Some((_, oldest)) = inside.strangers.pop_first()
        {
            oldest.notify_one();
        }
        let number = inside.next;
        inside.next += 1;
        inside.strangers.insert(number, sent_away.clone());
        Stranger { door: self.clone(), number, sent_away, slot: Some(slot) }
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection that has shown no certificate.
#[derive(Debug)]
pub struct Stranger {
    door: Arc<Door>,
    number: u64,
    sent_away: Arc<Notify>,
    slot: Option<OwnedSemaphorePermit>,
}

impl Stranger {
    /// Ends when this connection must go.
    pub async fn sent_away(&self) {
        self.sent_away.notified().await;
    }

    /// The stranger has shown a certificate of this host.
    pub fn introduce(mut self, host: HostId) -> Guest {
        let sent_away = Arc::new(Notify::new());
        let mut inside = self.door.inside();
        let own = inside.hosts.entry(host).or_default();
        own.push_back((self.number, sent_away.clone()));
        if own.len() > MAX_PER_HOST
            && let Some((_, oldest)) = own.pop_front()
        {
            oldest.notify_one();
        }
        drop(inside);
        Guest { door: self.door.clone(), host, number: self.number, sent_away, _slot: self.slot.take() }
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        self.door.inside().strangers.remove(&self.number);
    }
}

/// A connection of a host.
#[derive(Debug)]
pub struct Guest {
    door: Arc<Door>,
    host: HostId,
    number: u64,
    sent_away: Arc<Notify>,
    _slot: Option<OwnedSemaphorePermit>,
}

impl Guest {
    /// Ends when this connection must go.
    pub async fn sent_away(&self) {
        self.sent_away.notified().await;
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let mut inside = self.door.inside();
        if let Some(own) = inside.hosts.get_mut(&self.host) {
            own.retain(|(number, _)| *number != self.number);
            if own.is_empty() {
                inside.hosts.remove(&self.host);
            }
        }
    }
}

/// Raises the soft limit of open files to the hard one, getrlimit(2): 1,024, the usual soft limit,
/// is for programs that use select(2). Gives the limit that holds.
fn raise_files() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let Some(hard) = limit.maximum else { return limit.current.unwrap_or(u64::MAX) };
    let raised = setrlimit(Resource::Nofile, Rlimit { current: Some(hard), maximum: Some(hard) });
    if raised.is_ok() { hard } else { limit.current.unwrap_or(hard) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_oldest_stranger_goes_and_a_host_stays() {
        let door = Door::with(4, 2);
        let enter = || async { door.admit(door.slot().await.unwrap()) };
        let host = HostId::new([1; 32]);
        let guest = enter().await.introduce(host);
        let (first, second) = (enter().await, enter().await);
        let third = enter().await;
        first.sent_away().await;
        assert!(tokio::time::timeout(std::time::Duration::from_millis(20), second.sent_away()).await.is_err());
        drop((first, second, third));
        assert_eq!(door.slots.available_permits(), 3);
        drop(guest);
        let inside = door.inside();
        assert_eq!((door.slots.available_permits(), inside.hosts.len(), inside.strangers.len()), (4, 0, 0));
    }

    #[tokio::test]
    async fn one_host_does_not_hold_every_connection() {
        let door = Door::with(64, 32);
        let enter = |n| {
            let door = &door;
            async move { door.admit(door.slot().await.unwrap()).introduce(HostId::new([n; 32])) }
        };
        let quiet = async |guest: &Guest| tokio::time::timeout(std::time::Duration::from_millis(20), guest.sent_away()).await.is_err();
        let mut guests = Vec::new();
        for _ in 0..MAX_PER_HOST {
            guests.push(enter(1).await);
        }
        let other = enter(2).await;
        assert!(quiet(&guests[0]).await);
        guests.push(enter(1).await);
        guests[0].sent_away().await;
        assert!(quiet(&guests[1]).await && quiet(&other).await);
        drop(guests);
        assert_eq!(door.inside().hosts.len(), 1);
    }
}
