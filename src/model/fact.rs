//! Facts of one family, and how the values that change by themselves are kept apart.
//!
//! A family is gathered as one typed document. Fields whose schema carries `x-volatile: true`
//! (times, counters, process ids) are moved to a second document, so that an unchanged host has
//! unchanged digests:
//!
//! ```text
//! stable   {"family": F, "version": N, "facts": {…, volatile fields absent}}
//! volatile {"family": F, "version": N, "values": {"/items/0/pid": 812, …}}     (JSON pointer, RFC 6901)
//! ```
//! A reader lays the volatile values over the stable ones and sees the document as gathered.
//! Fields with `x-personal: true` hold personal data.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::gap::Gap;

/// Where a value was read: evidence, never raw text.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// Absolute path below the root, or the endpoint (`tcp 127.0.0.1:22`).
    pub place: String,
    /// Line, from 1; 0 when the place has no lines.
    pub line: u32,
    /// The directive, field or message that decided, such as `PermitRootLogin`; may be empty.
    pub directive: String,
}

impl Source {
    /// A line of a file.
    pub fn line(place: impl Into<String>, line: usize, directive: impl Into<String>) -> Self {
        Self { place: place.into(), line: u32::try_from(line).unwrap_or(u32::MAX), directive: directive.into() }
    }

    /// A whole file or endpoint.
    pub fn whole(place: impl Into<String>) -> Self {
        Self { place: place.into(), ..Self::default() }
    }
}

/// The stable document of one family.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StableFacts {
    /// Name of the family.
    pub family: String,
    /// Version of the family's schema.
    pub version: u32,
    /// The facts without their volatile fields.
    pub facts: Value,
}

/// The volatile document of one family.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VolatileFacts {
    /// Name of the family.
    pub family: String,
    /// Version of the family's schema.
    pub version: u32,
    /// JSON pointer into the facts -> value.
    pub values: BTreeMap<String, Value>,
}

/// Why two documents are not one family.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum FactError {
    /// A pointer that leads nowhere.
    #[error("volatile value {0:?} of family {1} has no place in its facts")]
    Pointer(String, String),
    /// Documents of different families or versions.
    #[error("stable facts of {0} and volatile facts of {1} do not belong together")]
    Mismatch(String, String),
}

/// Splits a family's document by its JSON schema.
pub fn split(family: &str, version: u32, schema: &Value, mut facts: Value) -> (StableFacts, VolatileFacts) {
    let mut values = BTreeMap::new();
    let mut pointer = String::new();
    take_volatile(schema, schema, &mut facts, &mut pointer, &mut values);
    (StableFacts { family: family.into(), version, facts }, VolatileFacts { family: family.into(), version, values })
}

/// The document as it was gathered.
pub fn merge(stable: &StableFacts, volatile: &VolatileFacts) -> Result<Value, FactError> {
    if stable.family != volatile.family || stable.version != volatile.version {
        return Err(FactError::Mismatch(stable.family.clone(), volatile.family.clone()));
    }
    let mut facts = stable.facts.clone();
    for (pointer, value) in &volatile.values {
        let lost = || FactError::Pointer(pointer.clone(), stable.family.clone());
        let (parent, name) = pointer.rsplit_once('/').ok_or_else(lost)?;
        let parent = facts.pointer_mut(parent).and_then(Value::as_object_mut).ok_or_else(lost)?;
        parent.insert(unescape(name), value.clone());
    }
    Ok(facts)
}

/// Follows `$ref` to the schema's own definitions and through `anyOf` with null (an `Option`).
pub fn resolve<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    let mut at = schema;
    for _ in 0..16 {
        if let Some(target) = at.get("$ref").and_then(Value::as_str) {
            match root.pointer(target.trim_start_matches('#')) {
                Some(next) => at = next,
                None => return at,
            }
        } else if let Some(options) = at.get("anyOf").and_then(Value::as_array) {
            match options.iter().find(|o| o.get("type").and_then(Value::as_str) != Some("null")) {
                Some(next) => at = next,
                None => return at,
            }
        } else {
            return at;
        }
    }
    at
}

