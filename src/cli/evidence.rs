//! `assay evidence`: verifying a bundle offline.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufReader, Read as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use serde::Serialize;

use super::exit::Exit;
use super::output::{self, Format};
use crate::evidence::text::{count, visible};
use crate::evidence::{Verification, verify};
use crate::ledger::rotation::{self, Rotation};
use crate::ledger::{Verifier, checkpoint};

/// Arguments of `assay evidence`.
#[derive(Args, Debug)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Verify an evidence bundle offline: signatures, digests, inclusion proofs, checkpoint
    #[command(after_help = VERIFY_HELP)]
    Verify(VerifyArguments),
}

/// Largest list of rotations, bytes.
const MAX_ROTATIONS: usize = 2 << 20;

const VERIFY_HELP: &str = "Examples:
  assay evidence verify soc2.zip --key ledger.pub
  assay evidence verify soc2.zip --key 'assay.invalid/…+1a2b3c4d+AS…'
  assay evidence verify soc2.zip --key ledger.pub --rotations rotations.json
  assay evidence verify soc2.zip --format json

Exit codes: 0 everything holds under the given key; 3 it holds, but the key was taken from the bundle or something is absent; 1 something does not hold; 2 usage";

#[derive(Args, Debug)]
struct VerifyArguments {
    /// The bundle, a zip file
    bundle: PathBuf,
    /// The ledger's verifier key, or a file that holds it, from a source you trust
    #[arg(long, value_name = "VERIFIER-KEY|FILE")]
    key: Option<String>,
    /// Statements of changed ledger keys (`assay-collector ledger rotations`): they lead from the key you hold to the one that signed
    #[arg(long, value_name = "FILE", requires = "key")]
    rotations: Option<PathBuf>,
    /// How to print the result
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

/// What `--format json` prints.
#[derive(Serialize)]
struct Document<'a> {
    format: &'static str,
    /// Everything holds under a key that the caller gave.
    verified: bool,
    #[serde(rename = "result")]
    state: &'static str,
    bundle: &'a Option<crate::evidence::manifest::Head>,
    key_checked: bool,
    problems: &'a [crate::evidence::verify::Problem],
    more_problems: u64,
    checks: &'a [crate::evidence::verify::Check],
    not_checked: &'a [String],
}

/// Runs it.
pub fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    let Command::Verify(arguments) = &arguments.command;
    let mut key = arguments.key.as_deref().map(read_key).transpose()?;
    if let (Some(path), Some(held)) = (&arguments.rotations, &key) {
        let bytes = read_bounded(path, MAX_ROTATIONS)?;
        let list: Vec<Rotation> = serde_json::from_slice(&bytes).with_context(|| format!("{}: no list of rotations", path.display()))?;
        key = Some(rotation::follow(held, &list).with_context(|| path.display().to_string())?);
    }
    let name = arguments.bundle.display();
    let found = verify(BufReader::new(open_regular(&arguments.bundle)?), key.as_ref()).with_context(|| format!("{name}: can't be read"))?;
    match arguments.format {
        Format::Table => output::print(&table(&arguments.bundle, &found))?,
        Format::Json => output::line(&json(&found)?)?,
    }
    if !found.holds() {
        let n = found.problems.len().saturating_add(usize::try_from(found.more_problems).unwrap_or(usize::MAX));
        bail!("{}: the bundle does not verify: {}", arguments.bundle.display(), count(n, "problem", "problems"));
    }
    Ok(if found.key_checked && !found.incomplete { Exit::Ok } else { Exit::Incomplete })
}

/// A verifier key as given, or the one in a file.
fn read_key(given: &str) -> anyhow::Result<Verifier> {
    if given.contains('+')
        && let Ok(key) = given.parse()
    {
        return Ok(key);
    }
    let path = Path::new(given);
    if !path.exists() {
        bail!("--key {:?} is neither a verifier key (NAME+KEYID+BASE64) nor a file: `assay-collector evidence key` prints it", visible(given));
    }
    let text = read_bounded(path, checkpoint::MAX_BYTES)?;
    let text = String::from_utf8(text).ok().with_context(|| format!("{given}: not a text file"))?;
    text.parse().with_context(|| format!("{given}: no verifier key of a ledger"))
}

/// A regular file, open.
fn open_regular(path: &Path) -> anyhow::Result<File> {
    let name = path.display();
    // Asked before opening: opening a pipe or device could wait for ever.
    let meta = std::fs::metadata(path).with_context(|| format!("{name}: can't be read"))?;
    if !meta.is_file() {
        bail!("{name}: not a regular file");
    }
    File::open(path).with_context(|| format!("{name}: can't be read"))
}

/// A regular file of at most `limit` bytes.
fn read_bounded(path: &Path, limit: usize) -> anyhow::Result<Vec<u8>> {
    let name = path.display();
    let mut bytes = Vec::new();
    open_regular(path)?.take(limit as u64 + 1).read_to_end(&mut bytes).with_context(|| format!("{name}: can't be read"))?;
    if bytes.len() > limit {
        bail!("{name}: larger than {limit} bytes");
    }
    Ok(bytes)
}

fn state(found: &Verification) -> &'static str {
    match (found.holds(), found.key_checked, found.incomplete) {
        (false, ..) => "tampered",
        (true, false, _) => "key-not-checked",
        (true, true, true) => "incomplete",
        (true, true, false) => "verified",
    }
}

fn json(found: &Verification) -> anyhow::Result<String> {
    let document = Document {
        format: "assay.verification.v1",
        verified: state(found) == "verified",
        state: state(found),
        bundle: &found.bundle,
        key_checked: found.key_checked,
        problems: &found.problems,
        more_problems: found.more_problems,
        checks: &found.checks,
        not_checked: &found.not_checked,
    };
    Ok(serde_json::to_string_pretty(&document)?)
}

fn table(path: &Path, found: &Verification) -> String {
    let mut out = String::new();
    // Writing to a String can't fail.
    let _ = writeln!(out, "{}\n", headline(path, found));
    for problem in &found.problems {
        let place = if problem.path.is_empty() { "bundle" } else { &problem.path };
        let _ = writeln!(out, " ✕ {:<10} {}: {}", problem.id, visible(place), visible(&problem.message));
    }
    if found.more_problems > 0 {
        let _ = writeln!(out, " … and {} more", found.more_problems);
    }
    if !found.checks.is_empty() {
        let _ = writeln!(out, "Checked:");
    }
    for check in &found.checks {
        let _ = writeln!(out, " {:>7}  {}", check.held, check.what);
    }
    let _ = writeln!(out, "Not shown by this bundle:");
    for sentence in &found.not_checked {
        let _ = writeln!(out, " - {sentence}");
    }
    out
}

fn headline(path: &Path, found: &Verification) -> String {
    let what = found
        .bundle
        .as_ref()
        .map(|b| format!(" · {} {} to {} · {}", visible(&b.framework), visible(&b.from), visible(&b.to), visible(&b.scope)))
        .unwrap_or_default();
    let verdict = match state(found) {
        "tampered" => "does NOT verify",
        "key-not-checked" => "is consistent in itself; the ledger key was not checked",
        "incomplete" => "verifies, with parts absent",
        _ => "verifies",
    };
    format!("{} {verdict}{what}", path.display())
}
