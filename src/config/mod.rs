//! Configuration: typed, with complete defaults; unknown keys are refused.

pub mod agent;
#[cfg(feature = "collector")]
pub mod collector;
mod layers;
pub mod proxy;

use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use serde::de::DeserializeOwned;

/// Largest configuration file, bytes.
pub const MAX_CONFIG: usize = 256 << 10;
/// Most YAML nodes of a configuration file.
const MAX_NODES: usize = 10_000;

/// Why a configuration file can't be used: one sentence with file, line, key and remedy.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Not readable.
    #[error("{0}: {1}; create the file or name another one")]
    Read(String, std::io::Error),
    /// Too large.
    #[error("{0}: larger than {MAX_CONFIG} bytes; a configuration file is a few lines of YAML")]
    TooLarge(String),
    /// Everybody may write it, so anybody could decide what is read.
    #[error("{0}: writable by everybody; run `chmod o-w {0}`")]
    Writable(String),
    /// Not the YAML of a configuration.
    #[error("{file}:{line}:{column}: {problem}; mend or remove the key, every key has a default")]
    Syntax {
        /// Path of the file.
        file: String,
        /// Line, from 1; 0 when unknown.
        line: u64,
        /// Column, from 1; 0 when unknown.
        column: u64,
        /// What is wrong.
        problem: String,
    },
    /// A value out of its range.
    #[error("{file}: {key}: {problem}")]
    Value {
        /// Path of the file.
        file: String,
        /// Dotted key.
        key: String,
        /// What is wrong and what would be right.
        problem: String,
    },
}

/// Reads a YAML file strictly; an empty file means the defaults.
pub fn read<T: DeserializeOwned>(path: &Path) -> Result<T, ConfigError> {
    parse(&path.display().to_string(), &text(path)?)
}

/// The text of a configuration file: regular, bounded, not writable by everybody.
fn text(path: &Path) -> Result<String, ConfigError> {
    let name = path.display().to_string();
    let fail = |e| ConfigError::Read(name.clone(), e);
    let file = std::fs::File::open(path).map_err(fail)?;
    let metadata = file.metadata().map_err(fail)?;
    if !metadata.is_file() {
        return Err(fail(std::io::Error::other("not a regular file")));
    }
    if metadata.mode() & 0o002 != 0 {
        return Err(ConfigError::Writable(name));
    }
    let mut bytes = Vec::new();
    file.take(MAX_CONFIG as u64 + 1).read_to_end(&mut bytes).map_err(fail)?;
    if bytes.len() > MAX_CONFIG {
        return Err(ConfigError::TooLarge(name));
    }
    String::from_utf8(bytes).map_err(|_| fail(std::io::Error::other("not UTF-8")))
}

/// Parses the text of a configuration file called `name`.
pub fn parse<T: DeserializeOwned>(name: &str, text: &str) -> Result<T, ConfigError> {
    let empty = text.lines().all(|l| l.trim().is_empty() || l.trim_start().starts_with('#'));
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! { max_nodes: MAX_NODES, max_aliases: 0, max_anchors: 0, max_depth: 16 },
        strict_booleans: true,
        strict_indentation: true,
        merge_keys: serde_saphyr::MergeKeyPolicy::Error,
        reject_unsupported_tags: true,
        with_snippet: false,
    };
    serde_saphyr::from_str_with_options(if empty { "{}" } else { text }, options).map_err(|e| {
        let (line, column) = e.location().map_or((0, 0), |l| (l.line(), l.column()));
        let shown = e.without_snippet().to_string();
        let problem = shown.lines().next().unwrap_or_default().trim_start_matches("error: ");
        // The place stands in front already.
        let problem = problem.split(" at line ").next().unwrap_or_default();
        let problem = match problem.strip_prefix("line ").and_then(|p| p.split_once(": ")) {
            Some((_, rest)) => rest,
            None => problem,
        };
        ConfigError::Syntax { file: name.into(), line, column, problem: problem.into() }
    })
}
