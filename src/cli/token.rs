//! `assay-collector token`

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, Subcommand};
use tabled::builder::Builder;
use tabled::settings::Style;

use super::data::{DATA, actor, block_on, existing, time};
use super::exit::Exit;
use super::output::{self, Format};
use crate::collector::Keys;
use crate::collector::accounts::{self, NewToken};
use crate::collector::api::token as api;
use crate::collector::auth::Role;
use crate::collector::store::{Store, TokenRow};
use crate::host::clock;
use crate::pki::token::Token;
use crate::report::text::plain;

/// Longest life of a token, seconds.
const MAX_LIFE: i64 = 366 * 86_400;
/// Most hosts that one token may enrol.
const MAX_USES: u32 = 100_000;

/// Arguments of `assay-collector token`.
#[derive(Args, Debug)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a token that enrols hosts, and print it; only its digest is kept
    #[command(after_help = EXAMPLES)]
    Create {
        /// How many hosts it may enrol
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_USES)))]
        uses: u32,
        /// How long it is good for: a number and m, h or d
        #[arg(long, default_value = "24h", value_parser = life)]
        expires: i64,
        /// Data folder of the collector
        #[arg(long, value_name = "DIR", default_value = DATA)]
        data: PathBuf,
    },
    /// Make a token with which a program uses the API for a user, and print it; only its digest is kept
    #[command(after_help = API_EXAMPLES)]
    Api {
        /// Name of the user for whom the program acts
        #[arg(long, value_name = "NAME")]
        user: String,
        /// What it may do; never more than the user: admin, reviewer, auditor or viewer
        #[arg(long, value_parser = role)]
        role: Role,
        /// What people call it
        #[arg(long, value_name = "NAME", default_value = "made on the command line")]
        name: String,
        /// It changes nothing
        #[arg(long)]
        read_only: bool,
        /// Area of the API that it opens, such as records (repeatable) [default: all]
        #[arg(long = "area", value_name = "AREA")]
        areas: Vec<String>,
        /// Days that it is good for
        #[arg(long, default_value_t = 90, value_parser = clap::value_parser!(u32).range(1..=i64::from(api::MAX_DAYS)))]
        days: u32,
        /// Data folder of the collector
        #[arg(long, value_name = "DIR", default_value = DATA)]
        data: PathBuf,
    },
    /// List tokens of the API: whose, what they open, when they were used last
    #[command(after_help = LIST_EXAMPLES)]
    List {
        /// How to print
        #[arg(long, value_enum, default_value_t = Format::Table)]
        format: Format,
        /// Data folder of the collector
        #[arg(long, value_name = "DIR", default_value = DATA)]
        data: PathBuf,
    },
    /// Revoke a token of the API; a running collector knows at once
    #[command(after_help = REVOKE_EXAMPLES)]
    Revoke {
        /// Its id, or the first eight digits of it or more
        #[arg(value_name = "ID")]
        id: String,
        /// Data folder of the collector
        #[arg(long, value_name = "DIR", default_value = DATA)]
        data: PathBuf,
    },
}

const LIST_EXAMPLES: &str = "Examples:
  assay-collector token list
  assay-collector token list --format json
  assay-collector token list --data ./data";

const REVOKE_EXAMPLES: &str = "Examples:
  assay-collector token revoke 5f2c9a01
  assay-collector token revoke 5f2c9a01 --data ./data
  assay-collector token list                       (tells the ids)";

const API_EXAMPLES: &str = "Examples:
  assay-collector token api --user alice --role viewer
  assay-collector token api --user alice --role reviewer --area records --area due --days 7 > token
  curl --header \"Authorization: Bearer $(cat token)\" https://collector.example.org:8443/api/v1/due";

const EXAMPLES: &str = "Examples:
  assay-collector token create
  assay-collector token create --uses 50 --expires 7d
  assay-collector token create --data ./data > token";

/// Runs it.
pub fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    match &arguments.command {
        Command::Create { uses, expires, data } => output::line(&block_on(create(data, *uses, *expires))?.to_string())?,
        Command::Api { user, role, name, read_only, areas, days, data } => {
            let flag = if *read_only { "true" } else { "" };
            let new = NewToken { name: name.clone(), role: role.word().into(), read_only: flag.into(), areas: areas.join(" "), days: days.to_string() };
            output::line(&block_on(api_token(data, user, &new))?)?;
        }
        Command::List { format, data } => list(data, *format)?,
        Command::Revoke { id, data } => {
            let token = block_on(async {
                let store = existing(data).await?;
                let token = accounts::revoke_token(&store, id, None, &actor(), clock::unix_now()).await?;
                store.close().await;
                Ok(token)
            })?;
            output::line(&format!("{} opens nothing any more", plain(&token.name)))?;
        }
    }
    Ok(Exit::Ok)
}

