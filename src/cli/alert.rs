//! `assay-collector alert`

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand, ValueEnum};
use tabled::builder::Builder;
use tabled::settings::Style;

use super::data::{DATA, actor, block_on, existing, time};
use super::exit::Exit;
use super::output::{self, Format};
use crate::collector::alerts::{self, NewTarget, Target};
use crate::collector::store::{LetterState, Store};
use crate::collector::{alerts::target, bounded};
use crate::host::clock;
use crate::report::text::plain;

/// Largest file with a key, a password or a certificate, bytes.
const MAX_FILE: u64 = 64 << 10;
/// Letters listed.
const LETTERS: u32 = 200;

/// Arguments of `assay-collector alert`.
#[derive(Args, Debug)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Kind {
    Webhook,
    Mail,
    Syslog,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Add a target
    #[command(after_help = ADD)]
    Add {
        /// How it is told
        kind: Kind,
        /// What people call it
        name: String,
        /// Webhook: https://…; mail and syslog: HOST:PORT
        #[arg(long)]
        address: String,
        /// Certificate (PEM) of the authority that the receiver's certificate is by [default: those of this system]
        #[arg(long, value_name = "FILE")]
        ca: Option<PathBuf>,
        /// File with the key of a webhook or the password of mail [default: a key is made and printed; no password]
        #[arg(long, value_name = "FILE")]
        secret_file: Option<PathBuf>,
        /// Mail: tls, starttls, or none on this machine
        #[arg(long, default_value = "starttls")]
        security: String,
        /// Mail: name to sign in with
        #[arg(long, default_value = "")]
        user: String,
        /// Mail: sender
        #[arg(long, default_value = "")]
        from: String,
        /// Mail: receiver (repeatable)
        #[arg(long)]
        to: Vec<String>,
        /// Failures at or above: critical, high, medium, low or info
        #[arg(long, default_value = "high")]
        severity: String,
        /// Mail: the weekly digest goes there, too
        #[arg(long)]
        digest: bool,
        /// Data folder of the collector
        #[arg(long, value_name = "DIR", default_value = DATA)]
        data: PathBuf,
    },
    /// List targets, and messages that wait or were given up
    #[command(after_help = LIST)]
    List {
        /// How to print
        #[arg(long, value_enum, default_value_t = Format::Table)]
        format: Format,
        /// Data folder of the collector
        #[arg(long, value_name = "DIR", default_value = DATA)]
        data: PathBuf,
    },
    /// Send a test: a running collector delivers it within seconds
    #[command(after_help = TEST)]
    Test {
        /// Name of the target
        name: String,
        /// Data folder of the collector
        #[arg(long, value_name = "DIR", default_value = DATA)]
        data: PathBuf,
    },
    /// Remove a target with its messages
    #[command(after_help = REMOVE)]
    Remove {
        /// Name of the target
        name: String,
        /// Data folder of the collector
        #[arg(long, value_name = "DIR", default_value = DATA)]
        data: PathBuf,
    },
    /// Try a message again that was given up
    #[command(after_help = RETRY)]
    Retry {
        /// Its number, as `list` tells it
        number: i64,
        /// Throw it away instead
        #[arg(long)]
        dismiss: bool,
        /// Data folder of the collector
        #[arg(long, value_name = "DIR", default_value = DATA)]
        data: PathBuf,
    },
}

const ADD: &str = "Examples:
  assay-collector alert add webhook pager --address https://pager.example.com/hook
  assay-collector alert add mail team --address mail.example.com:587 --from assay@example.com --to security@example.com --digest
  assay-collector alert add syslog siem --address logs.example.com:6514 --ca ./ca.pem --severity medium";
const LIST: &str = "Examples:
  assay-collector alert list
  assay-collector alert list --format json
  assay-collector alert list --data ./data";
const TEST: &str = "Examples:
  assay-collector alert test pager
  assay-collector alert test team --data ./data
  assay-collector alert list                       (tells what became of it)";
const REMOVE: &str = "Examples:
  assay-collector alert remove pager
  assay-collector alert remove team --data ./data
  assay-collector alert list                       (tells the names)";
const RETRY: &str = "Examples:
  assay-collector alert retry 12
  assay-collector alert retry 12 --dismiss
  assay-collector alert list                       (tells the numbers)";

