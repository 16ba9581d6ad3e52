//! Standard output, in one place: a reader that went away (`| head`) is no error.

use std::io::{ErrorKind, IsTerminal as _, Write as _};

use anyhow::Context as _;
use clap::ValueEnum;

/// How a command prints its result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    Table,
    /// For programs
    Json,
}

/// Writes text as it is and flushes it, since a program may be reading along.
pub fn print(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() != ErrorKind::BrokenPipe => Err(e).context("standard output"),
        _ => Ok(()),
    }
}

/// [`print`] with a line break.
pub fn line(text: &str) -> anyhow::Result<()> {
    print(&format!("{text}\n"))
}

/// A line that the next one overwrites; on a terminal only.
pub fn step(text: &str) {
    let mut error = std::io::stderr();
    if error.is_terminal() {
        // Nobody is left to tell when the terminal is gone.
        let _ = write!(error, "\r\x1b[K{text}");
    }
}

/// Takes the last of those lines away.
pub fn end_of_steps() {
    let mut error = std::io::stderr();
    if error.is_terminal() {
        let _ = write!(error, "\r\x1b[K");
    }
}
