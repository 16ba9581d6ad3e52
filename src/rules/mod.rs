//! Declarative rules and the pure engine that judges facts by them.

pub mod access;
mod cite;
pub mod derived;
mod embedded;
pub mod endpoints;
mod evaluate;
mod expr;
mod file;
pub mod framework;
mod message;
pub mod schema;
pub mod selftest;
pub mod signed;
pub mod transfers;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::OnceLock;

use serde_json::Value;

pub use crate::model::report::Cadence;
pub(crate) use embedded::files_below;
pub use evaluate::{evaluate, evaluate_drift, evaluate_in, evaluate_those, looked_at};
pub(crate) use file::yaml;
pub use file::{Example, MAX_FILE, Problem, Rule};

use crate::host::{FileKind, Host, ReadError};
use crate::model::advisories::Derived;
use crate::model::against::Against;
use crate::model::fact::Observation;
use crate::model::ids::Digest;
use crate::model::policy::Policy;
use expr::Patterns;
use file::Examples;
use schema::Schemas;

/// Most files of one pack.
pub const MAX_FILES: usize = 2000;
/// Deepest folder of a pack, levels.
const MAX_FOLDERS: usize = 8;
/// Stack of a thread that parses or evaluates expressions, bytes: both recurse.
const STACK: usize = 16 << 20;
/// Folder of the rule files in a pack.
const CHECKS: &str = "checks/";

/// Everything a judgement rests on besides the rules themselves.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// Facts and gaps of one host.
    pub observation: &'a Observation,
    /// Thresholds.
    pub policy: &'a Policy,
    /// Lists that people keep; without them, rules that read what rests on them are `unknown`.
    pub against: Against<'a>,
    /// Published advisories that concern the host; without them, rules that read `advisories` are `unknown`.
    pub advisories: Option<&'a Derived>,
}

/// Why a pack does not load: at least one problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackError {
    /// Every problem, by file and line.
    pub problems: Vec<Problem>,
}

impl std::fmt::Display for PackError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.problems.split_first() {
            Some((first, [])) => first.fmt(f),
            Some((first, rest)) => write!(f, "{first} (and {} more: see `assay rules check`)", rest.len()),
            None => f.write_str("the rule pack does not load"),
        }
    }
}

impl std::error::Error for PackError {}

/// What a rule needs of a report to be judged by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    /// Rarer scans than this do not judge it.
    pub cadence: Cadence,
    /// Families that it reads. No drift report looks at a derived one.
    pub families: BTreeSet<String>,
}

/// Needs by rule.
pub type Needs = BTreeMap<String, Need>;

impl Need {
    fn of(rule: &Rule) -> Self {
        Self { cadence: rule.cadence, families: rule.families().into_iter().map(String::from).collect() }
    }

    /// Whether a drift scan that looked at these families tells how the rule stands.
    pub fn is_met_by_drift(&self, looked_at: &BTreeSet<String>) -> bool {
        self.cadence == Cadence::Weekly && !self.families.is_empty() && self.families.is_subset(looked_at)
    }
}

/// Compiled rules.
#[derive(Clone, Debug)]
pub struct Pack {
    /// By id.
    pub rules: Vec<Rule>,
    /// Version of the pack: the program's own, or `local` for a folder.
    pub version: String,
    digest: Digest,
    patterns: Patterns,
}

