//! Finds what an expression reads and what is wrong with it, before it ever runs.

use std::collections::BTreeSet;

use cel::IdedExpr;
use cel::common::ast::{CallExpr, ComprehensionExpr, Expr, LiteralValue, SelectExpr, operators as op};

use super::run::Patterns;
use super::{MAX_DEPTH, Want};
use crate::rules::schema::{At, ITEM, Schemas, Type};

/// One path that an expression can read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Read {
    /// Dotted, variable first, list indices left out: `tls.endpoints.accepted`.
    pub path: String,
    /// Whether it is reached through `item`, so that only one element is read.
    pub item: bool,
    /// Whether the whole value counts; else only that it is there and how long it is.
    pub whole: bool,
}

/// What is known of a value's type.
#[derive(Clone, Debug)]
pub enum Kind<'s> {
    /// From a schema.
    Is(Type<'s>),
    /// A list made by the expression, of such elements.
    Built(Option<Box<Shape<'s>>>),
}

/// A value as the walk sees it.
#[derive(Clone, Debug)]
pub struct Shape<'s> {
    kind: Kind<'s>,
    path: Option<String>,
    item: bool,
    /// Whether a list here can be as long as a family's.
    long: bool,
}

/// An `all` or `exists` over a list of a family, not inside another.
#[derive(Clone, Debug)]
pub(super) struct Decider {
    /// Path of the list.
    pub path: String,
    /// Name of the element.
    pub variable: String,
    /// What is asked of each element.
    pub predicate: IdedExpr,
    /// The answer that ends the walk: `false` of `all`, `true` of `exists`.
    pub decides: bool,
}

type Problem = (u64, String);
type Walked<'s> = Result<Shape<'s>, Problem>;

/// Every path that `expr` reads, sorted; or the id of the offending node and what is wrong.
pub(super) fn walk(
    expr: &IdedExpr,
    want: Want,
    schemas: &Schemas,
    for_each: Option<&str>,
    patterns: &mut Patterns,
) -> Result<(Vec<Read>, Vec<Decider>), Problem> {
    let mut walk = Walk { schemas, item: None, bound: Vec::new(), reads: BTreeSet::new(), patterns, deciders: Vec::new(), inside_long: 0, depth: 0 };
    walk.item = for_each.map(|path| walk.element(path)).transpose().map_err(|text| (expr.id, text))?;
    let shape = walk.expr(expr)?;
    walk.uses(&shape);
    let fits = match want {
        Want::Bool => is(&shape, &[Word::Truth]),
        Want::Text => is(&shape, &[Word::Text]),
        Want::Shown => is(&shape, &[Word::Text, Word::Number, Word::Truth, Word::List]),
    };
    if !fits {
        let wanted = match want {
            Want::Bool => "a truth value",
            Want::Text => "text",
            Want::Shown => "text, a number, a truth value or a list",
        };
        return Err((expr.id, format!("the expression is {}, not {wanted}", word(&shape).say())));
    }
    Ok((walk.reads.into_iter().collect(), walk.deciders))
}

struct Walk<'s, 'p> {
    schemas: &'s Schemas<'s>,
    item: Option<Shape<'s>>,
    bound: Vec<(String, Shape<'s>)>,
    reads: BTreeSet<Read>,
    patterns: &'p mut Patterns,
    deciders: Vec<Decider>,
    inside_long: usize,
    depth: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    Anything,
    Null,
    Truth,
    Number,
    Text,
    List,
    Record,
}

impl Word {
    const fn say(self) -> &'static str {
        match self {
            Self::Anything => "of unknown type",
            Self::Null => "null",
            Self::Truth => "a truth value",
            Self::Number => "a number",
            Self::Text => "text",
            Self::List => "a list",
            Self::Record => "an object",
        }
    }
}

fn word(shape: &Shape<'_>) -> Word {
    match &shape.kind {
        Kind::Built(_) | Kind::Is(Type::List(_)) => Word::List,
        Kind::Is(Type::Any) => Word::Anything,
        Kind::Is(Type::Null) => Word::Null,
        Kind::Is(Type::Bool) => Word::Truth,
        Kind::Is(Type::Int) => Word::Number,
        Kind::Is(Type::Text) => Word::Text,
        Kind::Is(Type::Record(_) | Type::Table(_)) => Word::Record,
    }
}

