//! Drop-ins: the files `FILE.d/*.yaml` beside a configuration file, laid over it in the order of
//! their names, so that other packages and configuration management add keys without editing a
//! file that is not theirs. A later file replaces a key as a whole; keys below `spool:` and the like
//! are replaced one by one. Each file is parsed and checked by itself, so that an error names its place.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::ConfigError;

/// Most drop-ins of one configuration file.
pub const MAX_DROP_INS: usize = 64;

/// One file: what errors call it, and its text.
pub type Layer = (String, String);

/// The folder of drop-ins that belongs to a configuration file: `agent.yaml` has `agent.yaml.d`.
pub fn folder_of(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".d");
    name.into()
}

/// Whether a file of the folder is a drop-in: what editors and package managers leave behind
/// (`.x.swp`, `x.yaml.dpkg-new`, `x.yaml~`) is not.
pub fn is_drop_in(name: &str) -> bool {
    name.ends_with(".yaml") && !name.starts_with('.')
}

/// The drop-ins of a configuration file of this machine, in order; none when there is no such folder.
pub fn drop_ins(file: &Path) -> Result<Vec<Layer>, ConfigError> {
    let folder = folder_of(file);
    let shown = folder.display().to_string();
    let fail = |e| ConfigError::Read(shown.clone(), e);
    let entries = match std::fs::read_dir(&folder) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(fail)?,
    };
    if folder.metadata().map_err(fail)?.mode() & 0o002 != 0 {
        return Err(ConfigError::Writable(shown));
    }
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.map_err(fail)?.file_name().to_string_lossy().into_owned();
        if is_drop_in(&name) {
            names.push(name);
        }
        check_number(&shown, names.len())?;
    }
    names.sort();
    names.iter().map(|name| folder.join(name)).map(|path| Ok((path.display().to_string(), super::text(&path)?))).collect()
}

/// Refuses a folder with more drop-ins than [`MAX_DROP_INS`].
pub fn check_number(folder: &str, number: usize) -> Result<(), ConfigError> {
    if number <= MAX_DROP_INS {
        return Ok(());
    }
    let problem = format!("more than {MAX_DROP_INS} files; put their keys into fewer");
    Err(ConfigError::Value { file: folder.into(), key: "*.yaml".into(), problem })
}

/// Lays the files over the defaults, the last one wins. `check` sees each file over the defaults
/// alone, so that what it finds has that file's name.
pub fn merge<T: Default + DeserializeOwned>(layers: &[Layer], check: impl Fn(&T, &str) -> Result<(), ConfigError>) -> Result<T, ConfigError> {
    let mut last = T::default();
    let mut merged = Value::Object(Map::new());
    for (name, text) in layers {
        last = super::parse(name, text)?;
        check(&last, name)?;
        lay(&mut merged, super::parse(name, text)?);
    }
    // The types are serialised nowhere: a secret shows itself to no serialiser.
    match layers {
        [] | [_] => Ok(last),
        [.., (name, _)] => serde_json::from_value(merged).map_err(|e| {
            let problem = format!("the files can't be laid over each other: {e}; put numbers that are meant as text in quotes");
            ConfigError::Value { file: name.clone(), key: "*".into(), problem }
        }),
    }
}

fn lay(below: &mut Value, above: Value) {
    match (below, above) {
        (Value::Object(below), Value::Object(above)) => {
            for (key, value) in above {
                lay(below.entry(key).or_insert(Value::Null), value);
            }
        }
        (below, above) => *below = above,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::agent::AgentConfig;

    fn merged(files: &[&str]) -> Result<AgentConfig, String> {
        let layers: Vec<Layer> = files.iter().enumerate().map(|(i, text)| (format!("{i}.yaml"), (*text).to_string())).collect();
        merge(&layers, AgentConfig::check).map_err(|e| e.to_string())
    }

    #[test]
    fn the_last_file_wins_key_by_key() {
        assert_eq!(merged(&[]).unwrap(), AgentConfig::default());
        let config = merged(&[
            "collector: https://a:1\ntargets: [a:1, b:2]\nspool: {max_bytes: 2097152}\n",
            "# nothing\n",
            "targets: [c:3]\nspool: {max_age_days: 90}\ntime_zone: Europe/Vienna\n",
        ])
        .unwrap();
        assert_eq!((config.collector.as_str(), config.targets), ("https://a:1", vec!["c:3".to_string()]));
        assert_eq!((config.spool.max_bytes, config.spool.max_age_days), (2_097_152, 90));
        assert_eq!((config.time_zone.as_str(), config.jitter_minutes), ("Europe/Vienna", AgentConfig::default().jitter_minutes));
        // A password is not lost on the way.
        let config = merged(&["proxy: http://u:s3cret@p:3128\n", "jitter_minutes: 5\n"]).unwrap();
        assert_eq!(config.proxy, "http://u:s3cret@p:3128".parse().unwrap());
        // A file can take a value back to the default, and empty a list.
        let config = merged(&["jitter_minutes: 5\ntargets: [a:1]\n", "jitter_minutes: 360\ntargets: []\n"]).unwrap();
        assert_eq!(config, AgentConfig::default());
    }

    #[test]
    fn an_error_names_the_file_that_has_it() {
        assert!(merged(&["collector: https://a:1\n", "\ncolector: https://b:1\n"]).unwrap_err().starts_with("1.yaml:2:1: unknown field `colector`"));
        assert!(merged(&["jitter_minutes: 99999\n", "jitter_minutes: 1\n"]).unwrap_err().starts_with("0.yaml: jitter_minutes: 99999 is not between"));
        let mistaken = merged(&["policy: 7\n", "jitter_minutes: 1\n"]).unwrap_err();
        assert!(mistaken.starts_with("1.yaml: *: the files can't be laid over each other") && mistaken.contains("in quotes"), "{mistaken}");
        assert!(merged(&["spool:\n  max_byte: 1\n"]).unwrap_err().starts_with("0.yaml:2:3: unknown field `max_byte`"));
    }

    #[test]
    fn drop_ins_are_read_in_name_order_and_leftovers_are_not() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("agent.yaml");
        std::fs::write(&file, "jitter_minutes: 1\ntime_zone: Europe/Vienna\n").unwrap();
        assert!(drop_ins(&file).unwrap().is_empty());
        let folder = folder_of(&file);
        std::fs::create_dir(&folder).unwrap();
        for (name, text) in [("20-b.yaml", "jitter_minutes: 20\n"), ("10-a.yaml", "jitter_minutes: 10\ncollector: https://a:1\n")] {
            std::fs::write(folder.join(name), text).unwrap();
        }
        for leftover in ["30-c.yaml~", ".40-d.yaml", "50-e.yaml.dpkg-old", "README"] {
            std::fs::write(folder.join(leftover), "not: [yaml").unwrap();
        }
        let config = AgentConfig::load(Some(&file)).unwrap();
        assert_eq!((config.jitter_minutes, config.time_zone.as_str(), config.collector.as_str()), (20, "Europe/Vienna", "https://a:1"));
        // The folder decides what is read as much as the file does.
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o777)).unwrap();
        assert!(AgentConfig::load(Some(&file)).unwrap_err().to_string().contains("writable by everybody"));
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o755)).unwrap();
        for i in 0..=MAX_DROP_INS {
            std::fs::write(folder.join(format!("{i:03}.yaml")), "").unwrap();
        }
        assert!(AgentConfig::load(Some(&file)).unwrap_err().to_string().contains("more than 64 files"));
    }
}
