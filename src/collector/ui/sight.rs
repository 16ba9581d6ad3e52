//! How well something could be seen on the hosts of the fleet: an empty list never stands without saying what could not be seen.

use super::error::PageError;
use super::frame::Visit;
use super::site::Site;
use super::text::{brief, counted, shown};
use crate::collector::kept::{Kind, Sight};
use crate::collector::store::Seen;

/// Hosts that are named with their reason.
const MAX_NAMED: u32 = 8;
/// Longest reason, characters.
const MAX_REASON: usize = 200;

/// What could not be seen, in words, and where.
#[derive(Debug, Default)]
pub struct Sights {
    /// One sentence each; empty when every host was seen wholly.
    pub lines: Vec<String>,
    /// Name, page and reason of the first hosts.
    pub hosts: Vec<(String, String, String)>,
    /// Hosts that count.
    pub counting: u64,
    /// How many were seen how well.
    pub seen: Seen,
}

impl Sights {
    /// Whether nothing could be seen on any host.
    pub fn is_blind(&self) -> bool {
        self.seen.whole + self.seen.part == 0
    }

    /// The reason of the first host that could not be seen; empty when there is none.
    pub fn reason(&self) -> &str {
        self.hosts.first().map_or("", |(_, _, why)| why.as_str())
    }
}

/// How well a kind could be seen.
pub async fn sights(site: &Site, visit: &Visit, kind: Kind) -> Result<Sights, PageError> {
    let counting = site.store().host_count(visit.as_of).await?;
    let seen = site.store().fleet_seen(kind, visit.as_of).await?;
    let hosts = |n: u64| counted(usize::try_from(n).unwrap_or(usize::MAX), "host", "hosts");
    let mut out = Sights { counting, seen, ..Sights::default() };
    if seen.part > 0 {
        out.lines.push(format!("{} could be seen in part only: there may be more.", hosts(seen.part)));
    }
    if seen.none > 0 {
        out.lines.push(format!("{} could not be seen at all.", hosts(seen.none)));
    }
    let silent = counting.saturating_sub(seen.whole + seen.part + seen.none);
    if silent > 0 {
        out.lines.push(format!("{} brought no report that this is known from.", hosts(silent)));
    }
    for sight in [Sight::None, Sight::Part] {
        for (id, name, why) in site.store().fleet_unseen(kind, sight, visit.as_of, MAX_NAMED).await? {
            out.hosts.push((shown(&name), format!("/hosts/{id}"), brief(&why, MAX_REASON)));
        }
    }
    Ok(out)
}
