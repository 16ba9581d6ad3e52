//! The week in one mail: what fails, what began, what was missed, what ends soon.

use super::AlertError;
use super::gather::{letters, severity_of};
use super::message::{Item, Message};
use super::target::Target;
use crate::collector::App;
use crate::collector::records as desk;
use crate::collector::ui::text::{counted, encode};
use crate::collector::ui::when::{DAY, week, week_name, week_start};
use crate::model::finding::Severity;
use crate::records;

/// Hour of Monday at which it is written, UTC.
const HOUR: i64 = 6;
/// Rules named.
const RULES: u32 = 10;
/// Hosts counted.
const MAX_HOSTS: u32 = 10_000;
/// Days that it looks ahead.
const AHEAD: u32 = 14;

/// The digest of the week that ended, on Monday morning; each is written once. A collector's first week has none.
pub async fn gather(app: &App, now: i64) -> Result<usize, AlertError> {
    let monday = week_start(now);
    if now < monday + HOUR * 3600 {
        return Ok(0);
    }
    let (store, topic) = (&app.store, format!("digest/{}", week_name(week(monday))));
    let told = store.alerted("digest/").await?;
    if told.iter().any(|(t, _)| *t == topic) {
        return Ok(0);
    }
    let mut targets = Target::all(store).await?;
    targets.retain(|t| t.wants_digest && !told.is_empty());
    let out = if targets.is_empty() {
        Vec::new()
    } else {
        let message = write(app, monday, now).await?;
        letters(&targets, now, |_| Some(message.clone()))?
    };
    let old: Vec<String> = told.into_iter().map(|(t, _)| t).collect();
    if store.tell_topics(&[topic], &old, &out, now).await? { Ok(out.len()) } else { Ok(0) }
}

async fn write(app: &App, monday: i64, now: i64) -> Result<Message, AlertError> {
    let store = &app.store;
    let name = week_name(week(monday - 7 * DAY));
    let item = |severity, text: String, detail: Vec<String>, link: &str| Item { detail, link: link.into(), severity, text };
    let mut items = Vec::new();
    for (rank, open, began) in store.failures_by_severity(monday - 7 * DAY).await? {
        let text = format!("{} open, {began} of them since the beginning of {name}", counted(open, "failure is", "failures are"));
        let severity = severity_of(rank);
        items.push(item(severity, text, Vec::new(), &format!("/findings?severity={}", severity.word())));
    }
    if items.is_empty() {
        items.push(item(Severity::Info, "no failure is open".into(), Vec::new(), "/findings"));
    }
    for (rule, rank, hosts) in store.most_failing(RULES).await? {
        let text = format!("{rule} fails on {}", counted(hosts, "host", "hosts"));
        items.push(item(severity_of(rank), text, Vec::new(), &format!("/findings?rule={}", encode(&rule))));
    }
    let missed = store.hosts_without_scan(&name, monday - 7 * DAY, monday, MAX_HOSTS).await?.len();
    let silent = store.hosts_silent_since(now - store.silence(), MAX_HOSTS).await?.len();
    let events = store.record_events().await?;
    let people = desk::people(store, now).await?;
    let due = records::due(desk::carried()?, &events, people.as_ref(), now, AHEAD).len();
    for (n, one, many, link) in [
        (missed, "host missed the scan of the week", "hosts missed the scan of the week", "/hosts"),
        (silent, "host is silent", "hosts are silent", "/hosts"),
        (due, "record wants a hand within two weeks", "records want a hand within two weeks", ""),
    ] {
        items.push(item(if n == 0 { Severity::Info } else { Severity::Medium }, counted(n, one, many), Vec::new(), link));
    }
    Ok(Message::new("digest", format!("The week {name}"), items, &app.people_url, now))
}
