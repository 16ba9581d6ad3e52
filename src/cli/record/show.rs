//! Reading records: types, lists, entries, what is due.

use clap::Args;
use serde_json::json;
use tabled::builder::Builder;
use tabled::settings::Style;

use super::super::data::{existing, moment, time};
use super::super::exit::Exit;
use super::super::output::{self, Format};
use super::Place;
use crate::collector::records::{self as desk, Book};
use crate::host::clock;
use crate::records::entry::short;
use crate::records::kind::{FieldType, Shape};
use crate::records::{self, Entry, RecordType, Recorded, Standing};
use crate::report::text::plain as shown;

/// Arguments of `record types`.
#[derive(Args, Debug)]
pub struct Types {
    /// Tell the fields and deadlines of this type
    kind: Option<String>,
    /// How to print
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

pub const TYPES: &str = "Examples:
  assay-collector record types
  assay-collector record types incidents
  assay-collector record types --format json";

/// Arguments of `record list`.
#[derive(Args, Debug)]
pub struct List {
    /// Record type
    kind: String,
    /// As of the end of a day, or a time
    #[arg(long, value_name = "DATE")]
    as_of: Option<String>,
    /// How to print
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    #[command(flatten)]
    place: Place,
}

pub const LIST: &str = "Examples:
  assay-collector record list incidents
  assay-collector record list awareness-training
  assay-collector record list sub-processors --as-of 2026-06-30 --format json";

/// Arguments of `record show`.
#[derive(Args, Debug)]
pub struct Show {
    /// Entry, or the first digits of its id
    entry: String,
    /// How to print
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    #[command(flatten)]
    place: Place,
}

pub const SHOW: &str = "Examples:
  assay-collector record show 3fd1a2b4
  assay-collector record show 3fd1a2b4 --format json
  assay-collector record show 3fd1a2b4 --data ./data";

/// Arguments of `record due`.
#[derive(Args, Debug)]
pub struct Due {
    /// Also what comes within so many days
    #[arg(long, value_name = "DAYS", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=3660))]
    within: u32,
    /// How to print
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    #[command(flatten)]
    place: Place,
}

pub const DUE: &str = "Examples:
  assay-collector record due
  assay-collector record due --within 30
  assay-collector record due --format json --data ./data";

/// Prints the types, or one.
pub fn types(arguments: &Types) -> anyhow::Result<Exit> {
    let all = desk::carried()?;
    let one = arguments
        .kind
        .as_deref()
        .map(|id| records::types::find(all, id).ok_or_else(|| anyhow::anyhow!("there is no record type {id:?}; see assay-collector record types")));
    match (one.transpose()?, arguments.format) {
        (Some(kind), Format::Json) => output::line(&serde_json::to_string_pretty(kind)?)?,
        (None, Format::Json) => output::line(&serde_json::to_string_pretty(all)?)?,
        (Some(kind), Format::Table) => output::print(&described(kind))?,
        (None, Format::Table) => {
            let mut rows = Builder::default();
            rows.push_record(["TYPE", "SHAPE", "PER", "EVERY", "PROVES", "TITLE"]);
            for kind in all {
                rows.push_record([kind.id.as_str(), word(kind.shape), &per(kind), &every(kind), &kind.promises.join(" "), &kind.title]);
            }
            output::line(&rows.build().with(Style::blank()).to_string())?;
        }
    }
    Ok(Exit::Ok)
}

const fn word(shape: Shape) -> &'static str {
    match shape {
        Shape::Attestation => "attestation",
        Shape::Register => "register",
        Shape::Decision => "decision",
    }
}

fn per(kind: &RecordType) -> String {
    if kind.shape == Shape::Attestation { format!("{:?}", kind.per).to_lowercase() } else { String::new() }
}

fn every(kind: &RecordType) -> String {
    kind.cadence_days.map_or_else(String::new, |days| format!("{days} days"))
}

fn described(kind: &RecordType) -> String {
    let mut text = format!("{}\n{} · {}\n\n{}\n\n", kind.title, kind.id, word(kind.shape), kind.text.trim());
    if !kind.about.is_empty() {
        text.push_str(&format!("Subject: {}\n", kind.about));
    }
    if let Some(days) = kind.cadence_days {
        let what = if kind.shape == Shape::Register { "Signed as complete" } else { "Renewed" };
        text.push_str(&format!("{what} every {days} days, reminded {} days before\n", kind.remind_days));
    }
    let mut rows = Builder::default();
    rows.push_record(["FIELD", "HOLDS", "", "MEANING"]);
    for field in &kind.fields {
        let holds = match field.kind {
            FieldType::Choice => field.values.join(", "),
            other => format!("{other:?}").to_lowercase(),
        };
        rows.push_record([field.name.as_str(), &holds, if field.required { "required" } else { "" }, &field.text]);
    }
    text.push_str(&format!("{}\n", rows.build().with(Style::blank())));
    for deadline in &kind.deadlines {
        text.push_str(&format!("Deadline: {}, from {} until {} is filled\n", deadline.text, deadline.from, deadline.done));
    }
    for refused in &kind.refused {
        text.push_str(&format!("Not allowed: {} {}: {}\n", refused.field, refused.values.join(", "), refused.text));
    }
    text
}

