//! `/api/v1/records`: what people must say.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::caller::Caller;
use super::problem::Problem;
use super::taken::{Path, Query};
use crate::collector::body;
use crate::collector::error::ApiError;
use crate::collector::records::{self as desk, Book, Order, Story, Told};
use crate::collector::ui::Site;
use crate::model::ids::{Digest, RandomId};
use crate::records::check::MAX_FILE;
use crate::records::event::NOTE;
use crate::records::types::WAIVER;
use crate::records::value::{day, midnight};
use crate::records::{self, Action, RecordType, Recorded, Refusal, Standing};

/// Largest body, bytes: one file of the largest size as base64, and the values.
pub const MAX_BODY: usize = MAX_FILE / 3 * 4 + (1 << 20);
/// Most days that `within` looks ahead.
const MAX_WITHIN: u32 = 3_660;

/// As of when something is asked.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    /// A day, `YYYY-MM-DD`: as it stood at its end; otherwise now.
    #[serde(default)]
    #[schemars(extend("format" = "date"))]
    as_of: String,
}

/// What is due, when.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ahead {
    /// A day, `YYYY-MM-DD`: as it stood at its end; otherwise now.
    #[serde(default)]
    #[schemars(extend("format" = "date"))]
    as_of: String,
    /// Days to look ahead, at most 3660.
    #[serde(default)]
    #[schemars(range(max = 3660))]
    within: u32,
}

/// The record types.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Types {
    types: Vec<RecordType>,
}

/// What was recorded.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Made {
    /// When, Unix seconds.
    at: i64,
    /// The entry; all zero: the list as a whole.
    entry: RandomId,
    /// Digest of the statement, the reference of its ledger entry.
    event: Digest,
}

/// What wants a person's hand.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Due {
    /// Unix seconds.
    as_of: i64,
    /// The worst first, then what comes first.
    due: Vec<Standing>,
    /// Days that were looked ahead.
    within_days: u32,
}

impl Asked {
    /// The second that is meant: the last of a day, but never later than now.
    pub fn at(&self, now: i64) -> Result<i64, Problem> {
        second_of(&self.as_of, now)
    }
}

/// The last second of a day that a caller names, but never later than now; now when none is named.
pub fn second_of(text: &str, now: i64) -> Result<i64, Problem> {
    if text.is_empty() {
        return Ok(now);
    }
    let date = day(text).ok_or_else(|| Problem::Parameter("as_of is no day; write as_of=YYYY-MM-DD".into()))?;
    Ok(midnight(date).saturating_add(86_399).min(now))
}

/// What a new entry, a change or another action says.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Said {
    /// On an entry `change`, `close` or `withdraw`; of a new entry nothing, or `add`.
    #[schemars(extend("enum" = ["", "add", "change", "close", "withdraw"]))]
    action: String,
    /// Person, group, site or thing of a new entry.
    subject: String,
    /// Values by the name of the field, each as text.
    fields: BTreeMap<String, String>,
    /// Files, which fields name.
    files: Vec<File>,
    /// Why.
    note: String,
}

/// A file that comes along.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct File {
    /// A plain name.
    name: String,
    /// Its bytes as base64 (RFC 4648 section 4).
    #[schemars(extend("contentEncoding" = "base64"))]
    content: String,
}

impl Said {
    fn order(self, by: &str) -> Result<Order, Problem> {
        let file = |f: File| match STANDARD.decode(f.content.as_bytes()) {
            Ok(bytes) => Ok((f.name, bytes)),
            Err(_) => Err(Problem::Refused(Refusal::Value(format!("the content of file {:?} is no base64", f.name)))),
        };
        let mut fields = self.fields;
        if !self.note.is_empty() {
            fields.insert(NOTE.into(), self.note);
        }
        let files = self.files.into_iter().map(file).collect::<Result<_, _>>()?;
        Ok(Order { entry: None, subject: self.subject, fields, files, by: by.into() })
    }
}

/// Reads a body as JSON, once its sender is known.
pub async fn said<T: DeserializeOwned>(site: &Site, headers: &HeaderMap, request: Body) -> Result<T, Problem> {
    let received = body::receive(&site.app, headers, request, body::JSON, MAX_BODY).await?;
    serde_json::from_slice(&received.bytes).map_err(|e| ApiError::malformed("the body", &e).into())
}

/// Records and answers what was recorded.
pub async fn recorded(site: &Site, kind: &RecordType, action: Action, order: Order) -> Result<Response, Problem> {
    made(site, vec![desk::record(site.store(), kind, action, order).await?])
}

impl Made {
    /// What people read back of an event.
    pub fn of(recorded: &Recorded) -> Self {
        Self { at: recorded.event.at, entry: recorded.event.entry, event: recorded.digest }
    }
}

/// Answers the first of the events that were recorded; the ledger takes them now.
pub fn made(site: &Site, all: Vec<Recorded>) -> Result<Response, Problem> {
    site.app.sequencer.wake();
    let first = all.first().ok_or_else(|| Problem::Internal("nothing was recorded".into()))?;
    Ok((StatusCode::CREATED, Json(Made::of(first))).into_response())
}

