//! The fields of a form, made of those of a record type, and the way back: what was typed becomes values and files.

use std::collections::BTreeMap;

use super::kind::label;
use super::sent::Sent;
use crate::records::kind::{Field, FieldType};
use crate::records::value::{Moment, checked};
use crate::records::{Entry, RecordType};

/// How a name of a part begins that holds the value of a field.
const VALUE: &str = "v.";
/// How a name of a part begins that holds a file for a field.
const FILE: &str = "f.";
/// Name of the part for files that no field names.
const MORE_FILES: &str = "files";

/// One field as the form shows it.
pub(super) struct Input {
    pub(super) name: String,
    pub(super) label: String,
    pub(super) hint: String,
    /// `line`, `text`, `date`, `time`, `number`, `person`, `choice`, `link` or `file`.
    pub(super) kind: &'static str,
    pub(super) value: String,
    /// Words of a choice, and whether it is chosen.
    pub(super) values: Vec<(String, bool)>,
    pub(super) is_required: bool,
    /// Why it was not taken; empty: it was, or was not sent yet.
    pub(super) problem: String,
}

/// What was typed, in the terms of an event.
#[derive(Debug, Default)]
pub(super) struct Typed {
    /// Values by the name of the field; of files, the name of the file.
    pub(super) fields: BTreeMap<String, String>,
    /// Files, with names and bytes.
    pub(super) files: Vec<(String, Vec<u8>)>,
    /// Why a field can't be taken, by its name.
    pub(super) problems: BTreeMap<String, String>,
}

/// Inputs for a type, with values by the name of the field.
pub(super) fn inputs(kind: &RecordType, value: impl Fn(&Field) -> String, problems: &BTreeMap<String, String>) -> Vec<Input> {
    let input = |field: &Field| {
        let value = value(field);
        Input {
            label: label(&field.name),
            hint: field.text.clone(),
            kind: word(field.kind),
            values: field.values.iter().map(|v| (v.clone(), *v == value)).collect(),
            is_required: field.required,
            problem: problems.get(&field.name).map(|p| format!("{} {p}.", label(&field.name))).unwrap_or_default(),
            value: if field.kind == FieldType::Time { local(&value) } else { value },
            name: field.name.clone(),
        }
    };
    kind.fields.iter().map(input).collect()
}

const fn word(kind: FieldType) -> &'static str {
    match kind {
        FieldType::Line => "line",
        FieldType::Text => "text",
        FieldType::Date => "date",
        FieldType::Time => "time",
        FieldType::Number => "number",
        FieldType::Person => "person",
        FieldType::Choice => "choice",
        FieldType::Link => "link",
        FieldType::File => "file",
    }
}

/// A kept time as an input for a time in UTC takes it; another text as it is.
fn local(text: &str) -> String {
    let Some(at) = Moment::of(FieldType::Time, text) else { return text.into() };
    super::super::when::utc(at.start()).strftime("%Y-%m-%dT%H:%M:%S").to_string()
}

/// What an input for a time sends, as it is kept; what has an offset already stays.
fn with_offset(text: &str) -> String {
    let is_local = text.len() >= 16
        && text.as_bytes().get(10) == Some(&b'T')
        && text.get(16..).is_some_and(|rest| rest.is_empty() || (rest.len() == 3 && rest.starts_with(':')));
    match (is_local, text.len()) {
        (true, 16) => format!("{text}:00Z"),
        (true, _) => format!("{text}Z"),
        _ => text.into(),
    }
}

/// What was typed, checked field by field so that each problem can stand beside its field. Of an entry that is changed only what differs counts.
pub(super) fn typed(kind: &RecordType, sent: &mut Sent, before: Option<&Entry>) -> Typed {
    let mut out = Typed::default();
    let files = std::mem::take(&mut sent.files);
    let names: Vec<String> = files.iter().map(|(_, name, _)| name.clone()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for field in &kind.fields {
        let sent_file = files.iter().find(|(part, ..)| part.strip_prefix(FILE) == Some(&field.name));
        let text = match (field.kind, sent_file) {
            (FieldType::File, Some((_, name, _))) => name.clone(),
            (FieldType::File, None) => continue,
            (FieldType::Time, _) => with_offset(sent.value(&part_of(field)).trim()),
            _ if !sent.has(&part_of(field)) => continue,
            _ => sent.value(&part_of(field)).trim().to_string(),
        };
        let old = before.map_or("", |entry| entry.value(&field.name));
        if same(field.kind, old, &text) {
            continue;
        }
        if !text.is_empty()
            && let Err(why) = checked(field, &text, &names)
        {
            out.problems.insert(field.name.clone(), why);
        }
        out.fields.insert(field.name.clone(), text);
    }
    out.files = files.into_iter().filter(|(part, ..)| part.starts_with(FILE) || part == MORE_FILES).map(|(_, name, bytes)| (name, bytes)).collect();
    out
}

/// Name of the part that holds a field's value.
pub(super) fn part_of(field: &Field) -> String {
    format!("{VALUE}{}", field.name)
}

/// Whether two texts say the same: browsers send line ends and times in their own form.
fn same(kind: FieldType, old: &str, new: &str) -> bool {
    match kind {
        FieldType::File => false,
        FieldType::Text => old.trim() == new.replace("\r\n", "\n").trim(),
        FieldType::Time => old == new || matches!((Moment::of(kind, old), Moment::of(kind, new)), (Some(a), Some(b)) if a == b),
        _ => old == new,
    }
}

/// The problem of a field in a sentence that begins with its name.
pub(super) fn field_of<'t>(kind: &'t RecordType, sentence: &str) -> Option<(&'t str, String)> {
    let field = kind.fields.iter().find(|f| sentence.strip_prefix(f.name.as_str()).is_some_and(|rest| rest.starts_with(' ') || rest.starts_with(':')))?;
    Some((&field.name, sentence.get(field.name.len()..).unwrap_or_default().trim_start_matches(':').trim().to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_go_to_the_browser_and_come_back_as_the_same_second() {
        assert_eq!(local("2026-11-28T14:30:00+01:00"), "2026-11-28T13:30:00");
        assert_eq!(with_offset("2026-11-28T13:30:00"), "2026-11-28T13:30:00Z");
        assert_eq!(with_offset("2026-11-28T13:30"), "2026-11-28T13:30:00Z");
        assert!(same(FieldType::Time, "2026-11-28T14:30:00+01:00", "2026-11-28T13:30:00Z"));
        for odd in ["", "soon", "2026-11-28T13:30:00Z", "2026-11-28", "2026-11-28T13:30:00+01:00", "äöüäöüäöü"] {
            assert_eq!(with_offset(odd), odd);
        }
    }

    #[test]
    fn a_sentence_about_a_field_stands_beside_it() {
        let kind = crate::records::types::find(crate::records::types::builtin().unwrap(), "incidents").unwrap();
        assert_eq!(field_of(kind, "known_at lies in the future"), Some(("known_at", "lies in the future".into())));
        assert_eq!(field_of(kind, "it can't be closed"), None);
        assert_eq!(field_of(kind, "decisions are made"), None);
    }
}
