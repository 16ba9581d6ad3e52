//! `assay doctor`

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::exit::Exit;
use super::output::{self, Format};
use super::scan::draw::Page;
use crate::agent::doctor::{self, Check, State};
use crate::agent::seccomp;
use crate::report::text::{pad, paint, plain, wrap};

const EXAMPLES: &str = "\
Examples:
  assay doctor                                     what this host lacks, each gap with its cure
  sudo -u assay-agent assay doctor                 with the rights that the agent has
  assay doctor --format json | jq '.checks[] | select(.state != \"ok\")'

Usage: assay doctor [OPTIONS]

Options:
{options}

Exit codes: 0 nothing is missing, 1 error, 3 something is missing or could not be looked at
";

/// Columns of an id.
const ID: usize = 14;

/// Arguments of `assay doctor`.
#[derive(Args, Debug)]
#[command(help_template = EXAMPLES)]
pub struct Arguments {
    /// Configuration of the agent [default: /etc/assay/agent.yaml if there is one]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

/// Runs it.
pub fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    seccomp::install()?;
    crate::pki::install_provider();
    let checks = doctor::examine(arguments.config.as_deref())?;
    let complete = checks.iter().all(|c| c.state == State::Ok);
    match arguments.format {
        Format::Json => output::line(&serde_json::to_string_pretty(&json!({ "checks": checks, "complete": complete, "format": "assay.doctor.v1" }))?)?,
        Format::Table => output::print(&table(&checks, Page::of_stdout()))?,
    }
    Ok(if complete { Exit::Ok } else { Exit::Incomplete })
}

fn table(checks: &[Check], page: Page) -> String {
    let mut out = String::new();
    let width = page.width.saturating_sub(ID + 12);
    for check in checks {
        let (word, code) = match check.state {
            State::Ok => ("ok", "32"),
            State::Gap => ("gap", "1;31"),
            State::Unknown => ("unknown", "35"),
        };
        let mut lines = wrap(&plain(&check.what), width).into_iter();
        let first = lines.next().unwrap_or_default();
        let _ = writeln!(out, " {}  {}  {first}", paint(page.colour, code, &pad(word, 7)), pad(check.id, ID));
        let indent = " ".repeat(ID + 12);
        for line in lines {
            let _ = writeln!(out, "{indent}{line}");
        }
        for (label, text) in [("why", &check.why), ("cure", &check.cure)] {
            for (number, line) in wrap(&plain(text), width.saturating_sub(6)).into_iter().enumerate().filter(|_| !text.is_empty()) {
                let label = paint(page.colour, "2", &pad(if number == 0 { label } else { "" }, 4));
                let _ = writeln!(out, "{indent}{label}  {line}");
            }
        }
    }
    let gaps = checks.iter().filter(|c| c.state == State::Gap).count();
    let unknown = checks.iter().filter(|c| c.state == State::Unknown).count();
    let _ = match (gaps, unknown) {
        (0, 0) => writeln!(out, "\nNothing is missing: {} checks.", checks.len()),
        (gaps, 0) => writeln!(out, "\n{gaps} of {} checks found a gap.", checks.len()),
        (gaps, unknown) => writeln!(out, "\n{gaps} of {} checks found a gap, {unknown} could not be made.", checks.len()),
    };
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_shows_why_and_cure_and_nothing_is_cut() {
        let text = |s: &str| s.to_string();
        let ok = Check { id: "identity", state: State::Ok, what: text("web01"), why: String::new(), cure: String::new() };
        let gap = Check { id: "gatherer", state: State::Gap, what: "word ".repeat(40), why: text("blind"), cure: text("start it") };
        let shown = table(&[ok, gap], Page { width: 80, colour: false });
        assert!(shown.contains(" ok       identity        web01\n") && shown.contains("why   blind\n") && shown.contains("cure  start it\n"), "{shown}");
        assert_eq!(shown.matches("word").count(), 40);
        assert!(shown.lines().all(|l| l.chars().count() <= 80) && !shown.contains('\u{1b}'), "{shown}");
        assert!(shown.ends_with("1 of 2 checks found a gap.\n"));
    }
}
