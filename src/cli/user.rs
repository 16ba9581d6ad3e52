//! `assay-collector user`

use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand, ValueEnum};
use tabled::builder::Builder;
use tabled::settings::Style;

use super::data::{DATA, actor, block_on, existing, time};
use super::exit::Exit;
use super::output::{self, Format};
use crate::collector::accounts::{self, UserOrder};
use crate::collector::auth;
use crate::collector::commitments::pages;
use crate::collector::store::{Store, UserRow};
use crate::host::clock;
use crate::model::ids::RandomId;

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
    /// Give a person another role, from the next request on
    #[command(after_help = CHANGE)]
    Change {
        /// Name to sign in with
        name: String,
        /// What the person may do from now on
        #[arg(long)]
        role: Role,
        /// Data folder of the collector
        #[arg(long, value_name = "DIR", default_value = DATA)]
        data: PathBuf,
    },
    /// Set or take away the bounds within which an auditor looks
    #[command(after_help = GRANT)]
    Grant {
        /// Name to sign in with
        name: String,
        /// Framework or page of commitments, by its id (repeatable) [default: all]
        #[arg(long = "framework", value_name = "ID")]
        frameworks: Vec<String>,
        /// First day
        #[arg(long, value_name = "YYYY-MM-DD", default_value = "")]
        from: String,
        /// Last day
        #[arg(long, value_name = "YYYY-MM-DD", default_value = "")]
        to: String,
        /// Name of a host, * for any characters (repeatable) [default: all]
        #[arg(long = "host", value_name = "NAME")]
        hosts: Vec<String>,
        /// Take the bounds away
        #[arg(long, conflicts_with_all = ["frameworks", "from", "to", "hosts"])]
        none: bool,
        /// Data folder of the collector
        #[arg(long, value_name = "DIR", default_value = DATA)]
        data: PathBuf,
    },
    /// Take the second factor of a person away, who lost the authenticator
    #[command(after_help = RESET)]
    ResetSecondFactor {
        /// Name to sign in with
        name: String,
        /// Data folder of the collector
        #[arg(long, value_name = "DIR", default_value = DATA)]
        data: PathBuf,
    },
    /// Let a person sign in no longer, and end the sessions
    #[command(after_help = REMOVE)]
    Remove {
        /// Name to sign in with
        name: String,
        /// Data folder of the collector
        #[arg(long, value_name = "DIR", default_value = DATA)]
        data: PathBuf,
    },
    /// List who may sign in and who might once, with the id by which the ledger knows them
    #[command(after_help = LIST)]
    List {
        /// How to print
        #[arg(long, value_enum, default_value_t = Format::Table)]
        format: Format,
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

const CHANGE: &str = "Examples:
  assay-collector user change bob --role viewer
  assay-collector user change carol --role auditor --data ./data
  assay-collector user change alice --role admin";

const REMOVE: &str = "Examples:
  assay-collector user remove bob
  assay-collector user remove carol --data ./data
  assay-collector user add bob --role viewer      (lets bob in again, under the same id)";

const GRANT: &str = "Examples:
  assay-collector user grant carol --framework soc2-2017 --from 2026-01-01 --to 2026-06-30
  assay-collector user grant carol --host 'web*' --host db01
  assay-collector user grant carol --none";

const RESET: &str = "Examples:
  assay-collector user reset-second-factor bob
  assay-collector user reset-second-factor bob --data ./data
  assay-collector setting set second-factor \"admin reviewer\"     (says which roles need one)";

const LIST: &str = "Examples:
  assay-collector user list
  assay-collector user list --format json
  assay-collector user list --data ./data";

/// Runs it.
pub fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    match &arguments.command {
        Command::Add { name, role, password_file, data } => run_add(name, *role, password_file.as_deref(), data)?,
        Command::Change { name, role, data } => {
            block_on(async {
                let store = existing(data).await?;
                if !store.change_user(name, role.word(), &actor(), clock::unix_now()).await? {
                    bail!("there is no user {name:?}; see assay-collector user list");
                }
                store.close().await;
                Ok(())
            })?;
            output::line(&format!("{name} is {} from now on", role.word()))?;
        }
        Command::Remove { name, data } => {
            block_on(async {
                let store = existing(data).await?;
                if !store.remove_user(name, &actor(), clock::unix_now()).await? {
                    bail!("there is no user {name:?}; see assay-collector user list");
                }
                store.close().await;
                Ok(())
            })?;
            output::line(&format!("{name} can sign in no longer"))?;
        }
        Command::Grant { name, frameworks, from, to, hosts, none, data } => {
            let action = if *none { "ungrant" } else { "grant" };
            let (frameworks, from, to, hosts) = (frameworks.join(" "), from.clone(), to.clone(), hosts.join(" "));
            order(data, name, UserOrder { action: action.into(), frameworks, from, to, hosts, ..UserOrder::default() })?;
            output::line(&if *none { format!("{name} looks without bounds") } else { format!("{name} looks within these bounds from now on") })?;
        }
        Command::ResetSecondFactor { name, data } => {
            order(data, name, UserOrder { action: "reset-second-factor".into(), ..UserOrder::default() })?;
            output::line(&format!("{name} has no second factor any more"))?;
        }
        Command::List { format, data } => list(data, *format)?,
    }
    Ok(Exit::Ok)
}

