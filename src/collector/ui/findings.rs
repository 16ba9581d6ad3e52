//! The list of findings: by root cause or one by one, with its facets, saved views and what is done with those that are ticked.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use askama::Template;
use axum::extract::State;

use super::error::PageError;
use super::frame::{Frame, Page, Visit, render};
use super::site::Site;
use super::tally::finding_address;
use super::text::{counted, encode, grouped, shown};
use super::when::When;
use crate::collector::findings::asked::{self, AGES, AskedError, NOBODY, OPEN_ONLY, place};
use crate::collector::findings::source::{self, Counted, MOST, PAGE, area_of};
use crate::collector::findings::{Asked, Laid, Shown, Source, View};
use crate::collector::store::{FacetCount, FindingRow, Group, HostFilter, OpenFinding};
use crate::model::finding::{Severity, Verdict};
use crate::model::ids::HostId;

/// Hosts that a search lists.
const MAX_HOSTS: usize = 20;
/// Hosts with the first word that are looked at for the others.
const MAX_LOOKED_AT: u32 = 500;
/// People that are offered as owners.
const MAX_PEOPLE: usize = 200;
/// Parameters that a change of the filter lets go of: they belong to one page.
const PLACES: [&str; 3] = ["after", "page", "done"];

#[derive(Template)]
#[template(path = "findings.html")]
struct Findings {
    frame: Frame,
    heading: String,
    sub: String,
    done: String,
    verdicts: Vec<Chip>,
    views: Vec<Chip>,
    saved: Vec<Saved>,
    facets: Vec<Facet>,
    kept: Vec<(String, String)>,
    narrowed: Vec<(String, String)>,
    rows: Vec<Row>,
    groups: Vec<Cause>,
    hosts: Vec<(String, String)>,
    first: Option<String>,
    next: Option<String>,
    query: String,
    is_empty: bool,
    is_narrowed: bool,
    is_open: bool,
    may_record: bool,
    may_export: bool,
    total: String,
    people: Vec<String>,
}

/// One way to look at the list.
struct Chip {
    text: String,
    path: String,
    is_on: bool,
}

/// A saved view.
struct Saved {
    id: String,
    name: String,
    path: String,
    is_own: bool,
    is_shared: bool,
    is_on: bool,
}

/// One facet.
struct Facet {
    name: &'static str,
    label: &'static str,
    choices: Vec<Choice>,
}

/// One entry of a facet.
struct Choice {
    value: String,
    text: String,
    is_on: bool,
}

/// One finding.
struct Row {
    pick: String,
    path: String,
    waive: String,
    title: String,
    subject: String,
    host: String,
    host_path: String,
    verdict: Verdict,
    severity: Severity,
    what: String,
    since: When,
    owner: String,
    due: Option<When>,
    is_overdue: bool,
}

/// One root cause.
struct Cause {
    id: String,
    path: String,
    waive: String,
    title: String,
    verdict: Verdict,
    severity: Severity,
    what: String,
    hosts: String,
    findings: String,
    waived: u64,
    oldest: When,
    owner: Option<String>,
    due: Option<When>,
    overdue: u64,
}

const VERDICTS: [(&str, &str); 8] = [
    ("", "open"),
    ("fail", "fail"),
    ("unknown", "unknown"),
    ("waived", "waived"),
    ("pass", "pass"),
    ("not_applicable", "not applicable"),
    ("not_run", "not run"),
    ("all", "all"),
];

impl From<AskedError> for PageError {
    fn from(e: AskedError) -> Self {
        match e {
            AskedError::Bad(text) => Self::Bad(text),
            AskedError::Store(e) => e.into(),
        }
    }
}

