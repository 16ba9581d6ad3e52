//! The record types that the program carries, and what must be true of one before it is used.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use super::kind::{Deadline, Field, FieldType, Per, RecordType, Shape};
use crate::rules::{PackError, Problem, files_below, yaml};

/// Folder of the record types.
const FOLDER: &str = "records/";
/// Record type of the waivers; the code knows its fields.
pub const WAIVER: &str = "waiver";
/// Record type of owners, due dates, causes and resolutions; the code knows its fields.
pub const HANDLING: &str = "handling";
/// Record type of the baselines: what failed up to then is known; the code knows its fields.
pub const BASELINE: &str = "baseline";
/// Record type of the reviews of results; the code fills it in.
pub const REVIEW_SIGN_OFFS: &str = "review-sign-offs";
/// Record type of the reviews of privileged access; the code knows its fields.
pub const ACCESS_REVIEWS: &str = "access-reviews";
/// Record type of the incidents; the code knows its fields.
pub const INCIDENTS: &str = "incidents";
/// Record type of the sub-processors; the code knows its fields.
pub const SUB_PROCESSORS: &str = "sub-processors";

/// Longest id of a type or name of a field, bytes.
const MAX_NAME: usize = 64;

/// The types that the program carries, by id; every problem when one does not load. Read once per process.
pub fn builtin() -> Result<&'static [RecordType], PackError> {
    static BUILTIN: OnceLock<Result<Vec<RecordType>, PackError>> = OnceLock::new();
    BUILTIN.get_or_init(read).as_deref().map_err(Clone::clone)
}

fn read() -> Result<Vec<RecordType>, PackError> {
    let (mut types, mut problems) = (Vec::new(), Vec::new());
    for (path, bytes) in &files_below(FOLDER) {
        let parsed = std::str::from_utf8(bytes).map_err(|_| problem(path, 1, "the file is not UTF-8: save it as UTF-8".into()));
        match parsed.and_then(|text| parse(path, text)) {
            Ok(kind) => types.push(kind),
            Err(e) => problems.push(e),
        }
    }
    if problems.is_empty() { Ok(types) } else { Err(PackError { problems }) }
}

/// The type of this id.
pub fn find<'t>(types: &'t [RecordType], id: &str) -> Option<&'t RecordType> {
    types.iter().find(|t| t.id == id)
}

/// Reads one file; `path` ends with the name of the file.
pub fn parse(path: &str, text: &str) -> Result<RecordType, Problem> {
    let kind: RecordType = yaml(path, text)?;
    let stem = path.rsplit('/').next().and_then(|name| name.strip_suffix(".yaml")).unwrap_or_default();
    let checker = Checker { path, text, kind: &kind };
    checker.head(stem)?;
    checker.fields()?;
    checker.times()?;
    checker.values()?;
    Ok(kind)
}

struct Checker<'a> {
    path: &'a str,
    text: &'a str,
    kind: &'a RecordType,
}

