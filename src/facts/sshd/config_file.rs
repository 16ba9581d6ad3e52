//! Who may change the files of the configuration.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::host::Host;
use crate::model::fact::Source;

/// One file of the configuration, or a folder that holds one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfigFile {
    /// Path.
    pub subject: String,
    /// Owner.
    pub owner_uid: u32,
    /// Group.
    pub gid: u32,
    /// Permission bits.
    pub mode: u32,
    /// Whether its owner or mode lets somebody else than root, and group root, change it.
    pub others_can_write: bool,
    /// The file.
    pub source: Source,
}

/// The files and the folders that they lie in, by path.
pub fn states(host: &Host, files: &[String]) -> Vec<ConfigFile> {
    let folders = files.iter().filter_map(|f| f.rsplit_once('/')).map(|(folder, _)| folder).filter(|f| !f.is_empty());
    let paths: BTreeSet<&str> = files.iter().map(String::as_str).chain(folders).collect();
    paths.into_iter().filter_map(|path| state(host, path)).collect()
}

fn state(host: &Host, path: &str) -> Option<ConfigFile> {
    // A file that was just read and is gone now is no fact.
    let stat = host.stat(path).ok()?;
    let by_group = stat.mode & 0o020 != 0 && stat.gid != 0;
    Some(ConfigFile {
        subject: path.into(),
        owner_uid: stat.uid,
        gid: stat.gid,
        mode: stat.mode,
        others_can_write: stat.uid != 0 || by_group || stat.mode & 0o002 != 0,
        source: Source::whole(path),
    })
}
