//! What rules may read: the JSON schemas of the facts, handed in by the caller, beside the derived
//! families `access` and `endpoints`, the thresholds and the clock.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::derived::NEEDS;
use crate::model::fact::resolve;
use crate::model::policy::Policy;
use crate::model::report::Cadence;
use crate::model::schemas::{self, CADENCE};

/// Variable of the thresholds.
pub const POLICY: &str = "policy";
/// Variable of the time at which the facts were gathered, Unix seconds.
pub const NOW: &str = "now";
/// Variable of the element under `for_each`.
pub const ITEM: &str = "item";

/// Deepest value of an example that is compared with its schema, levels.
const MAX_DEPTH: usize = 32;

/// Schemas of every variable a rule can name.
#[derive(Clone, Debug)]
pub struct Schemas<'a> {
    variables: BTreeMap<String, Cow<'a, Value>>,
}

/// The type of one value, as far as its schema tells.
#[derive(Clone, Copy, Debug)]
pub enum Type<'s> {
    /// The schema does not say.
    Any,
    /// `null` alone.
    Null,
    /// Truth value.
    Bool,
    /// Integer.
    Int,
    /// Text.
    Text,
    /// Object with named fields.
    Record(At<'s>),
    /// Object whose keys are data; the place is the schema of its values.
    Table(At<'s>),
    /// List; the place is the schema of its elements.
    List(At<'s>),
}

/// A place in a schema document.
#[derive(Clone, Copy, Debug)]
pub struct At<'s> {
    root: &'s Value,
    schema: &'s Value,
}

impl<'a> Schemas<'a> {
    /// The gathered families' schemas, to which `access`, `policy` and `now` are added.
    pub fn new(gathered: &'a [(&str, Value)]) -> Self {
        let mut variables: BTreeMap<String, Cow<'a, Value>> = gathered.iter().map(|(name, schema)| ((*name).to_string(), Cow::Borrowed(schema))).collect();
        variables.extend(NEEDS.map(|(name, _)| (name.to_string(), Cow::Owned(schemas::of(name)))));
        variables.insert(POLICY.into(), Cow::Owned(infer(&Policy::default().as_facts())));
        variables.insert(NOW.into(), Cow::Owned(json!({"type": "integer"})));
        Self { variables }
    }

    /// Type of a variable; `None` when there is no such variable.
    pub fn variable(&self, name: &str) -> Option<Type<'_>> {
        self.variables.get(name).map(|root| At { root, schema: root }.kind())
    }

    /// In which scans a variable is gathered at the least.
    pub fn cadence(&self, name: &str) -> Cadence {
        let word = self.variables.get(name).and_then(|schema| schema.get(CADENCE)).and_then(Value::as_str);
        if word == Some(Cadence::Monthly.word()) { Cadence::Monthly } else { Cadence::Weekly }
    }

    /// Names of all variables but `item`, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.variables.keys().map(String::as_str)
    }

    /// Whether `value`, which may lack fields, has the shape of variable `name`.
    pub fn check(&self, name: &str, value: &Value) -> Result<(), String> {
        match self.variables.get(name) {
            Some(root) => compare(At { root, schema: root }, value, name, 0),
            None => Err(format!("{name} is not a family")),
        }
    }
}

impl<'s> At<'s> {
    /// The type here, `null` beside it left out.
    pub fn kind(self) -> Type<'s> {
        let schema = resolve(self.root, self.schema);
        let here = |schema| At { root: self.root, schema };
        let word = match schema.get("type") {
            Some(Value::String(word)) => word.as_str(),
            Some(Value::Array(words)) => words.iter().filter_map(Value::as_str).find(|w| *w != "null").unwrap_or("null"),
            _ if schema.get("enum").is_some() || schema.get("const").is_some_and(Value::is_string) => "string",
            _ if is_text_choice(schema) => "string",
            _ => "",
        };
        match word {
            "null" => Type::Null,
            "boolean" => Type::Bool,
            "integer" => Type::Int,
            "string" => Type::Text,
            "array" => schema.get("items").map_or(Type::Any, |items| Type::List(here(items))),
            "object" if schema.get("properties").is_some() => Type::Record(here(schema)),
            "object" => schema.get("additionalProperties").filter(|a| a.is_object()).map_or(Type::Any, |values| Type::Table(here(values))),
            _ => Type::Any,
        }
    }

    /// The field of a record.
    pub fn field(self, name: &str) -> Option<At<'s>> {
        let schema = resolve(self.root, self.schema);
        schema.get("properties").and_then(|p| p.get(name)).map(|schema| At { root: self.root, schema })
    }

    /// Names of a record's fields, for messages.
    pub fn fields(self) -> Vec<&'s str> {
        let properties = resolve(self.root, self.schema).get("properties").and_then(Value::as_object);
        properties.map(|p| p.keys().map(String::as_str).collect()).unwrap_or_default()
    }

    fn may_be_null(self) -> bool {
        let mut schema = self.schema;
        // `anyOf` with null stands before `resolve` steps through it.
        if let Some(options) = schema.get("anyOf").and_then(Value::as_array)
            && options.iter().any(|o| o.get("type").and_then(Value::as_str) == Some("null"))
        {
            return true;
        }
        schema = resolve(self.root, schema);
        match schema.get("type") {
            Some(Value::Array(words)) => words.iter().any(|w| w.as_str() == Some("null")),
            Some(Value::String(word)) => word == "null",
            _ => true,
        }
    }
}

