//! `assay-collector record`: what people must say, recorded and read.

mod leaving;
mod review;
mod show;

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};

use super::data::{DATA, actor, block_on, existing};
use super::exit::Exit;
use super::output;
use crate::collector::records::{self as desk, Book, Order};
use crate::records::check::MAX_FILE;
use crate::records::entry::short;
use crate::records::event::NOTE;
use crate::records::types::WAIVER;
use crate::records::{Action, Recorded};

/// Arguments of `assay-collector record`.
#[derive(Args, Debug)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

/// Where the records are.
#[derive(Args, Debug)]
struct Place {
    /// Data folder of the collector
    #[arg(long, value_name = "DIR", default_value = DATA)]
    data: PathBuf,
}

/// Values and files of an entry.
#[derive(Args, Debug)]
struct Filled {
    /// A value: NAME=TEXT, or NAME=@PATH for a text from a file; an empty text empties the field
    #[arg(long = "field", value_name = "NAME=TEXT", value_parser = pair)]
    fields: Vec<(String, String)>,
    /// A file to keep with the entry, up to 16 MiB; the only file fills the only field for one
    #[arg(long = "file", value_name = "PATH")]
    files: Vec<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List what can be recorded, or tell the fields of one type
    #[command(after_help = show::TYPES)]
    Types(show::Types),
    /// Record a new entry
    #[command(after_help = ADD)]
    Add {
        /// Record type
        kind: String,
        /// Person, group, site or thing that the entry is about
        #[arg(long, default_value = "")]
        subject: String,
        #[command(flatten)]
        filled: Filled,
        #[command(flatten)]
        place: Place,
    },
    /// Give fields of an entry other values; what they were stays in its history
    #[command(after_help = CHANGE)]
    Change {
        /// Entry, or the first digits of its id
        entry: String,
        #[command(flatten)]
        filled: Filled,
        #[command(flatten)]
        place: Place,
    },
    /// Say that the matter is done; the entry stays
    #[command(after_help = CLOSE)]
    Close {
        /// Entry, or the first digits of its id
        entry: String,
        /// How it ended
        #[arg(long, default_value = "")]
        note: String,
        #[command(flatten)]
        filled: Filled,
        #[command(flatten)]
        place: Place,
    },
    /// Say that an entry was a mistake: it counts no longer and stays visible
    #[command(after_help = WITHDRAW)]
    Withdraw {
        /// Entry, or the first digits of its id
        entry: String,
        /// Why
        #[arg(long)]
        note: String,
        #[command(flatten)]
        place: Place,
    },
    /// Sign that a register is complete as it is, also when it is empty
    #[command(after_help = SIGN_OFF)]
    SignOff {
        /// Record type
        kind: String,
        /// What was looked at
        #[arg(long, default_value = "")]
        note: String,
        #[command(flatten)]
        place: Place,
    },
    /// List the entries of a type and how they stand
    #[command(after_help = show::LIST)]
    List(show::List),
    /// Show an entry with each of its events
    #[command(after_help = show::SHOW)]
    Show(show::Show),
    /// List what is overdue, missing or wrong, and what will be
    #[command(after_help = show::DUE)]
    Due(show::Due),
    /// Write a file of an entry to disk
    #[command(after_help = leaving::FILE)]
    File(leaving::File),
    /// Print what is published from a register
    #[command(after_help = leaving::EXPORT)]
    Export(leaving::Export),
    /// Print the notification of an incident, ready to be sent
    #[command(after_help = leaving::NOTIFICATION)]
    Notification(leaving::Notification),
    /// Review who can act with more than ordinary rights
    Review(review::Arguments),
}

const ADD: &str = "Examples:
  assay-collector record add awareness-training --subject m.keller --field done_on=2026-11-20 --field content=phishing
  assay-collector record add sub-processors --subject 'Mail Ltd' --field place=Ireland --field purpose=mail --file agreement.pdf
  assay-collector record add incidents --subject 'lost laptop' --field known_at=2026-11-28T09:30:00+01:00 --field description=@what.txt

assay-collector record types TYPE tells the fields of a type. What is not known yet can be added with record change.";

const CHANGE: &str = "Examples:
  assay-collector record change 3fd1a2b4 --field authority_told_at=2026-11-28T16:00:00+01:00
  assay-collector record change 3fd1a2b4 --field measures=@measures.txt --file notification.pdf
  assay-collector record change 3fd1a2b4 --field owner= --data ./data";

const CLOSE: &str = "Examples:
  assay-collector record close 3fd1a2b4
  assay-collector record close 3fd1a2b4 --note 'contract ended' --field deleted_on=2026-11-20
  assay-collector record close 3fd1a2b4 --data ./data";