/// `GET /findings`
pub async fn page(State(site): State<Arc<Site>>, visit: Visit) -> Page {
    let asked = asked(&site, &visit).await?;
    let mut page = Findings {
        frame: visit.frame(&site, "findings", "Findings").await?,
        heading: String::new(),
        sub: String::new(),
        done: done(&visit),
        verdicts: VERDICTS.map(|(id, text)| verdict_chip(&visit, id, text)).into(),
        views: Vec::new(),
        saved: saved(&site, &visit).await?,
        facets: Vec::new(),
        kept: Vec::new(),
        narrowed: Vec::new(),
        rows: Vec::new(),
        groups: Vec::new(),
        hosts: Vec::new(),
        first: None,
        next: None,
        query: query_of(&visit),
        is_empty: false,
        is_narrowed: asked.is_narrowed,
        is_open: asked.shown == Shown::Open && visit.as_of.is_none(),
        may_record: visit.session.role.may_record(),
        may_export: visit.session.role.may_export(),
        total: String::new(),
        people: Vec::new(),
    };
    match asked.shown {
        Shown::Open => open(&site, &visit, &asked, &mut page).await?,
        Shown::Any(verdict) => closed(&site, &visit, &asked, verdict, &mut page).await?,
        Shown::NotRun => not_run(&site, &visit, &mut page).await?,
    }
    page.is_empty = page.rows.is_empty() && page.groups.is_empty();
    page.first = (asked.after.is_some() || asked.page > 1).then(|| with(&visit, "after", ""));
    if !asked.search.is_empty() {
        page.hosts = matching_hosts(&site, &visit, &asked).await?;
        page.heading = format!("{} with “{}”", page.heading, shown(&asked.search));
    }
    if page.is_open && page.may_record && !page.is_empty {
        page.people = people(&site).await?;
    }
    if page.facets.is_empty() && asked.shown != Shown::NotRun {
        page.facets = facets(&site, &visit, &[]);
    }
    if !page.facets.is_empty() {
        page.facets.extend(labels(&site, &visit).await?);
    }
    let in_facets: BTreeSet<&str> = page.facets.iter().map(|f| f.name).collect();
    page.kept = visit.query.iter().filter(|(n, v)| !v.is_empty() && !in_facets.contains(n.as_str()) && !PLACES.contains(&n.as_str())).cloned().collect();
    render(&page)
}

/// Hosts whose names hold every word that is searched for.
async fn matching_hosts(site: &Site, visit: &Visit, asked: &Asked) -> Result<Vec<(String, String)>, PageError> {
    let words: Vec<&str> = asked.filter.words.iter().map(|w| w.text.as_str()).collect();
    let first = words.first().map_or_else(String::new, |word| (*word).to_string());
    let filter = HostFilter { as_of: visit.as_of, text: first, limit: MAX_LOOKED_AT, ..HostFilter::default() };
    let hosts = site.store().hosts_where(&filter).await?;
    let is_match = |name: &str| words.iter().all(|w| name.to_lowercase().contains(w));
    Ok(hosts.iter().filter(|h| is_match(&h.name)).take(MAX_HOSTS).map(|h| (shown(&h.name), format!("/hosts/{}", h.id))).collect())
}

/// What the address asks for.
pub(super) async fn asked(site: &Site, visit: &Visit) -> Result<Asked, PageError> {
    Ok(Asked::read(site.store(), &site.catalogue(), &visit.query, visit.at(), visit.as_of.is_some()).await?)
}

/// Open findings: by root cause, or one by one.
async fn open(site: &Site, visit: &Visit, asked: &Asked, page: &mut Findings) -> Result<(), PageError> {
    let source = Source::open(site.store(), &site.catalogue(), &asked.filter, visit.as_of).await?;
    let counts = source.counted(&asked.filter).await?;
    let is_grouped = match asked.view {
        View::Groups => true,
        View::List => false,
        View::Fitting => asked.filter.cause.is_none() && counts.total > u64::from(PAGE),
    };
    page.views = [("groups", "by root cause", is_grouped), ("list", "one by one", !is_grouped)]
        .map(|(id, text, is_on)| Chip { text: text.into(), path: with(visit, "view", id), is_on })
        .into();
    page.facets = facets(site, visit, &counts.counts);
    page.narrowed = narrowed(site, visit).await?;
    page.total = total(&counts);
    page.sub = match (&source, counts.is_cut) {
        (Source::Now(_), true) => format!(
            "Root causes and figures are those of the first {} findings, the worst first; narrow the list to see all of some.",
            grouped(u64::from(MOST))
        ),
        (Source::Past(..), true) => {
            format!(
                "That day had more findings than are looked at ({}): the worst are here. Narrow the list by rule or severity.",
                grouped(u64::from(source::MOST_PAST))
            )
        }
        _ => "Failures first, by severity; then what can’t be told.".into(),
    };
    if is_grouped {
        let (groups, is_more) = source.groups(&asked.filter, asked.page).await?;
        page.heading = format!("{} behind {}", counted_causes(groups.len(), is_more, asked.page), noun(visit.parameter("verdict"), &counts));
        page.groups = groups.iter().map(|g| cause(site, visit, g)).collect();
        page.next = is_more.then(|| with(visit, "page", &(asked.page + 1).to_string()));
        return Ok(());
    }
    let listing = source.page(&asked.filter, asked.after.as_ref()).await?;
    page.heading = noun(visit.parameter("verdict"), &counts);
    page.rows = listing.rows.iter().map(|r| row(site, visit, r)).collect();
    page.next = listing.next.as_ref().map(|at| with(visit, "after", &place(at)));
    Ok(())
}

