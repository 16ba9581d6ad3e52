//! Rule files: YAML in, compiled rules out, or every problem with file, line and column.
//!
//! ```yaml
//! id: tls-version-minimum            # kebab-case, the file's name
//! title: TLS endpoints accept only current versions
//! severity: high                     # critical high medium low info
//! cadence: weekly                    # weekly monthly
//! promises: [A2]                     # rows of the promise list
//! applies: size(tls.endpoints) > 0   # optional CEL truth value
//! for_each: tls.endpoints            # optional path of a list; its element is `item`
//! subject: item.subject              # optional CEL text; item.subject under for_each, else empty
//! unknown: item.lowest_code == 0     # optional CEL truth value: when true it can't be told
//! assert: item.lowest_code >= policy.tls_minimum_code
//! message: accepts {join(item.accepted, ", ")}
//! time_alone: true                   # optional: time alone changes the verdict (something ends or falls due), so it is judged every day
//! pass: refuses {join(item.refused, ", ")}   # optional message of a passing verdict
//! why: …   fix: …   verify: …   refs: [RFC 8996]
//! examples: [{verdict: fail, facts: {…}, gaps: […], policy: {…}, now: …, message: …}, …]
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;
use serde_saphyr::Spanned;

use super::expr::{ExprError, Expression, Patterns, Read, Want};
use super::message::{Piece, split};
use super::schema::Schemas;
use crate::model::finding::{Severity, Verdict};
use crate::model::gap::{self, Gap};
use crate::model::policy::Policy;
use crate::model::report::Cadence;

/// Largest rule or framework file, bytes.
pub const MAX_FILE: usize = 256 << 10;
/// Most YAML nodes of one file.
const MAX_NODES: usize = 20_000;
/// Deepest YAML nesting, levels.
const MAX_YAML_DEPTH: usize = 32;
/// One problem of one file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}:{column}: {text}")]
pub struct Problem {
    /// Path of the file.
    pub file: String,
    /// Line, from 1.
    pub line: u64,
    /// Column, from 1.
    pub column: u64,
    /// What is wrong and how to mend it.
    pub text: String,
}

/// One example of a rule.
#[derive(Clone, Debug)]
pub struct Example {
    /// Verdict of the worst finding.
    pub verdict: Verdict,
    /// Facts by family; fields that the rule does not read may be left out.
    pub facts: BTreeMap<String, Value>,
    /// Gaps.
    pub gaps: Vec<Gap>,
    /// Message of the worst finding; `None`: any.
    pub message: Option<String>,
    /// When the facts were gathered, Unix seconds.
    pub now: i64,
    /// Thresholds.
    pub policy: Policy,
    /// Line of the file.
    pub line: u64,
}

/// A compiled rule.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Stable kebab-case id.
    pub id: String,
    /// The promise as a sentence.
    pub title: String,
    /// How bad a failure is.
    pub severity: Severity,
    /// How often.
    pub cadence: Cadence,
    /// Whether the verdict changes by time alone, without a change on the host: something ends or falls due. Never so where a scan could find
    /// that something newer is there, such as a backup.
    pub time_alone: bool,
    /// Rows of the promise list that it serves.
    pub promises: Vec<String>,
    /// Path of the list that is walked through.
    pub for_each: Option<String>,
    /// Why it matters.
    pub why: String,
    /// What to do about a failure.
    pub fix: String,
    /// A command of the vendor's own that shows the same.
    pub verify: String,
    /// Standards and manual pages.
    pub refs: Vec<String>,
    /// Every dotted path that it reads, sorted.
    pub reads: Vec<String>,
    /// Worked examples; empty in the program's own rules unless they were asked for.
    pub examples: Arc<[Example]>,
    /// Path of its file.
    pub file: String,
    pub(super) applies: Option<Expression>,
    pub(super) subject: Option<Expression>,
    pub(super) unknown: Option<Expression>,
    pub(super) assert: Expression,
    pub(super) message: Vec<Piece>,
    /// Message of a passing verdict; mostly empty.
    pub(super) pass: Vec<Piece>,
    /// What decides the verdict.
    pub(super) guarded: Vec<Read>,
    /// Of these, what decides whether the rule applies.
    pub(super) applying: Vec<Read>,
    /// What only the message shows.
    pub(super) shown: Vec<Read>,
}