fn is(shape: &Shape<'_>, words: &[Word]) -> bool {
    let word = word(shape);
    word == Word::Anything || words.contains(&word)
}

const fn made(kind: Type<'_>) -> Shape<'_> {
    Shape { kind: Kind::Is(kind), path: None, item: false, long: false }
}

impl<'s> Walk<'s, '_> {
    /// Shape of one element of the list at a dotted path of records.
    fn element(&self, path: &str) -> Result<Shape<'s>, String> {
        let mut names = path.split('.');
        let root = names.next().unwrap_or_default();
        let mut kind = self.schemas.variable(root).ok_or_else(|| format!("for_each: there is no family {root}"))?;
        for name in names {
            let Type::Record(record) = kind else {
                return Err(format!("for_each: {path} leads through something that is not an object"));
            };
            kind = record.field(name).ok_or_else(|| no_field(path, name, record))?.kind();
        }
        match kind {
            Type::List(items) => Ok(Shape { kind: Kind::Is(items.kind()), path: Some(path.into()), item: true, long: false }),
            _ => Err(format!("for_each: {path} is not a list")),
        }
    }

    fn expr(&mut self, expr: &IdedExpr) -> Walked<'s> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err((expr.id, format!("the expression is nested deeper than {MAX_DEPTH} levels")));
        }
        let shape = match &expr.expr {
            Expr::Literal(literal) => literal_shape(expr.id, literal)?,
            Expr::Ident(name) => self.ident(expr.id, name)?,
            Expr::Select(select) => self.select(expr.id, select)?,
            Expr::Call(call) => self.call(expr.id, call)?,
            Expr::Comprehension(comprehension) => self.comprehension(expr.id, comprehension)?,
            Expr::List(list) if list.optional_indices.is_empty() => self.list(&list.elements)?,
            _ => return Err((expr.id, "objects and optional values are not used in rules".into())),
        };
        self.depth -= 1;
        Ok(shape)
    }

    fn ident(&self, id: u64, name: &str) -> Walked<'s> {
        if let Some((_, shape)) = self.bound.iter().rev().find(|(bound, _)| bound == name) {
            return Ok(shape.clone());
        }
        if name == ITEM {
            return self.item.clone().ok_or_else(|| (id, "item is only there under for_each".into()));
        }
        let kind = self.schemas.variable(name).ok_or_else(|| {
            let names: Vec<&str> = self.schemas.names().collect();
            (id, format!("there is no variable {name}; there are {}", names.join(", ")))
        })?;
        Ok(Shape { kind: Kind::Is(kind), path: Some(name.into()), item: false, long: name != crate::rules::schema::POLICY })
    }

    fn select(&mut self, id: u64, select: &SelectExpr) -> Walked<'s> {
        let operand = self.expr(&select.operand)?;
        let shape = self.field(id, &operand, &select.field)?;
        if select.test {
            self.there(&shape);
            return Ok(made(Type::Bool));
        }
        Ok(shape)
    }

    fn field(&mut self, id: u64, operand: &Shape<'s>, name: &str) -> Walked<'s> {
        let kind = match operand.kind {
            Kind::Is(Type::Record(record)) => {
                let path = operand.path.as_deref().unwrap_or("it");
                record.field(name).ok_or_else(|| (id, no_field(path, name, record)))?.kind()
            }
            Kind::Is(Type::Table(values)) => values.kind(),
            Kind::Is(Type::Any) => Type::Any,
            _ => return Err((id, format!("{} has no field {name}: it is {}", operand.path.as_deref().unwrap_or("this"), word(operand).say()))),
        };
        let path = operand.path.as_ref().map(|p| format!("{p}.{name}"));
        Ok(Shape { kind: Kind::Is(kind), path, item: operand.item, long: operand.long })
    }

    fn list(&mut self, elements: &[IdedExpr]) -> Walked<'s> {
        let mut first: Option<Shape<'s>> = None;
        for element in elements {
            let shape = self.expr(element)?;
            if let Some(first) = &first {
                self.uses(&shape);
                same(element.id, first, &shape)?;
            } else {
                first = Some(shape);
            }
        }
        if elements.len() > 1
            && let Some(first) = &first
        {
            self.uses(first);
        }
        Ok(Shape { kind: Kind::Built(first.map(Box::new)), path: None, item: false, long: false })
    }

    fn comprehension(&mut self, id: u64, c: &ComprehensionExpr) -> Walked<'s> {
        let range = self.expr(&c.iter_range)?;
        if c.iter_var2.is_some() || !is(&range, &[Word::List]) {
            return Err((id, format!("only lists are walked through, this is {}", word(&range).say())));
        }
        self.there(&range);
        if range.long && self.inside_long > 0 {
            return Err((id, "one family's list is walked inside another: use `in`, or for_each for the outer one".into()));
        }
        if self.schemas.variable(&c.iter_var).is_some() || c.iter_var == ITEM {
            return Err((id, format!("{} is the name of a variable already", c.iter_var)));
        }
        self.decider(c, &range);
        let init = self.expr(&c.accu_init)?;
        let element = self.element_of(&range);
        self.inside_long += usize::from(range.long);
        let mark = self.bound.len();
        self.bound.push((c.accu_var.clone(), init));
        self.bound.push((c.iter_var.clone(), element));
        self.expr(&c.loop_cond)?;
        let step = self.expr(&c.loop_step)?;
        self.bound.truncate(mark);
        self.inside_long -= usize::from(range.long);
        self.bound.push((c.accu_var.clone(), step));
        let mut result = self.expr(&c.result)?;
        self.bound.truncate(mark);
        result.long |= range.long && matches!(result.kind, Kind::Built(_));
        Ok(result)
    }

    /// Remembers `all` and `exists` over a family's own list, outside any other walk.
    fn decider(&mut self, c: &ComprehensionExpr, range: &Shape<'s>) {
        let (Some(path), Expr::Call(step), true) = (&range.path, &c.loop_step.expr, self.bound.is_empty() && !range.item) else {
            return;
        };
        let decides = match step.func_name.as_str() {
            op::LOGICAL_AND => false,
            op::LOGICAL_OR => true,
            _ => return,
        };
        if let Some(predicate) = step.args.get(1) {
            self.deciders.push(Decider { path: path.clone(), variable: c.iter_var.clone(), predicate: predicate.clone(), decides });
        }
    }

    fn element_of(&self, list: &Shape<'s>) -> Shape<'s> {
        match &list.kind {
            Kind::Is(Type::List(items)) => Shape { kind: Kind::Is(items.kind()), path: list.path.clone(), item: list.item, long: false },
            Kind::Built(Some(element)) => Shape { long: false, ..(**element).clone() },
            _ => Shape { kind: Kind::Is(Type::Any), path: list.path.clone(), item: list.item, long: false },
        }
    }

    fn call(&mut self, id: u64, call: &CallExpr) -> Walked<'s> {
        if let Some(target) = &call.target {
            let all: Vec<&IdedExpr> = std::iter::once(&**target).chain(&call.args).collect();
            return match call.func_name.as_str() {
                "startsWith" | "endsWith" | "contains" => self.fixed(id, &all, &[&[Word::Text], &[Word::Text]], Type::Bool),
                "size" => self.size(id, &all),
                other => Err((id, format!("there is no method {other}; there are all, exists, exists_one, filter, map, startsWith, endsWith, contains, size"))),
            };
        }
        let all: Vec<&IdedExpr> = call.args.iter().collect();
        const BOTH_TRUTH: &[&[Word]] = &[&[Word::Truth], &[Word::Truth]];
        const BOTH_NUMBERS: &[&[Word]] = &[&[Word::Number], &[Word::Number]];
        match call.func_name.as_str() {
            op::LOGICAL_AND | op::LOGICAL_OR => self.fixed(id, &all, BOTH_TRUTH, Type::Bool),
            op::LOGICAL_NOT | op::NOT_STRICTLY_FALSE => self.fixed(id, &all, &[&[Word::Truth]], Type::Bool),
            op::SUBSTRACT | op::MULTIPLY | op::DIVIDE | op::MODULO => self.fixed(id, &all, BOTH_NUMBERS, Type::Int),
            op::NEGATE => self.fixed(id, &all, &[&[Word::Number]], Type::Int),
            op::EQUALS | op::NOT_EQUALS => self.equality(id, &all),
            op::LESS | op::LESS_EQUALS | op::GREATER | op::GREATER_EQUALS => self.order(id, &all),
            op::ADD => self.add(id, &all),
            op::IN => self.contained(id, &all),
            op::CONDITIONAL => self.conditional(id, &all),
            op::INDEX => self.index(id, &all),
            "size" => self.size(id, &all),
            "string" => self.fixed(id, &all, &[&[Word::Number, Word::Text, Word::Truth]], Type::Text),
            "days" => self.fixed(id, &all, &[&[Word::Number]], Type::Int),
            "octal" => self.fixed(id, &all, &[&[Word::Number]], Type::Text),
            "date" => self.fixed(id, &all, &[&[Word::Number]], Type::Text),
            "join" => self.fixed(id, &all, &[&[Word::List], &[Word::Text]], Type::Text),
            "brief" => self.fixed(id, &all, &[&[Word::List], &[Word::Number]], Type::Text),
            "matches" => self.matches(id, &all),
            other => Err((
                id,
                format!(
                    "there is no function {other}; there are size, join, brief, matches, days, date, octal, string and the macros has, all, exists, filter, map"
                ),
            )),
        }
    }

    fn fixed(&mut self, id: u64, args: &[&IdedExpr], wants: &[&[Word]], result: Type<'s>) -> Walked<'s> {
        if args.len() != wants.len() {
            return Err((id, format!("{} values are given where {} are needed", args.len(), wants.len())));
        }
        for (arg, want) in args.iter().zip(wants) {
            let shape = self.expr(arg)?;
            self.uses(&shape);
            if !is(&shape, want) {
                let wanted: Vec<&str> = want.iter().map(|w| w.say()).collect();
                return Err((arg.id, format!("{} is {}, not {}", shape.path.as_deref().unwrap_or("this"), word(&shape).say(), wanted.join(" or "))));
            }
        }
        Ok(made(result))
    }

    fn size(&mut self, id: u64, args: &[&IdedExpr]) -> Walked<'s> {
        let [arg] = args else {
            return Err((id, "size takes one value".into()));
        };
        let shape = self.expr(arg)?;
        if !is(&shape, &[Word::List, Word::Text]) {
            return Err((arg.id, format!("size is of a list or text, this is {}", word(&shape).say())));
        }
        self.there(&shape);
        Ok(made(Type::Int))
    }

    fn pair(&mut self, id: u64, args: &[&IdedExpr]) -> Result<(Shape<'s>, Shape<'s>), Problem> {
        let [left, right] = args else {
            return Err((id, "two values are needed".into()));
        };
        Ok((self.expr(left)?, self.expr(right)?))
    }

    fn equality(&mut self, id: u64, args: &[&IdedExpr]) -> Walked<'s> {
        let (left, right) = self.pair(id, args)?;
        if word(&left) == Word::Null || word(&right) == Word::Null {
            self.there(&left);
            self.there(&right);
        } else {
            self.uses(&left);
            self.uses(&right);
            same(id, &left, &right)?;
        }
        Ok(made(Type::Bool))
    }

    fn order(&mut self, id: u64, args: &[&IdedExpr]) -> Walked<'s> {
        let (left, right) = self.pair(id, args)?;
        self.uses(&left);
        self.uses(&right);
        same(id, &left, &right)?;
        if !is(&left, &[Word::Number, Word::Text]) || !is(&right, &[Word::Number, Word::Text]) {
            return Err((id, format!("{} has no order", word(&left).say())));
        }
        Ok(made(Type::Bool))
    }

    fn add(&mut self, id: u64, args: &[&IdedExpr]) -> Walked<'s> {
        let (left, right) = self.pair(id, args)?;
        same(id, &left, &right)?;
        match word(&left) {
            Word::List => Ok(self.either(left, right)),
            Word::Number | Word::Text | Word::Anything => {
                self.uses(&left);
                self.uses(&right);
                Ok(Shape { kind: left.kind, ..made(Type::Any) })
            }
            other => Err((id, format!("{} can't be added", other.say()))),
        }
    }

    fn contained(&mut self, id: u64, args: &[&IdedExpr]) -> Walked<'s> {
        let (left, right) = self.pair(id, args)?;
        self.uses(&left);
        self.uses(&right);
        if !is(&right, &[Word::List]) {
            return Err((id, format!("`in` needs a list, this is {}", word(&right).say())));
        }
        let element = self.element_of(&right);
        same(id, &left, &element)?;
        Ok(made(Type::Bool))
    }

    fn conditional(&mut self, id: u64, args: &[&IdedExpr]) -> Walked<'s> {
        let [condition, yes, no] = args else {
            return Err((id, "a condition needs two branches".into()));
        };
        self.fixed(id, &[condition], &[&[Word::Truth]], Type::Bool)?;
        let (yes, no) = (self.expr(yes)?, self.expr(no)?);
        same(id, &yes, &no)?;
        if word(&yes) == Word::List {
            return Ok(self.either(yes, no));
        }
        self.uses(&yes);
        self.uses(&no);
        Ok(Shape { kind: yes.kind, ..made(Type::Any) })
    }

    fn index(&mut self, id: u64, args: &[&IdedExpr]) -> Walked<'s> {
        let [list, index] = args else {
            return Err((id, "an index needs a list".into()));
        };
        let shape = self.expr(list)?;
        if let (Word::Record | Word::Anything, Expr::Literal(LiteralValue::String(name))) = (word(&shape), &index.expr) {
            return self.field(id, &shape, name.inner());
        }
        let at = self.expr(index)?;
        self.uses(&at);
        self.there(&shape);
        if !is(&shape, &[Word::List]) || !is(&at, &[Word::Number]) {
            return Err((id, format!("{} can't be indexed by {}", word(&shape).say(), word(&at).say())));
        }
        Ok(Shape { long: shape.long, ..self.element_of(&shape) })
    }

    fn matches(&mut self, id: u64, args: &[&IdedExpr]) -> Walked<'s> {
        let shape = self.fixed(id, args, &[&[Word::Text], &[Word::Text]], Type::Bool)?;
        let Some(Expr::Literal(LiteralValue::String(pattern))) = args.get(1).map(|a| &a.expr) else {
            return Err((id, "the pattern of matches must be written out, so that it is checked when the rule loads".into()));
        };
        self.patterns.add(pattern.inner()).map_err(|text| (id, text))?;
        Ok(shape)
    }

    /// Of two lists, the one whose elements are known; the other one counts as read.
    fn either(&mut self, left: Shape<'s>, right: Shape<'s>) -> Shape<'s> {
        let long = left.long || right.long;
        if matches!(left.kind, Kind::Built(None)) {
            return Shape { long, ..right };
        }
        self.uses(&right);
        Shape { long, ..left }
    }

    /// The whole value counts.
    fn uses(&mut self, shape: &Shape<'s>) {
        if let Some(path) = &shape.path {
            self.reads.insert(Read { path: path.clone(), item: shape.item, whole: true });
        } else if let Kind::Built(Some(element)) = &shape.kind {
            self.uses(element);
        }
    }

    /// Only its presence and length count.
    fn there(&mut self, shape: &Shape<'s>) {
        if let Some(path) = &shape.path {
            self.reads.insert(Read { path: path.clone(), item: shape.item, whole: false });
        }
    }
}

fn literal_shape<'s>(id: u64, literal: &LiteralValue) -> Walked<'s> {
    Ok(made(match literal {
        LiteralValue::Boolean(_) => Type::Bool,
        LiteralValue::Int(_) => Type::Int,
        LiteralValue::Null => Type::Null,
        LiteralValue::String(_) => Type::Text,
        _ => return Err((id, "numbers are integers, written plainly".into())),
    }))
}

fn same(id: u64, left: &Shape<'_>, right: &Shape<'_>) -> Result<(), Problem> {
    let (l, r) = (word(left), word(right));
    if l == r || [l, r].iter().any(|w| matches!(w, Word::Anything | Word::Null)) {
        return Ok(());
    }
    let name = |s: &Shape<'_>| s.path.clone().unwrap_or_else(|| "one side".into());
    Err((id, format!("{} is {}, {} is {}: they can't go together", name(left), l.say(), name(right).replace("one side", "the other"), r.say())))
}

fn no_field(path: &str, name: &str, record: At<'_>) -> String {
    format!("{path} has no field {name}; it has {}", record.fields().join(", "))
}
