//! Conditions of a rule, and every way in which they hold.

/// Most ways kept of one rule.
pub const WAY_LIMIT: usize = 256;
/// The smallest thing that is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Literal {
    /// An action id; `*` for any text.
    Action(String),
    /// `unix-user:NAME` or `unix-group:NAME`.
    Who(String),
    /// `active` or `local`.
    Session(String),
    /// Something else that was understood.
    Other(String),
    /// Something that was not understood.
    Unknown,
}

/// A condition as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// The literal holds.
    Is(Literal),
    /// It does not.
    Not(Box<Condition>),
    /// Each one holds.
    All(Vec<Condition>),
    /// One of them holds.
    Any(Vec<Condition>),
}

/// The condition, or its opposite.
pub fn negate_unless(condition: Condition, keep: bool) -> Condition {
    if keep { condition } else { Condition::Not(Box::new(condition)) }
}

/// A literal and whether it must hold.
pub type Term = (Literal, bool);

/// Disjunctive form; `None` above the limit.
pub fn terms(condition: &Condition, holds: bool) -> Option<Vec<Vec<Term>>> {
    match condition {
        Condition::Is(literal) => Some(vec![vec![(literal.clone(), holds)]]),
        Condition::Not(inner) => terms(inner, !holds),
        Condition::All(items) if holds => product(items, true),
        Condition::Any(items) if !holds => product(items, false),
        Condition::All(items) | Condition::Any(items) => {
            let mut out = Vec::new();
            for item in items {
                out.extend(terms(item, holds)?);
            }
            (out.len() <= WAY_LIMIT).then_some(out)
        }
    }
}

fn product(items: &[Condition], holds: bool) -> Option<Vec<Vec<Term>>> {
    let mut out: Vec<Vec<Term>> = vec![Vec::new()];
    for item in items {
        out = both(&out, &terms(item, holds)?)?;
    }
    Some(out)
}

/// Each of the left with each of the right; `None` above the limit.
pub fn both(left: &[Vec<Term>], right: &[Vec<Term>]) -> Option<Vec<Vec<Term>>> {
    if left.len().saturating_mul(right.len()) > WAY_LIMIT {
        return None;
    }
    Some(left.iter().flat_map(|l| right.iter().map(move |r| l.iter().chain(r).cloned().collect())).collect())
}

/// Leaves out what contradicts itself: a literal and its opposite, two different exact actions or users.
pub fn possible(ways: Vec<Vec<Term>>) -> Vec<Vec<Term>> {
    let exact = |l: &Literal| matches!(l, Literal::Action(id) if !id.contains('*')) || matches!(l, Literal::Who(w) if w.starts_with("unix-user:"));
    let same = |a: &Literal, b: &Literal| std::mem::discriminant(a) == std::mem::discriminant(b);
    let clash = |(a, x): &Term, (b, y): &Term| (a == b && x != y && *a != Literal::Unknown) || (*x && *y && a != b && same(a, b) && exact(a) && exact(b));
    ways.into_iter().filter(|terms| !terms.iter().enumerate().any(|(i, a)| terms.iter().skip(i + 1).any(|b| clash(a, b)))).collect()
}
