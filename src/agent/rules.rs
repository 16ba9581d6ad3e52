//! The rules that the agent judges by: the signed pack that was installed, or those it carries.

use std::path::Path;

use super::run::{self, Outcome, ScanError};
use crate::rules::{Pack, signed};

/// Rules with what reports must say of them.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The rules.
    pub pack: Pack,
    /// End of an installed pack, Unix seconds.
    expires: Option<i64>,
    /// A pack is installed and can't be used.
    refused: bool,
}

impl Rules {
    /// The pack of a state folder if its signature holds under `key`; those that the program carries
    /// if none is installed, or the one that is can't be used: that is logged, and reports say so.
    pub fn of(state: &Path, key: &Path) -> Result<Self, ScanError> {
        let installed = signed::installed(state, key).and_then(|signed| signed.map(|s| s.compile(&run::fresh_schemas()).map(|pack| (s, pack))).transpose());
        match installed {
            Ok(Some((signed, pack))) => {
                tracing::info!(number = signed.number(), rules = pack.rules.len(), "an installed pack of rules judges");
                Ok(Self { pack, expires: Some(signed.expires()), refused: false })
            }
            Ok(None) => Ok(Self { pack: run::fresh_rules()?, expires: None, refused: false }),
            Err(e) => {
                tracing::error!("the installed pack of rules is not used, the rules of this program judge: {e}");
                Ok(Self { pack: run::fresh_rules()?, expires: None, refused: true })
            }
        }
    }

    /// Names in the outcome of a scan what must be said of the rules at `now`.
    pub fn name_limit(&self, outcome: &mut Outcome, now: i64) {
        let limit = match self.expires {
            Some(end) if now >= end => Some(signed::EXPIRED),
            _ => self.refused.then_some(signed::REFUSED),
        };
        outcome.limits.extend(limit.map(String::from));
        outcome.limits.sort();
    }
}
