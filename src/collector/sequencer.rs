//! One task numbers pending leaves in order of commit and signs the checkpoint over them.
//!
//! ```text
//! pending leaves -> [one transaction: leaves, checkpoint, receipts] -> head file (fsynced) -> published
//! ```
//! The head file lies beside the database. It is never ahead of it, so at the start a database
//! that is behind the file, or whose leaves don't lead to the file's root, was rolled back or
//! edited, and the collector refuses to go on.
//!
//! Of several collectors on one database, the one that holds the lease numbers; the others follow:
//! they read what it signed, check the signature, and publish it to those who wait for receipts.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, oneshot, watch};

use super::store::{self, Engine, Head, PendingLeaf, Store, StoreError};
use crate::host::durable;
use crate::ledger::{self, Checkpoint, Kind, Leaf, Tree, Verifier, checkpoint, tree};
use crate::model::canonical;
use crate::model::envelope::RECEIPT_TYPE;
use crate::model::ids::{Digest, RandomId};
use crate::model::receipt::{self, Receipt};
use crate::pki::keys::SigningKey;

/// Name of the head file in the data folder.
const HEAD_FILE: &str = "ledger-head";
/// Most leaves in one step.
const BATCH: u32 = 512;
/// Leaves read at a time while the tree is rebuilt.
const PAGE: u64 = 4096;
/// Leaves queued by other processes (the command line) are found this often.
const POLL: Duration = Duration::from_secs(1);
/// The same when other collectors may share the database: agents wait for what they queue.
const POLL_SHARED: Duration = Duration::from_millis(150);
/// The lease is renewed this often while nothing is numbered; it lasts three times as long.
const RENEW: Duration = Duration::from_secs(3);

