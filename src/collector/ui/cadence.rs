//! The calendar of scans: weekly or monthly windows, host by host or grouped, and what became of each.

use std::collections::BTreeMap;
use std::sync::Arc;

use askama::Template;
use axum::extract::State;

use super::calendar::{self, Outcome, month_name};
use super::error::PageError;
use super::frame::{Frame, Page, Visit, render};
use super::hosts;
use super::paging::{self, Pager, ROWS};
use super::site::Site;
use super::text::{brief, counted, shown};
use super::when::{DAY, day, parse_day, utc, week, week_start};
use crate::collector::store::{HostFilter, HostRow, ScanRow, offset_of};
use crate::model::ids::HostId;
use crate::model::labels::FIELDS;

/// Windows drawn, the current one included.
const WINDOWS: usize = 16;
/// Windows drawn on a phone.
const NARROW: usize = 6;
/// Hosts that are grouped at most.
const MAX_GROUPED: u32 = 2_000;
/// Hosts whose scans are asked for at a time.
const CHUNK: usize = 500;
/// A window may be caught up this long after its end, and still be told as late, seconds.
const CATCH_UP: i64 = 35 * DAY;
/// Longest name of a group, characters.
const MAX_NAME: usize = 60;

#[derive(Template)]
#[template(path = "cadence.html")]
struct Cadence {
    frame: Frame,
    heading: String,
    note: String,
    is_monthly: bool,
    cadences: Vec<(String, String, bool)>,
    groupings: Vec<(String, String, bool)>,
    heads: Vec<Head>,
    rows: Vec<Row>,
    totals: Vec<Total>,
    pager: Pager,
    is_grouped: bool,
    has_filter: bool,
    filter_words: String,
}

struct Head {
    text: String,
    full: String,
    is_wide_only: bool,
}

/// A host or a group.
struct Row {
    name: String,
    path: String,
    cells: Vec<Cell>,
}

struct Cell {
    class: &'static str,
    mark: String,
    text: String,
    is_wide_only: bool,
}

/// All rows in one window.
struct Total {
    full: String,
    planned: usize,
    done: usize,
    late: usize,
    missed: usize,
    aborted: usize,
    open: usize,
}

/// One window: its beginning and the second after its end.
type Window = (i64, i64);

/// `GET /calendar`
pub async fn page(State(site): State<Arc<Site>>, visit: Visit) -> Page {
    let is_monthly = match visit.parameter("cadence") {
        "" | "weekly" => false,
        "monthly" => true,
        _ => return Err(PageError::Bad("cadence is none of weekly, monthly.".into())),
    };
    let by = visit.parameter("by");
    if !by.is_empty() && by != "state" && !FIELDS.contains(&by) {
        return Err(PageError::Bad(format!("Hosts can’t be grouped by that; by is none of state, {}.", FIELDS.join(", "))));
    }
    let page = paging::page_of(&visit)?;
    let filter = hosts::filter(&visit)?;
    let size = if by.is_empty() { ROWS + 1 } else { MAX_GROUPED + 1 };
    let asked = HostFilter { offset: if by.is_empty() { offset_of(page, ROWS) } else { 0 }, limit: size, ..filter.clone() };
    let mut rows = site.store().hosts_where(&asked).await?;
    let read = rows.len();
    rows.truncate(size as usize - 1);
    let windows = windows(visit.at(), is_monthly);
    let outcomes = outcomes(&site, &visit, &rows, &windows, is_monthly).await?;
    let drawn = if by.is_empty() {
        by_host(&rows, &outcomes, &windows, is_monthly)
    } else {
        grouped(&site, &visit, by, &rows, &outcomes, &windows, is_monthly).await?
    };
    let totals: Vec<Total> = windows.iter().enumerate().map(|(i, w)| total(&outcomes, i, *w, is_monthly)).collect();
    let last = totals.len().checked_sub(2).and_then(|i| totals.get(i));
    let what = if is_monthly { "monthly" } else { "weekly" };
    let heading = match (last, rows.len()) {
        (_, 0) => "No host to plan scans for".to_string(),
        (Some(t), _) if t.missed > 0 => format!("{} missed the last whole {what} window", counted(t.missed, "host", "hosts")),
        (Some(t), _) if t.planned == 0 => format!("No {what} scan was planned in the last whole window"),
        _ => format!("Nobody missed the last whole {what} window"),
    };
    let note = match (by.is_empty(), read > rows.len()) {
        (false, true) => format!("The first {MAX_GROUPED} hosts by name are counted; choose a label to see all of a group."),
        (true, true) => format!("Figures are of the {} hosts of this page.", rows.len()),
        _ => String::new(),
    };
    let words: Vec<String> = filter.labels.iter().map(|(field, value)| format!("{field} {value}")).chain(filter.state.map(|s| s.word().to_string())).collect();
    let title = |name: &str| if name.is_empty() { "host by host".to_string() } else { format!("by {name}") };
    let groupings = std::iter::once("").chain(["state"]).chain(FIELDS.into_iter().filter(|f| *f != "purpose"));
    render(&Cadence {
        heading,
        note,
        is_monthly,
        cadences: [("", "weekly"), ("monthly", "monthly")]
            .map(|(value, text)| (text.to_string(), paging::address(&visit, &[("cadence", value)]), (value == "monthly") == is_monthly))
            .to_vec(),
        groupings: groupings.map(|name| (title(name), paging::address(&visit, &[("by", name)]), name == by)).collect(),
        heads: windows.iter().enumerate().map(|(i, w)| head(i, *w, is_monthly)).collect(),
        rows: drawn,
        totals,
        pager: Pager::new(&visit, page, if by.is_empty() { read } else { 0 }, None, "hosts"),
        is_grouped: !by.is_empty(),
        has_filter: !words.is_empty() || !filter.text.is_empty() || !filter.system.is_empty(),
        filter_words: brief(&words.join(", "), MAX_NAME * 2),
        frame: visit.frame(&site, "hosts", "Scan calendar").await?,
    })
}

