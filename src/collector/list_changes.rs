//! What a new version of a list would change, before it is in force: lines that come, go or say something else.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::lists::{List, Parsed};
use super::store::{Store, StoreError};
use crate::model::ids::Digest;

/// Lines of each kind that are told; more are counted.
const MAX_TOLD: usize = 100;
/// Longest text of a line, characters.
const MAX_TEXT: usize = 300;

/// One line that changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "ListChange")]
pub struct Line {
    /// What it is about.
    pub name: String,
    /// What it says now; empty: nothing.
    pub before: String,
    /// What it would say; empty: nothing.
    pub after: String,
}

/// What would change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "ListChanges")]
pub struct Changes {
    /// Lines that are new.
    pub added: usize,
    /// Lines that go.
    pub removed: usize,
    /// Lines that say something else.
    pub changed: usize,
    /// Lines that stay as they are.
    pub same: usize,
    /// The first of each kind.
    pub lines: Vec<Line>,
    /// Whether the bytes are those of the version in force: nothing would change.
    pub is_same: bool,
    /// Why the version in force could not be compared; empty when it was, or when there is none.
    pub problem: String,
    /// Number of the version in force; 0: there is none.
    pub version: u64,
    /// Entries of the new version.
    pub rows: u64,
    /// SHA-256 of its bytes; `None`: not known.
    pub digest: Option<Digest>,
    /// What was tolerated while reading.
    pub notes: Vec<String>,
}

/// Compares a list with the version in force.
pub async fn changes(store: &Store, list: List, parsed: &Parsed, bytes: &[u8]) -> Result<Changes, StoreError> {
    let digest = Digest::of(bytes);
    let mut out = Changes { rows: parsed.rows(), digest: Some(digest), notes: parsed.notes().to_vec(), ..Changes::default() };
    let mut old = BTreeMap::new();
    if let Some(version) = store.list_history(list.name()).await?.pop() {
        (out.version, out.is_same) = (version.version, version.digest == digest);
        match store.list_bytes(list.name(), version.version).await?.map(|bytes| list.parse(list.name(), &bytes)) {
            Some(Ok(parsed)) => old = lines(&parsed),
            Some(Err(e)) => out.problem = e.to_string(),
            None => out.problem = "its bytes were erased".into(),
        }
    }
    out.fill(old, lines(parsed));
    Ok(out)
}

impl Changes {
    fn fill(&mut self, mut old: BTreeMap<String, String>, new: BTreeMap<String, String>) {
        let (mut added, mut changed, mut removed) = (Vec::new(), Vec::new(), Vec::new());
        for (name, after) in new {
            match old.remove(&name) {
                None => added.push(Line { name, before: String::new(), after }),
                Some(before) if before == after => self.same += 1,
                Some(before) => changed.push(Line { name, before, after }),
            }
        }
        removed.extend(old.into_iter().map(|(name, before)| Line { name, before, after: String::new() }));
        (self.added, self.changed, self.removed) = (added.len(), changed.len(), removed.len());
        for kind in [removed, changed, added] {
            self.lines.extend(kind.into_iter().take(MAX_TOLD));
        }
    }

    /// Lines that differ beyond those that are told.
    pub fn more(&self) -> usize {
        (self.added + self.changed + self.removed).saturating_sub(self.lines.len())
    }
}

/// What each line is about and what it says; lines about the same thing are numbered.
fn lines(parsed: &Parsed) -> BTreeMap<String, String> {
    let rows: Vec<(String, Value)> = match parsed {
        Parsed::Roster(list) => list.people.iter().map(|p| (p.person.clone(), json(p))).collect(),
        Parsed::Approvals(list) => list.items.iter().map(|a| (format!("{}: {}", a.person, a.access.join(", ")), json(a))).collect(),
        Parsed::ThirdParties(list) => list.items.iter().map(|t| (t.name.clone(), json(t))).collect(),
        Parsed::Inventory(list) => list.items.iter().map(|m| (machine(m), json(m))).collect(),
        Parsed::Labels(list) => list.items.iter().map(|l| (l.host.clone(), json(l))).collect(),
    };
    let mut out = BTreeMap::new();
    for (name, row) in rows {
        let (mut key, mut number) = (name.clone(), 1);
        while out.contains_key(&key) {
            number += 1;
            key = format!("{name} #{number}");
        }
        out.insert(key, words(&row));
    }
    out
}

fn machine(machine: &crate::model::inventory::Machine) -> String {
    let address = || machine.addresses.first().map(ToString::to_string);
    if machine.name.is_empty() { address().unwrap_or_else(|| machine.machine_id.clone()) } else { machine.name.clone() }
}

fn json(row: &impl Serialize) -> Value {
    serde_json::to_value(row).unwrap_or_default()
}

/// What a line says: fields that say anything, but for the place of the line.
fn words(row: &Value) -> String {
    let Value::Object(fields) = row else { return String::new() };
    let says = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(|i| i.as_str().map_or_else(|| i.to_string(), str::to_string)).collect::<Vec<_>>().join(", "),
        Value::Number(at) => {
            at.as_i64().and_then(|at| jiff::Timestamp::from_second(at).ok()).map_or_else(|| at.to_string(), |t| t.strftime("%Y-%m-%d").to_string())
        }
        other => other.to_string(),
    };
    let is_said = |value: &Value| !matches!(value, Value::Null) && value.as_str() != Some("") && value.as_array().is_none_or(|a| !a.is_empty());
    let own: Vec<String> = fields.iter().filter(|(key, value)| *key != "line" && is_said(value)).map(|(key, value)| format!("{key} {}", says(value))).collect();
    let text = own.join(", ");
    match text.char_indices().nth(MAX_TEXT) {
        Some((at, _)) => format!("{} …", text.get(..at).unwrap_or_default()),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_come_go_and_change_are_told_and_a_moved_one_is_none() {
        let list = |text: &str| lines(&List::Labels.parse("l", text.as_bytes()).unwrap());
        let mut out = Changes::default();
        out.fill(list("host,owner\na,x\nb,y\nc,z\n"), list("host,owner,region\nd,w,\nb,y,eu\na,x,\n"));
        assert_eq!((out.added, out.removed, out.changed, out.same), (1, 1, 1, 1));
        let told: Vec<(&str, &str, &str)> = out.lines.iter().map(|l| (l.name.as_str(), l.before.as_str(), l.after.as_str())).collect();
        assert_eq!(told, [("c", "host c, owner z", ""), ("b", "host b, owner y", "host b, owner y, region eu"), ("d", "", "host d, owner w")]);
        let roster = lines(&List::Roster.parse("r", b"person,ended at\nm.k,2026-11-08\n").unwrap());
        assert!(roster["m.k"].contains("ended_at 2026-11-09"), "{roster:?}");
    }
}
