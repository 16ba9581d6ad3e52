//! Recording: an order of a person becomes an event, with what only the collector knows: its id, its time, who gave it. And what people read back, the
//! same on the command line and over the API.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::lists::List;
use super::store::{NewRecord, RecordError, Store, StoreError, random_id};
use crate::host::clock;
use crate::ledger::Kind;
use crate::model::against::Against;
use crate::model::approvals::Approvals;
use crate::model::canonical;
use crate::model::gap::Gap;
use crate::model::ids::{Digest, RandomId};
use crate::model::roster::Roster;
use crate::model::table::TableError;
use crate::records::event::{Action, Attachment, Event, FORMAT, ordered};
use crate::records::kind::{FieldType, Shape};
use crate::records::review::{self, Item};
use crate::records::types::{self, ACCESS_REVIEWS, WAIVER};
use crate::records::value::MAX_TEXT;
use crate::records::{Entry, People, RecordType, Recorded, Refusal, Standing, entries, standings};
use crate::report::text::plain;
use crate::rules::access;

/// What a person orders.
#[derive(Clone, Debug, Default)]
pub struct Order {
    /// On which entry; `None`: a new one, or the list as a whole.
    pub entry: Option<RandomId>,
    /// Person, group, site or thing of a new entry.
    pub subject: String,
    /// Values by the name of the field.
    pub fields: BTreeMap<String, String>,
    /// Names and bytes.
    pub files: Vec<(String, Vec<u8>)>,
    /// Who.
    pub by: String,
}

/// Records an event; durable when this returns. Its time is the collector's.
pub async fn record(store: &Store, kind: &RecordType, action: Action, order: Order) -> Result<Recorded, RecordError> {
    let mut recorded = record_all(store, kind, action, vec![order]).await?;
    recorded.pop().ok_or_else(|| StoreError::Damaged("nothing was recorded".into()).into())
}

/// Records several events of one type: all of them or none.
pub async fn record_all(store: &Store, kind: &RecordType, action: Action, orders: Vec<Order>) -> Result<Vec<Recorded>, RecordError> {
    let new = orders.into_iter().map(|order| event_of(kind, action, order)).collect::<Result<Vec<_>, RecordError>>()?;
    store.put_records(kind, new).await
}

fn event_of(kind: &RecordType, action: Action, mut order: Order) -> Result<NewRecord, RecordError> {
    let entry = match (action, order.entry) {
        (Action::Add, _) => random_id()?,
        (Action::SignOff, _) => Event::LIST,
        (_, Some(entry)) => entry,
        (_, None) => return Err(Refusal::UnknownEntry(kind.id.clone(), String::new()).into()),
    };
    if let ([(name, _)], true) = (order.files.as_slice(), action.fills()) {
        // One file and one place for it: nobody has to say so.
        let mut places = kind.fields.iter().filter(|f| f.kind == FieldType::File);
        if let (Some(place), None) = (places.next(), places.next()) {
            order.fields.entry(place.name.clone()).or_insert_with(|| name.clone());
        }
    }
    let attachment = |(name, bytes): &(String, Vec<u8>)| Attachment { bytes: bytes.len() as u64, name: name.clone(), sha256: Digest::of(bytes) };
    let event = Event {
        action,
        at: clock::unix_now(),
        by: order.by,
        entry,
        fields: order.fields,
        files: order.files.iter().map(attachment).collect(),
        format: FORMAT.into(),
        nonce: random_id()?,
        record: kind.id.clone(),
        subject: order.subject,
    };
    let files = order.files.into_iter().map(|(_, bytes)| bytes).collect();
    Ok(NewRecord { leaf: leaf_kind(kind, action), event, files })
}

/// The kind of ledger entry of an event. Its action comes first: signing off a list and a second person's word are what auditors look for, whatever
/// the type. Owners and due dates of failures are entries of a register in all but the name.
pub fn leaf_kind(kind: &RecordType, action: Action) -> Kind {
    match (action, kind.shape) {
        (Action::SignOff, _) => Kind::SignOff,
        (Action::Approve | Action::Refuse | Action::Revoke, _) => Kind::Approval,
        (_, Shape::Attestation) => Kind::Attestation,
        (_, Shape::Decision) if kind.id == WAIVER => Kind::Waiver,
        _ => Kind::Register,
    }
}

/// All records as of now.
#[derive(Clone, Debug)]
pub struct Book {
    /// Record types.
    pub types: &'static [RecordType],
    /// Events in the order of the ledger.
    pub events: Vec<Recorded>,
}

impl Book {
    /// Reads everything.
    pub async fn read(store: &Store) -> Result<Self, StoreError> {
        Ok(Self { types: carried()?, events: store.record_events().await? })
    }

