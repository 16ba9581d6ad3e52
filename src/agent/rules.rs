//! The rules that a scan is judged by: the signed pack that was installed, or those that the program
//! carries.

use super::run::{self, ScanError};
use crate::config::agent::AgentConfig;
use crate::facts;
use crate::rules::{Pack, signed};

/// Rules with what reports must say of them.
#[derive(Debug)]
pub struct Rules {
    /// The rules.
    pub pack: Pack,
    /// End of an installed pack, Unix seconds.
    expires: Option<i64>,
    /// A pack is installed and can't be used.
    refused: bool,
}

impl Rules {
    /// The installed pack if its signature holds; those that the program carries if none is installed,
    /// or the one that is can't be used: that is logged, and reports say so.
    pub fn load(config: &AgentConfig) -> Result<Self, ScanError> {
        let installed = signed::installed(&config.state_dir, &config.rules_key);
        let compiled = installed.and_then(|signed| signed.map(|s| s.compile(facts::schemas()).map(|pack| (s, pack))).transpose());
        match compiled {
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

    /// What the report of a scan at `now`, Unix seconds, names among its limits.
    pub fn limit(&self, now: i64) -> Option<&'static str> {
        match self.expires {
            Some(end) if now >= end => Some(signed::EXPIRED),
            _ => self.refused.then_some(signed::REFUSED),
        }
    }
}
