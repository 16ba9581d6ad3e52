//! Frameworks and commitment pages: which rules serve which control, and which prove which promise. Rules know nothing of frameworks.
//!
//! ```yaml
//! # rules/frameworks/NAME.yaml
//! id: soc2-2017
//! title: …   version: "2017"   source: where the criteria are published
//! controls:
//!   - {id: CC6.1, title: …, text: …, satisfies: [], supports: [tls-version-minimum], record: what a person says, records: [access-reviews]}
//!
//! # rules/commitments/NAME.yaml: a page that a company publishes, sentence by sentence
//! id: crm-cloud
//! title: …   version: "2026-11"   source: where the page stands
//! sentences:
//!   - {id: B3, title: …, text: the sentence, rules: [tls-version-minimum], fleet: "", record: "", records: [],
//!      told: [windows], publish: true, wording: what the public reads of it}
//! ```
//! `told` names what the collector looks at to tell what `fleet` says (see [`Check`]); without it only an export does.
//! `records` names the record types (`rules/records/NAME.yaml`) that hold what `record` asks for.
//! Everything that takes a framework takes a page: a sentence is a control whose rules all have to hold.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_saphyr::Spanned;

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
    /// What the collector tells from many reports, lists and its ledger, beside the rules; may be empty.
    pub fleet: String,
    /// What it looks at for that; empty: only an export tells.
    pub told: Vec<Check>,
    /// What a person must record; empty when nothing is needed.
    pub record: String,
    /// Record types that hold it.
    pub records: Vec<String>,
}

/// What the collector looks at to tell what is said of the fleet as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Check {
    /// Each planned scan that ended last was made, on every host that counts.
    Windows,
    /// No host that counts is silent.
    Silence,
    /// A list of people is in force, so that leavers are known.
    Roster,
    /// An export of evidence was made within a year.
    Exports,
    /// Everything that was recorded stands in the ledger.
    Ledger,
    /// The rules of the sentence tell it.
    Rules,
    /// The records of the sentence tell it.
    Records,
}

/// What a file of controls is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Criteria that others publish.
    Framework,
    /// A page of promises that a company publishes; its controls are the sentences.
    Commitments,
}

/// One version of a framework, or a page of commitments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Framework {
    /// What it is.
    pub kind: Kind,
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
    #[serde(default)]
    records: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPage {
    id: String,
    title: String,
    version: String,
    source: String,
    sentences: Vec<RawSentence>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSentence {
    id: String,
    title: String,
    text: String,
    #[serde(default)]
    rules: Vec<Spanned<String>>,
    #[serde(default)]
    fleet: String,
    #[serde(default)]
    told: Vec<Check>,
    #[serde(default)]
    record: String,
    #[serde(default)]
    records: Vec<Spanned<String>>,
    publish: Option<Spanned<bool>>,
    wording: Option<String>,
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

/// What is shown first.
const FIRST: &str = "soc2";

/// The frameworks that the program carries, SOC 2 first, then its pages of commitments; else by id.
pub fn builtin() -> Result<Vec<Framework>, PackError> {
    let (mut frameworks, mut problems) = (Vec::new(), Vec::new());
    for (folder, parse) in [("frameworks/", parse as fn(&str, &str) -> Result<Framework, Problem>), ("commitments/", parse_page)] {
        for (path, bytes) in &embedded::files_below(folder) {
            match std::str::from_utf8(bytes).map_err(|_| problem(path, "the file is not UTF-8".into())).and_then(|text| parse(path, text)) {
                Ok(framework) => frameworks.push(framework),
                Err(e) => problems.push(e),
            }
        }
    }
    frameworks.sort_by_key(|f| !f.is_called(FIRST));
    if problems.is_empty() { Ok(frameworks) } else { Err(PackError { problems }) }
}

/// The framework that a name means.
pub fn find<'f>(frameworks: &'f [Framework], name: &str) -> Option<&'f Framework> {
    frameworks.iter().find(|f| f.is_called(name))
}

/// Reads one framework file.
pub fn parse(path: &str, text: &str) -> Result<Framework, Problem> {
    let raw: Raw = file::yaml(path, text)?;
    let control = |c: RawControl| Control {
        id: c.id,
        title: c.title,
        text: c.text.trim().into(),
        rules: [mapped(c.satisfies, "satisfies"), mapped(c.supports, "supports")].concat(),
        fleet: String::new(),
        told: Vec::new(),
        record: c.record.trim().into(),
        records: c.records,
    };
    let controls = checked(path, raw.controls.into_iter().map(control).collect())?;
    Ok(Framework { kind: Kind::Framework, id: raw.id, title: raw.title, version: raw.version, source: raw.source, controls })
}