/// The latest windows, oldest first.
fn windows(at: i64, is_monthly: bool) -> Vec<Window> {
    let mut out: Vec<Window> = Vec::with_capacity(WINDOWS);
    if is_monthly {
        let mut end = None;
        let mut start = month_start(at);
        for _ in 0..WINDOWS {
            // The first second of the next month: 32 days on it is another one.
            out.push((start, end.unwrap_or_else(|| month_start(start + 32 * DAY))));
            end = Some(start);
            start = month_start(start - DAY);
        }
    } else {
        out.extend((0..WINDOWS as i64).map(|i| week_start(at) - i * 7 * DAY).map(|start| (start, start + 7 * DAY)));
    }
    out.reverse();
    out
}

fn month_start(at: i64) -> i64 {
    parse_day(&utc(at).strftime("%Y-%m-01").to_string()).unwrap_or(at)
}

/// Of each host what became of each window.
async fn outcomes(site: &Site, visit: &Visit, hosts: &[HostRow], windows: &[Window], is_monthly: bool) -> Result<Vec<Vec<Outcome>>, PageError> {
    let at = visit.at();
    let from = windows.first().map_or(at, |(start, _)| *start);
    let mut out = Vec::with_capacity(hosts.len());
    for some in hosts.chunks(CHUNK) {
        let ids: Vec<HostId> = some.iter().map(|h| h.id).collect();
        let mut own: BTreeMap<HostId, Vec<ScanRow>> = BTreeMap::new();
        for scan in site.store().scans(&ids, from, at.saturating_add(1), at).await? {
            own.entry(scan.host).or_default().push(scan);
        }
        for host in some {
            let scans: Vec<&ScanRow> = own.get(&host.id).into_iter().flatten().collect();
            // Only what may fulfil a window is looked at for it; a host's own week may begin a day before ours.
            let of = |(start, end): Window| {
                let near: Vec<&ScanRow> = scans.iter().copied().filter(|s| s.finished >= start - DAY && s.finished < end + CATCH_UP).collect();
                if is_monthly { calendar::month_outcome(host, &near, (start, end), at) } else { calendar::outcome(host, &near, start, at) }
            };
            out.push(windows.iter().map(|w| of(*w)).collect());
        }
    }
    Ok(out)
}

fn name_of((start, _): Window, is_monthly: bool) -> String {
    if is_monthly { month_name(start) } else { format!("W{:02}", week(start).1) }
}

fn head(i: usize, window: Window, is_monthly: bool) -> Head {
    let is_labelled = (WINDOWS - 1 - i).is_multiple_of(if is_monthly { 3 } else { 2 });
    Head {
        text: if is_labelled { name_of(window, is_monthly) } else { String::new() },
        full: format!("{}, from {}", name_of(window, is_monthly), day(window.0)),
        is_wide_only: i + NARROW < WINDOWS,
    }
}

fn by_host(hosts: &[HostRow], outcomes: &[Vec<Outcome>], windows: &[Window], is_monthly: bool) -> Vec<Row> {
    let row = |(host, own): (&HostRow, &Vec<Outcome>)| {
        let cell = |(i, (outcome, window)): (usize, (&Outcome, &Window))| Cell {
            class: outcome.class(),
            mark: outcome.mark().into(),
            text: format!("{}, {}: {}", brief(&host.name, MAX_NAME), name_of(*window, is_monthly), outcome.word()),
            is_wide_only: i + NARROW < WINDOWS,
        };
        Row { name: shown(&host.name), path: format!("/hosts/{}", host.id), cells: own.iter().zip(windows).enumerate().map(cell).collect() }
    };
    hosts.iter().zip(outcomes).map(row).collect()
}

