//! What becomes of a connection that no rule names, from rules as written.

use std::collections::BTreeMap;

/// Deepest jump followed.
const DEPTH: usize = 16;

/// What a rule set makes of a new connection that no rule of it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Dropped or refused.
    Drop,
    /// Accepted.
    Accept,
    /// It says nothing about it.
    None,
    /// It can't be told.
    Unknown,
}

impl Fate {
    /// Its word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Drop => "drop",
            Self::Accept => "accept",
            Self::None => "none",
            Self::Unknown => "unknown",
        }
    }

    /// Of two rule sets that a packet has to pass both.
    pub const fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Drop, _) | (_, Self::Drop) => Self::Drop,
            (Self::Unknown, _) | (_, Self::Unknown) => Self::Unknown,
            (Self::Accept, _) | (_, Self::Accept) => Self::Accept,
            (Self::None, Self::None) => Self::None,
        }
    }
}

/// What a rule does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Does {
    /// Accepts.
    Accept,
    /// Drops or refuses.
    Drop,
    /// Back to the chain before.
    Return,
    /// On in another chain, and back.
    Jump(String),
    /// On in another chain.
    Goto(String),
    /// Nothing that decides.
    Nothing,
}

/// For which packets a rule is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All.
    Everything,
    /// Some, named by address, port, or a state that a new connection lacks.
    Named,
    /// Perhaps most: of an interface or a protocol.
    Wide,
}

/// A rule as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// For which packets.
    pub scope: Scope,
    /// What it does.
    pub does: Does,
}

/// Rules by chain.
pub type Rules = BTreeMap<String, Vec<Written>>;

/// What becomes of a packet that comes to a base chain.
pub fn fate(chains: &Rules, base: &str, policy: Fate) -> Fate {
    run(chains, base, 0).unwrap_or(policy)
}

/// `None` at the end of the chain.
fn run(chains: &Rules, name: &str, depth: usize) -> Option<Fate> {
    if depth > DEPTH {
        return Some(Fate::Unknown);
    }
    let mut wide = Vec::new();
    let mut end = None;
    for rule in chains.get(name)? {
        let fate = match &rule.does {
            Does::Accept => Some(Fate::Accept),
            Does::Drop => Some(Fate::Drop),
            Does::Return => None,
            Does::Jump(next) | Does::Goto(next) => run(chains, next, depth + 1),
            Does::Nothing => continue,
        };
        match (rule.scope, fate) {
            (Scope::Named, _) => {}
            (Scope::Wide, Some(fate)) => wide.push(fate),
            (Scope::Everything, Some(fate)) => {
                end = Some(fate);
                break;
            }
            (Scope::Everything, None) if matches!(rule.does, Does::Return | Does::Goto(_)) => break,
            (Scope::Wide | Scope::Everything, None) => {}
        }
    }
    // A rule for most packets that decides otherwise leaves it open.
    match (end, wide.as_slice()) {
        (end, []) => end,
        (Some(end), wide) if wide.iter().all(|w| *w == end) => Some(end),
        (None, wide) if wide.iter().all(|w| *w == Fate::Accept) => Some(Fate::Unknown),
        _ => Some(Fate::Unknown),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_counts() {
        let rule = |scope, does| Written { scope, does };
        let chains = |rules: Vec<Written>| Rules::from([("in".to_string(), rules), ("end".to_string(), vec![rule(Scope::Everything, Does::Drop)])]);
        let of = |rules, policy| fate(&chains(rules), "in", policy);
        assert_eq!(of(vec![], Fate::Drop), Fate::Drop);
        assert_eq!(of(vec![rule(Scope::Named, Does::Accept)], Fate::Drop), Fate::Drop);
        assert_eq!(of(vec![rule(Scope::Named, Does::Drop)], Fate::Accept), Fate::Accept);
        assert_eq!(of(vec![rule(Scope::Everything, Does::Jump("end".into()))], Fate::Accept), Fate::Drop);
        assert_eq!(of(vec![rule(Scope::Wide, Does::Drop)], Fate::Accept), Fate::Unknown);
        assert_eq!(of(vec![rule(Scope::Everything, Does::Jump("in".into()))], Fate::Accept), Fate::Unknown);
    }
}