/// Runs it.
pub fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    match &arguments.command {
        Command::Add { kind, name, address, ca, secret_file, security, user, from, to, severity, digest, data } => {
            let kind = match kind {
                Kind::Webhook => "webhook",
                Kind::Mail => "mail",
                Kind::Syslog => "syslog",
            };
            let new = NewTarget {
                kind: kind.into(),
                name: name.clone(),
                address: address.clone(),
                ca: ca.as_deref().map(text).transpose()?.unwrap_or_default(),
                secret: secret_file.as_deref().map(text).transpose()?.unwrap_or_default().trim().into(),
                security: security.clone(),
                user: user.clone(),
                from: from.clone(),
                to: to.join(" "),
                severity: severity.clone(),
                digest: if *digest { "true".into() } else { String::new() },
            };
            let (_, key) = on(data, async |store| Ok(alerts::add(data, store, &new, &actor(), clock::unix_now()).await?))?;
            output::line(&match key {
                Some(key) => format!("{name} is told from now on; the key that the receiver needs, shown once:\n{key}"),
                None => format!("{name} is told from now on"),
            })?;
        }
        Command::List { format, data } => list(data, *format)?,
        Command::Test { name, data } => {
            on(data, async |store| {
                let found = find(store, name).await?;
                target::test_on(store, "", &found.id, clock::unix_now()).await?;
                Ok(())
            })?;
            output::line(&format!("a test to {name} waits; a running collector delivers it"))?;
        }
        Command::Remove { name, data } => {
            on(data, async |store| {
                let found = find(store, name).await?;
                store.remove_alert_target(&found.id, &actor(), clock::unix_now()).await?;
                Ok(())
            })?;
            output::line(&format!("{name} is told no longer"))?;
        }
        Command::Retry { number, dismiss, data } => {
            if !on(data, async |store| Ok(store.revive_letter(*number, !dismiss, clock::unix_now()).await?))? {
                bail!("no message {number} was given up; see assay-collector alert list");
            }
            output::line(if *dismiss { "thrown away" } else { "it will be tried again" })?;
        }
    }
    Ok(Exit::Ok)
}

/// Does something on the store of a folder and closes it.
fn on<T>(data: &Path, work: impl AsyncFnOnce(&Store) -> anyhow::Result<T>) -> anyhow::Result<T> {
    block_on(async {
        let store = existing(data).await?;
        let done = work(&store).await;
        store.close().await;
        done
    })
}

async fn find(store: &Store, name: &str) -> anyhow::Result<Target> {
    let found = Target::all(store).await?.into_iter().find(|t| t.name == name);
    found.with_context(|| format!("there is no target {name:?}; see assay-collector alert list"))
}

fn text(path: &Path) -> anyhow::Result<String> {
    String::from_utf8(bounded(path, MAX_FILE)?).map_err(|_| anyhow::anyhow!("{}: not text", path.display()))
}

fn list(data: &Path, format: Format) -> anyhow::Result<()> {
    let (targets, letters) = on(data, async |store| Ok((Target::all(store).await?, store.letters(None, LETTERS).await?)))?;
    let name = |id| targets.iter().find(|t| t.id == id).map_or("", |t| t.name.as_str());
    if format == Format::Json {
        let told: Vec<_> = targets
            .iter()
            .map(|t| serde_json::json!({"digest": t.wants_digest, "id": t.id, "kind": t.kind, "name": t.name, "place": t.place(), "severity": t.body.severity}))
            .collect();
        let sent: Vec<_> = letters.iter().map(|l| serde_json::json!({"at": l.at, "attempts": l.attempts, "id": l.id, "number": l.number, "problem": l.problem, "state": l.state.word(), "target": name(l.target), "title": l.title})).collect();
        return output::line(&serde_json::to_string_pretty(&serde_json::json!({"alerts": sent, "targets": told}))?);
    }
    let mut rows = Builder::default();
    rows.push_record(["NAME", "KIND", "WHERE", "FAILURES FROM", "DIGEST"]);
    for t in &targets {
        let digest = if t.wants_digest { "weekly" } else { "" };
        rows.push_record([plain(&t.name).as_str(), &t.kind, &plain(&t.place()), t.body.severity.word(), digest]);
    }
    output::line(&rows.build().with(Style::blank()).to_string())?;
    let mut rows = Builder::default();
    rows.push_record(["NUMBER", "WHEN", "TO", "STATE", "ATTEMPTS", "MESSAGE", "PROBLEM"]);
    for l in letters.iter().filter(|l| l.state != LetterState::Delivered) {
        let (number, attempts) = (l.number.to_string(), l.attempts.to_string());
        rows.push_record([number.as_str(), &time(l.at), &plain(name(l.target)), l.state.word(), &attempts, &plain(&l.title), &plain(&l.problem)]);
    }
    output::line(&rows.build().with(Style::blank()).to_string())
}