/// Hosts of one group together; the page of a group is this one with the group as its filter.
async fn grouped(
    site: &Site,
    visit: &Visit,
    by: &str,
    hosts: &[HostRow],
    outcomes: &[Vec<Outcome>],
    windows: &[Window],
    is_monthly: bool,
) -> Result<Vec<Row>, PageError> {
    let mut groups: BTreeMap<String, Vec<&Vec<Outcome>>> = BTreeMap::new();
    for (some, own) in hosts.chunks(CHUNK).zip(outcomes.chunks(CHUNK)) {
        let names: Vec<&str> = some.iter().map(|h| h.name.as_str()).collect();
        let labels = if by == "state" { BTreeMap::new() } else { site.store().labels_of(&names, visit.as_of).await? };
        for (host, own) in some.iter().zip(own) {
            let said = labels.get(&host.name.to_ascii_lowercase());
            let mut values: Vec<String> = if by == "state" {
                vec![host.state.word().into()]
            } else {
                said.map(|s| s.values().filter(|(f, _)| *f == by).map(|(_, v)| v.to_string()).collect()).unwrap_or_default()
            };
            if values.is_empty() {
                values.push(String::new());
            }
            for value in values {
                groups.entry(value).or_default().push(own);
            }
        }
    }
    let row = |(value, own): (String, Vec<&Vec<Outcome>>)| {
        let cells = windows.iter().enumerate().map(|(i, window)| group_cell(&own, i, *window, is_monthly)).collect();
        let name = if value.is_empty() { format!("{by} not said") } else { brief(&value, MAX_NAME) };
        let path = if value.is_empty() { paging::address(visit, &[("by", "")]) } else { paging::address(visit, &[("by", ""), (by, &value)]) };
        Row { name: format!("{name} ({})", own.len()), path, cells }
    };
    Ok(groups.into_iter().map(row).collect())
}

fn group_cell(own: &[&Vec<Outcome>], i: usize, window: Window, is_monthly: bool) -> Cell {
    let all: Vec<Outcome> = own.iter().filter_map(|o| o.get(i)).copied().collect();
    let n = |outcome: Outcome| all.iter().filter(|o| **o == outcome).count();
    let (missed, aborted, late, done) = (n(Outcome::Missed), n(Outcome::Partial), n(Outcome::Late), n(Outcome::Done));
    let planned = all.len() - n(Outcome::NotEnrolled) - n(Outcome::Over);
    let open = planned - missed - aborted - late - done;
    // The worst is drawn, with how many of it.
    let (class, mark) = match (missed, aborted, late, open) {
        _ if planned == 0 => (Outcome::NotEnrolled.class(), String::new()),
        (1.., ..) => (Outcome::Missed.class(), missed.to_string()),
        (_, 1.., ..) => (Outcome::Partial.class(), aborted.to_string()),
        (_, _, 1.., _) => (Outcome::Late.class(), late.to_string()),
        (_, _, _, 1..) => (Outcome::Due.class(), String::new()),
        _ => (Outcome::Done.class(), String::new()),
    };
    let text = format!("{}: planned {planned}, done {done}, late {late}, aborted {aborted}, missed {missed}, open {open}", name_of(window, is_monthly));
    Cell { class, mark, text, is_wide_only: i + NARROW < WINDOWS }
}

fn total(outcomes: &[Vec<Outcome>], i: usize, window: Window, is_monthly: bool) -> Total {
    let n = |outcome: Outcome| outcomes.iter().filter(|o| o.get(i) == Some(&outcome)).count();
    let (done, late, missed, aborted) = (n(Outcome::Done), n(Outcome::Late), n(Outcome::Missed), n(Outcome::Partial));
    let open = n(Outcome::Due) + n(Outcome::Other);
    let full = format!("{} from {}", name_of(window, is_monthly), day(window.0));
    Total { full, planned: done + late + missed + aborted + open, done, late, missed, aborted, open }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_follow_each_other_over_the_new_year() {
        let windows = windows(parse_day("2027-01-31").unwrap() + 5, true);
        let names: Vec<String> = windows.iter().rev().take(3).map(|w| name_of(*w, true)).collect();
        assert_eq!(names, ["2027-01", "2026-12", "2026-11"]);
        assert!(windows.windows(2).all(|w| w[0].1 == w[1].0));
        assert_eq!(super::windows(parse_day("2027-01-31").unwrap(), false).len(), WINDOWS);
    }
}
