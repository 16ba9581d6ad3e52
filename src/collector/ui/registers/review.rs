//! A review of privileged access: begun, decided item by item, closed.

use std::collections::BTreeMap;

use axum::response::{IntoResponse, Redirect, Response};

use super::super::error::PageError;
use super::super::frame::Visit;
use super::super::site::Site;
use super::super::text::shown;
use super::super::when::When;
use super::form::done;
use super::kind::with;
use super::sent::Sent;
use super::{Desk, entry, kind, refusal};
use crate::collector::records::{self as desk_of, Order};
use crate::records::review::{Decided, Item, decisions};
use crate::records::types::ACCESS_REVIEWS;
use crate::records::value::day_of;
use crate::records::{Action, Entry, RecordType};

/// Items of a page.
const ROWS: usize = 100;

/// The list of a review as a page shows it.
pub(super) struct Items {
    pub(super) total: usize,
    pub(super) decided: usize,
    pub(super) kept: usize,
    pub(super) revoked: usize,
    pub(super) rows: Vec<Line>,
    /// Filters: address, words, whether it is the one shown.
    pub(super) views: Vec<(String, String, bool)>,
    pub(super) shown: String,
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) matching: usize,
    pub(super) earlier: Option<String>,
    pub(super) later: Option<String>,
    pub(super) q: String,
    pub(super) view: String,
    /// Why the list can't be shown; empty: it is.
    pub(super) problem: String,
}

/// One item.
pub(super) struct Line {
    pub(super) number: u32,
    pub(super) host: String,
    pub(super) who: String,
    pub(super) access: String,
    pub(super) detail: String,
    pub(super) approved: String,
    pub(super) decision: Option<(String, String, String, When)>,
}

/// Takes the list from the facts and begins a review over it.
pub(super) async fn begin(site: &Site, visit: &Visit, scope: &str) -> Result<Response, PageError> {
    if scope.trim().is_empty() {
        return kind::refused(site, visit, ACCESS_REVIEWS, "Say which hosts are reviewed, such as “all”.", "").await;
    }
    let taken = desk_of::privileges(site.store()).await?;
    match desk_of::start_review(site.store(), scope.trim(), &taken, &visit.session.user.name).await {
        Ok(made) => {
            site.app.sequencer.wake();
            Ok(Redirect::to(&format!("/registers/{ACCESS_REVIEWS}/{}", made.event.entry)).into_response())
        }
        Err(e) => kind::refused(site, visit, ACCESS_REVIEWS, &refusal(e)?, "").await,
    }
}

/// Keeps or revokes the items that were chosen.
pub(super) async fn decide(site: &Site, visit: &Visit, kind: &RecordType, found: &Entry, sent: &Sent) -> Result<Response, PageError> {
    let numbers: Vec<u32> = if sent.value("all").is_empty() {
        sent.all("item").iter().filter_map(|n| n.parse().ok()).collect()
    } else {
        crate::records::review::numbers(sent.value("shown"), crate::records::review::MAX_ITEMS).unwrap_or_default()
    };
    if numbers.is_empty() {
        return entry::refused(site, visit, &kind.id, &found.id.to_string(), "No item was chosen, so nothing was decided.", "").await;
    }
    let values = [("decided", ranges(&numbers)), ("decision", sent.value("decision").to_string()), ("reason", sent.value("reason").trim().to_string())];
    // An empty reason takes the one of the last decision away.
    let fields = values.map(|(name, value)| (name.to_string(), value)).into();
    let order = Order { entry: Some(found.id), fields, by: visit.session.user.name.clone(), ..Order::default() };
    match done(site, kind, Action::Change, order).await? {
        Ok(_) => {
            let query: Vec<String> = [("view", sent.value("view")), ("q", sent.value("q"))]
                .into_iter()
                .filter(|(_, v)| !v.is_empty())
                .map(|(n, v)| format!("{n}={}", super::super::text::encode(v)))
                .collect();
            let query = if query.is_empty() { String::new() } else { format!("?{}", query.join("&")) };
            Ok(Redirect::to(&format!("/registers/{}/{}{query}#items", kind.id, found.id)).into_response())
        }
        Err(why) => entry::refused(site, visit, &kind.id, &found.id.to_string(), &why, "").await,
    }
}

