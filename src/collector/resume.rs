//! Going on from a restored database: the ledger says so, and what the agents still have is asked for.
//!
//! A collector whose database is older than what it published refuses to start. A person who knows that there is
//! no newer backup orders it to go on: the published head is put aside, the ledger gets an entry whose statement
//! holds both heads, and hosts that hold receipts of lost reports are asked to send them again. Agents keep what
//! was acknowledged for 35 days; what is older, and entries that came from people, can't come back.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Context as _;
use axum::body::Body;
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};

use super::app::App;
use super::body::{self, Peer};
use super::error::ApiError;
use super::sequencer::{self, Task};
use super::start::Keys;
use super::store::{Statement, Store, StoreError};
use crate::host::{clock, durable};
use crate::ledger::{Kind, checkpoint};
use crate::model::ids::{Digest, HostId, Lineage};

/// Agents keep acknowledged reports for so long, seconds: after that nothing more can come back.
pub const ASK_SECONDS: i64 = 35 * 86_400;

/// The ledger went on from a restored database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resumption {
    /// When, Unix seconds.
    pub at: i64,
    /// Who ordered it.
    pub by: String,
    /// Entries that the restored database has.
    pub kept: u64,
    /// Root over them.
    pub kept_root: Digest,
    /// The signed checkpoint that was published before, over more entries.
    pub lost_note: String,
    /// Its entries.
    pub lost: u64,
}

impl Resumption {
    /// Entries that were published and are not in the database.
    pub const fn missing(&self) -> u64 {
        self.lost.saturating_sub(self.kept)
    }

    /// Whether agents are still asked.
    pub const fn asks(&self, now: i64) -> bool {
        now.saturating_sub(self.at) < ASK_SECONDS
    }
}

/// Every resumption of a store's ledger, oldest first.
pub async fn all(store: &Store) -> Result<Vec<Resumption>, StoreError> {
    store.statements(Kind::Resumption).await?.iter().map(Statement::read).collect()
}

/// Whether a host saw a longer ledger than this one is, or was before it was resumed: then its database was rolled back.
pub async fn is_beyond(app: &App, claimed: u64) -> Result<bool, StoreError> {
    let lost = app.resumption.as_ref().map_or(0, |r| r.lost);
    if claimed <= lost.max(app.asked.lost.load(Ordering::Relaxed)).max(*app.sequencer.size().borrow()) {
        return Ok(false);
    }
    // Another collector on the same database may have numbered more a moment ago.
    Ok(app.store.head().await?.is_none_or(|head| claimed > head.size))
}

/// The first report that a resumed collector lacks of those that a host has receipts of. The same hole is asked for once: what did not
/// come then is not kept any more.
pub async fn wanted(app: &App, host: &HostId, lineage: &Lineage, acknowledged: Option<u64>) -> Result<Option<u64>, StoreError> {
    let (Some(_), Some(acknowledged)) = (&app.resumption, acknowledged) else { return Ok(None) };
    let mut from = app.asked.next_after(host, lineage);
    let missing = loop {
        let Some(missing) = app.store.first_missing(host, lineage, from, acknowledged).await? else { return Ok(None) };
        if !app.asked.is_asked(host, lineage, missing) {
            break missing;
        }
        from = missing + 1;
    };
    tracing::warn!(%host, %lineage, from = missing, to = acknowledged, "asking for reports that the restored database lacks");
    app.asked.note(host, lineage, acknowledged);
    Ok(Some(missing))
}

/// Up to which number hosts were asked for lost reports, since the start.
#[derive(Debug, Default)]
pub struct Asked {
    /// Entries of the longest checkpoint that a host has shown from before the resumption.
    lost: AtomicU64,
    hosts: Mutex<HashMap<(HostId, Lineage), u64>>,
}

impl Asked {
    fn next_after(&self, host: &HostId, lineage: &Lineage) -> u64 {
        self.lock().get(&(*host, *lineage)).map_or(1, |to| to + 1)
    }

