//! Standard output, in one place: a reader that went away (`| head`) is no error.

use std::io::{ErrorKind, Write as _};

use anyhow::Context as _;

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
