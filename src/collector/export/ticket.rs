//! What an interrupted export was to make: the order and the checkpoint that it is fixed to.

use std::path::Path;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::{ExportError, Order, Source};
use crate::evidence::material::{Sampling, Scope};
use crate::evidence::work::Work;
use crate::model::canonical;
use crate::model::ids::Digest;

/// Version of this document.
const FORMAT: &str = "assay.export.v1";

/// The order behind a work folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Ticket {
    /// The day of the export.
    as_of: String,
    /// The signed checkpoint.
    pub(super) checkpoint: String,
    format: String,
    framework: String,
    from: String,
    inventory: Option<Digest>,
    pack: Digest,
    release: String,
    sampling: Option<Sampling>,
    scope: Scope,
    to: String,
}

impl Ticket {
    pub(super) fn of(source: &Source, order: &Order, checkpoint: &str) -> Self {
        Self {
            as_of: order.today.to_string(),
            checkpoint: checkpoint.into(),
            format: FORMAT.into(),
            framework: order.framework.id.clone(),
            from: order.period.from.to_string(),
            inventory: order.inventory.as_ref().map(|l| l.digest),
            pack: source.pack.digest(),
            release: env!("CARGO_PKG_VERSION").into(),
            sampling: order.sampling.clone(),
            scope: order.scope.clone(),
            to: order.period.to.to_string(),
        }
    }

    pub(super) fn of_folder(folder: &Path) -> Result<Self, ExportError> {
        let bytes = Work::order(folder)?;
        let ticket: Option<Self> = serde_json::from_slice(&bytes).ok();
        ticket.filter(|t| t.as_of.parse::<Date>().is_ok()).ok_or_else(|| ExportError::OtherOrder { folder: folder.into(), differs: "its form".into() })
    }

    /// The day of the export.
    pub(super) fn day(&self) -> Option<Date> {
        self.as_of.parse().ok()
    }

    pub(super) fn to_bytes(&self) -> Result<Vec<u8>, ExportError> {
        canonical::to_bytes(self).map_err(|e| ExportError::Damaged("order", e.to_string()))
    }

    /// In what the order at hand differs; day and checkpoint are taken from the ticket.
    pub(super) fn differs(&self, source: &Source, order: &Order) -> Option<String> {
        let now = Self { as_of: self.as_of.clone(), ..Self::of(source, order, &self.checkpoint) };
        let parts = [
            ("format", self.format != now.format),
            ("the framework", self.framework != now.framework),
            ("the period", (&self.from, &self.to) != (&now.from, &now.to)),
            ("the hosts", self.scope != now.scope),
            ("the sample", self.sampling != now.sampling),
            ("the inventory", self.inventory != now.inventory),
            ("the rules", self.pack != now.pack),
            ("the release of assay", self.release != now.release),
        ];
        let differing: Vec<&str> = parts.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect();
        (!differing.is_empty()).then(|| differing.join(", "))
    }
}
