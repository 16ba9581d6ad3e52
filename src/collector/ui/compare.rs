//! Two scans of one host side by side.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};

use super::error::PageError;
use super::frame::{Frame, Page, Visit, render};
use super::site::Site;
use super::text::{counted, encode, shown};
use super::when::When;
use crate::collector::compare::{self, Comparison, FactChange};
use crate::collector::store::{ReportRow, Store};
use crate::model::finding::Verdict;
use crate::model::ids::{Digest, HostId};
use crate::model::report::ScanKind;

/// Scans to choose from.
const MAX_CHOICES: u32 = 60;

#[derive(Template)]
#[template(path = "compare.html")]
struct ComparePage {
    frame: Frame,
    name: String,
    id: String,
    choices: Vec<Choice>,
    heading: String,
    shown: Option<Shown>,
}

struct Choice {
    id: String,
    text: String,
    is_first: bool,
    is_second: bool,
}

struct Shown {
    first: When,
    second: When,
    groups: Vec<Group>,
    same_verdicts: usize,
    families: Vec<(String, Vec<FactChange>)>,
    more_facts: usize,
    same_families: String,
    not_compared: Vec<(String, &'static str)>,
    is_partial: bool,
}

/// Verdicts that became the same.
struct Group {
    title: &'static str,
    class: &'static str,
    rows: Vec<Line>,
}

struct Line {
    path: String,
    title: String,
    subject: String,
    before: Option<Verdict>,
    after: Option<Verdict>,
}

/// The two scans that are asked for, the earlier one first; without a choice the two latest whole ones. `None`: there are not two.
pub async fn pair(store: &Store, host: &HostId, (a, b): (&str, &str), at: i64) -> Result<Option<(ReportRow, ReportRow)>, PageError> {
    let mut found = Vec::new();
    for id in [a, b].into_iter().filter(|id| !id.is_empty()) {
        let gone = || PageError::NotFound("That scan of this host".into());
        let id: Digest = id.parse().map_err(|_| gone())?;
        found.push(store.report(&id).await?.filter(|r| r.host == *host && r.received <= at).ok_or_else(gone)?);
    }
    if found.len() < 2 {
        let latest = store.reports(Some(host), Some((0, at.saturating_add(1))), MAX_CHOICES).await?;
        let (chosen, missing) = (found.first().map(|f| f.id), 2 - found.len());
        found.extend(latest.into_iter().filter(|r| r.received <= at && r.kind != ScanKind::Drift && Some(r.id) != chosen).take(missing));
    }
    found.sort_by_key(|r| (r.finished, r.received));
    let mut both = found.into_iter();
    Ok(both.next().zip(both.next()))
}

/// `GET /hosts/{host}/compare`
pub async fn page(State(site): State<Arc<Site>>, Path(host): Path<String>, visit: Visit) -> Page {
    let gone = || PageError::NotFound("That host".into());
    let id: HostId = host.parse().map_err(|_| gone())?;
    let row = site.store().host_at(&id, visit.as_of).await?.ok_or_else(gone)?;
    let pair = pair(site.store(), &id, (visit.parameter("a"), visit.parameter("b")), visit.at()).await?;
    let choices = site.store().reports(Some(&id), Some((0, visit.at() + 1)), MAX_CHOICES).await?;
    let choice = |r: &ReportRow| Choice {
        id: r.id.to_string(),
        text: format!("{} {}, {}", r.kind.word(), r.window.as_deref().map_or_else(|| format!("number {}", r.sequence), shown), visit.when(r.finished).exact),
        is_first: pair.as_ref().is_some_and(|(a, _)| a.id == r.id),
        is_second: pair.as_ref().is_some_and(|(_, b)| b.id == r.id),
    };
    let choices = choices.iter().filter(|r| r.received <= visit.at()).map(choice).collect();
    let (heading, told) = match &pair {
        None => ("There are not two scans to compare yet".to_string(), None),
        Some((a, b)) => {
            let found = compare::compare(site.store(), &id, a, b).await?;
            let heading = format!(
                "{} and {} differ",
                counted(found.verdicts.len(), "verdict", "verdicts"),
                counted(found.facts.len() + found.more_facts, "fact", "facts")
            );
            (heading, Some(told(&site, &visit, &id, (a, b), found)))
        }
    };
    render(&ComparePage {
        frame: visit.frame(&site, "hosts", format!("Compare {}", shown(&row.name))).await?,
        name: shown(&row.name),
        id: id.to_string(),
        choices,
        heading,
        shown: told,
    })
}

fn told(site: &Site, visit: &Visit, host: &HostId, (a, b): (&ReportRow, &ReportRow), found: Comparison) -> Shown {
    const GROUPS: [(&str, &str, Option<Verdict>); 4] = [
        ("Became false", "fail", Some(Verdict::Fail)),
        ("Can’t be told any more", "unknown", Some(Verdict::Unknown)),
        ("Became true", "pass", Some(Verdict::Pass)),
        ("Other", "not_applicable", None),
    ];
    let main = |v: Option<Verdict>| v.filter(|v| GROUPS.iter().any(|(_, _, g)| *g == Some(*v)));
    let groups = GROUPS.iter().map(|(title, class, verdict)| {
        let rows = found.verdicts.iter().filter(|c| main(c.after) == *verdict).map(|c| Line {
            path: format!(
                "/findings/{host}/{}{}",
                encode(&c.rule),
                if c.subject.is_empty() { String::new() } else { format!("?subject={}", encode(&c.subject)) }
            ),
            title: site.catalogue().title(&c.rule).to_string(),
            subject: shown(&c.subject),
            before: c.before,
            after: c.after,
        });
        Group { title, class, rows: rows.collect() }
    });
    let mut families: Vec<(String, Vec<FactChange>)> = Vec::new();
    for change in found.facts {
        match families.last_mut() {
            Some((family, own)) if *family == change.family => own.push(change),
            _ => families.push((change.family.clone(), vec![change])),
        }
    }
    Shown {
        first: visit.when(a.finished),
        second: visit.when(b.finished),
        groups: groups.filter(|g| !g.rows.is_empty()).collect(),
        same_verdicts: found.same_verdicts,
        families,
        more_facts: found.more_facts,
        same_families: found.same_families.join(", "),
        not_compared: found.not_compared,
        is_partial: found.is_partial,
    }
}