/// Makes an API token of a user; a running collector knows it at once.
async fn api_token(data: &Path, name: &str, new: &NewToken) -> anyhow::Result<String> {
    let store = existing(data).await?;
    let user = store.user_by_name(name).await?.with_context(|| format!("there is no user {name:?}; first: assay-collector user add {name} --role …"))?;
    let (_, token) = accounts::issue_token(&store, &user, new, clock::unix_now()).await?;
    store.close().await;
    Ok(token)
}

fn list(data: &Path, format: Format) -> anyhow::Result<()> {
    let (tokens, users) = block_on(async {
        let store = existing(data).await?;
        let all = (store.tokens(None).await?, store.users().await?);
        store.close().await;
        Ok(all)
    })?;
    let name = |t: &TokenRow| users.iter().find(|(u, _)| u.id == t.user).map_or_else(String::new, |(u, _)| u.name.clone());
    if format == Format::Json {
        let document = |t: &TokenRow| serde_json::json!({"areas": t.areas, "created_at": t.created_at, "expires_at": t.expires_at, "id": t.id, "name": t.name, "read_only": t.read_only, "revoked_at": t.revoked_at, "role": t.role, "used_at": t.used_at, "user": name(t)});
        return output::line(&serde_json::to_string_pretty(&tokens.iter().map(document).collect::<Vec<_>>())?);
    }
    let mut rows = Builder::default();
    rows.push_record(["ID", "NAME", "OF", "ROLE", "OPENS", "LAST USE", "ENDS", "STATE"]);
    let now = clock::unix_now();
    for token in &tokens {
        let areas = if token.areas.is_empty() { "all".to_string() } else { token.areas.join(" ") };
        let opens = if token.read_only { format!("{areas}, reads only") } else { areas };
        let state = if token.revoked_at.is_some() {
            "revoked"
        } else if token.expires_at <= now {
            "expired"
        } else {
            "lives"
        };
        let used = token.used_at.map_or_else(|| "never".to_string(), time);
        let id: String = token.id.to_string().chars().take(8).collect();
        rows.push_record([id.as_str(), &plain(&token.name), &plain(&name(token)), &token.role, &opens, &used, &time(token.expires_at), state]);
    }
    output::line(&rows.build().with(Style::blank()).to_string())
}

fn role(word: &str) -> Result<Role, String> {
    Role::ALL.into_iter().find(|r| r.word() == word).ok_or_else(|| format!("{word:?} is none of admin, reviewer, auditor, viewer"))
}

/// Makes an enrolment token on a data folder; a running collector knows it at once.
async fn create(data: &Path, uses: u32, life: i64) -> anyhow::Result<Token> {
    let now = clock::unix_now();
    let store = Store::open(data).await?;
    let keys = Keys::load_or_create(data, now)?;
    let token = Token::generate(keys.authority.der())?;
    store.put_enrolment_token(&token.secret_digest(), uses, now.saturating_add(life)).await?;
    store.close().await;
    Ok(token)
}

/// Seconds of a life such as `90m`, `24h`, `7d`.
fn life(text: &str) -> Result<i64, String> {
    let wrong = || format!("{text:?} is not a time like 90m, 24h or 7d, at most 366d");
    let unit = text.chars().next_back().ok_or_else(wrong)?;
    let seconds = match unit {
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return Err(wrong()),
    };
    let number: i64 = text.strip_suffix(unit).and_then(|n| n.parse().ok()).ok_or_else(wrong)?;
    number.checked_mul(seconds).filter(|s| (1..=MAX_LIFE).contains(s)).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_life_has_a_unit_and_an_end() {
        assert_eq!((life("90m"), life("24h"), life("7d")), (Ok(5400), Ok(86_400), Ok(604_800)));
        for wrong in ["", "h", "24", "0h", "-1h", "367d", "9999999999999999999d", "1é", "1w"] {
            assert!(life(wrong).is_err(), "{wrong}");
        }
    }
}