/// A page as a company writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Its sentences.
    pub framework: Framework,
    /// Sentences that the company publishes, with what the public reads of each.
    pub published: BTreeMap<String, String>,
    /// Rules and record types that it names, and where.
    pub named: Vec<Named>,
}

/// A rule or record type that a page names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Its id.
    pub id: String,
    /// Whether it is a record type.
    pub is_record: bool,
    /// Line, from 1.
    pub line: u64,
    /// Column, from 1.
    pub column: u64,
}

/// Reads one page of commitments.
pub fn parse_page(path: &str, text: &str) -> Result<Framework, Problem> {
    parse_own_page(path, text).map(|page| page.framework)
}

/// The same with what is published, and where it names what.
pub fn parse_own_page(path: &str, text: &str) -> Result<Page, Problem> {
    let raw: RawPage = file::yaml(path, text)?;
    if !file::is_kebab(&raw.id) {
        return Err(problem(path, format!("id {:?} is not kebab-case: use small letters, digits and single hyphens", raw.id)));
    }
    let (mut published, mut named) = (BTreeMap::new(), Vec::new());
    for sentence in &raw.sentences {
        let name = |is_record| move |s: &Spanned<String>| Named { id: s.value.clone(), is_record, line: s.referenced.line(), column: s.referenced.column() };
        named.extend(sentence.rules.iter().map(name(false)).chain(sentence.records.iter().map(name(true))));
        let wording = sentence.wording.as_deref().map(str::trim).filter(|w| !w.is_empty());
        match (sentence.publish.as_ref().filter(|p| p.value), wording) {
            (Some(_), Some(wording)) => drop(published.insert(sentence.id.clone(), wording.into())),
            (Some(publish), None) => {
                let text = format!("sentence {} is published without a wording: write what the public reads", sentence.id);
                return Err(Problem { file: path.into(), line: publish.referenced.line(), column: publish.referenced.column(), text });
            }
            (None, _) => {}
        }
    }
    let ids = |spanned: Vec<Spanned<String>>| -> Vec<String> { spanned.into_iter().map(|s| s.value).collect() };
    let control = |s: RawSentence| Control {
        id: s.id,
        title: s.title,
        text: s.text.trim().into(),
        rules: mapped(ids(s.rules), "satisfies"),
        fleet: s.fleet.trim().into(),
        told: s.told,
        record: s.record.trim().into(),
        records: ids(s.records),
    };
    let controls = checked(path, raw.sentences.into_iter().map(control).collect())?;
    let framework = Framework { kind: Kind::Commitments, id: raw.id, title: raw.title, version: raw.version, source: raw.source, controls };
    Ok(Page { framework, published, named })
}

fn mapped(rules: Vec<String>, mapping: &str) -> Vec<Mapping> {
    rules.into_iter().map(|rule| Mapping { rule, mapping: mapping.into() }).collect()
}

/// Controls whose ids are unique, and which all say what serves them.
fn checked(path: &str, controls: Vec<Control>) -> Result<Vec<Control>, Problem> {
    let mut ids = BTreeSet::new();
    for control in &controls {
        if !ids.insert(&control.id) {
            return Err(problem(path, format!("control {} is there twice: remove one", control.id)));
        }
        let distinct: BTreeSet<&str> = control.rules.iter().map(|m| m.rule.as_str()).collect();
        if distinct.len() != control.rules.len() {
            return Err(problem(path, format!("control {} names a rule twice: remove one", control.id)));
        }
        if control.records.iter().collect::<BTreeSet<_>>().len() != control.records.len() {
            return Err(problem(path, format!("control {} names a record type twice: remove one", control.id)));
        }
        if control.record.is_empty() && !control.records.is_empty() {
            return Err(problem(path, format!("control {} names record types and not what they hold: say it under record", control.id)));
        }
        let lacks = |check, is_empty: bool| is_empty && control.told.contains(&check);
        if lacks(Check::Rules, control.rules.is_empty()) || lacks(Check::Records, control.records.is_empty()) {
            return Err(problem(path, format!("control {} is told by rules or records that it does not name: name them", control.id)));
        }
        if control.fleet.is_empty() && !control.told.is_empty() {
            return Err(problem(path, format!("control {} says what it is told by and not what: say it under fleet", control.id)));
        }
        if control.rules.is_empty() && control.fleet.is_empty() && control.record.is_empty() {
            return Err(problem(path, format!("control {} has neither a rule nor a record: say what a person records", control.id)));
        }
        if control.title.trim().is_empty() || control.text.is_empty() {
            return Err(problem(path, format!("control {} lacks title or text", control.id)));
        }
    }
    Ok(controls)
}

fn problem(path: &str, text: String) -> Problem {
    Problem { file: path.into(), line: 1, column: 1, text }
}
