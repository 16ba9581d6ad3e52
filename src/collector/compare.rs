//! Two scans of one host side by side: which facts and which verdicts are others.
//!
//! Facts are compared by their stable documents, so that process ids and times are no difference, and lists by the subjects of their items. Where a
//! fact stands (file, line) is none either. Verdicts are those that stood when each scan counted from.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::store::{ReportRow, Store, StoreError};
use crate::model::blob;
use crate::model::fact::StableFacts;
use crate::model::finding::Verdict;
use crate::model::ids::{Digest, HostId};
use crate::model::report::Report;

/// Most differences that are told; more are counted.
pub const MAX_CHANGES: usize = 1_000;
/// Deepest level of a document that is walked.
const MAX_DEPTH: usize = 32;
/// Longest value that is told, characters.
const MAX_VALUE: usize = 300;
/// What an item of a list is called by, the first of these that it has.
const NAMES: [&str; 4] = ["subject", "name", "path", "id"];

/// A fact that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct FactChange {
    /// Family.
    pub family: String,
    /// Where in its document, such as `users[deploy].shell`.
    pub path: String,
    /// What the first scan saw; `None`: nothing there.
    pub before: Option<String>,
    /// What the second scan saw; `None`: nothing there.
    pub after: Option<String>,
}

/// A verdict that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct VerdictChange {
    /// Rule.
    pub rule: String,
    /// Subject; may be empty.
    pub subject: String,
    /// What stood at the first scan; `None`: nothing.
    pub before: Option<Verdict>,
    /// What stood at the second; `None`: nothing.
    pub after: Option<Verdict>,
}

/// What differs between two scans.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct Comparison {
    /// Facts, by family and place.
    pub facts: Vec<FactChange>,
    /// Facts that differ beyond [`MAX_CHANGES`].
    pub more_facts: usize,
    /// Verdicts, by rule and subject.
    pub verdicts: Vec<VerdictChange>,
    /// Verdicts that are the same.
    pub same_verdicts: usize,
    /// Families that both scans saw and that are the same.
    pub same_families: Vec<String>,
    /// Families that one of the two did not see, or whose facts are erased, and which one: these are not compared.
    pub not_compared: Vec<(String, &'static str)>,
    /// Whether one of the two moved no verdicts (it was aborted), so that verdicts are those that stood when it ended.
    pub is_partial: bool,
}

/// Compares two reports of a host, the earlier one first.
pub async fn compare(store: &Store, host: &HostId, first: &ReportRow, second: &ReportRow) -> Result<Comparison, StoreError> {
    let mut out = Comparison::default();
    let (a, b) = (read(store, &first.id).await?, read(store, &second.id).await?);
    let names: BTreeSet<&String> = a.report.facts.iter().chain(&b.report.facts).map(|f| &f.family).collect();
    for name in names {
        let address = |side: &Side| side.report.facts.iter().find(|f| f.family == *name).map(|f| f.stable);
        if let (Some(x), Some(y)) = (address(&a), address(&b))
            && x == y
        {
            out.same_families.push(name.clone());
            continue;
        }
        match (a.families.get(name), b.families.get(name)) {
            (Some(before), Some(after)) => {
                let mut told = Told { family: name, out: &mut out };
                told.value("", Some(before), Some(after), 0);
            }
            (None, Some(_)) => out.not_compared.push((name.clone(), "the first")),
            (Some(_), None) => out.not_compared.push((name.clone(), "the second")),
            (None, None) => out.not_compared.push((name.clone(), "neither")),
        }
    }
    let times = store.effective_times(host).await?;
    let at = |row: &ReportRow| times.get(&row.id).copied().unwrap_or_else(|| row.finished.min(row.received));
    out.is_partial = [first, second].iter().any(|row| !times.contains_key(&row.id));
    let (before, after) = (store.verdicts_at(host, at(first)).await?, store.verdicts_at(host, at(second)).await?);
    let abouts: BTreeSet<&(String, String)> = before.keys().chain(after.keys()).collect();
    for about in abouts {
        let (x, y) = (before.get(about).copied(), after.get(about).copied());
        if x == y {
            out.same_verdicts += 1;
        } else {
            out.verdicts.push(VerdictChange { rule: about.0.clone(), subject: about.1.clone(), before: x, after: y });
        }
    }
    Ok(out)
}

/// One scan as read.
struct Side {
    report: Report,
    families: BTreeMap<String, Value>,
}

async fn read(store: &Store, id: &Digest) -> Result<Side, StoreError> {
    let (report, frames) = store.facts(id).await?;
    let task = tokio::task::spawn_blocking(move || {
        let mut families = BTreeMap::new();
        for part in &report.facts {
            let frame = frames.iter().find(|(address, _)| *address == part.stable);
            let stable = frame.and_then(|(_, frame)| blob::inflate(frame).ok()).and_then(|plain| serde_json::from_slice::<StableFacts>(&plain).ok());
            if let Some(stable) = stable {
                families.insert(part.family.clone(), stable.facts);
            }
        }
        Side { report, families }
    });
    task.await.map_err(|e| StoreError::Database(e.to_string()))
}