/// Carries out what pages and API order, too.
fn order(data: &Path, name: &str, order: UserOrder) -> anyhow::Result<()> {
    block_on(async {
        let store = existing(data).await?;
        let user = accounts::find_user(&store, name).await?;
        let known: Vec<String> = pages::frameworks(&store, clock::unix_now()).await?.into_iter().map(|f| f.id).collect();
        accounts::change_user(&store, &user, &order, &known, &actor(), clock::unix_now()).await?;
        store.close().await;
        Ok(())
    })
}

fn list(data: &Path, format: Format) -> anyhow::Result<()> {
    let users = block_on(async {
        let store = existing(data).await?;
        let users = store.users().await?;
        store.close().await;
        Ok(users)
    })?;
    match format {
        Format::Json => {
            let document = |(user, removed_at): &(UserRow, Option<i64>)| serde_json::json!({"created_at": user.created_at, "id": user.id, "name": user.name, "removed_at": removed_at, "role": user.role});
            output::line(&serde_json::to_string_pretty(&users.iter().map(document).collect::<Vec<_>>())?)
        }
        Format::Table => {
            let mut rows = Builder::default();
            rows.push_record(["NAME", "ROLE", "SINCE", "UNTIL", "ID"]);
            for (user, removed_at) in &users {
                let until = removed_at.map_or_else(String::new, time);
                rows.push_record([user.name.as_str(), &user.role, &time(user.created_at), &until, &user.id.to_string()]);
            }
            output::line(&rows.build().with(Style::blank()).to_string())
        }
    }
}

fn run_add(name: &str, role: Role, password_file: Option<&Path>, data: &Path) -> anyhow::Result<()> {
    let fits = !name.is_empty() && name.len() <= auth::MAX_NAME_BYTES && !name.chars().any(|c| c.is_control() || c.is_whitespace());
    anyhow::ensure!(fits, "{name:?} can't be a name to sign in with; use up to {} bytes without spaces", auth::MAX_NAME_BYTES);
    let password = password_file.map(password).transpose()?;
    let link = block_on(add(data, name, role, password))?;
    output::line(&match link {
        Some(token) => format!("open once, within {} minutes: /signin/once?token={token}", auth::LINK_SECONDS / 60),
        None => format!("{name} may sign in as {}", role.word()),
    })
}

async fn add(data: &Path, name: &str, role: Role, password: Option<String>) -> anyhow::Result<Option<String>> {
    let now = clock::unix_now();
    let store = Store::open(data).await?;
    let hash = password.as_deref().map(auth::hash_password).transpose()?.unwrap_or_default();
    let user = UserRow { id: RandomId::new(crate::pki::random()?), name: name.into(), role: role.word().into(), password: hash, created_at: now };
    let id = store.put_user(&user, &actor(), now).await?;
    let link = match password {
        Some(_) => None,
        None => Some(auth::issue_link(&store, &id, now).await?),
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
