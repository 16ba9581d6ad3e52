//! `assay-collector trail`

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use tabled::builder::Builder;
use tabled::settings::Style;

use super::data::{DATA, block_on, existing, time};
use super::exit::Exit;
use super::output::{self, Format};
use crate::collector::trail::{self, Names};
use crate::collector::ui::when::{DAY, parse_day};
use crate::report::text::plain;

/// Arguments of `assay-collector trail`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// Kind of entry or act, such as user, export, sign-in, opened
    #[arg(long, default_value = "")]
    kind: String,
    /// Who: a name to sign in with, or the id that the ledger knows
    #[arg(long, default_value = "")]
    person: String,
    /// One day only, UTC
    #[arg(long, value_name = "YYYY-MM-DD")]
    day: Option<String>,
    /// Most lines
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
    /// How to print
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Data folder of the collector
    #[arg(long, value_name = "DIR", default_value = DATA)]
    data: PathBuf,
}

const EXAMPLES: &str = "Examples:
  assay-collector trail --kind user
  assay-collector trail --person carol --day 2026-11-20
  assay-collector trail --kind export --format json";

/// Runs it.
pub fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    let span = match &arguments.day {
        None => (i64::MIN, i64::MAX),
        Some(text) => {
            let start = parse_day(text).with_context(|| format!("--day {text:?} is no day; write YYYY-MM-DD"))?;
            (start, start + DAY - 1)
        }
    };
    let (lines, names) = block_on(async {
        let store = existing(&arguments.data).await?;
        let names = Names::read(&store).await?;
        let lines = store.trail(&trail::filter(&arguments.kind, &arguments.person, span, None, arguments.limit, &names)).await?;
        store.close().await;
        Ok((lines, names))
    })?;
    if arguments.format == Format::Json {
        output::line(&serde_json::to_string_pretty(&trail::document(&lines, &names))?)?;
        return Ok(Exit::Ok);
    }
    let mut rows = Builder::default();
    rows.push_record(["WHEN", "WHO", "KIND", "LEAF", "WHAT"]);
    for line in &lines {
        let told = names.tell(line);
        let leaf = line.leaf.map_or_else(|| "log".to_string(), |n| n.to_string());
        let host = line.host.map_or_else(String::new, |h| format!(" {h}"));
        rows.push_record([time(line.at).as_str(), &plain(&told.who), &told.kind, &leaf, &plain(&format!("{}{host}", told.what))]);
    }
    output::line(&rows.build().with(Style::blank()).to_string())?;
    Ok(Exit::Ok)
}
