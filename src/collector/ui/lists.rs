//! Lists that people keep: their versions, what a new one would change, and putting it into force.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use askama::Template;
use axum::extract::{Form, Multipart, Path, State};
use axum::http::{HeaderMap, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use serde::Deserialize;

use super::error::PageError;
use super::frame::{Frame, Page, Visit, render};
use super::orders::must_record;
use super::site::Site;
use super::text::{grouped, shown};
use super::when::When;
use crate::collector::list_changes::{self, Changes};
use crate::collector::lists::{self, CONFIGURATION, List};
use crate::collector::store::ListVersion;
use crate::ledger::Kind;
use crate::model::ids::{Digest, RandomId};
use crate::model::table::TABLE_LIMIT;

/// Largest form with a list, bytes: the list and what a browser puts around it.
pub const MAX_UPLOAD: usize = TABLE_LIMIT + (64 << 10);
/// Uploads that wait to be put into force, of all people together.
const MAX_DRAFTS: usize = 8;
/// They wait so long, seconds.
const DRAFT_SECONDS: i64 = 30 * 60;
/// Versions of a list that are shown.
const MAX_VERSIONS: usize = 200;

/// What each list is, in the order of the page: name, title, what it says.
const TITLES: [(&str, &str, &str); 8] = [
    ("roster", "Roster", "who works here and who left"),
    ("approvals", "Approvals", "who may have which privileged access"),
    ("third-parties", "Third parties", "to whom machines may send"),
    ("inventory", "Inventory", "hosts that are known elsewhere"),
    ("labels", "Labels", "owner, purpose, criticality and region of hosts"),
    ("policy", "Thresholds", "limits that rules judge by"),
    ("advisories", "Advisories", "published holes of packages"),
    ("commitments", "Commitments", "the company’s own sentences"),
];

/// Uploads that were looked at and not yet put into force. Kept in memory: what a restart loses is uploaded again.
#[derive(Debug, Default)]
pub struct Drafts(Mutex<VecDeque<Draft>>);

#[derive(Clone, Debug)]
struct Draft {
    by: RandomId,
    at: i64,
    list: List,
    digest: Digest,
    bytes: Vec<u8>,
}

impl Drafts {
    fn keep(&self, draft: Draft) {
        let mut drafts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        drafts.retain(|d| d.at + DRAFT_SECONDS > draft.at && !(d.by == draft.by && d.list == draft.list));
        while drafts.len() >= MAX_DRAFTS {
            drafts.pop_front();
        }
        drafts.push_back(draft);
    }

    /// The upload of this person with this digest.
    fn take(&self, by: &RandomId, list: List, digest: &Digest, now: i64) -> Option<Vec<u8>> {
        let mut drafts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = drafts.iter().position(|d| d.by == *by && d.list == list && d.digest == *digest && d.at + DRAFT_SECONDS > now)?;
        drafts.remove(at).map(|d| d.bytes)
    }
}

#[derive(Template)]
#[template(path = "lists.html")]
struct Lists {
    frame: Frame,
    rows: Vec<Row>,
}

struct Row {
    name: &'static str,
    title: &'static str,
    what: &'static str,
    version: Option<Version>,
    problem: bool,
}

struct Version {
    number: u64,
    rows: String,
    since: When,
    until: Option<When>,
    by: String,
    digest: String,
    kept: bool,
}

/// `GET /lists`
pub async fn page(State(site): State<Arc<Site>>, visit: Visit) -> Page {
    let refused = site.app.refused.all();
    let mut rows = Vec::with_capacity(TITLES.len());
    for (name, title, what) in TITLES {
        let version = site.store().list_history(name).await?.into_iter().rev().find(|v| v.since <= visit.at());
        let version = match version {
            Some(v) => Some(line(&site, &visit, v).await?),
            None => None,
        };
        rows.push(Row { name, title, what, version, problem: visit.as_of.is_none() && refused.iter().any(|(list, _)| *list == name) });
    }
    render(&Lists { rows, frame: visit.frame(&site, "lists", "Lists").await? })
}

/// A version as people read it; who gave it is a user, a command or the configuration.
async fn line(site: &Site, visit: &Visit, version: ListVersion) -> Result<Version, PageError> {
    let user = match version.by.parse::<RandomId>() {
        Ok(id) => site.store().user(&id).await?.map(|u| u.name),
        Err(_) => None,
    };
    let by = match user {
        Some(name) => name,
        None if version.by == CONFIGURATION => "the configuration".into(),
        None => version.by,
    };
    Ok(Version {
        number: version.version,
        rows: grouped(version.rows),
        since: visit.when(version.since),
        until: version.until.filter(|until| *until <= visit.at()).map(|until| visit.when(until)),
        by: shown(&by),
        digest: version.digest.to_string(),
        kept: version.kept,
    })
}

#[derive(Template)]
#[template(path = "list.html")]
struct ListPage {
    frame: Frame,
    name: &'static str,
    title: &'static str,
    what: &'static str,
    columns: &'static str,
    versions: Vec<Version>,
    more: usize,
    can_upload: bool,
    is_uploaded: bool,
    changes: Option<Changes>,
    file: String,
}

/// Name, title and meaning of a list.
fn titled(name: &str) -> Result<(&'static str, &'static str, &'static str), PageError> {
    TITLES.into_iter().find(|(n, _, _)| *n == name).ok_or_else(|| PageError::NotFound("That list".into()))
}

/// Columns that a list of this kind has, for whoever writes one.
const fn columns(list: List) -> &'static str {
    match list {
        List::Roster => "person, full name, accounts, email, keys, ended at",
        List::Approvals => "person, access, host, reason, approver, expires",
        List::ThirdParties => "name, networks, ports, purpose",
        List::Inventory => "name, address, machine_id, os, owner, purpose, place",
        List::Labels => "host, owner, purpose, criticality, region, labels",
    }
}

