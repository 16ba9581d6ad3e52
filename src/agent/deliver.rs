//! From the spool to the collector, until the receipt is on disk.

use std::path::Path;

use super::identity::{Identity, IdentityError};
use super::renew::Renewal;
use super::run::Outcome;
use super::seal::{self, Draft, Purpose};
use super::spool::{Bounds, Item, Name, Spool, SpoolError};
use super::upload::{Answer, Client, Route, UploadError};
use crate::host::{Host, ReadError, clock};
use crate::ledger::{self, ProofError};
use crate::model::ids::{Address, Digest};
use crate::model::receipt::Receipt;
use crate::model::report::ScanKind;

/// Posts of one report: the first, after its blobs, and after a new lineage with its blobs.
const MAX_ROUNDS: usize = 4;

/// Most blobs that are sent before they are asked for.
const MAX_AHEAD: usize = 8;

/// Why a report was not delivered; it stays in the spool.
#[derive(Debug, thiserror::Error)]
pub enum DeliverError {
    /// Not enrolled.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The machine.
    #[error(transparent)]
    Host(#[from] ReadError),
    /// Disk.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// Network or collector.
    #[error(transparent)]
    Upload(#[from] UploadError),
    /// The receipt proves nothing.
    #[error("receipt does not hold: {0}; the report is kept and sent again")]
    Receipt(#[from] ProofError),
    /// The receipt is about something else.
    #[error("receipt is about another report: its {0} differs; the report is kept and sent again")]
    OtherReport(&'static str),
    /// The collector asks for a blob that the report does not name.
    #[error("collector asks for blob {0}, which the report does not carry")]
    ForeignBlob(Address),
    /// The collector keeps asking.
    #[error("collector did not accept the report in {MAX_ROUNDS} rounds")]
    Rounds,
    /// No runtime.
    #[error("upload can't start: {0}")]
    Start(std::io::Error),
}

impl DeliverError {
    /// The collector's part in it.
    pub const fn upload(&self) -> Option<&UploadError> {
        if let Self::Upload(e) = self { Some(e) } else { None }
    }
}

impl DeliverError {
    /// Whether a receipt came and does not hold under the ledger key at hand.
    pub const fn is_about_receipt(&self) -> bool {
        matches!(self, Self::Receipt(_))
    }
}

/// How emptying the spool went.
#[derive(Debug, Default)]
pub struct Drained {
    /// Receipts in the order in which they came.
    pub receipts: Vec<(Name, Receipt)>,
    /// The first failure; later reports were still tried unless the collector was out of reach.
    pub error: Option<DeliverError>,
}

/// Spools and uploads one scan as the enrolled host of `state_dir`, and gives the receipt. Blocks: an asynchronous caller uses a blocking thread.
/// After an error the report waits in the spool.
pub fn report(outcome: &Outcome, kind: ScanKind, window: Option<&str>, state_dir: &Path) -> Result<Receipt, DeliverError> {
    let mut identity = Identity::open(state_dir, &Host::live()?)?;
    let mut spool = Spool::open(state_dir, Bounds::default(), identity.lineage)?;
    let covers = window.into_iter().map(String::from).collect();
    let purpose = Purpose { kind, window: window.map(String::from), covers, families: Vec::new() };
    let draft = Draft::new(&identity, outcome, purpose)?;
    let name = spool.put(clock::now(), |numbers| draft.seal(&identity, numbers))?;
    let route = Route { floor: spool.state().received, ..Route::default() };
    let mut client = Client::new(&identity, &route)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(DeliverError::Start)?;
    let drained = runtime.block_on(async {
        Renewal::default().step(&mut identity, &mut client, &route, state_dir).await;
        drain(&mut spool, &client, &identity).await
    });
    // A fork gives the report another name, and it is the last one then, too.
    match drained.receipts.into_iter().max_by_key(|(n, _)| n.order).filter(|(n, _)| n.order >= name.order) {
        Some((_, receipt)) => Ok(receipt),
        None => Err(drained.error.unwrap_or(DeliverError::Rounds)),
    }
}

/// Delivers everything that waits, oldest first.
pub async fn drain(spool: &mut Spool, client: &Client, identity: &Identity) -> Drained {
    let mut drained = Drained::default();
    for name in spool.waiting() {
        match one(spool, client, identity, name).await {
            Ok(receipt) => drained.receipts.push(receipt),
            Err(e) => {
                // A report that is refused must not hold up the others; an absent or busy collector holds up all.
                let stop = matches!(&e, DeliverError::Upload(e) if e.holds_up_all());
                drained.error.get_or_insert(e);
                if stop {
                    break;
                }
            }
        }
    }
    drained
}

/// Delivers one waiting report.
async fn one(spool: &mut Spool, client: &Client, identity: &Identity, name: Name) -> Result<(Name, Receipt), DeliverError> {
    let mut name = name;
    let mut item = spool.read(name)?;
    for (address, frame) in new_frames(spool, &item) {
        client.put_blob(&address, frame).await?;
    }
    for _ in 0..MAX_ROUNDS {
        if spool.is_forked(name.lineage) {
            name = spool.replace(name, |numbers| seal::reseal(identity, &item, numbers))?;
            item = spool.read(name)?;
        }
        match client.post_report(&item.envelope).await? {
            Answer::Receipt(envelope) => {
                let receipt = ledger::check_receipt(&envelope, &identity.ledger)?;
                let digest = item.envelope.payload_digest().map_err(|_| DeliverError::OtherReport("report"))?;
                is_about(&receipt, identity, name, digest)?;
                let size = ledger::checkpoint::open(&receipt.checkpoint, &identity.ledger).map_or(0, |c| c.size);
                spool.acknowledge(name, &envelope, &receipt, size)?;
                return Ok((name, receipt));
            }
            Answer::Missing(addresses) => {
                for address in addresses {
                    let frame = item.frames.get(&address).ok_or(DeliverError::ForeignBlob(address))?;
                    client.put_blob(&address, frame.clone()).await?;
                }
            }
            Answer::Fork => {
                tracing::warn!(lineage = %name.lineage, sequence = name.sequence, "collector knows another report under this number: opening a new lineage");
                spool.fork(name.lineage)?;
            }
        }
    }
    Err(DeliverError::Rounds)
}

/// Blobs that the report acknowledged last does not name, if they are few: they go ahead, so that the report of a host that
/// changed little is sent once and not twice. Many go when the collector has said which it lacks.
fn new_frames(spool: &Spool, item: &Item) -> Vec<(Address, Vec<u8>)> {
    let Some(kept) = spool.newest_kept() else { return Vec::new() };
    let new: Vec<_> = item.frames.iter().filter(|(address, _)| !kept.frames.contains_key(*address)).collect();
    if new.len() > MAX_AHEAD { Vec::new() } else { new.into_iter().map(|(address, frame)| (*address, frame.clone())).collect() }
}

fn is_about(receipt: &Receipt, identity: &Identity, name: Name, digest: Digest) -> Result<(), DeliverError> {
    let same = [
        (receipt.report == digest, "digest"),
        (receipt.host == identity.host, "host"),
        (receipt.lineage == name.lineage, "lineage"),
        (receipt.sequence == name.sequence, "sequence"),
    ];
    match same.into_iter().find(|(same, _)| !same) {
        Some((_, what)) => Err(DeliverError::OtherReport(what)),
        None => Ok(()),
    }
}