/// Prints the entries of a type.
pub async fn list(arguments: &List) -> anyhow::Result<Exit> {
    let now = clock::unix_now();
    let at = arguments.as_of.as_deref().map_or(Ok(now), |text| moment(text, now))?;
    let store = existing(&arguments.place.data).await?;
    let (book, people) = (Book::read(&store).await?, desk::people(&store, at).await?);
    store.close().await;
    let kind = book.kind(&arguments.kind)?;
    if arguments.format == Format::Json {
        output::line(&serde_json::to_string_pretty(&book.document(kind, people.as_ref(), at))?)?;
        return Ok(Exit::Ok);
    }
    let standings = book.standing(kind, people.as_ref(), at);
    let mut rows = Builder::default();
    rows.push_record(["ENTRY", "SUBJECT", "STATE", "WHY"]);
    for standing in &standings {
        rows.push_record(row(standing));
    }
    for entry in book.entries(kind, at).iter().filter(|e| !standings.iter().any(|s| s.entry == Some(e.id))) {
        let [state, why] = over(entry);
        rows.push_record([entry.short(), shown(&entry.subject), state, why]);
    }
    output::line(&rows.build().with(Style::blank()).to_string())?;
    Ok(Exit::Ok)
}

fn row(standing: &Standing) -> [String; 4] {
    let entry = standing.entry.map_or_else(|| "-".into(), |id| short(&id));
    [entry, shown(&standing.subject), standing.state.word().into(), shown(&standing.message)]
}

/// Why an entry has no standing of its own.
fn over(entry: &Entry) -> [String; 2] {
    match (&entry.withdrawn, &entry.closed) {
        (Some(mark), _) => ["withdrawn".into(), shown(&format!("by {} on {}: {}", mark.by, time(mark.at), mark.why))],
        (None, Some(mark)) => ["closed".into(), shown(&format!("by {} on {} {}", mark.by, time(mark.at), mark.why))],
        (None, None) => ["kept".into(), "another entry stands for the duty, or nobody of this name works here".into()],
    }
}

/// Prints one entry.
pub async fn show(arguments: &Show) -> anyhow::Result<Exit> {
    let now = clock::unix_now();
    let store = existing(&arguments.place.data).await?;
    let (book, people) = (Book::read(&store).await?, desk::people(&store, now).await?);
    store.close().await;
    let (kind, id) = book.find(None, &arguments.entry)?;
    let entry = book.entry(kind, id, i64::MAX).ok_or_else(|| anyhow::anyhow!("entry {} has no events", arguments.entry))?;
    if arguments.format == Format::Json {
        output::line(&serde_json::to_string_pretty(&book.story(kind, &entry, people.as_ref(), now))?)?;
        return Ok(Exit::Ok);
    }
    let mut text = format!("{} of {}: {}\n", entry.id, kind.id, shown(&entry.subject));
    let standing = book.standing(kind, people.as_ref(), now).into_iter().find(|s| s.entry == Some(id));
    let [state, why] = standing.map_or_else(|| over(&entry), |s| [s.state.word().to_string(), shown(&s.message)]);
    text.push_str(&format!("{state}: {why}\n\n"));
    for (name, value) in &entry.fields {
        let lines: Vec<String> = value.lines().map(shown).collect();
        text.push_str(&format!("{name}: {}\n", lines.join("\n  ")));
    }
    for file in &entry.files {
        text.push_str(&format!("file {} · {} bytes · SHA-256 {}\n", shown(&file.name), file.bytes, file.sha256));
    }
    text.push_str("\nHistory\n");
    for Recorded { digest, event } in book.history(id) {
        let names: Vec<&str> = event.fields.keys().map(String::as_str).collect();
        let note = if event.action.fills() { names.join(", ") } else { shown(event.note()) };
        text.push_str(&format!("  {} · {} · {} · {note} · ledger reference {digest}\n", time(event.at), event.action.id(), shown(&event.by)));
    }
    output::print(&text)?;
    Ok(Exit::Ok)
}

/// Prints what is due.
pub async fn due(arguments: &Due) -> anyhow::Result<Exit> {
    let now = clock::unix_now();
    let store = existing(&arguments.place.data).await?;
    let (book, people) = (Book::read(&store).await?, desk::people(&store, now).await?);
    store.close().await;
    let due = records::due(book.types, &book.events, people.as_ref(), now, arguments.within);
    if arguments.format == Format::Json {
        output::line(&serde_json::to_string_pretty(&json!({ "as_of": now, "within_days": arguments.within, "due": due }))?)?;
        return Ok(Exit::Ok);
    }
    if due.is_empty() {
        output::line("nothing is due")?;
        return Ok(Exit::Ok);
    }
    let mut rows = Builder::default();
    rows.push_record(["TYPE", "ENTRY", "SUBJECT", "STATE", "FROM", "WHY"]);
    for standing in &due {
        let [entry, subject, state, why] = row(standing);
        let from = if standing.since > now { time(standing.since) } else { "now".into() };
        rows.push_record([standing.record.clone(), entry, subject, state, from, why]);
    }
    output::line(&rows.build().with(Style::blank()).to_string())?;
    Ok(Exit::Ok)
}