/// Why the ledger can't go on.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The head file can't be read or written.
    #[error("ledger head {0}: {1}")]
    HeadFile(String, std::io::Error),
    /// The database has fewer leaves than were published.
    #[error(
        "the ledger in {folder} has {found} entries but {published} were published: the database was rolled back or restored from a backup; restore the newest backup, or go on with `assay-collector ledger resume`"
    )]
    RolledBack {
        /// Data folder.
        folder: String,
        /// Leaves found.
        found: u64,
        /// Leaves published.
        published: u64,
    },
    /// The leaves don't lead to the signed root.
    #[error("the ledger in {folder} was altered: its {size} entries do not lead to the root that was signed; restore the newest backup")]
    Altered {
        /// Data folder.
        folder: String,
        /// Size of the checkpoint that does not hold.
        size: u64,
    },
    /// A stored leaf is not a leaf.
    #[error("ledger entry {0} was altered: {1}; restore the newest backup")]
    Leaf(u64, String),
    /// The checkpoint is not signed by the key at hand.
    #[error("the ledger's checkpoint is not by the key in the data folder: {0}; restore the key of this ledger")]
    Key(#[from] ledger::CheckpointError),
    /// A receipt has no canonical form.
    #[error("receipt: {0}")]
    Receipt(#[from] canonical::CanonicalError),
}

/// Receipts that are waited for: report -> who waits.
type Waiting = Arc<Mutex<HashMap<Digest, Vec<oneshot::Sender<Vec<u8>>>>>>;

/// Handle on the task: wakes it, and tells how far it is.
#[derive(Clone, Debug)]
pub struct Sequencer {
    wake: Arc<Notify>,
    size: watch::Receiver<u64>,
    waiting: Waiting,
    leads: Arc<AtomicBool>,
}

impl Sequencer {
    /// There are new pending leaves.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// The receipt of a report that is numbered from now on, once its leaf is published. Another collector that
    /// numbers does not tell: see [`Sequencer::leads`].
    pub fn receipt_of(&self, report: Digest) -> oneshot::Receiver<Vec<u8>> {
        let (sender, receiver) = oneshot::channel();
        lock(&self.waiting).entry(report).or_default().push(sender);
        receiver
    }

    /// Whether this collector numbers the ledger.
    pub fn leads(&self) -> bool {
        self.leads.load(Ordering::Relaxed)
    }

    /// How many leaves are published; changes when more are.
    pub fn size(&self) -> watch::Receiver<u64> {
        self.size.clone()
    }
}

/// The task's state.
#[derive(Debug)]
pub struct Task {
    store: Store,
    signer: Arc<SigningKey>,
    verifier: Verifier,
    head_file: PathBuf,
    tree: Tree,
    wake: Arc<Notify>,
    size: watch::Sender<u64>,
    waiting: Waiting,
    leads: Arc<AtomicBool>,
    /// Stands for this process.
    holder: RandomId,
    /// When the lease was had or renewed; `None`: another collector numbers.
    leading: Option<Instant>,
}

impl Task {
    /// Rebuilds the tree from the leaves and holds it against everything that was signed; begins
    /// an empty ledger with its first leaf.
    pub async fn open(store: Store, signer: Arc<SigningKey>, verifier: Verifier, now: i64) -> Result<(Self, Sequencer), LedgerError> {
        let head_file = head_file(&store);
        let holder = store::random_id()?;
        let leading = store.lease_ledger(&holder).await?.then(Instant::now);
        let mut tree = Tree::new();
        read(&store, &verifier, &head_file, &mut tree, leading.is_some()).await?;
        if leading.is_some() && tree.size() == 0 && store.pending_leaves(1).await?.is_empty() {
            tracing::info!(at = now, ledger = verifier.name(), "beginning a new ledger");
            store.append_leaf(Kind::LedgerStart.id(), &Digest::of(verifier.to_string().as_bytes()), None).await?;
        }
        let (size, receiver) = watch::channel(0);
        let wake = Arc::new(Notify::new());
        let (waiting, leads) = (Waiting::default(), Arc::new(AtomicBool::new(leading.is_some())));
        let handle = Sequencer { wake: wake.clone(), size: receiver, waiting: waiting.clone(), leads: leads.clone() };
        let task = Self { store, signer, verifier, head_file, tree, wake, size, waiting, leads, holder, leading };
        if let Some(head) = task.store.head().await? {
            task.publish(&head)?;
        }
        Ok((task, handle))
    }

    /// Numbers leaves until `stop` is true.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let poll = if self.store.engine() == Engine::Postgres { POLL_SHARED } else { POLL };
        while !*stop.borrow() {
            match self.lead_or_follow().await {
                Ok(0) => {}
                Ok(_) => continue,
                Err(LedgerError::Store(StoreError::LeaseLost)) => {
                    tracing::warn!("another collector took over the ledger");
                    self.lead(None);
                    self.reload().await;
                }
                Err(e) => {
                    tracing::error!("the ledger stands still: {e}");
                    self.reload().await;
                }
            }
            tokio::select! {
                () = self.wake.notified() => {}
                () = tokio::time::sleep(poll) => {}
                _ = stop.changed() => {}
            }
        }
        // What was acknowledged as stored on the way out gets its number now, not at the next start.
        if self.leading.is_some() {
            if let Err(e) = self.step().await {
                tracing::error!("the ledger stands still: {e}");
            }
            if let Err(e) = self.store.release_ledger(&self.holder).await {
                tracing::warn!("the lease on the ledger was not given back, it runs out by itself: {e}");
            }
        }
    }

    /// Numbers one batch, or publishes what another collector numbered; how many leaves that were.
    async fn lead_or_follow(&mut self) -> Result<u64, LedgerError> {
        if self.leading.is_none_or(|renewed| renewed.elapsed() >= RENEW) {
            let had = self.leading.is_some();
            let leading = self.store.lease_ledger(&self.holder).await?.then(Instant::now);
            self.lead(leading);
            if self.leading.is_some() && !had {
                tracing::info!("this collector numbers the ledger now");
                self.catch_up().await?;
            }
        }
        if self.leading.is_some() { self.step().await } else { self.follow().await }
    }

    fn lead(&mut self, since: Option<Instant>) {
        self.leading = since;
        self.leads.store(since.is_some(), Ordering::Relaxed);
    }

    /// Publishes what the leading collector signed.
    async fn follow(&mut self) -> Result<u64, LedgerError> {
        let Some(head) = self.store.head().await? else { return Ok(0) };
        let before = *self.size.borrow();
        if head.size == before {
            return Ok(0);
        }
        let folder = self.store.folder().display().to_string();
        if head.size < before {
            return Err(LedgerError::RolledBack { folder, found: head.size, published: before });
        }
        let signed = checkpoint::open(&head.note, &self.verifier)?;
        if signed.size != head.size || signed.root != head.root {
            return Err(LedgerError::Altered { folder, size: head.size });
        }
        self.publish(&head)?;
        Ok(0)
    }

    /// Extends the tree by what others numbered since it was built, and holds it against what they signed.
    async fn catch_up(&mut self) -> Result<(), LedgerError> {
        read(&self.store, &self.verifier, &self.head_file, &mut self.tree, true).await
    }

    /// Numbers one batch; how many leaves that were.
    pub async fn step(&mut self) -> Result<u64, LedgerError> {
        let pending = self.store.pending_leaves(BATCH).await?;
        if pending.is_empty() {
            // After a failed write of the head file: nothing is acknowledged before it stands.
            if *self.size.borrow() < self.tree.size()
                && let Some(head) = self.store.head().await?
            {
                self.publish(&head)?;
            }
            return Ok(0);
        }
        let first = self.tree.size();
        for leaf in &pending {
            self.tree.push(tree::leaf_hash(&leaf.bytes));
        }
        let (size, root) = (self.tree.size(), self.tree.root());
        let head = Head { size, root, note: checkpoint::sign(&self.verifier, size, &root, |m| self.signer.sign(m)) };
        let receipts = self.receipts(first, &pending, &head)?;
        self.store.sequence(&self.holder, first, &pending, &head, &receipts).await?;
        self.publish(&head)?;
        self.hand_out(receipts);
        Ok(size - first)
    }

    /// Gives receipts to those who wait for them, and forgets who went away.
    fn hand_out(&self, receipts: Vec<(Digest, Vec<u8>)>) {
        let mut waiting = lock(&self.waiting);
        for (report, receipt) in receipts {
            for sender in waiting.remove(&report).unwrap_or_default() {
                // Gone meanwhile: the host asks again and gets the same receipt from the store.
                let _ = sender.send(receipt.clone());
            }
        }
        waiting.retain(|_, senders| {
            senders.retain(|s| !s.is_closed());
            !senders.is_empty()
        });
    }

    fn publish(&self, head: &Head) -> Result<(), LedgerError> {
        durable::write(&self.head_file, head.note.as_bytes(), 0o600).map_err(|e| LedgerError::HeadFile(self.head_file.display().to_string(), e))?;
        self.size.send_replace(head.size);
        Ok(())
    }

    /// After a failed step the tree may hold leaves that the store does not.
    async fn reload(&mut self) {
        let mut tree = Tree::new();
        match read(&self.store, &self.verifier, &self.head_file, &mut tree, self.leading.is_some()).await {
            Ok(()) => self.tree = tree,
            Err(e) => tracing::error!("the ledger can't be read again: {e}"),
        }
    }

    fn receipts(&self, first: u64, pending: &[PendingLeaf], head: &Head) -> Result<Vec<(Digest, Vec<u8>)>, LedgerError> {
        let mut receipts = Vec::new();
        for (index, leaf) in (first..).zip(pending) {
            let parsed = parse(index, &leaf.bytes)?;
            let (Kind::Report, Some(host), Some(lineage), Some(sequence)) = (parsed.kind, parsed.host, parsed.lineage, parsed.sequence) else { continue };
            let proof = self.tree.inclusion(index, head.size).ok_or_else(|| LedgerError::Leaf(index, "it has no place in the tree".into()))?;
            let receipt = Receipt {
                format: receipt::FORMAT.into(),
                report: parsed.reference,
                host,
                lineage,
                sequence,
                received: parsed.at,
                leaf: String::from_utf8_lossy(&leaf.bytes).into_owned(),
                index,
                proof,
                checkpoint: head.note.clone(),
            };
            let envelope = self.signer.seal(RECEIPT_TYPE, &canonical::to_bytes(&receipt)?);
            receipts.push((parsed.reference, envelope.to_bytes()));
        }
        Ok(receipts)
    }
}

