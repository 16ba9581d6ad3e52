//! `assay-collector user`

use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, Subcommand, ValueEnum};

use super::data::{DATA, block_on};
use super::exit::Exit;
use super::output;
use crate::collector::auth;
use crate::collector::store::{Store, UserRow};
use crate::host::clock;
use crate::ledger::Kind;
use crate::model::ids::{Digest, RandomId};

/// Arguments of `assay-collector user`.
#[derive(Args, Debug)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Add a person who may sign in, or give one of this name a new role and password
    #[command(after_help = EXAMPLES)]
    Add {
        /// Name to sign in with
        name: String,
        /// What the person may do
        #[arg(long)]
        role: Role,
        /// File that holds the password; without it a one-time sign-in link is printed
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
        /// Data folder of the collector
        #[arg(long, value_name = "DIR", default_value = DATA)]
        data: PathBuf,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Role {
    Admin,
    Reviewer,
    Auditor,
    Viewer,
}

impl Role {
    const fn word(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Reviewer => "reviewer",
            Self::Auditor => "auditor",
            Self::Viewer => "viewer",
        }
    }
}

const EXAMPLES: &str = "Examples:
  assay-collector user add alice --role admin
  assay-collector user add bob --role reviewer --password-file ./password
  assay-collector user add carol --role auditor --data ./data";

/// Runs it.
pub fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    let Command::Add { name, role, password_file, data } = &arguments.command;
    let fits = !name.is_empty() && name.len() <= auth::MAX_NAME_BYTES && !name.chars().any(|c| c.is_control() || c.is_whitespace());
    anyhow::ensure!(fits, "{name:?} can't be a name to sign in with; use up to {} bytes without spaces", auth::MAX_NAME_BYTES);
    let password = password_file.as_deref().map(password).transpose()?;
    let link = block_on(add(data, name, *role, password))?;
    output::line(&match link {
        Some(token) => format!("open once, within {} minutes: /signin/once?token={token}", auth::LINK_SECONDS / 60),
        None => format!("{name} may sign in as {}", role.word()),
    })?;
    Ok(Exit::Ok)
}

async fn add(data: &Path, name: &str, role: Role, password: Option<String>) -> anyhow::Result<Option<String>> {
    let now = clock::unix_now();
    let store = Store::open(data).await?;
    let hash = password.as_deref().map(auth::hash_password).transpose()?.unwrap_or_default();
    let user = UserRow { id: RandomId::new(crate::pki::random()?), name: name.into(), role: role.word().into(), password: hash, created_at: now };
    store.put_user(&user).await?;
    store.append_leaf(Kind::User.id(), &Digest::of(user.id.bytes()), None).await?;
    let link = match password {
        Some(_) => None,
        None => Some(auth::issue_link(&store, &user.id, now).await?),
    };
    store.close().await;
    Ok(link)
}

/// The first line of a password file.
fn password(path: &Path) -> anyhow::Result<String> {
    let name = path.display();
    let file = std::fs::File::open(path).with_context(|| format!("can't read the password file {name}"))?;
    let mut text = String::new();
    file.take(auth::MAX_PASSWORD_BYTES as u64 + 2).read_to_string(&mut text).with_context(|| format!("can't read the password file {name}"))?;
    let password = text.lines().next().unwrap_or_default();
    let fits = password.chars().count() >= auth::MIN_PASSWORD_CHARS && password.len() <= auth::MAX_PASSWORD_BYTES;
    anyhow::ensure!(fits, "{name}:1: the password must have {} characters or more and at most {} bytes", auth::MIN_PASSWORD_CHARS, auth::MAX_PASSWORD_BYTES);
    Ok(password.into())
}
