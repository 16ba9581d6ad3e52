//! What the collector sees of the fleet as a whole, beside rules and records: planned scans, silence, lists, exports, the ledger.

use std::collections::{BTreeMap, BTreeSet};

use super::{Place, Truth};
use crate::collector::store::{ExportSaid, HostRow, HostState, Store, StoreError};
use crate::evidence::material::{Host, Period, ReportMeta, day_of};
use crate::evidence::windows::{Window, WindowState, windows};
use crate::ledger::{Kind, Leaf};
use crate::model::finding::Verdict;
use crate::rules::framework::Check;

/// Days of planned scans that are looked at: the last whole month lies within, and a quarter of weeks.
const WINDOW_DAYS: i64 = 92;
/// Reports of that time that are looked at.
const MAX_REPORTS: u32 = 100_000;
/// Days within which an export must have been made.
const EXPORT_DAYS: i64 = 366;
/// Seconds that an entry may wait for its number.
const MAX_WAIT: i64 = 3_600;
const DAY: i64 = 86_400;

/// How the fleet stands in one respect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// What it amounts to.
    pub truth: Truth,
    /// Since when it stands so, Unix seconds; `None`: as long as anything is known.
    pub since: Option<i64>,
    /// One sentence.
    pub message: String,
    /// Where not.
    pub places: Vec<Place>,
}

impl Seen {
    fn new(truth: Truth, since: Option<i64>, message: impl Into<String>) -> Self {
        Self { truth, since, message: message.into(), places: Vec::new() }
    }
}

/// Looks at what is asked for, as of `at` (Unix seconds); `hosts` as of then, `None`: there are too many of them to be looked at.
pub async fn look(store: &Store, checks: &BTreeSet<Check>, hosts: Option<&[HostRow]>, at: i64) -> Result<BTreeMap<Check, Seen>, StoreError> {
    let counting: Vec<&HostRow> = hosts.unwrap_or_default().iter().filter(|h| !h.state.is_over()).collect();
    let mut out = BTreeMap::new();
    for check in checks {
        let seen = match check {
            Check::Windows | Check::Silence if hosts.is_none() => {
                Seen::new(Truth::Unknown, None, "too many hosts to be looked at one by one here: assay-collector commitments status tells")
            }
            Check::Windows => planned(store, &counting, at).await?,
            Check::Silence => silence(&counting),
            Check::Roster => roster(store, at).await?,
            Check::Exports => exports(store, at).await?,
            Check::Ledger => ledger(store, at).await?,
            Check::Rules | Check::Records => continue,
        };
        out.insert(*check, seen);
    }
    Ok(out)
}

async fn planned(store: &Store, hosts: &[&HostRow], at: i64) -> Result<Seen, StoreError> {
    let from = at.saturating_sub(WINDOW_DAYS * DAY);
    let rows = store.reports(None, Some((from, at.saturating_add(1))), MAX_REPORTS).await?;
    if rows.len() >= MAX_REPORTS as usize {
        return Ok(Seen::new(Truth::Unknown, None, format!("more than {MAX_REPORTS} reports came in {WINDOW_DAYS} days: an export tells")));
    }
    let meta = |r: crate::collector::store::ReportRow| ReportMeta {
        digest: r.id,
        host: r.host,
        kind: r.kind,
        state: r.state,
        window: r.window,
        started: r.started,
        finished: r.finished,
        received: r.received,
        limits: Vec::new(),
    };
    let reports: Vec<ReportMeta> = rows.into_iter().filter(|r| r.received <= at).map(meta).collect();
    let member = |h: &&HostRow| Host {
        id: h.id,
        name: h.name.clone(),
        public_key: Vec::new(),
        salt: h.salt,
        os: String::new(),
        enrolled_at: h.enrolled_at,
        seen_at: None,
        retired_at: None,
        retired_why: String::new(),
        replaced_by: None,
        enrolment: None,
    };
    let members: Vec<Host> = hosts.iter().map(member).collect();
    let Ok(period) = Period::parse(&day_of(from).to_string(), &day_of(at).to_string()) else {
        return Ok(Seen::new(Truth::Unknown, None, "the day is beyond the calendar"));
    };
    // Those that began before what was looked at can't be told.
    let all = windows(&period, day_of(at), &members.iter().collect::<Vec<_>>(), &reports);
    let names: BTreeMap<_, &str> = hosts.iter().map(|h| (h.id, h.name.as_str())).collect();
    Ok(of_windows(all.iter().filter(|w| w.start >= from && w.end <= at && w.state != WindowState::Open), |id| names.get(id).map_or("", |n| n)))
}

