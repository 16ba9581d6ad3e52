//! What changed since people were told.

use std::collections::{BTreeMap, BTreeSet};

use super::AlertError;
use super::message::{Item, Message};
use super::target::Target;
use crate::collector::App;
use crate::collector::records as desk;
use crate::collector::store::{Fresh, Letter, LetterState, random_id};
use crate::collector::ui::text::{counted, encode};
use crate::collector::ui::when::{DAY, iso_day, span, week, week_name, week_start};
use crate::model::finding::Severity;
use crate::model::ids::{Digest, HostId};
use crate::records::standing::State;
use crate::records::types::WAIVER;
use crate::records::waiver::{Stage, waivers};
use crate::records::{self};

/// A message is written this long after the last failure began, seconds …
const QUIET: i64 = 60;
/// … but no later than this after the first.
const LONGEST: i64 = 600;
/// Failures of one message.
const MAX_FRESH: u32 = 50_000;
/// Hosts named for one rule or topic; the rest is counted.
const NAMED: usize = 10;
/// Rules of one message; the rest is counted.
const MAX_RULES: usize = 50;
/// Silent hosts looked at.
const MAX_HOSTS: u32 = 10_000;
/// A waiver is told of so many days before it ends.
const WAIVER_DAYS: i64 = 7;
/// A week's scan may be late by so much before it is missed, seconds.
const LATE: i64 = DAY;

/// Whether people know of a failure already, by a list that they made (a baseline).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// Nobody knows.
    New,
    /// It was accepted as known; nobody is told again.
    Known,
}

/// One letter per target for which `of` has something to say.
pub(super) fn letters(targets: &[Target], at: i64, of: impl Fn(&Target) -> Option<Message>) -> Result<Vec<Letter>, AlertError> {
    let mut out = Vec::new();
    for target in targets {
        let Some(message) = of(target) else { continue };
        let body = serde_json::to_string(&message).map_err(|e| AlertError::Bad(e.to_string()))?;
        let id = random_id()?;
        let (title, problem) = (message.title, String::new());
        out.push(Letter { number: 0, id, target: target.id, at, title, body, state: LetterState::Waiting, attempts: 0, next_at: at, problem });
    }
    Ok(out)
}

/// Failures that began, once no more come for a minute. `known` says which of them people know of already. How many letters were written.
pub async fn gather_failures(app: &App, known: &(dyn Fn(&Fresh) -> Known + Sync), now: i64) -> Result<usize, AlertError> {
    let store = &app.store;
    let fresh = store.fresh_failures(MAX_FRESH).await?;
    let (Some(first), Some(last)) = (fresh.iter().map(|f| f.at).min(), fresh.iter().map(|f| f.at).max()) else { return Ok(0) };
    if last > now - QUIET && first > now - LONGEST && fresh.len() < MAX_FRESH as usize {
        return Ok(0);
    }
    let numbers: Vec<i64> = fresh.iter().map(|f| f.number).collect();
    let targets = Target::all(store).await?;
    let ids: BTreeSet<HostId> = fresh.iter().map(|f| f.host).collect();
    let names = if targets.is_empty() { BTreeMap::new() } else { store.names_of_hosts(&ids).await? };
    let events = store.record_events().await?;
    let mut accepted = waivers(&events, now);
    accepted.retain(|w| w.stage(now) == Stage::InForce);
    let is_told = |f: &&Fresh| {
        let name = names.get(&f.host);
        known(f) == Known::New && name.is_some_and(|name| !accepted.iter().any(|w| w.covers(name, &f.rule, &f.subject)))
    };
    let told: Vec<&Fresh> = fresh.iter().filter(is_told).collect();
    let letters = letters(&targets, now, |target| failures(app, &told, &names, target.least(), now))?;
    if !store.tell_failures(&numbers, &letters).await? {
        return Ok(0);
    }
    Ok(letters.len())
}