    /// The type of this id.
    pub fn kind(&self, id: &str) -> Result<&'static RecordType, Refusal> {
        types::find(self.types, id).ok_or_else(|| Refusal::UnknownType(id.into()))
    }

    /// The entry that a text means, of one type or of any: its id, or the first eight digits of it or more, as tables show it.
    pub fn find(&self, kind: Option<&RecordType>, text: &str) -> Result<(&'static RecordType, RandomId), Refusal> {
        let is_meant = |r: &&Recorded| r.event.action == Action::Add && kind.is_none_or(|k| k.id == r.event.record) && text.len() >= 8;
        let mut found = self.events.iter().filter(is_meant).filter(|r| r.event.entry.to_string().starts_with(text));
        match (found.next(), found.next()) {
            (Some(one), None) => Ok((self.kind(&one.event.record)?, one.event.entry)),
            (None, _) => Err(Refusal::UnknownEntry(kind.map_or("any record", |k| k.id.as_str()).into(), text.into())),
            _ => Err(Refusal::Value(format!("several entries begin with {text}: give more digits"))),
        }
    }

    /// Entries of a type as of a time, withdrawn and closed ones too.
    pub fn entries(&self, kind: &RecordType, as_of: i64) -> Vec<Entry> {
        entries(self.events.iter().filter(|r| r.event.record == kind.id), as_of)
    }

    /// One entry as of a time.
    pub fn entry(&self, kind: &RecordType, id: RandomId, as_of: i64) -> Option<Entry> {
        self.entries(kind, as_of).into_iter().find(|e| e.id == id)
    }

    /// Events of an entry, in their order.
    pub fn history(&self, id: RandomId) -> Vec<&Recorded> {
        ordered(self.events.iter().filter(|r| r.event.entry == id))
    }

    /// How a type stands at one second.
    pub fn standing(&self, kind: &RecordType, people: Option<&People>, at: i64) -> Vec<Standing> {
        standings(std::slice::from_ref(kind), &self.events, people, at, at.saturating_add(1))
    }

    /// What people and programs read of a type: its entries and how it stands.
    pub fn document(&self, kind: &RecordType, people: Option<&People>, as_of: i64) -> Told {
        Told { as_of, entries: self.entries(kind, as_of), record: kind.id.clone(), standings: self.standing(kind, people, as_of) }
    }

    /// What people and programs read of one entry: what it is, how it stands, and each event.
    pub fn story(&self, kind: &RecordType, entry: &Entry, people: Option<&People>, as_of: i64) -> Story {
        let standing = self.standing(kind, people, as_of).into_iter().find(|s| s.entry == Some(entry.id));
        let history = self.history(entry.id).into_iter().filter(|r| r.event.at <= as_of).cloned().collect();
        Story { entry: entry.clone(), history, standing }
    }
}

/// A record type as of a time.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Told {
    /// Unix seconds.
    pub as_of: i64,
    /// Its entries, closed and withdrawn ones too.
    pub entries: Vec<Entry>,
    /// Id of the type.
    pub record: String,
    /// How its duties and entries stand.
    pub standings: Vec<Standing>,
}

/// One entry as of a time.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Story {
    /// What its events add up to.
    pub entry: Entry,
    /// Its events, in their order.
    pub history: Vec<Recorded>,
    /// How it stands; `null`: it is over, or another entry stands for its duty.
    pub standing: Option<Standing>,
}

/// The record types that the program carries.
pub fn carried() -> Result<&'static [RecordType], StoreError> {
    types::builtin().map_err(|e| StoreError::Damaged(format!("a record type of the program: {e}")))
}

/// Who worked here up to `at` (Unix seconds), by the rosters that were in force; `None`: no roster.
pub async fn people(store: &Store, at: i64) -> Result<Option<People>, StoreError> {
    let mut rosters = Vec::new();
    for version in store.list_versions(Kind::Roster.id(), 0, at.saturating_add(1)).await? {
        // What does not read any more, or was erased, tells of nobody.
        let read = version.bytes.as_deref().and_then(|bytes| Roster::parse(&version.name, bytes).ok());
        rosters.extend(read.map(|roster| (version.since, roster)));
    }
    let versions: Vec<(i64, &Roster)> = rosters.iter().map(|(since, roster)| (*since, roster)).collect();
    Ok((!versions.is_empty()).then(|| People::of_versions(&versions)))
}

/// The list of a review: who can act with more than ordinary rights, by the newest facts of every host that counts.
#[derive(Clone, Debug, Default)]
pub struct Privileges {
    /// Sorted.
    pub items: Vec<Item>,
    /// Hosts that were looked at.
    pub hosts: u32,
    /// Hosts whose list can't be told in full, and why, a line each.
    pub untold: Vec<String>,
}