/// What windows that ended say together: the last of each host and kind counts.
fn of_windows<'w>(ended: impl Iterator<Item = &'w Window>, name: impl Fn(&crate::model::ids::HostId) -> &'w str) -> Seen {
    let is_missed = |w: &Window| matches!(w.state, WindowState::NotRun | WindowState::Aborted);
    let (mut last, mut first, mut missed_until): (BTreeMap<_, &Window>, Option<i64>, Option<i64>) = (BTreeMap::new(), None, None);
    for window in ended {
        first = Some(first.map_or(window.end, |f: i64| f.min(window.end)));
        if is_missed(window) {
            missed_until = missed_until.max(Some(window.end));
        }
        let newest = last.entry((window.host, window.kind)).or_insert(window);
        if window.start > newest.start {
            *newest = window;
        }
    }
    let Some(first) = first else { return Seen::new(Truth::Unknown, None, "no planned scan has ended yet") };
    let missed: Vec<&&Window> = last.values().filter(|w| is_missed(w)).collect();
    if missed.is_empty() {
        return Seen::new(Truth::True, Some(missed_until.unwrap_or(first)), "each planned scan that ended last was made");
    }
    let place = |w: &&&Window| Place {
        verdict: Verdict::Fail,
        host: name(&w.host).into(),
        what: format!("{} scan", w.kind),
        subject: w.window.clone(),
        since: Some(w.end),
        id: Some(w.host),
    };
    let hosts: BTreeSet<_> = missed.iter().map(|w| w.host).collect();
    let since = missed.iter().map(|w| w.end).min();
    Seen {
        places: missed.iter().map(place).collect(),
        ..Seen::new(Truth::False, since, format!("{} missed the planned scan that ended last", hosts_of(hosts.len())))
    }
}

fn silence(hosts: &[&HostRow]) -> Seen {
    let silent: Vec<&&HostRow> = hosts.iter().filter(|h| h.state == HostState::Silent).collect();
    if hosts.is_empty() {
        return Seen::new(Truth::Unknown, None, "no host reports");
    }
    if silent.is_empty() {
        return Seen::new(Truth::True, None, "every host was heard of");
    }
    let place =
        |h: &&&HostRow| Place { verdict: Verdict::Fail, host: h.name.clone(), what: "silent".into(), subject: String::new(), since: h.seen_at, id: Some(h.id) };
    let since = silent.iter().filter_map(|h| h.seen_at).min();
    let verb = if silent.len() == 1 { "is" } else { "are" };
    Seen { places: silent.iter().map(place).collect(), ..Seen::new(Truth::False, since, format!("{} {verb} silent", hosts_of(silent.len()))) }
}

fn hosts_of(n: usize) -> String {
    if n == 1 { "1 host".into() } else { format!("{n} hosts") }
}

async fn roster(store: &Store, at: i64) -> Result<Seen, StoreError> {
    Ok(match store.list_at(Kind::Roster.id(), at).await? {
        Some(version) => Seen::new(Truth::True, Some(version.since), format!("a roster of {} people is in force", version.rows)),
        None => Seen::new(Truth::Unknown, None, "no roster was in force: who left is not known"),
    })
}

async fn exports(store: &Store, at: i64) -> Result<Seen, StoreError> {
    let mut newest: Option<ExportSaid> = None;
    for statement in store.statements(Kind::Export).await? {
        let Ok(said) = statement.read::<ExportSaid>() else { continue };
        if said.at <= at && newest.as_ref().is_none_or(|n| n.at < said.at) {
            newest = Some(said);
        }
    }
    Ok(match newest {
        Some(said) if said.at >= at.saturating_sub(EXPORT_DAYS * DAY) => {
            Seen::new(Truth::True, Some(said.at), format!("{} was exported for {} to {}", said.framework, said.from, said.to))
        }
        _ => Seen::new(Truth::NoRecord, None, format!("no export of evidence was made in {EXPORT_DAYS} days")),
    })
}

async fn ledger(store: &Store, at: i64) -> Result<Seen, StoreError> {
    let Some((size, _)) = store.checkpoint().await? else { return Ok(Seen::new(Truth::Unknown, None, "the ledger has no signed checkpoint yet")) };
    let oldest = store.pending_leaves(1).await?.first().and_then(|l| Leaf::parse(&l.bytes).ok()).map(|l| l.at);
    Ok(match oldest {
        Some(waits) if waits < at.saturating_sub(MAX_WAIT) => {
            Seen::new(Truth::Unknown, Some(waits), "an entry of the ledger has waited for its number for more than an hour")
        }
        _ => Seen::new(Truth::True, None, format!("{size} entries stand in the ledger under a signed checkpoint")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ids::HostId;

    fn window(host: u8, kind: &'static str, start: i64, state: WindowState) -> Window {
        Window { host: HostId::new([host; 32]), window: format!("w{start}"), kind, start, end: start + 10, state, report: None, finished: None }
    }

    #[test]
    fn the_last_planned_scan_of_each_host_and_kind_decides() {
        use WindowState::{Aborted, Done, Late, NotRun};
        let told = |all: &[Window]| of_windows(all.iter(), |_| "web01");
        assert_eq!(told(&[]).truth, Truth::Unknown);
        let mended = [window(1, "weekly", 0, NotRun), window(1, "weekly", 10, Done), window(2, "weekly", 10, Late), window(1, "monthly", 0, Done)];
        assert_eq!((told(&mended).truth, told(&mended).since), (Truth::True, Some(10)), "since the last one that was missed");
        let missed = [window(1, "weekly", 0, Done), window(1, "weekly", 10, Aborted), window(2, "weekly", 10, Done), window(2, "monthly", 0, NotRun)];
        let seen = told(&missed);
        assert_eq!((seen.truth, seen.since, seen.places.len()), (Truth::False, Some(10), 2));
        assert_eq!(seen.message, "2 hosts missed the planned scan that ended last");
    }
}
