//! Entries: what the events of a time add up to.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::event::{Action, Attachment, Event, NOTE, Recorded, ordered};
use super::kind::RecordType;
use crate::model::ids::{Digest, RandomId};

/// Something that was done to an entry once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Mark {
    /// When, Unix seconds.
    pub at: i64,
    /// Who.
    pub by: String,
    /// Why; may be empty.
    pub why: String,
}

/// What a second person said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Decision {
    /// `Approve`, `Refuse` or `Revoke`.
    pub action: Action,
    /// When, who and why.
    pub mark: Mark,
}

/// One entry as of a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Entry {
    /// Record type.
    pub record: String,
    /// Random, stands for the entry for ever.
    pub id: RandomId,
    /// Person, group, site or thing that it is about; empty: the company.
    pub subject: String,
    /// Values by the name of the field; empty ones are left out.
    pub fields: BTreeMap<String, String>,
    /// Its files, the newest of a name.
    pub files: Vec<Attachment>,
    /// When and by whom it was recorded.
    pub added: Mark,
    /// Everybody who wrote its fields, in order of their first word.
    pub writers: Vec<String>,
    /// When the matter was done.
    pub closed: Option<Mark>,
    /// When it was called a mistake: it counts no longer.
    pub withdrawn: Option<Mark>,
    /// What a second person said, in order.
    pub decisions: Vec<Decision>,
    /// The statements that it rests on, in their order.
    pub events: Vec<Digest>,
}

impl Entry {
    fn new(recorded: &Recorded) -> Self {
        let event = &recorded.event;
        Self {
            record: event.record.clone(),
            id: event.entry,
            subject: event.subject.clone(),
            fields: BTreeMap::new(),
            files: Vec::new(),
            added: mark(event),
            writers: Vec::new(),
            closed: None,
            withdrawn: None,
            decisions: Vec::new(),
            events: Vec::new(),
        }
    }

    /// Applies the next event; what can't be done to an entry that is over changes nothing and is counted among its events.
    fn apply(&mut self, recorded: &Recorded) {
        let event = &recorded.event;
        self.events.push(recorded.digest);
        if self.withdrawn.is_some() || (self.closed.is_some() && event.action != Action::Withdraw) {
            return;
        }
        match event.action {
            Action::Add | Action::Change => self.fill(event),
            Action::Close => {
                self.fill(event);
                self.closed = Some(mark(event));
            }
            Action::Withdraw => self.withdrawn = Some(mark(event)),
            Action::Approve | Action::Refuse | Action::Revoke => self.decisions.push(Decision { action: event.action, mark: mark(event) }),
            Action::SignOff => {}
        }
    }

    fn fill(&mut self, event: &Event) {
        for (name, value) in &event.fields {
            if event.action == Action::Close && name == NOTE {
                continue;
            }
            if value.is_empty() {
                self.fields.remove(name);
            } else {
                self.fields.insert(name.clone(), value.clone());
            }
        }
        for file in &event.files {
            self.files.retain(|f| f.name != file.name);
            self.files.push(file.clone());
        }
        if !self.writers.contains(&event.by) {
            self.writers.push(event.by.clone());
        }
    }

    /// The value of a field; empty when there is none.
    pub fn value(&self, field: &str) -> &str {
        self.fields.get(field).map_or("", String::as_str)
    }

    /// Whether it is neither closed nor withdrawn.
    pub const fn is_open(&self) -> bool {
        self.closed.is_none() && self.withdrawn.is_none()
    }

    /// Required fields that are empty, in the order of the type.
    pub fn missing<'t>(&self, kind: &'t RecordType) -> Vec<&'t str> {
        kind.fields.iter().filter(|f| f.required && self.value(&f.name).is_empty()).map(|f| f.name.as_str()).collect()
    }

    /// Its first eight digits, by which people call it.
    pub fn short(&self) -> String {
        short(&self.id)
    }
}

/// The first eight digits of an entry's id.
pub fn short(id: &RandomId) -> String {
    id.to_string().chars().take(8).collect()
}

fn mark(event: &Event) -> Mark {
    Mark { at: event.at, by: event.by.clone(), why: event.note().into() }
}

/// Every entry as of the second `as_of`, in the order of their first events. An event of an entry that was never added is passed over.
pub fn entries<'e>(events: impl IntoIterator<Item = &'e Recorded>, as_of: i64) -> Vec<Entry> {
    let mut out: Vec<Entry> = Vec::new();
    let mut places: BTreeMap<(&str, RandomId), usize> = BTreeMap::new();
    for recorded in ordered(events).into_iter().filter(|r| r.event.at <= as_of) {
        let event = &recorded.event;
        let key = (event.record.as_str(), event.entry);
        match (places.get(&key), event.action) {
            (Some(place), action) if action != Action::Add => {
                if let Some(entry) = out.get_mut(*place) {
                    entry.apply(recorded);
                }
            }
            (None, Action::Add) => {
                places.insert(key, out.len());
                let mut entry = Entry::new(recorded);
                entry.apply(recorded);
                out.push(entry);
            }
            _ => {}
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::testing::{event, recorded};
    use super::*;

    #[test]
    fn an_entry_is_what_its_events_add_up_to_at_any_time() {
        let events = [
            recorded(event("incidents", 1, Action::Add, 10, "ada", &[("nature", "loss"), ("contact", "x")])),
            recorded(event("incidents", 1, Action::Change, 20, "bob", &[("nature", "theft"), ("contact", "")])),
            recorded(event("incidents", 2, Action::Change, 25, "bob", &[("nature", "never added")])),
            recorded(event("incidents", 1, Action::Close, 30, "ada", &[("note", "done"), ("measures", "locks")])),
            recorded(event("incidents", 1, Action::Change, 40, "ada", &[("nature", "too late")])),
            recorded(event("incidents", 1, Action::Withdraw, 50, "cyd", &[("note", "twin of another")])),
        ];
        assert!(entries(&events, 9).is_empty());
        let at = |t| entries(&events, t).remove(0);
        assert_eq!((at(10).value("nature").to_string(), at(10).value("contact").to_string()), ("loss".into(), "x".into()));
        assert_eq!((at(20).value("nature").to_string(), at(20).value("contact").to_string()), ("theft".into(), String::new()));
        assert!(at(30).closed.is_some() && !at(30).is_open() && at(30).value("measures") == "locks" && at(30).value("note").is_empty());
        assert_eq!(at(40).value("nature"), "theft");
        assert_eq!(at(60).withdrawn.map(|m| m.why), Some("twin of another".into()));
        assert_eq!((at(60).events.len(), at(60).writers.len(), entries(&events, 60).len()), (5, 2, 1));
    }
}