/// Takes the list, by the roster and the approvals in force. Without a list of approvals nothing is said of what was approved.
pub async fn privileges(store: &Store) -> Result<Privileges, StoreError> {
    let now = clock::unix_now();
    let roster = in_force(store, List::Roster, now, Roster::parse).await?;
    let approvals = in_force(store, List::Approvals, now, Approvals::parse).await?;
    let against = Against { roster: roster.as_ref(), approvals: approvals.as_ref(), third_parties: None };
    let mut out = Privileges::default();
    for host in store.hosts(None).await?.into_iter().filter(|h| !h.state.is_over()) {
        out.hosts += 1;
        let Some((_, observation)) = store.observation(&host.id, None).await? else {
            out.untold.push(plain(&format!("{}: no report yet", host.name)));
            continue;
        };
        // An empty list approves nothing and hides nothing: what it says of approvals is left out below.
        let none = Approvals::default();
        let complete = Against { approvals: against.approvals.or(Some(&none)), ..against };
        let (found, gaps) = access::derive(&observation, complete);
        let hides = |g: &&Gap| g.path.is_empty() || g.path.starts_with("privileged");
        if let Some(gap) = gaps.iter().find(hides) {
            out.untold.push(plain(&format!("{}: {}", host.name, gap.detail)));
        }
        for one in found.into_iter().flat_map(|a| a.privileged) {
            let approved = if against.approvals.is_some() { one.approved } else { String::new() };
            out.items.push(Item { host: host.name.clone(), who: one.who, access: one.access, detail: one.detail, approved });
        }
    }
    out.items.sort();
    Ok(out)
}

/// A list in force, as read.
async fn in_force<T>(store: &Store, list: List, at: i64, parse: impl Fn(&str, &[u8]) -> Result<T, TableError>) -> Result<Option<T>, StoreError> {
    let version = store.list_at(list.name(), at).await?;
    let Some(bytes) = version.and_then(|v| v.bytes) else { return Ok(None) };
    parse(list.name(), &bytes).map(Some).map_err(|e| StoreError::Damaged(format!("list {e}")))
}

/// Starts a review over a list: an entry whose file is the list.
pub async fn start_review(store: &Store, scope: &str, taken: &Privileges, by: &str) -> Result<Recorded, RecordError> {
    let kind = types::find(carried()?, ACCESS_REVIEWS).ok_or_else(|| Refusal::UnknownType(ACCESS_REVIEWS.into()))?;
    if taken.items.len() > review::MAX_ITEMS as usize {
        return Err(Refusal::Value(format!("the list has more than {} items: approve access by groups", review::MAX_ITEMS)).into());
    }
    let list = canonical::to_bytes(&taken.items).map_err(|e| StoreError::Database(e.to_string()))?;
    let at = jiff::Timestamp::from_second(clock::unix_now()).map_or_else(|_| String::new(), |t| t.to_string());
    let mut untold = taken.untold.join("\n");
    if untold.chars().count() > MAX_TEXT {
        untold = format!("{} hosts can't be told in full", taken.untold.len());
    }
    let values = [
        ("scope", scope.to_string()),
        ("items", taken.items.len().to_string()),
        ("hosts", taken.hosts.to_string()),
        ("untold", untold),
        ("taken_at", at),
        ("list", review::LIST_NAME.into()),
    ];
    let fields = values.map(|(name, value)| (name.to_string(), value)).into();
    let files = vec![(review::LIST_NAME.to_string(), list)];
    record(store, kind, Action::Add, Order { fields, files, by: by.into(), ..Order::default() }).await
}

/// What people and programs read of a review.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Review {
    /// Its items, by number.
    pub items: Vec<Reviewed>,
    /// The entry.
    pub review: Entry,
    /// Items without a decision.
    pub undecided: usize,
}

/// One item of a review.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Reviewed {
    /// What was decided; `null`: nothing yet.
    pub decision: Option<review::Decided>,
    /// Who can do what on which host.
    pub item: Item,
    /// Its number, from 1.
    pub number: u32,
}

/// What people and programs read of a review: its items by number from 1, each with what was decided.
pub fn review_document(entry: &Entry, list: &[Item], decided: &BTreeMap<u32, review::Decided>, undecided: bool) -> Review {
    let numbered = (1..).zip(list).filter(|(number, _)| !undecided || !decided.contains_key(number));
    let items = numbered.map(|(number, item)| Reviewed { decision: decided.get(&number).cloned(), item: item.clone(), number }).collect();
    Review { items, review: entry.clone(), undecided: list.len().saturating_sub(decided.len()) }
}

/// The list of a review, by number from 1.
pub async fn review_list(store: &Store, entry: &Entry) -> Result<Vec<Item>, StoreError> {
    let file = entry.files.iter().find(|f| f.name == review::LIST_NAME);
    let missing = || StoreError::Damaged(format!("review {} has no list, or it was erased", entry.short()));
    let bytes = store.record_file(&file.ok_or_else(missing)?.sha256).await?.ok_or_else(missing)?;
    serde_json::from_slice(&bytes).map_err(|e| StoreError::Damaged(format!("the list of review {}: {e}", entry.short())))
}