impl Pack {
    /// The rules that the program carries, compiled once per process; `schemas` are those of the
    /// gathered families (`facts::schemas()`).
    pub fn builtin(schemas: &[(&'static str, Value)]) -> Result<Self, PackError> {
        static BUILTIN: OnceLock<Result<Pack, PackError>> = OnceLock::new();
        BUILTIN.get_or_init(|| Self::builtin_anew(schemas)).clone()
    }

    /// The same, compiled for this caller alone.
    pub fn builtin_anew(schemas: &[(&'static str, Value)]) -> Result<Self, PackError> {
        Self::compile(borrowed(&embedded::files_below(CHECKS)), env!("CARGO_PKG_VERSION"), schemas, Examples::PassedOver)
    }

    /// The same with their examples, checked.
    pub fn builtin_with_examples(schemas: &[(&'static str, Value)]) -> Result<Self, PackError> {
        Self::compile(borrowed(&embedded::files_below(CHECKS)), env!("CARGO_PKG_VERSION"), schemas, Examples::Kept)
    }

    /// The built-in rules of these folders of `checks/` alone, over these families.
    pub fn builtin_of(folders: &[&str], schemas: &[(&'static str, Value)]) -> Result<Self, PackError> {
        let is_asked =
            |path: &str| path.strip_prefix(CHECKS).and_then(|rest| rest.split('/').find(|p| !p.is_empty())).is_some_and(|folder| folders.contains(&folder));
        let files = embedded::files_below(CHECKS);
        Self::compile(borrowed(&files).filter(|(path, _)| is_asked(path)), env!("CARGO_PKG_VERSION"), schemas, Examples::PassedOver)
    }

    /// The rules of a folder: `checks/*/*.yaml`, or any YAML file when there is no `checks`; or of
    /// one file.
    pub fn load(place: &Path, schemas: &[(&'static str, Value)]) -> Result<Self, PackError> {
        let files = read_files(place)?;
        let has_checks = files.iter().any(|(path, _)| path.starts_with(CHECKS));
        Self::compile(borrowed(&files).filter(|(path, _)| !has_checks || path.starts_with(CHECKS)), "local", schemas, Examples::Kept)
    }

    /// The rule of this id.
    pub fn rule(&self, id: &str) -> Option<&Rule> {
        self.rules.binary_search_by(|r| r.id.as_str().cmp(id)).ok().and_then(|i| self.rules.get(i))
    }

    /// What each rule needs of a report to be judged by it.
    pub fn needs(&self) -> Needs {
        self.rules.iter().map(|r| (r.id.clone(), Need::of(r))).collect()
    }

    /// SHA-256 over the rule files' paths and bytes, sorted by path.
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    pub(crate) const fn patterns(&self) -> &Patterns {
        &self.patterns
    }

    fn compile<'f>(
        files: impl Iterator<Item = (&'f str, &'f [u8])> + Send,
        version: &str,
        schemas: &[(&'static str, Value)],
        examples: Examples,
    ) -> Result<Self, PackError> {
        let failed = || PackError { problems: vec![whole("checks", "compiling the rules failed inside assay: report this as a defect".into())] };
        with_stack(|| Self::compile_here(files, version, schemas, examples)).unwrap_or_else(|| Err(failed()))
    }

    fn compile_here<'f>(
        files: impl Iterator<Item = (&'f str, &'f [u8])>,
        version: &str,
        schemas: &[(&'static str, Value)],
        examples: Examples,
    ) -> Result<Self, PackError> {
        let schemas = Schemas::new(schemas);
        let (mut rules, mut problems, mut patterns) = (Vec::new(), Vec::new(), Patterns::default());
        let mut material = Vec::new();
        for (path, bytes) in files {
            for part in [path.as_bytes(), bytes] {
                material.extend_from_slice(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
                material.extend_from_slice(part);
            }
            match std::str::from_utf8(bytes) {
                Ok(text) => match file::parse(path, text, &schemas, &mut patterns, examples) {
                    Ok(rule) => rules.push(rule),
                    Err(found) => problems.extend(found),
                },
                Err(e) => problems.push(whole(path, format!("the file is not UTF-8 from byte {}: save it as UTF-8", e.valid_up_to()))),
            }
        }
        rules.sort_by(|a, b| a.id.cmp(&b.id));
        for pair in rules.windows(2) {
            if let [first, second] = pair
                && first.id == second.id
            {
                problems.push(whole(&second.file, format!("rule {} is in {} already: remove one", second.id, first.file)));
            }
        }
        if rules.is_empty() && problems.is_empty() {
            problems.push(whole("checks", "there is no rule file: put at least one YAML file here".into()));
        }
        if !problems.is_empty() {
            problems.sort_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
            return Err(PackError { problems });
        }
        Ok(Self { rules, version: version.into(), digest: Digest::of(&material), patterns })
    }
}

/// Runs on a thread whose stack holds the deepest expression that the parser accepts; `None` when
/// it could not be started or panicked.
fn with_stack<T: Send>(work: impl FnOnce() -> T + Send) -> Option<T> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("rules".into()).stack_size(STACK).spawn_scoped(scope, work);
        thread.ok().and_then(|t| t.join().ok())
    })
}

fn whole(file: &str, text: String) -> Problem {
    Problem { file: file.into(), line: 1, column: 1, text }
}

fn borrowed(files: &[(String, Vec<u8>)]) -> impl Iterator<Item = (&str, &[u8])> {
    files.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice()))
}

/// Path below the folder -> bytes, sorted; bounded in number, size and depth.
fn read_files(place: &Path) -> Result<Vec<(String, Vec<u8>)>, PackError> {
    let shown = place.display().to_string();
    let fail = |path: &str, text: String| PackError { problems: vec![whole(path, text)] };
    let unreadable = |e: &ReadError| fail(&shown, format!("{e}: name a readable folder of rule files, or one rule file"));
    let base = std::path::absolute(place).map_err(|e| fail(&shown, format!("{e}: name a folder of rule files, or one rule file")))?;
    let base = base.to_string_lossy().trim_end_matches('/').to_string();
    let host = Host::live().map_err(|e| unreadable(&e))?;
    if host.stat(&base).map_err(|e| unreadable(&e))?.kind == FileKind::File {
        let name = base.rsplit('/').next().unwrap_or_default().to_string();
        return Ok(vec![(name, host.read(&base, MAX_FILE).map_err(|e| unreadable(&e))?)]);
    }
    let mut files = Vec::new();
    let mut folders = vec![(String::new(), 0)];
    while let Some((path, depth)) = folders.pop() {
        if depth > MAX_FOLDERS {
            return Err(fail(&path, format!("folders are nested deeper than {MAX_FOLDERS} levels")));
        }
        for entry in host.list(&format!("{base}/{path}")).map_err(|e| unreadable(&e))? {
            let inner = if path.is_empty() { entry.name.clone() } else { format!("{path}/{}", entry.name) };
            match entry.kind {
                FileKind::Folder => folders.push((inner, depth + 1)),
                FileKind::File if inner.ends_with(".yaml") => {
                    let bytes = host.read(&format!("{base}/{inner}"), MAX_FILE).map_err(|e| unreadable(&e))?;
                    files.push((inner, bytes));
                }
                _ => {}
            }
        }
        if files.len() > MAX_FILES {
            return Err(fail(&shown, format!("there are more than {MAX_FILES} files")));
        }
    }
    files.sort();
    Ok(files)
}