const WITHDRAW: &str = "Examples:
  assay-collector record withdraw 3fd1a2b4 --note 'recorded twice'
  assay-collector record withdraw 3fd1a2b4 --note 'meant another customer' --data ./data
  assay-collector record list contract-ends      shows it as withdrawn from then on";

const SIGN_OFF: &str = "Examples:
  assay-collector record sign-off incidents --note 'no incident in the third quarter'
  assay-collector record sign-off sub-processors
  assay-collector record sign-off assets --data ./data

An empty register proves nothing until somebody signs that it is complete.";

/// Runs it.
pub fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    block_on(async {
        match &arguments.command {
            Command::Types(a) => show::types(a),
            Command::Add { kind, subject, filled, place } => {
                let order = Order { subject: subject.clone(), ..order(filled, "")? };
                on_type(place, kind, Action::Add, order).await
            }
            Command::SignOff { kind, note, place } => on_type(place, kind, Action::SignOff, with_note(note)).await,
            Command::Change { entry, filled, place } => on_entry(place, entry, Action::Change, order(filled, "")?).await,
            Command::Close { entry, note, filled, place } => on_entry(place, entry, Action::Close, order(filled, note)?).await,
            Command::Withdraw { entry, note, place } => on_entry(place, entry, Action::Withdraw, with_note(note)).await,
            Command::List(a) => show::list(a).await,
            Command::Show(a) => show::show(a).await,
            Command::Due(a) => show::due(a).await,
            Command::File(a) => leaving::file(a).await,
            Command::Export(a) => leaving::export(a).await,
            Command::Notification(a) => leaving::notification(a).await,
            Command::Review(a) => review::run(a).await,
        }
    })
}

async fn on_type(place: &Place, kind: &str, action: Action, order: Order) -> anyhow::Result<Exit> {
    let kind =
        crate::records::types::find(desk::carried()?, kind).with_context(|| format!("there is no record type {kind:?}; see assay-collector record types"))?;
    if kind.id == WAIVER {
        bail!("waivers are asked for with assay-collector waiver request");
    }
    let store = existing(&place.data).await?;
    let Recorded { event, .. } = desk::record(&store, kind, action, Order { by: actor(), ..order }).await?;
    store.close().await;
    output::line(&match action {
        Action::SignOff => format!("{} is signed as complete", kind.id),
        _ => format!("{} of {} is recorded", short(&event.entry), kind.id),
    })?;
    Ok(Exit::Ok)
}

async fn on_entry(place: &Place, entry: &str, action: Action, order: Order) -> anyhow::Result<Exit> {
    let store = existing(&place.data).await?;
    let (kind, id) = Book::read(&store).await?.find(None, entry)?;
    if kind.id == WAIVER && action != Action::Withdraw {
        bail!("waivers are decided with assay-collector waiver");
    }
    desk::record(&store, kind, action, Order { entry: Some(id), by: actor(), ..order }).await?;
    store.close().await;
    output::line(&format!("{} of {}: {} is recorded", short(&id), kind.id, action.id()))?;
    Ok(Exit::Ok)
}

fn with_note(note: &str) -> Order {
    let mut order = Order::default();
    if !note.is_empty() {
        order.fields.insert(NOTE.into(), note.into());
    }
    order
}

fn order(filled: &Filled, note: &str) -> anyhow::Result<Order> {
    let mut fields = BTreeMap::new();
    for (name, text) in &filled.fields {
        let text = match text.strip_prefix('@') {
            Some(path) => String::from_utf8(bounded(Path::new(path))?).with_context(|| format!("{path} is not UTF-8 text"))?,
            None => text.clone(),
        };
        if fields.insert(name.clone(), text).is_some() {
            bail!("--field {name} is given twice; give it once");
        }
    }
    let mut files = Vec::new();
    for path in &filled.files {
        let name = path.file_name().and_then(|n| n.to_str()).with_context(|| format!("{} has no name that can be kept", path.display()))?;
        files.push((name.to_string(), bounded(path)?));
    }
    let mut order = Order { fields, files, ..Order::default() };
    order.fields.extend(with_note(note).fields);
    Ok(order)
}

/// A file of the operator, within the bound of a record's.
fn bounded(path: &Path) -> anyhow::Result<Vec<u8>> {
    let file = std::fs::File::open(path).with_context(|| format!("can't read {}", path.display()))?;
    let mut bytes = Vec::new();
    file.take(MAX_FILE as u64 + 1).read_to_end(&mut bytes).with_context(|| format!("can't read {}", path.display()))?;
    anyhow::ensure!(bytes.len() <= MAX_FILE, "{} is larger than {} MiB; record where it is kept instead", path.display(), MAX_FILE >> 20);
    Ok(bytes)
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or_else(|| format!("{text:?} is no NAME=TEXT"))?;
    Ok((name.trim().into(), value.into()))
}
