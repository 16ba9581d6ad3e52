//! Runs the examples that every rule carries.

use super::evaluate::{Facts, judge};
use super::file::{Example, Rule};
use super::{Pack, schema};
use crate::model::finding::Finding;

/// An example that does not come out as written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {rule}: {text}")]
pub struct Failure {
    /// Rule id.
    pub rule: String,
    /// File of the rule.
    pub file: String,
    /// Line of the example.
    pub line: u64,
    /// What was expected and what came out.
    pub text: String,
}

/// How many examples were run, and those that failed.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Examples run.
    pub run: usize,
    /// Those that came out otherwise.
    pub failures: Vec<Failure>,
}

/// Runs every example of every rule of the pack.
pub fn run(pack: &Pack) -> Outcome {
    let mut outcome = Outcome::default();
    for rule in &pack.rules {
        for example in rule.examples.iter() {
            outcome.run += 1;
            if let Err(text) = check(pack, rule, example) {
                outcome.failures.push(Failure { rule: rule.id.clone(), file: rule.file.clone(), line: example.line, text });
            }
        }
    }
    outcome
}

fn check(pack: &Pack, rule: &Rule, example: &Example) -> Result<(), String> {
    let findings = findings(pack, rule, example);
    let worst = findings.first().ok_or("no finding came out")?;
    let said = |f: &Finding| format!("{}{}", f.verdict.id(), if f.message.is_empty() { String::new() } else { format!(" ({})", f.message) });
    if worst.verdict != example.verdict {
        return Err(format!("expected {}, came out {}", example.verdict.id(), said(worst)));
    }
    match &example.message {
        Some(message) if *message != worst.message => Err(format!("expected the message {message:?}, came out {:?}", worst.message)),
        _ => Ok(()),
    }
}

/// What the rule says of an example, worst first.
pub fn findings(pack: &Pack, rule: &Rule, example: &Example) -> Vec<Finding> {
    let families = example.facts.iter().map(|(name, value)| (name.as_str(), value)).filter(|(name, _)| *name != schema::POLICY);
    let facts = Facts { families: families.collect(), gaps: example.gaps.iter().collect(), policy: example.policy.as_facts(), now: example.now };
    judge(&[rule], pack.patterns(), &facts)
}
