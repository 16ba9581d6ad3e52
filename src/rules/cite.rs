//! What a verdict rests on: the paths read, with value and source.

use serde_json::Value;

use super::evaluate::Facts;
use super::expr::{Read, bounded};
use super::file::Rule;
use super::schema::{NOW, POLICY};
use crate::model::fact::Source;
use crate::model::finding::Citation;

/// Longest cited value, characters.
const MAX_VALUE: usize = 199;
/// Most citations of one finding.
const MAX_CITATIONS: usize = 32;
/// Most elements of one list that are cited.
pub(super) const MAX_ELEMENTS: usize = 8;

/// Cites what decides first, then what only the message shows. `culprits` narrows lists of whole
/// families to the elements that decide.
pub(super) fn citations(rule: &Rule, facts: &Facts<'_>, index: Option<usize>, culprits: &[(String, Vec<usize>)]) -> Vec<Citation> {
    let mut out = Vec::new();
    for read in rule.guarded.iter().chain(&rule.shown) {
        // A list that is only walked through is told by what is read of its elements.
        let told = !read.whole && rule.guarded.iter().any(|other| other.path.strip_prefix(&read.path).is_some_and(|rest| rest.starts_with('.')));
        if !told {
            cite(rule, facts, read, index, culprits, &mut out);
        }
    }
    let mut seen = std::collections::BTreeSet::new();
    out.retain(|c: &Citation| seen.insert(c.path.clone()));
    out.truncate(MAX_CITATIONS);
    out
}

fn cite(rule: &Rule, facts: &Facts<'_>, read: &Read, index: Option<usize>, culprits: &[(String, Vec<usize>)], out: &mut Vec<Citation>) {
    let (root, rest) = read.path.split_once('.').unwrap_or((&read.path, ""));
    let now = Value::from(facts.now);
    let document = match root {
        POLICY => &facts.policy,
        NOW => &now,
        family => match facts.families.get(family) {
            Some(document) => document,
            None => return,
        },
    };
    let names: Vec<&str> = rest.split('.').filter(|n| !n.is_empty()).collect();
    let item = rule.for_each.as_deref().filter(|_| read.item).zip(index);
    let mut walk = Walk { item, culprits, left: MAX_ELEMENTS, out };
    walk.go(document, &names, root.to_string(), root.to_string(), None);
}

struct Walk<'a> {
    item: Option<(&'a str, usize)>,
    culprits: &'a [(String, Vec<usize>)],
    left: usize,
    out: &'a mut Vec<Citation>,
}

impl Walk<'_> {
    /// `shown` carries indices, `plain` does not.
    fn go(&mut self, value: &Value, names: &[&str], shown: String, plain: String, source: Option<Source>) {
        if self.left == 0 {
            return;
        }
        let source = source_of(value).or(source);
        let is_item_list = self.item.is_some_and(|(path, _)| path == plain);
        match value {
            Value::Array(items) if !items.is_empty() && (is_item_list || !names.is_empty()) => {
                for index in self.indices(&plain, items.len()) {
                    if let Some(element) = items.get(index) {
                        self.go_inside(element, names, format!("{shown}[{index}]"), &plain, source.clone());
                    }
                }
            }
            _ => self.go_inside(value, names, shown, &plain, source),
        }
    }

    fn go_inside(&mut self, value: &Value, names: &[&str], shown: String, plain: &str, source: Option<Source>) {
        let source = source_of(value).or(source);
        match (names.split_first(), value) {
            (Some((name, rest)), Value::Object(map)) => {
                if let Some(inner) = map.get(*name) {
                    self.go(inner, rest, format!("{shown}.{name}"), format!("{plain}.{name}"), source);
                }
            }
            _ if self.left > 0 => {
                self.left -= 1;
                let text = serde_json::to_string(value).unwrap_or_default();
                self.out.push(Citation { path: shown, value: bounded(&text, MAX_VALUE), source });
            }
            _ => {}
        }
    }

    fn indices(&self, path: &str, length: usize) -> Vec<usize> {
        if let Some((list, index)) = self.item
            && list == path
        {
            return vec![index];
        }
        match self.culprits.iter().find(|(list, found)| list == path && !found.is_empty()) {
            Some((_, found)) => found.clone(),
            None => (0..length.min(MAX_ELEMENTS)).collect(),
        }
    }
}

/// The `source` that a fact carries.
fn source_of(value: &Value) -> Option<Source> {
    let source = value.as_object()?.get("source")?;
    Some(Source {
        place: source.get("place")?.as_str()?.to_string(),
        line: source.get("line").and_then(Value::as_u64).and_then(|l| u32::try_from(l).ok()).unwrap_or(0),
        directive: source.get("directive").and_then(Value::as_str).unwrap_or_default().to_string(),
    })
}