/// `GET /record-types`
pub async fn types(_caller: Caller) -> Result<Json<Types>, Problem> {
    Ok(Json(Types { types: desk::carried()?.to_vec() }))
}

/// `GET /records/{type}`
pub async fn list(State(site): State<Arc<Site>>, caller: Caller, Path(id): Path<String>, Query(asked): Query<Asked>) -> Result<Json<Told>, Problem> {
    let at = asked.at(caller.now)?;
    let book = Book::read(site.store()).await?;
    let kind = book.kind(&id)?;
    Ok(Json(book.document(kind, desk::people(site.store(), at).await?.as_ref(), at)))
}

/// `POST /records/{type}`
pub async fn add(State(site): State<Arc<Site>>, caller: Caller, Path(id): Path<String>, headers: HeaderMap, body: Body) -> Result<Response, Problem> {
    caller.must_record(&headers)?;
    let kind = kind_of(&id)?;
    let said: Said = said(&site, &headers, body).await?;
    if !matches!(said.action.as_str(), "" | "add") {
        return Err(Problem::Refused(Refusal::Value("a new entry is added; other actions name an entry".into())));
    }
    recorded(&site, kind, Action::Add, said.order(&caller.name)?).await
}

/// `POST /records/{type}/sign-off`
pub async fn sign_off(State(site): State<Arc<Site>>, caller: Caller, Path(id): Path<String>, headers: HeaderMap, body: Body) -> Result<Response, Problem> {
    caller.must_record(&headers)?;
    let kind = kind_of(&id)?;
    let said: Said = said(&site, &headers, body).await?;
    recorded(&site, kind, Action::SignOff, said.order(&caller.name)?).await
}

/// `GET /records/{type}/{entry}`
pub async fn show(
    State(site): State<Arc<Site>>,
    caller: Caller,
    Path((id, entry)): Path<(String, String)>,
    Query(asked): Query<Asked>,
) -> Result<Json<Story>, Problem> {
    let at = asked.at(caller.now)?;
    let book = Book::read(site.store()).await?;
    let (kind, found) = book.find(Some(book.kind(&id)?), &entry)?;
    let entry = book.entry(kind, found, at).ok_or_else(|| Problem::NotFound("this entry on that day".into()))?;
    Ok(Json(book.story(kind, &entry, desk::people(site.store(), at).await?.as_ref(), at)))
}

/// `POST /records/{type}/{entry}`
pub async fn act(
    State(site): State<Arc<Site>>,
    caller: Caller,
    Path((id, entry)): Path<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    caller.must_record(&headers)?;
    let kind = kind_of(&id)?;
    let said: Said = said(&site, &headers, body).await?;
    let action = match said.action.as_str() {
        "change" => Action::Change,
        "close" => Action::Close,
        "withdraw" => Action::Withdraw,
        other => return Err(Problem::Refused(Refusal::Value(format!("action is none of change, close, withdraw: {other:?}")))),
    };
    let (_, found) = Book::read(site.store()).await?.find(Some(kind), &entry)?;
    recorded(&site, kind, action, Order { entry: Some(found), ..said.order(&caller.name)? }).await
}

/// `GET /record-files/{digest}`: never shown by a browser, whatever it is.
pub async fn file(State(site): State<Arc<Site>>, _caller: Caller, Path(digest): Path<String>) -> Result<Response, Problem> {
    let gone = || Problem::NotFound("this file; it may have been erased".into());
    let digest: Digest = digest.parse().map_err(|_| gone())?;
    let bytes = site.store().record_file(&digest).await?.ok_or_else(gone)?;
    let headers = [(header::CONTENT_TYPE, "application/octet-stream"), (header::CONTENT_DISPOSITION, "attachment")];
    Ok((headers, bytes).into_response())
}

/// `GET /due`
pub async fn due(State(site): State<Arc<Site>>, caller: Caller, Query(asked): Query<Ahead>) -> Result<Json<Due>, Problem> {
    if asked.within > MAX_WITHIN {
        return Err(Problem::Parameter(format!("within is no number of days up to {MAX_WITHIN}")));
    }
    let at = second_of(&asked.as_of, caller.now)?;
    let book = Book::read(site.store()).await?;
    let people = desk::people(site.store(), at).await?;
    let due = records::due(book.types, &book.events, people.as_ref(), at, asked.within);
    Ok(Json(Due { as_of: at, due, within_days: asked.within }))
}

/// A type that is recorded here; waivers have their own address, where a second person is asked for.
fn kind_of(id: &str) -> Result<&'static RecordType, Problem> {
    if id == WAIVER {
        return Err(Problem::Refused(Refusal::State("waivers are asked for and decided under /api/v1/waivers".into())));
    }
    Ok(crate::records::types::find(desk::carried()?, id).ok_or_else(|| Refusal::UnknownType(id.into()))?)
}
