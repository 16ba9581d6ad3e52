//! `assay-collector setting`

use std::path::PathBuf;

use clap::{Args, Subcommand};
use tabled::builder::Builder;
use tabled::settings::Style;

use super::data::{DATA, actor, block_on, existing};
use super::exit::Exit;
use super::output::{self, Format};
use crate::collector::accounts::{self, SETTINGS};
use crate::host::clock;

/// Arguments of `assay-collector setting`.
#[derive(Args, Debug)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List settings and what they are
    #[command(after_help = LIST)]
    List {
        /// How to print
        #[arg(long, value_enum, default_value_t = Format::Table)]
        format: Format,
        /// Data folder of the collector
        #[arg(long, value_name = "DIR", default_value = DATA)]
        data: PathBuf,
    },
    /// Change one; the ledger keeps who did it
    #[command(after_help = SET)]
    Set {
        /// Which
        name: String,
        /// What it is from now on; empty: the default
        value: String,
        /// Data folder of the collector
        #[arg(long, value_name = "DIR", default_value = DATA)]
        data: PathBuf,
    },
}

const LIST: &str = "Examples:
  assay-collector setting list
  assay-collector setting list --format json
  assay-collector setting list --data ./data";

const SET: &str = "Examples:
  assay-collector setting set company \"Example GmbH\"
  assay-collector setting set second-factor \"admin reviewer\"
  assay-collector setting set second-factor \"\"               no role must have one";

/// Runs it.
pub fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    match &arguments.command {
        Command::List { format, data } => {
            let now = block_on(async {
                let store = existing(data).await?;
                let now = store.settings().await?;
                store.close().await;
                Ok(now)
            })?;
            let value = |name: &str| now.get(name).cloned().unwrap_or_default();
            if *format == Format::Json {
                let all: Vec<_> = SETTINGS.iter().map(|(name, what)| serde_json::json!({"name": name, "value": value(name), "what": what})).collect();
                output::line(&serde_json::to_string_pretty(&all)?)?;
            } else {
                let mut rows = Builder::default();
                rows.push_record(["NAME", "VALUE", "WHAT"]);
                SETTINGS.iter().for_each(|(name, what)| rows.push_record([*name, &value(name), *what]));
                output::line(&rows.build().with(Style::blank()).to_string())?;
            }
        }
        Command::Set { name, value, data } => {
            block_on(async {
                let store = existing(data).await?;
                accounts::set(&store, name, value, &actor(), clock::unix_now()).await?;
                store.close().await;
                Ok(())
            })?;
            output::line(&if value.is_empty() { format!("{name} is the default from now on") } else { format!("{name} is {value:?} from now on") })?;
        }
    }
    Ok(Exit::Ok)
}
