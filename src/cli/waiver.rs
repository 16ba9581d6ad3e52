//! `assay-collector waiver`: a failure that is accepted for a time, by two people.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::json;
use tabled::builder::Builder;
use tabled::settings::Style;

use super::data::{DATA, actor, block_on, existing, moment, time};
use super::exit::Exit;
use super::output::{self, Format};
use crate::collector::findings::covered::covered;
use crate::collector::findings::orders::{self, Reasons, labelled};
use crate::collector::records::{self as desk, Book, Order};
use crate::host::clock;
use crate::records::entry::short;
use crate::records::event::NOTE;
use crate::records::types::WAIVER;
use crate::records::value::until;
use crate::records::waiver::waivers;
use crate::records::{Action, Scope};
use crate::report::text::plain;

/// Arguments of `assay-collector waiver`.
#[derive(Args, Debug)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

/// What is decided about a waiver.
#[derive(Args, Debug)]
struct Word {
    /// Waiver, or the first digits of its id
    waiver: String,
    /// Why
    #[arg(long, default_value = "")]
    note: String,
    /// Data folder of the collector
    #[arg(long, value_name = "DIR", default_value = DATA)]
    data: PathBuf,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Ask for a waiver; it covers nothing until somebody else approves it
    #[command(after_help = REQUEST)]
    Request(Request),
    /// Approve a waiver that somebody else asked for: it covers from now on
    #[command(after_help = APPROVE)]
    Approve(Word),
    /// Refuse a waiver
    #[command(after_help = REFUSE)]
    Refuse(Word),
    /// Take a waiver back: its failures are open again
    #[command(after_help = REVOKE)]
    Revoke(Word),
    /// List waivers and where they stand
    #[command(after_help = LIST)]
    List {
        /// As of the end of a day, or a time
        #[arg(long, value_name = "DATE")]
        as_of: Option<String>,
        /// How to print
        #[arg(long, value_enum, default_value_t = Format::Table)]
        format: Format,
        /// Data folder of the collector
        #[arg(long, value_name = "DIR", default_value = DATA)]
        data: PathBuf,
    },
}

#[derive(Args, Debug)]
struct Request {
    /// Id of the rule
    #[arg(long)]
    rule: String,
    /// Name of the host; * stands for any run of characters
    #[arg(long, default_value = "", required_unless_present = "label")]
    host: String,
    /// Hosts that have this label now; who gets it later is not covered
    #[arg(long, default_value = "")]
    label: String,
    /// Subject of the finding, likewise; without it, findings of the host itself
    #[arg(long, default_value = "")]
    subject: String,
    /// Why the failure is accepted
    #[arg(long)]
    reason: String,
    /// What holds the risk down meanwhile
    #[arg(long)]
    control: String,
    /// Last day, at most 366 days ahead
    #[arg(long, value_name = "YYYY-MM-DD")]
    expires: String,
    /// Ask for nothing; list the open failures that it would cover
    #[arg(long)]
    dry_run: bool,
    /// Data folder of the collector
    #[arg(long, value_name = "DIR", default_value = DATA)]
    data: PathBuf,
}

const REQUEST: &str = "Examples:
  assay-collector waiver request --rule tls-version-minimum --host web07 --subject 0.0.0.0:8443/tcp \\
      --reason 'scanner of the warehouse speaks TLS 1.0' --control 'reachable from the warehouse only' --expires 2027-01-31
  assay-collector waiver request --rule access-password-age --host 'test*' --subject '*' \\
      --reason 'test machines without data' --control 'separate network' --expires 2026-12-31 --dry-run
  assay-collector waiver request --rule storage-encryption --host db03 --subject /srv \\
      --reason 'moves to new disks in June' --control 'locked cage' --expires 2027-06-30 --data ./data";

const APPROVE: &str = "Examples:
  assay-collector waiver approve 3fd1a2b4
  assay-collector waiver approve 3fd1a2b4 --note 'looked at the firewall'
  assay-collector waiver approve 3fd1a2b4 --data ./data

The person is the user of the operating system, or over the API the one who is signed in; who asked can't approve.";

const REFUSE: &str = "Examples:
  assay-collector waiver refuse 3fd1a2b4 --note 'can be mended this week'
  assay-collector waiver refuse 3fd1a2b4
  assay-collector waiver refuse 3fd1a2b4 --data ./data";

