//! `assay-collector record review`: who can act with more than ordinary rights, looked through item by item.

use anyhow::Context as _;
use clap::{ArgGroup, Args, Subcommand};
use tabled::builder::Builder;
use tabled::settings::Style;

use super::super::data::{actor, existing};
use super::super::exit::Exit;
use super::super::output::{self, Format};
use super::Place;
use crate::collector::records::{self as desk, Book, Order};
use crate::host::clock;
use crate::records::entry::short;
use crate::records::review::decisions;
use crate::records::types::ACCESS_REVIEWS;
use crate::records::value::day_of;
use crate::records::{Action, Entry};
use crate::report::text::plain;

/// Arguments of `record review`.
#[derive(Args, Debug)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Take the list from the newest facts of all hosts
    #[command(after_help = START)]
    Start {
        /// What is reviewed, in words
        #[arg(long, default_value = "every host")]
        scope: String,
        #[command(flatten)]
        place: Place,
    },
    /// Show the list with the decisions so far
    #[command(after_help = SHOW)]
    Show {
        /// The review's entry, or the first digits of its id
        review: String,
        /// Only items that nobody decided
        #[arg(long)]
        undecided: bool,
        /// How to print
        #[arg(long, value_enum, default_value_t = Format::Table)]
        format: Format,
        #[command(flatten)]
        place: Place,
    },
    /// Decide about items
    #[command(after_help = DECIDE, group(ArgGroup::new("decision").required(true).args(["keep", "revoke"])))]
    Decide {
        /// The review's entry, or the first digits of its id
        review: String,
        /// Numbers of the items, such as 1-3,7
        #[arg(long, value_name = "NUMBERS")]
        items: String,
        /// The access is needed
        #[arg(long)]
        keep: bool,
        /// The access is to be taken away
        #[arg(long)]
        revoke: bool,
        /// Why
        #[arg(long, default_value = "")]
        reason: String,
        #[command(flatten)]
        place: Place,
    },
    /// Close a review of which every item is decided
    #[command(after_help = FINISH)]
    Finish {
        /// The review's entry, or the first digits of its id
        review: String,
        #[command(flatten)]
        place: Place,
    },
}

const START: &str = "Examples:
  assay-collector record review start
  assay-collector record review start --scope 'fourth quarter, every host'
  assay-collector list put roster people.csv      names people instead of accounts; list put approvals says what was approved";

const SHOW: &str = "Examples:
  assay-collector record review show 3fd1a2b4
  assay-collector record review show 3fd1a2b4 --undecided
  assay-collector record review show 3fd1a2b4 --format json";

const DECIDE: &str = "Examples:
  assay-collector record review decide 3fd1a2b4 --items 1-12,15 --keep
  assay-collector record review decide 3fd1a2b4 --items 13 --revoke --reason 'changed team in May'
  assay-collector record review decide 3fd1a2b4 --items 14 --keep --reason 'on call' --data ./data";

const FINISH: &str = "Examples:
  assay-collector record review finish 3fd1a2b4
  assay-collector record review show 3fd1a2b4 --undecided      what is left to decide
  assay-collector record review finish 3fd1a2b4 --data ./data";

/// Runs it.
pub async fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    match &arguments.command {
        Command::Start { scope, place } => {
            let store = existing(&place.data).await?;
            let taken = desk::privileges(&store).await?;
            let review = desk::start_review(&store, scope, &taken, &actor()).await?;
            store.close().await;
            let id = short(&review.event.entry);
            let mut text = format!("review {id}: {} items of {} hosts\n", taken.items.len(), taken.hosts);
            for line in &taken.untold {
                text.push_str(&format!("not told in full: {}\n", plain(line)));
            }
            output::print(&format!("{text}Next: assay-collector record review show {id}\n"))?;
            Ok(if taken.untold.is_empty() { Exit::Ok } else { Exit::Incomplete })
        }
        Command::Show { review, undecided, format, place } => show(place, review, *undecided, *format).await,
        Command::Decide { review, items, keep, reason, place, .. } => {
            let decision = if *keep { "keep" } else { "revoke" };
            let fields = [("decided", items.as_str()), ("decision", decision), ("reason", reason.as_str())].map(|(k, v)| (k.to_string(), v.to_string()));
            let (open, of) = act(place, review, Action::Change, Order { fields: fields.into(), ..Order::default() }).await?;
            output::line(&format!("{decision} is recorded; {open} of {of} items are undecided"))?;
            Ok(Exit::Ok)
        }
        Command::Finish { review, place } => {
            let fields = [("finished_on".to_string(), day_of(clock::unix_now()).to_string())].into();
            act(place, review, Action::Close, Order { fields, ..Order::default() }).await?;
            output::line("the review is closed")?;
            Ok(Exit::Ok)
        }
    }
}

/// Records on a review; how many items are undecided then, of how many.
async fn act(place: &Place, review: &str, action: Action, order: Order) -> anyhow::Result<(usize, usize)> {
    let store = existing(&place.data).await?;
    let book = Book::read(&store).await?;
    let (kind, id) = book.find(Some(book.kind(ACCESS_REVIEWS)?), review)?;
    desk::record(&store, kind, action, Order { entry: Some(id), by: actor(), ..order }).await?;
    let book = Book::read(&store).await?;
    store.close().await;
    let items: usize = book.entry(kind, id, i64::MAX).map_or("0".into(), |e| e.value("items").to_string()).parse().unwrap_or(0);
    Ok((items.saturating_sub(decisions(&book.events, id, i64::MAX).len()), items))
}

async fn show(place: &Place, review: &str, undecided: bool, format: Format) -> anyhow::Result<Exit> {
    let store = existing(&place.data).await?;
    let book = Book::read(&store).await?;
    let (kind, id) = book.find(Some(book.kind(ACCESS_REVIEWS)?), review)?;
    let entry: Entry = book.entry(kind, id, i64::MAX).context("this review has no events")?;
    let list = desk::review_list(&store, &entry).await?;
    store.close().await;
    let decided = decisions(&book.events, id, i64::MAX);
    if format == Format::Json {
        output::line(&serde_json::to_string_pretty(&desk::review_document(&entry, &list, &decided, undecided))?)?;
        return Ok(Exit::Ok);
    }
    let numbered = (1..).zip(&list).filter(|(number, _)| !undecided || !decided.contains_key(number));
    let mut rows = Builder::default();
    rows.push_record(["ITEM", "HOST", "WHO", "ACCESS", "APPROVED", "DECISION", "HOW"]);
    for (number, item) in numbered {
        let decision = decided.get(&number).map_or_else(String::new, |d| format!("{} by {}", d.decision, d.by));
        let cells = [&item.host, &item.who, &item.access, &item.approved, &decision, &item.detail].map(|text| plain(text));
        rows.push_record([number.to_string()].into_iter().chain(cells));
    }
    output::line(&rows.build().with(Style::blank()).to_string())?;
    output::line(&format!("{} of {} items are undecided", list.len().saturating_sub(decided.len()), list.len()))?;
    Ok(Exit::Ok)
}
