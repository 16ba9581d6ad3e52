//! Frameworks: which rules serve which control. Rules know nothing of frameworks.
//!
//! ```yaml
//! id: soc2-2017
//! title: …   version: "2017"   source: where the criteria are published
//! controls:
//!   - {id: CC6.1, title: …, text: …, satisfies: [], supports: [tls-version-minimum], record: ""}
//! ```

use std::collections::BTreeSet;

use serde::Deserialize;

use super::{Pack, PackError, Problem, embedded, file};

/// How a rule serves a control.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// Rule id.
    pub rule: String,
    /// `satisfies` (its passing is the control's evidence) or `supports` (it is a part of it).
    pub mapping: String,
}

/// One control.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Control {
    /// Id in the framework, such as `CC6.1`.
    pub id: String,
    /// Title, in our words.
    pub title: String,
    /// What it asks for, in our words.
    pub text: String,
    /// Rules that serve it.
    pub rules: Vec<Mapping>,
    /// What a person must record; empty when rules serve it alone.
    pub record: String,
}

/// One version of a framework.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Framework {
    /// Such as `soc2-2017`.
    pub id: String,
    /// Name.
    pub title: String,
    /// Version.
    pub version: String,
    /// Where the criteria are published.
    pub source: String,
    /// In the framework's order.
    pub controls: Vec<Control>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    id: String,
    title: String,
    version: String,
    source: String,
    controls: Vec<RawControl>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawControl {
    id: String,
    title: String,
    text: String,
    #[serde(default)]
    satisfies: Vec<String>,
    #[serde(default)]
    supports: Vec<String>,
    #[serde(default)]
    record: String,
}

impl Framework {
    /// Rule ids that this framework maps and the pack lacks, sorted.
    pub fn unknown_rules(&self, pack: &Pack) -> Vec<String> {
        let mapped: BTreeSet<&str> = self.controls.iter().flat_map(|c| c.rules.iter().map(|m| m.rule.as_str())).collect();
        mapped.into_iter().filter(|id| pack.rule(id).is_none()).map(String::from).collect()
    }

    /// The control of this id.
    pub fn control(&self, id: &str) -> Option<&Control> {
        self.controls.iter().find(|c| c.id == id)
    }

    /// Controls that a rule serves, in the framework's order.
    pub fn controls_of(&self, rule: &str) -> Vec<&Control> {
        self.controls.iter().filter(|c| c.rules.iter().any(|m| m.rule == rule)).collect()
    }

    /// Whether a name means this framework: its id, or its id without the version (`soc2`).
    pub fn is_called(&self, name: &str) -> bool {
        self.id == name || self.id.rsplit_once('-').is_some_and(|(family, _)| family == name)
    }
}

/// The frameworks that the program carries, by id.
pub fn builtin() -> Result<Vec<Framework>, PackError> {
    let (mut frameworks, mut problems) = (Vec::new(), Vec::new());
    for (path, bytes) in &embedded::files_below("frameworks/") {
        match std::str::from_utf8(bytes).map_err(|_| problem(path, "the file is not UTF-8".into())).and_then(|text| parse(path, text)) {
            Ok(framework) => frameworks.push(framework),
            Err(e) => problems.push(e),
        }
    }
    if problems.is_empty() { Ok(frameworks) } else { Err(PackError { problems }) }
}

/// The framework that a name means.
pub fn find<'f>(frameworks: &'f [Framework], name: &str) -> Option<&'f Framework> {
    frameworks.iter().find(|f| f.is_called(name))
}

/// Reads one framework file.
pub fn parse(path: &str, text: &str) -> Result<Framework, Problem> {
    let raw: Raw = file::yaml(path, text)?;
    let mut ids = BTreeSet::new();
    let mut controls = Vec::new();
    for control in raw.controls {
        if !ids.insert(control.id.clone()) {
            return Err(problem(path, format!("control {} is there twice: remove one", control.id)));
        }
        let named = |rules: &[String], mapping: &str| -> Vec<Mapping> { rules.iter().map(|r| Mapping { rule: r.clone(), mapping: mapping.into() }).collect() };
        let rules = [named(&control.satisfies, "satisfies"), named(&control.supports, "supports")].concat();
        let distinct: BTreeSet<&str> = rules.iter().map(|m| m.rule.as_str()).collect();
        if distinct.len() != rules.len() {
            return Err(problem(path, format!("control {} names a rule twice: remove one", control.id)));
        }
        if rules.is_empty() && control.record.trim().is_empty() {
            return Err(problem(path, format!("control {} has neither a rule nor a record: say what a person records", control.id)));
        }
        if control.title.trim().is_empty() || control.text.trim().is_empty() {
            return Err(problem(path, format!("control {} lacks title or text", control.id)));
        }
        controls.push(Control { id: control.id, title: control.title, text: control.text.trim().into(), rules, record: control.record.trim().into() });
    }
    Ok(Framework { id: raw.id, title: raw.title, version: raw.version, source: raw.source, controls })
}

fn problem(path: &str, text: String) -> Problem {
    Problem { file: path.into(), line: 1, column: 1, text }
}
