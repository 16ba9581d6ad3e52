//! Going on from a restored database: the ledger says so, and what the agents still have is asked for.
//!
//! A collector whose database is older than what it published refuses to start. A person who knows that there is
//! no newer backup orders it to go on: the published head is put aside, the ledger gets an entry whose statement
//! holds both heads, and hosts that hold receipts of lost reports are asked to send them again. Agents keep what
//! was acknowledged for 35 days; what is older, and entries that came from people, can't come back.

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use super::sequencer::{self, Task};
use super::start::Keys;
use super::store::{Statement, Store, StoreError};
use crate::host::clock;
use crate::ledger::{Kind, checkpoint};
use crate::model::ids::Digest;

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
    let (mut task, _) = Task::open(store.clone(), std::sync::Arc::new(keys.signer), keys.verifier, now).await?;
    while task.step().await? > 0 {}
    Ok(resumption)
}