impl Rule {
    /// Names of the families that it reads (`policy` and `now` are none), sorted.
    pub fn families(&self) -> Vec<&str> {
        let roots = self.reads.iter().filter_map(|path| path.split('.').next());
        let names: BTreeSet<&str> = roots.filter(|r| *r != super::schema::POLICY && *r != super::schema::NOW).collect();
        names.into_iter().collect()
    }

    /// The assertion as written.
    pub fn assertion(&self) -> &str {
        &self.assert.source
    }

    /// When it applies, as written.
    pub fn applies_text(&self) -> Option<&str> {
        self.applies.as_ref().map(|e| e.source.as_str())
    }

    /// When it can't be told, as written.
    pub fn unknown_text(&self) -> Option<&str> {
        self.unknown.as_ref().map(|e| e.source.as_str())
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    id: Spanned<String>,
    title: String,
    severity: Severity,
    cadence: Spanned<Cadence>,
    time_alone: Option<Spanned<bool>>,
    promises: Spanned<Vec<String>>,
    applies: Option<Spanned<String>>,
    for_each: Option<Spanned<String>>,
    subject: Option<Spanned<String>>,
    unknown: Option<Spanned<String>>,
    assert: Spanned<String>,
    message: Spanned<String>,
    pass: Option<Spanned<String>>,
    why: String,
    fix: String,
    verify: String,
    refs: Vec<String>,
    examples: Vec<Spanned<RawExample>>,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawExample {
    verdict: Verdict,
    facts: BTreeMap<String, Value>,
    #[serde(default)]
    gaps: Vec<RawGap>,
    message: Option<String>,
    #[serde(default = "example_now")]
    now: i64,
    #[serde(default)]
    policy: Policy,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawGap {
    family: String,
    path: String,
    subject: String,
    reason: String,
    #[serde(default)]
    detail: String,
    #[serde(default)]
    remedy: String,
}

/// 2026-11-18 12:53:20 UTC.
const fn example_now() -> i64 {
    1_795_000_000
}

/// Options under which every YAML file of a pack is read: nothing is guessed, nothing explodes.
pub(crate) fn yaml<'de, T: Deserialize<'de>>(file: &str, text: &'de str) -> Result<T, Problem> {
    let options = serde_saphyr::options! {
        strict_booleans: true,
        strict_indentation: true,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        reject_unsupported_tags: true,
        reject_tagged_field_names: true,
        with_snippet: false,
        merge_keys: serde_saphyr::MergeKeyPolicy::Error,
        budget: serde_saphyr::budget! {
            max_nodes: MAX_NODES,
            max_events: 4 * MAX_NODES,
            max_depth: MAX_YAML_DEPTH,
            max_documents: 1,
            max_aliases: 0,
            max_anchors: 0,
            max_total_scalar_bytes: MAX_FILE,
        },
    };
    if text.len() > MAX_FILE {
        return Err(Problem { file: file.into(), line: 1, column: 1, text: format!("the file is larger than {MAX_FILE} bytes") });
    }
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| serde_saphyr::from_str_with_options::<T>(text, options)));
    match caught {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(e)) => {
            let (line, column) = e.location().map_or((1, 1), |l| (l.line(), l.column()));
            let whole = e.without_snippet().to_string();
            Err(Problem { file: file.into(), line, column, text: plain(&whole) })
        }
        Err(_) => Err(Problem { file: file.into(), line: 1, column: 1, text: "the file is not readable YAML".into() }),
    }
}

/// The reader's message on one line, its own position left out.
fn plain(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    let line = line.rsplit_once(" at line ").map_or(line, |(before, _)| before);
    super::expr::bounded(line.trim(), 300)
}

