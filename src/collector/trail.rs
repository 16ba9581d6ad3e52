//! The audit trail in words: what each ledger entry and each act says, and who did it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::store::{Store, StoreError, Trace, TraceFilter};
use super::ui::text::{brief, grouped};
use crate::ledger::{Kind, Verifier, checkpoint};
use crate::model::ids::{HostId, RandomId};

/// Longest value that is told of a statement, characters.
const MAX_VALUE: usize = 120;
/// Kinds of acts, with their words.
pub const ACTS: &[(&str, &str)] = &[
    ("sign-in", "sign-in"),
    ("locked", "locked out"),
    ("opened", "opened"),
    ("refused", "refused"),
    ("recovery-code", "recovery code used"),
    ("session-ended", "session ended"),
    ("alert", "alert"),
];

/// The newest checkpoint, checked against the ledger's key at this moment.
#[derive(Clone, Debug)]
pub struct LedgerState {
    /// Entries, thousands apart; `0`: nothing was signed yet.
    pub size: String,
    /// The same as a number.
    pub entries: u64,
    /// Root over them.
    pub root: String,
    /// Whether the note verifies and says the same as the row beside it.
    pub is_verified: bool,
    /// Why not.
    pub problem: String,
}

impl LedgerState {
    /// Of a store.
    pub async fn of(store: &Store, verifier: &Verifier) -> Result<Self, StoreError> {
        let Some(head) = store.head().await? else {
            return Ok(Self { size: "0".into(), entries: 0, root: String::new(), is_verified: false, problem: "nothing was signed yet".into() });
        };
        let problem = match checkpoint::open(&head.note, verifier) {
            Err(e) => e.to_string(),
            Ok(said) if said.size != head.size || said.root != head.root => "the signed note says another size or root than the store".into(),
            Ok(_) => String::new(),
        };
        Ok(Self { size: grouped(head.size), entries: head.size, root: head.root.to_string(), is_verified: problem.is_empty(), problem })
    }
}

/// One line for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// Who; empty: nobody did it, or it is not known.
    pub who: String,
    /// Kind in words.
    pub kind: String,
    /// What, one line.
    pub what: String,
}

/// Names by the ids that stand for people.
#[derive(Clone, Debug, Default)]
pub struct Names(BTreeMap<String, String>);

impl Names {
    /// Of everybody who signs in or once did.
    pub async fn read(store: &Store) -> Result<Self, StoreError> {
        Ok(Self(store.users().await?.into_iter().map(|(user, _)| (user.id.to_string(), user.name)).collect()))
    }

    /// The name behind an id; anything else as it is.
    pub fn of(&self, word: &str) -> String {
        self.0.get(word).cloned().unwrap_or_else(|| word.to_string())
    }

    /// The words that stand for a person in statements and acts: the name, the id, or what was given.
    pub fn words(&self, given: &str) -> Vec<String> {
        let mut words = vec![given.to_string()];
        words.extend(self.0.iter().filter(|(_, name)| *name == given).map(|(id, _)| id.clone()));
        words.extend(self.0.get(given).cloned());
        words
    }

    /// What a line says.
    pub fn tell(&self, line: &Trace) -> Told {
        if line.leaf.is_none() {
            let word = ACTS.iter().find(|(id, _)| *id == line.kind).map_or(line.kind.as_str(), |(_, word)| word);
            return Told { who: self.of(&line.person), kind: word.into(), what: line.body.clone() };
        }
        let said: Value = serde_json::from_str(&line.body).unwrap_or(Value::Null);
        let text = |key: &str| said.get(key).and_then(Value::as_str).unwrap_or_default();
        let actor =
            ["by", "giver"].into_iter().map(text).find(|t| !t.is_empty()).unwrap_or_else(|| if line.kind == Kind::SignIn.id() { text("user") } else { "" });
        let what = match (line.kind.as_str(), &said) {
            (_, Value::Null) => without_statement(&line.kind).to_string(),
            ("user", _) => self.user(&said),
            ("setting", _) => match text("value") {
                "" => format!("{} is the default", text("name")),
                value => format!("{}: {value}", text("name")),
            },
            _ => self.plain(&said),
        };
        Told { who: self.of(actor), kind: line.kind.replace('-', " "), what }
    }

    fn user(&self, said: &Value) -> String {
        let text = |key: &str| said.get(key).and_then(Value::as_str).unwrap_or_default();
        let (name, role) = (self.of(text("user")), text("role"));
        match (text("about"), text("action")) {
            ("", "add") => format!("{name} may sign in as {role}"),
            ("", "remove") => format!("{name} may sign in no longer"),
            ("", _) => format!("{name} is {role}"),
            ("password", _) => format!("{name} has another password"),
            ("second-factor", _) => format!("{name} has a second factor"),
            ("second-factor-removed", _) => format!("{name} has no second factor any more"),
            ("grant", _) => {
                let grant = said.get("grant").and_then(|g| serde_json::from_value::<super::store::Grant>(g.clone()).ok()).unwrap_or_default();
                format!("{name} looks within {}", grant.words())
            }
            ("grant-removed", _) => format!("{name} looks without bounds"),
            ("token-revoked", _) => format!("a token of {name} was revoked"),
            (other, _) => format!("{name}: {other}"),
        }
    }

