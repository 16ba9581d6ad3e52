//! A new key for the ledger, cross-signed, in steps that a crash leaves finishable.
//!
//! ```text
//! ledger-key.next.pem written -> statement and its leaf, numbered under the old key -> head signed anew -> files change places
//! ```

use std::sync::Arc;

use anyhow::{Context as _, ensure};
use axum::Json;
use axum::extract::{Extension, State};

use super::app::App;
use super::body::Peer;
use super::error::ApiError;
use super::sequencer::{self, Task};
use super::start::Keys;
use super::store::{Statement, Store, StoreError};
use crate::host::{clock, durable};
use crate::ledger::rotation::Rotation;
use crate::ledger::{Kind, Verifier, checkpoint};
use crate::pki::keys::SigningKey;

/// Name of the ledger's key in the data folder.
pub const KEY_FILE: &str = "ledger-key.pem";
/// Name of the next key while a rotation is under way.
pub const NEXT_FILE: &str = "ledger-key.next.pem";
/// Name of the file that keeps the ledger's name once its key is not the first one.
pub const ORIGIN_FILE: &str = "ledger-origin";

/// Every rotation of a store's ledger, oldest first.
pub async fn all(store: &Store) -> Result<Vec<Rotation>, StoreError> {
    store.statements(Kind::KeyRotation).await?.iter().map(Statement::read).collect()
}

/// `GET /v1/rotations`: how to come from an earlier key of the ledger to the one it has now.
pub async fn rotations(State(app): State<Arc<App>>, Extension(peer): Extension<Peer>) -> Result<Json<Vec<Rotation>>, ApiError> {
    peer.host(&app).await?;
    Ok(Json(app.rotations.clone()))
}

/// Gives the ledger a new key, or finishes a rotation that was interrupted; the new verifier key. The caller holds the lock
/// on the data folder.
pub async fn rotate(store: &Store, keys: Keys, by: &str) -> anyhow::Result<Verifier> {
    let now = clock::unix_now();
    let folder = store.folder().to_path_buf();
    let (next_file, origin_file) = (folder.join(NEXT_FILE), folder.join(ORIGIN_FILE));
    let next = if next_file.exists() { SigningKey::load(&next_file)? } else { SigningKey::generate()? };
    let new = Verifier::new(keys.verifier.name(), next.public_key())?;
    let old = keys.verifier.clone();
    let told = all(store).await?.iter().any(|r| r.to == new.to_string());
    if !told {
        durable::write(&next_file, next.pem().as_bytes(), 0o600).with_context(|| format!("{} can't be written", next_file.display()))?;
        let rotation = Rotation::make(now, by, (&old, &|m| keys.signer.sign(m)), (&new, &|m| next.sign(m)));
        rotation.check()?;
        store.put_statement(&Statement::of(Kind::KeyRotation, now, &rotation)?, None).await?;
    }
    // The old key's last checkpoint covers the statement. After a crash behind the next step it is signed anew already.
    let head = store.head().await?;
    if head.is_none_or(|head| checkpoint::open(&head.note, &old).is_ok()) {
        let (mut task, _) = Task::open(store.clone(), Arc::new(keys.signer), old, now).await?;
        while task.step().await? > 0 {}
    }
    let head = store.head().await?.context("the ledger has no checkpoint")?;
    let note = checkpoint::sign(&new, head.size, &head.root, |m| next.sign(m));
    store.sign_head_anew(head.size, &note).await?;
    durable::write(&sequencer::head_file(store), note.as_bytes(), 0o600).context("the head file can't be written")?;
    durable::write(&origin_file, format!("{}\n", new.name()).as_bytes(), 0o600).with_context(|| format!("{} can't be written", origin_file.display()))?;
    std::fs::rename(&next_file, folder.join(KEY_FILE)).context("the new key can't take its place")?;
    durable::sync_folder(&folder)?;
    let (size, _) = sequencer::stored_tree(store, &new).await?;
    ensure!(size == head.size, "the ledger changed while its key did: run one collector per data folder");
    Ok(new)
}

/// The name of the ledger whose first key this is, unless the folder keeps one.
pub fn origin(data: &std::path::Path, first: &SigningKey) -> anyhow::Result<String> {
    let file = data.join(ORIGIN_FILE);
    match std::fs::read_to_string(&file) {
        Ok(name) => Ok(name.trim().to_string()),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            // Named after its key, so that no two ledgers have one name.
            let id: String = first.id().to_string().chars().take(16).collect();
            Ok(format!("assay.invalid/{id}"))
        }
        Err(e) => Err(e).with_context(|| format!("{} can't be read", file.display())),
    }
}