/// The message about failures of at least a severity: one item a rule, whatever the number of hosts.
fn failures(app: &App, told: &[&Fresh], names: &BTreeMap<HostId, String>, least: i64, now: i64) -> Option<Message> {
    let mut rules: BTreeMap<(i64, &str), Vec<&Fresh>> = BTreeMap::new();
    for failure in told.iter().filter(|f| f.severity >= least) {
        rules.entry((-failure.severity, failure.rule.as_str())).or_default().push(failure);
    }
    let hosts = |all: &[&Fresh]| all.iter().map(|f| f.host).collect::<BTreeSet<_>>().len();
    let pack = &app.basis.now().pack;
    let title_of = |id: &str| pack.rules.iter().find(|r| r.id == id).map_or_else(|| id.to_string(), |r| format!("{} ({id})", r.title));
    let item = |((severity, rule), all): (&(i64, &str), &Vec<&Fresh>)| {
        let mut detail: Vec<String> = all.iter().take(NAMED).map(|f| place(names.get(&f.host), &f.subject)).collect();
        if all.len() > NAMED {
            detail.push(format!("and {} more", all.len() - NAMED));
        }
        let link = match all.as_slice() {
            [one] => format!("/findings/{}/{}?subject={}", one.host, encode(rule), encode(&one.subject)),
            _ => format!("/findings?rule={}", encode(rule)),
        };
        Item { detail, link, severity: severity_of(-severity), text: format!("{}: fails on {}", title_of(rule), counted(hosts(all), "host", "hosts")) }
    };
    let mut items: Vec<Item> = rules.iter().take(MAX_RULES).map(item).collect();
    if rules.len() > MAX_RULES {
        let rest = counted(rules.len() - MAX_RULES, "more rule fails", "more rules fail");
        items.push(Item { detail: Vec::new(), link: "/findings".into(), severity: Severity::Info, text: rest });
    }
    let all: Vec<&Fresh> = rules.values().flatten().copied().collect();
    let title = match (rules.len(), rules.keys().next()) {
        (_, None) => return None,
        (1, Some((_, rule))) => format!("{} fails on {}", title_of(rule), counted(hosts(&all), "host", "hosts")),
        (n, _) => format!("{} began to fail on {}", counted(n, "rule", "rules"), counted(hosts(&all), "host", "hosts")),
    };
    Some(Message::new("failures", title, items, &app.people_url, now))
}

fn place(host: Option<&String>, subject: &str) -> String {
    let host = host.map_or("a host that is gone", String::as_str);
    if subject.is_empty() { host.to_string() } else { format!("{host}: {subject}") }
}

pub(super) fn severity_of(rank: i64) -> Severity {
    match rank {
        ..=0 => Severity::Info,
        1 => Severity::Low,
        2 => Severity::Medium,
        3 => Severity::High,
        _ => Severity::Critical,
    }
}

/// Topics below a prefix as they are now, against those that were told. A message for what came, another for what went, if that is news.
struct Topics<'a> {
    app: &'a App,
    prefix: &'a str,
    /// Topic without the prefix, and its item.
    now: Vec<(String, Item)>,
}

impl Topics<'_> {
    async fn tell(
        self,
        at: i64,
        came: (&str, &(dyn Fn(usize) -> String + Sync)),
        went: Option<(&str, &(dyn Fn(usize) -> String + Sync))>,
    ) -> Result<usize, AlertError> {
        let store = &self.app.store;
        let told: BTreeSet<String> = store.alerted(self.prefix).await?.into_iter().map(|(topic, _)| topic).collect();
        let now: BTreeMap<String, Item> = self.now.into_iter().map(|(topic, item)| (format!("{}{topic}", self.prefix), item)).collect();
        let new: Vec<String> = now.keys().filter(|t| !told.contains(*t)).cloned().collect();
        let gone: Vec<String> = told.into_iter().filter(|t| !now.contains_key(t)).collect();
        if new.is_empty() && gone.is_empty() {
            return Ok(0);
        }
        let targets = Target::all(store).await?;
        let items: Vec<Item> = new.iter().filter_map(|t| now.get(t)).cloned().collect();
        let url = &self.app.people_url;
        let mut out = letters(&targets, at, |_| (!items.is_empty()).then(|| Message::new(came.0, (came.1)(items.len()), shortened(&items), url, at)))?;
        if let Some((kind, title)) = went {
            out.extend(letters(&targets, at, |_| (!gone.is_empty()).then(|| Message::new(kind, title(gone.len()), Vec::new(), url, at)))?);
        }
        if !store.tell_topics(&new, &gone, &out, at).await? {
            return Ok(0);
        }
        Ok(out.len())
    }
}

/// The first items; the rest is counted.
fn shortened(items: &[Item]) -> Vec<Item> {
    let mut out: Vec<Item> = items.iter().take(MAX_RULES).cloned().collect();
    if items.len() > MAX_RULES {
        out.push(Item { detail: Vec::new(), link: String::new(), severity: Severity::Info, text: format!("and {} more", items.len() - MAX_RULES) });
    }
    out
}

/// Hosts that fell silent, and those that are heard again or were taken out.
pub async fn gather_silence(app: &App, now: i64) -> Result<usize, AlertError> {
    let hosts = app.store.hosts_silent_since(now - app.store.silence(), MAX_HOSTS).await?;
    let item = |(id, name): (HostId, String)| {
        let text = format!("{name} was not heard of for {}", span(app.store.silence()));
        (id.to_string(), Item { detail: Vec::new(), link: format!("/hosts/{id}"), severity: Severity::High, text })
    };
    let topics = Topics { app, prefix: "silent/", now: hosts.into_iter().map(item).collect() };
    let went = |n| format!("{} silent no longer", counted(n, "host is", "hosts are"));
    topics.tell(now, ("silent", &|n| format!("{} silent", counted(n, "host fell", "hosts fell"))), Some(("heard", &went))).await
}