/// Findings of whatever verdict, or of one that is not open: by host.
async fn closed(site: &Site, visit: &Visit, asked: &Asked, verdict: Option<Verdict>, page: &mut Findings) -> Result<(), PageError> {
    let rows = site.store().every_finding(&asked.filter, verdict, visit.as_of, asked.after.as_ref(), PAGE + 1).await?;
    let laid = Laid::read(site.store(), visit.at(), rows.iter().map(|row| row.host)).await?;
    let next = rows.get(PAGE as usize - 1).filter(|_| rows.len() > PAGE as usize).map(|row: &FindingRow| laid.finding(row).cursor());
    page.rows = rows.iter().take(PAGE as usize).map(|found| row(site, visit, &laid.finding(found))).collect();
    page.heading = match verdict {
        None => "Findings of every verdict".into(),
        Some(verdict) => format!("Findings: {}", verdict.word()),
    };
    page.sub = "By host, then rule; not counted, for there are as many as hosts times rules.".into();
    page.next = next.map(|at| with(visit, "after", &place(&at)));
    page.narrowed = narrowed(site, visit).await?;
    Ok(())
}

/// Hosts that were never judged.
async fn not_run(site: &Site, visit: &Visit, page: &mut Findings) -> Result<(), PageError> {
    let unjudged = site.store().hosts_unjudged(visit.at(), PAGE + 1).await?;
    let (n, more) = (unjudged.len().min(PAGE as usize), unjudged.len() > PAGE as usize);
    page.heading = if n == 0 {
        "Every host was judged".into()
    } else {
        format!("{}{} never judged", if more { "more than " } else { "" }, counted(n, "host was", "hosts were"))
    };
    page.sub = "No rule says anything about a host before its first whole scan arrives. Windows that were missed stand in the calendar of the overview.".into();
    page.rows = unjudged
        .into_iter()
        .take(PAGE as usize)
        .map(|(id, name, since)| Row {
            pick: String::new(),
            path: format!("/hosts/{id}"),
            waive: String::new(),
            title: "No rule was judged".into(),
            subject: String::new(),
            host: shown(&name),
            host_path: format!("/hosts/{id}"),
            verdict: Verdict::NotRun,
            severity: Severity::Info,
            what: "no whole scan has arrived since it was enrolled".into(),
            since: visit.when(since),
            owner: String::new(),
            due: None,
            is_overdue: false,
        })
        .collect();
    Ok(())
}

fn row(site: &Site, visit: &Visit, found: &OpenFinding) -> Row {
    let about = format!("rule={}&host={}&subject={}", encode(&found.rule), encode(&found.name), encode(&found.subject));
    Row {
        pick: format!("{}:{}:{}", found.host, encode(&found.rule), encode(&found.subject)),
        path: finding_address(&found.host, &found.rule, &found.subject),
        waive: format!("/waivers/new?{about}"),
        title: site.catalogue().title(&found.rule).to_string(),
        subject: shown(&found.subject),
        host: shown(&found.name),
        host_path: format!("/hosts/{}", found.host),
        verdict: found.verdict,
        severity: found.severity,
        what: if found.verdict == Verdict::Pass { String::new() } else { shown(&found.message) },
        since: visit.when(found.since),
        owner: shown(&found.owner),
        due: found.due.map(|due| visit.when(due - 1)),
        is_overdue: source::is_overdue(found, visit.at()),
    }
}