impl Checker<'_> {
    /// A problem at the line where `key` has `value`.
    fn wrong(&self, key: &str, value: &str, why: &str) -> Problem {
        let (written, named) = (format!("{key}: {value}"), format!("{key}:"));
        let at = |is: &dyn Fn(&str) -> bool| self.text.lines().position(is);
        let line = at(&|l| l.contains(&written)).or_else(|| at(&|l| l.contains(&named) && l.contains(value)));
        let line = line.or_else(|| at(&|l| !value.is_empty() && l.contains(value))).or_else(|| at(&|l| l.starts_with(&named)));
        problem(self.path, line.map_or(1, |l| l as u64 + 1), format!("{key}: {why}"))
    }

    fn head(&self, stem: &str) -> Result<(), Problem> {
        let kind = self.kind;
        let kebab = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if kind.id != stem {
            return Err(self.wrong("id", &kind.id, &format!("{:?} is not the name of the file, {stem:?}: rename one of the two", kind.id)));
        }
        if kind.id.is_empty() || kind.id.len() > MAX_NAME || !kind.id.chars().all(kebab) {
            return Err(self.wrong("id", &kind.id, "write lower case letters, digits and dashes"));
        }
        for (key, value) in [("title", &kind.title), ("text", &kind.text)] {
            if value.trim().is_empty() {
                return Err(self.wrong(key, "", "it is empty: say what is to be recorded"));
            }
        }
        if kind.shape != Shape::Attestation && kind.per != Per::Company {
            return Err(self.wrong("per", "", "only an attestation is due for somebody: remove it"));
        }
        if (kind.shape == Shape::Register) == kind.about.trim().is_empty() {
            return Err(self.wrong("about", "", "a register, and nothing else, says what its entries are about"));
        }
        if kind.shape == Shape::Decision && ![WAIVER, HANDLING, BASELINE].contains(&kind.id.as_str()) {
            return Err(self.wrong("shape", "decision", "the program knows the decisions waiver, handling and baseline alone: use register or attestation"));
        }
        if kind.cadence_days == Some(0) || (kind.shape == Shape::Decision && kind.cadence_days.is_some()) {
            return Err(self.wrong("cadence_days", "", "write a number of days from 1; decisions have none"));
        }
        if kind.cadence_days.is_some_and(|days| kind.remind_days >= days) {
            return Err(self.wrong("remind_days", &kind.remind_days.to_string(), "it must be less than cadence_days, else it is always due"));
        }
        if let Some(row) = kind.promises.iter().find(|p| !is_row(p)) {
            return Err(self.wrong("promises", row, &format!("{row:?} is no row such as B14")));
        }
        Ok(())
    }

    fn fields(&self) -> Result<(), Problem> {
        let mut names = BTreeSet::new();
        for field in &self.kind.fields {
            let snake = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
            if field.name.is_empty() || field.name.len() > MAX_NAME || !field.name.chars().all(snake) {
                return Err(self.wrong("name", &field.name, &format!("{:?} is no name of a field: write lower case letters, digits and _", field.name)));
            }
            if !names.insert(&field.name) {
                return Err(self.wrong("name", &field.name, &format!("the field {} is there twice: remove one", field.name)));
            }
            if (field.kind == FieldType::Choice) == field.values.is_empty() {
                return Err(self.wrong("name", &field.name, &format!("the field {}: a choice, and nothing else, has values", field.name)));
            }
            if field.text.trim().is_empty() {
                return Err(self.wrong("name", &field.name, &format!("the field {} has no text: say what it means", field.name)));
            }
        }
        Ok(())
    }

    /// The field that `key` names, which must hold a moment.
    fn moment(&self, key: &str, name: &str) -> Result<&Field, Problem> {
        let field = self.named(key, name)?;
        if matches!(field.kind, FieldType::Date | FieldType::Time) { Ok(field) } else { Err(self.wrong(key, name, &format!("{name} is no date and no time"))) }
    }

    fn named(&self, key: &str, name: &str) -> Result<&Field, Problem> {
        self.kind.field(name).ok_or_else(|| self.wrong(key, name, &format!("there is no field {name:?}: name one of the fields")))
    }

    fn times(&self) -> Result<(), Problem> {
        let kind = self.kind;
        if let Some(name) = &kind.expires
            && self.named("expires", name)?.kind != FieldType::Date
        {
            return Err(self.wrong("expires", name, &format!("{name} is no date")));
        }
        if let Some(name) = &kind.dated {
            let field = self.moment("dated", name)?;
            if kind.shape != Shape::Attestation || !field.required {
                return Err(self.wrong("dated", name, "only an attestation is dated, by a field that is required"));
            }
        }
        let mut ids = BTreeSet::new();
        for deadline in &kind.deadlines {
            self.deadline(deadline)?;
            if !ids.insert(&deadline.id) {
                return Err(self.wrong("id", &deadline.id, &format!("the deadline {} is there twice: remove one", deadline.id)));
            }
        }
        Ok(())
    }

    fn deadline(&self, deadline: &Deadline) -> Result<(), Problem> {
        self.moment("from", &deadline.from)?;
        self.moment("done", &deadline.done)?;
        let within = [deadline.within_hours, deadline.within_days, deadline.within_months];
        if within.iter().flatten().count() != 1 {
            return Err(self.wrong("id", &deadline.id, &format!("the deadline {}: give one of within_hours, within_days, within_months", deadline.id)));
        }
        if let Some(longer) = &deadline.longer {
            self.moment("when", &longer.when)?;
        }
        for (name, values) in &deadline.unless {
            self.choices("unless", name, values)?;
        }
        if deadline.text.trim().is_empty() {
            return Err(self.wrong("id", &deadline.id, &format!("the deadline {} has no text: say what must be done", deadline.id)));
        }
        Ok(())
    }

    fn values(&self) -> Result<(), Problem> {
        for refused in &self.kind.refused {
            self.choices("field", &refused.field, &refused.values)?;
        }
        for name in &self.kind.conflicts {
            self.named("conflicts", name)?;
            if self.kind.shape != Shape::Register {
                return Err(self.wrong("conflicts", name, "only entries of a register can differ: remove it"));
            }
        }
        Ok(())
    }

    /// A choice of which these are values.
    fn choices(&self, key: &str, name: &str, values: &[String]) -> Result<(), Problem> {
        let field = self.named(key, name)?;
        if field.kind != FieldType::Choice || values.is_empty() {
            return Err(self.wrong(key, name, &format!("{name} must be a choice, with at least one of its values")));
        }
        match values.iter().find(|v| !field.values.contains(v)) {
            Some(unknown) => Err(self.wrong(key, name, &format!("{unknown:?} is no value of {name}"))),
            None => Ok(()),
        }
    }
}