/// Hosts without the scan of the last full week, once it is a day over. Each week is told once.
pub async fn gather_scans(app: &App, now: i64) -> Result<usize, AlertError> {
    let end = week_start(now - LATE);
    let (start, name) = (end - 7 * DAY, week_name(week(end - 7 * DAY)));
    let topic = format!("scans/{name}");
    let told = app.store.alerted("scans/").await?;
    if told.iter().any(|(t, _)| *t == topic) {
        return Ok(0);
    }
    let missed = app.store.hosts_without_scan(&name, start, end, MAX_HOSTS).await?;
    let mut detail: Vec<String> = missed.iter().take(NAMED).cloned().collect();
    if missed.len() > NAMED {
        detail.push(format!("and {} more", missed.len() - NAMED));
    }
    let title = format!("{} the scan of {name}", counted(missed.len(), "host missed", "hosts missed"));
    let item = Item { detail, link: "/hosts".into(), severity: Severity::Medium, text: title.clone() };
    let message = (!missed.is_empty()).then(|| Message::new("missed-scan", title, vec![item], &app.people_url, now));
    let targets = Target::all(&app.store).await?;
    let out = letters(&targets, now, |_| message.clone())?;
    let old: Vec<String> = told.into_iter().map(|(t, _)| t).collect();
    if app.store.tell_topics(&[topic], &old, &out, now).await? { Ok(out.len()) } else { Ok(0) }
}

/// Waivers that end within a week, and records that do not stand as they must.
pub async fn gather_records(app: &App, now: i64) -> Result<usize, AlertError> {
    let store = &app.store;
    let events = store.record_events().await?;
    let ending = |w: &records::waiver::Waiver| w.stage(now) == Stage::InForce && w.expires - now <= WAIVER_DAYS * DAY;
    let waivers = waivers(&events, now).into_iter().filter(ending).map(|w| {
        let text = format!("the waiver of {} on {} ends on {}; its failures open again", w.scope.rule, w.scope.host, iso_day(w.expires - 1));
        (w.id.to_string(), Item { detail: vec![w.reason], link: format!("/findings?rule={}", encode(&w.scope.rule)), severity: Severity::Medium, text })
    });
    let topics = Topics { app, prefix: "waiver/", now: waivers.collect() };
    let mut written = topics.tell(now, ("waivers", &|n| format!("{} within {WAIVER_DAYS} days", counted(n, "waiver ends", "waivers end"))), None).await?;
    let types = desk::carried()?;
    let people = desk::people(store, now).await?;
    let due =
        records::due(types, &events, people.as_ref(), now, 0).into_iter().filter(|s| s.record != WAIVER && !matches!(s.state, State::Due | State::Unknown));
    let items = due.map(|s| {
        let about = format!("{} {} {}", s.record, s.subject, s.entry.map_or_else(String::new, |e| e.to_string()));
        let subject = if s.subject.is_empty() { String::new() } else { format!(" of {}", s.subject) };
        let text = format!("{}{subject}: {}", s.record, s.state.word());
        // Words of people stay out of what is remembered.
        (Digest::of(about.as_bytes()).to_string(), Item { detail: vec![s.message], link: String::new(), severity: Severity::Medium, text })
    });
    let topics = Topics { app, prefix: "record/", now: items.collect() };
    written += topics.tell(now, ("records", &|n| format!("{} as it must", counted(n, "record does not stand", "records do not stand"))), None).await?;
    Ok(written)
}

/// What is wrong with the collector itself, and what is right again.
pub async fn gather_trouble(app: &App, now: i64) -> Result<usize, AlertError> {
    let mut items: Vec<(String, Item)> = Vec::new();
    let item = |text: String, severity| Item { detail: Vec::new(), link: "/settings".into(), severity, text };
    for check in crate::collector::health::check(app).await.into_iter().filter(|c| !c.ok) {
        items.push((check.name.to_string(), item(format!("{}: {}", check.name, check.detail), Severity::Critical)));
    }
    for (list, _) in app.refused.all() {
        items.push((format!("list/{list}"), item(format!("the file of {list} can’t be read; an older version is in force"), Severity::High)));
    }
    if let Some(reason) = app.halt.borrow().clone() {
        items.push(("halt".into(), item(format!("the collector must stop: {reason}"), Severity::Critical)));
    }
    let topics = Topics { app, prefix: "trouble/", now: items };
    let went = |n| format!("{} of the collector is over", counted(n, "trouble", "troubles"));
    topics.tell(now, ("trouble", &|n| format!("{} with the collector", counted(n, "trouble", "troubles"))), Some(("recovered", &went))).await
}