/// Differences as they are found.
struct Told<'a> {
    family: &'a str,
    out: &'a mut Comparison,
}

impl Told<'_> {
    fn value(&mut self, path: &str, before: Option<&Value>, after: Option<&Value>, depth: usize) {
        match (before, after) {
            (Some(x), Some(y)) if x == y => {}
            (Some(Value::Object(x)), Some(Value::Object(y))) if depth < MAX_DEPTH => {
                let keys: BTreeSet<&String> = x.keys().chain(y.keys()).filter(|key| *key != "source").collect();
                for key in keys {
                    let inner = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                    self.value(&inner, x.get(key), y.get(key), depth + 1);
                }
            }
            (Some(Value::Array(x)), Some(Value::Array(y))) if depth < MAX_DEPTH => self.list(path, x, y, depth),
            (x, y) => self.change(path, x, y),
        }
    }

    /// Items by what they are called, or by what they are.
    fn list(&mut self, path: &str, before: &[Value], after: &[Value], depth: usize) {
        let (x, y) = (called(before), called(after));
        let keys: BTreeSet<&String> = x.keys().chain(y.keys()).collect();
        for key in keys {
            self.value(&format!("{path}[{key}]"), x.get(key).copied(), y.get(key).copied(), depth + 1);
        }
    }

    fn change(&mut self, path: &str, before: Option<&Value>, after: Option<&Value>) {
        if self.out.facts.len() >= MAX_CHANGES {
            self.out.more_facts += 1;
            return;
        }
        let change = FactChange { family: self.family.into(), path: cut(path), before: before.map(words), after: after.map(words) };
        self.out.facts.push(change);
    }
}

/// Items of a list by name; those of one name by their order, those without one by what they hold.
fn called(items: &[Value]) -> BTreeMap<String, &Value> {
    let mut out: BTreeMap<String, &Value> = BTreeMap::new();
    for item in items {
        let name = NAMES.iter().find_map(|key| item.get(key)?.as_str()).map_or_else(|| words(item), str::to_string);
        let (mut key, mut number) = (name.clone(), 1);
        while out.contains_key(&key) {
            number += 1;
            key = format!("{name} #{number}");
        }
        out.insert(key, item);
    }
    out
}

/// A value in words: texts as they are, the rest as JSON without the places it was read at.
fn words(value: &Value) -> String {
    match value {
        Value::String(text) => cut(text),
        Value::Object(object) => {
            let own: Vec<String> = object.iter().filter(|(key, _)| *key != "source").map(|(key, value)| format!("{key}: {}", words(value))).collect();
            cut(&own.join(", "))
        }
        Value::Array(items) => cut(&items.iter().map(words).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(MAX_VALUE) {
        Some((at, _)) => format!("{} …", text.get(..at).unwrap_or_default()),
        None => text.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn told(before: &Value, after: &Value) -> Vec<(String, Option<String>, Option<String>)> {
        let mut out = Comparison::default();
        Told { family: "f", out: &mut out }.value("", Some(before), Some(after), 0);
        out.facts.into_iter().map(|c| (c.path, c.before, c.after)).collect()
    }

    #[test]
    fn items_are_compared_by_name_wherever_they_stand() {
        let user = |name: &str, shell: &str, line: u32| json!({"name": name, "shell": shell, "source": {"place": "/etc/passwd", "line": line}});
        let before = json!({"users": [user("a", "/bin/sh", 1), user("b", "/bin/sh", 2)], "ports": [22, 80], "on": true});
        let after = json!({"users": [user("b", "/bin/false", 1), user("c", "/bin/sh", 2)], "ports": [80, 443], "on": null});
        let some = |text: &str| Some(text.to_string());
        assert_eq!(
            told(&before, &after),
            [
                ("on".into(), some("true"), some("null")),
                ("ports[22]".into(), some("22"), None),
                ("ports[443]".into(), None, some("443")),
                ("users[a]".into(), some("name: a, shell: /bin/sh"), None),
                ("users[b].shell".into(), some("/bin/sh"), some("/bin/false")),
                ("users[c]".into(), None, some("name: c, shell: /bin/sh")),
            ]
        );
        let moved = json!({"users": [user("b", "/bin/sh", 9), user("a", "/bin/sh", 7)], "ports": [80, 22], "on": true});
        assert_eq!(told(&before, &moved), []);
    }

    #[test]
    fn a_deep_or_long_document_is_told_within_bounds() {
        let mut deep = json!(1);
        for _ in 0..200 {
            deep = json!({ "in": deep });
        }
        assert_eq!(told(&deep, &json!({"in": 2})).len(), 1);
        let many = json!({"items": (0..5_000).collect::<Vec<_>>()});
        let mut out = Comparison::default();
        Told { family: "f", out: &mut out }.value("", Some(&many), Some(&json!({"items": []})), 0);
        assert_eq!((out.facts.len(), out.more_facts), (MAX_CHANGES, 5_000 - MAX_CHANGES));
        assert_eq!(called(&[json!({"name": "x"}), json!({"name": "x"})]).into_keys().collect::<Vec<_>>(), ["x", "x #2"]);
    }
}
