//! Values and functions of the engine, and evaluation.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use cel::common::types::{CelBool, CelDouble, CelInt, CelList, CelMap, CelMapKey, CelNull, CelString, CelUInt};
use cel::common::value::{CowVal, Val};
use cel::context::VariableResolver;
use cel::{Context, Env, ExecutionError, Value as Cel};
use regex_lite::{Regex, RegexBuilder};
use serde_json::Value;

use super::Expression;
use crate::rules::schema::ITEM;

/// Longest text that a function or a message placeholder makes, bytes.
pub const MAX_TEXT: usize = 4096;
/// Longest description of an error, characters.
const MAX_FAULT: usize = 240;
/// Largest compiled pattern, bytes.
const MAX_PATTERN: usize = 1 << 16;
/// Seconds of a day.
const DAY: i64 = 86_400;

/// Patterns of `matches`, compiled when rules load.
#[derive(Clone, Debug, Default)]
pub struct Patterns(BTreeMap<String, Regex>);

impl Patterns {
    /// Compiles one.
    pub fn add(&mut self, pattern: &str) -> Result<(), String> {
        if !self.0.contains_key(pattern) {
            let regex = RegexBuilder::new(pattern).size_limit(MAX_PATTERN).build().map_err(|e| format!("the pattern {pattern:?} is not usable: {e}"))?;
            self.0.insert(pattern.into(), regex);
        }
        Ok(())
    }
}

/// Why an evaluation gave no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Stable id: `missing-value`, `missing-family` or `expression-error`.
    pub id: &'static str,
    /// One sentence fragment.
    pub detail: String,
}

/// Facts, thresholds and clock as the engine sees them; made once per judgement.
#[derive(Debug, Default)]
pub struct Values(HashMap<String, Box<dyn Val>>);

impl Values {
    /// Adds a variable.
    pub fn set(&mut self, name: &str, value: &Value) {
        self.0.insert(name.into(), convert(value));
    }

    fn list(&self, path: &str) -> Option<&[Box<dyn Val>]> {
        let mut names = path.split('.');
        let mut at: &dyn Val = self.0.get(names.next()?)?.as_ref();
        for name in names {
            at = at.downcast_ref::<CelMap<'_>>()?.inner().get(&CelMapKey::from(name.to_string()))?.as_ref();
        }
        Some(at.downcast_ref::<CelList<'_>>()?.inner())
    }

    fn element(&self, path: &str, index: usize) -> Option<&dyn Val> {
        self.list(path)?.get(index).map(AsRef::as_ref)
    }
}

/// The engine with its functions.
pub struct Engine {
    context: Context<'static, 'static>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Engine")
    }
}

impl Engine {
    /// An engine that knows these patterns.
    pub fn new(patterns: &Patterns) -> Result<Self, String> {
        let mut context = Context::with_env(Arc::new(Env::stdlib()));
        let patterns = patterns.clone();
        let matches = move |text: Arc<String>, pattern: Arc<String>| -> Result<bool, ExecutionError> {
            patterns.0.get(pattern.as_str()).map(|r| r.is_match(&text)).ok_or_else(|| ExecutionError::function_error("matches", "unknown pattern"))
        };
        let add = || {
            context.add_function("matches", matches)?;
            context.add_function("join", join)?;
            context.add_function("brief", brief)?;
            context.add_function("octal", |mode: i64| -> String { format!("{mode:04o}") })?;
            context.add_function("days", |seconds: i64| -> i64 { seconds.div_euclid(DAY) })?;
            context.add_function("date", date)
        };
        add().map_err(|e| e.to_string())?;
        Ok(Self { context })
    }

    /// The scope of one judgement; `item` is list and index of the element under `for_each`.
    pub fn scope<'a>(&'a self, values: &'a Values, item: Option<(&str, usize)>) -> Scope<'a> {
        let item = item.and_then(|(path, index)| values.element(path, index)).map(|value| (ITEM, value));
        Scope { engine: self, variables: Variables { values, one: item } }
    }
}

/// Variables and functions of one judgement.
pub struct Scope<'a> {
    engine: &'a Engine,
    variables: Variables<'a>,
}

impl std::fmt::Debug for Scope<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Scope")
    }
}

struct Variables<'a> {
    values: &'a Values,
    one: Option<(&'a str, &'a dyn Val)>,
}

impl VariableResolver for Variables<'_> {
    fn resolve<'b>(&'b self, name: &str) -> Option<CowVal<'b, 'b>> {
        match self.one {
            Some((one, value)) if one == name => Some(CowVal::Borrowed(value)),
            _ => self.values.0.get(name).map(|value| CowVal::Borrowed(value.as_ref())),
        }
    }
}

