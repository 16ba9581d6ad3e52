//! Which hosts count, how each stood at the end, and how many planned scans each had.

use std::collections::HashMap;

use super::index::{Index, confirms};
use crate::evidence::material::{Host, day_start};
use crate::evidence::paper::{Member, MemberState, Week, WindowCount};
use crate::evidence::windows::Window;
use crate::model::ids::HostId;
use crate::model::report::Cadence;

/// Every host of the population, by name then id.
pub fn population(index: &Index<'_>, windows: &[Window]) -> Vec<Member> {
    let end = index.material.period.end();
    // A period that has not ended is looked at from the day of the export.
    let looked = end.min(day_start(index.material.as_of));
    let mut counts: HashMap<HostId, WindowCount> = HashMap::new();
    for window in windows {
        counts.entry(window.host).or_default().add(window.state);
    }
    let member = |(position, host): (usize, &&Host)| {
        let reports = index.reports(position);
        let confirmed = |cadence| reports.iter().rev().find(|r| confirms(r, cadence) && r.finished < end).map(|r| r.finished);
        Member {
            host: host.id,
            name: host.name.clone(),
            os: host.os.clone(),
            state: state(host, end, looked.saturating_sub(index.material.silent_after)),
            enrolled_at: host.enrolled_at,
            seen_at: host.seen_at,
            retired_at: host.retired_at.filter(|at| *at < end),
            retired_why: host.retired_why.clone(),
            replaced_by: host.replaced_by.map(|id| index.name(&id)).unwrap_or_default(),
            confirmed: confirmed(Cadence::Weekly),
            confirmed_monthly: confirmed(Cadence::Monthly),
            reports: reports.len(),
            windows: counts.get(&host.id).copied().unwrap_or_default(),
        }
    };
    index.hosts.iter().enumerate().map(member).collect()
}

fn state(host: &Host, end: i64, silent_before: i64) -> MemberState {
    match (host.retired_at.filter(|at| *at < end), host.replaced_by) {
        (Some(_), Some(_)) => MemberState::Replaced,
        (Some(_), None) => MemberState::Retired,
        _ if host.seen_at.unwrap_or(host.enrolled_at) < silent_before => MemberState::Silent,
        _ => MemberState::Active,
    }
}

/// Planned scans by week, then by month.
pub fn coverage(windows: &[Window]) -> Vec<Week> {
    let mut places: HashMap<&str, usize> = HashMap::new();
    let mut out: Vec<Week> = Vec::new();
    for window in windows {
        let place = *places.entry(&window.window).or_insert_with(|| {
            out.push(Week { week: window.window.clone(), kind: window.kind, start: window.start, windows: WindowCount::default() });
            out.len() - 1
        });
        if let Some(week) = out.get_mut(place) {
            week.windows.add(window.state);
        }
    }
    out.sort_by_key(|w| (w.kind != "weekly", w.start));
    out
}
