//! What leaves: files of entries, the published list of sub-processors, notifications of incidents.

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};

use super::super::data::{existing, moment};
use super::super::exit::Exit;
use super::super::output;
use super::super::scan::say;
use super::Place;
use crate::collector::records::Book;
use crate::host::clock;
use crate::model::ids::Digest;
use crate::records::published::{SubProcessors, notification as written};
use crate::records::types::INCIDENTS;

/// Arguments of `record file`.
#[derive(Args, Debug)]
pub struct File {
    /// SHA-256 of the file, as `record show` tells it
    digest: String,
    /// Where to write it; must not be there yet
    #[arg(long, value_name = "PATH")]
    out: PathBuf,
    #[command(flatten)]
    place: Place,
}

pub const FILE: &str = "Examples:
  assay-collector record file 9f86d081…64-digit-digest --out agreement.pdf
  assay-collector record file $(assay-collector record show 3fd1a2b4 --format json | jq -r .entry.files[0].sha256) --out report.pdf
  assay-collector record file 9f86d081…64-digit-digest --out agreement.pdf --data ./data";

/// Arguments of `record export`.
#[derive(Args, Debug)]
pub struct Export {
    /// What to publish
    what: What,
    /// In which form
    #[arg(long, value_enum, default_value_t = Form::Html)]
    format: Form,
    /// As of the end of a day, or a time
    #[arg(long, value_name = "DATE")]
    as_of: Option<String>,
    #[command(flatten)]
    place: Place,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum What {
    /// The public list of sub-processors
    SubProcessors,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Form {
    /// A page
    Html,
    /// Markdown
    Md,
    /// For programs
    Json,
}

pub const EXPORT: &str = "Examples:
  assay-collector record export sub-processors > sub-processors.html
  assay-collector record export sub-processors --format md
  assay-collector record export sub-processors --format json --as-of 2026-06-30

It names whoever is open in the register, and warns on standard error of what should be mended first.";

/// Arguments of `record notification`.
#[derive(Args, Debug)]
pub struct Notification {
    /// The incident's entry, or the first digits of its id
    incident: String,
    #[command(flatten)]
    place: Place,
}

pub const NOTIFICATION: &str = "Examples:
  assay-collector record notification 3fd1a2b4
  assay-collector record notification 3fd1a2b4 > notification.txt
  assay-collector record change 3fd1a2b4 --file notification.txt --field authority_told_at=2026-11-28T16:00:00+01:00";

/// Writes a file out.
pub async fn file(arguments: &File) -> anyhow::Result<Exit> {
    let digest: Digest = arguments.digest.parse().with_context(|| format!("{:?} is no digest of a file", arguments.digest))?;
    let store = existing(&arguments.place.data).await?;
    let bytes = store.record_file(&digest).await?.context("this file is not here; it may have been erased")?;
    store.close().await;
    let mut out =
        std::fs::File::options().write(true).create_new(true).open(&arguments.out).with_context(|| format!("can't write {}", arguments.out.display()))?;
    std::io::Write::write_all(&mut out, &bytes).with_context(|| format!("can't write {}", arguments.out.display()))?;
    output::line(&format!("{} bytes written to {}", bytes.len(), arguments.out.display()))?;
    Ok(Exit::Ok)
}

/// Prints what is published.
pub async fn export(arguments: &Export) -> anyhow::Result<Exit> {
    let now = clock::unix_now();
    let at = arguments.as_of.as_deref().map_or(Ok(now), |text| moment(text, now))?;
    let store = existing(&arguments.place.data).await?;
    let What::SubProcessors = arguments.what;
    let list = SubProcessors::of(&store.record_events().await?, at);
    store.close().await;
    for problem in &list.problems {
        say(&format!("warning: {problem}"));
    }
    match arguments.format {
        Form::Html => output::print(&list.html())?,
        Form::Md => output::print(&list.markdown())?,
        Form::Json => output::line(&serde_json::to_string_pretty(&list)?)?,
    }
    Ok(if list.problems.is_empty() { Exit::Ok } else { Exit::Incomplete })
}

/// Prints a notification.
pub async fn notification(arguments: &Notification) -> anyhow::Result<Exit> {
    let now = clock::unix_now();
    let store = existing(&arguments.place.data).await?;
    let book = Book::read(&store).await?;
    store.close().await;
    let (kind, id) = book.find(Some(book.kind(INCIDENTS)?), &arguments.incident)?;
    let entry = book.entry(kind, id, now).context("this incident has no events")?;
    if let Some(mark) = &entry.withdrawn {
        bail!("incident {} was withdrawn by {}", entry.short(), mark.by);
    }
    output::print(&written(&entry, now))?;
    Ok(Exit::Ok)
}
