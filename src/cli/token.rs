//! `assay-collector token`

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, Subcommand};

use super::data::{DATA, block_on, existing};
use super::exit::Exit;
use super::output;
use crate::collector::Keys;
use crate::collector::api::token as api;
use crate::collector::auth::Role;
use crate::collector::store::Store;
use crate::host::clock;
use crate::ledger::Kind;
use crate::model::ids::Digest;
use crate::pki::token::Token;

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
        /// Days that it is good for
        #[arg(long, default_value_t = 90, value_parser = clap::value_parser!(u32).range(1..=i64::from(api::MAX_DAYS)))]
        days: u32,
        /// Data folder of the collector
        #[arg(long, value_name = "DIR", default_value = DATA)]
        data: PathBuf,
    },
}

const API_EXAMPLES: &str = "Examples:
  assay-collector token api --user alice --role viewer
  assay-collector token api --user alice --role reviewer --days 7 > token
  curl --header \"Authorization: Bearer $(cat token)\" https://collector.example.org:8443/api/v1/due";

const EXAMPLES: &str = "Examples:
  assay-collector token create
  assay-collector token create --uses 50 --expires 7d
  assay-collector token create --data ./data > token";

/// Runs it.
pub fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    let token = match &arguments.command {
        Command::Create { uses, expires, data } => block_on(create(data, *uses, *expires))?.to_string(),
        Command::Api { user, role, days, data } => block_on(api_token(data, user, *role, *days))?,
    };
    output::line(&token)?;
    Ok(Exit::Ok)
}

/// Makes an API token of a user; a running collector knows it at once.
async fn api_token(data: &Path, name: &str, role: Role, days: u32) -> anyhow::Result<String> {
    let store = existing(data).await?;
    let user = store.user_by_name(name).await?.with_context(|| format!("there is no user {name:?}; first: assay-collector user add {name} --role …"))?;
    let most = Role::of(&user.role);
    anyhow::ensure!(role.at_most(most) == role, "{name} is {} and can't be given a token of role {}", most.word(), role.word());
    let token = api::issue(&store, &user, role, days, clock::unix_now()).await?;
    store.append_leaf(Kind::Token.id(), &Digest::of(api::digest(&token).bytes()), None).await?;
    store.close().await;
    Ok(token)
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
    let digest = token.secret_digest();
    store.put_secret("enrol", &digest, "", now.saturating_add(life), uses).await?;
    // Digest of the digest: the ledger is shown to auditors and must not help to guess.
    store.append_leaf(Kind::Token.id(), &Digest::of(digest.bytes()), None).await?;
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
