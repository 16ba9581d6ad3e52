//! The data folder of a collector, as the commands beside `serve` open it.

use std::path::Path;

use anyhow::{Context as _, bail};

use crate::collector::Keys;
use crate::collector::rotate::KEY_FILE;
use crate::collector::store::Store;
use crate::host::clock;

/// The folder when nobody says otherwise.
pub(super) const DATA: &str = "/var/lib/assay-collector";

/// The store of a folder that is there: making one here would answer from nothing.
pub(super) async fn existing(data: &Path) -> anyhow::Result<Store> {
    must_exist(data)?;
    Store::open(data).await.with_context(|| format!("{}", data.display()))
}

/// The keys of a folder that is there: new ones would prove nothing.
pub(super) fn keys(data: &Path) -> anyhow::Result<Keys> {
    must_exist(data)?;
    Keys::load_or_create(data, clock::unix_now())
}

fn must_exist(data: &Path) -> anyhow::Result<()> {
    if !data.join(KEY_FILE).is_file() {
        bail!("{}: no data folder of a collector that this user may read; name it with --data", data.display());
    }
    Ok(())
}

/// Who gives an order, as the ledger's statements say it: the user of the operating system.
pub(super) fn actor() -> String {
    format!("uid {} on the collector", rustix::process::getuid().as_raw())
}

/// Does a command's work to its end.
pub(super) fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}
