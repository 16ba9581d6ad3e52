//! Expressions of rules: the only importer of the CEL engine (Common Expression Language).
//!
//! An expression is compiled and walked once, when its rule loads. The walk finds every path that
//! can be read and refuses what is wrong or could run long; evaluation then only computes.

mod run;
mod walk;

use std::sync::Arc;

use cel::Program;
use cel::common::ast::IdedExpr;
use cel::parser::PrattParser;

pub use run::{Engine, Fault, Patterns, Scope, Values, bounded};
use walk::Decider;
pub use walk::Read;

use super::schema::Schemas;

/// Longest expression, bytes.
pub const MAX_BYTES: usize = 2048;
/// Deepest expression, levels of the parsed tree.
pub const MAX_DEPTH: usize = 24;
/// Deepest brackets; each costs a parser more stack than a level of the tree does, and some add no level.
const MAX_BRACKETS: usize = 96;

/// What is wrong with an expression.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct ExprError {
    /// Offset of the offending part in the expression, characters.
    pub offset: usize,
    /// One sentence fragment.
    pub text: String,
}

/// A compiled expression.
#[derive(Clone, Debug)]
pub struct Expression {
    /// As written.
    pub source: String,
    /// Every path that can be read.
    pub reads: Vec<Read>,
    /// The quantifiers over families' lists, for citing the elements that decide.
    deciders: Arc<Vec<Decider>>,
    tree: Arc<IdedExpr>,
}

/// The type an expression must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// Truth value.
    Bool,
    /// Text.
    Text,
    /// Anything that can stand in a message.
    Shown,
}

impl Expression {
    /// Compiles; `for_each` is the path of the list whose element is `item`. Patterns of
    /// `matches` are added to `patterns`.
    pub fn compile(source: &str, want: Want, schemas: &Schemas, for_each: Option<&str>, patterns: &mut Patterns) -> Result<Self, ExprError> {
        let source = source.trim();
        let fail = |offset, text: String| ExprError { offset, text };
        if source.is_empty() {
            return Err(fail(0, "the expression is empty".into()));
        }
        if source.len() > MAX_BYTES {
            return Err(fail(0, format!("the expression is longer than {MAX_BYTES} bytes")));
        }
        if let Some(offset) = too_deep(source) {
            return Err(fail(offset, format!("its brackets are nested deeper than {MAX_BRACKETS} levels")));
        }
        // A parser by hand (Pratt) that knows no places: it takes a tenth of the time and memory of the generated one, which tells
        // where a refused expression is wrong.
        if let Ok(Ok(tree)) = std::panic::catch_unwind(|| PrattParser::new().parse(source))
            && let Ok((reads, deciders)) = walk::walk(&tree, want, schemas, for_each, patterns)
        {
            return Ok(Self { source: source.into(), reads, deciders: Arc::new(deciders), tree: Arc::new(tree) });
        }
        let program = parse(source)?;
        let at = |id| program.source_info().offset_for(id).map_or(0, |(start, _)| start as usize);
        match walk::walk(program.expression(), want, schemas, for_each, patterns) {
            Err((id, text)) => Err(fail(at(id), text)),
            Ok(_) => Err(fail(0, "two parsers read the expression differently: write it more plainly".into())),
        }
    }
}

/// Where brackets are nested deeper than a parser's stack bears. Those in texts count too: no rule comes near.
fn too_deep(source: &str) -> Option<usize> {
    let mut depth = 0_usize;
    for (offset, letter) in source.chars().enumerate() {
        match letter {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_BRACKETS {
            return Some(offset);
        }
    }
    None
}

/// Parses with places; the parser's recursion is bounded by its own limit of 96 levels, ours is checked after.
fn parse(source: &str) -> Result<Program, ExprError> {
    let parsed = std::panic::catch_unwind(|| Program::compile(source));
    match parsed {
        Ok(Ok(program)) => Ok(program),
        Ok(Err(errors)) => {
            let (offset, text) = errors.errors.first().map_or((0, "it does not parse".to_string()), |e| {
                let (line, column) = (usize::try_from(e.pos.0).unwrap_or(1), usize::try_from(e.pos.1).unwrap_or(1));
                let before: usize = source.lines().take(line.saturating_sub(1)).map(|l| l.chars().count() + 1).sum();
                (before + column.saturating_sub(1), first_line(&e.msg))
            });
            Err(ExprError { offset, text: format!("the expression does not parse: {text}") })
        }
        Err(_) => Err(ExprError { offset: 0, text: "the expression does not parse".into() }),
    }
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().trim().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::embedded;

    /// A tree without the numbers of its nodes, which each parser gives in an order of its own.
    fn shape(tree: &IdedExpr) -> String {
        regex_lite::Regex::new(r"\bid: \d+").unwrap().replace_all(&format!("{tree:?}"), "id").into_owned()
    }

    #[test]
    fn both_parsers_read_every_rule_alike() {
        let mut read = 0;
        for (path, bytes) in embedded::files_below("checks/") {
            let rule: serde_json::Value = serde_saphyr::from_slice(&bytes).unwrap();
            for key in ["applies", "assert", "unknown"] {
                let Some(source) = rule[key].as_str() else { continue };
                let (quick, placed) = (PrattParser::new().parse(source).unwrap(), Program::compile(source).unwrap());
                assert_eq!(shape(&quick), shape(placed.expression()), "{path}: {key}");
                read += 1;
            }
        }
        assert!(read > 300, "{read}");
    }
}