impl Scope<'_> {
    /// A truth value.
    pub fn truth(&self, expression: &Expression) -> Result<bool, Fault> {
        match self.value(expression)? {
            Cel::Bool(truth) => Ok(truth),
            other => Err(Fault { id: "expression-error", detail: bounded(&format!("{} gave {other:?}, not a truth value", expression.source), MAX_FAULT) }),
        }
    }

    /// A value as it stands in a message.
    pub fn text(&self, expression: &Expression) -> Result<String, Fault> {
        Ok(show(&self.value(expression)?))
    }

    /// Elements of family lists that decide a failure: those for which an `all` does not hold or
    /// an `exists` does; at most `limit` a list.
    pub fn culprits(&self, expression: &Expression, limit: usize) -> Vec<(String, Vec<usize>)> {
        let mut out = Vec::new();
        for decider in expression.deciders.iter() {
            let Some(list) = self.variables.values.list(&decider.path) else { continue };
            let mut found = Vec::new();
            for (index, element) in list.iter().enumerate() {
                if found.len() == limit {
                    break;
                }
                let one = Variables { values: self.variables.values, one: Some((&decider.variable, element.as_ref())) };
                let mut context: Context<'_, '_> = self.engine.context.new_inner_scope();
                context.set_variable_resolver(&one);
                if Cel::resolve(&decider.predicate, &context) == Ok(Cel::Bool(decider.decides)) {
                    found.push(index);
                }
            }
            out.push((decider.path.clone(), found));
        }
        out
    }

    fn value(&self, expression: &Expression) -> Result<Cel, Fault> {
        let mut context: Context<'_, '_> = self.engine.context.new_inner_scope();
        context.set_variable_resolver(&self.variables);
        Cel::resolve(&expression.tree, &context).map_err(|e| fault(&e))
    }
}

fn fault(error: &ExecutionError) -> Fault {
    let (id, detail) = match error {
        ExecutionError::NoSuchKey(key) => ("missing-value", format!("the facts have no {key}")),
        ExecutionError::UndeclaredReference(name) => ("missing-family", format!("{name} was not observed")),
        other => ("expression-error", other.to_string()),
    };
    Fault { id, detail: bounded(&detail, MAX_FAULT) }
}

/// At most `limit` characters, with a sign where something is cut.
pub fn bounded(text: &str, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        Some((cut, _)) => format!("{}…", text.get(..cut).unwrap_or_default()),
        None => text.to_string(),
    }
}

fn join(list: Arc<Vec<Cel>>, separator: Arc<String>) -> Result<Cel, ExecutionError> {
    Ok(Cel::from(joined(&list, &separator)))
}

/// `a, b and 7 more`: the first `limit` elements of a list. The facts hold all of them.
fn brief(list: Arc<Vec<Cel>>, limit: i64) -> Result<Cel, ExecutionError> {
    let shown = usize::try_from(limit).unwrap_or(0).min(list.len());
    let (first, rest) = list.split_at(shown);
    let text = joined(first, ", ");
    Ok(Cel::from(if rest.is_empty() { text } else { format!("{text} and {} more", rest.len()) }))
}

fn joined(list: &[Cel], separator: &str) -> String {
    let mut out = String::new();
    for (i, item) in list.iter().enumerate() {
        if i > 0 {
            out.push_str(separator);
        }
        out.push_str(&show(item));
        if out.len() > MAX_TEXT {
            out.push('…');
            break;
        }
    }
    out
}

/// `2026-11-22` of Unix seconds, UTC.
fn date(unix: i64) -> Result<Cel, ExecutionError> {
    let at = jiff::Timestamp::from_second(unix).map_err(|_| ExecutionError::function_error("date", format!("{unix} is no time")))?;
    Ok(Cel::from(at.strftime("%Y-%m-%d").to_string()))
}

fn show(value: &Cel) -> String {
    match value {
        Cel::String(text) => bounded(text, MAX_TEXT),
        Cel::Int(i) => i.to_string(),
        Cel::UInt(u) => u.to_string(),
        Cel::Bool(b) => b.to_string(),
        Cel::Null => "none".into(),
        Cel::List(items) => joined(items, ", "),
        _ => "…".into(),
    }
}

fn convert(value: &Value) -> Box<dyn Val> {
    match value {
        Value::Null => Box::new(CelNull),
        Value::Bool(b) => Box::new(CelBool::from(*b)),
        Value::Number(n) => match (n.as_i64(), n.as_u64()) {
            (Some(i), _) => Box::new(CelInt::from(i)),
            (None, Some(u)) => Box::new(CelUInt::from(u)),
            (None, None) => Box::new(CelDouble::from(n.as_f64().unwrap_or(f64::NAN))),
        },
        Value::String(s) => Box::new(CelString::from(s.clone())),
        Value::Array(items) => Box::new(CelList::from(items.iter().map(convert).collect::<Vec<_>>())),
        Value::Object(map) => {
            let entries: HashMap<CelMapKey<'_>, Box<dyn Val>> = map.iter().map(|(k, v)| (CelMapKey::from(k.clone()), convert(v))).collect();
            Box::new(CelMap::from(entries))
        }
    }
}