/// Such as `B14`.
fn is_row(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(|c| c.is_ascii_uppercase()) && text.len() > 1 && chars.all(|c| c.is_ascii_digit())
}

fn problem(path: &str, line: u64, text: String) -> Problem {
    Problem { file: path.into(), line, column: 1, text }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str =
        "id: visits\ntitle: Visits\ngroup: assets\ntext: Who came.\nshape: register\nabout: name of the visitor\ncadence_days: 30\nremind_days: 5\npromises: [B13]\nfields:
  - {name: came_on, type: date, required: true, text: day}\n  - {name: badge, type: choice, values: [\"yes\", \"no\"], text: a badge was worn}
  - {name: left_at, type: time, text: when the visitor left}\nexpires: came_on\ndeadlines:
  - {id: leaving, from: came_on, within_days: 1, done: left_at, unless: {badge: [\"no\"]}, text: the visitor leaves}
refused:\n  - {field: badge, values: [\"no\"], text: no visitor goes without}\nconflicts: [badge]\n";

    #[test]
    fn a_whole_type_loads() {
        let kind = parse("records/visits.yaml", GOOD).unwrap();
        assert_eq!((kind.shape, kind.fields.len(), kind.deadlines[0].within_days), (Shape::Register, 3, Some(1)));
    }

    #[test]
    fn what_is_wrong_is_named_with_file_line_and_key() {
        let cases = [
            ("id: visits", "id: visitors", 1, "id: \"visitors\" is not the name of the file"),
            ("promises: [B13]", "promisses: [B13]", 9, "promisses"),
            ("promises: [B13]", "promises: [b13]", 9, "promises: \"b13\" is no row"),
            ("shape: register", "shape: decision", 5, "about"),
            ("about: name of the visitor\n", "", 1, "about: a register"),
            ("remind_days: 5", "remind_days: 30", 8, "remind_days"),
            ("expires: came_on", "expires: came", 14, "expires: there is no field \"came\""),
            ("expires: came_on", "expires: left_at", 14, "expires: left_at is no date"),
            ("from: came_on", "from: badge", 16, "from: badge is no date and no time"),
            ("done: left_at", "done: gone_at", 16, "done: there is no field"),
            ("within_days: 1", "within_days: 1, within_hours: 3", 16, "the deadline leaving: give one of"),
            ("unless: {badge: [\"no\"]}", "unless: {badge: [never]}", 16, "\"never\" is no value of badge"),
            ("values: [\"no\"], text: no visitor", "values: [off], text: no visitor", 18, "\"off\" is no value"),
            ("conflicts: [badge]", "conflicts: [colour]", 19, "conflicts: there is no field \"colour\""),
            ("name: left_at, type: time", "name: came_on, type: time", 11, "the field came_on is there twice"),
            ("type: date, required", "type: day, required", 11, "day"),
            ("title: Visits", "title: \"\"", 2, "title: it is empty"),
        ];
        for (from, to, line, text) in cases {
            assert!(GOOD.contains(from), "{from}");
            let error = parse("records/visits.yaml", &GOOD.replacen(from, to, 1)).unwrap_err();
            assert_eq!(error.file, "records/visits.yaml");
            assert!(error.text.contains(text) && (error.line == line || text == "about"), "{to}: {error}");
        }
    }
}