/// Compiles one rule file.
pub(super) fn parse(file: &str, text: &str, schemas: &Schemas, patterns: &mut Patterns, examples: Examples) -> Result<Rule, Vec<Problem>> {
    let raw: Raw = yaml(file, text).map_err(|p| vec![p])?;
    let mut load = Loading { file, schemas, patterns, examples, problems: Vec::new() };
    let rule = load.rule(raw);
    match rule {
        Some(rule) if load.problems.is_empty() => Ok(rule),
        _ => Err(load.problems),
    }
}

/// What is done with the examples of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Examples {
    /// They are checked and kept.
    Kept,
    /// They are passed over: those of the program's own rules were held to the rules when it was built, and weigh more
    /// than the rules themselves.
    PassedOver,
}

struct Loading<'a> {
    file: &'a str,
    schemas: &'a Schemas<'a>,
    patterns: &'a mut Patterns,
    examples: Examples,
    problems: Vec<Problem>,
}

impl Loading<'_> {
    fn problem(&mut self, line: u64, column: u64, text: impl Into<String>) {
        self.problems.push(Problem { file: self.file.into(), line, column, text: text.into() });
    }

    fn rule(&mut self, raw: Raw) -> Option<Rule> {
        self.words(&raw);
        let for_each = raw.for_each.as_ref().map(|s| s.value.trim().to_string());
        let each = for_each.as_deref();
        let applies = raw.applies.as_ref().and_then(|s| self.compile(s, Want::Bool, each));
        let unknown = raw.unknown.as_ref().and_then(|s| self.compile(s, Want::Bool, each));
        let assert = self.compile(&raw.assert, Want::Bool, each);
        let subject = match (&raw.subject, each) {
            (Some(subject), _) => self.compile(subject, Want::Text, each),
            (None, Some(_)) => {
                let default = Spanned::new("item.subject".to_string(), raw.id.referenced, raw.id.defined);
                self.compile(&default, Want::Text, each)
            }
            (None, None) => None,
        };
        let message = self.message(&raw.message, each);
        let pass = raw.pass.as_ref().map(|source| self.message(source, each)).unwrap_or_default();
        let has_applies = applies.is_some() || each.is_some();
        let mut examples: Vec<Example> = Vec::new();
        if self.examples == Examples::Kept {
            examples.extend(raw.examples.iter().map(|e| self.example(e)));
            self.coverage(&raw.id, &examples, raw.applies.is_some(), has_applies);
        }
        let cadence = raw.cadence.value;
        let assert = assert?;
        let mut guarded: BTreeSet<Read> =
            [applies.as_ref(), unknown.as_ref(), Some(&assert)].into_iter().flatten().flat_map(|e| e.reads.iter().cloned()).collect();
        let mut applying: BTreeSet<Read> = applies.iter().flat_map(|e| e.reads.iter().cloned()).collect();
        if let Some(path) = &for_each {
            let list = Read { path: path.clone(), item: true, whole: false };
            guarded.insert(list.clone());
            applying.insert(list);
        }
        let from_message = message.iter().chain(&pass).filter_map(|p| match p {
            Piece::Value(e) => Some(e),
            Piece::Text(_) => None,
        });
        let shown: BTreeSet<Read> = from_message.chain(subject.as_ref()).flat_map(|e| e.reads.iter().cloned()).filter(|r| !guarded.contains(r)).collect();
        let reads: BTreeSet<String> = guarded.iter().chain(&shown).map(|r| r.path.clone()).collect();
        self.cadence(&raw.cadence, &reads);
        let time_alone = raw.time_alone.as_ref().is_some_and(|t| t.value);
        if let Some(key) = raw.time_alone.as_ref().filter(|t| t.value)
            && !reads.iter().any(|path| MOVED_BY_TIME.iter().any(|moved| path.split('.').next() == Some(moved)))
        {
            let (line, column) = place(key);
            self.problem(line, column, "time_alone is true but the rule reads neither now nor access: take the key away");
        }
        Some(Rule {
            id: raw.id.value,
            title: raw.title,
            severity: raw.severity,
            cadence,
            time_alone,
            promises: raw.promises.value,
            for_each,
            why: raw.why.trim().into(),
            fix: raw.fix.trim().into(),
            verify: raw.verify.trim().into(),
            refs: raw.refs,
            reads: reads.into_iter().collect(),
            examples: examples.into(),
            file: self.file.into(),
            applies,
            subject,
            unknown,
            assert,
            message,
            pass,
            guarded: guarded.into_iter().collect(),
            applying: applying.into_iter().collect(),
            shown: shown.into_iter().collect(),
        })
    }

    fn words(&mut self, raw: &Raw) {
        let (line, column) = place(&raw.id);
        let id = &raw.id.value;
        if !is_kebab(id) {
            self.problem(line, column, format!("id {id:?} is not kebab-case: use small letters, digits and single hyphens"));
        }
        let stem = self.file.rsplit('/').next().unwrap_or_default().trim_end_matches(".yaml");
        if stem != id {
            self.problem(line, column, format!("id {id:?} differs from the file's name: rename the file to {id}.yaml"));
        }
        for (key, value) in [("title", &raw.title), ("why", &raw.why), ("fix", &raw.fix), ("verify", &raw.verify), ("message", &raw.message.value)] {
            if value.trim().is_empty() {
                self.problem(line, column, format!("{key} is empty: write at least one sentence"));
            }
        }
        let (line, column) = place(&raw.promises);
        if raw.promises.value.is_empty() {
            self.problem(line, column, "promises is empty: name at least one row, such as A2");
        }
    }

    /// In a weekly scan a family of monthly scans is not there to be judged.
    fn cadence(&mut self, cadence: &Spanned<Cadence>, reads: &BTreeSet<String>) {
        let families = reads.iter().filter_map(|path| path.split('.').next());
        let rare = families.into_iter().find(|family| self.schemas.cadence(family) > cadence.value);
        if let Some(family) = rare {
            let (line, column) = place(cadence);
            self.problem(line, column, format!("cadence is {} but {family} is read in monthly scans only: write cadence: monthly", cadence.value.word()));
        }
    }

    fn compile(&mut self, source: &Spanned<String>, want: Want, each: Option<&str>) -> Option<Expression> {
        match Expression::compile(&source.value, want, self.schemas, each, self.patterns) {
            Ok(expression) => Some(expression),
            Err(e) => {
                self.expression_problem(source, 0, &e, source.value.trim());
                None
            }
        }
    }

    /// The column is exact where the expression stands on the key's own line.
    fn expression_problem(&mut self, source: &Spanned<String>, before: usize, error: &ExprError, text: &str) {
        let (line, column) = place(source);
        let offset = u64::try_from(before + error.offset).unwrap_or(0);
        self.problem(line, column + offset, format!("{} in `{}`", error.text, super::expr::bounded(text, 120)));
    }

    fn message(&mut self, source: &Spanned<String>, each: Option<&str>) -> Vec<Piece> {
        let (line, column) = place(source);
        let pieces = match split(source.value.trim()) {
            Ok(pieces) => pieces,
            Err(text) => {
                self.problem(line, column, text);
                return Vec::new();
            }
        };
        let mut out = Vec::new();
        for (offset, is_value, text) in pieces {
            if !is_value {
                out.push(Piece::Text(text));
                continue;
            }
            match Expression::compile(&text, Want::Shown, self.schemas, each, self.patterns) {
                Ok(expression) => out.push(Piece::Value(expression)),
                Err(e) => self.expression_problem(source, offset, &e, &text),
            }
        }
        out
    }

    fn example(&mut self, raw: &Spanned<RawExample>) -> Example {
        let (line, column) = place(raw);
        let example = raw.value.clone();
        for (family, value) in &example.facts {
            if family == super::schema::POLICY || family == super::schema::NOW {
                self.problem(line, column, format!("{family} does not stand under facts: give it as a key of the example"));
            } else if let Err(text) = self.schemas.check(family, value) {
                self.problem(line, column, format!("example: {text}"));
            }
        }
        if let Err(e) = example.policy.check() {
            self.problem(line, column, format!("example: policy.{e}"));
        }
        if !matches!(example.verdict, Verdict::Pass | Verdict::Fail | Verdict::Unknown | Verdict::NotApplicable) {
            self.problem(line, column, "an example's verdict is pass, fail, unknown or not_applicable");
        }
        for gap in &example.gaps {
            if !KNOWN_REASONS.contains(&gap.reason.as_str()) {
                self.problem(line, column, format!("example: {:?} is no gap reason; there are {}", gap.reason, KNOWN_REASONS.join(", ")));
            }
        }
        let gaps =
            example.gaps.into_iter().map(|g| Gap { family: g.family, path: g.path, subject: g.subject, reason: g.reason, detail: g.detail, remedy: g.remedy });
        Example {
            verdict: example.verdict,
            facts: example.facts,
            gaps: gaps.collect(),
            message: example.message,
            now: example.now,
            policy: example.policy,
            line,
        }
    }

    fn coverage(&mut self, id: &Spanned<String>, examples: &[Example], applies: bool, may_not_apply: bool) {
        let (line, column) = place(id);
        let mut needed = vec![Verdict::Pass, Verdict::Fail, Verdict::Unknown];
        if applies {
            needed.push(Verdict::NotApplicable);
        }
        for verdict in needed {
            if !examples.iter().any(|e| e.verdict == verdict) {
                self.problem(line, column, format!("examples lack one whose verdict is {}: add it", verdict.id()));
            }
        }
        if !may_not_apply && examples.iter().any(|e| e.verdict == Verdict::NotApplicable) {
            self.problem(line, column, "an example is not_applicable, but the rule has neither applies nor for_each");
        }
    }
}