fn take_volatile(root: &Value, schema: &Value, value: &mut Value, pointer: &mut String, out: &mut BTreeMap<String, Value>) {
    let schema = resolve(root, schema);
    let here = pointer.len();
    match value {
        Value::Object(map) => {
            let properties = schema.get("properties").and_then(Value::as_object);
            let names: Vec<String> = map.keys().cloned().collect();
            for name in names {
                let Some(field) = properties.and_then(|p| p.get(&name)) else {
                    continue;
                };
                pointer.push('/');
                pointer.push_str(&escape(&name));
                if is_marked(field, "x-volatile") {
                    if let Some(taken) = take(map, &name) {
                        out.insert(pointer.clone(), taken);
                    }
                } else if let Some(inner) = map.get_mut(&name) {
                    take_volatile(root, field, inner, pointer, out);
                }
                pointer.truncate(here);
            }
        }
        Value::Array(items) => {
            let Some(item_schema) = schema.get("items") else {
                return;
            };
            for (i, item) in items.iter_mut().enumerate() {
                pointer.push('/');
                pointer.push_str(&i.to_string());
                take_volatile(root, item_schema, item, pointer, out);
                pointer.truncate(here);
            }
        }
        _ => {}
    }
}

fn take(map: &mut Map<String, Value>, name: &str) -> Option<Value> {
    map.remove(name)
}

/// Whether a field's schema carries the marker.
pub fn is_marked(schema: &Value, marker: &str) -> bool {
    schema.get(marker).and_then(Value::as_bool).unwrap_or(false)
}

fn escape(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

fn unescape(name: &str) -> String {
    name.replace("~1", "/").replace("~0", "~")
}

/// Everything observed in one scan: what the rules judge.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Observation {
    /// When the facts were gathered, Unix seconds; `now` in rules.
    pub gathered_at: i64,
    /// Family -> document as gathered (stable and volatile laid together).
    pub families: BTreeMap<String, Value>,
    /// What could not be observed.
    pub gaps: Vec<Gap>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[derive(Serialize, JsonSchema)]
    struct Doc {
        items: Vec<Item>,
        best: Option<Item>,
        #[schemars(extend("x-volatile" = true))]
        at: i64,
    }
    #[derive(Clone, Serialize, JsonSchema)]
    struct Item {
        name: String,
        #[schemars(extend("x-volatile" = true))]
        pid: Option<u32>,
    }

    #[test]
    fn volatile_fields_move_out_and_come_back() {
        let item = |name: &str, pid| Item { name: name.into(), pid };
        let doc = Doc { items: vec![item("a", Some(1)), item("b", None)], best: Some(item("c", Some(3))), at: 9 };
        let whole = serde_json::to_value(&doc).unwrap();
        let schema = schemars::schema_for!(Doc).to_value();
        let (stable, volatile) = split("f", 1, &schema, whole.clone());
        assert_eq!(stable.facts, json!({"items": [{"name": "a"}, {"name": "b"}], "best": {"name": "c"}}));
        let pointers: Vec<&str> = volatile.values.keys().map(String::as_str).collect();
        assert_eq!(pointers, ["/at", "/best/pid", "/items/0/pid", "/items/1/pid"]);
        assert_eq!(merge(&stable, &volatile).unwrap(), whole);
    }

    #[test]
    fn a_value_without_a_place_is_refused() {
        let stable = StableFacts { family: "f".into(), version: 1, facts: json!({}) };
        let volatile = VolatileFacts { family: "f".into(), version: 1, values: BTreeMap::from([("/items/0/pid".into(), json!(1))]) };
        assert!(matches!(merge(&stable, &volatile), Err(FactError::Pointer(..))));
    }
}
