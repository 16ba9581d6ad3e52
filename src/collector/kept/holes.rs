//! Published holes that installed packages still have: what the derived family `advisories` says.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Item, Says, cut};
use crate::model::advisories::{Advisories, Advisory, Derived};

/// Aliases of one advisory that are kept.
const MAX_ALIASES: usize = 32;
/// Words of severities, least first; the place times a thousand, and the score on top, is the rank.
const SEVERITIES: [&str; 6] = ["unknown", "none", "low", "medium", "high", "critical"];
/// Severities of holes that are kept although no fix is published.
const KEPT_WITHOUT_FIX: [&str; 3] = ["critical", "high", "medium"];

/// What an advisory says, whichever package it is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct HoleAbout {
    /// Other ids of the same holes.
    pub aliases: Vec<String>,
    /// `critical`, `high`, `medium`, `low`, `none` or `unknown`.
    pub severity: String,
    /// CVSS base score in tenths; `None` without a vector.
    pub score_tenths: Option<i64>,
    /// Unix seconds; `None`: the record does not say.
    pub published_at: Option<i64>,
}

/// A hole on a host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct HoleBody {
    /// Source package.
    pub package: String,
    /// Version that is installed.
    pub installed: String,
    /// First version without the hole; empty: none is published.
    pub fixed: String,
    /// `fixed-available`, `restart-required`, `no-fix`.
    pub state: String,
    /// Whether the host's own package lists offer the fixed version: `yes`, `no`, `unknown`.
    pub offered: String,
}

/// Holes of a host: those with a fix, and the severe ones without.
pub(super) fn holes(advisories: Option<&Derived>) -> Says {
    let Some(derived) = advisories else { return Says::blind("there is no index of advisories") };
    let found: Option<Advisories> = derived.value.clone().and_then(|v| serde_json::from_value(v).ok());
    let why = || derived.gaps.first().map_or("packages could not be matched".to_string(), |g| g.detail.clone());
    let Some(found) = found else { return Says::blind(why()) };
    let fixable = [found.critical, found.high, found.medium, found.low, found.unrated].into_iter().flatten();
    let without = found.no_fix.into_iter().filter(|a| KEPT_WITHOUT_FIX.contains(&a.severity.as_str()));
    let items = fixable.chain(without).map(|a| item(&a)).collect();
    Says::beside(items, derived.gaps.iter(), |gap| gap.path.is_empty().then_some(""))
}

fn item(advisory: &Advisory) -> Item {
    let about = HoleAbout {
        aliases: advisory.aliases.iter().take(MAX_ALIASES).map(|a| cut(a)).collect(),
        severity: advisory.severity.clone(),
        score_tenths: advisory.score_tenths,
        published_at: advisory.published_at,
    };
    let body = HoleBody {
        package: cut(&advisory.source_package),
        installed: cut(&advisory.installed),
        fixed: cut(&advisory.fixed),
        state: advisory.state.clone(),
        offered: advisory.offered.clone(),
    };
    Item::new(&advisory.id, &advisory.subject, rank(&advisory.severity, advisory.score_tenths), &about, &body)
}

fn rank(severity: &str, score_tenths: Option<i64>) -> i64 {
    let place = SEVERITIES.iter().position(|s| *s == severity).unwrap_or(0);
    i64::try_from(place).unwrap_or(0) * 1_000 + score_tenths.unwrap_or(0).clamp(0, 100)
}

/// The lowest and the highest rank of a severity; `None` for no such word.
pub fn severity_of(word: &str) -> Option<(i64, i64)> {
    SEVERITIES.contains(&word).then(|| (rank(word, None), rank(word, None) + 999))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn severities_are_ordered_by_word_and_then_by_score() {
        assert!(rank("critical", None) > rank("high", Some(100)) && rank("high", Some(88)) > rank("high", Some(71)) && rank("strange", None) == 0);
        assert_eq!(severity_of("low"), Some((2_000, 2_999)));
        assert_eq!(severity_of("grave"), None);
    }
}