/// A `oneOf` whose every branch is text: an enum with documented variants.
fn is_text_choice(schema: &Value) -> bool {
    let is_text = |o: &Value| o.get("type").and_then(Value::as_str) == Some("string") || o.get("const").is_some_and(Value::is_string);
    schema.get("oneOf").and_then(Value::as_array).is_some_and(|options| !options.is_empty() && options.iter().all(is_text))
}

fn compare(at: At<'_>, value: &Value, path: &str, depth: usize) -> Result<(), String> {
    if depth > MAX_DEPTH {
        return Err(format!("{path} is nested deeper than {MAX_DEPTH} levels"));
    }
    let wrong = |want: &str| Err(format!("{path} is not {want}"));
    match (at.kind(), value) {
        (_, Value::Null) if at.may_be_null() => Ok(()),
        (Type::Any, _) | (Type::Bool, Value::Bool(_)) | (Type::Text, Value::String(_)) | (Type::Null, Value::Null) => Ok(()),
        (Type::Int, Value::Number(n)) if n.is_i64() || n.is_u64() => Ok(()),
        (Type::Record(record), Value::Object(map)) => {
            for (name, inner) in map {
                let field = record.field(name).ok_or_else(|| format!("{path} has no field {name}; it has {}", record.fields().join(", ")))?;
                compare(field, inner, &format!("{path}.{name}"), depth + 1)?;
            }
            Ok(())
        }
        (Type::Table(values), Value::Object(map)) => map.iter().try_for_each(|(name, inner)| compare(values, inner, &format!("{path}.{name}"), depth + 1)),
        (Type::List(items), Value::Array(list)) => list.iter().enumerate().try_for_each(|(i, inner)| compare(items, inner, &format!("{path}[{i}]"), depth + 1)),
        (Type::Bool, _) => wrong("true or false"),
        (Type::Int, _) => wrong("an integer"),
        (Type::Text, _) => wrong("text"),
        (Type::Record(_) | Type::Table(_), _) => wrong("an object"),
        (Type::List(_), _) => wrong("a list"),
        (Type::Null, _) => wrong("null"),
    }
}

/// The schema of a value that has no type of its own in Rust (the thresholds as rules see them).
fn infer(value: &Value) -> Value {
    match value {
        Value::Bool(_) => json!({"type": "boolean"}),
        Value::Number(_) => json!({"type": "integer"}),
        Value::String(_) => json!({"type": "string"}),
        Value::Array(items) => json!({"type": "array", "items": items.first().map_or(json!({}), infer)}),
        Value::Object(map) => {
            let properties: Map<String, Value> = map.iter().map(|(k, v)| (k.clone(), infer(v))).collect();
            json!({"type": "object", "properties": properties})
        }
        Value::Null => json!({}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use schemars::JsonSchema;

    #[derive(JsonSchema)]
    #[expect(dead_code, reason = "only its schema is used")]
    struct Doc {
        name: String,
        best: Option<Inner>,
        many: Vec<Inner>,
        table: BTreeMap<String, i64>,
        maybe: Option<i64>,
    }
    #[derive(JsonSchema)]
    #[expect(dead_code, reason = "only its schema is used")]
    struct Inner {
        count: u32,
        right: bool,
    }

    #[test]
    fn examples_are_held_to_the_schema_and_may_lack_fields() {
        let gathered = [("doc", schemars::schema_for!(Doc).to_value())];
        let schemas = Schemas::new(&gathered);
        let good = json!({"name": "x", "best": null, "many": [{"count": 1}, {}], "table": {"a": 1}, "maybe": null});
        schemas.check("doc", &good).unwrap();
        for (bad, names) in [
            (json!({"nam": "x"}), "no field nam"),
            (json!({"name": null}), "doc.name is not text"),
            (json!({"many": [{"right": 1}]}), "doc.many[0].right is not true or false"),
            (json!({"maybe": 1.5}), "doc.maybe is not an integer"),
            (json!({"best": []}), "doc.best is not an object"),
        ] {
            let error = schemas.check("doc", &bad).unwrap_err();
            assert!(error.contains(names), "{error}");
        }
        assert!(schemas.check("nothing", &good).is_err());
    }
}