/// `GET /lists/{name}`
pub async fn list(State(site): State<Arc<Site>>, Path(name): Path<String>, visit: Visit) -> Page {
    show(&site, &visit, &name, None, String::new()).await
}

async fn show(site: &Site, visit: &Visit, name: &str, changes: Option<Changes>, file: String) -> Page {
    let (name, title, what) = titled(name)?;
    let mut history = site.store().list_history(name).await?;
    history.retain(|v| v.since <= visit.at());
    history.reverse();
    let more = history.len().saturating_sub(MAX_VERSIONS);
    let mut versions = Vec::new();
    for version in history.into_iter().take(MAX_VERSIONS) {
        versions.push(line(site, visit, version).await?);
    }
    let kind = List::of(name);
    render(&ListPage {
        frame: visit.frame(site, "lists", title).await?,
        name,
        title,
        what,
        columns: kind.map_or("", columns),
        versions,
        more,
        can_upload: kind.is_some() && visit.session.role.may_record() && visit.as_of.is_none(),
        is_uploaded: kind.is_some(),
        changes,
        file,
    })
}

/// `POST /lists/{name}/check`: what an upload would change.
pub async fn check(
    State(site): State<Arc<Site>>,
    visit: Visit,
    Path(name): Path<String>,
    headers: HeaderMap,
    form: Multipart,
) -> Result<Html<String>, PageError> {
    let list = List::of(&name).ok_or_else(|| PageError::NotFound("A list to upload".into()))?;
    let (token, file, bytes) = parts(form).await?;
    must_record(&visit, &headers, &token)?;
    let called = if file.is_empty() { list.name().to_string() } else { file };
    let (parsed, bytes) = parsed(list, called.clone(), bytes).await?;
    let changes = list_changes::changes(site.store(), list, &parsed, &bytes).await?;
    site.lists.keep(Draft { by: visit.session.user.id, at: visit.now, list, digest: Digest::of(&bytes), bytes });
    show(&site, &visit, &name, Some(changes), called).await
}

/// The form token, the name of the file and its bytes.
async fn parts(mut form: Multipart) -> Result<(String, String, Vec<u8>), PageError> {
    let bad = |_| PageError::Bad(format!("The upload can’t be read, or is larger than {} MiB.", TABLE_LIMIT >> 20));
    let (mut token, mut file, mut bytes) = (String::new(), String::new(), None);
    while let Some(field) = form.next_field().await.map_err(bad)? {
        match field.name().unwrap_or_default() {
            "form_token" => token = field.text().await.map_err(bad)?,
            "file" => {
                file = field.file_name().unwrap_or_default().chars().filter(|c| !c.is_control()).take(100).collect();
                bytes = Some(field.bytes().await.map_err(bad)?.to_vec());
            }
            _ => {}
        }
    }
    let bytes = bytes.filter(|b| !b.is_empty()).ok_or_else(|| PageError::Bad("No file was chosen, or it is empty.".into()))?;
    if bytes.len() > TABLE_LIMIT {
        return Err(PageError::Bad(format!("The list is larger than {} MiB.", TABLE_LIMIT >> 20)));
    }
    Ok((token, file, bytes))
}