    /// Every plain value of a statement that is not said beside it.
    fn plain(&self, said: &Value) -> String {
        let Value::Object(map) = said else { return String::new() };
        let silent = ["at", "by", "giver", "format", "nonce", "digest", "bundle"];
        let told = map.iter().filter(|(key, _)| !silent.contains(&key.as_str())).filter_map(|(key, value)| {
            let value = match value {
                Value::String(text) if text.is_empty() => return None,
                Value::String(text) if text.parse::<RandomId>().is_ok() => self.of(text),
                Value::String(text) => brief(text, MAX_VALUE),
                Value::Number(number) => number.to_string(),
                Value::Bool(is) => is.to_string(),
                Value::Array(all) if !all.is_empty() => format!("{} entries", all.len()),
                Value::Object(inner) if !inner.is_empty() => {
                    let inner = inner.iter().filter_map(|(k, v)| {
                        Some(format!("{k} {}", v.as_str().map_or_else(|| v.as_i64().map(|n| n.to_string()), |t| Some(brief(t, MAX_VALUE)))?))
                    });
                    inner.collect::<Vec<_>>().join(", ")
                }
                _ => return None,
            };
            (!value.is_empty()).then(|| format!("{}: {value}", key.replace('_', " ")))
        });
        told.collect::<Vec<_>>().join("; ")
    }
}

/// What an entry says that has no statement.
fn without_statement(kind: &str) -> &'static str {
    match kind {
        "report" => "report accepted",
        "enrolment" => "host enrolled",
        "token" => "a token was made",
        "ledger-start" => "the ledger began",
        _ => "its statement is not here",
    }
}

/// Every kind that can be asked for: id and words.
pub fn kinds() -> Vec<(&'static str, String)> {
    let entries = Kind::ALL.into_iter().map(|k| (k.id(), k.id().replace('-', " ")));
    // Sign-ins of auditors are entries, those of others acts; one word finds both.
    let acts = ACTS.iter().filter(|(id, _)| Kind::from_id(id).is_none()).map(|(id, word)| (*id, format!("{word} (log)")));
    entries.chain(acts).collect()
}

/// Lines for programs.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "AuditTrail")]
pub struct Document {
    /// Where the next page begins; none: nothing was found.
    before: Option<String>,
    entries: Vec<Entry>,
}

/// One line.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "AuditTrailEntry")]
struct Entry {
    /// Unix seconds.
    at: i64,
    host: Option<HostId>,
    kind: String,
    /// Number of the ledger's entry; none: an act, which no entry tells.
    leaf: Option<u64>,
    /// The statement behind the entry, or the detail of the act.
    said: Value,
    /// One line of words.
    what: String,
    /// By name where one is known.
    who: String,
}

/// The document of lines for programs.
pub fn document(lines: &[Trace], names: &Names) -> Document {
    let entry = |trace: &Trace| {
        let told = names.tell(trace);
        let said: Value = serde_json::from_str(&trace.body).unwrap_or_else(|_| trace.body.as_str().into());
        Entry { at: trace.at, host: trace.host, kind: trace.kind.clone(), leaf: trace.leaf, said, what: told.what, who: told.who }
    };
    Document { before: lines.last().map(cursor), entries: lines.iter().map(entry).collect() }
}

/// Where the page behind a line begins.
pub fn cursor(line: &Trace) -> String {
    match line.leaf {
        Some(leaf) => format!("{}.entry.{leaf}", line.at),
        None => format!("{}.act.{}", line.at, line.number),
    }
}

/// The place that a cursor names.
pub fn place(cursor: &str) -> Option<(i64, bool, i64)> {
    let mut parts = cursor.split('.');
    let (at, kind, number) = (parts.next()?.parse().ok()?, parts.next()?, parts.next()?.parse().ok()?);
    (parts.next().is_none() && matches!(kind, "entry" | "act")).then_some((at, kind == "entry", number))
}

/// A filter over one span of time.
pub fn filter(kind: &str, person: &str, (from, to): (i64, i64), before: Option<(i64, bool, i64)>, limit: u32, names: &Names) -> TraceFilter {
    let person = if person.is_empty() { Vec::new() } else { names.words(person) };
    TraceFilter { kind: kind.into(), person, from, to, before, limit }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_round_trip_and_others_are_none() {
        for text in ["5.entry.7", "-5.act.1"] {
            let (at, is_entry, number) = place(text).unwrap();
            assert_eq!(format!("{at}.{}.{number}", if is_entry { "entry" } else { "act" }), text);
        }
        for odd in ["", "5", "5.x.7", "5.entry", "5.entry.7.8", "a.entry.7"] {
            assert_eq!(place(odd), None, "{odd}");
        }
    }

    #[test]
    fn every_statement_is_told_and_names_stand_for_ids() {
        let id = RandomId::new([1; 16]).to_string();
        let names = Names([(id.clone(), "ada".to_string())].into());
        let line = |kind: &str, body: String| Trace { at: 1, kind: kind.into(), leaf: Some(1), number: 0, body, person: String::new(), host: None };
        let told = names.tell(&line("user", format!(r#"{{"action":"change","about":"token-revoked","by":"{id}","role":"admin","user":"{id}"}}"#)));
        assert_eq!((told.who.as_str(), told.what.as_str()), ("ada", "a token of ada was revoked"));
        let told = names.tell(&line("roster", r#"{"at":1,"by":"bob","rows":3,"since":1,"name":"roster"}"#.into()));
        assert_eq!((told.who.as_str(), told.what.as_str()), ("bob", "name: roster; rows: 3; since: 1"));
        assert_eq!(names.tell(&line("report", String::new())).what, "report accepted");
        assert_eq!(names.words("ada"), ["ada".to_string(), id.clone()]);
        assert_eq!(names.words(&id), [id, "ada".to_string()]);
    }
}