const REVOKE: &str = "Examples:
  assay-collector waiver revoke 3fd1a2b4 --note 'mended'
  assay-collector waiver revoke 3fd1a2b4
  assay-collector waiver revoke 3fd1a2b4 --data ./data";

const LIST: &str = "Examples:
  assay-collector waiver list
  assay-collector waiver list --as-of 2026-06-30
  assay-collector waiver list --format json --data ./data";

/// Runs it.
pub fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    block_on(async {
        match &arguments.command {
            Command::Request(request) => ask(request).await,
            Command::Approve(word) => decide(word, Action::Approve, "is in force from now on").await,
            Command::Refuse(word) => decide(word, Action::Refuse, "is refused").await,
            Command::Revoke(word) => decide(word, Action::Revoke, "is revoked: what it covered is open again").await,
            Command::List { as_of, format, data } => {
                let now = clock::unix_now();
                let at = as_of.as_deref().map_or(Ok(now), |text| moment(text, now))?;
                let store = existing(data).await?;
                let all = waivers(&store.record_events().await?, at);
                store.close().await;
                if *format == Format::Json {
                    let told: Vec<_> = all.iter().map(|w| json!({ "stage": w.stage(at), "waiver": w })).collect();
                    output::line(&serde_json::to_string_pretty(&json!({ "as_of": at, "waivers": told }))?)?;
                    return Ok(Exit::Ok);
                }
                let mut rows = Builder::default();
                rows.push_record(["WAIVER", "STAGE", "LAST DAY", "RULE", "COVERS", "REQUESTED BY", "APPROVED BY", "REASON"]);
                for w in &all {
                    let approver = w.approved.as_ref().map_or("", |m| m.by.as_str());
                    let cells = [&w.scope.rule, &w.scope.words(), &w.requested.by, approver, &w.reason].map(plain);
                    let head = [short(&w.id), w.stage(at).word().into(), until(w.expires)];
                    rows.push_record(head.into_iter().chain(cells));
                }
                output::line(&rows.build().with(Style::blank()).to_string())?;
                Ok(Exit::Ok)
            }
        }
    })
}

async fn ask(request: &Request) -> anyhow::Result<Exit> {
    let store = existing(&request.data).await?;
    let scope = Scope { rule: request.rule.clone(), host: request.host.clone(), subject: request.subject.clone(), ..Scope::default() };
    let scope = labelled(&store, scope, &request.label, clock::unix_now()).await?;
    let covered = covered(&store, &scope, clock::unix_now()).await?;
    let count = format!("{}{} open failures", if covered.is_cut { "more than " } else { "" }, covered.findings.len());
    if request.dry_run {
        store.close().await;
        let mut rows = Builder::default();
        rows.push_record(["HOST", "SUBJECT", "SINCE", "FINDING"]);
        for row in &covered.findings {
            rows.push_record([plain(&row.name), plain(&row.subject), time(row.since), plain(&row.message)]);
        }
        output::line(&rows.build().with(Style::blank()).to_string())?;
        output::line(&format!("it would cover {count}; nothing was recorded"))?;
        return Ok(Exit::Ok);
    }
    let why = Reasons { reason: request.reason.clone(), control: request.control.clone(), expires: request.expires.clone() };
    let asked = orders::ask(&store, vec![scope], &why, &actor()).await?;
    store.close().await;
    let id = asked.first().map(|one| short(&one.event.entry)).unwrap_or_default();
    output::line(&format!("waiver {id} is asked for; it would cover {count} once somebody else approves it"))?;
    Ok(Exit::Ok)
}

async fn decide(word: &Word, action: Action, done: &str) -> anyhow::Result<Exit> {
    let store = existing(&word.data).await?;
    let book = Book::read(&store).await?;
    let (kind, id) = book.find(Some(book.kind(WAIVER)?), &word.waiver)?;
    let fields = if word.note.is_empty() { Default::default() } else { [(NOTE.to_string(), word.note.clone())].into() };
    desk::record(&store, kind, action, Order { entry: Some(id), fields, by: actor(), ..Order::default() }).await?;
    store.close().await;
    output::line(&format!("waiver {} {done}", short(&id)))?;
    Ok(Exit::Ok)
}
