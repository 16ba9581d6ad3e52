//! `assay-collector token`

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::data::{DATA, block_on};
use super::exit::Exit;
use super::output;
use crate::collector::Keys;
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
}

const EXAMPLES: &str = "Examples:
  assay-collector token create
  assay-collector token create --uses 50 --expires 7d
  assay-collector token create --data ./data > token";

/// Runs it.
pub fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    let Command::Create { uses, expires, data } = &arguments.command;
    let token = block_on(create(data, *uses, *expires))?;
    output::line(&token.to_string())?;
    Ok(Exit::Ok)
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