/// Reads a list in a thread of its own.
async fn parsed(list: List, name: String, bytes: Vec<u8>) -> Result<(lists::Parsed, Vec<u8>), PageError> {
    let task = tokio::task::spawn_blocking(move || (list.parse(&name, &bytes), bytes));
    let (parsed, bytes) = task.await.map_err(|e| PageError::Internal(e.to_string()))?;
    Ok((parsed.map_err(|e| PageError::Bad(format!("Nothing was changed: {e}.")))?, bytes))
}

/// Which upload to put into force.
#[derive(Deserialize)]
pub struct Order {
    digest: String,
    #[serde(default)]
    form_token: String,
}

/// `POST /lists/{name}`: puts what was looked at into force.
pub async fn put(
    State(site): State<Arc<Site>>,
    visit: Visit,
    Path(name): Path<String>,
    headers: HeaderMap,
    Form(order): Form<Order>,
) -> Result<Response, PageError> {
    must_record(&visit, &headers, &order.form_token)?;
    let list = List::of(&name).ok_or_else(|| PageError::NotFound("A list to upload".into()))?;
    let gone = || PageError::Bad("This upload is not here any more (it was put into force, or it is older than half an hour); upload it again.".into());
    let digest: Digest = order.digest.parse().map_err(|_| gone())?;
    let by = visit.session.user.id;
    let bytes = site.lists.take(&by, list, &digest, visit.now).ok_or_else(gone)?;
    let (parsed, bytes) = parsed(list, list.name().into(), bytes).await?;
    lists::put(site.store(), list, &parsed, bytes, &by.to_string(), visit.now).await?;
    site.app.sequencer.wake();
    Ok(Redirect::to(&format!("/lists/{}", list.name())).into_response())
}

/// `GET /lists/{name}/{version}`: the bytes as they were given; never shown by a browser.
pub async fn fetch(State(site): State<Arc<Site>>, _visit: Visit, Path((name, version)): Path<(String, u64)>) -> Result<Response, PageError> {
    let (name, _, _) = titled(&name)?;
    let bytes = site.store().list_bytes(name, version).await?;
    let bytes = bytes.ok_or_else(|| PageError::NotFound("The content of that version (erased, or never kept)".into()))?;
    Ok(attached(name, version, bytes))
}

/// A version as a file.
fn attached(name: &str, version: u64, bytes: Vec<u8>) -> Response {
    let is_json = bytes.iter().find(|b| !b.is_ascii_whitespace()).is_some_and(|b| matches!(b, b'{' | b'['));
    let (kind, ending) = if is_json { ("application/json", "json") } else { ("text/csv; charset=utf-8", "csv") };
    let disposition = format!("attachment; filename=\"{name}-{version}.{ending}\"");
    ([(header::CONTENT_TYPE, kind.to_string()), (header::CONTENT_DISPOSITION, disposition)], bytes).into_response()
}

/// Names of every list.
pub fn names() -> impl Iterator<Item = &'static str> {
    Kind::ALL.into_iter().filter(|k| k.is_list()).map(Kind::id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_list_has_a_title_and_an_upload_belongs_to_one_person() {
        for name in names() {
            assert!(titled(name).is_ok(), "{name}");
        }
        let (drafts, me, other) = (Drafts::default(), RandomId::new([1; 16]), RandomId::new([2; 16]));
        let digest = Digest::of(b"x");
        drafts.keep(Draft { by: me, at: 100, list: List::Roster, digest, bytes: b"x".to_vec() });
        assert_eq!(drafts.take(&other, List::Roster, &digest, 101), None);
        assert_eq!(drafts.take(&me, List::Approvals, &digest, 101), None);
        assert_eq!(drafts.take(&me, List::Roster, &digest, 100 + DRAFT_SECONDS), None);
        assert_eq!(drafts.take(&me, List::Roster, &digest, 101), Some(b"x".to_vec()));
        assert_eq!(drafts.take(&me, List::Roster, &digest, 101), None, "once");
    }
}