    fn is_asked(&self, host: &HostId, lineage: &Lineage, number: u64) -> bool {
        number < self.next_after(host, lineage)
    }

    fn note(&self, host: &HostId, lineage: &Lineage, to: u64) {
        self.lock().insert((*host, *lineage), to);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(HostId, Lineage), u64>> {
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `POST /v1/checkpoint`: a checkpoint that a host was given, signed by this ledger's key and over more entries than there are. That
/// is proof: the database was rolled back. The collector remembers it and stops; one that was resumed writes down that more was
/// lost than it knew.
pub async fn checkpoint(State(app): State<Arc<App>>, Extension(peer): Extension<Peer>, headers: HeaderMap, request: Body) -> Result<StatusCode, ApiError> {
    let host = peer.host(&app).await?;
    let received = body::receive(&app, &headers, request, body::TEXT, checkpoint::MAX_BYTES).await?;
    let note = std::str::from_utf8(&received.bytes).map_err(|e| ApiError::malformed("the checkpoint", &e))?;
    let mut opened = app.ledger_keys.iter().map(|key| checkpoint::open(note, key));
    let shown = opened.find_map(Result::ok).ok_or_else(|| ApiError::Malformed("the checkpoint is not signed by a key of this ledger".into()))?;
    if is_beyond(&app, shown.size).await? {
        if let Some(resumption) = &app.resumption {
            app.asked.lost.fetch_max(shown.size, Ordering::Relaxed);
            tracing::warn!(host = %host.id, published = shown.size, "more entries were lost than this ledger knew when it was resumed");
            let more = Resumption { at: clock::unix_now(), by: format!("host {}", host.id), lost_note: note.into(), lost: shown.size, ..resumption.clone() };
            app.store.put_statement(&Statement::of(Kind::Resumption, more.at, &more)?, Some(host.id)).await?;
            app.sequencer.wake();
            return Ok(StatusCode::NO_CONTENT);
        }
        let known = *app.sequencer.size().borrow();
        let kept = durable::write(&sequencer::head_file(&app.store), note.as_bytes(), 0o600);
        kept.map_err(|e| ApiError::Internal(format!("the head file: {e}")))?;
        tracing::error!(host = %host.id, published = shown.size, known, "the database was rolled back: a host holds a newer checkpoint of this ledger");
        app.halt.send_replace(Some(format!(
            "the ledger has {known} entries but {} were published, as a host proves: the database was rolled back or restored from a backup; restore the newest backup, or go on with `assay-collector ledger resume`",
            shown.size
        )));
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Lets the ledger go on. The caller holds the lock on the data folder.
pub async fn resume(store: &Store, keys: Keys, by: &str) -> anyhow::Result<Resumption> {
    let now = clock::unix_now();
    let published = sequencer::published_head(store, &keys.verifier)?;
    let published = published.context("nothing was published from this data folder: there is nothing to resume from")?;
    let (size, root) = sequencer::stored_tree(store, &keys.verifier).await?;
    anyhow::ensure!(
        size < published.size,
        "the database has all {} entries that were published: there is nothing to resume, start the collector",
        published.size
    );
    let lost_note = std::fs::read_to_string(sequencer::head_file(store)).context("the published head can't be read")?;
    debug_assert_eq!(checkpoint::peek(&lost_note).map(|(_, size)| size), Some(published.size));
    let resumption = Resumption { at: now, by: by.into(), kept: size, kept_root: root, lost_note, lost: published.size };
    store.put_statement(&Statement::of(Kind::Resumption, now, &resumption)?, None).await?;
    // Only now: after a crash in between the collector still refuses to start, and the order is given again.
    let aside = sequencer::head_file(store).with_extension(format!("lost-{}", published.size));
    std::fs::rename(sequencer::head_file(store), &aside).with_context(|| format!("the published head can't be put aside to {}", aside.display()))?;
    let (mut task, _) = Task::open(store.clone(), Arc::new(keys.signer), keys.verifier, now).await?;
    while task.step().await? > 0 {}
    Ok(resumption)
}