/// Ends a review: every item has its decision.
pub(super) async fn close(site: &Site, visit: &Visit, kind: &RecordType, found: &Entry, mut note: BTreeMap<String, String>) -> Result<Response, PageError> {
    if found.value("finished_on").is_empty() {
        note.insert("finished_on".into(), day_of(visit.now).to_string());
    }
    let order = Order { entry: Some(found.id), fields: note, by: visit.session.user.name.clone(), ..Order::default() };
    match done(site, kind, Action::Close, order).await? {
        Ok(_) => Ok(Redirect::to(&format!("/registers/{}/{}", kind.id, found.id)).into_response()),
        Err(why) => entry::refused(site, visit, &kind.id, &found.id.to_string(), &why, "").await,
    }
}

/// The items that a visit asks for.
pub(super) async fn items(site: &Site, visit: &Visit, desk: &Desk, review: &Entry) -> Result<Items, PageError> {
    let (list, problem) = match desk_of::review_list(site.store(), review).await {
        Ok(list) => (list, String::new()),
        Err(crate::collector::store::StoreError::Damaged(why)) => (Vec::new(), super::capital(&why)),
        Err(e) => return Err(e.into()),
    };
    let decided = decisions(&desk.book.events, review.id, desk.at);
    let of = |n: &u32| decided.get(n).map(|d| d.decision.as_str());
    let count = |word: &str| decided.values().filter(|d| d.decision == word).count();
    let (kept, revoked) = (count("keep"), count("revoke"));
    let view = visit.parameter("view").to_string();
    let words: Vec<String> = visit.parameter("q").to_lowercase().split_whitespace().map(String::from).collect();
    let is_meant = |(number, item): &(u32, &Item)| {
        let fits = match view.as_str() {
            "keep" | "revoke" => of(number) == Some(view.as_str()),
            "undecided" => of(number).is_none(),
            _ => true,
        };
        let text = format!("{} {} {} {} {}", item.host, item.who, item.access, item.detail, item.approved).to_lowercase();
        fits && words.iter().all(|w| text.contains(w))
    };
    let matching: Vec<(u32, &Item)> = (1..).zip(&list).filter(is_meant).collect();
    let number: usize = visit.parameter("page").parse().unwrap_or(1).clamp(1, matching.len().div_ceil(ROWS).max(1));
    let from = (number - 1) * ROWS;
    let shown_items: Vec<&(u32, &Item)> = matching.iter().skip(from).take(ROWS).collect();
    let rows: Vec<Line> = shown_items.iter().map(|(n, item)| line(visit, *n, item, decided.get(n))).collect();
    let undecided = list.len().saturating_sub(decided.len());
    let views = [
        ("", format!("all {}", list.len())),
        ("undecided", format!("undecided {undecided}")),
        ("keep", format!("keep {kept}")),
        ("revoke", format!("revoke {revoked}")),
    ];
    let page = |n: usize| with(visit, "page", &n.to_string());
    Ok(Items {
        total: list.len(),
        decided: decided.len(),
        kept,
        revoked,
        shown: ranges(&shown_items.iter().map(|(n, _)| *n).collect::<Vec<_>>()),
        from: if matching.is_empty() { 0 } else { from + 1 },
        to: from + rows.len(),
        matching: matching.len(),
        earlier: (number > 1).then(|| page(number - 1)),
        later: (from + rows.len() < matching.len()).then(|| page(number + 1)),
        rows,
        views: views.into_iter().map(|(id, words)| (with(visit, "view", id), words, view == id)).collect(),
        q: visit.parameter("q").into(),
        view,
        problem,
    })
}

fn line(visit: &Visit, number: u32, item: &Item, decided: Option<&Decided>) -> Line {
    Line {
        number,
        host: shown(&item.host),
        who: shown(&item.who),
        access: shown(&item.access),
        detail: super::super::text::brief(&item.detail, 300),
        approved: item.approved.clone(),
        decision: decided.map(|d| (d.decision.clone(), shown(&d.reason), shown(&d.by), visit.when(d.at))),
    }
}

/// Numbers as the record keeps them: `1-3, 7`.
fn ranges(numbers: &[u32]) -> String {
    let mut sorted = numbers.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    let mut out: Vec<(u32, u32)> = Vec::new();
    for n in sorted {
        match out.last_mut() {
            Some((_, to)) if to.checked_add(1) == Some(n) => *to = n,
            _ => out.push((n, n)),
        }
    }
    out.into_iter().map(|(a, b)| if a == b { a.to_string() } else { format!("{a}-{b}") }).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_kept_as_ranges_that_read_back() {
        assert_eq!(ranges(&[7, 1, 3, 2, 2]), "1-3, 7");
        assert_eq!(ranges(&[]), "");
        assert_eq!(crate::records::review::numbers(&ranges(&[7, 1, 3, 2]), 9), Ok(vec![1, 2, 3, 7]));
    }
}
