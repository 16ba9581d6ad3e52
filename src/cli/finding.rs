//! `assay-collector finding`: the open findings of the fleet, who deals with them, and what is known by a baseline.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use tabled::builder::Builder;
use tabled::settings::Style;

use super::data::{DATA, actor, block_on, existing, moment, time};
use super::exit::Exit;
use super::output;
use crate::collector::findings::export::{self, FindingDocument};
use crate::collector::findings::source::MOST;
use crate::collector::findings::{Asked, Shown, Source, orders};
use crate::collector::store::Store;
use crate::collector::ui::site::Catalogue;
use crate::facts;
use crate::host::clock;
use crate::records::Scope;
use crate::records::value::until;
use crate::report::text::plain;
use crate::rules::Pack;

/// Arguments of `assay-collector finding`.
#[derive(Args, Debug)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

/// How findings are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    /// For people
    Table,
    /// For programs
    Json,
    /// For spreadsheets
    Csv,
}

/// Which open findings.
#[derive(Args, Debug)]
struct Filter {
    /// fail, unknown or waived; without it fail and unknown
    #[arg(long, default_value = "")]
    verdict: String,
    /// critical, high, medium, low or info
    #[arg(long, default_value = "")]
    severity: String,
    /// First word of the ids of rules, such as tls
    #[arg(long, default_value = "")]
    area: String,
    /// Id of a rule
    #[arg(long, default_value = "")]
    rule: String,
    /// Hosts with this label
    #[arg(long, default_value = "")]
    label: String,
    /// Who deals with them; '(nobody)': nobody does
    #[arg(long, default_value = "")]
    owner: String,
    /// week, month, quarter or older: open for under 7, up to 30, up to 90, more days
    #[arg(long, default_value = "")]
    age: String,
    /// Past their day
    #[arg(long)]
    overdue: bool,
    /// new or known since the baseline in force
    #[arg(long, default_value = "")]
    baseline: String,
    /// Words that rule, subject, message or name of the host hold
    #[arg(long, value_name = "WORDS", default_value = "")]
    search: String,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List open findings, by root cause or one by one
    #[command(after_help = LIST)]
    List {
        #[command(flatten)]
        filter: Filter,
        /// By root cause
        #[arg(long)]
        groups: bool,
        /// As of the end of a day, or a time
        #[arg(long, value_name = "DATE")]
        as_of: Option<String>,
        /// How to print
        #[arg(long, value_enum, default_value_t = Form::Table)]
        format: Form,
        /// Data folder of the collector
        #[arg(long, value_name = "DIR", default_value = DATA)]
        data: PathBuf,
    },
    /// Say who deals with open findings, and until when
    #[command(after_help = ASSIGN)]
    Assign(Assign),
    /// Take a baseline: what is open now is known, what changes after it is news
    #[command(after_help = BASELINE)]
    Baseline {
        /// How people call it
        name: String,
        /// Why, and what is done about what is in it
        #[arg(long, default_value = "")]
        note: String,
        /// Data folder of the collector
        #[arg(long, value_name = "DIR", default_value = DATA)]
        data: PathBuf,
    },
}

#[derive(Args, Debug)]
struct Assign {
    #[command(flatten)]
    filter: Filter,
    /// A standing order: findings of --rule and --severity to come, too; without --rule of every rule
    #[arg(long)]
    standing: bool,
    /// Hosts of a standing order; * stands for any run of characters
    #[arg(long, default_value = "*", requires = "standing")]
    host: String,
    /// Who deals with them
    #[arg(long, default_value = "")]
    to: String,
    /// They are to be mended by this day
    #[arg(long, value_name = "YYYY-MM-DD", default_value = "")]
    due: String,
    /// Or within so many days after they began
    #[arg(long, value_name = "DAYS", default_value = "")]
    due_days: String,
    /// Anything else
    #[arg(long, default_value = "")]
    note: String,
    /// Data folder of the collector
    #[arg(long, value_name = "DIR", default_value = DATA)]
    data: PathBuf,
}

const LIST: &str = "Examples:
  assay-collector finding list --groups
  assay-collector finding list --severity critical --owner '(nobody)'
  assay-collector finding list --area tls --format csv --data ./data";

const ASSIGN: &str = "Examples:
  assay-collector finding assign --rule tls-version-minimum --to web-team --due 2027-01-31
  assay-collector finding assign --standing --rule storage-encryption --to platform
  assay-collector finding assign --standing --severity critical --due-days 7 --data ./data";

const BASELINE: &str = "Examples:
  assay-collector finding baseline 'first scan'
  assay-collector finding baseline 'after the audit' --note 'plan in ticket 4711'
  assay-collector finding baseline 2027-Q1 --data ./data";

/// Runs it.
pub fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    block_on(async {
        match &arguments.command {
            Command::List { filter, groups, as_of, format, data } => {
                let now = clock::unix_now();
                let at = as_of.as_deref().map_or(Ok(now), |text| moment(text, now))?;
                let store = existing(data).await?;
                let text = list(&store, filter, *groups, at, (at < now).then_some(at), *format).await?;
                store.close().await;
                output::print(&text)?;
            }
            Command::Assign(order) => {
                let store = existing(&order.data).await?;
                let said = assign(&store, order).await?;
                store.close().await;
                output::line(&said)?;
            }
            Command::Baseline { name, note, data } => {
                let store = existing(data).await?;
                orders::take_baseline(&store, name, note, &actor()).await?;
                store.close().await;
                output::line(&format!("baseline {} is in force: what is open now is known", plain(name)))?;
            }
        }
        Ok(Exit::Ok)
    })
}