fn cause(site: &Site, visit: &Visit, group: &Group) -> Cause {
    let id = asked::cause_text(&group.cause);
    Cause {
        path: format!("{}&view=list", with(visit, "cause", &id).replace("&view=groups", "").replace("?view=groups&", "?")),
        waive: format!("/waivers/new?rule={}", encode(&group.rule)),
        id,
        title: site.catalogue().title(&group.rule).to_string(),
        verdict: group.verdict,
        severity: group.severity,
        what: shown(&group.message),
        hosts: grouped(group.hosts),
        findings: grouped(group.findings),
        waived: if group.verdict == Verdict::Waived { 0 } else { group.waived },
        oldest: visit.when(group.oldest),
        owner: group.owner.as_deref().map(shown),
        due: group.due.map(|due| visit.when(due - 1)),
        overdue: group.overdue,
    }
}

fn total(counts: &Counted) -> String {
    format!("{}{}", if counts.is_cut { "more than " } else { "" }, grouped(counts.total))
}

fn noun(verdict: &str, counts: &Counted) -> String {
    let noun = if counts.total == 1 { "finding" } else { "findings" };
    match verdict {
        "" => format!("{} open {noun}", total(counts)),
        other => format!("{} {noun}: {}", total(counts), other.replace('_', " ")),
    }
}

fn counted_causes(n: usize, is_more: bool, page: u32) -> String {
    let n = n + (page as usize - 1) * PAGE as usize;
    format!("{}{}", if is_more { "More than " } else { "" }, counted(n, "root cause", "root causes"))
}

/// What was done a moment ago, as the address says it.
fn done(visit: &Visit) -> String {
    let n: Option<u64> = visit.parameter("done").parse().ok();
    n.map_or_else(String::new, |n| format!("{} changed.", counted(usize::try_from(n).unwrap_or(usize::MAX), "finding is", "findings are")))
}

/// Facets with the choices there are; counts are those of the list as it is narrowed now.
fn facets(site: &Site, visit: &Visit, tallies: &[FacetCount]) -> Vec<Facet> {
    let sum = |is: &dyn Fn(&FacetCount) -> bool| tallies.iter().filter(|t| is(t)).map(|t| t.findings).sum::<u64>();
    let told = |text: &str, n: u64| if n > 0 { format!("{text} · {}", grouped(n)) } else { text.to_string() };
    let catalogue = site.catalogue();
    let mut areas: BTreeSet<&str> = catalogue.rules.keys().map(|r| area_of(r)).collect();
    areas.extend(tallies.iter().map(|t| area_of(&t.rule)));
    let mut rules: BTreeMap<&str, &str> = catalogue.rules.values().map(|r| (r.id.as_str(), r.title.as_str())).collect();
    rules.extend(tallies.iter().map(|t| (t.rule.as_str(), catalogue.title(&t.rule))));
    let chosen = visit.parameter("area");
    rules.retain(|rule, _| chosen.is_empty() || area_of(rule) == chosen);
    let mut owners: BTreeSet<&str> = tallies.iter().map(|t| t.owner.as_str()).filter(|o| !o.is_empty()).collect();
    owners.extend(Some(visit.parameter("owner")).filter(|o| !o.is_empty() && *o != NOBODY));
    let facet = |name: &'static str, label: &'static str, choices: Vec<(String, String)>| Facet {
        name,
        label,
        choices: choices.into_iter().map(|(value, text)| Choice { is_on: visit.parameter(name) == value, value, text: shown(&text) }).collect(),
    };
    let own = |text: &str| text.to_string();
    let nobody = (own(NOBODY), told("nobody", sum(&|t| t.owner.is_empty())));
    let owners = owners.iter().map(|o| (own(o), told(o, sum(&|t| t.owner == **o))));
    let open_only = [
        facet("owner", "Owner", std::iter::once(nobody).chain(owners).collect()),
        facet("age", "Age", AGES.iter().map(|(id, text, ..)| (own(id), own(text))).collect()),
        facet("due", "Due", vec![(own("overdue"), told("overdue", sum(&|t| t.overdue)))]),
        facet("baseline", "Baseline", vec![(own("new"), own("new since")), (own("known"), own("known"))]),
    ];
    let of_all = [
        facet("severity", "Severity", Severity::ALL.iter().map(|s| (own(s.word()), told(s.word(), sum(&|t| t.severity == *s)))).collect()),
        facet("area", "Area", areas.iter().map(|a| (own(a), told(a, sum(&|t| area_of(&t.rule) == *a)))).collect()),
        facet("rule", "Rule", rules.iter().map(|(id, title)| (own(id), told(title, sum(&|t| t.rule == **id)))).collect()),
    ];
    let is_open = matches!(visit.parameter("verdict"), "" | "fail" | "unknown" | "waived");
    of_all.into_iter().chain(open_only.into_iter().filter(|f| is_open && (f.name != "baseline" || visit.as_of.is_none()))).collect()
}