/// What a rule must read for time alone to move its verdict: `access` is derived at a time of its own.
const MOVED_BY_TIME: [&str; 2] = [super::schema::NOW, super::access::NAME];

const KNOWN_REASONS: &[&str] = &[
    gap::reason::PERMISSION_DENIED,
    gap::reason::NEEDS_LIVE_KERNEL,
    gap::reason::LIMIT_REACHED,
    gap::reason::MALFORMED,
    gap::reason::UNSUPPORTED,
    gap::reason::MISSING,
    gap::reason::READ_FAILED,
    gap::reason::TIMEOUT,
    gap::reason::UNREACHABLE,
    gap::reason::INTERNAL,
    gap::reason::EXCLUDED,
];

fn place<T>(spanned: &Spanned<T>) -> (u64, u64) {
    (spanned.referenced.line().max(1), spanned.referenced.column().max(1))
}

/// Whether a text is small letters and digits joined by single hyphens.
pub(super) fn is_kebab(id: &str) -> bool {
    !id.is_empty() && id.len() <= 64 && id.split('-').all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yaml_words_are_never_guessed() {
        let value: Value = yaml("t.yaml", "a: no\nb: 012\nc: true\nd: 1_000\ne: 12\nf: off\n").unwrap();
        assert_eq!(value, serde_json::json!({"a": "no", "b": "012", "c": true, "d": "1_000", "e": 12, "f": "off"}));
        for bad in ["a: 1\na: 2\n", "a: &x [1]\nb: *x\n", "a: !thing 1\n", "a: 1\n---\nb: 2\n"] {
            assert!(yaml::<Value>("t.yaml", bad).is_err(), "{bad}");
        }
        let deep = format!("a: {}1{}", "[".repeat(40), "]".repeat(40));
        assert!(yaml::<Value>("t.yaml", &deep).is_err());
        let many = format!("a: [{}]", "1, ".repeat(MAX_NODES + 1));
        assert!(yaml::<Value>("t.yaml", &many).is_err());
    }
}