impl Filter {
    fn pairs(&self) -> Vec<(String, String)> {
        let due = if self.overdue { "overdue" } else { "" };
        let all = [
            ("verdict", self.verdict.as_str()),
            ("severity", &self.severity),
            ("area", &self.area),
            ("rule", &self.rule),
            ("label", &self.label),
            ("owner", &self.owner),
            ("age", &self.age),
            ("due", due),
            ("baseline", &self.baseline),
            ("q", &self.search),
        ];
        all.into_iter().filter(|(_, value)| !value.is_empty()).map(|(name, value)| (name.to_string(), value.to_string())).collect()
    }

    async fn asked(&self, store: &Store, catalogue: &Catalogue, at: i64, is_past: bool) -> anyhow::Result<Asked> {
        let asked = Asked::read(store, catalogue, &self.pairs(), at, is_past).await?;
        anyhow::ensure!(asked.shown == Shown::Open, "--verdict is none of fail, unknown and waived");
        Ok(asked)
    }
}

fn catalogue() -> anyhow::Result<Catalogue> {
    Ok(Catalogue::of(&Pack::builtin(facts::schemas())?, &[]))
}

async fn list(store: &Store, filter: &Filter, groups: bool, at: i64, past: Option<i64>, format: Form) -> anyhow::Result<String> {
    let catalogue = catalogue()?;
    let asked = filter.asked(store, &catalogue, at, past.is_some()).await?;
    let source = Source::open(store, &catalogue, &asked.filter, past).await?;
    if groups {
        anyhow::ensure!(format == Form::Table, "root causes are printed as a table; one by one they go to csv and json");
        return grouped(&source, &asked, &catalogue).await;
    }
    let rows = source.rows(&asked.filter, None, export::MOST).await?;
    Ok(match format {
        Form::Csv => String::from_utf8(export::csv(&rows, &catalogue)?)?,
        Form::Json => {
            let all: Vec<FindingDocument> = rows.iter().map(|row| FindingDocument::of(row, &catalogue)).collect();
            format!("{}\n", serde_json::to_string_pretty(&serde_json::json!({ "as_of": at, "findings": all }))?)
        }
        Form::Table => {
            let mut table = Builder::default();
            table.push_record(["SEVERITY", "VERDICT", "RULE", "HOST", "SUBJECT", "FINDING", "SINCE", "OWNER", "DUE"]);
            for row in &rows {
                let due = row.due.map(until).unwrap_or_default();
                let cells = [&row.rule, &row.name, &row.subject, &row.message].map(|t| plain(t));
                let head = [row.severity.word().to_string(), row.verdict.word().to_string()];
                table.push_record(head.into_iter().chain(cells).chain([time(row.since), plain(&row.owner), due]));
            }
            let cut = if rows.len() >= export::MOST as usize { ", the first of more" } else { "" };
            format!("{}\n{} findings{cut}\n", table.build().with(Style::blank()), rows.len())
        }
    })
}

async fn grouped(source: &Source<'_>, asked: &Asked, catalogue: &Catalogue) -> anyhow::Result<String> {
    let mut table = Builder::default();
    table.push_record(["SEVERITY", "VERDICT", "HOSTS", "FINDINGS", "ROOT CAUSE", "SAYS", "OLDEST", "OWNER"]);
    let mut page = 1;
    loop {
        let (groups, is_more) = source.groups(&asked.filter, page).await?;
        for g in &groups {
            let owner = g.owner.as_deref().map_or_else(|| "several".into(), plain);
            let head = [g.severity.word().to_string(), g.verdict.word().to_string(), g.hosts.to_string(), g.findings.to_string()];
            table.push_record(head.into_iter().chain([plain(catalogue.title(&g.rule)), plain(&g.message), time(g.oldest), owner]));
        }
        if !is_more {
            break;
        }
        page += 1;
    }
    let counted = source.counted(&asked.filter).await?;
    let cut = if counted.is_cut { format!(" (of the first {MOST})") } else { String::new() };
    Ok(format!("{}\n{} findings{cut}\n", table.build().with(Style::blank()), counted.total))
}

async fn assign(store: &Store, order: &Assign) -> anyhow::Result<String> {
    let values = [("owner", &order.to), ("due", &order.due), ("due_days", &order.due_days), ("note", &order.note)];
    let mut said: BTreeMap<String, String> = values.into_iter().map(|(n, v)| (n.to_string(), v.clone())).collect();
    if order.standing {
        let narrowed = [&order.filter.verdict, &order.filter.area, &order.filter.owner, &order.filter.age, &order.filter.search, &order.filter.label];
        anyhow::ensure!(narrowed.iter().all(|v| v.is_empty()) && !order.filter.overdue, "a standing order is of a rule, a severity and hosts alone");
        let rule = if order.filter.rule.is_empty() { "*".to_string() } else { order.filter.rule.clone() };
        said.insert("severity".into(), order.filter.severity.clone());
        let scope = Scope { rule, host: order.host.clone(), subject: "*".into(), ..Scope::default() };
        orders::handle(store, vec![scope], &said, &actor()).await?;
        return Ok("the order stands: it holds for findings to come, too".into());
    }
    let asked = order.filter.asked(store, &catalogue()?, clock::unix_now(), false).await?;
    let picked = orders::picked(store, &asked.filter).await?;
    orders::handle(store, orders::scopes(&picked), &said, &actor()).await?;
    Ok(format!("{} findings are assigned", picked.len()))
}
