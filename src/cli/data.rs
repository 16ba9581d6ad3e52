//! The data folder of a collector, as the commands beside `serve` open it.

use std::path::Path;

use anyhow::{Context as _, bail};

use crate::collector::Keys;
use crate::collector::rotate::KEY_FILE;
use crate::collector::store::Store;
use crate::evidence::material::day_start;
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

/// A time (Unix seconds) as tables show it.
pub(super) fn time(at: i64) -> String {
    jiff::Timestamp::from_second(at).map_or_else(|_| at.to_string(), |t| t.strftime("%F %R UTC").to_string())
}

/// The moment that `--as-of` means: a day is meant as of its end, but never later than `now`.
pub(super) fn moment(text: &str, now: i64) -> anyhow::Result<i64> {
    let day = if text.len() == 10 { text.parse::<jiff::civil::Date>().ok() } else { None };
    let end = day.map(|day| day_start(day).saturating_add(86_399));
    let at = end.or_else(|| text.parse::<jiff::Timestamp>().ok().map(|t| t.as_second()));
    at.map(|at| at.min(now)).with_context(|| format!("--as-of {text:?} is no time; write YYYY-MM-DD or YYYY-MM-DDTHH:MM:SSZ"))
}

/// Does a command's work to its end.
pub(super) fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}