/// The labels that hosts have, with how many hosts each; nothing when no host has one.
async fn labels(site: &Site, visit: &Visit) -> Result<Option<Facet>, PageError> {
    let chosen = visit.parameter("label");
    let values = site.store().label_values(visit.as_of).await?;
    let mut known: Vec<(String, String)> =
        values.into_iter().filter(|(field, ..)| field == "label").map(|(_, value, n)| (value.clone(), format!("{value} · {}", grouped(n)))).collect();
    if !chosen.is_empty() && !known.iter().any(|(value, _)| value == chosen) {
        known.push((chosen.into(), chosen.into()));
    }
    let choice = |(value, text): (String, String)| Choice { is_on: value == chosen, text: shown(&text), value };
    Ok((!known.is_empty()).then(|| Facet { name: "label", label: "Label of the host", choices: known.into_iter().map(choice).collect() }))
}

/// What narrows the list without being a facet, in words, and the list without it.
async fn narrowed(site: &Site, visit: &Visit) -> Result<Vec<(String, String)>, PageError> {
    let mut out = Vec::new();
    if let Ok(host) = visit.parameter("host").parse::<HostId>() {
        let name = site.store().host(&host).await?.map_or_else(|| "a host that is gone".into(), |h| shown(&h.name));
        out.push((format!("on {name}"), with(visit, "host", "")));
    }
    for (name, word) in [("cause", "one root cause"), ("control", visit.parameter("control"))] {
        if !visit.parameter(name).is_empty() {
            out.push((shown(word), with(visit, name, "")));
        }
    }
    Ok(out)
}

async fn saved(site: &Site, visit: &Visit) -> Result<Vec<Saved>, PageError> {
    let here = query_of(visit);
    let views = site.store().views(&visit.session.user.id).await?;
    let view = |view: crate::collector::store::SavedView| Saved {
        id: view.id.to_string(),
        name: shown(&view.name),
        is_on: view.query == here,
        path: if view.query.is_empty() { "/findings".into() } else { format!("/findings?{}", view.query) },
        is_own: view.person == visit.session.user.id,
        is_shared: view.shared,
    };
    Ok(views.into_iter().map(view).collect())
}

/// Names that are offered as owners: those who sign in.
pub(super) async fn people(site: &Site) -> Result<Vec<String>, PageError> {
    let users = site.store().users().await?;
    Ok(users.into_iter().filter(|(_, removed)| removed.is_none()).take(MAX_PEOPLE).map(|(user, _)| user.name).collect())
}

/// The filters of this page as an address carries them, without what belongs to one page.
pub(super) fn query_of(visit: &Visit) -> String {
    let kept = visit.query.iter().filter(|(n, v)| !v.is_empty() && !PLACES.contains(&n.as_str()));
    kept.map(|(n, v)| format!("{}={}", encode(n), encode(v))).collect::<Vec<_>>().join("&")
}

/// The same list with another verdict; what is told of open findings alone goes when it is none of those.
fn verdict_chip(visit: &Visit, id: &str, text: &str) -> Chip {
    let is_open = matches!(id, "" | "fail" | "unknown" | "waived");
    let mut visit_there = visit.clone();
    visit_there.query.retain(|(n, _)| is_open || !(OPEN_ONLY.contains(&n.as_str()) || n == "view"));
    Chip { text: text.into(), path: with(&visit_there, "verdict", id), is_on: visit.parameter("verdict") == id }
}

/// This page with one parameter changed; a change of the filter begins with the first page.
fn with(visit: &Visit, name: &str, value: &str) -> String {
    let kept =
        visit.query.iter().filter(|(n, v)| n != name && !v.is_empty() && !PLACES.contains(&n.as_str())).map(|(n, v)| format!("{}={}", encode(n), encode(v)));
    let new = (!value.is_empty()).then(|| format!("{name}={}", encode(value)));
    let query: Vec<String> = kept.chain(new).collect();
    if query.is_empty() { "/findings".into() } else { format!("/findings?{}", query.join("&")) }
}