fn parse(index: u64, bytes: &[u8]) -> Result<Leaf, LedgerError> {
    Leaf::parse(bytes).map_err(|e| LedgerError::Leaf(index, e.to_string()))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The checkpoint that was last published from this store's folder.
pub fn published_head(store: &Store, verifier: &Verifier) -> Result<Option<Checkpoint>, LedgerError> {
    published(&head_file(store), verifier)
}

/// Where the published checkpoint lies.
pub fn head_file(store: &Store) -> PathBuf {
    store.folder().join(HEAD_FILE)
}

/// Size and root of the stored entries, held against the newest checkpoint in the database alone.
pub async fn stored_tree(store: &Store, verifier: &Verifier) -> Result<(u64, Digest), LedgerError> {
    let mut tree = Tree::new();
    read(store, verifier, Path::new(""), &mut tree, true).await?;
    Ok((tree.size(), tree.root()))
}

/// Adds the leaves that the tree lacks, and holds it against the newest signed checkpoint and the published one.
/// `alone`: nobody else can be numbering, so that every leaf must be signed for.
async fn read(store: &Store, verifier: &Verifier, head_file: &Path, tree: &mut Tree, alone: bool) -> Result<(), LedgerError> {
    let folder = store.folder().display().to_string();
    // Heads first: what they sign is there when the leaves are read after them.
    let (stored, published) = (store.head().await?, published(head_file, verifier)?);
    extend(store, tree).await?;
    let size = stored.as_ref().map_or(0, |h| h.size);
    for signed in [stored.map(|head| checkpoint::open(&head.note, verifier)).transpose()?, published].into_iter().flatten() {
        holds(&folder, tree, &signed)?;
    }
    if alone && size != tree.size() {
        return Err(LedgerError::Altered { folder, size });
    }
    Ok(())
}

/// Adds the stored leaves that the tree lacks.
async fn extend(store: &Store, tree: &mut Tree) -> Result<(), LedgerError> {
    loop {
        let first = tree.size();
        let page = store.leaves(first, first.saturating_add(PAGE)).await?;
        if page.is_empty() {
            return Ok(());
        }
        for row in page {
            let leaf = parse(row.index, &row.bytes)?;
            if row.index != tree.size() || leaf.kind.id() != row.kind || leaf.reference.to_string() != row.reference {
                return Err(LedgerError::Leaf(row.index, "number, kind or reference differ from the entry".into()));
            }
            tree.push(tree::leaf_hash(&row.bytes));
        }
    }
}

fn holds(folder: &str, tree: &Tree, signed: &Checkpoint) -> Result<(), LedgerError> {
    match tree.root_at(signed.size) {
        None => Err(LedgerError::RolledBack { folder: folder.into(), found: tree.size(), published: signed.size }),
        Some(root) if root != signed.root => Err(LedgerError::Altered { folder: folder.into(), size: signed.size }),
        Some(_) => Ok(()),
    }
}

fn published(head_file: &Path, verifier: &Verifier) -> Result<Option<Checkpoint>, LedgerError> {
    let fail = |e| LedgerError::HeadFile(head_file.display().to_string(), e);
    if head_file.as_os_str().is_empty() {
        return Ok(None);
    }
    match std::fs::metadata(head_file) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(fail(e)),
        Ok(m) if m.len() > checkpoint::MAX_BYTES as u64 => return Err(fail(std::io::Error::other("it is too large to be a checkpoint"))),
        Ok(_) => {}
    }
    let note = std::fs::read_to_string(head_file).map_err(fail)?;
    Ok(Some(checkpoint::open(&note, verifier)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collector::store::testing::{NOW, store};

    struct Ledger {
        signer: Arc<SigningKey>,
        verifier: Verifier,
    }

    impl Ledger {
        fn new() -> Self {
            let signer = Arc::new(SigningKey::generate().unwrap());
            let verifier = Verifier::new("assay.invalid/test", signer.public_key()).unwrap();
            Self { signer, verifier }
        }
        async fn open(&self, store: &Store) -> Result<Task, LedgerError> {
            Ok(Task::open(store.clone(), self.signer.clone(), self.verifier.clone(), NOW).await?.0)
        }
    }

    async fn grown(store: &Store, ledger: &Ledger) -> Task {
        let mut task = ledger.open(store).await.unwrap();
        for n in 0..5u8 {
            store.append_leaf("user", &Digest::of(&[n]), None).await.unwrap();
            task.step().await.unwrap();
        }
        task
    }

    #[tokio::test]
    async fn the_ledger_begins_with_its_start_and_goes_on_after_a_restart() {
        let (_folder, store) = store().await;
        let ledger = Ledger::new();
        let task = grown(&store, &ledger).await;
        let again = ledger.open(&store).await.unwrap();
        assert_eq!((again.tree.size(), again.tree.root()), (6, task.tree.root()));
        assert_eq!(store.leaves(0, 1).await.unwrap()[0].kind, "ledger-start");
        let head = store.head().await.unwrap().unwrap();
        assert_eq!(checkpoint::open(&head.note, &ledger.verifier).unwrap().root, again.tree.root());
    }

    #[tokio::test]
    async fn a_rolled_back_edited_or_foreign_ledger_is_refused_in_a_sentence() {
        let (folder, store) = store().await;
        let ledger = Ledger::new();
        grown(&store, &ledger).await;
        let other = Ledger::new();
        assert!(matches!(other.open(&store).await, Err(LedgerError::Key(_))));

        let sql = |sql: &'static str| {
            let store = store.clone();
            async move {
                let mut transaction = store.begin().await.unwrap();
                sqlx::raw_sql(sql).execute(&mut *transaction).await.unwrap();
                transaction.commit().await.unwrap();
            }
        };
        sql("CREATE TABLE saved AS SELECT * FROM leaves; CREATE TABLE heads AS SELECT * FROM checkpoints").await;
        sql("UPDATE leaves SET bytes = (SELECT bytes FROM saved WHERE number = 1) , reference = (SELECT reference FROM saved WHERE number = 1) WHERE number = 3")
            .await;
        let error = ledger.open(&store).await.unwrap_err().to_string();
        assert!(error.contains("was altered") && error.contains("restore the newest backup"), "{error}");
        sql("DELETE FROM leaves; INSERT INTO leaves SELECT * FROM saved").await;
        ledger.open(&store).await.unwrap();

        sql("DELETE FROM leaves WHERE number >= 4; DELETE FROM checkpoints WHERE size > 4").await;
        let error = ledger.open(&store).await.unwrap_err().to_string();
        assert!(error.contains("has 4 entries but 6 were published"), "{error}");
        std::fs::remove_file(folder.path().join(HEAD_FILE)).unwrap();
        assert_eq!(ledger.open(&store).await.unwrap().tree.size(), 4);
    }
}
